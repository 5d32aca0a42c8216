"""Tensor methods: every primitive whose first input is an array, and the spellings PyTorch users type."""

from __future__ import annotations

from typing import Any

from . import functions
from .errors import ArgumentError
from .primitive import PRIMITIVES
from .tensor import F, Tensor, as_array, wrap

for name, p in PRIMITIVES.items():
    if p.public and not p.variadic and name not in ("where", "reshape", "squeeze"):
        if not hasattr(Tensor, name):
            setattr(Tensor, name, getattr(F, name))
        if p.inline and p.kind in ("same", "float"):  # x.add_(y): in place, as PyTorch spells it
            setattr(
                Tensor,
                name + "_",
                lambda self, *args, _name=name, **kw: self.overwrite(
                    getattr(F, _name)(self._old(_name) if False else self, *args, **kw), _name
                ),
            )


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
    "unsqueeze": F.expand_dims, "clone": F.copy, "clamp": F.clip, "transpose": functions.swapaxes, "swapaxes": functions.swapaxes,
    "flatten": functions.flatten, "moveaxis": functions.moveaxis, "unbind": functions.unstack, "split": functions.split,
    "masked_fill": functions.masked_fill, "mul": F.multiply, "sub": F.subtract, "div": F.divide, "pow": F.power, "mm": F.matmul,
    "eq": F.equal, "ne": F.not_equal, "lt": F.less, "le": F.less_equal, "gt": F.greater, "ge": F.greater_equal, "neg": F.negative,
    "dot": F.matmul, "bmm": F.matmul,
}.items():  # fmt: skip
    method(ours, theirs)
for theirs, ours in {
    "mul_": "multiply",
    "sub_": "subtract",
    "div_": "divide",
    "pow_": "power",
    "clamp_": "clip",
}.items():
    method(lambda self, *args, _name=ours, **kw: self.overwrite(getattr(F, _name)(self, *args, **kw), _name), theirs)
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
