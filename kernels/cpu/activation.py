"""Elementwise functions that beat NumPy on large arrays: all threads, and polynomials in the place of libm.

Every kernel takes a float32 or float64 array of any shape and returns a new one of the same shape and dtype.
"""

import math

import numpy as np
from numba import njit, prange
from numba.extending import register_jitable

from . import vectormath

PARALLEL_FROM = 24_576  # elements; below, waking the second thread costs more than it brings
CHUNK = 8_192  # elements a task: fixed, so that the split does not depend on the number of threads

_TWO_SQRT_2_OVER_PI = 2.0 * math.sqrt(2.0 / math.pi)
_CUBIC = 0.044715
_1_OVER_SQRT_2PI = 1.0 / math.sqrt(2.0 * math.pi)


def ready(x):
    """x if it is in C order, writeable and aligned, else a copy: one layout, one compilation."""
    return x if x.flags.carray else x.copy()


def unary(function):
    """The launcher of y[i] = function(x[i])."""

    @njit(cache=True, nogil=True, error_model="numpy")
    def serial(x, y):
        for i in range(x.size):
            y[i] = function(x[i])

    @njit(cache=True, nogil=True, error_model="numpy", parallel=True)
    def parallel(x, y):
        for chunk in prange((x.size + CHUNK - 1) // CHUNK):
            start = np.int64(chunk) * CHUNK
            # slices: an index that might be negative costs Numba a select, and the loop its vectors
            given, out = x[start : start + CHUNK], y[start : start + CHUNK]
            for i in range(out.size):
                out[i] = function(given[i])

    def launch(x):
        x = ready(x)
        y = np.empty_like(x)
        (serial if x.size < PARALLEL_FROM else parallel)(x.reshape(-1), y.reshape(-1))
        return y

    return launch


def binary(function):
    """The launcher of y[i] = function(a[i], b[i])."""

    @njit(cache=True, nogil=True, error_model="numpy")
    def serial(a, b, y):
        for i in range(b.size):
            y[i] = function(a[i], b[i])

    @njit(cache=True, nogil=True, error_model="numpy", parallel=True)
    def parallel(a, b, y):
        for chunk in prange((b.size + CHUNK - 1) // CHUNK):
            start = np.int64(chunk) * CHUNK
            # slices: an index that might be negative costs Numba a select, and the loop its vectors
            left, right, out = a[start : start + CHUNK], b[start : start + CHUNK], y[start : start + CHUNK]
            for i in range(out.size):
                out[i] = function(left[i], right[i])

    def launch(a, b):
        a, b = ready(a), ready(b)
        y = np.empty_like(b)
        (serial if b.size < PARALLEL_FROM else parallel)(a.reshape(-1), b.reshape(-1), y.reshape(-1))
        return y

    return launch


# register_jitable keeps a plain function, found by its name: the disk cache of a closure over it works, over an njit
# not.
_inline = register_jitable(forceinline=True, error_model="numpy", fastmath={"contract"})


@_inline
def _relu(x):
    return type(x)(0) if x <= 0 else x  # in this order NaN stays NaN


@_inline
def _relu_slope(x, g):
    return type(x)(0) if x <= 0 else g


@_inline
def _gelu(x):
    half = type(x)(0.5)
    return x * vectormath.normal_cdf(x, vectormath.exp(-half * x * x))


@_inline
def _gelu_slope(x):
    e = vectormath.exp(type(x)(-0.5) * x * x)
    return vectormath.normal_cdf(x, e) + x * (e * type(x)(_1_OVER_SQRT_2PI))


@_inline
def _gelu_tanh(x):
    # 0.5 (1 + tanh u) = sigmoid(2u), which loses no digits for negative u
    return x * vectormath.sigmoid(type(x)(_TWO_SQRT_2_OVER_PI) * (x + type(x)(_CUBIC) * (x * x * x)))


@_inline
def _gelu_tanh_slope(x):
    cubic, scale, limit, one = type(x)(_CUBIC), type(x)(_TWO_SQRT_2_OVER_PI), type(x)(1e4), type(x)(1.0)
    s = vectormath.sigmoid(scale * (x + cubic * (x * x * x)))
    bounded = limit if abs(x) > limit else x  # x*x may overflow where s*(1-s) is long 0
    return s + (x * (s * (one - s))) * (scale * (one + type(x)(3.0) * cubic * (bounded * bounded)))


@_inline
def _gelu_times(g, x):
    return g * _gelu_slope(x)


@_inline
def _gelu_tanh_times(g, x):
    return g * _gelu_tanh_slope(x)


_gelu_exact, _gelu_exact_backward = unary(_gelu), binary(_gelu_times)
gelu_tanh, gelu_tanh_backward = unary(_gelu_tanh), binary(_gelu_tanh_times)


def gelu(x, *, approximate="none"):
    """y = x Phi(x), Phi the normal distribution function, or with approximate="tanh"
    y = 0.5 x (1 + tanh(sqrt(2/pi) (x + 0.044715 x**3))).

    x: any shape. Hendrycks and Gimpel 2016, arXiv:1606.08415. Absolute error in float32: 4e-7 for |x| < 20.
    """
    return _gelu_exact(x) if approximate == "none" else gelu_tanh(x)


def gelu_backward(g, x, *, approximate="none"):
    """dx = g (Phi(x) + x phi(x)), or g times the derivative of the tanh formula. g, x: one shape."""
    return _gelu_exact_backward(g, x) if approximate == "none" else gelu_tanh_backward(g, x)


exp, tanh, sigmoid = unary(vectormath.exp), unary(vectormath.tanh), unary(vectormath.sigmoid)
log, erf = unary(vectormath.log), unary(vectormath.erf)
relu, relu_backward = unary(_relu), binary(_relu_slope)
