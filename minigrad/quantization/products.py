"""The arithmetic of quantised layers: floats to bytes, products of bytes in int32, back to floats.

With x = (q - z) s and weights w = v t, one t per output, sum x w = s t (sum q v - z sum v): the sums are integers and
exact, and `z sum v` is known beforehand. The kernels serve on the numba backend above a size; elsewhere the same
integers are computed in float64, which holds them exactly.
"""

from __future__ import annotations

import functools
import math
from importlib import import_module
from typing import Any, NamedTuple

import numpy as np

from ..backend.base import load_kernel
from ..errors import ArgumentError, ShapeError
from ..mode import MODE, no_grad
from ..nn import functional as F
from ..tensor import Tensor, wrap
from .affine import SMALLEST_SCALE

KERNEL_FROM = 4_096  # products: below, NumPy is as fast
ZERO, STEPS, SMALLEST = np.float32(0), np.float32(255), np.float32(SMALLEST_SCALE)
FLOATS = (np.dtype(np.float32), np.dtype(np.float64))


class Packed(NamedTuple):
    """int8 weights (O, C, KH, KW) as the kernel reads them."""

    blocks: Any  # (blocks of 16 outputs, groups, 16, 4): KH KW C' in groups of 4 along C', zeros where there are none
    sums: Any  # int32 (O,): the sum of each output's weights
    shape: tuple[int, int, int, int]


def packed(weight: np.ndarray) -> Packed:
    """weight: int8 (O, C, KH, KW)."""
    o, c, kh, kw = weight.shape
    whole_o, whole_c = -(-o // 16) * 16, -(-c // 4) * 4
    filled = np.zeros((whole_o, kh, kw, whole_c), np.int8)
    filled[:o, :, :, :c] = weight.transpose(0, 2, 3, 1)
    blocks = filled.reshape(whole_o // 16, 16, -1, 4).transpose(0, 2, 1, 3)  # (O/16, KH KW C'/4, 16, 4)
    return Packed(np.ascontiguousarray(blocks), weight.sum(axis=(1, 2, 3), dtype=np.int32), weight.shape)


@functools.lru_cache(maxsize=128)
def _tables(height: int, width: int, channels: int, kernel: tuple, stride: tuple, dilation: tuple, spare: int) -> tuple:
    """(rows, steps, out height, out width): byte offsets of windows in an image (H, W, C'), of groups in a window."""
    out = [(n - d * (k - 1) - 1) // s + 1 for n, k, s, d in zip((height, width), kernel, stride, dilation)]
    across, down = np.arange(out[1]) * stride[1], np.arange(out[0])[:, None] * stride[0]
    rows = ((down * width + across) * channels).reshape(-1)
    rows = np.concatenate([rows, np.full(spare, rows[-1])])
    at = (np.arange(kernel[0])[:, None] * dilation[0] * width + np.arange(kernel[1]) * dilation[1]) * channels
    steps = (at.reshape(-1, 1) + np.arange(0, channels, 4)).reshape(-1)
    return rows.astype(np.int64), steps.astype(np.int64), *out


def range_of(x: Tensor, who: str) -> tuple[float, int]:
    """(scale, zero point) of uint8 for the range of x: `qparams` in numbers, since each call of a layer asks."""
    flat, xp, to_host = x.array.reshape(-1), x.backend.xp, x.backend.to_host
    # one run of numbers: NumPy is slow where trailing axes are short
    low, high = (np.float32(to_host(f(flat))) for f in (xp.min, xp.max)) if flat.size else (ZERO, ZERO)
    if not (-math.inf < low and high < math.inf):  # NaN compares as False
        raise ArgumentError(
            f"{who}: the range of x must be finite: got {low} to {high}. Look for NaN or infinity in the data."
        )
    low, high = min(low, ZERO), max(high, ZERO)
    scale = max((high - low) / STEPS, SMALLEST)
    return float(scale), min(max(-int(np.rint(low / scale)), 0), 255)


def convolved(
    who: str,
    x: Tensor,
    weight: Tensor,
    pack: Any,
    weight_scale: Tensor,
    bias: Tensor | None,
    scale: float,
    zero_point: int,
    stride: tuple[int, int] = (1, 1),
    frame: tuple = ((0, 0), (0, 0)),
    dilation: tuple[int, int] = (1, 1),
    rectified: bool = False,
) -> Tensor:
    """y = conv(x rounded to uint8, weight) in floats of x's dtype; max(y, 0) if rectified.

    x: (B, C, H, W); weight: int8 (O, C, KH, KW); pack(): it as Packed; weight_scale: (O,); bias: (O,) or None;
    frame: rows and columns around x, ((top, bottom), (left, right)) -> (B, O, OH, OW).
    """
    (top, bottom), (left, right) = frame
    b, c, height, width = x.shape
    o, kernel = weight.shape[0], weight.shape[2:]
    size = height + top + bottom, width + left + right
    if any(n < d * (k - 1) + 1 for n, k, d in zip(size, kernel, dilation)):
        raise ShapeError(f"{who}: the kernel {kernel} must fit into the padded x {size}.")
    array, dtype = x.array, x.dtype
    factors = (weight_scale.array * float(np.float32(scale))).astype(dtype)  # (O,)
    shift = weight_scale.backend.xp.zeros(o, dtype) if bias is None else bias.array.astype(dtype)
    work = x.size * o * kernel[0] * kernel[1]
    kernels = None
    if MODE.get().host.name == "numba" and type(array) is np.ndarray and dtype in FLOATS and work >= KERNEL_FROM:
        kernels = load_kernel(lambda: import_module("minigrad.kernels.cpu.quantized"))
    if kernels is not None:
        q, wrong = kernels.framed(array, scale, zero_point, frame)
        _refuse_nan(who, wrong)
        held: Packed = pack()
        offset = held.sums * np.int32(zero_point)
        planar = height * width > 1
        if b and size == kernel == (1, 1):  # vectors: one image, whose pixels they are
            rows, steps, oh, ow = _tables(1, b, q.shape[3], (1, 1), (1, 1), (1, 1), kernels.ROWS)
            y = kernels.product(
                q.reshape(1, -1), held.blocks, rows, steps, offset, factors, shift, planar=False, rectified=rectified
            )
            return wrap(y.reshape(b, o, 1, 1))
        rows, steps, oh, ow = _tables(*size, q.shape[3], kernel, stride, dilation, kernels.ROWS)
        y = kernels.product(q, held.blocks, rows, steps, offset, factors, shift, planar=planar, rectified=rectified)
        return wrap(y.reshape(b, o, oh, ow) if planar else np.moveaxis(y.reshape(b, oh, ow, o), 3, 1))
    xp = x.backend.xp
    _refuse_nan(who, bool(x.backend.to_host(xp.any(xp.isnan(array)))))
    steps = xp.clip(xp.rint(array * float(1 / dtype.type(scale))), -zero_point, 255 - zero_point)
    steps = xp.pad(steps.astype(np.float64), ((0, 0), (0, 0), *frame))
    with no_grad():
        if kernel == (1, 1) and size == (1, 1):
            sums = steps.reshape(b, c) @ weight.array.reshape(o, c).astype(np.float64).T
            sums = sums.reshape(b, o, 1, 1)
        else:
            sums = F.conv2d(wrap(steps), wrap(weight.array.astype(np.float64)), None, stride, 0, dilation).array
    y = xp.rint(sums).astype(dtype) * factors[:, None, None] + shift[:, None, None]
    return wrap(xp.maximum(y, 0) if rectified else y)


def _refuse_nan(who: str, wrong: bool) -> None:
    if wrong:
        raise ArgumentError(f"{who}: x holds NaN, which no integer stands for.")
