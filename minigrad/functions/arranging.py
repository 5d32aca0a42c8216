"""Shapes and arrangement: join, cut, move, turn, repeat, frame. Elements move, none is computed."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from ..edits import link
from ..errors import ArgumentError, AxisError, DTypeError, ShapeError
from ..primitive import PRIMITIVES, axes_of
from ..primitive import broadcast_shapes as _broadcast_shapes
from ..tensor import F, Tensor, apply, wrap
from .spelling import host, like, named, spelled, takes_out, tensor_of


def ints_of(given: Any) -> tuple[int, ...]:
    """An int or several, of any integer type, as a tuple."""
    if isinstance(given, (Tensor, np.ndarray)):
        given = given.tolist()
    return tuple(n.__index__() for n in given) if isinstance(given, Iterable) else (given.__index__(),)


# ---- shapes ----------------------------------------------------------------------------------------------------------


@spelled
def reshape(x: Tensor, /, shape: Any, *, copy: bool | None = None) -> Tensor:
    """The same elements in row-major order, in another shape; one length may be -1. A view where memory allows.

    copy: True for memory of its own, False for an error where no view is possible.
    """
    y = F.reshape(x, ints_of(shape))
    if copy is False and x.size and not x.backend.shares_memory(x.array, y.array):
        raise ArgumentError(f"reshape: copy=False, but {x.shape} in this memory order has no view {y.shape}.")
    return F.copy(y) if copy else y


def broadcast_shapes(*shapes: Any) -> tuple[int, ...]:
    """The shape that arrays of these shapes broadcast to.

    >>> broadcast_shapes((3, 1), (4,))
    (3, 4)
    """
    return _broadcast_shapes("broadcast_shapes", *map(ints_of, shapes))


def broadcast_arrays(*arrays: Any) -> tuple[Tensor, ...]:
    """The arrays broadcast to one shape."""
    xs = [tensor_of(x) for x in _listed(arrays)]
    shape = _broadcast_shapes("broadcast_arrays", *(x.shape for x in xs))
    return tuple(F.broadcast_to(x, shape) for x in xs)


broadcast_tensors = broadcast_arrays


def _listed(arrays: Sequence) -> Sequence:
    """f([a, b]) as well as f(a, b)."""
    return list(arrays[0]) if len(arrays) == 1 and isinstance(arrays[0], (list, tuple)) else arrays


@spelled
def flatten(x: Tensor, start_dim: int = 0, end_dim: int = -1) -> Tensor:
    """The axes from start_dim to end_dim as one: (B, C, H, W) with start_dim=1 to (B, C H W)."""
    if not x.ndim:
        axes_of("flatten", (start_dim,), 0), axes_of("flatten", (end_dim,), 0)
        return F.reshape(x, (1,))
    start, end = axes_of("flatten", start_dim, x.ndim)[0], axes_of("flatten", end_dim, x.ndim)[0]
    if start > end:
        raise ShapeError(
            f"flatten: start_dim must not come after end_dim: got {start_dim}, {end_dim} for shape {x.shape}."
        )
    return F.reshape(x, (*x.shape[:start], math.prod(x.shape[start : end + 1]), *x.shape[end + 1 :]))


@spelled
def ravel(x: Tensor) -> Tensor:
    """All elements along one axis, in row-major order."""
    return F.reshape(x, (x.size,))


@spelled
def unflatten(x: Tensor, axis: int, sizes: Any) -> Tensor:
    """One axis as several: (B, 12) with axis=1 and sizes=(3, -1) to (B, 3, 4)."""
    if not x.ndim:
        raise AxisError("unflatten: a 0-d array has no axis to unfold.")
    (axis,) = axes_of("unflatten", axis, x.ndim)
    sizes = ints_of(sizes)
    if not sizes:
        raise ArgumentError("unflatten: sizes must not be empty.")
    try:
        inner = np.broadcast_to(0, (x.shape[axis],)).reshape(sizes).shape
    except ValueError:
        raise ShapeError(f"unflatten: sizes {sizes} must multiply to axis {axis} of {x.shape}.") from None
    return F.reshape(x, (*x.shape[:axis], *inner, *x.shape[axis + 1 :]))


@spelled
def view_as(x: Tensor, other: Tensor) -> Tensor:
    """x in the shape of `other`."""
    return F.reshape(x, other.shape)


@spelled
def expand_as(x: Tensor, other: Tensor) -> Tensor:
    """x broadcast to the shape of `other`."""
    return F.broadcast_to(x, other.shape)


def _at_least(op: str, ndim: int, arrays: Sequence) -> Any:
    grown = []
    for x in map(tensor_of, _listed(arrays)):
        if ndim == 3 and 0 < x.ndim < 3:  # (N,) is one column per ... of a picture: (1, N, 1); (M, N) is (M, N, 1)
            x = F.reshape(x, (1, *x.shape, 1) if x.ndim == 1 else (*x.shape, 1))
        grown.append(F.reshape(x, (1,) * (ndim - x.ndim) + x.shape) if x.ndim < ndim else x)
    return grown[0] if len(arrays) == 1 and not isinstance(arrays[0], (list, tuple)) else tuple(grown)


def atleast_1d(*arrays: Any) -> Any:
    """Each array with at least one axis."""
    return _at_least("atleast_1d", 1, arrays)


def atleast_2d(*arrays: Any) -> Any:
    """Each array with at least two axes: a vector becomes one row."""
    return _at_least("atleast_2d", 2, arrays)


def atleast_3d(*arrays: Any) -> Any:
    """Each array with at least three axes: (N,) becomes (1, N, 1), (M, N) becomes (M, N, 1)."""
    return _at_least("atleast_3d", 3, arrays)


# ---- axes ------------------------------------------------------------------------------------------------------------


@spelled
def moveaxis(x: Tensor, source: Any, destination: Any) -> Tensor:
    """The axes `source` moved to the positions `destination`; the others keep their order."""
    sources, places = axes_of("moveaxis", source, x.ndim), axes_of("moveaxis", destination, x.ndim)
    if len(sources) != len(places):
        raise ShapeError(f"moveaxis: as many sources as destinations: got {source} and {destination}.")
    order = [i for i in range(x.ndim) if i not in sources]
    for place, axis in sorted(zip(places, sources)):
        order.insert(place, axis)
    return F.permute_dims(x, tuple(order))


movedim = moveaxis


@spelled
def swapaxes(x: Tensor, axis1: int, axis2: int) -> Tensor:
    """Two axes exchanged."""
    (a,), (b,) = axes_of("swapaxes", (axis1,), x.ndim) or (0,), axes_of("swapaxes", (axis2,), x.ndim) or (0,)
    order = list(range(x.ndim))
    if order:
        order[a], order[b] = b, a
    return F.permute_dims(x, tuple(order))


swapdims = swapaxes


@named(dims="axes")
def transpose(x: Tensor, axes: Any = None, *more: int) -> Tensor:
    """NumPy's transpose(x, axes), all axes reversed if None; PyTorch's transpose(x, dim0, dim1) with two integers."""
    if len(more) == 1:
        return swapaxes(x, axes, *more)
    if more:
        axes = (axes, *more)
    return F.permute_dims(x, None if axes is None else ints_of(axes))


@named(dims="axes")
def permute(x: Tensor, *axes: Any) -> Tensor:
    """PyTorch's permute_dims: axis i of the result is axis axes[i] of x."""
    return F.permute_dims(x, ints_of(_listed(axes)))


@spelled
def t(x: Tensor) -> Tensor:
    """The transpose of a matrix; a vector or number stays."""
    if x.ndim > 2:
        raise ShapeError(f"t: needs at most 2 axes: got shape {x.shape}. Use x.mT or permute_dims.")
    return F.permute_dims(x) if x.ndim == 2 else x


@spelled
def unsqueeze(x: Tensor, axis: int) -> Tensor:
    """PyTorch's expand_dims: a new axis of length 1."""
    return F.expand_dims(x, axis)


@spelled
def rollaxis(x: Tensor, axis: int, start: int = 0) -> Tensor:
    """The axis moved back until it lies before `start`."""
    (axis,) = axes_of("rollaxis", axis, x.ndim)
    start = start + x.ndim if start < 0 else start
    return moveaxis(x, axis, start - 1 if axis < start else start)


# ---- joining ---------------------------------------------------------------------------------------------------------


def _joined(arrays: Any, more: tuple, op: str) -> list[Tensor]:
    """The arrays of f([a, b]) or f(a, b) as tensors."""
    given = [arrays, *more] if more else arrays
    if isinstance(given, (Tensor, np.ndarray)):
        given = [given[i] for i in range(len(given))]  # along the first axis
    return [tensor_of(x) for x in given]


@takes_out
def concat(arrays: Any = None, /, *more: Any, axis: int | None = 0, **spelled: Any) -> Tensor:
    """The arrays one after the other along an existing `axis`; the other lengths must agree. None: flattened first.

    ``concat([a, b])`` or ``concat(a, b)``. Each receives its part of the gradient.

    >>> concat([tensor_of([1, 2]), tensor_of([3])])
    tensor([1, 2, 3])
    """
    arrays, axis = _given("concat", arrays, axis, spelled)
    if len(more) == 1 and isinstance(more[0], int) and isinstance(arrays, (list, tuple)):
        axis, more = more[0], ()  # torch.cat((a, b), 1)
    xs = _joined(arrays, more, "concat")
    if axis is None:
        xs, axis = [ravel(x) for x in xs], 0
    return apply(PRIMITIVES["concat"], *xs, axis=axis)


concatenate = concat


@takes_out
def cat(tensors: Any, dim: int = 0, **spelled: Any) -> Tensor:
    """PyTorch's concat; an empty vector (0,) among arrays of more axes counts as nothing."""
    tensors, axis = _given("cat", tensors, dim, spelled)
    xs = [tensor_of(x) for x in tensors]
    full = [x for x in xs if x.shape != (0,)]
    return concat(full if full and len(full[0].shape) > 1 else xs, axis=axis)


@takes_out
def stack(arrays: Any = None, /, *more: Any, axis: int = 0, **spelled: Any) -> Tensor:
    """The arrays side by side along a new `axis`; all shapes must agree. ``stack([a, b])`` or ``stack(a, b)``."""
    arrays, axis = _given("stack", arrays, axis, spelled)
    if len(more) == 1 and isinstance(more[0], int) and isinstance(arrays, (list, tuple)):
        axis, more = more[0], ()
    return apply(PRIMITIVES["stack"], *_joined(arrays, more, "stack"), axis=axis)


def _given(op: str, arrays: Any, axis: Any, spelled: dict) -> tuple[Any, Any]:
    """The arrays and the axis, by whatever name they came."""
    for name, value in spelled.items():
        if name in ("tensors", "arrays"):
            arrays = value
        elif name in ("dim", "axis"):
            axis = value
        else:
            raise TypeError(f"{op}() got an unexpected keyword argument {name!r}. It takes: arrays, axis.")
    if arrays is None:
        raise DTypeError(f"{op}: the arrays are missing. Give a list of them.")
    return arrays, axis


@takes_out
def hstack(arrays: Any) -> Tensor:
    """The arrays one after the other along axis 1, or 0 for vectors."""
    xs = [atleast_1d(x) for x in _joined(arrays, (), "hstack")]
    return concat(xs, axis=0 if xs and xs[0].ndim == 1 else 1)


@takes_out
def vstack(arrays: Any) -> Tensor:
    """The arrays one below the other: vectors are rows."""
    return concat([atleast_2d(x) for x in _joined(arrays, (), "vstack")], axis=0)


row_stack = vstack


@takes_out
def dstack(arrays: Any) -> Tensor:
    """The arrays one behind the other, along axis 2."""
    return concat([atleast_3d(x) for x in _joined(arrays, (), "dstack")], axis=2)


@takes_out
def column_stack(arrays: Any) -> Tensor:
    """Vectors as columns, matrices as they are, side by side."""
    xs = _joined(arrays, (), "column_stack")
    return concat([F.reshape(x, (x.size, 1)) if x.ndim < 2 else x for x in xs], axis=1)


def block(arrays: Any) -> Tensor:
    """An array of nested lists of blocks: the innermost lists join along the last axis, those around along the one
    before."""

    def depth(b: Any) -> int:
        return 1 + max(map(depth, b)) if isinstance(b, list) and b else 0

    levels = depth(arrays)

    def ndim(b: Any) -> int:
        return max(map(ndim, b)) if isinstance(b, list) else tensor_of(b).ndim

    axes = max(levels, ndim(arrays))

    def joined(b: Any, level: int) -> Tensor:
        if isinstance(b, list):
            if not b:
                raise ShapeError("block: a list of blocks must not be empty.")
            return concat([joined(part, level - 1) for part in b], axis=-level)
        x = tensor_of(b)
        return F.reshape(x, (1,) * (axes - x.ndim) + x.shape)

    return joined(arrays, levels)


def block_diag(*arrays: Any) -> Tensor:
    """A matrix with the arrays (numbers, rows, matrices) along its diagonal, and zeros elsewhere."""
    xs = [atleast_2d(x) for x in _listed(arrays)]
    if any(x.ndim > 2 for x in xs):
        raise ShapeError(f"block_diag: needs matrices: got {' and '.join(str(x.shape) for x in xs)}.")
    width, left, rows = sum(x.shape[1] for x in xs), 0, []
    for x in xs:
        rows.append(F.pad(x, widths=((0, 0), (left, width - left - x.shape[1]))))
        left += x.shape[1]
    return concat(rows, axis=0)


# ---- cutting ---------------------------------------------------------------------------------------------------------


@spelled
def unstack(x: Tensor, /, axis: int = 0) -> tuple[Tensor, ...]:
    """The slices along `axis`, without it."""
    return _pieces(x, "unstack", itertools.count(), axis=axis)


@spelled
def unbind(x: Tensor, axis: int = 0) -> tuple[Tensor, ...]:
    """PyTorch's unstack: the slices along `axis`, without it."""
    return _pieces(x, "unstack", itertools.count(), axis=axis)


@named(split_size_or_sections="split_size")
def split(x: Tensor, split_size: int | Sequence[int], axis: int = 0) -> tuple[Tensor, ...]:
    """Consecutive pieces along `axis`: of `split_size` each (the last may be shorter), or of the sizes listed."""
    if not x.ndim:
        raise ShapeError("split: a 0-d array has no axis to cut.")
    (axis,) = axes_of("split", axis, x.ndim)
    n = x.shape[axis]
    if isinstance(split_size, int):
        if split_size < 1 and (split_size or n):
            raise ArgumentError(f"split: split_size must be positive: got {split_size}.")
        sizes = tuple(min(split_size, n - start) for start in range(0, n, split_size or 1)) or (0,)
    else:
        sizes = ints_of(split_size)
    return _cut(x, sizes, axis)


def _cut(x: Tensor, sizes: tuple[int, ...], axis: int) -> tuple[Tensor, ...]:
    ends = itertools.accumulate(sizes)
    return _pieces(x, "split", [slice(e - s, e) for s, e in zip(sizes, ends)], sizes=sizes, axis=axis)


def _pieces(x: Tensor, name: str, places: Iterable, **keywords: Any) -> tuple[Tensor, ...]:
    """A primitive that cuts x along `axis`; for in-place edits its outputs are the views x[..., place, ...]."""
    pieces = apply(PRIMITIVES[name], x, **keywords)
    first, getitem = (slice(None),) * (keywords["axis"] % x.ndim), PRIMITIVES["getitem"]
    for piece, place in zip(pieces, places):
        link(piece, x, getitem, {"key": (*first, place, Ellipsis)})
    return pieces


@spelled
def chunk(x: Tensor, chunks: int, axis: int = 0) -> tuple[Tensor, ...]:
    """At most `chunks` pieces of equal length along `axis`, the last one shorter."""
    if chunks < 1:
        raise ArgumentError(f"chunk: chunks must be positive: got {chunks}.")
    if not x.ndim:
        raise ShapeError("chunk: a 0-d array has no axis to cut.")
    n = x.shape[axes_of("chunk", axis, x.ndim)[0]]
    return split(x, max(1, -(-n // chunks)), axis) if n else _cut(x, (0,) * chunks, axis)


@named(indices="indices_or_sections", sections="indices_or_sections")
def array_split(x: Tensor, indices_or_sections: Any, axis: int = 0) -> tuple[Tensor, ...]:
    """NumPy's cuts along `axis`: into so many pieces, the first ones longer by one if need be, or before the indices
    listed."""
    if not x.ndim:
        raise ShapeError("array_split: a 0-d array has no axis to cut.")
    (axis,) = axes_of("array_split", axis, x.ndim)
    n = x.shape[axis]
    given = host(indices_or_sections)
    if not given.ndim:
        sections = int(given)
        if sections < 1:
            raise ArgumentError(f"array_split: the number of sections must be positive: got {sections}.")
        sizes = tuple(n // sections + (i < n % sections) for i in range(sections))
        return _cut(x, sizes, axis)
    bounds = [0, *ints_of(given), None]
    slices = [slice(a, b) for a, b in itertools.pairwise(bounds)]
    return tuple(x[(slice(None),) * axis + (s,)] for s in slices)


tensor_split = array_split


def _equal_split(x: Tensor, sections: Any, axis: int, op: str) -> tuple[Tensor, ...]:
    if np.ndim(host(sections)) == 0 and (int(sections) < 1 or x.shape[axis] % int(sections)):
        raise ShapeError(f"{op}: axis {axis} of {x.shape} does not divide into {sections} equal pieces.")
    return array_split(x, sections, axis)


@named(indices="indices_or_sections", sections="indices_or_sections")
def hsplit(x: Tensor, indices_or_sections: Any) -> tuple[Tensor, ...]:
    """Cuts along axis 1 (0 for vectors) into equal pieces, or before the indices listed."""
    if not x.ndim:
        raise ShapeError("hsplit: needs at least 1 axis: got a 0-d array.")
    return _equal_split(x, indices_or_sections, 1 if x.ndim > 1 else 0, "hsplit")


@named(indices="indices_or_sections", sections="indices_or_sections")
def vsplit(x: Tensor, indices_or_sections: Any) -> tuple[Tensor, ...]:
    """Cuts along axis 0 into equal pieces, or before the indices listed."""
    if x.ndim < 2:
        raise ShapeError(f"vsplit: needs at least 2 axes: got shape {x.shape}.")
    return _equal_split(x, indices_or_sections, 0, "vsplit")


@named(indices="indices_or_sections", sections="indices_or_sections")
def dsplit(x: Tensor, indices_or_sections: Any) -> tuple[Tensor, ...]:
    """Cuts along axis 2 into equal pieces, or before the indices listed."""
    if x.ndim < 3:
        raise ShapeError(f"dsplit: needs at least 3 axes: got shape {x.shape}.")
    return _equal_split(x, indices_or_sections, 2, "dsplit")


@spelled
def narrow(x: Tensor, axis: int, start: Any, length: int) -> Tensor:
    """`length` elements from `start` on along `axis`. A view."""
    if not x.ndim:
        raise ShapeError("narrow: a 0-d array has no axis to cut.")
    if isinstance(start, Tensor) and (start.ndim or start.dtype.kind not in "iu"):
        raise DTypeError(f"narrow: start must be a whole number: got {start.dtype}{start.shape}.")
    (axis,), start = axes_of("narrow", axis, x.ndim), int(start)
    n = x.shape[axis]
    start = start + n if start < 0 else start
    if length < 0 or not 0 <= start <= n - length:
        raise ShapeError(f"narrow: start {start} and length {length} must lie in axis {axis} of shape {x.shape}.")
    return x[(slice(None),) * axis + (slice(start, start + length),)]


narrow_copy = narrow


unsafe_chunk = chunk
unsafe_split = split_with_sizes = split


@spelled
def unfold(x: Tensor, axis: int, size: int, step: int) -> Tensor:
    """All windows of `size` along `axis`, `step` apart, as a new last axis: (n,) to ((n - size) // step + 1, size)."""
    if not x.ndim:
        return F.reshape(x, (1,))[:size]
    (axis,) = axes_of("unfold", axis, x.ndim)
    y = F.windows(moveaxis(x, axis, -1), size=(size,), stride=(step,), dilation=(1,)) if size else None
    if y is None:
        count = x.shape[axis] // step + 1
        return F.zeros(shape=(*x.shape[:axis], count, *x.shape[axis + 1 :], 0), dtype=x.dtype, like=x)
    return moveaxis(y, -2, axis)


# ---- turning and repeating -------------------------------------------------------------------------------------------


@spelled
def fliplr(x: Tensor) -> Tensor:
    """The order along axis 1 reversed."""
    if x.ndim < 2:
        raise ShapeError(f"fliplr: needs at least 2 axes: got shape {x.shape}.")
    return F.flip(x, axis=1)


@spelled
def flipud(x: Tensor) -> Tensor:
    """The order along axis 0 reversed."""
    if not x.ndim:
        raise ShapeError("flipud: needs at least 1 axis: got a 0-d array.")
    return F.flip(x, axis=0)


@named(dims="axes")
def rot90(x: Tensor, k: int = 1, axes: Sequence[int] = (0, 1)) -> Tensor:
    """k quarter turns in the plane of two axes, from the first towards the second."""
    if len(axes) != 2:
        raise AxisError(f"rot90: a turn has two axes: got {axes}.")
    a, b = axes_of("rot90", tuple(axes), x.ndim)
    if k % 4 == 0:
        return F.copy(x)
    if k % 4 == 2:
        return F.flip(x, axis=(a, b))
    return swapaxes(F.flip(x, axis=b), a, b) if k % 4 == 1 else F.flip(swapaxes(x, a, b), axis=b)


@named(shifts="shift")
def roll(x: Tensor, shift: Any, axis: Any = None) -> Tensor:
    """Elements moved by `shift` along `axis`, those that fall off coming in at the other end; None rolls the flat
    array."""
    shift = ints_of(shift)
    if not shift:
        raise ArgumentError("roll: needs a shift: got none.")
    if isinstance(axis, (tuple, list)) and not axis:
        axis = None
    if axis is None:
        if len(shift) > 1:
            raise ArgumentError(f"roll: several shifts need as many axes: got {shift}, axis=None.")
        return F.reshape(F.roll(ravel(x), shift=shift[0], axis=0), x.shape)
    axes = ints_of(axis)
    if len(shift) == 1:
        shift = shift * len(axes)
    axes = axes * len(shift) if len(axes) == 1 else axes
    if len(shift) != len(axes):
        raise ShapeError(f"roll: as many shifts as axes: got {shift} and {axis}.")
    total: dict[int, int] = {}
    for a, s in zip(axes, shift):  # an axis may be named twice: its shifts add up
        for place in axes_of("roll", (a,), x.ndim):
            total[place] = total.get(place, 0) + s
    return F.roll(x, shift=tuple(total.values()), axis=tuple(total)) if total else F.copy(x)


@named(dims="repetitions", reps="repetitions")
def tile(x: Tensor, repetitions: Any, /, *more: int) -> Tensor:
    """Copies of x side by side: repetitions[i] of them along axis i, counted from the right."""
    counts = (*ints_of(repetitions), *more)
    counts = (1,) * (x.ndim - len(counts)) + counts
    shape = (1,) * (len(counts) - x.ndim) + x.shape
    y = F.reshape(x, tuple(v for n in shape for v in (1, n)))
    y = F.broadcast_to(y, tuple(v for c, n in zip(counts, shape) for v in (c, n)))
    return F.reshape(F.copy(y), tuple(c * n for c, n in zip(counts, shape)))


@spelled
def repeat(x: Tensor, repeats: Any, /, axis: int | None = None) -> Tensor:
    """Each element (slice along `axis`; None: of the flat array) repeats times, one number for all or one for each.

    The standard's and NumPy's repeat; as a method ``x.repeat`` is PyTorch's, our `tile`.
    """
    if axis is None:
        x, axis = ravel(x), 0
    (axis,) = axes_of("repeat", axis, x.ndim) or (0,)
    n, counts = x.shape[axis], host(repeats, "repeat")
    if counts.dtype.kind not in "iub" or (counts.size and counts.min() < 0):
        raise ArgumentError(f"repeat: repeats must be integers from 0 up: got {counts.dtype} {counts}.")
    if counts.size == 1:
        count = int(counts.reshape(()))
        y = F.broadcast_to(F.expand_dims(x, axis + 1), (*x.shape[: axis + 1], count, *x.shape[axis + 1 :]))
        return F.reshape(F.copy(y), (*x.shape[:axis], n * count, *x.shape[axis + 1 :]))
    if counts.shape != (n,):
        raise ShapeError(f"repeat: one count, or one for each of the {n} places of axis {axis}: got {counts.shape}.")
    return x[(slice(None),) * axis + (np.repeat(np.arange(n), counts.astype(np.int64)),)]


@spelled
def repeat_interleave(x: Tensor, repeats: Any = None, axis: int | None = None, *, output_size: Any = None) -> Tensor:
    """PyTorch's name for `repeat`. With repeats alone: i, repeats[i] times."""
    if repeats is None:
        return wrap(np.repeat(np.arange(x.size), host(x)))
    return repeat(x, repeats, axis=axis)


# ---- diagonals and triangles -----------------------------------------------------------------------------------------


@named(dim1="axis1", dim2="axis2")
def diagonal(x: Tensor, offset: int = 0, axis1: int = 0, axis2: int = 1) -> Tensor:
    """The elements at place i of axis1 and i + offset of axis2, as a new last axis. A read-only view.

    >>> diagonal(tensor_of([[1, 2], [3, 4]]))
    tensor([1, 4])
    """
    return F.diagonal(x, offset=offset, axis1=axis1, axis2=axis2)


@named(dim1="axis1", dim2="axis2")
def diag_embed(x: Tensor, offset: int = 0, axis1: int = -2, axis2: int = -1) -> Tensor:
    """Zeros with the last axis of x on the diagonal of the new axes axis1 and axis2."""
    if not x.ndim:
        raise ShapeError("diag_embed: needs at least 1 axis: got a 0-d array.")
    n = x.shape[-1] + abs(offset)
    a, b = axes_of("diag_embed", (axis1, axis2), x.ndim + 1)
    shape = list(x.shape[:-1])
    for place in sorted((a, b)):
        shape.insert(place, n)
    return F.embed_diagonal(x, shape=tuple(shape), offset=offset, axis1=a, axis2=b)


@named(diagonal="k")
def diag(x: Tensor, k: int = 0) -> Tensor:
    """The k-th diagonal of a matrix, or the matrix with the vector x there."""
    if x.ndim not in (1, 2):
        raise ShapeError(f"diag: needs a vector or a matrix: got shape {x.shape}. Use diagonal or diag_embed.")
    return diag_embed(x, k) if x.ndim == 1 else diagonal(x, k)


@named(offset="k")
def diagflat(x: Tensor, k: int = 0) -> Tensor:
    """The matrix with all elements of x on its k-th diagonal."""
    return diag_embed(ravel(x), k)


@named(dim1="axis1", dim2="axis2")
def diagonal_scatter(x: Tensor, src: Any, offset: int = 0, axis1: int = 0, axis2: int = 1) -> Tensor:
    """x with `src` on its diagonal."""
    src = tensor_of(src)
    keywords = {"shape": x.shape, "offset": offset, "axis1": axis1, "axis2": axis2}
    if src.shape != diagonal(x, offset, axis1, axis2).shape:
        raise ShapeError(f"diagonal_scatter: src must have the diagonal's shape: got {src.shape} for {x.shape}.")
    on = F.embed_diagonal(wrap(x.backend.xp.ones(src.shape, bool)), **keywords)
    return F.where(on, F.embed_diagonal(src, **keywords), x)


@spelled
def fill_diagonal(x: Tensor, value: Any, wrap: bool = False) -> Tensor:
    """x with `value` where all indices are equal; wrap: the diagonal of a tall matrix starts anew below. A copy."""
    on = np.zeros(x.shape, bool)
    if x.ndim < 2:
        raise ShapeError(f"fill_diagonal: needs at least 2 axes: got shape {x.shape}.")
    if x.ndim > 2 and len(set(x.shape)) > 1:
        raise ShapeError(f"fill_diagonal: more than 2 axes must have equal lengths: got {x.shape}.")
    np.fill_diagonal(on, True, wrap=wrap)
    return F.where(x.backend.asarray(on), value, x)


# ---- parts put in and taken out --------------------------------------------------------------------------------------


def append(x: Any, values: Any, axis: int | None = None) -> Tensor:
    """`values` after x along `axis`; None: both flattened."""
    return concat([tensor_of(x), tensor_of(values)], axis=axis)


@spelled
def delete(x: Tensor, obj: Any, axis: int | None = None) -> Tensor:
    """x without the places `obj` (an int, several, a slice or a mask) of `axis`; None: of the flat array."""
    if axis is None:
        x, axis = ravel(x), 0
    (axis,) = axes_of("delete", axis, x.ndim)
    kept = np.delete(np.arange(x.shape[axis]), obj if isinstance(obj, slice) else host(obj))
    return x[(slice(None),) * axis + (kept,)]


@spelled
def insert(x: Tensor, obj: Any, values: Any, axis: int | None = None) -> Tensor:
    """x with `values` before the places `obj` of `axis`; None: of the flat array."""
    if axis is None:
        x, axis = ravel(x), 0
    (axis,) = axes_of("insert", axis, x.ndim)
    n, first = x.shape[axis], (slice(None),) * axis
    where: Any = obj if isinstance(obj, slice) else host(obj)
    values = like(values, x)
    count = np.insert(np.arange(n), where, -1).size - n
    if np.ndim(where) == 0 and not isinstance(where, slice) and values.ndim:
        values = F.reshape(values, (1,) * (x.ndim - values.ndim) + values.shape)
        values = moveaxis(values, 0, axis)  # as NumPy: one place takes a whole slice, its axes from the left
        count = values.shape[axis] if x.ndim > 1 or values.size > 1 else count
        where = [int(where)] * count
    order = np.insert(np.arange(n), where, np.arange(n, n + count))
    values = F.broadcast_to(values, (*x.shape[:axis], count, *x.shape[axis + 1 :]))
    return concat([x, values], axis=axis)[(*first, order)]


@spelled
def resize(x: Tensor, new_shape: Any) -> Tensor:
    """As many copies of x, flattened, as fill `new_shape`."""
    shape = ints_of(new_shape)
    return F.reshape(ravel(x)[np.resize(np.arange(x.size), math.prod(shape))], shape)
