"""Figures of numbers that were predicted. prediction and target: of one shape, (B, 1) and (B,) counting as one.

Sums are gathered in float64. MAE, MSE: over all numbers, as many outputs as there are.
"""

from __future__ import annotations

import math

import numpy as np

from ..errors import ArgumentError, IndexRangeError, ShapeError
from .metrics import Mean, Metric


def _pairs(who: str, prediction: np.ndarray, target: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    p, t = np.asarray(prediction, np.float64), np.asarray(target, np.float64)
    if p.shape != t.shape and p.squeeze().shape == t.squeeze().shape:
        p = p.reshape(t.shape)
    if p.shape != t.shape:
        raise ShapeError(f"{who}: needs a prediction for each target: got {p.shape}, {t.shape}.")
    return p, t


class _MeanOf(Metric):
    mode = "min"

    def __init__(self) -> None:
        self.reset()

    def reset(self) -> None:
        self.mean = Mean()

    def compute(self) -> float:
        return self.mean.value


class MAE(_MeanOf):
    """mean |prediction - target|."""

    name = "mae"

    def update(self, prediction: np.ndarray, target: np.ndarray) -> None:
        p, t = _pairs("MAE", prediction, target)
        self.mean.add(float(np.abs(p - t).mean()) if t.size else 0.0, t.size)


class MSE(_MeanOf):
    """mean (prediction - target)^2."""

    name = "mse"

    def update(self, prediction: np.ndarray, target: np.ndarray) -> None:
        p, t = _pairs("MSE", prediction, target)
        self.mean.add(float(np.square(p - t).mean()) if t.size else 0.0, t.size)


class R2(Metric):
    """1 - sum (target - prediction)^2 / sum (target - mean target)^2: 1 is perfect, 0 is as good as the mean.

    Of several outputs (B, D) the mean of theirs. Targets that are all the same give 1 if they are met, else 0, as in
    scikit-learn.

    >>> r2 = R2()
    >>> r2.update(np.array([1.0, 2.0, 4.0]), np.array([1.0, 2.0, 3.0]))
    >>> r2.compute()
    0.5
    """

    name = "r2"

    def __init__(self) -> None:
        self.reset()

    def reset(self) -> None:
        self.n = 0
        self.mean = self.spread = self.error = np.zeros(1)  # (D,): of the targets, about their mean; of the answers

    def update(self, prediction: np.ndarray, target: np.ndarray) -> None:
        p, t = _pairs("R2", prediction, target)
        if not t.size:
            return
        p, t = p.reshape(len(t), -1), t.reshape(len(t), -1)  # (B, D)
        # two groups of n and m with means a and b are spread about the joint mean by nm / (n + m) (a - b)^2 more
        # (Chan, Golub, LeVeque 1979): no difference of large sums
        n, m, mean = self.n, len(t), t.mean(axis=0)
        apart = mean - self.mean
        self.spread = self.spread + np.square(t - mean).sum(axis=0) + n * m / (n + m) * apart**2
        self.mean, self.n = self.mean + apart * (m / (n + m)), n + m
        self.error = self.error + np.square(t - p).sum(axis=0)

    def compute(self) -> float:
        if not self.n:
            return float("nan")
        constant = self.spread == 0
        ratio = np.where(constant, self.error > 0, self.error / np.where(constant, 1, self.spread))
        return float(np.mean(1 - ratio))


class Perplexity(_MeanOf):
    """exp of the mean of -ln softmax(scores)[target]: among how many equally likely ones the model hesitates.

    prediction: (..., K) scores; target: (...) integers; those equal to `ignore_index` (the padding) do not count.
    """

    name = "perplexity"

    def __init__(self, ignore_index: int | None = None):
        self.ignore_index = ignore_index
        super().__init__()

    def update(self, prediction: np.ndarray, target: np.ndarray) -> None:
        scores, target = np.asarray(prediction, np.float64), np.asarray(target)
        if scores.shape[:-1] != target.shape and scores[..., 0].size != target.size:
            raise ShapeError(
                f"Perplexity: needs (..., K) scores and (...) targets: got {scores.shape}, {target.shape}."
            )
        if target.dtype.kind not in "iu":
            raise ArgumentError(f"Perplexity: targets must be integers: got {target.dtype}.")
        scores, target = scores.reshape(-1, scores.shape[-1]), target.reshape(-1)
        if self.ignore_index is not None:
            kept = target != self.ignore_index
            scores, target = scores[kept], target[kept]
        if not target.size:
            return
        if target.min() < 0 or target.max() >= scores.shape[1]:
            raise IndexRangeError(
                f"Perplexity: targets must be from 0 to {scores.shape[1] - 1}: got {target.min()} to {target.max()}."
            )
        top = scores.max(axis=1)  # shift by the max: exp overflows
        log_sum = top + np.log(np.exp(scores - top[:, None]).sum(axis=1))
        self.mean.add(float((log_sum - scores[np.arange(len(target)), target]).mean()), target.size)

    def compute(self) -> float:
        try:
            return math.exp(self.mean.value)
        except OverflowError:
            return math.inf
