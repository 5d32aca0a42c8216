"""Elements that only move: rolled along an axis, framed by a number, cut to a triangle. All threads copy runs of them.

Numbers of four or eight bytes are moved as they are, whatever their type.
"""

import math

import numpy as np
from numba import carray

from .threads import compiled, pointer, run

PARALLEL_FROM = 24_576  # elements
PART = 65_536


@compiled
def _rolled(zero):
    """a: x (R, L); c: y (R, L), the last `shift` of each row first. numbers: R, L, shift."""
    kind, size = type(zero), zero.itemsize

    def work(a_base, b_base, c_base, numbers, part, parts):
        given = carray(pointer(numbers), (3,), np.int64)
        length, shift = given[1], given[2]
        i, stop = given[0] * length * part // parts, given[0] * length * (part + 1) // parts
        while i < stop:
            k = i % length
            n, back = (shift - k, shift - length) if k < shift else (length - k, shift)
            n = min(n, stop - i)
            x, y = (
                carray(pointer(a_base + size * (i - back)), (n,), kind),
                carray(pointer(c_base + size * i), (n,), kind),
            )
            for j in range(n):
                y[j] = x[j]
            i += n

    return work


@compiled
def _framed(zero):
    """a: x (O, H, W); b: one number; c: y (O, top + H + bottom, left + W + right), x framed by it. numbers: O, H, W,
    top, bottom, left, right."""
    kind, size = type(zero), zero.itemsize

    def work(a_base, b_base, c_base, numbers, part, parts):
        given = carray(pointer(numbers), (7,), np.int64)
        height, width, top, left = given[1], given[2], given[3], given[5]
        rows, length = top + height + given[4], left + width + given[6]
        value = carray(pointer(b_base), (1,), kind)[0]
        for row in range(given[0] * rows * part // parts, given[0] * rows * (part + 1) // parts):
            o, i = row // rows, row % rows - top
            y = carray(pointer(c_base + size * row * length), (length,), kind)
            begin, end = (left, left + width) if 0 <= i < height else (length, length)
            x = carray(pointer(a_base + size * (o * height + i) * width), (end - begin,), kind)
            for j in range(begin):
                y[j] = value
            inner = y[begin:end]
            for j in range(end - begin):
                inner[j] = x[j]
            outer = y[end:]
            for j in range(length - end):
                outer[j] = value

    return work


@compiled
def _triangle(zero):
    """a: x (R, M, N); c: y, of which row i has the columns below i + k (k above, if upper), else zeros. numbers: R, M,
    N, k, 1 for the upper triangle."""
    kind, size = type(zero), zero.itemsize

    def work(a_base, b_base, c_base, numbers, part, parts):
        given = carray(pointer(numbers), (5,), np.int64)
        height, width, k, upper = given[1], given[2], given[3], given[4]
        for row in range(given[0] * height * part // parts, given[0] * height * (part + 1) // parts):
            x = carray(pointer(a_base + size * row * width), (width,), kind)
            y = carray(pointer(c_base + size * row * width), (width,), kind)
            cut = min(max(row % height + k, 0), width)
            head, tail, rest = y[:cut], y[cut:], x[cut:]
            for j in range(cut):
                head[j] = zero if upper else x[j]
            for j in range(width - cut):
                tail[j] = rest[j] if upper else zero

    return work


def _bits(x):
    """x in memory order, as floats of its numbers' size."""
    x = x if x.flags.carray else x.copy()
    return x.view(np.float32 if x.itemsize == 4 else np.float64)


def _move(worker, x, b, y, numbers):
    parts = max(2, y.size // PART)
    moved = y.view(x.dtype)
    run(
        worker(x.dtype),
        x,
        x if b is None else b.view(x.dtype),
        moved,
        numbers,
        alone=y.size < PARALLEL_FROM,
        parts=parts,
    )
    return y


def roll(x, *, shift, axis=None):
    """Elements moved by `shift` along axes, those that fall off coming in at the other end; None: in the flat array."""
    axes, shifts = (axis, shift) if isinstance(axis, tuple) else ((axis,), (shift,))
    for a, s in zip(axes, shifts, strict=True):
        inner = 1 if a is None else math.prod(x.shape[a % x.ndim + 1 :])
        length = x.size if a is None else x.shape[a] * inner
        numbers = (x.size // length, length, s * inner % length)
        x = _move(_rolled, _bits(x), None, np.empty(x.shape, x.dtype), numbers)
    return x


def pad(x, *, widths, value=0):
    """x framed with `value` along its last two axes: widths[i] = (before, after) elements along axis i."""
    x = x if x.ndim > 1 else x[None]
    (top, bottom), (left, right) = ((0, 0), *widths)[-2:]
    *outer, height, width = x.shape
    y = np.empty((*outer, top + height + bottom, left + width + right), x.dtype)
    numbers = (math.prod(outer), height, width, top, bottom, left, right)
    y = _move(_framed, _bits(x), np.array([value], x.dtype), y, numbers)
    return y if len(widths) > 1 else y[0]


def tril(x, *, k=0):
    """The lower triangles of the last two axes."""
    numbers = (x.size // (x.shape[-2] * x.shape[-1]), *x.shape[-2:], k + 1, 0)
    return _move(_triangle, _bits(x), None, np.empty(x.shape, x.dtype), numbers)


def triu(x, *, k=0):
    """The upper triangles of the last two axes."""
    numbers = (x.size // (x.shape[-2] * x.shape[-1]), *x.shape[-2:], k, 1)
    return _move(_triangle, _bits(x), None, np.empty(x.shape, x.dtype), numbers)
