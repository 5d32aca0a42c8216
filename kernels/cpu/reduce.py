"""Sums over the leading axes of an array, and over all axes but the channels': the gradients of biases.

Numbers are added in blocks that do not depend on the number of threads.
"""

import math

import numpy as np
from numba import carray
from numba.extending import register_jitable

from .threads import compiled, pointer, run

PARALLEL_FROM = 32_768  # elements
BLOCKS = 16  # of rows, each with its own sums
WIDTH = 256  # narrow rows are summed several side by side
SPAN, IMAGES = 2_048, 32  # summed at once: the error grows with the larger of the three counts, not their product

_row_sum = register_jitable(error_model="numpy", fastmath={"contract", "reassoc", "nsz"})


@_row_sum
def _sum(x):
    total = x.dtype.type(0)
    for j in range(x.size):
        total += x[j]
    return total


@register_jitable(error_model="numpy")
def _add(x, total):
    for j in range(x.size):
        total[j] += x[j]


@compiled
def _rows(zero):
    """a: x (N, C); c: sums of blocks of rows (blocks, C). numbers: N, C, blocks."""
    kind = type(zero)

    def work(a_base, b_base, c_base, numbers, thread, threads):
        given = carray(pointer(numbers), (3,), np.int64)
        n, size, blocks = given[0], given[1], given[2]
        x, out = carray(pointer(a_base), (n, size), kind), carray(pointer(c_base), (blocks, size), kind)
        for block in range(blocks * thread // threads, blocks * (thread + 1) // threads):
            out[block, :] = kind(0)
            for i in range(n * block // blocks, n * (block + 1) // blocks):
                _add(x[i], out[block])

    return work


@compiled
def _channels(zero):
    """a: x (B, C, S); c: sums (C,). numbers: B, C, S."""
    kind = type(zero)

    def work(a_base, b_base, c_base, numbers, thread, threads):
        given = carray(pointer(numbers), (3,), np.int64)
        n, channels, size = given[0], given[1], given[2]
        x, out = carray(pointer(a_base), (n, channels, size), kind), carray(pointer(c_base), (channels,), kind)
        for c in range(channels * thread // threads, channels * (thread + 1) // threads):
            total = kind(0)
            for first in range(0, n, IMAGES):
                part = kind(0)
                for b in range(first, min(n, first + IMAGES)):
                    for start in range(0, size, SPAN):
                        part += _sum(x[b, c, start : min(size, start + SPAN)])
                total += part
            out[c] = total

    return work


def leading(x, axes):
    """The sum of contiguous x over its first `axes` axes, flat."""
    size = math.prod(x.shape[axes:])
    n = x.size // size
    alone = x.size < PARALLEL_FROM
    side = max(1, min(WIDTH // size, n // 8))  # rows side by side
    long = n // side  # of the longer rows
    blocks = 1 if alone else min(BLOCKS, long)
    out = np.empty((blocks, side * size), x.dtype)
    run(_rows(x.dtype), x, out, out, (long, side * size, blocks), alone=alone)
    total = out.sum(axis=0) if blocks > 1 else out[0]
    if side > 1:
        total = total.reshape(side, size).sum(axis=0)
        if n % side:
            total += x.reshape(n, size)[long * side :].sum(axis=0)
    return total


def channels(x):
    """The sum of contiguous x (B, C, ...) over all axes but axis 1: (C,)."""
    n, count = x.shape[:2]
    out = np.empty(count, x.dtype)
    run(_channels(x.dtype), x, out, out, (n, count, x.size // (n * count)), alone=x.size < PARALLEL_FROM)
    return out


def sum(x, *, axis=None, keepdims=False):
    """y = the sum over the leading axes, or all but axis 1. x: contiguous, float32 or float64."""
    axes = (axis,) if isinstance(axis, int) else axis
    axes = sorted(a % x.ndim for a in axes)
    y = leading(x, len(axes)) if axes[-1] == len(axes) - 1 else channels(x)
    return y.reshape([1 if i in axes else n for i, n in enumerate(x.shape) if keepdims or i not in axes])


def sum_to(x, *, shape):
    """x summed to `shape`, which broadcasts to it along leading axes, or is one number a channel."""
    padded = (1,) * (x.ndim - len(shape)) + tuple(shape)
    axes = [i for i, n in enumerate(padded) if n != x.shape[i]]
    y = leading(x, len(axes)) if axes[-1] == len(axes) - 1 else channels(x)
    return y.reshape(shape)
