"""Arrays that note what is done to them.

While a model is traced, `TRACE` is the backend of all arrays: each primitive computes its result as ever, and the
application is noted, with the layer it happened in. Primitives that ONNX has no node for are noted as what their body
is made of. Values that depend neither on an input nor on a parameter are computed and become constants. Nothing here
knows ONNX, and nothing outside knows of the trace.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, NamedTuple

import numpy as np

from ..backend import Backend, register_arrays
from ..convert import index
from ..errors import BackendError, TraceError
from ..mode import MODE, Mode
from ..primitive import Primitive
from ..tensor import Tensor, apply, wrap


class Value(NamedTuple):
    """An array in the record: what it is and where it comes from, without its elements."""

    id: int
    kind: str  # "input", "parameter", "literal", "computed"
    shape: tuple
    dtype: Any
    name: str  # of a parameter
    data: Any  # elements of a parameter or literal


class Entry(NamedTuple):
    """One application of a primitive."""

    primitive: str
    inputs: tuple  # Values, numbers and None
    params: dict[str, Any]
    outputs: tuple[Value, ...]
    layer: str  # the path of the layer it happened in, "layers.0.linear1"


class Traced:
    """An array (`host`) and its place in the record (`value`)."""

    __slots__ = ("__weakref__", "host", "value", "viewed")
    __array_ufunc__ = None
    __hash__ = None  # type: ignore[assignment]
    base = None

    def __init__(self, host: np.ndarray, value: Value):
        self.host, self.value, self.viewed = host, value, False

    shape = property(lambda self: self.host.shape)
    dtype = property(lambda self: self.host.dtype)
    ndim = property(lambda self: self.host.ndim)
    size = property(lambda self: self.host.size)
    nbytes = property(lambda self: self.host.nbytes)
    itemsize = property(lambda self: self.host.itemsize)

    @property
    def T(self) -> Traced:
        return TRACE.F.permute_dims(self)

    def __len__(self) -> int:
        return len(self.host)

    def __getitem__(self, key: Any) -> Traced:
        key, arrays = index(key)
        return TRACE.F.getitem(self, *arrays, key=key)

    def __setitem__(self, key: Any, value: Any) -> None:
        """x += y on an array of its own; the views of an array would not follow."""
        new = current().lift(value)
        if key is not Ellipsis or self.viewed or not isinstance(new, Traced) or new.shape != self.shape:
            raise TraceError(
                f"onnx.export: {current().place} edits part of an array in place, which cannot be exported. Write "
                "it out of place, with where or concat."
            )
        new = new if new.dtype == self.dtype else new.astype(self.dtype)
        self.host, self.value = new.host, new.value

    def astype(self, dtype: Any, copy: bool = True) -> Traced:
        return self if self.dtype == dtype and not copy else TRACE.F.astype(self, dtype=np.dtype(dtype))

    def reshape(self, *shape: Any) -> Traced:
        return TRACE.F.reshape(self, shape=shape[0] if isinstance(shape[0], tuple) else shape)

    def copy(self) -> Traced:
        return self

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_") or not callable(getattr(np.ndarray, name, None)):
            raise AttributeError(f"Traced has no {name!r}")
        if self.value.kind != "literal":
            raise looked()
        return getattr(self.host, name)

    def __array__(self, *args: Any, **kwargs: Any) -> Any:
        raise looked()

    def _refuse(self, *args: Any) -> Any:
        raise looked()

    __bool__ = __float__ = __int__ = __index__ = __complex__ = __iter__ = __contains__ = _refuse


def looked() -> TraceError:
    place = current().place
    return TraceError(
        f"onnx.export: {place} looks at the elements of an array that depends on the inputs: what it decides by them "
        "would be frozen. Use where in place of if, and leave out what makes NumPy arrays."
    )


OPERATORS = {
    "add": "add", "sub": "subtract", "mul": "multiply", "truediv": "divide", "floordiv": "floor_divide",
    "mod": "remainder", "pow": "power", "matmul": "matmul", "and": "bitwise_and", "or": "bitwise_or",
    "xor": "bitwise_xor", "lshift": "bitwise_left_shift", "rshift": "bitwise_right_shift", "eq": "equal",
    "ne": "not_equal", "lt": "less", "le": "less_equal", "gt": "greater", "ge": "greater_equal",
}  # fmt: skip


def _binary(primitive: str, reflected: bool) -> Callable:
    if reflected:
        return lambda self, other: getattr(TRACE.F, primitive)(other, self)
    return lambda self, other: getattr(TRACE.F, primitive)(self, other)


def _unary(primitive: str) -> Callable:
    return lambda self: getattr(TRACE.F, primitive)(self)


for _sign, _primitive in OPERATORS.items():
    setattr(Traced, f"__{_sign}__", _binary(_primitive, False))
    setattr(Traced, f"__r{_sign}__", _binary(_primitive, True))
for _sign, _primitive in {"neg": "negative", "abs": "abs", "invert": "bitwise_invert"}.items():
    setattr(Traced, f"__{_sign}__", _unary(_primitive))


class Recorder:
    """The record of one run. parameters: (name, tensor) of what the model holds; nodes: does ONNX have nodes for this
    application? expansions: what some primitives are made of, where their declaration does not say."""

    def __init__(
        self,
        parameters: Iterable[tuple[str, Tensor]],
        nodes: Callable[[str, tuple, dict], bool],
        expansions: dict[str, Callable],
    ):
        self.mode: Mode = MODE.get()
        self.nodes, self.expansions = nodes, expansions
        self.entries: list[Entry] = []
        self.layers: list[tuple[str, str]] = []  # (path, class) of the layers that run, the innermost last
        self.count = 0
        self.parameters: dict[int, Traced] = {}
        for name, t in parameters:
            if not isinstance(t.array, np.ndarray):
                raise BackendError(f'onnx.export: {name} is on {t.device}. Move the model with .to("cpu") first.')
            self.parameters[id(t.array)] = self.new(t.array, "parameter", name)
        self.literals: dict[int, Traced] = {}

    def new(self, host: np.ndarray, kind: str, name: str = "") -> Traced:
        self.count += 1
        data = host if kind in ("parameter", "literal") else None
        return Traced(host, Value(self.count, kind, host.shape, host.dtype, name, data))

    def lift(self, a: Any) -> Any:
        """An operand as it is noted: arrays of the host are parameters or literals; numbers and None stay."""
        if isinstance(a, np.generic):
            a = np.asarray(a)
        if not isinstance(a, np.ndarray):
            return a
        if id(a) in self.parameters:
            return self.parameters[id(a)]
        if id(a) not in self.literals:
            self.literals[id(a)] = self.new(a, "literal")  # it keeps `a`, so that no other array gets its id
        return self.literals[id(a)]

    def run(self, p: Primitive, args: tuple, params: dict) -> Any:
        """What the backend does for a primitive."""
        args, params = tuple(self.lift(a) for a in args), {**p.defaults, **params}
        if p.kind == "device" or p.name in ("copy", "alias"):
            return args[0]
        traced = [a for a in args if isinstance(a, Traced)]
        if p.name in ("zeros_like", "ones_like") or all(a.value.kind == "literal" for a in traced):
            outs = self.computed(p, args, params)
            return self.given_back(p, [self.new(o, "literal") for o in outs])
        if self.nodes(p.name, args, params):
            return self.given_back(p, self.noted(p.name, args, params, self.computed(p, args, params)))
        if p.name in self.expansions:
            return self.expansions[p.name](TRACE.F, *args, **params)
        if p.fused or p.replaces:
            if p.checked:
                p.shape(p.name, *args, **params)
            try:
                out = p.forward(TRACE.F, *args, **params)
            except AttributeError as error:  # its body asks the array library for what is no primitive
                raise self._inexpressible(p) from error
            return out[: p.outputs] if p.outputs > 1 else out[0] if isinstance(out, tuple) else out
        raise self._inexpressible(p)

    def _inexpressible(self, p: Primitive) -> TraceError:
        return TraceError(
            f"onnx.export: {self.place} uses the primitive {p.name}, which cannot be expressed in ONNX. Replace the "
            "layer, or leave it out of what is exported."
        )

    @property
    def layer(self) -> str:
        return self.layers[-1][0] if self.layers else ""

    @property
    def place(self) -> str:
        """The innermost layer in words."""
        path, kind = self.layers[-1] if self.layers else ("", "")
        return f"layer {path} ({kind})" if path else kind or "the function"

    def computed(self, p: Primitive, args: tuple, params: dict) -> list[np.ndarray]:
        token = MODE.set(self.mode)
        try:
            out = apply(p, *(wrap(a.host) if isinstance(a, Traced) else a for a in args), **params)
        finally:
            MODE.reset(token)
        return [t.numpy() for t in (out if isinstance(out, tuple) else (out,))]

    def noted(self, primitive: str, args: tuple, params: dict, outs: Iterable[np.ndarray]) -> list[Traced]:
        made = [self.new(o, "computed") for o in outs]
        inputs = tuple(a.value if isinstance(a, Traced) else a for a in args)
        self.entries.append(Entry(primitive, inputs, params, tuple(y.value for y in made), self.layer))
        return made

    @staticmethod
    def given_back(p: Primitive, outs: list[Traced]) -> Any:
        return tuple(outs) if p.outputs > 1 else outs[0]


RECORDER: ContextVar[Recorder] = ContextVar("the record being made")


def current() -> Recorder:
    try:
        return RECORDER.get()
    except LookupError:
        raise TraceError(
            "onnx.export: this array belongs to an export that is over: the model has kept it. Let the model forget "
            "what it kept (a cache, a last output), or export a copy of it."
        ) from None


@contextmanager
def recording(recorder: Recorder) -> Iterator[None]:
    """Whatever is computed inside goes into the record."""
    tokens = RECORDER.set(recorder), MODE.set(recorder.mode.but(host=TRACE, device=TRACE, recording=False))
    try:
        with np.errstate(all="ignore"):  # where computes both sides
            yield
    finally:
        MODE.reset(tokens[1])
        RECORDER.reset(tokens[0])


class Creation:
    """`xp` of traced arrays: what makes arrays makes literals. Checks may look at the smallest and largest element."""

    def __getattr__(self, name: str) -> Any:
        function = getattr(np, name)

        def run(*args: Any, **kwargs: Any) -> Any:
            seen = [a for a in (*args, *kwargs.values()) if isinstance(a, Traced)]
            if name == "may_share_memory":
                return False
            if not (name in ("min", "max") or name.endswith("_like") or all(a.value.kind == "literal" for a in seen)):
                raise looked()
            open_ = lambda a: a.host if isinstance(a, Traced) else a
            out = function(*map(open_, args), **{k: open_(v) for k, v in kwargs.items()})
            made = isinstance(out, np.ndarray) and name not in ("min", "max")
            return current().new(out, "literal") if made else out

        return run


class TraceBackend(Backend):
    """Computes on the host as before, and notes it."""

    def __init__(self) -> None:
        super().__init__("onnx", Creation(), Traced)

    def resolve(self, p: Primitive) -> Callable:
        p.impl[self] = run = lambda *arrays, **params: self._run(p, arrays, params)
        return run

    @staticmethod
    def _run(p: Primitive, arrays: tuple, params: dict) -> Any:
        if p.view and isinstance(arrays[0], Traced):
            arrays[0].viewed = True
        out = current().run(p, arrays, params)
        if p.view and isinstance(out, Traced):
            out.viewed = True
        return out

    def asarray(self, data: Any, dtype: Any = None, copy: bool | None = None) -> Traced:
        array = data if isinstance(data, Traced) else current().lift(np.array(data, dtype=dtype, copy=copy))
        return array if dtype is None else array.astype(dtype, copy=False)

    def to_host(self, array: Any) -> np.ndarray:
        if isinstance(array, Traced) and array.value.kind in ("input", "computed"):
            raise looked()
        return array.host if isinstance(array, Traced) else np.asarray(array)

    def shares_memory(self, a: Any, b: Any) -> bool:
        return False


TRACE: TraceBackend = TraceBackend()
register_arrays(TRACE)
