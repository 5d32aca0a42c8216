"""Reductions and normalisations of some of the elements: those where a mask is True. Names are PyTorch's
(torch.masked).

The mask broadcasts to the input; None: all elements. What is masked out has no part in the result and a gradient of
zero; where nothing is left a sum is 0, a product 1, a mean NaN, an extreme the lowest or highest number.

>>> import minigrad as mg
>>> x, mask = mg.tensor([[1.0, 2.0], [3.0, 4.0]]), mg.tensor([[True, False], [True, True]])
>>> mean(x, 1, mask=mask)
tensor([1. , 3.5])
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from .errors import ShapeError
from .functions.cumulating import cumprod as _cumprod
from .functions.cumulating import cumsum as _cumsum
from .functions.ordering import amax as _amax
from .functions.ordering import amin as _amin
from .functions.spelling import tensor_of
from .functions.statistics import lower_nanmedian
from .linalg import vector_norm
from .tensor import F, Tensor

__all__ = [
    "amax", "amin", "argmax", "argmin", "cumprod", "cumsum", "log_softmax", "logaddexp", "logsumexp", "mean", "median",
    "norm", "normalize", "prod", "softmax", "softmin", "std", "sum", "var",
]  # fmt: skip


def _kept(op: str, input: Any, mask: Any, dtype: Any = None) -> tuple[Tensor, Tensor | None]:
    """The input, in `dtype`, and the mask, in its shape."""
    x = tensor_of(input)
    x = x if dtype is None else x.to(dtype)
    if mask is None:
        return x, None
    mask = tensor_of(mask).detach()
    if mask.ndim > x.ndim:
        raise ShapeError(f"masked.{op}: the mask must broadcast to the input: got {mask.shape} for {x.shape}.")
    return x, F.broadcast_to(mask if mask.dtype.kind == "b" else F.not_equal(mask, 0), x.shape)


def _filled(op: str, input: Any, mask: Any, value: Any, dtype: Any = None) -> Tensor:
    """The input with `value` (or value(dtype)) where the mask is False."""
    x, mask = _kept(op, input, mask, dtype)
    return x if mask is None else F.where(mask, x, np.asarray(value(x.dtype) if callable(value) else value, x.dtype))


def _all(dim: Any) -> Any:
    return None if dim is None or (isinstance(dim, (tuple, list)) and not dim) else dim


def _lowest(dtype: np.dtype) -> Any:
    return -math.inf if dtype.kind in "fc" else np.iinfo(dtype).min if dtype.kind != "b" else False


def _highest(dtype: np.dtype) -> Any:
    return math.inf if dtype.kind in "fc" else np.iinfo(dtype).max if dtype.kind != "b" else True


def sum(input: Any, dim: Any = None, *, keepdim: bool = False, dtype: Any = None, mask: Any = None) -> Tensor:
    """The sum over `dim`."""
    return F.sum(_filled("sum", input, mask, 0, dtype), axis=_all(dim), keepdims=keepdim, dtype=dtype)


def prod(input: Any, dim: Any = None, *, keepdim: bool = False, dtype: Any = None, mask: Any = None) -> Tensor:
    """The product over `dim`."""
    return F.prod(_filled("prod", input, mask, 1, dtype), axis=_all(dim), keepdims=keepdim, dtype=dtype)


def cumsum(input: Any, dim: int, *, dtype: Any = None, mask: Any = None) -> Tensor:
    """The running sum along `dim`."""
    return _cumsum(_filled("cumsum", input, mask, 0, dtype), dim)


def cumprod(input: Any, dim: int, *, dtype: Any = None, mask: Any = None) -> Tensor:
    """The running product along `dim`."""
    return _cumprod(_filled("cumprod", input, mask, 1, dtype), dim)


def amax(input: Any, dim: Any = None, *, keepdim: bool = False, dtype: Any = None, mask: Any = None) -> Tensor:
    """The largest element; equal ones share the gradient."""
    return _amax(_filled("amax", input, mask, _lowest, dtype), _all(dim), keepdim)


def amin(input: Any, dim: Any = None, *, keepdim: bool = False, dtype: Any = None, mask: Any = None) -> Tensor:
    """The smallest element; equal ones share the gradient."""
    return _amin(_filled("amin", input, mask, _highest, dtype), _all(dim), keepdim)


def argmax(input: Any, dim: int | None = None, *, keepdim: bool = False, dtype: Any = None, mask: Any = None) -> Tensor:
    """The place of the largest element, in the dtype of the input as PyTorch has it."""
    x = _filled("argmax", input, mask, _lowest, dtype)
    return F.argmax(x, axis=dim, keepdims=keepdim).astype(x.dtype)


def argmin(input: Any, dim: int | None = None, *, keepdim: bool = False, dtype: Any = None, mask: Any = None) -> Tensor:
    """The place of the smallest element, in the dtype of the input as PyTorch has it."""
    x = _filled("argmin", input, mask, _highest, dtype)
    return F.argmin(x, axis=dim, keepdims=keepdim).astype(x.dtype)


def _count(x: Tensor, mask: Tensor | None, dim: Any, keepdim: bool) -> Tensor:
    """How many elements are left, in the dtype of x."""
    left = F.ones_like(x) if mask is None else mask.astype(x.dtype)
    return F.sum(left, axis=_all(dim), keepdims=keepdim)


def mean(input: Any, dim: Any = None, *, keepdim: bool = False, dtype: Any = None, mask: Any = None) -> Tensor:
    """The mean over `dim`, NaN of nothing."""
    x, left = _kept("mean", input, mask, dtype)
    total = sum(x, dim, keepdim=keepdim, mask=left)
    n = _count(x.detach(), left, dim, keepdim)
    return F.where(F.equal(n, 0), math.nan, total / F.where(F.equal(n, 0), 1, n))


def median(input: Any, dim: int = -1, *, keepdim: bool = False, dtype: Any = None, mask: Any = None) -> Tensor:
    """The lower of the middle elements along `dim`, NaN of nothing."""
    x = tensor_of(input)
    x = x if x.dtype.kind in "fc" else x.float()
    return lower_nanmedian(_filled("median", x, mask, math.nan, dtype), axis=dim, keepdims=keepdim).values


def logsumexp(input: Any, dim: Any = None, *, keepdim: bool = False, dtype: Any = None, mask: Any = None) -> Tensor:
    """ln of the sum of e**x over `dim`."""
    x = _filled("logsumexp", input, mask, _lowest, dtype)
    y = F.logsumexp(x, axis=_all(dim), keepdims=keepdim)
    return y if y.dtype == x.dtype else y.astype(x.dtype)


def logaddexp(
    input: Any, other: Any, *, dtype: Any = None, input_mask: Any = None, other_mask: Any = None
) -> Tensor:  # fmt: skip
    """ln(e**input + e**other), a masked element counting as -infinity."""
    a = _filled("logaddexp", input, input_mask, _lowest, dtype)
    return F.logaddexp(a, _filled("logaddexp", other, other_mask, _lowest, dtype))


def norm(
    input: Any, ord: Any = 2.0, dim: Any = None, *, keepdim: bool = False, dtype: Any = None, mask: Any = None
) -> Tensor:
    """The vector norm over `dim`."""
    x = _filled("norm", input, mask, math.inf if ord == -math.inf else 0, dtype)
    return vector_norm(x, 2.0 if ord is None else float(ord), axis=_all(dim), keepdims=keepdim)


def normalize(
    input: Any, ord: Any, dim: int, *, eps: float = 1e-12, dtype: Any = None, mask: Any = None
) -> Tensor:  # fmt: skip
    """x over its norm along `dim`, or over eps where that is larger."""
    x = _filled("normalize", input, mask, 0, dtype)
    return x / F.maximum(norm(input, ord, dim, keepdim=True, dtype=dtype, mask=mask), eps)


def var(
    input: Any, dim: Any = None, unbiased: bool | None = None, *, correction: Any = None, keepdim: bool = False,
    dtype: Any = None, mask: Any = None,
) -> Tensor:  # fmt: skip
    """The mean of (x - mean)**2, over n - correction (1 unless told otherwise) for n elements that are left."""
    x, left = _kept("var", input, mask, dtype)
    x = x if x.dtype.kind in "fc" else x.float()
    correction = correction if correction is not None else 1 if unbiased is None else int(unbiased)
    far = x - sum(x, dim, keepdim=True, mask=left) / _count(x.detach(), left, dim, True)
    square = F.real(far * F.conj(far)) if x.dtype.kind == "c" else F.square(far)
    total = sum(square, dim, keepdim=keepdim, mask=left)
    n = _count(square.detach(), left, dim, keepdim) - correction
    y = total / F.maximum(n, 0)
    return y if y.dtype == x.dtype else y.astype(x.dtype)  # complex as PyTorch's, with an imaginary part of 0


def std(
    input: Any, dim: Any = None, unbiased: bool | None = None, *, correction: Any = None, keepdim: bool = False,
    dtype: Any = None, mask: Any = None,
) -> Tensor:  # fmt: skip
    """The root of `var`."""
    return F.sqrt(var(input, dim, unbiased, correction=correction, keepdim=keepdim, dtype=dtype, mask=mask))


def softmax(input: Any, dim: int, *, dtype: Any = None, mask: Any = None) -> Tensor:
    """e**x over its sum along `dim`; 0 where the mask is False, NaN where nothing is left."""
    return F.softmax(_filled("softmax", input, mask, _lowest, dtype), axis=dim)


def log_softmax(input: Any, dim: int, *, dtype: Any = None, mask: Any = None) -> Tensor:
    """ln of `softmax`."""
    return F.log_softmax(_filled("log_softmax", input, mask, _lowest, dtype), axis=dim)


def softmin(input: Any, dim: int, *, dtype: Any = None, mask: Any = None) -> Tensor:
    """`softmax` of -x."""
    return F.softmax(-_filled("softmin", input, mask, _highest, dtype), axis=dim)
