"""Activations. `inplace` is accepted and changes nothing: outputs are new arrays."""

from __future__ import annotations

import warnings
from typing import Any

from ... import functions
from ...errors import ArgumentError, ShapeError
from ...tensor import F, Tensor


def relu(input: Tensor, inplace: bool = False) -> Tensor:
    """y = max(x, 0)."""
    return F.relu(input)


sigmoid, tanh, logsigmoid, softsign, tanhshrink = F.sigmoid, F.tanh, F.log_sigmoid, F.softsign, F.tanhshrink


def relu6(input: Tensor, inplace: bool = False) -> Tensor:
    """y = min(max(x, 0), 6)."""
    return F.hardtanh(input, min_val=0.0, max_val=6.0)


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
    return F.where(F.greater(input, 0), input, weight * input)


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
    return F.hardtanh(input, min_val=min_val, max_val=max_val)


def hardsigmoid(input: Tensor, inplace: bool = False) -> Tensor:
    """y = (x + 3) / 6, at least 0 and at most 1."""
    return F.hardsigmoid(input)


def hardswish(input: Tensor, inplace: bool = False) -> Tensor:
    """y = x hardsigmoid(x)."""
    return F.hardswish(input)


def softshrink(input: Tensor, lambd: float = 0.5) -> Tensor:
    """y = x moved towards 0 by lambd, at most to 0."""
    return F.softshrink(input, lambd=lambd)


def hardshrink(input: Tensor, lambd: float = 0.5) -> Tensor:
    """y = x where |x| > lambd, else 0."""
    return F.hardshrink(input, lambd=lambd)


def threshold(input: Tensor, threshold: float, value: float, inplace: bool = False) -> Tensor:
    """y = x where x > threshold, else value."""
    return F.where(F.greater(input, threshold), input, value)


def glu(input: Tensor, dim: int = -1) -> Tensor:
    """y = a sigmoid(b), a and b the halves of x along `dim`. Dauphin et al. 2016, arXiv:1612.08083."""
    if not input.ndim or input.shape[dim] % 2:
        raise ShapeError(f"glu: axis {dim} must have an even length, for two halves: got shape {input.shape}.")
    a, b = functions.split(input, input.shape[dim] // 2, dim)
    return a * F.sigmoid(b)


def gelu(input: Tensor, approximate: str = "none") -> Tensor:
    """y = x P(N(0, 1) <= x), or its approximation by tanh. Hendrycks and Gimpel 2016, arXiv:1606.08415."""
    if approximate not in ("none", "tanh"):
        raise ArgumentError(f"gelu: approximate must be 'none' or 'tanh': got {approximate!r}.")
    return F.gelu(input) if approximate == "none" else F.gelu_tanh(input)


def _dim(dim: int | None, ndim: int, who: str) -> int:
    if dim is not None:
        return dim
    warnings.warn(f"{who}: say which dim; without it PyTorch's old rule picks one.", stacklevel=3)
    return 0 if ndim in (0, 1, 3) else 1


def softmax(input: Tensor, dim: int | None = None, dtype: Any = None) -> Tensor:
    """y = e**x / sum(e**x) along `dim`: positive, summing to 1."""
    x = input if dtype is None else input.astype(dtype)
    return F.softmax(x, axis=_dim(dim, x.ndim, "softmax"))


def log_softmax(input: Tensor, dim: int | None = None, dtype: Any = None) -> Tensor:
    """y = x - ln(sum(e**x)) along `dim`."""
    x = input if dtype is None else input.astype(dtype)
    return F.log_softmax(x, axis=_dim(dim, x.ndim, "log_softmax"))


def softmin(input: Tensor, dim: int | None = None, dtype: Any = None) -> Tensor:
    """y = softmax(-x) along `dim`."""
    return softmax(-input, _dim(dim, input.ndim, "softmin"), dtype)
