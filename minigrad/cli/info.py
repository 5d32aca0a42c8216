"""``minigrad info``: what is installed, what computes, and where compiled kernels are kept."""

from __future__ import annotations

import os
import platform
import sys
from collections.abc import Iterator
from importlib import import_module
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from .._version import __version__
from ..backend import backend_names, get_backend
from ..creation import zeros
from ..errors import MinigradError
from ..mode import get_default_dtype
from ..threads import VARIABLE, get_num_threads, usable_cores

OPTIONAL = {"cupy": "gpu", "matplotlib": "train", "rich": "train", "safetensors": "train", "scikit-learn": "train"}


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
    yield from _threads_and_cache()


def _version(package: str) -> str:
    try:
        return version("cupy-cuda12x" if package == "cupy" else package)
    except PackageNotFoundError:
        extra = OPTIONAL.get(package)
        return f"not installed (pip install 'minigrad-engine[{extra}]')" if extra else "not installed"


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
