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
STRETCH = 64  # numbers
PARTS = 8


@register_jitable(error_model="numpy")
def _next(total, x, product):
    return total * x if product else total + x


@register_jitable(error_model="numpy")
def _next_of_four(sums, x, y, line, j, product):
    """Place j of this line and the next three."""
    p, q, r, s = sums
    p, q = _next(p, x[line, j], product), _next(q, x[line + 1, j], product)
    r, s = _next(r, x[line + 2, j], product), _next(s, x[line + 3, j], product)
    y[line, j], y[line + 1, j], y[line + 2, j], y[line + 3, j] = p, q, r, s
    return p, q, r, s


@compiled
def _running(zero):
    """a: x (O, N, I); c: y. numbers: O, N, I, 1 for products, 1 to begin at the end."""
    kind = type(zero)

    def work(a_base, b_base, c_base, numbers, part, parts):
        given = carray(pointer(numbers), (5,), np.int64)
        outer, n, inner, product = given[0], given[1], given[2], given[3] == 1
        origin, step = (n - 1, -1) if given[4] else (0, 1)
        if inner == 1:
            x, y = carray(pointer(a_base), (outer, n), kind), carray(pointer(c_base), (outer, n), kind)
            low, high = outer * part // parts, outer * (part + 1) // parts
            start = kind(1) if product else kind(0)
            while low < high:
                sums = start, start, start, start
                if high - low >= LINES:
                    if step > 0:
                        for j in range(n):
                            sums = _next_of_four(sums, x, y, low, j, product)
                    else:
                        for j in range(n - 1, -1, -1):
                            sums = _next_of_four(sums, x, y, low, j, product)
                    low += LINES
                else:
                    p = start
                    for k in range(n):
                        j = origin + step * k
                        p = _next(p, x[low, j], product)
                        y[low, j] = p
                    low += 1
            return
        blocks = (inner + COLUMNS - 1) // COLUMNS
        x, y = carray(pointer(a_base), (outer * n, inner), kind), carray(pointer(c_base), (outer * n, inner), kind)
        for unit in range(outer * blocks * part // parts, outer * blocks * (part + 1) // parts):
            first, k = unit // blocks * n + origin, unit % blocks * COLUMNS
            stop = min(k + COLUMNS, inner)
            for i in range(k, stop):
                y[first, i] = x[first, i]
            for place in range(1, n):
                row = first + step * place
                if product:
                    for i in range(k, stop):
                        y[row, i] = y[row - step, i] * x[row, i]
                else:
                    for i in range(k, stop):
                        y[row, i] = y[row - step, i] + x[row, i]

    return work


def _along(x, axis, product):
    """The running sum or product of x (O, N, I). Of a reversed view, as the gradient of a running sum is made from,
    another one."""
    axis %= x.ndim
    outer, inner, back = math.prod(x.shape[:axis]), math.prod(x.shape[axis + 1 :]), x.strides[axis] < 0
    x = np.flip(x, axis) if back else x
    x = x if x.flags.carray else x.copy()
    y = np.empty(x.shape, x.dtype)
    numbers = (outer, x.shape[axis], inner, product, back)
    run(_running(x.dtype), x, x, y, numbers, alone=x.size < PARALLEL_FROM, parts=PARTS)
    return np.flip(y, axis) if back else y


def cumsum(x, *, axis=-1):
    """y[i] = x[0] + ... + x[i] along the axis."""
    return _along(x, axis, 0)


def cumprod(x, *, axis=-1):
    """y[i] = x[0] ... x[i] along the axis."""
    return _along(x, axis, 1)


@compiled
def _product_gradient(zero):
    """a: x (O, N, I); b: dy; c: dx. numbers: O, N, I, the address of y.

    dx[j] = y[j-1] s[j] with s[j] = dy[j] + x[j+1] s[j+1], from the end.
    """
    kind = type(zero)

    def work(a_base, b_base, c_base, numbers, part, parts):
        given = carray(pointer(numbers), (4,), np.int64)
        outer, n, inner = given[0], given[1], given[2]
        shape = (outer * n, inner)
        x, dy = carray(pointer(a_base), shape, kind), carray(pointer(b_base), shape, kind)
        y, dx = carray(pointer(given[3]), shape, kind), carray(pointer(c_base), shape, kind)
        if inner == 1:
            low, high = outer * part // parts, outer * (part + 1) // parts
            while low < high:
                lines = LINES if high - low >= LINES else 1
                step = n if lines > 1 else 0  # four lines, or one four times
                end, none = low * n + n - 1, np.uint64(0)
                a, b, c, d = np.uint64(end), np.uint64(end + step), np.uint64(end + 2 * step), np.uint64(end + 3 * step)
                p, q, r, s = dy[a, none], dy[b, none], dy[c, none], dy[d, none]
                one = np.uint64(1)
                for _ in range(n - 1):
                    dx[a, none], dx[b, none] = p * y[a - one, none], q * y[b - one, none]
                    dx[c, none], dx[d, none] = r * y[c - one, none], s * y[d - one, none]
                    p, q = dy[a - one, none] + x[a, none] * p, dy[b - one, none] + x[b, none] * q
                    r, s = dy[c - one, none] + x[c, none] * r, dy[d - one, none] + x[d, none] * s
                    a, b, c, d = a - one, b - one, c - one, d - one
                dx[a, none], dx[b, none], dx[c, none], dx[d, none] = p, q, r, s
                low += lines
            return
        blocks, sums = (inner + COLUMNS - 1) // COLUMNS, np.empty(COLUMNS, kind)
        for unit in range(outer * blocks * part // parts, outer * blocks * (part + 1) // parts):
            first, k = unit // blocks * n, unit % blocks * COLUMNS
            m = min(COLUMNS, inner - k)
            for i in range(m):
                sums[i] = dy[first + n - 1, k + i]
            for row in range(first + n - 1, first, -1):
                for i in range(m):
                    dx[row, k + i] = sums[i] * y[row - 1, k + i]
                    sums[i] = dy[row - 1, k + i] + x[row, k + i] * sums[i]
            for i in range(m):
                dx[first, k + i] = sums[i]

    return work


def cumprod_backward(dy, x, products, *, axis):
    """The gradient of the running products of x."""
    axis %= x.ndim
    dy, x, y = (a if a.flags.carray else a.copy() for a in (dy, x, products))
    dx = np.empty(x.shape, x.dtype)
    numbers = (math.prod(x.shape[:axis]), x.shape[axis], math.prod(x.shape[axis + 1 :]), y.ctypes.data)
    run(_product_gradient(x.dtype), x, dy, dx, numbers, alone=x.size < PARALLEL_FROM, parts=PARTS)
    return dx


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
    """a: x (O, N); numbers: O, N, 1 for the largest, the address of the positions (O, N), int64.

    In most stretches of a line no number reaches the extreme before them, which one look in vectors tells.
    """
    kind, size = type(zero), zero.itemsize

    def work(a_base, b_base, c_base, numbers, part, parts):
        given = carray(pointer(numbers), (4,), np.int64)
        lines, n, sign = given[0], given[1], kind(1 if given[2] == 1 else -1)
        for line in range(lines * part // parts, lines * (part + 1) // parts):
            top, at, missing = kind(-np.inf), 0, False
            for begin in range(0, n, STRETCH):
                m = min(STRETCH, n - begin)
                x = carray(pointer(a_base + size * (line * n + begin)), (m,), kind)
                places = carray(pointer(given[3] + 8 * (line * n + begin)), (m,), np.int64)
                reached = np.int32(0)
                for j in range(m):
                    reached += np.int32(0 if sign * x[j] < top else 1)
                if reached == 0:
                    for j in range(m):
                        places[j] = at
                    continue
                for j in range(m):
                    v = sign * x[j]
                    if v != v:
                        missing, at = True, begin + j
                    elif v >= top and not missing:
                        top, at = v, begin + j
                    places[j] = at

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
