"""Images at other sizes and other places: interpolate, grid_sample, affine_grid."""

from __future__ import annotations

import itertools
import math
import warnings
from collections.abc import Sequence
from typing import Any

import numpy as np

from ... import functions
from ...errors import ArgumentError, DTypeError, ShapeError
from ...tensor import F, Tensor, wrap
from .checks import sizes
from .pooling import adaptive_avg_pool1d, adaptive_avg_pool2d, adaptive_avg_pool3d

AXES = {"linear": 1, "bilinear": 2, "bicubic": 2, "trilinear": 3}  # mode -> its number of spatial axes
MODES = ("nearest", "nearest-exact", "area", *AXES)


# ---- the filters: weight of an element at distance t -----------------------------------------------------------------


def _triangle(t: Any) -> Any:
    return np.maximum(1 - np.abs(t), 0)


def _cubic_near(t: Any, a: float) -> Any:
    """Keys' cubic for |t| <= 1. R. Keys 1981, Cubic convolution interpolation, eq. 4, with a for its -1/2."""
    return ((a + 2) * t - (a + 3)) * t * t + 1


def _cubic_far(t: Any, a: float) -> Any:
    """The same for 1 < |t| < 2."""
    return ((a * t - 5 * a) * t + 8 * a) * t - 4 * a


def _cubic(t: Any) -> Any:
    t = np.abs(t)
    return np.where(t < 1, _cubic_near(t, -0.5), np.where(t < 2, _cubic_far(t, -0.5), 0))


def _cubic_weights(t: Any) -> tuple[Any, ...]:
    """Weights of the elements at -1, 0, 1, 2 for a place t in [0, 1) after the one at 0. a = -0.75, as PyTorch."""
    a = -0.75
    return _cubic_far(t + 1, a), _cubic_near(t, a), _cubic_near(1 - t, a), _cubic_far(2 - t, a)


# ---- interpolate: along each axis y = sum over taps of weight * x[index] ---------------------------------------------


def _nearest(n: int, out: int, step: Any, exact: bool) -> list:
    places = np.arange(out, dtype=step.dtype)
    index = np.minimum(np.floor((places + 0.5) * step if exact else places * step), n - 1)
    return [(index.astype(np.int64), None)]


def _smooth(n: int, out: int, step: Any, align_corners: bool, cubic: bool) -> list:
    places = np.arange(out, dtype=step.dtype)
    source = places * step if align_corners else (places + step.dtype.type(0.5)) * step - step.dtype.type(0.5)
    source = source if cubic else np.maximum(source, 0)
    low = np.floor(source)
    t, low = np.clip(source - low, 0, 1), low.astype(np.int64)
    if cubic:
        return [(np.clip(low + k - 1, 0, n - 1), w) for k, w in enumerate(_cubic_weights(t))]
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


def _taps(mode: str, n: int, out: int, factor: float | None, align_corners: bool, antialias: bool, dtype: Any) -> list:
    """[(index (out,), weight (out,) or None for 1), ...]: which elements of an axis of n make each of `out`."""
    # positions are rounded as PyTorch's: those of nearest elements in float32
    kind = np.float64 if dtype == np.float64 and not mode.startswith("nearest") else np.float32
    if align_corners:
        step = kind((n - 1) / (out - 1)) if out > 1 else kind(0)
    else:
        step = kind(1 / factor) if factor else kind(n) / kind(out)
    if mode.startswith("nearest"):
        return _nearest(n, out, step, mode == "nearest-exact")
    if antialias:
        return _antialiased(n, out, step, mode == "bicubic")
    return _smooth(n, out, step, align_corners, mode == "bicubic")


def _resampled(x: Tensor, axis: int, taps: list) -> Tensor:
    rows = functions.moveaxis(x, axis, 0)  # (n, ...)
    parts = []
    for index, weight in taps:
        part = rows[wrap(x.backend.asarray(index))]  # (out, ...)
        if weight is not None:
            weight = weight.astype(x.dtype).reshape(-1, *[1] * (x.ndim - 1))
            part = part * wrap(x.backend.asarray(weight))
        parts.append(part)
    return functions.moveaxis(sum(parts[1:], parts[0]), 0, axis)


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
    x = input
    for i, (length, out, factor) in enumerate(zip(lengths, outs, factors)):
        if out != length or (mode in ("nearest-exact", "bicubic") and factor and not antialias):
            x = _resampled(x, i + 2, _taps(mode, length, out, factor, bool(align_corners), antialias, x.dtype))
    return x


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


def _clipped(c: Tensor, low: float, high: float) -> Tensor:
    """c inside [low, high]; no gradient where it is moved, nor at the ends, as PyTorch has it."""
    inside = F.logical_and(F.greater(c, low), F.less(c, high))
    return F.where(inside, c, F.clip(c.detach(), low, high))


def _reflected(c: Tensor, size: int, align_corners: bool) -> Tensor:
    """c mirrored at the centres (align_corners) or outer edges of the first and last element until it is inside."""
    low, span = (0.0, size - 1) if align_corners else (-0.5, size)
    if not span:
        return c * 0
    distance = F.abs(c - low)
    turns, rest = F.floor(distance.detach() / span), F.remainder(distance, span)
    return F.where(F.equal(F.remainder(turns, 2), 0), rest, span - rest) + low


def _line(c: Tensor, size: int, mode: str, padding_mode: str, align_corners: bool) -> list:
    """One coordinate's taps [(index, inside, weight or None), ...]. c: (B, O), -1 to 1."""

    def brought_inside(c: Tensor) -> Tensor:
        if padding_mode == "reflection":
            c = _reflected(c, size, align_corners)
        low, high = (-4.0, size + 3.0) if padding_mode == "zeros" else (0.0, size - 1.0)  # finite in either case
        return _clipped(c, low, high)

    c = (c + 1) * ((size - 1) / 2) if align_corners else ((c + 1) * size - 1) / 2  # in elements
    if mode == "nearest":
        found: list = [(F.round(brought_inside(c).detach()), None)]  # halves to even
    elif mode == "bilinear":
        c = brought_inside(c)
        low = F.floor(c.detach())
        found = [(low, low + 1 - c), (low + 1, c - low)]
    else:
        low = F.floor(c.detach())
        found = [(brought_inside(low + k - 1), w) for k, w in enumerate(_cubic_weights(c - low))]
    taps = []
    for place, weight in found:
        index = F.round(place).astype("int64")
        inside = F.logical_and(F.greater_equal(index, 0), F.less(index, size))
        taps.append((F.clip(index, 0, size - 1), inside, weight))
    return taps


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
    b, c, *lengths = input.shape
    outs = grid.shape[1:-1]
    grid = F.where(F.isnan(grid), -1.0, grid)
    lines = [
        _line(F.reshape(grid[..., n - 1 - i], (b, math.prod(outs))), length, mode, padding_mode, bool(align_corners))
        for i, length in enumerate(lengths)
    ]
    flat = F.reshape(input, (b, c, math.prod(lengths)))
    total: Any = 0
    for taps in itertools.product(*lines):
        index: Any = 0
        inside: Any = None
        weight: Any = None
        for length, (place, within, w) in zip(lengths, taps):
            index = index * length + place
            inside = within if inside is None else F.logical_and(inside, within)
            weight = w if weight is None or w is None else weight * w
        values = F.take_along_axis(flat, index[:, None], axis=-1)  # (B, C, O)
        values = F.where(inside[:, None], values, 0)
        total = total + (values if weight is None else values * weight[:, None])
    return F.reshape(total, (b, c, *outs))
