"""What a model is made of: layers, output shapes, parameters, multiply-adds."""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from ..creation import zeros
from ..errors import ArgumentError
from ..mode import no_grad
from ..tensor import Tensor
from .attention import MultiheadAttention
from .conv import Conv1d, Conv2d, Conv3d, ConvTranspose1d, ConvTranspose2d, ConvTranspose3d
from .linear import Bilinear, Linear
from .module import Module
from .recurrent import GRU, LSTM, RNN, GRUCell, LSTMCell, RNNCell


class Row(NamedTuple):
    """One layer: its path, type, output shape, own parameters, and multiply-adds of its matrix products.

    A parameter that several layers share counts at the first."""

    path: str
    kind: str
    shape: Any
    parameters: int
    multiply_adds: int


def _per_row(module: Any, inputs: tuple, output: Any) -> int:
    """Linear, Bilinear: each row of the output reads the whole weight."""
    return module.weight.size * math.prod(output.shape[:-1])


def _per_place(module: Any, inputs: tuple, output: Any) -> int:
    """Convolution: each place of the output reads the whole weight."""
    n = module.weight.ndim - 2
    return module.weight.size * math.prod(output.shape[: -n - 1]) * math.prod(output.shape[-n:])


def _per_place_read(module: Any, inputs: tuple, output: Any) -> int:
    """Transposed convolution: each place of the input is spread by the whole weight."""
    return _per_place(module, inputs, inputs[0])


def _per_step(module: Any, inputs: tuple, output: Any) -> int:
    """Recurrent: each step of each sequence reads all matrices. The input may be a PackedSequence."""
    return sum(p.size for p in module.parameters() if p.ndim == 2) * math.prod(inputs[0].data.shape[:-1])


def _attention(module: Any, inputs: tuple, output: Any) -> int:
    """The projections of query, key and value, the scores and the sums; out_proj is a layer of its own."""
    query, key, value = inputs[:3]
    rows, keys = math.prod(query.shape[:-1]), key.shape[1 if module.batch_first and key.ndim == 3 else 0]
    keys += (module.bias_k is not None) + module.add_zero_attn
    projected = sum(math.prod(x.shape) for x in (query, key, value)) * module.embed_dim
    return projected + 2 * rows * keys * module.embed_dim


COUNTS: dict[tuple[type, ...], Callable[[Any, tuple, Any], int]] = {
    (Linear, Bilinear): _per_row,
    (Conv1d, Conv2d, Conv3d): _per_place,
    (ConvTranspose1d, ConvTranspose2d, ConvTranspose3d): _per_place_read,
    (RNN, LSTM, GRU, RNNCell, LSTMCell, GRUCell): _per_step,
    (MultiheadAttention,): _attention,
}


def _counted(module: Module, args: tuple, kwargs: dict, output: Any) -> int:
    count = next((count for kinds, count in COUNTS.items() if isinstance(module, kinds)), None)
    if count is None:
        return 0
    inputs = inspect.signature(module.forward).bind(*args, **kwargs).arguments  # in the order of the signature
    return count(module, tuple(inputs.values()), output)


def _shapes(output: Any) -> Any:
    if isinstance(output, Mapping):
        return {name: _shapes(o) for name, o in output.items() if o is not None}
    if isinstance(output, (tuple, list)):
        return tuple(_shapes(o) for o in output if o is not None)
    return getattr(output, "shape", None)


class Summary:
    """The rows of `summary` and their totals; printed as a table."""

    def __init__(self, rows: list[Row], trainable: int, total: int):
        self.rows, self.trainable_parameters, self.total_parameters = rows, trainable, total
        self.multiply_adds = sum(row.multiply_adds for row in rows)

    def __repr__(self) -> str:
        lines = [("layer", "type", "output", "parameters", "multiply-adds")]
        lines += [(r.path, r.kind, str(r.shape), f"{r.parameters:,}", f"{r.multiply_adds:,}") for r in self.rows]
        widths = [max(len(line[i]) for line in lines) for i in range(5)]
        pads = (str.ljust, str.ljust, str.ljust, str.rjust, str.rjust)
        table = ["  ".join(pad(cell, w) for pad, cell, w in zip(pads, line, widths)).rstrip() for line in lines]
        return "\n".join(
            [
                *table,
                f"{self.total_parameters:,} parameters, {self.trainable_parameters:,} of them trainable; "
                f"{self.multiply_adds:,} multiply-adds",
            ]
        )


def summary(model: Module, *inputs: Any, dtype: Any = None, **named: Any) -> Summary:
    """Run the model once, on zeros in evaluation mode, and list its layers in the order they were called.

    inputs, named: a shape, with the batch axis, per argument of the model's forward, or the arguments themselves as
    Tensors; by keyword anything else is handed on as it is.
    dtype: of the zeros of `inputs`, such as "int64" for tokens, or a list with one for each. Multiply-adds are those of
    matrix products and convolutions; normalisation, activations and pooling count 0. A layer that is called twice
    shows its last output, and the multiply-adds of both calls; parts that are never called do not show, but count in
    the total of parameters.

    >>> from minigrad import nn
    >>> nn.summary(nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 2)), (1, 4))
    layer  type        output  parameters  multiply-adds
    0      Linear      (1, 8)          40             32
    1      ReLU        (1, 8)           0              0
    2      Linear      (1, 2)          18             16
           Sequential  (1, 2)           0              0
    58 parameters, 58 of them trainable; 48 multiply-adds
    """
    if not isinstance(model, Module):
        raise ArgumentError(f"summary: model must be a Module: got {type(model).__name__}.")
    for x in inputs:
        if not isinstance(x, (Tensor, tuple, list)) or (not isinstance(x, Tensor) and not all(map(_length, x))):
            raise ArgumentError(f"summary: inputs must be Tensors or shapes such as (1, 3, 32, 32): got {x!r}.")
    dtypes = list(dtype) if isinstance(dtype, (tuple, list)) else [dtype] * len(inputs)
    if len(dtypes) != len(inputs):
        raise ArgumentError(f"summary: dtype must be one, or one for each of {len(inputs)} inputs: got {dtype!r}.")
    args = [x if isinstance(x, Tensor) else zeros(tuple(x), dtype=d) for x, d in zip(inputs, dtypes)]
    shaped = {k: x for k, x in named.items() if isinstance(x, tuple) and all(map(_length, x))}
    kwargs = {**named, **{k: zeros(x) for k, x in shaped.items()}}
    seen: set[int] = set()  # ids of the parameters counted
    rows: dict[int, Row] = {}
    modules = list(model.named_modules())
    paths = {id(m): path for path, m in modules}

    def note(module: Module, args: tuple, kwargs: dict, output: Any) -> None:
        before = rows.pop(id(module), None)
        own = [p for p in module.parameters(recurse=False) if id(p) not in seen]
        seen.update(map(id, own))
        rows[id(module)] = Row(
            paths[id(module)],
            type(module).__name__,
            _shapes(output),
            sum(p.size for p in own) + (before.parameters if before else 0),
            _counted(module, args, kwargs, output) + (before.multiply_adds if before else 0),
        )

    handles = [m.register_forward_hook(note, with_kwargs=True) for _, m in modules]
    modes = [(m, m.training) for _, m in modules]
    try:
        model.eval()
        with no_grad():
            model(*args, **kwargs)
    finally:
        for handle in handles:
            handle.remove()
        for module, training in modes:
            module.training = training
    sizes = [(p.size, p.requires_grad) for p in model.parameters()]
    return Summary(list(rows.values()), sum(n for n, learned in sizes if learned), sum(n for n, _ in sizes))


def _length(n: Any) -> bool:
    return hasattr(n, "__index__") and not isinstance(n, Tensor) and n >= 0
