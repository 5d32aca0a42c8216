"""When each kernel of this folder serves a call: cheap predicates with the arguments of the primitive, and no Numba
import.

A kernel is refused for other types than float32 and float64 (both arguments of one type), and below the size where
NumPy is as fast; the sizes are elements or multiplications, measured on two cores with AVX-512. A refused call runs
the reference.
"""

import functools
import math
import re
from typing import NamedTuple

import numpy as np

FLOATS = frozenset((np.dtype(np.float32), np.dtype(np.float64)))


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


# ---- elementwise -----------------------------------------------------------------------------------------------------
# What a scalar text may call, see elementwise.py.
_ONE_PASS = {"abs", "maximum", "minimum", "sign", "sqrt", "where", "relu", "relu_backward"}
_VECTOR_IN_NUMPY = {"exp", "log", "tanh"}
LEAVES = _ONE_PASS | _VECTOR_IN_NUMPY | {"erf", "erfc", "ndtr", "expm1", "log1p", "sigmoid"}
LEAVES |= {"logaddexp", "gelu", "gelu_backward", "gelu_tanh", "gelu_tanh_backward"}
# Elements from which the kernel wins: several NumPy passes as soon as its call is paid; NumPy's vector code for exp,
# log and tanh when the second thread pays; one pass over memory later still.
_SEVERAL_FROM, _VECTOR_FROM, _LOG_FROM, _ONE_FROM = 1_024, 28_672, 65_536, 131_072
RULE_FROM = 4_096
_ERF_FROM = 128  # NumPy has no erf: there it takes forty passes, or one call a number
_WHERE_FROM, _FINITE_FROM = 8_192, 32_768
_LOOP_FROM, _PAIR_FROM, _LIGHT_LOOPS = 65_536, 12_288, {"floor", "ceil", "trunc", "round", "log2", "log10"}
_RUN = 32  # the shortest run that pays where shapes broadcast
_BLOCK = 1_024  # elements of the buffer for a number that repeats along a run
LEVELS = 3  # pitches with which the runs of an input may follow each other
READS = 3 + 3 * LEVELS  # numbers of a layout for each input
_OUTER_FROM = 256  # of both inputs of an outer product; two of this size may give many elements


def generated(primitives):
    """{name: predicate} of the elementwise primitives whose texts are made of `LEAVES` and of other such texts."""
    known, found, before = set(LEAVES), {}, -1
    while len(found) > before:  # a text may call one that is declared later
        before = len(found)
        for name, p in primitives.items():
            if not p.inline or p.kind == "bool" or name in found or name in ("positive", "where"):
                continue
            called = set(re.findall(r"(\w+)\(", p.inline))
            if not called <= known or re.search(r"//|%|<<|>>|[&|~^]", p.inline):
                continue
            known.add(name)
            passes = len(re.findall(r"\w+\(|[-+*/]", p.inline))
            if called & {"erf", "gelu", "gelu_backward"}:
                smallest = _ERF_FROM
            elif name in ("log", "log1p"):  # NumPy's are the fastest of its vector loops
                smallest = _LOG_FROM
            elif called & (LEAVES - _ONE_PASS - _VECTOR_IN_NUMPY) or passes > 1:
                smallest = _SEVERAL_FROM
            else:
                smallest = _VECTOR_FROM if called & _VECTOR_IN_NUMPY else _ONE_FROM
            found[name] = (_unary_from, _binary_from, _ternary_from)[len(p.inputs) - 1](smallest)
    return found


def looped(primitives):
    """{name: predicate} of the elementwise primitives that NumPy's vector loops serve, on all threads: see loops.py.
    log1p is among them: only inside other texts does that of vectormath.py win."""
    found, others = {}, generated(primitives).keys() - {"log1p"}
    for name, p in primitives.items():
        own = p.inline and p.inline.startswith(f"{name}(")
        if name in others or not own or p.defaults or p.kind == "bool":
            continue
        ufunc = getattr(np, "rint" if name == "round" else name, None)
        floats = isinstance(ufunc, np.ufunc) and "f" * ufunc.nin + "->f" in ufunc.types
        if not p.replaces and floats and name not in ("copysign", "heaviside", "fmod", "fmax", "fmin"):
            pairs, smallest = ufunc.nin == 2, _ONE_FROM if name in _LIGHT_LOOPS else _LOOP_FROM
            found[name] = _pair_from(_PAIR_FROM) if pairs else _unary_from(smallest)
    return found


def _pair_from(size):
    def when(a, b, **_):
        kind = type(b)
        if kind is float or kind is int:
            return a.size >= size and a.dtype in FLOATS
        kind = type(a)
        if kind is float or kind is int:
            return b.size >= size and b.dtype in FLOATS
        return a.size >= size and a.shape == b.shape and a.dtype == b.dtype and a.dtype in FLOATS

    when.smallest, when.checks_shapes = size, True
    return when


def _unary_from(size):
    def when(x, **_):
        if x.size < size or x.dtype not in FLOATS:
            return False
        return size < _ONE_FROM or x.flags.carray or _in_runs(placed(x), size)

    when.smallest, when.checks_shapes = size, True
    return when


def _binary_from(size):
    def when(a, b, **_):
        kind = type(b)
        if kind is float or kind is int:
            return a.size >= size and a.dtype in FLOATS
        kind = type(a)
        if kind is float or kind is int:
            return b.size >= size and b.dtype in FLOATS
        if a.dtype != b.dtype or a.dtype not in FLOATS:
            return False
        if a.size < size and b.size < size and (a.shape == b.shape or a.size * b.size < size):
            return False
        if size < _ONE_FROM and a.shape == b.shape:
            return True
        return _in_runs(placed(a, b), size)

    when.smallest, when.checks_shapes = min(size, _OUTER_FROM), True
    return when


def _ternary_from(size):
    def when(*operands, **params):
        arrays = [x for x in operands if type(x) not in (float, int)]
        first = arrays[0]
        if first.dtype not in FLOATS or any([x.dtype != first.dtype for x in arrays]):
            return False
        if not all([type(v) in (float, int) for v in params.values()]):  # a complex factor
            return False
        if first.size >= size and all([x.shape == first.shape for x in arrays]):
            return True
        return _in_runs(placed(*arrays), size)

    when.smallest, when.checks_shapes = _OUTER_FROM, True
    return when


@functools.lru_cache(maxsize=4096)
def contiguous(size, inputs):
    """The numbers of the layout of so many contiguous inputs of one shape."""
    return np.array((size, size, size, *(0, 1, *[0] * (READS - 2)) * inputs), np.int64)


def _in_runs(found, size):
    """Does this layout have runs that pay? To copy views would take longer than NumPy's loop over them."""
    return found is not None and found.run >= _RUN and found.numbers[0] >= size


floor_divide_when = fmod_when = remainder_when = _binary_from(_SEVERAL_FROM)


def copy_when(x):
    """Refused: few elements, views whose elements do not lie side by side."""
    return x.size >= _ONE_FROM and x.dtype in FLOATS and _in_runs(placed(x, ordered=False), _ONE_FROM)


def where_when(condition, a, b):
    """Refused: few elements, several types, a condition that is no array of truth values; short runs."""
    arrays = [x for x in (a, b) if type(x) not in (float, int)]
    if condition.dtype != bool or not arrays or arrays[0].dtype not in FLOATS or arrays[0].dtype != arrays[-1].dtype:
        return False
    return _in_runs(placed(*arrays, condition), _WHERE_FROM)


def clip_when(x, min=None, max=None):
    """Refused: few elements, several types; short runs."""
    if x.size < _WHERE_FROM or x.dtype not in FLOATS:
        return False
    arrays = [b for b in (min, max) if b is not None and type(b) not in (float, int)]
    return all(b.dtype == x.dtype for b in arrays) and _in_runs(placed(x, *arrays), _WHERE_FROM)


def nan_to_num_when(x, *, nan=0.0, posinf=None, neginf=None):
    """Refused: few elements, other replacements than numbers."""
    given = all(type(v) in (float, int, type(None)) for v in (nan, posinf, neginf))
    return given and x.size >= _FINITE_FROM and x.dtype in FLOATS


clip_when.smallest, clip_when.checks_shapes, nan_to_num_when.smallest = _WHERE_FROM, True, _FINITE_FROM
where_when.smallest, where_when.checks_shapes = 256, True  # of the condition and a: b is seldom much larger
POWERS = {2: "{a} * {a}", 3: "{a} * {a} * {a}", 4: "({a} * {a}) * ({a} * {a})", -1: "1 / {a}"}
POWERS[0.5] = "sqrt(where({a} + {a} == {a}, abs({a}), {a}))"  # unlike the root's, infinity at -infinity and 0 at -0


def power_when(a, b):
    """Refused: few elements, several types or shapes."""
    return _is_pair(a, b)


_is_pair = _pair_from(_PAIR_FROM)
power_when.smallest, power_when.checks_shapes = _PAIR_FROM, True


def as_operand(x, dtype):
    """A Python number as an array of the other operand's type."""
    return x if isinstance(x, np.ndarray) else np.array(x, dtype)


def fits(arrays, truths=0):
    """May a rule's kernel take these: large enough, of one shape and type? The last `truths` are of truth values."""
    first, count = arrays[0], len(arrays) - truths
    if not isinstance(first, np.ndarray) or first.size < RULE_FROM or first.dtype not in FLOATS:
        return False
    for i, x in enumerate(arrays):
        if not isinstance(x, np.ndarray) or x.shape != first.shape or x.dtype != (first.dtype if i < count else bool):
            return False
    return True


# Special functions of one input whose forwards are straight lines, with the keywords for which all is compiled ahead.
SPECIAL = {name: {} for name in ("erfcx", "log_ndtr", "erfinv", "ndtri", "lgamma", "digamma", "i0", "i0e", "i1", "i1e")}
SPECIAL |= {f"{scaled}modified_bessel_k{order}": {} for scaled in ("", "scaled_") for order in (0, 1)}
SPECIAL["polygamma_of"] = {"n": 1}
_SPECIAL_FROM = 256  # elements; the references make a hundred passes


def special_when(x, *, n=1):
    """Refused: few elements, far derivatives, each of which would be compiled by itself."""
    return x.size >= _SPECIAL_FROM and x.dtype in FLOATS and n <= 4


def trigonometric_when(x):
    """Refused: few elements, and float32, which NumPy computes in vectors."""
    return x.size >= _SPECIAL_FROM and x.dtype == np.float64


special_when.checks_shapes = trigonometric_when.checks_shapes = True
trigonometric_when.smallest = _SPECIAL_FROM


class Layout(NamedTuple):
    """How arrays broadcast, and where each is read; see `layout`."""

    shape: tuple  # of the output
    order: tuple | None  # its axes as they stand in memory, None for C order
    run: int
    block: int  # elements of the buffer for a number that repeats along a run
    numbers: np.ndarray  # elements, run, block; for each input: 0 (its address), step, levels, (part, count, width)...


def placed(*arrays, ordered=True):
    """The layout of these arrays, or None."""
    return layout(*[(x.shape, x.strides, x.itemsize) for x in arrays], ordered=ordered)


@functools.lru_cache(maxsize=2048)
def layout(*inputs, ordered=True):
    """Where to read inputs (shape, strides in bytes, bytes of an element) that broadcast; None where they do not, or
    where their elements do not lie side by side along runs.

    The output is `run` elements after another `run`, in which an input is contiguous (step 1) or constant (step 0);
    run number s begins in it at the sum over its levels of s // part % count * width, a count of 0 for one that does
    not begin again. The output has the order of
    axes of a contiguous input, else of the first input that repeats nothing; C order if not `ordered`.
    """
    ndim = max(len(own) for own, *_ in inputs)
    padded = [((1,) * (ndim - len(own)) + own, (0,) * (ndim - len(own)) + bytes_) for own, bytes_, _ in inputs]
    shape = tuple(max(n) if 0 not in n else 0 for n in zip(*[own for own, _ in padded]))
    if 0 in shape or any(n not in (1, whole) for own, _ in padded for n, whole in zip(own, shape)):
        return None
    if any(n > 1 and b % size for (own, bytes_), (*_, size) in zip(padded, inputs) for n, b in zip(own, bytes_)):
        return None
    steps = [
        [b // size if n > 1 else 0 for n, b in zip(own, bytes_)] for (own, bytes_), (*_, size) in zip(padded, inputs)
    ]
    axes = [i for i, n in enumerate(shape) if n > 1]
    falling = lambda step: sorted(axes, key=lambda i: -abs(step[i]))
    whole = [step for step in steps if all(step[i] for i in axes)]
    if ordered and whole and all(falling(step) != axes for step in whole):
        axes = falling(whole[0])
    if axes and any(step[axes[-1]] not in (0, 1) for step in steps):
        return None
    outer = max(0, len(axes) - 1)
    while outer and all(step[axes[outer - 1]] == step[axes[outer]] * shape[axes[outer]] for step in steps):
        outer -= 1
    run = math.prod(shape[i] for i in axes[outer:])
    reads = []
    for step in steps:
        levels, part = [], 1
        for i in reversed(axes[:outer]):
            if levels and part == levels[-1][0] * levels[-1][1] and step[i] == levels[-1][1] * levels[-1][2]:
                levels[-1][1] *= shape[i]
            elif step[i]:
                levels.append([part, shape[i], step[i]])
            part *= shape[i]
        if len(levels) > LEVELS:
            return None
        if levels and levels[-1][0] * levels[-1][1] == part:
            levels[-1][1] = 0
        found = [n for level in levels for n in level]
        reads += (0, int(not axes or step[axes[-1]]), len(levels), *found, *[0] * (3 * LEVELS - len(found)))
    block = run if all(reads[1::READS]) else min(run, _BLOCK)
    order = None if axes == sorted(axes) else (*(i for i, n in enumerate(shape) if n == 1), *axes)
    numbers = np.array((math.prod(shape), run, block, *reads), np.int64)
    return Layout(shape, order, run, block, numbers)


# Elements. A kernel's call costs as much as two NumPy calls, of which these would take six to twelve, so that there is
# no crossing; but a handful of numbers, as in a first example, does not wait for Numba to be imported.
_LINES_OF_FEW = 32


def softmax_when(x, *, axis):
    """Refused: fewer than 32 elements, an axis that is not there."""
    return x.size >= _LINES_OF_FEW and x.dtype in FLOATS and -x.ndim <= axis < x.ndim


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
softmax_when.smallest = softmax_backward_when.smallest = _LINES_OF_FEW
logsumexp_when.smallest = 128
softmax_when.checks_shapes = softmax_backward_when.checks_shapes = True


def cross_entropy_when(x, labels):
    """Refused: fewer than 32 scores, labels that are no integers or do not fit."""
    fits = x.ndim == 2 and labels.shape == x.shape[:1]
    return fits and x.size >= _LINES_OF_FEW and x.dtype in FLOATS and labels.dtype.kind in "iu"


cross_entropy_when.smallest = _LINES_OF_FEW
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
        and _of(logp.dtype, states.shape[:1], dy, loss)
        and _of(logp.dtype, (len(logp), *states.shape), alphas)
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


# ---- joining ---------------------------------------------------------------------------------------------------------
def _joins(xs):
    size, dtype = sum(x.size for x in xs), xs[0].dtype
    return (
        size >= _ONE_FROM and dtype in FLOATS and all(x.dtype == dtype and x.ndim == xs[0].ndim and x.size for x in xs)
    )


def concat_when(*xs, axis=0):
    """Refused: few elements, an empty array, several types."""
    n = xs[0].ndim
    return (
        _joins(xs) and -n <= axis < n and all(_except(x.shape, axis % n) == _except(xs[0].shape, axis % n) for x in xs)
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
    return _has_lines(x, axis) and _of(x.dtype, x.shape, dy, products)


def searchsorted_when(edges, values, *, side="left"):
    """Refused: few values, no edges, several types."""
    return values.size >= _LINES_FROM and values.dtype in FLOATS and edges.dtype == values.dtype and edges.size > 0


argsort_when, cumprod_when, logcumsumexp_when = sort_when, cumsum_when, cumsum_when
argtopk_when.smallest = sort_when.smallest = _LINES_FROM
cumsum_when.smallest = argcummax_when.smallest = _LINES_FROM


# ---- normalisation ---------------------------------------------------------------------------------------------------
def _of(dtype, shape, *arrays):
    """Are all of these that are not None of one type and shape?"""
    for a in arrays:  # noqa: SIM110  all() of a generator takes three times as long
        if a is not None and (a.shape != shape or (a.dtype is not dtype and a.dtype != dtype)):
            return False
    return True


def layer_norm_when(x, weight=None, bias=None, *, ndim=1, eps=1e-5):
    """Refused: fewer than 32 elements, weight and bias of another type."""
    inner = x.shape[x.ndim - ndim :]
    return x.size >= _LINES_OF_FEW and x.dtype in FLOATS and 0 < ndim <= x.ndim and _of(x.dtype, inner, weight, bias)


layer_norm_when.smallest = _LINES_OF_FEW
layer_norm_when.checks_shapes = True


def layer_norm_backward_when(dy, x, mean, rstd, weight=None, *, ndim=1):
    """Refused: fewer than 32 elements, several types, shapes that do not fit."""
    return (
        layer_norm_when(x, weight, ndim=ndim)
        and _of(x.dtype, x.shape, dy)
        and _of(x.dtype, x.shape[: x.ndim - ndim] + (1,) * ndim, mean, rstd)
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
        and _of(x.dtype, x.shape[1:2], weight, bias)
    )


group_norm_when.smallest = 128
group_norm_when.checks_shapes = True


def group_norm_backward_when(dy, x, mean, rstd, weight=None, *, groups=1):
    """Refused: fewer than 128 elements, several types, shapes that do not fit."""
    return (
        group_norm_when(x, weight, groups=groups)
        and _of(x.dtype, x.shape, dy)
        and _of(x.dtype, (x.shape[0], groups, 1), mean, rstd)
    )


def batch_norm_when(x, weight=None, bias=None, *, eps=1e-5):
    """Refused: fewer than 128 elements, weight and bias of another type."""
    return x.ndim >= 2 and x.size >= 128 and x.dtype in FLOATS and _of(x.dtype, x.shape[1:2], weight, bias)


batch_norm_when.smallest = 128
batch_norm_when.checks_shapes = True


def batch_norm_backward_when(dy, dmean, dvar, x, mean, rstd, weight=None):
    """Refused: fewer than 128 elements, several types, shapes that do not fit."""
    return (
        batch_norm_when(x, weight) and _of(x.dtype, x.shape, dy) and _of(x.dtype, x.shape[1:2], dmean, dvar, mean, rstd)
    )


def batch_norm_inference_when(x, mean, var, weight=None, bias=None, *, eps=1e-5):
    """Refused: fewer than 128 elements, several types."""
    return batch_norm_when(x, weight, bias) and _of(x.dtype, x.shape[1:2], mean, var)


def batch_norm_inference_backward_when(dy, x, mean, rstd, weight=None):
    """Refused: fewer than 128 elements, several types, shapes that do not fit."""
    return batch_norm_when(x, weight) and _of(x.dtype, x.shape, dy) and _of(x.dtype, x.shape[1:2], mean, rstd)


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
    return attention_when(q, k, v, mask) and _of(q.dtype, made, dy, out) and _of(q.dtype, (*q.shape[:-1], 1), log_total)


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


def _except(shape, axis):
    return shape[:axis] + shape[axis + 1 :]


def take_along_axis_when(x, indices, *, axis=-1):
    """Refused: few elements, memory in no order, lengths of other axes that broadcast."""
    if indices.size < _ALONG_FROM or x.dtype not in FLOATS or indices.dtype.kind not in "iu" or x.ndim != indices.ndim:
        return False
    axis = axis % x.ndim if -x.ndim <= axis < x.ndim else x.ndim
    return x.size > 0 and x.flags.carray and _except(x.shape, axis) == _except(indices.shape, axis)


def add_along_axis_when(v, indices, *, axis, size):
    """Refused: few elements, v and indices of several shapes."""
    if v.size < _SUMS_ALONG_FROM or v.dtype not in FLOATS or indices.dtype.kind not in "iu":
        return False
    return v.shape == indices.shape and -v.ndim <= axis < v.ndim and size > 0


getitem_when.checks_shapes = scatter_when.checks_shapes = True
take_along_axis_when.checks_shapes = add_along_axis_when.checks_shapes = True


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
