"""The results of a suite as a table on the terminal: through rich if it is installed, else plain."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from importlib.util import find_spec
from typing import Any

from . import BACKENDS
from .contenders import label
from .suite import failures, summary


def duration(seconds: float) -> str:
    """Three significant digits with a unit."""
    for unit, size in (("s", 1.0), ("ms", 1e-3), ("us", 1e-6), ("ns", 1e-9)):
        if seconds >= size or unit == "ns":
            return f"{seconds / size:.3g} {unit}" if seconds / size < 100 else f"{seconds / size:.0f} {unit}"
    raise AssertionError


def names_of(results: Sequence[dict]) -> list[str]:
    """All contenders, backends first."""
    names = dict.fromkeys(name for r in results for name in r["contenders"])
    return sorted(names, key=lambda name: name not in BACKENDS)


def cells(results: Sequence[dict]) -> tuple[list[str], list[list[str]]]:
    """Heading and rows: each contender's time and, in brackets, how many times ours it is; then what ours is worth."""
    names = names_of(results)
    peers = [name for name in names if name not in BACKENDS]
    floors, rates = any(r.get("floor") for r in results), any((r.get("floor") or {}).get("flops") for r in results)
    memory = bool(results) and any("peak" in e for e in results[0]["contenders"].values())
    heading = ["", *map(label, names)] + ["best peer"] * bool(peers) + ["GFLOP/s"] * rates + ["x floor"] * floors
    heading += ["MB in steps of MB in all"] * memory
    return heading, [_line(r, names, bool(peers), rates, floors, memory) for r in results]


def _line(r: dict, names: list[str], peers: bool, rates: bool, floors: bool, memory: bool) -> list[str]:
    line = [r["name"], *(_time(r, name) for name in names)]
    ours = r["contenders"].get(r["ours"], {})
    if peers:
        best = r.get("best_peer")
        line.append(f"{best} {r['contenders'][best]['ratio']:.2f}" if best else "")
    floor = r.get("floor") or {}
    if rates:
        line.append(f"{floor['flops'] / ours['median'] / 1e9:.1f}" if floor.get("flops") and "median" in ours else "")
    if floors:
        line.append(f"{floor['times']:.1f}" if "times" in floor else "")
    if memory:
        torch = r["contenders"].get("torch", {})
        held = [f"{e['step_memory'] / 1e6:.0f} of {e['peak'] / 1e6:.0f}" for e in (ours, torch) if "peak" in e]
        line.append(", torch ".join(held))
    return line


def _time(r: dict, name: str) -> str:
    entry = r["contenders"].get(name)
    if entry is None:
        return "-"
    if "error" in entry:
        return "failed"
    ratio = f" ({entry['ratio']:.2f})" if "ratio" in entry and name != r["ours"] else ""
    return duration(entry["median"]) + ratio


def notes(result: dict) -> list[str]:
    """What stands below a table."""
    lines = [f"{label(name)}: left out: {why}" for name, why in result["left_out"].items()]
    lines += failures(result["rows"])
    if result["rows"] and len(result["rows"]) > 1 and (means := summary(result["rows"])):
        shown = ", ".join(f"{label(name)} {mean:.2f}" for name, mean in means.items())
        lines.append(f"geometric means of (time / minigrad's time), above 1 minigrad is faster: {shown}")
    return lines + result.get("remarks", [])


def show(result: dict, *, file: Any = None) -> None:
    """Print one suite."""
    file = file or sys.stdout
    heading, rows = cells(result["rows"])
    title = f"{result['suite']}: {result['about']}"
    brackets = "medians; in brackets the time as a multiple of minigrad's: above 1 minigrad is faster, below 1 slower"
    if find_spec("rich") and file.isatty():
        _rich(title, heading, rows)
    else:
        print(title, *plain(heading, rows), sep="\n", file=file)
    print(f"({brackets})", *notes(result), "", sep="\n", file=file)


ALIGN = (str.ljust, *[str.rjust] * 20)


def plain(heading: list[str], rows: list[list[str]]) -> list[str]:
    widths = [max(map(len, column)) for column in zip(heading, *rows)]
    return ["  ".join(align(cell, w) for align, cell, w in zip(ALIGN, row, widths)) for row in [heading, *rows]]


def _rich(title: str, heading: list[str], rows: list[list[str]]) -> None:
    from rich.console import Console
    from rich.table import Table

    table = Table(title=title, title_justify="left")
    for i, cell in enumerate(heading):
        table.add_column(cell, justify="right" if i else "left", no_wrap=i == 0)
    for row in rows:
        table.add_row(*row)
    Console().print(table)
