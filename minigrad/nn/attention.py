"""Multi-head attention."""

from __future__ import annotations

from typing import Any

from ..errors import ArgumentError
from ..tensor import Tensor
from . import functional as F
from . import init
from .cache import KeyValueCache
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
    add_bias_kv: one learned key and value more; add_zero_attn: one of zeros more. cache: see KeyValueCache.
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
        *,
        cache: KeyValueCache | None = None,
    ) -> tuple[Tensor, Tensor | None]:
        y, weights = F.multi_head_attention_forward(
            query,
            key,
            value,
            self.embed_dim,
            self.num_heads,
            self.in_proj_weight,
            self.in_proj_bias,
            self.bias_k,
            self.bias_v,
            self.add_zero_attn,
            self.dropout,
            None,
            None,
            self.training,
            key_padding_mask,
            need_weights,
            attn_mask,
            self.in_proj_weight is None,
            self.q_proj_weight,
            self.k_proj_weight,
            self.v_proj_weight,
            average_attn_weights=average_attn_weights,
            is_causal=is_causal,
            batch_first=self.batch_first,
            cache=None if cache is None else cache.of(self),
        )
        return self.out_proj(y), weights  # the layer, with its hooks
