"""Batch normalisation folded into the layer before it, for evaluation: W' = W s, b' = (b - mean) s + shift.

s = weight / sqrt(var + eps) of the normalisation, per output. Names are PyTorch's (torch.nn.utils.fusion).
"""

from __future__ import annotations

import copy
from typing import Any

from ...errors import ArgumentError, GradError
from ...mode import no_grad
from ...tensor import F, Tensor
from ..module import Module, Parameter


def fuse_conv_bn_weights(
    conv_w: Tensor,
    conv_b: Tensor | None,
    bn_rm: Tensor,
    bn_rv: Tensor,
    bn_eps: float,
    bn_w: Tensor | None,
    bn_b: Tensor | None,
    transpose: bool = False,
) -> tuple[Parameter, Parameter]:
    """Weight and bias of a convolution with this normalisation in it. transpose: the outputs are axis 1 of conv_w."""
    shape = (1, -1) if transpose else (-1, 1)
    return _fused(conv_w, conv_b, bn_rm, bn_rv, bn_eps, bn_w, bn_b, (*shape, *(1,) * (conv_w.ndim - 2)))


def fuse_linear_bn_weights(
    linear_w: Tensor,
    linear_b: Tensor | None,
    bn_rm: Tensor,
    bn_rv: Tensor,
    bn_eps: float,
    bn_w: Tensor | None,
    bn_b: Tensor | None,
) -> tuple[Parameter, Parameter]:
    """Weight (out, in) and bias (out,) of a linear layer with this normalisation in it."""
    return _fused(linear_w, linear_b, bn_rm, bn_rv, bn_eps, bn_w, bn_b, (-1, 1))


def _fused(
    w: Tensor, b: Any, mean: Tensor, var: Tensor, eps: float, scale: Any, shift: Any, shape: tuple
) -> tuple[Parameter, Parameter]:
    with no_grad():
        s = F.rsqrt(var + eps) if scale is None else F.rsqrt(var + eps) * scale  # (C,)
        weight = (w * F.reshape(s, shape)).astype(w.dtype)
        bias = ((-mean if b is None else b - mean) * s + (0 if shift is None else shift)).astype(
            (b if b is not None else w).dtype
        )
    return Parameter(weight, w.requires_grad), Parameter(bias, b is not None and b.requires_grad)


def _checked(who: str, layer: Module, bn: Any) -> None:
    if layer.training or bn.training:
        raise GradError(
            f"{who}: both layers must be in eval mode: in training the statistics are the batch's. Call eval()."
        )
    if bn.running_mean is None or bn.running_var is None:
        raise ArgumentError(
            f"{who}: the normalisation must have running statistics: build it with track_running_stats=True."
        )


def fuse_conv_bn_eval(conv: Any, bn: Any, transpose: bool = False) -> Any:
    """A new convolution that computes bn(conv(x)). transpose: conv is a transposed convolution, with groups=1.

    >>> import minigrad as mg
    >>> from minigrad import nn
    >>> conv, bn = nn.Conv2d(3, 8, 3).eval(), nn.BatchNorm2d(8).eval()
    >>> fused, x = nn.utils.fuse_conv_bn_eval(conv, bn), mg.rand(2, 3, 6, 6)
    >>> bool(abs(fused(x) - bn(conv(x))).max() < 1e-5)
    True
    """
    _checked("fuse_conv_bn_eval", conv, bn)
    if transpose and conv.groups > 1:
        raise ArgumentError(
            f"fuse_conv_bn_eval: a transposed convolution must have groups=1 to be fused: got {conv.groups}. Axis 1 of "
            "its weight holds the outputs of one group only."
        )
    fused = copy.deepcopy(conv)
    fused.weight, fused.bias = fuse_conv_bn_weights(
        conv.weight, conv.bias, bn.running_mean, bn.running_var, bn.eps, bn.weight, bn.bias, transpose
    )
    return fused


def fuse_linear_bn_eval(linear: Any, bn: Any) -> Any:
    """A new linear layer that computes bn(linear(x)), for x of two axes."""
    _checked("fuse_linear_bn_eval", linear, bn)
    if bn.num_features not in (linear.out_features, 1):
        raise ArgumentError(
            f"fuse_linear_bn_eval: the normalisation must have num_features={linear.out_features}, as the layer has "
            f"outputs, or 1: got {bn.num_features}."
        )
    fused = copy.deepcopy(linear)
    fused.weight, fused.bias = fuse_linear_bn_weights(
        linear.weight, linear.bias, bn.running_mean, bn.running_var, bn.eps, bn.weight, bn.bias
    )
    return fused
