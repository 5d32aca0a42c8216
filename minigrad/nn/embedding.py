"""A learned vector per token, or per bag of tokens."""

from __future__ import annotations

from typing import Any

from ..errors import ArgumentError, IndexRangeError, ShapeError
from ..tensor import Tensor
from . import functional as F
from . import init
from .linear import positive
from .module import Module, Parameter, made


def _row(who: str, padding_idx: int | None, n: int) -> int | None:
    if padding_idx is not None and not -n <= padding_idx < n:
        raise IndexRangeError(f"{who}: padding_idx must be from {-n} to {n - 1}: got {padding_idx}.")
    return None if padding_idx is None else padding_idx % n


def _table(who: str, n: int, d: int, weight: Tensor | None, device: Any, dtype: Any) -> Parameter:
    if weight is None:
        return made((n, d), device, dtype)
    if weight.shape != (n, d):
        raise ShapeError(f"{who}: _weight must be {(n, d)}: got {weight.shape}.")
    return Parameter(weight)


def _fill(weight: Tensor, padding_idx: int | None) -> None:
    """Normal rows, but zeros for the padding."""
    init.normal_(weight)
    if padding_idx is not None:
        weight.array[padding_idx] = 0


class Embedding(Module):
    """y[...] = weight[x[...]]: row x of a table.

    x: (...) integers from 0 to num_embeddings - 1; weight: (num_embeddings, embedding_dim), normal at the start;
    y: (..., D).
    padding_idx: that row starts at zero and is not learned. max_norm: rows used are scaled down to it, in place.
    `sparse` is accepted and ignored: gradients are dense.

    >>> import minigrad as mg
    >>> from minigrad import nn
    >>> nn.Embedding(10, 3)(mg.tensor([[1, 2, 4], [4, 3, 9]])).shape
    (2, 3, 3)
    """

    def __init__(
        self,
        num_embeddings: int,
        embedding_dim: int,
        padding_idx: int | None = None,
        max_norm: float | None = None,
        norm_type: float = 2.0,
        scale_grad_by_freq: bool = False,
        sparse: bool = False,
        _weight: Tensor | None = None,
        _freeze: bool = False,
        device: Any = None,
        dtype: Any = None,
    ):
        super().__init__()
        positive("Embedding", num_embeddings=num_embeddings, embedding_dim=embedding_dim)
        self.num_embeddings, self.embedding_dim = num_embeddings, embedding_dim
        self.padding_idx = _row("Embedding", padding_idx, num_embeddings)
        self.max_norm, self.norm_type = max_norm, norm_type
        self.scale_grad_by_freq, self.sparse = scale_grad_by_freq, sparse
        self.weight = _table("Embedding", num_embeddings, embedding_dim, _weight, device, dtype)
        if _weight is None:
            self.reset_parameters()
        self.weight.requires_grad = not _freeze

    @classmethod
    def from_pretrained(cls, embeddings: Tensor, freeze: bool = True, padding_idx: int | None = None, **options: Any):
        """An embedding over a given table (N, D), not learned unless freeze=False."""
        if embeddings.ndim != 2:
            raise ShapeError(f"Embedding.from_pretrained: embeddings must be (N, D): got {embeddings.shape}.")
        n, d = embeddings.shape
        return cls(n, d, padding_idx=padding_idx, _weight=embeddings, _freeze=freeze, **options)

    def reset_parameters(self) -> None:
        _fill(self.weight, self.padding_idx)

    def forward(self, x: Tensor) -> Tensor:
        return F.embedding(
            x, self.weight, self.padding_idx, self.max_norm, self.norm_type, self.scale_grad_by_freq, self.sparse
        )

    def extra_repr(self) -> str:
        text = f"{self.num_embeddings}, {self.embedding_dim}"
        text += f", padding_idx={self.padding_idx}" if self.padding_idx is not None else ""
        text += f", max_norm={self.max_norm}" if self.max_norm is not None else ""
        text += f", norm_type={self.norm_type}" if self.norm_type != 2 else ""
        text += f", scale_grad_by_freq={self.scale_grad_by_freq}" if self.scale_grad_by_freq else ""
        return text + (", sparse=True" if self.sparse else "")


class EmbeddingBag(Module):
    """y[b] = the sum, mean or maximum of weight[token] over the tokens of bag b; 0 for an empty bag.

    x: (B, L), a bag per row, or (N,) with offsets (bags,), where each bag starts; y: (bags, embedding_dim).
    per_sample_weights: factors of the rows (mode "sum"). include_last_offset: offsets also has the end of the last
    bag. padding_idx: a token that does not count; its row starts at zero. Rest as Embedding.

    >>> import minigrad as mg
    >>> from minigrad import nn
    >>> nn.EmbeddingBag(10, 3, mode="sum")(mg.tensor([1, 2, 4, 5, 4, 3, 2, 9]), mg.tensor([0, 4])).shape
    (2, 3)
    """

    def __init__(
        self,
        num_embeddings: int,
        embedding_dim: int,
        max_norm: float | None = None,
        norm_type: float = 2.0,
        scale_grad_by_freq: bool = False,
        mode: str = "mean",
        sparse: bool = False,
        _weight: Tensor | None = None,
        include_last_offset: bool = False,
        padding_idx: int | None = None,
        device: Any = None,
        dtype: Any = None,
    ):
        super().__init__()
        positive("EmbeddingBag", num_embeddings=num_embeddings, embedding_dim=embedding_dim)
        if mode not in ("sum", "mean", "max"):
            raise ArgumentError(f"EmbeddingBag: mode must be sum, mean or max: got {mode!r}.")
        self.num_embeddings, self.embedding_dim, self.mode = num_embeddings, embedding_dim, mode
        self.padding_idx = _row("EmbeddingBag", padding_idx, num_embeddings)
        self.max_norm, self.norm_type = max_norm, norm_type
        self.scale_grad_by_freq, self.sparse, self.include_last_offset = scale_grad_by_freq, sparse, include_last_offset
        self.weight = _table("EmbeddingBag", num_embeddings, embedding_dim, _weight, device, dtype)
        if _weight is None:
            self.reset_parameters()

    @classmethod
    def from_pretrained(
        cls,
        embeddings: Tensor,
        freeze: bool = True,
        max_norm: float | None = None,
        norm_type: float = 2.0,
        scale_grad_by_freq: bool = False,
        mode: str = "mean",
        sparse: bool = False,
        include_last_offset: bool = False,
        padding_idx: int | None = None,
    ) -> EmbeddingBag:
        """Bags over a given table (N, D), not learned unless freeze=False."""
        if embeddings.ndim != 2:
            raise ShapeError(f"EmbeddingBag.from_pretrained: embeddings must be (N, D): got {embeddings.shape}.")
        n, d = embeddings.shape
        how = (max_norm, norm_type, scale_grad_by_freq, mode, sparse, embeddings, include_last_offset, padding_idx)
        bag = cls(n, d, *how)
        bag.weight.requires_grad = not freeze
        return bag

    def reset_parameters(self) -> None:
        _fill(self.weight, self.padding_idx)

    def forward(self, x: Tensor, offsets: Tensor | None = None, per_sample_weights: Tensor | None = None) -> Tensor:
        return F.embedding_bag(
            x,
            self.weight,
            offsets,
            self.max_norm,
            self.norm_type,
            self.scale_grad_by_freq,
            self.mode,
            self.sparse,
            per_sample_weights,
            self.include_last_offset,
            self.padding_idx,
        )

    def extra_repr(self) -> str:
        text = f"{self.num_embeddings}, {self.embedding_dim}"
        text += f", max_norm={self.max_norm}" if self.max_norm is not None else ""
        text += f", norm_type={self.norm_type}" if self.norm_type != 2 else ""
        text += f", scale_grad_by_freq={self.scale_grad_by_freq}" if self.scale_grad_by_freq else ""
        text += f", mode={self.mode!r}"
        return text + (f", padding_idx={self.padding_idx}" if self.padding_idx is not None else "")
