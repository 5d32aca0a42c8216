"""Convolution and its two gradients by cuDNN: see cudnn.py."""

from . import conv as own
from . import matmul
from .cudnn import Drawing, plan
from .launch import device


def _unwanted(dtype):
    """Plans whose bits change from run to run, that add halves in halves, or round float32 to TF32 unasked."""
    notes = ("NONDETERMINISTIC", "REDUCED_PRECISION_REDUCTION")
    if str(dtype) != "float32":
        return notes
    return (*notes, "DOWN_CONVERT_INPUTS", *(() if matmul.tf32 else ("TENSOR_CORE",)))


def _planar(shape):
    """cuDNN knows two and three axes: one axis of length 1 before the only one."""
    return shape if len(shape) > 3 else (*shape[:2], 1, shape[2])


def _steps(stride, padding, dilation):
    first = 2 - min(len(stride), 2)  # axes to put before
    return {
        "stride": [*[1] * first, *stride], "padding": [*[0] * first, *padding], "dilation": [*[1] * first, *dilation]
    }  # fmt: skip


def _asked(dtype, *steps):
    return (dtype, *(tuple(s) for s in steps), _unwanted(dtype))


def _lengths(size, kernel, *steps):
    return tuple((n + 2 * p - d * (k - 1) - 1) // s + 1 for n, k, s, p, d in zip(size, kernel, *steps))


def _draw_forward(x, weight, y, biased, dtype, stride, padding, dilation, unwanted):
    d, steps = Drawing(dtype), _steps(stride, padding, dilation)
    out = d.graph.conv_fprop(image=d.given(_planar(x)), weight=d.given(_planar(weight)), **steps)
    if biased:
        out = d.graph.bias(input=out, bias=d.given((1, y[1], *[1] * len(_planar(y)[2:]))))
    d.made(out, _planar(y))
    return d.planned(unwanted)


def convolution(x, weight, bias=None, *, stride, padding, dilation, groups):
    on = device()
    options = {"stride": stride, "padding": padding, "dilation": dilation, "groups": groups}
    shape = (x.shape[0], weight.shape[0], *_lengths(x.shape[2:], weight.shape[2:], stride, padding, dilation))
    asked = _asked(x.dtype, stride, padding, dilation)
    run = plan(_draw_forward, tuple(x.shape), tuple(weight.shape), shape, bias is not None, *asked)
    if run is None:
        return own.convolution(x, weight, bias, **options)
    y = on.empty(shape, x.dtype)
    run(*(on.packed(a) for a in (x, weight, bias) if a is not None), y)
    return y


def _draw_input(dy, weight, x, dtype, stride, padding, dilation, unwanted):
    d, steps = Drawing(dtype), _steps(stride, padding, dilation)
    d.made(d.graph.conv_dgrad(loss=d.given(_planar(dy)), filter=d.given(_planar(weight)), **steps), _planar(x))
    return d.planned(unwanted)


def convolution_input(dy, weight, *, size, stride, padding, dilation, groups):
    on, shape = device(), (dy.shape[0], weight.shape[1] * groups, *size)
    asked = _asked(dy.dtype, stride, padding, dilation)
    run = plan(_draw_input, tuple(dy.shape), tuple(weight.shape), shape, *asked)
    if run is None:
        options = {"stride": stride, "padding": padding, "dilation": dilation, "groups": groups}
        return own.convolution_input(dy, weight, size=size, **options)
    dx = on.empty(shape, dy.dtype)
    run(on.packed(dy), on.packed(weight), dx)
    return dx


def _draw_weight(x, dy, weight, dtype, stride, padding, dilation, unwanted):
    d, steps = Drawing(dtype), _steps(stride, padding, dilation)
    d.made(d.graph.conv_wgrad(image=d.given(_planar(x)), loss=d.given(_planar(dy)), **steps), _planar(weight))
    return d.planned(unwanted)


def convolution_weight(x, dy, *, size, stride, padding, dilation, groups):
    on, shape = device(), (dy.shape[1], x.shape[1] // groups, *size)
    asked = _asked(x.dtype, stride, padding, dilation)
    run = plan(_draw_weight, tuple(x.shape), tuple(dy.shape), shape, *asked)
    if run is None:
        options = {"stride": stride, "padding": padding, "dilation": dilation, "groups": groups}
        return own.convolution_weight(x, dy, size=size, **options)
    dweight = on.empty(shape, x.dtype)
    run(on.packed(x), on.packed(dy), dweight)
    return dweight
