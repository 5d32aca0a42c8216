"""The primitives of neural networks: softmax, normalisation, convolution, pooling."""

import itertools
import math

import numpy as np

from ..errors import ShapeError
from ..primitive import Spec, axes_of, broadcast_shapes, case, fused, ints, primitive, result_dtype

# ---- softmax -------------------------------------------------------------------------------------------------------
CASES = (case((3, 4), axis=-1), case((2, 3, 2), axis=1), case((3, 1), axis=1), case((0, 3), axis=0), case((), axis=0))


def _softmax_shape(op, *specs, axis):
    s = specs[0]
    axes_of(op, axis, max(len(s.shape), 1))
    return Spec(tuple(s.shape), result_dtype("float", *specs))


def _softmax_gradient_shape(op, dy, p, *, axis):
    if tuple(dy.shape) != tuple(p.shape):
        raise ShapeError(f"{op}: the gradient and the output must have one shape: got {dy.shape} and {p.shape}.")
    return _softmax_shape(op, p, dy, axis=axis)


def _shifted(F, x, axis):
    """x minus its max over the axis: exp overflows above ~88 in float32."""
    return x - F.max(x, axis=axis, keepdims=True) if x.shape and 0 not in x.shape else x - x


@fused(shape=_softmax_shape, kind="float", samples=CASES)
def softmax(F, x, *, axis=-1):
    """y = e**x / sum(e**x) over `axis`: positive and summing to 1. x: any shape; a 0-d x gives 1."""
    e = F.exp(_shifted(F, x, axis))
    return e / F.sum(e, axis=axis, keepdims=True) if x.shape else e


@softmax.rule("x")
def _(F, g, y, axis):
    return F.softmax_backward(g, y, axis=axis)


@fused(shape=_softmax_gradient_shape, samples=(case((3, 4), (3, 4), axis=-1),))
def softmax_backward(F, dy, p, *, axis):
    """dx = p (dy - sum(dy p)): the gradient of softmax from its output p."""
    return p * (dy - F.sum(dy * p, axis=axis, keepdims=True)) if p.shape else dy * 0


@fused(shape=_softmax_shape, kind="float", samples=CASES)
def log_softmax(F, x, *, axis=-1):
    """y = x - ln(sum(e**x)) over `axis`, computed without forming small probabilities."""
    x = _shifted(F, x, axis)
    return x - F.log(F.sum(F.exp(x), axis=axis, keepdims=True)) if x.shape and 0 not in x.shape else x


@log_softmax.rule("x")
def _(F, g, y, axis):
    return F.log_softmax_backward(g, y, axis=axis)


softmax.casts = log_softmax.casts = True


@fused(shape=_softmax_gradient_shape, samples=(case((3, 4), (3, 4), axis=-1),))
def log_softmax_backward(F, dy, logp, *, axis):
    """dx = dy - e**logp sum(dy): the gradient of log_softmax from its output logp."""
    return dy - F.exp(logp) * F.sum(dy, axis=axis, keepdims=True) if logp.shape else dy * 0


# ---- cross-entropy -------------------------------------------------------------------------------------------------
def _cross_entropy_shape(op, x, labels):
    if len(x.shape) != 2 or tuple(labels.shape) != tuple(x.shape[:1]):
        raise ShapeError(
            f"{op}: needs scores (N, K) and labels (N,): got {tuple(x.shape)} and {tuple(labels.shape)}. For other "
            f"layouts: nn.functional.cross_entropy."
        )
    return Spec(tuple(labels.shape), result_dtype("float", x))


@fused(
    shape=_cross_entropy_shape,
    saves=("top", "log_total"),
    kind="float",
    public=False,
    samples=(case((3, 4), ints((3,), 4)), case((5, 3), ints((5,), 3)), case((2, 1), ints((2,), 1))),
)
def cross_entropy(F, x, labels):
    """y = -log_softmax(x)[label], one loss a row. x: (N, K) scores, labels: (N,) integers from 0 to K - 1; y: (N,)."""
    top = F.max(x, axis=-1, keepdims=True)  # (N, 1)
    x = x - top  # exp overflows above ~88 in float32
    log_total = F.log(F.sum(F.exp(x), axis=-1, keepdims=True))  # (N, 1)
    picked = F.take_along_axis(x, F.expand_dims(labels, axis=-1), axis=-1)  # (N, 1)
    return F.squeeze(log_total - picked, axis=-1), top, log_total


@cross_entropy.rule("x")
def _(F, g, x, labels, top, log_total):
    return F.cross_entropy_backward(g, x, labels, top, log_total)


@fused(
    shape=lambda op, dy, x, labels, top, log_total: Spec(tuple(x.shape), result_dtype("float", dy, x)),
    public=False,
    samples=(case((3,), (3, 4), ints((3,), 4), (3, 1), (3, 1)),),
)
def cross_entropy_backward(F, dy, x, labels, top, log_total):
    """dx = dy (softmax(x) - onehot(label)), where softmax(x) = e**(x - top - log_total). dy: (N,), top, log_total:
    (N, 1)."""
    dy = F.reshape(dy, shape=(-1, 1))  # (N, 1)
    onehot = F.add_along_axis(dy, F.expand_dims(labels, axis=-1), axis=-1, size=x.shape[-1])  # (N, K), times dy
    return dy * F.exp(x - top - log_total) - onehot


# ---- normalisation -------------------------------------------------------------------------------------------------
def _layer_norm_shape(op, x, weight=None, bias=None, *, ndim=1, eps=1e-5):
    normalized = tuple(x.shape[len(x.shape) - ndim :]) if ndim <= len(x.shape) else None
    for name, p in (("weight", weight), ("bias", bias)):
        if p is not None and tuple(p.shape) != normalized:
            raise ShapeError(
                f"{op}: {name} must have the shape of the last {ndim} axes of x: {name} is {tuple(p.shape)}, x is "
                f"{tuple(x.shape)}."
            )
    return Spec(tuple(x.shape), result_dtype("float", x))


@fused(
    shape=_layer_norm_shape,
    saves=("mean", "rstd"),
    kind="float",
    samples=(case((3, 4), (4,), (4,)), case((2, 3, 2), (3, 2), (3, 2), ndim=2), case((3, 4)), case((2, 5), (5,))),
)
def layer_norm(F, x, weight=None, bias=None, *, ndim=1, eps=1e-5):
    """y = (x - mean) / sqrt(var + eps) * weight + bias over the last `ndim` axes, var biased.
    x: (..., C); weight, bias: (C,) or None. Ba, Kiros, Hinton 2016, arXiv:1607.06450."""
    axes = tuple(range(-ndim, 0))
    mean = F.mean(x, axis=axes, keepdims=True)  # (..., 1)
    xc = x - mean
    rstd = F.rsqrt(F.mean(xc * xc, axis=axes, keepdims=True) + eps)  # (..., 1)
    y = xc * rstd
    y = y if weight is None else y * weight
    return y if bias is None else y + bias, mean, rstd


@layer_norm.rule("x", "weight", "bias")
def _(F, g, x, weight, mean, rstd, ndim):
    return F.layer_norm_backward(g, x, mean, rstd, weight, ndim=ndim)


@fused(
    shape=lambda op, dy, x, mean, rstd, weight=None, *, ndim=1: Spec(
        broadcast_shapes(op, dy.shape, x.shape), result_dtype("float", dy, x)
    ),
    outputs=3,
    kind="float",
    public=False,
    samples=(
        case((3, 4), (3, 4), (3, 1), (3, 1), (4,)),
        case((2, 3, 2), (2, 3, 2), (2, 1, 1), (2, 1, 1), (3, 2), ndim=2),
        case((3, 4), (3, 4), (3, 1), (3, 1)),
    ),
)
def layer_norm_backward(F, dy, x, mean, rstd, weight=None, *, ndim=1):
    """The gradients of layer_norm for x, weight and bias. With xhat = (x - mean) rstd, g = dy weight and means over
    the last `ndim` axes: dx = rstd (g - mean(g) - xhat mean(g xhat)); dweight = sum(dy xhat), dbias = sum(dy)."""
    axes, rows = tuple(range(-ndim, 0)), tuple(range(len(x.shape) - ndim))
    xhat = (x - mean) * rstd  # (..., C)
    g = dy if weight is None else dy * weight
    dx = rstd * (g - F.mean(g, axis=axes, keepdims=True) - xhat * F.mean(g * xhat, axis=axes, keepdims=True))
    return dx, F.sum(dy * xhat, axis=rows), F.sum(dy, axis=rows)  # (..., C), (C,), (C,)


@fused(
    shape=lambda op, x, weight=None, *, ndim=1, eps=1e-5: _layer_norm_shape(op, x, weight, ndim=ndim),
    saves=("rstd",),
    kind="float",
    public=False,
    samples=(
        case((3, 4), (4,), eps=1e-5), case((2, 3, 2), (3, 2), ndim=2, eps=1e-6), case((3, 4), eps=1e-5),
        case((3, 1), (1,), eps=1e-2),
    ),
)  # fmt: skip
def rms_norm(F, x, weight=None, *, ndim=1, eps=1e-5):
    """y = x / sqrt(mean(x**2) + eps) * weight over the last `ndim` axes. x: (..., C); weight: (C,) or None.
    Zhang, Sennrich 2019, arXiv:1910.07467."""
    rstd = F.rsqrt(F.mean(F.square(x), axis=tuple(range(-ndim, 0)), keepdims=True) + eps)  # (..., 1)
    y = x * rstd
    return y if weight is None else y * weight, rstd


@rms_norm.rule("x", "weight")
def _(F, g, x, weight, rstd, ndim):
    return F.rms_norm_backward(g, x, rstd, weight, ndim=ndim)


@fused(
    shape=lambda op, dy, x, rstd, weight=None, *, ndim=1: Spec(
        broadcast_shapes(op, dy.shape, x.shape), result_dtype("float", dy, x)
    ),
    outputs=2,
    kind="float",
    public=False,
    samples=(
        case((3, 4), (3, 4), (3, 1), (4,)), case((2, 3, 2), (2, 3, 2), (2, 1, 1), (3, 2), ndim=2),
        case((3, 4), (3, 4), (3, 1)),
    ),
)  # fmt: skip
def rms_norm_backward(F, dy, x, rstd, weight=None, *, ndim=1):
    """The gradients of rms_norm for x and weight. With xhat = x rstd, g = dy weight and the mean over the last `ndim`
    axes: dx = rstd (g - xhat mean(g xhat)); dweight = sum(dy xhat)."""
    xhat = x * rstd  # (..., C)
    g = dy if weight is None else dy * weight
    dx = rstd * (g - xhat * F.mean(g * xhat, axis=tuple(range(-ndim, 0)), keepdims=True))
    return dx, F.sum(dy * xhat, axis=tuple(range(len(x.shape) - ndim)))  # (..., C), (C,)


def _group_norm_shape(op, x, weight=None, bias=None, *, groups=1, eps=1e-5):
    if len(x.shape) < 2 or groups < 1 or x.shape[1] % groups:
        raise ShapeError(f"{op}: x must be (B, C, ...) with C divisible by {groups} groups: got {tuple(x.shape)}.")
    return _batch_norm_shape(op, x, weight, bias)


@fused(
    shape=_group_norm_shape,
    saves=("mean", "rstd"),
    kind="float",
    public=False,
    samples=(
        case((2, 4, 3), (4,), (4,), groups=2), case((3, 4), (4,), groups=2), case((2, 3, 2, 2), groups=3),
        case((2, 3, 5), (3,), (3,), groups=1),
    ),
)  # fmt: skip
def group_norm(F, x, weight=None, bias=None, *, groups=1, eps=1e-5):
    """y = (x - mean) / sqrt(var + eps) * weight + bias, mean and biased variance over the channels of each of `groups`
    groups and all axes that follow. x: (B, C, ...); weight, bias: (C,) or None. Wu, He 2018, arXiv:1803.08494."""
    grouped = F.reshape(x, shape=(x.shape[0], groups, -1))  # (B, G, n)
    mean = F.mean(grouped, axis=-1, keepdims=True)  # (B, G, 1)
    xc = grouped - mean
    rstd = F.rsqrt(F.mean(xc * xc, axis=-1, keepdims=True) + eps)  # (B, G, 1)
    y = F.reshape(xc * rstd, shape=tuple(x.shape))
    y = y if weight is None else y * per_channel(F, weight, x)
    return y if bias is None else y + per_channel(F, bias, x), mean, rstd


@group_norm.rule("x", "weight", "bias")
def _(F, g, x, weight, mean, rstd, groups):
    return F.group_norm_backward(g, x, mean, rstd, weight, groups=groups)


@fused(
    shape=lambda op, dy, x, mean, rstd, weight=None, *, groups=1: Spec(tuple(x.shape), result_dtype("float", dy, x)),
    outputs=3,
    kind="float",
    public=False,
    samples=(
        case((2, 4, 3), (2, 4, 3), (2, 2, 1), (2, 2, 1), (4,), groups=2),
        case((3, 4), (3, 4), (3, 2, 1), (3, 2, 1), groups=2),
    ),
)
def group_norm_backward(F, dy, x, mean, rstd, weight=None, *, groups=1):
    """The gradients of group_norm for x, weight and bias: as those of layer_norm, over each group; those of weight and
    bias (C,) are summed over all axes but the channels'."""
    axes, by_group = (0, *range(2, len(x.shape))), (x.shape[0], groups, -1)
    xhat = (F.reshape(x, shape=by_group) - mean) * rstd  # (B, G, n)
    g = F.reshape(dy if weight is None else dy * per_channel(F, weight, x), shape=by_group)
    dx = rstd * (g - F.mean(g, axis=-1, keepdims=True) - xhat * F.mean(g * xhat, axis=-1, keepdims=True))
    dweight = F.sum(dy * F.reshape(xhat, shape=tuple(x.shape)), axis=axes)
    return F.reshape(dx, shape=tuple(x.shape)), dweight, F.sum(dy, axis=axes)  # (B, C, ...), (C,), (C,)


def _batch_norm_shape(op, x, weight=None, bias=None, *, eps=1e-5):
    if len(x.shape) < 2:
        raise ShapeError(f"{op}: x must be (B, C, ...): got {tuple(x.shape)}.")
    channels = x.shape[1]
    for name, p in (("weight", weight), ("bias", bias)):
        if p is not None and tuple(p.shape) != (channels,):
            raise ShapeError(
                f"{op}: {name} must be (C,) = ({channels},) for x of shape {tuple(x.shape)}: got {tuple(p.shape)}."
            )
    return Spec(tuple(x.shape), result_dtype("float", x))


def per_channel(F, v, x):
    """(C,) shaped to broadcast over (B, C, ...)."""
    return F.reshape(v, shape=(1, -1, *([1] * (len(x.shape) - 2))))


@fused(
    shape=_batch_norm_shape,
    outputs=3,
    kind="float",
    samples=(case((4, 2, 3), (2,), (2,)), case((4, 3)), case((3, 2, 2, 2), (2,))),
)
def batch_norm(F, x, weight=None, bias=None, *, eps=1e-5):
    """y = (x - mean) / sqrt(var + eps) * weight + bias, mean and biased variance over all axes but axis 1.
    x: (B, C, ...); weight, bias: (C,) or None; returns y, mean (C,), var (C,). Ioffe, Szegedy 2015,
    arXiv:1502.03167."""
    axes = (0, *range(2, len(x.shape)))
    mean = F.mean(x, axis=axes)  # (C,)
    xc = x - per_channel(F, mean, x)
    var = F.mean(xc * xc, axis=axes)  # (C,)
    scale = F.rsqrt(var + eps)
    scale = scale if weight is None else scale * weight  # (C,): one product per channel, not per element
    y = xc * per_channel(F, scale, x)
    return y if bias is None else y + per_channel(F, bias, x), mean, var


@batch_norm.rule("x", "weight", "bias")
def _(F, g, x, weight, y, eps):
    _, mean, var = y
    return F.batch_norm_backward(*g, x, mean, F.rsqrt(var + eps), weight)


@fused(
    shape=lambda op, dy, dmean, dvar, x, mean, rstd, weight=None: Spec(tuple(x.shape), result_dtype("float", dy, x)),
    outputs=3,
    kind="float",
    public=False,
    samples=(
        case((4, 2, 3), (2,), (2,), (4, 2, 3), (2,), (2,), (2,)),
        case((4, 3), (3,), (3,), (4, 3), (3,), (3,), (3,)),
        case((3, 2, 2, 2), (2,), (2,), (3, 2, 2, 2), (2,), (2,)),
    ),
)
def batch_norm_backward(F, dy, dmean, dvar, x, mean, rstd, weight=None):
    """The gradients of batch_norm for x, weight and bias, from those of its outputs y, mean and var.
    dy, x: (B, C, ...); the others (C,); rstd = (var + eps)**-1/2."""
    # With xhat = (x - mean) r and per-channel means over the n elements of a channel:
    #   dx = w r (dy - mean(dy) - xhat mean(dy xhat)) + (dmean + 2 (x - mean) dvar) / n
    axes = (0, *range(2, len(x.shape)))
    n = 1
    for i in axes:
        n *= x.shape[i]
    xc = x - per_channel(F, mean, x)
    sum_g, sum_gx = F.sum(dy, axis=axes), F.sum(dy * xc, axis=axes) * rstd  # (C,)
    wr = rstd if weight is None else rstd * weight
    slope = 2 * dvar / n - wr * rstd * sum_gx / n  # of xc, (C,)
    offset = dmean / n - wr * sum_g / n
    dx = dy * per_channel(F, wr, x) + xc * per_channel(F, slope, x) + per_channel(F, offset, x)
    return dx, sum_gx, sum_g


def _batch_norm_inference_shape(op, x, mean, var, weight=None, bias=None, *, eps=1e-5):
    _batch_norm_shape(op, x, mean, var)
    return _batch_norm_shape(op, x, weight, bias)


@fused(
    shape=_batch_norm_inference_shape,
    kind="float",
    public=False,
    samples=(
        case((4, 2, 3), (2,), (2,), (2,), (2,), eps=9.0), case((4, 3), (3,), (3,), (3,), eps=9.0),
        case((3, 2, 2, 2), (2,), (2,), eps=9.0),
    ),
)  # fmt: skip
def batch_norm_inference(F, x, mean, var, weight=None, bias=None, *, eps=1e-5):
    """y = (x - mean) / sqrt(var + eps) * weight + bias per channel, with the mean and variance given.
    x: (B, C, ...); the others (C,), weight and bias or None. Ioffe, Szegedy 2015, arXiv:1502.03167, algorithm 2."""
    scale = F.rsqrt(var + eps)
    scale = scale if weight is None else scale * weight  # (C,)
    y = (x - per_channel(F, mean, x)) * per_channel(F, scale, x)
    return y if bias is None else y + per_channel(F, bias, x)


@batch_norm_inference.rule("x", "weight", "bias")
def _(F, g, x, mean, var, weight, eps):
    return F.batch_norm_inference_backward(g, x, mean, F.rsqrt(var + eps), weight)


def _batch_norm_inference_gradient_shape(op, dy, x, mean, rstd, weight=None):
    if tuple(dy.shape) != tuple(x.shape):
        raise ShapeError(f"{op}: the gradient and x must have one shape: got {tuple(dy.shape)} and {tuple(x.shape)}.")
    return Spec(_batch_norm_shape(op, x, mean, rstd).shape, result_dtype("float", dy, x))


@fused(
    shape=_batch_norm_inference_gradient_shape,
    outputs=3,
    kind="float",
    public=False,
    samples=(
        case((4, 2, 3), (4, 2, 3), (2,), (2,), (2,)), case((4, 3), (4, 3), (3,), (3,)),
        case((3, 2, 2, 2), (3, 2, 2, 2), (2,), (2,), (2,)),
    ),
)  # fmt: skip
def batch_norm_inference_backward(F, dy, x, mean, rstd, weight=None):
    """The gradients of batch_norm_inference for x, weight and bias: dx = dy weight rstd; with sums over all axes but
    axis 1, dweight = sum(dy (x - mean)) rstd, dbias = sum(dy). dy, x: (B, C, ...); the others (C,)."""
    axes = (0, *range(2, len(x.shape)))
    scale = rstd if weight is None else rstd * weight  # (C,)
    dweight = F.sum(dy * (x - per_channel(F, mean, x)), axis=axes) * rstd
    return dy * per_channel(F, scale, x), dweight, F.sum(dy, axis=axes)


# ---- attention -----------------------------------------------------------------------------------------------------
def _attention_shape(op, q, k, v, mask=None, seed=None, *, causal=False, scale=None, dropout=0.0):
    if min(len(q.shape), len(k.shape), len(v.shape)) < 2 or q.shape[-1] != k.shape[-1] or k.shape[-2] != v.shape[-2]:
        raise ShapeError(
            f"{op}: needs q (..., T, D), k (..., S, D) and v (..., S, E): got {tuple(q.shape)}, {tuple(k.shape)} and "
            f"{tuple(v.shape)}."
        )
    stack = broadcast_shapes(f"{op} (the leading axes)", q.shape[:-2], k.shape[:-2])
    if mask is not None:
        stack = broadcast_shapes(f"{op} (mask)", (*stack, q.shape[-2], k.shape[-2]), mask.shape)[:-2]
    stack = broadcast_shapes(f"{op} (the leading axes)", stack, v.shape[:-2])
    return Spec((*stack, q.shape[-2], v.shape[-1]), result_dtype("float", q, k, v))


def _scores(F, q, k, mask, causal, scale):
    """q k.mT scale (..., T, S), with -inf where nothing is to be seen."""
    scores = F.matmul(q, F.matrix_transpose(k)) * (scale if scale is not None else q.shape[-1] ** -0.5)
    if mask is not None:
        scores = F.where(mask, scores, -math.inf) if mask.dtype.kind == "b" else scores + mask
    if causal:
        later = F.triu(F.zeros_like(scores) + 1, k=1)  # key j > query i
        scores = F.where(later > 0, -math.inf, scores)
    return scores


def _dropout_mask_shape(op, seed, *, shape, rate):
    if tuple(seed.shape) != (2,):
        raise ShapeError(f"{op}: the seed must be two integers, of shape (2,): got {tuple(seed.shape)}.")
    return Spec(tuple(shape), np.dtype(bool))


@primitive(
    shape=_dropout_mask_shape,
    kind="bool",
    no_gradient="its values are True or False",
    public=False,
    samples=(case(ints((2,), 1000), shape=(2, 3, 5), rate=0.3), case(ints((2,), 1000), shape=(3, 4), rate=0.0)),
)
def dropout_mask(xp, seed, *, shape, rate):
    """True with probability 1 - rate, at each place of `shape` (..., T, S), by counter: at row i and column j of matrix
    n, word j % 4 of block (i, j // 4, n, 0) under the key `seed` is not below rate 2**32. seed: (2,) integers below
    2**32. Philox-4x32 of 7 rounds: Salmon et al. 2011, Parallel random numbers: as easy as 1, 2, 3."""
    *lead, rows, columns = shape
    heads, low = math.prod(lead), 2**32 - 1
    key = xp.asarray(seed, dtype=xp.uint64)
    d = xp.zeros((heads, rows, (columns + 3) // 4), dtype=xp.uint64)
    counters = (xp.arange(n, dtype=xp.uint64) for n in d.shape)
    c, a, b = (d + xp.reshape(n, (1,) * i + (-1,) + (1,) * (2 - i)) for i, n in enumerate(counters))  # (N, T, S / 4)
    key0, key1 = key[0], key[1]
    for _ in range(7):
        x, y = a * 0xD2511F53, c * 0xCD9E8D57
        a, b, c, d = (y >> 32) ^ b ^ key0, y & low, (x >> 32) ^ d ^ key1, x & low
        key0, key1 = (key0 + 0x9E3779B9) & low, (key1 + 0xBB67AE85) & low
    words = xp.reshape(xp.stack((a, b, c, d), axis=-1), (heads, rows, -1))  # (N, T, S rounded up)
    return xp.reshape(words[:, :, :columns] >= round(rate * 2**32), shape)


def _dropped(F, x, seed, rate):
    """x (..., T, S), 0 with probability `rate`, else divided by 1 - rate."""
    if not rate:
        return x
    return F.where(F.dropout_mask(seed, shape=tuple(x.shape), rate=rate), x * (1 / (1 - rate) if rate < 1 else 0), 0)


@fused(
    shape=_attention_shape,
    saves=("log_total",),
    kind="float",
    public=False,
    samples=(
        case((2, 3, 4), (2, 5, 4), (2, 5, 2)),
        case((2, 1, 5, 3), (2, 1, 5, 3), (2, 1, 5, 3), causal=True),
        case((3, 2), (2, 4, 2), (2, 4, 3), (3, 4), scale=0.7),
        case((5, 2), (3, 2), (3, 2), causal=True),
        case((2, 5, 3), (2, 5, 3), (2, 5, 3), np.tri(5, dtype=bool)),
        case((2, 2, 3, 4), (2, 1, 5, 4), (2, 1, 5, 2), np.arange(10).reshape(2, 1, 1, 5) % 3 > 0),
        case((2, 5, 3), (2, 6, 3), (2, 6, 3), None, ints((2,), 1000), dropout=0.3),
    ),
)
def attention(F, q, k, v, mask=None, seed=None, *, causal=False, scale=None, dropout=0.0):
    """y = softmax(q k.mT scale + mask) v. q: (..., T, D), k: (..., S, D), v: (..., S, E); y: (..., T, E).
    mask: broadcast to (..., T, S), floats to add, or truth values that say which keys a query sees. causal: query i
    sees keys 0 to i. scale: 1 / sqrt(D) if None. A query whose mask shows it no key gets zeros. dropout: with this
    probability a weight is 0, else it is divided by 1 - dropout; seed: two integers below 2**32, from which
    `dropout_mask` makes the choice. Vaswani et al. 2017, arXiv:1706.03762."""
    _attention_shape("attention", q, k, v, mask)
    scores = _scores(F, q, k, mask, causal, scale)  # (..., T, S)
    top = F.max(scores, axis=-1, keepdims=True)  # exp overflows above ~88 in float32
    if mask is not None:
        top = F.where(F.equal(top, -math.inf), 0, top)  # a query that sees no key: -inf - -inf would be NaN ...
    e = F.exp(scores - top)
    total = F.sum(e, axis=-1, keepdims=True)  # (..., T, 1)
    if mask is not None:
        total = F.where(F.equal(total, 0), 1, total)  # ... and 0 / 0: it gets zeros
    return F.matmul(_dropped(F, e / total, seed, dropout), v), top + F.log(total)


@attention.rule("q", "k", "v")
def _(F, g, q, k, v, mask, seed, y, log_total, causal, scale, dropout):
    return F.attention_backward(g, q, k, v, y, log_total, mask, seed, causal=causal, scale=scale, dropout=dropout)


@fused(
    shape=lambda op, dy, q, *others, **params: Spec(tuple(q.shape), result_dtype("float", dy, q)),
    outputs=3,
    kind="float",
    public=False,
    samples=(
        case((2, 3, 2), (2, 3, 4), (2, 5, 4), (2, 5, 2), (2, 3, 2), (2, 3, 1)),
        case((5, 3), (5, 3), (5, 3), (5, 3), (5, 3), (5, 1), causal=True, scale=0.5),
        case((2, 3, 2), (2, 3, 4), (2, 5, 4), (2, 5, 2), (2, 3, 2), (2, 3, 1), None, ints((2,), 1000), dropout=0.3),
    ),
)
def attention_backward(
    F, dy, q, k, v, out, log_total, mask=None, seed=None, *, causal=False, scale=None, dropout=0.0
):  # fmt: skip
    """The gradients of attention for q, k and v. With the probabilities p = e**(scores - log_total), (..., T, S), and
    d what dropout makes of ones: ds = p (d dy v.mT - sum(dy out)), dq = ds k scale, dk = ds.mT q scale,
    dv = (p d).mT dy, each summed over the axes along which its operand was repeated."""
    scale = scale if scale is not None else q.shape[-1] ** -0.5
    p = F.exp(_scores(F, q, k, mask, causal, scale) - log_total)  # (..., T, S)
    delta = F.sum(dy * out, axis=-1, keepdims=True)  # (..., T, 1)
    ds = p * (_dropped(F, F.matmul(dy, F.matrix_transpose(v)), seed, dropout) - delta) * scale
    gradients = (
        F.matmul(ds, k),
        F.matmul(F.matrix_transpose(ds), q),
        F.matmul(F.matrix_transpose(_dropped(F, p, seed, dropout)), dy),
    )
    return tuple(F.sum_to(g, shape=tuple(x.shape)) for g, x in zip(gradients, (q, k, v), strict=True))


# ---- convolution ---------------------------------------------------------------------------------------------------
# Three primitives, bilinear in their inputs, whose gradients are among the three:
#   y = convolution(x, w)        dL/dx = convolution_input(g, w)      dL/dw = convolution_weight(x, g)
# Shapes for two spatial axes: x (B, C, H, W), w (O, C/G, KH, KW), y (B, O, OH, OW). One and three work the same.


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
    return w.reshape((b, groups, _size(outs), c // groups * _size(size))), outs


def _size(shape):
    n = 1
    for length in shape:
        n *= length
    return n


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
    w = weight.reshape((groups, weight.shape[0] // groups, _size(weight.shape[1:])))  # (G, O/G, C/G * KH * KW)
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
    w = weight.reshape((groups, weight.shape[0] // groups, _size(weight.shape[1:])))
    dy = xp.swapaxes(dy.reshape((b, groups, dy.shape[1] // groups, _size(outs))), 2, 3)  # (B, G, OH * OW, O/G)
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
    cols = cols.reshape((*cols.shape[:2], _size(outs), cols.shape[-1]))
    dy = dy.reshape((dy.shape[0], groups, dy.shape[1] // groups, _size(outs)))  # (B, G, O/G, OH * OW)
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


# ---- pooling -------------------------------------------------------------------------------------------------------
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
    w = w.reshape((*w.shape[:-n], _size(size)))  # (B, C, OH, OW, KH * KW)
    best = xp.argmax(w, axis=-1)  # (B, C, OH, OW)
    y = xp.take_along_axis(w, best[..., None], -1)[..., 0]
    flat = xp.zeros(best.shape, "int64")
    for i in range(n):  # the window's start plus the offset inside it, along each spatial axis in row-major order
        inside = best // _size(size[i + 1 :]) % size[i] * dilation[i]
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
    outs = (*planes, _size(dy.shape[len(planes) :]))  # (B, C, OH * OW)
    dx = F.add_along_axis(
        F.reshape(dy, shape=outs), F.reshape(positions, shape=outs), axis=-1, size=_size(spatial)
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
