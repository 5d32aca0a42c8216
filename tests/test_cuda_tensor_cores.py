"""The CUDA kernels on tensor cores, run on the CPU by cuda_emulator: see cuda_emulator/tensor_cores.h.

Errors are held against bounds that follow from the roundings. With u the unit roundoff (2**-11 of float16 and TF32,
2**-8 of bfloat16): products of halves are exact, TF32 rounds each factor by u; a sum of n terms in float32 loses at
most 2**-23 of itself with each, as tensor cores cut off what they cannot hold; a factor that is itself a result is
rounded by u, and so are the outputs, of TF32 to float32. To first order such errors add up along each sum, with
absolute values in the place of its terms.
"""

import numpy as np
import pytest
from cuda_emulator import emulated
from minigrad.kernels.cuda import matmul, tensor_cores
from test_cuda_kernels import KERNELS, REFERENCE, made, pytestmark, several  # noqa: F401

from minigrad.primitive import bools, ints

SMALLEST = 2.0**-24  # of float16
TYPES = {"float16": np.dtype(np.float16), "tf32": np.dtype(np.float32)}
ROUNDOFF = {TYPES["float16"]: 2.0**-11, TYPES["tf32"]: 2.0**-11}
try:
    from ml_dtypes import bfloat16

    TYPES["bfloat16"] = np.dtype(bfloat16)
    ROUNDOFF[TYPES["bfloat16"]] = 2.0**-8
except ImportError:
    pass
MAIN = list(TYPES)[-1]  # the type that every case has


@pytest.fixture(autouse=True)
def tf32_on(monkeypatch):
    monkeypatch.setattr(matmul, "tf32", True)


def wide(a):
    return a.astype(np.float64) if isinstance(a, np.ndarray) and a.dtype.kind in "fV" else a


def run(name, args, params, kernels):
    """The primitive on the emulated device, in two orders of threads, with copies that come early and late: the same
    bits. kernels: those that must have run."""
    results = []
    for order in (0, 11):
        with emulated(order) as gpu:
            given = [gpu.asarray(a) if isinstance(a, np.ndarray) else a for a in args]
            y = several(getattr(KERNELS, name)(*given, **params))
            assert set(gpu.launches) == set(kernels), gpu.launches
            results.append(tuple(np.array(a) for a in y))
    for a, b in zip(*results):
        assert a.tobytes() == b.tobytes(), f"{name} depends on the order of the threads"
    return results[0]


def roundings(dtype, length):
    """(u of results between, of factors, and of a sum of that length with one power of 2, of outputs)."""
    u, total = ROUNDOFF[dtype], (length + 32) * 2.0**-23
    return (u, u, total, total) if dtype == np.float32 else (u, 0.0, total, u + total)


def within(name, got, expected, bound):
    """|got - expected| <= bound, elementwise."""
    assert got.shape == expected.shape, (name, got.shape, expected.shape)
    error = np.abs(wide(got) - expected)
    assert np.all(error <= bound), f"{name}: {np.max(error / bound)} of the bound at {np.argmax(error / bound)}"


# ---- operands --------------------------------------------------------------------------------------------------------
OPERANDS = """
KERNEL operands(const T *x, const T *y, float *out) {  // 16 x 16 each; out: x y.mT, x y, x.mT y.mT, and (x y.mT) y
    SHARED_MEMORY(T, X);
    T *Y = X + 16 * LINE_OF(16);
    for (int k = threadIdx.x; k < 256; k += WARP) {
        int place = k / 16 * LINE_OF(16) + k % 16;
        X[place] = x[k], Y[place] = y[k];
    }
    __syncthreads();
    float c[4][1][2][4];
    products<16>(c[0], X, Y);
    for (int i = 0; i < 24; ++i) c[1 + i / 8][0][i / 4 % 2][i % 4] = 0;
    for (int k = 0; k < 16; k += DEEP) {
        u32 a[4], b[4];
        left_rows(a, X + k, LINE_OF(16)), right_rows(b, Y + k, LINE_OF(16));
        left_columns(a, X + k * LINE_OF(16), LINE_OF(16)), right_columns(b, Y + k * LINE_OF(16), LINE_OF(16));
        mma<T>(c[2][0][0], a, b), mma<T>(c[2][0][1], a, b + 2);
    }
    add_weighted<16>(c[3], c[0], Y);
    for (int i = 0; i < 8; ++i)
        for (int which = 0; which < 4; ++which) {
            int row = group() + i % 4 / 2 * 8, column = i / 4 * 8 + 2 * within() + i % 2;
            out[(which * 16 + row) * 16 + column] = c[which][0][i / 4][i % 4];
        }
}"""


@pytest.mark.parametrize("dtype", TYPES)
def test_operands(dtype, rng):
    """Products of small integers, which are exact: every element comes to its place."""
    x, y = (rng.integers(-3, 4, (16, 16)).astype(TYPES[dtype]) for _ in range(2))
    code = tensor_cores.source("dropout").code(TYPES[dtype]) + OPERANDS
    with emulated(3) as gpu:
        out = gpu.empty((4, 16, 16), np.float32)
        arguments = (gpu.asarray(x), gpu.asarray(y), out)
        gpu.function(code, "operands")((1,), (32,), arguments, 32 * tensor_cores.line(16, x.itemsize) * x.itemsize)
        x, y = wide(x), wide(y)
        np.testing.assert_array_equal(out, [x @ y.T, 0 * x, x.T @ y, x @ y.T @ y])


def copied(body, order):
    code = tensor_cores.source("dropout").code("float32") + (
        "KERNEL copied(const float *x, float *y) { SHARED_MEMORY(float, s);" + body + "}"
    )
    with emulated(order) as gpu:
        y = gpu.empty(32, np.float32)
        gpu.function(code, "copied")((1,), (32,), (gpu.asarray(np.arange(64, dtype=np.float32)), y), 1024)
        return np.array(y)


COPY = "copy<16>(s + 4 * threadIdx.x, x + threadIdx.x % 8 * 4, threadIdx.x < 4); commit();"
TAKE = "y[threadIdx.x] = s[threadIdx.x];"


def test_copies_arrive():
    for order in (0, 1):
        y = copied(COPY + "arrived<0>(); __syncthreads();" + TAKE, order)
        np.testing.assert_array_equal(y, [*range(16), *[0] * 16])


@pytest.mark.parametrize("wait", ["", "arrived<1>();"])
def test_a_copy_that_is_read_too_early_shows(wait):
    code = COPY + wait + "__syncthreads();" + TAKE + "__syncthreads(); arrived<0>();"
    assert np.isnan(copied(code, 0)).all()


@pytest.mark.parametrize("body, what", [
    (COPY, "never waited for"),
    ("copy<16>(s + threadIdx.x, x, true); commit(), arrived<0>();", "aligned"),
    ("copy<16>(s, x + 1, true);", "aligned"),
    ("copy<16>(s + 256, x, true);", "not in shared"), ("u32 r[4]; ldmatrix(r, s + threadIdx.x);", "aligned"),
])  # fmt: skip
def test_the_emulator_refuses(body, what):
    with pytest.raises(MemoryError, match=what):
        copied(body, 0)


# ---- attention -------------------------------------------------------------------------------------------------------
q = (2, 3, 35, 5)
ATTENTIONS = {
    "plain": ((q, (2, 3, 70, 5), (2, 3, 70, 3), None, None), {}),
    "causal": (((1, 2, 150, 16), (1, 2, 150, 16), (1, 2, 150, 8), None, None), {"causal": True}),
    "negative scale": (((1, 140, 8), (1, 140, 8), (1, 140, 8), None, None), {"causal": True, "scale": -0.7}),
    "longer": (((70, 40), (40, 40), (40, 24), None, None), {"causal": True}),
    "shared keys": (((2, 3, 40, 8), (2, 1, 80, 8), (2, 1, 80, 8), None, None), {}),
    "bools": ((q, (2, 3, 40, 5), (2, 3, 40, 3), bools((2, 1, 35, 40)), None), {"causal": True}),
    "numbers": ((q, (2, 3, 40, 5), (2, 3, 40, 3), (3, 1, 40), None), {}),
    "dropout": (((2, 3, 35, 16), (2, 3, 40, 16), (2, 3, 40, 16), None, ints((2,), 99)), {"dropout": 0.3}),
}
CASES = [(MAIN, label) for label in ATTENTIONS]
CASES += [("float16", "causal"), ("float16", "plain"), ("tf32", "causal"), ("tf32", "plain"), ("tf32", "dropout")]


def weights(q, k, v, mask=None, seed=None, *, causal=False, scale=None, dropout=0.0, log_total=None):
    """The weights, what dropout makes of ones, and what |scores| were without cancellation."""
    eye = np.broadcast_to(np.eye(k.shape[-2]), (*k.shape[:-1], k.shape[-2]))
    plain = {"causal": causal, "scale": scale}
    p = REFERENCE.attention(q, k, eye, mask, **plain)[0]
    drops = np.ones(p.shape)
    if dropout:
        drops = REFERENCE.dropout_mask(seed, shape=p.shape, rate=dropout) / (1 - dropout)
    size = np.abs(q) @ np.abs(k).swapaxes(-1, -2) * abs(scale or q.shape[-1] ** -0.5)
    return p, drops, size


def swapped(x):
    return np.swapaxes(x, -1, -2)


def attention_bounds(args, expected, params, dtype):
    v = wide(args[2])
    u, r, total, out = roundings(dtype, max(v.shape[-2], args[0].shape[-1]))
    p, drops, size = weights(*map(wide, args), **params)
    scores = (2 * r + total) * (size + 1)  # of each score, and of its exponential relatively
    worst = scores.max(-1, keepdims=True)
    weight = p * (2 * worst + u + r) + SMALLEST  # of a weight: its exponential, the sum, its rounding, and v's
    y, log_total = expected
    return (weight * drops) @ np.abs(v) + out * np.abs(y), worst + total * (1 + np.abs(log_total))


def gradient_bounds(dy, y, args, expected, params, dtype):
    q, k, v, *_ = map(wide, args)
    u, r, total, out = roundings(dtype, max(*q.shape[-2:], *v.shape[-2:]) * (q.size // k.size + 1))
    p, drops, size = weights(*map(wide, args), **params)
    scale = abs(params.get("scale") or q.shape[-1] ** -0.5)
    scores = (2 * r + total) * (size + 1)
    dp, both = drops * (dy @ swapped(v)), drops * (np.abs(dy) @ swapped(np.abs(v)))
    delta = np.sum(dy * y, -1, keepdims=True)
    slope = p * np.abs(dp - delta)
    slope = slope * (scores + u + r) + p * (2 * r + total) * (both + np.abs(dy * y).sum(-1, keepdims=True)) + SMALLEST
    weight = drops * (p * (scores + u + r) + SMALLEST)
    found = slope @ np.abs(k) * scale, swapped(slope) @ np.abs(q) * scale, swapped(weight) @ np.abs(dy)
    found = [REFERENCE.sum_to(b, shape=e.shape) for b, e in zip(found, expected)]
    return [b + out * np.abs(e) for b, e in zip(found, expected)]


@pytest.mark.parametrize("dtype, label", CASES)
def test_attention(dtype, label, rng):
    (shapes, params), dtype = ATTENTIONS[label], TYPES[dtype]
    args = [made(a, rng, dtype) for a in shapes]
    if label == "bools":
        args[3][0, 0, 7] = False  # a query that sees no key
    got = run("attention", args, params, ["attention_mma"])
    expected = REFERENCE.attention(*map(wide, args), **params)
    assert (got[0].dtype, got[1].dtype) == (dtype, np.float32)
    for name, *found in zip(("y", "log_total"), got, expected, attention_bounds(args, expected, params, dtype)):
        within(name, *found)
    dy = rng.standard_normal(got[0].shape).astype(dtype)
    backward = [dy, *args[:3], *got, *args[3:]]
    kernels = ["attention_mma_queries", "attention_mma_keys"]
    expected = REFERENCE.attention_backward(*map(wide, backward), **params)
    bounds = gradient_bounds(wide(dy), wide(got[0]), args, expected, params, dtype)
    for name, *found in zip(("dq", "dk", "dv"), run("attention_backward", backward, params, kernels), expected, bounds):
        within(name, *found)


def test_attention_of_special_numbers(rng):
    """Infinite and NaN scores end as they do in the reference, and stay in their heads."""
    q, k, v = (rng.standard_normal((3, length, 16)).astype(np.float16) for length in (20, 80, 80))
    q[0, 3, 0], k[1, 5], q[2] = np.nan, -np.inf, 200
    y = run("attention", [q, k, v], {}, ["attention_mma"])[0]
    with np.errstate(all="ignore"):
        expected = REFERENCE.attention(*map(wide, (q, k, v)))[0]
    np.testing.assert_array_equal(np.isnan(y), np.isnan(expected))
    np.testing.assert_allclose(wide(y), expected, rtol=2e-2, atol=2e-3)


@pytest.mark.parametrize("dtype, flag, generation, shared, ran", [
    ("float32", False, 90, 232448, "attention"), ("float32", True, 75, 232448, "attention"),
    ("float16", False, 75, 232448, "attention"), ("float16", False, 80, 20000, "attention_mma"),
    ("float64", True, 90, 232448, "attention"),
])  # fmt: skip
def test_who_takes_tensor_cores(dtype, flag, generation, shared, ran, rng, monkeypatch):
    """Halves on GPUs from 8.0 on, float32 where TF32 is allowed; smaller tiles where there is less shared memory."""
    monkeypatch.setattr(matmul, "tf32", flag)
    args = [rng.standard_normal((40, 8)).astype(dtype) for _ in range(3)]
    expected = REFERENCE.attention(*map(wide, args), causal=True)
    with emulated(11) as gpu:
        gpu.generation, gpu.shared = generation, shared
        given = [gpu.asarray(a) for a in args]
        y, log_total = KERNELS.attention(*given, causal=True)
        KERNELS.attention_backward(gpu.asarray(y), *given, y, log_total, causal=True)
        assert gpu.launches[0] == ran and f"{ran}_keys" in gpu.launches
    np.testing.assert_allclose(wide(np.array(y)), expected[0], rtol=4e-3, atol=2e-3)


# ---- convolution -----------------------------------------------------------------------------------------------------
CONVOLUTIONS = {  # x, w, stride, padding, dilation, groups
    "strides": ((2, 3, 9, 11), (5, 3, 3, 3), (2, 1), (1, 0), (1, 2), 1),
    "several tiles": ((3, 70, 7, 7), (66, 70, 1, 1), (1, 1), (0, 0), (1, 1), 1),
    "groups": ((1, 24, 8, 8), (16, 12, 2, 3), (1, 1), (0, 1), (1, 1), 2),
    "parts": ((40, 2, 6, 6), (3, 2, 3, 3), (1, 1), (1, 1), (1, 1), 1),
    "line": ((2, 9, 33), (40, 9, 3), (2,), (1,), (2,), 1),
    "volume": ((1, 2, 4, 5, 6), (3, 2, 2, 3, 2), (1, 2, 1), (0, 1, 1), (1, 1, 1), 1),
}
CONVOLVED = [(MAIN, label) for label in CONVOLUTIONS]
CONVOLVED += [(dtype, label) for dtype in ("float16", "tf32") for label in ("strides", "several tiles", "parts")]


def convolved(x, w, bias, dy, params, dtype):
    """(name, arguments, parameters, result in float64, bound) of the three primitives."""
    for name, args, size, length in (
        ("convolution", [x, w, bias], {}, w[0].size),
        ("convolution_input", [dy, w], {"size": x.shape[2:]}, w.size // w.shape[1]),
        ("convolution_weight", [x, dy], {"size": w.shape[2:]}, dy.size // dy.shape[1]),
    ):
        _, r, total, out = roundings(dtype, length)
        reference = getattr(REFERENCE, name)
        expected = reference(*map(wide, args), **size, **params)
        bound = (2 * r + total) * reference(*(np.abs(wide(a)) for a in args), **size, **params) + out * np.abs(expected)
        yield name, args, size | params, expected, bound


@pytest.mark.parametrize("dtype, label", CONVOLVED)
def test_convolution(dtype, label, rng):
    (x, w, *rest), dtype = CONVOLUTIONS[label], TYPES[dtype]
    params = dict(zip(("stride", "padding", "dilation", "groups"), rest))
    x, w, bias = (made(a, rng, dtype) for a in (x, w, w[:1]))
    dy = rng.standard_normal(REFERENCE.convolution(wide(x), wide(w), **params).shape).astype(dtype)
    for name, args, given, expected, bound in convolved(x, w, bias, dy, params, dtype):
        kernels = {"channels_last", "convolution_mma_weight" if name == "convolution_weight" else "convolution_mma"}
        if name == "convolution_weight" and (label == "parts" or dtype != np.float32):
            kernels.add("reduce_columns")  # adds the parts, and rounds
        (got,) = run(name, args, given, kernels)
        assert got.dtype == dtype
        within(name, got, expected, bound)


def test_groups_of_few_channels_stay_where_they_are(rng):
    x, w = (rng.standard_normal(s).astype(np.float16) for s in ((1, 4, 6, 6), (4, 1, 3, 3)))
    params = {"stride": (1, 1), "padding": (1, 1), "dilation": (1, 1), "groups": 4}
    (y,) = run("convolution", [x, w], params, ["convolution"])
    np.testing.assert_allclose(wide(y), REFERENCE.convolution(wide(x), wide(w), **params), rtol=2e-3, atol=2e-3)
