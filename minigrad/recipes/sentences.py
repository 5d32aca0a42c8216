"""What the recipes on texts share: sentences in batches, and the film reviews in three parts."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..data import ArrayDataset, Dataset, Subset, movie_reviews, padded, random_split
from ..random import Generator
from .run import Run

POLARITY = ("negative", "positive")


class Sentences(Dataset):
    """Sentences as lists of numbers, with what belongs to each. A batch is filled up with 0, (B, T).

    columns: one entry per sample each, lists of numbers or an array (N, ...).
    """

    def __init__(self, *columns: Any):
        self.columns = columns

    def __len__(self) -> int:
        return len(self.columns[0])

    def __getitem__(self, index: int) -> tuple:
        return tuple(column[index] for column in self.columns)

    def batch(self, indices: np.ndarray) -> tuple[np.ndarray, ...]:
        return tuple(c[indices] if isinstance(c, np.ndarray) else padded([c[i] for i in indices]) for c in self.columns)


class ByLength:
    """A sampler whose batches hold sentences of about one length, so that little is filled up. lengths: (N,) or (N, K),
    compared column by column.

    The shuffled sentences are sorted within pools of some batches, and the batches are shuffled: those of no two passes
    are the same.

    >>> ByLength([3, 1, 2, 3, 2, 1, 9], batch_size=2)(Generator(0)).tolist()[-1]
    6
    """

    def __init__(self, lengths: Any, batch_size: int, pool: int = 50):
        self.lengths, self.batch_size, self.pool = np.asarray(lengths).reshape(len(lengths), -1), batch_size, pool

    def __len__(self) -> int:
        return len(self.lengths)

    def __call__(self, generator: Generator) -> np.ndarray:
        order, size = generator.numpy("permutation", len(self)), self.batch_size
        pools = [order[i : i + self.pool * size] for i in range(0, len(order), self.pool * size)]
        order = np.concatenate([pool[np.lexsort(self.lengths[pool].T[::-1])] for pool in pools])
        batches = [order[i : i + size] for i in range(0, len(order), size)]
        full = len(order) // size  # a last batch that is not full stays the last
        return np.concatenate([batches[i] for i in [*generator.numpy("permutation", full), *range(full, len(batches))]])


def reviews(run: Run) -> list[tuple[list[str], np.ndarray]]:
    """(texts, labels) to learn from, to validate and to test: 72, 8 and 20 % of the film reviews."""
    texts, labels, _ = movie_reviews()
    parts = random_split(
        ArrayDataset(np.arange(len(texts))), [0.72, 0.08, 0.2], stratify=labels, generator=Generator(run.seed)
    )
    if run.smoke:  # a few of each class, which come one after the other
        parts = [Subset(part, np.linspace(0, len(part) - 1, min(len(part), 96))) for part in parts]
    chosen = [part.whole()[0] for part in parts]  # places in the texts
    return [([texts[i] for i in part], labels[part]) for part in chosen]
