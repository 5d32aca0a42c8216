"""Bars beside each other: the same work on several backends, or by several libraries."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

from ..errors import ArgumentError
from .figure import HATCHES, INK, SHADES, bare, finished, new_figure


def bars(
    rows: Mapping[str, Mapping[str, float]],
    path: str | os.PathLike | None = None,
    *,
    unit: str = "ms",
    log: bool = False,
    title: str = "",
) -> Any:
    """Draw a group of bars for each row {name: {contender: value}}, contenders told apart by shade and hatching.

    unit: of the values, written under the axis. log: a logarithmic axis. Every bar bears its value.

    >>> figure = bars({"matmul": {"numpy": 1.9, "numba": 1.1}, "softmax": {"numpy": 0.8, "numba": 0.2}})
    >>> [t.get_text() for t in figure.axes[0].texts]
    ['1.9', '1.1', '0.8', '0.2']
    """
    names = list(dict.fromkeys(name for row in rows.values() for name in row))
    if not names:
        raise ArgumentError('bars: needs rows such as {"matmul": {"numpy": 1.9, "numba": 1.1}}: got none.')
    if len(names) > len(SHADES):
        raise ArgumentError(f"bars: there must be at most {len(SHADES)} contenders: got {len(names)}.")
    count = sum(map(len, rows.values()))
    figure = new_figure(6.4, 0.27 * count + 0.3 * len(rows) + 1.1, "bars")
    axes = figure.subplots()
    at, places, shown = 0.0, [], set()
    for row in rows.values():
        top = at
        for name, value in row.items():
            style = names.index(name)
            axes.barh(at, value, height=0.85, color=SHADES[style], hatch=HATCHES[style], edgecolor=INK, linewidth=0.8,
                      label=None if name in shown else name)  # fmt: skip
            axes.annotate(f"{value:.3g}", (value, at), xytext=(3, 0), textcoords="offset points", va="center",
                          fontsize=8)  # fmt: skip
            shown.add(name)
            at += 1
        places.append((top + at - 1) / 2)
        at += 1
    axes.set_yticks(places, list(rows))
    axes.invert_yaxis()
    axes.set(xlabel=unit, xscale="log" if log else "linear", title=title)
    axes.margins(x=0.12, y=0.02)
    axes.tick_params(axis="y", length=0)
    axes.legend(fontsize=8, frameon=False, loc="upper left", bbox_to_anchor=(1.01, 1))
    bare(axes)
    return finished(figure, path)
