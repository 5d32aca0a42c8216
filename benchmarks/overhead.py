"""The suite `overhead`: what the tape costs, on arrays so small that nothing else counts.

The control, numpy-by-hand, is NumPy alone, the same expression on plain arrays: what minigrad adds to it is the price
of recording. The row `import` is the time of the import statement in a fresh process.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from typing import Any

import numpy as np

from . import BACKENDS, contenders
from .suite import Suite
from .worker import Work

CHAIN = 1_000


def chain(m: Any, x: Any) -> Any:
    for _ in range(CHAIN):
        x = x * 1.001
    return x


OPERATIONS: dict[str, Callable[[Any, Any], Any]] = {  # on x: (4, 4) float32 that asks for a gradient
    "multiply": lambda m, x: x * x,
    "add": lambda m, x: x + x,
    "multiply by 2.0": lambda m, x: x * 2.0,
    "exp": lambda m, x: m.exp(x),
    "sum": lambda m, x: x.sum(),
    "sum over axis 0": lambda m, x: x.sum(0),
    "matmul": lambda m, x: x @ x,
    "reshape": lambda m, x: x.reshape(2, 8),
    "slice": lambda m, x: x[1:3],
    "where": lambda m, x: m.where(x > 0, x, x),
    f"chain of {CHAIN} multiplications": chain,
}
UNRECORDED, BACKWARD, IMPORT = "multiply, no gradient", f"chain of {CHAIN}, forward and backward", "import"


def import_seconds(module: str) -> float:
    """Of `import module` in a fresh process, by its own clock."""
    code = f"import time; t = time.perf_counter(); import {module}; print(time.perf_counter() - t)"
    # NumPy comes compiled to bytecode: so must we
    environment = {k: v for k, v in os.environ.items() if k != "PYTHONDONTWRITEBYTECODE"}
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
    return float(done.stdout)


def module_of(contender: str) -> str:
    return "minigrad" if contender in BACKENDS else {"numpy-by-hand": "numpy"}.get(contender, contender)


def build(contender: str, name: str) -> Work:
    if name == IMPORT:
        import_seconds(module_of(contender))  # files into the system's cache, bytecode to disk
        return Work(lambda: import_seconds(module_of(contender)), times_itself=True)
    x = np.random.default_rng(0).random((4, 4), np.float32)
    if contender == "numpy-by-hand":
        f = OPERATIONS.get(name) or OPERATIONS["multiply"]
        return Work(lambda: f(np, x), lambda y: [float(np.sum(y))])
    c = contenders.library(contender)
    t = c.tensor(x, name != UNRECORDED)
    if name == BACKWARD:

        def both() -> Any:
            t.grad = None
            chain(c.m, t).sum().backward()
            return t.grad

        return Work(both, lambda g: [float(c.numpy(g).sum())])
    f = OPERATIONS.get(name) or OPERATIONS["multiply"]
    return Work(lambda: f(c.m, t), lambda y: [float(c.numpy(y).sum())])


SUITE = Suite(
    name="overhead",
    about="one operation on 4x4 float32, recorded for a gradient",
    rows=[*OPERATIONS, UNRECORDED, BACKWARD, IMPORT],
    peers=("numpy-by-hand", "torch"),
    controls=("numpy-by-hand",),
    takes_part=lambda contender, row: row != BACKWARD or contender != "numpy-by-hand",
    rounds=25,
    seconds=0.02,
)
