"""Elementwise primitives, one row each: name, scalar text, gradient rules, and the words for the docs.

Read a row as the line in the textbook: ``x=lambda g, y: g * y`` says dL/dx = g * y. The text serves NumPy here and,
through the compilers, Numba and CUDA. Where an input has no rule, the gradient is that of the text.
"""

import math
from math import inf, pi

from ..primitive import ALIASES, Spec, broadcast, case, elementwise, fused, primitive, result_dtype


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


def floored(xp, a, b):
    """floor(a / b), exactly; with an infinity in it as the standard has it, where NumPy says NaN or -1."""
    if not any(getattr(v, "dtype", type(v)) in (float, "float32", "float64", "float16") for v in (a, b)):
        return xp.floor_divide(a, b)
    odd = xp.logical_or(xp.isinf(a), xp.isinf(b))
    return xp.where(odd, xp.floor(xp.divide(a, b)), xp.floor_divide(xp.where(odd, 0, a), xp.where(odd, 1, b)))


floor_divide = elementwise(
    "floor_divide",
    "{a} // {b}",
    domain="abs(b) > 0.1",
    forward=floored,
    a=zero,
    b=zero,
    doc="y = floor(a / b); the gradient is zero.",
)


remainder = elementwise(
    "remainder",
    "{a} % {b}",
    domain="abs(b) > 0.1",
    a=lambda g: g,
    b=lambda F, g, a, b: -g * F.floor_divide(a, b),
    doc="y = a - b floor(a / b), with the sign of b.",
)
fmod = elementwise(
    "fmod",
    "fmod({a}, {b})",
    domain="abs(b) > 0.1",
    a=lambda g: g,
    b=lambda F, g, a, b: -g * F.trunc(a / b),
    doc="y = a - b trunc(a / b), with the sign of a: C's remainder.",
)


def power_base(F, g, a, b):
    """d a**b / da = b a**(b-1); 0 for b = 0, where a**-1 at a = 0 would make it NaN."""
    if isinstance(b, (int, float)):  # the usual x**2
        return F.zeros_like(g) if b == 0 else g * b if b == 1 else g * (b * a ** (b - 1))
    return g * b * F.power(F.where(F.equal(b, 0), 1, a), F.where(F.equal(b, 0), 1, b) - 1)


def power_exponent(F, g, y, a, b):
    """d a**b / db = a**b ln a; 0 for a = 0, b >= 0, where 0 ln 0 would make it NaN."""
    if type(a) in (int, float) and a > 0:  # a number has a number's logarithm, which leaves float64 what it is
        return g * y * math.log(a)
    flat = F.logical_and(F.equal(a, 0), F.greater_equal(b, 0))
    return F.where(flat, 0.0, g * y * F.log(F.where(flat, 1.0, a)))


def raised(xp, a, b):
    """a**b. The operator knows squares and roots; but of the exponent 1/2, a number or an array with one element, NumPy
    makes a root, which at -infinity and -0 has another value than the power."""
    if type(b) is float and b == 0.5 and hasattr(a, "dtype") and a.dtype.kind == "f":
        y = xp.power(a, xp.full(a.shape or (1,), b, a.dtype))
        return y if a.shape else xp.reshape(y, ())
    if getattr(b, "size", 0) == 1 and b.dtype.kind == "f" and (hasattr(a, "shape") or a in (0, -math.inf)):
        shape = broadcast("power", a, b).shape if hasattr(a, "shape") else b.shape
        return xp.reshape(xp.power(a, xp.zeros(shape or (1,), b.dtype) + b), shape)
    return a**b


power = elementwise(
    "power",
    "power({a}, {b})",
    domain="a > 0.1",
    forward=raised,
    a=power_base,
    b=power_exponent,
    complex_ok=True,
    doc="y = a**b.",
)
negative = elementwise("negative", "-{x}", x=lambda g: -g, complex_ok=True, doc="y = -x.")
positive = elementwise("positive", "{x} + 0", x=lambda g: g, complex_ok=True, doc="y = x.")
conj = elementwise("conj", "{x}", x=lambda F, g: F.conj(g), doc="y = x with the sign of the imaginary part turned.")
real = elementwise(
    "real", "{x}", kind="real", x=lambda g: g, forward=lambda xp, x: xp.array(x.real), doc="y = the real part of x."
)
imag = elementwise(
    "imag",
    "where({x} == {x}, 0.0, 0.0)",
    kind="real",
    x=lambda g: g * -1j,  # Im x = Re(-i x)
    forward=lambda xp, x: xp.array(x.imag),
    doc="y = the imaginary part of x, 0 if x is real.",
)
abs = elementwise(
    "abs", "abs({x})", kind="real", x=lambda F, g, x: g * F.conj(F.sign(x)), doc="y = |x|; the gradient at 0 is 0."
)
angle = elementwise(
    "angle",
    "atan2(0, {x})",
    kind="real float",
    domain="abs(x) > 0.1",
    forward=lambda xp, x: xp.arctan2(x.imag, x.real),
    x=lambda F, g, x: F.where(F.equal(x, 0), 0, g * -1j / F.where(F.equal(x, 0), 1, x)),  # Im d ln x
    doc="y = the angle of x in the complex plane, from -pi to pi: 0 or pi if x is real.",
)


def sign_rule(F, g, x):
    """Zero; of a complex y = x / |x|, the part that turns: dy = i y Im(conj(y) dx) / |x|."""
    if x.dtype.kind != "c":
        return F.zeros_like(g)
    y, r = F.sign(x), F.abs(x)
    return F.imag(g * y) * 1j * F.conj(y) / F.where(F.equal(r, 0), 1, r)


def direction(xp, x):
    """NumPy's sign, but x / |x| of a complex x in the arithmetic of division, as the standard has it; +0 of +-0."""
    kind = getattr(getattr(x, "dtype", None), "kind", "f")
    if kind != "c":
        return xp.sign(x) if kind != "b" else xp.logical_or(x, x)
    r = xp.abs(x)
    return xp.where(xp.equal(r, 0), 0, x / xp.where(xp.equal(r, 0), 1, r))


sign = elementwise(
    "sign",
    "sign({x})",
    forward=direction,
    x=sign_rule,
    doc="y = -1, 0 or 1; the gradient is zero. Of a complex x: y = x / |x|.",
)
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


def less_one(xp, x):
    """e**x - 1; of a complex x with an infinity or NaN as C99 and the standard have it, where NumPy says NaN."""
    y = xp.expm1(x)
    return xp.where(xp.isfinite(x), y, xp.exp(x) - 1) if x.dtype.kind == "c" else y


expm1 = elementwise(
    "expm1",
    "expm1({x})",
    kind="float",
    x=lambda g, y: g * (y + 1),
    forward=less_one,
    complex_ok=True,
    doc="y = e**x - 1, exact near 0.",
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


def log_of_sum(xp, a, b):
    """ln(e**a + e**b) = m + ln(1 + e**(n - m)), m the one with the larger real part; NumPy has it for reals alone."""
    if not any(getattr(getattr(v, "dtype", None), "kind", "f") == "c" for v in (a, b)):
        return xp.logaddexp(a, b)
    first = xp.real(a) >= xp.real(b)
    m, n = xp.where(first, a, b), xp.where(first, b, a)
    none = xp.real(m) == -inf  # -inf - -inf would be NaN
    return xp.where(none, m, m + xp.log1p(xp.exp(n - xp.where(none, 0, m))))


logaddexp = elementwise(
    "logaddexp",
    "logaddexp({a}, {b})",
    kind="float",
    forward=log_of_sum,
    complex_ok=True,
    a=lambda F, g, a, b: g * F.sigmoid(a - b),
    b=lambda F, g, a, b: g * F.sigmoid(b - a),
    doc="y = ln(e**a + e**b), without overflow.",
)
logaddexp2 = elementwise(
    "logaddexp2",
    "logaddexp2({a}, {b})",
    kind="float",
    a=lambda F, g, a, b: g * F.sigmoid((a - b) * 0.6931471805599453),
    b=lambda F, g, a, b: g * F.sigmoid((b - a) * 0.6931471805599453),
    doc="y = log2(2**a + 2**b), without overflow.",
)


def times_log(xp, log, a, b):
    """a log(b), and 0 where a is 0 unless b is NaN."""
    gone = xp.logical_and(xp.equal(a, 0), xp.logical_not(xp.isnan(b)))
    return xp.where(gone, 0.0, a * log(xp.where(gone, 1, b)))


def log_of(F, log, g, a, b, pole):
    """g log(b), and 0 where a is 0 and the logarithm is infinite or not a number. log: its name."""
    if type(b) in (int, float) and b > pole:  # as in power_exponent
        return g * getattr(math, log)(b)
    gone = F.logical_and(F.equal(a, 0), F.less_equal(b, pole))
    return F.where(gone, 0, g * getattr(F, log)(F.where(gone, 1, b)))


xlogy = elementwise(
    "xlogy",
    "where({a} == 0, where({b} == {b}, 0.0, {b}), {a} * log({b}))",
    kind="float",
    domain="b > 0.1",
    forward=lambda xp, a, b: times_log(xp, xp.log, a, b),
    a=lambda F, g, a, b: log_of(F, "log", g, a, b, 0),
    b=lambda g, a, b: g * a / b,
    doc="y = a ln b, and 0 for a = 0, whatever b is.",
)
xlog1py = elementwise(
    "xlog1py",
    "where({a} == 0, where({b} == {b}, 0.0, {b}), {a} * log1p({b}))",
    kind="float",
    domain="b > -0.9",
    forward=lambda xp, a, b: times_log(xp, xp.log1p, a, b),
    a=lambda F, g, a, b: log_of(F, "log1p", g, a, b, -1),
    b=lambda g, a, b: g * a / (1 + b),
    doc="y = a ln(1 + b), exact near b = 0, and 0 for a = 0, whatever b is.",
)
ldexp = elementwise(
    "ldexp",
    "{x} * exp2({e})",
    kind="float",
    forward=lambda xp, x, e: x * xp.exp2(e),
    x=lambda F, g, e: F.ldexp(g, e),
    e=lambda g, y: g * y * 0.6931471805599453,
    doc="y = x 2**e; e may be a fraction.",
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
    "acosh",
    "acosh({x})",
    kind="float",
    domain="x > 1.1",
    # of a complex x, the root of x * x - 1 lies on another branch in the left half-plane
    x=lambda F, g, x: g * (F.rsqrt(x * x - 1) if x.dtype.kind != "c" else F.rsqrt(x - 1) * F.rsqrt(x + 1)),
    doc="y = arcosh x.",
)
atanh = elementwise(
    "atanh", "atanh({x})", kind="float", domain="abs(x) < 0.95", x=lambda g, x: g / (1 - x * x), doc="y = artanh x."
)

deg2rad = elementwise(
    "deg2rad", "{x} * 0.017453292519943295", kind="float", x=lambda g: g * 0.017453292519943295, doc="y = x pi / 180."
)
rad2deg = elementwise(
    "rad2deg", "{x} * 57.29577951308232", kind="float", x=lambda g: g * 57.29577951308232, doc="y = 180 x / pi."
)
sinc = elementwise(
    "sinc",
    "sinc({x})",
    kind="float",
    x=lambda F, g, x, y: F.where(F.equal(x, 0), 0, g * (F.cos(pi * x) - y) / F.where(F.equal(x, 0), 1, x)),
    complex_ok=True,
    doc="y = sin(pi x) / (pi x), and 1 at 0.",
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
fmax = elementwise(
    "fmax",
    "fmax({a}, {b})",
    domain="abs(a - b) > 1e-3",
    a=lambda F, g, a, b: F.where(F.logical_or(F.greater_equal(a, b), F.isnan(b)), g, 0),
    b=lambda F, g, a, b: F.where(F.logical_or(F.greater_equal(a, b), F.isnan(b)), 0, g),
    doc="y = the larger of a and b, the other one where one is NaN; a has the gradient of equal inputs.",
)
fmin = elementwise(
    "fmin",
    "fmin({a}, {b})",
    domain="abs(a - b) > 1e-3",
    a=lambda F, g, a, b: F.where(F.logical_or(F.less_equal(a, b), F.isnan(b)), g, 0),
    b=lambda F, g, a, b: F.where(F.logical_or(F.less_equal(a, b), F.isnan(b)), 0, g),
    doc="y = the smaller of a and b, the other one where one is NaN; a has the gradient of equal inputs.",
)


@primitive(
    shape=broadcast, samples=(case((3, 4)), case((2, 0)), case((), nan=1.0, posinf=3.0, neginf=2.0)), complex_ok=False
)
def nan_to_num(xp, x, *, nan=0.0, posinf=None, neginf=None):
    """y = x with `nan` for NaN, `posinf` and `neginf` for the infinities (None: the largest number of that sign). Where
    x is replaced the gradient is zero."""
    return xp.nan_to_num(x, nan=nan, posinf=posinf, neginf=neginf)


nan_to_num.rule("x")(lambda F, g, x: F.where(F.isfinite(x), g, 0))


def inside(F, g, x, min, max):
    """g where x was not clipped; the bounds themselves count as inside."""
    g = g if min is None else F.where(x < min, 0, g)
    return g if max is None else F.where(x > max, 0, g)


@fused(shape=broadcast, kind="same", samples=(case((3, 4), -0.5, 0.5), case((3, 4), (4,)), case((3, 4), None, (3, 1))))
def clip(F, x, min=None, max=None):
    """y = x, or min where x < min, or max where x > max; None: no bound. NaN stays NaN."""
    x = F.positive(x) if min is None is max else x if min is None else F.maximum(x, min)
    return x if max is None else F.minimum(x, max)


clip.rule("x")(inside)
clip.rule("min")(lambda F, g, x, min, max: F.where(x < min, g if max is None else F.where(F.less(min, max), g, 0), 0))


@clip.rule("max")
def _(F, g, x, min, max):
    over = F.greater(x, max)
    return F.where(over if min is None else F.logical_or(over, F.less(max, min)), g, 0)


def _split(op, x):
    return Spec(tuple(x.shape), result_dtype("float", x))


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
nextafter = elementwise(
    "nextafter",
    "nextafter({a}, {b})",
    kind="float",
    a=lambda F, g, a, b: F.where(F.equal(a, b), 0, g),
    b=zero,
    domain="abs(a - b) > 1e-3",
    doc="y = the float next to a on the way to b; the gradient is that of y = a, and 0 where they are equal.",
)


@fused(
    shape=broadcast,
    inline="where(abs({weight}) < 0.5, {a} + ({b} - {a}) * {weight}, {b} - ({b} - {a}) * (1 - {weight}))",
    samples=(case((3, 4), (3, 4), (3, 4)), case((3, 1), (4,), 0.25), case((), (0, 2), (2,))),
)
def lerp(F, a, b, weight):
    """y = a + weight (b - a): a for weight 0 and, in the form b - (1 - weight) (b - a), exactly b for weight 1."""
    step = b - a
    if isinstance(weight, (int, float)):
        return a + step * weight if -0.5 < weight < 0.5 else b - step * (1 - weight)
    return F.where(F.less(F.abs(weight), 0.5), a + step * weight, b - step * (1 - weight))


lerp.rule("a")(lambda g, weight: g * (1 - weight))
lerp.rule("b")(lambda g, weight: g * weight)
lerp.rule("weight")(lambda g, a, b: g * (b - a))

multiply_add = elementwise(
    "multiply_add",
    "{a} * {b} * {value} + {x}",
    params={"value": 1},
    a=lambda g, b, value: g * b * value,
    b=lambda g, a, value: g * a * value,
    x=lambda g: g,
    complex_ok=True,
    public=False,
    doc="y = value a b + x.",
)
divide_add = elementwise(
    "divide_add",
    "{a} * {value} / {b} + {x}",
    params={"value": 1},
    domain="abs(b) > 0.1",
    kind="float",
    a=lambda g, b, value: g * value / b,
    b=lambda g, a, b, value: -g * (a * value / b) / b,
    x=lambda g: g,
    complex_ok=True,
    public=False,
    doc="y = value a / b + x.",
)


# ---- rounding: steps, so the gradient is zero ------------------------------------------------------------------------
floor = elementwise("floor", "floor({x})", x=zero, doc="y = the largest integer <= x; the gradient is zero.")
ceil = elementwise("ceil", "ceil({x})", x=zero, doc="y = the smallest integer >= x; the gradient is zero.")
trunc = elementwise("trunc", "trunc({x})", x=zero, doc="y = x without its fraction; the gradient is zero.")
round = elementwise("round", "round({x})", x=zero, doc="y = the nearest integer, halves to even; the gradient is zero.")
frac = elementwise("frac", "{x} - trunc({x})", x=lambda g: g, doc="y = x - trunc(x): the fraction, with the sign of x.")


@primitive(shape=_split, kind="float", outputs=2, samples=(case((3, 4)), case(()), case((0, 2))))
def frexp(xp, x):
    """(m, e) with x = m 2**e, 1/2 <= |m| < 1 and e int32; (0, 0) for 0."""
    return xp.frexp(x)


@frexp.rule("x")
def _(F, g, y):
    return F.ldexp(g[0], -y[1])


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
    ("isposinf", "logical_and(isinf({x}), {x} > 0)", "x is plus infinity, not"),
    ("isneginf", "logical_and(isinf({x}), {x} < 0)", "x is minus infinity, not"),
    ("isreal", "imag({x}) == 0", "x has no imaginary part, not"),
    ("iscomplex", "imag({x}) != 0", "x has an imaginary part, not"),
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
for name, words in (("gcd", "greatest common divisor"), ("lcm", "least common multiple")):
    text = f"{name}({{a}}, {{b}})"
    elementwise(name, text, no_gradient="its inputs are integers", doc=f"y = the {words} of a and b.")

# ---- other names that NumPy's and PyTorch's users type -------------------------------------------------------------
for name, others in {
    "subtract": "sub", "multiply": "mul", "divide": "div true_divide", "power": "pow", "negative": "neg",
    "remainder": "mod", "abs": "absolute", "sign": "sgn", "conj": "conjugate",
    "asin": "arcsin", "acos": "arccos", "atan": "arctan", "atan2": "arctan2", "asinh": "arcsinh", "acosh": "arccosh",
    "atanh": "arctanh", "deg2rad": "radians", "rad2deg": "degrees", "clip": "clamp", "round": "rint", "trunc": "fix",
    "not_equal": "ne", "less": "lt", "less_equal": "le", "greater": "gt", "greater_equal": "ge", "equal": "eq",
    "bitwise_invert": "invert bitwise_not", "bitwise_left_shift": "left_shift", "bitwise_right_shift": "right_shift",
}.items():  # fmt: skip
    ALIASES.update(dict.fromkeys(others.split(), name))
