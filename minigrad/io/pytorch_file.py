"""What ``torch.save`` wrote: a zip archive with a pickle, ``data.pkl``, and the bytes of each storage, ``data/0`` ...
Before PyTorch 1.6 it wrote five pickles and the bytes of all storages, one after the other; that is read too.

A pickle is a program for a stack machine, and its REDUCE instruction calls anything importable: whoever unpickles a
file runs it. So nothing is unpickled here. `_Machine` knows only the instructions that build numbers, strings and
containers, and instead of calling what a file names it looks the name up in `BUILDERS`: those that make tensors. Any
other name or instruction is a DataError. https://docs.python.org/3/library/pickletools.html
"""

from __future__ import annotations

import math
import pickletools
import sys
import zipfile
from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path
from typing import Any, BinaryIO, Literal, NamedTuple

import numpy as np

from ..errors import DataError
from ..tensor import Tensor, wrap
from .safetensors_file import widened

STORAGES = {
    "DoubleStorage": "f8", "FloatStorage": "f4", "HalfStorage": "f2", "BFloat16Storage": "u2", "LongStorage": "i8",
    "IntStorage": "i4", "ShortStorage": "i2", "CharStorage": "i1", "ByteStorage": "u1", "BoolStorage": "?",
    "ComplexDoubleStorage": "c16", "ComplexFloatStorage": "c8", "UInt16Storage": "u2", "UInt32Storage": "u4",
    "UInt64Storage": "u8", "UntypedStorage": "u1",
}  # fmt: skip
TORCH_DTYPES = {
    "float64": "f8", "float32": "f4", "float16": "f2", "bfloat16": "bfloat16", "int64": "i8", "int32": "i4",
    "int16": "i2", "int8": "i1", "uint8": "u1", "uint16": "u2", "uint32": "u4", "uint64": "u8", "bool": "?",
    "complex128": "c16", "complex64": "c8",
}  # fmt: skip
ORDERS: dict[str, Literal["little", "big"]] = {"<": "little", ">": "big"}
LEGACY = b"\x80\x02\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19."  # the magic number of torch.save before PyTorch 1.6


class Refused(ValueError):
    """The file asks for something that reading weights does not need."""


class Global(NamedTuple):
    """A name that the file refers to; it stays a name."""

    module: str
    name: str

    def __str__(self) -> str:
        return f"{self.module}.{self.name}"


class Storage(NamedTuple):
    array: np.ndarray  # 1-d, all elements
    dtype: str  # "bfloat16" for bits in uint16, else NumPy's


def read(path: Path) -> Any:
    """The object in a file, with a Tensor for every tensor; tensors that shared memory share it here."""
    try:
        with open(path, "rb") as file:
            if file.read(len(LEGACY)) == LEGACY:
                return _Sequence(file, path.stat().st_size).content()
        with zipfile.ZipFile(path) as archive:
            return _Archive(archive, path.stat().st_size).content()
    except FileNotFoundError as error:
        raise DataError(f"{path}: cannot be read: {error.strerror}.") from None
    except Refused as error:
        raise DataError(f"{path}: refused: {error}.") from None
    # what damaged bytes make of zipfile and pickletools has no common type
    except Exception as error:
        raise DataError(
            f"{path}: {_other_format(path) or f'not a complete PyTorch file ({str(error)[:300]})'}."
        ) from None


def _other_format(path: Path) -> str:
    """What the file is instead, where that can be said."""
    try:
        with open(path, "rb") as file:
            start = file.read(512)
    except OSError as error:
        return f"cannot be read: {error.strerror}"
    if start[257:262] == b"ustar":
        return "written by PyTorch before 0.2: load it in PyTorch and torch.save it again"
    return ""


class _Archive:
    """The members of a file, all in one folder, whose name does not matter."""

    def __init__(self, archive: zipfile.ZipFile, size: int):
        self.archive, self.left = archive, size
        self.members: dict[str, zipfile.ZipInfo] = {}
        for member in archive.infolist():
            if member.compress_type != zipfile.ZIP_STORED:
                raise Refused(f"{member.filename!r} is compressed, as PyTorch never writes it")
            name = member.filename.partition("/")[2]
            if name in self.members:
                raise Refused(f"{member.filename!r} comes twice")
            self.members[name] = member
        if "data.pkl" not in self.members:
            raise ValueError("it has no data.pkl")
        if "constants.pkl" in self.members:
            raise Refused("it is a TorchScript program, not weights. In PyTorch: torch.save(model.state_dict(), path)")
        order = self.bytes("byteorder").decode() if "byteorder" in self.members else "little"
        if order not in ("little", "big"):
            raise Refused(f"its byte order is {order!r}")
        self.order = "<" if order == "little" else ">"
        self.storages: dict[Any, Storage] = {}

    def bytes(self, name: str) -> bytes:
        member = self.members[name]
        self.left -= member.file_size
        if self.left < 0:  # several members over the same bytes
            raise Refused("its members are longer together than the file")
        return self.archive.read(member)

    def content(self) -> Any:
        return _Machine(self.storage).run(self.bytes("data.pkl"))

    def storage(self, key: Any) -> Storage:
        """The storage that a pickle refers to as ("storage", type, name of the member, device, elements)."""
        if not (isinstance(key, tuple) and len(key) == 5 and key[0] == "storage"):
            raise Refused(f"a reference to something other than a storage, {str(key)[:80]}")
        _, kind, name, _, count = key
        if not isinstance(kind, Global) or kind.module not in ("torch", "torch.storage") or kind.name not in STORAGES:
            raise Refused(f"a storage of type {str(kind)[:80]}")
        member = f"data/{name}"
        if not isinstance(name, str) or type(count) is not int or member not in self.members:
            raise ValueError(f"there is no storage {str(name)[:80]!r}")
        if (name, kind) not in self.storages:
            dtype = np.dtype(self.order + STORAGES[kind.name])
            if kind.name == "UntypedStorage":
                count = self.members[member].file_size
            array = np.frombuffer(bytearray(self.bytes(member)), dtype)
            if array.size != count:
                raise ValueError(f"storage {name} has {array.size} elements, not {count}")
            if kind.name == "BFloat16Storage":
                array = widened(array)
            elif not dtype.isnative:
                array = array.astype(dtype.newbyteorder("="))
            self.storages[name, kind] = Storage(array, self.order)
        return self.storages[name, kind]


class _Sequence:
    """A file of before PyTorch 1.6: the pickles of a magic number, a version, the machine's habits, the object, and the
    keys of its storages; then of each storage, in this order, the number of its elements as int64, and they."""

    def __init__(self, file: BinaryIO, size: int):
        self.file, self.left = file, size
        self.storages: dict[Any, tuple[str, np.ndarray]] = {}  # key -> its type, its elements

    def content(self) -> Any:
        version, habits = self.pickle(), self.pickle()
        if version != 1001 or not isinstance(habits, dict):
            raise ValueError(f"its version is {str(version)[:80]}")
        self.order = "<" if habits.get("little_endian", True) else ">"
        content, keys = self.pickle(), self.pickle()
        if set(keys) != self.storages.keys() or len(keys) != len(self.storages):
            raise ValueError("its list of storages does not fit its tensors")
        for key in keys:
            self.fill(*self.storages[key])
        return content

    def pickle(self) -> Any:
        return _Machine(self.storage).run(self.file)

    def storage(self, key: Any) -> Storage:
        """The storage, or the part of one, that a pickle refers to as ("storage", type, key, device, elements, part);
        its elements come later."""
        if not (isinstance(key, tuple) and len(key) == 6 and key[0] == "storage"):
            raise Refused(f"a reference to something other than a storage, {str(key)[:80]}")
        _, kind, name, _, count, part = key
        if not isinstance(kind, Global) or kind.module not in ("torch", "torch.storage") or kind.name not in STORAGES:
            raise Refused(f"a storage of type {str(kind)[:80]}")
        if not isinstance(name, str) or type(count) is not int or count < 0:
            raise ValueError(f"there is no storage {str(name)[:80]!r}")
        if name not in self.storages:
            dtype = np.dtype(STORAGES[kind.name])
            self.left -= count * dtype.itemsize
            if self.left < 0:
                raise ValueError("its storages are longer together than the file")
            wide = kind.name == "BFloat16Storage"
            self.storages[name] = kind.name, np.empty(count, np.float32 if wide else dtype)
        known, array = self.storages[name]
        if known != kind.name or array.size != count:
            raise ValueError(f"storage {name} is {known} of {array.size}, and {kind.name} of {count}")
        if part is not None:
            _, start, length = part
            if not 0 <= start <= start + length <= count:
                raise ValueError(f"there is no part {start}, {length} of storage {name}")
            array = array[start : start + length]
        return Storage(array, "<" if sys.byteorder == "little" else ">")

    def fill(self, kind: str, array: np.ndarray) -> None:
        dtype = np.dtype(self.order + STORAGES[kind])
        data = self.file.read(8 + array.size * dtype.itemsize)
        if len(data) != 8 + array.size * dtype.itemsize or int.from_bytes(data[:8], ORDERS[self.order]) != array.size:
            raise ValueError("its storages end early")
        found = np.frombuffer(data, dtype, offset=8)
        array[...] = widened(found.astype("u2")) if kind == "BFloat16Storage" else found


# ---- what may be built -----------------------------------------------------------------------------------------------


def _tensor(storage: Any, offset: Any, size: Any, stride: Any, *_: Any) -> Tensor:
    """size[0] x size[1] x ... elements of a storage, those of axis i stride[i] apart, from element `offset` on."""
    sizes = (offset, *size, *stride) if isinstance(size, tuple) and isinstance(stride, tuple) else ()
    if not isinstance(storage, Storage) or not sizes or not all(type(n) is int and n >= 0 for n in sizes):
        raise ValueError(f"a tensor of size {str(size)[:80]} and stride {str(stride)[:80]}")
    array = storage.array
    last = offset + sum((n - 1) * s for n, s in zip(size, stride, strict=True))
    elements = math.prod(size)
    if elements and (last >= array.size or elements >= 2**48):
        raise ValueError(f"a tensor of size {size}, stride {stride} and offset {offset} in {array.size} elements")
    strides = tuple(s * array.itemsize for s in stride)
    if not elements:
        return wrap(np.zeros(size, array.dtype))
    once = elements <= array.size and 0 not in [s for n, s in zip(size, stride) if n > 1]
    return wrap(np.lib.stride_tricks.as_strided(array[offset:], size, strides, writeable=once))


def _tensor_of_bytes(storage: Any, offset: Any, size: Any, stride: Any, grad: Any, hooks: Any, dtype: Any, *_: Any):
    """As `_tensor`, over a storage that has no dtype of its own."""
    if not isinstance(storage, Storage) or not isinstance(dtype, Global) or dtype.name not in TORCH_DTYPES:
        raise Refused(f"a tensor of dtype {dtype}")
    code = TORCH_DTYPES[dtype.name]
    array = storage.array.view(np.dtype(storage.dtype + ("u2" if code == "bfloat16" else code)))
    array = widened(array) if code == "bfloat16" else array.astype(array.dtype.newbyteorder("="), copy=False)
    return _tensor(Storage(array, ""), offset, size, stride)


def _parameter(data: Any, *_: Any) -> Tensor:
    if not isinstance(data, Tensor):
        raise ValueError("a parameter that is not made of a tensor")
    return data


def _ordered(pairs: Any = ()) -> OrderedDict:
    return OrderedDict((key, value) for key, value in pairs)


BUILDERS: dict[tuple[str, ...], Callable] = {
    ("torch._utils", "_rebuild_tensor"): _tensor,
    ("torch._utils", "_rebuild_tensor_v2"): _tensor,
    ("torch._utils", "_rebuild_tensor_v3"): _tensor_of_bytes,
    ("torch._utils", "_rebuild_parameter"): _parameter,
    ("torch", "Size"): lambda lengths: tuple(lengths),
    ("torch", "device"): lambda kind, index=0: f"{kind}:{index}" if kind != "cpu" else "cpu",
    ("collections", "OrderedDict"): _ordered,
    ("builtins", "set"): lambda items=(): set(items),
    ("__builtin__", "set"): lambda items=(): set(items),
}
TOKENS = {("torch", name) for name in (*STORAGES, *TORCH_DTYPES)} | {("torch.storage", "UntypedStorage")}


# ---- the stack machine -----------------------------------------------------------------------------------------------

MARK = object()
MAKERS: dict[str, Callable[[], Any]] = {
    "NONE": lambda: None, "NEWTRUE": lambda: True, "NEWFALSE": lambda: False, "EMPTY_LIST": list, "EMPTY_DICT": dict,
    "EMPTY_TUPLE": tuple, "EMPTY_SET": set, "MARK": lambda: MARK,
}  # fmt: skip
LITERALS = {
    "INT", "BININT", "BININT1", "BININT2", "LONG", "LONG1", "LONG4", "FLOAT", "BINFLOAT", "STRING", "BINSTRING",
    "SHORT_BINSTRING", "UNICODE", "BINUNICODE", "SHORT_BINUNICODE", "BINUNICODE8", "BINBYTES", "SHORT_BINBYTES",
    "BINBYTES8",
}  # fmt: skip
COLLECTORS: dict[str, Callable[[list], Any]] = {
    "LIST": list, "TUPLE": tuple, "FROZENSET": frozenset, "DICT": lambda v: dict(zip(v[::2], v[1::2], strict=True)),
}  # fmt: skip
TUPLES = {"TUPLE1": 1, "TUPLE2": 2, "TUPLE3": 3}


class _Machine:
    """Runs a pickle; `storage` gives the storage that a persistent id names."""

    def __init__(self, storage: Callable[[Any], Storage]):
        self.storage = storage
        self.stack: list[Any] = []
        self.memo: dict[int, Any] = {}

    def run(self, program: bytes | BinaryIO) -> Any:
        """The object of a pickle; of a file, which is read to the end of the pickle."""
        stack, memo = self.stack, self.memo
        arg: Any
        for opcode, arg, _ in pickletools.genops(program):
            op = opcode.name
            if op in LITERALS:
                stack.append(arg)
            elif op in MAKERS:
                stack.append(MAKERS[op]())
            elif op in COLLECTORS:
                stack.append(COLLECTORS[op](self.marked()))
            elif op in TUPLES:
                stack[-TUPLES[op] :] = [tuple(self.top(TUPLES[op]))]
            elif op in ("PUT", "BINPUT", "LONG_BINPUT", "MEMOIZE"):
                memo[len(memo) if op == "MEMOIZE" else arg] = stack[-1]
            elif op in ("GET", "BINGET", "LONG_BINGET"):
                stack.append(memo[arg])
            elif op in ("APPEND", "APPENDS", "ADDITEMS", "SETITEM", "SETITEMS"):
                self.fill(op)
            elif op in ("GLOBAL", "STACK_GLOBAL"):
                self.name(*(arg.split(" ", 1) if op == "GLOBAL" else self.popped(2)))
            elif op == "BINPERSID":
                stack.append(self.storage(stack.pop()))
            elif op == "REDUCE":
                self.build(*self.popped(2))
            elif op == "BUILD":
                self.attributes(stack[-2], stack.pop())
            elif op == "POP":
                stack.pop()
            elif op == "POP_MARK":
                self.marked()
            elif op == "STOP":
                return stack[-1]
            elif op not in ("PROTO", "FRAME"):
                raise Refused(f"its pickle has the instruction {op}")
        raise ValueError("its pickle has no end")

    def top(self, n: int) -> list[Any]:
        if len(self.stack) < n:
            raise ValueError("its pickle takes what it did not put on the stack")
        return self.stack[-n:]

    def popped(self, n: int) -> list[Any]:
        found = self.top(n)
        del self.stack[-n:]
        return found

    def marked(self) -> list[Any]:
        """What lies above the last mark."""
        at = next(i for i in range(len(self.stack) - 1, -1, -1) if self.stack[i] is MARK)
        found = self.stack[at + 1 :]
        del self.stack[at:]
        return found

    def fill(self, op: str) -> None:
        items = self.marked() if op.endswith("S") else self.popped(2 if op == "SETITEM" else 1)
        target = self.stack[-1]
        if op in ("SETITEM", "SETITEMS") and isinstance(target, dict):
            target.update(zip(items[::2], items[1::2], strict=True))
        elif op in ("APPEND", "APPENDS") and type(target) is list:
            target += items
        elif op == "ADDITEMS" and type(target) is set:
            target.update(items)
        else:
            raise ValueError(f"its pickle fills a {type(target).__name__} with {op}")

    def name(self, module: Any, name: Any) -> None:
        if (module, name) not in BUILDERS and (module, name) not in TOKENS:
            raise Refused(
                f"it holds {str(module)[:80]}.{str(name)[:80]}, and only tensors, numbers, strings and containers are "
                "read. In PyTorch: torch.save(model.state_dict(), path)"
            )
        self.stack.append(Global(module, name))

    def build(self, what: Any, args: Any) -> None:
        if not isinstance(what, Global) or tuple(what) not in BUILDERS or not isinstance(args, tuple):
            raise Refused(f"it calls {str(what)[:80]}")
        self.stack.append(BUILDERS[tuple(what)](*args))

    def attributes(self, target: Any, state: Any) -> None:
        """A state dict carries `_metadata` of its modules as an attribute: left out."""
        if not isinstance(target, OrderedDict):
            raise Refused(f"it sets attributes of a {type(target).__name__}")
