"""Pieces of arrays, and elements along an axis: kernels and gradients against the reference, NumPy and PyTorch."""

import numpy as np
import pytest

import minigrad as mg
from minigrad import testing
from minigrad.gradients import grad
from minigrad.ops.indexing import PLACE

KERNEL = mg.get_backend("numba").F
REFERENCE = mg.get_backend("numpy").F
# x, the number of indices along the axis, the axis
CASES = [((70, 33), 40, 1), ((70, 33), 100, 0), ((3, 500, 40), 20, 1), ((2, 64, 700), 90, 1), ((1500,), 2000, 0),
         ((7, 5, 3, 11), 9, -2), ((300, 10), 1, -1), ((40, 1), 60, 1), ((1, 3, 300), 9, 1)]  # fmt: skip


def picks(shape, n, axis, seed=0):
    """Indices, negative ones among them."""
    made = list(shape)
    made[axis] = n
    return np.random.default_rng(seed).integers(-shape[axis], shape[axis], made)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize(("shape", "n", "axis"), CASES)
def test_along_an_axis_is_the_reference(shape, n, axis, dtype):
    rng = np.random.default_rng(1)
    x, indices = rng.standard_normal(shape).astype(dtype), picks(shape, n, axis)
    v = rng.standard_normal(indices.shape).astype(dtype)
    x.flat[0], v.flat[0] = np.nan, np.inf
    for layout in (np.array, testing.strided, testing.frozen):
        given = layout(x), layout(indices)
        np.testing.assert_array_equal(
            KERNEL.take_along_axis(*given, axis=axis), REFERENCE.take_along_axis(*given, axis=axis), strict=True
        )
        given = layout(v), layout(indices.astype(np.int32))
        keywords = {"axis": axis, "size": shape[axis]}
        got, expected = KERNEL.add_along_axis(*given, **keywords), REFERENCE.add_along_axis(*given, **keywords)
        np.testing.assert_allclose(got, expected, rtol=1e-5 if dtype == np.float32 else 1e-13, atol=1e-5, strict=True)


@pytest.mark.parametrize("place", [5, -6])
def test_an_index_out_of_range_is_an_error(place):
    x, indices = np.ones((400, 5), np.float32), np.zeros((400, 6), np.int64)
    indices[399, 3] = place
    with pytest.raises(mg.errors.IndexRangeError, match="take_along_axis: indices must be from -5 to 4"):
        KERNEL.take_along_axis(x, indices, axis=1)
    with pytest.raises(mg.errors.IndexRangeError, match="add_along_axis: indices must be from -5 to 4"):
        KERNEL.add_along_axis(np.ones((400, 6), np.float32), indices, axis=1, size=5)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize(
    ("shape", "n", "axis"),
    [((700, 50), (60,), 0), ((700, 50), (61,), 1), ((30, 41, 37), (5, 9), 1), ((9, 8, 501), 601, 2)],
)
def test_entries_of_an_axis(shape, n, axis, dtype):
    """x[:, ..., index] and what adds up there again, on any number of threads."""
    rng = np.random.default_rng(1)
    x = rng.standard_normal(shape).astype(dtype)
    index, key = rng.integers(-shape[axis], shape[axis], n), (slice(None),) * axis + (PLACE,)
    x.flat[0] = np.nan
    for x_given in (x, testing.frozen(x), testing.strided(x)):
        y = KERNEL.getitem(x_given, index.astype(np.int32), key=key)
        np.testing.assert_array_equal(y, x[(slice(None),) * axis + (index,)], strict=True)
    v, before, found = rng.standard_normal(y.shape).astype(dtype), mg.get_num_threads(), []
    expected = REFERENCE.scatter(v, index, key=key, shape=shape)
    try:
        for threads in (1, 3):
            mg.set_num_threads(threads)
            found.append(KERNEL.scatter(testing.strided(v), index, key=key, shape=shape))
    finally:
        mg.set_num_threads(before)
    np.testing.assert_allclose(found[0], expected, rtol=1e-4 if dtype == np.float32 else 1e-12, atol=1e-5, strict=True)
    np.testing.assert_array_equal(found[0], found[1])
    index.flat[3] = shape[axis]
    with pytest.raises(IndexError):
        KERNEL.getitem(x, index, key=key)
    with pytest.raises(IndexError):
        KERNEL.scatter(v, index, key=key, shape=shape)


def test_sums_do_not_depend_on_the_threads():
    v, indices = np.random.default_rng(0).standard_normal((300, 200)).astype(np.float32), picks((50, 200), 300, 0)
    before, found = mg.get_num_threads(), []
    try:
        for threads in (1, 2, 3):
            mg.set_num_threads(threads)
            found.append(KERNEL.add_along_axis(v, indices, axis=0, size=50))
    finally:
        mg.set_num_threads(before)
    np.testing.assert_array_equal(found[0], found[1])
    np.testing.assert_array_equal(found[0], found[2])


@pytest.mark.parametrize("axis", [0, 1])
def test_gather_is_pytorch(axis):
    torch = pytest.importorskip("torch")
    a, i = np.random.default_rng(2).standard_normal((90, 80)).astype(np.float32), np.abs(picks((80, 80), 80, 0))
    i = np.minimum(i, 79)
    x, t = mg.tensor(a, requires_grad=True), torch.tensor(a, requires_grad=True)
    y, z = mg.take_along_axis(x[:80], mg.tensor(i), axis=axis), torch.gather(t[:80], axis, torch.tensor(i))
    np.testing.assert_array_equal(y.detach().numpy(), z.detach().numpy())
    (y * y).sum().backward()
    (z * z).sum().backward()
    np.testing.assert_allclose(x.grad.numpy(), t.grad.numpy(), rtol=1e-5, atol=1e-5)


# ---- pieces ----------------------------------------------------------------------------------------------------------
PIECES = [
    (lambda x: mg.split(x, 2, 1), lambda a: np.split(a, (2, 4), 1)),
    (lambda x: mg.split(x, [1, 0, 4], -1), lambda a: np.split(a, (1, 1), 1)),
    (lambda x: mg.split(x, 9), lambda a: [a]),
    (lambda x: mg.unstack(x, 1), lambda a: list(a.T)),
    (lambda x: x.unbind(), list),
]


@pytest.mark.parametrize(("cut", "expected"), PIECES)
def test_pieces(cut, expected):
    """Views with the right values; all of them in one node; gradients to second order, of some of the pieces too."""
    a = np.random.default_rng(0).standard_normal((4, 5))
    x = mg.tensor(a, requires_grad=True)
    pieces = cut(x)
    for piece, e in zip(pieces, expected(a), strict=True):
        np.testing.assert_array_equal(piece.detach().numpy(), e, strict=True)
        assert np.shares_memory(piece.array, x.array) or not e.size
    assert len({piece.node.inputs for piece in pieces}) == 1
    testing.gradcheck(lambda x: sum((p * p * (k + 1)).sum() for k, p in enumerate(cut(x))), a)
    testing.gradgradcheck(lambda x: (cut(x)[-1] ** 3).sum(), a)


def test_pieces_are_edited_in_place():
    """A write to a piece reaches x and its gradient, a write to x the pieces."""
    a = np.random.default_rng(0).standard_normal((4, 6))
    x = mg.tensor(a, requires_grad=True)
    z = x * 1
    z.split(3, 1)[0].mul_(2)
    np.testing.assert_allclose(grad((z * z).sum(), x)[0].numpy(), a * [[8] * 3 + [2] * 3])
    z = x * 1
    row = z.unbind(0)[1]
    z *= 3
    np.testing.assert_allclose(grad((row * row).sum(), x)[0].numpy(), a * np.array([[0], [18], [0], [0]]))


def test_pieces_that_do_not_fit():
    x = mg.ones(4, 6)
    for sizes in ([1, 2], [-1, 7], [7]):
        with pytest.raises(mg.errors.ShapeError, match="split: the sizes must add up to axis 1"):
            mg.split(x, sizes, 1)
    with pytest.raises(mg.errors.ShapeError, match="unstack: needs at least 1 axis"):
        mg.unstack(mg.tensor(1.0))
    with pytest.raises(mg.errors.AxisError):
        mg.unstack(x, 2)
