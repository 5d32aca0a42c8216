"""Running sums, products, extremes; differences; integrals of samples."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..errors import ArgumentError, AxisError, ShapeError
from ..primitive import axes_of
from ..signature import narrowed
from ..tensor import F, Tensor
from .arranging import concat, moveaxis, ravel
from .indexing import axis_of
from .pairs import Ranked, paired
from .spelling import floating, host, like, one_of, spelled, tensor_of


def _counted(x: Tensor, dtype: Any) -> Tensor:
    """x in `dtype`, or what its sums have: booleans and small integers are added as int64 (uint64 if unsigned)."""
    if dtype is None:
        dtype = {"b": np.int64, "i": np.int64, "u": np.uint64}.get(x.dtype.kind, x.dtype)
    return x if x.dtype == dtype else x.astype(dtype)


def _running(x: Tensor, axis: Any, f: Any, op: str) -> Tensor:
    x, axis = (ravel(x), 0) if axis is None else (x, axis)
    axes_of(op, (axis,), x.ndim)
    return f(x, axis=axis) if x.ndim else F.reshape(f(F.reshape(x, (1,)), axis=0), ())


@spelled
def cumsum(x: Tensor, axis: int | None = None, dtype: Any = None) -> Tensor:
    """y[i] = x[0] + ... + x[i] along `axis`; None: of the flat array."""
    return narrowed(_running(_counted(x, dtype), axis, F.cumsum, "cumsum"), dtype)


@spelled
def cumprod(x: Tensor, axis: int | None = None, dtype: Any = None) -> Tensor:
    """y[i] = x[0] ... x[i] along `axis`; None: of the flat array. The gradient is right where elements are 0.

    >>> cumprod(tensor_of([1.0, 2.0, 3.0]))
    tensor([1., 2., 6.])
    """
    return narrowed(_running(_counted(x, dtype), axis, F.cumprod, "cumprod"), dtype)


def _cumulative(x: Tensor, axis: int | None, dtype: Any, include_initial: bool, f: Any, first: int, op: str) -> Tensor:
    if axis is None:
        if x.ndim != 1:
            raise AxisError(f"{op}: axis is needed for an array of {x.ndim} axes.")
        axis = 0
    if not x.ndim:
        raise AxisError(f"{op}: a 0-d array has no axis.")
    (axis,) = axes_of(op, axis, x.ndim)
    y = narrowed(f(_counted(x, dtype), axis=axis), dtype)
    if not include_initial:
        return y
    return F.pad(y, widths=tuple((int(i == axis), 0) for i in range(x.ndim)), value=first)


@spelled
def cumulative_sum(
    x: Tensor, /, *, axis: int | None = None, dtype: Any = None, include_initial: bool = False
) -> Tensor:
    """y[i] = x[0] + ... + x[i] along `axis`, which a vector need not name; include_initial: the empty sum, 0,
    comes first."""
    return _cumulative(x, axis, dtype, include_initial, F.cumsum, 0, "cumulative_sum")


@spelled
def cumulative_prod(
    x: Tensor, /, *, axis: int | None = None, dtype: Any = None, include_initial: bool = False
) -> Tensor:
    """y[i] = x[0] ... x[i] along `axis`, which a vector need not name; include_initial: the empty product, 1, comes
    first."""
    return _cumulative(x, axis, dtype, include_initial, F.cumprod, 1, "cumulative_prod")


@spelled
def logcumsumexp(x: Tensor, axis: int = -1) -> Tensor:
    """y[i] = ln(e**x[0] + ... + e**x[i]) along `axis`, without overflow."""
    return _running(floating(x), axis, F.logcumsumexp, "logcumsumexp")


def _extreme(x: Tensor, axis: int, largest: bool, op: str) -> Ranked:
    axis = axis_of(op, axis, x)
    order = F.argcummax(x, axis=axis, largest=largest)
    return Ranked(F.take_along_axis(x, order, axis=axis) if x.ndim else F.copy(x), order)


@paired
@spelled
def cummax(x: Tensor, axis: int) -> Ranked:
    """The largest element so far along `axis`, and its position, the last of equal ones; NaN once there is one. The
    gradient goes to that position."""
    return _extreme(x, axis, True, "cummax")


@paired
@spelled
def cummin(x: Tensor, axis: int) -> Ranked:
    """The smallest element so far along `axis`, and its position, the last of equal ones; NaN once there is one."""
    return _extreme(x, axis, False, "cummin")


@spelled
def nancumsum(x: Tensor, axis: int | None = None, dtype: Any = None) -> Tensor:
    """`cumsum` with NaN as 0."""
    return cumsum(F.where(F.isnan(x), 0, x), axis, dtype)


@spelled
def nancumprod(x: Tensor, axis: int | None = None, dtype: Any = None) -> Tensor:
    """`cumprod` with NaN as 1."""
    return cumprod(F.where(F.isnan(x), 1, x), axis, dtype)


# ---- differences and integrals ---------------------------------------------------------------------------------------


@spelled
def diff(x: Tensor, n: int = 1, axis: int = -1, prepend: Any = None, append: Any = None) -> Tensor:
    """y[i] = x[i+1] - x[i] along `axis`, n times over, after joining `prepend` and `append` to the ends."""
    if n < 0:
        raise ArgumentError(f"diff: n must be from 0 up: got {n}.")
    if not x.ndim:
        raise ShapeError("diff: needs at least 1 axis: got a 0-d array.")
    (axis,) = axes_of("diff", axis, x.ndim)
    if n == 0:
        return x
    first = (slice(None),) * axis
    ends = []
    for end in (prepend, append):
        if end is not None:
            end = tensor_of(end)
            shape = (*x.shape[:axis], 1, *x.shape[axis + 1 :])
            ends.append([F.broadcast_to(end, shape) if not end.ndim else end])
        else:
            ends.append([])
    x = concat([*ends[0], x, *ends[1]], axis=axis) if ends[0] or ends[1] else x
    for _ in range(n):
        a, b = x[(*first, slice(1, None))], x[(*first, slice(None, -1))]
        x = F.not_equal(a, b) if x.dtype == bool else a - b
    return x


@spelled
def ediff1d(x: Tensor, to_end: Any = None, to_begin: Any = None) -> Tensor:
    """The differences of the flat array, with `to_begin` before and `to_end` behind them."""
    y = diff(ravel(x))
    parts = [*([] if to_begin is None else [ravel(to_begin)]), y, *([] if to_end is None else [ravel(to_end)])]
    return concat(parts) if len(parts) > 1 else y


def _sides(y: Tensor, axis: int) -> tuple[Tensor, Tensor]:
    first = (slice(None),) * axis
    return y[(*first, slice(1, None))], y[(*first, slice(None, -1))]


def _widths(y: Tensor, x: Any, dx: Any, axis: int) -> Any:
    """The distances of the samples y, to broadcast against them: from the places x, or dx."""
    if x is None:
        return dx if isinstance(dx, (int, float)) else like(dx, floating(y))
    x = like(x, floating(y))
    if x.ndim == 1:
        return F.reshape(x[1:] - x[:-1], (-1,) + (1,) * (y.ndim - axis - 1))
    place = axis - y.ndim + x.ndim  # x may have fewer axes than y, counted from the right
    a, b = _sides(x, place)
    return a - b


@spelled
def trapezoid(y: Tensor, x: Any = None, dx: Any = 1.0, axis: int = -1) -> Tensor:
    """The integral of the samples y along `axis` by trapezoids: sum of (y[i+1] + y[i]) (x[i+1] - x[i]) / 2."""
    (axis,) = axes_of("trapezoid", axis, y.ndim)
    if not y.ndim:
        raise ShapeError("trapezoid: needs at least 1 axis: got a 0-d array.")
    a, b = _sides(floating(y), axis)
    area = (a + b) * _widths(y, x, dx, axis) * 0.5
    return F.sum(area, axis=axis - y.ndim)


trapz = trapezoid


@spelled
def cumulative_trapezoid(y: Tensor, x: Any = None, *, dx: Any = 1.0, axis: int = -1) -> Tensor:
    """The running `trapezoid`: one element fewer than y along `axis`."""
    (axis,) = axes_of("cumulative_trapezoid", axis, y.ndim)
    a, b = _sides(floating(y), axis)
    return F.cumsum((a + b) * _widths(y, x, dx, axis) * 0.5, axis=axis - y.ndim)


@spelled
def gradient(x: Tensor, *varargs: Any, spacing: Any = None, axis: Any = None, edge_order: int = 1) -> Any:
    """The derivative of samples along each axis (or `axis`) by central differences, one-sided at the ends: a tensor, or
    a tuple of one for each axis. Spacing: one number, one per axis, or the places of the samples along each axis.

    Inside, with the distances h and k to the left and the right: (h**2 x[i+1] + (k**2 - h**2) x[i] - k**2 x[i-1]) /
    (h k (h + k)), exact for parabolas, as the ends are for edge_order=2.
    """
    axes = axes_of("gradient", axis, x.ndim)
    if not x.ndim:
        raise ShapeError("gradient: needs at least 1 axis: got a 0-d array.")
    if edge_order not in (1, 2):
        raise ArgumentError(f"gradient: edge_order must be 1 or 2: got {edge_order}.")
    given = (
        list(varargs)
        if spacing is None
        else [spacing]
        if not isinstance(spacing, (list, tuple)) and not host(spacing).ndim
        else list(spacing)
    )
    if len(given) == 1 != len(axes) and isinstance(spacing, (list, tuple)):
        raise ArgumentError(f"gradient: spacing must be one number, or a list of one per axis: got {spacing}.")
    if len(given) <= 1:
        given = [given[0] if given else 1.0] * len(axes)
    if len(given) != len(axes):
        raise ArgumentError(f"gradient: one spacing, or one per axis: got {len(given)} for {len(axes)} axes.")
    x = floating(x)
    slopes = tuple(_slope(x, a, h, edge_order) for a, h in zip(axes, given))
    return slopes[0] if len(slopes) == 1 and (axis is None or not isinstance(axis, (tuple, list))) else slopes


def _slope(x: Tensor, axis: int, spacing: Any, edge_order: int) -> Tensor:
    y = moveaxis(x, axis, -1)
    n = y.shape[-1]
    if n < edge_order + 1:
        raise ShapeError(f"gradient: needs at least {edge_order + 1} samples along axis {axis}: got shape {x.shape}.")
    places = spacing if isinstance(spacing, (int, float)) else like(spacing, x)
    if isinstance(places, Tensor) and places.ndim:
        if places.shape != (n,):
            raise ShapeError(f"gradient: one place per sample of axis {axis}, {n}: got {places.shape}.")
        step = (places[1:] - places[:-1]).astype(y.dtype)  # (n-1,)
        h, k = step[:-1], step[1:]
        first, second, last, before = step[:1], step[1:2], step[-1:], step[-2:-1]
    else:
        h = k = first = second = last = before = places
    a, b, c = y[..., :-2], y[..., 1:-1], y[..., 2:]
    inside = (c * (h * h) + b * (k * k - h * h) - a * (k * k)) / (h * k * (h + k)) if n > 2 else y[..., :0]
    if edge_order == 1:
        left = (y[..., 1:2] - y[..., :1]) / first
        right = (y[..., -1:] - y[..., -2:-1]) / last
    else:  # the parabola through the last three, differentiated at its end
        left = _end(y[..., :1], y[..., 1:2], y[..., 2:3], first, second)
        right = -_end(y[..., -1:], y[..., -2:-1], y[..., -3:-2], last, before)
    return moveaxis(concat([left, inside, right], axis=-1), -1, axis)


def _end(a: Any, b: Any, c: Any, h: Any, k: Any) -> Any:
    """The slope at a of the parabola through a, b at distance h, and c at distance k from b."""
    return -a * ((2 * h + k) / (h * (h + k))) + b * ((h + k) / (h * k)) - c * (h / (k * (h + k)))


def convolve(a: Any, v: Any, mode: str = "full") -> Tensor:
    """y[k] = sum over i of a[i] v[k - i]. a: (N,), v: (M,); full: N + M - 1 sums, same: max(N, M) in the middle, valid:
    those that need nothing outside."""
    a, v = _vector("convolve", a), _vector("convolve", v)
    a, v = (v, a) if v.size > a.size else (a, v)
    m = v.size
    frame = {"full": (m - 1, m - 1), "valid": (0, 0), "same": (m // 2, (m - 1) // 2)}
    one_of("convolve", "mode", mode, frame)
    return F.windows(F.pad(a, widths=(frame[mode],)), size=(m,), stride=(1,), dilation=(1,)) @ F.flip(v)


def correlate(a: Any, v: Any, mode: str = "valid") -> Tensor:
    """y[k] = sum over i of a[i + k] conj(v[i]). a: (N,), v: (M,); modes as in `convolve`."""
    v = _vector("correlate", v)
    return convolve(_vector("correlate", a), F.flip(F.conj(v) if v.dtype.kind == "c" else v), mode)


def _vector(op: str, x: Any) -> Tensor:
    x = tensor_of(x)
    if x.ndim > 1 or not x.size:
        raise ShapeError(f"{op}: needs two vectors that are not empty: got shape {x.shape}.")
    return ravel(x)


@spelled
def unwrap(x: Tensor, discont: float | None = None, axis: int = -1, *, period: float = 6.283185307179586) -> Tensor:
    """x with multiples of `period` added so that neighbours along `axis` differ by at most half of it, or `discont`."""
    values = host(x)
    moved = np.unwrap(values, discont, axis, period=period) - values
    return x + x.backend.asarray(moved.astype(np.result_type(x.dtype, moved.dtype) if x.dtype.kind != "f" else x.dtype))
