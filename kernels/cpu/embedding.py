"""Rows of a table by their numbers, single elements by their number along an axis, and the adjoints of both, which add
up where a number occurs again.

Every thread adds to rows or columns of its own, in the order of the numbers: the sums do not depend on the threads.
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
def _plus(x, y):
    for j in range(x.size):
        y[j] += x[j]


@register_jitable(error_model="numpy")
def _wrong(i, size):
    """Negative if i is not from 0 to size - 1; to be joined by |."""
    return i | (size - 1 - i)


@register_jitable(error_model="numpy")
def _plain(at, size):
    """Are all of these from 0 to size - 1? One pass in vectors, so that the next need not ask."""
    wrong = np.int64(0)
    for j in range(at.size):
        wrong |= _wrong(at[j], size)
    return wrong >= 0


@register_jitable(error_model="numpy")
def _add_runs(v, at, sums):
    """sums[at[j]] += v[j]. What goes to the same place in a row, as the gradients of running extremes do, is added up
    first: memory that was just written is slow to read."""
    last, total = np.uint64(at[0]), v[0]
    for j in range(1, at.size):
        i = np.uint64(at[j])
        if i == last:
            total += v[j]
        else:
            sums[last] += total
            last, total = i, v[j]
    sums[last] += total


@compiled
def _gather(zero):
    """a: tables (O, N, D); b: n numbers, int64; c: (O, n, D). numbers: N, D, n, the address of an int64, 1 if one is
    wrong, O."""
    kind = type(zero)

    def work(a_base, b_base, c_base, numbers, part, parts):
        given = carray(pointer(numbers), (5,), np.int64)
        size, width, n, tables = given[0], given[1], given[2], given[4]
        table = carray(pointer(a_base), (tables * size, width), kind)
        y = carray(pointer(c_base), (tables * n, width), kind)
        index = carray(pointer(b_base), (n,), np.int64)
        start, stop = tables * n * part // parts, tables * n * (part + 1) // parts
        o, i = start // n, start % n
        if width == 1 and _plain(index, size):
            while start < stop:
                m = min(n - i, stop - start)
                line, out = table[o * size : (o + 1) * size, 0], y[start : start + m, 0]
                for j in range(m):
                    out[j] = line[np.uint64(index[i + j])]
                start, o, i = start + m, o + 1, 0
            return
        for to in range(start, stop):
            row = index[i] + size if index[i] < 0 else index[i]
            if 0 <= row < size:
                _copy(table[o * size + row], y[to])
            else:
                carray(pointer(given[3]), (1,), np.int64)[0] = 1
            i += 1
            if i == n:
                o, i = o + 1, 0

    return work


@compiled
def _scatter(zero):
    """a: v (O, n, D); b: n numbers, int64; c: tables (O, N, D), set to the sums. numbers: as for _gather."""
    kind = type(zero)

    def work(a_base, b_base, c_base, numbers, part, parts):
        given = carray(pointer(numbers), (5,), np.int64)
        size, width, n, tables = given[0], given[1], given[2], given[4]
        v = carray(pointer(a_base), (tables * n, width), kind)
        table = carray(pointer(c_base), (tables * size, width), kind)
        index = carray(pointer(b_base), (n,), np.int64)
        first, last = tables * size * part // parts, tables * size * (part + 1) // parts
        table[first:last] = zero
        plain = width == 1 and _plain(index, size)
        for o in range(first // size, (last + size - 1) // size):  # the tables that this part has rows of
            low, high = max(0, first - o * size), min(size, last - o * size)
            if plain and high - low == size:
                _add_runs(v[o * n : (o + 1) * n, 0], index, table[o * size : (o + 1) * size, 0])
                continue
            for i in range(n):
                row = index[i] + size if index[i] < 0 else index[i]
                if low <= row < high:
                    _plus(v[o * n + i], table[o * size + row])
                elif not 0 <= row < size:
                    carray(pointer(given[3]), (1,), np.int64)[0] = 1

    return work


def _run(worker, op, a, index, c, tables, rows, width, parts):
    """One of the workers on tables of so many rows; raises IndexRangeError if a number is out of range."""
    index = index if index.flags.carray and index.dtype == np.int64 else np.array(index, np.int64, order="C")
    wrong = np.zeros(1, np.int64)
    numbers = (rows, width, index.size, wrong.ctypes.data, tables)
    alone = tables * width * index.size < PARALLEL_FROM
    run(worker(a.dtype), a, index.reshape(-1).view(a.dtype), c, numbers, alone=alone, parts=parts)
    if wrong[0]:
        raise IndexRangeError(f"{op}: indices must be from {-rows} to {rows - 1}: got {index.min()} to {index.max()}.")
    return c


def getitem(x, index, *, key):
    """y[o, ..., i] = x[o, index[...], i]. x: (O, N, I) contiguous, the axis behind the whole ones of the key in the
    middle; index: integers."""
    axis = len(key) - 1
    y = np.empty((*x.shape[:axis], *index.shape, *x.shape[axis + 1 :]), x.dtype)
    sizes = math.prod(x.shape[:axis]), x.shape[axis], math.prod(x.shape[axis + 1 :])
    return _run(_gather, "getitem", x, index, y, *sizes, 2 * PARTS)


def scatter(v, index, *, key, shape):
    """Zeros of `shape` (O, N, I) with v[o, ..., i] added at [o, index[...], i]: the adjoint of getitem."""
    v, axis = v if v.flags.carray else v.copy(), len(key) - 1
    sizes = math.prod(shape[:axis]), shape[axis], math.prod(shape[axis + 1 :])
    return _run(_scatter, "scatter", v, index, np.empty(shape, v.dtype), *sizes, PARTS)


# ---- along an axis ---------------------------------------------------------------------------------------------------
# x is (O, S, I) with the axis in the middle, the indices are (O, N, I). One unit of work is some columns of one of the
# O: where lines far apart would be met again and again, these columns stand packed in a buffer that fits the cache.
BUFFER = 32_768  # elements
LEAST_COLUMNS, MOST_COLUMNS = 16, 128


@register_jitable(error_model="numpy")
def _positive(i, size):
    """The index counted from the front."""
    return i + size if i < 0 else i


@register_jitable(error_model="numpy")
def _inside(i, size):
    """i, or the nearest place that is there. Unsigned, so that no code looks for negative indices again."""
    return np.uint64(min(max(i, 0), size - 1))


@compiled
def _take(zero):
    """a: x (O, S, I); c: y (O, N, I). numbers: O, S, N, I, columns a unit, the addresses of the indices, int64, and of
    an int64, 1 if one is wrong."""
    kind = type(zero)

    def work(a_base, b_base, c_base, numbers, part, parts):
        given = carray(pointer(numbers), (7,), np.int64)
        outer, size, n, inner, width = given[0], given[1], given[2], given[3], given[4]
        x, y = carray(pointer(a_base), (outer * size, inner), kind), carray(pointer(c_base), (outer * n, inner), kind)
        index = carray(pointer(given[5]), (outer * n, inner), np.int64)
        blocks = (inner + width - 1) // width
        units, wrong = outer * blocks, np.int64(0)
        packed = width < inner and 2 * n > size
        buffer = np.empty((size, width) if packed else (1, 1), kind)
        for unit in range(units * part // parts, units * (part + 1) // parts):
            o, k = unit // blocks, unit % blocks * width
            m = min(width, inner - k)
            if inner == 1:
                line = carray(pointer(a_base + buffer.itemsize * o * size), (size,), kind)
                out = carray(pointer(c_base + buffer.itemsize * o * n), (n,), kind)
                at = carray(pointer(given[5] + 8 * o * n), (n,), np.int64)
                if _plain(at, size):
                    for j in range(n):
                        out[j] = line[np.uint64(at[j])]
                    continue
                for j in range(n):
                    i = _positive(at[j], size)
                    wrong |= _wrong(i, size)
                    out[j] = line[_inside(i, size)]
                continue
            if packed:
                for r in range(size):
                    _copy(x[o * size + r, k : k + m], buffer[r, :m])
            for j in range(o * n, (o + 1) * n):
                out, at = y[j, k : k + m], index[j, k : k + m]
                for c in range(m):
                    i = _positive(at[c], size)
                    wrong |= _wrong(i, size)
                    i = _inside(i, size)
                    out[c] = buffer[i, np.uint64(c)] if packed else x[np.uint64(o * size) + i, np.uint64(k + c)]
        if wrong < 0:
            carray(pointer(given[6]), (1,), np.int64)[0] = 1

    return work


@compiled
def _add(zero):
    """a: v (O, N, I); c: y (O, S, I), set to the sums. numbers: as for _take."""
    kind = type(zero)

    def work(a_base, b_base, c_base, numbers, part, parts):
        given = carray(pointer(numbers), (7,), np.int64)
        outer, size, n, inner, width = given[0], given[1], given[2], given[3], given[4]
        v, y = carray(pointer(a_base), (outer * n, inner), kind), carray(pointer(c_base), (outer * size, inner), kind)
        index = carray(pointer(given[5]), (outer * n, inner), np.int64)
        blocks = (inner + width - 1) // width
        units, wrong = outer * blocks, np.int64(0)
        packed = width < inner
        buffer = np.empty((size, width) if packed else (1, 1), kind)
        for unit in range(units * part // parts, units * (part + 1) // parts):
            o, k = unit // blocks, unit % blocks * width
            m = min(width, inner - k)
            sums = buffer if packed else y[o * size : (o + 1) * size]
            sums[:] = zero
            if inner == 1:
                line = carray(pointer(c_base + buffer.itemsize * o * size), (size,), kind)
                more = carray(pointer(a_base + buffer.itemsize * o * n), (n,), kind)
                at = carray(pointer(given[5] + 8 * o * n), (n,), np.int64)
                if _plain(at, size):
                    _add_runs(more, at, line)
                    continue
                for j in range(n):
                    i = _positive(at[j], size)
                    wrong |= _wrong(i, size)
                    line[_inside(i, size)] += more[j]
                continue
            for j in range(o * n, (o + 1) * n):
                more, at = v[j, k : k + m], index[j, k : k + m]
                for c in range(m):
                    i = _positive(at[c], size)
                    wrong |= _wrong(i, size)
                    sums[_inside(i, size), np.uint64(c)] += more[c]
            if packed:
                for r in range(size):
                    _copy(buffer[r, :m], y[o * size + r, k : k + m])
        if wrong < 0:
            carray(pointer(given[6]), (1,), np.int64)[0] = 1

    return work


def _along(worker, op, a, indices, y, axis, size):
    """One of the workers on a, for indices along this axis of so many places; IndexRangeError as _run."""
    indices = np.ascontiguousarray(indices, np.int64)
    axis, shape = axis % indices.ndim, indices.shape
    outer, inner, wrong = math.prod(shape[:axis]), math.prod(shape[axis + 1 :]), np.zeros(1, np.int64)
    width = min(inner, max(LEAST_COLUMNS, min(MOST_COLUMNS, BUFFER // size)))
    numbers = (outer, size, shape[axis], inner, width, indices.ctypes.data, wrong.ctypes.data)
    run(worker(a.dtype), a, a, y, numbers, alone=max(a.size, y.size) < PARALLEL_FROM, parts=2 * PARTS)
    if wrong[0]:
        raise IndexRangeError(
            f"{op}: indices must be from {-size} to {size - 1}: got {indices.min()} to {indices.max()}."
        )
    return y


def take_along_axis(x, indices, *, axis=-1):
    """y[o, j, i] = x[o, indices[o, j, i], i], the axis in the middle. x: contiguous."""
    return _along(_take, "take_along_axis", x, indices, np.empty(indices.shape, x.dtype), axis, x.shape[axis])


def add_along_axis(v, indices, *, axis, size):
    """Zeros with v[o, j, i] added at [o, indices[o, j, i], i]. y: as v with length `size` along the axis."""
    v = v if v.flags.carray else v.copy()
    shape = list(v.shape)
    shape[axis] = size
    return _along(_add, "add_along_axis", v, indices, np.empty(shape, v.dtype), axis, size)
