"""Who is compared: minigrad's backends and the libraries beside it, by the names that `minigrad bench` takes.

A model or a case written with PyTorch's names runs on both kinds: `library` gives what such code needs.
"""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from importlib.util import find_spec
from types import SimpleNamespace
from typing import Any

import numpy as np

from ..backend import get_backend
from ..errors import MinigradError
from ..threads import get_num_threads
from . import BACKENDS, PEERS


def label(name: str) -> str:
    """As tables show it."""
    eager = {"torch": "torch eager"}
    return f"minigrad {name}" if name in BACKENDS else eager.get(name, name.replace("-", " "))


def missing(name: str) -> str:
    """Why this contender cannot run here; empty if it can."""
    if name in PEERS:
        package = PEERS[name]
        if not find_spec(package):
            return f"{package} is not installed. pip install 'minigrad-engine[bench]'"
        if name == "torch-cuda" and not import_module("torch").cuda.is_available():
            return "torch sees no GPU. It needs a build for CUDA, and a driver"
        return ""
    try:
        get_backend(name)
    except MinigradError as error:
        return str(error)
    return ""


def library(name: str) -> SimpleNamespace:
    """What code with PyTorch's names needs of a contender, minigrad or torch:

    m, nn, F, optim: modules; tensor(array, grad): a leaf that owns its memory; numpy(t); timed(call, n): the seconds of
    n calls by the GPU's own clock, None on the host; set_tf32(flag): may products of float32 be TF32 (at first not,
    for any contender); compiled: run the model through torch.compile.
    """
    timed: Callable | None = None
    set_tf32: Callable = lambda flag: None
    if name in BACKENDS:
        m = import_module("minigrad")
        backend = get_backend(name)
        m.set_backend(backend)
        tensor: Callable = lambda a, grad=False: m.tensor(a, requires_grad=grad)
        numpy = lambda t: t.detach().numpy()
        if name == "cupy":
            timed, set_tf32 = by_events(m.cuda.Event), backend.set_tf32
        functional, clip = import_module("minigrad.nn.functional"), import_module("minigrad.nn.utils")
    else:
        m = import_module("torch")
        m.set_num_threads(get_num_threads())
        tensor = lambda a, grad=False: m.tensor(np.asarray(a)).requires_grad_(grad)
        numpy = lambda t: (t.float() if t.dtype == m.bfloat16 else t).detach().cpu().numpy()
        if name == "torch-cuda":
            m.set_default_device("cuda")
            timed = by_events(m.cuda.Event)

            def set_tf32(flag: bool) -> None:  # PyTorch's convolutions have it on by themselves
                m.backends.cuda.matmul.allow_tf32 = m.backends.cudnn.allow_tf32 = flag

            set_tf32(False)
        functional, clip = m.nn.functional, m.nn.utils
    return SimpleNamespace(
        m=m, nn=m.nn, F=functional, optim=m.optim, clip_grad_norm_=clip.clip_grad_norm_,
        tensor=tensor, numpy=numpy, timed=timed, set_tf32=set_tf32, compiled=name == "torch-compiled", name=name,
    )  # fmt: skip


def by_events(event: Any) -> Callable[[Callable[[], Any], int], float]:
    """What times calls by two marks in the device's stream: from the first kernel to the last, all handed out between.
    event: the class Event of minigrad.cuda or torch.cuda."""

    def timed(call: Callable[[], Any], n: int) -> float:
        start, end = event(enable_timing=True), event(enable_timing=True)
        start.record()
        for _ in range(n):
            call()
        end.record()
        end.synchronize()
        return start.elapsed_time(end) / 1e3

    return timed


def gpu() -> str:
    """Name, memory and CUDA versions of the GPU; empty without one."""
    from ..backend.driver import version_of
    from ..cuda import get_device_properties, is_available

    if not is_available():
        return ""
    about, runtime = get_device_properties(), get_backend("cupy").xp.cuda.runtime
    made, known = version_of(runtime.runtimeGetVersion()), version_of(runtime.driverGetVersion())
    return f"{about.name}, {about.total_memory / 2**30:.0f} GiB, CUDA {made}, driver for CUDA {known}"


def versions() -> dict[str, str]:
    """The versions of what is installed of all that is compared."""
    from importlib.metadata import PackageNotFoundError, version

    found: dict[str, Any] = {}
    for package in ("numpy", "numba", "torch", "jax", "autograd", "mygrad", "cupy", "cupy-cuda12x", "cupy-cuda13x"):
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    return found
