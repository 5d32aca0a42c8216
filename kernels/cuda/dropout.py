"""Dropout's choices by counter: see dropout.cu."""

import math

import numpy as np

from .. import philox
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
    words = philox.waiting(state)
    y = device().empty(tuple(shape), dtype)
    before = table(_array, *words) if words else None
    arguments = (y, before, len(words), n, *philox.start(state), float(p), 1 / (1 - p))
    source("dropout_factors", dtype)(*flat(max(ceil_div(n, 8), len(words))), arguments)
    philox.advance(stream.bit_generator, state, len(words), n)
    return y


def _array(*words):
    return np.array(words, np.int64)
