"""Order: sorting, partitions, and places in sorted arrays. Positions carry no gradient; values move with them."""

import numpy as np

from ..errors import IndexRangeError, ShapeError
from ..primitive import Spec, axes_of, case, fused, primitive, same_as

INDEX = "its values are positions"


def positions(op, x, *, axis=-1, **params):
    """Indices shaped like x."""
    axes_of(op, axis, len(x.shape))
    return Spec(tuple(x.shape), np.dtype(np.int64))


def _ordered(xp, x, axis, descending, by):
    """`by` (argsort or sort, stable) in rising or falling order; equal elements keep their order in both."""
    if not descending:
        return by(x, axis=axis, kind="stable")
    y = by(xp.flip(x, axis=axis), axis=axis, kind="stable")
    return xp.flip(y, axis=axis)


ORDERS = (case((3, 4)), case((3, 4), axis=0, descending=True), case((5,), axis=-1), case(()))


@primitive(checked=True, shape=positions, kind="index", no_gradient=INDEX, samples=ORDERS)
def argsort(xp, x, *, axis=-1, descending=False, stable=True):
    """The positions that sort x along `axis`: take_along_axis(x, y, axis) is sorted. Equal elements keep their order
    (always stable); NaN counts as the largest. int64, shaped like x."""
    if not x.ndim:
        return xp.zeros((), np.int64)
    y = _ordered(xp, x, axis, descending, xp.argsort)
    return x.shape[axis] - 1 - y if descending else y


@primitive(checked=True, shape=same_as("x"), samples=ORDERS)
def sort(xp, x, *, axis=-1, descending=False, stable=True):
    """x in rising (or falling) order along `axis`; NaN counts as the largest. Each element's gradient returns to where
    it came from, those of equal elements in their order: the sort is stable."""
    return _ordered(xp, x, axis, descending, xp.sort) if x.ndim else xp.array(x)


@sort.rule("x")
def _(F, g, x, axis, descending):
    if not x.shape:
        return g
    return F.add_along_axis(g, F.argsort(x, axis=axis, descending=descending), axis=axis, size=x.shape[axis])


def _leading(op, x, *, k, axis=-1, largest=True):
    (axis,) = axes_of(op, axis, len(x.shape))
    if not 0 <= k <= x.shape[axis]:
        raise IndexRangeError(f"{op}: k must be from 0 to {x.shape[axis]}, the length of axis {axis}: got {k}.")
    return Spec((*x.shape[:axis], k, *x.shape[axis + 1 :]), np.dtype(np.int64))


@primitive(
    checked=True, shape=_leading, kind="index", no_gradient=INDEX, public=False,
    samples=(case((3, 4), k=2), case((5, 2), k=3, axis=0, largest=False), case((4,), k=0)),
)  # fmt: skip
def argtopk(xp, x, *, k, axis=-1, largest=True):
    """The positions of the k largest (or smallest) elements along `axis`, the most extreme first, equal ones in their
    order; NaN counts as the largest. int64."""
    order = argsort.forward(xp, x, axis=axis, descending=largest)
    return order[(slice(None),) * (axis % x.ndim) + (slice(0, k),)]


def _partitioned(op, x, *, kth, axis=-1):
    (axis,) = axes_of(op, axis, len(x.shape)) or (0,)
    n = x.shape[axis] if x.shape else 1
    for k in kth if isinstance(kth, tuple) else (kth,):
        if not -n <= k < n:
            raise IndexRangeError(f"{op}: kth must be from {-n} to {n - 1}, the places along axis {axis}: got {k}.")
    return Spec(tuple(x.shape), np.dtype(np.int64) if op == "argpartition" else x.dtype)


PARTS = (case((3, 5), kth=2), case((4, 3), kth=(0, 2), axis=0))


@primitive(checked=True, shape=_partitioned, kind="index", no_gradient=INDEX, public=False, samples=PARTS)
def argpartition(xp, x, *, kth, axis=-1):
    """The positions of a partition of x along `axis`: place kth holds what a sort would put there, smaller elements
    stand before it, larger behind, in any order. int64."""
    return xp.argpartition(x, kth, axis=axis) if x.ndim else xp.zeros((), np.int64)


@fused(shape=_partitioned, public=False, samples=PARTS)
def partition(F, x, *, kth, axis=-1):
    """x rearranged along `axis` so that place kth holds what a sort would put there, with no larger element before it
    and no smaller one behind. Gradients return to where the elements came from."""
    return F.take_along_axis(x, F.argpartition(x, kth=kth, axis=axis), axis=axis) if x.shape else F.copy(x)


def _searched(op, edges, values, *, side="left"):
    rows = tuple(edges.shape[:-1])
    if not edges.shape or (rows and rows != tuple(values.shape[:-1])):
        raise ShapeError(
            f"{op}: the sorted array must have one axis, or rows (..., n) for values (..., m): got "
            f"{tuple(edges.shape)} and {tuple(values.shape)}."
        )
    return Spec(tuple(values.shape), np.dtype(np.int64))


@primitive(
    checked=True,
    shape=_searched,
    kind="index",
    no_gradient=INDEX,
    public=False,
    samples=(case((5,), (2, 3)), case((2, 4), (2, 3), side="right"), case((4,), ())),
)
def searchsorted(xp, edges, values, *, side="left"):
    """Where `values` would go among the sorted `edges`: the number of edges below each value, for side="right" of those
    not above it. edges: (n,), values: any shape; or edges: (..., n), values: (..., m), row by row. int64."""
    if len(edges.shape) == 1:
        return xp.searchsorted(edges, values, side=side)
    if not edges.size or not values.size:
        return xp.zeros(values.shape, np.int64)
    rows, queries = edges.reshape(-1, edges.shape[-1]), values.reshape(-1, values.shape[-1])
    found = [xp.searchsorted(rows[i], queries[i], side=side) for i in range(rows.shape[0])]
    return xp.stack(found).reshape(values.shape)
