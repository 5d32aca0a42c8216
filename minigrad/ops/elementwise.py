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
