"""What the recipes on tables share."""

from __future__ import annotations

import numpy as np

from ..data import ArrayDataset, Subset, breast_cancer, random_split
from ..random import Generator
from .run import Run


def standardized(features: np.ndarray) -> np.ndarray:
    """Every column with mean 0 and variance 1. (N, D) to (N, D)."""
    return (features - features.mean(axis=0)) / features.std(axis=0)


def tumours(run: Run, targets: np.ndarray) -> list[Subset]:
    """The breast cancer data, four fifths to learn from and one to test, each class in the same share.

    targets: what the two classes, malignant and benign, are called by the loss: (2,).
    """
    table = breast_cancer()
    everything = ArrayDataset(standardized(table.features), targets[table.targets])
    return random_split(everything, [0.8, 0.2], stratify=table.targets, generator=Generator(run.seed))
