"""Forward mode and Jacobians: jvp, linearize, jacrev, jacfwd, hessian, hvp."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from ..backend import backend_of
from ..errors import ArgumentError, ShapeError
from ..functions import moveaxis
from ..mode import MODE
from ..tensor import F, Tensor, wrap
from .arguments import as_tensor, chosen, replaced, with_aux
from .forward import Dual, JvpLevel, Linear
from .levels import bottom
from .mapped import vmap
from .reverse import Recording, detached, grad, vjp
from .tree import TreeDef, tree_flatten, tree_map


def jvp(func: Callable, primals: Any, tangents: Any, *, strict: bool = False, has_aux: bool = False) -> tuple:
    """(func(*primals), J t) by forward mode, at about twice the cost of func; with has_aux (output, J t, aux).

    primals, tangents: tuples of arguments and their directions, trees of one structure and shapes. strict: an output
    that does not depend on the primals is an error, else its derivative is zero. As torch.func.jvp and jax.jvp.

    >>> jvp(lambda x: x**3, (2.0,), (1.0,))
    (tensor(8.), tensor(12.))
    """
    xs, ts, structure = _directions(primals, tangents, "jvp")
    level = JvpLevel()
    with level.entered():
        duals = [wrap(Dual(level, x, t)) for x, t in zip(xs, ts)]
        result, aux = with_aux(func(*structure.unflatten(duals)), has_aux, "jvp")
    outputs, made = tree_flatten(result)
    ys, dys = [], []
    for i, y in enumerate(outputs):
        t = as_tensor(y, f"jvp: output {i} of the function")
        mine = isinstance(t.array, Dual) and t.array.level is level
        primal, tangent = (t.array.primal, t.array.tangent) if mine else (t, None)
        if tangent is None and strict:
            raise ArgumentError(f"jvp: strict, but output {i} does not depend on the primals. Pass strict=False.")
        ys.append(primal)
        dys.append(F.zeros_like(primal.detach()) if tangent is None else tangent)
    answer = made.unflatten(ys), made.unflatten(dys)
    return (*answer, tree_map(lambda a: _primal(a, level), aux)) if has_aux else answer


def _primal(y: Any, level: JvpLevel) -> Any:
    mine = isinstance(y, Tensor) and isinstance(y.array, Dual) and y.array.level is level
    return y.array.primal if mine else y


def _directions(primals: Any, tangents: Any, who: str) -> tuple[list[Tensor], list[Tensor], TreeDef]:
    """The leaves of both, which must be tuples of one structure, shapes and dtypes."""
    if not isinstance(primals, (tuple, list)) or not isinstance(tangents, (tuple, list)):
        raise ArgumentError(f"{who}: primals and tangents must be tuples, with an entry for each argument: (x,), (t,).")
    leaves, structure = tree_flatten(tuple(primals))
    others, other = tree_flatten(tuple(tangents))
    if structure != other:
        raise ArgumentError(f"{who}: primals and tangents must have one structure: got {structure} and {other}.")
    xs = [as_tensor(x, f"{who}: primal {i}", differentiable=True) for i, x in enumerate(leaves)]
    ts = [as_tensor(t, f"{who}: tangent {i}") for i, t in enumerate(others)]
    for i, (x, t) in enumerate(zip(xs, ts)):
        if x.shape != t.shape:
            raise ShapeError(f"{who}: tangent {i} must have the shape of its primal: got {t.shape} for {x.shape}.")
    return xs, [t if t.dtype == x.dtype else t.astype(x.dtype) for x, t in zip(xs, ts)], structure


def linearize(func: Callable, *primals: Any) -> tuple[Any, Callable]:
    """(func(*primals), t -> J t): func runs once, and its derivative can then be applied to many directions.

    What the derivative needs of the forward is kept until the returned function is dropped. As torch.func.linearize
    and jax.linearize: ``tangents`` come as the primals came.

    >>> y, push = linearize(lambda x: x**3, 2.0)
    >>> y, push(1.0), push(10.0)
    (tensor(8.), tensor(12.), tensor(120.))
    """
    leaves, structure = tree_flatten(primals)
    inputs = [as_tensor(x, f"linearize: primal {i}", differentiable=True) for i, x in enumerate(leaves)]
    run = Recording(lambda xs: func(*structure.unflatten(xs)), inputs)
    outputs, made = tree_flatten(run.result)
    ys = [as_tensor(y, f"linearize: output {i} of the function") for i, y in enumerate(outputs)]
    graph = run.connected(ys)
    linear = Linear(ys, run.nodes)

    def push(*tangents: Any) -> Any:
        _, ts, _ = _directions(primals, tangents, "linearize")
        again = MODE.get().recording and (graph or any(t.node is not None for t in ts))
        found = linear(ts, again)
        return made.unflatten(F.zeros_like(y.detach()) if dy is None else dy for y, dy in zip(ys, found))

    return made.unflatten(ys if graph else detached(ys)), push


def jacrev(
    func: Callable, argnums: int | Sequence[int] = 0, *, has_aux: bool = False, chunk_size: int | None = None
) -> Callable:
    """The function x -> df/dx, all derivatives of all outputs, by reverse mode: one row per output number, all in one
    vmapped pass (chunk_size: so many at a time). Best where outputs are fewer than inputs. As torch.func and JAX.

    For an output y and argument x: shape (*y.shape, *x.shape). Trees in and out: a tree of outputs, each a tree like
    the arguments.

    >>> import numpy as np
    >>> jacrev(lambda x: x**2)(np.array([1.0, 2.0])).tolist()
    [[2.0, 0.0], [0.0, 4.0]]
    """

    @functools.wraps(func)
    def wrapper(*args: Any, **kwargs: Any) -> Any:
        places = chosen(args, argnums, "jacrev")
        picked = [args[n] for n in places]
        result = vjp(lambda *xs: func(*replaced(args, places, xs), **kwargs), *picked, has_aux=has_aux)
        ys, made = tree_flatten(result[0])
        basis = _basis(ys)
        rows, structure = tree_flatten(vmap(lambda *gs: result[1](made.unflatten(gs)), chunk_size=chunk_size)(*basis))
        shapes = [r.shape[1:] for r in rows]
        jacobian = []
        for y, start in zip(ys, _starts(ys)):
            blocks = [F.reshape(r[start : start + y.size], (*y.shape, *s)) for r, s in zip(rows, shapes)]
            jacobian.append(_like_argnums(structure.unflatten(blocks), argnums))
        tree = made.unflatten(jacobian)
        return (tree, result[2]) if has_aux else tree

    return wrapper


def jacfwd(
    func: Callable,
    argnums: int | Sequence[int] = 0,
    has_aux: bool = False,
    *,
    randomness: str = "error",
    chunk_size: int | None = None,
) -> Callable:
    """As jacrev by forward mode: one column per input number, all in one vmapped pass. Best where inputs are fewer than
    outputs, and around reverse mode: hessian = jacfwd(jacrev).

    >>> import numpy as np
    >>> jacfwd(lambda x: x**2)(np.array([1.0, 2.0])).tolist()
    [[2.0, 0.0], [0.0, 4.0]]
    """

    @functools.wraps(func)
    def wrapper(*args: Any, **kwargs: Any) -> Any:
        places = chosen(args, argnums, "jacfwd")
        leaves, structure = tree_flatten(tuple(args[n] for n in places))
        xs = [as_tensor(x, f"jacfwd: leaf {i} of the arguments", differentiable=True) for i, x in enumerate(leaves)]
        primals = structure.unflatten(xs)

        def column(*ts: Tensor) -> Any:
            f = lambda *xs: func(*replaced(args, places, xs), **kwargs)
            return jvp(f, primals, structure.unflatten(ts), has_aux=has_aux)[1:]

        found = vmap(column, randomness=randomness, chunk_size=chunk_size)(*_basis(xs))
        columns, made = tree_flatten(found[0])
        jacobian = []
        for c in columns:  # (inputs, *y.shape)
            c = moveaxis(c, 0, -1)
            blocks = [
                F.reshape(c[..., start : start + x.size], (*c.shape[:-1], *x.shape))
                for x, start in zip(xs, _starts(xs))
            ]
            jacobian.append(_like_argnums(structure.unflatten(blocks), argnums))
        tree = made.unflatten(jacobian)
        return (tree, tree_map(lambda a: a[0] if isinstance(a, Tensor) else a, found[1])) if has_aux else tree

    return wrapper


def _like_argnums(parts: Any, argnums: Any) -> Any:
    return tuple(parts) if isinstance(argnums, (tuple, list)) else parts[0]


def _starts(xs: Sequence[Tensor]) -> list[int]:
    starts = [0]
    for x in xs:
        starts.append(starts[-1] + x.size)
    return starts[:-1]


def _basis(xs: Sequence[Tensor]) -> list[Tensor]:
    """For each array x its part of the unit vectors of all of them together: (N, *x.shape), N numbers in all."""
    n = sum(x.size for x in xs)
    made = []
    for x, start in zip(xs, _starts(xs)):
        eye = np.zeros((n, x.size), x.dtype)
        eye[start : start + x.size] = np.eye(x.size, dtype=x.dtype)
        made.append(wrap(backend_of(bottom(x)).asarray(eye.reshape((n, *x.shape)))))
    return made


def jacobian(
    func: Callable, argnums: int | Sequence[int] = 0, *, has_aux: bool = False, mode: str = "reverse"
) -> Callable:
    """jacrev (mode="reverse") or jacfwd (mode="forward")."""
    if mode not in ("reverse", "forward"):
        raise ArgumentError(f"jacobian: mode must be 'reverse' or 'forward': got {mode!r}.")
    return (jacrev if mode == "reverse" else jacfwd)(func, argnums, has_aux=has_aux)


def hessian(func: Callable, argnums: int | Sequence[int] = 0) -> Callable:
    """The function x -> d2f/dx2 = jacfwd(jacrev(f)): shape (*x.shape, *x.shape) for a scalar f.

    >>> import numpy as np
    >>> hessian(lambda x: x[0] ** 2 * x[1])(np.array([1.0, 3.0])).tolist()
    [[6.0, 2.0], [2.0, 0.0]]
    """
    return jacfwd(jacrev(func, argnums), argnums)


def hvp(func: Callable, primals: Any, tangents: Any) -> Any:
    """H t = d/de grad(f)(x + e t) for a scalar func, forward over reverse: without H, at the cost of a few gradients.

    primals, tangents: tuples as in jvp. One argument gives its product; several give a tuple. (PyTorch has it in
    torch.autograd.functional, reverse over reverse, with the value of func before it.)

    >>> import numpy as np
    >>> hvp(lambda x: (x**3).sum(), (np.array([1.0, 2.0]),), (np.array([1.0, 1.0]),)).tolist()
    [6.0, 12.0]
    """
    argnums = tuple(range(len(primals)))
    product = jvp(grad(func, argnums), primals, tangents)[1]
    return product if len(argnums) > 1 else product[0]


def ravel_tree(tree: Any) -> tuple[Tensor, Callable]:
    """(all numbers of the tree as one vector (N,), the function from such a vector to a tree). For optimizers of
    vectors, as scipy.optimize's; jax.flatten_util.ravel_pytree.

    >>> import numpy as np
    >>> v, tree_of = ravel_tree({"w": np.ones((2, 2)), "b": np.zeros(1)})
    >>> v.tolist(), tree_of(v)["w"].shape
    ([1.0, 1.0, 1.0, 1.0, 0.0], (2, 2))
    """
    leaves, structure = tree_flatten(tree)
    xs = [as_tensor(x, f"ravel_tree: leaf {i}") for i, x in enumerate(leaves)]
    if not xs:
        raise ArgumentError("ravel_tree: the tree has no arrays.")
    specs = [(start, x.shape, x.dtype) for start, x in zip(_starts(xs), xs)]

    def tree_of(v: Any) -> Any:
        v = as_tensor(v, "ravel_tree: the vector")
        parts = (v[start : start + math.prod(shape)] for start, shape, _ in specs)
        return structure.unflatten(
            F.reshape(p if p.dtype == dtype else p.astype(dtype), shape) for p, (_, shape, dtype) in zip(parts, specs)
        )

    return F.concat(*(F.reshape(x, (-1,)) for x in xs)), tree_of
