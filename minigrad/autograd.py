"""Backpropagation: the recorded graph and the walk through it.

Every operation on tensors that take part in a gradient leaves a `Node`. `backward` visits the nodes newest first,
hands each the gradient of its output, asks its primitive's rules for the gradients of its inputs, and adds those up
where they meet. That is all of reverse mode. This file knows neither Tensor nor any backend: gradients are whatever
`F` computes with, so the same walk serves arrays, Tensors (gradients of gradients) and traced arrays.

Inside the walk, g = dL/dy is the number with dL = Re(sum(g dy)), also for complex y. So the rule of a holomorphic
operation is its real rule, letter by letter, dL = Re(g f'(x) dx), and matmul transposes without conjugating. What
users give and get is PyTorch's gradient dL/dRe y + i dL/dIm y, the direction of steepest ascent: conj(g). It is
turned at the ends of the walk only, in gradients.py, and around hooks and custom functions.
"""

from __future__ import annotations

import importlib
import itertools
import operator
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from .errors import GradError

tick = itertools.count(1).__next__  # one clock for recordings and in-place edits; inputs are always older than outputs


class Name(str):
    """A text that may be called for."""

    __slots__ = ()

    def __call__(self) -> str:
        return str(self)


class Node:
    """One recorded application of a primitive; or a leaf, a tensor that gradients are collected for (plan None)."""

    __slots__ = (
        "dtype",  # of the output; gradients are cast to it
        "edited",  # the Edit that overwrote the output in place, if any
        "hooks",  # functions called with the output's gradient, or None
        "inputs",  # the nodes of the inputs, None where an input takes no part
        "order",  # when it was recorded
        "owner",  # weak reference to the tensor whose .grad is to be filled, or None
        "params",  # the keywords of the application
        "part",  # k if this is the k-th output of the only node in inputs, else None
        "plan",  # which rules run, and what they need
        "saved",  # the values the rules need; None once freed
        "shape",  # of the output; gradients are summed to it
    )

    hooks: Any
    owner: Any
    edited: Any
    part: Any

    def __init__(self, plan: Any, inputs: Sequence, saved: Any, params: dict, shape: Any, dtype: Any):
        self.plan, self.inputs, self.saved, self.params = plan, inputs, saved, params
        self.shape, self.dtype, self.order = shape, dtype, tick()
        self.hooks = self.owner = self.edited = self.part = None

    @property
    def name(self) -> Name:
        """The operation's; also called as PyTorch does: ``y.grad_fn.name()``."""
        return Name(self.plan.primitive.name if self.plan else "leaf" if self.part is None else f"output {self.part}")

    @property
    def next_functions(self) -> tuple[tuple[Node | None, int], ...]:
        """For each input the node that made it, None where no gradient passes, and which of its outputs it is."""
        node = self if self.part is None else self.inputs[0]
        return tuple(
            (p, 0) if p is None or p.part is None else (p.inputs[0], p.part)  # past the node of one output
            for p in node.inputs
        )

    @property
    def variable(self) -> Any:
        """Of a leaf's node, the leaf; None if it is gone."""
        return self.owner() if self.owner is not None else None

    def __repr__(self) -> str:
        return f"<Node {self.name} {self.shape}>"


ABOVE = {
    "grad": "gradients", "Function": "custom", "no_grad": "mode", "enable_grad": "mode", "set_grad_enabled": "mode",
    "detect_anomaly": "anomaly", "set_detect_anomaly": "anomaly", "gradcheck": "testing", "gradgradcheck": "testing",
    "Variable": "pytorch_names",
}  # fmt: skip


def __getattr__(name: str) -> Any:
    """What PyTorch users look for here, ``autograd.grad`` and others, lives above this file."""
    if name in ("functional", "forward_ad"):
        return importlib.import_module(f".func.{name}", __package__)
    if name in ABOVE:
        return getattr(importlib.import_module(f".{ABOVE[name]}", __package__), name)
    raise AttributeError(f"module {__name__} has no attribute {name!r}")


def newest_first(roots: Iterable[Node], stops: frozenset = frozenset()) -> list[Node]:
    """All nodes the roots depend on, each after every node that uses it. Does not look behind the nodes in `stops`."""
    seen = set(roots)
    stack = list(seen)
    while stack:
        node = stack.pop()
        if node in stops:
            continue
        for parent in node.inputs:
            if parent is not None and parent not in seen:
                seen.add(parent)
                stack.append(parent)
    return sorted(seen, key=operator.attrgetter("order"), reverse=True)  # inputs are older than outputs


def leading_to(wanted: Iterable[Node], order: Sequence[Node]) -> set[Node]:
    """The wanted nodes and all nodes of `order` (newest first) that depend on one."""
    useful = set(wanted)
    for node in reversed(order):  # oldest first: inputs are decided before outputs
        if not useful.isdisjoint(node.inputs):
            useful.add(node)
    return useful


def backward(
    roots: Sequence[Node],
    grads: Sequence[Any],
    rules: Rules,
    *,
    wanted: frozenset[Node] | None = None,
    stop: bool = False,
    retain_graph: bool = False,
) -> dict[Node, Any]:
    """Walk from the roots, given dL/droot, and return {node: dL/dnode} for the wanted nodes (default: all owned ones).

    With `wanted` only the paths to a wanted node are walked, and with `stop` never behind one. What was saved for the
    gradient is freed as the walk passes, unless `retain_graph`.
    """
    order = newest_first(roots, wanted if stop and wanted else frozenset())
    useful = None if wanted is None else leading_to(wanted, order)
    pending: dict[Node, Any] = {}  # dL/dnode, summed so far
    summed: set[Node] = set()  # nodes whose sum is a buffer made here, so that more may be added in place
    results: dict[Node, Any] = {}

    def arrive(node: Node, g: Any) -> None:
        if node not in pending:
            pending[node] = g
        elif node in summed:
            pending[node] = rules.add_to(pending[node], g)
        else:
            pending[node] = pending[node] + g  # not +=: somebody else may hold the first one
            summed.add(node)

    for root, g in zip(roots, grads, strict=True):
        arrive(root, g)
    for node in order:
        g = pending.pop(node, None)
        if g is None:  # no gradient arrives here
            continue
        if node.hooks:
            g = rules.hooked(node, g)
        if node in wanted if wanted is not None else node.owner is not None:
            results[node] = g
        if node.part is not None:  # g waits in a list at the node that has several outputs
            (parent,) = node.inputs
            parts = pending.setdefault(parent, [None] * len(parent.shape))
            parts[node.part] = g if parts[node.part] is None else parts[node.part] + g
        elif node.plan is not None:
            for parent, g_parent in rules.pull(node, g, useful):
                arrive(parent, g_parent)
            if not retain_graph and node.plan.names:
                node.saved = None
    return results


class Rules:
    """How the walk runs rules on one kind of gradient; `F` holds the primitives for that kind.

    A subclass says what a rule sees of a saved value (`operand`), how the body of a fused primitive is differentiated
    (`through_body`), and how a hook is called (`hooked`).
    """

    operand: Callable[[str, Any, Node], Any]
    through_body: Callable[[Node, Any, dict[str, Any], Sequence[int]], Sequence[Any]]
    hooked: Callable[[Node, Any], Any]
    faster: dict[Callable, Callable] | None = None  # rule -> what the backend runs in its place

    def __init__(self, F: Any, *, graph: bool):
        self.F, self.graph = F, graph  # graph: is the gradient itself recorded?
        self.add_to: Callable = operator.add if graph else operator.iadd
        self.handed: dict[int, Any] = {}  # what leaves have received: no two of them may share a buffer

    def space(self, g: Any) -> Any:
        """The primitives for this gradient; on arrays, those of its device."""
        return self.F

    def spread(self, node: Node, column: Node) -> None:
        """Called for an input (N, 1) that was broadcast."""

    def pull(self, node: Node, g: Any, useful: set[Node] | None) -> Iterable[tuple[Node, Any]]:
        """Run the rules of one node: yields (input node, dL/dinput), in the input's shape and dtype."""
        plan, inputs, F = node.plan, node.inputs, self.space(g)
        primitive = plan.primitive
        if node.saved is None:
            raise GradError(
                f"backward: what {primitive.name} saved for its gradient was freed by an earlier backward() through "
                "the same graph. Pass retain_graph=True to all but the last, or run the forward again; in a loop that "
                "carries a state on, cut the graph there: h = h.detach()."
            )
        if primitive.outputs > 1:
            like = next(p for p in g if p is not None)  # zeros for the other parts belong on its device
            parts = zip(g, node.shape, node.dtype)
            g = tuple(F.zeros(shape=s, dtype=d, like=like) if p is None and d.kind in "fcV" else p for p, s, d in parts)
        values = {**primitive.defaults, **node.params, "F": F, "g": g}
        for name, saved in zip(plan.names, node.saved):
            values[name] = self.operand(name, saved, node)
        if plan.shaped:
            values["shapes"] = primitive.shapes([p.shape for p in inputs])
        for i, g_input in self.gradients(node, g, values, useful):
            parent = inputs[i]
            if parent is None or g_input is None:
                continue
            if g_input.shape != parent.shape:  # the input was broadcast: its copies' gradients add up
                if parent.shape[1:] == (1,):
                    self.spread(node, parent)
                g_input = F.sum_to(g_input, shape=parent.shape)
            if g_input.dtype is not parent.dtype and g_input.dtype != parent.dtype:
                if g_input.dtype.kind == "c" != parent.dtype.kind:
                    g_input = F.real(g_input)  # dL = Re(g dx), and dx is real
                if g_input.dtype != parent.dtype:
                    g_input = F.astype(g_input, dtype=parent.dtype)
            if parent.owner is not None and self.shared(g_input, values):
                g_input = F.copy(g_input)
            yield parent, g_input

    def gradients(self, node: Node, g: Any, values: dict[str, Any], useful: set[Node] | None) -> list[tuple[int, Any]]:
        """[(position, dL/dinput in the broadcast shape)] for the inputs that take part, by rule or through the body."""
        plan, inputs = node.plan, node.inputs
        if plan.body[self.graph]:
            live = [i for i, p in enumerate(inputs) if p is not None and (useful is None or p in useful)]
            return list(zip(live, self.through_body(node, g, values, live)))
        found: list[tuple[int, Any]] = []
        for rule, positions, places in plan.steps:
            if useful is None or any(inputs[i] in useful for i in positions):
                values["i"] = positions[0]
                function = rule.function if self.faster is None else self.faster[rule.function]
                result = function(*map(values.__getitem__, rule.needs))
                if places is None:
                    found.append((positions[0], result))
                else:
                    found += [(i, result[k]) for i, k in zip(positions, places)]
        for i in plan.missing:
            if useful is None or inputs[i] in useful:
                p = plan.primitive
                raise GradError(
                    f"backward: {p.name} has no gradient for {p.input(i)}: {p.no_gradient or 'no rule is declared'}. "
                    "Use .detach() where it should count as a constant."
                )
        return found

    def shared(self, g: Any, values: dict[str, Any]) -> bool:
        """True if somebody else may hold the buffer of `g`: a view, a saved value, the incoming g, another leaf's."""
        mine = getattr(g, "base", None) is None and id(g) not in self.handed
        self.handed[id(g)] = g  # held, so that no later array gets its id
        return not (mine and all(g is not other for other in values.values()))
