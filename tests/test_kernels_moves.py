"""Kernels that only move elements: the numbers of the reference, of every type that has four or eight bytes."""

import numpy as np
import pytest

import minigrad as mg
from minigrad.primitive import PRIMITIVES

pytest.importorskip("numba")

from minigrad.kernels.cpu import moves, when

DTYPES = ["float32", "float64", "int32", "uint64", "complex64"]


def numbers(shape, dtype):
    rng = np.random.default_rng(0)
    x = (100 * rng.standard_normal(shape)).astype(dtype)
    if x.dtype.kind in "fc":
        x.ravel()[:: x.size // 7] = np.nan
    return x


@pytest.mark.parametrize("dtype", DTYPES)
def test_roll(dtype):
    x = numbers((60, 7, 71), dtype)
    for shift, axis in ((3, 0), (-2, 1), (500, -1), (0, 1), (12_345, None), ((1, -5), (0, 2)), ((2,), (1,))):
        assert when.roll_when(x, shift=shift, axis=axis)
        for given in (x, x[::-1], x.transpose(2, 0, 1)):
            np.testing.assert_array_equal(moves.roll(given, shift=shift, axis=axis), np.roll(given, shift, axis))
    assert not when.roll_when(x, shift=2, axis=(0, 1))  # the reference rolls both


@pytest.mark.parametrize("dtype", DTYPES)
def test_pad(dtype):
    x = numbers((3, 55, 61), dtype)
    for widths in (((0, 0), (1, 2), (3, 4)), ((0, 0), (0, 0), (5, 0)), ((0, 0), (0, 7), (0, 0)), ((0, 0),) * 3):
        for value in (0, -2):
            if dtype[0] == "u" and value < 0:
                continue
            assert when.pad_when(x, widths=widths, value=value)
            expected = np.pad(x, widths, constant_values=value)
            np.testing.assert_array_equal(moves.pad(x, widths=widths, value=value), expected)
            np.testing.assert_array_equal(moves.pad(x[0].T, widths=widths[1:]), np.pad(x[0].T, widths[1:]))
    np.testing.assert_array_equal(moves.pad(x.ravel(), widths=((2, 1),)), np.pad(x.ravel(), (2, 1)))
    assert not when.pad_when(x, widths=((1, 0), (0, 0), (0, 0)))
    assert not when.pad_when(numbers((9_000,), "int64"), widths=((1, 0),), value=0.5)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("shape", [(90, 101), (101, 90), (3, 2, 40, 41), (9_000, 1), (1, 9_000)], ids=str)
def test_triangles(shape, dtype):
    x = numbers(shape, dtype)
    for k in (0, 1, -1, 30, -30, 20_000, -20_000):
        assert when.tril_when(x, k=k)
        np.testing.assert_array_equal(moves.tril(x, k=k), np.tril(x, k))
        np.testing.assert_array_equal(moves.triu(x.swapaxes(-1, -2), k=k), np.triu(x.swapaxes(-1, -2), k))


def test_tile_and_repeat_still_repeat():
    x = mg.tensor(np.random.default_rng(0).standard_normal((70, 90)), requires_grad=True)
    for f, g in ((lambda t: mg.tile(t, (2, 3)), lambda a: np.tile(a, (2, 3))),
                 (lambda t: mg.repeat(t, 4, axis=0), lambda a: np.repeat(a, 4, 0))):  # fmt: skip
        y = f(x)
        np.testing.assert_array_equal(y.detach().numpy(), g(x.detach().numpy()))
        (dx,) = mg.autograd.grad(y.sum(), [x])
        np.testing.assert_array_equal(dx.numpy(), np.full(x.shape, y.size / x.size))
    with mg.use_backend("numpy"):
        assert mg.apply(PRIMITIVES["roll"], x, shift=1, axis=0).shape == x.shape
