"""The compiled sums, means, largest and smallest over trailing axes, and rows of tables, against NumPy."""

import numpy as np
import pytest

import minigrad as mg
from minigrad import nn, testing
from minigrad.errors import AxisError, IndexRangeError
from minigrad.ops.indexing import PLACE
from minigrad.primitive import case, ints

F = mg.get_backend("numba").F
REFERENCE = mg.get_backend("numpy").F
pytest.importorskip("minigrad.kernels.cpu.reduce")


# ---- reductions ------------------------------------------------------------------------------------------------------
CASES = [
    case((500, 17), axis=-1),
    case((3, 5001), axis=1, keepdims=True),
    case((400, 400)),
    case((7, 40_001), axis=(1,)),
    case((31, 3, 5, 33), axis=(-1, 2)),
    case((131_075,), axis=0),
    case((41, 61, 70), keepdims=True),
]


@pytest.mark.parametrize("name", ["sum", "mean", "max", "min"])
def test_reductions(name):
    assert testing.check_kernel(name, samples=CASES)


@pytest.mark.parametrize("name", ["max", "min"])
@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_one_odd_number_anywhere(name, value):
    x = np.random.default_rng(0).standard_normal((600, 197)).astype(np.float32)
    x[np.arange(600), np.arange(600) % 197] = value  # in every lane, and in the end of the row
    np.testing.assert_array_equal(getattr(F, name)(x, axis=-1), getattr(np, name)(x, axis=-1))
    x[:] = value
    np.testing.assert_array_equal(getattr(F, name)(x, axis=-1), np.full(600, value, np.float32))


@pytest.mark.parametrize("shape, axis", [
    ((500, 17), 1), ((3, 5001), (1,)), ((400, 400), None), ((3, 40_001), -1), ((31, 3, 5, 33), (2, 3)),
])  # fmt: skip
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_the_largest_share_their_gradient(shape, axis, dtype):
    rng = np.random.default_rng(6)
    x = rng.integers(-3, 4, shape).astype(dtype)  # many are equal
    x.reshape(-1)[5], x.reshape(-1)[-3] = np.nan, np.inf
    y = REFERENCE.max(x, axis=axis)
    g = np.asarray(rng.standard_normal(y.shape), dtype)
    got, expected = (f.extreme_backward(g, x, np.asarray(y), axis=axis) for f in (F, REFERENCE))
    np.testing.assert_allclose(got, expected, rtol=4 * np.finfo(dtype).eps)
    assert testing.check_kernel("extreme_backward", samples=[case(y.shape, shape, y.shape, axis=axis)])


@pytest.mark.parametrize("name", ["amax", "amin"])
def test_gradients_of_extremes_against_pytorch(name):
    torch = pytest.importorskip("torch")
    values = np.random.default_rng(7).integers(0, 9, (300, 70)).astype(np.float32)
    for axis in (-1, (0, 1)):
        a, b = mg.tensor(values, requires_grad=True), torch.tensor(values, requires_grad=True)
        getattr(mg, name)(a, axis).sum().backward()
        getattr(torch, name)(b, axis).sum().backward()
        np.testing.assert_allclose(a.grad.numpy(), b.grad.numpy(), rtol=1e-6)


def test_largest_of_opposite_infinities():
    x = np.zeros((300, 64), np.float32)
    x[:, 3], x[:, 40] = np.inf, -np.inf
    assert (F.max(x, axis=1) == np.inf).all() and (F.min(x, axis=1) == -np.inf).all()


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_sums_of_short_rows_read_no_neighbour(dtype):
    for n in (16, 17, 31, 32, 33, 47, 49, 63, 64, 65):
        x = np.random.default_rng(n).standard_normal((1_500, n)).astype(dtype)
        x[::7], x[5, 0], x[6, -1], x[8, 3], x[9, n // 2] = np.nan, np.inf, -np.inf, np.nan, 1e30
        got, wide = F.sum(x, axis=-1), x.astype(np.float64)
        np.testing.assert_allclose(got, wide.sum(axis=-1), rtol=1e-5 if dtype == np.float32 else 1e-12, atol=1e-5)
        np.testing.assert_array_equal(F.mean(x, axis=-1), got / dtype(n))


def test_sums_are_as_exact_as_pairwise_ones():
    x = (1 + np.random.default_rng(1).random(3_000_001)).astype(np.float32)
    exact = x.sum(dtype=np.float64)
    assert abs(F.sum(x) - exact) <= 2 * abs(x.sum() - exact) + 4 * np.spacing(np.float32(exact))
    rows = x[:-1].reshape(30, 100_000)
    np.testing.assert_allclose(F.sum(rows, axis=1), rows.sum(1, np.float64), rtol=3e-7)


def test_not_one_bit_depends_on_the_threads():
    x, before, found = (
        np.random.default_rng(2).standard_normal((5, 70_001)).astype(np.float32),
        mg.get_num_threads(),
        [],
    )
    try:
        for threads in (1, 2, 3):
            mg.set_num_threads(threads)
            found.append((F.sum(x), F.sum(x, axis=1), F.max(x, axis=1)))
    finally:
        mg.set_num_threads(before)
    for other in found[1:]:
        for a, b in zip(found[0], other, strict=True):
            np.testing.assert_array_equal(a, b)


def test_axes_that_are_not_there():
    x = mg.ones(300, 300)
    for axis in (2, -3, (0, 5), (1, 1)):
        with pytest.raises((AxisError, ValueError)):
            x.sum(axis=axis)


# ---- rows of tables --------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("kind", [np.int64, np.int32, np.uint8])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("rows, width, index", [(90, (37,), (70, 13)), (200, (), (40_000,)), (200, (3, 5), (7, 9, 40))])
def test_rows_and_their_sums(rows, width, index, kind, dtype):
    rng = np.random.default_rng(3)
    table, at = rng.standard_normal((rows, *width)).astype(dtype), rng.integers(0, rows, index).astype(kind)
    if kind != np.uint8:
        at[..., 0] -= rows  # from the end
    np.testing.assert_array_equal(F.getitem(table, at, key=(PLACE,)), table[at])
    v = rng.standard_normal((*index, *width)).astype(dtype)
    expected = np.zeros(table.shape)
    np.add.at(expected, at, v.astype(np.float64))
    for given in (v, np.repeat(v, 2, 0)[::2]):
        got = F.scatter(given, at, key=(PLACE,), shape=table.shape)
        assert got.dtype == dtype
        np.testing.assert_allclose(got, expected, atol=2000 * np.finfo(dtype).eps)


def test_sums_of_rows_do_not_depend_on_the_threads():
    rng, before, found = np.random.default_rng(4), mg.get_num_threads(), []
    v, at = rng.standard_normal((5000, 40)).astype(np.float32), rng.integers(0, 30, 5000)
    try:
        for threads in (1, 2, 3):
            mg.set_num_threads(threads)
            found.append(F.scatter(v, at, key=(PLACE,), shape=(30, 40)))
    finally:
        mg.set_num_threads(before)
    for other in found[1:]:
        np.testing.assert_array_equal(found[0], other)


def test_numbers_out_of_range():
    table = mg.ones(50, 700)
    for wrong in (50, -51, 2**40):
        at = mg.tensor(np.array([0] * 60 + [wrong]))
        with pytest.raises(IndexRangeError):
            table[at]
        with pytest.raises(IndexRangeError):
            nn.functional.embedding(at, table)


def test_embedding_and_its_gradient_on_both_backends():
    rng = np.random.default_rng(5)
    values, at = rng.standard_normal((70, 48)).astype(np.float32), rng.integers(0, 70, (40, 20))
    found = []
    for backend in ("numpy", "numba"):
        with mg.use_backend(backend):
            weight = mg.tensor(values, requires_grad=True)
            y = nn.functional.embedding(mg.tensor(at), weight, padding_idx=3)
            (y * y).sum().backward()
            found.append((y.detach().numpy(), weight.grad.numpy()))
    np.testing.assert_array_equal(found[0][0], found[1][0])
    np.testing.assert_allclose(found[0][1], found[1][1], rtol=1e-5, atol=1e-5)


def test_kernels_of_rows_through_the_dispatch():
    assert testing.check_kernel("getitem", samples=[case((70, 48), ints((900,), 70), key=(PLACE,))])
    assert testing.check_kernel("scatter", samples=[case((300, 48), ints((300,), 70), key=(PLACE,), shape=(70, 48))])
