"""Convolutions (cross-correlations, as everywhere in deep learning) and their transposes."""

from __future__ import annotations

from typing import Any

from ..errors import ArgumentError, ShapeError
from ..tensor import Tensor
from . import functional as F
from .functional.checks import sizes
from .functional.conv import same_padding
from .linear import default_fill, positive
from .module import Module, made


class _Convolution(Module):
    """What convolutions and their transposes share: options, parameters, repr. `axes` spatial axes."""

    axes: int
    modes: tuple[str, ...] = ("zeros",)
    output_padding: tuple[int, ...]

    def _set_up(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: Any,
        stride: Any,
        padding: Any,
        dilation: Any,
        groups: int,
        padding_mode: str,
    ) -> None:
        who, n = type(self).__name__, self.axes
        positive(who, in_channels=in_channels, out_channels=out_channels, groups=groups)
        for name, size in (("in_channels", in_channels), ("out_channels", out_channels)):
            if size % groups:
                raise ArgumentError(f"{who}: groups must divide {name}: got groups={groups}, {name}={size}.")
        if padding_mode not in self.modes:
            raise ArgumentError(f"{who}: padding_mode must be {' or '.join(self.modes)}: got {padding_mode!r}.")
        self.in_channels, self.out_channels = in_channels, out_channels
        self.groups, self.padding_mode = groups, padding_mode
        self.kernel_size = sizes(kernel_size, n, who, "kernel_size")
        self.stride, self.dilation = sizes(stride, n, who, "stride"), sizes(dilation, n, who, "dilation")
        self.padding: Any = padding if isinstance(padding, str) else sizes(padding, n, who, "padding", 0)
        self.output_padding = (0,) * n

    def _make(self, rows: int, columns: int, bias: bool, device: Any, dtype: Any) -> None:
        """The parameters: weight (rows, columns, *kernel_size), bias (out_channels,)."""
        self.weight = made((rows, columns, *self.kernel_size), device, dtype)
        self.bias = made((self.out_channels,), device, dtype) if bias else None
        self.reset_parameters()

    def reset_parameters(self) -> None:
        default_fill(self.weight, self.bias)

    def extra_repr(self) -> str:
        text = f"{self.in_channels}, {self.out_channels}, kernel_size={self.kernel_size}, stride={self.stride}"
        text += f", padding={self.padding}" if self.padding != (0,) * self.axes else ""
        text += f", dilation={self.dilation}" if self.dilation != (1,) * self.axes else ""
        text += f", output_padding={self.output_padding}" if self.output_padding != (0,) * self.axes else ""
        text += f", groups={self.groups}" if self.groups != 1 else ""
        text += ", bias=False" if self.bias is None else ""
        return text + (f", padding_mode={self.padding_mode}" if self.padding_mode != "zeros" else "")


class _Conv(_Convolution):
    modes = ("zeros", "reflect", "replicate", "circular")

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: Any,
        stride: Any = 1,
        padding: Any = 0,
        dilation: Any = 1,
        groups: int = 1,
        bias: bool = True,
        padding_mode: str = "zeros",
        device: Any = None,
        dtype: Any = None,
    ):
        super().__init__()
        self._set_up(in_channels, out_channels, kernel_size, stride, padding, dilation, groups, padding_mode)
        if isinstance(padding, str):
            who = type(self).__name__
            if padding not in ("same", "valid"):
                raise ArgumentError(f"{who}: padding must be 'same', 'valid' or numbers: got {padding!r}.")
            if padding == "same":
                same_padding(self.kernel_size, self.dilation, self.stride, who)  # refuses a stride
        self._make(out_channels, in_channels // groups, bias, device, dtype)

    def _frame(self) -> list[int]:
        """The padding as functional.pad takes it: (before, after) of the last axis first."""
        if self.padding == "same":
            pairs = same_padding(self.kernel_size, self.dilation, self.stride, type(self).__name__)
        else:
            pairs = [(p, p) for p in ((0,) * self.axes if self.padding == "valid" else self.padding)]
        return [v for pair in reversed(pairs) for v in pair]

    def _hint(self, x: Tensor) -> str:
        """What to do about channels that come last, or not at all."""
        if x.shape[-1] == self.in_channels:
            order = [*range(x.ndim - self.axes - 1), x.ndim - 1, *range(x.ndim - self.axes - 1, x.ndim - 1)]
            return f" Channels come before the places: x.permute({', '.join(map(str, order))})."
        if x.ndim == self.axes + 1 and self.in_channels == 1:
            return f" Of a batch without a channel axis, pass x[:, None], {(x.shape[0], 1, *x.shape[1:])}."
        return ""

    def forward(self, x: Tensor) -> Tensor:
        function = getattr(F, f"conv{self.axes}d")
        if x.ndim in (self.axes + 1, self.axes + 2) and x.shape[-self.axes - 1] != self.in_channels:
            raise ShapeError(
                f"{type(self).__name__}: x must have in_channels={self.in_channels} channels at axis "
                f"{x.ndim - self.axes - 1}: got shape {x.shape}.{self._hint(x)}"
            )
        if self.padding_mode == "zeros":
            return function(x, self.weight, self.bias, self.stride, self.padding, self.dilation, self.groups)
        x = F.pad(x, self._frame(), mode=self.padding_mode)
        return function(x, self.weight, self.bias, self.stride, 0, self.dilation, self.groups)


class Conv1d(_Conv):
    """y[b, o, i] = bias[o] + sum over c, k of weight[o, c, k] x[b, c, i stride + k dilation - padding].

    x: (B, C, W) or (C, W); weight: (O, C/groups, KW);
    y: (B, O, OW), OW = (W + 2 padding - dilation (KW - 1) - 1) // stride + 1.
    padding: an int, 'same' (stride 1 only) or 'valid'; padding_mode: zeros, reflect, replicate, circular.
    groups: the channels in that many independent groups. Starts uniform on +-1 / sqrt(C/groups KW).

    >>> import minigrad as mg
    >>> from minigrad import nn
    >>> nn.Conv1d(16, 33, 3, stride=2)(mg.ones(20, 16, 50)).shape
    (20, 33, 24)
    """

    axes = 1


class Conv2d(_Conv):
    """y[b, o, i, j] = bias[o] + sum over c, k, l of weight[o, c, k, l] x[b, c, i stride + k dilation - padding, ...].

    x: (B, C, H, W) or (C, H, W); weight: (O, C/groups, KH, KW); y: (B, O, OH, OW), lengths as in Conv1d along each
    axis. Options are ints or pairs (rows, columns), and as in Conv1d. LeCun et al. 1998, Proc. IEEE 86.

    >>> import minigrad as mg
    >>> from minigrad import nn
    >>> nn.Conv2d(3, 8, 3, padding=1)(mg.ones(2, 3, 28, 28)).shape
    (2, 8, 28, 28)
    """

    axes = 2


class Conv3d(_Conv):
    """As Conv2d with three spatial axes. x: (B, C, D, H, W) or (C, D, H, W); weight: (O, C/groups, KD, KH, KW).

    >>> import minigrad as mg
    >>> from minigrad import nn
    >>> nn.Conv3d(2, 4, (1, 3, 3))(mg.ones(1, 2, 4, 8, 8)).shape
    (1, 4, 4, 6, 6)
    """

    axes = 3


class _ConvTranspose(_Convolution):
    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: Any,
        stride: Any = 1,
        padding: Any = 0,
        output_padding: Any = 0,
        groups: int = 1,
        bias: bool = True,
        dilation: Any = 1,
        padding_mode: str = "zeros",
        device: Any = None,
        dtype: Any = None,
    ):
        super().__init__()
        if isinstance(padding, str):
            raise ArgumentError(f"{type(self).__name__}: padding must be numbers: got {padding!r}.")
        self._set_up(in_channels, out_channels, kernel_size, stride, padding, dilation, groups, padding_mode)
        self.output_padding = sizes(output_padding, self.axes, type(self).__name__, "output_padding", 0)
        self._make(in_channels, out_channels // groups, bias, device, dtype)

    def forward(self, x: Tensor, output_size: Any = None) -> Tensor:
        extra = self.output_padding
        if output_size is not None:
            least = [
                (m - 1) * s - 2 * p + d * (k - 1) + 1
                for m, s, p, d, k in zip(
                    x.shape[-self.axes :], self.stride, self.padding, self.dilation, self.kernel_size
                )
            ]
            wanted = tuple(output_size)[-self.axes :]
            extra = tuple(w - m for w, m in zip(wanted, least))
            if len(wanted) != self.axes or any(not 0 <= e < s for e, s in zip(extra, self.stride)):
                most = [m + s - 1 for m, s in zip(least, self.stride)]
                raise ShapeError(
                    f"{type(self).__name__}: output_size must be from {least} to {most} for x {x.shape}: "
                    f"got {output_size}."
                )
        function = getattr(F, f"conv_transpose{self.axes}d")
        return function(x, self.weight, self.bias, self.stride, self.padding, extra, self.groups, self.dilation)


class ConvTranspose1d(_ConvTranspose):
    """The gradient of Conv1d for its input, as a layer. x: (B, C, W); weight: (C, O/groups, KW); y: (B, O, OW).

    OW = (W - 1) stride - 2 padding + dilation (KW - 1) + output_padding + 1.

    >>> import minigrad as mg
    >>> from minigrad import nn
    >>> nn.ConvTranspose1d(4, 2, 3, stride=2)(mg.ones(1, 4, 5)).shape
    (1, 2, 11)
    """

    axes = 1


class ConvTranspose2d(_ConvTranspose):
    """The gradient of Conv2d for its input, as a layer.
    x: (B, C, H, W); weight: (C, O/groups, KH, KW); y: (B, O, OH, OW).

    Lengths as in ConvTranspose1d. Zeiler et al. 2010, Deconvolutional networks, CVPR.

    >>> import minigrad as mg
    >>> from minigrad import nn
    >>> nn.ConvTranspose2d(4, 2, 3, stride=2, padding=1, output_padding=1)(mg.ones(1, 4, 5, 5)).shape
    (1, 2, 10, 10)
    """

    axes = 2


class ConvTranspose3d(_ConvTranspose):
    """The gradient of Conv3d for its input, as a layer. x: (B, C, D, H, W); weight: (C, O/groups, KD, KH, KW).

    >>> import minigrad as mg
    >>> from minigrad import nn
    >>> nn.ConvTranspose3d(2, 1, 2, stride=2)(mg.ones(1, 2, 3, 3, 3)).shape
    (1, 1, 6, 6, 6)
    """

    axes = 3
