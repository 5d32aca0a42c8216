"""Streams and events: work that runs beside other work on a device, and marks in it."""

from __future__ import annotations

from typing import Any

from .device import backend, number


class Stream:
    """A queue of work on a device. Work in different streams may overlap; `wait_stream` orders it.

    ``with cuda.stream(s):`` hands work to s. priority: lower numbers first, as CUDA's.
    """

    def __init__(self, device: Any = None, priority: int = 0, *, raw: Any = None):
        self.index = number(device)
        if raw is None:
            cupy = backend().xp
            with cupy.cuda.Device(self.index):
                ranked = priority and int(cupy.__version__.partition(".")[0]) >= 14  # a hint, which 13 does not take
                raw = cupy.cuda.Stream(non_blocking=True, **({"priority": priority} if ranked else {}))
        self.raw = raw  # CuPy's

    @property
    def cuda_stream(self) -> int:
        """The address of the cudaStream_t, for other libraries."""
        return int(self.raw.ptr)

    def synchronize(self) -> None:
        """Wait until all work in the stream is done."""
        backend().waits("Stream.synchronize()")
        self.raw.synchronize()

    def query(self) -> bool:
        """Is all work in the stream done?"""
        return bool(self.raw.done)

    def wait_event(self, event: Event) -> None:
        """What comes later in this stream waits for the event; the host does not."""
        self.raw.wait_event(event.raw)

    def wait_stream(self, other: Stream) -> None:
        """What comes later in this stream waits for all work that `other` has now."""
        self.wait_event(other.record_event())

    def record_event(self, event: Event | None = None) -> Event:
        event = event or Event()
        event.record(self)
        return event

    def __eq__(self, other: Any) -> bool:
        return isinstance(other, Stream) and other.cuda_stream == self.cuda_stream

    def __hash__(self) -> int:
        return hash(self.cuda_stream)

    def __repr__(self) -> str:
        return f"<Stream {self.cuda_stream:#x} of cupy:{self.index}>"


class Event:
    """A mark in a stream. enable_timing: it also takes the time, see `elapsed_time`."""

    def __init__(self, enable_timing: bool = False, blocking: bool = False, interprocess: bool = False):
        cupy = backend().xp
        self.raw = cupy.cuda.Event(block=blocking, disable_timing=not enable_timing, interprocess=interprocess)

    def record(self, stream: Stream | None = None) -> None:
        """Mark the place that a stream has come to, by default the current one."""
        self.raw.record(stream.raw if stream is not None else current_stream().raw)

    def wait(self, stream: Stream | None = None) -> None:
        """What comes later in the stream waits for this mark."""
        (stream or current_stream()).wait_event(self)

    def synchronize(self) -> None:
        """Wait until all work before the mark is done."""
        backend().waits("Event.synchronize()")
        self.raw.synchronize()

    def query(self) -> bool:
        """Is all work before the mark done?"""
        return bool(self.raw.done)

    def elapsed_time(self, end_event: Event) -> float:
        """Milliseconds from this mark to a later one; both with enable_timing, and reached."""
        return float(backend().xp.cuda.get_elapsed_time(self.raw, end_event.raw))


class stream:
    """``with cuda.stream(s):`` work of this thread goes to s; None changes nothing."""

    def __init__(self, stream: Stream | None):
        self.stream = stream

    def __enter__(self) -> Stream | None:
        if self.stream is not None:
            self.stream.raw.__enter__()
        return self.stream

    def __exit__(self, *error: Any) -> None:
        if self.stream is not None:
            self.stream.raw.__exit__(*error)


def current_stream(device: Any = None) -> Stream:
    """The stream that work goes to."""
    return Stream(device, raw=backend().xp.cuda.get_current_stream())


def default_stream(device: Any = None) -> Stream:
    """The stream that work goes to unless told otherwise."""
    return Stream(device, raw=backend().xp.cuda.Stream.null)
