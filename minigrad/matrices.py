"""PyTorch's older names of linear algebra, at the top level and as methods: ``mg.svd(x)``, ``x.qr()``.

They take and return what ``torch.svd`` and its like do, which differs in places from `minigrad.linalg`, where the work
is done: svd returns V and not its adjoint, norm is Frobenius' of all elements, lu keeps L and U in one matrix.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from . import linalg
from .errors import ArgumentError, GradError, ShapeError
from .functions.spelling import takes_out, tensor_of
from .linalg import PLUResult, QRResult, _adjoint, _eye, _order, slogdet, vector_norm
from .tensor import F, Tensor


class Factors(NamedTuple):
    """What `svd` returns: x = U diag(S) V^H."""

    U: Tensor
    S: Tensor
    V: Tensor


class Solved(NamedTuple):
    """What `triangular_solve` returns."""

    solution: Tensor
    cloned_coefficient: Tensor


class Reflections(NamedTuple):
    """What `geqrf` returns."""

    a: Tensor
    tau: Tensor


det, inverse, matrix_exp, matrix_power = linalg.det, linalg.inv, linalg.matrix_exp, linalg.matrix_power
orgqr = linalg.householder_product


@takes_out
def cholesky(x: Any, upper: bool = False) -> Tensor:
    """L with L L^H = x, or (upper) U with U^H U = x."""
    return linalg.cholesky(x, upper=upper)


@takes_out
def cholesky_solve(B: Any, L: Any, upper: bool = False) -> Tensor:
    """y with L L^H y = B."""
    return linalg.cholesky_solve(B, L, upper=upper)


@takes_out
def cholesky_inverse(L: Any, upper: bool = False) -> Tensor:
    """The inverse of L L^H, or (upper) of U^H U."""
    L = tensor_of(L)
    return linalg.cholesky_solve(_eye(L.shape[-1], L.shape[-1], L) + F.zeros_like(L), L, upper=upper)


@takes_out
def logdet(x: Any) -> Tensor:
    """ln det x, NaN where the determinant is negative."""
    sign, size = slogdet(x)
    return size + F.log(sign)


@takes_out
def lu(x: Any, pivot: bool = True, get_infos: bool = False) -> Any:
    """L and U in one matrix, and pivots, as linalg.lu_factor; get_infos: and zeros, int32."""
    found = linalg.lu_factor(x, pivot=pivot)
    if not get_infos:
        return found
    return (*found, F.zeros(shape=found.LU.shape[:-2], dtype="int32", like=found.LU))


@takes_out
def lu_solve(b: Any, LU_data: Any, LU_pivots: Any) -> Tensor:
    """y with x y = b, given lu(x)."""
    return linalg.lu_solve(LU_data, LU_pivots, b)


@takes_out
def lu_unpack(LU_data: Any, LU_pivots: Any, unpack_data: bool = True, unpack_pivots: bool = True) -> PLUResult:
    """P, L, U of what `lu` packed; without one of them, empty tensors stand for it."""
    x = tensor_of(LU_data)
    m, n = x.shape[-2:]
    k = min(m, n)
    empty = x[..., :0, :0].reshape(0)
    P = L = U = empty
    if unpack_data:
        L, U = F.tril(x[..., :k], k=-1) + _eye(m, k, x), F.triu(x[..., :k, :])
    if unpack_pivots:
        order = _order(F.concat(tensor_of(LU_pivots), _rest(LU_pivots, k, m, x), axis=-1))
        P = F.equal(F.expand_dims(order, -2), F.expand_dims(_counted(m, x), -1)).astype(x.dtype)
    return PLUResult(P, L, U)


def _counted(n: int, like: Tensor) -> Tensor:
    return tensor_of(like.backend.xp.arange(n))


def _rest(pivots: Any, k: int, m: int, like: Tensor) -> Tensor:
    """The rows k to m - 1, exchanged with themselves, for each of the stack."""
    rows = (_counted(m, like)[k:] + 1).astype(tensor_of(pivots).dtype)
    return F.broadcast_to(rows, (*tensor_of(pivots).shape[:-1], m - k))


@takes_out
def qr(x: Any, some: bool = True) -> QRResult:
    """x = Q R, reduced or (not some) complete."""
    return linalg.qr(x, mode="reduced" if some else "complete")


@takes_out
def geqrf(x: Any) -> Reflections:
    """R on and above the diagonal, below it the Householder vectors of Q, and their factors tau: what orgqr and ormqr
    take. It has no gradient (nor has PyTorch's): use qr, or detach x."""
    x = linalg._matrix("geqrf", x)
    if x.requires_grad:
        raise GradError("geqrf: it has no gradient. Use qr, or detach: x.detach().")
    a, tau = x.backend.xp.linalg.qr(x.array, "raw")
    return Reflections(tensor_of(a).mT, tensor_of(tau))


@takes_out
def ormqr(x: Any, tau: Any, other: Any, left: bool = True, transpose: bool = False) -> Tensor:
    """Q other, or (not left) other Q, with the whole Q of geqrf's x and tau, or (transpose) its adjoint."""
    x, tau, other = tensor_of(x), tensor_of(tau), tensor_of(other)
    if x.ndim < 2 or other.ndim < 2 or not tau.ndim or tau.shape[-1] > min(x.shape[-2:]):
        raise ShapeError(f"ormqr: needs geqrf's x and tau, and matrices: got {x.shape}, {tau.shape}, {other.shape}.")
    m, n = x.shape[-2:]
    if n > m:
        x = x[..., :m]
    widths = ((0, 0),) * (x.ndim - 1)
    Q = orgqr(F.pad(x, widths=(*widths, (0, m - x.shape[-1]))), tau)  # reflections of 0 for the columns added
    Q = _adjoint(Q) if transpose else Q
    return F.matmul(Q, other) if left else F.matmul(other, Q)


@takes_out
def svd(x: Any, some: bool = True, compute_uv: bool = True) -> Factors:
    """x = U diag(S) V^H, reduced or (not some) complete; without compute_uv U and V are zeros."""
    if not compute_uv:
        x = tensor_of(x)
        (m, n), stack = x.shape[-2:], x.shape[:-2]
        U, V = (F.zeros(shape=(*stack, k, k), dtype=x.dtype, like=x) for k in (m, n))
        return Factors(U, linalg.svdvals(x), V)
    U, S, Vh = linalg.svd(x, full_matrices=not some)
    return Factors(U, S, _adjoint(Vh))


def svd_lowrank(A: Any, q: int | None = 6, niter: int = 2, M: Any = None) -> Factors:
    """The q largest singular values of A - M and their vectors: exact, where PyTorch draws a random subspace."""
    A = tensor_of(A)
    q = min(6 if q is None else q, *A.shape[-2:])
    U, S, V = svd(A if M is None else A - F.broadcast_to(tensor_of(M), A.shape))
    return Factors(U[..., :q], S[..., :q], V[..., :q])


def pca_lowrank(A: Any, q: int | None = None, center: bool = True, niter: int = 2) -> Factors:
    """The q principal directions of the rows of A (..., M, N), which are centred first: the columns of V."""
    A = tensor_of(A)
    q = min(6, *A.shape[-2:]) if q is None else q
    if not 0 <= q <= min(A.shape[-2:]):
        raise ArgumentError(f"pca_lowrank: q must be from 0 to {min(A.shape[-2:])}: got {q}.")
    return svd_lowrank(A - F.mean(A, axis=-2, keepdims=True) if center else A, q)


@takes_out
def triangular_solve(
    b: Any, A: Any, upper: bool = True, transpose: bool = False, unitriangular: bool = False
) -> Solved:
    """y with A y = b, or (transpose) A^T y = b, reading one triangle of A; and A."""
    b, A = tensor_of(b), tensor_of(A)
    M = A.mT if transpose else A
    y = linalg.solve_triangular(M, b, upper=upper != transpose, unitriangular=unitriangular)
    return Solved(y, F.copy(A))


@takes_out
def pinverse(x: Any, rcond: float = 1e-15) -> Tensor:
    """The pseudo-inverse: singular values up to rcond times the largest count as 0."""
    return linalg.pinv(x, rtol=rcond)


@takes_out
def norm(x: Any, p: Any = "fro", dim: Any = None, keepdim: bool = False, dtype: Any = None) -> Tensor:
    """(sum |x|**p)**(1/p) over `dim`, all if None, whatever the number of axes; "fro" and 2: the root of the sum of
    squares; "nuc": the sum of the singular values, over two axes."""
    x = tensor_of(x)
    if p == "nuc":
        return linalg.matrix_norm(x, "nuc", (-2, -1) if dim is None else dim, keepdims=keepdim, dtype=dtype)
    if isinstance(p, str) and p != "fro":
        raise ArgumentError(f'norm: p must be a number, "fro" or "nuc": got {p!r}.')
    return vector_norm(x, 2 if p in ("fro", None) else p, dim, keepdim, dtype=dtype)


@takes_out
def dist(x: Any, other: Any, p: float = 2) -> Tensor:
    """The p-norm of x - other, of all elements."""
    return vector_norm(tensor_of(x) - other, p)
