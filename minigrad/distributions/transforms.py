"""Invertible maps y = f(x) of random numbers, and how they stretch: ln |det dy/dx|. Names are PyTorch's
(torch.distributions.transforms).

>>> import minigrad as mg
>>> squash = ComposeTransform([AffineTransform(1.0, 2.0), TanhTransform()])  # tanh(1 + 2 x)
>>> squash.inv(squash(mg.tensor([0.5])))
tensor([0.5])
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from ..errors import ArgumentError, ShapeError
from ..functions import cumprod, pad
from ..tensor import F, Tensor
from . import constraints


class Transform:
    """Subclasses write `_call`, `_inverse` and `log_abs_det_jacobian`. cache_size=1: the inverse of the last result is
    the x it came from, exactly, as for samples whose log_prob is asked for.

    event_dim: how many last axes are one event, over which log_abs_det_jacobian is summed.
    """

    bijective = True
    sign: Any = 1
    domain: Any = constraints.real
    codomain: Any = constraints.real

    def __init__(self, cache_size: int = 0):
        if cache_size not in (0, 1):
            raise ArgumentError(f"{type(self).__name__}: cache_size must be 0 or 1: got {cache_size}.")
        self._cache_size = cache_size
        self._last: tuple[Any, Any] = (None, None)

    @property
    def event_dim(self) -> int:
        return self.domain.event_dim

    @property
    def inv(self) -> Transform:
        return _Inverse(self)

    def with_cache(self, cache_size: int = 1) -> Transform:
        """This transform; it remembers its last x and y."""
        self._cache_size = cache_size
        return self

    def __call__(self, x: Tensor) -> Tensor:
        if self._cache_size and self._last[0] is x:
            return self._last[1]
        y = self._call(x)
        self._last = (x, y) if self._cache_size else (None, None)
        return y

    def _inverted(self, y: Tensor) -> Tensor:
        if self._cache_size and self._last[1] is y:
            return self._last[0]
        x = self._inverse(y)
        self._last = (x, y) if self._cache_size else (None, None)
        return x

    def _call(self, x: Tensor) -> Tensor:
        raise NotImplementedError(f"{type(self).__name__} does not say what it gives.")

    def _inverse(self, y: Tensor) -> Tensor:
        raise NotImplementedError(f"{type(self).__name__} has no inverse.")

    def log_abs_det_jacobian(self, x: Tensor, y: Tensor) -> Tensor:
        """ln |det dy/dx|, one number for each event."""
        raise NotImplementedError(f"{type(self).__name__} has no determinant.")

    def forward_shape(self, shape: tuple) -> tuple:
        return tuple(shape)

    def inverse_shape(self, shape: tuple) -> tuple:
        return tuple(shape)

    def __repr__(self) -> str:
        return f"{type(self).__name__}()"


class _Inverse(Transform):
    def __init__(self, transform: Transform):
        super().__init__()
        self.transform, self.bijective = transform, transform.bijective
        self.domain, self.codomain, self.sign = transform.codomain, transform.domain, transform.sign

    @property
    def inv(self) -> Transform:
        return self.transform

    def __call__(self, x: Tensor) -> Tensor:
        return self.transform._inverted(x)

    def _inverted(self, y: Tensor) -> Tensor:
        return self.transform(y)

    def log_abs_det_jacobian(self, x: Tensor, y: Tensor) -> Tensor:
        return -self.transform.log_abs_det_jacobian(y, x)

    def forward_shape(self, shape: tuple) -> tuple:
        return self.transform.inverse_shape(shape)

    def inverse_shape(self, shape: tuple) -> tuple:
        return self.transform.forward_shape(shape)


class ExpTransform(Transform):
    """y = e**x."""

    codomain = constraints.positive

    def _call(self, x: Tensor) -> Tensor:
        return F.exp(x)

    def _inverse(self, y: Tensor) -> Tensor:
        return F.log(y)

    def log_abs_det_jacobian(self, x: Tensor, y: Tensor) -> Tensor:
        return x


class PowerTransform(Transform):
    """y = x**exponent, x > 0."""

    domain = codomain = constraints.positive

    def __init__(self, exponent: Any, cache_size: int = 0):
        super().__init__(cache_size)
        self.exponent = exponent
        self.sign = F.sign(exponent) if isinstance(exponent, Tensor) else math.copysign(1, exponent)

    def _call(self, x: Tensor) -> Tensor:
        return x**self.exponent

    def _inverse(self, y: Tensor) -> Tensor:
        return y ** (1 / self.exponent)

    def log_abs_det_jacobian(self, x: Tensor, y: Tensor) -> Tensor:
        return F.log(F.abs(self.exponent * y / x))


class SigmoidTransform(Transform):
    """y = 1 / (1 + e**-x), kept one rounding away from 0 and 1."""

    codomain = constraints.unit_interval

    def _call(self, x: Tensor) -> Tensor:
        info = np.finfo(x.dtype)
        return F.clip(F.sigmoid(x), float(info.tiny), 1 - float(info.eps))

    def _inverse(self, y: Tensor) -> Tensor:
        info = np.finfo(y.dtype)
        y = F.clip(y, float(info.tiny), 1 - float(info.eps))
        return F.log(y) - F.log1p(-y)

    def log_abs_det_jacobian(self, x: Tensor, y: Tensor) -> Tensor:
        return -F.softplus(-x) - F.softplus(x)


class TanhTransform(Transform):
    """y = tanh(x). With cache_size=1 the inverse of a sample is exact, also where y rounds to 1."""

    codomain = constraints.interval(-1.0, 1.0)

    def _call(self, x: Tensor) -> Tensor:
        return F.tanh(x)

    def _inverse(self, y: Tensor) -> Tensor:
        return F.atanh(y)

    def log_abs_det_jacobian(self, x: Tensor, y: Tensor) -> Tensor:
        # ln(1 - tanh(x)**2), which stays accurate where tanh rounds to 1
        return 2 * (math.log(2) - x - F.softplus(-2 * x))


class SoftplusTransform(Transform):
    """y = ln(1 + e**x)."""

    codomain = constraints.positive

    def _call(self, x: Tensor) -> Tensor:
        return F.softplus(x)

    def _inverse(self, y: Tensor) -> Tensor:
        return F.log(-F.expm1(-y)) + y

    def log_abs_det_jacobian(self, x: Tensor, y: Tensor) -> Tensor:
        return -F.softplus(-x)


class AbsTransform(Transform):
    """y = |x|; its inverse gives the x that is not negative."""

    bijective = False
    codomain = constraints.nonnegative

    def _call(self, x: Tensor) -> Tensor:
        return F.abs(x)

    def _inverse(self, y: Tensor) -> Tensor:
        return y


class AffineTransform(Transform):
    """y = loc + scale x; event_dim: how many last axes are one event."""

    def __init__(self, loc: Any, scale: Any, event_dim: int = 0, cache_size: int = 0):
        super().__init__(cache_size)
        self.loc, self.scale = loc, scale
        self.sign = F.sign(scale) if isinstance(scale, Tensor) else math.copysign(1, scale) if scale else 0
        self.domain = self.codomain = constraints.independent(constraints.real, event_dim)

    def _call(self, x: Tensor) -> Tensor:
        return self.loc + self.scale * x

    def _inverse(self, y: Tensor) -> Tensor:
        return (y - self.loc) / self.scale

    def log_abs_det_jacobian(self, x: Tensor, y: Tensor) -> Tensor:
        stretch = F.log(F.abs(self.scale)) if isinstance(self.scale, Tensor) else math.log(abs(self.scale))
        return _summed(F.zeros_like(x) + stretch, self.event_dim)

    def forward_shape(self, shape: tuple) -> tuple:
        return np.broadcast_shapes(shape, getattr(self.loc, "shape", ()), getattr(self.scale, "shape", ()))

    inverse_shape = forward_shape


class SoftmaxTransform(Transform):
    """y = softmax(x) over the last axis; not one to one, its inverse is ln y."""

    bijective = False
    domain, codomain = constraints.real_vector, constraints.simplex

    def _call(self, x: Tensor) -> Tensor:
        return F.softmax(x, axis=-1)

    def _inverse(self, y: Tensor) -> Tensor:
        return F.log(y)


class StickBreakingTransform(Transform):
    """From K - 1 numbers to K that sum to 1: y_k is the part z_k of what is left of 1, z_k = sigmoid(x_k - ln(K - k))
    for k = 1 ... K - 1."""

    domain, codomain = constraints.real_vector, constraints.simplex

    def _offset(self, x: Tensor) -> Tensor:
        return F.log(F.cumsum(F.ones_like(x), axis=-1) * -1 + (x.shape[-1] + 1))  # ln(K - k)

    def _call(self, x: Tensor) -> Tensor:
        z = F.sigmoid(x - self._offset(x).detach())
        left = cumprod(1 - z, -1)
        one = ((0, 0),) * (x.ndim - 1)
        return pad(z, (*one, (0, 1)), constant_values=1) * pad(left, (*one, (1, 0)), constant_values=1)

    def _inverse(self, y: Tensor) -> Tensor:
        head = y[..., :-1]
        left = F.clip(1 - F.cumsum(head, axis=-1), float(np.finfo(y.dtype).tiny), None)
        return F.log(head) - F.log(left) + self._offset(head).detach()

    def log_abs_det_jacobian(self, x: Tensor, y: Tensor) -> Tensor:
        x = x - self._offset(x).detach()
        return F.sum(-x - F.softplus(-x) + F.log(y[..., :-1]), axis=-1)

    def forward_shape(self, shape: tuple) -> tuple:
        return (*shape[:-1], shape[-1] + 1)

    def inverse_shape(self, shape: tuple) -> tuple:
        return (*shape[:-1], shape[-1] - 1)


class ReshapeTransform(Transform):
    """An event of shape in_shape as one of out_shape."""

    def __init__(self, in_shape: tuple, out_shape: tuple, cache_size: int = 0):
        super().__init__(cache_size)
        self.in_shape, self.out_shape = tuple(in_shape), tuple(out_shape)
        if math.prod(self.in_shape) != math.prod(self.out_shape):
            raise ShapeError(f"ReshapeTransform: sizes must agree: got {self.in_shape} and {self.out_shape}.")
        self.domain = constraints.independent(constraints.real, len(self.in_shape))
        self.codomain = constraints.independent(constraints.real, len(self.out_shape))

    def _call(self, x: Tensor) -> Tensor:
        return x.reshape(self.forward_shape(x.shape))

    def _inverse(self, y: Tensor) -> Tensor:
        return y.reshape(self.inverse_shape(y.shape))

    def log_abs_det_jacobian(self, x: Tensor, y: Tensor) -> Tensor:
        return F.zeros(shape=x.shape[: x.ndim - len(self.in_shape)], dtype=x.dtype, like=x)

    def forward_shape(self, shape: tuple) -> tuple:
        return (*shape[: len(shape) - len(self.in_shape)], *self.out_shape)

    def inverse_shape(self, shape: tuple) -> tuple:
        return (*shape[: len(shape) - len(self.out_shape)], *self.in_shape)


class IndependentTransform(Transform):
    """Another transform, with further last axes in the event."""

    def __init__(self, base_transform: Transform, reinterpreted_batch_ndims: int, cache_size: int = 0):
        super().__init__(cache_size)
        self.base_transform, self.reinterpreted_batch_ndims = base_transform, reinterpreted_batch_ndims
        self.bijective, self.sign = base_transform.bijective, base_transform.sign
        self.domain = constraints.independent(base_transform.domain, reinterpreted_batch_ndims)
        self.codomain = constraints.independent(base_transform.codomain, reinterpreted_batch_ndims)

    def _call(self, x: Tensor) -> Tensor:
        return self.base_transform(x)

    def _inverse(self, y: Tensor) -> Tensor:
        return self.base_transform.inv(y)

    def log_abs_det_jacobian(self, x: Tensor, y: Tensor) -> Tensor:
        return _summed(self.base_transform.log_abs_det_jacobian(x, y), self.reinterpreted_batch_ndims)

    def forward_shape(self, shape: tuple) -> tuple:
        return self.base_transform.forward_shape(shape)

    def inverse_shape(self, shape: tuple) -> tuple:
        return self.base_transform.inverse_shape(shape)


class ComposeTransform(Transform):
    """The parts one after the other, the first one first."""

    def __init__(self, parts: Sequence[Transform], cache_size: int = 0):
        super().__init__(cache_size)
        self.parts = [p.with_cache(cache_size) for p in parts] if cache_size else list(parts)
        self.bijective = all(p.bijective for p in self.parts)
        self.sign = math.prod(p.sign for p in self.parts)
        if self.parts:
            self.codomain = self.parts[-1].codomain
            self.domain = self.parts[0].domain
            if (more := self._widest() - self.domain.event_dim) > 0:
                self.domain = constraints.independent(self.domain, more)

    def _widest(self) -> int:
        """How many last axes of x are in one event: as many as some part needs, seen from the first."""
        needed = self.parts[-1].codomain.event_dim
        for p in reversed(self.parts):
            needed = max(needed + p.domain.event_dim - p.codomain.event_dim, p.domain.event_dim)
        return needed

    def _call(self, x: Tensor) -> Tensor:
        for p in self.parts:
            x = p(x)
        return x

    def _inverse(self, y: Tensor) -> Tensor:
        for p in reversed(self.parts):
            y = p._inverted(y)
        return y

    def log_abs_det_jacobian(self, x: Tensor, y: Tensor) -> Tensor:
        total, axes = F.zeros_like(_summed(x, self.domain.event_dim)), self.domain.event_dim
        for p in self.parts:
            z = p(x)
            total = total + _summed(p.log_abs_det_jacobian(x, z), axes - p.domain.event_dim)
            x, axes = z, axes + p.codomain.event_dim - p.domain.event_dim
        return total

    def forward_shape(self, shape: tuple) -> tuple:
        for p in self.parts:
            shape = p.forward_shape(shape)
        return shape

    def inverse_shape(self, shape: tuple) -> tuple:
        for p in reversed(self.parts):
            shape = p.inverse_shape(shape)
        return shape

    def __repr__(self) -> str:
        return f"ComposeTransform({self.parts!r})"


identity_transform = ComposeTransform([])


def _summed(x: Tensor, axes: int) -> Tensor:
    """The sum over the last axes."""
    return F.sum(x, axis=tuple(range(-axes, 0))) if axes > 0 else x
