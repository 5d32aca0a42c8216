"""Where a network looks: four ways to explain cnn-mnist's answers by its gradient, drawn and put to the test.

For a score S_k(x) of class k, each pixel's weight is

- gradient: |dS_k / dx| (Simonyan, Vedaldi, Zisserman 2013, arXiv:1312.6034);
- SmoothGrad: the mean gradient at noisy copies of x (Smilkov et al. 2017, arXiv:1706.03825);
- integrated gradients: (x - x0) times the mean gradient on the way from the empty picture x0 to x; these add up to
  S_k(x) - S_k(x0), which is their axiom of completeness (Sundararajan, Taly, Yan 2017, arXiv:1703.01365);
- Grad-CAM: relu(sum_c a_c A_c) of a layer's channels A, a_c the mean gradient for one (Selvaraju et al. 2016,
  arXiv:1610.02391); here of the second convolution (11 x 11), as the last one has but 3 x 3 places.

The test: blank the pixels with the largest weights, and see how fast the class is lost.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from .. import nn, viz
from ..data import Subset
from ..gradients import grad
from ..mode import no_grad
from ..nn import functional as F
from ..random import Generator
from ..tensor import Tensor
from . import vit_mnist
from .cnn_mnist import NAMES, data, fit
from .cnn_mnist import network as network
from .images import answer, one_of_each, read_image
from .run import Run

DEFAULTS = {
    "epochs": 2, "batch_size": 128, "lr": 3e-3, "steps": 32, "noise": 0.2, "tested": 200, "vit": "runs/vit-mnist",
}  # fmt: skip
SMOKE = {"steps": 4, "tested": 12, "vit": ""}
LAYER = 4  # the ReLU behind the second convolution
SHARES = (0.0, 0.02, 0.05, 0.1, 0.2)  # of the pixels, blanked


def scores(model: Callable[[Tensor], Tensor], x: Tensor, classes: np.ndarray) -> Tensor:
    """S_k(x) of each picture's class: (B,)."""
    return model(x)[np.arange(len(classes)), classes]


def slope(model: Callable[[Tensor], Tensor], x: np.ndarray, classes: np.ndarray) -> np.ndarray:
    """dS_k / dx, like x."""
    at = Tensor(x, requires_grad=True)
    (g,) = grad(scores(model, at, classes).sum(), at)
    assert g is not None  # the scores depend on every picture
    return g.numpy()


def smooth(model: nn.Module, x: np.ndarray, classes: np.ndarray, n: int, noise: float, seed: int = 0) -> np.ndarray:
    generator, total = Generator(seed), np.zeros_like(x)
    for _ in range(n):
        total += slope(model, x + noise * generator.numpy("standard_normal", x.shape, np.float32), classes)
    return total / n


def integrated(model: Callable[[Tensor], Tensor], x: np.ndarray, classes: np.ndarray, n: int) -> np.ndarray:
    """From the empty picture to x in n steps, by the midpoint rule."""
    total = np.zeros_like(x)
    for i in range(n):
        total += slope(model, x * np.float32((i + 0.5) / n), classes)
    return x * total / n


def grad_cam(model: Any, x: np.ndarray, classes: np.ndarray, layer: int = LAYER) -> np.ndarray:
    """(B, 1, H, W), the map of the layer brought to the picture's size."""
    with no_grad():
        channels = model[: layer + 1](Tensor(x)).numpy()  # (B, C, h, w)
    weights = slope(model[layer + 1 :], channels, classes).mean(axis=(2, 3), keepdims=True)
    cam = F.relu(Tensor((weights * channels).sum(axis=1, keepdims=True)))
    return F.interpolate(cam, x.shape[2:], mode="bilinear", align_corners=False).numpy()


def maps(run: Run, model: nn.Module, x: np.ndarray, classes: np.ndarray) -> dict[str, np.ndarray]:
    """The ways, with their maps (B, H, W), none below 0."""
    found = {
        "gradient": slope(model, x, classes),
        "SmoothGrad": smooth(model, x, classes, run.steps, run.noise, run.seed),
        "integrated": integrated(model, x, classes, run.steps),
        "Grad-CAM": grad_cam(model, x, classes),
    }
    return {name: np.abs(heat[:, 0]) for name, heat in found.items()}


def train(run: Run) -> None:
    model = network(run)
    fit(run, model)
    test(run, model)


def test(run: Run, model: nn.Module) -> None:
    samples = data(run, "test")
    x, classes = one_of_each(samples)
    path = run.path("maps", "maps.png")
    viz.heat_maps(x, maps(run, model.eval(), x, classes), path, column_names=NAMES, title=f"{run.name}: what counts")
    transformer(run, x)

    x, classes = Subset(samples, range(min(run.tested, len(samples)))).whole()
    with no_grad():
        gain = (scores(model, Tensor(x), classes) - scores(model, Tensor(np.zeros_like(x)), classes)).numpy()
    parts = integrated(model, x, classes, run.steps).sum(axis=(1, 2, 3))
    error = float(np.abs(parts - gain).mean() / np.abs(gain).mean())
    print(f"integrated gradients add up to S(x) - S(0) to {100 * error:.3f} %, with {run.steps} steps")
    chance = Generator(run.seed).numpy("random", x[:, 0].shape)
    heats = maps(run, model, x, classes) | {"brightness": x[:, 0] + 1e-3 * chance, "chance": chance}
    lost = {
        name: [accuracy(model, blanked(x, heat, share), classes) for share in SHARES] for name, heat in heats.items()
    }
    print(f"accuracy without the weightiest pixels  {'  '.join(f'{100 * share:5g} %' for share in SHARES)}")
    for name, values in lost.items():
        print(f"{name:<38}  {'  '.join(f'{100 * value:5.1f} %' for value in values)}")
    figures = {"blanked": lost, "shares": SHARES, "completeness_error": error}
    run.classified(model, F.cross_entropy, samples, NAMES, **figures)


def blanked(x: np.ndarray, heat: np.ndarray, share: float) -> np.ndarray:
    """The pictures (B, 1, H, W) without the share of their pixels with the largest values in heat (B, H, W)."""
    rank = np.argsort(np.argsort(-heat.reshape(len(x), -1), axis=1, kind="stable"), axis=1)
    return np.where((rank < round(share * rank.shape[1])).reshape(x.shape), np.float32(0), x)


def accuracy(model: nn.Module, x: np.ndarray, classes: np.ndarray) -> float:
    with no_grad():
        return float((model(Tensor(x)).numpy().argmax(axis=1) == classes).mean())


def transformer(run: Run, x: np.ndarray) -> None:
    """The attention of a Vision Transformer to the same pictures, where vit-mnist has been trained."""
    if run.vit and (Path(run.vit) / "weights.safetensors").exists():
        options = {**vit_mnist.DEFAULTS, "seed": run.seed}
        vit = Run("vit-mnist", options, backend=run.backend, out=Path(run.vit)).trained(vit_mnist.network)
        vit_mnist.look(run, vit, x)


def predict(run: Run, model: nn.Module, path: str) -> str:
    """The answer, and a picture of what it rests on."""
    said = answer(model, path, (1, 28, 28), lambda images: images, NAMES)
    x = read_image(path, (1, 28, 28))[None]
    with no_grad():
        classes = model(Tensor(x)).numpy().argmax(axis=1)
    file = viz.heat_maps(
        x, maps(run, model, x, classes), run.out / "explained.png", column_names=[said.partition(" ")[0]]
    )
    return f"{said}; why: {file}"
