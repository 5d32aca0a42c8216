"""NumPy's npz format: a zip archive with one npy file per array. Members are read as bytes, never written to a folder.

A member must be as long as its header says before anything is allocated, and one array may not come twice. Python
objects, which NumPy would unpickle, are refused.
"""

from __future__ import annotations

import ast
import io
import json
import math
import zipfile
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import DataError

METADATA = "__metadata__"  # the member that holds the notes
HEADER = 10_000  # bytes: what NumPy itself accepts
SMALL = 2**26  # bytes a compressed file may grow to, whatever its size
GROWTH = 100  # beyond that, bytes per byte of the file


def encoded(arrays: dict[str, np.ndarray], notes: dict[str, str]) -> bytes:
    """The content of a file."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_STORED) as archive:
        for name, array in (arrays | ({METADATA: np.array(json.dumps(notes))} if notes else {})).items():
            with archive.open(zipfile.ZipInfo(f"{name}.npy"), "w", force_zip64=True) as member:
                np.lib.format.write_array(member, array, allow_pickle=False)
    return file.getvalue()


def read(path: Path) -> tuple[dict[str, np.ndarray], dict[str, str]]:
    """The arrays and the notes of a file."""
    try:
        with zipfile.ZipFile(path) as archive:
            members = archive.infolist()
            total, size = sum(m.file_size for m in members), path.stat().st_size
            if total > max(size, SMALL, GROWTH * size if any(m.compress_type for m in members) else 0):
                raise ValueError(f"{size} bytes that would become {total}")
            arrays: dict[str, np.ndarray] = {}
            for member in members:
                name = member.filename.removesuffix(".npy")
                if name in arrays:
                    raise ValueError(f"{name!r} comes twice")
                arrays[name] = _array(name, archive, member)
        notes = json.loads(str(arrays.pop(METADATA))) if METADATA in arrays else {}
        if not isinstance(notes, dict) or not all(isinstance(v, str) for v in notes.values()):
            raise ValueError("its notes are no strings by name")
    except FileNotFoundError as error:
        raise DataError(f"{path}: cannot be read: {error.strerror}.") from None
    # what damaged bytes make of zipfile, zlib and json has no common type
    except Exception as error:
        raise DataError(f"{path}: not a complete npz file ({str(error)[:300] or type(error).__name__}).") from None
    return arrays, notes


def _array(name: str, archive: zipfile.ZipFile, member: zipfile.ZipInfo) -> np.ndarray:
    with archive.open(member) as file:
        if file.read(6) != b"\x93NUMPY":
            raise ValueError(f"{name!r} is no npy file")
        wide = file.read(2)[:1] != b"\x01"
        length = int.from_bytes(file.read(4 if wide else 2), "little")
        if length > HEADER:
            raise ValueError(f"the header of {name!r} has {length} bytes")
        header = ast.literal_eval(file.read(length).decode("utf8").strip())
        dtype, shape, by_column = _checked(name, header)
        content = file.read()
    if len(content) != dtype.itemsize * math.prod(shape):
        raise ValueError(f"{name!r} has {len(content)} bytes of data, {dtype} of shape {shape} needs another number")
    array = np.frombuffer(bytearray(content), dtype) if dtype.itemsize else np.zeros(math.prod(shape), dtype)
    array = array.reshape(shape[::-1]).T if by_column else array.reshape(shape)
    return array if dtype.isnative else array.astype(dtype.newbyteorder("="))


def _checked(name: str, header: Any) -> tuple[np.dtype, tuple[int, ...], bool]:
    """dtype, shape and order, as the header says."""
    if not isinstance(header, dict) or set(header) != {"descr", "fortran_order", "shape"}:
        raise ValueError(f"the header of {name!r} must say descr, fortran_order and shape")
    shape, described = header["shape"], header["descr"]
    if not isinstance(shape, tuple) or not all(type(n) is int and n >= 0 for n in shape) or len(shape) > 64:
        raise ValueError(f"the shape of {name!r} is {str(shape)[:80]}")
    dtype = np.dtype(described) if isinstance(described, str) else None
    if dtype is None or (dtype.kind not in "biufc" and (name, dtype.kind) != (METADATA, "U")):
        raise ValueError(
            f"{name!r} must hold numbers or booleans: got {str(described)[:80]}; Python objects would be unpickled"
        )
    return dtype, shape, bool(header["fortran_order"])
