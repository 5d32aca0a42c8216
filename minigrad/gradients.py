"""Gradients of tensors: the walk of autograd.py on arrays (``backward()``) and on tensors (``create_graph=True``)."""

from __future__ import annotations

import weakref
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from math import isfinite
from typing import Any

import numpy as np

from . import autograd, halves
from .autograd import Node
from .backend import Backend, backend_of, devices
from .convert import as_array
from .edits import check_output, check_unedited
from .errors import ArgumentError, GradError, ShapeError
from .mistakes import warn_once
from .mode import enable_grad, taping
from .primitive import PRIMITIVES, kind_of
from .tensor import F, Handle, Tensor, apply, leaf, noded, part, wrap


class ArrayRules(autograd.Rules):
    """Rules on raw arrays: the ordinary backward()."""

    def operand(self, name: str, value: Any, node: Node) -> Any:
        if isinstance(value, Tensor):
            if value.storage is not None:
                check_unedited(value, node)
            return value.array
        if name == "y":
            check_output(node)
        if isinstance(value, tuple) and name != "shapes":
            return tuple(self.operand("", v, node) for v in value)
        return value

    def space(self, g: Any) -> Any:
        if type(g) is self.array:
            return self.F
        array = next(part for part in g if part is not None) if isinstance(g, list) else g
        return self.F if isinstance(array, (self.array, np.generic)) else backend_of(array).F

    def spread(self, node: Node, column: Node) -> None:
        n, others = column.shape[0], [p for p in node.inputs if p is not column]
        flat = others == [None] or (len(others) == 1 and others[0].shape == (n,))
        if node.name == "subtract" and node.shape == (n, n) and n > 1 and flat:
            warn_once(
                f"subtract: shapes must agree where values are compared one by one: ({n}, 1) and ({n},) broadcast to "
                f"({n}, {n}), each with every other. Give both one shape: target[:, None] or prediction[:, 0]."
            )

    def lift(self, value: Any) -> Any:
        return wrap(value) if hasattr(value, "shape") else value

    def fresh(self, value: Any) -> Tensor:
        y = wrap(value)
        y.node = leaf(y)
        return y

    def hooked(self, node: Node, g: Any) -> Any:
        F = self.space(g)
        t = given = wrap(F.copy(turned(F, g)))  # hooks may keep or edit what they get
        for hook in list(node.hooks):
            t = _hook_result(hook(t), t)
        return g if t is given else F.copy(turned(F, t.array))

    def through_body(self, node: Node, g: Any, values: dict[str, Any], live: Sequence[int]) -> Sequence[Any]:
        p = node.plan.primitive
        args = [values[name] for name in p.inputs[: len(node.inputs)]]
        args = [*args[:-1], *args[-1]] if p.variadic else args
        with enable_grad():
            tensors = [self.fresh(a) if i in live else self.lift(a) for i, a in enumerate(args)]
            out = p.forward(F, *tensors, **{**p.defaults, **node.params})
        outs = out[: p.outputs] if isinstance(out, tuple) else (out,)
        grads = g if p.outputs > 1 else (g,)
        pairs = [(o.node, d) for o, d in zip(outs, grads) if o.node is not None and d is not None]
        nodes = [tensors[i].node for i in live]
        found = autograd.backward(
            [o for o, _ in pairs],
            [d for _, d in pairs],
            type(self)(self.backend),
            wanted=frozenset(nodes),
            stop=True,
            retain_graph=self.graph,
        )
        return [found.get(n) for n in nodes]

    def __init__(self, backend: Backend):
        super().__init__(backend.F, graph=False)
        one = () if backend.several else backend.array  # the arrays whose primitives are known without asking them
        self.array, self.backend, self.faster = one, backend, backend.rules


class WideRules(ArrayRules):
    """On host arrays of which some are halves: every rule runs in float32; what leaves it is rounded by the walk."""

    def operand(self, name: str, value: Any, node: Node) -> Any:
        value = super().operand(name, value, node)
        if isinstance(value, tuple):
            return value if name == "shapes" else tuple(halves.widened(value))
        return halves.widened((value,))[0]

    def pull(self, node: Node, g: Any, useful: set[Node] | None) -> Any:
        g = halves.widened(g) if isinstance(g, list) else halves.widened((g,))[0]
        with np.errstate(over="ignore", invalid="ignore"):  # beyond 65504 is infinity
            yield from super().pull(node, g, useful)


class DeviceRules(ArrayRules):
    """On arrays of several devices: each rule, and each sum, with the device of its gradient current."""

    def pull(self, node: Node, g: Any, useful: set[Node] | None) -> Any:
        first = next(part for part in g if part is not None) if isinstance(g, list) else g
        with self.where(first).active():
            found = list(super().pull(node, g, useful))
        for parent, g_parent in found:
            with self.where(g_parent).active():
                yield parent, g_parent

    def where(self, g: Any) -> Backend:
        return self.backend if isinstance(g, (np.ndarray, np.generic)) and not self.backend.several else backend_of(g)


class TensorRules(ArrayRules):
    """Rules on tensors: every step is recorded, so that the gradient has a gradient."""

    def operand(self, name: str, value: Any, node: Node) -> Any:
        if isinstance(value, Tensor):
            check_unedited(value, node)
            return value
        if name == "y":
            check_output(node)
            if isinstance(value, tuple):
                ys = tuple(wrap(v) for v in value)
                for k, y in enumerate(ys):
                    y.node = part(node, k) if kind_of(y.dtype) in "fc" else None
                return ys
            y = wrap(value)
            y.node = node
            return y
        if isinstance(value, tuple) and name != "shapes":
            return tuple(self.operand("", v, node) for v in value)
        return wrap(value) if hasattr(value, "shape") else value

    def fresh(self, value: Tensor) -> Tensor:
        y = apply(PRIMITIVES["alias"], value)
        y.node = y.node or leaf(y)
        return y

    def lift(self, value: Any) -> Any:
        return value

    def hooked(self, node: Node, g: Tensor) -> Tensor:
        g = turned(F, g)
        for hook in list(node.hooks):
            g = _hook_result(hook(g), g)
        return turned(F, g)

    def space(self, g: Any) -> Any:
        return self.F

    def __init__(self, backend: Backend):
        autograd.Rules.__init__(self, F, graph=True)
        self.backend = backend


def turned(F: Any, g: Any) -> Any:
    """From the gradient of the walk to the user's, and back: the conjugate, if complex. See autograd.py."""
    return F.conj(g) if g.dtype.kind == "c" else g


def _hook_result(result: Any, g: Tensor) -> Tensor:
    if result is None:
        return g
    result = result if isinstance(result, Tensor) else wrap(as_array(result, g.dtype))
    if result.shape != g.shape:
        raise ShapeError(f"hook: the gradient must keep its shape {g.shape}: the hook returned {result.shape}.")
    return result


def walk(
    outputs: Sequence[Tensor],
    grads: Sequence[Any],
    wanted: list[Node] | None,
    retain_graph: bool | None,
    create_graph: bool,
):
    """Check the arguments of a backward pass, run it, and return ({node: gradient}, the rules it ran with)."""
    roots, seeds = [], []
    for y, g in zip(outputs, grads, strict=True):
        if y.node is None:
            raise GradError(
                "backward: this tensor does not depend on any that requires a gradient, or was computed under "
                "no_grad(). "
                "Create the leaf with requires_grad=True and compute inside enable_grad()."
            )
        if g is None:
            if y.array.size != 1:
                raise GradError(
                    f"backward: only a scalar has a gradient by itself: this tensor is {y.shape}. Call .sum() or "
                    f".mean() first, "
                    "or pass gradient= (dL/dself, of that shape)."
                )
            if y.dtype.kind == "c":
                raise GradError(
                    f"backward: only a real number has a gradient by itself: this one is {y.dtype}. Take .real or "
                    "abs() first, or pass gradient=."
                )
            g = wrap(y.backend.xp.ones_like(y.array))
        else:
            g = g if isinstance(g, Tensor) else wrap(as_array(g, y.dtype))
            if g.shape != y.shape:
                raise ShapeError(f"backward: gradient must have the shape of the output: got {g.shape} for {y.shape}.")
            if g.dtype != y.dtype:
                g = g.astype(y.dtype)
            elif y.node.owner is not None:
                g = F.copy(g)  # it becomes y.grad, which must not share the caller's buffer
        roots.append(y.node)
        seeds.append(turned(F, g) if create_graph else turned(y.backend.F, g.array))
    retain = create_graph if retain_graph is None else retain_graph
    backend = outputs[0].backend
    wide = halves.seen and backend.array is np.ndarray
    on_arrays = DeviceRules if devices.spread else WideRules if wide else ArrayRules
    rules = (TensorRules if create_graph else on_arrays)(backend)
    with taping(create_graph):
        found = autograd.backward(
            roots, seeds, rules, wanted=None if wanted is None else frozenset(wanted), retain_graph=retain
        )
        for node, g in found.items():
            if node.dtype.kind == "c":
                found[node] = rules.space(g).conj(g)
    return found, rules


def grad(
    outputs: Any,
    inputs: Any,
    grad_outputs: Any = None,
    retain_graph: bool | None = None,
    create_graph: bool = False,
    only_inputs: bool = True,
    allow_unused: bool | None = None,
    is_grads_batched: bool = False,
    materialize_grads: bool = False,
) -> tuple[Tensor | None, ...]:
    """The gradients of the outputs (summed, weighted by grad_outputs) for the inputs; no ``.grad`` is touched.

    An input that the outputs do not depend on is an error, unless `allow_unused` (None) or `materialize_grads` (zeros).
    is_grads_batched: grad_outputs are (N, ...), of N vectors, and so are the gradients. only_inputs: must be True.

    >>> x = Tensor(3.0, requires_grad=True)
    >>> (dy,) = grad(x**3, x, create_graph=True)
    >>> grad(dy, x)
    (tensor(18.),)
    """
    outputs = [outputs] if isinstance(outputs, Tensor) else list(outputs)
    inputs = [inputs] if isinstance(inputs, Tensor) else list(inputs)
    if grad_outputs is None:
        grad_outputs = [None] * len(outputs)
    elif not isinstance(grad_outputs, (list, tuple)):
        grad_outputs = [grad_outputs]
    if len(grad_outputs) != len(outputs):
        raise ShapeError(f"grad: one entry of grad_outputs per output: got {len(grad_outputs)} for {len(outputs)}.")
    if not only_inputs:
        raise ArgumentError("grad: only_inputs must be True. backward() adds to the .grad of all leaves.")
    if is_grads_batched:
        options = {"allow_unused": allow_unused, "materialize_grads": materialize_grads}
        return _batched(outputs, inputs, grad_outputs, create_graph=create_graph, **options)
    nodes = [noded(t, "grad") for t in inputs]
    found, _ = walk(outputs, grad_outputs, nodes, retain_graph, create_graph)
    results: list[Tensor | None] = []
    for i, (t, node) in enumerate(zip(inputs, nodes)):
        g = found.get(node)
        if g is None and materialize_grads:
            g = t.backend.xp.zeros_like(t.array)
        if g is None and not allow_unused:
            raise GradError(
                f"grad: the outputs do not depend on input {i} (shape {t.shape}). Pass allow_unused=True to get "
                f"None for it."
            )
        results.append(g if g is None or isinstance(g, Tensor) else wrap(g))
    return tuple(results)


def _batched(outputs: list, inputs: list, grad_outputs: Sequence, **options: Any) -> tuple:
    """`grad` for each of the N vectors in grad_outputs, (N, ...), stacked."""
    counts = [0 if g is None else len(g) for g in grad_outputs]
    if len(set(counts)) != 1 or not counts[0]:
        raise ShapeError(f"grad: with is_grads_batched all grad_outputs must be (N, ...), N > 0: got N of {counts}.")
    rows = [grad(outputs, inputs, [g[i] for g in grad_outputs], retain_graph=True, **options) for i in range(counts[0])]
    return tuple(None if column[0] is None else F.stack(list(column)) for column in zip(*rows))


def backward(
    self: Tensor,
    gradient: Any = None,
    retain_graph: bool | None = None,
    create_graph: bool = False,
    inputs: Sequence[Tensor] | None = None,
) -> None:
    """Add dself/dleaf to ``.grad`` of every leaf (or of `inputs`) that self was computed from.

    gradient: dL/dself, needed unless self has one element; retain_graph: keep what the forward saved, for another
    backward(); create_graph: record the gradient computation itself, for gradients of gradients.
    """
    wanted = None if inputs is None else [noded(t, "backward") for t in inputs]
    if type(self.array) is np.ndarray and self.array.size == 1 and not isfinite(abs(self.array.item())):
        warn_once(
            f"backward: the loss must be finite: it is {self.array.item()}, and its gradients are of no use. "
            "Lower the learning rate, clip gradients, keep log, sqrt and division away from 0 (x + 1e-8); "
            "`with mg.autograd.detect_anomaly():` names the operation that made the first NaN."
        )
    results, rules = walk([self], [gradient], wanted, retain_graph, create_graph)
    if inputs is not None:
        for t, node in zip(inputs, wanted or ()):
            if node in results:
                accumulate(t, results[node], rules)
                if type(node.owner) is Watched:
                    node.owner.tell()
        return
    for node, g in results.items():
        owner = node.owner()
        if owner is not None:
            accumulate(owner, g, rules)
            if type(node.owner) is Watched:
                node.owner.tell()


class Watched(weakref.ref):
    """A leaf, as its node knows it, with the functions to call when its gradient has been added."""

    __slots__ = ("hooks",)
    hooks: list

    def tell(self) -> None:
        for hook in list(self.hooks):
            hook(self())


def register_post_accumulate_grad_hook(self: Tensor, hook: Callable[[Tensor], None]) -> Handle:
    """Call `hook` with this leaf whenever backward() has added to its ``.grad``.

    An optimizer's step as part of backward(): each parameter is updated, and its gradient dropped, by its own hook.

    >>> w = Tensor(3.0, requires_grad=True)
    >>> handle = w.register_post_accumulate_grad_hook(lambda w: print(w.grad))
    >>> (w * w).backward()
    tensor(6.)
    """
    node = noded(self, "register_post_accumulate_grad_hook")
    if not self.is_leaf:
        raise GradError("register_post_accumulate_grad_hook: only leaves collect gradients, this tensor was computed.")
    if type(node.owner) is not Watched:
        node.owner = Watched(self)
        node.owner.hooks = []
    node.owner.hooks.append(hook)
    return Handle(node.owner.hooks, hook)


def accumulate(t: Tensor, g: Any, rules: ArrayRules) -> None:
    """t.grad += g; in place unless somebody may differentiate it."""
    if t._grad is None:
        t._grad = g if isinstance(g, Tensor) else wrap(g)
    elif rules.graph or t._grad.node is not None:
        t._grad = t._grad + g
    else:
        with t.backend.active() if devices.spread else nullcontext():
            t._grad.array = rules.add_to(t._grad.array, g)


setattr(Tensor, "backward", backward)  # noqa: B010  declared in Tensor for type checkers
setattr(Tensor, "register_post_accumulate_grad_hook", register_post_accumulate_grad_hook)  # noqa: B010
