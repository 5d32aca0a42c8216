"""The distances of all rows of one matrix from all rows of another, without the array of their differences.

The rows of b stand as columns, so that one coordinate of a row of a meets that of many rows of b in vectors; the sums
of BLOCK distances stay in the cache meanwhile.
"""

import math

import numpy as np
from numba import carray

from .threads import compiled, pointer, run
from .vectormath import maximum

PARALLEL_FROM = 32_768  # differences
BLOCK = 512  # distances
PARTS = 16


@compiled
def _distances(zero):
    """a: x (O, M, D); b: y (O, D, N); c: d (O, M, N). numbers: O, M, D, N, p: 1, 2, or 0 for the largest."""
    kind, size = type(zero), zero.itemsize

    def work(a_base, b_base, c_base, numbers, part, parts):
        given = carray(pointer(numbers), (5,), np.int64)
        rows, width, n, p = given[1], given[2], given[3], given[4]
        x = carray(pointer(a_base), (given[0] * rows, width), kind)
        for row in range(given[0] * rows * part // parts, given[0] * rows * (part + 1) // parts):
            columns = b_base + size * (row // rows * width * n)
            for start in range(0, n, BLOCK):
                m = min(BLOCK, n - start)
                d = carray(pointer(c_base + size * (row * n + start)), (m,), kind)
                for j in range(m):
                    d[j] = zero
                k = 0
                while k < width:
                    u, y = x[row, k], carray(pointer(columns + size * (k * n + start)), (m,), kind)
                    if p == 2 and k + 2 < width:  # three coordinates at once: the sums are read and written less often
                        v, w = x[row, k + 1], x[row, k + 2]
                        y1 = carray(pointer(columns + size * ((k + 1) * n + start)), (m,), kind)
                        y2 = carray(pointer(columns + size * ((k + 2) * n + start)), (m,), kind)
                        for j in range(m):
                            r, s, t = u - y[j], v - y1[j], w - y2[j]
                            d[j] += r * r + s * s + t * t
                        k += 2
                    elif p == 2:
                        for j in range(m):
                            d[j] += (u - y[j]) * (u - y[j])
                    elif p == 1:
                        for j in range(m):
                            d[j] += abs(u - y[j])
                    else:
                        for j in range(m):
                            d[j] = maximum(d[j], abs(u - y[j]))
                    k += 1
                if p == 2:
                    for j in range(m):
                        d[j] = math.sqrt(d[j])

    return work


def cdist(a, b, *, order=2.0):
    """d[..., i, j]: the distance of a[..., i, :] from b[..., j, :] for the orders 1, 2 and infinity."""
    lead = np.broadcast_shapes(a.shape[:-2], b.shape[:-2])
    a = np.ascontiguousarray(np.broadcast_to(a, (*lead, *a.shape[-2:])))
    b = np.ascontiguousarray(np.broadcast_to(b.swapaxes(-1, -2), (*lead, b.shape[-1], b.shape[-2])))  # (..., D, N)
    d = np.empty((*a.shape[:-1], b.shape[-1]), a.dtype)
    numbers = (math.prod(lead), a.shape[-2], a.shape[-1], b.shape[-1], 0 if order == math.inf else int(order))
    a, b = (v if v.flags.writeable else v.copy() for v in (a, b))
    run(_distances(a.dtype), a, b, d, numbers, alone=d.size * a.shape[-1] < PARALLEL_FROM, parts=PARTS)
    return d
