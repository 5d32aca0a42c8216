"""Layers with int8 weights, one scale for each output, whose inputs are rounded to uint8.

Without a calibrated range (input_scale None) the input's own range is used, at each call: dynamic quantisation.
They take and give floats, and carry no gradient.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from ..errors import ArgumentError, ShapeError
from ..nn.conv import Conv1d, Conv2d
from ..nn.linear import Linear
from ..nn.module import Module
from ..tensor import Tensor, wrap
from .affine import quantize_per_channel
from .observer import PerChannelMinMaxObserver
from .products import Packed, convolved, packed, range_of

STATE = {
    "weight": np.int8,  # (O, I) or (O, C, KH, KW)
    "weight_scale": np.float32,  # (O,)
    "bias": np.float32,  # (O,) or None
    "input_scale": np.float32,  # 0-d or None
    "input_zero_point": np.int64,  # 0-d or None
    "rectified": np.bool_,  # 0-d: the layer gives max(y, 0)
}


class QuantizedLayer(Module):
    """What the quantised layers share: their state, which is that of STATE."""

    weight: Tensor
    weight_scale: Tensor
    bias: Tensor | None
    input_scale: Tensor | None
    input_zero_point: Tensor
    rectified: Tensor

    def __init__(
        self,
        weight: Any,
        weight_scale: Any,
        bias: Any = None,
        input_scale: Any = None,
        input_zero_point: Any = None,
        rectified: Any = False,
    ):
        super().__init__()
        state = (weight, weight_scale, bias, input_scale, input_zero_point, rectified)
        for (name, dtype), value in zip(STATE.items(), state):
            if value is not None:
                value = wrap(np.array(value.numpy() if isinstance(value, Tensor) else value, dtype))
            self.register_buffer(name, value)
        self._packed: tuple | None = None

    def _pack(self) -> Packed:
        """The weight as the kernel reads it, made anew when the weight has been written."""
        held = self.weight
        version = held.storage.version if held.storage is not None else 0
        if self._packed is None or self._packed[0] is not held.array or self._packed[1] != version:
            self._packed = held.array, version, packed(self._kernel().numpy())
        return self._packed[2]

    def _kernel(self) -> Tensor:
        """The weight as (O, C, KH, KW)."""
        shape = self.weight.shape
        return self.weight.reshape((*shape[:2], *(1,) * (4 - len(shape)), *shape[2:]))

    def _convolved(self, x: Tensor, **options: Any) -> Tensor:
        who = type(self).__name__
        if x.dtype.kind != "f":
            raise ArgumentError(f"{who}: x must be of floats: got {x.dtype}.")
        if self.input_scale is None:
            scale, zero_point = range_of(x, who)
        else:
            scale, zero_point = self.input_scale.item(), self.input_zero_point.item()
        return convolved(
            who,
            x,
            self._kernel(),
            self._pack,
            self.weight_scale,
            self.bias,
            scale,
            zero_point,
            rectified=self.rectified.item(),
            **options,
        )

    def __getstate__(self) -> dict:
        return {**self.__dict__, "_packed": None}

    def _words(self) -> str:
        held = "" if self.input_scale is None else f", input_scale={self.input_scale.item():.4g}"
        return f"{held}, rectified=True" if self.rectified.item() else held


class QuantizedLinear(QuantizedLayer):
    """y = x W^T + b with x (..., I) rounded to uint8 and W (O, I) to int8. Made by quantize_dynamic and convert."""

    def forward(self, x: Tensor) -> Tensor:
        o, k = self.weight.shape
        if not x.ndim or x.shape[-1] != k:
            raise ShapeError(f"QuantizedLinear: the last axis of x must be in_features={k}: got shape {x.shape}.")
        rows = x.size // k if k else 0
        y = self._convolved(x.detach().reshape((rows, k, 1, 1)))
        return y.reshape((*x.shape[:-1], o))

    def extra_repr(self) -> str:
        o, k = self.weight.shape
        return f"in_features={k}, out_features={o}, bias={self.bias is not None}{self._words()}"


class QuantizedConv2d(QuantizedLayer):
    """nn.Conv2d with x (B, C, H, W) rounded to uint8 and the weight to int8. Made by convert."""

    axes = 2

    def __init__(self, layer: Any, **state: Any):
        super().__init__(**state)
        self.stride, self.dilation = layer.stride, layer.dilation
        pairs = layer._frame()[::-1]  # of the last axis first, (before, after)
        self.frame = tuple((pairs[i + 1], pairs[i]) for i in range(0, len(pairs), 2))

    def forward(self, x: Tensor) -> Tensor:
        n, shape = self.axes, x.shape
        if x.ndim not in (n + 1, n + 2) or shape[-n - 1] != self.weight.shape[1]:
            raise ShapeError(
                f"{type(self).__name__}: x must be (B, C, ...) or (C, ...) with {n} more axes and "
                f"C={self.weight.shape[1]}: got shape {shape}."
            )
        ones = (1,) * (2 - n)
        x = x.detach().reshape((*((1,) if x.ndim == n + 1 else ()), *shape[:-n], *ones, *shape[-n:]))
        y = self._convolved(
            x,
            stride=(*ones, *self.stride),
            dilation=(*ones, *self.dilation),
            frame=(*((0, 0),) * (2 - n), *self.frame),
        )
        return y.reshape((*shape[: -n - 1], y.shape[1], *y.shape[4 - n :]))

    def extra_repr(self) -> str:
        o, c, *kernel = self.weight.shape
        text = f"{c}, {o}, kernel_size={tuple(kernel)}, stride={self.stride}, padding={self.frame}"
        return f"{text}, dilation={self.dilation}, bias={self.bias is not None}{self._words()}"


class QuantizedConv1d(QuantizedConv2d):
    """As QuantizedConv2d. x: (B, C, W) or (C, W)."""

    axes = 1


def refusal(layer: Any) -> str:
    """Why the layer stays in floats; "" if it can be quantised."""
    if type(layer) not in (Linear, Conv1d, Conv2d):
        return "no int8 form of this layer"
    if layer.weight.dtype.kind != "f" or layer.weight.dtype.itemsize < 4:
        return f"its weight is {layer.weight.dtype}"
    if not layer.weight.size:
        return "it has no weights"
    if isinstance(layer, Conv1d | Conv2d):
        if layer.groups > 1:
            return f"groups={layer.groups}"
        if layer.padding_mode != "zeros":
            return f"padding_mode={layer.padding_mode!r}"
    return ""


def quantized(layer: Any, qparams: tuple | None = None, rectified: bool = False) -> QuantizedLayer:
    """The int8 form of a Linear, Conv1d or Conv2d. qparams: (scale, zero point) of its input; None: from each input."""
    if why := refusal(layer):
        raise ArgumentError(f"quantized: {type(layer).__name__} stays in floats: {why}.")
    weight = layer.weight.detach()
    watch = PerChannelMinMaxObserver()
    watch(weight)
    scale, zero_point = watch.calculate_qparams()
    values = quantize_per_channel(weight, scale, zero_point, axis=0).values
    input_scale, input_zero_point = qparams or (None, None)
    state = {
        "weight": values,
        "weight_scale": scale,
        "bias": layer.bias,
        "input_scale": input_scale,
        "input_zero_point": input_zero_point,
        "rectified": rectified,
    }
    return from_state(layer, state)


def from_state(layer: Any, state: dict[str, Any]) -> QuantizedLayer:
    """The int8 form of a Linear, Conv1d or Conv2d with this state; of the layer only the options are taken."""
    if isinstance(layer, Linear):
        made: QuantizedLayer = QuantizedLinear(**state)
    else:
        made = (QuantizedConv1d if isinstance(layer, Conv1d) else QuantizedConv2d)(layer, **state)
    return made.to(layer.weight.device).train(layer.training)  # type: ignore[return-value]
