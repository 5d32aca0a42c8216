"""A running average of the weights, kept beside the model that learns."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from ..optim.swa_utils import AveragedModel, get_ema_multi_avg_fn
from .callbacks import Callback, copied

if TYPE_CHECKING:
    from .trainer import Trainer


class EMA(Callback):
    """average = decay average + (1 - decay) weights, after every step (Polyak, Juditsky 1992; `optim.swa_utils`).

    The average is what is evaluated and what `Checkpoint` saves; when `fit` ends, the model has it. A later `fit` goes
    on with the weights the model had. use_buffers: average the running statistics too, else they are the model's.
    """

    def __init__(self, decay: float = 0.999, *, use_buffers: bool = False):
        self.average_fn, self.use_buffers = get_ema_multi_avg_fn(decay), use_buffers
        self.average: AveragedModel | None = None
        self.swapped = False  # the model has the average, and the average the model's weights
        self.stepped = False
        self.loaded: Mapping[str, Any] | None = None

    def fit_start(self, trainer: Trainer) -> None:
        if self.average is None:
            self.average = AveragedModel(trainer.model, multi_avg_fn=self.average_fn, use_buffers=self.use_buffers)
        if self.loaded is not None:
            self.average.load_state_dict(self.loaded["average"])
            self.swapped, self.loaded = bool(self.loaded["swapped"]), None
        if self.swapped:
            self._swap(trainer)
        if self.average.n_averaged.item():
            trainer.evaluated = self.average.module

    def before_step(self, trainer: Trainer) -> None:
        self.stepped = True

    def batch_end(self, trainer: Trainer) -> None:
        if self.stepped and self.average is not None:
            self.average.update_parameters(trainer.model)
            trainer.evaluated, self.stepped = self.average.module, False

    def fit_end(self, trainer: Trainer) -> None:
        if trainer.evaluated is not trainer.model:
            self._swap(trainer)

    def _swap(self, trainer: Trainer) -> None:
        assert self.average is not None
        own = copied(trainer.model.state_dict())
        trainer.model.load_state_dict(self.average.module.state_dict())
        self.average.module.load_state_dict(own)
        self.swapped, trainer.evaluated = not self.swapped, trainer.model

    def state_dict(self) -> dict[str, Any]:
        if self.loaded is not None:
            return dict(self.loaded)
        average = None if self.average is None else self.average.state_dict()
        return {"average": average, "swapped": self.swapped}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        self.loaded = state if state["average"] is not None else None
