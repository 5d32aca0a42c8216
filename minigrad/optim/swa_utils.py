"""Averages of weights over training. Names, arguments, defaults and numbers are PyTorch's (torch.optim.swa_utils)."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from copy import deepcopy
from itertools import chain
from typing import Any

from .. import creation
from ..edits import written
from ..errors import ArgumentError
from ..mistakes import meant
from ..mode import no_grad
from ..nn.module import Module
from ..nn.norm import BatchNorm1d, BatchNorm2d, BatchNorm3d
from ..tensor import Tensor
from .lr_scheduler.scheduler import LRScheduler, get_option, per_group
from .optimizer import Optimizer


def get_swa_avg_fn() -> Callable:
    """f(average, current, n) = average + (current - average) / (n + 1): the mean of n + 1 weights from that of n."""
    return no_grad()(lambda average, current, n: average + (current - average) / (n + 1))


def get_ema_avg_fn(decay: float = 0.999) -> Callable:
    """f(average, current, n) = decay average + (1 - decay) current."""
    _check_decay("get_ema_avg_fn", decay)
    return no_grad()(lambda average, current, n: decay * average + (1 - decay) * current)


def get_swa_multi_avg_fn() -> Callable:
    """`get_swa_avg_fn` for lists of tensors, in place."""
    return lambda averages, currents, n: _approach(averages, currents, 1 / (float(n) + 1))


def get_ema_multi_avg_fn(decay: float = 0.999) -> Callable:
    """`get_ema_avg_fn` for lists of tensors, in place."""
    _check_decay("get_ema_multi_avg_fn", decay)
    return lambda averages, currents, n: _approach(averages, currents, 1 - decay)


def _check_decay(who: str, decay: float) -> None:
    if not 0 <= decay <= 1:
        raise ArgumentError(f"{who}: decay must be from 0 to 1: got {decay}.")


def _approach(averages: Iterable[Tensor], currents: Iterable[Tensor], share: float) -> None:
    """average += share (current - average), in place; integers are rounded towards zero."""
    for average, current in zip(averages, currents):
        _store(average, average.array + share * (current.array - average.array))


def _store(t: Tensor, array: Any) -> None:
    t.array[...] = array if t.array.dtype == array.dtype else array.astype(t.array.dtype)
    written(t, "AveragedModel.update_parameters")


class AveragedModel(Module):
    """A copy of a model whose parameters are averages of the model's: the plain mean of all `update_parameters` (SWA),
    or what ``avg_fn(average, current, n)`` returns for each tensor, or what ``multi_avg_fn(averages, currents, n)``
    does to lists of them in place; n counts the updates so far, and the first one copies.

    use_buffers: average the buffers (running statistics), too; else they are the model's, and batch norm's are better
    renewed with `update_bn` at the end. Izmailov et al. 2018, arXiv:1803.05407.

    >>> import minigrad as mg
    >>> from minigrad import nn
    >>> from minigrad.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn
    >>> model = nn.Linear(1, 1, bias=False)
    >>> mean, ema = AveragedModel(model), AveragedModel(model, multi_avg_fn=get_ema_multi_avg_fn(0.9))
    >>> for value in (1.0, 2.0, 6.0):
    ...     _ = nn.init.constant_(model.weight, value)
    ...     mean.update_parameters(model)
    ...     ema.update_parameters(model)
    >>> mean(mg.ones(1, 1)).item(), round(ema(mg.ones(1, 1)).item(), 4)  # (1 + 2 + 6) / 3, 0.9 (0.9 + 0.2) + 0.6
    (3.0, 1.59)
    """

    def __init__(
        self,
        model: Module,
        device: Any = None,
        avg_fn: Callable[[Tensor, Tensor, Tensor], Tensor] | None = None,
        multi_avg_fn: Callable[[list[Tensor], list[Tensor], Tensor], None] | None = None,
        use_buffers: bool = False,
    ):
        super().__init__()
        if avg_fn is not None and multi_avg_fn is not None:
            raise ArgumentError("AveragedModel: takes avg_fn or multi_avg_fn: got both.")
        self.module = deepcopy(model)
        if device is not None:
            self.module = self.module.to(device)
        self.register_buffer("n_averaged", creation.tensor(0))
        self.avg_fn, self.multi_avg_fn, self.use_buffers = avg_fn, multi_avg_fn, use_buffers

    n_averaged: Any

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        return self.module(*args, **kwargs)

    @no_grad()
    def update_parameters(self, model: Module) -> None:
        """Take the model's weights of now into the average."""
        tensors = lambda m: list(chain(m.parameters(), m.buffers() if self.use_buffers else ()))
        averages, currents = tensors(self.module), [t.detach() for t in tensors(model)]
        if [t.shape for t in averages] != [t.shape for t in currents]:
            raise ArgumentError("AveragedModel.update_parameters: the model's tensors are not those it was made with.")
        n = self.n_averaged.detach()
        if not n.item():
            for average, current in zip(averages, currents):
                _store(average, _beside(average, current))
        elif self.avg_fn is not None:
            for average, current in zip(averages, currents):
                _store(average, self.avg_fn(average.detach(), current.to(average.device), n).array)
        else:
            average_all = self.multi_avg_fn or get_swa_multi_avg_fn()
            groups: dict[Any, tuple[list, list]] = {}
            for average, current in zip(averages, currents):
                ours, theirs = groups.setdefault((average.device, average.dtype), ([], []))
                ours.append(average.detach())
                theirs.append(current.to(average.device))
            for ours, theirs in groups.values():
                average_all(ours, theirs, n)
        if not self.use_buffers:
            for own, current in zip(self.module.buffers(), model.buffers()):
                _store(own, _beside(own, current))
        _store(self.n_averaged, n.array + 1)


def _beside(own: Tensor, other: Tensor) -> Any:
    """other's array, on own's device."""
    return other.detach().to(own.device).array


@no_grad()
@meant()
def update_bn(loader: Iterable[Any], model: Module, device: Any = None) -> None:
    """Renew the running statistics of all batch norms: their mean over one pass of `loader`.

    loader: batches x, or lists or tuples whose first element is x; device: where to move x.
    """
    norms = {m: m.momentum for m in model.modules() if isinstance(m, (BatchNorm1d, BatchNorm2d, BatchNorm3d))}
    if not norms:
        return
    was_training = model.training
    model.train()
    for norm in norms:
        norm.reset_running_stats()
        norm.momentum = None  # the plain mean over the batches
    try:
        for batch in loader:
            x = batch[0] if isinstance(batch, (list, tuple)) else batch
            model(x if device is None else x.to(device))
    finally:
        for norm, momentum in norms.items():
            norm.momentum = momentum
        model.train(was_training)


class SWALR(LRScheduler):
    """lr goes from what it is to swa_lr in anneal_epochs steps, and stays: the rate while weights are averaged.

    anneal_strategy: 'cos' or 'linear'. With a(t) = (1 - cos(pi t / anneal_epochs)) / 2, or t / anneal_epochs:
    lr = (1 - a) initial lr + a swa_lr.

    >>> import minigrad as mg
    >>> from minigrad import optim
    >>> w = mg.zeros(1, requires_grad=True)
    >>> optimizer = optim.SGD([w], lr=1.0)
    >>> scheduler = optim.swa_utils.SWALR(optimizer, swa_lr=0.2, anneal_epochs=2, anneal_strategy="linear")
    >>> for _ in range(3):
    ...     optimizer.zero_grad()
    ...     w.sum().backward()
    ...     optimizer.step()
    ...     scheduler.step()
    ...     print(round(scheduler.get_last_lr()[0], 4))
    0.6
    0.2
    0.2
    """

    def __init__(
        self,
        optimizer: Optimizer,
        swa_lr: Any,
        anneal_epochs: int = 10,
        anneal_strategy: str = "cos",
        last_epoch: int = -1,
    ):
        self._take(optimizer)
        if anneal_strategy not in ("cos", "linear"):
            raise ArgumentError(f"SWALR: anneal_strategy must be 'cos' or 'linear': got {anneal_strategy!r}.")
        if not isinstance(anneal_epochs, int) or anneal_epochs < 0:
            raise ArgumentError(f"SWALR: anneal_epochs must be an integer of at least 0: got {anneal_epochs!r}.")
        for group, lr in zip(optimizer.param_groups, per_group("swa_lr", swa_lr, optimizer)):
            group["swa_lr"] = lr
        self._anneal_strategy, self.anneal_epochs = anneal_strategy, anneal_epochs
        super().__init__(optimizer, last_epoch)

    def _share(self, step: int) -> float:
        t = max(0, min(1, step / max(1, self.anneal_epochs)))
        return (1 - math.cos(math.pi * t)) / 2 if self._anneal_strategy == "cos" else t

    def next_lr(self, lr: float, base: float, i: int) -> float:
        step = self._step_count - 1 if self.anneal_epochs else max(1, self._step_count - 1)
        goal, before, now = (
            get_option(self.optimizer.param_groups[i], "swa_lr"),
            self._share(step - 1),
            self._share(step),
        )
        start = goal if before == 1 else (lr - before * goal) / (1 - before)  # the rate may have been set meanwhile
        return goal * now + start * (1 - now)
