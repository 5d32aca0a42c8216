"""Adagrad and Adadelta."""

from __future__ import annotations

from typing import Any

from .optimizer import Optimizer, decayed
from .options import given


class Adagrad(Optimizer):
    """s = s + g**2;  p = p - lr / (1 + (t - 1) lr_decay) g / (sqrt(s) + eps), t = 1, 2, ...

    s starts at initial_accumulator_value; weight_decay p is added to g. State: step, sum. Duchi et al. 2011, JMLR 12.

    >>> import minigrad as mg
    >>> from minigrad import optim
    >>> p = mg.tensor([1.0], requires_grad=True)
    >>> optimizer = optim.Adagrad([p], lr=0.1)
    >>> (p * p).sum().backward()
    >>> optimizer.step()
    >>> p
    tensor([0.9], requires_grad=True)
    """

    kernel = "adagrad"

    def __init__(
        self,
        params: Any,
        lr: float = 1e-2,
        lr_decay: float = 0,
        weight_decay: float = 0,
        initial_accumulator_value: float = 0,
        eps: float = 1e-10,
        foreach: Any = None,
        *,
        maximize: bool = False,
        differentiable: bool = False,
        fused: Any = None,
    ):
        super().__init__(params, given(locals()))

    def init(self, F: Any, p: Any, *, initial_accumulator_value: float, **options: Any) -> dict[str, Any]:
        return {"step": F.zeros(shape=(), dtype="float32"), "sum": F.zeros_like(p) + initial_accumulator_value}

    def update(self, F, p, g, state, *, lr, lr_decay, eps, weight_decay, initial_accumulator_value, maximize):
        t = state["step"] + 1
        p, g = decayed(p, g, lr, weight_decay, maximize)
        s = state["sum"] + g * g
        rate = lr / (1 + (F.astype(t, dtype=p.dtype) - 1) * lr_decay)
        return p - rate * (g / (F.sqrt(s) + eps)), {"step": t, "sum": s}

    def kernel_state(self, **options: Any) -> tuple[str, ...]:
        return "sum", "step"


class Adadelta(Optimizer):
    """v = rho v + (1 - rho) g**2;  d = sqrt(a + eps) / sqrt(v + eps) g;  a = rho a + (1 - rho) d**2;  p = p - lr d.

    weight_decay p is added to g. State: step, square_avg (v), acc_delta (a). Zeiler 2012, arXiv:1212.5701.

    >>> import minigrad as mg
    >>> from minigrad import optim
    >>> optim.Adadelta([mg.zeros(3, requires_grad=True)]).defaults["rho"]
    0.9
    """

    kernel = "adadelta"

    def __init__(
        self,
        params: Any,
        lr: float = 1.0,
        rho: float = 0.9,
        eps: float = 1e-6,
        weight_decay: float = 0,
        foreach: Any = None,
        *,
        capturable: bool = False,
        maximize: bool = False,
        differentiable: bool = False,
    ):
        super().__init__(params, given(locals()))

    def init(self, F: Any, p: Any, **options: Any) -> dict[str, Any]:
        return {
            "step": F.zeros(shape=(), dtype="float32"),
            "square_avg": F.zeros_like(p),
            "acc_delta": F.zeros_like(p),
        }

    def update(self, F, p, g, state, *, lr, rho, eps, weight_decay, maximize):
        p, g = decayed(p, g, lr, weight_decay, maximize)
        v = rho * state["square_avg"] + (1 - rho) * (g * g)
        d = F.sqrt(state["acc_delta"] + eps) / F.sqrt(v + eps) * g
        a = rho * state["acc_delta"] + (1 - rho) * (d * d)
        return p - lr * d, {"step": state["step"] + 1, "square_avg": v, "acc_delta": a}

    def kernel_state(self, **options: Any) -> tuple[str, ...]:
        return "square_avg", "acc_delta", "step"
