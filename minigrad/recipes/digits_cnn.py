"""A convolutional network on scikit-learn's 1,797 handwritten digits of 8x8 pixels (no download)."""

from .. import nn, optim
from ..data import ArrayDataset, DataLoader, RandomAffine, Subset, digits, random_split
from ..nn import functional as F
from ..random import Generator
from ..train import Accuracy, LRSchedule, Trainer
from .images import answer
from .run import Run

DEFAULTS = {"epochs": 25, "batch_size": 64, "lr": 3e-3, "width": 32}
NAMES = tuple("0123456789")


def data(run: Run) -> list[Subset]:
    """1,258 to learn from, 180 to watch, 359 seen once, at the end; each class in the same share everywhere."""
    images, labels, _ = digits()
    everything = ArrayDataset(2 * images, labels)
    return random_split(everything, [0.7, 0.1, 0.2], stratify=labels, generator=Generator(run.seed))


def network(run: Run) -> nn.Module:
    """Four 3x3 convolutions, each normalised and rectified, two halvings, one linear layer. (B, 1, 8, 8) to (B, K)."""
    width = run.width

    def conv(inputs: int, outputs: int) -> list[nn.Module]:
        # no bias: the normalisation subtracts it again
        return [nn.Conv2d(inputs, outputs, 3, padding=1, bias=False), nn.BatchNorm2d(outputs), nn.ReLU()]

    return nn.Sequential(
        *conv(1, width),
        *conv(width, width),
        nn.MaxPool2d(2),  # (B, 32, 4, 4)
        *conv(width, 2 * width),
        *conv(2 * width, 2 * width),
        nn.MaxPool2d(2),  # (B, 64, 2, 2)
        nn.Flatten(),  # (B, 256)
        nn.Dropout(0.3),
        nn.Linear(2 * width * 4, 10),
    )


def train(run: Run) -> None:
    training, validation, _ = data(run)
    # small changes keep a digit what it is and make the training set larger than it is
    changes = RandomAffine(degrees=10, shift=0.7, scale=1.1, shear=0.1)
    batches = DataLoader(
        run.few(training), run.batch_size, shuffle=True, drop_last=True, transform=changes, seed=run.seed
    )
    model = network(run)
    optimizer = optim.AdamW(model.parameters(), lr=run.lr, weight_decay=0.01)
    schedule = optim.lr_scheduler.OneCycleLR(optimizer, max_lr=run.lr, total_steps=run.epochs * len(batches))
    trainer = Trainer(model, F.cross_entropy, optimizer, metrics=[Accuracy()], callbacks=[LRSchedule(schedule)])
    run.fit(trainer, batches, DataLoader(validation, 256))
    test(run, model)


def test(run: Run, model: nn.Module) -> None:
    run.classified(model, F.cross_entropy, data(run)[2], NAMES)


def predict(run: Run, model: nn.Module, path: str) -> str:
    return answer(model, path, (1, 8, 8), lambda images: 2 * images, NAMES)
