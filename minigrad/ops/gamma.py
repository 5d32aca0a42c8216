"""Incomplete gamma functions and the Hurwitz zeta function: elementwise in two inputs, by formulas of our own."""

from functools import cache
from math import inf, nan

import numpy as np

from ..errors import GradError
from ..primitive import broadcast, case, ints, primitive, within
from .special import BERNOULLI, lgamma_forward

LARGE = 100  # from this a on, the integral is a bell of known place and width
TERMS = 160  # of the series and of the fraction: enough below LARGE


def regularised(xp, a, x, upper):
    """P(a, x) or (upper) Q(a, x) for float64 of one shape: the power series for x < a + 1, Legendre's continued
    fraction for larger x (Press et al. 2007, Numerical Recipes 6.2), for large a quadrature over the bell of the
    integrand."""
    inside = xp.logical_and(xp.logical_and(a > 0, x > 0), xp.logical_and(xp.isfinite(a), xp.isfinite(x)))
    a, x, given_a, given_x = xp.where(inside, a, 1.0), xp.where(inside, x, 1.0), a, x
    large, below = a >= LARGE, x < a + 1
    b, z = xp.where(large, 1.0, a), xp.where(large, 1.0, x)
    scale = xp.exp(b * xp.log(z) - z - lgamma_forward(xp, b))
    # scale (1 / a + x / (a (a + 1)) + ...)
    s = xp.where(below, z, 0.5 * b)
    term = total = 1 / b
    for k in range(1, TERMS):
        term = term * s / (b + k)
        total = total + term
    low = scale * total
    # scale / (x + 1 - a - 1 (1 - a) / (x + 3 - a - ...)), Lentz
    s = xp.where(below, b + 2, z)
    e = s + 1 - b
    c, d = e + 1e300, 1 / e
    h = d
    for k in range(1, TERMS):
        f = -k * (k - b)
        e = e + 2
        d, c = f * d + e, e + f / c
        d = 1 / xp.where(xp.abs(d) < 1e-300, 1e-300, d)
        c = xp.where(xp.abs(c) < 1e-300, 1e-300, c)
        h = h * d * c
    high = scale * h
    p = xp.where(below, (1 - low) if upper else low, high if upper else (1 - high))
    p = xp.where(large, bell(xp, xp.where(large, a, 1.0 * LARGE), xp.where(large, x, 1.0 * LARGE), upper), p)
    p = xp.where(inside, p, nan)
    none, all_of = xp.logical_and(given_x >= 0, given_a >= 0), xp.logical_or(xp.equal(given_a, 0), xp.isinf(given_x))
    all_of = xp.logical_and(all_of, xp.logical_and(given_x > 0, xp.isfinite(given_a)))
    none_of = xp.logical_or(xp.logical_and(xp.equal(given_x, 0), given_a > 0), xp.logical_and(
        xp.isinf(given_a), xp.isfinite(given_x)))  # fmt: skip
    p = xp.where(xp.logical_and(none, all_of), 0.0 if upper else 1.0, p)
    return xp.where(xp.logical_and(none, none_of), 1.0 if upper else 0.0, p)


@cache
def quadrature():
    """[(node, weight)] of Gauss and Legendre on -1 to 1."""
    nodes, weights = np.polynomial.legendre.leggauss(48)
    return list(zip(nodes.tolist(), weights.tolist(), strict=True))


def bell(xp, a, x, upper):
    """The integral of t**(a - 1) e**-t / Gamma(a) between x and where nothing is left, for large a: the logarithm of
    the integrand is taken from its largest value, at a - 1, and Stirling's series gives that."""
    top, width = a - 1, xp.sqrt(a)
    right = x > top
    before = xp.maximum(0.0, xp.minimum(top - 10 * width, x - 6 * width))
    far = xp.where(right, xp.maximum(top + 12 * width, x + 8 * width), before)
    total = 0.0
    for node, weight in quadrature():
        r = (0.5 * (x + far) + 0.5 * (far - x) * node - top) / top
        total = total + weight * xp.exp(top * (xp.log1p(r) - r))
    series = (
        1 / (12 * top) - 1 / (360 * top**3) + 1 / (1260 * top**5)
    )  # Gamma(a) = sqrt(2 pi top) (top / e)**top e**series
    part = 0.5 * xp.abs(far - x) * total / xp.sqrt(2 * np.pi * top) * xp.exp(-series)
    return xp.where(right, part, 1 - part) if upper else xp.where(right, 1 - part, part)


def in_double(xp, f, a, b, *given):
    """f of both, broadcast and in float64; the result in their dtype."""
    dtypes = [v.dtype for v in (a, b) if hasattr(v, "dtype")]
    zeros = xp.zeros(np.broadcast_shapes(*(getattr(v, "shape", ()) for v in (a, b))), "float64")
    y = f(xp, a + zeros, b + zeros, *given)
    return y.astype(np.result_type(*dtypes)) if dtypes and np.result_type(*dtypes).kind == "f" else y


def density(F, a, x):
    """dP/dx = x**(a - 1) e**-x / Gamma(a)."""
    a = a + 0 * x  # integers, too, in the dtype of x
    return F.exp(F.xlogy(a - 1, x) - x - F.lgamma(a))


def none(op, of, why):
    """The rule of an input that has no gradient: it says so."""

    def rule(g):
        raise GradError(f"{op}: there is no gradient for {of}: {why}. Detach it: {of}.detach().")

    return rule


PAIRS = (
    case(ints((3, 4), 9, 1), within((4,), 0.3, 12.0)),
    case(ints((), 3, 1), within((2,), 0.5, 3.0)),
    case(ints((0,), 3, 1), within((0,), 0.5, 3.0)),
)


@primitive(shape=broadcast, kind="float", samples=PAIRS)
def igamma(xp, a, x):
    """y = P(a, x), the integral of t**(a - 1) e**-t from 0 to x over Gamma(a). It has no gradient for a."""
    return in_double(xp, regularised, a, x, False)


@primitive(shape=broadcast, kind="float", samples=PAIRS)
def igammac(xp, a, x):
    """y = Q(a, x) = 1 - P(a, x), exact where P is near 1. It has no gradient for a."""
    return in_double(xp, regularised, a, x, True)


for p in (igamma, igammac):
    p.rule("a")(none(p.name, "a", "it has no closed form (PyTorch has none either)"))
igamma.rule("x")(lambda F, g, a, x: g * density(F, a, x))
igammac.rule("x")(lambda F, g, a, x: -g * density(F, a, x))


LOWEST = -30  # q that zeta takes


def hurwitz(xp, s, q):
    """The sum over k = 0, 1, ... of (q + k)**-s, s > 1: terms up to q + k > 19, and Euler and Maclaurin's formula for
    the rest. Infinite at q = 0, -1, ...; for other q < 0 only whole s give real terms, and below
    LOWEST it is NaN."""
    whole = xp.equal(s, xp.floor(s))
    pole = xp.logical_and(q <= 0, xp.equal(q, xp.floor(q)))
    wrong = xp.logical_or(xp.logical_or(s < 1, xp.logical_and(q < 0, xp.logical_not(whole))), s != s)
    usable = xp.logical_and(xp.logical_and(s > 1, xp.logical_not(pole)), xp.logical_not(wrong))
    finite = xp.logical_and(usable, xp.isfinite(q))
    v, b = xp.where(finite, s, 2.0), xp.where(finite, q, 1.0)
    y = 0.0
    for _ in range(20 - LOWEST):
        early = b < 20
        y, b = y + xp.where(early, b**-v, 0.0), b + early
    y = y + b ** (1 - v) / (v - 1) + 0.5 * b**-v
    factor, power = v / 2, b ** (-v - 1)  # s (s + 1) ... (s + 2j - 2) / (2j)!
    for j, c in enumerate(BERNOULLI, 1):
        y = y + c * factor * power
        factor = factor * (v + 2 * j - 1) * (v + 2 * j) / ((2 * j + 1) * (2 * j + 2))
        power = power / (b * b)
    y = xp.where(finite, y, xp.where(q > 0, 0.0, nan))
    y = xp.where(xp.logical_or(pole, xp.equal(s, 1)), inf, y)
    return xp.where(xp.logical_or(wrong, xp.logical_or(q != q, q < LOWEST)), nan, y)


@primitive(
    shape=broadcast,
    kind="float",
    samples=(case(ints((3, 4), 6, 2), within((4,), 0.5, 9.0)), case(ints((), 6, 2), within((0, 2), 0.5, 9.0))),
)
def zeta(xp, s, q):
    """y = zeta(s, q), the sum of (q + k)**-s over k = 0, 1, ...: Hurwitz's function, Riemann's for q = 1. It has no
    gradient for s."""
    return in_double(xp, hurwitz, s, q)


zeta.rule("q")(lambda F, g, s, q: -g * s * F.zeta(s + 1, q))
zeta.rule("s")(none("zeta", "s", "it is another function of its own (PyTorch has none either)"))
