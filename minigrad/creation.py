"""Making tensors: from data, from a rule, from another tensor's shape.

Signatures are the Array API standard's. Beside them: ``requires_grad=True`` for a leaf that collects gradients, and
lengths one by one, ``zeros(2, 3)``, as PyTorch takes them. dtype None: the default float dtype, or that of the data;
device None: where new tensors are made (`set_backend`), or where the given tensor is.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from contextlib import nullcontext
from functools import wraps
from typing import Any, TypeVar

import numpy as np

from .convert import as_array, backend_at, default_of
from .errors import ArgumentError, GradError, ShapeError
from .halves import dtype as dtype_of
from .mistakes import warn_once
from .mode import MODE, use_backend
from .primitive import kind_of, result_dtype
from .signature import called, into, keywords_of
from .tensor import F, Tensor, wrap

Maker = TypeVar("Maker", bound=Callable[..., Any])


WITHOUT_EFFECT = {
    "layout",
    "memory_format",
    "names",
    "order",
    "pin_memory",
}  # memory is row by row, here, and axes have no names


def spelled(*order: str, **names: str) -> Callable[[Maker], Maker]:
    """The function with PyTorch's keywords too: `names` says them in ours, `order` the parameters without a name, and
    ``out=`` is written into. layout, memory_format, names, order and pin_memory have no effect."""

    def declare(f: Maker) -> Maker:
        known = keywords_of(f)

        @wraps(f)
        def make(*args: Any, **keywords: Any) -> Any:
            if not keywords:
                return f(*args)
            out = keywords.pop("out", None)
            if keywords.get("layout") not in (None, "strided"):
                raise ArgumentError(f"{f.__name__}: tensors are strided: got layout {keywords['layout']!r}.")
            keywords = {names.get(k, k): v for k, v in keywords.items() if k not in WITHOUT_EFFECT}
            for name in order[len(args) :]:
                if name not in keywords:
                    break
                args = (*args, keywords.pop(name))
            y = called(f, known, args, keywords)
            return y if out is None else into(out, y, f.__name__)

        return make  # type: ignore[return-value]

    return declare


@spelled("data")
def tensor(data: Any, *, dtype: Any = None, device: Any = None, requires_grad: bool = False) -> Tensor:
    """A new tensor with a copy of the data. Python floats become float32; arrays keep their dtype. The gradient of a
    tensor does not pass: `asarray` and ``x.clone()`` are for that.

    >>> tensor([[1.0, 2.0], [3.0, 4.0]]).shape
    (2, 2)
    """
    if getattr(data, "node", None) is not None:
        warn_once(
            "tensor: copies the values, the gradient of the tensor given ends here. Use x.clone() to keep it, "
            "x.detach().clone() to end it on purpose."
        )
    if device is not None:
        with use_backend(backend_at(device)):
            return tensor(data, dtype=dtype, requires_grad=requires_grad)
    y = wrap(as_array(data, dtype, copy=True))
    y.requires_grad = requires_grad
    return y


@spelled("obj", data="obj")
def asarray(
    obj: Any, /, dtype: Any = None, *, device: Any = None, copy: bool | None = None, requires_grad: bool = False
) -> Tensor:
    """A tensor over the data, sharing memory with arrays and buffers where dtype and device allow.

    copy: True: always; False: never, a ValueError where it would be needed; None: where it is. Gradients pass, those
    of tensors in a list too, which are stacked.

    >>> asarray(np.arange(3.0)).dtype, asarray([1.0, 2.0]).dtype, asarray([1, 2]).dtype
    (dtype('float64'), dtype('float32'), dtype('int64'))
    """
    if isinstance(obj, Tensor):
        y = obj.to(device=device, dtype=dtype, copy=bool(copy))
        if copy is False and y is not obj:
            came = f"{obj.dtype} on {obj.device} to {y.dtype} on {y.device}"
            raise ArgumentError(f"asarray: copy=False, but {came} needs a copy. Leave copy out.")
        return y
    try:
        with nullcontext() if device is None else use_backend(backend_at(device)):
            return _made(as_array(obj, dtype, copy), requires_grad)
    except GradError:  # a list with tensors that take part in a gradient
        if copy is False or not isinstance(obj, (list, tuple)):
            raise
        return asarray(_stacked(obj), dtype, device=device)


def _stacked(data: Any) -> Tensor:
    return F.stack(*map(_stacked, data)) if isinstance(data, (list, tuple)) else asarray(data)


from_numpy = as_tensor = asarray


def from_dlpack(x: Any, /, *, device: Any = None, copy: bool | None = None) -> Tensor:
    """A tensor over the memory of another library's array, through its ``__dlpack__``; shared unless copy=True.

    >>> a = np.arange(3.0)
    >>> from_dlpack(a)[0] = 7.0
    >>> a
    array([7., 1., 2.])
    """
    if not hasattr(x, "__dlpack__"):
        raise AttributeError(f"from_dlpack: needs an object with __dlpack__: got {type(x).__name__}. Use asarray.")
    on_host = x.__dlpack_device__()[0] == 1  # kDLCPU
    library = np if on_host else backend_at("cupy").xp
    y = wrap(library.from_dlpack(x, copy=copy) if on_host else library.from_dlpack(x))
    return y if device is None else asarray(y, device=device)


def _follows(value: Any) -> bool:
    """Does a gradient pass this value, has it axes, or is it not known yet, inside a function transform?"""
    if isinstance(value, Tensor) and (value.node is not None or hasattr(value.array, "level")):
        return True
    return getattr(value, "ndim", 0) > 0


def _number(value: Any) -> Any:
    return value.item() if hasattr(value, "item") else value


def _at(y: Tensor, dtype: Any, device: Any, requires_grad: bool) -> Tensor:
    """A computed tensor in this dtype (None: as it is), there; a leaf with a gradient if it has no history."""
    y = y.to(device=device, dtype=dtype)
    if requires_grad:
        y.requires_grad = True
    return y


def _made(array: Any, requires_grad: bool) -> Tensor:
    y = wrap(array)
    if requires_grad:
        y.requires_grad = True
    return y


def _dtype(dtype: Any) -> np.dtype:
    """The dtype that is meant; None: the default one."""
    return dtype_of(dtype or MODE.get().default_dtype)


def _shape(shape: Any, lengths: tuple = ()) -> tuple[int, ...]:
    """The lengths of ``zeros(2, 3)``, ``zeros((2, 3))`` or ``zeros(2)``."""
    given = (shape, *lengths) if lengths or not isinstance(shape, (tuple, list)) else shape
    if len(given) == 1 and isinstance(given[0], (tuple, list)):
        given = given[0]
    if not all(hasattr(n, "__index__") and n.__index__() >= 0 for n in given):
        raise ShapeError(f"shape: lengths must be integers from 0 up: got {tuple(given)}.")
    return tuple(n.__index__() for n in given)


def _sized(shape: Any, lengths: tuple, dtype: Any) -> tuple[tuple[int, ...], np.dtype]:
    """Lengths and dtype of ``zeros(2, 3)``, ``zeros((2, 3))`` and ``zeros((2, 3), float)``."""
    if lengths and isinstance(lengths[-1], (type, np.dtype, str)):
        *lengths, dtype = lengths  # type: ignore[assignment]
    return _shape(shape, tuple(lengths)), _dtype(dtype)


@spelled("shape", size="shape")
def zeros(shape: Any = (), *lengths: Any, dtype: Any = None, device: Any = None, requires_grad: bool = False) -> Tensor:
    """Zeros of this shape, ``zeros(2, 3)`` or ``zeros((2, 3))``, in the default dtype unless given."""
    array = backend_at(device).xp.zeros(*_sized(shape, lengths, dtype))
    return _made(array, requires_grad)


@spelled("shape", size="shape")
def ones(shape: Any = (), *lengths: Any, dtype: Any = None, device: Any = None, requires_grad: bool = False) -> Tensor:
    """Ones of this shape, ``ones(2, 3)`` or ``ones((2, 3))``, in the default dtype unless given."""
    array = backend_at(device).xp.ones(*_sized(shape, lengths, dtype))
    return _made(array, requires_grad)


@spelled("shape", size="shape")
def empty(shape: Any = (), *lengths: Any, dtype: Any = None, device: Any = None, requires_grad: bool = False) -> Tensor:
    """Memory of this shape with whatever it holds."""
    array = backend_at(device).xp.empty(*_sized(shape, lengths, dtype))
    return _made(array, requires_grad)


@spelled("shape", "fill_value", size="shape")
def full(shape: Any, fill_value: Any, dtype: Any = None, *, device: Any = None, requires_grad: bool = False) -> Tensor:
    """A tensor of this shape, every element `fill_value`, in its dtype unless given; the gradient of a tensor passes.

    >>> full((2, 3), 1.5).sum()
    tensor(9.)
    """
    if _follows(fill_value):
        y = F.copy(F.broadcast_to(asarray(fill_value), _shape(shape)))
        return _at(y, dtype, device, requires_grad)
    value = as_array(fill_value, dtype)
    with use_backend(backend_at(device)):
        return _made(backend_at(device).xp.full(_shape(shape), as_array(value), value.dtype), requires_grad)


def _like(name: str, x: Any, dtype: Any, device: Any, *value: Any) -> Tensor:
    """xp.zeros_like(x) and its kin: x's shape, dtype and device unless given."""
    x = x if isinstance(x, Tensor) else asarray(x)
    xp = (x.backend if device is None else backend_at(device)).xp
    return wrap(getattr(xp, name)(x.shape, *value, dtype=_dtype(dtype or x.dtype)))


@spelled("x", input="x")
def zeros_like(x: Any, /, dtype: Any = None, *, device: Any = None, requires_grad: bool = False) -> Tensor:
    """Zeros with the shape of x, and its dtype and device unless given."""
    return _like("zeros", x, dtype, device).requires_grad_(requires_grad)


@spelled("x", input="x")
def ones_like(x: Any, /, dtype: Any = None, *, device: Any = None, requires_grad: bool = False) -> Tensor:
    """Ones with the shape of x, and its dtype and device unless given."""
    return _like("ones", x, dtype, device).requires_grad_(requires_grad)


@spelled("x", input="x")
def empty_like(x: Any, /, dtype: Any = None, *, device: Any = None, requires_grad: bool = False) -> Tensor:
    """Memory with the shape of x, and its dtype and device unless given, with whatever it holds."""
    return _like("empty", x, dtype, device).requires_grad_(requires_grad)


@spelled("x", "fill_value", input="x")
def full_like(
    x: Any, /, fill_value: Any, dtype: Any = None, *, device: Any = None, requires_grad: bool = False
) -> Tensor:
    """As `full`, with the shape of x, and its dtype and device unless given."""
    if _follows(fill_value):
        x = x if isinstance(x, Tensor) else asarray(x)
        return full(x.shape, fill_value, dtype=dtype or x.dtype, device=device or x.device, requires_grad=requires_grad)
    value = fill_value.array if isinstance(fill_value, Tensor) else fill_value
    return _like("full", x, dtype, device, value).requires_grad_(requires_grad)


@spelled("start", "stop", "step", end="stop")
def arange(
    start: Any = None,
    /,
    stop: Any = None,
    step: Any = 1,
    dtype: Any = None,
    *,
    device: Any = None,
    requires_grad: bool = False,
) -> Tensor:
    """start, start + step, ... below stop: (n,), n = ceil((stop - start) / step); one argument: from 0 to it.

    int64 if all are integers, the dtype of float tensors, else the default dtype. Gradients pass to start and step.
    """
    if start is None or stop is None:  # one bound: arange(3), arange(end=3)
        start, stop = 0, start if stop is None else stop
    first, last, by = _number(start), _number(stop), _number(step)
    if by == 0:
        raise ArgumentError("arange: step must not be 0.")
    if _follows(start) or _follows(step):
        places = np.arange(max(math.ceil(((last - first) / by).real), 0))
        return _at(start + asarray(places, device=device) * step, dtype, device, requires_grad)
    if dtype is None and any(isinstance(v, Tensor) and kind_of(v.dtype) == "f" for v in (start, stop, step)):
        dtype = result_dtype("float", start, stop, step)
    start, stop, step = first, last, by
    if dtype is None:
        dtype = default_of("f" if any(isinstance(v, float) for v in (start, stop, step)) else "i")
    xp = backend_at(device).xp
    dtype = _dtype(dtype)
    if kind_of(dtype) == "f":  # each number rounded once; in float32 the errors of start + i step would add up
        return _made(xp.arange(start, stop, step, dtype=np.float64).astype(dtype), requires_grad)
    return _made(xp.arange(start, stop, step, dtype=dtype), requires_grad)


@spelled("start", "stop", "num", end="stop", steps="num")
def linspace(
    start: Any,
    stop: Any,
    /,
    num: int = 50,
    endpoint: bool = True,
    *,
    dtype: Any = None,
    device: Any = None,
    requires_grad: bool = False,
) -> Tensor:
    """`num` numbers from start to stop, evenly spaced, with stop unless endpoint=False: (num,).

    start and stop may be tensors, with axes too, which broadcast: (num, ...). Gradients pass to both.

    >>> x = tensor(2.0, requires_grad=True)
    >>> linspace(0.0, x, 5).sum().backward()
    >>> x.grad
    tensor(2.5)
    """
    if num < 0:
        raise ArgumentError(f"linspace: num must be 0 or more: got {num}.")
    if _follows(start) or _follows(stop):
        y = _between(asarray(start), asarray(stop), np.linspace(0, 1, num, endpoint=endpoint))
        return _at(y, dtype, device, requires_grad)
    if dtype is None and any(isinstance(v, Tensor) for v in (start, stop)):
        dtype = result_dtype("float", start, stop)
    start, stop = _number(start), _number(stop)
    if dtype is None:
        dtype = default_of("c" if isinstance(start, complex) or isinstance(stop, complex) else "f")
    array = backend_at(device).xp.linspace(start, stop, num, endpoint=endpoint, dtype=_dtype(dtype))
    return _made(array, requires_grad)


def _between(start: Tensor, stop: Tensor, part: np.ndarray) -> Tensor:
    """(1 - part) start + part stop, exact at both ends; part: (n,), start and stop: (...), the result (n, ...)."""
    dtype = result_dtype("float", start, stop)
    part = part.reshape(-1, *[1] * max(start.ndim, stop.ndim))
    weights = [start.backend.asarray(w.astype(dtype)) for w in (1 - part, part)]
    return start * weights[0] + stop * weights[1]


@spelled("n_rows", "n_cols", n="n_rows", m="n_cols", N="n_rows", M="n_cols")
def eye(
    n_rows: int,
    n_cols: int | None = None,
    /,
    k: int = 0,
    dtype: Any = None,
    *,
    device: Any = None,
    requires_grad: bool = False,
) -> Tensor:
    """(n_rows, n_cols) zeros with ones on the k-th diagonal; square unless n_cols is given."""
    return _made(backend_at(device).xp.eye(n_rows, n_cols, k, _dtype(dtype)), requires_grad)


def meshgrid(*arrays: Any, indexing: str = "xy", sparse: bool = False) -> tuple[Tensor, ...]:
    """Coordinates of a grid: N arrays (n1,), ..., (nN,) to N arrays (n1, ..., nN); (n2, n1, ...) for indexing="xy".
    sparse: each with the lengths of the other arrays 1, which broadcast.

    >>> [a.tolist() for a in meshgrid(asarray([1, 2]), asarray([3, 4, 5]), indexing="ij")]
    [[[1, 1, 1], [2, 2, 2]], [[3, 4, 5], [3, 4, 5]]]
    """
    if indexing not in ("xy", "ij"):
        raise ArgumentError(f'meshgrid: indexing must be "xy" (columns first) or "ij" (rows first): got {indexing!r}.')
    given = arrays[0] if len(arrays) == 1 and isinstance(arrays[0], (tuple, list)) else arrays
    axes = [a if isinstance(a, Tensor) else asarray(a) for a in given]
    if any(a.ndim > 1 for a in axes):
        raise ShapeError(f"meshgrid: coordinates are 1-d: got shapes {[a.shape for a in axes]}.")
    place = list(range(len(axes)))  # which axis of the result each array runs along
    if indexing == "xy":
        place[:2] = place[1::-1]
    lengths = [1] * len(axes)
    for a, p in zip(axes, place):
        lengths[p] = a.size
    columns = [F.reshape(a, tuple(a.size if i == p else 1 for i in range(len(axes)))) for a, p in zip(axes, place)]
    return tuple(c if sparse else F.copy(F.broadcast_to(c, tuple(lengths))) for c in columns)
