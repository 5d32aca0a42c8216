"""Dropout's choices by counter: see dropout.cu."""

import math

import numpy as np

from .launch import Source, ceil_div, device, flat, table

source = Source("dropout")


def dropout_mask(seed, *, shape, rate):
    *lead, rows, columns = shape
    matrices, seed = math.prod(lead), device().contiguous(seed.astype("int64", copy=False))
    y = device().empty(tuple(shape), "bool")
    arguments = (seed, y, matrices, rows, columns, round(rate * 2**32))
    source("dropout_mask", "float32")(*flat(matrices * rows * ceil_div(columns, 4)), arguments)
    return y


def factors(stream, shape, p, dtype):
    """An array of 0, with probability p, and 1 / (1 - p): the choices of ``stream.random(shape, float32) >= p`` for a
    NumPy generator over Philox, which is then where that call would leave it."""
    n, state = math.prod(shape), stream.bit_generator.state
    words = _waiting(state)
    counter, key = state["state"]["counter"], state["state"]["key"]
    y = device().empty(tuple(shape), dtype)
    signed = [int(v) for v in np.concatenate([key, counter]).astype(np.uint64).view(np.int64)]
    arguments = (y, table(_array, *words) if words else None, len(words), n, *signed, float(p), 1 / (1 - p))
    source("dropout_factors", dtype)(*flat(max(ceil_div(n, 8), len(words))), arguments)
    _advance(stream.bit_generator, state, len(words), n)
    return y


def _array(*words):
    return np.array(words, np.int64)


def _waiting(state):
    """The words of 32 bits that the generator has made and not given out."""
    words = [int(state["uinteger"])] if state["has_uint32"] else []
    for value in state["buffer"][state["buffer_pos"] :]:
        words += [int(value) & 0xFFFFFFFF, int(value) >> 32]
    return words


def _advance(generator, state, waiting, n):
    """Leave the generator where n numbers of 32 bits would."""
    if n < waiting:  # few: draw them
        np.random.Generator(generator).random(n, np.float32)
        return
    whole = ceil_div(n - waiting, 2)  # numbers of 64 bits
    state["has_uint32"], state["buffer_pos"] = 0, 4
    if whole:
        blocks = (whole - 1) // 4  # of which nothing is left
        counter = sum(int(v) << 64 * i for i, v in enumerate(state["state"]["counter"])) + blocks
        state["state"]["counter"] = np.array([counter >> 64 * i & 2**64 - 1 for i in range(4)], np.uint64)
    generator.state = state
    if whole:
        last = int(generator.random_raw(whole - 4 * blocks)[-1])
        state = generator.state
        state["has_uint32"], state["uinteger"] = (n - waiting) % 2, last >> 32
        generator.state = state
