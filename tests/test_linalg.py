"""minigrad.linalg: values against NumPy on drawn shapes, errors, and gradients against differences and PyTorch."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import minigrad as mg
from minigrad import linalg, testing
from minigrad.errors import ArgumentError, LinAlgError, ShapeError

KINDS = [np.float32, np.float64, np.complex64, np.complex128]
STACKS = [(), (2,), (0,), (2, 1)]


def drawn(rng, shape, dtype=np.float64):
    x = rng.standard_normal(shape)
    return (x + 1j * rng.standard_normal(shape) if np.dtype(dtype).kind == "c" else x).astype(dtype)


def H(x):
    return np.conj(np.swapaxes(x, -1, -2))


def close(got, expected, dtype):
    got = got.detach().numpy()
    assert got.shape == np.shape(expected)
    assert got.dtype == np.dtype(dtype)
    tol = 2e-3 if np.finfo(dtype).bits == 32 else 1e-9
    np.testing.assert_allclose(got, expected, rtol=tol, atol=tol * max(1, np.abs(expected).max(initial=0)))


def real(dtype):
    return np.dtype(dtype).type(0).real.dtype


cases = settings(max_examples=40, deadline=None, derandomize=True)
kinds, stacks, lengths, seeds = st.sampled_from(KINDS), st.sampled_from(STACKS), st.integers(0, 5), st.integers(0, 99)


@cases
@given(kinds, stacks, lengths, st.integers(0, 3), seeds)
def test_square_matrices(dtype, stack, n, k, seed):
    rng = np.random.default_rng(seed)
    a = drawn(rng, (*stack, n, n), dtype) + 3 * np.eye(n, dtype=dtype)
    b = drawn(rng, (*stack, n, k), dtype)
    wide = a.astype(np.complex128 if np.dtype(dtype).kind == "c" else np.float64)
    close(linalg.inv(a), np.linalg.inv(wide), dtype)
    close(linalg.solve(a, b), np.linalg.solve(wide, b), dtype)
    close(linalg.solve(a, H(b), left=False), H(np.linalg.solve(H(wide), b)), dtype)
    close(linalg.det(a), np.linalg.det(wide), dtype)
    sign, log = linalg.slogdet(a)
    close(sign, np.linalg.slogdet(wide).sign, dtype)
    close(log, np.linalg.slogdet(wide).logabsdet, real(dtype))
    close(linalg.matrix_power(a, 3), np.linalg.matrix_power(wide, 3), dtype)
    close(linalg.matrix_power(a, -2), np.linalg.matrix_power(wide, -2), dtype)
    w, v = linalg.eig(a)
    assert w.dtype == v.dtype == np.result_type(dtype, np.complex64)
    close(linalg.matmul(a, v), (v * w[..., None, :]).numpy(), w.dtype)
    packed, pivots = linalg.lu_factor(a)
    close(linalg.lu_solve(packed, pivots, b), np.linalg.solve(wide, b), dtype)
    close(linalg.lu_solve(packed, pivots, b, adjoint=True), np.linalg.solve(H(wide), b), dtype)
    for upper, low in ((False, np.tril(wide)), (True, np.triu(wide))):
        low = low + 2 * np.eye(n)
        close(linalg.solve_triangular(low.astype(dtype), b, upper=upper), np.linalg.solve(low, b), dtype)


@cases
@given(kinds, stacks, lengths, seeds)
def test_hermitian_matrices(dtype, stack, n, seed):
    rng = np.random.default_rng(seed)
    a = drawn(rng, (*stack, n, n), dtype)
    a = a @ H(a) + np.eye(n, dtype=dtype)
    low = linalg.cholesky(a)
    close(low, np.linalg.cholesky(a), dtype)
    close(linalg.cholesky(a, upper=True), H(np.linalg.cholesky(a)), dtype)
    b = drawn(rng, (*stack, n, 2), dtype)
    close(linalg.cholesky_solve(b, low), np.linalg.solve(a.astype(np.result_type(dtype, np.float64)), b), dtype)
    w, v = linalg.eigh(a)
    close(w, np.linalg.eigvalsh(a), real(dtype))
    close(linalg.eigvalsh(a, UPLO="U"), np.linalg.eigvalsh(a), real(dtype))
    close(linalg.matmul(v * w[..., None, :], H(v.numpy())), a, dtype)


@cases
@given(kinds, stacks, lengths, lengths, seeds)
def test_any_matrices(dtype, stack, m, n, seed):
    rng = np.random.default_rng(seed)
    a = drawn(rng, (*stack, m, n), dtype)
    k = min(m, n)
    for full in (True, False):
        u, s, v = linalg.svd(a, full_matrices=full)
        assert u.shape == (*stack, m, m if full else k) and v.shape == (*stack, n if full else k, n)
        close(linalg.matmul(u[..., :k] * s[..., None, :], v[..., :k, :]), a, dtype)
        close(linalg.matmul(H(u.numpy()), u), np.broadcast_to(np.eye(u.shape[-1]), (*stack, *u.shape[-1:] * 2)), dtype)
    close(linalg.svdvals(a), np.linalg.svd(a, compute_uv=False), real(dtype))
    for mode in ("reduced", "complete"):
        q, r = linalg.qr(a, mode=mode)
        expected = np.linalg.qr(a, mode)
        assert (q.shape, r.shape) == (expected.Q.shape, expected.R.shape)
        close(linalg.matmul(q, r), a, dtype)
        np.testing.assert_array_equal(r.numpy(), np.triu(r.numpy()))
    p, low, up = linalg.lu(a)
    close(linalg.matmul(linalg.matmul(p, low), up), a, dtype)
    close(linalg.pinv(a), np.linalg.pinv(a, rtol=1e-5), dtype)
    np.testing.assert_array_equal(linalg.matrix_rank(a).numpy(), np.linalg.matrix_rank(a))
    for offset in (-2, 0, 1, 9):
        close(linalg.diagonal(a, offset=offset), np.linalg.diagonal(a, offset=offset), dtype)
        close(linalg.trace(a, offset=offset), np.linalg.trace(a, offset=offset), dtype)


@cases
@given(kinds, st.sampled_from([(3,), (2, 3), (2, 1, 3)]), seeds, st.sampled_from([None, 0, -1, (0, -1)]), st.booleans())
def test_norms(dtype, shape, seed, axis, keepdims):
    a = drawn(np.random.default_rng(seed), shape, dtype)
    axis = None if len(shape) == 1 and axis == (0, -1) else axis
    for ord in (2, 1, 0, np.inf, -np.inf, 3, -1, 0.5):
        expected = np.linalg.vector_norm(a, axis=axis, keepdims=keepdims, ord=ord)
        close(linalg.vector_norm(a, axis=axis, keepdims=keepdims, ord=ord), expected, real(dtype))
    if len(shape) > 1:
        for ord in ("fro", "nuc", 2, -2, 1, -1, np.inf, -np.inf):
            expected = np.linalg.matrix_norm(a, keepdims=keepdims, ord=ord)
            close(linalg.matrix_norm(a, keepdims=keepdims, ord=ord), expected, real(dtype))
            if len(shape) == 2:
                close(linalg.norm(a, ord), np.linalg.norm(a, ord), real(dtype))


@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.complex128])
def test_functions_of_matrices(dtype):
    scipy = pytest.importorskip("scipy.linalg")
    rng = np.random.default_rng(0)
    for scale in (0.01, 1, 30):
        a = (scale * drawn(rng, (2, 4, 4), dtype) / 4).astype(dtype)
        wide = a.astype(np.result_type(dtype, np.float64))
        expected = scipy.expm(wide)
        got = linalg.matrix_exp(a)
        assert got.dtype == dtype
        for g, e in zip(got.numpy(), expected):
            assert np.abs(g - e).max() <= (1e-4 if dtype == np.float32 else 1e-11) * np.abs(e).max()
    assert linalg.matrix_exp(np.zeros((0, 0), dtype)).shape == (0, 0)


def test_large_systems_go_through_halves_and_panels():
    rng = np.random.default_rng(0)
    a, b = rng.standard_normal((150, 150)) + 30 * np.eye(150), rng.standard_normal((150, 3))
    for upper, low in ((False, np.tril(a)), (True, np.triu(a))):
        np.testing.assert_allclose(
            linalg.solve_triangular(a, b, upper=upper).numpy(), np.linalg.solve(low, b), rtol=1e-9
        )
    p, low, up = linalg.lu(a[::-1])
    np.testing.assert_allclose((p @ low @ up).numpy(), a[::-1], rtol=1e-9, atol=1e-12)
    assert np.abs(low.numpy()).max() == 1  # pivots are the largest


def test_other_compositions():
    rng = np.random.default_rng(1)
    a, b = rng.standard_normal((2, 3, 6)), rng.standard_normal((2, 3))
    np.testing.assert_allclose(linalg.tensorsolve(a, b).numpy(), np.linalg.tensorsolve(a, b))
    a = rng.standard_normal((4, 6, 8, 3))
    np.testing.assert_allclose(linalg.tensorinv(a, 2).numpy(), np.linalg.tensorinv(a, 2))
    x = rng.standard_normal((2, 4))
    np.testing.assert_allclose(linalg.vander(x, N=3).numpy()[1], np.vander(x[1], 3, increasing=True))
    c, d = rng.standard_normal((4, 1, 3)), rng.standard_normal((2, 3))
    np.testing.assert_allclose(linalg.cross(c, d).numpy(), np.cross(c, d))
    np.testing.assert_allclose(linalg.outer(c[0, 0], d[0]).numpy(), np.outer(c[0, 0], d[0]))
    m = rng.standard_normal((5, 5))
    for p in (None, 2, -2, 1, -1, np.inf, "fro", "nuc"):
        np.testing.assert_allclose(linalg.cond(m, p).numpy(), np.linalg.cond(m, p), rtol=1e-9)
    assert linalg.cond(np.ones((2, 2)), 1).numpy() == np.inf
    y, residuals, rank, _ = linalg.lstsq(m[:, :2], m[:, 2:4])
    expected = np.linalg.lstsq(m[:, :2], m[:, 2:4])
    np.testing.assert_allclose(y.numpy(), expected[0])
    np.testing.assert_allclose(residuals.numpy(), expected[1])
    assert rank.numpy() == 2


def test_tolerances_may_differ_from_matrix_to_matrix():
    a, rtol = np.random.default_rng(2).standard_normal((2, 3, 4)), np.array([1e-3, 0.9])
    np.testing.assert_allclose(linalg.pinv(a, rtol=rtol).numpy(), np.linalg.pinv(a, rtol=rtol), atol=1e-12)
    np.testing.assert_array_equal(linalg.matrix_rank(a, rtol=rtol).numpy(), np.linalg.matrix_rank(a, rtol=rtol))


def test_norms_of_nothing():
    a = np.zeros((2, 0, 3))
    for ord in ("fro", "nuc", 2, 1, np.inf):
        np.testing.assert_array_equal(linalg.matrix_norm(a, ord=ord).numpy(), np.zeros(2))
    for ord, expected in ((2, 0), (1, 0), (0, 0), (np.inf, 0), (-1, np.inf)):
        np.testing.assert_array_equal(linalg.vector_norm(a, axis=1, ord=ord).numpy(), np.full((2, 3), expected))


def test_one_triangle_is_read():
    a = np.array([[2.0, 9.0], [0.5, 3.0]])
    for name in ("L", "U"):
        np.testing.assert_allclose(linalg.eigvalsh(a, UPLO=name).numpy(), np.linalg.eigvalsh(a, UPLO=name))
    np.testing.assert_allclose(linalg.cholesky(a).numpy(), np.linalg.cholesky(a))


# ---- errors ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: linalg.inv(np.stack([np.eye(2), np.ones((2, 2))])), r"inv: .*matrix \[1\] of the stack"),
        (lambda: linalg.solve(np.zeros((2, 2)), np.ones(2)), "solve: matrices must be invertible"),
        (lambda: linalg.cholesky(np.stack([[np.eye(2), -np.eye(2)]])), r"cholesky: .*matrix \[0, 1\]"),
        (lambda: linalg.solve_triangular(np.zeros((2, 2)), np.ones((2, 1)), upper=True), "diagonal must have no zeros"),
        (lambda: linalg.eigvals(np.full((2, 2), np.nan)), "eigvals: matrices must be finite"),
    ],
)
def test_matrices_that_do_not_fit(call, words):
    with pytest.raises(LinAlgError, match=words) as caught:
        call()
    assert isinstance(caught.value, np.linalg.LinAlgError)


@pytest.mark.parametrize(
    "call",
    [
        lambda: linalg.inv(np.ones((2, 3))),
        lambda: linalg.det(np.ones(3)),
        lambda: linalg.solve(np.eye(2), np.ones(3)),
        lambda: linalg.outer(np.ones((2, 2)), np.ones(2)),
        lambda: linalg.cross(np.ones(2), np.ones(2)),
        lambda: linalg.tensorinv(np.ones((2, 3)), 1),
    ],
)
def test_shapes_that_do_not_fit(call):
    with pytest.raises(ShapeError):
        call()


def test_options_that_do_not_exist():
    for call in (lambda: linalg.qr(np.eye(2), mode="raw"), lambda: linalg.matrix_norm(np.eye(2), ord=3)):
        with pytest.raises(ArgumentError):
            call()


# ---- gradients -------------------------------------------------------------------------------------------------------

RNG = np.random.default_rng(5)
SQUARE = drawn(RNG, (2, 3, 3))
COMPLEX = drawn(RNG, (3, 3), complex)
TALL, WIDE = drawn(RNG, (4, 2)), drawn(RNG, (2, 4), complex)


def spanned(q):
    """The projection on the columns: what does not depend on signs, phases or turns."""
    h = mg.conj(mg.matrix_transpose(q))
    return mg.matmul(q, h)


@pytest.mark.parametrize("x", [SQUARE, COMPLEX], ids=["real", "complex"])
@pytest.mark.parametrize(
    "f",
    {
        "eigh": lambda x: (linalg.eigh(x + mg.conj(x.mT)).eigenvalues, mg.abs(linalg.eigh(x + mg.conj(x.mT))[1])),
        "eig": lambda x: (linalg.eig(x)[0], mg.abs(linalg.eig(x)[1])),
        "svd": lambda x: (linalg.svd(x).S, mg.matmul(linalg.svd(x).U, linalg.svd(x).Vh), mg.abs(linalg.svd(x).U)),
        "lu": lambda x: linalg.lu(x)[1:],
        "lu_solve": lambda x: linalg.lu_solve(*linalg.lu_factor(x), x),
        "norms": lambda x: tuple(linalg.matrix_norm(x, ord=o) for o in ("fro", "nuc", 2, -2, 1)),
        "cond": lambda x: (linalg.cond(x), linalg.cond(x, 1)),
        "power": lambda x: (linalg.matrix_power(x, 5), linalg.matrix_power(x, -2)),
        "householder": lambda x: linalg.householder_product(x, x[..., 0]),
        "pinv": lambda x: linalg.pinv(x[..., :2]),
        "lstsq": lambda x: linalg.lstsq(x[..., :2], x).solution,
        "vector_norm": lambda x: tuple(linalg.vector_norm(x, ord=o, axis=-1) for o in (2, 1, 3, np.inf, -2)),
    }.items(),
    ids=lambda item: item[0],
)
def test_gradients(f, x):
    """Of compositions, and of vectors in the ways that phases do not change."""
    testing.gradcheck(f[1], [x], name=f[0])
    testing.gradgradcheck(f[1], [x], directions=2, name=f[0])


@pytest.mark.parametrize("x", [TALL, WIDE, H(WIDE)], ids=["tall", "wide", "tall complex"])
def test_gradients_of_rectangles(x):
    m, n = x.shape
    fs = {
        "svd": lambda x: (linalg.svdvals(x), spanned(linalg.svd(x).U[:, :1])),
        "full svd": lambda x: spanned(linalg.svd(x).U[:, n:]) if m > n else spanned(linalg.svd(x).Vh.mT[:, m:]),
        "qr": lambda x: linalg.qr(x),
        "complete qr": lambda x: spanned(linalg.qr(x, mode="complete").Q[:, n:]) if m > n else linalg.qr(x).R,
        "lu": lambda x: linalg.lu(x)[1:],
        "pinv": lambda x: linalg.pinv(x),
    }  # fmt: skip
    for name, f in fs.items():
        testing.gradcheck(f, [x], name=name)
        testing.gradgradcheck(f, [x], directions=2, name=name)


def test_equal_singular_values_have_values_gradients():
    x = mg.tensor(np.eye(3), requires_grad=True)
    values = (linalg.svdvals(x), linalg.eigvalsh(x), linalg.eigh(x).eigenvalues, linalg.svd(x).S, linalg.eig(x)[0].real)
    sum(v.sum() for v in values).backward()
    np.testing.assert_allclose(x.grad.numpy(), 5 * np.eye(3), atol=1e-12)


def test_singular_matrices_have_the_determinants_gradient():
    a = np.array([[1.0, 2.0], [2.0, 4.0]])
    x = mg.tensor(a, requires_grad=True)
    linalg.det(x).backward()
    np.testing.assert_allclose(x.grad.numpy(), [[4, -2], [-2, 1]], atol=1e-12)


def test_norms_have_gradient_zero_at_zero():
    x = mg.tensor(np.zeros(3), requires_grad=True)
    (linalg.vector_norm(x) + linalg.vector_norm(x, ord=3) + linalg.vector_norm(x, ord=0)).backward()
    np.testing.assert_array_equal(x.grad.numpy(), 0)


INVARIANT = {
    "cholesky": lambda L, x: L.linalg.cholesky(x @ x.mT + 1.0 * x.detach() @ x.detach().mT),
    "eigh": lambda L, x: L.linalg.eigh(x + x.mT)[0] ** 2,
    "svdvals": lambda L, x: L.linalg.svdvals(x) ** 3,
    "slogdet": lambda L, x: L.linalg.slogdet(x)[1],
    "matrix_exp": lambda L, x: L.linalg.matrix_exp(x),
    "pinv": lambda L, x: L.linalg.pinv(x[..., :2]),
    "solve": lambda L, x: L.linalg.solve(x, x.mT * 2),
    "triangular": lambda L, x: L.linalg.solve_triangular(x, x.mT, upper=False, left=False),
}


@pytest.mark.parametrize("name", INVARIANT)
def test_first_and_second_gradients_as_in_torch(name):
    torch = pytest.importorskip("torch")
    f = INVARIANT[name]
    found = []
    for L, x, grad in (
        (mg, mg.tensor(SQUARE, requires_grad=True), mg.autograd.grad),
        (torch, torch.tensor(SQUARE, requires_grad=True), torch.autograd.grad),
    ):
        (g,) = grad((f(L, x) ** 2).sum(), [x], create_graph=True)
        (gg,) = grad((g**2).sum(), [x])
        found.append((g.detach().numpy(), gg.numpy()))
    for ours, theirs in zip(*found):
        np.testing.assert_allclose(ours, theirs, rtol=1e-8, atol=1e-9 * np.abs(theirs).max())
