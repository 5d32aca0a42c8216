"""Special functions: elementwise rows whose forward is an approximation of our own, so that every backend has them."""

from math import factorial, inf, nan, pi

from ..errors import DTypeError
from ..primitive import ALIASES, Primitive, broadcast, case, elementwise, fused, primitive, same_as, within


def horner(x, *coefficients):
    """c[0] x**n + c[1] x**(n-1) + ... + c[n]."""
    y = coefficients[0]
    for c in coefficients[1:]:
        y = y * x + c
    return y


def erf_small(t):
    """erf(x) / x for |x| <= 0.47, t = x**2."""
    return horner(
        t,
        1.85777706184603153e-1,
        3.16112374387056560,
        1.13864154151050156e2,
        3.77485237685302021e2,
        3.20937758913846947e3,
    ) / horner(t, 1.0, 2.36012909523441209e1, 2.44024637934444173e2, 1.28261652607737228e3, 2.84423683343917062e3)


def erfc_middle(z):
    """e**(z**2) erfc(z) for 0.47 <= z <= 4."""
    return horner(
        z, 2.15311535474403846e-8, 5.64188496988670089e-1, 8.88314979438837594, 6.61191906371416295e1,
        2.98635138197400131e2, 8.81952221241769090e2, 1.71204761263407058e3, 2.05107837782607147e3,
        1.23033935479799725e3,
    ) / horner(
        z, 1.0, 1.57449261107098347e1, 1.17693950891312499e2, 5.37181101862009858e2, 1.62138957456669019e3,
        3.29079923573345963e3, 4.36261909014324716e3, 3.43936767414372164e3, 1.23033935480374942e3,
    )  # fmt: skip


def erfc_large(z):
    """e**(z**2) erfc(z) for z >= 4."""
    t = 1 / (z * z)
    return (
        0.5641895835477563
        - t
        * horner(
            t, 1.63153871373020978e-2, 3.05326634961232344e-1, 3.60344899949804439e-1, 1.25781726111229246e-1,
            1.60837851487422766e-2, 6.58749161529837803e-4,
        )
        / horner(
            t, 1.0, 2.56852019228982242, 1.87295284992346725, 5.27905102951428412e-1, 6.05183413124413191e-2,
            2.33520497626869185e-3,
        )
    ) / z  # fmt: skip


def gauss(xp, x, half=1.0):
    """e**(-half x**2): of x * x, rounded, exp would magnify the error x * x times; the square of `head` is exact."""
    head = xp.trunc(x * 16) / 16
    return xp.exp(-half * head * head) * xp.exp(half * (head - x) * (head + x))


def erfc_scaled(xp, z):
    """e**(z**2) erfc(z) for z >= 0.47."""
    return xp.where(z <= 4, erfc_middle(xp.minimum(z, 4)), erfc_large(xp.maximum(z, 4)))


def erfc_positive(xp, z):
    """erfc(z) for z >= 0.47; beyond 27 it underflows to 0 in float64."""
    z = xp.minimum(z, 27.5)  # keeps infinity away from inf * 0
    return gauss(xp, z) * erfc_scaled(xp, z)


def upper_tail(xp, x):
    """P(N(0, 1) > x) for x >= 0.67: erfc(x / sqrt 2) / 2, but x itself is squared, not its rounded quotient."""
    x = xp.minimum(x, 39)
    return 0.5 * gauss(xp, x, 0.5) * erfc_scaled(xp, x * 0.7071067811865476)


def erf_forward(xp, x):
    """Cody 1969, Rational Chebyshev approximations for the error function, Math. Comp. 23: relative error below
    1e-15."""
    z = xp.abs(x)
    small = xp.minimum(z, 0.46875)
    return xp.where(
        z <= 0.46875, x * erf_small(small * small), xp.sign(x) * (1 - erfc_positive(xp, xp.maximum(z, 0.46875)))
    )


def erfc_forward(xp, x):
    z = xp.abs(x)
    small = xp.minimum(z, 0.46875)
    tail = erfc_positive(xp, xp.maximum(z, 0.46875))
    return xp.where(z <= 0.46875, 1 - x * erf_small(small * small), xp.where(x > 0, tail, 2 - tail))


erf = elementwise(
    "erf",
    "erf({x})",
    kind="float",
    forward=erf_forward,
    x=lambda F, g, x: g * F.exp(-x * x) * 1.1283791670955126,  # 2 / sqrt(pi)
    doc="y = 2/sqrt(pi) times the integral of e**(-t**2) from 0 to x.",
)
erfc = elementwise(
    "erfc",
    "erfc({x})",
    kind="float",
    forward=erfc_forward,
    x=lambda F, g, x: -g * F.exp(-x * x) * 1.1283791670955126,
    doc="y = 1 - erf(x), exact where erf(x) is near 1.",
)


def rows(name, *, forward, rule, doc, samples, domain=""):
    """A special function of one input: forward(xp, x) for floats, and its gradient."""

    def run(xp, x):
        if getattr(x.dtype, "kind", "f") == "c":  # comparisons and |x| would lose the imaginary part without a word
            raise DTypeError(f"{name}: takes real numbers: got {x.dtype}. Take x.real or x.imag first.")
        return forward(xp, x * 1.0)

    Primitive(run, name=name, shape=broadcast, kind="float", doc=doc, samples=samples, domain=domain).rule("x")(rule)


PLAIN = (case((3, 4)), case(()), case((0, 2)))


def bounded(low, high):
    """Samples between these bounds."""
    return case(within((3, 4), low, high)), case(within((), low, high)), case(within((0, 2), low, high))


# ---- the error function's relatives --------------------------------------------------------------------------------


def erfcx_forward(xp, x):
    z = xp.maximum(xp.abs(x), 0.46875)
    scaled = erfc_scaled(xp, z)
    small = xp.clip(x, -0.46875, 0.46875)
    inner = xp.exp(small * small) * (1 - small * erf_small(small * small))
    below = xp.minimum(x, 0)
    return xp.where(xp.abs(x) <= 0.46875, inner, xp.where(x > 0, scaled, 2 * xp.exp(below * below) - scaled))


rows(
    "erfcx",
    forward=erfcx_forward,
    rule=lambda g, x, y: g * (2 * x * y - 1.1283791670955126),
    doc="y = e**(x**2) erfc(x), which neither under- nor overflows for large x.",
    samples=PLAIN,
)


def ndtr_forward(xp, x):
    tail = upper_tail(xp, xp.maximum(xp.abs(x), 0.67))
    inner = 0.5 * erfc_forward(xp, xp.clip(x, -0.67, 0.67) * -0.7071067811865476)
    return xp.where(xp.abs(x) <= 0.67, inner, xp.where(x > 0, 1 - tail, tail))


ndtr = elementwise(
    "ndtr",
    "0.5 * erfc({x} * -0.7071067811865476)",
    kind="float",
    forward=ndtr_forward,
    x=lambda F, g, x: g * F.exp(-0.5 * x * x) * 0.3989422804014327,
    doc="y = P(N(0, 1) <= x), the normal distribution function.",
)


def log_ndtr_forward(xp, x):
    low = xp.minimum(x, -1.0)  # there ln(erfcx(-x / sqrt 2) / 2) - x**2 / 2 loses nothing
    tail = xp.log(0.5 * erfcx_forward(xp, low * -0.7071067811865476)) - 0.5 * low * low
    above = xp.where(x < 0.67, ndtr_forward(xp, -xp.clip(x, -1.0, 0.67)), upper_tail(xp, xp.maximum(x, 0.67)))
    return xp.where(x < -1, tail, xp.log1p(-above))


rows(
    "log_ndtr",
    forward=log_ndtr_forward,
    rule=lambda F, g, x: g * 0.7978845608028654 / F.erfcx(x * -0.7071067811865476),
    doc="y = ln P(N(0, 1) <= x), exact far out where the probability underflows.",
    samples=PLAIN,
)


def quantile(xp, q, tail):
    """x with P(N(0, 1) <= x) = 1/2 + q; tail = 1/2 - |q|, which the caller has without cancellation. Wichura 1988,
    Algorithm AS 241, Applied Statistics 37: relative error about 1e-16."""
    r = 0.180625 - xp.minimum(q * q, 0.180625)
    inner = q * horner(
        r, 2.5090809287301226727e3, 3.3430575583588128105e4, 6.7265770927008700853e4, 4.5921953931549871457e4,
        1.3731693765509461125e4, 1.9715909503065514427e3, 1.3314166789178437745e2, 3.3871328727963666080,
    ) / horner(
        r, 5.2264952788528545610e3, 2.8729085735721942674e4, 3.9307895800092710610e4, 2.1213794301586595867e4,
        5.3941960214247511077e3, 6.8718700749205790830e2, 4.2313330701600911252e1, 1.0,
    )  # fmt: skip
    inside = xp.logical_and(tail > 0, tail <= 0.5)
    s = xp.sqrt(-xp.log(xp.where(inside, tail, 0.5)))
    r = xp.minimum(s, 5) - 1.6
    middle = horner(
        r, 7.74545014278341407640e-4, 2.27238449892691845833e-2, 2.41780725177450611770e-1, 1.27045825245236838258,
        3.64784832476320460504, 5.76949722146069140550, 4.63033784615654529590, 1.42343711074968357734,
    ) / horner(
        r, 1.05075007164441684324e-9, 5.47593808499534494600e-4, 1.51986665636164571966e-2, 1.48103976427480074590e-1,
        6.89767334985100004550e-1, 1.67638483018380384940, 2.05319162663775882187, 1.0,
    )  # fmt: skip
    r = xp.maximum(s, 5) - 5
    far = horner(
        r, 2.01033439929228813265e-7, 2.71155556874348757815e-5, 1.24266094738807843860e-3, 2.65321895265761230930e-2,
        2.96560571828504891230e-1, 1.78482653991729133580, 5.46378491116411436990, 6.65790464350110377720,
    ) / horner(
        r, 2.04426310338993978564e-15, 1.42151175831644588870e-7, 1.84631831751005468180e-5,
        7.86869131145613259100e-4, 1.48753612908506148525e-2, 1.36929880922735805310e-1, 5.99832206555887937690e-1, 1.0,
    )  # fmt: skip
    outer = xp.where(xp.equal(tail, 0), inf, xp.where(tail > 0, xp.where(s <= 5, middle, far), nan))
    return xp.where(xp.abs(q) <= 0.425, inner, xp.sign(q) * outer)


rows(
    "erfinv",
    forward=lambda xp, x: quantile(xp, 0.5 * x, 0.5 * (1 - xp.abs(x))) * 0.7071067811865476,
    rule=lambda F, g, y: g * F.exp(y * y) * 0.886226925452758,  # sqrt(pi) / 2
    doc="y with erf(y) = x, for x from -1 to 1.",
    samples=bounded(-0.95, 0.95),
    domain="abs(x) < 1",
)
rows(
    "ndtri",
    forward=lambda xp, x: quantile(xp, x - 0.5, xp.minimum(x, 1 - x)),
    rule=lambda F, g, y: g * F.exp(0.5 * y * y) * 2.5066282746310002,  # sqrt(2 pi)
    doc="y with P(N(0, 1) <= y) = x, for x from 0 to 1: the normal quantile.",
    samples=bounded(0.05, 0.95),
    domain="x > 0 and x < 1",
)

# ---- gamma function --------------------------------------------------------------------------------------------------


def above_zero(xp, x):
    """x where x > 0, else 1 - x: where the reflection formulas look."""
    return xp.where(x > 0, x, 1 - x)


def lgamma_forward(xp, x):
    """Cephes (Moshier 1989): a rational function on 2 <= x <= 3, to which the recurrence leads below 13, and
    Stirling's series above; left of 0 the reflection ln(pi / |sin(pi x)|) - lgamma(1 - x)."""
    z = above_zero(xp, x)
    t, product = xp.where(z < 13, z, 2.5), 1.0
    for _ in range(10):
        t, product = xp.where(t >= 3, t - 1, t), xp.where(t >= 3, product * (t - 1), product)
    for _ in range(2):
        t, product = xp.where(t < 2, t + 1, t), xp.where(t < 2, product / t, product)
    t = t - 2
    small = xp.log(product) + t * horner(
        t, -1.37825152569120859100e3, -3.88016315134637840924e4, -3.31612992738871184744e5, -1.16237097492762307383e6,
        -1.72173700820839662146e6, -8.53555664245765465627e5,
    ) / horner(
        t, 1.0, -3.51815701436523470549e2, -1.70642106651881159223e4, -2.20528590553854454839e5,
        -1.13933444367982507207e6, -2.53252307177582951285e6, -2.01889141433532773231e6,
    )  # fmt: skip
    large = xp.where(xp.isinf(z), 13, xp.maximum(z, 13))
    t = 1 / large
    series = horner(
        t * t, 8.11614167470508450300e-4, -5.95061904284301438324e-4, 7.93650340457716943945e-4,
        -2.77777777730099687205e-3, 8.33333333333331927722e-2,
    )  # fmt: skip
    stirling = large * (xp.log(large) - 1) - 0.5 * xp.log(large) + 0.9189385332046728 + series * t  # ln sqrt(2 pi)
    y = xp.where(xp.isinf(z), inf, xp.where(z < 13, small, stirling))
    finite = xp.where(xp.isinf(x), 0.5, x)
    sine = xp.abs(xp.sin(pi * (finite - xp.round(finite))))  # of x itself the digits would be gone
    pole = xp.equal(sine, 0)
    reflected = xp.where(pole, inf, 1.1447298858494002 - xp.log(xp.where(pole, 1, sine)) - y)  # ln pi
    return xp.where(x > 0, y, xp.where(xp.isinf(x), inf, reflected))


rows(
    "lgamma",
    forward=lgamma_forward,
    rule=lambda F, g, x: g * F.digamma(x),
    doc="y = ln |Gamma(x)|, infinite at 0, -1, -2, ...",
    samples=bounded(0.2, 20.0) + bounded(-2.9, -2.1),
)


def digamma_forward(xp, x):
    """The asymptotic series from 10 on, to which the recurrence psi(x) = psi(x + 1) - 1 / x leads; left of 0 the
    reflection psi(1 - x) - pi / tan(pi x)."""
    t, y = above_zero(xp, x), 0.0
    for _ in range(10):
        t, y = xp.where(t < 10, t + 1, t), xp.where(t < 10, y - 1 / t, y)
    r = 1 / (t * t)
    y = y + xp.log(t) - 0.5 / t
    y = y - r * horner(r, 1 / 12, -691 / 32760, 1 / 132, -1 / 240, 1 / 252, -1 / 120, 1 / 12)
    finite = xp.where(xp.isinf(x), 0.5, x)
    angle = pi * (finite - xp.round(finite))
    pole = xp.equal(angle, 0)
    reflected = y - pi / xp.where(pole, 1, xp.tan(angle))
    beyond = xp.where(xp.equal(x, 0), -xp.copysign(inf, x), nan)
    return xp.where(x > 0, y, xp.where(xp.logical_or(pole, xp.isinf(x)), beyond, reflected))


rows(
    "digamma",
    forward=digamma_forward,
    rule=lambda F, g, x: g * F.polygamma_of(x, n=1),
    doc="y = d ln Gamma(x) / dx; NaN at -1, -2, ...",
    samples=bounded(0.2, 20.0) + bounded(-2.9, -2.1),
)
BERNOULLI = (1 / 6, -1 / 30, 1 / 42, -1 / 30, 5 / 66, -691 / 2730, 7 / 6, -3617 / 510, 43867 / 798, -174611 / 330)


def hurwitz(xp, s, q):
    """The sum of (q + k)**-s over k = 0, 1, ... for an integer s > 1 and q > 0: ten terms, and Euler and Maclaurin's
    formula for the rest."""
    y = 0.0
    for k in range(10):
        y = y + (q + k) ** -s
    q = q + 10
    y = y + q ** (1 - s) / (s - 1) + 0.5 * q**-s
    factor, power = s / 2, q ** (-s - 1)  # s (s + 1) ... (s + 2j - 2) / (2j)!
    for j, b in enumerate(BERNOULLI, 1):
        y = y + b * factor * power
        factor *= (s + 2 * j - 1) * (s + 2 * j) / ((2 * j + 1) * (2 * j + 2))
        power = power / (q * q)
    return y


@primitive(
    shape=broadcast, kind="float", public=False,
    samples=tuple(c._replace(params={"n": n}) for n in (1, 2) for c in bounded(0.3, 12.0) + bounded(-1.8, -1.2)),
)  # fmt: skip
def polygamma_of(xp, x, *, n):
    """y = the n-th derivative of digamma, n = 1, 2, ...: (-1)**(n + 1) n! zeta(n + 1, x); left of 0 by
    psi_n(x) = (-1)**n psi_n(1 - x) - pi d^n/dx^n cot(pi x)."""
    x = x * 1.0
    right = -((-1) ** n) * factorial(n) * hurwitz(xp, n + 1, above_zero(xp, x))
    finite = xp.where(xp.isinf(x), 0.5, x)
    angle = pi * (finite - xp.round(finite))
    pole = xp.equal(angle, 0)
    cot = 1 / xp.tan(xp.where(pole, 1.0, angle))
    c = [0.0, 1.0]  # d^n/dx^n cot(pi x) as a polynomial in c = cot(pi x), since dc/dx = -pi (1 + c**2)
    for _ in range(n):
        slope = [0.0, 0.0, *(k * v for k, v in enumerate(c) if k), 0.0, 0.0]
        c = [-pi * (slope[k] + slope[k + 2]) for k in range(len(c) + 1)]
    left = (-1) ** n * right - pi * horner(cot, *c[::-1])
    return xp.where(x > 0, right, xp.where(pole, inf if n % 2 else nan, left))


polygamma_of.rule("x")(lambda F, g, x, n: g * F.polygamma_of(x, n=n + 1))

# ---- modified Bessel functions ---------------------------------------------------------------------------------------


def bessel(xp, x, order):
    """e**-|x| I_order(x), order 0 or 1: up to 30 the power series, whose terms are all positive, beyond the asymptotic
    one (Abramowitz and Stegun 9.6.12, 9.7.1)."""
    z = xp.abs(x)
    small = xp.minimum(z, 30)
    t, series = 0.25 * small * small, 1.0
    for k in range(80, 0, -1):
        series = 1 + t / (k * (k + order)) * series
    series = series * xp.exp(-small) * (0.5 * small if order else 1)
    u, terms = 1 / (8 * xp.maximum(z, 30)), 1.0
    for k in range(20, 0, -1):
        terms = 1 - (4 * order - (2 * k - 1) ** 2) * u / k * terms
    y = xp.where(z <= 30, series, terms * xp.sqrt(u * (4 / pi)))  # 1 / sqrt(2 pi x)
    return y * xp.sign(x) if order else y


def unscaled(xp, x, order):
    z = xp.abs(x)
    y = bessel(xp, x, order) * xp.exp(xp.where(xp.isinf(z), 0, z))
    return xp.where(xp.isinf(z), xp.copysign(inf, x) if order else inf, y)


def over(F, a, x):
    """a / x, 1/2 at 0, the limit for a = I_1(x)."""
    return F.where(F.equal(x, 0), 0.5, a / F.where(F.equal(x, 0), 1, x))


for name, forward, rule, doc in (
    ("i0", lambda xp, x: unscaled(xp, x, 0), lambda F, g, x: g * F.i1(x), "y = I_0(x), the modified Bessel function."),
    (
        "i0e",
        lambda xp, x: bessel(xp, x, 0),
        lambda F, g, x, y: g * (F.i1e(x) - F.sign(x) * y),
        "y = e**-|x| I_0(x), which does not overflow.",
    ),
    (
        "i1",
        lambda xp, x: unscaled(xp, x, 1),
        lambda F, g, x, y: g * (F.i0(x) - over(F, y, x)),
        "y = I_1(x), the modified Bessel function of order 1.",
    ),
    (
        "i1e",
        lambda xp, x: bessel(xp, x, 1),
        lambda F, g, x, y: g * (F.i0e(x) - F.sign(x) * y - over(F, y, x)),
        "y = e**-|x| I_1(x), which does not overflow.",
    ),
):
    rows(name, forward=forward, rule=rule, doc=doc, samples=PLAIN)

# ---- probabilities ---------------------------------------------------------------------------------------------------


@fused(
    shape=same_as("x"), kind="float",
    samples=(case(within((3, 4), 0.05, 0.95)), case((3, 4), eps=0.1), case(within((0,), 0.1, 0.9))),
)  # fmt: skip
def logit(F, x, *, eps=None):
    """y = ln(x / (1 - x)), the inverse of sigmoid; with eps, of x moved into eps to 1 - eps."""
    x = x if eps is None else F.clip(x, eps, 1 - eps)
    return F.log(x) - F.log1p(-x)


entr = elementwise(
    "entr",
    "where({x} > 0, -{x} * log({x}), where({x} < 0, -1e400, 0 * {x}))",  # -infinity, as a literal
    kind="float",
    domain="x > 0.1",
    forward=lambda xp, x: xp.where(x < 0, -inf, -x * xp.log(xp.where(x > 0, x, 1))),
    x=lambda F, g, x: -g * (F.log(x) + 1),
    doc="y = -x ln x, 0 at 0, minus infinity below: the summand of an entropy.",
)
ALIASES.update(gammaln="lgamma", psi="digamma", expit="sigmoid")
