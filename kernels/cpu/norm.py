"""Layer, group, root mean square and batch normalisation with their gradients: each array is read from memory once or
twice, the row or slice in between stays in cache.

The variance is taken about the mean itself, never as mean(x**2) - mean**2. Sums over rows are taken in blocks of rows
that do not depend on the number of threads.
"""

import functools
import math

import numpy as np
from numba import carray
from numba.extending import register_jitable

from .threads import compiled, location, pointer, run
from .tiles import item_size
from .vectormath import float_of
from .vectors import first, lanes, load, splat, store, total

PARALLEL_FROM = 20_000  # elements
BLOCKS = 16  # of rows, each with its own sums for weight and bias
COLUMNS = 128  # channels a task of batch normalisation of a matrix
SPAN = 2_048  # numbers summed at once: the error grows with n / SPAN + SPAN / 16 additions

# Sums may be taken in another order (eight or sixteen partial sums, one for each lane); nothing else is relaxed.
_row_sum = register_jitable(error_model="numpy", fastmath={"contract", "reassoc", "nsz"})
_row = register_jitable(error_model="numpy", fastmath={"contract"})
_jit = register_jitable(error_model="numpy")


@functools.lru_cache(maxsize=64)
def _bits(number):
    """A float as the int64 that `float_of` reads again."""
    return int(np.float64(number).view(np.int64))


@_row_sum
def _sum(x):
    total = x.dtype.type(0)
    for j in range(x.size):
        total += x[j]
    return total


@_row_sum
def _about(x, mean):
    """The sums of x - mean and of its squares."""
    rest, squares = x.dtype.type(0), x.dtype.type(0)
    for j in range(x.size):
        rest += x[j] - mean
        squares += (x[j] - mean) * (x[j] - mean)
    return rest, squares


@_row
def _mean_and_squares(x):
    """The mean, and the sum of (x - mean)**2; a long row is summed in spans.

    The mean was rounded: where it is larger than the spread, the rest it leaves corrects both, so that a constant has
    its own mean and no variance. Where they are no numbers, because of an infinity, they stay. Chan, Golub, LeVeque
    1983, the corrected two-pass sums.
    """
    kind = x.dtype.type
    mean, rest, squares, n = kind(0), kind(0), kind(0), kind(x.size)
    for start in range(0, x.size, SPAN):
        mean += _sum(x[start : start + SPAN])
    mean /= n
    for start in range(0, x.size, SPAN):
        r, s = _about(x[start : start + SPAN], mean)
        rest, squares = rest + r, squares + s
    if mean * mean * n > squares:
        mean, squares = mean + rest / n, max(squares - rest * rest / n, kind(0))
    return mean, squares


# ---- layer, group and root mean square normalisation -----------------------------------------------------------------
# All are one: x (N, G, K, S) is normalised over K and S, then scaled and shifted by one number for each (G, K). Layer
# normalisation has G = S = 1, instance normalisation K = 1. `centred` is false for the root mean square, of mean 0.
@_jit
def _moments(zero, size, x, n, centred):
    """The mean of n numbers (0 if not centred), and the sum of (x - mean)**2, in four sums side by side."""
    width, mean, squares = lanes(zero), zero, zero
    step = size * width
    for turn in range(0 if centred else 1, 2):
        whole = zero
        for start in range(0, n, SPAN):
            a = b = c = d = splat(zero, zero)
            at, left = x + size * start, min(n - start, SPAN)
            while left >= 4 * width:
                p, q = load(zero, at) - mean, load(zero, at + step) - mean
                r, s = load(zero, at + 2 * step) - mean, load(zero, at + 3 * step) - mean
                if turn:
                    p, q, r, s = p * p, q * q, r * r, s * s
                a, b, c, d = a + p, b + q, c + r, d + s
                at, left = at + 4 * step, left - 4 * width
            while left > 0:
                p = load(zero, at, first(zero, left), mean) - mean
                a, b = b + (p * p if turn else p), a
                at, left = at + step, left - width
            whole += total((a + b) + (c + d))
        if turn:
            squares = whole
        else:
            mean = whole / type(zero)(n)
    return mean, squares


@compiled
def _normalized(zero):
    """a: x (N, G, K, S); b: mean and rstd (2, N G), written; c: y. numbers: N, G, K, S, centred, bits of eps, the
    addresses of weight and bias (G K,)."""
    kind = type(zero)

    def work(a_base, b_base, c_base, numbers, part, parts):
        given = carray(pointer(numbers), (8,), np.int64)
        groups, channels, length, centred = given[1], given[2], given[3], given[4]
        lines, n, width, size = given[0] * groups, channels * length, lanes(zero), item_size(zero)
        eps, inverse, row = kind(float_of(given[5])), kind(1) / kind(n), given[7] - given[6]
        weight = carray(pointer(given[6]), (groups * channels,), kind)
        bias = carray(pointer(given[7]), (groups * channels,), kind)
        moments = carray(pointer(b_base), (2, lines), kind)
        low, high = lines * part // parts, lines * (part + 1) // parts
        channel = low % groups * channels
        for line in range(low, high):
            x, y = a_base + size * line * n, c_base + size * line * n
            mean, squares = _moments(zero, size, x, n, centred)
            rstd = kind(1) / kind(math.sqrt(squares * inverse + eps))
            moments[0, line], moments[1, line] = mean, rstd
            if length == 1:
                weights, j = given[6] + size * channel, 0
                while j + width <= n:
                    hat, at = (load(zero, x + size * j) - mean) * rstd, weights + size * j
                    store(hat * load(zero, at) + load(zero, at + row), y + size * j)
                    j += width
                if j < n:
                    keep, at = first(zero, n - j), weights + size * j
                    hat = (load(zero, x + size * j, keep, zero) - mean) * rstd
                    store(hat * load(zero, at, keep, zero) + load(zero, at + row, keep, zero), y + size * j, keep)
            else:
                for c in range(channel, channel + channels):
                    scale, shift, j = weight[c] * rstd, bias[c], 0
                    while j + width <= length:
                        store((load(zero, x + size * j) - mean) * scale + shift, y + size * j)
                        j += width
                    keep = first(zero, length - j)
                    store((load(zero, x + size * j, keep, zero) - mean) * scale + shift, y + size * j, keep)
                    x, y = x + size * length, y + size * length
            channel = channel + channels if channel + channels < groups * channels else 0

    return work


@compiled
def _normalized_backward(zero):
    """a: x (N, G, K, S); b: g, like x; c: dx. numbers: N, G, K, S, centred, the number of blocks, the addresses of
    weight (G K,), of mean and rstd (N G,), and of dweight and dbias of each block (blocks, 2, G K)."""
    kind = type(zero)

    def work(a_base, b_base, c_base, numbers, part, parts):
        given = carray(pointer(numbers), (10,), np.int64)
        groups, channels, length, centred, blocks = given[1], given[2], given[3], given[4], given[5]
        lines, n, width, whole = given[0] * groups, channels * length, lanes(zero), groups * channels
        size, weights_base, partial_base = item_size(zero), given[6], given[9]
        weight = carray(pointer(weights_base), (whole,), kind)
        means, rstds = carray(pointer(given[7]), (lines,), kind), carray(pointer(given[8]), (lines,), kind)
        partial = carray(pointer(partial_base), (blocks, 2, whole), kind)
        for block in range(blocks * part // parts, blocks * (part + 1) // parts):
            dweight_base = partial_base + size * 2 * whole * block
            channel = -channels
            for line in range(given[0] * block // blocks * groups, given[0] * (block + 1) // blocks * groups):
                channel = channel + channels if channel + channels < whole else 0
                x, g, dx = a_base + size * line * n, b_base + size * line * n, c_base + size * line * n
                mean, rstd = means[line] if centred else zero, rstds[line]
                sums = along = zero
                if length == 1:
                    weights, dweight = weights_base + size * channel, dweight_base + size * channel
                    dbias = dweight + size * whole
                    for start in range(0, n, SPAN):
                        sums_here = along_here = splat(zero, zero)
                        stop, at = min(n, start + SPAN), size * start
                        for _ in range((stop - start) // width):
                            hat, slope = (load(zero, x + at) - mean) * rstd, load(zero, g + at)
                            store(load(zero, dweight + at) + slope * hat, dweight + at)
                            store(load(zero, dbias + at) + slope, dbias + at)
                            slope = slope * load(zero, weights + at)
                            sums_here, along_here = sums_here + slope, slope * hat + along_here
                            at += size * width
                        if (stop - start) % width:
                            keep = first(zero, (stop - start) % width)
                            hat, slope = (load(zero, x + at, keep, mean) - mean) * rstd, load(zero, g + at, keep, zero)
                            store(load(zero, dweight + at, keep, zero) + slope * hat, dweight + at, keep)
                            store(load(zero, dbias + at, keep, zero) + slope, dbias + at, keep)
                            slope = slope * load(zero, weights + at, keep, zero)
                            sums_here, along_here = sums_here + slope, slope * hat + along_here
                        sums += total(sums_here)
                        along += total(along_here)
                else:
                    for c in range(channels):
                        sums_here = along_here = splat(zero, zero)
                        for j in range(c * length, (c + 1) * length, width):
                            keep = first(zero, (c + 1) * length - j)
                            slope = load(zero, g + size * j, keep, zero)
                            away = load(zero, x + size * j, keep, mean) - mean
                            sums_here, along_here = sums_here + slope, slope * away + along_here
                        slope, turn = total(sums_here), total(along_here) * rstd
                        partial[block, 0, channel + c] += turn
                        partial[block, 1, channel + c] += slope
                        sums += slope * weight[channel + c]
                        along += turn * weight[channel + c]
                sums = sums / kind(n) if centred else zero
                along = along / kind(n)
                if length == 1:
                    at = 0
                    for _ in range(n // width):
                        hat = (load(zero, x + at) - mean) * rstd
                        slope = load(zero, g + at) * load(zero, weights + at)
                        store((slope - sums - hat * along) * rstd, dx + at)
                        at += size * width
                    keep = first(zero, n % width)
                    hat = (load(zero, x + at, keep, zero) - mean) * rstd
                    slope = load(zero, g + at, keep, zero) * load(zero, weights + at, keep, zero)
                    store((slope - sums - hat * along) * rstd, dx + at, keep)
                    continue
                # dx = rstd (g w - sums - (x - mean) rstd along), in two products a number
                turn, shift = -rstd * rstd * along, -rstd * sums
                for c in range(channels):
                    scale = weight[channel + c] * rstd
                    for j in range(c * length, (c + 1) * length, width):
                        keep = first(zero, (c + 1) * length - j)
                        away = load(zero, x + size * j, keep, zero) - mean
                        slope = load(zero, g + size * j, keep, zero) * scale
                        store(slope + (away * turn + shift), dx + size * j, keep)

    return work


def _ready(x):
    return x if x.flags.carray else x.copy()


@functools.lru_cache(maxsize=64)
def _repeated(number, count, dtype):
    """A line for a weight or bias that is not given."""
    return np.full(count, number, dtype)


def _normalize(x, weight, bias, sizes, eps, saved, centred=True):
    """y, mean and rstd, these of the shape `saved`, of x seen as (N, G, K, S)."""
    x, y, moments, count = _ready(x), np.empty(x.shape, x.dtype), np.empty((2, *saved), x.dtype), sizes[1] * sizes[2]
    weight = _repeated(1, count, x.dtype) if weight is None else weight.ravel()
    bias = _repeated(0, count, x.dtype) if bias is None else bias.ravel()
    numbers = (*sizes, centred, _bits(eps), location(weight), location(bias))
    run(_normalized(x.dtype), x, moments, y, numbers, alone=x.size < PARALLEL_FROM)
    return y, moments[0], moments[1]


def _normalize_backward(dy, x, mean, rstd, weight, sizes, centred=True):
    """dx, and dweight and dbias (G K,), of x seen as (N, G, K, S)."""
    count, alone = sizes[1] * sizes[2], x.size < PARALLEL_FROM
    blocks = 1 if alone else min(BLOCKS, sizes[0])
    x, dy, dx, sums = _ready(x), _ready(dy), np.empty(x.shape, x.dtype), np.zeros((blocks, 2, count), x.dtype)
    weight = _repeated(1, count, x.dtype) if weight is None else weight.ravel()
    mean, rstd = mean.ravel(), rstd.ravel()
    numbers = (*sizes, centred, blocks, location(weight), location(mean), location(rstd), location(sums))
    run(_normalized_backward(x.dtype), x, dy, dx, numbers, alone=alone)
    dweight, dbias = sums.sum(axis=0) if blocks > 1 else sums[0]
    return dx, dweight, dbias


@functools.lru_cache(maxsize=1024)
def _last_axes(shape, ndim):
    """(N, 1, C, 1), C the size of the last `ndim` axes, and the shape of one number for each row of them."""
    size = math.prod(shape[len(shape) - ndim :])
    return (math.prod(shape) // size, 1, size, 1), shape[: len(shape) - ndim] + (1,) * ndim


def layer_norm(x, weight=None, bias=None, *, ndim=1, eps=1e-5):
    """y = (x - mean) rstd weight + bias over the last `ndim` axes. x: (..., C) -> y, mean and rstd (..., 1)."""
    sizes, saved = _last_axes(x.shape, ndim)
    return _normalize(x, weight, bias, sizes, eps, saved)


def layer_norm_backward(dy, x, mean, rstd, weight=None, *, ndim=1):
    """The gradients of layer_norm for x (..., C), weight (C,) and bias (C,). dy, x: (..., C); mean, rstd: (..., 1)."""
    dx, dweight, dbias = _normalize_backward(dy, x, mean, rstd, weight, _last_axes(x.shape, ndim)[0])
    inner = x.shape[x.ndim - ndim :]
    return (dx, dweight, dbias) if ndim == 1 else (dx, dweight.reshape(inner), dbias.reshape(inner))


def rms_norm(x, weight=None, *, ndim=1, eps=1e-5):
    """y = x rstd weight, rstd = (mean(x**2) + eps)**-1/2 over the last `ndim` axes. x: (..., C) -> y, rstd (..., 1)."""
    sizes, saved = _last_axes(x.shape, ndim)
    y, _, rstd = _normalize(x, weight, None, sizes, eps, saved, centred=False)
    return y, rstd


def rms_norm_backward(dy, x, rstd, weight=None, *, ndim=1):
    """The gradients of rms_norm for x (..., C) and weight (C,)."""
    dx, dweight, _ = _normalize_backward(dy, x, rstd, rstd, weight, _last_axes(x.shape, ndim)[0], centred=False)
    return dx, dweight.reshape(x.shape[x.ndim - ndim :])


def _channels(x, groups):
    """x (B, C, ...) seen as (B, G, C / G, S)."""
    return x.shape[0], groups, x.shape[1] // groups, math.prod(x.shape[2:])


def group_norm(x, weight=None, bias=None, *, groups=1, eps=1e-5):
    """y = (x - mean) rstd weight + bias, mean and rstd (B, G, 1) over the channels of a group and all that follows.
    x: (B, C, ...); weight, bias: (C,)."""
    return _normalize(x, weight, bias, _channels(x, groups), eps, (x.shape[0], groups, 1))


def group_norm_backward(dy, x, mean, rstd, weight=None, *, groups=1):
    """The gradients of group_norm for x (B, C, ...), weight and bias (C,)."""
    return _normalize_backward(dy, x, mean, rstd, weight, _channels(x, groups))


# ---- batch normalisation ---------------------------------------------------------------------------------------------
# An image (B, C, S) goes channel by channel, so that the second pass finds the channel in cache; a matrix (B, C) by
# stretches of channels, row by row.


@_row
def _channel_moments(x, channel):
    """Mean and variance of x[:, channel, :], slice by slice: Chan, Golub, LeVeque 1979."""
    kind = x.dtype.type
    base, total, squares, slices = kind(0), kind(0), kind(0), x.shape[0]  # total: of the means, less that of the first
    size = kind(x.shape[2])
    for b in range(slices):
        mean, s = _mean_and_squares(x[b, channel])
        if b == 0 and mean - mean == kind(0):  # an infinity is no base: it is to stay infinity
            base = mean
        mean -= base
        if b:  # the slices before, of mean total / b, meet one more
            step = mean - total / kind(b)
            squares += step * step * (size * kind(b) / kind(b + 1))
        squares += s
        total += mean
    return base + total / kind(slices), squares / (size * kind(slices))


@_row
def _scaled(x, mean, scale, bias, y):
    for j in range(x.size):
        y[j] = (x[j] - mean) * scale + bias


@compiled
def _batch(zero):
    """a: x (B, C, S); b: weight, bias, mean, variance, scale (5, C), the last three written; c: y (B, C, S).
    numbers: B, C, S, bits of eps."""
    kind = type(zero)

    def work(a_base, b_base, c_base, numbers, thread, threads):
        given = carray(pointer(numbers), (4,), np.int64)
        n, channels, size = given[0], given[1], given[2]
        eps, line = kind(float_of(given[3])), carray(pointer(b_base), (5, channels), kind)
        if size > 1:
            x = carray(pointer(a_base), (n, channels, size), kind)
            y = carray(pointer(c_base), (n, channels, size), kind)
            for c in range(channels * thread // threads, channels * (thread + 1) // threads):
                mean, var = _channel_moments(x, c)
                scale = line[0, c] / kind(math.sqrt(var + eps))
                line[2, c], line[3, c] = mean, var
                for b in range(n):
                    _scaled(x[b, c], mean, scale, line[1, c], y[b, c])
            return
        width, itemsize, count = lanes(zero), item_size(zero), kind(n)
        row, tasks = itemsize * channels, (channels + COLUMNS - 1) // COLUMNS
        means, squares, scales = b_base + 2 * row, b_base + 3 * row, b_base + 4 * row  # `scales` holds the rest first
        for task in range(tasks * thread // threads, tasks * (thread + 1) // threads):
            start, stop = task * COLUMNS, min(channels, (task + 1) * COLUMNS)
            for j in range(start, stop):
                line[2, j] = line[3, j] = line[4, j] = zero
            for i in range(n):
                for j in range(start, stop, width):
                    keep, at = first(zero, stop - j), itemsize * j
                    store(
                        load(zero, means + at, keep, zero) + load(zero, a_base + i * row + at, keep, zero),
                        means + at,
                        keep,
                    )
            for j in range(start, stop):
                line[2, j] /= count
            for i in range(n):
                for j in range(start, stop, width):
                    keep, at = first(zero, stop - j), itemsize * j
                    away = load(zero, a_base + i * row + at, keep, zero) - load(zero, means + at, keep, zero)
                    store(load(zero, scales + at, keep, zero) + away, scales + at, keep)
                    store(away * away + load(zero, squares + at, keep, zero), squares + at, keep)
            for j in range(start, stop):  # as in _mean_and_squares
                rest = line[4, j] / count
                line[3, j] /= count
                if rest == rest:
                    line[2, j], line[3, j] = line[2, j] + rest, max(line[3, j] - rest * rest, kind(0))
                line[4, j] = line[0, j] / kind(math.sqrt(line[3, j] + eps))
            for i in range(n):
                for j in range(start, stop, width):
                    keep, at = first(zero, stop - j), itemsize * j
                    away = load(zero, a_base + i * row + at, keep, zero) - load(zero, means + at, keep, zero)
                    y = away * load(zero, scales + at, keep, zero) + load(zero, b_base + row + at, keep, zero)
                    store(y, c_base + i * row + at, keep)

    return work


@_row_sum
def _slope_sums(g, x, mean):
    """sum(g) and sum(g (x - mean))."""
    total, along = x.dtype.type(0), x.dtype.type(0)
    for j in range(x.size):
        total += g[j]
        along += g[j] * (x[j] - mean)
    return total, along


@_row
def _batch_slope(g, x, mean, factor, slope, offset, dx):
    for j in range(x.size):
        dx[j] = g[j] * factor + (x[j] - mean) * slope + offset


@compiled
def _batch_backward(zero):
    """a: x; b: g; c: dx (B, C, S). numbers: B, C, S, the address of dmean, dvar, mean, rstd, weight, dweight, dbias
    (7, C)."""
    kind = type(zero)

    def work(a_base, b_base, c_base, numbers, thread, threads):
        given = carray(pointer(numbers), (4,), np.int64)
        n, channels, size = given[0], given[1], given[2]
        line = carray(pointer(given[3]), (7, channels), kind)
        count = kind(n * size)
        if size > 1:
            x = carray(pointer(a_base), (n, channels, size), kind)
            g = carray(pointer(b_base), (n, channels, size), kind)
            dx = carray(pointer(c_base), (n, channels, size), kind)
            for c in range(channels * thread // threads, channels * (thread + 1) // threads):
                mean, rstd, total, along = line[2, c], line[3, c], kind(0), kind(0)
                for b in range(n):
                    for start in range(0, size, SPAN):
                        stop = min(size, start + SPAN)
                        t, s = _slope_sums(g[b, c, start:stop], x[b, c, start:stop], mean)
                        total += t
                        along += s
                along *= rstd
                factor = rstd * line[4, c]
                slope = (kind(2) * line[1, c] - factor * rstd * along) / count
                offset = (line[0, c] - factor * total) / count
                line[5, c], line[6, c] = along, total
                for b in range(n):
                    _batch_slope(g[b, c], x[b, c], mean, factor, slope, offset, dx[b, c])
            return
        width, itemsize, lines = lanes(zero), item_size(zero), given[3]
        row, tasks = itemsize * channels, (channels + COLUMNS - 1) // COLUMNS
        for task in range(tasks * thread // threads, tasks * (thread + 1) // threads):
            start, stop = task * COLUMNS, min(channels, (task + 1) * COLUMNS)
            for j in range(start, stop):
                line[5, j] = line[6, j] = zero
            for i in range(n):
                for j in range(start, stop, width):
                    keep, at = first(zero, stop - j), itemsize * j
                    to, g = lines + at, load(zero, b_base + i * row + at, keep, zero)
                    away = load(zero, a_base + i * row + at, keep, zero) - load(zero, to + 2 * row, keep, zero)
                    store(g * away + load(zero, to + 5 * row, keep, zero), to + 5 * row, keep)
                    store(g + load(zero, to + 6 * row, keep, zero), to + 6 * row, keep)
            for j in range(start, stop):  # factor, slope and offset in the place of weight, dvar and dmean
                line[5, j] *= line[3, j]
                line[4, j] *= line[3, j]
                line[1, j] = (kind(2) * line[1, j] - line[4, j] * line[3, j] * line[5, j]) / count
                line[0, j] = (line[0, j] - line[4, j] * line[6, j]) / count
            for i in range(n):
                for j in range(start, stop, width):
                    keep, at = first(zero, stop - j), itemsize * j
                    to, g = lines + at, load(zero, b_base + i * row + at, keep, zero)
                    away = load(zero, a_base + i * row + at, keep, zero) - load(zero, to + 2 * row, keep, zero)
                    slope = g * load(zero, to + 4 * row, keep, zero) + away * load(zero, to + row, keep, zero)
                    store(slope + load(zero, to, keep, zero), c_base + i * row + at, keep)

    return work


def batch_norm(x, weight=None, bias=None, *, eps=1e-5):
    """y = (x - mean) / sqrt(var + eps) weight + bias, over all axes but the channels'. x: (B, C, ...) -> y, mean (C,),
    var (C,)."""
    n, channels = x.shape[:2]
    x, y, line = _ready(x), np.empty(x.shape, x.dtype), np.empty((5, channels), x.dtype)
    line[0] = 1 if weight is None else weight
    line[1] = 0 if bias is None else bias
    numbers = (n, channels, x.size // (n * channels), _bits(eps))
    run(_batch(x.dtype), x, line, y, numbers, alone=x.size < PARALLEL_FROM)
    return y, line[2], line[3]


def batch_norm_backward(dy, dmean, dvar, x, mean, rstd, weight=None):
    """The gradients of batch_norm for x (B, C, ...), weight and bias (C,), from those of y, mean and var."""
    n, channels = x.shape[:2]
    line = np.empty((7, channels), x.dtype)
    line[0], line[1], line[2], line[3] = dmean, dvar, mean, rstd
    line[4] = 1 if weight is None else weight
    x, dy, dx = _ready(x), _ready(dy), np.empty(x.shape, x.dtype)
    numbers = (n, channels, x.size // (n * channels), line.ctypes.data)
    run(_batch_backward(x.dtype), x, dy, dx, numbers, alone=x.size < PARALLEL_FROM)
    return dx, line[5], line[6]


# With mean and variance given it is one pass each way.
@compiled
def _affine(zero):
    """a: x (B, C, S); b: mean, var, weight, bias (4, C); c: y. numbers: B, C, S, bits of eps."""
    kind = type(zero)

    def work(a_base, b_base, c_base, numbers, part, parts):
        given = carray(pointer(numbers), (4,), np.int64)
        n, channels, length, eps = given[0], given[1], given[2], kind(float_of(given[3]))
        line, size, width = carray(pointer(b_base), (4, channels), kind), item_size(zero), lanes(zero)
        scale = np.empty(channels + width, kind)
        for c in range(channels):
            scale[c] = line[2, c] / kind(math.sqrt(line[1, c] + eps))
        lines = n if length == 1 else n * channels
        across = channels if length == 1 else length
        scales, biases = scale.ctypes.data, b_base + size * 3 * channels
        low, high = lines * part // parts, lines * (part + 1) // parts
        c = low % channels
        for i in range(low, high):
            at = size * i * across
            for j in range(0, across, width):
                keep = first(zero, across - j)
                x = load(zero, a_base + at + size * j, keep, zero)
                if length == 1:
                    x = (x - load(zero, b_base + size * j, keep, zero)) * load(zero, scales + size * j)
                    y = x + load(zero, biases + size * j, keep, zero)
                else:
                    y = (x - line[0, c]) * scale[c] + line[3, c]
                store(y, c_base + at + size * j, keep)
            c = c + 1 if c + 1 < channels else 0
        scale[0] = zero  # alive until here

    return work


@compiled
def _affine_backward(zero):
    """a: x (B, C, S); b: dy; c: dx. numbers: B, C, S, the address of mean, rstd, weight, dweight, dbias (5, C)."""
    kind = type(zero)

    def work(a_base, b_base, c_base, numbers, part, parts):
        given = carray(pointer(numbers), (4,), np.int64)
        n, channels, length, base = given[0], given[1], given[2], given[3]
        line, size, width = carray(pointer(base), (5, channels), kind), item_size(zero), lanes(zero)
        if length > 1:
            for c in range(channels * part // parts, channels * (part + 1) // parts):
                mean, scale, sums, along = line[0, c], line[1, c] * line[2, c], zero, zero
                for i in range(n):
                    at = size * (i * channels + c) * length
                    for start in range(0, length, SPAN):
                        sums_here = along_here = splat(zero, zero)
                        for j in range(start, min(length, start + SPAN), width):
                            keep = first(zero, length - j)
                            slope = load(zero, b_base + at + size * j, keep, zero)
                            away = load(zero, a_base + at + size * j, keep, mean) - mean
                            sums_here, along_here = sums_here + slope, slope * away + along_here
                            store(slope * scale, c_base + at + size * j, keep)
                        sums += total(sums_here)
                        along += total(along_here)
                line[3, c], line[4, c] = along * line[1, c], sums
            return
        tasks, row = (channels + width - 1) // width, size * channels
        for task in range(tasks * part // parts, tasks * (part + 1) // parts):
            keep, at = first(zero, channels - task * width), size * task * width
            mean, rstd = load(zero, base + at, keep, zero), load(zero, base + row + at, keep, zero)
            scale = load(zero, base + 2 * row + at, keep, zero) * rstd
            sums = along = splat(zero, zero)
            for i in range(n):
                slope = load(zero, b_base + at + i * row, keep, zero)
                away = load(zero, a_base + at + i * row, keep, zero) - mean
                sums, along = sums + slope, slope * away + along
                store(slope * scale, c_base + at + i * row, keep)
            store(along * rstd, base + 3 * row + at, keep)
            store(sums, base + 4 * row + at, keep)

    return work


def batch_norm_inference(x, mean, var, weight=None, bias=None, *, eps=1e-5):
    """y = (x - mean) / sqrt(var + eps) weight + bias per channel. x: (B, C, ...); the others (C,)."""
    n, channels = x.shape[:2]
    x, y, line = _ready(x), np.empty(x.shape, x.dtype), np.empty((4, channels), x.dtype)
    line[0], line[1] = mean, var
    line[2] = 1 if weight is None else weight
    line[3] = 0 if bias is None else bias
    numbers = (n, channels, x.size // (n * channels), _bits(eps))
    run(_affine(x.dtype), x, line, y, numbers, alone=x.size < PARALLEL_FROM)
    return y


def batch_norm_inference_backward(dy, x, mean, rstd, weight=None):
    """The gradients of batch_norm_inference for x (B, C, ...), weight and bias (C,)."""
    n, channels = x.shape[:2]
    line = np.empty((5, channels), x.dtype)
    line[0], line[1] = mean, rstd
    line[2] = 1 if weight is None else weight
    x, dy, dx = _ready(x), _ready(dy), np.empty(x.shape, x.dtype)
    numbers = (n, channels, x.size // (n * channels), line.ctypes.data)
    run(_affine_backward(x.dtype), x, dy, dx, numbers, alone=x.size < PARALLEL_FROM)
    return dx, line[3], line[4]
