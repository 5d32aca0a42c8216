"""Losses of predictions against targets.

reduction: 'mean' (default), 'sum' or 'none'. `size_average` and `reduce` are PyTorch's former spelling of it.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Sequence
from typing import Any

from ...convert import as_array
from ...errors import ArgumentError, DTypeError, IndexRangeError, ShapeError
from ...ops.ctc import NEVER
from ...tensor import F, Tensor, wrap
from .checks import bounds, check_range
from .linear import linear
from .norm import vector_norm


def chosen(who: str, reduction: str, size_average: bool | None, reduce: bool | None) -> str:
    """The reduction meant, if given by PyTorch's former switches `size_average` and `reduce`, with a warning."""
    if size_average is None and reduce is None:
        return reduction
    for name, value in (("size_average", size_average), ("reduce", reduce)):
        if value is not None and not isinstance(value, (bool, int)):
            hint = f" Pass reduction={value!r} by name." if isinstance(value, str) else ""
            raise ArgumentError(
                f"{who}: {name}, PyTorch's former spelling of reduction, must be True, False or None: got "
                f"{type(value).__name__}.{hint or ' Pass the options that follow by name.'}"
            )
    reduction = "none" if reduce is not None and not reduce else "mean" if size_average in (None, True) else "sum"
    warnings.warn(f"{who}: instead of size_average and reduce pass reduction={reduction!r}.", stacklevel=3)
    return reduction


def check_reduction(who: str, reduction: str) -> None:
    if reduction not in ("none", "mean", "sum"):
        raise ArgumentError(f"{who}: reduction must be 'none', 'mean' or 'sum': got {reduction!r}.")


def _tensor(x: Any) -> Tensor:
    return x if isinstance(x, Tensor) else wrap(as_array(x))


def _reduced(losses: Tensor, reduction: str, who: str) -> Tensor:
    if reduction == "mean":
        return F.mean(losses) if losses.size else F.sum(losses) * math.nan  # the mean of nothing
    if reduction == "sum":
        return F.sum(losses)
    check_reduction(who, reduction)
    return losses


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
    input = _tensor(input)
    target = _tensor(target)
    if input.shape != target.shape:
        hint = ""
        if sorted(filter(lambda n: n != 1, input.shape)) == sorted(filter(lambda n: n != 1, target.shape)):
            hint = f" Use target.reshape({input.shape})."
        raise ShapeError(f"{who}: input and target must have one shape: got {input.shape} and {target.shape}.{hint}")
    return input, target if target.dtype.kind in "fc" else target.astype(input.dtype)


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
    input, target = _pair(input, target, "mse_loss")
    return _weighted(F.square(input - target), weight, reduction, "mse_loss")


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
    input, target = _pair(input, target, "l1_loss")
    return _weighted(F.abs(input - target), weight, reduction, "l1_loss")


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
    input = _tensor(input)
    target = _tensor(target)
    who = "cross_entropy"
    reduction = chosen(who, reduction, size_average, reduce)
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
    size_average: bool | None = None,
    ignore_index: int = -100,
    reduce: bool | None = None,
    reduction: str = "mean",
) -> Tensor:
    """-w[t] x[t] for log-probabilities x. Shapes and the meaning of 'mean' as for cross_entropy with class indices."""
    reduction = chosen("nll_loss", reduction, size_average, reduce)
    return _class_loss(_picked, _tensor(input), target, weight, ignore_index, reduction, "nll_loss")


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
    target = _tensor(target)
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
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
    pos_weight: Tensor | None = None,
) -> Tensor:
    """-(t log s + (1 - t) log(1 - s)) with s = sigmoid(x), computed as softplus(x) - t x, which cannot overflow.

    pos_weight: factor of the positive term, broadcast along the last axes. input, target: any one shape.
    """
    reduction = chosen("binary_cross_entropy_with_logits", reduction, size_average, reduce)
    input, target = _pair(input, target, "binary_cross_entropy_with_logits")
    if pos_weight is None:
        losses = F.softplus(input) - input * target
    else:  # (1 - t) x + (1 + (w - 1) t) softplus(-x)
        losses = input - input * target + ((pos_weight - 1) * target + 1) * F.softplus(-input)
    losses = losses if weight is None else losses * weight
    return _reduced(losses, reduction, "binary_cross_entropy_with_logits")


def hinge_loss(input: Tensor, target: Tensor, reduction: str = "mean") -> Tensor:
    """max(0, 1 - t x), t = -1 or 1: the loss of a support vector machine. input, target: any one shape."""
    input, target = _signed(input, target, "hinge_loss")
    return _reduced(F.relu(1 - input * target), reduction, "hinge_loss")


def squared_hinge_loss(input: Tensor, target: Tensor, reduction: str = "mean") -> Tensor:
    """max(0, 1 - t x)**2, t = -1 or 1: the loss of scikit-learn's LinearSVC. input, target: any one shape."""
    input, target = _signed(input, target, "squared_hinge_loss")
    return _reduced(F.square(F.relu(1 - input * target)), reduction, "squared_hinge_loss")


def _signed(input: Any, target: Any, who: str) -> tuple[Tensor, Tensor]:
    """input and target as tensors of one shape. A target of 0 would be a constant loss: an error."""
    input, target = _pair(input, target, who)
    t = target.array
    if not bool(((t == 1) | (t == -1)).all()):
        raise ArgumentError(f"{who}: targets must be -1 or 1. For labels 0 and 1 use 2 * target - 1.")
    return input, target


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

    return _class_loss(losses, _tensor(input), target, weight, ignore_index, reduction, "focal_loss")


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
    input, target = _pair(input, target, who)
    losses = F.softplus(input) - input * target
    if gamma:
        s = F.sigmoid(input)
        losses = losses * F.power(s + target - 2 * s * target, gamma)
    if alpha is not None:
        losses = losses * (alpha * target + (1 - alpha) * (1 - target))
    return _reduced(losses, reduction, who)


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
    input, target = _tensor(input), _tensor(target)
    if log_target:
        losses = F.exp(target) * (target - input)
    else:
        positive = F.greater(target, 0)
        losses = F.where(positive, target * F.log(F.where(positive, target, 1)), 0) - target * input
    if reduction == "batchmean":
        return F.sum(losses) / ((input.shape[0] if input.ndim else 1) or math.nan)
    return _reduced(losses, reduction, "kl_div")


def hinge_embedding_loss(
    input: Tensor,
    target: Tensor,
    margin: float = 1.0,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
) -> Tensor:
    """x where t = 1, max(0, margin - x) where t = -1: x is a distance that should be small or large."""
    reduction = chosen("hinge_embedding_loss", reduction, size_average, reduce)
    input, target = _pair(input, target, "hinge_embedding_loss")
    apart = F.where(F.not_equal(target, 1), F.relu(margin - input), 0)
    return _reduced(apart + F.where(F.not_equal(target, -1), input, 0), reduction, "hinge_embedding_loss")


def multi_margin_loss(
    input: Tensor,
    target: Tensor,
    p: int = 1,
    margin: float = 1.0,
    weight: Tensor | None = None,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
) -> Tensor:
    """sum over j != t of w[t] max(0, margin - x[t] + x[j])**p / K, p = 1 or 2. input: (B, K) or (K,); target: (B,) or
    (); weight: (K,).

    The multi-class hinge of Weston and Watkins 1999, ESANN, divided by K; `multiclass_hinge_loss` has it undivided.
    """
    reduction = chosen("multi_margin_loss", reduction, size_average, reduce)
    if p not in (1, 2):
        raise ArgumentError(f"multi_margin_loss: p must be 1 or 2: got {p}.")
    input, target = _tensor(input), _tensor(target)
    if weight is not None and weight.shape != input.shape[-1:]:
        raise ShapeError(
            f"multi_margin_loss: weight must have one factor per class: got {weight.shape} for {input.shape}."
        )
    terms, target, others = _margins(input, target, margin, "multi_margin_loss")
    terms = terms if p == 1 else F.square(terms)
    terms = terms if weight is None else terms * F.expand_dims(weight[target], axis=-1)
    losses = F.sum(F.where(others, terms, 0), axis=-1) / terms.shape[-1]
    return _reduced(losses, reduction, "multi_margin_loss")


def _margins(input: Tensor, target: Tensor, margin: float, who: str) -> tuple[Tensor, Tensor, Tensor]:
    """max(0, margin - x[t] + x[j]) for every class j, (B, K); the labels (B,); and True where j != t, (B, K)."""
    if input.ndim < 2 and target.size == 1:  # one score is one class
        input, target = F.reshape(input, (-1,)), F.reshape(target, ())
    if input.ndim not in (1, 2) or target.shape != input.shape[:-1] or not input.shape[-1]:
        raise ShapeError(f"{who}: input (B, K) needs target (B,): got {input.shape} and {target.shape}.")
    check_range(who, target, input.shape[-1], "labels", "K")
    own = F.expand_dims(target, axis=-1)  # (B, 1)
    others = F.not_equal(wrap(input.backend.xp.arange(input.shape[-1])), own)  # (B, K)
    return F.relu(input - F.take_along_axis(input, own, axis=-1) + margin), target, others


def multiclass_hinge_loss(
    input: Tensor,
    target: Tensor,
    kind: str = "crammer-singer",
    margin: float = 1.0,
    squared: bool = False,
    reduction: str = "mean",
) -> Tensor:
    """The hinge of a classifier of K classes. input: scores (B, K) or (K,); target: labels (B,) or ().

    kind 'crammer-singer': max(0, margin + max over j != t of x[j] - x[t]), Crammer and Singer 2001, JMLR 2 (the
    hinge_loss of scikit-learn's metrics, CategoricalHinge of Keras); 'weston-watkins': sum over j != t of max(0,
    margin + x[j] - x[t]), Weston and Watkins 1999, ESANN. squared: each max(0, ...) squared. Not in PyTorch.

    >>> import minigrad as mg
    >>> scores, labels = mg.tensor([[2.0, 1.5, 1.2]]), mg.tensor([0])
    >>> round(multiclass_hinge_loss(scores, labels).item(), 3)
    0.5
    >>> round(multiclass_hinge_loss(scores, labels, kind="weston-watkins").item(), 3)
    0.7
    """
    who = "multiclass_hinge_loss"
    if kind not in ("crammer-singer", "weston-watkins"):
        raise ArgumentError(f"{who}: kind must be 'crammer-singer' or 'weston-watkins': got {kind!r}.")
    terms, _, others = _margins(_tensor(input), _tensor(target), margin, who)
    terms = F.where(others, F.square(terms) if squared else terms, 0)  # (B, K)
    losses = F.max(terms, axis=-1) if kind == "crammer-singer" else F.sum(terms, axis=-1)  # (B,)
    return _reduced(losses, reduction, who)


def multilabel_margin_loss(
    input: Tensor,
    target: Tensor,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
) -> Tensor:
    """sum over the labels t, and j not among them, of max(0, 1 - x[t] + x[j]) / K. input: (B, K) or (K,).

    target: integers shaped like input, a sample's labels followed by -1; what comes after the first -1 does not count.
    """
    who = "multilabel_margin_loss"
    reduction = chosen(who, reduction, size_average, reduce)
    check_reduction(who, reduction)
    input, target = _tensor(input), _tensor(target)
    if target.shape != input.shape or input.ndim > 2 or not (input.shape[-1:] or (1,))[0]:
        raise ShapeError(f"{who}: input and target must both be (B, K) or (K,): got {input.shape}, {target.shape}.")
    if not input.ndim:
        input, target = F.reshape(input, (1,)), F.reshape(target, (1,))
    k = input.shape[-1]
    if target.dtype.kind not in "iu":
        raise DTypeError(f"{who}: labels must be integers: got {target.dtype}. Use .astype('int64').")
    low, high = bounds(target)
    if low < -1 or high >= k:
        raise IndexRangeError(
            f"{who}: labels must be from 0 to K - 1 = {k - 1}, and -1 behind the last: got {low if low < -1 else high}."
        )
    listed = F.equal(F.cumsum(F.less(target, 0).astype("int64"), axis=-1), 0)  # (B, K): before the first -1
    places = F.where(listed, target, 0)
    owned = F.greater(
        F.add_along_axis(listed.astype("int64"), places, axis=-1, size=k), 0
    )  # (B, K): class j is a label
    own = F.take_along_axis(input, places, axis=-1)  # (B, K)
    terms = F.relu(1 - F.expand_dims(own, axis=-1) + F.expand_dims(input, axis=-2))  # (B, label, class)
    counted = F.logical_and(F.expand_dims(listed, axis=-1), F.logical_not(F.expand_dims(owned, axis=-2)))
    return _reduced(F.sum(F.where(counted, terms, 0), axis=(-2, -1)) / k, reduction, who)


def multilabel_soft_margin_loss(
    input: Tensor,
    target: Tensor,
    weight: Tensor | None = None,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
) -> Tensor:
    """-(t log s + (1 - t) log(1 - s)) with s = sigmoid(x), averaged over the classes. input, target: (..., K);
    weight: (K,)."""
    who = "multilabel_soft_margin_loss"
    reduction = chosen(who, reduction, size_average, reduce)
    input, target = _pair(input, target, who)
    losses = F.softplus(input) - input * target  # (..., K)
    losses = losses if weight is None else losses * weight
    return _reduced(F.mean(losses, axis=-1) if losses.ndim else losses, reduction, who)


def soft_margin_loss(
    input: Tensor,
    target: Tensor,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
) -> Tensor:
    """ln(1 + e**(-t x)), t = -1 or 1. input, target: any one shape."""
    reduction = chosen("soft_margin_loss", reduction, size_average, reduce)
    input, target = _pair(input, target, "soft_margin_loss")
    return _reduced(F.softplus(-target * input), reduction, "soft_margin_loss")


def margin_ranking_loss(
    input1: Tensor,
    input2: Tensor,
    target: Tensor,
    margin: float = 0.0,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
) -> Tensor:
    """max(0, margin - t (x1 - x2)), t = 1: x1 should be larger, t = -1: x2. Shapes broadcast, with as many axes."""
    reduction = chosen("margin_ranking_loss", reduction, size_average, reduce)
    input1, input2, target = _tensor(input1), _tensor(input2), _tensor(target)
    if not input1.ndim == input2.ndim == target.ndim:
        raise ShapeError(
            "margin_ranking_loss: input1, input2 and target must have as many axes: got "
            f"{input1.shape}, {input2.shape} and {target.shape}."
        )
    return _reduced(F.relu(-target * (input1 - input2) + margin), reduction, "margin_ranking_loss")


def cosine_similarity(x1: Tensor, x2: Tensor, dim: int = 1, eps: float = 1e-8) -> Tensor:
    """x1 . x2 / (max(|x1|, eps) max(|x2|, eps)) along `dim` of both, broadcast against each other."""
    if x1.shape != x2.shape:
        x1, x2 = x1 + x2 * 0, x2 + x1 * 0  # dim counts in the common shape
    norms = [F.maximum(vector_norm(x, 2, dim), eps) for x in (x1, x2)]
    return F.sum(x1 * x2, axis=dim) / (norms[0] * norms[1])


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
    input, target = _tensor(input), _tensor(target)
    losses = F.exp(input) - target * input if log_input else input - target * F.log(input + eps)
    if full:
        t = F.where(F.greater(target, 1), target, 1)
        stirling = t * F.log(t) - t + F.log(t * (2 * math.pi)) * 0.5
        losses = losses + F.where(F.greater(target, 1), stirling, 0)
    return _reduced(losses, reduction, "poisson_nll_loss")


def gaussian_nll_loss(
    input: Tensor, target: Tensor, var: Any, full: bool = False, eps: float = 1e-6, reduction: str = "mean"
) -> Tensor:
    """(ln v + (x - t)**2 / v) / 2, v the variance, at least eps; full: plus ln(2 pi) / 2.

    input, target: (..., D); var: a number, like input, or one for the last axis, (...) or (..., 1).
    """
    input, target = _tensor(input), _tensor(target)
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
    return _reduced(losses + 0.5 * math.log(2 * math.pi) if full else losses, reduction, "gaussian_nll_loss")


def triplet_margin_loss(
    anchor: Tensor,
    positive: Tensor,
    negative: Tensor,
    margin: float = 1.0,
    p: float = 2,
    eps: float = 1e-6,
    swap: bool = False,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
) -> Tensor:
    """max(0, d(a, p) - d(a, n) + margin) with d(x, y) = ||x - y + eps||_p over the last axis;
    swap: the nearer of a, p to n. Shapes: (B, D) or (D,). Balntas et al. 2016, BMVC."""
    reduction = chosen("triplet_margin_loss", reduction, size_average, reduce)
    distance = lambda x, y: pairwise_distance(x, y, p, eps)
    return _triplet(anchor, positive, negative, distance, margin, swap, reduction, "triplet_margin_loss")


def triplet_margin_with_distance_loss(
    anchor: Tensor,
    positive: Tensor,
    negative: Tensor,
    *,
    distance_function: Callable[[Tensor, Tensor], Tensor] | None = None,
    margin: float = 1.0,
    swap: bool = False,
    reduction: str = "mean",
) -> Tensor:
    """max(0, d(a, p) - d(a, n) + margin) with d = distance_function(x, y), None: pairwise_distance; swap: the nearer of
    a, p to n."""
    distance = pairwise_distance if distance_function is None else distance_function
    who = "triplet_margin_with_distance_loss"
    return _triplet(anchor, positive, negative, distance, margin, swap, reduction, who)


def _triplet(anchor, positive, negative, distance, margin, swap, reduction, who):
    check_reduction(who, reduction)
    if margin <= 0:
        raise ArgumentError(f"{who}: margin must be above 0: got {margin}.")
    if not anchor.ndim == positive.ndim == negative.ndim:
        raise ShapeError(
            f"{who}: anchor, positive and negative must have as many axes: got {anchor.shape}, {positive.shape} and "
            f"{negative.shape}."
        )
    near, far = distance(anchor, positive), distance(anchor, negative)
    if swap:
        far = F.minimum(far, distance(positive, negative))
    return _reduced(F.relu(near - far + margin), reduction, who)


def pairwise_distance(x1: Tensor, x2: Tensor, p: float = 2.0, eps: float = 1e-6, keepdim: bool = False) -> Tensor:
    """||x1 - x2 + eps||_p over the last axis."""
    return vector_norm(x1 - x2 + eps, p, -1, keepdim)


def cosine_embedding_loss(
    input1: Tensor,
    input2: Tensor,
    target: Tensor,
    margin: float = 0.0,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
) -> Tensor:
    """1 - cos(x1, x2) where t = 1, max(0, cos - margin) where t = -1. inputs: (B, D) or (D,); target: (B,) or ()."""
    who = "cosine_embedding_loss"
    reduction = chosen(who, reduction, size_average, reduce)
    target = _tensor(target)
    if not (input1.ndim == input2.ndim == target.ndim + 1 and target.ndim < 2):
        raise ShapeError(
            f"{who}: inputs (B, D) need target (B,), and (D,) needs (): got {input1.shape}, {input2.shape} and "
            f"{target.shape}."
        )
    squares = [F.sum(F.square(x), axis=-1) + 1e-12 for x in (input1, input2)]  # PyTorch's epsilon
    cos = F.sum(input1 * input2, axis=-1) / F.sqrt(squares[0] * squares[1])
    losses = F.where(F.equal(target, 1), 1 - cos, 0) + F.where(F.equal(target, -1), F.relu(cos - margin), 0)
    return _reduced(losses, reduction, who)


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
    input, target = _tensor(input), _tensor(target)
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


def ctc_loss(
    log_probs: Tensor,
    targets: Tensor,
    input_lengths: Tensor | Sequence[int],
    target_lengths: Tensor | Sequence[int],
    blank: int = 0,
    reduction: str = "mean",
    zero_infinity: bool = False,
) -> Tensor:
    """-ln of the probability of a sequence of labels, summed over all its places in time.

    log_probs: (T, B, C) or (T, C), as log_softmax gives them; targets: labels (B, L), padded with anything, or all
    samples' in a row (sum of target_lengths,); lengths: (B,), or () without a batch axis; blank: the class between
    labels. 'mean' divides each loss by its target length, then averages over the batch. A sequence that needs more
    steps than there are costs infinity, or with zero_infinity 0; its gradient is 0 (PyTorch's is NaN where the loss is
    infinite). Graves et al. 2006, ICML.

    The gradient is that of the formula. PyTorch's adds e**log_probs at every step that counts, which is what is left
    of it behind a log_softmax; the gradients of the scores in front of one are the same.

    >>> import minigrad as mg
    >>> logp = mg.zeros(5, 1, 3).log_softmax(axis=-1)  # five steps, three classes, all equally likely
    >>> loss = ctc_loss(logp, mg.tensor([[1, 2]]), [5], [2], reduction="sum")
    >>> round((-loss).exp().item() * 3**5)  # as many of the 3**5 paths read 1, 2
    35
    """
    who = "ctc_loss"
    check_reduction(who, reduction)
    logp, targets = _tensor(log_probs), _tensor(targets)
    if logp.ndim not in (2, 3) or logp.dtype.kind != "f":
        raise ShapeError(f"{who}: log_probs must be floats (T, B, C) or (T, C): got {logp.dtype} {logp.shape}.")
    single = logp.ndim == 2
    logp = F.expand_dims(logp, axis=1) if single else logp
    t, b, c = logp.shape
    if not 0 <= blank < c:
        raise IndexRangeError(f"{who}: blank must be a class, from 0 to C - 1 = {c - 1}: got {blank}.")
    steps, lengths = (_lengths(n, b, name, who) for n, name in ((input_lengths, "input"), (target_lengths, "target")))
    labels = _padded(targets, lengths, single, who)  # (B, L)
    steps, lengths, labels = map(logp.backend.asarray, (steps, lengths, labels))
    xp = logp.backend.xp
    place = xp.arange(labels.shape[1])
    counted = place[None] < lengths[:, None]  # (B, L)
    labels = xp.where(counted, labels, blank)
    low, high = (labels.min(), labels.max()) if labels.size else (0, 0)
    if low < 0 or high >= c:
        raise IndexRangeError(f"{who}: labels must be from 0 to C - 1 = {c - 1}: got {int(low if low < 0 else high)}.")
    if steps.size and (steps.min() < 0 or steps.max() > t):
        raise ArgumentError(f"{who}: input_lengths must be from 0 to T = {t}: got {steps.tolist()}.")
    if not b:
        return _reduced(F.sum(logp, axis=(0, 2)), reduction, who)
    states = xp.full((b, 2 * labels.shape[1] + 1), blank)  # (B, S): a blank around each label
    states[:, 1::2] = labels
    skips = xp.zeros(states.shape, "int64")
    skips[:, 1::2] = labels != blank
    skips[:, 3::2] *= labels[:, 1:] != labels[:, :-1]  # between two equal labels a blank must stand
    skips[:, 1:2] = 1  # a path may begin with the first label
    if t:
        loss = F.ctc_loss(logp, *map(wrap, (states, skips, xp.maximum(steps, 1), 2 * lengths)))  # (B,)
    else:
        loss = F.sum(logp, axis=(0, 2))
    never = F.logical_or(wrap((steps == 0) & (lengths > 0)), F.greater(loss, -NEVER / 10))  # no path
    loss = F.where(never, 0 if zero_infinity else math.inf, loss)
    loss = F.where(wrap((steps == 0) & (lengths == 0)), 0, loss)
    if reduction == "mean":
        return F.mean(loss / wrap(xp.maximum(lengths, 1)).astype(loss.dtype))
    return _reduced(F.squeeze(loss, axis=0) if single else loss, reduction, who)


def _lengths(lengths: Any, b: int, name: str, who: str) -> Any:
    """(B,) integers, also from a list or a single number."""
    t = _tensor(lengths)
    if t.dtype.kind not in "iu" and t.size:
        raise DTypeError(f"{who}: {name}_lengths must be integers: got {t.dtype}. Use .astype('int64').")
    if t.size != b or t.ndim > 1:
        raise ShapeError(f"{who}: {name}_lengths must have one length a sample, ({b},): got {t.shape}.")
    return t.array.reshape(-1).astype("int64")


def _padded(targets: Tensor, lengths: Any, single: bool, who: str) -> Any:
    """The labels as integers (B, L); targets may be that, one sample's (L,), or all samples' in a row."""
    if targets.dtype.kind not in "iu" and targets.size:
        raise DTypeError(f"{who}: labels must be integers: got {targets.dtype}. Use .astype('int64').")
    labels, b = targets.array.astype("int64"), lengths.size
    longest = int(lengths.max()) if b else 0
    if b and lengths.min() < 0:
        raise ArgumentError(f"{who}: target_lengths must not be negative: got {lengths.tolist()}.")
    if labels.ndim == 2 and labels.shape[0] == b:
        if longest > labels.shape[1]:
            raise ShapeError(
                f"{who}: targets {labels.shape} must hold target_lengths labels: the longest is {longest}."
            )
        return labels[:, :longest]
    total = int(lengths.sum())
    if labels.ndim != 1 or (labels.size < total if single else labels.size != total):
        raise ShapeError(
            f"{who}: targets must be (B, L) = ({b}, {longest}), or the {total} labels of all samples in a row: got "
            f"{labels.shape}."
        )
    xp = targets.backend.xp
    starts = xp.cumsum(lengths) - lengths  # (B,)
    places = starts[:, None] + xp.arange(longest)[None]  # (B, L)
    return labels[xp.minimum(places, max(labels.size - 1, 0))] if labels.size else places
