"""Distances of rows by the kernel: the body's numbers."""

import math

import numpy as np
import pytest

import minigrad as mg
from minigrad.primitive import PRIMITIVES

pytest.importorskip("numba")

from minigrad.kernels.cpu import distances, when


def body(a, b, order):
    with mg.use_backend("numpy"), np.errstate(all="ignore"):
        return mg.apply(PRIMITIVES["cdist"], mg.tensor(a), mg.tensor(b), order=order).numpy()


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("order", [1.0, 2.0, math.inf])
@pytest.mark.parametrize(
    "shapes",
    [
        ((37, 5), (61, 5)),
        ((3, 40, 4), (530, 4)),
        ((2, 1, 9, 33), (3, 70, 33)),
        ((120, 1), (90, 1)),
        ((100, 0), (90, 0)),
    ],
    ids=str,
)
def test_as_the_body(shapes, order, dtype):
    rng = np.random.default_rng(0)
    a, b = (rng.standard_normal(s).astype(dtype) for s in shapes)
    found = distances.cdist(a, b, order=order)
    assert found.dtype == dtype
    np.testing.assert_allclose(found, body(a, b, order), rtol=100 * np.finfo(dtype).eps)


def test_equal_rows_are_at_distance_zero_and_nan_spreads():
    rng = np.random.default_rng(0)
    a = rng.standard_normal((150, 7))
    assert (np.diagonal(distances.cdist(a, a.copy())) == 0).all()
    a[3, 2], a[5, 1] = np.nan, np.inf
    for order in (1.0, 2.0, math.inf):
        np.testing.assert_allclose(distances.cdist(a, a[:60], order=order), body(a, a[:60], order), rtol=1e-14)


def test_views_and_numbers_that_cannot_be_written():
    rng = np.random.default_rng(0)
    a, b = rng.standard_normal((6, 300)).T, np.broadcast_to(rng.standard_normal(6), (70, 6))
    assert when.cdist_when(a, b)
    np.testing.assert_allclose(distances.cdist(a, b), body(a, b, 2.0), rtol=1e-14)
    np.testing.assert_allclose(
        mg.nn.functional.pdist(mg.tensor(a)), body(a, a, 2.0)[np.triu_indices(300, 1)], rtol=1e-14
    )
