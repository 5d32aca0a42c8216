"""A primitive's public function, written out from its declaration: real signatures, for readers, editors and errors."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from .errors import DTypeError
from .primitive import Primitive


def written_out(p: Primitive, apply: Callable) -> Callable:
    """A function with the primitive's signature and docstring whose body is one call of `apply`.

    For softmax it is, in full::

        def softmax(x, axis=-1, **spelled):
            if spelled: return softmax(x, **_pytorch(_p, spelled, dict(axis=axis)))
            return _apply(_p, x, axis=axis)
    """
    inputs = [f"*{n}" if p.variadic and n == p.inputs[-1] else n + "=None" * (n in p.optional) for n in p.inputs]
    passed = [f"*{n}" if p.variadic and n == p.inputs[-1] else n for n in p.inputs]
    scope = {
        "_apply": apply,
        "_p": p,
        "_unpack": _unpacked,
        "_into": _into,
        "_pytorch": _pytorch,
        "_cast": _cast,
        **{f"_{k}": v for k, v in p.defaults.items()},
    }
    required = [k for k, v in p.defaults.items() if v is p.signature.empty]
    keywords = [k if k in required else f"{k}=_{k}" for k in sorted(p.defaults, key=lambda k: k not in required)]
    out, axis = bool(p.inline), "axis" in p.defaults
    casts = p.casts
    extra = ["*, out=None"] if out else ["*, dtype=None"] * casts + ["**spelled"] if axis else []
    marker = ["*"] * bool(p.optional and required)  # a keyword without default cannot follow an input with one
    lines = [f"def {p.name}({', '.join([*inputs, *marker, *keywords, *extra])}):"]
    if casts:  # the dtype to compute in
        lines.append(f"    if dtype is not None: {p.inputs[0]} = _cast({p.inputs[0]}, dtype)")
    if axis:
        given = ", ".join(f"{k}={k}" for k in p.defaults)
        lines.append(f"    if spelled: return {p.name}({', '.join(passed)}, **_pytorch(_p, spelled, dict({given})))")
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


def _pytorch(p: Primitive, spelled: dict, given: dict) -> dict:
    """PyTorch's dim and keepdim, said as axis and keepdims; NumPy's ddof and PyTorch's unbiased as correction."""
    ours = {"dim": "axis", "keepdim": "keepdims", "ddof": "correction", "unbiased": "correction"}
    for name, value in spelled.items():
        if ours.get(name) not in p.defaults:
            raise TypeError(
                f"{p.name}() got an unexpected keyword argument {name!r}. It takes: {', '.join(p.defaults)}."
            )
        given[ours[name]] = int(value) if isinstance(value, bool) and name == "unbiased" else value
    return given


def _cast(x: Any, dtype: Any) -> Any:
    """x in the dtype to compute in."""
    return x.astype(dtype) if hasattr(x, "astype") else np.asarray(x, dtype)


def _into(out: Any, y: Any, p: Primitive) -> Any:
    """The result y, written into the tensor `out`."""
    if not hasattr(out, "overwrite"):
        raise DTypeError(f"{p.name}: out must be a Tensor: got {type(out).__name__}.")
    return out.overwrite(y, p.name)
