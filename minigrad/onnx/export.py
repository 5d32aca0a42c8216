"""export: from a model and example inputs to an ONNX file."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any

import numpy as np

from .. import _version
from ..convert import as_array
from ..errors import ArgumentError, DataError, DTypeError, MinigradError, TraceError
from ..extras import require
from ..io import atomic_write
from ..mode import no_grad
from ..nn import BatchNorm1d, BatchNorm2d, BatchNorm3d, Module
from ..random import default_generator
from ..tensor import Tensor, wrap
from . import elementwise, layers, shaping  # noqa: F401  these fill CONVERTERS
from .graph import CONVERTERS, EXPANSIONS, Graph
from .lengths import Dim, Lengths
from .trace import Recorder, Value, recording

OPSETS = range(18, 24)  # 18: axes of reductions are inputs; later ones are not tested
LARGEST = 2**31 - 1  # bytes of a protocol buffer


def export(
    model: Callable,
    args: Any,
    path: str | os.PathLike | None = None,
    *,
    input_names: Sequence[str] | None = None,
    output_names: Sequence[str] | None = None,
    dynamic_axes: Mapping[str, Any] | None = None,
    dynamic_batch: bool = False,
    opset_version: int = 20,
    kwargs: Mapping[str, Any] | None = None,
) -> Any:
    """Write a model as it behaves in eval() to an ONNX file; returns the onnx.ModelProto, also without a path.

    model: a Module, or any function of tensors. args: one example input, or a tuple; tensors may stand in tuples, lists
    and dicts, and everything else (flags, None) is fixed. Parameters and buffers keep their names in state_dict.
    dynamic_batch: axis 0 of every input and output may have any length, "batch"; dynamic_axes says it axis by axis, as
    in PyTorch: ``{"x": {0: "batch", 1: "time"}}``, or a list of axes, and axes of one name have one length. The other
    lengths are those of the example. Names are "input", "output", numbered if there are several, unless given.

    The model is run, several times with dynamic axes; it is not changed. A branch on the values of an input, a mask as
    an index, and whatever ONNX has no nodes for is a TraceError that says which layer and primitive; float64 is
    exported as such, which few runtimes compute. Needs the extra "onnx". https://onnx.ai/onnx/operators

    >>> from minigrad import nn, onnx, ones
    >>> made = onnx.export(nn.Sequential(nn.Linear(4, 8), nn.ReLU()), ones(2, 4), dynamic_batch=True)
    >>> [node.op_type for node in made.graph.node], [w.name for w in made.graph.initializer]
    (['Gemm', 'Relu'], ['0.weight', '0.bias'])
    """
    onnx = require("onnx", extra="onnx", use="onnx.export")
    if opset_version not in OPSETS:
        raise ArgumentError(f"onnx.export: opset_version must be from 18 to {OPSETS[-1]}: got {opset_version}.")
    arguments = (args if isinstance(args, tuple) else (args,), dict(kwargs or {}))
    examples = list(_tensors(arguments))
    if not examples:
        raise ArgumentError("onnx.export: args must hold at least one tensor.")
    inputs = _names("input", input_names, len(examples))
    axes = _dynamic(inputs, examples, dynamic_axes, dynamic_batch)
    table = _lengths(axes, dict(zip(inputs, examples)))

    runs = []
    with _evaluating(model) as layer_names:
        for lengths in table:
            resized = [_resized(x, axes.get(name, {}), lengths) for name, x in zip(inputs, examples)]
            try:
                runs.append(_run(model, arguments, resized, layer_names, opset_version))
            except MinigradError as error:
                if runs and not isinstance(error, TraceError):
                    raise TraceError(f"onnx.export: with dynamic axes of lengths {lengths}: {error}") from None
                raise
    joined = Lengths(list(table[0]), table)
    entries = joined.entries([run.recorder.entries for run in runs])
    outputs = _names("output", output_names, len(runs[0].outputs))
    values = [joined.value("an output", versions) for versions in zip(*(run.outputs for run in runs))]

    sources = {axis: (name, k) for name, named in axes.items() for k, axis in named.items()}
    g = Graph(onnx, opset_version, sources)
    g.taken |= {*inputs, *outputs, ""}
    for name, value in zip(inputs, runs[0].inputs):
        g.names[value.id] = name
    for entry in entries:
        g.add(entry)
    g.layer = ""
    for name, value in zip(outputs, values):
        g.nodes.append(onnx.helper.make_node("Identity", [g.name(value)], [name]))
    for value in values:
        g.type(value.dtype)
    fixed = [x.shape for x in examples]
    told = [
        *(_told(onnx, n, tuple(axes.get(n, {}).get(i, m) for i, m in enumerate(s)), x.dtype)
          for n, s, x in zip(inputs, fixed, examples)),
    ]  # fmt: skip
    given = {k: v for k, v in (dynamic_axes or {}).items() if k in outputs}
    results = [_told(onnx, n, _shown(n, v.shape, given.get(n, {})), v.dtype) for n, v in zip(outputs, values)]
    proto = _assembled(onnx, g, told, results, type(model).__name__, opset_version)
    if path is not None:
        if proto.ByteSize() > LARGEST:
            raise DataError(f"{path}: an ONNX file holds at most 2 GiB: this model needs {proto.ByteSize()} bytes.")
        atomic_write(path, proto.SerializeToString())
    return proto


# ---- arguments -------------------------------------------------------------------------------------------------------


def _tensors(item: Any) -> Iterator[np.ndarray]:
    """The arrays in nested arguments, in order."""
    if isinstance(item, Tensor):
        yield item.numpy() if item.node is None else item.detach().numpy()
    elif isinstance(item, np.ndarray):
        yield item
    elif isinstance(item, Mapping):
        for part in item.values():
            yield from _tensors(part)
    elif isinstance(item, (tuple, list)):
        for part in item:
            yield from _tensors(part)


def _replaced(item: Any, tensors: Iterator[Tensor]) -> Any:
    """The same nest with other tensors."""
    if isinstance(item, (Tensor, np.ndarray)):
        return next(tensors)
    if isinstance(item, Mapping):
        return {key: _replaced(part, tensors) for key, part in item.items()}
    if isinstance(item, (tuple, list)):
        return type(item)(_replaced(part, tensors) for part in item)
    return item


def _names(kind: str, given: Sequence[str] | None, count: int) -> list[str]:
    names = list(given or ([kind] if count == 1 else [f"{kind}_{i}" for i in range(count)]))
    if len(names) != count or len(set(names)) != count or not all(names):
        raise ArgumentError(f"onnx.export: {kind}_names must be {count} different names: got {given!r}.")
    return names


def _dynamic(inputs: list[str], examples: list, given: Mapping[str, Any] | None, batch: bool) -> dict:
    """{input: {axis: its name}}."""
    axes: dict[str, dict[int, str]] = {}
    for name, x in zip(inputs, examples):
        if batch and x.ndim:
            axes[name] = {0: "batch"}
        wanted = (given or {}).get(name, {})
        wanted = wanted if isinstance(wanted, Mapping) else {k: f"{name}_axis_{k}" for k in wanted}
        for k, axis in wanted.items():
            if not -x.ndim <= k < x.ndim:
                raise ArgumentError(f"onnx.export: dynamic_axes: {name} {x.shape} has no axis {k}.")
            axes.setdefault(name, {})[k % x.ndim] = str(axis)
    return axes


def _lengths(axes: dict, examples: dict[str, np.ndarray]) -> list[dict[str, int]]:
    """The lengths of the dynamic axes in each trace, see lengths.py. 1 is avoided: it broadcasts."""
    base: dict[str, int] = {}
    for name, named in axes.items():
        for k, axis in named.items():
            n = examples[name].shape[k]
            if base.setdefault(axis, n) != n:
                raise ArgumentError(f"onnx.export: the dynamic axis {axis!r} has two lengths, {base[axis]} and {n}.")
    step = {axis: -1 if n > 3 else 1 for axis, n in base.items()}  # shorter: a longest length may be reached already
    base = {axis: max(n, 2) for axis, n in base.items()}
    if not base:
        return [{}]
    ones = [base | {axis: n + step[axis]} for axis, n in base.items()]
    return [base, *ones, {axis: n + 2 * step[axis] for axis, n in base.items()}]


def _resized(x: np.ndarray, axes: Mapping[int, str], lengths: Mapping[str, int]) -> np.ndarray:
    """x repeated or cut along its dynamic axes: elements that are valid stay valid."""
    for k, axis in axes.items():
        if x.shape[k] == 0:
            raise ArgumentError(f"onnx.export: the example is empty along the dynamic axis {axis!r}.")
        x = np.take(x, np.arange(lengths[axis]) % x.shape[k], axis=k)
    return x


# ---- tracing ---------------------------------------------------------------------------------------------------------


class _Trace:
    def __init__(self, recorder: Recorder, inputs: list[Value], outputs: list[Value]):
        self.recorder, self.inputs, self.outputs = recorder, inputs, outputs


@contextmanager
def _evaluating(model: Any) -> Iterator[dict[int, str]]:
    """The model in eval(), with the names of its layers by id; afterwards each part is as it was."""
    if not isinstance(model, Module):
        yield {}
        return
    modes = [(m, m.training) for m in model.modules()]
    model.eval()
    try:
        yield {id(m): name for name, m in model.named_modules()}
    finally:
        for m, training in modes:
            m.__dict__["training"] = training


def _run(model: Any, arguments: tuple, examples: list, layer_names: dict[int, str], opset: int) -> _Trace:
    def has_nodes(name: str, args: tuple, params: dict) -> bool:
        return name in CONVERTERS and CONVERTERS[name].when(*args, opset=opset, **params)

    with no_grad(), ExitStack() as stack:
        state = [*model.named_parameters(), *model.named_buffers()] if isinstance(model, Module) else []
        recorder = Recorder(state, has_nodes, EXPANSIONS)
        inputs = [recorder.new(np.ascontiguousarray(x).reshape(x.shape), "input") for x in examples]
        given = [x.value for x in inputs]
        stack.enter_context(recording(recorder))
        if isinstance(model, Module):
            stack.enter_context(_noting_layers(model, recorder, layer_names))
        args, kwargs = _replaced(arguments, iter([wrap(x) for x in inputs]))
        drawn = default_generator.get_state()
        try:
            result = model(*args, **kwargs)
            found = [recorder.lift(t.array) for t in _results(result)]
        except MinigradError as error:
            if recorder.place not in str(error):
                error.add_note(f"while {recorder.place} was traced")
            raise
    if default_generator.get_state() != drawn:
        raise TraceError("onnx.export: the model draws random numbers, which would be frozen. Draw them outside of it.")
    if not found:
        raise DTypeError("onnx.export: the model must return tensors, in tuples, lists or dicts.")
    return _Trace(recorder, given, [x.value for x in found])


def _results(item: Any) -> Iterator[Tensor]:
    if isinstance(item, Tensor):
        yield item
    elif item is not None and not isinstance(item, (tuple, list, Mapping)):
        yield wrap(as_array(item))
    elif item is not None:
        for part in item.values() if isinstance(item, Mapping) else item:
            yield from _results(part)


@contextmanager
def _noting_layers(model: Module, recorder: Recorder, names: dict[int, str]) -> Iterator[None]:
    """While a layer runs, the record knows its name."""

    def enter(module: Module, args: tuple) -> None:
        recorder.layers.append((names[id(module)], type(module).__name__))

    def leave(module: Module, args: tuple, output: Any) -> Any:
        normalized = None
        if isinstance(module, (BatchNorm1d, BatchNorm2d, BatchNorm3d)) and module.running_mean is not None:
            normalized = _batch_norm(module, args[0], output, recorder)
        recorder.layers.pop()
        return normalized

    bare = [m for m in model.modules() if m._hooks is None]
    handles = []
    try:
        for m in model.modules():
            handles += [m.register_forward_pre_hook(enter, prepend=True), m.register_forward_hook(leave)]
        yield
    finally:
        for handle in handles:
            handle.remove()
        for m in bare:
            m._hooks = None


def _batch_norm(module: Any, x: Tensor, y: Tensor, recorder: Recorder) -> Tensor:
    """The layer as one node. What it noted itself, a product and a sum, is then used by nobody."""
    operands = (x, module.weight, module.bias, module.running_mean, module.running_var)
    args = tuple(None if t is None else recorder.lift(t.array) for t in operands)
    (noted,) = recorder.noted("batch_norm_eval", args, {"eps": module.eps}, [y.array.host])
    return wrap(noted)


# ---- the file --------------------------------------------------------------------------------------------------------


def _told(onnx: Any, name: str, shape: Sequence, dtype: Any) -> Any:
    if np.dtype(dtype).kind not in "biuf":
        raise DTypeError(f"onnx.export: {name} must hold numbers or booleans, not {dtype}.")
    return onnx.helper.make_tensor_value_info(name, onnx.helper.np_dtype_to_tensor_dtype(np.dtype(dtype)), shape)


def _shown(name: str, shape: tuple, given: Any) -> list:
    """The shape of an output: lengths, and names or formulas of those that follow dynamic axes."""
    given = given if isinstance(given, Mapping) else {k: f"{name}_axis_{k}" for k in given}
    if wrong := [k for k in given if not isinstance(shape[k], Dim)]:
        raise ArgumentError(f"onnx.export: dynamic_axes: axis {wrong[0]} of {name} {shape} follows no dynamic axis.")
    named = {k % len(shape): axis for k, axis in given.items()}
    return [_formula(n, named.get(i, f"{name}_axis_{i}")) if isinstance(n, Dim) else n for i, n in enumerate(shape)]


def _formula(n: Dim, otherwise: str) -> str:
    if n.formula is None:
        return otherwise
    offset, factor, axes = n.formula
    product = " * ".join([str(factor)] * (factor != 1) + list(axes))
    return f"{product} + {offset}" if offset > 0 else f"{product} - {-offset}" if offset else product


def _assembled(onnx: Any, g: Graph, inputs: list, outputs: list, name: str, opset: int) -> Any:
    """The model of the nodes and initializers that the outputs need."""
    needed = {o.name for o in outputs}
    nodes = []
    for node in reversed(g.nodes):
        if needed.isdisjoint(node.output):
            continue
        needed.update(node.input)
        if node.op_type == "TopK":  # both of its outputs must have names
            needed.update(node.output)
        while len(node.output) > 1 and node.output[-1] not in needed:
            node.output.pop()
        for i, made in enumerate(node.output):
            if made not in needed:
                node.output[i] = ""
        nodes.append(node)
    weights = [
        onnx.numpy_helper.from_array(np.ascontiguousarray(array).reshape(array.shape), key)
        for key, array in g.initializers.items()
        if key in needed
    ]
    graph = onnx.helper.make_graph(_without_identities(nodes[::-1], inputs, weights), name, inputs, outputs, weights)
    opsets = [onnx.helper.make_opsetid("", opset)]
    proto = onnx.helper.make_model(
        graph,
        opset_imports=opsets,
        ir_version=onnx.helper.find_min_ir_version_for(opsets),
        producer_name="minigrad",
        producer_version=_version.__version__,
    )
    if proto.ByteSize() <= LARGEST:
        onnx.checker.check_model(proto, full_check=True)
    return proto


def _without_identities(nodes: list, inputs: list, weights: list) -> list:
    """The results under the outputs' names, where a node makes them for one output alone."""
    makers = {name: node for node in nodes for name in node.output if name}
    used = [name for node in nodes for name in node.input]
    kept = []
    for node in nodes:
        if node.op_type == "Identity" and used.count(node.input[0]) == 1 and node.input[0] in makers:
            maker = makers[node.input[0]]
            maker.output[list(maker.output).index(node.input[0])] = node.output[0]
        else:
            kept.append(node)
    return kept
