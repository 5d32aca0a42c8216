"""Which devices there are, and which is current."""

from __future__ import annotations

from contextlib import ContextDecorator
from typing import Any, NamedTuple

from ..backend import get_backend
from ..backend.devices import Devices
from ..convert import Device
from ..errors import ArgumentError, BackendError


class DeviceProperties(NamedTuple):
    """What a device is; memory in bytes."""

    name: str
    major: int
    minor: int
    total_memory: int
    multi_processor_count: int
    warp_size: int
    max_threads_per_multi_processor: int
    shared_memory_per_block: int
    L2_cache_size: int


def backend() -> Devices:
    """The backend "cupy". Raises BackendError with the reason where it cannot be used."""
    found = get_backend("cupy")
    assert isinstance(found, Devices)
    return found


def is_available() -> bool:
    """Can the backend "cupy" be used? `why_not` says what it lacks."""
    return not why_not()


def why_not() -> str:
    """Why the backend "cupy" cannot be used, and what to do; empty if it can."""
    try:
        backend()
    except BackendError as error:
        return str(error).removeprefix("backend cupy: ")
    return ""


def device_count() -> int:
    """The number of devices that can be used; 0 without CuPy or a driver."""
    return backend().count() if is_available() else 0


def number(device: Any = None) -> int:
    """The number of a device given as one, as "cupy:1" or "cuda:1", or None for the current one; checked."""
    b = backend()
    if device is None:
        return int(b.xp.cuda.runtime.getDevice())
    if isinstance(device, bool) or not isinstance(device, (int, str)):
        raise ArgumentError(f'cuda: a device is a number, "cuda:1" or None: got {device!r}.')
    if isinstance(device, str):
        device = Device(device)
        if device.type != "cupy":
            raise ArgumentError(f'cuda: a device is a number, "cuda:1" or None: got {str(device)!r}.')
        index = int(device.index or 0)
    else:
        index = device
    if not 0 <= index < b.count():
        have = "one device, 0" if b.count() == 1 else f"devices 0 to {b.count() - 1}"
        raise BackendError(f"cuda: there is no device {index}: there is {have}.")
    return index


def current_device() -> int:
    """The number of the device that new arrays of the backend "cupy" are made on."""
    return number()


def set_device(device: Any) -> None:
    """Make a device current, in this thread."""
    index = number(device)
    if index:
        backend().in_use()
    backend().xp.cuda.Device(index).use()


class device(ContextDecorator):
    """``with cuda.device(1):`` new arrays are made there; the device before is current again afterwards."""

    def __init__(self, device: Any):
        self.index = number(device)
        self._entered: list[Any] = []

    def _recreate_cm(self) -> device:
        return type(self)(self.index)

    def __enter__(self) -> device:
        if self.index:
            backend().in_use()
        entered = backend().xp.cuda.Device(self.index)
        entered.__enter__()
        self._entered.append(entered)
        return self

    def __exit__(self, *error: Any) -> None:
        self._entered.pop().__exit__(*error)


def get_device_properties(device: Any = None) -> DeviceProperties:
    """Name, compute capability, memory and sizes of a device."""
    found = backend().xp.cuda.runtime.getDeviceProperties(number(device))
    name = found["name"]
    return DeviceProperties(
        name.decode() if isinstance(name, bytes) else str(name),
        int(found["major"]),
        int(found["minor"]),
        int(found["totalGlobalMem"]),
        int(found["multiProcessorCount"]),
        int(found["warpSize"]),
        int(found["maxThreadsPerMultiProcessor"]),
        int(found["sharedMemPerBlock"]),
        int(found["l2CacheSize"]),
    )


def get_device_name(device: Any = None) -> str:
    return get_device_properties(device).name


def get_device_capability(device: Any = None) -> tuple[int, int]:
    """(9, 0) for an H100."""
    found = get_device_properties(device)
    return found.major, found.minor


def is_bf16_supported() -> bool:
    """Does the current device compute with bfloat16 itself? From compute capability 8.0 on."""
    return is_available() and get_device_capability() >= (8, 0)


def synchronize(device: Any = None) -> None:
    """Wait until all work handed to a device is done."""
    backend().waits("cuda.synchronize()")
    backend().xp.cuda.Device(number(device)).synchronize()
