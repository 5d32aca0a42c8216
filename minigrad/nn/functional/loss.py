"""Losses of predicted numbers against targets. reduction: 'mean' (default), 'sum' or 'none'."""

from __future__ import annotations

import math
from typing import Any

from ...convert import as_array
from ...errors import ArgumentError, ShapeError
from ...tensor import F, Tensor, wrap
from .checks import bounds
from .reduction import as_tensor, chosen, pair, reduced, weighted


def mse_loss(
    input: Tensor,
    target: Tensor,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
    weight: Tensor | None = None,
) -> Tensor:
    """(x - t)**2, averaged. input, target: any one shape."""
    reduction = chosen("mse_loss", reduction, size_average, reduce)
    input, target = pair(input, target, "mse_loss")
    return weighted(F.square(input - target), weight, reduction, "mse_loss")


def l1_loss(
    input: Tensor,
    target: Tensor,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
    weight: Tensor | None = None,
) -> Tensor:
    """|x - t|, averaged. input, target: any one shape."""
    reduction = chosen("l1_loss", reduction, size_average, reduce)
    input, target = pair(input, target, "l1_loss")
    return weighted(F.abs(input - target), weight, reduction, "l1_loss")


def smooth_l1_loss(
    input: Tensor,
    target: Tensor,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
    beta: float = 1.0,
) -> Tensor:
    """(x - t)**2 / (2 beta) where |x - t| < beta, else |x - t| - beta / 2. Girshick 2015, arXiv:1504.08083."""
    reduction = chosen("smooth_l1_loss", reduction, size_average, reduce)
    if beta < 0:
        raise ArgumentError(f"smooth_l1_loss: beta must not be negative: got {beta}.")
    if beta == 0:
        return l1_loss(input, target, reduction=reduction)
    input, target = pair(input, target, "smooth_l1_loss")
    losses = F.huber(input - target, delta=beta)
    return reduced(losses if beta == 1 else losses / beta, reduction, "smooth_l1_loss")


def huber_loss(
    input: Tensor, target: Tensor, reduction: str = "mean", delta: float = 1.0, weight: Tensor | None = None
) -> Tensor:
    """(x - t)**2 / 2 where |x - t| < delta, else delta (|x - t| - delta / 2). Huber 1964, Ann. Math. Statist. 35."""
    if delta <= 0:
        raise ArgumentError(f"huber_loss: delta must be above 0: got {delta}.")
    input, target = pair(input, target, "huber_loss")
    losses = F.huber(input - target, delta=delta)
    return reduced(losses if weight is None else losses * weight, reduction, "huber_loss")


def kl_div(
    input: Tensor,
    target: Tensor,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
    log_target: bool = False,
) -> Tensor:
    """t (log t - x) for log-probabilities x, 0 where t = 0.
    reduction also 'batchmean', the sum divided by the batch size."""
    reduction = chosen("kl_div", reduction, size_average, reduce)
    input, target = as_tensor(input), as_tensor(target)
    if log_target:
        losses = F.exp(target) * (target - input)
    else:
        positive = F.greater(target, 0)
        losses = F.where(positive, target * F.log(F.where(positive, target, 1)), 0) - target * input
    if reduction == "batchmean":
        return F.sum(losses) / ((input.shape[0] if input.ndim else 1) or math.nan)
    return reduced(losses, reduction, "kl_div")


def poisson_nll_loss(
    input: Tensor,
    target: Tensor,
    log_input: bool = True,
    full: bool = False,
    size_average: bool | None = None,
    eps: float = 1e-8,
    reduce: bool | None = None,
    reduction: str = "mean",
) -> Tensor:
    """e**x - t x for the logarithm x of a rate (log_input), or x - t ln(x + eps);
    full: plus Stirling's ln t! where t > 1."""
    reduction = chosen("poisson_nll_loss", reduction, size_average, reduce)
    input, target = as_tensor(input), as_tensor(target)
    losses = F.exp(input) - target * input if log_input else input - target * F.log(input + eps)
    if full:
        t = F.where(F.greater(target, 1), target, 1)
        stirling = t * F.log(t) - t + F.log(t * (2 * math.pi)) * 0.5
        losses = losses + F.where(F.greater(target, 1), stirling, 0)
    return reduced(losses, reduction, "poisson_nll_loss")


def gaussian_nll_loss(
    input: Tensor, target: Tensor, var: Any, full: bool = False, eps: float = 1e-6, reduction: str = "mean"
) -> Tensor:
    """(ln v + (x - t)**2 / v) / 2, v the variance, at least eps; full: plus ln(2 pi) / 2.

    input, target: (..., D); var: a number, like input, or one for the last axis, (...) or (..., 1).
    """
    input, target = as_tensor(input), as_tensor(target)
    var = var if isinstance(var, Tensor) else wrap(as_array(var, input.dtype))
    if bounds(var)[0] < 0:
        raise ArgumentError(f"gaussian_nll_loss: var must not be negative: got {bounds(var)[0]:g}.")
    if var.ndim and var.shape != input.shape:
        if var.shape == input.shape[:-1]:
            var = F.expand_dims(var, axis=-1)
        elif var.ndim != input.ndim or sum(v for n, v in zip(input.shape, var.shape) if n != v) != 1:
            raise ShapeError(
                f"gaussian_nll_loss: var must be a number, {input.shape}, {input.shape[:-1]}, or have one axis of 1 "
                f"instead: got {var.shape}."
            )
    v = var + F.relu(eps - var).detach()  # PyTorch's clamp lets no gradient of its own through
    losses = (F.log(v) + F.square(input - target) / v) * 0.5
    return reduced(losses + 0.5 * math.log(2 * math.pi) if full else losses, reduction, "gaussian_nll_loss")
