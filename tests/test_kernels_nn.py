"""The kernels of losses, normalisation, pooling, linear layers and attention against their reference bodies."""

import numpy as np
import pytest

import minigrad as mg
from minigrad import testing
from minigrad.nn import functional
from minigrad.primitive import case, ints
from minigrad.tensor import F

KERNEL = mg.get_backend("numba").F
REFERENCE = mg.get_backend("numpy").F


@pytest.fixture
def rng():
    return np.random.default_rng(5)


def close(got, expected, dtype=np.float64, factor=500):
    got, expected = np.asarray(got), np.asarray(expected)
    assert got.shape == expected.shape
    assert got.dtype == dtype
    scale = np.abs(expected[np.isfinite(expected)]).max(initial=1)
    np.testing.assert_allclose(got, expected, rtol=0, atol=factor * np.finfo(dtype).eps * scale)


# ---- cross-entropy -------------------------------------------------------------------------------------------------
def test_cross_entropy_on_odd_sizes():
    shapes = ((64, 1), (3, 67), (1, 5000), (257, 129))
    assert testing.check_kernel("cross_entropy", samples=[case((n, k), ints((n,), k)) for n, k in shapes])
    assert testing.check_kernel(
        "cross_entropy_backward", samples=[case((n,), (n, k), ints((n,), k), (n, 1), (n, 1)) for n, k in shapes]
    )


def test_cross_entropy_refuses_labels_out_of_range(rng):
    x = mg.tensor(rng.standard_normal((40, 7)))
    for wrong in (7, -1, 10**15):
        labels = np.zeros(40, np.int64)
        labels[11] = wrong
        with pytest.raises(mg.errors.IndexRangeError, match="labels must be from 0 to"):
            functional.cross_entropy(x, mg.tensor(labels))
        if wrong != -1:  # the primitive counts from the end, as all indexing does
            with pytest.raises(mg.errors.IndexRangeError):
                F.cross_entropy(x, mg.tensor(labels))


@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
def test_cross_entropy_is_the_same_on_both_backends(rng, reduction):
    x, t, w = rng.standard_normal((33, 9)) * 30, rng.integers(0, 9, 33), rng.random(9)
    t[4] = t[30] = -100
    found = []
    for backend in ("numpy", "numba"):
        with mg.use_backend(backend):
            for weight in (None, w):
                a = mg.tensor(x, requires_grad=True)
                y = functional.cross_entropy(a, t, None if weight is None else mg.tensor(weight), reduction=reduction)
                y.sum().backward()
                found.append((y.numpy(), a.grad.numpy()))
    for k in (0, 1):
        close(found[2 + k][0], found[k][0])
        close(found[2 + k][1], found[k][1])


def test_cross_entropy_second_order_through_the_kernel(rng):
    x, t = mg.tensor(rng.standard_normal((13, 9))), mg.tensor(rng.integers(0, 9, 13))
    assert testing.gradgradcheck(functional.cross_entropy, [x, t], directions=2)
