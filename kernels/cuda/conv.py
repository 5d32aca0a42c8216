"""Convolution and its two gradients, over one to three spatial axes, as implicit products of matrices: see conv.cu; on
tensor cores: conv_mma.py."""

import math

import numpy as np

from . import conv_mma
from .launch import TYPES, Source, ceil_div, device, item_bytes, table
from .pool import _three
from .reduce import reduce_line

source = Source("conv")
TILE, DEPTH, THREADS = 64, 16, 256  # as in conv.cu
FEW_BLOCKS, LONG_PART = 264, 512  # the sum of a gradient of w is cut into parts where there are fewer tiles


def _taps(channels, size, dilation, inner):
    """(channels * taps, 4) ints: offset in an array with `inner` places a channel, and along each axis.

    inner: the three lengths, or a number of places (then the taps do not move the offset).
    """
    places = math.prod(inner) if isinstance(inner, tuple) else inner
    c, *k = np.indices((channels, *size)).reshape(4, -1)
    d0, d1, d2 = (a * step for a, step in zip(k, dilation))
    offset = c * places + ((d0 * inner[1] + d1) * inner[2] + d2 if isinstance(inner, tuple) else 0)
    return np.stack([offset, d0, d1, d2], axis=1).astype(np.int32)


def _offsets(out_channels, in_channels, taps):
    """(out_channels * taps,): where w (O, C, taps) has tap k of output channel o, for the first input channel."""
    o, k = np.indices((out_channels, taps)).reshape(2, -1)
    return (o * in_channels * taps + k).astype(np.int32)


def _axes(*given):
    return [n for axis in given for n in axis]


def _shared(dtype):
    return 2 * DEPTH * (TILE + 1) * item_bytes(dtype)


def convolution(x, weight, bias=None, *, stride, padding, dilation, groups):
    on = device()
    x, weight, bias = (None if a is None else on.contiguous(a) for a in (x, weight, bias))
    outs = tuple(
        (n + 2 * p - d * (k - 1) - 1) // s + 1
        for n, k, s, p, d in zip(x.shape[2:], weight.shape[2:], stride, padding, dilation)
    )
    B, O, C = x.shape[0], weight.shape[0], weight.shape[1]
    options = {"stride": stride, "padding": padding, "dilation": dilation, "groups": groups}
    if conv_mma.serves(x.dtype, groups, O // groups, C, B * max(math.prod(outs), math.prod(x.shape[2:]))):
        return conv_mma.convolution(x, weight, bias, outs, **options)
    y = on.empty((B, O, *outs), x.dtype)
    inner, outer, size = _three(x.shape[2:], 1), _three(outs, 1), _three(weight.shape[2:], 1)
    K, M = C * math.prod(size), B * math.prod(outs)
    taps = table(_taps, C, size, _three(dilation, 1), inner)
    axes = _axes(inner, outer, _three(stride, 1), _three(padding, 0))
    grid = (ceil_div(M, TILE), ceil_div(O // groups, TILE), groups)
    arguments = (x, weight, bias, y, taps, B, groups, C, O // groups, K, *axes)
    source("convolution", x.dtype, Out=TYPES[str(x.dtype)][0])(grid, (THREADS,), arguments, shared=_shared(x.dtype))
    return y


def convolution_input(dy, weight, *, size, stride, padding, dilation, groups):
    on = device()
    dy, weight = on.contiguous(dy), on.contiguous(weight)
    B, O, C = dy.shape[0], weight.shape[0] // groups, weight.shape[1]
    options = {"stride": stride, "padding": padding, "dilation": dilation, "groups": groups}
    if conv_mma.serves(dy.dtype, groups, O, C, B * max(math.prod(size), math.prod(dy.shape[2:]))):
        return conv_mma.convolution_input(dy, weight, size=size, **options)
    dx = on.empty((B, C * groups, *size), dy.dtype)
    inner, outer, kernel = _three(tuple(size), 1), _three(dy.shape[2:], 1), _three(weight.shape[2:], 1)
    tap_size, M = math.prod(kernel), B * math.prod(size)
    taps = table(_taps, O, kernel, _three(dilation, 1), math.prod(outer))
    offsets = table(_offsets, O, C, tap_size)
    axes = _axes(inner, outer, _three(stride, 1), _three(padding, 0))
    grid = (ceil_div(M, TILE), ceil_div(C, TILE), groups)
    arguments = (dy, weight, dx, taps, offsets, B, groups, C, O, O * tap_size, tap_size, *axes)
    run = source("convolution_input", dy.dtype, Out=TYPES[str(dy.dtype)][0])
    run(grid, (THREADS,), arguments, shared=_shared(dy.dtype))
    return dx


def convolution_weight(x, dy, *, size, stride, padding, dilation, groups):
    on = device()
    x, dy = on.contiguous(x), on.contiguous(dy)
    B, C, O = x.shape[0], x.shape[1] // groups, dy.shape[1] // groups
    options = {"stride": stride, "padding": padding, "dilation": dilation, "groups": groups}
    if conv_mma.serves(x.dtype, groups, O, C, B * max(math.prod(x.shape[2:]), math.prod(dy.shape[2:]))):
        return conv_mma.convolution_weight(x, dy, size=size, **options)
    inner, outer, kernel = _three(x.shape[2:], 1), _three(dy.shape[2:], 1), _three(tuple(size), 1)
    N, K = C * math.prod(size), B * math.prod(outer)
    taps = table(_taps, C, kernel, _three(dilation, 1), inner)
    tiles = ceil_div(O, TILE) * ceil_div(N, TILE) * groups
    parts = max(1, min(FEW_BLOCKS // tiles, K // LONG_PART, 65535 // groups))
    exact = "float64" if item_bytes(x.dtype) == 8 else "float32"
    made = on.empty((groups * O, parts, N), x.dtype if parts == 1 else exact)
    axes = _axes(inner, outer, _three(stride, 1), _three(padding, 0))
    grid = (ceil_div(O, TILE), ceil_div(N, TILE), groups * parts)
    run = source("convolution_weight", x.dtype, Out=TYPES[str(made.dtype)][0])
    run(grid, (THREADS,), (x, dy, made, taps, B, groups, C, O, N, parts, *axes), shared=_shared(x.dtype))
    if parts > 1:
        made = reduce_line(made, (groups * O, parts, N), "Sum", dtype=x.dtype)
    return made.reshape((groups * O, C, *size))
