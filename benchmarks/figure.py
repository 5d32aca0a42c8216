"""The results as a picture: for every row and contender how many times minigrad's time it takes, on a logarithmic
axis."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from ..viz.figure import INK, bare, new_figure, write_png
from .contenders import label
from .report import duration, names_of

SHADES = ["#ffffff", "#bbbbbb", "#555555", "#ffffff", "#dddddd", "#888888", "#ffffff", "#bbbbbb"]
HATCHES = ["", "", "", "////", "....", "xxxx", "||||", "\\\\\\\\"]  # told apart without colour


def draw(results: Sequence[dict], path: Path) -> Path:
    """A panel for each suite, a group of bars for each row; right of the line at 1 minigrad is faster. A long suite
    goes on in further panels beside the first, on one scale."""
    results = [r for r in results if any("ratio" in e for row in r["rows"] for e in row["contenders"].values())]
    parts = [_parts(r) for r in results]
    counts = [max(sum(len(_bars(row)) + _gap(r) for row in p["rows"]) for p in ps) for r, ps in zip(results, parts)]
    width = max(map(len, parts), default=1)
    figure = new_figure(9 * width, 1.5 * len(results) + 0.2 * sum(counts) + 1, "minigrad bench --png")
    panels = figure.subplots(
        max(len(results), 1), width, squeeze=False, sharex="row",
        gridspec_kw={"height_ratios": [c + 4 for c in counts] or [1]},
    )  # fmt: skip
    for beside, ps in zip(panels, parts):
        for axes, part in zip(beside, ps):
            _panel(axes, part, legend=part is ps[-1])
        for axes in beside[len(ps) :]:
            axes.remove()
    return write_png(figure, path)


LONGEST = 60  # rows of a panel


def _parts(result: dict) -> list[dict]:
    """The suite in panels of equal length."""
    rows, n = result["rows"], -(-len(result["rows"]) // LONGEST)
    return [result | {"rows": rows[len(rows) * i // n : len(rows) * (i + 1) // n]} for i in range(n)]


def _gap(result: dict) -> float:
    """Between two rows, in bars."""
    return 1 if any(len(_bars(row)) > 1 for row in result["rows"]) else 0.4


def _bars(row: dict) -> list[tuple[str, float]]:
    return [(k, e["ratio"]) for k, e in row["contenders"].items() if "ratio" in e and k != row["ours"]]


def _panel(axes, result: dict, legend: bool) -> None:  # type: ignore[no-untyped-def]
    names = [name for name in names_of(result["rows"]) if any(name in dict(_bars(r)) for r in result["rows"])]
    places, labels, y, shown = [], [], 0.0, set()
    for row in result["rows"]:
        bars, top = _bars(row), y
        for name, ratio in sorted(bars, key=lambda bar: names.index(bar[0])):
            style = names.index(name) % len(SHADES)
            axes.barh(
                y, ratio - 1, left=1, height=0.85, color=SHADES[style], hatch=HATCHES[style], edgecolor=INK,
                linewidth=0.7, label=None if name in shown else label(name),
            )  # fmt: skip
            axes.annotate(
                f"{ratio:.2f}", (ratio, y), xytext=(3 if ratio >= 1 else -3, 0), textcoords="offset points",
                ha="left" if ratio >= 1 else "right", va="center", fontsize=7,
            )  # fmt: skip
            shown.add(name)
            y += 1
        if bars:
            ours = row["contenders"][row["ours"]]["median"]
            places.append((top + y - 1) / 2)
            labels.append(f"{row['name']}{chr(10) if len(bars) > 1 else '  '}{duration(ours)}")
            y += _gap(result)
    axes.set_xscale("log")
    axes.set_yticks(places, labels, fontsize=8)
    axes.invert_yaxis()
    axes.axvline(1, color=INK, linewidth=1)
    axes.margins(x=0.12, y=0.01)
    axes.xaxis.set_major_formatter(lambda v, _: f"{v:g}")
    axes.set_xlabel("time / time of minigrad (its time stands by the name): right of 1 minigrad is faster")
    axes.set_title(f"{result['suite']}: {result['about']}", fontsize=9, loc="left")
    if legend:
        axes.legend(fontsize=8, loc="upper left", bbox_to_anchor=(1.01, 1), frameon=False)
    bare(axes)
