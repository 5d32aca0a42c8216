"""Which numbers of a record follow the lengths of dynamic axes.

The model is traced several times, with dynamic axes of other lengths each time. A number that differs between the
records depends on them: it is fitted by a formula, offset + factor * length, or factor * length_1 * length_2, and the
last record, in which all lengths differ, must agree. Whatever else differs cannot be exported, and is an error: so
nothing is frozen silently.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from ..errors import TraceError
from .trace import Entry, Value


class Dim(int):
    """A number (that of the first trace) that follows dynamic axes; `formula` is None if how is not known."""

    formula: tuple[int, int, tuple[str, ...]] | None  # offset, factor, the axes whose lengths are multiplied

    def __new__(cls, number: int, formula: Any) -> Dim:
        self = super().__new__(cls, number)
        self.formula = formula
        return self


class Repeated:
    """A literal that repeats itself along dynamic axes; `once` has length 1 there."""

    def __init__(self, once: np.ndarray):
        self.once = once


class Steps:
    """A literal start, start + step, ... whose length follows a dynamic axis."""

    def __init__(self, start: Any, step: Any):
        self.start, self.step = start, step


class Lengths:
    """axes: the names of the dynamic axes; table: their lengths in each trace, {name: length}: the first, one for each
    axis that changes it alone, and the last, which changes all."""

    def __init__(self, axes: Sequence[str], table: Sequence[dict[str, int]]):
        self.axes, self.table = list(axes), table

    def fitted(self, numbers: Sequence[int]) -> int:
        """One number from all traces: plain if it is the same in all, else a Dim."""
        first = numbers[0]
        if all(n == first for n in numbers):
            return first
        changed = [axis for axis, n in zip(self.axes, numbers[1:]) if n != first]
        base = self.table[0]
        formula: tuple[int, int, tuple[str, ...]] | None = None
        if len(changed) == 1:
            at, axis = 1 + self.axes.index(changed[0]), changed[0]
            factor, rest = divmod(numbers[at] - first, self.table[at][axis] - base[axis])
            formula = None if rest else (first - factor * base[axis], factor, (axis,))
        elif changed:
            factor, rest = divmod(first, math.prod(base[axis] for axis in changed))
            formula = None if rest else (0, factor, tuple(changed))
        if formula:
            offset, factor, axes = formula
            if any(offset + factor * math.prod(t[a] for a in axes) != n for t, n in zip(self.table, numbers)):
                formula = None
        return Dim(first, formula)

    def joined(self, what: str, items: Sequence[Any]) -> Any:
        """The same value of all traces as one, with Dims for the numbers that differ."""
        first = items[0]
        if isinstance(first, Value):
            return self.value(what, items)
        if any(type(item) is not type(first) for item in items):
            raise TraceError(_differs(what))
        if isinstance(first, int) and not isinstance(first, bool):
            return self.fitted(items)
        if isinstance(first, (tuple, list)):
            if any(len(item) != len(first) for item in items):
                raise TraceError(_differs(what))
            return type(first)(self.joined(what, parts) for parts in zip(*items))
        if isinstance(first, slice):
            return slice(*(self.joined(what, [getattr(s, part) for s in items]) for part in ("start", "stop", "step")))
        if isinstance(first, dict):
            return {key: self.joined(what, [item[key] for item in items]) for key in first}
        if any(item is not first and item != first for item in items) and first == first:
            raise TraceError(_differs(what))
        return first

    def value(self, what: str, values: Sequence[Value]) -> Value:
        first = values[0]
        if any(v[:2] != first[:2] or v.dtype != first.dtype or len(v.shape) != len(first.shape) for v in values):
            raise TraceError(_differs(what))
        shape = tuple(self.fitted(lengths) for lengths in zip(*(v.shape for v in values)))
        data = first.data if first.kind == "parameter" else self.literal(what, values, shape)
        return first._replace(shape=shape, data=data)

    def literal(self, what: str, values: Sequence[Value], shape: tuple) -> Any:
        first = values[0].data
        if first is None or all(_same(v.data, first) for v in values[1:]):
            return first
        if first.size and any(isinstance(n, Dim) for n in shape):
            once = first[tuple(slice(0, 1) if isinstance(n, Dim) else slice(None) for n in shape)]
            if all(_same(v.data, np.broadcast_to(once, v.shape)) for v in values):
                return Repeated(once)
            if first.ndim == 1 and first.size > 1:
                start, step = first[0], first[1] - first[0]
                if all(_same(v.data, (start + step * np.arange(v.data.size)).astype(v.dtype)) for v in values):
                    return Steps(start, step)
        raise TraceError(
            f"onnx.export: {what} uses a constant of shape {first.shape} that changes with the length of a dynamic "
            "axis. Leave that axis fixed, or compute the constant from the inputs."
        )

    def entries(self, records: Sequence[list[Entry]]) -> list[Entry]:
        """All records as one."""
        found = []
        for versions in zip(*records):
            first = versions[0]
            what = f"{first.primitive} in {first.layer or 'the model'}"
            if any(e.primitive != first.primitive or e.params.keys() != first.params.keys() for e in versions):
                raise TraceError(_differs(what))
            inputs, params, outputs = (self.joined(what, [e[i] for e in versions]) for i in (1, 2, 3))
            found.append(Entry(first.primitive, inputs, params, outputs, first.layer))
        if len({len(r) for r in records}) > 1:
            raise TraceError(_differs("the model"))
        return found


def _same(a: np.ndarray, b: np.ndarray) -> bool:
    return a.shape == b.shape and np.array_equal(a, b, equal_nan=a.dtype.kind in "fc")


def _differs(what: str) -> str:
    return (
        f"onnx.export: {what} works differently for other lengths of the dynamic axes, in a way that cannot be "
        "exported. Leave that axis fixed."
    )
