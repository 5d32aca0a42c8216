"""CuPy as the reference forwards want it: what it lacks of NumPy, made of what it has.

Only what forwards call is here. The functions take the library `xp` first and know nothing of CuPy, so that NumPy
itself can show what they ought to give.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np

from ..kernels.cuda.matmul import matmul

# The Array API's names, which CuPy has from 14 on.
OLDER = {f"{a}{f}{h}": f"arc{f}{h}" for a in ("a",) for f in ("sin", "cos", "tan") for h in ("", "h")}
OLDER |= {"atan2": "arctan2", "pow": "power", "concat": "concatenate", "permute_dims": "transpose"}
RAISING = ("inv", "cholesky", "eigh", "eigvalsh", "svd")  # without "raise" CuPy returns what a failed routine left
SORTING = ("sort", "argsort", "lexsort", "partition", "argpartition", "unique", "median", "percentile", "quantile")
WHOLE = ("floor", "ceil", "trunc")  # of integers CuPy 13 makes floats
ADDED = ("int32", "uint32", "uint64", "float32", "float64")  # what CuPy's add.at knows, in all versions


class Over:
    """A library, or one of its functions, with some of its attributes replaced."""

    def __init__(self, library: Any, **own: Any):
        self._library = library
        self.__dict__.update(own)

    def __getattr__(self, name: str) -> Any:
        self.__dict__[name] = found = getattr(self._library, name)
        return found

    def __call__(self, *args: Any, **keywords: Any) -> Any:
        return self._library(*args, **keywords)


def completed(xp: Any) -> Over:
    """The module cupy, completed."""
    decompositions = {name: partial(raising, xp, name) for name in RAISING}
    decompositions |= {name: partial(general, xp, name) for name in ("eig", "eigvals")}
    return Over(
        xp,
        **{name: getattr(xp, old) for name, old in OLDER.items() if not hasattr(xp, name)},
        **{} if hasattr(xp, "bitwise_count") else {"bitwise_count": partial(bitwise_count, xp)},
        **{name: partial(whole, xp, name) for name in WHOLE},
        matmul=partial(matmul, xp),
        **{name: partial(sorting, xp, name) for name in SORTING},
        add=Over(xp.add, at=partial(add_at, xp)),
        maximum=Over(xp.maximum, at=partial(extreme_at, xp, "maximum"), accumulate=partial(running, xp, xp.maximum)),
        minimum=Over(xp.minimum, at=partial(extreme_at, xp, "minimum"), accumulate=partial(running, xp, xp.minimum)),
        logaddexp=Over(xp.logaddexp, accumulate=partial(running, xp, xp.logaddexp)),
        linalg=Over(xp.linalg, solve=partial(solve, xp), **decompositions),
        lib=Over(xp.lib, stride_tricks=Over(xp.lib.stride_tricks, sliding_window_view=partial(windows, xp))),
    )


def whole(xp: Any, name: str, x: Any) -> Any:
    """np.floor, np.ceil or np.trunc: integers and truth values are what they are."""
    return x.copy() if getattr(getattr(x, "dtype", None), "kind", "") in ("b", "i", "u") else getattr(xp, name)(x)


def bitwise_count(xp: Any, x: Any) -> Any:
    """np.bitwise_count, the ones in |x|: summed in pairs, in fours, in bytes. Warren 2012, Hacker's Delight, 5-1."""
    x = xp.abs(x.astype(np.int64)) if x.dtype.kind == "i" else x
    x = x.astype(np.uint64)
    for step, bits in ((1, 0x5555555555555555), (2, 0x3333333333333333), (4, 0x0F0F0F0F0F0F0F0F)):
        mask = np.uint64(bits)
        x = (x & mask) + ((x >> np.uint64(step)) & mask)
    return ((x * np.uint64(0x0101010101010101)) >> np.uint64(56)).astype(np.uint8)  # the highest byte holds the sum


def running(xp: Any, combine: Callable, x: Any, axis: int = 0) -> Any:
    """combine.accumulate(x, axis): y[i] = combine(x[0], ..., x[i]), by doubling: log2 n passes."""
    y, step = xp.moveaxis(x, axis, 0), 1
    y = y.astype(combine(y[:0], y[:0]).dtype)  # a copy
    while step < len(y):  # y[i] holds the last `step` terms
        y = xp.concatenate([y[:step], combine(y[step:], y[:-step])])
        step *= 2
    return xp.moveaxis(y, 0, axis)


def sorting(xp: Any, name: str, *args: Any, **keywords: Any) -> Any:
    """A function that sorts. CuPy's waits for the device, and the process ends where a graph is being recorded."""
    if xp.cuda.get_current_stream().is_capturing():
        raise NotImplementedError(f"{name} sorts, which waits for the device: not while the stream is capturing")
    return getattr(xp, name)(*args, **keywords)


def add_at(xp: Any, y: Any, index: Any, v: Any) -> None:
    """np.add.at for every dtype: CuPy adds 4 and 8 bytes."""
    kind, v = y.dtype.kind, xp.asarray(v, y.dtype)
    if y.dtype.name in ADDED:
        xp.add.at(y, index, v)
    elif kind == "c":  # CuPy does not add to a view of every second number
        re, im = (xp.zeros(y.shape, y.real.dtype) for _ in range(2))
        xp.add.at(re, index, v.real)
        xp.add.at(im, index, v.imag)
        y += re + 1j * im
    elif y.dtype == np.int64:  # the same bits as without a sign
        xp.add.at(y.view(np.uint64), index, v.view(np.uint64))
    else:
        wide = xp.zeros(y.shape, np.float32 if kind in "fV" else np.int32)
        xp.add.at(wide, index, v.astype(wide.dtype))
        y[...] = (y.astype(wide.dtype) + wide).astype(y.dtype)


def extreme_at(xp: Any, name: str, y: Any, index: Any, v: Any) -> None:
    """np.maximum.at or np.minimum.at for every dtype but complex ones."""
    at, kind, v = getattr(xp, name).at, y.dtype.kind, xp.asarray(v, y.dtype)
    if y.dtype.name in ADDED:
        at(y, index, v)
    elif y.dtype == np.int64:  # with the sign's bit turned, the order is that of numbers without a sign
        sign = np.uint64(1 << 63)
        wide = y.view(np.uint64) ^ sign
        at(wide, index, v.view(np.uint64) ^ sign)
        y[...] = (wide ^ sign).view(np.int64)
    else:
        wide = y.astype(np.float32 if kind in "fV" else np.int32)
        at(wide, index, v.astype(wide.dtype))
        y[...] = wide.astype(y.dtype)


def windows(xp: Any, x: Any, window_shape: tuple, axis: tuple) -> Any:
    """np.lib.stride_tricks.sliding_window_view. CuPy's own reads the window from the device, number by number."""
    shape = list(x.shape)
    for a, n in zip(axis, window_shape):
        shape[a] -= n - 1
    strides = (*x.strides, *(x.strides[a] for a in axis))
    return xp.lib.stride_tricks.as_strided(x, (*shape, *window_shape), strides)


# ---- linear algebra --------------------------------------------------------------------------------------------------
def raising(xp: Any, name: str, *args: Any, **keywords: Any) -> Any:
    """A function of xp.linalg that raises LinAlgError where a matrix is singular or nothing converges, as NumPy's."""
    with errstate(xp):
        return getattr(xp.linalg, name)(*args, **keywords)


def errstate(xp: Any) -> Any:
    """CuPy's switch; it waits for the device, as PyTorch does in these functions."""
    from importlib import import_module

    if xp is np:
        return np.errstate()
    return import_module("cupyx").errstate(linalg="raise")


def solve(xp: Any, a: Any, b: Any) -> Any:
    """np.linalg.solve of stacks that broadcast; empty ones too."""
    stack = np.broadcast_shapes(a.shape[:-2], b.shape[:-2])
    if a.shape[:-2] != b.shape[:-2]:
        a, b = (xp.array(xp.broadcast_to(m, (*stack, *m.shape[-2:])), order="C") for m in (a, b))
    if 0 in a.shape or 0 in b.shape:
        kind = np.result_type(a.dtype, b.dtype)
        return xp.zeros(b.shape, kind if kind.kind in "fc" else np.float64)
    return raising(xp, "solve", a, b)


def general(xp: Any, name: str, x: Any) -> Any:
    """xp.linalg.eig or eigvals; by the host where CuPy or its cuSOLVER is too old for them."""
    try:
        return raising(xp, name, x)
    except (AttributeError, RuntimeError) as missing:
        if isinstance(missing, RuntimeError) and "not available" not in str(missing):
            raise
    found = getattr(np.linalg, name)(xp.asnumpy(x))
    return tuple(map(xp.asarray, found)) if name == "eig" else xp.asarray(found)
