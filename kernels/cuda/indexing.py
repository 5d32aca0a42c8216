"""Reading rows of a table, and adding to places that may be named several times: see indexing.cu."""

import math

from .cross_entropy import labelled
from .launch import WARP, Source, ceil_div, device, flat, item_bytes

source = Source("indexing")
BESIDE = 8  # rows that a block adds at once, and lines of a block


def getitem(x, index, *, key):
    on = device()
    x, (index, kind) = on.contiguous(x), labelled(index)
    width, pack = math.prod(x.shape[1:]), 16 // x.dtype.itemsize
    y = on.empty((*index.shape, *x.shape[1:]), x.dtype)
    wide = width % pack == 0 and on.address(x) % 16 == 0
    arguments = (x, index, y, len(x), index.size, width, int(wide))
    source("gather_rows", x.dtype, L=kind)(*flat(index.size * ceil_div(width, pack)), arguments)
    return y


def scatter(v, index, *, key, shape):
    on, xp = device(), device().xp
    v, width, count = on.contiguous(v), math.prod(shape[1:]), index.size
    index = index.reshape(-1).astype("int64", copy=False)
    index = xp.where(index < 0, index + shape[0], index)
    if on.recording():  # CuPy's sort waits for the device, which ends the process while a graph is recorded
        places = xp.broadcast_to(index, (width, count))
        return on.contiguous(scatter_lines(v.reshape(count, width).T, places, shape[0]).T).reshape(shape)
    order = xp.argsort(index, kind="stable")
    keys, order = on.contiguous(index[order]), on.contiguous(order)
    y = xp.zeros(shape, v.dtype)
    run = source("scatter_rows", v.dtype, L="i64")
    shared = WARP * BESIDE * item_bytes(v.dtype)
    run((count, ceil_div(width, WARP)), (WARP, BESIDE), (v, keys, order, y, shape[0], count, width), shared=shared)
    return y


def scatter_lines(v, index, size):
    """zeros (rows, size), with v (rows, count) added at index (rows, count)."""
    on = device()
    v, (index, kind) = on.contiguous(v), labelled(index)
    rows, count = v.shape
    y = on.xp.zeros((rows, size), "float64" if item_bytes(v.dtype) == 8 else "float32")
    run = source("scatter_lines", v.dtype, L=kind)
    run((ceil_div(rows, BESIDE),), (WARP, BESIDE), (v, index, y, rows, count, size))
    return y if y.dtype == v.dtype else y.astype(v.dtype)


def add_along_axis(v, indices, *, axis, size):
    xp = device().xp
    v, indices = xp.moveaxis(v, axis, -1), xp.moveaxis(indices, axis, -1)  # (..., n)
    lines = (math.prod(v.shape[:-1]), v.shape[-1])
    y = scatter_lines(v.reshape(lines), indices.reshape(lines), size)
    return xp.moveaxis(y.reshape((*v.shape[:-1], size)), -1, axis)


def max_pool_backward(dy, positions, *, spatial):
    planes = dy.shape[: -len(spatial)]
    lines = (math.prod(planes), math.prod(dy.shape[-len(spatial) :]))
    dx = scatter_lines(dy.reshape(lines), positions.reshape(lines), math.prod(spatial))
    return dx.reshape((*planes, *spatial))
