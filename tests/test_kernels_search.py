"""Places in sorted arrays by the kernel: NumPy's."""

import numpy as np
import pytest

import minigrad as mg

pytest.importorskip("numba")

from minigrad.kernels.cpu import search, when


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("side", ["left", "right"])
@pytest.mark.parametrize("n", [1, 2, 3, 7, 64, 1000, 1001])
def test_as_numpy(n, side, dtype):
    rng = np.random.default_rng(n)
    edges = np.sort(np.round(20 * rng.standard_normal(n)) / 10).astype(dtype)  # equal ones among them
    edges[-1] = np.nan if n == 7 else edges[-1]
    values = np.concatenate([edges, edges - 0.05, [np.nan, np.inf, -np.inf, -0.0], 3 * rng.standard_normal(5_003)])
    values = values.astype(dtype)
    assert when.searchsorted_when(edges, values)
    found = search.searchsorted(edges, values, side=side)
    assert found.dtype == np.int64
    np.testing.assert_array_equal(found, np.searchsorted(edges, values, side=side))


def test_rows_views_and_shapes():
    rng = np.random.default_rng(0)
    edges, values = np.sort(rng.standard_normal((3, 4, 33))), rng.standard_normal((3, 4, 171))
    found = search.searchsorted(edges, values)
    for at in np.ndindex(3, 4):
        np.testing.assert_array_equal(found[at], np.searchsorted(edges[at], values[at]))
    line = np.sort(rng.standard_normal(200))[::2]
    np.testing.assert_array_equal(search.searchsorted(line, values[0].T), np.searchsorted(line, values[0].T))
    np.testing.assert_array_equal(mg.bucketize(values, line).numpy(), np.searchsorted(line, values))
