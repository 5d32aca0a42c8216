"""Several devices of one array library: ``cupy:1`` is a backend that does all its work on device 1.

An array says which device it is on. As long as only one device is in use nobody asks; once another is (`in_use`), the
backend of an array is that of its device. Device 0 is called "cupy".
"""

from __future__ import annotations

import os
from collections.abc import Callable
from types import ModuleType
from typing import Any

import numpy as np

from ..errors import BackendError, MinigradError
from ..primitive import Primitive
from .base import Backend


def index_of(array: Any) -> int:
    """The number of the device that holds an array of the library."""
    return int(array.device.id)


AT_ONCE = "CUDA_LAUNCH_BLOCKING"  # PyTorch's word: every launch is waited for, so that errors stand at their lines
NOTICED = (
    "Noticed when the host next waited for the GPU, perhaps lines after the call: inside mg.autograd.detect_anomaly(), "
    f"or with {AT_ONCE}=1, it is raised by the call itself."
)
spread = False  # are arrays on more than one device?


class Devices(Backend):
    """A backend whose library has several devices; by itself it stands for the current one."""

    defers = True

    def __init__(self, name: str, xp: Any, array: type):
        super().__init__(name, xp, array)
        self.numbered: dict[int, OnDevice] = {}
        self.pending: list[tuple[Any, Callable]] = []  # see `later`

    def later(self, bounds: Any, check: Callable[[Any, Any], None]) -> None:
        """check(low, high) of the two numbers in `bounds`, when the host next waits for the device: a wrong label is an
        error, if some lines late, and no step waits to find out. While a graph is recorded nothing is looked at."""
        if self.xp.cuda.get_current_stream().is_capturing():
            return
        self.pending.append((bounds, check))
        if len(self.pending) > 1000 or os.environ.get(AT_ONCE) == "1":
            self.settle()

    def settle(self) -> None:
        """Look at what `later` has put off."""
        pending, self.pending = self.pending, []
        for bounds, check in pending:
            with self.xp.cuda.Device(int(bounds.device.id)):
                low, high = self.xp.asnumpy(bounds).tolist()
            try:
                check(low, high)
            except MinigradError as error:
                raise type(error)(f"{error} {NOTICED}") from None

    def waits(self, who: str) -> None:
        """To be called before waiting for the device: an error while a graph is recorded, when nothing runs."""
        if self.xp.cuda.get_current_stream().is_capturing():
            raise BackendError(f"backend {self.name}: {who} waits for the device while the stream is capturing.")

    def count(self) -> int:
        return int(self.xp.cuda.runtime.getDeviceCount())

    def in_use(self) -> None:
        """From now on arrays are asked for their device."""
        global spread
        self.several = spread = True

    def here(self) -> Backend:
        """The backend of the current device."""
        return self.on(int(self.xp.cuda.runtime.getDevice())) if self.several else self

    def on(self, index: int) -> Backend:
        if not 0 <= index < self.count():
            have = "one device, 0" if self.count() == 1 else f"devices 0 to {self.count() - 1}"
            raise BackendError(f"backend {self.name}: there is no device {index}: it has {have}.")
        if index == 0 and not self.several:
            return self
        self.in_use()
        if index not in self.numbered:
            self.numbered[index] = OnDevice(self, index)
        return self.numbered[index]

    def of(self, array: Any) -> Backend:
        return self.on(index_of(array))

    def take(self, array: Any, own: Backend) -> Any:
        if isinstance(array, self.array):  # from another device of the same library
            return self.xp.array(array)
        return super().take(array, own)

    def holds(self, array: Any) -> bool:
        return isinstance(array, self.array) and (
            not self.several or index_of(array) == int(self.xp.cuda.runtime.getDevice())
        )


class OnDevice(Backend):
    """The same library on one of its devices: every call is made with that device current."""

    several = defers = True

    def __init__(self, base: Devices, index: int):
        self.base, self.index = base, index
        super().__init__(f"{base.name}:{index}" if index else base.name, Guarded(base.xp, self.active), base.array)

    def resolve(self, p: Primitive) -> Callable:
        run = p.impl.get(self.base) or self.base.resolve(p)
        p.impl[self] = guarded(run, self.active)
        return p.impl[self]

    def on(self, index: int) -> Backend:
        return self.base.on(index)

    def of(self, array: Any) -> Backend:
        return self.base.of(array)

    def holds(self, array: Any) -> bool:
        return isinstance(array, self.array) and index_of(array) == self.index

    def take(self, array: Any, own: Backend) -> Any:
        with self.active():
            return self.base.take(array, own)

    def asarray(self, data: Any, dtype: Any = None, copy: bool | None = None) -> Any:
        with self.active():
            if isinstance(data, self.array) and not self.holds(data):
                data = self.base.xp.array(data)
            return self.base.asarray(data, dtype, copy)

    def to_host(self, array: Any) -> np.ndarray:
        with self.active():
            return self.base.to_host(array)

    def active(self) -> Any:
        return self.base.xp.cuda.Device(self.index)

    def shares_memory(self, a: Any, b: Any) -> bool:
        return self.base.shares_memory(a, b)

    def synchronize(self) -> None:
        with self.active():
            self.base.synchronize()

    def later(self, bounds: Any, check: Callable[[Any, Any], None]) -> None:
        with self.active():
            self.base.later(bounds, check)

    def settle(self) -> None:
        self.base.settle()

    def computes_halves(self, p: Primitive) -> bool:
        return self.base.computes_halves(p)


def guarded(function: Callable, active: Callable[[], Any]) -> Callable:
    def run(*args: Any, **kwargs: Any) -> Any:
        with active():
            return function(*args, **kwargs)

    return run


class Guarded:
    """The functions of a library, or of a module of it, with one device current."""

    def __init__(self, library: Any, active: Callable[[], Any]):
        self._library, self._active = library, active

    def __getattr__(self, name: str) -> Any:
        value = getattr(self._library, name)
        if isinstance(value, ModuleType):
            value = Guarded(value, self._active)
        elif callable(value) and not isinstance(value, type):
            value = guarded(value, self._active)
        self.__dict__[name] = value
        return value
