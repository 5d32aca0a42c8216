"""How many digits are right: elementwise functions beside mpmath, in units in the last place (ulp) of the true value.

A row is the true function, where it is asked, and the bounds for float32 and float64, on both host backends. A function
with roots inside the range, or a difference of near numbers, is held to ulps of the larger of |y| and `scale`: there
NumPy and SciPy lose the digits of y too.
"""

from typing import Any, NamedTuple

import numpy as np
import pytest

import minigrad as mg
from minigrad.primitive import PRIMITIVES

mp = pytest.importorskip("mpmath")
BITS = 160
POINTS = 200
LENGTH = 24_000  # the points are repeated up to the size at which kernels serve


class Row(NamedTuple):
    f: Any
    range: tuple[float, float]
    single: float  # ulp
    double: float
    scale: float = 0.0


def sigmoid(x):
    return 1 / (1 + mp.exp(-x))


def cdf(x):
    return mp.erfc(-x / mp.sqrt(2)) / 2


WIDE = (-20, 20)
TABLE = {
    "exp": Row(mp.exp, (-80, 80), 2.5, 1.5),
    "exp2": Row(lambda x: mp.mpf(2) ** x, (-100, 100), 2, 1.5),
    "expm1": Row(mp.expm1, WIDE, 2, 1.5),
    "log": Row(mp.log, (1e-3, 1e3), 1.5, 1.5),
    "log2": Row(lambda x: mp.log(x, 2), (1e-3, 1e3), 1.5, 1.5),
    "log10": Row(mp.log10, (1e-3, 1e3), 2.5, 1.5),
    "log1p": Row(mp.log1p, (-0.99, 100), 1.5, 1.5),
    "sqrt": Row(mp.sqrt, (0, 1e3), 0.5, 0.5),
    "rsqrt": Row(lambda x: 1 / mp.sqrt(x), (1e-3, 1e3), 2, 2),
    "cbrt": Row(lambda x: mp.sign(x) * mp.cbrt(abs(x)), WIDE, 2, 1.5),
    "sin": Row(mp.sin, WIDE, 2, 1.5),
    "cos": Row(mp.cos, WIDE, 2, 1.5),
    "tan": Row(mp.tan, WIDE, 3, 1.5),
    "asin": Row(mp.asin, (-1, 1), 3, 1.5),
    "acos": Row(mp.acos, (-1, 1), 2.5, 1.5),
    "atan": Row(mp.atan, WIDE, 2, 1.5),
    "sinh": Row(mp.sinh, WIDE, 2, 1.5),
    "cosh": Row(mp.cosh, WIDE, 2.5, 1.5),
    "tanh": Row(mp.tanh, WIDE, 4, 2),
    "asinh": Row(mp.asinh, WIDE, 1.5, 1.5),
    "acosh": Row(mp.acosh, (1, 100), 1.5, 1.5),
    "atanh": Row(mp.atanh, (-0.99, 0.99), 2, 1.5),
    "sigmoid": Row(sigmoid, WIDE, 2.5, 2.5),
    "silu": Row(lambda x: x * sigmoid(x), WIDE, 3.5, 2.5),
    "softplus": Row(lambda x: mp.log1p(mp.exp(x)), WIDE, 2.5, 2),
    "log_sigmoid": Row(lambda x: -mp.log1p(mp.exp(-x)), WIDE, 2.5, 2),
    "mish": Row(lambda x: x * mp.tanh(mp.log1p(mp.exp(x))), WIDE, 4.5, 3),
    "softsign": Row(lambda x: x / (1 + abs(x)), WIDE, 2, 1.5),
    "elu": Row(lambda x: x if x > 0 else mp.expm1(x), WIDE, 2, 1.5),
    "entr": Row(lambda x: -x * mp.log(x), (1e-3, 10), 3, 2),
    "gelu": Row(lambda x: x * cdf(x), (-8, 10), 4, 4, scale=1),
    "gelu_tanh": Row(
        lambda x: x * sigmoid(2 * mp.sqrt(2 / mp.pi) * (x + mp.mpf("0.044715") * x**3)), (-8, 10), 4, 4, scale=1
    ),
    "tanhshrink": Row(lambda x: x - mp.tanh(x), WIDE, 2, 2, scale=1),
    "sinc": Row(mp.sincpi, (-6, 6), 2, 2, scale=1),
    "erf": Row(mp.erf, (-5, 5), 4.5, 2.5),
    "erfc": Row(mp.erfc, (-5, 9), 6, 6),
    "ndtr": Row(cdf, (-12, 8), 6, 6),
    "erfcx": Row(lambda x: mp.exp(x * x) * mp.erfc(x), (-3, 20), 8, 6),
    "erfinv": Row(mp.erfinv, (-0.999, 0.999), 4.5, 4.5),
    "ndtri": Row(lambda p: mp.sqrt(2) * mp.erfinv(2 * p - 1), (1e-3, 0.999), 4, 4.5),
    "log_ndtr": Row(lambda x: mp.log1p(-cdf(-x)) if x > 0 else mp.log(cdf(x)), (-30, 12), 6, 6),
    "lgamma": Row(mp.loggamma, (0.1, 100), 4, 8, scale=1),
    "digamma": Row(mp.digamma, (0.1, 50), 5, 8, scale=1),
    "i0": Row(lambda x: mp.besseli(0, x), (-10, 10), 6, 5),
    "i1": Row(lambda x: mp.besseli(1, x), (-10, 10), 6, 6),
    "i0e": Row(lambda x: mp.exp(-abs(x)) * mp.besseli(0, x), WIDE, 10, 9),
    "i1e": Row(lambda x: mp.exp(-abs(x)) * mp.besseli(1, x), WIDE, 9, 9),
    "bessel_j0": Row(lambda x: mp.besselj(0, x), (0, 20), 2, 4, scale=1),
    "bessel_j1": Row(lambda x: mp.besselj(1, x), (0, 20), 2, 4, scale=1),
}


def off(found, true, scale):
    """The largest |found - true| in ulp of the true value, or of `scale` where that is larger."""
    unit = np.spacing(np.maximum(np.abs(np.array(true, found.dtype)), found.dtype.type(scale)))
    return max(float(abs(mp.mpf(y) - t) / mp.mpf(u)) for y, t, u in zip(found.tolist(), true, unit.tolist()))


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("name", TABLE)
def test_digits(name, dtype):
    row = TABLE[name]
    x = np.random.default_rng(0).uniform(*row.range, POINTS).astype(dtype)
    with mp.workprec(BITS):
        true = [row.f(mp.mpf(v)) for v in x.tolist()]
        for backend in ("numpy", "numba"):
            with mg.use_backend(backend):
                y = mg.apply(PRIMITIVES[name], mg.tensor(np.resize(x, LENGTH))).numpy()
            assert y.dtype == dtype
            assert off(y[:POINTS], true, row.scale) <= (row.single if dtype == np.float32 else row.double), backend
