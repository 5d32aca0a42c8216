"""What a backend is, and the registry.

A backend says which array library computes (`xp`), which array type is its own, how data gets in and out, and which
callable implements a primitive: a registered kernel whose `when` holds, else the library's function of that name, else
the primitive's reference forward. Third parties register theirs with `register`, or with an entry point in the group
``minigrad.backends`` that names a function returning a `Backend`.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from contextlib import nullcontext
from functools import partial
from typing import Any

import numpy as np

from .. import halves
from ..errors import BackendError
from ..primitive import DECLARED, PRIMITIVES, Primitive


class Backend:
    """An array library as minigrad uses it. Subclass, or pass the fields."""

    several = False  # are arrays on more than one of its devices? See devices.py
    defers = False  # are looks at values put off until the host reads one anyway? See Devices.later

    def __init__(self, name: str, xp: Any, array: type):
        self.name, self.xp, self.array = name, xp, array
        self.library = xp  # what forwards are given
        self.F = Functions(self)
        self.rules: dict[Callable, Callable] | None = None  # gradient rule -> a faster function that does the same

    def __repr__(self) -> str:
        return f"<backend {self.name}>"

    # -- data ------------------------------------------------------------------------------------------------------
    def asarray(self, data: Any, dtype: Any = None, copy: bool | None = None) -> Any:
        """`data` (host array, own array, nested lists) as an array of this backend."""
        if copy:
            return self.xp.array(data, dtype=dtype)
        return self.xp.asarray(data, dtype=dtype)

    def to_host(self, array: Any) -> np.ndarray:
        return np.asarray(array)

    def shares_memory(self, a: Any, b: Any) -> bool:
        """True if writing to one may change the other; bounds are enough."""
        return bool(self.xp.may_share_memory(a, b))

    def holds(self, array: Any) -> bool:
        """Is this array where the backend computes?"""
        return isinstance(array, self.array)

    def take(self, array: Any, own: Backend) -> Any:
        """The array of another backend, `own`, as one of this."""
        return self.asarray(own.to_host(array))

    def on(self, index: int) -> Backend:
        """The backend that computes on one of several devices."""
        if index:
            raise BackendError(f"backend {self.name}: there is no device {index}: it has one, 0.")
        return self

    def of(self, array: Any) -> Backend:
        """The backend of the device that holds the array."""
        return self

    def later(self, bounds: Any, check: Callable[[Any, Any], None]) -> None:
        """check(low, high) of the two numbers in `bounds`; where the backend `defers`, when the host next waits."""
        check(*self.to_host(bounds).tolist())

    def settle(self) -> None:
        """Look at what `later` has put off."""

    def active(self) -> Any:
        """A context manager in which operators on this backend's arrays run where the arrays are."""
        return nullcontext()

    def synchronize(self) -> None:
        """Wait until all work handed to the device is done; the host's is when the call returns."""

    # -- primitives --------------------------------------------------------------------------------------------------
    def resolve(self, p: Primitive) -> Callable:
        """The callable for `p` on raw arrays, found once."""
        kernels, run = p.kernels.get(self.name), self.fallback(p)
        if halves.seen and not self.computes_halves(p):
            run = halves.rounding(p, run, lambda *arrays, **params: p.impl[self](*arrays, **params))
        p.impl[self] = run = _choosing(p, kernels, run) if kernels else run
        return run

    def computes_halves(self, p: Primitive) -> bool:
        """Does the library itself compute p on float16 and bfloat16 in float32, rounding once? See halves.py."""
        return False

    def fallback(self, p: Primitive) -> Callable:
        if p.inline and not p.defaults and not p.replaces and (ufunc := getattr(self.xp, p.name, None)):
            return ufunc
        library, forward = self.F if p.fused else self.library, p.forward
        if not p.checked:
            return partial(forward, library)

        def run(*arrays: Any, **params: Any) -> Any:
            p.shape(p.name, *arrays, **params)
            return forward(library, *arrays, **params)

        return run


class Functions:
    """`F` for raw arrays: every primitive as the backend's callable, resolved at first use."""

    def __init__(self, backend: Backend):
        self._backend = backend
        DECLARED.append(lambda p: self.__dict__.pop(p.name, None))

    def __getattr__(self, name: str) -> Callable:
        p = PRIMITIVES.get(name)
        if p is None:
            raise AttributeError(f"F.{name}: there is no primitive of that name")
        run = p.impl.get(self._backend) or self._backend.resolve(p)
        self.__dict__[name] = run
        return run

    def zeros(self, *, shape: tuple, dtype: Any, like: Any = None) -> Any:
        return self._backend.xp.zeros(shape, dtype)

    def ones(self, *, shape: tuple, dtype: Any) -> Any:
        return self._backend.xp.ones(shape, dtype)


BROKEN: list[str] = []  # why kernels could not be loaded
REFUSED = (
    AttributeError,
    TypeError,
    IndexError,
    ValueError,
)  # `when` met a Python number, or an axis that is not there


def _choosing(p: Primitive, kernels: list, fallback: Callable) -> Callable:
    """A callable that runs the newest kernel whose `when` admits the call, and the fallback if none does."""
    run = fallback
    for when, load in kernels:
        run = _choice(p, when, load, run)
    return run


def _choice(p: Primitive, when: Callable, load: Callable, otherwise: Callable) -> Callable:
    kernel: Any = None
    checked = getattr(when, "checks_shapes", False)

    def run(*arrays: Any, **params: Any) -> Any:
        nonlocal kernel
        try:
            admitted = when(*arrays, **params)
        except REFUSED:  # the reference will explain what is wrong with the call, if anything is
            admitted = False
        if not admitted:
            return otherwise(*arrays, **params)
        if not checked:
            p.shape(p.name, *arrays, **params)  # compiled kernels check no bounds: this does
        kernel = kernel or load_kernel(load, otherwise)
        return kernel(*arrays, **params)

    if smallest := getattr(when, "smallest", 0):  # elements of the first two, below which it refuses at once
        return _written_choice(p, smallest, when, load, otherwise)
    if getattr(when, "for_several", False):  # it refuses at once where none of the variadic inputs is given
        return _several_pass(p, run, otherwise)
    return run


def _written_choice(p: Primitive, smallest: int, when: Callable, load: Callable, otherwise: Callable) -> Callable:
    """`run` of `_choice`, with `otherwise` for small arrays after one comparison. Written out, for collecting **params
    and handing them on takes half as long as a small reduction; for softmax it is::

        def choose(x, *, axis=_axis):
            if getattr(x, "size", 1) < SMALLEST:
                return OTHERWISE(x, axis=axis)
            try:
                admitted = WHEN(x, axis=axis)
            except REFUSED:
                admitted = False
            if not admitted:
                return OTHERWISE(x, axis=axis)
            return (KERNEL or LOADED())(x, axis=axis)

    The capitals are what stands outside: no parameter is written so.
    """
    head = [n + "=None" * (n in p.optional) for n in p.inputs] + ["*"] * bool(p.defaults)
    head += [k if v is p.signature.empty else f"{k}=_{k}" for k, v in p.defaults.items()]
    given = ", ".join([*p.inputs, *(f"{k}={k}" for k in p.defaults)])
    small = " and ".join(f'getattr({n}, "size", 1) < SMALLEST' for n in p.inputs[:2])  # a Python number has none
    lines = [
        f"def choose({', '.join(head)}):",
        f"    if {small}:",
        f"        return OTHERWISE({given})",
        "    try:",
        f"        admitted = WHEN({given})",
        "    except REFUSED:",
        "        admitted = False",
        "    if not admitted:",
        f"        return OTHERWISE({given})",
        *([] if getattr(when, "checks_shapes", False) else [f"    SHAPE(NAME, {given})"]),
        f"    return (KERNEL or LOADED())({given})",
    ]
    scope: dict[str, Any] = {"SMALLEST": smallest, "WHEN": when, "OTHERWISE": otherwise, "REFUSED": REFUSED}
    scope |= {"SHAPE": p.shape, "NAME": p.name, "KERNEL": None, **{f"_{k}": v for k, v in p.defaults.items()}}

    def loaded() -> Any:
        scope["KERNEL"] = load_kernel(load, otherwise)
        return scope["KERNEL"]

    scope["LOADED"] = loaded
    exec("\n".join(lines), scope)
    return scope["choose"]


def _several_pass(p: Primitive, run: Callable, otherwise: Callable) -> Callable:
    """`otherwise` where none of the variadic inputs is given, in getitem the arrays of indices; else `run`."""
    *first, several = p.inputs
    head = [*first, f"*{several}", *(k if v is p.signature.empty else f"{k}=_{k}" for k, v in p.defaults.items())]
    params = [f"{k}={k}" for k in p.defaults]
    some, none = ", ".join([*first, f"*{several}", *params]), ", ".join([*first, *params])
    scope = {"RUN": run, "OTHERWISE": otherwise, **{f"_{k}": v for k, v in p.defaults.items()}}
    exec(f"def choose({', '.join(head)}):\n    return RUN({some}) if {several} else OTHERWISE({none})", scope)
    return scope["choose"]  # type: ignore[return-value]


def load_kernel(load: Callable, otherwise: Any = None) -> Any:
    """load(); where that fails (no Numba, or a broken one) `otherwise`, with one warning."""
    try:
        return load()
    except Exception as error:
        message = f"the kernels cannot be loaded, the NumPy reference serves: {type(error).__name__}: {error}"
        if message not in BROKEN:
            BROKEN.append(message)
            warnings.warn(message, RuntimeWarning, stacklevel=2)
        return otherwise


# ---- registry ------------------------------------------------------------------------------------------------------

_BACKENDS: dict[str, Backend] = {}  # those in use
_FACTORIES: dict[str, Callable[[], Backend]] = {}  # those that can be made when asked for
_BY_TYPE: dict[type, Backend] = {}


def register(backend: Backend | Callable[[], Backend], name: str | None = None) -> None:
    """Make a backend known. A function (with `name`) is called at first use and may raise BackendError with the
    reason."""
    if isinstance(backend, Backend):
        _BACKENDS[backend.name] = backend
        register_arrays(backend)
    else:
        assert name is not None
        _FACTORIES[name] = backend


def register_arrays(backend: Backend) -> None:
    """Make a backend known by the type of its arrays; alone, for one that nobody is to choose by a name."""
    _BY_TYPE.setdefault(backend.array, backend)


def get_backend(name: str | Backend) -> Backend:
    """The backend of that name, made if need be; "cupy:1" is that of one device, and "cuda" is PyTorch's word for
    "cupy". Raises BackendError with the reason and the names that exist."""
    if isinstance(name, Backend):
        return name
    if name[:4] == "cuda" or ":" in name:
        name, colon, index = name.partition(":")
        if colon and not index.isdecimal():
            raise BackendError(f"backend: a device is written name:number, cupy:1 for instance: got {name}:{index}.")
        found = get_backend("cupy" if name == "cuda" else name)
        return found.on(int(index)) if colon else found
    if name in _BACKENDS:
        return _BACKENDS[name]
    _find_entry_points()
    if name not in _FACTORIES:
        raise BackendError(f"backend: there is no backend {name!r}. Known: {', '.join(backend_names())}.")
    register(_FACTORIES[name]())
    return _BACKENDS[name]


def backend_names() -> list[str]:
    _find_entry_points()
    return sorted({*_BACKENDS, *_FACTORIES})


def backend_of(array: Any) -> Backend:
    """The backend whose arrays these are."""
    found = _BY_TYPE.get(type(array))
    if found is None:
        found = next((b for t, b in _BY_TYPE.items() if isinstance(array, t)), None)
        if found is None:
            raise BackendError(
                f"backend: no backend has arrays of type {type(array).__module__}.{type(array).__name__}. "
                "Convert to a NumPy array first, or register a backend for them."
            )
        _BY_TYPE[type(array)] = found
    return found.of(array) if found.several else found


def _find_entry_points() -> None:
    from importlib.metadata import entry_points  # 20 ms that importing minigrad need not wait for

    for point in entry_points(group="minigrad.backends"):
        _FACTORIES.setdefault(point.name, partial(_make, point))


def _make(point: Any) -> Backend:
    return point.load()()
