"""Linear regression, y = x w + b, on scikit-learn's diabetes data; compared with least squares."""

import numpy as np

from .. import nn, optim
from ..data import ArrayDataset, DataLoader, diabetes
from ..nn import functional as F
from ..train import Trainer
from .run import Run
from .tabular import split

DEFAULTS = {"epochs": 100, "batch_size": 64, "lr": 0.1}


def data() -> list[ArrayDataset]:
    """Features and target with mean 0 and variance 1: the loss is then the share of the variance not explained."""
    table = diabetes()
    return split(table, ((table.targets - table.targets.mean()) / table.targets.std())[:, None])


def network(run: Run) -> nn.Module:
    """(B, 10) to (B, 1)."""
    return nn.Linear(10, 1)


def train(run: Run) -> None:
    training, held_out = data()
    model = network(run)
    optimizer = optim.SGD(model.parameters(), lr=run.lr)
    trainer = Trainer(model, F.mse_loss, optimizer)
    run.fit(
        trainer, DataLoader(run.few(training), run.batch_size, shuffle=True, seed=run.seed), DataLoader(held_out, 256)
    )
    test(run, model)


def test(run: Run, model: nn.Module) -> None:
    training, held_out = data()
    x, y = training.whole()
    exact = np.linalg.lstsq(np.c_[x, np.ones(len(x))], y, rcond=None)[0]  # (11, 1), what the training looks for
    x, y = held_out.whole()
    residual = Trainer(model, F.mse_loss).evaluate(DataLoader(held_out, 256))["loss"]
    best = float(np.mean((np.c_[x, np.ones(len(x))] @ exact - y) ** 2))
    variance = float(np.var(y))
    print(f"least squares would reach R2 {1 - best / variance:.4f} on the same data")
    run.report("test R2", 1 - residual / variance, digits=4, test_loss=residual, least_squares_loss=best)
