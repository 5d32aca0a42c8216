"""Functions with derivative rules of the user's own, for the transforms, and the function whose derivative is zero."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import Any

from ..autograd import Node
from ..custom import Context
from ..errors import ArgumentError, GradError
from ..gradients import turned
from ..mode import MODE, taping
from ..primitive import Plan, Rule, Step, kind_of
from ..tensor import F, Tensor, part, wrap
from .arguments import as_tensor, is_array
from .batching import Batched, VmapLevel
from .forward import Dual, JvpLevel, entered, pull, push
from .levels import Level, StandIn, inside, level_of, lifted, lowered
from .mapped import vmap
from .tree import TreeDef, tree_flatten, tree_map


def stop_gradient(x: Any) -> Any:
    """x, with derivative zero in all transforms: a constant from here on. A tree or a tensor. jax.lax.stop_gradient.

    >>> from minigrad import func
    >>> func.grad(lambda x: x * func.stop_gradient(x))(3.0)
    tensor(3.)
    """
    return tree_map(lambda t: t.detach() if isinstance(t, Tensor) else t, x)


class Recorded:
    """Stands for a primitive in a node whose rule is a Python function."""

    def __init__(self, name: str, count: int, outputs: int):
        self.name, self.outputs, self.no_gradient = name, outputs, ""
        self.defaults: dict[str, Any] = {}
        self.inputs = tuple(f"x{i}" for i in range(count))

    def input(self, i: int) -> str:
        return self.inputs[i]


def recorded(name: str, parents: Sequence[Node], ys: Sequence[Tensor], rule: Callable) -> None:
    """Put the tensors ys on the tape, as made from `parents`: ``rule(gs, graph)`` gives the gradients of these, raw or,
    where graph is True, as tensors, from those of ys (None: zero)."""
    ys = list(ys)

    def run(g: Any) -> Any:
        gs = g if len(ys) > 1 else (g,)
        graph = isinstance(next(d for d in gs if d is not None), Tensor)
        gs = [d if d is None or isinstance(d, Tensor) else wrap(d) for d in gs]
        found = [d if d is None or graph else d.array for d in rule(gs, graph)]
        return found if len(parents) > 1 else found[0]

    like = Recorded(name, len(parents), len(ys))
    live = tuple(range(len(parents)))
    plan = Plan(
        like, (Step(Rule(like.inputs, run, ("g",)), live, live if len(parents) > 1 else None),), (), lambda v: ()
    )
    node = Node(plan, parents, (), {}, ys[0].shape, ys[0].dtype)
    if len(ys) > 1:
        node.shape, node.dtype = tuple(y.shape for y in ys), tuple(y.dtype for y in ys)
    for k, y in enumerate(ys):
        if kind_of(y.dtype) in "fc":
            y.node = node if len(ys) == 1 else part(node, k)


class Custom:
    """A function of tensors with rules, on flat lists: how it is called on each level.

    forward(xs) -> ys. A subclass gives `differentiated(xs, parents)`, which records on a tape, `tangent(xs, ts)` for
    forward mode, and `mapped(axes, size, randomness)`, itself over a batch.
    """

    name = "custom"
    forward: Callable[[list], list]

    def __call__(self, xs: list) -> list:
        mode = MODE.get()
        level = level_of(xs) if mode.levels else None
        depth = 0 if level is None else level.depth
        while len(mode.levels) > depth:
            mode = lowered(mode)
        with inside(mode):
            mine = [x for x in xs if level is None or (isinstance(x.array, StandIn) and x.array.level is level)]
            if mode.recording and any(x.node is not None for x in mine):
                return self.differentiated([lifted(x, level) for x in xs])
            return self.forward(xs) if level is None else self.below(xs, level)

    def below(self, xs: list, level: Level) -> list:
        """On a level, off its tape: what the level makes of it, one level lower."""
        held = [x.array if isinstance(x.array, StandIn) and x.array.level is level else x for x in xs]
        if isinstance(level, JvpLevel):
            primals = [a.primal if isinstance(a, Dual) else a for a in held]
            tangents = [a.tangent if isinstance(a, Dual) else None for a in held]
            with inside(level.below()):
                if all(t is None for t in tangents):
                    ys, dys = self(primals), None
                else:
                    ys, dys = self.tangent(primals, tangents)
            return [wrap(level.dual(y, None if dys is None else dys[k])) for k, y in enumerate(ys)]
        assert isinstance(level, VmapLevel)
        values = [a.value if isinstance(a, Batched) else a for a in held]
        axes = tuple(0 if isinstance(a, Batched) and a.batched else None for a in held)
        with inside(level.below()):
            if all(a is None for a in axes):
                return [wrap(level.constant(y)) for y in self(values)]
            ys = self.mapped(axes, level)(values)
        return [wrap(Batched(level, y)) for y in ys]

    def differentiated(self, xs: list) -> list:
        raise NotImplementedError

    def tangent(self, xs: list, ts: list) -> tuple[list, list]:
        raise NotImplementedError

    def mapped(self, axes: tuple, level: VmapLevel) -> Custom:
        raise NotImplementedError


def _vmapped(f: Callable, axes: Any, level: VmapLevel) -> Callable:
    """f, of one list, over a batch; `axes` for its members."""
    g = vmap(lambda *xs: f(list(xs)), axes, 0, level.randomness)
    return lambda xs: list(g(*xs))


class ByPullback(Custom):
    """forward(xs) -> ys, save(xs) -> (ys, residuals), and back(residuals, gs) -> gradients, all flat."""

    def __init__(self, name: str, forward: Callable, save: Callable, back: Callable):
        self.name, self.forward, self.save, self.back = name, forward, save, back

    def differentiated(self, xs: list) -> list:
        off = [wrap(x.array) for x in xs]
        with taping(False):
            ys, saved = self.save(off)
        ys = [wrap(y.array) for y in ys]
        live = [i for i, x in enumerate(xs) if x.node is not None]

        def rule(gs: list, graph: bool) -> list:
            # recorded again where the gradient has a gradient: what is saved then depends on the inputs
            rest = self.save(xs)[1] if graph else saved
            gs = [F.zeros_like(y) if g is None else turned(F, g) for y, g in zip(ys, gs)]
            found = self.back(rest, gs)
            return [turned(F, found[i]) for i in live]

        recorded(self.name, [xs[i].node for i in live], ys, rule)
        return ys

    def tangent(self, xs: list, ts: list) -> tuple[list, list]:
        """The pullback transposed: it is linear in g."""
        ys, dys = push(lambda *xs: tuple(self(list(xs))), xs, ts)
        return list(ys), list(dys)

    def mapped(self, axes: tuple, level: VmapLevel) -> Custom:
        """Where an input is shared by all samples, its gradient is the sum of theirs."""

        def back(saved: list, gs: list) -> list:
            found = _vmapped(lambda both: self.back(both[0], both[1]), (0, 0), level)([saved, gs])
            return [g if a is not None else F.sum(g, axis=0) for g, a in zip(found, axes)]

        def save(xs: list) -> tuple:
            return vmap(lambda *xs: self.save(list(xs)), axes, 0, level.randomness)(*xs)

        return ByPullback(self.name, _vmapped(self.forward, axes, level), save, back)


class ByTangent(Custom):
    """forward(xs) -> ys and rule(xs, ts) -> (ys, dys), flat."""

    def __init__(self, name: str, forward: Callable, rule: Callable):
        self.name, self.forward, self.rule = name, forward, rule

    def tangent(self, xs: list, ts: list) -> tuple[list, list]:
        return self.rule(xs, [F.zeros_like(x.detach()) if t is None else t for x, t in zip(xs, ts)])

    def differentiated(self, xs: list) -> list:
        """J^T g as the gradient of <dy, g> for t: dy is linear in t."""
        with taping(False):
            ys = [wrap(y.array) for y in self.forward([wrap(x.array) for x in xs])]
        live = [i for i, x in enumerate(xs) if x.node is not None]

        def rule(gs: list, graph: bool) -> list:
            level = level_of(xs)
            inputs = xs if graph else [wrap(x.array) for x in xs]
            zeros = [lifted(F.zeros_like(wrap(x.array)), level) for x in xs]
            ts, nodes = entered(zeros, live, level, False)
            with inside(MODE.get().but(recording=True)):
                dys = self.rule(inputs, ts)[1]
            pairs = [(dy, g) for dy, g in zip(dys, gs) if g is not None]
            found = pull([dy for dy, _ in pairs], [g for _, g in pairs], list(nodes.values()), graph=graph)
            return [found.get(nodes[i]) for i in live]

        recorded(self.name, [xs[i].node for i in live], ys, rule)
        return ys

    def mapped(self, axes: tuple, level: VmapLevel) -> Custom:
        def rule(xs: list, ts: list) -> tuple:
            size = next(x.shape[0] for x, a in zip(xs, axes) if a is not None)
            ts = [t if a is not None else F.broadcast_to(t, (size, *t.shape)) for t, a in zip(ts, axes)]
            g = vmap(lambda xs, ts: self.rule(list(xs), list(ts)), (axes, 0), 0, level.randomness)
            return g(tuple(xs), tuple(ts))

        return ByTangent(self.name, _vmapped(self.forward, axes, level), rule)


class _Ruled:
    """What custom_vjp and custom_jvp share: the arguments flat, those of nondiff_argnums and non-arrays fixed."""

    def __init__(self, fun: Callable, nondiff_argnums: int | Sequence[int] = ()):
        functools.update_wrapper(self, fun)
        self.fun = fun
        self.fixed = tuple(nondiff_argnums) if isinstance(nondiff_argnums, (tuple, list)) else (nondiff_argnums,)
        self.name = getattr(fun, "__name__", "custom")

    def __get__(self, owner: Any, cls: type | None = None) -> Any:
        return self if owner is None else functools.partial(self, owner)

    def __call__(self, *args: Any) -> Any:
        if missing := [n for n in self.fixed if not 0 <= n < len(args)]:
            raise ArgumentError(f"{self.name}: nondiff_argnums names argument {missing[0]}; {len(args)} were given.")
        moving = [n for n in range(len(args)) if n not in self.fixed]
        leaves, structure = tree_flatten([args[n] for n in moving])
        places = [i for i, x in enumerate(leaves) if is_array(x) and not isinstance(x, (bool, str))]
        xs = [as_tensor(leaves[i], f"{self.name}: argument") for i in places]
        made: list[TreeDef] = []  # the structure of the output, known after the first run

        def whole(values: Sequence, others: Sequence = leaves) -> list:
            """The differentiable arguments with these tensors at their places."""
            full = list(others)
            for i, v in zip(places, values):
                full[i] = v
            return structure.unflatten(full)

        def call(values: Sequence) -> list:
            full = list(args)
            for n, a in zip(moving, whole(values)):
                full[n] = a
            return self.flat(self.fun(*full), made)

        fixed = [args[n] for n in self.fixed]
        ys = self.ruled(call, whole, fixed, structure, places, made, args, moving)(xs)
        return made[0].unflatten(ys)

    def flat(self, result: Any, made: list) -> list:
        outputs, structure = tree_flatten(result)
        made[:] = [structure]
        return [as_tensor(y, f"{self.name}: output") for y in outputs]

    def ruled(self, *parts: Any) -> Custom:
        raise NotImplementedError


class custom_vjp(_Ruled):
    """A function with a pullback of its own, as jax.custom_vjp: ``f.defvjp(forward, backward)`` with

        forward(*args) -> (output, residuals)       backward(*nondiff, residuals, g) -> a tuple, dL/darg for each other

    nondiff_argnums: arguments without a gradient, given to backward first. A None in the tuple is a zero gradient.
    Forward mode takes the pullback's transpose (JAX refuses); derivatives of derivatives are those of both functions.
    PyTorch's way, with a context, is `minigrad.Function`.

    >>> import minigrad as mg
    >>> from minigrad import func
    >>> @func.custom_vjp
    ... def clipped(x):
    ...     return x
    >>> clipped.defvjp(lambda x: (x, None), lambda _, g: (mg.clip(g, -1.0, 1.0),))
    >>> func.grad(lambda x: 10 * clipped(x))(2.0)
    tensor(1.)
    """

    forward: Callable | None = None
    backward: Callable | None = None

    def defvjp(self, forward: Callable, backward: Callable) -> None:
        self.forward, self.backward = forward, backward

    def ruled(
        self, call: Callable, whole: Callable, fixed: list, structure: TreeDef, places: list, made: list, args: tuple,
        moving: list,
    ) -> Custom:  # fmt: skip
        forward, backward = self.forward, self.backward
        rest: list[Any] = []  # of what forward saves, all but the tensors
        if forward is None or backward is None:
            raise GradError(f"{self.name}: custom_vjp has no rules yet. Call {self.name}.defvjp(forward, backward).")

        inputs = tree_flatten([args[n] for n in moving])[0]
        specs = [(x.shape, x.dtype) for x in (as_tensor(inputs[i], self.name) for i in places)]

        def save(values: Sequence) -> tuple[list, list]:
            full = list(args)
            for n, a in zip(moving, whole(values)):
                full[n] = a
            result = forward(*full)
            if not (isinstance(result, tuple) and len(result) == 2):
                raise ArgumentError(f"{self.name}: forward must return (output, residuals): got {result!r:.80}.")
            residuals, kept = tree_flatten(result[1])
            arrays = [isinstance(r, Tensor) for r in residuals]
            rest[:] = [kept, arrays, residuals]
            return self.flat(result[0], made), [r for r, a in zip(residuals, arrays) if a]

        def back(saved: list, gs: list) -> list:
            kept, arrays, residuals = rest
            tensors = iter(saved)
            residuals = kept.unflatten([next(tensors) if a else r for r, a in zip(residuals, arrays)])
            found = backward(*fixed, residuals, made[0].unflatten(gs))
            found = list(found) if isinstance(found, (tuple, list)) else found
            if not isinstance(found, list) or len(found) != len(structure.children):
                raise GradError(
                    f"{self.name}: backward must return a tuple with a gradient for each differentiable argument, "
                    f"{len(structure.children)}: got {found!r:.80}."
                )
            flat: list = []
            for g, child in zip(found, structure.children):
                none = g is None and child.num_leaves
                flat += [None] * child.num_leaves if none else child.flatten_up_to(g, f"{self.name}: backward")
            values = [flat[i] for i in places]
            return [
                F.zeros(shape=shape, dtype=dtype)
                if g is None
                else self._fitting(as_tensor(g, f"{self.name}: gradient"), shape)
                for g, (shape, dtype) in zip(values, specs)
            ]

        return ByPullback(self.name, call, save, back)

    def _fitting(self, g: Tensor, shape: tuple) -> Tensor:
        if g.shape != shape:
            raise GradError(
                f"{self.name}: backward must return gradients shaped like the arguments: got {g.shape} for {shape}."
            )
        return g


class custom_jvp(_Ruled):
    """A function with a derivative of its own, as jax.custom_jvp: ``f.defjvp(rule)`` with

        rule(*nondiff, primals, tangents) -> (output, tangent of the output), linear in the tangents

    primals, tangents: tuples. Reverse mode takes the rule's transpose. ``f.defjvps(rule0, rule1, ...)``: one rule for
    each argument, rule_i(tangent_i, output, *primals), or None where the derivative is zero.

    >>> import minigrad as mg
    >>> from minigrad import func
    >>> @func.custom_jvp
    ... def square(x):
    ...     return x * x
    >>> _ = square.defjvp(lambda primals, tangents: (square(*primals), 20 * primals[0] * tangents[0]))
    >>> func.grad(square)(1.0), func.jvp(square, (1.0,), (1.0,))[1]
    (tensor(20.), tensor(20.))
    """

    rule: Callable | None = None

    def defjvp(self, rule: Callable) -> Callable:
        self.rule = rule
        return rule

    def defjvps(self, *rules: Callable | None) -> None:
        if self.fixed:
            raise ArgumentError(f"{self.name}: defjvps goes without nondiff_argnums. Use defjvp.")

        def rule(primals: tuple, tangents: tuple) -> tuple:
            y = self(*primals)
            parts = [r(t, y, *primals) for r, t in zip(rules, tangents, strict=True) if r is not None]
            dy = functools.reduce(lambda a, b: tree_map(lambda u, v: u + v, a, b), parts) if parts else None
            return y, tree_map(lambda y: F.zeros_like(y.detach()), y) if dy is None else dy

        self.rule = rule

    def ruled(
        self, call: Callable, whole: Callable, fixed: list, structure: TreeDef, places: list, made: list, args: tuple,
        moving: list,
    ) -> Custom:  # fmt: skip
        user = self.rule
        if user is None:
            raise GradError(f"{self.name}: custom_jvp has no rule yet. Call {self.name}.defjvp(rule).")

        def rule(xs: Sequence, ts: Sequence) -> tuple[list, list]:
            none = [None] * structure.num_leaves
            result = user(*fixed, tuple(whole(xs)), tuple(whole(ts, none)))
            if not (isinstance(result, tuple) and len(result) == 2):
                raise ArgumentError(f"{self.name}: the rule must return (output, its tangent): got {result!r:.80}.")
            ys = self.flat(result[0], made)
            dys = [as_tensor(t, f"{self.name}: tangent") for t in made[0].flatten_up_to(result[1], self.name)]
            return ys, dys

        return ByTangent(self.name, call, rule)


def function(cls: Any, args: tuple) -> Any:
    """`minigrad.Function.apply` while a transform runs; NotImplemented if no argument is on a level."""
    if level_of(args) is None:
        return NotImplemented
    places = [i for i, a in enumerate(args) if isinstance(a, Tensor)]
    several: list[bool] = []
    rest: list[Any] = []

    def run(xs: Sequence) -> tuple[list, Context]:
        context, full = Context(), list(args)
        for i, x in zip(places, xs):
            full[i] = x
        context.needs_input_grad = tuple(isinstance(a, Tensor) for a in args)
        result = cls._forward(context, full)
        several[:] = [isinstance(result, tuple)]
        return list(result) if isinstance(result, tuple) else [result], context

    def save(xs: Sequence) -> tuple[list, list]:
        ys, context = run(xs)
        rest[:] = [context, [s is not None for s in context._saved]]
        return ys, [s for s in context._saved if s is not None]

    def back(saved: list, gs: list) -> list:
        context, given = rest
        tensors = iter(saved)
        context._saved = [next(tensors) if g else None for g in given]
        found = cls.backward(context, *gs)
        found = found if isinstance(found, tuple) else (found,)
        zero = [F.zeros(shape=s, dtype=d) for s, d in specs]
        return [z if found[i] is None else found[i] for i, z in zip(places, zero)]

    specs = [(args[i].shape, args[i].dtype) for i in places]
    ys = ByPullback(cls.__name__, lambda xs: run(xs)[0], save, back)([args[i] for i in places])
    return tuple(ys) if several[0] else ys[0]


Level.function = staticmethod(function)
