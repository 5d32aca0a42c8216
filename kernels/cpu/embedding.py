"""Rows of a table by their numbers, and its adjoint, which adds rows up where a number occurs again.

Every thread adds to rows of its own, in the order of the numbers: the sums do not depend on the threads.
"""

import math

import numpy as np
from numba import carray
from numba.extending import register_jitable

from ...errors import IndexRangeError
from .threads import compiled, pointer, run

PARALLEL_FROM = 32_768  # elements
PARTS = 4  # each reads all numbers


@register_jitable(error_model="numpy")
def _copy(x, y):
    for j in range(x.size):
        y[j] = x[j]


@register_jitable(error_model="numpy")
def _add(x, y):
    for j in range(x.size):
        y[j] += x[j]


@compiled
def _gather(zero):
    """a: table (N, D); b: n numbers, int64; c: (n, D). numbers: N, D, n, the address of an int64, 1 if one is wrong."""
    kind = type(zero)

    def work(a_base, b_base, c_base, numbers, part, parts):
        given = carray(pointer(numbers), (4,), np.int64)
        size, width, n = given[0], given[1], given[2]
        table, y = carray(pointer(a_base), (size, width), kind), carray(pointer(c_base), (n, width), kind)
        index = carray(pointer(b_base), (n,), np.int64)
        for i in range(n * part // parts, n * (part + 1) // parts):
            row = index[i] + size if index[i] < 0 else index[i]
            if 0 <= row < size:
                _copy(table[row], y[i])
            else:
                carray(pointer(given[3]), (1,), np.int64)[0] = 1

    return work


@compiled
def _scatter(zero):
    """a: v (n, D); b: n numbers, int64; c: table (N, D), set to the sums. numbers: as for _gather."""
    kind = type(zero)

    def work(a_base, b_base, c_base, numbers, part, parts):
        given = carray(pointer(numbers), (4,), np.int64)
        size, width, n = given[0], given[1], given[2]
        v, table = carray(pointer(a_base), (n, width), kind), carray(pointer(c_base), (size, width), kind)
        index = carray(pointer(b_base), (n,), np.int64)
        low, high = size * part // parts, size * (part + 1) // parts
        table[low:high] = zero
        for i in range(n):
            row = index[i] + size if index[i] < 0 else index[i]
            if low <= row < high:
                _add(v[i], table[row])
            elif not 0 <= row < size:
                carray(pointer(given[3]), (1,), np.int64)[0] = 1

    return work


def _run(worker, op, a, index, c, rows, width, parts):
    """One of the workers on the table of so many rows; raises IndexRangeError if a number is out of range."""
    index = index if index.flags.carray and index.dtype == np.int64 else np.array(index, np.int64, order="C")
    wrong = np.zeros(1, np.int64)
    numbers = (rows, width, index.size, wrong.ctypes.data)
    alone = width * index.size < PARALLEL_FROM
    run(worker(a.dtype), a, index.reshape(-1).view(a.dtype), c, numbers, alone=alone, parts=parts)
    if wrong[0]:
        raise IndexRangeError(f"{op}: indices must be from {-rows} to {rows - 1}: got {index.min()} to {index.max()}.")
    return c


def getitem(x, index, *, key):
    """y[...] = x[index[...]]. x: (N, ...) contiguous; index: integers; y: (*index.shape, ...)."""
    y = np.empty((*index.shape, *x.shape[1:]), x.dtype)
    return _run(_gather, "getitem", x, index, y, len(x), math.prod(x.shape[1:]), 2 * PARTS)


def scatter(v, index, *, key, shape):
    """Zeros of `shape` (N, ...) with v[...] added to row index[...]. v: (*index.shape, ...)."""
    v = v if v.flags.carray else v.copy()
    return _run(_scatter, "scatter", v, index, np.empty(shape, v.dtype), shape[0], math.prod(shape[1:]), PARTS)
