"""The gamma distribution and chi-squared, a case of it."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np

from ..creation import asarray
from ..custom import Function
from ..random import default_generator
from ..tensor import F, Tensor
from . import constraints
from .distribution import Distribution, broadcast_all


class StandardGamma(Function):
    """x ~ Gamma(a, 1) as a function of a: at a fixed quantile of P(a, x), the cumulative distribution, dx/da =
    -(dP/da) / (dP/dx). Figurnov, Mohamed, Mnih 2018, arXiv:1805.08498."""

    @staticmethod
    def forward(ctx: Any, a: Tensor, x: Tensor) -> Tensor:
        ctx.save_for_backward(a, x)
        return x.clone()

    @staticmethod
    def backward(ctx: Any, g: Tensor) -> tuple[Tensor, None]:
        a, x = ctx.saved_tensors
        return g * asarray(a.backend.asarray(quantile_slope(a.detach().numpy(), x.detach().numpy()))), None


def quantile_slope(a: np.ndarray, x: np.ndarray) -> np.ndarray:
    """dx/da of the quantiles x of Gamma(a, 1), by the series P(a, x) = sum_n x**(a + n) e**-x / Gamma(a + n + 1): with
    r_n = x**(n + 1) / (a (a + 1) ... (a + n)), its terms over the density,

        dx/da = -sum_n r_n (ln x - digamma(a + n + 1)).
    """
    dtype, (a, x) = a.dtype, (v.astype(np.float64) for v in np.broadcast_arrays(a, x))
    psi = F.digamma(asarray(a + 1)).numpy()
    r, log_x = x / a, np.log(x)
    total = r * (psi - log_x)
    scale = np.abs(r)
    for n in range(1, 100_000):
        r = r * (x / (a + n))
        psi = psi + 1 / (a + n)
        total = total + r * (psi - log_x)
        scale = np.maximum(scale, r)
        if np.all(r <= 1e-18 * scale):
            break
    return total.astype(dtype)


def standard_gamma(a: Tensor, shape: tuple[int, ...]) -> Tensor:
    """Samples of Gamma(a, 1) with gradients to a, above 0. a broadcasts to `shape`."""
    tiny = float(np.finfo(a.dtype).tiny)
    drawn = default_generator.numpy("standard_gamma", a.detach().numpy(), size=shape)
    x = asarray(a.backend.asarray(np.maximum(drawn, tiny).astype(a.dtype)))
    return StandardGamma.apply(F.broadcast_to(a, shape), x)


class Gamma(Distribution):
    """p(x) = rate**a x**(a - 1) exp(-rate x) / Gamma(a), a = concentration. Both: any shapes that broadcast."""

    arg_constraints: ClassVar = {"concentration": constraints.positive, "rate": constraints.positive}
    support = constraints.nonnegative
    has_rsample = True

    def __init__(self, concentration: Any, rate: Any, validate_args: bool | None = None):
        self.concentration, self.rate = broadcast_all(concentration, rate)
        super().__init__(self.rate.shape, validate_args=validate_args)

    mean = property(lambda self: self.concentration / self.rate)  # type: ignore[assignment]
    mode = property(lambda self: F.clip((self.concentration - 1) / self.rate, 0, None))  # type: ignore[assignment]
    variance = property(lambda self: self.concentration / F.square(self.rate))  # type: ignore[assignment]

    def rsample(self, sample_shape: Any = ()) -> Tensor:
        drawn = standard_gamma(self.concentration, self._extended(sample_shape))
        return F.clip(drawn / self.rate, float(np.finfo(drawn.dtype).tiny), None)

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
