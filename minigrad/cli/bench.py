"""``minigrad bench``: choose suites, rows and contenders, measure, and show, save and draw the results."""

from __future__ import annotations

import argparse
import json
import sys
from fnmatch import fnmatchcase
from functools import partial
from importlib import import_module
from typing import Any

from ..benchmarks import BACKENDS, SUITES, contenders, figure, floors, measure, report
from ..benchmarks.suite import Suite, failures, run
from ..errors import ArgumentError, ExtraError
from ..extras import require
from ..io import atomic_write, writable_folder


def load(name: str) -> Suite:
    return import_module(f"minigrad.benchmarks.{name}").SUITE


def chosen_rows(suite: Suite, pattern: str | None, on_gpu: bool = False) -> list[str]:
    """The rows whose name contains the pattern, or matches it as file names do (`cnn*`); all without one. on_gpu: also
    those of other precisions."""
    rows = [*suite.rows, *(suite.on_gpu if on_gpu else ())]
    if pattern is None:
        return rows
    p = pattern.lower()
    return [row for row in rows if p in row.lower() or fnmatchcase(row.lower(), p)]


def chosen_contenders(suite: Suite, options: argparse.Namespace) -> tuple[list[str], dict[str, str]]:
    """Those that run, backends first, and why others do not. Naming one that cannot run is an error."""
    backends = options.backend or [b for b in BACKENDS if b != "cupy" or not contenders.missing("cupy")]
    asked = suite.peers if options.peers is None else tuple(p for p in options.peers if p in suite.peers)
    if options.peers is None:  # beside like: torch on the GPU where cupy runs, all others where the CPU does
        on_cpu, on_gpu = {*backends} != {"cupy"}, "cupy" in backends
        asked = tuple(p for p in asked if (on_gpu if p == "torch-cuda" else on_cpu))
    left_out = {}
    for name in (*backends, *asked):
        if why := contenders.missing(name):
            if name in (options.peers or ()):
                raise ExtraError(f"minigrad bench: {why}")
            if name in (options.backend or ()):
                raise ArgumentError(f"minigrad bench: {why}")
            left_out[name] = why
    return [name for name in (*backends, *asked) if name not in left_out], left_out


def bench(options: argparse.Namespace) -> int:
    """Returns the exit status: 1 if a contender computes something else than the others."""
    suites = [load(name) for name in options.suites or SUITES]
    on_gpu = "cupy" in options.backend if options.backend else not contenders.missing("cupy")
    rows = {suite.name: chosen_rows(suite, options.only, on_gpu) for suite in suites}
    if not any(rows.values()):
        raise ArgumentError(f"--only: no row matches {options.only!r}. `minigrad bench --list` shows them.")
    if options.list:
        for suite in suites:
            print(f"{suite.name}: {suite.about}", *(f"  {row}" for row in rows[suite.name]), sep="\n")
        return 0
    suites = [suite for suite in suites if rows[suite.name]]
    plans = [chosen_contenders(suite, options) for suite in suites]
    for path in filter(None, (options.json, options.png)):  # now, not after the measuring
        writable_folder(path.parent)
    if options.png:
        require("matplotlib", extra="bench", use="minigrad bench --png")
    results: dict[str, Any] = {"machine": measure.machine(), "suites": []}
    try:
        first = plans[0][0][:1] == ["cupy"]  # floors belong to the first contender
        rates = partial(floors.rates, contender="cupy") if first else floors.rates
        results["rates"] = rates() if any(suite.costs for suite in suites) else None
        for suite, (names, left_out) in zip(suites, plans, strict=True):
            results["suites"].append(measured(suite, rows[suite.name], names, left_out, options, results["rates"]))
    finally:  # what Ctrl-C leaves unfinished is saved as far as it went
        if options.json and results["suites"]:
            atomic_write(options.json, (json.dumps(results, indent=1) + "\n").encode())
    if options.png:
        figure.draw(results["suites"], options.png)
    wrong = [line for result in results["suites"] for line in failures(result["rows"]) if "something else" in line]
    for line in wrong:
        print(f"minigrad bench: {line}", file=sys.stderr)
    return int(bool(wrong))


def measured(
    suite: Suite, rows: list[str], names: list[str], left_out: dict, options: argparse.Namespace, rates: dict | None
) -> dict:
    """The results of one suite, shown row by row as they come and then as a table."""
    rounds = options.rounds or (3 if options.quick else suite.rounds)
    seconds = options.seconds or (0.02 if options.quick else suite.seconds)
    protocol = {"rounds": rounds, "seconds": seconds}
    result: dict = {"suite": suite.name, "about": suite.about, "protocol": protocol, "left_out": left_out, "rows": []}
    try:
        for i, row in enumerate(run(suite, rows, names, rounds=rounds, seconds=seconds, rates=rates), 1):
            result["rows"].append(row)
            if sys.stderr.isatty():
                print(f"\r{suite.name} {i}/{len(rows)} {row['name']:<60}", end="", file=sys.stderr, flush=True)
    finally:
        if sys.stderr.isatty():
            print("\r" + " " * 90 + "\r", end="", file=sys.stderr)
        if result["rows"]:
            result["remarks"] = suite.remarks(result["rows"])
            report.show(result)
    return result
