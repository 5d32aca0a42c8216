"""Values of images at the places of a grid, and the two gradients: for the image and for the grid.

Places go in blocks. For a block, tables say for each tap (4 of a bilinear place, 16 of a bicubic one) which element of
the image it reads, -1 outside, and with which weight; then each channel is one pass over the block with the tables in
the first-level cache, the elements gathered into vectors. For the image's gradient the passes scatter instead, each
image and channel on one thread, in the order of the places: sums do not depend on the number of threads.
"""

import math

import numpy as np
from numba import carray
from numba.extending import register_jitable

from .resample import gathered
from .threads import compiled, pointer, run
from .tiles import lanes
from .vectors import first, load, splat, store

PARALLEL_FROM = 2_048  # elements of y
BLOCK = 128  # places: with 16 taps two tables of 8 kB
CUBIC = -0.75  # as in minigrad/ops/resample.py
MODES = {"nearest": (0, 1), "bilinear": (1, 2), "bicubic": (2, 4)}  # number, taps along an axis
PADDINGS = {"zeros": 0, "border": 1, "reflection": 2}


@register_jitable(error_model="numpy")
def _bring_inside(c, slope, size, padding, align):
    """c brought into its range, and slope multiplied by that of this step; short loops, which vectorise."""
    kind = type(c[0])
    if padding == 2:
        start, span = (kind(0), kind(size - 1)) if align else (kind(-0.5), kind(size))
        for p in range(c.size):
            distance = abs(c[p] - start)
            turns = np.floor(distance / span) if span else kind(0)
            even = turns == 2 * np.floor(turns * kind(0.5))
            rest = distance - turns * span
            slope[p] = slope[p] if (c[p] > start) == even else -slope[p]
            c[p] = (rest if even else span - rest) + start if span else kind(0)
    low, high = (kind(0), kind(size - 1)) if padding else (kind(-4), kind(size + 3))
    for p in range(c.size):
        inside = (c[p] > low) & (c[p] < high)
        slope[p] = slope[p] if inside else kind(0)
        c[p] = c[p] if inside else high if c[p] > low else low


@register_jitable(error_model="numpy")
def _near(t):
    kind = type(t)
    return (kind(CUBIC + 2) * t - kind(CUBIC + 3)) * t * t + kind(1)


@register_jitable(error_model="numpy")
def _far(t):
    kind = type(t)
    return ((kind(CUBIC) * t - kind(5 * CUBIC)) * t + kind(8 * CUBIC)) * t - kind(4 * CUBIC)


@register_jitable(error_model="numpy")
def _near_slope(t):
    kind = type(t)
    return (kind(3 * (CUBIC + 2)) * t - kind(2 * (CUBIC + 3))) * t


@register_jitable(error_model="numpy")
def _far_slope(t):
    kind = type(t)
    return (kind(3 * CUBIC) * t - kind(10 * CUBIC)) * t + kind(8 * CUBIC)


@register_jitable(error_model="numpy")
def _places_of(c, size, index):
    """index = c rounded, -1 where that is none of an axis of this size."""
    for p in range(c.size):
        i = np.int32(np.rint(c[p]))
        index[p] = i if (i >= 0) & (i < size) else np.int32(-1)


@register_jitable(error_model="numpy")
def _axis(zero, grid, axis, axes, m, size, mode, padding, align, index, weight, slope):
    """The taps of one coordinate of m places. grid: (m, axes); index, weight, slope (taps, BLOCK) are written."""
    kind = type(zero)
    one, two = kind(1), kind(2)
    scale = kind((size - 1) * 0.5) if align else kind(size * 0.5)
    c, turned = np.empty(m, kind), np.empty(m, kind)
    for p in range(m):
        x = grid[p * axes + axis]
        x = x + one if x == x else zero  # an unknown place counts as -1
        c[p] = x * scale if align else (x * kind(size) - one) * kind(0.5)
        turned[p] = scale
    if mode == 0:
        _bring_inside(c, turned, size, padding, align)
        _places_of(c, size, index[0])
        weight[0, :m] = one
    elif mode == 1:
        _bring_inside(c, turned, size, padding, align)
        for p in range(m):
            low = np.floor(c[p])
            weight[0, p], weight[1, p] = low + one - c[p], c[p] - low
            slope[0, p], slope[1, p] = -turned[p], turned[p]
            c[p] = low
        _places_of(c, size, index[0])
        c += one
        _places_of(c, size, index[1])
    else:
        place = np.empty(m, kind)
        for p in range(m):
            low = np.floor(c[p])
            t = c[p] - low
            c[p] = low
            weight[0, p], weight[1, p] = _far(t + one), _near(t)
            weight[2, p], weight[3, p] = _near(one - t), _far(two - t)
            slope[0, p], slope[1, p] = scale * _far_slope(t + one), scale * _near_slope(t)
            slope[2, p], slope[3, p] = -scale * _near_slope(one - t), -scale * _far_slope(two - t)
        for k in range(4):
            place[:] = c + kind(k - 1)
            _bring_inside(place, turned, size, padding, align)
            _places_of(place, size, index[k])


@register_jitable(error_model="numpy")
def _joined(m, width, along, inner, outer, index, weight):
    """index (a, b, BLOCK) = outer * width + inner and weight = their product; -1 where either is. Returns a * b."""
    inner_index, inner_weight = inner
    outer_index, outer_weight = outer
    taps = 0
    for a in range(along[0]):
        for b in range(along[1]):
            for p in range(m):
                i, j = outer_index[a, p], inner_index[b, p]
                index[taps, p] = np.int32(-1) if i < 0 or j < 0 else np.int32(i * width + j)
                weight[taps, p] = outer_weight[a, p] * inner_weight[b, p]
            taps += 1
    return taps


@register_jitable(error_model="numpy")
def _tables(zero, grid, axes, m, lengths, options, work_index, work_weight, index, weight):
    """The taps of m places: index and weight (taps, BLOCK); gives their number. work_*: (axes, 4, BLOCK) and, of the
    last dimension of work_weight, weights and slopes."""
    mode, padding, align, count = options[0], options[1], options[2] != 0, options[3]
    for axis in range(axes):
        _axis(
            zero, grid, axis, axes, m, lengths[2 - axis], mode, padding, align,
            work_index[axis], work_weight[axis, 0], work_weight[axis, 1],
        )  # fmt: skip
    x, y = (work_index[0], work_weight[0, 0]), (work_index[1], work_weight[1, 0])
    if axes == 2:
        return _joined(m, lengths[2], (count, count), x, y, index, weight)
    plane_index, plane_weight = work_index[3:].reshape(-1, BLOCK), work_weight[3:].reshape(-1, BLOCK)
    taps = _joined(m, lengths[2], (count, count), x, y, plane_index, plane_weight)
    z = work_index[2], work_weight[2, 0]
    return _joined(m, lengths[1] * lengths[2], (count, taps), (plane_index, plane_weight), z, index, weight)


# numbers of all workers: B, C, D, H, W, places, axes, mode, padding, align, taps along an axis, address of the grid
@compiled
def _values(zero):
    """a: x (B, C, D, H, W), c: y (B, C, places). Units: an image, a block of places."""
    kind, size = type(zero), zero.itemsize

    def work(a_base, b_base, c_base, numbers, part, parts):
        n = carray(pointer(numbers), (12,), np.int64)
        batch, channels, places, axes = n[0], n[1], n[5], n[6]
        plane, step = n[2] * n[3] * n[4], lanes(zero)
        work_index, work_weight = np.empty((4, 4, BLOCK), np.int32), np.empty((5, 2, 4, BLOCK), kind)
        index, weight = np.full((16, BLOCK), np.int32(-1)), np.zeros((16, BLOCK), kind)
        blocks = (places + BLOCK - 1) // BLOCK
        units = batch * blocks
        for unit in range(units * part // parts, units * (part + 1) // parts):
            b, start = unit // blocks, unit % blocks * BLOCK
            m = min(BLOCK, places - start)
            grid = carray(pointer(n[11] + size * (b * places + start) * axes), (m * axes,), kind)
            taps = _tables(zero, grid, axes, m, n[2:5], n[7:11], work_index, work_weight, index, weight)
            if m < BLOCK:
                index[:, m:] = np.int32(-1)
            at, by = index.ctypes.data, weight.ctypes.data
            for c in range(channels):
                x = a_base + size * (b * channels + c) * plane
                y = c_base + size * ((b * channels + c) * places + start)
                for p in range(0, m, step):
                    sums = splat(zero, zero)
                    for t in range(taps):
                        value = gathered(zero, x, at + 4 * (t * BLOCK + p))
                        sums = sums + value * load(zero, by + size * (t * BLOCK + p))
                    store(sums, y + size * p, first(zero, m - p))
            index[:, :] = np.int32(-1)
            weight[0, 0] = zero  # alive until here: only their addresses were used

    return work


@compiled
def _image(zero):
    """a: dy (B, C, places), c: dx (B, C, D, H, W). Units: an image, a range of channels."""
    kind, size = type(zero), zero.itemsize

    def work(a_base, b_base, c_base, numbers, part, parts):
        n = carray(pointer(numbers), (13,), np.int64)
        batch, channels, places, axes, shares = n[0], n[1], n[5], n[6], n[12]
        plane = n[2] * n[3] * n[4]
        work_index, work_weight = np.empty((4, 4, BLOCK), np.int32), np.empty((5, 2, 4, BLOCK), kind)
        index, weight = np.empty((16, BLOCK), np.int32), np.empty((16, BLOCK), kind)
        units = batch * shares
        for unit in range(units * part // parts, units * (part + 1) // parts):
            b, share = unit // shares, unit % shares
            low, high = channels * share // shares, channels * (share + 1) // shares
            dx = carray(pointer(c_base + size * b * channels * plane), (channels, plane), kind)
            dx[low:high] = zero
            for start in range(0, places, BLOCK):
                m = min(BLOCK, places - start)
                grid = carray(pointer(n[11] + size * (b * places + start) * axes), (m * axes,), kind)
                taps = _tables(zero, grid, axes, m, n[2:5], n[7:11], work_index, work_weight, index, weight)
                for c in range(low, high):
                    dy = carray(pointer(a_base + size * ((b * channels + c) * places + start)), (m,), kind)
                    for t in range(taps):
                        for p in range(m):
                            i = index[t, p]
                            if i >= 0:
                                dx[c, i] += weight[t, p] * dy[p]

    return work


@compiled
def _places(zero):
    """a: x (B, C, D, H, W), b: dy (B, C, places), c: dgrid (B, places, axes). Units: an image, a block of places."""
    kind, size = type(zero), zero.itemsize

    def work(a_base, b_base, c_base, numbers, part, parts):
        n = carray(pointer(numbers), (12,), np.int64)
        batch, channels, places, axes, count = n[0], n[1], n[5], n[6], n[10]
        plane, step = n[2] * n[3] * n[4], lanes(zero)
        work_index, work_weight = np.empty((4, 4, BLOCK), np.int32), np.empty((5, 2, 4, BLOCK), kind)
        index, weight = np.full((16, BLOCK), np.int32(-1)), np.zeros((16, BLOCK), kind)
        shares = np.zeros((16, BLOCK), kind)
        blocks = (places + BLOCK - 1) // BLOCK
        units = batch * blocks
        for unit in range(units * part // parts, units * (part + 1) // parts):
            b, start = unit // blocks, unit % blocks * BLOCK
            m = min(BLOCK, places - start)
            grid = carray(pointer(n[11] + size * (b * places + start) * axes), (m * axes,), kind)
            taps = _tables(zero, grid, axes, m, n[2:5], n[7:11], work_index, work_weight, index, weight)
            if m < BLOCK:
                index[:, m:] = np.int32(-1)
            at, to = index.ctypes.data, shares.ctypes.data
            for t in range(taps):
                for p in range(0, m, step):
                    sums, keep = splat(zero, zero), first(zero, m - p)
                    for c in range(channels):
                        x = a_base + size * (b * channels + c) * plane
                        dy = b_base + size * ((b * channels + c) * places + start + p)
                        sums = sums + gathered(zero, x, at + 4 * (t * BLOCK + p)) * load(zero, dy, keep, zero)
                    store(sums, to + size * (t * BLOCK + p))
            made = carray(pointer(c_base + size * (b * places + start) * axes), (m, axes), kind)
            for axis in range(axes):
                x_part, y_part = work_weight[0, 1 if axis == 0 else 0], work_weight[1, 1 if axis == 1 else 0]
                z_part, total = work_weight[2, 1 if axis == 2 else 0], np.zeros(m, kind)
                for t in range(taps):
                    x, y, z = x_part[t % count], y_part[t // count % count], z_part[t // (count * count)]
                    if axes == 2:
                        for p in range(m):
                            total[p] += shares[t, p] * (x[p] * y[p])
                    else:
                        for p in range(m):
                            total[p] += shares[t, p] * (x[p] * y[p] * z[p])
                for p in range(m):
                    made[p, axis] = total[p] if grid[p * axes + axis] == grid[p * axes + axis] else zero
            index[:, :] = np.int32(-1)
            shares[0, 0] = zero  # alive until here: only their addresses were used

    return work


def _numbers(x_shape, grid, mode, padding_mode, align_corners):
    batch, channels, *lengths = x_shape
    number, count = MODES[mode]
    places, options = math.prod(grid.shape[1:-1]), (number, PADDINGS[padding_mode], align_corners, count)
    lengths = (1,) * (3 - len(lengths)) + tuple(lengths)
    return (batch, channels, *lengths, places, len(x_shape) - 2, *options, grid.ctypes.data)


def _ordered(*arrays):
    return [a if a.flags.carray else a.copy() for a in arrays]


def grid_sample(x, grid, *, mode, padding_mode, align_corners):
    """y[b, :, o] = x[b] at the place grid[b, o]. x: (B, C, H, W), grid: (B, OH, OW, 2) -> (B, C, OH, OW); or with
    depth."""
    x, grid = _ordered(x, grid)
    y = np.empty((*x.shape[:2], *grid.shape[1:-1]), x.dtype)
    numbers = _numbers(x.shape, grid, mode, padding_mode, align_corners)
    blocks = x.shape[0] * -(-numbers[5] // BLOCK)
    run(_values(x.dtype), x, x, y, numbers, alone=y.size < PARALLEL_FROM, parts=min(blocks, 64))
    return y


def grid_sample_input(dy, grid, *, size, mode, padding_mode, align_corners):
    """The gradient for x. dy: (B, C, OH, OW) -> (B, C, *size)."""
    dy, grid = _ordered(dy, grid)
    dx = np.empty((*dy.shape[:2], *size), dy.dtype)
    batch, channels = dy.shape[:2]
    shares = min(channels, -(-16 // batch))
    numbers = (*_numbers(dx.shape, grid, mode, padding_mode, align_corners), shares)
    run(_image(dy.dtype), dy, dy, dx, numbers, alone=dy.size < PARALLEL_FROM, parts=min(batch * shares, 64))
    return dx


def grid_sample_grid(dy, x, grid, *, mode, padding_mode, align_corners):
    """The gradient for the grid. dy: (B, C, OH, OW), x: (B, C, H, W) -> (B, OH, OW, 2)."""
    dy, x, grid = _ordered(dy, x, grid)
    made = np.empty(grid.shape, x.dtype)
    numbers = _numbers(x.shape, grid, mode, padding_mode, align_corners)
    blocks = x.shape[0] * -(-numbers[5] // BLOCK)
    run(_places(x.dtype), x, dy, made, numbers, alone=dy.size < PARALLEL_FROM, parts=min(blocks, 64))
    return made
