"""Samplers: which samples a pass of a DataLoader takes, and in which order.

A sampler is any iterable of indices with a length; or, where chance decides, ``sampler(generator) -> indices``, drawn
anew for every pass from the loader's generator, so that a resumed run draws the same.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from ..errors import ArgumentError, ShapeError
from ..random import Generator


class RandomSampler:
    """`count` of n samples, each as likely as the others; with replacement the same one may come again.

    >>> sampler = RandomSampler(1000, 4)
    >>> len(sampler), sampler(Generator(0)).shape
    (4, (4,))
    """

    def __init__(self, n: int, count: int | None = None, *, replacement: bool = False):
        self.n, self.count, self.replacement = n, n if count is None else count, replacement
        if n < 1 or self.count < 1:
            raise ArgumentError(f"RandomSampler: n and count must be positive: got {n}, {count}.")
        if not replacement and self.count > n:
            raise ArgumentError(f"RandomSampler: {self.count} different samples of {n}. Pass replacement=True.")

    def __len__(self) -> int:
        return self.count

    def __call__(self, generator: Generator) -> np.ndarray:
        if self.replacement:
            return generator.numpy("integers", 0, self.n, self.count)
        return generator.numpy("choice", self.n, self.count, replace=False)


class WeightedSampler:
    """`count` samples, sample i with probability w[i] / sum of w each time: for classes of very different sizes.

    >>> labels = np.array([0] * 90 + [1] * 10)
    >>> sampler = WeightedSampler.balanced(labels, count=1000)
    >>> bool(400 < labels[sampler(Generator(0))].sum() < 600)
    True
    """

    def __init__(self, weights: Any, count: int | None = None, *, replacement: bool = True):
        w = np.asarray(weights, np.float64)
        if w.ndim != 1 or not len(w):
            raise ShapeError(f"WeightedSampler: weights must be (N,), one per sample: got {w.shape}.")
        if not (np.isfinite(w).all() and (w >= 0).all() and w.sum() > 0):
            raise ArgumentError("WeightedSampler: weights must be finite, not negative, and not all zero.")
        self.p, self.count, self.replacement = w / w.sum(), len(w) if count is None else count, replacement
        if self.count < 1 or (not replacement and self.count > np.count_nonzero(w)):
            raise ArgumentError(
                f"WeightedSampler: count must be positive, and without replacement at most the number of "
                f"weights above 0, {np.count_nonzero(w)}: got {self.count}."
            )

    @classmethod
    def balanced(cls, labels: Any, count: int | None = None) -> WeightedSampler:
        """Every class as often as the others. labels: (N,) integers."""
        labels = np.asarray(labels)
        return cls(1 / np.bincount(labels)[labels], count)

    def __len__(self) -> int:
        return self.count

    def __call__(self, generator: Generator) -> np.ndarray:
        return generator.numpy("choice", len(self.p), self.count, replace=self.replacement, p=self.p)
