"""The CUDA kernels and their launchers, run on the CPU by cuda_emulator, against the reference in float64.

Outputs are filled with NaN before, every array ends where no memory is, and threads and blocks run in several orders,
which must give the same bits: see cuda_emulator/cuda.h.
"""

import contextlib
import sys

import numpy as np
import pytest
from cuda_emulator import COMPILER, emulated
from minigrad.kernels import cuda
from minigrad.kernels.cuda import attention, dropout, elementwise, launch, optim, when

import minigrad as mg
from minigrad.backend.numpy import NumpyBackend
from minigrad.primitive import PRIMITIVES, bools, case, ints, within

pytestmark = [
    pytest.mark.skipif(not COMPILER, reason="needs a C++ compiler (g++ or clang++)"),
    pytest.mark.skipif(not sys.platform.startswith("linux"), reason="the emulator needs Linux's memory protection"),
]
REFERENCE = mg.get_backend("numpy").F
KERNELS = NumpyBackend("cupy").F  # the kernels registered for cupy, on NumPy's arrays
ORDERS = (0, 1, 11)  # upwards, downwards, random


TOLERANCE = {"float64": 1e-12, "float32": 2e-6, "float16": 2e-3}  # of the result, and of its largest element / 4


def made(a, rng, dtype, positive=False):
    """The array of a sample."""
    if isinstance(a, ints):
        return rng.integers(a.low, a.high, a.shape)
    if isinstance(a, bools):
        return rng.random(a.shape) < 0.7
    if isinstance(a, within):
        return rng.uniform(a.low, a.high, a.shape).astype(dtype)
    if isinstance(a, tuple):
        x = rng.standard_normal(a).astype(dtype)
        return np.abs(x) + x.dtype.type(0.1) if positive else x
    return a


def wide(a):
    return a.astype(np.float64) if isinstance(a, np.ndarray) and a.dtype.kind == "f" else a


def several(y):
    return y if isinstance(y, tuple) else (y,)


def agree(name, got, expected, dtype, factor=1.0):
    got, expected = several(got), several(expected)
    assert len(got) == len(expected), (name, len(got), len(expected))
    for i, (a, b) in enumerate(zip(got, expected)):
        assert a.shape == b.shape, (name, i, a.shape, b.shape)
        if a.dtype.kind != "f":
            np.testing.assert_array_equal(a, b, err_msg=f"{name} output {i}")
            continue
        assert a.dtype == dtype, (name, i, a.dtype)
        finite = np.abs(b[np.isfinite(b)])
        tolerance = TOLERANCE[str(np.dtype(dtype))] * factor
        scale = finite.max() / 4 if finite.size else 1.0
        np.testing.assert_allclose(
            a.astype(np.float64), b, rtol=tolerance, atol=tolerance * scale, err_msg=f"{name} output {i}"
        )


def run(name, args, params, orders=ORDERS):
    """The primitive on the emulated device, in several orders: the same bits each time."""
    results = []
    for order in orders:
        with emulated(order) as gpu:
            given = [gpu.asarray(a) if isinstance(a, np.ndarray) else a for a in args]
            before = [a.copy() if isinstance(a, np.ndarray) else a for a in given]
            y = several(getattr(KERNELS, name)(*given, **params))
            assert gpu.launches, f"{name}: no kernel was admitted"
            for a, b in zip(given, before):
                if isinstance(a, np.ndarray):
                    np.testing.assert_array_equal(a, b, err_msg=f"{name} changed its input")
            results.append(tuple(np.array(a) for a in y))
    for other in results[1:]:
        for i, (a, b) in enumerate(zip(results[0], other)):
            assert a.tobytes() == b.tobytes() or np.array_equal(a, b, equal_nan=a.dtype.kind == "f"), (
                f"{name} output {i} depends on the order of the threads"
            )
    return results[0] if len(results[0]) > 1 else results[0][0]


def check(name, sample, dtype, rng, factor=1.0, orders=ORDERS, positive=()):
    args = [made(a, rng, dtype, i in positive) for i, a in enumerate(sample.args)]
    with np.errstate(all="ignore"):
        expected = getattr(REFERENCE, name)(*map(wide, args), **sample.params)
    agree(name, run(name, args, sample.params, orders), expected, dtype, factor)


def both(cases):
    """Each case in float32, the first also in the other types."""
    return [(n, c, np.float32) for n, c in cases] + [
        (n, c, dtype) for dtype in (np.float64, np.float16) for n, c in dict(reversed(cases)).items()
    ]


# ---- one axis --------------------------------------------------------------------------------------------------------
LINES = [((5, 7), 1), ((3, 1501), 1), ((2, 13001), -1), ((3, 5, 7), 1), ((9, 33), 0), ((17, 1), 1), ((1, 129), 1)]
SOFTMAX = [(n, case(s, axis=a)) for n in ("softmax", "log_softmax", "logsumexp") for s, a in LINES]
SOFTMAX += [(n, case(s, s, axis=a)) for n in ("softmax_backward", "log_softmax_backward") for s, a in LINES]
SOFTMAX += [("logsumexp", case((3, 4, 5), axis=(1, 2), keepdims=True)), ("logsumexp", case((3, 45)))]


@pytest.mark.parametrize("name, sample, dtype", both(SOFTMAX))
def test_softmax(name, sample, dtype, rng):
    check(name, sample, dtype, rng, factor=4)


@pytest.mark.parametrize("axis", [0, 1])
@pytest.mark.parametrize("name", ["softmax", "log_softmax", "logsumexp"])
def test_softmax_of_special_lines(name, axis):
    x = np.linspace(-3, 3, 8 * 37, dtype=np.float32).reshape(8, 37)
    x[1, 4], x[2, 5], x[3, :2], x[4], x[5, :2] = np.nan, np.inf, (np.inf, -np.inf), -np.inf, (-1e4, 1e4)
    x[6, 0], x[7] = -np.inf, 1e30
    x = x if axis else np.ascontiguousarray(x.T)
    with np.errstate(all="ignore"):
        expected = getattr(REFERENCE, name)(x, axis=axis)
    np.testing.assert_allclose(run(name, [x], {"axis": axis}), expected, rtol=1e-5, atol=1e-30)


LOSSES = [("cross_entropy", case((5, 7), ints((5,), 7, -7))), ("cross_entropy", case((3, 2001), ints((3,), 2001)))]
LOSSES += [
    ("cross_entropy_backward", case((n,), (n, k), ints((n,), k, -k), (n, 1), within((n, 1), 3, 5)))
    for n, k in ((5, 7), (2, 2001))
]


@pytest.mark.parametrize("name, sample, dtype", both(LOSSES))
def test_cross_entropy(name, sample, dtype, rng):
    check(name, sample, dtype, rng, factor=8)


def test_cross_entropy_of_a_label_that_is_no_class(rng):
    x, labels = rng.standard_normal((3, 5)).astype(np.float32), np.array([1, 5, -6], np.int32)
    loss, top, log_total = run("cross_entropy", [x, labels], {})
    assert np.isnan(loss).tolist() == [False, True, True]
    dx = run("cross_entropy_backward", [loss * 0 + 1, x, labels, top, log_total], {})
    assert np.isnan(dx).all(1).tolist() == [False, True, True]


# ---- sums ------------------------------------------------------------------------------------------------------------
AXES = [((5, 7), None), ((3, 5, 7), 1), ((2, 3, 5, 4), (0, 2, 3)), ((70, 3), 0), ((3, 1501), -1), ((4, 3, 5), (0, 1))]
AXES += [((1, 9001), 1), ((9001,), None), ((9001, 3), 0), ((2, 4200, 5), 1)]  # cut into parts
SUMS = [
    (n, case(s, axis=a, keepdims=bool(i % 2))) for n in ("sum", "mean", "max", "min") for i, (s, a) in enumerate(AXES)
]
SUMS += [("sum_to", case((4, 3, 5), shape=s)) for s in ((5,), (3, 1), (1, 3, 5), ())]


@pytest.mark.parametrize("name, sample, dtype", both(SUMS))
def test_sums(name, sample, dtype, rng):
    if len(sample.args[0]) < 3 and name in ("max", "min") and dtype == np.float32:
        x = made(sample.args[0], rng, dtype)
        x.flat[3] = np.nan
        np.testing.assert_array_equal(run(name, [x], sample.params), getattr(REFERENCE, name)(x, **sample.params))
    check(name, sample, dtype, rng, factor=4)


@pytest.mark.parametrize("axis, shape", [(1, (5, 37)), (None, (3, 4)), ((1, 2), (2, 3, 5)), (-1, (2, 1100))])
def test_extreme_backward(axis, shape, rng):
    x = rng.integers(0, 5, shape).astype(np.float32)
    x.flat[2] = np.nan
    extreme = np.max(x, axis=axis)
    dy = rng.standard_normal(np.shape(extreme)).astype(np.float32)
    expected = REFERENCE.extreme_backward(dy, x, extreme, axis=axis)
    agree(
        "extreme",
        run("extreme_backward", [np.asarray(dy), x, np.asarray(extreme)], {"axis": axis}),
        expected,
        np.float32,
    )


# ---- normalisation ---------------------------------------------------------------------------------------------------
NORMS = []
for shape, ndim in (((5, 7), 1), ((2, 3, 5), 2), ((3, 1501), 1), ((140, 33), 1), ((2, 12901), 1)):
    line, saved = shape[len(shape) - ndim :], shape[: len(shape) - ndim] + (1,) * ndim
    one = within(saved, 0.5, 2)
    NORMS += [("layer_norm", case(shape, line, line, ndim=ndim)), ("rms_norm", case(shape, line, ndim=ndim))]
    NORMS += [("layer_norm_backward", case(shape, shape, saved, one, line, ndim=ndim))]
    NORMS += [("rms_norm_backward", case(shape, shape, one, line, ndim=ndim))]
NORMS += [
    ("layer_norm", case((3, 5))),
    ("rms_norm", case((3, 5))),
    ("layer_norm_backward", case(*[(3, 5)] * 2, *[(3, 1)] * 2)),
]
for shape, groups in (((3, 6, 5), 3), ((2, 6, 5, 7), 2), ((70, 6), 3), ((1, 2, 1301), 1)):
    saved, one = (shape[0], groups, 1), within((shape[0], groups, 1), 0.5, 2)
    NORMS += [("group_norm", case(shape, shape[1:2], shape[1:2], groups=groups))]
    NORMS += [("group_norm_backward", case(shape, shape, saved, one, shape[1:2], groups=groups))]
for shape in ((5, 3, 7), (67, 5), (2, 3, 4, 5), (3, 2, 1500), (200, 2)):
    c = shape[1:2]
    NORMS += [("batch_norm", case(shape, c, c)), ("batch_norm", case(shape))]
    NORMS += [("batch_norm_backward", case(shape, c, c, shape, c, within(c, 0.5, 2), c))]
    NORMS += [("batch_norm_inference", case(shape, c, within(c, 0.5, 2), c, c))]
    NORMS += [("batch_norm_inference_backward", case(shape, shape, c, within(c, 0.5, 2), c))]


@pytest.mark.parametrize("name, sample, dtype", both(NORMS))
def test_norms(name, sample, dtype, rng):
    check(name, sample, dtype, rng, factor=16)


# ---- rows and windows ------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.float16])
@pytest.mark.parametrize(
    "shape, index", [((7, 5), (3, 4)), ((7, 8), (11,)), ((9, 2, 6), (5,)), ((4,), (65,)), ((3, 70), (2,))]
)
def test_rows(shape, index, dtype, rng):
    key = (PRIMITIVES["getitem"].samples[2].params["key"][0],)
    i = rng.integers(-shape[0], shape[0], index)
    x = rng.standard_normal(shape).astype(dtype)
    np.testing.assert_array_equal(run("getitem", [x, i], {"key": key}), x[i])
    v = rng.standard_normal((*index, *shape[1:])).astype(dtype)
    expected = np.zeros(shape)
    np.add.at(expected, i, wide(v))
    agree("scatter", run("scatter", [v, i.astype(np.int32)], {"key": key, "shape": shape}), expected, dtype, 4)


def test_rows_that_are_not_there(rng):
    key = (PRIMITIVES["getitem"].samples[2].params["key"][0],)
    x, i = rng.standard_normal((3, 5)).astype(np.float32), np.array([2, 3, -4, -3])
    assert np.isnan(run("getitem", [x, i], {"key": key})).all(1).tolist() == [False, True, True, False]
    y = run("scatter", [x[[0, 1, 2, 0]], i], {"key": key, "shape": (3, 5)})
    np.testing.assert_array_equal(y, np.stack([x[0], x[0] * 0, x[0]]))


ALONG = [("add_along_axis", case((3, 70), ints((3, 70), 5, -5), axis=1, size=5))]
ALONG += [("add_along_axis", case((9, 2, 4), ints((9, 2, 4), 3), axis=0, size=3))]
ALONG += [("max_pool_backward", case((2, 3, 7, 5), ints((2, 3, 7, 5), 99), spatial=(11, 9)))]
TWO = {"stride": (2, 1), "padding": (1, 0), "dilation": (1, 2)}
POOLS = [
    ("max_pool", case((2, 3, 9, 11), size=(3, 2), **TWO)),
    ("max_pool", case((2, 35), size=(3,), stride=(2,), padding=(1,), dilation=(2,))),
    ("max_pool", case((1, 2, 5, 4, 6), size=(2, 2, 3), stride=(2, 1, 2), padding=(1, 0, 1), dilation=(1, 1, 1))),
    ("window_sum", case((2, 3, 9, 11), size=(3, 2), stride=(2, 3), frame=((1, 2), (0, 1)))),
    ("window_sum", case((1, 2, 5, 4, 6), size=(2, 3, 2), stride=(1, 2, 2), frame=((0, 0), (1, 1), (1, 0)))),
    ("adaptive_avg_pool", case((2, 3, 7, 11), size=(3, 4))),
    ("adaptive_avg_pool", case((3, 5), size=(7,))),
    ("window_sum_backward",
     case((2, 5, 4), spatial=(9, 11), size=(3, 2), stride=(2, 3), frame=((1, 2), (0, 1)))),
    ("adaptive_avg_pool_backward", case((2, 3, 4), spatial=(7, 11))),
    ("adaptive_avg_pool_backward", case((2, 9), spatial=(5,))),
]  # fmt: skip


@pytest.mark.parametrize("name, sample, dtype", both(ALONG + POOLS))
def test_windows(name, sample, dtype, rng):
    check(name, sample, dtype, rng, factor=4)


def test_max_pool_of_special_windows(rng):
    x = rng.integers(0, 3, (2, 8, 8)).astype(np.float32)  # several largest elements: the first counts
    x[0, 2, 3], x[1, :4] = np.nan, -np.inf
    params = {"size": (3, 3), "stride": (2, 2), "padding": (1, 1), "dilation": (1, 1)}
    y, at = run("max_pool", [x], params)
    expected, places = REFERENCE.max_pool(x, **params)
    np.testing.assert_array_equal(y, expected)
    np.testing.assert_array_equal(at[expected > -np.inf], places[expected > -np.inf])


@pytest.mark.parametrize("shape, rate", [((2, 3, 5, 11), 0.3), ((7, 4), 0.0), ((3, 5), 1.0), ((1, 2, 300), 0.5)])
def test_dropout_chooses_as_the_host(shape, rate):
    seed = np.array([2**32 - 5, 12345678])
    got = run("dropout_mask", [seed], {"shape": shape, "rate": rate})
    np.testing.assert_array_equal(got, REFERENCE.dropout_mask(seed, shape=shape, rate=rate))


@pytest.mark.parametrize("dtype", [np.float32, np.float16])
@pytest.mark.parametrize("before", [[], ["f"], ["d", "f"], ["f"] * 3, ["d"] * 3, ["d"] * 4, ["d", "d", "d", "f"]])
def test_dropout_draws_what_the_host_draws(before, dtype):
    """From any state of the generator, and leaves it where the host's draw would; counters carry."""
    for n, seed, count in (
        ((7,), 3, 0),
        ((3, 11), 5, 2**64 - 3),
        ((1,), 1, 2**256 - 2),
        ((2, 400), 9, 0),
        ((6,), 2, 2**128 - 1),
    ):
        streams = [np.random.Generator(np.random.Philox(seed, counter=count)) for _ in range(2)]
        for stream in streams:
            for kind in before:
                stream.random(dtype=np.float32 if kind == "f" else np.float64)
        for _ in range(3):
            host = np.where(streams[0].random(n, np.float32) >= 0.3, dtype(1 / 0.7), dtype(0))
            with emulated(11):
                np.testing.assert_array_equal(dropout.factors(streams[1], n, 0.3, np.dtype(dtype)), host)
        assert streams[0].random() == streams[1].random()


# ---- convolution -----------------------------------------------------------------------------------------------------
def convolutions():
    for x, w, *rest in (
        ((2, 3, 9, 11), (5, 3, 3, 3), (2, 1), (1, 0), (1, 2), 1),
        ((1, 6, 8, 8), (4, 3, 2, 3), (1, 1), (0, 1), (1, 1), 2),
        ((3, 70, 5, 5), (66, 70, 1, 1), (1, 1), (0, 0), (1, 1), 1),
        ((2, 4, 13), (4, 1, 3), (2,), (1,), (2,), 4),
        ((1, 2, 4, 5, 6), (3, 2, 2, 3, 2), (1, 2, 1), (0, 1, 1), (1, 1, 1), 1),
        ((40, 2, 6, 6), (3, 2, 3, 3), (1, 1), (1, 1), (1, 1), 1),
    ):
        yield x, w, dict(zip(("stride", "padding", "dilation", "groups"), rest))


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("x, w, params", list(convolutions()))
def test_convolution(x, w, params, dtype, rng):
    orders = (0, 11)
    check("convolution", case(x, w, w[:1], **params), dtype, rng, 16, orders)
    x, w = made(x, rng, dtype), made(w, rng, dtype)
    dy = rng.standard_normal(REFERENCE.convolution(x, w, **params).shape).astype(dtype)
    for name, args, size in (
        ("convolution_input", [dy, w], x.shape[2:]),
        ("convolution_weight", [x, dy], w.shape[2:]),
    ):
        expected = getattr(REFERENCE, name)(*map(wide, args), size=size, **params)
        agree(name, run(name, args, {"size": size, **params}, orders), expected, dtype, 64)


# ---- attention -------------------------------------------------------------------------------------------------------
def attentions():
    q = (2, 3, 35, 5)
    yield "plain", (q, (2, 3, 70, 5), (2, 3, 70, 3), None, None), {}
    yield "causal", (q, (2, 3, 35, 5), (2, 3, 35, 3), None, None), {"causal": True, "scale": 0.7}
    yield "longer", ((70, 5), (40, 5), (40, 3), None, None), {"causal": True}
    yield "shared keys", ((2, 3, 9, 5), (2, 1, 40, 5), (2, 1, 40, 3), None, None), {}
    yield "bools", (q, (2, 3, 40, 5), (2, 3, 40, 3), bools((2, 1, 35, 40)), None), {"causal": True}
    yield "numbers", (q, (2, 3, 40, 5), (2, 3, 40, 3), (3, 1, 40), None), {}
    yield "dropout", (q, (2, 3, 40, 5), (2, 3, 40, 3), None, ints((2,), 99)), {"dropout": 0.3}


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("label, shapes, params", list(attentions()))
def test_attention(label, shapes, params, dtype, rng):
    orders = (0, 11)
    args = [made(a, rng, dtype) for a in shapes]
    if label == "bools":
        args[3][0, 0, 7] = False  # a query that sees no key
    expected = REFERENCE.attention(*map(wide, args), **params)
    got = run("attention", args, params, orders)
    agree("attention", got, expected, dtype, 16)
    dy = rng.standard_normal(got[0].shape).astype(dtype)
    q, k, v, mask, seed = args
    backward = [dy, q, k, v, got[0], got[1], mask, seed]
    expected = REFERENCE.attention_backward(*map(wide, backward), **params)
    agree("attention_backward", run("attention_backward", backward, params, orders), expected, dtype, 64)


@pytest.mark.parametrize("shared, tile", [(232448, 64), (20000, 32), (5000, 16)])
def test_attention_on_gpus_with_less_shared_memory(shared, tile, rng):
    q, k, v = (rng.standard_normal((40, 5)).astype(np.float32) for _ in range(3))
    with emulated(11) as gpu:
        gpu.shared = shared
        y, _ = KERNELS.attention(gpu.asarray(q), gpu.asarray(k), gpu.asarray(v), causal=True)
        assert attention._Call(q, k, v, None, None, True, None, 0.0).tile == tile
    agree("attention", y, REFERENCE.attention(wide(q), wide(k), wide(v), causal=True)[0], np.float32, 16)


def test_attention_of_wide_heads_is_left_to_the_reference():
    q = np.zeros((2, 3, 200), np.float32)
    assert not when.attention_when(q, q, q)
    assert when.attention_when(q[..., :128], q[..., :128], q[..., :128])


# ---- recurrent layers ------------------------------------------------------------------------------------------------
RECURRENT = [(n, s._replace(params={**s.params})) for n in cuda.KERNELS["recurrent"] for s in PRIMITIVES[n].samples]
b, h = 37, 9
RECURRENT += [("lstm_gates", case((b, 4 * h), (b, 4 * h), (b, h)))]
RECURRENT += [("lstm_gates_backward", case((b, h), (b, h), (b, h), (b, 5 * h)))]
RECURRENT += [
    ("gru_gates", case((b, 3 * h), (b, 3 * h), (b, h))),
    ("gru_gates_backward", case((b, h), (b, h), (b, 4 * h))),
]


@pytest.mark.parametrize("name, sample, dtype", [(n, s, d) for n, s in RECURRENT for d in (np.float32, np.float64)])
def test_recurrent(name, sample, dtype, rng):
    check(name, sample, dtype, rng, 16, orders=(0, 11))


# ---- elementwise -----------------------------------------------------------------------------------------------------
NAMES = sorted(when.generated(PRIMITIVES))


@pytest.fixture(scope="module")
def joined():
    """All elementwise kernels and rules in one compiled text, as compiling each for itself takes minutes."""
    from test_cuda_compile import elementwise_texts, together

    every = [(f"k_{n}", k, ("T",) * len(k.inputs) + ("number",) * len(k.parameters)) for n, k in elementwise_texts()]
    return {dtype: together(dtype, every) for dtype in ("float32", "float64")}


def launched(gpu, joined, name, kernel, operands, dtype):
    """`kernel` with its machine code taken from the joined text."""
    source, found = kernel.source, gpu.function(joined[str(np.dtype(dtype))], f"k_{name}")

    def taken(kinds):
        assert set(kinds) <= {"T", "number"}
        return lambda *_, **__: lambda grid, block, arguments, shared=0: found(grid, block, arguments, shared)

    kernel.__dict__["source"] = taken
    try:
        return kernel(*operands)
    finally:
        del kernel.__dict__["source"]
        assert source


def domain_values(p, shape, rng, dtype):
    """Inputs of a primitive inside its domain."""
    names = p.inputs
    values = [rng.uniform(-2, 2, shape) for _ in names]
    if p.domain:
        from minigrad.testing.samples import _inside

        values = _inside(p, (shape,) * len(names), rng)
    return [np.asarray(v).astype(dtype) for v in values]


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_every_elementwise_kernel(joined, dtype, rng):
    """Of 261 elements, which is no whole number of packs, and special values."""
    wrong = []
    for name in NAMES:
        p = PRIMITIVES[name]
        args = domain_values(p, (29, 9), rng, dtype)
        if len(args) == 1 and name not in ("erf", "erfc", "ndtr"):
            args[0].flat[:3] = np.inf, -np.inf, np.nan
        with emulated(3) as gpu, np.errstate(all="ignore"):
            got = launched(
                gpu, joined, name, elementwise.kernel(name), [*map(gpu.asarray, args), *p.defaults.values()], dtype
            )
            expected = getattr(REFERENCE, name)(*args)
        try:
            np.testing.assert_allclose(
                got, expected, rtol=1e-5 if dtype == np.float32 else 1e-11, atol=1e-6 if dtype == np.float32 else 1e-13
            )
        except AssertionError as error:
            wrong.append(f"{name}: {error}")
    assert not wrong, "\n".join(wrong)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_every_rule_kernel(joined, dtype, rng):
    wrong, compared = [], 0
    for name, p in PRIMITIVES.items():
        made = [elementwise.rule(name, r.function, r.needs, p.defaults) for r in p.rules.values()] if p.inline else []
        for i, (call, rule) in enumerate(zip(made, p.rules.values())):
            if call is None:
                continue
            inputs = dict(zip(p.inputs, domain_values(p, (29, 9), rng, dtype)))
            with np.errstate(all="ignore"):
                y = getattr(REFERENCE, name)(*inputs.values())
            known = inputs | p.defaults | {"y": y, "g": rng.standard_normal((29, 9)).astype(dtype), "F": REFERENCE}
            operands = [known[n] for n in rule.needs]
            fields = [*call.kernel.inputs, *call.kernel.parameters]
            with emulated(3) as gpu, np.errstate(all="ignore"):
                given = [gpu.asarray(known[n]) if isinstance(known[n], np.ndarray) else known[n] for n in fields]
                got = launched(gpu, joined, f"{name}_rule_{i}", call.kernel, given, dtype)
                expected = rule.function(*operands)
            compared += 1
            tolerance = {"rtol": 3e-5, "atol": 3e-6} if dtype == np.float32 else {"rtol": 1e-10, "atol": 1e-12}
            try:
                np.testing.assert_allclose(got, expected, **tolerance)
            except AssertionError as error:
                wrong.append(f"{name} for {rule.of}: {error}")
    assert compared > 90
    assert not wrong, "\n".join(wrong)


def layouts(rng, dtype):
    """Pairs of arrays that broadcast, in many memory orders, in guarded memory."""

    def f(*shape):
        return rng.standard_normal(shape).astype(dtype)

    yield "same", f(5, 7), f(5, 7)
    yield "whole packs", f(6, 8), f(6, 8)
    yield "row", f(5, 8), f(8)
    yield "odd row", f(5, 7), f(7)
    yield "column", f(5, 8), f(5, 1)
    yield "channels", f(2, 3, 4, 5), f(3, 1, 1)
    yield "outer", f(9, 1), f(13)
    yield "transposed", f(7, 5).T, f(5, 7)
    yield "reversed", f(5, 8)[::-1, ::-1], f(5, 8)
    yield "every other", f(10, 16)[::2, ::2], f(5, 8)[:, ::-1]
    yield "not aligned", f(41)[1:], f(40)
    yield "one", f(3, 5), f(1, 1)
    yield "no axes", np.asarray(f()), f(5)
    yield "many axes", f(2, 3, 2, 3, 2, 3).transpose(5, 3, 1, 0, 2, 4), f(3, 1, 3, 1, 2, 1)


@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.float16])
def test_broadcasting_and_memory_orders(dtype, rng):
    for label, a, b in layouts(rng, dtype):
        for order in (0, 1):
            with emulated(order) as gpu:
                hold = [gpu.asarray(x.base if x.base is not None and x.base.ndim == x.ndim else x) for x in (a, b)]
                views = []
                for x, base in zip((a, b), hold):  # the same view of guarded memory
                    if base.shape == x.shape and base.strides == x.strides:
                        views.append(base)
                    else:
                        owner = x.base if x.base is not None else x
                        start = x.__array_interface__["data"][0] - owner.__array_interface__["data"][0]
                        views.append(np.ndarray(x.shape, x.dtype, base.data, start, x.strides))
                got = KERNELS.subtract(*views)
                assert gpu.launches
                np.testing.assert_array_equal(got, a - b, err_msg=label)


@pytest.mark.parametrize("a, b", [((3, 5), 2.5), (0.5, (3, 5)), ((4,), 3)])
def test_numbers_and_truth_values(a, b, rng):
    with emulated() as gpu:
        a, b = (gpu.asarray(made(v, rng, np.float32)) if isinstance(v, tuple) else v for v in (a, b))
        np.testing.assert_array_equal(KERNELS.multiply(a, b), np.asarray(a * b, np.float32))
        array = a if isinstance(a, np.ndarray) else b
        truth = gpu.asarray(array > 0)
        np.testing.assert_array_equal(KERNELS.where(truth, array, 0.0), np.where(truth, array, np.float32(0)))
        np.testing.assert_array_equal(KERNELS.copy(array[::-1]), array[::-1])
        assert len(gpu.launches) == 3


@pytest.mark.parametrize("name, args", [
    ("add", (np.ones(3, np.int64), np.ones(3, np.int64))), ("add", (np.ones(3, np.float32), np.ones(3))),
    ("exp", (np.ones(0, np.float32),)), ("exp", (np.ones(3, np.complex64),)), ("add", (2.0, 3.0)),
    ("add", (np.float32(1), np.ones(3, np.float32))), ("multiply", (np.ones((3, 0)), np.ones((3, 1)))),
])  # fmt: skip
def test_elementwise_refuses(name, args):
    """Integers, two types, nothing, complex numbers, no array, host numbers."""
    with contextlib.suppress(AttributeError, ValueError):
        assert not when.elementwise_when(*args)


def test_shapes_that_do_not_broadcast_are_explained():
    with emulated(), pytest.raises(mg.errors.ShapeError, match="broadcast"):
        PRIMITIVES["add"].shape("add", np.ones((3, 4)), np.ones((5,)))


# ---- optimizers ------------------------------------------------------------------------------------------------------
def optimizers():
    from minigrad import optim as o

    yield lambda p: o.SGD(p, lr=0.1)
    yield lambda p: o.SGD(p, lr=0.1, momentum=0.9, nesterov=True, weight_decay=0.01)
    yield lambda p: o.SGD(p, lr=0.1, momentum=0.9, dampening=0.3, maximize=True)
    yield lambda p: o.Adam(p, lr=0.01, weight_decay=0.1)
    yield lambda p: o.AdamW(p, lr=0.01, amsgrad=True)
    yield lambda p: o.RMSprop(p, lr=0.01, momentum=0.5, centered=True)
    yield lambda p: o.RMSprop(p, lr=0.01, weight_decay=0.1)


@pytest.mark.parametrize("make", list(optimizers()))
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_optimizers(make, dtype, rng):
    """Three steps of several arrays, one longer than a block does, against `update`."""
    shapes = [(5, 7), (4099,), (1,), (3, 2, 2)]
    start = [rng.standard_normal(s).astype(dtype) for s in shapes]
    gradients = [[rng.standard_normal(s).astype(dtype) for s in shapes] for _ in range(3)]
    reference = make([mg.tensor(p.astype(np.float64), requires_grad=True) for p in start])
    with mg.use_backend("numpy"):
        for step in gradients:
            for p, g in zip(reference._params(), step):
                p.grad = mg.tensor(g.astype(np.float64))
            reference.step()
    options = reference._options(reference.param_groups[0])
    names = reference.kernel_state(**options)
    ends = []
    for order in (0, 11):
        with emulated(order) as gpu:
            params = [gpu.asarray(p) for p in start]
            state = [
                {n: gpu.asarray(np.zeros((), np.float32) if n == "step" else np.zeros_like(p)) for n in names}
                for p in start
            ]
            for number, step in enumerate(gradients):
                held = [gpu.asarray(g) for g in step]
                if "momentum_buffer" in names and number == 0 and reference.kernel == "sgd":
                    for p, g, s in zip(params, held, state):  # the first step makes this state
                        new, made = reference.update(REFERENCE, p, g, {}, **options)
                        p[...], s["momentum_buffer"][...] = new, made["momentum_buffer"]
                    continue
                rows = [a for p, g, s in zip(params, held, state) for a in (p, g, *(s[n] for n in names))]
                assert all(getattr(optim, reference.kernel)(tuple(rows), **options))
            ends.append([np.array(p) for p in params])
    for p, q, r in zip(*ends, reference._params()):
        assert p.tobytes() == q.tobytes()
        np.testing.assert_allclose(
            p, r.numpy(), rtol=2e-5 if dtype == np.float32 else 1e-11, atol=1e-6 if dtype == np.float32 else 1e-12
        )


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("most", [1.0, 1e6])
def test_clipping(dtype, most, rng):
    gradients = [rng.standard_normal(s).astype(dtype) for s in ((5, 7), (4099,), (1,))]
    norm = np.sqrt(sum((wide(g) ** 2).sum() for g in gradients))
    with emulated(11) as gpu:
        held = tuple(gpu.asarray(g) for g in gradients)
        got, _ = optim.clip(held, most)
        np.testing.assert_allclose(got, norm, rtol=1e-6)
        for g, h in zip(gradients, held):
            np.testing.assert_allclose(h, g * min(1, most / (norm + 1e-6)), rtol=1e-6)


# ---- the emulator itself ---------------------------------------------------------------------------------------------
def broken(code):
    """Run a kernel that is wrong."""
    with emulated() as gpu:
        kernel = gpu.function(launch.Source("dropout").code("float32") + code, "wrong")
        kernel((1,), (64,), (gpu.empty(64, np.float32),), 256)


@pytest.mark.parametrize("code, what", [
    ("x[threadIdx.x + 1] = 0;", "outside"),
    ("float v = x[i64(threadIdx.x) - 2000]; if (v == 1) x[0] = v;", "outside"),
    ("if (threadIdx.x < 32) __syncthreads();", "not reached"),
    ("if (threadIdx.x) x[0] = __shfl_xor_sync(ALL, 1.0f, 1);", "not reached"),
    ("SHARED_MEMORY(float, s); s[threadIdx.x + 4096] = 1;", "outside"),
])  # fmt: skip
def test_the_emulator_finds(code, what):
    """Writes and reads outside, barriers and exchanges that some threads miss."""
    with pytest.raises(MemoryError, match=what):
        broken(f"KERNEL wrong(float *x) {{ {code} }}")


def test_the_emulator_shows_races():
    code = (
        launch.Source("dropout").code("float32")
        + """
KERNEL race(float *x) {
    SHARED_MEMORY(float, s);
    s[threadIdx.x] = threadIdx.x;
    x[threadIdx.x] = s[63 - threadIdx.x];  // the barrier is missing
}"""
    )
    ends = []
    for order in (0, 1):
        with emulated(order) as gpu:
            x = gpu.empty(64, np.float32)
            gpu.function(code, "race")((1,), (64,), (x,), 256)
            ends.append(np.array(x))
    assert not np.array_equal(*ends, equal_nan=True)


def test_every_kernel_is_tested():
    """Each primitive in the table has a case above."""
    lists = SOFTMAX + LOSSES + SUMS + NORMS + ALONG + POOLS + RECURRENT
    tested = {name for name, _ in lists} | {"attention", "attention_backward", "extreme_backward", "dropout_mask"}
    tested |= {"convolution", "convolution_input", "convolution_weight", "getitem", "scatter", "copy"}
    assert tested >= {name for names in cuda.KERNELS.values() for name in names}
