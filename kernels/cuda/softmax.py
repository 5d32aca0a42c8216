"""softmax, log_softmax, logsumexp and their gradients: see softmax.cu."""

from .launch import SHARED, WARP, Source, by_row, device, flat, item_bytes, lines

source = Source("softmax")


def _forward(x, axis, what):
    x = device().contiguous(x)
    y = device().empty(x.shape, x.dtype)
    outer, n, inner = lines(x.shape, axis)
    if inner > 1:
        source("softmax_columns", x.dtype)(*flat(outer * inner), (x, y, outer, n, inner, what))
        return y
    grid, block = by_row(outer, n)
    item, beside = item_bytes(x.dtype), block[1] if len(block) > 1 else 1
    shared = (2 * WARP + beside * n) * item
    held = shared <= SHARED
    arguments = (x, y, outer, n, what, int(held))
    source("softmax_rows", x.dtype)(grid, block, arguments, shared=shared if held else 2 * WARP * item)
    return y


def _backward(dy, y, axis, what):
    dy, y = device().contiguous(dy), device().contiguous(y)
    dx = device().empty(y.shape, y.dtype)
    outer, n, inner = lines(y.shape, axis)
    if inner > 1:
        source("softmax_backward_columns", y.dtype)(*flat(outer * inner), (dy, y, dx, outer, n, inner, what))
    else:
        shared = WARP * item_bytes(y.dtype)
        source("softmax_backward_rows", y.dtype)(*by_row(outer, n), (dy, y, dx, outer, n, what), shared=shared)
    return dx


def softmax(x, *, axis=-1):
    return _forward(x, axis, 0)


def log_softmax(x, *, axis=-1):
    return _forward(x, axis, 1)


def softmax_backward(dy, p, *, axis):
    return _backward(dy, p, axis, 0)


def log_softmax_backward(dy, logp, *, axis):
    return _backward(dy, logp, axis, 1)


def logsumexp(x, *, axis=None, keepdims=False):
    x = device().contiguous(x)
    axes = range(x.ndim) if axis is None else (axis,) if isinstance(axis, int) else axis
    axes = {a % x.ndim for a in axes}
    y = device().empty(
        tuple(1 if i in axes else m for i, m in enumerate(x.shape) if keepdims or i not in axes), x.dtype
    )
    outer, n, inner = lines(x.shape, tuple(axes))
    if inner > 1:
        source("logsumexp_columns", x.dtype)(*flat(outer * inner), (x, y, outer, n, inner))
    else:
        shared = 2 * WARP * item_bytes(x.dtype)
        source("logsumexp_rows", x.dtype)(*by_row(outer, n), (x, y, outer, n), shared=shared)
    return y
