"""How the weights of each layer, and their gradients, are spread."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

import numpy as np

from ..errors import ArgumentError
from ..nn.module import Module
from ..tensor import Tensor
from .figure import FAINT, GREY, INK, bare, finished, new_figure, values

BINS = 40


def histograms(
    model: Module | Mapping[str, Any],
    path: str | os.PathLike | None = None,
    *,
    gradients: bool = True,
    title: str = "",
) -> Any:
    """Draw a row for each parameter: how often each value occurs, left of the weights, right of their gradients.

    model: a Module, or {name: array}. Gradients are ``.grad``; a tensor without one, and anything that is no Tensor,
    leaves its right side empty. Above each panel: the standard deviation, how many values are exactly 0, how many are
    not finite (NaN or infinite; those are not drawn).
    """
    named = dict(model.named_parameters()) if isinstance(model, Module) else dict(model)
    if not named:
        raise ArgumentError("histograms: there is nothing to draw: the model has no parameters.")
    left = {name: values(t).ravel() for name, t in named.items()}
    right = {name: values(t.grad).ravel() for name, t in named.items() if isinstance(t, Tensor) and t.grad is not None}
    columns = 1 + (gradients and bool(right))
    figure = new_figure(4.3 * columns, 1.25 * len(named) + 0.9, "histograms")
    rows = figure.subplots(len(named), columns, squeeze=False)
    for row, name in zip(rows, named):
        _panel(row[0], left[name], INK)
        row[0].set_ylabel(name, rotation=0, ha="right", va="center", fontsize=9)
        if columns == 2:
            _panel(row[1], right.get(name), GREY)
    for axes, what in zip(rows[-1], ("value of the weight", "value of the gradient")):
        axes.set_xlabel(what)
    figure.suptitle(title, fontsize=11)
    return finished(figure, path)


def _panel(axes: Any, x: np.ndarray | None, color: str) -> None:
    axes.set_yticks([])
    axes.tick_params(labelsize=8)
    bare(axes)
    axes.spines["left"].set_visible(False)
    if x is None or not x.size:
        axes.set_xticks([])
        axes.text(0.5, 0.4, "no gradient" if x is None else "empty", ha="center", color=GREY, transform=axes.transAxes)
        return
    finite = x[np.isfinite(x)]
    words = [f"std {finite.std():.2g}"] if finite.size else []
    words += [f"{np.count_nonzero(x == 0) / x.size:.0%} are 0"] * bool((x == 0).any())
    words += [f"{x.size - finite.size:,} not finite"] * (finite.size < x.size)
    axes.set_title(", ".join(words), fontsize=8, loc="right", pad=2)
    if finite.size:
        axes.hist(finite.astype(np.float64), bins=BINS, color=color, edgecolor="white", linewidth=0.3)
        axes.axvline(0, color=FAINT if finite.min() > 0 or finite.max() < 0 else INK, linewidth=0.6, linestyle=":")
        axes.locator_params(axis="x", nbins=5)
