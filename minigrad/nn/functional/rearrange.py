"""The same elements elsewhere: pixels and channels exchanged, windows as columns and back."""

from __future__ import annotations

import math
from typing import Any

from ... import functions
from ...errors import ShapeError
from ...tensor import F, Tensor
from .checks import sizes


def _image(x: Tensor, who: str) -> tuple[tuple[int, ...], int, int, int]:
    if x.ndim < 3:
        raise ShapeError(f"{who}: x must be (..., C, H, W): got shape {x.shape}.")
    *batch, c, h, w = x.shape
    return tuple(batch), c, h, w


def pixel_shuffle(input: Tensor, upscale_factor: int) -> Tensor:
    """y[c, h r + i, w r + j] = x[c r**2 + i r + j, h, w], r = upscale_factor. input: (..., C r**2, H, W); y: (..., C,
    H r, W r). Shi et al. 2016, arXiv:1609.05158."""
    (batch, c, h, w), (r,) = _image(input, "pixel_shuffle"), sizes(upscale_factor, 1, "pixel_shuffle", "upscale_factor")
    if c % r**2:
        raise ShapeError(
            f"pixel_shuffle: upscale_factor**2 must divide the channels: got {r}**2 = {r**2}, x {input.shape} has {c}."
        )
    n = len(batch)
    x = F.reshape(input, (*batch, c // r**2, r, r, h, w))
    x = F.permute_dims(x, (*range(n), n, n + 3, n + 1, n + 4, n + 2))  # (..., C, H, r, W, r)
    return F.reshape(x, (*batch, c // r**2, h * r, w * r))


def pixel_unshuffle(input: Tensor, downscale_factor: int) -> Tensor:
    """The inverse of pixel_shuffle. input: (..., C, H r, W r), r = downscale_factor; y: (..., C r**2, H, W)."""
    who = "pixel_unshuffle"
    (batch, c, h, w), (r,) = _image(input, who), sizes(downscale_factor, 1, who, "downscale_factor")
    if h % r or w % r:
        raise ShapeError(f"{who}: downscale_factor={r} must divide height and width: got shape {input.shape}.")
    n = len(batch)
    x = F.reshape(input, (*batch, c, h // r, r, w // r, r))
    x = F.permute_dims(x, (*range(n), n, n + 2, n + 4, n + 1, n + 3))  # (..., C, r, r, H, W)
    return F.reshape(x, (*batch, c * r**2, h // r, w // r))


def channel_shuffle(input: Tensor, groups: int) -> Tensor:
    """The channels dealt out from `groups` stacks: as a (groups, C / groups) matrix, transposed. input: (B, C, ...).
    Zhang et al. 2017, arXiv:1707.01083."""
    (groups,) = sizes(groups, 1, "channel_shuffle", "groups")
    if input.ndim < 3 or input.shape[1] % groups:
        raise ShapeError(f"channel_shuffle: x must be (B, C, ...), groups={groups} dividing C: got {input.shape}.")
    b, c, *rest = input.shape
    x = F.reshape(input, (b, groups, c // groups, *rest))
    return F.reshape(functions.swapaxes(x, 1, 2), input.shape)


def _columns(who: str, shape: tuple[int, ...], size: Any, dilation: Any, padding: Any, stride: Any) -> tuple:
    """The options as pairs, and the number of windows along height and width."""
    size, dilation = sizes(size, 2, who, "kernel_size"), sizes(dilation, 2, who, "dilation")
    padding, stride = sizes(padding, 2, who, "padding", 0), sizes(stride, 2, who, "stride")
    outs = tuple(
        (n + 2 * p - d * (k - 1) - 1) // s + 1 for n, p, d, k, s in zip(shape, padding, dilation, size, stride)
    )
    if min(outs) < 1:
        raise ShapeError(
            f"{who}: the window must fit: kernel_size {size} with dilation {dilation} on {tuple(shape)} with padding "
            f"{padding}."
        )
    return size, dilation, padding, stride, outs


def unfold(input: Tensor, kernel_size: Any, dilation: Any = 1, padding: Any = 0, stride: Any = 1) -> Tensor:
    """Every window as a column. input: (B, C, H, W) or (C, H, W); y: (B, C KH KW, OH OW), zeros around x.

    >>> import minigrad as mg
    >>> unfold(mg.ones(1, 3, 4, 5), (2, 3)).shape
    (1, 18, 9)
    """
    if input.ndim not in (3, 4):
        raise ShapeError(f"unfold: x must be (B, C, H, W) or (C, H, W): got shape {input.shape}.")
    size, dilation, padding, stride, outs = _columns("unfold", input.shape[-2:], kernel_size, dilation, padding, stride)
    x = input if input.ndim == 4 else input[None]
    if any(padding):
        x = F.pad(x, widths=((0, 0), (0, 0), *((p, p) for p in padding)))
    w = F.windows(x, size=size, stride=stride, dilation=dilation)  # (B, C, OH, OW, KH, KW)
    w = F.permute_dims(w, (0, 1, 4, 5, 2, 3))
    y = F.reshape(w, (x.shape[0], x.shape[1] * math.prod(size), math.prod(outs)))
    return y if input.ndim == 4 else y[0]


def fold(
    input: Tensor, output_size: Any, kernel_size: Any, dilation: Any = 1, padding: Any = 0, stride: Any = 1
) -> Tensor:
    """The columns of `unfold` added up where the windows overlap: its adjoint. input: (B, C KH KW, L) or (C KH KW, L),
    L = the number of windows in output_size = (H, W); y: (B, C, H, W)."""
    height, width = sizes(output_size, 2, "fold", "output_size")
    size, dilation, padding, stride, outs = _columns("fold", (height, width), kernel_size, dilation, padding, stride)
    if input.ndim not in (2, 3) or input.shape[-2] % math.prod(size) or input.shape[-1] != math.prod(outs):
        raise ShapeError(
            f"fold: x must be (B, C KH KW, L) or (C KH KW, L), with KH KW = {math.prod(size)} and L = "
            f"{outs[0]} * {outs[1]} windows in {(height, width)}: got shape {input.shape}."
        )
    x = input if input.ndim == 3 else input[None]
    b, c = x.shape[0], x.shape[1] // math.prod(size)
    w = F.permute_dims(F.reshape(x, (b, c, *size, *outs)), (0, 1, 4, 5, 2, 3))  # (B, C, OH, OW, KH, KW)
    (top, left) = padding
    framed = (b, c, height + 2 * top, width + 2 * left)
    y = F.fold_windows(w, shape=framed, size=size, stride=stride, dilation=dilation)
    y = y[:, :, top : top + height, left : left + width]
    return y if input.ndim == 3 else y[0]
