"""What an array object offers besides arithmetic: its data, conversions, Python's and NumPy's protocols."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy import ndarray

from .backend import Backend, get_backend
from .backend.devices import Devices
from .convert import CPU, DTYPE_NAMES, backend_at, beside, index
from .errors import ArgumentError, DTypeError, ExchangeError, GradError, ShapeError
from .halves import dtype as dtype_of
from .mistakes import warn_once
from .primitive import PRIMITIVES, kind_of
from .tensor import Tensor, apply, leaf, new, wrap

GETITEM = PRIMITIVES["getitem"]


def attach(member: Callable) -> Callable:
    """Make this function a method of Tensor."""
    setattr(Tensor, member.__name__, member)
    return member


@attach
def numpy(self: Tensor, *, force: bool = False) -> ndarray:
    """The values as a NumPy array (host tensors: sharing memory), also of a tensor with a gradient, which gets none
    from what is done to them. force: PyTorch's word for that."""
    return self.backend.to_host(self.array)


@attach
def item(self: Tensor) -> Any:
    """The only element, as a Python number."""
    if self.array.size != 1:
        raise ShapeError(f"item: needs exactly one element: got shape {self.shape}. Index or reduce first.")
    return self.numpy().item()


@attach
def tolist(self: Tensor) -> Any:
    return self.numpy().tolist()


@attach
def to(
    self: Tensor,
    target: Any = None,
    dtype: Any = None,
    *flags: bool,
    device: Any = None,
    copy: bool = False,
    non_blocking: bool = False,
    memory_format: Any = None,
) -> Tensor:
    """On another backend ("cupy", "cupy:1", "cpu"), in another dtype, or both; as another tensor is. Gradients are
    carried back. self where nothing changes, unless copy=True. As PyTorch's, ``x.to("cpu", dtype, non_blocking, copy)``
    too; there is one memory order, and no transfer that returns before its end."""
    if isinstance(dtype, bool):
        dtype, flags = None, (dtype, *flags)
    copy = copy or bool(flags[1:] and flags[1])
    if isinstance(target, Tensor):
        device, dtype = target.backend, target.dtype
    elif isinstance(target, (str, Backend)) and target not in DTYPE_NAMES:
        device = target
    elif target is not None:
        dtype = target
    y = self if device is None else moved(self, device)
    if dtype is not None and (wanted := dtype_of(dtype)) != y.dtype:
        if y.dtype.kind == "c" and wanted.kind not in "cb":
            warn_once(f"to: the imaginary part of a {y.dtype} tensor is lost in {wanted}. Take .real to say so.")
            y = apply(PRIMITIVES["real"], y)
        y = y.astype(dtype)
    return apply(PRIMITIVES["copy"], self) if copy and y is self else y


def moved(x: Tensor, device: Any) -> Tensor:
    backend = get_backend("numpy" if device == CPU else device)
    if backend.holds(x.array):
        return x
    here, there = x.backend, backend.here() if isinstance(backend, Devices) else backend
    return apply(PRIMITIVES["move"], x, to=lambda x: there.take(x, here), back=lambda x: here.take(x, there))


@attach
def to_device(self: Tensor, device: Any, /, *, stream: Any = None) -> Tensor:
    """On that device ("cpu", or a backend's name); self if it is there. Gradients are carried back."""
    if stream is not None:
        raise ArgumentError(f"to_device: stream must be None, work is ordered as it is written: got {stream!r}.")
    return moved(self, device)


@attach
def __array_namespace__(self: Tensor, *, api_version: str | None = None) -> Any:
    """The package: its functions follow the Array API standard."""
    standard = importlib.import_module(f"{__package__}.array_api")
    if api_version is not None and api_version not in standard.VERSIONS:
        known = ", ".join(standard.VERSIONS)
        raise ArgumentError(f"__array_namespace__: api_version must be one of {known}: got {api_version!r}.")
    return importlib.import_module(__package__)


@attach
def __dlpack__(self: Tensor, *, stream: Any = None, max_version: Any = None, dl_device: Any = None, copy: Any = None):
    """The memory as a DLPack capsule, for ``from_dlpack`` of NumPy, PyTorch, JAX, CuPy ...; shared unless copy=True."""
    if self.node is not None:
        raise ExchangeError("__dlpack__: the gradient would be lost. Use x.detach() on purpose.")
    if type(self.array) is not ndarray:  # the device's own library knows its streams
        return self.array.__dlpack__(stream=stream)
    if dl_device is not None and tuple(dl_device) != self.array.__dlpack_device__():
        raise ExchangeError(f"__dlpack__: this memory is on the host: got dl_device={dl_device}. Move it afterwards.")
    return self.array.__dlpack__(stream=stream, max_version=max_version, copy=copy)


@attach
def __dlpack_device__(self: Tensor) -> tuple[int, int]:
    """(kind, number) of the device in DLPack's numbering; the host is (1, 0)."""
    return tuple(self.array.__dlpack_device__())


@attach
def astype(self: Tensor, dtype: Any) -> Tensor:
    """In another dtype; a copy. From float to integer the gradient ends."""
    dtype = dtype_of(dtype)
    if dtype.name not in DTYPE_NAMES:
        raise DTypeError(f"astype: {dtype} is no dtype of tensors. The dtypes: {', '.join(sorted(DTYPE_NAMES))}.")
    source = self if kind_of(dtype) in "fc" or self.node is None else self.detach()
    return apply(PRIMITIVES["astype"], source, dtype=dtype)


@attach
def __array__(self: Tensor, dtype: Any = None, copy: bool | None = None) -> ndarray:
    if self.node is not None:
        raise GradError(
            "numpy: a tensor that takes part in a gradient would lose it. Use x.detach().numpy() on purpose."
        )
    return np.array(self.numpy(), dtype=dtype, copy=copy)


@attach
def __deepcopy__(self: Tensor, memo: dict) -> Tensor:
    if not self.is_leaf:
        raise GradError("deepcopy: this tensor was computed; its history cannot be copied. Use x.detach().clone().")
    y = _rebuild(type(self), self.array.copy(), self.requires_grad)
    y._grad = None if self._grad is None else wrap(self._grad.array.copy())
    memo[id(self)] = y
    return y


@attach
def __reduce__(self: Tensor) -> tuple:
    device = None if self.device == CPU else str(self.device)
    return _restored, (type(self), self.numpy(), self.requires_grad and self.is_leaf, device)


@attach
def __getitem__(self: Tensor, key: Any) -> Tensor:
    key, arrays = index(key)
    if not arrays:
        return apply(GETITEM, self, key=key)
    return apply(GETITEM, self, *beside(self, arrays), key=key)


@attach
def __len__(self: Tensor) -> int:
    if not self.shape:
        raise DTypeError("len: a 0-d tensor has no length. Use .item() for its value.")
    return self.shape[0]


@attach
def __iter__(self: Tensor):
    return (self[i] for i in range(len(self)))


@attach
def __contains__(self: Tensor, value: Any) -> bool:
    return bool(np.any(self.numpy() == (value.numpy() if isinstance(value, Tensor) else value)))


@attach
def __bool__(self: Tensor) -> bool:
    if self.size != 1:
        raise ShapeError(
            f"bool: the truth of {self.size} elements is ambiguous (shape {self.shape}). Use .any() or .all()."
        )
    return bool(self.item())


@attach
def __float__(self: Tensor) -> float:
    return float(_number(self, "float"))


@attach
def __int__(self: Tensor) -> int:
    return int(_number(self, "int"))


def _number(x: Tensor, who: str) -> Any:
    if x.size != 1:
        raise ShapeError(
            f"{who}: needs exactly one element: got shape {x.shape}. Python's functions, such as math.exp, take "
            "numbers: use mg.exp(x) for every element, or index or reduce first."
        )
    return x.item()


@attach
def __complex__(self: Tensor) -> complex:
    return complex(self.item())


@attach
def __index__(self: Tensor) -> int:
    if self.dtype.kind not in "iu":
        raise DTypeError(f"index: only integers can index: got {self.dtype}.")
    return int(self.item())


@attach
def __format__(self: Tensor, spec: str) -> str:
    return format(self.item() if spec and self.size == 1 else str(self), spec)


@attach
def __repr__(self: Tensor) -> str:
    if hasattr(self.array, "level"):  # inside a function transform: there are no numbers of its own to show
        return f"tensor({self.array!r})"
    values = self.numpy()
    values = values if kind_of(values.dtype) == values.dtype.kind else values.astype(np.float32)  # as numbers print
    text = np.array2string(values, separator=", ", prefix="tensor(")
    if not self.size:  # "[]" says nothing of (0, 3)
        text += f", shape={self.shape}"
    if self.dtype not in (np.float32, np.int64, bool) or not self.size:
        text += f", dtype={self.dtype}"
    if type(self.array) is not ndarray:
        text += f", backend={self.backend.name}"
    if self.node is not None:
        text += ", requires_grad=True" if self.is_leaf else f", from={self.node.name}"
    return f"tensor({text})"


@attach
def _repr_html_(self: Tensor) -> str | None:
    """What notebooks show."""
    return importlib.import_module(f"{__package__}.viz.html").tensor_html(self)


def _restored(cls: type, array: Any, requires_grad: bool, device: str | None = None) -> Tensor:
    """A pickled tensor, on the device it was on; BackendError where that is not."""
    return _rebuild(cls, array if device is None else backend_at(device).asarray(array), requires_grad)


def _rebuild(cls: type, array: Any, requires_grad: bool) -> Tensor:
    y: Any = new(cls)
    y.array = array
    y._grad = y.node = y.storage = y.source = None
    if requires_grad:
        y.node = leaf(y)
    return y
