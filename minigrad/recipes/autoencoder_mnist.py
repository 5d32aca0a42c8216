"""An autoencoder, which squeezes MNIST's digits into a few numbers and back; compared with principal components.

A network that must give back its input through a narrow layer (Hinton, Salakhutdinov 2006, Science 313, 504). The best
linear one is PCA, and known in closed form: what the network is better by, its nonlinearity has brought.
"""

import numpy as np

from .. import nn, optim
from ..data import ArrayDataset, DataLoader, random_split
from ..nn import functional as F
from ..random import Generator
from ..tensor import Tensor
from ..train import LRSchedule, Trainer
from .coding import applied, decoder, draw, encoder, pictures
from .run import Run

DEFAULTS = {"epochs": 10, "batch_size": 128, "lr": 2e-3, "latent": 16, "hidden": 512}
SMOKE = {"hidden": 32}


class Autoencoder(nn.Module):
    """(B, 1, 28, 28) to the same, by way of (B, latent)."""

    def __init__(self, run: Run):
        super().__init__()
        self.encoder, self.decoder = encoder(run, run.latent), decoder(run)

    def decode(self, codes: Tensor) -> Tensor:
        return F.sigmoid(self.decoder(codes))

    def forward(self, x: Tensor) -> Tensor:
        return self.decode(self.encoder(x))


def network(run: Run) -> Autoencoder:
    return Autoencoder(run)


def train(run: Run) -> None:
    images, _ = pictures(run, "train")
    training, validation = random_split(ArrayDataset(images, images), [11 / 12, 1 / 12], generator=Generator(run.seed))
    batches = DataLoader(training, run.batch_size, shuffle=True, seed=run.seed)
    model = network(run)
    optimizer = optim.Adam(model.parameters(), lr=run.lr)
    schedule = optim.lr_scheduler.OneCycleLR(optimizer, max_lr=run.lr, total_steps=run.epochs * len(batches))
    run.fit(
        Trainer(model, F.mse_loss, optimizer, callbacks=[LRSchedule(schedule)]), batches, DataLoader(validation, 500)
    )
    test(run, model)


def test(run: Run, model: Autoencoder) -> None:
    seen, _ = pictures(run, "train")
    images, labels = pictures(run, "test")
    codes = applied(model.encoder, seen[:5000]).astype(np.float64)
    # it never learned how codes are spread: a normal distribution of their mean and covariance is a guess
    root = np.linalg.cholesky(np.cov(codes.T) + 1e-6 * np.eye(run.latent))
    noise = Generator(run.seed).numpy("standard_normal", (60, run.latent))
    draw(run, model.encoder, model.decode, images, labels, (codes.mean(axis=0) + noise @ root.T).astype(np.float32))
    error = float(np.mean((applied(model, images) - images) ** 2))
    linear = principal_components(seen, images, run.latent)
    print(f"{run.latent} principal components leave {linear:.5f}")
    run.report("test error", error, "per pixel, squared", digits=5, test_error=error, pca_error=linear)


def principal_components(seen: np.ndarray, images: np.ndarray, k: int) -> float:
    """The mean squared error of (N, ...) images projected on the k main directions of those seen."""
    x, y = (a.reshape(len(a), -1).astype(np.float64) for a in (seen, images))
    mean = x.mean(axis=0)
    _, directions = np.linalg.eigh((x - mean).T @ (x - mean))  # (D, D), ascending
    main, y = directions[:, -k:], y - mean
    return float(np.mean((y - y @ main @ main.T) ** 2))
