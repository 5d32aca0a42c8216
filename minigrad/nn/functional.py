"""Neural functions without state: the names, arguments, defaults and numbers of torch.nn.functional.

Each is its formula in minigrad's primitives, so gradients of any order come by themselves. Shapes: B batch, C
channels, K classes, (H, W) or any other spatial axes.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Sequence
from typing import Any

import numpy as np

from .. import functions
from ..convert import as_array
from ..errors import ArgumentError, DTypeError, IndexRangeError, ShapeError
from ..mode import no_grad
from ..random import default_generator
from ..tensor import F, Tensor, wrap

# ---- linear ----------------------------------------------------------------------------------------------------------
linear = F.linear
one_hot = functions.one_hot


def bilinear(input1: Tensor, input2: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """y[..., o] = sum over i, j of x1[..., i] w[o, i, j] x2[..., j] + b[o]. weight: (O, I, J)."""
    left = F.matmul(input1[..., None, None, :], weight)  # (..., O, 1, J)
    y = F.sum(left[..., 0, :] * F.expand_dims(input2, axis=-2), axis=-1)  # (..., O)
    return y if bias is None else y + bias


def embedding(
    input: Tensor,
    weight: Tensor,
    padding_idx: int | None = None,
    max_norm: float | None = None,
    norm_type: float = 2.0,
    scale_grad_by_freq: bool = False,
    sparse: bool = False,
) -> Tensor:
    """y[...] = weight[input[...]]. input: (...) integers from 0 to N - 1; weight: (N, D); y: (..., D).

    padding_idx: that row receives no gradient. max_norm: rows used are first scaled down to it, in place.
    `sparse` is accepted and ignored: gradients are dense.
    """
    if scale_grad_by_freq:
        raise ArgumentError("embedding: scale_grad_by_freq is not supported. Leave it False.")
    index = input if isinstance(input, Tensor) else wrap(as_array(input))
    n = weight.shape[0]
    _check_range("embedding", index, n, "indices", "num_embeddings")
    if max_norm is not None:
        _renormalize(weight, index, max_norm, norm_type)
    y = weight[index]  # (..., D)
    if padding_idx is not None:
        if not -n <= padding_idx < n:
            raise IndexRangeError(f"embedding: padding_idx must be from {-n} to {n - 1}: got {padding_idx}.")
        padding = F.expand_dims(F.equal(index, padding_idx % n), axis=-1)  # (..., 1)
        y = F.where(padding, y.detach(), y)
    return y


def _renormalize(weight: Tensor, index: Tensor, max_norm: float, norm_type: float) -> None:
    rows = np.unique(index.numpy())
    with no_grad():
        used = weight[rows]
        norms = F.power(F.sum(F.power(F.abs(used), norm_type), axis=1, keepdims=True), 1 / norm_type)  # (rows, 1)
        weight[rows] = F.where(F.greater(norms, max_norm), used * (max_norm / (norms + 1e-7)), used)


def bounds(t: Tensor) -> tuple[Any, Any]:
    """The smallest and the largest element, as Python numbers; (0, 0) of nothing.
    The one look that checks take at data."""
    if not t.size:
        return 0, 0
    if type(t.array) is np.ndarray:
        return t.array.min().item(), t.array.max().item()
    b = t.backend
    return tuple(b.to_host(f(t.array)).item() for f in (b.xp.min, b.xp.max))


def _check_range(who: str, index: Tensor, n: int, what: str, limit: str) -> None:
    if index.dtype.kind not in "iu":
        raise DTypeError(f"{who}: {what} must be integers: got {index.dtype}. Use .astype('int64').")
    low, high = bounds(index)
    if index.size and (low < 0 or high >= n):
        wrong = low if low < 0 else high
        raise IndexRangeError(
            f"{who}: {what} must be from 0 to {limit} - 1 = {n - 1}: got {wrong}. They count from 0; {limit} is {n}."
        )


# ---- convolution -----------------------------------------------------------------------------------------------------


def _tuple(value: Any, n: int, who: str, name: str, least: int = 1) -> tuple[int, ...]:
    """An int for all spatial axes, or one int per axis."""
    values = tuple(value) if isinstance(value, (tuple, list)) else (value,) * n
    if len(values) == 1 < n:
        values *= n
    if len(values) != n or not all(hasattr(v, "__index__") and not isinstance(v, bool) for v in values):
        raise ArgumentError(f"{who}: {name} must be an int or a tuple of {n}: got {value!r}.")
    values = tuple(int(v) for v in values)
    if min(values) < least:
        raise ArgumentError(f"{who}: {name} must be at least {least}: got {value!r}.")
    return values


def _batched(x: Tensor, n: int, who: str) -> tuple[Tensor, bool]:
    """x with a batch axis, and whether it was missing. x: (B, C, ...) or (C, ...) with n spatial axes."""
    if x.ndim not in (n + 1, n + 2):
        axes = ", ".join("DHW"[3 - n :])
        raise ShapeError(f"{who}: x must be (B, C, {axes}) or (C, {axes}): got shape {x.shape}.")
    return (F.expand_dims(x, axis=0), True) if x.ndim == n + 1 else (x, False)


def _same_padding(kernel: Sequence[int], dilation: Sequence[int], stride: Sequence[int], who: str) -> list:
    if any(s != 1 for s in stride):
        raise ArgumentError(f"{who}: padding='same' needs stride 1: got stride {tuple(stride)}. Pass numbers.")
    totals = [d * (k - 1) for k, d in zip(kernel, dilation)]
    return [(t // 2, t - t // 2) for t in totals]  # one more at the end where the total is odd


def _conv(
    x: Tensor, weight: Tensor, bias: Any, stride: Any, padding: Any, dilation: Any, groups: int, n: int
) -> Tensor:
    who = f"conv{n}d"
    if weight.ndim != n + 2:
        raise ShapeError(f"{who}: weight must be (O, C/groups, {n} kernel axes): got shape {weight.shape}.")
    x, single = _batched(x, n, who)
    stride, dilation = _tuple(stride, n, who, "stride"), _tuple(dilation, n, who, "dilation")
    if padding == "same":
        pairs = _same_padding(weight.shape[2:], dilation, stride, who)
        if any(a != b for a, b in pairs):
            x = F.pad(x, widths=((0, 0), (0, 0), *((0, b - a) for a, b in pairs)))
        padding = tuple(a for a, _ in pairs)
    elif padding == "valid":
        padding = (0,) * n
    elif isinstance(padding, str):
        raise ArgumentError(f"{who}: padding must be 'same', 'valid' or numbers: got {padding!r}.")
    else:
        padding = _tuple(padding, n, who, "padding", 0)
    y = F.convolution(x, weight, stride=stride, padding=padding, dilation=dilation, groups=groups)
    if bias is not None:
        y = y + F.reshape(bias, (-1, *[1] * n))
    return F.squeeze(y, axis=0) if single else y


def conv1d(input, weight, bias=None, stride=1, padding=0, dilation=1, groups=1):
    """Cross-correlation. input: (B, C, W); weight: (O, C/groups, KW); bias: (O,); y: (B, O, OW). See Conv1d."""
    return _conv(input, weight, bias, stride, padding, dilation, groups, 1)


def conv2d(input, weight, bias=None, stride=1, padding=0, dilation=1, groups=1):
    """Cross-correlation. input: (B, C, H, W); weight: (O, C/groups, KH, KW); bias: (O,); y: (B, O, OH, OW).
    See Conv2d."""
    return _conv(input, weight, bias, stride, padding, dilation, groups, 2)


def conv3d(input, weight, bias=None, stride=1, padding=0, dilation=1, groups=1):
    """Cross-correlation. input: (B, C, D, H, W); weight: (O, C/groups, KD, KH, KW); y: (B, O, OD, OH, OW).
    See Conv3d."""
    return _conv(input, weight, bias, stride, padding, dilation, groups, 3)


def _conv_transpose(
    x: Tensor,
    weight: Tensor,
    bias: Any,
    stride: Any,
    padding: Any,
    output_padding: Any,
    groups: int,
    dilation: Any,
    n: int,
) -> Tensor:
    who = f"conv_transpose{n}d"
    if weight.ndim != n + 2:
        raise ShapeError(f"{who}: weight must be (C, O/groups, {n} kernel axes): got shape {weight.shape}.")
    x, single = _batched(x, n, who)
    stride, dilation = _tuple(stride, n, who, "stride"), _tuple(dilation, n, who, "dilation")
    padding, extra = _tuple(padding, n, who, "padding", 0), _tuple(output_padding, n, who, "output_padding", 0)
    if any(e >= max(s, d) for e, s, d in zip(extra, stride, dilation)):
        raise ArgumentError(f"{who}: output_padding must be below stride or dilation: got {extra} for {stride}.")
    if x.shape[1] != weight.shape[0] or groups < 1 or weight.shape[0] % groups:
        raise ShapeError(
            f"{who}: channels must agree: x {x.shape} has {x.shape[1]}, weight {weight.shape} takes "
            f"{weight.shape[0]}, groups={groups} must divide them."
        )
    size = tuple(
        (length - 1) * s - 2 * p + d * (k - 1) + e + 1
        for length, s, p, d, k, e in zip(x.shape[2:], stride, padding, dilation, weight.shape[2:], extra)
    )
    if min(size) < 1:
        raise ShapeError(
            f"{who}: the output would have spatial size {size}: padding {padding} is too large for x {x.shape}."
        )
    y = F.convolution_input(x, weight, size=size, stride=stride, padding=padding, dilation=dilation, groups=groups)
    if bias is not None:
        y = y + F.reshape(bias, (-1, *[1] * n))
    return F.squeeze(y, axis=0) if single else y


def conv_transpose1d(input, weight, bias=None, stride=1, padding=0, output_padding=0, groups=1, dilation=1):
    """The gradient of conv1d for its input, as a layer. input: (B, C, W); weight: (C, O/groups, KW); y: (B, O, OW)."""
    return _conv_transpose(input, weight, bias, stride, padding, output_padding, groups, dilation, 1)


def conv_transpose2d(input, weight, bias=None, stride=1, padding=0, output_padding=0, groups=1, dilation=1):
    """The gradient of conv2d for its input, as a layer.
    input: (B, C, H, W); weight: (C, O/groups, KH, KW); y: (B, O, OH, OW)."""
    return _conv_transpose(input, weight, bias, stride, padding, output_padding, groups, dilation, 2)


def conv_transpose3d(input, weight, bias=None, stride=1, padding=0, output_padding=0, groups=1, dilation=1):
    """The gradient of conv3d for its input, as a layer. input: (B, C, D, H, W); weight: (C, O/groups, KD, KH, KW)."""
    return _conv_transpose(input, weight, bias, stride, padding, output_padding, groups, dilation, 3)


def pad(input: Tensor, pad: Sequence[int], mode: str = "constant", value: float | None = None) -> Tensor:
    """A frame around the last axes. pad: (before, after) of the last axis, then of the one before it, ...;
    negative crops.

    mode: "constant" (`value`, 0 if None), "reflect" (mirrored, the edge not repeated),
    "replicate" (the edge repeated), "circular".
    """
    pad = tuple(pad)
    if len(pad) % 2 or len(pad) > 2 * input.ndim:
        raise ArgumentError(
            f"pad: needs a (before, after) pair per axis, last axis first: got {pad} for shape {input.shape}."
        )
    pairs = [(0, 0)] * (input.ndim - len(pad) // 2) + list(zip(pad[::2], pad[1::2]))[::-1]
    crop = tuple(slice(max(-a, 0), n - max(-b, 0)) for n, (a, b) in zip(input.shape, pairs))
    x = input[crop] if min(pad, default=0) < 0 else input
    grown = tuple((max(a, 0), max(b, 0)) for a, b in pairs)
    if mode == "constant":
        return F.pad(x, widths=grown, value=0 if value is None else value) if any(map(any, grown)) else x
    if mode not in ("reflect", "replicate", "circular"):
        raise ArgumentError(f"pad: mode must be constant, reflect, replicate or circular: got {mode!r}.")
    for axis, (a, b) in enumerate(grown):
        if a or b:
            x = _framed(x, axis, a, b, mode)
    return x


def _framed(x: Tensor, axis: int, before: int, after: int, mode: str) -> Tensor:
    n = x.shape[axis]
    most = {"reflect": n - 1, "circular": n, "replicate": before + after if n else 0}[mode]
    if max(before, after) > most:
        raise ShapeError(f"pad: mode {mode!r} can add at most {most} to an axis of {n}: got ({before}, {after}).")

    def part(start: int, stop: int) -> Tensor:
        return x[(slice(None),) * axis + (slice(start, stop),)]

    if mode == "circular":
        edges = part(n - before, n), part(0, after)
    elif mode == "reflect":
        edges = F.flip(part(1, before + 1), axis=axis), F.flip(part(n - 1 - after, n - 1), axis=axis)
    else:
        edges = tuple(
            F.broadcast_to(part(i, i + 1), (*x.shape[:axis], k, *x.shape[axis + 1 :]))
            for i, k in ((0, before), (n - 1, after))
        )
    return F.concat(edges[0], x, edges[1], axis=axis)


# ---- pooling ---------------------------------------------------------------------------------------------------------


def _pooled_length(n: int, k: int, s: int, p: int, d: int, ceil_mode: bool) -> int:
    """The number of windows; with ceil_mode also a last partial one, if it starts inside x or its left padding."""
    span = n + 2 * p - d * (k - 1) - 1
    out = -(-span // s) + 1 if ceil_mode else span // s + 1
    return out - 1 if ceil_mode and (out - 1) * s >= n + p else out


def _pool_options(
    who: str, x: Tensor, n: int, kernel_size: Any, stride: Any, padding: Any, dilation: Any, ceil_mode: bool
):
    if x.ndim not in (n + 1, n + 2):
        axes = ", ".join("DHW"[3 - n :])
        raise ShapeError(f"{who}: x must be (B, C, {axes}) or (C, {axes}): got shape {x.shape}.")
    size, padding = _tuple(kernel_size, n, who, "kernel_size"), _tuple(padding, n, who, "padding", 0)
    stride = size if stride is None or stride == () else _tuple(stride, n, who, "stride")
    dilation = _tuple(dilation, n, who, "dilation")
    if any(2 * p > k for p, k in zip(padding, size)):
        raise ArgumentError(
            f"{who}: padding must be at most half of kernel_size: got padding {padding} for kernel_size {size}."
        )
    lengths = x.shape[-n:]
    outs = tuple(_pooled_length(*a, ceil_mode) for a in zip(lengths, size, stride, padding, dilation))
    if min(outs) < 1:
        raise ShapeError(f"{who}: the window must fit: kernel_size {size} on x {x.shape} with padding {padding}.")
    # what the last window reads beyond the right padding
    extra = tuple(
        max((o - 1) * s + d * (k - 1) + 1 - (m + 2 * p), 0)
        for o, s, d, k, m, p in zip(outs, stride, dilation, size, lengths, padding)
    )
    return size, stride, padding, dilation, outs, extra


def _max_pool(x, kernel_size, stride, padding, dilation, ceil_mode, return_indices, n):
    who = f"max_pool{n}d"
    size, stride, padding, dilation, _, extra = _pool_options(
        who, x, n, kernel_size, stride, padding, dilation, ceil_mode
    )
    width = x.shape[-n:]
    if any(extra):
        lowest = -math.inf if x.dtype.kind == "f" else np.iinfo(x.dtype).min
        x = F.pad(x, widths=((0, 0),) * (x.ndim - n) + tuple((0, e) for e in extra), value=lowest)
    y, index = F.max_pool(x, size=size, stride=stride, padding=padding, dilation=dilation)
    if not return_indices:
        return y
    if any(extra):  # positions in the widened x, as positions in x
        grid = np.unravel_index(index.numpy(), x.shape[-n:])
        index = wrap(x.backend.asarray(np.ravel_multi_index(grid, width, mode="clip")))
    return y, index


def max_pool1d(input, kernel_size, stride=None, padding=0, dilation=1, ceil_mode=False, return_indices=False):
    """The largest element of each window. input: (B, C, W) or (C, W). See MaxPool1d."""
    return _max_pool(input, kernel_size, stride, padding, dilation, ceil_mode, return_indices, 1)


def max_pool2d(input, kernel_size, stride=None, padding=0, dilation=1, ceil_mode=False, return_indices=False):
    """The largest element of each window. input: (B, C, H, W) or (C, H, W). See MaxPool2d."""
    return _max_pool(input, kernel_size, stride, padding, dilation, ceil_mode, return_indices, 2)


def max_pool3d(input, kernel_size, stride=None, padding=0, dilation=1, ceil_mode=False, return_indices=False):
    """The largest element of each window. input: (B, C, D, H, W) or (C, D, H, W). See MaxPool3d."""
    return _max_pool(input, kernel_size, stride, padding, dilation, ceil_mode, return_indices, 3)


def _avg_pool(x, kernel_size, stride, padding, ceil_mode, count_include_pad, divisor_override, n):
    who = f"avg_pool{n}d"
    size, stride, padding, _, outs, extra = _pool_options(who, x, n, kernel_size, stride, padding, 1, ceil_mode)
    lengths, plain = x.shape[-n:], not any(padding) and not any(extra)
    frame = tuple((p, p + e) for p, e in zip(padding, extra))
    sums = F.window_sum(x, size=size, stride=stride, frame=frame)  # (B, C, OH, OW)
    if divisor_override is not None:
        if divisor_override == 0:
            raise ArgumentError(f"{who}: divisor_override must not be 0.")
        return sums / divisor_override
    if plain:
        return sums / math.prod(size)
    counts = np.ones(())
    for o, k, s, p, m in zip(outs, size, stride, padding, lengths):  # elements of each window, along this axis
        start = np.arange(o) * s - p
        stop = np.minimum(start + k, m + p)
        inside = stop - start if count_include_pad else np.minimum(stop, m) - np.maximum(start, 0)
        counts = counts[..., None] * inside
    return sums / wrap(x.backend.asarray(counts.astype(x.dtype)))


def avg_pool1d(input, kernel_size, stride=None, padding=0, ceil_mode=False, count_include_pad=True):
    """The mean of each window. input: (B, C, W) or (C, W). See AvgPool1d."""
    return _avg_pool(input, kernel_size, stride, padding, ceil_mode, count_include_pad, None, 1)


def avg_pool2d(
    input, kernel_size, stride=None, padding=0, ceil_mode=False, count_include_pad=True, divisor_override=None
):
    """The mean of each window. input: (B, C, H, W) or (C, H, W). See AvgPool2d."""
    return _avg_pool(input, kernel_size, stride, padding, ceil_mode, count_include_pad, divisor_override, 2)


def avg_pool3d(
    input, kernel_size, stride=None, padding=0, ceil_mode=False, count_include_pad=True, divisor_override=None
):
    """The mean of each window. input: (B, C, D, H, W) or (C, D, H, W). See AvgPool3d."""
    return _avg_pool(input, kernel_size, stride, padding, ceil_mode, count_include_pad, divisor_override, 3)


def _adaptive_avg_pool(x: Tensor, output_size: Any, n: int) -> Tensor:
    who = f"adaptive_avg_pool{n}d"
    if x.ndim not in (n + 1, n + 2):
        raise ShapeError(f"{who}: x must have {n + 1} or {n + 2} axes: got shape {x.shape}.")
    sizes = tuple(output_size) if isinstance(output_size, (tuple, list)) else (output_size,) * n
    sizes = _tuple(tuple(m if o is None else o for o, m in zip(sizes, x.shape[-n:])), n, who, "output_size", 0)
    if all(o == 1 for o in sizes):
        return F.mean(x, axis=tuple(range(-n, 0)), keepdims=True)
    for axis, o in zip(range(x.ndim - n, x.ndim), sizes):
        m = x.shape[axis]
        if o == m:
            continue
        averages = np.zeros((m, o))  # column i: the mean over floor(i m / o) to ceil((i + 1) m / o)
        for i in range(o):
            start, stop = i * m // o, -(-(i + 1) * m // o)
            averages[start:stop, i] = 1 / (stop - start)
        y = F.matmul(functions.moveaxis(x, axis, -1), wrap(x.backend.asarray(averages.astype(x.dtype))))
        x = functions.moveaxis(y, -1, axis)
    return x


def adaptive_avg_pool1d(input, output_size):
    """The mean over output_size stretches of equal length (give or take one). input: (B, C, W)."""
    return _adaptive_avg_pool(input, output_size, 1)


def adaptive_avg_pool2d(input, output_size):
    """The mean over output_size = (OH, OW) areas that cover the image; None keeps a length. input: (B, C, H, W)."""
    return _adaptive_avg_pool(input, output_size, 2)


def adaptive_avg_pool3d(input, output_size):
    """The mean over output_size = (OD, OH, OW) boxes that cover the volume. input: (B, C, D, H, W)."""
    return _adaptive_avg_pool(input, output_size, 3)


# ---- normalisation ---------------------------------------------------------------------------------------------------


def batch_norm(
    input: Tensor,
    running_mean: Tensor | None,
    running_var: Tensor | None,
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    training: bool = False,
    momentum: float = 0.1,
    eps: float = 1e-5,
) -> Tensor:
    """y = (x - mean) / sqrt(var + eps) * weight + bias per channel. input: (B, C, ...); the others (C,) or None.

    training: mean and var of the batch, and running = (1 - momentum) running + momentum batch, in place, with the
    unbiased variance; otherwise the running ones. Ioffe and Szegedy 2015, arXiv:1502.03167.
    """
    if input.ndim < 2:
        raise ShapeError(f"batch_norm: x must be (B, C, ...): got shape {input.shape}.")
    channels = input.shape[1]
    for name, t in (("running_mean", running_mean), ("running_var", running_var), ("weight", weight), ("bias", bias)):
        if t is not None and t.shape != (channels,):
            raise ShapeError(
                f"batch_norm: {name} must have one value per channel: "
                f"{name} is {t.shape}, x {input.shape} has {channels} channels."
            )
    if not training:
        if running_mean is None or running_var is None:
            raise ArgumentError(
                "batch_norm: without training it needs running_mean and running_var. Pass training=True."
            )
        scale = F.rsqrt(running_var + eps)
        scale = scale if weight is None else scale * weight  # (C,)
        shift = -running_mean * scale if bias is None else bias - running_mean * scale
        channel = (-1, *[1] * (input.ndim - 2))
        return input * F.reshape(scale, channel) + F.reshape(shift, channel)
    n = input.size // channels if channels else 0
    if n == 1:
        raise ShapeError(
            f"batch_norm: training needs more than one value per channel: got x {input.shape}, whose variance is 0. "
            "Use a larger batch, or eval()."
        )
    if not n:
        return input * 1 if weight is None else input * F.reshape(weight, (-1, *[1] * (input.ndim - 2)))
    y, mean, var = F.batch_norm(input, weight, bias, eps=eps)
    if running_mean is not None or running_var is not None:
        with no_grad():
            for running, batch in ((running_mean, mean), (running_var, var.detach() * (n / (n - 1)))):
                if running is not None:
                    running.overwrite(running * (1 - momentum) + batch * momentum, "batch_norm")
    return y


def layer_norm(
    input: Tensor,
    normalized_shape: Sequence[int],
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    eps: float = 1e-5,
) -> Tensor:
    """y = (x - mean) / sqrt(var + eps) * weight + bias over the last axes. Ba, Kiros, Hinton 2016, arXiv:1607.06450."""
    shape = tuple(normalized_shape)
    if not shape or input.shape[-len(shape) :] != shape:
        raise ShapeError(
            "layer_norm: the last axes of x must be normalized_shape: "
            f"x is {input.shape}, expected (..., {', '.join(map(str, shape))})."
        )
    return F.layer_norm(input, weight, bias, ndim=len(shape), eps=eps)


def rms_norm(
    input: Tensor, normalized_shape: Sequence[int], weight: Tensor | None = None, eps: float | None = None
) -> Tensor:
    """y = x / sqrt(mean(x**2) + eps) * weight over the last axes; eps None: the dtype's.
    Zhang, Sennrich 2019, arXiv:1910.07467."""
    shape = tuple(normalized_shape)
    if not shape or input.shape[-len(shape) :] != shape:
        raise ShapeError(
            "rms_norm: the last axes of x must be normalized_shape: "
            f"x is {input.shape}, expected (..., {', '.join(map(str, shape))})."
        )
    eps = float(np.finfo(input.dtype).eps) if eps is None else eps
    return F.rms_norm(input, weight, ndim=len(shape), eps=eps)


def group_norm(
    input: Tensor, num_groups: int, weight: Tensor | None = None, bias: Tensor | None = None, eps: float = 1e-5
) -> Tensor:
    """Each sample's channels in num_groups groups, each normalised over itself. input: (B, C, ...).
    Wu, He 2018, arXiv:1803.08494."""
    if input.ndim < 2 or input.shape[1] % num_groups:
        raise ShapeError(
            f"group_norm: x must be (B, C, ...) with C divisible by num_groups={num_groups}: got {input.shape}."
        )
    return F.group_norm(input, weight, bias, groups=num_groups, eps=eps) if input.size else input * 1


def instance_norm(
    input, running_mean=None, running_var=None, weight=None, bias=None, use_input_stats=True, momentum=0.1, eps=1e-5
):
    """Each channel of each sample normalised over its spatial axes. input: (B, C, ...). Ulyanov et al.
    2016, arXiv:1607.08022."""
    if not use_input_stats:
        return batch_norm(input, running_mean, running_var, weight, bias, False, momentum, eps)
    if math.prod(input.shape[2:]) == 1:
        raise ShapeError(f"instance_norm: needs more than one spatial element per channel: got x {input.shape}.")
    if running_mean is not None:
        axes, n = tuple(range(2, input.ndim)), math.prod(input.shape[2:])
        with no_grad():
            mean = F.mean(F.mean(input, axis=axes), axis=0)
            var = F.mean(F.var(input, axis=axes), axis=0) * (n / (n - 1))
            running_mean.overwrite(running_mean * (1 - momentum) + mean * momentum, "instance_norm")
            running_var.overwrite(running_var * (1 - momentum) + var * momentum, "instance_norm")
    return group_norm(input, input.shape[1], weight, bias, eps)


def local_response_norm(input: Tensor, size: int, alpha: float = 1e-4, beta: float = 0.75, k: float = 1.0) -> Tensor:
    """y = x / (k + alpha mean(x**2 over `size` neighbouring channels))**beta. Krizhevsky et al. 2012, section 3.3."""
    sides = ((0, 0), (size // 2, (size - 1) // 2), *[(0, 0)] * (input.ndim - 2))
    squares = functions.moveaxis(F.pad(F.square(input), widths=sides), 1, -1)  # (B, ..., C + size - 1)
    means = F.mean(F.windows(squares, size=(size,), stride=(1,), dilation=(1,)), axis=-1)
    return input / F.power(functions.moveaxis(means, -1, 1) * alpha + k, beta)


def normalize(input: Tensor, p: float = 2.0, dim: int = 1, eps: float = 1e-12) -> Tensor:
    """x / max(||x||_p, eps) along `dim`."""
    norm = (
        F.power(F.sum(F.power(F.abs(input), p), axis=dim, keepdims=True), 1 / p)
        if p != 2
        else F.sqrt(F.sum(F.square(input), axis=dim, keepdims=True))
    )
    return input / F.maximum(norm, eps)


# ---- dropout ---------------------------------------------------------------------------------------------------------


def _drop(x: Tensor, p: float, training: bool, shape: tuple[int, ...], who: str) -> Tensor:
    """x times a mask of 0 (with probability p) and 1 / (1 - p), drawn in `shape`, which broadcasts to x."""
    if not 0 <= p <= 1:
        raise ArgumentError(f"{who}: p must be a probability, from 0 to 1: got {p}.")
    if not training or p == 0:
        return x
    kept = default_generator.numpy("random", size=shape, dtype=np.float32) >= p if p < 1 else np.zeros(shape, bool)
    mask = np.multiply(kept, 1 / (1 - p) if p < 1 else 0, dtype=x.dtype)  # the mean of y is x
    return x * wrap(x.backend.asarray(mask))


def dropout(input: Tensor, p: float = 0.5, training: bool = True, inplace: bool = False) -> Tensor:
    """In training each element is 0 with probability p, else x / (1 - p). Srivastava et al. 2014, JMLR 15.
    See Dropout."""
    return _drop(input, p, training, input.shape, "dropout")


def _drop_channels(x: Tensor, p: float, training: bool, n: int) -> Tensor:
    who = f"dropout{n}d"
    if x.ndim not in (n + 1, n + 2):
        raise ShapeError(f"{who}: x must be (B, C, ...) or (C, ...) with {n} spatial axes: got shape {x.shape}.")
    return _drop(x, p, training, (*x.shape[: x.ndim - n], *[1] * n), who)


def dropout1d(input: Tensor, p: float = 0.5, training: bool = True, inplace: bool = False) -> Tensor:
    """As dropout, but whole channels drop. input: (B, C, W) or (C, W)."""
    return _drop_channels(input, p, training, 1)


def dropout2d(input: Tensor, p: float = 0.5, training: bool = True, inplace: bool = False) -> Tensor:
    """As dropout, but whole channels drop. input: (B, C, H, W) or (C, H, W). Tompson et al. 2014, arXiv:1411.4280."""
    return _drop_channels(input, p, training, 2)


def dropout3d(input: Tensor, p: float = 0.5, training: bool = True, inplace: bool = False) -> Tensor:
    """As dropout, but whole channels drop. input: (B, C, D, H, W) or (C, D, H, W)."""
    return _drop_channels(input, p, training, 3)


def alpha_dropout(input: Tensor, p: float = 0.5, training: bool = False, inplace: bool = False) -> Tensor:
    """Dropout that keeps mean 0 and variance 1 behind SELU. Klambauer et al. 2017, arXiv:1706.02515, section 3."""
    if not 0 <= p <= 1:
        raise ArgumentError(f"alpha_dropout: p must be a probability, from 0 to 1: got {p}.")
    if not training or p == 0:
        return input
    if p == 1:
        return input * 0
    low = -1.7580993408473766  # -alpha lambda of SELU: what a dropped element becomes
    a = 1 / math.sqrt((1 - p) * (1 + p * low**2))
    kept = default_generator.numpy("random", size=input.shape, dtype=np.float32) >= p
    scale = wrap(input.backend.asarray(np.multiply(kept, a, dtype=input.dtype)))
    shift = wrap(input.backend.asarray((np.where(kept, 0.0, low * a) - low * a * p).astype(input.dtype)))
    return input * scale + shift


# ---- attention -------------------------------------------------------------------------------------------------------


def _attention_inputs(query: Tensor, key: Tensor, value: Tensor, mask: Any, causal: bool, gqa: bool) -> tuple:
    """Key and value with as many heads as the query, and the mask as a Tensor; or an error that says what to change."""
    who = "scaled_dot_product_attention"
    for name, x in (("query", query), ("key", key), ("value", value)):
        if x.ndim < 2:
            raise ShapeError(f"{who}: {name} must be (..., length, size): got shape {x.shape}.")
    if query.shape[-1] != key.shape[-1] or key.shape[-2] != value.shape[-2]:
        raise ShapeError(
            f"{who}: query (..., T, D), key (..., S, D) and value (..., S, E) must agree in D and S: got "
            f"{query.shape}, {key.shape} and {value.shape}."
        )
    if gqa:
        heads, groups = (query.shape[-3], key.shape[-3]) if min(query.ndim, key.ndim, value.ndim) > 2 else (0, 0)
        if not groups or heads % groups or value.shape[-3] != groups:
            raise ShapeError(
                f"{who}: with enable_gqa the heads (axis -3) of key and value must be equal and divide the query's: "
                f"got {query.shape}, {key.shape} and {value.shape}."
            )
    if mask is not None:
        mask = mask if isinstance(mask, Tensor) else wrap(as_array(mask))
        if mask.dtype.kind not in "bf":
            raise DTypeError(
                f"{who}: attn_mask must hold truth values (True: takes part) or floats to add: got {mask.dtype}."
            )
        if causal:
            raise ArgumentError(f"{who}: is_causal=True makes the mask itself: leave attn_mask out, or join them.")
        scores = (*query.shape[:-1], key.shape[-2])
        fits = zip(mask.shape[::-1], scores[::-1])
        if mask.ndim > len(scores) or any(a not in (1, b) for a, b in fits):
            raise ShapeError(f"{who}: attn_mask must broadcast to the scores {scores}: got shape {mask.shape}.")
        if mask.dtype.kind == "f":
            mask = mask.astype(query.dtype)
    return key, value, mask


def _grouped_heads(query: Tensor, key: Tensor, value: Tensor, mask: Tensor | None) -> tuple:
    """Query (..., H, T, D) as (..., G, H / G, T, D), key and value (..., G, S, D) as (..., G, 1, S, D), which serve
    H / G heads each without a copy, and the mask to go with them."""

    def split(x):  # axis -3 in two; one of length 1 as two of them
        *batch, heads, rows, columns = x.shape
        groups = key.shape[-3] if heads > 1 else 1
        return F.reshape(x, (*batch, groups, heads // groups, rows, columns))

    mask = split(mask) if mask is not None and mask.ndim > 2 else mask
    return split(query), F.expand_dims(key, axis=-3), F.expand_dims(value, axis=-3), mask


def attention_weights(query: Tensor, key: Tensor, mask: Tensor | None, causal: bool, scale: float | None) -> Tensor:
    """softmax(Q K^T scale + mask), (..., T, S), as an array: for what `attention` never forms. A query that sees no
    key has weights 0."""
    s = F.matmul(query, F.matrix_transpose(key)) * (query.shape[-1] ** -0.5 if scale is None else scale)  # (..., T, S)
    if mask is not None:
        s = F.where(mask, s, -math.inf) if mask.dtype.kind == "b" else s + mask
    if causal:
        s = F.where(F.greater(F.triu(F.zeros_like(s) + 1, k=1), 0), -math.inf, s)
    if not s.size:
        return s
    top = F.max(s, axis=-1, keepdims=True).detach()  # exp overflows above ~88 in float32
    if mask is not None:
        top = F.where(F.equal(top, -math.inf), 0, top)  # a query that sees no key: -inf - -inf would be NaN ...
    e = F.exp(s - top)
    total = F.sum(e, axis=-1, keepdims=True)  # (..., T, 1)
    return e / (total if mask is None else F.where(F.equal(total, 0), 1, total))  # ... and 0 / 0


def scaled_dot_product_attention(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attn_mask: Tensor | None = None,
    dropout_p: float = 0.0,
    is_causal: bool = False,
    scale: float | None = None,
    enable_gqa: bool = False,
) -> Tensor:
    """y = softmax(Q K^T scale + mask) V. query: (..., T, D); key: (..., S, D); value: (..., S, E); y: (..., T, E).

    attn_mask: broadcasts to (..., T, S); truth values, True takes part, or floats that are added. is_causal: query i
    sees keys 0 to i. scale: 1 / sqrt(D) if None. dropout_p: applied to the weights whenever it is not 0, so pass 0 in
    evaluation. enable_gqa: query has a multiple of the heads of key and value (axis -3), which are shared in groups
    (Ainslie et al. 2023, arXiv:2305.13245). A query that sees no key gets zeros. The weights are never formed, here and
    in the backward pass: memory grows with T, not with T S.
    Vaswani et al. 2017, arXiv:1706.03762, section 3.2.1.

    >>> import minigrad as mg
    >>> from minigrad.nn.functional import scaled_dot_product_attention
    >>> x = mg.ones(2, 4, 10, 8)
    >>> scaled_dot_product_attention(x, x, x, is_causal=True).shape
    (2, 4, 10, 8)
    """
    if not 0 <= dropout_p <= 1:
        raise ArgumentError(f"scaled_dot_product_attention: dropout_p must be from 0 to 1: got {dropout_p}.")
    key, value, mask = _attention_inputs(query, key, value, attn_mask, is_causal, enable_gqa)
    heads = query.shape[-3] if enable_gqa and query.shape[-3] != key.shape[-3] else 0
    if heads:
        query, key, value, mask = _grouped_heads(query, key, value, mask)
    if not (query.size and key.size and value.size):
        y = F.matmul(attention_weights(query, key, mask, is_causal, scale), value)
    else:
        seed = wrap(query.backend.asarray(default_generator.numpy("integers", 2**32, size=2))) if dropout_p else None
        y = F.attention(query, key, value, mask, seed, causal=is_causal, scale=scale, dropout=dropout_p)
    return F.reshape(y, (*y.shape[:-4], heads, *y.shape[-2:])) if heads else y


# ---- activations -----------------------------------------------------------------------------------------------------
# `inplace` is accepted and changes nothing: outputs are new arrays.


def relu(input: Tensor, inplace: bool = False) -> Tensor:
    """y = max(x, 0)."""
    return F.relu(input)


sigmoid, tanh, logsigmoid, softsign, tanhshrink = F.sigmoid, F.tanh, F.log_sigmoid, F.softsign, F.tanhshrink


def relu6(input: Tensor, inplace: bool = False) -> Tensor:
    """y = min(max(x, 0), 6)."""
    return F.hardtanh(input, min_val=0.0, max_val=6.0)


def leaky_relu(input: Tensor, negative_slope: float = 0.01, inplace: bool = False) -> Tensor:
    """y = x where x > 0, else negative_slope x."""
    return F.leaky_relu(input, negative_slope=negative_slope)


def prelu(input: Tensor, weight: Tensor) -> Tensor:
    """y = x where x > 0, else weight x. weight: (1,), or (C,) for the channels at axis 1. He et al.
    2015, arXiv:1502.01852."""
    if weight.size != 1:
        if input.ndim < 2 or weight.shape != (input.shape[1],):
            raise ShapeError(
                f"prelu: weight must be (1,) or one per channel (axis 1): got {weight.shape} for x {input.shape}."
            )
        weight = F.reshape(weight, (-1, *[1] * (input.ndim - 2)))
    return F.where(F.greater(input, 0), input, weight * input)


def elu(input: Tensor, alpha: float = 1.0, inplace: bool = False) -> Tensor:
    """y = x where x > 0, else alpha (e**x - 1)."""
    return F.elu(input, alpha=alpha)


def celu(input: Tensor, alpha: float = 1.0, inplace: bool = False) -> Tensor:
    """y = x where x > 0, else alpha (e**(x / alpha) - 1)."""
    return F.celu(input, alpha=alpha)


def selu(input: Tensor, inplace: bool = False) -> Tensor:
    """y = s x where x > 0, else s a (e**x - 1)."""
    return F.selu(input)


def silu(input: Tensor, inplace: bool = False) -> Tensor:
    """y = x sigmoid(x)."""
    return F.silu(input)


def mish(input: Tensor, inplace: bool = False) -> Tensor:
    """y = x tanh(softplus(x))."""
    return F.mish(input)


def softplus(input: Tensor, beta: float = 1.0, threshold: float = 20.0) -> Tensor:
    """y = ln(1 + e**(beta x)) / beta, and x itself where beta x > threshold, as PyTorch has it."""
    scaled = input * beta
    return F.where(F.greater(scaled, threshold), input, F.softplus(scaled) / beta)


def hardtanh(input: Tensor, min_val: float = -1.0, max_val: float = 1.0, inplace: bool = False) -> Tensor:
    """y = x, at least min_val and at most max_val."""
    return F.hardtanh(input, min_val=min_val, max_val=max_val)


def hardsigmoid(input: Tensor, inplace: bool = False) -> Tensor:
    """y = (x + 3) / 6, at least 0 and at most 1."""
    return F.hardsigmoid(input)


def hardswish(input: Tensor, inplace: bool = False) -> Tensor:
    """y = x hardsigmoid(x)."""
    return F.hardswish(input)


def softshrink(input: Tensor, lambd: float = 0.5) -> Tensor:
    """y = x moved towards 0 by lambd, at most to 0."""
    return F.softshrink(input, lambd=lambd)


def hardshrink(input: Tensor, lambd: float = 0.5) -> Tensor:
    """y = x where |x| > lambd, else 0."""
    return F.hardshrink(input, lambd=lambd)


def threshold(input: Tensor, threshold: float, value: float, inplace: bool = False) -> Tensor:
    """y = x where x > threshold, else value."""
    return F.where(F.greater(input, threshold), input, value)


def glu(input: Tensor, dim: int = -1) -> Tensor:
    """y = a sigmoid(b), a and b the halves of x along `dim`. Dauphin et al. 2016, arXiv:1612.08083."""
    if not input.ndim or input.shape[dim] % 2:
        raise ShapeError(f"glu: axis {dim} must have an even length, for two halves: got shape {input.shape}.")
    a, b = functions.split(input, input.shape[dim] // 2, dim)
    return a * F.sigmoid(b)


def gelu(input: Tensor, approximate: str = "none") -> Tensor:
    """y = x P(N(0, 1) <= x), or its approximation by tanh. Hendrycks and Gimpel 2016, arXiv:1606.08415."""
    if approximate not in ("none", "tanh"):
        raise ArgumentError(f"gelu: approximate must be 'none' or 'tanh': got {approximate!r}.")
    return F.gelu(input) if approximate == "none" else F.gelu_tanh(input)


def _dim(dim: int | None, ndim: int, who: str) -> int:
    if dim is not None:
        return dim
    warnings.warn(f"{who}: say which dim; without it PyTorch's old rule picks one.", stacklevel=3)
    return 0 if ndim in (0, 1, 3) else 1


def softmax(input: Tensor, dim: int | None = None, dtype: Any = None) -> Tensor:
    """y = e**x / sum(e**x) along `dim`: positive, summing to 1."""
    x = input if dtype is None else input.astype(dtype)
    return F.softmax(x, axis=_dim(dim, x.ndim, "softmax"))


def log_softmax(input: Tensor, dim: int | None = None, dtype: Any = None) -> Tensor:
    """y = x - ln(sum(e**x)) along `dim`."""
    x = input if dtype is None else input.astype(dtype)
    return F.log_softmax(x, axis=_dim(dim, x.ndim, "log_softmax"))


def softmin(input: Tensor, dim: int | None = None, dtype: Any = None) -> Tensor:
    """y = softmax(-x) along `dim`."""
    return softmax(-input, _dim(dim, input.ndim, "softmin"), dtype)


# ---- losses ----------------------------------------------------------------------------------------------------------


def _reduced(losses: Tensor, reduction: str, who: str) -> Tensor:
    if reduction == "mean":
        return F.mean(losses) if losses.size else F.sum(losses) * math.nan  # the mean of nothing
    if reduction == "sum":
        return F.sum(losses)
    if reduction == "none":
        return losses
    raise ArgumentError(f"{who}: reduction must be 'none', 'mean' or 'sum': got {reduction!r}.")


def _weighted(losses: Tensor, weight: Tensor | None, reduction: str, who: str) -> Tensor:
    """With a factor per element 'mean' divides by the sum of the factors, as PyTorch does."""
    if weight is None:
        return _reduced(losses, reduction, who)
    if weight.shape != losses.shape:
        raise ShapeError(f"{who}: weight must have the shape of the input: got {weight.shape} for {losses.shape}.")
    losses = losses * weight
    return F.sum(losses) / _nonzero(F.sum(weight)) if reduction == "mean" else _reduced(losses, reduction, who)


def _pair(input: Any, target: Any, who: str) -> tuple[Tensor, Tensor]:
    """input and target as tensors of one shape; a target of integers takes the dtype of the input."""
    input = input if isinstance(input, Tensor) else wrap(as_array(input))
    target = target if isinstance(target, Tensor) else wrap(as_array(target))
    if input.shape != target.shape:
        hint = ""
        if sorted(filter(lambda n: n != 1, input.shape)) == sorted(filter(lambda n: n != 1, target.shape)):
            hint = f" Use target.reshape({input.shape})."
        raise ShapeError(f"{who}: input and target must have one shape: got {input.shape} and {target.shape}.{hint}")
    return input, target if target.dtype.kind in "fc" else target.astype(input.dtype)


def mse_loss(input: Tensor, target: Tensor, reduction: str = "mean", weight: Tensor | None = None) -> Tensor:
    """(x - t)**2, averaged. input, target: any one shape."""
    input, target = _pair(input, target, "mse_loss")
    return _weighted(F.square(input - target), weight, reduction, "mse_loss")


def l1_loss(input: Tensor, target: Tensor, reduction: str = "mean", weight: Tensor | None = None) -> Tensor:
    """|x - t|, averaged. input, target: any one shape."""
    input, target = _pair(input, target, "l1_loss")
    return _weighted(F.abs(input - target), weight, reduction, "l1_loss")


def cross_entropy(
    input: Tensor,
    target: Tensor,
    weight: Tensor | None = None,
    ignore_index: int = -100,
    reduction: str = "mean",
    label_smoothing: float = 0.0,
) -> Tensor:
    """-log softmax(x)[t]: the loss of a classifier that outputs scores (logits).

    input: (K,), (B, K) or (B, K, d1, ...). target:
    class indices () , (B,) or (B, d1, ...), or probabilities shaped like input.
    weight: (K,), a factor per class. With indices, 'mean' divides by the sum of the factors of the targets that are not
    ignore_index, as PyTorch does; with probabilities by the number of samples.
    label_smoothing e: t becomes (1 - e) t + e / K.
    """
    input = input if isinstance(input, Tensor) else wrap(as_array(input))
    target = target if isinstance(target, Tensor) else wrap(as_array(target))
    who = "cross_entropy"
    if not input.ndim:
        raise ShapeError(f"{who}: input must be (K,), (B, K) or (B, K, ...): got a 0-d tensor.")
    if not 0 <= label_smoothing <= 1:
        raise ArgumentError(f"{who}: label_smoothing must be from 0 to 1: got {label_smoothing}.")
    axis = 1 if input.ndim > 1 else 0
    k = input.shape[axis]
    if weight is not None and weight.shape != (k,):
        raise ShapeError(f"{who}: weight must have one factor per class: got {weight.shape} for {k} classes.")
    soft = target.shape == input.shape and target.dtype.kind == "f"
    if not soft and not label_smoothing:
        return _class_loss(_cross_entropies, input, target, weight, ignore_index, reduction, who)
    logp = F.log_softmax(input, axis=axis)
    if soft:
        return _soft_cross_entropy(logp, target, weight, axis, reduction, label_smoothing)
    loss = _class_loss(_picked, logp, target, weight, ignore_index, reduction, who)
    smooth = -F.sum(logp if weight is None else logp * _along_classes(weight, logp), axis=axis)  # (B, ...)
    kept = F.not_equal(target, ignore_index)
    smooth = F.where(kept, smooth, 0)
    if reduction == "mean":
        share = F.sum(kept) if weight is None else F.sum(F.where(kept, weight[F.where(kept, target, 0)], 0))
        smooth = F.sum(smooth) / _nonzero(share.astype(logp.dtype))
    elif reduction == "sum":
        smooth = F.sum(smooth)
    return loss * (1 - label_smoothing) + smooth * (label_smoothing / k)


def _along_classes(weight: Tensor, x: Tensor) -> Tensor:
    """(K,) shaped to broadcast over (B, K, ...)."""
    return F.reshape(weight, (-1, *[1] * (x.ndim - 2)))


def _nonzero(count: Tensor) -> Tensor:
    """The divisor of a mean, NaN instead of 0: the mean of nothing is NaN, without a warning."""
    return F.where(F.equal(count, 0), math.nan, count)


def _soft_cross_entropy(logp, target, weight, axis, reduction, label_smoothing):
    k = logp.shape[axis]
    if label_smoothing:
        target = target * (1 - label_smoothing) + label_smoothing / k
    terms = logp * target
    terms = terms if weight is None else terms * _along_classes(weight, logp)
    if reduction == "mean":
        return -F.sum(terms) / ((logp.size // k if k else 0) or math.nan)
    return _reduced(-F.sum(terms, axis=axis), reduction, "cross_entropy")


def nll_loss(
    input: Tensor,
    target: Tensor,
    weight: Tensor | None = None,
    ignore_index: int = -100,
    reduction: str = "mean",
) -> Tensor:
    """-w[t] x[t] for log-probabilities x. Shapes and the meaning of 'mean' as for cross_entropy with class indices."""
    return _class_loss(_picked, input, target, weight, ignore_index, reduction, "nll_loss")


def _picked(x: Tensor, places: Tensor, axis: int) -> Tensor:
    """-x[t] for log-probabilities x: (B, K, ...) and labels (B, ...)."""
    return -F.squeeze(F.take_along_axis(x, F.expand_dims(places, axis=axis), axis=axis), axis=axis)


def _cross_entropies(x: Tensor, places: Tensor, axis: int) -> Tensor:
    """-log_softmax(x)[t] for scores x: (B, K, ...) and labels (B, ...)."""
    if x.ndim == 2 and x.size and x.dtype.kind == "f":
        return F.cross_entropy(x, places)
    return _picked(F.log_softmax(x, axis=axis), places, axis)


def _class_loss(losses_of, input, target, weight, ignore_index, reduction, _who):
    """The losses_of(input, labels, axis), weighted, without the ignored ones, and reduced."""
    target = target if isinstance(target, Tensor) else wrap(as_array(target))
    axis = 1 if input.ndim > 1 else 0
    expected = input.shape[:axis] + input.shape[axis + 1 :]
    if target.shape != expected:
        hint = " Probabilities must be floats." if target.shape == input.shape else ""
        if target.shape == (*expected, 1):
            hint = " Use target[..., 0]."
        raise ShapeError(
            f"{_who}: class indices must be {expected} for input {input.shape}, whose classes are axis {axis}: "
            f"got {target.shape}.{hint}"
        )
    if target.dtype.kind not in "iu":
        raise DTypeError(f"{_who}: class indices must be integers: got {target.dtype}. Use .astype('int64').")
    if reduction not in ("none", "mean", "sum"):
        raise ArgumentError(f"{_who}: reduction must be 'none', 'mean' or 'sum': got {reduction!r}.")
    k, labels = input.shape[axis], target.array
    low, high = bounds(target)
    mask = labels != ignore_index if low <= ignore_index <= high else None
    places = target if mask is None else wrap(labels * mask)  # ignored ones point at class 0
    if mask is not None:
        low, high = bounds(places)
    if labels.size and (low < 0 or high >= k):
        raise IndexRangeError(
            f"{_who}: labels must be from 0 to K - 1 = {k - 1} for input {input.shape}, or "
            f"ignore_index={ignore_index}: "
            f"got {low if low < 0 else high}. Labels count from 0; K is the length of axis {axis}."
        )
    losses = losses_of(input, places, axis)  # (B, ...)
    if mask is not None:
        losses = F.where(wrap(mask), losses, 0)
    factors = None if mask is None else wrap(mask.astype(losses.dtype))
    if weight is not None:
        losses = losses * weight[places]
        factors = weight[places] if factors is None else weight[places] * factors
    if factors is None:
        return _reduced(losses, reduction, _who)
    if reduction == "mean":
        return F.sum(losses) / _nonzero(F.sum(factors))
    return _reduced(losses, reduction, _who)


def binary_cross_entropy_with_logits(
    input: Tensor,
    target: Tensor,
    weight: Tensor | None = None,
    reduction: str = "mean",
    pos_weight: Tensor | None = None,
) -> Tensor:
    """-(t log s + (1 - t) log(1 - s)) with s = sigmoid(x), computed as softplus(x) - t x, which cannot overflow.

    pos_weight: factor of the positive term, broadcast along the last axes. input, target: any one shape.
    """
    input, target = _pair(input, target, "binary_cross_entropy_with_logits")
    if pos_weight is None:
        losses = F.softplus(input) - input * target
    else:  # (1 - t) x + (1 + (w - 1) t) softplus(-x)
        losses = input - input * target + ((pos_weight - 1) * target + 1) * F.softplus(-input)
    losses = losses if weight is None else losses * weight
    return _reduced(losses, reduction, "binary_cross_entropy_with_logits")


def hinge_loss(input: Tensor, target: Tensor, reduction: str = "mean") -> Tensor:
    """max(0, 1 - t x), t = -1 or 1: the loss of a support vector machine. input, target: any one shape."""
    input, target = _pair(input, target, "hinge_loss")
    return _reduced(F.relu(1 - input * target), reduction, "hinge_loss")


def smooth_l1_loss(input: Tensor, target: Tensor, reduction: str = "mean", beta: float = 1.0) -> Tensor:
    """(x - t)**2 / (2 beta) where |x - t| < beta, else |x - t| - beta / 2. Girshick 2015, arXiv:1504.08083."""
    if beta < 0:
        raise ArgumentError(f"smooth_l1_loss: beta must not be negative: got {beta}.")
    if beta == 0:
        return l1_loss(input, target, reduction)
    input, target = _pair(input, target, "smooth_l1_loss")
    d = input - target
    near = F.less(F.abs(d), beta)
    return _reduced(F.where(near, F.square(d) * (0.5 / beta), F.abs(d) - 0.5 * beta), reduction, "smooth_l1_loss")


def huber_loss(
    input: Tensor, target: Tensor, reduction: str = "mean", delta: float = 1.0, weight: Tensor | None = None
) -> Tensor:
    """(x - t)**2 / 2 where |x - t| < delta, else delta (|x - t| - delta / 2). Huber 1964, Ann. Math. Statist. 35."""
    if delta <= 0:
        raise ArgumentError(f"huber_loss: delta must be above 0: got {delta}.")
    input, target = _pair(input, target, "huber_loss")
    d = input - target
    near = F.less(F.abs(d), delta)
    losses = F.where(near, F.square(d) * 0.5, (F.abs(d) - 0.5 * delta) * delta)
    return _reduced(losses if weight is None else losses * weight, reduction, "huber_loss")


def binary_cross_entropy(
    input: Tensor, target: Tensor, weight: Tensor | None = None, reduction: str = "mean"
) -> Tensor:
    """-(t log x + (1 - t) log(1 - x)) for probabilities x; logs are at least -100, as in PyTorch. Any one shape.

    For scores, binary_cross_entropy_with_logits is exact where sigmoid rounds to 0 or 1.
    """
    input, target = _pair(input, target, "binary_cross_entropy")
    if input.size:
        low, high = bounds(input)
        if low < 0 or high > 1:
            raise ArgumentError(
                f"binary_cross_entropy: input must be probabilities, from 0 to 1: got {low:g} to {high:g}. "
                "For scores use binary_cross_entropy_with_logits."
            )
    losses = F.binary_cross_entropy(input, target)
    return _reduced(losses if weight is None else losses * weight, reduction, "binary_cross_entropy")


def kl_div(input: Tensor, target: Tensor, reduction: str = "mean", log_target: bool = False) -> Tensor:
    """t (log t - x) for log-probabilities x, 0 where t = 0.
    reduction also 'batchmean', the sum divided by the batch size."""
    if log_target:
        losses = F.exp(target) * (target - input)
    else:
        positive = F.greater(target, 0)
        losses = F.where(positive, target * F.log(F.where(positive, target, 1)), 0) - target * input
    if reduction == "batchmean":
        return F.sum(losses) / (input.shape[0] or math.nan)
    return _reduced(losses, reduction, "kl_div")


def hinge_embedding_loss(input: Tensor, target: Tensor, margin: float = 1.0, reduction: str = "mean") -> Tensor:
    """x where t = 1, max(0, margin - x) where t = -1: x is a distance that should be small or large."""
    input, target = _pair(input, target, "hinge_embedding_loss")
    apart = F.where(F.not_equal(target, 1), F.relu(margin - input), 0)
    return _reduced(apart + F.where(F.not_equal(target, -1), input, 0), reduction, "hinge_embedding_loss")


def multi_margin_loss(
    input: Tensor,
    target: Tensor,
    p: int = 1,
    margin: float = 1.0,
    weight: Tensor | None = None,
    reduction: str = "mean",
) -> Tensor:
    """sum over j != t of w[t] max(0, margin - x[t] + x[j])**p / K: the multi-class hinge.
    input: (B, K) or (K,); target: (B,) or ().

    Crammer and Singer 2001, JMLR 2.
    """
    target = target if isinstance(target, Tensor) else wrap(as_array(target))
    if p not in (1, 2):
        raise ArgumentError(f"multi_margin_loss: p must be 1 or 2: got {p}.")
    if input.ndim not in (1, 2) or target.shape != input.shape[:-1]:
        raise ShapeError(f"multi_margin_loss: input (B, K) needs target (B,): got {input.shape} and {target.shape}.")
    k = input.shape[-1]
    _check_range("multi_margin_loss", target, k, "labels", "K")
    own = F.expand_dims(target, axis=-1)  # (B, 1)
    terms = F.relu(input - F.take_along_axis(input, own, axis=-1) + margin)  # (B, K)
    terms = terms if p == 1 else F.square(terms)
    terms = terms if weight is None else terms * F.expand_dims(weight[target], axis=-1)
    others = F.not_equal(wrap(input.backend.xp.arange(k)), own)  # (B, K)
    return _reduced(F.sum(F.where(others, terms, 0), axis=-1) / k, reduction, "multi_margin_loss")


def soft_margin_loss(input: Tensor, target: Tensor, reduction: str = "mean") -> Tensor:
    """ln(1 + e**(-t x)), t = -1 or 1."""
    input, target = _pair(input, target, "soft_margin_loss")
    return _reduced(F.softplus(-target * input), reduction, "soft_margin_loss")


def margin_ranking_loss(
    input1: Tensor, input2: Tensor, target: Tensor, margin: float = 0.0, reduction: str = "mean"
) -> Tensor:
    """max(0, margin - t (x1 - x2)), t = 1: x1 should be larger, t = -1: x2."""
    return _reduced(F.relu(-target * (input1 - input2) + margin), reduction, "margin_ranking_loss")


def cosine_similarity(x1: Tensor, x2: Tensor, dim: int = 1, eps: float = 1e-8) -> Tensor:
    """x1 . x2 / (max(|x1|, eps) max(|x2|, eps)) along `dim`."""
    norms = [F.maximum(F.sqrt(F.sum(F.square(x), axis=dim)), eps) for x in (x1, x2)]
    return F.sum(x1 * x2, axis=dim) / (norms[0] * norms[1])


def poisson_nll_loss(
    input: Tensor,
    target: Tensor,
    log_input: bool = True,
    full: bool = False,
    eps: float = 1e-8,
    reduction: str = "mean",
) -> Tensor:
    """e**x - t x for the logarithm x of a rate (log_input), or x - t ln(x + eps);
    full: plus Stirling's ln t! where t > 1."""
    losses = F.exp(input) - target * input if log_input else input - target * F.log(input + eps)
    if full:
        t = F.where(F.greater(target, 1), target, 1)
        stirling = t * F.log(t) - t + F.log(t * (2 * math.pi)) * 0.5
        losses = losses + F.where(F.greater(target, 1), stirling, 0)
    return _reduced(losses, reduction, "poisson_nll_loss")


def gaussian_nll_loss(
    input: Tensor, target: Tensor, var: Any, full: bool = False, eps: float = 1e-6, reduction: str = "mean"
) -> Tensor:
    """(ln v + (x - t)**2 / v) / 2, v the variance, at least eps; full: plus ln(2 pi) / 2."""
    var = var if isinstance(var, Tensor) else wrap(as_array(var, input.dtype))
    if bounds(var)[0] < 0:
        raise ArgumentError("gaussian_nll_loss: var must not be negative.")
    if var.ndim == input.ndim - 1 and var.shape == input.shape[:-1]:
        var = F.expand_dims(var, axis=-1)
    v = var + F.relu(eps - var).detach()  # PyTorch's clamp lets no gradient of its own through
    losses = (F.log(v) + F.square(input - target) / v) * 0.5
    return _reduced(losses + 0.5 * math.log(2 * math.pi) if full else losses, reduction, "gaussian_nll_loss")


def triplet_margin_loss(
    anchor: Tensor,
    positive: Tensor,
    negative: Tensor,
    margin: float = 1.0,
    p: float = 2,
    eps: float = 1e-6,
    swap: bool = False,
    reduction: str = "mean",
) -> Tensor:
    """max(0, d(a, p) - d(a, n) + margin) with d(x, y) = ||x - y + eps||_p over the last axis;
    swap: the nearer of a, p to n."""
    near, far = pairwise_distance(anchor, positive, p, eps), pairwise_distance(anchor, negative, p, eps)
    if swap:
        far = F.minimum(far, pairwise_distance(positive, negative, p, eps))
    return _reduced(F.relu(near - far + margin), reduction, "triplet_margin_loss")


def pairwise_distance(x1: Tensor, x2: Tensor, p: float = 2.0, eps: float = 1e-6, keepdim: bool = False) -> Tensor:
    """||x1 - x2 + eps||_p over the last axis."""
    d = x1 - x2 + eps
    if p == 2:
        return F.sqrt(F.sum(F.square(d), axis=-1, keepdims=keepdim))
    return F.power(F.sum(F.power(F.abs(d), p), axis=-1, keepdims=keepdim), 1 / p)


def cosine_embedding_loss(
    input1: Tensor, input2: Tensor, target: Tensor, margin: float = 0.0, reduction: str = "mean"
) -> Tensor:
    """1 - cos(x1, x2) where t = 1, max(0, cos - margin) where t = -1. inputs: (B, D) or (D,); target: (B,) or ()."""
    squares = [F.sum(F.square(x), axis=-1) + 1e-12 for x in (input1, input2)]  # PyTorch's epsilon
    cos = F.sum(input1 * input2, axis=-1) / F.sqrt(squares[0] * squares[1])
    losses = F.where(F.equal(target, 1), 1 - cos, 0) + F.where(F.equal(target, -1), F.relu(cos - margin), 0)
    return _reduced(losses, reduction, "cosine_embedding_loss")
