"""Logistic regression, p = sigmoid(x w + b), on scikit-learn's breast cancer data."""

import numpy as np

from .. import nn, optim
from ..data import ArrayDataset, DataLoader, breast_cancer
from ..nn import functional as F
from ..train import BinaryAccuracy, Trainer
from .run import Run
from .tabular import split

DEFAULTS = {"epochs": 40, "batch_size": 32, "lr": 0.05, "weight_decay": 0.01}


def data() -> list[ArrayDataset]:
    table = breast_cancer()
    return split(table, np.array([[0.0], [1.0]], np.float32)[table.targets])


def network(run: Run) -> nn.Module:
    """(B, 30) to the scores (B, 1): the logarithm of the odds for "benign"."""
    return nn.Linear(30, 1)


def train(run: Run) -> None:
    training, held_out = data()
    model = network(run)
    optimizer = optim.SGD(model.parameters(), lr=run.lr, momentum=0.9, weight_decay=run.weight_decay)
    trainer = Trainer(model, F.binary_cross_entropy_with_logits, optimizer, metrics=[BinaryAccuracy()])
    batches = DataLoader(run.few(training), run.batch_size, shuffle=True, seed=run.seed)
    run.fit(trainer, batches, DataLoader(held_out, 256))
    test(run, model)


def test(run: Run, model: nn.Module) -> None:
    trainer = Trainer(model, F.binary_cross_entropy_with_logits, metrics=[BinaryAccuracy()])
    figures = trainer.evaluate(DataLoader(data()[1], 256))
    accuracy = figures["accuracy"]
    run.report("test accuracy", 100 * accuracy, "%", test_accuracy=accuracy, test_loss=figures["loss"])
