"""What a model is made of: layers, output shapes, parameters, multiply-adds."""

from __future__ import annotations

import math
from collections.abc import Callable
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
    """One layer: its path, type, output shape, own parameters, and multiply-adds of its matrix products."""

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
    """Recurrent: each step of each sequence reads all matrices."""
    return sum(p.size for p in module.parameters() if p.ndim == 2) * math.prod(inputs[0].shape[:-1])


def _attention(module: Any, inputs: tuple, output: Any) -> int:
    """The projections of query, key and value, the scores and the sums; out_proj is a layer of its own."""
    query, key, value = inputs[:3]
    rows, keys = math.prod(query.shape[:-1]), key.shape[1 if module.batch_first and key.ndim == 3 else 0]
    projected = sum(math.prod(x.shape) for x in (query, key, value)) * module.embed_dim
    return projected + 2 * rows * keys * module.embed_dim


COUNTS: dict[tuple[type, ...], Callable[[Any, tuple, Any], int]] = {
    (Linear, Bilinear): _per_row,
    (Conv1d, Conv2d, Conv3d): _per_place,
    (ConvTranspose1d, ConvTranspose2d, ConvTranspose3d): _per_place_read,
    (RNN, LSTM, GRU, RNNCell, LSTMCell, GRUCell): _per_step,
    (MultiheadAttention,): _attention,
}


def _counted(module: Module, inputs: tuple, output: Any) -> int:
    return next((count(module, inputs, output) for kinds, count in COUNTS.items() if isinstance(module, kinds)), 0)


def _shapes(output: Any) -> Any:
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


def summary(model: Module, *inputs: Any, dtype: Any = None) -> Summary:
    """Run the model once, on zeros in evaluation mode, and list its layers in the order they were called.

    inputs: a shape, with the batch axis, per argument of the model's forward, or the arguments themselves as Tensors.
    dtype: of the zeros, such as "int64" for tokens. Multiply-adds are those of matrix products and convolutions;
    normalisation, activations and pooling count 0. A layer that is called twice shows its last output, and the
    multiply-adds of both calls; parts that are never called do not show, but count in the total of parameters.

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
    rows: dict[int, Row] = {}
    modules = list(model.named_modules())
    paths = {id(m): path for path, m in modules}

    def note(module: Module, args: tuple, kwargs: dict, output: Any) -> None:
        before = rows.pop(id(module)).multiply_adds if id(module) in rows else 0
        own = sum(p.size for p in module.parameters(recurse=False))
        done = before + _counted(module, args, output)
        rows[id(module)] = Row(paths[id(module)], type(module).__name__, _shapes(output), own, done)

    handles = [m.register_forward_hook(note, with_kwargs=True) for _, m in modules]
    modes = [(m, m.training) for _, m in modules]
    try:
        model.eval()
        with no_grad():
            model(*(x if isinstance(x, Tensor) else zeros(tuple(x), dtype=dtype) for x in inputs))
    finally:
        for handle in handles:
            handle.remove()
        for module, training in modes:
            module.training = training
    sizes = [(p.size, p.requires_grad) for p in model.parameters()]
    return Summary(list(rows.values()), sum(n for n, learned in sizes if learned), sum(n for n, _ in sizes))


def _length(n: Any) -> bool:
    return hasattr(n, "__index__") and n >= 0
