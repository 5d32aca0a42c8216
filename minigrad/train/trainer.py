"""Trainer: the training loop, once, with places to hook into."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence, Sized
from contextlib import ExitStack
from typing import Any

import numpy as np

from .. import functions
from ..errors import ArgumentError, DivergenceError
from ..mode import no_grad
from ..nn import Module
from ..tensor import Tensor
from .callbacks import Callback
from .metrics import Mean, Metric


class History(dict[str, list[float]]):
    """One list per figure (``train_loss``, ``validation_accuracy``, ...), one entry per finished epoch."""

    def record(self, figures: dict[str, float]) -> None:
        for name, value in figures.items():
            self.setdefault(name, []).append(value)


class Trainer:
    """``Trainer(model, loss, optimizer, metrics=[Accuracy()]).fit(train, validation, epochs=10)``.

    loss: called as ``loss(model(inputs), targets)``, the mean over the batch. Data: iterables of ``(inputs, targets)``,
    such as a DataLoader. metrics are gathered on the training batches as the model learns (so with dropout, augmented
    images, and the weights of the moment) and on the validation data after each epoch.

    Callbacks read ``epoch`` of ``epochs`` and ``batch`` of ``batches`` (counted from 1), ``figures`` (of this epoch so
    far) and ``history``, and set ``stopping`` to end the run after the batch in progress.
    """

    def __init__(
        self,
        model: Module,
        loss: Callable[[Tensor, Tensor], Tensor],
        optimizer: Any = None,
        *,
        metrics: Sequence[Metric] = (),
        callbacks: Sequence[Callback] = (),
    ):
        self.model, self.loss, self.optimizer = model, loss, optimizer
        self.metrics, self.callbacks = tuple(metrics), tuple(callbacks)
        self.history = History()
        self.figures: dict[str, float] = {}
        self.epoch = self.epochs = self.batch = self.batches = 0
        self.stopping = False

    def fit(self, train: Iterable, validation: Iterable | None = None, epochs: int = 1) -> History:
        """Train for this many epochs, or until a callback sets `stopping`. Returns the history, which `fit` extends."""
        if self.optimizer is None:
            raise ArgumentError("Trainer.fit: there is no optimizer. Pass one: Trainer(model, loss, optimizer).")
        if epochs < 1:
            raise ArgumentError(f"Trainer.fit: epochs must be positive: got {epochs}.")
        start = self.epoch
        self.epochs, self.batches, self.stopping = start + epochs, _length(train), False
        with ExitStack() as stack:
            # NumPy's warnings come from some kernels and not from others; the loss is checked at every step instead
            stack.enter_context(np.errstate(over="ignore", invalid="ignore", divide="ignore"))
            for callback in self.callbacks:
                stack.callback(callback.close)
                callback.fit_start(self)
            for self.epoch in range(start + 1, self.epochs + 1):  # noqa: B020  callbacks read it
                self._epoch(train, validation)
                if self.stopping:
                    break
            self._tell("fit_end")
        return self.history

    def _epoch(self, train: Iterable, validation: Iterable | None) -> None:
        self.model.train()
        self._tell("epoch_start")
        mean = self._gathering(self.metrics)
        self.batch = 0
        for self.batch, (inputs, targets) in enumerate(train, 1):
            prediction = self.model(inputs)
            loss = self.loss(prediction, targets)
            self.optimizer.zero_grad()
            value = loss.item()
            if not math.isfinite(value):
                raise DivergenceError(
                    f"Trainer.fit: the loss became {value} in epoch {self.epoch}, batch {self.batch}. "
                    "Use a smaller learning rate, and check the inputs for NaN and their scale."
                )
            loss.backward()
            self.optimizer.step()
            self._gather(mean, self.metrics, value, prediction.detach(), targets)
            self.figures = {"train_loss": mean.value}
            self._tell("batch_end")
            if self.stopping:  # an epoch cut short has no figures to compare with the others
                return
        if not self.batch:
            raise ArgumentError(
                "Trainer.fit: the training data gave no batch. A generator can be passed through only once."
            )
        figures = {"loss": mean.value} | {m.name: m.compute() for m in self.metrics}
        self.figures = {f"train_{k}": v for k, v in figures.items()}
        if validation is not None:
            self.figures |= {f"validation_{k}": v for k, v in self.evaluate(validation).items()}
        self.history.record(self.figures)
        self._tell("epoch_end")

    def evaluate(self, data: Iterable, *, metrics: Sequence[Metric] | None = None) -> dict[str, Any]:
        """``{"loss": ..., "accuracy": ...}``: the loss and the metrics (by default the trainer's) over the data."""
        metrics = self.metrics if metrics is None else tuple(metrics)
        mean = self._gathering(metrics)
        for inputs, targets in data:
            with no_grad():
                prediction = self._predicted(inputs)
                self._gather(mean, metrics, self.loss(prediction, targets).item(), prediction, targets)
        if not mean.weight:
            raise ArgumentError(
                "Trainer.evaluate: the data gave no sample. A generator can be passed through only once."
            )
        return {"loss": mean.value} | {m.name: m.compute() for m in metrics}

    def predict(self, data: Iterable) -> Tensor:
        """The model's outputs for all batches, joined. A batch is the inputs, or a tuple that starts with them."""
        with no_grad():
            parts = [self._predicted(batch[0] if isinstance(batch, (tuple, list)) else batch) for batch in data]
        if not parts:
            raise ArgumentError("Trainer.predict: the data gave no batch. A generator can be passed through only once.")
        return functions.concat(parts, axis=0)  # type: ignore[attr-defined]

    def _predicted(self, inputs: Tensor) -> Tensor:
        """The model's output in evaluation mode, which is left as it was found."""
        training = self.model.training
        self.model.eval()
        try:
            return self.model(inputs)
        finally:
            self.model.train(training)

    def _gathering(self, metrics: Sequence[Metric]) -> Mean:
        for metric in metrics:
            metric.reset()
        return Mean()

    def _gather(self, mean: Mean, metrics: Sequence[Metric], loss: float, prediction: Tensor, targets: Tensor) -> None:
        mean.add(loss, len(targets))
        for metric in metrics:
            metric.update(prediction.numpy(), targets.numpy())

    def _tell(self, moment: str) -> None:
        for callback in self.callbacks:
            getattr(callback, moment)(self)


def _length(data: Iterable) -> int:
    """The number of batches; 0 if only the data know."""
    return len(data) if isinstance(data, Sized) else 0
