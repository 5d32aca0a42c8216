"""A primitive's public function, written out from its declaration: real signatures, for readers, editors and errors."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from .errors import ArgumentError, DTypeError
from .primitive import Primitive


def written_out(p: Primitive, apply: Callable) -> Callable:
    """A function with the primitive's signature and docstring whose body is one call of `apply`.

    For softmax it is, in full::

        def softmax(x, axis=-1, **spelled):
            if spelled or isinstance(axis, _kinds): return _respelled(_p, softmax, (x,), dict(axis=axis), spelled)
            return _apply(_p, x, axis=axis)
    """
    inputs = [f"*{n}" if p.variadic and n == p.inputs[-1] else n + "=None" * (n in p.optional) for n in p.inputs]
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
    }
    required = [k for k, v in p.defaults.items() if v is p.signature.empty]
    keywords = [k if k in required else f"{k}=_{k}" for k in sorted(p.defaults, key=lambda k: k not in required)]
    out, axis = bool(p.inline), "axis" in p.defaults
    casts = p.casts
    scaled = p.name in ("add", "subtract")  # PyTorch's x + alpha y
    extra = ["*, dtype=None"] * casts + ["**spelled"] if axis else []
    # with an axis it is among what _respelled answers
    out = (out or not (axis or p.variadic or (p.optional and required))) and "out" not in {*p.inputs, *p.defaults}
    extra = ["*, out=None" + ", alpha=None" * scaled] if out else extra
    marker = ["*"] * bool(p.optional and required)  # a keyword without default cannot follow an input with one
    places = p.name in ("max", "min")  # an axis by position is PyTorch's
    marker += ["*place"] * places
    lines = [f"def {p.name}({', '.join([*inputs, *marker, *keywords, *extra])}):"]
    if p.name in ("triu", "tril"):  # PyTorch's word
        lines[0] = lines[0].replace("):", ", diagonal=None):")
        lines.append("    if diagonal is not None: k = diagonal")
    if places:
        lines.append(f"    if place: return _placed(_p, {p.name}, {p.inputs[0]}, place, keepdims, spelled)")
    if p.name == "where":  # of a condition alone: where it holds
        lines[0] = lines[0].replace(" a, b,", " a=None, b=None,")
        lines.append("    if a is None and b is None: return _places(condition)")
    if scaled:
        lines.append("    if alpha is not None: b = b * alpha")
    if casts and list(p.defaults)[:2] == ["axis", "keepdims"]:  # NumPy's order: sum(x, axis, dtype)
        lines.append(
            "    if keepdims is not False and isinstance(keepdims, _dtypes): keepdims, dtype = False, keepdims"
        )
    if casts:  # the dtype to compute in; integers, which NumPy adds as int64, come back in it
        given = ", ".join([f"_cast({p.inputs[0]}, dtype)", *(f"{k}={k}" for k in p.defaults), *["**spelled"] * axis])
        lines.append(f"    if dtype is not None: return _narrowed({p.name}({given}), dtype)")
    if axis:
        given = ", ".join(f"{k}={k}" for k in p.defaults)
        again = f"_p, {p.name}, ({', '.join([*passed, ''])}), dict({given}), spelled"
        lines.append(f"    if spelled or isinstance(axis, _kinds): return _respelled({again})")
    if p.variadic:
        lines.append(f"    {p.inputs[-1]} = _unpack({p.inputs[-1]})")
    call = f"_apply({', '.join(['_p', *passed, *(f'{k}={k}' for k in p.defaults)])})"
    lines.append(f"    return {call} if out is None else _into(out, {call}, _p)" if out else f"    return {call}")
    exec("\n".join(lines), scope)
    f = scope[p.name]
    f.__doc__, f.__module__, f.__qualname__ = p.doc, "minigrad", p.name
    return f


def _unpacked(arrays: tuple) -> tuple:
    """concat([a, b]) as well as concat(a, b)."""
    return tuple(arrays[0]) if len(arrays) == 1 and isinstance(arrays[0], (list, tuple)) else arrays


def _respelled(p: Primitive, f: Callable, inputs: tuple, given: dict, spelled: dict) -> Any:
    """f with PyTorch's dim and keepdim said as axis and keepdims, NumPy's ddof and PyTorch's unbiased as correction;
    or PyTorch's own answer, where it has one (functions/pairs.py)."""
    ours = {"dim": "axis", "dims": "axis", "keepdim": "keepdims", "ddof": "correction", "unbiased": "correction"}
    if (out := spelled.pop("out", None)) is not None:
        return into(out, f(*inputs, **given, **spelled), p.name)
    for name, value in spelled.items():
        if ours.get(name) not in p.defaults:
            raise TypeError(
                f"{p.name}() got an unexpected keyword argument {name!r}. It takes: {', '.join(p.defaults)}."
            )
        given[ours[name]] = int(value) if isinstance(value, bool) and name == "unbiased" else value
    if isinstance(given["axis"], list):  # as PyTorch, but not NumPy, takes them
        given["axis"] = tuple(given["axis"])
    if p.pytorch and ("dim" in spelled or isinstance(given["axis"], p.pytorch[1])):
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
