"""Max pooling with the places of the maxima, as torch.nn.functional.max_pool2d(return_indices=True), and its
gradient; sums over windows, the means of average pooling times their size, and their gradient."""

import math

import numpy as np
from numba import carray
from numba.extending import register_jitable

from .threads import compiled, pointer, run

PARALLEL_FROM = 8_192  # elements read
PART = 131_072  # elements read in a part
BAND = 4_096  # numbers of x in a band: with its copies a third of the first-level cache
UNTOUCHED = np.int32(-(2**31))


@register_jitable(error_model="numpy")
def _pairs(upper, lower, start, width, y, index):
    """A row of 2 x 2 windows side by side, without a branch; upper, lower: the two rows of x, start: where upper is."""
    for t in range(y.size):
        a, b, c, d = upper[2 * t], upper[2 * t + 1], lower[2 * t], lower[2 * t + 1]
        right, below_right = (b > a) | ((b != b) & (a == a)), (d > c) | ((d != d) & (c == c))
        above, below = b if right else a, d if below_right else c
        lower_wins = (below > above) | ((below != below) & (above == above))
        y[t] = below if lower_wins else above
        place = width + np.int64(below_right) if lower_wins else np.int64(right)
        index[t] = start + 2 * t + place


@register_jitable(error_model="numpy")
def _every(source, step, target):
    """target[t] = source[t * step]; a step that is a constant vectorises."""
    if step == 1:
        for t in range(target.size):
            target[t] = source[t]
    elif step == 2:
        for t in range(target.size):
            target[t] = source[2 * t]
    else:
        for t in range(target.size):
            target[t] = source[t * step]


@register_jitable(error_model="numpy")
def _take_larger(value, best, places, place, tap):
    """Where value is larger than best, it and its place replace them: the first of equals stays, NaN is the largest."""
    for t in range(best.size):
        v, b = value[t], best[t]
        larger = (v > b) | ((v != v) & (b == b))
        best[t] = v if larger else b
        place[t] = places[t] + tap if larger else place[t]


@compiled
def _maxima(zero):
    """a: x (planes, H, W); c: y (planes, OH, OW). numbers: planes, H, W, OH, OW, size, stride, padding, dilation (rows
    and columns of each), the address of the places (planes, OH, OW).

    A band of output rows at a time: its part of x in a frame of -inf is dealt out by the remainders of row and column
    modulo the stride, so that each tap of all windows of the band is one contiguous stretch; its last columns are
    nobody's.
    """
    kind = type(zero)
    lowest = kind(-np.inf)

    def work(a_base, b_base, c_base, numbers, part, parts):
        n = carray(pointer(numbers), (14,), np.int64)
        planes, height, width, rows, columns, tall, wide = n[0], n[1], n[2], n[3], n[4], n[5], n[6]
        down, right, top, left, row_gap, column_gap = n[7], n[8], n[9], n[10], n[11], n[12]
        x = carray(pointer(a_base), (planes, height, width), kind)
        y = carray(pointer(c_base), (planes, rows, columns), kind)
        index = carray(pointer(n[13]), (planes, rows, columns), np.int64)
        if tall == wide == down == right == 2 and top == left == 0 and row_gap == column_gap == 1:
            for p in range(planes * part // parts, planes * (part + 1) // parts):
                for i in range(rows):
                    _pairs(x[p, 2 * i], x[p, 2 * i + 1], 2 * i * width, width, y[p, i], index[p, i])
            return
        line = columns + (wide - 1) * column_gap // right  # the places of a row in a dealt-out band
        more = (tall - 1) * row_gap // down
        band = min(rows, max(1, BAND // (line * down * right) - more))
        dealt = np.empty((down * right, (band + more) * line), kind)
        best, place = np.empty(band * line, kind), np.empty(band * line, np.int32)
        places = np.empty(band * line, np.int32)  # of the first tap, from that of the band's first window
        for q in range(band):
            for t in range(line):
                places[q * line + t] = np.int32(q * down * width + t * right)
        for p in range(planes * part // parts, planes * (part + 1) // parts):
            for first in range(0, rows, band):
                m = min(band, rows - first)
                for r in range((m + more) * down):
                    u, start = first * down + r - top, r // down * line
                    for phase in range(right):
                        target = dealt[r % down * right + phase, start : start + line]
                        low = min(line, max(0, (left - phase + right - 1) // right))
                        high = max(low, min(line, (width + left - phase + right - 1) // right))
                        if u < 0 or u >= height:
                            low = high = line
                        target[:low] = lowest
                        target[high:] = lowest
                        if low < high:
                            _every(x[p, u, low * right + phase - left :], right, target[low:high])
                count = (m - 1) * line + columns
                best[:count] = lowest
                place[:count] = UNTOUCHED
                origin = (first * down - top) * width - left
                for i in range(tall):
                    for j in range(wide):
                        di, dj = i * row_gap, j * column_gap
                        start = di // down * line + dj // right
                        value = dealt[di % down * right + dj % right, start : start + count]
                        tap = np.int32(origin + di * width + dj)
                        _take_larger(value, best[:count], places, place, tap)
                for q in range(m):
                    y[p, first + q, :] = best[q * line : q * line + columns]
                    for t in range(columns):
                        found = np.int64(place[q * line + t])
                        if found == UNTOUCHED:  # all of the window is -inf: the first place inside x
                            u, v = (first + q) * down - top, t * right - left
                            u += (max(0, -u) + row_gap - 1) // row_gap * row_gap
                            v += (max(0, -v) + column_gap - 1) // column_gap * column_gap
                            found = u * width + v
                        index[p, first + q, t] = found

    return work


def max_pool(x, *, size, stride, padding=(0, 0), dilation=(1, 1)):
    """y[b, c, oh, ow] = the maximum of its window; padding counts as -inf. The first of equals wins, NaN is the
    largest.

    x: (B, C, H, W), float32 or float64; size, stride, padding, dilation: (rows, columns).
    -> y (B, C, OH, OW) and its indices, int64 of the same shape: row * W + column in x.
    """
    batch, channels, *spatial = x.shape
    out = [
        (n + 2 * p - d * (k - 1) - 1) // s + 1
        for n, p, d, k, s in zip(spatial, padding, dilation, size, stride, strict=True)
    ]
    x = x if x.flags.carray else x.copy()
    y = np.empty((batch, channels, *out), x.dtype)
    index = np.empty(y.shape, np.int64)
    if y.size:
        numbers = (batch * channels, *spatial, *out, *size, *stride, *padding, *dilation, index.ctypes.data)
        parts = max(2, x.size // PART)
        run(_maxima(x.dtype), x, x, y, numbers, alone=x.size < PARALLEL_FROM, parts=parts)
    return y, index


@compiled
def _scatter(zero):
    """a: dy (planes, n); c: dx (planes, size). numbers: planes, n, size, the address of the positions (planes, n)."""
    kind = type(zero)

    def work(a_base, b_base, c_base, numbers, thread, threads):
        given = carray(pointer(numbers), (4,), np.int64)
        planes, n, size = given[0], given[1], given[2]
        dy, dx = carray(pointer(a_base), (planes, n), kind), carray(pointer(c_base), (planes, size), kind)
        positions = carray(pointer(given[3]), (planes, n), np.int64)
        for p in range(planes * thread // threads, planes * (thread + 1) // threads):
            dx[p, :] = kind(0)
            for j in range(n):
                place = positions[p, j]
                if 0 <= place < size:
                    dx[p, place] += dy[p, j]

    return work


def max_pool_backward(dy, positions, *, spatial):
    """dx = zeros with dy added at the positions. dy, positions (int64): (B, C, OH, OW) -> (B, C, *spatial)."""
    planes = dy.shape[: dy.ndim - len(spatial)]
    dy = dy if dy.flags.carray else dy.copy()
    positions = np.ascontiguousarray(positions)
    dx = np.empty((*planes, *spatial), dy.dtype)
    count = math.prod(planes)
    numbers = (count, dy.size // count, math.prod(spatial), positions.ctypes.data)
    run(_scatter(dy.dtype), dy, dy, dx, numbers, alone=dx.size < PARALLEL_FROM)
    return dx


@compiled
def _window_sum(zero):
    """y[p, oh, ow] = the sum of a window of x, or for `back` dx += dy over the window. a: x (planes, H, W), c: y
    (planes, OH, OW), or a: dy, c: dx. numbers: planes, H, W, OH, OW, window, stride, frame above and left, back.
    """
    kind = type(zero)

    def work(a_base, b_base, c_base, numbers, part, parts):
        n = carray(pointer(numbers), (12,), np.int64)
        planes, height, width, rows, columns = n[0], n[1], n[2], n[3], n[4]
        tall, wide, stride, column_stride, top, left, back = n[5], n[6], n[7], n[8], n[9], n[10], n[11]
        x = carray(pointer(c_base if back else a_base), (planes, height, width), kind)
        y = carray(pointer(a_base if back else c_base), (planes, rows, columns), kind)
        # a row of x in its frame: what is added to or from it outside of x belongs to nobody
        line = np.zeros(max(left + width, (columns - 1) * column_stride + wide), kind)
        inner = line[left : left + width]
        for p in range(planes * part // parts, planes * (part + 1) // parts):
            if back:
                x[p] = zero
            for r in range(rows):
                low, high = max(0, r * stride - top), min(height, r * stride - top + tall)
                if back:
                    line[:] = zero
                    for j in range(wide):
                        if column_stride == 1:
                            for q in range(columns):
                                line[j + q] += y[p, r, q]
                        else:
                            for q in range(columns):
                                line[j + q * column_stride] += y[p, r, q]
                    for i in range(low, high):
                        for j in range(width):
                            x[p, i, j] += inner[j]
                    continue
                inner[:] = zero
                for i in range(low, high):
                    for j in range(width):
                        inner[j] += x[p, i, j]
                for q in range(columns):
                    total = zero
                    for j in range(wide):
                        total += line[q * column_stride + j]
                    y[p, r, q] = total

    return work


def _sum_windows(given, made, spatial, outs, size, stride, frame, back):
    numbers = (made.size // max(1, math.prod(made.shape[-2:])), *spatial, *outs, *size, *stride)
    numbers += (frame[0][0], frame[1][0], back)
    run(_window_sum(given.dtype), given, given, made, numbers, alone=max(given.size, made.size) < PARALLEL_FROM)
    return made


def window_sum(x, *, size, stride, frame):
    """The sum of each window of x in a frame of zeros, (before, after) along each axis. x: (B, C, H, W) -> (B, C, OH,
    OW); float32 or float64; size, stride: (rows, columns).
    """
    x = x if x.flags.carray else x.copy()
    outs = [(n + a + b - k) // s + 1 for n, (a, b), k, s in zip(x.shape[-2:], frame, size, stride, strict=True)]
    y = np.empty((*x.shape[:-2], *outs), x.dtype)
    return _sum_windows(x, y, x.shape[-2:], outs, size, stride, frame, False)


def window_sum_backward(dy, *, spatial, size, stride, frame):
    """The gradient of window_sum. dy: (B, C, OH, OW) -> (B, C, *spatial)."""
    dy = dy if dy.flags.carray else dy.copy()
    dx = np.empty((*dy.shape[:-2], *spatial), dy.dtype)
    return _sum_windows(dy, dx, spatial, dy.shape[-2:], size, stride, frame, True)
