"""The largest elements of windows of any place and length (adaptive, fractional), and the way back (max_unpool)."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from ...errors import ArgumentError, ShapeError
from ...random import default_generator
from ...tensor import F, Tensor, wrap
from .checks import check_range, sizes


def _spatial(x: Tensor, n: int, who: str) -> tuple[tuple[int, ...], tuple[int, ...]]:
    if x.ndim not in (n + 1, n + 2):
        axes = ", ".join("DHW"[3 - n :])
        raise ShapeError(f"{who}: x must be (B, C, {axes}) or (C, {axes}): got shape {x.shape}.")
    if not math.prod(x.shape[-n - 1 :]):
        raise ShapeError(f"{who}: channels and lengths must be at least 1: got shape {x.shape}.")
    return x.shape[:-n], x.shape[-n:]


def _largest(x: Tensor, places: Sequence[np.ndarray], return_indices: bool) -> Any:
    """The largest element of each window, and its flat position if asked for.

    places[i]: (..., O_i, K_i), the K_i positions along spatial axis i of the O_i windows, for all planes of x or (...)
    each its own; a position may be there twice.
    """
    n = len(places)
    planes, lengths = x.shape[:-n], x.shape[-n:]
    outs, own = tuple(p.shape[-2] for p in places), places[0].ndim - 2
    flat: Any = 0  # (..., OH, OW, KH, KW): flat positions
    for i, (place, length) in enumerate(zip(places, lengths)):
        shape = [1] * 2 * n
        shape[i], shape[n + i] = place.shape[-2:]
        flat = flat * length + place.reshape(*place.shape[:own], *shape)
    count, size = math.prod(outs), math.prod(flat.shape[own + n :])
    lead = flat.shape[:own] or (1,) * len(planes)
    index = wrap(x.backend.asarray(flat.reshape(*lead, count * size)))
    rows = F.reshape(x, (*planes, math.prod(lengths)))
    windows = F.reshape(F.take_along_axis(rows.detach(), index, axis=-1), (*planes, count, size))
    best = F.expand_dims(F.argmax(windows, axis=-1), axis=-1)  # the first of equals
    index = F.broadcast_to(F.reshape(index, (*lead, count, size)), (*planes, count, size))
    positions = F.take_along_axis(index, best, axis=-1)[..., 0]  # (B, C, OH * OW)
    y = F.reshape(F.take_along_axis(rows, positions, axis=-1), (*planes, *outs))
    return (y, F.reshape(positions, (*planes, *outs))) if return_indices else y


# ---- adaptive --------------------------------------------------------------------------------------------------------


def _adaptive_max_pool(x: Tensor, output_size: Any, return_indices: bool, n: int) -> Any:
    who = f"adaptive_max_pool{n}d"
    _, lengths = _spatial(x, n, who)
    outs = tuple(output_size) if isinstance(output_size, (tuple, list)) else (output_size,) * n
    outs = sizes(tuple(m if o is None else o for o, m in zip(outs, lengths)), n, who, "output_size", 0)
    places = []
    for m, o in zip(lengths, outs):
        i = np.arange(o)
        start, stop = i * m // max(o, 1), -(-(i + 1) * m // max(o, 1))
        offsets = np.arange((stop - start).max(initial=1))
        places.append(np.minimum(start[:, None] + offsets, stop[:, None] - 1))  # a shorter window: its last one again
    return _largest(x, places, return_indices)


def adaptive_max_pool1d(input: Tensor, output_size: Any, return_indices: bool = False) -> Any:
    """The largest of x from floor(i W / OW) to ceil((i + 1) W / OW). input: (B, C, W) or (C, W); y: (B, C, OW);
    return_indices: also its position."""
    return _adaptive_max_pool(input, output_size, return_indices, 1)


def adaptive_max_pool2d(input: Tensor, output_size: Any, return_indices: bool = False) -> Any:
    """The largest of each of output_size = (OH, OW) areas that cover the image; None keeps a length. input: (B, C, H,
    W) or (C, H, W)."""
    return _adaptive_max_pool(input, output_size, return_indices, 2)


def adaptive_max_pool3d(input: Tensor, output_size: Any, return_indices: bool = False) -> Any:
    """The largest of each of output_size = (OD, OH, OW) boxes that cover the volume. input: (B, C, D, H, W)."""
    return _adaptive_max_pool(input, output_size, return_indices, 3)


# ---- fractional ------------------------------------------------------------------------------------------------------


def _fractional_max_pool(x, kernel_size, output_size, output_ratio, return_indices, samples, n):
    who = f"fractional_max_pool{n}d"
    planes, lengths = _spatial(x, n, who)
    size = sizes(kernel_size, n, who, "kernel_size")
    if (output_size is None) == (output_ratio is None):
        raise ArgumentError(f"{who}: give output_size or output_ratio, one of them.")
    if output_size is None:
        ratios = tuple(output_ratio) if isinstance(output_ratio, (tuple, list)) else (output_ratio,) * n
        if len(ratios) != n or not all(0 < r < 1 for r in ratios):
            raise ArgumentError(f"{who}: output_ratio must lie between 0 and 1, one or {n}: got {output_ratio}.")
        output_size = tuple(int(m * r) for m, r in zip(lengths, ratios))
    outs = sizes(output_size, n, who, "output_size")
    if any(o + k - 1 > m for o, k, m in zip(outs, size, lengths)):
        raise ShapeError(f"{who}: {outs} windows of {size} do not fit into x {x.shape}.")
    shape = ((1, planes[0]) if len(planes) == 1 else planes) + (n,)
    if samples is None:
        samples = default_generator.numpy("random", size=shape).astype(x.dtype)
    samples = samples.numpy() if isinstance(samples, Tensor) else np.asarray(samples)
    if samples.shape != shape:
        raise ShapeError(f"{who}: _random_samples must be {shape}: got {samples.shape}.")
    samples = samples.reshape(*planes, n)
    order = (1, 0) if n == 2 else range(n)  # in 2-d PyTorch's samples are for (W, H), in 3-d for (D, H, W)
    places = []
    for m, o, k, axis in zip(lengths, outs, size, order):
        u, i = samples[..., axis, None], np.arange(o - 1, dtype=samples.dtype)
        step = samples.dtype.type((m - k) / (o - 1)) if o > 1 else 0
        start = ((i + u) * step).astype(np.int64) - (u * step).astype(np.int64)  # (B, C, O - 1)
        start = np.concatenate([start, np.full((*planes, 1), m - k)], axis=-1)
        places.append(start[..., None] + np.arange(k))
    return _largest(x, places, return_indices)


def fractional_max_pool2d(
    input: Tensor,
    kernel_size: Any,
    output_size: Any = None,
    output_ratio: Any = None,
    return_indices: bool = False,
    _random_samples: Any = None,
) -> Any:
    """The largest element of windows at random, roughly even distances. input: (B, C, H, W) or (C, H, W).

    output_size: the number of windows, or output_ratio: as part of the lengths. Window i starts at
    int((i + u) a) - int(u a), a = (H - KH) / (OH - 1), u uniform on [0, 1) for each plane and axis; the last one at
    H - KH. Graham 2014, arXiv:1412.6071, with overlapping windows.
    """
    return _fractional_max_pool(input, kernel_size, output_size, output_ratio, return_indices, _random_samples, 2)


def fractional_max_pool3d(
    input: Tensor,
    kernel_size: Any,
    output_size: Any = None,
    output_ratio: Any = None,
    return_indices: bool = False,
    _random_samples: Any = None,
) -> Any:
    """As fractional_max_pool2d with three spatial axes. input: (B, C, D, H, W) or (C, D, H, W)."""
    return _fractional_max_pool(input, kernel_size, output_size, output_ratio, return_indices, _random_samples, 3)


# ---- the way back ----------------------------------------------------------------------------------------------------


def _max_unpool(x: Tensor, indices: Tensor, kernel_size: Any, stride: Any, padding: Any, output_size: Any, n: int):
    who = f"max_unpool{n}d"
    if x.ndim not in (n + 1, n + 2) or indices.shape != x.shape:
        raise ShapeError(
            f"{who}: x must have {n + 1} or {n + 2} axes, and indices its shape: got {x.shape} and {indices.shape}."
        )
    size, padding = sizes(kernel_size, n, who, "kernel_size"), sizes(padding, n, who, "padding", 0)
    stride = size if stride is None else sizes(stride, n, who, "stride")
    planes, lengths = x.shape[:-n], x.shape[-n:]
    outs = tuple((m - 1) * s + k - 2 * p for m, s, k, p in zip(lengths, stride, size, padding))
    if output_size is not None:
        wanted = tuple(output_size)[-n:]
        if len(output_size) not in (n, n + 2) or any(not o - s < w < o + s for o, s, w in zip(outs, stride, wanted)):
            raise ShapeError(
                f"{who}: output_size must be {outs}, give or take less than the stride {stride}: got {output_size}."
            )
        outs = wanted
    if min(outs) < 0:
        raise ShapeError(f"{who}: the output would have lengths {outs}: padding {padding} is too large.")
    check_range(who, indices, math.prod(outs), "indices", "places in the output")
    rows, count = math.prod(planes), math.prod(lengths)
    places = wrap(x.backend.asarray(np.arange(rows)[:, None] * math.prod(outs))) + F.reshape(indices, (rows, count))
    y = F.zeros(shape=(rows * math.prod(outs),), dtype=x.dtype, like=x)
    y[F.reshape(places, (rows * count,))] = F.reshape(x, (rows * count,))
    return F.reshape(y, (*planes, *outs))


def max_unpool1d(
    input: Tensor, indices: Tensor, kernel_size: Any, stride: Any = None, padding: Any = 0, output_size: Any = None
) -> Tensor:
    """Zeros with x at the positions that max_pool1d returned. input, indices: (B, C, W) or (C, W); y: (B, C, OW).

    OW = (W - 1) stride - 2 padding + kernel_size, unless output_size says otherwise. A position named twice keeps one
    of its values, and both receive its gradient, as in PyTorch.
    """
    return _max_unpool(input, indices, kernel_size, stride, padding, output_size, 1)


def max_unpool2d(
    input: Tensor, indices: Tensor, kernel_size: Any, stride: Any = None, padding: Any = 0, output_size: Any = None
) -> Tensor:
    """As max_unpool1d for max_pool2d. input, indices: (B, C, H, W) or (C, H, W)."""
    return _max_unpool(input, indices, kernel_size, stride, padding, output_size, 2)


def max_unpool3d(
    input: Tensor, indices: Tensor, kernel_size: Any, stride: Any = None, padding: Any = 0, output_size: Any = None
) -> Tensor:
    """As max_unpool1d for max_pool3d. input, indices: (B, C, D, H, W) or (C, D, H, W)."""
    return _max_unpool(input, indices, kernel_size, stride, padding, output_size, 3)
