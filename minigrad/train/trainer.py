"""Trainer: the training loop, once, with places to hook into."""

from __future__ import annotations

import csv
import math
import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence, Sized
from contextlib import ExitStack, contextmanager
from io import StringIO
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from .. import functions, io, viz
from ..data.workers import rebuilt
from ..errors import ArgumentError, DivergenceError, StateError
from ..mode import no_grad
from ..nn import Module
from ..tensor import Tensor
from .callbacks import Callback
from .finite import first_nonfinite
from .metrics import Mean, Metric
from .precision import MixedPrecision
from .state import restore, state_of


class History(dict[str, list[float]]):
    """One list per figure (``train_loss``, ``validation_accuracy``, ...), one entry per finished epoch."""

    def record(self, figures: Mapping[str, float]) -> None:
        for name, value in figures.items():
            self.setdefault(name, []).append(value)

    def plot(self, where: Any, *, title: str = "", figure: str = "loss") -> Any:
        """Draw the learning curves: all figures into a picture at the path `where`, or one into matplotlib axes."""
        if isinstance(where, (str, os.PathLike)):
            return viz.learning_curves(self, where, title=title)
        viz.curves.draw(where, self, figure)
        where.set_title(title)
        return where

    def to_csv(self, path: str | os.PathLike) -> Path:
        """A table: a row for each epoch, a column for each figure. The file is replaced when the new one is whole."""
        table = StringIO()
        writer = csv.writer(table, lineterminator="\n")
        writer.writerow(["epoch", *self])
        epochs = max(map(len, self.values()), default=0)
        for epoch in range(epochs):  # a figure that came later has its values in the last rows
            row = [values[i] if (i := epoch - epochs + len(values)) >= 0 else "" for values in self.values()]
            writer.writerow([epoch + 1, *row])
        return io.atomic_write(path, table.getvalue())

    def state_dict(self) -> dict[str, list[float]]:
        return {name: list(values) for name, values in self.items()}

    def load_state_dict(self, state: Mapping[str, Sequence[float]]) -> None:
        self.clear()
        self.update({name: list(values) for name, values in state.items()})


class Step(NamedTuple):
    """What one batch gave: the loss, a mean over `samples`, and what the metrics compare."""

    loss: float
    prediction: Tensor
    targets: Tensor
    samples: int


class Trainer:
    """``Trainer(model, loss, optimizer, metrics=[Accuracy()]).fit(train, validation, epochs=10)``.

    loss: called as ``loss(model(*inputs), targets)``, the mean over the batch. Data: iterables of ``(*inputs,
    targets)``, such as a DataLoader. metrics are gathered on the training batches as the model learns (so with dropout,
    augmented images, and the weights of the moment) and on the validation data after each epoch. accumulate: add up the
    gradients of so many batches, as one of their joint size, before a step; what is left at the end of an epoch makes a
    step too, a smaller one.

    Another way to learn from a batch (two networks against each other, several losses) is a subclass with its own
    `compute`, which gives the loss, or `step`, which learns; and with its own `parts`, if it has more to remember.

    Callbacks read ``epoch`` of ``epochs`` and ``batch`` of ``batches`` (counted from 1), ``figures`` (of this epoch so
    far) and ``history``, and set ``stopping`` to end the run after the batch in progress. ``evaluated`` is the model
    that is evaluated and saved: `model`, unless a callback keeps another one (an average of its weights).

    precision: "32-true", "bf16-mixed", "16-mixed" and others, see precision.py; with "16-mixed" a step whose gradients
    overflow is left out. device: where the model goes, and each batch to it ("cupy", "cupy:1"); None: as they are.

    ``state_dict()`` holds all that the run has become: model, optimizer, callbacks, figures, the place in the data and
    the random generator. A trainer made in the same way that loads it goes on as if nothing had happened.
    """

    def __init__(
        self,
        model: Module,
        loss: Callable[..., Tensor],
        optimizer: Any = None,
        *,
        metrics: Sequence[Metric] = (),
        callbacks: Sequence[Callback] = (),
        accumulate: int = 1,
        precision: str | MixedPrecision = "32-true",
        device: Any = None,
    ):
        if accumulate < 1:
            raise ArgumentError(f"Trainer: accumulate must be positive: got {accumulate}.")
        self.model, self.loss, self.optimizer, self.device = model, loss, optimizer, device
        if device is not None:
            model.to(device)
        self.use_precision(precision)
        self.evaluated = model
        self.metrics, self.callbacks, self.accumulate = tuple(metrics), tuple(callbacks), accumulate
        self.history = History()
        self.figures: dict[str, Any] = {}
        self.epoch = self.epochs = self.batch = self.batches = 0
        self.within = False  # an epoch is in progress
        self.mean = Mean()
        self.stopping = self.interrupted = False
        self.data: Any = None  # the training data of the run in progress
        self._data_state: Any = None  # of a loaded run, for the data that `fit` will be given

    def use_precision(self, precision: str | MixedPrecision) -> None:
        """Train in these float types from now on."""
        self.precision = precision if isinstance(precision, MixedPrecision) else MixedPrecision(precision)
        if self.precision.scaler.is_enabled() and type(self).step is not Trainer.step:
            raise ArgumentError(
                f"{type(self).__name__}: has a step of its own, which knows nothing of scaled gradients: "
                f'got precision={self.precision.name!r}. Use "bf16-mixed", which needs no scaling.'
            )
        self.precision.prepare(self.model)

    # -- the loop ------------------------------------------------------------------------------------------------------
    def fit(self, train: Iterable, validation: Iterable | None = None, epochs: int = 1) -> History:
        """Train for this many epochs, or until a callback sets `stopping`. Returns the history, which `fit` extends.

        After `load_state_dict` in the middle of an epoch, the rest of that epoch is the first of them.
        """
        if self.optimizer is None:
            raise ArgumentError("Trainer.fit: there is no optimizer. Pass one: Trainer(model, loss, optimizer).")
        if epochs < 1:
            raise ArgumentError(f"Trainer.fit: epochs must be positive: got {epochs}.")
        finished, self.interrupted = self.epoch - self.within, False
        if self.within and train is self.data and self._data_state is None and hasattr(train, "load_state_dict"):
            self._data_state = train.state_dict()  # an earlier `fit` was cut short: the rest of its epoch comes first
        self.epochs, self.batches, self.stopping, self.data = finished + epochs, _length(train), False, train
        if self._data_state is not None and hasattr(train, "load_state_dict"):
            train.load_state_dict(self._data_state)
        with ExitStack() as stack:
            # NumPy's warnings come from some kernels and not from others; the loss is checked at every step instead
            stack.enter_context(np.errstate(over="ignore", invalid="ignore", divide="ignore"))
            for callback in self.callbacks:
                stack.callback(callback.close)
                callback.fit_start(self)
            for self.epoch in range(finished + 1, self.epochs + 1):  # noqa: B020  callbacks read it
                self._epoch(train, validation)
                if self.stopping:
                    break
            self._tell("fit_end")
        return self.history

    def _epoch(self, train: Iterable, validation: Iterable | None) -> None:
        self.model.train()
        if not self.within:
            self.batch, self.within = 0, True
            self.mean = self._gathering(self.metrics)
            self._tell("epoch_start")
        elif not hasattr(train, "load_state_dict"):  # data that cannot say where it was: pass by what was seen
            train = islice(train, self.batch, None)
        self._data_state = None
        for self.batch, batch in enumerate(train, self.batch + 1):  # noqa: B020  callbacks read it
            with self.precision.region():
                step = self.step(self._placed(batch))
            self._gather(self.mean, self.metrics, step)
            self.figures = {"train_loss": self.mean.value}
            self._tell("batch_end")
            if self.stopping:  # an epoch cut short has no figures to compare with the others
                return
        if self.accumulating and not self.batches:  # data of unknown length: only now is it known that this was all
            self._update()
        if not self.batch:
            raise ArgumentError(
                "Trainer.fit: the training data gave no batch. A generator can be passed through only once."
            )
        self.within = False
        figures = {"loss": self.mean.value} | {m.name: m.compute() for m in self.metrics}
        self.figures = {f"train_{k}": v for k, v in figures.items()}
        if validation is not None:
            self.figures |= {f"validation_{k}": v for k, v in self.evaluate(validation).items()}
        self.history.record(self.figures)
        self._tell("epoch_end")

    def compute(self, batch: Any) -> tuple[Tensor, Tensor, Tensor]:
        """(loss, prediction, targets) of one batch ``(*inputs, targets)``, in training and in evaluation."""
        *inputs, targets = batch
        prediction = self.model(*inputs)
        return self.loss(prediction, targets), prediction, targets

    def step(self, batch: Any) -> Step:
        """Learn from one batch."""
        if self.batch % self.accumulate == 1 % self.accumulate:
            self.optimizer.zero_grad()
        loss, prediction, targets = self.compute(batch)
        value = self.finite(loss.item(), batch)
        self.precision.scaler.scale(loss if self.accumulate == 1 else loss / self.accumulate).backward()
        if not self.accumulating:
            self._update()
        return Step(value, prediction.detach(), targets, len(targets))

    @property
    def accumulating(self) -> bool:
        """There are gradients of batches that no step has used yet, and more batches to come."""
        return self.batch % self.accumulate != 0 and self.batch != self.batches

    def _update(self) -> None:
        scaler = self.precision.scaler
        if scaler.is_enabled():
            scaler.unscale_(self.optimizer)
            if scaler.are_finite(self.optimizer):  # callbacks need not know of gradients that are not used
                self._tell("before_step")
            scaler.step(self.optimizer)
            scaler.update()
            return
        self._tell("before_step")
        self.optimizer.step()

    def finite(self, loss: float, batch: Any) -> float:
        """The loss, if it is a number; else an error that names the first layer whose output is none."""
        if math.isfinite(loss):
            return loss
        raise DivergenceError(
            f"Trainer.fit: the loss became {loss} in epoch {self.epoch}, batch {self.batch}. "
            f"{first_nonfinite(self.model, lambda: self.compute(batch), batch)} "
            "Use a smaller learning rate or clip the gradients, and check the inputs for NaN and their scale."
        )

    # -- going on ------------------------------------------------------------------------------------------------------
    def parts(self) -> dict[str, Any]:
        """What has a state of its own, by name. A subclass with more of it (a second optimizer) adds to these."""
        stateful: dict[str, Any] = {
            f"{i} {type(c).__name__}": c for i, c in enumerate(self.callbacks) if hasattr(c, "state_dict")
        }
        if self.precision.scaler.is_enabled():
            stateful["scaler"] = self.precision.scaler
        return {"model": self.model, "optimizer": self.optimizer, "history": self.history} | stateful

    def state_dict(self) -> dict[str, Any]:
        """All that the run has become, as nested plain data and arrays."""
        return {
            "parts": state_of(self.parts()),
            "epoch": self.epoch,
            "within": self.within,
            "batch": self.batch,
            "figures": dict(self.figures),
            "mean": self.mean.state_dict(),
            "metrics": {m.name: m.state_dict() for m in self.metrics},
            "data": self.data.state_dict() if hasattr(self.data, "state_dict") else None,
            "gradients": self._gradients(),
        }

    def _gradients(self) -> dict[str, Any]:
        """The gradients that wait for more batches, by parameter; empty between steps, which start from none."""
        waiting = self.within and self.accumulating
        return {n: p.grad for n, p in self.model.named_parameters() if waiting and p.grad is not None}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Become what the trainer was that gave this state. `fit` then goes on, given the same data."""
        missing = [key for key in ("parts", "epoch", "within", "batch", "mean", "metrics") if key not in state]
        if missing:
            raise StateError(f"Trainer.load_state_dict: not the state of a Trainer: it lacks {', '.join(missing)}.")
        if set(state["metrics"]) != {m.name for m in self.metrics}:
            raise StateError(
                f"Trainer.load_state_dict: the metrics differ: saved {sorted(state['metrics'])}, "
                f"here {sorted(m.name for m in self.metrics)}."
            )
        restore(self.parts(), state["parts"], "Trainer.load_state_dict")
        self.epoch, self.within, self.batch = int(state["epoch"]), bool(state["within"]), int(state["batch"])
        self.figures = dict(state["figures"])
        self.mean.load_state_dict(state["mean"])
        for metric in self.metrics:
            metric.load_state_dict(state["metrics"][metric.name])
        for name, p in self.model.named_parameters():
            g = state.get("gradients", {}).get(name)
            p.grad = None if g is None else Tensor(g).to(p.device)
        self._data_state = state["data"]

    # -- after training ------------------------------------------------------------------------------------------------
    def evaluate(self, data: Iterable, *, metrics: Sequence[Metric] | None = None) -> dict[str, Any]:
        """``{"loss": ..., "accuracy": ...}``: the loss and the metrics (by default the trainer's) over the data."""
        metrics = self.metrics if metrics is None else tuple(metrics)
        mean = self._gathering(metrics)
        with no_grad(), self._evaluating(), self.precision.region():
            for batch in data:
                loss, prediction, targets = self.compute(self._placed(batch))
                self._gather(mean, metrics, Step(loss.item(), prediction, targets, len(targets)))
        if not mean.weight:
            raise ArgumentError(
                "Trainer.evaluate: the data gave no sample. A generator can be passed through only once."
            )
        return {"loss": mean.value} | {m.name: m.compute() for m in metrics}

    def predict(self, data: Iterable) -> Tensor:
        """The model's outputs for all batches, joined. A batch is the inputs, or a tuple that starts with them."""
        with no_grad(), self._evaluating(), self.precision.region():
            batches = map(self._placed, data)
            parts = [self.model(batch[0] if isinstance(batch, (tuple, list)) else batch) for batch in batches]
        if not parts:
            raise ArgumentError("Trainer.predict: the data gave no batch. A generator can be passed through only once.")
        return functions.concat(parts, axis=0)  # type: ignore[attr-defined]

    @contextmanager
    def _evaluating(self) -> Iterator[None]:
        """The model to evaluate in evaluation mode, and then all as it was found."""
        learner, self.model = self.model, self.evaluated  # `compute` uses self.model
        training = self.model.training
        self.model.eval()
        try:
            yield
        finally:
            self.model.train(training)
            self.model = learner

    def _gathering(self, metrics: Sequence[Metric]) -> Mean:
        for metric in metrics:
            metric.reset()
        return Mean()

    def _gather(self, mean: Mean, metrics: Sequence[Metric], step: Step) -> None:
        mean.add(step.loss, step.samples)
        if metrics:  # one way to the host for all of them
            prediction, targets = step.prediction.numpy(), step.targets.numpy()
        for metric in metrics:
            metric.update(prediction, targets)

    def _placed(self, batch: Any) -> Any:
        """The batch on the trainer's device, and its floats in the parameters' type where `precision` changed that."""
        dtype = self.precision.parameters
        return batch if self.device is None and dtype is None else placed(batch, self.device, dtype)

    def _tell(self, moment: str) -> None:
        for callback in self.callbacks:
            getattr(callback, moment)(self)


def placed(batch: Any, device: Any = None, dtype: Any = None) -> Any:
    """A tensor, or what nests tensors, on a device and with its floats in a dtype."""
    if isinstance(batch, Tensor):
        return batch.to(device=device, dtype=dtype if batch.is_floating_point() else None)
    if isinstance(batch, Mapping):
        return {name: placed(part, device, dtype) for name, part in batch.items()}
    if isinstance(batch, (tuple, list)):
        return rebuilt(batch, [placed(part, device, dtype) for part in batch])
    return batch


def _length(data: Iterable) -> int:
    """The number of batches; 0 if only the data know."""
    try:
        return len(data) if isinstance(data, Sized) else 0
    except TypeError:  # a loader of a stream
        return 0
