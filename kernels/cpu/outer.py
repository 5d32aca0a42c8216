"""Products of columns and rows, (..., M, 1) @ (..., 1, N): each number of the result is one product, written once.

The result is many times larger than what it is made of, so writing it is all there is to do: per-sample gradients of a
weight are such products, g x^T of each sample. One that no cache holds is written past the caches, in stores that do
not read first what they overwrite.
"""

import numpy as np
from llvmlite import ir
from numba import carray, types
from numba.extending import intrinsic

from .threads import compiled, pointer, run
from .tiles import LANES, lanes
from .vectors import first, load, splat, store

PARALLEL_FROM = 32_768  # numbers of the result
PART = 262_144  # numbers in a part of a job
STREAM_FROM = 32 << 20  # bytes of the result


@intrinsic
def stream(typingctx, vector, address):
    """Write the vector past the caches; the address is a multiple of its size."""

    def codegen(context, builder, signature, arguments):
        number = vector.dtype
        scalar = {32: ir.FloatType(), 64: ir.DoubleType()}[number.bitwidth]
        kind = ir.VectorType(scalar, LANES[number])
        written = builder.store(arguments[0], builder.inttoptr(arguments[1], kind.as_pointer()))
        written.align = LANES[number] * number.bitwidth // 8
        written.set_metadata("nontemporal", builder.module.add_metadata([ir.Constant(ir.IntType(32), 1)]))
        return context.get_dummy_value()

    return types.void(vector, types.int64), codegen


@intrinsic
def settle(typingctx):
    """Other threads see all that was streamed before."""

    def codegen(context, builder, signature, arguments):
        builder.fence("seq_cst")
        return context.get_dummy_value()

    return types.void(), codegen


@compiled
def _outer(zero):
    """c[e, i] = a[e, i] b[e]; a: (E, M), b: (E, N), c: (E, M, N). numbers: M, N, E, the distances between entries of a
    and of b, 0 where one serves all, and whether c is streamed."""
    kind, size = type(zero), zero.itemsize

    def work(a_base, b_base, c_base, numbers, part, parts):
        given = carray(pointer(numbers), (6,), np.int64)
        m, n, rows, width, streams = given[0], given[1], given[0] * given[2], lanes(zero), given[5]
        for r in range(rows * part // parts, rows * (part + 1) // parts):
            entry = r // m
            x = splat(zero, carray(pointer(a_base + size * (entry * given[3] + r - entry * m)), (1,), kind)[0])
            row, to, j = b_base + size * entry * given[4], c_base + size * r * n, 0
            if streams:
                j = min(n, -to % (size * width) // size)  # up to where a vector is aligned
                store(x * load(zero, row, first(zero, j), 0.0), to, first(zero, j))
                while j + width <= n:
                    stream(x * load(zero, row + size * j), to + size * j)
                    j += width
            while j + width <= n:
                store(x * load(zero, row + size * j), to + size * j)
                j += width
            if j < n:
                keep = first(zero, n - j)
                store(x * load(zero, row + size * j, keep, 0.0), to + size * j, keep)
        if streams:
            settle()

    return work


def outer(a, b, shape, a_batch, b_batch, batch, m, n):
    """C of the given shape from stacks of columns and of rows, in C order; a_batch, b_batch: numbers from one entry to
    the next, 0 where one serves all; batch: entries of C."""
    c = np.empty(shape, a.dtype)
    parts = max(2, min(64, c.size // PART))
    numbers = (m, n, batch, a_batch, b_batch, c.nbytes >= STREAM_FROM)
    run(_outer(a.dtype), a, b, c, numbers, alone=c.size < PARALLEL_FROM, parts=parts)
    return c
