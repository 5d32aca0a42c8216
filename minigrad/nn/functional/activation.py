"""Activations. `inplace` is accepted and changes nothing: outputs are new arrays."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from functools import wraps
from typing import Any

import numpy as np

from ...errors import ArgumentError, ShapeError
from ...primitive import axes_of
from ...random import default_generator
from ...tensor import F, Tensor, wrap


def relu(input: Tensor, inplace: bool = False) -> Tensor:
    """y = max(x, 0)."""
    return F.relu(input)


sigmoid, tanh, logsigmoid, softsign, tanhshrink = F.sigmoid, F.tanh, F.log_sigmoid, F.softsign, F.tanhshrink


def relu6(input: Tensor, inplace: bool = False) -> Tensor:
    """y = min(max(x, 0), 6)."""
    return hardtanh(input, 0.0, 6.0)


def leaky_relu(input: Tensor, negative_slope: float = 0.01, inplace: bool = False) -> Tensor:
    """y = x where x > 0, else negative_slope x."""
    return F.leaky_relu(input, negative_slope=negative_slope)


def prelu(input: Tensor, weight: Tensor) -> Tensor:
    """y = x where x > 0, else weight x. weight: (1,), or (C,) for the channels at axis 1. He et al.
    2015, arXiv:1502.01852."""
    if weight.size != 1:
        if input.ndim < 2 or weight.shape != (input.shape[1],):
            raise ShapeError(
                f"prelu: weight must be (1,) or one per channel (axis 1): got {weight.shape} for x {input.shape}."
            )
        weight = F.reshape(weight, (-1, *[1] * (input.ndim - 2)))
    elif weight.ndim > input.ndim:
        weight = F.reshape(weight, ())
    return F.where(F.greater(input, 0), input, weight * input)


def rrelu(
    input: Tensor, lower: float = 1 / 8, upper: float = 1 / 3, training: bool = False, inplace: bool = False
) -> Tensor:
    """y = x where x > 0, else a x; a uniform on [lower, upper) for each element in training, else their mean.
    Xu et al. 2015, arXiv:1505.00853."""
    if not lower <= upper:
        raise ArgumentError(f"rrelu: lower must be at most upper: got {lower} and {upper}.")
    if not training:
        return F.leaky_relu(input, negative_slope=(lower + upper) / 2)
    slopes = default_generator.numpy("uniform", lower, upper, size=input.shape).astype(input.dtype)
    return F.where(F.greater(input, 0), input, input * wrap(input.backend.asarray(slopes)))


def elu(input: Tensor, alpha: float = 1.0, inplace: bool = False) -> Tensor:
    """y = x where x > 0, else alpha (e**x - 1)."""
    return F.elu(input, alpha=alpha)


def celu(input: Tensor, alpha: float = 1.0, inplace: bool = False) -> Tensor:
    """y = x where x > 0, else alpha (e**(x / alpha) - 1)."""
    return F.celu(input, alpha=alpha)


def selu(input: Tensor, inplace: bool = False) -> Tensor:
    """y = s x where x > 0, else s a (e**x - 1)."""
    return F.selu(input)


def silu(input: Tensor, inplace: bool = False) -> Tensor:
    """y = x sigmoid(x)."""
    return F.silu(input)


def mish(input: Tensor, inplace: bool = False) -> Tensor:
    """y = x tanh(softplus(x))."""
    return F.mish(input)


def softplus(input: Tensor, beta: float = 1.0, threshold: float = 20.0) -> Tensor:
    """y = ln(1 + e**(beta x)) / beta, and x itself where beta x > threshold, as PyTorch has it."""
    scaled = input * beta
    return F.where(F.greater(scaled, threshold), input, F.softplus(scaled) / beta)


def hardtanh(input: Tensor, min_val: float = -1.0, max_val: float = 1.0, inplace: bool = False) -> Tensor:
    """y = x, at least min_val and at most max_val."""
    if min_val > max_val:
        raise ArgumentError(f"hardtanh: min_val must be at most max_val: got {min_val} and {max_val}.")
    if input.dtype.kind in "iu":  # as PyTorch: integers stay
        return F.clip(input, int(min_val), int(max_val))
    return F.hardtanh(input, min_val=min_val, max_val=max_val)


def hardsigmoid(input: Tensor, inplace: bool = False) -> Tensor:
    """y = (x + 3) / 6, at least 0 and at most 1."""
    return F.hardsigmoid(input)


def hardswish(input: Tensor, inplace: bool = False) -> Tensor:
    """y = x hardsigmoid(x)."""
    return F.hardswish(input)


def softshrink(input: Tensor, lambd: float = 0.5) -> Tensor:
    """y = x moved towards 0 by lambd, at most to 0."""
    if not lambd >= 0:
        raise ArgumentError(f"softshrink: lambd must be at least 0: got {lambd}.")
    return F.softshrink(input, lambd=lambd)


def hardshrink(input: Tensor, lambd: float = 0.5) -> Tensor:
    """y = x where |x| > lambd, else 0."""
    return F.hardshrink(input, lambd=lambd)


def threshold(input: Tensor, threshold: float, value: float, inplace: bool = False) -> Tensor:
    """y = x where x > threshold, else value."""
    return F.where(F.greater(input, threshold), input, value)


def _halves(x: Tensor, dim: int, who: str) -> tuple[Tensor, Tensor]:
    if not x.ndim:
        raise ShapeError(f"{who}: x must have an axis to halve: got a 0-d tensor.")
    (axis,) = axes_of(who, dim, x.ndim)
    half, odd = divmod(x.shape[axis], 2)
    if odd:
        raise ShapeError(f"{who}: axis {dim} must have an even length, for two halves: got shape {x.shape}.")
    lead = (slice(None),) * axis
    return x[(*lead, slice(None, half))], x[(*lead, slice(half, None))]


def glu(input: Tensor, dim: int = -1) -> Tensor:
    """y = a sigmoid(b), a and b the halves of x along `dim`. Dauphin et al. 2016, arXiv:1612.08083."""
    a, b = _halves(input, dim, "glu")
    return a * F.sigmoid(b)


def swiglu(input: Tensor, dim: int = -1) -> Tensor:
    """y = silu(a) b, a and b the halves of x along `dim`. Shazeer 2020, arXiv:2002.05202, eq. 6."""
    a, b = _halves(input, dim, "swiglu")
    return F.silu(a) * b


def gelu(input: Tensor, approximate: str = "none") -> Tensor:
    """y = x P(N(0, 1) <= x), or its approximation by tanh. Hendrycks and Gimpel 2016, arXiv:1606.08415."""
    if approximate not in ("none", "tanh"):
        raise ArgumentError(f"gelu: approximate must be 'none' or 'tanh': got {approximate!r}.")
    return F.gelu(input) if approximate == "none" else F.gelu_tanh(input)


def _dim(ndim: int, who: str) -> int:
    """PyTorch's old choice where no dim is given."""
    warnings.warn(f"{who}: say which dim; without it PyTorch's old rule picks one.", stacklevel=3)
    return 0 if ndim in (0, 1, 3) else 1


def softmax(input: Tensor, dim: int | None = None, dtype: Any = None) -> Tensor:
    """y = e**x / sum(e**x) along `dim`: positive, summing to 1."""
    x = input if dtype is None else input.to(dtype)
    return F.softmax(x, axis=_dim(x.ndim, "softmax") if dim is None else dim)


def log_softmax(input: Tensor, dim: int | None = None, dtype: Any = None) -> Tensor:
    """y = x - ln(sum(e**x)) along `dim`."""
    x = input if dtype is None else input.to(dtype)
    return F.log_softmax(x, axis=_dim(x.ndim, "log_softmax") if dim is None else dim)


def softmin(input: Tensor, dim: int | None = None, dtype: Any = None) -> Tensor:
    """y = softmax(-x) along `dim`."""
    return softmax(-input, _dim(input.ndim, "softmin") if dim is None else dim, dtype)


def gumbel_softmax(logits: Tensor, tau: float = 1, hard: bool = False, eps: float = 1e-10, dim: int = -1) -> Tensor:
    """A sample of the categorical distribution of the logits, made soft: softmax((logits + g) / tau) along `dim`,
    g = -ln(e), e exponential. Jang et al. 2016, arXiv:1611.01144, eq. 1.

    tau: towards 0 the samples become one-hot. hard: one-hot in the forward, the gradient of the soft sample in the
    backward. `eps` is accepted and has no effect, as in PyTorch.
    """
    if not tau > 0:
        raise ArgumentError(f"gumbel_softmax: tau must be positive: got {tau}.")
    exponential = default_generator.numpy("standard_exponential", size=logits.shape)
    noise = -np.log(np.maximum(exponential, np.finfo(np.float64).tiny)).astype(logits.dtype)
    soft = F.softmax((logits + wrap(logits.backend.asarray(noise))) / tau, axis=dim)
    if not hard:
        return soft
    values = soft.detach()
    best = F.argmax(values, axis=dim, keepdims=True)
    (axis,) = axes_of("gumbel_softmax", dim, soft.ndim)
    places = wrap(soft.backend.asarray(np.arange(soft.shape[axis]).reshape(-1, *[1] * (soft.ndim - 1 - axis))))
    return F.equal(places, best).astype(soft.dtype) - values + soft  # straight through: the gradient is soft's


def _in_place(function: Callable) -> Callable:
    """The function, written into its input, as PyTorch's with a trailing underscore."""

    @wraps(function)
    def overwriting(input: Tensor, *args: Any, **kwargs: Any) -> Tensor:
        return input.overwrite(function(input, *args, **kwargs), f"{function.__name__}_")

    return overwriting


relu_, leaky_relu_, rrelu_, elu_ = _in_place(relu), _in_place(leaky_relu), _in_place(rrelu), _in_place(elu)
celu_, selu_, hardtanh_, threshold_ = _in_place(celu), _in_place(selu), _in_place(hardtanh), _in_place(threshold)
