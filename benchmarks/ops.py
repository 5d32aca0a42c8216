"""The suite `ops`: every differentiable public operation, its rows derived from the table PRIMITIVES.

Elementwise operations and reductions run at several sizes, from one element to ten million, and so show from which
size on the compiled kernel wins; the others run at the sizes of their samples.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from ..primitive import PRIMITIVES, Case, Primitive, bools, ints, reduced, within
from . import contenders
from .suite import Suite
from .worker import Absent, Work

SIZES = (1, 1_000, 100_000, 10_000_000)
INTERVALS = ((0.1, 0.9), (1.2, 1.9), (-0.9, 0.9), (-0.9, -0.1))  # tried in turn for inputs inside a domain


def differentiable(p: Primitive) -> bool:
    return p.public and not p.no_gradient and p.kind not in ("bool", "index") and bool(p.rules or p.fused)


def swept(p: Primitive) -> bool:
    """Is it measured at all SIZES? Elementwise ones and reductions, which take arrays of any size."""
    return bool(p.inline) or (p.shape is reduced and len(p.inputs) == 1)


def rows() -> Iterator[tuple[str, Primitive, int | Case]]:
    """Name, primitive, and its size or its sample."""
    for name, p in sorted(PRIMITIVES.items()):
        if differentiable(p) and swept(p):
            yield from ((f"{name} {size:.0e}".replace("e+0", "e"), p, size) for size in SIZES)
        elif differentiable(p):
            yield from ((f"{name} sample {i}", p, sample) for i, sample in enumerate(p.samples))


BY_NAME = {name: (p, what) for name, p, what in rows()}


def inside(p: Primitive, size: int, rng: np.random.Generator) -> list[np.ndarray]:
    """Inputs of p with `size` elements each, in its domain; a choice (the condition of `where`) is of truth values."""
    holds: Any = eval(f"lambda {', '.join(p.inputs)}: {p.domain or True}")
    for bounds in itertools.product(INTERVALS, repeat=len(p.inputs)):
        if all(map(holds, *([low, (low + high) / 2, high] for low, high in bounds))):
            break
    draw = [rng.uniform(low, high, size).astype(np.float32) for low, high in bounds]
    chosen = [bool(p.rules) and not p.fused and name not in p.rules for name in p.inputs]
    return [a > a.mean() if choice else a for a, choice in zip(draw, chosen)]


def arguments(p: Primitive, what: int | Case, rng: np.random.Generator) -> list:
    if isinstance(what, int):
        return inside(p, what, rng)
    filled = []
    for a in what.args:
        if isinstance(a, ints):
            filled.append(rng.integers(a.low, a.high, a.shape))
        elif isinstance(a, within):
            filled.append(rng.uniform(a.low, a.high, a.shape).astype(np.float32))
        elif isinstance(a, bools):
            filled.append(rng.random(a.shape) < 0.5)
        else:
            filled.append(rng.standard_normal(a, np.float32) if isinstance(a, tuple) else a)
    return filled


def comparable(f: Any, given: list, p: Primitive, what: int | Case) -> bool:
    """Has PyTorch a function of this name that takes the same arrays, of real numbers, and no more?"""
    if f is None or not isinstance(what, int) or p.name in ("std", "var"):  # PyTorch's divide by n - 1
        return False
    try:
        f(*given)
    except (TypeError, RuntimeError):
        return False
    return True


def build(contender: str, name: str) -> Work:
    p, what = BY_NAME[name]
    c = contenders.library(contender)
    given = [c.tensor(a) if isinstance(a, np.ndarray) else a for a in arguments(p, what, np.random.default_rng(0))]
    f, params = getattr(c.m, p.name, None), {} if isinstance(what, int) else what.params
    if contender == "torch" and not comparable(f, given, p, what):
        raise Absent

    def mean(y: Any) -> list[float]:
        parts = y if isinstance(y, (tuple, list)) else (y,)
        values = [np.asarray(c.numpy(t)) for t in parts]
        return [float(np.abs(v).mean(dtype=np.float64)) if v.size else 0.0 for v in values]

    return Work(lambda: f(*given, **params), mean, timed=c.timed)


def crossover(results: Sequence[dict]) -> dict[str, int | None]:
    """name -> the smallest size from which on the numba backend is faster than the numpy backend, or None. Only for
    operations whose times differ by more than a tenth somewhere."""
    sizes: dict[str, dict[int, float]] = {}
    for r in results:
        entry, (p, what) = r["contenders"].get("numpy", {}), BY_NAME[r["name"]]
        if r["ours"] == "numba" and isinstance(what, int) and "ratio" in entry:
            sizes.setdefault(p.name, {})[what] = entry["ratio"]
    out: dict[str, int | None] = {}
    for name, ratios in sizes.items():
        if max(abs(math.log(r)) for r in ratios.values()) > math.log(1.1):
            slower = [size for size, ratio in ratios.items() if ratio < 1.1]
            faster = [size for size in ratios if not slower or size > max(slower)]
            out[name] = min(faster) if faster else None
    return out


def remarks(results: Sequence[dict]) -> list[str]:
    found = crossover(results)
    first: dict[int, list[str]] = {}
    for name, size in found.items():
        if size:
            first.setdefault(size, []).append(name)
    return [f"numba is faster than numpy from {size:,} elements on: {', '.join(first[size])}" for size in sorted(first)]


SUITE = Suite(
    name="ops",
    about="every differentiable operation, forward",
    rows=list(BY_NAME),
    peers=("torch",),
    rounds=5,
    seconds=0.01,
    remarks=remarks,
)
