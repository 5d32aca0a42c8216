"""How small a network can become: cnn-mnist, pruned in steps and rounded to int8; accuracy against bytes.

Learn, remove the smallest weights, learn again, remove more (Han, Pool, Tran, Dally 2015, arXiv:1506.02626); then
int8, with ranges found at run time (dynamic) or from training pictures (static) (Jacob et al. 2017, arXiv:1712.05877).
Bytes are those of the weights packed by zlib: a removed weight costs next to nothing.
"""

import zlib
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np

from .. import io, nn, optim, quantization, viz
from ..data import DataLoader, Dataset, Subset, random_split
from ..nn import functional as F
from ..nn.utils import prune
from ..random import Generator
from ..train import Accuracy, Callback, LRSchedule, Trainer
from . import cnn_mnist
from .cnn_mnist import data
from .images import answer
from .run import Run

# epochs: the first `dense` before pruning, the rest in equal parts for each share of zeros
DEFAULTS = {
    "epochs": 7, "batch_size": 128, "lr": 2e-3, "dense": 2, "zeros": [0.5, 0.8, 0.9, 0.95, 0.98], "tolerated": 0.3,
}  # fmt: skip
SMOKE = {"epochs": 2, "dense": 1, "zeros": [0.5]}
FORMS = ("float32", "int8 dynamic", "int8 static")


def weights(model: nn.Module) -> list[tuple[nn.Module, str]]:
    """What is pruned: the weights of all layers, not their biases."""
    return [(part, "weight") for part in model.modules() if isinstance(part, nn.Conv2d | nn.Linear)]


def network(run: Run) -> nn.Module:
    """cnn-mnist's, with a mask of ones for each weight."""
    model = cnn_mnist.network(run)
    for part, name in weights(model):
        prune.identity(part, name)
    return model


class Prune(Callback):
    """Before a stage the smallest weights of the whole network go; after each of its epochs it is saved."""

    def __init__(self, run: Run):
        self.run, self.length = run, max((run.epochs - run.dense) // len(run.zeros), 1)

    def stage(self, epoch: int) -> int:
        """-1 while the network is dense, else the place in `zeros`."""
        return min(
            -1 if epoch <= self.run.dense else (epoch - self.run.dense - 1) // self.length, len(self.run.zeros) - 1
        )

    def epoch_start(self, trainer: Trainer) -> None:
        stages = [0.0, *self.run.zeros]
        now = self.stage(trainer.epoch)
        if now > self.stage(trainer.epoch - 1):
            before, wanted = stages[now], stages[now + 1]
            share = (wanted - before) / (1 - before)  # of the weights that are left
            prune.global_unstructured(weights(trainer.model), prune.L1Unstructured, amount=share)

    def epoch_end(self, trainer: Trainer) -> None:
        path = stage_file(self.run, [0.0, *self.run.zeros][self.stage(trainer.epoch) + 1])
        io.save(trainer.model.state_dict(), path)


def stage_file(run: Run, zeros: float) -> Path:
    return run.path(f"at {100 * zeros:g} % zeros", f"zeros-{100 * zeros:g}.safetensors")


def split(run: Run) -> list[Subset]:
    return random_split(data(run, "train"), [11 / 12, 1 / 12], generator=Generator(run.seed))


def train(run: Run) -> None:
    training, validation = split(run)
    batches = DataLoader(training, run.batch_size, shuffle=True, seed=run.seed)
    model = network(run)
    optimizer = optim.Adam(model.parameters(), lr=run.lr)
    # the rate falls to nothing in every epoch, so that each stage ends at rest (Loshchilov, Hutter 2016, SGDR)
    schedule = optim.lr_scheduler.CosineAnnealingWarmRestarts(optimizer, T_0=len(batches))
    callbacks = [Prune(run), LRSchedule(schedule)]
    trainer = Trainer(model, F.cross_entropy, optimizer, metrics=[Accuracy()], callbacks=callbacks)
    run.fit(trainer, batches, DataLoader(validation, 500))
    test(run, model)


class Row(NamedTuple):
    zeros: float
    form: str
    bytes: int
    validation: float
    test: float


def finished(run: Run, state: dict) -> nn.Module:
    """The network with zeros in its weights, without masks."""
    model = network(run)
    model.load_state_dict(state)
    for part, name in weights(model):
        prune.remove(part, name)
    return model.eval()


def packed(model: nn.Module) -> int:
    """Bytes of the parameters and buffers, each array packed by zlib."""
    return sum(len(zlib.compress(np.ascontiguousarray(t.numpy()).tobytes(), 9)) for t in model.state_dict().values())


def forms(model: nn.Module, seen: Dataset) -> dict[str, Callable[[], nn.Module]]:
    """The network in floats, and in int8 in two ways."""
    calibrated = lambda: quantization.calibrate(quantization.prepare(model), DataLoader(seen, 250), batches=4)
    dynamic = lambda: quantization.quantize_dynamic(model, {nn.Conv2d, nn.Linear})
    return dict(zip(FORMS, (lambda: model, dynamic, lambda: quantization.convert(calibrated()))))


def test(run: Run, model: nn.Module) -> None:
    training, validation = split(run)
    held_out, rows = data(run, "test"), []
    right = lambda net, samples: Trainer(net, F.cross_entropy).evaluate(DataLoader(samples, 500), metrics=[Accuracy()])
    print(f"{'zeros':>6}  {'form':<12} {'bytes':>9}  {'validation':>10}  {'test':>7}")
    for zeros in (0.0, *run.zeros):
        for form, made in forms(finished(run, io.load(stage_file(run, zeros))), training).items():
            net = made()
            found = [100 * right(net, samples)["accuracy"] for samples in (validation, held_out)]
            rows.append(Row(zeros, form, packed(net), *found))
            print(
                f"{100 * zeros:4g} %  {form:<12} {rows[-1].bytes:9,}  {found[0]:8.2f} %  {found[1]:5.2f} %", flush=True
            )
    first = rows[0]  # dense, in floats
    enough = [row for row in rows if row.validation >= first.validation - run.tolerated]
    small = min(enough, key=lambda row: row.bytes)  # chosen on the validation pictures
    lines = {form: [row for row in rows if row.form == form] for form in FORMS}
    series = {form: ([row.bytes for row in of], [row.test for row in of]) for form, of in lines.items()}
    path = run.path("accuracy, size", "sizes.png")
    title = f"{run.name}: " + ", ".join(f"{100 * z:g}" for z in (0, *run.zeros)) + " % zeros, right to left"
    viz.lines(series, path, x="bytes of the packed weights", y="test accuracy (%)", title=title, log=True)
    print(
        f"smallest within {run.tolerated} points: {small.form}, {100 * small.zeros:g} % zeros, {small.bytes:,} bytes, "
        f"test accuracy {small.test:.2f} %; dense float32: {first.bytes:,} bytes, {first.test:.2f} %"
    )
    run.report(
        "times smaller", first.bytes / small.bytes, "x", chosen=small._asdict(), table=[r._asdict() for r in rows]
    )


def predict(run: Run, model: nn.Module, path: str) -> str:
    return answer(model, path, (1, 28, 28), lambda images: images, cnn_mnist.NAMES)
