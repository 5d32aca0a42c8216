"""The default host backend: NumPy's arrays, with compiled kernels where one is registered and the call is large enough.

Nothing here imports Numba: the table in ``minigrad.kernels.cpu`` names the kernels, and the first call that a kernel
admits imports it. Small arrays never wait for a compiler.
"""

import math
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np

from ..kernels import cpu  # registers the table of kernels
from ..primitive import PRIMITIVES, Primitive
from .base import load_kernel
from .numpy import REDUCTIONS, NumpyBackend
from .short import SHORT

FACTORS_FROM = 16_384  # elements: below, NumPy's own stream is as fast


class NumbaBackend(NumpyBackend):
    """As NumpyBackend, and `resolve` finds the kernels registered for "numba"."""

    def __init__(self) -> None:
        super().__init__("numba")
        self.rules = Rules()
        self.drawn: Callable | None = None

    def fallback(self, p: Primitive) -> Callable:
        if p.name in REDUCTIONS:  # called by the choice of a kernel, which hands over axis too: the ufunc's own method
            return REDUCTIONS[p.name].func
        return SHORT.get(p.name) or super().fallback(p)

    def factors(self, stream: np.random.Generator, shape: tuple[int, ...], p: float, dtype: Any) -> Any:
        """Dropout's factors: 0 with probability p, else 1 / (1 - p), as NumPy draws them from this stream. None for
        few, or without Numba."""
        if math.prod(shape) < FACTORS_FROM or dtype not in cpu.when.FLOATS:
            return None
        self.drawn = self.drawn or load_kernel(partial(cpu.fetch, "dropout", "factors"), lambda *_: None)
        return self.drawn(stream, shape, p, dtype)


class Rules(dict):
    """Gradient rule -> what to call in its place: for large arrays one fused kernel, if the rule has a scalar text."""

    def __missing__(self, function):
        found = [(p, r) for p in PRIMITIVES.values() if p.inline for r in p.rules.values() if r.function is function]
        self[function] = self._chosen(*found[0]) if found else function
        return self[function]

    def _chosen(self, p, rule):
        function, g = rule.function, rule.needs.index("g") if "g" in rule.needs else None
        if g is None or p.kind == "bool":
            return function
        kernel = None

        def run(*operands):
            nonlocal kernel
            if operands[g].size < cpu.when.RULE_FROM:
                return function(*operands)
            if kernel is None:
                made = load_kernel(partial(cpu.fetch, "elementwise", "rule"), lambda *_: None)
                kernel = made(p.name, function, rule.needs, p.defaults)
                if kernel is None:  # no Numba, or the rule has no scalar text
                    self[function] = function
                    return function(*operands)
            return kernel(*operands)

        return run
