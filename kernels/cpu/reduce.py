"""Sums over the leading axes of an array, and over all axes but the channels': the gradients of biases. Sums, means,
largest and smallest over the trailing axes, or all.

Numbers are added in blocks that do not depend on the number of threads.
"""

import math

import numpy as np
from numba import carray
from numba.extending import register_jitable

from .threads import compiled, pointer, run
from .tiles import item_size
from .vectors import first, lanes, larger, largest, load, splat, store, total, where

least, most = min, max  # below, these names are the primitives'

PARALLEL_FROM = 32_768  # elements
SUM, MAX, MIN = 0, 1, -1
BOTH, COUNT, WRITE = 0, 1, 2  # what `_shares` does
BLOCKS = 16  # of rows, each with its own sums
WIDTH = 256  # narrow rows are summed several side by side
PIECE = 16_384  # of the numbers of one sum, added by one thread
SPAN, IMAGES = 2_048, 32  # summed at once: the error grows with the larger of the three counts, not their product


@register_jitable(error_model="numpy")
def _add(x, total):
    for j in range(x.size):
        total[j] += x[j]


@register_jitable(error_model="numpy")
def _total(zero, x, n):
    """The sum of x[:n], in spans. x: an address."""
    width, step, sums = lanes(zero), lanes(zero) * item_size(zero), zero
    for start in range(0, n, SPAN):
        a = b = c = d = splat(zero, zero)
        i, stop = start, least(n, start + SPAN)
        while i + 4 * width <= stop:
            a, b = a + load(zero, x), b + load(zero, x + step)
            c, d = c + load(zero, x + 2 * step), d + load(zero, x + 3 * step)
            i, x = i + 4 * width, x + 4 * step
        while i < stop:
            a, b = b + load(zero, x, first(zero, stop - i), zero), a
            i, x = i + width, x + step
        sums += total((a + b) + (c + d))
    return sums


@register_jitable(error_model="numpy")
def _raised(v, top):
    """The larger, lane by lane; NaN if one is."""
    return where(v == v, larger(v, top), v)


@register_jitable(error_model="numpy")
def _extreme(zero, x, n, sign):
    """sign times the largest of sign * x[:n], NaN if one is. x: an address."""
    step = lanes(zero) * item_size(zero)
    a = b = c = d = splat(zero, -np.inf)
    i = 0
    while i + 4 * lanes(zero) <= n:
        a, b = _raised(sign * load(zero, x), a), _raised(sign * load(zero, x + step), b)
        c, d = _raised(sign * load(zero, x + 2 * step), c), _raised(sign * load(zero, x + 3 * step), d)
        i, x = i + 4 * lanes(zero), x + 4 * step
    while i < n:
        a = _raised(sign * load(zero, x, first(zero, n - i), -sign * np.inf), a)
        i, x = i + lanes(zero), x + step
    a = _raised(_raised(a, b), _raised(c, d))
    missing = total(where(a == a, splat(zero, 0.0), a))  # 0, or NaN, which `largest` would pass over
    return sign * largest(a) + missing


@register_jitable(error_model="numpy")
def _masks(zero, n):
    """The lanes below n of four vectors side by side."""
    width = lanes(zero)
    return first(zero, n), first(zero, n - width), first(zero, n - 2 * width), first(zero, n - 3 * width)


@compiled
def _pieces(zero):
    """a: x (R, n); c: sums of the pieces of each row (R, pieces), or their largest numbers, (-1) smallest: sign.
    numbers: R, n, pieces, sign.
    """
    kind = type(zero)

    def work(a_base, b_base, c_base, numbers, part, parts):
        given = carray(pointer(numbers), (4,), np.int64)
        n, pieces, sign, size = given[1], given[2], kind(given[3]), item_size(zero)
        out, step = carray(pointer(c_base), (given[0] * pieces,), kind), size * lanes(zero)
        low, high = out.size * part // parts, out.size * (part + 1) // parts
        if sign == 0 and n <= 4 * lanes(zero):  # as _total, with masks that are made once
            ka, kb, kc, kd = _masks(zero, n)
            for i in range(low, high):
                x = a_base + size * i * n
                a, b = load(zero, x, ka, zero), load(zero, x + step, kb, zero)
                c, d = load(zero, x + 2 * step, kc, zero), load(zero, x + 3 * step, kd, zero)
                out[i] = total((a + b) + (c + d))
            return
        row, piece, start, stop = low // pieces, low % pieces, 0, n
        for i in range(low, high):
            if pieces > 1:
                start, stop = n * piece // pieces, n * (piece + 1) // pieces
            x = a_base + size * (row * n + start)
            out[i] = _total(zero, x, stop - start) if sign == 0 else _extreme(zero, x, stop - start, sign)
            piece += 1
            if piece == pieces:
                row, piece = row + 1, 0

    return work


@compiled
def _shares(zero):
    """a: x (R, n); b: y (R,), then the shares (R,) of `dy`; c: dx (R, n), share where x is y or NaN, else 0.
    numbers: R, n, pieces of a row, the address of the counts (R, pieces), what to do: COUNT, WRITE, or both.
    """
    kind = type(zero)

    def work(a_base, b_base, c_base, numbers, part, parts):
        given = carray(pointer(numbers), (5,), np.int64)
        rows, n, pieces, what = given[0], given[1], given[2], given[4]
        count, given_rows = carray(pointer(given[3]), (rows, pieces), kind), carray(pointer(b_base), (2, rows), kind)
        size, width, units = item_size(zero), lanes(zero), rows * pieces
        low, high = units * part // parts, units * (part + 1) // parts
        row, piece, start, stop = low // pieces, low % pieces, 0, n
        for _ in range(low, high):
            if pieces > 1:
                start, stop = n * piece // pieces, n * (piece + 1) // pieces
            y, share, x, dx = given_rows[0, row], given_rows[1, row], a_base + size * row * n, c_base + size * row * n
            if what != WRITE:
                found = splat(zero, zero)
                for j in range(start, stop, width):
                    v = load(zero, x + size * j, first(zero, stop - j), zero)
                    hit = where(v == y, splat(zero, 1.0), where(v == v, splat(zero, zero), splat(zero, 1.0)))
                    found = found + where(first(zero, stop - j), hit, splat(zero, zero))
                count[row, piece] = total(found)
                share = share / most(count[row, piece], kind(1))
            if what != COUNT:
                whole, nothing = splat(zero, share), splat(zero, zero)
                for j in range(start, stop, width):
                    keep = first(zero, stop - j)
                    v = load(zero, x + size * j, keep, zero)
                    store(where(v == y, whole, where(v == v, nothing, whole)), dx + size * j, keep)
            piece += 1
            if piece == pieces:
                row, piece = row + 1, 0

    return work


@compiled
def _rows(zero):
    """a: x (N, C); c: sums of blocks of rows (blocks, C). numbers: N, C, blocks."""
    kind = type(zero)

    def work(a_base, b_base, c_base, numbers, thread, threads):
        given = carray(pointer(numbers), (3,), np.int64)
        n, size, blocks = given[0], given[1], given[2]
        x, out = carray(pointer(a_base), (n, size), kind), carray(pointer(c_base), (blocks, size), kind)
        for block in range(blocks * thread // threads, blocks * (thread + 1) // threads):
            out[block, :] = kind(0)
            for i in range(n * block // blocks, n * (block + 1) // blocks):
                _add(x[i], out[block])

    return work


@compiled
def _channels(zero):
    """a: x (B, C, S); c: sums (C,). numbers: B, C, S."""
    kind = type(zero)

    def work(a_base, b_base, c_base, numbers, thread, threads):
        given = carray(pointer(numbers), (3,), np.int64)
        n, channels, size = given[0], given[1], given[2]
        out, step = carray(pointer(c_base), (channels,), kind), item_size(zero) * size
        for c in range(channels * thread // threads, channels * (thread + 1) // threads):
            total = kind(0)
            for image in range(0, n, IMAGES):
                part = kind(0)
                for b in range(image, least(n, image + IMAGES)):
                    part += _total(zero, a_base + step * (b * channels + c), size)
                total += part
            out[c] = total

    return work


def leading(x, axes):
    """The sum of contiguous x over its first `axes` axes, flat."""
    size = math.prod(x.shape[axes:])
    n = x.size // size
    alone = x.size < PARALLEL_FROM
    side = most(1, least(WIDTH // size, n // 8))  # rows side by side
    long = n // side  # of the longer rows
    blocks = 1 if alone else least(BLOCKS, long)
    out = np.empty((blocks, side * size), x.dtype)
    run(_rows(x.dtype), x, out, out, (long, side * size, blocks), alone=alone)
    total = out.sum(axis=0) if blocks > 1 else out[0]
    if side > 1:
        total = total.reshape(side, size).sum(axis=0)
        if n % side:
            total += x.reshape(n, size)[long * side :].sum(axis=0)
    return total


def channels(x):
    """The sum of contiguous x (B, C, ...) over all axes but axis 1: (C,)."""
    n, count = x.shape[:2]
    out = np.empty(count, x.dtype)
    run(_channels(x.dtype), x, out, out, (n, count, x.size // (n * count)), alone=x.size < PARALLEL_FROM)
    return out


def trailing(x, axes, which):
    """The sum, largest or smallest of contiguous x over its last `axes` axes, flat."""
    n = math.prod(x.shape[x.ndim - axes :])
    rows, pieces = x.size // n, -(-n // PIECE)
    out = np.empty((rows, pieces), x.dtype)
    numbers, alone = (rows, n, pieces, which), x.size < PARALLEL_FROM
    run(_pieces(x.dtype), x, out, out, numbers, alone=alone, parts=1 if alone else least(8, rows * pieces))
    if pieces == 1:
        return out[:, 0]
    return (np.add if which == SUM else np.maximum if which == MAX else np.minimum).reduce(out, axis=1)


def _reduced(x, axis, keepdims, which):
    axes = range(x.ndim) if axis is None else (axis,) if isinstance(axis, int) else axis
    axes = sorted(a % x.ndim for a in axes)
    if axes[0] == x.ndim - len(axes):
        y = trailing(x, len(axes), which)
    else:
        y = leading(x, len(axes)) if axes[-1] == len(axes) - 1 else channels(x)
    return y.reshape([1 if i in axes else n for i, n in enumerate(x.shape) if keepdims or i not in axes])


def sum(x, *, axis=None, keepdims=False):
    """y = the sum over the leading or trailing axes, or all but axis 1. x: contiguous, float32 or float64."""
    return _reduced(x, axis, keepdims, SUM)


def mean(x, *, axis=None, keepdims=False):
    """y = sum / n, for the axes of `sum`."""
    y = _reduced(x, axis, keepdims, SUM)
    y /= x.size // y.size
    return y


def max(x, *, axis=None, keepdims=False):
    """y = the largest over the trailing axes, NaN if one is."""
    return _reduced(x, axis, keepdims, MAX)


def min(x, *, axis=None, keepdims=False):
    """y = the smallest over the trailing axes, NaN if one is."""
    return _reduced(x, axis, keepdims, MIN)


def extreme_backward(dy, x, y, *, axis=None):
    """dx = dy shared equally by the elements over the trailing axes that are y, or NaN, and 0 for the others."""
    rows = y.size
    n = x.size // rows
    pieces, dx = -(-n // PIECE), np.empty(x.shape, x.dtype)
    lines, counts = np.stack([y.reshape(rows), dy.reshape(rows)]), np.empty((rows, pieces), x.dtype)
    numbers, alone = (rows, n, pieces, counts.ctypes.data), x.size < PARALLEL_FROM
    parts = 1 if alone else least(8, rows * pieces)
    if pieces == 1:
        run(_shares(x.dtype), x, lines, dx, (*numbers, BOTH), alone=alone, parts=parts)
    else:
        run(_shares(x.dtype), x, lines, dx, (*numbers, COUNT), alone=alone, parts=parts)
        lines[1] /= np.maximum(counts.sum(axis=1), 1)
        run(_shares(x.dtype), x, lines, dx, (*numbers, WRITE), alone=alone, parts=parts)
    counts[0, 0] = 0  # alive until here: only its address was used
    return dx


def sum_to(x, *, shape):
    """x summed to `shape`, which broadcasts to it along leading axes, or is one number a channel."""
    padded = (1,) * (x.ndim - len(shape)) + tuple(shape)
    axes = [i for i, n in enumerate(padded) if n != x.shape[i]]
    y = leading(x, len(axes)) if axes[-1] == len(axes) - 1 else channels(x)
    return y.reshape(shape)
