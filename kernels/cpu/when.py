"""When each kernel of this folder serves a call: cheap predicates with the arguments of the primitive, and no Numba
import.

A kernel is refused for other types than float32 and float64 (both arguments of one type), and below the size where
NumPy is as fast; the sizes are elements or multiplications, measured on two cores with AVX-512. A refused call runs
the reference.
"""

import math

import numpy as np

FLOATS = frozenset((np.dtype(np.float32), np.dtype(np.float64)))


# ---- products --------------------------------------------------------------------------------------------------------
# OpenBLAS runs one product of up to 64**3 multiplications in the calling thread, with less overhead than ours; above,
# and for a matrix-vector product of more than 9216, it wakes its own threads, which this backend must not do.
_ONE_THREAD_PRODUCT, _ONE_THREAD_VECTOR = 262_144, 9_216


def matmul_when(a, b):
    """Refused: vectors, mixed types, integers, small single products."""
    if (a.dtype is not b.dtype and a.dtype != b.dtype) or a.dtype not in FLOATS or a.ndim < 2 or b.ndim < 2:
        return False
    n = b.shape[-1]
    work = a.size * n if a.ndim >= b.ndim else b.size * a.shape[-2]
    return work > _ONE_THREAD_PRODUCT or (work > _ONE_THREAD_VECTOR and (n == 1 or a.shape[-2] == 1))


def linear_when(x, weight, bias=None):
    """Refused: a single vector, mixed types, small products."""
    if x.dtype not in FLOATS or x.dtype != weight.dtype or x.ndim < 2 or weight.ndim != 2:
        return False
    if bias is not None and (bias.dtype != x.dtype or bias.shape != weight.shape[:1]):
        return False
    rows, work = x.size // max(weight.shape[1], 1), x.size * weight.shape[0]
    return work > _ONE_THREAD_PRODUCT or (work > _ONE_THREAD_VECTOR and (rows == 1 or weight.shape[0] == 1))


_CONVOLUTION_FROM = 20_000  # multiplications


def convolution_when(x, weight, *, stride, padding, dilation, groups):
    """Refused: one and three spatial axes, tiny images. Any stride, padding, dilation and groups are taken."""
    return (
        x.ndim == 4 and x.dtype == weight.dtype and x.dtype in FLOATS and x.size * weight.shape[0] > _CONVOLUTION_FROM
    )


def convolution_input_when(g, weight, *, size, stride, padding, dilation, groups):
    """As convolution_when."""
    return (
        g.ndim == 4
        and g.dtype == weight.dtype
        and g.dtype in FLOATS
        and g.size * weight.shape[1] > _CONVOLUTION_FROM // 9
    )


def convolution_weight_when(x, g, *, size, stride, padding, dilation, groups):
    """As convolution_when."""
    return x.ndim == 4 and x.dtype == g.dtype and x.dtype in FLOATS and x.size * g.shape[1] > _CONVOLUTION_FROM


# ---- one array -------------------------------------------------------------------------------------------------------
def _floats_from(size):
    def when(x):
        return x.size >= size and x.dtype in FLOATS

    when.smallest = size
    return when


# NumPy's own loops for these are vector code: the second thread is the gain.
exp_when = log_when = tanh_when = relu_when = _floats_from(16_384)
# Several NumPy passes, or none: the kernel wins as soon as its call is paid.
sigmoid_when, erf_when = _floats_from(1_024), _floats_from(512)


def gelu_when(x, *, approximate="none"):
    """Refused: fewer than 512 elements."""
    return x.size >= 512 and x.dtype in FLOATS


def gelu_backward_when(g, x, *, approximate="none"):
    """Refused: fewer than 512 elements, g of another shape (to be broadcast) or type."""
    return x.size >= 512 and g.shape == x.shape and g.dtype == x.dtype and x.dtype in FLOATS


def relu_backward_when(x, dy):
    """Refused: fewer than 8192 elements, dy of another shape or type."""
    return x.size >= 8_192 and dy.shape == x.shape and dy.dtype == x.dtype and x.dtype in FLOATS


gelu_tanh_when, gelu_tanh_backward_when = gelu_when, gelu_backward_when


def softmax_when(x, *, axis):
    """Refused: fewer than 128 elements."""
    return x.size >= 128 and x.dtype in FLOATS


log_softmax_when = softmax_when


def softmax_backward_when(g, y, *, axis):
    """Refused: fewer than 128 elements, g of another shape or type."""
    return y.size >= 128 and g.shape == y.shape and g.dtype == y.dtype and y.dtype in FLOATS


log_softmax_backward_when = softmax_backward_when


def cross_entropy_when(x, labels):
    """Refused: fewer than 64 scores, labels that are no integers."""
    return x.ndim == 2 and x.size >= 64 and x.dtype in FLOATS and labels.dtype.kind in "iu"


def cross_entropy_backward_when(dy, x, labels, top, log_total):
    """As cross_entropy_when; refused: dy of another type, shapes that do not fit."""
    rows = x.shape[:1]
    return (
        cross_entropy_when(x, labels)
        and dy.dtype == x.dtype == top.dtype == log_total.dtype
        and dy.shape == labels.shape == rows
        and top.shape == log_total.shape == (*rows, 1)
    )


# ---- sums ------------------------------------------------------------------------------------------------------------
_SUM_FROM, _WIDE_SUM_FROM = 8_192, 262_144  # elements; NumPy adds wide rows well


def _summed(x, axes):
    """Are these the leading axes, or all but axis 1 with enough numbers behind it?"""
    if axes == list(range(len(axes))):
        width = math.prod(x.shape[len(axes) :])
        return 0 < len(axes) < x.ndim and (x.size >= _WIDE_SUM_FROM or width < 64)
    return axes == [0, *range(2, x.ndim)] and x.size >= 8 * x.shape[0] * x.shape[1]


def sum_when(x, *, axis=None, keepdims=False):
    """Refused: all but sums over leading axes, and over all axes but axis 1; few elements; memory in no order."""
    if axis is None or x.size < _SUM_FROM or x.dtype not in FLOATS or not x.flags.carray:
        return False
    return _summed(x, sorted(a % x.ndim for a in ((axis,) if isinstance(axis, int) else axis)))


def sum_to_when(x, *, shape):
    """As sum_when: `shape` is that of the trailing axes, or (C, 1, ...), or these with ones before them."""
    if x.size < _SUM_FROM or x.dtype not in FLOATS or not x.flags.carray or len(shape) > x.ndim:
        return False
    padded = (1,) * (x.ndim - len(shape)) + tuple(shape)
    return _summed(x, [i for i, n in enumerate(padded) if n != x.shape[i]])


# ---- normalisation ---------------------------------------------------------------------------------------------------
def _of(dtype, shape, *arrays):
    """Are all of these that are not None of one type and shape?"""
    return all(a is None or (a.dtype == dtype and a.shape == shape) for a in arrays)


def layer_norm_when(x, weight=None, bias=None, *, ndim=1, eps=1e-5):
    """Refused: fewer than 128 elements, weight and bias of another type."""
    inner = x.shape[x.ndim - ndim :]
    return x.size >= 128 and x.dtype in FLOATS and 0 < ndim <= x.ndim and _of(x.dtype, inner, weight, bias)


def layer_norm_backward_when(dy, x, mean, rstd, weight=None, *, ndim=1):
    """Refused: fewer than 128 elements, several types, shapes that do not fit."""
    return (
        layer_norm_when(x, weight, ndim=ndim)
        and _of(x.dtype, x.shape, dy)
        and _of(x.dtype, x.shape[: x.ndim - ndim] + (1,) * ndim, mean, rstd)
    )


def batch_norm_when(x, weight=None, bias=None, *, eps=1e-5):
    """Refused: fewer than 128 elements, weight and bias of another type."""
    return x.ndim >= 2 and x.size >= 128 and x.dtype in FLOATS and _of(x.dtype, x.shape[1:2], weight, bias)


def batch_norm_backward_when(dy, dmean, dvar, x, mean, rstd, weight=None):
    """Refused: fewer than 128 elements, several types, shapes that do not fit."""
    return (
        batch_norm_when(x, weight) and _of(x.dtype, x.shape, dy) and _of(x.dtype, x.shape[1:2], dmean, dvar, mean, rstd)
    )


# ---- attention -------------------------------------------------------------------------------------------------------
def attention_when(q, k, v, mask=None, *, causal=False, scale=None):
    """Refused: masks, leading axes that are to be broadcast, few scores, several types."""
    return (
        mask is None
        and q.ndim >= 2
        and q.dtype in FLOATS
        and q.dtype == k.dtype == v.dtype
        and q.shape[:-2] == k.shape[:-2] == v.shape[:-2]
        and q.size * k.shape[-2] >= 8_192
        and v.size > 0
    )


def attention_backward_when(dy, q, k, v, out, log_total, mask=None, *, causal=False, scale=None):
    """As attention_when; refused: shapes that do not fit."""
    made = (*q.shape[:-1], v.shape[-1])
    return (
        attention_when(q, k, v, mask)
        and k.shape[:-1] == v.shape[:-1]
        and q.shape[-1] == k.shape[-1]
        and _of(q.dtype, made, dy, out)
        and _of(q.dtype, (*q.shape[:-1], 1), log_total)
    )


# ---- pooling ---------------------------------------------------------------------------------------------------------
def max_pool_when(x, *, size, stride, padding=(0, 0), dilation=(1, 1)):
    """Refused: one and three spatial axes."""
    return x.ndim == 4 and x.dtype in FLOATS


def max_pool_backward_when(dy, positions, *, spatial):
    """Refused: few elements, positions of another shape or type."""
    return (
        dy.size >= 256 and dy.dtype in FLOATS and dy.shape == positions.shape and positions.dtype == np.int64
        and 0 < len(spatial) < dy.ndim
    )  # fmt: skip


# ---- optimizers ------------------------------------------------------------------------------------------------------
def _one_type(param, *others):
    dtype, shape = param.dtype, param.shape
    return dtype in FLOATS and all(a.dtype == dtype and a.shape == shape for a in others)


def adam_step_when(param, grad, exp_avg, exp_avg_sq, **_):
    """Refused: arrays of several types or shapes, read-only parameters."""
    return param.flags.writeable and _one_type(param, grad, exp_avg, exp_avg_sq)


def sgd_step_when(param, grad, momentum_buffer, **_):
    """Refused: arrays of several types or shapes, read-only parameters."""
    others = (grad,) if momentum_buffer is None else (grad, momentum_buffer)
    return param.flags.writeable and _one_type(param, *others)
