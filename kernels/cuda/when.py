"""When each kernel of this folder serves a call: cheap predicates with the arguments of the primitive, without CuPy.

Served are float32, float64, float16 and bfloat16, all arrays of a call of one type; there is no smallest size, since a
launch costs the same as that of CuPy's own function. What is refused runs the reference over CuPy.
"""

import math
import re

import numpy as np

from . import cudnn
from .launch import TYPES

_FLOATS = {}


def is_float(dtype):
    """Do the kernels know this type? Looked up by the type, since its name is slow to make."""
    found = _FLOATS.get(dtype)
    if found is None:
        found = _FLOATS[dtype] = str(dtype) in TYPES
    return found


def alike(first, *others):
    """Is `first` of a type the kernels know, not empty, and are the others that are there of the same type?"""
    return first.size > 0 and is_float(first.dtype) and all(a is None or a.dtype == first.dtype for a in others)


def shaped(shape, *arrays):
    """Are all of these that are there of this shape?"""
    return all(a is None or a.shape == shape for a in arrays)


# ---- elementwise -----------------------------------------------------------------------------------------------------
# What a scalar text may call, and the C++ function for it. See `Written` in elementwise.py.
FUNCTIONS = dict.fromkeys(
    (
        *("exp", "exp2", "expm1", "log", "log2", "log10", "log1p", "sqrt", "cbrt", "sin", "cos", "tan", "asin"),
        *("acos", "atan", "atan2", "sinh", "cosh", "tanh", "asinh", "acosh", "atanh", "floor", "ceil", "trunc"),
        *("fmod", "hypot", "copysign", "erf", "erfc", "fmax", "fmin"),
    )
)
FUNCTIONS = {name: name for name in FUNCTIONS} | {
    "abs": "fabs", "round": "rint", "maximum": "maximum_of", "minimum": "minimum_of", "sign": "sign_of",
    "sigmoid": "sigmoid_of", "logaddexp": "logaddexp_of", "sinc": "sinc_of", "power": "pow", "isnan": "isnan",
    "isinf": "isinf", "isfinite": "isfinite", "signbit": "signbit", "rsqrt": "rsqrt",
}  # fmt: skip
MOST_INPUTS = 4


def written_from(p):
    """The text a kernel of this primitive is made from, or None where there is none."""
    if not p.inline or (p.kind in ("bool", "real", "real float") and p.name != "abs"):
        return None
    return f"{p.name}({', '.join(f'{{{i}}}' for i in p.inputs)})" if p.name in FUNCTIONS else p.inline


def generated(primitives):
    """{name: predicate} of the elementwise primitives whose texts are made of FUNCTIONS and of other such texts."""
    known, found, before = {*FUNCTIONS, "where", "logical_and", "logical_or", "logical_not"}, {}, -1
    known |= {"equal", "not_equal", "less", "less_equal", "greater", "greater_equal"}
    while len(found) > before:  # a text may call one that is declared later
        before = len(found)
        for name, p in primitives.items():
            text = written_from(p)
            if name in found or text is None or len(p.inputs) > MOST_INPUTS or name in ("power", "positive", "conj"):
                continue
            called = set(re.findall(r"(\w+)\(", text))
            if called <= known and not re.search(r"//|%|<<|>>|[&|~^]", text):
                known.add(name)
                found[name] = elementwise_when
    return found


def elementwise_when(*inputs, **_):
    """Refused: no array, several types but for truth values, shapes that do not broadcast."""
    first = None
    for a in inputs:
        kind = type(a)
        if kind is float or kind is int:
            continue
        if isinstance(a, np.generic):  # lies on the host
            return False
        if a.dtype.kind == "b":
            continue
        if not is_float(a.dtype) or (first is not None and a.dtype != first.dtype):
            return False
        first = a
    if first is None:
        return False
    shape = first.shape
    for a in inputs:
        if getattr(a, "shape", shape) != shape:
            return 0 not in np.broadcast_shapes(*(a.shape for a in inputs if hasattr(a, "shape")))  # or ValueError
    return 0 not in shape


elementwise_when.checks_shapes = True


def copy_when(x):
    """Refused: nothing."""
    return alike(x)


# ---- lines -----------------------------------------------------------------------------------------------------------
def neighbours(shape, axis):
    """Do these axes follow one another?"""
    axes = sorted({a % len(shape) for a in ((axis,) if isinstance(axis, int) else axis)})
    return bool(axes) and axes == list(range(axes[0], axes[-1] + 1))


def softmax_when(x, *, axis):
    """Refused: 0-d."""
    return x.ndim > 0 and alike(x)


log_softmax_when = softmax_when


def logsumexp_when(x, *, axis=None, keepdims=False):
    """Refused: 0-d, axes that are not neighbours."""
    return x.ndim > 0 and alike(x) and neighbours(x.shape, range(x.ndim) if axis is None else axis)


def softmax_backward_when(g, y, *, axis):
    """Refused: 0-d, g of another shape or type."""
    return y.ndim > 0 and alike(y, g) and g.shape == y.shape


log_softmax_backward_when = softmax_backward_when


# ---- sums ------------------------------------------------------------------------------------------------------------
def sum_when(x, *, axis=None, keepdims=False):
    """Refused: no axis to reduce, axes that are not there."""
    if not alike(x) or x.ndim == 0:
        return False
    given = range(x.ndim) if axis is None else (axis,) if isinstance(axis, int) else axis
    axes = {a % x.ndim for a in given if -x.ndim <= a < x.ndim}
    return 0 < len(axes) == len(given)


mean_when = max_when = min_when = sum_when


def sum_to_when(x, *, shape):
    """Refused: a shape that was not broadcast to x's."""
    padded = (1,) * (x.ndim - len(shape)) + tuple(shape)
    return alike(x) and len(padded) == x.ndim and all(m in (1, n) for m, n in zip(padded, x.shape))


def extreme_backward_when(dy, x, extreme, *, axis=None):
    """Refused: all but trailing axes, several types."""
    if not sum_when(x, axis=axis) or not alike(x, dy, extreme):
        return False
    axes = sorted({a % x.ndim for a in (range(x.ndim) if axis is None else (axis,) if isinstance(axis, int) else axis)})
    rows = math.prod(x.shape[: axes[0]])
    return axes == list(range(axes[0], x.ndim)) and dy.size == extreme.size == rows


# ---- cross-entropy ---------------------------------------------------------------------------------------------------
def cross_entropy_when(x, labels):
    """Refused: labels that are no integers."""
    return x.ndim == 2 and alike(x) and labels.dtype.kind in "iu" and labels.shape == x.shape[:1]


def cross_entropy_backward_when(dy, x, labels, top, log_total):
    """As cross_entropy_when; refused: several types, shapes that do not fit."""
    rows = x.shape[:1]
    return (
        cross_entropy_when(x, labels)
        and alike(x, dy, top, log_total)
        and shaped(rows, dy)
        and shaped((*rows, 1), top, log_total)
    )


# ---- normalisation ---------------------------------------------------------------------------------------------------
def layer_norm_when(x, weight=None, bias=None, *, ndim=1, eps=1e-5):
    """Refused: several types."""
    return alike(x, weight, bias) and 0 < ndim <= x.ndim and shaped(x.shape[x.ndim - ndim :], weight, bias)


def layer_norm_backward_when(dy, x, mean, rstd, weight=None, *, ndim=1):
    """Refused: several types, shapes that do not fit."""
    saved = x.shape[: x.ndim - ndim] + (1,) * ndim
    return (
        layer_norm_when(x, weight, ndim=ndim)
        and alike(x, dy, mean, rstd)
        and shaped(x.shape, dy)
        and shaped(saved, mean, rstd)
    )


def rms_norm_when(x, weight=None, *, ndim=1, eps=1e-5):
    """As layer_norm_when."""
    return layer_norm_when(x, weight, ndim=ndim)


def rms_norm_backward_when(dy, x, rstd, weight=None, *, ndim=1):
    """As layer_norm_backward_when."""
    return layer_norm_backward_when(dy, x, rstd, rstd, weight, ndim=ndim)


def group_norm_when(x, weight=None, bias=None, *, groups=1, eps=1e-5):
    """Refused: several types."""
    fits = x.ndim >= 2 and groups > 0 and x.shape[1] % groups == 0
    return fits and alike(x, weight, bias) and shaped(x.shape[1:2], weight, bias)


def group_norm_backward_when(dy, x, mean, rstd, weight=None, *, groups=1):
    """Refused: several types, shapes that do not fit."""
    return (
        group_norm_when(x, weight, groups=groups)
        and alike(x, dy, mean, rstd)
        and shaped(x.shape, dy)
        and shaped((x.shape[0], groups, 1), mean, rstd)
    )


def batch_norm_when(x, weight=None, bias=None, *, eps=1e-5):
    """Refused: several types."""
    return x.ndim >= 2 and alike(x, weight, bias) and shaped(x.shape[1:2], weight, bias)


def batch_norm_backward_when(dy, dmean, dvar, x, mean, rstd, weight=None):
    """Refused: several types, shapes that do not fit."""
    return (
        batch_norm_when(x, weight)
        and alike(x, dy, dmean, dvar, mean, rstd)
        and shaped(x.shape, dy)
        and shaped(x.shape[1:2], dmean, dvar, mean, rstd)
    )


def batch_norm_inference_when(x, mean, var, weight=None, bias=None, *, eps=1e-5):
    """Refused: several types."""
    return batch_norm_when(x, weight, bias) and alike(x, mean, var) and shaped(x.shape[1:2], mean, var)


def batch_norm_inference_backward_when(dy, x, mean, rstd, weight=None):
    """Refused: several types, shapes that do not fit."""
    return batch_norm_inference_when(x, mean, rstd, weight) and alike(x, dy) and shaped(x.shape, dy)


# ---- rows of tables --------------------------------------------------------------------------------------------------
def getitem_when(x, *arrays, key):
    """Refused: all but one array of integers as the whole key."""
    if len(arrays) != 1 or len(key) != 1 or not x.ndim or arrays[0].dtype.kind not in "iu":
        return False
    return alike(x) and arrays[0].size > 0 and not isinstance(arrays[0], np.generic)


def scatter_when(v, *arrays, key, shape):
    """Refused: all but one array of integers as the whole key, v to be broadcast."""
    if len(arrays) != 1 or len(key) != 1 or not shape or arrays[0].dtype.kind not in "iu":
        return False
    return alike(v) and math.prod(shape) > 0 and v.shape == (*arrays[0].shape, *shape[1:])


def add_along_axis_when(v, indices, *, axis, size):
    """Refused: v and indices of several shapes."""
    return (
        alike(v) and v.shape == indices.shape and indices.dtype.kind in "iu" and -v.ndim <= axis < v.ndim and size > 0
    )


getitem_when.checks_shapes = scatter_when.checks_shapes = add_along_axis_when.checks_shapes = True


# ---- pooling ---------------------------------------------------------------------------------------------------------
def max_pool_when(x, *, size, stride, padding=(0, 0), dilation=(1, 1)):
    """Refused: more than three spatial axes."""
    return 1 <= len(size) <= 3 and alike(x)


def max_pool_backward_when(dy, positions, *, spatial):
    """Refused: positions of another shape."""
    return alike(dy) and dy.shape == positions.shape and positions.dtype == np.int64 and 0 < len(spatial) < dy.ndim


def window_sum_when(x, *, size, stride, frame):
    """Refused: more than three spatial axes."""
    return 1 <= len(size) <= 3 and alike(x)


def window_sum_backward_when(dy, *, spatial, size, stride, frame):
    """As window_sum_when."""
    return 1 <= len(size) <= 3 and alike(dy)


def adaptive_avg_pool_when(x, *, size):
    """Refused: more than three spatial axes, no window."""
    return 1 <= len(size) <= 3 and alike(x) and math.prod(size) > 0


def adaptive_avg_pool_backward_when(dy, *, spatial):
    """As adaptive_avg_pool_when."""
    return 1 <= len(spatial) <= 3 and alike(dy) and math.prod(spatial) > 0


# ---- attention -------------------------------------------------------------------------------------------------------
_LARGEST_HEAD = 128  # tiles of larger ones do not fit in shared memory


def dropout_mask_when(seed, *, shape, rate):
    """Refused: fewer than two axes, nothing to draw."""
    return len(shape) >= 2 and math.prod(shape) > 0 and seed.dtype.kind in "iu"


def attention_when(q, k, v, mask=None, seed=None, *, causal=False, scale=None, dropout=0.0):
    """Refused: several types, heads of more than 128, more than two leading axes, keys repeated along other axes than
    the heads', a mask that enlarges the scores."""
    lead = q.shape[:-2]
    return (
        2 <= q.ndim <= 4
        and alike(q, k, v)
        and k.size > 0
        and v.size > 0
        and max(q.shape[-1], v.shape[-1]) <= _LARGEST_HEAD
        and k.shape[:-2] == v.shape[:-2]
        and (k.shape[:-2] == lead or (len(lead) > 0 and k.shape[:-2] == (*lead[:-1], 1)))
        and math.prod(lead) <= 65_535  # blocks along the second axis of a grid
        and (mask is None or _is_mask(mask, (*q.shape[:-1], k.shape[-2]), q.dtype))
        and (not dropout or seed is not None)
    )


def _is_mask(mask, scores, dtype):
    return (
        (mask.dtype.kind == "b" or mask.dtype == dtype)
        and mask.ndim <= len(scores)
        and all(n in (1, whole) for n, whole in zip(mask.shape[::-1], scores[::-1]))
    )


def attention_backward_when(
    dy, q, k, v, out, log_total, mask=None, seed=None, *, causal=False, scale=None, dropout=0.0
):  # fmt: skip
    """As attention_when; refused: shapes that do not fit."""
    return (
        attention_when(q, k, v, mask, seed, dropout=dropout)
        and k.shape[:-1] == v.shape[:-1]
        and q.shape[-1] == k.shape[-1]
        and alike(q, dy, out)
        and log_total.dtype in (q.dtype, np.float32)  # of halves either, or as tensor cores leave it
        and shaped((*q.shape[:-1], v.shape[-1]), dy, out)
        and shaped((*q.shape[:-1], 1), log_total)
    )


# ---- convolution -----------------------------------------------------------------------------------------------------
_INT_LIMIT = 2**31 - 2**16  # places within one sample, and groups times parts, are counted in 32 bits


def _convolves(x, weight, groups):
    sample = math.prod(x.shape[1:]) if x.ndim else 0
    return 3 <= x.ndim <= 5 and alike(x, weight) and weight.size > 0 and sample < _INT_LIMIT and 0 < groups < 65_536


def convolution_when(x, weight, bias=None, *, stride, padding, dilation, groups):
    """Refused: several types."""
    return _convolves(x, weight, groups) and (bias is None or bias.dtype == x.dtype)


def convolution_input_when(g, weight, *, size, stride, padding, dilation, groups):
    """As convolution_when."""
    return _convolves(g, weight, groups) and math.prod(size) > 0


def convolution_weight_when(x, g, *, size, stride, padding, dilation, groups):
    """As convolution_when."""
    return _convolves(x, g, groups) and math.prod(size) > 0


# ---- cuDNN: see cudnn.py ---------------------------------------------------------------------------------------------
def cudnn_convolution_when(x, weight, bias=None, *, stride, padding, dilation, groups):
    """As convolution_when; refused: no cuDNN."""
    options = {"stride": stride, "padding": padding, "dilation": dilation, "groups": groups}
    return cudnn.ready() and convolution_when(x, weight, bias, **options)


def cudnn_convolution_input_when(dy, weight, *, size, **options):
    """As cudnn_convolution_when."""
    return cudnn.ready() and convolution_input_when(dy, weight, size=size, **options)


def cudnn_convolution_weight_when(x, dy, *, size, **options):
    """As cudnn_convolution_when."""
    return cudnn.ready() and convolution_weight_when(x, dy, size=size, **options)


def _flash(q, v, mask, causal, dropout):
    """Halves whose rows are multiples of 16 bytes; without dropout; a mask only of numbers, whole rows, not causal."""
    rows = q.dtype.itemsize == 2 and q.shape[-1] % 8 == v.shape[-1] % 8 == 0 and not dropout
    whole = (q.shape[-2], v.shape[-2])
    return rows and (mask is None or (not causal and mask.dtype == q.dtype and mask.shape[-2:] == whole))


def cudnn_attention_when(q, k, v, mask=None, seed=None, *, causal=False, scale=None, dropout=0.0):
    """As attention_when; refused: float32 and float64, dropout, truth values as a mask, heads that are no multiple of
    8, no cuDNN."""
    return cudnn.ready() and _flash(q, v, mask, causal, dropout) and attention_when(q, k, v, mask)


def cudnn_attention_backward_when(
    dy, q, k, v, out, log_total, mask=None, seed=None, *, causal=False, scale=None, dropout=0.0
):  # fmt: skip
    """As cudnn_attention_when; refused: log_total of halves, shapes that do not fit."""
    return (
        cudnn.ready()
        and _flash(q, v, mask, causal, dropout)
        and log_total.dtype == np.float32
        and attention_backward_when(dy, q, k, v, out, log_total, mask)
    )


# ---- recurrent layers ------------------------------------------------------------------------------------------------
def lstm_gates_when(x, a, c):
    """Refused: several types."""
    return alike(x, a, c)


gru_gates_when = lstm_gates_when


def lstm_gates_backward_when(dh, dcell, c, gates):
    """As lstm_gates_when."""
    return alike(gates, dh, dcell, c)


def gru_gates_backward_when(dh, h, gates):
    """As lstm_gates_when."""
    return alike(gates, dh, h)


def lstm_sequence_when(x, h0, c0, weight_ih, weight_hh, bias_ih=None, bias_hh=None, **_):
    """Refused: several types."""
    return alike(x, h0, c0, weight_ih, weight_hh, bias_ih, bias_hh)


def lstm_sequence_backward_when(dy, x, h0, c0, weight_ih, weight_hh, out, cells, gates, **_):
    """As lstm_sequence_when."""
    return alike(x, dy, h0, c0, weight_ih, weight_hh, out, cells, gates)


def gru_sequence_when(x, h0, weight_ih, weight_hh, bias_ih=None, bias_hh=None, **_):
    """As lstm_sequence_when."""
    return alike(x, h0, weight_ih, weight_hh, bias_ih, bias_hh)


def gru_sequence_backward_when(dy, x, h0, weight_ih, weight_hh, out, gates, **_):
    """As lstm_sequence_when."""
    return alike(x, dy, h0, weight_ih, weight_hh, out, gates)
