"""Padding: a frame around the last one, two or three axes."""

from __future__ import annotations

from typing import Any

from ..errors import ArgumentError, ShapeError
from ..tensor import Tensor
from . import functional as F
from .module import Module


class _Pad(Module):
    """padding: an int for all sides, or (before, after) of the last axis, then of the one before it, ...; negative
    crops."""

    axes: int
    mode = "constant"

    def __init__(self, padding: Any):
        super().__init__()
        values = tuple(padding) if isinstance(padding, (tuple, list)) else (padding,) * 2 * self.axes
        if len(values) != 2 * self.axes or not all(hasattr(v, "__index__") for v in values):
            raise ArgumentError(
                f"{type(self).__name__}: padding must be an int or {2 * self.axes} ints: got {padding!r}."
            )
        self.padding = values

    def forward(self, x: Tensor) -> Tensor:
        if x.ndim not in (self.axes + 1, self.axes + 2):
            axes = ", ".join("DHW"[3 - self.axes :])
            raise ShapeError(f"{type(self).__name__}: x must be (B, C, {axes}) or (C, {axes}): got shape {x.shape}.")
        return F.pad(x, self.padding, self.mode)

    def extra_repr(self) -> str:
        return str(self.padding)


class _ConstantPad(_Pad):
    def __init__(self, padding: Any, value: float):
        super().__init__(padding)
        self.value = value

    def forward(self, x: Tensor) -> Tensor:
        return F.pad(x, self.padding, "constant", self.value)

    def extra_repr(self) -> str:
        return f"padding={self.padding}, value={self.value}"


class ConstantPad1d(_ConstantPad):
    """A frame of `value` around the last axis.

    >>> import minigrad as mg
    >>> from minigrad import nn
    >>> nn.ConstantPad1d((1, 2), 9.0)(mg.zeros(1, 2))
    tensor([[9., 0., 0., 9., 9.]])
    """

    axes = 1


class ConstantPad2d(_ConstantPad):
    """A frame of `value` around the last two axes; padding (left, right, top, bottom) or an int."""

    axes = 2


class ConstantPad3d(_ConstantPad):
    """A frame of `value` around the last three axes; padding (left, right, top, bottom, front, back) or an int."""

    axes = 3


class _ZeroPad(_Pad):
    def forward(self, x: Tensor) -> Tensor:
        return F.pad(x, self.padding)


class ZeroPad1d(_ZeroPad):
    """A frame of zeros around the last axis. padding: an int or 2 numbers, last axis first."""

    axes = 1


class ZeroPad2d(_ZeroPad):
    """A frame of zeros around the last two axes. padding: an int or 4 numbers, last axis first."""

    axes = 2


class ZeroPad3d(_ZeroPad):
    """A frame of zeros around the last three axes. padding: an int or 6 numbers, last axis first."""

    axes = 3


class ReflectionPad1d(_Pad):
    """x mirrored at the ends of the last axis; the edge is not repeated.
    x: (B, C, W) or (C, W); padding (left, right) or an int.

    >>> import minigrad as mg
    >>> from minigrad import nn
    >>> nn.ReflectionPad1d(2)(mg.arange(4.0).reshape(1, 4))
    tensor([[2., 1., 0., 1., 2., 3., 2., 1.]])
    """

    axes = 1
    mode = "reflect"


class ReflectionPad2d(_Pad):
    """x mirrored at the ends of the last two axes; the edge is not repeated.
    x: (B, C, H, W) or (C, H, W); padding (left, right, top, bottom) or an int."""

    axes = 2
    mode = "reflect"


class ReflectionPad3d(_Pad):
    """x mirrored at the ends of the last three axes; the edge is not repeated.
    x: (B, C, D, H, W) or (C, D, H, W); six numbers, last axis first, or an int."""

    axes = 3
    mode = "reflect"


class ReplicationPad1d(_Pad):
    """The edges of the last axis repeated.
    x: (B, C, W) or (C, W); padding (left, right) or an int.

    >>> import minigrad as mg
    >>> from minigrad import nn
    >>> nn.ReplicationPad1d((2, 0))(mg.arange(3.0).reshape(1, 3))
    tensor([[0., 0., 0., 1., 2.]])
    """

    axes = 1
    mode = "replicate"


class ReplicationPad2d(_Pad):
    """The edges of the last two axes repeated.
    x: (B, C, H, W) or (C, H, W); padding (left, right, top, bottom) or an int."""

    axes = 2
    mode = "replicate"


class ReplicationPad3d(_Pad):
    """The edges of the last three axes repeated.
    x: (B, C, D, H, W) or (C, D, H, W); six numbers, last axis first, or an int."""

    axes = 3
    mode = "replicate"


class CircularPad1d(_Pad):
    """The last axis continued from the other end.
    x: (B, C, W) or (C, W); padding (left, right) or an int.

    >>> import minigrad as mg
    >>> from minigrad import nn
    >>> nn.CircularPad1d(1)(mg.arange(3.0).reshape(1, 3))
    tensor([[2., 0., 1., 2., 0.]])
    """

    axes = 1
    mode = "circular"


class CircularPad2d(_Pad):
    """The last two axes continued from the other end.
    x: (B, C, H, W) or (C, H, W); padding (left, right, top, bottom) or an int."""

    axes = 2
    mode = "circular"


class CircularPad3d(_Pad):
    """The last three axes continued from the other end.
    x: (B, C, D, H, W) or (C, D, H, W); six numbers, last axis first, or an int."""

    axes = 3
    mode = "circular"
