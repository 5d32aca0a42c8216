"""What the autoencoders share: MNIST without its labels, two small networks, and their pictures."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from .. import nn, viz
from ..data import mnist
from ..mode import no_grad
from ..tensor import Tensor
from .run import Run


def pictures(run: Run, part: str) -> tuple[np.ndarray, np.ndarray]:
    """(N, 1, 28, 28) and the classes (N,); few in a smoke run."""
    images, labels, _ = mnist(part)
    n = 96 if run.smoke else len(images)
    return images[:n], labels[:n]


def encoder(run: Run, codes: int) -> nn.Module:
    """(B, 1, 28, 28) to (B, codes)."""
    return nn.Sequential(
        nn.Flatten(),
        nn.Linear(784, run.hidden),
        nn.ReLU(),
        nn.Linear(run.hidden, run.hidden // 2),
        nn.ReLU(),
        nn.Linear(run.hidden // 2, codes),
    )


def decoder(run: Run) -> nn.Module:
    """(B, latent) to (B, 1, 28, 28), before the sigmoid."""
    return nn.Sequential(
        nn.Linear(run.latent, run.hidden // 2),
        nn.ReLU(),
        nn.Linear(run.hidden // 2, run.hidden),
        nn.ReLU(),
        nn.Linear(run.hidden, 784),
        nn.Unflatten(1, (1, 28, 28)),
    )


def applied(f: Callable[[Tensor], Tensor], x: np.ndarray) -> np.ndarray:
    """f(x) in batches, without a graph."""
    with no_grad():
        return np.concatenate([f(Tensor(x[i : i + 500])).numpy() for i in range(0, len(x), 500)])


def draw(
    run: Run,
    encode: Callable[[Tensor], Tensor],
    decode: Callable[[Tensor], Tensor],
    images: np.ndarray,
    labels: np.ndarray,
    samples: np.ndarray,
) -> None:
    """The pictures of a run: test images beside what their codes give back, and what the codes `samples` (N, Z) give.
    With two latent dimensions also the plane of the codes, and what lies where in it."""
    codes = applied(encode, images)  # (N, Z)
    again = applied(decode, codes[:20])
    path = run.path("reconstructions", "reconstructions.png")
    names = ("picture", "decoded")
    viz.image_grid(np.concatenate([images[:20], again]), path, columns=len(again), row_names=names, title=run.name)
    path = run.path("samples", "samples.png")
    viz.image_grid(applied(decode, samples), path, columns=20, title=f"{run.name}: samples")
    if run.latent == 2:
        n = min(2000, len(codes))
        viz.labelled_points(codes[:n], labels[:n], run.path("codes", "codes.png"), title=f"{run.name}: test codes")
        low, high = np.percentile(codes, [2, 98], axis=0)
        x, y = np.meshgrid(np.linspace(low[0], high[0], 20), np.linspace(high[1], low[1], 20))  # y upwards, as above
        grid = np.stack([x, y], axis=-1).reshape(-1, 2).astype(np.float32)
        title = f"{run.name}: $z_1$ from {low[0]:.1f} to {high[0]:.1f}, $z_2$ from {low[1]:.1f} to {high[1]:.1f}"
        viz.image_grid(applied(decode, grid), run.path("plane", "plane.png"), columns=20, title=title)
