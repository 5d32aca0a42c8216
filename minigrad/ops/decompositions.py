"""Factorisations of matrices, and what is computed with them: systems, inverses, determinants, functions of matrices.

All take stacks (..., M, N). In the rules, T is the transpose and H the conjugate transpose. A holomorphic operation has
its real rule (autograd.py says why); the others are written for the gradient of the textbooks, G with
dL = Re tr(G^H dX), the conjugate of g. Derivations: Giles 2008, Collected matrix derivative results; for complex
matrices Boeddeker et al. 2017, arXiv:1701.00392, and Seeger et al. 2017, arXiv:1710.08717.
"""

import numpy as np
from numpy.linalg import LinAlgError as Failed

from ..errors import LinAlgError, ShapeError
from ..primitive import Spec, broadcast_shapes, case, primitive, result_dtype

# ---- pieces of rules -------------------------------------------------------------------------------------------------


def C(F, x):
    """The conjugate, where there is one."""
    return F.conj(x) if x.dtype.kind == "c" else x


def T(F, x):
    return F.matrix_transpose(x)


def H(F, x):
    return C(F, F.matrix_transpose(x))


def product(F, *matrices):
    y = matrices[0]
    for x in matrices[1:]:
        y = F.matmul(y, x)
    return y


def hermitian(F, x):
    """(x + x^H) / 2."""
    return 0.5 * (x + H(F, x))


def eye_like(F, x):
    return F.tril(F.triu(F.ones_like(x)))


def diagonal(F, d):
    """The diagonal matrix (..., n, n) of d (..., n)."""
    return F.embed_diagonal(d, shape=(*d.shape, d.shape[-1]), axis1=-2, axis2=-1)


def diagonal_of(F, x):
    return F.diagonal(x, axis1=-2, axis2=-1)


def differences(F, d):
    """E[i, j] = d[j] - d[i], and 1 on the diagonal. (..., n) to (..., n, n)."""
    E = F.expand_dims(d, axis=-2) - F.expand_dims(d, axis=-1)
    return E + eye_like(F, E)


def ratio(F, a, b):
    """a / b with 0 / 0 = 0: equal eigenvalues matter only where a gradient tells their vectors apart."""
    nothing = F.logical_and(F.equal(a, 0), F.equal(b, 0))
    return F.where(nothing, 0, a / F.where(nothing, 1, b))


def half_diagonal(F, x, upper=False):
    """The triangle of x, with half its diagonal: what a triangular factor L has of the Hermitian L + L^H."""
    return 0.5 * (F.triu(x) + F.triu(x, k=1)) if upper else 0.5 * (F.tril(x) + F.tril(x, k=-1))


def thin(F, Q, G, k):
    """The first k columns of Q with orthonormal columns, and the gradient for them.

    The others, P, span the complement and turn only as it turns: dP = -Q dQ^H P. Right for functions of their span.
    """
    if Q.shape[-1] == k:
        return Q, G
    Q, P, G, B = Q[..., :k], Q[..., k:], G[..., :k], G[..., k:]
    return Q, G - product(F, P, H(F, B), Q)


# ---- errors and shapes -----------------------------------------------------------------------------------------------


def attempt(op, compute, x, one, rule, remedy):
    """compute(); if that fails, a LinAlgError with the place of the first matrix of x for which one(matrix) fails."""
    try:
        return compute()
    except Failed:
        pass
    for place in np.ndindex(tuple(x.shape[:-2])):
        try:
            one(x[place])
        except Failed:
            which = f"matrix {list(place)} of the stack {tuple(x.shape)}" if place else f"the matrix {tuple(x.shape)}"
            raise LinAlgError(f"{op}: {rule}: {which} is not. {remedy}") from None
    raise LinAlgError(f"{op}: {rule}: a matrix of {tuple(x.shape)} is not. {remedy}")


REGULARISE = "Add a multiple of the identity, or use linalg.pinv or linalg.lstsq."


def regular(op, xp, compute, x):
    return attempt(op, compute, x, xp.linalg.inv, "matrices must be invertible", REGULARISE)


def convergent(op, compute, x):
    def one(a):
        if not np.isfinite(np.sum(np.abs(a))):
            raise Failed

    return attempt(op, compute, x, one, "matrices must be finite", "Look for NaN and infinity with isfinite.")


def matrices(op, x):
    if len(x.shape) < 2:
        raise ShapeError(f"{op}: needs matrices, (..., M, N): got shape {tuple(x.shape)}. Use x[:, None] for a column.")
    return tuple(x.shape[:-2]), x.shape[-2], x.shape[-1]


def square(op, x, **params):
    _, m, n = matrices(op, x)
    if m != n:
        raise ShapeError(f"{op}: matrices must be square: got {tuple(x.shape)}. Use linalg.pinv, svd or qr for others.")
    return Spec(tuple(x.shape), result_dtype("float", x))


def numbers(op, x, **params):
    """One number a matrix."""
    return Spec(tuple(square(op, x).shape[:-2]), result_dtype("float", x))


def systems(op, a, b, **params):
    n = square(op, a).shape[-1]
    if len(b.shape) < 2 or b.shape[-2] != n:
        raise ShapeError(
            f"{op}: the right-hand side must have as many rows as the matrix: a is {tuple(a.shape)}, b is "
            f"{tuple(b.shape)}."
        )
    stack = broadcast_shapes(f"{op} (the axes before the matrices)", tuple(a.shape[:-2]), tuple(b.shape[:-2]))
    return Spec((*stack, n, b.shape[-1]), result_dtype("float", a, b))


def adjoint(xp, x):
    return xp.conj(x.swapaxes(-1, -2))


def real_of(dtype):
    return np.dtype(dtype).type(0).real.dtype


def complex_of(dtype):
    return np.result_type(dtype, np.complex64)


WELL = np.array([[4.0, 1.0, -0.5], [0.7, 3.0, 0.2], [0.1, 0.9, 2.0]])  # positive, with distinct real eigenvalues
STACK = np.stack([WELL, WELL[::-1, ::-1] + 0.3])


# ---- systems of equations --------------------------------------------------------------------------------------------


@primitive(
    checked=True,
    shape=systems,
    public=False,
    samples=(case((3, 3), (3, 2)), case((2, 1, 2, 2), (3, 2, 2)), case((0, 0), (0, 2)), case((2, 2), (2, 0))),
    complex_ok=True,
)
def solve(xp, a, b):
    """y with a y = b, by LU. a: (..., N, N), b: (..., N, K); y: (..., N, K)."""
    return regular("solve", xp, lambda: xp.linalg.solve(a, b), a)


@solve.rule("a", "b")
def _(F, g, a, y):
    g_b = F.solve(T(F, a), g)
    return -F.matmul(g_b, T(F, y)), g_b


@primitive(
    checked=True,
    shape=square,
    public=False,
    samples=(case((3, 3)), case((2, 2, 2)), case((0, 0))),
    complex_ok=True,
)
def inv(xp, x):
    """y = x^-1. x: (..., N, N)."""
    return regular("inv", xp, lambda: xp.linalg.inv(x), x)


@inv.rule("x")
def _(F, g, y):
    return -product(F, T(F, y), g, T(F, y))


HALF = 64  # rows from which a triangular system is halved


def substitute(xp, a, b, upper):
    """a y = b for a triangular a, halves first, so that most of the work is matrix products."""
    n = a.shape[-1]
    if n <= HALF:  # LU of an upper triangle exchanges no rows and eliminates nothing: it is substitution
        if upper:
            return xp.linalg.solve(xp.triu(a), b)
        return xp.flip(xp.linalg.solve(xp.flip(xp.tril(a), (-2, -1)), xp.flip(b, -2)), -2)
    h = n // 2
    first, last = a[..., :h, :h], a[..., h:, h:]
    if upper:
        y = substitute(xp, last, b[..., h:, :], upper)
        parts = [substitute(xp, first, b[..., :h, :] - a[..., :h, h:] @ y, upper), y]
    else:
        y = substitute(xp, first, b[..., :h, :], upper)
        parts = [y, substitute(xp, last, b[..., h:, :] - a[..., h:, :h] @ y, upper)]
    return xp.concatenate(parts, axis=-2)


def with_unit_diagonal(xp, a, upper):
    return (xp.triu(a, 1) if upper else xp.tril(a, -1)) + xp.eye(a.shape[-1], dtype=a.dtype)


@primitive(
    checked=True,
    shape=systems,
    public=False,
    samples=(
        case(WELL, (3, 2), upper=True),
        case(STACK, (3, 2), upper=False),
        case((3, 3), (2, 3, 1), upper=True, unitriangular=True),
        case((2, 2), (2, 2), upper=False, unitriangular=True),
        case((0, 0), (0, 1), upper=True),
    ),
    complex_ok=True,
)
def solve_triangular(xp, a, b, *, upper, unitriangular=False):
    """y with a y = b for the upper or lower triangle of a, its diagonal taken as 1 if `unitriangular`."""
    a = with_unit_diagonal(xp, a, upper) if unitriangular else a
    return attempt(
        "solve_triangular",
        lambda: substitute(xp, a, b, upper),
        a,
        lambda m: xp.linalg.inv(xp.triu(m) if upper else xp.tril(m)),
        "the diagonal must have no zeros",
        REGULARISE,
    )


@solve_triangular.rule("a", "b")
def _(F, g, a, y, upper, unitriangular):
    g_b = F.solve_triangular(T(F, a), g, upper=not upper, unitriangular=unitriangular)
    g_a = -F.matmul(g_b, T(F, y))
    return F.triu(g_a, k=int(unitriangular)) if upper else F.tril(g_a, k=-int(unitriangular)), g_b


# ---- determinants ----------------------------------------------------------------------------------------------------


@primitive(
    checked=True,
    shape=numbers,
    public=False,
    samples=(case((3, 3)), case((2, 2, 2)), case((1, 1)), case((0, 0))),
    complex_ok=True,
)
def det(xp, x):
    """y = det x. x: (..., N, N); y: (...). Singular matrices have their gradient too."""
    return xp.linalg.det(x)


@det.rule("x")
def _(F, g, x):
    return F.expand_dims(g, axis=(-2, -1)) * F.cofactors(x)


@primitive(checked=True, shape=square, public=False, samples=(case((3, 3)), case((2, 2, 2)), case((1, 1))))
def cofactors(xp, x):
    """y = det(x) x^-T, the derivative of det, also where there is no inverse: the singular values multiplied without
    one each."""
    u, s, v = xp.linalg.svd(x, full_matrices=False)  # x^-T = conj(u) / s conj(v)
    others = xp.prod(xp.where(xp.eye(s.shape[-1], dtype=bool), 1, s[..., None, :]), axis=-1)  # (..., N)
    phase = xp.linalg.det(u) * xp.linalg.det(v)
    return (phase[..., None, None] * (xp.conj(u) * others[..., None, :])) @ xp.conj(v)


@cofactors.rule("x")
def _(F, g, x, y):
    inverse = T(F, F.inv(x))  # dy = tr(x^-1 dx) y - x^-T dx^T y
    trace = F.sum(g * inverse, axis=(-2, -1), keepdims=True)
    return trace * y - product(F, y, T(F, g), inverse)


@primitive(
    checked=True,
    shape=numbers,
    outputs=2,
    public=False,
    samples=(case((3, 3)), case((2, 2, 2)), case((1, 1)), case((0, 0))),
)
def slogdet(xp, x):
    """(sign, logabsdet) with det x = sign e**logabsdet; sign: of magnitude 1 (0 if singular), logabsdet: real."""
    sign, log = xp.linalg.slogdet(x)
    return sign, log


@slogdet.rule("x")
def _(F, g, y, x):
    """t = tr(x^-1 dx): dlogabsdet = Re t, dsign = i sign Im t."""
    g_sign, g_log = g
    if x.dtype.kind == "c":
        g_log = g_log + F.imag(g_sign * y[0]) * 1j
    return F.expand_dims(g_log, axis=(-2, -1)) * T(F, F.inv(x))


# ---- factorisations --------------------------------------------------------------------------------------------------


@primitive(
    checked=True,
    shape=square,
    public=False,
    samples=(case(WELL), case(STACK), case((0, 0)), case(np.full((1, 1), 2.5))),
)
def cholesky(xp, x):
    """Lower triangular y with y y^H = (x + x^H) / 2, which must be positive definite. x: (..., N, N)."""
    x = 0.5 * x + 0.5 * adjoint(xp, x)
    return attempt(
        "cholesky",
        lambda: xp.linalg.cholesky(x),
        x,
        xp.linalg.cholesky,
        "matrices must be positive definite",
        "Add a multiple of the identity to move the eigenvalues above 0.",
    )


@cholesky.rule("x")
def _(F, g, y):
    """dy = y P(y^-1 dx y^-H), P = triangle with half the diagonal, so G_x = y^-H P(y^H G) y^-1."""
    up = H(F, y)
    P = half_diagonal(F, F.matmul(up, C(F, g)))
    left = F.solve_triangular(up, P, upper=True)  # y^-H P
    return C(F, hermitian(F, F.solve_triangular(up, H(F, left), upper=True)))


def _qr(op, x, *, complete=False):
    stack, m, n = matrices(op, x)
    if m < n:
        raise ShapeError(f"{op}: the factors of a wide matrix follow from its first square part: got {tuple(x.shape)}.")
    return Spec((*stack, m, m if complete else n), result_dtype("float", x))


@primitive(
    checked=True,
    shape=_qr,
    outputs=2,
    public=False,
    samples=(case((3, 3)), case((4, 2)), case((2, 3, 2)), case((2, 0)), case((2, 2), complete=True)),
)
def qr(xp, x, *, complete=False):
    """(q, r) with x = q r, q^H q = 1, r upper triangular. x: (..., M, N), M >= N; q: (..., M, N), or (..., M, M) if
    complete. The gradient needs columns that are linearly independent; for the columns behind the N-th it is that of
    functions of what they span."""
    q, r = xp.linalg.qr(x, "complete" if complete else "reduced")
    return q, r


@qr.rule("x")
def _(F, g, y):
    (Q, R), (G_Q, G_R) = y, g
    n = R.shape[-1]
    Q, G_Q = thin(F, Q, C(F, G_Q), n)
    R, G_R = R[..., :n, :], C(F, G_R)[..., :n, :]
    P = half_diagonal(F, F.matmul(G_R, H(F, R)) - F.matmul(H(F, Q), G_Q), upper=True)
    B = G_Q + F.matmul(Q, P + H(F, P))
    return C(F, H(F, F.solve_triangular(R, H(F, B), upper=True)))  # B R^-H


@primitive(
    checked=True,
    shape=square,
    outputs=2,
    public=False,
    samples=(case(WELL), case(STACK), case((3, 3)), case((1, 1)), case((0, 0))),
)
def eigh(xp, x):
    """(w, v) with (x + x^H) / 2 = v diag(w) v^H, w ascending. x: (..., N, N); w: (..., N), real; v: (..., N, N).
    A gradient that tells apart the vectors of equal eigenvalues is infinite."""
    x = 0.5 * x + 0.5 * adjoint(xp, x)
    w, v = convergent("eigh", lambda: xp.linalg.eigh(x), x)
    return w, v


eigh.shape = lambda op, x: Spec(tuple(square(op, x).shape[:-1]), real_of(result_dtype("float", x)))


@eigh.rule("x")
def _(F, g, y):
    """dw = diag(v^H dx v), dv = v (v^H dx v / E) with E[i, j] = w[j] - w[i]."""
    (w, V), (g_w, g_v) = y, g
    E = differences(F, w)
    inner = F.matmul(H(F, V), C(F, g_v))
    turn = ratio(F, inner - inner * eye_like(F, E), E)
    return C(F, hermitian(F, product(F, V, turn + diagonal(F, g_w), H(F, V))))


@primitive(checked=True, shape=eigh.shape, public=False, samples=(case(WELL), case(STACK), case((1, 1)), case((0, 0))))
def eigvalsh(xp, x):
    """The eigenvalues of (x + x^H) / 2, ascending; real. x: (..., N, N); y: (..., N)."""
    x = 0.5 * x + 0.5 * adjoint(xp, x)
    return convergent("eigvalsh", lambda: xp.linalg.eigvalsh(x), x)


@eigvalsh.rule("x")
def _(F, g, x):
    _, V = F.eigh(x)
    return C(F, hermitian(F, product(F, V, diagonal(F, g), H(F, V))))


def _eigenvalues(op, x):
    return Spec(tuple(square(op, x).shape[:-1]), complex_of(result_dtype("float", x)))


@primitive(
    checked=True,
    shape=_eigenvalues,
    outputs=2,
    public=False,
    samples=(case(WELL), case(STACK), case((1, 1)), case((0, 0))),
)
def eig(xp, x):
    """(w, v) with x v = v diag(w), the columns of v of length 1; both complex. x: (..., N, N). The gradient is that of
    functions that the phases of the columns do not change."""
    w, v = convergent("eig", lambda: xp.linalg.eig(x), x)
    kind = complex_of(x.dtype)
    return w.astype(kind), v.astype(kind)


@eig.rule("x")
def _(F, g, y):
    (w, V), (g_w, g_v) = y, g
    inner = F.matmul(H(F, V), C(F, g_v))
    length = F.real(diagonal_of(F, inner))  # the part that would change the length of a column
    inner = inner - F.matmul(H(F, V), V) * F.expand_dims(length, axis=-2)
    E = differences(F, w)
    turn = ratio(F, inner - inner * eye_like(F, E), C(F, E))
    return C(F, F.solve(H(F, V), F.matmul(turn + diagonal(F, C(F, g_w)), H(F, V))))


@primitive(
    checked=True, shape=_eigenvalues, public=False, samples=(case(WELL), case(STACK), case((2, 2)), case((0, 0)))
)
def eigvals(xp, x):
    """The eigenvalues of x, complex, in no order. x: (..., N, N); y: (..., N)."""
    return convergent("eigvals", lambda: xp.linalg.eigvals(x), x).astype(complex_of(x.dtype))


@eigvals.rule("x")
def _(F, g, x):
    _, V = F.eig(x)
    return F.solve(T(F, V), F.matmul(diagonal(F, g), T(F, V)))  # V^-T diag(g) V^T


def _svd(op, x, *, full_matrices=False):
    stack, m, n = matrices(op, x)
    return Spec((*stack, m, m if full_matrices else min(m, n)), result_dtype("float", x))


@primitive(
    checked=True,
    shape=_svd,
    outputs=3,
    public=False,
    samples=(case((3, 3)), case((4, 2)), case((2, 2, 3)), case((0, 2)), case((2, 2), full_matrices=True)),
)
def svd(xp, x, *, full_matrices=False):
    """(u, s, v) with x = u diag(s) v, u^H u = 1 = v v^H, s descending. x: (..., M, N), K = min(M, N); u: (..., M, K),
    s: (..., K), real, v: (..., K, N); u and v square if full_matrices. A gradient that tells apart the vectors of equal
    singular values, or that of a long matrix with a singular value 0, is infinite; that of complex vectors holds for
    functions that their common phase does not change, that of columns behind the K-th for functions of their span."""
    u, s, v = convergent("svd", lambda: xp.linalg.svd(x, full_matrices=full_matrices), x)
    return u, s, v


@svd.rule("x")
def _(F, g, y):
    (U, s, V), (G_U, g_s, G_V) = y, g  # V is V^H, as everywhere
    k = s.shape[-1]
    U, G_U = thin(F, U, C(F, G_U), k)
    V, G_V = (H(F, z) for z in thin(F, H(F, V), H(F, C(F, G_V)), k))
    row, column = F.expand_dims(s, axis=-2), F.expand_dims(s, axis=-1)
    E = (row - column) * (row + column)  # s[j]**2 - s[i]**2
    E = E + eye_like(F, E)
    in_u, in_v = F.matmul(H(F, U), G_U), F.matmul(V, H(F, G_V))
    in_u, in_v = in_u - H(F, in_u), in_v - H(F, in_v)
    inner = ratio(F, in_u * row + column * in_v, E) + diagonal(F, g_s)
    if U.dtype.kind == "c":
        inner = inner + diagonal(F, ratio(F, diagonal_of(F, in_u), 2 * s))
    G = product(F, U, inner, V)
    if U.shape[-2] > k:  # what leaves the span of U
        W = F.matmul(ratio(F, G_U, row), V)
        G = G + W - product(F, U, H(F, U), W)
    if V.shape[-1] > k:
        W = F.matmul(U, ratio(F, G_V, column))
        G = G + W - product(F, W, H(F, V), V)
    return C(F, G)


def _singular_values(op, x):
    stack, m, n = matrices(op, x)
    return Spec((*stack, min(m, n)), real_of(result_dtype("float", x)))


@primitive(
    checked=True,
    shape=_singular_values,
    public=False,
    samples=(case((3, 3)), case((4, 2)), case((2, 2, 3)), case((0, 2))),
)
def svdvals(xp, x):
    """The singular values of x, descending; real. x: (..., M, N); y: (..., min(M, N))."""
    return convergent("svdvals", lambda: xp.linalg.svd(x, compute_uv=False), x)


@svdvals.rule("x")
def _(F, g, x):
    U, _, V = F.svd(x)
    return C(F, F.matmul(U * F.expand_dims(g, axis=-2), V))


# ---- LU --------------------------------------------------------------------------------------------------------------

PANEL = 32  # columns that are eliminated one by one before the rest of the matrix hears of them


def _lu(op, x, *, pivot=True):
    matrices(op, x)
    return Spec(tuple(x.shape), result_dtype("float", x))


@primitive(
    checked=True,
    shape=_lu,
    outputs=3,
    public=False,
    samples=(case((3, 3)), case((2, 4, 2)), case((2, 3)), case((0, 2)), case(WELL, pivot=False)),
)
def lu_factor(xp, x, *, pivot=True):
    """(lu, pivots, order): the triangles of x[order] = L U in one matrix, L having ones on its diagonal; row i was
    exchanged with row pivots[i]. x: (..., M, N); pivots: (..., min(M, N)); order: (..., M), int64."""
    *stack, m, n = x.shape
    k = min(m, n)
    a = xp.array(x.reshape((-1, m, n))) if 0 not in x.shape else xp.zeros((int(np.prod(stack)), m, n), x.dtype)
    each = xp.arange(a.shape[0])
    order = xp.array(xp.broadcast_to(xp.arange(m), (a.shape[0], m)))
    pivots = xp.array(xp.broadcast_to(xp.arange(k), (a.shape[0], k)))
    for start in range(0, k, PANEL):
        stop = min(start + PANEL, k)
        for j in range(start, stop):
            if pivot and a.shape[0]:
                size = xp.abs(a[:, j:, j].real) + xp.abs(a[:, j:, j].imag)  # LAPACK's measure
                p = pivots[:, j] = j + xp.argmax(size, axis=-1)
                for rows in (a, order):
                    held = xp.array(rows[each, p])
                    rows[each, p] = rows[:, j]
                    rows[:, j] = held
            top = a[:, j, j]
            a[:, j + 1 :, j] = a[:, j + 1 :, j] / xp.where(top == 0, 1, top)[:, None]  # zeros below a zero stay
            a[:, j + 1 :, j + 1 : stop] -= a[:, j + 1 :, j, None] * a[:, j, None, j + 1 : stop]
        if stop < n:
            low = with_unit_diagonal(xp, a[:, start:stop, start:stop], False)
            a[:, start:stop, stop:] = substitute(xp, low, a[:, start:stop, stop:], False)
            a[:, stop:, stop:] -= a[:, stop:, start:stop] @ a[:, start:stop, stop:]
    return a.reshape(x.shape), pivots.reshape((*stack, k)), order.reshape((*stack, m))


@lu_factor.rule("x")
def _(F, g, y):
    """With B = x[order] = L U, L^-1 dB U^-1 = L^-1 dL + dU U^-1: a lower and an upper triangle.

    Rows below, B2 = L2 U, and columns beside, B2 = L U2, pass theirs on to the square part.
    """
    (packed, _, order), g = y, g[0]
    m, n = packed.shape[-2:]
    k = min(m, n)
    L, U = packed[..., :k, :k], packed[..., :k, :k]
    low = {"upper": True, "unitriangular": True}  # of L^T
    g_L, g_U = F.tril(g[..., :k, :k], k=-1), F.triu(g[..., :k, :k])
    rest = []
    if m > k:
        L2 = packed[..., k:, :]
        g_B2 = T(F, F.solve_triangular(U, T(F, g[..., k:, :]), upper=True))  # g_L2 U^-T
        g_U = g_U - F.triu(F.matmul(T(F, L2), g_B2))
        rest = [g_B2]
    if n > k:
        U2 = packed[..., :, k:]
        g_B2 = F.solve_triangular(T(F, L), g[..., :, k:], **low)  # L^-T g_U2
        g_L = g_L - F.tril(F.matmul(g_B2, T(F, U2)), k=-1)
        rest = [g_B2]
    Lower = F.tril(L, k=-1) + eye_like(F, L)
    inner = F.tril(F.matmul(T(F, Lower), g_L), k=-1) + F.triu(F.matmul(g_U, T(F, F.triu(U))))
    inner = F.solve_triangular(T(F, L), inner, **low)  # L^-T inner
    g_B = T(F, F.solve_triangular(U, T(F, inner), upper=True))  # L^-T inner U^-T
    if rest:
        g_B = F.concat(g_B, *rest, axis=-2 if m > k else -1)
    back = F.expand_dims(F.argsort(order), axis=-1)  # B's rows in the places they came from
    return F.take_along_axis(g_B, F.broadcast_to(back, shape=g_B.shape), axis=-2)


# ---- functions of matrices -------------------------------------------------------------------------------------------

PADE = (64764752532480000, 32382376266240000, 7771770303897600, 1187353796428800, 129060195264000, 10559470521600,
        670442572800, 33522128640, 1323241920, 40840800, 960960, 16380, 182, 1)  # fmt: skip
RADIUS = 5.371920351148152  # of the 1-norm, within which the approximation is exact to float64's rounding


@primitive(
    checked=True,
    shape=square,
    public=False,
    samples=(case((3, 3)), case((2, 2, 2)), case((1, 1)), case((0, 0))),
    complex_ok=True,
)
def matrix_exp(xp, x):
    """y = 1 + x + x^2 / 2! + ... x: (..., N, N). Halved until its norm is below 5.4, then by a quotient of polynomials
    of degree 13, then squared as often. Higham 2005, SIAM J. Matrix Anal. Appl. 26."""
    if 0 in x.shape:
        return xp.array(x)
    norm = xp.max(xp.sum(xp.abs(x), axis=-2), axis=-1)  # (...)
    halvings = xp.ceil(xp.log2(xp.maximum(xp.where(xp.isfinite(norm), norm, 0), RADIUS) / RADIUS))
    x = x * (0.5**halvings).astype(norm.dtype)[..., None, None]
    one, b = xp.eye(x.shape[-1], dtype=x.dtype), PADE
    x2 = x @ x
    x4 = x2 @ x2
    x6 = x2 @ x4
    odd = x @ (x6 @ (b[13] * x6 + b[11] * x4 + b[9] * x2) + b[7] * x6 + b[5] * x4 + b[3] * x2 + b[1] * one)
    even = x6 @ (b[12] * x6 + b[10] * x4 + b[8] * x2) + b[6] * x6 + b[4] * x4 + b[2] * x2 + b[0] * one
    y = xp.linalg.solve(even - odd, even + odd)
    most = xp.flatnonzero(xp.arange(1100) < xp.max(halvings)).shape[0]  # a shape is known without reading the device
    for k in range(most):
        y = xp.where((k < halvings)[..., None, None], y @ y, y)
    return y


@matrix_exp.rule("x")
def _(F, g, x):
    """exp([[A, E], [0, A]]) has d exp(A) along E in its corner; the adjoint has A = x^T, E = g."""
    n = x.shape[-1]
    A = T(F, x)
    top, bottom = F.concat(A, g, axis=-1), F.concat(F.zeros_like(A), A, axis=-1)
    return F.matrix_exp(F.concat(top, bottom, axis=-2))[..., :n, n:]


def _pinv(op, x, rtol=None, atol=None):
    stack, m, n = matrices(op, x)
    return Spec((*stack, n, m), result_dtype("float", x))


@primitive(
    checked=True,
    shape=_pinv,
    public=False,
    samples=(case((3, 3)), case((4, 2)), case((2, 2, 3)), case((0, 2)), case((2, 2), 1e-3)),
)
def pinv(xp, x, rtol=None, atol=None):
    """The pseudo-inverse (Moore, Penrose): singular values up to max(atol, rtol max(s)) count as 0; numbers, or (...)
    one a matrix. Default: rtol = max(M, N) eps. x: (..., M, N); y: (..., N, M). The rank must not change nearby."""
    m, n = x.shape[-2:]
    if not m * n:
        return xp.zeros((*x.shape[:-2], n, m), x.dtype)
    u, s, v = convergent("pinv", lambda: xp.linalg.svd(x, full_matrices=False), x)
    if rtol is None:
        rtol = 0.0 if atol is not None else max(m, n) * float(np.finfo(s.dtype).eps)
    top = s[..., :1]
    cutoff = (rtol[..., None] if hasattr(rtol, "shape") else rtol) * top
    if atol is not None:
        cutoff = xp.maximum(cutoff, atol[..., None] if hasattr(atol, "shape") else atol)
    inverse = xp.where(s > cutoff, 1 / xp.where(s > cutoff, s, 1), 0).astype(s.dtype)
    return adjoint(xp, v) @ (inverse[..., None] * adjoint(xp, u))


@pinv.rule("x")
def _(F, g, x, y):
    """dP = -P dA P + P P^H dA^H (1 - A P) + (1 - P A) dA^H P^H P. Golub, Pereyra 1973."""
    A, P, G = x, y, C(F, g)
    Ph, Gh = H(F, P), H(F, G)
    left = product(F, Gh, P, Ph)
    right = product(F, Ph, P, Gh)
    G = left - product(F, A, P, left) + right - product(F, right, P, A) - product(F, Ph, G, Ph)
    return C(F, G)
