"""The ONNX graph under construction, and the table of what primitives become.

A converter is ``f(g, e) -> name`` (or names): it adds nodes to the graph `g` for the entry `e` of a record and returns
the name of the result. It receives inputs as Values, numbers or None, and asks `g.name` for their names.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from types import SimpleNamespace
from typing import Any, NamedTuple

import numpy as np

from ..errors import DTypeError, TraceError
from ..primitive import PRIMITIVES
from .lengths import Dim, Repeated, Steps
from .trace import Entry, Value

INT64 = np.dtype(np.int64)


class Converter(NamedTuple):
    convert: Callable[[Graph, Any], Any]
    when: Callable[..., bool]  # when(*inputs, opset=, **params)


CONVERTERS: dict[str, Converter] = {}
EXPANSIONS: dict[str, Callable] = {}  # primitive -> body(F, *inputs, **params), where there is no node


def always(*inputs: Any, **params: Any) -> bool:
    return True


def converts(*primitives: str, when: Callable[..., bool] = always) -> Callable[[Callable], Callable]:
    """Decorator: the function adds the nodes for these primitives, for the calls that `when` admits."""

    def declare(convert: Callable) -> Callable:
        CONVERTERS.update(dict.fromkeys(primitives, Converter(convert, when)))
        return convert

    return declare


def expands(primitive: str) -> Callable[[Callable], Callable]:
    """Decorator: the function is the body of a primitive that has none."""
    return lambda body: EXPANSIONS.setdefault(primitive, body)


class Graph:
    """Nodes and initializers. sources: {dynamic axis: (name of an input, number of its axis)}."""

    def __init__(self, onnx: Any, opset: int, sources: dict[str, tuple[str, int]]):
        self.onnx, self.opset, self.sources = onnx, opset, sources
        self.nodes: list[Any] = []
        self.initializers: dict[str, np.ndarray] = {}
        self.names: dict[int, str] = {}  # id of a Value -> its name in the graph
        self.makers: dict[int, Any] = {}  # id of a Value -> the entry that made it, opened
        self.taken: set[str] = set()
        self.constants: dict[tuple, str] = {}
        self.known: dict[Any, str] = {}  # sizes and casts made before
        self.layer = ""

    # -- nodes -------------------------------------------------------------------------------------------------------
    def node(self, op: str, *inputs: str, outputs: int = 1, **attributes: Any) -> Any:
        """A new node; the name of its output, or names."""
        made = [self.fresh(f"{self.layer.replace('.', '/')}/{op}".lstrip("/")) for _ in range(outputs)]
        attributes = {k: v for k, v in attributes.items() if v is not None}
        self.nodes.append(self.onnx.helper.make_node(op, inputs, made, name=made[0], **attributes))
        return made[0] if outputs == 1 else tuple(made)

    def fresh(self, wanted: str) -> str:
        name, k = wanted, 1
        while name in self.taken:
            name, k = f"{wanted}_{k}", k + 1
        self.taken.add(name)
        return name

    def add(self, e: Entry) -> None:
        """The nodes of one entry."""
        self.layer = e.layer
        view = opened(e)
        made = CONVERTERS[e.primitive].convert(self, view)
        for value, name in zip(e.outputs, (made,) if isinstance(made, str) else made):
            self.names[value.id], self.makers[value.id] = name, view

    def maker(self, x: Any) -> Any:
        """The entry that made a value, opened; None for numbers, parameters and the like."""
        return self.makers.get(x.id) if isinstance(x, Value) else None

    # -- operands ----------------------------------------------------------------------------------------------------
    def name(self, x: Any, dtype: Any = None) -> str:
        """The name of an operand, in another dtype if one is given."""
        if not isinstance(x, Value):
            if isinstance(x, Dim):
                return self.cast(self.node("Squeeze", self.length(x)), INT64, dtype or INT64)
            return self.constant(np.asarray(x, dtype))
        if x.id not in self.names:
            self.names[x.id] = self.stored(x)
        if dtype is None or x.dtype == dtype:
            return self.names[x.id]
        if x.kind == "literal" and isinstance(x.data, np.ndarray):
            return self.constant(x.data.astype(dtype))
        return self.cast(self.names[x.id], x.dtype, dtype)

    def cast(self, name: str, old: Any, new: Any) -> str:
        if old == new:
            return name
        if (name, new) not in self.known:
            self.known[name, new] = self.node("Cast", name, to=self.type(new))
        return self.known[name, new]

    def type(self, dtype: Any) -> int:
        if dtype.kind not in "biuf":
            raise DTypeError(f"onnx.export: there are no nodes for {dtype} (in {self.layer or 'the model'}).")
        return self.onnx.helper.np_dtype_to_tensor_dtype(np.dtype(dtype))

    def stored(self, x: Value) -> str:
        """A parameter or literal in the graph."""
        if isinstance(x.data, Repeated):
            once = x.data.once
            if (once == once.reshape(-1)[0]).all():
                return self.fill(x.shape, once.reshape(-1)[0], x.dtype)
            return self.node("Expand", self.constant(once), self.ints(x.shape))
        if isinstance(x.data, Steps):
            length = self.node("Squeeze", self.length(x.shape[0]))
            steps = self.node("Range", self.name(0, INT64), length, self.name(1, INT64))
            scaled = self.node("Mul", self.cast(steps, INT64, x.dtype), self.constant(np.asarray(x.data.step, x.dtype)))
            return self.node("Add", scaled, self.constant(np.asarray(x.data.start, x.dtype)))
        if x.kind != "parameter":
            return self.constant(x.data)
        self.type(x.dtype)
        name = self.fresh(x.name)
        self.initializers[name] = x.data
        return name

    def constant(self, array: np.ndarray) -> str:
        key = (array.dtype.str, array.shape, array.tobytes())
        if key not in self.constants:
            self.type(array.dtype)
            self.constants[key] = self.fresh("constant")
            self.initializers[self.constants[key]] = array
        return self.constants[key]

    def fill(self, shape: Iterable[int], element: Any, dtype: Any) -> str:
        """An array of this shape, every element the same."""
        shape = tuple(shape)
        if not any(isinstance(n, Dim) for n in shape):
            return self.constant(np.full(shape, element, dtype))
        value = self.onnx.numpy_helper.from_array(np.asarray(element, dtype).reshape(1))
        return self.node("ConstantOfShape", self.ints(shape), value=value)

    # -- lengths -----------------------------------------------------------------------------------------------------
    def ints(self, numbers: Iterable[int]) -> str:
        """A 1-d int64 array of these numbers, some of which may follow dynamic axes."""
        numbers = tuple(numbers)
        if not any(isinstance(n, Dim) for n in numbers):
            return self.constant(np.array(numbers, np.int64))
        return self.concatenated([self.length(n) for n in numbers])

    def concatenated(self, parts: list[str]) -> str:
        return parts[0] if len(parts) == 1 else self.node("Concat", *parts, axis=0)

    def length(self, n: int) -> str:
        """A number as an array of shape (1,)."""
        if not isinstance(n, Dim):
            return self.constant(np.array([n], np.int64))
        if n.formula is None:
            raise TraceError(
                f"onnx.export: a length in {self.layer or 'the model'} depends on dynamic axes in a way that is not "
                "understood. Leave that axis fixed."
            )
        if n.formula not in self.known:
            offset, factor, axes = n.formula
            name = self.axis(axes[0])
            for axis in axes[1:]:
                name = self.node("Mul", name, self.axis(axis))
            name = name if factor == 1 else self.node("Mul", name, self.ints((factor,)))
            self.known[n.formula] = self.node("Add", name, self.ints((offset,))) if offset else name
        return self.known[n.formula]

    def axis(self, name: str) -> str:
        """The length of a dynamic axis."""
        if ("axis", name) not in self.known:
            source, axis = self.sources[name]
            self.known["axis", name] = self.node("Shape", source, start=axis, end=axis + 1)
        return self.known["axis", name]

    def shape(self, name: str, old: tuple, new: tuple) -> str:
        """Reshape from a shape to another; at most one length has to be inferred, and equal ones are copied."""
        unknown = [i for i, n in enumerate(new) if isinstance(n, Dim)]
        if len(unknown) == 1 and 0 not in new:
            return self.node("Reshape", name, self.ints(-1 if i in unknown else n for i, n in enumerate(new)))
        return self.node("Reshape", name, self.ints(new), allowzero=1 if 0 in new else None)

    def transpose(self, name: str, order: Iterable[int]) -> str:
        order = list(order)
        return name if order == sorted(order) else self.node("Transpose", name, perm=order)

    def squeeze(self, name: str, axes: Iterable[int]) -> str:
        axes = tuple(axes)
        return self.node("Squeeze", name, self.ints(axes)) if axes else name

    def unsqueeze(self, name: str, axes: Iterable[int]) -> str:
        axes = tuple(axes)
        return self.node("Unsqueeze", name, self.ints(axes)) if axes else name


def opened(e: Entry) -> Any:
    """An entry with its inputs and params as attributes, under the names of the declaration; y is its first output."""
    p = PRIMITIVES.get(e.primitive)
    names = p.inputs[: len(p.inputs) - p.variadic] if p else ()
    return SimpleNamespace(**e._asdict(), **e.params, **dict(zip(names, e.inputs)), y=e.outputs[0])
