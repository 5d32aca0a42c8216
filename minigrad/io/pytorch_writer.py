"""What ``torch.load`` reads, with weights_only=True too: a zip archive of a pickle and the bytes of each tensor.

The pickle is put together here instruction by instruction, since Python's own would name minigrad's classes. It says
what `torch._utils._rebuild_tensor_v2` is to be called with: a storage, an offset, a shape and strides.
https://docs.python.org/3/library/pickletools.html
"""

from __future__ import annotations

import io
import pickle
import zipfile
from collections.abc import Mapping
from typing import Any

import numpy as np

from ..errors import DTypeError
from ..tensor import Tensor

STORAGES = {
    "float64": "Double", "float32": "Float", "float16": "Half", "bfloat16": "BFloat16", "int64": "Long",
    "int32": "Int", "int16": "Short", "int8": "Char", "uint8": "Byte", "bool": "Bool", "complex128": "ComplexDouble",
    "complex64": "ComplexFloat",
}  # fmt: skip
ORDERED = b"ccollections\nOrderedDict\n)R"  # an empty OrderedDict: no hooks


def encoded(value: Any) -> bytes:
    """The content of a file that holds `value`: tensors, arrays, numbers, strings, None, in dicts, lists, tuples."""
    writer = _Writer()
    program = b"\x80\x02" + writer.instructions(value, "the state") + b"."
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_STORED) as archive:
        members = {"data.pkl": program, "byteorder": b"little"}
        members |= {f"data/{k}": array.tobytes() for k, array in enumerate(writer.storages)}
        for name, content in (members | {"version": b"3\n"}).items():
            archive.writestr(zipfile.ZipInfo(f"archive/{name}"), content)
    return file.getvalue()


class _Writer:
    def __init__(self) -> None:
        self.storages: list[np.ndarray] = []
        self.places: dict[int, int] = {}  # a tensor's array -> its storage: tied parameters are written once

    def instructions(self, value: Any, where: str) -> bytes:
        """What leaves the value on the stack."""
        if isinstance(value, (Tensor, np.ndarray)):
            return self.tensor(value, where)
        if isinstance(value, np.generic):
            value = value.item()
        if value is None or isinstance(value, (bool, int, float, str)):
            return pickle.dumps(value, 2)[2:-1]  # without the first and the last instruction
        if isinstance(value, Mapping):
            pairs = [self.instructions(k, where) + self.instructions(v, f"{where}[{k!r}]") for k, v in value.items()]
            return b"}(" + b"".join(pairs) + b"u"
        if isinstance(value, (list, tuple)):
            parts = b"".join(self.instructions(v, f"{where}[{k}]") for k, v in enumerate(value))
            return b"](" + parts + b"e" if isinstance(value, list) else b"(" + parts + b"t"
        raise DTypeError(f"save: {where} must be an array, a number, a string, a dict, list or tuple of them, or None: "
                         f"got {type(value).__name__}.")  # fmt: skip

    def tensor(self, value: Any, where: str) -> bytes:
        given = value.array if isinstance(value, Tensor) else value
        array = np.ascontiguousarray(value.detach().numpy() if isinstance(value, Tensor) else value)
        array = array.reshape(given.shape)  # ascontiguousarray makes (1,) of ()
        kind = array.dtype.name
        typed = kind in STORAGES
        if not typed and kind not in ("uint16", "uint32", "uint64"):
            raise DTypeError(f"save: {where} must hold numbers or booleans: got {array.dtype}.")
        if id(given) not in self.places:
            self.places[id(given)] = len(self.storages)
            self.storages.append(array if kind == "bfloat16" else array.astype(array.dtype.newbyteorder("<")))
        plain = lambda v: self.instructions(v, where)
        storage = f"ctorch\n{STORAGES[kind]}Storage\n" if typed else "ctorch.storage\nUntypedStorage\n"
        strides = tuple(s // array.itemsize for s in array.strides)
        return b"".join((
            b"ctorch._utils\n_rebuild_tensor_v2\n(" if typed else b"ctorch._utils\n_rebuild_tensor_v3\n(",
            b"(", plain("storage"), storage.encode(), plain(str(self.places[id(given)])), plain("cpu"),
            plain(array.size if typed else array.nbytes), b"tQ",
            plain(0), plain(array.shape), plain(strides), plain(False), ORDERED,
            b"" if typed else f"ctorch\n{kind}\n".encode(), b"tR",
        ))  # fmt: skip
