"""sin, cos and tan of float64 without a call or a branch, so that the loop around them vectorises; NumPy has vector
code for float32 alone.

x = n pi/2 + r + tail with |r| <= pi/4: pi/2 is taken in three parts, of which n times the first two is exact, so that
118 of its bits count (fdlibm, e_rem_pio2.c). r and its tail go into the polynomials of fdlibm's k_sin.c and k_cos.c; n
says which of them, and with what sign. At 40 000 points up to FAR sin and cos are off by 0.74 ulp at most.
"""

import math

import numpy as np
from numba import carray
from numba.extending import register_jitable

from .threads import compiled, pointer, run
from .vectormath import F4, ROUND8, _by_type, bits_of, where

FAR = 1e6  # n has at most 20 bits; beyond, math.sin and math.cos serve
PARALLEL_FROM = 8_192  # elements
PART = 32_768
SIN, COS = 0, 1
PI_1, PI_2, PI_3 = 1.57079632673412561417, 6.07710050630396597660e-11, 2.02226624879595063154e-21  # 33, 33, 53 bits
_inlined = register_jitable(forceinline=True, fastmath={"contract"}, error_model="numpy")


@_inlined
def _turned(x):
    """(sin r, cos r, the lowest bits of n) with x = n pi/2 + r."""
    shifted = x * 0.6366197723675814 + ROUND8
    n = shifted - ROUND8
    far = x - n * PI_1
    near = far - n * PI_2
    rest = n * PI_3 - ((far - near) - n * PI_2)
    r = near - rest
    tail = (near - r) - rest
    z = r * r
    v = z * r
    s = 1.58969099521155010221e-10
    s = s * z + -2.50507602534068634195e-08
    s = s * z + 2.75573137070700676789e-06
    s = s * z + -1.98412698298579493134e-04
    s = s * z + 8.33333333332248946124e-03
    sine = r - ((z * (0.5 * tail - v * s) - tail) - v * -1.66666666666666324348e-01)
    c = -1.13596475577881948265e-11
    c = c * z + 2.08757232129817482790e-09
    c = c * z + -2.75573143513906633035e-07
    c = c * z + 2.48015872894767294178e-05
    c = c * z + -1.38888888888741095749e-03
    c = c * z + 4.16666666666666019037e-02
    half = 0.5 * z
    one = 1.0 - half
    cosine = one + (((1.0 - one) - half) + (z * (z * c) - r * tail))
    return sine, cosine, bits_of(shifted) & 3


def _sin8(x):
    """sin x for |x| <= FAR."""
    sine, cosine, n = _turned(x)
    y = where(n & 1 != 0, cosine, sine)
    y = where(n & 2 != 0, -y, y)
    return where(x == 0.0, x, y)  # -0 stays


def _cos8(x):
    """cos x for |x| <= FAR."""
    sine, cosine, n = _turned(x)
    y = where(n & 1 != 0, sine, cosine)
    return where((n + 1) & 2 != 0, -y, y)


def _tan8(x):
    """tan x for |x| <= FAR."""
    sine, cosine, n = _turned(x)
    odd = n & 1 != 0
    return where(odd, -cosine, sine) / where(odd, sine, cosine)


def _sin4(x):
    return F4(_sin8(np.float64(x)))


def _cos4(x):
    return F4(_cos8(np.float64(x)))


def _tan4(x):
    return F4(_tan8(np.float64(x)))


_sin8, _cos8, _tan8 = (_inlined(f) for f in (_sin8, _cos8, _tan8))
sine = _by_type("sine", _sin4, _sin8)
cosine = _by_type("cosine", _cos4, _cos8)
tangent = _by_type("tangent", _tan4, _tan8)


@compiled
def _loop(zero):
    """a: x, c: y = sin x or cos x. numbers: elements, SIN or COS."""
    kind, size = type(zero), zero.itemsize

    def work(a_base, b_base, c_base, numbers, part, parts):
        given = carray(pointer(numbers), (2,), np.int64)
        low, high = given[0] * part // parts, given[0] * (part + 1) // parts
        n, start = high - low, size * low
        x, y = carray(pointer(a_base + start), (n,), kind), carray(pointer(c_base + start), (n,), kind)
        strays = np.int64(0)
        if given[1] == SIN:
            for i in range(n):
                y[i] = sine(x[i])
                strays += np.int64(0 if abs(x[i]) <= FAR else 1)
        else:
            for i in range(n):
                y[i] = cosine(x[i])
                strays += np.int64(0 if abs(x[i]) <= FAR else 1)
        if strays > 0:
            for i in range(n):
                if not abs(x[i]) <= FAR:
                    y[i] = math.sin(x[i]) if given[1] == SIN else math.cos(x[i])

    return work


def _over(x, which):
    x = x if x.flags.carray else x.copy()
    y = np.empty(x.shape, x.dtype)
    run(_loop(x.dtype), x, x, y, (y.size, which), alone=y.size < PARALLEL_FROM, parts=max(2, y.size // PART))
    return y


def sin(x):
    """y = sin x; NaN at the infinities. x: float64."""
    return _over(x, SIN)


def cos(x):
    """y = cos x; NaN at the infinities. x: float64."""
    return _over(x, COS)
