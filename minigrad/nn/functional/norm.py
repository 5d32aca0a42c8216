"""Normalisation: over the batch, over features, over groups of channels."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from ... import functions
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
    if input.ndim < 2:
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
        scale = F.rsqrt(running_var + eps)
        scale = scale if weight is None else scale * weight  # (C,)
        shift = -running_mean * scale if bias is None else bias - running_mean * scale
        channel = (-1, *[1] * (input.ndim - 2))
        return input * F.reshape(scale, channel) + F.reshape(shift, channel)
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
    eps = float(np.finfo(input.dtype).eps) if eps is None else eps
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
    """y = x / (k + alpha mean(x**2 over `size` neighbouring channels))**beta. Krizhevsky et al. 2012, section 3.3."""
    sides = ((0, 0), (size // 2, (size - 1) // 2), *[(0, 0)] * (input.ndim - 2))
    squares = functions.moveaxis(F.pad(F.square(input), widths=sides), 1, -1)  # (B, ..., C + size - 1)
    means = F.mean(F.windows(squares, size=(size,), stride=(1,), dilation=(1,)), axis=-1)
    return input / F.power(functions.moveaxis(means, -1, 1) * alpha + k, beta)


def normalize(input: Tensor, p: float = 2.0, dim: int = 1, eps: float = 1e-12) -> Tensor:
    """x / max(||x||_p, eps) along `dim`."""
    norm = (
        F.power(F.sum(F.power(F.abs(input), p), axis=dim, keepdims=True), 1 / p)
        if p != 2
        else F.sqrt(F.sum(F.square(input), axis=dim, keepdims=True))
    )
    return input / F.maximum(norm, eps)
