"""What several functions ask of their arguments."""

from __future__ import annotations

from typing import Any

import numpy as np

from ...errors import ArgumentError, DTypeError, IndexRangeError
from ...tensor import Tensor


def bounds(t: Tensor) -> tuple[Any, Any]:
    """The smallest and the largest element, as Python numbers; (0, 0) of nothing.
    The one look that checks take at data."""
    if not t.size:
        return 0, 0
    if type(t.array) is np.ndarray:
        return t.array.min().item(), t.array.max().item()
    b = t.backend
    return tuple(b.to_host(f(t.array)).item() for f in (b.xp.min, b.xp.max))


def check_range(who: str, index: Tensor, n: int, what: str, limit: str) -> None:
    if index.dtype.kind not in "iu":
        raise DTypeError(f"{who}: {what} must be integers: got {index.dtype}. Use .astype('int64').")
    low, high = bounds(index)
    if index.size and (low < 0 or high >= n):
        wrong = low if low < 0 else high
        raise IndexRangeError(
            f"{who}: {what} must be from 0 to {limit} - 1 = {n - 1}: got {wrong}. They count from 0; {limit} is {n}."
        )


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
