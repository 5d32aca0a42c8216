"""Matrix product on our own register tile, in Numba's thread pool.

NumPy's threaded BLAS is not called: its workers keep spinning after the call and slow the next Numba region by 40 to
50 %. Small products pay for no packing: A is always read in place, through a table of offsets that also describes a
transpose, and B is copied to contiguous panels only if it is transposed or if many rows of A will walk over a B that
is wide in memory. Workspace: one panel of B for each thread, at most 512 x 64 numbers (128 KiB), and two tables of
offsets. The tile runs at the peak of the processor, so A is not packed: that would gain nothing.

Products with one to FEW rows on either side read a matrix once and are as fast as memory: they have workers of their
own, inner products where the matrix is stored along the summed axis, sums of its rows otherwise.
"""

import functools
import math

import numpy as np
from numba import carray
from numba.extending import register_jitable

from .outer import outer
from .threads import compiled, pointer, run
from .tiles import LANES, LONGEST_TILE, VECTORS, copy_block, lanes, multiply_block, transpose_block

PARALLEL_FROM = 200_000  # multiplications; below, waking the second thread costs more than it brings
PART = 40_000  # multiplications in a part of a job: a fifth of the smallest job, so that unequal units share out well
_DEPTH = 512  # rows of B in a panel: 128 KiB, which the second-level cache holds beside the rows of A
_BLOCK = 24  # rows of C in one unit of work: a multiple of every tile height
_WIDTH = {kind.bitwidth // 8: VECTORS * count for kind, count in LANES.items()}  # columns of a panel, by item size
_PACK_FROM_ROWS, _PACK_FROM_BYTES = 96, 262_144
FEW, FEW_FROM = 8, 64  # rows that are multiplied as vectors, from this length on
STREAM_PARALLEL_FROM = 32_768  # numbers of the matrix that such a product reads
BLOCKS = 8  # of rows with a sum of their own, whatever the number of threads


def filled(n, dtype):
    """What part of the lanes of its tiles n columns of C fill: of one, two or all vectors."""
    width = _WIDTH[dtype.itemsize]
    narrow = next((w for w in (width // VECTORS, 2 * width // VECTORS) if n <= w), width)
    return n / (-(-n // narrow) * narrow)


@register_jitable(error_model="numpy")
def _add(x, y):
    for j in range(x.size):
        y[j] += x[j]


@compiled
def _multiply(zero):
    """C = A @ B in units: a batch entry, a panel of columns, _BLOCK rows, the rows running fastest.

    numbers: the distances between matrices of a and b, 0 where one serves all; the sizes m, n, k; whether a and b are
    stored transposed; the number of units; the address of a row (n,) to be added to every row of C, or 0; whether
    B is copied to panels though it is in order.
    """

    kind = type(zero)

    def work(a_base, b_base, c_base, numbers, part, parts):
        given = carray(pointer(numbers), (10,), np.int64)
        a_batch, b_batch, m, n, k = given[0], given[1], given[2], given[3], given[4]
        a_transposed, b_transposed, all_units, row_base = given[5], given[6], given[7], given[8]
        first, last = all_units * part // parts, all_units * (part + 1) // parts
        width = VECTORS * lanes(zero)
        row_units, panels = (m + _BLOCK - 1) // _BLOCK, (n + width - 1) // width
        a_row, a_step = (1, m) if a_transposed else (k, 1)
        depth = min(k, _DEPTH)
        steps, rows = np.empty(depth, np.int64), np.empty(m + LONGEST_TILE, np.int64)
        for j in range(depth):
            steps[j] = j * a_step
        packed = np.empty(depth * width if b_transposed or given[9] else 1, kind)
        packed_base, size = packed.ctypes.data, packed.itemsize
        steps_base, rows_base = steps.ctypes.data, rows.ctypes.data
        filled = 0
        while first < last:
            entry, panel = first // row_units // panels, first // row_units % panels
            start = first % row_units
            units = min(last - first, row_units - start)
            top, left = start * _BLOCK, panel * width
            height, columns = min(m - top, units * _BLOCK), min(n - left, width)
            if height != filled:
                for i in range(height + LONGEST_TILE):
                    rows[i] = min(i, height - 1) * a_row
                filled = height
            for j in range(0, k, _DEPTH):
                deep = min(k - j, _DEPTH)
                if b_transposed:
                    panel_base, panel_stride = packed_base, width
                    source = b_base + size * (entry * b_batch + left * k + j)
                    transpose_block(zero, source, k, packed_base, width, columns, deep)
                elif given[9] and height >= _PACK_FROM_ROWS:
                    panel_base, panel_stride = packed_base, width
                    source = b_base + size * (entry * b_batch + j * n + left)
                    copy_block(zero, source, n, packed_base, width, deep, columns)
                else:
                    panel_base, panel_stride = b_base + size * (entry * b_batch + j * n + left), n
                multiply_block(
                    zero,
                    a_base + size * (entry * a_batch + top * a_row + j * a_step),
                    rows_base,
                    steps_base,
                    panel_base,
                    panel_stride,
                    c_base + size * ((entry * m + top) * n + left),
                    n,
                    height,
                    columns,
                    deep,
                    j,
                )
            if row_base:
                row = carray(pointer(row_base + size * left), (columns,), kind)
                for i in range(height):
                    _add(row, carray(pointer(c_base + size * ((entry * m + top + i) * n + left)), (columns,), kind))
            first += units
        packed[0], steps[0], rows[0] = zero, 0, 0  # alive until here: only their addresses were used

    return work


# ---- few rows --------------------------------------------------------------------------------------------------------
_sums = register_jitable(error_model="numpy", fastmath={"contract", "reassoc", "nsz"})


@_sums
def _dot(w, x):
    total = w.dtype.type(0)
    for j in range(w.size):
        total += w[j] * x[j]
    return total


@_sums
def _four_dots(w, x, y, z, u):
    a = b = c = d = w.dtype.type(0)
    for j in range(w.size):
        a += w[j] * x[j]
        b += w[j] * y[j]
        c += w[j] * z[j]
        d += w[j] * u[j]
    return a, b, c, d


@compiled
def _dots(zero):
    """a: W (n, k); b: x (m, k), m at most FEW; c: sum_k W[j, k] x[i, k]. numbers: m, n, k, steps in c along i and j."""
    kind = type(zero)

    def work(a_base, b_base, c_base, numbers, part, parts):
        given = carray(pointer(numbers), (5,), np.int64)
        m, n, k = given[0], given[1], given[2]
        w, x = carray(pointer(a_base), (n, k), kind), carray(pointer(b_base), (m, k), kind)
        c = carray(pointer(c_base), (m * n,), kind)
        for j in range(n * part // parts, n * (part + 1) // parts):
            if m == 1:
                c[j * given[4]] = _dot(w[j], x[0])
            else:
                for i in range(0, m, 4):
                    last = m - 1
                    four = _four_dots(w[j], x[i], x[min(i + 1, last)], x[min(i + 2, last)], x[min(i + 3, last)])
                    for r in range(min(4, m - i)):
                        c[(i + r) * given[3] + j * given[4]] = four[r]

    return work


@register_jitable(error_model="numpy", fastmath={"contract"})
def _add_four(w, x, total):
    for j in range(total.size):
        total[j] += x[0] * w[0, j] + x[1] * w[1, j] + x[2] * w[2, j] + x[3] * w[3, j]


@register_jitable(error_model="numpy", fastmath={"contract"})
def _add_scaled(w, x, total):
    for j in range(total.size):
        total[j] += x * w[j]


@compiled
def _rows_sum(zero):
    """a: W (k, n); b: x (k,); c: sums of blocks of the rows x[i] W[i] (blocks, n). numbers: n, k, blocks."""
    kind = type(zero)

    def work(a_base, b_base, c_base, numbers, part, parts):
        given = carray(pointer(numbers), (3,), np.int64)
        n, k, blocks = given[0], given[1], given[2]
        w, x = carray(pointer(a_base), (k, n), kind), carray(pointer(b_base), (k,), kind)
        c = carray(pointer(c_base), (blocks, n), kind)
        for block in range(blocks * part // parts, blocks * (part + 1) // parts):
            i, last, total = k * block // blocks, k * (block + 1) // blocks, c[block]
            total[:] = zero
            while i + 4 <= last:
                _add_four(w[i : i + 4], x[i : i + 4], total)
                i += 4
            while i < last:
                _add_scaled(w[i], x[i], total)
                i += 1

    return work


def _few(a, b, a_transposed, b_transposed, shape, m, n, k):
    """C where one side has few rows, or None where the tile is as good. a, b: matrices in memory order."""
    if m <= FEW and b_transposed and not a_transposed:
        w, x, rows, columns, steps = b, a, m, n, (n, 1)
    elif n <= FEW and not a_transposed and (n == 1 or b_transposed):
        w, x, rows, columns, steps = a, b, n, m, (1, n)
    elif (m == 1 and not b_transposed) or (n == 1 and a_transposed):
        w, x, size = (b, a, n) if m == 1 else (a, b, m)
        alone = w.size < STREAM_PARALLEL_FROM
        blocks = 1 if alone else min(BLOCKS, k)
        c = np.empty((blocks, size), a.dtype)
        run(_rows_sum(a.dtype), w, x, c, (size, k, blocks), alone=alone, parts=blocks)
        return (c.sum(axis=0) if blocks > 1 else c).reshape(shape)
    else:
        return None
    c = np.empty(shape, a.dtype)
    alone = w.size < STREAM_PARALLEL_FROM
    run(_dots(a.dtype), w, x, c, (rows, columns, k, *steps), alone=alone, parts=min(8, columns))
    return c


# ---- the product -----------------------------------------------------------------------------------------------------
def _in_order(x):
    """(x or its transpose or a copy, in C order; is it the transpose)."""
    if x.flags.carray:
        return x, False
    transpose = x.swapaxes(-1, -2)
    return (transpose, True) if transpose.flags.carray else (x.copy(), False)


def _product(a, b, shape, a_batch, b_batch, batch, m, n, k, row=None):
    """C of the given shape; a, b: stacks of matrices (..., m, k), (..., k, n); row: (n,), added to each row of C."""
    if not (batch and m and n and k):
        return np.zeros(shape, a.dtype)
    a, a_transposed = _in_order(a)
    b, b_transposed = _in_order(b)
    if k == 1 and row is None:
        return outer(a, b, shape, a_batch, b_batch, batch, m, n)
    if batch == 1 and k >= FEW_FROM and (m <= FEW or n <= FEW):
        c = _few(a, b, a_transposed, b_transposed, shape, m, n, k)
        if c is not None:
            return c if row is None else np.add(c, row, out=c)
    c = np.empty(shape, a.dtype)
    row_base = 0 if row is None else row.ctypes.data
    numbers, parts = _plan(a.itemsize, a_batch, b_batch, batch, m, n, k, a_transposed, b_transposed, row_base)
    run(_multiply(a.dtype), a, b, c, numbers, alone=batch * m * n * k < PARALLEL_FROM, parts=parts)
    return c


@functools.lru_cache(maxsize=1024)
def _plan(size, a_batch, b_batch, batch, m, n, k, a_transposed, b_transposed, row_base):
    """The numbers for _multiply, and the number of parts."""
    row_units, panels = -(-m // _BLOCK), -(-n // _WIDTH[size])
    packs = b_transposed or (m >= _PACK_FROM_ROWS and min(k, _DEPTH) * n * size >= _PACK_FROM_BYTES and panels > 1)
    work = batch * m * n * k
    # Whole panels, so that each is packed once, or pieces of them; more than there are threads, for whoever is free.
    parts = batch * panels
    if parts < 8:
        parts *= max(1, min(8 // parts, -(-m // _PACK_FROM_ROWS) if packs else row_units, work // (parts * PART)))
    units = batch * panels * row_units
    numbers = (a_batch, b_batch, m, n, k, a_transposed, b_transposed, units, row_base, packs)
    return np.array(numbers, np.int64), min(parts, 64)


def matmul(a, b):
    """C = A @ B. a: (..., M, K), b: (..., K, N), leading axes broadcast -> (..., M, N); of one float type."""
    if a.ndim == 1:
        return matmul(a[None], b)[..., 0, :]
    if b.ndim == 1:
        return matmul(a, b[:, None])[..., 0]
    m, k, n = a.shape[-2], a.shape[-1], b.shape[-1]
    if b.ndim == 2:
        if a.ndim == 2:
            return _product(a, b, (m, n), 0, 0, 1, m, n, k)
        shape = (*a.shape[:-1], n)
        rows = a.size // k if k else 0
        return _product(a.reshape(rows, k), b, shape, 0, 0, 1, rows, n, k)  # (... * M, K) @ (K, N)
    stack = np.broadcast_shapes(a.shape[:-2], b.shape[:-2])
    batch = math.prod(stack)
    # A single matrix is used in place for the whole stack; other broadcasting makes its copies.
    if a.size != m * k and a.shape[:-2] != stack:
        a = np.broadcast_to(a, (*stack, m, k))
    if b.size != k * n and b.shape[:-2] != stack:
        b = np.broadcast_to(b, (*stack, k, n))
    a_batch, b_batch = (m * k if a.size != m * k else 0), (k * n if b.size != k * n else 0)
    return _product(a, b, (*stack, m, n), a_batch, b_batch, batch, m, n, k)


def linear(x, weight, bias=None):
    """y = x @ weight.T + bias. x: (..., K), weight: (N, K), bias: (N,) -> (..., N); of one float type."""
    n, k = weight.shape
    rows = x.size // k
    bias = bias if bias is None or bias.flags.c_contiguous else bias.copy()
    return _product(x.reshape(rows, k), weight.T, (*x.shape[:-1], n), 0, 0, 1, rows, n, k, bias)
