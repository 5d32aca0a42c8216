"""The compositions as Tensor methods, with the names and arguments PyTorch's users type; a name that ends in _ edits
in place.

A function and a method of one name differ where NumPy and PyTorch do: the function is the standard's or NumPy's, the
method PyTorch's. ``x.sort(dim)``, ``x.median(dim)`` and ``x.mode(dim)`` return values and positions, ``x.nonzero()``
rows of positions, and ``x.repeat(2, 3)`` copies side by side.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any

from . import functions
from .functions import ordering, statistics
from .functions.spelling import spelled
from .tensor import F, Tensor

METHODS = (
    "addbmm addcdiv addcmul addmm addmv addr allclose amax amin aminmax argpartition argwhere baddbmm bincount bmm "
    "choose chunk corrcoef cov cross cummax cummin cumprod cumsum cumulative_prod cumulative_sum diag diag_embed "
    "diagflat diagonal diagonal_scatter diff dot dsplit expand_as flatten fliplr flipud gather ger gradient histc "
    "hsplit index_add index_copy index_fill index_put index_reduce index_select inner isclose kron kthvalue "
    "logcumsumexp masked_fill masked_scatter masked_select mm moveaxis movedim msort mv nanmean nanquantile nansum "
    "narrow narrow_copy nanstd nanvar nanmax nanmin outer pad partition ptp put quantile ravel renorm "
    "repeat_interleave roll rot90 scatter scatter_add scatter_reduce select select_scatter slice_scatter split "
    "swapaxes swapdims t take take_along_dim tensor_split tile topk trace transpose unbind unflatten unfold unique "
    "unique_consecutive vdot view_as vsplit"
)
IN_PLACE = (
    "addbmm addcdiv addcmul addmm addmv addr baddbmm cumprod cumsum fill_diagonal index_add index_copy index_fill "
    "index_put index_reduce masked_fill masked_scatter put renorm scatter scatter_add scatter_reduce"
)


def in_place(f: Callable, name: str) -> Callable:
    """The method that puts f(self, ...) into self's buffer."""

    @wraps(f)
    def method(self: Tensor, *args: Any, **keywords: Any) -> Tensor:
        return self._in_place(f, name, *args, **keywords)

    method.__name__ = f"{name}_"
    return method


def method(f: Callable) -> Callable:
    setattr(Tensor, f.__name__, f)
    return f


for name in METHODS.split():
    setattr(Tensor, name, getattr(functions, name))
for name in IN_PLACE.split():
    setattr(Tensor, f"{name}_", in_place(getattr(functions, name), name))
for theirs, ours in {
    "sort": ordering.sort_pair, "mode": ordering.mode, "median": statistics.lower_median,
    "reshape_as": functions.view_as,
}.items():  # fmt: skip
    f: Any = ours
    setattr(Tensor, theirs, spelled(f))
for name in ("tril", "triu"):
    setattr(Tensor, f"{name}_", in_place(getattr(F, name), name))


@method
@spelled
def nanmedian(x: Tensor, axis: int | None = None, keepdims: bool = False) -> Any:
    """The lower of the two elements in the middle that are not NaN; with an axis, and its position."""
    return statistics.lower_median(x, axis, keepdims, skip=True)


@method
def nonzero(self: Tensor, *, as_tuple: bool = False) -> Any:
    """(N, ndim): the positions of the elements that are not zero; as_tuple: one index array for each axis."""
    return functions.nonzero(self, as_tuple=True) if as_tuple else functions.argwhere(self)


@method
def flip(self: Tensor, *axes: Any, dims: Any = None, axis: Any = None) -> Tensor:
    """The order along the axes reversed: ``x.flip(0, 1)``, ``x.flip((0, 1))``; along all if none is named."""
    given = axes if dims is None and axis is None else (axis if dims is None else dims,)
    if len(given) == 1 and (given[0] is None or isinstance(given[0], (tuple, list))):
        return F.flip(self, axis=given[0] if given[0] is None else tuple(given[0]))
    return F.flip(self, axis=tuple(given) if given else None)


@method
def where(self: Tensor, condition: Any, other: Any) -> Tensor:
    """self where the condition is True, else other."""
    return F.where(condition, self, other)


@method
def sum_to_size(self: Tensor, *size: Any) -> Tensor:
    """Summed over the axes along which a tensor of this size would be repeated."""
    return F.sum_to(self, shape=tuple(size[0]) if len(size) == 1 and isinstance(size[0], (tuple, list)) else size)


@method
def searchsorted(self: Tensor, v: Any, side: str = "left", sorter: Any = None) -> Tensor:
    """Where the elements of v would go in this sorted vector."""
    return functions.searchsorted(self, v, side=side, sorter=sorter)
