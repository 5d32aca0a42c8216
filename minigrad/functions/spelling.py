"""What every function of this package accepts: data where a tensor is meant, PyTorch's keywords where ours are."""

from __future__ import annotations

import sys
from collections.abc import Callable
from functools import wraps
from typing import Any, TypeVar

import numpy as np

from ..convert import as_array
from ..errors import ArgumentError, DTypeError, GradError
from ..signature import as_numpy, called, in_order, into, keywords_of
from ..tensor import Tensor, wrap

PYTORCH = {
    "dim": "axis", "dims": "axis", "keepdim": "keepdims", "input": "x", "dim0": "axis1", "dim1": "axis2",
    "other": "b", "dim_1": "axis1", "dim_2": "axis2",
}  # fmt: skip
Function = TypeVar("Function", bound=Callable[..., Any])


def tensor_of(data: Any) -> Tensor:
    """Data as a tensor; a tensor stays itself."""
    return data if isinstance(data, Tensor) else wrap(as_array(data))


def like(data: Any, x: Tensor) -> Tensor:
    """Data as a tensor of the dtype of x."""
    return data.astype(x.dtype) if isinstance(data, Tensor) else wrap(as_array(data, x.dtype))


def spelled(f: Function, **names: str) -> Function:
    """f with a tensor for its first argument, with PyTorch's dim and keepdim for axis and keepdims, and with NumPy's
    names for its arguments."""
    ours = PYTORCH | names
    first = f.__code__.co_varnames[0]

    @wraps(f)
    def function(*args: Any, **keywords: Any) -> Any:
        if keywords:
            if "out" in keywords and "out" not in known:
                out = keywords.pop("out")
                y = function(*args, **keywords)
                return y if out is None else into(out, y, f.__name__)
            given, keywords = keywords, {k if k in known else ours.get(k, k): v for k, v in keywords.items()}
            if first in keywords and not args:
                args = (keywords.pop(first),)
                given = {k: v for k, v in given.items() if first not in (k, ours.get(k))}
            if direct is not None and not direct.issuperset(keywords):
                args, left = in_order(args, given)
                if len(left) == len(given):
                    return as_numpy(f, args, given)
                return function(*args, **left)
        if args and not isinstance(args[0], Tensor):
            args = (tensor_of(args[0]), *args[1:])
        return f(*args, **keywords)

    known = set(f.__code__.co_varnames[: f.__code__.co_argcount + f.__code__.co_kwonlyargcount])
    direct = keywords_of(f)
    return function  # type: ignore[return-value]


def takes_out(f: Function) -> Function:
    """f with PyTorch's ``out=``: a tensor that the result is written into, as `signature.into` says; and with NumPy's
    names for its arguments."""
    known = keywords_of(f)

    @wraps(f)
    def function(*args: Any, out: Any = None, **keywords: Any) -> Any:
        y = called(f, known, args, keywords)
        return y if out is None else into(out, y, f.__name__)

    return function  # type: ignore[return-value]


def named(**names: str) -> Callable[[Function], Function]:
    """`spelled`, with further names of PyTorch's or NumPy's for ours: ``@named(dim0="axis1")``."""
    return lambda f: spelled(f, **names)


def floating(x: Tensor, dtype: Any = None) -> Tensor:
    """x, in the default float if it holds integers, or in `dtype`."""
    if dtype is not None:
        return x if x.dtype == dtype else x.astype(dtype)
    return x if x.dtype.kind in "fc" else x * 1.0


def _asker(op: str) -> str:
    """The public function that called `host`."""
    frame: Any = sys._getframe(2)
    while frame is not None and (frame.f_code.co_name.startswith(("_", "<")) or frame.f_code.co_name == "host"):
        frame = frame.f_back
    return op if op != "this function" or frame is None else frame.f_code.co_name


def host(data: Any, op: str = "this function") -> Any:
    """The values as a NumPy array, for what depends on them: counts, positions, edges. No gradient passes."""
    if isinstance(data, Tensor):
        try:
            return data.detach().numpy()
        except GradError:
            raise GradError(
                f"{_asker(op)}: it reads the values, since they decide the shape or the places of its result, and "
                "inside vmap they are different for each sample. Loop over the samples instead, "
                "mg.stack([f(x) for x in batch]), or use what keeps its shape: mg.where, mg.sort, mg.one_hot, a sum of "
                "comparisons."
            ) from None
    array = np.asarray(data)
    if array.dtype.kind not in "biufc":
        raise DTypeError(f"{op}: elements must be numbers or booleans: got {array.dtype}.")
    return array


def one_of(op: str, name: str, value: Any, allowed: Any) -> None:
    """Raise ArgumentError unless value is among those allowed."""
    if value not in allowed:
        raise ArgumentError(f"{op}: {name} must be one of {', '.join(map(str, allowed))}: got {value!r}.")
