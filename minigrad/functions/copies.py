"""PyTorch's names ending in _copy: as the functions without, in memory of their own; and strided reading."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any

import numpy as np

from ..errors import ArgumentError, ShapeError
from ..tensor import F, Tensor
from .arranging import diagonal, permute, ravel, split, swapaxes, t, unbind, unfold
from .indexing import put
from .spelling import spelled


def copied(f: Callable, name: str) -> Callable:
    """f whose results share no memory with its input."""

    @wraps(f)
    def function(*args: Any, **keywords: Any) -> Any:
        y = f(*args, **keywords)
        return tuple(F.copy(part) for part in y) if isinstance(y, tuple) else F.copy(y)

    function.__name__, function.__doc__ = name, f"As `{f.__name__}`, in memory of its own."
    return function


def _expand(x: Tensor, *shape: Any) -> Tensor:
    return x.expand(*shape)


def _view(x: Tensor, *shape: Any) -> Tensor:
    return x.view(*shape)


def _squeeze(x: Tensor, *axis: Any, dim: Any = None) -> Tensor:
    return x.squeeze(*axis) if dim is None else x.squeeze(dim)


def _unsqueeze(x: Tensor, dim: int) -> Tensor:
    return F.expand_dims(x, dim)


alias_copy = copied(spelled(lambda x: x), "alias_copy")
diagonal_copy = copied(diagonal, "diagonal_copy")
expand_copy = copied(_expand, "expand_copy")
permute_copy = copied(permute, "permute_copy")
split_copy = copied(split, "split_copy")
split_with_sizes_copy = copied(split, "split_with_sizes_copy")
squeeze_copy = copied(_squeeze, "squeeze_copy")
t_copy = copied(t, "t_copy")
transpose_copy = copied(swapaxes, "transpose_copy")
unbind_copy = copied(unbind, "unbind_copy")
unfold_copy = copied(unfold, "unfold_copy")
unsqueeze_copy = copied(_unsqueeze, "unsqueeze_copy")
view_copy = copied(_view, "view_copy")


def _places(x: Tensor, size: Any, stride: Any, storage_offset: int | None) -> np.ndarray:
    """Which element of the flat array stands at each place: storage_offset + sum of index times stride."""
    size, stride = tuple(size), tuple(stride)
    if len(size) != len(stride):
        raise ArgumentError(f"as_strided: one stride for each length: got size {size} and stride {stride}.")
    places = np.full(size, storage_offset or 0, np.int64)
    for i, (n, step) in enumerate(zip(size, stride)):
        places += (np.arange(n) * step).reshape((-1,) + (1,) * (len(size) - i - 1))
    if places.size and not 0 <= places.min() <= places.max() < x.size:
        raise ShapeError(
            f"as_strided: size {size}, stride {stride} and offset {storage_offset or 0} reach element {places.max()}, "
            f"but x has {x.size}."
        )
    return places


@spelled
def as_strided(x: Tensor, size: Any, stride: Any, storage_offset: int | None = None) -> Tensor:
    """y[i, j, ...] = the element storage_offset + i stride[0] + j stride[1] + ... of x in row-major order; a copy.
    Gradients of elements read more than once add up."""
    return ravel(x)[_places(x, size, stride, storage_offset)]


as_strided_copy = as_strided


@spelled
def as_strided_scatter(x: Tensor, src: Tensor, size: Any, stride: Any, storage_offset: int | None = None) -> Tensor:
    """x with `src` at the places that as_strided reads."""
    places = _places(x, size, stride, storage_offset)
    return put(x, places.reshape(-1), ravel(src))
