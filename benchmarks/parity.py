"""The recipes beside PyTorch: the same file, the same first weights, batches and learning rates; figures and times.

    python -m minigrad.benchmarks.parity mlp-mnist cnn-mnist --json benchmarks/results/parity.json

A recipe's file is run a second time with ``torch.nn`` in place of ``minigrad.nn`` (`twin`), which makes PyTorch's
model; it starts from the same weights and sees the same batches at the same rates, step by step, without stopping
early. What it has learned is then tested by the recipe's own test. The two differ by rounding, and by the random
numbers of dropout, which training amplifies: equal within seed noise. The times are of the training alone, without
validation; minigrad's hold the loading of its kernels, and at first use their compilation.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from .. import io
from ..data import DataLoader
from ..errors import ArgumentError
from ..extras import require
from ..mode import set_backend
from ..random import default_generator, manual_seed
from ..recipes import find
from ..recipes.run import Run
from ..tensor import Tensor
from ..threads import get_num_threads
from ..train import Callback, ClipGradients, EarlyStopping, Trainer
from .measure import machine
from .twin import loss_of, twin


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
        trainer.callbacks = (*(c for c in trainer.callbacks if not isinstance(c, EarlyStopping)), rates)
        start = time.perf_counter()
        trainer.fit(train, None, self.epochs)
        self.seconds_of = {"minigrad": time.perf_counter() - start}
        self.ours = _copied(trainer.model)

        default_generator.set_state(random)
        train.load_state_dict(place)
        self.theirs, self.seconds_of["torch"] = _trained_by_torch(self, trainer, train, first, rates.rates)

    def report(self, figure: str, value: float, unit: str = "", *, digits: int = 2, **results: Any) -> None:
        self.figure, self.value, self.unit = figure, value, unit


def _copied(model: Any) -> dict[str, np.ndarray]:
    return {name: value.numpy().copy() for name, value in model.state_dict().items()}


def _trained_by_torch(
    run: Compared, trainer: Trainer, train: DataLoader, first: dict[str, np.ndarray], rates: Sequence[list[dict]]
) -> tuple[dict[str, np.ndarray], float]:
    torch = require("torch", extra="bench", use="parity")
    torch.set_num_threads(get_num_threads())
    torch.manual_seed(run.seed)
    module = twin(find(run.name))
    model = module.network(run)
    model.load_state_dict({name: torch.from_numpy(value.copy()) for name, value in first.items()})
    model.train()
    loss_of_batch = loss_of(trainer, module, model)
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
    step, start = 0, time.perf_counter()
    for _ in range(run.epochs):
        for batch in train:
            arrays = [torch.from_numpy(part.numpy()) for part in batch]
            for group, values in zip(optimizer.param_groups, rates[step]):
                group.update(values)
            loss = loss_of_batch(*arrays)
            optimizer.zero_grad()
            loss.backward()
            if clip is not None:
                torch.nn.utils.clip_grad_norm_(model.parameters(), clip)
            optimizer.step()
            loss.item()
            step += 1
    seconds = time.perf_counter() - start
    return {name: value.detach().numpy() for name, value in model.state_dict().items()}, seconds


def compare(name: str, *, epochs: int | None, seed: int, backend: str, smoke: bool = False) -> dict[str, Any]:
    """Train the recipe twice and test both. smoke: tiny data and a small model, to see that all works."""
    recipe = find(name)
    options = {**recipe.DEFAULTS, "seed": seed}
    if smoke:
        options |= {"epochs": 1, "batch_size": 16} | getattr(recipe, "SMOKE", {})
    options |= {"epochs": epochs} if epochs else {}
    figures = {}
    with tempfile.TemporaryDirectory() as folder:
        run = Compared(name, options, backend=backend, out=Path(folder), smoke=smoke)
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


def record(path: Path, rows: Sequence[dict[str, Any]]) -> None:
    """Write the rows into the file, in the place of earlier ones of the same recipes; others stay."""
    old = json.loads(path.read_text())["rows"] if path.exists() else []
    kept = {row["recipe"]: row for row in (*old, *rows)}
    io.atomic_write(path, json.dumps({"machine": machine(), "rows": [*kept.values()]}, indent=1) + "\n")


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m minigrad.benchmarks.parity", description=__doc__)
    parser.add_argument("recipes", nargs="+")
    parser.add_argument("--epochs", type=int)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--backend", default="numba")
    parser.add_argument("--smoke", action="store_true", help="tiny data and small models, to see that all works")
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    set_backend(options.backend)
    rows = []
    for name in options.recipes:
        manual_seed(options.seed)
        try:
            row = compare(name, epochs=options.epochs, seed=options.seed, backend=options.backend, smoke=options.smoke)
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
        record(options.json, rows)


if __name__ == "__main__":
    main()
