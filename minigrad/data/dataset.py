"""Data sets: a length, and a sample for each index; or a stream of samples."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import numpy as np

from ..creation import asarray
from ..errors import ArgumentError, IndexRangeError, ShapeError
from ..random import Generator, default_generator
from ..tensor import Tensor


class Dataset:
    """Subclass with ``__len__`` and ``__getitem__(i)``. One that can fetch many samples at once overrides `batch`."""

    def __len__(self) -> int:
        raise NotImplementedError(f"{type(self).__name__} needs a __len__: the number of samples.")

    def __getitem__(self, index: Any) -> Any:
        raise NotImplementedError(f"{type(self).__name__} needs a __getitem__: the sample of an index.")

    def batch(self, indices: np.ndarray) -> tuple | None:
        """The samples of these indices as arrays with a leading batch axis; None: only one by one."""
        return None

    def whole(self) -> tuple[np.ndarray, ...]:
        """All samples as arrays, (N, ...) each. For data sets whose samples are arrays or numbers."""
        everything = self.batch(np.arange(len(self)))
        if everything is None:
            everything = tuple(np.stack(part) for part in zip(*[self[i] for i in range(len(self))]))
        return everything

    def __add__(self, other: Dataset) -> ConcatDataset:
        return ConcatDataset([self, other])


class IterableDataset(Dataset):
    """A stream of samples: subclass with ``__iter__``. For what has no length or no order but its own: lines of a file
    too large for memory, a sensor, a generator."""

    __getitem__: Any = None  # there is no index

    def __iter__(self) -> Iterator[Any]:
        raise NotImplementedError(f"{type(self).__name__} needs an __iter__: the samples, one by one.")

    def __len__(self) -> int:
        raise TypeError(f"{type(self).__name__} is a stream: it has no length unless it defines __len__.")

    def __add__(self, other: Dataset) -> ChainDataset:  # type: ignore[override]
        return ChainDataset([self, other])


class ArrayDataset(Dataset):
    """Arrays whose rows belong together: sample i is ``(a[i], b[i], ...)``.

    a, b, ...: (N, ...), NumPy arrays or what becomes one; Python floats become float32.
    """

    def __init__(self, *arrays: Any):
        if not arrays:
            raise ArgumentError(f"{type(self).__name__}: at least one array is needed: got none.")
        self.arrays = tuple(asarray(a).detach().numpy() for a in arrays)
        shapes = [a.shape for a in self.arrays]
        if any(len(s) == 0 for s in shapes) or len({s[0] for s in shapes}) > 1:
            raise ShapeError(f"{type(self).__name__}: the arrays must have as many rows as each other: got {shapes}.")

    def __len__(self) -> int:
        return len(self.arrays[0])

    def __getitem__(self, index: Any) -> tuple:
        if isinstance(index, (int, np.integer)) and not -len(self) <= index < len(self):
            raise IndexRangeError(f"{type(self).__name__}: index {index} of {len(self)} samples.")
        return tuple(a[index] for a in self.arrays)

    def batch(self, indices: np.ndarray) -> tuple:
        return tuple(a.take(indices, axis=0) for a in self.arrays)  # rows: faster than a[indices]


class TensorDataset(ArrayDataset):
    """As ArrayDataset, with samples as tensors; PyTorch's name."""

    def __getitem__(self, index: Any) -> tuple:
        return tuple(Tensor(a) for a in super().__getitem__(index))


class StackDataset(Dataset):
    """Data sets side by side: sample i is the tuple, or by names the dict, of their samples i.

    >>> StackDataset(image=[1, 2], text=["a", "b"])[1]
    {'image': 2, 'text': 'b'}
    """

    def __init__(self, *args: Any, **kwargs: Any):
        if bool(args) == bool(kwargs):
            raise ArgumentError("StackDataset: give data sets, either all by position or all by name.")
        self.datasets = kwargs or args
        parts = list(kwargs.values()) if kwargs else args
        if len({len(part) for part in parts}) > 1:
            raise ShapeError(f"StackDataset: all must be as long: got {[len(part) for part in parts]}.")
        self.length = len(parts[0])

    def __len__(self) -> int:
        return self.length

    def __getitem__(self, index: Any) -> Any:
        if isinstance(self.datasets, dict):
            return {name: part[index] for name, part in self.datasets.items()}
        return tuple(part[index] for part in self.datasets)


class Subset(Dataset):
    """The samples of `dataset` at `indices`, in that order. A slice gives what the data set gives for many indices."""

    def __init__(self, dataset: Dataset, indices: Any):
        self.dataset, self.indices = dataset, np.asarray(indices, np.int64).reshape(-1)
        if self.indices.size and not (self.indices.min() >= 0 and self.indices.max() < len(dataset)):
            raise IndexRangeError(
                f"Subset: indices must be from 0 to {len(dataset) - 1}: "
                f"got {self.indices.min()} to {self.indices.max()}."
            )

    def __len__(self) -> int:
        return len(self.indices)

    def __getitem__(self, index: Any) -> Any:
        chosen = self.indices[index]
        return self.dataset[int(chosen) if chosen.ndim == 0 else chosen]

    def batch(self, indices: np.ndarray) -> tuple | None:
        return self.dataset.batch(self.indices[indices])


class ConcatDataset(Dataset):
    """One data set after the other, as one; ``a + b``.

    >>> both = ArrayDataset([1, 2]) + ArrayDataset([3])
    >>> len(both), int(both[-1][0])
    (3, 3)
    """

    def __init__(self, datasets: Iterable[Dataset]):
        self.datasets = list(datasets)
        if not self.datasets or any(isinstance(d, IterableDataset) for d in self.datasets):
            raise ArgumentError("ConcatDataset: needs one or more data sets with a length. Streams: ChainDataset.")
        self.ends = np.cumsum([len(d) for d in self.datasets])  # the index after each one's last sample

    def __len__(self) -> int:
        return int(self.ends[-1])

    def __getitem__(self, index: Any) -> Any:
        if not -len(self) <= index < len(self):
            raise IndexRangeError(f"ConcatDataset: index {index} of {len(self)} samples.")
        index = int(index) % len(self)
        k = int(np.searchsorted(self.ends, index, side="right"))
        return self.datasets[k][index - int(self.ends[k]) + len(self.datasets[k])]

    def batch(self, indices: np.ndarray) -> tuple | None:
        owner = np.searchsorted(self.ends, indices, side="right")
        result: tuple | None = None
        for k in np.unique(owner):
            mine = np.flatnonzero(owner == k)
            parts = self.datasets[k].batch(indices[mine] - int(self.ends[k]) + len(self.datasets[k]))
            if parts is None or len(mine) == len(indices):
                return parts
            if result is None:
                result = tuple(np.empty((len(indices), *part.shape[1:]), part.dtype) for part in parts)
            if [part.shape[1:] for part in parts] != [whole.shape[1:] for whole in result]:
                return None  # one by one, the loader says which shapes differ
            for whole, part in zip(result, parts):
                whole[mine] = part
        return result


class ChainDataset(IterableDataset):
    """One stream after the other, as one; ``a + b``."""

    def __init__(self, datasets: Iterable[Any]):
        self.datasets = list(datasets)

    def __iter__(self) -> Iterator[Any]:
        for dataset in self.datasets:
            yield from dataset

    def __len__(self) -> int:
        return sum(len(dataset) for dataset in self.datasets)


def random_split(
    dataset: Dataset,
    lengths: Sequence[float],
    *,
    generator: Generator | None = None,
    stratify: Any = None,
) -> list[Subset]:
    """Disjoint random subsets that together are the whole data set.

    lengths: counts that add up to its length, or fractions that add up to 1. stratify: (N,) class of each sample; every
    subset then has each class in the same share, to within a sample or so.

    >>> train, test = random_split(ArrayDataset(range(10)), [0.8, 0.2], generator=Generator(0))
    >>> len(train), len(test)
    (8, 2)
    """
    n = len(dataset)
    sizes = _counts(n, lengths)
    order = (generator or default_generator).numpy("permutation", n)
    if stratify is not None:
        labels = np.asarray(stratify)
        if labels.shape != (n,):
            raise ShapeError(f"random_split: stratify must hold one class per sample, ({n},): got {labels.shape}.")
        # Sort the shuffled samples by class, and deal them out evenly along that line: place k of m goes to the subset
        # whose share of the line so far is the furthest behind.
        order = order[np.argsort(labels[order], kind="stable")]
        share, dealt = np.array(sizes) / max(n, 1), np.zeros(len(sizes))
        owner = np.empty(n, np.int64)
        for place in range(n):
            behind = np.where(dealt < sizes, share * (place + 1) - dealt, -np.inf)
            owner[place] = behind.argmax()
            dealt[owner[place]] += 1
        return [Subset(dataset, order[owner == k]) for k in range(len(sizes))]
    ends = np.cumsum(sizes)
    return [Subset(dataset, order[end - size : end]) for size, end in zip(sizes, ends)]


def k_fold(
    dataset: Dataset, k: int, *, stratify: Any = None, generator: Generator | None = None
) -> list[tuple[Subset, Subset]]:
    """k pairs (training, validation): each sample is in the validation part of exactly one.

    The parts are random and differ by a sample at most. stratify: as of `random_split`.

    >>> for training, validation in k_fold(ArrayDataset(range(10)), 3, generator=Generator(0)):
    ...     print(len(training), len(validation))
    6 4
    7 3
    7 3
    """
    n = len(dataset)
    if not 2 <= k <= n:
        raise ArgumentError(f"k_fold: k must be from 2 to {n}, the number of samples: got {k}.")
    sizes = [n // k + (i < n % k) for i in range(k)]
    folds = [fold.indices for fold in random_split(dataset, sizes, generator=generator, stratify=stratify)]
    rest = [np.concatenate(folds[:i] + folds[i + 1 :]) for i in range(k)]
    return [(Subset(dataset, others), Subset(dataset, fold)) for others, fold in zip(rest, folds)]


def _counts(n: int, lengths: Sequence[float]) -> list[int]:
    """Lengths as counts: fractions are rounded down, and what is left goes to the first ones, one each."""
    if all(isinstance(length, (int, np.integer)) for length in lengths):
        if sum(lengths) != n or any(length < 0 for length in lengths):
            raise ArgumentError(f"random_split: the lengths must add up to {n}: got {list(lengths)}.")
        return [int(length) for length in lengths]
    if any(length < 0 for length in lengths) or abs(sum(lengths) - 1) > 1e-6:
        raise ArgumentError(f"random_split: the fractions must add up to 1: got {list(lengths)}.")
    sizes = [int(n * length + 1e-9) for length in lengths]
    for k in range(n - sum(sizes)):
        sizes[k % len(sizes)] += 1
    return sizes
