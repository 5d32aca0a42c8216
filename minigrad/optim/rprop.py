"""Rprop."""

from __future__ import annotations

from typing import Any, ClassVar

from .optimizer import Optimizer
from .options import given, not_negative, two


class Rprop(Optimizer):
    """Steps by the sign of the gradient, each element with a step size d of its own:

    d = d etas[1] where g keeps its sign, d etas[0] where it changes, within step_sizes;  p = p - d sign(g); an element
    whose sign changed rests for one step (its g counts as 0). d starts at lr. For gradients of the whole data, not of
    small batches. State: step, prev (g before), step_size (d). Riedmiller and Braun 1993, ICNN; Igel and Huesken 2000.

    >>> import minigrad as mg
    >>> from minigrad import optim
    >>> p = mg.tensor([1.0], requires_grad=True)
    >>> optimizer = optim.Rprop([p], lr=0.1)
    >>> for _ in range(2):
    ...     optimizer.zero_grad()
    ...     (p * p).sum().backward()
    ...     optimizer.step()
    >>> round(p.item(), 4)  # 1 - 0.1 - 0.12
    0.78
    """

    rules: ClassVar = {
        "etas": (lambda v: two(v) and 0 < v[0] < 1 < v[1], "must be (below 1, above 1), both above 0"),
        "step_sizes": (lambda v: two(v) and not_negative(v[0]) and v[0] <= v[1], "must be (smallest, largest)"),
    }

    kernel = "rprop"

    def __init__(
        self,
        params: Any,
        lr: float = 1e-2,
        etas: tuple[float, float] = (0.5, 1.2),
        step_sizes: tuple[float, float] = (1e-6, 50),
        *,
        capturable: bool = False,
        foreach: Any = None,
        maximize: bool = False,
        differentiable: bool = False,
    ):
        super().__init__(params, given(locals()))

    def init(self, F: Any, p: Any, *, lr: float, **options: Any) -> dict[str, Any]:
        zero = F.zeros_like(p)
        return {"step": F.zeros(shape=(), dtype="float32"), "prev": zero, "step_size": zero + lr}

    def update(self, F, p, g, state, *, lr, etas, step_sizes, maximize):
        g = -g if maximize else g
        same = g * state["prev"]  # > 0 where the sign is kept, 0 after a rest
        factor = F.where(same > 0, etas[1], F.where(same < 0, etas[0], 1))
        d = F.astype(F.clip(state["step_size"] * factor, *step_sizes), dtype=p.dtype)
        g = F.where(same < 0, 0, g)
        return p - F.sign(g) * d, {"step": state["step"] + 1, "prev": g, "step_size": d}

    def kernel_state(self, **options: Any) -> tuple[str, ...]:
        return "prev", "step_size", "step"
