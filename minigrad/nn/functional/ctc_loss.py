"""Connectionist temporal classification: the loss of a sequence whose places are not known."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from ...errors import ArgumentError, DTypeError, IndexRangeError, ShapeError
from ...ops.ctc import NEVER
from ...primitive import kind_of
from ...tensor import F, Tensor, wrap
from .checks import bounds
from .reduction import as_tensor, check_reduction, reduced


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
    logp, targets = as_tensor(log_probs), as_tensor(targets)
    if logp.ndim not in (2, 3) or kind_of(logp.dtype) != "f":
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
    low, high = bounds(wrap(labels))
    if low < 0 or high >= c:
        raise IndexRangeError(f"{who}: labels must be from 0 to C - 1 = {c - 1}: got {low if low < 0 else high}.")
    shortest, longest = bounds(wrap(steps))
    if shortest < 0 or longest > t:
        raise ArgumentError(f"{who}: input_lengths must be from 0 to T = {t}: got {shortest} to {longest}.")
    if not b:
        return reduced(F.sum(logp, axis=(0, 2)), reduction, who)
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
    return reduced(F.squeeze(loss, axis=0) if single else loss, reduction, who)


def _lengths(lengths: Any, b: int, name: str, who: str) -> Any:
    """(B,) integers, also from a list or a single number."""
    t = as_tensor(lengths)
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
    shortest, longest = bounds(wrap(lengths))
    if shortest < 0:
        raise ArgumentError(f"{who}: target_lengths must not be negative: got {shortest}.")
    if labels.ndim == 2 and labels.shape[0] == b:
        if longest > labels.shape[1]:
            raise ShapeError(
                f"{who}: targets {labels.shape} must hold target_lengths labels: the longest is {longest}."
            )
        return labels[:, :longest]
    total = int(targets.backend.to_host(lengths.sum()))
    if labels.ndim != 1 or (labels.size < total if single else labels.size != total):
        raise ShapeError(
            f"{who}: targets must be (B, L) = ({b}, {longest}), or the {total} labels of all samples in a row: got "
            f"{labels.shape}."
        )
    xp = targets.backend.xp
    starts = xp.cumsum(lengths) - lengths  # (B,)
    places = starts[:, None] + xp.arange(longest)[None]  # (B, L)
    return labels[xp.minimum(places, max(labels.size - 1, 0))] if labels.size else places
