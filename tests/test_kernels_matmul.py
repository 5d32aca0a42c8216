"""The compiled products against NumPy: sizes around every edge of the tile, layouts, vectors, few rows, threads."""

import itertools

import numpy as np
import pytest

import minigrad as mg
from minigrad import testing
from minigrad.errors import ShapeError
from minigrad.primitive import case

F = mg.get_backend("numba").F
KERNEL = pytest.importorskip("minigrad.kernels.cpu.matmul")
DTYPES = [np.float32, np.float64]


def close(got, a, b, dtype):
    """Each element within the rounding of a sum of k products."""
    exact = np.matmul(a.astype(np.longdouble), b.astype(np.longdouble))
    bound = np.matmul(np.abs(a).astype(np.float64), np.abs(b).astype(np.float64))
    assert got.dtype == dtype and got.shape == exact.shape
    k = a.shape[-1]
    assert (np.abs(got - exact) <= (4 + k**0.5) * np.finfo(dtype).eps * bound + np.finfo(dtype).tiny).all()


def pair(m, k, n, dtype, seed=0):
    rng = np.random.default_rng((seed, m, k, n))
    return rng.standard_normal((m, k)).astype(dtype), rng.standard_normal((k, n)).astype(dtype)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("k", [1, 3, 64, 513])
def test_sizes_around_the_tile(dtype, k):
    for m, n in itertools.product((1, 2, 5, 8, 9, 24, 25, 97), (1, 3, 8, 16, 17, 33, 64, 65, 130)):
        a, b = pair(m, k, n, dtype)
        close(KERNEL.matmul(a, b), a, b, dtype)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("m, k, n", [(40, 70, 50), (3, 90, 200), (200, 90, 3), (1, 300, 129), (130, 65, 1), (9, 64, 9)])
def test_memory_orders(dtype, m, k, n):
    a, b = pair(m, k, n, dtype)
    forms = [lambda x: x, lambda x: x.T.copy().T, lambda x: np.repeat(x, 2, 1)[:, ::2], lambda x: x[::-1].copy()[::-1]]
    for of_a, of_b in itertools.product(forms, forms):
        left, right = of_a(a), of_b(b)
        left.flags.writeable = False
        close(KERNEL.matmul(left, right), a, b, dtype)


STACKS = [
    *(((3, 20, 30), (3, 30, 70)), ((2, 1, 20, 30), (3, 30, 70)), ((20, 30), (4, 30, 70)), ((4, 20, 30), (30, 70))),
    *(((1, 20, 30), (5, 30, 7)), ((1, 1, 1, 100), (1, 100, 90)), ((33, 64, 64), (33, 64, 64)), ((5, 64), (2, 64, 70))),
    *(((200,), (200, 70)), ((200,), (3, 200, 70)), ((90, 200), (200,)), ((3, 90, 200), (200,)), ((0, 3), (3, 2))),
    *(((7, 33, 1), (7, 1, 65)), ((40, 1), (9, 1, 130)), ((9, 40, 1), (1, 130)), ((3, 1, 30, 1), (2, 1, 270))),
    *(((2, 0), (0, 3)), ((0, 4, 5), (0, 5, 6)), ((3, 0, 5), (5, 6))),
]


@pytest.mark.parametrize("of_a, of_b", STACKS)
@pytest.mark.parametrize("dtype", DTYPES)
def test_stacks_and_vectors(of_a, of_b, dtype):
    rng = np.random.default_rng(1)
    a, b = (rng.standard_normal(s).astype(dtype) for s in (of_a, of_b))
    got, expected = KERNEL.matmul(a, b), np.matmul(a.astype(np.float64), b.astype(np.float64))
    assert got.shape == expected.shape and got.dtype == dtype
    np.testing.assert_allclose(got, expected, atol=300 * np.finfo(dtype).eps)


@pytest.mark.parametrize("m, k, n", [(150, 200, 200), (130, 600, 70), (1, 700, 300), (4, 700, 300), (300, 700, 2)])
def test_not_one_bit_depends_on_the_threads(m, k, n):
    a, b = pair(m, k, n, np.float32)
    before = mg.get_num_threads()
    for left, right in ((a, b), (a, b.T.copy().T), (a.T.copy().T, b)):
        found = []
        try:
            for threads in (1, 2, 3):
                mg.set_num_threads(threads)
                found.append(KERNEL.matmul(left, right))
        finally:
            mg.set_num_threads(before)
        for got in found[1:]:
            np.testing.assert_array_equal(got, found[0])


def test_nan_and_infinity_stay_in_their_rows_and_columns():
    for m, n in ((70, 90), (3, 90), (90, 3), (1, 200)):
        a, b = pair(m, 100, n, np.float32)
        a[-1, 99], a[0, 0], b[3, -1] = np.inf, np.nan, -np.inf
        for right in (b, b.T.copy().T):
            with np.errstate(invalid="ignore"):
                expected = np.matmul(a.astype(np.float64), b.astype(np.float64))
            got = KERNEL.matmul(a, right)
            np.testing.assert_array_equal(np.isnan(got), np.isnan(expected))
            np.testing.assert_array_equal(got[np.isinf(expected)], expected[np.isinf(expected)])


@pytest.mark.parametrize("rows", [1, 3, 70])
def test_linear(rows):
    for dtype, bias in itertools.product(DTYPES, (True, False)):
        a, b = pair(rows, 129, 90, dtype)
        add = np.arange(180, dtype=dtype)[::2]
        got = KERNEL.linear(a.reshape(1, rows, 129), b.T.copy(), add if bias else None)
        assert got.shape == (1, rows, 90)
        close(got[0], np.c_[a, np.ones(rows, dtype)], np.r_[b, [add * bias]], dtype)


def test_through_the_dispatch():
    sizes = (((65, 67), (67, 71)), ((3, 5, 90), (90, 201)), ((1, 213), (213, 57)), ((3, 40, 50), (3, 50, 60)))
    assert testing.check_kernel("matmul", samples=[case(*s) for s in (*sizes, ((200, 90), (90, 1)))])
    assert testing.check_kernel("matmul", samples=[case((213,), (213, 57)), case((2, 80, 213), (213,))])


def test_wrong_shapes_are_explained():
    for a, b in (((90, 80), (81, 90)), ((2, 90, 80), (3, 80, 90)), ((900,), (800, 90)), ((90, 800), (900,))):
        with pytest.raises(ShapeError, match="matmul"):
            mg.ones(*a) @ mg.ones(*b)
    with pytest.raises(ShapeError, match="linear"):
        mg.nn.functional.linear(mg.ones(90, 80), mg.ones(90, 81))


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("stream_from", [0, 1 << 60])
def test_columns_times_rows(dtype, stream_from, monkeypatch):
    """Past the caches or not, from any address, each number is one product."""
    outer = pytest.importorskip("minigrad.kernels.cpu.outer")
    monkeypatch.setattr(outer, "STREAM_FROM", stream_from)
    rng = np.random.default_rng(0)
    for batch, m, n in ((3, 5, 7), (2, 1, 100), (4, 33, 65), (9, 128, 201)):
        a, b = rng.standard_normal((batch, m, 1)).astype(dtype), rng.standard_normal((batch, 1, n)).astype(dtype)
        a[0, 0], b[0, 0, 0] = np.nan, np.inf
        with np.errstate(invalid="ignore"):
            np.testing.assert_array_equal(KERNEL.matmul(a, b), a * b)
            np.testing.assert_array_equal(KERNEL.matmul(a[0], b), a[0] * b)
