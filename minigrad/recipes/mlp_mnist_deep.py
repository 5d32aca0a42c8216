"""A perceptron with two hidden layers, 784-256-128-10, with L2 penalty and dropout, on MNIST."""

from .. import nn, optim
from ..data import DataLoader, random_split
from ..nn import functional as F
from ..random import Generator
from ..train import Accuracy, EarlyStopping, LRSchedule, Trainer
from .images import answer
from .mlp_mnist import NAMES, data, scaled
from .run import Run

DEFAULTS = {"epochs": 12, "batch_size": 128, "lr": 2e-3, "dropout": 0.3, "weight_decay": 1e-4, "patience": 4}


def network(run: Run) -> nn.Module:
    """(B, 1, 28, 28) to (B, K)."""
    return nn.Sequential(
        nn.Flatten(),  # (B, 784)
        nn.Linear(784, 256),
        nn.ReLU(),
        nn.Dropout(run.dropout),
        nn.Linear(256, 128),
        nn.ReLU(),
        nn.Dropout(run.dropout),
        nn.Linear(128, 10),
    )


def train(run: Run) -> None:
    training, validation = random_split(data(run, "train"), [11 / 12, 1 / 12], generator=Generator(run.seed))
    batches = DataLoader(training, run.batch_size, shuffle=True, seed=run.seed)
    model = network(run)
    # Adam's weight_decay adds the gradient of weight_decay / 2 |w|**2, the L2 penalty; AdamW's would not
    optimizer = optim.Adam(model.parameters(), lr=run.lr, weight_decay=run.weight_decay)
    schedule = optim.lr_scheduler.CosineAnnealingLR(optimizer, T_max=run.epochs)
    callbacks = [LRSchedule(schedule, "epoch"), EarlyStopping(patience=run.patience)]
    trainer = Trainer(model, F.cross_entropy, optimizer, metrics=[Accuracy()], callbacks=callbacks)
    run.fit(trainer, batches, DataLoader(validation, 1000), best="validation_loss")
    test(run, model)


def test(run: Run, model: nn.Module) -> None:
    run.classified(model, F.cross_entropy, data(run, "test"), NAMES)


def predict(run: Run, model: nn.Module, path: str) -> str:
    return answer(model, path, (1, 28, 28), scaled, NAMES)
