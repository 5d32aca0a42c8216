"""Distances between all rows."""

from __future__ import annotations

from ... import functions
from ...errors import ShapeError
from ...tensor import F, Tensor


def pdist(input: Tensor, p: float = 2.0) -> Tensor:
    """||x[i] - x[j]||_p of all pairs i < j, in row-major order. input: (N, D); y: (N (N - 1) / 2,).

    p: from 0 (how many elements differ) to infinity.

    >>> import minigrad as mg
    >>> pdist(mg.tensor([[0.0, 0.0], [3.0, 4.0], [0.0, 1.0]]))
    tensor([5.       , 1.       , 4.2426405])
    """
    if input.ndim != 2:
        raise ShapeError(f"pdist: x must be (N, D): got shape {input.shape}.")
    return functions.pdist(input, p)


def cdist(x1: Tensor, x2: Tensor, p: float = 2.0) -> Tensor:
    """||x1[..., i, :] - x2[..., j, :]||_p. x1: (..., N, D); x2: (..., M, D); y: (..., N, M). torch.cdist."""
    return F.cdist(x1, x2, order=p)
