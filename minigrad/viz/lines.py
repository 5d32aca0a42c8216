"""Lines: a figure against another, such as accuracy against size."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import Any

from ..errors import ArgumentError, ShapeError
from .figure import DASHES, bare, finished, new_figure, values


def lines(
    series: Mapping[str, tuple[Sequence[float], Sequence[float]]],
    path: str | os.PathLike | None = None,
    *,
    x: str,
    y: str,
    title: str = "",
    log: bool | str = False,
) -> Any:
    """Draw up to four series {name: (x values, y values)}, told apart by dash and marker.

    x, y: what is drawn, with its unit. log: which axes are logarithmic, "x", "y" or "xy"; True is "x".
    """
    if log not in (True, False, "x", "y", "xy"):
        raise ArgumentError(f'lines: log must be "x", "y", "xy", True or False: got {log!r}.')
    if not 0 < len(series) <= len(DASHES):
        raise ArgumentError(f"lines: there must be 1 to {len(DASHES)} series: got {len(series)}.")
    figure = new_figure(5.6, 3.8, "lines")
    axes = figure.subplots()
    for (name, pair), (color, dash, marker, face) in zip(series.items(), DASHES):
        xs, ys = map(values, pair)
        if len(xs) != len(ys):
            raise ShapeError(f"lines: {name!r} must have as many x as y values: got {len(xs)}, {len(ys)}.")
        axes.plot(
            xs, ys, color=color, linestyle=dash, marker=marker, markersize=5, linewidth=1.3, label=name,
            markerfacecolor=face, markeredgecolor=color, markevery=max(len(xs) // 12, 1),
        )  # fmt: skip
    for axis in "x" if log is True else log or "":
        axes.set(**{f"{axis}scale": "log"})
    axes.set(xlabel=x, ylabel=y, title=title)
    axes.grid(color="#dddddd", linewidth=0.6)
    axes.legend(frameon=False)
    bare(axes)
    return finished(figure, path)
