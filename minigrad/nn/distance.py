"""Distance and angle between vectors."""

from __future__ import annotations

from ..tensor import Tensor
from . import functional as F
from .module import Module


class CosineSimilarity(Module):
    """y = x1 . x2 / (||x1|| ||x2||) along `dim`, the norms at least eps.

    >>> import minigrad as mg
    >>> from minigrad import nn
    >>> nn.CosineSimilarity()(mg.tensor([[1.0, 0.0]]), mg.tensor([[0.0, 2.0]]))
    tensor([0.])
    """

    def __init__(self, dim: int = 1, eps: float = 1e-8):
        super().__init__()
        self.dim, self.eps = dim, eps

    def forward(self, x1: Tensor, x2: Tensor) -> Tensor:
        return F.cosine_similarity(x1, x2, self.dim, self.eps)


class PairwiseDistance(Module):
    """y = ||x1 - x2 + eps||_p over the last axis. x1, x2: (..., D); y: (...), or (..., 1) with keepdim.

    >>> import minigrad as mg
    >>> from minigrad import nn
    >>> nn.PairwiseDistance()(mg.zeros(2, 4), mg.ones(2, 4)).round()
    tensor([2., 2.])
    """

    def __init__(self, p: float = 2.0, eps: float = 1e-6, keepdim: bool = False):
        super().__init__()
        self.norm, self.eps, self.keepdim = p, eps, keepdim

    def forward(self, x1: Tensor, x2: Tensor) -> Tensor:
        return F.pairwise_distance(x1, x2, self.norm, self.eps, self.keepdim)
