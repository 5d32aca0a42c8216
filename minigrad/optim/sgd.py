"""Stochastic gradient descent."""

from __future__ import annotations

from typing import Any

from ..errors import ArgumentError
from .optimizer import Optimizer, decayed
from .options import given


class SGD(Optimizer):
    """p = p - lr g; with momentum: b = momentum b + (1 - dampening) g (b = g at first), p = p - lr b.

    nesterov: p - lr (g + momentum b) instead; weight_decay: weight_decay p is added to g; maximize: g is negated.
    Sutskever et al. 2013, ICML; like PyTorch's, and unlike the paper's, the step is lr times b.

    >>> import minigrad as mg
    >>> from minigrad import optim
    >>> p = mg.tensor([1.0], requires_grad=True)
    >>> optimizer = optim.SGD([p], lr=0.1, momentum=0.9)
    >>> (p * p).sum().backward()
    >>> optimizer.step()
    >>> p
    tensor([0.8], requires_grad=True)
    """

    kernel = "sgd"

    def __init__(
        self,
        params: Any,
        lr: float = 1e-3,
        momentum: float = 0,
        dampening: float = 0,
        weight_decay: float = 0,
        nesterov: bool = False,
        *,
        maximize: bool = False,
        foreach: Any = None,
        differentiable: bool = False,
        fused: Any = None,
    ):
        super().__init__(params, given(locals()))

    def _check(self, group: dict[str, Any]) -> None:
        super()._check(group)
        if group["nesterov"] and (group["momentum"] <= 0 or group["dampening"] != 0):
            raise ArgumentError(
                f"SGD: nesterov needs momentum > 0 and dampening 0: got {group['momentum']} and {group['dampening']}."
            )

    def init(self, F: Any, p: Any, **options: Any) -> dict[str, Any]:
        return {}  # the buffer is the first gradient

    def update(self, F, p, g, state, *, lr, momentum, dampening, weight_decay, nesterov, maximize):
        p, g = decayed(p, g, lr, weight_decay, maximize)
        if not momentum:
            return p - lr * g, state
        b = state.get("momentum_buffer")
        b = F.copy(g) if b is None else momentum * b + (1 - dampening) * g
        return p - lr * (g + momentum * b if nesterov else b), {"momentum_buffer": b}

    def kernel_state(self, *, momentum: float, **options: Any) -> tuple[str, ...]:
        return ("momentum_buffer",) if momentum else ()
