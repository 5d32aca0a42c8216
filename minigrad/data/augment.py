"""Random changes to images that keep what they show. Each is a pure function of a batch and a generator.

images: (B, C, H, W), a host array of floats; the result has the same dtype and, but for the crops, the same shape.
Every image draws its own change, and the same generator brings the same ones.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from importlib import import_module
from typing import Any

import numpy as np

from ..backend.base import load_kernel
from ..errors import ArgumentError, DTypeError, ShapeError
from ..mode import MODE
from ..random import Generator

Change = Callable[[np.ndarray, Generator], np.ndarray]


class Compose:
    """One change after the other: ``Compose(RandomAffine(degrees=10), RandomHorizontalFlip())``, or a list of them."""

    def __init__(self, *changes: Change | Sequence[Change]):
        first = changes[0] if changes else ()
        self.changes: Sequence[Any] = changes if callable(first) else first

    def __call__(self, images: np.ndarray, generator: Generator) -> np.ndarray:
        for change in self.changes:
            images = change(images, generator)
        return images


class RandomApply:
    """`change` on each image with probability p; the others stay as they are. The change must keep the shape."""

    def __init__(self, change: Change, p: float = 0.5):
        self.change, self.p = change, _probability("RandomApply", p)

    def __call__(self, images: np.ndarray, generator: Generator) -> np.ndarray:
        chosen = _chosen(len(images), self.p, generator)
        if not chosen.any():
            return images
        result = images.copy()
        result[chosen] = self.change(images[chosen], generator)
        return result


class Normalize:
    """(images - mean) / std, channel by channel. mean, std: (C,) or numbers. Nothing random."""

    def __init__(self, mean: Any, std: Any):
        self.mean, self.std = (np.asarray(v, np.float64).reshape(-1, 1, 1) for v in (mean, std))
        if not (self.std > 0).all():
            raise ArgumentError(f"Normalize: std must be positive: got {std}.")

    def __call__(self, images: np.ndarray, generator: Generator | None = None) -> np.ndarray:
        _check("Normalize", images)
        return (images - self.mean.astype(images.dtype)) / self.std.astype(images.dtype)


# ---- where things are ------------------------------------------------------------------------------------------------
class _RandomFlip:
    axis = -1

    def __init__(self, p: float = 0.5):
        self.p = _probability(type(self).__name__, p)

    def __call__(self, images: np.ndarray, generator: Generator) -> np.ndarray:
        flip = _chosen(len(images), self.p, generator).reshape(-1, *[1] * (images.ndim - 1))
        return np.where(flip, np.flip(images, self.axis), images)


class RandomHorizontalFlip(_RandomFlip):
    """Each image mirrored left to right with probability p. Not for digits or letters."""


class RandomVerticalFlip(_RandomFlip):
    """Each image turned upside down, as in water, with probability p."""

    axis = -2


class RandomCrop:
    """A random part of each image, `size` pixels high and wide, after a frame of `padding` zeros was put around it."""

    def __init__(self, size: int | tuple[int, int], *, padding: int = 0):
        self.size, self.padding = _pair(size), padding
        if min(self.size) < 1 or padding < 0:
            raise ArgumentError(f"RandomCrop: needs size >= 1 and padding >= 0: got {size}, {padding}.")

    def __call__(self, images: np.ndarray, generator: Generator) -> np.ndarray:
        p, (height, width) = self.padding, self.size
        framed = np.pad(images, ((0, 0), (0, 0), (p, p), (p, p)))
        b, _, h, w = framed.shape
        if height > h or width > w:
            raise ShapeError(f"RandomCrop: size {self.size} is larger than the image with its frame: ({h}, {w}).")
        tops = generator.numpy("integers", 0, h - height + 1, b)
        lefts = generator.numpy("integers", 0, w - width + 1, b)
        windows = np.lib.stride_tricks.sliding_window_view(framed, self.size, axis=(2, 3))  # (B, C, h', w', *size)
        return windows[np.arange(b), :, tops, lefts]


class RandomResizedCrop:
    """A random part of each image, enlarged or reduced to `size`, bilinearly (Szegedy et al. 2015, arXiv:1409.4842).

    scale: bounds of its share of the image's area; ratio: of its width / height, whose logarithm is uniform. Ten tries
    to fit into the image, then its middle. As torchvision's, without its smoothing where an image gets smaller.
    """

    def __init__(
        self,
        size: int | tuple[int, int],
        scale: tuple[float, float] = (0.08, 1.0),
        ratio: tuple[float, float] = (3 / 4, 4 / 3),
    ):
        self.size, self.scale, self.ratio = _pair(size), scale, ratio
        if min(self.size) < 1 or not 0 < scale[0] <= scale[1] or not 0 < ratio[0] <= ratio[1]:
            raise ArgumentError(
                f"RandomResizedCrop: needs size >= 1 and rising positive bounds: got {size}, {scale}, {ratio}."
            )

    def __call__(self, images: np.ndarray, generator: Generator) -> np.ndarray:
        b, _, h, w = _check("RandomResizedCrop", images)
        heights, widths = _rectangles((b, 10), h, w, self.scale, self.ratio, generator)  # (B, 10)
        fits = (heights >= 1) & (heights <= h) & (widths >= 1) & (widths <= w)
        first = np.arange(b), fits.argmax(axis=1)
        ratio = np.clip(w / h, *self.ratio)  # of the middle part, as large as it can be
        whole = (h, round(h * ratio)) if ratio < w / h else (round(w / ratio), w)
        height, width = (np.where(fits.any(1), m[first], size) for m, size in zip((heights, widths), whole))
        top, left = (
            np.where(fits.any(1), generator.numpy("integers", 0, n - m + 1), (n - m) // 2)
            for n, m in ((h, height), (w, width))
        )
        rows, columns = (_spread(*line) for line in zip((top, left), (height, width), self.size))
        return _warped(images, rows, np.zeros_like(rows), np.zeros_like(columns), columns)


def _spread(first: np.ndarray, length: np.ndarray, n: int) -> np.ndarray:
    """The places of n pixels spread evenly over `length` ones, none beyond the middle of the outermost. (B, n)"""
    first, length = first[:, None], length[:, None]
    return first + np.clip((np.arange(n) + 0.5) * (length / n) - 0.5, 0, length - 1)


class RandomAffine:
    """Each image rotated, shifted, scaled and sheared about its centre, by amounts drawn uniformly.

    degrees: at most this much either way; shift: in pixels, at most; scale: factors from 1/scale to scale; shear: the
    tangent, at most. Pixels are interpolated between their four neighbours; what comes in from outside is 0.
    """

    def __init__(self, *, degrees: float = 0.0, shift: float = 0.0, scale: float = 1.0, shear: float = 0.0):
        if degrees < 0 or shift < 0 or scale < 1 or shear < 0:
            raise ArgumentError(
                "RandomAffine: needs degrees, shift, shear >= 0 and scale >= 1: "
                f"got {degrees}, {shift}, {shear}, {scale}."
            )
        self.degrees, self.shift, self.scale, self.shear = degrees, shift, scale, shear

    def __call__(self, images: np.ndarray, generator: Generator) -> np.ndarray:
        b, _, h, w = _check("RandomAffine", images)
        angle, row, column, scale, shear = generator.numpy("uniform", -1, 1, (5, b, 1))  # (B, 1) each
        angle, scale, shear = angle * np.radians(self.degrees), self.scale**scale, shear * self.shear
        # The result at p is the image at R (p - centre - shift) / scale + centre, the place that the change brings to
        # p: row sin (x + shear y) + cos y, column cos (x + shear y) - sin y, each a function of y plus one of x
        y = np.arange(h) - (h - 1) / 2 - row * self.shift  # (B, H)
        x = np.arange(w) - (w - 1) / 2 - column * self.shift  # (B, W)
        cos, sin = np.cos(angle) / scale, np.sin(angle) / scale
        rows_y, columns_y = (sin * shear + cos) * y + (h - 1) / 2, (cos * shear - sin) * y + (w - 1) / 2  # (B, H)
        return _warped(images, rows_y, columns_y, sin * x, cos * x)


class RandomRotation(RandomAffine):
    """Each image turned about its centre by up to `degrees` either way; what comes in from outside is 0."""

    def __init__(self, degrees: float):
        super().__init__(degrees=degrees)


CACHED = 4_096  # pixels at a time whose places, weights and neighbours stay in a core's cache
COMPILED_FROM = 16_384  # elements of a batch; fewer never wait for a compiler


def _warped(images: np.ndarray, rows_y: Any, columns_y: Any, rows_x: Any, columns_x: Any) -> np.ndarray:
    """The images at rows rows_y + rows_x and columns columns_y + columns_x, bilinearly; 0 outside.

    images: (B, C, H, W); rows_y, columns_y: (B, H'); rows_x, columns_x: (B, W').
    """
    dtype = _coordinates(images)
    lines = [line.astype(dtype) for line in (rows_y, columns_y, rows_x, columns_x)]
    if images.dtype == dtype and images.size >= COMPILED_FROM and MODE.get().host.name == "numba":
        kernel = load_kernel(lambda: import_module("minigrad.kernels.cpu.warp").warp)
        if kernel is not None:
            return kernel(images, *lines)
    (y, v), (x, u) = (line[:, :, None] for line in lines[:2]), (line[:, None] for line in lines[2:])
    b, c = images.shape[:2]
    result = np.empty((b, c, y.shape[1], x.shape[2]), images.dtype)
    few = max(1, CACHED // max(1, y.shape[1] * x.shape[2]))
    for part in (slice(i, i + few) for i in range(0, b, few)):
        result[part] = interpolate(images[part], y[part] + x[part], v[part] + u[part])
    return result


def interpolate(images: np.ndarray, rows: np.ndarray, columns: np.ndarray) -> np.ndarray:
    """The images at fractional places, bilinearly; 0 outside.

    images: (B, C, H, W); rows, columns: what broadcasts to (B, H', W').
    """
    b, c, h, w = images.shape
    framed = np.zeros((c, b, h + 3, w + 3), images.dtype)  # the second frame below: nobody reads past it
    framed[:, :, 1 : h + 1, 1 : w + 1] = images.swapaxes(0, 1)
    dtype = _coordinates(images)
    rows, columns = np.clip(rows + 1, 0, h + 1).astype(dtype), np.clip(columns + 1, 0, w + 1).astype(dtype)
    top, left = np.floor(rows), np.floor(columns)
    rows, columns = rows - top, columns - left  # how far on to the next ones
    place = (top * (w + 3) + left).astype(np.intp)  # (B, H', W')
    place += np.arange(b).reshape(b, 1, 1) * ((h + 3) * (w + 3))
    result = np.empty((b, c, *place.shape[1:]), images.dtype)

    def across(line: np.ndarray) -> np.ndarray:
        """Between a pixel and the one to its right."""
        here, next_one = line.take(place, mode="clip"), line[1:].take(place, mode="clip")
        next_one -= here
        next_one *= columns
        here += next_one
        return here

    for k in range(c):
        line = framed[k].reshape(-1)
        above, below = across(line), across(line[w + 3 :])
        below -= above
        below *= rows
        np.add(above, below, out=result[:, k])
    return result


def _coordinates(images: np.ndarray) -> Any:
    """The dtype of places: float32 counts pixels exactly to 2**24."""
    h, w = images.shape[2:]
    return np.float32 if images.dtype == np.float32 and (h + 3) * (w + 3) < 2**24 else np.float64


# ---- what is covered -------------------------------------------------------------------------------------------------
class RandomErasing:
    """With probability p, a random rectangle of each image becomes `value` (Zhong et al. 2017, arXiv:1708.04896).

    scale: bounds of its share of the area; ratio: of its height / width. An image where none of ten tries fits stays.
    """

    def __init__(
        self,
        p: float = 0.5,
        scale: tuple[float, float] = (0.02, 0.33),
        ratio: tuple[float, float] = (0.3, 3.3),
        value: float = 0.0,
    ):
        self.p, self.scale, self.ratio, self.value = _probability("RandomErasing", p), scale, ratio, value
        if not 0 <= scale[0] <= scale[1] <= 1 or not 0 < ratio[0] <= ratio[1]:
            raise ArgumentError(f"RandomErasing: needs rising bounds, scale within [0, 1]: got {scale}, {ratio}.")

    def __call__(self, images: np.ndarray, generator: Generator) -> np.ndarray:
        b, _, h, w = _check("RandomErasing", images)
        chosen = _chosen(b, self.p, generator)
        widths, heights = _rectangles((b, 10), w, h, self.scale, self.ratio, generator)  # (B, 10)
        fits = (heights < h) & (widths < w)
        first = np.arange(b), fits.argmax(axis=1)
        height, width = (np.where(chosen & fits.any(1), m[first], 0) for m in (heights, widths))
        top = generator.numpy("integers", 0, h - height + 1)
        left = generator.numpy("integers", 0, w - width + 1)
        inside = _boxes(top, top + height, left, left + width, h, w)
        return np.where(inside[:, None], images.dtype.type(self.value), images)


class Cutout:
    """A square of side `size`, centred anywhere on each image and cut at its edge, becomes 0, with probability p.

    DeVries, Taylor 2017, arXiv:1708.04552.
    """

    def __init__(self, size: int, p: float = 1.0):
        self.size, self.p = size, _probability("Cutout", p)
        if size < 1:
            raise ArgumentError(f"Cutout: size must be positive: got {size}.")

    def __call__(self, images: np.ndarray, generator: Generator) -> np.ndarray:
        b, _, h, w = _check("Cutout", images)
        top = generator.numpy("integers", 0, h, b) - self.size // 2
        left = generator.numpy("integers", 0, w, b) - self.size // 2
        side = np.where(_chosen(b, self.p, generator), self.size, 0)
        return np.where(_boxes(top, top + side, left, left + side, h, w)[:, None], images.dtype.type(0), images)


def _rectangles(
    shape: tuple[int, int], h: int, w: int, scale: Sequence[float], ratio: Sequence[float], generator: Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Heights and widths, in whole pixels, of rectangles with this share of an image's area and this width / height."""
    area = generator.numpy("uniform", *scale, shape) * h * w
    ratios = np.exp(generator.numpy("uniform", math.log(ratio[0]), math.log(ratio[1]), shape))
    return np.rint(np.sqrt(area / ratios)).astype(np.int64), np.rint(np.sqrt(area * ratios)).astype(np.int64)


def _boxes(top: Any, bottom: Any, left: Any, right: Any, h: int, w: int) -> np.ndarray:
    """True inside each image's box. top ...: (B,), the last row and column not in it. Returns (B, H, W)."""
    rows, columns = np.arange(h), np.arange(w)
    down = (rows >= top[:, None]) & (rows < bottom[:, None])
    across = (columns >= left[:, None]) & (columns < right[:, None])
    return down[:, :, None] & across[:, None]


# ---- how it looks ----------------------------------------------------------------------------------------------------
GREY = np.array([0.2989, 0.587, 0.114]).reshape(3, 1, 1)  # how bright red, green and blue are (ITU-R BT.601)


class ColorJitter:
    """Brightness, contrast, saturation and hue changed by random factors. images: 3 channels, or 1, from 0 to 1.

    A number a stands for factors from max(0, 1 - a) to 1 + a, a pair for its bounds; for the hue, for a shift of up to
    a <= 0.5 of the colour circle, either way. With x the image, grey its brightness and f the factor:

        brightness f x,  contrast f x + (1 - f) mean(grey),  saturation f x + (1 - f) grey,  each cut to [0, 1].

    torchvision's, in this order where that draws one. An image of 1 channel has neither saturation nor hue.
    """

    def __init__(self, brightness: Any = 0.0, contrast: Any = 0.0, saturation: Any = 0.0, hue: Any = 0.0):
        named = {"brightness": brightness, "contrast": contrast, "saturation": saturation}
        self.factors = [self._bounds(name, value) for name, value in named.items()]
        self.hue = (-hue, hue) if isinstance(hue, (int, float)) else tuple(hue)
        if not -0.5 <= self.hue[0] <= self.hue[1] <= 0.5:
            raise ArgumentError(f"ColorJitter: hue must be from 0 to 0.5, or bounds in [-0.5, 0.5]: got {hue}.")

    @staticmethod
    def _bounds(name: str, value: Any) -> tuple[float, float]:
        bounds = (max(0.0, 1 - value), 1 + value) if isinstance(value, (int, float)) else tuple(value)
        if (isinstance(value, (int, float)) and value < 0) or not 0 <= bounds[0] <= bounds[1]:
            raise ArgumentError(f"ColorJitter: {name} must be a number >= 0 or rising bounds >= 0: got {value}.")
        return bounds

    def __call__(self, images: np.ndarray, generator: Generator) -> np.ndarray:
        b, c, _, _ = _check("ColorJitter", images)
        if c not in (1, 3):
            raise ShapeError(f"ColorJitter: images must have 1 or 3 channels: got {images.shape}.")
        draw = lambda low, high: generator.numpy("uniform", low, high, (b, 1, 1, 1)).astype(images.dtype)
        brightness, contrast, saturation = (draw(*bounds) for bounds in self.factors)
        hue = draw(*self.hue)
        images = _blend(images, np.zeros((), images.dtype), brightness)
        images = _blend(images, _grey(images).mean(axis=(2, 3), keepdims=True), contrast)
        if c == 1:
            return images
        images = _blend(images, _grey(images), saturation)
        return shift_hue(images, hue) if self.hue != (0, 0) else images


def _grey(images: np.ndarray) -> np.ndarray:
    """(B, C, H, W) to (B, 1, H, W)."""
    return images if images.shape[1] == 1 else (images * GREY.astype(images.dtype)).sum(axis=1, keepdims=True)


def _blend(images: np.ndarray, other: np.ndarray, factor: np.ndarray) -> np.ndarray:
    return images if (factor == 1).all() else np.clip(factor * images + (1 - factor) * other, 0, 1)


def shift_hue(images: np.ndarray, shift: np.ndarray) -> np.ndarray:
    """Every colour moved on along the colour circle (shift 1: once around), its largest and smallest part kept.

    images: (B, 3, H, W); shift: (B, 1, 1, 1). HSV's definition of the hue.
    """
    high, low = images.max(axis=1, keepdims=True), images.min(axis=1, keepdims=True)  # (B, 1, H, W)
    span = high - low
    r, g, b = (images[:, k : k + 1] for k in range(3))
    safe = np.where(span == 0, 1, span)
    sixths = np.where(high == r, (g - b) / safe, np.where(high == g, (b - r) / safe + 2, (r - g) / safe + 4))
    sixths = sixths + 6 * shift
    # each part goes up for a sixth of the circle, stays, goes down, stays: red is full at hue 0, green at 2, blue at 4
    centre = np.array([0, 2, 4], images.dtype).reshape(1, 3, 1, 1)
    away = np.abs((sixths - centre + 3) % 6 - 3)  # (B, 3, H, W), from 0 to 3
    return (low + span * np.clip(2 - away, 0, 1)).astype(images.dtype)


class GaussianNoise:
    """images + std * noise, normal with mean 0 and variance 1."""

    def __init__(self, std: float = 0.1):
        if std < 0:
            raise ArgumentError(f"GaussianNoise: std must not be negative: got {std}.")
        self.std = std

    def __call__(self, images: np.ndarray, generator: Generator) -> np.ndarray:
        dtype = images.dtype if images.dtype in (np.float32, np.float64) else np.float32
        noise = generator.numpy("standard_normal", images.shape, dtype=dtype)
        noise *= noise.dtype.type(self.std)
        return (images + noise).astype(images.dtype, copy=False)


# ---- images and targets together: batch_transform of a DataLoader ----------------------------------------------------
class _Mixing:
    """Each sample with another of its batch; the targets become shares. Each draws a weight from Beta(alpha, alpha)."""

    def __init__(self, classes: int | None = None, *, alpha: float):
        if not alpha > 0:
            raise ArgumentError(f"{type(self).__name__}: alpha must be positive: got {alpha}.")
        self.classes, self.alpha = classes, alpha

    def __call__(self, batch: tuple, generator: Generator) -> tuple:
        inputs, targets = batch
        b, inputs = len(inputs), np.asarray(inputs)
        weight = generator.numpy("beta", self.alpha, self.alpha, b)  # (B,), of the sample itself
        other = generator.numpy("permutation", b)
        mixed, weight = self.mix(inputs, inputs[other], weight, generator)
        shares = self._shares(np.asarray(targets))
        weight = weight.astype(shares.dtype).reshape(-1, *[1] * (shares.ndim - 1))
        return mixed, weight * shares + (1 - weight) * shares[other]

    def _shares(self, targets: np.ndarray) -> np.ndarray:
        """Classes (B,) as rows (B, K) with a 1; numbers and shares as they are."""
        if targets.dtype.kind == "f":
            return targets
        if self.classes is None:
            raise ArgumentError(f"{type(self).__name__}: for targets that are classes, pass how many there are.")
        return np.eye(self.classes, dtype=np.float32)[targets]

    def mix(
        self, inputs: np.ndarray, others: np.ndarray, weight: np.ndarray, generator: Generator
    ) -> tuple[np.ndarray, np.ndarray]:
        raise NotImplementedError


class Mixup(_Mixing):
    """w x + (1 - w) x' and the same of the targets, x' another sample of the batch and w from Beta(alpha, alpha).

    batch_transform of a DataLoader of ``(inputs, targets)``: targets (B,) become (B, classes), which `F.cross_entropy`
    takes; numbers stay numbers. Zhang et al. 2018, arXiv:1710.09412; a weight for each sample, where they draw one.
    """

    def __init__(self, classes: int | None = None, *, alpha: float = 0.2):
        super().__init__(classes, alpha=alpha)

    def mix(
        self, inputs: np.ndarray, others: np.ndarray, weight: np.ndarray, generator: Generator
    ) -> tuple[np.ndarray, np.ndarray]:
        w = weight.astype(inputs.dtype).reshape(-1, *[1] * (inputs.ndim - 1))
        return w * inputs + (1 - w) * others, weight


class CutMix(_Mixing):
    """A rectangle of each image from another of the batch, of about 1 - w of its area; the targets by the areas.

    As Mixup; images (B, C, H, W). Yun et al. 2019, arXiv:1905.04899.
    """

    def __init__(self, classes: int | None = None, *, alpha: float = 1.0):
        super().__init__(classes, alpha=alpha)

    def mix(
        self, inputs: np.ndarray, others: np.ndarray, weight: np.ndarray, generator: Generator
    ) -> tuple[np.ndarray, np.ndarray]:
        b, _, h, w = _check("CutMix", inputs)
        side = np.sqrt(1 - weight)
        (top, bottom), (left, right) = (
            self._stretch(n, side * n, generator.numpy("integers", 0, n, b)) for n in (h, w)
        )
        inside = _boxes(top, bottom, left, right, h, w)
        kept = 1 - (bottom - top) * (right - left) / (h * w)  # what is left of the image itself
        return np.where(inside[:, None], others, inputs), kept

    @staticmethod
    def _stretch(n: int, length: np.ndarray, centre: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        half = (length / 2).astype(np.int64)
        return np.clip(centre - half, 0, n), np.clip(centre + half, 0, n)


def _chosen(n: int, p: float, generator: Generator) -> np.ndarray:
    """Each of n with probability p: (n,) of booleans."""
    return generator.numpy("random", n) < p


def _probability(who: str, p: float) -> float:
    if not 0 <= p <= 1:
        raise ArgumentError(f"{who}: p must be from 0 to 1: got {p}.")
    return p


def _pair(size: int | tuple[int, int]) -> tuple[int, int]:
    return (size, size) if isinstance(size, int) else (size[0], size[1])


def _check(who: str, images: np.ndarray) -> tuple[int, int, int, int]:
    if images.ndim != 4:
        raise ShapeError(f"{who}: images must be (B, C, H, W): got {images.shape}.")
    if images.dtype.kind != "f":
        raise DTypeError(f"{who}: images must be floats: got {images.dtype}. Divide them by 255.")
    return images.shape
