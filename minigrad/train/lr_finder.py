"""The learning rate range test."""

from __future__ import annotations

import math
import os
from collections.abc import Iterable
from copy import deepcopy
from itertools import chain, repeat
from pathlib import Path

import numpy as np

from .. import viz
from ..errors import ArgumentError, DivergenceError
from ..optim.lr_scheduler.scheduler import set_option
from .trainer import Trainer


class LRFinder:
    """Train for some batches while the learning rate grows from `start` to `end`, and see what the loss does.

    Smith 2015, arXiv:1506.01186, section 3.3. ``LRFinder().find(trainer, data)`` returns a suggestion: the rate at
    which the loss, smoothed, fell the fastest. ``rates`` and ``losses`` are what was seen, ``plot(path)`` draws it. The
    test ends early when the loss is over four times its best or no number. Then model, optimizer, data and random
    numbers are as they were.
    """

    def __init__(self, start: float = 1e-6, end: float = 10.0, steps: int = 100, *, smoothing: float = 0.9):
        if not 0 < start < end or steps < 10 or not 0 <= smoothing < 1:
            raise ArgumentError(
                "LRFinder: needs 0 < start < end, steps >= 10, smoothing from 0 to below 1: "
                f"got {start}, {end}, {steps}, {smoothing}."
            )
        self.start, self.end, self.steps, self.smoothing = start, end, steps, smoothing
        self.rates: list[float] = []
        self.losses: list[float] = []

    def find(self, trainer: Trainer, data: Iterable) -> float:
        before, place = deepcopy(trainer.state_dict()), trainer._data_state
        data_before = deepcopy(data.state_dict()) if hasattr(data, "state_dict") else None
        self.rates, self.losses = [], []
        try:
            trainer.model.train()
            self._test(trainer, data)
        finally:
            trainer.load_state_dict(before)
            trainer._data_state = place
            trainer.optimizer.zero_grad()
            if data_before is not None:
                data.load_state_dict(data_before)  # type: ignore[attr-defined]
        return self.suggestion

    def _test(self, trainer: Trainer, data: Iterable) -> None:
        mean = best = math.nan
        rates = np.geomspace(self.start, self.end, self.steps)
        batches = chain.from_iterable(repeat(data))  # pass after pass
        with np.errstate(over="ignore", invalid="ignore", divide="ignore"):
            for trainer.batch, (rate, batch) in enumerate(zip(rates, batches), 1):
                for group in trainer.optimizer.param_groups:
                    set_option(group, "lr", float(rate))
                try:
                    loss = trainer.step(batch).loss
                except DivergenceError:
                    return
                # a mean with weights 1, s, s^2 ... backwards in time
                n, s = trainer.batch, self.smoothing
                mean = loss if n == 1 else (mean * s * (1 - s ** (n - 1)) + (1 - s) * loss) / (1 - s**n)
                self.rates.append(float(rate))
                self.losses.append(mean)
                best = min(mean, best) if n > 1 else mean
                if mean > 4 * best > 0:
                    return

    @property
    def suggestion(self) -> float:
        """The rate at the steepest descent of the loss over the logarithm of the rate, from the first tenth of the
        steps, whose mean is of few batches, to the lowest loss."""
        if len(self.losses) < 3:
            raise ArgumentError(f"LRFinder: only {len(self.losses)} steps were finite: start at a smaller rate.")
        slopes = np.gradient(self.losses, np.log(self.rates))
        first = min(self.steps // 10, len(slopes) - 2)
        last = first + int(np.argmin(self.losses[first:])) + 1
        return self.rates[first + int(np.argmin(slopes[first:last]))]

    def plot(self, path: str | os.PathLike) -> Path:
        return viz.curves.learning_rate_curve(self.rates, self.losses, path, mark=self.suggestion)
