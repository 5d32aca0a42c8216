"""Learning curves: what each epoch brought, on the data trained on and on data held out."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import Any

from ..errors import ArgumentError
from .figure import GREY, INK, bare, finished, new_figure

# told apart by dash and marker as well, for black and white
STYLES = {
    "train": {"color": GREY, "linestyle": "--", "marker": "o", "markerfacecolor": "white", "label": "training"},
    "validation": {"color": INK, "linestyle": "-", "marker": "s", "label": "validation"},
}


def learning_curves(
    history: Mapping[str, Sequence[float]], path: str | os.PathLike | None = None, *, title: str = ""
) -> Any:
    """Draw a history: one panel for each figure (loss, accuracy, ...), its training and validation values by epoch.

    history: {"train_loss": [one value per epoch], "validation_loss": [...], "train_accuracy": ...}.
    """
    names = list(dict.fromkeys(key.split("_", 1)[1] for key in history if key.startswith(("train_", "validation_"))))
    if not names:
        raise ArgumentError(
            f'learning_curves: the history needs keys like "train_loss": got {sorted(history) or "none"}.'
        )
    figure = new_figure(4.6 * len(names), 3.6, "learning_curves")
    for axes, name in zip(figure.subplots(1, len(names), squeeze=False)[0], names):
        draw(axes, history, name)
    figure.suptitle(title)
    return finished(figure, path)


def draw(axes: Any, history: Mapping[str, Sequence[float]], name: str) -> None:
    """One panel, into axes of matplotlib: the training and validation values of the figure `name` by epoch."""
    epochs = 0
    for part, style in STYLES.items():
        values = history.get(f"{part}_{name}", ())
        if not len(values):
            continue
        epochs = max(epochs, len(values))
        every = max(len(values) // 10, 1)
        axes.plot(range(1, len(values) + 1), values, markevery=every, markersize=4.5, linewidth=1.4, **style)
    if not epochs:
        raise ArgumentError(f"learning_curves: the history has no {name!r}: got {sorted(history) or 'none'}.")
    axes.set(xlabel="epoch", ylabel=_label(name), xlim=(0.5, epochs + 0.5))
    axes.xaxis.get_major_locator().set_params(integer=True)
    axes.grid(color="#dddddd", linewidth=0.6)
    if name == "loss" and all(v > 0 for part in STYLES for v in history.get(f"{part}_loss", ())):
        axes.set_yscale("log")
    axes.legend(frameon=False)
    bare(axes)


def learning_rate_curve(
    rates: Sequence[float],
    losses: Sequence[float],
    path: str | os.PathLike | None = None,
    *,
    mark: float | None = None,
) -> Any:
    """The loss by learning rate, of a range test. mark: a learning rate to point out."""
    figure = new_figure(5.2, 3.6, "learning_rate_curve")
    axes = figure.subplots()
    axes.plot(rates, losses, color=INK, linewidth=1.4)
    if mark is not None:
        axes.axvline(mark, color=GREY, linestyle="--", linewidth=1.2)
        axes.annotate(f" {mark:.2g}", (mark, max(losses)), color=GREY)
    axes.set(xscale="log", xlabel="learning rate", ylabel="loss, smoothed")
    axes.grid(color="#dddddd", linewidth=0.6)
    bare(axes)
    return finished(figure, path)


def _label(name: str) -> str:
    return {"loss": "loss (nats)", "accuracy": "accuracy"}.get(name, name.replace("_", " "))
