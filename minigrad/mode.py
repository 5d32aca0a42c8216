"""The modes of a thread: recording or not, which host flavour computes, where new tensors are made, which float is
default."""

from __future__ import annotations

from contextlib import ContextDecorator
from contextvars import ContextVar
from typing import Any

import numpy as np

from .backend import Backend, get_backend
from .errors import DTypeError
from .halves import dtype as dtype_of
from .primitive import kind_of


class Mode:
    """What `apply` looks up per thread and context. `but` gives a changed copy; only `_set` changes one, the first."""

    FIELDS = ("host", "device", "recording", "default_dtype", "levels", "below", "cast", "watch")
    SWITCHES = frozenset(("recording", "below", "cast"))
    __slots__ = (*FIELDS, "_switched", "detour")

    def __init__(
        self,
        host: Backend,
        device: Backend,
        recording: bool,
        default_dtype: Any,
        levels: tuple = (),
        below: bool | None = None,
        cast: Any = None,
        watch: Any = None,
    ):
        self.host = host  # the flavour that computes on NumPy arrays
        self.device = device  # where new tensors are made
        self.recording = recording
        self.default_dtype = default_dtype  # of Python floats
        self.levels = levels  # the transforms that run, the innermost last; see func/levels.py
        self.below = below  # do tapes of lower levels record? None: as this one
        self.cast = cast  # what autocast puts before every primitive; see amp/autocast.py
        self.watch = watch  # what looks at every result for NaN; see anomaly.py
        self.route()

    def route(self) -> None:
        self._switched: dict[tuple, Mode] = {}  # (recording, below, is autocast off?) -> this mode with these switches
        # (primitive, args, keywords) -> its result, instead of `apply`; None, as nearly always: nothing
        self.detour: Any = self.watch or self.cast or (self.levels[-1].apply if self.levels else None)

    def but(self, **changes: Any) -> Mode:
        if changes.keys() <= self.SWITCHES and changes.get("cast") is None:  # of those a dozen at most, each made once
            recording, below = changes.get("recording", self.recording), changes.get("below", self.below)
            key = recording, below, "cast" in changes or self.cast is None
            if key not in self._switched:
                self._switched[key] = made = self._changed(changes)
                made._switched = self._switched
            return self._switched[key]
        return self._changed(changes)

    def _changed(self, changes: dict[str, Any]) -> Mode:
        return Mode(**{name: changes.get(name, getattr(self, name)) for name in self.FIELDS})

    @property
    def plain(self) -> Mode:
        """This mode without autocast."""
        return self.but(cast=None)


INITIAL = Mode(get_backend("numba"), get_backend("numba"), True, np.dtype(np.float32))
MODE: ContextVar[Mode] = ContextVar("minigrad mode", default=INITIAL)


class _Setting(ContextDecorator):
    """Context manager and decorator that changes the mode of this thread and context."""

    def __init__(self, **changes: Any):
        self.changes = changes
        self.tokens: list = []

    def __enter__(self) -> None:
        self.tokens.append(MODE.set(MODE.get().but(**self.changes)))

    def __exit__(self, *error: Any) -> None:
        MODE.reset(self.tokens.pop())

    def _recreate_cm(self) -> _Setting:
        return type(self)(**self.changes) if type(self) is _Setting else type(self)()


class no_grad(_Setting):
    """``with no_grad():`` or ``@no_grad()``: compute without recording."""

    def __init__(self) -> None:
        super().__init__(recording=False)


class enable_grad(_Setting):
    """``with enable_grad():`` records again inside a no_grad block."""

    def __init__(self) -> None:
        super().__init__(recording=True)


class set_grad_enabled(_Setting):
    """Recording on or off, by a flag: as a context manager, or at once as a call."""

    def __init__(self, mode: bool) -> None:
        super().__init__(recording=bool(mode))
        self.before = MODE.get()
        MODE.set(self.before.but(recording=bool(mode)))

    def __enter__(self) -> None:
        self.tokens.append(None)

    def __exit__(self, *error: Any) -> None:
        self.tokens.pop()
        MODE.set(MODE.get().but(recording=self.before.recording))


def taping(recording: bool) -> _Setting:
    """Recording on or off for gradients taken inside a function transform; what surrounds it records as before."""
    mode = MODE.get()
    return _Setting(recording=recording, below=mode.recording if mode.below is None else mode.below, cast=None)


def is_grad_enabled() -> bool:
    return MODE.get().recording


def use_backend(name: str | Backend) -> _Setting:
    """``with use_backend("numpy"):`` compute on host arrays with this flavour, in this thread and context."""
    backend = get_backend(name)
    if backend.array is np.ndarray:
        return _Setting(host=backend, device=backend)
    return _Setting(device=backend)


def _set(**changes: Any) -> None:
    """Change the process-wide mode, which every thread starts from, and this context's own if it has one."""
    for name, value in changes.items():
        setattr(INITIAL, name, value)
    INITIAL.route()
    if MODE.get() is not INITIAL:
        MODE.set(MODE.get().but(**changes))


def set_backend(name: str | Backend) -> None:
    """From now on, in all threads: where new tensors are made and, for a host backend, what computes on host arrays."""
    _set(**use_backend(name).changes)


def set_default_dtype(dtype: Any) -> None:
    """The dtype of tensors made from Python floats: float32 unless set."""
    dtype = dtype_of(dtype)
    if kind_of(dtype) != "f":
        raise DTypeError(f"set_default_dtype: must be a float dtype: got {dtype}.")
    _set(default_dtype=dtype)


def get_default_dtype() -> Any:
    return MODE.get().default_dtype
