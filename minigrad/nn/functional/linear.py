"""Products and lookups: linear, bilinear, one_hot, embedding."""

from __future__ import annotations

import numpy as np

from ... import functions
from ...convert import as_array
from ...errors import ArgumentError, IndexRangeError
from ...mode import no_grad
from ...tensor import F, Tensor, wrap
from .checks import check_range

linear = F.linear
one_hot = functions.one_hot


def bilinear(input1: Tensor, input2: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """y[..., o] = sum over i, j of x1[..., i] w[o, i, j] x2[..., j] + b[o]. weight: (O, I, J)."""
    left = F.matmul(input1[..., None, None, :], weight)  # (..., O, 1, J)
    y = F.sum(left[..., 0, :] * F.expand_dims(input2, axis=-2), axis=-1)  # (..., O)
    return y if bias is None else y + bias


def embedding(
    input: Tensor,
    weight: Tensor,
    padding_idx: int | None = None,
    max_norm: float | None = None,
    norm_type: float = 2.0,
    scale_grad_by_freq: bool = False,
    sparse: bool = False,
) -> Tensor:
    """y[...] = weight[input[...]]. input: (...) integers from 0 to N - 1; weight: (N, D); y: (..., D).

    padding_idx: that row receives no gradient. max_norm: rows used are first scaled down to it, in place.
    `sparse` is accepted and ignored: gradients are dense.
    """
    if scale_grad_by_freq:
        raise ArgumentError("embedding: scale_grad_by_freq is not supported. Leave it False.")
    index = input if isinstance(input, Tensor) else wrap(as_array(input))
    n = weight.shape[0]
    check_range("embedding", index, n, "indices", "num_embeddings")
    if max_norm is not None:
        _renormalize(weight, index, max_norm, norm_type)
    y = weight[index]  # (..., D)
    if padding_idx is not None:
        if not -n <= padding_idx < n:
            raise IndexRangeError(f"embedding: padding_idx must be from {-n} to {n - 1}: got {padding_idx}.")
        padding = F.expand_dims(F.equal(index, padding_idx % n), axis=-1)  # (..., 1)
        y = F.where(padding, y.detach(), y)
    return y


def _renormalize(weight: Tensor, index: Tensor, max_norm: float, norm_type: float) -> None:
    rows = np.unique(index.numpy())
    with no_grad():
        used = weight[rows]
        norms = F.power(F.sum(F.power(F.abs(used), norm_type), axis=1, keepdims=True), 1 / norm_type)  # (rows, 1)
        weight[rows] = F.where(F.greater(norms, max_norm), used * (max_norm / (norms + 1e-7)), used)
