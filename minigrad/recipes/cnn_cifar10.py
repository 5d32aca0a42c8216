"""A convolutional network, conv32-pool-conv64-pool-conv64-dense64-10, on CIFAR-10's pictures of 3x32x32."""

import numpy as np

from .. import nn, optim
from ..data import ArrayDataset, DataLoader, Dataset, RandomCrop, RandomHorizontalFlip, cifar10, random_split
from ..data import Compose as Changes
from ..data.images import CIFAR10_NAMES as NAMES
from ..nn import functional as F
from ..random import Generator
from ..train import Accuracy, LRSchedule, Trainer
from .images import answer
from .run import Run

DEFAULTS = {"epochs": 25, "batch_size": 128, "lr": 3e-3, "weight_decay": 0.05, "dropout": 0.2}
MEAN = np.array([0.4914, 0.4822, 0.4465], np.float32).reshape(3, 1, 1)  # of the training images' red, green and blue
STD = np.array([0.2470, 0.2435, 0.2616], np.float32).reshape(3, 1, 1)


def scaled(images: np.ndarray) -> np.ndarray:
    """Pixels from 0 to 1, to mean 0 and standard deviation 1 over the training images, colour by colour."""
    return (images - MEAN) / STD


def data(run: Run, part: str) -> Dataset:
    images, labels, _ = cifar10(part)
    return run.few(ArrayDataset(scaled(images), labels))


def network(run: Run) -> nn.Module:
    """(B, 3, 32, 32) to (B, K)."""
    return nn.Sequential(
        nn.Conv2d(3, 32, 3),
        nn.ReLU(),
        nn.MaxPool2d(2),  # (B, 32, 15, 15)
        nn.Conv2d(32, 64, 3),
        nn.ReLU(),
        nn.MaxPool2d(2),  # (B, 64, 6, 6)
        nn.Conv2d(64, 64, 3),
        nn.ReLU(),
        nn.Flatten(),  # (B, 1024)
        nn.Dropout(run.dropout),
        nn.Linear(1024, 64),
        nn.ReLU(),
        nn.Linear(64, 10),
    )


def fit(run: Run, model: nn.Module, optimizer: optim.Optimizer) -> None:
    """Train on randomly mirrored and shifted pictures, the learning rate going up and down once."""
    training, validation = random_split(data(run, "train"), [0.95, 0.05], generator=Generator(run.seed))
    changes = Changes(RandomHorizontalFlip(), RandomCrop(32, padding=4))
    batches = DataLoader(training, run.batch_size, shuffle=True, drop_last=True, transform=changes, seed=run.seed)
    schedule = optim.lr_scheduler.OneCycleLR(optimizer, max_lr=run.lr, total_steps=run.epochs * len(batches))
    trainer = Trainer(model, F.cross_entropy, optimizer, metrics=[Accuracy()], callbacks=[LRSchedule(schedule)])
    run.fit(trainer, batches, DataLoader(validation, 500))


def train(run: Run) -> None:
    model = network(run)
    fit(run, model, optim.AdamW(model.parameters(), lr=run.lr, weight_decay=run.weight_decay))
    test(run, model)


def test(run: Run, model: nn.Module) -> None:
    run.classified(model, F.cross_entropy, data(run, "test"), NAMES)


def predict(run: Run, model: nn.Module, path: str) -> str:
    return answer(model, path, (3, 32, 32), scaled, NAMES)
