"""Forward mode: a number and its derivative along one direction travel together.

On a jvp's level arrays are `Dual`: primal and tangent. A primitive's tangent comes from, in this order,
  its `jvp` rule;
  its gradient rules, if it is elementwise: its Jacobian is diagonal, so J t is the rule applied to t;
  its body, if it is fused;
  its gradient rules, transposed: they compute J^T g, which is linear in g, so the gradient of <J^T g, t> for g is J t.
Nothing outlives the primitive it belongs to: memory stays twice that of the function itself.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from .. import autograd
from ..autograd import Node
from ..errors import ShapeError
from ..gradients import ArrayRules, TensorRules
from ..mode import MODE, taping
from ..primitive import PRIMITIVES, Primitive, kind_of
from ..tensor import F, Tensor, apply, leaf, wrap
from .levels import BACKEND, Level, StandIn, inside, level_of, lifted


class Dual(StandIn):
    """A primal and a tangent, tensors of lower levels; tangent None is zero."""

    __slots__ = ("primal", "tangent")

    def __init__(self, level: Level, primal: Tensor, tangent: Tensor | None):
        self.level, self.primal, self.tangent = level, primal, tangent
        self.shape, self.dtype, self.base = primal.shape, primal.dtype, None

    def physical(self) -> Any:
        return self.primal

    def stopped(self) -> Dual:
        return Dual(self.level, self.primal.detach(), None)

    def to_host(self) -> Any:
        return self.primal.numpy()


class JvpLevel(Level):
    what = "jvp"

    def constant(self, value: Tensor) -> Dual:
        return Dual(self, value, None)

    def run(self, prim: Primitive, operands: Sequence, params: dict) -> Any:
        primals: list[Any] = []
        tangents: list[Tensor | None] = []
        for a in operands:
            mine = isinstance(a, Dual) and a.level is self
            tangents.append(a.tangent if mine else None)
            primals.append(a.primal if mine else wrap(a) if hasattr(a, "shape") and not isinstance(a, Tensor) else a)
        rule = tangent_rule(prim, primals, tangents)
        if rule is None and any(t is not None for t in tangents):  # through the body
            return self.body(prim, operands, params)
        with inside(self.below()):
            if rule is None:
                y = apply(prim, *primals, **params)
                dy: Any = (None,) * len(y) if isinstance(y, tuple) else None
            else:
                y, dy = rule(prim, primals, tangents, params)
        if isinstance(y, tuple):
            return tuple(self.dual(p, t) for p, t in zip(y, dy))
        return self.dual(y, dy)

    def dual(self, y: Tensor, dy: Tensor | None) -> Dual:
        return Dual(self, y, dy if kind_of(y.dtype) in "fc" else None)


Rule = Callable[[Primitive, list, list, dict], tuple]


def tangent_rule(prim: Primitive, primals: list, tangents: list) -> Rule | None:
    """How (y, dy) are computed; None: there is no tangent to compute, or the body serves."""
    live = [i for i, t in enumerate(tangents) if t is not None]
    if not live or prim.no_gradient or prim.kind in ("bool", "index"):
        return (lambda p, x, t, params: undifferentiated(p, x, params)) if live else None
    if (jvp := prim.jvp) is not None:
        return lambda p, x, t, params: jvp(F, x, t, **params)
    rules = [prim.rules.get(prim.input(i)) for i in live]
    if prim.inline and all(r is not None and len(r.of) == 1 for r in rules):
        return transposed if any(tangents[i].dtype.kind == "c" for i in live) else diagonal
    return None if prim.fused else transposed


def undifferentiated(prim: Primitive, primals: list, params: dict) -> tuple:
    y = apply(prim, *primals, **params)
    return y, (None,) * len(y) if isinstance(y, tuple) else None


def diagonal(prim: Primitive, primals: list, tangents: list, params: dict) -> tuple[Tensor, Tensor | None]:
    """Elementwise: dy = sum of dy/dx_i t_i, each by x_i's own rule, since a diagonal Jacobian is its transpose."""
    y = apply(prim, *primals, **params)
    values = {**prim.defaults, **params, **dict(zip(prim.inputs, primals)), "F": F, "y": y}
    values["shapes"] = prim.Shapes(*(getattr(x, "shape", None) for x in primals))
    dy = None
    for i, t in enumerate(tangents):
        if t is not None:
            values["g"] = t
            rule = prim.rules[prim.inputs[i]]
            part = rule.function(*[values[name] for name in rule.needs])
            if part.dtype.kind == "c":  # of a complex derivative, reverse mode takes the part that is real
                return transposed(prim, primals, tangents, params)
            dy = part if dy is None else dy + part
    assert dy is not None
    dy = dy if dy.shape == y.shape else F.broadcast_to(dy, y.shape)
    return y, dy if dy.dtype == y.dtype else dy.astype(y.dtype)


def transposed(prim: Primitive, primals: list, tangents: list, params: dict) -> tuple[Any, Any]:
    """dy = J t as the gradient of <J^T g, t> for g, at any g: J^T g, by the rules, is linear in g."""
    y, dy = push(lambda *x: apply(prim, *x, **params), primals, tangents)
    return y, dy


def push(f: Callable, primals: Sequence, tangents: Sequence) -> tuple[Any, Any]:
    """(f(x), J t) for an f of tensors (or numbers) that returns a tensor or a tuple of them; tangent None is zero."""
    outer = MODE.get().recording
    level = level_of([x for x in primals if x is not None])
    xs, nodes = entered(primals, [i for i, t in enumerate(tangents) if t is not None], level, outer)
    with inside(MODE.get().but(recording=True)):
        y = f(*xs)
        ys = y if isinstance(y, tuple) else (y,)
        linear = Linear(ys, list(nodes.values()))
    recorded = outer and any(isinstance(a, Tensor) and a.node is not None for a in (*primals, *tangents))
    found = linear([tangents[i] for i in nodes], recorded)
    if not recorded:
        ys = tuple(wrap(o.array) for o in ys)
    return (ys, tuple(found)) if isinstance(y, tuple) else (ys[0], found[0])


def entered(values: Sequence, live: Sequence[int], level: Level | None, outer: bool) -> tuple[list, dict[int, Node]]:
    """The values, those at `live` as fresh tensors of the level, and the nodes of these: {position: node}. Where
    `outer` is True they stay connected to what the values depend on."""
    xs, nodes = list(values), {}
    for i in live:
        x = lifted(values[i], level)
        if outer and x.node is not None:
            xs[i] = apply(PRIMITIVES["alias"], x)
        else:
            xs[i] = wrap(x.array)
            xs[i].node = leaf(xs[i])
        nodes[i] = xs[i].node
    return xs, nodes


class Linear:
    """The map t -> J t of outputs ys for the inputs at `nodes`, recorded once, to be applied to any tangents."""

    def __init__(self, ys: Sequence[Tensor], nodes: Sequence[Node]):
        self.nodes, self.count = nodes, len(ys)
        live = [k for k, y in enumerate(ys) if y.node is not None]
        self.seeds: dict[int, Tensor] = {}
        for k in live:
            g = lifted(F.zeros_like(ys[k].detach()), level_of([ys[k]]))
            g = wrap(g.array)
            g.node = leaf(g)
            self.seeds[k] = g
        pulled = pull([ys[k] for k in live], list(self.seeds.values()), nodes, graph=True) if live else {}
        self.pulled = {n: u.node for n, u in pulled.items() if u.node is not None}  # those that depend on g

    def __call__(self, tangents: Sequence[Tensor | None], graph: bool) -> list[Tensor | None]:
        pairs = [(self.pulled[n], t) for n, t in zip(self.nodes, tangents) if t is not None and n in self.pulled]
        if not pairs:
            return [None] * self.count
        wanted = [g.node for g in self.seeds.values()]
        found = walk([n for n, _ in pairs], [t for _, t in pairs], wanted, graph=graph)
        return [found.get(self.seeds[k].node) if k in self.seeds else None for k in range(self.count)]


def pull(ys: Sequence[Tensor], gs: Sequence[Tensor], nodes: Sequence[Node], *, graph: bool) -> dict[Node, Tensor]:
    """{node: J^T g} for outputs ys with dL/dy = gs, as the walk has them (see `gradients.turned`); recorded if `graph`.
    What was saved stays."""
    pairs = [(y, g) for y, g in zip(ys, gs) if y.node is not None]
    for y, g in pairs:
        if g.shape != y.shape:
            raise ShapeError(f"vjp: the cotangent must have the shape of the output: got {g.shape} for {y.shape}.")
    return walk([y.node for y, _ in pairs], [g for _, g in pairs], nodes, graph=graph)


def walk(roots: Sequence[Node], gs: Sequence[Tensor], wanted: Sequence[Node], *, graph: bool) -> dict[Node, Tensor]:
    """autograd.backward from the roots with dL/droot = gs, on arrays, or on tensors if `graph`."""
    if not roots:
        return {}
    gs = [g if g.dtype == n.dtype else g.astype(n.dtype) for n, g in zip(roots, gs)]
    stand_ins = any(isinstance(g.array, StandIn) for g in gs) or bool(MODE.get().levels)
    rules = (TensorRules if graph else ArrayRules)(BACKEND if stand_ins else gs[0].backend)
    with taping(graph):
        found = autograd.backward(
            roots,
            list(gs) if graph else [g.array for g in gs],
            rules,
            wanted=frozenset(wanted),
            stop=True,
            retain_graph=True,
        )
    return {n: g if isinstance(g, Tensor) else wrap(g) for n, g in found.items()}
