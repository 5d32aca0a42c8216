"""A loss of two numbers as a map with contour lines, and the paths of optimizers through it."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from ..errors import ArgumentError, ShapeError
from ..mode import no_grad
from ..tensor import Tensor
from .figure import DASHES, GREY, INK, bare, finished, new_figure, values


def loss_surface(
    f: Callable[[Any, Any], Any],
    x_range: tuple[float, float],
    y_range: tuple[float, float],
    paths: Mapping[str, Any] | None = None,
    path: str | os.PathLike | None = None,
    *,
    grid: int = 160,
    levels: int = 24,
    log: bool = False,
    minimum: tuple[float, float] | None = None,
    x: str = "$w_1$",
    y: str = "$w_2$",
    title: str = "",
) -> Any:
    """Draw contour lines of f(x, y), darker where it is larger, and up to four paths, told apart by dash and marker.

    f: two Tensors (G, G) to one, elementwise; or, if it refuses those, two 0-d Tensors to a scalar, called G * G times.
    paths: {name: (N, 2) points}, in the order they were visited: an open marker at the start, a full one at the end.
    log: contour lines at equal ratios of f - min f instead of equal steps. minimum: a place to mark with a cross.
    """
    tracks = {name: values(points, np.float64) for name, points in (paths or {}).items()}
    if len(tracks) > len(DASHES):
        raise ArgumentError(f"loss_surface: there must be at most {len(DASHES)} paths: got {len(tracks)}.")
    for name, points in tracks.items():
        if points.ndim != 2 or points.shape[1] != 2 or not len(points):
            raise ShapeError(f"loss_surface: path {name!r} must be (N, 2) points: got {points.shape}.")
    xs, ys = np.meshgrid(np.linspace(*x_range, grid), np.linspace(*y_range, grid))  # (G, G) each
    heights = _heights(f, xs, ys)
    figure = new_figure(5.6, 4.6, "loss_surface")
    axes = figure.subplots()
    drawn = _logarithm(heights) if log else heights
    axes.contourf(xs, ys, drawn, levels=levels, cmap="Greys", alpha=0.45)
    lines = axes.contour(xs, ys, drawn, levels=levels, colors=[GREY], linewidths=0.5)
    low = np.nanmin(heights)
    axes.clabel(lines, lines.levels[:: max(levels // 6, 1)], fontsize=7, colors=[INK],
                fmt=lambda v: f"{low + np.exp(v) if log else v:.3g}")  # fmt: skip
    if minimum is not None:
        axes.plot(*minimum, color=INK, marker="x", markersize=9, markeredgewidth=2, linestyle="", label="minimum")
    for (name, points), (color, dash, marker, face) in zip(tracks.items(), DASHES):
        axes.plot(
            *points.T, color=color, linestyle=dash, linewidth=1.6, marker=marker, markersize=4, markerfacecolor=face,
            markeredgecolor=color, markevery=max(len(points) // 15, 1), label=f"{name}, {len(points) - 1} steps",
        )  # fmt: skip
        axes.plot(*points[0], color=INK, marker="o", markersize=8, markerfacecolor="white", zorder=4)
        axes.plot(*points[-1], color=INK, marker=marker, markersize=8, zorder=5)
    axes.set(xlabel=x, ylabel=y, xlim=x_range, ylim=y_range, title=title)
    if axes.get_legend_handles_labels()[0]:
        axes.legend(frameon=True, framealpha=0.9, fontsize=8)
    bare(axes)
    return finished(figure, path)


def _heights(f: Callable[[Any, Any], Any], xs: np.ndarray, ys: np.ndarray) -> np.ndarray:
    with no_grad():
        try:
            z = values(f(Tensor(xs), Tensor(ys)), np.float64)
        except Exception:  # f is of single numbers: a whole grid of them means something else to it
            z = np.empty(0)
        if z.shape != xs.shape:
            pairs = zip(xs.ravel(), ys.ravel())
            z = np.array([float(f(Tensor(a), Tensor(b))) for a, b in pairs]).reshape(xs.shape)
    return z


def _logarithm(z: np.ndarray) -> np.ndarray:
    above = z - np.nanmin(z)
    return np.log(np.maximum(above, 1e-4 * np.nanmax(above) or 1.0))
