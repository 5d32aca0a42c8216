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

from .convert import backend_at
from .creation import _made, _shape, asarray, spelled
from .errors import ArgumentError, ShapeError
from .halves import dtype as dtype_of
from .mode import MODE
from .tensor import Tensor


class Generator:
    """A stream of random numbers. ``Generator(seed)``; the same seed gives the same stream on every machine."""

    def __init__(self, seed: int | None = None, *, device: Any = None):  # device, PyTorch's, has no effect
        seed, device = (None, seed) if isinstance(seed, str) else (seed, device)
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

    def factors(self, backend: Any, shape: tuple[int, ...], p: float, dtype: Any) -> Any:
        """Dropout's 0 and 1 / (1 - p), drawn by a backend that can; None from others. As `numpy` would draw them."""
        if not hasattr(backend, "factors") or 0 in shape:
            return None
        with self._lock:
            return backend.factors(self._numpy, shape, p, dtype)

    def _values(self, method: str, *args: Any, **kwargs: Any) -> np.ndarray:
        with self._lock:
            return np.asarray(getattr(self._numpy, method)(*args, **kwargs))


default_generator = Generator(0)


def manual_seed(seed: int) -> Generator:
    """Restart the shared generator from `seed`. Without it the first seed is 0: runs repeat unless told otherwise."""
    return default_generator.manual_seed(seed)


def _draw(
    method: str,
    shape: tuple,
    dtype: Any,
    generator: Generator | None,
    requires_grad: bool,
    *args: Any,
    device: Any = None,
) -> Tensor:
    mode = MODE.get()
    dtype = dtype_of(dtype or mode.default_dtype)
    native = {"dtype": dtype} if dtype in (np.float32, np.float64) and method in ("random", "standard_normal") else {}
    hand_out: Any = None
    if mode.levels:  # a vmap may want numbers for each sample
        shape, hand_out = mode.levels[-1].drawing(shape)
    values = (generator or default_generator)._values(method, *args, size=shape, **native)
    made = _made(backend_at(device).asarray(values.astype(dtype, copy=False)), requires_grad and hand_out is None)
    return made if hand_out is None else hand_out(made).requires_grad_(requires_grad)


@spelled("size")
def rand(
    *shape: Any,
    dtype: Any = None,
    device: Any = None,
    generator: Generator | None = None,
    requires_grad: bool = False,
) -> Tensor:
    """Uniform on [0, 1), of this shape."""
    return _draw("random", _shape(shape), dtype, generator, requires_grad, device=device)


@spelled("size")
def randn(
    *shape: Any,
    dtype: Any = None,
    device: Any = None,
    generator: Generator | None = None,
    requires_grad: bool = False,
) -> Tensor:
    """Normal with mean 0 and variance 1, of this shape."""
    return _draw("standard_normal", _shape(shape), dtype, generator, requires_grad, device=device)


def uniform(low: float, high: float, shape: Any, *, dtype: Any = None, generator: Generator | None = None) -> Tensor:
    """Uniform on [low, high), of this shape."""
    return rand(shape, dtype=dtype, generator=generator) * (high - low) + low


@spelled("mean", "std", "size")
def normal(
    mean: Any = 0.0,
    std: Any = 1.0,
    size: Any = None,
    *,
    dtype: Any = None,
    device: Any = None,
    generator: Generator | None = None,
    requires_grad: bool = False,
) -> Tensor:
    """Normal with this mean and standard deviation: of shape `size`; without one they are tensors, or one is, and each
    element has its own."""
    if size is None:
        size = np.broadcast_shapes(getattr(mean, "shape", ()), getattr(std, "shape", ()))
    if dtype is None and (found := [v.dtype for v in (mean, std) if hasattr(v, "dtype")]):
        dtype = np.result_type(*found)
    y = randn(size, dtype=dtype, device=device, generator=generator) * std + mean
    return y.requires_grad_() if requires_grad else y


@spelled("low", "high", "size")
def randint(
    low: int,
    high: Any = None,
    size: Any = None,
    *,
    dtype: Any = np.int64,
    device: Any = None,
    generator: Generator | None = None,
    requires_grad: bool = False,
) -> Tensor:
    """Integers from low to high - 1, of shape `size`; with one bound, ``randint(high, size)``, from 0."""
    if isinstance(high, (tuple, list)) and size is None:
        low, high, size = 0, low, high
    elif high is None:
        low, high = 0, low
    if low >= high:
        raise ArgumentError(f"randint: low must be below high: got {low}, {high}.")
    shape = () if size is None else (size,) if isinstance(size, int) else _shape((size,))
    return _draw("integers", shape, dtype, generator, requires_grad, low, high, device=device)


@spelled("n")
def randperm(n: int, *, dtype: Any = None, device: Any = None, generator: Generator | None = None) -> Tensor:
    """The integers 0 to n - 1 in random order, int64 unless given."""
    order = (generator or default_generator).numpy("permutation", n).astype(dtype_of(dtype or np.int64), copy=False)
    return _made(backend_at(device).asarray(order), False)


@spelled("p", input="p")
def bernoulli(
    p: Any, shape: Any = None, *, dtype: Any = None, generator: Generator | None = None, size: Any = None
) -> Tensor:
    """1 with probability p, else 0: of this shape; without one p is a tensor, and each element has its own."""
    if shape is None and size is None:
        return _bernoulli(asarray(p), generator)
    if isinstance(p, Tensor) and p.ndim and isinstance(shape, float):  # PyTorch's bernoulli(x, p): shaped like x
        p, shape, dtype = shape, p.shape, dtype or p.dtype
    if not 0 <= p <= 1:
        raise ArgumentError(f"bernoulli: p must be from 0 to 1: got {p}.")
    drawn = rand(size if shape is None else shape, dtype=np.float32, generator=generator)
    return (drawn < p).astype(dtype or MODE.get().default_dtype)


def _bernoulli(p: Tensor, generator: Generator | None) -> Tensor:
    if not bool(((p >= 0) & (p <= 1)).all()):  # NaN neither
        raise ArgumentError("bernoulli: all probabilities must be from 0 to 1.")
    return (rand(p.shape, dtype=np.float32, generator=generator) < p.detach()).astype(p.dtype)


def poisson(rate: Tensor, *, generator: Generator | None = None) -> Tensor:
    """Poisson with this mean, each element its own; in the dtype of `rate`."""
    values = (generator or default_generator).numpy("poisson", _host(rate))
    return _made(MODE.get().device.asarray(values.astype(rate.dtype)), False)


def multinomial(
    input: Tensor, num_samples: int, replacement: bool = False, *, generator: Generator | None = None
) -> Tensor:
    """Places drawn with probabilities in proportion to the weights `input`, (K,) or (B, K): (num_samples,) or
    (B, num_samples), int64. Without replacement none comes twice, and each is drawn from what is left."""
    weights = _host(input).astype(np.float64)
    if weights.ndim not in (1, 2):
        raise ShapeError(f"multinomial: weights must be (K,) or (B, K): got {weights.shape}.")
    if not (np.isfinite(weights).all() and (weights >= 0).all()):
        raise ArgumentError("multinomial: weights must be finite and not negative.")
    left = (weights > 0).sum(axis=-1).min(initial=weights.shape[-1])
    if num_samples < 1 or left == 0 or (not replacement and num_samples > left):
        raise ArgumentError(
            f"multinomial: num_samples must be from 1 to the number of weights above 0, {left} (more with "
            f"replacement=True, but of one at least): got {num_samples}."
        )
    random, shape = generator or default_generator, weights.shape[:-1]
    if replacement:
        p = np.cumsum(weights, axis=-1)
        u = random.numpy("random", (*shape, num_samples)) * p[..., -1:]
        found = np.stack([np.searchsorted(q, v, side="right") for q, v in zip(np.atleast_2d(p), np.atleast_2d(u))])
    else:  # the order of exponential waiting times with these rates (Efraimidis, Spirakis 2006)
        with np.errstate(divide="ignore"):
            waits = random.numpy("standard_exponential", weights.shape) / weights
        found = np.argsort(waits, axis=-1)[..., :num_samples]
    return _made(MODE.get().device.asarray(found.reshape(*shape, num_samples).astype(np.int64)), False)


def _host(x: Any) -> np.ndarray:
    return x.detach().numpy() if isinstance(x, Tensor) else np.asarray(x)


# ---- as another tensor, and into one ---------------------------------------------------------------------------------


@spelled("input")
def rand_like(input: Tensor, *, dtype: Any = None, device: Any = None, requires_grad: bool = False) -> Tensor:
    """`rand` with the shape, dtype and device of another tensor."""
    return rand(input.shape, dtype=dtype or input.dtype, device=device or input.device, requires_grad=requires_grad)


@spelled("input")
def randn_like(input: Tensor, *, dtype: Any = None, device: Any = None, requires_grad: bool = False) -> Tensor:
    """`randn` with the shape, dtype and device of another tensor."""
    return randn(input.shape, dtype=dtype or input.dtype, device=device or input.device, requires_grad=requires_grad)


@spelled("input", "low", "high")
def randint_like(
    input: Tensor,
    low: int,
    high: int | None = None,
    *,
    dtype: Any = None,
    device: Any = None,
    requires_grad: bool = False,
) -> Tensor:
    """`randint` with the shape, dtype and device of another tensor."""
    low, high = (0, low) if high is None else (low, high)
    made = randint(low, high, input.shape, dtype=dtype or input.dtype, device=device or input.device)
    return made.requires_grad_(requires_grad)


def _filling(name: str, doc: str, draw: Any) -> None:
    """A method that overwrites a tensor with random numbers: ``x.normal_(mean, std)``, PyTorch's name and arguments."""

    def method(self: Tensor, *args: Any, generator: Generator | None = None, **keywords: Any) -> Tensor:
        self.overwrite(draw(generator or default_generator, self, *args, **keywords), name)
        return self

    method.__name__, method.__doc__ = name, doc
    setattr(Tensor, name, method)


def _drawn(generator: Generator, x: Tensor, method: str, *args: Any) -> Tensor:
    return _made(x.backend.asarray(generator.numpy(method, *args, size=x.shape).astype(x.dtype)), False)


def _holds(who: str, rule: str, value: Any, allowed: bool) -> Any:
    """The value, or an ArgumentError if it is not allowed."""
    if not allowed:
        raise ArgumentError(f"{who}: needs {rule}: got {value}.")
    return value


_filling(
    "normal_", "Normal numbers with this mean and standard deviation, in place.",
    lambda g, x, mean=0.0, std=1.0: _drawn(g, x, "normal", mean, _holds("normal_", "std >= 0", std, std >= 0)),
)  # fmt: skip
_filling(
    "uniform_", "Numbers from `from_` to `to`, all as likely, in place.",
    lambda g, x, from_=0.0, to=1.0: _drawn(g, x, "uniform", from_, _holds("uniform_", "from_ <= to", to, from_ <= to)),
)  # fmt: skip
_filling(
    "bernoulli_", "1 with probability p, else 0, in place.",
    lambda g, x, p=0.5: bernoulli(p, x.shape, dtype=x.dtype, generator=g) if np.isscalar(p) else _bernoulli(p, g),
)  # fmt: skip
_filling(
    "exponential_", "Exponential numbers with this rate, in place.",
    lambda g, x, lambd=1.0: _drawn(g, x, "exponential", 1 / _holds("exponential_", "lambd > 0", lambd, lambd > 0)),
)  # fmt: skip
_filling(
    "geometric_", "How many trials a success with probability p takes, in place.",
    lambda g, x, p: _drawn(g, x, "geometric", _holds("geometric_", "0 < p < 1", p, 0 < p < 1)),
)  # fmt: skip
_filling(
    "log_normal_", "e to the power of normal numbers, in place.",
    lambda g, x, mean=1.0, std=2.0: _drawn(g, x, "lognormal", mean, _holds("log_normal_", "std > 0", std, std > 0)),
)  # fmt: skip
_filling(
    "cauchy_", "Cauchy's distribution, in place.",
    lambda g, x, median=0.0, sigma=1.0: (
        _drawn(g, x, "standard_cauchy") * _holds("cauchy_", "sigma > 0", sigma, sigma > 0) + median
    ),
)  # fmt: skip
_filling(
    "random_", "Integers from low to high - 1, in place; without bounds as many as the dtype holds without a gap.",
    lambda g, x, low=None, high=None: _drawn(g, x, "integers", *_range(x.dtype, low, high)),
)  # fmt: skip


def _range(dtype: np.dtype, low: int | None, high: int | None) -> tuple[int, int]:
    if low is None:
        return 0, 2 ** (np.finfo(dtype).nmant + 1) + 1 if dtype.kind == "f" else np.iinfo(dtype).max
    return (0, low) if high is None else (low, high)


def get_rng_state() -> dict[str, Any]:
    """The state of the shared generator, as plain data."""
    return default_generator.get_state()


def set_rng_state(state: dict[str, Any]) -> None:
    """The shared generator goes on from what `get_rng_state` returned."""
    default_generator.set_state(state)


def initial_seed() -> int:
    """The seed of the shared generator."""
    return default_generator.seed


def seed() -> int:
    """A new seed for the shared generator, from the system's own chance; returns it."""
    return manual_seed(int.from_bytes(os.urandom(7), "little")).seed
