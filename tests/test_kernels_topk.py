"""The leading elements of lines, and the order of integers: what a stable sort gives."""

import numpy as np
import pytest

import minigrad as mg
from minigrad.primitive import PRIMITIVES

pytest.importorskip("numba")

from minigrad.kernels.cpu import sort, when


def lines(dtype, kind):
    rng = np.random.default_rng(0)
    x = rng.standard_normal((7, 901)).astype(dtype)
    if kind == "ties":
        x = np.round(2 * x) / 2  # zeros of both signs among them
    if kind == "rising":
        x = np.sort(x, axis=1)
    if kind == "NaN":
        x[:, ::300], x[2, 1:800], x[3] = np.nan, np.nan, np.nan
        x[4, 5], x[4, 6] = np.inf, -np.inf
    return x


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("kind", ["plain", "ties", "rising", "NaN"])
@pytest.mark.parametrize("largest", [True, False])
def test_argtopk(kind, largest, dtype):
    x = lines(dtype, kind)
    for k in (1, 3, 64, 112):
        assert when.argtopk_when(x, k=k)
        expected = PRIMITIVES["argtopk"].forward(np, x, k=k, largest=largest)
        np.testing.assert_array_equal(sort.argtopk(x, k=k, largest=largest), expected)


def test_other_axes_and_views():
    x = np.random.default_rng(0).standard_normal((50, 4, 60))
    for view, axis in ((x, 0), (x[::-1], 2), (x.transpose(2, 1, 0), 0), (x[:, :1], -3)):
        expected = PRIMITIVES["argtopk"].forward(np, view, k=5, axis=axis)
        np.testing.assert_array_equal(sort.argtopk(view, k=5, axis=axis), expected)
    assert sort.argtopk(np.ones((0, 9)), k=1).shape == (0, 1)


def test_gradient_of_topk():
    x = mg.tensor(lines(np.float64, "plain"), requires_grad=True)
    mg.topk(x, 3)[0].sum().backward()
    expected = np.zeros(x.shape)
    np.put_along_axis(expected, np.argsort(-x.numpy(), axis=1)[:, :3], 1, axis=1)
    np.testing.assert_array_equal(x.grad.numpy(), expected)


@pytest.mark.parametrize("descending", [False, True])
def test_integers(descending):
    rng, limits = np.random.default_rng(0), np.iinfo(np.int64)
    x = rng.integers(-50, 50, (3, 701))
    x[0, 3:6] = limits.min, limits.max, limits.min
    for given, axis in ((x, 1), (x.T, 0), (x.reshape(-1), 0), (rng.integers(limits.min, limits.max, (40, 30)), 0)):
        assert when.argsort_when(given, axis=axis)
        expected = PRIMITIVES["argsort"].forward(np, given, axis=axis, descending=descending)
        np.testing.assert_array_equal(sort.argsort(given, axis=axis, descending=descending), expected)
        values = mg.apply(PRIMITIVES["sort"], mg.tensor(given), axis=axis, descending=descending).numpy()
        np.testing.assert_array_equal(values, np.take_along_axis(given, expected, axis))
