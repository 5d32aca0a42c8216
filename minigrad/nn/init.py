"""Ways to fill a tensor before training, in place. Names, arguments and formulas are PyTorch's (torch.nn.init).

fan_in is the number of inputs that one output sums over, fan_out the reverse; for a weight (O, C, KH, KW) these are C
KH KW and O KH KW. Each function returns the tensor it filled.
"""

from __future__ import annotations

import math
import warnings
from typing import Any

import numpy as np

from ..edits import written
from ..errors import ArgumentError, ShapeError
from ..random import Generator, default_generator
from ..tensor import Tensor


def _fill(t: Tensor, values: Any, name: str) -> Tensor:
    t.array[...] = values if np.isscalar(values) else t.backend.asarray(np.asarray(values), dtype=t.dtype)
    written(t, name)
    return t


def _draw(generator: Generator | None, method: str, *args: Any, **kwargs: Any) -> np.ndarray:
    return (generator or default_generator).numpy(method, *args, **kwargs)


def _native(t: Tensor) -> Any:
    return t.dtype if t.dtype == np.float64 else np.float32


def uniform_(tensor: Tensor, a: float = 0.0, b: float = 1.0, generator: Generator | None = None) -> Tensor:
    """Uniform on [a, b)."""
    values = _draw(generator, "random", size=tensor.shape, dtype=_native(tensor))
    return _fill(tensor, values * (b - a) + a, "uniform_")


def normal_(tensor: Tensor, mean: float = 0.0, std: float = 1.0, generator: Generator | None = None) -> Tensor:
    """Normal with this mean and standard deviation."""
    values = _draw(generator, "standard_normal", size=tensor.shape, dtype=_native(tensor))
    return _fill(tensor, values * std + mean, "normal_")


def trunc_normal_(
    tensor: Tensor,
    mean: float = 0.0,
    std: float = 1.0,
    a: float = -2.0,
    b: float = 2.0,
    generator: Generator | None = None,
) -> Tensor:
    """Normal with this mean and standard deviation (before the cut), cut off outside [a, b].

    Drawn again until accepted: from the normal itself where [a, b] holds much of it, else evenly from [a, b], accepted
    with the density relative to its peak there. Robert 1995, Statistics and Computing 5.
    """
    if not a < b:
        raise ArgumentError(f"trunc_normal_: a must be below b: got {a}, {b}.")
    if std <= 0:
        raise ArgumentError(f"trunc_normal_: std must be above 0: got {std}.")
    low, high = (a - mean) / std, (b - mean) / std
    if low > 2 or high < -2:
        warnings.warn(f"trunc_normal_: [{a}, {b}] is more than 2 std from the mean {mean}.", stacklevel=2)
    low, high = max(low, min(high, 0) - 9), min(high, max(low, 0) + 9)  # beyond it is less than 1e-17 of the rest
    peak = min(max(low, 0.0), high)
    broad = math.erf(high / math.sqrt(2)) - math.erf(low / math.sqrt(2)) > 0.5

    def candidates(n: int) -> tuple[np.ndarray, np.ndarray]:
        if broad:
            z = _draw(generator, "standard_normal", size=n)
            return z, (low <= z) & (z <= high)
        z = low + (high - low) * _draw(generator, "random", size=n)
        return z, _draw(generator, "random", size=n) <= np.exp((peak**2 - z**2) / 2)

    values, kept = candidates(tensor.size)
    while not kept.all():
        values[~kept], kept[~kept] = candidates(int((~kept).sum()))
    return _fill(tensor, np.clip(values.reshape(tensor.shape) * std + mean, a, b), "trunc_normal_")


def constant_(tensor: Tensor, val: float) -> Tensor:
    """Every element `val`."""
    return _fill(tensor, val, "constant_")


def zeros_(tensor: Tensor) -> Tensor:
    """Zeros."""
    return _fill(tensor, 0, "zeros_")


def ones_(tensor: Tensor) -> Tensor:
    """Ones."""
    return _fill(tensor, 1, "ones_")


def eye_(tensor: Tensor) -> Tensor:
    """Ones on the diagonal of a matrix, zeros elsewhere: a linear layer that passes its input on."""
    if tensor.ndim != 2:
        raise ShapeError(f"eye_: needs 2 axes: got shape {tensor.shape}.")
    return _fill(tensor, np.eye(tensor.shape[0], tensor.shape[1]), "eye_")


def dirac_(tensor: Tensor, groups: int = 1) -> Tensor:
    """A convolution that passes its input channels on:
    1 at the kernel's centre, from channel i to channel i of each group."""
    if tensor.ndim not in (3, 4, 5) or tensor.shape[0] % groups:
        raise ShapeError(
            f"dirac_: needs a convolution weight of 3 to 5 axes, groups dividing the first: got {tensor.shape}."
        )
    values = np.zeros(tensor.shape)
    out = tensor.shape[0] // groups
    for g in range(groups):
        for i in range(min(out, tensor.shape[1])):
            values[(g * out + i, i, *(n // 2 for n in tensor.shape[2:]))] = 1
    return _fill(tensor, values, "dirac_")


def calculate_gain(nonlinearity: str, param: Any = None) -> float:
    """The factor that keeps the variance through an activation: sqrt(2) for relu, 5/3 for tanh ..."""
    linear = ["linear", "sigmoid", *(f"conv{t}{n}d" for t in ("", "_transpose") for n in (1, 2, 3))]
    if nonlinearity in linear:
        return 1.0
    if nonlinearity == "tanh":
        return 5.0 / 3
    if nonlinearity == "relu":
        return math.sqrt(2.0)
    if nonlinearity == "leaky_relu":
        slope = 0.01 if param is None else param
        if isinstance(slope, bool) or not isinstance(slope, (int, float)):
            raise ArgumentError(f"calculate_gain: the slope of leaky_relu must be a number: got {param!r}.")
        return math.sqrt(2.0 / (1 + slope**2))
    if nonlinearity == "selu":
        return 3.0 / 4  # as PyTorch: found by experiment
    raise ArgumentError(
        f"calculate_gain: unknown nonlinearity {nonlinearity!r}. Known: relu, leaky_relu, tanh, selu, linear ..."
    )


def fans(tensor: Tensor) -> tuple[int, int]:
    """(fan_in, fan_out) of a weight (O, C, *kernel)."""
    if tensor.ndim < 2:
        raise ShapeError(
            f"init: fan in and fan out need at least 2 axes: got shape {tensor.shape}. Use uniform_ or normal_."
        )
    field = math.prod(tensor.shape[2:])
    return tensor.shape[1] * field, tensor.shape[0] * field


_calculate_fan_in_and_fan_out = fans


def _fan(tensor: Tensor, mode: str) -> int:
    if mode not in ("fan_in", "fan_out"):
        raise ArgumentError(f"init: mode must be 'fan_in' or 'fan_out': got {mode!r}.")
    return fans(tensor)[mode == "fan_out"]


def xavier_uniform_(tensor: Tensor, gain: float = 1.0, generator: Generator | None = None) -> Tensor:
    """Uniform on [-a, a), a = gain sqrt(6 / (fan_in + fan_out)). Glorot and Bengio 2010, AISTATS."""
    a = gain * math.sqrt(6.0 / sum(fans(tensor)))
    return uniform_(tensor, -a, a, generator)


def xavier_normal_(tensor: Tensor, gain: float = 1.0, generator: Generator | None = None) -> Tensor:
    """Normal with std = gain sqrt(2 / (fan_in + fan_out)). Glorot and Bengio 2010, AISTATS."""
    return normal_(tensor, 0.0, gain * math.sqrt(2.0 / sum(fans(tensor))), generator)


def kaiming_uniform_(
    tensor: Tensor,
    a: float = 0,
    mode: str = "fan_in",
    nonlinearity: str = "leaky_relu",
    generator: Generator | None = None,
) -> Tensor:
    """Uniform on [-b, b), b = gain sqrt(3 / fan); a: the slope of leaky_relu. He et al. 2015, arXiv:1502.01852."""
    if _empty(tensor):
        return tensor
    bound = math.sqrt(3.0) * calculate_gain(nonlinearity, a) / math.sqrt(_fan(tensor, mode))
    return uniform_(tensor, -bound, bound, generator)


def kaiming_normal_(
    tensor: Tensor,
    a: float = 0,
    mode: str = "fan_in",
    nonlinearity: str = "leaky_relu",
    generator: Generator | None = None,
) -> Tensor:
    """Normal with std = gain / sqrt(fan); a: the slope of leaky_relu. He et al. 2015, arXiv:1502.01852."""
    if _empty(tensor):
        return tensor
    return normal_(tensor, 0.0, calculate_gain(nonlinearity, a) / math.sqrt(_fan(tensor, mode)), generator)


def _empty(tensor: Tensor) -> bool:
    if not tensor.size:
        warnings.warn("init: a tensor without elements needs no filling.", stacklevel=3)
    return not tensor.size


def orthogonal_(tensor: Tensor, gain: float = 1, generator: Generator | None = None) -> Tensor:
    """Rows (or columns, if fewer) orthonormal, times gain; further axes count as columns. Saxe et al.
    2013, arXiv:1312.6120."""
    if tensor.ndim < 2:
        raise ShapeError(f"orthogonal_: needs at least 2 axes: got shape {tensor.shape}.")
    if not tensor.size:
        return tensor
    rows, columns = tensor.shape[0], tensor.size // tensor.shape[0]
    a = _draw(generator, "standard_normal", size=(rows, columns))
    q, r = np.linalg.qr(a.T if rows < columns else a)
    q = q * np.sign(np.diag(r))  # makes the draw uniform over the orthogonal matrices
    return _fill(tensor, gain * (q.T if rows < columns else q).reshape(tensor.shape), "orthogonal_")


def sparse_(tensor: Tensor, sparsity: float, std: float = 0.01, generator: Generator | None = None) -> Tensor:
    """Normal, with the share `sparsity` of each column set to zero. Martens 2010, ICML."""
    if tensor.ndim != 2:
        raise ShapeError(f"sparse_: needs 2 axes: got shape {tensor.shape}.")
    rows, columns = tensor.shape
    values = _draw(generator, "standard_normal", size=tensor.shape) * std
    for j in range(columns):
        values[_draw(generator, "permutation", rows)[: math.ceil(sparsity * rows)], j] = 0
    return _fill(tensor, values, "sparse_")
