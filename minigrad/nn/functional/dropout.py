"""Dropout of elements and of whole channels."""

from __future__ import annotations

import math

import numpy as np

from ...errors import ArgumentError, ShapeError
from ...mistakes import warn_once
from ...mode import MODE
from ...random import default_generator, rand
from ...tensor import Tensor, wrap


def _drop(x: Tensor, p: float, training: bool, shape: tuple[int, ...], who: str) -> Tensor:
    """x times a mask of 0 (with probability p) and 1 / (1 - p), drawn in `shape`, which broadcasts to x."""
    if not 0 <= p <= 1:
        raise ArgumentError(f"{who}: p must be a probability, from 0 to 1: got {p}.")
    if not training or p == 0:
        return x
    if not MODE.get().recording:
        warn_once(
            f"{who}: values are dropped in training only, and this is under no_grad(): got training=True. Call "
            "model.eval() before you evaluate, and model.train() after; with F.dropout pass training=self.training."
        )
    if MODE.get().levels and p < 1:  # vmap hands out one mask, or one for each sample
        return x * ((rand(*shape, dtype=np.float32) >= p).astype(x.dtype) * (1 / (1 - p)))
    if p < 1 and (drawn := default_generator.factors(x.backend, shape, p, x.dtype)) is not None:
        return x * wrap(drawn)
    kept = default_generator.numpy("random", size=shape, dtype=np.float32) >= p if p < 1 else np.zeros(shape, bool)
    mask = np.multiply(kept, 1 / (1 - p) if p < 1 else 0, dtype=x.dtype)  # the mean of y is x
    return x * wrap(x.backend.asarray(mask))


def dropout(input: Tensor, p: float = 0.5, training: bool = True, inplace: bool = False) -> Tensor:
    """In training each element is 0 with probability p, else x / (1 - p). Srivastava et al. 2014, JMLR 15.
    See Dropout."""
    return _drop(input, p, training, input.shape, "dropout")


def _drop_channels(x: Tensor, p: float, training: bool, n: int) -> Tensor:
    who = f"dropout{n}d"
    if x.ndim not in (n + 1, n + 2):
        raise ShapeError(f"{who}: x must be (B, C, ...) or (C, ...) with {n} spatial axes: got shape {x.shape}.")
    return _drop(x, p, training, (*x.shape[: x.ndim - n], *[1] * n), who)


def dropout1d(input: Tensor, p: float = 0.5, training: bool = True, inplace: bool = False) -> Tensor:
    """As dropout, but whole channels drop. input: (B, C, W) or (C, W)."""
    return _drop_channels(input, p, training, 1)


def dropout2d(input: Tensor, p: float = 0.5, training: bool = True, inplace: bool = False) -> Tensor:
    """As dropout, but whole channels drop. input: (B, C, H, W) or (C, H, W). Tompson et al. 2014, arXiv:1411.4280."""
    return _drop_channels(input, p, training, 2)


def dropout3d(input: Tensor, p: float = 0.5, training: bool = True, inplace: bool = False) -> Tensor:
    """As dropout, but whole channels drop. input: (B, C, D, H, W) or (C, D, H, W)."""
    return _drop_channels(input, p, training, 3)


def _alpha_drop(x: Tensor, p: float, training: bool, shape: tuple[int, ...], who: str) -> Tensor:
    """a (x or, with probability p, -alpha lambda of SELU) + b; the mask is drawn in `shape`, which broadcasts to x."""
    if not 0 <= p <= 1:
        raise ArgumentError(f"{who}: p must be a probability, from 0 to 1: got {p}.")
    if not training or p == 0:
        return x
    if p == 1:
        return x * 0
    low = -1.7580993408473766  # -alpha lambda of SELU: what a dropped element becomes
    a = 1 / math.sqrt((1 - p) * (1 + p * low**2))
    kept = default_generator.numpy("random", size=shape, dtype=np.float32) >= p
    scale = wrap(x.backend.asarray(np.multiply(kept, a, dtype=x.dtype)))
    shift = wrap(x.backend.asarray((np.where(kept, 0.0, low * a) - low * a * p).astype(x.dtype)))
    return x * scale + shift


def alpha_dropout(input: Tensor, p: float = 0.5, training: bool = False, inplace: bool = False) -> Tensor:
    """Dropout that keeps mean 0 and variance 1 behind SELU. Klambauer et al. 2017, arXiv:1706.02515, section 3."""
    return _alpha_drop(input, p, training, input.shape, "alpha_dropout")


def feature_alpha_dropout(input: Tensor, p: float = 0.5, training: bool = False, inplace: bool = False) -> Tensor:
    """As alpha_dropout, but whole channels drop. input: (B, C, ...)."""
    if input.ndim < 2 and training:
        raise ShapeError(f"feature_alpha_dropout: x must be (B, C, ...): got shape {input.shape}.")
    shape = (*input.shape[:2], *[1] * (input.ndim - 2))
    return _alpha_drop(input, p, training, shape, "feature_alpha_dropout")


def drop_path(input: Tensor, p: float = 0.0, training: bool = False, scale_by_keep: bool = True) -> Tensor:
    """Stochastic depth: each sample is 0 with probability p, else x / (1 - p) (scale_by_keep) or x. input: (B, ...).
    Huang et al. 2016, arXiv:1603.09382; see DropPath."""
    if not input.ndim:
        raise ShapeError("drop_path: x must be (B, ...): got a 0-d tensor.")
    y = _drop(input, p, training, (input.shape[0], *[1] * (input.ndim - 1)), "drop_path")
    return y if scale_by_keep or not training or p in (0, 1) else y * (1 - p)
