"""The normal distribution, and two made of it."""

from __future__ import annotations

import math
from typing import Any, ClassVar

from ..random import randn
from ..tensor import F, Tensor
from . import constraints
from .distribution import Distribution, broadcast_all

LOG_SQRT_2PI = math.log(2 * math.pi) / 2


class Normal(Distribution):
    """p(x) = exp(-(x - loc)**2 / (2 scale**2)) / (scale sqrt(2 pi)). loc, scale: any shapes that broadcast.

    >>> import minigrad as mg
    >>> Normal(0.0, 1.0).log_prob(mg.tensor([0.0, 1.0]))
    tensor([-0.9189385, -1.4189385])
    """

    arg_constraints: ClassVar = {"loc": constraints.real, "scale": constraints.positive}
    support = constraints.real
    has_rsample = True

    def __init__(self, loc: Any, scale: Any, validate_args: bool | None = None):
        self.loc, self.scale = broadcast_all(loc, scale)
        super().__init__(self.loc.shape, validate_args=validate_args)

    mean = mode = property(lambda self: self.loc)  # type: ignore[assignment]
    stddev = property(lambda self: self.scale)  # type: ignore[assignment]
    variance = property(lambda self: F.square(self.scale))  # type: ignore[assignment]

    def rsample(self, sample_shape: Any = ()) -> Tensor:
        """loc + scale eps, eps ~ N(0, 1). Kingma, Welling 2013, arXiv:1312.6114."""
        noise = randn(self._extended(sample_shape), dtype=self.loc.dtype, device=self.loc.device)
        return self.loc + self.scale * noise

    def log_prob(self, value: Any) -> Tensor:
        value = self._checked(value)
        return -F.square(value - self.loc) / (2 * self.variance) - F.log(self.scale) - LOG_SQRT_2PI

    def cdf(self, value: Any) -> Tensor:
        value = self._checked(value)
        return 0.5 * (1 + F.erf((value - self.loc) / (self.scale * math.sqrt(2))))

    def icdf(self, value: Any) -> Tensor:
        return self.loc + self.scale * F.erfinv(2 * value - 1) * math.sqrt(2)

    def entropy(self) -> Tensor:
        return 0.5 + LOG_SQRT_2PI + F.log(self.scale)


class LogNormal(Distribution):
    """x = e**z, z ~ Normal(loc, scale)."""

    arg_constraints: ClassVar = {"loc": constraints.real, "scale": constraints.positive}
    support = constraints.positive
    has_rsample = True

    def __init__(self, loc: Any, scale: Any, validate_args: bool | None = None):
        self.loc, self.scale = broadcast_all(loc, scale)
        super().__init__(self.loc.shape, validate_args=validate_args)

    @property
    def base_dist(self) -> Normal:
        return Normal(self.loc, self.scale, validate_args=False)

    @property
    def mean(self) -> Tensor:
        return F.exp(self.loc + F.square(self.scale) / 2)

    @property
    def mode(self) -> Tensor:
        return F.exp(self.loc - F.square(self.scale))

    @property
    def variance(self) -> Tensor:
        s2 = F.square(self.scale)
        return F.expm1(s2) * F.exp(2 * self.loc + s2)

    def rsample(self, sample_shape: Any = ()) -> Tensor:
        return F.exp(self.base_dist.rsample(sample_shape))

    def log_prob(self, value: Any) -> Tensor:
        log = F.log(self._checked(value))
        return self.base_dist.log_prob(log) - log

    def cdf(self, value: Any) -> Tensor:
        return self.base_dist.cdf(F.log(self._checked(value)))

    def icdf(self, value: Any) -> Tensor:
        return F.exp(self.base_dist.icdf(value))

    def entropy(self) -> Tensor:
        return self.base_dist.entropy() + self.loc


class HalfNormal(Distribution):
    """x = |z|, z ~ Normal(0, scale)."""

    arg_constraints: ClassVar = {"scale": constraints.positive}
    support = constraints.nonnegative
    has_rsample = True

    def __init__(self, scale: Any, validate_args: bool | None = None):
        (self.scale,) = broadcast_all(scale)
        super().__init__(self.scale.shape, validate_args=validate_args)

    @property
    def base_dist(self) -> Normal:
        return Normal(0 * self.scale, self.scale, validate_args=False)

    @property
    def mean(self) -> Tensor:
        return self.scale * math.sqrt(2 / math.pi)

    @property
    def mode(self) -> Tensor:
        return 0 * self.scale

    @property
    def variance(self) -> Tensor:
        return F.square(self.scale) * (1 - 2 / math.pi)

    def rsample(self, sample_shape: Any = ()) -> Tensor:
        return F.abs(self.base_dist.rsample(sample_shape))

    def log_prob(self, value: Any) -> Tensor:
        value = self._checked(value)
        return F.where(value >= 0, self.base_dist.log_prob(value) + math.log(2), -math.inf)

    def cdf(self, value: Any) -> Tensor:
        return 2 * self.base_dist.cdf(self._checked(value)) - 1

    def icdf(self, value: Any) -> Tensor:
        return self.base_dist.icdf((value + 1) / 2)

    def entropy(self) -> Tensor:
        return self.base_dist.entropy() - math.log(2)
