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


# ---- normalisation -------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("shape, ndim", [((130, 1), 1), ((7, 5001), 1), ((3, 41, 9), 2), ((257,), 1), ((70, 33), 1)])
def test_layer_norm_on_odd_sizes(shape, ndim):
    inner, ones = shape[len(shape) - ndim :], (*shape[: len(shape) - ndim], *[1] * ndim)
    assert testing.check_kernel("layer_norm", samples=[case(shape, inner, inner, ndim=ndim), case(shape, ndim=ndim)])
    assert testing.check_kernel("layer_norm_backward", samples=[case(shape, shape, ones, ones, inner, ndim=ndim)])


@pytest.mark.parametrize("shape", [(2, 65), (129, 70), (3, 5, 17), (4, 3, 5, 7), (2, 2, 4999), (40, 5, 2), (1, 9, 15)])
def test_batch_norm_on_odd_sizes(shape):
    line = shape[1:2]
    assert testing.check_kernel("batch_norm", samples=[case(shape, line, line), case(shape)])
    assert testing.check_kernel("batch_norm_backward", samples=[case(shape, line, line, shape, line, line, line)])


@pytest.mark.parametrize("shape", [(64, 3), (8, 3, 40)])
def test_the_variance_survives_a_large_mean(rng, shape):
    x = (1e4 + rng.standard_normal(shape)).astype(np.float32)
    axes = (0, *range(2, x.ndim))
    _, mean, var = KERNEL.batch_norm(x)
    np.testing.assert_allclose(mean, x.mean(axes, np.float64), rtol=1e-6)
    np.testing.assert_allclose(var, x.var(axes, np.float64), rtol=1e-3)
    _, mean, rstd = KERNEL.layer_norm(x.swapaxes(0, 1).reshape(3, -1))
    np.testing.assert_allclose(rstd[:, 0], x.var(axes, np.float64) ** -0.5, rtol=1e-3)


@pytest.mark.parametrize("name", ["layer_norm", "batch_norm"])
def test_second_order_of_norms_through_the_kernels(rng, name):
    x = mg.tensor(rng.standard_normal((9, 4, 5) if name == "batch_norm" else (9, 20)))
    w, b = (mg.tensor(rng.standard_normal(x.shape[1])) for _ in range(2))
    assert testing.gradgradcheck(getattr(F, name), [x, w, b], directions=2)


# ---- linear layers and sums ----------------------------------------------------------------------------------------
def test_linear_on_odd_sizes():
    sizes = (((65, 67), (71, 67), (71,)), ((3, 5, 90), (201, 90), (201,)), ((1, 213), (57, 213), (57,)))
    assert testing.check_kernel("linear", samples=[case(*s) for s in sizes] + [case((700, 1), (400, 1))])


@pytest.mark.parametrize(
    "shape, axis",
    [
        ((8193, 1), 0), ((3000, 7), 0), ((70, 4001), 0), ((40, 43, 171), (0, 1)), ((9, 5, 13, 21), (0, 2, 3)),
        ((9, 5, 13, 21), (-1, 0, -2)), ((2, 3, 5000), (0, 2)), ((1, 9000), (0,)), ((1000, 1, 9), (0, 2)),
        ((30, 1, 20, 20), (0, 2, 3)),
    ],
)  # fmt: skip
def test_sums_over_leading_axes_and_all_but_channels(shape, axis):
    samples = [case(shape, axis=axis), case(shape, axis=axis, keepdims=True)]
    assert testing.check_kernel("sum", samples=samples)


@pytest.mark.parametrize(
    "shape, to",
    [
        ((3000, 7), (7,)), ((3000, 7), (1, 7)), ((40, 43, 171), (171,)), ((40, 43, 171), (1, 1, 171)),
        ((9, 5, 13, 21), (5, 1, 1)), ((9, 5, 13, 21), (1, 5, 1, 1)), ((209, 5, 13, 21), (5, 13, 21)),
        ((441, 20, 3), (20, 3)), ((441, 201, 3), (201, 3)),
    ],
)  # fmt: skip
def test_sums_to_a_shape(shape, to):
    assert testing.check_kernel("sum_to", samples=[case(shape, shape=to)])


@pytest.mark.parametrize(
    "shape, to",
    [((9, 1, 50, 50), (1, 50, 50)), ((9, 1, 50, 50), (1, 1, 1)), ((1, 60, 300), (60, 1)), ((90, 90, 3), (90, 1))],
)  # fmt: skip
def test_sums_with_axes_of_length_one(rng, shape, to):
    x = rng.standard_normal(shape)
    close(KERNEL.sum_to(x, shape=to), REFERENCE.sum_to(x, shape=to))


def test_sums_of_other_layouts_and_none(rng):
    x = rng.standard_normal((130, 70, 2))
    for view in (x.transpose(2, 0, 1), x[::2], x[:, :0], x[:0]):
        for axis in (0, (0, 1), (0, 2), None):
            close(KERNEL.sum(view, axis=axis), REFERENCE.sum(view, axis=axis))


def test_linear_second_order_through_the_kernel(rng):
    x, w, b = (mg.tensor(rng.standard_normal(s)) for s in ((66, 65), (64, 65), (64,)))
    assert testing.gradgradcheck(F.linear, [x, w, b], directions=1)


# ---- pooling -------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("size, stride", [((2, 2), (2, 2)), ((3, 3), (1, 2)), ((5, 1), (3, 1))])
def test_max_pool_gradient_is_the_same_on_both_backends(rng, size, stride):
    data = np.round(rng.standard_normal((3, 5, 17, 19)), 1)  # with equal numbers in a window
    found = []
    for backend in ("numpy", "numba"):
        with mg.use_backend(backend):
            x = mg.tensor(data, requires_grad=True)
            y = functional.max_pool2d(x, size, stride, tuple(k // 2 for k in size))
            y.backward(mg.tensor(np.arange(y.size, dtype=float).reshape(y.shape)))
            found.append(x.grad.numpy())
    close(found[1], found[0])


def test_max_pool_gradient_on_odd_sizes():
    shapes = [((7, 2, 9, 3), (5, 11)), ((1, 400), (3,)), ((301, 1), (1,))]
    samples = [case(s, ints(s, int(np.prod(spatial))), spatial=spatial) for s, spatial in shapes]
    assert testing.check_kernel("max_pool_backward", samples=samples)


def test_max_pool_second_order_through_the_kernel(rng):
    x = mg.tensor(rng.standard_normal((2, 3, 14, 14)))
    assert testing.gradgradcheck(lambda x: functional.max_pool2d(x, 2) ** 2, [x], directions=1)


# ---- attention -----------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("causal", [False, True])
@pytest.mark.parametrize("t, s, d, e", [(97, 97, 16, 16), (3, 300, 5, 70), (130, 40, 1, 3), (1, 9000, 1, 1)])
def test_attention_on_odd_sizes(t, s, d, e, causal):
    q, k, v, y = (2, t, d), (2, s, d), (2, s, e), (2, t, e)
    assert testing.check_kernel("attention", samples=[case(q, k, v, causal=causal)])
    # where a query does not look, the kernel computes nothing, and NaN there cannot spread
    samples = [case(y, q, k, v, y, (2, t, 1), causal=causal)]
    assert testing.check_kernel("attention_backward", samples=samples, special=not causal)


def test_attention_gradients_through_the_kernels(rng):
    q, k, v = (mg.tensor(rng.standard_normal((2, n, 9))) for n in (70, 130, 130))
    assert testing.gradcheck(F.attention, [q, k, v], params={"causal": True}, directions=2)
    assert testing.gradgradcheck(F.attention, [q, k, v], params={"scale": 0.2}, directions=1)


def test_relu_backward_keeps_nan_and_infinity_out(rng):
    x, g = rng.standard_normal(20_001).astype(np.float32), rng.standard_normal(20_001).astype(np.float32)
    x[:3], g[:3] = (-1, 0, np.nan), (np.nan, np.inf, 2)
    y = KERNEL.relu_backward(x, g)
    np.testing.assert_array_equal(y, REFERENCE.relu_backward(x, g))
    assert (y[:3] == (0, 0, 2)).all()


def test_max_pool_of_pairs(rng):
    """The first of equal numbers and the first NaN win, as in the reference."""
    x = np.round(rng.standard_normal((2, 3, 9, 13)), 1)
    x[0, 0, :2, :2], x[1, 1, :2, :2], x[0, 1, 2, 2:4] = -np.inf, np.nan, np.nan
    for size, stride in (((2, 2), (2, 2)), ((3, 2), (2, 2)), ((2, 2), (1, 2))):
        params = {"size": size, "stride": stride, "padding": (0, 0), "dilation": (1, 1)}
        for got, expected in zip(KERNEL.max_pool(x, **params), REFERENCE.max_pool(x, **params)):
            np.testing.assert_array_equal(got, expected)
