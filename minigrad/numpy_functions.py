"""NumPy's functions on tensors: ``np.sin(t)``, ``np.sum(t, axis=0)``, ``np.add(a, t, out=u)`` compute with gradients.

A ufunc arrives in `__array_ufunc__`, any other function in `__array_function__`; both look for minigrad's function of
that name, and where there is none run NumPy on the values if no gradient would be lost by it.
"""

from __future__ import annotations

import inspect
import sys
from collections.abc import Callable
from functools import lru_cache, partial
from typing import Any

import numpy as np
from numpy import ndarray

from . import functions
from .convert import index
from .errors import DTypeError, GradError
from .functions.indexing import index_put, reduced_groups
from .functions.spelling import tensor_of
from .numpy_names import geomspace, real_if_close
from .ops.reduce import deviation
from .primitive import ALIASES, PRIMITIVES
from .protocols import attach
from .tensor import F, Tensor, apply, wrap

UFUNCS = {"fabs": "abs", "float_power": "power"}  # NumPy's ufunc -> our function, where no alias says so
REDUCTIONS = {
    "add": "sum", "multiply": "prod", "maximum": "max", "minimum": "min", "logical_and": "all", "logical_or": "any",
    "logaddexp": "logsumexp",
}  # fmt: skip
ACCUMULATIONS = {"add": "cumsum", "multiply": "cumprod", "maximum": "cummax", "minimum": "cummin",
                 "logaddexp": "logcumsumexp"}  # fmt: skip
FUNCTIONS = {"amax": "max", "amin": "min", "trapz": "trapezoid"}  # NumPy's function -> ours
NEUTRAL = {"sum": 0, "prod": 1, "all": True, "any": False, "max": -np.inf, "min": np.inf}
SILENT = {"kind", "order", "overwrite_input", "casting", "subok", "like", "device", "stable", "ascending"}


def ours(name: str, module: str = "numpy") -> Callable | None:
    """minigrad's function of this name, if there is one."""
    package: Any = sys.modules[__package__]
    if module != "numpy":  # numpy.linalg.norm
        package = getattr(package, module.partition(".")[2], None)
        return getattr(package, name, None)
    name = FUNCTIONS.get(name, name)
    primitive = PRIMITIVES.get(ALIASES.get(name, name))
    if hasattr(functions, name) or (primitive is not None and primitive.public):
        return getattr(package, name, None) or getattr(F, ALIASES.get(name, name))
    return None


def recorded(values: Any) -> bool:
    """True if a tensor among these takes part in a gradient."""
    if isinstance(values, (list, tuple)):
        return any(map(recorded, values))
    return isinstance(values, Tensor) and values.node is not None


def unwrapped(value: Any) -> Any:
    """Arguments with the tensors' arrays in their places."""
    if isinstance(value, Tensor):
        return value.detach().numpy()
    if isinstance(value, (list, tuple)):
        parts = [unwrapped(v) for v in value]
        return parts if isinstance(value, list) else tuple(parts)
    return value


def rewrapped(value: Any) -> Any:
    """Results with tensors for arrays."""
    if isinstance(value, ndarray):
        return wrap(value)
    if isinstance(value, (list, tuple)):
        parts = [rewrapped(v) for v in value]
        return parts if isinstance(value, list) else type(value)(*parts) if hasattr(value, "_fields") else tuple(parts)
    return value


def on_values(f: Callable, name: str, args: Any, keywords: dict) -> Any:
    """NumPy's own f on the values, for what minigrad has no gradient of."""
    if recorded([args, list(keywords.values())]):
        if name == "divmod":
            return F.floor_divide(*args), F.remainder(*args)
        module = getattr(f, "__module__", None) or "numpy"
        raise GradError(
            f"{module}.{name}: minigrad has no function of this name, and NumPy's would lose the gradient. Pass "
            "t.detach() on purpose."
        )
    return rewrapped(f(*unwrapped(args), **{k: unwrapped(v) for k, v in keywords.items()}))


def into(out: Any, y: Any, name: str, where: Any = True) -> Any:
    """The result y, written into `out`, a tensor or an array; at the places `where` alone."""
    if isinstance(out, tuple) and len(out) == 1:
        (out,) = out
    if out is None:
        return y
    if isinstance(out, Tensor):
        return out.overwrite(y if where is True else F.where(where, y, out), name)
    if recorded(y):
        raise GradError(f"numpy.{name}: out is an array, which would lose the gradient. Give a Tensor, or no out.")
    np.copyto(out, y.numpy(), casting="same_kind", where=unwrapped(where))
    return out


# ---- ufuncs ----------------------------------------------------------------------------------------------------------


@attach
def __array_ufunc__(self: Tensor, ufunc: Any, method: str, *inputs: Any, **keywords: Any) -> Any:
    """A NumPy ufunc, or its reduce, accumulate, outer or at, with a tensor among its operands."""
    name = UFUNCS.get(ufunc.__name__, ufunc.__name__)
    f = ours(name)
    if f is not None and ufunc.nout > 1 and method == "__call__" and "out" not in keywords:  # modf, frexp, divmod
        return f(*inputs)
    if f is None or method == "reduceat" or ufunc.nout > 1:
        return on_values(getattr(ufunc, method), ufunc.__name__, inputs, keywords)
    if method == "at":
        return at(f, name, *inputs)
    out, where, dtype = keywords.pop("out", None), keywords.pop("where", True), keywords.pop("dtype", None)
    keywords = {k: v for k, v in keywords.items() if k not in SILENT}
    if method == "__call__":
        inputs = tuple(tensor_of(x).astype(dtype) for x in inputs) if dtype is not None else inputs
        y = f(*inputs, **keywords)
        if where is not True and out is None:
            y = F.where(where, y, 0)  # NumPy leaves these places as they come
        return into(out, y, name, where)
    if method == "outer":
        a, b = map(tensor_of, inputs)
        return f(F.reshape(a, a.shape + (1,) * b.ndim), b)
    x, axis, *_ = (*inputs, keywords.pop("axis", 0)) if len(inputs) == 1 else inputs
    table = REDUCTIONS if method == "reduce" else ACCUMULATIONS
    if name not in table:
        return on_values(getattr(ufunc, method), ufunc.__name__, (x, axis), keywords)
    if method == "reduce":
        y = reduced(table[name], tensor_of(x), axis, dtype, where=where, **keywords)
    else:
        y = getattr(functions, table[name])(tensor_of(x) if dtype is None else tensor_of(x).astype(dtype), axis)
        y = y.values if hasattr(y, "values") else y
    return into(out, y, name)


def at(f: Callable, name: str, x: Any, key: Any, *values: Any) -> None:
    """x[key] = f(x[key], value) in place, where a place that key names twice is taken twice."""
    if not isinstance(x, Tensor):
        return on_values(getattr(np, name).at, f"{name}.at", (x, key, *values), {})
    keys, arrays = index(key)
    places = wrap(x.backend.asarray(np.arange(x.size).reshape(x.shape)))[key]

    def updated(x: Tensor) -> Tensor:
        if not values:
            return F.setitem(x, f(F.getitem(x, *arrays, key=keys)), *arrays, key=keys)
        v = F.broadcast_to(tensor_of(values[0]).astype(x.dtype), places.shape)
        if name in ("add", "subtract"):
            return index_put(x, key if isinstance(key, tuple) else (key,), v if name == "add" else -v, accumulate=True)
        if name in ("multiply", "divide", "maximum", "minimum"):
            kind = {"maximum": "amax", "minimum": "amin"}.get(name, "prod")
            v = F.reciprocal(v) if name == "divide" else v
            flat_x, flat_places, flat_v = (F.reshape(t, (t.size,)) for t in (x, places, v))
            flat = reduced_groups(flat_x, flat_places, flat_v, kind, include_self=True)
            return F.reshape(flat, x.shape)
        if np.unique(places.numpy()).size < places.size:
            raise DTypeError(f"numpy.{name}.at: on a Tensor every place may be named once only.")
        return F.setitem(x, f(F.getitem(x, *arrays, key=keys), v), *arrays, key=keys)

    x._in_place(updated, f"{name}.at")
    return None


for _name in ("add", "subtract", "multiply", "divide", "maximum", "minimum"):
    getattr(F, _name).at = partial(at, getattr(F, _name), _name)  # mg.add.at(x, index, value), in place


# ---- reductions ------------------------------------------------------------------------------------------------------


def reduced(
    name: str, x: Tensor, axis: Any = None, dtype: Any = None, keepdims: bool = False, *, where: Any = True,
    initial: Any = None, **keywords: Any,
) -> Tensor:  # fmt: skip
    """A reduction with NumPy's `where`, the elements that take part, and `initial`, one that takes part beside them."""
    f = getattr(F, name)
    x = x if dtype is None else x.astype(dtype)
    if where is True:
        y = f(x, axis=axis, keepdims=keepdims, **keywords)
    elif name in ("mean", "var", "std"):
        d = keywords.pop("ddof", keywords.pop("correction", 0)) if name != "mean" else 0
        n = F.sum(F.broadcast_to(tensor_of(where), x.shape), axis=axis, keepdims=True).astype(x.dtype)
        mean = F.sum(F.where(where, x, 0), axis=axis, keepdims=True) / n
        y = mean
        if name != "mean":
            y = F.sum(F.where(where, F.square(x - mean), 0), axis=axis, keepdims=True) / (n - d)
        y = deviation(F, y) if name == "std" else y
        y = y if keepdims else F.sum(y, axis=axis)  # axes of length 1
    else:
        start = NEUTRAL[name]
        if x.dtype.kind in "iu" and name in ("max", "min"):
            start = np.iinfo(x.dtype).min if name == "max" else np.iinfo(x.dtype).max
        y = f(F.where(where, x, start), axis=axis, keepdims=keepdims, **keywords)
    if initial is not None and name in ("sum", "prod", "max", "min"):
        y = {"sum": F.add, "prod": F.multiply, "max": F.maximum, "min": F.minimum}[name](y, initial)
    return y


REDUCED = ("sum", "prod", "mean", "var", "std", "max", "min", "amax", "amin", "all", "any")


# ---- functions -------------------------------------------------------------------------------------------------------


@lru_cache(maxsize=512)
def signature(f: Callable) -> inspect.Signature | None:
    try:
        return inspect.signature(f)
    except (TypeError, ValueError):  # a function in C that does not say
        return None


@attach
def __array_function__(self: Tensor, f: Any, types: Any, args: Any, kwargs: Any) -> Any:
    """A NumPy function with a tensor among its arguments: minigrad's of that name, with the gradient."""
    name, module = f.__name__, getattr(f, "__module__", "numpy") or "numpy"
    if name in SHAPES:
        return SHAPES[name](*args, **kwargs)
    special = {"numpy": SPECIAL, "numpy.linalg": OF_LINALG}.get(module, {}).get(name)
    if special is not None:
        return special(*args, **kwargs)
    instead = ours(name, module) if module in ("numpy", "numpy.linalg", "numpy.fft") else None
    if instead is None:
        return on_values(f, name, args, kwargs)
    positional, keywords, out = given(f, args, kwargs)
    if module == "numpy" and name in REDUCED:
        return into(out, reduced(FUNCTIONS.get(name, name), tensor_of(positional[0]), **keywords), name)
    return into(out, instead(*positional, **keywords), name)


def given(f: Callable, args: tuple, kwargs: dict) -> tuple[tuple, dict, Any]:
    """What a call of NumPy's f says: required arguments in order, the others by name, and out."""
    s = signature(f)
    if s is None:
        return args, {k: v for k, v in kwargs.items() if k != "out"}, kwargs.get("out")
    bound = s.bind(*args, **kwargs)
    positional: list = []
    keywords: dict = {}
    for k, v in bound.arguments.items():
        p = s.parameters[k]
        if p.kind is p.VAR_POSITIONAL:
            positional += v
        elif p.kind is p.VAR_KEYWORD:
            keywords |= v
        elif p.default is p.empty:
            positional.append(v)
        elif v is not p.default and v is not np._NoValue and k not in SILENT:
            keywords[k] = v
    out = keywords.pop("out", None)
    return tuple(positional), keywords, out


def equal_split(x: Tensor, indices_or_sections: Any, axis: int = 0) -> list[Tensor]:
    """numpy.split: a number of sections must divide the length."""
    if np.ndim(unwrapped(indices_or_sections)) == 0 and x.shape[axis] % int(indices_or_sections):
        raise ValueError("array split does not result in an equal division")
    return list(functions.array_split(x, indices_or_sections, axis))


def where(condition: Any, *choices: Any) -> Any:
    return F.where(tensor_of(condition).astype(bool), *choices) if choices else functions.nonzero(condition)


def joined(f: Callable) -> Callable:
    def join(arrays: Any, axis: Any = 0, out: Any = None, *, dtype: Any = None, casting: str = "same_kind") -> Any:
        y = f(list(arrays), axis=axis)
        return into(out, y if dtype is None else y.astype(dtype), f.__name__)

    return join


def unique(ar: Any, return_index=False, return_inverse=False, return_counts=False, axis=None, **keywords: Any) -> Any:
    keywords.pop("sorted", None)
    return functions.unique(ar, True, return_inverse, return_counts, axis, return_index=return_index, **keywords)


def like(name: str) -> Callable:
    def make(a: Any, *rest: Any, dtype: Any = None, shape: Any = None, **_: Any) -> Tensor:
        f = getattr(np, name)
        return wrap(f(unwrapped(a), *map(unwrapped, rest), dtype=dtype, shape=shape))

    return make


def clip(a: Any, a_min: Any = None, a_max: Any = None, out: Any = None, *, min: Any = None, max: Any = None) -> Any:
    low, high = (None if v is np._NoValue else v for v in (a_min, a_max))
    return into(out, F.clip(tensor_of(a), low if min is None else min, high if max is None else max), "clip")


def rounded(a: Any, decimals: int = 0, out: Any = None) -> Any:
    a = tensor_of(a)
    y = F.round(a) if not decimals else F.round(a * 10.0**decimals) / 10.0**decimals
    return into(out, y, "round")


def fixed(value: Any, name: str) -> Callable:
    """What a function says of its argument's shape or dtype."""
    return lambda a, *rest, **keywords: getattr(np, name)(value(a), *rest, **keywords)


def hollow(a: Any) -> Any:
    """An array like a, without memory."""
    return np.broadcast_to(np.zeros((), a.dtype), a.shape) if isinstance(a, Tensor) else a


def castable(a: Any, *rest: Any, **keywords: Any) -> bool:
    return np.can_cast(a.dtype if isinstance(a, Tensor) else a, *rest, **keywords)


def sharing(name: str) -> Callable:
    return lambda a, b, **_: getattr(np, name)(unwrapped(a), unwrapped(b))


def promoted(*given: Any) -> Any:
    return np.result_type(*(a.dtype if isinstance(a, Tensor) else a for a in given))


def spread(*arrays: Any, subok: bool = False) -> tuple[Tensor, ...]:
    return functions.broadcast_arrays(*arrays)


def copied(a: Any, order: str = "K", subok: bool = False) -> Tensor:
    return F.copy(tensor_of(a))


SHAPES: dict[str, Callable] = {"result_type": promoted, "can_cast": castable}
SHAPES |= {name: sharing(name) for name in ("shares_memory", "may_share_memory")}
SHAPES |= {
    name: fixed(hollow, name)
    for name in (
        *("shape", "ndim", "size", "iscomplexobj", "isrealobj", "tril_indices_from", "triu_indices_from"),
        *("diag_indices_from", "common_type", "min_scalar_type"),
    )
}
SHAPES |= {name: fixed(unwrapped, name) for name in ("array2string", "array_repr", "array_str")}


def _einsum(*operands: Any, out: Any = None, optimize: Any = False, **keywords: Any) -> Any:
    return into(out, functions.einsum(*operands, optimize=optimize), "einsum")


def _tensordot(a: Any, b: Any, axes: Any = 2) -> Tensor:
    return functions.tensordot(a, b, axes=axes)


def _copyto(dst: Any, src: Any, casting: str = "same_kind", where: Any = True) -> None:
    src = tensor_of(src)
    into(dst, F.broadcast_to(src, dst.shape), "copyto", where)


def _put(a: Any, ind: Any, v: Any, mode: str = "raise") -> None:
    """As NumPy's, in place."""
    into(a, functions.put(a, ind, functions.resize(v, (np.size(unwrapped(ind)),))), "put")


def _putmask(a: Any, mask: Any, values: Any) -> None:
    """As NumPy's, in place: values[i] at place i of the flat array, counted round, where the mask is True."""
    into(a, F.where(tensor_of(mask), functions.resize(tensor_of(values), a.shape).astype(a.dtype), a), "putmask")


def _place(arr: Any, mask: Any, vals: Any) -> None:
    """As NumPy's, in place: the values one after the other where the mask is True, counted round."""
    places = np.flatnonzero(unwrapped(mask))
    into(arr, functions.put(arr, places, functions.resize(tensor_of(vals), (places.size,)).astype(arr.dtype)), "place")


def _linspace(
    start: Any, stop: Any, num: int = 50, endpoint: bool = True, retstep: bool = False, dtype: Any = None, axis: int = 0
) -> Any:
    start, stop = tensor_of(start) * 1.0, tensor_of(stop) * 1.0
    span = stop - start
    part = np.linspace(0, 1, num, endpoint).reshape((num,) + (1,) * span.ndim).astype(span.dtype)
    y = functions.moveaxis(start + span * part, 0, axis)
    y = y if dtype is None else y.astype(dtype)
    return (y, span / max(num - bool(endpoint), 1)) if retstep else y


def _logspace(
    start: Any, stop: Any, num: int = 50, endpoint: bool = True, base: Any = 10.0, dtype: Any = None, axis: int = 0
) -> Tensor:
    y = F.power(base, _linspace(start, stop, num, endpoint, axis=axis))
    return y if dtype is None else y.astype(dtype)


def _meshgrid(*xi: Any, copy: bool = True, sparse: bool = False, indexing: str = "xy") -> tuple[Tensor, ...]:
    xs = [functions.ravel(tensor_of(x)) for x in xi]
    n, swap = len(xs), indexing == "xy" and len(xs) > 1
    place = lambda i: (1 - i if i < 2 else i) if swap else i
    xs = [F.reshape(x, tuple(-1 if place(i) == j else 1 for j in range(n))) for i, x in enumerate(xs)]
    return tuple(xs) if sparse else functions.broadcast_arrays(*xs)


def _einsum_path(*operands: Any, **keywords: Any) -> Any:
    return np.einsum_path(*map(hollow, operands), **keywords)


def _put_along_axis(x: Any, indices: Any, values: Any, axis: Any) -> None:
    """As NumPy's, in place."""
    into(x, functions.put_along_axis(x, indices, values, axis), "put_along_axis")


def _fill_diagonal(x: Any, value: Any, wrap: bool = False) -> None:
    """As NumPy's, in place."""
    into(x, functions.fill_diagonal(x, value, wrap), "fill_diagonal")


def _broadcast_to(x: Any, shape: Any, subok: bool = False) -> Tensor:
    return apply(PRIMITIVES["broadcast_to"], tensor_of(x), shape=functions.broadcast_shapes(shape))


def _argmax(name: str) -> Callable:
    def find(a: Any, axis: Any = None, out: Any = None, *, keepdims: Any = False) -> Any:
        keepdims = False if keepdims is np._NoValue else keepdims
        return into(out, getattr(F, name)(tensor_of(a), axis=axis, keepdims=keepdims), name)

    return find


def _angle(z: Any, deg: bool = False) -> Tensor:
    y = F.angle(tensor_of(z))
    return F.rad2deg(y) if deg else y


def _svd(a: Any, full_matrices: bool = True, compute_uv: bool = True, hermitian: bool = False) -> Any:
    return linalg().svd(a, full_matrices=full_matrices) if compute_uv else linalg().svdvals(a)


def _matrix_rank(A: Any, tol: Any = None, hermitian: bool = False, *, rtol: Any = None) -> Tensor:
    return linalg().matrix_rank(A, atol=tol, rtol=rtol if tol is None else 0.0, hermitian=hermitian)


def linalg() -> Any:
    return sys.modules[__package__].linalg


def _take_along_axis(arr: Any, indices: Any, axis: Any = -1) -> Tensor:
    return functions.take_along_dim(arr, indices, axis)


SPECIAL: dict[str, Callable] = {
    "split": equal_split, "where": where, "concatenate": joined(functions.concat), "concat": joined(functions.concat),
    "stack": joined(functions.stack), "unique": unique, "clip": clip, "round": rounded, "around": rounded,
    "broadcast_arrays": spread, "copy": copied, "einsum": _einsum, "tensordot": _tensordot, "copyto": _copyto,
    "put_along_axis": _put_along_axis, "fill_diagonal": _fill_diagonal, "broadcast_to": _broadcast_to,
    "put": _put, "putmask": _putmask, "place": _place, "linspace": _linspace, "logspace": _logspace,
    "geomspace": geomspace, "meshgrid": _meshgrid, "einsum_path": _einsum_path, "real_if_close": real_if_close,
    "angle": _angle, "argmax": _argmax("argmax"), "argmin": _argmax("argmin"), "take_along_axis": _take_along_axis,
}  # fmt: skip
OF_LINALG: dict[str, Callable] = {"svd": _svd, "matrix_rank": _matrix_rank}
SPECIAL |= {name: like(name) for name in ("zeros_like", "ones_like", "empty_like", "full_like")}
