"""States in a file: ``save(model.state_dict(), path)`` and ``model.load_state_dict(load(path))``.

The suffix says the format: ``.safetensors``, which others read too, ``.npz``, NumPy's, or ``.pt`` and ``.pth``,
PyTorch's. Reading runs no code from the file, and a damaged or hostile file is a DataError.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from ..creation import asarray
from ..errors import ArgumentError, DataError, DTypeError
from ..halves import dtype
from ..primitive import kind_of
from ..tensor import Tensor
from . import npz_file, pytorch_file, pytorch_writer, safetensors_file
from .atomic import atomic_write
from .structure import is_flat, put_together, taken_apart

STRUCTURE, COMPLEX = "minigrad.structure", "minigrad.complex128"  # names of notes; the others are the caller's
BFLOAT16 = "minigrad.bfloat16"  # the note that names the arrays of this dtype
READ = WRITTEN = (".safetensors", ".npz", ".pt", ".pth")


def save(state: Any, path: str | os.PathLike, *, metadata: Mapping[str, str] | None = None) -> None:
    """Write tensors or arrays by name, or a whole training state, and, if given, a few strings about it.

    A training state is a dict that nests dicts, lists and tuples of arrays, numbers, strings and None, such as
    ``{"model": model.state_dict(), "optimizer": optimizer.state_dict(), "epoch": 3}``; `load` gives it back as it was,
    integer keys, tuples and NaN included. Its arrays are named by their path, ``model.weight``. The file is complete or
    as it was before. complex128, which safetensors lacks, is stored there as pairs of float64. A .pt or .pth holds
    what ``torch.load(path, weights_only=True)`` reads, any such value and no metadata; arrays come back as tensors.
    """
    if not isinstance(path, str | os.PathLike):
        raise DTypeError(f"save: first what is saved, then the file's path: got a {type(path).__name__} as path.")
    path = Path(path)
    suffix = _suffix(path, WRITTEN)
    if suffix in (".pt", ".pth"):
        if metadata:
            raise ArgumentError(f"save: {suffix} has no place for metadata. Make it a part of the state.")
        atomic_write(path, pytorch_writer.encoded(state))
        return
    if not isinstance(state, Mapping):
        raise DTypeError(f"save: the state must be a dict: got {type(state).__name__}.")
    notes = {str(k): str(v) for k, v in (metadata or {}).items()}
    values, text = (state, None) if is_flat(state) else taken_apart(state)
    arrays = {name: _host(name, value) for name, value in values.items()}
    if text is not None:
        notes[STRUCTURE] = text
    for name in arrays:
        if name == npz_file.METADATA or "\0" in name:
            raise DataError(f"{path}: {name!r} cannot be the name of an array in a file.")
    if halves := [name for name, array in arrays.items() if array.dtype.name == "bfloat16"]:
        notes[BFLOAT16] = json.dumps(halves)
        if suffix == ".npz":  # which has no such dtype
            arrays |= {name: arrays[name].astype(np.float32) for name in halves}
    if suffix == ".npz":
        content = npz_file.encoded(arrays, notes)
    else:
        if wide := [name for name, array in arrays.items() if array.dtype == np.complex128]:
            arrays |= {name: np.stack((arrays[name].real, arrays[name].imag), axis=-1) for name in wide}
            notes[COMPLEX] = json.dumps(wide)
        content = safetensors_file.encoded(arrays, notes)
    atomic_write(path, content)


def load(
    path: str | os.PathLike, map_location: Any = None, *, weights_only: bool = True, memory_map: bool = False
) -> Any:
    """What `save` wrote, on the host: a dict of Tensors by name, or the training state with everything in its place.

    Also what others wrote as safetensors or npz, and what ``torch.save`` wrote, as far as it consists of tensors,
    numbers, strings and containers: anything else is refused by name. others' bfloat16 is read as
    float32, which holds all its values. In a training state a NumPy array is a NumPy array again; in a dict of arrays
    all are Tensors.
    map_location: a device to move the tensors to; PyTorch's dicts and functions, which say where each was, have no
    effect. weights_only, PyTorch's: always so. memory_map (safetensors only): arrays are not read but mapped, and an
    edit of one leaves the file as it is; the file must not be shortened meanwhile.
    """
    loaded = _loaded(path, memory_map)
    return moved(loaded, map_location) if isinstance(map_location, str) and map_location != "cpu" else loaded


def moved(value: Any, device: str) -> Any:
    """The same with its tensors on a device."""
    if isinstance(value, Tensor):
        return value.to(device)
    if isinstance(value, dict):
        return type(value)((key, moved(part, device)) for key, part in value.items())
    return type(value)(moved(part, device) for part in value) if isinstance(value, (tuple, list)) else value


def _loaded(path: str | os.PathLike, memory_map: bool) -> Any:
    path = Path(path)
    suffix = _suffix(path, READ)
    if memory_map and suffix != ".safetensors":
        raise ArgumentError(f"load: memory_map is for .safetensors files: got {path.name!r}.")
    if suffix in (".pt", ".pth"):
        return pytorch_file.read(path)
    arrays, notes = _read(path, suffix, memory_map)
    text = notes.get(STRUCTURE)
    try:
        for name in json.loads(notes.get(COMPLEX, "[]")):
            arrays[name] = _paired(arrays[name])
        for name in json.loads(notes.get(BFLOAT16, "[]")):
            arrays[name] = arrays[name].astype(dtype("bfloat16"))
        return {name: asarray(array) for name, array in arrays.items()} if text is None else put_together(text, arrays)
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise DataError(f"{path}: its notes do not fit its arrays ({error}).") from None


def load_metadata(path: str | os.PathLike) -> dict[str, str]:
    """The strings that `save` was given as metadata."""
    path = Path(path)
    suffix = _suffix(path, READ)
    notes = {} if suffix in (".pt", ".pth") else _read(path, suffix, memory_map=suffix == ".safetensors")[1]
    return {k: v for k, v in notes.items() if k not in (STRUCTURE, COMPLEX, BFLOAT16)}


def _read(path: Path, suffix: str, memory_map: bool) -> tuple[dict[str, np.ndarray], dict[str, str]]:
    return npz_file.read(path) if suffix == ".npz" else safetensors_file.read(path, memory_map)


def _suffix(path: Path, known: tuple[str, ...]) -> str:
    if path.suffix not in known:
        formats = f"{', '.join(known[:-1])} or {known[-1]}"
        raise DataError(f"{path}: the name must end in {formats}, which says the format: got {path.suffix!r}.")
    return path.suffix


def _host(name: str, value: Any) -> np.ndarray:
    array = value.detach().numpy() if isinstance(value, Tensor) else np.asarray(value)
    if kind_of(array.dtype) not in "biufc" or array.dtype.itemsize > 8 * (1 + (array.dtype.kind == "c")):
        raise DTypeError(f"save: {name} must hold numbers or booleans: got {array.dtype}.")
    if array.dtype.kind == "V":  # bfloat16
        return np.ascontiguousarray(array)
    # the formats store row-major, little-endian bytes
    return np.array(array, dtype=array.dtype.newbyteorder("<"), order="C", copy=None)


def _paired(array: np.ndarray) -> np.ndarray:
    """Pairs of float64 as complex128."""
    if array.dtype != np.float64 or array.shape[-1:] != (2,):
        raise ValueError(f"complex numbers must be pairs of float64: got {array.dtype} of shape {array.shape}")
    return np.ascontiguousarray(array).view(np.complex128)[..., 0]
