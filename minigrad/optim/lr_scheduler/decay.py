"""Rates that fall by factors: at steps, at milestones, always, by a power; constant and linear starts."""

from __future__ import annotations

from bisect import bisect_right
from collections import Counter
from collections.abc import Iterable

from ...errors import ArgumentError
from ..optimizer import Optimizer
from .scheduler import LRScheduler


class StepLR(LRScheduler):
    """lr is multiplied by gamma every step_size steps.

    >>> import minigrad as mg
    >>> from minigrad import optim
    >>> w = mg.zeros(1, requires_grad=True)
    >>> optimizer = optim.SGD([w], lr=1.0)
    >>> scheduler = optim.lr_scheduler.StepLR(optimizer, step_size=2, gamma=0.5)
    >>> for _ in range(4):
    ...     optimizer.zero_grad()
    ...     w.sum().backward()
    ...     optimizer.step()
    ...     scheduler.step()
    >>> scheduler.get_last_lr()
    [0.25]
    """

    def __init__(self, optimizer: Optimizer, step_size: int, gamma: float = 0.1, last_epoch: int = -1):
        if step_size < 1:
            raise ArgumentError(f"StepLR: step_size must be at least 1: got {step_size}.")
        self.step_size, self.gamma = step_size, gamma
        super().__init__(optimizer, last_epoch)

    def next_lr(self, lr: float, base: float, i: int) -> float:
        return lr if self.last_epoch == 0 or self.last_epoch % self.step_size else lr * self.gamma

    def closed_form(self, base: float, t: int) -> float:
        return base * self.gamma ** (t // self.step_size)


class MultiStepLR(LRScheduler):
    """lr is multiplied by gamma at each of the milestones; twice where one is given twice."""

    def __init__(self, optimizer: Optimizer, milestones: Iterable[int], gamma: float = 0.1, last_epoch: int = -1):
        self.milestones, self.gamma = Counter(milestones), gamma
        super().__init__(optimizer, last_epoch)

    def next_lr(self, lr: float, base: float, i: int) -> float:
        return lr * self.gamma ** self.milestones[self.last_epoch] if self.last_epoch in self.milestones else lr

    def closed_form(self, base: float, t: int) -> float:
        return base * self.gamma ** bisect_right(sorted(self.milestones.elements()), t)


class ConstantLR(LRScheduler):
    """lr = factor times the initial lr for total_iters steps, then the initial lr."""

    def __init__(self, optimizer: Optimizer, factor: float = 1.0 / 3, total_iters: int = 5, last_epoch: int = -1):
        if not 0 <= factor <= 1:
            raise ArgumentError(f"ConstantLR: factor must be from 0 to 1: got {factor}.")
        self.factor, self.total_iters = factor, total_iters
        super().__init__(optimizer, last_epoch)

    def next_lr(self, lr: float, base: float, i: int) -> float:
        if self.last_epoch == 0:
            return lr * self.factor
        return lr * (1.0 / self.factor) if self.last_epoch == self.total_iters else lr

    def closed_form(self, base: float, t: int) -> float:
        return base * (self.factor + (t >= self.total_iters) * (1 - self.factor))


class LinearLR(LRScheduler):
    """lr goes in a straight line from start_factor to end_factor times the initial lr in total_iters steps:
    a warm-up."""

    def __init__(
        self,
        optimizer: Optimizer,
        start_factor: float = 1.0 / 3,
        end_factor: float = 1.0,
        total_iters: int = 5,
        last_epoch: int = -1,
    ):
        if not (0 < start_factor <= 1 and 0 <= end_factor <= 1):
            raise ArgumentError(
                f"LinearLR: factors must be at most 1, the start above 0: got {start_factor} and {end_factor}."
            )
        self.start_factor, self.end_factor, self.total_iters = start_factor, end_factor, total_iters
        super().__init__(optimizer, last_epoch)

    def next_lr(self, lr: float, base: float, i: int) -> float:
        t, slope = self.last_epoch, self.end_factor - self.start_factor
        if t == 0:
            return lr * self.start_factor
        if self._is_initial or t > self.total_iters:
            return lr
        return lr * (1.0 + slope / (self.total_iters * self.start_factor + (t - 1) * slope))

    def closed_form(self, base: float, t: int) -> float:
        slope = self.end_factor - self.start_factor
        return base * (self.start_factor + slope * min(self.total_iters, t) / self.total_iters)


class ExponentialLR(LRScheduler):
    """lr is multiplied by gamma at each step."""

    def __init__(self, optimizer: Optimizer, gamma: float, last_epoch: int = -1):
        self.gamma = gamma
        super().__init__(optimizer, last_epoch)

    def next_lr(self, lr: float, base: float, i: int) -> float:
        return lr if self._is_initial else lr * self.gamma

    def closed_form(self, base: float, t: int) -> float:
        return base * self.gamma**t


class PolynomialLR(LRScheduler):
    """lr = initial lr times (1 - t / total_iters)**power, then 0."""

    def __init__(self, optimizer: Optimizer, total_iters: int = 5, power: float = 1.0, last_epoch: int = -1):
        self.total_iters, self.power = total_iters, power
        super().__init__(optimizer, last_epoch)

    def next_lr(self, lr: float, base: float, i: int) -> float:
        t = self.last_epoch
        if self._is_initial or t > self.total_iters:
            return lr
        return lr * ((1.0 - t / self.total_iters) / (1.0 - (t - 1) / self.total_iters)) ** self.power

    def closed_form(self, base: float, t: int) -> float:
        return base * (1.0 - min(self.total_iters, t) / self.total_iters) ** self.power
