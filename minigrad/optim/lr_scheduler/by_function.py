"""The rate as a function of the step that you write."""

from __future__ import annotations

from typing import Any

from ...errors import DTypeError
from ..optimizer import Optimizer
from .scheduler import LRScheduler, per_group, saved_function


class LambdaLR(LRScheduler):
    """lr = initial lr times lr_lambda(t).

    >>> import minigrad as mg
    >>> from minigrad import optim
    >>> optimizer = optim.SGD([mg.zeros(1, requires_grad=True)], lr=1.0)
    >>> optim.lr_scheduler.LambdaLR(optimizer, lambda t: 0.5 ** (t + 1)).get_last_lr()
    [0.5]
    """

    def __init__(self, optimizer: Optimizer, lr_lambda: Any, last_epoch: int = -1):
        self._take(optimizer)
        self.lr_lambdas = per_group("lr_lambda", lr_lambda, optimizer)
        for f in self.lr_lambdas:
            if not callable(f):
                raise DTypeError(f"{type(self).__name__}: lr_lambda must be a function: got {type(f).__name__}.")
        super().__init__(optimizer, last_epoch)

    def next_lr(self, lr: float, base: float, i: int) -> float:
        return base * self.lr_lambdas[i](self.last_epoch)

    def state_dict(self) -> dict[str, Any]:
        return super().state_dict() | {"lr_lambdas": [saved_function(f) for f in self.lr_lambdas]}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        functions = self.lr_lambdas
        super().load_state_dict(state_dict)
        self.lr_lambdas = functions
        for f, saved in zip(functions, state_dict["lr_lambdas"]):
            if saved:
                f.__dict__.update(saved)


class MultiplicativeLR(LambdaLR):
    """lr is multiplied by lr_lambda(t) at each step, t = 1, 2, ..."""

    def next_lr(self, lr: float, base: float, i: int) -> float:
        return lr if self._is_initial else lr * self.lr_lambdas[i](self.last_epoch)
