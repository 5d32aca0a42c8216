"""Batches on their way to a GPU: one is copied while the step before it computes.

The host writes a batch into page-locked memory, from which a stream of its own copies it; the step's stream waits for
that copy, the host does not.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import nullcontext
from typing import Any

import numpy as np

from ..backend import Backend
from ..backend.devices import Devices, OnDevice
from ..cuda import Event, Stream, current_stream
from ..cuda import stream as on_stream
from ..tensor import Tensor, wrap
from .workers import rebuilt


def mapped(batch: Any, f: Callable[[np.ndarray], Any]) -> Any:
    """A batch with f of each array, as tensors."""
    if isinstance(batch, (tuple, list)):
        return rebuilt(batch, [mapped(part, f) for part in batch])
    if isinstance(batch, dict):
        return {key: mapped(part, f) for key, part in batch.items()}
    if isinstance(batch, Tensor):
        batch = batch.detach().numpy()
    return f(np.asarray(batch)) if isinstance(batch, (np.ndarray, np.generic)) else batch


def uploaded(batches: Iterable[Any], backend: Backend, *, pinned: bool = True) -> Iterator[Any]:
    """The batches of host arrays as tensors of the backend, in order; on a GPU one ahead of the one given out."""
    if not isinstance(backend, (Devices, OnDevice)):
        yield from (mapped(batch, lambda a: wrap(backend.asarray(a))) for batch in batches)
        return
    with backend.active():
        upload = Upload(backend, pinned)
    before: tuple[Any, Event] | None = None
    for batch in batches:
        now = upload(batch)
        if before is not None:
            yield upload.ready(*before)
        before = now
    if before is not None:
        yield upload.ready(*before)


class Upload:
    """A stream that copies batches to a device, and the page-locked memory it copies from."""

    SLOTS = 2  # sets of page-locked buffers: one is written while the other is copied

    def __init__(self, backend: Devices | OnDevice, pinned: bool):
        self.backend, self.pinned = backend, pinned
        self.xp = (backend.base if isinstance(backend, OnDevice) else backend).xp
        self.stream = Stream(backend.index if isinstance(backend, OnDevice) else None)
        self.slots: list[dict[Any, np.ndarray]] = [{} for _ in range(self.SLOTS)]
        self.copied: list[Event | None] = [None] * self.SLOTS
        self.number = 0

    def __call__(self, batch: Any) -> tuple[Any, Event]:
        """Begin to copy a batch: its tensors, and the event of their arrival."""
        slot, self.number = self.number % self.SLOTS, self.number + 1
        if (earlier := self.copied[slot]) is not None:
            earlier.synchronize()  # its buffers are written again
        self.count = 0
        with self.backend.active() if isinstance(self.backend, OnDevice) else nullcontext():
            # memory of a batch that is gone may be taken for this one: not before its last reader has run
            self.stream.wait_stream(current_stream())
            with on_stream(self.stream):
                tensors = mapped(batch, lambda a: wrap(self._copy(a, self.slots[slot])))
            arrived = self.stream.record_event()
        self.copied[slot] = arrived
        return tensors, arrived

    def _copy(self, host: np.ndarray, buffers: dict[Any, np.ndarray]) -> Any:
        host = np.ascontiguousarray(host)
        array = self.xp.empty(host.shape, host.dtype)
        if self.pinned and host.size:
            key = self.count, host.shape, host.dtype
            self.count += 1
            if key not in buffers:
                memory = self.xp.cuda.alloc_pinned_memory(host.nbytes)
                buffers[key] = np.frombuffer(memory, host.dtype, host.size).reshape(host.shape)
            buffers[key][...] = host
            host = buffers[key]
        array.set(host, stream=self.stream.raw)
        return array

    def ready(self, tensors: Any, arrived: Event) -> Any:
        """The tensors, for work that is handed to the current stream from now on."""
        with self.backend.active() if isinstance(self.backend, OnDevice) else nullcontext():
            current_stream().wait_event(arrived)
        return tensors
