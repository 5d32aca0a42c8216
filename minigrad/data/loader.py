"""DataLoader: the samples of a data set, batch by batch."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from ..creation import asarray
from ..errors import ArgumentError
from ..random import Generator, default_generator
from ..tensor import Tensor
from .dataset import Dataset


class DataLoader:
    """Iterate over a data set in batches of tensors, each sample once per pass.

    shuffle: in a new random order on every pass. drop_last: leave out the last batch if it is not full. sampler: the
    indices of a pass, in order, or what draws them (see samplers.py). collate_fn: makes a batch of a list of samples.
    transform: called as ``transform(inputs, generator)`` with the first array of each batch (on the host, batch axis
    first), for random changes to images. generator, or seed for a new one: what a pass draws its order and its seed
    from; else the shared one. Each batch has a generator of its own, seeded by the pass and its place, so that what a
    batch becomes does not depend on who made the others, or when.

    ``state_dict()`` says where the pass in progress stands; a loader that loads it goes on with the next batch.

    >>> from minigrad.data import ArrayDataset
    >>> [x.tolist() for (x,) in DataLoader(ArrayDataset(range(5)), batch_size=2, drop_last=True)]
    [[0, 1], [2, 3]]
    """

    def __init__(
        self,
        dataset: Dataset | Sequence,
        batch_size: int = 1,
        shuffle: bool = False,
        *,
        drop_last: bool = False,
        sampler: Iterable[int] | Callable[[Generator], np.ndarray] | None = None,
        collate_fn: Callable[[list], Any] | None = None,
        transform: Callable[[np.ndarray, Generator], np.ndarray] | None = None,
        generator: Generator | None = None,
        seed: int | None = None,
    ):
        if not hasattr(batch_size, "__index__") or batch_size < 1:
            raise ArgumentError(f"DataLoader: batch_size must be a positive integer: got {batch_size!r}.")
        if shuffle and sampler is not None:
            raise ArgumentError("DataLoader: a sampler already sets the order: pass shuffle=True or sampler, not both.")
        if generator is not None and seed is not None:
            raise ArgumentError("DataLoader: pass generator or seed, not both.")
        if len(dataset) == 0:
            raise ArgumentError(
                "DataLoader: the data set is empty. Check the path, the split or the filter it came from."
            )
        if drop_last and sampler is None and len(dataset) < batch_size:
            raise ArgumentError(
                f"DataLoader: drop_last leaves no batch: {len(dataset)} samples, batch_size {batch_size}. "
                "Use a smaller batch_size."
            )
        self.dataset, self.batch_size, self.shuffle, self.drop_last = dataset, int(batch_size), shuffle, drop_last
        self.sampler, self.collate_fn, self.transform = sampler, collate_fn, transform
        self.generator = generator or (default_generator if seed is None else Generator(seed))
        self.start: dict[str, Any] | None = None  # the generator's state before the pass in progress
        self.done = 0  # batches of it that were given out
        self.loaded = False  # from a checkpoint: the next pass is the rest of this one

    def __len__(self) -> int:
        """The number of batches in a pass."""
        n = len(self.dataset) if self.sampler is None else len(self.sampler)  # type: ignore[arg-type]
        return n // self.batch_size if self.drop_last else math.ceil(n / self.batch_size)

    def __iter__(self) -> Iterator[Any]:
        seed, batches = self._plan()
        for number in range(self.done, len(batches)):
            batch = self.batch(batches[number], Generator(seed + number))
            self.done = number + 1
            yield batch
        self.start, self.done = None, 0

    def _plan(self) -> tuple[int, list[np.ndarray]]:
        """The seed of a pass and the indices of its batches: of a new one, or again of the one that was loaded."""
        generator = self.generator
        if self.start is None or not self.loaded:
            self.start, self.done = generator.get_state(), 0
        else:
            again = Generator(0)
            again.set_state(self.start)
            if generator is default_generator:  # others draw from it too: whoever loads a state restores it
                generator = again
            else:
                generator.set_state(self.start)
        self.loaded = False
        seed = 0 if self.transform is None else int(generator.numpy("integers", 2**62))
        if callable(self.sampler):
            order = np.asarray(self.sampler(generator))
        elif self.sampler is not None:
            order = np.fromiter(self.sampler, np.int64)
        elif self.shuffle:
            order = generator.numpy("permutation", len(self.dataset))
        else:
            order = np.arange(len(self.dataset))
        size = self.batch_size
        batches = [order[i : i + size] for i in range(0, len(order), size)]
        return seed, batches[:-1] if self.drop_last and batches and len(batches[-1]) < size else batches

    def state_dict(self) -> dict[str, Any]:
        """Plain data: the generator's state before the pass in progress (None: there is none), batches given out."""
        return {"start": self.start, "done": self.done, "generator": self.generator.get_state()}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on where the loader that returned this stood, with the same data and options."""
        self.start, self.done, self.loaded = state["start"], int(state["done"]), True
        if self.generator is not default_generator:
            self.generator.set_state(state["generator"])

    def batch(self, indices: np.ndarray, generator: Generator) -> Any:
        """The samples of these indices, together: in one go where the data set can, else one by one and collated."""
        fetch = getattr(self.dataset, "batch", None)
        arrays = fetch(indices) if fetch is not None and self.collate_fn is None else None
        if arrays is None:
            collate = self.collate_fn or default_collate
            arrays = collate([self.dataset[int(i)] for i in indices])
        if self.transform is not None:
            first, *rest = arrays
            first = first.numpy() if isinstance(first, Tensor) else first
            arrays = (self.transform(first, generator), *rest)
        return _as_tensors(arrays)


def default_collate(samples: list) -> Any:
    """Samples stacked along a new first axis; tuples and dicts part by part, anything else (a string) as a list."""
    first = samples[0]
    if isinstance(first, dict):
        return {key: default_collate([s[key] for s in samples]) for key in first}
    if isinstance(first, (tuple, list)):
        if len({len(s) for s in samples}) > 1:
            raise ArgumentError(
                f"DataLoader: samples have different numbers of parts: {sorted({len(s) for s in samples})}."
            )
        return tuple(default_collate(list(part)) for part in zip(*samples))
    if isinstance(first, Tensor):
        return _stacked([s.numpy() for s in samples])
    if isinstance(first, (np.ndarray, np.generic)):
        return _stacked(samples)
    if isinstance(first, (bool, int, float, complex)):
        return asarray(samples)
    return samples


def _stacked(arrays: list) -> np.ndarray:
    if len(shapes := {a.shape for a in arrays}) > 1:
        raise ArgumentError(
            f"DataLoader: samples of one batch must have one shape: got {sorted(shapes)}. Pad them in a collate_fn."
        )
    return np.stack(arrays)


def _as_tensors(batch: Any) -> Any:
    if isinstance(batch, tuple):
        return tuple(_as_tensors(part) for part in batch)
    if isinstance(batch, dict):
        return {key: _as_tensors(part) for key, part in batch.items()}
    return asarray(batch) if isinstance(batch, (np.ndarray, np.generic)) else batch
