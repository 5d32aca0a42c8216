"""The half types, float16 and bfloat16: stored in two bytes, computed with in float32.

float16 is NumPy's: 11 significant bits, up to 65504. bfloat16 has float32's range and 8 bits; it comes with the package
ml_dtypes, which is imported when it is first asked for. Arrays of either are storage: a primitive that has no kernel
for them computes in float32 and rounds its outputs once, as PyTorch's do, so that sums, products, norms and softmax
lose nothing on the way. Two different halves meet in float32.

Programs that never use a half pay nothing: the first one that appears (`in_use`) has every primitive resolved anew,
with this detour.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from importlib import import_module
from typing import Any

import numpy as np

from .errors import DTypeError
from .primitive import PRIMITIVES, Primitive, kind_of

FLOAT16, FLOAT32 = np.dtype(np.float16), np.dtype(np.float32)
WIDER = {FLOAT32, np.dtype(np.float64)}  # what comes of halves computed in float32, with integers in float64
HALVES = {FLOAT16}  # and bfloat16, once it was asked for
# Their result has the dtype that is asked for, or their bytes only move: nothing is to be computed wider.
MOVES = frozenset(("astype", "copy", "move", "alias"))
# Outputs behind the first that stay in float32: they are accumulated over many batches.
STATISTICS = frozenset(("batch_norm",))
seen = False


def bfloat16() -> np.dtype:
    """The dtype. DTypeError where ml_dtypes is missing."""
    try:
        found = np.dtype(import_module("ml_dtypes").bfloat16)
    except ImportError:
        raise DTypeError(
            "bfloat16: NumPy has it through ml_dtypes, which is not installed. "
            "pip install 'minigrad-engine[half]', or use float16."
        ) from None
    HALVES.add(found)
    in_use()
    return found


def dtype(given: Any) -> np.dtype:
    """np.dtype(given), where "bfloat16" is known."""
    if type(given) is not np.dtype:
        if given == "bfloat16":
            return bfloat16()
        given = np.dtype(given)
    if (not seen or given.kind == "V") and is_half(given):
        HALVES.add(given)
        in_use()
    return given


def is_half(given: np.dtype) -> bool:
    return given == FLOAT16 or given.name == "bfloat16"


def in_use() -> None:
    """A half has appeared: from now on primitives look for them."""
    global seen
    if (package := sys.modules.get("ml_dtypes")) is not None:  # its arrays come also where nobody asks for bfloat16()
        HALVES.add(np.dtype(package.bfloat16))
    if seen:
        return
    seen = True
    for p in PRIMITIVES.values():
        for backend in p.impl:
            backend.F.__dict__.pop(p.name, None)
        p.impl.clear()


def widened(arrays: Sequence[Any]) -> list[Any]:
    """Halves in float32, all else as it is."""
    return [a.astype(FLOAT32) if getattr(a, "dtype", None) in HALVES else a for a in arrays]


def rounding(p: Primitive, narrow: Callable, run: Callable) -> Callable:
    """`narrow`, and for halves `run` in float32 with the outputs rounded to them."""
    if p.view or p.kind == "device" or p.name in MOVES:
        return quiet(narrow) if p.name == "astype" else narrow
    kept = 1 if p.name in STATISTICS else p.outputs

    def rounded(*arrays: Any, **params: Any) -> Any:
        floats = {a.dtype for a in arrays if hasattr(a, "dtype") and kind_of(a.dtype) == "f"}
        if floats.isdisjoint(HALVES):
            return narrow(*arrays, **params)
        out = run(*widened(arrays), **params)
        if len(floats) > 1:  # they promote, at least to float32
            return out
        (half,) = floats
        with np.errstate(over="ignore", invalid="ignore"):  # beyond 65504 is infinity
            if not isinstance(out, tuple):
                return out.astype(half) if out.dtype in WIDER else out
            return tuple(o.astype(half) if i < kept and o.dtype in WIDER else o for i, o in enumerate(out))

    return rounded


def quiet(run: Callable) -> Callable:
    """`run` without NumPy's warning that a number became infinite in a half."""

    def without(*arrays: Any, **params: Any) -> Any:
        with np.errstate(over="ignore", invalid="ignore"):
            return run(*arrays, **params)

    return without
