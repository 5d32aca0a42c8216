"""Linear maps and changes of shape."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from ..errors import ArgumentError
from ..primitive import axes_of
from ..tensor import Tensor
from . import functional as F
from . import init
from .module import Module, made


def positive(who: str, **sizes: Any) -> None:
    """Raise ArgumentError unless every size is an integer of at least 1."""
    for name, value in sizes.items():
        if not hasattr(value, "__index__") or value.__index__() < 1:
            raise ArgumentError(f"{who}: {name} must be an integer of at least 1: got {value!r}.")


def default_fill(weight: Tensor, bias: Tensor | None) -> None:
    """PyTorch's start of linear layers and convolutions: weight and bias uniform on +-1 / sqrt(fan_in)."""
    if not weight.size:
        return
    init.kaiming_uniform_(weight, a=math.sqrt(5))  # gain sqrt(1/3): the bound is 1 / sqrt(fan_in)
    if bias is not None:
        bound = 1 / math.sqrt(init.fans(weight)[0])
        init.uniform_(bias, -bound, bound)


class Linear(Module):
    """y = x W^T + b.

    x: (..., in_features); weight W: (out_features, in_features); bias b: (out_features,); y: (..., out_features).
    Starts uniform on +-1 / sqrt(in_features).

    >>> import minigrad as mg
    >>> from minigrad import nn
    >>> nn.Linear(20, 30)(mg.ones(128, 20)).shape
    (128, 30)
    """

    def __init__(self, in_features: int, out_features: int, bias: bool = True, device: Any = None, dtype: Any = None):
        super().__init__()
        self.in_features, self.out_features = in_features, out_features
        for name, n in (("in_features", in_features), ("out_features", out_features)):
            if not hasattr(n, "__index__") or n < 0:
                raise ArgumentError(f"Linear: {name} must be an integer of at least 0: got {n!r}.")
        self.weight = made((out_features, in_features), device, dtype)
        self.bias = made((out_features,), device, dtype) if bias else None
        self.reset_parameters()

    def reset_parameters(self) -> None:
        default_fill(self.weight, self.bias)

    def forward(self, input: Tensor) -> Tensor:
        return F.linear(input, self.weight, self.bias)

    def extra_repr(self) -> str:
        return f"in_features={self.in_features}, out_features={self.out_features}, bias={self.bias is not None}"


class Bilinear(Module):
    """y[o] = x1^T W[o] x2 + b[o].

    x1: (..., I); x2: (..., J); weight: (O, I, J); y: (..., O). Starts uniform on +-1 / sqrt(I).

    >>> import minigrad as mg
    >>> from minigrad import nn
    >>> nn.Bilinear(3, 4, 5)(mg.ones(2, 3), mg.ones(2, 4)).shape
    (2, 5)
    """

    def __init__(
        self,
        in1_features: int,
        in2_features: int,
        out_features: int,
        bias: bool = True,
        device: Any = None,
        dtype: Any = None,
    ):
        super().__init__()
        positive("Bilinear", in1_features=in1_features, in2_features=in2_features, out_features=out_features)
        self.in1_features, self.in2_features, self.out_features = in1_features, in2_features, out_features
        self.weight = made((out_features, in1_features, in2_features), device, dtype)
        self.bias = made((out_features,), device, dtype) if bias else None
        self.reset_parameters()

    def reset_parameters(self) -> None:
        bound = 1 / math.sqrt(self.in1_features)
        init.uniform_(self.weight, -bound, bound)
        if self.bias is not None:
            init.uniform_(self.bias, -bound, bound)

    def forward(self, input1: Tensor, input2: Tensor) -> Tensor:
        return F.bilinear(input1, input2, self.weight, self.bias)

    def extra_repr(self) -> str:
        return (
            f"in1_features={self.in1_features}, in2_features={self.in2_features}, "
            f"out_features={self.out_features}, bias={self.bias is not None}"
        )


class Identity(Module):
    """y = x, whatever the arguments of the constructor.

    >>> from minigrad import nn
    >>> nn.Identity(54, unused=True)(7)
    7
    """

    def __init__(self, *args: Any, **kwargs: Any):
        super().__init__()

    def forward(self, x: Any) -> Any:
        return x


class Flatten(Module):
    """The axes from start_dim to end_dim as one: (B, C, H, W) to (B, C H W).

    >>> import minigrad as mg
    >>> from minigrad import nn
    >>> nn.Flatten()(mg.ones(32, 1, 5, 5)).shape
    (32, 25)
    """

    def __init__(self, start_dim: int = 1, end_dim: int = -1):
        super().__init__()
        self.start_dim, self.end_dim = start_dim, end_dim

    def forward(self, x: Tensor) -> Tensor:
        return x.flatten(self.start_dim, self.end_dim)

    def extra_repr(self) -> str:
        return f"start_dim={self.start_dim}, end_dim={self.end_dim}"


class Unflatten(Module):
    """One axis as several: (B, C H W) with dim=1 to (B, C, H, W); one length may be -1.

    >>> import minigrad as mg
    >>> from minigrad import nn
    >>> nn.Unflatten(1, (2, 5, 5))(mg.ones(3, 50)).shape
    (3, 2, 5, 5)
    """

    def __init__(self, dim: int, unflattened_size: Sequence[int]):
        super().__init__()
        self.dim, self.unflattened_size = dim, tuple(unflattened_size)

    def forward(self, x: Tensor) -> Tensor:
        (axis,) = axes_of("Unflatten", self.dim, x.ndim)
        return x.reshape((*x.shape[:axis], *self.unflattened_size, *x.shape[axis + 1 :]))

    def extra_repr(self) -> str:
        return f"dim={self.dim}, unflattened_size={self.unflattened_size}"
