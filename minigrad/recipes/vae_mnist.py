"""A variational autoencoder, which learns how digits are spread and draws new ones.

Kingma, Welling 2013, arXiv:1312.6114. Digits come of a code z from N(0, I) by p(x | z), a Bernoulli distribution for
each pixel; q(z | x) = N(mean, sigma^2), by a second network, guesses the code. Learned is the lower bound (ELBO)

    ln p(x) >= E_q[ln p(x | z)] - KL(q(z | x) || p(z)),    KL = 1/2 sum(mean^2 + sigma^2 - 1 - ln sigma^2)

(equation 3 and appendix B).
"""

from typing import Any

import numpy as np

from .. import nn, optim, viz
from ..data import ArrayDataset, DataLoader, random_split
from ..mode import no_grad
from ..nn import functional as F
from ..random import Generator, randn
from ..tensor import Tensor
from ..train import LRSchedule, Trainer
from .coding import applied, decoder, draw, encoder, pictures
from .run import Run

DEFAULTS = {"epochs": 20, "batch_size": 128, "lr": 2e-3, "latent": 16, "hidden": 512}
SMOKE = {"hidden": 32}


class VAE(nn.Module):
    """(B, 1, 28, 28) to the likeliest code of each, (B, Z)."""

    def __init__(self, run: Run):
        super().__init__()
        self.encoder, self.decoder = encoder(run, 2 * run.latent), decoder(run)

    def code(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Mean and ln sigma^2 of q(z | x), (B, Z) each."""
        both = self.encoder(x)
        z = both.shape[1] // 2
        return both[:, :z], both[:, z:]

    def decode(self, z: Tensor) -> Tensor:
        """The probabilities of ink."""
        return F.sigmoid(self.decoder(z))

    def forward(self, x: Tensor) -> Tensor:
        return self.code(x)[0]

    def bound(self, x: Tensor, generator: Generator | None = None) -> tuple[Tensor, Tensor]:
        """E_q[ln p(x | z)], estimated from one z, and KL(q(z | x) || p(z)): (B,) each, in nats. x: of 0 and 1."""
        mean, logvar = self.code(x)
        # z as a function of parameters and of noise that has none: the gradient passes (section 2.4)
        z = mean + (0.5 * logvar).exp() * randn(*mean.shape, generator=generator)
        fit = -F.binary_cross_entropy_with_logits(self.decoder(z), x, reduction="none").sum(axis=(1, 2, 3))
        return fit, 0.5 * (mean**2 + logvar.exp() - 1 - logvar).sum(axis=1)


class Variational(Trainer):
    """Learns by the bound, of which the negative is the loss."""

    def compute(self, batch: Any) -> tuple[Tensor, Tensor, Tensor]:
        (x,) = batch
        fit, divergence = self.model.bound(x)
        return (divergence - fit).mean(), fit, x


def binary(images: np.ndarray, generator: Generator) -> np.ndarray:
    """Ink with a probability that is the grey value: p(x | z) is of 0 and 1, and the bound then one on ln p(x)."""
    return (generator.numpy("random", images.shape, np.float32) < images).astype(np.float32)


def network(run: Run) -> VAE:
    return VAE(run)


def train(run: Run) -> None:
    images, _ = pictures(run, "train")
    training, held_out = random_split(ArrayDataset(images), [11 / 12, 1 / 12], generator=Generator(run.seed))
    batches = DataLoader(training, run.batch_size, shuffle=True, transform=binary, seed=run.seed)
    validation = DataLoader(ArrayDataset(binary(held_out.whole()[0], Generator(run.seed))), 500)
    model = network(run)
    optimizer = optim.Adam(model.parameters(), lr=run.lr)
    schedule = optim.lr_scheduler.OneCycleLR(optimizer, max_lr=run.lr, total_steps=run.epochs * len(batches))
    run.fit(Variational(model, F.mse_loss, optimizer, callbacks=[LRSchedule(schedule)]), batches, validation)
    test(run, model)


def test(run: Run, model: VAE) -> None:
    images, labels = pictures(run, "test")
    x, generator = binary(images, Generator(run.seed)), Generator(run.seed + 1)
    draw(run, model, model.decode, x, labels, generator.numpy("standard_normal", (100, run.latent), np.float32))
    with no_grad():
        parts = [[float(t.sum().item()) for t in model.bound(Tensor(b), generator)] for b in batched(x)]
    fit, divergence = np.sum(parts, axis=0) / len(x)
    print(f"reconstruction {fit:.2f} nats, divergence {divergence:.2f} nats")
    run.report("test ELBO", fit - divergence, "nats", reconstruction=fit, divergence=divergence)


def batched(x: np.ndarray) -> list[np.ndarray]:
    return [x[i : i + 500] for i in range(0, len(x), 500)]


def generate(run: Run, model: VAE, prompt: str, length: int, temperature: float) -> str:
    """Draw `length` digits, of codes as far out as `temperature`; returns the picture's file. There is no prompt."""
    z = temperature * Generator(run.seed).numpy("standard_normal", (length, run.latent), np.float32)
    return str(viz.image_grid(applied(model.decode, z.astype(np.float32)), run.out / "generated.png", columns=20))
