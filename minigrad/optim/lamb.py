"""LAMB: Adam's step, scaled for each tensor to the size of its weights."""

from __future__ import annotations

from typing import Any

from .optimizer import Optimizer
from .options import given


class LAMB(Optimizer):
    """u = (m / (1 - b1**t)) / (sqrt(v / (1 - b2**t)) + eps) + weight_decay p;  p = p - lr |p| / |u| u,

    m and v as in Adam, |.| the Euclidean norm over the whole tensor; the ratio is 1 where a norm is 0. For very large
    batches. State: step, exp_avg (m), exp_avg_sq (v). You et al. 2019, arXiv:1904.00962, algorithm 2, with phi(z) = z.
    Not in PyTorch.

    >>> import minigrad as mg
    >>> from minigrad import optim
    >>> p = mg.tensor([3.0, 4.0], requires_grad=True)  # |p| = 5
    >>> optimizer = optim.LAMB([p], lr=0.1, weight_decay=0)
    >>> p.sum().backward()
    >>> optimizer.step()  # by 0.1 |p|, in the direction (1, 1) / sqrt(2)
    >>> [round(x, 4) for x in p.tolist()]
    [2.6464, 3.6464]
    """

    def __init__(
        self,
        params: Any,
        lr: float = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-6,
        weight_decay: float = 1e-2,
        *,
        foreach: Any = None,
        maximize: bool = False,
        capturable: bool = False,
        differentiable: bool = False,
        fused: Any = None,
    ):
        super().__init__(params, given(locals()))

    def init(self, F: Any, p: Any, **options: Any) -> dict[str, Any]:
        return {"step": F.zeros(shape=(), dtype="float32"), "exp_avg": F.zeros_like(p), "exp_avg_sq": F.zeros_like(p)}

    def update(self, F, p, g, state, *, lr, betas, eps, weight_decay, maximize):
        b1, b2 = betas
        t = state["step"] + 1
        n = F.astype(t, dtype="float64")  # the corrections lose digits in float32 while t is small
        g = -g if maximize else g
        m = state["exp_avg"] + (1 - b1) * (g - state["exp_avg"])
        v = b2 * state["exp_avg_sq"] + (1 - b2) * (g * g)
        c1, c2 = (F.astype(1 - b**n, dtype=p.dtype) for b in betas)
        u = m / c1 / (F.sqrt(v / c2) + eps) + weight_decay * p
        size, step = (F.sqrt(F.sum(a * a)) for a in (p, u))
        usual = (size > 0) & (step > 0)
        ratio = F.where(usual, size / F.where(usual, step, 1), 1)
        return p - lr * ratio * u, {"step": t, "exp_avg": m, "exp_avg_sq": v}
