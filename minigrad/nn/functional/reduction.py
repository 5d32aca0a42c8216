"""How losses are summed up: reduction is 'mean' (default), 'sum' or 'none'.

`size_average` and `reduce` are PyTorch's former spelling of it.
"""

from __future__ import annotations

import math
import warnings
from typing import Any

from ...convert import as_array
from ...errors import ArgumentError, DTypeError, ShapeError
from ...primitive import kind_of
from ...tensor import F, Tensor, wrap

ANALYTIC = ("poisson_nll_loss",)  # losses that PyTorch also computes of complex numbers


def chosen(who: str, reduction: str, size_average: bool | None, reduce: bool | None) -> str:
    """The reduction meant, if given by PyTorch's former switches `size_average` and `reduce`, with a warning."""
    if size_average is None and reduce is None:
        return reduction
    for name, value in (("size_average", size_average), ("reduce", reduce)):
        if value is not None and not isinstance(value, (bool, int)):
            hint = f" Pass reduction={value!r} by name." if isinstance(value, str) else ""
            raise ArgumentError(
                f"{who}: {name}, PyTorch's former spelling of reduction, must be True, False or None: got "
                f"{type(value).__name__}.{hint or ' Pass the options that follow by name.'}"
            )
    reduction = "none" if reduce is not None and not reduce else "mean" if size_average in (None, True) else "sum"
    warnings.warn(f"{who}: instead of size_average and reduce pass reduction={reduction!r}.", stacklevel=3)
    return reduction


def check_reduction(who: str, reduction: str) -> None:
    if reduction not in ("none", "mean", "sum"):
        raise ArgumentError(f"{who}: reduction must be 'none', 'mean' or 'sum': got {reduction!r}.")


def as_tensor(x: Any) -> Tensor:
    return x if isinstance(x, Tensor) else wrap(as_array(x))


def reduced(losses: Tensor, reduction: str, who: str) -> Tensor:
    if losses.dtype.kind == "c" and who not in ANALYTIC:
        raise DTypeError(f"{who}: a loss must be real: got {losses.dtype}. Write it with mg.abs(x - y) or x.real.")
    if reduction == "mean":
        return F.mean(losses) if losses.array.size else F.sum(losses) * math.nan  # the mean of nothing
    if reduction == "sum":
        return F.sum(losses)
    check_reduction(who, reduction)
    return losses


def weighted(losses: Tensor, weight: Tensor | None, reduction: str, who: str) -> Tensor:
    """With a factor per element 'mean' divides by the sum of the factors, as PyTorch does."""
    if weight is None:
        return reduced(losses, reduction, who)
    if weight.shape != losses.shape:
        raise ShapeError(f"{who}: weight must have the shape of the input: got {weight.shape} for {losses.shape}.")
    losses = losses * weight
    return F.sum(losses) / nonzero(F.sum(weight)) if reduction == "mean" else reduced(losses, reduction, who)


def pair(input: Any, target: Any, who: str) -> tuple[Tensor, Tensor]:
    """input and target as tensors of one shape; a target of integers takes the dtype of the input."""
    input = as_tensor(input)
    target = as_tensor(target)
    if input.shape != target.shape:
        hint = ""
        if sorted(filter(lambda n: n != 1, input.shape)) == sorted(filter(lambda n: n != 1, target.shape)):
            hint = f" Use target.reshape({input.shape})."
        raise ShapeError(f"{who}: input and target must have one shape: got {input.shape} and {target.shape}.{hint}")
    return input, target if kind_of(target.dtype) in "fc" else target.astype(input.dtype)


def nonzero(count: Tensor) -> Tensor:
    """The divisor of a mean, NaN instead of 0: the mean of nothing is NaN, without a warning."""
    return F.where(F.equal(count, 0), math.nan, count)
