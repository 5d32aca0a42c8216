"""Losses of predictions against targets."""

from __future__ import annotations

import math
from typing import Any

from ...convert import as_array
from ...errors import ArgumentError, DTypeError, IndexRangeError, ShapeError
from ...tensor import F, Tensor, wrap
from .checks import bounds, check_range


def _reduced(losses: Tensor, reduction: str, who: str) -> Tensor:
    if reduction == "mean":
        return F.mean(losses) if losses.size else F.sum(losses) * math.nan  # the mean of nothing
    if reduction == "sum":
        return F.sum(losses)
    if reduction == "none":
        return losses
    raise ArgumentError(f"{who}: reduction must be 'none', 'mean' or 'sum': got {reduction!r}.")


def _weighted(losses: Tensor, weight: Tensor | None, reduction: str, who: str) -> Tensor:
    """With a factor per element 'mean' divides by the sum of the factors, as PyTorch does."""
    if weight is None:
        return _reduced(losses, reduction, who)
    if weight.shape != losses.shape:
        raise ShapeError(f"{who}: weight must have the shape of the input: got {weight.shape} for {losses.shape}.")
    losses = losses * weight
    return F.sum(losses) / _nonzero(F.sum(weight)) if reduction == "mean" else _reduced(losses, reduction, who)


def _pair(input: Any, target: Any, who: str) -> tuple[Tensor, Tensor]:
    """input and target as tensors of one shape; a target of integers takes the dtype of the input."""
    input = input if isinstance(input, Tensor) else wrap(as_array(input))
    target = target if isinstance(target, Tensor) else wrap(as_array(target))
    if input.shape != target.shape:
        hint = ""
        if sorted(filter(lambda n: n != 1, input.shape)) == sorted(filter(lambda n: n != 1, target.shape)):
            hint = f" Use target.reshape({input.shape})."
        raise ShapeError(f"{who}: input and target must have one shape: got {input.shape} and {target.shape}.{hint}")
    return input, target if target.dtype.kind in "fc" else target.astype(input.dtype)


def mse_loss(input: Tensor, target: Tensor, reduction: str = "mean", weight: Tensor | None = None) -> Tensor:
    """(x - t)**2, averaged. input, target: any one shape."""
    input, target = _pair(input, target, "mse_loss")
    return _weighted(F.square(input - target), weight, reduction, "mse_loss")


def l1_loss(input: Tensor, target: Tensor, reduction: str = "mean", weight: Tensor | None = None) -> Tensor:
    """|x - t|, averaged. input, target: any one shape."""
    input, target = _pair(input, target, "l1_loss")
    return _weighted(F.abs(input - target), weight, reduction, "l1_loss")


def cross_entropy(
    input: Tensor,
    target: Tensor,
    weight: Tensor | None = None,
    ignore_index: int = -100,
    reduction: str = "mean",
    label_smoothing: float = 0.0,
) -> Tensor:
    """-log softmax(x)[t]: the loss of a classifier that outputs scores (logits).

    input: (K,), (B, K) or (B, K, d1, ...). target:
    class indices () , (B,) or (B, d1, ...), or probabilities shaped like input.
    weight: (K,), a factor per class. With indices, 'mean' divides by the sum of the factors of the targets that are not
    ignore_index, as PyTorch does; with probabilities by the number of samples.
    label_smoothing e: t becomes (1 - e) t + e / K.
    """
    input = input if isinstance(input, Tensor) else wrap(as_array(input))
    target = target if isinstance(target, Tensor) else wrap(as_array(target))
    who = "cross_entropy"
    if not input.ndim:
        raise ShapeError(f"{who}: input must be (K,), (B, K) or (B, K, ...): got a 0-d tensor.")
    if not 0 <= label_smoothing <= 1:
        raise ArgumentError(f"{who}: label_smoothing must be from 0 to 1: got {label_smoothing}.")
    axis = 1 if input.ndim > 1 else 0
    k = input.shape[axis]
    if weight is not None and weight.shape != (k,):
        raise ShapeError(f"{who}: weight must have one factor per class: got {weight.shape} for {k} classes.")
    soft = target.shape == input.shape and target.dtype.kind == "f"
    if not soft and not label_smoothing:
        return _class_loss(_cross_entropies, input, target, weight, ignore_index, reduction, who)
    logp = F.log_softmax(input, axis=axis)
    if soft:
        return _soft_cross_entropy(logp, target, weight, axis, reduction, label_smoothing)
    loss = _class_loss(_picked, logp, target, weight, ignore_index, reduction, who)
    smooth = -F.sum(logp if weight is None else logp * _along_classes(weight, logp), axis=axis)  # (B, ...)
    kept = F.not_equal(target, ignore_index)
    smooth = F.where(kept, smooth, 0)
    if reduction == "mean":
        share = F.sum(kept) if weight is None else F.sum(F.where(kept, weight[F.where(kept, target, 0)], 0))
        smooth = F.sum(smooth) / _nonzero(share.astype(logp.dtype))
    elif reduction == "sum":
        smooth = F.sum(smooth)
    return loss * (1 - label_smoothing) + smooth * (label_smoothing / k)


def _along_classes(weight: Tensor, x: Tensor) -> Tensor:
    """(K,) shaped to broadcast over (B, K, ...)."""
    return F.reshape(weight, (-1, *[1] * (x.ndim - 2)))


def _nonzero(count: Tensor) -> Tensor:
    """The divisor of a mean, NaN instead of 0: the mean of nothing is NaN, without a warning."""
    return F.where(F.equal(count, 0), math.nan, count)


def _soft_cross_entropy(logp, target, weight, axis, reduction, label_smoothing):
    k = logp.shape[axis]
    if label_smoothing:
        target = target * (1 - label_smoothing) + label_smoothing / k
    terms = logp * target
    terms = terms if weight is None else terms * _along_classes(weight, logp)
    if reduction == "mean":
        return -F.sum(terms) / ((logp.size // k if k else 0) or math.nan)
    return _reduced(-F.sum(terms, axis=axis), reduction, "cross_entropy")


def nll_loss(
    input: Tensor,
    target: Tensor,
    weight: Tensor | None = None,
    ignore_index: int = -100,
    reduction: str = "mean",
) -> Tensor:
    """-w[t] x[t] for log-probabilities x. Shapes and the meaning of 'mean' as for cross_entropy with class indices."""
    return _class_loss(_picked, input, target, weight, ignore_index, reduction, "nll_loss")


def _picked(x: Tensor, places: Tensor, axis: int) -> Tensor:
    """-x[t] for log-probabilities x: (B, K, ...) and labels (B, ...)."""
    return -F.squeeze(F.take_along_axis(x, F.expand_dims(places, axis=axis), axis=axis), axis=axis)


def _cross_entropies(x: Tensor, places: Tensor, axis: int) -> Tensor:
    """-log_softmax(x)[t] for scores x: (B, K, ...) and labels (B, ...)."""
    if x.ndim == 2 and x.size and x.dtype.kind == "f":
        return F.cross_entropy(x, places)
    return _picked(F.log_softmax(x, axis=axis), places, axis)


def _class_loss(losses_of, input, target, weight, ignore_index, reduction, _who):
    """The losses_of(input, labels, axis), weighted, without the ignored ones, and reduced."""
    target = target if isinstance(target, Tensor) else wrap(as_array(target))
    axis = 1 if input.ndim > 1 else 0
    expected = input.shape[:axis] + input.shape[axis + 1 :]
    if target.shape != expected:
        hint = " Probabilities must be floats." if target.shape == input.shape else ""
        if target.shape == (*expected, 1):
            hint = " Use target[..., 0]."
        raise ShapeError(
            f"{_who}: class indices must be {expected} for input {input.shape}, whose classes are axis {axis}: "
            f"got {target.shape}.{hint}"
        )
    if target.dtype.kind not in "iu":
        raise DTypeError(f"{_who}: class indices must be integers: got {target.dtype}. Use .astype('int64').")
    if reduction not in ("none", "mean", "sum"):
        raise ArgumentError(f"{_who}: reduction must be 'none', 'mean' or 'sum': got {reduction!r}.")
    k, labels = input.shape[axis], target.array
    low, high = bounds(target)
    mask = labels != ignore_index if low <= ignore_index <= high else None
    places = target if mask is None else wrap(labels * mask)  # ignored ones point at class 0
    if mask is not None:
        low, high = bounds(places)
    if labels.size and (low < 0 or high >= k):
        raise IndexRangeError(
            f"{_who}: labels must be from 0 to K - 1 = {k - 1} for input {input.shape}, or "
            f"ignore_index={ignore_index}: "
            f"got {low if low < 0 else high}. Labels count from 0; K is the length of axis {axis}."
        )
    losses = losses_of(input, places, axis)  # (B, ...)
    if mask is not None:
        losses = F.where(wrap(mask), losses, 0)
    factors = None if mask is None else wrap(mask.astype(losses.dtype))
    if weight is not None:
        losses = losses * weight[places]
        factors = weight[places] if factors is None else weight[places] * factors
    if factors is None:
        return _reduced(losses, reduction, _who)
    if reduction == "mean":
        return F.sum(losses) / _nonzero(F.sum(factors))
    return _reduced(losses, reduction, _who)


def binary_cross_entropy_with_logits(
    input: Tensor,
    target: Tensor,
    weight: Tensor | None = None,
    reduction: str = "mean",
    pos_weight: Tensor | None = None,
) -> Tensor:
    """-(t log s + (1 - t) log(1 - s)) with s = sigmoid(x), computed as softplus(x) - t x, which cannot overflow.

    pos_weight: factor of the positive term, broadcast along the last axes. input, target: any one shape.
    """
    input, target = _pair(input, target, "binary_cross_entropy_with_logits")
    if pos_weight is None:
        losses = F.softplus(input) - input * target
    else:  # (1 - t) x + (1 + (w - 1) t) softplus(-x)
        losses = input - input * target + ((pos_weight - 1) * target + 1) * F.softplus(-input)
    losses = losses if weight is None else losses * weight
    return _reduced(losses, reduction, "binary_cross_entropy_with_logits")


def hinge_loss(input: Tensor, target: Tensor, reduction: str = "mean") -> Tensor:
    """max(0, 1 - t x), t = -1 or 1: the loss of a support vector machine. input, target: any one shape."""
    input, target = _pair(input, target, "hinge_loss")
    return _reduced(F.relu(1 - input * target), reduction, "hinge_loss")


def smooth_l1_loss(input: Tensor, target: Tensor, reduction: str = "mean", beta: float = 1.0) -> Tensor:
    """(x - t)**2 / (2 beta) where |x - t| < beta, else |x - t| - beta / 2. Girshick 2015, arXiv:1504.08083."""
    if beta < 0:
        raise ArgumentError(f"smooth_l1_loss: beta must not be negative: got {beta}.")
    if beta == 0:
        return l1_loss(input, target, reduction)
    input, target = _pair(input, target, "smooth_l1_loss")
    d = input - target
    near = F.less(F.abs(d), beta)
    return _reduced(F.where(near, F.square(d) * (0.5 / beta), F.abs(d) - 0.5 * beta), reduction, "smooth_l1_loss")


def huber_loss(
    input: Tensor, target: Tensor, reduction: str = "mean", delta: float = 1.0, weight: Tensor | None = None
) -> Tensor:
    """(x - t)**2 / 2 where |x - t| < delta, else delta (|x - t| - delta / 2). Huber 1964, Ann. Math. Statist. 35."""
    if delta <= 0:
        raise ArgumentError(f"huber_loss: delta must be above 0: got {delta}.")
    input, target = _pair(input, target, "huber_loss")
    d = input - target
    near = F.less(F.abs(d), delta)
    losses = F.where(near, F.square(d) * 0.5, (F.abs(d) - 0.5 * delta) * delta)
    return _reduced(losses if weight is None else losses * weight, reduction, "huber_loss")


def binary_cross_entropy(
    input: Tensor, target: Tensor, weight: Tensor | None = None, reduction: str = "mean"
) -> Tensor:
    """-(t log x + (1 - t) log(1 - x)) for probabilities x; logs are at least -100, as in PyTorch. Any one shape.

    For scores, binary_cross_entropy_with_logits is exact where sigmoid rounds to 0 or 1.
    """
    input, target = _pair(input, target, "binary_cross_entropy")
    if input.size:
        low, high = bounds(input)
        if low < 0 or high > 1:
            raise ArgumentError(
                f"binary_cross_entropy: input must be probabilities, from 0 to 1: got {low:g} to {high:g}. "
                "For scores use binary_cross_entropy_with_logits."
            )
    losses = F.binary_cross_entropy(input, target)
    return _reduced(losses if weight is None else losses * weight, reduction, "binary_cross_entropy")


def kl_div(input: Tensor, target: Tensor, reduction: str = "mean", log_target: bool = False) -> Tensor:
    """t (log t - x) for log-probabilities x, 0 where t = 0.
    reduction also 'batchmean', the sum divided by the batch size."""
    if log_target:
        losses = F.exp(target) * (target - input)
    else:
        positive = F.greater(target, 0)
        losses = F.where(positive, target * F.log(F.where(positive, target, 1)), 0) - target * input
    if reduction == "batchmean":
        return F.sum(losses) / (input.shape[0] or math.nan)
    return _reduced(losses, reduction, "kl_div")


def hinge_embedding_loss(input: Tensor, target: Tensor, margin: float = 1.0, reduction: str = "mean") -> Tensor:
    """x where t = 1, max(0, margin - x) where t = -1: x is a distance that should be small or large."""
    input, target = _pair(input, target, "hinge_embedding_loss")
    apart = F.where(F.not_equal(target, 1), F.relu(margin - input), 0)
    return _reduced(apart + F.where(F.not_equal(target, -1), input, 0), reduction, "hinge_embedding_loss")


def multi_margin_loss(
    input: Tensor,
    target: Tensor,
    p: int = 1,
    margin: float = 1.0,
    weight: Tensor | None = None,
    reduction: str = "mean",
) -> Tensor:
    """sum over j != t of w[t] max(0, margin - x[t] + x[j])**p / K: the multi-class hinge.
    input: (B, K) or (K,); target: (B,) or ().

    Crammer and Singer 2001, JMLR 2.
    """
    target = target if isinstance(target, Tensor) else wrap(as_array(target))
    if p not in (1, 2):
        raise ArgumentError(f"multi_margin_loss: p must be 1 or 2: got {p}.")
    if input.ndim not in (1, 2) or target.shape != input.shape[:-1]:
        raise ShapeError(f"multi_margin_loss: input (B, K) needs target (B,): got {input.shape} and {target.shape}.")
    k = input.shape[-1]
    check_range("multi_margin_loss", target, k, "labels", "K")
    own = F.expand_dims(target, axis=-1)  # (B, 1)
    terms = F.relu(input - F.take_along_axis(input, own, axis=-1) + margin)  # (B, K)
    terms = terms if p == 1 else F.square(terms)
    terms = terms if weight is None else terms * F.expand_dims(weight[target], axis=-1)
    others = F.not_equal(wrap(input.backend.xp.arange(k)), own)  # (B, K)
    return _reduced(F.sum(F.where(others, terms, 0), axis=-1) / k, reduction, "multi_margin_loss")


def soft_margin_loss(input: Tensor, target: Tensor, reduction: str = "mean") -> Tensor:
    """ln(1 + e**(-t x)), t = -1 or 1."""
    input, target = _pair(input, target, "soft_margin_loss")
    return _reduced(F.softplus(-target * input), reduction, "soft_margin_loss")


def margin_ranking_loss(
    input1: Tensor, input2: Tensor, target: Tensor, margin: float = 0.0, reduction: str = "mean"
) -> Tensor:
    """max(0, margin - t (x1 - x2)), t = 1: x1 should be larger, t = -1: x2."""
    return _reduced(F.relu(-target * (input1 - input2) + margin), reduction, "margin_ranking_loss")


def cosine_similarity(x1: Tensor, x2: Tensor, dim: int = 1, eps: float = 1e-8) -> Tensor:
    """x1 . x2 / (max(|x1|, eps) max(|x2|, eps)) along `dim`."""
    norms = [F.maximum(F.sqrt(F.sum(F.square(x), axis=dim)), eps) for x in (x1, x2)]
    return F.sum(x1 * x2, axis=dim) / (norms[0] * norms[1])


def poisson_nll_loss(
    input: Tensor,
    target: Tensor,
    log_input: bool = True,
    full: bool = False,
    eps: float = 1e-8,
    reduction: str = "mean",
) -> Tensor:
    """e**x - t x for the logarithm x of a rate (log_input), or x - t ln(x + eps);
    full: plus Stirling's ln t! where t > 1."""
    losses = F.exp(input) - target * input if log_input else input - target * F.log(input + eps)
    if full:
        t = F.where(F.greater(target, 1), target, 1)
        stirling = t * F.log(t) - t + F.log(t * (2 * math.pi)) * 0.5
        losses = losses + F.where(F.greater(target, 1), stirling, 0)
    return _reduced(losses, reduction, "poisson_nll_loss")


def gaussian_nll_loss(
    input: Tensor, target: Tensor, var: Any, full: bool = False, eps: float = 1e-6, reduction: str = "mean"
) -> Tensor:
    """(ln v + (x - t)**2 / v) / 2, v the variance, at least eps; full: plus ln(2 pi) / 2."""
    var = var if isinstance(var, Tensor) else wrap(as_array(var, input.dtype))
    if bounds(var)[0] < 0:
        raise ArgumentError("gaussian_nll_loss: var must not be negative.")
    if var.ndim == input.ndim - 1 and var.shape == input.shape[:-1]:
        var = F.expand_dims(var, axis=-1)
    v = var + F.relu(eps - var).detach()  # PyTorch's clamp lets no gradient of its own through
    losses = (F.log(v) + F.square(input - target) / v) * 0.5
    return _reduced(losses + 0.5 * math.log(2 * math.pi) if full else losses, reduction, "gaussian_nll_loss")


def triplet_margin_loss(
    anchor: Tensor,
    positive: Tensor,
    negative: Tensor,
    margin: float = 1.0,
    p: float = 2,
    eps: float = 1e-6,
    swap: bool = False,
    reduction: str = "mean",
) -> Tensor:
    """max(0, d(a, p) - d(a, n) + margin) with d(x, y) = ||x - y + eps||_p over the last axis;
    swap: the nearer of a, p to n."""
    near, far = pairwise_distance(anchor, positive, p, eps), pairwise_distance(anchor, negative, p, eps)
    if swap:
        far = F.minimum(far, pairwise_distance(positive, negative, p, eps))
    return _reduced(F.relu(near - far + margin), reduction, "triplet_margin_loss")


def pairwise_distance(x1: Tensor, x2: Tensor, p: float = 2.0, eps: float = 1e-6, keepdim: bool = False) -> Tensor:
    """||x1 - x2 + eps||_p over the last axis."""
    d = x1 - x2 + eps
    if p == 2:
        return F.sqrt(F.sum(F.square(d), axis=-1, keepdims=keepdim))
    return F.power(F.sum(F.power(F.abs(d), p), axis=-1, keepdims=keepdim), 1 / p)


def cosine_embedding_loss(
    input1: Tensor, input2: Tensor, target: Tensor, margin: float = 0.0, reduction: str = "mean"
) -> Tensor:
    """1 - cos(x1, x2) where t = 1, max(0, cos - margin) where t = -1. inputs: (B, D) or (D,); target: (B,) or ()."""
    squares = [F.sum(F.square(x), axis=-1) + 1e-12 for x in (input1, input2)]  # PyTorch's epsilon
    cos = F.sum(input1 * input2, axis=-1) / F.sqrt(squares[0] * squares[1])
    losses = F.where(F.equal(target, 1), 1 - cos, 0) + F.where(F.equal(target, -1), F.relu(cos - margin), 0)
    return _reduced(losses, reduction, "cosine_embedding_loss")
