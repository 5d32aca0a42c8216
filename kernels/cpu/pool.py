"""Max pooling with the places of the maxima, as torch.nn.functional.max_pool2d(return_indices=True), and its
gradient; sums and means over windows, and their gradients."""

import functools
import math

import numpy as np
from numba import carray
from numba.extending import register_jitable

from .threads import compiled, pointer, run
from .tiles import item_size, split_pairs
from .vectors import first, lanes, load, splat, store, total

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
            for row in range(0, rows, band):
                m = min(band, rows - row)
                for r in range((m + more) * down):
                    u, start = row * down + r - top, r // down * line
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
                origin = (row * down - top) * width - left
                for i in range(tall):
                    for j in range(wide):
                        di, dj = i * row_gap, j * column_gap
                        start = di // down * line + dj // right
                        value = dealt[di % down * right + dj % right, start : start + count]
                        tap = np.int32(origin + di * width + dj)
                        _take_larger(value, best[:count], places, place, tap)
                for q in range(m):
                    y[p, row + q, :] = best[q * line : q * line + columns]
                    for t in range(columns):
                        found = np.int64(place[q * line + t])
                        if found == UNTOUCHED:  # all of the window is -inf: the first place inside x
                            u, v = (row + q) * down - top, t * right - left
                            u += (max(0, -u) + row_gap - 1) // row_gap * row_gap
                            v += (max(0, -v) + column_gap - 1) // column_gap * column_gap
                            found = u * width + v
                        index[p, row + q, t] = found

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


# ---- sums and means over windows ---------------------------------------------------------------------------------
# One kernel for the sums over equal windows and the means over unequal ones, along one to three axes, and for their
# gradients. The vectors run along the rows of x; what a row of windows sums is gathered in a line first, and a line of
# the gradient serves all rows of x that lie under the same windows.


@register_jitable(error_model="numpy")
def _gathered(zero, line, even, odd, left, stride, wide, starts, stops, y):
    """y[q] = the sum of line[left + starts[q] : left + stops[q]], for equal windows line[q * stride :][:wide]; y, even,
    odd: whole vectors, the last two workspace."""
    width, size, columns, out = lanes(zero), item_size(zero), starts.size, y.ctypes.data
    base, evens, odds = line.ctypes.data, even.ctypes.data, odd.ctypes.data
    if stride == 1 or stride == 2:
        if stride == 2:
            for j in range(0, columns + wide // 2, width):
                split_pairs(zero, base + 2 * size * j, 2 * width, evens + size * j, odds + size * j)
        for q in range(0, columns, width):
            sums = splat(zero, zero)
            for j in range(wide):
                at = base + size * j if stride == 1 else (odds if j % 2 else evens) + size * (j // 2)
                sums = sums + load(zero, at + size * q)
            store(sums, out + size * q)
        return
    for q in range(columns):
        begin, end = left + starts[q], left + stops[q]
        if 2 * (end - begin) <= width:
            sums = zero
            for j in range(begin, end):
                sums += line[j]
            y[q] = sums
            continue
        part = splat(zero, zero)
        for j in range(begin, end, width):
            part = part + load(zero, base + size * j, first(zero, end - j), zero)
        y[q] = total(part)


@register_jitable(error_model="numpy")
def _pair(at, n):
    """Two tables of n int64 at the address, and where they end."""
    return carray(pointer(at), (n,), np.int64), carray(pointer(at + 8 * n), (n,), np.int64), at + 16 * n


@compiled
def _windows(zero):
    """a: x (planes, D, H, W), c: y (planes, OD, OH, OW), or for `back` a: dy and c: dx of these shapes.

    numbers: planes, the lengths of x, those of y, back, mean, stride and width of equal windows along the last axis (0
    of others), the frame to its left, the addresses of the table of `_spans` and of the sizes of windows along the last
    axis (OW,).
    """
    kind = type(zero)

    def work(a_base, b_base, c_base, numbers, part, parts):
        n = carray(pointer(numbers), (14,), np.int64)
        planes, depth, height, width, slabs, rows, columns = n[0], n[1], n[2], n[3], n[4], n[5], n[6]
        back, mean, stride, wide, left = n[7], n[8], n[9], n[10], n[11]
        size, step = item_size(zero), lanes(zero)
        d_start, d_stop, at = _pair(n[12], slabs)
        h_start, h_stop, at = _pair(at, rows)
        w_start, w_stop, at = _pair(at, columns)
        d_first, d_last, at = _pair(at, depth)
        h_first, h_last, at = _pair(at, height)
        # what is added to or from a line outside of x belongs to nobody
        frame = max(0, wide - 1) if back else left
        line = np.zeros(frame + max(left + width, columns * max(stride, 1)) + wide + 5 * step, kind)
        row, even, odd = np.zeros((3, max(width, columns + wide) + 2 * step), kind)
        base, made = line.ctypes.data, row.ctypes.data
        for p in range(planes * part // parts, planes * (part + 1) // parts):
            if not back:
                for d in range(slabs):
                    for r in range(rows):
                        low, high, top, bottom = d_start[d], d_stop[d], h_start[r], h_stop[r]
                        for j in range(0, width, step):
                            sums, keep = splat(zero, zero), first(zero, width - j)
                            for i in range(low, high):
                                for k in range(top, bottom):
                                    x = a_base + size * (((p * depth + i) * height + k) * width + j)
                                    sums = sums + load(zero, x, keep, zero)
                            store(sums, base + size * (left + j))
                        y = c_base + size * ((p * slabs + d) * rows + r) * columns
                        _gathered(zero, line, even, odd, left, stride, wide, w_start, w_stop, row)
                        count = kind((high - low) * (bottom - top))
                        for q in range(0, columns, step):
                            sums = load(zero, made + size * q)
                            if mean:
                                sums = sums / (load(zero, n[13] + size * q, first(zero, columns - q), zero) * count)
                            store(sums, y + size * q, first(zero, columns - q))
                continue
            before = -1, -1, -1, -1
            for i in range(depth):
                for k in range(height):
                    under = d_first[i], d_last[i], h_first[k], h_last[k]
                    if under != before:
                        before = under
                        for q in range(0, columns, step):
                            sums, keep = splat(zero, zero), first(zero, columns - q)
                            for d in range(under[0], under[1]):
                                for r in range(under[2], under[3]):
                                    dy = a_base + size * (((p * slabs + d) * rows + r) * columns + q)
                                    slope = load(zero, dy, keep, zero)
                                    if mean:
                                        slope = slope / kind((d_stop[d] - d_start[d]) * (h_stop[r] - h_start[r]))
                                    sums = sums + slope
                            if mean:
                                sums = sums / load(zero, n[13] + size * q, keep, kind(1))
                            store(sums, base + size * (frame + q))
                        if stride == 1:
                            for j in range(0, width, step):
                                sums = splat(zero, zero)
                                for tap in range(wide):
                                    sums = sums + load(zero, base + size * (frame + left + j - tap))
                                store(sums, made + size * j)
                        else:
                            row[:] = zero
                            for q in range(columns):
                                slope = line[frame + q]
                                for j in range(w_start[q], w_stop[q]):
                                    row[j] += slope
                    dx = c_base + size * ((p * depth + i) * height + k) * width
                    for j in range(0, width, step):
                        store(load(zero, made + size * j), dx + size * j, first(zero, width - j))
        line[0] = row[0] = zero  # alive until here: often only their addresses were used

    return work


@functools.lru_cache(maxsize=256)
def _spans(lengths, starts, stops):
    """The table of an axis after the other: first where the windows start and stop, within x; then, for the first two
    axes, the range of windows that hold each place."""
    starts = [np.array(s, np.int64) for s in starts]
    stops = [np.array(s, np.int64) for s in stops]
    table = [part for pair in zip(starts, stops, strict=True) for part in pair]
    for n, start, stop in zip(lengths[:2], starts[:2], stops[:2], strict=True):
        table += [np.searchsorted(stop, np.arange(n), "right"), np.searchsorted(start, np.arange(n), "right")]
    return np.concatenate(table).astype(np.int64)


@functools.lru_cache(maxsize=256)
def _equal(lengths, size, stride, frame, outs):
    """The table of equal windows in a frame, over three axes."""
    along = list(zip(lengths, size, stride, frame, outs, strict=True))
    starts = tuple(tuple(min(max(i * s - a, 0), n) for i in range(o)) for n, k, s, (a, _), o in along)
    stops = tuple(tuple(min(max(i * s - a + k, 0), n) for i in range(o)) for n, k, s, (a, _), o in along)
    return _spans(lengths, starts, stops)


@functools.lru_cache(maxsize=256)
def _adapted(lengths, outs):
    """The table of the windows of adaptive pooling, over three axes, and the sizes of those along the last."""
    along = list(zip(lengths, outs, strict=True))
    starts = tuple(tuple(i * n // o for i in range(o)) for n, o in along)
    stops = tuple(tuple(-(-(i + 1) * n // o) for i in range(o)) for n, o in along)
    return _spans(lengths, starts, stops), np.subtract(stops[2], starts[2])


def _three(values, one):
    """One to three values as three, `one` before them."""
    return (one,) * (3 - len(values)) + tuple(values)


def _run_windows(given, made, lengths, outs, table, back, mean, equal, sizes):
    planes = made.size // math.prod(lengths if back else outs)
    sizes = np.asarray(sizes, given.dtype)
    numbers = (planes, *lengths, *outs, back, mean, *equal, table.ctypes.data, sizes.ctypes.data)
    alone = max(given.size, made.size) < PARALLEL_FROM
    run(_windows(given.dtype), given, given, made, numbers, alone=alone, parts=min(planes, 8))
    del sizes  # alive until here: only its address was used
    return made


def _sum_windows(given, made, lengths, outs, size, stride, frame, back):
    lengths, outs = _three(lengths, 1), _three(outs, 1)
    size, stride, frame = _three(size, 1), _three(stride, 1), _three(frame, (0, 0))
    table = _equal(lengths, size, stride, tuple(map(tuple, frame)), outs)
    return _run_windows(given, made, lengths, outs, table, back, False, (stride[2], size[2], frame[2][0]), ())


def window_sum(x, *, size, stride, frame):
    """The sum of each window over the last one to three axes of x in a frame of zeros, (before, after) along each axis.
    x: (B, C, H, W) -> (B, C, OH, OW); float32 or float64; size, stride: one number for each axis.
    """
    x = x if x.flags.carray else x.copy()
    lengths = x.shape[x.ndim - len(size) :]
    outs = [(n + a + b - k) // s + 1 for n, (a, b), k, s in zip(lengths, frame, size, stride, strict=True)]
    y = np.empty((*x.shape[: x.ndim - len(size)], *outs), x.dtype)
    return _sum_windows(x, y, lengths, outs, size, stride, frame, False) if y.size else y


def window_sum_backward(dy, *, spatial, size, stride, frame):
    """The gradient of window_sum. dy: (B, C, OH, OW) -> (B, C, *spatial)."""
    dy = dy if dy.flags.carray else dy.copy()
    planes, outs = dy.shape[: dy.ndim - len(size)], dy.shape[dy.ndim - len(size) :]
    dx = np.empty((*planes, *spatial), dy.dtype)
    return _sum_windows(dy, dx, spatial, outs, size, stride, frame, True) if dx.size else dx


def _average(given, made, lengths, outs, back):
    lengths, outs = _three(lengths, 1), _three(outs, 1)
    table, sizes = _adapted(lengths, outs)
    return _run_windows(given, made, lengths, outs, table, back, True, (0, 0, 0), sizes)


def adaptive_avg_pool(x, *, size):
    """The means over windows that cover the last one to three axes of x, `size` of them along each.
    x: (B, C, H, W) -> (B, C, *size)."""
    x = x if x.flags.carray else x.copy()
    kept = x.ndim - len(size)
    return _average(x, np.empty((*x.shape[:kept], *size), x.dtype), x.shape[kept:], size, False)


def adaptive_avg_pool_backward(dy, *, spatial):
    """The gradient of adaptive_avg_pool. dy: (B, C, OH, OW) -> (B, C, *spatial)."""
    dy = dy if dy.flags.carray else dy.copy()
    kept = dy.ndim - len(spatial)
    return _average(dy, np.empty((*dy.shape[:kept], *spatial), dy.dtype), spatial, dy.shape[kept:], True)
