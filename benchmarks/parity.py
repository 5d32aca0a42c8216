"""The recipes beside PyTorch: the same file, the same first weights, batches and learning rates; figures and times.

    python -m minigrad.benchmarks.parity mlp-mnist cnn-mnist --json benchmarks/results/parity.json

A recipe's file is run a second time with ``torch.nn`` in place of ``minigrad.nn``, which makes PyTorch's model; it
starts from the same weights and sees the same batches at the same rates, step by step. What it has learned is then
tested by the recipe's own test. The two differ by rounding, which training amplifies: equal within seed noise.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from collections.abc import Iterable, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np

from .. import io, nn, optim
from ..data import DataLoader
from ..errors import ArgumentError
from ..extras import require
from ..mode import set_backend
from ..random import default_generator, manual_seed
from ..recipes import find
from ..recipes.run import Run
from ..tensor import Tensor
from ..threads import get_num_threads
from ..train import Callback, ClipGradients, Trainer

SWAPS = {
    "from .. import nn, optim": "from torch import nn",
    "from .. import nn": "from torch import nn",
    "from ..nn import functional as F": "from torch.nn import functional as F",
    "from ..tensor import Tensor": "from torch import Tensor",
}


def by_torch(recipe: ModuleType) -> ModuleType:
    """The recipe's module with PyTorch in place of minigrad's networks, and so the modules it takes them from."""
    lines = []
    for line in Path(str(recipe.__file__)).read_text().splitlines():
        line = SWAPS.get(line, line)
        if line.startswith(("from ..", "from . ")):
            line = line.replace("from ..", "from minigrad.", 1)
        elif line.startswith("from .") and not line.startswith(("from .run ", "from .images ", "from .tabular ")):
            name = line.split()[1].lstrip(".")
            sys.modules[f"{__name__}.{name}"] = by_torch(find(name.replace("_", "-"), any_part=True))
            line = line.replace(f"from .{name} ", f"from {__name__}.{name} ", 1)
        elif line.startswith("from ."):
            line = line.replace("from .", "from minigrad.recipes.", 1)
        lines.append(line.replace("minigrad. import", "minigrad import"))
    module = ModuleType(f"torch_{recipe.__name__.rpartition('.')[2]}")
    module.__dict__["optim"] = optim
    exec(compile("\n".join(lines), str(recipe.__file__), "exec"), module.__dict__)
    return module


class Rates(Callback):
    """Notes every group's learning rate and momentum before each step."""

    def __init__(self) -> None:
        self.rates: list[list[dict[str, Any]]] = []

    def before_step(self, trainer: Trainer) -> None:
        names = ("lr", "momentum", "betas")
        self.rates.append([{k: g[k] for k in names if k in g} for g in trainer.optimizer.param_groups])


class Compared(Run):
    """A run whose `fit` trains twice: by minigrad, then by PyTorch. The model ends with the weights asked for."""

    twin: Any = None
    keep = "minigrad"
    seconds_of: dict[str, float]

    def fit(self, trainer: Trainer, train: Iterable, validation: Iterable | None = None, *, best: str = "") -> None:
        assert isinstance(train, DataLoader)
        self.trainer, first, place = trainer, _copied(trainer.model), train.state_dict()
        random = default_generator.get_state()
        rates = Rates()
        trainer.callbacks += (rates,)
        start = time.perf_counter()
        trainer.fit(train, None, self.epochs)
        self.seconds_of = {"minigrad": time.perf_counter() - start}
        self.ours = _copied(trainer.model)

        default_generator.set_state(random)
        train.load_state_dict(place)
        start = time.perf_counter()
        self.theirs = _trained_by_torch(self, trainer, train, first, rates.rates)
        self.seconds_of["torch"] = time.perf_counter() - start

    def report(self, figure: str, value: float, unit: str = "", *, digits: int = 2, **results: Any) -> None:
        self.figure, self.value, self.unit = figure, value, unit


def _copied(model: Any) -> dict[str, np.ndarray]:
    return {name: value.numpy().copy() for name, value in model.state_dict().items()}


def _trained_by_torch(
    run: Compared, trainer: Trainer, train: DataLoader, first: dict[str, np.ndarray], rates: Sequence[list[dict]]
) -> dict[str, np.ndarray]:
    torch = require("torch", extra="bench", use="parity")
    torch.set_num_threads(get_num_threads())
    torch.manual_seed(run.seed)
    module = by_torch(find(run.name))
    model = module.network(run)
    model.load_state_dict({name: torch.from_numpy(value.copy()) for name, value in first.items()})
    model.train()
    loss_of = _torch_loss(torch, module, trainer.loss)
    names = {id(p): name for name, p in trainer.model.named_parameters()}
    theirs = dict(model.named_parameters())
    kind = type(trainer.optimizer).__name__
    ignored = ("params", "foreach", "fused", "capturable", "differentiable", "param_names", "initial_lr")
    groups = [
        {k: v for k, v in g.items() if k not in ignored} | {"params": [theirs[names[id(p)]] for p in g["params"]]}
        for g in trainer.optimizer.param_groups
    ]
    for group in groups:  # what the schedule has left there is of no use: every step sets its own
        for key in ("max_lr", "min_lr", "base_momentum", "max_momentum", "decoupled_weight_decay"):
            group.pop(key, None)
    optimizer = getattr(torch.optim, kind)(groups)
    clip = next((c.max_norm for c in trainer.callbacks if isinstance(c, ClipGradients)), None)
    step = 0
    for _ in range(run.epochs):
        for *inputs, targets in train:
            arrays = [torch.from_numpy(part.numpy()) for part in (*inputs, targets)]
            for group, values in zip(optimizer.param_groups, rates[step]):
                group.update(values)
            loss = loss_of(model(*arrays[:-1]), arrays[-1])
            optimizer.zero_grad()
            loss.backward()
            if clip is not None:
                torch.nn.utils.clip_grad_norm_(model.parameters(), clip)
            optimizer.step()
            loss.item()
            step += 1
    return {name: value.detach().numpy() for name, value in model.state_dict().items()}


def _torch_loss(torch: Any, module: ModuleType, loss: Any) -> Any:
    """PyTorch's function or layer for the trainer's, or the recipe's own function over PyTorch's."""
    if isinstance(loss, nn.CrossEntropyLoss):
        return torch.nn.CrossEntropyLoss(None if loss.weight is None else torch.from_numpy(loss.weight.numpy()))
    own = module.__dict__.get(loss.__name__)
    return own or getattr(torch.nn.functional, loss.__name__)


def compare(name: str, *, epochs: int | None, seed: int, backend: str) -> dict[str, Any]:
    """Train the recipe twice and test both."""
    recipe = find(name)
    options = {**recipe.DEFAULTS, "seed": seed} | ({"epochs": epochs} if epochs else {})
    figures = {}
    with tempfile.TemporaryDirectory() as folder:
        run = Compared(name, options, backend=backend, out=Path(folder))
        recipe.train(run)
        for who, weights in (("minigrad", run.ours), ("torch", run.theirs)):
            model = recipe.network(run)
            model.load_state_dict({key: Tensor(value) for key, value in weights.items()})
            recipe.test(run, model.eval())
            figures[who] = run.value
    return {
        "recipe": name,
        "epochs": run.epochs,
        "seed": seed,
        "figure": run.figure,
        "unit": run.unit,
        **{who: {"value": figures[who], "seconds": run.seconds_of[who]} for who in figures},
    }


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m minigrad.benchmarks.parity", description=__doc__)
    parser.add_argument("recipes", nargs="+")
    parser.add_argument("--epochs", type=int)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--backend", default="numba")
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    set_backend(options.backend)
    rows = []
    for name in options.recipes:
        manual_seed(options.seed)
        try:
            row = compare(name, epochs=options.epochs, seed=options.seed, backend=options.backend)
        except ArgumentError as error:
            sys.exit(f"parity: {error}")
        rows.append(row)
        ours, theirs = row["minigrad"], row["torch"]
        print(
            f"{name:<20} {row['figure']}: minigrad {ours['value']:.4g}, PyTorch {theirs['value']:.4g} {row['unit']}; "
            f"{ours['seconds']:.1f} s, {theirs['seconds']:.1f} s",
            flush=True,
        )
    if options.json:
        io.atomic_write(options.json, json.dumps(rows, indent=1) + "\n")


if __name__ == "__main__":
    main()
