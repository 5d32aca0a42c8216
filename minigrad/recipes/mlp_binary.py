"""A perceptron with two hidden layers of 64, ending in one score, on two interleaved half moons."""

import numpy as np

from .. import nn, optim
from ..data import ArrayDataset, DataLoader
from ..nn import functional as F
from ..random import Generator
from ..train import BinaryAccuracy, Trainer
from ..viz import decision_boundary
from .run import Run

DEFAULTS = {"epochs": 40, "batch_size": 32, "lr": 3e-3, "noise": 0.2, "samples": 1000}


def data(run: Run, part: int) -> ArrayDataset:
    """Two half circles, each around an end of the other, with normal noise. (N, 2), (N, 1)."""
    generator = Generator(2 * run.seed + part)
    n = 100 if run.smoke else run.samples
    upper = np.arange(n) % 2
    angle = generator.numpy("uniform", 0, np.pi, n)
    x = np.stack([np.cos(angle) + (1 - upper), np.sin(angle) * (2 * upper - 1) + 0.5 * (1 - upper)], axis=1)
    x += run.noise * generator.numpy("standard_normal", (n, 2))
    return ArrayDataset(x.astype(np.float32), upper[:, None].astype(np.float32))


def network(run: Run) -> nn.Module:
    """(B, 2) to the scores (B, 1)."""
    return nn.Sequential(nn.Linear(2, 64), nn.ReLU(), nn.Linear(64, 64), nn.ReLU(), nn.Linear(64, 1))


def train(run: Run) -> None:
    model = network(run)
    optimizer = optim.Adam(model.parameters(), lr=run.lr)
    trainer = Trainer(model, F.binary_cross_entropy_with_logits, optimizer, metrics=[BinaryAccuracy()])
    batches = DataLoader(data(run, 0), run.batch_size, shuffle=True, seed=run.seed)
    run.fit(trainer, batches, DataLoader(data(run, 1), 256))
    test(run, model)


def test(run: Run, model: nn.Module) -> None:
    held_out = data(run, 1)
    trainer = Trainer(model, F.binary_cross_entropy_with_logits, metrics=[BinaryAccuracy()])
    figures = trainer.evaluate(DataLoader(held_out, 256))
    accuracy = figures["accuracy"]
    points, classes = held_out.arrays
    picture = run.path("decision boundary", "boundary.png")
    decision_boundary(model, points, classes[:, 0], picture, title=f"{run.name}, test accuracy {accuracy:.2%}")
    run.report("test accuracy", 100 * accuracy, "%", test_accuracy=accuracy, test_loss=figures["loss"])
