"""Convolutions, their transposes, and padding."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import Any

import numpy as np

from ...errors import ArgumentError, ShapeError
from ...ops.resample import AxisMap
from ...tensor import F, Tensor
from .checks import sizes


def _batched(x: Tensor, n: int, who: str) -> tuple[Tensor, bool]:
    """x with a batch axis, and whether it was missing. x: (B, C, ...) or (C, ...) with n spatial axes."""
    if x.ndim not in (n + 1, n + 2):
        axes, full = ", ".join("DHW"[3 - n :]), n + 2
        hint = f" Add the missing axes of length 1: x[{'None, ' * (full - x.ndim)}...]." if x.ndim < full else ""
        raise ShapeError(f"{who}: x must be (B, C, {axes}) or (C, {axes}): got shape {x.shape}.{hint}")
    return (F.expand_dims(x, axis=0), True) if x.ndim == n + 1 else (x, False)


def same_padding(kernel: Sequence[int], dilation: Sequence[int], stride: Sequence[int], who: str) -> list:
    if any(s != 1 for s in stride):
        raise ArgumentError(f"{who}: padding='same' needs stride 1: got stride {tuple(stride)}. Pass numbers.")
    totals = [d * (k - 1) for k, d in zip(kernel, dilation)]
    return [(t // 2, t - t // 2) for t in totals]  # one more at the end where the total is odd


def _conv(
    x: Tensor, weight: Tensor, bias: Any, stride: Any, padding: Any, dilation: Any, groups: int, n: int
) -> Tensor:
    who = f"conv{n}d"
    if weight.ndim != n + 2:
        raise ShapeError(f"{who}: weight must be (O, C/groups, {n} kernel axes): got shape {weight.shape}.")
    x, single = _batched(x, n, who)
    stride, dilation = sizes(stride, n, who, "stride"), sizes(dilation, n, who, "dilation")
    if padding == "same":
        pairs = same_padding(weight.shape[2:], dilation, stride, who)
        if any(a != b for a, b in pairs):
            x = F.pad(x, widths=((0, 0), (0, 0), *((0, b - a) for a, b in pairs)))
        padding = tuple(a for a, _ in pairs)
    elif padding == "valid":
        padding = (0,) * n
    elif isinstance(padding, str):
        raise ArgumentError(f"{who}: padding must be 'same', 'valid' or numbers: got {padding!r}.")
    else:
        padding = sizes(padding, n, who, "padding", 0)
    y = F.convolution(x, weight, bias, stride=stride, padding=padding, dilation=dilation, groups=groups)
    return F.squeeze(y, axis=0) if single else y


def conv1d(input, weight, bias=None, stride=1, padding=0, dilation=1, groups=1):
    """Cross-correlation. input: (B, C, W); weight: (O, C/groups, KW); bias: (O,); y: (B, O, OW). See Conv1d."""
    return _conv(input, weight, bias, stride, padding, dilation, groups, 1)


def conv2d(input, weight, bias=None, stride=1, padding=0, dilation=1, groups=1):
    """Cross-correlation. input: (B, C, H, W); weight: (O, C/groups, KH, KW); bias: (O,); y: (B, O, OH, OW).
    See Conv2d."""
    return _conv(input, weight, bias, stride, padding, dilation, groups, 2)


def conv3d(input, weight, bias=None, stride=1, padding=0, dilation=1, groups=1):
    """Cross-correlation. input: (B, C, D, H, W); weight: (O, C/groups, KD, KH, KW); y: (B, O, OD, OH, OW).
    See Conv3d."""
    return _conv(input, weight, bias, stride, padding, dilation, groups, 3)


def _conv_transpose(
    x: Tensor,
    weight: Tensor,
    bias: Any,
    stride: Any,
    padding: Any,
    output_padding: Any,
    groups: int,
    dilation: Any,
    n: int,
) -> Tensor:
    who = f"conv_transpose{n}d"
    if weight.ndim != n + 2:
        raise ShapeError(f"{who}: weight must be (C, O/groups, {n} kernel axes): got shape {weight.shape}.")
    x, single = _batched(x, n, who)
    stride, dilation = sizes(stride, n, who, "stride"), sizes(dilation, n, who, "dilation")
    padding, extra = sizes(padding, n, who, "padding", 0), sizes(output_padding, n, who, "output_padding", 0)
    if any(e >= max(s, d) for e, s, d in zip(extra, stride, dilation)):
        raise ArgumentError(f"{who}: output_padding must be below stride or dilation: got {extra} for {stride}.")
    if x.shape[1] != weight.shape[0] or groups < 1 or weight.shape[0] % groups:
        raise ShapeError(
            f"{who}: channels must agree: x {x.shape} has {x.shape[1]}, weight {weight.shape} takes "
            f"{weight.shape[0]}, groups={groups} must divide them."
        )
    size = tuple(
        (length - 1) * s - 2 * p + d * (k - 1) + e + 1
        for length, s, p, d, k, e in zip(x.shape[2:], stride, padding, dilation, weight.shape[2:], extra)
    )
    if min(size) < 1:
        raise ShapeError(
            f"{who}: the output would have spatial size {size}: padding {padding} is too large for x {x.shape}."
        )
    whole = [e // s for e, s in zip(extra, stride)]
    if any(whole):  # more than a stride of output_padding is as good as zeros behind x
        x = F.pad(x, widths=((0, 0), (0, 0), *((0, w) for w in whole)))
    y = F.convolution_input(x, weight, size=size, stride=stride, padding=padding, dilation=dilation, groups=groups)
    if bias is not None:
        y = y + F.reshape(bias, (-1, *[1] * n))
    return F.squeeze(y, axis=0) if single else y


def conv_transpose1d(input, weight, bias=None, stride=1, padding=0, output_padding=0, groups=1, dilation=1):
    """The gradient of conv1d for its input, as a layer. input: (B, C, W); weight: (C, O/groups, KW); y: (B, O, OW)."""
    return _conv_transpose(input, weight, bias, stride, padding, output_padding, groups, dilation, 1)


def conv_transpose2d(input, weight, bias=None, stride=1, padding=0, output_padding=0, groups=1, dilation=1):
    """The gradient of conv2d for its input, as a layer.
    input: (B, C, H, W); weight: (C, O/groups, KH, KW); y: (B, O, OH, OW)."""
    return _conv_transpose(input, weight, bias, stride, padding, output_padding, groups, dilation, 2)


def conv_transpose3d(input, weight, bias=None, stride=1, padding=0, output_padding=0, groups=1, dilation=1):
    """The gradient of conv3d for its input, as a layer. input: (B, C, D, H, W); weight: (C, O/groups, KD, KH, KW)."""
    return _conv_transpose(input, weight, bias, stride, padding, output_padding, groups, dilation, 3)


def pad(input: Tensor, pad: Sequence[int], mode: str = "constant", value: float | None = None) -> Tensor:
    """A frame around the last axes. pad: (before, after) of the last axis, then of the one before it, ...;
    negative crops.

    mode: "constant" (`value`, 0 if None), "reflect" (mirrored, the edge not repeated),
    "replicate" (the edge repeated), "circular".
    """
    pad = tuple(pad)
    if len(pad) % 2 or len(pad) > 2 * input.ndim:
        raise ArgumentError(
            f"pad: needs a (before, after) pair per axis, last axis first: got {pad} for shape {input.shape}."
        )
    pairs = [(0, 0)] * (input.ndim - len(pad) // 2) + list(zip(pad[::2], pad[1::2]))[::-1]
    if mode not in ("constant", "reflect", "replicate", "circular"):
        raise ArgumentError(f"pad: mode must be constant, reflect, replicate or circular: got {mode!r}.")
    if value is not None and mode != "constant":
        raise ArgumentError(f"pad: value has no meaning in mode {mode!r}: got {value}. Leave it None.")
    if any(n + a + b < 0 for n, (a, b) in zip(input.shape, pairs)):
        raise ShapeError(f"pad: {pad} crops more than there is of shape {input.shape}.")
    grown = tuple((max(a, 0), max(b, 0)) for a, b in pairs)
    first = mode == "circular"  # which is cropped before it is padded, as in PyTorch; reflect and replicate after
    x = _cropped(input, pairs) if first else input
    if mode == "constant":
        x = F.pad(x, widths=grown, value=0 if value is None else value) if any(map(any, grown)) else x
    elif any(map(any, grown)):
        maps = tuple(_framing(n, a, b, mode) if a or b else None for n, (a, b) in zip(x.shape, grown))
        x = F.resample(x, maps=maps[next(i for i, m in enumerate(maps) if m) :])
    return x if first else _cropped(x, pairs)


def _cropped(x: Tensor, pairs: Sequence[tuple[int, int]]) -> Tensor:
    """x without what negative pairs take from each end."""
    if all(a >= 0 and b >= 0 for a, b in pairs):
        return x
    return x[tuple(slice(max(-a, 0), n - max(-b, 0)) for n, (a, b) in zip(x.shape, pairs))]


@lru_cache(maxsize=256)
def _framing(n: int, before: int, after: int, mode: str) -> AxisMap:
    """Which elements of an axis of n the framed axis repeats."""
    most = {"reflect": n - 1, "circular": n, "replicate": before + after if n else 0}[mode]
    if max(before, after) > most:
        raise ShapeError(f"pad: mode {mode!r} can add at most {most} to an axis of {n}: got ({before}, {after}).")
    names = {"reflect": "reflect", "circular": "wrap", "replicate": "edge"}
    return AxisMap(n, [np.pad(np.arange(n), (before, after), names[mode])])  # type: ignore[call-overload]
