"""Dirichlet's distribution and its case for two, the beta distribution."""

from __future__ import annotations

from typing import Any, ClassVar

from ..creation import asarray
from ..functions import stack
from ..tensor import F, Tensor
from . import constraints
from .distribution import Distribution, broadcast_all
from .gamma import standard_gamma


class Dirichlet(Distribution):
    """p(x) = prod_k x_k**(a_k - 1) Gamma(sum a) / prod Gamma(a_k), x on the simplex. concentration a: (..., K)."""

    arg_constraints: ClassVar = {"concentration": constraints.independent(constraints.positive, 1)}
    support = constraints.simplex
    has_rsample = True

    def __init__(self, concentration: Any, validate_args: bool | None = None):
        self.concentration = asarray(concentration)
        super().__init__(self.concentration.shape[:-1], self.concentration.shape[-1:], validate_args)

    @property
    def mean(self) -> Tensor:
        return self.concentration / F.sum(self.concentration, axis=-1, keepdims=True)

    @property
    def mode(self) -> Tensor:
        a = F.clip(self.concentration - 1, 0, None)
        mode = a / F.sum(a, axis=-1, keepdims=True)
        flat = F.all(self.concentration < 1, axis=-1, keepdims=True)  # then at the corner of the largest
        corner = F.astype(F.equal(mode, F.max(mode, axis=-1, keepdims=True)), dtype=a.dtype)
        return F.where(flat, corner, mode)

    @property
    def variance(self) -> Tensor:
        total = F.sum(self.concentration, axis=-1, keepdims=True)
        return self.concentration * (total - self.concentration) / (F.square(total) * (total + 1))

    def rsample(self, sample_shape: Any = ()) -> Tensor:
        """Samples of Gamma(a_k, 1), divided by their sum."""
        drawn = standard_gamma(self.concentration, self._extended(sample_shape))
        return drawn / F.sum(drawn, axis=-1, keepdims=True)

    def log_prob(self, value: Any) -> Tensor:
        a = self.concentration
        weighted = F.sum(F.xlogy(a - 1, self._checked(value)), axis=-1)
        return weighted + F.lgamma(F.sum(a, axis=-1)) - F.sum(F.lgamma(a), axis=-1)

    def entropy(self) -> Tensor:
        a, k = self.concentration, self.concentration.shape[-1]
        total = F.sum(a, axis=-1)
        log_beta = F.sum(F.lgamma(a), axis=-1) - F.lgamma(total)
        return log_beta - (k - total) * F.digamma(total) - F.sum((a - 1) * F.digamma(a), axis=-1)


class Beta(Distribution):
    """p(x) = x**(a - 1) (1 - x)**(b - 1) Gamma(a + b) / (Gamma(a) Gamma(b)), 0 <= x <= 1; a = concentration1,
    b = concentration0, any shapes that broadcast."""

    arg_constraints: ClassVar = {"concentration1": constraints.positive, "concentration0": constraints.positive}
    support = constraints.unit_interval
    has_rsample = True

    def __init__(self, concentration1: Any, concentration0: Any, validate_args: bool | None = None):
        self.concentration1, self.concentration0 = broadcast_all(concentration1, concentration0)
        super().__init__(self.concentration1.shape, validate_args=validate_args)

    @property
    def _dirichlet(self) -> Dirichlet:
        return Dirichlet(stack([self.concentration1, self.concentration0], -1), validate_args=False)

    @property
    def mean(self) -> Tensor:
        return self.concentration1 / (self.concentration1 + self.concentration0)

    @property
    def mode(self) -> Tensor:
        return self._dirichlet.mode[..., 0]

    @property
    def variance(self) -> Tensor:
        return self._dirichlet.variance[..., 0]

    def rsample(self, sample_shape: Any = ()) -> Tensor:
        return self._dirichlet.rsample(sample_shape)[..., 0]

    def log_prob(self, value: Any) -> Tensor:
        value = self._checked(value)
        return self._dirichlet.log_prob(stack([value, 1 - value], -1))

    def entropy(self) -> Tensor:
        return self._dirichlet.entropy()
