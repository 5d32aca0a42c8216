"""Normalisation: zero mean and unit variance over some axes, then a learned scale and shift."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

from .. import creation
from ..errors import ArgumentError, ShapeError
from ..mistakes import warn_once
from ..mode import MODE
from ..tensor import Tensor, wrap
from . import functional as F
from . import init
from .linear import positive
from .module import Module, made


class _RunningNorm(Module):
    """Parameters and running statistics per channel; a subclass says which shapes it takes and how it normalises."""

    running_mean: Any  # Tensor, or None without track_running_stats
    running_var: Any
    num_batches_tracked: Any
    shapes: ClassVar[dict[int, str]]  # number of axes -> what they mean

    def __init__(
        self,
        num_features: int,
        eps: float,
        momentum: float | None,
        affine: bool,
        track_running_stats: bool,
        device: Any,
        dtype: Any,
        bias: bool,
    ):
        super().__init__()
        positive(type(self).__name__, num_features=num_features)
        self.num_features, self.eps, self.momentum = num_features, eps, momentum
        self.affine, self.track_running_stats = affine, track_running_stats
        self.weight = made((num_features,), device, dtype) if affine else None
        self.bias = made((num_features,), device, dtype) if affine and bias else None
        for name in ("running_mean", "running_var"):
            self.register_buffer(
                name, wrap(made((num_features,), device, dtype).array) if track_running_stats else None
            )
        self.register_buffer("num_batches_tracked", creation.tensor(0) if track_running_stats else None)
        self.reset_parameters()

    def reset_running_stats(self) -> None:
        if self.track_running_stats:
            init.zeros_(self.running_mean)
            init.ones_(self.running_var)
            init.zeros_(self.num_batches_tracked)

    def reset_parameters(self) -> None:
        self.reset_running_stats()
        if self.weight is not None:
            init.ones_(self.weight)
        if self.bias is not None:
            init.zeros_(self.bias)

    def _checked(self, x: Tensor) -> None:
        if x.ndim not in self.shapes:
            raise ShapeError(
                f"{type(self).__name__}: x must be {' or '.join(self.shapes.values())}: got shape {x.shape}."
            )

    def _share(self) -> float:
        """How much the batch counts in the running statistics; momentum None: the mean over all batches so far."""
        if not (self.training and self.track_running_stats):
            return 0.0
        with self.num_batches_tracked.backend.active():
            self.num_batches_tracked.array[...] += 1
        return 1.0 / self.num_batches_tracked.item() if self.momentum is None else self.momentum

    def extra_repr(self) -> str:
        return (
            f"{self.num_features}, eps={self.eps}, momentum={self.momentum}, affine={self.affine}, "
            f"bias={self.bias is not None}, track_running_stats={self.track_running_stats}"
        )


class _BatchNorm(_RunningNorm):
    _version = 2  # as PyTorch's: 2 brought num_batches_tracked

    def __init__(
        self,
        num_features: int,
        eps: float = 1e-5,
        momentum: float | None = 0.1,
        affine: bool = True,
        track_running_stats: bool = True,
        device: Any = None,
        dtype: Any = None,
        *,
        bias: bool = True,
    ):
        super().__init__(num_features, eps, momentum, affine, track_running_stats, device, dtype, bias)

    def forward(self, x: Tensor) -> Tensor:
        self._checked(x)
        if x.shape[1] != self.num_features:
            raise ShapeError(
                f"{type(self).__name__}: x must have num_features={self.num_features} channels at axis 1: "
                f"got shape {x.shape}."
            )
        if self.training and self.momentum is not None and not MODE.get().recording:
            warn_once(
                f"{type(self).__name__}: the batch normalises itself in training only, and this is under no_grad(): "
                "the model is in training mode. Call model.eval() before you evaluate, and model.train() after."
            )
        by_batch = self.training or self.running_mean is None
        tracking = not self.training or self.track_running_stats
        return F.batch_norm(
            x,
            self.running_mean if tracking else None,
            self.running_var if tracking else None,
            self.weight,
            self.bias,
            by_batch,
            self._share(),
            self.eps,
        )


class BatchNorm1d(_BatchNorm):
    """As BatchNorm2d. x: (B, C) or (B, C, L).

    >>> import minigrad as mg
    >>> from minigrad import nn
    >>> nn.BatchNorm1d(2)(mg.tensor([[1.0, 10.0], [3.0, 30.0]])).round().tolist()
    [[-1.0, -1.0], [1.0, 1.0]]
    """

    shapes: ClassVar = {2: "(B, C)", 3: "(B, C, L)"}


class BatchNorm2d(_BatchNorm):
    """y = (x - mean) / sqrt(var + eps) * weight + bias, per channel.
    x: (B, C, H, W); weight, bias: (C,), starting at 1 and 0.

    In training mean and (biased) var are the batch's, and running_mean, running_var follow them with `momentum`
    (None: their plain average; the variance stored is the unbiased one). In eval() the running ones are used. Ioffe
    and Szegedy 2015, arXiv:1502.03167; momentum is 1 - the decay of other texts.

    >>> import minigrad as mg
    >>> from minigrad import nn
    >>> y = nn.BatchNorm2d(3)(mg.rand(8, 3, 4, 4))
    >>> bool(abs(y.mean(axis=(0, 2, 3))).max() < 1e-5)
    True
    """

    shapes: ClassVar = {4: "(B, C, H, W)"}


class BatchNorm3d(_BatchNorm):
    """As BatchNorm2d. x: (B, C, D, H, W)."""

    shapes: ClassVar = {5: "(B, C, D, H, W)"}


class _InstanceNorm(_RunningNorm):
    def __init__(
        self,
        num_features: int,
        eps: float = 1e-5,
        momentum: float = 0.1,
        affine: bool = False,
        track_running_stats: bool = False,
        device: Any = None,
        dtype: Any = None,
        *,
        bias: bool = True,
    ):
        super().__init__(num_features, eps, momentum, affine, track_running_stats, device, dtype, bias)

    def forward(self, x: Tensor) -> Tensor:
        self._checked(x)
        single = x.ndim == min(self.shapes)
        if x.shape[0 if single else 1] != self.num_features and self.affine:
            raise ShapeError(
                f"{type(self).__name__}: x must have num_features={self.num_features} channels: got shape {x.shape}."
            )
        y = F.instance_norm(
            x[None] if single else x,
            self.running_mean,
            self.running_var,
            self.weight,
            self.bias,
            self.training or not self.track_running_stats,
            self.momentum,
            self.eps,
        )
        return y[0] if single else y


class InstanceNorm1d(_InstanceNorm):
    """As InstanceNorm2d. x: (B, C, L) or (C, L)."""

    shapes: ClassVar = {3: "(B, C, L)", 2: "(C, L)"}


class InstanceNorm2d(_InstanceNorm):
    """Each channel of each sample normalised over its spatial axes. x: (B, C, H, W) or (C, H, W). arXiv:1607.08022.

    >>> import minigrad as mg
    >>> from minigrad import nn
    >>> nn.InstanceNorm2d(3)(mg.rand(2, 3, 4, 4)).shape
    (2, 3, 4, 4)
    """

    shapes: ClassVar = {4: "(B, C, H, W)", 3: "(C, H, W)"}


class InstanceNorm3d(_InstanceNorm):
    """As InstanceNorm2d. x: (B, C, D, H, W) or (C, D, H, W)."""

    shapes: ClassVar = {5: "(B, C, D, H, W)", 4: "(C, D, H, W)"}


def _shape(normalized_shape: Any) -> tuple[int, ...]:
    return tuple(normalized_shape) if isinstance(normalized_shape, Sequence) else (normalized_shape,)


class LayerNorm(Module):
    """y = (x - mean) / sqrt(var + eps) * weight + bias over the last axes, which have the lengths normalized_shape.

    x: (..., *normalized_shape); weight, bias: normalized_shape, starting at 1 and 0; var is biased.
    Ba, Kiros and Hinton 2016, arXiv:1607.06450.

    >>> import minigrad as mg
    >>> from minigrad import nn
    >>> nn.LayerNorm(10)(mg.rand(20, 5, 10)).shape
    (20, 5, 10)
    """

    def __init__(
        self,
        normalized_shape: Any,
        eps: float = 1e-5,
        elementwise_affine: bool = True,
        bias: bool = True,
        device: Any = None,
        dtype: Any = None,
    ):
        super().__init__()
        self.normalized_shape, self.eps, self.elementwise_affine = _shape(normalized_shape), eps, elementwise_affine
        self.weight = made(self.normalized_shape, device, dtype) if elementwise_affine else None
        self.bias = made(self.normalized_shape, device, dtype) if elementwise_affine and bias else None
        self.reset_parameters()

    def reset_parameters(self) -> None:
        if self.weight is not None:
            init.ones_(self.weight)
        if self.bias is not None:
            init.zeros_(self.bias)

    def forward(self, x: Tensor) -> Tensor:
        return F.layer_norm(x, self.normalized_shape, self.weight, self.bias, self.eps)

    def extra_repr(self) -> str:
        text = f"{self.normalized_shape}, eps={self.eps}, elementwise_affine={self.elementwise_affine}"
        return f"{text}, bias={self.bias is not None}"


class RMSNorm(Module):
    """y = x / sqrt(mean(x**2) + eps) * weight over the last axes. eps None: the dtype's epsilon.

    Zhang and Sennrich 2019, arXiv:1910.07467.

    >>> import minigrad as mg
    >>> from minigrad import nn
    >>> nn.RMSNorm(10)(mg.rand(20, 5, 10)).shape
    (20, 5, 10)
    """

    def __init__(
        self,
        normalized_shape: Any,
        eps: float | None = None,
        elementwise_affine: bool = True,
        device: Any = None,
        dtype: Any = None,
    ):
        super().__init__()
        self.normalized_shape, self.eps, self.elementwise_affine = _shape(normalized_shape), eps, elementwise_affine
        self.weight = made(self.normalized_shape, device, dtype) if elementwise_affine else None
        self.reset_parameters()

    def reset_parameters(self) -> None:
        if self.weight is not None:
            init.ones_(self.weight)

    def forward(self, x: Tensor) -> Tensor:
        return F.rms_norm(x, self.normalized_shape, self.weight, self.eps)

    def extra_repr(self) -> str:
        return f"{self.normalized_shape}, eps={self.eps}, elementwise_affine={self.elementwise_affine}"


class GroupNorm(Module):
    """The channels of each sample in num_groups groups, each normalised over itself, then scale and shift per channel.

    x: (B, C, ...); weight, bias: (C,). Wu and He 2018, arXiv:1803.08494.

    >>> import minigrad as mg
    >>> from minigrad import nn
    >>> nn.GroupNorm(3, 6)(mg.rand(2, 6, 4, 4)).shape
    (2, 6, 4, 4)
    """

    def __init__(
        self,
        num_groups: int,
        num_channels: int,
        eps: float = 1e-5,
        affine: bool = True,
        device: Any = None,
        dtype: Any = None,
        *,
        bias: bool = True,
    ):
        super().__init__()
        positive("GroupNorm", num_groups=num_groups, num_channels=num_channels)
        if num_channels % num_groups:
            raise ArgumentError(f"GroupNorm: num_groups must divide num_channels: got {num_groups} and {num_channels}.")
        self.num_groups, self.num_channels, self.eps, self.affine = num_groups, num_channels, eps, affine
        self.weight = made((num_channels,), device, dtype) if affine else None
        self.bias = made((num_channels,), device, dtype) if affine and bias else None
        self.reset_parameters()

    def reset_parameters(self) -> None:
        if self.weight is not None:
            init.ones_(self.weight)
        if self.bias is not None:
            init.zeros_(self.bias)

    def forward(self, x: Tensor) -> Tensor:
        return F.group_norm(x, self.num_groups, self.weight, self.bias, self.eps)

    def extra_repr(self) -> str:
        text = f"{self.num_groups}, {self.num_channels}, eps={self.eps}, affine={self.affine}"
        return f"{text}, bias={self.bias is not None}"


class LocalResponseNorm(Module):
    """y = x / (k + alpha mean(x**2 over `size` neighbouring channels))**beta. Krizhevsky et al. 2012, section 3.3."""

    def __init__(self, size: int, alpha: float = 1e-4, beta: float = 0.75, k: float = 1.0):
        super().__init__()
        self.size, self.alpha, self.beta, self.k = size, alpha, beta, k

    def forward(self, x: Tensor) -> Tensor:
        return F.local_response_norm(x, self.size, self.alpha, self.beta, self.k)

    def extra_repr(self) -> str:
        return f"{self.size}, alpha={self.alpha}, beta={self.beta}, k={self.k}"
