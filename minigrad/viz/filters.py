"""What a convolution has learned, and what it makes of a picture."""

from __future__ import annotations

import os
from typing import Any

import numpy as np

from ..errors import ShapeError
from ..extras import require
from .figure import GREY, finished, new_figure, values
from .images import GAP, tiled


def filters(weight: Any, path: str | os.PathLike | None = None, *, columns: int = 8, title: str = "") -> Any:
    """Draw the kernels of a convolution: white where a weight is most negative, black where it is most positive.

    weight: (O, C, H, W). One picture for each of the O filters if C is 1; in colour if C is 3 (each filter from its
    own smallest to its own largest weight); else a row for each filter and a column for each of its C channels.
    """
    w = values(weight, np.float64)
    if w.ndim != 4 or not w.size:
        raise ShapeError(f"filters: weight must be (O, C, H, W), as of Conv2d: got {w.shape}.")
    o, c = w.shape[:2]
    if c == 3:
        low, high = w.min(axis=(1, 2, 3), keepdims=True), w.max(axis=(1, 2, 3), keepdims=True)
        pictures = np.moveaxis((w - low) / np.maximum(high - low, 1e-30), 1, -1)  # (O, H, W, 3)
        return _panels(pictures, path, min(columns, o), title, "filters", scale=None)
    pictures = w.reshape(-1, *w.shape[2:])  # (O * C, H, W)
    largest = np.abs(w).max() or 1.0
    return _panels(pictures, path, min(columns, o) if c == 1 else c, title, "filters", scale=(-largest, largest))


def feature_maps(activations: Any, path: str | os.PathLike | None = None, *, columns: int = 8, title: str = "") -> Any:
    """Draw the channels of one sample: white at 0 (or at the least value, if that is negative), black at the largest.

    activations: (C, H, W), or (1, C, H, W).
    """
    maps = values(activations, np.float64)
    maps = maps[0] if maps.ndim == 4 and len(maps) == 1 else maps
    if maps.ndim != 3 or not maps.size:
        raise ShapeError(
            f"feature_maps: activations must be (C, H, W), those of one sample: got {maps.shape}. Pass activations[i]."
        )
    scale = (min(maps.min(), 0.0), max(maps.max(), 1e-30))
    return _panels(maps, path, min(columns, len(maps)), title, "feature_maps", scale)


def _panels(
    pictures: np.ndarray, path: Any, columns: int, title: str, who: str, scale: tuple[float, float] | None
) -> Any:
    """One sheet, with a bar of the values where the pictures share a scale."""
    fine = max(16 // pictures.shape[2], 1)  # so that the gap between small kernels is small as well
    pictures = pictures.repeat(fine, axis=1).repeat(fine, axis=2)
    n, height, width = pictures.shape[:3]
    rows = -(-n // columns)
    inches = min(0.7, 9 / columns)
    figure = new_figure(
        max(columns * inches, 2.2) + (0.9 if scale else 0.2), max(rows * inches * height / width, 0.9) + 0.4, who
    )
    patches = require("matplotlib.patches", extra="train", use=who)
    axes = figure.subplots()
    blank = 1.0 if scale is None else np.nan
    low, high = scale or (0.0, 1.0)
    drawn = axes.imshow(
        tiled(pictures, columns, blank), cmap="Greys", vmin=low, vmax=high, interpolation="nearest"
    )  # NaN is drawn as nothing
    for i in range(n):  # a frame: white weights would run into the paper
        corner = (i % columns) * (width + GAP) - 0.5, (i // columns) * (height + GAP) - 0.5
        axes.add_patch(patches.Rectangle(corner, width, height, fill=False, edgecolor=GREY, linewidth=0.5))
    axes.set_xticks([])
    axes.set_yticks([])
    axes.spines[:].set_visible(False)
    if scale:
        figure.colorbar(drawn, ax=axes, shrink=0.9, aspect=25, pad=0.02).ax.tick_params(labelsize=8)
    figure.suptitle(title, fontsize=11)
    return finished(figure, path)
