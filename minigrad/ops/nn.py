"""The primitives of neural networks: softmax, cross-entropy, normalisation, attention."""

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
