"""Fourier transforms: ``minigrad.fft``, the array API standard's names, with NumPy's two-dimensional forms.

    fft     y[k] = sum_j x[j] e**(-2 pi i j k / n)           ifft    the inverse, divided by n

n: the length along `axis`, x is cut or padded with zeros to it; s: one length for each of `axes` (-1: as it is).
norm: "backward" divides the inverse by n, "forward" the transform, "ortho" both by sqrt(n). float32 gives complex64.
The names with r are for real x and keep the n // 2 + 1 terms that the others follow from; those with h are for x that
equals its reversed conjugate, of which it takes that half. All are complex-differentiable, to any order.
https://data-apis.org/array-api/2025.12/extensions/fourier_transform_functions.html

>>> import minigrad as mg
>>> mg.fft.ifft(mg.fft.fft(mg.tensor([1.0, 2.0, 4.0]))).real
tensor([1., 2., 4.])
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from .convert import as_array
from .errors import ArgumentError, DTypeError, ShapeError
from .functions.spelling import named, spelled
from .mode import MODE
from .ops.fft import TURNED
from .primitive import axes_of
from .tensor import F, Tensor, wrap


def _float(op: str, x: Any, *, real: bool = False) -> Tensor:
    """x as a tensor of floats or complex numbers."""
    x = x if isinstance(x, Tensor) else wrap(as_array(x))
    if real and x.dtype.kind == "c":
        raise DTypeError(f"{op}: x must be real: got {x.dtype}. Use {op.replace('r', '').replace('ih', 'i')}.")
    return x if x.dtype.kind in "fc" else x.astype(MODE.get().default_dtype)


def _fitted(op: str, x: Tensor, lengths: Sequence[int], axes: Sequence[int]) -> Tensor:
    """x cut or padded with zeros to these lengths along these axes."""
    if min(lengths, default=1) < 1:
        raise ShapeError(f"{op}: lengths must be at least 1: got {tuple(lengths)} for shape {x.shape}.")
    wanted = dict(zip(axes, lengths))
    target = [wanted.get(i, n) for i, n in enumerate(x.shape)]
    if any(m < n for m, n in zip(target, x.shape)):
        x = x[tuple(slice(0, m) for m in target)]
    if any(m > n for m, n in zip(target, x.shape)):
        x = F.pad(x, tuple((0, m - n) for m, n in zip(target, x.shape)))
    return x


def _norm(op: str, norm: str | None) -> str:
    norm = norm or "backward"
    if norm not in TURNED:
        raise ArgumentError(f"{op}: norm must be backward, ortho or forward: got {norm!r}.")
    return norm


def _places(op: str, x: Tensor, s: Any, axes: Any) -> tuple[list[int | None], tuple[int, ...]]:
    """The lengths asked for (None: as it is) and the axes, the last len(s) if not given."""
    s = (s,) if isinstance(s, int) else s
    if axes is None and s is not None:
        if len(s) > x.ndim:
            raise ShapeError(f"{op}: as many lengths as axes: got s={tuple(s)} for shape {x.shape}.")
        axes = tuple(range(x.ndim - len(s), x.ndim))
    numbers = axes_of(op, axes, x.ndim)
    if s is not None and len(s) != len(numbers):
        raise ShapeError(f"{op}: one length per axis: got s={tuple(s)} for axes {numbers}.")
    return [None if n in (None, -1) else int(n) for n in (s if s is not None else [None] * len(numbers))], numbers


def _complex(op: str, x: Any, s: Any, axes: Any, norm: str | None, inverse: bool) -> Tensor:
    x = _float(op, x)
    if not x.ndim and axes not in (None, (), []):
        raise ShapeError(f"{op}: a 0-d array has no axis {axes}.")
    wanted, places = _places(op, x, s, axes)
    x = _fitted(op, x, [x.shape[i] if n is None else n for n, i in zip(wanted, places)], places)
    return F.dft(x, axes=places, inverse=inverse, norm=_norm(op, norm))


def _halved(op: str, x: Any, s: Any, axes: Any, norm: str | None) -> Tensor:
    """Real to half complex: the last of the axes first."""
    x, norm = _float(op, x, real=True), _norm(op, norm)
    wanted, places = _places(op, x, s, axes)
    if not places:
        raise ShapeError(f"{op}: needs at least one axis: x is {x.shape}, axes={axes}.")
    x = _fitted(op, x, [x.shape[i] if n is None else n for n, i in zip(wanted, places)], places)
    y = F.rdft(x, axis=places[-1], norm=norm)
    return F.dft(y, axes=places[:-1], norm=norm) if len(places) > 1 else y


def _doubled(op: str, x: Any, s: Any, axes: Any, norm: str | None) -> Tensor:
    """Half complex to real: the last of the axes last."""
    x, norm = _float(op, x), _norm(op, norm)
    wanted, places = _places(op, x, s, axes)
    if not places:
        raise ShapeError(f"{op}: needs at least one axis: x is {x.shape}, axes={axes}.")
    n = wanted[-1] if wanted[-1] is not None else 2 * (x.shape[places[-1]] - 1)
    if n < 1:
        raise ShapeError(f"{op}: the result needs at least 1 element: x is {x.shape}, n={n}. Pass n (or s).")
    lengths = [x.shape[i] if m is None else m for m, i in zip(wanted[:-1], places)]
    x = _fitted(op, x, [*lengths, n // 2 + 1], places)
    x = F.dft(x, axes=places[:-1], inverse=True, norm=norm) if len(places) > 1 else x
    return F.irdft(x, n=n, axis=places[-1], norm=norm)


def _one(n: int | None) -> tuple | None:
    return None if n is None else (n,)


@spelled
def fft(x: Any, /, n: int | None = None, axis: int = -1, norm: str | None = "backward") -> Tensor:
    """The transform along one axis. x: real or complex, any shape; y: complex, n along `axis`."""
    return _complex("fft", x, _one(n), (axis,), norm, False)


@spelled
def ifft(x: Any, /, n: int | None = None, axis: int = -1, norm: str | None = "backward") -> Tensor:
    """The inverse transform along one axis."""
    return _complex("ifft", x, _one(n), (axis,), norm, True)


@named(dim="axes")
def fftn(x: Any, /, s: Any = None, axes: Any = None, norm: str | None = "backward") -> Tensor:
    """The transform along several axes; all, or the last len(s), if not given."""
    return _complex("fftn", x, s, axes, norm, False)


@named(dim="axes")
def ifftn(x: Any, /, s: Any = None, axes: Any = None, norm: str | None = "backward") -> Tensor:
    """The inverse transform along several axes."""
    return _complex("ifftn", x, s, axes, norm, True)


@named(dim="axes")
def fft2(x: Any, /, s: Any = None, axes: Any = (-2, -1), norm: str | None = "backward") -> Tensor:
    """The transform along two axes."""
    return _complex("fft2", x, s, axes, norm, False)


@named(dim="axes")
def ifft2(x: Any, /, s: Any = None, axes: Any = (-2, -1), norm: str | None = "backward") -> Tensor:
    """The inverse transform along two axes."""
    return _complex("ifft2", x, s, axes, norm, True)


@spelled
def rfft(x: Any, /, n: int | None = None, axis: int = -1, norm: str | None = "backward") -> Tensor:
    """The transform of real x along one axis: its first n // 2 + 1 terms."""
    return _halved("rfft", x, _one(n), (axis,), norm)


@spelled
def irfft(x: Any, /, n: int | None = None, axis: int = -1, norm: str | None = "backward") -> Tensor:
    """The inverse of rfft: n real numbers along `axis`, 2 (m - 1) of m terms if not given."""
    return _doubled("irfft", x, _one(n), (axis,), norm)


@named(dim="axes")
def rfftn(x: Any, /, s: Any = None, axes: Any = None, norm: str | None = "backward") -> Tensor:
    """The transform of real x along several axes, halved along the last of them."""
    return _halved("rfftn", x, s, axes, norm)


@named(dim="axes")
def irfftn(x: Any, /, s: Any = None, axes: Any = None, norm: str | None = "backward") -> Tensor:
    """The inverse of rfftn."""
    return _doubled("irfftn", x, s, axes, norm)


@named(dim="axes")
def rfft2(x: Any, /, s: Any = None, axes: Any = (-2, -1), norm: str | None = "backward") -> Tensor:
    """The transform of real x along two axes, halved along the last of them."""
    return _halved("rfft2", x, s, axes, norm)


@named(dim="axes")
def irfft2(x: Any, /, s: Any = None, axes: Any = (-2, -1), norm: str | None = "backward") -> Tensor:
    """The inverse of rfft2."""
    return _doubled("irfft2", x, s, axes, norm)


@spelled
def hfft(x: Any, /, n: int | None = None, axis: int = -1, norm: str | None = "backward") -> Tensor:
    """The transform, n real numbers, of a signal with x[-j] = conj(x[j]), of which x is the first n // 2 + 1."""
    return _doubled("hfft", F.conj(_float("hfft", x)), _one(n), (axis,), TURNED[_norm("hfft", norm)])


@spelled
def ihfft(x: Any, /, n: int | None = None, axis: int = -1, norm: str | None = "backward") -> Tensor:
    """The inverse of hfft: the first n // 2 + 1 of a signal with x[-j] = conj(x[j])."""
    return F.conj(_halved("ihfft", x, _one(n), (axis,), TURNED[_norm("ihfft", norm)]))


@named(dim="axes")
def hfftn(x: Any, /, s: Any = None, axes: Any = None, norm: str | None = "backward") -> Tensor:
    """hfft along several axes: real, of a signal that equals its conjugate reversed along all of them."""
    return _doubled("hfftn", F.conj(_float("hfftn", x)), s, axes, TURNED[_norm("hfftn", norm)])


@named(dim="axes")
def ihfftn(x: Any, /, s: Any = None, axes: Any = None, norm: str | None = "backward") -> Tensor:
    """The inverse of hfftn, halved along the last axis."""
    return F.conj(_halved("ihfftn", x, s, axes, TURNED[_norm("ihfftn", norm)]))


@named(dim="axes")
def hfft2(x: Any, /, s: Any = None, axes: Any = (-2, -1), norm: str | None = "backward") -> Tensor:
    """hfftn over two axes."""
    return hfftn(x, s=s, axes=axes, norm=norm)


@named(dim="axes")
def ihfft2(x: Any, /, s: Any = None, axes: Any = (-2, -1), norm: str | None = "backward") -> Tensor:
    """ihfftn over two axes."""
    return ihfftn(x, s=s, axes=axes, norm=norm)


def _frequencies(op: str, n: int, d: float, first: int, count: int, dtype: Any) -> Tensor:
    if n < 1:
        raise ArgumentError(f"{op}: n must be at least 1: got {n}.")
    mode = MODE.get()
    numbers = np.roll(np.arange(first, first + count), first) / (n * d)
    return wrap(mode.device.asarray(numbers.astype(dtype or mode.default_dtype)))


def fftfreq(n: int, /, d: float = 1.0, *, dtype: Any = None, device: Any = None) -> Tensor:
    """(n,): the frequencies of the terms of fft, 0, 1, ... -2, -1 over n d; d: the time between samples.

    >>> fftfreq(4)
    tensor([ 0.  ,  0.25, -0.5 , -0.25])
    """
    return _frequencies("fftfreq", n, d, -(n // 2), n, dtype)


def rfftfreq(n: int, /, d: float = 1.0, *, dtype: Any = None, device: Any = None) -> Tensor:
    """(n // 2 + 1,): the frequencies of the terms of rfft, 0, 1, ... over n d."""
    return _frequencies("rfftfreq", n, d, 0, n // 2 + 1, dtype)


def _shifted(op: str, x: Any, axes: Any, by: Any) -> Tensor:
    x = x if isinstance(x, Tensor) else wrap(as_array(x))
    places = axes_of(op, tuple(axes) if isinstance(axes, list) else axes, x.ndim)
    return F.roll(x, shift=tuple(by(x.shape[i]) for i in places), axis=places) if places else F.copy(x)


@named(dim="axes")
def fftshift(x: Any, /, axes: Any = None) -> Tensor:
    """Term 0 moved to the middle of each of the axes (all if None)."""
    return _shifted("fftshift", x, axes, lambda n: n // 2)


@named(dim="axes")
def ifftshift(x: Any, /, axes: Any = None) -> Tensor:
    """The inverse of fftshift: the middle moved to the front."""
    return _shifted("ifftshift", x, axes, lambda n: -(n // 2))
