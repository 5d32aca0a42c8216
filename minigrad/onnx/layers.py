"""Products, convolution, pooling, normalisation, softmax, attention and recurrence, as the ONNX nodes of their name."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from .elementwise import BOOL, single
from .graph import INT64, Graph, converts, expands

# ---- products --------------------------------------------------------------------------------------------------------


@converts("matmul")
def matmul(g: Graph, e: Any) -> str:
    return g.node("MatMul", g.name(e.a, e.y.dtype), g.name(e.b, e.y.dtype))


@converts("linear")
def linear(g: Graph, e: Any) -> str:
    x, weight, dtype = g.name(e.x, e.y.dtype), g.name(e.weight, e.y.dtype), e.y.dtype
    bias = None if len(e.inputs) < 3 or e.bias is None else g.name(e.bias, dtype)
    if len(e.x.shape) == 2:
        return g.node("Gemm", x, weight, *([] if bias is None else [bias]), transB=1)
    y = g.node("MatMul", x, g.transpose(weight, (1, 0)))
    return y if bias is None else g.node("Add", y, bias)


# ---- convolution -----------------------------------------------------------------------------------------------------
@converts("convolution")
def convolution(g: Graph, e: Any) -> str:
    options = {"strides": e.stride, "dilations": e.dilation, "group": e.groups, "pads": (*e.padding, *e.padding)}
    return g.node("Conv", *(g.name(v, e.y.dtype) for v in e.inputs if v is not None), **options)


@converts("convolution_input")
def convolution_input(g: Graph, e: Any) -> str:
    least = [
        (n - 1) * s - 2 * p + d * (k - 1) + 1
        for n, s, p, d, k in zip(e.dy.shape[2:], e.stride, e.padding, e.dilation, e.weight.shape[2:])
    ]
    options = {"strides": e.stride, "dilations": e.dilation, "group": e.groups, "pads": (*e.padding, *e.padding)}
    extra = [int(n) - int(m) for n, m in zip(e.size, least)]
    return g.node(
        "ConvTranspose", g.name(e.dy, e.y.dtype), g.name(e.weight, e.y.dtype), output_padding=extra, **options
    )


# ---- pooling ---------------------------------------------------------------------------------------------------------
def pooled(g: Graph, op: str, e: Any, x: Any, outputs: int = 1, **options: Any) -> list[str]:
    """A pooling node over the last len(size) axes; ONNX wants just two before them."""
    n, size = len(e.size), tuple(e.size)
    lead, spatial = x.shape[:-n], x.shape[-n:]
    name = g.name(x)
    if len(lead) == 1:
        name = g.unsqueeze(name, (0,))
    elif len(lead) != 2:
        name = g.node("Reshape", name, g.ints((1, math.prod(lead), *spatial)))
    made = g.node(op, name, outputs=outputs, kernel_shape=size, strides=tuple(e.stride), **options)
    made = [made] if outputs == 1 else list(made)
    if len(lead) == 1:
        return [g.squeeze(y, (0,)) for y in made]
    return made if len(lead) == 2 else [g.shape(y, (), e.outputs[0].shape) for y in made]


@converts("max_pool")
def max_pool(g: Graph, e: Any) -> list[str]:
    options = {"pads": (*e.padding, *e.padding), "dilations": tuple(e.dilation)}
    y, places = pooled(g, "MaxPool", e, e.x, outputs=2, **options)
    plane = [g.length(n) for n in e.x.shape[-len(e.size) :]]
    area = plane[0]
    for n in plane[1:]:
        area = g.node("Mul", area, n)
    return [y, g.node("Mod", places, area)]  # ONNX counts from the start of the whole array


def average(g: Graph, e: Any) -> str:
    """The mean of each window, zeros of the frame included."""
    pads = (*(a for a, _ in e.frame), *(b for _, b in e.frame))
    return pooled(g, "AveragePool", e, e.x, pads=pads, count_include_pad=1)[0]


@converts("window_sum")
def window_sum(g: Graph, e: Any) -> str:
    return g.node("Mul", average(g, e), g.name(math.prod(e.size), e.y.dtype))


@converts("resample")
def resample(g: Graph, e: Any) -> str:
    name, ndim = g.name(e.x, e.y.dtype), len(e.x.shape)
    for axis, m in zip(range(ndim - len(e.maps), ndim), e.maps):
        if m is None:
            continue
        parts, along = [], (-1, *[1] * (ndim - 1 - axis))
        for k, index in enumerate(m.index):
            part = g.node("Gather", name, g.ints(tuple(np.maximum(index, 0).tolist())), axis=axis)
            weight = (index >= 0).astype(e.y.dtype) * (1 if m.weight is None else m.weight[k].astype(e.y.dtype))
            if m.weight is not None or (index < 0).any():
                part = g.node("Mul", part, g.constant(weight.reshape(along)))
            parts.append(part)
        name = parts[0] if len(parts) == 1 else g.node("Sum", *parts)
    return name


@expands("nearest_index")
def _(F, x):
    return F.astype(F.round(x), dtype="int64")


@expands("adaptive_avg_pool")
def _(F, x, *, size):
    n = len(size)
    if all(o == 1 for o in size):
        return F.mean(x, axis=tuple(range(-n, 0)), keepdims=True)
    spatial = x.shape[-n:]
    if all(o and m % o == 0 for o, m in zip(size, spatial)):
        size = tuple(m // o for o, m in zip(size, spatial))
        return F.window_sum(x, size=size, stride=size, frame=((0, 0),) * n) / math.prod(size)
    for axis, o in zip(range(len(x.shape) - n, len(x.shape)), size):
        m, places = x.shape[axis], np.arange(x.shape[axis])[:, None]
        inside = (places >= np.arange(o) * m // o) & (places < -(-(np.arange(o) + 1) * m // o))  # (m, o)
        order = [*(i for i in range(len(x.shape)) if i != axis), axis]
        means = F.matmul(F.permute_dims(x, axes=order), (inside / np.maximum(inside.sum(0), 1)).astype(x.dtype))
        x = F.permute_dims(means, axes=np.argsort(order).tolist())
    return x


@converts("divide")
def divide(g: Graph, e: Any) -> str:
    a, b = e.inputs
    made = g.maker(a)
    if made and made.primitive == "window_sum" and not hasattr(b, "shape") and b == math.prod(made.size):
        return average(g, made)
    return g.node("Div", g.name(a, e.y.dtype), g.name(b, e.y.dtype))


# ---- normalisation ---------------------------------------------------------------------------------------------------
@converts("batch_norm_eval")
def batch_norm_eval(g: Graph, e: Any) -> str:
    """Noted by `export` for a layer with running statistics. Inputs: x, weight, bias, mean, var."""
    x, weight, bias, mean, var = e.inputs
    ones, zeros = (np.full(mean.shape, v, mean.dtype) for v in (1, 0))
    weight = g.constant(ones) if weight is None else g.name(weight, e.y.dtype)
    bias = g.constant(zeros) if bias is None else g.name(bias, e.y.dtype)
    statistics = g.name(mean, e.y.dtype), g.name(var, e.y.dtype)
    return g.node("BatchNormalization", g.name(x, e.y.dtype), weight, bias, *statistics, epsilon=float(e.eps))


@converts("layer_norm", when=single)
def layer_norm(g: Graph, e: Any) -> str:
    weight, bias = (*e.inputs[1:], None, None)[:2]
    shape = e.x.shape[len(e.x.shape) - e.ndim :]
    scale = g.fill(shape, 1, e.y.dtype) if weight is None else g.name(weight, e.y.dtype)
    operands = [g.name(e.x, e.y.dtype), scale] + ([] if bias is None else [g.name(bias, e.y.dtype)])
    return g.node("LayerNormalization", *operands, axis=-int(e.ndim), epsilon=float(e.eps))


# ---- softmax and attention -------------------------------------------------------------------------------------------
def some(x: Any, **params: Any) -> bool:
    return len(x.shape) > 0


@converts("softmax", "log_softmax", when=some)
def softmax(g: Graph, e: Any) -> str:
    op = "Softmax" if e.primitive == "softmax" else "LogSoftmax"
    return g.node(op, g.name(e.x, e.y.dtype), axis=int(e.axis))


@converts("attention", when=lambda q, k, v, mask=None, seed=None, *, dropout, **params: not dropout)
def attention(g: Graph, e: Any) -> str:
    """softmax(q k.mT scale + mask) v, where a query that sees no key gets zeros."""
    q, k, v, mask = (*e.inputs, None)[:4]
    dtype, n = e.y.dtype, len(k.shape)
    keys = g.transpose(g.name(k, dtype), [*range(n - 2), n - 1, n - 2])
    scores = g.node("MatMul", g.name(q, dtype), keys)  # (..., T, S)
    scale = q.shape[-1] ** -0.5 if e.scale is None else e.scale
    scores = g.node("Mul", scores, g.name(float(scale), dtype))
    lowest = g.name(float(np.finfo(dtype).min), dtype)
    unseen = None
    if mask is not None and mask.dtype == BOOL:
        unseen = g.node("Not", g.name(mask))
    elif mask is not None:
        scores = g.node("Add", scores, g.name(mask, dtype))
        unseen = g.node("Equal", scores, g.name(-math.inf, dtype))
    if e.causal:
        ones = g.fill((q.shape[-2], k.shape[-2]), 1, INT64)
        later = g.cast(g.node("Trilu", ones, g.name(1, INT64), upper=1), INT64, BOOL)
        unseen = later if unseen is None else g.node("Or", unseen, later)
    if unseen is not None:  # finite: where nothing is seen, softmax of -inf would be NaN
        scores = g.node("Where", unseen, lowest, scores)
    p = g.node("Softmax", scores, axis=-1)
    if mask is not None and unseen is not None:
        p = g.node("Where", unseen, g.name(0.0, dtype), p)
    return g.node("MatMul", p, g.name(v, dtype))


# ---- recurrence ------------------------------------------------------------------------------------------------------
# ONNX stacks the directions along an axis in front, here of length 1, and has the gates in another order.


def gates_in_order(g: Graph, e: Any, order: tuple[int, ...]) -> list[str]:
    """W (1, G H, I), R (1, G H, H) and, with biases, B (1, 2 G H): the rows of gate order[i] at place i."""
    h, dtype = e.weight_hh.shape[1], e.y.dtype
    rows = np.concatenate([np.arange(k * h, (k + 1) * h) for k in order])

    def turned(x: Any) -> str:
        name = g.name(x, dtype)
        return name if len(order) == 1 else g.node("Gather", name, g.constant(rows), axis=0)

    made = [g.unsqueeze(turned(w), (0,)) for w in (e.weight_ih, e.weight_hh)]
    biases = [getattr(e, name, None) for name in ("bias_ih", "bias_hh")]
    if biases != [None, None]:
        zeros = g.fill((len(order) * h,), 0, dtype)
        both = [zeros if b is None else turned(b) for b in biases]
        made.append(g.unsqueeze(g.node("Concat", *both, axis=0), (0,)))
    return made


def recurrent(g: Graph, e: Any, op: str, order: tuple[int, ...], states: list[Any], **options: Any) -> tuple[str, ...]:
    x, *weights = g.name(e.x, e.y.dtype), *gates_in_order(g, e, order)
    bias = weights.pop() if len(weights) == 3 else ""
    starts = [g.unsqueeze(g.name(s, e.y.dtype), (0,)) for s in states]  # (1, B, H)
    direction = "reverse" if e.reverse else "forward"
    size = int(e.weight_hh.shape[1])
    return g.node(
        op, x, *weights, bias, "", *starts, outputs=1 + len(states), direction=direction, hidden_size=size, **options
    )


@converts("lstm_sequence")
def lstm_sequence(g: Graph, e: Any) -> str:
    y, _, c = recurrent(g, e, "LSTM", (0, 3, 1, 2), [e.h0, e.c0])  # i, o, f, g
    return g.node("Concat", g.squeeze(y, (1,)), c, axis=0)  # (T + 1, B, H), the last c behind


@converts("gru_sequence")
def gru_sequence(g: Graph, e: Any) -> str:
    y, _ = recurrent(g, e, "GRU", (1, 0, 2), [e.h0], linear_before_reset=1)  # z, r, n
    return g.squeeze(y, (1,))


@converts("rnn_sequence")
def rnn_sequence(g: Graph, e: Any) -> str:
    y, _ = recurrent(g, e, "RNN", (0,), [e.h0], activations=["Relu" if e.relu else "Tanh"])
    return g.squeeze(y, (1,))
