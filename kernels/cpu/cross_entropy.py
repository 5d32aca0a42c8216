"""Cross-entropy of class indices: the losses in one pass over the scores, their gradient in another.

No array of probabilities is kept; two numbers a row, the largest score and the logarithm of the sum, give them back.
"""

import numpy as np
from numba import carray
from numba.extending import register_jitable

from . import vectormath
from .threads import compiled, location, pointer, run

PARALLEL_FROM = 16_384  # elements
SPAN = 2_048  # numbers summed at once: the error grows with n / SPAN + SPAN / 16 additions

# Sums may be taken in another order (eight or sixteen partial sums, one for each lane); nothing else is relaxed.
_row_sum = register_jitable(error_model="numpy", fastmath={"contract", "reassoc", "nsz"})
_row = register_jitable(error_model="numpy", fastmath={"contract"})


@_row
def _largest(x):
    m = x[0]
    for j in range(x.size):
        m = vectormath.maximum(m, x[j])
    return m


@_row_sum
def _sum_of_exponentials(x, m):
    total = x.dtype.type(0)
    for j in range(x.size):
        total += vectormath.exp(x[j] - m)
    return total


@_row
def _softmax_times(x, top, log_total, g, dx):
    for j in range(x.size):
        dx[j] = g * vectormath.exp((x[j] - top) - log_total)


@_row
def _place(label, k, numbers):
    """The place of a label, -1 being the last; of one out of range 0, and numbers[3] becomes 1."""
    place = label + k if label < 0 else label
    if 0 <= place < k:
        return place
    numbers[3] = 1
    return 0


@compiled
def _losses(zero):
    """a: x (N, K); c: losses, largest scores, logarithms of the sums (3, N). numbers: N, K, the address of the labels
    (N,), 0, which becomes 1 where one is out of range."""
    kind = type(zero)

    def work(a_base, b_base, c_base, numbers, thread, threads):
        given = carray(pointer(numbers), (4,), np.int64)
        n, k = given[0], given[1]
        x, out = carray(pointer(a_base), (n, k), kind), carray(pointer(c_base), (3, n), kind)
        labels = carray(pointer(given[2]), (n,), np.int64)
        for i in range(n * thread // threads, n * (thread + 1) // threads):
            row = x[i]
            m = _largest(row)
            total = kind(0)
            for start in range(0, k, SPAN):
                total += _sum_of_exponentials(row[start : start + SPAN], m)
            log_total = vectormath.log(total)
            out[0, i] = log_total - (row[_place(labels[i], k, given)] - m)
            out[1, i] = m
            out[2, i] = log_total

    return work


@compiled
def _slopes(zero):
    """a: x (N, K); b: g, largest scores, logarithms (3, N); c: dx (N, K). numbers: as for _losses."""
    kind = type(zero)

    def work(a_base, b_base, c_base, numbers, thread, threads):
        given = carray(pointer(numbers), (4,), np.int64)
        n, k = given[0], given[1]
        x, dx = carray(pointer(a_base), (n, k), kind), carray(pointer(c_base), (n, k), kind)
        saved, labels = carray(pointer(b_base), (3, n), kind), carray(pointer(given[2]), (n,), np.int64)
        for i in range(n * thread // threads, n * (thread + 1) // threads):
            g = saved[0, i]
            _softmax_times(x[i], saved[1, i], saved[2, i], g, dx[i])
            dx[i, _place(labels[i], k, given)] -= g

    return work


def _launched(worker, a, b, c, labels):
    """Run a worker on all rows of a; IndexError for a label that is not from -K to K - 1."""
    labels = np.ascontiguousarray(labels, np.int64)
    n, k = a.shape
    numbers = np.array((n, k, location(labels), 0), np.int64)
    run(worker(a.dtype), a, b, c, numbers, alone=a.size < PARALLEL_FROM)
    if numbers[3]:
        raise IndexError(f"labels must be from 0 to K - 1 = {k - 1}: got {labels.min()} to {labels.max()}")


def cross_entropy(x, labels):
    """y = -log_softmax(x)[label]. x: (N, K), labels: (N,) -> the losses (N,), the largest scores (N, 1) and the
    logarithms of the sums of e**(x - largest) (N, 1)."""
    x = x if x.flags.carray else x.copy()
    out = np.empty((3, len(x), 1), x.dtype)
    _launched(_losses, x, out, out, labels)
    return out[0, :, 0], out[1], out[2]


def cross_entropy_backward(dy, x, labels, top, log_total):
    """dx = dy (e**(x - top - log_total) - onehot(label)). dy: (N,), x: (N, K), top, log_total: (N, 1)."""
    x = x if x.flags.carray else x.copy()
    saved, dx = np.empty((3, len(x)), x.dtype), np.empty(x.shape, x.dtype)
    saved[0], saved[1], saved[2] = dy, top[:, 0], log_total[:, 0]
    _launched(_slopes, x, saved, dx, labels)
    return dx
