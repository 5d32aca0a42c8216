"""Image sets: scikit-learn's digits, MNIST and Fashion-MNIST, CIFAR-10 and CIFAR-100.

>>> from minigrad.data import digits
>>> images, labels, names = digits()
>>> images.shape, names[labels[0]]
((1797, 1, 8, 8), '0')
"""

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
from .fetch import Source, fetched, local_folder, members


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


# ---- MNIST and its like ----------------------------------------------------------------------------------------------
MNIST = {
    "train": ("train-images-idx3-ubyte.gz", "train-labels-idx1-ubyte.gz"),
    "test": ("t10k-images-idx3-ubyte.gz", "t10k-labels-idx1-ubyte.gz"),
}
MNIST_URL = "https://ossci-datasets.s3.amazonaws.com/mnist/"
MNIST_MD5 = (
    ("f68b3c2dcbeaaa9fbdd348bbdeb94873", "d53e105ee54ea40749a09fcbcd1e9432"),
    ("9fb629c4189551a2d022fa330f9573f3", "ec29112dd5afa0611ce80d1b7f02629c"),
)
FASHION_URL = "http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/"
FASHION_MD5 = (
    ("8d4fb7e6c68d591d4c3dfef9ec88bf0d", "25c81989df183df01b3e8a0aad5dffbe"),
    ("bef4ecab320f06d8554ea6380940ec79", "bb300cfdad3c16e7a12a480ee83cd310"),
)
FASHION_NAMES = "T-shirt/top Trouser Pullover Dress Coat Sandal Shirt Sneaker Bag Ankle-boot"


def mnist(part: str, folder: str | os.PathLike | None = None) -> Images:
    """MNIST's 60,000 "train" or 10,000 "test" digits of 28x28 pixels (LeCun, Cortes, Burges 1998).

    The ``.gz`` files are read from `folder`, else ``$MINIGRAD_DATA/mnist``, else downloaded.
    """
    return _idx_images("mnist", part, folder, MNIST_URL, MNIST_MD5, tuple("0123456789"))


def fashion_mnist(part: str, folder: str | os.PathLike | None = None) -> Images:
    """Fashion-MNIST's 60,000 "train" or 10,000 "test" pictures of clothes, 28x28 (Xiao, Rasul, Vollgraf 2017,
    arXiv:1708.07747). Files as `mnist`'s, in ``$MINIGRAD_DATA/fashion-mnist``."""
    return _idx_images("fashion-mnist", part, folder, FASHION_URL, FASHION_MD5, tuple(FASHION_NAMES.split()))


def _idx_images(
    name: str, part: str, folder: str | os.PathLike | None, url: str, md5: tuple, names: tuple[str, ...]
) -> Images:
    _check_part(name, part, tuple(MNIST))
    hashes = md5[list(MNIST).index(part)]
    sources = {file: Source(url + file, f"md5:{h}") for file, h in zip(MNIST[part], hashes)}
    files = fetched(name, sources, folder)
    images, labels = (read_idx(path) for path in files.values())
    if images.ndim != 3 or labels.shape != images.shape[:1]:
        places = " and ".join(map(str, files.values()))
        raise DataError(f"{name}: images {images.shape} and labels {labels.shape} in {places} do not belong together.")
    return Images(images[:, None].astype(np.float32) / 255, labels.astype(np.int64), names)


def _check_part(name: str, part: str, parts: tuple[str, ...]) -> None:
    if part not in parts:
        raise DataError(f"{name}: part must be {' or '.join(map(repr, parts))}: got {part!r}.")


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


# ---- CIFAR -----------------------------------------------------------------------------------------------------------
CIFAR10 = Source("https://www.cs.toronto.edu/~kriz/cifar-10-binary.tar.gz", "md5:c32a1d4ab5d03f1284b67883e8d87530")
CIFAR100 = Source("https://www.cs.toronto.edu/~kriz/cifar-100-binary.tar.gz", "md5:03b5dce01913d631647c71ecec9e9cb8")
CIFAR10_NAMES = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")
PIXELS = 3 * 32 * 32


def cifar10(part: str, folder: str | os.PathLike | None = None) -> Images:
    """CIFAR-10's "train" or "test" pictures, 32x32 in colour, of 10 classes (Krizhevsky 2009).

    Read from `folder`, else ``$MINIGRAD_DATA/cifar10``: the official ``data_batch_1.bin`` ... ``test_batch.bin``, also
    in ``cifar-10-batches-bin/``, or the one ``.bin`` file with "train" or "test" in its name; else downloaded.
    """
    _check_part("cifar10", part, ("train", "test"))
    official = [f"data_batch_{i}.bin" for i in range(1, 6)] if part == "train" else ["test_batch.bin"]
    where = Path(folder) if folder is not None else local_folder("cifar10")
    if where is not None:
        for place in (where, where / "cifar-10-batches-bin"):
            if all((place / name).is_file() for name in official):
                return _cifar10([(place / name, (place / name).read_bytes()) for name in official])
        others = sorted(where.glob(f"*{part}*.bin"))
        if len(others) == 1:
            return _cifar10([(others[0], others[0].read_bytes())])
        if folder is not None:
            raise DataError(f"cifar10: {where} lacks {', '.join(official)}, and has no single *{part}*.bin either.")
    archive = fetched("cifar10", {"cifar-10-binary.tar.gz": CIFAR10}, folder)["cifar-10-binary.tar.gz"]
    contents = members(archive, {name: f"cifar-10-batches-bin/{name}" for name in official})
    return _cifar10([(archive, contents[name]) for name in official])


def _cifar10(files: list[tuple[Path, bytes]]) -> Images:
    records = np.concatenate([read_cifar(path, content, labels=1) for path, content in files])
    return _cifar_images(records, 1, CIFAR10_NAMES, files[0][0])


def cifar100(part: str, folder: str | os.PathLike | None = None) -> Images:
    """CIFAR-100's "train" or "test" pictures, 32x32 in colour, with the 100 fine labels (Krizhevsky 2009).

    Read from ``train.bin``, ``test.bin`` and ``fine_label_names.txt`` in `folder`, else ``$MINIGRAD_DATA/cifar100``;
    else downloaded.
    """
    _check_part("cifar100", part, ("train", "test"))
    wanted = [f"{part}.bin", "fine_label_names.txt"]
    where = Path(folder) if folder is not None else local_folder("cifar100")
    if where is not None and all((where / name).is_file() for name in wanted):
        path, (pixels, names) = where / wanted[0], [(where / name).read_bytes() for name in wanted]
    elif folder is not None:
        raise DataError(f"cifar100: {where} lacks {' or '.join(wanted)}.")
    else:
        path = fetched("cifar100", {"cifar-100-binary.tar.gz": CIFAR100})["cifar-100-binary.tar.gz"]
        contents = members(path, {name: f"cifar-100-binary/{name}" for name in wanted})
        pixels, names = contents[wanted[0]], contents[wanted[1]]
    return _cifar_images(read_cifar(path, pixels, labels=2), 2, tuple(names.decode().split()), path)


def read_cifar(path: str | os.PathLike, content: bytes, *, labels: int) -> np.ndarray:
    """The records of CIFAR's binary files, (N, labels + 3072) bytes: the labels, then 32x32 red, green and blue."""
    size = labels + PIXELS
    if not content or len(content) % size:
        raise DataError(f"{path}: {len(content)} bytes are not records of {size}. It is incomplete; fetch it again.")
    return np.frombuffer(content, np.uint8).reshape(-1, size)


def _cifar_images(records: np.ndarray, labels: int, names: tuple[str, ...], path: Path) -> Images:
    classes = records[:, labels - 1].astype(np.int64)
    if classes.max() >= len(names):
        raise DataError(f"{path}: label {classes.max()}, but there are {len(names)} classes. Not a CIFAR file?")
    images = records[:, labels:].reshape(-1, 3, 32, 32).astype(np.float32) / 255
    return Images(images, classes, names)
