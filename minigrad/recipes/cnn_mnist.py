"""A convolutional network, conv32-pool-conv64-pool-conv64-dense64-10, on MNIST."""

from .. import nn, optim
from ..data import ArrayDataset, DataLoader, Dataset, RandomAffine, mnist, random_split
from ..nn import functional as F
from ..random import Generator
from ..train import Accuracy, LRSchedule, Trainer
from .images import answer
from .run import Run

DEFAULTS = {"epochs": 8, "batch_size": 128, "lr": 3e-3}
NAMES = tuple("0123456789")


def data(run: Run, part: str) -> Dataset:
    images, labels, _ = mnist(part)
    return run.few(ArrayDataset(images, labels))


def network(run: Run) -> nn.Module:
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
        nn.Linear(64, 10),
    )


def fit(run: Run, model: nn.Module) -> None:
    training, validation = random_split(data(run, "train"), [11 / 12, 1 / 12], generator=Generator(run.seed))
    # small changes keep a digit what it is and make the training set larger than it is
    changes = RandomAffine(degrees=8, shift=1.5, scale=1.1, shear=0.1)
    batches = DataLoader(training, run.batch_size, shuffle=True, transform=changes, seed=run.seed)
    optimizer = optim.AdamW(model.parameters(), lr=run.lr, weight_decay=0.01)
    schedule = optim.lr_scheduler.OneCycleLR(optimizer, max_lr=run.lr, total_steps=run.epochs * len(batches))
    trainer = Trainer(model, F.cross_entropy, optimizer, metrics=[Accuracy()], callbacks=[LRSchedule(schedule)])
    run.fit(trainer, batches, DataLoader(validation, 500))


def train(run: Run) -> None:
    model = network(run)
    fit(run, model)
    test(run, model)


def test(run: Run, model: nn.Module) -> None:
    run.classified(model, F.cross_entropy, data(run, "test"), NAMES)


def predict(run: Run, model: nn.Module, path: str) -> str:
    return answer(model, path, (1, 28, 28), lambda images: images, NAMES)
