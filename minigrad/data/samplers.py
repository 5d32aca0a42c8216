"""Samplers: which samples a pass of a DataLoader takes, and in which order.

A sampler is any iterable of indices with a length; or, where chance decides, ``sampler(generator) -> indices``, drawn
anew for every pass from the loader's generator, so that a resumed run draws the same. (A sampler that was given a
generator of its own draws from that, which no saved state knows.)
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence, Sized
from itertools import islice
from typing import Any

import numpy as np

from ..errors import ArgumentError, ShapeError
from ..random import Generator, default_generator


class Sampler:
    """The base of samplers of one's own: ``__iter__`` gives indices, ``__len__`` says how many."""


class SequentialSampler(Sampler):
    """All samples, in their order."""

    def __init__(self, data_source: Sized | int):
        self.n = _length(data_source)

    def __len__(self) -> int:
        return self.n

    def __iter__(self) -> Iterator[int]:
        return iter(range(self.n))


class RandomSampler(Sampler):
    """`num_samples` of a data set (or of so many), each as likely as the others; with replacement the same one may come
    again, without it a new round begins when all have come.

    >>> sampler = RandomSampler(range(1000), num_samples=4)
    >>> len(sampler), sampler(Generator(0)).shape
    (4, (4,))
    """

    def __init__(
        self,
        data_source: Sized | int,
        replacement: bool = False,
        num_samples: int | None = None,
        generator: Generator | None = None,
    ):
        self.n = _length(data_source)
        self.num_samples = self.n if num_samples is None else num_samples
        self.replacement, self.generator = bool(replacement), generator
        if self.n < 1 or self.num_samples < 1:
            raise ArgumentError(
                f"RandomSampler: the data set and num_samples must not be empty: got {self.n}, {num_samples}."
            )

    def __len__(self) -> int:
        return self.num_samples

    def __call__(self, generator: Generator) -> np.ndarray:
        generator, k = self.generator or generator, self.num_samples
        if self.replacement:
            return generator.numpy("integers", 0, self.n, k)
        if k <= self.n:
            return generator.numpy("choice", self.n, k, replace=False)
        return np.concatenate([generator.numpy("permutation", self.n) for _ in range(-(-k // self.n))])[:k]

    def __iter__(self) -> Iterator[int]:
        return iter(self(default_generator).tolist())


class SubsetRandomSampler(Sampler):
    """These indices, in random order."""

    def __init__(self, indices: Sequence[int], generator: Generator | None = None):
        self.indices, self.generator = indices, generator

    def __len__(self) -> int:
        return len(self.indices)

    def __call__(self, generator: Generator) -> np.ndarray:
        return np.asarray(self.indices)[(self.generator or generator).numpy("permutation", len(self.indices))]

    def __iter__(self) -> Iterator[int]:
        return iter(self(default_generator).tolist())


class BatchSampler(Sampler):
    """The indices of a sampler in lists of `batch_size`, for ``DataLoader(batch_sampler=...)``.

    >>> list(BatchSampler(SequentialSampler(range(5)), 2, drop_last=False))
    [[0, 1], [2, 3], [4]]
    """

    def __init__(self, sampler: Iterable[int], batch_size: int, drop_last: bool):
        if batch_size < 1:
            raise ArgumentError(f"BatchSampler: batch_size must be positive: got {batch_size}.")
        self.sampler, self.batch_size, self.drop_last = sampler, batch_size, drop_last

    def __len__(self) -> int:
        full, rest = divmod(len(self.sampler), self.batch_size)  # type: ignore[arg-type]
        return full + (rest > 0 and not self.drop_last)

    def __iter__(self) -> Iterator[list[int]]:
        return self._batches(self.sampler)

    def __call__(self, generator: Generator) -> Iterator[list[int]]:
        drawn: Any = self.sampler
        return self._batches(drawn(generator).tolist() if callable(drawn) else drawn)

    def _batches(self, indices: Iterable[int]) -> Iterator[list[int]]:
        rest = iter(indices)
        while batch := list(islice(rest, self.batch_size)):
            if len(batch) == self.batch_size or not self.drop_last:
                yield batch


class WeightedSampler(Sampler):
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

    def __iter__(self) -> Iterator[int]:
        return iter(self(default_generator).tolist())


class WeightedRandomSampler(WeightedSampler):
    """`WeightedSampler` with PyTorch's name and arguments."""

    def __init__(self, weights: Any, num_samples: int, replacement: bool = True, generator: Generator | None = None):
        super().__init__(weights, num_samples, replacement=replacement)
        self.generator = generator

    def __call__(self, generator: Generator) -> np.ndarray:
        return super().__call__(self.generator or generator)


def _length(data_source: Sized | int) -> int:
    return data_source if isinstance(data_source, int) else len(data_source)
