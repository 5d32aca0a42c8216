"""Special functions: elementwise rows whose forward is an approximation of our own, so that every backend has them."""

from ..primitive import elementwise


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


def erfc_positive(xp, z):
    """erfc(z) for z >= 0.47; beyond 27 it underflows to 0 in float64."""
    z = xp.minimum(z, 27.5)  # keeps infinity away from inf * 0
    return xp.exp(-z * z) * xp.where(z <= 4, erfc_middle(xp.minimum(z, 4)), erfc_large(xp.maximum(z, 4)))


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
