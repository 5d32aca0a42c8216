"""The reference backend: every primitive as its readable forward over NumPy, nothing compiled."""

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np

from ..primitive import PRIMITIVES, Primitive
from .base import Backend


def _matmul(a: Any, b: Any) -> Any:
    """np.matmul; of small matrices, a.dot is the same product in a third of its time."""
    return a.dot(b) if getattr(a, "ndim", 0) == 2 and 0 < getattr(b, "ndim", 0) <= 2 else np.matmul(a, b)


def _linear(x: Any, weight: Any, bias: Any = None) -> Any:
    """The body of linear; of matrices, which nearly all are, without its calls."""
    if x.ndim != 2 or weight.ndim != 2 or (bias is not None and bias.shape != weight.shape[:1]):
        PRIMITIVES["linear"].shape("linear", x, weight, bias)
    y = _matmul(x, weight.T)
    return y if bias is None else y + bias


def _of_rows(x: Any, indices: Any, axis: Any) -> bool:
    """Are these indices into the rows of a matrix, as labels are into scores?"""
    return x.ndim == indices.ndim == 2 and axis in (-1, 1) and len(x) == len(indices) and indices.dtype.kind in "iu"


def _take_along_axis(x: Any, indices: Any, *, axis: Any = -1) -> Any:
    """np.take_along_axis; of rows, indexing is the same in a fifth of its time."""
    if _of_rows(x, indices, axis):
        return x[np.arange(len(x))[:, None], indices]
    return np.take_along_axis(x, indices, axis)


def _add_along_axis(v: Any, indices: Any, *, axis: Any, size: int) -> Any:
    """The reference; of rows, without what turns axes."""
    if not _of_rows(v, indices, axis) or v.shape != indices.shape:
        return PRIMITIVES["add_along_axis"].forward(np, v, indices, axis=axis, size=size)
    y = np.zeros((len(v), size), v.dtype)
    np.add.at(y, (np.arange(len(v))[:, None], indices), v)
    return y


def _broadcast_to(x: Any, *, shape: Any) -> Any:
    """np.broadcast_to; of one element, as the gradient of a sum is, in a quarter of its time."""
    if getattr(x, "size", 0) != 1 or type(shape) is not tuple or x.ndim > len(shape):
        return np.broadcast_to(x, shape)
    y = np.ndarray(shape, x.dtype, x, 0, (0,) * len(shape))
    y.flags.writeable = False
    return y


REDUCTIONS: dict[str, partial] = {  # what np.sum and others wrap, which takes as long as a small reduction
    "sum": partial(np.add.reduce, axis=None),
    "max": partial(np.maximum.reduce, axis=None),
    "min": partial(np.minimum.reduce, axis=None),
}
DIRECT: dict[str, Callable] = {
    **REDUCTIONS,
    "matmul": _matmul,
    "linear": _linear,
    "take_along_axis": _take_along_axis,
    "add_along_axis": _add_along_axis,
    "broadcast_to": _broadcast_to,
}


class Library:
    """NumPy, with its reductions unwrapped."""

    def __init__(self) -> None:
        self.__dict__.update(REDUCTIONS)

    def __getattr__(self, name: str) -> Any:
        self.__dict__[name] = found = getattr(np, name)
        return found


class NumpyBackend(Backend):
    """NumPy's ufuncs where they exist, else the reference forward."""

    def __init__(self, name: str = "numpy"):
        super().__init__(name, np, np.ndarray)
        self.library = Library()

    def holds(self, array: Any) -> bool:
        return type(array) is np.ndarray  # not a library's own subclass

    def fallback(self, p: Primitive) -> Callable:
        return DIRECT.get(p.name) or super().fallback(p)
