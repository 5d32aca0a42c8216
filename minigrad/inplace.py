"""In-place edits of tensors: ``x[i] = v``, ``x += y``, ``out=``, with the right gradients.

An edit is computed out of place, written into the buffer, and its history becomes the tensor's. If the tensor is a
view, or has views, the others that share the buffer get the history that now is true of them.
"""

from __future__ import annotations

import math
import weakref
from collections.abc import Callable
from contextlib import nullcontext
from typing import Any

import numpy as np

from .autograd import Node
from .backend import devices
from .convert import as_array, beside, index
from .edits import written
from .errors import ArgumentError, DTypeError, GradError, ShapeError
from .explain import explained
from .mode import MODE
from .ops.indexing import filled
from .primitive import PRIMITIVES, kind_of
from .protocols import attach
from .tensor import Tensor, apply, record, wrap


@attach
def __setitem__(self: Tensor, key: Any, value: Any) -> None:
    """self[key] = value, broadcast. value's gradient is g at the key, self's is g elsewhere."""
    key, indices = index(key)
    old = before(self, "setitem")
    if not isinstance(value, Tensor):
        (value,) = beside(self, [as_array(value, None if isinstance(value, np.ndarray) else self.dtype)])
        value = wrap(value)
    elif value is self:
        value = old
    arrays = [i.array if isinstance(i, Tensor) else i for i in beside(self, indices)]
    if MODE.get().levels and any(hasattr(getattr(t, "array", None), "level") for t in (self, value, *indices)):
        replace(self, apply(PRIMITIVES["setitem"], old, value, *indices, key=key), "setitem")
        return
    overlap = value.storage is not None and value.storage is self.storage  # x[1:] = x[:-1]
    try:
        with self.backend.active() if devices.spread else nullcontext():
            self.array[filled(key, arrays)] = value.array.copy() if overlap else value.array
    except Exception as error:
        if isinstance(error, ValueError):
            place = PRIMITIVES["getitem"].shape("setitem", self.array, *arrays, key=key).shape
            raise ShapeError(f"setitem: the value must broadcast to x[key]: got {value.shape} for {place}.") from None
        raise explained(PRIMITIVES["getitem"], error, [self.array, *arrays], {"key": key}) from None
    args = (old, value, *arrays)
    bits = (old.node is not None) | (value.node is not None) << 1
    node = None
    if bits and MODE.get().recording:
        parents = [old.node, value.node, *[None] * len(arrays)]
        node = record(PRIMITIVES["setitem"], bits | 1 << len(args), args, parents, (self.array,), {"key": key})
    rebase(self, node, "setitem")


@attach
def overwrite(self: Tensor, value: Tensor, op: str) -> Tensor:
    """Put `value`, computed out of place, into this tensor's buffer; its history becomes this tensor's."""
    if value.shape != self.shape:
        raise ShapeError(
            f"{op}: in place, the shape must stay: the tensor is {self.shape}, the result {value.shape}. Write it "
            f"out of place."
        )
    before(self, op)
    floats = kind_of(value.dtype) == kind_of(self.dtype) == "f"  # NumPy knows no kind of bfloat16
    if not floats and not np.can_cast(value.dtype, self.dtype, "same_kind"):
        raise DTypeError(
            f"{op}: in place, the dtype must stay: the tensor is {self.dtype}, the result {value.dtype}. Write it "
            f"out of place."
        )
    if MODE.get().levels and (hasattr(self.array, "level") or hasattr(value.array, "level")):
        replace(self, value if value.dtype == self.dtype else value.astype(self.dtype), op)
        return self
    node = value.node
    if node is not None and value.dtype != self.dtype:
        node = apply(PRIMITIVES["astype"], value, dtype=self.dtype).node
    with self.backend.active() if devices.spread else nullcontext():
        self.array[...] = value.array
    rebase(self, node, op)
    return self


@attach
def _in_place(self: Tensor, f: Callable, name: str, *args: Any, **keywords: Any) -> Tensor:
    """self = f(self, ...), in self's buffer. Where the rule of f needs what is overwritten, it keeps a copy."""
    old = before(self, name)
    y = f(old, *[old if a is self else a for a in args], **keywords)
    if y.node is not None and y.node.saved and any(s is old for s in y.node.saved):
        old.array = old.array.copy()
    return self.overwrite(y, name)


def before(t: Tensor, op: str) -> Tensor:
    """A stand-in for t as it is before an in-place edit, after checking that it may be edited."""
    if MODE.get().recording:
        seen = t  # and what it is a view of, as far as gradients go
        while seen.source is not None and seen.source[1] is not None and not (seen.node is not None and seen.is_leaf):
            seen = seen.source[0]
        if seen.node is not None and seen.is_leaf:
            raise GradError(
                f"{op}: in place on a leaf that requires a gradient, whose value the gradient refers to. Update "
                f"parameters "
                "under no_grad(), or edit a copy: x = x.clone()."
            )
    flags = getattr(t.array, "flags", None)
    if flags is not None and not getattr(flags, "writeable", True):
        raise ArgumentError(f"{op}: this array is read-only (a broadcast, or memory lent). Edit a copy: x = x.clone().")
    old = wrap(t.array)
    old.node = t.node
    return old


def chain_of(t: Tensor) -> tuple[Tensor, tuple | None]:
    """The tensor at the root of a view, and the way from there: ((primitive name, keywords), ...); None past a
    detach."""
    chain: list = []
    detached = False
    while t.source is not None:
        t, prim, params = t.source
        detached = detached or prim is None
        if prim is not None:
            chain.append((prim.name, params))
    return t, None if detached else tuple(reversed(chain))


def replace(t: Tensor, y: Tensor, op: str) -> None:
    """t becomes y, and with it all that are views of one buffer: inside a function transform nothing has memory."""
    root, chain = chain_of(t)
    if root is t or chain is None:
        root = t
    elif root is not t:
        old = wrap(root.array)
        old.node = root.node
        y = apply(PRIMITIVES["view_set"], old, y, chain=chain)
    root.array, root.node = y.array, y.node
    written(t, op)
    for view in root.storage.views() if root.storage is not None else ():
        origin, way = chain_of(view)
        if way and origin is root:
            y = root
            for name, params in way:
                y = apply(PRIMITIVES[name], y, **params)
            view.array, view.node = y.array, y.node


def rebase(t: Tensor, node: Node | None, op: str) -> None:
    """After t's buffer was written: stamp the edit, and give t, its root and all views the history that now is true."""
    written(t, op)
    if not MODE.get().recording:
        return
    root, chain = chain_of(t)
    if t.node is not None and node is not None and t.node.owner is not None and not t.is_leaf:
        t.node.owner, node.owner = None, t.node.owner  # retain_grad means the value t has now
    if root is t or chain is None:
        t.node = node
    elif node is not None or root.node is not None:
        # d root = d root outside the view, plus what the view's new value passes on
        p = PRIMITIVES["view_set"]
        value = wrap(t.array)
        value.node, old = node, wrap(root.array)
        old.node = root.node
        key = (old.node is not None) | (value.node is not None) << 1 | 4
        root.node = record(p, key, (old, value), [old.node, value.node], (root.array,), {"chain": chain})
    if t.storage is not None:
        for view in t.storage.views():
            origin, way = chain_of(view)
            if way and origin is root:
                y = root
                for name, params in way:
                    y = apply(PRIMITIVES[name], y, **params)
                view.node = y.node


# ---- another shape, in place ----------------------------------------------------------------------------------------


def reshaped(t: Tensor, y: Tensor, op: str) -> Tensor:
    """t becomes its own view y: the same memory and history under another shape."""
    if y.array is t.array:
        return t
    old = before(t, op)  # what t was; all views of t, y among them, are views of that from here on
    old.storage, old.source = t.storage, t.source
    written(t, op)  # a node that saved t would find the new shape
    for view in t.storage.views() if t.storage is not None else ():
        if view.source is not None and view.source[0] is t:
            view.source = (old, *view.source[1:])
    if t.node is not None and t.node.owner is not None and y.node is not None:  # retain_grad means the value t has now
        t.node.owner, y.node.owner = None, t.node.owner
    t.array, t.node, t.storage, t.source = y.array, y.node, y.storage, y.source
    if t.storage is not None:
        t.storage.refs += [weakref.ref(t), weakref.ref(old)]
    return t


@attach
def squeeze_(self: Tensor, axis: Any = None, *, dim: Any = None) -> Tensor:
    """As `squeeze`, in place."""
    return reshaped(self, self.squeeze(axis, dim=dim), "squeeze_")


@attach
def unsqueeze_(self: Tensor, axis: Any = None, *, dim: Any = None) -> Tensor:
    """As `unsqueeze`, in place."""
    return reshaped(self, self.unsqueeze(axis, dim=dim), "unsqueeze_")


@attach
def swapaxes_(self: Tensor, axis0: int, axis1: int) -> Tensor:
    """As `swapaxes`, in place: the memory stays, its strides change."""
    return reshaped(self, self.swapaxes(axis0, axis1), "swapaxes_")


setattr(Tensor, "transpose_", swapaxes_)  # noqa: B010
setattr(Tensor, "swapdims_", swapaxes_)  # noqa: B010


@attach
def t_(self: Tensor) -> Tensor:
    """As `t`, in place: a matrix transposed."""
    return reshaped(self, self.t(), "t_")


@attach
def detach_(self: Tensor) -> Tensor:
    """Cut from the graph: gradients stop here. Not of a view, whose buffer would keep its history."""
    if self.source is not None and self.source[1] is not None and self.node is not None:
        raise GradError("detach_: this tensor is a view, and shares its history. Use x.detach().")
    self.node = None
    return self


@attach
def resize_(self: Tensor, *size: Any, memory_format: Any = None) -> Tensor:
    """Another shape, in place: the first elements in row-major order stay, further ones hold whatever is there. Of a
    tensor that takes part in no gradient."""
    shape = tuple(size[0]) if len(size) == 1 and isinstance(size[0], (tuple, list)) else size
    if self.node is not None:
        raise GradError("resize_: this tensor takes part in a gradient, which has its shape. Use x.detach().")
    count = math.prod(shape)
    flat = self.array.reshape(-1)
    if count > flat.size:
        flat = self.backend.xp.concatenate((flat, self.backend.xp.empty(count - flat.size, self.dtype)))
    written(self, "resize_")
    self.array, self.source = flat[:count].reshape(shape), None
    return self


@attach
def resize_as_(self: Tensor, other: Tensor, memory_format: Any = None) -> Tensor:
    """As `resize_`, to the shape of another tensor."""
    return self.resize_(other.shape)


@attach
def as_strided_(self: Tensor, size: Any, stride: Any, storage_offset: int = 0) -> Tensor:
    """As `as_strided`, in place: the memory stays, its shape and strides change."""
    return reshaped(self, self.as_strided(size, stride, storage_offset), "as_strided_")
