"""Layer and batch normalisation with their gradients: each array is read from memory once or twice, the row or slice
in between stays in cache.

The variance is taken about the mean itself, never as mean(x**2) - mean**2. Sums over rows are taken in blocks of rows
that do not depend on the number of threads.
"""

import math

import numpy as np
from numba import carray
from numba.extending import register_jitable

from .threads import compiled, pointer, run
from .vectormath import float_of

PARALLEL_FROM = 12_288  # elements
BLOCKS = 16  # of rows, each with its own sums for weight and bias
SPAN = 2_048  # numbers summed at once: the error grows with n / SPAN + SPAN / 16 additions
COLUMNS = 64  # channels a task of batch normalisation of a matrix

# Sums may be taken in another order (eight or sixteen partial sums, one for each lane); nothing else is relaxed.
_row_sum = register_jitable(error_model="numpy", fastmath={"contract", "reassoc", "nsz"})
_row = register_jitable(error_model="numpy", fastmath={"contract"})


def _bits(number):
    """A float as the int64 that `float_of` reads again."""
    return np.float64(number).view(np.int64)


@_row_sum
def _sum(x):
    total = x.dtype.type(0)
    for j in range(x.size):
        total += x[j]
    return total


@_row_sum
def _sum_of_squares(x, mean):
    total = x.dtype.type(0)
    for j in range(x.size):
        total += (x[j] - mean) * (x[j] - mean)
    return total


@_row
def _mean_and_squares(x):
    """The mean, and the sum of (x - mean)**2; a long row is summed in spans."""
    mean, squares = x.dtype.type(0), x.dtype.type(0)
    for start in range(0, x.size, SPAN):
        mean += _sum(x[start : start + SPAN])
    mean /= x.dtype.type(x.size)
    for start in range(0, x.size, SPAN):
        squares += _sum_of_squares(x[start : start + SPAN], mean)
    return mean, squares


# ---- layer normalisation ---------------------------------------------------------------------------------------------
@_row
def _normalized(x, mean, rstd, weight, bias, y):
    for j in range(x.size):
        y[j] = (x[j] - mean) * rstd * weight[j] + bias[j]


@compiled
def _layer(zero):
    """a: x (N, C); b: weight, bias (2, C); c: y (N, C). numbers: N, C, the address of mean and rstd (2, N), bits of
    eps."""
    kind = type(zero)

    def work(a_base, b_base, c_base, numbers, thread, threads):
        given = carray(pointer(numbers), (4,), np.int64)
        n, size = given[0], given[1]
        x, y = carray(pointer(a_base), (n, size), kind), carray(pointer(c_base), (n, size), kind)
        affine, saved = carray(pointer(b_base), (2, size), kind), carray(pointer(given[2]), (2, n), kind)
        eps = kind(float_of(given[3]))
        for i in range(n * thread // threads, n * (thread + 1) // threads):
            mean, squares = _mean_and_squares(x[i])
            rstd = kind(1) / kind(math.sqrt(squares / kind(size) + eps))
            saved[0, i], saved[1, i] = mean, rstd
            _normalized(x[i], mean, rstd, affine[0], affine[1], y[i])

    return work


@_row_sum
def _sums(g, x, mean, rstd, weight):
    """sum(g weight) and sum(g weight xhat)."""
    total, along = x.dtype.type(0), x.dtype.type(0)
    for j in range(x.size):
        slope = g[j] * weight[j]
        total += slope
        along += slope * ((x[j] - mean) * rstd)
    return total, along


@_row
def _add_affine(g, x, mean, rstd, dweight, dbias):
    for j in range(x.size):
        dweight[j] += g[j] * ((x[j] - mean) * rstd)
        dbias[j] += g[j]


@_row
def _layer_slope(g, x, mean, rstd, weight, total, along, dx):
    for j in range(x.size):
        dx[j] = rstd * (g[j] * weight[j] - total - (x[j] - mean) * rstd * along)


@compiled
def _layer_backward(zero):
    """a: x (N, C); b: g (N, C); c: dx (N, C). numbers: N, C, the number of blocks, the addresses of mean and rstd
    (2, N), of weight (C,), and of dweight and dbias of each block (blocks, 2, C)."""
    kind = type(zero)

    def work(a_base, b_base, c_base, numbers, thread, threads):
        given = carray(pointer(numbers), (6,), np.int64)
        n, size, blocks = given[0], given[1], given[2]
        x, g = carray(pointer(a_base), (n, size), kind), carray(pointer(b_base), (n, size), kind)
        dx, saved = carray(pointer(c_base), (n, size), kind), carray(pointer(given[3]), (2, n), kind)
        weight = carray(pointer(given[4]), (size,), kind)
        partial = carray(pointer(given[5]), (blocks, 2, size), kind)
        for block in range(blocks * thread // threads, blocks * (thread + 1) // threads):
            partial[block, :, :] = kind(0)
            for i in range(n * block // blocks, n * (block + 1) // blocks):
                mean, rstd, total, along = saved[0, i], saved[1, i], kind(0), kind(0)
                for start in range(0, size, SPAN):
                    stop = min(size, start + SPAN)
                    t, s = _sums(g[i, start:stop], x[i, start:stop], mean, rstd, weight[start:stop])
                    total += t
                    along += s
                _add_affine(g[i], x[i], mean, rstd, partial[block, 0], partial[block, 1])
                _layer_slope(g[i], x[i], mean, rstd, weight, total / kind(size), along / kind(size), dx[i])

    return work


def _ready(x):
    return x if x.flags.carray else x.copy()


def layer_norm(x, weight=None, bias=None, *, ndim=1, eps=1e-5):
    """y = (x - mean) rstd weight + bias over the last `ndim` axes. x: (..., C) -> y, mean and rstd (..., 1)."""
    size = math.prod(x.shape[x.ndim - ndim :])
    n = x.size // size
    x, y, saved = _ready(x), np.empty(x.shape, x.dtype), np.empty((2, n), x.dtype)
    affine = np.empty((2, size), x.dtype)
    affine[0] = 1 if weight is None else weight.reshape(-1)
    affine[1] = 0 if bias is None else bias.reshape(-1)
    run(_layer(x.dtype), x, affine, y, (n, size, saved.ctypes.data, _bits(eps)), alone=x.size < PARALLEL_FROM)
    shape = x.shape[: x.ndim - ndim] + (1,) * ndim
    return y, saved[0].reshape(shape), saved[1].reshape(shape)


def layer_norm_backward(dy, x, mean, rstd, weight=None, *, ndim=1):
    """The gradients of layer_norm for x (..., C), weight (C,) and bias (C,). dy, x: (..., C); mean, rstd: (..., 1)."""
    inner = x.shape[x.ndim - ndim :]
    size = math.prod(inner)
    n = x.size // size
    alone = x.size < PARALLEL_FROM
    blocks = 1 if alone else min(BLOCKS, n)
    x, dy, dx, saved = _ready(x), _ready(dy), np.empty(x.shape, x.dtype), np.empty((2, n), x.dtype)
    saved[0], saved[1] = mean.reshape(-1), rstd.reshape(-1)
    weight = np.ones(size, x.dtype) if weight is None else _ready(weight)
    partial = np.empty((blocks, 2, size), x.dtype)
    numbers = (n, size, blocks, saved.ctypes.data, weight.ctypes.data, partial.ctypes.data)
    run(_layer_backward(x.dtype), x, dy, dx, numbers, alone=alone)
    dweight, dbias = partial.sum(axis=0) if blocks > 1 else partial[0]
    return dx, dweight.reshape(inner), dbias.reshape(inner)


# ---- batch normalisation ---------------------------------------------------------------------------------------------
# An image (B, C, S) goes channel by channel, so that the second pass finds the channel in cache; a matrix (B, C) by
# stretches of channels, row by row.


@_row
def _channel_moments(x, channel):
    """Mean and variance of x[:, channel, :], slice by slice: Chan, Golub, LeVeque 1979."""
    kind = x.dtype.type
    total, squares, slices = kind(0), kind(0), x.shape[0]  # total: of the means, so that infinity stays infinity
    size = kind(x.shape[2])
    for b in range(slices):
        mean, s = _mean_and_squares(x[b, channel])
        if b:  # the slices before, of mean total / b, meet one more
            step = mean - total / kind(b)
            squares += step * step * (size * kind(b) / kind(b + 1))
        squares += s
        total += mean
    return total / kind(slices), squares / (size * kind(slices))


@_row
def _scaled(x, mean, scale, bias, y):
    for j in range(x.size):
        y[j] = (x[j] - mean) * scale + bias


@_row
def _add(x, total):
    for j in range(x.size):
        total[j] += x[j]


@_row
def _add_squares(x, mean, total):
    for j in range(x.size):
        total[j] += (x[j] - mean[j]) * (x[j] - mean[j])


@_row
def _column_affine(x, mean, scale, bias, y):
    for j in range(x.size):
        y[j] = (x[j] - mean[j]) * scale[j] + bias[j]


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
        rows, out = carray(pointer(a_base), (n, channels), kind), carray(pointer(c_base), (n, channels), kind)
        tasks = (channels + COLUMNS - 1) // COLUMNS
        for task in range(tasks * thread // threads, tasks * (thread + 1) // threads):
            start, stop = task * COLUMNS, min(channels, (task + 1) * COLUMNS)
            mean, var, scale = line[2, start:stop], line[3, start:stop], line[4, start:stop]
            mean[:] = kind(0)
            for b in range(n):
                _add(rows[b, start:stop], mean)
            for j in range(mean.size):
                mean[j] /= kind(n)
                var[j] = kind(0)
            for b in range(n):
                _add_squares(rows[b, start:stop], mean, var)
            for j in range(mean.size):
                var[j] /= kind(n)
                scale[j] = line[0, start + j] / kind(math.sqrt(var[j] + eps))
            for b in range(n):
                _column_affine(rows[b, start:stop], mean, scale, line[1, start:stop], out[b, start:stop])

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


@_row
def _add_slopes(g, x, mean, total, along):
    for j in range(x.size):
        total[j] += g[j]
        along[j] += g[j] * (x[j] - mean[j])


@_row
def _column_slope(g, x, mean, factor, slope, offset, dx):
    for j in range(x.size):
        dx[j] = g[j] * factor[j] + (x[j] - mean[j]) * slope[j] + offset[j]


@compiled
def _batch_backward(zero):
    """a: x; b: g; c: dx (B, C, S). numbers: B, C, S, the address of dmean, dvar, mean, rstd, weight, dweight, dbias
    and two lines of workspace (9, C)."""
    kind = type(zero)

    def work(a_base, b_base, c_base, numbers, thread, threads):
        given = carray(pointer(numbers), (4,), np.int64)
        n, channels, size = given[0], given[1], given[2]
        line = carray(pointer(given[3]), (9, channels), kind)
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
        rows, slopes = carray(pointer(a_base), (n, channels), kind), carray(pointer(b_base), (n, channels), kind)
        out = carray(pointer(c_base), (n, channels), kind)
        tasks = (channels + COLUMNS - 1) // COLUMNS
        for task in range(tasks * thread // threads, tasks * (thread + 1) // threads):
            start, stop = task * COLUMNS, min(channels, (task + 1) * COLUMNS)
            means, alongs, totals = line[2, start:stop], line[5, start:stop], line[6, start:stop]
            factors, lines, offsets = line[4, start:stop], line[7, start:stop], line[8, start:stop]
            alongs[:] = kind(0)
            totals[:] = kind(0)
            for b in range(n):
                _add_slopes(slopes[b, start:stop], rows[b, start:stop], means, totals, alongs)
            for j in range(means.size):
                rstd = line[3, start + j]
                alongs[j] *= rstd
                factors[j] *= rstd
                lines[j] = (kind(2) * line[1, start + j] - factors[j] * rstd * alongs[j]) / count
                offsets[j] = (line[0, start + j] - factors[j] * totals[j]) / count
            for b in range(n):
                _column_slope(
                    slopes[b, start:stop], rows[b, start:stop], means, factors, lines, offsets, out[b, start:stop]
                )

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
    line = np.empty((9, channels), x.dtype)
    line[0], line[1], line[2], line[3] = dmean, dvar, mean, rstd
    line[4] = 1 if weight is None else weight
    x, dy, dx = _ready(x), _ready(dy), np.empty(x.shape, x.dtype)
    numbers = (n, channels, x.size // (n * channels), line.ctypes.data)
    run(_batch_backward(x.dtype), x, dy, dx, numbers, alone=x.size < PARALLEL_FROM)
    return dx, line[5], line[6]
