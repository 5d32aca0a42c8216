"""Images at other sizes and other places: interpolate, grid_sample, affine_grid."""

from __future__ import annotations

import functools
import math
import warnings
from collections.abc import Sequence
from typing import Any

import numpy as np

from ...errors import ArgumentError, DTypeError, ShapeError
from ...ops.resample import AxisMap, cubic_far, cubic_near, cubic_weights
from ...tensor import F, Tensor, wrap
from .checks import sizes
from .pooling import adaptive_avg_pool1d, adaptive_avg_pool2d, adaptive_avg_pool3d

AXES = {"linear": 1, "bilinear": 2, "bicubic": 2, "trilinear": 3}  # mode -> its number of spatial axes
MODES = ("nearest", "nearest-exact", "area", *AXES)


# ---- the filters: weight of an element at distance t -----------------------------------------------------------------


def _triangle(t: Any) -> Any:
    return np.maximum(1 - np.abs(t), 0)


def _cubic(t: Any) -> Any:
    t = np.abs(t)
    return np.where(t < 1, cubic_near(t, -0.5), np.where(t < 2, cubic_far(t, -0.5), 0))


# ---- interpolate: along each axis y = sum over taps of weight * x[index] ---------------------------------------------


def _nearest(n: int, out: int, step: Any, exact: bool) -> Any:
    places = np.arange(out, dtype=step.dtype)
    index = np.minimum(np.floor((places + 0.5) * step if exact else places * step), n - 1)
    return index.astype(np.int64)


def _smooth(n: int, out: int, step: Any, align_corners: bool, cubic: bool) -> list:
    places = np.arange(out, dtype=step.dtype)
    source = places * step if align_corners else (places + step.dtype.type(0.5)) * step - step.dtype.type(0.5)
    source = source if cubic else np.maximum(source, 0)
    low = np.floor(source)
    t, low = np.clip(source - low, 0, 1), low.astype(np.int64)
    if cubic:
        return [(np.clip(low + k - 1, 0, n - 1), w) for k, w in enumerate(cubic_weights(t))]
    low = np.minimum(low, n - 1)
    return [(low, 1 - t), (np.minimum(low + 1, n - 1), t)]


def _antialiased(n: int, out: int, step: Any, cubic: bool) -> list:
    """The filter stretched by the step where it is above 1, so that every element of x counts."""
    stretch = np.maximum(step, 1)
    reach, center = (2 if cubic else 1) * stretch, step * (np.arange(out, dtype=step.dtype) + step.dtype.type(0.5))
    start = np.maximum((center - reach + 0.5).astype(np.int64), 0)
    stop = np.minimum((center + reach + 0.5).astype(np.int64), n)
    index = start + np.arange((stop - start).max())[:, None]  # (taps, out)
    weight = (_cubic if cubic else _triangle)((index - center + 0.5) / stretch)
    weight = np.where(index < stop, weight, 0)
    weight /= weight.sum(axis=0)
    return list(zip(np.minimum(index, n - 1), weight))


@functools.lru_cache(maxsize=256)
def _map(
    mode: str, n: int, out: int, factor: float | None, align_corners: bool, antialias: bool, dtype: Any
) -> AxisMap:
    """Which elements of an axis of n make each of `out`, and with which weights."""
    # positions are rounded as PyTorch's: those of nearest elements in float32
    kind = np.float64 if dtype == np.float64 and not mode.startswith("nearest") else np.float32
    if align_corners:
        step = kind((n - 1) / (out - 1)) if out > 1 else kind(0)
    else:
        step = kind(1 / factor) if factor else kind(n) / kind(out)
    if mode.startswith("nearest"):
        return AxisMap(n, [_nearest(n, out, step, mode == "nearest-exact")])
    cubic = mode == "bicubic"
    taps = _antialiased(n, out, step, cubic) if antialias else _smooth(n, out, step, align_corners, cubic)
    index, weight = zip(*taps)
    return AxisMap(n, index, np.stack(weight))


def interpolate(
    input: Tensor,
    size: Any = None,
    scale_factor: Any = None,
    mode: str = "nearest",
    align_corners: bool | None = None,
    recompute_scale_factor: bool | None = None,
    antialias: bool = False,
) -> Tensor:
    """x at another size, along each spatial axis. input: (B, C, W), (B, C, H, W) or (B, C, D, H, W).

    size: the new lengths, or scale_factor: what multiplies the old ones (the length rounds down).
    mode: "nearest", "nearest-exact" (rounding at centres, as other libraries do), "linear" (W), "bilinear" (H, W),
    "bicubic" (H, W), "trilinear" (D, H, W), "area" (adaptive_avg_pool). Element i of y lies at
    (i + 1/2) n / n' - 1/2 in x; with align_corners at i (n - 1) / (n' - 1), so that the corner elements coincide.
    recompute_scale_factor: n / n' from the rounded length, not from scale_factor. antialias (bilinear, bicubic): the
    filter grows with the step when x shrinks. Bicubic: Keys 1981, a = -0.75 (-0.5 with antialias), as PyTorch.

    >>> import minigrad as mg
    >>> interpolate(mg.tensor([[[0.0, 4.0]]]), scale_factor=2, mode="linear")
    tensor([[[0., 1., 3., 4.]]])
    """
    who, n = "interpolate", input.ndim - 2
    if mode not in MODES:
        raise ArgumentError(f"{who}: mode must be {', '.join(MODES)}: got {mode!r}.")
    if not 1 <= n <= 3:
        raise ShapeError(f"{who}: x must be (B, C, W), (B, C, H, W) or (B, C, D, H, W): got shape {input.shape}.")
    if AXES.get(mode, n) != n:
        raise ShapeError(f"{who}: mode {mode!r} needs {AXES[mode]} spatial axes: got x {input.shape} with {n}.")
    if align_corners is not None and mode not in AXES:
        raise ArgumentError(f"{who}: align_corners has no meaning in mode {mode!r}. Leave it None.")
    if antialias and mode not in ("bilinear", "bicubic"):
        raise ArgumentError(f"{who}: antialias needs mode 'bilinear' or 'bicubic': got {mode!r}.")
    if (size is None) == (scale_factor is None):
        raise ArgumentError(f"{who}: give size or scale_factor, one of them: got {size} and {scale_factor}.")
    lengths = input.shape[2:]
    factors: list[float | None] = [None] * n
    if size is not None:
        if recompute_scale_factor:
            raise ArgumentError(f"{who}: recompute_scale_factor needs scale_factor: got size.")
        outs = sizes(size, n, who, "size")
    else:
        given = tuple(scale_factor) if isinstance(scale_factor, (tuple, list)) else (scale_factor,) * n
        if len(given) != n or not all(f > 0 for f in given):
            raise ArgumentError(f"{who}: scale_factor must be positive, one or {n} of them: got {scale_factor}.")
        outs = tuple(math.floor(length * f) for length, f in zip(lengths, given))
        factors = factors if recompute_scale_factor else list(given)
    if (not input.size and 0 in input.shape[1:]) or min(outs) < 1:
        raise ShapeError(f"{who}: lengths must be at least 1: got x {input.shape} and new lengths {outs}.")
    if mode == "area":
        return (adaptive_avg_pool1d, adaptive_avg_pool2d, adaptive_avg_pool3d)[n - 1](input, outs)
    always = mode in ("nearest-exact", "bicubic") and not antialias  # the factor may move elements of an equal length
    maps = tuple(
        _map(mode, length, out, factor, bool(align_corners), antialias, input.dtype)
        if out != length or (always and factor)
        else None
        for length, out, factor in zip(lengths, outs, factors)
    )
    return F.resample(input, maps=maps) if any(maps) else input


def upsample(
    input: Tensor, size: Any = None, scale_factor: Any = None, mode: str = "nearest", align_corners: bool | None = None
) -> Tensor:
    """interpolate under its old name."""
    return interpolate(input, size, scale_factor, mode, align_corners)


def upsample_nearest(input: Tensor, size: Any = None, scale_factor: Any = None) -> Tensor:
    """interpolate with mode "nearest"."""
    return interpolate(input, size, scale_factor)


def upsample_bilinear(input: Tensor, size: Any = None, scale_factor: Any = None) -> Tensor:
    """interpolate with mode "bilinear" and align_corners."""
    return interpolate(input, size, scale_factor, "bilinear", True)


# ---- grid_sample -----------------------------------------------------------------------------------------------------


def affine_grid(theta: Tensor, size: Sequence[int], align_corners: bool | None = None) -> Tensor:
    """The grid of `grid_sample` for an affine map: grid[b, i, j] = theta[b] (x_j, y_i, 1), x and y from -1 to 1.

    theta: (B, 2, 3) for size (B, C, H, W), (B, 3, 4) for (B, C, D, H, W); y: (B, H, W, 2) or (B, D, H, W, 3).
    align_corners: -1 and 1 are the centres of the outer elements, else their outer edges.
    Jaderberg et al. 2015, arXiv:1506.02025.

    >>> import minigrad as mg
    >>> affine_grid(mg.tensor([[[1.0, 0.0, 0.0], [0.0, 1.0, 0.0]]]), (1, 1, 2, 2), align_corners=True)[0, 0]
    tensor([[-1., -1.],
           [ 1., -1.]])
    """
    n = len(size) - 2
    if n not in (2, 3) or theta.shape != (size[0], n, n + 1):
        raise ShapeError(
            f"affine_grid: theta must be (B, 2, 3) for size (B, C, H, W), (B, 3, 4) for (B, C, D, H, W): got "
            f"{theta.shape} for size {tuple(size)}."
        )
    if theta.dtype.kind != "f":
        raise DTypeError(f"affine_grid: theta must be floats: got {theta.dtype}.")
    if min(size) < 1:
        raise ArgumentError(f"affine_grid: every length in size must be at least 1: got {tuple(size)}.")
    lengths = tuple(size[2:])
    base = np.ones((*lengths, n + 1), theta.dtype)
    for i, length in enumerate(lengths):
        line = np.linspace(-1, 1, length) if length > 1 else np.zeros(1)
        line = line if align_corners else line * (length - 1) / length
        base[..., n - 1 - i] = line.reshape(-1, *[1] * (n - 1 - i))  # x, along the last axis, comes first
    points = wrap(theta.backend.asarray(base.reshape(1, -1, n + 1)))  # (1, H W, 3)
    return F.reshape(F.matmul(points, F.matrix_transpose(theta)), (size[0], *lengths, n))


def grid_sample(
    input: Tensor,
    grid: Tensor,
    mode: str = "bilinear",
    padding_mode: str = "zeros",
    align_corners: bool | None = None,
) -> Tensor:
    """y[b, :, i, j] = x[b] at the place grid[b, i, j] = (x, y), each from -1 to 1 across the image.

    input: (B, C, H, W); grid: (B, OH, OW, 2); y: (B, C, OH, OW); or with depth (B, C, D, H, W), (B, OD, OH, OW, 3).
    mode: "bilinear" (trilinear in 5-d), "nearest" (no gradient for grid), "bicubic" (4-d only).
    padding_mode: what lies outside: "zeros", the "border" element, or the "reflection". align_corners: -1 and 1 are
    the centres of the outer elements, else their outer edges (None: False). A NaN place counts as -1.
    Jaderberg et al. 2015, arXiv:1506.02025.

    >>> import minigrad as mg
    >>> x = mg.tensor([[[[0.0, 1.0], [2.0, 3.0]]]])
    >>> grid_sample(x, mg.zeros(1, 1, 1, 2), align_corners=False)  # the middle
    tensor([[[[1.5]]]])
    """
    who, n = "grid_sample", input.ndim - 2
    if mode not in ("bilinear", "nearest", "bicubic"):
        raise ArgumentError(f"{who}: mode must be bilinear, nearest or bicubic: got {mode!r}.")
    if padding_mode not in ("zeros", "border", "reflection"):
        raise ArgumentError(f"{who}: padding_mode must be zeros, border or reflection: got {padding_mode!r}.")
    if n not in (2, 3) or grid.ndim != n + 2 or grid.shape[-1] != n or grid.shape[0] != input.shape[0]:
        raise ShapeError(
            f"{who}: x (B, C, H, W) needs a grid (B, OH, OW, 2), x (B, C, D, H, W) one of (B, OD, OH, OW, 3): got "
            f"{input.shape} and {grid.shape}."
        )
    if mode == "bicubic" and n == 3:
        raise ArgumentError(f"{who}: mode 'bicubic' needs x (B, C, H, W): got shape {input.shape}.")
    if grid.dtype != input.dtype:
        raise DTypeError(f"{who}: x and grid must have one dtype: got {input.dtype} and {grid.dtype}.")
    if not all(input.shape[2:]):
        raise ShapeError(f"{who}: the lengths of x must be at least 1: got shape {input.shape}.")
    if align_corners is None:
        warnings.warn(f"{who}: align_corners is False unless given. Say which.", stacklevel=2)
    return F.grid_sample(input, grid, mode=mode, padding_mode=padding_mode, align_corners=bool(align_corners))
