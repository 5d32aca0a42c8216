"""Two networks that play against each other, until one of them draws the digits it is asked for: a GAN on MNIST.

Goodfellow et al. 2014, arXiv:1406.2661, algorithm 1, with the generator's loss of section 3, whose gradient does not
vanish while the discriminator wins; both are told the digit (Mirza, Osindero 2014, arXiv:1411.1784), one of them
by a product with its features (Miyato, Koyama 2018, arXiv:1802.05637); convolutions, initial weights and momentum as
DCGAN's (Radford, Metz, Chintala 2015, arXiv:1511.06434). The players chase each other in circles: what draws in the end
is the average of the weights along the way (Yazici et al. 2019, arXiv:1806.04498).
"""

from collections.abc import Sequence
from typing import Any

import numpy as np

from .. import nn, optim, viz
from ..data import ArrayDataset, DataLoader
from ..errors import ArgumentError
from ..functions import concat  # type: ignore[attr-defined]
from ..mistakes import meant
from ..mode import no_grad
from ..nn import functional as F
from ..random import Generator, randint, randn
from ..tensor import Tensor
from ..train import EMA, BinaryAccuracy, Callback, Trainer
from ..train.trainer import Step
from . import cnn_mnist, judge
from .run import Run

DEFAULTS = {
    "epochs": 12, "batch_size": 128, "lr": 2e-4, "noise": 64, "width": 32, "features": 256, "average": 0.999,
    "every": 1, "samples": 2000,
}  # fmt: skip
SMOKE = {"width": 4, "noise": 8, "features": 8, "samples": 40}
DIGITS = 10


class Discriminator(nn.Module):
    """How real a picture x (B, 1, 28, 28) looks as the digit y (B,): (w + v[y]) . f(x), (B, 1), above 0 for real."""

    def __init__(self, width: int, features: int):
        super().__init__()
        c = width
        self.seen = nn.Sequential(
            nn.Conv2d(1, c, 4, stride=2, padding=1),  # (B, C, 14, 14)
            nn.LeakyReLU(0.2),
            nn.Conv2d(c, 2 * c, 4, stride=2, padding=1),  # (B, 2C, 7, 7)
            nn.BatchNorm2d(2 * c),
            nn.LeakyReLU(0.2),
            nn.Flatten(),
            nn.Linear(49 * 2 * c, features),
            nn.LeakyReLU(0.2),
        )
        self.real = nn.Linear(features, 1)
        self.digit = nn.Embedding(DIGITS, features)

    def forward(self, x: Tensor, y: Tensor) -> Tensor:
        f = self.seen(x)  # (B, features)
        return self.real(f) + (self.digit(y) * f).sum(axis=1, keepdims=True)


class GAN(nn.Module):
    """noise and a digit to pictures (B, 1, 28, 28); with its opponent, and with a classifier that takes no part.

    Called with what `wish` makes of both, (B, noise + 10).
    """

    def __init__(self, noise: int, width: int, features: int, judge: nn.Module):
        super().__init__()
        c = width
        self.generator = nn.Sequential(
            nn.Linear(noise + DIGITS, 49 * 2 * c),
            nn.Unflatten(1, (2 * c, 7, 7)),
            nn.BatchNorm2d(2 * c),
            nn.ReLU(),
            nn.ConvTranspose2d(2 * c, c, 4, stride=2, padding=1),  # (B, C, 14, 14)
            nn.BatchNorm2d(c),
            nn.ReLU(),
            nn.ConvTranspose2d(c, 1, 4, stride=2, padding=1),  # (B, 1, 28, 28)
            nn.Tanh(),  # ink 1, paper -1
        )
        self.discriminator = Discriminator(width, features)
        for p in self.parameters():
            if p.ndim > 1:
                nn.init.normal_(p, 0.0, 0.02)
        self.judge = judge

    def forward(self, wish: Tensor) -> Tensor:
        return 0.5 * (self.generator(wish) + 1)

    def score(self, x: Tensor, y: Tensor) -> Tensor:
        """How real pictures (B, 1, 28, 28) look as the digits (B,): (B, 1)."""
        return self.discriminator(2 * x - 1, y)


def wish(noise: Tensor, digits: Tensor) -> Tensor:
    """(B, Z) and (B,) to (B, Z + 10): the noise, and a 1 at the place of the digit."""
    return concat([noise, F.one_hot(digits, DIGITS).astype(noise.dtype)], axis=1)


class Game(Trainer):
    """A batch: the discriminator learns to tell the real pictures from made ones, then the generator to pass for real.

    The loss is the generator's, the accuracy the discriminator's; at 50 % it can but guess.
    """

    def __init__(self, model: GAN, optimizer: Any, opponent: Any, noise: int, callbacks: Sequence[Callback]):
        super().__init__(model, F.softplus, optimizer, metrics=[BinaryAccuracy()], callbacks=callbacks)
        self.opponent, self.noise = opponent, noise  # the discriminator's optimizer

    def parts(self) -> dict[str, Any]:
        return super().parts() | {"opponent": self.opponent}

    def made(self, n: int) -> tuple[Tensor, Tensor]:
        """n new pictures of random digits, and the digits."""
        digits = randint(0, DIGITS, (n,))
        return self.model(wish(randn(n, self.noise), digits)), digits

    def compute(self, batch: Any) -> tuple[Tensor, Tensor, Tensor]:
        """The generator's -ln D(G(z)), D = sigmoid(score): softplus(-score); the scores, and what they should say."""
        scores = self.model.score(*self.made(len(batch[0])))  # (B, 1)
        return F.softplus(-scores).mean(), scores, Tensor(np.ones(scores.shape, np.float32))

    def step(self, batch: Any) -> Step:
        real, digits = batch
        with no_grad(), meant():  # normalised by the batch, as when the generator learns
            made = self.made(len(real))
        on_real, on_made = self.model.score(real, digits), self.model.score(*made)  # (B, 1)
        loss = F.softplus(-on_real).mean() + F.softplus(on_made).mean()  # -ln D(x) - ln(1 - D(G(z)))
        self.finite(loss.item(), batch)
        self.opponent.zero_grad()
        loss.backward()
        self.opponent.step()

        loss, *_ = self.compute(batch)
        value = self.finite(loss.item(), batch)
        self.optimizer.zero_grad()
        loss.backward()  # leaves gradients in the discriminator too, which its next turn clears
        self.optimizer.step()
        truth = np.repeat(np.array([1, 0], np.float32), len(real))
        return Step(value, concat([on_real, on_made]).detach(), Tensor(truth), len(real))


class Album(Callback):
    """The same noise, drawn after every so many epochs."""

    def __init__(self, run: Run):
        self.run = run

    def epoch_end(self, trainer: Trainer) -> None:
        if trainer.epoch % self.run.every == 0:
            path = self.run.path(f"epoch {trainer.epoch}", f"samples-{trainer.epoch:03d}.png")
            title = f"{self.run.name}, epoch {trainer.epoch}"
            viz.image_grid(drawn(self.run, trainer.evaluated, 100), path, columns=20, title=title)


def asked(n: int) -> np.ndarray:
    """0, 1, ..., 9, 0, 1, ...: (n,)."""
    return np.arange(n) % DIGITS


def drawn(run: Run, model: nn.Module, n: int) -> np.ndarray:
    """The digits `asked` of the first n of the run's fixed noises, (n, 1, 28, 28)."""
    z = wish(randn(n, run.noise, generator=Generator(run.seed)), Tensor(asked(n))).numpy()
    return Trainer(model, F.softplus).predict(DataLoader(ArrayDataset(z), 500)).numpy()


def network(run: Run) -> GAN:
    return GAN(run.noise, run.width, run.features, cnn_mnist.network(run))


def train(run: Run) -> None:
    model = network(run)
    if run.resumed is None:  # else it has learned
        judge.learn(run, model.judge)
    adam = lambda player: optim.Adam(player.parameters(), lr=run.lr, betas=(0.5, 0.999))
    game = Game(
        model,
        adam(model.generator),
        adam(model.discriminator),
        run.noise,
        [EMA(run.average, use_buffers=True), Album(run)],
    )
    batches = DataLoader(cnn_mnist.data(run, "train"), run.batch_size, shuffle=True, drop_last=True, seed=run.seed)
    run.fit(game, batches)
    test(run, model)


def test(run: Run, model: GAN) -> None:
    viz.image_grid(drawn(run, model, 100), run.path("samples", "samples.png"), columns=20, title=run.name)
    pictures = drawn(run, model, run.samples)
    made = judge.verdict(model.judge, pictures)
    real = judge.verdict(model.judge, cnn_mnist.data(run, "test").whole()[0])
    for name, found in (("real", real), ("made", made)):
        shares = " ".join(f"{100 * share:.0f}" for share in found["shares"])
        print(f"{name} digits: score {found['score']:.2f} of 10, sure {100 * found['sure']:.1f} %, shares {shares} %")
    truth = judge.accuracy(run, model.judge)
    print(f"the classifier reads {100 * truth:.2f} % of the real test digits rightly")
    read = judge.read(model.judge, pictures) == asked(run.samples)
    run.report("share of digits read as asked", 100 * read.mean(), "%", made=made, real=real, judge_accuracy=truth)


def generate(run: Run, model: GAN, prompt: str, length: int, temperature: float) -> str:
    """Draw the digits of the prompt, or `length` of all kinds, from noise of that `temperature`; returns the file."""
    wanted = prompt.split()
    if not all(word.isascii() and word.isdigit() for word in wanted):
        raise ArgumentError(f"gan-mnist draws digits; it was asked for {prompt!r}. Ask for a number: 31415")
    digits = np.array([int(k) for k in "".join(wanted)]) if wanted else asked(length)
    z = randn(len(digits), run.noise, generator=Generator(run.seed)) * temperature
    with no_grad():
        pictures = model.eval()(wish(z, Tensor(digits))).numpy()
    return str(viz.image_grid(pictures, run.out / "generated.png", columns=20))
