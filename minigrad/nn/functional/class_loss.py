"""Losses of predicted classes against the true ones. reduction: 'mean' (default), 'sum' or 'none'."""

from __future__ import annotations

import math
from typing import Any

from ...errors import ArgumentError, DTypeError, IndexRangeError, ShapeError
from ...mistakes import computed_by, warn_once
from ...primitive import kind_of
from ...tensor import F, Tensor
from .checks import bounds, look
from .linear import linear
from .reduction import as_tensor, chosen, nonzero, pair, reduced


def cross_entropy(
    input: Tensor,
    target: Tensor,
    weight: Tensor | None = None,
    size_average: bool | None = None,
    ignore_index: int = -100,
    reduce: bool | None = None,
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
    input = as_tensor(input)
    target = as_tensor(target)
    who = "cross_entropy"
    reduction = chosen(who, reduction, size_average, reduce)
    shape = input.shape
    if not shape:
        raise ShapeError(f"{who}: input must be (K,), (B, K) or (B, K, ...): got a 0-d tensor.")
    if not 0 <= label_smoothing <= 1:
        raise ArgumentError(f"{who}: label_smoothing must be from 0 to 1: got {label_smoothing}.")
    axis = 1 if len(shape) > 1 else 0
    _refuse_probabilities(who, input, "softmax")
    k = shape[axis]
    if weight is not None and weight.shape != (k,):
        raise ShapeError(f"{who}: weight must have one factor per class: got {weight.shape} for {k} classes.")
    soft = target.shape == shape and kind_of(target.dtype) == "f"
    if not soft and not label_smoothing:
        return _class_loss(_cross_entropies, input, target, weight, ignore_index, reduction, who)
    logp = F.log_softmax(input, axis=axis)
    if soft and ignore_index >= 0:
        raise ArgumentError(f"{who}: ignore_index needs labels: target {target.shape} holds probabilities.")
    if soft:
        return _soft_cross_entropy(logp, target, weight, axis, reduction, label_smoothing)
    loss = _class_loss(_picked, logp, target, weight, ignore_index, reduction, who)
    smooth = -F.sum(logp if weight is None else logp * _along_classes(weight, logp), axis=axis)  # (B, ...)
    kept = F.not_equal(target, ignore_index)
    smooth = F.where(kept, smooth, 0)
    if reduction == "mean":
        share = F.sum(kept) if weight is None else F.sum(F.where(kept, weight[F.where(kept, target, 0)], 0))
        smooth = F.sum(smooth) / nonzero(share.astype(logp.dtype))
    elif reduction == "sum":
        smooth = F.sum(smooth)
    return loss * (1 - label_smoothing) + smooth * (label_smoothing / k)


def _refuse_probabilities(who: str, input: Tensor, own: str) -> None:
    """Warn where a loss that takes scores, and applies `own` to them, is given what softmax or sigmoid made of them."""
    if input.node is not None and (name := computed_by(input, "softmax", "sigmoid")):
        warn_once(
            f"{who}: input must be scores (logits), to which it applies {own} itself: got the output of {name}. "
            f"Leave {name} out of the model, or apply it to predictions only."
        )


def _along_classes(weight: Tensor, x: Tensor) -> Tensor:
    """(K,) shaped to broadcast over (B, K, ...)."""
    return F.reshape(weight, (-1, *[1] * (x.ndim - 2)))


def _soft_cross_entropy(logp, target, weight, axis, reduction, label_smoothing):
    k = logp.shape[axis]
    if label_smoothing:
        target = target * (1 - label_smoothing) + label_smoothing / k
    terms = logp * target
    terms = terms if weight is None else terms * _along_classes(weight, logp)
    if reduction == "mean":
        return -F.sum(terms) / ((logp.size // k if k else 0) or math.nan)
    return reduced(-F.sum(terms, axis=axis), reduction, "cross_entropy")


def nll_loss(
    input: Tensor,
    target: Tensor,
    weight: Tensor | None = None,
    size_average: bool | None = None,
    ignore_index: int = -100,
    reduce: bool | None = None,
    reduction: str = "mean",
) -> Tensor:
    """-w[t] x[t] for log-probabilities x. Shapes and the meaning of 'mean' as for cross_entropy with class indices."""
    if isinstance(input, Tensor) and computed_by(input, "softmax"):
        warn_once(
            "nll_loss: input must be log-probabilities: got the output of softmax. Use log_softmax, or cross_entropy "
            "of the scores."
        )
    reduction = chosen("nll_loss", reduction, size_average, reduce)
    return _class_loss(_picked, as_tensor(input), target, weight, ignore_index, reduction, "nll_loss")


def _picked(x: Tensor, places: Tensor, axis: int) -> Tensor:
    """-x[t] for log-probabilities x: (B, K, ...) and labels (B, ...)."""
    return -F.squeeze(F.take_along_axis(x, F.expand_dims(places, axis=axis), axis=axis), axis=axis)


def _cross_entropies(x: Tensor, places: Tensor, axis: int) -> Tensor:
    """-log_softmax(x)[t] for scores x: (B, K, ...) and labels (B, ...)."""
    shape = x.shape
    if len(shape) == 2 and 0 not in shape and kind_of(x.dtype) == "f":
        return F.cross_entropy(x, places)
    return _picked(F.log_softmax(x, axis=axis), places, axis)


def _class_loss(losses_of, input, target, weight, ignore_index, reduction, _who):
    """The losses_of(input, labels, axis), weighted, without the ignored ones, and reduced."""
    target, shape = as_tensor(target), input.shape
    axis = 1 if len(shape) > 1 else 0
    expected = shape[:axis] + shape[axis + 1 :]
    if target.shape != expected:
        hint = " Of one-hot labels take target.argmax(1). Probabilities must be floats."
        hint = hint if target.shape == input.shape else ""
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
    k = shape[axis]

    def check(low: int, high: int) -> None:
        if low < 0 or high >= k:
            raise IndexRangeError(
                f"{_who}: labels must be from 0 to K - 1 = {k - 1} for input {shape}, or "
                f"ignore_index={ignore_index}: "
                f"got {low if low < 0 else high}. Labels count from 0; K is the length of axis {axis}."
            )

    later = target.backend.defers  # on a GPU nobody waits for the labels
    low, high = (ignore_index, ignore_index) if later else bounds(target)
    mask = F.not_equal(target, ignore_index) if low <= ignore_index <= high else None
    places = target if mask is None else F.multiply(target, mask)  # ignored ones point at class 0
    if later or mask is not None:
        look(places, check)
    elif 0 not in expected:
        check(low, high)
    losses = losses_of(input, places, axis)  # (B, ...)
    if mask is not None:
        losses = F.where(mask, losses, 0)
    factors = None if mask is None else mask.astype(losses.dtype)
    if weight is not None:
        losses = losses * weight[places]
        factors = weight[places] if factors is None else weight[places] * factors
    if factors is None:
        return reduced(losses, reduction, _who)
    if reduction == "mean":
        return F.sum(losses) / nonzero(F.sum(factors))
    return reduced(losses, reduction, _who)


def linear_cross_entropy(
    input: Tensor,
    linear_weight: Tensor,
    target: Tensor,
    *,
    linear_bias: Tensor | None = None,
    weight: Tensor | None = None,
    reduction: str = "mean",
    ignore_index: int | None = None,
    label_smoothing: float = 0.0,
    options: Any = None,
) -> Tensor:
    """cross_entropy(x W^T + b, t). input: (B, I) or (I,); linear_weight: (K, I) or (K, d1, ..., I); linear_bias: (K,)
    or (K, d1, ...); target: as cross_entropy's for scores (B, K, d1, ...).

    `options`, PyTorch's choice of pieces, is accepted and ignored: the product is formed at once.
    """
    who = "linear_cross_entropy"
    input, target = as_tensor(input), as_tensor(target)
    if input.ndim not in (1, 2) or linear_weight.ndim < 2 or input.shape[-1] != linear_weight.shape[-1]:
        raise ShapeError(
            f"{who}: input (B, I) or (I,) needs linear_weight (K, ..., I): got {input.shape} and {linear_weight.shape}."
        )
    places = linear_weight.shape[:-1]  # (K, d1, ...)
    if linear_bias is not None and linear_bias.shape != places:
        raise ShapeError(f"{who}: linear_bias must be {places}: got {linear_bias.shape}.")
    if input.ndim == 1 and len(places) > 1:
        raise ShapeError(f"{who}: linear_weight {linear_weight.shape} needs input (B, I): got {input.shape}.")
    shape = (*input.shape[:-1], *places)
    if ignore_index is not None and target.shape == shape:
        raise ArgumentError(f"{who}: ignore_index needs labels: target {target.shape} holds probabilities.")
    bias = linear_bias if linear_bias is None else F.reshape(linear_bias, (-1,))
    scores = F.reshape(linear(input, F.reshape(linear_weight, (-1, input.shape[-1])), bias), shape)
    return cross_entropy(
        scores,
        target,
        weight=weight,
        ignore_index=-100 if ignore_index is None else ignore_index,
        reduction=reduction,
        label_smoothing=label_smoothing,
    )


def binary_cross_entropy(
    input: Tensor,
    target: Tensor,
    weight: Tensor | None = None,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
) -> Tensor:
    """-(t log x + (1 - t) log(1 - x)) for probabilities x; logs are at least -100, as in PyTorch. Any one shape.

    For scores, binary_cross_entropy_with_logits is exact where sigmoid rounds to 0 or 1.
    """
    reduction = chosen("binary_cross_entropy", reduction, size_average, reduce)
    input, target = pair(input, target, "binary_cross_entropy")

    def check(low: float, high: float) -> None:
        if low < 0 or high > 1:
            raise ArgumentError(
                f"binary_cross_entropy: input must be probabilities, from 0 to 1: got {low:g} to {high:g}. "
                "For scores use binary_cross_entropy_with_logits."
            )

    look(input, check)
    losses = F.binary_cross_entropy(input, target)
    return reduced(losses if weight is None else losses * weight, reduction, "binary_cross_entropy")


def binary_cross_entropy_with_logits(
    input: Tensor,
    target: Tensor,
    weight: Tensor | None = None,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
    pos_weight: Tensor | None = None,
) -> Tensor:
    """-(t log s + (1 - t) log(1 - s)) with s = sigmoid(x), computed as softplus(x) - t x, which cannot overflow.

    pos_weight: factor of the positive term, broadcast along the last axes. input, target: any one shape.
    """
    reduction = chosen("binary_cross_entropy_with_logits", reduction, size_average, reduce)
    input, target = pair(input, target, "binary_cross_entropy_with_logits")
    _refuse_probabilities("binary_cross_entropy_with_logits", input, "sigmoid")
    if pos_weight is None:
        losses = F.softplus(input) - input * target
    else:  # (1 - t) x + (1 + (w - 1) t) softplus(-x)
        losses = input - input * target + ((pos_weight - 1) * target + 1) * F.softplus(-input)
    losses = losses if weight is None else losses * weight
    return reduced(losses, reduction, "binary_cross_entropy_with_logits")


def focal_loss(
    input: Tensor,
    target: Tensor,
    gamma: float = 2.0,
    weight: Tensor | None = None,
    ignore_index: int = -100,
    reduction: str = "mean",
) -> Tensor:
    """-w[t] (1 - p)**gamma ln p with p = softmax(x)[t]: cross-entropy that cares less about what is easy.

    input: (K,), (B, K) or (B, K, d1, ...); target: labels (), (B,) or (B, d1, ...); weight: (K,), the paper's alpha.
    gamma = 0 is cross_entropy, whose 'mean' this is. Lin et al. 2017, arXiv:1708.02002, equation 5. Not in PyTorch.

    >>> import minigrad as mg
    >>> x, t = mg.tensor([[2.0, 0.0]]), mg.tensor([0])
    >>> round(focal_loss(x, t, gamma=0.0).item(), 4), round(focal_loss(x, t).item(), 4)
    (0.1269, 0.0018)
    """
    if gamma < 0:
        raise ArgumentError(f"focal_loss: gamma must not be negative: got {gamma}.")

    def losses(x: Tensor, places: Tensor, axis: int) -> Tensor:
        loss = _cross_entropies(x, places, axis)  # (B, ...), -ln p
        return F.power(-F.expm1(-loss), gamma) * loss if gamma else loss

    return _class_loss(losses, as_tensor(input), target, weight, ignore_index, reduction, "focal_loss")


def binary_focal_loss(
    input: Tensor,
    target: Tensor,
    alpha: float | None = 0.25,
    gamma: float = 2.0,
    reduction: str = "mean",
) -> Tensor:
    """-a (1 - q)**gamma ln q, q = s where t = 1 and 1 - s where t = 0, s = sigmoid(x); a = alpha, or 1 - alpha where
    t = 0 (None: 1). input, target: any one shape.

    t between 0 and 1: ln q is the cross-entropy, q = s t + (1 - s)(1 - t), a = alpha t + (1 - alpha)(1 - t).
    Lin et al. 2017, arXiv:1708.02002, equation 5; torchvision's sigmoid_focal_loss, whose reduction is 'none'.

    >>> import minigrad as mg
    >>> round(binary_focal_loss(mg.tensor([0.0]), mg.tensor([1.0])).item(), 4)
    0.0433
    """
    who = "binary_focal_loss"
    if gamma < 0 or (alpha is not None and not 0 <= alpha <= 1):
        raise ArgumentError(f"{who}: gamma must not be negative, alpha from 0 to 1 or None: got {gamma}, {alpha}.")
    input, target = pair(input, target, who)
    losses = F.softplus(input) - input * target
    if gamma:
        s = F.sigmoid(input)
        losses = losses * F.power(s + target - 2 * s * target, gamma)
    if alpha is not None:
        losses = losses * (alpha * target + (1 - alpha) * (1 - target))
    return reduced(losses, reduction, who)
