"""Observers: modules that pass x on and remember its range; FakeQuantize also rounds x to the steps of the range."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..errors import ArgumentError, AxisError
from ..nn.module import Module
from ..tensor import Tensor, wrap
from .affine import fake_quantize_per_channel_affine, fake_quantize_per_tensor_affine, limits, qparams


class MinMaxObserver(Module):
    """The least and greatest value seen. calculate_qparams() -> (scale, zero_point); NaN or infinity is an error.

    >>> import minigrad as mg
    >>> watch = MinMaxObserver()
    >>> _ = watch(mg.tensor([-1.0, 0.5])), watch(mg.tensor([1.55]))
    >>> [round(float(v), 4) for v in watch.calculate_qparams()]
    [0.01, 100.0]
    """

    axis: int | None = None

    def __init__(self, dtype: Any = "uint8", symmetric: bool = False):
        super().__init__()
        limits(dtype)
        self.dtype, self.symmetric = np.dtype(dtype).name, symmetric
        self.register_buffer("min_val", wrap(np.array(np.inf, np.float32)))
        self.register_buffer("max_val", wrap(np.array(-np.inf, np.float32)))

    @property
    def seen(self) -> bool:
        """Has there been data?"""
        return (self.min_val <= self.max_val).all().item() and self.min_val.size > 0

    def _range(self, x: np.ndarray) -> tuple[Any, Any]:
        return x.min(), x.max()

    def _merged(self, low: Any, high: Any) -> tuple[Any, Any]:
        return np.minimum(low, self.min_val.numpy()), np.maximum(high, self.max_val.numpy())

    def forward(self, x: Tensor) -> Tensor:
        array = x.detach().numpy()
        if array.size:
            low, high = self._range(array)
            if not (np.isfinite(low).all() and np.isfinite(high).all()):
                raise ArgumentError(
                    f"{type(self).__name__}: the range must be finite: got {np.min(low)} to {np.max(high)}. "
                    "Look for NaN or infinity in the data."
                )
            low, high = self._merged(low, high) if self.seen else (low, high)
            self.min_val, self.max_val = (wrap(np.array(v, np.float32)) for v in (low, high))
        return x

    def calculate_qparams(self) -> tuple[np.ndarray, np.ndarray]:
        if not self.seen:
            raise ArgumentError(f"{type(self).__name__}: no data has been seen. Calibrate with some batches first.")
        return qparams(self.min_val.numpy(), self.max_val.numpy(), self.dtype, symmetric=self.symmetric)

    def extra_repr(self) -> str:
        seen = f"min_val={self.min_val.tolist()}, max_val={self.max_val.tolist()}" if self.axis is None else ""
        return ", ".join(filter(None, (f"dtype={self.dtype}", seen)))


class MovingAverageMinMaxObserver(MinMaxObserver):
    """As MinMaxObserver, with the ranges of the batches averaged: r += averaging_constant (new - r)."""

    def __init__(self, averaging_constant: float = 0.01, dtype: Any = "uint8", symmetric: bool = False):
        super().__init__(dtype, symmetric)
        if not 0 < averaging_constant <= 1:
            raise ArgumentError(f"averaging_constant: must be above 0 and at most 1: got {averaging_constant}.")
        self.averaging_constant = averaging_constant

    def _merged(self, low: Any, high: Any) -> tuple[Any, Any]:
        old_low, old_high = self.min_val.numpy(), self.max_val.numpy()
        return old_low + self.averaging_constant * (low - old_low), old_high + self.averaging_constant * (
            high - old_high
        )


class PercentileObserver(MinMaxObserver):
    """The range without the outermost values: the (100 - percentile)th to the percentile-th, averaged over batches."""

    def __init__(self, percentile: float = 99.9, dtype: Any = "uint8", symmetric: bool = False):
        super().__init__(dtype, symmetric)
        if not 50 < percentile <= 100:
            raise ArgumentError(f"PercentileObserver: percentile must be above 50 and at most 100: got {percentile}.")
        self.percentile, self.batches = percentile, 0

    def _range(self, x: np.ndarray) -> tuple[Any, Any]:
        return tuple(np.percentile(x, (100 - self.percentile, self.percentile)))

    def _merged(self, low: Any, high: Any) -> tuple[Any, Any]:
        self.batches += 1
        old_low, old_high = self.min_val.numpy(), self.max_val.numpy()
        return old_low + (low - old_low) / (self.batches + 1), old_high + (high - old_high) / (self.batches + 1)


class PerChannelMinMaxObserver(MinMaxObserver):
    """As MinMaxObserver for each index of ch_axis: scale and zero point are (C,)."""

    def __init__(self, ch_axis: int = 0, dtype: Any = "int8", symmetric: bool = True):
        super().__init__(dtype, symmetric)
        self.axis = ch_axis

    def _range(self, x: np.ndarray) -> tuple[Any, Any]:
        if not -x.ndim <= self.axis < x.ndim:  # type: ignore[operator]
            raise AxisError(f"PerChannelMinMaxObserver: ch_axis must be an axis of x {x.shape}: got {self.axis}.")
        rows = np.moveaxis(x, self.axis, 0).reshape(x.shape[self.axis], -1)  # type: ignore[index, arg-type]
        return rows.min(axis=1), rows.max(axis=1)


class FakeQuantize(Module):
    """y: x rounded to what the integers can hold, gradients straight through; the range follows x in training.

    observer: the observer that keeps the range (None: a moving average of x's range, uint8).
    """

    def __init__(self, observer: MinMaxObserver | None = None):
        super().__init__()
        self.activation_post_process = observer or MovingAverageMinMaxObserver()

    def calculate_qparams(self) -> tuple[np.ndarray, np.ndarray]:
        return self.activation_post_process.calculate_qparams()

    def forward(self, x: Tensor) -> Tensor:
        watch = self.activation_post_process
        if self.training or not watch.seen:
            watch(x)
        if not watch.seen:  # an empty batch
            return x
        scale, zero_point = watch.calculate_qparams()
        if watch.axis is None:
            return fake_quantize_per_tensor_affine(x, scale, zero_point, *limits(watch.dtype))
        return fake_quantize_per_channel_affine(x, scale, zero_point, watch.axis, *limits(watch.dtype))


class WeightFakeQuantize(FakeQuantize):
    """FakeQuantize of a weight, symmetric int8 per output: its range is always that of the present weight."""

    def __init__(self) -> None:
        super().__init__(PerChannelMinMaxObserver())

    def forward(self, x: Tensor) -> Tensor:
        watch = self.activation_post_process
        watch.min_val, watch.max_val = (wrap(np.array(sign * np.inf, np.float32)) for sign in (1, -1))
        watch(x)
        return super().forward(x)
