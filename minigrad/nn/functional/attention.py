"""Scaled dot-product attention, and attention with several heads."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from ...convert import as_array
from ...errors import ArgumentError, DTypeError, ShapeError
from ...primitive import kind_of
from ...random import default_generator
from ...tensor import F, Tensor, wrap
from .dropout import dropout


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
        if kind_of(mask.dtype) not in "bf":
            raise DTypeError(
                f"{who}: attn_mask must hold truth values (True: takes part) or floats to add: got {mask.dtype}."
            )
        if causal:
            raise ArgumentError(f"{who}: is_causal=True makes the mask itself: leave attn_mask out, or join them.")
        scores = (*query.shape[:-1], key.shape[-2])
        fits = zip(mask.shape[::-1], scores[::-1])
        if mask.ndim > len(scores) or any(a not in (1, b) for a, b in fits):
            raise ShapeError(f"{who}: attn_mask must broadcast to the scores {scores}: got shape {mask.shape}.")
        if kind_of(mask.dtype) == "f":
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


# ---- several heads ---------------------------------------------------------------------------------------------------
_WHO = "multi_head_attention_forward"


def multi_head_attention_forward(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    embed_dim_to_check: int,
    num_heads: int,
    in_proj_weight: Tensor | None,
    in_proj_bias: Tensor | None,
    bias_k: Tensor | None,
    bias_v: Tensor | None,
    add_zero_attn: bool,
    dropout_p: float,
    out_proj_weight: Tensor | None,
    out_proj_bias: Tensor | None,
    training: bool = True,
    key_padding_mask: Tensor | None = None,
    need_weights: bool = True,
    attn_mask: Tensor | None = None,
    use_separate_proj_weight: bool = False,
    q_proj_weight: Tensor | None = None,
    k_proj_weight: Tensor | None = None,
    v_proj_weight: Tensor | None = None,
    static_k: Tensor | None = None,
    static_v: Tensor | None = None,
    average_attn_weights: bool = True,
    is_causal: bool = False,
    *,
    batch_first: bool = False,
    cache: Any = None,
) -> tuple[Tensor, Tensor | None]:
    """nn.MultiheadAttention with its parameters as arguments; see there for formula, masks and deviations.

    query: (T, B, E), key and value: (S, B, ...), with batch_first (B, T, ...), or without B. in_proj_weight: (3 E, E),
    or with use_separate_proj_weight q_, k_ and v_proj_weight (E, ...); in_proj_bias: (3 E,). bias_k, bias_v: (1, 1, E).
    static_k, static_v: (B H, S, D), used in place of the mapped key and value. out_proj_weight: (E, E), or None, which
    leaves the last map out. cache: a nn.LayerCache.
    """
    weights: Any = (q_proj_weight, k_proj_weight, v_proj_weight) if use_separate_proj_weight else in_proj_weight
    widths = [w.shape[1] for w in weights[1:]] if use_separate_proj_weight else [embed_dim_to_check] * 2
    _check_heads((query, key, value), (embed_dim_to_check, *widths), num_heads, batch_first)
    single = query.ndim == 2
    first = single or batch_first
    if single:
        query, key, value = _each(lambda x: F.expand_dims(x, axis=0), query, key, value)
    b, t = query.shape[:2] if first else query.shape[1::-1]
    known = cache is not None and cache.fixed and cache.length > 0  # keys and values of another sequence

    q, *new = _projected((query,) if known else (query, key, value), weights, in_proj_bias)
    if bias_k is not None and bias_v is not None and not known:
        shape, axis = ((b, 1), 1) if first else ((1, b), 0)
        rows = (F.broadcast_to(row, (*shape, row.shape[-1])) for row in (bias_k, bias_v))
        new = [F.concat(x, row, axis=axis) for x, row in zip(new, rows)]
    q, *new = (_heads(x, num_heads, first) for x in (q, *new))  # (B, H, T, D), (B, H, S, D)
    k, v = (cache.keys, cache.values) if known else new
    if static_k is not None:
        k = _static("static_k", static_k, (b, num_heads), q.shape[-1])
    if static_v is not None:
        v = _static("static_v", static_v, (b, num_heads), q.shape[-1])
    appended = (bias_k is not None) + bool(add_zero_attn)  # keys seen by every query
    if cache is not None and appended:
        raise ArgumentError(f"{_WHO}: a cache cannot be used with add_bias_kv or add_zero_attn, which append a key.")
    if known and (b, cache.length) != (k.shape[0], key.shape[1 if first else 0]):
        raise ShapeError(
            f"{_WHO}: the cache holds keys of {k.shape[0]} sequences of length {cache.length}: got key {key.shape}. A "
            f"new sequence needs a new cache."
        )
    before = 0 if cache is None or known else cache.length
    sizes = b, num_heads, t, before + k.shape[2] - (bias_k is not None)
    mask, causal = _seen(query, key_padding_mask, attn_mask, sizes, before, single, is_causal, need_weights, appended)
    if cache is not None and not known:
        k, v = cache.append(k, v)
    if add_zero_attn:
        k, v = (F.pad(x, widths=((0, 0), (0, 0), (0, 1), (0, 0))) for x in (k, v))

    p, shares = dropout_p if training else 0.0, None
    if need_weights:
        shares = dropout(attention_weights(q, k, mask, causal, None), p)  # (B, H, T, S)
        y = F.matmul(shares, v)  # (B, H, T, D)
        shares = shares.mean(axis=1) if average_attn_weights else shares
        shares = shares[0] if single else shares
    else:
        y = scaled_dot_product_attention(q, k, v, mask, p, causal)
    y = F.permute_dims(y, axes=(0, 2, 1, 3) if first else (2, 0, 1, 3))
    y = F.reshape(y, (*y.shape[:2], embed_dim_to_check))  # (B, T, E) or (T, B, E)
    y = y if out_proj_weight is None else F.linear(y, out_proj_weight, out_proj_bias)
    return y[0] if single else y, shares


def _check_heads(xs: tuple[Tensor, ...], sizes: tuple[int, ...], heads: int, batch_first: bool) -> None:
    """sizes: the features that query, key and value must have."""
    if sizes[0] % heads:
        raise ArgumentError(f"{_WHO}: num_heads must divide embed_dim: {sizes[0]} / {heads} leaves {sizes[0] % heads}.")
    query, key, value = xs
    for name, x, size in zip(("query", "key", "value"), xs, sizes):
        if x.ndim not in (2, 3) or x.ndim != query.ndim or x.shape[-1] != size:
            layout = "(B, T, {0}) or (T, {0})" if batch_first else "(T, B, {0}) or (T, {0})"
            raise ShapeError(
                f"{_WHO}: {name} must be {layout.format(size)}, with as many axes as query: got shape {x.shape}, query "
                f"{query.shape}."
            )
    batch = 0 if batch_first else 1
    if key.shape[:-1] != value.shape[:-1] or (query.ndim == 3 and query.shape[batch] != key.shape[batch]):
        raise ShapeError(
            f"{_WHO}: key and value must have one length, and all three one batch size: got {query.shape}, {key.shape} "
            f"and {value.shape} with batch_first={batch_first}."
        )


def _projected(xs: tuple[Tensor, ...], weights: Any, bias: Tensor | None) -> list[Tensor]:
    """The linear maps of query, key and value, or of the query alone; where they are the same tensor, as one product.

    weights: three matrices, or all three in a column, (3 E, E)."""
    separate, same = isinstance(weights, tuple), tuple(x is xs[-1] for x in xs)
    e = weights[0].shape[0] if separate else weights.shape[1]
    joined: tuple[int, ...] = (1, 1, 1)  # maps in each product
    if not separate and len(xs) == 3 and same[1]:
        joined = (3,) if same[0] else (1, 2)
    sizes = tuple(n * e for n in joined)
    matrices = weights if separate else F.split(weights, sizes=sizes, axis=0)
    biases = (None,) * 3 if bias is None else F.split(bias, sizes=sizes, axis=0)
    ys: list[Tensor] = []
    for x, w, b, n in zip(xs, matrices, biases, joined):
        ys += F.split(F.linear(x, w, b), sizes=(e,) * n, axis=-1)  # (B, T, E) each
    return ys


def _heads(x: Tensor, heads: int, batch_first: bool) -> Tensor:
    """(B, T, E) or (T, B, E) to (B, H, T, D)."""
    x = F.reshape(x, (*x.shape[:2], heads, x.shape[-1] // heads))
    return F.permute_dims(x, axes=(0, 2, 1, 3) if batch_first else (1, 2, 0, 3))


def _static(name: str, x: Tensor, lead: tuple[int, int], size: int) -> Tensor:
    """(B H, S, D) to (B, H, S, D)."""
    b, heads = lead
    if x.ndim != 3 or (x.shape[0], x.shape[2]) != (b * heads, size):
        raise ShapeError(f"{_WHO}: {name} must be ({b * heads}, S, {size}), (B H, S, D): got shape {x.shape}.")
    return F.reshape(x, (b, heads, *x.shape[1:]))


def _seen(
    query: Tensor,
    padding: Any,
    mask: Any,
    sizes: tuple[int, int, int, int],
    before: int,
    single: bool,
    causal: bool,
    need_weights: bool,
    appended: int,
) -> tuple[Tensor | None, bool]:
    """What `attention` takes: a mask that broadcasts to (B, H, T, S), True is seen or floats to add, or None; and
    whether query i sees keys 0 to i. before: positions in the cache; appended: further keys, that all queries see."""
    b, heads, t, s = sizes
    if causal and padding is None and not need_weights:
        mask = None  # it is the causal mask: the kernel makes its own
    causal = causal and mask is None
    left_out: Any = None
    if padding is not None:
        padding = _mask("key_padding_mask", padding, ((s,),) if single else ((b, s),))
        left_out = F.reshape(padding, (b, 1, 1, s))
    if mask is not None:
        mask = _mask("attn_mask", mask, ((t, s), (b * heads, t, s)))
        mask = F.reshape(mask, (b, heads, t, s)) if mask.ndim == 3 else mask
        left_out = mask if left_out is None else _joined(left_out, mask, query.dtype)
    if causal and (left_out is not None or appended or before):
        causal = False
        if t > 1 or appended or not before:  # a single new position sees all
            later = wrap(query.backend.asarray(np.triu(np.ones((t, s), bool), 1 + before)))
            left_out = later if left_out is None else _joined(left_out, later, query.dtype)
    if left_out is None:
        return None, causal
    seen = F.logical_not(left_out) if left_out.dtype.kind == "b" else left_out
    if appended:
        shape = (*seen.shape[:-1], appended)
        seen = F.concat(seen, wrap(seen.backend.xp.full(shape, seen.dtype.kind == "b", dtype=seen.dtype)), axis=-1)
    return seen, causal


def _mask(name: str, mask: Any, shapes: tuple) -> Tensor:
    mask = mask if isinstance(mask, Tensor) else wrap(as_array(mask))
    if kind_of(mask.dtype) not in "bf":
        raise DTypeError(f"{_WHO}: {name} must hold truth values (True: left out) or floats to add: got {mask.dtype}.")
    if mask.shape not in shapes:
        allowed = " or ".join(str(shape) for shape in shapes)
        raise ShapeError(f"{_WHO}: {name} must have shape {allowed}: got {mask.shape}.")
    return mask


def _joined(a: Tensor, b: Tensor, dtype: Any) -> Tensor:
    """Both masks as one: left out is what either leaves out."""
    if a.dtype.kind == b.dtype.kind == "b":
        return F.logical_or(a, b)
    return _added(a, dtype) + _added(b, dtype)


def _added(mask: Tensor, dtype: Any) -> Tensor:
    """A mask as floats to add: -inf where True."""
    return F.where(mask, -math.inf, 0.0).astype(dtype) if mask.dtype.kind == "b" else mask.astype(dtype)


def _each(change: Any, *xs: Tensor) -> tuple[Tensor, ...]:
    """change(x) for each; the same tensor stays the same tensor, so that its projections can be one product."""
    changed = {i: change(x) for i, x in {id(x): x for x in xs}.items()}
    return tuple(changed[id(x)] for x in xs)
