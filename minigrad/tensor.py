"""Tensor: an array, its gradient, and its place in the graph.

`apply` is the only way from tensors to arrays and back: it finds the backend's callable, runs it on the raw arrays,
wraps the result, and leaves a Node if a gradient may be asked for. Operators and functions are one-liners over it.
"""

from __future__ import annotations

import weakref
from collections.abc import Callable, Sequence
from contextlib import ContextDecorator
from contextvars import ContextVar
from typing import Any

import numpy as np

from . import autograd
from .autograd import Node
from .backend import Backend, backend_of, get_backend
from .edits import Storage, check_output, check_unedited, written
from .errors import ArgumentError, BackendError, DTypeError, GradError, IndexRangeError, MinigradError, ShapeError
from .ops.indexing import PLACE, filled
from .primitive import PRIMITIVES, Primitive, Spec

ndarray, FLOAT64 = np.ndarray, np.dtype(np.float64)
NUMBERS = frozenset((int, float, bool, complex, type(None)))
new = object.__new__


class Mode:
    """What `apply` looks up per thread and context. Never changed: `but` gives a changed copy."""

    __slots__ = ("default_dtype", "device", "host", "recording")

    def __init__(self, host: Backend, device: Backend, recording: bool, default_dtype: Any):
        self.host = host  # the flavour that computes on NumPy arrays
        self.device = device  # where new tensors are made
        self.recording = recording
        self.default_dtype = default_dtype  # of Python floats

    def but(self, **changes: Any) -> Mode:
        return Mode(**{name: changes.get(name, getattr(self, name)) for name in self.__slots__})


MODE: ContextVar[Mode] = ContextVar("minigrad mode", default=Mode(get_backend("numba"), get_backend("numba"), True, np.dtype(np.float32)))


class Tensor:
    """An n-dimensional array that remembers how it was made, so that gradients can be computed.

    ``Tensor(data)`` takes nested lists, numbers or arrays; Python floats become float32, arrays keep their dtype.
    With ``requires_grad=True``, ``backward()`` of anything computed from it fills ``.grad``.

    >>> x = Tensor([1.0, 2.0], requires_grad=True)
    >>> (x * x).sum().backward()
    >>> x.grad
    tensor([2., 4.])
    """

    __slots__ = ("__weakref__", "_grad", "array", "node", "source", "storage")
    __array_ufunc__ = None  # ndarray + Tensor is Tensor.__radd__, not an object array
    __hash__ = object.__hash__

    array: Any  # the raw array
    node: Node | None  # its place in the graph; None if no gradient passes
    storage: Storage | None  # shared by all tensors over one buffer; made by the first view or in-place edit
    source: tuple | None  # for a view: (tensor viewed, primitive, keywords)

    def __init__(self, data: Any, *, dtype: Any = None, requires_grad: bool = False):
        self.array = as_array(data, dtype, copy=True)
        self.node = self._grad = self.storage = self.source = None
        if requires_grad:
            self.requires_grad = True

    # -- gradient --------------------------------------------------------------------------------------------------
    @property
    def requires_grad(self) -> bool:
        """True if a gradient passes here: set on a leaf, computed for results."""
        return self.node is not None

    @requires_grad.setter
    def requires_grad(self, value: bool) -> None:
        if value == (self.node is not None):
            return
        if not value and not self.is_leaf:
            raise GradError("requires_grad: only leaves can be frozen, this tensor was computed. Use .detach().")
        if value and self.array.dtype.kind not in "fc":
            raise DTypeError(
                f"requires_grad: only floats have gradients: got {self.array.dtype}. Use .astype('float32')."
            )
        self.node = leaf(self) if value else None

    @property
    def is_leaf(self) -> bool:
        """True unless this tensor was computed from others that take part in a gradient."""
        return self.node is None or (self.node.plan is None and self.node.part is None)

    @property
    def grad(self) -> Tensor | None:
        """dL/dself, summed over all backward() calls since it was last None. `explain_grad` says why it is None."""
        return self._grad

    @grad.setter
    def grad(self, value: Tensor | None) -> None:
        if value is not None:
            value = value if isinstance(value, Tensor) else Tensor(value)
            if value.shape != self.shape:
                raise ShapeError(f"grad: must have the tensor's shape {self.shape}: got {value.shape}.")
        self._grad = value

    def explain_grad(self) -> str:
        """Why ``.grad`` is what it is, in a sentence."""
        if self._grad is not None:
            return f"grad is set: {self.shape}, {self._grad.dtype}."
        if self.node is None:
            return "grad is None: this tensor does not require a gradient. Create it with requires_grad=True."
        if not self.is_leaf and self.node.owner is None:
            return (
                f"grad is None: this tensor was computed (by {self.node.name}), and only leaves keep gradients. Call .retain_grad() "
                "on it before backward()."
            )
        return (
            "grad is None: no backward() has reached this tensor. Was backward() called, on a result computed from it, outside "
            "no_grad, with no detach() in between, and after the last zero_grad()?"
        )

    def backward(
        self,
        gradient: Any = None,
        *,
        retain_graph: bool | None = None,
        create_graph: bool = False,
        inputs: Sequence[Tensor] | None = None,
    ) -> None:
        """Add dself/dleaf to ``.grad`` of every leaf (or of `inputs`) that self was computed from.

        gradient: dL/dself, needed unless self has one element; retain_graph: keep what the forward saved, for another
        backward(); create_graph: record the gradient computation itself, for gradients of gradients.
        """
        wanted = None if inputs is None else [_noded(t, "backward") for t in inputs]
        results, rules = walk([self], [gradient], wanted, retain_graph, create_graph)
        if inputs is not None:
            for t, node in zip(inputs, wanted or ()):
                if node in results:
                    t._accumulate(results[node], rules)
            return
        for node, g in results.items():
            owner = node.owner()
            if owner is not None:
                owner._accumulate(g, rules)

    def _accumulate(self, g: Any, rules: Any) -> None:
        if self._grad is None:
            self._grad = g if isinstance(g, Tensor) else wrap(g)
        elif rules.graph or self._grad.node is not None:
            self._grad = self._grad + g
        else:
            self._grad.array = rules.add_to(self._grad.array, g)

    def retain_grad(self) -> None:
        """Have backward() fill ``.grad`` of this computed tensor too."""
        _noded(self, "retain_grad").owner = weakref.ref(self)

    def register_hook(self, hook: Callable[[Tensor], Tensor | None]) -> Handle:
        """Call `hook` with dL/dself whenever it is computed; what it returns, if not None, replaces the gradient."""
        node = _noded(self, "register_hook")
        node.hooks = node.hooks or []
        node.hooks.append(hook)
        return Handle(node.hooks, hook)

    def detach(self) -> Tensor:
        """The same array, outside the graph: gradients stop here. Shares memory."""
        y = wrap(self.array)
        link(y, self, None, {})
        return y

    def requires_grad_(self, requires_grad: bool = True) -> Tensor:
        self.requires_grad = requires_grad
        return self

    # -- in place ----------------------------------------------------------------------------------------------------
    def __setitem__(self, key: Any, value: Any) -> None:
        key, arrays = index(key)
        old = self._old("setitem")
        if not isinstance(value, Tensor):
            value = wrap(as_array(value, None if isinstance(value, ndarray) else self.dtype))
        elif value is self:
            value = old
        p, mode = PRIMITIVES["setitem"], MODE.get()
        before = old.array.copy() if value.storage is self.storage is not None else None  # x[1:] = x[:-1]
        try:
            source = value.array if before is None else value.array.copy()
            self.array[filled(key, [a.array for a in arrays])] = source
        except Exception as error:
            raise explained(
                PRIMITIVES["getitem"], error, [self.array, *(a.array for a in arrays)], {"key": key}
            ) from error
        args = (old, value, *arrays)
        bits = sum(1 << i for i, a in enumerate(args) if a.node is not None)
        node = (
            record(p, bits | 1 << len(args), args, [a.node for a in args], (self.array,), {"key": key})
            if bits and mode.recording
            else None
        )
        rebase(self, node, "setitem")

    def overwrite(self, value: Tensor, op: str) -> Tensor:
        """Put `value`, computed out of place, into this tensor's buffer; its history becomes this tensor's."""
        if value.shape != self.shape:
            raise ShapeError(
                f"{op}: in place, the shape must stay {self.shape}: the result has {value.shape}. Write x = x {op} y."
            )
        self._old(op)
        if not np.can_cast(value.dtype, self.dtype, "same_kind"):
            raise DTypeError(
                f"{op}: in place, the dtype must stay {self.dtype}: the result is {value.dtype}. Write it out of place."
            )
        node = value.node
        if node is not None and value.dtype != self.dtype:
            node = apply(PRIMITIVES["astype"], value, dtype=self.dtype).node
        self.array[...] = value.array
        rebase(self, node if MODE.get().recording else None, op)
        return self

    def _old(self, op: str) -> Tensor:
        """A stand-in for this tensor as it is before an in-place edit, after checking that it may be edited."""
        if MODE.get().recording:
            root = self
            while root.source is not None and root.source[1] is not None:
                root = root.source[0]
            if root.node is not None and root.is_leaf:
                raise GradError(
                    f"{op}: in place on a leaf that requires a gradient, whose value the gradient refers to. Update parameters "
                    "under no_grad(), or edit a copy: x = x.clone()."
                )
        flags = getattr(self.array, "flags", None)
        if flags is not None and not getattr(flags, "writeable", True):
            raise ArgumentError(
                f"{op}: this array is read-only (a broadcast, or memory lent by somebody). Edit a copy: x = x.clone()."
            )
        old = wrap(self.array)
        old.node = self.node
        return old

    def _in_place(self, f: Callable, name: str, *args: Any, **keywords: Any) -> Tensor:
        """self = f(self, ...), in self's buffer. The rule of f may need what is overwritten: then it keeps a copy."""
        old = self._old(name)
        y = f(old, *[old if a is self else a for a in args], **keywords)
        if y.node is not None and y.node.saved and any(s is old for s in y.node.saved):
            old.array = old.array.copy()
        return self.overwrite(y, name)

    # -- data ------------------------------------------------------------------------------------------------------
    @property
    def shape(self) -> tuple[int, ...]:
        return self.array.shape

    @property
    def dtype(self) -> Any:
        return self.array.dtype

    @property
    def ndim(self) -> int:
        return self.array.ndim

    @property
    def size(self) -> int:
        return self.array.size

    @property
    def nbytes(self) -> int:
        return self.array.nbytes

    @property
    def data(self) -> Tensor:
        """This tensor outside the graph, sharing memory; assigning replaces the array and keeps the place in the graph."""
        return self.detach()

    @data.setter
    def data(self, value: Any) -> None:
        array = as_array(value)
        if self.node is not None and array.shape != self.node.shape:
            raise ShapeError(
                f"data: must keep the shape {self.shape} of a tensor that requires a gradient: got {array.shape}."
            )
        written(self, "data =")
        self.array = array

    @property
    def T(self) -> Tensor:
        return apply(PRIMITIVES["permute_dims"], self)

    @property
    def mT(self) -> Tensor:
        return apply(PRIMITIVES["matrix_transpose"], self)

    @property
    def backend(self) -> Backend:
        return MODE.get().host if type(self.array) is ndarray else backend_of(self.array)

    @property
    def device(self) -> str:
        return "cpu" if type(self.array) is ndarray else self.backend.name

    def numpy(self) -> ndarray:
        """The values as a NumPy array (host tensors: sharing memory)."""
        return self.backend.to_host(self.array)

    def item(self) -> Any:
        """The only element, as a Python number."""
        if self.size != 1:
            raise ShapeError(f"item: needs exactly one element: got shape {self.shape}. Index or reduce first.")
        return self.numpy().reshape(()).item()

    def tolist(self) -> Any:
        return self.numpy().tolist()

    def to(self, target: Any) -> Tensor:
        """On another backend ("cupy", "numpy", "cpu") or in another dtype. Gradients are carried back."""
        if isinstance(target, Tensor):
            return self.to(target.backend).astype(target.dtype)
        if not isinstance(target, (str, Backend)) or target in _DTYPE_NAMES:
            return self.astype(target)
        backend = get_backend("numpy" if target == "cpu" else target)
        if isinstance(self.array, backend.array):
            return self
        here, there = self.backend, backend
        return apply(
            PRIMITIVES["move"],
            self,
            to=lambda x: there.asarray(here.to_host(x)),
            back=lambda x: here.asarray(there.to_host(x)),
        )

    def astype(self, dtype: Any) -> Tensor:
        """In another dtype; a copy. From float to integer the gradient ends."""
        dtype = np.dtype(dtype)
        source = self if dtype.kind in "fc" or self.node is None else self.detach()
        return apply(PRIMITIVES["astype"], source, dtype=dtype)

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> ndarray:
        if self.node is not None:
            raise GradError(
                "numpy: a tensor that takes part in a gradient would lose it. Use x.detach().numpy() on purpose."
            )
        return np.array(self.numpy(), dtype=dtype, copy=copy)

    def __deepcopy__(self, memo: dict) -> Tensor:
        if not self.is_leaf:
            raise GradError("deepcopy: this tensor was computed; its history cannot be copied. Use x.detach().clone().")
        y = _rebuild(type(self), self.array.copy(), self.requires_grad)
        y._grad = None if self._grad is None else wrap(self._grad.array.copy())
        memo[id(self)] = y
        return y

    def __reduce__(self) -> tuple:
        return _rebuild, (type(self), self.numpy(), self.requires_grad and self.is_leaf)

    def __getitem__(self, key: Any) -> Tensor:
        key, arrays = index(key)
        return apply(PRIMITIVES["getitem"], self, *arrays, key=key)

    def __len__(self) -> int:
        if not self.shape:
            raise DTypeError("len: a 0-d tensor has no length. Use .item() for its value.")
        return self.shape[0]

    def __iter__(self):
        return (self[i] for i in range(len(self)))

    def __contains__(self, value: Any) -> bool:
        return bool(np.any(self.numpy() == (value.numpy() if isinstance(value, Tensor) else value)))

    def __bool__(self) -> bool:
        if self.size != 1:
            raise ShapeError(
                f"bool: the truth of {self.size} elements is ambiguous (shape {self.shape}). Use .any() or .all()."
            )
        return bool(self.item())

    def __float__(self) -> float:
        return float(self.item())

    def __int__(self) -> int:
        return int(self.item())

    def __complex__(self) -> complex:
        return complex(self.item())

    def __index__(self) -> int:
        if self.dtype.kind not in "iu":
            raise DTypeError(f"index: only integers can index: got {self.dtype}.")
        return int(self.item())

    def __format__(self, spec: str) -> str:
        return format(self.item() if spec and self.size == 1 else str(self), spec)

    def __repr__(self) -> str:
        text = np.array2string(self.numpy(), separator=", ", prefix="tensor(")
        if self.dtype not in (np.float32, np.int64, bool) or not self.size:
            text += f", dtype={self.dtype}"
        if type(self.array) is not ndarray:
            text += f", backend={self.backend.name}"
        if self.node is not None:
            text += ", requires_grad=True" if self.is_leaf else f", from={self.node.name}"
        return f"tensor({text})"


def _operator(name: str) -> tuple[Callable, Callable, Callable]:
    p = PRIMITIVES[name]
    return (
        lambda self, other: apply(p, self, other),
        lambda self, other: apply(p, other, self),
        lambda self, other: self._in_place(lambda a, b: apply(p, a, b), name, other),
    )


for symbol, name in {
    "add": "add", "sub": "subtract", "mul": "multiply", "truediv": "divide", "floordiv": "floor_divide", "mod": "remainder",
    "pow": "power", "matmul": "matmul", "and": "bitwise_and", "or": "bitwise_or", "xor": "bitwise_xor",
    "lshift": "bitwise_left_shift", "rshift": "bitwise_right_shift",
}.items():  # fmt: skip
    forward, reflected, in_place = _operator(name)
    setattr(Tensor, f"__{symbol}__", forward)
    setattr(Tensor, f"__r{symbol}__", reflected)
    setattr(Tensor, f"__i{symbol}__", in_place)
for symbol, name in {
    "eq": "equal", "ne": "not_equal", "lt": "less", "le": "less_equal", "gt": "greater", "ge": "greater_equal",
}.items():  # fmt: skip
    setattr(Tensor, f"__{symbol}__", _operator(name)[0])
for symbol, name in {"neg": "negative", "pos": "positive", "abs": "abs", "invert": "bitwise_invert"}.items():
    setattr(Tensor, f"__{symbol}__", lambda self, p=PRIMITIVES[name]: apply(p, self))


class Handle:
    """What register_hook returns: ``remove()`` takes the hook off again; also a context manager."""

    def __init__(self, hooks: list, hook: Callable):
        self.hooks, self.hook = hooks, hook

    def remove(self) -> None:
        if self.hook in self.hooks:
            self.hooks.remove(self.hook)

    def __enter__(self) -> Handle:
        return self

    def __exit__(self, *error: Any) -> None:
        self.remove()


# ---- the hot path --------------------------------------------------------------------------------------------------


def apply(prim: Primitive, *args: Any, **params: Any) -> Any:
    """Run a primitive on tensors, arrays and numbers; record it if a gradient may be asked for."""
    mode = MODE.get()
    arrays, parents, key, bit, array = [], [], 0, 1, None
    for a in args:
        if isinstance(a, Tensor):
            array, node = a.array, a.node
            arrays.append(array)
            parents.append(node)
            if node is not None:
                key |= bit
        else:
            if type(a) not in NUMBERS:
                a = constant(a)
                array = a if array is None and hasattr(a, "shape") else array
            arrays.append(a)
            parents.append(None)
        bit += bit
    if type(array) is ndarray:
        backend = mode.host
    else:
        backend, arrays, array = elsewhere(mode, arrays, array)
    run = prim.impl.get(backend) or backend.resolve(prim)
    if prim.fused and key and mode.recording and not prim.rules and prim.kernels.get(backend.name) is None:
        out = prim.forward(F, *args, **params)  # the body, recorded step by step
        return out[: prim.outputs] if prim.outputs > 1 else out[0] if prim.saves else out
    try:
        out = run(*arrays, **params)
    except Exception as error:
        raise explained(prim, error, arrays, params) from None
    if type(out) is not type(array) or (out.dtype is FLOAT64 and prim.kind):
        outs = settled(prim, out, arrays, backend, mode)
        if prim.outputs > 1:
            return several(prim, key | bit, args, parents, outs, params, mode.recording and key)
        out = outs[0]
    else:
        outs = (out,)
    y = new(Tensor)
    y.array = out
    y._grad = y.storage = y.source = None
    y.node = record(prim, key | bit, args, parents, outs, params) if key and mode.recording else None
    if prim.view and isinstance(args[0], Tensor):
        link(y, args[0], prim, params)
    return y


def record(prim: Primitive, key: int, args: tuple, parents: list, outs: tuple, params: dict) -> Node | None:
    """The node of one application, holding what its rules need and nothing else."""
    plan = prim.plans.get(key, 0)
    if plan == 0:
        plan = prim.plan(key)
    if plan is None:
        return None
    saved = plan.pick(outs + args) if plan.names else ()
    if plan.keeps_shapes:
        shapes = tuple(getattr(a, "shape", None) if a is not None else None for a in args)
        saved += (shapes if prim.variadic else prim.Shapes(*shapes, *[None] * (len(prim.inputs) - len(shapes))),)
    out = outs[0]
    return Node(plan, parents, saved, params, out.shape, out.dtype)


def several(prim: Primitive, key: int, args: tuple, parents: list, outs: tuple, params: dict, recording: Any) -> tuple:
    """The outputs of a primitive that has several: one node, and a part of it for each output with a gradient."""
    ys = tuple(wrap(out) for out in outs)
    node = record(prim, key, args, parents, outs, params) if recording else None
    if node is not None:
        node.shape, node.dtype = tuple(o.shape for o in outs), tuple(o.dtype for o in outs)
        for k, y in enumerate(ys):
            if y.dtype.kind in "fc":
                y.node = part(node, k)
    return ys


def part(node: Node, k: int) -> Node:
    y = Node(None, (node,), (), {}, node.shape[k], node.dtype[k])
    y.part = k
    return y


def settled(prim: Primitive, out: Any, arrays: list, backend: Backend, mode: Mode) -> tuple:
    """The outputs of a run as arrays, in the dtype minigrad promises: integers that meet floats do not widen them."""
    outs = out if type(out) is tuple else (out,)
    if prim.kind == "device":
        return outs
    if not all(isinstance(o, backend.array) for o in outs):  # NumPy's functions return scalars where arrays are 0-d
        outs = tuple(backend.xp.asarray(o) for o in outs)
    if prim.kind in ("same", "float") and outs[0].dtype == FLOAT64 != mode.default_dtype:
        dtypes = [a.dtype for a in arrays if hasattr(a, "dtype")]
        if FLOAT64 not in dtypes:
            floats = [d for d in dtypes if d.kind == "f"]
            narrow = np.result_type(*floats) if floats else mode.default_dtype
            outs = tuple(o.astype(narrow) if o.dtype == FLOAT64 else o for o in outs)
    return outs


def constant(a: Any) -> Any:
    """An operand that is not a Tensor: numbers stay (they take the dtype of what they meet), data becomes an array."""
    if isinstance(a, float):
        return float(a)  # a NumPy float64 scalar counts as a number too
    if a is None or isinstance(a, (bool, int, complex, ndarray)):
        return a
    return as_array(a)


def elsewhere(mode: Mode, arrays: list, array: Any) -> tuple[Backend, list, Any]:
    """The backend where the operands are not host arrays: numbers only, or another device's."""
    if array is None:
        arrays = [a if a is None else mode.device.asarray(as_array(a)) for a in arrays]
        array = next(a for a in arrays if a is not None)
    return mode.host if type(array) is ndarray else backend_of(array), arrays, array


def explained(prim: Primitive, error: Exception, arrays: Sequence, params: dict) -> Exception:
    """The error to raise for a forward that failed: what the shape rule says, a device mix, or the error itself."""
    if isinstance(error, MinigradError):
        return error
    kinds = {type(a) for a in arrays if hasattr(a, "shape") and not isinstance(a, np.generic)}
    if len(kinds) > 1:
        names = sorted(
            {backend_of(a).name if not isinstance(a, ndarray) else "numpy" for a in arrays if hasattr(a, "shape")}
        )
        if len(names) > 1:
            return BackendError(
                f'{prim.name}: operands must be on one backend: got {" and ".join(names)}. Move one with .to("{names[0]}").'
            )
    specs = [a if hasattr(a, "shape") or a is None else Spec((), np.asarray(a).dtype) for a in arrays]
    try:
        prim.shape(prim.name, *specs, **params)
    except MinigradError as reason:
        return reason
    except Exception:  # the rule itself could not make sense of the call: the forward's own words are better
        pass
    came = ", ".join(f"{s.dtype}{tuple(s.shape)}" for s in specs if s is not None)
    message = f"{prim.name}: {error} (operands: {came})."
    if isinstance(error, TypeError):
        return DTypeError(message)
    if isinstance(error, IndexError):
        return IndexRangeError(message)
    if isinstance(error, ValueError):
        return ShapeError(message)
    error.add_note(f"in {prim.name} ({came})")
    return error


# ---- making tensors ------------------------------------------------------------------------------------------------


def wrap(array: Any) -> Tensor:
    """A Tensor around a raw array, outside the graph. A NumPy scalar, which 0-d operations return, becomes an array."""
    y = new(Tensor)
    y.array = np.asarray(array) if isinstance(array, np.generic) else array
    y._grad = y.node = y.storage = y.source = None
    return y


def leaf(owner: Tensor) -> Node:
    node = Node(None, (), (), {}, owner.array.shape, owner.array.dtype)
    node.owner = weakref.ref(owner)
    return node


def as_array(data: Any, dtype: Any = None, copy: bool | None = None) -> Any:
    """`data` as a raw array on the current device; Python floats take the default dtype."""
    mode = MODE.get()
    if isinstance(data, Tensor):
        array = data.array
        return array.astype(dtype or array.dtype, copy=bool(copy))
    if hasattr(data, "shape") and hasattr(data, "dtype") and not isinstance(data, (ndarray, np.generic)):
        try:
            backend = backend_of(data)
        except BackendError:
            pass  # somebody else's array: NumPy reads it below, or says why not
        else:
            return backend.asarray(data, dtype, copy)
    try:
        array = np.asarray(data, dtype=dtype)
    except MinigradError:
        raise
    except (ValueError, TypeError) as error:
        if isinstance(data, (list, tuple)) and any(isinstance(d, Tensor) for d in data):
            raise GradError(
                "tensor: a list of tensors would lose their gradients. Use mg.stack or mg.concat."
            ) from None
        raise DTypeError(f"tensor: {error}. Rows must have equal lengths, and elements must be numbers.") from None
    if array.dtype.kind not in "biufc":
        raise DTypeError(f"tensor: elements must be numbers or booleans: got {array.dtype} ({type(data).__name__}).")
    if dtype is None and not isinstance(data, (ndarray, np.generic)) and array.dtype.kind in "fc" and array.size:
        array = array.astype(
            np.result_type(mode.default_dtype, np.complex64 if array.dtype.kind == "c" else mode.default_dtype)
        )
    elif dtype is None and not isinstance(data, (ndarray, np.generic)) and not array.size and array.dtype == FLOAT64:
        array = array.astype(mode.default_dtype)
    if type(array) is not ndarray:
        array = np.asarray(array).view(ndarray)
    if not array.dtype.isnative:
        array = array.astype(array.dtype.newbyteorder("="))
    return mode.device.asarray(array, dtype, copy)


_DTYPE_NAMES = {"bool", "int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64"} | {
    "float16", "float32", "float64", "complex64", "complex128",
}  # fmt: skip


def index(key: Any) -> tuple[tuple, list[Tensor]]:
    """An indexing key as a tuple with places for index arrays, and those arrays as tensors."""
    keys, arrays = [], []
    for k in key if isinstance(key, tuple) else (key,):
        if isinstance(k, (list, ndarray)) or (isinstance(k, Tensor) and (k.ndim or k.dtype.kind == "b")):
            k = k if isinstance(k, Tensor) else wrap(as_array(k, np.int64 if isinstance(k, list) and not k else None))
            if k.dtype.kind not in "biu":
                raise DTypeError(f"getitem: index arrays must be integers or booleans: got {k.dtype}.")
            arrays.append(k)
            k = PLACE
        elif isinstance(k, Tensor) or (hasattr(k, "__index__") and not isinstance(k, (bool, np.bool_))):
            k = k.__index__()
        elif isinstance(k, (bool, np.bool_)):
            arrays.append(wrap(np.asarray(k)))
            k = PLACE
        elif not (k is None or k is Ellipsis or isinstance(k, slice)):
            raise DTypeError(
                f"getitem: indices are integers, slices, None, ... or integer and boolean arrays: got {type(k).__name__}."
            )
        keys.append(k)
    return tuple(keys), arrays


def _rebuild(cls: type, array: Any, requires_grad: bool) -> Tensor:
    y = new(cls)
    y.array = array
    y._grad = y.node = y.storage = y.source = None
    if requires_grad:
        y.node = leaf(y)
    return y


# ---- views and in-place edits ----------------------------------------------------------------------------------------


def link(y: Tensor, x: Tensor, prim: Primitive | None, params: dict) -> None:
    """Note that y is a view of x (if it shares memory), so that editing one is seen by the other. prim None: detached."""
    if prim is not None:
        base, array = y.array.base, x.array
        if base is None or (base is not array and base is not array.base and not x.backend.shares_memory(array, y.array)):
            return
    if x.storage is None:
        x.storage = Storage()
    y.storage, y.source = x.storage, (x, prim, params)
    x.storage.add_view(y)


def chain_of(t: Tensor) -> tuple[Tensor, tuple | None]:
    """The tensor at the root of a view, and the way from there: ((primitive name, keywords), ...); None past a detach."""
    chain: list = []
    detached = False
    while t.source is not None:
        t, prim, params = t.source
        detached = detached or prim is None
        if prim is not None:
            chain.append((prim.name, params))
    return t, None if detached else tuple(reversed(chain))


def rebase(t: Tensor, node: Node | None, op: str) -> None:
    """After t's buffer was written: stamp the edit, and give t, its root and all views the history that now is true."""
    written(t, op)
    if not MODE.get().recording:
        return
    root, chain = chain_of(t)
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


# ---- the walk, on arrays and on tensors ------------------------------------------------------------------------------


class ArrayRules(autograd.Rules):
    """Rules on raw arrays: the ordinary backward()."""

    def operand(self, name: str, value: Any, node: Node) -> Any:
        if isinstance(value, Tensor):
            check_unedited(value, node)
            return value.array
        if name == "y":
            check_output(node)
        if isinstance(value, tuple) and name != "shapes":
            return tuple(self.operand("", v, node) for v in value)
        return value

    def space(self, g: Any) -> Any:
        array = next(part for part in g if part is not None) if isinstance(g, list) else g
        return self.F if isinstance(array, (self.array, np.generic)) else backend_of(array).F

    def lift(self, value: Any) -> Any:
        return wrap(value) if hasattr(value, "shape") else value

    def fresh(self, value: Any) -> Tensor:
        y = wrap(value)
        y.node = leaf(y)
        return y

    def hooked(self, node: Node, g: Any) -> Any:
        t = wrap(g)
        for hook in list(node.hooks):
            t = _hook_result(hook(t), t)
        return t.array

    def through_body(self, node: Node, g: Any, values: dict[str, Any], live: Sequence[int]) -> Sequence[Any]:
        p = node.plan.primitive
        args = [values[name] for name in p.inputs[: len(node.inputs)]]
        args = [*args[:-1], *args[-1]] if p.variadic else args
        with enable_grad():
            tensors = [self.fresh(a) if i in live else self.lift(a) for i, a in enumerate(args)]
            out = p.forward(F, *tensors, **{**p.defaults, **node.params})
        outs = out[: p.outputs] if isinstance(out, tuple) else (out,)
        grads = g if p.outputs > 1 else (g,)
        pairs = [(o.node, d) for o, d in zip(outs, grads) if o.node is not None and d is not None]
        nodes = [tensors[i].node for i in live]
        found = autograd.backward(
            [o for o, _ in pairs],
            [d for _, d in pairs],
            type(self)(self.backend),
            wanted=frozenset(nodes),
            stop=True,
            retain_graph=self.graph,
        )
        return [found.get(n) for n in nodes]

    def __init__(self, backend: Backend):
        super().__init__(backend.F, graph=False)
        self.array, self.backend = backend.array, backend


class TensorRules(ArrayRules):
    """Rules on tensors: every step is recorded, so that the gradient has a gradient."""

    def operand(self, name: str, value: Any, node: Node) -> Any:
        if isinstance(value, Tensor):
            check_unedited(value, node)
            return value
        if name == "y":
            check_output(node)
            if isinstance(value, tuple):
                ys = tuple(wrap(v) for v in value)
                for k, y in enumerate(ys):
                    y.node = part(node, k) if y.dtype.kind in "fc" else None
                return ys
            y = wrap(value)
            y.node = node
            return y
        if isinstance(value, tuple) and name != "shapes":
            return tuple(self.operand("", v, node) for v in value)
        return wrap(value) if hasattr(value, "shape") else value

    def fresh(self, value: Tensor) -> Tensor:
        y = apply(PRIMITIVES["alias"], value)
        y.node = y.node or leaf(y)
        return y

    def lift(self, value: Any) -> Any:
        return value

    def hooked(self, node: Node, g: Tensor) -> Tensor:
        for hook in list(node.hooks):
            g = _hook_result(hook(g), g)
        return g

    def space(self, g: Any) -> Any:
        return self.F

    def __init__(self, backend: Backend):
        autograd.Rules.__init__(self, F, graph=True)
        self.backend = backend


def _hook_result(result: Any, g: Tensor) -> Tensor:
    if result is None:
        return g
    result = result if isinstance(result, Tensor) else wrap(as_array(result, g.dtype))
    if result.shape != g.shape:
        raise ShapeError(f"hook: the gradient must keep its shape {g.shape}: the hook returned {result.shape}.")
    return result


def walk(
    outputs: Sequence[Tensor],
    grads: Sequence[Any],
    wanted: list[Node] | None,
    retain_graph: bool | None,
    create_graph: bool,
):
    """Check the arguments of a backward pass, run it, and return ({node: gradient}, the rules it ran with)."""
    roots, seeds = [], []
    for y, g in zip(outputs, grads, strict=True):
        if y.node is None:
            raise GradError(
                "backward: this tensor does not depend on any that requires a gradient, or was computed under no_grad(). "
                "Create the leaf with requires_grad=True and compute inside enable_grad()."
            )
        if g is None:
            if y.size != 1:
                raise GradError(
                    f"backward: only a scalar has a gradient by itself: this tensor is {y.shape}. Call .sum() or .mean() first, "
                    "or pass gradient= (dL/dself, of that shape)."
                )
            g = wrap(y.backend.xp.ones_like(y.array))
        else:
            g = g if isinstance(g, Tensor) else wrap(as_array(g, y.dtype))
            if g.shape != y.shape:
                raise ShapeError(f"backward: gradient must have the shape of the output: got {g.shape} for {y.shape}.")
            if g.dtype != y.dtype:
                g = g.astype(y.dtype)
        roots.append(y.node)
        seeds.append(g if create_graph else g.array)
    retain = create_graph if retain_graph is None else retain_graph
    rules = (TensorRules if create_graph else ArrayRules)(outputs[0].backend)
    with enable_grad() if create_graph else no_grad():
        found = autograd.backward(
            roots, seeds, rules, wanted=None if wanted is None else frozenset(wanted), retain_graph=retain
        )
    return found, rules


def grad(
    outputs: Any,
    inputs: Any,
    grad_outputs: Any = None,
    *,
    retain_graph: bool | None = None,
    create_graph: bool = False,
    allow_unused: bool = False,
    materialize_grads: bool = False,
) -> tuple[Tensor | None, ...]:
    """The gradients of the outputs (summed, weighted by grad_outputs) for the inputs; no ``.grad`` is touched.

    An input that the outputs do not depend on is an error, unless `allow_unused` (None) or `materialize_grads` (zeros).

    >>> x = Tensor(3.0, requires_grad=True)
    >>> (dy,) = grad(x**3, x, create_graph=True)
    >>> grad(dy, x)
    (tensor(18.),)
    """
    outputs = [outputs] if isinstance(outputs, Tensor) else list(outputs)
    inputs = [inputs] if isinstance(inputs, Tensor) else list(inputs)
    if grad_outputs is None:
        grad_outputs = [None] * len(outputs)
    elif not isinstance(grad_outputs, (list, tuple)):
        grad_outputs = [grad_outputs]
    if len(grad_outputs) != len(outputs):
        raise ShapeError(f"grad: one entry of grad_outputs per output: got {len(grad_outputs)} for {len(outputs)}.")
    nodes = [_noded(t, "grad") for t in inputs]
    found, _ = walk(outputs, grad_outputs, nodes, retain_graph, create_graph)
    results: list[Tensor | None] = []
    for i, (t, node) in enumerate(zip(inputs, nodes)):
        g = found.get(node)
        if g is None and materialize_grads:
            g = t.backend.xp.zeros_like(t.array)
        if g is None and not allow_unused:
            raise GradError(
                f"grad: the outputs do not depend on input {i} (shape {t.shape}). Pass allow_unused=True to get None for it."
            )
        results.append(g if g is None or isinstance(g, Tensor) else wrap(g))
    return tuple(results)


def _noded(t: Tensor, op: str) -> Node:
    if t.node is None:
        raise GradError(
            f"{op}: this tensor does not require a gradient (shape {t.shape}). Create it with requires_grad=True."
        )
    return t.node


# ---- modes ---------------------------------------------------------------------------------------------------------


class _Setting(ContextDecorator):
    """Context manager and decorator that changes the mode of this thread and context."""

    def __init__(self, **changes: Any):
        self.changes = changes
        self.tokens: list = []

    def __enter__(self) -> None:
        self.tokens.append(MODE.set(MODE.get().but(**self.changes)))

    def __exit__(self, *error: Any) -> None:
        MODE.reset(self.tokens.pop())

    def _recreate_cm(self) -> _Setting:
        return type(self)(**self.changes) if type(self) is _Setting else type(self)()


class no_grad(_Setting):
    """``with no_grad():`` or ``@no_grad()``: compute without recording."""

    def __init__(self) -> None:
        super().__init__(recording=False)


class enable_grad(_Setting):
    """``with enable_grad():`` records again inside a no_grad block."""

    def __init__(self) -> None:
        super().__init__(recording=True)


class set_grad_enabled(_Setting):
    """Recording on or off, by a flag: as a context manager, or at once as a call."""

    def __init__(self, mode: bool) -> None:
        super().__init__(recording=bool(mode))
        self.before = MODE.get()
        MODE.set(self.before.but(recording=bool(mode)))

    def __enter__(self) -> None:
        self.tokens.append(None)

    def __exit__(self, *error: Any) -> None:
        self.tokens.pop()
        MODE.set(MODE.get().but(recording=self.before.recording))


def is_grad_enabled() -> bool:
    return MODE.get().recording


def use_backend(name: str | Backend) -> _Setting:
    """``with use_backend("numpy"):`` compute on host arrays with this flavour, in this thread and context."""
    backend = get_backend(name)
    if backend.array is ndarray:
        return _Setting(host=backend, device=backend)
    return _Setting(device=backend)


def set_backend(name: str | Backend) -> None:
    """Where new tensors are made from now on, and, for a host backend, what computes on host arrays."""
    MODE.set(MODE.get().but(**use_backend(name).changes))


def set_default_dtype(dtype: Any) -> None:
    """The dtype of tensors made from Python floats: float32 unless set."""
    dtype = np.dtype(dtype)
    if dtype.kind != "f":
        raise DTypeError(f"set_default_dtype: must be a float dtype: got {dtype}.")
    MODE.set(MODE.get().but(default_dtype=dtype))


def get_default_dtype() -> Any:
    return MODE.get().default_dtype


# ---- every primitive as a function -----------------------------------------------------------------------------------


def function(p: Primitive) -> Callable:
    """The public function of a primitive: its signature, its docstring, and one call of `apply`."""
    inputs = [f"*{n}" if p.variadic and n == p.inputs[-1] else n + "=None" * (n in p.optional) for n in p.inputs]
    passed = [f"*{n}" if p.variadic and n == p.inputs[-1] else n for n in p.inputs]
    scope = {
        "_apply": apply,
        "_p": p,
        "_unpack": _unpacked,
        "_into": _into,
        **{f"_{k}": v for k, v in p.defaults.items()},
    }
    required = [k for k, v in p.defaults.items() if v is p.signature.empty]
    keywords = [k if k in required else f"{k}=_{k}" for k in sorted(p.defaults, key=lambda k: k not in required)]
    out = bool(p.inline)
    lines = [f"def {p.name}({', '.join([*inputs, *keywords, *(['*, out=None'] if out else [])])}):"]
    if p.variadic:
        lines.append(f"    {p.inputs[-1]} = _unpack({p.inputs[-1]})")
    call = f"_apply({', '.join(['_p', *passed, *(f'{k}={k}' for k in p.defaults)])})"
    lines.append(f"    return {call} if out is None else _into(out, {call}, _p)" if out else f"    return {call}")
    exec("\n".join(lines), scope)
    f = scope[p.name]
    f.__doc__, f.__module__, f.__qualname__ = p.doc, "minigrad", p.name
    return f


def _unpacked(arrays: tuple) -> tuple:
    """concat([a, b]) as well as concat(a, b)."""
    return tuple(arrays[0]) if len(arrays) == 1 and isinstance(arrays[0], (list, tuple)) else arrays


def _into(out: Tensor, y: Tensor, p: Primitive) -> Tensor:
    if not isinstance(out, Tensor):
        raise DTypeError(f"{p.name}: out must be a Tensor: got {type(out).__name__}.")
    return out.overwrite(y, p.name)


class TensorFunctions:
    """`F` for tensors: every primitive as its public function, made at first use."""

    def __getattr__(self, name: str) -> Callable:
        if name not in PRIMITIVES:
            raise AttributeError(f"F.{name}: there is no primitive of that name")
        self.__dict__[name] = f = function(PRIMITIVES[name])
        return f

    def zeros(self, *, shape: tuple, dtype: Any) -> Tensor:
        return wrap(MODE.get().device.xp.zeros(shape, dtype))

    def ones(self, *, shape: tuple, dtype: Any) -> Tensor:
        return wrap(MODE.get().device.xp.ones(shape, dtype))


F: Any = TensorFunctions()
