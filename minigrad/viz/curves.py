"""Learning curves: what each epoch brought, on the data trained on and on data held out."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path

from ..errors import ArgumentError
from .figure import GREY, INK, bare, new_figure, write_png

# told apart by dash and marker as well, for black and white
STYLES = {
    "train": {"color": GREY, "linestyle": "--", "marker": "o", "markerfacecolor": "white", "label": "training"},
    "validation": {"color": INK, "linestyle": "-", "marker": "s", "label": "validation"},
}


def learning_curves(history: Mapping[str, Sequence[float]], path: str | os.PathLike, *, title: str = "") -> Path:
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
        epochs = 0
        for part, style in STYLES.items():
            values = history.get(f"{part}_{name}", ())
            epochs = max(epochs, len(values))
            every = max(len(values) // 10, 1)
            axes.plot(range(1, len(values) + 1), values, markevery=every, markersize=4.5, linewidth=1.4, **style)
        axes.set(xlabel="epoch", ylabel=_label(name), xlim=(0.5, max(epochs, 1) + 0.5))
        axes.xaxis.get_major_locator().set_params(integer=True)
        axes.grid(color="#dddddd", linewidth=0.6)
        if name == "loss" and all(v > 0 for part in STYLES for v in history.get(f"{part}_loss", ())):
            axes.set_yscale("log")
        axes.legend(frameon=False)
        bare(axes)
    figure.suptitle(title)
    return write_png(figure, path)


def _label(name: str) -> str:
    return {"loss": "loss (nats)", "accuracy": "accuracy"}.get(name, name.replace("_", " "))
