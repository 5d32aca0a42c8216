"""A linear support vector machine: the hinge loss with an L2 penalty, on scikit-learn's breast cancer data."""

import numpy as np

from .. import nn, optim
from ..data import ArrayDataset, DataLoader, breast_cancer
from ..nn import functional as F
from ..train import BinaryAccuracy, LRSchedule, Trainer
from .run import Run
from .tabular import split

DEFAULTS = {"epochs": 40, "batch_size": 32, "lr": 0.02, "weight_decay": 0.01}


def data() -> list[ArrayDataset]:
    """The classes are -1 and 1, as the hinge loss max(0, 1 - t x) wants them."""
    table = breast_cancer()
    return split(table, np.array([[-1.0], [1.0]], np.float32)[table.targets])


def network(run: Run) -> nn.Module:
    """(B, 30) to the scores (B, 1): the distance from the boundary, in units of the margin."""
    return nn.Linear(30, 1)


def train(run: Run) -> None:
    training, held_out = data()
    model = network(run)
    optimizer = optim.SGD(model.parameters(), lr=run.lr, momentum=0.9, weight_decay=run.weight_decay)
    schedule = optim.lr_scheduler.CosineAnnealingLR(optimizer, T_max=run.epochs)
    callbacks = [LRSchedule(schedule, "epoch")]
    trainer = Trainer(model, F.hinge_loss, optimizer, metrics=[BinaryAccuracy()], callbacks=callbacks)
    batches = DataLoader(run.few(training), run.batch_size, shuffle=True, seed=run.seed)
    run.fit(trainer, batches, DataLoader(held_out, 256))
    test(run, model)


def test(run: Run, model: nn.Module) -> None:
    trainer = Trainer(model, F.hinge_loss, metrics=[BinaryAccuracy()])
    figures = trainer.evaluate(DataLoader(data()[1], 256))
    _, t = data()[0].whole()
    margins = t * trainer.predict(DataLoader(data()[0], 256)).numpy()
    print(f"support vectors (inside the margin): {int((margins < 1).sum())} of {len(t)} training samples")
    accuracy = figures["accuracy"]
    run.report("test accuracy", 100 * accuracy, "%", test_accuracy=accuracy, test_loss=figures["loss"])
