"""Many as one: independent distributions as a vector's, and a mixture."""

from __future__ import annotations

from typing import Any

from ..errors import ShapeError
from ..tensor import F, Tensor
from . import constraints
from .categorical import Categorical
from .distribution import Distribution, _lengths


class Independent(Distribution):
    """The last `reinterpreted_batch_ndims` axes of a batch as one event: log_prob adds up over them.

    >>> import minigrad as mg
    >>> from minigrad.distributions import Normal
    >>> Independent(Normal(mg.zeros(3), mg.ones(3)), 1).log_prob(mg.zeros(3))
    tensor(-2.7568154)
    """

    def __init__(
        self, base_distribution: Distribution, reinterpreted_batch_ndims: int, validate_args: bool | None = None
    ):
        shape = base_distribution.batch_shape
        if reinterpreted_batch_ndims > len(shape):
            raise ShapeError(f"Independent: the batch {shape} has no {reinterpreted_batch_ndims} axes.")
        self.base_dist, self.reinterpreted_batch_ndims = base_distribution, reinterpreted_batch_ndims
        split = len(shape) - reinterpreted_batch_ndims
        super().__init__(shape[:split], shape[split:] + base_distribution.event_shape, validate_args)

    @property
    def support(self) -> Any:  # type: ignore[override]
        return constraints.independent(self.base_dist.support, self.reinterpreted_batch_ndims)

    has_rsample = property(lambda self: self.base_dist.has_rsample)  # type: ignore[assignment]
    mean = property(lambda self: self.base_dist.mean)  # type: ignore[assignment]
    mode = property(lambda self: self.base_dist.mode)  # type: ignore[assignment]
    variance = property(lambda self: self.base_dist.variance)  # type: ignore[assignment]

    def sample(self, sample_shape: Any = ()) -> Tensor:
        return self.base_dist.sample(sample_shape)

    def rsample(self, sample_shape: Any = ()) -> Tensor:
        return self.base_dist.rsample(sample_shape)

    def log_prob(self, value: Any) -> Tensor:
        return summed(self.base_dist.log_prob(value), self.reinterpreted_batch_ndims)

    def entropy(self) -> Tensor:
        return summed(self.base_dist.entropy(), self.reinterpreted_batch_ndims)

    def expand(self, batch_shape: Any) -> Independent:
        inner = self.base_dist.batch_shape[len(self._batch_shape) :]
        return Independent(self.base_dist.expand((*_lengths(batch_shape), *inner)), self.reinterpreted_batch_ndims)

    def __repr__(self) -> str:
        return f"Independent({self.base_dist!r}, {self.reinterpreted_batch_ndims})"


class MixtureSameFamily(Distribution):
    """p(x) = sum_k w_k p_k(x): a Categorical's weights, and a distribution whose last batch axis is k."""

    def __init__(
        self,
        mixture_distribution: Categorical,
        component_distribution: Distribution,
        validate_args: bool | None = None,
    ):
        self.mixture_distribution, self.component_distribution = mixture_distribution, component_distribution
        batch = component_distribution.batch_shape[:-1]
        if component_distribution.batch_shape[-1:] != mixture_distribution.param_shape[-1:]:
            raise ShapeError(
                "MixtureSameFamily: there must be a weight for each component along the last batch axis: got "
                f"{mixture_distribution.param_shape} weights, {component_distribution.batch_shape} components."
            )
        super().__init__(batch, component_distribution.event_shape, validate_args)

    @property
    def support(self) -> Any:  # type: ignore[override]
        return self.component_distribution.support if not self._event_shape else None

    def _weighted(self, values: Tensor) -> Tensor:
        weights = self.mixture_distribution.probs[(..., *[None] * len(self._event_shape))]
        return F.sum(weights * values, axis=-1 - len(self._event_shape))

    @property
    def mean(self) -> Tensor:
        return self._weighted(self.component_distribution.mean)

    @property
    def variance(self) -> Tensor:
        """The mean of the variances and the variance of the means."""
        part = self.component_distribution
        between = self._weighted(F.square(part.mean)) - F.square(self.mean)
        return self._weighted(part.variance) + between

    def sample(self, sample_shape: Any = ()) -> Tensor:
        events = len(self._event_shape)
        values = self.component_distribution.sample(sample_shape)  # (..., K, *event)
        chosen = self.mixture_distribution.expand(self._batch_shape).sample(sample_shape)
        places = chosen[(..., None, *[None] * events)]
        places = F.broadcast_to(places, (*values.shape[: values.ndim - events - 1], 1, *self._event_shape))
        return F.squeeze(F.take_along_axis(values, places, axis=-1 - events), -1 - events)

    def log_prob(self, value: Any) -> Tensor:
        value = self._checked(value)
        value = F.expand_dims(value, -1 - len(self._event_shape))
        return F.logsumexp(self.component_distribution.log_prob(value) + self.mixture_distribution.logits, axis=-1)

    def cdf(self, value: Any) -> Tensor:
        value = self._checked(value)
        return F.sum(self.component_distribution.cdf(value[..., None]) * self.mixture_distribution.probs, axis=-1)


def summed(x: Tensor, axes: int) -> Tensor:
    """The sum over the last axes."""
    return F.sum(x, axis=tuple(range(-axes, 0))) if axes else x
