"""When the kernels of layers serve: products, normalisation, attention, recurrent layers, pooling."""

import math

import numpy as np

from .arrays import FLOATS, of
from .lines import FEW

# ---- products --------------------------------------------------------------------------------------------------------
# OpenBLAS runs one product of up to 64**3 multiplications in the calling thread, with less overhead than ours (with two
# threads of ours 3.9 and 1.1 us to start against 4.0 at 56**3, 4.7 and 1.1 against 5.2 at 64**3); above, and for a
# matrix-vector product of more than 9216, it wakes its own threads, which this backend must not do.
_ONE_THREAD_PRODUCT, _ONE_THREAD_VECTOR = 262_144, 9_216


def matmul_when(a, b):
    """Refused: two vectors, mixed types, integers, shapes that do not fit, small products."""
    rows, columns = a.shape, b.shape
    if len(rows) == len(columns) == 2:  # nearly all: no other question is asked of the small ones
        work = a.size * columns[1]
        if work <= _ONE_THREAD_VECTOR or (work <= _ONE_THREAD_PRODUCT and rows[0] != 1 != columns[1]):
            return False
    if (a.dtype is not b.dtype and a.dtype != b.dtype) or a.dtype not in FLOATS or a.shape[-1] != b.shape[-2:][0]:
        return False
    if a.ndim < 2 or b.ndim < 2:
        return a.ndim + b.ndim > 2 and max(a.size, b.size) > _ONE_THREAD_VECTOR
    if b.ndim > 2:
        np.broadcast_shapes(a.shape[:-2], b.shape[:-2])  # or ValueError
    n = b.shape[-1]
    work = a.size * n if a.ndim >= b.ndim else b.size * a.shape[-2]
    return work > _ONE_THREAD_PRODUCT or (work > _ONE_THREAD_VECTOR and (n == 1 or a.shape[-2] == 1))


def linear_when(x, weight, bias=None):
    """Refused: a single vector, mixed types, shapes that do not fit, small products."""
    work = x.size * weight.shape[0]
    if work <= _ONE_THREAD_VECTOR or x.dtype not in FLOATS or x.dtype != weight.dtype or x.ndim < 2 or weight.ndim != 2:
        return False
    if bias is not None and (bias.dtype != x.dtype or bias.shape != weight.shape[:1]):
        return False
    n, k = weight.shape
    if x.shape[-1] != k or not k:
        return False
    return work > _ONE_THREAD_PRODUCT or (work > _ONE_THREAD_VECTOR and (x.size == k or n == 1))


matmul_when.checks_shapes = linear_when.checks_shapes = True
matmul_when.smallest = linear_when.smallest = 512  # of both: then the work is less than 512**2, whatever the shapes


_CONVOLUTION_FROM = 20_000  # multiplications


def convolution_when(x, weight, bias=None, *, stride, padding, dilation, groups):
    """Refused: tiny images, several types. Any stride, padding, dilation and groups are taken."""
    return (
        3 <= x.ndim <= 5
        and x.dtype == weight.dtype
        and (bias is None or bias.dtype == x.dtype)
        and x.dtype in FLOATS
        and x.size * weight.shape[0] > _CONVOLUTION_FROM
    )


def convolution_input_when(g, weight, *, size, stride, padding, dilation, groups):
    """As convolution_when."""
    return (
        3 <= g.ndim <= 5
        and g.dtype == weight.dtype
        and g.dtype in FLOATS
        and g.size * weight.shape[1] > _CONVOLUTION_FROM // 9
    )


def convolution_weight_when(x, g, *, size, stride, padding, dilation, groups):
    """As convolution_when."""
    return 3 <= x.ndim <= 5 and x.dtype == g.dtype and x.dtype in FLOATS and x.size * g.shape[1] > _CONVOLUTION_FROM


# ---- normalisation ---------------------------------------------------------------------------------------------------
def layer_norm_when(x, weight=None, bias=None, *, ndim=1, eps=1e-5):
    """Refused: fewer than 32 elements, weight and bias of another type."""
    inner = x.shape[x.ndim - ndim :]
    return x.size >= FEW and x.dtype in FLOATS and 0 < ndim <= x.ndim and of(x.dtype, inner, weight, bias)


layer_norm_when.smallest = FEW
layer_norm_when.checks_shapes = True


def layer_norm_backward_when(dy, x, mean, rstd, weight=None, *, ndim=1):
    """Refused: fewer than 32 elements, several types, shapes that do not fit."""
    return (
        layer_norm_when(x, weight, ndim=ndim)
        and of(x.dtype, x.shape, dy)
        and of(x.dtype, x.shape[: x.ndim - ndim] + (1,) * ndim, mean, rstd)
    )


def rms_norm_when(x, weight=None, *, ndim=1, eps=1e-5):
    """As layer_norm_when."""
    return layer_norm_when(x, weight, ndim=ndim)


def rms_norm_backward_when(dy, x, rstd, weight=None, *, ndim=1):
    """As layer_norm_backward_when."""
    return layer_norm_backward_when(dy, x, rstd, rstd, weight, ndim=ndim)


def group_norm_when(x, weight=None, bias=None, *, groups=1, eps=1e-5):
    """Refused: fewer than 128 elements, weight and bias of another type."""
    return (
        x.size >= 128
        and x.dtype in FLOATS
        and x.ndim >= 2
        and groups > 0 == x.shape[1] % groups
        and of(x.dtype, x.shape[1:2], weight, bias)
    )


group_norm_when.smallest = 128
group_norm_when.checks_shapes = True


def group_norm_backward_when(dy, x, mean, rstd, weight=None, *, groups=1):
    """Refused: fewer than 128 elements, several types, shapes that do not fit."""
    return (
        group_norm_when(x, weight, groups=groups)
        and of(x.dtype, x.shape, dy)
        and of(x.dtype, (x.shape[0], groups, 1), mean, rstd)
    )


def batch_norm_when(x, weight=None, bias=None, *, eps=1e-5):
    """Refused: fewer than 128 elements, weight and bias of another type."""
    return x.ndim >= 2 and x.size >= 128 and x.dtype in FLOATS and of(x.dtype, x.shape[1:2], weight, bias)


batch_norm_when.smallest = 128
batch_norm_when.checks_shapes = True


def batch_norm_backward_when(dy, dmean, dvar, x, mean, rstd, weight=None):
    """Refused: fewer than 128 elements, several types, shapes that do not fit."""
    return (
        batch_norm_when(x, weight) and of(x.dtype, x.shape, dy) and of(x.dtype, x.shape[1:2], dmean, dvar, mean, rstd)
    )


def batch_norm_inference_when(x, mean, var, weight=None, bias=None, *, eps=1e-5):
    """Refused: fewer than 128 elements, several types."""
    return batch_norm_when(x, weight, bias) and of(x.dtype, x.shape[1:2], mean, var)


def batch_norm_inference_backward_when(dy, x, mean, rstd, weight=None):
    """Refused: fewer than 128 elements, several types, shapes that do not fit."""
    return batch_norm_when(x, weight) and of(x.dtype, x.shape, dy) and of(x.dtype, x.shape[1:2], mean, rstd)


# ---- attention -------------------------------------------------------------------------------------------------------
def attention_when(q, k, v, mask=None, seed=None, *, causal=False, scale=None, dropout=0.0):
    """Refused: few scores, several types, more than three leading axes; keys repeated along other axes than the last
    leading one (the heads of grouped queries); a mask that enlarges the scores, or of integers."""
    lead = q.shape[:-2]
    return (
        q.size * k.shape[-2] >= 8_192
        and 2 <= q.ndim <= 5
        and q.dtype in FLOATS
        and q.dtype == k.dtype == v.dtype
        and k.shape[:-1] == v.shape[:-1]
        and q.shape[-1] == k.shape[-1]
        and (k.shape[:-2] == lead or (lead and k.shape[:-2] == (*lead[:-1], 1)))
        and v.size > 0
        and (mask is None or _is_mask(mask, (*q.shape[:-1], k.shape[-2]), q.dtype))
    )


def _is_mask(mask, scores, dtype):
    return (
        (mask.dtype == bool or mask.dtype == dtype)
        and mask.ndim <= len(scores)
        and all(n in (1, whole) for n, whole in zip(mask.shape[::-1], scores[::-1]))
    )


def attention_backward_when(
    dy, q, k, v, out, log_total, mask=None, seed=None, *, causal=False, scale=None, dropout=0.0
):  # fmt: skip
    """As attention_when; refused: shapes that do not fit."""
    made = (*q.shape[:-1], v.shape[-1])
    return attention_when(q, k, v, mask) and of(q.dtype, made, dy, out) and of(q.dtype, (*q.shape[:-1], 1), log_total)


attention_when.checks_shapes = attention_backward_when.checks_shapes = True


# ---- recurrent layers ------------------------------------------------------------------------------------------------
_SEQUENCE_FROM = 512  # numbers in all states; the reference makes some twenty calls a step


def _sequence(x, h0, *others):
    return x.dtype in FLOATS and h0.size * len(x) >= _SEQUENCE_FROM and all(
        a is None or a.dtype == x.dtype for a in (h0, *others)
    )  # fmt: skip


def lstm_sequence_when(x, h0, c0, weight_ih, weight_hh, bias_ih=None, bias_hh=None, **_):
    """Refused: few numbers, several types."""
    return _sequence(x, h0, c0, weight_ih, weight_hh, bias_ih, bias_hh)


def lstm_sequence_backward_when(dy, x, h0, c0, weight_ih, weight_hh, out, cells, gates, **_):
    """As lstm_sequence_when."""
    return _sequence(x, h0, dy, c0, weight_ih, weight_hh, out, cells, gates)


def gru_sequence_when(x, h0, weight_ih, weight_hh, bias_ih=None, bias_hh=None, **_):
    """As lstm_sequence_when."""
    return _sequence(x, h0, weight_ih, weight_hh, bias_ih, bias_hh)


def gru_sequence_backward_when(dy, x, h0, weight_ih, weight_hh, out, gates, **_):
    """As lstm_sequence_when."""
    return _sequence(x, h0, dy, weight_ih, weight_hh, out, gates)


def rnn_sequence_when(x, h0, weight_ih, weight_hh, bias_ih=None, bias_hh=None, **_):
    """As lstm_sequence_when."""
    return _sequence(x, h0, weight_ih, weight_hh, bias_ih, bias_hh)


def rnn_sequence_backward_when(dy, x, h0, weight_ih, weight_hh, out, **_):
    """As lstm_sequence_when."""
    return _sequence(x, h0, dy, weight_ih, weight_hh, out)


_STEP_FROM = 128  # gates


def lstm_gates_when(x, a, c):
    """Refused: few numbers, several types."""
    return x.size >= _STEP_FROM and x.dtype in FLOATS and x.dtype == a.dtype == c.dtype


def lstm_gates_backward_when(dh, dcell, c, gates):
    """As lstm_gates_when."""
    return lstm_gates_when(gates, dh, dcell) and gates.dtype == c.dtype


gru_gates_when = lstm_gates_when


def gru_gates_backward_when(dh, h, gates):
    """As lstm_gates_when."""
    return lstm_gates_when(gates, dh, h)


# ---- pooling ---------------------------------------------------------------------------------------------------------
def max_pool_when(x, *, size, stride, padding=(0, 0), dilation=(1, 1)):
    """Refused: one and three spatial axes."""
    return x.ndim == 4 and len(size) == 2 and x.dtype in FLOATS


def window_sum_when(x, *, size, stride, frame):
    """Refused: few elements."""
    return 1 <= len(size) <= 3 and x.size >= 256 and x.dtype in FLOATS


def window_sum_backward_when(dy, *, spatial, size, stride, frame):
    """As window_sum_when."""
    return 1 <= len(size) <= 3 and dy.size >= 256 and dy.dtype in FLOATS


def adaptive_avg_pool_when(x, *, size):
    """Refused: few elements, no window."""
    return 1 <= len(size) <= 3 and x.size >= 64 and math.prod(size) > 0 and x.dtype in FLOATS


def adaptive_avg_pool_backward_when(dy, *, spatial):
    """Refused: few elements."""
    return 1 <= len(spatial) <= 3 and dy.size >= 16 and math.prod(spatial) > 0 and dy.dtype in FLOATS


def resample_when(x, *, maps):
    """Refused: few elements, more than three axes."""
    return 1 <= len(maps) <= 3 and x.size >= 64 and x.dtype in FLOATS


def grid_sample_when(x, grid, *, mode, padding_mode, align_corners):
    """Refused: nothing to sample, several types."""
    return x.dtype in FLOATS and x.dtype == grid.dtype and 4 <= x.ndim <= 5 and x.size > 0 and grid.size > 0


def grid_sample_input_when(dy, grid, *, size, mode, padding_mode, align_corners):
    """As grid_sample_when."""
    return dy.dtype in FLOATS and dy.dtype == grid.dtype and 4 <= dy.ndim <= 5 and dy.size > 0 < math.prod(size)


def grid_sample_grid_when(dy, x, grid, *, mode, padding_mode, align_corners):
    """As grid_sample_when; refused: mode "nearest", whose gradient is 0."""
    return (
        mode != "nearest"
        and grid_sample_when(x, grid, mode=mode, padding_mode=padding_mode, align_corners=align_corners)
        and dy.dtype == x.dtype
        and dy.shape == (*x.shape[:2], *grid.shape[1:-1])
    )


def max_pool_backward_when(dy, positions, *, spatial):
    """Refused: few elements, positions of another shape or type."""
    return (
        dy.size >= 256 and dy.dtype in FLOATS and dy.shape == positions.shape and positions.dtype == np.int64
        and 0 < len(spatial) < dy.ndim
    )  # fmt: skip
