"""Softmax, log-softmax and log-sum-exp with their gradients: one pass over memory, the line in between stays in cache.

A *line* is the numbers along the axis. Where the axis is the last, a vector holds neighbours of one line, and its lanes
meet at the end; else it holds the same place of neighbouring lines. Apart from that the two are one loop: `count`
vectors, `step` bytes apart, of which `last` says the lanes of the last one, `full` those of the others. float32 and
float64, any shape. A line that holds NaN or +inf, or only -inf, gives NaN, as in PyTorch.
"""

import functools
import math

import numpy as np
from numba import carray
from numba.extending import register_jitable

from . import vectormath
from .threads import compiled, pointer, run
from .vectors import exp, exp_below, first, lane, lanes, larger, largest, load, splat, store, total, where

PARALLEL_FROM = 12_288  # elements
SPAN = 128  # vectors summed at once: the error grows with n / SPAN + SPAN additions, not with n

# register_jitable keeps a plain function, found by its name: the disk cache of a closure over it works, over an njit
# not.
_jit = register_jitable(error_model="numpy")


@_jit
def _top(zero, x, count, step, full, last, across):
    """The largest of the line, in every lane. NaN is passed over: it will be met in the sum."""
    top = splat(zero, -np.inf)
    for j in range(count):
        top = larger(load(zero, x + j * step, last if j == count - 1 else full, -np.inf), top)
    return splat(zero, largest(top)) if across else top


@_jit
def _exponentials(zero, x, y, top, count, step, full, last, across):
    """y = e**(x - top); the sum of y, in every lane."""
    sums = splat(zero, zero)
    for start in range(0, count, SPAN):
        part = splat(zero, zero)
        for j in range(start, min(count, start + SPAN)):
            keep = last if j == count - 1 else full
            e = exp_below(load(zero, x + j * step, keep, -np.inf) - top)
            if y:
                store(e, y + j * step, keep)
            part = part + e
        sums = sums + part
    return splat(zero, total(sums)) if across else sums


@_jit
def _log(zero, x, line, across):
    """ln x: of one number if all lanes are the same, else by way of the memory at `line`."""
    if across:
        return splat(zero, vectormath.log(lane(x)))
    store(x, line)
    numbers = carray(pointer(line), (lanes(zero),), type(zero))
    for i in range(numbers.size):
        numbers[i] = vectormath.log(numbers[i])
    return load(zero, line)


@_jit
def _softmax(zero, x, _, y, line, count, step, full, last, across):
    # shift by the max: exp overflows above ~88 in float32. All -inf: -inf - -inf is NaN, and stays.
    top = _top(zero, x, count, step, full, last, across)
    scale = 1 / _exponentials(zero, x, y, top, count, step, full, last, across)
    for j in range(count):
        keep = last if j == count - 1 else full
        store(load(zero, y + j * step, keep, zero) * scale, y + j * step, keep)


@_jit
def _log_softmax(zero, x, _, y, line, count, step, full, last, across):
    top = _top(zero, x, count, step, full, last, across)
    sums = _log(zero, _exponentials(zero, x, 0, top, count, step, full, last, across), line, across)
    for j in range(count):
        keep = last if j == count - 1 else full
        x_less = load(zero, x + j * step, keep, zero) - top
        store(x_less - sums, y + j * step, keep)  # top + sums would round away the small part


@_jit
def _logsumexp(zero, x, _, y, line, count, step, full, last, across):
    """y has one number for each line."""
    top = _top(zero, x, count, step, full, last, across)
    # A line of -inf gives -inf, one with +inf gives +inf: then nothing is shifted
    base = where(top - top == 0, top, splat(zero, zero))
    sums = splat(zero, zero)
    for start in range(0, count, SPAN):
        part = splat(zero, zero)
        for j in range(start, min(count, start + SPAN)):
            part = part + exp(load(zero, x + j * step, last if j == count - 1 else full, -np.inf) - base)
        sums = sums + part
    sums = splat(zero, total(sums)) if across else sums
    store(base + _log(zero, sums, line, across), y, first(zero, 1) if across else last)


@_jit
def _softmax_slope(zero, g, y, dx, line, count, step, full, last, across):
    mean = splat(zero, zero)
    for start in range(0, count, SPAN):
        part = splat(zero, zero)
        for j in range(start, min(count, start + SPAN)):
            keep = last if j == count - 1 else full
            part = load(zero, g + j * step, keep, zero) * load(zero, y + j * step, keep, zero) + part
        mean = mean + part
    mean = splat(zero, total(mean)) if across else mean
    for j in range(count):
        keep = last if j == count - 1 else full
        slope = load(zero, g + j * step, keep, zero) - mean
        store(load(zero, y + j * step, keep, zero) * slope, dx + j * step, keep)


@_jit
def _log_softmax_slope(zero, g, y, dx, line, count, step, full, last, across):
    sums = splat(zero, zero)
    for start in range(0, count, SPAN):
        part = splat(zero, zero)
        for j in range(start, min(count, start + SPAN)):
            part = part + load(zero, g + j * step, last if j == count - 1 else full, zero)
        sums = sums + part
    sums = splat(zero, total(sums)) if across else sums
    for j in range(count):
        keep = last if j == count - 1 else full
        p = exp(load(zero, y + j * step, keep, zero))
        store(load(zero, g + j * step, keep, zero) - p * sums, dx + j * step, keep)


def _lines(kernel):
    """The worker of kernel(zero, line of a, of b, of c, workspace, count, step, full, last, across) for all lines.

    numbers: outer, n, inner of a and b (outer, n, inner), and the length of c's axis, n or 1.
    """

    @compiled
    def worker(zero):
        kind = type(zero)

        def work(a_base, b_base, c_base, numbers, part, parts):
            given = carray(pointer(numbers), (4,), np.int64)
            outer, n, inner, kept = given[0], given[1], given[2], given[3]
            width, line = lanes(zero), np.empty(lanes(zero), kind)
            size, across = line.itemsize, inner == 1
            blocks = (inner + width - 1) // width  # vectors side by side
            count, step = ((n + width - 1) // width, width * size) if across else (n, inner * size)
            full = last = first(zero, n - (count - 1) * width)
            if across:
                full = first(zero, width)
            units = outer * blocks
            for unit in range(units * part // parts, units * (part + 1) // parts):
                i, block = unit // blocks, unit % blocks * width
                if not across:
                    full = last = first(zero, inner - block)
                at, to = size * (i * n * inner + block), size * (i * kept * inner + block)
                kernel(
                    zero, a_base + at, b_base + at, c_base + to, line.ctypes.data, count, step, full, last, across
                )  # fmt: skip
            line[0] = zero  # alive until here: only its address was used

        return work

    return worker


_softmax_lines, _log_softmax_lines, _logsumexp_lines = _lines(_softmax), _lines(_log_softmax), _lines(_logsumexp)
_softmax_slope_lines, _log_softmax_slope_lines = _lines(_softmax_slope), _lines(_log_softmax_slope)


@functools.lru_cache(maxsize=1024)
def _numbers(shape, start, stop, kept):
    """What workers read: lines along the axes from start to stop of `shape`, in an output of `kept` numbers for each
    (0: as many as they have)."""
    outer, n, inner = math.prod(shape[:start]), math.prod(shape[start:stop]), math.prod(shape[stop:])
    return np.array((outer, n, inner, kept or n), np.int64)


def _along(worker, a, b, axis):
    """The worker on all lines along an axis of two arrays of one shape."""
    a = a if a.flags.carray else a.copy()
    b = b if b.flags.carray else b.copy()
    y, axis = np.empty(a.shape, a.dtype), axis % a.ndim
    if y.size:
        run(worker(a.dtype), a, b, y, _numbers(a.shape, axis, axis + 1, 0), alone=a.size < PARALLEL_FROM)
    return y


def softmax(x, *, axis):
    """y = exp(x - max x) / sum exp(x - max x) along `axis`. x: any shape, float32 or float64."""
    return _along(_softmax_lines, x, x, axis)


def log_softmax(x, *, axis):
    """y = (x - max x) - log sum exp(x - max x) along `axis`."""
    return _along(_log_softmax_lines, x, x, axis)


def softmax_backward(g, y, *, axis):
    """dx = y (g - sum g y), y the softmax."""
    return _along(_softmax_slope_lines, g, y, axis)


def log_softmax_backward(g, y, *, axis):
    """dx = g - exp(y) sum g, y the log-softmax."""
    return _along(_log_softmax_slope_lines, g, y, axis)


def logsumexp(x, *, axis=None, keepdims=False):
    """y = max x + log sum exp(x - max x) over one axis or neighbouring ones."""
    x = x if x.flags.carray else x.copy()
    axes = sorted(a % x.ndim for a in ((axis,) if isinstance(axis, int) else axis))
    start, stop = axes[0], axes[-1] + 1
    kept = (1,) * len(axes) if keepdims else ()
    y = np.empty((*x.shape[:start], *kept, *x.shape[stop:]), x.dtype)
    if y.size:
        run(_logsumexp_lines(x.dtype), x, x, y, _numbers(x.shape, start, stop, 1), alone=x.size < PARALLEL_FROM)
    return y
