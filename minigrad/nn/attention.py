"""Multi-head attention."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from ..convert import as_array
from ..errors import ArgumentError, DTypeError, ShapeError
from ..tensor import F as ops
from ..tensor import Tensor, wrap
from . import functional as F
from . import init
from .linear import Linear, positive
from .module import Module, made


class MultiheadAttention(Module):
    """y = concat(head_1, ..., head_H) W_o^T + b_o with head_h = softmax(Q_h K_h^T / sqrt(D)) V_h.

    Q, K, V are linear maps of query, key and value, cut into H = num_heads pieces of D = embed_dim / H features.
    query: (T, B, embed_dim), key: (S, B, kdim), value: (S, B, vdim), with batch_first (B, T, ...), or without B;
    returns the output, shaped like query, and the weights (B, T, S), averaged over the heads, (B, H, T, S) with
    average_attn_weights=False, None with need_weights=False (which runs the fused kernel: much faster).

    In both masks True means *left out*, and floats are added to the scores. key_padding_mask: (B, S) or (S,);
    attn_mask: (T, S) or (B H, T, S). is_causal: query i sees keys 0 to i. As in PyTorch it says that attn_mask, if
    given, is the causal mask, which is then not read where neither padding nor weights need it.
    add_bias_kv: one learned key and value more; add_zero_attn: one of zeros more.
    Vaswani et al. 2017, arXiv:1706.03762, section 3.2.2.

    Deviations: is_causal works without attn_mask. A query that may see no key gets zeros also with need_weights=True,
    where PyTorch gives NaN.

    >>> import minigrad as mg
    >>> from minigrad import nn
    >>> attention, x = nn.MultiheadAttention(8, 2, batch_first=True), mg.ones(3, 5, 8)
    >>> y, weights = attention(x, x, x)
    >>> y.shape, weights.shape
    ((3, 5, 8), (3, 5, 5))
    """

    def __init__(
        self,
        embed_dim: int,
        num_heads: int,
        dropout: float = 0.0,
        bias: bool = True,
        add_bias_kv: bool = False,
        add_zero_attn: bool = False,
        kdim: int | None = None,
        vdim: int | None = None,
        batch_first: bool = False,
        device: Any = None,
        dtype: Any = None,
    ):
        super().__init__()
        positive("MultiheadAttention", embed_dim=embed_dim, num_heads=num_heads)
        if embed_dim % num_heads:
            raise ArgumentError(
                f"MultiheadAttention: num_heads must divide embed_dim: {embed_dim} / {num_heads} leaves "
                f"{embed_dim % num_heads}."
            )
        if not 0 <= dropout <= 1:
            raise ArgumentError(f"MultiheadAttention: dropout must be a probability, from 0 to 1: got {dropout}.")
        self.embed_dim, self.num_heads, self.head_dim = embed_dim, num_heads, embed_dim // num_heads
        self.kdim, self.vdim = embed_dim if kdim is None else kdim, embed_dim if vdim is None else vdim
        positive("MultiheadAttention", kdim=self.kdim, vdim=self.vdim)
        self.dropout, self.batch_first, self.add_zero_attn = dropout, batch_first, add_zero_attn
        e, same = embed_dim, self.kdim == self.vdim == embed_dim
        self.q_proj_weight = None if same else made((e, e), device, dtype)
        self.k_proj_weight = None if same else made((e, self.kdim), device, dtype)
        self.v_proj_weight = None if same else made((e, self.vdim), device, dtype)
        self.in_proj_weight = made((3 * e, e), device, dtype) if same else None  # W_q, W_k, W_v in a column
        self.in_proj_bias = made((3 * e,), device, dtype) if bias else None
        self.out_proj = Linear(e, e, bias, device, dtype)
        self.bias_k = made((1, 1, e), device, dtype) if add_bias_kv else None
        self.bias_v = made((1, 1, e), device, dtype) if add_bias_kv else None
        self.reset_parameters()

    def reset_parameters(self) -> None:
        for weight in (self.in_proj_weight, self.q_proj_weight, self.k_proj_weight, self.v_proj_weight):
            if weight is not None:
                init.xavier_uniform_(weight)
        if self.in_proj_bias is not None and self.out_proj.bias is not None:
            init.zeros_(self.in_proj_bias)
            init.zeros_(self.out_proj.bias)
        if self.bias_k is not None and self.bias_v is not None:
            init.xavier_normal_(self.bias_k)
            init.xavier_normal_(self.bias_v)

    def forward(
        self,
        query: Tensor,
        key: Tensor,
        value: Tensor,
        key_padding_mask: Tensor | None = None,
        need_weights: bool = True,
        attn_mask: Tensor | None = None,
        average_attn_weights: bool = True,
        is_causal: bool = False,
    ) -> tuple[Tensor, Tensor | None]:
        self._check(query, key, value)
        single, time_first = query.ndim == 2, query.ndim == 3 and not self.batch_first
        if is_causal and key_padding_mask is None and not need_weights:
            attn_mask = None  # it is the causal mask: the kernel makes its own
        causal = is_causal and attn_mask is None
        if single:
            query, key, value = _each(lambda x: ops.expand_dims(x, axis=0), query, key, value)
        elif time_first:
            query, key, value = _each(lambda x: x.swapaxes(0, 1), query, key, value)
        (b, t), s = query.shape[:2], key.shape[1]

        q, k, v = self._project(query, key, value)  # (B, T, E), (B, S, E), (B, S, E)
        if self.bias_k is not None and self.bias_v is not None:
            k, v = (ops.concat(x, _copies(row, b), axis=1) for x, row in ((k, self.bias_k), (v, self.bias_v)))
        q, k, v = self._heads(q), self._heads(k), self._heads(v)  # (B, H, T, D), (B, H, S, D)
        if self.add_zero_attn:
            k, v = (ops.pad(x, widths=((0, 0), (0, 0), (0, 1), (0, 0))) for x in (k, v))
        appended = k.shape[2] - s  # seen by every query
        left_out = self._left_out(key_padding_mask, attn_mask, (b, t, s), single, query.dtype)
        if causal and (left_out is not None or appended):
            later = wrap(query.backend.asarray(np.triu(np.ones((t, s), bool), 1)))
            left_out, causal = later if left_out is None else _joined(left_out, later, query.dtype), False
        mask = None if left_out is None else _with_appended(left_out, appended)

        p = self.dropout if self.training else 0.0
        weights = None
        if need_weights:
            weights = F.dropout(F.attention_weights(q, k, mask, causal, None), p)  # (B, H, T, S)
            y = ops.matmul(weights, v)  # (B, H, T, D)
            weights = weights.mean(axis=1) if average_attn_weights else weights
            weights = weights[0] if single else weights
        else:
            y = F.scaled_dot_product_attention(q, k, v, mask, p, causal)
        y = self.out_proj(ops.reshape(y.swapaxes(1, 2), (b, t, self.embed_dim)))  # (B, T, E)
        return (y[0] if single else y.swapaxes(0, 1) if time_first else y), weights

    def _check(self, query: Tensor, key: Tensor, value: Tensor) -> None:
        names = ("query", "key", "value")
        for name, x, size in zip(names, (query, key, value), (self.embed_dim, self.kdim, self.vdim)):
            if x.ndim not in (2, 3) or x.ndim != query.ndim or x.shape[-1] != size:
                layout = "(B, T, {0}) or (T, {0})" if self.batch_first else "(T, B, {0}) or (T, {0})"
                raise ShapeError(
                    f"MultiheadAttention: {name} must be {layout.format(size)}, with as many axes as query: got shape "
                    f"{x.shape}, query {query.shape}."
                )
        batch = 0 if self.batch_first else 1
        if key.shape[:-1] != value.shape[:-1] or (query.ndim == 3 and query.shape[batch] != key.shape[batch]):
            raise ShapeError(
                f"MultiheadAttention: key and value must have one length, and all three one batch size: got "
                f"{query.shape}, {key.shape} and {value.shape} with batch_first={self.batch_first}."
            )

    def _project(self, query: Tensor, key: Tensor, value: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """The three input maps; where inputs are the same tensor, as one product."""
        w, e = self.in_proj_weight, self.embed_dim
        rows = (slice(0, e), slice(e, 2 * e), slice(2 * e, 3 * e))  # of q, k, v
        bias = self.in_proj_bias
        if w is None:
            biases = (None, None, None) if bias is None else tuple(bias[r] for r in rows)
            maps = zip((query, key, value), (self.q_proj_weight, self.k_proj_weight, self.v_proj_weight), biases)
            q, k, v = (ops.linear(x, m, b) for x, m, b in maps)
            return q, k, v
        if query is key is value:
            y = ops.linear(query, w, bias)  # (B, T, 3 E)
            return y[..., rows[0]], y[..., rows[1]], y[..., rows[2]]
        q = ops.linear(query, w[rows[0]], None if bias is None else bias[rows[0]])
        if key is value:
            y = ops.linear(key, w[e:], None if bias is None else bias[e:])  # (B, S, 2 E)
            return q, y[..., :e], y[..., e:]
        k, v = (ops.linear(x, w[r], None if bias is None else bias[r]) for x, r in ((key, rows[1]), (value, rows[2])))
        return q, k, v

    def _heads(self, x: Tensor) -> Tensor:
        """(B, T, E) to (B, H, T, D)."""
        return ops.reshape(x, (*x.shape[:2], self.num_heads, self.head_dim)).swapaxes(1, 2)

    def _left_out(self, padding: Any, mask: Any, sizes: tuple[int, int, int], single: bool, dtype: Any) -> Any:
        """Both masks as one that broadcasts to (B, H, T, S): True is left out, or floats to add; None without masks."""
        b, t, s = sizes
        found = None
        if padding is not None:
            padding = _mask("key_padding_mask", padding, ((s,),) if single else ((b, s),))
            found = ops.reshape(padding, (b, 1, 1, s))
        if mask is not None:
            mask = _mask("attn_mask", mask, ((t, s), (b * self.num_heads, t, s)))
            if mask.ndim == 3:
                mask = ops.reshape(mask, (b, self.num_heads, t, s))
            found = mask if found is None else _joined(found, mask, dtype)
        return found


def _mask(name: str, mask: Any, shapes: tuple) -> Tensor:
    mask = mask if isinstance(mask, Tensor) else wrap(as_array(mask))
    if mask.dtype.kind not in "bf":
        raise DTypeError(
            f"MultiheadAttention: {name} must hold truth values (True: left out) or floats to add: got {mask.dtype}."
        )
    if mask.shape not in shapes:
        allowed = " or ".join(str(shape) for shape in shapes)
        raise ShapeError(f"MultiheadAttention: {name} must have shape {allowed}: got {mask.shape}.")
    return mask


def _joined(a: Tensor, b: Tensor, dtype: Any) -> Tensor:
    if a.dtype.kind == b.dtype.kind == "b":
        return ops.logical_or(a, b)
    return _added(a, dtype) + _added(b, dtype)


def _added(mask: Tensor, dtype: Any) -> Tensor:
    """A mask as floats to add: -inf where True."""
    return ops.where(mask, -math.inf, 0.0).astype(dtype) if mask.dtype.kind == "b" else mask.astype(dtype)


def _with_appended(left_out: Tensor, appended: int) -> Tensor:
    """What `attention` takes, True is seen or floats to add, with `appended` keys more that all queries see."""
    seen = ops.logical_not(left_out) if left_out.dtype.kind == "b" else left_out
    if not appended:
        return seen
    shape = (*seen.shape[:-1], appended)
    return ops.concat(seen, wrap(seen.backend.xp.full(shape, seen.dtype.kind == "b", dtype=seen.dtype)), axis=-1)


def _copies(row: Tensor, b: int) -> Tensor:
    """(1, 1, E) as (B, 1, E)."""
    return ops.broadcast_to(row, (b, 1, row.shape[-1]))


def _each(change: Callable[[Tensor], Tensor], *xs: Tensor) -> tuple[Tensor, ...]:
    """change(x) for each; the same tensor stays the same tensor, so that its projections can be one product."""
    changed = {i: change(x) for i, x in {id(x): x for x in xs}.items()}
    return tuple(changed[id(x)] for x in xs)
