"""What several functions ask of their arguments."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from ...errors import ArgumentError, DTypeError, IndexRangeError
from ...tensor import Tensor

FEW = 64  # integers of which Python finds the smallest and the largest as fast as NumPy


def bounds(t: Tensor) -> tuple[Any, Any]:
    """The smallest and the largest element, as Python numbers; (0, 0) of nothing.
    The one look that checks take at data."""
    array = t.array
    if not array.size:
        return 0, 0
    if type(array) is np.ndarray and array.size <= FEW and array.dtype.kind in "iu":  # Python's min passes NaN over
        values = array.ravel().tolist()
        return min(values), max(values)
    if type(array) is np.ndarray:  # what array.min() wraps, which takes as long as a few numbers do
        return np.minimum.reduce(array, None).item(), np.maximum.reduce(array, None).item()
    b = t.backend
    return tuple(b.to_host(f(t.array)).item() for f in (b.xp.min, b.xp.max))


def look(t: Tensor, check: Callable[[Any, Any], None]) -> None:
    """check(smallest, largest) of the elements, if there are any; on a GPU when a value is next read, see
    backend/devices.py."""
    b = t.backend
    if t.size and b.defers:
        b.later(b.xp.stack([b.xp.min(t.array), b.xp.max(t.array)]), check)
    elif t.size:
        check(*bounds(t))


def check_range(who: str, index: Tensor, n: int, what: str, limit: str) -> None:
    if index.dtype.kind not in "iu":
        raise DTypeError(f"{who}: {what} must be integers: got {index.dtype}. Use .astype('int64').")

    def check(low: int, high: int) -> None:
        if low < 0 or high >= n:
            wrong = low if low < 0 else high
            raise IndexRangeError(
                f"{who}: {what} must be from 0 to {limit} - 1 = {n - 1}: got {wrong}. "
                f"They count from 0; {limit} is {n}."
            )

    look(index, check)


def sizes(value: Any, n: int, who: str, name: str, least: int = 1) -> tuple[int, ...]:
    """An int for all spatial axes, or one int per axis."""
    values = tuple(value) if isinstance(value, (tuple, list)) else (value,) * n
    if len(values) == 1 < n:
        values *= n
    if len(values) != n or not all(hasattr(v, "__index__") and not isinstance(v, bool) for v in values):
        raise ArgumentError(f"{who}: {name} must be an int or a tuple of {n}: got {value!r}.")
    values = tuple(int(v) for v in values)
    if min(values) < least:
        raise ArgumentError(f"{who}: {name} must be at least {least}: got {value!r}.")
    return values
