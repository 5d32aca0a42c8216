"""Arrays one after the other along an axis: each is copied to its columns of the result, by all threads."""

import math

import numpy as np
from numba import carray

from .threads import compiled, pointer, run
from .tiles import item_size

PARALLEL_FROM = 24_576  # elements
PART = 65_536  # elements


@compiled
def _placed(zero):
    """a: x (O, W); c: y (O, L), whose columns at ... at + W - 1 become x. numbers: O, W, L, at."""
    kind = type(zero)

    def work(a_base, b_base, c_base, numbers, part, parts):
        given = carray(pointer(numbers), (4,), np.int64)
        rows, width, length, at = given[0], given[1], given[2], given[3]
        size = item_size(zero)
        i, stop = rows * width * part // parts, rows * width * (part + 1) // parts
        if width == 1:
            x, y = carray(pointer(a_base), (rows,), kind), carray(pointer(c_base), (rows, length), kind)
            for row in range(i, stop):
                y[row, at] = x[row]
            return
        while i < stop:
            row = i // width
            k = i - row * width
            n = min(width - k, stop - i)
            x = carray(pointer(a_base + size * i), (n,), kind)
            y = carray(pointer(c_base + size * (row * length + at + k)), (n,), kind)
            for j in range(n):
                y[j] = x[j]
            i += n

    return work


def _joined(xs, shape, axis):
    """The xs, whose axes from `axis` on are a row of the result, side by side in an array of this shape."""
    y, at = np.empty(shape, xs[0].dtype), 0
    rows = math.prod(shape[:axis])
    length = y.size // rows
    for x in xs:
        x, width = x if x.flags.carray else x.copy(), x.size // rows
        numbers = (rows, width, length, at)
        run(_placed(x.dtype), x, x, y, numbers, alone=x.size < PARALLEL_FROM, parts=max(2, x.size // PART))
        at += width
    return y


def concat(*xs, axis=0):
    """The arrays one after the other along an existing axis."""
    shape, axis = list(xs[0].shape), axis % xs[0].ndim
    shape[axis] = sum(x.shape[axis] for x in xs)
    return _joined(xs, tuple(shape), axis)


def stack(*xs, axis=0):
    """The arrays side by side along a new axis."""
    shape, axis = xs[0].shape, axis % (xs[0].ndim + 1)
    return _joined(xs, (*shape[:axis], len(xs), *shape[axis:]), axis)
