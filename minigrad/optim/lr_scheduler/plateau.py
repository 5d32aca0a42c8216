"""Smaller rates when a metric stops improving."""

from __future__ import annotations

import math
from typing import Any

from ...errors import ArgumentError, StateError
from ..optimizer import Optimizer
from .scheduler import LRScheduler, get_option, per_group, set_option, warn_epoch


class ReduceLROnPlateau(LRScheduler):
    """lr is multiplied by factor when the metric of ``step(metric)`` did not improve for more than `patience` steps.

    mode: 'min' or 'max' is better; threshold: an improvement counts if larger,
    relative ('rel') or absolute ('abs'); cooldown:
    steps to wait after a reduction; min_lr: never below; eps: smaller changes are not made.
    """

    def __init__(
        self,
        optimizer: Optimizer,
        mode: str = "min",
        factor: float = 0.1,
        patience: int = 10,
        threshold: float = 1e-4,
        threshold_mode: str = "rel",
        cooldown: int = 0,
        min_lr: Any = 0,
        eps: float = 1e-8,
    ):
        if factor >= 1.0:
            raise ArgumentError(f"ReduceLROnPlateau: factor must be below 1: got {factor}.")
        if mode not in ("min", "max") or threshold_mode not in ("rel", "abs"):
            raise ArgumentError(
                "ReduceLROnPlateau: mode must be min or max, threshold_mode rel or abs: "
                f"got {mode!r}, {threshold_mode!r}."
            )
        self._take(optimizer)
        self.mode, self.factor, self.patience = mode, factor, patience
        self.threshold, self.threshold_mode, self.cooldown, self.eps = threshold, threshold_mode, cooldown, eps
        self.default_min_lr = None if isinstance(min_lr, (list, tuple)) else min_lr
        self.min_lrs = per_group("min_lr", min_lr, optimizer)
        self.last_epoch = 0
        self.best = self.mode_worse = math.inf if mode == "min" else -math.inf
        self.cooldown_counter = self.num_bad_epochs = 0
        self._last_lr = self._rates()

    @property
    def in_cooldown(self) -> bool:
        """Still waiting after a reduction?"""
        return self.cooldown_counter > 0

    def _improved(self, value: float) -> bool:
        sign = 1 if self.mode == "max" else -1
        if self.threshold_mode == "rel":
            return sign * value > sign * self.best * (1 + sign * self.threshold)
        return sign * value > sign * self.best + self.threshold

    def step(self, metrics: Any, epoch: int | None = None) -> None:  # type: ignore[override]
        """Tell the metric of this epoch."""
        current = float(metrics)
        if epoch is not None:
            warn_epoch("ReduceLROnPlateau")
        self.last_epoch = self.last_epoch + 1 if epoch is None else epoch
        if self._improved(current):
            self.best, self.num_bad_epochs = current, 0
        else:
            self.num_bad_epochs += 1
        if self.in_cooldown:
            self.cooldown_counter -= 1
            self.num_bad_epochs = 0
        if self.num_bad_epochs > self.patience:
            self._reduce()
            self.cooldown_counter, self.num_bad_epochs = self.cooldown, 0
        self._last_lr = self._rates()

    def _reduce(self) -> None:
        groups = self.optimizer.param_groups
        if len(groups) != len(self.min_lrs):  # one was added
            if self.default_min_lr is None:
                raise StateError(
                    f"ReduceLROnPlateau: min_lr was given for {len(self.min_lrs)} groups, and there are {len(groups)} "
                    "now. Extend scheduler.min_lrs."
                )
            self.min_lrs = [self.default_min_lr] * len(groups)
        for group, low in zip(groups, self.min_lrs):
            old = get_option(group, "lr")
            new = max(old * self.factor, low)
            if old - new > self.eps:
                set_option(group, "lr", new)
