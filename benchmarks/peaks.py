"""What this machine can do: a register tile that only multiplies and adds, and a plain copy, both on our threads."""

import numpy as np
from numba import carray, from_dtype
from numba.extending import register_jitable

from ..kernels.cpu.threads import compiled, pointer
from ..kernels.cpu.tiles import LANES, LONGEST_TILE, ROWS, VECTORS, lanes, multiply_block

DEPTH = 96  # of the product: its operands stay in a first-level cache of 32 KiB
BYTES = 4  # of a float32: the only type here


def width(dtype):
    """Columns of the tile."""
    return VECTORS * LANES[from_dtype(np.dtype(dtype))]


@compiled
def multiply(zero):
    """C (ROWS, width) = A (ROWS, DEPTH) @ B (DEPTH, width), numbers[0] times in every part; returns nothing of use."""

    def work(a, b, c, numbers, part, parts):
        repeats, width = carray(pointer(numbers), (1,), np.int64)[0], VECTORS * lanes(zero)
        rows, steps = np.zeros(ROWS + LONGEST_TILE, np.int64), np.arange(DEPTH)
        for i in range(ROWS + LONGEST_TILE):
            rows[i] = min(i, ROWS - 1) * DEPTH
        c += part * ROWS * width * BYTES
        for _ in range(repeats):
            multiply_block(zero, a, rows.ctypes.data, steps.ctypes.data, b, width, c, width, ROWS, width, DEPTH, 0)
        rows[0], steps[0] = 0, 0  # alive until here: only their addresses were used

    return work


@register_jitable
def _copy(source, target):
    for i in range(source.size):
        target[i] = source[i]


@compiled
def copy(zero):
    """b = a, numbers[0] elements numbers[1] times, each part its share."""

    kind = type(zero)

    def work(a, b, c, numbers, part, parts):
        given = carray(pointer(numbers), (2,), np.int64)
        n, repeats = given[0], given[1]
        start, stop = n * part // parts, n * (part + 1) // parts
        source = carray(pointer(a + start * BYTES), (stop - start,), kind)
        target = carray(pointer(b + start * BYTES), (stop - start,), kind)
        for _ in range(repeats):
            _copy(source, target)

    return work
