"""What may happen along a training run. A callback overrides the moments it cares for; each receives the Trainer."""

from __future__ import annotations

import math
import os
import signal
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .. import io
from ..errors import ArgumentError

if TYPE_CHECKING:
    from .trainer import Trainer


class Callback:
    """The moments, in order; `close` comes last in any case, after an error too."""

    def fit_start(self, trainer: Trainer) -> None: ...
    def epoch_start(self, trainer: Trainer) -> None: ...
    def batch_end(self, trainer: Trainer) -> None: ...
    def epoch_end(self, trainer: Trainer) -> None: ...
    def fit_end(self, trainer: Trainer) -> None: ...
    def close(self) -> None: ...


class LRSchedule(Callback):
    """Step a learning-rate scheduler after every "batch" (one-cycle, warm-up) or every "epoch"."""

    def __init__(self, scheduler: Any, every: str = "batch"):
        if every not in ("batch", "epoch"):
            raise ArgumentError(f'LRSchedule: every must be "batch" or "epoch": got {every!r}.')
        self.scheduler, self.every = scheduler, every

    def batch_end(self, trainer: Trainer) -> None:
        if self.every == "batch":
            self.scheduler.step()

    def epoch_end(self, trainer: Trainer) -> None:
        if self.every == "epoch":
            self.scheduler.step()


class _Best:
    """The best value of a figure so far. mode: "min", "max", or "auto": "max" for an accuracy, else "min"."""

    def __init__(self, who: str, monitor: str, mode: str):
        if mode not in ("auto", "min", "max"):
            raise ArgumentError(f'{who}: mode must be "auto", "min" or "max": got {mode!r}.')
        self.who, self.monitor = who, monitor
        self.sign = -1 if mode == "max" or (mode == "auto" and monitor.endswith("accuracy")) else 1
        self.value = math.inf

    def improved(self, figures: dict[str, float], by: float = 0.0) -> bool:
        if self.monitor not in figures:
            raise ArgumentError(f"{self.who}: there is no figure {self.monitor!r}. This run has {', '.join(figures)}.")
        value = self.sign * figures[self.monitor]
        better = value < self.value - by
        self.value = value if better else self.value
        return better


class EarlyStopping(Callback):
    """Stop when `monitor` has not improved by more than `min_delta` for `patience` epochs."""

    def __init__(
        self, monitor: str = "validation_loss", *, patience: int = 5, min_delta: float = 0.0, mode: str = "auto"
    ):
        if patience < 1:
            raise ArgumentError(f"EarlyStopping: patience must be positive: got {patience}.")
        self.monitor, self.patience, self.min_delta, self.mode = monitor, patience, min_delta, mode
        self.fit_start(None)

    def fit_start(self, trainer: Trainer | None) -> None:
        self.best, self.waited = _Best("EarlyStopping", self.monitor, self.mode), 0

    def epoch_end(self, trainer: Trainer) -> None:
        self.waited = 0 if self.best.improved(trainer.figures, self.min_delta) else self.waited + 1
        trainer.stopping = trainer.stopping or self.waited >= self.patience


class Checkpoint(Callback):
    """Save the model's weights: of the "last" epoch (or batch, where a run is stopped), or the "best" by `monitor`."""

    def __init__(
        self, path: str | os.PathLike, keep: str = "last", *, monitor: str = "validation_loss", mode: str = "auto"
    ):
        if keep not in ("last", "best"):
            raise ArgumentError(f'Checkpoint: keep must be "last" or "best": got {keep!r}.')
        self.path, self.keep = Path(path), keep
        self.best = _Best("Checkpoint", monitor, mode)

    def epoch_end(self, trainer: Trainer) -> None:
        if self.keep == "last" or self.best.improved(trainer.figures):
            self._save(trainer)

    def fit_end(self, trainer: Trainer) -> None:
        if self.keep == "last" and trainer.stopping:
            self._save(trainer)

    def _save(self, trainer: Trainer) -> None:
        io.save(trainer.model.state_dict(), self.path, metadata={"epoch": str(trainer.epoch)})


class StopOnInterrupt(Callback):
    """Ctrl-C ends the run after the batch in progress, so that no step is cut in half; a second one ends it at once.

    Put it last: at the end the callbacks before it save first, and then it raises the KeyboardInterrupt.
    """

    def __init__(self) -> None:
        self.hit = False
        self.before: Any = None

    def fit_start(self, trainer: Trainer) -> None:
        self.hit = False
        # signals are handled in the main thread only, and one that is ignored (nohup) stays so
        if threading.current_thread() is threading.main_thread() and callable(signal.getsignal(signal.SIGINT)):
            self.before = signal.signal(signal.SIGINT, self._handle)

    def _handle(self, number: int, frame: Any) -> None:
        self.hit = True
        self.close()  # the next one is not for us

    def batch_end(self, trainer: Trainer) -> None:
        trainer.stopping = trainer.stopping or self.hit

    def epoch_end(self, trainer: Trainer) -> None:
        trainer.stopping = trainer.stopping or self.hit

    def fit_end(self, trainer: Trainer) -> None:
        if self.hit:
            raise KeyboardInterrupt

    def close(self) -> None:
        if self.before is not None:
            signal.signal(signal.SIGINT, self.before)
            self.before = None
