"""From what users pass to raw arrays: numbers, nested lists, NumPy arrays, index keys."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy import ndarray

from . import halves
from .backend import Backend, backend_of, get_backend
from .errors import ArgumentError, BackendError, DTypeError, GradError, MinigradError
from .halves import dtype as dtype_of
from .halves import in_use, is_half
from .mode import MODE
from .ops.indexing import PLACE
from .primitive import kind_of

FLOAT64 = np.dtype(np.float64)


class Float64:
    """The dtype float64 under its name in the namespace: NumPy's in everything but that it is not equal to None.

    To NumPy None means float64, so ``np.dtype("float64") == None``, and a program that compares what it looked up (None
    for nothing) with the dtypes would find float64.
    """

    __slots__ = ()
    dtype = __numpy_dtype__ = FLOAT64  # by which NumPy takes it for a dtype, before and since NumPy 2.4

    def __getattr__(self, name: str) -> Any:
        return getattr(FLOAT64, name)

    def __eq__(self, other: object) -> bool:
        return other is not None and FLOAT64 == other  # noqa: SIM300  the other way round would ask here again

    def __hash__(self) -> int:
        return hash(FLOAT64)

    def __repr__(self) -> str:
        return repr(FLOAT64)

    def __str__(self) -> str:
        return str(FLOAT64)

    def __reduce__(self) -> tuple:
        return np.dtype, ("float64",)

    @property  # type: ignore[misc]
    def __class__(self) -> type:  # for isinstance(mg.float64, np.dtype)
        return type(FLOAT64)


class Device(str):
    """Where an array lives: "cpu", or the name of a backend, "cupy" or "cupy:1" (also spelled "cuda:1"). Equal to that
    string, and with PyTorch's `type` and `index`."""

    __slots__ = ()

    def __new__(cls, name: str = "cpu", index: int | None = None) -> Device:
        kind, _, number = str(name).partition(":")
        kind, number = "cupy" if kind == "cuda" else kind, str(index) if index is not None else number
        return super().__new__(cls, f"{kind}:{number}" if number.strip("0") else kind)

    @property
    def type(self) -> str:
        return self.partition(":")[0]

    @property
    def index(self) -> int | None:  # type: ignore[override]
        """Which of several; None for the CPU."""
        return None if self == "cpu" else int(self.partition(":")[2] or 0)

    def __repr__(self) -> str:
        return f"device({str(self)!r})"


CPU = Device("cpu")


def backend_at(device: Any = None) -> Backend:
    """The backend of a device: "cpu", a backend's name or itself; None: where new tensors are made."""
    mode = MODE.get()
    if device is None or isinstance(device, Backend):
        return device or mode.device
    return mode.host if device == CPU else get_backend(device)


def is_sequence_of_numbers(data: Any) -> bool:
    """True for Python numbers and nested lists of them, which have no dtype of their own and take the default one."""
    return isinstance(data, (int, float, complex, list, tuple)) and not isinstance(data, np.generic)


def dtypes_in(data: Any) -> set:
    """The dtypes of the arrays, tensors and NumPy numbers in nested lists."""
    if not isinstance(data, (list, tuple)):
        return {data.dtype} if hasattr(data, "dtype") else set()
    plain = set(map(type, data)) <= {float, int, bool, complex}  # found fast, in long lists too
    return set() if plain else set().union(*map(dtypes_in, data))


def constant(a: Any) -> Any:
    """An operand that is not a Tensor: numbers stay (they take the dtype of what they meet), data becomes an array."""
    if isinstance(a, float):
        return float(a)  # a NumPy float64 scalar counts as a number too
    if isinstance(a, ndarray):
        if not halves.seen and is_half(a.dtype):
            in_use()
        return a
    if a is None or isinstance(a, (bool, int)):
        return a
    if isinstance(a, complex):
        return complex(a)
    return as_array(a)


def as_array(data: Any, dtype: Any = None, copy: bool | None = None) -> Any:
    """`data` as a raw array on the current device; Python floats take the default dtype."""
    mode = MODE.get()
    dtype = None if dtype is None else dtype_of(dtype)
    if hasattr(data, "node"):  # a Tensor
        array = data.array
        if copy is False and dtype is not None and np.dtype(dtype) != array.dtype:
            raise ArgumentError(f"asarray: copy=False, but {array.dtype} to {dtype} needs a copy. Leave copy out.")
        return array.astype(dtype or array.dtype, copy=bool(copy))
    if hasattr(data, "shape") and hasattr(data, "dtype") and not isinstance(data, (ndarray, np.generic)):
        try:
            backend = backend_of(data)
        except BackendError:
            pass  # somebody else's array: NumPy reads it below, or says why not
        else:
            return backend.asarray(data, dtype, copy)
    if isinstance(data, (bytes, bytearray)):
        data = memoryview(data)  # NumPy would read text
    if copy is False and is_sequence_of_numbers(data):
        raise ArgumentError("asarray: copy=False, but numbers and lists have no memory to share. Leave copy out.")
    try:
        array = np.asarray(data, dtype=dtype)
    except (ValueError, TypeError, MinigradError) as error:
        if isinstance(data, (list, tuple)) and any(hasattr(d, "node") for d in data):
            raise GradError(
                "tensor: a list of tensors would lose their gradients. Use mg.stack, mg.concat or mg.asarray."
            ) from None
        if isinstance(error, MinigradError):
            raise
        raise DTypeError(
            f"tensor: {str(error).rstrip('.')}. Rows must have equal lengths, and elements must be numbers."
        ) from None
    if kind_of(array.dtype) not in "biufc":
        raise DTypeError(f"tensor: elements must be numbers or booleans: got {array.dtype} ({type(data).__name__}).")
    if dtype is None and array.dtype.kind in "fc" and is_sequence_of_numbers(data):
        own = [d for d in dtypes_in(data) if d.kind in "fc"]
        complex_too = [np.complex64] * (array.dtype.kind == "c")
        array = array.astype(np.result_type(*own, *complex_too) if own else default_of(array.dtype.kind))
    if type(array) is not ndarray:
        array = np.asarray(array).view(ndarray)
    if is_half(array.dtype):
        in_use()
    if not array.dtype.isnative:
        array = array.astype(array.dtype.newbyteorder("="))
    if copy is False and isinstance(data, ndarray) and not np.may_share_memory(array, data) and data.size:
        raise ArgumentError(f"asarray: copy=False, but {data.dtype} to {array.dtype} needs a copy. Leave copy out.")
    return mode.device.asarray(array, dtype, copy)


def default_of(kind: str) -> np.dtype:
    """The default dtype of floats ("f"), of complex numbers ("c": parts of that float dtype) and of integers."""
    if kind not in "fc":
        return np.dtype(bool if kind == "b" else np.int64)
    real = MODE.get().default_dtype
    return np.result_type(real, np.complex64) if kind == "c" else real


DTYPE_NAMES = {"bool", "int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64"} | {
    "float16", "bfloat16", "float32", "float64", "complex64", "complex128",
}  # fmt: skip


def mapped(k: Any) -> bool:
    """True for an index that a function transform holds, which may be another one for each sample."""
    return bool(MODE.get().levels) and (hasattr(k, "level") or hasattr(getattr(k, "array", None), "level"))


def beside(x: Any, arrays: list[Any]) -> list[Any]:
    """Index arrays, those of the host on the device of the tensor x, as PyTorch has it."""
    if type(x.array) is ndarray or mapped(x):
        return arrays
    raw = [getattr(a, "array", a) for a in arrays]
    return [x.backend.asarray(r) if type(r) is ndarray else a for a, r in zip(arrays, raw)]


def index(key: Any) -> tuple[tuple, list[Any]]:
    """An indexing key as a tuple with a place for each index array, and those arrays (or tensors)."""
    if type(key) is int or type(key) is slice:
        return (key,), []
    keys, arrays = [], []
    for k in key if isinstance(key, tuple) else (key,):
        if type(k) is int or type(k) is slice:
            keys.append(k)
            continue
        if isinstance(k, (list, tuple, ndarray, bool, np.bool_)):
            k = as_array(k, np.int64 if isinstance(k, (list, tuple)) and not k else None)
        if hasattr(k, "dtype") and (k.ndim or k.dtype.kind == "b" or mapped(k)):
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
