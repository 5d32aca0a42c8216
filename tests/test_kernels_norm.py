"""The kernels along one axis: softmax, log-sum-exp, layer, group, instance and root mean square normalisation."""

import numpy as np
import pytest

import minigrad as mg
from minigrad import testing
from minigrad.nn import functional
from minigrad.primitive import case
from minigrad.tensor import F

KERNEL = mg.get_backend("numba").F
REFERENCE = mg.get_backend("numpy").F
SHAPES = [
    ((64, 10), 1), ((3, 5001), 1), ((9, 17, 31), 1), ((300, 7), 0), ((5, 2, 3, 29), -2), ((2, 130), 0), ((1, 128), 1),
    ((200, 1), 1), ((7, 16), -1), ((5, 33, 16), 1), ((1, 300, 2), 1),
]  # fmt: skip


# ---- softmax -------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("name", ["softmax", "log_softmax", "softmax_backward", "log_softmax_backward", "logsumexp"])
@pytest.mark.parametrize("shape, axis", SHAPES)
def test_lines_of_odd_lengths(name, shape, axis):
    inputs = (shape, shape) if name.endswith("backward") else (shape,)
    assert testing.check_kernel(name, samples=[case(*inputs, axis=axis)])


@pytest.mark.parametrize("axis", [-1, 0, 1, (1, 2), (-1,), (0, 1)])
@pytest.mark.parametrize("keepdims", [False, True])
def test_logsumexp_over_axes(rng, axis, keepdims):
    x = rng.standard_normal((5, 7, 19)) * 300  # exp overflows
    got = KERNEL.logsumexp(x, axis=axis, keepdims=keepdims)
    np.testing.assert_allclose(got, REFERENCE.logsumexp(x, axis=axis, keepdims=keepdims), rtol=1e-14)
    np.testing.assert_array_equal(got, KERNEL.logsumexp(np.asfortranarray(x), axis=axis, keepdims=keepdims))


@pytest.mark.parametrize("axis", [0, 1])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_special_lines(axis, dtype):
    """One line of each kind among common ones: a NaN, an infinity, both infinities, nothing but -inf, far apart."""
    x = np.linspace(-3, 3, 40 * 19, dtype=dtype).reshape(40, 19)
    x[1, 4], x[2, 5], x[3, :2], x[4], x[5, :2] = np.nan, np.inf, (np.inf, -np.inf), -np.inf, (-1e4, 1e4)
    x[6, 0], x[7] = -np.inf, 1e30
    x = x if axis else np.ascontiguousarray(x.T)
    with np.errstate(invalid="ignore", divide="ignore"):
        for name in ("softmax", "log_softmax", "logsumexp"):
            got, expected = (getattr(f, name)(x, axis=axis) for f in (KERNEL, REFERENCE))
            np.testing.assert_allclose(got, expected, rtol=1e-5 if dtype == np.float32 else 1e-13, atol=1e-300)


def test_small_probabilities_underflow_gradually():
    x = np.zeros((16, 40), np.float32)
    x[:, 1:] = -np.linspace(80, 105, 39)
    expected = np.exp(x.astype(np.float64))  # the sum is 1
    got = KERNEL.softmax(x, axis=1)
    np.testing.assert_allclose(got, expected, rtol=1e-5, atol=2**-149)
    assert ((got > 0) & (got < 2.0**-126)).any()


def test_long_sums_keep_their_digits(rng):
    x = rng.random((2, 200_000)).astype(np.float32)
    expected = np.log(np.exp(x.astype(np.float64)).sum(1))
    np.testing.assert_allclose(KERNEL.logsumexp(x, axis=1), expected, rtol=3e-7)
    np.testing.assert_allclose(KERNEL.logsumexp(np.ascontiguousarray(x.T), axis=0), expected, rtol=3e-7)
    assert abs(KERNEL.softmax(x, axis=1).sum(1, dtype=np.float64) - 1).max() < 3e-7


# ---- normalisation -------------------------------------------------------------------------------------------------
GROUPS = [
    ((3, 6, 50), 3), ((2, 6, 5, 7), 2), ((40, 6), 3), ((3, 5, 2, 2, 20), 5), ((1, 7, 33), 1), ((2, 3, 4999), 3),
    ((70, 4, 1), 2),
]  # fmt: skip


@pytest.mark.parametrize("shape, groups", GROUPS)
def test_group_norm_on_odd_sizes(shape, groups):
    line, saved = shape[1:2], (shape[0], groups, 1)
    samples = [case(shape, line, line, groups=groups), case(shape, line, groups=groups), case(shape, groups=groups)]
    assert testing.check_kernel("group_norm", samples=samples)
    samples = [case(shape, shape, saved, saved, line, groups=groups), case(shape, shape, saved, saved, groups=groups)]
    assert testing.check_kernel("group_norm_backward", samples=samples)


@pytest.mark.parametrize("shape", [
    (2, 65), (129, 70), (3, 5, 17), (4, 3, 5, 7), (2, 2, 2499), (40, 5, 2), (1, 9, 15), (300, 90), (700, 1),
])  # fmt: skip
def test_batch_norm_with_given_moments_on_odd_sizes(shape):
    line = shape[1:2]
    samples = [case(shape, line, line, line, line, eps=9.0), case(shape, line, line, eps=9.0)]
    assert testing.check_kernel("batch_norm_inference", samples=samples)
    samples = [case(shape, shape, line, line, line), case(shape, shape, line, line)]
    assert testing.check_kernel("batch_norm_inference_backward", samples=samples, factor=64)


@pytest.mark.parametrize("shape", [(40, 6), (5, 6, 40), (4, 6, 7, 9)])
@pytest.mark.parametrize("affine", [True, False])
def test_batch_norm_in_evaluation_against_pytorch(rng, shape, affine):
    torch = pytest.importorskip("torch")
    x, g = rng.standard_normal((2, *shape))
    mean, weight, bias = rng.standard_normal((3, 6))
    var = rng.random(6) + 0.1
    found = []
    for lib, f in ((mg, functional), (torch, torch.nn.functional)):
        a = lib.tensor(x, requires_grad=True)
        line = [lib.tensor(v, requires_grad=True) for v in (weight, bias)] if affine else [None, None]
        y = f.batch_norm(a, lib.tensor(mean), lib.tensor(var), *line, False)
        y.backward(lib.tensor(g))
        found.append([t.numpy() for t in (y.detach(), a.grad, *(p.grad for p in line if affine))])
    for ours, theirs in zip(*found, strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-10, atol=1e-12)


def test_batch_norm_with_given_moments_to_second_order(rng):
    x, w, b = (mg.tensor(rng.standard_normal(s)) for s in ((9, 4, 5), 4, 4))
    mean, var = mg.tensor(rng.standard_normal(4)), mg.tensor(rng.random(4) + 0.5)
    for inputs, f in (
        ([x, w, b], lambda x, w, b: F.batch_norm_inference(x, mean, var, w, b)),
        ([x, mean, var], lambda x, mean, var: F.batch_norm_inference(x, mean, var, w, b)),
    ):
        assert testing.gradcheck(f, inputs, directions=2)
        assert testing.gradgradcheck(f, inputs, directions=2)


@pytest.mark.parametrize("shape, ndim", [((130, 1), 1), ((7, 5001), 1), ((3, 41, 9), 2), ((257,), 1), ((70, 33), 1)])
def test_rms_norm_on_odd_sizes(shape, ndim):
    inner, ones = shape[len(shape) - ndim :], (*shape[: len(shape) - ndim], *[1] * ndim)
    samples = [case(shape, inner, ndim=ndim, eps=1e-5), case(shape, ndim=ndim, eps=0.1)]
    assert testing.check_kernel("rms_norm", samples=samples)
    samples = [case(shape, shape, ones, inner, ndim=ndim), case(shape, shape, ones, ndim=ndim)]
    assert testing.check_kernel("rms_norm_backward", samples=samples)


@pytest.mark.parametrize(
    "name, params", [("rms_norm", {}), ("group_norm", {"groups": 2}), ("group_norm", {"groups": 4})]
)
def test_gradients_to_second_order(rng, name, params):
    x = mg.tensor(rng.standard_normal((9, 20) if name == "rms_norm" else (9, 4, 5)))
    inputs = [x, *(mg.tensor(rng.standard_normal(x.shape[1])) for _ in range(1 if name == "rms_norm" else 2))]
    assert testing.gradcheck(getattr(F, name), inputs, params=params, directions=2)
    assert testing.gradgradcheck(getattr(F, name), inputs, params=params, directions=2)


@pytest.mark.parametrize("name", ["layer_norm", "group_norm", "rms_norm"])
def test_results_do_not_depend_on_the_number_of_threads(rng, name):
    x = rng.standard_normal((37, 8, 60))
    dy = rng.standard_normal(x.shape)
    found = []
    before = mg.get_num_threads()
    for threads in {1, before}:
        mg.set_num_threads(threads)
        y, *saved = getattr(KERNEL, name)(x)
        found.append((y, *saved, *getattr(KERNEL, f"{name}_backward")(dy, x, *saved)))
    mg.set_num_threads(before)
    for a, b in zip(found[0], found[-1]):
        np.testing.assert_array_equal(a, b)


def test_the_variance_survives_a_large_mean(rng):
    x = (1e4 + rng.standard_normal((8, 6, 40))).astype(np.float32)
    rows = x.reshape(8, 3, -1).astype(np.float64)
    _, mean, rstd = KERNEL.group_norm(x, groups=3)
    np.testing.assert_allclose(mean[..., 0], rows.mean(-1), rtol=1e-6)
    np.testing.assert_allclose(rstd[..., 0], rows.var(-1) ** -0.5, rtol=1e-3)


@pytest.mark.parametrize("shape", [(4, 6, 9, 5), (33, 6, 11), (50, 6)])
@pytest.mark.parametrize("name", ["group_norm", "instance_norm", "rms_norm", "layer_norm"])
def test_as_pytorch(rng, shape, name):
    torch = pytest.importorskip("torch")
    if name == "instance_norm" and len(shape) == 2:
        pytest.skip("no spatial axis")
    last = shape[-1:]
    line = last if name in ("rms_norm", "layer_norm") else (6,)
    arrays = [rng.standard_normal(shape), *(rng.standard_normal(line) for _ in range(1 if name == "rms_norm" else 2))]
    calls = {
        "group_norm": lambda f, x, w, b: f.group_norm(x, 3, w, b),
        "instance_norm": lambda f, x, w, b: f.instance_norm(x, weight=w, bias=b),
        "rms_norm": lambda f, x, w: f.rms_norm(x, last, w, 1e-5),
        "layer_norm": lambda f, x, w, b: f.layer_norm(x, last, w, b),
    }
    dy = rng.standard_normal(shape)
    ours = [mg.tensor(a, requires_grad=True) for a in arrays]
    theirs = [torch.tensor(a, requires_grad=True) for a in arrays]
    y, expected = calls[name](functional, *ours), calls[name](torch.nn.functional, *theirs)
    np.testing.assert_allclose(y.numpy(), expected.detach().numpy(), atol=1e-12)
    y.backward(mg.tensor(dy))
    expected.backward(torch.tensor(dy))
    for a, b in zip(ours, theirs):
        np.testing.assert_allclose(a.grad.numpy(), b.grad.numpy(), atol=1e-11)


def test_group_norm_of_nothing():
    for shape in ((0, 4, 5), (3, 4, 0)):
        assert functional.group_norm(mg.zeros(*shape), 2).shape == shape


@pytest.mark.parametrize("shape", [(64, 5, 7, 9), (64, 5), (3, 5, 5_000)])
def test_batch_norm_of_a_constant_channel(shape):
    """Its mean is the constant, its variance 0, to the last bit: 1 / sqrt(eps) would enlarge what rounding leaves."""
    x = np.random.default_rng(0).standard_normal(shape).astype(np.float32)
    for c, constant in enumerate((0.1, -1.7e5, 3.3e-7)):
        x[:, c] = constant
    y, mean, var = KERNEL.batch_norm(x)
    np.testing.assert_array_equal(mean[:3], np.float32([0.1, -1.7e5, 3.3e-7]))
    np.testing.assert_array_equal(var[:3], 0)
    np.testing.assert_array_equal(y[:, :3], 0)
    expected = x[:, 3:].astype(np.float64)
    axes = tuple(i for i in range(x.ndim) if i != 1)
    np.testing.assert_allclose(var[3:], expected.var(axis=axes), rtol=1e-6)
    np.testing.assert_allclose(mean[3:], expected.mean(axis=axes), atol=1e-7)


@pytest.mark.parametrize("shape", [(2, 64), (129, 1), (3, 127), (7, 128), (40, 129), (5, 300), (33, 1024), (1000, 17)])
def test_batch_norm_of_matrices(shape):
    samples = [case(shape, shape[1:], shape[1:]), case(shape, eps=1e-2)]
    assert testing.check_kernel("batch_norm", samples=samples)
    line = shape[1:]
    samples = [case(shape, line, line, shape, line, line, line), case(shape, line, line, shape, line, line)]
    assert testing.check_kernel("batch_norm_backward", samples=samples, factor=64)


def test_batch_norm_of_an_infinity():
    for shape in ((64, 3, 7, 9), (64, 3)):
        x = np.ones(shape, np.float32)
        x[0, 0], x[-1, 1], x[5, 2] = np.inf, -np.inf, np.nan
        _, mean, var = KERNEL.batch_norm(x)
        np.testing.assert_array_equal(mean, np.float32([np.inf, -np.inf, np.nan]))
        assert np.isnan(var).all()
