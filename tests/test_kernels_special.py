"""Kernels written from the forwards of special functions, and of sine and cosine: the reference's numbers."""

import numpy as np
import pytest

import minigrad as mg

pytest.importorskip("numba")

from minigrad.kernels.cpu import special, trigonometry, when

from minigrad.primitive import PRIMITIVES

EDGES = [0.0, -0.0, 1.0, -1.0, -2.0, 0.5, -0.5, np.inf, -np.inf, np.nan, 1e30, -1e30, 1e-30, -1e-30, 1e-40]


def numbers(dtype):
    rng = np.random.default_rng(0)
    return np.concatenate([EDGES, rng.uniform(-30, 60, 700), rng.uniform(-1, 1, 700)]).astype(dtype)


def both(name, x, **params):
    """The reference's values, and the kernel's."""
    found = []
    for backend in ("numpy", "numba"):
        with mg.use_backend(backend), np.errstate(all="ignore"):
            found.append(mg.apply(PRIMITIVES[name], mg.tensor(x), **params).numpy())
    return found


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("name", when.SPECIAL)
def test_special_functions(name, dtype):
    x = numbers(dtype)
    assert x.size >= when.elementwise._SPECIAL_FROM
    expected, found = both(name, x, **when.SPECIAL[name])
    assert found.dtype == dtype
    np.testing.assert_array_equal(np.isnan(found), np.isnan(expected))
    inf = np.isinf(expected)
    np.testing.assert_array_equal(found[inf], expected[inf])
    rest = np.isfinite(expected)  # near roots, as in test_ulp.py, to the digits of numbers near 1
    eps = np.finfo(dtype).eps
    np.testing.assert_allclose(found[rest], expected[rest], rtol=40 * eps, atol=0 if name[0] == "i" else 40 * eps)


@pytest.mark.parametrize("n", [2, 3, 4, 5])
def test_derivatives_of_digamma(n):
    expected, found = both("polygamma_of", numbers(np.float64), n=n)
    np.testing.assert_allclose(found, expected, rtol=1e-13)


def test_views_and_shapes():
    x = numbers(np.float32)[:1400].reshape(20, 70)
    for view in (x.T, x[::2, ::-1], x[:, None], np.asfortranarray(x)):
        expected, found = both("lgamma", view)
        np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-5)
    for shape in ((), (0, 3), (1,)):
        expected, found = both("lgamma", np.ones(shape))
        np.testing.assert_array_equal(found, expected)
    assert special.special("lgamma")(np.ones((0, 3))).shape == (0, 3)


def test_parts_do_not_matter():
    x = np.resize(numbers(np.float64), 40_001)
    whole = special.special("digamma")(x)
    pieces = [special.special("digamma")(x[i : i + 999]) for i in range(0, x.size, 999)]
    np.testing.assert_array_equal(whole, np.concatenate(pieces))


def test_what_has_no_lines_says_so():
    """Complex numbers, and powers that are no whole numbers."""
    with pytest.raises((TypeError, AttributeError)):
        special.traced("bessel_j0")
    with pytest.raises((TypeError, AttributeError)):
        special.traced("airy_ai")


@pytest.mark.parametrize("name", ["sin", "cos"])
def test_sine_and_cosine(name):
    rng = np.random.default_rng(0)
    multiples = np.arange(-500, 500) * (np.pi / 4)
    near, far = rng.uniform(-50, 50, 1000), rng.uniform(-1e6, 1e6, 1000)
    strays = [*EDGES, 1e15, -1e300, 2**40]
    x = np.concatenate([multiples, near, far, strays, near * 1e-5])
    with np.errstate(invalid="ignore"):
        expected, found = getattr(np, name)(x), mg.apply(PRIMITIVES[name], mg.tensor(x)).numpy()
    np.testing.assert_array_equal(np.isnan(found), np.isnan(expected))
    np.testing.assert_allclose(found, expected, rtol=4e-16, atol=0)
    np.testing.assert_array_equal(np.signbit(found[x == 0]), np.signbit(expected[x == 0]))
    twice = x.reshape(-1, 2)[:, 0]
    np.testing.assert_array_equal(getattr(trigonometry, name)(twice), found[::2])
    assert getattr(trigonometry, name)(np.array(0.5)) == pytest.approx(getattr(np, name)(0.5), rel=1e-15)
    assert getattr(trigonometry, name)(np.ones((0, 2))).shape == (0, 2)


@pytest.mark.parametrize("name", ["erfcx", "lgamma", "i0e", "bessel_j0"])
def test_complex_numbers_are_refused(name):
    """They would come out wrong without a word."""
    with pytest.raises(mg.errors.DTypeError, match=f"{name}: takes real numbers"):
        mg.apply(PRIMITIVES[name], mg.tensor(np.array([1 + 2j])))
