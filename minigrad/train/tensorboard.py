"""Event files that TensorBoard reads, of numbers alone, written without TensorFlow.

A file is a row of records, each ``length (8 bytes), crc(length), content, crc(content)``, little-endian (TensorFlow's
TFRecord format); crc is CRC-32C, rotated and shifted: rot15(crc) + 0xa282ead8. A content is a protocol buffer `Event`:
wall_time = 1 (double), step = 2 (int64), file_version = 3 (string), summary = 5, which holds values = 1, each with
tag = 1 (string) and simple_value = 2 (float).
"""

from __future__ import annotations

import os
import socket
import struct
import time
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import DataError
from ..io import writable_folder
from .callbacks import Callback

if TYPE_CHECKING:
    from .trainer import Trainer


class TensorBoard(Callback):
    """Write the figures to `folder` for ``tensorboard --logdir``: by epoch, and the training loss by batch.

    Figures are grouped as loss/train, loss/validation and so on. every: batches between two losses written; 0: none.
    """

    def __init__(self, folder: str | os.PathLike, *, every: int = 10):
        self.folder, self.every = Path(folder), every
        self.writer: EventWriter | None = None
        self.step = 0

    def fit_start(self, trainer: Trainer) -> None:
        self.writer = EventWriter(self.folder)

    def batch_end(self, trainer: Trainer) -> None:
        self.step += 1
        if self.writer is not None and self.every and self.step % self.every == 0:
            self.writer.add({"batch/train_loss": trainer.figures["train_loss"]}, self.step)

    def epoch_end(self, trainer: Trainer) -> None:
        if self.writer is not None:
            figures = {k: v for k, v in trainer.figures.items() if isinstance(v, (int, float))}
            self.writer.add({"/".join(k.split("_", 1)[::-1]): v for k, v in figures.items()}, trainer.epoch)
            self.writer.flush()

    def state_dict(self) -> dict[str, int]:
        return {"step": self.step}

    def load_state_dict(self, state: Mapping[str, int]) -> None:
        self.step = int(state["step"])

    def close(self) -> None:
        if self.writer is not None:
            self.writer.close()
            self.writer = None


class EventWriter:
    """A new event file in a folder: ``add({"loss/train": 0.5}, step)``."""

    def __init__(self, folder: str | os.PathLike):
        name = f"events.out.tfevents.{time.time():.6f}.{socket.gethostname()}.{os.getpid()}"
        self.path = writable_folder(folder) / name
        self.file: Any = open(self.path, "xb")  # noqa: SIM115  closed by `close`
        self._write(_field(3, b"brain.Event:2"))
        self.flush()

    def add(self, figures: Mapping[str, float], step: int) -> None:
        values = (
            _field(1, _field(1, tag.encode()) + _key(2, 5) + struct.pack("<f", _single(v)))
            for tag, v in figures.items()
        )
        self._write(_key(2, 0) + _varint(step) + _field(5, b"".join(values)))

    def _write(self, event: bytes) -> None:
        content = _key(1, 1) + struct.pack("<d", time.time()) + event
        length = struct.pack("<Q", len(content))
        try:
            self.file.write(length + _checksum(length) + content + _checksum(content))
        except OSError as error:
            raise DataError(f"{self.path}: cannot be written: {error.strerror or error}.") from None

    def flush(self) -> None:
        try:
            self.file.flush()
        except OSError as error:
            raise DataError(f"{self.path}: cannot be written: {error.strerror or error}.") from None

    def close(self) -> None:
        self.file.close()


def _single(value: float) -> float:
    """As a float32 can hold it."""
    return value if abs(value) <= 3.4028234663852886e38 or value != value else float("inf") * (1 if value > 0 else -1)


def _varint(n: int) -> bytes:
    """Seven bits a byte, the lowest first; the high bit says that more follow."""
    return bytes([n]) if n < 128 else bytes([n & 127 | 128]) + _varint(n >> 7)


def _key(number: int, kind: int) -> bytes:
    """What comes before a field. kind: 0 an integer, 1 eight bytes, 2 bytes with their length, 5 four bytes."""
    return _varint(number << 3 | kind)


def _field(number: int, content: bytes) -> bytes:
    return _key(number, 2) + _varint(len(content)) + content


@cache
def _table() -> list[int]:
    """The CRC-32C of every byte: eight divisions by the polynomial 0x1EDC6F41, bits reversed."""
    table = []
    for byte in range(256):
        for _ in range(8):
            byte = byte >> 1 ^ (0x82F63B78 if byte & 1 else 0)
        table.append(byte)
    return table


def crc32c(content: bytes) -> int:
    """Castagnoli 1993's checksum, which TFRecords use."""
    crc, table = 0xFFFFFFFF, _table()
    for byte in content:
        crc = crc >> 8 ^ table[(crc ^ byte) & 255]
    return crc ^ 0xFFFFFFFF


def _checksum(content: bytes) -> bytes:
    crc = crc32c(content)
    return struct.pack("<I", ((crc >> 15 | crc << 17) + 0xA282EAD8) & 0xFFFFFFFF)
