"""A distribution of y = f(x), x from another one; and Student's, of a normal number over the root of a chi-squared."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, ClassVar

from ..errors import ShapeError
from ..mode import no_grad
from ..random import randn
from ..tensor import F, Tensor
from . import constraints
from .distribution import Distribution, _lengths, broadcast_all
from .gamma import Chi2
from .independent import Independent, summed
from .transforms import ComposeTransform, Transform


class TransformedDistribution(Distribution):
    """y = f(x) with x from base_distribution and f the transforms, the first one first: ln p(y) = ln p(x) - ln |det
    dy/dx|.

    >>> import minigrad as mg
    >>> from minigrad.distributions import Normal, TanhTransform
    >>> policy = TransformedDistribution(Normal(mg.zeros(2), mg.ones(2)), [TanhTransform(cache_size=1)])
    >>> action = policy.rsample()  # between -1 and 1
    >>> policy.log_prob(action).shape
    (2,)
    """

    def __init__(
        self,
        base_distribution: Distribution,
        transforms: Transform | Sequence[Transform],
        validate_args: bool | None = None,
    ):
        self.transforms = [transforms] if isinstance(transforms, Transform) else list(transforms)
        whole = ComposeTransform(self.transforms)
        base, events = base_distribution, whole.domain.event_dim
        shape = (*base.batch_shape, *base.event_shape)
        if len(shape) < events:
            raise ShapeError(f"TransformedDistribution: the transforms need {events} axes: a sample of x has {shape}.")
        shape = whole.inverse_shape(whole.forward_shape(shape))  # as large as parameters of the transforms make it
        if shape != (*base.batch_shape, *base.event_shape):
            base = base.expand(shape[: len(shape) - len(base.event_shape)])
        if (more := events - len(base.event_shape)) > 0:
            base = Independent(base, more)
        self.base_dist = base
        out = whole.forward_shape(shape)
        axes = whole.codomain.event_dim + max(len(base.event_shape) - events, 0) if self.transforms else len(
            base.event_shape
        )  # fmt: skip
        super().__init__(out[: len(out) - axes], out[len(out) - axes :], validate_args)

    has_rsample = property(lambda self: self.base_dist.has_rsample)  # type: ignore[assignment]

    @property
    def support(self) -> Any:  # type: ignore[override]
        if not self.transforms:
            return self.base_dist.support
        found = self.transforms[-1].codomain
        more = len(self._event_shape) - found.event_dim
        return constraints.independent(found, more) if more > 0 else found

    def _moved(self, x: Tensor) -> Tensor:
        for transform in self.transforms:
            x = transform(x)
        return x

    def sample(self, sample_shape: Any = ()) -> Tensor:
        with no_grad():
            return self._moved(self.base_dist.sample(sample_shape))

    def rsample(self, sample_shape: Any = ()) -> Tensor:
        return self._moved(self.base_dist.rsample(sample_shape))

    def log_prob(self, value: Any) -> Tensor:
        y = self._checked(value)
        events = len(self._event_shape)
        stretched: Any = 0.0
        for transform in reversed(self.transforms):
            x = transform._inverted(y)
            events += transform.domain.event_dim - transform.codomain.event_dim
            stretched = stretched + summed(transform.log_abs_det_jacobian(x, y), events - transform.domain.event_dim)
            y = x
        return summed(self.base_dist.log_prob(y), events - len(self.base_dist.event_shape)) - stretched

    def _turned(self, p: Any) -> Any:
        """p, or 1 - p where the transforms fall."""
        sign = math.prod(t.sign for t in self.transforms)
        return p if isinstance(sign, (int, float)) and sign == 1 else sign * (p - 0.5) + 0.5

    def cdf(self, value: Any) -> Tensor:
        y = self._checked(value)
        for transform in reversed(self.transforms):
            y = transform._inverted(y)
        return self._turned(self.base_dist.cdf(y))

    def icdf(self, value: Any) -> Tensor:
        return self._moved(self.base_dist.icdf(self._turned(value)))

    def expand(self, batch_shape: Any) -> TransformedDistribution:
        inner = (*_lengths(batch_shape), *self._event_shape)
        x = ComposeTransform(self.transforms).inverse_shape(inner)
        base = self.base_dist.expand(x[: len(x) - len(self.base_dist.event_shape)])
        return TransformedDistribution(base, self.transforms, self._validate_args)

    def __repr__(self) -> str:
        return f"TransformedDistribution({self.base_dist!r}, {self.transforms!r})"


class StudentT(Distribution):
    """p(x) = Gamma((n + 1) / 2) / (Gamma(n / 2) sqrt(n pi) scale) (1 + z**2 / n)**(-(n + 1) / 2), n = df, z = (x - loc)
    / scale: of heavier tails than the normal. df, loc, scale: any shapes that broadcast."""

    arg_constraints: ClassVar = {
        "df": constraints.positive,
        "loc": constraints.real,
        "scale": constraints.positive,
    }
    support = constraints.real
    has_rsample = True

    def __init__(self, df: Any, loc: Any = 0.0, scale: Any = 1.0, validate_args: bool | None = None):
        self.df, self.loc, self.scale = broadcast_all(df, loc, scale)
        super().__init__(self.df.shape, validate_args=validate_args)

    @property
    def mean(self) -> Tensor:
        return F.where(self.df > 1, self.loc, math.nan)

    mode = property(lambda self: self.loc)  # type: ignore[assignment]

    @property
    def variance(self) -> Tensor:
        """scale**2 n / (n - 2) for n > 2, infinite from 1 to 2, NaN up to 1."""
        n = F.where(self.df > 2, self.df, 3.0)
        return F.where(
            self.df > 2, F.square(self.scale) * n / (n - 2), F.where(self.df > 1, math.inf, math.nan * self.df)
        )

    def rsample(self, sample_shape: Any = ()) -> Tensor:
        shape = self._extended(sample_shape)
        noise = randn(shape, dtype=self.df.dtype, device=self.df.device)
        chi2 = Chi2(self.df, validate_args=False).rsample(sample_shape)
        return self.loc + self.scale * noise * F.rsqrt(chi2 / self.df)

    def log_prob(self, value: Any) -> Tensor:
        z, n = (self._checked(value) - self.loc) / self.scale, self.df
        norm = F.log(self.scale) + 0.5 * F.log(n) + 0.5 * math.log(math.pi) + F.lgamma(n / 2) - F.lgamma((n + 1) / 2)
        return -0.5 * (n + 1) * F.log1p(F.square(z) / n) - norm

    def entropy(self) -> Tensor:
        n, half = self.df, 0.5 * (self.df + 1)
        log_beta = F.lgamma(0.5 * n) + math.lgamma(0.5) - F.lgamma(half)
        return F.log(self.scale) + half * (F.digamma(half) - F.digamma(0.5 * n)) + 0.5 * F.log(n) + log_beta
