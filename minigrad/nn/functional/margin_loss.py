"""Losses that are content once a margin is kept: of classes, ranks and distances. reduction: 'mean' (default), 'sum' or
'none'."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ...errors import ArgumentError, DTypeError, IndexRangeError, ShapeError
from ...tensor import F, Tensor, wrap
from .checks import check_range, look
from .norm import vector_norm
from .reduction import as_tensor, check_reduction, chosen, pair, reduced


def hinge_loss(input: Tensor, target: Tensor, reduction: str = "mean") -> Tensor:
    """max(0, 1 - t x), t = -1 or 1: the loss of a support vector machine. input, target: any one shape."""
    input, target = _signed(input, target, "hinge_loss")
    return reduced(F.relu(1 - input * target), reduction, "hinge_loss")


def squared_hinge_loss(input: Tensor, target: Tensor, reduction: str = "mean") -> Tensor:
    """max(0, 1 - t x)**2, t = -1 or 1: the loss of scikit-learn's LinearSVC. input, target: any one shape."""
    input, target = _signed(input, target, "squared_hinge_loss")
    return reduced(F.square(F.relu(1 - input * target)), reduction, "squared_hinge_loss")


def _signed(input: Any, target: Any, who: str) -> tuple[Tensor, Tensor]:
    """input and target as tensors of one shape. A target of 0 would be a constant loss: an error."""
    input, target = pair(input, target, who)

    def check(low: Any, high: Any) -> None:
        if not low == high == 1:
            raise ArgumentError(f"{who}: targets must be -1 or 1. For labels 0 and 1 use 2 * target - 1.")

    look(F.square(target.detach()), check)
    return input, target


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
    input, target = pair(input, target, "hinge_embedding_loss")
    apart = F.where(F.not_equal(target, 1), F.relu(margin - input), 0)
    return reduced(apart + F.where(F.not_equal(target, -1), input, 0), reduction, "hinge_embedding_loss")


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
    input, target = as_tensor(input), as_tensor(target)
    if weight is not None and weight.shape != input.shape[-1:]:
        raise ShapeError(
            f"multi_margin_loss: weight must have one factor per class: got {weight.shape} for {input.shape}."
        )
    terms, target, others = _margins(input, target, margin, "multi_margin_loss")
    terms = terms if p == 1 else F.square(terms)
    terms = terms if weight is None else terms * F.expand_dims(weight[target], axis=-1)
    losses = F.sum(F.where(others, terms, 0), axis=-1) / terms.shape[-1]
    return reduced(losses, reduction, "multi_margin_loss")


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
    terms, _, others = _margins(as_tensor(input), as_tensor(target), margin, who)
    terms = F.where(others, F.square(terms) if squared else terms, 0)  # (B, K)
    losses = F.max(terms, axis=-1) if kind == "crammer-singer" else F.sum(terms, axis=-1)  # (B,)
    return reduced(losses, reduction, who)


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
    input, target = as_tensor(input), as_tensor(target)
    if target.shape != input.shape or input.ndim > 2 or not (input.shape[-1:] or (1,))[0]:
        raise ShapeError(f"{who}: input and target must both be (B, K) or (K,): got {input.shape}, {target.shape}.")
    if not input.ndim:
        input, target = F.reshape(input, (1,)), F.reshape(target, (1,))
    k = input.shape[-1]
    if target.dtype.kind not in "iu":
        raise DTypeError(f"{who}: labels must be integers: got {target.dtype}. Use .astype('int64').")

    def check(low: int, high: int) -> None:
        if low < -1 or high >= k:
            wrong = low if low < -1 else high
            raise IndexRangeError(
                f"{who}: labels must be from 0 to K - 1 = {k - 1}, and -1 behind the last: got {wrong}."
            )

    look(target, check)
    listed = F.equal(F.cumsum(F.less(target, 0).astype("int64"), axis=-1), 0)  # (B, K): before the first -1
    places = F.where(listed, target, 0)
    owned = F.greater(
        F.add_along_axis(listed.astype("int64"), places, axis=-1, size=k), 0
    )  # (B, K): class j is a label
    own = F.take_along_axis(input, places, axis=-1)  # (B, K)
    terms = F.relu(1 - F.expand_dims(own, axis=-1) + F.expand_dims(input, axis=-2))  # (B, label, class)
    counted = F.logical_and(F.expand_dims(listed, axis=-1), F.logical_not(F.expand_dims(owned, axis=-2)))
    return reduced(F.sum(F.where(counted, terms, 0), axis=(-2, -1)) / k, reduction, who)


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
    input, target = pair(input, target, who)
    losses = F.softplus(input) - input * target  # (..., K)
    losses = losses if weight is None else losses * weight
    return reduced(F.mean(losses, axis=-1) if losses.ndim else losses, reduction, who)


def soft_margin_loss(
    input: Tensor,
    target: Tensor,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
) -> Tensor:
    """ln(1 + e**(-t x)), t = -1 or 1. input, target: any one shape."""
    reduction = chosen("soft_margin_loss", reduction, size_average, reduce)
    input, target = pair(input, target, "soft_margin_loss")
    return reduced(F.softplus(-target * input), reduction, "soft_margin_loss")


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
    input1, input2, target = as_tensor(input1), as_tensor(input2), as_tensor(target)
    if not input1.ndim == input2.ndim == target.ndim:
        raise ShapeError(
            "margin_ranking_loss: input1, input2 and target must have as many axes: got "
            f"{input1.shape}, {input2.shape} and {target.shape}."
        )
    return reduced(F.relu(-target * (input1 - input2) + margin), reduction, "margin_ranking_loss")


def cosine_similarity(x1: Tensor, x2: Tensor, dim: int = 1, eps: float = 1e-8) -> Tensor:
    """x1 . x2 / (max(|x1|, eps) max(|x2|, eps)) along `dim` of both, broadcast against each other."""
    if x1.shape != x2.shape:
        x1, x2 = x1 + x2 * 0, x2 + x1 * 0  # dim counts in the common shape
    norms = [F.maximum(vector_norm(x, 2, dim), eps) for x in (x1, x2)]
    return F.sum(x1 * x2, axis=dim) / (norms[0] * norms[1])


def pairwise_distance(x1: Tensor, x2: Tensor, p: float = 2.0, eps: float = 1e-6, keepdim: bool = False) -> Tensor:
    """||x1 - x2 + eps||_p over the last axis."""
    return vector_norm(x1 - x2 + eps, p, -1, keepdim)


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
    return reduced(F.relu(near - far + margin), reduction, who)


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
    target = as_tensor(target)
    if not (input1.ndim == input2.ndim == target.ndim + 1 and target.ndim < 2):
        raise ShapeError(
            f"{who}: inputs (B, D) need target (B,), and (D,) needs (): got {input1.shape}, {input2.shape} and "
            f"{target.shape}."
        )
    squares = [F.sum(F.square(x), axis=-1) + 1e-12 for x in (input1, input2)]  # PyTorch's epsilon
    cos = F.sum(input1 * input2, axis=-1) / F.sqrt(squares[0] * squares[1])
    losses = F.where(F.equal(target, 1), 1 - cos, 0) + F.where(F.equal(target, -1), F.relu(cos - margin), 0)
    return reduced(losses, reduction, who)
