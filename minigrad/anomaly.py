"""Where does the NaN come from? `detect_anomaly` looks at what every operation makes, forward and backward."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np
from numpy import ndarray

from .errors import DivergenceError
from .mode import MODE, _set, _Setting
from .primitive import Primitive, kind_of
from .tensor import Handle, Tensor, apply

HERE = str(Path(__file__).parent)


class Watch:
    """What goes before every primitive: it runs as it would, and what came of it is looked at."""

    def __init__(self) -> None:
        self.leaves: dict[int, tuple[Tensor, Handle]] = {}  # whose gradients are looked at too, by identity

    def end(self) -> None:
        for _, handle in self.leaves.values():
            handle.remove()
        self.leaves.clear()

    def __call__(self, prim: Primitive, args: tuple, params: dict) -> Any:
        token = MODE.set(MODE.get().but(watch=None))
        try:
            with np.errstate(all="ignore"):  # said here in more words
                result = apply(prim, *args, **params)
            line = _line_of_the_caller()
            given = next((a for a in args if isinstance(a, Tensor) and not hasattr(a.array, "level")), None)
            if given is not None:
                given.backend.settle()  # labels and indices that a GPU has not looked at yet
            for y in result if isinstance(result, tuple) else (result,):
                if _has_nan(y) and not any(map(_has_nan, args)):
                    raise DivergenceError(
                        f"{prim.name}: makes NaN of {', '.join(map(_described, args)) or 'nothing'}, in which there "
                        f"is none, at {line}. Keep its operands where it is defined."
                    )
                if isinstance(y, Tensor) and y.node is not None and not hasattr(y.array, "level"):
                    y.register_hook(_checked(f"the output of {prim.name}, made at {line},"))
            for x in args:
                if isinstance(x, Tensor) and x.node is not None and x.is_leaf and id(x) not in self.leaves:
                    which = f"a leaf of shape {x.shape}, first used at {line},"
                    self.leaves[id(x)] = x, x.register_hook(_checked(which))
            return result
        finally:
            MODE.reset(token)


def _checked(which: str) -> Any:
    """A hook: by the time it runs, what uses the tensor has had its turn."""

    def check(g: Tensor) -> None:
        if _has_nan(g):
            raise DivergenceError(
                f"backward: the gradient for {which} holds NaN, and none that came later did. What takes this tensor "
                f"has an infinite or undefined slope there: 0 * inf, or inf - inf."
            )

    return check


def _has_nan(x: Any) -> bool:
    array = getattr(x, "array", x)
    if isinstance(array, float):
        return array != array
    if hasattr(array, "level") or not hasattr(array, "dtype") or kind_of(array.dtype) not in "fc":
        return False
    return bool((array != array).any())


def _described(x: Any) -> str:
    array = getattr(x, "array", x)
    if not hasattr(array, "shape") or hasattr(array, "level"):
        return repr(array) if isinstance(array, (int, float, complex)) else type(array).__name__
    values = array if type(array) is ndarray else x.numpy()
    span = f" from {values.min():.4g} to {values.max():.4g}" if values.size and values.dtype.kind in "iuf" else ""
    return f"{values.dtype}{values.shape}{span}"


def _line_of_the_caller() -> str:
    """The file and line, outside minigrad, that is running."""
    frame = sys._getframe(1)
    while frame.f_back is not None and frame.f_code.co_filename.startswith((HERE, "<string>")):
        frame = frame.f_back
    return f"{frame.f_code.co_filename}:{frame.f_lineno}"


class detect_anomaly(_Setting):
    """``with detect_anomaly():`` or as a decorator: a NaN, where it first appears, is an error.

    Forward it names the operation, its operands and the line; backward the operation whose gradient it is, and the line
    that ran it. A label or index out of range, which a GPU notices late, is an error at its call. Every operation is
    looked at, which costs time: for looking, not for training. Infinity is no error: masks are made of it.
    PyTorch's looks at gradients only.

    >>> import minigrad as mg
    >>> with mg.autograd.detect_anomaly():
    ...     mg.log(mg.tensor([1.0, -1.0]))
    Traceback (most recent call last):
        ...
    minigrad.errors.DivergenceError: log: makes NaN of float32(2,) from -1 to 1, ...
    """

    def __init__(self, check_nan: bool = True):
        super().__init__(watch=Watch() if check_nan else None)

    def __exit__(self, *error: Any) -> None:
        super().__exit__(*error)
        if self.changes["watch"] is not None:
            self.changes["watch"].end()

    def _recreate_cm(self) -> detect_anomaly:
        return detect_anomaly(self.changes["watch"] is not None)


def set_detect_anomaly(mode: bool, check_nan: bool = True) -> None:
    """`detect_anomaly` from here on, in all threads, or no longer."""
    if (former := MODE.get().watch) is not None:
        former.end()
    _set(watch=Watch() if mode and check_nan else None)


def is_anomaly_enabled() -> bool:
    return MODE.get().watch is not None
