"""What a NumPy user types and the array API standard has not, or calls otherwise: array, ndim, logspace, tri, ..."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from .creation import asarray, eye, linspace
from .errors import ArgumentError
from .functions.arranging import moveaxis
from .halves import dtype as dtype_of
from .tensor import F, Tensor


def array(object: Any, dtype: Any = None, *, copy: bool | None = True, ndmin: int = 0) -> Tensor:
    """A tensor of the data, in memory of its own; copy=None shares it where it can, as `asarray` does. Python floats
    become float32, and the gradient of a tensor passes. ndmin: at least so many axes, further ones in front.

    >>> array([[1, 2], [3, 4]]).shape
    (2, 2)
    """
    y = asarray(object, dtype=dtype, copy=copy)
    return F.reshape(y, (1,) * (ndmin - y.ndim) + y.shape) if y.ndim < ndmin else y


def asanyarray(a: Any, dtype: Any = None) -> Tensor:
    """`asarray`: there are no subclasses to keep."""
    return asarray(a, dtype=dtype)


def ascontiguousarray(a: Any, dtype: Any = None) -> Tensor:
    """The data as a tensor whose rows follow each other in memory."""
    return asarray(a, dtype=dtype).contiguous()


def identity(n: int, dtype: Any = None) -> Tensor:
    """The identity matrix, (n, n)."""
    return eye(n, dtype=dtype)


def tri(N: int, M: int | None = None, k: int = 0, dtype: Any = None) -> Tensor:
    """Ones on and below diagonal k, zeros above: (N, M).

    >>> tri(2, 3).tolist()
    [[1.0, 0.0, 0.0], [1.0, 1.0, 0.0]]
    """
    rows, columns = np.arange(N)[:, None], np.arange(N if M is None else M)
    y = asarray(columns - rows <= k)
    return y.astype(dtype) if dtype is not None else y.float()


def fromfunction(function: Callable, shape: tuple[int, ...], *, dtype: Any = None, **kwargs: Any) -> Any:
    """function(i, j, ...) of the indices of every element, each a tensor of this shape."""
    return function(*(asarray(i, dtype=dtype) for i in np.indices(shape)), **kwargs)


def logspace(
    start: Any, stop: Any = None, num: int = 50, *place: Any, endpoint: bool = True, base: Any = 10.0,
    dtype: Any = None, **others: Any,
) -> Tensor:  # fmt: skip
    """base**t for `num` numbers t evenly spaced from start to stop. Gradients pass to start, stop and base. A fourth
    argument is NumPy's endpoint if it is a boolean, else PyTorch's base.

    >>> logspace(0, 2, 3).tolist()
    [1.0, 10.0, 100.0]
    """
    num, stop = others.pop("steps", num), others.pop("end", stop)  # PyTorch's words
    for given in place:
        endpoint, base = (given, base) if isinstance(given, bool) else (endpoint, given)
    wide = np.float64 if dtype is not None and dtype_of(dtype).kind in "fiu" else None  # rounded once, at the end
    return _as(F.power(base, linspace(start, stop, num, endpoint=endpoint, dtype=wide, **others)), dtype)


def geomspace(
    start: Any, stop: Any, num: int = 50, endpoint: bool = True, dtype: Any = None, axis: int = 0
) -> Tensor:  # fmt: skip
    """`num` numbers from start to stop, each the same multiple of the one before, along a new `axis`.

    >>> geomspace(1, 8, 4).tolist()
    [1.0, 2.0, 4.0, 8.0]
    """
    first, last = asarray(start), asarray(stop)
    ratio = last / first
    if not bool((ratio.detach() > 0).all()):
        raise ArgumentError(f"geomspace: start and stop must both be above or both below zero: got {start}, {stop}.")
    part = np.linspace(0, 1, num, endpoint=endpoint).reshape(-1, *[1] * ratio.ndim)
    y = first * F.power(ratio, ratio.backend.asarray(part.astype(ratio.dtype)))
    return _as(moveaxis(y, 0, axis) if axis else y, dtype)


def _as(y: Tensor, dtype: Any) -> Tensor:
    return y if dtype is None else y.astype(dtype)


def ndim(a: Any) -> int:
    """The number of axes."""
    return asarray(a).ndim


def shape(a: Any) -> tuple[int, ...]:
    """The lengths of the axes."""
    return asarray(a).shape


def size(a: Any, axis: int | None = None) -> int:
    """The number of elements, or the length of an axis."""
    return int(asarray(a).size) if axis is None else asarray(a).shape[axis]


def real_if_close(a: Any, tol: float = 100) -> Tensor:
    """The real part, if all imaginary parts are below tol (above 1: times the eps of the dtype); else a.

    >>> real_if_close(np.array([2 + 1e-14j])).dtype
    dtype('float64')
    """
    a = asarray(a)
    if a.dtype.kind != "c":
        return a
    bound = tol * np.finfo(a.dtype).eps if tol > 1 else tol
    return F.real(a) if bool(np.all(np.abs(a.detach().numpy().imag) < bound)) else a


def iscomplexobj(x: Any) -> bool:
    """Are the numbers complex?"""
    return asarray(x).dtype.kind == "c"


def isrealobj(x: Any) -> bool:
    """Are the numbers real?"""
    return not iscomplexobj(x)
