"""Bessel functions of the second kind, those of the first, and Airy's: elementwise rows of our own formulas."""

from math import exp, inf, nan, pi

from .special import PLAIN, bounded, over, rows

EULER = 0.5772156649015329


def near_zero(t):
    """Four sums over k of t**k / (k! k!) and t**k / (k! (k+1)!), each times 1 and times H_k, H_k + H_(k+1) - 2 gamma:
    with t = x**2 / 4 those of I and K, with -x**2 / 4 those of J and Y (Abramowitz and Stegun 9.1.10-13, 9.6.10-13)."""
    a, c, H = 1.0 + 0 * t, 1.0 + 0 * t, 0.0
    sums = [a, 0 * t, c, c * (1 - 2 * EULER)]
    for k in range(1, 26):
        H += 1 / k
        a, c = a * t / (k * k), c * t / (k * (k + 1))
        sums = [s + v for s, v in zip(sums, (a, H * a, c, (2 * H + 1 / (k + 1) - 2 * EULER) * c))]
    return sums


def scaled_k(xp, order, z):
    """e**z K_order(z) for Re z >= 0, |z| >= 4 (2 where z is real): twice the integral of e**(-s**2) cosh(order t) /
    sqrt(2 z + s**2) over s > 0, sinh(t / 2) = s / sqrt(2 z), by the trapezoidal rule, which here has all digits."""
    h, total = 0.3, 0.5 / xp.sqrt(2 * z)
    for j in range(1, 22):
        root = xp.sqrt(2 * z + (h * j) ** 2)
        u = ((h * j + root) / xp.sqrt(2 * z)) ** (2 * order)  # e**(order t)
        total = total + exp(-((h * j) ** 2)) * 0.5 * (u + 1 / u) / root
    return 2 * h * total


def bessel_j(xp, x, order, second=False):
    """J_order(x) or (second) Y_order(x), order 0 or 1, from H = J + i Y: -2i/pi K(-i x), turned by -i for order 1."""
    z = xp.abs(x)
    small, large = xp.minimum(z, 4), xp.where(xp.isfinite(z), xp.maximum(z, 4), 4)
    H = xp.exp(1j * large) * scaled_k(xp, order, -1j * large) * (-2 / pi if order else -2j / pi)
    far = xp.where(xp.isinf(z), 0.0, H.imag if second else H.real)
    a, b, c, d = near_zero(-0.25 * small * small)
    near = 0.5 * small * c if order else a
    if second:
        positive = xp.where(small <= 0, 1, small)
        log = xp.log(0.5 * positive)
        y = 2 / pi * ((log + EULER) * a - b)
        if order:
            y = (2 * log * near - 2 / positive - 0.5 * small * d) / pi
        near = xp.where(small <= 0, -inf, y)
        return xp.where(x < 0, nan, xp.where(z >= 4, far, near))
    y = xp.where(z >= 4, far, near)  # NaN stays
    return xp.where(x < 0, -y, y) if order else y


def bessel_k(xp, x, order, scaled=True):
    """e**x K_order(x) or K_order(x), order 0 or 1."""
    small, large = xp.clip(x, 0, 2), xp.maximum(x, 2)
    a, b, c, d = near_zero(0.25 * small * small)
    positive = xp.where(small > 0, small, 1)
    log = xp.log(0.5 * positive)
    near = 1 / positive + 0.5 * small * (log * c - 0.5 * d) if order else b - (log + EULER) * a
    near = xp.where(small > 0, near, inf)
    finite = xp.where(xp.isinf(large), 2, large)
    far = xp.where(xp.isinf(large), 0.0, scaled_k(xp, order, finite))
    y = xp.where(x < 2, near * xp.exp(small), far) if scaled else xp.where(x < 2, near, far * xp.exp(-finite))
    return xp.where(x < 0, nan, y)


def airy(xp, x, prime=False):
    """Ai(x) = sqrt(x / 3) / pi K_1/3(2/3 x**(3/2)) or (prime) Ai'(x) = -x / (pi sqrt 3) K_2/3; left of 0 twice the real
    part of e**(i pi/3) Ai(e**(i pi/3) |x|); near 0 its power series (Abramowitz and Stegun 10.4.2, 10.4.9, 10.4.14)."""
    t = xp.clip(x, -3.5, 2.1)
    u, v, f, g = 1.0 + 0 * t, 1.0 + 0 * t, 0 * t if prime else 1.0 + 0 * t, 1.0 + 0 * t
    for k in range(1, 22):
        u, v = u * t**3 / ((3 * k - 1) * 3 * k), v * t**3 / (3 * k * (3 * k + 1))
        f, g = f + (3 * k * u if prime else u), g + (3 * k + 1 if prime else 1) * v
    f, g = (f / xp.where(xp.equal(t, 0), 1, t), g) if prime else (f, t * g)
    near = 0.3550280538878172 * f - 0.2588194037928068 * g
    finite = xp.where(xp.isfinite(x), xp.abs(x), 4)

    def continued(w, z):
        """At w, far from 0; z = 2/3 w**(3/2)."""
        k = scaled_k(xp, 2 / 3 if prime else 1 / 3, z) * xp.exp(-z) / pi
        return k * w * -(3**-0.5) if prime else k * xp.sqrt(w / 3)

    right, left = xp.maximum(finite, 2.08), xp.maximum(finite, 3.4)
    above, turn = continued(right, 2 / 3 * right**1.5), xp.exp(1j * pi / 3 + 0 * left)
    below = 2 * (continued(left * turn, 2j / 3 * left**1.5) * (-turn * turn if prime else turn)).real
    y = xp.where(x > 2.08, above, xp.where(x < -3.4, below, near))
    return xp.where(xp.isinf(x), xp.where(x < 0, nan, 0.0) if prime else 0.0, y)  # Ai' swings ever wider


def in_double(f, *given):
    """The forward f(xp, x, *given), computed in float64: its sums would lose digits of float32."""
    return lambda xp, x: f(xp, x.astype("float64"), *given).astype(x.dtype)


FROM_ZERO = bounded(0.3, 12.0)
for name, forward, rule, doc, samples in (
    ("bessel_j0", (bessel_j, 0), lambda F, g, x: -g * F.bessel_j1(x), "y = J_0(x), the Bessel function.", PLAIN),
    (
        "bessel_j1", (bessel_j, 1),
        lambda F, g, x, y: g * (F.bessel_j0(x) - over(F, y, x)),
        "y = J_1(x), the Bessel function of order 1.", PLAIN,
    ),
    (
        "bessel_y0", (bessel_j, 0, True), lambda F, g, x: -g * F.bessel_y1(x),
        "y = Y_0(x), the Bessel function of the second kind, for x > 0.", FROM_ZERO,
    ),
    (
        "bessel_y1", (bessel_j, 1, True), lambda F, g, x, y: g * (F.bessel_y0(x) - y / x),
        "y = Y_1(x), the Bessel function of the second kind of order 1, for x > 0.", FROM_ZERO,
    ),
    (
        "modified_bessel_k0", (bessel_k, 0, False), lambda F, g, x: -g * F.modified_bessel_k1(x),
        "y = K_0(x), the modified Bessel function of the second kind, for x > 0.", FROM_ZERO,
    ),
    (
        "modified_bessel_k1", (bessel_k, 1, False), lambda F, g, x, y: -g * (F.modified_bessel_k0(x) + y / x),
        "y = K_1(x), the modified Bessel function of the second kind of order 1, for x > 0.", FROM_ZERO,
    ),
    (
        "scaled_modified_bessel_k0", (bessel_k, 0), lambda F, g, x, y: g * (y - F.scaled_modified_bessel_k1(x)),
        "y = e**x K_0(x), which does not underflow.", FROM_ZERO,
    ),
    (
        "scaled_modified_bessel_k1", (bessel_k, 1),
        lambda F, g, x, y: g * (y - y / x - F.scaled_modified_bessel_k0(x)),
        "y = e**x K_1(x), which does not underflow.", FROM_ZERO,
    ),
    ("airy_ai", (airy,), lambda F, g, x: g * F.airy_ai_prime(x), "y = Ai(x), the Airy function.", PLAIN),
    ("airy_ai_prime", (airy, True), lambda F, g, x: g * x * F.airy_ai(x), "y = Ai'(x); Ai''(x) = x Ai(x).", PLAIN),
):  # fmt: skip
    domain = "x > 0" if samples is FROM_ZERO else ""
    rows(name, forward=in_double(*forward), rule=rule, doc=doc, samples=samples, domain=domain)
