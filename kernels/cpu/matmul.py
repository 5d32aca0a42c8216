"""Matrix product on our own register tile, in Numba's thread pool.

NumPy's threaded BLAS is not called: its workers keep spinning after the call and slow the next Numba region by 40 to
50 %. Small products pay for no packing: A is always read in place, through a table of offsets that also describes a
transpose, and B is copied to contiguous panels only if it is transposed or if many rows of A will walk over a B that
is wide in memory. Workspace: one panel of B for each thread, at most 512 x 64 numbers (128 KiB), and two tables of
offsets.
"""

import math

import numpy as np
from numba import carray
from numba.extending import register_jitable

from .threads import compiled, pointer, run
from .tiles import LANES, LONGEST_TILE, VECTORS, copy_block, lanes, multiply_block, transpose_block

PARALLEL_FROM = 400_000  # multiplications; below, waking the second thread costs more than it brings
_DEPTH = 512  # rows of B in a panel: 128 KiB, which the second-level cache holds beside the rows of A
_BLOCK = 24  # rows of C in one unit of work: a multiple of every tile height
_WIDTH = {kind.bitwidth // 8: VECTORS * count for kind, count in LANES.items()}  # columns of a panel, by item size
_PACK_FROM_ROWS, _PACK_FROM_BYTES = 96, 262_144


@register_jitable(error_model="numpy")
def _add(x, y):
    for j in range(x.size):
        y[j] += x[j]


@compiled
def _multiply(zero):
    """C = A @ B in units: a batch entry, a panel of columns, _BLOCK rows, the rows running fastest.

    numbers: the distances between matrices of a and b, 0 where one serves all; the sizes m, n, k; whether a and b are
    stored transposed; the number of units; the address of a row (n,) to be added to every row of C, or 0.
    """

    kind = type(zero)

    def work(a_base, b_base, c_base, numbers, thread, threads):
        given = carray(pointer(numbers), (9,), np.int64)
        a_batch, b_batch, m, n, k = given[0], given[1], given[2], given[3], given[4]
        a_transposed, b_transposed, all_units, row_base = given[5], given[6], given[7], given[8]
        first, last = all_units * thread // threads, all_units * (thread + 1) // threads
        width = VECTORS * lanes(zero)
        row_units, panels = (m + _BLOCK - 1) // _BLOCK, (n + width - 1) // width
        a_row, a_step = (1, m) if a_transposed else (k, 1)
        depth = min(k, _DEPTH)
        steps, rows = np.empty(depth, np.int64), np.empty(m + LONGEST_TILE, np.int64)
        for j in range(depth):
            steps[j] = j * a_step
        packed = np.empty(depth * width, kind)
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
                elif height >= _PACK_FROM_ROWS and deep * n * size >= _PACK_FROM_BYTES and n > width:
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
    c = np.empty(shape, a.dtype)
    units = batch * ((m + _BLOCK - 1) // _BLOCK) * ((n + _WIDTH[a.itemsize] - 1) // _WIDTH[a.itemsize])
    row_base = 0 if row is None else row.ctypes.data
    numbers = (a_batch, b_batch, m, n, k, a_transposed, b_transposed, units, row_base)
    run(_multiply(a.dtype), a, b, c, numbers, alone=batch * m * n * k < PARALLEL_FROM)
    return c


def matmul(a, b):
    """C = A @ B. a: (..., M, K), b: (..., K, N), leading axes broadcast -> (..., M, N); of one float type."""
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
    if a.size != m * k:
        a = np.broadcast_to(a, (*stack, m, k))
    if b.size != k * n:
        b = np.broadcast_to(b, (*stack, k, n))
    a_batch, b_batch = (m * k if a.size != m * k else 0), (k * n if b.size != k * n else 0)
    return _product(a, b, (*stack, m, n), a_batch, b_batch, batch, m, n, k)


def linear(x, weight, bias=None):
    """y = x @ weight.T + bias. x: (..., K), weight: (N, K), bias: (N,) -> (..., N); of one float type."""
    n, k = weight.shape
    rows = x.size // k
    bias = bias if bias is None or bias.flags.c_contiguous else bias.copy()
    return _product(x.reshape(rows, k), weight.T, (*x.shape[:-1], n), 0, 0, 1, rows, n, k, bias)
