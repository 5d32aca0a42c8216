"""Cosine annealing: once, with restarts, after a warm-up."""

from __future__ import annotations

import math

from ...errors import ArgumentError
from ..optimizer import Optimizer
from .scheduler import LRScheduler


class CosineAnnealingLR(LRScheduler):
    """lr = eta_min + (initial lr - eta_min) (1 + cos(pi t / T_max)) / 2.
    Loshchilov and Hutter 2016, arXiv:1608.03983."""

    def __init__(self, optimizer: Optimizer, T_max: int, eta_min: float = 0.0, last_epoch: int = -1):
        self.T_max, self.eta_min = T_max, eta_min
        super().__init__(optimizer, last_epoch)

    def next_lr(self, lr: float, base: float, i: int) -> float:
        t, n, low = self.last_epoch, self.T_max, self.eta_min
        if self._is_initial:
            return lr
        if self._step_count == 1 and t > 0:  # resumed
            return self.closed_form(base, t)
        if (t - 1 - n) % (2 * n) == 0:  # the rate before was eta_min, from which no factor leads up
            return lr + (base - low) * (1 - math.cos(math.pi / n)) / 2
        return (1 + math.cos(math.pi * t / n)) / (1 + math.cos(math.pi * (t - 1) / n)) * (lr - low) + low

    def closed_form(self, base: float, t: int) -> float:
        return self.eta_min + (base - self.eta_min) * (1 + math.cos(math.pi * t / self.T_max)) / 2


class CosineAnnealingWarmRestarts(LRScheduler):
    """Cosine annealing that starts again after T_0 steps, then T_0 T_mult, ...
    Loshchilov and Hutter 2016, arXiv:1608.03983."""

    def __init__(self, optimizer: Optimizer, T_0: int, T_mult: int = 1, eta_min: float = 0.0, last_epoch: int = -1):
        for name, value in (("T_0", T_0), ("T_mult", T_mult)):
            if not isinstance(value, int) or value < 1:
                raise ArgumentError(
                    f"CosineAnnealingWarmRestarts: {name} must be an integer of at least 1: got {value!r}."
                )
        if not isinstance(eta_min, (int, float)):
            raise ArgumentError(f"CosineAnnealingWarmRestarts: eta_min must be a number: got {eta_min!r}.")
        self.T_0, self.T_mult, self.eta_min = T_0, T_mult, eta_min
        self.T_cur: float = last_epoch  # steps since the last restart
        self.T_i: float = T_0  # steps between the last restart and the next
        super().__init__(optimizer, last_epoch)

    def next_lr(self, lr: float, base: float, i: int) -> float:
        return self.eta_min + (base - self.eta_min) * (1 + math.cos(math.pi * self.T_cur / self.T_i)) / 2

    def step(self, epoch: float | None = None) -> None:  # type: ignore[override]
        """One step further, or to `epoch`, which may be a fraction: ``step(epoch + batch / batches)``."""
        if epoch is None and self.last_epoch < 0:
            epoch = 0
        if epoch is None:
            epoch = self.last_epoch + 1
            self.T_cur += 1
            if self.T_cur >= self.T_i:
                self.T_cur %= self.T_i
                self.T_i *= self.T_mult
        elif epoch < 0:
            raise ArgumentError(f"CosineAnnealingWarmRestarts: epoch must not be negative: got {epoch}.")
        elif epoch < self.T_0:
            self.T_i, self.T_cur = self.T_0, epoch
        elif self.T_mult == 1:
            self.T_cur = epoch % self.T_0
        else:  # in cycle n: 1 + T_mult + ... + T_mult**(n-1) = (T_mult**n - 1) / (T_mult - 1) stretches of T_0 are over
            n = int(math.log(epoch / self.T_0 * (self.T_mult - 1) + 1, self.T_mult))
            self.T_cur = epoch - self.T_0 * (self.T_mult**n - 1) / (self.T_mult - 1)
            self.T_i = self.T_0 * self.T_mult**n
        self._go(math.floor(epoch))


class WarmupCosineLR(LRScheduler):
    """Linear warm-up, then cosine annealing: what most transformers are trained with. Call step() after every batch.

    lr = initial lr (start_factor + (1 - start_factor) t / warmup_steps) until warmup_steps, then
    eta_min + (initial lr - eta_min) (1 + cos(pi (t - warmup_steps) / (total_steps - warmup_steps))) / 2, and eta_min
    from total_steps on. The same as `SequentialLR` of `LinearLR` and `CosineAnnealingLR`, which would rise again
    after total_steps. Goyal et al. 2017, arXiv:1706.02677 (warm-up). Not in PyTorch.

    >>> import minigrad as mg
    >>> from minigrad import optim
    >>> optimizer = optim.AdamW([mg.zeros(1, requires_grad=True)], lr=1.0)
    >>> scheduler = optim.lr_scheduler.WarmupCosineLR(optimizer, warmup_steps=4, total_steps=12)
    >>> [round(scheduler.closed_form(1.0, t), 4) for t in (0, 2, 4, 8, 12)]
    [0.01, 0.505, 1.0, 0.5, 0.0]
    """

    def __init__(
        self,
        optimizer: Optimizer,
        warmup_steps: int,
        total_steps: int,
        start_factor: float = 0.01,
        eta_min: float = 0.0,
        last_epoch: int = -1,
    ):
        if not 0 <= warmup_steps < total_steps:
            raise ArgumentError(
                "WarmupCosineLR: warmup_steps must be at least 0 and below total_steps: "
                f"got {warmup_steps} of {total_steps}."
            )
        if not 0 <= start_factor <= 1:
            raise ArgumentError(f"WarmupCosineLR: start_factor must be from 0 to 1: got {start_factor}.")
        self.warmup_steps, self.total_steps = warmup_steps, total_steps
        self.start_factor, self.eta_min = start_factor, eta_min
        super().__init__(optimizer, last_epoch)

    def next_lr(self, lr: float, base: float, i: int) -> float:
        return self.closed_form(base, self.last_epoch)

    def closed_form(self, base: float, t: int) -> float:
        if t < self.warmup_steps:
            return base * (self.start_factor + (1 - self.start_factor) * t / self.warmup_steps)
        share = min((t - self.warmup_steps) / (self.total_steps - self.warmup_steps), 1.0)
        return self.eta_min + (base - self.eta_min) * (1 + math.cos(math.pi * share)) / 2
