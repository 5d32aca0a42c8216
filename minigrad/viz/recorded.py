"""What the engine recorded, as boxes: operations, leaves and constants, what they keep, their values and gradients."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from .. import autograd
from ..autograd import Node, newest_first
from ..backend import Backend
from ..errors import ArgumentError, GradError
from ..gradients import ArrayRules
from ..mode import enable_grad, no_grad
from ..nn.module import Module
from ..tensor import F, Tensor, apply, leaf, wrap

SMALL = 4  # a tensor of so many elements is written out


class Box:
    """One operation, leaf or constant. inputs: the numbers of the boxes it is made of, in the order of its inputs."""

    def __init__(self, kind: str, op: str, shape: Any, dtype: Any):
        self.kind, self.op = kind, op  # kind: "operation", "fused", "leaf" or "constant"
        self.shape, self.dtype = shape, dtype
        self.name = ""  # of the parameter or variable
        self.about = ""  # the first line of the operation's doc
        self.inputs: list[int] = []
        self.keeps: list[tuple[str, int]] = []  # (what is saved for the gradient, bytes)
        self.freed = False  # a backward() has passed
        self.value: np.ndarray | None = None  # if known, and small
        self.gradient: np.ndarray | None = None
        self.hands: list[np.ndarray | None] = []  # for each of `inputs` the gradient it receives from here
        self.inside: Recorded | None = None  # the body of a fused operation

    @property
    def title(self) -> str:
        if self.kind in ("leaf", "constant"):
            return self.name or self.kind
        return f"{self.name} = {self.op}" if self.name else self.op

    def __repr__(self) -> str:
        return f"<Box {self.title} {self.shape}>"


class Recorded:
    """The boxes of a graph, each after those it is made of, and the bytes kept for its gradient."""

    def __init__(
        self,
        outputs: Sequence[Tensor],
        named: Iterable[tuple[str, Tensor]] = (),
        *,
        values: bool = True,
        gradients: bool = False,
        bodies: bool = False,
        stops: frozenset[Node] = frozenset(),
    ):
        roots = [_whole(t.node) for t in outputs]
        self.nodes = [n for n in newest_first(roots, stops) if n.part is None][::-1]  # oldest first
        self.tensors: dict[Node, Any] = {}  # whose values are known
        self.names: dict[Any, str] = {}  # of nodes, and of the ids of constants' arrays
        for name, t in named:
            self.names.setdefault(id(t.array) if t.node is None else t.node, name)
            self._know(t)
        for t in outputs:
            self._know(t)
        self.boxes: list[Box] = []
        self.number: dict[Any, int] = {}  # of the box of a node, or of a constant's array
        self.buffers: dict[int, tuple[int, bool]] = {}  # kept for the gradient: id -> (bytes, is it a leaf's)
        self.stops = stops
        self._read_saved()
        for node in self.nodes:
            self._box(node, bodies)
        self.outputs = [self.number[n] for n in roots]
        if values:
            for node in self.nodes:
                if _size(node.shape) <= SMALL:
                    self.boxes[self.number[node]].value = _host(self.value(node))
        if gradients:
            self._differentiate(outputs)

    @property
    def saved_bytes(self) -> int:
        """Of the arrays kept for the gradient, each counted once; parameters and other leaves, which are there anyway,
        not."""
        return sum(n for n, is_leaf in self.buffers.values() if not is_leaf)

    # -- boxes -----------------------------------------------------------------------------------------------------
    def _box(self, node: Node, bodies: bool) -> None:
        leaf_or_stop = node.plan is None or node in self.stops
        if leaf_or_stop:
            box = Box("leaf", "leaf", node.shape, node.dtype)
        else:
            p = node.plan.primitive
            box = Box("fused" if p.fused and not p.inline else "operation", p.name, node.shape, node.dtype)
            box.about, box.freed = p.doc.partition("\n")[0], node.saved is None
            called: dict[str, str] = {}  # what the inputs are called that have a name of their own
            for i, parent in enumerate(node.inputs):
                place = self.number[_whole(parent)] if parent is not None else self._constant(node, i)
                if place is not None:
                    box.inputs.append(place)
                    called[p.input(i)] = self.boxes[place].name or p.input(i)
            for name, saved in zip(node.plan.names, node.saved or ()):
                arrays = [a for a in map(_array, _flat(saved)) if a is not None] if name != "shapes" else []
                if arrays:
                    what = "its output" if name == "y" else called.get(name, name)
                    box.keeps.append((what, sum(a.nbytes for a in arrays)))
            if bodies and box.kind == "fused":
                box.inside = self._body(node)
        box.name = self.names.get(node, "")
        self.number[node] = len(self.boxes)
        self.boxes.append(box)

    def _constant(self, node: Node, i: int) -> int | None:
        """The box of an input that takes no part in the gradient; None for one that was left out."""
        p = node.plan.primitive
        name = p.input(i)
        value = self.constant(node, i)
        if value is None and name in p.optional:  # left out, or not kept: nobody knows
            return None
        array = _array(value)
        key = (node, i) if array is None else id(array)
        if key not in self.number:
            box = Box("constant", name, getattr(array, "shape", None), getattr(array, "dtype", None))
            box.name = self.names.get(key, "") or (
                name if len(name) > 1 else "constant"
            )  # not a and b: they may be others
            if array is None or array.size <= SMALL:
                box.value = _host(value)
            self.number[key] = len(self.boxes)
            self.boxes.append(box)
        return self.number[key]

    # -- values ----------------------------------------------------------------------------------------------------
    def _know(self, t: Any) -> None:
        if isinstance(t, Tensor) and t.node is not None:
            self.tensors.setdefault(t.node, t)

    def _read_saved(self) -> None:
        leaves = set()
        for node in self.nodes:
            owner = node.owner() if node.plan is None and node.owner is not None else None
            if owner is not None:
                self._know(owner)
                leaves.add(id(_root(owner.array)))
        for node in self.nodes:
            if node.plan is None or node.saved is None:
                continue
            for name, saved in zip(node.plan.names, node.saved):
                if name == "y":
                    self.tensors.setdefault(node, _lift(saved))
                for item in _flat(saved) if name != "shapes" else ():
                    self._know(item)
                    if (array := _array(item)) is not None:
                        root = _root(array)
                        self.buffers[id(root)] = (root.nbytes, id(root) in leaves)

    def constant(self, node: Node, i: int) -> Any:
        """Input i of a node as it was saved; None if it was not."""
        p = node.plan.primitive
        if p.input(i) not in node.plan.names or node.saved is None:
            return None
        saved = node.saved[node.plan.names.index(p.input(i))]
        variadic = p.variadic and i >= len(p.inputs) - 1
        return saved[i - len(p.inputs) + 1] if variadic else saved

    def value(self, node: Node) -> Any:
        """The output of a node, a Tensor or several: known from what refers to it, or computed again; else None."""
        if node in self.tensors:
            return self.tensors[node]
        if node.part is not None:
            whole = self.value(_whole(node))
            found = whole[node.part] if isinstance(whole, tuple) else None
        else:
            found = self._again(node)
        self.tensors[node] = found
        return found

    def _again(self, node: Node) -> Any:
        waiting = [node]  # not by recursion: graphs are deeper than Python's stack
        while waiting:
            n = waiting[-1]
            missing = [q for q in n.inputs if q is not None and q not in self.tensors]
            if n.plan is None:
                self.tensors[waiting.pop()] = None
            elif missing and n.part is None:
                waiting += [_whole(q) if q.part is not None and _whole(q) not in self.tensors else q for q in missing]
            else:
                self.tensors[waiting.pop()] = self._run(n)
        return self.tensors[node]

    def _run(self, node: Node) -> Any:
        if node.part is not None:
            whole = self.tensors.get(_whole(node))
            return whole[node.part] if isinstance(whole, tuple) else None
        args = self.arguments(node)
        if args is None:
            return None
        try:
            with no_grad():
                return apply(node.plan.primitive, *args, **node.params)
        except Exception:  # what cannot be computed again is not shown
            return None

    def arguments(self, node: Node) -> list | None:
        """The inputs of a node, if all are known."""
        p, args = node.plan.primitive, []
        for i, parent in enumerate(node.inputs):
            value = self.value(parent) if parent is not None else self.constant(node, i)
            if value is None and (parent is not None or p.input(i) not in p.optional):
                return None
            args.append(value.detach() if isinstance(value, Tensor) else value)
        return args

    # -- bodies ----------------------------------------------------------------------------------------------------
    def _body(self, node: Node) -> Recorded | None:
        """The graph of the body of a fused operation, from its inputs as leaves."""
        args = self.arguments(node)
        if args is None:
            return None
        p, named, fresh = node.plan.primitive, [], []
        for i, (a, parent) in enumerate(zip(args, node.inputs)):
            if isinstance(a, Tensor) and parent is not None:
                a = wrap(a.array)
                a.node = leaf(a)
            if isinstance(a, Tensor):
                named.append((p.input(i), a))
            fresh.append(a)
        try:
            with enable_grad():
                out = p.forward(F, *fresh, **{**p.defaults, **node.params})
        except Exception:
            return None
        outs = [o for o in (out if isinstance(out, tuple) else (out,))[: p.outputs] if o.node is not None]
        return (
            Recorded(outs, named, values=False, stops=frozenset(t.node for _, t in named if t.node)) if outs else None
        )

    # -- gradients -------------------------------------------------------------------------------------------------
    def _differentiate(self, outputs: Sequence[Tensor]) -> None:
        if len(outputs) != 1 or outputs[0].size != 1:
            came = ", ".join(str(t.shape) for t in outputs)
            raise GradError(f"graph: only a scalar has a gradient by itself: got {came}. Pass loss.sum() or .mean().")
        output = outputs[0]
        rules = Noting(output.backend)
        seed = output.backend.xp.ones_like(output.array)
        with no_grad():
            found = autograd.backward([output.node], [seed], rules, wanted=frozenset(self.nodes), retain_graph=True)
        for node in self.nodes:
            box = self.boxes[self.number[node]]
            g = found.get(node)
            if g is not None and not isinstance(g, list):
                box.gradient = _host(g)
            if node.plan is None:
                continue
            given: dict[int, list] = {}
            for parent, g_parent in rules.given.get(node, ()):
                given.setdefault(self.number[_whole(parent)], []).append(g_parent)
            box.hands = [given[i].pop(0) if given.get(i) else None for i in box.inputs]


class Noting(ArrayRules):
    """The ordinary rules, with a note of who hands which gradient to whom."""

    def __init__(self, backend: Backend):
        super().__init__(backend)
        self.given: dict[Node, list] = {}

    def pull(self, node: Node, g: Any, useful: set[Node] | None) -> Iterable[tuple[Node, Any]]:
        for parent, g_parent in super().pull(node, g, useful):
            if _size(g_parent.shape) <= SMALL:  # a copy: where several meet, the walk may add into a buffer
                self.given.setdefault(node, []).append((parent, np.array(_host(g_parent))))
            yield parent, g_parent


def named_tensors(params: Any, variables: Mapping[str, Any]) -> list[tuple[str, Tensor]]:
    """(name, tensor): those of `params`, then what the caller's variables are called."""
    found: list[tuple[str, Tensor]] = []
    if isinstance(params, Module):
        found += params.named_parameters()
    elif isinstance(params, Mapping):
        found += params.items()
    elif params is not None:
        found += list(params)
    if wrong := [name for name, t in found if not isinstance(t, Tensor)]:
        raise ArgumentError(f"graph: params must be a Module, or {{name: Tensor}}: {wrong[0]!r} is no Tensor.")
    modules = {name: m for name, m in variables.items() if isinstance(m, Module) and not name.startswith("_")}
    for name, module in modules.items():
        prefix = f"{name}." if len(modules) > 1 else ""
        found += [(prefix + path, t) for path, t in module.named_parameters()]
    shown = {name: value for name, value in variables.items() if not name.startswith("_")}
    return found + [pair for name, value in shown.items() for pair in _called(name, value)]


def _called(name: str, value: Any, depth: int = 2) -> Iterator[tuple[str, Tensor]]:
    """x, or for lists of tensors x[0], x[1] ..., also of lists."""
    if isinstance(value, Tensor):
        yield name, value
    elif isinstance(value, (list, tuple)) and depth:
        for i, item in enumerate(value[:100]):
            yield from _called(f"{name}[{i}]", item, depth - 1)


def _whole(node: Any) -> Any:
    """The node that has the several outputs of which this is one."""
    return node.inputs[0] if node.part is not None else node


def _flat(value: Any) -> tuple:
    return value if isinstance(value, tuple) else (value,)


def _lift(value: Any) -> Any:
    return tuple(map(_lift, value)) if isinstance(value, tuple) else value if isinstance(value, Tensor) else wrap(value)


def _array(value: Any) -> Any:
    array = value.array if isinstance(value, Tensor) else value
    return array if hasattr(array, "nbytes") else None


def _root(array: Any) -> Any:
    """The array that owns the buffer."""
    while getattr(getattr(array, "base", None), "nbytes", None) is not None and hasattr(array.base, "dtype"):
        array = array.base
    return array


def _size(shape: Any) -> float:
    """How many elements; infinitely many for the shapes of several outputs, which are not written out."""
    return math.prod(shape) if all(isinstance(n, int) for n in shape) else math.inf


def _host(value: Any) -> np.ndarray | None:
    """An array of the host; None for several outputs and for what is unknown."""
    if value is None or isinstance(value, tuple):
        return None
    t = value if isinstance(value, Tensor) else wrap(value) if hasattr(value, "shape") else None
    return np.asarray(value) if t is None else t.detach().numpy()
