"""Poisson's distribution."""

from __future__ import annotations

from typing import Any, ClassVar

from ..tensor import F, Tensor
from . import constraints
from .distribution import Distribution, broadcast_all


class Poisson(Distribution):
    """P(k) = rate**k exp(-rate) / k!, k = 0, 1, ... rate: any shape."""

    arg_constraints: ClassVar = {"rate": constraints.nonnegative}
    support = constraints.nonnegative_integer

    def __init__(self, rate: Any, validate_args: bool | None = None):
        (self.rate,) = broadcast_all(rate)
        super().__init__(self.rate.shape, validate_args=validate_args)

    mean = variance = property(lambda self: self.rate)  # type: ignore[assignment]
    mode = property(lambda self: F.floor(self.rate))  # type: ignore[assignment]

    def sample(self, sample_shape: Any = ()) -> Tensor:
        rate = self.rate.detach()
        return self._draw("poisson", self._extended(sample_shape), rate.numpy(), like=rate)

    def log_prob(self, value: Any) -> Tensor:
        value = self._checked(value)
        return F.xlogy(value, self.rate) - self.rate - F.lgamma(value + 1)
