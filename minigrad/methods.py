"""Tensor methods: every primitive whose first input is an array, and the spellings PyTorch users type."""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from typing import Any

from . import creation, functions
from .convert import as_array
from .errors import ArgumentError, GradError
from .mode import MODE
from .primitive import ALIASES, DECLARED, PRIMITIVES, Primitive, broadcast, kind_of
from .tensor import F, Tensor, apply, wrap


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


def method(f: Any, name: str | None = None) -> Any:
    setattr(Tensor, name or f.__name__, f)
    return f


def edits(p: Primitive) -> bool:
    """Is there an ``x.add_(y)``, as PyTorch spells it? For what is elementwise."""
    return p.shape is broadcast and p.inputs[0] != "condition"


for name in ("div", "float_power", "mvlgamma", "clamp_min", "clamp_max", "round", "rsub", "conj_physical", "fill"):
    setattr(Tensor, name, getattr(functions, name))


@method
def polygamma(self: Tensor, n: int) -> Tensor:
    """The n-th derivative of digamma."""
    return functions.polygamma(n, self)


MADE: set[str] = set()  # the methods that come from declarations


def as_method(p: Primitive) -> None:
    """``x.exp()`` and ``x.exp_()`` for a primitive exp, where the names are free."""
    if p.public and not p.variadic and p.name not in ("where", "reshape", "squeeze", "real", "imag"):
        for name, in_place in [(p.name, False), (f"{p.name}_", True)][: 1 + edits(p)]:
            if name in MADE or not hasattr(Tensor, name):
                MADE.add(name)
                setattr(Tensor, name, Lazy(p.name, name, in_place=in_place))


for p in PRIMITIVES.values():
    as_method(p)
DECLARED.append(as_method)


setattr(Tensor, "real", property(lambda self: F.real(self)))  # noqa: B010  attributes, as in NumPy and PyTorch
setattr(Tensor, "imag", property(lambda self: F.imag(self)))  # noqa: B010


def lengths(op: str, given: tuple, named: dict, *words: str) -> tuple:
    """The integers of ``f(2, 3)``, ``f((2, 3))`` or, by one of the words, ``f(size=(2, 3))``."""
    if named:
        if given or len(named) > 1 or not named.keys() <= set(words):
            raise TypeError(f"{op}() takes lengths one by one, as a tuple, or as {words[0]}=: got {given}, {named}.")
        given = tuple(named.values())
    return tuple(given[0]) if len(given) == 1 and isinstance(given[0], (tuple, list)) else given


@method
def reshape(self: Tensor, *shape: Any, **named: Any) -> Tensor:
    """``x.reshape(2, 3)`` or ``x.reshape((2, 3))``; one length may be -1."""
    shape = lengths("reshape", shape, named, "shape", "size", "newshape")
    return apply(PRIMITIVES["reshape"], self, shape=shape)


method(reshape, "view")


@method
def permute(self: Tensor, *axes: Any, **named: Any) -> Tensor:
    """``x.permute(0, 2, 1)``: axis i of the result is axis axes[i] of x."""
    return F.permute_dims(self, lengths("permute", axes, named, "dims", "axes"))


@method
def squeeze(self: Tensor, axis: Any = None, *, dim: Any = None) -> Tensor:
    """Without the axis if it has length 1 (as PyTorch: otherwise unchanged), or without all such axes."""
    axis = axis if dim is None else dim
    if isinstance(axis, (tuple, list)):
        axis = tuple(i for i in axis if self.ndim and self.shape[i] == 1)
    elif isinstance(axis, int) and self.ndim and self.shape[axis] != 1:
        return self
    return F.squeeze(self, axis)


@method
def clone(self: Tensor, *, memory_format: Any = None) -> Tensor:
    """A copy in memory of its own; the gradient passes. memory_format has no effect."""
    return F.copy(self)


@method
def unsqueeze(self: Tensor, axis: Any = None, *, dim: Any = None) -> Tensor:
    """With a new axis of length 1 at this place."""
    return F.expand_dims(self, axis if dim is None else dim)


@method
def expand(self: Tensor, *shape: Any, **named: Any) -> Tensor:
    """Broadcast to a shape; -1 keeps the length."""
    shape = lengths("expand", shape, named, "size")
    own = (None,) * (len(shape) - self.ndim) + self.shape
    return F.broadcast_to(self, tuple(o if n == -1 else n for n, o in zip(shape, own)))


for theirs, ours in {
    "transpose": functions.swapaxes, "swapaxes": functions.swapaxes, "flatten": functions.flatten,
    "moveaxis": functions.moveaxis, "unbind": functions.unstack, "split": functions.split,
    "masked_fill": functions.masked_fill,
}.items():  # fmt: skip
    method(ours, theirs)
OTHERS = {"mm": "matmul", "bmm": "matmul", "dot": "matmul"}
for spelling, primitive in (ALIASES | OTHERS).items():
    if not hasattr(Tensor, spelling):
        setattr(Tensor, spelling, Lazy(primitive, spelling, in_place=False))
    p = PRIMITIVES[primitive]
    if edits(p) and not hasattr(Tensor, f"{spelling}_"):
        setattr(Tensor, f"{spelling}_", Lazy(primitive, f"{spelling}_", in_place=True))
for theirs, dtype in {
    "float": "float32", "double": "float64", "half": "float16", "bfloat16": "bfloat16",
    "long": "int64", "int": "int32", "bool": "bool", "short": "int16", "char": "int8", "byte": "uint8",
    "cfloat": "complex64", "cdouble": "complex128",
}.items():  # fmt: skip
    method(lambda self, *, memory_format=None, _dtype=dtype: self.to(_dtype), theirs)


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
def copy_(self: Tensor, src: Any, non_blocking: bool = False) -> Tensor:
    """The values of `src` (broadcast), in place. non_blocking has no effect: copies on a GPU do not wait anyway."""
    self[...] = src if isinstance(src, Tensor) else wrap(as_array(src))
    return self


@method
def contiguous(self: Tensor, memory_format: Any = None) -> Tensor:
    """self if its memory is in row-major order, else a copy that is. PyTorch's memory_format has no effect."""
    return self if self.array.flags.c_contiguous else F.copy(self)


def _new(make: Any) -> Any:
    """``x.new_zeros(2, 3)``: as `make`, with x's dtype and device unless given."""

    def new(self: Tensor, *args: Any, dtype: Any = None, device: Any = None, **keywords: Any) -> Tensor:
        return make(*args, dtype=dtype or self.dtype, device=device or self.device, **keywords)

    new.__doc__ = f"As mg.{make.__name__}, with this tensor's dtype and device unless given."
    return new


@method
def new_empty_strided(
    self: Tensor, size: Any, stride: Any, *, dtype: Any = None, device: Any = None, **others: Any
) -> Tensor:
    """As mg.empty_strided, with this tensor's dtype and device unless given."""
    make = import_module(f"{__package__}.pytorch_names").empty_strided
    return make(size, stride, dtype=dtype or self.dtype, device=device or self.device, **others)


for make in (creation.zeros, creation.ones, creation.empty, creation.full):
    method(_new(make), f"new_{make.__name__}")
for theirs, answer in {
    "is_floating_point": lambda x: kind_of(x.dtype) == "f", "is_complex": lambda x: x.dtype.kind == "c",
    "is_signed": lambda x: kind_of(x.dtype) in "ifc", "is_nonzero": bool,
    "is_same_size": lambda x, other: x.shape == other.shape, "is_contiguous": lambda x: x.array.flags.c_contiguous,
    "element_size": lambda x: x.dtype.itemsize, "nelement": lambda x: x.size, "ndimension": lambda x: x.ndim,
    "data_ptr": lambda x: x.array.ctypes.data, "get_device": lambda x: -1 if x.device == "cpu" else x.device.index,
    "stride": lambda x, dim=None: (
        tuple(n // x.dtype.itemsize for n in x.array.strides) if dim is None
        else x.array.strides[dim] // x.dtype.itemsize
    ),
}.items():  # fmt: skip
    method(answer, theirs)
for theirs, answer in {
    "itemsize": lambda x: x.dtype.itemsize, "is_cpu": lambda x: x.device == "cpu",
    "is_cuda": lambda x: x.device.type == "cupy",
}.items():  # fmt: skip
    setattr(Tensor, theirs, property(answer))


setattr(Tensor, "layout", "strided")  # noqa: B010


for theirs in ("meta", "sparse", "sparse_csr", "quantized", "nested", "mkldnn", "mps", "xpu", "xla", "vulkan", "mtia"):
    setattr(Tensor, f"is_{theirs}", False)  # of the kinds of tensor there are elsewhere
for theirs in ("inference", "pinned", "shared", "conj", "neg", "coalesced", "distributed"):
    method(lambda self: False, f"is_{theirs}")
for theirs in ("pin_memory", "share_memory_", "to_dense", "coalesce"):  # memory is as it is
    method(lambda self, *_, **__: self, theirs)
for theirs, edit in {
    "clamp_min": functions.clamp_min, "clamp_max": functions.clamp_max, "float_power": functions.float_power,
    "mvlgamma": functions.mvlgamma, "logit": functions.logit, "polygamma": polygamma, "div": functions.div,
    "divide": functions.div, "true_divide": functions.div, "round": functions.round,
    "conj_physical": functions.conj_physical,
}.items():  # fmt: skip
    if not hasattr(Tensor, f"{theirs}_") or theirs in ("div", "divide", "round"):
        method(_in_place(edit, theirs), f"{theirs}_")


@method
def adjoint(self: Tensor) -> Tensor:
    """The last two axes swapped, and conjugated if complex: ``x.mH``."""
    return self.mH


@method
def multinomial(self: Tensor, num_samples: int, replacement: bool = False, *, generator: Any = None) -> Tensor:
    """As `random.multinomial`, with these weights."""
    return import_module(f"{__package__}.random").multinomial(self, num_samples, replacement, generator=generator)


@method
def bernoulli(self: Tensor, *, generator: Any = None) -> Tensor:
    """As `random.bernoulli`, with these probabilities."""
    return import_module(f"{__package__}.random").bernoulli(self, generator=generator)


@method
def apply_(self: Tensor, f: Callable[[Any], Any]) -> Tensor:
    """Each element x becomes f(x), a Python function of numbers, in place: slow, and without a gradient."""
    if self.node is not None and MODE.get().recording:
        raise GradError("apply_: a Python function of numbers has no gradient. Use x.detach(), or mg functions.")
    values = [f(n) for n in self.numpy().ravel().tolist()]
    return self.copy_(Tensor(values, dtype=self.dtype).reshape(self.shape))


@method
def storage_offset(self: Tensor) -> int:
    """How many elements behind the beginning of its memory the first one lies."""
    root = self.array
    while getattr(root, "base", None) is not None and hasattr(root.base, "ctypes"):
        root = root.base
    return (self.array.ctypes.data - root.ctypes.data) // self.dtype.itemsize


def retains_grad(self: Tensor) -> bool:
    """Does backward() fill ``.grad`` of this computed tensor?"""
    return self.node is not None and not self.is_leaf and self.node.owner is not None


setattr(Tensor, "retains_grad", property(retains_grad))  # noqa: B010


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
def cuda(self: Tensor, device: Any = None) -> Tensor:
    """On the GPU, by the backend "cupy"; device: which one."""
    return self.to("cupy" if device is None else f"cupy:{device}" if isinstance(device, int) else device)


@method
def type_as(self: Tensor, other: Tensor) -> Tensor:
    return self.astype(other.dtype)


@method
def new_tensor(self: Tensor, data: Any) -> Tensor:
    """A tensor of this one's dtype."""
    return Tensor(data, dtype=self.dtype)


@method
def repeat(self: Tensor, *counts: Any, **named: Any) -> Tensor:
    """Copies side by side: counts[i] of them along axis i."""
    counts = lengths("repeat", counts, named, "repeats")
    if len(counts) < self.ndim:
        raise ArgumentError(f"repeat: one count per axis, at least {self.ndim}: got {counts}.")
    shape = (1,) * (len(counts) - self.ndim) + self.shape
    x = F.reshape(self, tuple(v for n in shape for v in (1, n)))
    x = F.broadcast_to(x, tuple(v for c, n in zip(counts, shape) for v in (c, n)))
    return F.reshape(x, tuple(c * n for c, n in zip(counts, shape)))


def _type(self: Tensor, dtype: Any = None) -> Any:
    """The elements in another dtype; without one the name of theirs, as PyTorch's ``torch.FloatTensor``."""
    return f"minigrad.{self.dtype.name}" if dtype is None else self.astype(dtype)


method(_type, "type")


def grad_fn(self: Tensor) -> Any:
    """The node of the operation that made this tensor; None for a leaf, and where nothing was recorded."""
    return None if self.is_leaf else self.node


setattr(Tensor, "grad_fn", property(grad_fn))  # noqa: B010
