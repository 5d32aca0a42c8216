"""What the recipes on images share: reading a picture and answering for it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from ..data import Dataset
from ..errors import DataError
from ..extras import require
from ..mode import no_grad
from ..nn import Module, functional
from ..tensor import Tensor


def read_image(path: str, shape: tuple[int, int, int]) -> np.ndarray:
    """A picture file as (C, H, W) float32 from 0 to 1: greyed if C is 1, and brought to the size."""
    channels, height, width = shape
    pillow = require("PIL.Image", extra="train", use="predict")
    if not Path(path).is_file():
        raise DataError(f"predict: there is no file {path!r}.")
    try:
        with pillow.open(path) as file:
            image = file.convert("L" if channels == 1 else "RGB").resize((width, height))
    except (OSError, ValueError, SyntaxError, pillow.DecompressionBombError) as error:
        raise DataError(f"predict: {path} is not a picture that can be read: {error}") from None
    pixels = np.asarray(image, np.float32) / 255  # (H, W) or (H, W, 3)
    return pixels[None] if channels == 1 else np.moveaxis(pixels, -1, 0)


def answer(
    model: Module,
    path: str,
    shape: tuple[int, int, int],
    scaled: Callable[[np.ndarray], np.ndarray],
    names: Sequence[str],
) -> str:
    """``7 (98.2 %), 9 (1.1 %), 4 (0.3 %)``: the likeliest classes of the picture in a file."""
    with no_grad():
        scores = model(Tensor(scaled(read_image(path, shape)[None])))
        p = functional.softmax(scores, dim=-1).numpy()[0]  # (K,)
    return ", ".join(f"{names[k]} ({100 * p[k]:.1f} %)" for k in np.argsort(-p)[:3])


def one_of_each(samples: Dataset) -> tuple[np.ndarray, np.ndarray]:
    """The first picture of each class, (K, C, H, W), and the classes."""
    images, labels = samples.whole()
    classes, first = np.unique(labels, return_index=True)
    return images[first], classes
