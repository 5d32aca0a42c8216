"""The gamma distribution and chi-squared, a case of it."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np

from ..tensor import F, Tensor
from . import constraints
from .distribution import Distribution, broadcast_all


class Gamma(Distribution):
    """p(x) = rate**a x**(a - 1) exp(-rate x) / Gamma(a), a = concentration. Both: any shapes that broadcast.

    Unlike PyTorch's, samples carry no gradient: that of the concentration has no closed form.
    """

    arg_constraints: ClassVar = {"concentration": constraints.positive, "rate": constraints.positive}
    support = constraints.nonnegative

    def __init__(self, concentration: Any, rate: Any, validate_args: bool | None = None):
        self.concentration, self.rate = broadcast_all(concentration, rate)
        super().__init__(self.rate.shape, validate_args=validate_args)

    mean = property(lambda self: self.concentration / self.rate)  # type: ignore[assignment]
    mode = property(lambda self: F.clip((self.concentration - 1) / self.rate, 0, None))  # type: ignore[assignment]
    variance = property(lambda self: self.concentration / F.square(self.rate))  # type: ignore[assignment]

    def sample(self, sample_shape: Any = ()) -> Tensor:
        shape = self._extended(sample_shape)
        a = self.concentration.detach()
        drawn = self._draw("standard_gamma", shape, a.numpy(), like=a)
        return F.clip(drawn / self.rate.detach(), float(np.finfo(a.dtype).tiny), None)

    def log_prob(self, value: Any) -> Tensor:
        value, a = self._checked(value), self.concentration
        return F.xlogy(a, self.rate) + F.xlogy(a - 1, value) - self.rate * value - F.lgamma(a)

    def cdf(self, value: Any) -> Tensor:
        return F.igamma(self.concentration, self.rate * self._checked(value))

    def entropy(self) -> Tensor:
        a = self.concentration
        return a - F.log(self.rate) + F.lgamma(a) + (1 - a) * F.digamma(a)


class Chi2(Gamma):
    """The sum of df squared standard normal numbers: Gamma(df / 2, 1 / 2)."""

    arg_constraints: ClassVar = {"df": constraints.positive}

    def __init__(self, df: Any, validate_args: bool | None = None):
        (self.df,) = broadcast_all(df)
        super().__init__(self.df / 2, 0.5, validate_args=validate_args)
