"""Scaled dot-product attention."""

from __future__ import annotations

import math
from typing import Any

from ...convert import as_array
from ...errors import ArgumentError, DTypeError, ShapeError
from ...random import default_generator
from ...tensor import F, Tensor, wrap


def _attention_inputs(query: Tensor, key: Tensor, value: Tensor, mask: Any, causal: bool, gqa: bool) -> tuple:
    """Key and value with as many heads as the query, and the mask as a Tensor; or an error that says what to change."""
    who = "scaled_dot_product_attention"
    for name, x in (("query", query), ("key", key), ("value", value)):
        if x.ndim < 2:
            raise ShapeError(f"{who}: {name} must be (..., length, size): got shape {x.shape}.")
    if query.shape[-1] != key.shape[-1] or key.shape[-2] != value.shape[-2]:
        raise ShapeError(
            f"{who}: query (..., T, D), key (..., S, D) and value (..., S, E) must agree in D and S: got "
            f"{query.shape}, {key.shape} and {value.shape}."
        )
    if gqa:
        heads, groups = (query.shape[-3], key.shape[-3]) if min(query.ndim, key.ndim, value.ndim) > 2 else (0, 0)
        if not groups or heads % groups or value.shape[-3] != groups:
            raise ShapeError(
                f"{who}: with enable_gqa the heads (axis -3) of key and value must be equal and divide the query's: "
                f"got {query.shape}, {key.shape} and {value.shape}."
            )
    if mask is not None:
        mask = mask if isinstance(mask, Tensor) else wrap(as_array(mask))
        if mask.dtype.kind not in "bf":
            raise DTypeError(
                f"{who}: attn_mask must hold truth values (True: takes part) or floats to add: got {mask.dtype}."
            )
        if causal:
            raise ArgumentError(f"{who}: is_causal=True makes the mask itself: leave attn_mask out, or join them.")
        scores = (*query.shape[:-1], key.shape[-2])
        fits = zip(mask.shape[::-1], scores[::-1])
        if mask.ndim > len(scores) or any(a not in (1, b) for a, b in fits):
            raise ShapeError(f"{who}: attn_mask must broadcast to the scores {scores}: got shape {mask.shape}.")
        if mask.dtype.kind == "f":
            mask = mask.astype(query.dtype)
    return key, value, mask


def _grouped_heads(query: Tensor, key: Tensor, value: Tensor, mask: Tensor | None) -> tuple:
    """Query (..., H, T, D) as (..., G, H / G, T, D), key and value (..., G, S, D) as (..., G, 1, S, D), which serve
    H / G heads each without a copy, and the mask to go with them."""

    def split(x):  # axis -3 in two; one of length 1 as two of them
        *batch, heads, rows, columns = x.shape
        groups = key.shape[-3] if heads > 1 else 1
        return F.reshape(x, (*batch, groups, heads // groups, rows, columns))

    mask = split(mask) if mask is not None and mask.ndim > 2 else mask
    return split(query), F.expand_dims(key, axis=-3), F.expand_dims(value, axis=-3), mask


def attention_weights(query: Tensor, key: Tensor, mask: Tensor | None, causal: bool, scale: float | None) -> Tensor:
    """softmax(Q K^T scale + mask), (..., T, S), as an array: for what `attention` never forms. A query that sees no
    key has weights 0."""
    s = F.matmul(query, F.matrix_transpose(key)) * (query.shape[-1] ** -0.5 if scale is None else scale)  # (..., T, S)
    if mask is not None:
        s = F.where(mask, s, -math.inf) if mask.dtype.kind == "b" else s + mask
    if causal:
        s = F.where(F.greater(F.triu(F.zeros_like(s) + 1, k=1), 0), -math.inf, s)
    if not s.size:
        return s
    top = F.max(s, axis=-1, keepdims=True).detach()  # exp overflows above ~88 in float32
    if mask is not None:
        top = F.where(F.equal(top, -math.inf), 0, top)  # a query that sees no key: -inf - -inf would be NaN ...
    e = F.exp(s - top)
    total = F.sum(e, axis=-1, keepdims=True)  # (..., T, 1)
    return e / (total if mask is None else F.where(F.equal(total, 0), 1, total))  # ... and 0 / 0


def scaled_dot_product_attention(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attn_mask: Tensor | None = None,
    dropout_p: float = 0.0,
    is_causal: bool = False,
    scale: float | None = None,
    enable_gqa: bool = False,
) -> Tensor:
    """y = softmax(Q K^T scale + mask) V. query: (..., T, D); key: (..., S, D); value: (..., S, E); y: (..., T, E).

    attn_mask: broadcasts to (..., T, S); truth values, True takes part, or floats that are added. is_causal: query i
    sees keys 0 to i. scale: 1 / sqrt(D) if None. dropout_p: applied to the weights whenever it is not 0, so pass 0 in
    evaluation. enable_gqa: query has a multiple of the heads of key and value (axis -3), which are shared in groups
    (Ainslie et al. 2023, arXiv:2305.13245). A query that sees no key gets zeros. The weights are never formed, here and
    in the backward pass: memory grows with T, not with T S.
    Vaswani et al. 2017, arXiv:1706.03762, section 3.2.1.

    >>> import minigrad as mg
    >>> from minigrad.nn.functional import scaled_dot_product_attention
    >>> x = mg.ones(2, 4, 10, 8)
    >>> scaled_dot_product_attention(x, x, x, is_causal=True).shape
    (2, 4, 10, 8)
    """
    if not 0 <= dropout_p <= 1:
        raise ArgumentError(f"scaled_dot_product_attention: dropout_p must be from 0 to 1: got {dropout_p}.")
    key, value, mask = _attention_inputs(query, key, value, attn_mask, is_causal, enable_gqa)
    heads = query.shape[-3] if enable_gqa and query.shape[-3] != key.shape[-3] else 0
    if heads:
        query, key, value, mask = _grouped_heads(query, key, value, mask)
    if not (query.size and key.size and value.size):
        y = F.matmul(attention_weights(query, key, mask, is_causal, scale), value)
    else:
        seed = wrap(query.backend.asarray(default_generator.numpy("integers", 2**32, size=2))) if dropout_p else None
        y = F.attention(query, key, value, mask, seed, causal=is_causal, scale=scale, dropout=dropout_p)
    return F.reshape(y, (*y.shape[:-4], heads, *y.shape[-2:])) if heads else y
