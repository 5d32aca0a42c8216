"""Pooling: the largest or the mean of every window."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from ...errors import ArgumentError, ShapeError
from ...primitive import kind_of
from ...tensor import F, Tensor, wrap
from .checks import sizes


def _pooled_length(n: int, k: int, s: int, p: int, d: int, ceil_mode: bool) -> int:
    """The number of windows; with ceil_mode also a last partial one, if it starts inside x or its left padding."""
    span = n + 2 * p - d * (k - 1) - 1
    out = -(-span // s) + 1 if ceil_mode else span // s + 1
    return out - 1 if ceil_mode and (out - 1) * s >= n + p else out


def _pool_options(
    who: str, x: Tensor, n: int, kernel_size: Any, stride: Any, padding: Any, dilation: Any, ceil_mode: bool
):
    if x.ndim not in (n + 1, n + 2):
        axes = ", ".join("DHW"[3 - n :])
        raise ShapeError(f"{who}: x must be (B, C, {axes}) or (C, {axes}): got shape {x.shape}.")
    size, padding = sizes(kernel_size, n, who, "kernel_size"), sizes(padding, n, who, "padding", 0)
    stride = size if stride is None or stride == () else sizes(stride, n, who, "stride")
    dilation = sizes(dilation, n, who, "dilation")
    if any(2 * p > k for p, k in zip(padding, size)):
        raise ArgumentError(
            f"{who}: padding must be at most half of kernel_size: got padding {padding} for kernel_size {size}."
        )
    lengths = x.shape[-n:]
    outs = tuple(_pooled_length(*a, ceil_mode) for a in zip(lengths, size, stride, padding, dilation))
    if min(outs) < 1:
        raise ShapeError(f"{who}: the window must fit: kernel_size {size} on x {x.shape} with padding {padding}.")
    # what the last window reads beyond the right padding
    extra = tuple(
        max((o - 1) * s + d * (k - 1) + 1 - (m + 2 * p), 0)
        for o, s, d, k, m, p in zip(outs, stride, dilation, size, lengths, padding)
    )
    return size, stride, padding, dilation, outs, extra


def _max_pool(x, kernel_size, stride, padding, dilation, ceil_mode, return_indices, n):
    who = f"max_pool{n}d"
    size, stride, padding, dilation, _, extra = _pool_options(
        who, x, n, kernel_size, stride, padding, dilation, ceil_mode
    )
    width = x.shape[-n:]
    if not math.prod(x.shape[-n - 1 :]):
        raise ShapeError(f"{who}: channels and lengths must be at least 1: got shape {x.shape}.")
    if any(extra):
        lowest = -math.inf if kind_of(x.dtype) == "f" else np.iinfo(x.dtype).min
        x = F.pad(x, widths=((0, 0),) * (x.ndim - n) + tuple((0, e) for e in extra), value=lowest)
    y, index = F.max_pool(x, size=size, stride=stride, padding=padding, dilation=dilation)
    if not return_indices:
        return y
    if any(extra):  # positions in the widened x, as positions in x
        grid = np.unravel_index(index.numpy(), x.shape[-n:])
        index = wrap(x.backend.asarray(np.ravel_multi_index(grid, width, mode="clip")))
    return y, index


def max_pool1d(input, kernel_size, stride=None, padding=0, dilation=1, ceil_mode=False, return_indices=False):
    """The largest element of each window. input: (B, C, W) or (C, W). See MaxPool1d."""
    return _max_pool(input, kernel_size, stride, padding, dilation, ceil_mode, return_indices, 1)


def max_pool2d(input, kernel_size, stride=None, padding=0, dilation=1, ceil_mode=False, return_indices=False):
    """The largest element of each window. input: (B, C, H, W) or (C, H, W). See MaxPool2d."""
    return _max_pool(input, kernel_size, stride, padding, dilation, ceil_mode, return_indices, 2)


def max_pool3d(input, kernel_size, stride=None, padding=0, dilation=1, ceil_mode=False, return_indices=False):
    """The largest element of each window. input: (B, C, D, H, W) or (C, D, H, W). See MaxPool3d."""
    return _max_pool(input, kernel_size, stride, padding, dilation, ceil_mode, return_indices, 3)


def _avg_pool(x, kernel_size, stride, padding, ceil_mode, count_include_pad, divisor_override, n):
    who = f"avg_pool{n}d"
    if kind_of(x.dtype) in "iu":  # as PyTorch: integers stay, cut towards zero
        means = _avg_pool(
            x.astype("float64"), kernel_size, stride, padding, ceil_mode, count_include_pad, divisor_override, n
        )
        return F.trunc(means).astype(x.dtype)
    size, stride, padding, _, outs, extra = _pool_options(who, x, n, kernel_size, stride, padding, 1, ceil_mode)
    lengths, plain = x.shape[-n:], not any(padding) and not any(extra)
    frame = tuple((p, p + e) for p, e in zip(padding, extra))
    sums = F.window_sum(x, size=size, stride=stride, frame=frame)  # (B, C, OH, OW)
    if divisor_override is not None:
        if divisor_override == 0:
            raise ArgumentError(f"{who}: divisor_override must not be 0.")
        return sums / divisor_override
    if plain:
        return sums / math.prod(size)
    counts = np.ones(())
    for o, k, s, p, m in zip(outs, size, stride, padding, lengths):  # elements of each window, along this axis
        start = np.arange(o) * s - p
        stop = np.minimum(start + k, m + p)
        inside = stop - start if count_include_pad else np.minimum(stop, m) - np.maximum(start, 0)
        counts = counts[..., None] * inside
    return sums / wrap(x.backend.asarray(counts.astype(x.dtype)))


def avg_pool1d(input, kernel_size, stride=None, padding=0, ceil_mode=False, count_include_pad=True):
    """The mean of each window. input: (B, C, W) or (C, W). See AvgPool1d."""
    return _avg_pool(input, kernel_size, stride, padding, ceil_mode, count_include_pad, None, 1)


def avg_pool2d(
    input, kernel_size, stride=None, padding=0, ceil_mode=False, count_include_pad=True, divisor_override=None
):
    """The mean of each window. input: (B, C, H, W) or (C, H, W). See AvgPool2d."""
    return _avg_pool(input, kernel_size, stride, padding, ceil_mode, count_include_pad, divisor_override, 2)


def avg_pool3d(
    input, kernel_size, stride=None, padding=0, ceil_mode=False, count_include_pad=True, divisor_override=None
):
    """The mean of each window. input: (B, C, D, H, W) or (C, D, H, W). See AvgPool3d."""
    return _avg_pool(input, kernel_size, stride, padding, ceil_mode, count_include_pad, divisor_override, 3)


def _lp_pool(x: Tensor, p: float, kernel_size: Any, stride: Any, ceil_mode: bool, n: int) -> Tensor:
    if abs(p) == math.inf:
        sign = math.copysign(1, p)
        return _max_pool(F.abs(x) * sign, kernel_size, stride, 0, 1, ceil_mode, False, n) * sign
    means = _avg_pool(F.power(x, p), kernel_size, stride, 0, ceil_mode, True, None, n)
    # PyTorch's: a partial window counts as a full one of its mean; sum ** (1 / p) keeps the sign of an odd p's sum
    sums = F.sign(means) * F.relu(F.abs(means)) * math.prod(sizes(kernel_size, n, f"lp_pool{n}d", "kernel_size"))
    return F.power(sums, 1 / p)


def lp_pool1d(input, norm_type, kernel_size, stride=None, ceil_mode=False):
    """y = (sum of x**p over each window)**(1/p), p = norm_type; infinity: the largest |x|.
    input: (B, C, W) or (C, W). See LPPool1d."""
    return _lp_pool(input, norm_type, kernel_size, stride, ceil_mode, 1)


def lp_pool2d(input, norm_type, kernel_size, stride=None, ceil_mode=False):
    """y = (sum of x**p over each window)**(1/p), p = norm_type. input: (B, C, H, W) or (C, H, W). See LPPool2d."""
    return _lp_pool(input, norm_type, kernel_size, stride, ceil_mode, 2)


def lp_pool3d(input, norm_type, kernel_size, stride=None, ceil_mode=False):
    """y = (sum of x**p over each window)**(1/p), p = norm_type. input: (B, C, D, H, W) or (C, D, H, W). See
    LPPool3d."""
    return _lp_pool(input, norm_type, kernel_size, stride, ceil_mode, 3)


def _adaptive_avg_pool(x: Tensor, output_size: Any, n: int) -> Tensor:
    who = f"adaptive_avg_pool{n}d"
    if x.ndim not in (n + 1, n + 2):
        raise ShapeError(f"{who}: x must have {n + 1} or {n + 2} axes: got shape {x.shape}.")
    lengths = tuple(output_size) if isinstance(output_size, (tuple, list)) else (output_size,) * n
    lengths = sizes(tuple(m if o is None else o for o, m in zip(lengths, x.shape[-n:])), n, who, "output_size", 0)
    if all(o == 1 for o in lengths):
        return F.mean(x, axis=tuple(range(-n, 0)), keepdims=True)
    return F.adaptive_avg_pool(x, size=lengths)


def adaptive_avg_pool1d(input, output_size):
    """The mean over output_size stretches of equal length (give or take one). input: (B, C, W)."""
    return _adaptive_avg_pool(input, output_size, 1)


def adaptive_avg_pool2d(input, output_size):
    """The mean over output_size = (OH, OW) areas that cover the image; None keeps a length. input: (B, C, H, W)."""
    return _adaptive_avg_pool(input, output_size, 2)


def adaptive_avg_pool3d(input, output_size):
    """The mean over output_size = (OD, OH, OW) boxes that cover the volume. input: (B, C, D, H, W)."""
    return _adaptive_avg_pool(input, output_size, 3)
