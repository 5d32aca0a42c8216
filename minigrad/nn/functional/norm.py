"""Normalisation: over the batch, over features, over groups of channels."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from ... import functions
from ...dtypes import finfo
from ...errors import ArgumentError, ShapeError
from ...mode import no_grad
from ...tensor import F, Tensor


def batch_norm(
    input: Tensor,
    running_mean: Tensor | None,
    running_var: Tensor | None,
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    training: bool = False,
    momentum: float = 0.1,
    eps: float = 1e-5,
) -> Tensor:
    """y = (x - mean) / sqrt(var + eps) * weight + bias per channel. input: (B, C, ...); the others (C,) or None.

    training: mean and var of the batch, and running = (1 - momentum) running + momentum batch, in place, with the
    unbiased variance; otherwise the running ones. Ioffe and Szegedy 2015, arXiv:1502.03167.
    """
    if eps <= 0:
        raise ArgumentError(f"batch_norm: eps must be positive: got {eps}.")
    if input.ndim < 2:
        if input.shape == (0,):
            return input * 1
        raise ShapeError(f"batch_norm: x must be (B, C, ...): got shape {input.shape}.")
    channels = input.shape[1]
    for name, t in (("running_mean", running_mean), ("running_var", running_var), ("weight", weight), ("bias", bias)):
        if t is not None and t.shape != (channels,):
            raise ShapeError(
                f"batch_norm: {name} must have one value per channel: "
                f"{name} is {t.shape}, x {input.shape} has {channels} channels."
            )
    if not training:
        if running_mean is None or running_var is None:
            raise ArgumentError(
                "batch_norm: without training it needs running_mean and running_var. Pass training=True."
            )
        return F.batch_norm_inference(input, running_mean, running_var, weight, bias, eps=eps)
    n = input.size // channels if channels else 0
    if n == 1:
        raise ShapeError(
            f"batch_norm: training needs more than one value per channel: got x {input.shape}, whose variance is 0. "
            "Use a larger batch, or eval()."
        )
    if not n:
        return input * 1 if weight is None else input * F.reshape(weight, (-1, *[1] * (input.ndim - 2)))
    y, mean, var = F.batch_norm(input, weight, bias, eps=eps)
    if running_mean is not None or running_var is not None:
        with no_grad():
            for running, batch in ((running_mean, mean), (running_var, var.detach() * (n / (n - 1)))):
                if running is not None:
                    running.overwrite(running * (1 - momentum) + batch * momentum, "batch_norm")
    return y


def layer_norm(
    input: Tensor,
    normalized_shape: Sequence[int],
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    eps: float = 1e-5,
) -> Tensor:
    """y = (x - mean) / sqrt(var + eps) * weight + bias over the last axes. Ba, Kiros, Hinton 2016, arXiv:1607.06450."""
    shape = tuple(normalized_shape)
    if not shape or input.shape[-len(shape) :] != shape:
        raise ShapeError(
            "layer_norm: the last axes of x must be normalized_shape: "
            f"x is {input.shape}, expected (..., {', '.join(map(str, shape))})."
        )
    return F.layer_norm(input, weight, bias, ndim=len(shape), eps=eps)


def rms_norm(
    input: Tensor, normalized_shape: Sequence[int], weight: Tensor | None = None, eps: float | None = None
) -> Tensor:
    """y = x / sqrt(mean(x**2) + eps) * weight over the last axes; eps None: the dtype's.
    Zhang, Sennrich 2019, arXiv:1910.07467."""
    shape = tuple(normalized_shape)
    if not shape or input.shape[-len(shape) :] != shape:
        raise ShapeError(
            "rms_norm: the last axes of x must be normalized_shape: "
            f"x is {input.shape}, expected (..., {', '.join(map(str, shape))})."
        )
    eps = finfo(input.dtype).eps if eps is None else eps
    return F.rms_norm(input, weight, ndim=len(shape), eps=eps)


def group_norm(
    input: Tensor, num_groups: int, weight: Tensor | None = None, bias: Tensor | None = None, eps: float = 1e-5
) -> Tensor:
    """Each sample's channels in num_groups groups, each normalised over itself. input: (B, C, ...).
    Wu, He 2018, arXiv:1803.08494."""
    if input.ndim < 2 or input.shape[1] % num_groups:
        raise ShapeError(
            f"group_norm: x must be (B, C, ...) with C divisible by num_groups={num_groups}: got {input.shape}."
        )
    if input.size == num_groups:
        raise ShapeError(
            f"group_norm: needs more than one value per group: got x {input.shape} in {num_groups} groups, each of "
            "variance 0."
        )
    return F.group_norm(input, weight, bias, groups=num_groups, eps=eps) if input.size else input * 1


def instance_norm(
    input, running_mean=None, running_var=None, weight=None, bias=None, use_input_stats=True, momentum=0.1, eps=1e-5
):
    """Each channel of each sample normalised over its spatial axes. input: (B, C, ...). Ulyanov et al.
    2016, arXiv:1607.08022."""
    if not use_input_stats:
        return batch_norm(input, running_mean, running_var, weight, bias, False, momentum, eps)
    if math.prod(input.shape[2:]) == 1:
        raise ShapeError(f"instance_norm: needs more than one spatial element per channel: got x {input.shape}.")
    if running_mean is not None:
        axes, n = tuple(range(2, input.ndim)), math.prod(input.shape[2:])
        with no_grad():
            mean = F.mean(F.mean(input, axis=axes), axis=0)
            var = F.mean(F.var(input, axis=axes), axis=0) * (n / (n - 1))
            running_mean.overwrite(running_mean * (1 - momentum) + mean * momentum, "instance_norm")
            running_var.overwrite(running_var * (1 - momentum) + var * momentum, "instance_norm")
    return group_norm(input, input.shape[1], weight, bias, eps)


def local_response_norm(input: Tensor, size: int, alpha: float = 1e-4, beta: float = 0.75, k: float = 1.0) -> Tensor:
    """y = x / (k + alpha mean(x**2 over `size` neighbouring channels))**beta. x: (B, C, ...) with at least 3 axes.
    Krizhevsky et al. 2012, section 3.3."""
    if input.ndim < 3 or size < 1:
        raise ShapeError(f"local_response_norm: needs x (B, C, ...) and size above 0: got {input.shape} and {size}.")
    if not input.size:
        return input * 1
    sides = ((0, 0), (size // 2, (size - 1) // 2), *[(0, 0)] * (input.ndim - 2))
    squares = functions.moveaxis(F.pad(F.square(input), widths=sides), 1, -1)  # (B, ..., C + size - 1)
    means = F.mean(F.windows(squares, size=(size,), stride=(1,), dilation=(1,)), axis=-1)
    return input / F.power(functions.moveaxis(means, -1, 1) * alpha + k, beta)


def normalize(input: Tensor, p: float = 2.0, dim: Any = 1, eps: float = 1e-12) -> Tensor:
    """x / max(||x||_p, eps) along `dim`, an axis or several."""
    return input / F.maximum(vector_norm(input, p, dim, True), eps)


def vector_norm(x: Tensor, p: float, axis: Any, keepdims: bool = False) -> Tensor:
    """(sum |x|**p)**(1/p) along `axis`: p = inf the largest |x|, -inf the smallest, 0 how many are not 0. Where it is 0
    its slope counts as 0."""
    if p == 0:
        return F.sum(F.not_equal(x, 0).astype(x.dtype), axis=axis, keepdims=keepdims)
    if p == 1:
        return F.sum(F.abs(x), axis=axis, keepdims=keepdims)
    if math.isinf(p):
        return (F.max if p > 0 else F.min)(F.abs(x), axis=axis, keepdims=keepdims)
    x = F.abs(x) if x.dtype.kind == "c" else x
    total = F.sum(F.square(x) if p == 2 else F.power(F.abs(x), p), axis=axis, keepdims=keepdims)
    zero = F.equal(total, 0)  # a root has no slope there
    total = F.where(zero, 1, total)
    return F.where(zero, 0, F.sqrt(total) if p == 2 else F.power(total, 1 / p))
