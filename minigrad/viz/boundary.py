"""The decision boundary of a model with two inputs."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import numpy as np

from ..errors import ShapeError
from ..mode import no_grad
from ..tensor import Tensor
from .figure import INK, bare, new_figure, write_png


def decision_boundary(
    model: Callable[[Tensor], Tensor],
    points: np.ndarray,
    classes: np.ndarray,
    path: str | os.PathLike,
    *,
    title: str = "",
    grid: int = 200,
) -> Path:
    """Draw the plane: dark where the model's score is above 0, light below, a line where it is 0; and the points.

    model: (B, 2) to scores (B, 1). points: (N, 2); classes: (N,), 1 drawn filled, others open.
    """
    points, classes = np.asarray(points), np.asarray(classes)
    if points.ndim != 2 or points.shape[1] != 2 or classes.shape != points.shape[:1]:
        raise ShapeError(f"decision_boundary: needs points (N, 2), classes (N,): got {points.shape}, {classes.shape}.")
    low, high = points.min(axis=0) - 0.3, points.max(axis=0) + 0.3
    x, y = np.meshgrid(*np.linspace(low, high, grid).T)  # (G, G) each
    with no_grad():
        scores = model(Tensor(np.stack([x, y], axis=-1).reshape(-1, 2).astype(points.dtype))).numpy()  # (G * G, 1)
    scores = scores.reshape(x.shape)
    figure = new_figure(5.2, 4.2, "decision_boundary")
    axes = figure.subplots()
    shades = np.tanh(scores / 4)  # from -1 to 1, so that large scores do not hide the small
    axes.contourf(x, y, shades, levels=np.linspace(-1, 1, 21), cmap="Greys", alpha=0.5)
    axes.contour(x, y, scores, levels=[0], colors=[INK], linewidths=1.6)
    one = classes == 1
    axes.scatter(*points[one].T, s=14, color=INK, label="class 1")
    axes.scatter(*points[~one].T, s=14, facecolors="white", edgecolors=INK, linewidths=0.8, label="class 0")
    axes.set(xlabel="$x_1$", ylabel="$x_2$", title=title)
    axes.legend(frameon=True, framealpha=0.9, loc="upper right")
    bare(axes)
    return write_png(figure, path)
