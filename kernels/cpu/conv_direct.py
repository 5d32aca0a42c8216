"""2-D convolution and its gradient for the weight on the register tile of matmul, without an im2col buffer.

Both are products of a small dense matrix with a matrix that is never formed: its element [place, tap] is
x[places[place] + taps[tap]], a sum of two offsets. `multiply_block` reads it through the two tables.

    forward          y[place, o]  = sum over taps (kh, c, kw)     of x[place + tap] * weight[tap, o], and the bias
    weight gradient  dw[tap, o]   = sum over places (b, oh, ow)   of x[tap + place] * g[place, o]

The output channels lie along the vector lanes, so y and g change between channels-first and channels-last on the way,
one cache-sized block at a time. Workspace for each thread: the zero-bordered copy of one unit of images (one image, or
as many small ones as give PLACES places; none without padding), and a block of PLACES x O numbers; shared: the weights
in their new order.
"""

import functools

import numpy as np
from numba import carray, njit

from ...threads import get_num_threads
from .cache import jit
from .threads import compiled, pointer, run
from .tiles import LONGEST_TILE, VECTORS, copy_block, lanes, multiply_block, transpose_block

PLACES = 240  # places in a block, a multiple of every tile height: with 64 channels a block of y is 60 KiB
DEPTH = 1024  # taps in one go: 1024 rows of 64 weights are 256 KiB, which the second-level cache holds
_NUMBERS = 25
PARALLEL_FROM = 400_000  # multiplications
FORWARD, WEIGHT = 0, 1  # what `_blocks` computes


@njit(nogil=True, error_model="numpy")
def _fill_places(table, first, count, sizes, steps):
    """table[i] = offset of place first + i; places run over a box of the last two `sizes`, `steps` apart, the last
    fastest.
    """
    outer, rest = first // (sizes[1] * sizes[2]), first % (sizes[1] * sizes[2])
    middle, inner = rest // sizes[2], rest % sizes[2]
    for i in range(count):
        table[i] = outer * steps[0] + middle * steps[1] + inner * steps[2]
        inner += 1
        if inner == sizes[2]:
            inner = 0
            middle += 1
            if middle == sizes[1]:
                middle = 0
                outer += 1
    for i in range(count, count + LONGEST_TILE):
        table[i] = table[count - 1]  # a tile reads all of its rows


@compiled
def _blocks(zero):
    """One part of a convolution: FORWARD, other = x * matrix, or WEIGHT, matrix[part] += x * other.

    x: (B, G * channels, H, W); matrix: (G, taps, O), one more axis before for WEIGHT; other: (B, G * O, ...). taps:
    offsets in the padded image of a group, kernel row by kernel row, tap_rows[kh] the row of the first.
    """
    kind, size = type(zero), zero.itemsize

    def work(x_base, matrix_base, other_base, numbers, part, parts):
        given = carray(pointer(numbers), (_NUMBERS,), np.int64)
        job, groups, channels, height = given[0], given[1], given[2], given[3]
        width, top, left, rows = given[4], given[5], given[6], given[7]
        columns, row_stride, column_stride = given[8], given[9], given[10]
        taps, depth, out_channels = given[11], given[12], given[13]
        x = carray(pointer(x_base), (given[14], given[15], given[16], given[17]), kind)
        other_channels, tap_rows, bias = given[19], carray(pointer(given[22]), (given[23],), np.int64), given[24]
        matrices = matrix_base  # every part of WEIGHT sums into its own
        matrices += size * (part * groups * depth * out_channels if job == WEIGHT else 0)
        batch, plane, places_in_image = x.shape[0], height * width, rows * columns
        row_depth = depth // tap_rows.size
        panel = VECTORS * lanes(zero)
        in_place = height == x.shape[2] and width == x.shape[3]
        image_step = plane * (x.shape[1] if in_place else channels)
        # Small images share a block, large ones are cut into blocks.
        images = min(batch, max(1, PLACES // places_in_image))
        blocks = (images * places_in_image + PLACES - 1) // PLACES
        units = (batch + images - 1) // images * blocks  # of a group
        padded = np.zeros((0 if in_place else images) * channels * plane, kind)
        table = np.empty(PLACES + LONGEST_TILE, np.int64)
        tile = np.empty(PLACES * out_channels, kind)  # (places, O), a block of `other` with its channels last
        base, loaded = padded.ctypes.data, -1
        for number in range(groups * units * part // parts, groups * units * (part + 1) // parts):
            group, unit = number // units, number % units
            channel, out_channel = group * channels, group * out_channels
            matrix_base = matrices + size * group * depth * out_channels
            first, start = unit // blocks * images, unit % blocks * PLACES
            held = min(images, batch - first)
            count = min(PLACES, held * places_in_image - start)
            if in_place:
                base = x_base + size * (first * image_step + channel * plane)
            elif loaded != number // blocks:
                loaded = number // blocks
                for i in range(held * channels):
                    source = x[first + i // channels, channel + i % channels].ctypes.data
                    to = base + size * (i * plane + top * width + left)
                    for j in range(0, x.shape[3], panel):
                        columns_here = min(panel, x.shape[3] - j)
                        copy_block(zero, source + size * j, x.shape[3], to + size * j, width, x.shape[2], columns_here)
            # Rows of several images side by side let a border row skip the kernel rows that fall outside for all of
            # them.
            by_rows = job == FORWARD and held > 1 and height > x.shape[2]
            sizes = (rows, held, columns) if by_rows else (held, rows, columns)
            row_step = row_stride * width
            steps = (row_step, image_step, column_stride) if by_rows else (image_step, row_step, column_stride)
            _fill_places(table, start, count, sizes, steps)
            stretch = columns if by_rows else places_in_image  # places that are neighbours in `other`

            if job == WEIGHT:
                done = 0
                while done < count:
                    image, place = first + (start + done) // places_in_image, (start + done) % places_in_image
                    run = min(count - done, places_in_image - place)
                    source = other_base + size * ((image * other_channels + out_channel) * places_in_image + place)
                    to = tile.ctypes.data + size * done * out_channels
                    transpose_block(zero, source, places_in_image, to, out_channels, out_channels, run)
                    done += run
            elif bias:
                row = carray(pointer(bias + size * out_channel), (out_channels,), kind)
                for i in range(0, count * out_channels, out_channels):
                    tile[i : i + out_channels] = row
            for o in range(0, out_channels, panel):
                n = min(panel, out_channels - o)
                done = 0
                while done < count:
                    if job == WEIGHT:  # the roles of places and taps exchanged
                        a_rows, a_steps, m = taps, table.ctypes.data, depth
                        b, c = tile.ctypes.data + size * o, matrix_base + size * o
                        low, high, run = 0, count, count
                    else:
                        # The kernel rows that fall inside the image, the same for all places of this run.
                        run, low, high = 0, 0, 0
                        while done + run < count:
                            place = start + done + run
                            row = place // (columns * held) if by_rows else place // columns % rows
                            kernel_low, kernel_high = 0, tap_rows.size
                            while kernel_low < kernel_high and row * row_stride + tap_rows[kernel_low] < top:
                                kernel_low += 1
                            bottom = top + x.shape[2]
                            while kernel_high > kernel_low and row * row_stride + tap_rows[kernel_high - 1] >= bottom:
                                kernel_high -= 1
                            if kernel_low == kernel_high:  # all outside: the zeros of the border give the zero
                                kernel_low, kernel_high = 0, tap_rows.size
                            if run and (kernel_low * row_depth != low or kernel_high * row_depth != high):
                                break
                            low, high = kernel_low * row_depth, kernel_high * row_depth
                            span = columns * held if by_rows else columns
                            run += span - place % span
                        run = min(run, count - done)
                        a_rows, a_steps, m = table.ctypes.data + 8 * done, taps, run
                        b, c = matrix_base + size * o, tile.ctypes.data + size * (done * out_channels + o)
                    for t in range(low, high, DEPTH):
                        multiply_block(
                            zero,
                            base,
                            a_rows,
                            a_steps + 8 * t,
                            b + size * t * out_channels,
                            out_channels,
                            c,
                            out_channels,
                            m,
                            n,
                            min(DEPTH, high - t),
                            job == WEIGHT or t > low or bias != 0,
                        )
                    done += run
            done = 0
            while job == FORWARD and done < count:
                place = start + done
                run = min(count - done, stretch - place % stretch)
                image = first + (place // columns % held if by_rows else place // places_in_image)
                row = place // columns // held if by_rows else place // columns % rows
                column = place % columns
                for o in range(0, out_channels, panel):
                    n = min(panel, out_channels - o)
                    source = tile.ctypes.data + size * (done * out_channels + o)
                    at = ((image * other_channels + out_channel + o) * rows + row) * columns + column
                    transpose_block(zero, source, out_channels, other_base + size * at, places_in_image, run, n)
                done += run
        padded[:1] = zero  # alive until here: only its address was used

    return work


def _run(job, x, matrix, other, taps, geometry, bias=None):
    """`_blocks` on all threads; matrix: (1, G, taps, O), or (parts, G, taps, O) for the sums of a WEIGHT."""
    offsets, tap_rows = taps
    numbers = (job, *geometry, offsets.ctypes.data, *matrix.shape[2:], *x.shape, *other.shape)
    numbers += (tap_rows.ctypes.data, tap_rows.size, 0 if bias is None else bias.ctypes.data)
    work = other.size * matrix.shape[2]  # multiplications
    parts = matrix.shape[0] if job == WEIGHT else None
    run(_blocks(x.dtype), x, matrix, other, numbers, alone=work < PARALLEL_FROM, parts=parts)


@jit()
def _to_matrix(weight, matrix):
    """matrix[group, kh, c, kw, o] = weight[group * O + o, c, kh, kw]."""
    groups, kernel_rows, channels, kernel_columns, count = matrix.shape
    line = np.empty((count, kernel_rows, channels, kernel_columns), weight.dtype)
    depth = kernel_rows * channels * kernel_columns
    zero = weight.dtype.type(0)
    for group in range(groups):
        for o in range(count):
            for c in range(channels):
                for i in range(kernel_rows):
                    for j in range(kernel_columns):
                        line[o, i, c, j] = weight[group * count + o, c, i, j]
        transpose_block(zero, line.ctypes.data, depth, matrix[group].ctypes.data, count, count, depth)
    line[0, 0, 0, 0] = zero  # alive until here: only its address was used


@jit()
def _from_matrices(matrices, dw):
    """dw[group * O + o, c, kh, kw] = the sum over threads of matrices[thread, group, kh, c, kw, o]."""
    threads, groups, kernel_rows, channels, kernel_columns, count = matrices.shape
    for group in range(groups):
        for i in range(kernel_rows):
            for c in range(channels):
                for j in range(kernel_columns):
                    for o in range(count):
                        total = matrices[0, group, i, c, j, o]
                        for t in range(1, threads):
                            total += matrices[t, group, i, c, j, o]
                        dw[group * count + o, c, i, j] = total


@functools.lru_cache(maxsize=256)
def _taps(rows, columns, channels, height, width):
    """Offsets of the taps (kh, c, kw) in an image (C, height, width), with a tail for whole tiles; the rows as an
    array.
    """
    starts = np.add.outer(np.array(rows) * width, np.arange(channels) * (height * width))
    offsets = np.add.outer(starts, columns).reshape(-1)
    return np.concatenate([offsets, np.full(LONGEST_TILE, offsets[0])]).astype(np.int64), np.array(rows, np.int64)


def direct(x, weight, y, stride, padding, dilation, groups, bias=None):
    """y = x * weight + bias. x: (B, C, H, W), weight: (O, C/groups, KH, KW), y: (B, O, OH, OW), bias: (O,) or None;
    contiguous, of one dtype, none empty; stride, padding, dilation: pairs (rows, columns).
    """
    out, channels, *kernel = weight.shape
    padded = [n + 2 * p for n, p in zip(x.shape[2:], padding, strict=True)]
    taps = _taps(*(tuple(range(0, k * d, d)) for k, d in zip(kernel, dilation, strict=True)), channels, *padded)
    matrix = np.empty((groups, kernel[0], channels, kernel[1], out // groups), x.dtype)
    _to_matrix(weight, matrix)
    geometry = (groups, channels, *padded, *padding, *y.shape[2:], *stride)
    _run(FORWARD, x, matrix.reshape(1, groups, -1, out // groups), y, taps, geometry, bias)


def direct_weight(x, g, dw, stride, padding, dilation, groups):
    """dw = the weight gradient. x: (B, C, H, W), g: (B, O, OH, OW), dw: (O, C/groups, KH, KW), as `direct`."""
    out, channels, *kernel = dw.shape
    padded = [n + 2 * p for n, p in zip(x.shape[2:], padding, strict=True)]
    taps = _taps(*(tuple(range(0, k * d, d)) for k, d in zip(kernel, dilation, strict=True)), channels, *padded)
    threads, count = get_num_threads(), out // groups
    matrices = np.zeros((threads, groups, kernel[0], channels, kernel[1], count), x.dtype)
    geometry = (groups, channels, *padded, *padding, *g.shape[2:], *stride)
    _run(WEIGHT, x, matrices.reshape(threads, groups, -1, count), g, taps, geometry)
    _from_matrices(matrices, dw)
