"""Dropout's choices on all threads, the very ones that NumPy's generator makes one by one: see philox.py."""

import math

import numpy as np
from llvmlite import ir
from numba import carray, types
from numba.extending import intrinsic, register_jitable

from .. import philox
from .threads import compiled, pointer, run

PARALLEL_FROM = 32_768  # elements


@intrinsic
def _high(typingctx, a, b):
    """The upper half of the product of two uint64: one instruction, which Numba has no name for."""

    def generate(context, builder, signature, values):
        wide = ir.IntType(128)
        product = builder.mul(*(builder.zext(v, wide) for v in values))
        return builder.trunc(builder.lshr(product, ir.Constant(wide, 64)), ir.IntType(64))

    return types.uint64(types.uint64, types.uint64), generate


@register_jitable
def _block(c0, c1, c2, c3, key0, key1):
    """The four numbers of 64 bits of one counter."""
    for _ in range(10):
        x, y = c0 * np.uint64(0xD2E7470EE14C6C93), c2 * np.uint64(0xCA5A826395121157)
        x_high, y_high = _high(c0, np.uint64(0xD2E7470EE14C6C93)), _high(c2, np.uint64(0xCA5A826395121157))
        c0, c1, c2, c3 = y_high ^ c1 ^ key0, y, x_high ^ c3 ^ key1, x
        key0, key1 = key0 + np.uint64(0x9E3779B97F4A7C15), key1 + np.uint64(0xBB67AE8584CAA73B)
    return c0, c1, c2, c3


@register_jitable
def _put(y, at, word, least, factor):
    """Two elements from the lower and the upper half of a number; of each half the upper 24 bits count."""
    y[at] = factor if (word >> np.uint64(8)) & np.uint64(0xFFFFFF) >= least else y.dtype.type(0)
    y[at + 1] = factor if word >> np.uint64(40) >= least else y.dtype.type(0)


@compiled
def _factors(zero):
    """a: y (8 blocks,); b: the factor (1,). numbers: blocks, the least word kept (of 24 bits), key (2), counter (4)."""
    kind = type(zero)

    def work(a_base, b_base, c_base, numbers, part, parts):
        blocks, given = carray(pointer(numbers), (8,), np.int64)[0], carray(pointer(numbers), (8,), np.uint64)
        y, factor = carray(pointer(a_base), (8 * blocks,), kind), carray(pointer(b_base), (1,), kind)[0]
        least, key0, key1 = given[1], given[2], given[3]
        for block in range(blocks * part // parts, blocks * (part + 1) // parts):
            c0 = given[4] + np.uint64(block) + np.uint64(1)
            c1 = given[5] + np.uint64(c0 < given[4])  # the carry; it goes on where all bits are 1
            c2 = given[6] + np.uint64(c1 < given[5])
            c3 = given[7] + np.uint64(c2 < given[6])
            w0, w1, w2, w3 = _block(c0, c1, c2, c3, key0, key1)
            at = 8 * block
            _put(y, at, w0, least, factor)
            _put(y, at + 2, w1, least, factor)
            _put(y, at + 4, w2, least, factor)
            _put(y, at + 6, w3, least, factor)

    return work


def factors(stream, shape, p, dtype):
    """An array of 0, with probability p, and 1 / (1 - p): the choices of ``stream.random(shape, float32) >= p`` for a
    NumPy generator over Philox, which is then where that call would leave it."""
    n, state = math.prod(shape), stream.bit_generator.state
    words = philox.waiting(state)
    least = math.ceil(float(np.float32(p)) * 2**24)  # the number is (word >> 8) 2**-24
    blocks = max(-(-(n - len(words)) // 8), 0)
    y, factor = np.empty(len(words) + 8 * blocks, dtype), np.array([1 / (1 - p)], dtype)
    y[: len(words)] = [factor[0] if word >> 8 >= least else 0 for word in words]
    numbers = (blocks, least, *philox.start(state))
    run(_factors(y.dtype), y[len(words) :], factor, factor, numbers, alone=n < PARALLEL_FROM)
    philox.advance(stream.bit_generator, state, len(words), n)
    return y[:n].reshape(shape)
