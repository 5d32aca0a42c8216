"""Products: linear, bilinear, one_hot."""

from __future__ import annotations

from ... import functions
from ...errors import ShapeError
from ...tensor import F, Tensor

linear = F.linear
one_hot = functions.one_hot


def bilinear(input1: Tensor, input2: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """y[..., o] = sum over i, j of x1[..., i] w[o, i, j] x2[..., j] + b[o]. weight: (O, I, J)."""
    if input1.shape[:-1] != input2.shape[:-1] or weight.shape[1:] != (*input1.shape[-1:], *input2.shape[-1:]):
        raise ShapeError(
            f"bilinear: x1 (..., I), x2 (..., J), weight (O, I, J) must agree: got {input1.shape}, {input2.shape}, "
            f"{weight.shape}."
        )
    left = F.matmul(input1[..., None, None, :], weight)  # (..., O, 1, J)
    y = F.sum(left[..., 0, :] * F.expand_dims(input2, axis=-2), axis=-1)  # (..., O)
    return y if bias is None else y + bias
