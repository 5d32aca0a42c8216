"""The convolution kernels against their reference bodies and PyTorch: each algorithm, odd sizes, and its precision."""

import numpy as np
import pytest

import minigrad as mg
from minigrad import testing
from minigrad.errors import ShapeError
from minigrad.primitive import case
from minigrad.tensor import F

KERNEL = mg.get_backend("numba").F
REFERENCE = mg.get_backend("numpy").F


@pytest.fixture
def rng():
    return np.random.default_rng(7)


def options(stride=1, padding=0, dilation=1, groups=1, axes=2):
    """Numbers become a tuple with one entry per axis."""
    given = {"stride": stride, "padding": padding, "dilation": dilation}
    return {k: v if isinstance(v, tuple) else (v,) * axes for k, v in given.items()} | {"groups": groups}


def made(x, weight, stride, padding, dilation, groups):
    """The shape of y."""
    spans = zip(x[2:], weight[2:], stride, padding, dilation, strict=True)
    return (x[0], weight[0], *((n + 2 * p - d * (k - 1) - 1) // s + 1 for n, k, s, p, d in spans))


def compare(x, weight, params, **rest):
    """All three kernels with their references, for these shapes."""
    y = made(x, weight, **params)
    calls = {
        "convolution": case(x, weight, weight[:1], **params),
        "convolution_input": case(y, weight, size=x[2:], **params),
        "convolution_weight": case(x, y, size=weight[2:], **params),
    }
    return all(testing.check_kernel(name, samples=[sample], **rest) for name, sample in calls.items())


@pytest.mark.parametrize(
    "x, weight, params",
    [
        ((3, 20, 23, 21), (37, 20, 3, 3), options(padding=1)),  # minimal filtering
        ((2, 33, 9, 70), (18, 33, 3, 3), options(padding=(0, 2))),
        ((40, 17, 5, 6), (16, 17, 3, 3), options()),  # several images in a box
        ((9, 65, 5, 5), (64, 65, 3, 3), options(padding=1)),
        ((3, 5, 17, 19), (7, 5, 3, 3), options(stride=2, padding=1)),
        ((2, 6, 15, 40), (21, 6, 2, 5), options(stride=(1, 3), padding=(1, 2), dilation=(2, 1))),
        ((2, 7, 60, 31), (19, 7, 5, 1), options(stride=(3, 1), padding=(0, 0), dilation=(4, 1))),
        ((2, 70, 11, 13), (66, 70, 1, 1), options()),
        ((2, 9, 31, 31), (65, 9, 1, 1), options(stride=2)),
        ((300, 3, 4, 4), (5, 3, 3, 3), options()),
        ((2, 20, 6, 131), (66, 20, 3, 3), options(stride=(2, 1), padding=(1, 2))),  # bordered, wider than a panel
        ((7, 33, 8, 10), (64, 33, 3, 3), options(stride=2, padding=(2, 1))),  # several bordered images in a block
        ((5, 1, 28, 30), (33, 1, 3, 3), options()),
        ((2, 1, 40, 5), (3, 1, 7, 3), options(padding=(3, 1))),
        ((2, 8, 13, 21), (12, 4, 3, 3), options(padding=1, groups=2)),
        ((3, 24, 15, 17), (24, 1, 3, 3), options(padding=1, groups=24)),
        ((3, 7, 16, 18), (14, 1, 5, 3), options(stride=2, padding=(2, 1), groups=7)),
        ((2, 4, 20, 75), (8, 2, 3, 4), options(stride=(1, 3), padding=(1, 2), groups=2)),
        ((3, 35, 7, 8), (35, 1, 3, 3), options(padding=1, groups=35)),  # channels along the lanes
        ((2, 18, 45, 120), (18, 1, 3, 5), options(stride=(2, 3), padding=(1, 2), dilation=(2, 1), groups=18)),
        ((3, 100, 7, 7), (99, 100, 1, 1), options()),  # products
        ((9, 130, 1, 1), (70, 130, 1, 1), options()),
        ((4, 50, 9, 5), (50, 1, 2, 1), options(stride=(3, 2), padding=(1, 0), groups=50)),
        ((3, 5, 120), (9, 5, 4), options(stride=2, padding=1, dilation=3, axes=1)),
        ((2, 20, 90), (33, 20, 1), options(axes=1)),
        ((2, 3, 7, 9, 11), (5, 3, 2, 3, 3), options(padding=1, axes=3)),
        ((2, 4, 9, 12, 10), (6, 2, 3, 1, 3), options((2, 1, 2), (1, 0, 2), (2, 1, 1), groups=2, axes=3)),
    ],
)
def test_odd_sizes(x, weight, params):
    assert compare(x, weight, params)


@pytest.mark.parametrize("library", [KERNEL, REFERENCE])
@pytest.mark.parametrize("weight", [(32, 16, 3, 3), (32, 16, 1, 1), (32, 16, 5, 2), (32, 1, 3, 3)])
def test_a_bias_is_one_number_for_each_channel(rng, library, weight):
    x, w, bias = (rng.standard_normal(s).astype(np.float32) for s in ((4, 16, 32, 32), weight, weight[:1]))
    params = options(padding=1, groups=16 // weight[1])
    without = library.convolution(x, w, **params)
    y = library.convolution(x, w, bias, **params)
    np.testing.assert_allclose(y, without + bias[:, None, None], rtol=1e-5, atol=1e-5)
    g = mg.tensor(rng.standard_normal(y.shape), dtype="float64")
    b = mg.tensor(bias, dtype="float64", requires_grad=True)
    mg.convolution(mg.tensor(x, dtype="float64"), mg.tensor(w, dtype="float64"), b, **params).backward(g)
    np.testing.assert_allclose(b.grad.numpy(), g.numpy().sum(axis=(0, 2, 3)), rtol=1e-10)
    with pytest.raises(ShapeError, match=r"bias must be .* = \(32,\)"):
        mg.convolution(x, w, bias[:1], **params)


@pytest.mark.parametrize("channels, out", [(16, 16), (64, 48), (200, 32)])
@pytest.mark.parametrize("positive", [False, True])
def test_minimal_filtering_is_within_32_roundings(rng, channels, out, positive):
    """In float32 the error is below 32 roundings of the largest result: the worst measured is 20."""
    x, w = rng.standard_normal((2, channels, 30, 34)), rng.standard_normal((out, channels, 3, 3))
    g = rng.standard_normal((2, out, 30, 34))
    x, w, g = ((np.abs(a) if positive and a is x else a).astype(np.float32) for a in (x, w, g))
    params = options(padding=1)
    for name, given, extra in (
        ("convolution", (x, w), {}),
        ("convolution_input", (g, w), {"size": (30, 34)}),
        ("convolution_weight", (x, g), {"size": (3, 3)}),
    ):
        got = getattr(KERNEL, name)(*given, **extra, **params)
        expected = getattr(REFERENCE, name)(*(a.astype(np.float64) for a in given), **extra, **params)
        assert got.dtype == np.float32
        error = np.abs(got - expected).max() / np.abs(expected).max()
        assert error < 32 * np.finfo(np.float32).eps, (name, error / np.finfo(np.float32).eps)


def test_one_infinity_stays_where_its_window_is(rng):
    """A transformed tile would spread it; the direct kernel takes over."""
    x, w = rng.standard_normal((4, 16, 32, 32)).astype(np.float32), np.ones((16, 16, 3, 3), np.float32)
    x[1, 3, 10, 10] = np.inf
    y = KERNEL.convolution(x, w, **options(padding=1))
    expected = np.zeros(y.shape, bool)
    expected[1, :, 9:12, 9:12] = True
    np.testing.assert_array_equal(np.isinf(y), expected)
    assert not np.isnan(y).any()
    large = np.full((4, 16, 32, 32), 1e37, np.float32)  # its transform overflows, its convolution with this does not
    w = np.zeros((16, 16, 3, 3), np.float32)
    w[:, :, 1, 1] = 2.0**-4
    np.testing.assert_allclose(KERNEL.convolution(large, w, **options(padding=1)), 1e37, rtol=1e-6)


@pytest.mark.parametrize("shape, weight, params", [
    ((8, 16, 20, 20), (16, 16, 3, 3), options(padding=1)),
    ((8, 6, 21, 20), (16, 6, 3, 3), options(stride=2, padding=1)),
    ((8, 16, 20, 20), (16, 1, 3, 3), options(padding=1, groups=16)),
])  # fmt: skip
def test_the_number_of_threads_changes_nothing(rng, shape, weight, params):
    """y and dx are the same numbers; dw differs by the rounding of one sum for each thread."""
    x, w = rng.standard_normal(shape).astype(np.float32), rng.standard_normal(weight).astype(np.float32)
    g = rng.standard_normal(made(shape, weight, **params)).astype(np.float32)
    before, found = mg.get_num_threads(), []
    try:
        for count in (1, before):
            mg.set_num_threads(count)
            found.append((
                KERNEL.convolution(x, w, **params),
                KERNEL.convolution_input(g, w, size=shape[2:], **params),
                KERNEL.convolution_weight(x, g, size=weight[2:], **params),
            ))  # fmt: skip
    finally:
        mg.set_num_threads(before)
    np.testing.assert_array_equal(found[0][0], found[1][0])
    np.testing.assert_array_equal(found[0][1], found[1][1])
    np.testing.assert_allclose(found[0][2], found[1][2], rtol=0, atol=1e-5 * np.abs(found[0][2]).max())


@pytest.mark.parametrize("x, weight, params", [
    ((2, 4, 40, 41), (6, 4, 3, 3), options(padding=1)),
    ((2, 4, 40, 41), (8, 2, 3, 2), options(stride=2, padding=1, groups=2)),
    ((2, 5, 30, 31), (5, 1, 3, 3), options(padding=1, groups=5)),
])  # fmt: skip
def test_second_order_through_the_kernels(rng, x, weight, params):
    x, w = mg.tensor(rng.standard_normal(x)), mg.tensor(rng.standard_normal(weight))
    assert testing.gradgradcheck(lambda x, w: F.convolution(x, w, **params), [x, w], directions=1)


def test_empty_and_one_element(rng):
    for x, w in (((0, 3, 8, 8), (4, 3, 3, 3)), ((2, 3, 3, 3), (4, 3, 3, 3)), ((400, 1, 1, 1), (90, 1, 1, 1))):
        x, w = rng.standard_normal(x), rng.standard_normal(w)
        y = KERNEL.convolution(x, w, **options())
        np.testing.assert_allclose(y, REFERENCE.convolution(x, w, **options()), rtol=0, atol=1e-12)
        dx = KERNEL.convolution_input(y, w, size=x.shape[2:], **options())
        np.testing.assert_allclose(dx, REFERENCE.convolution_input(y, w, size=x.shape[2:], **options()), atol=1e-12)
        dw = KERNEL.convolution_weight(x, y, size=w.shape[2:], **options())
        np.testing.assert_allclose(dw, REFERENCE.convolution_weight(x, y, size=w.shape[2:], **options()), atol=1e-12)


# ---- sums over windows -----------------------------------------------------------------------------------------------
@pytest.mark.parametrize("x, size, stride, frame", [
    ((3, 5, 17, 23), (3, 3), (2, 2), ((1, 1), (1, 1))),
    ((2, 3, 20, 9), (2, 4), (1, 3), ((0, 1), (2, 0))),
    ((9, 30, 5), (5, 1), (3, 1), ((2, 2), (0, 0))),
    ((7, 8, 8, 8), (2, 2), (3, 3), ((0, 0), (0, 0))),
    ((2, 3, 20, 37), (3, 3), (1, 1), ((1, 1), (1, 1))),
    ((2, 3, 20, 70), (3, 5), (2, 2), ((1, 2), (2, 1))),
    ((9, 6, 6, 70), (2, 33), (2, 20), ((0, 0), (0, 0))),
    ((4, 300), (5,), (1,), ((2, 2),)),
    ((4, 300), (4,), (3,), ((2, 5),)),
    ((2, 9, 8, 37), (3, 2, 2), (2, 2, 1), ((1, 1), (0, 1), (1, 1))),
])  # fmt: skip
def test_sums_over_windows(x, size, stride, frame):
    params, n = {"size": size, "stride": stride, "frame": frame}, len(size)
    assert testing.check_kernel("window_sum", samples=[case(x, **params)])
    outs = ((n + a + b - k) // s + 1 for n, (a, b), k, s in zip(x[-n:], frame, size, stride, strict=True))
    assert testing.check_kernel("window_sum_backward", samples=[case((*x[:-n], *outs), spatial=x[-n:], **params)])


@pytest.mark.parametrize("x, size", [
    ((2, 3, 8, 8), (2, 2)), ((3, 5, 13, 41), (6, 7)), ((64, 100), (7,)), ((2, 3, 8, 16, 17), (3, 2, 5)),
    ((2, 3, 5, 40), (1, 40)), ((1, 2, 3, 50), (7, 60)), ((3, 2, 1, 90), (1, 2)),
])  # fmt: skip
def test_adaptive_averages(x, size):
    outs = (*x[: -len(size)], *size)
    assert testing.check_kernel("adaptive_avg_pool", samples=[case(x, size=size)])
    assert testing.check_kernel("adaptive_avg_pool_backward", samples=[case(outs, spatial=x[-len(size) :])])


def test_adaptive_averages_against_pytorch(rng):
    torch = pytest.importorskip("torch")
    for shape, size in (
        ((4, 3, 50), 7),
        ((2, 3, 9, 14), (3, 7)),
        ((2, 3, 9, 14), (None, 5)),
        ((2, 3, 5, 9, 8), (2, 3, 3)),
    ):
        x, n = rng.standard_normal(shape), len(shape) - 2
        x[0, 0] = np.inf  # in its windows alone
        a, b = mg.tensor(x, requires_grad=True), torch.tensor(x, requires_grad=True)
        y = getattr(mg.nn.functional, f"adaptive_avg_pool{n}d")(a, size)
        z = getattr(torch.nn.functional, f"adaptive_avg_pool{n}d")(b, size)
        g = rng.standard_normal(y.shape)
        y.backward(mg.tensor(g))
        z.backward(torch.tensor(g))
        np.testing.assert_allclose(y.detach().numpy(), z.detach().numpy(), rtol=1e-12)
        np.testing.assert_allclose(a.grad.numpy(), b.grad.numpy(), rtol=1e-12)


@pytest.mark.parametrize("groups, each, out", [(3, 16, 16), (2, 17, 33), (5, 20, 24)])
def test_groups_of_many_channels(groups, each, out):
    params = {**options(padding=1), "groups": groups}
    x, w, y = (3, groups * each, 9, 11), (groups * out, each, 3, 3), (3, groups * out, 9, 11)
    assert testing.check_kernel("convolution", samples=[case(x, w, **params)], special=False)
    assert testing.check_kernel("convolution_input", samples=[case(y, w, size=(9, 11), **params)], special=False)
    assert testing.check_kernel("convolution_weight", samples=[case(x, y, size=(3, 3), **params)], special=False)
