"""Lines: a figure against another, such as accuracy against size."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path

from ..errors import ArgumentError, ShapeError
from .figure import GREY, INK, bare, new_figure, write_png

STYLES = ((INK, "-", "s", INK), (GREY, "--", "o", "white"), (INK, ":", "^", "white"), (GREY, "-.", "D", GREY))


def lines(
    series: Mapping[str, tuple[Sequence[float], Sequence[float]]],
    path: str | os.PathLike,
    *,
    x: str,
    y: str,
    title: str = "",
    log: bool = False,
) -> Path:
    """Draw up to four series {name: (x values, y values)}, told apart by dash and marker.

    x, y: what is drawn, with its unit. log: the x axis is logarithmic.
    """
    if not 0 < len(series) <= len(STYLES):
        raise ArgumentError(f"lines: there must be 1 to {len(STYLES)} series: got {len(series)}.")
    figure = new_figure(5.6, 3.8, "lines")
    axes = figure.subplots()
    for (name, (xs, ys)), (color, dash, marker, face) in zip(series.items(), STYLES):
        if len(xs) != len(ys):
            raise ShapeError(f"lines: {name!r} must have as many x as y values: got {len(xs)}, {len(ys)}.")
        axes.plot(
            xs, ys, color=color, linestyle=dash, marker=marker, markersize=5, linewidth=1.3, label=name,
            markerfacecolor=face, markeredgecolor=color,
        )  # fmt: skip
    axes.set(xlabel=x, ylabel=y, title=title, xscale="log" if log else "linear")
    axes.grid(color="#dddddd", linewidth=0.6)
    axes.legend(frameon=False)
    bare(axes)
    return write_png(figure, path)
