"""Pooling: the largest or the sum of each window, and averages over as many windows as are asked for."""

import itertools
import math

from ..errors import ShapeError
from ..primitive import Spec, case, fused, ints, primitive, result_dtype
from .convolution import conv_out


def _pool_shape(op, x, *, size, stride, padding, dilation):
    n = len(size)
    if len(x.shape) < n + 1:
        raise ShapeError(f"{op}: x must be (B, C, ...) with {n} spatial axes: got {tuple(x.shape)}.")
    if any(2 * p > k for p, k in zip(padding, size)):
        raise ShapeError(
            f"{op}: padding must be at most half the window: got padding {tuple(padding)} for window {tuple(size)}."
        )
    outs = tuple(conv_out(*args) for args in zip(x.shape[-n:], size, stride, padding, dilation))
    if any(o < 1 for o in outs):
        raise ShapeError(
            f"{op}: the window must fit: window {tuple(size)} on x {tuple(x.shape)} with padding {tuple(padding)}. "
            f"Use a smaller window."
        )
    return Spec((*x.shape[:-n], *outs), x.dtype)


@primitive(
    checked=True,
    shape=_pool_shape,
    outputs=2,
    samples=(
        case((2, 3, 4, 6), size=(2, 2), stride=(2, 2), padding=(0, 0), dilation=(1, 1)),
        case((1, 2, 5, 5), size=(3, 2), stride=(2, 1), padding=(1, 0), dilation=(1, 2)),
        case((2, 7), size=(3,), stride=(2,), padding=(1,), dilation=(1,)),
    ),
)
def max_pool(xp, x, *, size, stride, padding, dilation):
    """The largest element of each window over the last len(size) axes, and its flat position among them (the first if
    several; a NaN counts as largest). x: (B, C, H, W); y and positions (int64): (B, C, OH, OW). Padding counts as
    -inf."""
    n = len(size)
    spatial = x.shape[-n:]
    lowest = -xp.inf if x.dtype.kind == "f" else xp.iinfo(x.dtype).min
    frame = ((0, 0),) * (x.ndim - n) + tuple((p, p) for p in padding)
    padded = xp.pad(x, frame, constant_values=lowest) if any(padding) else x
    reach = tuple((k - 1) * d + 1 for k, d in zip(size, dilation))
    w = xp.lib.stride_tricks.sliding_window_view(padded, reach, axis=tuple(range(x.ndim - n, x.ndim)))
    w = w[(..., *(slice(None, None, s) for s in stride), *(slice(None, None, d) for d in dilation))]
    w = w.reshape((*w.shape[:-n], math.prod(size)))  # (B, C, OH, OW, KH * KW)
    best = xp.argmax(w, axis=-1)  # (B, C, OH, OW)
    y = xp.take_along_axis(w, best[..., None], -1)[..., 0]
    flat = xp.zeros(best.shape, "int64")
    for i in range(n):  # the window's start plus the offset inside it, along each spatial axis in row-major order
        inside = best // math.prod(size[i + 1 :]) % size[i] * dilation[i]
        start = xp.arange(best.shape[best.ndim - n + i]).reshape((-1, *([1] * (n - 1 - i)))) * stride[i] - padding[i]
        flat = flat * spatial[i] + xp.maximum(start + inside, 0)  # a window of padding and -inf only: stay inside x
    return y, flat


@max_pool.rule("x")
def _(F, g, y, shapes, size):
    return F.max_pool_backward(g[0], y[1], spatial=shapes.x[-len(size) :])


@fused(
    shape=lambda op, dy, positions, *, spatial: Spec((*dy.shape[: -len(spatial)], *spatial), dy.dtype),
    public=False,
    samples=(
        case((2, 3, 2, 3), ints((2, 3, 2, 3), 24), spatial=(4, 6)),
        case((2, 5), ints((2, 5), 7), spatial=(7,)),
    ),
    complex_ok=True,
)
def max_pool_backward(F, dy, positions, *, spatial):
    """dx = zeros with dy added at the positions, those of the largest elements. dy, positions: (B, C, OH, OW); dx: (B,
    C, *spatial)."""
    planes = dy.shape[: -len(spatial)]
    outs = (*planes, math.prod(dy.shape[len(planes) :]))  # (B, C, OH * OW)
    dx = F.add_along_axis(
        F.reshape(dy, shape=outs), F.reshape(positions, shape=outs), axis=-1, size=math.prod(spatial)
    )  # (B, C, H * W)
    return F.reshape(dx, shape=(*planes, *spatial))


@primitive(
    checked=True,
    public=False,
    shape=lambda op, x, *, size, stride, frame: Spec(
        _pool_shape(
            op,
            Spec((*x.shape[: -len(size)], *(n + a + b for n, (a, b) in zip(x.shape[-len(size) :], frame))), x.dtype),
            size=size, stride=stride, padding=(0,) * len(size), dilation=(1,) * len(size),
        ).shape,
        x.dtype,
    ),
    samples=(
        case((2, 3, 4, 6), size=(2, 2), stride=(2, 2), frame=((0, 0), (0, 0))),
        case((1, 2, 5, 6), size=(3, 2), stride=(2, 1), frame=((1, 2), (0, 1))),
        case((2, 7), size=(3,), stride=(2,), frame=((1, 1),)),
    ),
    complex_ok=True,
)  # fmt: skip
def window_sum(xp, x, *, size, stride, frame):
    """The sum of each window over the last len(size) axes of x in a frame of zeros, (before, after) along each axis.
    x: (B, C, H, W); y: (B, C, OH, OW)."""
    n = len(size)
    padded = xp.pad(x, ((0, 0),) * (x.ndim - n) + tuple(frame)) if any(map(any, frame)) else x
    w = xp.lib.stride_tricks.sliding_window_view(padded, tuple(size), axis=tuple(range(x.ndim - n, x.ndim)))
    w = w[(..., *(slice(None, None, s) for s in stride), *(slice(None),) * n)]
    return xp.sum(w, axis=tuple(range(-n, 0)), dtype=x.dtype)


@window_sum.rule("x")
def _(F, g, shapes, size, stride, frame):
    return F.window_sum_backward(g, spatial=shapes.x[-len(size) :], size=size, stride=stride, frame=frame)


@primitive(
    public=False,
    shape=lambda op, dy, *, spatial, size, stride, frame: Spec((*dy.shape[: -len(spatial)], *spatial), dy.dtype),
    samples=(
        case((2, 3, 2, 3), spatial=(4, 6), size=(2, 2), stride=(2, 2), frame=((0, 0), (0, 0))),
        case((1, 2, 3, 6), spatial=(5, 6), size=(3, 2), stride=(2, 1), frame=((1, 2), (0, 1))),
    ),
    complex_ok=True,
)
def window_sum_backward(xp, dy, *, spatial, size, stride, frame):
    """dx[place] = the sum of dy over the windows that hold the place. dy: (B, C, OH, OW); dx: (B, C, *spatial)."""
    outs = dy.shape[-len(size) :]
    dx = xp.zeros((*dy.shape[: -len(size)], *(n + a + b for n, (a, b) in zip(spatial, frame))), dy.dtype)
    for k in itertools.product(*(range(n) for n in size)):
        dx[(..., *(slice(i, i + (o - 1) * s + 1, s) for i, o, s in zip(k, outs, stride)))] += dy
    return dx[(..., *(slice(a, a + n) for n, (a, _) in zip(spatial, frame)))]


@window_sum_backward.rule("dy")
def _(F, g, size, stride, frame):
    return F.window_sum(g, size=size, stride=stride, frame=frame)


@primitive(
    checked=True,
    public=False,
    shape=lambda op, x, *, size: Spec((*x.shape[: len(x.shape) - len(size)], *size), result_dtype("float", x)),
    samples=(
        case((2, 3, 4, 6), size=(2, 3)),
        case((1, 2, 5, 7), size=(3, 4)),
        case((2, 7), size=(3,)),
        case((1, 3, 4, 5), size=(2, 4, 7)),
    ),
    complex_ok=True,
)
def adaptive_avg_pool(xp, x, *, size):
    """y[..., i, j] = the mean of x from floor(i H / OH) to ceil((i + 1) H / OH), and so on for j, over the last
    len(size) axes. x: (B, C, H, W), size: (OH, OW); y: (B, C, OH, OW)."""
    for axis, o in zip(range(-len(size), 0), size):
        n, behind = x.shape[axis], (slice(None),) * (-axis - 1)
        spans = [slice(i * n // o, -(-(i + 1) * n // o)) for i in range(o)] or [slice(0, 0)]
        means = [xp.mean(x[(..., s, *behind)], axis=axis, keepdims=True) if o else x[(..., s, *behind)] for s in spans]
        x = xp.concatenate(means, axis=axis)
    return x


@adaptive_avg_pool.rule("x")
def _(F, g, shapes, size):
    return F.adaptive_avg_pool_backward(g, spatial=shapes.x[-len(size) :])


@primitive(
    public=False,
    shape=lambda op, dy, *, spatial: Spec((*dy.shape[: len(dy.shape) - len(spatial)], *spatial), dy.dtype),
    samples=(case((2, 3, 2, 3), spatial=(4, 6)), case((1, 2, 3, 4), spatial=(5, 7)), case((2, 3), spatial=(7,))),
    complex_ok=True,
)
def adaptive_avg_pool_backward(xp, dy, *, spatial):
    """dx[place] = the sum of dy / (their size) over the windows that hold the place. dy: (B, C, OH, OW); dx: (B, C,
    *spatial)."""
    for axis, n in zip(range(-len(spatial), 0), spatial):
        o, behind = dy.shape[axis], (slice(None),) * (-axis - 1)
        shape = list(dy.shape)
        shape[axis] = n
        dx = xp.zeros(shape, dy.dtype)
        for i in range(o):
            start, stop = i * n // o, -(-(i + 1) * n // o)
            dx[(..., slice(start, stop), *behind)] += dy[(..., slice(i, i + 1), *behind)] / (stop - start)
        dy = dx
    return dy


@adaptive_avg_pool_backward.rule("dy")
def _(F, g, shapes, spatial):
    return F.adaptive_avg_pool(g, size=shapes.dy[-len(spatial) :])
