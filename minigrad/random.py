"""Random tensors from seeded, counter-based generators.

A `Generator` is a Philox stream (Salmon et al. 2011, Parallel random numbers: as easy as 1, 2, 3): its state is a key
and a counter, a few integers that checkpoints can hold. Numbers are drawn on the host and moved, so that a seed gives
the same values on every backend. Functions take ``generator=``; without it they share one, which `manual_seed` resets.
"""

from __future__ import annotations

import os
import threading
from functools import cached_property
from typing import Any

import numpy as np

from .creation import _made, _shape
from .errors import ArgumentError
from .halves import dtype as dtype_of
from .mode import MODE
from .tensor import Tensor


class Generator:
    """A stream of random numbers. ``Generator(seed)``; the same seed gives the same stream on every machine."""

    def __init__(self, seed: int | None = None):
        self._lock = threading.Lock()
        self.manual_seed(int.from_bytes(os.urandom(7), "little") if seed is None else seed)

    def manual_seed(self, seed: int) -> Generator:
        if not hasattr(seed, "__index__") or seed.__index__() < 0:
            raise ArgumentError(f"manual_seed: the seed must be an integer >= 0: got {seed!r}.")
        self.seed = seed.__index__()
        self.__dict__.pop("_numpy", None)
        return self

    @cached_property
    def _numpy(self) -> np.random.Generator:  # made at first use: importing numpy.random takes a while
        return np.random.Generator(np.random.Philox(self.seed))

    def get_state(self) -> dict[str, Any]:
        """The state as plain data: seed, key, counter and buffer."""
        state = self._numpy.bit_generator.state
        return {
            "seed": self.seed,
            "key": state["state"]["key"].tolist(),
            "counter": state["state"]["counter"].tolist(),
            "buffer": state["buffer"].tolist(),
            "buffer_pos": state["buffer_pos"],
            "has_uint32": state["has_uint32"],
            "uinteger": state["uinteger"],
        }

    def set_state(self, state: dict[str, Any]) -> None:
        """Continue from what `get_state` returned."""
        self.manual_seed(state["seed"])
        full: Any = self._numpy.bit_generator.state
        full["state"] = {k: np.array(state[k], np.uint64) for k in ("key", "counter")}
        full |= {"buffer": np.array(state["buffer"], np.uint64)} | {
            k: state[k] for k in ("buffer_pos", "has_uint32", "uinteger")
        }
        self._numpy.bit_generator.state = full

    def numpy(self, method: str, *args: Any, **kwargs: Any) -> np.ndarray:
        """One draw with a method of `numpy.random.Generator`, as a host array."""
        if levels := MODE.get().levels:
            levels[-1].drawing((), shared=True)  # raises where vmap wants none, or others for each sample
        return self._values(method, *args, **kwargs)

    def _values(self, method: str, *args: Any, **kwargs: Any) -> np.ndarray:
        with self._lock:
            return np.asarray(getattr(self._numpy, method)(*args, **kwargs))


default_generator = Generator(0)


def manual_seed(seed: int) -> Generator:
    """Restart the shared generator from `seed`. Without it the first seed is 0: runs repeat unless told otherwise."""
    return default_generator.manual_seed(seed)


def _draw(
    method: str, shape: tuple, dtype: Any, generator: Generator | None, requires_grad: bool, *args: Any
) -> Tensor:
    mode = MODE.get()
    dtype = dtype_of(dtype or mode.default_dtype)
    native = {"dtype": dtype} if dtype in (np.float32, np.float64) and method in ("random", "standard_normal") else {}
    hand_out: Any = None
    if mode.levels:  # a vmap may want numbers for each sample
        shape, hand_out = mode.levels[-1].drawing(shape)
    values = (generator or default_generator)._values(method, *args, size=shape, **native)
    made = _made(mode.device.asarray(values.astype(dtype, copy=False)), requires_grad and hand_out is None)
    return made if hand_out is None else hand_out(made).requires_grad_(requires_grad)


def rand(*shape: Any, dtype: Any = None, generator: Generator | None = None, requires_grad: bool = False) -> Tensor:
    """Uniform on [0, 1), of this shape."""
    return _draw("random", _shape(shape), dtype, generator, requires_grad)


def randn(*shape: Any, dtype: Any = None, generator: Generator | None = None, requires_grad: bool = False) -> Tensor:
    """Normal with mean 0 and variance 1, of this shape."""
    return _draw("standard_normal", _shape(shape), dtype, generator, requires_grad)


def uniform(low: float, high: float, shape: Any, *, dtype: Any = None, generator: Generator | None = None) -> Tensor:
    """Uniform on [low, high), of this shape."""
    return rand(shape, dtype=dtype, generator=generator) * (high - low) + low


def normal(mean: float, std: float, shape: Any, *, dtype: Any = None, generator: Generator | None = None) -> Tensor:
    """Normal with this mean and standard deviation, of this shape."""
    return randn(shape, dtype=dtype, generator=generator) * std + mean


def randint(
    low: int, high: int | None = None, size: Any = (), *, dtype: Any = np.int64, generator: Generator | None = None
) -> Tensor:
    """Integers from low to high - 1 (from 0 if only one bound is given), of shape `size`."""
    low, high = (0, low) if high is None else (low, high)
    if low >= high:
        raise ArgumentError(f"randint: low must be below high: got {low}, {high}.")
    return _draw(
        "integers", _shape((size,)) if not isinstance(size, int) else (size,), dtype, generator, False, low, high
    )


def randperm(n: int, *, generator: Generator | None = None) -> Tensor:
    """The integers 0 to n - 1 in random order, int64."""
    return _made(MODE.get().device.asarray((generator or default_generator).numpy("permutation", n)), False)


def bernoulli(p: float, shape: Any, *, dtype: Any = None, generator: Generator | None = None) -> Tensor:
    """1 with probability p, else 0."""
    if not 0 <= p <= 1:
        raise ArgumentError(f"bernoulli: p must be from 0 to 1: got {p}.")
    return (rand(shape, dtype=np.float32, generator=generator) < p).astype(dtype or MODE.get().default_dtype)
