"""The safetensors format: a JSON header with each array's dtype, shape and place, then the bytes of all arrays.

The safetensors library checks every file (header, places without overlap or gap, lengths); here the checked places are
read, each array into memory of its own or not at all (`memory_map`). https://github.com/huggingface/safetensors
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import DataError, DTypeError
from ..extras import require

DTYPES = {
    "BOOL": "?", "U8": "u1", "I8": "i1", "U16": "<u2", "I16": "<i2", "U32": "<u4", "I32": "<i4", "U64": "<u8",
    "I64": "<i8", "F16": "<f2", "F32": "<f4", "F64": "<f8", "C64": "<c8",
    "BF16": "<u2",
}  # fmt: skip


def library(use: str) -> Any:
    require("safetensors.numpy", extra="train", use=f"{use} .safetensors")
    return require("safetensors", extra="train", use=f"{use} .safetensors")


def encoded(arrays: dict[str, np.ndarray], notes: dict[str, str]) -> bytes:
    """The content of a file."""
    safetensors = library("save")
    try:
        return _ordered(safetensors.numpy.save(arrays, notes or None))
    except (safetensors.SafetensorError, ValueError, TypeError) as error:
        raise DTypeError(f"save: not possible in a safetensors file: {error}.") from None


def _ordered(content: bytes) -> bytes:
    """The same with the notes in the order of their names: the library leaves it to chance, and equal runs are to write
    equal files."""
    start = 8 + int.from_bytes(content[:8], "little")
    header = json.loads(content[8:start])
    if "__metadata__" in header:
        header["__metadata__"] = dict(sorted(header["__metadata__"].items()))
    text = json.dumps(header, separators=(",", ":"), ensure_ascii=False).encode().ljust(start - 8)
    return content[:8] + text + content[start:] if len(text) == start - 8 else content


def read(path: Path, memory_map: bool) -> tuple[dict[str, np.ndarray], dict[str, str]]:
    """The arrays and the notes of a file."""
    safetensors = library("load")
    try:
        with open(path, "rb") as file:
            try:
                with safetensors.safe_open(str(path), framework="np"):  # checks header and places
                    pass
                start = 8 + int.from_bytes(file.read(8), "little")
                header = json.loads(file.read(start - 8), object_pairs_hook=_unrepeated)
            except (safetensors.SafetensorError, ValueError, KeyError, TypeError, OSError, RecursionError) as error:
                raise DataError(f"{path}: not a complete safetensors file ({error}).") from None
            notes = header.pop("__metadata__", None) or {}
            read_one = _mapped(path, start) if memory_map else _copied(path, file, start)
            try:
                return {name: _array(path, name, header[name], read_one) for name in sorted(header)}, notes
            except (ValueError, KeyError, TypeError) as error:  # it changed since it was checked
                raise DataError(f"{path}: not a complete safetensors file ({error}).") from None
    except OSError as error:
        if isinstance(error, DataError):
            raise
        raise DataError(f"{path}: cannot be read: {error.strerror or error}.") from None


def _unrepeated(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        raise ValueError("a name comes twice in the header")
    return found


def _array(path: Path, name: str, entry: dict[str, Any], read_one: Any) -> np.ndarray:
    code = DTYPES.get(entry["dtype"])
    if code is None:
        known = ", ".join(DTYPES)
        raise DataError(f"{path}: {name} has the dtype {entry['dtype']}, which NumPy does not have. Known: {known}.")
    begin, end = entry["data_offsets"]
    dtype, shape = np.dtype(code), tuple(entry["shape"])
    array = read_one(begin, (end - begin) // dtype.itemsize, dtype).reshape(shape)
    if entry["dtype"] == "BF16":
        return widened(array)
    return array if array.dtype.isnative else array.astype(array.dtype.newbyteorder("="))


def widened(bits: np.ndarray) -> np.ndarray:
    """bfloat16, given as uint16, in float32, which holds all its values: its bits are the upper half of a float32's."""
    return (bits.astype(np.uint32) << 16).view(np.float32)


def _copied(path: Path, file: Any, start: int) -> Any:
    def read_one(begin: int, count: int, dtype: np.dtype) -> np.ndarray:
        file.seek(start + begin)
        array = np.fromfile(file, dtype, count)
        if array.size != count:
            raise DataError(f"{path}: not a complete safetensors file (it became shorter while it was read).")
        return array

    return read_one


def _mapped(path: Path, start: int) -> Any:
    # copy-on-write: whoever edits an array edits pages of their own, never the file
    whole = np.memmap(path, np.uint8, "c") if sys.byteorder == "little" else np.fromfile(path, np.uint8)

    def read_one(begin: int, count: int, dtype: np.dtype) -> np.ndarray:
        part = whole[start + begin : start + begin + count * dtype.itemsize].view(np.ndarray).view(dtype)
        return part if part.flags.aligned else part.copy()

    return read_one
