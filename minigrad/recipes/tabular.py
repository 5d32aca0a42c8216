"""What the recipes on tables share."""

from __future__ import annotations

import numpy as np

from ..data import ArrayDataset, Table, random_split
from ..random import Generator

SPLIT = 42  # the split is the same for every seed of a run, so that runs can be compared


def split(table: Table, targets: np.ndarray) -> list[ArrayDataset]:
    """Four fifths of a table to learn from, one to test, each class in the same share. Every column is scaled to mean 0
    and variance 1 over the part to learn from; the test part must not be seen before the test, not even for that.

    targets: what the loss wants in place of the table's, (N, 1).
    """
    classes = table.targets if table.classes else None
    parts = random_split(
        ArrayDataset(table.features, targets), [0.8, 0.2], stratify=classes, generator=Generator(SPLIT)
    )
    features, _ = parts[0].whole()
    mean, std = features.mean(axis=0), features.std(axis=0)
    return [ArrayDataset((x - mean) / std, y) for x, y in (part.whole() for part in parts)]
