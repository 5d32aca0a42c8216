"""A perceptron with one hidden layer, 784-128-10, on MNIST (files in $MINIGRAD_DATA/mnist)."""

from .. import nn, optim
from ..data import ArrayDataset, DataLoader, mnist, random_split
from ..nn import functional as F
from ..random import Generator
from ..train import Accuracy, LRSchedule, Trainer
from .run import Run

DEFAULTS = {"epochs": 10, "batch_size": 128, "lr": 3e-3}


def network(hidden: int = 128, classes: int = 10) -> nn.Module:
    """(B, 1, 28, 28) to (B, K)."""
    return nn.Sequential(
        nn.Flatten(),  # (B, 784)
        nn.Linear(784, hidden),
        nn.ReLU(),
        nn.Dropout(0.2),
        nn.Linear(hidden, classes),
    )


def train(run: Run) -> None:
    learned, tested = mnist("train"), mnist("test")
    mean, std = learned.images.mean(), learned.images.std()  # 0.1307, 0.3081
    training, validation = random_split(
        ArrayDataset((learned.images - mean) / std, learned.labels),
        [55_000, 5_000],
        stratify=learned.labels,
        generator=Generator(run.seed),
    )
    batches = DataLoader(training, run.batch_size, shuffle=True, drop_last=True, seed=run.seed)
    model = network()
    optimizer = optim.Adam(model.parameters(), lr=run.lr)
    schedule = optim.lr_scheduler.OneCycleLR(optimizer, max_lr=run.lr, total_steps=run.epochs * len(batches))
    trainer = Trainer(
        model,
        F.cross_entropy,
        optimizer,
        metrics=[Accuracy()],
        callbacks=[LRSchedule(schedule), *run.callbacks()],
    )
    trainer.fit(batches, DataLoader(validation, 1000), run.epochs)
    test = ArrayDataset((tested.images - mean) / std, tested.labels)
    run.report(trainer, DataLoader(test, 1000), tested.names)
