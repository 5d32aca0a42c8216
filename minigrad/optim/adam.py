"""Adam and AdamW."""

from __future__ import annotations

import math
from typing import Any

from .optimizer import Optimizer, decayed
from .options import given


class Adam(Optimizer):
    """m = b1 m + (1 - b1) g;  v = b2 v + (1 - b2) g**2;
    p = p - lr (m / (1 - b1**t)) / (sqrt(v / (1 - b2**t)) + eps), t = 1, 2, ...

    weight_decay: weight_decay p is added to g, or, decoupled, p is first scaled by 1 - lr weight_decay; amsgrad: the
    largest v so far stands for v in the last formula; maximize: g is negated. State: step, exp_avg (m), exp_avg_sq (v),
    max_exp_avg_sq. Kingma and Ba 2014, arXiv:1412.6980, algorithm 1; AMSGrad: Reddi et al. 2018, arXiv:1904.09237.

    >>> import minigrad as mg
    >>> from minigrad import optim
    >>> p = mg.tensor([1.0], requires_grad=True)
    >>> optimizer = optim.Adam([p], lr=0.1)
    >>> (p * p).sum().backward()
    >>> optimizer.step()
    >>> p
    tensor([0.9], requires_grad=True)
    """

    kernel = "adam"

    def __init__(
        self,
        params: Any,
        lr: float = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0,
        amsgrad: bool = False,
        *,
        foreach: Any = None,
        maximize: bool = False,
        capturable: bool = False,
        differentiable: bool = False,
        fused: Any = None,
        decoupled_weight_decay: bool = False,
    ):
        super().__init__(params, given(locals()))

    def init(self, F: Any, p: Any, *, amsgrad: bool, **options: Any) -> dict[str, Any]:
        state = {"step": F.zeros(shape=(), dtype="float32"), "exp_avg": F.zeros_like(p), "exp_avg_sq": F.zeros_like(p)}
        return state | {"max_exp_avg_sq": F.zeros_like(p)} if amsgrad else state

    def update(self, F, p, g, state, *, lr, betas, eps, weight_decay, amsgrad, maximize, decoupled_weight_decay):
        b1, b2 = betas
        t = state["step"] + 1
        p, g = decayed(p, g, lr, weight_decay, maximize, decoupled_weight_decay)
        m = state["exp_avg"] + (1 - b1) * (g - state["exp_avg"])
        v = b2 * state["exp_avg_sq"] + (1 - b2) * (g * g)
        top = F.maximum(state["max_exp_avg_sq"], v) if amsgrad else v
        # 1 - b**t as -expm1(t ln b): in float32 the difference itself would lose four digits at t = 1, b = 0.999
        n = F.astype(t, dtype=p.dtype)
        c1, c2 = (-F.expm1(n * math.log(b)) if b else 1.0 for b in betas)
        p = p - lr / c1 * (m / (F.sqrt(top / c2) + eps))
        state = {"step": t, "exp_avg": m, "exp_avg_sq": v}
        return p, state | {"max_exp_avg_sq": top} if amsgrad else state

    def kernel_state(self, *, amsgrad: bool, **options: Any) -> tuple[str, ...]:
        return ("exp_avg", "exp_avg_sq", *["max_exp_avg_sq"] * amsgrad, "step")


class AdamW(Adam):
    """Adam with decoupled weight decay: p is first scaled by 1 - lr weight_decay.
    Loshchilov, Hutter 2017, arXiv:1711.05101.

    As in PyTorch, and unlike the paper, the decay is multiplied by lr.

    >>> import minigrad as mg
    >>> from minigrad import optim
    >>> optim.AdamW([mg.zeros(3, requires_grad=True)]).defaults["weight_decay"]
    0.01
    """

    def __init__(
        self,
        params: Any,
        lr: float = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 1e-2,
        amsgrad: bool = False,
        *,
        maximize: bool = False,
        foreach: Any = None,
        capturable: bool = False,
        differentiable: bool = False,
        fused: Any = None,
    ):
        super().__init__(**given(locals()), params=params, decoupled_weight_decay=True)
