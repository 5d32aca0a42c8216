"""Lion: the sign of an interpolated momentum."""

from __future__ import annotations

from typing import Any

from .optimizer import Optimizer
from .options import given


class Lion(Optimizer):
    """p = p (1 - lr weight_decay) - lr sign(b1 m + (1 - b1) g);  m = b2 m + (1 - b2) g.

    Every element moves by lr, so take a rate 3 to 10 times smaller than AdamW's and as much more decay. State: exp_avg
    (m), half of Adam's memory. Chen et al. 2023, arXiv:2302.06675, algorithm 2. Not in PyTorch.

    >>> import minigrad as mg
    >>> from minigrad import optim
    >>> p = mg.tensor([1.0], requires_grad=True)
    >>> optimizer = optim.Lion([p], lr=0.1)
    >>> (p * p).sum().backward()
    >>> optimizer.step()
    >>> p
    tensor([0.9], requires_grad=True)
    """

    kernel = "lion"

    def __init__(
        self,
        params: Any,
        lr: float = 1e-4,
        betas: tuple[float, float] = (0.9, 0.99),
        weight_decay: float = 0,
        *,
        foreach: Any = None,
        maximize: bool = False,
        capturable: bool = False,
        differentiable: bool = False,
        fused: Any = None,
    ):
        super().__init__(params, given(locals()))

    def init(self, F: Any, p: Any, **options: Any) -> dict[str, Any]:
        return {"exp_avg": F.zeros_like(p)}

    def update(self, F, p, g, state, *, lr, betas, weight_decay, maximize):
        (b1, b2), m = betas, state["exp_avg"]
        g = -g if maximize else g
        p = p * (1 - lr * weight_decay) - lr * F.sign(b1 * m + (1 - b1) * g)
        return p, {"exp_avg": b2 * m + (1 - b2) * g}

    def kernel_state(self, **options: Any) -> tuple[str, ...]:
        return ("exp_avg",)
