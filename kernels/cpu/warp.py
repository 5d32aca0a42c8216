"""Images at fractional places, bilinearly, for random changes to training images.

Not a primitive: it is called while a batch is made, on one thread, beside the training that has the others.
"""

import numpy as np
from numba import carray

from . import vectormath
from .threads import compiled, pointer, run


@compiled
def _warped(zero):
    """a: images (B, C, H, W); b: rows_y (B, H'), columns_y (B, H'), rows_x (B, W'), columns_x (B, W') one behind the
    other; c: result (B, C, H', W'). numbers: B, C, H, W, H', W'. An image is read from a frame of zeros: one above and
    to the left, two below and to the right, the second for the neighbours of what is clipped there."""
    kind = type(zero)

    def work(a_base, b_base, c_base, numbers, part, parts):
        n = carray(pointer(numbers), (6,), np.int64)
        batch, channels, height, width, tall, wide = n[0], n[1], n[2], n[3], n[4], n[5]
        images = carray(pointer(a_base), (batch, channels, height, width), kind)
        result = carray(pointer(c_base), (batch, channels, tall, wide), kind)
        lines = carray(pointer(b_base), (2 * batch * (tall + wide),), kind)
        of_y = lines[: 2 * batch * tall].reshape(2, batch, tall)
        of_x = lines[2 * batch * tall :].reshape(2, batch, wide)
        pitch, one, low = width + 3, kind(1), kind(0)
        bottom, right = kind(height + 1), kind(width + 1)
        framed = np.zeros((channels, (height + 3) * pitch), kind)
        place, down, across = np.empty(wide, np.int32), np.empty(wide, kind), np.empty(wide, kind)
        for b in range(batch * part // parts, batch * (part + 1) // parts):
            for c in range(channels):
                for i in range(height):
                    framed[c, (i + 1) * pitch + 1 : (i + 1) * pitch + 1 + width] = images[b, c, i]
            for i in range(tall):
                row_y, column_y = of_y[0, b, i], of_y[1, b, i]
                for j in range(wide):
                    row, column = row_y + of_x[0, b, j] + one, column_y + of_x[1, b, j] + one
                    row = vectormath.minimum(vectormath.maximum(row, low), bottom)
                    column = vectormath.minimum(vectormath.maximum(column, low), right)
                    top, left = np.floor(row), np.floor(column)
                    down[j], across[j] = row - top, column - left
                    place[j] = np.int32(top) * np.int32(pitch) + np.int32(left)
                for c in range(channels):
                    for j in range(wide):
                        p = np.int64(place[j])
                        above, below = framed[c, p], framed[c, p + pitch]
                        above += (framed[c, p + 1] - above) * across[j]
                        below += (framed[c, p + pitch + 1] - below) * across[j]
                        result[b, c, i, j] = above + (below - above) * down[j]

    return work


def warp(images, rows_y, columns_y, rows_x, columns_x):
    """result[b, :, i, j] = the image at row rows_y[b, i] + rows_x[b, j], column columns_y[b, i] + columns_x[b, j]; 0
    outside. images: (B, C, H, W), all float32 or all float64."""
    images = images if images.flags.carray else images.copy()
    (b, c, h, w), tall, wide = images.shape, rows_y.shape[1], rows_x.shape[1]
    lines = np.concatenate([a.reshape(-1) for a in (rows_y, columns_y, rows_x, columns_x)])
    result = np.empty((b, c, tall, wide), images.dtype)
    run(_warped(images.dtype), images, lines, result, (b, c, h, w, tall, wide), alone=True)
    return result
