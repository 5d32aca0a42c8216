"""Tensor methods: every primitive whose first input is an array, and the spellings PyTorch users type."""

from __future__ import annotations

from typing import Any

from . import functions
from .convert import as_array
from .errors import ArgumentError
from .primitive import PRIMITIVES
from .tensor import F, Tensor, wrap


class Lazy:
    """A method made from a primitive's function at its first use; it then takes its own place."""

    def __init__(self, primitive: str, name: str, *, in_place: bool):
        self.primitive, self.name, self.in_place = primitive, name, in_place

    def __get__(self, owner: Any, cls: type) -> Any:
        f = getattr(F, self.primitive)
        if self.in_place:
            f = _in_place(f, self.primitive)
        setattr(Tensor, self.name, f)
        return getattr(Tensor if owner is None else owner, self.name)


def _in_place(f: Any, name: str) -> Any:
    def method(self: Tensor, *args: Any, **keywords: Any) -> Tensor:
        return self._in_place(f, name, *args, **keywords)

    method.__name__, method.__doc__ = f"{name}_", f"As `{name}`, in place. {f.__doc__}"
    return method


for name, p in PRIMITIVES.items():
    if p.public and not p.variadic and name not in ("where", "reshape", "squeeze"):
        if not hasattr(Tensor, name):
            setattr(Tensor, name, Lazy(name, name, in_place=False))
        if p.inline and p.kind in ("same", "float"):  # x.add_(y), as PyTorch spells it
            setattr(Tensor, f"{name}_", Lazy(name, f"{name}_", in_place=True))


def method(f: Any, name: str | None = None) -> Any:
    setattr(Tensor, name or f.__name__, f)
    return f


@method
def reshape(self: Tensor, *shape: Any) -> Tensor:
    """``x.reshape(2, 3)`` or ``x.reshape((2, 3))``; one length may be -1."""
    return F.reshape(self, tuple(shape[0]) if len(shape) == 1 and isinstance(shape[0], (tuple, list)) else shape)


method(reshape, "view")


@method
def permute(self: Tensor, *axes: Any) -> Tensor:
    """``x.permute(0, 2, 1)``: axis i of the result is axis axes[i] of x."""
    return F.permute_dims(self, tuple(axes[0]) if len(axes) == 1 and isinstance(axes[0], (tuple, list)) else axes)


@method
def squeeze(self: Tensor, axis: Any = None) -> Tensor:
    """Without the axis if it has length 1 (as PyTorch: otherwise unchanged), or without all such axes."""
    if isinstance(axis, int) and self.ndim and self.shape[axis] != 1:
        return self
    return F.squeeze(self, axis)


@method
def expand(self: Tensor, *shape: Any) -> Tensor:
    """Broadcast to a shape; -1 keeps the length."""
    shape = tuple(shape[0]) if len(shape) == 1 and isinstance(shape[0], (tuple, list)) else shape
    own = (None,) * (len(shape) - self.ndim) + self.shape
    return F.broadcast_to(self, tuple(o if n == -1 else n for n, o in zip(shape, own)))


for theirs, ours in {
    "transpose": functions.swapaxes, "swapaxes": functions.swapaxes, "flatten": functions.flatten,
    "moveaxis": functions.moveaxis, "unbind": functions.unstack, "split": functions.split,
    "masked_fill": functions.masked_fill,
}.items():  # fmt: skip
    method(ours, theirs)
for spelling, primitive in {
    "unsqueeze": "expand_dims", "clone": "copy", "clamp": "clip", "mul": "multiply", "sub": "subtract", "div": "divide",
    "pow": "power", "mm": "matmul", "bmm": "matmul", "dot": "matmul", "neg": "negative",
    "eq": "equal", "ne": "not_equal", "lt": "less", "le": "less_equal", "gt": "greater", "ge": "greater_equal",
}.items():  # fmt: skip
    setattr(Tensor, spelling, Lazy(primitive, spelling, in_place=False))
for spelling, primitive in {
    "mul_": "multiply",
    "sub_": "subtract",
    "div_": "divide",
    "pow_": "power",
    "clamp_": "clip",
}.items():
    setattr(Tensor, spelling, Lazy(primitive, spelling, in_place=True))
for theirs, dtype in {
    "float": "float32", "double": "float64", "half": "float16", "long": "int64", "int": "int32", "bool": "bool",
}.items():  # fmt: skip
    method(lambda self, _dtype=dtype: self.astype(_dtype), theirs)


@method
def zero_(self: Tensor) -> Tensor:
    """All elements set to zero, in place."""
    self[...] = 0
    return self


@method
def fill_(self: Tensor, value: Any) -> Tensor:
    """All elements set to `value`, in place."""
    self[...] = value
    return self


@method
def copy_(self: Tensor, source: Any) -> Tensor:
    """The values of `source` (broadcast), in place."""
    self[...] = source if isinstance(source, Tensor) else wrap(as_array(source))
    return self


@method
def contiguous(self: Tensor) -> Tensor:
    """self if its memory is in row-major order, else a copy that is."""
    return self if self.array.flags.c_contiguous else F.copy(self)


@method
def dim(self: Tensor) -> int:
    return self.ndim


@method
def numel(self: Tensor) -> int:
    return self.size


@method
def cpu(self: Tensor) -> Tensor:
    return self.to("cpu")


@method
def type_as(self: Tensor, other: Tensor) -> Tensor:
    return self.astype(other.dtype)


@method
def new_tensor(self: Tensor, data: Any) -> Tensor:
    """A tensor of this one's dtype."""
    return Tensor(data, dtype=self.dtype)


@method
def repeat(self: Tensor, *counts: int) -> Tensor:
    """Copies side by side: counts[i] of them along axis i."""
    if len(counts) < self.ndim:
        raise ArgumentError(f"repeat: one count per axis, at least {self.ndim}: got {counts}.")
    shape = (1,) * (len(counts) - self.ndim) + self.shape
    x = F.reshape(self, tuple(v for n in shape for v in (1, n)))
    x = F.broadcast_to(x, tuple(v for c, n in zip(counts, shape) for v in (c, n)))
    return F.reshape(x, tuple(c * n for c, n in zip(counts, shape)))
