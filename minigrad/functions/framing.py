"""Frames around arrays: pad, in all of NumPy's modes."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..errors import ArgumentError, ShapeError
from ..tensor import F, Tensor, wrap
from .arranging import concat, moveaxis
from .spelling import host, named, one_of
from .statistics import median

MODES = ("constant", "edge", "reflect", "symmetric", "wrap", "linear_ramp", "maximum", "mean", "median", "minimum",
         "empty")  # fmt: skip


@named(widths="pad_width")
def pad(
    x: Tensor,
    pad_width: Any,
    mode: str = "constant",
    *,
    constant_values: Any = 0,
    value: Any = None,
    end_values: Any = 0,
    stat_length: Any = None,
    reflect_type: str = "even",
) -> Tensor:
    """x framed: pad_width[i] = (before, after) elements along axis i, or one pair, or one number, for all axes.

    mode, as NumPy's: constant, edge, reflect (without the edge), symmetric (with it), wrap, linear_ramp, maximum, mean,
    median, minimum, empty. Gradients of copied elements return to where they came from, those of the others to what
    they were computed from.

    >>> pad([1, 2, 3], (1, 2), mode="reflect")
    tensor([2, 1, 2, 3, 2, 1])
    """
    one_of("pad", "mode", mode, MODES)
    numpy_pad: Any = np.pad
    if isinstance(pad_width, dict):
        pad_width = [pad_width.get(i, pad_width.get(i - x.ndim, 0)) for i in range(x.ndim)]
        pad_width = [(w, w) if np.ndim(w) == 0 else w for w in pad_width]
    widths = _pairs("pad", "pad_width", pad_width, x.ndim)
    if mode in ("constant", "empty"):
        given = _pairs("pad", "constant_values", constant_values if value is None else value, x.ndim)
        if len({v for pair in given for v in pair}) < 2:
            return F.pad(x, widths=widths, value=given[0][0] if given else 0)
        for axis, (pair, (before, after)) in enumerate(zip(widths, given)):
            for sides, v in (((pair[0], 0), before), ((0, pair[1]), after)):
                x = F.pad(x, widths=tuple(sides if i == axis else (0, 0) for i in range(x.ndim)), value=v)
        return x
    if x.dtype.kind not in "fc" and mode in ("linear_ramp", "mean", "median"):  # integers round as NumPy rounds them
        options: Any = {"linear_ramp": {"end_values": end_values}}.get(mode, {"stat_length": stat_length})
        return wrap(x.backend.asarray(numpy_pad(x.numpy(), widths, mode, **options)))
    ends = _pairs("pad", "end_values", end_values, x.ndim)
    lengths = _pairs("pad", "stat_length", stat_length, x.ndim) if stat_length is not None else [(None, None)] * x.ndim
    for axis, sides in enumerate(widths):
        if any(sides):
            if not x.shape[axis]:
                raise ShapeError(f"pad: mode {mode!r} needs elements along axis {axis}: got shape {x.shape}.")
            x = _framed(x, axis, sides, mode, ends[axis], lengths[axis], reflect_type)
    return x


def _pairs(op: str, name: str, given: Any, ndim: int) -> list[tuple]:
    try:
        pairs = np.broadcast_to(host(given), (ndim, 2)).tolist()
    except ValueError:
        raise ShapeError(f"{op}: {name} must be one pair (before, after) per axis, or fewer: got {given!r}.") from None
    if name in ("pad_width", "stat_length") and (host(given).dtype.kind not in "iu" or np.min(given, initial=0) < 0):
        raise ArgumentError(f"{op}: {name} must be integers from 0 up: got {given!r}. Slice to crop.")
    return [tuple(p) for p in pairs]


def _framed(x: Tensor, axis: int, sides: tuple, mode: str, ends: tuple, lengths: tuple, reflect_type: str) -> Tensor:
    """x padded along one axis, in a mode that reads the array."""
    n, first = x.shape[axis], (slice(None),) * axis
    if mode in ("edge", "wrap") or (mode in ("reflect", "symmetric") and reflect_type == "even"):
        return x[(*first, np.pad(np.arange(n), sides, mode))]  # type: ignore[call-overload]
    if mode in ("reflect", "symmetric", "linear_ramp"):  # y = M x + c: NumPy pads the unit vectors to give M
        from_zero = {"end_values": (0, 0)} if mode == "linear_ramp" else {"reflect_type": "odd"}
        M = np.pad(np.eye(n), (sides, (0, 0)), mode, **from_zero).astype(x.dtype)  # type: ignore[call-overload]
        y = moveaxis(moveaxis(x, axis, -1) @ x.backend.asarray(np.ascontiguousarray(M.T)), -1, axis)
        if mode == "linear_ramp" and any(ends):
            c = np.pad(np.zeros(n), sides, "linear_ramp", end_values=ends).astype(x.dtype)
            y = y + x.backend.asarray(c.reshape((-1,) + (1,) * (x.ndim - axis - 1)))
        return y
    statistic = {"maximum": F.max, "minimum": F.min, "mean": F.mean, "median": median}[mode]
    parts = [x]
    for before, width, length in ((True, sides[0], lengths[0]), (False, sides[1], lengths[1])):
        length = n if length is None else min(length, n)
        if not length:
            raise ArgumentError(f"pad: stat_length must be positive: got {length}.")
        piece = x[(*first, slice(None, length) if before else slice(n - length, None))]
        value = statistic(piece, axis=axis, keepdims=True)
        side = F.broadcast_to(value, (*x.shape[:axis], width, *x.shape[axis + 1 :]))
        parts = [side, *parts] if before else [*parts, side]
    return concat(parts, axis=axis)


@named(value="value")
def constant_pad_nd(x: Tensor, pad: Any, value: Any = 0) -> Tensor:
    """x framed by `value`, as PyTorch counts: pad = (before, after) of the last axis, then of the one before it, and so
    on; negative numbers cut."""
    pad = [int(n) for n in pad]
    pairs = [(0, 0)] * (x.ndim - len(pad) // 2) + list(zip(pad[::2], pad[1::2]))[::-1]
    cut = tuple(slice(max(-a, 0), n - max(-b, 0)) for n, (a, b) in zip(x.shape, pairs))
    return F.pad(x[cut] if min(pad, default=0) < 0 else x, tuple((max(a, 0), max(b, 0)) for a, b in pairs), value=value)
