"""Pooling: the largest or the mean of each window."""

from __future__ import annotations

from typing import Any

from ..tensor import Tensor
from . import functional as F
from .module import Module


class _MaxPool(Module):
    axes: int

    def __init__(
        self,
        kernel_size: Any,
        stride: Any = None,
        padding: Any = 0,
        dilation: Any = 1,
        return_indices: bool = False,
        ceil_mode: bool = False,
    ):
        super().__init__()
        self.kernel_size, self.stride = kernel_size, kernel_size if stride is None else stride
        self.padding, self.dilation = padding, dilation
        self.return_indices, self.ceil_mode = return_indices, ceil_mode

    def forward(self, x: Tensor) -> Any:
        pool = getattr(F, f"max_pool{self.axes}d")
        return pool(x, self.kernel_size, self.stride, self.padding, self.dilation, self.ceil_mode, self.return_indices)

    def extra_repr(self) -> str:
        return (
            f"kernel_size={self.kernel_size}, stride={self.stride}, padding={self.padding}, "
            f"dilation={self.dilation}, ceil_mode={self.ceil_mode}"
        )


class MaxPool1d(_MaxPool):
    """y[b, c, i] = max over k of x[b, c, i stride + k dilation - padding]; padding counts as -infinity.

    x: (B, C, W) or (C, W). stride: kernel_size unless given; ceil_mode: also the last, partial window;
    return_indices: also the positions of the maxima.

    >>> import minigrad as mg
    >>> from minigrad import nn
    >>> nn.MaxPool1d(2)(mg.tensor([[[1.0, 5.0, 3.0, 2.0]]]))
    tensor([[[5., 3.]]])
    """

    axes = 1


class MaxPool2d(_MaxPool):
    """The largest element of each window, as MaxPool1d along both axes.
    x: (B, C, H, W) or (C, H, W); y: (B, C, OH, OW).

    >>> import minigrad as mg
    >>> from minigrad import nn
    >>> nn.MaxPool2d(2)(mg.ones(1, 3, 28, 28)).shape
    (1, 3, 14, 14)
    """

    axes = 2


class MaxPool3d(_MaxPool):
    """The largest element of each window. x: (B, C, D, H, W) or (C, D, H, W)."""

    axes = 3


class AvgPool1d(Module):
    """y = the mean of each window. x: (B, C, W) or (C, W).

    count_include_pad: zeros of the padding count in the mean; ceil_mode: also the last, partial window.

    >>> import minigrad as mg
    >>> from minigrad import nn
    >>> nn.AvgPool1d(2)(mg.tensor([[[1.0, 5.0, 3.0, 2.0]]]))
    tensor([[[3. , 2.5]]])
    """

    def __init__(
        self,
        kernel_size: Any,
        stride: Any = None,
        padding: Any = 0,
        ceil_mode: bool = False,
        count_include_pad: bool = True,
    ):
        super().__init__()
        one = lambda v: v if isinstance(v, tuple) else (v,)
        self.kernel_size, self.stride = one(kernel_size), one(kernel_size if stride is None else stride)
        self.padding, self.ceil_mode, self.count_include_pad = one(padding), ceil_mode, count_include_pad

    def forward(self, x: Tensor) -> Tensor:
        return F.avg_pool1d(x, self.kernel_size, self.stride, self.padding, self.ceil_mode, self.count_include_pad)

    def extra_repr(self) -> str:
        return f"kernel_size={self.kernel_size}, stride={self.stride}, padding={self.padding}"


class _AvgPool(Module):
    axes: int

    def __init__(
        self,
        kernel_size: Any,
        stride: Any = None,
        padding: Any = 0,
        ceil_mode: bool = False,
        count_include_pad: bool = True,
        divisor_override: int | None = None,
    ):
        super().__init__()
        self.kernel_size, self.stride = kernel_size, kernel_size if stride is None else stride
        self.padding, self.ceil_mode = padding, ceil_mode
        self.count_include_pad, self.divisor_override = count_include_pad, divisor_override

    def forward(self, x: Tensor) -> Tensor:
        pool = getattr(F, f"avg_pool{self.axes}d")
        options = (self.padding, self.ceil_mode, self.count_include_pad, self.divisor_override)
        return pool(x, self.kernel_size, self.stride, *options)

    def extra_repr(self) -> str:
        return f"kernel_size={self.kernel_size}, stride={self.stride}, padding={self.padding}"


class AvgPool2d(_AvgPool):
    """y = the mean of each window. x: (B, C, H, W) or (C, H, W).
    divisor_override: divide by this instead; rest as AvgPool1d.

    >>> import minigrad as mg
    >>> from minigrad import nn
    >>> nn.AvgPool2d(2)(mg.ones(1, 3, 28, 28)).shape
    (1, 3, 14, 14)
    """

    axes = 2


class AvgPool3d(_AvgPool):
    """y = the mean of each window. x: (B, C, D, H, W) or (C, D, H, W). Options as AvgPool2d."""

    axes = 3


class _AdaptiveAvgPool(Module):
    axes: int

    def __init__(self, output_size: Any):
        super().__init__()
        self.output_size = output_size

    def forward(self, x: Tensor) -> Tensor:
        return getattr(F, f"adaptive_avg_pool{self.axes}d")(x, self.output_size)

    def extra_repr(self) -> str:
        return f"output_size={self.output_size}"


class AdaptiveAvgPool1d(_AdaptiveAvgPool):
    """y[i] = the mean of x from floor(i W / OW) to ceil((i + 1) W / OW). x: (B, C, W)."""

    axes = 1


class AdaptiveAvgPool2d(_AdaptiveAvgPool):
    """Means over areas that cover the image evenly: output_size (OH, OW), an int for both, None to keep a length.

    >>> import minigrad as mg
    >>> from minigrad import nn
    >>> nn.AdaptiveAvgPool2d(1)(mg.ones(2, 8, 7, 7)).shape
    (2, 8, 1, 1)
    """

    axes = 2


class AdaptiveAvgPool3d(_AdaptiveAvgPool):
    """Means over boxes that cover the volume evenly. x: (B, C, D, H, W)."""

    axes = 3
