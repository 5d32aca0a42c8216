"""Figures gathered batch by batch: `reset`, then `update` with each batch, then `compute`.

prediction: (B, K) scores, the largest of which is the answer, or (B,) answers; target: (B,) classes. All on the host.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from ..errors import ArgumentError, IndexRangeError, ShapeError
from ..tensor import Tensor


class Metric:
    """Subclass with a `name` and the three methods. `mode`: which is better, "max", the larger value, or "min"."""

    name = "metric"
    mode = "max"

    def reset(self) -> None:
        """Forget everything."""
        raise NotImplementedError(f"{type(self).__name__} needs reset(), update(prediction, target) and compute().")

    def update(self, prediction: np.ndarray, target: np.ndarray) -> None:
        """Take in one batch."""
        raise NotImplementedError(f"{type(self).__name__} needs reset(), update(prediction, target) and compute().")

    def compute(self) -> Any:
        """The figure over all batches since `reset`."""
        raise NotImplementedError(f"{type(self).__name__} needs reset(), update(prediction, target) and compute().")

    def state_dict(self) -> dict[str, Any]:
        """What was gathered so far, as plain data and arrays."""
        return {k: v.state_dict() if isinstance(v, (Metric, Mean)) else v for k, v in vars(self).items()}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        for name, value in vars(self).items():
            if isinstance(value, (Metric, Mean)):
                value.load_state_dict(state[name])
            else:
                loaded = state[name]
                setattr(self, name, loaded.numpy() if isinstance(loaded, Tensor) else loaded)


class Mean:
    """A weighted mean, gathered in float64: ``add(value, weight)``, then ``value``."""

    def __init__(self) -> None:
        self.total = self.weight = 0.0

    def add(self, value: float, weight: float = 1.0) -> None:
        self.total += value * weight
        self.weight += weight

    @property
    def value(self) -> float:
        return self.total / self.weight if self.weight else float("nan")

    def state_dict(self) -> dict[str, float]:
        return {"total": self.total, "weight": self.weight}

    def load_state_dict(self, state: Mapping[str, float]) -> None:
        self.total, self.weight = float(state["total"]), float(state["weight"])


class Accuracy(Metric):
    """The share of right answers, from 0 to 1; NaN before the first.

    >>> accuracy = Accuracy()
    >>> accuracy.update(np.array([[0.1, 0.9], [0.8, 0.2]]), np.array([1, 1]))
    >>> accuracy.compute()
    0.5
    """

    name = "accuracy"

    def __init__(self) -> None:
        self.reset()

    def reset(self) -> None:
        self.mean = Mean()

    def update(self, prediction: np.ndarray, target: np.ndarray) -> None:
        answers, target = answered(prediction, target)
        self.mean.add(float(np.mean(answers == target)) if target.size else 0.0, target.size)

    def compute(self) -> float:
        return self.mean.value


class TopKAccuracy(Metric):
    """The share of samples whose class is among the k with the largest scores. prediction: (B, K)."""

    def __init__(self, k: int = 5):
        if k < 1:
            raise ArgumentError(f"TopKAccuracy: k must be positive: got {k}.")
        self.k, self.mean = k, Mean()

    @property
    def name(self) -> str:  # type: ignore[override]
        return f"top{self.k}_accuracy"

    def reset(self) -> None:
        self.mean = Mean()

    def update(self, prediction: np.ndarray, target: np.ndarray) -> None:
        scores = np.asarray(prediction)
        if scores.ndim != 2 or scores.shape[1] < self.k:
            raise ShapeError(f"TopKAccuracy: needs (B, K) scores of K >= {self.k} classes: got {scores.shape}.")
        _, target = answered(scores, target)
        # the rank of the true class: how many have a larger score, or the same and come before it (as argmax has it)
        own = np.take_along_axis(scores, target[:, None], axis=1)
        before = np.arange(scores.shape[1]) < target[:, None]
        rank = ((scores > own) | ((scores == own) & before)).sum(axis=1)
        self.mean.add(float(np.mean(rank < self.k)) if target.size else 0.0, target.size)

    def compute(self) -> float:
        return self.mean.value


class BinaryAccuracy(Metric):
    """The share of right answers of one score a sample, (B, 1) or (B,): positive scores say class 1.

    Targets may be 0 and 1, or -1 and 1.
    """

    name = "accuracy"

    def __init__(self) -> None:
        self.reset()

    def reset(self) -> None:
        self.mean = Mean()

    def update(self, prediction: np.ndarray, target: np.ndarray) -> None:
        scores, target = np.asarray(prediction).reshape(-1), np.asarray(target).reshape(-1)
        if scores.shape != target.shape:
            raise ShapeError(f"BinaryAccuracy: needs a score per target: got {scores.shape}, {target.shape}.")
        self.mean.add(float(np.mean((scores > 0) == (target > 0))) if target.size else 0.0, target.size)

    def compute(self) -> float:
        return self.mean.value


class ConfusionMatrix(Metric):
    """(K, K) counts: entry [i, j] is how many samples of class i were taken for class j."""

    name = "confusion_matrix"

    def __init__(self, classes: int):
        if classes < 1:
            raise ArgumentError(f"ConfusionMatrix: there must be at least one class: got {classes}.")
        self.classes = classes
        self.reset()

    def reset(self) -> None:
        self.counts = np.zeros((self.classes, self.classes), np.int64)

    def update(self, prediction: np.ndarray, target: np.ndarray) -> None:
        k = self.classes
        answers, target = answered(prediction, target)
        for name, values in (("answers", answers), ("targets", target)):
            if values.size and not (values.min() >= 0 and values.max() < k):
                raise IndexRangeError(
                    f"ConfusionMatrix: {name} must be from 0 to {k - 1}: got {values.min()} to {values.max()}."
                )
        self.counts += np.bincount(target * k + answers, minlength=k * k).reshape(k, k)

    def compute(self) -> np.ndarray:
        return self.counts.copy()


class _ByClass(Metric):
    """A figure of each class, averaged. average: "macro", every class the same; "weighted", by its number of samples;
    "micro", over all samples together, which is the accuracy; "binary", of class 1 of two; None, an array (K,).

    With "binary" a prediction may also be one score a sample, (B,) or (B, 1): positive scores say class 1. A figure
    that is 0/0 counts 0, as in scikit-learn.
    """

    def __init__(self, classes: int = 2, average: str | None = "macro"):
        if average not in ("macro", "micro", "weighted", "binary", None):
            raise ArgumentError(
                f'{type(self).__name__}: average must be "macro", "micro", "weighted", "binary" or None: '
                f"got {average!r}."
            )
        if average == "binary" and classes != 2:
            raise ArgumentError(f'{type(self).__name__}: average="binary" is for two classes: got {classes}.')
        self.average, self.matrix = average, ConfusionMatrix(classes)

    def reset(self) -> None:
        self.matrix.reset()

    def update(self, prediction: np.ndarray, target: np.ndarray) -> None:
        prediction = np.asarray(prediction)
        if self.average == "binary" and (prediction.ndim == 1 or prediction.shape[1] == 1):
            prediction = (prediction.reshape(len(prediction)) > 0).astype(np.int64)
        self.matrix.update(prediction, target)

    def compute(self) -> Any:
        counts = self.matrix.compute().astype(float)
        right, answers, samples = np.diag(counts), counts.sum(axis=0), counts.sum(axis=1)  # (K,) each
        if self.average == "micro":
            right, answers, samples = (v.sum(keepdims=True) for v in (right, answers, samples))
        figures = self.of(right, answers, samples)
        if self.average is None:
            return figures
        if self.average == "binary":
            return float(figures[1])
        return float(np.average(figures, weights=samples if self.average == "weighted" and samples.any() else None))

    def of(self, right: np.ndarray, answers: np.ndarray, samples: np.ndarray) -> np.ndarray:
        """The figure of each class: how often it was answered rightly, answered, and there. (K,) each."""
        raise NotImplementedError

    def state_dict(self) -> dict[str, Any]:
        return {"matrix": self.matrix.state_dict()}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        self.matrix.load_state_dict(state["matrix"])


class Precision(_ByClass):
    """Right answers / answers of each class, averaged as of F1."""

    name = "precision"

    def of(self, right: np.ndarray, answers: np.ndarray, samples: np.ndarray) -> np.ndarray:
        return right / np.maximum(answers, 1)


class Recall(_ByClass):
    """Right answers / samples of each class, averaged as of F1."""

    name = "recall"

    def of(self, right: np.ndarray, answers: np.ndarray, samples: np.ndarray) -> np.ndarray:
        return right / np.maximum(samples, 1)


class F1(_ByClass):
    """2 precision recall / (precision + recall) of each class, averaged: "macro", every class the same; "weighted", by
    its number of samples; "micro", over all samples, which is the accuracy; "binary", of class 1 of two; None, an
    array (K,). A class that never occurs and is never answered counts 0, as in scikit-learn.
    """

    name = "f1"

    def of(self, right: np.ndarray, answers: np.ndarray, samples: np.ndarray) -> np.ndarray:
        return 2 * right / np.maximum(answers + samples, 1)


class MatthewsCorrCoef(Metric):
    """The correlation of answers and classes, from -1 to 1; 0 where either is always the same.

    (n tr C - a.s) / sqrt((n^2 - a.a) (n^2 - s.s)), with C the confusion matrix, n its sum, a and s its column and row
    sums. Gorodkin 2004, doi:10.1016/j.compbiolchem.2004.09.006.
    """

    name = "matthews_correlation"

    def __init__(self, classes: int = 2):
        self.matrix = ConfusionMatrix(classes)

    def reset(self) -> None:
        self.matrix.reset()

    def update(self, prediction: np.ndarray, target: np.ndarray) -> None:
        self.matrix.update(prediction, target)

    def compute(self) -> float:
        counts = self.matrix.compute().astype(float)
        n, answers, samples = counts.sum(), counts.sum(axis=0), counts.sum(axis=1)
        spread = (n**2 - answers @ answers) * (n**2 - samples @ samples)
        return float((n * np.trace(counts) - answers @ samples) / np.sqrt(spread)) if spread else 0.0


def answered(prediction: np.ndarray, target: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The classes answered and the true ones, (B,) each, from scores or answers; of shares (B, K) the largest."""
    prediction, target = np.asarray(prediction), np.asarray(target)
    if target.ndim == 2 and target.shape == prediction.shape and target.dtype.kind == "f":  # mixed samples
        target = target.argmax(axis=1)
    if target.ndim != 1 or prediction.ndim not in (1, 2) or len(prediction) != len(target):
        raise ShapeError(
            f"metric: needs (B, K) or (B,) predictions and (B,) targets: got {prediction.shape}, {target.shape}."
        )
    answers = prediction.argmax(axis=1) if prediction.ndim == 2 else prediction
    return answers.astype(np.int64), target.astype(np.int64)
