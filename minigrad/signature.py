"""A primitive's public function, written out from its declaration: real signatures, for readers, editors and errors."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from contextvars import ContextVar
from importlib import import_module
from itertools import zip_longest
from typing import Any

import numpy as np

from .errors import ArgumentError, DTypeError
from .primitive import Primitive

OURS = {"dim": "axis", "dims": "axis", "keepdim": "keepdims", "ddof": "correction", "unbiased": "correction",
        "diagonal": "k"}  # fmt: skip
PLACES = (  # other libraries' words for the first, second and third argument
    ("sorted_sequence", "input", "self", "A", "tensors", "tensor", "LU", "LD", "a", "x"),
    (
        *("pivots", "other", "exponent", "B", "b", "values", "vec2", "mat2", "tau", "dims", "dim0", "end"),
        *("split_size_or_sections", "tensor", "input", "boundaries"),
    ),
    ("dim1", "other", "B"),
)
OF_WHERE = (("condition",), ("input", "self"), ("other",))
ASKED: ContextVar[tuple[str, ...]] = ContextVar("ASKED", default=())  # functions that NumPy is asked for just now


class Absent:
    """In the place of an input that was not given, or not by its name."""

    def __init__(self, op: str, name: str):
        self.op, self.name = op, name

    def __array__(self, *_: Any, **__: Any) -> Any:
        raise DTypeError(f"{self.op}: the argument {self.name} is missing.")


def keywords_of(f: Callable) -> frozenset[str] | None:
    """The names by which f's arguments can be given; None: any."""
    code = f.__code__
    named = code.co_varnames[code.co_posonlyargcount : code.co_argcount + code.co_kwonlyargcount]
    return None if code.co_flags & inspect.CO_VARKEYWORDS else frozenset(named)


def in_order(args: tuple, keywords: dict) -> tuple[tuple, dict]:
    """Arguments and keywords, of which those in PyTorch's words for the first ones have gone to their places."""
    for place, words in enumerate(PLACES):
        found = [w for w in words if w in keywords]
        if found and len(args) == place:
            args = (*args, keywords[found[0]])
            keywords = {k: v for k, v in keywords.items() if k != found[0]}
    return args, keywords


def called(f: Callable, known: frozenset[str] | None, args: tuple, keywords: dict) -> Any:
    """f(*args, **keywords) in its own words, which are `known`, in PyTorch's or in NumPy's."""
    if keywords and known is not None and not known.issuperset(keywords):
        args, keywords = in_order(args, keywords)
        if not known.issuperset(keywords):
            return as_numpy(f, args, keywords)
    return f(*args, **keywords)


def as_numpy(f: Callable, args: tuple, keywords: dict) -> Any:
    """f, called in NumPy's words: by NumPy's function of this name, which comes back to ours with its arguments in
    order (numpy_functions.py). TypeError, which names f's own words, where NumPy has no such words either."""
    name, place = f.__name__, f.__module__.partition(".")[2]
    library = getattr(np, place) if place in ("linalg", "fft") else np
    theirs: Any = getattr(library, name, None)
    if name in ASKED.get() or not _understands(theirs, args, keywords):
        known = ", ".join(inspect.signature(f).parameters)
        raise TypeError(f"{name}() got an unexpected keyword argument among {', '.join(keywords)}. It takes: {known}.")
    tensor: Any = import_module(".creation", __package__).asarray
    token = ASKED.set((*ASKED.get(), name))
    try:
        if args:
            args = (_all_tensors(tensor, args[0]), *args[1:])
        elif keywords:
            first = next(iter(keywords))
            keywords = keywords | {first: _all_tensors(tensor, keywords[first])}
        return theirs(*args, **keywords)
    finally:
        ASKED.reset(token)


def _understands(f: Any, args: tuple, keywords: dict) -> bool:
    """Does NumPy's f take this call, and hand it to us? np.zeros and its kin would make an array."""
    if not (isinstance(f, np.ufunc) or hasattr(f, "_implementation")):
        return False
    try:
        return inspect.signature(f).bind(*args, **keywords) is not None
    except TypeError:
        return False
    except ValueError:  # a function in C that does not say
        return True


def _all_tensors(tensor: Callable, data: Any) -> Any:
    """Data, or a sequence of tensors or arrays, so that NumPy finds a tensor in it."""
    several = isinstance(data, (tuple, list)) and any(hasattr(d, "shape") for d in data)
    return [tensor(d) for d in data] if several else tensor(data)


def written_out(p: Primitive, apply: Callable) -> Callable:
    """A function with the primitive's signature and docstring whose body is one call of `apply`.

    For softmax it is, in full::

        def softmax(x=_no_x, axis=-1, **spelled):
            if spelled or isinstance(axis, _kinds): return _respelled(_p, softmax, (x,), dict(axis=axis), spelled)
            return _apply(_p, x, axis=axis)

    `spelled` is whatever was said in the words of PyTorch or NumPy, and ``out``.
    """
    required = [k for k, v in p.defaults.items() if v is p.signature.empty]
    axis, casts, places = "axis" in p.defaults, p.casts, p.name in ("max", "min")
    free = not (required or p.variadic)  # every input may come by name
    spelled = axis or free
    chosen = {"a", "b"} if p.name == "where" else p.optional
    absent = {n: "=None" if n in chosen else f"=_no_{n}" * free for n in p.inputs}
    inputs = [f"*{n}" if p.variadic and n == p.inputs[-1] else n + absent[n] for n in p.inputs]
    passed = [f"*{n}" if p.variadic and n == p.inputs[-1] else n for n in p.inputs]
    scope = {
        "_apply": apply,
        "_p": p,
        "_unpack": _unpacked,
        "_into": _into,
        "_respelled": _respelled,
        "_placed": _placed,
        "_places": _places,
        "_kinds": (list, *(p.pytorch[1] if p.pytorch else ())),
        "_cast": _cast,
        "_dtypes": (type, np.dtype, str),
        "_narrowed": narrowed,
        **{f"_{k}": v for k, v in p.defaults.items()},
        **{f"_no_{n}": Absent(p.name, n) for n in p.inputs},
    }
    keywords = [k if k in required else f"{k}=_{k}" for k in sorted(p.defaults, key=lambda k: k not in required)]
    out = not (spelled or p.variadic or p.optional) and "out" not in {*p.inputs, *p.defaults}
    extra = ["*, out=None"] if out else ["*, dtype=None"] * casts + ["**spelled"] * spelled
    marker = ["*"] * bool(p.optional and required)  # a keyword without default cannot follow an input with one
    marker += ["*place"] * places  # an axis by position is PyTorch's
    lines = [f"def {p.name}({', '.join([*inputs, *marker, *keywords, *extra])}):"]
    if places:
        lines.append(f"    if place: return _placed(_p, {p.name}, {p.inputs[0]}, place, keepdims, spelled)")
    if casts and list(p.defaults)[:2] == ["axis", "keepdims"]:  # NumPy's order: sum(x, axis, dtype)
        lines.append(
            "    if keepdims is not False and isinstance(keepdims, _dtypes): keepdims, dtype = False, keepdims"
        )
    if spelled:
        given = ", ".join(f"{k}={k}" for k in [*p.defaults, *["dtype"] * casts])
        again = f"_p, {p.name}, ({', '.join([*passed, ''])}), dict({given}), spelled"
        lines.append(f"    if spelled{' or isinstance(axis, _kinds)' * axis}: return _respelled({again})")
    if p.name == "where":  # of a condition alone: where it holds
        lines.append("    if a is None and b is None: return _places(condition)")
    if casts:  # the dtype to compute in; integers, which NumPy adds as int64, come back in it
        given = ", ".join([f"_cast({p.inputs[0]}, dtype)", *(f"{k}={k}" for k in p.defaults)])
        lines.append(f"    if dtype is not None: return _narrowed({p.name}({given}), dtype)")
    if p.variadic:
        lines.append(f"    {p.inputs[-1]} = _unpack({p.inputs[-1]})")
    call = f"_apply({', '.join(['_p', *passed, *(f'{k}={k}' for k in p.defaults)])})"
    lines.append(f"    return {call} if out is None else _into(out, {call}, _p)" if out else f"    return {call}")
    exec("\n".join(lines), scope)
    f = scope[p.name]
    f.__doc__, f.__module__, f.__qualname__ = p.doc, "minigrad", p.name
    f.__signature__ = _told(f)
    return f


def _told(f: Callable) -> inspect.Signature:
    """The signature for readers: what has to be given has no default, and `spelled` is out."""
    given = inspect.signature(f).parameters.values()
    own = [q.replace(default=q.empty) if isinstance(q.default, Absent) else q for q in given]
    if own and own[-1].kind is own[-1].VAR_KEYWORD:
        del own[-1]
        if "out" not in {q.name for q in own}:
            own.append(inspect.Parameter("out", inspect.Parameter.KEYWORD_ONLY, default=None))
    return inspect.Signature(own)


def _unpacked(arrays: tuple) -> tuple:
    """concat([a, b]) as well as concat(a, b)."""
    return tuple(arrays[0]) if len(arrays) == 1 and isinstance(arrays[0], (list, tuple)) else arrays


def _respelled(p: Primitive, f: Callable, inputs: tuple, given: dict, spelled: dict) -> Any:
    """f with PyTorch's dim and keepdim said as axis and keepdims, NumPy's ddof and PyTorch's unbiased as correction;
    or PyTorch's own answer, where it has one (functions/pairs.py), or as NumPy understands these words."""
    if (out := spelled.pop("out", None)) is not None:
        return into(out, f(*inputs, **given, **spelled), p.name)
    if p.name in ("add", "subtract") and (alpha := spelled.pop("alpha", None)) is not None:  # x + alpha y
        spelled = {k: v * alpha if k == "other" else v for k, v in spelled.items()}
        inputs = tuple(x if i == 0 or isinstance(x, Absent) else x * alpha for i, x in enumerate(inputs))
    places = OF_WHERE if p.name == "where" else PLACES
    missing = lambda x: isinstance(x, Absent) or (x is None and p.name == "where")
    inputs = tuple(
        next((spelled.pop(w) for w in words if w in spelled), x) if missing(x) else x
        for x, words in zip_longest(inputs, places[: len(inputs)], fillvalue=())
    )
    if any(OURS.get(name) not in p.defaults for name in spelled):
        first = () if isinstance(inputs[0], Absent) else inputs[:1]
        others = {k: v for k, v in zip(p.inputs[1:], inputs[1:]) if not (v is None or isinstance(v, Absent))}
        others |= {k: v for k, v in given.items() if v is not p.defaults.get(k)}
        return as_numpy(f, first, spelled | others)
    given |= {OURS[k]: int(v) if isinstance(v, bool) and k == "unbiased" else v for k, v in spelled.items()}
    if isinstance(given.get("axis"), list):  # as PyTorch, but not NumPy, takes them
        given["axis"] = tuple(given["axis"])
    if given.get("dtype", p) is None:
        del given["dtype"]
    if p.pytorch and ("dim" in spelled or isinstance(given.get("axis"), p.pytorch[1])):
        return p.pytorch[0](*inputs, **given)
    return f(*inputs, **given)


def _placed(p: Primitive, f: Callable, x: Any, place: tuple, keepdims: Any, spelled: dict) -> Any:
    """``max(x, 1)``, ``max(x, 1, True)`` and ``max(x, y)``, as PyTorch means them."""
    if (out := spelled.pop("out", None)) is not None:
        return into(out, _placed(p, f, x, place, keepdims, spelled), p.name)
    if len(place) > 2 or spelled.keys() - {"keepdim"} or p.pytorch is None:
        raise TypeError(f"{p.name}() takes an axis and keepdims behind x: got {place} and {spelled}.")
    keepdims = place[1] if len(place) == 2 else spelled.get("keepdim", keepdims)
    if place[0] is None:
        return f(x, keepdims=keepdims)
    return p.pytorch[0](x, axis=place[0], keepdims=keepdims)


def _places(condition: Any) -> tuple:
    """The indices of what is true, one tensor for each axis."""
    return condition.nonzero(as_tuple=True) if hasattr(condition, "overwrite") else np.nonzero(condition)


def _cast(x: Any, dtype: Any) -> Any:
    """x in the dtype to compute in."""
    x = x if hasattr(x, "astype") else np.asarray(x)
    return x.to(dtype) if hasattr(x, "overwrite") else x.astype(dtype)


def narrowed(y: Any, dtype: Any) -> Any:
    """An integer result in the dtype that was asked for, None: as it is. Sums of small integers are made as int64."""
    return y if dtype is None or y.dtype.kind not in "iu" or y.dtype == dtype else y.astype(dtype)


def _into(out: Any, y: Any, p: Primitive) -> Any:
    return into(out, y, p.name)


def into(out: Any, y: Any, op: str) -> Any:
    """The result y, written into the tensor `out`, which has its shape or is empty and then takes it; several results
    into a tuple of tensors. Its dtype stays, and must be of y's kind or above. Gradients go on from `out`."""
    if isinstance(y, tuple):
        if not isinstance(out, (tuple, list)) or len(out) != len(y):
            raise ArgumentError(f"{op}: out must be a tuple of {len(y)} tensors, one for each result: got {out!r:.60}.")
        made = (into(o, v, op) for o, v in zip(out, y))
        return type(y)(*made) if hasattr(y, "_fields") else tuple(made)
    if not hasattr(out, "overwrite"):
        raise DTypeError(f"{op}: out must be a Tensor: got {type(out).__name__}.")
    if out.array.size == 0 and out.shape != y.shape and out.node is None:
        out.array, out.source = out.backend.xp.empty(y.shape, out.dtype), None
    return out.overwrite(y, op)
