"""Less memory for more time: PyTorch's place for `minigrad.func.checkpoint`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from ..errors import ArgumentError
from ..func import checkpoint as checkpoint
from ..nn import Sequential


def checkpoint_sequential(
    functions: Sequential | Sequence[Callable], segments: int, input: Any, use_reentrant: Any = None, **options: Any
) -> Any:
    """The functions one after the other, in this many segments, each checkpointed but the last.

    >>> import minigrad as mg
    >>> from minigrad import nn
    >>> model = nn.Sequential(nn.Linear(2, 3), nn.ReLU(), nn.Linear(3, 1))
    >>> checkpoint_sequential(model, 2, mg.ones(4, 2)).shape
    (4, 1)
    """
    steps: list[Callable] = list(functions)
    size = len(steps) // segments if segments > 0 else 0
    if size < 1:
        raise ArgumentError(f"checkpoint_sequential: segments must be from 1 to {len(steps)}: got {segments}.")

    def run(start: int, end: int) -> Callable[[Any], Any]:
        def segment(x: Any) -> Any:
            for step in steps[start:end]:
                x = step(x)
            return x

        return segment

    for k in range(segments - 1):
        input = checkpoint(run(k * size, (k + 1) * size), input, **options)
    return run((segments - 1) * size, len(steps))(input)
