"""Laplace's, Cauchy's and Gumbel's distributions: a location and a scale."""

from __future__ import annotations

import math
from typing import Any, ClassVar

from ..tensor import F, Tensor
from . import constraints
from .distribution import Distribution, broadcast_all

EULER = 0.5772156649015329  # the mean of a standard Gumbel number


class _LocationScale(Distribution):
    """x = loc + scale z, z of a fixed distribution. loc, scale: any shapes that broadcast."""

    arg_constraints: ClassVar = {"loc": constraints.real, "scale": constraints.positive}
    support = constraints.real
    has_rsample = True
    standard: str  # the method of numpy.random.Generator that draws z

    def __init__(self, loc: Any, scale: Any, validate_args: bool | None = None):
        self.loc, self.scale = broadcast_all(loc, scale)
        super().__init__(self.loc.shape, validate_args=validate_args)

    mode = property(lambda self: self.loc)  # type: ignore[assignment]

    def rsample(self, sample_shape: Any = ()) -> Tensor:
        return self.loc + self.scale * self._draw(self.standard, self._extended(sample_shape), like=self.loc)

    def _standardised(self, value: Any) -> Tensor:
        return (self._checked(value) - self.loc) / self.scale


class Laplace(_LocationScale):
    """p(x) = exp(-|x - loc| / scale) / (2 scale)."""

    standard = "laplace"
    mean = property(lambda self: self.loc)  # type: ignore[assignment]
    stddev = property(lambda self: math.sqrt(2) * self.scale)  # type: ignore[assignment]
    variance = property(lambda self: 2 * F.square(self.scale))  # type: ignore[assignment]

    def log_prob(self, value: Any) -> Tensor:
        return -F.log(2 * self.scale) - F.abs(self._standardised(value))

    def cdf(self, value: Any) -> Tensor:
        z = self._standardised(value)
        return 0.5 - 0.5 * F.sign(z) * F.expm1(-F.abs(z))

    def icdf(self, value: Any) -> Tensor:
        return self.loc - self.scale * F.sign(value - 0.5) * F.log1p(-2 * F.abs(value - 0.5))

    def entropy(self) -> Tensor:
        return 1 + F.log(2 * self.scale)


class Cauchy(_LocationScale):
    """p(x) = 1 / (pi scale (1 + z**2)), z = (x - loc) / scale. It has no mean and no variance: NaN and infinity."""

    standard = "standard_cauchy"
    mean = property(lambda self: math.nan * self.loc)  # type: ignore[assignment]
    variance = property(lambda self: math.inf * self.scale)  # type: ignore[assignment]

    def log_prob(self, value: Any) -> Tensor:
        return -math.log(math.pi) - F.log(self.scale) - F.log1p(F.square(self._standardised(value)))

    def cdf(self, value: Any) -> Tensor:
        return F.atan(self._standardised(value)) / math.pi + 0.5

    def icdf(self, value: Any) -> Tensor:
        return F.tan(math.pi * (value - 0.5)) * self.scale + self.loc

    def entropy(self) -> Tensor:
        return math.log(4 * math.pi) + F.log(self.scale)


class Gumbel(_LocationScale):
    """p(x) = exp(-z - exp(-z)) / scale, z = (x - loc) / scale: the law of the largest of many."""

    standard = "gumbel"
    mean = property(lambda self: self.loc + self.scale * EULER)  # type: ignore[assignment]
    stddev = property(lambda self: math.pi / math.sqrt(6) * self.scale)  # type: ignore[assignment]
    variance = property(lambda self: F.square(self.stddev))  # type: ignore[assignment]

    def log_prob(self, value: Any) -> Tensor:
        z = self._standardised(value)
        return -z - F.exp(-z) - F.log(self.scale)

    def cdf(self, value: Any) -> Tensor:
        return F.exp(-F.exp(-self._standardised(value)))

    def icdf(self, value: Any) -> Tensor:
        return self.loc - self.scale * F.log(-F.log(value))

    def entropy(self) -> Tensor:
        return F.log(self.scale) + (1 + EULER)
