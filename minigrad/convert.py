"""From what users pass to raw arrays: numbers, nested lists, NumPy arrays, index keys."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy import ndarray

from .backend import backend_of
from .errors import BackendError, DTypeError, GradError, MinigradError
from .mode import MODE
from .ops.indexing import PLACE

FLOAT64 = np.dtype(np.float64)


def constant(a: Any) -> Any:
    """An operand that is not a Tensor: numbers stay (they take the dtype of what they meet), data becomes an array."""
    if isinstance(a, float):
        return float(a)  # a NumPy float64 scalar counts as a number too
    if a is None or isinstance(a, (bool, int, complex, ndarray)):
        return a
    return as_array(a)


def as_array(data: Any, dtype: Any = None, copy: bool | None = None) -> Any:
    """`data` as a raw array on the current device; Python floats take the default dtype."""
    mode = MODE.get()
    if hasattr(data, "node"):  # a Tensor
        array = data.array
        return array.astype(dtype or array.dtype, copy=bool(copy))
    if hasattr(data, "shape") and hasattr(data, "dtype") and not isinstance(data, (ndarray, np.generic)):
        try:
            backend = backend_of(data)
        except BackendError:
            pass  # somebody else's array: NumPy reads it below, or says why not
        else:
            return backend.asarray(data, dtype, copy)
    try:
        array = np.asarray(data, dtype=dtype)
    except (ValueError, TypeError, MinigradError) as error:
        if isinstance(data, (list, tuple)) and any(hasattr(d, "node") for d in data):
            raise GradError(
                "tensor: a list of tensors would lose their gradients. Use mg.stack or mg.concat."
            ) from None
        if isinstance(error, MinigradError):
            raise
        raise DTypeError(
            f"tensor: {str(error).rstrip('.')}. Rows must have equal lengths, and elements must be numbers."
        ) from None
    if array.dtype.kind not in "biufc":
        raise DTypeError(f"tensor: elements must be numbers or booleans: got {array.dtype} ({type(data).__name__}).")
    if dtype is None and not isinstance(data, (ndarray, np.generic)) and array.dtype.kind in "fc" and array.size:
        array = array.astype(
            np.result_type(mode.default_dtype, np.complex64 if array.dtype.kind == "c" else mode.default_dtype)
        )
    elif dtype is None and not isinstance(data, (ndarray, np.generic)) and not array.size and array.dtype == FLOAT64:
        array = array.astype(mode.default_dtype)
    if type(array) is not ndarray:
        array = np.asarray(array).view(ndarray)
    if not array.dtype.isnative:
        array = array.astype(array.dtype.newbyteorder("="))
    return mode.device.asarray(array, dtype, copy)


DTYPE_NAMES = {"bool", "int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64"} | {
    "float16", "float32", "float64", "complex64", "complex128",
}  # fmt: skip


def index(key: Any) -> tuple[tuple, list[Any]]:
    """An indexing key as a tuple with a place for each index array, and those arrays (or tensors)."""
    keys, arrays = [], []
    for k in key if isinstance(key, tuple) else (key,):
        if type(k) is int or type(k) is slice:
            keys.append(k)
            continue
        if isinstance(k, (list, ndarray, bool, np.bool_)):
            k = as_array(k, np.int64 if isinstance(k, list) and not k else None)
        if hasattr(k, "dtype") and (k.ndim or k.dtype.kind == "b"):
            if k.dtype.kind not in "biu":
                raise DTypeError(f"getitem: index arrays must be integers or booleans: got {k.dtype}.")
            arrays.append(k)
            k = PLACE
        elif hasattr(k, "__index__"):
            k = k.__index__()
        elif not (k is None or k is Ellipsis or isinstance(k, slice)):
            kind = type(k).__name__
            raise DTypeError(
                f"getitem: an index is an integer, slice, None, ... or array of integers or booleans: got {kind}."
            )
        keys.append(k)
    return tuple(keys), arrays
