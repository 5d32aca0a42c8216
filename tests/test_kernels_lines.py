"""Kernels along lines: order, running sums, products, log-sums and extremes give the reference's numbers."""

import numpy as np
import pytest

import minigrad as mg

pytest.importorskip("numba")

from minigrad.backend import get_backend

SHAPES = [
    ((37, 113), -1),
    ((37, 113), 0),
    ((5, 61, 7), 1),
    ((3_001,), 0),
    ((700, 3), 1),
    ((1, 2_000), 0),
    ((1_100, 1), 1),
]
ORDERS = ("sort", "argsort")


def both(name, x, **params):
    with np.errstate(all="ignore"):
        return [getattr(get_backend(backend).F, name)(x, **params) for backend in ("numpy", "numba")]


def numbers(shape, dtype, seed=0):
    x = np.random.default_rng(seed).standard_normal(shape).astype(dtype)
    return np.round(x * 8) / 8  # many are equal


def layouts(x):
    return [x, np.asfortranarray(x), np.repeat(x, 2, axis=-1)[..., ::2], x[::-1]]


@pytest.mark.parametrize("descending", [False, True])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("name", ORDERS)
def test_order(name, dtype, descending):
    """Bit for bit, with equal numbers in their order, both zeros equal, infinities, and NaN of both signs largest."""
    for shape, axis in SHAPES:
        x = numbers(shape, dtype)
        x.flat[::7], x.flat[::11], x.flat[::13] = 0.0, -0.0, np.nan
        x.flat[5::17], x.flat[6::17], x.flat[7::19], x.flat[8::23] = np.inf, -np.inf, -np.nan, 1e-310
        for v in layouts(x):
            expected, found = both(name, v, axis=axis, descending=descending)
            np.testing.assert_array_equal(found, expected)
            assert found.dtype == expected.dtype and found.shape == expected.shape


def test_order_of_all_equal_and_of_huge_numbers():
    for x in (np.zeros((40, 50)), np.full((2, 2_000), np.nan), np.geomspace(1e-300, 1e300, 3_000)[::-1].copy()):
        for name in ORDERS:
            expected, found = both(name, x, axis=-1)
            np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("name", ["cumsum", "cumprod", "logcumsumexp"])
def test_running(name, dtype):
    for shape, axis in SHAPES:
        x = numbers(shape, dtype) if name != "cumprod" else 1 + numbers(shape, dtype) / 50
        for v in layouts(x):
            expected, found = both(name, v.astype(np.float64), axis=axis)[0], both(name, v, axis=axis)[1]
            tolerance = 2e-5 if dtype == np.float32 else 1e-12
            np.testing.assert_allclose(found, expected, rtol=tolerance, atol=tolerance)
            assert found.dtype == dtype
    x.flat[3], x.flat[700], x.flat[1_050] = -np.inf, np.inf, np.nan
    x = np.concatenate([np.full((3, 40), -np.inf, dtype), np.resize(x, (3, 400))], axis=1)
    expected, found = both(name, x, axis=1)
    np.testing.assert_allclose(found, expected, rtol=1e-5)


@pytest.mark.parametrize("largest", [True, False])
def test_running_extremes(largest):
    for shape, axis in SHAPES:
        x = numbers(shape, np.float32)
        x.flat[0], x.flat[1] = -np.inf, np.inf
        for v in layouts(x):
            expected, found = both("argcummax", v, axis=axis, largest=largest)
            np.testing.assert_array_equal(found, expected)
        x.flat[x.size // 2 :: 31] = np.nan
        expected, found = both("argcummax", x, axis=axis, largest=largest)
        np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_running_from_the_end(dtype):
    """Along an axis that is turned, as in the gradient of a running sum."""
    for shape, axis in SHAPES:
        x = np.flip(1 + numbers(shape, dtype) / 50, axis)
        for name in ("cumsum", "cumprod"):
            expected, found = both(name, x.astype(np.float64), axis=axis)[0], both(name, x, axis=axis)[1]
            np.testing.assert_allclose(found, expected, rtol=2e-5 if dtype == np.float32 else 1e-12)
            assert found.dtype == dtype and found.flags.writeable
            assert np.flip(found, axis).flags.carray or shape[axis] == 1


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_gradient_of_running_products(dtype):
    """The body's numbers, at zeros too, for every layout; and the sums they stand for."""
    for shape, axis in SHAPES:
        x, dy = 1 + numbers(shape, np.float64) / 50, numbers(shape, np.float64, 1)
        x.flat[::29] = 0
        y = np.cumprod(x, axis)
        with mg.use_backend("numpy"):
            expected = get_backend("numpy").F.cumprod_backward(dy, x, y, axis=axis)
        for a, b, c in zip(*(layouts(v.astype(dtype)) for v in (dy, x, y))):
            given = expected[::-1] if a.strides[0] < 0 else expected
            if a.strides[0] < 0 and axis == 0:
                continue  # another product
            found = get_backend("numba").F.cumprod_backward(a, b, c, axis=axis)
            tolerance = 2e-5 if dtype == np.float32 else 1e-12
            np.testing.assert_allclose(found, given, rtol=tolerance, atol=10 * tolerance)
            assert found.dtype == dtype
    x, g = np.array([2.0, np.inf, 3.0, np.nan, 1.0]), np.ones(5)
    x, g = (np.tile(v, (300, 1)).astype(dtype) for v in (x, g))
    found = get_backend("numba").F.cumprod_backward(g, x, np.cumprod(x, 1), axis=1)
    np.testing.assert_array_equal(np.isnan(found[7]), [True, True, True, False, True])  # its own gradient has no NaN
    x[:, 3] = 1
    found = get_backend("numba").F.cumprod_backward(g, x, np.cumprod(x, 1), axis=1)
    np.testing.assert_array_equal(found[7], [np.inf, 20, np.inf, np.inf, np.inf])


def test_lines_do_not_depend_on_the_threads():
    x, before, found = numbers((301, 100), np.float32), mg.get_num_threads(), []
    try:
        for n in (1, 3):
            mg.set_num_threads(n)
            found.append([both(name, x, axis=a)[1] for name in (*ORDERS, "cumsum", "logcumsumexp") for a in (0, 1)])
            found[-1] += [get_backend("numba").F.cumprod_backward(x, x, x, axis=a) for a in (0, 1)]
    finally:
        mg.set_num_threads(before)
    for a, b in zip(*found):
        np.testing.assert_array_equal(a, b)
