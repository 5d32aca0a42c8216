"""Convolution: three primitives, bilinear in their inputs, whose gradients are among the three.

    y = convolution(x, w)        dL/dx = convolution_input(g, w)      dL/dw = convolution_weight(x, g)

Shapes for two spatial axes: x (B, C, H, W), w (O, C/G, KH, KW), y (B, O, OH, OW). One and three work the same.
"""

import itertools
import math

from ..errors import ShapeError
from ..primitive import Spec, case, primitive, result_dtype


def conv_out(n, k, stride, padding, dilation):
    """OH = (H + 2 padding - dilation (KH - 1) - 1) // stride + 1."""
    return (n + 2 * padding - dilation * (k - 1) - 1) // stride + 1


def _conv_shape(op, x, weight, bias=None, *, stride, padding, dilation, groups):
    n = len(weight.shape) - 2
    names = "(B, C, " + ", ".join("DHW"[3 - n :]) + ")" if 1 <= n <= 3 else "(B, C, ...)"
    if len(x.shape) != n + 2:
        raise ShapeError(
            f"{op}: x must be {names} for a weight of shape {tuple(weight.shape)}: got {tuple(x.shape)}. Add the "
            f"batch axis with x[None]."
        )
    if groups < 1 or x.shape[1] != weight.shape[1] * groups or weight.shape[0] % groups:
        raise ShapeError(
            f"{op}: channels must agree: x has {x.shape[1]}, weight {tuple(weight.shape)} with groups={groups} "
            f"takes {weight.shape[1] * groups}"
            + (
                f", and groups must divide the {weight.shape[0]} output channels."
                if weight.shape[0] % max(groups, 1)
                else "."
            )
        )
    outs = tuple(conv_out(*args) for args in zip(x.shape[2:], weight.shape[2:], stride, padding, dilation))
    if any(o < 1 for o in outs):
        raise ShapeError(
            f"{op}: the kernel must fit: kernel {tuple(weight.shape[2:])} with dilation {tuple(dilation)} on x "
            f"{tuple(x.shape)} with padding {tuple(padding)}. Pad more, or use a smaller kernel."
        )
    if bias is not None and tuple(bias.shape) != tuple(weight.shape[:1]):
        raise ShapeError(f"{op}: bias must be (output channels,) = ({weight.shape[0]},): got {tuple(bias.shape)}.")
    arrays = (x, weight) if bias is None else (x, weight, bias)
    return Spec((x.shape[0], weight.shape[0], *outs), result_dtype("same", *arrays))


def _conv_windows(xp, x, size, stride, padding, dilation, groups):
    """Columns of the implicit matrix: (B, G, OH * OW, C/G * KH * KW)."""
    n = len(size)
    if any(padding):
        x = xp.pad(x, ((0, 0), (0, 0), *((p, p) for p in padding)))
    reach = tuple((k - 1) * d + 1 for k, d in zip(size, dilation))
    w = xp.lib.stride_tricks.sliding_window_view(x, reach, axis=tuple(range(2, 2 + n)))
    w = w[
        (slice(None), slice(None), *(slice(None, None, s) for s in stride), *(slice(None, None, d) for d in dilation))
    ]
    outs = w.shape[2 : 2 + n]
    b, c = x.shape[:2]
    w = w.reshape((b, groups, c // groups, *outs, *size))
    w = xp.moveaxis(w, 2, 2 + n)  # (B, G, OH, OW, C/G, KH, KW)
    return w.reshape((b, groups, math.prod(outs), c // groups * math.prod(size))), outs


SAME = {"stride": (1, 1), "padding": (1, 1), "dilation": (1, 1), "groups": 1}
UNEVEN = {"stride": (2, 1), "padding": (0, 1), "dilation": (1, 2), "groups": 2}


@primitive(
    shape=_conv_shape,
    samples=(
        case((2, 3, 4, 5), (4, 3, 3, 3), (4,), **SAME),
        case((1, 4, 5, 6), (2, 2, 2, 3), **UNEVEN),
        case((2, 2, 7), (3, 2, 3), stride=(2,), padding=(1,), dilation=(1,), groups=1),
        case((1, 2, 3, 3, 3), (2, 2, 2, 2, 2), stride=(1, 1, 1), padding=(0, 0, 0), dilation=(1, 1, 1), groups=1),
    ),
    complex_ok=True,
)
def convolution(xp, x, weight, bias=None, *, stride, padding, dilation, groups):
    """y[b, o, i, j] = bias[o] + sum over c, k, l of w[o, c, k, l] x[b, c, i stride + k dilation - padding, ...]
    (cross-correlation). x: (B, C, H, W), weight: (O, C/groups, KH, KW), bias: (O,) or None; y: (B, O, OH, OW). One
    tuple entry per spatial axis."""
    cols, outs = _conv_windows(xp, x, weight.shape[2:], stride, padding, dilation, groups)
    w = weight.reshape((groups, weight.shape[0] // groups, math.prod(weight.shape[1:])))  # (G, O/G, C/G * KH * KW)
    y = xp.matmul(cols, xp.swapaxes(w, 1, 2))  # (B, G, OH * OW, O/G)
    y = xp.ascontiguousarray(xp.swapaxes(y, 2, 3)).reshape((x.shape[0], weight.shape[0], *outs))
    return y if bias is None else y + bias.reshape((-1, *[1] * len(outs)))


@convolution.rule("x")
def _(F, g, weight, shapes, stride, padding, dilation, groups):
    return F.convolution_input(
        g, weight, size=shapes.x[2:], stride=stride, padding=padding, dilation=dilation, groups=groups
    )


@convolution.rule("weight")
def _(F, g, x, shapes, stride, padding, dilation, groups):
    return F.convolution_weight(
        x, g, size=shapes.weight[2:], stride=stride, padding=padding, dilation=dilation, groups=groups
    )


@convolution.rule("bias")
def _(F, g):
    return F.sum(g, axis=(0, *range(2, len(g.shape))))


@primitive(
    shape=lambda op, dy, weight, *, size, stride, padding, dilation, groups: Spec(
        (dy.shape[0], weight.shape[1] * groups, *size), result_dtype("same", dy, weight)
    ),
    samples=(
        case((2, 4, 4, 5), (4, 3, 3, 3), size=(4, 5), **SAME),
        case((1, 2, 4, 6), (2, 2, 2, 3), size=(8, 8), **UNEVEN),
    ),
    complex_ok=True,
)
def convolution_input(xp, dy, weight, *, size, stride, padding, dilation, groups):
    """The gradient of convolution for x, which is also the transposed convolution. dy: (B, O, OH, OW); result (B, C,
    *size)."""
    kernel, outs, b = weight.shape[2:], dy.shape[2:], dy.shape[0]
    w = weight.reshape((groups, weight.shape[0] // groups, math.prod(weight.shape[1:])))
    dy = xp.swapaxes(dy.reshape((b, groups, dy.shape[1] // groups, math.prod(outs))), 2, 3)  # (B, G, OH * OW, O/G)
    cols = xp.matmul(dy, w).reshape((b, groups, *outs, weight.shape[1], *kernel))
    cols = xp.moveaxis(cols, 2 + len(outs), 2)  # (B, G, C/G, OH, OW, KH, KW)
    cols = cols.reshape((b, weight.shape[1] * groups, *outs, *kernel))
    y = xp.zeros((*cols.shape[:2], *(n + 2 * p for n, p in zip(size, padding))), cols.dtype)
    for k in itertools.product(*(range(n) for n in kernel)):
        places = tuple(slice(i * d, i * d + (o - 1) * s + 1, s) for i, d, o, s in zip(k, dilation, outs, stride))
        y[(slice(None), slice(None), *places)] += cols[(..., *k)]
    return y[(slice(None), slice(None), *(slice(p, p + n) for n, p in zip(size, padding)))]


@convolution_input.rule("dy")
def _(F, g, weight, stride, padding, dilation, groups):
    return F.convolution(g, weight, stride=stride, padding=padding, dilation=dilation, groups=groups)


@convolution_input.rule("weight")
def _(F, g, dy, shapes, stride, padding, dilation, groups):
    return F.convolution_weight(
        g, dy, size=shapes.weight[2:], stride=stride, padding=padding, dilation=dilation, groups=groups
    )


@primitive(
    shape=lambda op, x, dy, *, size, stride, padding, dilation, groups: Spec(
        (dy.shape[1], x.shape[1] // groups, *size), result_dtype("same", x, dy)
    ),
    samples=(
        case((2, 3, 4, 5), (2, 4, 4, 5), size=(3, 3), **SAME),
        case((1, 4, 8, 8), (1, 2, 4, 6), size=(2, 3), **UNEVEN),
    ),
    complex_ok=True,
)
def convolution_weight(xp, x, dy, *, size, stride, padding, dilation, groups):
    """The gradient of convolution for the weight. x: (B, C, H, W), dy: (B, O, OH, OW); result (O, C/groups, *size)."""
    outs = dy.shape[2:]
    # windows that start behind the last output exist where the stride does not divide: they take no part
    x = x[
        (
            slice(None),
            slice(None),
            *(
                slice(0, max((o - 1) * s + (k - 1) * d + 1 - p, 0))
                for o, s, k, d, p in zip(outs, stride, size, dilation, padding)
            ),
        )
    ]
    cols, made = _conv_windows(xp, x, size, stride, padding, dilation, groups)  # (B, G, OH * OW, C/G * KH * KW)
    cols = cols.reshape((*cols.shape[:2], *made, cols.shape[3]))[(slice(None), slice(None), *(slice(o) for o in outs))]
    cols = cols.reshape((*cols.shape[:2], math.prod(outs), cols.shape[-1]))
    dy = dy.reshape((dy.shape[0], groups, dy.shape[1] // groups, math.prod(outs)))  # (B, G, O/G, OH * OW)
    w = xp.sum(xp.matmul(dy, cols), axis=0)  # (G, O/G, C/G * KH * KW)
    return w.reshape((dy.shape[1] * dy.shape[2], x.shape[1] // groups, *size))


@convolution_weight.rule("x")
def _(F, g, dy, shapes, stride, padding, dilation, groups):
    return F.convolution_input(
        dy, g, size=shapes.x[2:], stride=stride, padding=padding, dilation=dilation, groups=groups
    )


@convolution_weight.rule("dy")
def _(F, g, x, stride, padding, dilation, groups):
    return F.convolution(x, g, stride=stride, padding=padding, dilation=dilation, groups=groups)
