"""LRScheduler: the step, the state, and the errors that all schedules share."""

from __future__ import annotations

import types
import warnings
from collections.abc import Iterable
from typing import Any

from ...edits import written
from ...errors import ArgumentError, StateError
from ...tensor import Tensor
from ..optimizer import Optimizer


def per_group(name: str, value: Any, optimizer: Optimizer) -> list:
    """One value per parameter group."""
    n = len(optimizer.param_groups)
    values = list(value) if isinstance(value, (list, tuple)) else [value] * n
    if len(values) != n:
        raise ArgumentError(f"lr_scheduler: {name} must be one value, or one per group ({n}): got {len(values)}.")
    return values


def set_option(group: dict[str, Any], name: str, value: float) -> None:
    """group[name] = value; into the tensor, where the option is one."""
    if isinstance(group[name], Tensor):
        group[name].array[...] = value
        written(group[name], "LRScheduler.step")
    else:
        group[name] = value


def get_option(group: dict[str, Any], name: str) -> Any:
    return group[name].item() if isinstance(group[name], Tensor) else group[name]


class LRScheduler:
    """Base of the schedules. A subclass writes `next_lr`, or `get_lr` for all groups at once; and `closed_form` where
    the rate at t follows from t and the initial rate alone.

    last_epoch: -1 to begin; k to resume after k steps, with the optimizer's state loaded before.
    """

    optimizer: Optimizer
    last_epoch: int
    closed_form: Any = None  # closed_form(self, base, t) -> rate
    _get_lr_called_within_step = False
    _is_initial = False

    def __init__(self, optimizer: Optimizer, last_epoch: int = -1):
        self._take(optimizer)
        for i, group in enumerate(optimizer.param_groups):
            if last_epoch == -1:
                group.setdefault("initial_lr", get_option(group, "lr"))
            elif "initial_lr" not in group:
                raise StateError(
                    f"{type(self).__name__}: resuming with last_epoch={last_epoch} needs 'initial_lr' in group {i}. "
                    "Load the optimizer's state first."
                )
        self.base_lrs = [get_option(group, "initial_lr") for group in optimizer.param_groups]
        self.last_epoch = last_epoch
        self._initial_step()

    def _take(self, optimizer: Any) -> None:
        if not isinstance(optimizer, Optimizer):
            raise ArgumentError(f"{type(self).__name__}: needs a minigrad Optimizer: got {type(optimizer).__name__}.")
        self.optimizer = optimizer

    def _initial_step(self) -> None:
        self._step_count, self._is_initial = 0, True
        self.step()
        self._is_initial = False

    def next_lr(self, lr: float, base: float, i: int) -> float:
        """The rate of group i at last_epoch, from its current rate and its initial one."""
        raise NotImplementedError(f"{type(self).__name__}: write next_lr(self, lr, base, i).")

    def get_lr(self) -> list[float]:
        """The rates of all groups at last_epoch, which `step` sets. To ask for those in use: `get_last_lr`."""
        if not self._get_lr_called_within_step:
            warnings.warn(f"{type(self).__name__}.get_lr: for the rates in use, call get_last_lr().", stacklevel=2)
        groups = zip(self.optimizer.param_groups, self.base_lrs)
        return [self.next_lr(get_option(group, "lr"), base, i) for i, (group, base) in enumerate(groups)]

    def get_last_lr(self) -> list[float]:
        """The rates now in use, one per group."""
        return self._last_lr

    def step(self, epoch: int | None = None) -> None:
        """One step further: sets the rate of every group. epoch: go there instead (PyTorch warns, too)."""
        if self._step_count == 1 and not self.optimizer.steps:
            warnings.warn(
                f"{type(self).__name__}.step was called before optimizer.step(): "
                "the first rate of the schedule is skipped. "
                "Call optimizer.step() first.",
                stacklevel=2,
            )
        self._step_count += 1
        if epoch is not None:
            warn_epoch(type(self).__name__)
        self._go(epoch)

    def _go(self, epoch: int | None = None) -> None:
        """To the next t, or, where t is given, to the closed form there."""
        self.last_epoch = self.last_epoch + 1 if epoch is None else epoch
        if epoch is not None and self.closed_form is not None:
            self._set(self.closed_form(base, epoch) for base in self.base_lrs)
            return
        self._get_lr_called_within_step = True
        try:
            self._set(self.get_lr())
        finally:
            self._get_lr_called_within_step = False

    def _set(self, rates: Iterable[float]) -> None:
        for group, lr in zip(self.optimizer.param_groups, rates):
            set_option(group, "lr", lr)
        self._last_lr = self._rates()

    def _rates(self) -> list[float]:
        return [get_option(group, "lr") for group in self.optimizer.param_groups]

    def state_dict(self) -> dict[str, Any]:
        """Everything but the optimizer, under PyTorch's keys; functions are left out."""
        return {k: v for k, v in self.__dict__.items() if k != "optimizer"}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Continue from what `state_dict` returned, here or in PyTorch. StateError if another kind of schedule did."""
        own = self.state_dict()
        missing = [k for k in own if k not in state_dict and k not in OPTIONAL]
        if missing:
            raise StateError(
                f"{type(self).__name__}.load_state_dict: missing keys: {', '.join(missing)}: "
                f"got {', '.join(state_dict)}. Is it another schedule's?"
            )
        self.__dict__.update({k: v for k, v in state_dict.items() if k != "optimizer"})


OPTIONAL = ("_is_initial", "_get_lr_called_within_step", "_step_count", "_last_lr")  # may miss in older files


def saved_function(f: Any) -> dict[str, Any] | None:
    """What of a function goes into a state: the attributes of a callable object; of a plain function nothing."""
    return None if f is None or isinstance(f, types.FunctionType) else dict(getattr(f, "__dict__", {}))


def warn_epoch(who: str) -> None:
    warnings.warn(
        f"{who}.step: epoch is deprecated where the schedule counts by itself: call step() without it.", stacklevel=3
    )
