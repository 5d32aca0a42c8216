"""Sorting, ranks and extremes, searching, sets. Values keep their gradient; positions and counts have none."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np

from ..errors import ArgumentError, IndexRangeError, ShapeError
from ..mode import MODE
from ..primitive import axes_of
from ..tensor import F, Tensor, wrap
from .arranging import concat, moveaxis, ravel
from .indexing import axis_of, take
from .pairs import Ranked, paired
from .spelling import host, like, named, one_of, spelled, takes_out, tensor_of

# ---- sorting ---------------------------------------------------------------------------------------------------------


@spelled
def msort(x: Tensor) -> Tensor:
    """x sorted along axis 0."""
    return F.sort(x, axis=0)


def lexsort(keys: Any, axis: int = -1) -> Tensor:
    """The positions that sort by the last key, equal ones by the key before it, and so on."""
    return wrap(np.asarray(np.lexsort(tuple(host(k) for k in keys), axis)))


@named(kth="kth")
def partition(x: Tensor, kth: Any, axis: int | None = -1) -> Tensor:
    """x rearranged along `axis` (None: flattened) so that place kth, or each of several, holds what a sort would put
    there."""
    x, axis = (ravel(x), -1) if axis is None else (x, axis)
    return F.partition(x, kth=_kth(kth), axis=axis)


@spelled
def argpartition(x: Tensor, kth: Any, axis: int | None = -1) -> Tensor:
    """The positions of `partition`."""
    x, axis = (ravel(x), -1) if axis is None else (x, axis)
    return F.argpartition(x, kth=_kth(kth), axis=axis)


def _kth(kth: Any) -> Any:
    return tuple(int(k) for k in kth) if np.ndim(kth) else int(kth)


@paired
@spelled
def topk(x: Tensor, k: int, axis: int = -1, largest: bool = True, sorted: bool = True) -> Ranked:
    """The k largest (or smallest) elements along `axis`, the most extreme first, and their positions. Of equal elements
    the first come first; NaN counts as the largest.

    >>> topk(tensor_of([1.0, 4.0, 2.0]), 2).indices
    tensor([1, 2])
    """
    axis, k = axis_of("topk", axis, x), int(k)
    n = x.shape[axis] if x.ndim else 1
    if not 0 <= k <= n:
        raise IndexRangeError(f"topk: k must be from 0 to {n}, the length of axis {axis}: got {k}.")
    if not x.ndim:
        return Ranked(F.copy(x), F.argsort(x))
    order = F.argtopk(x, k=k, axis=axis, largest=largest)
    return Ranked(F.take_along_axis(x, order, axis=axis), order)


@paired
@spelled
def kthvalue(x: Tensor, k: int, axis: int = -1, keepdims: bool = False) -> Ranked:
    """The k-th smallest element along `axis`, k counting from 1, and its position."""
    axis = axis_of("kthvalue", axis, x)
    n = x.shape[axis] if x.ndim else 1
    if not 1 <= k <= n:
        raise IndexRangeError(f"kthvalue: k must be from 1 to {n}, the length of axis {axis}: got {k}.")
    if not x.ndim:
        return Ranked(F.copy(x), F.argsort(x))
    return _at(x, F.argsort(x, axis=axis)[(slice(None),) * axis + (slice(k - 1, k),)], axis, keepdims)


def _at(x: Tensor, places: Tensor, axis: int, keepdims: bool) -> Ranked:
    """The elements of x at `places`, one along `axis`."""
    values = F.take_along_axis(x, places, axis=axis)
    return Ranked(values, places) if keepdims else Ranked(F.squeeze(values, axis), F.squeeze(places, axis))


@paired
@spelled
def mode(x: Tensor, axis: int = -1, keepdims: bool = False) -> Ranked:
    """The most frequent element along `axis`, the smallest of equally frequent ones, and its last position. The
    gradient goes to that position."""
    axis = axis_of("mode", axis, x)
    if not x.ndim:
        return Ranked(F.copy(x), F.argsort(x))
    if not x.shape[axis]:
        raise ShapeError(f"mode: of nothing there is no result: axis {axis} of shape {x.shape} is empty.")
    order = F.argsort(x, axis=axis)
    y = moveaxis(F.take_along_axis(x, order, axis=axis), axis, -1)  # equal ones in runs
    i = wrap(x.backend.asarray(np.arange(y.shape[-1])))
    new = F.concat(F.ones_like(y[..., :1]) != 0, y[..., 1:] != y[..., :-1], axis=-1)
    start = F.argcummax(F.where(new, i + 1, 0), axis=-1)  # of the run of each element
    last = F.argmax(i - start, axis=-1, keepdims=True)  # the end of the first run that is longest
    return _at(x, F.take_along_axis(order, moveaxis(last, -1, axis), axis=axis), axis, keepdims)


class Extremes(NamedTuple):
    """The smallest and the largest element."""

    min: Tensor
    max: Tensor


@spelled
def aminmax(x: Tensor, axis: int | None = None, keepdims: bool = False) -> Extremes:
    """The smallest and the largest element over `axis` (None: all), together."""
    return Extremes(F.min(x, axis=axis, keepdims=keepdims), F.max(x, axis=axis, keepdims=keepdims))


@spelled
def amax(x: Tensor, axis: Any = None, keepdims: bool = False) -> Tensor:
    """max under its other name in NumPy and PyTorch: the largest element over `axis`."""
    return F.max(x, axis=axis or None if isinstance(axis, (tuple, list)) else axis, keepdims=keepdims)


@spelled
def amin(x: Tensor, axis: Any = None, keepdims: bool = False) -> Tensor:
    """min under its other name in NumPy and PyTorch: the smallest element over `axis`."""
    return F.min(x, axis=axis or None if isinstance(axis, (tuple, list)) else axis, keepdims=keepdims)


@spelled
def ptp(x: Tensor, axis: Any = None, keepdims: bool = False) -> Tensor:
    """Peak to peak: the largest minus the smallest element over `axis`."""
    return F.max(x, axis=axis, keepdims=keepdims) - F.min(x, axis=axis, keepdims=keepdims)


# ---- searching -------------------------------------------------------------------------------------------------------


@takes_out
def searchsorted(
    x1: Any,
    x2: Any,
    /,
    side: str = "left",
    sorter: Any = None,
    *,
    right: bool = False,
    out_int32: bool = False,
) -> Tensor:
    """Where the elements of x2 would go in the sorted x1: the number of elements of x1 below each (side="left") or not
    above it (side="right"). x1: (n,), or (..., n) with x2 (..., m), row by row as in PyTorch. sorter: the positions
    that sort x1. int64, shaped like x2."""
    one_of("searchsorted", "side", side, ("left", "right"))
    x1 = tensor_of(x1)
    x2 = tensor_of(x2) if not isinstance(x2, (int, float)) else tensor_of(np.asarray(x2))
    if sorter is not None:
        x1 = F.take_along_axis(x1, tensor_of(sorter), axis=-1)
    found = F.searchsorted(x1, x2, side="right" if right else side)
    return found.astype(np.int32) if out_int32 else found


@takes_out
def bucketize(x: Any, boundaries: Any, *, right: bool = False, out_int32: bool = False) -> Tensor:
    """PyTorch's digitize: the bucket of each element, with boundaries[i-1] < x <= boundaries[i], or if `right`
    boundaries[i-1] <= x < boundaries[i]."""
    return searchsorted(boundaries, x, right=right, out_int32=out_int32)


@spelled
def digitize(x: Tensor, bins: Any, right: bool = False) -> Tensor:
    """The bin of each element: bins[i-1] <= x < bins[i], or if `right` bins[i-1] < x <= bins[i]; falling bins too."""
    edges = host(bins)
    if edges.size > 1 and edges[0] > edges[-1]:
        found = searchsorted(np.ascontiguousarray(edges[::-1]), x, side="left" if right else "right")
        return len(edges) - found
    return searchsorted(edges, x, side="left" if right else "right")


# ---- sets ------------------------------------------------------------------------------------------------------------


class UniqueAll(NamedTuple):
    """What `unique_all` returns."""

    values: Tensor
    indices: Tensor
    inverse_indices: Tensor
    counts: Tensor


class UniqueCounts(NamedTuple):
    """What `unique_counts` returns."""

    values: Tensor
    counts: Tensor


class UniqueInverse(NamedTuple):
    """What `unique_inverse` returns."""

    values: Tensor
    inverse_indices: Tensor


@spelled
def unique_all(x: Tensor, /) -> UniqueAll:
    """The different elements in rising order, the first position of each, for every element of x which one it is, and
    how often each occurs. Every NaN is different. The gradient of a value goes to its first position."""
    _, *found = np.unique(host(x), return_index=True, return_inverse=True, return_counts=True, equal_nan=False)
    first, inverse, counts = (wrap(x.backend.asarray(a)) for a in found)
    return UniqueAll(take(x, first), first, F.reshape(inverse, x.shape), counts)


@spelled
def unique_counts(x: Tensor, /) -> UniqueCounts:
    """The different elements in rising order, and how often each occurs. Every NaN is different."""
    values, _, _, counts = unique_all(x)
    return UniqueCounts(values, counts)


@spelled
def unique_inverse(x: Tensor, /) -> UniqueInverse:
    """The different elements in rising order, and for every element of x which one it is."""
    values, _, inverse, _ = unique_all(x)
    return UniqueInverse(values, inverse)


@spelled
def unique_values(x: Tensor, /) -> Tensor:
    """The different elements in rising order. Every NaN is different."""
    return unique_all(x).values


@spelled
def unique(
    x: Tensor,
    sorted: bool = True,
    return_inverse: bool = False,
    return_counts: bool = False,
    axis: int | None = None,
    *,
    return_index: bool = False,
    equal_nan: bool = True,
) -> Any:
    """The different elements in rising order, or slices along `axis`; behind them, of those asked for and in this
    order: first positions, for each element which one it is, counts. Always sorted."""
    _, first, inverse, counts = np.unique(
        host(x), return_index=True, return_inverse=True, return_counts=True, axis=axis, equal_nan=equal_nan
    )
    inverse = inverse.reshape(x.shape if axis is None else -1)
    asked = ((first, return_index), (inverse, return_inverse), (counts, return_counts))
    extra = tuple(wrap(x.backend.asarray(a)) for a, wanted in asked if wanted)
    values = take(x, first, axis)
    return (values, *extra) if extra else values


@spelled
def unique_consecutive(
    x: Tensor, return_inverse: bool = False, return_counts: bool = False, axis: int | None = None
) -> Any:
    """x without the elements (slices along `axis`) that repeat the one before them."""
    flat = ravel(x) if axis is None else x
    rows = np.moveaxis(host(flat), axis or 0, 0)
    rows = rows.reshape(len(rows), math.prod(rows.shape[1:]))
    new = np.append(np.ones(min(len(rows), 1), bool), np.any(rows[1:] != rows[:-1], axis=1))
    first = np.flatnonzero(new)
    inverse = (np.cumsum(new) - 1).reshape(x.shape if axis is None else -1)
    counts = np.diff(np.append(first, len(rows)))
    extra = tuple(
        wrap(x.backend.asarray(a)) for a, wanted in ((inverse, return_inverse), (counts, return_counts)) if wanted
    )
    values = take(flat, first, axis or 0)
    return (values, *extra) if extra else values


@takes_out
def isin(x1: Any, x2: Any, /, assume_unique: bool = False, invert: bool = False) -> Tensor:
    """True where an element of x1 is among those of x2 (or, inverted, is not). NaN is among none."""
    if MODE.get().levels:  # inside vmap, where values cannot be looked at: each with each
        found = F.any(F.equal(F.expand_dims(tensor_of(x1), -1), ravel(x2)), axis=-1)
        return F.logical_not(found) if invert else found
    return wrap(np.asarray(np.isin(host(x1), host(x2), invert=invert)))


@takes_out
def union1d(x1: Any, x2: Any) -> Tensor:
    """The different elements of both, in rising order."""
    x1 = tensor_of(x1)
    x2 = x2 if hasattr(x2, "dtype") else like(x2, x1)
    return unique(concat([ravel(x1), ravel(x2)]))


@takes_out
def intersect1d(x1: Any, x2: Any, assume_unique: bool = False, return_indices: bool = False) -> Any:
    """The different elements that both have, in rising order; return_indices: and their first positions in each."""
    x1 = ravel(x1)
    _, first, second = np.intersect1d(host(x1), host(x2), return_indices=True)
    values = take(x1, first)
    return (values, wrap(first), wrap(second)) if return_indices else values


@takes_out
def setdiff1d(x1: Any, x2: Any, assume_unique: bool = False) -> Tensor:
    """The different elements of x1 that x2 does not have, in rising order."""
    x1 = ravel(x1) if assume_unique else unique(x1)
    return x1[~np.isin(host(x1), host(x2))]


@takes_out
def setxor1d(x1: Any, x2: Any, assume_unique: bool = False) -> Tensor:
    """The different elements that one of them has and the other has not, in rising order."""
    a, b = unique(x1), unique(x2)
    return F.sort(concat([setdiff1d(a, b), setdiff1d(b, a)]))


# ---- comparing -------------------------------------------------------------------------------------------------------


@takes_out
def isclose(a: Any, b: Any, rtol: float = 1e-5, atol: float = 1e-8, equal_nan: bool = False) -> Tensor:
    """True where |a - b| <= atol + rtol |b|; infinities of one sign are close; NaN is, to NaN, if equal_nan."""
    a, b = (x if x.dtype.kind in "fc" else x.astype("float64") for x in (tensor_of(a).detach(), tensor_of(b).detach()))
    same = F.equal(a, b)
    finite = F.logical_and(F.isfinite(a), F.isfinite(b))
    x, y = F.where(finite, a, 0), F.where(finite, b, 0)
    close = F.logical_or(same, F.logical_and(finite, F.less_equal(F.abs(x - y), atol + rtol * F.abs(y))))
    return F.logical_or(close, F.logical_and(F.isnan(a), F.isnan(b))) if equal_nan else close


@takes_out
def allclose(a: Any, b: Any, rtol: float = 1e-5, atol: float = 1e-8, equal_nan: bool = False) -> bool:
    """True if `isclose` holds everywhere."""
    return bool(isclose(a, b, rtol, atol, equal_nan).all())


@takes_out
def array_equal(a: Any, b: Any, equal_nan: bool = False) -> bool:
    """True if shapes and all elements are equal; NaN equals NaN if equal_nan."""
    return bool(np.array_equal(host(a), host(b), equal_nan))


@takes_out
def array_equiv(a: Any, b: Any) -> bool:
    """True if the arrays broadcast to one shape and are equal there."""
    return bool(np.array_equiv(host(a), host(b)))


def equal_tensors(x: Any, other: Any) -> bool:
    """PyTorch's equal: one shape, and all elements equal."""
    return array_equal(x, other)


@spelled
def renorm(x: Tensor, p: float, axis: int, maxnorm: float) -> Tensor:
    """x with every slice along `axis` scaled down to p-norm `maxnorm` if its norm is larger."""
    if x.ndim < 2:
        raise ShapeError(f"renorm: needs at least 2 axes, one of slices: got shape {x.shape}.")
    axis = axis_of("renorm", axis, x)
    if p <= 0 or maxnorm < 0:
        raise ArgumentError(f"renorm: p must be positive and maxnorm not negative: got {p}, {maxnorm}.")
    others = tuple(i for i in axes_of("renorm", None, x.ndim) if i != axis)
    size = F.abs(x)
    norm = (
        F.max(size, axis=others, keepdims=True)
        if p == np.inf
        else F.power(F.sum(F.power(size, p), axis=others, keepdims=True), 1 / p)
    )
    large = norm > maxnorm
    return x * F.where(large, maxnorm / (F.where(large, norm, 1) + 1e-7), 1)
