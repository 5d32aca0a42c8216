"""The Python array API standard, version 2025.12: the namespace that ``x.__array_namespace__()`` returns.

Everything in it is also at the top level of the package; here are the standard's names alone, each found there at its
first use. https://data-apis.org/array-api/2025.12
"""

from __future__ import annotations

import importlib
from typing import Any

from .convert import CPU, Device, default_of
from .dtypes import KINDS
from .errors import ArgumentError

__array_api_version__ = "2025.12"
VERSIONS = ("2021.12", "2022.12", "2023.12", "2024.12", "2025.12")  # later ones keep what earlier ones promise

NAMES = """
e inf nan newaxis pi
bool int8 int16 int32 int64 uint8 uint16 uint32 uint64 float32 float64 complex64 complex128
__array_api_version__ __array_namespace_info__
arange asarray empty empty_like eye from_dlpack full full_like linspace meshgrid ones ones_like tril triu zeros
zeros_like
astype broadcast_arrays broadcast_shapes broadcast_to can_cast finfo iinfo isdtype result_type
abs acos acosh add asin asinh atan atan2 atanh bitwise_and bitwise_invert bitwise_left_shift bitwise_or
bitwise_right_shift bitwise_xor ceil clip conj copysign cos cosh divide equal exp expm1 floor floor_divide greater
greater_equal hypot imag isfinite isinf isnan less less_equal log log10 log1p log2 logaddexp logical_and logical_not
logical_or logical_xor maximum minimum multiply negative nextafter not_equal positive pow real reciprocal remainder
round sign signbit sin sinh sqrt square subtract tan tanh trunc
take take_along_axis
matmul matrix_transpose tensordot vecdot
concat expand_dims flip moveaxis permute_dims repeat reshape roll squeeze stack tile unstack
argmax argmin count_nonzero nonzero searchsorted where
unique_all unique_counts unique_inverse unique_values isin
argsort sort
cumulative_prod cumulative_sum max mean min prod std sum var
all any diff
fft linalg
""".split()  # noqa: SIM905
__all__ = list(NAMES)


class __array_namespace_info__:
    """What the namespace can do, where, and in which dtypes.

    >>> __array_namespace_info__().default_dtypes()["integral"]
    dtype('int64')
    """

    def capabilities(self) -> dict[str, Any]:
        """Boolean masks index, shapes may depend on data, and the most axes an array may have."""
        return {"boolean indexing": True, "data-dependent shapes": True, "max dimensions": 64}

    def default_device(self) -> Device:
        return CPU

    def default_dtypes(self, *, device: Any = None) -> dict[str, Any]:
        """What Python numbers become, and what positions are."""
        names = {"real floating": "f", "complex floating": "c", "integral": "i", "indexing": "i"}
        return {name: default_of(kind) for name, kind in names.items()}

    def dtypes(self, *, device: Any = None, kind: Any = None) -> dict[str, Any]:
        """{name: dtype} of the standard's dtypes, all or of a kind as `isdtype` names it (or of a tuple of kinds)."""
        kinds = ("bool", "numeric") if kind is None else kind if isinstance(kind, tuple) else (kind,)
        if unknown := [k for k in kinds if k not in KINDS]:
            raise ArgumentError(f"dtypes: kind must be one of {', '.join(KINDS)}: got {unknown[0]!r}.")
        return {n: __getattr__(n) for k in kinds for n in KINDS[k] if n in __all__}

    def devices(self) -> tuple[Device, ...]:
        return (CPU,)


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}: the standard has no such name")
    globals()[name] = value = getattr(importlib.import_module(__package__ or ""), name)
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
