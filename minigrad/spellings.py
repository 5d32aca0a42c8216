"""The compositions as Tensor methods, with the names and arguments PyTorch's users type; a name that ends in _ edits
in place.

A function and a method of one name differ where NumPy and PyTorch do: the function is the standard's or NumPy's, the
method PyTorch's: ``x.nonzero()`` gives rows of positions, ``x.repeat(2, 3)`` copies side by side, ``x.equal(y)`` one
truth value. What ``dim=`` and ``axis=`` ask for is said in functions/pairs.py.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from importlib import import_module
from typing import Any

from . import functions
from .functions import ordering, statistics
from .functions.pairs import answered, sort_pair
from .functions.spelling import spelled
from .tensor import F, Tensor

METHODS = (
    "addbmm addcdiv addcmul addmm addmv addr allclose amax amin aminmax argpartition argwhere baddbmm bincount bmm "
    "choose chunk corrcoef cov cross cummax cummin cumprod cumsum cumulative_prod cumulative_sum diag diag_embed "
    "diagflat diagonal diagonal_scatter diff dot dsplit expand_as flatten fliplr flipud gather ger gradient histc "
    "frexp histogram "
    "hsplit index_add index_copy index_fill index_put index_reduce index_select inner isclose kron kthvalue "
    "logcumsumexp masked_fill masked_scatter masked_select mm moveaxis movedim msort mv nanmean nanquantile nansum "
    "narrow narrow_copy nanstd nanvar nanmax nanmin outer pad partition ptp put quantile ravel renorm "
    "repeat_interleave roll rot90 scatter scatter_add scatter_reduce select select_scatter slice_scatter split "
    "swapaxes swapdims t take take_along_dim tensor_split tile topk trace transpose unbind unflatten unfold unique "
    "unique_consecutive vdot view_as vsplit as_strided as_strided_scatter stft istft split_with_sizes unsafe_chunk "
    "unsafe_split view_as_real view_as_complex resolve_conj resolve_neg nonzero_static"
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
    "sort": answered(axis=F.sort)(spelled(sort_pair)), "mode": functions.mode,
    "median": answered(axis=functions.median)(statistics.lower_median), "equal": ordering.equal_tensors,
    "nanmedian": answered(axis=functions.nanmedian)(statistics.lower_nanmedian), "reshape_as": functions.view_as,
}.items():  # fmt: skip
    setattr(Tensor, theirs, ours)
for name in ("tril", "triu"):
    setattr(Tensor, f"{name}_", in_place(getattr(F, name), name))


class FromMatrices:
    """A method found in minigrad.matrices at its first use: import minigrad loads no linear algebra."""

    def __init__(self, name: str):
        self.name = name

    def __get__(self, owner: Any, cls: type) -> Any:
        f = getattr(import_module(f"{__package__}.matrices"), self.name)
        setattr(Tensor, self.name, f)
        return getattr(Tensor if owner is None else owner, self.name)


MATRICES = """
cholesky cholesky_inverse cholesky_solve det dist geqrf inverse logdet lu lu_solve lu_unpack matrix_exp
matrix_power norm orgqr ormqr pca_lowrank pinverse qr slogdet svd svd_lowrank triangular_solve
""".split()  # noqa: SIM905
for name in MATRICES:
    setattr(Tensor, name, FromMatrices(name))


@method
def nonzero(self: Tensor, *, as_tuple: bool = False) -> Any:
    """(N, ndim): the positions of the elements that are not zero; as_tuple: one index array for each axis."""
    if not as_tuple:
        return functions.argwhere(self)
    return functions.nonzero(self if self.ndim else self.reshape(1), as_tuple=True)


def _adjoint(self: Tensor) -> Tensor:
    """The last two axes swapped, and conjugated if complex."""
    return F.conj(self.mT) if self.dtype.kind == "c" else self.mT


setattr(Tensor, "mH", property(_adjoint))  # noqa: B010
setattr(Tensor, "H", property(_adjoint))  # noqa: B010


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
