"""Many pictures on one sheet: a grid of them, and heat maps laid over them."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from ..errors import ArgumentError, ShapeError
from .figure import INK, finished, new_figure, values

GAP = 2  # pixels between pictures


def image_grid(
    images: Any,
    path: str | os.PathLike | None = None,
    *,
    columns: int = 10,
    row_names: Sequence[str] = (),
    column_names: Sequence[str] = (),
    title: str = "",
) -> Any:
    """Draw pictures row by row, values from 0 to 1. Grey ones as ink on paper: 0 is white, 1 black.

    images: (N, H, W), (N, 1, H, W) or, in colour, (N, 3, H, W).
    """
    pictures = _pictures("image_grid", images)
    if columns < 1:
        raise ArgumentError(f"image_grid: columns must be positive: got {columns}.")
    return _sheet("image_grid", pictures, path, min(columns, len(pictures)), row_names, column_names, title)


def heat_maps(
    images: Any,
    heats: Mapping[str, Any],
    path: str | os.PathLike | None = None,
    *,
    column_names: Sequence[str] = (),
    title: str = "",
) -> Any:
    """Draw the pictures and, in a row for each heat map, where it is large: dark, with the picture's outline.

    images: (N, H, W) or (N, 1, H, W), from 0 to 1. heats: {name: (N, H, W), or coarser (N, H / p, W / p)}, values >= 0,
    of which the largest of each picture is drawn darkest.
    """
    pictures = _pictures("heat_maps", images)
    if pictures.ndim != 3:
        raise ShapeError(f"heat_maps: the pictures must be grey, (N, H, W) or (N, 1, H, W): got {np.shape(images)}.")
    n, *size = pictures.shape
    rows = [pictures]
    for name, heat in heats.items():
        heights = values(heat, np.float64)
        if heights.ndim != 3 or len(heights) != n or any(not k or s % k for s, k in zip(size, heights.shape[1:])):
            raise ShapeError(
                f"heat_maps: {name!r} must be ({n}, H, W) with H and W that divide {size[0]} and {size[1]}: "
                f"got {heights.shape}."
            )
        block = np.ones([s // k for s, k in zip(size, heights.shape[1:])])
        # not quite black at the largest: the outline must be seen on it
        heights = 0.7 * np.maximum(heights, 0) / np.maximum(heights.max(axis=(1, 2), keepdims=True), 1e-30)
        rows.append(np.kron(heights, block[None]))
    outlines = np.concatenate([np.zeros_like(pictures), *[pictures] * len(heats)])  # the first row is the picture
    names = ["picture", *heats]
    return _sheet("heat_maps", np.concatenate(rows), path, n, names, column_names, title, outlines)


def _pictures(who: str, images: Any) -> np.ndarray:
    """(N, H, W) or (N, H, W, 3)."""
    pictures = values(images, np.float64)
    if pictures.ndim == 4 and pictures.shape[1] in (1, 3):
        pictures = pictures[:, 0] if pictures.shape[1] == 1 else np.moveaxis(pictures, 1, -1)
    elif pictures.ndim != 3:
        raise ShapeError(f"{who}: images must be (N, H, W), (N, 1, H, W) or (N, 3, H, W): got {pictures.shape}.")
    if not pictures.size:
        raise ShapeError(f"{who}: there must be a picture: got shape {np.shape(images)}.")
    return np.clip(pictures, 0, 1)


def tiled(pictures: np.ndarray, columns: int, blank: float = 0.0) -> np.ndarray:
    """One canvas: the pictures (N, H, W, ...) row by row, `GAP` apart."""
    n, height, width, *colours = pictures.shape
    rows = -(-n // columns)
    canvas = np.full((rows * (height + GAP) - GAP, columns * (width + GAP) - GAP, *colours), blank)
    for i, picture in enumerate(pictures):
        y, x = (i // columns) * (height + GAP), (i % columns) * (width + GAP)
        canvas[y : y + height, x : x + width] = picture
    return canvas


def _sheet(
    who: str,
    pictures: np.ndarray,
    path: str | os.PathLike | None,
    columns: int,
    row_names: Sequence[str],
    column_names: Sequence[str],
    title: str,
    outlines: np.ndarray | None = None,
) -> Any:
    n, height, width = pictures.shape[:3]
    rows = -(-n // columns)
    for names, count, what in ((row_names, rows, "row"), (column_names, columns, "column")):
        if len(names) not in (0, count):
            raise ShapeError(f"{who}: one name per {what}, {count}: got {len(names)}.")
    margin = 0.1 + 0.085 * max(map(len, row_names), default=0)
    inches = 0.55 if rows * columns <= 150 else 0.36
    figure = new_figure(
        max(columns * inches + margin, 2.0), rows * inches * height / width + 0.3 * bool(title) + 0.4, who
    )
    axes = figure.subplots()
    blank = 1.0 if pictures.ndim == 4 else 0.0
    axes.imshow(tiled(pictures, columns, blank), cmap="Greys", vmin=0, vmax=1, interpolation="nearest")
    if outlines is not None and outlines.max() > 0.5:
        axes.contour(tiled(outlines, columns), levels=[0.5], colors=[INK], linewidths=0.7)
    axes.set_yticks([i * (height + GAP) + height / 2 for i in range(len(row_names))], row_names)
    axes.set_xticks([j * (width + GAP) + width / 2 for j in range(len(column_names))], column_names)
    axes.xaxis.tick_top()
    axes.tick_params(length=0)
    axes.spines[:].set_visible(False)
    figure.suptitle(title, fontsize=11)
    return finished(figure, path)
