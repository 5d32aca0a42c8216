"""Muon: momentum, made orthogonal."""

from __future__ import annotations

import math
from typing import Any, ClassVar

from .optimizer import Optimizer
from .options import given, matrix, number


class Muon(Optimizer):
    """m = m + (1 - momentum) (g - m);  p = p (1 - lr weight_decay) - s lr NS(m), for matrices (A, B).

    NS brings all singular values near 1: X = m / max(|m|, eps), then ns_steps times X = a X + (b S + c S S) X with
    S = X X^T and (a, b, c) = ns_coefficients. nesterov: NS(g + momentum (m - g)). adjust_lr_fn, the factor s:
    None or 'original' sqrt(max(1, A / B)); 'match_rms_adamw' 0.2 sqrt(max(A, B)). State: momentum_buffer (m).
    Jordan et al. 2024, kellerjordan.github.io/posts/muon; Liu et al. 2025, arXiv:2502.16982.

    NS works with bfloat16's 8 bits, as in PyTorch, so that its numbers are PyTorch's: X is orthogonal to within some
    percent at most, by design. For the matrices of hidden layers; other parameters belong to another optimizer.

    >>> import minigrad as mg
    >>> from minigrad import optim
    >>> p = mg.eye(2).requires_grad_()
    >>> optimizer = optim.Muon([p], lr=0.1, weight_decay=0)
    >>> (p * mg.tensor([[100.0, 0.0], [0.0, 1.0]])).sum().backward()
    >>> optimizer.step()
    >>> (p.detach() < 0.95).tolist()  # 100 and 1: steps of about the same length
    [[True, True], [True, True]]
    """

    rules: ClassVar = {
        "ns_coefficients": (
            lambda v: isinstance(v, (tuple, list)) and len(v) == 3 and all(map(number, v)),
            "must be three numbers",
        ),
        "ns_steps": (lambda v: isinstance(v, int) and 0 <= v < 100, "must be an integer from 0 to 99"),
        "adjust_lr_fn": (
            lambda v: v in (None, "original", "match_rms_adamw"),
            "must be None, 'original' or 'match_rms_adamw'",
        ),
    }

    def __init__(
        self,
        params: Any,
        lr: float = 1e-3,
        weight_decay: float = 0.1,
        momentum: float = 0.95,
        nesterov: bool = True,
        ns_coefficients: tuple[float, float, float] = (3.4445, -4.7750, 2.0315),
        eps: float = 1e-7,
        ns_steps: int = 5,
        adjust_lr_fn: str | None = None,
    ):
        super().__init__(params, given(locals()))

    def _check(self, group: dict[str, Any]) -> None:
        super()._check(group)
        for p in group["params"]:
            matrix(self.name, p)

    def init(self, F: Any, p: Any, **options: Any) -> dict[str, Any]:
        return {"momentum_buffer": F.zeros_like(p)}

    def update(
        self, F, p, g, state, *, lr, weight_decay, momentum, nesterov, ns_coefficients, eps, ns_steps, adjust_lr_fn
    ):
        m = state["momentum_buffer"]
        m = m + (1 - momentum) * (g - m)
        x = orthogonal(F, g + momentum * (m - g) if nesterov else m, ns_coefficients, eps, ns_steps)
        rows, columns = p.shape
        if adjust_lr_fn == "match_rms_adamw":
            s = 0.2 * math.sqrt(max(p.shape))
        else:
            s = math.sqrt(max(1, rows / columns)) if columns else 1.0
        return p * (1 - lr * weight_decay) - (s * lr) * F.astype(x, dtype=p.dtype), {"momentum_buffer": m}


def bits8(x: Any) -> Any:
    """x, float32, rounded to bfloat16's 8 bits: Dekker 1971, Numer. Math. 18, section 5."""
    c = x * 65537.0  # 2**(24 - 8) + 1
    return c - (c - x)


def orthogonal(F: Any, g: Any, coefficients: tuple[float, float, float], eps: float, steps: int) -> Any:
    """Newton-Schulz: U V^T of g = U S V^T, about. g: (A, B); float32 in, every result rounded to 8 bits."""
    a, b, c = coefficients
    x = bits8(F.astype(g, dtype="float32"))
    tall = g.shape[0] > g.shape[1]
    x = F.matrix_transpose(x) if tall else x  # the product below is of the shorter side
    x = bits8(x / F.maximum(bits8(F.sqrt(F.sum(x * x))), bits8_number(eps)))
    for _ in range(steps):
        s = bits8(F.matmul(x, F.matrix_transpose(x)))
        x = bits8(a * x + F.matmul(bits8(b * s + c * F.matmul(s, s)), x))
    return F.matrix_transpose(x) if tall else x


def bits8_number(value: float) -> float:
    m, e = math.frexp(value)
    return math.ldexp(round(m * 256) / 256, e)
