"""Where NumPy and PyTorch mean different things by one name, the spelling of the call decides. One rule for all:

==================  ======================================================================================
the call says       and gets
==================  ======================================================================================
``dim=``            PyTorch's answer: (values, indices) from max, min, median, nanmedian, mode, sort, topk,
                    kthvalue, cummax, cummin; var and std over n - 1; squeeze leaves longer axes
``axis=``           the array standard's and NumPy's answer: values alone; var and std over n
neither             ``max(x, 1)``, ``x.max(1)`` and min: PyTorch's answer, since ``_, i = mg.max(x, 1)`` must not
                    go wrong unseen; other functions of NumPy's (sort, median, nanmedian, var, std): NumPy's answer,
                    also to an axis by position; what only PyTorch has (topk, kthvalue, mode, cummax, cummin) and
                    the methods ``x.sort()``, ``x.median()``, ``x.nanmedian()``: PyTorch's answer
==================  ======================================================================================

NumPy's own functions, ``np.max(x, 1)``, get NumPy's answers. A tensor in the place of the axis, ``mg.max(a, b)``, and
a boolean there, ``mg.var(x, False)``, are PyTorch's too.

>>> x = tensor_of([[1.0, 5.0], [7.0, 3.0]])
>>> F.max(x, axis=1)
tensor([5., 7.])
>>> F.max(x, dim=1)
Ranked(values=tensor([5., 7.]), indices=tensor([1, 0]))
"""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any, NamedTuple, TypeVar

from ..primitive import PRIMITIVES
from ..tensor import F, Tensor
from .spelling import tensor_of

Function = TypeVar("Function", bound=Callable[..., Any])


class Ranked(NamedTuple):
    """Elements, and the positions they were found at."""

    values: Tensor
    indices: Tensor


def paired(f: Function) -> Function:
    """f, which gives a pair, but its values alone where the call says axis=."""

    @wraps(f)
    def function(*args: Any, **keywords: Any) -> Any:
        found = f(*args, **keywords)
        return found.values if "axis" in keywords else found

    return function  # type: ignore[return-value]


def answered(**by: Callable) -> Callable[[Function], Function]:
    """``@answered(dim=g)``: g answers where the call says dim=, the function itself all others."""
    ((word, other),) = by.items()

    def declare(f: Function) -> Function:
        @wraps(f)
        def function(*args: Any, **keywords: Any) -> Any:
            return (other if word in keywords else f)(*args, **keywords)

        return function  # type: ignore[return-value]

    return declare


def sort_pair(x: Tensor, axis: int = -1, descending: bool = False, *, stable: bool = True) -> Ranked:
    """PyTorch's x.sort(): the sorted elements and their positions."""
    x = tensor_of(x)
    order = F.argsort(x, axis=axis, descending=descending)
    return Ranked(F.take_along_axis(x, order, axis=axis) if x.ndim else F.copy(x), order)


def _extreme(name: str, position: str, pairwise: str) -> Callable:
    def pytorch(x: Tensor, *, axis: Any, keepdims: bool = False) -> Any:
        """The extreme along one axis and its first position, which has the gradient; of two tensors, elementwise."""
        if isinstance(axis, Tensor):
            return getattr(F, pairwise)(x, axis)
        x = tensor_of(x)
        if axis is None or isinstance(axis, (tuple, list)):
            return getattr(F, name)(x, axis=axis, keepdims=keepdims)
        indices = getattr(F, position)(x, axis=axis, keepdims=True)
        values = F.take_along_axis(x, indices, axis=axis) if x.ndim else F.copy(x)
        if keepdims or not x.ndim:
            return Ranked(values, F.reshape(indices, values.shape))
        return Ranked(F.squeeze(values, axis), F.squeeze(indices, axis))

    return pytorch


def _spread(name: str) -> Callable:
    def pytorch(x: Tensor, *, axis: Any, correction: Any = None, keepdims: bool = False) -> Tensor:
        """Over n - 1 unless told otherwise; an axis that is a boolean says whether."""
        axis, correction = (None, int(axis)) if isinstance(axis, bool) else (axis, correction)
        return getattr(F, name)(x, axis=axis, correction=1 if correction is None else correction, keepdims=keepdims)

    return pytorch


def _squeezed(x: Tensor, *, axis: Any) -> Tensor:
    """An axis that is longer than 1 stays."""
    return tensor_of(x).squeeze(axis)


for name, answer, kinds in (
    ("max", _extreme("max", "argmax", "maximum"), (Tensor,)),
    ("min", _extreme("min", "argmin", "minimum"), (Tensor,)),
    ("var", _spread("var"), (bool,)),
    ("std", _spread("std"), (bool,)),
    ("sort", sort_pair, ()),
    ("squeeze", _squeezed, ()),
):
    PRIMITIVES[name].pytorch = answer, kinds
