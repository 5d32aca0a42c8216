"""DataLoader: the samples of a data set, batch by batch."""

from __future__ import annotations

import math
import weakref
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from enum import Enum
from itertools import count, islice, repeat, takewhile
from typing import Any

import numpy as np

from ..convert import backend_at
from ..creation import asarray
from ..errors import ArgumentError
from ..random import Generator, default_generator
from ..tensor import Tensor
from .dataset import Dataset, IterableDataset
from .workers import Workers, on_host, rebuilt


class DataLoader:
    """Iterate over a data set in batches of tensors, each sample once per pass.

    shuffle: in a new random order on every pass. drop_last: leave out the last batch if it is not full. sampler: the
    indices of a pass, in order, or what draws them (see samplers.py). batch_sampler: the indices of each batch, or what
    draws them, instead of all these. batch_size None: the samples are batches already. collate_fn: makes a batch of a
    list of samples. transform: called as ``transform(inputs, generator)`` with the first array of each batch (on the
    host, batch axis first), for random changes to images; batch_transform: as ``batch_transform(arrays, generator)``
    with all of them (Mixup). generator, or seed for a new one: what a pass draws its order and its seed from; else the
    shared one. Each batch has a generator of its own, seeded by the pass and its place, so that what a batch becomes
    does not depend on who made the others, or when.

    num_workers: how many make batches ahead, `prefetch_factor` each; the batches are the same, in the same order. They
    are threads, which share the data and cost nothing to start (NumPy lets them run beside each other); or processes,
    for samples made by Python code. Processes get their own seed for each batch for what a data set draws from the
    shared generators (minigrad's, NumPy's, Python's); from threads such a data set draws in no fixed order.
    worker_init_fn: called with the worker's number when it starts. timeout: seconds to wait for a batch, then a
    DataError; 0: no limit. persistent_workers: keep them from pass to pass. multiprocessing_context: "fork" (Linux's
    default), "spawn" or "forkserver". pin_memory: if the batches go to a
    GPU (`to`, or the device of new tensors), from page-locked memory, one ahead; on the host it means nothing.
    A stream (IterableDataset) is read by one worker, whatever their number, so that nothing is read twice.

    ``state_dict()`` says where the pass in progress stands; a loader that loads it goes on with the next batch.

    >>> from minigrad.data import ArrayDataset
    >>> [x.tolist() for (x,) in DataLoader(ArrayDataset(range(5)), batch_size=2, drop_last=True)]
    [[0, 1], [2, 3]]
    """

    def __init__(
        self,
        dataset: Dataset | Sequence,
        batch_size: int | None = 1,
        shuffle: bool | None = False,
        *,
        drop_last: bool = False,
        sampler: Iterable[int] | Callable[[Generator], np.ndarray] | None = None,
        batch_sampler: Iterable[Sequence[int]] | Callable[[Generator], Iterable[Sequence[int]]] | None = None,
        collate_fn: Callable[[list], Any] | None = None,
        transform: Callable[[np.ndarray, Generator], np.ndarray] | None = None,
        batch_transform: Callable[[Any, Generator], Any] | None = None,
        generator: Generator | None = None,
        seed: int | None = None,
        num_workers: int = 0,
        workers: str = "thread",
        prefetch_factor: int | None = 2,
        persistent_workers: bool = False,
        worker_init_fn: Callable[[int], None] | None = None,
        timeout: float = 0.0,
        multiprocessing_context: str | None = None,
        pin_memory: bool = False,
        pin_memory_device: str = "",
        in_order: bool = True,
    ):
        if batch_size is not None and (not hasattr(batch_size, "__index__") or batch_size < 1):
            raise ArgumentError(f"DataLoader: batch_size must be a positive integer: got {batch_size!r}.")
        if batch_sampler is not None and (batch_size != 1 or shuffle or sampler is not None or drop_last):
            raise ArgumentError(
                "DataLoader: batch_sampler sets the batches: leave out batch_size, shuffle, sampler and drop_last."
            )
        if batch_size is None and drop_last:
            raise ArgumentError("DataLoader: without a batch_size there is no last batch to drop.")
        prefetch_factor = 2 if prefetch_factor is None else prefetch_factor
        if num_workers < 0 or prefetch_factor < 1 or timeout < 0 or workers not in ("thread", "process"):
            raise ArgumentError(
                'DataLoader: needs num_workers >= 0, prefetch_factor >= 1, timeout >= 0, workers "thread" or '
                f'"process": got {num_workers}, {prefetch_factor}, {timeout}, {workers!r}.'
            )
        self.stream = isinstance(dataset, IterableDataset)
        if self.stream and (shuffle or sampler is not None or batch_sampler is not None):
            raise ArgumentError("DataLoader: a stream has the order it has: no shuffle, sampler or batch_sampler.")
        if shuffle and sampler is not None:
            raise ArgumentError("DataLoader: a sampler already sets the order: pass shuffle=True or sampler, not both.")
        if generator is not None and seed is not None:
            raise ArgumentError("DataLoader: pass generator or seed, not both.")
        if not self.stream and len(dataset) == 0:
            raise ArgumentError(
                "DataLoader: the data set is empty. Check the path, the split or the filter it came from."
            )
        if drop_last and not self.stream and sampler is None and len(dataset) < (batch_size or 1):
            raise ArgumentError(
                f"DataLoader: drop_last leaves no batch: {len(dataset)} samples, batch_size {batch_size}. "
                "Use a smaller batch_size."
            )
        self.dataset, self.shuffle, self.drop_last = dataset, shuffle, drop_last
        self.batch_size = int(batch_size) if batch_size is not None and batch_sampler is None else None
        self.sampler, self.batch_sampler = sampler, batch_sampler
        self.collate_fn, self.transform, self.batch_transform = collate_fn, transform, batch_transform
        self.generator = generator or (default_generator if seed is None else Generator(seed))
        self.num_workers, self.workers, self.prefetch_factor = num_workers, workers, prefetch_factor
        self.persistent_workers, self.worker_init_fn, self.timeout = persistent_workers, worker_init_fn, timeout
        self.multiprocessing_context, self.pin_memory = multiprocessing_context, pin_memory
        self.device: Any = None  # where `to` sends the batches
        self._kept: Workers | None = None  # persistent ones
        self.start: dict[str, Any] | None = None  # the generator's state before the pass in progress
        self.done = 0  # batches of it that were given out
        self.loaded = False  # from a checkpoint: the next pass is the rest of this one

    def __len__(self) -> int:
        """The number of batches in a pass."""
        if self.batch_sampler is not None:
            return len(self.batch_sampler)  # type: ignore[arg-type]
        n, size = len(self.dataset if self.sampler is None else self.sampler), self.batch_size or 1  # type: ignore[arg-type]
        return n // size if self.drop_last else math.ceil(n / size)

    def to(self, device: Any) -> DataLoader:
        """Give out the batches on this device: ``loader.to("cupy")``. A GPU gets each from page-locked memory, on a
        stream of its own, while the step before computes. Returns the loader."""
        backend_at(device)  # or an error that says what is missing
        self.device = device
        return self

    def _sent(self, made: Iterator[Any]) -> Iterator[Any]:
        """Batches of arrays as tensors where they belong."""
        backend = backend_at(self.device)
        if self.device is None and not (self.pin_memory and backend.defers):
            return map(_as_tensors, made)
        from .upload import uploaded

        return uploaded(made, backend)

    def __iter__(self) -> Iterator[Any]:
        seed, batches = self._plan()
        tasks = zip(count(self.done), repeat(seed), islice(batches, self.done, None))
        pool = self._pool()
        results: Iterator[Any] = map(self._maker(), tasks) if pool is None else pool.results(tasks)
        try:
            made = takewhile(lambda batch: batch is not Mark.END, results)
            for self.done, batch in enumerate(self._sent(made), self.done + 1):  # noqa: B020  state_dict tells it
                yield batch
        finally:
            if pool is not None:
                results.close()  # type: ignore[attr-defined]
                if pool is not self._kept:
                    pool.close()
        self.start, self.done = None, 0

    def _maker(self) -> _Maker:
        return _Maker(
            self.dataset, self.batch_size, self.drop_last, self.collate_fn, self.transform, self.batch_transform
        )

    def _pool(self) -> Workers | None:
        """The workers of a pass: none, new ones, or those of the last pass."""
        if not self.num_workers or self._kept is not None:
            return self._kept
        n = 1 if self.stream else self.num_workers
        pool = Workers(
            self._maker(),
            n,
            ahead=n * self.prefetch_factor,
            processes=self.workers == "process",
            start_method=self.multiprocessing_context,
            timeout=self.timeout,
            begin=self.worker_init_fn,
        )
        if self.persistent_workers:
            self._kept = pool
            weakref.finalize(self, pool.close)
        return pool

    def _plan(self) -> tuple[int, Iterable[Any]]:
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
        drawing = generator
        if self.transform is None and self.batch_transform is None:  # the seed is for worker processes at most
            drawing = Generator(0)
            drawing.set_state(self.start)
        seed = int(drawing.numpy("integers", 2**62))
        if self.stream:
            return seed, repeat(None)
        if self.batch_sampler is not None:
            chosen = self.batch_sampler(generator) if callable(self.batch_sampler) else self.batch_sampler
            return seed, [np.asarray(batch, np.int64) for batch in chosen]
        if callable(self.sampler):
            order = np.asarray(self.sampler(generator))
        elif self.sampler is not None:
            order = np.fromiter(self.sampler, np.int64)
        elif self.shuffle:
            order = generator.numpy("permutation", len(self.dataset))
        else:
            order = np.arange(len(self.dataset))
        size = self.batch_size
        if size is None:
            return seed, order
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


class Mark(Enum):
    """What stands in the place of a batch."""

    END = "the stream has ended"


class _Maker:
    """Makes a batch of arrays for each task (number, seed, indices); what a worker needs of a loader, and no more."""

    def __init__(
        self, dataset: Any, batch_size: int | None, drop_last: bool, collate: Any, transform: Any, batch_transform: Any
    ):
        self.dataset, self.batch_size, self.drop_last = dataset, batch_size, drop_last
        self.collate, self.transform, self.batch_transform = collate, transform, batch_transform
        self.stream, self.at = iter(()), -1  # the rest of the stream that is being read, and its next batch

    def __call__(self, task: tuple[int, int, Any]) -> Any:
        number, _, indices = task
        generator = Generator(self.seed(task))
        return self._next(number, generator) if indices is None else self.batch(indices, generator)

    def seed(self, task: tuple[int, int, Any]) -> int:
        number, seed, _ = task
        return seed + number

    def batch(self, indices: Any, generator: Generator) -> Any:
        """The samples of these indices, together: in one go where the data set can, else one by one and collated."""
        if np.ndim(indices) == 0:  # the sample is a batch
            sample = self.dataset[int(indices)]
            return self._changed(sample if self.collate is None else self.collate(sample), generator)
        fetch = getattr(self.dataset, "batch", None)
        arrays = fetch(indices) if fetch is not None and self.collate is None else None
        if arrays is None:
            arrays = (self.collate or default_collate)([self.dataset[int(i)] for i in indices])
        return self._changed(arrays, generator)

    def _next(self, number: int, generator: Generator) -> Any:
        """Batch `number` of the stream: the next one, or after a new start and as many others."""
        size = self.batch_size or 1
        if number != self.at:
            self.stream, self.at = islice(iter(self.dataset), number * size, None), number
        samples = list(islice(self.stream, size))
        if not samples or (self.drop_last and len(samples) < size):
            self.at = -1
            return Mark.END
        self.at += 1
        if self.batch_size is None:
            return self._changed(samples[0] if self.collate is None else self.collate(samples[0]), generator)
        return self._changed((self.collate or default_collate)(samples), generator)

    def _changed(self, arrays: Any, generator: Generator) -> Any:
        if self.transform is not None:
            first, *rest = arrays
            arrays = (self.transform(on_host(first), generator), *rest)
        return arrays if self.batch_transform is None else self.batch_transform(on_host(arrays), generator)


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
        parts = [default_collate(list(part)) for part in zip(*samples)]
        return rebuilt(first, parts) if hasattr(first, "_fields") else tuple(parts)
    if isinstance(first, Tensor):
        return _stacked([s.numpy() for s in samples])
    if isinstance(first, (np.ndarray, np.generic)):
        return _stacked(samples)
    if isinstance(first, (bool, int, float, complex)):
        return asarray(samples)
    return samples


def default_convert(sample: Any) -> Any:
    """A sample with its arrays as tensors, part by part; numbers and strings stay. What batch_size=None does."""
    return _as_tensors(sample)


def get_worker_info() -> None:
    """None, PyTorch's answer outside workers: a stream is read by one worker, so none needs to know its share."""


def _stacked(arrays: list) -> np.ndarray:
    if len(shapes := {a.shape for a in arrays}) > 1:
        raise ArgumentError(
            f"DataLoader: samples of one batch must have one shape: got {sorted(shapes)}. Pad them in a collate_fn."
        )
    return np.stack(arrays)


def _as_tensors(batch: Any) -> Any:
    if isinstance(batch, (tuple, list)):
        return rebuilt(batch, [_as_tensors(part) for part in batch])
    if isinstance(batch, dict):
        return {key: _as_tensors(part) for key, part in batch.items()}
    return asarray(batch) if isinstance(batch, (np.ndarray, np.generic)) else batch
