"""Pooling: the largest, the mean or the p-norm of each window, and the way back from the largest."""

from __future__ import annotations

from typing import Any

from ..errors import ArgumentError
from ..tensor import Tensor
from . import functional as F
from .functional.checks import sizes
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


class _AdaptiveMaxPool(Module):
    axes: int

    def __init__(self, output_size: Any, return_indices: bool = False):
        super().__init__()
        self.output_size, self.return_indices = output_size, return_indices

    def forward(self, x: Tensor) -> Any:
        return getattr(F, f"adaptive_max_pool{self.axes}d")(x, self.output_size, self.return_indices)

    def extra_repr(self) -> str:
        return f"output_size={self.output_size}"


class AdaptiveMaxPool1d(_AdaptiveMaxPool):
    """y[i] = the largest of x from floor(i W / OW) to ceil((i + 1) W / OW). x: (B, C, W) or (C, W).

    return_indices: also the positions of the maxima.
    """

    axes = 1


class AdaptiveMaxPool2d(_AdaptiveMaxPool):
    """Maxima over areas that cover the image evenly: output_size (OH, OW), an int for both, None to keep a length.

    >>> import minigrad as mg
    >>> from minigrad import nn
    >>> nn.AdaptiveMaxPool2d((5, None))(mg.ones(1, 64, 8, 9)).shape
    (1, 64, 5, 9)
    """

    axes = 2


class AdaptiveMaxPool3d(_AdaptiveMaxPool):
    """Maxima over boxes that cover the volume evenly. x: (B, C, D, H, W) or (C, D, H, W)."""

    axes = 3


class _FractionalMaxPool(Module):
    axes: int

    def __init__(
        self,
        kernel_size: Any,
        output_size: Any = None,
        output_ratio: Any = None,
        return_indices: bool = False,
        _random_samples: Any = None,
    ):
        super().__init__()
        who, n = type(self).__name__, self.axes
        if (output_size is None) == (output_ratio is None):
            raise ArgumentError(f"{who}: give output_size or output_ratio, one of them.")
        self.kernel_size = sizes(kernel_size, n, who, "kernel_size")
        self.output_size = None if output_size is None else sizes(output_size, n, who, "output_size")
        ratios = output_ratio if isinstance(output_ratio, (tuple, list)) else (output_ratio,) * n
        self.output_ratio = None if output_ratio is None else tuple(ratios)
        if self.output_ratio is not None and not all(0 < r < 1 for r in self.output_ratio):
            raise ArgumentError(f"{who}: output_ratio must lie between 0 and 1: got {output_ratio}.")
        self.return_indices = return_indices
        self.register_buffer("_random_samples", _random_samples)  # None: drawn at each call

    def forward(self, x: Tensor) -> Any:
        pool = getattr(F, f"fractional_max_pool{self.axes}d")
        how = (self.output_size, self.output_ratio, self.return_indices, self._random_samples)
        return pool(x, self.kernel_size, *how)


class FractionalMaxPool2d(_FractionalMaxPool):
    """The largest element of windows at random distances, so that lengths shrink by any factor, such as sqrt(2).

    x: (B, C, H, W) or (C, H, W); output_size: the new lengths, or output_ratio: as part of the old ones.
    Graham 2014, arXiv:1412.6071; see functional.fractional_max_pool2d.

    >>> import minigrad as mg
    >>> from minigrad import nn
    >>> nn.FractionalMaxPool2d(3, output_ratio=0.7)(mg.ones(1, 2, 20, 10)).shape
    (1, 2, 14, 7)
    """

    axes = 2


class FractionalMaxPool3d(_FractionalMaxPool):
    """As FractionalMaxPool2d. x: (B, C, D, H, W) or (C, D, H, W)."""

    axes = 3


class _LPPool(Module):
    axes: int

    def __init__(self, norm_type: float, kernel_size: Any, stride: Any = None, ceil_mode: bool = False):
        super().__init__()
        self.norm_type, self.kernel_size, self.stride, self.ceil_mode = norm_type, kernel_size, stride, ceil_mode

    def forward(self, x: Tensor) -> Tensor:
        pool = getattr(F, f"lp_pool{self.axes}d")
        return pool(x, float(self.norm_type), self.kernel_size, self.stride, self.ceil_mode)

    def extra_repr(self) -> str:
        return (
            f"norm_type={self.norm_type}, kernel_size={self.kernel_size}, stride={self.stride}, "
            f"ceil_mode={self.ceil_mode}"
        )


class LPPool1d(_LPPool):
    """y = (sum of x**p over each window)**(1/p), p = norm_type; p = 1 is a sum, infinity the largest |x|.

    x: (B, C, W) or (C, W). stride: kernel_size unless given. Not differentiable where a window's sum is 0.

    >>> import minigrad as mg
    >>> from minigrad import nn
    >>> nn.LPPool1d(2, 2)(mg.tensor([[[3.0, 4.0, 0.0, 2.0]]]))
    tensor([[[5., 2.]]])
    """

    axes = 1


class LPPool2d(_LPPool):
    """As LPPool1d along both axes. x: (B, C, H, W) or (C, H, W)."""

    axes = 2


class LPPool3d(_LPPool):
    """As LPPool1d along three axes. x: (B, C, D, H, W) or (C, D, H, W)."""

    axes = 3


class _MaxUnpool(Module):
    axes: int

    def __init__(self, kernel_size: Any, stride: Any = None, padding: Any = 0):
        super().__init__()
        who, n = type(self).__name__, self.axes
        self.kernel_size = sizes(kernel_size, n, who, "kernel_size")
        self.stride = self.kernel_size if stride is None else sizes(stride, n, who, "stride")
        self.padding = sizes(padding, n, who, "padding", 0)

    def forward(self, x: Tensor, indices: Tensor, output_size: Any = None) -> Tensor:
        unpool = getattr(F, f"max_unpool{self.axes}d")
        return unpool(x, indices, self.kernel_size, self.stride, self.padding, output_size)

    def extra_repr(self) -> str:
        return f"kernel_size={self.kernel_size}, stride={self.stride}, padding={self.padding}"


class MaxUnpool1d(_MaxUnpool):
    """Zeros with x at the positions that MaxPool1d(return_indices=True) gave. x, indices: (B, C, W) or (C, W).

    OW = (W - 1) stride - 2 padding + kernel_size; output_size chooses among the lengths that pool to W.

    >>> import minigrad as mg
    >>> from minigrad import nn
    >>> y, indices = nn.MaxPool1d(2, return_indices=True)(mg.tensor([[[1.0, 5.0, 3.0, 2.0]]]))
    >>> nn.MaxUnpool1d(2)(y, indices)
    tensor([[[0., 5., 3., 0.]]])
    """

    axes = 1


class MaxUnpool2d(_MaxUnpool):
    """As MaxUnpool1d for MaxPool2d. x, indices: (B, C, H, W) or (C, H, W)."""

    axes = 2


class MaxUnpool3d(_MaxUnpool):
    """As MaxUnpool1d for MaxPool3d. x, indices: (B, C, D, H, W) or (C, D, H, W)."""

    axes = 3
