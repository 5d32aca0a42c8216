"""Counts of successes: Bernoulli's distribution of one trial, the binomial of many, the geometric of waiting."""

from __future__ import annotations

from functools import cached_property
from typing import Any, ClassVar

from ..random import rand
from ..tensor import F, Tensor
from . import constraints
from .distribution import Distribution, broadcast_all, open_interval, probabilities_or_logits


class _Trials(Distribution):
    """Independent trials, each a success with probability `probs`, or sigmoid(`logits`): give one of the two."""

    def _set(self, probs: Any, logits: Any, *others: Any) -> tuple[Tensor, ...]:
        name, value = probabilities_or_logits(type(self).__name__, probs, logits)
        value, *rest = broadcast_all(value, *others)
        setattr(self, name, value)
        return tuple(rest)

    @cached_property
    def probs(self) -> Tensor:
        return F.sigmoid(self.logits)

    @cached_property
    def logits(self) -> Tensor:
        p = open_interval(self.probs)
        return F.log(p) - F.log1p(-p)

    @property
    def _given(self) -> Tensor:
        return vars(self)["probs" if "probs" in vars(self) else "logits"]

    def _trial_entropy(self) -> Tensor:
        """-p ln p - (1 - p) ln(1 - p)."""
        return F.softplus(self.logits) - self.probs * self.logits


class Bernoulli(_Trials):
    """P(1) = probs = sigmoid(logits), P(0) = 1 - probs.

    >>> Bernoulli(probs=0.25).log_prob(1.0).exp()
    tensor(0.25)
    """

    arg_constraints: ClassVar = {"probs": constraints.unit_interval, "logits": constraints.real}
    support = constraints.boolean
    has_enumerate_support = True

    def __init__(self, probs: Any = None, logits: Any = None, validate_args: bool | None = None):
        self._set(probs, logits)
        super().__init__(self._given.shape, validate_args=validate_args)

    mean = property(lambda self: self.probs)  # type: ignore[assignment]
    variance = property(lambda self: self.probs * (1 - self.probs))  # type: ignore[assignment]

    @property
    def mode(self) -> Tensor:
        p = self.probs
        return F.where(F.equal(p, 0.5), float("nan"), F.astype(p >= 0.5, dtype=p.dtype))

    def sample(self, sample_shape: Any = ()) -> Tensor:
        p = self.probs.detach()
        return F.astype(rand(self._extended(sample_shape), dtype=p.dtype, device=p.device) < p, dtype=p.dtype)

    def log_prob(self, value: Any) -> Tensor:
        return self._checked(value) * self.logits - F.softplus(self.logits)

    def entropy(self) -> Tensor:
        return self._trial_entropy()

    def enumerate_support(self, expand: bool = True) -> Tensor:
        values = _counted(2, self._given, len(self._batch_shape))
        return F.broadcast_to(values, (2, *self._batch_shape)) if expand else values


class Binomial(_Trials):
    """The number of successes in total_count trials: P(k) = C(n, k) p**k (1 - p)**(n - k)."""

    arg_constraints: ClassVar = {
        "total_count": constraints.nonnegative_integer,
        "probs": constraints.unit_interval,
        "logits": constraints.real,
    }

    def __init__(self, total_count: Any = 1, probs: Any = None, logits: Any = None, validate_args: bool | None = None):
        (self.total_count,) = self._set(probs, logits, total_count)
        self.total_count = self.total_count.astype(self._given.dtype)
        super().__init__(self._given.shape, validate_args=validate_args)

    @property
    def support(self) -> constraints.Constraint:  # type: ignore[override]
        return constraints.integer_interval(0, self.total_count)

    mean = property(lambda self: self.total_count * self.probs)  # type: ignore[assignment]
    variance = property(lambda self: self.total_count * self.probs * (1 - self.probs))  # type: ignore[assignment]

    @property
    def mode(self) -> Tensor:
        return F.clip(F.floor((self.total_count + 1) * self.probs), None, self.total_count)

    def sample(self, sample_shape: Any = ()) -> Tensor:
        p = self.probs.detach()
        n = self.total_count.detach().astype("int64")
        return self._draw("binomial", self._extended(sample_shape), n.numpy(), p.numpy(), like=p)

    def log_prob(self, value: Any) -> Tensor:
        k, n = self._checked(value), self.total_count
        ways = F.lgamma(n + 1) - F.lgamma(k + 1) - F.lgamma(n - k + 1)
        return ways + k * self.logits - n * F.softplus(self.logits)


class Geometric(_Trials):
    """The number of failures before the first success: P(k) = (1 - p)**k p, k = 0, 1, ..."""

    arg_constraints: ClassVar = {"probs": constraints.unit_interval, "logits": constraints.real}
    support = constraints.nonnegative_integer

    def __init__(self, probs: Any = None, logits: Any = None, validate_args: bool | None = None):
        self._set(probs, logits)
        super().__init__(self._given.shape, validate_args=validate_args)
        if self._validate_args:
            self._check("probs", self.probs, constraints.greater_than(0))

    mean = property(lambda self: 1 / self.probs - 1)  # type: ignore[assignment]
    mode = property(lambda self: 0 * self.probs)  # type: ignore[assignment]
    variance = property(lambda self: (1 / self.probs - 1) / self.probs)  # type: ignore[assignment]

    def sample(self, sample_shape: Any = ()) -> Tensor:
        p = self.probs.detach()
        return self._draw("geometric", self._extended(sample_shape), p.numpy(), like=p) - 1  # NumPy counts trials

    def log_prob(self, value: Any) -> Tensor:
        return F.xlog1py(self._checked(value), -self.probs) + F.log(self.probs)

    def entropy(self) -> Tensor:
        return self._trial_entropy() / self.probs


def _counted(n: int, like: Tensor, axes: int) -> Tensor:
    """0, 1, ..., n - 1 along the first axis, ahead of `axes` axes of length 1."""
    values = like.backend.xp.arange(n, dtype=like.dtype)
    return Tensor(values.reshape((n,) + (1,) * axes))
