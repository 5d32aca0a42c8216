"""Tensor: an array, its gradient, and its place in the graph.

`apply` is the only way from tensors to arrays and back: it finds the backend's callable, runs it on the raw arrays,
wraps the result, and leaves a Node if a gradient may be asked for. Operators and functions are one-liners over it.
"""

from __future__ import annotations

import weakref
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy import ndarray

from .autograd import Node, tick
from .backend import Backend, backend_of
from .convert import CPU, FLOAT64, Device, as_array, constant, is_sequence_of_numbers
from .edits import Storage, link, written
from .errors import AxisError, DTypeError, GradError, ShapeError
from .explain import explained
from .mistakes import warn_once
from .mode import MODE, Mode
from .primitive import DECLARED, PRIMITIVES, Primitive, kind_of
from .signature import written_out

FLOAT16, FLOAT32, COMPLEX128 = np.dtype(np.float16), np.dtype(np.float32), np.dtype(np.complex128)
PRODUCTS = frozenset(("matmul", "linear", "convolution"))  # where data meets weights
FLOATING = frozenset(("same", "float", "real", "real float"))  # kinds of primitives whose output follows the inputs
NUMBERS = frozenset((int, float, bool, complex, type(None)))
new = object.__new__


def operator(name: str) -> tuple[Callable[[Any, Any], Tensor], ...]:
    """The methods ``x + y``, ``y + x`` and ``x += y`` of a primitive."""
    p = PRIMITIVES[name]
    return (
        lambda self, other: apply(p, self, other),
        lambda self, other: apply(p, other, self),
        lambda self, other: self._in_place(lambda a, b: apply(p, a, b), name, other),
    )


def unary(name: str) -> Callable[[Any], Tensor]:
    p = PRIMITIVES[name]
    return lambda self: apply(p, self)


class Tensor:
    """An n-dimensional array that remembers how it was made, so that gradients can be computed.

    ``Tensor(data)`` takes nested lists, numbers or arrays; Python's numbers become float32, integers too, as PyTorch's
    Tensor makes them (`tensor` leaves them int64); arrays keep their dtype. ``Tensor(2, 3)``, of several lengths, is
    memory of that shape with whatever it holds.
    With ``requires_grad=True``, ``backward()`` of anything computed from it fills ``.grad``.

    >>> x = Tensor([1.0, 2.0], requires_grad=True)
    >>> (x * x).sum().backward()
    >>> x.grad
    tensor([2., 4.])
    """

    __slots__ = ("__weakref__", "_grad", "array", "node", "source", "storage")
    __array_ufunc__: Any = None  # numpy_functions gives it: ndarray + Tensor is a Tensor, not an object array

    array: Any  # the raw array
    _grad: Any  # what .grad returns
    node: Any  # its Node, the place in the graph; None if no gradient passes
    storage: Storage | None  # shared by all tensors over one buffer; made by the first view or in-place edit
    source: tuple | None  # for a view: (tensor viewed, primitive, keywords)

    def __init__(self, data: Any = (), *lengths: int, dtype: Any = None, requires_grad: bool = False):
        if lengths:  # PyTorch's Tensor(2, 3): memory of that shape
            data = MODE.get().device.xp.empty((data, *lengths), dtype or MODE.get().default_dtype)
        array = as_array(data, dtype, copy=not lengths)
        if dtype is None and array.dtype.kind == "i" and is_sequence_of_numbers(data):
            array = array.astype(MODE.get().default_dtype)
        self.array = array
        self.node = self._grad = self.storage = self.source = None
        if requires_grad:
            self.requires_grad = True

    # -- operators -------------------------------------------------------------------------------------------------
    __add__, __radd__, __iadd__ = operator("add")
    __sub__, __rsub__, __isub__ = operator("subtract")
    __mul__, __rmul__, __imul__ = operator("multiply")
    __truediv__, __rtruediv__, __itruediv__ = operator("divide")
    __floordiv__, __rfloordiv__, __ifloordiv__ = operator("floor_divide")
    __mod__, __rmod__, __imod__ = operator("remainder")
    __pow__, __rpow__, __ipow__ = operator("power")
    __matmul__, __rmatmul__, __imatmul__ = operator("matmul")
    __and__, __rand__, __iand__ = operator("bitwise_and")
    __or__, __ror__, __ior__ = operator("bitwise_or")
    __xor__, __rxor__, __ixor__ = operator("bitwise_xor")
    __lshift__, __rlshift__, __ilshift__ = operator("bitwise_left_shift")
    __rshift__, __rrshift__, __irshift__ = operator("bitwise_right_shift")
    __eq__, __ne__ = operator("equal")[0], operator("not_equal")[0]  # type: ignore[assignment]
    __lt__, __le__ = operator("less")[0], operator("less_equal")[0]
    __gt__, __ge__ = operator("greater")[0], operator("greater_equal")[0]
    __neg__, __pos__, __abs__, __invert__ = map(unary, ("negative", "positive", "abs", "bitwise_invert"))

    def __divmod__(self, other: Any) -> tuple[Tensor, Tensor]:
        return self // other, self % other

    def __rdivmod__(self, other: Any) -> tuple[Tensor, Tensor]:
        return other // self, other % self

    __hash__ = object.__hash__  # type: ignore[assignment]

    if TYPE_CHECKING:  # what the files above this one add: protocols, inplace, gradients, methods (one per primitive)

        def __getattr__(self, name: str) -> Any: ...
        def backward(self, gradient: Any = None, *, retain_graph: Any = None, create_graph: bool = False) -> None: ...
        def __getitem__(self, key: Any) -> Tensor: ...
        def __setitem__(self, key: Any, value: Any) -> None: ...
        def __len__(self) -> int: ...
        def __iter__(self) -> Iterator[Tensor]: ...
        def __contains__(self, value: Any) -> bool: ...
        def __bool__(self) -> bool: ...
        def __float__(self) -> float: ...
        def __int__(self) -> int: ...
        def __index__(self) -> int: ...

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
        if value and kind_of(self.array.dtype) not in "fc":
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
        if self._grad is None and self.node is not None and not self.is_leaf and self.node.owner is None:
            warn_once(self.explain_grad())
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
                f"grad is None: this tensor was computed (by {self.node.name}), and only leaves keep gradients. "
                "Call .retain_grad() on it before backward()."
            )
        return (
            "grad is None: no backward() has reached this tensor. Was backward() called, on a result computed from "
            "it, outside "
            "no_grad, with no detach() in between, and after the last zero_grad()?"
        )

    def retain_grad(self) -> None:
        """Have backward() fill ``.grad`` of this computed tensor too."""
        noded(self, "retain_grad").owner = weakref.ref(self)

    def register_hook(self, hook: Callable[[Tensor], Tensor | None]) -> Handle:
        """Call `hook` with dL/dself whenever it is computed; what it returns, if not None, replaces the gradient."""
        node = noded(self, "register_hook")
        node.hooks = node.hooks or []
        node.hooks.append(hook)
        return Handle(node.hooks, hook)

    def detach(self) -> Tensor:
        """The same array, outside the graph: gradients stop here. Shares memory."""
        y = wrap(self.array.stopped() if MODE.get().levels and hasattr(self.array, "stopped") else self.array)
        link(y, self, None, {})
        return y

    def requires_grad_(self, requires_grad: bool = True) -> Tensor:
        self.requires_grad = requires_grad
        return self

    # -- data ------------------------------------------------------------------------------------------------------
    @property
    def data(self) -> Tensor:
        """This tensor outside the graph, sharing memory. Assigning replaces the array and keeps the place in the
        graph."""
        return self.detach()

    @data.setter
    def data(self, value: Any) -> None:
        array = as_array(value)
        if self.node is not None and array.shape != self.node.shape:
            raise ShapeError(f"data: must keep the shape {self.shape} of a tensor with a gradient: got {array.shape}.")
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
    def device(self) -> Device:
        return CPU if type(self.array) is ndarray else Device(self.backend.name)

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
    def size(self) -> Count:
        count = Count(self.array.size)
        count.shape = self.array.shape
        return count

    @property
    def nbytes(self) -> int:
        return self.array.nbytes


class Count(int):
    """``x.size``: how many elements, as NumPy's; and as PyTorch's method, ``x.size()`` is the shape, ``x.size(0)`` one
    length."""

    shape: tuple

    def __call__(self, dim: int | None = None) -> Any:
        if dim is None:
            return self.shape
        try:
            return self.shape[dim]
        except IndexError:
            raise AxisError(f"size: dim {dim} is out of range for shape {self.shape}.") from None


def noded(t: Tensor, op: str) -> Node:
    """The node of a tensor that must have one."""
    if t.node is None:
        raise GradError(
            f"{op}: this tensor does not require a gradient (shape {t.shape}). Create it with requires_grad=True."
        )
    return t.node


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
    if mode.detour is not None:
        return mode.detour(prim, args, params)
    n = len(args)
    if n == 1 and isinstance(a := args[0], Tensor):  # the loop below, written out for what nearly all calls are
        arrays: Any = (array := a.array,)
        parents: Any = (a.node,)
        key, bit = int(a.node is not None), 2
    elif n == 2 and isinstance(a := args[0], Tensor) and isinstance(b := args[1], Tensor):
        arrays = (a.array, array := b.array)
        parents = (a.node, b.node)
        key, bit = (a.node is not None) + 2 * (b.node is not None), 4
    else:
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
    try:
        run = prim.impl[backend]
    except KeyError:
        run = backend.resolve(prim)
    if prim.fused and key and mode.recording and not prim.rules and prim.kernels.get(backend.name) is None:
        out = prim.forward(F, *args, **params)  # the body, recorded step by step
        return out[: prim.outputs] if prim.outputs > 1 else out[0] if prim.saves else out
    try:
        out = run(*arrays, **params) if params else run(*arrays)  # no empty dict is copied
    except Exception as error:
        unsupported = isinstance(error, TypeError) and prim.kind != "same"
        out = of_floats(prim, run, arrays, params, mode) if unsupported else None
        if out is None:
            raise explained(prim, error, arrays, params) from None
    outs = out if type(out) is tuple else (out,)
    if not outs:  # unstacked along an axis of length 0
        return outs
    out, kind = outs[0], type(outs[0])
    if kind is not ndarray and isinstance(out, np.generic) and backend.array is ndarray:
        out, kind = np.asarray(out), ndarray  # NumPy's functions return scalars where arrays are 0-d
        outs = (out, *outs[1:])
    if kind is not type(array) or (((dtype := out.dtype) is FLOAT64 or dtype is FLOAT16) and prim.kind):
        if (
            kind is ndarray
            and len(outs) == 1
            and array.dtype.kind in "bui"
            and (wide := of_floats(prim, run, arrays, params, mode, out)) is not None
        ):
            outs = wide
        outs = settled(prim, outs, arrays, backend, mode)
        out = outs[0]
    if prim.outputs > 1:
        return several(prim, key | bit, args, parents, outs, params, mode.recording and key)
    y = new(Tensor)
    y.array = out
    y._grad = y.storage = y.source = None
    y.node = record(prim, key | bit, args, parents, outs, params) if key and mode.recording else None
    if prim.view and isinstance(args[0], Tensor):
        link(y, args[0], prim, params)
    return y


def record(prim: Primitive, key: int, args: tuple, parents: Sequence, outs: tuple, params: dict) -> Node | None:
    """The node of one application, holding what its rules need and nothing else."""
    try:
        plan = prim.plans[key]
    except KeyError:
        plan = prim.plan(key)
    if plan is None:
        return None
    saved = plan.pick(outs + args) if plan.names else ()
    if plan.keeps_shapes:
        saved += (prim.shapes([getattr(a, "shape", None) for a in args]),)
    out, node = outs[0], new(Node)  # Node(...), written out: to call a class takes as long as to fill the fields
    node.plan, node.inputs, node.saved, node.params = plan, parents, saved, params
    node.shape, node.dtype, node.order = out.shape, out.dtype, tick()
    node.hooks = node.owner = node.edited = node.part = None
    return node


def several(prim: Primitive, key: int, args: tuple, parents: Any, outs: tuple, params: dict, recording: Any) -> tuple:
    """The outputs of a primitive that has several: one node, and a part of it for each output with a gradient."""
    ys = tuple(wrap(out) for out in outs[: prim.outputs])  # behind them: what is saved
    node = record(prim, key, args, parents, outs, params) if recording else None
    if node is not None:
        node.shape, node.dtype = tuple(y.shape for y in ys), tuple(y.dtype for y in ys)
        for k, y in enumerate(ys):
            if kind_of(y.dtype) in "fc":
                y.node = part(node, k)
    return ys


def part(node: Node, k: int) -> Node:
    y = Node(None, (node,), (), {}, node.shape[k], node.dtype[k])
    y.part = k
    return y


def of_floats(
    prim: Primitive, run: Callable, arrays: Sequence, params: dict, mode: Mode, found: ndarray | None = None
) -> Any:
    """run on booleans and integers as default floats: of small ones NumPy would make float16 or nothing, and of
    unsigned ones -x is another number. None where operands are others, or the primitive is none that makes floats."""
    kinds = {a.dtype.kind for a in arrays if hasattr(a, "dtype")}
    if prim.kind not in FLOATING or not kinds or kinds - set("biu"):
        return None
    if found is not None and not (found.dtype is FLOAT16 or (found.dtype.kind == "f" and "u" in kinds)):
        return None
    try:
        return run(*(a.astype(mode.default_dtype) if hasattr(a, "dtype") else a for a in arrays), **params)
    except Exception:  # the first error says it better
        return None


def settled(prim: Primitive, out: Any, arrays: Sequence, backend: Backend, mode: Mode) -> tuple:
    """The outputs of a run as arrays, in the dtype minigrad promises: integers that meet floats do not widen them."""
    outs = out if type(out) is tuple else (out,)
    if prim.kind == "device":
        return outs
    if not all([isinstance(o, backend.array) for o in outs]):
        outs = tuple(backend.xp.asarray(o) for o in outs)
    if prim.kind in FLOATING and outs[0].dtype == FLOAT64 != mode.default_dtype:
        dtypes = [a.dtype for a in arrays if hasattr(a, "dtype")]
        if FLOAT64 not in dtypes and COMPLEX128 not in dtypes:  # the modulus of complex128 is float64
            floats = [d for d in dtypes if d.kind == "f"]
            narrow = np.result_type(*floats) if floats else mode.default_dtype
            outs = tuple(o.astype(narrow) if o.dtype == FLOAT64 else o for o in outs)
        elif FLOAT32 in dtypes and prim.name in PRODUCTS:
            warn_once(
                f"{prim.name}: data and weights should have one dtype: got float32 and float64, so that all that "
                "follows is float64, at half the speed. NumPy makes float64 arrays unless told: pass "
                "x.astype('float32'), or call model.double()."
            )
    return outs


def elsewhere(mode: Mode, arrays: Sequence, array: Any) -> tuple[Backend, Sequence, Any]:
    """The backend where the operands are not host arrays: numbers only, or another device's."""
    if array is None:
        arrays = [a if a is None else mode.device.asarray(as_array(a)) for a in arrays]
        array = next((a for a in arrays if a is not None), None)
        if array is None:  # no operand at all: the forward fails, and the shape rule says why
            return mode.device, arrays, None
    return mode.host if type(array) is ndarray else backend_of(array), arrays, array


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


# ---- every primitive as a function -----------------------------------------------------------------------------------


def function(p: Primitive) -> Callable:
    """The public function of a primitive: its signature, its docstring, and one call of `apply`."""
    return written_out(p, apply)


class TensorFunctions:
    """`F` for tensors: every primitive as its public function, made at first use."""

    def __getattr__(self, name: str) -> Callable:
        if name not in PRIMITIVES:
            raise AttributeError(f"F.{name}: there is no primitive of that name")
        self.__dict__[name] = f = function(PRIMITIVES[name])
        return f

    def zeros(self, *, shape: tuple, dtype: Any, like: Tensor | None = None) -> Tensor:
        return wrap((MODE.get().device if like is None else like.backend).xp.zeros(shape, dtype))

    def ones(self, *, shape: tuple, dtype: Any) -> Tensor:
        return wrap(MODE.get().device.xp.ones(shape, dtype))


F: Any = TensorFunctions()
DECLARED.append(lambda p: F.__dict__.pop(p.name, None))
