"""The reference backend: every primitive as its readable forward over NumPy, nothing compiled."""

from collections.abc import Callable
from typing import Any

import numpy as np

from ..primitive import Primitive
from .base import Backend


def _reduce(reduce: Any) -> Callable:
    """np.sum, np.max or np.min without their wrappers, which take as long as a small reduction."""
    return lambda x, axis=None, keepdims=False: reduce(x, axis, None, None, keepdims)


def _broadcast_to(x: Any, *, shape: Any) -> Any:
    """np.broadcast_to; of one element, as the gradient of a sum is, in a quarter of its time."""
    if getattr(x, "size", 0) != 1 or type(shape) is not tuple or x.ndim > len(shape):
        return np.broadcast_to(x, shape)
    y = np.ndarray(shape, x.dtype, x, 0, (0,) * len(shape))
    y.flags.writeable = False
    return y


DIRECT = {
    "sum": _reduce(np.add.reduce),
    "max": _reduce(np.maximum.reduce),
    "min": _reduce(np.minimum.reduce),
    "broadcast_to": _broadcast_to,
}


class NumpyBackend(Backend):
    """NumPy's ufuncs where they exist, else the reference forward."""

    def __init__(self, name: str = "numpy"):
        super().__init__(name, np, np.ndarray)

    def holds(self, array: Any) -> bool:
        return type(array) is np.ndarray  # not a library's own subclass

    def fallback(self, p: Primitive) -> Callable:
        return DIRECT.get(p.name) or super().fallback(p)
