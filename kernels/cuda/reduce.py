"""sum, mean, max and min over any axes, and the gradient of max and min: see reduce.cu.

Axes that are neighbours are reduced together; several such groups one after the other, the last first.
"""

import builtins
import math

from .launch import TYPES, WARP, Source, by_row, ceil_div, device, item_bytes, lines

source = Source("reduce")
MOST_PARTS = 1024
FEW_BLOCKS = 528  # four for each multiprocessor of a large GPU: with fewer, the line is cut into parts
LONG_PART = 2048  # elements; a part is not shorter


def _registers(dtype):
    return "float64" if str(dtype) == "float64" else "float32"


def reduce_line(x, shape, op, divisor=1.0, dtype=None):
    """x, contiguous and seen as `shape` (outer, n, inner), reduced over n: (outer, inner) of x's type, or of `dtype`.
    op: "Sum", "Max" or "Min"; divisor: of the result."""
    outer, n, inner = shape
    dtype = dtype or x.dtype
    held = _registers(x.dtype)
    blocks = outer * ceil_div(inner, WARP)
    parts = builtins.max(1, builtins.min(MOST_PARTS, FEW_BLOCKS // blocks, n // LONG_PART))
    if parts > 1:  # blocks of one part each write what a second pass reduces
        between = device().empty((outer, parts, inner), held)
        _pass(x, between, (outer, n, inner), parts, op, 1.0)
        x, n = between, parts
    y = device().empty((outer, inner), dtype)
    _pass(x, y, (outer, n, inner), 1, op, divisor)
    return y


def _pass(x, y, shape, parts, op, divisor):
    outer, n, inner = shape
    types = {"Op": op, "In": TYPES[str(x.dtype)][0], "Out": TYPES[str(y.dtype)][0]}
    # the type with the narrower numbers decides what the header needs to know
    dtype = x.dtype if x.dtype.itemsize < y.dtype.itemsize else y.dtype
    item = item_bytes(dtype)
    if inner == 1:
        (blocks, *_), block = by_row(outer, ceil_div(n, parts))
        run = source("reduce_rows", dtype, **types)
        run((blocks, parts), block, (x, y, outer, n, parts, divisor), shared=WARP * item)
    else:
        down = 8
        run = source("reduce_columns", dtype, **types)
        grid = (outer * ceil_div(inner, WARP), parts)
        run(grid, (WARP, down), (x, y, outer, n, inner, parts, divisor), shared=WARP * down * item)


def groups(shape, axis):
    """The axes in groups of neighbours, the last first, as (outer, n, inner) of the shape that is then left."""
    axes = sorted({a % len(shape) for a in ((axis,) if isinstance(axis, int) else axis)})
    left, found = list(shape), []
    while axes:
        run = [axes.pop()]
        while axes and axes[-1] == run[-1] - 1:
            run.append(axes.pop())
        found.append(lines(tuple(left), tuple(run)))
        for a in run:
            left[a] = 1
    return found


def _reduced(x, axis, keepdims, op, mean=False):
    axes = (
        tuple(range(x.ndim))
        if axis is None
        else tuple(a % x.ndim for a in ((axis,) if isinstance(axis, int) else axis))
    )
    shape = tuple(1 if i in axes else n for i, n in enumerate(x.shape) if keepdims or i not in axes)
    y = device().contiguous(x)
    divisor = float(math.prod(x.shape[a] for a in axes)) if mean else 1.0
    todo = groups(x.shape, axes)
    for i, line in enumerate(todo):
        last = i == len(todo) - 1
        y = reduce_line(y, line, op, divisor if last else 1.0, x.dtype if last else _registers(x.dtype))
    return y.reshape(shape)


def sum(x, *, axis=None, keepdims=False):
    return _reduced(x, axis, keepdims, "Sum")


def mean(x, *, axis=None, keepdims=False):
    return _reduced(x, axis, keepdims, "Sum", mean=True)


def max(x, *, axis=None, keepdims=False):
    return _reduced(x, axis, keepdims, "Max")


def min(x, *, axis=None, keepdims=False):
    return _reduced(x, axis, keepdims, "Min")


def sum_to(x, *, shape):
    """x summed over the axes along which `shape` was repeated."""
    padded = (1,) * (x.ndim - len(shape)) + tuple(shape)
    axes = tuple(i for i, n in enumerate(padded) if n != x.shape[i])
    return (_reduced(x, axes, True, "Sum") if axes else x).reshape(tuple(shape))


def extreme_backward(dy, x, extreme, *, axis=None):
    x = device().contiguous(x)
    axes = tuple(range(x.ndim)) if axis is None else axis
    rows, n, _ = lines(x.shape, axes)
    dx = device().empty(x.shape, x.dtype)
    types = dict.fromkeys(("In", "Out"), TYPES[str(x.dtype)][0])
    run = source("extreme_backward", x.dtype, Op="Max", **types)
    arguments = (device().contiguous(dy), x, device().contiguous(extreme), dx, rows, n)
    run(*by_row(rows, n), arguments, shared=WARP * item_bytes(x.dtype))
    return dx
