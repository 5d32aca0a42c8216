"""When kernels serve that only move numbers: joined, rolled, framed, picked by index."""

import math

from .arrays import FLOATS, without
from .elementwise import ONE_FROM


# ---- joining ---------------------------------------------------------------------------------------------------------
def _joins(xs):
    size, dtype = sum(x.size for x in xs), xs[0].dtype
    return (
        size >= ONE_FROM and dtype in FLOATS and all(x.dtype == dtype and x.ndim == xs[0].ndim and x.size for x in xs)
    )


def concat_when(*xs, axis=0):
    """Refused: few elements, an empty array, several types."""
    n = xs[0].ndim
    return (
        _joins(xs) and -n <= axis < n and all(without(x.shape, axis % n) == without(xs[0].shape, axis % n) for x in xs)
    )


def stack_when(*xs, axis=0):
    """Refused: few elements, several types or shapes."""
    return _joins(xs) and -xs[0].ndim - 1 <= axis <= xs[0].ndim and all(x.shape == xs[0].shape for x in xs)


# ---- moving ----------------------------------------------------------------------------------------------------------
_MOVED_FROM = 8_192  # elements


def _movable(x):
    return x.size >= _MOVED_FROM and x.itemsize in (4, 8) and x.dtype.kind in "fiuc" and x.dtype.isnative


def roll_when(x, *, shift, axis=None):
    """Refused: few elements, numbers of other than four and eight bytes; shifts and axes that do not go in pairs."""
    pairs = isinstance(shift, tuple) and isinstance(axis, tuple) and len(shift) == len(axis) > 0
    return _movable(x) and (pairs or not (isinstance(shift, tuple) or isinstance(axis, tuple)))


def pad_when(x, *, widths, value=0):
    """Refused: few elements, numbers of other than four and eight bytes; frames along other than the last two axes, and
    of fractions around integers."""
    fits = x.dtype.kind in "fc" or type(value) is int
    return _movable(x) and fits and x.ndim > 0 and not any(w for pair in widths[:-2] for w in pair)


def tril_when(x, *, k=0):
    """Refused: few elements, numbers of other than four and eight bytes."""
    return _movable(x) and x.ndim > 1


triu_when = tril_when
roll_when.smallest = pad_when.smallest = tril_when.smallest = _MOVED_FROM


# ---- rows of tables --------------------------------------------------------------------------------------------------
_ROWS_FROM, _ROW_SUMS_FROM = 32_768, 1_024  # elements; NumPy copies rows well, and adds them up after sorting


_WHOLE = slice(None)


def getitem_when(x, *arrays, key):
    """Refused: all but one array of integers, behind whole axes or none; few elements, memory in no order."""
    axis = len(key) - 1
    if len(arrays) != 1 or x.dtype not in FLOATS or arrays[0].dtype.kind not in "iu" or axis >= x.ndim:
        return False
    if not all(type(k) is slice and k == _WHOLE for k in key[:-1]):
        return False
    taken = x.size // x.shape[axis] * arrays[0].size if x.shape[axis] else 0
    return taken >= _ROWS_FROM and x.flags.carray


getitem_when.for_several = True  # a slice has no arrays


def scatter_when(v, *arrays, key, shape):
    """Refused: all but one array of integers, behind whole axes or none; few elements, v to be broadcast."""
    axis = len(key) - 1
    if len(arrays) != 1 or v.dtype not in FLOATS or arrays[0].dtype.kind not in "iu" or axis >= len(shape):
        return False
    if not all(type(k) is slice and k == _WHOLE for k in key[:-1]):
        return False
    taken = (*shape[:axis], *arrays[0].shape, *shape[axis + 1 :])
    return v.size >= _ROW_SUMS_FROM and v.shape == taken and math.prod(shape) > 0


scatter_when.for_several = True


_ALONG_FROM, _SUMS_ALONG_FROM = 1_024, 64  # elements; the reference of the sums makes a dozen calls


def take_along_axis_when(x, indices, *, axis=-1):
    """Refused: few elements, memory in no order, lengths of other axes that broadcast."""
    if indices.size < _ALONG_FROM or x.dtype not in FLOATS or indices.dtype.kind not in "iu" or x.ndim != indices.ndim:
        return False
    axis = axis % x.ndim if -x.ndim <= axis < x.ndim else x.ndim
    return x.size > 0 and x.flags.carray and without(x.shape, axis) == without(indices.shape, axis)


def add_along_axis_when(v, indices, *, axis, size):
    """Refused: few elements, v and indices of several shapes."""
    if v.size < _SUMS_ALONG_FROM or v.dtype not in FLOATS or indices.dtype.kind not in "iu":
        return False
    return v.shape == indices.shape and -v.ndim <= axis < v.ndim and size > 0


getitem_when.checks_shapes = scatter_when.checks_shapes = True
take_along_axis_when.checks_shapes = add_along_axis_when.checks_shapes = True
