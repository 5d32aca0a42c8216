"""Special functions against SciPy, their edges, float32, and what says that it has no gradient."""

import itertools

import numpy as np
import pytest

import minigrad as mg
import minigrad.testing
from minigrad.errors import ArgumentError, GradError

sp = pytest.importorskip("scipy.special", reason="SciPy is the oracle of these tests")
RNG = np.random.default_rng(0)
WIDE = np.concatenate([np.linspace(-60, 60, 2001), 10.0 ** np.arange(-8, 5)])
UP = np.abs(WIDE) + 1e-9
ONE = {  # name: (oracle, points, absolute error)
    "bessel_j0": (sp.j0, WIDE, 3e-15), "bessel_j1": (sp.j1, WIDE, 3e-15),
    "bessel_y0": (sp.y0, UP, 2e-14), "bessel_y1": (sp.y1, UP[UP > 1e-3], 2e-13),
    "modified_bessel_k0": (sp.k0, UP, 2e-14), "modified_bessel_k1": (sp.k1, UP[UP > 1e-3], 3e-13),
    "scaled_modified_bessel_k0": (sp.k0e, UP, 2e-14), "scaled_modified_bessel_k1": (sp.k1e, UP[UP > 1e-3], 3e-13),
    "airy_ai": (lambda x: sp.airy(x)[0], np.linspace(-30, 30, 3001), 2e-14),
    "airy_ai_prime": (lambda x: sp.airy(x)[1], np.linspace(-30, 30, 3001), 1e-13),
    "spherical_bessel_j0": (lambda x: sp.spherical_jn(0, x), UP[UP < 1e3], 1e-13),
}  # fmt: skip


@pytest.mark.parametrize("name", ONE)
def test_values(name):
    oracle, x, error = ONE[name]
    f = getattr(mg.special, name)
    np.testing.assert_allclose(f(mg.tensor(x)).numpy(), oracle(x), rtol=1e-13, atol=error)
    y = f(mg.tensor(x.astype(np.float32)))
    assert y.dtype == np.float32
    inside = np.abs(x) < 50
    np.testing.assert_allclose(
        y.numpy()[inside], oracle(x.astype(np.float32).astype(float))[inside], rtol=3e-7, atol=3e-7
    )


@pytest.mark.parametrize("name, limits", [
    ("bessel_j0", [0, 0, np.nan, 1]), ("bessel_j1", [0, 0, np.nan, 0]), ("bessel_y0", [0, np.nan, np.nan, -np.inf]),
    ("bessel_y1", [0, np.nan, np.nan, -np.inf]), ("modified_bessel_k0", [0, np.nan, np.nan, np.inf]),
    ("scaled_modified_bessel_k1", [0, np.nan, np.nan, np.inf]), ("airy_ai", [0, 0, np.nan, 0.3550280538878172]),
])  # fmt: skip
def test_limits(name, limits):
    x = np.array([np.inf, -np.inf, np.nan, 0.0])
    np.testing.assert_allclose(getattr(mg.special, name)(mg.tensor(x)).numpy(), limits, rtol=1e-15)


def test_incomplete_gamma():
    a = np.concatenate([10 ** RNG.uniform(-2, 5, 1500), RNG.uniform(0, 5, 500)])
    x = a * np.concatenate([RNG.lognormal(0, 0.02, 500), RNG.lognormal(0, 1.5, 1500)])
    for ours, oracle in ((mg.igamma, sp.gammainc), (mg.igammac, sp.gammaincc)):
        np.testing.assert_allclose(ours(a, x).numpy(), oracle(a, x), rtol=1e-7, atol=2e-13)
    a, x = np.array([0, 0, 1, 1, np.inf, np.inf, -1, np.nan, 2]), np.array([0, 1, 0, np.inf, 1, np.inf, 1, 1, -1])
    expected = [np.nan, 1, 0, 1, 0, np.nan, np.nan, np.nan, np.nan]
    np.testing.assert_array_equal(mg.special.gammainc(a, x).numpy(), expected)
    np.testing.assert_array_equal(mg.special.gammaincc(a, x).numpy(), 1 - np.array(expected))


def test_zeta():
    s, q = RNG.uniform(1.01, 20, 500), RNG.uniform(0.01, 50, 500)
    np.testing.assert_allclose(mg.special.zeta(s, q).numpy(), sp.zeta(s, q), rtol=2e-14)
    s, q = np.array([2, 3, 2.5, 1, 0.5, 2, 2]), np.array([-1.5, -2.3, -1.5, 2, 2, 0, -1])
    np.testing.assert_allclose(mg.special.zeta(s, q).numpy(), [9.3792466449891, -34.3568962571, np.nan, np.inf, np.nan,
                                                              np.inf, np.inf], rtol=1e-9)  # fmt: skip


@pytest.mark.parametrize("f", [mg.igamma, mg.igammac, mg.special.zeta])
def test_no_gradient_says_why(f):
    a, x = mg.tensor([2.0], requires_grad=True), mg.tensor([3.0], requires_grad=True)
    with pytest.raises(GradError, match=r"no gradient for [as]"):
        f(a, x).sum().backward()
    f(a.detach(), x).sum().backward()
    assert np.isfinite(x.grad.numpy()).all()


POLYNOMIALS = {
    "chebyshev_polynomial_t": sp.eval_chebyt, "chebyshev_polynomial_u": sp.eval_chebyu,
    "hermite_polynomial_h": sp.eval_hermite, "hermite_polynomial_he": sp.eval_hermitenorm,
    "laguerre_polynomial_l": sp.eval_laguerre, "legendre_polynomial_p": sp.eval_legendre,
    "shifted_chebyshev_polynomial_t": sp.eval_sh_chebyt, "shifted_chebyshev_polynomial_u": sp.eval_sh_chebyu,
}  # fmt: skip


@pytest.mark.parametrize("name", POLYNOMIALS)
def test_polynomials(name):
    x, n = np.linspace(-2, 2, 9), np.arange(12)[:, None]
    f, oracle = getattr(mg.special, name), POLYNOMIALS[name]
    np.testing.assert_allclose(f(mg.tensor(x), n).numpy(), oracle(n, x), rtol=1e-11, atol=1e-10)
    t = mg.tensor(x, requires_grad=True)
    f(t, 5).sum().backward()
    slope = (oracle(5, x + 1e-6) - oracle(5, x - 1e-6)) / 2e-6
    np.testing.assert_allclose(t.grad.numpy(), slope, rtol=1e-6, atol=1e-4)
    assert (f(t, -1).numpy() == 0).all()


def test_chebyshev_by_angles():
    t = np.linspace(0.1, 3.0, 7)
    x = mg.tensor(np.cos(t))
    for n in range(6):
        np.testing.assert_allclose(mg.special.chebyshev_polynomial_v(x, n).numpy(),
                                   np.cos((n + 0.5) * t) / np.cos(t / 2), rtol=1e-10, atol=1e-12)  # fmt: skip
        np.testing.assert_allclose(mg.special.chebyshev_polynomial_w(x, n).numpy(),
                                   np.sin((n + 0.5) * t) / np.sin(t / 2), rtol=1e-10, atol=1e-12)  # fmt: skip


def test_degrees_differ_between_samples():
    with pytest.raises(ArgumentError, match="same for all samples"):
        mg.func.vmap(lambda x, n: mg.special.legendre_polynomial_p(x, n))(mg.ones(3), mg.arange(3))


def test_names():
    for name in mg.special.__all__:
        assert callable(getattr(mg.special, name)), name
    with pytest.raises(AttributeError):
        mg.special.add  # noqa: B018  a function, but no special one


# ---- the short-time Fourier transform -------------------------------------------------------------------------------


@pytest.mark.parametrize("center, onesided, normalized", [*itertools.product([True, False], repeat=3)])
def test_stft_is_the_transform_of_each_frame(center, onesided, normalized):
    x, w = RNG.standard_normal((2, 40)), np.hanning(10)[1:-1] + 0.1
    y = mg.stft(mg.tensor(x), 10, 3, 8, mg.tensor(w), center=center, normalized=normalized, onesided=onesided).numpy()
    padded = np.pad(x, ((0, 0), (5, 5)), mode="reflect") if center else x
    window = np.pad(w, 1)
    for m in range(y.shape[-1]):
        frame = np.fft.fft(padded[:, 3 * m : 3 * m + 10] * window, norm="ortho" if normalized else None)
        np.testing.assert_allclose(y[..., m], frame[:, : 6 if onesided else 10], atol=1e-12)
    if center:
        back = mg.istft(mg.tensor(y), 10, 3, 8, mg.tensor(w), normalized=normalized, onesided=onesided, length=40)
        np.testing.assert_allclose(back.numpy(), x, atol=1e-12)


def test_stft_gradient():
    f = lambda x, w: mg.stft(x, 6, 2, window=w, return_complex=False)
    mg.testing.gradcheck(f, [RNG.standard_normal(14), RNG.uniform(0.5, 1, 6)])
    g = lambda y, w: mg.istft(mg.view_as_complex(y), 6, 2, window=w)
    mg.testing.gradcheck(g, [RNG.standard_normal((4, 5, 2)), RNG.uniform(0.5, 1, 6)])
