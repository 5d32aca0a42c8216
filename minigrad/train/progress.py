"""The progress of a run: one line per epoch, and on a terminal a bar that moves with every batch."""

from __future__ import annotations

import sys
import time
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from ..errors import ExtraError
from ..extras import require
from .callbacks import Callback

if TYPE_CHECKING:
    from .trainer import Trainer


class Progress(Callback):
    """A line per epoch on standard output with its figures and seconds, and a bar (by rich) while it is a terminal and
    rich is installed: the loss and the metrics so far, speed and the time left.

    header: a line before the first.
    """

    def __init__(self, header: str = "") -> None:
        self.header = header
        self.bar: Any = None

    def epoch_start(self, trainer: Trainer) -> None:
        self.started = time.perf_counter()

    def fit_start(self, trainer: Trainer) -> None:
        self.started, self.shown = time.perf_counter(), 0.0
        if self.header:
            print(self.header, flush=True)
        if not sys.stdout.isatty() or not trainer.batches:
            return
        try:
            rich = require("rich.progress", extra="train", use="Progress")
        except ExtraError:
            return
        self.bar = rich.Progress(
            rich.TextColumn("epoch {task.fields[epoch]}"),
            rich.BarColumn(bar_width=None),
            rich.TaskProgressColumn(),
            rich.TextColumn("{task.fields[figures]}"),
            rich.TextColumn("{task.fields[speed]} batches/s"),
            rich.TimeElapsedColumn(),
            rich.TextColumn("left"),
            rich.TimeRemainingColumn(),
            transient=True,
        )
        self.bar.start()
        total = (trainer.epochs - trainer.epoch) * trainer.batches
        self.task = self.bar.add_task(
            "", total=total, epoch=f"{trainer.epoch + 1}/{trainer.epochs}", figures="", speed="-"
        )

    def batch_end(self, trainer: Trainer) -> None:
        if self.bar is not None:
            self.bar.update(self.task, advance=1)
            if time.monotonic() - self.shown > 0.5:  # metrics may take a while to compute
                figures = {m.name: m.compute() for m in trainer.metrics}
                speed = self.bar.tasks[0].speed
                self.bar.update(
                    self.task,
                    epoch=f"{trainer.epoch}/{trainer.epochs}",
                    figures=in_words(trainer.figures | {f"train_{k}": v for k, v in figures.items()}),
                    speed=f"{speed:.3g}" if speed else "-",
                )
                self.shown = time.monotonic()

    def epoch_end(self, trainer: Trainer) -> None:
        width = len(str(trainer.epochs))
        line = f"epoch {trainer.epoch:{width}}/{trainer.epochs}  {in_words(trainer.figures)}"
        line += f"  {time.perf_counter() - self.started:.1f} s"
        if self.bar is not None:
            self.bar.console.print(line, highlight=False, markup=False, soft_wrap=True)
        else:
            print(line, flush=True)

    def close(self) -> None:
        if self.bar is not None:
            self.bar.stop()
            self.bar = None


def in_words(figures: Mapping[str, float]) -> str:
    """``train loss 0.1234 accuracy 97.12 %  validation loss ...``: figures by part, shares as percentages."""
    parts: dict[str, list[str]] = {}
    for name, value in figures.items():
        part, _, figure = name.partition("_")
        if isinstance(value, (int, float)):
            text = f"{100 * value:6.2f} %" if figure.endswith("accuracy") else f"{value:.4f}"
            parts.setdefault(part, []).append(f"{figure.replace('_', ' ')} {text}")
    return "  ".join(f"{part} {' '.join(texts)}" for part, texts in parts.items())
