"""A Vision Transformer, which reads MNIST's digits as a sequence of patches.

Dosovitskiy et al. 2020, arXiv:2010.11929, section 3.1: patches, mapped linearly, behind a class token and with learned
positions, go through a transformer encoder; what the class token has become is classified.
"""

import numpy as np

from .. import nn, optim, viz
from ..data import ArrayDataset, DataLoader, Dataset, RandomCrop, mnist, random_split
from ..functions import concat  # type: ignore[attr-defined]
from ..mode import no_grad
from ..nn import functional as F
from ..random import Generator
from ..tensor import Tensor
from ..train import Accuracy, LRSchedule, Trainer
from .images import answer, one_of_each
from .run import Run

DEFAULTS = {
    "epochs": 5, "batch_size": 128, "lr": 2e-3, "weight_decay": 0.05, "patch": 7,
    "layers": 3, "width": 64, "heads": 4, "dropout": 0.0,
}  # fmt: skip
SMOKE = {"layers": 2, "width": 16}
NAMES = tuple("0123456789")


class ViT(nn.Module):
    """(B, 1, 28, 28) to (B, 10)."""

    def __init__(self, *, patch: int, layers: int, width: int, heads: int, dropout: float):
        super().__init__()
        self.patch, self.side = patch, 28 // patch  # 28 must be a multiple of patch
        self.embed = nn.Linear(patch * patch, width)
        self.token = nn.Parameter(nn.init.normal_(Tensor(np.zeros((1, 1, width), np.float32)), 0.0, 0.02))
        places = np.zeros((1 + self.side**2, width), np.float32)
        self.places = nn.Parameter(nn.init.normal_(Tensor(places), 0.0, 0.02))
        self.layers = nn.Sequential(
            *[
                nn.TransformerEncoderLayer(
                    width, heads, 4 * width, dropout, activation="gelu", batch_first=True, norm_first=True
                )
                for _ in range(layers)
            ]
        )
        self.norm = nn.LayerNorm(width)
        self.scores = nn.Linear(width, 10)

    def patches(self, x: Tensor) -> Tensor:
        """(B, 1, 28, 28) to (B, S * S, P * P): the picture cut into S rows of S squares."""
        s, p = self.side, self.patch
        return x.reshape(-1, s, p, s, p).permute(0, 1, 3, 2, 4).reshape(-1, s * s, p * p)

    def embedded(self, x: Tensor) -> Tensor:
        """The sequence that the encoder reads: (B, 1 + S * S, C)."""
        x = self.embed(self.patches(x))
        return concat([self.token.expand(len(x), -1, -1), x], axis=1) + self.places

    def forward(self, x: Tensor) -> Tensor:
        return self.scores(self.norm(self.layers(self.embedded(x))[:, 0]))

    def attention(self, x: Tensor) -> list[np.ndarray]:
        """What every place looks at, of each layer: (B, H, T, T)."""
        x, weights = self.embedded(x), []
        for layer in self.layers:
            y = layer.norm1(x)
            weights.append(layer.self_attn(y, y, y, average_attn_weights=False)[1].numpy())
            x = layer(x)
        return weights


def rollout(weights: list[np.ndarray]) -> np.ndarray:
    """What reaches the class token from each patch through all layers, (B, S, S): the product of (A + I) / 2, A the
    heads' mean, as the residual stream passes by each attention. Abnar, Zuidema 2020, arXiv:2005.00928."""
    through = np.eye(weights[0].shape[-1])
    for a in weights:
        through = (a.mean(axis=1) + np.eye(a.shape[-1])) / 2 @ through  # (B, T, T)
    return squares(through)


def squares(weights: np.ndarray) -> np.ndarray:
    """The class token's row of (B, T, T) as the picture's patches lie: (B, S, S)."""
    side = round((weights.shape[-1] - 1) ** 0.5)
    return weights[:, 0, 1:].reshape(-1, side, side)


def data(run: Run, part: str) -> Dataset:
    images, labels, _ = mnist(part)
    return run.few(ArrayDataset(images, labels))


def network(run: Run) -> ViT:
    return ViT(**{name: run.options[name] for name in ("patch", "layers", "width", "heads", "dropout")})


def train(run: Run) -> None:
    training, validation = random_split(data(run, "train"), [11 / 12, 1 / 12], generator=Generator(run.seed))
    # it knows nothing of space until it has learned it: digits at shifted places teach it faster
    shifted = RandomCrop(28, padding=2)
    batches = DataLoader(training, run.batch_size, shuffle=True, transform=shifted, seed=run.seed)
    model = network(run)
    optimizer = optim.AdamW(model.parameters(), lr=run.lr, weight_decay=run.weight_decay)
    schedule = optim.lr_scheduler.OneCycleLR(
        optimizer, max_lr=run.lr, total_steps=run.epochs * len(batches), cycle_momentum=False
    )
    trainer = Trainer(model, F.cross_entropy, optimizer, metrics=[Accuracy()], callbacks=[LRSchedule(schedule)])
    run.fit(trainer, batches, DataLoader(validation, 500))
    test(run, model)


def test(run: Run, model: ViT) -> None:
    samples = data(run, "test")
    look(run, model, one_of_each(samples)[0])
    run.classified(model, F.cross_entropy, samples, NAMES)


def look(run: Run, model: nn.Module, x: np.ndarray) -> None:
    """Draw what the class token looks at in pictures of each class: over all layers, and by each head of the last."""
    with no_grad():
        weights = model.eval().attention(Tensor(x))
    heats = {"all layers": rollout(weights)}
    heats |= {f"last, head {h + 1}": squares(weights[-1][:, h]) for h in range(weights[-1].shape[1])}
    path = run.path("attention", "attention.png")
    viz.heat_maps(x, heats, path, column_names=NAMES, title=f"{run.name}: where the class token looks")


def predict(run: Run, model: ViT, path: str) -> str:
    return answer(model, path, (1, 28, 28), lambda images: images, NAMES)
