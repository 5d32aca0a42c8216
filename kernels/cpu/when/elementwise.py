"""When the elementwise kernels serve."""

import re

import numpy as np

from .arrays import FLOATS
from .layouts import in_runs, placed

# What a scalar text may call, see elementwise.py.
_ONE_PASS = {"abs", "maximum", "minimum", "sign", "sqrt", "where", "relu", "relu_backward"}
_VECTOR_IN_NUMPY = {"exp", "log", "tanh"}
LEAVES = _ONE_PASS | _VECTOR_IN_NUMPY | {"erf", "erfc", "ndtr", "expm1", "log1p", "sigmoid"}
LEAVES |= {"logaddexp", "gelu", "gelu_backward", "gelu_tanh", "gelu_tanh_backward"}
# Elements from which the kernel wins: several NumPy passes as soon as its call is paid; NumPy's vector code for exp,
# log and tanh when the second thread pays; one pass over memory later still.
_SEVERAL_FROM, _VECTOR_FROM, _LOG_FROM, ONE_FROM = 1_024, 28_672, 65_536, 131_072
RULE_FROM = 4_096
_ERF_FROM = 128  # NumPy has no erf: there it takes forty passes, or one call a number
_WHERE_FROM, _FINITE_FROM = 8_192, 32_768
_LOOP_FROM, _PAIR_FROM, _LIGHT_LOOPS = 65_536, 12_288, {"floor", "ceil", "trunc", "round", "log2", "log10"}
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
                smallest = _VECTOR_FROM if called & _VECTOR_IN_NUMPY else ONE_FROM
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
            pairs, smallest = ufunc.nin == 2, ONE_FROM if name in _LIGHT_LOOPS else _LOOP_FROM
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
        return size < ONE_FROM or x.flags.carray or in_runs(placed(x), size)

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
        if size < ONE_FROM and a.shape == b.shape:
            return True
        return in_runs(placed(a, b), size)

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
        return in_runs(placed(*arrays), size)

    when.smallest, when.checks_shapes = _OUTER_FROM, True
    return when


floor_divide_when = fmod_when = remainder_when = _binary_from(_SEVERAL_FROM)


def copy_when(x):
    """Refused: few elements, views whose elements do not lie side by side."""
    return x.size >= ONE_FROM and x.dtype in FLOATS and in_runs(placed(x, ordered=False), ONE_FROM)


def where_when(condition, a, b):
    """Refused: few elements, several types, a condition that is no array of truth values; short runs."""
    arrays = [x for x in (a, b) if type(x) not in (float, int)]
    if condition.dtype != bool or not arrays or arrays[0].dtype not in FLOATS or arrays[0].dtype != arrays[-1].dtype:
        return False
    return in_runs(placed(*arrays, condition), _WHERE_FROM)


def clip_when(x, min=None, max=None):
    """Refused: few elements, several types; short runs."""
    if x.size < _WHERE_FROM or x.dtype not in FLOATS:
        return False
    arrays = [b for b in (min, max) if b is not None and type(b) not in (float, int)]
    return all(b.dtype == x.dtype for b in arrays) and in_runs(placed(x, *arrays), _WHERE_FROM)


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
