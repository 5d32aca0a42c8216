"""Named arrays in a file: ``save(model.state_dict(), path)`` and ``model.load_state_dict(load(path))``.

The suffix says the format: ``.safetensors``, which others read too, or ``.npz``, NumPy's. Reading runs no code.
"""

from __future__ import annotations

import io
import json
import os
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from ..creation import asarray
from ..errors import DataError, DTypeError
from ..extras import require
from ..tensor import Tensor
from .atomic import atomic_write

METADATA = "__metadata__"  # the name safetensors uses for it; in an npz the name of a member


def save(state: Mapping[str, Any], path: str | os.PathLike, *, metadata: Mapping[str, str] | None = None) -> None:
    """Write named tensors (or arrays) and, if given, a few strings about them."""
    suffix = _suffix(path)
    arrays = {name: _host(name, value) for name, value in state.items()}
    notes = {str(k): str(v) for k, v in (metadata or {}).items()}
    if suffix == ".safetensors":
        content = _safetensors("save").numpy.save(arrays, notes or None)
    else:
        if METADATA in arrays:
            raise DataError(f"{path}: {METADATA!r} cannot be the name of an array in an npz file.")
        file = io.BytesIO()
        extra: dict[str, Any] = {METADATA: np.array(json.dumps(notes))} if notes else {}
        np.savez(file, allow_pickle=False, **arrays, **extra)
        content = file.getvalue()
    atomic_write(path, content)


def load(path: str | os.PathLike) -> dict[str, Tensor]:
    """The named tensors of a file, on the host."""
    return {name: asarray(array) for name, array in _read(path)[0].items()}


def load_metadata(path: str | os.PathLike) -> dict[str, str]:
    """The strings that `save` was given as metadata."""
    return _read(path)[1]


def _read(path: str | os.PathLike) -> tuple[dict[str, np.ndarray], dict[str, str]]:
    suffix = _suffix(path)
    try:
        content = Path(path).read_bytes()
    except OSError as error:
        raise DataError(f"{path}: cannot be read: {error.strerror or error}.") from None
    if suffix == ".safetensors":
        safetensors = _safetensors("load")
        try:
            arrays = safetensors.numpy.load(content)
            header = json.loads(content[8 : 8 + int.from_bytes(content[:8], "little")])
        except (safetensors.SafetensorError, ValueError, KeyError, TypeError) as error:
            raise DataError(f"{path}: not a complete safetensors file ({error}).") from None
        return {name: arrays[name] for name in sorted(arrays)}, header.get(METADATA, {})
    try:
        with np.load(io.BytesIO(content), allow_pickle=False) as file:
            if not hasattr(file, "files"):
                raise ValueError("it holds a single array; .npy files are read with numpy.load")
            arrays = {name: file[name] for name in file.files}
    except (ValueError, EOFError, KeyError, OSError, zipfile.BadZipFile) as error:
        raise DataError(f"{path}: not a complete npz file ({error}).") from None
    notes = arrays.pop(METADATA, None)
    return arrays, {} if notes is None else json.loads(str(notes))


def _suffix(path: str | os.PathLike) -> str:
    suffix = Path(path).suffix
    if suffix not in (".safetensors", ".npz"):
        raise DataError(f"{path}: the name must end in .safetensors or .npz, which says the format: got {suffix!r}.")
    return suffix


def _host(name: str, value: Any) -> np.ndarray:
    array = value.numpy() if isinstance(value, Tensor) else np.asarray(value)
    if array.dtype.kind not in "biufc":
        raise DTypeError(f"save: {name} must hold numbers or booleans: got {array.dtype}.")
    # the formats store row-major, little-endian bytes
    return np.array(array, dtype=array.dtype.newbyteorder("<"), order="C", copy=None)


def _safetensors(use: str) -> Any:
    require("safetensors.numpy", extra="train", use=f"{use} .safetensors")
    return require("safetensors", extra="train", use=f"{use} .safetensors")
