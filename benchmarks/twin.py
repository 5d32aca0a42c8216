"""A recipe's file with PyTorch in place of minigrad's networks: the same lines make PyTorch's model and loss.

What the recipes import of minigrad is replaced by PyTorch's thing of that name, or where PyTorch has none or spells it
otherwise by what stands here; data sets, tokenizers and the course of a run stay minigrad's.
"""

from __future__ import annotations

import re
import sys
import warnings
from pathlib import Path
from types import FunctionType, ModuleType, SimpleNamespace
from typing import Any

import numpy as np

from .. import optim
from ..extras import require
from ..nn.transformer import PositionalEncoding
from ..recipes import find
from ..tensor import Tensor
from ..train import Trainer

KEPT = ("run", "images", "tabular", "sentences")  # of the recipes' shared parts: they hold no networks


class Namespace(ModuleType):
    """A module of PyTorch, with some names of its own."""

    def __init__(self, module: Any, **own: Any):
        super().__init__(module.__name__)
        self.__dict__.update(own)
        self.module = module

    def __getattr__(self, name: str) -> Any:
        return getattr(self.module, name)


def spelled_by_torch() -> dict[str, Any]:
    """What the recipes import, as PyTorch has it."""
    torch = require("torch", extra="bench", use="parity")

    class Places(torch.nn.Module):
        def __init__(self, width: int, dropout: float, max_len: int, batch_first: bool):
            super().__init__()
            table = PositionalEncoding(width, 0.0, max_len, batch_first).pe.numpy()
            self.register_buffer("pe", torch.from_numpy(table), persistent=False)
            self.dropout = torch.nn.Dropout(dropout)

        def forward(self, x: Any, offset: int = 0) -> Any:
            return self.dropout(x + self.pe[offset : offset + x.shape[1]])

    class Decoder(torch.nn.TransformerDecoder):
        def forward(self, x: Any, memory: Any, *, cache: None = None, **options: Any) -> Any:
            causal = torch.nn.Transformer.generate_square_subsequent_mask(x.shape[1])
            padding = options.pop("memory_key_padding_mask")  # of one kind with the other mask, or PyTorch warns
            padding = torch.zeros(padding.shape).masked_fill(padding, -torch.inf)
            return super().forward(x, memory, tgt_mask=causal, memory_key_padding_mask=padding, **options)

    def transformer(*arguments: Any, **options: Any) -> Any:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)  # of PyTorch's own settings: nested tensors
            made = torch.nn.Transformer(*arguments, **options)
        made.decoder.__class__ = Decoder
        return made

    functional = Namespace(
        torch.nn.functional, hinge_loss=lambda x, t: torch.nn.functional.relu(1 - x * t).mean(), tanh=torch.tanh
    )
    return {
        "nn": Namespace(torch.nn, functional=functional, Transformer=transformer, PositionalEncoding=Places),
        "F": functional,
        "Tensor": torch.Tensor,
        "concat": lambda *parts, axis=0: torch.cat(parts[0] if len(parts) == 1 else parts, dim=axis),
        "no_grad": torch.no_grad,
        "randn": lambda *shape, generator=None: torch.randn(*shape),
        "pack_padded_sequence": lambda x, lengths, **options: torch.nn.utils.rnn.pack_padded_sequence(
            x, torch.from_numpy(np.asarray(lengths)), **options
        ),
    }


def twin(recipe: ModuleType) -> ModuleType:
    """The recipe's module with PyTorch's networks, and so the modules it takes networks from."""
    module = ModuleType(f"torch_{recipe.__name__.rpartition('.')[2]}")
    module.__package__ = recipe.__package__  # its relative imports are those of the recipe
    source = Path(str(recipe.__file__)).read_text()
    shared = re.findall(r"^from \.(\w+) import", source, re.MULTILINE) + re.findall(
        r"^from \. import (\w+)", source, re.MULTILINE
    )
    exec(compile(source, str(recipe.__file__), "exec"), module.__dict__)
    made = module.__dict__
    replaced = spelled_by_torch() | {"optim": optim}
    for name in {*shared} - {*KEPT}:
        other = twin(find(name.replace("_", "-"), any_part=True))
        replaced[name] = other
        replaced |= {k: v for k, v in other.__dict__.items() if getattr(v, "__module__", None) == other.__name__}
    # functions and classes look names up when they run, so they find these; base classes have to be made anew
    made.update({name: value for name, value in replaced.items() if name in made})
    exec(compile(without_imports(source), str(recipe.__file__), "exec"), made)
    return module


def without_imports(source: str) -> str:
    """The text without its relative imports, whose names are there already."""
    return re.sub(r"^from \.[\w.]* import (\([^)]*\)|.*)$", "", source, flags=re.MULTILINE)


def loss_of(trainer: Trainer, module: ModuleType, model: Any) -> Any:
    """What a step of the trainer makes small, as a function of a batch of PyTorch's tensors."""
    torch = sys.modules["torch"]
    loss: Any = trainer.loss
    name = getattr(loss, "__name__", type(loss).__name__)
    if isinstance(loss, FunctionType) and loss.__module__ == module.__package__ + "." + module.__name__[6:]:  # type: ignore[operator]
        loss = rebound(loss, module)
    elif isinstance(loss, FunctionType) and loss.__module__.startswith(f"{module.__package__}."):
        loss = module.__dict__[name]  # another recipe's, already made anew
    elif isinstance(loss, FunctionType):
        loss = getattr(module.__dict__.get("F", torch.nn.functional), name)
    else:
        options = {k: _torch(torch, v) for k, v in vars(loss).items() if k in ("weight", "reduction", "ignore_index")}
        loss = getattr(torch.nn, name)(**options)
    if type(trainer).compute is Trainer.compute:
        return lambda *batch: loss(model(*batch[:-1]), batch[-1])
    compute = rebound(type(trainer).compute, module)
    return lambda *batch: compute(SimpleNamespace(model=model, loss=loss), batch)[0]


def rebound(function: Any, module: ModuleType) -> FunctionType:
    """The function as if it stood in that module."""
    return FunctionType(
        function.__code__, module.__dict__, function.__name__, function.__defaults__, function.__closure__
    )


def _torch(torch: Any, value: Any) -> Any:
    return torch.from_numpy(value.numpy().copy()) if isinstance(value, Tensor) else value
