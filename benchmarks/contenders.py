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
        return "" if find_spec(package) else f"{package} is not installed. pip install 'minigrad-engine[bench]'"
    try:
        get_backend(name)
    except MinigradError as error:
        return str(error)
    return ""


def library(name: str) -> SimpleNamespace:
    """What code with PyTorch's names needs of a contender, minigrad or torch:

    m, nn, F, optim: modules; tensor(array, grad): a leaf that owns its memory; numpy(t); wait(): until the device is
    done; compiled: run the model through torch.compile.
    """
    if name in BACKENDS:
        m = import_module("minigrad")
        backend = get_backend(name)
        m.set_backend(backend)
        tensor: Callable = lambda a, grad=False: m.tensor(a, requires_grad=grad)
        wait, numpy = backend.synchronize, lambda t: t.detach().numpy()
        functional, clip = import_module("minigrad.nn.functional"), import_module("minigrad.nn.utils")
    else:
        m = import_module("torch")
        m.set_num_threads(get_num_threads())
        tensor = lambda a, grad=False: m.tensor(np.asarray(a)).requires_grad_(grad)
        wait, numpy = lambda: None, lambda t: t.detach().numpy()
        functional, clip = m.nn.functional, m.nn.utils
    return SimpleNamespace(
        m=m, nn=m.nn, F=functional, optim=m.optim, clip_grad_norm_=clip.clip_grad_norm_,
        tensor=tensor, numpy=numpy, wait=wait, compiled=name == "torch-compiled", name=name,
    )  # fmt: skip


def versions() -> dict[str, str]:
    """The versions of what is installed of all that is compared."""
    from importlib.metadata import PackageNotFoundError, version

    found: dict[str, Any] = {}
    for package in ("numpy", "numba", "torch", "jax", "autograd", "mygrad"):
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    return found
