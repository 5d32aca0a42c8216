"""Windows for spectra (`stft`): weights that fall off towards both ends, so that the cut leaves no trace. Names are
PyTorch's, and by default they are periodic: the first of the next window would follow the last.

Harris 1978, On the use of windows for harmonic analysis with the discrete Fourier transform.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from .creation import asarray
from .errors import ArgumentError
from .mode import MODE
from .tensor import F, Tensor


def _phases(who: str, length: int, periodic: bool) -> np.ndarray:
    """From 0 at the first weight to 1 at the last, or where periodic one behind it: (length,)."""
    if length < 0:
        raise ArgumentError(f"{who}: the length must not be negative: got {length}.")
    return np.arange(length) / max(length if periodic else length - 1, 1)


def _made(values: np.ndarray, dtype: Any, device: Any, requires_grad: bool) -> Tensor:
    values = values if len(values) != 1 else np.ones(1)
    return asarray(values, dtype=dtype or MODE.get().default_dtype, device=device).requires_grad_(requires_grad)


def _cosines(who: str, length: int, periodic: bool, *weights: float) -> np.ndarray:
    """The sum of weights[k] cos(2 pi k t) over k, of phases t."""
    t = _phases(who, length, periodic)
    return sum((w * np.cos(2 * math.pi * k * t) for k, w in enumerate(weights)), np.zeros(length))


def hann_window(
    window_length: int, periodic: bool = True, *, dtype: Any = None, device: Any = None, requires_grad: bool = False
) -> Tensor:
    """(1 - cos(2 pi t)) / 2, of this length.

    >>> hann_window(4)
    tensor([0. , 0.5, 1. , 0.5])
    """
    return _made(_cosines("hann_window", window_length, periodic, 0.5, -0.5), dtype, device, requires_grad)


def hamming_window(
    window_length: int,
    periodic: bool = True,
    alpha: float = 0.54,
    beta: float = 0.46,
    *,
    dtype: Any = None,
    device: Any = None,
    requires_grad: bool = False,
) -> Tensor:
    """alpha - beta cos(2 pi t), of this length."""
    return _made(_cosines("hamming_window", window_length, periodic, alpha, -beta), dtype, device, requires_grad)


def blackman_window(
    window_length: int, periodic: bool = True, *, dtype: Any = None, device: Any = None, requires_grad: bool = False
) -> Tensor:
    """0.42 - 0.5 cos(2 pi t) + 0.08 cos(4 pi t), of this length."""
    values = _cosines("blackman_window", window_length, periodic, 0.42, -0.5, 0.08)
    return _made(np.abs(values), dtype, device, requires_grad)  # the ends are 0, and rounding may go below


def bartlett_window(
    window_length: int, periodic: bool = True, *, dtype: Any = None, device: Any = None, requires_grad: bool = False
) -> Tensor:
    """The triangle 1 - |2 t - 1|, of this length."""
    return _made(1 - np.abs(2 * _phases("bartlett_window", window_length, periodic) - 1), dtype, device, requires_grad)


def kaiser_window(
    window_length: int,
    periodic: bool = True,
    beta: float = 12.0,
    *,
    dtype: Any = None,
    device: Any = None,
    requires_grad: bool = False,
) -> Tensor:
    """I0(beta sqrt(1 - (2 t - 1)**2)) / I0(beta), of this length; I0: the modified Bessel function."""
    t = 2 * _phases("kaiser_window", window_length, periodic) - 1
    inside = asarray(beta * np.sqrt(np.maximum(1 - t * t, 0)), dtype="float64")
    values = (F.i0(inside) / F.i0(asarray(float(beta), dtype="float64"))).numpy()
    return _made(values, dtype, device, requires_grad)
