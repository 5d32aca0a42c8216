"""A perceptron with one hidden layer, 784-128-10, on MNIST."""

import numpy as np

from .. import nn, optim
from ..data import ArrayDataset, DataLoader, Dataset, mnist, random_split
from ..nn import functional as F
from ..random import Generator
from ..train import Accuracy, LRSchedule, Trainer
from .images import answer
from .run import Run

DEFAULTS = {"epochs": 10, "batch_size": 128, "lr": 3e-3, "hidden": 128, "dropout": 0.2}
NAMES = tuple("0123456789")


def scaled(images: np.ndarray) -> np.ndarray:
    """Pixels from 0 to 1, to mean 0 and standard deviation 1 over the training images."""
    return (images - np.float32(0.1307)) / np.float32(0.3081)


def data(run: Run, part: str) -> Dataset:
    images, labels, _ = mnist(part)
    return run.few(ArrayDataset(scaled(images), labels))


def network(run: Run) -> nn.Module:
    """(B, 1, 28, 28) to (B, K)."""
    return nn.Sequential(
        nn.Flatten(),  # (B, 784)
        nn.Linear(784, run.hidden),
        nn.ReLU(),
        nn.Dropout(run.dropout),
        nn.Linear(run.hidden, 10),
    )


def train(run: Run) -> None:
    training, validation = random_split(data(run, "train"), [11 / 12, 1 / 12], generator=Generator(run.seed))
    batches = DataLoader(training, run.batch_size, shuffle=True, seed=run.seed)
    model = network(run)
    optimizer = optim.Adam(model.parameters(), lr=run.lr)
    schedule = optim.lr_scheduler.OneCycleLR(optimizer, max_lr=run.lr, total_steps=run.epochs * len(batches))
    trainer = Trainer(model, F.cross_entropy, optimizer, metrics=[Accuracy()], callbacks=[LRSchedule(schedule)])
    run.fit(trainer, batches, DataLoader(validation, 1000))
    test(run, model)


def test(run: Run, model: nn.Module) -> None:
    run.classified(model, F.cross_entropy, data(run, "test"), NAMES)


def predict(run: Run, model: nn.Module, path: str) -> str:
    return answer(model, path, (1, 28, 28), scaled, NAMES)
