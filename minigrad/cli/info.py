"""``minigrad info``: what is installed, what computes, and where compiled kernels are kept."""

from __future__ import annotations

import os
import platform
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from importlib import import_module
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from .. import cuda
from .._version import __version__
from ..backend import backend_names, driver, get_backend
from ..creation import zeros
from ..errors import MinigradError
from ..mode import get_default_dtype
from ..threads import VARIABLE, get_num_threads, usable_cores

OPTIONAL = {"cupy": "gpu", "ml_dtypes": "half"} | dict.fromkeys(
    ("matplotlib", "rich", "safetensors", "scikit-learn"), "train"
)


def lines() -> Iterator[str]:
    yield f"minigrad       {__version__} ({Path(__file__).parents[1]})"
    yield f"python         {platform.python_version()} ({sys.executable}, {platform.system()} {platform.machine()})"
    for package in ("numpy", "numba", "llvmlite", *OPTIONAL):
        yield f"{package:<14} {_version(package)}"
    yield ""
    default = zeros(()).backend.name
    for name in backend_names():
        try:
            get_backend(name)
        except MinigradError as error:
            yield f"backend {name:<6} missing: {str(error).removeprefix(f'backend {name}: ')}"
        else:
            yield f"backend {name:<6} found{', default' if name == default else ''}"
    yield f"default dtype  {get_default_dtype()}"
    yield ""
    yield from _gpu()
    yield ""
    yield from _threads_and_cache()


def _version(package: str) -> str:
    try:
        if package == "cupy":  # one of several wheels
            wheels = driver.installed()
            return ", ".join(f"{version(w)} ({w})" for w in wheels) or version("cupy")
        return version(package)
    except PackageNotFoundError:
        extra = OPTIONAL.get(package)
        return f"not installed (pip install 'minigrad-engine[{extra}]')" if extra else "not installed"


def _gpu() -> Iterator[str]:
    """The driver, and each device with its memory; or what is missing, and what to do."""
    yield f"gpu driver     {_driver()}"
    if why := cuda.why_not():
        yield f"gpu            cannot be used: {why}"
        return
    runtime = get_backend("cupy").xp.cuda.runtime
    made, known = (driver.version_of(f()) for f in (runtime.runtimeGetVersion, runtime.driverGetVersion))
    yield f"gpu CUDA       CuPy is made for {made}, the driver knows {known}"
    yield f"gpu cuDNN      {import_module('minigrad.kernels.cuda.cudnn').status()}"
    for i in range(cuda.device_count()):
        about, (free, total) = cuda.get_device_properties(i), cuda.mem_get_info(i)
        half = "bfloat16 and float16" if (about.major, about.minor) >= (8, 0) else "float16"
        yield (
            f"gpu {i:<10} {about.name}, compute capability {about.major}.{about.minor}, "
            f"{free / 2**30:.1f} of {total / 2**30:.1f} GiB free, {half}"
        )
        if free < total // 10:
            yield f"gpu {i:<10} little memory is free: other processes hold it, see nvidia-smi"


def _driver() -> str:
    """The version of NVIDIA's driver, as the kernel module or nvidia-smi says it."""
    module = Path("/proc/driver/nvidia/version")
    try:
        found = re.search(r"\d+\.\d+[.\d]*", module.read_text())
        if found:
            return found.group()
    except OSError:
        pass
    if program := shutil.which("nvidia-smi"):
        query = [program, "--query-gpu=driver_version", "--format=csv,noheader"]
        try:
            said = subprocess.run(query, capture_output=True, text=True, timeout=10, check=True).stdout.split()
            return said[0] if said else "nvidia-smi names no device"
        except (OSError, subprocess.SubprocessError) as error:
            return f"nvidia-smi fails ({error}): install the driver again, or restart the machine after an update"
    return "none found"


def _threads_and_cache() -> Iterator[str]:
    yield f"threads        {get_num_threads()} for {usable_cores()} usable cores ({VARIABLE} sets it)"
    try:
        folder = import_module("minigrad.kernels.cpu.cache").folder()
    except Exception as error:  # missing, or broken in some way of its own
        yield f"kernels        none, the NumPy reference serves: {type(error).__name__}: {error}"
        return
    files = list(folder.glob("*.nbc"))
    size = sum(file.stat().st_size for file in files)
    place = folder if folder.exists() else next(p for p in folder.parents if p.exists())
    state = "" if os.access(place, os.W_OK) else ", read-only: nothing new is kept"
    yield f"kernel cache   {folder}: {len(files)} files, {size / 1e6:.1f} MB{state} (MINIGRAD_CACHE_DIR moves it)"
