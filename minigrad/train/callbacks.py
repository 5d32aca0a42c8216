"""What may happen along a training run. A callback overrides the moments it cares for; each receives the Trainer."""

from __future__ import annotations

import math
import os
import signal
import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .. import io
from ..errors import ArgumentError, DivergenceError
from ..nn.utils import clip_grad_norm_
from ..tensor import Tensor

if TYPE_CHECKING:
    from .trainer import Trainer


class Callback:
    """The moments, in order; `close` comes last in any case, after an error too.

    before_step: the gradients are there, the parameters not yet changed. One with `state_dict` and `load_state_dict` is
    part of the trainer's state; on a resumed run `fit_start` comes after `load_state_dict`.
    """

    def fit_start(self, trainer: Trainer) -> None: ...
    def epoch_start(self, trainer: Trainer) -> None: ...
    def before_step(self, trainer: Trainer) -> None: ...
    def batch_end(self, trainer: Trainer) -> None: ...
    def epoch_end(self, trainer: Trainer) -> None: ...
    def fit_end(self, trainer: Trainer) -> None: ...
    def close(self) -> None: ...


class LRSchedule(Callback):
    """Step a learning-rate scheduler after every "batch" (one-cycle, warm-up) or every "epoch"; where the trainer
    accumulates gradients, after every step."""

    def __init__(self, scheduler: Any, every: str = "batch"):
        if every not in ("batch", "epoch"):
            raise ArgumentError(f'LRSchedule: every must be "batch" or "epoch": got {every!r}.')
        self.scheduler, self.every = scheduler, every

    def batch_end(self, trainer: Trainer) -> None:
        if self.every == "batch" and not trainer.accumulating:
            self.scheduler.step()

    def epoch_end(self, trainer: Trainer) -> None:
        if self.every == "epoch":
            self.scheduler.step()

    def state_dict(self) -> dict[str, Any]:
        return self.scheduler.state_dict()

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        self.scheduler.load_state_dict(state)


class ClipGradients(Callback):
    """Scale all gradients together so that their norm is at most this, before every step.

    Pascanu, Mikolov, Bengio 2012, arXiv:1211.5063.
    """

    def __init__(self, max_norm: float):
        if not max_norm > 0:
            raise ArgumentError(f"ClipGradients: max_norm must be positive: got {max_norm}.")
        self.max_norm = max_norm

    def before_step(self, trainer: Trainer) -> None:
        clip_grad_norm_(trainer.model.parameters(), self.max_norm)


class NaNGuard(Callback):
    """Before every step, see that all gradients are finite; else a DivergenceError that names the parameter and layer.

    It reads every gradient once a step. (A loss that is not finite is an error without it.)
    """

    def before_step(self, trainer: Trainer) -> None:
        broken = []
        for name, p in trainer.model.named_parameters():
            if p.grad is not None:
                b, gradient = p.grad.backend, p.grad.array
                # the sum is finite only if all are; if it overflowed, count them
                if math.isfinite(float(b.to_host(gradient.sum()))):
                    continue
                if n := int(b.to_host((~b.xp.isfinite(gradient)).sum())):
                    broken.append(f"{name} {p.shape}, in {n} of {p.size} values")
        if broken:
            layer = broken[-1].split(" ")[0].rpartition(".")[0]
            kind = type(trainer.model.get_submodule(layer)).__name__
            raise DivergenceError(
                f"NaNGuard: in epoch {trainer.epoch}, batch {trainer.batch} the gradient is not finite of "
                f"{'; '.join(broken)}. The backward pass came to {layer or 'the model'} ({kind}) first: look there and "
                "after it for a division by 0, the root or logarithm of 0, or an overflow."
            )


class CSVLogger(Callback):
    """Write the history as a table after every epoch: `History.to_csv`. A resumed run writes all its epochs."""

    def __init__(self, path: str | os.PathLike):
        self.path = Path(path)

    def epoch_end(self, trainer: Trainer) -> None:
        trainer.history.to_csv(self.path)


class _Best:
    """The best value of a figure so far. mode: "min", "max", or "auto": what its metric says, "min" for a loss."""

    def __init__(self, who: str, monitor: str, mode: str):
        if mode not in ("auto", "min", "max"):
            raise ArgumentError(f'{who}: mode must be "auto", "min" or "max": got {mode!r}.')
        self.who, self.monitor, self.mode = who, monitor, mode
        self.value = math.inf  # with its sign changed where more is better

    def improved(self, trainer: Trainer, by: float = 0.0) -> bool:
        figures = trainer.figures
        if self.monitor not in figures:
            raise ArgumentError(f"{self.who}: there is no figure {self.monitor!r}. This run has {', '.join(figures)}.")
        modes = {m.name: m.mode for m in trainer.metrics}
        mode = modes.get(self.monitor.partition("_")[2], "min") if self.mode == "auto" else self.mode
        value = -figures[self.monitor] if mode == "max" else figures[self.monitor]
        better = value < self.value - by
        self.value = value if better else self.value
        return better


class EarlyStopping(Callback):
    """Stop when `monitor` has not improved by more than `min_delta` for `patience` epochs.

    restore_best: when the run ends, here or at its last epoch, the model gets the weights of its best epoch back.
    """

    def __init__(
        self,
        monitor: str = "validation_loss",
        *,
        patience: int = 5,
        min_delta: float = 0.0,
        mode: str = "auto",
        restore_best: bool = False,
    ):
        if patience < 1:
            raise ArgumentError(f"EarlyStopping: patience must be positive: got {patience}.")
        self.patience, self.min_delta, self.restore_best = patience, min_delta, restore_best
        self.weights: dict[str, Any] | None = None  # of the best epoch
        self.best, self.waited, self.resumed = _Best("EarlyStopping", monitor, mode), 0, False

    def fit_start(self, trainer: Trainer) -> None:
        if not self.resumed:
            self.best.value, self.waited, self.weights = math.inf, 0, None
        self.resumed = False

    def epoch_end(self, trainer: Trainer) -> None:
        better = self.best.improved(trainer, self.min_delta)
        self.waited = 0 if better else self.waited + 1
        if better and self.restore_best:
            self.weights = copied(trainer.evaluated.state_dict())
        trainer.stopping = trainer.stopping or self.waited >= self.patience

    def fit_end(self, trainer: Trainer) -> None:
        # a run that was interrupted goes on later from where it was
        if self.weights is not None and not trainer.interrupted and not trainer.within:
            trainer.evaluated.load_state_dict(self.weights)

    def state_dict(self) -> dict[str, Any]:
        kept = {"weights": self.weights} if self.restore_best else {}
        return {"best": self.best.value, "waited": self.waited, **kept}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        self.best.value, self.waited, self.resumed = float(state["best"]), int(state["waited"]), True
        self.weights = state["weights"] if self.restore_best else None


class Checkpoint(Callback):
    """Save the model's weights: of the "last" epoch (or batch, where a run is stopped), or the "best" by `monitor`."""

    def __init__(
        self,
        path: str | os.PathLike,
        keep: str = "last",
        *,
        monitor: str = "validation_loss",
        mode: str = "auto",
        metadata: Mapping[str, str] | None = None,
    ):
        if keep not in ("last", "best"):
            raise ArgumentError(f'Checkpoint: keep must be "last" or "best": got {keep!r}.')
        self.path, self.keep, self.metadata = Path(path), keep, dict(metadata or {})
        self.best = _Best("Checkpoint", monitor, mode)

    def epoch_end(self, trainer: Trainer) -> None:
        if self.keep == "last" or self.best.improved(trainer):
            self._save(trainer)

    def fit_end(self, trainer: Trainer) -> None:
        if self.keep == "last" and trainer.stopping:
            self._save(trainer)

    def _save(self, trainer: Trainer) -> None:
        io.save(trainer.evaluated.state_dict(), self.path, metadata={**self.metadata, "epoch": str(trainer.epoch)})

    def state_dict(self) -> dict[str, Any]:
        return {"best": self.best.value}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        self.best.value = float(state["best"])


ModelCheckpoint = Checkpoint  # PyTorch Lightning's and Keras' name


class SaveState(Callback):
    """Save all that the run has become, so that it can go on: after every epoch, when `seconds` have passed, and where
    the run is stopped. ``trainer.load_state_dict(io.load(path))`` takes it up again.

    also: makes a dict of what else to keep in the file.
    """

    def __init__(
        self, path: str | os.PathLike, *, seconds: float = 60.0, also: Callable[[], Mapping[str, Any]] | None = None
    ):
        self.path, self.seconds, self.also = Path(path), seconds, also or dict

    def fit_start(self, trainer: Trainer) -> None:
        self.saved = time.monotonic()

    def batch_end(self, trainer: Trainer) -> None:
        if time.monotonic() - self.saved > self.seconds:
            self._save(trainer)

    def epoch_end(self, trainer: Trainer) -> None:
        self._save(trainer)

    def fit_end(self, trainer: Trainer) -> None:
        if trainer.stopping:
            self._save(trainer)

    def _save(self, trainer: Trainer) -> None:
        io.save({**trainer.state_dict(), **self.also()}, self.path)
        self.saved = time.monotonic()


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
        trainer.interrupted = self.hit
        trainer.stopping = trainer.stopping or self.hit

    def epoch_end(self, trainer: Trainer) -> None:
        self.batch_end(trainer)

    def fit_end(self, trainer: Trainer) -> None:
        if self.hit:
            raise KeyboardInterrupt

    def close(self) -> None:
        if self.before is not None:
            signal.signal(signal.SIGINT, self.before)
            self.before = None


def copied(state: Mapping[str, Any]) -> dict[str, Any]:
    """A state dict that later steps do not change."""
    return {name: t.detach().clone() if isinstance(t, Tensor) else t for name, t in state.items()}
