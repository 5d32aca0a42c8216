"""Adamax, NAdam and RAdam: Adam with another denominator, look-ahead momentum, or a rectified start."""

from __future__ import annotations

from typing import Any

from .optimizer import Optimizer, decayed
from .options import given


class Adamax(Optimizer):
    """m = b1 m + (1 - b1) g;  u = max(b2 u, |g| + eps);  p = p - lr / (1 - b1**t) m / u.

    State: step, exp_avg (m), exp_inf (u). Kingma and Ba 2014, arXiv:1412.6980, algorithm 2.

    >>> import minigrad as mg
    >>> from minigrad import optim
    >>> optim.Adamax([mg.zeros(3, requires_grad=True)]).defaults["lr"]
    0.002
    """

    kernel = "adamax"

    def __init__(
        self,
        params: Any,
        lr: float = 2e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0,
        foreach: Any = None,
        *,
        maximize: bool = False,
        differentiable: bool = False,
        capturable: bool = False,
    ):
        super().__init__(params, given(locals()))

    def init(self, F: Any, p: Any, **options: Any) -> dict[str, Any]:
        return {"step": F.zeros(shape=(), dtype="float32"), "exp_avg": F.zeros_like(p), "exp_inf": F.zeros_like(p)}

    def update(self, F, p, g, state, *, lr, betas, eps, weight_decay, maximize):
        b1, b2 = betas
        t = state["step"] + 1
        p, g = decayed(p, g, lr, weight_decay, maximize)
        m = state["exp_avg"] + (1 - b1) * (g - state["exp_avg"])
        u = F.maximum(b2 * state["exp_inf"], F.abs(g) + eps)
        rate = F.astype(lr / (1 - b1 ** F.astype(t, dtype="float64")), dtype=p.dtype)
        return p - rate * (m / u), {"step": t, "exp_avg": m, "exp_inf": u}

    def kernel_state(self, **options: Any) -> tuple[str, ...]:
        return "exp_avg", "exp_inf", "step"


class NAdam(Optimizer):
    """Adam that looks one step of momentum ahead.
    With u(t) = b1 (1 - 0.96**(t momentum_decay) / 2), U = u(1) u(2) ... u(t):

    p = p - lr ((1 - u(t)) / (1 - U) g + u(t+1) / (1 - U u(t+1)) m) / (sqrt(v / (1 - b2**t)) + eps), m and v as in Adam.
    State: step, mu_product (U), exp_avg, exp_avg_sq. Dozat 2016, ICLR workshop.

    >>> import minigrad as mg
    >>> from minigrad import optim
    >>> optim.NAdam([mg.zeros(3, requires_grad=True)]).defaults["momentum_decay"]
    0.004
    """

    kernel = "nadam"

    def __init__(
        self,
        params: Any,
        lr: float = 2e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0,
        momentum_decay: float = 4e-3,
        decoupled_weight_decay: bool = False,
        *,
        foreach: Any = None,
        maximize: bool = False,
        capturable: bool = False,
        differentiable: bool = False,
    ):
        super().__init__(params, given(locals()))

    def init(self, F: Any, p: Any, **options: Any) -> dict[str, Any]:
        return {
            "step": F.zeros(shape=(), dtype="float32"),
            "mu_product": F.ones(shape=(), dtype="float32"),
            "exp_avg": F.zeros_like(p),
            "exp_avg_sq": F.zeros_like(p),
        }

    def update(self, F, p, g, state, *, lr, betas, eps, weight_decay, momentum_decay, maximize, decoupled_weight_decay):
        b1, b2 = betas
        t = state["step"] + 1
        n = F.astype(t, dtype="float64")  # the corrections lose digits in float32 while t is small
        p, g = decayed(p, g, lr, weight_decay, maximize, decoupled_weight_decay)
        u, ahead = (b1 * (1 - 0.5 * 0.96 ** (k * momentum_decay)) for k in (n, n + 1))
        product = state["mu_product"] * F.astype(u, dtype=state["mu_product"].dtype)  # float32 at first, as PyTorch's
        m = state["exp_avg"] + (1 - b1) * (g - state["exp_avg"])
        v = b2 * state["exp_avg_sq"] + (1 - b2) * (g * g)
        total = F.astype(product, dtype="float64")
        of_g, of_m, root = (
            F.astype(c, dtype=p.dtype)
            for c in (lr * (1 - u) / (1 - total), lr * ahead / (1 - total * ahead), (1 - b2**n) ** 0.5)
        )
        p = p - (of_g * g + of_m * m) / (F.sqrt(v) / root + eps)
        return p, {"step": t, "mu_product": product, "exp_avg": m, "exp_avg_sq": v}

    def kernel_state(self, **options: Any) -> tuple[str, ...]:
        return "exp_avg", "exp_avg_sq", "step", "mu_product"


class RAdam(Optimizer):
    """Adam whose adaptive rate waits until its variance is known.
    With R = 2 / (1 - b2) - 1, r = R - 2 t b2**t / (1 - b2**t):

    p = p - lr m / (1 - b1**t) while r <= 5, then that times sqrt(1 - b2**t) / (sqrt(v) + eps) times
    sqrt((r - 4) (r - 2) R / ((R - 4) (R - 2) r)). State: step, exp_avg, exp_avg_sq. Liu et al. 2019, arXiv:1908.03265.

    >>> import minigrad as mg
    >>> from minigrad import optim
    >>> optim.RAdam([mg.zeros(3, requires_grad=True)]).defaults["lr"]
    0.001
    """

    kernel = "radam"

    def __init__(
        self,
        params: Any,
        lr: float = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0,
        decoupled_weight_decay: bool = False,
        *,
        foreach: Any = None,
        maximize: bool = False,
        capturable: bool = False,
        differentiable: bool = False,
    ):
        super().__init__(params, given(locals()))

    def init(self, F: Any, p: Any, **options: Any) -> dict[str, Any]:
        return {"step": F.zeros(shape=(), dtype="float32"), "exp_avg": F.zeros_like(p), "exp_avg_sq": F.zeros_like(p)}

    def update(self, F, p, g, state, *, lr, betas, eps, weight_decay, maximize, decoupled_weight_decay):
        b1, b2 = betas
        t = state["step"] + 1
        n = F.astype(t, dtype="float64")  # r is a small difference of large numbers
        p, g = decayed(p, g, lr, weight_decay, maximize, decoupled_weight_decay)
        m = state["exp_avg"] + (1 - b1) * (g - state["exp_avg"])
        v = b2 * state["exp_avg_sq"] + (1 - b2) * (g * g)
        largest = 2 / (1 - b2) - 1
        r = largest - 2 * n * b2**n / (1 - b2**n)
        known = F.maximum(r, 5.0)  # keeps the root real where it is not used
        rectified = ((known - 4) * (known - 2) * largest / ((largest - 4) * (largest - 2) * known)) ** 0.5
        rate, factor = (F.astype(c, dtype=p.dtype) for c in (lr / (1 - b1**n), rectified * (1 - b2**n) ** 0.5))
        p = p - rate * m * F.where(r > 5, factor / (F.sqrt(v) + eps), 1)
        return p, {"step": t, "exp_avg": m, "exp_avg_sq": v}

    def kernel_state(self, **options: Any) -> tuple[str, ...]:
        return "exp_avg", "exp_avg_sq", "step"
