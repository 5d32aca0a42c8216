"""One of K classes, as its number or one-hot."""

from __future__ import annotations

from functools import cached_property
from typing import Any, ClassVar

import numpy as np

from ..creation import asarray
from ..errors import ShapeError
from ..functions import one_hot
from ..random import multinomial
from ..tensor import F, Tensor
from . import constraints
from .distribution import Distribution, _lengths, open_interval, probabilities_or_logits


class Categorical(Distribution):
    """P(k) = probs[..., k], normalised over the last axis, or softmax(logits)[..., k]; give one of the two, (..., K).

    >>> import minigrad as mg
    >>> Categorical(probs=mg.tensor([1.0, 3.0])).log_prob(mg.tensor(1)).exp()
    tensor(0.75)
    """

    arg_constraints: ClassVar = {"probs": constraints.simplex, "logits": constraints.real_vector}
    has_enumerate_support = True

    def __init__(self, probs: Any = None, logits: Any = None, validate_args: bool | None = None):
        name, value = probabilities_or_logits(type(self).__name__, probs, logits)
        value = asarray(value)
        if value.ndim < 1:
            raise ShapeError(f"{type(self).__name__}: {name} must have an axis of classes: got {value.shape}.")
        self._classes = value.shape[-1]
        by_sum = name == "probs"
        setattr(self, name, value / F.sum(value, axis=-1, keepdims=True) if by_sum else F.log_softmax(value, axis=-1))
        super().__init__(value.shape[:-1], validate_args=validate_args)

    @cached_property
    def probs(self) -> Tensor:
        return F.softmax(self.logits, axis=-1)

    @cached_property
    def logits(self) -> Tensor:
        return F.log(open_interval(self.probs))

    @property
    def support(self) -> constraints.Constraint:  # type: ignore[override]
        return constraints.integer_interval(0, self._classes - 1)

    @property
    def param_shape(self) -> tuple[int, ...]:
        return (*self._batch_shape, self._classes)

    mean = property(lambda self: float("nan") * self.probs[..., 0])  # type: ignore[assignment]
    variance = property(lambda self: float("nan") * self.probs[..., 0])  # type: ignore[assignment]
    mode = property(lambda self: F.argmax(self.probs, axis=-1))  # type: ignore[assignment]

    def sample(self, sample_shape: Any = ()) -> Tensor:
        """int64, sample_shape + batch_shape."""
        lengths = _lengths(sample_shape)
        rows = self.probs.detach().reshape(-1, self._classes)
        drawn = multinomial(rows, int(np.prod(lengths)), True)  # (rows, samples)
        return drawn.T.reshape(*lengths, *self._batch_shape)

    def log_prob(self, value: Any) -> Tensor:
        value = self._checked(value).astype("int64")
        shape = np.broadcast_shapes(value.shape, self._batch_shape)
        logits = F.broadcast_to(self.logits, (*shape, self._classes))
        places = F.broadcast_to(value, shape)[..., None]  # (..., 1)
        return F.take_along_axis(logits, places, axis=-1)[..., 0]

    def entropy(self) -> Tensor:
        logits = self.logits
        lowest = float(np.finfo(logits.dtype).min)  # 0 ln 0 = 0
        return -F.sum(F.maximum(logits, lowest) * self.probs, axis=-1)

    def enumerate_support(self, expand: bool = True) -> Tensor:
        values = asarray(np.arange(self._classes).reshape(-1, *[1] * len(self._batch_shape)))
        return F.broadcast_to(values, (self._classes, *self._batch_shape)) if expand else values


class OneHotCategorical(Distribution):
    """As Categorical, with samples one-hot, (..., K)."""

    arg_constraints: ClassVar = {"probs": constraints.simplex, "logits": constraints.real_vector}
    support = constraints.one_hot
    has_enumerate_support = True

    def __init__(self, probs: Any = None, logits: Any = None, validate_args: bool | None = None):
        self._categorical = Categorical(probs, logits, validate_args)
        super().__init__(self._categorical.batch_shape, (self._categorical._classes,), validate_args)

    probs = property(lambda self: self._categorical.probs)
    logits = property(lambda self: self._categorical.logits)
    mean = property(lambda self: self.probs)  # type: ignore[assignment]
    variance = property(lambda self: self.probs * (1 - self.probs))  # type: ignore[assignment]

    @property
    def mode(self) -> Tensor:
        return self._coded(self._categorical.mode)

    def _coded(self, classes: Tensor) -> Tensor:
        return one_hot(classes, self._event_shape[0]).astype(self.probs.dtype)

    def sample(self, sample_shape: Any = ()) -> Tensor:
        return self._coded(self._categorical.sample(sample_shape))

    def log_prob(self, value: Any) -> Tensor:
        return self._categorical.log_prob(F.argmax(self._checked(value), axis=-1))

    def entropy(self) -> Tensor:
        return self._categorical.entropy()

    def enumerate_support(self, expand: bool = True) -> Tensor:
        return self._coded(self._categorical.enumerate_support(expand))

    def expand(self, batch_shape: Any) -> OneHotCategorical:
        new = super().expand(batch_shape)
        new._categorical = self._categorical.expand(batch_shape)
        return new
