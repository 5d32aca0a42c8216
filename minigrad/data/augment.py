"""Random changes to images that keep what they show. Each is a pure function of a batch and a generator.

images: (B, C, H, W), a host array; the result has the same shape and dtype. Every image draws its own change.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from ..errors import ArgumentError, ShapeError
from ..random import Generator


class Compose:
    """One change after the other: ``Compose(RandomAffine(degrees=10), RandomHorizontalFlip())``."""

    def __init__(self, *changes: Callable[[np.ndarray, Generator], np.ndarray]):
        self.changes = changes

    def __call__(self, images: np.ndarray, generator: Generator) -> np.ndarray:
        for change in self.changes:
            images = change(images, generator)
        return images


class RandomHorizontalFlip:
    """Each image mirrored left to right with probability p. Not for digits or letters."""

    def __init__(self, p: float = 0.5):
        if not 0 <= p <= 1:
            raise ArgumentError(f"RandomHorizontalFlip: p must be from 0 to 1: got {p}.")
        self.p = p

    def __call__(self, images: np.ndarray, generator: Generator) -> np.ndarray:
        flip = generator.numpy("random", len(images)) < self.p  # (B,)
        return np.where(flip.reshape(-1, *[1] * (images.ndim - 1)), images[..., ::-1], images)


class RandomCrop:
    """A random part of each image, `size` pixels high and wide, after a frame of `padding` zeros was put around it."""

    def __init__(self, size: int | tuple[int, int], *, padding: int = 0):
        self.size = (size, size) if isinstance(size, int) else tuple(size)
        self.padding = padding
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
        if images.ndim != 4:
            raise ShapeError(f"RandomAffine: images must be (B, C, H, W): got {images.shape}.")
        b, _, h, w = images.shape
        angle, row, column, scale, shear = generator.numpy("uniform", -1, 1, (5, b, 1, 1))  # (B, 1, 1) each
        angle, scale, shear = angle * np.radians(self.degrees), self.scale**scale, shear * self.shear
        # The result at p is the image at R (p - centre - shift) / scale + centre, the place that the change brings to p
        y = np.arange(h)[:, None] - (h - 1) / 2 - row * self.shift  # (B, H, 1)
        x = np.arange(w) - (w - 1) / 2 - column * self.shift  # (B, 1, W)
        x = x + shear * y  # (B, H, W)
        cos, sin = np.cos(angle) / scale, np.sin(angle) / scale
        return interpolate(images, sin * x + cos * y + (h - 1) / 2, cos * x - sin * y + (w - 1) / 2)


def interpolate(images: np.ndarray, rows: np.ndarray, columns: np.ndarray) -> np.ndarray:
    """The images at fractional places, bilinearly; 0 outside. images: (B, C, H, W), rows, columns: (B, H', W')."""
    b, c, h, w = images.shape
    framed = np.pad(images, ((0, 0), (0, 0), (1, 1), (1, 1))).reshape(b, c, (h + 2) * (w + 2))
    rows, columns = np.clip(rows, -1, h) + 1, np.clip(columns, -1, w) + 1  # in the frame: 0 to h + 1
    top, left = np.minimum(rows.astype(np.intp), h), np.minimum(columns.astype(np.intp), w)
    down, right = (rows - top).astype(images.dtype), (columns - left).astype(images.dtype)
    result = np.zeros((b, c, rows[0].size), images.dtype)
    for i, along in ((0, 1 - down), (1, down)):
        for j, across in ((0, 1 - right), (1, right)):
            place = (top + i) * (w + 2) + left + j  # (B, H', W')
            corner = np.take_along_axis(framed, place.reshape(b, 1, -1), axis=2)  # (B, C, H' W')
            result += corner * (along * across).reshape(b, 1, -1)
    return result.reshape(b, c, *rows.shape[1:])
