"""Convolution of each channel with a kernel of its own, channels along the vector lanes: for planes whose rows leave
the lanes of planar.py half empty, and for the input gradient of a stride.

    forward          y[c, i]  = bias[c] + sum over taps k of weight[c, k] * x[c, i stride + k dilation - padding]
    input gradient   dx[c, i] = sum over k of weight[c, k] * g[c, (i + padding - k dilation) / stride], where that is
                                a whole number
    weight gradient  dw[c, k] = sum over places i of g[c, i] * x[c, i stride + k dilation - padding]

One image of as many channels as a register has lanes is transposed, channels last, a strip of rows at a time; a tap
is then one multiplication of vectors, whatever the stride, and no border is needed: taps outside are left out. Along
an axis, tap k of place i reads place (i step + k tap_step + start) / divisor, which serves the first two: see `_line`.
Workspace for each thread: the strip, about STRIP_BYTES, and what it reads.
"""

import numpy as np
from numba import carray
from numba.extending import register_jitable

from .threads import compiled, pointer, run
from .tiles import item_size, lanes, transpose_block
from .vectors import load, splat, store

STRIP_BYTES = 96 * 1024  # half of a second-level cache of 256 KiB, beside what the strip reads
PARALLEL_FROM = 400_000  # multiplications
SHARES = 8  # of the images, each with a sum of its own, whatever the number of threads
NARROW = 8  # columns of y up to which planar.py, with columns along the lanes, is slower; measured

_jit = register_jitable(error_model="numpy")


@_jit
def _line(first, step, taps, tap_step, start, divisor, length, numbers, places):
    """The taps k for which n = first step + k tap_step + start is a multiple of the divisor: their numbers and n /
    divisor. length: those whose place must lie below it and from 0 on, or 0: all. Returns how many there are."""
    count = 0
    for k in range(taps):
        n = first * step + k * tap_step + start
        place = n // divisor if divisor > 1 else n  # divisions are slow
        if place * divisor == n and (length == 0 or 0 <= place < length):
            numbers[count], places[count] = k, place
            count += 1
    return count


@_jit
def _one(zero, x, w, bias, n_rows, row_at, row_tap, n, at, tap, column, width, kernel):
    """The sum of one place, for the taps whose column is inside."""
    size = item_size(zero) * lanes(zero)
    total = bias
    for r in range(n_rows):
        for t in range(n):
            if 0 <= column + at[t] < width:
                a = load(zero, x + size * ((row_at[r] * width) + column + at[t]))
                total = load(zero, w + size * (row_tap[r] * kernel + tap[t])) * a + total
    return total


@_jit
def _four(zero, x, w, bias, n_rows, row_at, row_tap, n, at, tap, column, step, width, kernel):
    """The sums of four places, all of whose taps are inside."""
    size = item_size(zero) * lanes(zero)
    p = q = r = s = bias
    for i in range(n_rows):
        line, taps = x + size * (row_at[i] * width + column), w + size * row_tap[i] * kernel
        for t in range(n):
            factor, base = load(zero, taps + size * tap[t]), line + size * at[t]
            p = factor * load(zero, base) + p
            q = factor * load(zero, base + size * step) + q
            r = factor * load(zero, base + 2 * size * step) + r
            s = factor * load(zero, base + 3 * size * step) + s
    return p, q, r, s


# numbers of `_apply`: B, C, rows and columns of the source and of the target, of the kernel; step, tap_step, start,
# divisor of the rows and of the columns, see `_line`; rows of the target in a strip; address of the bias.
@compiled
def _apply(zero):
    """a: source (B, C, ...), b: weight (C, KH, KW), c: target (B, C, ...). Units: an image, channels, a strip."""
    kind, size = type(zero), zero.itemsize

    def work(source, weight, target, numbers, part, parts):
        n = carray(pointer(numbers), (18,), np.int64)
        batch, channels, height, width, rows, columns, tall, wide = n[0], n[1], n[2], n[3], n[4], n[5], n[6], n[7]
        step, tap_step, start, divisor = n[8], n[9], n[10], n[11]
        across, tap_across, begin, phases = n[12], n[13], n[14], n[15]
        held = n[16]
        count, vector = lanes(zero), size * lanes(zero)
        reach = ((held - 1) * step + (tall - 1) * abs(tap_step)) // divisor + 2
        x = np.zeros((min(height, reach), width, count), kind)
        y, w, bias = np.zeros((held, columns, count), kind), np.zeros((tall * wide, count), kind), np.zeros(count, kind)
        row_tap, row_at = np.empty(tall, np.int64), np.empty(tall, np.int64)
        # of each phase: taps, their columns and number; places, and those from which and up to which all are inside
        tap, at, about = (
            np.empty((phases, wide), np.int64),
            np.empty((phases, wide), np.int64),
            np.empty((phases, 4), np.int64),
        )
        for phase in range(phases):
            taps = _line(phase, across, wide, tap_across, begin, phases, 0, tap[phase], at[phase])
            places, least, most = (columns - phase + phases - 1) // phases, 0, 0
            for t in range(taps):
                least, most = min(least, at[phase, t]), max(most, at[phase, t])
            about[phase, 0], about[phase, 1] = taps, places
            about[phase, 2] = min(places, (across - 1 - least) // across)
            about[phase, 3] = min(places, (width - 1 - most) // across + 1)
        groups, strips, loaded = (channels + count - 1) // count, (rows + held - 1) // held, -1
        x_base, y_base, w_base = x.ctypes.data, y.ctypes.data, w.ctypes.data
        units = batch * groups * strips
        for unit in range(units * part // parts, units * (part + 1) // parts):
            strip, group, image = unit % strips, unit // strips % groups, unit // strips // groups
            first = group * count
            m, channel = min(count, channels - first), image * channels + first
            if group != loaded:
                loaded = group
                transpose_block(zero, weight + size * first * tall * wide, tall * wide, w_base, count, m, tall * wide)
                if n[17]:
                    bias[:m] = carray(pointer(n[17] + size * first), (m,), kind)
            begins = load(zero, bias.ctypes.data)
            top, bottom = strip * held, min(rows, (strip + 1) * held)
            edge, other = 0 if tap_step > 0 else (tall - 1) * tap_step, (tall - 1) * tap_step if tap_step > 0 else 0
            low = max(0, min(height, -((-(top * step + edge + start)) // divisor)))
            high = max(low, min(height, ((bottom - 1) * step + other + start) // divisor + 1))
            taken = source + size * (channel * height + low) * width
            transpose_block(zero, taken, height * width, x_base, count, m, (high - low) * width)
            for i in range(top, bottom):
                n_rows = _line(i, step, tall, tap_step, start, divisor, height, row_tap, row_at)
                for r in range(n_rows):
                    row_at[r] -= low
                line = y_base + vector * (i - top) * columns
                for phase in range(phases):
                    taps, places, safe, end = about[phase, 0], about[phase, 1], about[phase, 2], about[phase, 3]
                    j = 0
                    while j < places:
                        to = line + vector * (phase + j * phases)
                        if safe <= j < end and end - safe >= 4:
                            j = min(j, end - 4)
                            to = line + vector * (phase + j * phases)
                            p, q, r, s = _four(
                                zero, x_base, w_base, begins, n_rows, row_at, row_tap, taps, at[phase], tap[phase],
                                j * across, across, width, wide,
                            )  # fmt: skip
                            store(p, to)
                            store(q, to + vector * phases)
                            store(r, to + 2 * vector * phases)
                            store(s, to + 3 * vector * phases)
                            j += 4
                        else:
                            store(
                                _one(
                                    zero, x_base, w_base, begins, n_rows, row_at, row_tap, taps, at[phase],
                                    tap[phase], j * across, width, wide,
                                ),
                                to,
                            )  # fmt: skip
                            j += 1
            to = target + size * (channel * rows + top) * columns
            transpose_block(zero, y_base, count, to, rows * columns, (bottom - top) * columns, m)
        x[0, 0, 0] = y[0, 0, 0] = w[0, 0] = bias[0] = zero  # alive until here: only their addresses were used

    return work


# numbers of `_weight`: B, C, rows and columns of x, of g, of the kernel; stride, dilation and padding, rows and columns
# alternating; rows of g in a strip; shares of the images
@compiled
def _weight(zero):
    """a: x (B, C, H, W), b: g (B, C, OH, OW), c: sums (shares, C, KH, KW). Units: a share of the images, channels."""
    kind, size = type(zero), zero.itemsize

    def work(x_base, g_base, dw_base, numbers, part, parts):
        n = carray(pointer(numbers), (16,), np.int64)
        batch, channels, height, width, rows, columns, tall, wide = n[0], n[1], n[2], n[3], n[4], n[5], n[6], n[7]
        stride, across, dilation, apart, padding, left, held, shares = (
            n[8],
            n[9],
            n[10],
            n[11],
            n[12],
            n[13],
            n[14],
            n[15],
        )
        count, vector, taps = lanes(zero), size * lanes(zero), tall * wide
        x = np.zeros((min(height, (held - 1) * stride + (tall - 1) * dilation + 1), width, count), kind)
        g, sums = np.zeros((held, columns, count), kind), np.empty((taps, count), kind)
        groups, strips = (channels + count - 1) // count, (rows + held - 1) // held
        from_x, from_g, to = x.ctypes.data, g.ctypes.data, sums.ctypes.data
        units = shares * groups
        for unit in range(units * part // parts, units * (part + 1) // parts):
            share, first = unit // groups, unit % groups * count
            m = min(count, channels - first)
            sums[:] = zero
            for image in range(batch * share // shares, batch * (share + 1) // shares):
                channel = image * channels + first
                for strip in range(strips):
                    top, bottom = strip * held, min(rows, (strip + 1) * held)
                    low = max(0, min(height, top * stride - padding))
                    high = max(low, min(height, (bottom - 1) * stride + (tall - 1) * dilation - padding + 1))
                    at = x_base + size * (channel * height + low) * width
                    transpose_block(zero, at, height * width, from_x, count, m, (high - low) * width)
                    at = g_base + size * (channel * rows + top) * columns
                    transpose_block(zero, at, rows * columns, from_g, count, m, (bottom - top) * columns)
                    for k in range(tall):
                        for l in range(wide):
                            shift = l * apart - left
                            begin = max(0, -(shift // across))
                            end = max(begin, min(columns, (width - 1 - shift) // across + 1))
                            p = load(zero, to + vector * (k * wide + l))
                            q = r = s = splat(zero, zero)
                            for i in range(top, bottom):
                                row = i * stride + k * dilation - padding
                                if row < 0 or row >= height:
                                    continue
                                j, a = begin, from_g + vector * ((i - top) * columns + begin)
                                b, step = (
                                    from_x + vector * ((row - low) * width + begin * across + shift),
                                    vector * across,
                                )
                                while j + 4 <= end:
                                    p = load(zero, a) * load(zero, b) + p
                                    q = load(zero, a + vector) * load(zero, b + step) + q
                                    r = load(zero, a + 2 * vector) * load(zero, b + 2 * step) + r
                                    s = load(zero, a + 3 * vector) * load(zero, b + 3 * step) + s
                                    a, b, j = a + 4 * vector, b + 4 * step, j + 4
                                while j < end:
                                    p = load(zero, a) * load(zero, b) + p
                                    a, b, j = a + vector, b + step, j + 1
                            store((p + q) + (r + s), to + vector * (k * wide + l))
            at = dw_base + size * (share * channels + first) * taps
            transpose_block(zero, to, count, at, taps, taps, m)
        x[0, 0, 0] = g[0, 0, 0] = sums[0, 0] = zero  # alive until here: only their addresses were used

    return work


def fits(channels, out, groups, columns, stride=1):
    """Is this the fastest? channels, out: of a group; columns: of what is computed; stride: > 1 for an input gradient
    of one."""
    return channels == out == 1 < groups and (stride > 1 or columns <= NARROW)


def _held(rows, bytes_of_row):
    """Rows in a strip."""
    return max(1, min(rows, STRIP_BYTES // bytes_of_row))


def _run(source, weight, target, axes, bias=None):
    """axes: (step, tap_step, start, divisor) of the rows and of the columns, see `_line`."""
    held = _held(target.shape[2], 64 * target.shape[3])
    address = 0 if bias is None else bias.ctypes.data
    numbers = (*source.shape, *target.shape[2:], *weight.shape[2:], *axes[0], *axes[1], held, address)
    work = max(source.size, target.size) * weight.shape[2] * weight.shape[3]
    run(_apply(source.dtype), source, weight, target, numbers, alone=work < PARALLEL_FROM, parts=32)


def forward(x, weight, y, stride, padding, dilation, bias=None):
    """y = x * weight + bias. x: (B, C, H, W), weight: (C, 1, KH, KW), y: (B, C, OH, OW), bias: (C,) or None;
    contiguous, of one dtype, none empty; stride, padding, dilation: pairs (rows, columns)."""
    _run(x, weight, y, [(s, d, -p, 1) for s, p, d in zip(stride, padding, dilation, strict=True)], bias)


def input_gradient(g, weight, dx, stride, padding, dilation):
    """dx = the input gradient. g: (B, C, OH, OW), dx: (B, C, H, W), as `forward`."""
    _run(g, weight, dx, [(1, -d, p, s) for s, p, d in zip(stride, padding, dilation, strict=True)])


def weight_gradient(x, g, dw, stride, padding, dilation):
    """dw = the weight gradient. x: (B, C, H, W), g: (B, C, OH, OW), dw: (C, 1, KH, KW), as `forward`."""
    shares = min(len(x), SHARES)
    sums = np.empty((shares, *dw.shape), x.dtype)
    pairs = [n for pair in (stride, dilation, padding) for n in pair]
    held = _held(g.shape[2], 64 * max(g.shape[3], stride[0] * x.shape[3]))
    numbers = (*x.shape, *g.shape[2:], *dw.shape[2:], *pairs, held, shares)
    alone = g.size * dw.shape[2] * dw.shape[3] < PARALLEL_FROM
    run(_weight(x.dtype), x, g, sums, numbers, alone=alone, parts=32)
    np.sum(sums, axis=0, out=dw)
