"""Distribution: what all families share. Shapes: sample_shape + batch_shape + event_shape, as in PyTorch.

batch_shape: one distribution for each element of the parameters, broadcast. event_shape: what one sample of one of them
looks like: () for a number, (D,) for a vector.
"""

from __future__ import annotations

from copy import copy
from typing import Any, ClassVar

import numpy as np

from ..creation import asarray
from ..errors import ArgumentError, ShapeError
from ..functions import broadcast_tensors
from ..mode import MODE, no_grad
from ..random import default_generator
from ..tensor import F, Tensor
from .constraints import Constraint


class Distribution:
    """Base of all families. Each sets `arg_constraints` and `support`, and writes `log_prob` and `rsample` or `sample`.

    validate_args: check parameters and the values that log_prob gets, an ArgumentError otherwise; None: as
    `set_default_validate_args` says (True). The checks read values, so inside vmap they must be False.
    """

    arg_constraints: ClassVar[dict[str, Constraint]] = {}
    support: Any = None
    has_rsample = False  # samples carry gradients to the parameters
    has_enumerate_support = False
    validates: ClassVar[bool] = True

    def __init__(self, batch_shape: tuple = (), event_shape: tuple = (), validate_args: bool | None = None):
        self._batch_shape, self._event_shape = tuple(batch_shape), tuple(event_shape)
        self._validate_args = Distribution.validates if validate_args is None else validate_args
        if self._validate_args:
            for name, constraint in self.arg_constraints.items():
                if name in vars(self):  # of probs and logits, the one that was given
                    self._check(name, getattr(self, name), constraint)

    @staticmethod
    def set_default_validate_args(value: bool) -> None:
        """Whether distributions made from here on check their arguments."""
        Distribution.validates = bool(value)

    def _check(self, what: str, value: Tensor, constraint: Constraint) -> None:
        if not bool(F.all(constraint.check(value.detach()))):
            raise ArgumentError(f"{type(self).__name__}: {what} must be {constraint}: got {value.detach()!r:.200}.")

    def _checked(self, value: Any) -> Tensor:
        """A value for log_prob, a tensor of a shape and with elements that the distribution can have."""
        value = value if isinstance(value, Tensor) else asarray(value)
        if not self._validate_args:
            return value
        events = len(self._event_shape)
        tail = value.shape[value.ndim - events :]
        if value.ndim < events or any(a not in (b, 1) and b != 1 for a, b in zip(tail, self._event_shape)):
            raise ShapeError(f"{type(self).__name__}: a sample is {self._event_shape}: got a value of {value.shape}.")
        try:
            np.broadcast_shapes(value.shape[: value.ndim - events], self._batch_shape)
        except ValueError:
            raise ShapeError(
                f"{type(self).__name__}: a value must broadcast with the batch {self._batch_shape}: got {value.shape}."
            ) from None
        if self.support is not None:
            self._check("a value", value, self.support)
        return value

    def _extended(self, sample_shape: Any) -> tuple[int, ...]:
        """sample_shape + batch_shape + event_shape."""
        return (*_lengths(sample_shape), *self._batch_shape, *self._event_shape)

    # -- what it says of itself --------------------------------------------------------------------------------------
    @property
    def batch_shape(self) -> tuple[int, ...]:
        return self._batch_shape

    @property
    def event_shape(self) -> tuple[int, ...]:
        return self._event_shape

    @property
    def mean(self) -> Tensor:
        raise NotImplementedError(f"{type(self).__name__} has no mean.")

    @property
    def mode(self) -> Tensor:
        raise NotImplementedError(f"{type(self).__name__} has no mode.")

    @property
    def variance(self) -> Tensor:
        raise NotImplementedError(f"{type(self).__name__} has no variance.")

    @property
    def stddev(self) -> Tensor:
        return F.sqrt(self.variance)

    def log_prob(self, value: Any) -> Tensor:
        """ln of the density, or of the probability, at `value`: sample_shape + batch_shape."""
        raise NotImplementedError(f"{type(self).__name__} has no log_prob.")

    def cdf(self, value: Any) -> Tensor:
        """The probability of at most `value`."""
        raise NotImplementedError(f"{type(self).__name__} has no cdf.")

    def icdf(self, value: Any) -> Tensor:
        """The inverse of `cdf`."""
        raise NotImplementedError(f"{type(self).__name__} has no icdf.")

    def entropy(self) -> Tensor:
        """The mean of -log_prob: batch_shape."""
        raise NotImplementedError(f"{type(self).__name__} has no entropy in closed form.")

    def perplexity(self) -> Tensor:
        return F.exp(self.entropy())

    def enumerate_support(self, expand: bool = True) -> Tensor:
        """All values, along a new first axis. For families with finitely many."""
        raise NotImplementedError(f"{type(self).__name__} has no finite support.")

    # -- drawing -----------------------------------------------------------------------------------------------------
    def sample(self, sample_shape: Any = ()) -> Tensor:
        """Independent samples, sample_shape + batch_shape + event_shape, without gradient."""
        with no_grad():
            return self.rsample(sample_shape).detach()

    def rsample(self, sample_shape: Any = ()) -> Tensor:
        """As `sample`, as a function of the parameters, which gradients pass through (where `has_rsample`)."""
        raise NotImplementedError(
            f"{type(self).__name__}: a sample has no gradient here. Use sample(), and log_prob for the score function."
        )

    def _draw(self, method: str, shape: tuple, *args: Any, like: Tensor) -> Tensor:
        """Numbers from a method of `numpy.random.Generator`, with the dtype and device of a parameter."""
        values = default_generator.numpy(method, *args, size=shape)
        return asarray(like.backend.asarray(np.asarray(values).astype(like.dtype)))

    def expand(self, batch_shape: Any) -> Any:
        """The same distribution for a larger batch; no parameter is copied."""
        new, old = copy(self), len(self._batch_shape)
        for name, value in vars(self).items():
            if isinstance(value, Tensor):
                setattr(new, name, F.broadcast_to(value, (*_lengths(batch_shape), *value.shape[old:])))
        new._batch_shape = _lengths(batch_shape)
        return new

    def __repr__(self) -> str:
        given = {k: v for k, v in vars(self).items() if k in self.arg_constraints}
        size = lambda v: str(v.item()) if v.size == 1 else str(tuple(v.shape))
        return f"{type(self).__name__}({', '.join(f'{k}: {size(v)}' for k, v in given.items())})"


def _lengths(shape: Any) -> tuple[int, ...]:
    return (shape,) if isinstance(shape, int) else tuple(shape)


def broadcast_all(*values: Any) -> tuple[Tensor, ...]:
    """Parameters as tensors of one shape; numbers take the dtype of the tensors, or the default float."""
    like = next((v for v in values if isinstance(v, Tensor)), None)
    dtype = MODE.get().default_dtype if like is None or like.dtype.kind != "f" else like.dtype
    return tuple(broadcast_tensors(*[v if isinstance(v, Tensor) else asarray(v, dtype=dtype) for v in values]))


def open_interval(p: Tensor) -> Tensor:
    """Probabilities kept one rounding away from 0 and 1, so that their logarithms are finite."""
    eps = float(np.finfo(p.dtype).eps)
    return F.clip(p, eps, 1 - eps)


def probabilities_or_logits(who: str, probs: Any, logits: Any) -> tuple[str, Any]:
    """Which of the two was given, and its value."""
    if (probs is None) == (logits is None):
        raise ArgumentError(f"{who}: give either probs or logits, and not both.")
    return ("probs", probs) if logits is None else ("logits", logits)
