"""Products of columns and rows, (..., M, 1) @ (..., 1, N): each number of the result is one product, written once.

The result is many times larger than what it is made of, so writing it is all there is to do: per-sample gradients of a
weight are such products, g x^T of each sample.
"""

import numpy as np
from numba import carray

from .threads import compiled, pointer, run
from .tiles import lanes
from .vectors import first, load, splat, store

PARALLEL_FROM = 32_768  # numbers of the result
PART = 262_144  # numbers in a part of a job


@compiled
def _outer(zero):
    """c[e, i] = a[e, i] b[e]; a: (E, M), b: (E, N), c: (E, M, N). numbers: M, N, E, the distances between entries of a
    and of b, 0 where one serves all."""
    kind, size = type(zero), zero.itemsize

    def work(a_base, b_base, c_base, numbers, part, parts):
        given = carray(pointer(numbers), (5,), np.int64)
        m, n, rows, width = given[0], given[1], given[0] * given[2], lanes(zero)
        for r in range(rows * part // parts, rows * (part + 1) // parts):
            entry = r // m
            x = splat(zero, carray(pointer(a_base + size * (entry * given[3] + r - entry * m)), (1,), kind)[0])
            row, to, j = b_base + size * entry * given[4], c_base + size * r * n, 0
            while j + width <= n:
                store(x * load(zero, row + size * j), to + size * j)
                j += width
            if j < n:
                keep = first(zero, n - j)
                store(x * load(zero, row + size * j, keep, 0.0), to + size * j, keep)

    return work


def outer(a, b, shape, a_batch, b_batch, batch, m, n):
    """C of the given shape from stacks of columns and of rows, in C order; a_batch, b_batch: numbers from one entry to
    the next, 0 where one serves all; batch: entries of C."""
    c = np.empty(shape, a.dtype)
    parts = max(2, min(64, c.size // PART))
    run(_outer(a.dtype), a, b, c, (m, n, batch, a_batch, b_batch), alone=c.size < PARALLEL_FROM, parts=parts)
    return c
