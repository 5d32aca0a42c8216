"""Making tensors: from data, from a rule, from another tensor's shape."""

from __future__ import annotations

from typing import Any

import numpy as np

from .convert import as_array
from .errors import ShapeError
from .mode import MODE
from .tensor import Tensor, wrap


def tensor(data: Any, *, dtype: Any = None, requires_grad: bool = False) -> Tensor:
    """A new tensor with a copy of the data. Python floats become float32; arrays keep their dtype.

    >>> tensor([[1.0, 2.0], [3.0, 4.0]]).shape
    (2, 2)
    """
    return Tensor(data, dtype=dtype, requires_grad=requires_grad)


def asarray(data: Any, *, dtype: Any = None, copy: bool | None = None) -> Tensor:
    """A tensor over the data, sharing memory with a NumPy array where dtype and device allow, unless copy=True."""
    if isinstance(data, Tensor) and not copy and (dtype is None or data.dtype == dtype):
        return data
    return wrap(as_array(data, dtype, copy))


from_numpy = as_tensor = asarray


def _made(array: Any, requires_grad: bool) -> Tensor:
    y = wrap(array)
    if requires_grad:
        y.requires_grad = True
    return y


def _shape(shape: tuple) -> tuple:
    """The lengths of ``zeros(2, 3)`` or ``zeros((2, 3))``."""
    given = shape[0] if len(shape) == 1 and isinstance(shape[0], (tuple, list)) else shape
    if not all(hasattr(n, "__index__") and n.__index__() >= 0 for n in given):
        raise ShapeError(f"shape: lengths must be integers from 0 up: got {given}.")
    return tuple(n.__index__() for n in given)


def zeros(*shape: Any, dtype: Any = None, requires_grad: bool = False) -> Tensor:
    """Zeros of this shape, ``zeros(2, 3)`` or ``zeros((2, 3))``, in the default dtype unless given."""
    mode = MODE.get()
    return _made(mode.device.xp.zeros(_shape(shape), dtype or mode.default_dtype), requires_grad)


def ones(*shape: Any, dtype: Any = None, requires_grad: bool = False) -> Tensor:
    """Ones of this shape, in the default dtype unless given."""
    mode = MODE.get()
    return _made(mode.device.xp.ones(_shape(shape), dtype or mode.default_dtype), requires_grad)


def empty(*shape: Any, dtype: Any = None, requires_grad: bool = False) -> Tensor:
    """Memory of this shape with whatever it holds."""
    mode = MODE.get()
    return _made(mode.device.xp.empty(_shape(shape), dtype or mode.default_dtype), requires_grad)


def full(shape: Any, fill_value: Any, *, dtype: Any = None, requires_grad: bool = False) -> Tensor:
    """A tensor of this shape, every element `fill_value`."""
    mode = MODE.get()
    value = as_array(fill_value, dtype)
    return _made(mode.device.xp.full(_shape((shape,)), value, value.dtype), requires_grad)


def full_like(x: Tensor, fill_value: Any, *, dtype: Any = None) -> Tensor:
    """As `full`, with the shape and dtype of x."""
    return wrap(x.backend.xp.full_like(x.array, fill_value, dtype=dtype))


def arange(start: Any, stop: Any = None, step: Any = 1, *, dtype: Any = None) -> Tensor:
    """start, start + step, ... below stop: int64 if all are integers, else the default dtype."""
    mode = MODE.get()
    start, stop = (0, start) if stop is None else (start, stop)
    if dtype is None:
        dtype = mode.default_dtype if any(isinstance(v, float) for v in (start, stop, step)) else np.int64
    return wrap(mode.device.xp.arange(start, stop, step, dtype=dtype))


def linspace(start: float, stop: float, num: int, *, dtype: Any = None, endpoint: bool = True) -> Tensor:
    """`num` numbers from start to stop, evenly spaced, with stop unless endpoint=False."""
    mode = MODE.get()
    return wrap(mode.device.xp.linspace(start, stop, num, endpoint=endpoint, dtype=dtype or mode.default_dtype))


def eye(n: int, m: int | None = None, *, k: int = 0, dtype: Any = None) -> Tensor:
    """(n, m) zeros with ones on the k-th diagonal."""
    mode = MODE.get()
    return wrap(mode.device.xp.eye(n, m, k, dtype or mode.default_dtype))
