"""Figures of how well scores put samples in order. They need all scores: memory grows with the data.

prediction: of two classes (B,) or (B, 1) scores of class 1, or (B, 2); of K classes (B, K), probabilities, or scores
that become such by softmax (where one is not from 0 to 1). target: (B,) classes.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from ..errors import ArgumentError, IndexRangeError, ShapeError
from ..tensor import Tensor
from .metrics import Metric


class _Ranking(Metric):
    """A figure of one class against the rest; of K > 2 classes the mean over them. average: "macro", every class the
    same; "weighted", by its number of samples; None, an array (K,). NaN where there are only right or only wrong ones.
    """

    def __init__(self, average: str | None = "macro"):
        if average not in ("macro", "weighted", None):
            raise ArgumentError(f'{type(self).__name__}: average must be "macro", "weighted" or None: got {average!r}.')
        self.average = average
        self.reset()

    def reset(self) -> None:
        self.scores: list[np.ndarray] = []
        self.targets: list[np.ndarray] = []

    def update(self, prediction: np.ndarray, target: np.ndarray) -> None:
        scores, target = np.array(prediction), np.array(target)  # copies: what is kept must not change
        scores = scores[:, None] if scores.ndim == 1 else scores
        if scores.ndim != 2 or target.shape != scores.shape[:1] or (self.scores and scores.shape[1:] != self.width):
            raise ShapeError(
                f"{type(self).__name__}: needs (B, K) or (B,) scores and (B,) targets, K as before: "
                f"got {scores.shape}, {target.shape}."
            )
        classes = max(scores.shape[1], 2)
        if target.size and not (target.min() >= 0 and target.max() < classes):
            raise IndexRangeError(
                f"{type(self).__name__}: targets must be from 0 to {classes - 1}: got {target.min()} to {target.max()}."
            )
        self.scores.append(scores)
        self.targets.append(target)

    @property
    def width(self) -> tuple[int, ...]:
        return self.scores[0].shape[1:]

    def compute(self) -> Any:
        if not self.scores:
            return float("nan")
        scores, targets = np.concatenate(self.scores), np.concatenate(self.targets)
        if scores.shape[1] <= 2:
            return self.of(scores[:, 0] if scores.shape[1] == 1 else scores[:, 1] - scores[:, 0], targets == 1)
        if scores.min() < 0 or scores.max() > 1:
            scores = np.exp(scores - scores.max(axis=1, keepdims=True))
            scores /= scores.sum(axis=1, keepdims=True)
        figures = np.array([self.of(scores[:, k], targets == k) for k in range(scores.shape[1])])
        if self.average is None:
            return figures
        samples = np.bincount(targets.astype(np.int64), minlength=len(figures))
        return float(np.average(figures, weights=samples if self.average == "weighted" else None))

    def of(self, scores: np.ndarray, positive: np.ndarray) -> float:
        """(N,) scores, (N,) booleans."""
        raise NotImplementedError

    def state_dict(self) -> dict[str, Any]:
        if not self.scores:
            return {"scores": None, "targets": None}
        return {"scores": np.concatenate(self.scores), "targets": np.concatenate(self.targets)}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        host = lambda v: [] if v is None else [v.numpy() if isinstance(v, Tensor) else v]
        self.scores, self.targets = host(state["scores"]), host(state["targets"])


class ROCAUC(_Ranking):
    """The area under the ROC curve: how likely a sample of the class has a larger score than one that is not of it, a
    tie counting half. Of K > 2 classes, each against the rest.
    Hanley, McNeil 1982, doi:10.1148/radiology.143.1.7063747.

    >>> auc = ROCAUC()
    >>> auc.update(np.array([0.1, 0.4, 0.35, 0.8]), np.array([0, 0, 1, 1]))
    >>> auc.compute()
    0.75
    """

    name = "roc_auc"

    def of(self, scores: np.ndarray, positive: np.ndarray) -> float:
        n, m = int(positive.sum()), int((~positive).sum())
        if not n or not m:
            return float("nan")
        # the sum of the positives' ranks, equal scores sharing theirs, less that of n alone: Mann and Whitney's U
        _, place, times = np.unique(scores, return_inverse=True, return_counts=True)
        ranks = (np.cumsum(times) - (times - 1) / 2)[place]
        return float((ranks[positive].sum() - n * (n + 1) / 2) / (n * m))


class AveragePrecision(_Ranking):
    """sum over the thresholds of (recall - the recall before) precision, from the largest score down."""

    name = "average_precision"

    def of(self, scores: np.ndarray, positive: np.ndarray) -> float:
        n = int(positive.sum())
        if not n:
            return float("nan")
        order = np.argsort(-scores, kind="stable")
        scores, right = scores[order], np.cumsum(positive[order])
        last = np.append(np.flatnonzero(np.diff(scores)), len(scores) - 1)  # equal scores share a threshold
        precision, recall = right[last] / (last + 1), right[last] / n
        return float(np.diff(recall, prepend=0.0) @ precision)
