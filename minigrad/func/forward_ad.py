"""PyTorch's ``autograd.forward_ad``: dual numbers by hand, where `func.jvp` would take a function.

>>> import minigrad as mg
>>> from minigrad.autograd import forward_ad
>>> with forward_ad.dual_level():
...     x = forward_ad.make_dual(mg.tensor(3.0), mg.tensor(1.0))
...     forward_ad.unpack_dual(x**2).tangent.item()
6.0

A level ends with its block; what it made keeps its primal and has no tangent any more. Deviation: levels may nest.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import NamedTuple

from ..errors import DTypeError, GradError, ShapeError
from ..mode import MODE
from ..primitive import kind_of
from ..tensor import Tensor, wrap
from .forward import Dual, JvpLevel

__all__ = ["UnpackedDualTensor", "dual_level", "make_dual", "unpack_dual"]


class UnpackedDualTensor(NamedTuple):
    """A tensor and its derivative along the direction that make_dual was given; None where it depends on none."""

    primal: Tensor
    tangent: Tensor | None


@contextmanager
def dual_level() -> Iterator[JvpLevel]:
    """Within the block `make_dual` makes dual tensors, and everything computed with them carries its tangent."""
    level = JvpLevel()
    with level.entered():
        yield level


def make_dual(tensor: Tensor, tangent: Tensor, *, level: JvpLevel | None = None) -> Tensor:
    """`tensor` with the direction `tangent`, of the same shape and dtype; level: the innermost if None."""
    if level is None:
        level = next((one for one in reversed(MODE.get().levels) if isinstance(one, JvpLevel)), None)
    if level is None or level not in MODE.get().levels:
        raise GradError("make_dual: no level is open. Write it within ``with forward_ad.dual_level():``.")
    for name, t in (("tensor", tensor), ("tangent", tangent)):
        if not isinstance(t, Tensor) or kind_of(t.dtype) not in "fc":
            kind = t.dtype if isinstance(t, Tensor) else type(t).__name__
            raise DTypeError(f"make_dual: {name} must be a tensor of floats or complex numbers: got {kind}.")
    if tensor.shape != tangent.shape:
        raise ShapeError(f"make_dual: both must have one shape: tensor is {tensor.shape}, tangent {tangent.shape}.")
    if tensor.dtype != tangent.dtype:
        raise DTypeError(f"make_dual: both must have one dtype: tensor is {tensor.dtype}, tangent {tangent.dtype}.")
    return wrap(Dual(level, tensor, tangent))


def unpack_dual(tensor: Tensor, *, level: JvpLevel | None = None) -> UnpackedDualTensor:
    """(primal, tangent) of a dual tensor; (tensor, None) of any other."""
    dual = tensor.array
    if not isinstance(dual, Dual) or (level is not None and dual.level is not level):
        return UnpackedDualTensor(tensor, None)
    return UnpackedDualTensor(dual.primal, dual.tangent if dual.level in MODE.get().levels else None)
