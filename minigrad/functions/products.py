"""Products of vectors, matrices and tensors: einsum and what it can say, sums of matrix products, distances."""

from __future__ import annotations

import itertools
import math
from typing import Any

import numpy as np

from ..errors import ArgumentError, ShapeError
from ..ops.einsum import LETTERS
from ..primitive import PRIMITIVES, axes_of, broadcast_shapes
from ..tensor import F, Tensor, apply, wrap
from .arranging import ints_of, moveaxis, ravel
from .spelling import floating, host, like, named, spelled, takes_out, tensor_of


def einsum(equation: Any, *operands: Any, optimize: Any = "greedy") -> Tensor:
    """The products of the operands, summed over the axes whose label is not in the result.

    "ij,jk->ik" is the matrix product, "ii" the trace, "...ij->...ji" a transposition; without -> the result has the
    labels that occur once, in alphabetic order. Also as ``einsum(a, [0, 1], b, [1, 2], [0, 2])``.
    optimize: how `numpy.einsum_path` orders the products, "greedy" or "optimal".

    >>> einsum("ij,j->i", tensor_of([[1, 2], [3, 4]]), tensor_of([1, 1]))
    tensor([3, 7])
    """
    if not isinstance(equation, str):
        equation, operands = _sublists(equation, *operands)
    elif len(operands) == 1 and isinstance(operands[0], (list, tuple)):
        operands = tuple(operands[0])
    optimize = optimize if isinstance(optimize, str) else "greedy"
    return apply(PRIMITIVES["einsum"], *map(tensor_of, operands), equation=equation, optimize=optimize)


def _sublists(*given: Any) -> tuple[str, tuple]:
    """einsum(a, [0, 1], b, [1, 2], [0, 2]) as an equation and its operands."""

    def text(labels: Any) -> str:
        if wrong := [n for n in labels if n is not Ellipsis and not 0 <= n < len(LETTERS)]:
            raise ArgumentError(f"einsum: labels are numbers from 0 to {len(LETTERS) - 1}: got {wrong}.")
        return "".join("..." if n is Ellipsis else sorted(LETTERS)[n] for n in labels)

    count = len(given) // 2
    equation = ",".join(text(labels) for labels in given[1 : 2 * count : 2])
    return equation + ("->" + text(given[-1]) if len(given) % 2 else ""), given[: 2 * count : 2]


@takes_out
def tensordot(x1: Any, x2: Any, /, axes: Any = 2, *, dims: Any = None) -> Tensor:
    """The sum of products over pairs of axes: the last `axes` of x1 with the first of x2, or the axes of x1 listed in
    axes[0] with those in axes[1]. The other axes of x1, then of x2, remain."""
    a, b, axes = tensor_of(x1), tensor_of(x2), axes if dims is None else dims
    axes = axes.tolist() if isinstance(axes, (Tensor, np.ndarray)) else axes
    if isinstance(axes, int):
        if not 0 <= axes <= min(a.ndim, b.ndim):
            raise ArgumentError(f"tensordot: axes must be from 0 to {min(a.ndim, b.ndim)}: got {axes}.")
        ours, theirs = tuple(range(a.ndim - axes, a.ndim)), tuple(range(axes))
    else:
        ours, theirs = (axes_of("tensordot", ints_of(n), x.ndim) for n, x in zip(axes, (a, b)))
    if dims is not None and not isinstance(axes, int):  # as PyTorch: a length of 1 is repeated
        for i, j in zip(ours, theirs):
            if (a.shape[i] == 1) != (b.shape[j] == 1):
                a = F.sum(a, axis=i, keepdims=True) if b.shape[j] == 1 else a
                b = F.sum(b, axis=j, keepdims=True) if a.shape[i] == 1 else b
    lengths = [a.shape[i] for i in ours], [b.shape[i] for i in theirs]
    if lengths[0] != lengths[1]:
        raise ShapeError(
            f"tensordot: summed axes must agree: axes {ours} of {a.shape} and {theirs} of {b.shape} have {lengths[0]} "
            f"and {lengths[1]}."
        )
    rest_a, rest_b = ([i for i in range(x.ndim) if i not in gone] for x, gone in ((a, ours), (b, theirs)))
    k = math.prod(lengths[0])
    rows, columns = tuple(a.shape[i] for i in rest_a), tuple(b.shape[i] for i in rest_b)
    left = F.reshape(F.permute_dims(a, (*rest_a, *ours)), (math.prod(rows), k))
    right = F.reshape(F.permute_dims(b, (*theirs, *rest_b)), (k, math.prod(columns)))
    return F.reshape(F.matmul(left, right), (*rows, *columns))


@takes_out
def vecdot(x1: Any, x2: Any, /, *, axis: int = -1, dim: int | None = None) -> Tensor:
    """The sum of conj(x1) x2 over `axis` (dim), which must have one length in both; the other axes broadcast."""
    axis = axis if dim is None else dim
    a, b = tensor_of(x1), tensor_of(x2)
    if not a.ndim or not b.ndim:
        raise ShapeError(f"vecdot: needs arrays of at least 1 axis: got {a.shape} and {b.shape}.")
    ((i,), (j,)) = (axes_of("vecdot", axis, x.ndim) for x in (a, b))
    if a.shape[i] != b.shape[j]:
        raise ShapeError(f"vecdot: axis {axis} must agree: got {a.shape} and {b.shape}.")
    a, b = moveaxis(a, i, -1), moveaxis(b, j, -1)
    y = F.matmul(F.expand_dims(F.conj(a) if a.dtype.kind == "c" else a, -2), F.expand_dims(b, -1))
    return F.reshape(y, y.shape[:-2])


@takes_out
def dot(a: Any, b: Any) -> Tensor:
    """NumPy's dot: the last axis of a with the last but one of b (the only one of a vector); a number scales."""
    a, b = tensor_of(a), tensor_of(b)
    if not a.ndim or not b.ndim:
        return a * b
    if b.ndim <= 2:
        return F.matmul(a, b)
    return tensordot(a, b, axes=((a.ndim - 1,), (b.ndim - 2,)))


@takes_out
def vdot(a: Any, b: Any) -> Tensor:
    """The sum of conj(a) b over all elements."""
    a, b = tensor_of(a), tensor_of(b)
    if a.size != b.size:
        raise ShapeError(f"vdot: as many elements in both: got {a.shape} and {b.shape}.")
    return vecdot(ravel(a), ravel(b))


@takes_out
def inner(a: Any, b: Any) -> Tensor:
    """The sum of a b over the last axes; the other axes of a, then of b, remain. A number scales."""
    a, b = tensor_of(a), tensor_of(b)
    return tensordot(a, b, axes=((-1,), (-1,))) if a.ndim and b.ndim else a * b


@takes_out
def outer(a: Any, b: Any) -> Tensor:
    """y[i, j] = a[i] b[j], of the flattened arrays."""
    return F.multiply(F.expand_dims(ravel(a), 1), F.expand_dims(ravel(b), 0))


ger = outer


@takes_out
def kron(a: Any, b: Any) -> Tensor:
    """The blocks a[i, j] b: y[i p + k, j q + l] = a[i, j] b[k, l]. Fewer axes are filled with ones at the left."""
    a, b = tensor_of(a), tensor_of(b)
    n = max(a.ndim, b.ndim)
    m, k = ((1,) * (n - x.ndim) + x.shape for x in (a, b))
    y = F.reshape(a, tuple(v for i in m for v in (i, 1))) * F.reshape(b, tuple(v for i in k for v in (1, i)))
    return F.reshape(y, tuple(i * j for i, j in zip(m, k)))


@takes_out
def cross(
    a: Any, b: Any, axisa: int = -1, axisb: int = -1, axisc: int = -1, axis: int | None = None, dim: int | None = None
) -> Tensor:
    """The vector product along `axis`, of length 3: (a2 b3 - a3 b2, a3 b1 - a1 b3, a1 b2 - a2 b1)."""
    a, b = tensor_of(a), tensor_of(b)
    axis = dim if axis is None else axis
    axisa, axisb, axisc = (axisa, axisb, axisc) if axis is None else (axis, axis, axis)
    for x, i in ((a, axisa), (b, axisb)):
        if not x.ndim or x.shape[axes_of("cross", i, x.ndim)[0]] != 3:
            raise ShapeError(f"cross: needs 3 elements along the axis: got {a.shape} and {b.shape}.")
    a, b = moveaxis(a, axisa, -1), moveaxis(b, axisb, -1)
    turned = [(a[..., i] * b[..., j] - a[..., j] * b[..., i]) for i, j in ((1, 2), (2, 0), (0, 1))]
    return moveaxis(F.stack(*turned, axis=-1), -1, axisc)


@named(dim1="axis1", dim2="axis2")
def trace(x: Tensor, offset: int = 0, axis1: int = 0, axis2: int = 1, dtype: Any = None) -> Tensor:
    """The sum of the diagonal of two axes."""
    y = F.sum(F.diagonal(x, offset=offset, axis1=axis1, axis2=axis2), axis=-1)
    return y if dtype is None else y.astype(dtype)


@takes_out
def multi_dot(arrays: Any) -> Tensor:
    """The product of matrices, in the cheapest order; the first and last may be vectors."""
    xs = [tensor_of(x) for x in arrays]
    if len(xs) < 2:
        raise ShapeError(f"multi_dot: needs at least two arrays: got {len(xs)}.")
    labels = [LETTERS[i : i + 2] for i in range(len(xs))]
    labels[0] = labels[0][-xs[0].ndim :] if xs[0].ndim < 2 else labels[0]
    labels[-1] = labels[-1][: xs[-1].ndim]
    ends = (labels[0][:1] if xs[0].ndim > 1 else "") + (labels[-1][1:] if xs[-1].ndim > 1 else "")
    return einsum(",".join(labels) + "->" + ends, *xs, optimize="optimal")


chain_matmul = multi_dot


@named(input="a", mat2="b")
def mm(a: Any, b: Any) -> Tensor:
    """The product of two matrices."""
    return _with_axes("mm", a, b, 2, 2)


@named(input="a", mat2="b")
def bmm(a: Any, b: Any) -> Tensor:
    """The products of two stacks of matrices: (B, M, K), (B, K, N) to (B, M, N)."""
    return _with_axes("bmm", a, b, 3, 3)


@named(input="a", vec="b")
def mv(a: Any, b: Any) -> Tensor:
    """The product of a matrix and a vector."""
    return _with_axes("mv", a, b, 2, 1)


def _with_axes(op: str, a: Any, b: Any, m: int, n: int) -> Tensor:
    a, b = tensor_of(a), tensor_of(b)
    if (a.ndim, b.ndim) != (m, n) or (m == 3 and a.shape[0] != b.shape[0]):
        raise ShapeError(f"{op}: needs {m} and {n} axes{', equal stacks' * (m == 3)}: got {a.shape} and {b.shape}.")
    return F.matmul(a, b)


def _plus(op: str, x: Any, y: Tensor, beta: Any, alpha: Any) -> Tensor:
    """beta x + alpha y; beta = 0 leaves x out, whatever it holds."""
    x = tensor_of(x)
    if broadcast_shapes(op, x.shape, y.shape) != y.shape:
        raise ShapeError(f"{op}: the first array must broadcast to the product: got {x.shape} for {y.shape}.")
    if y.dtype.kind in "iu" and x.dtype.kind in "iub":  # as PyTorch: integers stay, and cut the factors
        beta, alpha = (int(f) if isinstance(f, float) else f for f in (beta, alpha))
    y = y if alpha == 1 else y * alpha
    return y if beta == 0 else x + y if beta == 1 else x * beta + y


@named(mat1="a", mat2="b")
def addmm(x: Any, a: Any, b: Any, *, beta: Any = 1, alpha: Any = 1) -> Tensor:
    """beta x + alpha a b, for matrices a and b."""
    return _plus("addmm", x, mm(a, b), beta, alpha)


@named(mat="a", vec="b")
def addmv(x: Any, a: Any, b: Any, *, beta: Any = 1, alpha: Any = 1) -> Tensor:
    """beta x + alpha a b, for a matrix a and a vector b."""
    return _plus("addmv", x, mv(a, b), beta, alpha)


@named(vec1="a", vec2="b")
def addr(x: Any, a: Any, b: Any, *, beta: Any = 1, alpha: Any = 1) -> Tensor:
    """beta x + alpha outer(a, b)."""
    return _plus("addr", x, outer(a, b), beta, alpha)


@named(batch1="a", batch2="b")
def baddbmm(x: Any, a: Any, b: Any, *, beta: Any = 1, alpha: Any = 1) -> Tensor:
    """beta x + alpha a b, for stacks of matrices."""
    return _plus("baddbmm", x, bmm(a, b), beta, alpha)


@named(batch1="a", batch2="b")
def addbmm(x: Any, a: Any, b: Any, *, beta: Any = 1, alpha: Any = 1) -> Tensor:
    """beta x + alpha times the sum of the products of two stacks of matrices."""
    return _plus("addbmm", x, F.sum(bmm(a, b), axis=0), beta, alpha)


@named(tensor1="a", tensor2="b")
def addcmul(x: Any, a: Any, b: Any, *, value: Any = 1) -> Tensor:
    """x + value a b."""
    x, a, b = tensor_of(x), tensor_of(a), tensor_of(b)
    return x + a * b * value if isinstance(value, Tensor) else F.multiply_add(a, b, x, value=value)


@named(tensor1="a", tensor2="b")
def addcdiv(x: Any, a: Any, b: Any, *, value: Any = 1) -> Tensor:
    """x + value a / b."""
    x, a, b = tensor_of(x), tensor_of(a), tensor_of(b)
    return x + a * value / b if isinstance(value, Tensor) else F.divide_add(a, b, x, value=value)


@spelled
def vander(x: Tensor, N: int | None = None, increasing: bool = False) -> Tensor:
    """(n, N): the powers x**(N-1), ..., x, 1 of a vector as columns, or rising. Along the last axis of more axes."""
    if not x.ndim:
        raise ShapeError("vander: needs a vector: got a 0-d array.")
    N = x.shape[-1] if N is None else N
    if N < 0:
        raise ArgumentError(f"vander: N must be from 0 up: got {N}.")
    one = F.expand_dims(F.ones_like(x), -1)
    powers = F.broadcast_to(F.expand_dims(x, -1), (*x.shape, max(N - 1, 0)))
    y = F.concat(one, F.cumprod(powers, axis=-1).astype(x.dtype), axis=-1)[..., :N]
    return y if increasing else F.flip(y, axis=-1)


@named(x1="x", x2="y")
def cdist(x: Tensor, y: Any, p: float = 2.0, compute_mode: Any = None) -> Tensor:
    """The p-norm distance of every row of x from every row of y: (..., M, D), (..., N, D) to (..., M, N). Where two
    rows are equal the gradient is 0."""
    return F.cdist(x, tensor_of(y), order=p)


@spelled
def pdist(x: Tensor, p: float = 2.0) -> Tensor:
    """The p-norm distances of all pairs of rows i < j of (N, D), as a vector of N (N - 1) / 2."""
    if x.ndim != 2:
        raise ShapeError(f"pdist: needs rows (N, D): got shape {x.shape}.")
    pairs = np.flatnonzero(np.tri(x.shape[0], k=-1).T)
    return F.reshape(F.cdist(x, x, order=p), (-1,))[pairs]


def cartesian_prod(*vectors: Any) -> Tensor:
    """All combinations of the elements of vectors, one a row; of one vector, itself."""
    xs = [tensor_of(v) for v in vectors]
    if any(x.ndim != 1 for x in xs):
        raise ShapeError(f"cartesian_prod: needs vectors: got {' and '.join(str(x.shape) for x in xs)}.")
    if len(xs) == 1:
        return xs[0]
    shape = tuple(x.size for x in xs)
    grids = (
        F.broadcast_to(F.reshape(x, [-1 if i == k else 1 for i in range(len(xs))]), shape) for k, x in enumerate(xs)
    )
    return F.stack(*(ravel(g) for g in grids), axis=-1)


@spelled
def combinations(x: Tensor, r: int = 2, with_replacement: bool = False) -> Tensor:
    """All choices of r elements of a vector, in its order, one a row."""
    if x.ndim != 1:
        raise ShapeError(f"combinations: needs a vector: got shape {x.shape}.")
    choose = itertools.combinations_with_replacement if with_replacement else itertools.combinations
    rows = np.asarray(list(choose(range(x.size), r)), np.int64).reshape(-1, r)
    return x[rows]


def interp(x: Any, xp: Any, fp: Any, left: Any = None, right: Any = None, period: float | None = None) -> Tensor:
    """The piecewise linear function through the points (xp, fp), at x; xp must rise. Beyond the ends: left and right,
    if not given the first and last of fp; with a period, the points repeat. Gradients for x, xp and fp; at a point, the
    slope to its right."""
    known = [v for v in (fp, xp, x) if hasattr(v, "dtype") and v.dtype.kind == "f"]
    first = floating(tensor_of(known[0] if known else fp))  # lists and numbers take the dtype of what is an array
    x, xp, fp = (floating(tensor_of(v)) if hasattr(v, "dtype") else like(v, first) for v in (x, xp, fp))
    if xp.ndim != 1 or xp.shape != fp.shape or not xp.size:
        raise ShapeError(f"interp: xp and fp must be vectors of one length: got {xp.shape} and {fp.shape}.")
    if period is not None:
        if not period:
            raise ArgumentError("interp: period must not be 0.")
        period, left, right = abs(period), None, None
        x, xp = F.remainder(x, period), F.remainder(xp, period)
        order = F.argsort(xp)
        xp, fp = xp[order], fp[order]
        xp = F.concat(xp[-1:] - period, xp, xp[:1] + period)
        fp = F.concat(fp[-1:], fp, fp[:1])
    n = xp.size
    if n == 1:
        y = F.broadcast_to(fp[0], x.shape)
    else:
        i = np.clip(np.searchsorted(host(xp), host(x), side="right") - 1, 0, n - 2)
        i = wrap(np.asarray(i))
        a, b = xp[i], xp[i + 1]
        inside = F.minimum(F.maximum(x, xp[0]), xp[-1])
        y = fp[i] + (fp[i + 1] - fp[i]) * ((inside - a) / (b - a))
    y = y if left is None else F.where(F.less(x, xp[0]), left, y)
    y = y if right is None else F.where(F.greater(x, xp[-1]), right, y)
    return F.where(F.isnan(x), x, y)


def apply_along_axis(function: Any, axis: int, x: Any, *args: Any, **keywords: Any) -> Tensor:
    """function(row, ...) of every vector along `axis`; its result takes their place."""
    x = tensor_of(x)
    (axis,) = axes_of("apply_along_axis", axis, x.ndim)
    rows = moveaxis(x, axis, -1)
    parts = [tensor_of(function(rows[i], *args, **keywords)) for i in np.ndindex(*rows.shape[:-1])]
    if not parts:
        raise ShapeError(f"apply_along_axis: there is no vector along axis {axis} of shape {x.shape}.")
    y = F.reshape(F.stack(*parts), (*rows.shape[:-1], *parts[0].shape))
    k = parts[0].ndim
    return moveaxis(y, tuple(range(y.ndim - k, y.ndim)), tuple(range(axis, axis + k))) if k else y


def matvec(x1: Any, x2: Any, /) -> Tensor:
    """The matrices (..., M, N) times the vectors (..., N): (..., M)."""
    return F.squeeze(F.matmul(tensor_of(x1), F.expand_dims(tensor_of(x2), -1)), -1)


def vecmat(x1: Any, x2: Any, /) -> Tensor:
    """The vectors (..., M), conjugated, times the matrices (..., M, N): (..., N)."""
    x1 = tensor_of(x1)
    return F.squeeze(F.matmul(F.expand_dims(F.conj(x1) if x1.dtype.kind == "c" else x1, -2), tensor_of(x2)), -2)


def polyval(p: Any, x: Any) -> Tensor:
    """p[0] x**n + p[1] x**(n-1) + ... + p[n], by Horner's scheme.

    >>> polyval([1.0, 0.0, 2.0], 3.0)
    tensor(11.)
    """
    p, x = tensor_of(p), tensor_of(x)
    y = F.zeros_like(x)
    for i in range(p.shape[0]):
        y = y * x + p[i]
    return y
