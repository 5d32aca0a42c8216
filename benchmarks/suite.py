"""A suite: rows and contenders, and the loop that measures them one row after the other."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

from . import BACKENDS, measure, precisions
from .contenders import label


class Suite(NamedTuple):
    """What a module of rows says of itself. It also has build(contender, row) for the workers, and cost(row)."""

    name: str
    about: str
    rows: list[str]
    peers: tuple[str, ...]
    on_gpu: tuple[str, ...] = ()  # rows that follow where a contender on a GPU takes part, see precisions.py
    controls: tuple[str, ...] = ()  # of the peers, those that do less, and are not to be beaten
    takes_part: Callable[[str, str], bool] = lambda contender, row: True
    tolerance: float = 1e-3
    costs: bool = False  # is there a cost(row), and so a floor?
    fresh: bool = False  # new processes for every row: memory can be told
    warm: bool = True  # a first round that does not count
    seconds: float = 0.1  # per turn, and rounds, unless asked otherwise
    rounds: int = 15
    remarks: Callable[[Sequence[dict]], list[str]] = lambda results: []  # lines to stand below the table


def run(
    suite: Suite, rows: Sequence[str], contenders: Sequence[str], *, rounds: int, seconds: float, rates: dict | None
) -> Iterator[dict[str, Any]]:
    """The results of the rows, one after the other; ratios are to the first contender that is a backend."""
    workers = {name: measure.Worker(suite.name, name) for name in contenders}
    accountant = measure.Worker(suite.name, "numpy")
    try:
        for row in rows:
            part = lambda name, row=row: suite.takes_part(name, row) and precisions.takes_part(name, row)
            taking = {k: w for k, w in workers.items() if part(k)}
            tolerance = precisions.tolerance(row, suite.tolerance)
            found = measure.measure(taking, row, rounds=rounds, seconds=seconds, tolerance=tolerance, warm=suite.warm)
            result = compared(suite, row, found)
            if suite.fresh:
                close(workers)
            if suite.costs and rates:
                result["floor"] = floor(accountant, row, result, rates)
            yield result
    finally:
        close(workers)
        accountant.close()


def close(workers: dict[str, measure.Worker]) -> None:
    for worker in workers.values():
        worker.close()


def compared(suite: Suite, row: str, found: dict[str, dict]) -> dict[str, Any]:
    """One row of the results: for each contender median and quartiles in seconds, and its ratio to ours."""
    ours = next((k for k in found if k in BACKENDS), None)
    result: dict[str, Any] = {"name": row, "ours": ours, "contenders": {}}
    base = found[ours].get("times") if ours and "error" not in found[ours] else None
    for name, f in found.items():
        if "error" in f:
            result["contenders"][name] = {"error": f["error"]}
            continue
        kept = {k: v for k, v in f.items() if k not in ("times", "build_seconds")}
        if not suite.fresh:  # the process has done other rows before
            kept = {k: v for k, v in kept.items() if k not in ("peak", "step_memory", "first_seconds", "numbers")}
        entry = measure.quartiles(f["times"]) | kept
        if base:
            entry["ratio"] = measure.ratio(f["times"], base)
        result["contenders"][name] = entry
    rest = (*BACKENDS, *suite.controls)
    peers = {k: e["ratio"] for k, e in result["contenders"].items() if k not in rest and "ratio" in e}
    if peers:
        result["best_peer"] = min(peers, key=lambda name: peers[name])
    return result


def floor(accountant: measure.Worker, row: str, result: dict, rates: dict) -> dict[str, Any]:
    from . import floors

    try:
        cost = accountant.ask(do="cost", row=row)
    except measure.WorkerError as error:
        return {"error": str(error)}
    product = precisions.product(row) or floors.ALL
    if product not in rates:  # no CuPy, or one without bfloat16
        return {}
    seconds = floors.seconds(cost["flops"], cost["bytes"], rates, product)
    ours = result["contenders"].get(result["ours"], {}).get("median")
    return cost | {"seconds": seconds} | ({"times": ours / seconds} if ours and seconds else {})


def geometric_mean(values: Sequence[float]) -> float:
    return math.exp(sum(map(math.log, values)) / len(values)) if values else math.nan


def summary(results: Sequence[dict]) -> dict[str, float]:
    """The geometric mean over the rows of each contender's time to ours."""
    names = dict.fromkeys(k for r in results for k, e in r["contenders"].items() if "ratio" in e and k != r["ours"])
    means = {}
    for name in names:
        seen = [e["ratio"] for r in results if "ratio" in (e := r["contenders"].get(name, {}))]
        means[name] = geometric_mean(seen)
    return means


def failures(results: Sequence[dict]) -> list[str]:
    """What went wrong, a line each."""
    return [
        f"{r['name']}: {label(name)}: {e['error']}"
        for r in results
        for name, e in r["contenders"].items()
        if "error" in e
    ] + [f"{r['name']}: floor: {r['floor']['error']}" for r in results if "error" in (r.get("floor") or {})]
