"""Averaged stochastic gradient descent."""

from __future__ import annotations

from typing import Any

from .optimizer import Optimizer, decayed
from .options import given


class ASGD(Optimizer):
    """p = p (1 - lambd eta) - eta g, with eta = lr / (1 + lambd lr t)**alpha for the next step, and the average of p

    ax = ax + mu (p - ax), mu = 1 / max(1, t - t0) for the next step: p until step t0 + 2, its mean from there on.
    weight_decay p is added to g. The average is in the state, p itself is not replaced. State: step, eta, mu, ax.
    Polyak and Juditsky 1992, SIAM J. Control Optim. 30(4); the schedule is Bottou's.

    >>> import minigrad as mg
    >>> from minigrad import optim
    >>> p = mg.tensor([1.0], requires_grad=True)
    >>> optimizer = optim.ASGD([p], lr=0.1, t0=0)
    >>> for _ in range(3):
    ...     optimizer.zero_grad()
    ...     (p * p).sum().backward()
    ...     optimizer.step()
    >>> round(optimizer.state[p]["ax"].item(), 3)  # after 0.8, the mean of about 0.64 and 0.512
    0.576
    """

    kernel = "asgd"

    def __init__(
        self,
        params: Any,
        lr: float = 1e-2,
        lambd: float = 1e-4,
        alpha: float = 0.75,
        t0: float = 1e6,
        weight_decay: float = 0,
        foreach: Any = None,
        maximize: bool = False,
        differentiable: bool = False,
        capturable: bool = False,
    ):
        super().__init__(params, given(locals()))

    def init(self, F: Any, p: Any, *, lr: float, **options: Any) -> dict[str, Any]:
        zero, one = F.zeros(shape=(), dtype="float32"), F.ones(shape=(), dtype="float32")
        return {"step": zero, "eta": F.astype(one * lr, dtype="float32"), "mu": one, "ax": F.zeros_like(p)}

    def update(self, F, p, g, state, *, lr, lambd, alpha, t0, weight_decay, maximize):
        p, g = decayed(p, g, lr, weight_decay, maximize)
        t = state["step"] + 1
        n = F.astype(t, dtype="float64")
        eta, mu = (F.astype(state[name], dtype="float64") for name in ("eta", "mu"))
        shrink, rate, share = (F.astype(c, dtype=p.dtype) for c in (1 - lambd * eta, eta, mu))
        p = p * shrink - rate * g
        ax = F.where(mu == 1, p, state["ax"] + share * (p - state["ax"]))
        after = {"eta": lr / (1 + lambd * lr * n) ** alpha, "mu": 1 / F.maximum(1.0, n - t0)}
        # rounded to float32, whatever type keeps them, as PyTorch does
        after = {k: F.astype(F.astype(v, dtype="float32"), dtype=state[k].dtype) for k, v in after.items()}
        return p, {"step": t, "ax": ax} | after

    def kernel_state(self, **options: Any) -> tuple[str, ...]:
        return "ax", "step", "eta", "mu"
