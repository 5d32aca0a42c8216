"""RMSprop."""

from __future__ import annotations

from typing import Any

from .optimizer import Optimizer, decayed
from .options import given


class RMSprop(Optimizer):
    """v = alpha v + (1 - alpha) g**2;  p = p - lr g / (sqrt(v) + eps);
    with momentum: b = momentum b + g / (...), p = p - lr b.

    centered: a = alpha a + (1 - alpha) g, and v - a**2 (the variance) stands for v. weight_decay p is added to g.
    State: step, square_avg (v), momentum_buffer (b), grad_avg (a). Hinton 2012, Coursera lecture 6; centered: Graves
    2013, arXiv:1308.0850. As in PyTorch, eps is added after the root (TensorFlow: before).

    >>> import minigrad as mg
    >>> from minigrad import optim
    >>> p = mg.tensor([1.0], requires_grad=True)
    >>> optimizer = optim.RMSprop([p], lr=0.01)
    >>> (p * p).sum().backward()
    >>> optimizer.step()
    >>> round(p.item(), 4)
    0.9
    """

    kernel = "rmsprop"

    def __init__(
        self,
        params: Any,
        lr: float = 1e-2,
        alpha: float = 0.99,
        eps: float = 1e-8,
        weight_decay: float = 0,
        momentum: float = 0,
        centered: bool = False,
        capturable: bool = False,
        foreach: Any = None,
        maximize: bool = False,
        differentiable: bool = False,
    ):
        super().__init__(params, given(locals()))

    def init(self, F: Any, p: Any, *, momentum: float, centered: bool, **options: Any) -> dict[str, Any]:
        names = ["square_avg", *["momentum_buffer"] * bool(momentum), *["grad_avg"] * centered]
        return {"step": F.zeros(shape=(), dtype="float32")} | {name: F.zeros_like(p) for name in names}

    def update(self, F, p, g, state, *, lr, alpha, eps, weight_decay, momentum, centered, maximize):
        p, g = decayed(p, g, lr, weight_decay, maximize)
        state = dict(state, step=state["step"] + 1)
        v = state["square_avg"] = alpha * state["square_avg"] + (1 - alpha) * (g * g)
        if centered:
            a = state["grad_avg"] = state["grad_avg"] + (1 - alpha) * (g - state["grad_avg"])
            v = v - a * a
        step = g / (F.sqrt(v) + eps)
        if momentum:
            step = state["momentum_buffer"] = momentum * state["momentum_buffer"] + step
        return p - lr * step, state

    def kernel_state(self, *, momentum: float, centered: bool, **options: Any) -> tuple[str, ...]:
        return ("square_avg", *["grad_avg"] * centered, *["momentum_buffer"] * bool(momentum), "step")
