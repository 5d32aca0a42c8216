"""Elementwise primitives, one row each: name, scalar text, gradient rules, and the words for the docs.

Read a row as the line in the textbook: ``x=lambda g, y: g * y`` says dL/dx = g * y. The text serves NumPy here and,
through the compilers, Numba and CUDA. Where an input has no rule, the gradient is that of the text.
"""

from ..primitive import broadcast, case, elementwise, fused


def zero(F, g):
    """The gradient of a step function: zero wherever it exists."""
    return F.zeros_like(g)


# ---- arithmetic ----------------------------------------------------------------------------------------------------
add = elementwise("add", "{a} + {b}", a=lambda g: g, b=lambda g: g, complex_ok=True, doc="y = a + b.")
subtract = elementwise("subtract", "{a} - {b}", a=lambda g: g, b=lambda g: -g, complex_ok=True, doc="y = a - b.")
multiply = elementwise(
    "multiply", "{a} * {b}", a=lambda g, b: g * b, b=lambda g, a: g * a, complex_ok=True, doc="y = a b."
)
divide = elementwise(
    "divide",
    "{a} / {b}",
    kind="float",
    domain="abs(b) > 0.1",
    a=lambda g, b: g / b,
    b=lambda g, y, b: -g * y / b,
    complex_ok=True,
    doc="y = a / b.",
)
floor_divide = elementwise(
    "floor_divide", "{a} // {b}", domain="abs(b) > 0.1", a=zero, b=zero, doc="y = floor(a / b); the gradient is zero."
)
remainder = elementwise(
    "remainder",
    "{a} % {b}",
    domain="abs(b) > 0.1",
    a=lambda g: g,
    b=lambda F, g, a, b: -g * F.floor_divide(a, b),
    doc="y = a - b floor(a / b), with the sign of b.",
)


def power_base(F, g, a, b):
    """d a**b / da = b a**(b-1); 0 for b = 0, where a**-1 at a = 0 would make it NaN."""
    if isinstance(b, (int, float)):  # the usual x**2
        return F.zeros_like(g) if b == 0 else g * b if b == 1 else g * (b * a ** (b - 1))
    return g * b * F.power(F.where(F.equal(b, 0), 1, a), F.where(F.equal(b, 0), 1, b) - 1)


def power_exponent(F, g, y, a, b):
    """d a**b / db = a**b ln a; 0 for a = 0, b >= 0, where 0 ln 0 would make it NaN."""
    flat = F.logical_and(F.equal(a, 0), F.greater_equal(b, 0))
    return F.where(flat, 0.0, g * y * F.log(F.where(flat, 1.0, a)))


power = elementwise(
    "power",
    "power({a}, {b})",
    domain="a > 0.1",
    forward=lambda xp, a, b: a**b,  # the operator knows squares and roots, which NumPy's function does not
    a=power_base,
    b=power_exponent,
    complex_ok=True,
    doc="y = a**b.",
)
negative = elementwise("negative", "-{x}", x=lambda g: -g, complex_ok=True, doc="y = -x.")
positive = elementwise("positive", "{x} + 0", x=lambda g: g, complex_ok=True, doc="y = x.")
abs = elementwise("abs", "abs({x})", x=lambda F, g, x: g * F.sign(x), doc="y = |x|; the gradient at 0 is 0.")
sign = elementwise("sign", "sign({x})", x=zero, doc="y = -1, 0 or 1; the gradient is zero.")
square = elementwise("square", "{x} * {x}", x=lambda g, x: 2 * g * x, complex_ok=True, doc="y = x**2.")
reciprocal = elementwise(
    "reciprocal",
    "1 / {x}",
    kind="float",
    domain="abs(x) > 0.1",
    x=lambda g, y: -g * y * y,
    forward=lambda xp, x: 1 / x,  # NumPy's own rounds integers to zero
    complex_ok=True,
    doc="y = 1 / x.",
)
sqrt = elementwise(
    "sqrt", "sqrt({x})", kind="float", domain="x > 0", x=lambda g, y: 0.5 * g / y, complex_ok=True, doc="y = x**(1/2)."
)
rsqrt = elementwise(
    "rsqrt",
    "1 / sqrt({x})",
    kind="float",
    domain="x > 0",
    x=lambda g, y: -0.5 * g * y * y * y,
    complex_ok=True,
    doc="y = x**(-1/2).",
)
cbrt = elementwise(
    "cbrt", "cbrt({x})", kind="float", domain="abs(x) > 0.1", x=lambda g, y: g / (3 * y * y), doc="y = x**(1/3)."
)
hypot = elementwise(
    "hypot",
    "hypot({a}, {b})",
    kind="float",
    domain="abs(a) + abs(b) > 0.1",
    a=lambda g, y, a: g * a / y,
    b=lambda g, y, b: g * b / y,
    doc="y = (a**2 + b**2)**(1/2), without overflow.",
)

# ---- exponentials and logarithms -----------------------------------------------------------------------------------
exp = elementwise("exp", "exp({x})", kind="float", x=lambda g, y: g * y, complex_ok=True, doc="y = e**x.")
exp2 = elementwise("exp2", "exp2({x})", kind="float", x=lambda g, y: g * y * 0.6931471805599453, doc="y = 2**x.")
expm1 = elementwise(
    "expm1", "expm1({x})", kind="float", x=lambda g, y: g * (y + 1), complex_ok=True, doc="y = e**x - 1, exact near 0."
)
log = elementwise(
    "log", "log({x})", kind="float", domain="x > 0", x=lambda g, x: g / x, complex_ok=True, doc="y = ln x."
)
log2 = elementwise(
    "log2", "log2({x})", kind="float", domain="x > 0", x=lambda g, x: g / (x * 0.6931471805599453), doc="y = log2 x."
)
log10 = elementwise(
    "log10", "log10({x})", kind="float", domain="x > 0", x=lambda g, x: g / (x * 2.302585092994046), doc="y = log10 x."
)
log1p = elementwise(
    "log1p",
    "log1p({x})",
    kind="float",
    domain="x > -0.9",
    x=lambda g, x: g / (1 + x),
    complex_ok=True,
    doc="y = ln(1 + x), exact near 0.",
)
logaddexp = elementwise(
    "logaddexp",
    "logaddexp({a}, {b})",
    kind="float",
    a=lambda F, g, a, b: g * F.sigmoid(a - b),
    b=lambda F, g, a, b: g * F.sigmoid(b - a),
    doc="y = ln(e**a + e**b), without overflow.",
)

# ---- trigonometry --------------------------------------------------------------------------------------------------
sin = elementwise(
    "sin", "sin({x})", kind="float", x=lambda F, g, x: g * F.cos(x), complex_ok=True, doc="y = sin x, x in radians."
)
cos = elementwise(
    "cos", "cos({x})", kind="float", x=lambda F, g, x: -g * F.sin(x), complex_ok=True, doc="y = cos x, x in radians."
)
tan = elementwise(
    "tan",
    "tan({x})",
    kind="float",
    domain="abs(x) < 1.4",
    x=lambda g, y: g * (1 + y * y),
    complex_ok=True,
    doc="y = tan x.",
)
asin = elementwise(
    "asin",
    "asin({x})",
    kind="float",
    domain="abs(x) < 0.95",
    x=lambda F, g, x: g * F.rsqrt(1 - x * x),
    doc="y = arcsin x.",
)
acos = elementwise(
    "acos",
    "acos({x})",
    kind="float",
    domain="abs(x) < 0.95",
    x=lambda F, g, x: -g * F.rsqrt(1 - x * x),
    doc="y = arccos x.",
)
atan = elementwise(
    "atan", "atan({x})", kind="float", x=lambda g, x: g / (1 + x * x), complex_ok=True, doc="y = arctan x."
)
atan2 = elementwise(
    "atan2",
    "atan2({a}, {b})",
    kind="float",
    domain="abs(a) + abs(b) > 0.1",
    a=lambda F, g, a, b: g * (b / F.hypot(a, b)) / F.hypot(a, b),  # a**2 + b**2 would overflow above 1e19 in float32
    b=lambda F, g, a, b: -g * (a / F.hypot(a, b)) / F.hypot(a, b),
    doc="y = the angle of the point (b, a), from -pi to pi.",
)
sinh = elementwise(
    "sinh", "sinh({x})", kind="float", x=lambda F, g, x: g * F.cosh(x), complex_ok=True, doc="y = sinh x."
)
cosh = elementwise(
    "cosh", "cosh({x})", kind="float", x=lambda F, g, x: g * F.sinh(x), complex_ok=True, doc="y = cosh x."
)
tanh = elementwise(
    "tanh", "tanh({x})", kind="float", x=lambda g, y: g * (1 - y * y), complex_ok=True, doc="y = tanh x."
)
asinh = elementwise("asinh", "asinh({x})", kind="float", x=lambda F, g, x: g * F.rsqrt(x * x + 1), doc="y = arsinh x.")
acosh = elementwise(
    "acosh", "acosh({x})", kind="float", domain="x > 1.1", x=lambda F, g, x: g * F.rsqrt(x * x - 1), doc="y = arcosh x."
)
atanh = elementwise(
    "atanh", "atanh({x})", kind="float", domain="abs(x) < 0.95", x=lambda g, x: g / (1 - x * x), doc="y = artanh x."
)


# ---- activations ---------------------------------------------------------------------------------------------------
relu = elementwise(
    "relu", "maximum({x}, 0)", x=lambda F, g, y: F.relu_backward(y, g), doc="y = max(x, 0); gradient 0 at 0."
)
relu_backward = elementwise(
    "relu_backward",
    "where({x} <= 0, 0, {dy})",
    x=zero,
    dy=lambda F, g, x: F.relu_backward(x, g),
    public=False,
    doc="dx = 0 where x <= 0, else dy: the gradient of relu, from its input or its output x.",
)
sigmoid = elementwise(
    "sigmoid",
    # e**-|x| never overflows, and keeps the relative accuracy of small values
    "where({x} >= 0, 1.0, exp(-abs({x}))) / (1.0 + exp(-abs({x})))",
    kind="float",
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
softsign = elementwise(
    "softsign",
    "{x} / (1 + abs({x}))",
    kind="float",
    domain="abs(x) > 1e-3",
    x=lambda F, g, x: g / F.square(1 + F.abs(x)),
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
binary_cross_entropy = elementwise(
    "binary_cross_entropy",
    # logs at least -100, as PyTorch has it; the inner bound, below e**-100, keeps log away from 0
    "-(maximum(log(maximum({p}, 1e-44)), -100) * {t} + maximum(log(maximum(1 - {p}, 1e-44)), -100) * (1 - {t}))",
    kind="float",
    domain="p > 0.05 and p < 0.95",
    p=lambda F, g, p, t: g * (p - t) / F.maximum(p * (1 - p), 1e-12),
    t=lambda F, g, p: (
        g * (F.maximum(F.log(F.maximum(1 - p, 1e-44)), -100) - F.maximum(F.log(F.maximum(p, 1e-44)), -100))
    ),
    doc="y = -(t ln p + (1 - t) ln(1 - p)) for a probability p, with logarithms of at least -100.",
)

# ---- choice --------------------------------------------------------------------------------------------------------
where = elementwise(
    "where",
    "where({condition}, {a}, {b})",
    a=lambda F, g, condition: F.where(condition, g, 0),
    b=lambda F, g, condition: F.where(condition, 0, g),
    complex_ok=True,
    doc="y = a where the condition holds, else b.",
)


def winner(F, g, a, b, behind):
    """0 where a is behind b, half of g where they tie, else g: a NaN, which is the result, receives it too."""
    return F.where(F.equal(a, b), 0.5 * g, F.where(behind, 0, g))


maximum = elementwise(
    "maximum",
    "maximum({a}, {b})",
    domain="abs(a - b) > 1e-3",
    a=lambda F, g, a, b: winner(F, g, a, b, F.less(a, b)),
    b=lambda F, g, a, b: winner(F, g, a, b, F.less(b, a)),
    doc="y = the larger of a and b, NaN if either is; equal inputs share the gradient.",
)
minimum = elementwise(
    "minimum",
    "minimum({a}, {b})",
    domain="abs(a - b) > 1e-3",
    a=lambda F, g, a, b: winner(F, g, a, b, F.greater(a, b)),
    b=lambda F, g, a, b: winner(F, g, a, b, F.greater(b, a)),
    doc="y = the smaller of a and b, NaN if either is; equal inputs share the gradient.",
)


def inside(F, g, x, min, max):
    """g where x was not clipped; the bounds themselves count as inside."""
    g = g if min is None else F.where(x < min, 0, g)
    return g if max is None else F.where(x > max, 0, g)


@fused(shape=broadcast, samples=(case((3, 4), -0.5, 0.5), case((3, 4), (4,)), case((3, 4), None, (3, 1))))
def clip(F, x, min=None, max=None):
    """y = x, or min where x < min, or max where x > max; None: no bound. NaN stays NaN."""
    x = x if min is None else F.maximum(x, min)
    return x if max is None else F.minimum(x, max)


clip.rule("x")(inside)
clip.rule("min")(
    lambda F, g, x, min, max: F.where(x < min, g if max is None else F.where(F.greater(min, max), 0, g), 0)
)
clip.rule("max")(lambda F, g, x, max: F.where(F.greater(x, max), g, 0))
copysign = elementwise(
    "copysign",
    "copysign({a}, {b})",
    kind="float",
    domain="abs(a) > 0.1 and abs(b) > 0.1",
    a=lambda F, g, a, b: g * F.sign(a) * F.copysign(1.0, b),
    b=zero,
    doc="y = |a| with the sign of b.",
)
heaviside = elementwise(
    "heaviside", "heaviside({x}, {h})", domain="abs(x) > 1e-3", x=zero, h=lambda F, g, x: F.where(F.equal(x, 0), g, 0),
    doc="y = 0 for x < 0, h at 0, 1 for x > 0.",
)  # fmt: skip

# ---- rounding: steps, so the gradient is zero ------------------------------------------------------------------------
floor = elementwise("floor", "floor({x})", x=zero, doc="y = the largest integer <= x; the gradient is zero.")
ceil = elementwise("ceil", "ceil({x})", x=zero, doc="y = the smallest integer >= x; the gradient is zero.")
trunc = elementwise("trunc", "trunc({x})", x=zero, doc="y = x without its fraction; the gradient is zero.")
round = elementwise("round", "round({x})", x=zero, doc="y = the nearest integer, halves to even; the gradient is zero.")

# ---- comparison and logic: True or False carry no gradient -----------------------------------------------------------
TRUTH = "its values are True or False"
for name, sign_of, words in (
    ("equal", "==", "equals"),
    ("not_equal", "!=", "differs from"),
    ("less", "<", "is less than"),
    ("less_equal", "<=", "is at most"),
    ("greater", ">", "is greater than"),
    ("greater_equal", ">=", "is at least"),
):
    elementwise(name, f"{{a}} {sign_of} {{b}}", kind="bool", no_gradient=TRUTH, doc=f"True where a {words} b.")
for name, text, words in (
    ("logical_and", "logical_and({a}, {b})", "a and b are"),
    ("logical_or", "logical_or({a}, {b})", "a or b is"),
    ("logical_xor", "logical_xor({a}, {b})", "just one of a and b is"),
    ("logical_not", "logical_not({x})", "x is not"),
    ("isnan", "isnan({x})", "x is NaN, not"),
    ("isinf", "isinf({x})", "x is plus or minus infinity, not"),
    ("isfinite", "isfinite({x})", "x is neither infinite nor NaN, not"),
    ("signbit", "signbit({x})", "x has the sign bit set, not"),
):
    elementwise(
        name,
        text,
        kind="bool",
        no_gradient=TRUTH,
        doc=f"True where {words} zero or False.".replace(", not zero or False", ""),
    )
for name, sign_of in (("bitwise_and", "&"), ("bitwise_or", "|"), ("bitwise_xor", "^")):
    elementwise(
        name, f"{{a}} {sign_of} {{b}}", no_gradient="its inputs are integers", doc=f"y = a {sign_of} b, bit by bit."
    )
for name, sign_of in (("bitwise_left_shift", "<<"), ("bitwise_right_shift", ">>")):
    elementwise(name, f"{{a}} {sign_of} {{b}}", no_gradient="its inputs are integers", doc=f"y = a {sign_of} b.")
bitwise_invert = elementwise(
    "bitwise_invert", "~{x}", no_gradient="its inputs are integers", doc="y = the bits of x, flipped."
)
