"""Softmax and log-softmax with their gradients: one pass over memory, the row in between stays in cache.

The kernels work on contiguous rows: along an axis that is not the last, a few columns at a time are turned into rows.
float32 and float64, any shape. A row that holds NaN or +inf, or only -inf, gives NaN, as in PyTorch.
"""

import math

import numpy as np
from numba import njit, prange
from numba.extending import register_jitable

from . import vectormath
from .tiles import transpose_block

PARALLEL_FROM = 16_384  # elements
CHUNK = 8_192  # elements a task (whole rows)
COLUMNS = 32
SPAN = 2_048

# register_jitable keeps a plain function, found by its name: the disk cache of a closure over it works, over an njit
# not.
_row = register_jitable(error_model="numpy", fastmath={"contract"})
# Sums may be taken in another order (eight or sixteen partial sums, one for each lane); nothing else is relaxed.
_row_sum = register_jitable(error_model="numpy", fastmath={"contract", "reassoc", "nsz"})


@_row
def _largest(x):
    m = x[0]
    for j in range(x.size):
        m = vectormath.maximum(m, x[j])
    return m


@_row_sum
def _exponentials(x, m, y):
    """y = exp(x - m); the sum of y."""
    total = x.dtype.type(0)
    for j in range(x.size):
        e = vectormath.exp(x[j] - m)
        y[j] = e
        total += e
    return total


@_row_sum
def _dot(x, y):
    total = x.dtype.type(0)
    for j in range(x.size):
        total += x[j] * y[j]
    return total


@_row_sum
def _sum(x):
    total = x.dtype.type(0)
    for j in range(x.size):
        total += x[j]
    return total


# Long rows are summed in spans: the error grows with n / SPAN + SPAN / 16 additions, not with n. Slices, not offsets:
# an index that might be negative costs Numba a select, and the loop its vectors.
@_row
def _softmax(x, _, y):
    # shift by the max: exp overflows above ~88 in float32. All -inf: -inf - -inf is NaN, and stays.
    m, total = _largest(x), x.dtype.type(0)
    for start in range(0, x.size, SPAN):
        total += _exponentials(x[start : start + SPAN], m, y[start : start + SPAN])
    scale = x.dtype.type(1) / total
    for j in range(x.size):
        y[j] *= scale


@_row
def _log_softmax(x, _, y):
    m, total = _largest(x), x.dtype.type(0)
    for start in range(0, x.size, SPAN):
        total += _exponentials(x[start : start + SPAN], m, y[start : start + SPAN])
    log_total = vectormath.log(total)
    for j in range(x.size):
        y[j] = (x[j] - m) - log_total  # m + log_total would round away the small part


@_row
def _softmax_slope(g, y, dx):
    mean = g.dtype.type(0)
    for start in range(0, g.size, SPAN):
        mean += _dot(g[start : start + SPAN], y[start : start + SPAN])
    for j in range(g.size):
        dx[j] = y[j] * (g[j] - mean)


@_row
def _log_softmax_slope(g, y, dx):
    total = g.dtype.type(0)
    for start in range(0, g.size, SPAN):
        total += _sum(g[start : start + SPAN])
    for j in range(g.size):
        dx[j] = g[j] - vectormath.exp(y[j]) * total


def _along_axis(kernel):
    """The launcher of kernel(row of a, row of b, row of out) for all rows along an axis of two arrays of one shape."""

    @njit(cache=True, nogil=True, error_model="numpy")
    def serial(a, b, out):  # (rows, n)
        for i in range(a.shape[0]):
            kernel(a[i], b[i], out[i])

    @njit(cache=True, nogil=True, error_model="numpy", parallel=True)
    def parallel(a, b, out, rows):  # (rows, n)
        for chunk in prange((a.shape[0] + rows - 1) // rows):
            for i in range(chunk * rows, min(a.shape[0], (chunk + 1) * rows)):
                kernel(a[i], b[i], out[i])

    @njit(cache=True, nogil=True, error_model="numpy", parallel=True)
    def columns(a, b, out):  # (outer, n, inner)
        _, n, inner = a.shape
        blocks = (inner + COLUMNS - 1) // COLUMNS
        for block in prange(a.shape[0] * blocks):
            task = np.int64(block)  # prange counts in uint64, which with int64 makes float64
            outer, start = task // blocks, task % blocks * COLUMNS
            count = min(COLUMNS, inner - start)
            lines = np.empty((3, COLUMNS, n), a.dtype)  # columns turned into rows, a few at a time
            zero, base, step = lines[0, 0, 0], lines.ctypes.data, a.itemsize * COLUMNS * n
            offset = a.itemsize * (outer * n * inner + start)
            transpose_block(zero, a.ctypes.data + offset, inner, base, n, n, count)
            transpose_block(zero, b.ctypes.data + offset, inner, base + step, n, n, count)
            for c in range(count):
                kernel(lines[0, c], lines[1, c], lines[2, c])
            transpose_block(zero, base + 2 * step, n, out.ctypes.data + offset, inner, count, n)
            lines[0, 0, 0] = zero  # alive until here: only its address was used

    def launch(a, b, axis):
        a = a if a.flags.carray else a.copy()
        b = b if b.flags.carray else b.copy()
        out = np.empty_like(a)
        if not out.size:
            return out
        n = a.shape[axis] if a.ndim else 1
        if axis not in (-1, a.ndim - 1):
            shape = (-1, n, math.prod(a.shape[axis % a.ndim + 1 :]))
            columns(a.reshape(shape), b.reshape(shape), out.reshape(shape))
        elif a.size < PARALLEL_FROM:
            serial(a.reshape(-1, n), b.reshape(-1, n), out.reshape(-1, n))
        else:
            parallel(a.reshape(-1, n), b.reshape(-1, n), out.reshape(-1, n), max(1, CHUNK // n))
        return out

    return launch


_softmax_rows, _log_softmax_rows = _along_axis(_softmax), _along_axis(_log_softmax)
_softmax_slope_rows, _log_softmax_slope_rows = _along_axis(_softmax_slope), _along_axis(_log_softmax_slope)


def softmax(x, *, axis):
    """y = exp(x - max x) / sum exp(x - max x) along `axis`. x: any shape, float32 or float64."""
    return _softmax_rows(x, x, axis)


def log_softmax(x, *, axis):
    """y = (x - max x) - log sum exp(x - max x) along `axis`."""
    return _log_softmax_rows(x, x, axis)


def softmax_backward(g, y, *, axis):
    """dx = y (g - sum g y), y the softmax."""
    return _softmax_slope_rows(g, y, axis)


def log_softmax_backward(g, y, *, axis):
    """dx = g - exp(y) sum g, y the log-softmax."""
    return _log_softmax_slope_rows(g, y, axis)
