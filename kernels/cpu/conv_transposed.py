"""The input gradient of a convolution, which is also the transposed convolution: every g[b, :, i, j] is multiplied by
the kernel, and the products are added where they belong in dx.

    dx[b, c, i s + k d - p, j s + l d - p] += sum over o of g[b, o, i, j] * weight[o, c, k, l]

For one tap (k, l) that is a matrix product, places x O with O x C, whose rows are added to rows of dx that lie
elsewhere: `add_product` finds them through a table. There are no multiplications by border zeros, and a stride costs
nothing. A worker holds some rows of dx of one image, or several small images, channels last. Workspace for each
thread: these rows, about DX_BYTES, and the rows of g that reach them; shared: the weights in their new order.
"""

import numpy as np
from numba import carray

from .threads import compiled, pointer, run
from .tiles import LONGEST_TILE, VECTORS, add_product, lanes, transpose_block, whole_vectors

DX_BYTES = 256 * 1024
_PLACES = 240  # of g, in a unit of small images
PARALLEL_FROM = 400_000  # multiplications


@compiled
def _order(zero):
    """matrix[group, tap, o, c] = weight[group, o, c, tap]; numbers: groups, O, C of a group, taps, c rounded up."""
    size = zero.itemsize

    def work(weight, matrix, _, numbers, part, parts):
        given = carray(pointer(numbers), (5,), np.int64)
        groups, out, channels, taps, across = given[0], given[1], given[2], given[3], given[4]
        rows = groups * out
        for row in range(rows * part // parts, rows * (part + 1) // parts):
            group, o = row // out, row % out
            to = matrix + size * (group * taps * out + o) * across
            transpose_block(zero, weight + size * row * channels * taps, taps, to, out * across, channels, taps)

    return work


@compiled
def _scatter(zero):
    """The rows of dx, unit by unit: a group, some images, some rows. g: (B, G * O, OH, OW), matrix: (G, taps, O,
    across), dx: (B, G * C, H, W).
    """
    kind, size = type(zero), zero.itemsize

    def work(g_base, matrix, dx_base, numbers, part, parts):
        given = carray(pointer(numbers), (22,), np.int64)
        batch, groups, out, channels, across, deep = given[0], given[1], given[2], given[3], given[4], given[5]
        g_rows, g_columns, height, width = given[6], given[7], given[8], given[9]
        kernel_rows, kernel_columns, stride, column_stride = given[10], given[11], given[12], given[13]
        dilation, column_dilation, top, left = given[14], given[15], given[16], given[17]
        images, rows_held, line, g_most = given[18], given[19], given[20], given[21]
        blocks, strips = (batch + images - 1) // images, (height + rows_held - 1) // rows_held
        panel = VECTORS * lanes(zero)
        # channels last: (images, rows, line, across), and a row that takes the surplus of the last tile
        spare = images * rows_held * line * across
        held = np.empty(spare + kernel_columns * column_dilation * across + across, kind)
        places = np.empty(images * g_most * g_columns * deep, kind)  # (images, rows of g, OW, deep)
        from_rows = np.empty(images * g_most * g_columns + LONGEST_TILE, np.int64)
        to_rows, steps = np.empty(from_rows.size, np.int64), np.arange(out)
        units = groups * blocks * strips
        for unit in range(units * part // parts, units * (part + 1) // parts):
            group, first, r0 = unit // strips // blocks, unit // strips % blocks * images, unit % strips * rows_held
            rows, count = min(rows_held, height - r0), min(images, batch - first)
            # the rows of g that reach these rows of dx: 0 <= i stride + k dilation - top - r0 < rows
            low = min(g_rows, max(0, (r0 + top - (kernel_rows - 1) * dilation + stride - 1) // stride))
            high = max(low, min(g_rows, (r0 + rows - 1 + top) // stride + 1))
            for image in range(count):
                channel = ((first + image) * groups + group) * out
                source = g_base + size * (channel * g_rows + low) * g_columns
                to = places.ctypes.data + size * image * (high - low) * g_columns * deep
                transpose_block(zero, source, g_rows * g_columns, to, deep, out, (high - low) * g_columns)
            held[:spare] = zero
            for k in range(kernel_rows):
                shift = k * dilation - top - r0
                begin, end = low, high
                while begin < high and begin * stride + shift < 0:
                    begin += 1
                while end > begin and (end - 1) * stride + shift >= rows:
                    end -= 1
                m = 0
                for image in range(count):
                    for i in range(begin, end):
                        at = (image * (high - low) + i - low) * g_columns * deep
                        to = (image * rows + i * stride + shift) * line * across
                        for j in range(g_columns):
                            from_rows[m], to_rows[m] = at + j * deep, to + j * column_stride * across
                            m += 1
                if m == 0:
                    continue
                for i in range(m, m + LONGEST_TILE):
                    from_rows[i], to_rows[i] = from_rows[m - 1], spare
                for tap in range(kernel_columns):
                    weights = matrix + size * ((group * kernel_rows + k) * kernel_columns + tap) * out * across
                    to = held.ctypes.data + size * tap * column_dilation * across
                    for c in range(0, across, panel):
                        add_product(
                            zero,
                            places.ctypes.data,
                            from_rows.ctypes.data,
                            steps.ctypes.data,
                            weights + size * c,
                            across,
                            to + size * c,
                            to_rows.ctypes.data,
                            m,
                            min(panel, across - c),
                            out,
                        )
            for image in range(count):
                channel = ((first + image) * groups + group) * channels
                to = dx_base + size * (channel * height + r0) * width
                source = held.ctypes.data + size * image * rows * line * across
                if line == width:
                    transpose_block(zero, source, across, to, height * width, rows * width, channels)
                else:
                    for r in range(rows):
                        begin = source + size * (r * line + left) * across
                        transpose_block(zero, begin, across, to + size * r * width, height * width, width, channels)

    return work


def scattered(g, weight, dx, stride, padding, dilation, groups):
    """dx = the input gradient. g: (B, O, OH, OW), weight: (O, C/groups, KH, KW), dx: (B, C, H, W), contiguous, of one
    dtype, none empty; stride, padding, dilation: pairs (rows, columns).
    """
    batch, all_out, g_rows, g_columns = g.shape
    _, channels, *kernel = weight.shape
    height, width = dx.shape[2:]
    out, across, taps = all_out // groups, whole_vectors(channels, g.dtype), kernel[0] * kernel[1]
    matrix = (np.empty if across == channels else np.zeros)((groups, taps, out, across), g.dtype)
    run(_order(g.dtype), weight, matrix, matrix, (groups, out, channels, taps, across), alone=matrix.size < 65_536)
    # the columns of g fill a line of dx with its padding, and columns that no g reaches follow
    line = max(padding[1] + width, (g_columns - 1) * stride[1] + (kernel[1] - 1) * dilation[1] + 1)
    rows = min(height, max(4, DX_BYTES // (line * across * g.itemsize)))
    images = min(batch, max(1, _PLACES // (g_rows * g_columns))) if rows == height else 1
    g_most = min(g_rows, (rows - 1 + (kernel[0] - 1) * dilation[0]) // stride[0] + 2)
    deep = whole_vectors(out, g.dtype)
    numbers = (batch, groups, out, channels, across, deep, g_rows, g_columns, height, width, *kernel)
    numbers += (*stride, *dilation, *padding, images, rows, line, g_most)
    alone = g.size * channels * taps < PARALLEL_FROM
    run(_scatter(g.dtype), g, matrix, dx, numbers, alone=alone)
