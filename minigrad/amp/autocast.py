"""autocast: inside its region every primitive runs in the precision that suits it."""

from __future__ import annotations

from contextlib import ContextDecorator
from typing import Any

import numpy as np
from numpy import ndarray

from ..backend import backend_of
from ..errors import ArgumentError
from ..halves import FLOAT32, HALVES, is_half
from ..halves import dtype as dtype_of
from ..mode import MODE
from ..primitive import PRIMITIVES, Primitive, kind_of
from ..tensor import Tensor, apply
from .policy import POLICY

ASTYPE = PRIMITIVES["astype"]
DEFAULTS = {"cpu": "bfloat16", "cupy": "float16"}  # as PyTorch's


class Casting:
    """What a region puts before every primitive: its operands are cast, then it runs as it would outside."""

    def __init__(self, dtypes: dict[str | None, Any], cache: dict | None):
        self.dtypes = dtypes  # the half type by device, None: of all others; a value None: nothing is cast there
        self.cache = cache  # id of a parameter -> (parameter, its version, its array, the parameter cast)

    def __call__(self, prim: Primitive, args: tuple, params: dict) -> Any:
        token = MODE.set(MODE.get().plain)
        try:
            policy = POLICY.get(prim.name)
            if policy is None:
                return apply(prim, *args, **params)
            first: Any = next((a for a in args if hasattr(a, "dtype")), None)
            half = self.half(first)
            if half is None:
                return apply(prim, *args, **params)
            dtype = half if policy == "HALF" else widest(args) if policy == "WIDEST" else FLOAT32
            out = apply(prim, *(self.cast(a, dtype) for a in args), **params)
            if policy == "FLOAT32_INSIDE" and first.dtype in HALVES:
                return (self.cast(out[0], first.dtype), *out[1:]) if isinstance(out, tuple) else out.astype(first.dtype)
            return out
        finally:
            MODE.reset(token)

    def half(self, operand: Any) -> Any:
        """The half type for the device of an operand."""
        array = getattr(operand, "array", operand)
        if array is None:
            return None
        device = "cpu" if type(array) is ndarray else backend_of(array).name.partition(":")[0]
        return self.dtypes[device] if device in self.dtypes else self.dtypes.get(None)

    def cast(self, a: Any, dtype: np.dtype) -> Any:
        """An operand in this dtype, if it is float32 or a half; all else as it is."""
        own = getattr(a, "dtype", None)
        if own is None or own == dtype or (own != FLOAT32 and own not in HALVES):
            return a
        if not isinstance(a, Tensor):
            return a.astype(dtype)
        if self.cache is None or a.node is None or own != FLOAT32 or not a.is_leaf or not MODE.get().recording:
            return apply(ASTYPE, a, dtype=dtype)
        # a parameter that is used again in this region is not cast again, unless it was written to
        version = a.storage.version if a.storage is not None else 0
        known = self.cache.get((id(a), dtype))
        if known is None or known[1] != version or known[2] is not a.array or known[3].node is None:
            known = self.cache[id(a), dtype] = a, version, a.array, apply(ASTYPE, a, dtype=dtype)
        return known[3]


def widest(args: tuple) -> np.dtype:
    """float32 unless all float operands are of one half type."""
    found = {a.dtype for a in args if hasattr(a, "dtype") and kind_of(a.dtype) == "f"}
    return found.pop() if len(found) == 1 else FLOAT32


class autocast(ContextDecorator):
    """``with autocast("cuda", dtype=mg.float16):`` or ``@autocast("cuda")``: mixed precision, as torch.autocast.

    Products, convolutions and attention run in the half type; softmax, norms, losses, exp, log, powers and sums in
    float32; all else in the dtype of its operands (`amp.policy`). Parameters stay float32 and get float32 gradients.
    float64 and integers are left alone. Only the forward belongs inside: ``backward()`` repeats the forward's dtypes.

    device_type: whose tensors, "cpu", "cuda" (also "cupy") or another backend; None: all. dtype: float16 or bfloat16;
    None: float16 on a GPU, bfloat16 on the CPU. enabled=False: full precision inside another region. cache_enabled:
    cast each parameter once per outermost region. Micikevicius et al. 2017, arXiv:1710.03740.

    >>> import minigrad as mg
    >>> x, w = mg.ones(2, 3), mg.ones(3, 2, requires_grad=True)
    >>> with mg.autocast("cpu", dtype=mg.float16):
    ...     y = x @ w
    ...     total = y.sum()
    >>> total.backward()
    >>> y.dtype, total.dtype, w.grad.dtype
    (dtype('float16'), dtype('float32'), dtype('float32'))
    """

    def __init__(
        self, device_type: str | None = None, dtype: Any = None, enabled: bool = True, cache_enabled: bool | None = None
    ):
        if device_type is not None and not isinstance(device_type, str):
            raise ArgumentError(f"autocast: device_type must be a name or None: got {device_type!r}.")
        device = None if device_type is None else _device(device_type)
        self.device, self.enabled, self.cache_enabled = device, bool(enabled), cache_enabled is not False
        if dtype is None and self.enabled:
            dtype = DEFAULTS.get(device or _device(MODE.get().device.name), "float16")
        self.dtype = dtype_of(dtype) if self.enabled else None
        if self.dtype is not None and not is_half(self.dtype):
            raise ArgumentError(f"autocast: dtype must be float16 or bfloat16: got {self.dtype}.")
        self._tokens: list[tuple[Any, Any]] = []

    def _recreate_cm(self) -> autocast:
        return autocast(self.device, self.dtype, self.enabled, self.cache_enabled)

    def __enter__(self) -> autocast:
        mode = MODE.get()
        outer: Casting | None = mode.cast
        dtypes = {self.device: self.dtype} if self.device is None or outer is None else outer.dtypes | {
            self.device: self.dtype
        }  # fmt: skip
        shared = outer.cache if outer is not None else None
        cache = (shared if shared is not None else {}) if self.cache_enabled else None
        casting = Casting(dtypes, cache) if any(dtypes.values()) else None
        self._tokens.append((MODE.set(mode.but(cast=casting)), None if outer is not None else cache))
        return self

    def __exit__(self, *error: Any) -> None:
        token, cache = self._tokens.pop()
        MODE.reset(token)
        if cache is not None:
            cache.clear()


def _device(name: str) -> str:
    name = name.partition(":")[0]
    return {"cuda": "cupy", "numpy": "cpu", "numba": "cpu"}.get(name, name)


def get_autocast_dtype(device_type: str = "cpu") -> np.dtype | None:
    """The half type of the region around this line for tensors on that device, or None."""
    casting: Casting | None = MODE.get().cast
    if casting is None:
        return None
    device = _device(device_type)
    return casting.dtypes[device] if device in casting.dtypes else casting.dtypes.get(None)


def is_autocast_enabled(device_type: str | None = None) -> bool:
    """Is there a region around this line that casts, for this device or for any?"""
    casting: Casting | None = MODE.get().cast
    return casting is not None and (device_type is None or get_autocast_dtype(device_type) is not None)
