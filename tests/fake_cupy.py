"""A stand-in for the module cupy, made of NumPy: what minigrad asks of CuPy, on as many devices as a test wants.

Arrays know their device, and an operation on one of another device than the current is CuPy's error. Memory is counted
and can run out. Work in a capturing stream is recorded, not done: its results are poisoned until the graph is launched,
which repeats it on the same memory; reading a value meanwhile is CUDA's error. Streams and events write down the order
of what they are told in `log`.
"""

from __future__ import annotations

import importlib
import sys
import threading
import weakref
from contextlib import contextmanager
from importlib import import_module
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np

from minigrad import PRIMITIVES
from minigrad.backend import base, devices
from minigrad.cuda import memory

state = SimpleNamespace()  # of the module in place


def reset(
    devices: int = 1, driver: int = 12040, runtime: int = 12020, total: int = 2**30, fails: int = 0,
    version: str = "14.0.1",
) -> None:  # fmt: skip
    state.version = version
    state.devices, state.driver, state.runtime, state.total, state.fails = devices, driver, runtime, total, fails
    state.current = threading.local()
    state.log = []
    state.capturing = None  # the operations recorded so far
    state.pools = {}
    state.limit = None
    state.linalg = "ignore"
    state.allocator = lambda size: pool().malloc(size)
    state.streams = [Stream(null=True)]
    state.pinned = 0
    state.hooks = []


def current() -> int:
    return getattr(state.current, "device", 0)


# ---- arrays ------------------------------------------------------------------------------------------------------
class CUDARuntimeError(RuntimeError):
    def __init__(self, status: int, text: str):
        self.status = status
        super().__init__(text)


def not_while_capturing() -> None:
    if state.capturing is not None:
        raise CUDARuntimeError(900, "cudaErrorStreamCaptureUnsupported: not permitted when stream is capturing")


class ndarray(np.ndarray):
    __array_priority__ = 1000

    def __array_finalize__(self, other: Any) -> None:
        self._device = getattr(other, "_device", None)
        self._device = current() if self._device is None else self._device

    @property
    def device(self) -> Any:
        return Device(self._device)

    def __array_ufunc__(self, ufunc: Any, method: str, *inputs: Any, out: Any = None, **kwargs: Any) -> Any:
        function = getattr(ufunc, method)
        if out is None:
            return run(function, *inputs, **kwargs)
        (target,) = out
        return edit(target, lambda t, *a: function(*a, out=t, **kwargs), *inputs)

    def __array_function__(self, function: Any, types: Any, args: Any, kwargs: Any) -> Any:
        return run(function, *args, **kwargs)

    def __setitem__(self, key: Any, value: Any) -> None:
        def store(target: np.ndarray, key: Any, value: Any) -> None:
            target[key] = value

        edit(self, store, key, value)

    def __getitem__(self, key: Any) -> Any:
        if any(isinstance(k, np.ndarray) and k.dtype == bool for k in (key if isinstance(key, tuple) else (key,))):
            not_while_capturing()  # CuPy's asks the device how many there are
        return run(lambda x, key: x[wrapped(x, key)], self, key)

    def fill(self, value: Any) -> None:
        edit(self, lambda target, value: target.fill(value), value)

    def set(self, host: np.ndarray, stream: Any = None) -> None:
        state.log.append(f"copy in stream {stream.ptr}")
        raw(self)[...] = host

    def _read(self, *args: Any) -> Any:
        not_while_capturing()
        return raw(self)

    def get(self) -> np.ndarray:
        return self._read().copy()

    def item(self, *args: Any) -> Any:
        return self._read().item(*args)

    def tolist(self) -> Any:
        return self._read().tolist()

    def __float__(self) -> float:
        return float(self._read())

    def __int__(self) -> int:
        return int(self._read())

    def __bool__(self) -> bool:
        return bool(self._read())


def _method(name: str) -> Any:
    return lambda self, *args, **kwargs: run(getattr(np.ndarray, name), self, *args, **kwargs)


for name in (
    "astype", "copy", "sum", "mean", "max", "min", "any", "all", "argmax", "argmin", "cumsum", "reshape", "ravel",
    "transpose", "squeeze", "swapaxes", "prod", "argsort", "clip", "round", "conj", "take",
):  # fmt: skip
    setattr(ndarray, name, _method(name))


def wrapped(x: np.ndarray, key: Any) -> Any:
    """The key with indices that are too large begun again, as CuPy's indexing lets them."""
    parts = key if isinstance(key, tuple) else (key,)
    if any(k is None or k is Ellipsis or getattr(k, "dtype", np.int_) == np.bool_ for k in parts):
        return key
    sized = lambda k: isinstance(k, np.ndarray) and k.dtype.kind in "iu"
    return tuple(k % x.shape[i] if sized(k) and x.shape[i] else k for i, k in enumerate(parts))


def raw(value: Any) -> Any:
    """The NumPy array under an array; of what nests arrays too."""
    if isinstance(value, ndarray):
        return value.view(np.ndarray)
    if type(value) in (list, tuple):
        return type(value)(raw(v) for v in value)
    return value


def arrays_in(value: Any) -> list:
    if isinstance(value, np.ndarray):
        return [value]
    if isinstance(value, (list, tuple)):
        return [a for v in value for a in arrays_in(v)]
    return []


def here(values: Any) -> None:
    """CuPy's errors for arrays of another device, or of the host."""
    for a in arrays_in(values):
        if isinstance(a, ndarray) and a._device != current():
            raise ValueError(
                "Array device must be same as the current device: "
                f"array device = {a._device} while current = {current()}"
            )
        if not isinstance(a, ndarray) and a.ndim:
            raise TypeError(f"Unsupported type {type(a)}")


def made(value: Any, sources: list) -> Any:
    """A result as arrays of the current device, its memory counted unless it is a view of a source."""
    if isinstance(value, (list, tuple)):
        parts = [made(v, sources) for v in value]
        return value._make(parts) if hasattr(value, "_make") else type(value)(parts)
    if not isinstance(value, (np.ndarray, np.generic)):
        return value
    array = np.asarray(value)
    fresh = not any(np.may_share_memory(array, raw(s)) for s in sources)
    if fresh:
        state.allocator(array.nbytes)
        if array.base is not None or not array.flags.owndata:
            array = array.copy()
    y = array.view(ndarray)
    y._device = current()
    if fresh:
        weakref.finalize(array, freed, current(), array.nbytes)
    return y


def run(function: Any, *args: Any, **kwargs: Any) -> Any:
    here([args, list(kwargs.values())])
    sources = arrays_in([args, list(kwargs.values())])
    call = lambda: function(*raw(args), **{k: raw(v) for k, v in kwargs.items()})
    with np.errstate(all="ignore"):
        y = made(call(), sources)
    if state.capturing is not None:
        outs = [o for o in arrays_in(y if isinstance(y, (list, tuple)) else [y]) if o.size]
        fresh = [not any(np.may_share_memory(raw(o), raw(s)) for s in sources) for o in outs]
        if any(fresh):

            def again() -> None:
                result = call()
                results = arrays_in(result) if isinstance(result, (list, tuple)) else [np.asarray(result)]
                for o, r, new in zip(outs, [r for r in results if r.size], fresh):
                    if new:
                        raw(o)[...] = r

            state.capturing.append(again)
            for o, new in zip(outs, fresh):
                if new:
                    raw(o)[...] = np.nan if o.dtype.kind in "fc" else 0  # nothing has run
    return y


def edit(target: Any, write: Any, *args: Any) -> Any:
    here([target, list(args)])
    again = lambda: write(raw(target), *raw(args))
    if state.capturing is None:
        with np.errstate(all="ignore"):
            again()
    else:
        state.capturing.append(again)
    return target


def asarray(data: Any, dtype: Any = None, order: Any = None) -> ndarray:
    if isinstance(data, ndarray):
        return data if dtype is None or data.dtype == dtype else data.astype(dtype)
    return array(data, dtype)


def array(data: Any, dtype: Any = None, copy: bool = True, order: Any = None) -> ndarray:
    if isinstance(data, ndarray) and data._device == current():
        return run(lambda x: np.array(x, dtype), data)
    if not isinstance(data, ndarray):
        not_while_capturing()  # pageable memory
    return made(np.array(raw(data), dtype), [])  # also from another device


def take_along_axis(x: Any, indices: Any, axis: int) -> ndarray:
    """As CuPy's, which lets indices that are too large begin again."""
    return run(lambda x, i: np.take_along_axis(x, i % x.shape[axis], axis), x, indices)


def asnumpy(data: Any, *args: Any, **kwargs: Any) -> np.ndarray:
    state.log.append("download")
    return data.get() if isinstance(data, ndarray) else np.asarray(data)


# ---- memory ------------------------------------------------------------------------------------------------------
class OutOfMemoryError(MemoryError):
    pass


class MemoryPool:
    def __init__(self) -> None:
        self.used = self.held = 0
        self.limit = None

    def malloc(self, size: int) -> None:
        size = -(-size // 512) * 512
        if self.used + size > self.held:
            others = sum(p.held for p in state.pools.values()) - self.held
            if self.used + size + others > (self.limit or state.total):
                raise OutOfMemoryError(f"Out of memory allocating {size:,} bytes (allocated so far: {self.used:,})")
            self.held = self.used + size
        self.used += size
        for hook in state.hooks:
            hook.malloc_postprocess(device_id=current(), size=size, mem_size=size, mem_ptr=0, pmem_id=0)

    def used_bytes(self) -> int:
        return self.used

    def total_bytes(self) -> int:
        return self.held

    def n_free_blocks(self) -> int:
        return int(self.held > self.used)

    def free_all_blocks(self) -> None:
        self.held = self.used
        state.log.append("pool emptied")

    def set_limit(self, size: int | None = None, fraction: float | None = None) -> None:
        self.limit = size if size is not None else int(fraction * state.total)


def freed(device: int, size: int) -> None:
    found = state.pools.get(device)
    if found is not None:
        size = -(-size // 512) * 512
        found.used = max(0, found.used - size)
        for hook in state.hooks:
            hook.free_postprocess(device_id=device, mem_size=size, mem_ptr=0, pmem_id=0)


def pool() -> MemoryPool:
    return state.pools.setdefault(current(), MemoryPool())


class MemoryHook:
    malloc_postprocess = alloc_postprocess = free_postprocess = lambda self, **_: None

    def __enter__(self) -> Any:
        state.hooks.append(self)
        return self

    def __exit__(self, *error: Any) -> None:
        state.hooks.remove(self)


class PinnedMemoryPool:
    def n_free_blocks(self) -> int:
        return 0

    def free_all_blocks(self) -> None:
        state.log.append("pinned pool emptied")


def alloc_pinned_memory(size: int) -> Any:
    state.pinned += size
    return bytearray(max(size, 1))


@contextmanager
def using_allocator(allocator: Any = None) -> Any:
    before, state.allocator = state.allocator, allocator
    try:
        yield
    finally:
        state.allocator = before


# ---- devices, streams, graphs ------------------------------------------------------------------------------------
class Device:
    def __init__(self, id: int | None = None):
        self.id = current() if id is None else int(id)
        self._before: list[int] = []

    def __enter__(self) -> Device:
        self._before.append(current())
        state.current.device = self.id
        return self

    def __exit__(self, *error: Any) -> None:
        state.current.device = self._before.pop()

    def use(self) -> None:
        state.current.device = self.id

    def synchronize(self) -> None:
        state.log.append(f"synchronize device {self.id}")

    def __eq__(self, other: Any) -> bool:
        return isinstance(other, Device) and self.id == other.id

    def __hash__(self) -> int:
        return hash(self.id)


class Stream:
    null: Any
    count = 0

    def __init__(self, null: bool = False, non_blocking: bool = False, ptds: bool = False, priority: int = 0):
        Stream.count += not null
        self.ptr, self.done, self.priority = 0 if null else Stream.count, True, priority

    def __enter__(self) -> Stream:
        state.streams.append(self)
        return self

    def __exit__(self, *error: Any) -> None:
        state.streams.pop()

    def use(self) -> None:
        state.streams[-1] = self

    def synchronize(self) -> None:
        not_while_capturing()
        state.log.append(f"synchronize stream {self.ptr}")

    def wait_event(self, event: Event) -> None:
        state.log.append(f"stream {self.ptr} waits for stream {event.stream}")

    def begin_capture(self, mode: Any = None) -> None:
        if not self.ptr:
            raise CUDARuntimeError(900, "cudaErrorStreamCaptureUnsupported: the legacy stream cannot be captured")
        state.capturing = []

    def end_capture(self) -> Graph:
        recorded, state.capturing = state.capturing, None
        return Graph(recorded)

    def is_capturing(self) -> bool:
        return state.capturing is not None


class Graph:
    def __init__(self, operations: list):
        self.operations = operations

    def launch(self, stream: Any = None) -> None:
        state.log.append(f"launch in stream {stream.ptr}")
        with np.errstate(all="ignore"):
            for operation in self.operations:
                operation()


class Event:
    def __init__(self, block: bool = False, disable_timing: bool = False, interprocess: bool = False):
        self.done, self.time, self.stream = True, 0.0, None

    def record(self, stream: Any = None) -> None:
        state.log.append("event")
        self.time, self.stream = float(len(state.log)), stream.ptr if stream is not None else 0

    def synchronize(self) -> None:
        state.log.append("event reached")


def get_current_stream(device_id: int | None = None) -> Stream:
    return state.streams[-1]


def getDeviceCount() -> int:
    if state.fails:
        raise CUDARuntimeError(state.fails, f"cudaError {state.fails}")
    return state.devices


def getDeviceProperties(device: int) -> dict:
    return {
        "name": b"Fake H100", "major": 9, "minor": 0, "totalGlobalMem": state.total, "multiProcessorCount": 132,
        "warpSize": 32, "maxThreadsPerMultiProcessor": 2048, "sharedMemPerBlock": 49152, "l2CacheSize": 50 * 2**20,
    }  # fmt: skip


# ---- the module --------------------------------------------------------------------------------------------------
class Library(ModuleType):
    """cupy: what is defined above, and NumPy's functions on its arrays."""

    def __init__(self, name: str, library: Any, **own: Any):
        super().__init__(name)
        self.__dict__.update(own, _library=library)

    def __getattr__(self, name: str) -> Any:
        value = getattr(self._library, name)
        if isinstance(value, ModuleType):
            value = Library(f"{self.__name__}.{name}", value)
        elif callable(value) and not isinstance(value, type):
            value = function(value)
        self.__dict__[name] = value
        return value


# What CuPy 14 refuses where NumPy has it.
ADDED = ("int32", "int64", "float16", "float32", "float64", "uint32", "uint64")
AT = {"add": ADDED, "maximum": ADDED, "minimum": ADDED}
REAL = ("logical_and", "logical_or", "logical_xor", "logical_not", "clip", "floor", "ceil", "trunc", "sign")
CUBLAS = ("matmul", "dot", "vdot", "inner", "tensordot", "einsum")
SORTS = ("sort", "argsort", "lexsort", "partition", "argpartition", "unique", "median", "percentile", "quantile")


def function(numpys: Any) -> Any:
    """NumPy's function on arrays of the device; ``add.at`` edits its first."""
    name = numpys.__name__

    def call(*args: Any, **kwargs: Any) -> Any:
        if state.capturing is not None and name in CUBLAS:
            raise NotImplementedError("calling cuBLAS API during stream capture is currently unsupported")
        if state.capturing is not None and name in SORTS:
            raise SystemExit("terminate called: transform: failed to synchronize")  # as Thrust ends the process
        if name in REAL and any(a.dtype.kind == "c" for a in arrays_in(args)):
            raise TypeError(f"Wrong type (complex) of arguments for cupy_{name}")
        return run(numpys, *args, **kwargs)

    def at(target: Any, *args: Any) -> Any:
        if str(target.dtype) not in AT.get(name, ()):
            raise TypeError(f"cupy.{name}.at only supports {', '.join(AT.get(name, ()))} as data type")
        return edit(target, numpys.at, *args)

    def accumulate(x: Any, axis: int = 0, **kwargs: Any) -> Any:
        if name not in ("add", "multiply"):
            raise NotImplementedError(f"`cupy_{name}.accumulate` is not supported yet")
        return run(numpys.accumulate, x, axis=axis, **kwargs)

    def reduceat(x: Any, *args: Any, **kwargs: Any) -> Any:
        if name != "add":
            raise NotImplementedError(f"`cupy_{name}.reduceat` is not supported yet")
        return run(numpys.reduceat, x, *args, **kwargs)

    if isinstance(numpys, np.ufunc):
        call.at, call.accumulate, call.reduceat = at, accumulate, reduceat  # type: ignore[attr-defined]
    return call


def sliding_window_view(x: Any, window_shape: Any, axis: Any = None, **_: Any) -> Any:
    not_while_capturing()  # CuPy's asks the device whether each length is negative
    state.log.append("download")
    return run(np.lib.stride_tricks.sliding_window_view, x, window_shape, axis)


# ---- linear algebra ----------------------------------------------------------------------------------------------
@contextmanager
def errstate(linalg: str = "ignore") -> Any:
    before, state.linalg = state.linalg, linalg
    try:
        yield
    finally:
        state.linalg = before


def decomposition(name: str) -> Any:
    """A function of NumPy's linalg that gives NaN where NumPy's raises, unless errstate says otherwise."""
    numpys = getattr(np.linalg, name)

    def call(*args: Any, **kwargs: Any) -> Any:
        not_while_capturing()
        try:
            return run(numpys, *args, **kwargs)
        except np.linalg.LinAlgError:
            if state.linalg == "raise":
                raise
        regular = np.broadcast_to(np.eye(args[0].shape[-1], dtype=args[0].dtype), args[0].shape)
        y = run(lambda *a: numpys(*a, **kwargs), asarray(regular), *args[1:])
        return type(y)(v * np.nan for v in y) if isinstance(y, tuple) else y * np.nan

    return call


def solve(a: Any, b: Any) -> Any:
    if b.ndim > 1 and a.shape[:-1] != b.shape[:-1]:
        raise ValueError("a must have (..., M, M) shape and b must have (..., M, K) for multidimensional b")
    return decomposition("solve")(a, b)


def gemm(xp: Any, dtype: str, sizes: tuple, count: int, left: tuple, right: tuple, y: Any) -> None:
    """What cuBLAS does with these numbers: column-major matrices at these steps."""
    m, n, k = sizes

    def matrices(array: Any, turned: int, leading: int, apart: int, rows: int, columns: int) -> np.ndarray:
        assert leading >= (columns if turned else rows), "cuBLAS: a leading dimension is too small"
        item = array.itemsize
        steps = (leading * item, item) if turned else (item, leading * item)
        return np.lib.stride_tricks.as_strided(raw(array), (count, rows, columns), (apart * item, *steps))

    def write(target: np.ndarray, *_: Any) -> None:
        product = matrices(*left, m, k) @ matrices(*right, k, n)  # (count, m, n), of columns
        target.reshape(count, n, m)[...] = product.transpose(0, 2, 1)

    edit(y, write, left[0], right[0])


def module() -> ModuleType:
    runtime = Library(
        "cupy.cuda.runtime", None, CUDARuntimeError=CUDARuntimeError, getDeviceCount=getDeviceCount, getDevice=current,
        getDeviceProperties=getDeviceProperties, driverGetVersion=lambda: state.driver,
        runtimeGetVersion=lambda: state.runtime,
        memGetInfo=lambda: (state.total - sum(p.held for p in state.pools.values()), state.total),
    )  # fmt: skip
    cuda = Library(
        "cupy.cuda", None, runtime=runtime, Device=Device, Stream=Stream, Event=Event, Graph=Graph,
        MemoryPool=MemoryPool, MemoryHook=MemoryHook, memory=SimpleNamespace(OutOfMemoryError=OutOfMemoryError),
        using_allocator=using_allocator, get_allocator=lambda: state.allocator, alloc_pinned_memory=alloc_pinned_memory,
        set_allocator=lambda f: setattr(state, "allocator", f), get_current_stream=get_current_stream,
        get_elapsed_time=lambda a, b: b.time - a.time,
    )  # fmt: skip
    Stream.null = state.streams[0]
    linalg = Library("cupy.linalg", np.linalg, solve=solve, **{
        name: decomposition(name) for name in ("inv", "cholesky", "eigh", "eigvalsh", "eig", "eigvals", "svd", "qr")
    })  # fmt: skip
    tricks = Library("cupy.lib.stride_tricks", np.lib.stride_tricks, sliding_window_view=sliding_window_view)
    return Library(
        "cupy", np, linalg=linalg, lib=Library("cupy.lib", np.lib, stride_tricks=tricks), cuda=cuda,
        ndarray=ndarray, asarray=asarray, array=array, asnumpy=asnumpy,
        take_along_axis=take_along_axis,
        get_default_memory_pool=pool, get_default_pinned_memory_pool=PinnedMemoryPool,
        may_share_memory=lambda a, b: np.may_share_memory(raw(a), raw(b)), __version__=state.version,
    )  # fmt: skip


ROUTINES = "cupy._core._routines_linalg"  # has the switch of TF32


@contextmanager
def in_place(**options: Any) -> Any:
    """``with fake_cupy.in_place(devices=2):`` this is cupy, and the backend of that name uses it."""
    reset(**options)
    importlib.import_module("minigrad.kernels.cuda")  # registers its table, which is then put aside
    before, sys.modules["cupy"] = sys.modules.get("cupy"), module()
    cupyx, sys.modules["cupyx"] = sys.modules.get("cupyx"), SimpleNamespace(errstate=errstate)  # type: ignore
    linalg = SimpleNamespace(COMPUTE_TYPE_TF32=3, COMPUTE_TYPE_DEFAULT=0, set_compute_type=lambda dtype, kind: None)
    routines, sys.modules[ROUTINES] = sys.modules.get(ROUTINES), linalg  # type: ignore
    products = importlib.import_module("minigrad.kernels.cuda.matmul")
    cublas, products.gemm = products.gemm, gemm
    import_module("minigrad.kernels.cuda")  # now, or the backend would register them
    launchers = ("minigrad.optim.optimizer", "minigrad.nn.utils.clip_grad")
    tables = [importlib.import_module(name).KERNELS for name in launchers]
    folders = [table.pop("cupy", None) for table in tables]
    kernels = {p: p.kernels.pop("cupy") for p in PRIMITIVES.values() if "cupy" in p.kernels}  # there is no compiler
    try:
        yield sys.modules["cupy"]
    finally:
        forget()
        products.gemm, products.recording, products.tf32 = cublas, False, False
        if routines is None:
            del sys.modules[ROUTINES]
        else:
            sys.modules[ROUTINES] = routines
        if cupyx is None:
            del sys.modules["cupyx"]
        else:
            sys.modules["cupyx"] = cupyx
        for table, folder in zip(tables, folders):
            table |= {"cupy": folder} if folder else {}
        for p, found in kernels.items():
            p.kernels["cupy"] = found
        if before is None:
            del sys.modules["cupy"]
        else:
            sys.modules["cupy"] = before


def forget() -> None:
    """The backend is made anew when it is next asked for."""
    base._BACKENDS.pop("cupy", None)
    base._BY_TYPE.pop(ndarray, None)
    memory._peaks.clear()
    devices.spread = False
    for p in PRIMITIVES.values():
        for backend in [b for b in p.impl if b.name.startswith("cupy")]:
            del p.impl[backend]
