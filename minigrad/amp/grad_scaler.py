"""GradScaler: gradients of float16 computations, kept above the smallest number of the type."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ..edits import written
from ..errors import ArgumentError, GradError, StateError
from ..halves import FLOAT16
from ..tensor import Tensor

NAMES = ("scale", "growth_factor", "backoff_factor", "growth_interval", "_growth_tracker")


class GradScaler:
    """The loss times `scale` before backward(), the gradients over it before the step; as torch.amp.GradScaler.

        scaler.scale(loss).backward()
        scaler.unscale_(optimizer)  # only where the gradients are looked at, to clip them
        scaler.step(optimizer)
        scaler.update()

    A step whose gradients are not all finite is left out, and the scale times backoff_factor; after growth_interval
    steps in a row that were taken it is times growth_factor. All gradients are checked on their device, and the answer
    is read once per step. bfloat16 has float32's range and needs no scaler. device: taken as PyTorch's, the gradients'
    own is used. Micikevicius et al. 2017, arXiv:1710.03740, section 3.2.

    >>> import minigrad as mg
    >>> w = mg.tensor([1.0], requires_grad=True)
    >>> optimizer, scaler = mg.optim.SGD([w], lr=0.5), GradScaler(init_scale=8.0)
    >>> scaler.scale((w * w).sum()).backward()
    >>> w.grad.item(), scaler.step(optimizer), scaler.update(), w.item()
    (16.0, None, None, 0.0)
    """

    def __init__(
        self,
        device: str = "cuda",
        init_scale: float = 2.0**16,
        growth_factor: float = 2.0,
        backoff_factor: float = 0.5,
        growth_interval: int = 2000,
        enabled: bool = True,
    ):
        if not (init_scale > 0 and growth_factor > 1 and 0 < backoff_factor < 1 and growth_interval >= 1):
            raise ArgumentError(
                "GradScaler: needs init_scale > 0, growth_factor > 1, 0 < backoff_factor < 1, growth_interval >= 1: "
                f"got {init_scale}, {growth_factor}, {backoff_factor}, {growth_interval}."
            )
        self.device, self._enabled, self._scale = device, bool(enabled), float(init_scale)
        self._growth_factor, self._backoff_factor = growth_factor, backoff_factor
        self._growth_interval, self._growth_tracker = growth_interval, 0
        self._finite: dict[int, Any] = {}  # id of an optimizer unscaled since update() -> are its gradients finite?
        self._stepped: set[int] = set()

    def scale(self, outputs: Any) -> Any:
        """The loss, or each of several, times the scale."""
        if not self._enabled:
            return outputs
        if isinstance(outputs, Tensor):
            return outputs * self._scale
        if isinstance(outputs, (list, tuple)):
            return type(outputs)(self.scale(y) for y in outputs)
        raise ArgumentError(f"GradScaler.scale: needs a tensor, or a list or tuple of them: got {outputs!r}.")

    def unscale_(self, optimizer: Any) -> None:
        """Divide the gradients of the optimizer's parameters by the scale, in place; once between two updates."""
        if not self._enabled:
            return
        if id(optimizer) in self._stepped:
            raise GradError("GradScaler.unscale_: step() has already used these gradients. Call it before step().")
        if id(optimizer) in self._finite:
            raise GradError("GradScaler.unscale_: the gradients are unscaled already, since the last update().")
        gradients = [p.grad for group in optimizer.param_groups for p in group["params"] if p.grad is not None]
        if any(g.dtype == FLOAT16 for g in gradients):
            raise GradError(
                "GradScaler.unscale_: float16 gradients would lose what scaling has saved. "
                "Keep the parameters in float32 and compute under autocast."
            )
        inverse, finite = 1.0 / self._scale, []
        for g in gradients:
            xp = g.backend.xp
            finite.append(xp.all(xp.isfinite(g.array)))
            with g.backend.active():
                g.array *= inverse
            written(g, "GradScaler.unscale_")
        by_backend: dict[Any, list] = {}
        for g, flag in zip(gradients, finite):
            by_backend.setdefault(g.backend, []).append(flag)
        self._finite[id(optimizer)] = [(b, b.xp.all(b.xp.stack(flags))) for b, flags in by_backend.items()]

    def step(self, optimizer: Any, *args: Any, **kwargs: Any) -> Any:
        """``optimizer.step()`` if all its gradients are finite, after `unscale_` where that was not called."""
        if not self._enabled:
            return optimizer.step(*args, **kwargs)
        if args or "closure" in kwargs:
            raise ArgumentError("GradScaler.step: takes no closure. Compute the loss before.")
        if id(optimizer) in self._stepped:
            raise GradError("GradScaler.step: this optimizer has stepped since the last update(). Call update().")
        if id(optimizer) not in self._finite:
            self.unscale_(optimizer)
        self._stepped.add(id(optimizer))
        return optimizer.step(**kwargs) if self.are_finite(optimizer) else None

    def are_finite(self, optimizer: Any) -> bool:
        """Were all gradients of the optimizer finite when they were unscaled? Waits for the device, once."""
        if id(optimizer) not in self._finite:
            raise GradError("GradScaler.are_finite: the gradients have not been checked. Call unscale_() first.")
        return self._are_finite(id(optimizer))

    def _are_finite(self, key: int) -> bool:
        found = self._finite[key]
        if not isinstance(found, bool):
            found = self._finite[key] = all(bool(b.to_host(flag)) for b, flag in found)
        return found

    def update(self, new_scale: float | Tensor | None = None) -> None:
        """The scale for the next step: smaller after an infinite gradient, larger after enough steps without."""
        if not self._enabled:
            return
        if new_scale is not None:
            self._scale = float(new_scale)
        elif not self._finite:
            raise GradError("GradScaler.update: no gradients were checked since the last update(). Call step() first.")
        elif not all([self._are_finite(key) for key in self._finite]):
            self._scale, self._growth_tracker = self._scale * self._backoff_factor, 0
        else:
            self._growth_tracker += 1
            if self._growth_tracker == self._growth_interval:
                self._scale, self._growth_tracker = self._scale * self._growth_factor, 0
        self._finite.clear()
        self._stepped.clear()

    # -- settings and state ------------------------------------------------------------------------------------------
    def is_enabled(self) -> bool:
        return self._enabled

    def get_scale(self) -> float:
        return self._scale if self._enabled else 1.0

    def get_growth_factor(self) -> float:
        return self._growth_factor

    def set_growth_factor(self, new_factor: float) -> None:
        self._growth_factor = new_factor

    def get_backoff_factor(self) -> float:
        return self._backoff_factor

    def set_backoff_factor(self, new_factor: float) -> None:
        self._backoff_factor = new_factor

    def get_growth_interval(self) -> int:
        return self._growth_interval

    def set_growth_interval(self, new_interval: int) -> None:
        self._growth_interval = new_interval

    def state_dict(self) -> dict[str, Any]:
        """PyTorch's names: scale, growth_factor, backoff_factor, growth_interval, _growth_tracker; empty if off."""
        return {n: getattr(self, f"_{n.removeprefix('_')}") for n in NAMES} if self._enabled else {}

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        if not self._enabled:
            return
        if missing := [n for n in NAMES if n not in state_dict]:
            raise StateError(
                f"GradScaler.load_state_dict: lacks {', '.join(missing)}. "
                "Was it saved by a scaler that was not enabled?"
            )
        for n in NAMES:
            kind = int if n in ("growth_interval", "_growth_tracker") else float
            setattr(self, f"_{n.removeprefix('_')}", kind(state_dict[n]))
