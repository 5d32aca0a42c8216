"""The confusion matrix: which classes are taken for which."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any

import numpy as np

from ..errors import ShapeError
from .figure import finished, new_figure, values


def confusion_matrix(
    matrix: Any, path: str | os.PathLike | None = None, *, names: Sequence[str] | None = None, title: str = ""
) -> Any:
    """Draw counts: entry [i, j] is how many samples of class i were taken for class j. matrix: (K, K)."""
    counts = values(matrix)
    k = len(counts)
    if counts.shape != (k, k) or not k:
        raise ShapeError(f"confusion_matrix: the matrix must be (K, K): got {counts.shape}.")
    labels = [str(i) for i in range(k)] if names is None else [str(name) for name in names]
    if len(labels) != k:
        raise ShapeError(f"confusion_matrix: one name per class, {k}: got {len(labels)}.")
    share = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)  # of the class
    side = 2.0 + 0.38 * max(k, 6)
    figure = new_figure(side, side, "confusion_matrix")
    axes = figure.subplots()
    # the square root lets a single mistake among hundreds be seen
    axes.imshow(np.sqrt(share), cmap="Greys", vmin=0, vmax=1)
    for i, j in zip(*np.nonzero(counts)):
        axes.text(
            j,
            i,
            str(counts[i, j]),
            ha="center",
            va="center",
            color="white" if share[i, j] > 0.3 else "black",
            fontsize=9,
        )
    axes.set(xlabel="predicted class", ylabel="true class", xticks=range(k), yticks=range(k))
    axes.set_xticklabels(labels, rotation=90 if max(map(len, labels)) > 3 else 0)
    axes.set_yticklabels(labels)
    axes.set_xticks(np.arange(k + 1) - 0.5, minor=True)
    axes.set_yticks(np.arange(k + 1) - 0.5, minor=True)
    axes.grid(which="minor", color="#dddddd", linewidth=0.6)
    axes.tick_params(which="both", length=0)
    right = int(np.trace(counts))
    axes.set_title(title or f"{right} of {counts.sum()} right, {counts.sum() - right} wrong", fontsize=11)
    return finished(figure, path)
