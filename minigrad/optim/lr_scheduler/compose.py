"""Several schedules of one optimizer: together, or one after the other."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Sequence
from typing import Any

from ...errors import ArgumentError
from ..optimizer import Optimizer
from .plateau import ReduceLROnPlateau
from .scheduler import LRScheduler, set_option


class _Several(LRScheduler):
    """A schedule made of schedules of one optimizer."""

    _schedulers: list[LRScheduler]

    def _check(self, schedulers: Sequence[LRScheduler], optimizer: Optimizer | None) -> None:
        who = type(self).__name__
        if not schedulers:
            raise ArgumentError(f"{who}: needs at least one scheduler.")
        for s in schedulers:
            if isinstance(s, ReduceLROnPlateau):
                raise ArgumentError(f"{who}: ReduceLROnPlateau needs a metric at each step, step it by itself.")
            if not isinstance(s, LRScheduler):
                raise ArgumentError(f"{who}: needs minigrad's schedulers: got {type(s).__name__}.")
            if s.optimizer is not (optimizer or schedulers[0].optimizer):
                raise ArgumentError(f"{who}: all schedulers must belong to the same optimizer.")

    def state_dict(self) -> dict[str, Any]:
        own = {k: v for k, v in self.__dict__.items() if k not in ("optimizer", "_schedulers")}
        return own | {"_schedulers": [s.state_dict() for s in self._schedulers]}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        own = self._schedulers
        super().load_state_dict(state_dict)
        self._schedulers = own
        for s, saved in zip(own, state_dict["_schedulers"], strict=True):
            s.load_state_dict(saved)


class ChainedScheduler(_Several):
    """All the schedulers step together; their factors multiply."""

    def __init__(self, schedulers: Sequence[LRScheduler], optimizer: Optimizer | None = None):
        self._check(schedulers, optimizer)
        self._schedulers, self.optimizer = list(schedulers), optimizer or schedulers[0].optimizer
        self._last_lr = self._rates()

    def step(self) -> None:  # type: ignore[override]
        for s in self._schedulers:
            s.step()
        self._last_lr = self._rates()


class SequentialLR(_Several):
    """One scheduler after the other; the next takes over, from its beginning, at each milestone.

    >>> import minigrad as mg
    >>> from minigrad import optim
    >>> optimizer = optim.SGD([mg.zeros(1, requires_grad=True)], lr=1.0)
    >>> warm = optim.lr_scheduler.ConstantLR(optimizer, factor=0.1, total_iters=2)
    >>> fall = optim.lr_scheduler.ExponentialLR(optimizer, gamma=0.9)
    >>> optim.lr_scheduler.SequentialLR(optimizer, [warm, fall], milestones=[2]).get_last_lr()
    [0.1]
    """

    def __init__(
        self, optimizer: Optimizer, schedulers: Sequence[LRScheduler], milestones: list[int], last_epoch: int = -1
    ):
        self._check(schedulers, optimizer)
        if len(milestones) != len(schedulers) - 1:
            raise ArgumentError(
                f"SequentialLR: needs one milestone less than schedulers: got {len(milestones)} for {len(schedulers)}."
            )
        self._schedulers, self._milestones, self.optimizer = list(schedulers), list(milestones), optimizer
        self.last_epoch = last_epoch + 1
        for group in optimizer.param_groups:
            set_option(group, "lr", group["initial_lr"])
        _undo(self._schedulers)  # all of them took their first step when they were made
        first = self._schedulers[bisect_right(self._milestones, 0)]
        first._initial_step()
        self._last_lr = first.get_last_lr()

    def step(self) -> None:  # type: ignore[override]
        self.last_epoch += 1
        i = bisect_right(self._milestones, self.last_epoch)
        scheduler = self._schedulers[i]
        if i > 0 and self._milestones[i - 1] == self.last_epoch:
            scheduler._go(0)
        else:
            scheduler.step()
        self._last_lr = scheduler.get_last_lr()


def _undo(schedulers: Iterable[LRScheduler]) -> None:
    for s in schedulers:
        if isinstance(s, _Several):
            _undo(s._schedulers)
        else:
            s.last_epoch -= 1
