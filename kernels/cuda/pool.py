"""Maxima, sums and means of windows over one to three spatial axes: see pool.cu."""

from .launch import Source, device, flat

source = Source("pool")
_INT_LIMIT = 2**31 - 2**16


def _three(values, missing):
    """As many values in front as make three."""
    return (*[missing] * (3 - len(values)), *values)


def _launch(name, made, arrays, other, *axes):
    count, large = made.size, max(made.size, other.size) >= _INT_LIMIT
    run = source(name, made.dtype, Index="i64" if large else "int")
    run(*flat(count, 128), (*arrays, count, *(n for axis in axes for n in axis)))


def max_pool(x, *, size, stride, padding=(0, 0), dilation=(1, 1)):
    on, n = device(), len(size)
    x = on.contiguous(x)
    outs = tuple(
        (m + 2 * p - d * (k - 1) - 1) // s + 1 for m, k, s, p, d in zip(x.shape[-n:], size, stride, padding, dilation)
    )
    y, positions = (on.empty((*x.shape[:-n], *outs), dtype) for dtype in (x.dtype, "int64"))
    axes = [_three(x.shape[-n:], 1), _three(outs, 1), _three(size, 1)]
    axes += [_three(stride, 1), _three(padding, 0), _three(dilation, 1)]
    _launch("max_pool", y, (x, y, positions), x, *axes)
    return y, positions


def window_sum(x, *, size, stride, frame):
    on, n = device(), len(size)
    x = on.contiguous(x)
    outs = tuple((m + a + b - k) // s + 1 for m, k, s, (a, b) in zip(x.shape[-n:], size, stride, frame))
    y = on.empty((*x.shape[:-n], *outs), x.dtype)
    before = _three([a for a, _ in frame], 0)
    _launch(
        "window_sum", y, (x, y), x, _three(x.shape[-n:], 1), _three(outs, 1), _three(size, 1), _three(stride, 1), before
    )
    return y


def window_sum_backward(dy, *, spatial, size, stride, frame):
    on, n = device(), len(size)
    dy = on.contiguous(dy)
    dx = on.empty((*dy.shape[:-n], *spatial), dy.dtype)
    before, outs = _three([a for a, _ in frame], 0), _three(dy.shape[-n:], 1)
    _launch(
        "window_sum_backward", dx, (dy, dx), dy, _three(spatial, 1), outs, _three(size, 1), _three(stride, 1), before
    )
    return dx


def adaptive_avg_pool(x, *, size):
    on, n = device(), len(size)
    x = on.contiguous(x)
    y = on.empty((*x.shape[:-n], *size), x.dtype)
    _launch("adaptive_avg_pool", y, (x, y), x, _three(x.shape[-n:], 1), _three(size, 1))
    return y


def adaptive_avg_pool_backward(dy, *, spatial):
    on, n = device(), len(spatial)
    dy = on.contiguous(dy)
    dx = on.empty((*dy.shape[:-n], *spatial), dy.dtype)
    _launch("adaptive_avg_pool_backward", dx, (dy, dx), dy, _three(spatial, 1), _three(dy.shape[-n:], 1))
    return dx
