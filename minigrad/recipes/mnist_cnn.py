"""A convolutional network, conv32-pool-conv64-pool-conv64-dense64-10, on MNIST (files in $MINIGRAD_DATA/mnist)."""

from .. import nn, optim
from ..data import ArrayDataset, DataLoader, RandomAffine, mnist, random_split
from ..nn import functional as F
from ..random import Generator
from ..train import Accuracy, LRSchedule, Trainer
from .run import Run

DEFAULTS = {"epochs": 8, "batch_size": 128, "lr": 3e-3}


def network(classes: int = 10) -> nn.Module:
    """(B, 1, 28, 28) to (B, K)."""
    return nn.Sequential(
        nn.Conv2d(1, 32, 3),
        nn.ReLU(),
        nn.MaxPool2d(2),  # (B, 32, 13, 13)
        nn.Conv2d(32, 64, 3),
        nn.ReLU(),
        nn.MaxPool2d(2),  # (B, 64, 5, 5)
        nn.Conv2d(64, 64, 3),
        nn.ReLU(),
        nn.Flatten(),  # (B, 576)
        nn.Linear(576, 64),
        nn.ReLU(),
        nn.Linear(64, classes),
    )


def train(run: Run) -> None:
    learned, tested = mnist("train"), mnist("test")
    training, validation = random_split(
        ArrayDataset(learned.images, learned.labels),
        [55_000, 5_000],
        stratify=learned.labels,
        generator=Generator(run.seed),
    )
    batches = DataLoader(
        training,
        run.batch_size,
        shuffle=True,
        drop_last=True,
        transform=RandomAffine(degrees=8, shift=1.5, scale=1.1, shear=0.1),
        seed=run.seed,
    )
    model = network()
    optimizer = optim.AdamW(model.parameters(), lr=run.lr, weight_decay=0.01)
    schedule = optim.lr_scheduler.OneCycleLR(optimizer, max_lr=run.lr, total_steps=run.epochs * len(batches))
    trainer = Trainer(
        model,
        F.cross_entropy,
        optimizer,
        metrics=[Accuracy()],
        callbacks=[LRSchedule(schedule), *run.callbacks()],
    )
    trainer.fit(batches, DataLoader(validation, 500), run.epochs)
    run.report(trainer, DataLoader(ArrayDataset(tested.images, tested.labels), 500), tested.names)
