"""The transformer: layers, stacks, the whole model, and ways to tell it positions. arXiv:1706.03762."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable
from typing import Any, ClassVar

import numpy as np

from ..errors import ArgumentError, ShapeError
from ..mode import MODE
from ..tensor import F as ops
from ..tensor import Tensor, wrap
from . import functional as F
from . import init
from .attention import MultiheadAttention
from .cache import KeyValueCache
from .containers import ModuleList
from .dropout import Dropout
from .linear import Linear, positive
from .module import Buffer, Module
from .norm import LayerNorm


def _activation(who: str, activation: Any) -> Callable[[Tensor], Tensor]:
    known: dict[str, Callable] = {"relu": F.relu, "gelu": F.gelu}
    if isinstance(activation, str) and activation in known:
        return known[activation]
    if callable(activation):
        return activation
    raise ArgumentError(f"{who}: activation must be 'relu', 'gelu' or a function of a tensor: got {activation!r}.")


def _check_features(who: str, name: str, x: Tensor, d_model: int) -> None:
    if x.ndim not in (2, 3) or x.shape[-1] != d_model:
        raise ShapeError(
            f"{who}: {name} must be (T, B, {d_model}), (B, T, {d_model}) with batch_first, or (T, {d_model}): got "
            f"shape {x.shape}."
        )


class _Layer(Module):
    """Branches around a residual stream, each with a norm and dropout of its own: attention, then feed-forward."""

    branches: ClassVar[int]
    self_attn: MultiheadAttention

    def __init__(
        self,
        d_model: int,
        nhead: int,
        dim_feedforward: int = 2048,
        dropout: float = 0.1,
        activation: str | Callable[[Tensor], Tensor] = F.relu,
        layer_norm_eps: float = 1e-5,
        batch_first: bool = False,
        norm_first: bool = False,
        bias: bool = True,
        device: Any = None,
        dtype: Any = None,
    ):
        super().__init__()
        kind: Any = {"device": device, "dtype": dtype}
        for name in ("self_attn", "multihead_attn")[: self.branches - 1]:
            setattr(self, name, MultiheadAttention(d_model, nhead, dropout, bias, batch_first=batch_first, **kind))
        self.linear1 = Linear(d_model, dim_feedforward, bias, **kind)
        self.dropout = Dropout(dropout)
        self.linear2 = Linear(dim_feedforward, d_model, bias, **kind)
        self.norm_first = norm_first
        for i in range(1, self.branches + 1):
            setattr(self, f"norm{i}", LayerNorm(d_model, layer_norm_eps, bias=bias, **kind))
        for i in range(1, self.branches + 1):
            setattr(self, f"dropout{i}", Dropout(dropout))
        self.activation = _activation(type(self).__name__, activation)

    def _branch(self, i: int, x: Tensor, f: Callable[[Tensor], Tensor]) -> Tensor:
        norm, dropout = getattr(self, f"norm{i}"), getattr(self, f"dropout{i}")
        return x + dropout(f(norm(x))) if self.norm_first else norm(x + dropout(f(x)))

    def _feedforward(self, x: Tensor) -> Tensor:
        return self.linear2(self.dropout(self.activation(self.linear1(x))))


class TransformerEncoderLayer(_Layer):
    """x = norm1(x + attention(x)); y = norm2(x + linear2(activation(linear1(x)))), with dropout on each branch.

    norm_first: x = x + attention(norm1(x)); y = x + feedforward(norm2(x)), which trains without warm-up (Xiong et al.
    2020, arXiv:2002.04745). src: (T, B, d_model), with batch_first (B, T, d_model), or (T, d_model); y alike.
    Masks as in MultiheadAttention: True is left out. is_causal: position i sees 0 to i; then src_mask need not be
    given, and the fused kernel runs. cache: see KeyValueCache. A stack of these with is_causal is a GPT.
    Vaswani et al. 2017, arXiv:1706.03762, section 3.1.

    >>> import minigrad as mg
    >>> from minigrad import nn
    >>> layer = nn.TransformerEncoderLayer(d_model=16, nhead=4, dim_feedforward=32, batch_first=True)
    >>> layer(mg.ones(3, 10, 16), is_causal=True).shape
    (3, 10, 16)
    """

    branches = 2

    def forward(
        self,
        src: Tensor,
        src_mask: Tensor | None = None,
        src_key_padding_mask: Tensor | None = None,
        is_causal: bool = False,
        *,
        cache: KeyValueCache | None = None,
    ) -> Tensor:
        _check_features("TransformerEncoderLayer", "src", src, self.self_attn.embed_dim)

        def attend(x: Tensor) -> Tensor:
            return self.self_attn(x, x, x, src_key_padding_mask, False, src_mask, is_causal=is_causal, cache=cache)[0]

        return self._branch(2, self._branch(1, src, attend), self._feedforward)


class TransformerDecoderLayer(_Layer):
    """As TransformerEncoderLayer, with attention to `memory`, the encoder's output, between the two branches.

    tgt: (T, B, d_model), memory: (S, B, d_model), with batch_first (B, T, ...), or without B; y is shaped like tgt.
    With a cache, memory is read at the first call alone; see KeyValueCache.
    Vaswani et al. 2017, arXiv:1706.03762, section 3.1.

    >>> import minigrad as mg
    >>> from minigrad import nn
    >>> layer = nn.TransformerDecoderLayer(d_model=16, nhead=4, dim_feedforward=32, batch_first=True)
    >>> layer(mg.ones(3, 10, 16), mg.ones(3, 7, 16), tgt_is_causal=True).shape
    (3, 10, 16)
    """

    branches = 3
    multihead_attn: MultiheadAttention

    def forward(
        self,
        tgt: Tensor,
        memory: Tensor,
        tgt_mask: Tensor | None = None,
        memory_mask: Tensor | None = None,
        tgt_key_padding_mask: Tensor | None = None,
        memory_key_padding_mask: Tensor | None = None,
        tgt_is_causal: bool = False,
        memory_is_causal: bool = False,
        *,
        cache: KeyValueCache | None = None,
    ) -> Tensor:
        _check_features("TransformerDecoderLayer", "tgt", tgt, self.self_attn.embed_dim)
        _check_features("TransformerDecoderLayer", "memory", memory, self.self_attn.embed_dim)

        def attend(x: Tensor) -> Tensor:
            own: Any = {"is_causal": tgt_is_causal, "cache": cache}
            return self.self_attn(x, x, x, tgt_key_padding_mask, False, tgt_mask, **own)[0]

        def recall(x: Tensor) -> Tensor:
            other: Any = {"is_causal": memory_is_causal, "cache": None if cache is None else cache.memory}
            return self.multihead_attn(x, memory, memory, memory_key_padding_mask, False, memory_mask, **other)[0]

        return self._branch(3, self._branch(2, self._branch(1, tgt, attend), recall), self._feedforward)


def _clones(who: str, layer: Module, n: int) -> ModuleList:
    positive(who, num_layers=n)
    return ModuleList([copy.deepcopy(layer) for _ in range(n)])


def _given(cache: KeyValueCache | None) -> dict[str, Any]:
    """The cache as an option, which layers of the user's own need not have."""
    return {} if cache is None else {"cache": cache}


class TransformerEncoder(Module):
    """num_layers copies of a layer in a row, then `norm` if given. src, y and cache: as of the layer.

    The copies start equal, as in PyTorch. is_causal None counts as False: the mask is used as it is, never inspected;
    pass True to run the fused kernel. enable_nested_tensor and mask_check are accepted and change nothing.

    >>> import minigrad as mg
    >>> from minigrad import nn
    >>> layer = nn.TransformerEncoderLayer(16, 4, 32)
    >>> nn.TransformerEncoder(layer, num_layers=2)(mg.ones(10, 3, 16)).shape
    (10, 3, 16)
    """

    def __init__(
        self,
        encoder_layer: Module,
        num_layers: int,
        norm: Module | None = None,
        enable_nested_tensor: bool = True,
        mask_check: bool = True,
    ):
        super().__init__()
        self.layers = _clones("TransformerEncoder", encoder_layer, num_layers)
        self.num_layers, self.norm = num_layers, norm
        self.enable_nested_tensor, self.mask_check = enable_nested_tensor, mask_check

    def forward(
        self,
        src: Tensor,
        mask: Tensor | None = None,
        src_key_padding_mask: Tensor | None = None,
        is_causal: bool | None = None,
        *,
        cache: KeyValueCache | None = None,
    ) -> Tensor:
        x, options = src, _given(cache)
        for layer in self.layers:
            x = layer(x, src_mask=mask, src_key_padding_mask=src_key_padding_mask, is_causal=bool(is_causal), **options)
        return x if self.norm is None else self.norm(x)


class TransformerDecoder(Module):
    """num_layers copies of a decoder layer in a row, then `norm` if given. Options as TransformerEncoder.

    >>> import minigrad as mg
    >>> from minigrad import nn
    >>> layer = nn.TransformerDecoderLayer(16, 4, 32)
    >>> nn.TransformerDecoder(layer, num_layers=2)(mg.ones(10, 3, 16), mg.ones(7, 3, 16)).shape
    (10, 3, 16)
    """

    def __init__(self, decoder_layer: Module, num_layers: int, norm: Module | None = None):
        super().__init__()
        self.layers = _clones("TransformerDecoder", decoder_layer, num_layers)
        self.num_layers, self.norm = num_layers, norm

    def forward(
        self,
        tgt: Tensor,
        memory: Tensor,
        tgt_mask: Tensor | None = None,
        memory_mask: Tensor | None = None,
        tgt_key_padding_mask: Tensor | None = None,
        memory_key_padding_mask: Tensor | None = None,
        tgt_is_causal: bool | None = None,
        memory_is_causal: bool = False,
        *,
        cache: KeyValueCache | None = None,
    ) -> Tensor:
        x, options = tgt, _given(cache)
        for layer in self.layers:
            x = layer(
                x,
                memory,
                tgt_mask=tgt_mask,
                memory_mask=memory_mask,
                tgt_key_padding_mask=tgt_key_padding_mask,
                memory_key_padding_mask=memory_key_padding_mask,
                tgt_is_causal=bool(tgt_is_causal),
                memory_is_causal=memory_is_causal,
                **options,
            )
        return x if self.norm is None else self.norm(x)


class Transformer(Module):
    """Encoder and decoder: y = decoder(tgt, encoder(src)). Embeddings, positions and the last linear map are yours.

    src: (S, B, d_model), tgt: (T, B, d_model), with batch_first (B, S, ...), or without B; y is shaped like tgt.
    All matrices start Xavier-uniform. Vaswani et al. 2017, arXiv:1706.03762.

    >>> import minigrad as mg
    >>> from minigrad import nn
    >>> model = nn.Transformer(16, 4, 1, 1, dim_feedforward=32, batch_first=True)
    >>> model(mg.ones(3, 10, 16), mg.ones(3, 7, 16), tgt_is_causal=True).shape
    (3, 7, 16)
    """

    def __init__(
        self,
        d_model: int = 512,
        nhead: int = 8,
        num_encoder_layers: int = 6,
        num_decoder_layers: int = 6,
        dim_feedforward: int = 2048,
        dropout: float = 0.1,
        activation: str | Callable[[Tensor], Tensor] = F.relu,
        custom_encoder: Any | None = None,
        custom_decoder: Any | None = None,
        layer_norm_eps: float = 1e-5,
        batch_first: bool = False,
        norm_first: bool = False,
        bias: bool = True,
        device: Any = None,
        dtype: Any = None,
    ):
        super().__init__()
        kind: Any = {"device": device, "dtype": dtype}
        options = (d_model, nhead, dim_feedforward, dropout, activation, layer_norm_eps, batch_first, norm_first, bias)

        def norm() -> LayerNorm:
            return LayerNorm(d_model, layer_norm_eps, bias=bias, **kind)

        self.encoder = custom_encoder or TransformerEncoder(
            TransformerEncoderLayer(*options, **kind), num_encoder_layers, norm()
        )
        self.decoder = custom_decoder or TransformerDecoder(
            TransformerDecoderLayer(*options, **kind), num_decoder_layers, norm()
        )
        for p in self.parameters():
            if p.ndim > 1:
                init.xavier_uniform_(p)
        self.d_model, self.nhead, self.batch_first = d_model, nhead, batch_first

    def forward(
        self,
        src: Tensor,
        tgt: Tensor,
        src_mask: Tensor | None = None,
        tgt_mask: Tensor | None = None,
        memory_mask: Tensor | None = None,
        src_key_padding_mask: Tensor | None = None,
        tgt_key_padding_mask: Tensor | None = None,
        memory_key_padding_mask: Tensor | None = None,
        src_is_causal: bool | None = None,
        tgt_is_causal: bool | None = None,
        memory_is_causal: bool = False,
    ) -> Tensor:
        _check_features("Transformer", "src", src, self.d_model)
        _check_features("Transformer", "tgt", tgt, self.d_model)
        batch = 0 if self.batch_first else 1
        if src.ndim != tgt.ndim or (src.ndim == 3 and src.shape[batch] != tgt.shape[batch]):
            raise ShapeError(
                f"Transformer: src and tgt must have one batch size: got {src.shape} and {tgt.shape} with "
                f"batch_first={self.batch_first}."
            )
        memory = self.encoder(src, mask=src_mask, src_key_padding_mask=src_key_padding_mask, is_causal=src_is_causal)
        return self.decoder(
            tgt,
            memory,
            tgt_mask=tgt_mask,
            memory_mask=memory_mask,
            tgt_key_padding_mask=tgt_key_padding_mask,
            memory_key_padding_mask=memory_key_padding_mask,
            tgt_is_causal=tgt_is_causal,
            memory_is_causal=memory_is_causal,
        )

    @staticmethod
    def generate_square_subsequent_mask(sz: int, device: Any = None, dtype: Any = None) -> Tensor:
        """(sz, sz) floats to add: -inf above the diagonal, else 0, so that position i sees 0 to i."""
        mode = MODE.get()
        later = np.triu(np.full((sz, sz), -math.inf), 1)
        mask = wrap(mode.device.asarray(later.astype(dtype or mode.default_dtype)))
        return mask if device is None else mask.to("numpy" if device == "cpu" else device)


# ---- positions -------------------------------------------------------------------------------------------------------


class PositionalEncoding(Module):
    """y = dropout(x + p), p[t, 2i] = sin(t / 10000**(2i / D)), p[t, 2i + 1] = cos of the same; D = d_model.

    x: (T, B, D), with batch_first (B, T, D), or (T, D); offset: the position t of the first, as KeyValueCache.length;
    T + offset at most max_len. Nothing is learned or saved.
    Vaswani et al. 2017, arXiv:1706.03762, section 3.5. PyTorch has no such layer.

    >>> import minigrad as mg
    >>> from minigrad import nn
    >>> nn.PositionalEncoding(4, dropout=0.0)(mg.zeros(1, 4))
    tensor([[0., 1., 0., 1.]])
    """

    def __init__(self, d_model: int, dropout: float = 0.1, max_len: int = 5000, batch_first: bool = False):
        super().__init__()
        positive("PositionalEncoding", d_model=d_model, max_len=max_len)
        angle = np.arange(max_len)[:, None] * 10000.0 ** (-np.arange(0, d_model, 2) / d_model)  # (max_len, D / 2)
        table = np.stack([np.sin(angle), np.cos(angle)], axis=-1).reshape(max_len, -1)[:, :d_model]
        mode = MODE.get()
        self.pe = Buffer(wrap(mode.device.asarray(table.astype(mode.default_dtype))), persistent=False)
        self.d_model, self.max_len, self.batch_first = d_model, max_len, batch_first
        self.dropout = Dropout(dropout)

    def forward(self, x: Tensor, offset: int = 0) -> Tensor:
        _check_features("PositionalEncoding", "x", x, self.d_model)
        end = offset + (x.shape[1] if x.ndim == 3 and self.batch_first else x.shape[0])
        if offset < 0 or end > self.max_len:
            raise ShapeError(
                f"PositionalEncoding: positions must be from 0 to max_len - 1: got {offset} to {end - 1}, max_len is "
                f"{self.max_len}. Raise max_len."
            )
        p = self.pe[offset:end]  # (T, D)
        return self.dropout(x + (ops.expand_dims(p, axis=1) if x.ndim == 3 and not self.batch_first else p))

    def extra_repr(self) -> str:
        return f"{self.d_model}, max_len={self.max_len}, batch_first={self.batch_first}"


def apply_rotary(x: Tensor, cos: Tensor, sin: Tensor, interleaved: bool = False) -> Tensor:
    """Pairs (a, b) of features turned by an angle: (a cos - b sin, a sin + b cos).

    x: (..., T, D); cos, sin: (T, D / 2). Pairs are features i and i + D / 2, or with `interleaved`, as in the paper,
    2i and 2i + 1. Su et al. 2021, arXiv:2104.09864, equation 34.
    """
    half = x.shape[-1] // 2
    if x.ndim < 2 or x.shape[-1] % 2 or cos.shape != sin.shape or cos.shape != (x.shape[-2], half):
        raise ShapeError(
            f"apply_rotary: needs x (..., T, D) with D even, cos and sin (T, D / 2): got {x.shape}, {cos.shape} and "
            f"{sin.shape}."
        )
    if interleaved:
        a, b = x[..., 0::2], x[..., 1::2]
        turned = ops.stack(a * cos - b * sin, a * sin + b * cos, axis=-1)  # (..., T, D / 2, 2)
        return ops.reshape(turned, x.shape)
    a, b = x[..., :half], x[..., half:]
    return ops.concat(a * cos - b * sin, a * sin + b * cos, axis=-1)


class RotaryEmbedding(Module):
    """Rotary positions: the features of position t turned by t * base**(-2i / dim), so that products of a query and a
    key depend on the distance of their positions only.

    x: (..., T, dim), queries or keys per head; offset: the position of the first. Su et al. 2021, arXiv:2104.09864.

    >>> import minigrad as mg
    >>> from minigrad import nn
    >>> rotary, q = nn.RotaryEmbedding(8), mg.ones(2, 4, 10, 8)
    >>> rotary(q).shape
    (2, 4, 10, 8)
    """

    def __init__(self, dim: int, base: float = 10000.0, interleaved: bool = False):
        super().__init__()
        positive("RotaryEmbedding", dim=dim)
        if dim % 2:
            raise ArgumentError(f"RotaryEmbedding: dim must be even, features turn in pairs: got {dim}.")
        self.dim, self.base, self.interleaved = dim, base, interleaved

    def angles(self, length: int, offset: int = 0, like: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """cos and sin of the angles of the positions offset to offset + length - 1, (length, dim / 2) each."""
        mode = MODE.get()
        backend, dtype = (mode.device, mode.default_dtype) if like is None else (like.backend, like.dtype)
        angle = (offset + np.arange(length))[:, None] * self.base ** (-np.arange(0, self.dim, 2) / self.dim)
        return wrap(backend.asarray(np.cos(angle).astype(dtype))), wrap(backend.asarray(np.sin(angle).astype(dtype)))

    def forward(self, x: Tensor, offset: int = 0) -> Tensor:
        if x.ndim < 2 or x.shape[-1] != self.dim:
            raise ShapeError(f"RotaryEmbedding: x must be (..., T, {self.dim}): got shape {x.shape}.")
        return apply_rotary(x, *self.angles(x.shape[-2], offset, x), self.interleaved)

    def extra_repr(self) -> str:
        return f"{self.dim}, base={self.base}, interleaved={self.interleaved}"
