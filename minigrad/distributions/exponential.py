"""The exponential distribution."""

from __future__ import annotations

from typing import Any, ClassVar

from ..tensor import F, Tensor
from . import constraints
from .distribution import Distribution, broadcast_all


class Exponential(Distribution):
    """p(x) = rate exp(-rate x), x >= 0. rate: any shape."""

    arg_constraints: ClassVar = {"rate": constraints.positive}
    support = constraints.nonnegative
    has_rsample = True

    def __init__(self, rate: Any, validate_args: bool | None = None):
        (self.rate,) = broadcast_all(rate)
        super().__init__(self.rate.shape, validate_args=validate_args)

    mean = stddev = property(lambda self: 1 / self.rate)  # type: ignore[assignment]
    mode = property(lambda self: 0 * self.rate)  # type: ignore[assignment]
    variance = property(lambda self: self.rate**-2)  # type: ignore[assignment]

    def rsample(self, sample_shape: Any = ()) -> Tensor:
        return self._draw("standard_exponential", self._extended(sample_shape), like=self.rate) / self.rate

    def log_prob(self, value: Any) -> Tensor:
        return F.log(self.rate) - self.rate * self._checked(value)

    def cdf(self, value: Any) -> Tensor:
        return 1 - F.exp(-self.rate * self._checked(value))

    def icdf(self, value: Any) -> Tensor:
        return -F.log1p(-value) / self.rate

    def entropy(self) -> Tensor:
        return 1 - F.log(self.rate)
