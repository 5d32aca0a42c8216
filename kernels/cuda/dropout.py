"""Dropout's choices by counter: see dropout.cu."""

import math

from .launch import Source, ceil_div, device, flat

source = Source("dropout")


def dropout_mask(seed, *, shape, rate):
    *lead, rows, columns = shape
    matrices, seed = math.prod(lead), device().contiguous(seed.astype("int64", copy=False))
    y = device().empty(tuple(shape), "bool")
    arguments = (seed, y, matrices, rows, columns, round(rate * 2**32))
    source("dropout_mask", "float32")(*flat(matrices * rows * ceil_div(columns, 4)), arguments)
    return y
