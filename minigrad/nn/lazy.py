"""Lazy layers: the first input tells how many features or channels come in; then they are the layers they stand for."""

from __future__ import annotations

from typing import Any, ClassVar, NoReturn, cast

import numpy as np

from ..backend import get_backend
from ..errors import ArgumentError, ShapeError
from ..mode import MODE
from ..random import default_generator
from ..tensor import Tensor, leaf
from .conv import Conv1d, Conv2d, Conv3d, ConvTranspose1d, ConvTranspose2d, ConvTranspose3d
from .linear import Linear
from .module import Module, Parameter, _move
from .norm import BatchNorm1d, BatchNorm2d, BatchNorm3d, InstanceNorm1d, InstanceNorm2d, InstanceNorm3d


class _Uninitialized:
    """A tensor with a dtype and a device, but no shape yet. `materialize` gives it one."""

    __slots__ = ()  # and no base: an object may only become one of another class with the same layout
    backend: Any
    array: Any
    node: Any
    device: Any
    dtype: Any
    becomes: ClassVar[type[Tensor]]

    def materialize(self, shape: tuple[int, ...]) -> None:
        """Be an ordinary parameter or buffer of this shape from now on, its values yet to be filled in."""
        object.__setattr__(self, "__class__", self.becomes)
        _move(cast(Tensor, self), self.backend.xp.empty(shape, self.array.dtype))

    def _refuse(self, *args: Any) -> NoReturn:
        raise ArgumentError(
            "UninitializedParameter: a lazy layer's tensors have no shape before its first input. Run the model once "
            "on a sample (or load a state dict) before making an optimizer, counting or saving."
        )

    shape = property(_refuse)
    ndim = property(_refuse)
    size = property(_refuse)
    nbytes = property(_refuse)
    is_leaf = property(_refuse)
    detach = numpy = _refuse
    requires_grad = property(
        lambda self: self.node is not None,
        lambda self, value: setattr(self, "node", leaf(self) if value else None),
    )

    def __reduce__(self) -> tuple:
        return _again, (type(self), self.requires_grad, self.device, self.array.dtype)

    def __deepcopy__(self, memo: dict) -> Any:
        return _again(*self.__reduce__()[1])

    def __repr__(self) -> str:
        return f"<{type(self).__name__}>"


def _again(kind: type, requires_grad: bool, device: Any, dtype: Any) -> Any:
    t = kind(device=device, dtype=dtype)
    t.requires_grad = requires_grad
    return t


def _emptied(t: Any, device: Any, dtype: Any) -> None:
    backend = MODE.get().device if device is None else get_backend("numpy" if device == "cpu" else device)
    t.array = backend.xp.empty(0, np.dtype(dtype or MODE.get().default_dtype))
    t.node = t._grad = t.storage = t.source = None


class UninitializedParameter(_Uninitialized, Parameter):
    """A parameter whose shape is not known yet; asking for it is an error that says what to do."""

    __slots__ = ()
    becomes = Parameter

    def __init__(self, requires_grad: bool = True, device: Any = None, dtype: Any = None):
        _emptied(self, device, dtype)
        self.requires_grad = requires_grad


class UninitializedBuffer(_Uninitialized, Tensor):
    """A buffer whose shape is not known yet."""

    __slots__ = ()
    becomes = Tensor

    def __init__(self, device: Any = None, dtype: Any = None):
        _emptied(self, device, dtype)


class _Lazy(Module):
    """Until its first call, the layer `cls_to_become` with unknown shapes; then that layer."""

    cls_to_become: Any
    measured: str  # the constructor's first argument, which the first input decides
    _later: tuple

    def _begin(self, least: int, *args: Any, device: Any, dtype: Any, **options: Any) -> None:
        """Have the attributes of a layer with `least` inputs, its tensors without shapes."""
        state = default_generator.get_state()
        trial = self.cls_to_become(least, *args, device=device, dtype=dtype, **options)
        default_generator.set_state(state)  # numbers are drawn when the size is known, as the layer itself would
        for name, value in vars(trial).items():
            if isinstance(value, Parameter):
                value = UninitializedParameter(True, device, dtype)
            elif isinstance(value, Tensor) and value.ndim:
                value = UninitializedBuffer(device, dtype)
            self.__dict__[name] = value
        self.__dict__[self.measured] = 0
        self._later = (args, {"device": device, "dtype": dtype, **options})

    def has_uninitialized_params(self) -> bool:
        """Are there parameters or buffers without a shape?"""
        return any(isinstance(t, _Uninitialized) for t in vars(self).values())

    def _measure(self, x: Tensor) -> int:
        raise NotImplementedError

    def initialize_parameters(self, x: Tensor) -> None:
        """Make the parameters that fit x, but keep those a state dict brought; become the layer itself."""
        n, (args, options) = self._measure(x), self._later
        model = self.cls_to_become(n, *args, **options)
        for name, t in list(vars(self).items()):
            made: Any = vars(model).get(name)
            if isinstance(t, _Uninitialized):
                t.materialize(made.shape)
                t.array[...] = t.backend.asarray(made.backend.to_host(made.array), dtype=t.dtype)
            elif isinstance(t, Tensor) and t.shape != made.shape:
                raise ShapeError(
                    f"{type(self).__name__}: x {x.shape} needs a {name} of shape {made.shape}: {t.shape} was loaded."
                )
        del self._later
        self.__dict__[self.measured] = n
        object.__setattr__(self, "__class__", self.cls_to_become)

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        self.initialize_parameters(args[0] if args else kwargs["input"])
        return self.forward(*args, **kwargs)  # the layer's own


class LazyLinear(_Lazy, Linear):
    """Linear with in_features from the first input, x.shape[-1].

    >>> import minigrad as mg
    >>> from minigrad import nn
    >>> layer = nn.LazyLinear(3)
    >>> layer(mg.ones(2, 5)).shape
    (2, 3)
    >>> layer
    Linear(in_features=5, out_features=3, bias=True)
    """

    cls_to_become, measured = Linear, "in_features"

    def __init__(self, out_features: int, bias: bool = True, device: Any = None, dtype: Any = None):
        self._begin(1, out_features, bias, device=device, dtype=dtype)

    def _measure(self, x: Tensor) -> int:
        if not x.ndim:
            raise ShapeError("LazyLinear: x must be (..., in_features): got a 0-d tensor.")
        return x.shape[-1]


class _LazyConvolution(_Lazy):
    axes: int
    measured = "in_channels"

    def _measure(self, x: Tensor) -> int:
        if x.ndim not in (self.axes + 1, self.axes + 2):
            axes = ", ".join("DHW"[3 - self.axes :])
            raise ShapeError(f"{type(self).__name__}: x must be (B, C, {axes}) or (C, {axes}): got shape {x.shape}.")
        return x.shape[-self.axes - 1]


class _LazyConv(_LazyConvolution):
    def __init__(
        self,
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
        how = (stride, padding, dilation, groups, bias, padding_mode)
        self._begin(groups, out_channels, kernel_size, *how, device=device, dtype=dtype)


class LazyConv1d(_LazyConv, Conv1d):
    """Conv1d with in_channels from the first input, (B, C, W) or (C, W)."""

    cls_to_become = Conv1d


class LazyConv2d(_LazyConv, Conv2d):
    """Conv2d with in_channels from the first input, (B, C, H, W) or (C, H, W).

    >>> import minigrad as mg
    >>> from minigrad import nn
    >>> net = nn.Sequential(nn.LazyConv2d(8, 3), nn.ReLU(), nn.Flatten(), nn.LazyLinear(10))
    >>> net(mg.ones(2, 3, 6, 6)).shape, net[0].in_channels, net[3].in_features
    ((2, 10), 3, 128)
    """

    cls_to_become = Conv2d


class LazyConv3d(_LazyConv, Conv3d):
    """Conv3d with in_channels from the first input, (B, C, D, H, W) or (C, D, H, W)."""

    cls_to_become = Conv3d


class _LazyConvTranspose(_LazyConvolution):
    def __init__(
        self,
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
        how = (stride, padding, output_padding, groups, bias, dilation, padding_mode)
        self._begin(groups, out_channels, kernel_size, *how, device=device, dtype=dtype)


class LazyConvTranspose1d(_LazyConvTranspose, ConvTranspose1d):
    """ConvTranspose1d with in_channels from the first input, (B, C, W) or (C, W)."""

    cls_to_become = ConvTranspose1d


class LazyConvTranspose2d(_LazyConvTranspose, ConvTranspose2d):
    """ConvTranspose2d with in_channels from the first input, (B, C, H, W) or (C, H, W)."""

    cls_to_become = ConvTranspose2d


class LazyConvTranspose3d(_LazyConvTranspose, ConvTranspose3d):
    """ConvTranspose3d with in_channels from the first input, (B, C, D, H, W) or (C, D, H, W)."""

    cls_to_become = ConvTranspose3d


class _LazyNorm(_Lazy):
    measured = "num_features"

    def __init__(
        self,
        eps: float = 1e-5,
        momentum: float | None = 0.1,
        affine: bool = True,
        track_running_stats: bool = True,
        device: Any = None,
        dtype: Any = None,
        *,
        bias: bool = True,
    ):
        self._begin(1, eps, momentum, affine, track_running_stats, device=device, dtype=dtype, bias=bias)

    def _measure(self, x: Any) -> int:
        shapes: dict[int, str] = self.cls_to_become.shapes
        if x.ndim not in shapes:
            raise ShapeError(f"{type(self).__name__}: x must be {' or '.join(shapes.values())}: got shape {x.shape}.")
        return x.shape[shapes[x.ndim].strip("()").split(", ").index("C")]


class LazyBatchNorm1d(_LazyNorm, BatchNorm1d):
    """BatchNorm1d with num_features from the first input, (B, C) or (B, C, L)."""

    cls_to_become = BatchNorm1d


class LazyBatchNorm2d(_LazyNorm, BatchNorm2d):
    """BatchNorm2d with num_features from the first input, (B, C, H, W).

    >>> import minigrad as mg
    >>> from minigrad import nn
    >>> layer = nn.LazyBatchNorm2d()
    >>> layer(mg.rand(4, 3, 2, 2)).shape, layer.num_features
    ((4, 3, 2, 2), 3)
    """

    cls_to_become = BatchNorm2d


class LazyBatchNorm3d(_LazyNorm, BatchNorm3d):
    """BatchNorm3d with num_features from the first input, (B, C, D, H, W)."""

    cls_to_become = BatchNorm3d


class LazyInstanceNorm1d(_LazyNorm, InstanceNorm1d):
    """InstanceNorm1d with num_features from the first input, (B, C, L) or (C, L)."""

    cls_to_become = InstanceNorm1d


class LazyInstanceNorm2d(_LazyNorm, InstanceNorm2d):
    """InstanceNorm2d with num_features from the first input, (B, C, H, W) or (C, H, W)."""

    cls_to_become = InstanceNorm2d


class LazyInstanceNorm3d(_LazyNorm, InstanceNorm3d):
    """InstanceNorm3d with num_features from the first input, (B, C, D, H, W) or (C, D, H, W)."""

    cls_to_become = InstanceNorm3d
