"""Places in sorted arrays: some values at once go through the same steps of a binary search, none of which branches."""

import math

import numpy as np
from numba import carray
from numba.extending import register_jitable

from .threads import compiled, pointer, run

PARALLEL_FROM = 4_096  # values
TOGETHER = 16  # values
PARTS = 8


@register_jitable(error_model="numpy")
def _below(v, w):
    """Does v stand before w? NaN counts as the largest."""
    return (v < w) | ((w != w) & (v == v))


@compiled
def _searched(zero):
    """a: edges (R, n) in order; b: values (R, m). numbers: R, n, m, 1 for the places behind equal edges, the address
    of the places (R, m), int64."""
    kind, size = type(zero), zero.itemsize

    def work(a_base, b_base, c_base, numbers, part, parts):
        given = carray(pointer(numbers), (5,), np.int64)
        n, m, behind = given[1], given[2], given[3] == 1
        values, places = np.zeros(TOGETHER, kind), np.empty(TOGETHER, np.uint64)
        i, stop = given[0] * m * part // parts, given[0] * m * (part + 1) // parts
        while i < stop:
            row = i // m
            count = min(TOGETHER, stop - i, (row + 1) * m - i)
            edges = carray(pointer(a_base + size * row * n), (n,), kind)
            given_values = carray(pointer(b_base + size * i), (count,), kind)
            out = carray(pointer(given[4] + 8 * i), (count,), np.int64)
            for j in range(count):
                values[j] = given_values[j]
            for j in range(TOGETHER):
                places[j] = 0
            length = n  # the place is among this many edges from `places` on, or behind them
            while length > 0:
                half = length - length // 2
                for j in range(TOGETHER):
                    edge = edges[places[j] + np.uint64(half - 1)]
                    passed = not _below(values[j], edge) if behind else _below(edge, values[j])
                    places[j] += np.uint64(half if passed else 0)
                length -= half
            for j in range(count):
                out[j] = places[j]
            i += count

    return work


def searchsorted(edges, values, *, side="left"):
    """The number of edges below each value, for side="right" of those not above it. edges: (n,), or (..., n) for values
    (..., m)."""
    edges, values = (x if x.flags.carray else x.copy() for x in (edges, values))
    places, rows = np.empty(values.shape, np.int64), math.prod(edges.shape[:-1])
    numbers = (rows, edges.shape[-1], values.size // rows, side == "right", places.ctypes.data)
    run(_searched(values.dtype), edges, values, values, numbers, alone=values.size < PARALLEL_FROM, parts=PARTS)
    places[:0] = 0  # alive until here: only its address was used
    return places
