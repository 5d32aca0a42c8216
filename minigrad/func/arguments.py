"""What the transforms ask of the values they are given."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from ..convert import as_array
from ..errors import ArgumentError, AxisError, DTypeError
from ..primitive import kind_of
from ..tensor import Tensor, wrap


def is_array(x: Any) -> bool:
    """True for tensors, arrays and Python numbers."""
    return isinstance(x, (Tensor, np.ndarray, np.generic, float, int, complex)) or hasattr(x, "__array_namespace__")


def as_tensor(x: Any, who: str, *, differentiable: bool = False) -> Tensor:
    """x as a tensor; `differentiable`: a float one, or an error that says so."""
    if not is_array(x):
        raise DTypeError(f"{who} must be a tensor, array or number: got {type(x).__name__}.")
    t = x if isinstance(x, Tensor) else wrap(as_array(x))
    if differentiable and kind_of(t.dtype) not in "fc":
        raise DTypeError(
            f"{who} must be of floats to be differentiated: got {t.dtype}. Pass floats, x.astype('float32') or 2.0 "
            "for 2, or name other arguments in argnums."
        )
    return t


def chosen(args: tuple, argnums: Any, who: str) -> tuple[int, ...]:
    """argnums, an int or several, as positions of `args`."""
    given = argnums if isinstance(argnums, (tuple, list)) else (argnums,)
    if not given or not all(hasattr(n, "__index__") and not isinstance(n, bool) for n in given):
        raise ArgumentError(f"{who}: argnums must be an int or a tuple of them: got {argnums!r}.")
    for n in given:
        if not -len(args) <= n < len(args):
            raise ArgumentError(
                f"{who}: argnums must name positional arguments: got {n}, but {len(args)} came by position."
            )
    places = tuple(n % len(args) for n in given)
    if len(set(places)) < len(places):
        raise ArgumentError(f"{who}: argnums names an argument twice: got {argnums!r}.")
    return places


def replaced(args: tuple, places: Sequence[int], values: Sequence) -> list:
    """The arguments with these values at these places."""
    new = list(args)
    for n, value in zip(places, values):
        new[n] = value
    return new


def place(axis: Any, ndim: int, who: str) -> int:
    """An axis of vmap as a number from 0 to ndim - 1."""
    if not hasattr(axis, "__index__") or isinstance(axis, bool):
        raise ArgumentError(f"{who} must be an int or None: got {axis!r}.")
    if not -ndim <= axis < ndim:
        raise AxisError(f"{who} out of range: axis {axis} of a {ndim}-d array.")
    return axis % ndim


def with_aux(result: Any, has_aux: bool, who: str) -> tuple[Any, Any]:
    """(output, aux) of what a function returned."""
    if not has_aux:
        return result, None
    if not (isinstance(result, tuple) and len(result) == 2):
        raise ArgumentError(f"{who}: with has_aux=True the function must return (output, aux): got {result!r:.80}.")
    return result
