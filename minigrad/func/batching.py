"""vmap's level: arrays with one more axis, in front, that the function does not see.

A primitive runs on all samples at once by, in this order,
  its batching rule (`batch_rules` holds those of the built-in ones);
  broadcasting, if it is elementwise;
  its body, if it is fused;
  one call per sample: always right, as slow as a loop.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ..errors import GradError, MinigradError
from ..mode import MODE
from ..primitive import Primitive
from ..tensor import F, Tensor, apply, wrap
from .levels import Level, StandIn, explain, inside


class Batched(StandIn):
    """`value`: a tensor of a lower level, (B, *shape) if `batched`, else the same `shape` for all samples."""

    __slots__ = ("batched", "value")

    def __init__(self, level: Level, value: Tensor, batched: bool = True):
        self.level, self.value, self.batched, self.base = level, value, batched, None
        self.shape, self.dtype = value.shape[1:] if batched else value.shape, value.dtype

    def physical(self) -> Any:
        return self.value

    def stopped(self) -> Batched:
        return Batched(self.level, self.value.detach(), self.batched)

    def to_host(self) -> Any:
        if not self.batched:
            return self.value.numpy()
        raise GradError(
            f"vmap: this value (shape {self.shape}) is different for each sample, so it cannot become one NumPy array "
            "or Python number: no float(x), x.item(), x.numpy(), or `if` on it. Use mg.where, or return it from vmap."
        )


class VmapLevel(Level):
    what = "vmap"

    def __init__(self, size: int, randomness: str = "error"):
        super().__init__()
        self.size, self.randomness = size, randomness

    def constant(self, value: Tensor) -> Batched:
        return Batched(self, value, batched=False)

    def run(self, prim: Primitive, operands: Sequence, params: dict) -> Any:
        values: list[Any] = []
        batched: list[bool] = []
        for a in operands:
            mine = isinstance(a, Batched) and a.level is self
            batched.append(mine and a.batched)
            values.append(a.value if mine else wrap(a) if hasattr(a, "shape") and not isinstance(a, Tensor) else a)
        try:
            with inside(self.below()):
                if not any(batched):
                    return self.wrapped(apply(prim, *values, **params), False)
                y = NotImplemented
                if prim.batch is not None:
                    y = prim.batch(prim, values, batched, params)
                elif prim.inline:
                    y = broadcast(prim, values, batched, params)
                if y is NotImplemented and not prim.fused:
                    y = one_by_one(prim, values, batched, params, self.size)
            if y is not NotImplemented:
                return self.wrapped(y, True)
            return self.body(prim, operands, params)
        except MinigradError as error:
            raise explain(prim, error, operands, params) from None

    def wrapped(self, y: Any, batched: bool) -> Any:
        if isinstance(y, tuple):
            return tuple(Batched(self, part, batched) for part in y)
        return Batched(self, y, batched)


def ranked(x: Any, ndim: int) -> Any:
    """A batched value with axes of length 1 behind the first, so that it has `ndim` axes behind it."""
    missing = ndim + 1 - x.ndim
    return F.reshape(x, (x.shape[0], *[1] * missing, *x.shape[1:])) if missing > 0 else x


def broadcast(prim: Primitive, values: list, batched: list, params: dict) -> Any:
    """Elementwise: the samples' axis in front of all others; what is no batch broadcasts along it."""
    ndim = max(v.ndim - b for v, b in zip(values, batched) if isinstance(v, Tensor))
    return apply(prim, *(ranked(v, ndim) if b else v for v, b in zip(values, batched)), **params)


def one_by_one(prim: Primitive, values: list, batched: list, params: dict, size: int) -> Any:
    """The fallback: each sample by itself, and the results stacked."""
    if not size:
        raise GradError(f"vmap: {prim.name} has no batching rule and there are no samples to try it on.")
    samples = [apply(prim, *(v[i] if b else v for v, b in zip(values, batched)), **params) for i in range(size)]
    if isinstance(samples[0], tuple):
        return tuple(F.stack(*parts) for parts in zip(*samples))
    return F.stack(*samples)


def physical(t: Tensor, level: Level, size: int) -> Tensor:
    """What vmap returns for a result t: the tensor below, (size, *shape)."""
    array = t.array
    if isinstance(array, Batched) and array.level is level:
        value = array.value
        return value if array.batched else F.broadcast_to(value, (size, *value.shape))
    return F.broadcast_to(t, (size, *t.shape))


def drawing(shape: tuple, *, shared: bool = False) -> tuple[tuple, Any]:
    """The shape in which random numbers for `shape` are to be drawn while vmaps run, and how to hand them out.
    shared: they are drawn as one host array."""
    levels = [level for level in MODE.get().levels if isinstance(level, VmapLevel)]
    if any(level.randomness == "error" for level in levels):
        raise GradError(
            "vmap: the function draws random numbers. Say vmap(..., randomness='different') for fresh ones for each "
            "sample, or 'same' for one draw that all share."
        )
    different = [level for level in levels if level.randomness == "different"]
    if different and shared:
        raise GradError(
            "vmap: these random numbers are drawn outside minigrad's functions, and cannot differ between samples. "
            "Draw them with mg.rand, mg.randn, ..., or say randomness='same'."
        )

    def hand_out(t: Tensor) -> Tensor:
        for level in different:
            t = wrap(Batched(level, t))
        return t

    return (*(level.size for level in different), *shape), hand_out


Level.drawing = staticmethod(drawing)
