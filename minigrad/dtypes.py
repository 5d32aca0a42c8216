"""Data types: NumPy's objects under the standard's names, what they can hold, and which one results.

A dtype is equal to its name and to NumPy's: ``mg.float32 == "float32" == np.float32``.
"""

from __future__ import annotations

import builtins
from importlib import import_module
from typing import Any, NamedTuple

import numpy as np

from .convert import DTYPE_NAMES, Device
from .errors import ArgumentError, DTypeError
from .halves import dtype as named
from .primitive import Spec, kind_of
from .primitive import result_dtype as _result_dtype
from .tensor import Tensor

KINDS = {
    "bool": ("bool",),
    "signed integer": ("int8", "int16", "int32", "int64"),
    "unsigned integer": ("uint8", "uint16", "uint32", "uint64"),
    "real floating": ("float16", "bfloat16", "float32", "float64"),
    "complex floating": ("complex64", "complex128"),
}
KINDS["integral"] = KINDS["signed integer"] + KINDS["unsigned integer"]
KINDS["numeric"] = KINDS["integral"] + KINDS["real floating"] + KINDS["complex floating"]


class FInfo(NamedTuple):
    """What a float dtype can hold; for a complex dtype, what its parts can."""

    bits: int
    eps: float  # 1 + eps is the next number after 1
    max: float
    min: float
    smallest_normal: float
    dtype: Any
    resolution: float
    tiny: float


class IInfo(NamedTuple):
    """What an integer dtype can hold."""

    bits: int
    max: int
    min: int
    dtype: Any


def dtype_of(op: str, type: Any) -> np.dtype:
    """The dtype meant by an array, a dtype, or a name of one."""
    try:
        scalar = isinstance(type, builtins.type)  # np.int32, whose own dtype is a descriptor
        found = None if type is None else named(type if scalar else getattr(type, "dtype", type))
    except TypeError:
        found = None
    if found is None or found.name not in DTYPE_NAMES:
        raise DTypeError(
            f"{op}: needs a dtype or an array: got {type!r}. The dtypes: {', '.join(sorted(DTYPE_NAMES))}."
        )
    return found


def finfo(type: Any, /) -> FInfo:
    """Limits of a float or complex dtype, or of an array's.

    >>> finfo("float32").bits, finfo("float32").eps == 2**-23
    (32, True)
    """
    dtype = dtype_of("finfo", type)
    if kind_of(dtype) not in "fc":
        raise DTypeError(f"finfo: needs a float dtype: got {dtype}. Use iinfo for integers.")
    i = np.finfo(dtype) if dtype.kind in "fc" else import_module("ml_dtypes").finfo(dtype)
    smallest, resolution = float(i.smallest_normal), float(i.resolution)
    return FInfo(i.bits, float(i.eps), float(i.max), float(i.min), smallest, np.dtype(i.dtype), resolution, smallest)


def iinfo(type: Any, /) -> IInfo:
    """Limits of an integer dtype, or of an array's.

    >>> iinfo("int8").min, iinfo("uint8").max
    (-128, 255)
    """
    dtype = dtype_of("iinfo", type)
    if dtype.kind not in "iu":
        raise DTypeError(f"iinfo: needs an integer dtype: got {dtype}. Use finfo for floats.")
    i = np.iinfo(dtype)
    return IInfo(i.bits, int(i.max), int(i.min), dtype)


def isdtype(dtype: Any, kind: Any) -> bool:
    """Is the dtype of this kind: "bool", "signed integer", "unsigned integer", "integral", "real floating",
    "complex floating", "numeric", a dtype, or a tuple of them (any)?

    >>> isdtype("int8", "integral"), isdtype("float32", ("bool", "complex floating"))
    (True, False)
    """
    found = dtype_of("isdtype", dtype)
    if isinstance(kind, tuple):
        return any(isdtype(found, k) for k in kind)
    if isinstance(kind, str) and kind in KINDS:
        return found.name in KINDS[kind]
    if isinstance(kind, str) and kind not in DTYPE_NAMES:
        raise ArgumentError(f"isdtype: kind must be a dtype, a tuple, or one of {', '.join(KINDS)}: got {kind!r}.")
    return found == dtype_of("isdtype", kind)


def can_cast(from_: Any, to: Any) -> bool:
    """Does promotion alone lead from this dtype (or an array's) to that one? Between kinds (integers to floats) never.

    >>> can_cast("int8", "int64"), can_cast("float64", "float32"), can_cast("int64", "float64")
    (True, False, False)
    """
    a, b = dtype_of("can_cast", from_), dtype_of("can_cast", to)
    kinds = ({kind_of(a), kind_of(b)}, {"i", "u"}, {"f", "c"})
    if len(kinds[0]) > 1 and kinds[0] not in kinds[1:]:
        return False
    return bool(promote_types(a, b) == b)


def result_type(*arrays_and_dtypes: Any) -> np.dtype:
    """The dtype of arithmetic between these arrays, dtypes and Python numbers (which never widen an array of their
    kind).

    >>> result_type("int8", "int16"), result_type("float32", 1.5), result_type("float32", 1j)
    (dtype('int16'), dtype('float32'), dtype('complex64'))
    """
    if not arrays_and_dtypes:
        raise ArgumentError("result_type: needs at least one array or dtype.")
    return _result_dtype(
        "same",
        *(
            a if isinstance(a, (bool, int, float, complex)) else Spec((), dtype_of("result_type", a))
            for a in arrays_and_dtypes
        ),
    )


def promote_types(type1: Any, type2: Any) -> np.dtype:
    """The dtype of arithmetic between two dtypes."""
    return result_type(dtype_of("promote_types", type1), dtype_of("promote_types", type2))


def astype(x: Tensor, dtype: Any, /, *, copy: bool = True, device: Any = None) -> Tensor:
    """x in another dtype, a copy unless copy=False and it already has it. From float to integer the gradient ends."""
    y = x if not copy and x.dtype == dtype else x.astype(dtype)
    return y if device is None else y.to(Device(device))


def is_floating_point(x: Any) -> bool:
    """Does the array (or dtype) hold real floats?"""
    return kind_of(dtype_of("is_floating_point", x)) == "f"


def is_complex(x: Any) -> bool:
    """Does the array (or dtype) hold complex numbers?"""
    return dtype_of("is_complex", x).kind == "c"
