"""Convolution with the columns of an image along the vector lanes, for few channels, groups, and kernels of one
element: where channels along the lanes would leave lanes empty, or cost transposes. No array changes its order.

    forward          y[o, place]  = bias[o] + sum over taps (c, kh, kw) of weight[o, tap] * x[place + tap]
    weight gradient  dw[o, tap]   = sum over places           of g[o, place] * x[place + tap]

A segment is up to one vector of neighbouring places in a row of y, or of the whole plane for a kernel of one element.
The forward tile holds a few channels times a few segments of y in registers and runs over the taps; that of the
gradient holds a few channels times nine taps, each a vector of sums, and runs over the segments. Workspace for each
thread: the zero-bordered copy of one image of one group, its columns sorted by the remainder of the stride (none
without padding and stride); for the gradient also one vector for each element of dw.
"""

import functools

import numpy as np
from llvmlite import ir
from numba import carray, njit, types
from numba.extending import intrinsic

from ...threads import get_num_threads
from .threads import compiled, pointer, run
from .tiles import _REGISTER_BYTES, VECTORS, _Emit, copy_block, item_size, lanes, split_pairs, whole_vectors

# Accumulators, a row of vectors and one broadcast fit 32 registers with AVX-512 and NEON; on AVX2 some spill.
TALL, WIDE, TAPS = (8, 3), (1, 8), 9
_SHARE = 24  # segments: whole tiles of both kinds
_SEGMENT = 3  # numbers of an entry in the table of segments: where it begins in x and in y, how many places
PARALLEL_FROM = 400_000  # multiplications


def _columns_tile(n_rows, n_vectors):
    """The intrinsic y[r, segment] = start[r] + sum over j < k of a[r * a_row + j * a_step] * x[segment + taps[j]] for
    n_rows rows and n_vectors segments. a_row is k and a_step is 1, but a compiler that knows it makes a loop of half
    the speed.
    """

    def columns_tile(typingctx, zero, start, a, a_row, a_step, x, taps, k, segments, y, y_row):
        def codegen(context, builder, signature, arguments):
            _, start, a, a_row, a_step, x, taps, k, segments, y, y_row = arguments
            emit = _Emit(builder, signature.args[0])
            entry = [
                [emit.load_int64(segments, emit.int64(_SEGMENT * v + i)) for i in range(_SEGMENT)]
                for v in range(n_vectors)
            ]
            masks = [emit.first_lanes(count) for _, _, count in entry]
            first = [emit.splat(builder.load(emit.at(start, emit.int64(r)))) for r in range(n_rows)]
            before, loop = builder.block, builder.append_basic_block("tap")
            after = builder.append_basic_block("store")
            builder.branch(loop)

            builder.position_at_end(loop)
            j, total = builder.phi(ir.IntType(64)), {}
            for place in np.ndindex(n_rows, n_vectors):
                total[place] = builder.phi(emit.vector)
                total[place].add_incoming(first[place[0]], before)
            tap, at = emit.load_int64(taps, j), builder.mul(j, a_step)
            vectors = [emit.load(emit.at(x, builder.add(entry[v][0], tap)), masks[v]) for v in range(n_vectors)]
            out = {}
            for r in range(n_rows):
                weight = emit.splat(builder.load(emit.at(a, builder.add(at, builder.mul(emit.int64(r), a_row)))))
                for v in range(n_vectors):
                    out[r, v] = emit.fma(weight, vectors[v], total[r, v])
            following = builder.add(j, emit.int64(1))
            j.add_incoming(emit.int64(0), before)
            j.add_incoming(following, loop)
            for place in total:
                total[place].add_incoming(out[place], loop)
            builder.cbranch(builder.icmp_signed("<", following, k), loop, after)

            builder.position_at_end(after)
            for r, v in total:
                offset = builder.add(entry[v][1], builder.mul(emit.int64(r), y_row))
                emit.store(out[r, v], emit.at(y, offset), masks[v])
            return context.get_dummy_value()

        return types.void(zero, *([types.int64] * 10)), codegen

    return intrinsic(columns_tile)


def _dot_tile(n_rows):
    """The intrinsic sums[r, t] += the vectors g[r * g_row + segment] * x[segment + taps[t]] for n_rows rows, TAPS taps
    and all of n segments; sums[r, t] is a vector, rows sums_row numbers apart.
    """

    def dot_tile(typingctx, zero, g, g_row, x, taps, segments, n, sums, sums_row):
        def codegen(context, builder, signature, arguments):
            _, g, g_row, x, taps, segments, n, sums, sums_row = arguments
            emit = _Emit(builder, signature.args[0])
            starts = [emit.at(x, emit.load_int64(taps, emit.int64(t))) for t in range(TAPS)]

            def sum_vector(r, t):
                offset = builder.mul(emit.int64(r), sums_row)
                return emit.at(sums, builder.add(offset, emit.int64(t * emit.lanes)))

            old = {place: emit.load(sum_vector(*place)) for place in np.ndindex(n_rows, TAPS)}
            before, loop = builder.block, builder.append_basic_block("segment")
            after = builder.append_basic_block("store")
            builder.branch(loop)

            builder.position_at_end(loop)
            j, total = builder.phi(ir.IntType(64)), {}
            for place, value in old.items():
                total[place] = builder.phi(emit.vector)
                total[place].add_incoming(value, before)
            entry = builder.mul(j, emit.int64(_SEGMENT))
            at, from_g, count = (emit.load_int64(segments, builder.add(entry, emit.int64(i))) for i in range(3))
            mask = emit.first_lanes(count)
            rows = [
                emit.load(emit.at(g, builder.add(from_g, builder.mul(emit.int64(r), g_row))), mask)
                for r in range(n_rows)
            ]
            out = {}
            for t in range(TAPS):
                vector = emit.load(builder.gep(starts[t], [at]), mask)
                for r in range(n_rows):
                    out[r, t] = emit.fma(rows[r], vector, total[r, t])
            following = builder.add(j, emit.int64(1))
            j.add_incoming(emit.int64(0), before)
            j.add_incoming(following, loop)
            for place in total:
                total[place].add_incoming(out[place], loop)
            builder.cbranch(builder.icmp_signed("<", following, n), loop, after)

            builder.position_at_end(after)
            for place, value in out.items():
                emit.store(value, sum_vector(*place))
            return context.get_dummy_value()

        return types.void(zero, *([types.int64] * 8)), codegen

    return intrinsic(dot_tile)


DOT_ROWS = 3
_tall, _wide, _dots, _dot = _columns_tile(*TALL), _columns_tile(*WIDE), _dot_tile(DOT_ROWS), _dot_tile(1)


@njit(nogil=True, error_model="numpy")
def _border(zero, x, top, left, stride, pitch, padded):
    """padded[c, r, column % stride, column // stride] = x[c, r - top, column - left]; what lies outside stays zero.

    x: (C, H, W), padded: (C, rows, stride, pitch).
    """
    size, pair, width = item_size(zero), 2 * lanes(zero), x.shape[2]
    held = min(x.shape[1], padded.shape[1] - top)
    for c in range(x.shape[0]):
        if stride == 1:
            at, to, block = x[c].ctypes.data, padded[c, top].ctypes.data + size * left, VECTORS * lanes(zero)
            for j in range(0, width, block):
                copy_block(zero, at + size * j, width, to + size * j, pitch, held, min(block, width - j))
            continue
        for r in range(held):
            line, row = padded[c, r + top], x[c, r]
            if stride == 2:
                even = line[left % 2].ctypes.data + size * (left // 2)
                odd = line[(left + 1) % 2].ctypes.data + size * ((left + 1) // 2)
                for j in range(0, width, pair):
                    done = size * (j // 2)
                    split_pairs(zero, row.ctypes.data + size * j, min(width - j, pair), even + done, odd + done)
            else:
                for phase in range(stride):
                    first = (phase - left) % stride
                    to = (first + left) // stride
                    for j in range((width - first + stride - 1) // stride):
                        line[phase, to + j] = row[first + j * stride]


@compiled
def _forward(zero):
    """x: (B, G * C, H, W), weight: (G * O, k), y: (B, G * O, OH * OW); see `_numbers`. Units: an image, a
    group, a share of the segments.
    """
    kind, size = type(zero), zero.itemsize

    def work(x_base, weight, y_base, numbers, part, parts):
        n = carray(pointer(numbers), (20,), np.int64)
        batch, groups, channels, out = n[0], n[1], n[2], n[3]
        height, width, top, left, places = n[4], n[5], n[6], n[7], n[8]
        taps, k, segments, n_segments = n[9], n[10], n[11], n[12]
        rows, stride, pitch, shares, a_row, a_step = n[13], n[14], n[15], n[16], n[17], n[18]
        padded = np.zeros((channels if pitch else 0, rows, stride, pitch), kind)
        units, loaded = batch * groups * shares, -1
        for unit in range(units * part // parts, units * (part + 1) // parts):
            image, share = unit // shares, unit % shares  # the images of the groups
            base = x_base + size * image * channels * height * width
            if pitch:
                if loaded != image:
                    loaded = image
                    x = carray(pointer(base), (channels, height, width), kind)
                    _border(zero, x, top, left, stride, pitch, padded)
                base = padded.ctypes.data
            y = y_base + size * image * out * places
            a, bias = weight + size * (image % groups) * out * k, n[19] + size * (image % groups) * out
            blocks, whole = (n_segments + _SHARE - 1) // _SHARE, out // TALL[0] * TALL[0]
            first, last = blocks * share // shares * _SHARE, min(n_segments, blocks * (share + 1) // shares * _SHARE)
            for s in range(first, last, TALL[1]):
                for o in range(0, whole, TALL[0]):
                    at, to = a + size * o * k, y + size * o * places
                    row = segments + 8 * _SEGMENT * s
                    _tall(zero, bias + size * o, at, a_row, a_step, base, taps, k, row, to, places)
            for s in range(first, last, WIDE[1]):
                for o in range(whole, out):
                    at, to = a + size * o * k, y + size * o * places
                    row = segments + 8 * _SEGMENT * s
                    _wide(zero, bias + size * o, at, a_row, a_step, base, taps, k, row, to, places)

    return work


@compiled
def _weight(zero):
    """dw[share] = the gradient from a share of the images. x: (B, G * C, H, W), dw: (S, G * O, k), g: (B, G * O,
    OH * OW); see `_numbers`. Units: a share, a group.
    """
    kind, size = type(zero), zero.itemsize

    def work(x_base, dw_base, g_base, numbers, part, parts):
        n = carray(pointer(numbers), (19,), np.int64)
        batch, groups, channels, out = n[0], n[1], n[2], n[3]
        height, width, top, left, places = n[4], n[5], n[6], n[7], n[8]
        taps, k, segments, n_segments = n[9], n[10], n[11], n[12]
        rows, stride, pitch, shares = n[13], n[14], n[15], n[16]
        padded = np.zeros((channels if pitch else 0, rows, stride, pitch), kind)
        row = (k + TAPS - 1) // TAPS * TAPS * lanes(zero)
        sums = np.empty(out * row, kind)  # (O, k in whole tiles, lanes)
        dw = carray(pointer(dw_base), (shares, groups, out, k), kind)
        units = shares * groups
        for unit in range(units * part // parts, units * (part + 1) // parts):
            share, group = unit // groups, unit % groups
            to = sums.ctypes.data
            sums[:] = zero
            for image in range(batch * share // shares, batch * (share + 1) // shares):
                base = x_base + size * (image * groups + group) * channels * height * width
                if pitch:
                    x = carray(pointer(base), (channels, height, width), kind)
                    _border(zero, x, top, left, stride, pitch, padded)
                    base = padded.ctypes.data
                g = g_base + size * (image * groups + group) * out * places
                for o in range(0, out - DOT_ROWS + 1, DOT_ROWS):
                    for t in range(0, k, TAPS):
                        at = to + size * (o * row + t * lanes(zero))
                        _dots(zero, g + size * o * places, places, base, taps + 8 * t, segments, n_segments, at, row)
                for o in range(out // DOT_ROWS * DOT_ROWS, out):
                    for t in range(0, k, TAPS):
                        at = to + size * (o * row + t * lanes(zero))
                        _dot(zero, g + size * o * places, places, base, taps + 8 * t, segments, n_segments, at, row)
            for o in range(out):
                for t in range(k):
                    total = zero
                    for lane in range(lanes(zero)):
                        total += sums[o * row + t * lanes(zero) + lane]
                    dw[share, group, o, t] = total

    return work


@functools.lru_cache(maxsize=256)
def _places(grid, stride, width, pitch, kernel, dilation, channels, rows, vector):
    """The tables of segments and of taps: places of y, and taps, as offsets in (C, rows, stride, pitch), or without
    `pitch` in (C, rows, width).
    """
    line = stride[1] * pitch or width
    if not pitch and (*kernel, stride[0]) == (1, 1, 1):  # one long row
        grid = 1, grid[0] * grid[1]
    segments = [
        (i * stride[0] * line + j, i * grid[1] + j, min(vector, grid[1] - j))
        for i in range(grid[0])
        for j in range(0, grid[1], vector)
    ]
    segments += [(0, 0, 0)] * WIDE[1]
    across = [l * dilation[1] for l in range(kernel[1])]
    across = [(j % stride[1]) * pitch + j // stride[1] for j in across] if pitch else across
    starts = np.add.outer(np.arange(channels) * rows * line, np.arange(kernel[0]) * dilation[0] * line)
    taps = np.add.outer(starts, across).reshape(-1)
    return np.array(segments, np.int64), np.concatenate([taps, np.full(TAPS, taps[0])]).astype(np.int64)


def _numbers(x, y_shape, kernel, stride, padding, dilation, groups):
    """The geometry for the workers, and the tables, which must stay alive."""
    batch, channels, height, width = x.shape
    in_place = not any(padding) and stride[1] == 1
    span = [(n - 1) * s + d * (k - 1) + 1 for n, s, d, k in zip(y_shape[2:], stride, dilation, kernel, strict=True)]
    rows, pitch = height, 0
    if not in_place:
        rows, pitch = max(span[0], padding[0]), -(-max(span[1], padding[1] + width) // stride[1])
    segments, taps = _places(
        tuple(y_shape[2:]), tuple(stride), width, pitch, tuple(kernel), tuple(dilation), channels // groups, rows,
        _REGISTER_BYTES // x.itemsize,
    )  # fmt: skip
    places, k = y_shape[2] * y_shape[3], taps.size - TAPS
    numbers = (batch, groups, channels // groups, y_shape[1] // groups, height, width, *padding, places)
    numbers += (taps.ctypes.data, k, segments.ctypes.data, len(segments) - WIDE[1], rows, stride[1], pitch)
    return numbers, (segments, taps)


# Measured crossovers: up to this many taps the forward tile, and the gradient's, beat channels along the lanes.
_MOST_TAPS, _MOST_GRADIENT_TAPS = 160, 27


def fits(kernel, stride, padding, grid, channels, out, groups, dtype, *, gradient=False):
    """Is this faster than channels along the lanes? For groups that would leave most of those lanes empty; for few
    taps, if these lanes are about as full; and for a kernel of one element on whole planes, where nothing need be
    transposed. grid: the size of y; channels, out: of a group; gradient: of the weight.
    """
    if groups > 1:
        return out < (16 if gradient else 32)
    if (*kernel, *stride, *padding) == (1, 1, 1, 1, 0, 0):
        return not gradient and grid[0] * grid[1] >= 128
    most = _MOST_GRADIENT_TAPS if gradient else _MOST_TAPS
    filled, other = grid[1] / whole_vectors(grid[1], dtype), out / whole_vectors(out, dtype)
    return channels * kernel[0] * kernel[1] <= most and stride[1] <= 2 and filled >= 0.75 * other


def across(x, weight, y, stride, padding, dilation, groups, bias=None):
    """y = x * weight + bias. x: (B, C, H, W), weight: (O, C/groups, KH, KW), y: (B, O, OH, OW), bias: (O,) or None;
    contiguous, of one dtype, none empty.
    """
    bias = np.zeros(y.shape[1], x.dtype) if bias is None else bias
    numbers, tables = _numbers(x, y.shape, weight.shape[2:], stride, padding, dilation, groups)
    shares = max(1, min(4 * get_num_threads() // (x.shape[0] * groups), -(-numbers[12] // _SHARE)))
    numbers += shares, numbers[10], 1, bias.ctypes.data
    run(_forward(x.dtype), x, weight, y, numbers, alone=y.size * numbers[10] < PARALLEL_FROM)
    del tables  # alive until here: only their addresses were used


def across_weight(x, g, dw, stride, padding, dilation, groups):
    """dw = the weight gradient. x: (B, C, H, W), g: (B, O, OH, OW), dw: (O, C/groups, KH, KW), as `across`."""
    numbers, tables = _numbers(x, g.shape, dw.shape[2:], stride, padding, dilation, groups)
    shares = min(x.shape[0], -(-get_num_threads() // groups))
    sums = np.empty((shares, *dw.shape), x.dtype)
    run(_weight(x.dtype), x, sums, g, (*numbers, shares, 0, 0), alone=g.size * numbers[10] < PARALLEL_FROM)
    np.sum(sums, axis=0, out=dw)
    del tables  # alive until here: only their addresses were used
