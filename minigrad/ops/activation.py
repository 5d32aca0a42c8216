"""Activation functions, an elementwise row each; their derivatives follow from the text where no rule is given."""

import math

from ..primitive import elementwise

relu = elementwise(
    "relu", "maximum({x}, 0)", x=lambda F, g, y: F.relu_backward(y, g), doc="y = max(x, 0); gradient 0 at 0."
)
relu_backward = elementwise(
    "relu_backward",
    "where({x} <= 0, 0, {dy})",
    x=lambda F, g: F.zeros_like(g),
    dy=lambda F, g, x: F.relu_backward(x, g),
    public=False,
    doc="dx = 0 where x <= 0, else dy: the gradient of relu, from its input or its output x.",
)


def logistic(xp, x):
    """Of real numbers the text of sigmoid; complex ones have no order."""
    if getattr(getattr(x, "dtype", None), "kind", "f") == "c":
        return 1 / (1 + xp.exp(-x))
    return xp.exp(xp.minimum(x, 0)) / (1.0 + xp.exp(-xp.abs(x)))


sigmoid = elementwise(
    "sigmoid",
    # e**-|x| never overflows, and keeps the relative accuracy of small values
    "where({x} >= 0, 1.0, exp(-abs({x}))) / (1.0 + exp(-abs({x})))",
    kind="float",
    forward=logistic,
    x=lambda g, y: g * y * (1 - y),
    doc="y = 1 / (1 + e**-x).",
)
softplus = elementwise(
    "softplus",
    "log1p(exp(-abs({x}))) + maximum({x}, 0)",
    kind="float",
    x=lambda F, g, x: g * F.sigmoid(x),
    doc="y = ln(1 + e**x).",
)
silu = elementwise(
    "silu",
    "{x} * sigmoid({x})",
    kind="float",
    x=lambda F, g, x: g * F.sigmoid(x) * (1 + x * (1 - F.sigmoid(x))),
    doc="y = x sigmoid(x), also called swish. Elfwing et al. 2017, arXiv:1702.03118.",
)
gelu = elementwise(
    "gelu",
    "{x} * (0.5 * (1 + erf({x} * 0.7071067811865476)))",
    kind="float",
    x=lambda F, g, x: F.gelu_backward(g, x),
    doc="y = x P(N(0, 1) <= x) = x (1 + erf(x / sqrt 2)) / 2. Hendrycks and Gimpel 2016, arXiv:1606.08415.",
)
gelu_backward = elementwise(
    "gelu_backward",
    "{dy} * (0.5 * (1 + erf({x} * 0.7071067811865476)) + {x} * exp(-0.5 * {x} * {x}) * 0.3989422804014327)",
    kind="float",
    doc="dx = dy (Phi(x) + x phi(x)), the gradient of gelu.",
)
gelu_tanh = elementwise(
    "gelu_tanh",
    "0.5 * {x} * (1 + tanh(0.7978845608028654 * {x} * (1 + 0.044715 * {x} * {x})))",
    kind="float",
    x=lambda F, g, x: F.gelu_tanh_backward(g, x),
    doc="y = x (1 + tanh(sqrt(2/pi) (x + 0.044715 x**3))) / 2. Hendrycks and Gimpel 2016, arXiv:1606.08415.",
)
gelu_tanh_backward = elementwise(
    "gelu_tanh_backward",
    "{dy} * (0.5 * (1 + tanh(0.7978845608028654 * {x} * (1 + 0.044715 * {x} * {x})))"
    " + 0.5 * {x} * (1 - square(tanh(0.7978845608028654 * {x} * (1 + 0.044715 * {x} * {x}))))"
    " * 0.7978845608028654 * (1 + 3 * 0.044715 * {x} * {x}))",
    kind="float",
    doc="dx = dy times the derivative of gelu_tanh.",
)
leaky_relu = elementwise(
    "leaky_relu",
    "where({x} > 0, {x}, {negative_slope} * {x})",
    params={"negative_slope": 0.01},
    kind="float",
    domain="abs(x) > 1e-3",
    x=lambda F, g, x, negative_slope: F.where(x > 0, g, negative_slope * g),
    doc="y = x where x > 0, else negative_slope x. Maas et al. 2013, ICML.",
)
elu = elementwise(
    "elu",
    "where({x} > 0, {x}, {alpha} * expm1(minimum({x}, 0)))",
    params={"alpha": 1.0},
    kind="float",
    domain="abs(x) > 1e-3",
    x=lambda F, g, x, alpha: F.where(x > 0, g, g * alpha * F.exp(F.minimum(x, 0))),
    doc="y = x where x > 0, else alpha (e**x - 1). Clevert et al. 2015, arXiv:1511.07289.",
)
celu = elementwise(
    "celu",
    "where({x} > 0, {x}, {alpha} * expm1(minimum({x}, 0) / {alpha}))",
    params={"alpha": 1.0},
    kind="float",
    domain="abs(x) > 1e-3",
    x=lambda F, g, x, alpha: F.where(x > 0, g, g * F.exp(F.minimum(x, 0) / alpha)),
    doc="y = x where x > 0, else alpha (e**(x / alpha) - 1). Barron 2017, arXiv:1704.07483.",
)
selu = elementwise(
    "selu",
    "1.0507009873554805 * where({x} > 0, {x}, 1.6732632423543772 * expm1(minimum({x}, 0)))",
    kind="float",
    domain="abs(x) > 1e-3",
    x=lambda F, g, x: 1.0507009873554805 * F.where(x > 0, g, g * 1.6732632423543772 * F.exp(F.minimum(x, 0))),
    doc="y = s x where x > 0, else s a (e**x - 1): keeps mean 0, variance 1. Klambauer et al. 2017, arXiv:1706.02515.",
)
mish = elementwise(
    "mish",
    "{x} * tanh(softplus({x}))",
    kind="float",
    doc="y = x tanh(softplus(x)). Misra 2019, arXiv:1908.08681.",
)
hardtanh = elementwise(
    "hardtanh",
    "minimum(maximum({x}, {min_val}), {max_val})",
    params={"min_val": -1.0, "max_val": 1.0},
    domain="abs(abs(x) - 1) > 1e-3",
    x=lambda F, g, x, min_val, max_val: F.where(F.logical_and(x > min_val, x < max_val), g, 0),
    doc="y = x, at least min_val and at most max_val; the gradient at the bounds is 0, clip's is 1.",
)
hardsigmoid = elementwise(
    "hardsigmoid",
    "minimum(maximum({x} + 3, 0), 6) / 6",
    kind="float",
    domain="abs(abs(x) - 3) > 1e-3",
    x=lambda F, g, x: F.where(F.logical_and(x > -3, x < 3), g / 6, 0),
    doc="y = (x + 3) / 6, at least 0 and at most 1.",
)
hardswish = elementwise(
    "hardswish",
    "{x} * minimum(maximum({x} + 3, 0), 6) / 6",
    kind="float",
    domain="abs(abs(x) - 3) > 1e-3",
    x=lambda F, g, x: F.where(x <= -3, 0, F.where(x < 3, g * (x / 3 + 0.5), g)),
    doc="y = x hardsigmoid(x). Howard et al. 2019, arXiv:1905.02244.",
)


def softsign_rule(F, g, x):
    """g / (1 + r)**2, r = |x|; of a complex x, where dr = Re(s dx) with s = conj(x) / r:
    g / (1 + r) - Re(g x) s / (1 + r)**2."""
    r = F.abs(x)
    if x.dtype.kind != "c":
        return g / F.square(1 + r)
    return g / (1 + r) - F.real(g * x) * F.conj(F.sign(x)) / F.square(1 + r)


softsign = elementwise(
    "softsign",
    "{x} / (1 + abs({x}))",
    kind="float",
    domain="abs(x) > 1e-3",
    x=softsign_rule,
    doc="y = x / (1 + |x|).",
)
tanhshrink = elementwise(
    "tanhshrink", "{x} - tanh({x})", kind="float", x=lambda F, g, x: g * F.square(F.tanh(x)), doc="y = x - tanh x."
)
softshrink = elementwise(
    "softshrink",
    "where(abs({x}) <= {lambd}, 0, {x} - {lambd} * sign({x}))",
    params={"lambd": 0.5},
    kind="float",
    domain="abs(abs(x) - 0.5) > 1e-3",
    x=lambda F, g, x, lambd: F.where(F.abs(x) > lambd, g, 0),
    doc="y = x moved towards 0 by lambd, at most to 0.",
)
hardshrink = elementwise(
    "hardshrink",
    "where(abs({x}) <= {lambd}, 0, {x})",
    params={"lambd": 0.5},
    domain="abs(abs(x) - 0.5) > 1e-3",
    x=lambda F, g, x, lambd: F.where(F.abs(x) > lambd, g, 0),
    doc="y = x where |x| > lambd, else 0.",
)
log_sigmoid = elementwise(
    "log_sigmoid",
    "minimum({x}, 0) - log1p(exp(-abs({x})))",
    kind="float",
    x=lambda F, g, x: g * F.sigmoid(-x),
    doc="y = ln(1 / (1 + e**-x)), without underflow.",
)


huber = elementwise(
    "huber",
    "where(abs({x}) < {delta}, 0.5 * {x} * {x}, {delta} * (abs({x}) - 0.5 * {delta}))",
    params={"delta": 1.0},
    kind="float",
    domain="abs(abs(x) - 1) > 1e-3",
    x=lambda F, g, x, delta: g * F.minimum(F.maximum(x, -delta), delta),
    doc="y = x**2 / 2 where |x| < delta, else delta (|x| - delta / 2). Huber 1964, Ann. Math. Statist. 35.",
    public=False,
)


def bounded_log(F, p):
    """ln p, at least -100. A number has a number's logarithm, which leaves float64 what it is."""
    if type(p) in (int, float):
        return max(math.log(max(p, 1e-44)), -100)
    return F.maximum(F.log(F.maximum(p, 1e-44)), -100)


binary_cross_entropy = elementwise(
    "binary_cross_entropy",
    # logs at least -100, as PyTorch has it; the inner bound, below e**-100, keeps log away from 0
    "-(maximum(log(maximum({p}, 1e-44)), -100) * {t} + maximum(log(maximum(1 - {p}, 1e-44)), -100) * (1 - {t}))",
    kind="float",
    domain="p > 0.05 and p < 0.95",
    p=lambda F, g, p, t: g * (p - t) / F.maximum(p * (1 - p), 1e-12),
    t=lambda F, g, p: g * (bounded_log(F, 1 - p) - bounded_log(F, p)),
    doc="y = -(t ln p + (1 - t) ln(1 - p)) for a probability p, with logarithms of at least -100.",
)
