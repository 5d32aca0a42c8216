"""Affine quantisation, q = clip(round(x / scale) + zero_point, low, high): ranges, integers, and the fake in floats.

Names and numbers are PyTorch's: x is multiplied by 1 / scale, and rounds half to even; quantize_* add the zero point
before they round, the fake and the layers after, which differs where x / scale is halfway and the zero point odd.
Jacob et al. 2017, arXiv:1712.05877.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from ..custom import Function
from ..errors import ArgumentError, AxisError, DTypeError, ShapeError
from ..tensor import Tensor, wrap

SMALLEST_SCALE = float(np.finfo(np.float32).eps)


class QuantizedTensor(NamedTuple):
    """Integers and what they stand for: (values - zero_point) scale, along `axis` if scale is (C,).

    >>> import minigrad as mg
    >>> q = quantize_per_tensor(mg.tensor([-1.0, 0.0, 0.26]), scale=0.1, zero_point=10, dtype="uint8")
    >>> q.values.tolist(), [round(v, 3) for v in q.dequantize().tolist()]
    ([0, 10, 13], [-1.0, 0.0, 0.3])
    """

    values: Tensor
    scale: Any
    zero_point: Any
    axis: int | None = None

    def int_repr(self) -> Tensor:
        return self.values

    def dequantize(self) -> Tensor:
        """The floats, float32."""
        scale, zero_point = _along(self.values, self.scale, self.zero_point, self.axis)
        return wrap((self.values.array.astype(np.int64) - zero_point).astype(np.float32) * scale)


def _along(x: Tensor, scale: Any, zero_point: Any, axis: int | None) -> tuple[Any, Any]:
    """Scale (float32) and zero point (int64) in a shape that broadcasts with x."""
    scale = np.asarray(scale.numpy() if isinstance(scale, Tensor) else scale, np.float32)
    zero_point = np.asarray(zero_point.numpy() if isinstance(zero_point, Tensor) else zero_point)
    zero_point = np.rint(zero_point).astype(np.int64)
    if not np.isfinite(scale).all() or (scale <= 0).any():
        raise ArgumentError(f"quantize: scale must be finite and above 0: got {scale.tolist()}.")
    if axis is None:
        if scale.size != 1 or zero_point.size != 1:
            raise ShapeError(f"quantize: one scale and zero point per tensor: got {scale.shape}, {zero_point.shape}.")
        shape: tuple[int, ...] = ()
    else:
        if not -x.ndim <= axis < x.ndim:
            raise AxisError(f"quantize: axis must be one of x {x.shape}: got {axis}.")
        count = x.shape[axis]
        if scale.shape != (count,) or zero_point.shape != (count,):
            raise ShapeError(
                f"quantize: one scale and zero point for each of the {count} channels of axis {axis}: got "
                f"{scale.shape}, {zero_point.shape}."
            )
        shape = tuple(count if a == axis % x.ndim else 1 for a in range(x.ndim))
    backend = x.backend
    return backend.asarray(scale.reshape(shape)), backend.asarray(zero_point.reshape(shape))


def limits(dtype: Any) -> tuple[int, int]:
    """The lowest and highest number of uint8, int8 or int32."""
    dtype = np.dtype(dtype)
    if dtype not in (np.dtype(np.uint8), np.dtype(np.int8), np.dtype(np.int32)):
        raise DTypeError(f"quantize: dtype must be uint8, int8 or int32: got {dtype}.")
    return int(np.iinfo(dtype).min), int(np.iinfo(dtype).max)


def _steps(x: Any, scale: Any) -> Any:
    """x / scale in x's dtype, not rounded."""
    return x * (1.0 / scale).astype(x.dtype)


def _quantized(x: Any, scale: Any, zero_point: Any, axis: int | None, dtype: Any) -> QuantizedTensor:
    x = x if isinstance(x, Tensor) else wrap(np.asarray(x, np.float32))
    low, high = limits(dtype)
    s, z = _along(x, scale, zero_point, axis)
    xp = x.backend.xp
    zero = x.backend.to_host(z)
    if (zero < low).any() or (zero > high).any():
        raise ArgumentError(
            f"quantize: zero_point must be from {low} to {high} for {np.dtype(dtype)}: got {zero_point}."
        )
    if bool(x.backend.to_host(xp.isnan(x.array).any())):
        raise ArgumentError("quantize: x holds NaN, which no integer stands for.")
    steps = xp.rint(_steps(x.array, s) + z.astype(x.dtype))
    if high > 1 << 24:  # 2^31 - 1 is no float32
        steps = steps.astype(np.float64)
    q = xp.clip(steps, low, high).astype(dtype)
    return QuantizedTensor(wrap(q), scale, zero_point, axis)


def quantize_per_tensor(input: Tensor, scale: Any, zero_point: Any, dtype: Any = "uint8") -> QuantizedTensor:
    """One scale and zero point for all of x. dtype: uint8, int8 or int32. NaN is an ArgumentError."""
    return _quantized(input, scale, zero_point, None, dtype)


def quantize_per_channel(
    input: Tensor, scales: Any, zero_points: Any, axis: int, dtype: Any = "int8"
) -> QuantizedTensor:
    """A scale and zero point for each index of `axis`: scales, zero_points (C,). dtype as quantize_per_tensor."""
    return _quantized(input, scales, zero_points, axis, dtype)


def qparams(low: Any, high: Any, dtype: Any = "uint8", *, symmetric: bool = False) -> tuple[np.ndarray, np.ndarray]:
    """(scale float32, zero point int64) that cover [low, high] and 0, elementwise; as PyTorch's observers choose them.

    scale = (high - low) / (q_high - q_low), zero_point = q_low - round(low / scale); symmetric: scale =
    2 max(-low, high) / (q_high - q_low) and the zero point in the middle. A range that is not finite, or with low above
    high, is an ArgumentError.

    >>> [v.tolist() for v in qparams(-1.0, 1.55, "uint8")]
    [0.009999999776482582, 100]
    """
    q_low, q_high = limits(dtype)
    low, high = np.asarray(low, np.float32), np.asarray(high, np.float32)
    if not (np.isfinite(low).all() and np.isfinite(high).all()):
        raise ArgumentError(
            f"quantize: the range must be finite: got {np.min(low)} to {np.max(high)}. "
            "Look for NaN or infinity in the data."
        )
    if (low > high).any():
        raise ArgumentError(f"quantize: the range must not be empty: got {low.tolist()} to {high.tolist()}.")
    low, high = np.minimum(low, 0), np.maximum(high, 0)
    steps = np.float32(q_high - q_low)
    if symmetric:
        scale = np.maximum(np.maximum(-low, high) / (steps / 2), np.float32(SMALLEST_SCALE))
        return scale, np.full(scale.shape, (q_low + q_high + 1) // 2, np.int64)
    scale = np.maximum((high - low) / steps, np.float32(SMALLEST_SCALE))
    zero_point = np.clip(q_low - np.rint(low / scale), q_low, q_high)
    return scale, zero_point.astype(np.int64)


class _Fake(Function):
    """y = (q - zero_point) scale; the gradient passes where q was not clipped."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, scale: Any, zero_point: Any, low: int, high: int, axis: int | None) -> Tensor:
        xp = x.backend.xp
        s, z = _along(x, scale, zero_point, axis)
        q = xp.rint(_steps(x.array, s)) + z.astype(x.dtype)
        inside = (q >= low) & (q <= high)
        ctx.inside = wrap(inside.astype(x.dtype))
        nan = xp.isnan(x.array)
        y = (xp.clip(q, low, high) - z.astype(x.dtype)) * s.astype(x.dtype)
        return wrap(xp.where(nan, x.array, y))

    @staticmethod
    def backward(ctx: Any, g: Tensor) -> Any:
        return g * ctx.inside, None, None, None, None, None


def _checked_limits(low: int, high: int) -> None:
    if low > high:
        raise ArgumentError(f"fake_quantize: quant_min must not be above quant_max: got {low}, {high}.")


def fake_quantize_per_tensor_affine(
    input: Tensor, scale: Any, zero_point: Any, quant_min: int, quant_max: int
) -> Tensor:
    """What x becomes by quantising and back, in floats. The gradient is g inside the range and 0 outside.

    The straight-through estimator of Bengio et al. 2013, arXiv:1308.3432. NaN stays NaN.

    >>> import minigrad as mg
    >>> x = mg.tensor([0.12, 0.38, 9.0], requires_grad=True)
    >>> y = fake_quantize_per_tensor_affine(x, 0.25, 0, 0, 15)
    >>> y.sum().backward()
    >>> y.tolist(), x.grad.tolist()
    ([0.0, 0.5, 3.75], [1.0, 1.0, 0.0])
    """
    _checked_limits(quant_min, quant_max)
    return _Fake.apply(input, scale, zero_point, quant_min, quant_max, None)


def fake_quantize_per_channel_affine(
    input: Tensor, scale: Any, zero_point: Any, axis: int, quant_min: int, quant_max: int
) -> Tensor:
    """As fake_quantize_per_tensor_affine with scale and zero_point (C,) along `axis`."""
    _checked_limits(quant_min, quant_max)
    return _Fake.apply(input, scale, zero_point, quant_min, quant_max, axis)
