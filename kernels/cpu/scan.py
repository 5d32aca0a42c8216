"""Running sums, products, logarithms of sums, and positions of extremes, along any axis.

x is (O, N, I) with the axis in the middle. Where I > 1, some columns go together through the axis in vectors; lines
in memory (I = 1) go four at a time, so that no addition waits for the one before.
"""

import math

import numpy as np
from numba import carray
from numba.extending import register_jitable

from . import vectormath
from .threads import compiled, pointer, run

PARALLEL_FROM = 8_192  # elements
COLUMNS = 256  # that go together
LINES = 4
PARTS = 8


@register_jitable(error_model="numpy")
def _next(total, x, product):
    return total * x if product else total + x


@compiled
def _running(zero):
    """a: x (O, N, I); c: y. numbers: O, N, I, 1 for products."""
    kind = type(zero)

    def work(a_base, b_base, c_base, numbers, part, parts):
        given = carray(pointer(numbers), (4,), np.int64)
        outer, n, inner, product = given[0], given[1], given[2], given[3] == 1
        if inner == 1:
            x, y = carray(pointer(a_base), (outer, n), kind), carray(pointer(c_base), (outer, n), kind)
            low, high = outer * part // parts, outer * (part + 1) // parts
            start = kind(1) if product else kind(0)
            while low < high:
                if high - low >= LINES:
                    p, q, r, s = start, start, start, start
                    for j in range(n):
                        p, q = _next(p, x[low, j], product), _next(q, x[low + 1, j], product)
                        r, s = _next(r, x[low + 2, j], product), _next(s, x[low + 3, j], product)
                        y[low, j], y[low + 1, j], y[low + 2, j], y[low + 3, j] = p, q, r, s
                    low += LINES
                else:
                    p = start
                    for j in range(n):
                        p = _next(p, x[low, j], product)
                        y[low, j] = p
                    low += 1
            return
        blocks = (inner + COLUMNS - 1) // COLUMNS
        x, y = carray(pointer(a_base), (outer * n, inner), kind), carray(pointer(c_base), (outer * n, inner), kind)
        for unit in range(outer * blocks * part // parts, outer * blocks * (part + 1) // parts):
            first, k = unit // blocks * n, unit % blocks * COLUMNS
            stop = min(k + COLUMNS, inner)
            for i in range(k, stop):
                y[first, i] = x[first, i]
            for row in range(first + 1, first + n):
                if product:
                    for i in range(k, stop):
                        y[row, i] = y[row - 1, i] * x[row, i]
                else:
                    for i in range(k, stop):
                        y[row, i] = y[row - 1, i] + x[row, i]

    return work


def _along(x, axis, product):
    """The running sum or product of x (O, N, I)."""
    axis %= x.ndim
    outer, inner = math.prod(x.shape[:axis]), math.prod(x.shape[axis + 1 :])
    x = x if x.flags.carray else x.copy()
    y = np.empty(x.shape, x.dtype)
    numbers = (outer, x.shape[axis], inner, product)
    run(_running(x.dtype), x, x, y, numbers, alone=x.size < PARALLEL_FROM, parts=PARTS)
    return y


def cumsum(x, *, axis=-1):
    """y[i] = x[0] + ... + x[i] along the axis."""
    return _along(x, axis, 0)


def cumprod(x, *, axis=-1):
    """y[i] = x[0] ... x[i] along the axis."""
    return _along(x, axis, 1)


@compiled
def _log_sums(zero):
    """a: x (O, N); c: y = ln(e**x[0] + ... + e**x[i]). numbers: O, N.

    With the largest number so far, m[i], and s[i] = s[i-1] e**(m[i-1] - m[i]) + e**(x[i] - m[i]): y = m + ln s.
    """
    kind = type(zero)

    def work(a_base, b_base, c_base, numbers, part, parts):
        given = carray(pointer(numbers), (4,), np.int64)
        lines, n = given[0], given[1]
        x, y = carray(pointer(a_base), (lines, n), kind), carray(pointer(c_base), (lines, n), kind)
        top, scale, term = np.empty(n + 1, kind), np.empty(n, kind), np.empty(n, kind)
        for line in range(lines * part // parts, lines * (part + 1) // parts):
            top[0] = x[line, 0]
            for j in range(n):
                top[j + 1] = vectormath.maximum(top[j], x[line, j])
            for j in range(n):  # where an infinity meets itself the difference would be NaN
                scale[j] = kind(1) if top[j] == top[j + 1] else vectormath.exp(top[j] - top[j + 1])
                term[j] = kind(1) if x[line, j] == top[j + 1] else vectormath.exp(x[line, j] - top[j + 1])
            total = zero
            for j in range(n):
                total = total * scale[j] + term[j]
                term[j] = total
            for j in range(n):
                y[line, j] = top[j + 1] + vectormath.log(term[j])

    return work


@compiled
def _extremes(zero):
    """a: x (O, N); numbers: O, N, 1 for the largest, the address of the positions (O, N), int64."""
    kind = type(zero)

    def work(a_base, b_base, c_base, numbers, part, parts):
        given = carray(pointer(numbers), (4,), np.int64)
        lines, n, sign = given[0], given[1], kind(1 if given[2] == 1 else -1)
        x, places = carray(pointer(a_base), (lines, n), kind), carray(pointer(given[3]), (lines, n), np.int64)
        for line in range(lines * part // parts, lines * (part + 1) // parts):
            top, at, missing = kind(-np.inf), 0, False
            for j in range(n):
                v = sign * x[line, j]
                if v != v:
                    missing, at = True, j
                elif v >= top and not missing:
                    top, at = v, j
                places[line, j] = at

    return work


def logcumsumexp(x, *, axis=-1):
    """y[i] = ln(e**x[0] + ... + e**x[i]) along the axis."""
    lines = np.ascontiguousarray(np.moveaxis(x, axis, -1))
    y = np.empty(lines.shape, x.dtype)
    numbers = (x.size // x.shape[axis], x.shape[axis], 0, 0)
    run(_log_sums(x.dtype), lines, lines, y, numbers, alone=x.size < PARALLEL_FROM, parts=PARTS)
    return np.ascontiguousarray(np.moveaxis(y, -1, axis))


def argcummax(x, *, axis=-1, largest=True):
    """The position of the largest (or smallest) number so far along the axis, the last of equal ones; of the last NaN
    once there is one."""
    lines = np.ascontiguousarray(np.moveaxis(x, axis, -1))
    places = np.empty(lines.shape, np.int64)
    numbers = (x.size // x.shape[axis], x.shape[axis], largest, places.ctypes.data)
    run(_extremes(x.dtype), lines, lines, lines, numbers, alone=x.size < PARALLEL_FROM, parts=PARTS)
    return np.ascontiguousarray(np.moveaxis(places, -1, axis))
