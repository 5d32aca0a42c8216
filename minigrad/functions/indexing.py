"""Reading and writing by position: take, gather, scatter, masks, grids of positions.

Readers pass gradients back to the places read, adding up where a place is read twice. Writers return a new tensor;
where two values go to one place the last one wins, as in NumPy, and each of them receives the gradient of the place.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from ..errors import ArgumentError, DTypeError, IndexRangeError, ShapeError
from ..ops.indexing import PLACE
from ..primitive import axes_of, broadcast_shapes, kind_of
from ..tensor import F, Tensor, wrap
from .arranging import ints_of, ravel
from .spelling import host, like, named, one_of, spelled, takes_out, tensor_of


def positions(op: str, index: Any) -> Tensor:
    """Index data as an integer tensor; empty lists too."""
    index = tensor_of(index)
    if index.dtype.kind not in "iu":
        if index.size:
            raise DTypeError(f"{op}: indices must be integers: got {index.dtype}.")
        index = index.astype(np.int64)
    return index


def axis_of(op: str, axis: Any, x: Tensor) -> int:
    """One axis of x, as a number from 0."""
    axes = axes_of(op, (axis,), x.ndim)
    return axes[0] if axes else 0


def _check_range(op: str, index: Tensor, n: int, axis: int) -> None:
    """On a GPU, whose functions let what is out of range wrap or make NaN; the host's raise."""
    if not (index.backend.defers and index.size):
        return

    def check(low: int, high: int) -> None:
        if low < -n or high >= n:
            raise IndexRangeError(
                f"{op}: indices must be from {-n} to {n - 1}, for axis {axis} has {n} places: got "
                f"{low if low < -n else high}."
            )

    xp = index.backend.xp
    index.backend.later(xp.stack([xp.min(index.array), xp.max(index.array)]), check)


# ---- reading ---------------------------------------------------------------------------------------------------------


@named(index="indices")
def take(x: Tensor, indices: Any, axis: int | None = None, *, mode: str = "raise") -> Tensor:
    """y[..., i, ...] = x[..., indices[i], ...] along `axis`; None: from the flat array. y has the axes of indices
    there.

    mode, for indices out of range, as NumPy's: raise, wrap (counted round), clip (the nearest end).
    """
    one_of("take", "mode", mode, ("raise", "wrap", "clip"))
    indices = positions("take", indices)
    if axis is None:
        x, axis = ravel(x), 0
    elif not x.ndim:
        x = F.reshape(x, (1,))
    axis = axis_of("take", axis, x)
    n = x.shape[axis]
    if mode != "raise" and n:
        indices = F.remainder(indices, n) if mode == "wrap" else F.minimum(F.maximum(indices, 0), n - 1)
    _check_range("take", indices, n, axis)
    return x[(slice(None),) * axis + (indices,)]


@spelled
def index_select(x: Tensor, axis: int, index: Any) -> Tensor:
    """PyTorch's take: the slices `index` (a vector) of `axis`."""
    index = positions("index_select", index)
    if index.ndim > 1:
        raise ShapeError(f"index_select: index must be a vector: got shape {index.shape}.")
    y = take(x, F.reshape(index, (index.size,)), axis)
    return F.reshape(y, ()) if not x.ndim else y


def select(x: Any = None, axis: Any = None, index: Any = 0, **spelled: Any) -> Tensor:
    """PyTorch's select(x, dim, index): the slice at `index` of `axis`, without that axis, a view. Given lists, NumPy's
    select(conditions, choices, default): at each place the choice of the first condition that holds."""
    x = spelled.get("input", spelled.get("condlist", x))
    if isinstance(x, (list, tuple)):
        return _first_that_holds(x, spelled.get("choicelist", axis), spelled.get("default", index))
    axis = spelled.get("dim", axis)
    if not x.ndim:
        raise IndexRangeError("select: a 0-d array has no axis to select from.")
    axis, n = axis_of("select", axis, x), int(index)
    if not -x.shape[axis] <= n < x.shape[axis]:
        raise IndexRangeError(f"select: index {n} is out of range for axis {axis} of shape {x.shape}.")
    return x[(slice(None),) * axis + (n,)]


def grid(op: str, x: Tensor, axis: int, index: Tensor) -> tuple[tuple, list]:
    """The key and index arrays of the places (i, index[i, j, k], k) for axis = 1: one for each element of index."""
    if index.ndim != x.ndim:
        raise ShapeError(f"{op}: index needs as many axes as x: got {index.shape} for {x.shape}.")
    for i, (a, b) in enumerate(zip(index.shape, x.shape)):
        if i != axis and a > b:
            raise ShapeError(
                f"{op}: index must not be longer than x but along axis {axis}: {index.shape} for {x.shape}."
            )
    xp, n = x.backend.xp, x.ndim
    with x.backend.active():
        ways = [xp.arange(m).reshape([-1 if i == k else 1 for k in range(n)]) for i, m in enumerate(index.shape)]
    ways[axis] = index.array
    return (PLACE,) * n, ways


@spelled
def gather(x: Tensor, axis: int, index: Any, *, sparse_grad: bool = False) -> Tensor:
    """y[i, j, k] = x[i, index[i, j, k], k] for axis = 1. index: as many axes as x, shorter or equal but along `axis`.

    >>> gather(tensor_of([[1, 2], [3, 4]]), 1, [[0, 0], [1, 0]])
    tensor([[1, 1], [4, 3]])
    """
    index, axis = positions("gather", index), axis_of("gather", axis, x)
    if not x.ndim or not index.ndim:
        y = take(x, F.reshape(index, (index.size,)), 0)
        return F.reshape(y, index.shape)
    if not index.size and index.ndim != x.ndim:
        return F.zeros(shape=index.shape, dtype=x.dtype, like=x)
    _check_range("gather", index, x.shape[axis], axis)
    key, ways = grid("gather", x, axis, index)
    if index.shape[:axis] + index.shape[axis + 1 :] == x.shape[:axis] + x.shape[axis + 1 :]:
        return F.take_along_axis(x, index, axis=axis)
    return F.getitem(x, *ways, key=key)


def _in_range(op: str, index: Tensor, n: int, low: int = 0) -> None:
    values = host(index)
    if values.size and (values.min() < low or values.max() >= n):
        raise IndexRangeError(f"{op}: indices must be from {low} to {n - 1}: got {values.min()} to {values.max()}.")


@spelled
def take_along_dim(x: Tensor, indices: Any, axis: int | None = None) -> Tensor:
    """PyTorch's take_along_axis: one index per element, along `axis`; None: of the flat arrays."""
    indices = positions("take_along_dim", indices)
    if axis is None:
        return take(x, ravel(indices))
    _check_range("take_along_dim", indices, x.shape[axis_of("take_along_dim", axis, x)], axis)
    return F.take_along_axis(x, indices, axis=axis)


@spelled
def masked_select(x: Tensor, mask: Any) -> Tensor:
    """The elements where the mask (broadcast against x) is True, as a vector."""
    mask = _mask("masked_select", mask)
    shape = broadcast_shapes("masked_select", x.shape, mask.shape)
    return F.broadcast_to(x, shape)[F.broadcast_to(mask, shape)]


def _mask(op: str, mask: Any) -> Tensor:
    mask = tensor_of(mask)
    if mask.dtype != bool:
        raise DTypeError(f"{op}: a mask holds booleans: got {mask.dtype}. Compare first, as in x > 0.")
    return mask


@spelled
def compress(condition: Any, x: Any, axis: int | None = None) -> Tensor:
    """The slices of x along `axis` where the condition, a vector, is True; None: of the flat array."""
    (kept,) = np.nonzero(host(condition))
    return take(x, kept, axis)


@takes_out
def extract(condition: Any, x: Any) -> Tensor:
    """The elements of x, flattened, where the condition is True."""
    return compress(ravel(condition), x)


# ---- positions (no gradient) -----------------------------------------------------------------------------------------


@spelled
def nonzero(x: Tensor, *, as_tuple: bool | None = None) -> Any:
    """The positions of the elements that are not zero, as one index array for each axis; as_tuple=False: as rows."""
    if as_tuple and not x.ndim:  # asked for by PyTorch's word
        return nonzero(F.reshape(x, (1,)), as_tuple=True)
    if as_tuple is None and not x.ndim:
        raise ShapeError("nonzero: a 0-d array has no positions. Use x.reshape(1), or x != 0.")
    places = np.nonzero(np.atleast_1d(host(x)))
    if as_tuple is False:
        return argwhere(x)
    return tuple(wrap(x.backend.asarray(p)) for p in places)


@spelled
def argwhere(x: Tensor) -> Tensor:
    """(N, ndim): the positions of the N elements that are not zero, in row-major order."""
    return wrap(x.backend.asarray(np.argwhere(host(x))))


@spelled
def flatnonzero(x: Tensor) -> Tensor:
    """The positions in the flat array of the elements that are not zero."""
    return wrap(x.backend.asarray(np.flatnonzero(host(x))))


def unravel_index(indices: Any, shape: Any) -> tuple[Tensor, ...]:
    """Positions in the flat array as one index array for each axis of `shape`."""
    try:
        return tuple(wrap(np.asarray(p)) for p in np.unravel_index(host(indices), ints_of(shape)))
    except ValueError as error:
        raise IndexRangeError(f"unravel_index: {error}.") from None


def ravel_multi_index(multi_index: Any, dims: Any, mode: Any = "raise") -> Tensor:
    """One index array for each axis of `dims` as positions in the flat array."""
    try:
        return wrap(np.asarray(np.ravel_multi_index(tuple(host(i) for i in multi_index), ints_of(dims), mode)))
    except ValueError as error:
        raise IndexRangeError(f"ravel_multi_index: {error}.") from None


def indices(dimensions: Any, dtype: Any = np.int64, sparse: bool = False) -> Any:
    """indices(shape)[i, ...] = the index along axis i at each place; sparse: a tuple of arrays that broadcast so."""
    y: Any = np.indices(ints_of(dimensions), dtype, sparse)  # type: ignore[call-overload]
    return tuple(map(wrap, y)) if sparse else wrap(y)


def ix_(*sequences: Any) -> tuple[Tensor, ...]:
    """Index arrays of a grid: x[ix_(rows, columns)] has every row in rows with every column in columns."""
    grids = np.ix_(*(host(s) for s in sequences))
    return tuple(
        F.reshape(s, i.shape) if isinstance(s, Tensor) and s.node is not None else wrap(i)
        for s, i in zip(sequences, grids)
    )


def tril_indices(
    row: int, col: int | None = None, offset: int = 0, *, dtype: Any = np.int64, device: Any = None, layout: Any = None
) -> Tensor:
    """(2, N): rows and columns of the lower triangle of a (row, col) matrix, up to the offset-th diagonal."""
    return _at(np.stack(np.tril_indices(row, offset, row if col is None else col)), dtype, device)


def triu_indices(
    row: int, col: int | None = None, offset: int = 0, *, dtype: Any = np.int64, device: Any = None, layout: Any = None
) -> Tensor:
    """(2, N): rows and columns of the upper triangle of a (row, col) matrix, from the offset-th diagonal on."""
    return _at(np.stack(np.triu_indices(row, offset, row if col is None else col)), dtype, device)


def _at(places: np.ndarray, dtype: Any, device: Any) -> Tensor:
    y = wrap(places.astype(dtype or np.int64))
    return y if device is None else y.to(device)


def diag_indices(n: int, ndim: int = 2) -> tuple[Tensor, ...]:
    """Index arrays of the main diagonal of an array with `ndim` axes of length n."""
    return tuple(wrap(np.arange(n)) for _ in range(ndim))


# ---- writing, out of place -------------------------------------------------------------------------------------------


@spelled
def masked_fill(x: Tensor, mask: Any, value: Any) -> Tensor:
    """`value` where the mask is True, else x."""
    y = F.where(_mask("masked_fill", mask), value, x)
    return y if y.dtype == x.dtype else y.astype(x.dtype)


@named(index="mask")
def masked_scatter(x: Tensor, mask: Any, source: Any) -> Tensor:
    """x with the first elements of `source`, one after the other, where the mask is True."""
    source, mask = ravel(tensor_of(source)), _mask("masked_scatter", mask)
    shape = broadcast_shapes("masked_scatter", x.shape, mask.shape)
    mask = F.broadcast_to(mask, shape)
    count = int(host(mask).sum())
    if count > source.size:
        raise ShapeError(f"masked_scatter: source has {source.size} elements for {count} places.")
    return F.setitem(F.broadcast_to(x, shape), source[:count], mask.array, key=(PLACE,))


def _sized(op: str, x: Tensor, axis: int, index: Any, src: Any) -> tuple:
    """The key, the index arrays, and the part of src that scatter reads, for any number of axes."""
    index = positions(op, index)
    index, shape = (F.reshape(index, (index.size,)), (x.size,)) if not x.ndim else (index, x.shape)
    axis = axis_of(op, axis, x)
    flat = F.reshape(x, shape)
    key, ways = grid(op, flat, axis, index)
    if isinstance(src, (int, float, complex)):
        src = F.broadcast_to(like(src, x), index.shape)
    src = F.reshape(tensor_of(src), index.shape) if not x.ndim else tensor_of(src)
    if src.ndim != index.ndim or any(a < b for a, b in zip(src.shape, index.shape)):
        raise ShapeError(f"{op}: src must be at least as long as index everywhere: got {src.shape} for {index.shape}.")
    if src.shape != index.shape:
        src = src[tuple(slice(0, n) for n in index.shape)]
    if src.dtype != x.dtype:
        raise DTypeError(f"{op}: src must have the dtype of x: got {src.dtype} for {x.dtype}. Use src.astype(x.dtype).")
    return flat, key, ways, src


@named(value="src")
def scatter(x: Tensor, axis: int, index: Any, src: Any, *, reduce: str | None = None) -> Tensor:
    """x with x[i, index[i, j, k], k] = src[i, j, k] for axis = 1, one element of src (or a number) per element of
    index.

    reduce: "add" or "multiply" instead of overwriting.
    """
    if not isinstance(index, Tensor) or index.size:
        if reduce in ("add", "multiply"):
            return scatter_reduce(x, axis, index, src, "sum" if reduce == "add" else "prod")
        one_of("scatter", "reduce", reduce, (None, "add", "multiply"))
        flat, key, ways, src = _sized("scatter", x, axis, index, src)
        return F.reshape(F.setitem(flat, src, *ways, key=key), x.shape)
    return F.copy(x)


@spelled
def scatter_add(x: Tensor, axis: int, index: Any, src: Any) -> Tensor:
    """x with src[i, j, k] added at x[i, index[i, j, k], k] for axis = 1; a place named twice receives both."""
    index = positions("scatter_add", index)
    if not index.size:
        return F.copy(x)
    flat, key, ways, src = _sized("scatter_add", x, axis, index, src)
    return F.reshape(flat + F.scatter(src, *ways, key=key, shape=flat.shape), x.shape)


@spelled
def scatter_reduce(x: Tensor, axis: int, index: Any, src: Any, reduce: str, *, include_self: bool = True) -> Tensor:
    """x with the src of each place combined there: reduce = sum, prod, mean, amax or amin.

    include_self: x takes part; else the places that index names start anew. Equal extremes share the gradient.
    """
    one_of("scatter_reduce", "reduce", reduce, ("sum", "prod", "mean", "amax", "amin"))
    index = positions("scatter_reduce", index)
    if not index.size:
        return F.copy(x)
    flat, _, ways, src = _sized("scatter_reduce", x, axis, index, src)
    places = wrap(x.backend.asarray(np.arange(flat.size).reshape(flat.shape)))[tuple(wrap(w) for w in ways)]
    y = reduced_groups(ravel(flat), ravel(places), ravel(src), reduce, include_self)
    return F.reshape(y, x.shape)


def reduced_groups(x: Tensor, places: Tensor, src: Tensor, reduce: str, include_self: bool) -> Tensor:
    """(N,): x with src[j] combined at places[j]. src, places: (M,)."""
    n, where = x.size, host(places)
    count = np.bincount(where, minlength=n)
    named = x.backend.asarray(count > 0)
    start = x if include_self else F.where(named, _neutral(reduce, x.dtype), x)
    if reduce in ("amax", "amin"):
        return F.group_extreme(start, src, places, largest=reduce == "amax")
    if reduce == "prod":  # every group a row of a matrix of ones: the product's gradient is right at zeros
        order = np.argsort(where, kind="stable")
        rank = np.empty_like(where)
        rank[order] = np.arange(where.size) - (np.cumsum(count) - count)[where[order]]
        rows = F.ones(shape=(n, int(count.max(initial=0))), dtype=x.dtype)
        rows = F.setitem(rows, src, places.array, x.backend.asarray(rank), key=(PLACE, PLACE))
        return start * F.prod(rows, axis=1).astype(x.dtype)
    total = start + F.scatter(src, places, key=(PLACE,), shape=(n,))
    if reduce == "sum":
        return total
    sizes = x.backend.asarray(np.maximum(count + include_self, 1).astype(x.dtype))
    return total / sizes if kind_of(x.dtype) in "fc" else F.floor_divide(total, sizes)


def _neutral(reduce: str, dtype: Any) -> Any:
    if reduce in ("amax", "amin"):
        if dtype.kind == "b":
            return dtype.type(reduce == "amin")
        info: Any = np.iinfo(dtype) if dtype.kind in "iu" else None
        low, high = (info.min, info.max) if info else (-math.inf, math.inf)
        return dtype.type(low if reduce == "amax" else high)
    return dtype.type(1 if reduce == "prod" else 0)


def _slices(op: str, x: Tensor, axis: int, index: Any) -> tuple[Tensor, tuple, Tensor]:
    """x with at least one axis, the key of the slices `index` of `axis`, and index as a vector."""
    axis, index = axis_of(op, axis, x), positions(op, index)
    if index.ndim > 1:
        raise ShapeError(f"{op}: index must be a vector: got shape {index.shape}.")
    index = F.reshape(index, (index.size,))
    return F.reshape(x, x.shape or (1,)), (slice(None),) * axis + (PLACE,), index


def _source(op: str, x: Tensor, flat: Tensor, key: tuple, index: Tensor, source: Any) -> Tensor:
    source = tensor_of(source)
    axis = len(key) - 1
    shape = (*flat.shape[:axis], index.size, *flat.shape[axis + 1 :])
    if source.shape != shape and source.size != math.prod(shape):
        raise ShapeError(f"{op}: source must have one slice per index, {shape}: got {source.shape}.")
    if source.dtype != x.dtype:
        raise DTypeError(f"{op}: source must have the dtype of x: got {source.dtype} for {x.dtype}.")
    return F.reshape(source, shape)


@named(tensor="source")
def index_add(x: Tensor, axis: int, index: Any, source: Any, *, alpha: Any = 1) -> Tensor:
    """x with alpha source[..., i, ...] added to the slice index[i] of `axis`; a slice named twice receives both."""
    flat, key, index = _slices("index_add", x, axis, index)
    source = _source("index_add", x, flat, key, index, source)
    source = source if alpha == 1 else (source * alpha).astype(x.dtype)
    return F.reshape(flat + F.scatter(source, index, key=key, shape=flat.shape), x.shape)


@named(tensor="source")
def index_copy(x: Tensor, axis: int, index: Any, source: Any) -> Tensor:
    """x with source[..., i, ...] as the slice index[i] of `axis`."""
    flat, key, index = _slices("index_copy", x, axis, index)
    source = _source("index_copy", x, flat, key, index, source)
    return F.reshape(F.setitem(flat, source, index, key=key), x.shape)


@spelled
def index_fill(x: Tensor, axis: int, index: Any, value: Any) -> Tensor:
    """x with `value`, one number, in the slices `index` of `axis`."""
    axis, index, value = axis_of("index_fill", axis, x), positions("index_fill", index), like(value, x)
    if value.ndim:
        raise ShapeError(f"index_fill: value must be one number: got shape {value.shape}.")
    n = x.shape[axis] if x.ndim else 1
    named = F.setitem(wrap(x.backend.xp.zeros(n, bool)), True, ravel(index), key=(PLACE,))  # (n,)
    return F.where(F.reshape(named, (-1,) + (1,) * (x.ndim - axis - 1) if x.ndim else ()), value, x)


@named(source="src")
def index_reduce(x: Tensor, axis: int, index: Any, src: Any, reduce: str, *, include_self: bool = True) -> Tensor:
    """x with the slices of src combined into the slices `index` of `axis`: reduce = prod, mean, amax or amin."""
    one_of("index_reduce", "reduce", reduce, ("prod", "mean", "amax", "amin"))
    flat, key, index = _slices("index_reduce", x, axis, index)
    src = _source("index_reduce", x, flat, key, index, src)
    if not src.size:
        return F.copy(x)
    places = wrap(np.arange(flat.size).reshape(flat.shape))[(*key[:-1], index)]
    return F.reshape(reduced_groups(ravel(flat), ravel(places), ravel(src), reduce, include_self), x.shape)


@spelled
def index_put(x: Tensor, indices: Sequence, values: Any, accumulate: bool = False) -> Tensor:
    """x with x[indices] = values, or += if accumulate: then a place named twice receives both."""
    from ..convert import index as parts

    key, arrays = parts(tuple(slice(None) if i is None else i for i in indices))
    values = like(values, x)
    if not accumulate:
        return F.setitem(x, values, *arrays, key=key)
    shape = F.getitem(x, *arrays, key=key).shape
    return x + F.scatter(F.broadcast_to(values, shape), *arrays, key=key, shape=x.shape)


@spelled
def put(x: Tensor, index: Any, source: Any, accumulate: bool = False) -> Tensor:
    """x with `source` at the places `index` of the flat array, or added there."""
    index, source = ravel(positions("put", index)), ravel(like(source, x))
    if source.size != index.size:
        raise ShapeError(f"put: one element of source per index: got {source.size} for {index.size}.")
    return F.reshape(index_put(ravel(x), (index,), source, accumulate), x.shape) if index.size else F.copy(x)


def put_along_axis(x: Any, indices: Any, values: Any, axis: int | None) -> Tensor:
    """x with values[..., i, ...] at indices[..., i, ...] along `axis`; None: in the flat array. A new tensor."""
    x, indices = tensor_of(x), positions("put_along_axis", indices)
    values = like(values, x)
    if axis is None:
        y = F.setitem(ravel(x), F.broadcast_to(values, indices.shape), indices, key=(PLACE,))
        return F.reshape(y, x.shape)
    axis = axis_of("put_along_axis", axis, x)
    shape = tuple(m if i == axis else n for i, (n, m) in enumerate(zip(x.shape, indices.shape)))
    indices, values = F.broadcast_to(indices, shape), F.broadcast_to(values, shape)
    key, ways = grid("put_along_axis", x, axis, indices)
    return F.setitem(x, values, *ways, key=key)


@named(start_dim="start")
def slice_scatter(x: Tensor, src: Any, axis: int = 0, start: Any = None, end: Any = None, step: int = 1) -> Tensor:
    """x with `src` as its slice start:end:step along `axis`."""
    key = (slice(None),) * axis_of("slice_scatter", axis, x) + (slice(start, end, step),)
    src = tensor_of(src)
    if src.shape != x[key].shape:
        raise ShapeError(f"slice_scatter: src must have the slice's shape {x[key].shape}: got {src.shape}.")
    return F.setitem(x, src, key=key)


@spelled
def select_scatter(x: Tensor, src: Any, axis: int, index: int) -> Tensor:
    """x with `src` as its slice at `index` of `axis`."""
    key = (slice(None),) * axis_of("select_scatter", axis, x) + (int(index),)
    src = tensor_of(src)
    if src.shape != x[key].shape:
        raise ShapeError(f"select_scatter: src must have the slice's shape {x[key].shape}: got {src.shape}.")
    return F.setitem(x, src, key=key)


# ---- choosing --------------------------------------------------------------------------------------------------------


def choose(a: Any, choices: Any, mode: str = "raise") -> Tensor:
    """y = choices[a] element by element: a holds integers from 0 to the number of choices - 1, all broadcast."""
    a = positions("choose", a)
    choices = [tensor_of(c) for c in (choices if not isinstance(choices, Tensor) else list(choices))]
    shape = broadcast_shapes("choose", a.shape, *(c.shape for c in choices))
    stacked = F.stack(*(F.broadcast_to(c, shape) for c in choices))  # (N, ...)
    if mode == "wrap":
        a = F.remainder(a, len(choices))
    elif mode == "clip":
        a = F.minimum(F.maximum(a, 0), len(choices) - 1)
    _in_range("choose", a, len(choices))
    return F.take_along_axis(stacked, F.expand_dims(F.broadcast_to(a, shape), 0), axis=0)[0]


def _first_that_holds(condlist: Sequence, choicelist: Sequence, default: Any) -> Tensor:
    if len(condlist) != len(choicelist) or not condlist:
        raise ArgumentError(f"select: as many conditions as choices: got {len(condlist)} and {len(choicelist)}.")
    y = default
    for condition, choice in zip(reversed(condlist), reversed(choicelist)):
        y = F.where(_mask("select", condition), choice, y)
    return y


def piecewise(x: Any, condlist: Any, funclist: Sequence, *args: Any, **keywords: Any) -> Tensor:
    """f_i(x) where the i-th condition holds (the last that does), the function behind them elsewhere, else 0.

    A function is evaluated on the elements it is for alone, so that it may be undefined elsewhere.
    """
    x = tensor_of(x)
    conditions = (
        condlist if isinstance(condlist, (list, tuple)) and np.ndim(host(condlist[0])) == x.ndim else [condlist]
    )
    masks = [np.broadcast_to(host(c).astype(bool), x.shape) for c in conditions]
    if len(funclist) == len(masks) + 1:
        masks.append(~np.any(masks, axis=0))
    elif len(funclist) != len(masks):
        raise ArgumentError(f"piecewise: {len(masks)} conditions need so many functions, or one more: {len(funclist)}.")
    y = F.zeros_like(x)
    for mask, f in zip(masks, funclist):
        part = f(x[mask], *args, **keywords) if callable(f) else f
        y = F.setitem(y, like(part, x), x.backend.asarray(mask), key=(PLACE,))
    return y


@takes_out
def one_hot(labels: Tensor, num_classes: int = -1) -> Tensor:
    """(..., ) integers to (..., K) int64 rows with a single 1; K = max + 1 if not given."""
    index = labels.numpy()
    k = num_classes if num_classes >= 0 else int(index.max(initial=-1)) + 1
    if index.size and (index.min() < 0 or index.max() >= k):
        raise ShapeError(f"one_hot: labels must be from 0 to {k - 1}: got {index.min()} to {index.max()}.")
    return wrap(labels.backend.asarray((index[..., None] == np.arange(k)).astype(np.int64)))


@spelled
def nonzero_static(x: Tensor, *, size: int, fill_value: int = -1) -> Tensor:
    """(size, ndim): `argwhere` cut to `size` rows, or filled up with `fill_value`: a shape that no value decides."""
    rows = argwhere(x)[:size]
    return F.pad(rows, widths=((0, size - rows.shape[0]), (0, 0)), value=fill_value)
