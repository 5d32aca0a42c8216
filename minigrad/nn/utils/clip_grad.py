"""Clipping gradients: by their total norm, by value."""

from __future__ import annotations

import math
from collections.abc import Iterable
from importlib import import_module
from typing import Any

import numpy as np

from ...backend.base import load_kernel
from ...edits import written
from ...errors import ArgumentError, GradError
from ...mode import MODE
from ...tensor import F, Tensor, wrap

KERNELS = {"numba": "cpu", "cupy": "cuda"}  # the folder of a backend's kernels
CLIP_FROM = 16_384  # elements of all gradients together: below, NumPy is as fast


def _gradients(parameters: Any) -> list[Tensor]:
    parameters = [parameters] if isinstance(parameters, Tensor) else list(parameters)
    return [p.grad for p in parameters if p.grad is not None]


def get_total_norm(tensors: Iterable[Tensor], norm_type: float = 2.0, error_if_nonfinite: bool = False) -> Tensor:
    """(sum of |x|**norm_type over all elements of all tensors)**(1 / norm_type); norm_type may be infinity."""
    tensors = [tensors] if isinstance(tensors, Tensor) else list(tensors)
    if not tensors:
        return wrap(F.zeros(shape=(), dtype="float32").array)
    xp, arrays = tensors[0].backend.xp, [t.array.reshape(-1) for t in tensors]
    if norm_type == math.inf:
        total = xp.max(xp.stack([xp.max(xp.abs(a)) if a.size else a.sum() for a in arrays]))
    else:
        norms = xp.stack([xp.linalg.norm(a, norm_type) for a in arrays])
        total = xp.linalg.norm(norms, norm_type)
    if error_if_nonfinite and not math.isfinite(found := float(tensors[0].backend.to_host(total))):
        raise GradError(
            f"clip_grad_norm_: the total norm is {found}. Look for the first NaN, or pass error_if_nonfinite=False."
        )
    return wrap(xp.asarray(total, dtype=arrays[0].dtype))


def clip_grad_norm_(
    parameters: Any, max_norm: float, norm_type: float = 2.0, error_if_nonfinite: bool = False, foreach: Any = None
) -> Tensor:
    """Scale all gradients together, in place, so that their total norm is at most max_norm; returns the norm before.

    The factor is max_norm / (norm + 1e-6), as in PyTorch. Pascanu et al. 2012, arXiv:1211.5063.
    `foreach` has no effect.
    """
    gradients = _gradients(parameters)
    if norm_type == 2 and not error_if_nonfinite:
        clipped = _clipped_together(gradients, max_norm)
        if clipped is not None:
            return clipped
    total = get_total_norm(gradients, norm_type, error_if_nonfinite)
    if any(type(g.array) is not np.ndarray for g in gradients):  # a device need not wait until the host has the norm
        factor = (float(max_norm) / (total + 1e-6)).clip(None, 1.0)
        for g in gradients:
            with g.backend.active():
                _store(g, g.array * factor.to(g.device).array, "clip_grad_norm_")
        return total
    factor = min(float(max_norm) / (total.item() + 1e-6), 1.0)
    if factor < 1 or math.isnan(factor):
        for g in gradients:
            _store(g, g.array * factor, "clip_grad_norm_")
    return total


def _clipped_together(gradients: list[Tensor], max_norm: float) -> Tensor | None:
    """clip_grad_norm_ in one pass of a compiled kernel over all gradients; None where it does not serve."""
    if not gradients:
        return None
    host = MODE.get().host
    backend = host if type(gradients[0].array) is np.ndarray else gradients[0].backend
    few = backend.name == "numba" and sum(g.array.size for g in gradients) < CLIP_FROM
    folder = KERNELS.get(backend.name)
    if few or folder is None:
        return None
    module = load_kernel(lambda: import_module(f"minigrad.kernels.{folder}.optim"))
    clipped = module and module.clip(tuple(g.array for g in gradients), max_norm)
    if clipped is None:
        return None
    norm, scaled = clipped
    for g in gradients if scaled else ():
        written(g, "clip_grad_norm_")
    return wrap(norm)


def clip_grad_value_(parameters: Any, clip_value: float, foreach: Any = None) -> None:
    """Clip every element of every gradient to [-clip_value, clip_value], in place. `foreach` has no effect."""
    if clip_value < 0:
        raise ArgumentError(f"clip_grad_value_: clip_value must not be negative: got {clip_value}.")
    for g in _gradients(parameters):
        _store(g, g.backend.xp.clip(g.array, -clip_value, clip_value), "clip_grad_value_")


def _store(g: Tensor, values: Any, op: str) -> None:
    g.array[...] = values
    written(g, op)
