"""How transforms nest: each opens a level, and on a level arrays have stand-ins that compute in the transform's way.

A stand-in (`Batched` for vmap, `Dual` for forward mode) is the `array` of a Tensor and holds Tensors of lower levels.
A primitive that meets one is run by the highest level among its operands, which turns it into primitives on what the
stand-ins hold: one level lower, through `apply` again, until plain arrays are left. Levels are ordered as the
transforms are nested, so that inner and outer derivatives, or batches, never mix (Siskind, Pearlmutter 2008, Nesting
forward-mode AD in a functional framework; the levels are those of JAX and functorch).

Each level has a tape of its own: a node belongs to the level of its tensor's array. On a level, a tensor of a lower one
is a constant; what it has to do with lower tapes is seen when the level computes with it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from types import SimpleNamespace
from typing import Any

import numpy as np

from ..backend.base import Backend, backend_of, register_arrays
from ..convert import constant, index
from ..edits import link
from ..errors import GradError, MinigradError
from ..mode import MODE, Mode
from ..primitive import PRIMITIVES, Primitive
from ..tensor import F, Tensor, apply, record, several, wrap


class StandIn:
    """What takes the place of an array on a level. Subclasses say what it holds."""

    __slots__ = ("__weakref__", "base", "dtype", "level", "shape")
    flags = SimpleNamespace(c_contiguous=True, writeable=True)
    __array_ufunc__ = None  # ndarray + stand-in is the stand-in's __radd__

    level: Level
    shape: tuple[int, ...]
    dtype: Any
    base: Any  # the stand-in this one is a view of

    @property
    def ndim(self) -> int:
        return len(self.shape)

    @property
    def size(self) -> int:
        n = 1
        for length in self.shape:
            n *= length
        return n

    @property
    def nbytes(self) -> int:
        return self.size * self.dtype.itemsize

    def __getitem__(self, key: Any) -> Any:
        key, arrays = index(key)
        return compute(PRIMITIVES["getitem"], (self, *arrays), {"key": key})

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_") or name not in PRIMITIVES:
            raise AttributeError(f"{type(self).__name__} has no {name!r}: inside a transform an array has no memory")

        def method(*args: Any, **keywords: Any) -> Any:  # x.astype(t), x.reshape(...), x.all(): as arrays have them
            keywords.pop("copy", None)
            return getattr(wrap(self), name)(*args, **keywords).array

        return method

    def __repr__(self) -> str:
        return f"<{self.level.what} {self.level.depth}: {self.dtype}{self.shape} over {self.physical()!r}>"

    def physical(self) -> Any:
        """The raw array at the bottom, for checks that look at all values."""
        raise NotImplementedError

    def stopped(self) -> Any:
        """The same without derivative, on all levels."""
        raise NotImplementedError


def _operator(name: str) -> tuple[Callable, Callable]:
    p = PRIMITIVES[name]
    return (lambda a, b: compute(p, (a, b), {})), (lambda a, b: compute(p, (b, a), {}))


def _operators() -> None:
    pairs = {
        "add": "add", "sub": "subtract", "mul": "multiply", "truediv": "divide", "floordiv": "floor_divide",
        "mod": "remainder", "pow": "power", "matmul": "matmul", "and": "bitwise_and", "or": "bitwise_or",
        "xor": "bitwise_xor",
    }  # fmt: skip
    for python, ours in pairs.items():
        forward, reflected = _operator(ours)
        setattr(StandIn, f"__{python}__", forward)
        setattr(StandIn, f"__r{python}__", reflected)
    compared = {
        "eq": "equal",
        "ne": "not_equal",
        "lt": "less",
        "le": "less_equal",
        "gt": "greater",
        "ge": "greater_equal",
    }
    for python, ours in compared.items():
        setattr(StandIn, f"__{python}__", _operator(ours)[0])
    for python, ours in {"neg": "negative", "abs": "abs", "invert": "bitwise_invert"}.items():
        setattr(StandIn, f"__{python}__", lambda a, _p=PRIMITIVES[ours]: compute(_p, (a,), {}))
    setattr(StandIn, "__hash__", object.__hash__)  # noqa: B010  comparing took it away


_operators()


class Level:
    """One running transform. A subclass defines how a primitive runs (`run`) and how a constant looks (`constant`)."""

    what = "a transform"
    apply: Callable  # (primitive, args, keywords): what tensor.apply calls on the last of Mode.levels; `interpret`
    drawing: Callable  # (shape, shared=False): what random.py asks it; `batching.drawing`
    function: Callable  # (class, args): what Function.apply asks it; `custom.function`

    def __init__(self) -> None:
        self.entry: Mode = MODE.get()
        self.depth = len(self.entry.levels) + 1
        self._seen: Any = None
        self._below: Any = None

    @contextmanager
    def entered(self) -> Iterator[Level]:
        token = MODE.set(self.entry.but(levels=(*self.entry.levels, self), below=None))
        try:
            yield self
        finally:
            MODE.reset(token)

    def run(self, prim: Primitive, operands: Sequence, params: dict) -> Any:
        """The primitive on operands of which one is a stand-in of this level; returns one, or a tuple of them."""
        raise NotImplementedError

    def constant(self, value: Tensor) -> Any:
        """A tensor of a lower level as a stand-in of this one."""
        raise NotImplementedError

    def below(self) -> Mode:
        """The mode one level lower. What records there is what was said outside the last gradient taken on this level;
        see `Mode.below`."""
        now = MODE.get()
        if now is not self._seen:
            m = now
            while len(m.levels) >= self.depth:
                m = lowered(m)
            self._seen, self._below = now, m
        return self._below

    def body(self, prim: Primitive, operands: Sequence, params: dict) -> Any:
        """A fused primitive through its body, on this level."""
        tensors = [a if a is None or not hasattr(a, "shape") or isinstance(a, Tensor) else wrap(a) for a in operands]
        out = prim.forward(F, *tensors, **params)
        return tuple(self.own(o) for o in out) if isinstance(out, tuple) else self.own(out)

    def own(self, y: Tensor) -> Any:
        """The stand-in of this level for a tensor of this level or a lower one."""
        array = y.array
        return array if isinstance(array, StandIn) and array.level is self else self.constant(y)


def lowered(mode: Mode) -> Mode:
    """The mode one level below the top of `mode`."""
    entry = mode.levels[-1].entry
    recording = mode.recording if mode.below is None else mode.below
    return entry.but(recording=recording, host=mode.host, device=mode.device, default_dtype=mode.default_dtype)


@contextmanager
def inside(mode: Mode) -> Iterator[None]:
    token = MODE.set(mode)
    try:
        yield
    finally:
        MODE.reset(token)


def level_of(operands: Sequence) -> Level | None:
    """The highest level among raw arrays, tensors and numbers; None if no stand-in is among them."""
    found = None
    for a in operands:
        array = a.array if isinstance(a, Tensor) else a
        if isinstance(array, StandIn) and (found is None or array.level.depth > found.depth):
            found = array.level
    if found is not None:
        levels = MODE.get().levels
        if len(levels) < found.depth or levels[found.depth - 1] is not found:
            raise GradError(
                f"func: a value made inside {found.what} was used after it had returned. Return it from the "
                "transformed function instead of storing it elsewhere."
            )
    return found


def lifted(t: Tensor, level: Level | None) -> Tensor:
    """t as a tensor of this level, a constant there unless it is on it."""
    return t if level is None or (isinstance(t.array, StandIn) and t.array.level is level) else wrap(level.constant(t))


def compute(prim: Primitive, operands: Sequence, params: dict) -> Any:
    """A primitive on raw operands, as rules call it: the highest level among them runs it."""
    level = level_of(operands)
    if level is not None:
        return level.run(prim, operands, params)
    with inside(MODE.get().but(recording=False, levels=())):
        y = apply(prim, *(wrap(a) if hasattr(a, "shape") else a for a in operands), **params)
    return tuple(part.array for part in y) if isinstance(y, tuple) else y.array


def interpret(prim: Primitive, args: tuple, params: dict) -> Any:
    """`apply` while a transform runs: on the highest level among the arguments, recorded on that level's tape."""
    args = tuple(a if isinstance(a, Tensor) else wrap(a) if isinstance(a, StandIn) else constant(a) for a in args)
    level, mode = level_of(args), MODE.get()
    depth = 0 if level is None else level.depth
    while len(mode.levels) > depth:
        mode = lowered(mode)
    if level is None:
        with inside(mode):
            return apply(prim, *args, **params)
    operands: list = []
    parents: list = []
    key, bit = 0, 1
    for a in args:
        mine = isinstance(a, Tensor) and isinstance(a.array, StandIn) and a.array.level is level
        operands.append(a.array if mine else a)
        parents.append(a.node if mine else None)
        key |= bit if parents[-1] is not None else 0
        bit += bit
    with inside(mode) if mode is not MODE.get() else _nothing:
        if prim.fused and key and mode.recording and (prim.saves or not prim.rules):
            out = prim.forward(F, *args, **params)  # the body, recorded step by step
            return out[: prim.outputs] if prim.outputs > 1 else out[0] if prim.saves else out
        out = level.run(prim, operands, params)
        outs = out if isinstance(out, tuple) else (out,)
        recording = key and mode.recording
        if recording:
            args = tuple(lifted(a, level) if isinstance(a, Tensor) else a for a in args)
        if prim.outputs > 1:
            return several(prim, key | bit, args, parents, outs, params, recording)
        y = wrap(outs[0])
        if recording:
            y.node = record(prim, key | bit, args, parents, outs, params)
        if prim.view and operands[0] is not args[0] and isinstance(operands[0], StandIn):
            outs[0].base = operands[0]
            link(y, args[0], prim, params)
        return y


class _Nothing:
    def __enter__(self) -> None: ...
    def __exit__(self, *error: Any) -> None: ...


_nothing = _Nothing()
Level.apply = staticmethod(interpret)


def explain(prim: Primitive, error: MinigradError, operands: Sequence, params: dict) -> Exception:
    """The error in terms of the shapes the transformed function sees, where they are to blame."""
    try:
        prim.shape(prim.name, *operands, **params)
    except MinigradError as reason:
        return reason
    except Exception:  # the rule cannot make sense of the call: the error that came says more
        pass
    return error


# ---- stand-ins as a backend ------------------------------------------------------------------------------------------


class StandInLibrary:
    """The few functions of an array library that are called on `tensor.backend.xp`: they make constants, or look."""

    def __getattr__(self, name: str) -> Any:
        if name in ("min", "max"):
            return lambda x: getattr(bottom(x), name)()
        if name in ("ones_like", "zeros_like", "full_like", "empty_like"):
            return lambda x, *a, dtype=None, **k: x.level.constant(
                wrap(getattr(np, name)(np.broadcast_to(np.zeros((), x.dtype), x.shape), *a, dtype=dtype, **k).copy())
            )
        return getattr(MODE.get().host.xp, name)


def bottom(x: Any) -> Any:
    """The raw array under all stand-ins."""
    while isinstance(x, (StandIn, Tensor)):
        x = x.array if isinstance(x, Tensor) else x.physical()
    return x


class StandInBackend(Backend):
    """What the rules of a backward pass compute with where gradients or saved values are stand-ins."""

    def __init__(self) -> None:
        super().__init__("transform", StandInLibrary(), (StandIn, np.ndarray))  # type: ignore[arg-type]

    def resolve(self, p: Primitive) -> Callable:
        p.impl[self] = lambda *arrays, **params: compute(p, arrays, params)
        return p.impl[self]

    def asarray(self, data: Any, dtype: Any = None, copy: bool | None = None) -> Any:
        if isinstance(data, StandIn):
            return data if dtype is None or data.dtype == dtype else data.astype(dtype)
        return MODE.get().host.asarray(data, dtype, copy)

    def to_host(self, array: Any) -> np.ndarray:
        if isinstance(array, StandIn):
            return array.to_host()  # type: ignore[attr-defined]
        return np.asarray(array) if isinstance(array, (np.ndarray, np.generic)) else backend_of(array).to_host(array)

    def shares_memory(self, a: Any, b: Any) -> bool:
        return getattr(b, "base", None) is a


BACKEND = StandInBackend()
register_arrays(BACKEND)
