"""Lookups: a row of a table per token, or a sum, mean or maximum of rows per bag of tokens."""

from __future__ import annotations

from typing import Any

import numpy as np

from ...convert import as_array
from ...errors import ArgumentError, IndexRangeError, ShapeError
from ...mode import no_grad
from ...ops.indexing import PLACE
from ...tensor import F, Tensor, wrap
from .checks import check_range


def _renormalize(weight: Tensor, index: Tensor, max_norm: float, norm_type: float) -> None:
    rows = np.unique(index.numpy())
    with no_grad():
        used = weight[rows]
        norms = F.power(F.sum(F.power(F.abs(used), norm_type), axis=1, keepdims=True), 1 / norm_type)  # (rows, 1)
        weight[rows] = F.where(F.greater(norms, max_norm), used * (max_norm / (norms + 1e-7)), used)


def _place(who: str, padding_idx: int, n: int) -> int:
    if not -n <= padding_idx < n:
        raise IndexRangeError(f"{who}: padding_idx must be from {-n} to {n - 1}: got {padding_idx}.")
    return padding_idx % n


def _scaled_by_frequency(rows: Tensor, index: Tensor) -> None:
    """Have the gradient of each row divided by how often its token occurs. rows: (*index.shape, D)."""
    if rows.node is not None:
        _, where, counts = np.unique(index.numpy(), return_inverse=True, return_counts=True)
        share = (1 / counts[where.reshape(index.shape)]).astype(rows.dtype)[..., None]
        rows.register_hook(lambda g: g * wrap(rows.backend.asarray(share)))


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
    scale_grad_by_freq: a row's gradient is divided by how often it occurs in input.
    `sparse` is accepted and ignored: gradients are dense.
    """
    index = input if isinstance(input, Tensor) else wrap(as_array(input))
    if weight.ndim != 2:
        raise ShapeError(f"embedding: weight must be (N, D): got shape {weight.shape}.")
    n = weight.shape[0]
    check_range("embedding", index, n, "indices", "num_embeddings")
    if max_norm is not None:
        _renormalize(weight, index, max_norm, norm_type)
    y = weight[index]  # (..., D)
    if scale_grad_by_freq:
        _scaled_by_frequency(y, index)
    if padding_idx is not None:
        padding = F.expand_dims(F.equal(index, _place("embedding", padding_idx, n)), axis=-1)  # (..., 1)
        y = F.where(padding, y.detach(), y)
    return y


def _edges(index: Tensor, offsets: Any, include_last_offset: bool) -> np.ndarray:
    """Where each bag starts in the flat list of tokens and, behind the last start, its end: (bags + 1,)."""
    who = "embedding_bag"
    if index.ndim == 2:
        if offsets is not None:
            raise ArgumentError(f"{who}: input (B, L) has a bag per row: offsets must be None.")
        return np.arange(index.shape[0] + 1) * index.shape[1]
    if index.ndim != 1:
        raise ShapeError(f"{who}: input must be (B, L), or (N,) with offsets: got shape {index.shape}.")
    if offsets is None:
        raise ArgumentError(f"{who}: input (N,) needs offsets, where each bag starts.")
    starts, n = offsets.numpy() if isinstance(offsets, Tensor) else np.asarray(offsets), index.shape[0]
    if starts.ndim != 1 or starts.dtype.kind not in "iu":
        raise ShapeError(f"{who}: offsets must be integers (bags,): got {starts.dtype} {starts.shape}.")
    if include_last_offset and not starts.size:
        raise ArgumentError(f"{who}: with include_last_offset, offsets must end with an end: got none.")
    if starts.size and (starts[0] != 0 or (np.diff(starts) < 0).any() or starts[-1] > n):
        raise IndexRangeError(f"{who}: offsets must rise from 0 to at most {n}, the number of tokens: got {starts}.")
    return starts if include_last_offset else np.append(starts, n)


def embedding_bag(
    input: Tensor,
    weight: Tensor,
    offsets: Tensor | None = None,
    max_norm: float | None = None,
    norm_type: float = 2,
    scale_grad_by_freq: bool = False,
    mode: str = "mean",
    sparse: bool = False,
    per_sample_weights: Tensor | None = None,
    include_last_offset: bool = False,
    padding_idx: int | None = None,
) -> Tensor:
    """y[b] = the sum, mean or maximum of weight[token] over the tokens of bag b; 0 for an empty bag.

    input: (B, L), a bag per row, or (N,) with offsets (bags,): where each bag starts (with include_last_offset, then
    where the last one ends); weight: (N, D); y: (bags, D).
    per_sample_weights: (as input) factors of the rows, mode "sum" only. padding_idx: tokens that do not count.
    max_norm, scale_grad_by_freq, sparse: as in `embedding`.

    >>> import minigrad as mg
    >>> table = mg.tensor([[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]])
    >>> embedding_bag(mg.tensor([0, 1, 2]), table, mg.tensor([0, 2]), mode="sum")
    tensor([[4., 6.],
           [5., 6.]])
    """
    who = "embedding_bag"
    if mode not in ("sum", "mean", "max"):
        raise ArgumentError(f"{who}: mode must be sum, mean or max: got {mode!r}.")
    if weight.ndim != 2:
        raise ShapeError(f"{who}: weight must be (N, D): got shape {weight.shape}.")
    if mode == "max" and (scale_grad_by_freq or sparse):
        raise ArgumentError(f"{who}: mode 'max' has neither scale_grad_by_freq nor sparse.")
    index = input if isinstance(input, Tensor) else wrap(as_array(input))
    if per_sample_weights is not None and (mode != "sum" or per_sample_weights.shape != index.shape):
        raise ShapeError(
            f"{who}: per_sample_weights needs mode 'sum' and the shape of input: got mode {mode!r}, shapes "
            f"{per_sample_weights.shape} and {index.shape}."
        )
    (n, d), edges = weight.shape, _edges(index, offsets, include_last_offset)
    check_range(who, index, n, "indices", "num_embeddings")
    if max_norm is not None:
        _renormalize(weight, index, max_norm, norm_type)
    tokens, bags = index.numpy().reshape(-1)[: edges[-1]], np.repeat(np.arange(len(edges) - 1), np.diff(edges))
    chosen = np.ones(tokens.shape, bool) if padding_idx is None else tokens != _place(who, padding_idx, n)
    bags = bags[chosen]
    counts = np.bincount(bags, minlength=len(edges) - 1)  # (bags,)
    rows = weight[tokens[chosen]]  # (N, D)
    if scale_grad_by_freq:
        _scaled_by_frequency(rows, wrap(tokens[chosen]))
    if per_sample_weights is not None:
        rows = rows * F.reshape(per_sample_weights, (-1,))[np.flatnonzero(chosen)][:, None]
    if mode == "max":
        return _maxima(rows, counts)
    y = F.scatter(rows, wrap(rows.backend.asarray(bags)), key=(PLACE,), shape=(len(counts), d))
    if mode == "mean":
        y = y / wrap(rows.backend.asarray(np.maximum(counts, 1).astype(y.dtype)[:, None]))
    return y


def _maxima(rows: Tensor, counts: np.ndarray) -> Tensor:
    """The largest of each run of counts[b] rows, per column; 0 of none. rows: (N, D); y: (bags, D)."""
    asarray = rows.backend.asarray
    if not rows.shape[0]:
        return F.zeros(shape=(len(counts), rows.shape[1]), dtype=rows.dtype, like=rows)
    steps = np.minimum(np.arange(counts.max()), counts[:, None] - 1)  # a shorter bag: its last row again
    places = wrap(asarray(np.maximum((np.cumsum(counts) - counts)[:, None] + steps, 0) % rows.shape[0]))  # (bags, L)
    best = F.argmax(rows.detach()[places], axis=1)  # (bags, D)
    y = F.take_along_axis(rows, F.take_along_axis(places, best, axis=1), axis=0)
    return F.where(wrap(asarray(counts[:, None] > 0)), y, 0)
