"""A strict third-party backend: its arrays hold NumPy data but refuse every silent way to the host.

`StrictArray` wraps an ndarray as a GPU array wraps device memory: ``np.asarray``, ``np.sum``, a ufunc, ``float()``,
``if`` and ``for`` on it are errors, and so is an operand that is an ndarray. `xp` is NumPy's functions for strict
arrays only. Data comes in through ``xp.asarray`` and goes out through `StrictBackend.to_host`, which counts. The
generated tests run on this backend too: an operation that passes never looked at its data on the host.
"""

from __future__ import annotations

import operator
from types import ModuleType
from typing import Any

import numpy as np

import minigrad as mg
from minigrad.backend import Backend

LEAK = "strict backend: {} would read device data on the host"


class StrictArray:
    """An array that only the functions of `xp` and its own methods can read."""

    __slots__ = ("__weakref__", "_host")
    __array_ufunc__ = None
    __hash__ = None

    def __init__(self, host: np.ndarray):
        assert type(host) is np.ndarray, type(host)
        self._host = host

    # -- what anybody may know without reading the data ----------------------------------------------------------------
    shape = property(lambda self: self._host.shape)
    dtype = property(lambda self: self._host.dtype)
    ndim = property(lambda self: self._host.ndim)
    size = property(lambda self: self._host.size)
    nbytes = property(lambda self: self._host.nbytes)
    itemsize = property(lambda self: self._host.itemsize)
    strides = property(lambda self: self._host.strides)
    flags = property(lambda self: self._host.flags)
    base = property(lambda self: None if self._host.base is None else object())  # of whom: shares_memory tells
    T = property(lambda self: StrictArray(self._host.T))
    real = property(lambda self: StrictArray(self._host.real))
    imag = property(lambda self: StrictArray(self._host.imag))

    def __len__(self) -> int:
        return len(self._host)

    def __repr__(self) -> str:
        return f"StrictArray({self.shape}, {self.dtype})"

    # -- refused -------------------------------------------------------------------------------------------------------
    def __array__(self, *args: Any, **kwargs: Any):
        raise TypeError(LEAK.format("np.asarray"))

    def __array_function__(self, function: Any, *rest: Any):
        raise TypeError(LEAK.format(f"numpy.{function.__name__}"))

    def _refuse(self, *args: Any):
        raise TypeError(LEAK.format("a Python number, truth value or loop"))

    __bool__ = __float__ = __int__ = __index__ = __complex__ = __iter__ = __contains__ = _refuse

    # -- methods -------------------------------------------------------------------------------------------------------
    def __getitem__(self, key: Any) -> StrictArray:
        return wrapped(self._host[unwrapped(key)])

    def __setitem__(self, key: Any, value: Any) -> None:
        self._host[unwrapped(key)] = unwrapped(value)

    def astype(self, dtype: Any, copy: bool = True) -> StrictArray:
        host = self._host.astype(dtype, copy=copy)
        return self if host is self._host else wrapped(host)

    def __getattr__(self, name: str) -> Any:
        if name not in METHODS:
            raise AttributeError(f"StrictArray has no {name!r}")
        method = getattr(self._host, name)
        return lambda *args, **kwargs: wrapped(method(*unwrapped(args), **unwrapped(kwargs)), self)


METHODS = {
    "copy", "view", "reshape", "transpose", "ravel", "fill", "sum", "mean", "max", "min", "any", "all", "argmax",
    "argmin", "argsort", "cumsum", "swapaxes",
}  # fmt: skip


def _operators(name: str) -> tuple:
    """a + b, b + a and a += b for strict arrays."""
    op, into = getattr(operator, name), getattr(operator, f"i{name.strip('_')}")

    def in_place(self: StrictArray, other: Any) -> StrictArray:
        self._host = into(self._host, unwrapped(other))
        return self

    return (
        lambda self, other: wrapped(op(self._host, unwrapped(other))),
        lambda self, other: wrapped(op(unwrapped(other), self._host)),
        in_place,
    )


def _simple(name: str) -> Any:
    op = getattr(operator, name)
    return lambda self, *other: wrapped(op(self._host, *unwrapped(other)))


for name in (
    "add",
    "sub",
    "mul",
    "truediv",
    "floordiv",
    "mod",
    "pow",
    "matmul",
    "and_",
    "or_",
    "xor",
    "lshift",
    "rshift",
):
    for prefix, function in zip(("", "r", "i"), _operators(name)):
        setattr(StrictArray, f"__{prefix}{name.strip('_')}__", function)
for name in ("eq", "ne", "lt", "le", "gt", "ge", "neg", "pos", "abs", "invert"):
    setattr(StrictArray, f"__{name}__", _simple(name))


def unwrapped(value: Any) -> Any:
    """The arguments of a NumPy function with strict arrays opened; a host array among them is refused."""
    if isinstance(value, StrictArray):
        return value._host
    if isinstance(value, (np.ndarray, np.generic)) and not isinstance(value, (float, complex)):
        raise TypeError(f"strict backend: a host {type(value).__name__} meets a device array")
    if type(value) in (list, tuple):
        return type(value)(unwrapped(v) for v in value)
    if isinstance(value, dict):
        return {k: unwrapped(v) for k, v in value.items()}
    return value


def wrapped(value: Any, *arguments: Any) -> Any:
    """The result of a NumPy function with its arrays closed; an argument that comes back stays the same object."""
    if isinstance(value, np.ndarray):
        for a in arguments:
            if isinstance(a, StrictArray) and a._host is value:
                return a
        return StrictArray(value)
    if isinstance(value, np.generic):
        return StrictArray(np.asarray(value))
    if type(value) in (list, tuple):
        return type(value)(wrapped(v, *arguments) for v in value)
    if hasattr(value, "_make"):  # a named tuple, as numpy.linalg returns
        return value._make(wrapped(v, *arguments) for v in value)
    return value


class Namespace:
    """A module of NumPy, or a ufunc, that takes and gives strict arrays."""

    def __init__(self, library: Any):
        self._library = library

    def __getattr__(self, name: str) -> Any:
        value = getattr(self._library, name)
        if isinstance(value, (ModuleType, np.ufunc)):
            value = Namespace(value)
        elif callable(value) and not isinstance(value, type):
            value = self._function(value)
        self.__dict__[name] = value
        return value

    @staticmethod
    def _function(function: Any) -> Any:
        def run(*args: Any, **kwargs: Any) -> Any:
            return wrapped(function(*unwrapped(args), **unwrapped(kwargs)), *args)

        return run

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        return self._function(self._library)(*args, **kwargs)

    def asarray(self, data: Any, dtype: Any = None) -> StrictArray:
        """The way in: host data, copied or not, as a strict array."""
        if isinstance(data, StrictArray):
            return data if dtype is None else data.astype(dtype, copy=False)
        return StrictArray(np.asarray(data, dtype=dtype))

    def array(self, data: Any, dtype: Any = None, copy: bool = True) -> StrictArray:
        return StrictArray(np.array(data._host if isinstance(data, StrictArray) else data, dtype=dtype))


class StrictBackend(Backend):
    """The reference forwards over `xp` = `Namespace`; `downloads` counts the calls of `to_host`."""

    def __init__(self) -> None:
        super().__init__("strict", Namespace(np), StrictArray)
        self.downloads = 0

    def to_host(self, array: StrictArray) -> np.ndarray:
        self.downloads += 1
        return array._host


BACKENDS = ["numpy", "numba", "strict"]  # what tests run on
STRICT = StrictBackend()
mg.register_backend(STRICT)
