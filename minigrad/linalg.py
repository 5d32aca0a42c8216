"""Linear algebra: ``minigrad.linalg``, the array API standard's names, with NumPy's and PyTorch's beside them.

All take stacks of matrices (..., M, N), real or complex, empty too, and keep float32; integers become the default
float. Gradients go to any order. They are infinite where PyTorch's are: vectors of equal eigenvalues or singular
values, QR of dependent columns. Of a Hermitian matrix one triangle is read, but its gradient is Hermitian, as there.
Matrices that do not fit raise LinAlgError, which says which of the stack.
https://data-apis.org/array-api/2025.12/extensions/linear_algebra_functions.html

>>> import minigrad as mg
>>> a = mg.tensor([[2.0, 1.0], [1.0, 3.0]], requires_grad=True)
>>> mg.linalg.slogdet(a).logabsdet.backward()
>>> a.grad
tensor([[ 0.6, -0.2],
        [-0.2,  0.4]])
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np

from .convert import as_array
from .errors import ArgumentError, GradError, LinAlgError, ShapeError
from .functions import ldl
from .functions.products import cross as _cross
from .functions.products import multi_dot as multi_dot
from .functions.products import tensordot as tensordot
from .functions.products import vecdot as vecdot
from .functions.spelling import named, spelled, takes_out
from .mode import MODE
from .primitive import axes_of, kind_of
from .signature import narrowed
from .tensor import F, Tensor, wrap

inf = math.inf


class EighResult(NamedTuple):
    eigenvalues: Tensor  # (..., N), ascending
    eigenvectors: Tensor  # (..., N, N), in columns


class EigResult(NamedTuple):
    eigenvalues: Tensor  # (..., N), complex
    eigenvectors: Tensor  # (..., N, N), in columns, complex


class QRResult(NamedTuple):
    Q: Tensor
    R: Tensor


class SlogdetResult(NamedTuple):
    sign: Tensor
    logabsdet: Tensor


class SVDResult(NamedTuple):
    U: Tensor
    S: Tensor
    Vh: Tensor


class PLUResult(NamedTuple):
    P: Tensor
    L: Tensor
    U: Tensor


class LUResult(NamedTuple):
    LU: Tensor
    pivots: Tensor


class LUExResult(NamedTuple):
    LU: Tensor
    pivots: Tensor
    info: Tensor


class LDLResult(NamedTuple):
    LD: Tensor
    pivots: Tensor


class LDLExResult(NamedTuple):
    LD: Tensor
    pivots: Tensor
    info: Tensor


class CholeskyExResult(NamedTuple):
    L: Tensor
    info: Tensor


class InvExResult(NamedTuple):
    inverse: Tensor
    info: Tensor


class SolveExResult(NamedTuple):
    result: Tensor
    info: Tensor


class LstsqResult(NamedTuple):
    solution: Tensor
    residuals: Tensor
    rank: Tensor
    singular_values: Tensor


# ---- what comes in ---------------------------------------------------------------------------------------------------


def _array(x: Any) -> Tensor:
    return x if isinstance(x, Tensor) else wrap(as_array(x))


def _float(x: Any) -> Tensor:
    x = _array(x)
    return x if kind_of(x.dtype) in "fc" else x.astype(MODE.get().default_dtype)


def _matrix(op: str, x: Any, *, square: bool = False) -> Tensor:
    x = _float(x)
    if x.ndim < 2:
        raise ShapeError(f"{op}: needs matrices, (..., M, N): got shape {x.shape}. Use x[:, None] for a column.")
    if square and x.shape[-1] != x.shape[-2]:
        raise ShapeError(f"{op}: matrices must be square: got {x.shape}. Use linalg.pinv, svd or qr for others.")
    return x


def _adjoint(x: Tensor) -> Tensor:
    y = F.matrix_transpose(x)
    return F.conj(y) if x.dtype.kind == "c" else y


def _eye(n: int, m: int, like: Tensor) -> Tensor:
    return wrap(like.backend.xp.eye(n, m, dtype=like.dtype))


def _mirrored(x: Tensor, upper: bool, *, whole: bool = False) -> Tensor:
    """The Hermitian matrix of one triangle of x; its gradient is that of (x + x^H) / 2, which is Hermitian, or (whole)
    that of x."""
    y = x if whole else 0.5 * x + 0.5 * _adjoint(x)  # the sum may overflow
    a = x.detach()
    strict = F.triu(a, k=1) if upper else F.tril(a, k=-1)
    middle = F.tril(F.triu(F.real(a) if a.dtype.kind == "c" else a))
    return y + (strict + _adjoint(strict) + middle - y.detach())  # + 0 for a Hermitian x


def _squared(x: Tensor) -> Tensor:
    """|x|**2, real."""
    return F.square(x) if x.dtype.kind != "c" else F.square(F.real(x)) + F.square(F.imag(x))


def _tuple(axis: Any) -> Any:
    return tuple(axis) if isinstance(axis, list) else axis


# ---- products --------------------------------------------------------------------------------------------------------


def matmul(x1: Any, x2: Any, /) -> Tensor:
    """The matrix product of the last two axes: (..., M, K), (..., K, N) to (..., M, N)."""
    return F.matmul(_array(x1), _array(x2))


def matrix_transpose(x: Any, /) -> Tensor:
    """The last two axes swapped."""
    return F.matrix_transpose(_array(x))


def outer(x1: Any, x2: Any, /) -> Tensor:
    """y[i, j] = x1[i] x2[j], of two vectors."""
    x1, x2 = _array(x1), _array(x2)
    if x1.ndim != 1 or x2.ndim != 1:
        raise ShapeError(f"outer: needs two vectors: got {x1.shape} and {x2.shape}. Use einsum for stacks.")
    return F.expand_dims(x1, -1) * F.expand_dims(x2, 0)


@spelled
def cross(x1: Any, x2: Any, /, *, axis: int = -1) -> Tensor:
    """The vector product along `axis`, of length 3; the other axes broadcast."""
    x1, x2 = _array(x1), _array(x2)
    n = max(x1.ndim, x2.ndim)
    x1, x2 = (F.reshape(x, (1,) * (n - x.ndim) + x.shape) if x.ndim else x for x in (x1, x2))
    return _cross(x1, x2, axis=axis)


@named(dim1="axis1", dim2="axis2")
def diagonal(x: Any, /, *, offset: int = 0, axis1: int = -2, axis2: int = -1) -> Tensor:
    """y[..., i] = x[..., i, i + offset]: (..., M, N) to (..., K). A read-only view."""
    return F.diagonal(x, offset=offset, axis1=axis1, axis2=axis2)


def trace(x: Any, /, *, offset: int = 0, dtype: Any = None) -> Tensor:
    """The sum of the diagonal: (..., M, N) to (...)."""
    d = diagonal(x, offset=offset)
    return narrowed(F.sum(d if dtype is None else d.astype(dtype), axis=-1), dtype)


@takes_out
def matrix_power(x: Any, n: int, /) -> Tensor:
    """x multiplied n times, by squaring; of the inverse if n is negative. x: (..., N, N)."""
    x = _matrix("matrix_power", x, square=True)
    if not hasattr(n, "__index__"):
        raise ArgumentError(f"matrix_power: n must be an integer: got {n!r}.")
    n = n.__index__()
    if n < 0:
        x, n = inv(x), -n
    if n == 0:
        return _eye(x.shape[-1], x.shape[-1], x) + F.zeros_like(x)
    y: Any = None
    while True:
        if n & 1:
            y = x if y is None else F.matmul(y, x)
        n >>= 1
        if not n:
            return F.copy(y) if y is x else y
        x = F.matmul(x, x)


@takes_out
def vander(x: Any, /, N: int | None = None) -> Tensor:
    """y[..., i, j] = x[..., i]**j for j < N (default: as many as x). (..., n) to (..., n, N)."""
    x = _array(x)
    if N is None and not x.ndim:
        raise ShapeError("vander: N, the number of powers, must be given for a number.")
    x = x if x.ndim else F.expand_dims(x, 0)
    N = x.shape[-1] if N is None else N
    ones = wrap(x.backend.xp.ones((*x.shape, 1), x.dtype))
    columns = [ones] + [F.expand_dims(x, -1)] * (N - 1)
    for j in range(2, N):
        columns[j] = columns[j - 1] * columns[1]
    return F.concat(*columns, axis=-1) if N > 0 else ones[..., :0]


@takes_out
def householder_product(x: Any, tau: Any, /) -> Tensor:
    """The first N columns of H_1 ... H_K, H_i = 1 - tau[i] v v^H, v = x[:, i] with 1 at i and 0 above.
    x: (..., M, N), M >= N; tau: (..., K), K <= N."""
    x, tau = _matrix("householder_product", x), _float(tau)
    m, n = x.shape[-2:]
    if m < n or tau.ndim != x.ndim - 1 or tau.shape[:-1] != x.shape[:-2] or tau.shape[-1] > n:
        raise ShapeError(
            f"householder_product: needs (..., M, N), M >= N, and (..., K), K <= N: got {x.shape}, {tau.shape}."
        )
    v = F.tril(x, k=-1) + _eye(m, n, x)
    y = _eye(m, n, x) + F.zeros_like(x)
    for i in reversed(range(tau.shape[-1])):
        column = v[..., i : i + 1]  # (..., M, 1)
        y = y - tau[..., i : i + 1, None] * F.matmul(column, F.matmul(_adjoint(column), y))
    return y


# ---- systems ---------------------------------------------------------------------------------------------------------


def _right_side(f: Any, a: Tensor, b: Any) -> Tensor:
    """f(a, b) for a matrix b, or a vector (N,), or a stack of vectors (..., N) that cannot be matrices."""
    b = _float(b)
    vector = b.ndim == 1 or (b.shape == a.shape[:-1] and b.shape[-2] != a.shape[-1])
    return F.squeeze(f(a, F.expand_dims(b, -1)), -1) if vector else f(a, b)


@takes_out
def solve(x1: Any, x2: Any, /, *, left: bool = True) -> Tensor:
    """y with x1 y = x2. x1: (..., N, N); x2: (N,) or (..., N, K); y: like x2. left=False: y x1 = x2."""
    x1 = _matrix("solve", x1, square=True)
    if not left:
        return F.matrix_transpose(F.solve(F.matrix_transpose(x1), F.matrix_transpose(_matrix("solve", x2))))
    return _right_side(F.solve, x1, x2)


@takes_out
def solve_triangular(x1: Any, x2: Any, /, *, upper: bool, left: bool = True, unitriangular: bool = False) -> Tensor:
    """y with x1 y = x2 (left=False: y x1 = x2), reading one triangle of x1; unitriangular: its diagonal counts as 1."""
    x1 = _matrix("solve_triangular", x1, square=True)
    if not left:
        a, b = F.matrix_transpose(x1), F.matrix_transpose(_matrix("solve_triangular", x2))
        return F.matrix_transpose(F.solve_triangular(a, b, upper=not upper, unitriangular=unitriangular))
    f = lambda a, b: F.solve_triangular(a, b, upper=upper, unitriangular=unitriangular)
    return _right_side(f, x1, x2)


def cholesky_solve(x2: Any, factor: Any, /, *, upper: bool = False) -> Tensor:
    """y with x y = x2 for x = L L^H, given the factor L (upper: its adjoint U). x2: (..., N, K)."""
    factor = _matrix("cholesky_solve", factor, square=True)
    low = _adjoint(factor) if upper else factor
    middle = F.solve_triangular(low, _matrix("cholesky_solve", x2), upper=False)
    return F.solve_triangular(_adjoint(low), middle, upper=True)


@takes_out
def inv(x: Any, /) -> Tensor:
    """The inverse. x: (..., N, N).

    >>> inv(wrap(as_array([[2.0, 0.0], [0.0, 4.0]])))
    tensor([[0.5 , 0.  ],
            [0.  , 0.25]])
    """
    return F.inv(_matrix("inv", x, square=True))


@takes_out
def pinv(x: Any, /, rcond: Any = None, hermitian: bool = False, *, rtol: Any = None, atol: Any = None) -> Tensor:
    """The pseudo-inverse: singular values up to max(atol, rtol max(S)) count as 0; numbers, or one a matrix. Default:
    rtol = max(M, N) eps. rcond: rtol's other name. hermitian: one triangle of x is read. x: (..., M, N); y: (..., N,
    M)."""
    x, rtol = _matrix("pinv", x), rcond if rtol is None else rtol
    return F.pinv(_mirrored(x, False, whole=True) if hermitian else x, *(_tolerance(t) for t in (rtol, atol)))


def _tolerance(t: Any) -> Any:
    return t.detach() if isinstance(t, Tensor) else t if t is None or isinstance(t, (int, float)) else wrap(as_array(t))


@takes_out
def lstsq(a: Any, b: Any, /, rcond: float | None = None, *, driver: str | None = None) -> LstsqResult:
    """solution: the smallest y that makes |a y - b| smallest, pinv(a) b. residuals: |a y - b|**2 of each column, empty
    unless M > N and the rank is N. a: (..., M, N); b: (..., M, K) or (..., M). driver: PyTorch's; all count alike, but
    with gels the rank and with gels and gelsy the singular values are empty, as there."""
    a, b = _matrix("lstsq", a), _float(b)
    if driver not in (None, "gels", "gelsy", "gelsd", "gelss"):
        raise ArgumentError(f"lstsq: driver must be gels, gelsy, gelsd, gelss or None: got {driver!r}.")
    vector = b.ndim == 1 or (b.ndim == a.ndim - 1 and b.shape == a.shape[:-1])
    columns = F.expand_dims(b, -1) if vector else b
    if columns.shape[-2] != a.shape[-2]:
        raise ShapeError(f"lstsq: as many rows at the right as equations: got {a.shape} and {b.shape}.")
    y = F.matmul(pinv(a, rtol=rcond), columns)
    s = F.svdvals(a.detach())
    rank = matrix_rank(a.detach(), rtol=rcond)
    m, n = a.shape[-2:]
    residuals = F.sum(_squared(F.matmul(a, y) - columns), axis=-2)
    if m <= n or (rank.numpy() < n).any():
        residuals = F.reshape(residuals.detach(), (-1,))[:0]
    none = F.reshape(s, (-1,))[:0]  # what LAPACK's drivers do not compute
    rank, s = none.astype("int64") if driver == "gels" else rank, none if driver in ("gels", "gelsy") else s
    return LstsqResult(F.squeeze(y, -1) if vector else y, residuals, rank, s)


@named(dims="axes")
def tensorsolve(a: Any, b: Any, /, axes: Any = None) -> Tensor:
    """y with tensordot(a, y, y.ndim) = b. a: b.shape + y.shape after `axes` are moved to the end."""
    a, b = _float(a), _float(b)
    if axes is not None:
        rest = [i for i in range(a.ndim) if i not in axes_of("tensorsolve", tuple(axes), a.ndim)]
        a = F.permute_dims(a, (*rest, *axes_of("tensorsolve", tuple(axes), a.ndim)))
    shape = a.shape[b.ndim :]
    n = math.prod(shape)
    if n != b.size or n * n != a.size:
        raise ShapeError(f"tensorsolve: a must be b.shape + y.shape, equally many: got {a.shape} and {b.shape}.")
    return F.reshape(solve(F.reshape(a, (n, n)), F.reshape(b, (n,))), shape)


@takes_out
def tensorinv(a: Any, /, ind: int = 2) -> Tensor:
    """The inverse of tensordot(a, ., a.ndim - ind): the first `ind` axes of a as rows, the others as columns."""
    a = _float(a)
    if ind < 1:
        raise ArgumentError(f"tensorinv: ind must be at least 1: got {ind}.")
    rows, columns = a.shape[:ind], a.shape[ind:]
    if math.prod(rows) != math.prod(columns):
        raise ShapeError(f"tensorinv: rows {rows} and columns {columns} must be equally many.")
    return F.reshape(inv(F.reshape(a, (math.prod(rows), math.prod(columns)))), (*columns, *rows))


# ---- factorisations --------------------------------------------------------------------------------------------------


@takes_out
def cholesky(x: Any, /, *, upper: bool = False) -> Tensor:
    """Lower triangular y with y y^H = x (upper: y^H y = x, y upper), for Hermitian positive definite x (..., N, N), of
    which that triangle is read."""
    y = F.cholesky(_mirrored(_matrix("cholesky", x, square=True), upper))
    return _adjoint(y) if upper else y


@takes_out
def qr(x: Any, /, mode: str = "reduced") -> QRResult:
    """x = Q R, the columns of Q orthonormal, R upper triangular. x: (..., M, N), K = min(M, N). "reduced": Q (..., M,
    K), R (..., K, N); "complete": (..., M, M), (..., M, N); "r": Q is empty."""
    x = _matrix("qr", x)
    if mode not in ("reduced", "complete", "r"):
        raise ArgumentError(f"qr: mode must be reduced, complete or r: got {mode!r}.")
    m, n = x.shape[-2:]
    if m >= n:
        q, r = F.qr(x, complete=mode == "complete")
    else:  # the first M columns decide Q
        q, r = F.qr(x[..., :m])
        r = F.concat(r, F.matmul(_adjoint(q), x[..., m:]), axis=-1)
    return QRResult(wrap(x.backend.xp.zeros((0,), x.dtype)) if mode == "r" else q, r)


def _triangle(op: str, UPLO: str) -> bool:
    if UPLO not in ("L", "U", "l", "u"):
        raise ArgumentError(f'{op}: UPLO must be "L" or "U": got {UPLO!r}.')
    return UPLO in "Uu"


@takes_out
def eigh(x: Any, /, UPLO: str = "L") -> EighResult:
    """x = V diag(w) V^H for Hermitian x (..., N, N), of which one triangle is read; w ascending, real."""
    return EighResult(*F.eigh(_mirrored(_matrix("eigh", x, square=True), _triangle("eigh", UPLO))))


@takes_out
def eigvalsh(x: Any, /, UPLO: str = "L") -> Tensor:
    """The eigenvalues of a Hermitian x (..., N, N), ascending, real: (..., N)."""
    return F.eigvalsh(_mirrored(_matrix("eigvalsh", x, square=True), _triangle("eigvalsh", UPLO)))


@takes_out
def eig(x: Any, /) -> EigResult:
    """x V = V diag(w), both complex, the columns of V of length 1. x: (..., N, N). The gradient is that of functions
    that do not change with the phases of the columns."""
    return EigResult(*F.eig(_matrix("eig", x, square=True)))


@takes_out
def eigvals(x: Any, /) -> Tensor:
    """The eigenvalues of x (..., N, N), complex, in no order: (..., N)."""
    return F.eigvals(_matrix("eigvals", x, square=True))


@takes_out
def svd(x: Any, /, full_matrices: bool = True) -> SVDResult:
    """x = U diag(S) Vh, S descending. x: (..., M, N), K = min(M, N). U: (..., M, M) or, without full_matrices,
    (..., M, K); S: (..., K); Vh: (..., N, N) or (..., K, N)."""
    return SVDResult(*F.svd(_matrix("svd", x), full_matrices=full_matrices))


@takes_out
def svdvals(x: Any, /) -> Tensor:
    """The singular values, descending: (..., M, N) to (..., min(M, N))."""
    return F.svdvals(_matrix("svdvals", x))


@takes_out
def lu(x: Any, /, *, pivot: bool = True) -> PLUResult:
    """x = P L U with a permutation matrix P, L with ones on its diagonal. x: (..., M, N), K = min(M, N). P: (..., M,
    M), L: (..., M, K), U: (..., K, N)."""
    x = _matrix("lu", x)
    packed, _, order = F.lu_factor(x, pivot=pivot)
    k = min(x.shape[-2:])
    P = F.equal(F.expand_dims(order, -2), wrap(x.backend.xp.arange(x.shape[-2])[:, None]))  # P[i, j]: order[j] is i
    L = F.tril(packed[..., :k], k=-1) + _eye(x.shape[-2], k, x)
    return PLUResult(P.astype(x.dtype), L, F.triu(packed[..., :k, :]))


@takes_out
def lu_factor(x: Any, /, *, pivot: bool = True) -> LUResult:
    """L and U of lu() in one matrix, and pivots (..., K), int32: row i was exchanged with row pivots[i] - 1."""
    packed, pivots, _ = F.lu_factor(_matrix("lu_factor", x), pivot=pivot)
    return LUResult(packed, (pivots + 1).astype("int32"))


@takes_out
def lu_solve(LU: Any, pivots: Any, B: Any, /, *, left: bool = True, adjoint: bool = False) -> Tensor:
    """y with x y = B, or x^H y = B if adjoint, given lu_factor(x). left=False: y x = B. B: (..., N, K)."""
    LU, pivots, B = _matrix("lu_solve", LU, square=True), _array(pivots), _matrix("lu_solve", B)
    if not left:  # y x = B is x^H y^H = B^H
        return _adjoint(lu_solve(LU, pivots, _adjoint(B), adjoint=not adjoint))
    order = _order(pivots)
    if not adjoint:
        middle = F.solve_triangular(LU, _rows(B, order), upper=False, unitriangular=True)
        return F.solve_triangular(LU, middle, upper=True)
    up = _adjoint(LU)
    middle = F.solve_triangular(up, F.solve_triangular(up, B, upper=False), upper=True, unitriangular=True)
    return _rows(middle, F.argsort(order))


def _order(pivots: Tensor) -> Tensor:
    """(..., N): the rows as they come after all the exchanges."""
    n = pivots.shape[-1]
    place = wrap(pivots.backend.asarray(np.arange(n)))
    order = F.broadcast_to(place, pivots.shape)
    for i in range(n):
        p = (pivots[..., i : i + 1] - 1).astype("int64")  # (..., 1)
        other = F.take_along_axis(order, p, axis=-1)
        moved = F.where(F.equal(place, p), order[..., i : i + 1], order)
        order = F.where(F.equal(place, i), other, moved)
    return order


def _rows(x: Tensor, order: Tensor) -> Tensor:
    """The rows of x (..., N, K) in this order (..., N)."""
    stack = np.broadcast_shapes(x.shape[:-2], order.shape[:-1])
    x = F.broadcast_to(x, (*stack, *x.shape[-2:]))
    return F.take_along_axis(x, F.broadcast_to(F.expand_dims(order, -1), x.shape), axis=-2)


# ---- factorisations that report instead of raising -------------------------------------------------------------------


def _reported(f: Any, x: Tensor, first_wrong: Any, check_errors: bool) -> tuple[Any, Tensor]:
    """(f(x), info): info is 0, or for matrices that f cannot take the number that `first_wrong` finds, and NaN as their
    result. int32, one for each of the stack."""
    info = np.zeros(x.shape[:-2], np.int32)
    try:
        return f(x), wrap(x.backend.asarray(info))
    except LinAlgError:
        if check_errors:
            raise
    a = x.detach().numpy()
    for i in np.ndindex(*info.shape):
        info[i] = first_wrong(a[i])
    wrong = wrap(x.backend.asarray(info[..., None, None] > 0))
    y = f(F.where(wrong, _eye(x.shape[-1], x.shape[-1], x), x))
    mended = lambda part: F.where(wrong if part.ndim == wrong.ndim else wrong[..., 0], part * math.nan, part)
    return mended(y), wrap(x.backend.asarray(info))


def _minor(a: np.ndarray) -> int:
    """The order of the first leading minor that is not positive definite, 0 if none."""
    for k in range(1, len(a) + 1):
        try:
            np.linalg.cholesky(a[:k, :k])
        except np.linalg.LinAlgError:
            return k
    return 0


def _pivot(a: np.ndarray) -> int:
    """The first place of U's diagonal that is 0, counted from 1; 0 if none."""
    a = a.copy()
    for k in range(len(a)):
        p = k + int(np.argmax(np.abs(a[k:, k])))
        if a[p, k] == 0:
            return k + 1
        a[[k, p]] = a[[p, k]]
        a[k + 1 :] -= np.outer(a[k + 1 :, k] / a[k, k], a[k])
    return 0


@takes_out
def cholesky_ex(x: Any, /, *, upper: bool = False, check_errors: bool = False) -> CholeskyExResult:
    """`cholesky`, and info: 0, or the order of the first leading minor that is not positive definite; that matrix has
    NaN for a result."""
    x = _matrix("cholesky_ex", x, square=True)
    minor = lambda a: _minor(np.triu(a).conj().T if upper else a)
    return CholeskyExResult(*_reported(lambda a: cholesky(a, upper=upper), x, minor, check_errors))


@takes_out
def inv_ex(x: Any, /, *, check_errors: bool = False) -> InvExResult:
    """`inv`, and info: 0, or the place of the first pivot that is 0; that matrix has NaN for a result."""
    return InvExResult(*_reported(inv, _matrix("inv_ex", x, square=True), _pivot, check_errors))


@takes_out
def solve_ex(x1: Any, x2: Any, /, *, left: bool = True, check_errors: bool = False) -> SolveExResult:
    """`solve`, and info as `inv_ex`."""
    x1 = _matrix("solve_ex", x1, square=True)
    return SolveExResult(*_reported(lambda a: solve(a, x2, left=left), x1, _pivot, check_errors))


@takes_out
def lu_factor_ex(x: Any, /, *, pivot: bool = True, check_errors: bool = False) -> LUExResult:
    """`lu_factor`, and info: 0, or the place of the first 0 on U's diagonal."""
    packed, pivots = lu_factor(x, pivot=pivot)
    zero = F.equal(F.diagonal(packed.detach(), offset=0, axis1=-2, axis2=-1), 0)
    found = F.any(zero, axis=-1) if zero.shape[-1] else F.zeros(shape=zero.shape[:-1], dtype="bool", like=zero)
    info = F.where(found, F.argmax(zero, axis=-1) + 1 if zero.shape[-1] else 0, 0).astype("int32")
    if check_errors and (info.numpy() != 0).any():
        raise LinAlgError("lu_factor: a pivot is 0: the matrix is singular. Use linalg.pinv or lstsq.")
    return LUExResult(packed, pivots, info)


@takes_out
def ldl_factor(x: Any, /, *, hermitian: bool = False) -> LDLResult:
    """x = P L D L^T P^T (hermitian: L^H) of a symmetric x (..., N, N), positive or not, of which the lower triangle is
    read: L and D in one matrix, D in blocks of 1 and 2, and pivots (..., N), int32, as LAPACK's sytrf. It has no
    gradient (nor has PyTorch's): use solve, or detach x."""
    x = _matrix("ldl_factor", x, square=True)
    if x.requires_grad:
        raise GradError("ldl_factor: it has no gradient. Use linalg.solve or cholesky, or detach: x.detach().")
    return LDLResult(*(wrap(x.backend.asarray(part)) for part in ldl.factored(x.numpy(), hermitian)))


@takes_out
def ldl_factor_ex(x: Any, /, *, hermitian: bool = False, check_errors: bool = False) -> LDLExResult:
    """`ldl_factor`, and info: zeros, int32."""
    LD, pivots = ldl_factor(x, hermitian=hermitian)
    return LDLExResult(LD, pivots, F.zeros(shape=LD.shape[:-2], dtype="int32", like=LD))


@takes_out
def ldl_solve(LD: Any, pivots: Any, B: Any, /, *, hermitian: bool = False) -> Tensor:
    """y with x y = B, given ldl_factor(x). B: (..., N, K), with its gradient."""
    LD, pivots = _matrix("ldl_solve", LD, square=True), _array(pivots)
    if LD.requires_grad:
        raise GradError("ldl_solve: it has no gradient for LD. Use linalg.solve, or detach: LD.detach().")
    x = ldl.multiplied(LD.numpy(), pivots.numpy(), hermitian)
    return F.solve(wrap(LD.backend.asarray(x)), _matrix("ldl_solve", B))


# ---- numbers ---------------------------------------------------------------------------------------------------------


@takes_out
def det(x: Any, /) -> Tensor:
    """The determinant: (..., N, N) to (...)."""
    return F.det(_matrix("det", x, square=True))


@takes_out
def slogdet(x: Any, /) -> SlogdetResult:
    """det x = sign e**logabsdet, where det would over- or underflow; sign 0 and logabsdet -inf if x is singular."""
    return SlogdetResult(*F.slogdet(_matrix("slogdet", x, square=True)))


@takes_out
def matrix_exp(x: Any, /) -> Tensor:
    """e**x = 1 + x + x x / 2! + ... of matrices (..., N, N)."""
    return F.matrix_exp(_matrix("matrix_exp", x, square=True))


@takes_out
def matrix_rank(x: Any, /, *, rtol: Any = None, atol: Any = None, hermitian: bool = False) -> Tensor:
    """How many singular values are above max(atol, rtol max(S)), int64; as for pinv. (..., M, N) to (...)."""
    x = _matrix("matrix_rank", x).detach()
    s = F.abs(eigvalsh(x)) if hermitian else F.svdvals(x)
    if not s.shape[-1]:
        return wrap(x.backend.xp.zeros(x.shape[:-2], np.int64))
    top = F.max(s, axis=-1, keepdims=True)
    default = 0.0 if atol is not None else max(x.shape[-2:]) * float(np.finfo(s.dtype).eps)
    columns = [F.expand_dims(t, -1) if isinstance(t, Tensor) and t.ndim else t for t in map(_tolerance, (rtol, atol))]
    cutoff = top * (default if rtol is None else columns[0])
    cutoff = cutoff if atol is None else F.maximum(cutoff, columns[1])
    return F.count_nonzero(F.greater(s, cutoff), axis=-1)


@spelled
def vector_norm(x: Any, /, ord: Any = 2, axis: Any = None, keepdims: bool = False, *, dtype: Any = None) -> Tensor:
    """(sum |x|**ord)**(1/ord) over `axis`, all if None; inf, -inf: the largest, smallest |x|; 0: how many are not 0.
    Real. The gradient at 0 is 0."""
    x = _float(x)
    x = x if dtype is None else x.astype(dtype)
    axis = _tuple(axis)
    over = {"axis": axis, "keepdims": keepdims}
    if ord == 2:
        return _root(F.sum(_squared(x), **over), 0.5)
    a = F.abs(x)
    if ord == 0:
        return F.sum(F.where(F.equal(a, 0), 0, F.ones_like(a)), **over)
    if ord == 1:
        return F.sum(a, **over)
    if abs(ord) == inf:
        return (_largest if ord > 0 else F.min)(a, **over)
    zero = F.equal(a, 0)
    powers = F.where(zero, 0, F.power(F.where(zero, 1, a), ord))
    y = _root(F.sum(powers, **over), 1 / ord)
    return y if ord > 0 else F.where(F.any(zero, **over), 0, y)


def _root(total: Tensor, exponent: float) -> Tensor:
    """total**exponent, with gradient 0 where total is 0."""
    zero = F.equal(total, 0)
    safe = F.where(zero, 1, total)
    return F.where(zero, 0 if exponent > 0 else inf, F.sqrt(safe) if exponent == 0.5 else F.power(safe, exponent))


def _largest(x: Tensor, *, axis: Any = None, keepdims: bool = False) -> Tensor:
    """The largest of norms; of none, 0."""
    none = any(not x.shape[i] for i in axes_of("norm", axis, x.ndim))
    return (F.sum if none else F.max)(x, axis=axis, keepdims=keepdims)


@spelled
def matrix_norm(
    x: Any, /, ord: Any = "fro", axis: Any = (-2, -1), keepdims: bool = False, *, dtype: Any = None
) -> Tensor:
    """ord="fro": the root of sum |x|**2; "nuc": the sum of the singular values; 2, -2: the largest, the smallest;
    1, -1: the largest, smallest sum of |x| over a column; inf, -inf: over a row. (..., M, N) to (...)."""
    x = _matrix("matrix_norm", x)
    x = x if dtype is None else x.astype(dtype)
    rows, columns = axes_of("matrix_norm", tuple(axis), x.ndim)
    if ord == "fro" or ord is None:
        return vector_norm(x, axis=(rows, columns), keepdims=keepdims)
    if ord in (1, -1, inf, -inf):
        summed, other = (rows, columns) if abs(ord) == 1 else (columns, rows)
        sums = F.sum(F.abs(x), axis=summed, keepdims=True)
        y = (_largest if ord > 0 else F.min)(sums, axis=other, keepdims=True)
    elif ord in ("nuc", 2, -2):
        rest = tuple(i for i in range(x.ndim) if i not in (rows, columns))
        s = F.svdvals(F.permute_dims(x, (*rest, rows, columns)))  # (..., K)
        f = F.sum if ord == "nuc" else _largest if ord == 2 else F.min
        y = F.expand_dims(f(s, axis=-1), tuple(sorted((rows, columns))))
    else:
        raise ArgumentError(f"matrix_norm: ord must be fro, nuc, 1, -1, 2, -2, inf or -inf: got {ord!r}.")
    return y if keepdims else F.squeeze(y, (rows, columns))


@spelled
def norm(x: Any, /, ord: Any = None, axis: Any = None, keepdims: bool = False, *, dtype: Any = None) -> Tensor:
    """NumPy's and PyTorch's: matrix_norm over two axes (or of a matrix, if ord is given), else vector_norm. Without ord
    the root of sum |x|**2 over `axis`, all if None."""
    x = _float(x)
    axis = _tuple(axis)
    if ord is None and (axis is None or isinstance(axis, tuple)):
        return vector_norm(x, axis=axis, keepdims=keepdims, dtype=dtype)
    places = axes_of("norm", axis, x.ndim)
    if len(places) == 2:
        return matrix_norm(x, ord=ord, axis=places, keepdims=keepdims, dtype=dtype)
    if isinstance(ord, str) or len(places) > 2 or not places:
        raise ArgumentError(f"norm: ord={ord!r} needs one or two axes: got axis={axis} for shape {x.shape}.")
    return vector_norm(x, axis=places, keepdims=keepdims, ord=2 if ord is None else ord, dtype=dtype)


@takes_out
def cond(x: Any, /, p: Any = None) -> Tensor:
    """The condition number |x| |x^-1| in the matrix norm p; None and 2: the largest over the smallest singular value,
    -2: its inverse. inf for a singular matrix."""
    if p in (None, 2, -2):
        s = svdvals(x)
        if not s.shape[-1]:
            return wrap(s.backend.xp.zeros(s.shape[:-1], s.dtype))
        top, bottom = s[..., 0], s[..., -1]
        if p == -2:
            return bottom / top
        zero = F.equal(bottom, 0)
        return F.where(zero, inf, top / F.where(zero, 1, bottom))
    x = _matrix("cond", x, square=True)
    if not x.shape[-1]:
        return F.sum(F.real(x), axis=(-2, -1))
    singular = F.equal(F.slogdet(x.detach())[0], 0)
    safe = F.where(F.expand_dims(singular, (-2, -1)), _eye(x.shape[-1], x.shape[-1], x), x)
    return F.where(singular, inf, matrix_norm(x, ord=p) * matrix_norm(inv(safe), ord=p))
