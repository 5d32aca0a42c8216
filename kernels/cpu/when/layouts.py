"""How the operands of an elementwise kernel lie in memory: runs, and the steps from one to the next."""

import functools
import math
from typing import NamedTuple

import numpy as np

_RUN = 32  # the shortest run that pays where shapes broadcast
_BLOCK = 1_024  # elements of the buffer for a number that repeats along a run
LEVELS = 3  # pitches with which the runs of an input may follow each other
READS = 3 + 3 * LEVELS  # numbers of a layout for each input


@functools.lru_cache(maxsize=4096)
def contiguous(size, inputs):
    """The numbers of the layout of so many contiguous inputs of one shape."""
    return np.array((size, size, size, *(0, 1, *[0] * (READS - 2)) * inputs), np.int64)


def in_runs(found, size):
    """Does this layout have runs that pay? To copy views would take longer than NumPy's loop over them."""
    return found is not None and found.run >= _RUN and found.numbers[0] >= size


class Layout(NamedTuple):
    """How arrays broadcast, and where each is read; see `layout`."""

    shape: tuple  # of the output
    order: tuple | None  # its axes as they stand in memory, None for C order
    run: int
    block: int  # elements of the buffer for a number that repeats along a run
    numbers: np.ndarray  # elements, run, block; for each input: 0 (its address), step, levels, (part, count, width)...


def placed(*arrays, ordered=True):
    """The layout of these arrays, or None."""
    return layout(*[(x.shape, x.strides, x.itemsize) for x in arrays], ordered=ordered)


@functools.lru_cache(maxsize=2048)
def layout(*inputs, ordered=True):
    """Where to read inputs (shape, strides in bytes, bytes of an element) that broadcast; None where they do not, or
    where their elements do not lie side by side along runs.

    The output is `run` elements after another `run`, in which an input is contiguous (step 1) or constant (step 0);
    run number s begins in it at the sum over its levels of s // part % count * width, a count of 0 for one that does
    not begin again. The output has the order of
    axes of a contiguous input, else of the first input that repeats nothing; C order if not `ordered`.
    """
    ndim = max(len(own) for own, *_ in inputs)
    padded = [((1,) * (ndim - len(own)) + own, (0,) * (ndim - len(own)) + bytes_) for own, bytes_, _ in inputs]
    shape = tuple(max(n) if 0 not in n else 0 for n in zip(*[own for own, _ in padded]))
    if 0 in shape or any(n not in (1, whole) for own, _ in padded for n, whole in zip(own, shape)):
        return None
    if any(n > 1 and b % size for (own, bytes_), (*_, size) in zip(padded, inputs) for n, b in zip(own, bytes_)):
        return None
    steps = [
        [b // size if n > 1 else 0 for n, b in zip(own, bytes_)] for (own, bytes_), (*_, size) in zip(padded, inputs)
    ]
    axes = [i for i, n in enumerate(shape) if n > 1]
    falling = lambda step: sorted(axes, key=lambda i: -abs(step[i]))
    whole = [step for step in steps if all(step[i] for i in axes)]
    if ordered and whole and all(falling(step) != axes for step in whole):
        axes = falling(whole[0])
    if axes and any(step[axes[-1]] not in (0, 1) for step in steps):
        return None
    outer = max(0, len(axes) - 1)
    while outer and all(step[axes[outer - 1]] == step[axes[outer]] * shape[axes[outer]] for step in steps):
        outer -= 1
    run = math.prod(shape[i] for i in axes[outer:])
    reads = []
    for step in steps:
        levels, part = [], 1
        for i in reversed(axes[:outer]):
            if levels and part == levels[-1][0] * levels[-1][1] and step[i] == levels[-1][1] * levels[-1][2]:
                levels[-1][1] *= shape[i]
            elif step[i]:
                levels.append([part, shape[i], step[i]])
            part *= shape[i]
        if len(levels) > LEVELS:
            return None
        if levels and levels[-1][0] * levels[-1][1] == part:
            levels[-1][1] = 0
        found = [n for level in levels for n in level]
        reads += (0, int(not axes or step[axes[-1]]), len(levels), *found, *[0] * (3 * LEVELS - len(found)))
    block = run if all(reads[1::READS]) else min(run, _BLOCK)
    order = None if axes == sorted(axes) else (*(i for i, n in enumerate(shape) if n == 1), *axes)
    numbers = np.array((math.prod(shape), run, block, *reads), np.int64)
    return Layout(shape, order, run, block, numbers)
