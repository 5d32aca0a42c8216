"""Ready parametrizations: weight normalisation, spectral normalisation, orthogonal matrices.

Names, state and numbers are PyTorch's (torch.nn.utils.parametrizations).
"""

from __future__ import annotations

import math
from functools import partial
from typing import Any

import numpy as np

from ...custom import Function
from ...edits import written
from ...errors import ArgumentError, AxisError, DTypeError, ShapeError
from ...mode import no_grad
from ...random import randn
from ...tensor import F, Tensor, wrap
from ..conv import ConvTranspose1d, ConvTranspose2d, ConvTranspose3d
from ..module import Module
from . import parametrize


def _tensor(module: Module, name: str, who: str) -> Tensor:
    weight = getattr(module, name, None)
    if not isinstance(weight, Tensor):
        raise ArgumentError(f"{who}: {type(module).__name__} must have a parameter or buffer {name!r}.")
    return weight


# ---- weight normalisation --------------------------------------------------------------------------------------------
def norm_except_dim(v: Tensor, dim: int) -> Tensor:
    """The 2-norm over all axes but `dim`, which stay with length 1; dim -1: over all, 0-d."""
    if dim == -1:
        return F.sqrt(F.sum(F.square(v)))
    if not -v.ndim <= dim < v.ndim:
        raise AxisError(f"weight_norm: dim must be an axis of the weight {v.shape}, or None for all: got {dim}.")
    axes = tuple(a for a in range(v.ndim) if a != dim % v.ndim)
    return F.sqrt(F.sum(F.square(v), axis=axes, keepdims=True)) if axes else F.abs(v)


class _WeightNorm(Module):
    def __init__(self, dim: int | None = 0):
        super().__init__()
        self.dim = -1 if dim is None else dim

    def forward(self, weight_g: Tensor, weight_v: Tensor) -> Tensor:
        return weight_v * (weight_g / norm_except_dim(weight_v, self.dim))

    def right_inverse(self, weight: Tensor) -> tuple[Tensor, Tensor]:
        return norm_except_dim(weight, self.dim), weight


def weight_norm(module: Module, name: str = "weight", dim: int | None = 0) -> Module:
    """w = g v / |v|: length g (original0) and direction v (original1) are learned apart.

    The norm is over all axes but `dim`, so g is (O, 1, ...) for dim=0; dim=None: one norm for all, g is 0-d.
    Salimans and Kingma 2016, arXiv:1602.07868.

    >>> from minigrad import nn
    >>> layer = nn.utils.parametrizations.weight_norm(nn.Linear(20, 40))
    >>> {name: p.shape for name, p in layer.parametrizations.weight.named_parameters()}
    {'original0': (40, 1), 'original1': (40, 20)}
    """
    _tensor(module, name, "weight_norm")
    parametrize.register_parametrization(module, name, _WeightNorm(dim), unsafe=True)
    module.register_load_state_dict_pre_hook(partial(_renamed, name))
    return module


def _renamed(name: str, module: Module, state_dict: Any, prefix: str, *others: Any) -> None:
    """Older states, of nn.utils.weight_norm, have <name>_g and <name>_v."""
    old = [f"{prefix}{name}_{key}" for key in "gv"]
    if all(key in state_dict for key in old):
        for i, key in enumerate(old):
            state_dict[f"{prefix}parametrizations.{name}.original{i}"] = state_dict.pop(key)


# ---- spectral normalisation ------------------------------------------------------------------------------------------
def as_matrix(weight: Tensor, dim: int) -> Tensor:
    """The axis `dim` as rows, all others as columns."""
    if dim:
        weight = F.permute_dims(weight, (dim, *(a for a in range(weight.ndim) if a != dim)))
    return F.reshape(weight, (weight.shape[0], -1))


def normalized(x: Tensor, eps: float) -> Tensor:
    """x / max(|x|, eps)."""
    return x / F.maximum(F.sqrt(F.sum(F.square(x))), eps)


def power_iteration(matrix: Tensor, u: Tensor, v: Tensor, count: int, eps: float) -> None:
    """v = M^T u / |M^T u| and u = M v / |M v|, u first, `count` times, in place: the largest singular vectors."""
    with no_grad():
        for _ in range(count):
            for t, product in ((u, lambda: matrix @ v), (v, lambda: matrix.mT @ u)):
                t.array[...] = normalized(product(), eps).array
                written(t, "spectral_norm")


def outputs_axis(module: Module, dim: int | None) -> int:
    """The axis of the outputs in the weight: 1 for transposed convolutions, else 0."""
    return int(isinstance(module, ConvTranspose1d | ConvTranspose2d | ConvTranspose3d)) if dim is None else dim


def _checked_iterations(count: Any) -> int:
    if not hasattr(count, "__index__") or count < 1:
        raise ArgumentError(f"spectral_norm: n_power_iterations must be an integer of at least 1: got {count!r}.")
    return count


class _SpectralNorm(Module):
    _u: Tensor
    _v: Tensor

    def __init__(self, weight: Tensor, n_power_iterations: int = 1, dim: int = 0, eps: float = 1e-12):
        super().__init__()
        if not -weight.ndim <= dim < weight.ndim:
            raise AxisError(f"spectral_norm: dim must be an axis of the weight {weight.shape}: got {dim}.")
        self.n_power_iterations = _checked_iterations(n_power_iterations)
        self.dim, self.eps = dim % weight.ndim, eps
        if weight.ndim > 1:
            matrix = as_matrix(weight.detach(), self.dim)
            for key, n in zip(("_u", "_v"), matrix.shape):
                self.register_buffer(key, normalized(randn(n, dtype=weight.dtype).to(weight.device), eps))
            power_iteration(matrix, self._u, self._v, 15, eps)

    def forward(self, weight: Tensor) -> Tensor:
        if weight.ndim == 1:
            return normalized(weight, self.eps)
        matrix = as_matrix(weight, self.dim)
        if self.training:
            power_iteration(matrix, self._u, self._v, self.n_power_iterations, self.eps)
        u, v = self._u.clone(), self._v.clone()  # the next access overwrites the buffers, the gradient needs these
        return weight / F.sum(u * (matrix @ v))

    def right_inverse(self, value: Tensor) -> Tensor:
        return value


def spectral_norm(
    module: Module, name: str = "weight", n_power_iterations: int = 1, eps: float = 1e-12, dim: int | None = None
) -> Module:
    """W / sigma(W) with sigma = u^T W v, the largest singular value of W as a matrix with axis `dim` as rows.

    u and v (buffers _u, _v) follow W by a power iteration at each access in training. dim None: 0, for transposed
    convolutions 1. Miyato et al. 2018, arXiv:1802.05957.

    >>> from minigrad import nn
    >>> layer = nn.utils.parametrizations.spectral_norm(nn.Linear(20, 40))
    >>> list(layer.state_dict())
    ['bias', 'parametrizations.weight.original', 'parametrizations.weight.0._u', 'parametrizations.weight.0._v']
    """
    weight = _tensor(module, name, "spectral_norm")
    made = _SpectralNorm(weight, n_power_iterations, outputs_axis(module, dim), eps)
    return parametrize.register_parametrization(module, name, made)


# ---- orthogonal matrices ---------------------------------------------------------------------------------------------
class Inverse(Function):
    """Y = X^-1 of (..., n, n). dX = -Y^T g Y^T, from d(X Y) = 0."""

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        y = wrap(x.backend.xp.linalg.inv(x.array))
        ctx.save_for_backward(y)
        return y

    @staticmethod
    def backward(ctx: Any, g: Tensor) -> Tensor:
        (y,) = ctx.saved_tensors
        return -(y.mT @ g @ y.mT)


def _identity(n: int, k: int, like: Tensor) -> Tensor:
    return wrap(like.backend.xp.eye(n, k, dtype=like.dtype))


def matrix_exp(a: Tensor) -> Tensor:
    """e^A of (..., n, n): the Taylor series of A / 2^s, |A / 2^s| < 1/2, squared s times.

    Moler and Van Loan 2003, Nineteen dubious ways to compute the exponential of a matrix, SIAM Review 45, method 3.
    """
    xp = a.backend.xp
    norm = float(xp.max(xp.sum(xp.abs(a.array), axis=-2))) if a.size else 0.0
    squarings = max(0, math.frexp(norm)[1] + 1) if math.isfinite(norm) else 0
    terms = 15 if a.dtype == np.float64 else 9  # 2^-n / n! is below the dtype's epsilon
    a, one = a * 2.0**-squarings, _identity(a.shape[-1], a.shape[-1], a)
    y = one + a / terms
    for n in range(terms - 1, 0, -1):
        y = one + (a @ y) / n
    for _ in range(squarings):
        y = y @ y
    return y


def _skew(x: Tensor) -> Tensor:
    """A = L - L^T from the lower triangle of x (..., n, k), filled with zeros to (..., n, n)."""
    n, k = x.shape[-2:]
    low = F.pad(F.tril(x), widths=[(0, 0)] * (x.ndim - 1) + [(0, n - k)])
    return low - low.mT


def _cayley(a: Tensor) -> Tensor:
    """(1 - A/2)^-1 (1 + A/2)."""
    one = _identity(a.shape[-1], a.shape[-1], a)
    return Inverse.apply(one - 0.5 * a) @ (one + 0.5 * a)


def _householder(x: Tensor) -> Tensor:
    """H_1 ... H_k in its first k columns, H_i = 1 - 2 v_i v_i^T / |v_i|^2, v_i below the diagonal of x (..., n, k).

    As one product, 1 - V T V^T with T^-1 = triu(V^T V, 1) + diag(V^T V) / 2. Joffrain et al. 2006, Accumulating
    Householder transformations, revisited, ACM TOMS 32. The signs on the diagonal of x are those of the columns.
    """
    n, k = x.shape[-2:]
    unit = _identity(n, k, x)
    v = F.tril(x, k=-1) + unit
    gram = v.mT @ v  # (..., k, k)
    t = Inverse.apply(F.triu(gram, k=1) + 0.5 * gram * _identity(k, k, x))
    q = unit - v @ (t @ v[..., :k, :].mT)
    signs = np.trunc(np.diagonal(x.detach().numpy(), axis1=-2, axis2=-1)).astype(x.dtype)
    return q * wrap(x.backend.asarray(signs[..., None, :]))


_MAPS = {"matrix_exp": matrix_exp, "cayley": _cayley, "householder": None}


def _orthogonalized(q: np.ndarray) -> np.ndarray:
    """Q of q = Q R with a diagonal of R that is not negative."""
    q, r = np.linalg.qr(q)
    return q * np.sign(np.diagonal(r, axis1=-2, axis2=-1))[..., None, :]


class _Orthogonal(Module):
    base: Tensor

    def __init__(self, weight: Tensor, orthogonal_map: str, *, use_trivialization: bool = True):
        super().__init__()
        self.shape, self.orthogonal_map, self.trivialized = weight.shape, orthogonal_map, use_trivialization
        if use_trivialization:
            self.register_buffer("base", None)

    def forward(self, x: Tensor) -> Tensor:
        wide = x.shape[-2] < x.shape[-1]
        if wide:
            x = x.mT
        made = _MAPS[self.orthogonal_map]
        q = _householder(x) if made is None else made(_skew(x))[..., : x.shape[-1]]
        if self.trivialized:
            q = self.base @ q
        return q.mT if wide else q

    def right_inverse(self, value: Tensor) -> Tensor:
        if value.shape != self.shape:
            raise ShapeError(f"orthogonal: the value must have the weight's shape {self.shape}: got {value.shape}.")
        if not self.trivialized and self.orthogonal_map != "householder":
            raise NotImplementedError(
                f"orthogonal: with use_trivialization=False and {self.orthogonal_map!r} no value can be assigned."
            )
        host = value.detach().numpy()
        wide = host.shape[-2] < host.shape[-1]
        q = host.swapaxes(-1, -2) if wide else host  # (..., n, k), n >= k
        n, k = q.shape[-2:]
        if not self.trivialized:
            h, tau = np.linalg.qr(q, mode="raw")
            a = np.array(h.swapaxes(-1, -2))
            diagonal = np.arange(k)
            signs = np.sign(a[..., diagonal, diagonal])
            a[..., diagonal, diagonal] = np.where(tau == 0, -signs, signs)
            return wrap(value.backend.asarray(np.ascontiguousarray(a.swapaxes(-1, -2) if wide else a)))
        if n > k:
            rest = randn(*q.shape[:-1], n - k, dtype=value.dtype).numpy()
            q = _orthogonalized(np.concatenate([q, rest], axis=-1))
        elif not np.allclose(q.swapaxes(-1, -2) @ q, np.eye(k), atol=10 * n * np.finfo(q.dtype).eps):
            q = _orthogonalized(q)
        self.register_buffer("base", wrap(value.backend.asarray(np.array(q, dtype=host.dtype, order="C"))))
        return wrap(
            value.backend.asarray(np.broadcast_to(-np.eye(*host.shape[-2:], dtype=host.dtype), host.shape).copy())
        )


def orthogonal(
    module: Module, name: str = "weight", orthogonal_map: str | None = None, *, use_trivialization: bool = True
) -> Module:
    """Keep the weight (..., m, n) orthogonal: Q^T Q = 1 if m >= n, else Q Q^T = 1.

    orthogonal_map: "matrix_exp", Q = e^A of a skew-symmetric A; "cayley", Q = (1 + A/2)(1 - A/2)^-1; "householder", a
    product of reflections. None: matrix_exp for square weights, else householder. use_trivialization: Q = B e^A, with
    the first value in the buffer ``parametrizations.<name>.0.base``; Lezcano-Casado 2019, arXiv:1909.09501.

    >>> import minigrad as mg
    >>> from minigrad import nn
    >>> layer = nn.utils.parametrizations.orthogonal(nn.Linear(3, 5))
    >>> bool(abs(layer.weight.mT @ layer.weight - mg.eye(3)).max() < 1e-5)
    True
    """
    weight = _tensor(module, name, "orthogonal")
    if weight.ndim < 2:
        raise ShapeError(f"orthogonal: the weight must be a matrix or a stack of them: got shape {weight.shape}.")
    if weight.dtype.kind == "c":
        raise DTypeError(f"orthogonal: the weight must be real: got {weight.dtype}.")
    if orthogonal_map is None:
        orthogonal_map = "matrix_exp" if weight.shape[-2] == weight.shape[-1] else "householder"
    if orthogonal_map not in _MAPS:
        raise ArgumentError(f"orthogonal: orthogonal_map must be {' or '.join(_MAPS)}: got {orthogonal_map!r}.")
    made = _Orthogonal(weight, orthogonal_map, use_trivialization=use_trivialization)
    return parametrize.register_parametrization(module, name, made, unsafe=True)
