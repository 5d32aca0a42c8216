"""Windows by PyTorch's newer names, ``minigrad.signal.windows``: symmetric unless sym=False, which makes them periodic.

Each gives the M weights w_n, n = 0 ... M - 1, with the last phase N = M - 1 where symmetric and N = M where periodic.
Harris 1978, On the use of windows for harmonic analysis with the discrete Fourier transform.

>>> hann(5).tolist()
[0.0, 0.5, 1.0, 0.5, 0.0]
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any

import numpy as np

from ..creation import asarray
from ..errors import ArgumentError, DTypeError
from ..halves import dtype as dtype_of
from ..mode import MODE
from ..tensor import F, Tensor

__all__ = [
    "bartlett", "blackman", "cosine", "exponential", "gaussian", "general_cosine", "general_hamming", "hamming",
    "hann", "kaiser", "nuttall",
]  # fmt: skip


def _made(who: str, M: int, weights: Any, dtype: Any, layout: Any, device: Any, requires_grad: bool) -> Tensor:
    """weights(n) of the places n = 0 ... M - 1, computed in float64. Raises for what is no length and no dtype."""
    dtype = dtype_of(dtype or MODE.get().default_dtype)
    if M < 0:
        raise ArgumentError(f"{who}: the length M must not be negative: got {M}.")
    if layout not in (None, "strided"):
        raise ArgumentError(f"{who}: tensors are strided: got layout {layout!r}.")
    if dtype not in (np.float32, np.float64):
        raise DTypeError(f"{who}: dtype must be float32 or float64: got {dtype}.")
    values = np.asarray(weights(np.arange(M, dtype=np.float64)), np.float64)
    return asarray(values, dtype=dtype, device=device).requires_grad_(requires_grad)


def _last(M: int, sym: bool) -> int:
    """The phase N; 1 where there is one place, which then has the phase 0."""
    return max(M - 1 if sym or M == 1 else M, 1)


def exponential(
    M: int, *, center: float | None = None, tau: float = 1.0, sym: bool = True, dtype: Any = None, layout: Any = None,
    device: Any = None, requires_grad: bool = False,
) -> Tensor:  # fmt: skip
    """w_n = exp(-|n - center| / tau); center: N / 2, or given for a periodic one."""
    if tau <= 0:
        raise ArgumentError(f"exponential: tau must be positive: got {tau}.")
    if sym and center is not None:
        raise ArgumentError("exponential: a symmetric window has its center in the middle. Leave it out, or sym=False.")
    middle = (M if not sym and M > 1 else M - 1) / 2 if center is None else center
    return _made("exponential", M, lambda n: np.exp(-np.abs(n - middle) / tau), dtype, layout, device, requires_grad)


def cosine(
    M: int, *, sym: bool = True, dtype: Any = None, layout: Any = None, device: Any = None, requires_grad: bool = False
) -> Tensor:
    """w_n = sin(pi (n + 1/2) / (N + 1))."""
    step = math.pi / (M + 1 if not sym and M > 1 else max(M, 1))
    return _made("cosine", M, lambda n: np.sin(step * (n + 0.5)), dtype, layout, device, requires_grad)


def gaussian(
    M: int, *, std: float = 1.0, sym: bool = True, dtype: Any = None, layout: Any = None, device: Any = None,
    requires_grad: bool = False,
) -> Tensor:  # fmt: skip
    """w_n = exp(-(n - N / 2)**2 / (2 std**2))."""
    if std <= 0:
        raise ArgumentError(f"gaussian: std must be positive: got {std}.")
    middle = (M if not sym and M > 1 else M - 1) / 2
    weights = lambda n: np.exp(-0.5 * ((n - middle) / std) ** 2)
    return _made("gaussian", M, weights, dtype, layout, device, requires_grad)


def kaiser(
    M: int, *, beta: float = 12.0, sym: bool = True, dtype: Any = None, layout: Any = None, device: Any = None,
    requires_grad: bool = False,
) -> Tensor:  # fmt: skip
    """w_n = I0(beta sqrt(1 - (2 n / N - 1)**2)) / I0(beta); I0: the modified Bessel function."""
    if beta < 0:
        raise ArgumentError(f"kaiser: beta must not be negative: got {beta}.")

    def weights(n: np.ndarray) -> np.ndarray:
        t = 2 * n / _last(M, sym) - 1 if M != 1 else 0 * n
        inside = asarray(beta * np.sqrt(np.maximum(1 - t * t, 0)), dtype="float64")
        return (F.i0(inside) / F.i0(asarray(float(beta), dtype="float64"))).numpy()

    return _made("kaiser", M, weights, dtype, layout, device, requires_grad)


def bartlett(
    M: int, *, sym: bool = True, dtype: Any = None, layout: Any = None, device: Any = None, requires_grad: bool = False
) -> Tensor:
    """w_n = 1 - |2 n / N - 1|."""
    weights = lambda n: 1 - np.abs(2 * n / _last(M, sym) - 1) if M != 1 else np.ones(1)
    return _made("bartlett", M, weights, dtype, layout, device, requires_grad)


def general_cosine(
    M: int, *, a: Iterable, sym: bool = True, dtype: Any = None, layout: Any = None, device: Any = None,
    requires_grad: bool = False,
) -> Tensor:  # fmt: skip
    """w_n = sum_k (-1)**k a_k cos(2 pi k n / N)."""
    if not isinstance(a, Iterable):
        raise DTypeError(f"general_cosine: a must be a list of coefficients: got {type(a).__name__}.")
    terms = list(a)
    if not terms:
        raise ArgumentError("general_cosine: needs at least one coefficient: got none.")

    def weights(n: np.ndarray) -> np.ndarray:
        if M == 1:
            return np.ones(1)
        t = 2 * math.pi * n / _last(M, sym)
        return sum(((-1) ** k * c * np.cos(k * t) for k, c in enumerate(terms)), np.zeros(M))

    return _made("general_cosine", M, weights, dtype, layout, device, requires_grad)


def general_hamming(M: int, *, alpha: float = 0.54, **keywords: Any) -> Tensor:
    """w_n = alpha - (1 - alpha) cos(2 pi n / N). keywords: sym, dtype, layout, device, requires_grad."""
    return general_cosine(M, a=(alpha, 1 - alpha), **keywords)


def hamming(M: int, **keywords: Any) -> Tensor:
    """w_n = 0.54 - 0.46 cos(2 pi n / N). keywords: sym, dtype, layout, device, requires_grad."""
    return general_hamming(M, **keywords)


def hann(M: int, **keywords: Any) -> Tensor:
    """w_n = (1 - cos(2 pi n / N)) / 2. keywords: sym, dtype, layout, device, requires_grad."""
    return general_hamming(M, alpha=0.5, **keywords)


def blackman(M: int, **keywords: Any) -> Tensor:
    """w_n = 0.42 - 0.5 cos(2 pi n / N) + 0.08 cos(4 pi n / N). keywords: sym, dtype, layout, device, requires_grad."""
    return general_cosine(M, a=(0.42, 0.5, 0.08), **keywords)


def nuttall(M: int, **keywords: Any) -> Tensor:
    """Four cosines: 0.3635819, 0.4891775, 0.1365995, 0.0106411. keywords: sym, dtype, layout, device, requires_grad."""
    return general_cosine(M, a=(0.3635819, 0.4891775, 0.1365995, 0.0106411), **keywords)
