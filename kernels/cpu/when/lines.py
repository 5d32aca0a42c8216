"""When kernels serve that go along axes: softmax, losses, sums, orders and running sums."""

import math

import numpy as np

from .arrays import FLOATS, of

# Elements. A kernel's call costs as much as two NumPy calls, of which these would take six to twelve, so that there is
# no crossing; but a handful of numbers, as in a first example, does not wait for Numba to be imported.
FEW = 32


def softmax_when(x, *, axis):
    """Refused: fewer than 32 elements, an axis that is not there."""
    return x.size >= FEW and x.dtype in FLOATS and -x.ndim <= axis < x.ndim


log_softmax_when = softmax_when


def logsumexp_when(x, *, axis=None, keepdims=False):
    """Refused: fewer than 128 elements or none on a line, all axes at once, axes that are not neighbours."""
    if axis is None or x.size < 128 or x.dtype not in FLOATS:
        return False
    axes = sorted(a % x.ndim for a in ((axis,) if isinstance(axis, int) else axis))
    return 0 < len(axes) < x.ndim and axes == list(range(axes[0], axes[-1] + 1))


def softmax_backward_when(g, y, *, axis):
    """As softmax_when; refused: g of another shape or type."""
    return softmax_when(y, axis=axis) and g.shape == y.shape and g.dtype == y.dtype


log_softmax_backward_when = softmax_backward_when
softmax_when.smallest = softmax_backward_when.smallest = FEW
logsumexp_when.smallest = 128
softmax_when.checks_shapes = softmax_backward_when.checks_shapes = True


def cross_entropy_when(x, labels):
    """Refused: fewer than 32 scores, labels that are no integers or do not fit."""
    fits = x.ndim == 2 and labels.shape == x.shape[:1]
    return fits and x.size >= FEW and x.dtype in FLOATS and labels.dtype.kind in "iu"


cross_entropy_when.smallest = FEW
cross_entropy_when.checks_shapes = True


def cross_entropy_backward_when(dy, x, labels, top, log_total):
    """As cross_entropy_when; refused: dy of another type, shapes that do not fit."""
    rows = x.shape[:1]
    return (
        cross_entropy_when(x, labels)
        and dy.dtype == x.dtype == top.dtype == log_total.dtype
        and dy.shape == labels.shape == rows
        and top.shape == log_total.shape == (*rows, 1)
    )


def ctc_loss_when(logp, states, skips, steps, ends):
    """Refused: no state or step, numbers out of range."""
    return (
        logp.ndim == 3
        and logp.size > 0 < states.size
        and logp.dtype in FLOATS
        and all(a.dtype.kind in "iu" for a in (states, skips, steps, ends))
        and _below(states, logp.shape[2])
        and _below(steps - 1, len(logp))
        and _below(ends, states.shape[1])
    )


def _below(numbers, limit):
    return numbers.min() >= 0 and numbers.max() < limit


def ctc_loss_backward_when(dy, logp, states, skips, steps, ends, loss, alphas):
    """As ctc_loss_when; refused: several types, shapes that do not fit."""
    return (
        ctc_loss_when(logp, states, skips, steps, ends)
        and of(logp.dtype, states.shape[:1], dy, loss)
        and of(logp.dtype, (len(logp), *states.shape), alphas)
    )


# ---- sums ------------------------------------------------------------------------------------------------------------
_SUM_FROM, _WIDE_SUM_FROM = 8_192, 262_144  # elements; NumPy adds wide rows well
_LONG_ROW = 16  # elements; shorter ones are not worth a loop of vectors
_ROWS_SUM_FROM, _SUM_ALL_FROM, _MAX_ALL_FROM = 16_384, 65_536, 262_144  # elements, as fast as NumPy


def _summed(x, axes):
    """Are these the leading axes, or all but axis 1 with enough numbers behind it?"""
    if axes == list(range(len(axes))):
        width = math.prod(x.shape[len(axes) :])
        return 0 < len(axes) < x.ndim and (x.size >= _WIDE_SUM_FROM or width < 64)
    return axes == [0, *range(2, x.ndim)] and x.size >= 8 * x.shape[0] * x.shape[1]


def _trailing(x, axes, all_from):
    """Are these the trailing axes, and long enough together, or all of x with so many elements?"""
    first = x.ndim - len(axes)
    if not first:
        return x.size >= all_from
    return x.size >= _ROWS_SUM_FROM and axes == list(range(first, x.ndim)) and math.prod(x.shape[first:]) >= _LONG_ROW


def _axes(x, axis):
    """The axes in order, or none where the call cannot be served."""
    if x.size < _SUM_FROM or x.dtype not in FLOATS or not x.flags.carray:
        return []
    given = range(x.ndim) if axis is None else (axis,) if isinstance(axis, int) else axis
    axes = sorted({a % x.ndim for a in given if -x.ndim <= a < x.ndim})
    return axes if len(axes) == len(given) else []


def sum_when(x, *, axis=None, keepdims=False):
    """Refused: all but sums over leading or trailing axes, and over all axes but axis 1; few elements; memory in no
    order.
    """
    axes = _axes(x, axis)
    return bool(axes) and (_trailing(x, axes, _SUM_ALL_FROM) or _summed(x, axes))


def max_when(x, *, axis=None, keepdims=False):
    """Refused: all but trailing axes, few elements, memory in no order."""
    axes = _axes(x, axis)
    return bool(axes) and _trailing(x, axes, _MAX_ALL_FROM)


def extreme_backward_when(dy, x, extreme, *, axis=None):
    """Refused: all but trailing axes, few elements, memory in no order, several types."""
    axes = _axes(x, axis)
    same = dy.dtype == extreme.dtype == x.dtype and dy.size == extreme.size
    return bool(axes) and _trailing(x, axes, _ROWS_SUM_FROM) and same


mean_when, min_when = sum_when, max_when
sum_when.checks_shapes = max_when.checks_shapes = True
sum_when.smallest = max_when.smallest = _SUM_FROM


def sum_to_when(x, *, shape):
    """As sum_when: `shape` is that of the trailing axes, or (C, 1, ...), or these with ones before them."""
    if x.size < _SUM_FROM or x.dtype not in FLOATS or not x.flags.carray or len(shape) > x.ndim:
        return False
    padded = (1,) * (x.ndim - len(shape)) + tuple(shape)
    return _summed(x, [i for i, n in enumerate(padded) if n != x.shape[i]])


sum_to_when.smallest = _SUM_FROM


def cdist_when(a, b, *, order=2.0):
    """Refused: few differences, several types, other orders than 1, 2 and infinity."""
    return a.size * b.shape[-2] >= _SUM_FROM and a.dtype in FLOATS and a.dtype == b.dtype and order in (1, 2, math.inf)


def prod_when(x, *, axis=None, keepdims=False):
    """Refused: several axes, few elements, memory in no order."""
    return (axis is None or isinstance(axis, int)) and bool(_axes(x, axis))


def var_when(x, *, axis=None, correction=None, keepdims=False):
    """Refused: all but trailing axes, few elements, short rows, memory in no order."""
    axes = _axes(x, axis)
    first = x.ndim - len(axes)
    return bool(axes) and axes == list(range(first, x.ndim)) and math.prod(x.shape[first:]) >= _LONG_ROW


prod_when.smallest = var_when.smallest = _SUM_FROM
prod_when.checks_shapes = var_when.checks_shapes = True


# ---- order and running sums ------------------------------------------------------------------------------------------
_LINES_FROM, _MOST_LEADING = 1_024, 128  # elements


def _has_lines(x, axis):
    return x.size >= _LINES_FROM and x.dtype in FLOATS and -x.ndim <= axis < x.ndim


def sort_when(x, *, axis=-1, descending=False, stable=True):
    """Refused: few elements, other integers than int64."""
    return _has_lines(x, axis) or (x.dtype == np.int64 and x.size >= _LINES_FROM and -x.ndim <= axis < x.ndim)


def argtopk_when(x, *, k, axis=-1, largest=True):
    """Refused: few elements; many of them asked for, which a sort finds sooner."""
    return 0 < k <= _MOST_LEADING and 8 * k <= x.shape[axis] and _has_lines(x, axis)


def cumsum_when(x, *, axis=-1):
    """Refused: few elements."""
    return _has_lines(x, axis)


def argcummax_when(x, *, axis=-1, largest=True):
    """Refused: few elements."""
    return _has_lines(x, axis)


def cumprod_backward_when(dy, x, products, *, axis):
    """Refused: few elements, several types or shapes."""
    return _has_lines(x, axis) and of(x.dtype, x.shape, dy, products)


def searchsorted_when(edges, values, *, side="left"):
    """Refused: few values, no edges, several types."""
    return values.size >= _LINES_FROM and values.dtype in FLOATS and edges.dtype == values.dtype and edges.size > 0


argsort_when, cumprod_when, logcumsumexp_when = sort_when, cumsum_when, cumsum_when
argtopk_when.smallest = sort_when.smallest = _LINES_FROM
cumsum_when.smallest = argcummax_when.smallest = _LINES_FROM
