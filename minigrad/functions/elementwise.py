"""Elementwise functions composed of the primitives: roundings of quotients, parts of numbers, complex from real."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

from ..errors import ArgumentError, DTypeError
from ..tensor import F, Tensor, wrap
from .spelling import one_of, takes_out, tensor_of


@takes_out
def div(x: Any, other: Any, *, rounding_mode: str | None = None) -> Tensor:
    """x / other, rounded: rounding_mode None: not; "floor": down, as Python's //; "trunc": towards zero, as C's.

    >>> div(tensor_of([7, -7]), 2, rounding_mode="trunc"), div(tensor_of([7, -7]), 2, rounding_mode="floor")
    (tensor([ 3, -3]), tensor([ 3, -4]))
    """
    one_of("div", "rounding_mode", rounding_mode, (None, "floor", "trunc"))
    if rounding_mode is None:
        return F.divide(x, other)
    if rounding_mode == "floor":
        return F.floor_divide(x, other)
    dtype = tensor_of(x).dtype if isinstance(other, (int, float)) else F.subtract(x, other).dtype
    if dtype.kind not in "iu":
        return F.trunc(F.divide(x, other))
    return F.floor_divide(F.subtract(x, F.fmod(x, other)), other)  # exact: floats would lose digits of large integers


@takes_out
def float_power(x: Any, exponent: Any) -> Tensor:
    """x**exponent in float64, or complex128 if either is complex: integers may have negative powers.

    >>> float_power(tensor_of([2, 4]), -1).tolist()
    [0.5, 0.25]
    """
    x, exponent = tensor_of(x), tensor_of(exponent)
    wide = "complex128" if "c" in x.dtype.kind + exponent.dtype.kind else "float64"
    return F.power(x.astype(wide), exponent.astype(wide))


class Parts(NamedTuple):
    """x = mantissa 2**exponent."""

    mantissa: Tensor
    exponent: Tensor


@takes_out
def frexp(x: Any) -> Parts:
    """(m, e) with x = m 2**e, 1/2 <= |m| < 1 and e int32; (0, 0) for 0."""
    return Parts(*F.frexp(tensor_of(x)))


def modf(x: Any) -> tuple[Tensor, Tensor]:
    """(fraction, integer part), both with the sign of x: (0.5, 1.0) of 1.5, (-0.0, -inf) of -inf."""
    x = tensor_of(x)
    whole = F.trunc(x * 1.0)
    return F.where(F.isinf(x), F.copysign(0.0, x), F.copysign(x - whole, x)), whole


def divmod(a: Any, b: Any) -> tuple[Tensor, Tensor]:
    """(a // b, a % b)."""
    return F.floor_divide(a, b), F.remainder(a, b)


def polygamma(n: int, x: Any) -> Tensor:
    """The n-th derivative of digamma: polygamma(1, x) is pi**2 / 6 at 1.

    >>> round(polygamma(1, tensor_of(1.0)), 4)
    tensor(1.6449)
    """
    if n != int(n) or n < 0:
        raise ArgumentError(f"polygamma: n counts derivatives, 0, 1, 2, ...: got {n!r}.")
    return F.polygamma_of(x, n=int(n)) if n else F.digamma(x)


@takes_out
def mvlgamma(x: Any, p: int) -> Tensor:
    """ln of the multivariate gamma function of dimension p: p (p - 1) / 4 ln pi + sum of lgamma(x - k / 2), k < p."""
    if p < 1:
        raise ArgumentError(f"mvlgamma: the dimension p must be 1 or more: got {p}.")
    y = F.lgamma(x) + p * (p - 1) / 4 * math.log(math.pi)
    for k in range(1, p):
        y = y + F.lgamma(x - 0.5 * k)
    return y


multigammaln = mvlgamma


@takes_out
def complex(real: Any, imag: Any) -> Tensor:
    """real + i imag: complex64 of float32 parts, complex128 of float64.

    >>> complex(tensor_of([1.0]), tensor_of([2.0]))
    tensor([1.+2.j], dtype=complex64)
    """
    real, imag = tensor_of(real), tensor_of(imag)
    if real.dtype.kind != "f" or real.dtype != imag.dtype:
        raise DTypeError(f"complex: both parts need the same float dtype: got {real.dtype} and {imag.dtype}.")
    return real + imag * 1j


@takes_out
def polar(abs: Any, angle: Any) -> Tensor:
    """abs e**(i angle)."""
    return complex(abs * F.cos(angle), abs * F.sin(angle))


def bitwise_count(x: Any) -> Tensor:
    """How many bits of |x| are 1: uint8. Integers have no gradient."""
    x = tensor_of(x)
    if x.dtype.kind not in "iub":
        raise DTypeError(f"bitwise_count: needs integers: got {x.dtype}.")
    return wrap(x.backend.library.bitwise_count(x.array))


@takes_out
def clamp_min(x: Any, min: Any) -> Tensor:
    """x, or min where x < min."""
    return F.clip(x, min)


@takes_out
def clamp_max(x: Any, max: Any) -> Tensor:
    """x, or max where x > max."""
    return F.clip(x, None, max)


def fabs(x: Any) -> Tensor:
    """|x| of real numbers, as floats."""
    x = tensor_of(x)
    if x.dtype.kind == "c":
        raise DTypeError("fabs: needs real numbers: got complex ones. Use abs.")
    return F.abs(x if x.dtype.kind == "f" else x * 1.0)


@takes_out
def round(x: Any, decimals: int = 0) -> Tensor:
    """The nearest multiple of 10**-decimals, halves to the even one. The gradient is zero.

    >>> round(tensor_of([1.25, 31.0]), decimals=-1)
    tensor([ 0., 30.])
    """
    x = tensor_of(x)
    if not decimals or (x.dtype.kind in "biu" and decimals > 0):
        return F.round(x)
    scale = 10.0 ** abs(decimals)
    y = F.round(x * scale) / scale if decimals > 0 else F.round(x / scale) * scale
    return y if y.dtype == x.dtype else y.astype(x.dtype)


@takes_out
def rsub(x: Any, other: Any, *, alpha: Any = 1) -> Tensor:
    """other - alpha x."""
    return F.subtract(other, x if alpha == 1 else F.multiply(x, alpha))


def view_as_real(x: Any) -> Tensor:
    """(..., 2): the real and the imaginary part, side by side."""
    x = tensor_of(x)
    if x.dtype.kind != "c":
        raise DTypeError(f"view_as_real: needs complex numbers: got {x.dtype}.")
    return F.stack(F.real(x), F.imag(x), axis=-1)


@takes_out
def view_as_complex(x: Any) -> Tensor:
    """x[..., 0] + i x[..., 1]."""
    x = tensor_of(x)
    if x.dtype.kind != "f" or not x.ndim or x.shape[-1] != 2:
        raise DTypeError(f"view_as_complex: needs floats (..., 2): got {x.dtype} {x.shape}.")
    return complex(x[..., 0], x[..., 1])


@takes_out
def conj_physical(x: Any) -> Tensor:
    """The complex conjugate; of real numbers, a copy."""
    return F.conj(x)


@takes_out
def resolve_conj(x: Any) -> Tensor:
    """x: nothing here is conjugated lazily."""
    return tensor_of(x)


resolve_neg = resolve_conj


def fill(x: Any, value: Any) -> Tensor:
    """`value` in the shape and the dtype of x."""
    x = tensor_of(x)
    y = F.zeros_like(x) + value
    return y if y.dtype == x.dtype else y.astype(x.dtype)
