"""Convolution over one, two or three spatial axes and its two gradients: the choice among six algorithms.

    winograd.py         3 x 3, stride 1, float32: a quarter of the multiplications
    depthwise.py        a kernel for each channel, channels along the vector lanes: narrow images, gradients of strides
    planar.py           columns along the vector lanes: few channels, groups, kernels of one element
    matmul.py           kernels of one element on few places: the product of the weights with each image
    conv_direct.py      output channels along the lanes: forward and weight gradient of all others
    conv_transposed.py  the input gradient of all others

Each works on (B, C, H, W). One spatial axis is an image of height 1. Of three, the depth taps become channels: image
(b, od) of x' has the channels (c, kd), x'[(b, od), (c, kd)] = x[b, c, od stride + kd dilation - padding], which takes
KD / stride times the memory of x.
"""

import numpy as np

from . import depthwise, planar, winograd
from .conv_direct import direct, direct_weight
from .conv_transposed import scattered
from .matmul import filled, linear, matmul

_PLAIN = (3, 3, 1, 1, 1, 1, 1)  # kernel, stride, dilation, groups: what winograd.py serves


def _ready(x):
    return x if x.flags.carray else x.copy()


# ---- one and three axes ----------------------------------------------------------------------------------------------
def _flat(params, *, height):
    """The parameters for the last two axes; `height`: those of an axis of length 1 come before the only one."""
    before = {"stride": (1,), "padding": (0,), "dilation": (1,), "size": (1,)}
    return {k: ((*before[k], *v) if height else v[1:]) if k in before else v for k, v in params.items()}


def _slabs(x, depth, made, stride, padding, dilation):
    """x: (B, C, D, H, W) -> (B * made, C * depth, H, W): for each of the `made` places along D its `depth` taps."""
    end = (made - 1) * stride + (depth - 1) * dilation + 1
    after = max(0, end - x.shape[2] - padding)
    if padding or after:
        x = np.pad(x, ((0, 0), (0, 0), (padding, after), (0, 0), (0, 0)))
    taps = [x[:, :, k * dilation : k * dilation + (made - 1) * stride + 1 : stride] for k in range(depth)]
    slabs = np.stack([t.swapaxes(1, 2) for t in taps], axis=3)  # (B, made, C, depth, H, W)
    return slabs.reshape(-1, slabs.shape[2] * depth, *x.shape[3:])


def _images(x):
    """(B, C, D, H, W) -> (B * D, C, H, W)"""
    return np.ascontiguousarray(x.swapaxes(1, 2)).reshape(-1, x.shape[1], *x.shape[3:])


# ---- kernels of one element ------------------------------------------------------------------------------------------
_FEW_PLACES = 128  # from here on planar.py
_COPIES_PAY = 48  # multiplications for each number that the weight gradient copies


def _is_product(kernel, stride, padding, groups, grid, dtype):
    """Is this W x for each image, and few places that fill the lanes of a product?"""
    places = grid[0] * grid[1]
    one = (*kernel, *stride, *padding, groups) == (1, 1, 1, 1, 0, 0, 1)
    return one and places < _FEW_PLACES and (places == 1 or filled(places, dtype) >= 0.75)


def _product(x, weight, bias):
    """W x + bias of each image. x: (B, C, H, W), weight: (O, C) -> (B, O, H W)"""
    batch, channels, *grid = x.shape
    if grid == [1, 1]:
        return linear(x.reshape(batch, channels), weight, bias)
    y = matmul(weight, x.reshape(batch, channels, -1))
    return y if bias is None else np.add(y, bias[:, None], out=y)


def _product_weight(x, g):
    """The sum over images and places of g x^T. x: (B, C, H, W), g: (B, O, H, W) -> (O, C)"""
    rows = [np.ascontiguousarray(a.reshape(*a.shape[:2], -1).swapaxes(0, 1)).reshape(a.shape[1], -1) for a in (g, x)]
    return matmul(rows[0], rows[1].T)


# ---- the kernels -----------------------------------------------------------------------------------------------------
def convolution(x, weight, bias=None, *, stride, padding, dilation, groups):
    """y[b, o, i, j] = bias[o] + sum over c, k, l of weight[o, c, k, l] x[b, c, i stride + k dilation - padding, ...].

    x: (B, C, H, W), weight: (O, C/groups, KH, KW), bias: (O,) or None -> (B, O, OH, OW), or one axis more or less;
    stride, padding, dilation: one number for each axis. Float32 or float64, all the same.
    """
    out, channels, *kernel = weight.shape
    spans = zip(x.shape[2:], kernel, stride, padding, dilation, strict=True)
    grid = [(n + 2 * p - d * (k - 1) - 1) // s + 1 for n, k, s, p, d in spans]
    shape = (x.shape[0], out, *grid)
    if not weight.size or 0 in shape:
        y = np.zeros(shape, x.dtype)
        return y if bias is None else y + bias.reshape(-1, *[1] * len(grid))
    params = {"stride": stride, "padding": padding, "dilation": dilation, "groups": groups}
    if x.ndim == 3:
        return convolution(x[:, :, None], weight[:, :, None], bias, **_flat(params, height=True)).reshape(shape)
    if x.ndim == 5:
        slabs = _slabs(x, kernel[0], grid[0], stride[0], padding[0], dilation[0])
        y = convolution(slabs, weight.reshape(out, -1, *kernel[1:]), bias, **_flat(params, height=False))
        return np.ascontiguousarray(y.reshape(-1, grid[0], out, *grid[1:]).swapaxes(1, 2))
    x, weight = _ready(x), _ready(weight)
    if _is_product(kernel, stride, padding, groups, grid, x.dtype):
        return _product(x, weight.reshape(out, channels), bias).reshape(shape)
    y, bias = np.empty(shape, x.dtype), bias if bias is None else _ready(bias)
    plain = (*kernel, *stride, *dilation, groups) == _PLAIN
    if plain and winograd.pays(x, channels, out, grid, grid) and winograd.filtered(x, weight, y, padding, bias):
        return y
    if depthwise.fits(channels, out // groups, groups, grid[1]):
        depthwise.forward(x, weight, y, stride, padding, dilation, bias)
        return y
    fits = planar.fits(kernel, stride, padding, grid, channels, out // groups, groups, x.dtype)
    (planar.across if fits else direct)(x, weight, y, stride, padding, dilation, groups, bias)
    return y


def convolution_input(g, weight, *, size, stride, padding, dilation, groups):
    """The gradient of `convolution` for x. g: (B, O, OH, OW), weight: (O, C/groups, KH, KW), size: (H, W) -> (B, C, H,
    W).
    """
    out, channels, *kernel = weight.shape
    shape = (g.shape[0], channels * groups, *size)
    if not (weight.size and g.size) or 0 in shape:
        return np.zeros(shape, g.dtype)
    params = {"size": size, "stride": stride, "padding": padding, "dilation": dilation, "groups": groups}
    if g.ndim == 3:
        return convolution_input(g[:, :, None], weight[:, :, None], **_flat(params, height=True)).reshape(shape)
    if g.ndim == 5:
        made, depth = g.shape[2], kernel[0]
        weight = weight.reshape(out, -1, *kernel[1:])  # (O, C/groups * KD, KH, KW)
        slabs = convolution_input(_images(g), weight, **_flat(params, height=False))
        slabs = slabs.reshape(-1, made, shape[1], depth, *size[1:])
        line = max((made - 1) * stride[0] + (depth - 1) * dilation[0] + 1, padding[0] + size[0])
        dx = np.zeros((*shape[:2], line, *size[1:]), g.dtype)  # with the padding of the depth
        for k in range(depth):
            first = k * dilation[0]
            dx[:, :, first : first + (made - 1) * stride[0] + 1 : stride[0]] += slabs[:, :, :, k].swapaxes(1, 2)
        return np.ascontiguousarray(dx[:, :, padding[0] : padding[0] + size[0]])
    g, weight = _ready(g), _ready(weight)
    if _is_product(kernel, stride, padding, groups, size, g.dtype):
        return _product(g, weight.reshape(out, channels).T, None).reshape(shape)
    dx = np.empty(shape, g.dtype)
    plain = (*kernel, *stride, *dilation, groups) == _PLAIN and max(padding) <= 2
    pays = plain and winograd.pays(g, out, channels, size, g.shape[2:])
    if pays and winograd.filtered(g, weight, dx, [2 - p for p in padding], turned=True):
        return dx
    if depthwise.fits(channels, out // groups, groups, size[1], max(stride)):
        depthwise.input_gradient(g, weight, dx, stride, padding, dilation)
        return dx
    border = [d * (k - 1) - p for d, k, p in zip(dilation, kernel, padding, strict=True)]
    thin = (groups > 1 and channels < 16) or (kernel == [1, 1] and size[0] * size[1] >= 128)
    if thin and tuple(stride) == (1, 1) and min(border) >= 0:  # the convolution of g with the turned kernel
        turned = weight.reshape(groups, out // groups, channels, *kernel)[..., ::-1, ::-1].swapaxes(1, 2)
        turned = np.ascontiguousarray(turned).reshape(-1, out // groups, *kernel)  # (C, O/groups, KH, KW)
        planar.across(g, turned, dx, stride, border, dilation, groups)
    else:
        scattered(g, weight, dx, stride, padding, dilation, groups)
    return dx


def convolution_weight(x, g, *, size, stride, padding, dilation, groups):
    """The gradient of `convolution` for weight. x: (B, C, H, W), g: (B, O, OH, OW), size: (KH, KW) -> (O, C/groups,
    KH, KW).

    Each thread sums its images: the rounding of the last sum depends on the number of threads.
    """
    out, channels = g.shape[1], x.shape[1] // groups
    shape = (out, channels, *size)
    if not (x.size and g.size) or 0 in shape:
        return np.zeros(shape, x.dtype)
    params = {"size": size, "stride": stride, "padding": padding, "dilation": dilation, "groups": groups}
    if x.ndim == 3:
        return convolution_weight(x[:, :, None], g[:, :, None], **_flat(params, height=True)).reshape(shape)
    if x.ndim == 5:
        slabs = _slabs(x, size[0], g.shape[2], stride[0], padding[0], dilation[0])
        return convolution_weight(slabs, _images(g), **_flat(params, height=False)).reshape(shape)
    x, g, grid = _ready(x), _ready(g), g.shape[2:]
    if _is_product(size, stride, padding, groups, grid, x.dtype) and out * channels >= _COPIES_PAY * (out + channels):
        return _product_weight(x, g).reshape(shape)
    dw = np.empty(shape, x.dtype)
    plain = (*size, *stride, *dilation, groups) == _PLAIN
    pays = plain and winograd.pays(x, channels, out, grid, grid)
    if pays and winograd.filtered_weight(x, g, dw, padding):
        return dw
    if depthwise.fits(channels, out // groups, groups, grid[1]):
        depthwise.weight_gradient(x, g, dw, stride, padding, dilation)
        return dw
    fits = planar.fits(size, stride, padding, grid, channels, out // groups, groups, x.dtype, gradient=True)
    (planar.across_weight if fits else direct_weight)(x, g, dw, stride, padding, dilation, groups)
    return dw
