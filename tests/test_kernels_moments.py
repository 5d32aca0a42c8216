"""Kernels of products and variances: the bodies' numbers, for odd lengths, pieces of long rows, NaN and infinity."""

import math

import numpy as np
import pytest

import minigrad as mg
from minigrad.primitive import PRIMITIVES

pytest.importorskip("numba")

from minigrad.kernels.cpu import moments, when

CASES = [
    ((97, 131), 1), ((97, 131), 0), ((5, 20, 101), 1), ((40_003,), None), ((3, 40_003), -1), ((20_001, 2), 0),
    ((1, 9_000), 1), ((9_000, 1), 0), ((9_000, 1), 1), ((11, 31, 33), None),
]  # fmt: skip


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("keepdims", [False, True])
@pytest.mark.parametrize("shape, axis", CASES, ids=str)
def test_products(shape, axis, keepdims, dtype):
    x = (1 + np.random.default_rng(0).uniform(-0.01, 0.01, shape)).astype(dtype)
    assert when.prod_when(x, axis=axis)
    found = moments.prod(x, axis=axis, keepdims=keepdims)
    expected = np.prod(x, axis=axis, keepdims=keepdims, dtype=np.float64)
    assert found.dtype == dtype and found.shape == expected.shape
    n = x.size if axis is None else x.shape[axis]
    np.testing.assert_allclose(found, expected, rtol=2 * math.sqrt(n) * np.finfo(dtype).eps)


def test_products_of_zero_nan_and_infinity():
    x = np.ones((5, 3_000))
    x[0, 7], x[1, 2_999], x[2, 0], x[3, 5], x[3, 6] = 0, np.nan, -np.inf, 0, np.inf
    np.testing.assert_array_equal(moments.prod(x, axis=1), [0, np.nan, -np.inf, np.nan, 1])


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize(
    "shape, axis",
    [((97, 131), 1), ((97, 131), None), ((3, 40_003), -1), ((2, 70, 71), (1, 2)), ((70_001,), None), ((900, 17), 1)],
    ids=str,
)
def test_variances(shape, axis, dtype):
    x = (100 + np.random.default_rng(0).standard_normal(shape)).astype(dtype)
    for correction in (None, 1, 0.5):
        for keepdims in (False, True):
            assert when.var_when(x, axis=axis)
            found = moments.var(x, axis=axis, correction=correction, keepdims=keepdims)
            expected = np.var(x, axis=axis, ddof=correction or 0, keepdims=keepdims, dtype=np.float64)
            assert found.dtype == dtype and found.shape == expected.shape
            np.testing.assert_allclose(found, expected, rtol=200 * np.finfo(dtype).eps)


def test_variances_of_nan_and_of_too_few():
    x = np.random.default_rng(0).standard_normal((40, 300))
    x[3, 5], x[4, 299] = np.nan, np.inf
    with np.errstate(invalid="ignore"):
        np.testing.assert_array_equal(np.isnan(moments.var(x, axis=1)), np.isnan(np.var(x, axis=1)))
    assert np.isnan(moments.var(np.ones((9_000, 17)), axis=1, correction=17)).all()


def test_the_parts_do_not_matter():
    x = np.random.default_rng(0).standard_normal((64, 999))
    f = lambda p, x: mg.apply(PRIMITIVES[p], mg.tensor(x), axis=1).numpy()
    for name in ("prod", "var"):
        whole = f(name, x)
        np.testing.assert_array_equal(whole, np.concatenate([f(name, x[i : i + 16]) for i in range(0, 64, 16)]))
