"""The decision boundary of a model with two inputs."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

import numpy as np

from ..errors import ShapeError
from ..mode import no_grad
from ..tensor import Tensor
from .figure import INK, bare, finished, new_figure, values


def decision_boundary(
    model: Callable[[Tensor], Tensor],
    points: Any,
    classes: Any,
    path: str | os.PathLike | None = None,
    *,
    title: str = "",
    grid: int = 200,
) -> Any:
    """Draw the plane as the model divides it, and the points.

    model: (B, 2) to scores (B, 1): dark where the score is above 0, light below, a line where it is 0; points of class
    1 are drawn filled, others open. Or to (B, K): a shade and a line around for each class, which has the largest
    score there; points are drawn as the number of their class.
    points: (N, 2); classes: (N,) integers.
    """
    points, classes = values(points), values(classes)
    if points.ndim != 2 or points.shape[1] != 2 or classes.shape != points.shape[:1]:
        raise ShapeError(f"decision_boundary: needs points (N, 2), classes (N,): got {points.shape}, {classes.shape}.")
    low, high = points.min(axis=0) - 0.3, points.max(axis=0) + 0.3
    x, y = np.meshgrid(*np.linspace(low, high, grid).T)  # (G, G) each
    with no_grad():
        scores = values(model(Tensor(np.stack([x, y], axis=-1).reshape(-1, 2).astype(points.dtype))))  # (G * G, K)
    if scores.ndim not in (1, 2) or len(scores) != grid * grid:
        raise ShapeError(f"decision_boundary: the model must give scores (B, 1) or (B, K): got {scores.shape}.")
    figure = new_figure(5.2, 4.2, "decision_boundary")
    axes = figure.subplots()
    (_two if scores.size == grid * grid else _several)(axes, x, y, scores, points, classes)
    axes.set(xlabel="$x_1$", ylabel="$x_2$", title=title)
    bare(axes)
    return finished(figure, path)


def _two(axes: Any, x: np.ndarray, y: np.ndarray, scores: np.ndarray, points: np.ndarray, classes: np.ndarray) -> None:
    scores = scores.reshape(x.shape)
    shades = np.tanh(scores / 4)  # from -1 to 1, so that large scores do not hide the small
    axes.contourf(x, y, shades, levels=np.linspace(-1, 1, 21), cmap="Greys", alpha=0.5)
    axes.contour(x, y, scores, levels=[0], colors=[INK], linewidths=1.6)
    one = classes == 1
    axes.scatter(*points[one].T, s=14, color=INK, label="class 1")
    axes.scatter(*points[~one].T, s=14, facecolors="white", edgecolors=INK, linewidths=0.8, label="class 0")
    axes.legend(frameon=True, framealpha=0.9, loc="upper right")


def _several(
    axes: Any, x: np.ndarray, y: np.ndarray, scores: np.ndarray, points: np.ndarray, classes: np.ndarray
) -> None:
    k = scores.shape[1]
    best = scores.argmax(axis=1).reshape(x.shape)
    axes.contourf(x, y, best, levels=np.arange(k + 1) - 0.5, cmap="Greys", alpha=0.4)
    for c in range(k):  # of each class alone: contours of `best` would pass through the classes between
        rest = np.delete(scores, c, axis=1).max(axis=1)
        axes.contour(x, y, (scores[:, c] - rest).reshape(x.shape), levels=[0], colors=[INK], linewidths=1.2)
        own = points[classes == c]
        axes.scatter(*own.T, s=22, marker=f"${c}$", color=INK, linewidths=0.2)
