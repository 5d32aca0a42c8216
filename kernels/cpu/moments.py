"""Products over an axis, and variances over the trailing axes.

Numbers are multiplied in lanes that do not depend on the number of threads; a variance is taken about the mean of its
piece, and pieces are joined as Chan, Golub and LeVeque 1979 do, so that nothing cancels.
"""

import math

import numpy as np
from numba import carray

from .reduce import PIECE, _total
from .threads import compiled, pointer, run
from .tiles import item_size
from .vectors import first, lanes, load, splat, store, total, where

PARALLEL_FROM = 32_768  # elements
PARTS = 8


@compiled
def _products(zero):
    """a: x (O, N, I); c: the products of pieces of the axis (O, pieces, I). numbers: O, N, I, pieces."""
    kind, size = type(zero), zero.itemsize

    def work(a_base, b_base, c_base, numbers, part, parts):
        given = carray(pointer(numbers), (4,), np.int64)
        n, inner, pieces = given[1], given[2], given[3]
        units, step, lane = given[0] * pieces, item_size(zero) * lanes(zero), np.empty(lanes(zero), kind)
        for unit in range(units * part // parts, units * (part + 1) // parts):
            o, piece = unit // pieces, unit % pieces
            start, stop = n * piece // pieces, n * (piece + 1) // pieces
            y = carray(pointer(c_base + size * unit * inner), (inner,), kind)
            for i in range(inner):
                y[i] = kind(1)
            if inner == 1:
                x, i = a_base + size * (o * n + start), start
                a = b = c = d = splat(zero, 1.0)
                while i + 4 * lanes(zero) <= stop:
                    a, b = a * load(zero, x), b * load(zero, x + step)
                    c, d = c * load(zero, x + 2 * step), d * load(zero, x + 3 * step)
                    i, x = i + 4 * lanes(zero), x + 4 * step
                while i < stop:
                    a, b = b * load(zero, x, first(zero, stop - i), kind(1)), a
                    i, x = i + lanes(zero), x + step
                store((a * b) * (c * d), lane.ctypes.data)
                for i in range(lane.size):
                    y[0] *= lane[i]
                continue
            for j in range(start, stop):
                x = carray(pointer(a_base + size * (o * n + j) * inner), (inner,), kind)
                for i in range(inner):
                    y[i] *= x[i]

    return work


def prod(x, *, axis=None, keepdims=False):
    """y = the product over an axis, or all."""
    axis = None if axis is None else axis % x.ndim
    before, after = (x.shape[:axis], x.shape[axis + 1 :]) if axis is not None else ((), ())
    n, inner = x.size if axis is None else x.shape[axis], math.prod(after)
    pieces = max(1, n * inner // PIECE) if len(before) == before.count(1) else 1
    y = np.empty((*before, pieces, *after), x.dtype)
    run(_products(x.dtype), x, x, y, (math.prod(before), n, inner, pieces), alone=x.size < PARALLEL_FROM, parts=PARTS)
    y = np.multiply.reduce(y, len(before), keepdims=True) if pieces > 1 else y
    return y.reshape((*before, *[1] * keepdims, *after) if axis is not None else (1,) * x.ndim * keepdims)


@compiled
def _spreads(zero):
    """a: x (R, n); c: of each piece of a row the mean, then the sum of squares about it (2, R, pieces). numbers: R, n,
    pieces."""
    kind = type(zero)

    def work(a_base, b_base, c_base, numbers, part, parts):
        given = carray(pointer(numbers), (3,), np.int64)
        n, pieces, size, step = given[1], given[2], item_size(zero), item_size(zero) * lanes(zero)
        units = given[0] * pieces
        out = carray(pointer(c_base), (2, units), kind)
        for unit in range(units * part // parts, units * (part + 1) // parts):
            row, piece = unit // pieces, unit % pieces
            start, stop = n * piece // pieces, n * (piece + 1) // pieces
            x, nothing = a_base + size * (row * n + start), splat(zero, zero)
            mean = _total(zero, x, stop - start) / kind(stop - start)
            a, b, i = nothing, nothing, start
            while i < stop:
                keep, more = first(zero, stop - i), first(zero, stop - i - lanes(zero))
                d = where(keep, load(zero, x, keep, zero) - mean, nothing)
                e = where(more, load(zero, x + step, more, zero) - mean, nothing)
                a, b = a + d * d, b + e * e
                i, x = i + 2 * lanes(zero), x + 2 * step
            out[0, unit], out[1, unit] = mean, total(a + b)

    return work


def var(x, *, axis=None, correction=None, keepdims=False):
    """y = sum((x - mean(x))**2) / (n - correction) over the last axes, or all."""
    axes = range(x.ndim) if axis is None else (axis,) if isinstance(axis, int) else axis
    lead = x.ndim - len(axes)
    n = math.prod(x.shape[lead:])
    rows, pieces = x.size // n, -(-n // PIECE)
    found = np.empty((2, rows, pieces), x.dtype)
    run(_spreads(x.dtype), x, x, found, (rows, n, pieces), alone=x.size < PARALLEL_FROM, parts=PARTS)
    means, squares = found
    if pieces > 1:
        counts = np.diff(n * np.arange(pieces + 1) // pieces).astype(x.dtype)
        mean = (means * counts).sum(axis=1, keepdims=True) / n
        squares = squares + counts * (means - mean) ** 2
    y = squares.sum(axis=1) / (n - (correction or 0) if n > (correction or 0) else math.nan)
    return y.reshape((*x.shape[:lead], *[1] * (len(axes) * keepdims))).astype(x.dtype, copy=False)
