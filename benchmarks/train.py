"""The suite `train`: training steps, eager, from zero_grad to the optimizer's step, with the loss read once.

All contenders of a row start from the same weights and see the same batches; their losses over the first steps must
agree before anything is timed. Adding a row is adding a line to ROWS (and its model to models.py and models_jax.py).
"""

from __future__ import annotations

import itertools
import math
import zlib
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from ..mode import set_backend
from . import BACKENDS, PEERS, contenders, floors, models, precisions
from .suite import Suite
from .worker import Work

TOLERANCE = 2e-3  # of the losses of STEPS steps, relative to 1 + |loss|
STEPS = 5
TRAFFIC = {"sgd": 3, "momentum": 5, "adam": 7, "adamw": 7}  # arrays like p that an update reads and writes: p, g, m, v
TARGETS = 16  # other targets every step: nothing to learn by heart, no denormal numbers
OPTIMIZERS: dict[str, tuple[str, dict[str, float]]] = {
    "sgd": ("SGD", {"lr": 0.1}),
    "momentum": ("SGD", {"lr": 0.01, "momentum": 0.9}),
    "adam": ("Adam", {"lr": 1e-3}),
    "adamw": ("AdamW", {"lr": 1e-3}),
}
Arrays = tuple[np.ndarray, ...]


# ---- data: make(rng, batch) -> the inputs, and TARGETS targets ---------------------------------------------------
def features(*shape: int, classes: int = 0) -> Callable:
    """Normal numbers of shape (B, *shape) and labels, or 0.0 and 1.0 for classes=0."""

    def make(rng: np.random.Generator, batch: int) -> tuple[Arrays, np.ndarray]:
        x = rng.standard_normal((batch, *shape), np.float32)
        t = rng.integers(0, classes or 2, (TARGETS, batch))
        return (x,), t if classes else t.astype(np.float32)

    return make


def pixels(*shape: int) -> Callable:
    """Numbers from 0 to 1 of shape (B, *shape), and ten classes."""
    return lambda rng, batch: ((rng.random((batch, *shape), np.float32),), rng.integers(0, 10, (TARGETS, batch)))


def sequences(rng: np.random.Generator, batch: int) -> tuple[Arrays, np.ndarray]:
    source, target = rng.standard_normal((2, batch, 64, 512), np.float32)
    return (source, target), rng.standard_normal((TARGETS, batch, 64, 512), np.float32)


def text(rng: np.random.Generator, batch: int) -> tuple[Arrays, np.ndarray]:
    return (rng.integers(0, 65, (batch, 64)), np.arange(64)), rng.integers(0, 65, (TARGETS, batch * 64))


class Row(NamedTuple):
    name: str
    model: Callable
    data: Callable
    batch: int
    loss: str
    optimizer: str


BINARY, CLASSES, SQUARES = "binary_cross_entropy_with_logits", "cross_entropy", "mse_loss"
ROWS = [
    Row("logistic 10-1", models.logistic, features(10), 100, BINARY, "sgd"),
    Row("mlp 10-64-64-1", models.mlp_small, features(10), 32, BINARY, "adam"),
    Row("mlp 784-128-10", models.mlp, pixels(784), 128, CLASSES, "adam"),
    Row("mlp 784-1024-1024-10", models.mlp_wide, pixels(784), 256, CLASSES, "adam"),
    Row("cnn 1x28x28", models.cnn, pixels(1, 28, 28), 128, CLASSES, "adam"),
    Row("cnn 3x32x32", models.cnn_colour, pixels(3, 32, 32), 128, CLASSES, "adam"),
    Row("resnet8 3x32x32", models.resnet8, pixels(3, 32, 32), 64, CLASSES, "momentum"),
    Row("transformer d512", models.transformer, sequences, 8, SQUARES, "adam"),
    Row("gpt 4x128", models.gpt, text, 12, CLASSES, "adamw"),
    Row("lstm 32-128", models.lstm, features(50, 32, classes=10), 64, CLASSES, "adam"),
]
BY_NAME = {row.name: row for row in ROWS}
ON_GPU = tuple(
    f"{name} {p}"
    for p in precisions.PRECISIONS  # bfloat16: by autocast, parameters stay float32
    for name in ("mlp 784-1024-1024-10", "cnn 3x32x32", "resnet8 3x32x32", "transformer d512", "gpt 4x128")
)
ONLY_MLP = ("autograd", "mygrad", "numpy-by-hand")


def takes_part(name: str, row: str) -> bool:
    return name not in ONLY_MLP or row == "mlp 784-128-10"


def weights(shapes: dict[str, tuple[int, ...]]) -> dict[str, np.ndarray]:
    """The initial parameters, by name: uniform of variance 1 / (3 fan in), gains 1, biases 0."""
    out = {}
    for name, shape in shapes.items():
        rng = np.random.default_rng(zlib.crc32(name.encode()))
        if len(shape) > 1:
            out[name] = (rng.uniform(-1, 1, shape) / np.prod(shape[1:]) ** 0.5).astype(np.float32)
        else:
            out[name] = np.full(shape, float(name.endswith("weight")), np.float32)
    return out


def batches(row: Row) -> tuple[Arrays, np.ndarray]:
    return row.data(np.random.default_rng(0), row.batch)


def eager(row: Row, lib: Any, precision: str = "") -> Callable[[], float]:
    """The step of minigrad and of PyTorch; the forward pass in a precision of `precisions`."""
    model = row.model(lib.nn, lib.F)
    start = weights({name: tuple(p.shape) for name, p in model.named_parameters()})
    with lib.m.no_grad():
        for name, p in model.named_parameters():
            p[...] = lib.tensor(start[name])
    kind, options = OPTIMIZERS[row.optimizer]
    loss_of = getattr(lib.F, row.loss)
    objective = lambda inputs, target: loss_of(model(*inputs), target)
    if lib.compiled:  # and PyTorch's own fused update, as one would who wants it fast
        objective, options = lib.m.compile(objective), {**options, "fused": True}
    optimizer = getattr(lib.optim, kind)(model.parameters(), **options)
    lib.set_tf32(precision == precisions.TF32)
    inputs, targets = batches(row)
    inputs, steps = tuple(map(lib.tensor, inputs)), itertools.cycle([lib.tensor(t) for t in targets])

    def step() -> float:
        optimizer.zero_grad()
        if precision == precisions.BFLOAT16:
            with lib.m.autocast("cuda", dtype=lib.m.bfloat16):
                loss = objective(inputs, next(steps))
        else:
            loss = objective(inputs, next(steps))
        loss.backward()
        optimizer.step()
        return loss.item()

    return step


def shapes(row: Row) -> dict[str, tuple[int, ...]]:
    """The parameters' shapes by name, read from minigrad's model."""
    from .. import nn
    from ..nn import functional

    set_backend("numpy")
    return {name: p.shape for name, p in row.model(nn, functional).named_parameters()}


def steps_of(contender: str, row: Row, precision: str = "") -> Callable[[], float]:
    if contender in BACKENDS or contender.startswith("torch"):
        return eager(row, contenders.library(contender), precision)
    start, (inputs, targets) = weights(shapes(row)), batches(row)
    if contender == "jax":
        from .models_jax import step

        return step(row, OPTIMIZERS[row.optimizer][1], start, inputs, targets)
    from . import models_mlp

    return models_mlp.STEPS[contender](start, inputs[0], targets, OPTIMIZERS[row.optimizer][1]["lr"])


def build(contender: str, name: str) -> Work:
    """What the worker times; its first losses are what the contenders must agree on."""
    if contender == "numba":
        import numba  # noqa: F401  what importing takes is no part of a step's memory
    step = steps_of(contender, BY_NAME[precisions.plain(name)], precisions.precision(name))
    timed = contenders.library(contender).timed if contender in ("cupy", "torch-cuda") else None
    return Work(step, lambda first: [first, *(step() for _ in range(STEPS - 1))], timed=timed)


def cost(name: str) -> tuple[float, float]:
    """Flops and bytes of one step: its products, in bfloat16 half as many bytes, and the optimizer's reads and
    writes."""
    row = BY_NAME[precisions.plain(name)]
    counted = floors.count(eager(row, contenders.library("numpy")))
    own = sum(4 * math.prod(shape) for shape in shapes(row).values())
    narrow = 2 if precisions.precision(name) == precisions.BFLOAT16 else 1
    return counted.flops, floors.moved(counted) / narrow + own * TRAFFIC[row.optimizer]


SUITE = Suite(
    name="train",
    about="one training step: zero_grad, forward, loss, backward, update, the loss read once",
    rows=list(BY_NAME),
    on_gpu=ON_GPU,
    peers=tuple(PEERS),
    takes_part=takes_part,
    tolerance=TOLERANCE,
    costs=True,
    fresh=True,
)
