"""Points in a plane, each drawn as the sign of its class."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any

import numpy as np

from ..errors import ShapeError
from .figure import GREY, INK, bare, finished, new_figure, values


def labelled_points(
    points: Any,
    classes: Any,
    path: str | os.PathLike | None = None,
    *,
    names: Sequence[str] | None = None,
    x: str = "$z_1$",
    y: str = "$z_2$",
    title: str = "",
) -> Any:
    """Draw every point as the first letter of its class's name, and the name at the middle (median) of the class.

    points: (N, 2); classes: (N,) integers from 0; names: by default the numbers.
    """
    points, classes = values(points, np.float64), values(classes)
    if points.ndim != 2 or points.shape[1] != 2 or classes.shape != points.shape[:1] or not len(points):
        raise ShapeError(f"labelled_points: needs points (N, 2), classes (N,): got {points.shape}, {classes.shape}.")
    known = [str(k) for k in range(int(classes.max()) + 1)] if names is None else [str(name) for name in names]
    if classes.min() < 0 or classes.max() >= len(known):
        raise ShapeError(f"labelled_points: a name for each class, {int(classes.max()) + 1}: got {len(known)}.")
    figure = new_figure(6.2, 5.6, "labelled_points")
    axes = figure.subplots()
    for k in np.unique(classes):
        own = points[classes == k]
        axes.scatter(*own.T, s=18, marker=f"${known[k][:1]}$", color=GREY, linewidths=0.2)
        box = {"boxstyle": "circle,pad=0.15", "facecolor": "white", "edgecolor": INK, "linewidth": 1.0}
        axes.text(*np.median(own, axis=0), known[k], color=INK, fontsize=12, weight="bold", ha="center", va="center",
                  bbox=box)  # fmt: skip
    axes.set(xlabel=x, ylabel=y, title=title)
    bare(axes)
    return finished(figure, path)
