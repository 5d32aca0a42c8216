"""The uniform distribution on an interval."""

from __future__ import annotations

import math
from typing import Any, ClassVar

from ..errors import ArgumentError
from ..random import rand
from ..tensor import F, Tensor
from . import constraints
from .distribution import Distribution, broadcast_all


class Uniform(Distribution):
    """p(x) = 1 / (high - low) for low <= x < high, else 0. low, high: any shapes that broadcast."""

    arg_constraints: ClassVar = {"low": constraints.real, "high": constraints.real}
    has_rsample = True

    def __init__(self, low: Any, high: Any, validate_args: bool | None = None):
        self.low, self.high = broadcast_all(low, high)
        super().__init__(self.low.shape, validate_args=validate_args)
        if self._validate_args and not bool(F.all(self.low < self.high)):
            raise ArgumentError(f"Uniform: low must be below high: got {self.low!r:.100} and {self.high!r:.100}.")

    @property
    def support(self) -> constraints.Constraint:  # type: ignore[override]
        return constraints.interval(self.low, self.high)

    @property
    def mean(self) -> Tensor:
        return (self.low + self.high) / 2

    @property
    def variance(self) -> Tensor:
        return F.square(self.high - self.low) / 12

    @property
    def mode(self) -> Tensor:
        return math.nan * self.high  # all values are as likely

    def rsample(self, sample_shape: Any = ()) -> Tensor:
        u = rand(self._extended(sample_shape), dtype=self.low.dtype, device=self.low.device)
        return self.low + u * (self.high - self.low)

    def log_prob(self, value: Any) -> Tensor:
        value = self._checked(value)
        inside = F.logical_and(value >= self.low, value < self.high)
        return F.where(inside, -F.log(self.high - self.low), -math.inf)

    def cdf(self, value: Any) -> Tensor:
        return F.clip((self._checked(value) - self.low) / (self.high - self.low), 0, 1)

    def icdf(self, value: Any) -> Tensor:
        return value * (self.high - self.low) + self.low

    def entropy(self) -> Tensor:
        return F.log(self.high - self.low)
