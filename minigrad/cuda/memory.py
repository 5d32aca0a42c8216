"""The memory of a device: what tensors use, what CuPy's pool holds, and the error when there is none left.

CuPy keeps freed memory in a pool, as PyTorch does: "allocated" is what arrays use, "reserved" what the pool holds.
"""

from __future__ import annotations

from typing import Any

from .device import backend, number
from .device import device as on

_peaks: dict[int, Peaks] = {}  # by device


class Peaks:
    """A CuPy memory hook (by its methods' names) that follows the bytes in use on one device."""

    name = "minigrad peaks"

    def __init__(self, index: int, used: int):
        self.index, self.used, self.peak = index, used, used

    def malloc_postprocess(self, *, device_id: int, mem_size: int, **_: Any) -> None:
        if device_id == self.index:
            self.used += mem_size
            self.peak = max(self.peak, self.used)

    def free_postprocess(self, *, device_id: int, mem_size: int, **_: Any) -> None:
        if device_id == self.index:
            self.used -= mem_size


def _pool(index: int) -> Any:
    with on(index):
        return backend().xp.get_default_memory_pool()


def _bytes(what: str, index: int) -> int:
    with on(index):
        return int(getattr(_pool(index), what)())


def memory_allocated(device: Any = None) -> int:
    """Bytes that arrays use on a device."""
    return _bytes("used_bytes", number(device))


def memory_reserved(device: Any = None) -> int:
    """Bytes that CuPy's pool holds on a device, used or not."""
    return _bytes("total_bytes", number(device))


def mem_get_info(device: Any = None) -> tuple[int, int]:
    """(free, total) bytes of a device, as its driver says: other processes and the pool's reserve count as used."""
    index = number(device)
    with on(index):
        free, total = backend().xp.cuda.runtime.memGetInfo()
    return int(free), int(total)


def reset_peak_memory_stats(device: Any = None) -> None:
    """Begin to follow the peak of `memory_allocated` on a device, in this thread; from then on each allocation costs
    some microseconds more."""
    index = number(device)
    found = _peaks.get(index)
    if found is None:
        found = _peaks[index] = hook_of(backend().xp)(index, memory_allocated(index))
        found.__enter__()
    found.used = found.peak = memory_allocated(index)


def hook_of(cupy: Any) -> type:
    """Peaks as a subclass of CuPy's MemoryHook, which registers it."""
    return type("PeaksHook", (Peaks, cupy.cuda.MemoryHook), {"name": Peaks.name})


def max_memory_allocated(device: Any = None) -> int:
    """The most bytes that arrays have used since `reset_peak_memory_stats`, which must have been called once."""
    index = number(device)
    if index not in _peaks:
        reset_peak_memory_stats(index)
    return _peaks[index].peak


def memory_stats(device: Any = None) -> dict[str, int]:
    """What is known of a device's memory, under PyTorch's names and CuPy's."""
    index = number(device)
    free, total = mem_get_info(index)
    stats = {
        "allocated_bytes.all.current": memory_allocated(index),
        "reserved_bytes.all.current": memory_reserved(index),
        "inactive_bytes.all.current": memory_reserved(index) - memory_allocated(index),
        "free_blocks": _bytes("n_free_blocks", index),
        "device.free_bytes": free,
        "device.total_bytes": total,
        "pinned.free_blocks": int(backend().xp.get_default_pinned_memory_pool().n_free_blocks()),
    }
    if index in _peaks:
        stats["allocated_bytes.all.peak"] = _peaks[index].peak
    return stats


def memory_summary(device: Any = None) -> str:
    """`memory_stats` for readers, in MiB."""
    return "\n".join(
        f"{name:<28} {value / 2**20:12.1f} MiB" if "bytes" in name else f"{name:<28} {value:12}"
        for name, value in memory_stats(device).items()
    )


def empty_cache() -> None:
    """Give what the pools hold unused back to the driver."""
    cupy = backend().xp
    for index in range(backend().count()):
        with on(index):
            cupy.get_default_memory_pool().free_all_blocks()
    cupy.get_default_pinned_memory_pool().free_all_blocks()


def set_per_process_memory_fraction(fraction: float, device: Any = None) -> None:
    """Let the pool of a device hold at most this share of its memory; beyond it an OutOfMemoryError."""
    index = number(device)
    with on(index):
        _pool(index).set_limit(fraction=fraction)
