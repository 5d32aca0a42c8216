"""The array functions: every public primitive as a function on tensors, and what is composed of them.

Names follow the Array API standard, then NumPy. The primitives' functions are derived from their declarations; a type
checker reads them in ``functions.pyi``.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Sequence
from typing import Any

from .convert import as_array
from .edits import link
from .errors import ArgumentError, ShapeError
from .primitive import PRIMITIVES, axes_of
from .tensor import F, Tensor, apply, wrap


def __getattr__(name: str) -> Any:
    if name in PRIMITIVES and PRIMITIVES[name].public:
        return getattr(F, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def names() -> list[str]:
    """The public functions: every public primitive, and the compositions below."""
    own = [k for k, v in globals().items() if getattr(v, "__module__", "") == __name__ and not k.startswith("_")]
    return sorted({*own, *(k for k, p in PRIMITIVES.items() if p.public)} - {"names"})


def flatten(x: Tensor, start_dim: int = 0, end_dim: int = -1) -> Tensor:
    """The axes from start_dim to end_dim as one: (B, C, H, W) with start_dim=1 to (B, C H W)."""
    if not x.ndim:
        return F.reshape(x, (1,))
    start, end = axes_of("flatten", start_dim, x.ndim)[0], axes_of("flatten", end_dim, x.ndim)[0]
    if start > end:
        raise ShapeError(
            f"flatten: start_dim must not come after end_dim: got {start_dim}, {end_dim} for shape {x.shape}."
        )
    length = 1
    for n in x.shape[start : end + 1]:
        length *= n
    return F.reshape(x, (*x.shape[:start], length, *x.shape[end + 1 :]))


def moveaxis(x: Tensor, source: Any, destination: Any) -> Tensor:
    """The axes `source` moved to the positions `destination`; the others keep their order."""
    sources, places = axes_of("moveaxis", source, x.ndim), axes_of("moveaxis", destination, x.ndim)
    if len(sources) != len(places):
        raise ShapeError(f"moveaxis: as many sources as destinations: got {source} and {destination}.")
    order = [i for i in range(x.ndim) if i not in sources]
    for place, axis in sorted(zip(places, sources)):
        order.insert(place, axis)
    return F.permute_dims(x, tuple(order))


def swapaxes(x: Tensor, axis1: int, axis2: int) -> Tensor:
    """Two axes exchanged."""
    order = list(range(x.ndim))
    (a,), (b,) = axes_of("swapaxes", axis1, x.ndim), axes_of("swapaxes", axis2, x.ndim)
    order[a], order[b] = b, a
    return F.permute_dims(x, tuple(order))


def unstack(x: Tensor, axis: int = 0) -> tuple[Tensor, ...]:
    """The slices along `axis`, without it."""
    return _pieces(x, "unstack", itertools.count(), axis=axis)


def split(x: Tensor, split_size: int | Sequence[int], axis: int = 0) -> tuple[Tensor, ...]:
    """Consecutive pieces along `axis`: of `split_size` each (the last may be shorter), or of the sizes listed."""
    (axis,) = axes_of("split", axis, x.ndim)
    n = x.shape[axis]
    if isinstance(split_size, int):
        if split_size < 1:
            raise ArgumentError(f"split: split_size must be positive: got {split_size}.")
        sizes = tuple(min(split_size, n - start) for start in range(0, n, split_size)) or (0,)
    else:
        sizes = tuple(split_size)
    ends = itertools.accumulate(sizes)
    return _pieces(x, "split", [slice(e - s, e) for s, e in zip(sizes, ends)], sizes=sizes, axis=axis)


def _pieces(x: Tensor, name: str, places: Iterable, **keywords: Any) -> tuple[Tensor, ...]:
    """A primitive that cuts x along `axis`; for in-place edits its outputs are the views x[..., place, ...]."""
    pieces = apply(PRIMITIVES[name], x, **keywords)
    first, getitem = (slice(None),) * (keywords["axis"] % x.ndim), PRIMITIVES["getitem"]
    for piece, place in zip(pieces, places):
        link(piece, x, getitem, {"key": (*first, place, Ellipsis)})
    return pieces


def amax(x: Tensor, axis: Any = None, keepdims: bool = False) -> Tensor:
    """max under its other name in NumPy and PyTorch: the largest element over `axis`."""
    return F.max(x, axis=axis, keepdims=keepdims)


def amin(x: Tensor, axis: Any = None, keepdims: bool = False) -> Tensor:
    """min under its other name in NumPy and PyTorch: the smallest element over `axis`."""
    return F.min(x, axis=axis, keepdims=keepdims)


def outer(a: Tensor, b: Tensor) -> Tensor:
    """y[i, j] = a[i] b[j]."""
    return F.multiply(F.expand_dims(a, 1), F.expand_dims(b, 0))


def masked_fill(x: Tensor, mask: Any, value: Any) -> Tensor:
    """`value` where the mask is True, else x."""
    return F.where(mask, value, x)


def one_hot(labels: Tensor, num_classes: int = -1) -> Tensor:
    """(..., ) integers to (..., K) int64 rows with a single 1; K = max + 1 if not given."""
    index = labels.numpy()
    k = num_classes if num_classes >= 0 else int(index.max(initial=-1)) + 1
    if index.size and (index.min() < 0 or index.max() >= k):
        raise ShapeError(f"one_hot: labels must be from 0 to {k - 1}: got {index.min()} to {index.max()}.")
    return wrap(as_array((index[..., None] == range(k)).astype("int64")))
