"""Convolution and its two gradients on tensor cores: see conv_mma.cu.

First x, w or dy are copied with the channels last, filled up with zeros to 16 bytes: a pass over each, which is worth
it because every element takes part in taps times output channels products. Then all that a block reads from device
memory are asynchronous copies of 16 bytes, or zeros where a tap leaves the image. Of the three products of convolution,
that for dx is the first again, with the taps the other way round.

A tile of 128 x 128, 32 halves (16 floats) deep, has 20 KB in shared memory, three of them 60 KB: two blocks fill a
multiprocessor of an H100 with 16 warps and 128 registers a thread (`ptxas -v` of CUDA 13.0 for sm_90: 128 for both
kernels in bfloat16, nothing spilled; in TF32 118, and 128 with 24 bytes spilled for dw). A warp has 64 x 32 of the
tile: it reads 3 KB from shared memory for 16 products of (16, 16) and (16, 8), 192 bytes each, of which a
multiprocessor delivers 128 a clock. Each element that arrives from the caches is multiplied 128 times; x comes taps
times, mostly from there. With fewer output channels the tile is 64 or 32 rows high. No figure here is a speed: none
was measured when this was written.
"""

import math

import numpy as np

from .launch import Source, ceil_div, device, table
from .pool import _three
from .reduce import reduce_line
from .tensor_cores import roomy, serve
from .tensor_cores import source as mma_source

source, last = mma_source("conv_mma"), Source("channels_last")
THREADS, COLUMNS, STAGES = 256, 128, 3
PLACES = 2**31 - 2**16  # in a batch: counted in 32 bits
FEW_CHANNELS = 8  # of a group, below which most of a tile would be empty
FEW_BLOCKS, LONG_PART = 264, 512  # the sum of a gradient of w is cut into parts where there are fewer tiles


def serves(dtype, groups, out_channels, in_channels, places):
    """Does a call go here: by its type, and because its groups fill tiles?"""
    enough = groups == 1 or min(out_channels, in_channels) >= FEW_CHANNELS
    return enough and places < PLACES and serve(dtype)


def _offsets(size, dilation):
    """(taps, 4) ints: 0, and the offset along each axis."""
    d = np.indices(size).reshape(3, -1) * np.reshape(dilation, (3, 1))
    return np.concatenate([0 * d[:1], d]).T.astype(np.int32)


def channels_last(x, batch, channels, places):
    """x (batch, channels, places) as (batch, places, channels rounded up to 16 bytes), with zeros in those."""
    each = 16 // x.dtype.itemsize
    width = ceil_div(channels, each) * each
    y = device().empty((batch, places, width), x.dtype)
    grid = (ceil_div(places, 32) * batch, ceil_div(width, 32))
    run = last("channels_last", x.dtype)
    run(grid, (32, 8), (x, y, channels, places, width), shared=32 * 33 * x.dtype.itemsize)
    return y


def _tile(channels, depth_bytes):
    """TILES and STAGES as defines, and the bytes of shared memory: as many rows as there are channels, up to 128."""
    most = min(4, ceil_div(channels, 32))
    most = 4 if most == 3 else most
    size = lambda m, stages: stages * depth_bytes(32 * m)
    m, stages = roomy(((most, STAGES), (most, 2), (1, STAGES), (1, 2)), size, device().most_shared())
    return {"TILES": m, "STAGES": stages}, size(m, stages)


def _axes(x, y, stride, padding):
    return [n for axis in (x, y, stride, padding) for n in axis]


def _product(x, w, bias, y, taps, groups, channels, axes, adjoint):
    """y from x (B * groups, places, CP) and w (groups, channels, taps * CP)."""
    B, K = y.shape[0], w.size // (groups * channels)
    tile, shared = _tile(channels, lambda rows: (rows + COLUMNS) * (64 + 16))
    grid = (ceil_div(B * math.prod(y.shape[2:]), COLUMNS), ceil_div(channels, 32 * tile["TILES"]), groups)
    arguments = (x, w, bias, y, taps, B, groups, channels, x.shape[-1], K, int(adjoint), *axes)
    source("convolution_mma", x.dtype, **tile)(grid, (THREADS,), arguments, shared=shared)
    return y


def convolution(x, weight, bias, outs, *, stride, padding, dilation, groups):
    B, O, C = x.shape[0], weight.shape[0] // groups, weight.shape[1]
    inner, outer, size = _three(x.shape[2:], 1), _three(outs, 1), _three(weight.shape[2:], 1)
    y = device().empty((B, O * groups, *outs), x.dtype)
    w = channels_last(weight, O * groups, C, math.prod(size))
    x = channels_last(x, B * groups, C, math.prod(inner))
    axes = _axes(inner, outer, _three(stride, 1), _three(padding, 0))
    return _product(x, w, bias, y, table(_offsets, size, _three(dilation, 1)), groups, O, axes, adjoint=False)


def convolution_input(dy, weight, *, size, stride, padding, dilation, groups):
    B, O, C = dy.shape[0], weight.shape[0] // groups, weight.shape[1]
    inner, outer, kernel = _three(tuple(size), 1), _three(dy.shape[2:], 1), _three(weight.shape[2:], 1)
    dx = device().empty((B, C * groups, *size), dy.dtype)
    w = channels_last(weight, groups, O, C * math.prod(kernel))
    dy = channels_last(dy, B * groups, O, math.prod(outer))
    axes = _axes(outer, inner, _three(stride, 1), _three(padding, 0))
    return _product(dy, w, None, dx, table(_offsets, kernel, _three(dilation, 1)), groups, C, axes, adjoint=True)


def convolution_weight(x, dy, *, size, stride, padding, dilation, groups):
    on = device()
    B, C, O = x.shape[0], x.shape[1] // groups, dy.shape[1] // groups
    inner, outer, kernel = _three(x.shape[2:], 1), _three(dy.shape[2:], 1), _three(tuple(size), 1)
    dtype, item, taps, K = x.dtype, x.dtype.itemsize, math.prod(size), B * math.prod(outer)
    dy = channels_last(dy, B * groups, O, math.prod(outer))
    x = channels_last(x, B * groups, C, math.prod(inner))
    tile, shared = _tile(O, lambda rows: 32 * ((rows + COLUMNS) * item + 32))
    grid = ceil_div(taps * x.shape[-1], COLUMNS), ceil_div(O, 32 * tile["TILES"])
    parts = max(1, min(FEW_BLOCKS // (math.prod(grid) * groups), K // LONG_PART, 65535 // groups))
    made = on.empty((groups * O, parts, C * taps), "float32")
    axes = _axes(inner, outer, _three(stride, 1), _three(padding, 0))
    arguments = (x, dy, made, table(_offsets, kernel, _three(dilation, 1)), B, groups, O, dy.shape[-1], C, x.shape[-1])
    run = source("convolution_mma_weight", dtype, **tile)
    run((*grid, groups * parts), (THREADS,), (*arguments, taps, parts, *axes), shared=shared)
    if parts > 1 or made.dtype != dtype:
        made = reduce_line(made, (groups * O, parts, C * taps), "Sum", dtype=dtype)
    return made.reshape((groups * O, C, *size))
