"""Distances between all rows."""

from __future__ import annotations

import numpy as np

from ...errors import ArgumentError, ShapeError
from ...tensor import F, Tensor, wrap


def _norm(d: Tensor, p: float) -> Tensor:
    """||d||_p over the last axis, with gradient 0 (not NaN) where d is 0, as PyTorch has it."""
    if p < 0:
        raise ArgumentError(f"distance: p must be at least 0: got {p}.")
    if p == 0:
        return F.sum(F.sign(F.abs(d)), axis=-1)
    size = F.abs(d)
    if p == np.inf:
        return F.max(size, axis=-1) if d.shape[-1] else F.sum(size, axis=-1)
    if p == 1:
        return F.sum(size, axis=-1)
    total = F.sum(F.square(d) if p == 2 else F.power(size, p), axis=-1)
    zero = F.equal(total, 0)
    root = F.where(zero, 1, total)  # the root's slope is infinite at 0
    return F.where(zero, 0, F.sqrt(root) if p == 2 else F.power(root, 1 / p))


def pdist(input: Tensor, p: float = 2.0) -> Tensor:
    """||x[i] - x[j]||_p of all pairs i < j, in row-major order. input: (N, D); y: (N (N - 1) / 2,).

    p: from 0 (how many elements differ) to infinity.

    >>> import minigrad as mg
    >>> pdist(mg.tensor([[0.0, 0.0], [3.0, 4.0], [0.0, 1.0]]))
    tensor([5.       , 1.       , 4.2426405])
    """
    if input.ndim != 2:
        raise ShapeError(f"pdist: x must be (N, D): got shape {input.shape}.")
    first, second = (wrap(input.backend.asarray(i)) for i in np.triu_indices(input.shape[0], 1))
    return _norm(input[first] - input[second], p)


def cdist(x1: Tensor, x2: Tensor, p: float = 2.0) -> Tensor:
    """||x1[..., i, :] - x2[..., j, :]||_p. x1: (..., N, D); x2: (..., M, D); y: (..., N, M). torch.cdist."""
    if min(x1.ndim, x2.ndim) < 2 or x1.shape[-1] != x2.shape[-1]:
        raise ShapeError(f"cdist: x1 (..., N, D) and x2 (..., M, D) must agree in D: got {x1.shape} and {x2.shape}.")
    return _norm(F.expand_dims(x1, axis=-2) - F.expand_dims(x2, axis=-3), p)
