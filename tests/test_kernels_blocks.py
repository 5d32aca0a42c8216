"""The kernels that join arrays: the reference's array, whatever the axis, the layout, the number of arrays."""

import numpy as np
import pytest

pytest.importorskip("numba")

from minigrad.kernels.cpu import when

from minigrad.backend import get_backend


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("axis", [0, 1, 2, -1, -3])
def test_concat(axis, dtype):
    rng = np.random.default_rng(0)
    shapes = [[41, 67, 53] for _ in range(3)]
    for i, shape in enumerate(shapes):
        shape[axis] += i
    xs = [rng.random(s).astype(dtype) for s in shapes]
    xs[2] = np.asfortranarray(xs[2])
    assert when.concat_when(*xs, axis=axis)
    np.testing.assert_array_equal(get_backend("numba").F.concat(*xs, axis=axis), np.concatenate(xs, axis))


@pytest.mark.parametrize("axis", [0, 1, 2, -1, -3])
def test_stack(axis):
    xs = list(np.random.default_rng(0).random((5, 301, 211)))
    xs[1] = xs[1][::-1]
    assert when.stack_when(*xs, axis=axis)
    np.testing.assert_array_equal(get_backend("numba").F.stack(*xs, axis=axis), np.stack(xs, axis))


def test_refused():
    x = np.zeros((400, 400))
    assert not when.concat_when(x, x[:, :3], axis=0) and not when.concat_when(x, x, axis=2)
    assert not when.concat_when(x, x.astype(np.float32)) and not when.concat_when(x, x[:0])
    assert not when.stack_when(x, x[:3]) and not when.stack_when(x, x, axis=3)
