"""CuPy, imported when the backend is asked for; or in one sentence what it lacks, and what to do."""

from __future__ import annotations

import sys
from collections.abc import Callable
from importlib import import_module
from types import ModuleType
from typing import Any

from ..errors import BackendError, OutOfMemoryError

INSTALL = "pip install 'minigrad-engine[gpu]' (CUDA 12), or cupy-cuda13x for CUDA 13"
# cudaError_t, by number: CUDA Runtime API reference, section 6.36
INVALID_DEVICE, NO_DEVICE, NO_MEMORY, DRIVER_TOO_OLD, UNAVAILABLE, NOT_READY = 101, 100, 2, 35, 46, 802


def load() -> ModuleType:
    """The module cupy, with at least one device it can use. Raises BackendError with the reason."""
    cupy = imported()
    runtime = cupy.cuda.runtime
    try:
        count = runtime.getDeviceCount()
    except runtime.CUDARuntimeError as error:
        raise BackendError(f"backend cupy: {_reason(runtime, error)}") from None
    if not count:
        raise BackendError("backend cupy: CuPy sees no CUDA device. Check nvidia-smi and CUDA_VISIBLE_DEVICES.")
    cupy.cuda.set_allocator(explained(cupy, cupy.cuda.get_allocator()))
    return cupy


def explained(cupy: Any, allocate: Callable) -> Callable:
    """An allocator for CuPy that says what was asked for and what is held when there is no room."""

    def malloc(size: int) -> Any:
        try:
            return allocate(size)
        except cupy.cuda.memory.OutOfMemoryError:
            pool, runtime = cupy.get_default_memory_pool(), cupy.cuda.runtime
            free, total = runtime.memGetInfo()
            held, used = pool.total_bytes(), pool.used_bytes()
            raise OutOfMemoryError(
                f"cupy:{runtime.getDevice()}: no room for {gib(size)}: arrays of this process use {gib(used)} "
                f"({gib(held - used)} more is held unused), {gib(free)} of {gib(total)} are free. Use a smaller batch, "
                "mg.autocast, func.checkpoint or fewer kept results; see mg.cuda.memory_summary() and nvidia-smi."
            ) from None

    return malloc


def gib(size: int) -> str:
    """A number of bytes for readers."""
    return f"{size / 2**30:.2f} GiB" if size >= 2**27 else f"{size / 2**20:.2f} MiB"


def imported() -> ModuleType:
    """The module cupy, whatever devices there are."""
    try:
        return import_module("cupy")
    except ModuleNotFoundError as error:
        if (error.name or "cupy").partition(".")[0] in ("cupy", "cupy_backends"):
            raise BackendError(f"backend cupy: CuPy is not installed. {INSTALL}.") from None
        reason: Any = error
    except Exception as error:  # a library that cannot be loaded, a NumPy it does not know
        reason = error
    sys.modules.pop("cupy", None)
    wheels = installed()
    several = f" Several wheels are installed ({', '.join(wheels)}): keep one." if len(wheels) > 1 else ""
    first = (str(reason).strip().splitlines() or [""])[0]
    raise BackendError(
        f"backend cupy: CuPy is installed but cannot be imported ({type(reason).__name__}: {first}).{several} "
        f"Is the wheel made for the CUDA that is installed? {INSTALL}."
    ) from None


def installed() -> list[str]:
    """The packages that bring a module cupy: one of cupy-cuda12x, cupy-cuda13x, cupy."""
    from importlib.metadata import packages_distributions  # 30 ms that importing minigrad need not wait for

    return sorted(set(packages_distributions().get("cupy", [])))


def version_of(number: int) -> str:
    """CUDA's 12040 as "12.4"."""
    return f"{number // 1000}.{number % 1000 // 10}"


def _reason(runtime: Any, error: Exception) -> str:
    status = getattr(error, "status", None)
    try:
        driver, own = runtime.driverGetVersion(), runtime.runtimeGetVersion()
    except Exception:  # a driver so broken that it cannot say its version
        driver, own = 0, 0
    if status == DRIVER_TOO_OLD and not driver:
        return "there is no NVIDIA driver. Install one (nvidia-smi then works), or use the numba backend."
    if status == DRIVER_TOO_OLD:
        return (
            f"the driver knows CUDA {version_of(driver)}, and this CuPy ({', '.join(installed()) or 'cupy'}) is made "
            f"for CUDA {version_of(own)}. Update the driver, or install the CuPy for CUDA {driver // 1000}: "
            f"cupy-cuda{driver // 1000}x."
        )
    if status == NO_DEVICE:
        return "the driver finds no CUDA device. Check nvidia-smi, CUDA_VISIBLE_DEVICES and the container's options."
    if status in (UNAVAILABLE, NOT_READY):
        return f"the device is taken or not ready yet ({error}). Check nvidia-smi for other processes, and the driver."
    return f"no usable CUDA driver or device ({error}). Check nvidia-smi."
