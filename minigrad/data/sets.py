"""Real data sets: scikit-learn's digits, which come with that package, and MNIST from its four files."""

from __future__ import annotations

import gzip
import math
import os
import struct
import zlib
from pathlib import Path
from typing import NamedTuple

import numpy as np

from ..errors import DataError
from ..extras import require


class Images(NamedTuple):
    """images: (N, C, H, W) float32 from 0 to 1; labels: (N,) int64; names of the classes, in label order."""

    images: np.ndarray
    labels: np.ndarray
    names: tuple[str, ...]


def digits() -> Images:
    """1,797 handwritten digits of 8x8 pixels (Alpaydin, Kaynak 1998, UCI Optical Recognition of Handwritten Digits)."""
    bunch = require("sklearn.datasets", extra="train", use="digits").load_digits()
    images = (bunch.images / 16).astype(np.float32)[:, None]  # (1797, 1, 8, 8)
    return Images(images, bunch.target.astype(np.int64), tuple("0123456789"))


MNIST = {
    "train": ("train-images-idx3-ubyte.gz", "train-labels-idx1-ubyte.gz"),
    "test": ("t10k-images-idx3-ubyte.gz", "t10k-labels-idx1-ubyte.gz"),
}


def mnist(part: str, folder: str | os.PathLike | None = None) -> Images:
    """MNIST's 60,000 "train" or 10,000 "test" digits of 28x28 pixels (LeCun, Cortes, Burges 1998).

    The four ``.gz`` files are read from `folder`, by default ``$MINIGRAD_DATA/mnist``.
    """
    if part not in MNIST:
        raise DataError(f'mnist: part must be "train" or "test": got {part!r}.')
    where = data_folder("mnist") if folder is None else Path(folder)
    missing = [name for pair in MNIST.values() for name in pair if not (where / name).is_file()]
    if missing:
        raise DataError(
            f"mnist: {where} lacks {', '.join(missing)}. Put MNIST's four files there, or set MINIGRAD_DATA to "
            "the folder that holds mnist/."
        )
    images, labels = (read_idx(where / name) for name in MNIST[part])
    if images.ndim != 3 or labels.shape != images.shape[:1]:
        raise DataError(f"mnist: images {images.shape} and labels {labels.shape} in {where} do not belong together.")
    return Images(images[:, None].astype(np.float32) / 255, labels.astype(np.int64), tuple("0123456789"))


def data_folder(name: str) -> Path:
    """``$MINIGRAD_DATA/name``, the place of a data set's files; an error that says so where it is not set."""
    root = os.environ.get("MINIGRAD_DATA")
    if not root:
        raise DataError(
            f"{name}: set MINIGRAD_DATA to the folder that holds {name}/ with its files; nothing is downloaded."
        )
    return Path(root) / name


def read_idx(path: str | os.PathLike) -> np.ndarray:
    """An IDX file, gzipped or not: two zero bytes, element type, number of axes, their lengths, the elements."""
    path = Path(path)
    types = {8: ">u1", 9: ">i1", 11: ">i2", 12: ">i4", 13: ">f4", 14: ">f8"}
    try:
        content = path.read_bytes()
        if content[:2] == b"\x1f\x8b":
            content = gzip.decompress(content)
    except (EOFError, zlib.error) as error:
        raise DataError(f"{path}: the gzip file is damaged or incomplete ({error}). Fetch it again.") from None
    except gzip.BadGzipFile as error:
        raise DataError(f"{path}: not a gzip file ({error}). Fetch it again.") from None
    except OSError as error:
        raise DataError(f"{path}: cannot be read: {error.strerror or error}.") from None
    if len(content) < 4 or content[:2] != b"\0\0" or content[2] not in types:
        raise DataError(f"{path}: not an IDX file: it starts with {content[:4].hex(' ')!r}, not 00 00 and a type.")
    ndim, dtype = content[3], np.dtype(types[content[2]])
    start = 4 + 4 * ndim
    shape = struct.unpack(f">{ndim}I", content[4:start]) if len(content) >= start else None
    if shape is None or len(content) - start != math.prod(shape) * dtype.itemsize:
        raise DataError(
            f"{path}: {len(content)} bytes do not hold an array of shape {shape}. It is incomplete; fetch it again."
        )
    return np.frombuffer(content, dtype, offset=start).reshape(shape).astype(dtype.newbyteorder("="), copy=False)
