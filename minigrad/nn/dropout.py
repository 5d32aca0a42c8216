"""Dropout: in training, part of the input is zero and the rest scaled so that the mean stays."""

from __future__ import annotations

from ..errors import ArgumentError
from ..tensor import Tensor
from . import functional as F
from .module import Module


class _Dropout(Module):
    def __init__(self, p: float = 0.5, inplace: bool = False):
        super().__init__()
        if not 0 <= p <= 1:
            raise ArgumentError(f"{type(self).__name__}: p must be a probability, from 0 to 1: got {p}.")
        self.p, self.inplace = p, inplace

    def extra_repr(self) -> str:
        return f"p={self.p}, inplace={self.inplace}"


class Dropout(_Dropout):
    """y = x mask / (1 - p), mask 0 with probability p, else 1; y = x in eval(). Any shape.

    The mask is drawn from minigrad.random. `inplace` is accepted and changes nothing. Srivastava et al. 2014, JMLR 15.

    >>> import minigrad as mg
    >>> from minigrad import nn
    >>> sorted(set(nn.Dropout(0.5)(mg.ones(100)).tolist()))
    [0.0, 2.0]
    """

    def forward(self, x: Tensor) -> Tensor:
        return F.dropout(x, self.p, self.training)


class Dropout1d(_Dropout):
    """As Dropout, but whole channels drop. x: (B, C, W) or (C, W)."""

    def forward(self, x: Tensor) -> Tensor:
        return F.dropout1d(x, self.p, self.training)


class Dropout2d(_Dropout):
    """As Dropout, but whole channels drop. x: (B, C, H, W) or (C, H, W). Tompson et al. 2014, arXiv:1411.4280.

    >>> import minigrad as mg
    >>> from minigrad import nn
    >>> y = nn.Dropout2d(0.5)(mg.ones(4, 3, 2, 2))
    >>> bool((y == y[:, :, :1, :1]).all())
    True
    """

    def forward(self, x: Tensor) -> Tensor:
        return F.dropout2d(x, self.p, self.training)


class Dropout3d(_Dropout):
    """As Dropout, but whole channels drop. x: (B, C, D, H, W) or (C, D, H, W)."""

    def forward(self, x: Tensor) -> Tensor:
        return F.dropout3d(x, self.p, self.training)


class AlphaDropout(_Dropout):
    """Dropout that keeps mean 0 and variance 1 behind SELU. Klambauer et al. 2017, arXiv:1706.02515."""

    def forward(self, x: Tensor) -> Tensor:
        return F.alpha_dropout(x, self.p, self.training)


class FeatureAlphaDropout(_Dropout):
    """As AlphaDropout, but whole channels drop. x: (B, C, ...)."""

    def forward(self, x: Tensor) -> Tensor:
        return F.feature_alpha_dropout(x, self.p, self.training)


class DropPath(Module):
    """Stochastic depth: in training each sample of x is 0 with probability p, else x / (1 - p); y = x in eval().

    x: (B, ...), the output of a residual branch: ``x + drop_path(branch(x))`` then skips the branch for some samples.
    scale_by_keep=False: samples kept are x. Huang et al. 2016, arXiv:1603.09382, who scale in eval() instead.

    >>> import minigrad as mg
    >>> from minigrad import nn
    >>> sorted(set(nn.DropPath(0.5)(mg.ones(100, 2)).flatten().tolist()))
    [0.0, 2.0]
    """

    def __init__(self, p: float = 0.0, scale_by_keep: bool = True):
        super().__init__()
        if not 0 <= p <= 1:
            raise ArgumentError(f"DropPath: p must be a probability, from 0 to 1: got {p}.")
        self.p, self.scale_by_keep = p, scale_by_keep

    def forward(self, x: Tensor) -> Tensor:
        return F.drop_path(x, self.p, self.training, self.scale_by_keep)

    def extra_repr(self) -> str:
        return f"p={self.p}" + ", scale_by_keep=False" * (not self.scale_by_keep)
