"""The CUDA kernels on a GPU against the reference in float64: fresh random inputs, odd sizes, memory filled with NaN
before, and repetition, since a race shows as bits that change."""

import numpy as np
import pytest
import test_cuda_kernels as cases
import test_cuda_tensor_cores as cores
from minigrad.kernels.cuda import attention, attention_mma, conv, elementwise, tensor_cores, when

import minigrad as mg
from minigrad.primitive import PRIMITIVES, bools, case, ints, within


@pytest.fixture(autouse=True)
def our_kernels(gpu):
    """Not cuDNN's: see test_gpu_cudnn.py."""
    gpu.set_cudnn(False)
    yield
    gpu.set_cudnn(True)


REPEATED = 5
FAMILIES = {
    "softmax": cases.SOFTMAX, "loss": cases.LOSSES, "sums": cases.SUMS, "norms": cases.NORMS,
    "windows": cases.ALONG + cases.POOLS, "recurrent": cases.RECURRENT,
}  # fmt: skip
LARGE = [  # more than one wave of blocks, and lengths that are no multiple of anything
    ("softmax", case((4099, 1031), axis=1)), ("log_softmax", case((513, 50257), axis=1)),
    ("softmax", case((17, 1031, 67), axis=1)), ("softmax_backward", case((4099, 1031), (4099, 1031), axis=1)),
    ("cross_entropy", case((4099, 1031), ints((4099,), 1031))), ("sum", case((1_000_003,))),
    ("sum", case((1009, 4099), axis=0)), ("mean", case((4099, 1009), axis=1)), ("max", case((33, 100_003), axis=1)),
    ("layer_norm", case((4099, 769), (769,), (769,))), ("rms_norm", case((1031, 4097), (4097,))),
    ("layer_norm_backward",
     case((4099, 769), (4099, 769), (4099, 1), within((4099, 1), 0.5, 2), (769,))),
    ("batch_norm", case((33, 65, 57, 55), (65,), (65,))), ("group_norm", case((9, 66, 57, 55), (66,), (66,), groups=6)),
    ("max_pool", case((9, 65, 57, 55), size=(3, 3), stride=(2, 2), padding=(1, 1), dilation=(1, 1))),
    ("add_along_axis", case((1031, 4099), ints((1031, 4099), 97), axis=1, size=97)),
]  # fmt: skip
CONVOLUTIONS = [
    ((33, 65, 29, 31), (67, 65, 3, 3), (1, 1), (1, 1), (1, 1), 1),
    ((9, 64, 57, 57), (128, 64, 1, 1), (2, 2), (0, 0), (1, 1), 1),
    ((5, 66, 17, 17), (66, 1, 5, 5), (1, 1), (2, 2), (1, 1), 66),
]
ATTENTIONS = [
    ((3, 5, 259, 64), (3, 5, 259, 64), (3, 5, 259, 64), {"causal": True}),
    ((2, 8, 130, 128), (2, 1, 515, 128), (2, 1, 515, 96), {}),
]
TOLERANCE = {"float64": 1e-12, "float32": 2e-6, "float16": 2e-3, "bfloat16": 1.6e-2}


def compare(name, got, expected, dtype, factor):
    """|got - expected| at most the type's roundings of the element and of the largest."""
    for i, (a, b) in enumerate(zip(cases.several(got), cases.several(expected))):
        a = a.get()
        assert a.shape == b.shape, (name, i)
        if a.dtype.kind not in "fV":
            np.testing.assert_array_equal(a, b, err_msg=f"{name} output {i}")
            continue
        tolerance, a = TOLERANCE[str(np.dtype(dtype))] * factor, a.astype(np.float64)
        scale = np.abs(b).max() / 4 if b.size else 1.0
        np.testing.assert_allclose(a, b, rtol=tolerance, atol=tolerance * scale, err_msg=f"{name} output {i}")


def same_bits(gpu, name, first, other):
    for i, (a, b) in enumerate(zip(cases.several(first), cases.several(other))):
        a, b = (x.reshape(-1).view("uint8") for x in (a, b))  # a 0-d array has no such view
        assert bool((a == b).all()), f"{name} output {i} changes"


def checked(gpu, poisoned, name, args, params, dtype, factor=16):
    with np.errstate(all="ignore"):
        expected = getattr(mg.get_backend("numpy").F, name)(*map(wide, args), **params)
    given = [gpu.asarray(a) if isinstance(a, np.ndarray) else a for a in args]
    first = None
    for _ in range(REPEATED):
        poisoned()
        y = getattr(gpu.F, name)(*given, **params)
        first = first if first is not None else y
        same_bits(gpu, name, first, y)
    compare(name, first, expected, dtype, factor)


def wide(a):
    return a.astype(np.float64) if isinstance(a, np.ndarray) and a.dtype.kind in "fV" else a


def types(gpu):
    yield from (np.float32, np.float64, np.float16)
    try:
        from ml_dtypes import bfloat16
    except ImportError:
        return
    try:
        gpu.asarray(np.zeros(3, bfloat16))
    except (TypeError, ValueError):  # this CuPy has no such type
        return
    yield bfloat16


@pytest.mark.parametrize("family", FAMILIES)
def test_kernels(family, gpu, fresh, poisoned):
    for dtype in types(gpu):
        for name, sample in FAMILIES[family]:
            args = [cases.made(a, fresh, dtype) for a in sample.args]
            checked(gpu, poisoned, name, args, sample.params, dtype)


@pytest.mark.parametrize("name, sample", LARGE)
def test_large(name, sample, gpu, fresh, poisoned):
    args = [cases.made(a, fresh, np.float32) for a in sample.args]
    checked(gpu, poisoned, name, args, sample.params, np.float32, factor=64)


@pytest.mark.parametrize("x, w, stride, padding, dilation, groups", CONVOLUTIONS)
def test_convolution(x, w, stride, padding, dilation, groups, gpu, fresh, poisoned):
    x, w = cases.made(x, fresh, np.float32), cases.made(w, fresh, np.float32)
    params = {"stride": stride, "padding": padding, "dilation": dilation, "groups": groups}
    checked(gpu, poisoned, "convolution", [x, w], params, np.float32, factor=64)
    y = mg.get_backend("numpy").F.convolution(x, w, **params)
    dy = fresh.standard_normal(y.shape).astype(np.float32)
    checked(gpu, poisoned, "convolution_input", [dy, w], {"size": x.shape[2:], **params}, np.float32, factor=64)
    checked(gpu, poisoned, "convolution_weight", [x, dy], {"size": w.shape[2:], **params}, np.float32, factor=256)


@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.float16])
@pytest.mark.parametrize("q, k, v, params", ATTENTIONS + [(*shapes[:3], p) for _, shapes, p in cases.attentions()
                                                          if shapes[3] is shapes[4] is None])  # fmt: skip
def test_attention(q, k, v, params, dtype, gpu, fresh, poisoned):
    q, k, v = (cases.made(a, fresh, dtype) for a in (q, k, v))
    reference = mg.get_backend("numpy").F
    checked(gpu, poisoned, "attention", [q, k, v], params, dtype, factor=32)
    y, log_total = reference.attention(wide(q), wide(k), wide(v), **params)
    dy = fresh.standard_normal(y.shape).astype(dtype)
    args = [dy, q, k, v, y.astype(dtype), log_total.astype(dtype)]
    checked(gpu, poisoned, "attention_backward", args, params, dtype, factor=128)


@pytest.mark.parametrize("rate", [0.0, 0.3, 1.0])
def test_dropout_chooses_as_the_host(rate, gpu, fresh):
    seed = fresh.integers(0, 2**32, 2)
    got = gpu.F.dropout_mask(gpu.asarray(seed), shape=(3, 5, 77, 131), rate=rate)
    np.testing.assert_array_equal(
        got.get(), mg.get_backend("numpy").F.dropout_mask(seed, shape=(3, 5, 77, 131), rate=rate)
    )


def test_rows(gpu, fresh, poisoned):
    key = (PRIMITIVES["getitem"].samples[2].params["key"][0],)
    x, i = fresh.standard_normal((1009, 67)).astype(np.float32), fresh.integers(-1009, 1009, (31, 77))
    checked(gpu, poisoned, "getitem", [x, i], {"key": key}, np.float32, factor=0)
    v = fresh.standard_normal((31, 77, 67)).astype(np.float32)
    for most in (1009, 3):  # few and many for each place
        checked(gpu, poisoned, "scatter", [v, i % most], {"key": key, "shape": (1009, 67)}, np.float32, factor=64)


def test_elementwise(gpu, fresh, poisoned):
    for name in sorted(when.generated(PRIMITIVES)):
        p = PRIMITIVES[name]
        args = cases.domain_values(p, (257, 1031), fresh, np.float32)
        reference = getattr(mg.get_backend("numpy").F, name)
        with np.errstate(all="ignore"):
            expected = reference(*map(wide, args))
        poisoned()
        got = elementwise.elementwise(name)(*map(gpu.asarray, args)).get()
        np.testing.assert_allclose(got, expected, rtol=2e-5, atol=2e-6, err_msg=name)


def test_rules(gpu, fresh):
    """The kernels of the gradient rules, as `backward` takes them."""
    compared = 0
    for name, p in PRIMITIVES.items():
        for rule in p.rules.values() if p.inline else ():
            call = gpu.rules[rule.function]
            if call is rule.function:
                continue
            inputs = dict(zip(p.inputs, cases.domain_values(p, (33, 65), fresh, np.float64)))
            with np.errstate(all="ignore"):
                y = getattr(mg.get_backend("numpy").F, name)(*inputs.values())
                known = inputs | p.defaults | {"y": y, "g": fresh.standard_normal((33, 65))}
                expected = rule.function(*[mg.get_backend("numpy").F if n == "F" else known[n] for n in rule.needs])
            on_gpu = {k: gpu.asarray(v) if isinstance(v, np.ndarray) else v for k, v in known.items()} | {"F": gpu.F}
            got = call(*[on_gpu[n] for n in rule.needs])
            np.testing.assert_allclose(got.get(), expected, rtol=1e-10, atol=1e-12, err_msg=f"{name} for {rule.of}")
            compared += 1
    assert compared > 80


@pytest.mark.parametrize(
    "a, b", [((257, 65), (65,)), ((257, 64), (257, 1)), ((3, 33, 17, 19), (33, 1, 1)), ((257, 1), (129,))]
)
def test_broadcasting(a, b, gpu, fresh):
    a, b = (fresh.standard_normal(s).astype(np.float32) for s in (a, b))
    x, y = gpu.asarray(a), gpu.asarray(b)
    np.testing.assert_array_equal(gpu.F.subtract(x, y).get(), a - b)
    np.testing.assert_array_equal(gpu.F.subtract(x[::-1], y[..., ::-1]).get(), a[::-1] - b[..., ::-1])
    flat = x.reshape(-1)
    np.testing.assert_array_equal(gpu.F.multiply(flat[1:], flat[:-1]).get(), a.reshape(-1)[1:] * a.reshape(-1)[:-1])


# ---- tensor cores, with the bounds of test_cuda_tensor_cores.py ------------------------------------------------------
CORE_ATTENTIONS = {  # q, k, v, mask, seed, and parameters
    "causal": (((3, 5, 259, 64),) * 3 + (None, None), {"causal": True}),
    "shared keys": (((2, 8, 130, 128), (2, 1, 515, 128), (2, 1, 515, 96), None, None), {}),
    "bools": (((2, 3, 131, 37), (2, 3, 77, 37), (2, 3, 77, 37), bools((131, 77)), None), {"scale": 0.3}),
    "numbers": (((2, 3, 131, 40), (2, 3, 77, 40), (2, 3, 77, 24), (3, 1, 77), None), {"causal": True}),
    "dropout": (((2, 3, 257, 80), (2, 3, 199, 80), (2, 3, 199, 80), None, ints((2,), 2**32)), {"dropout": 0.1}),
    "one key": (((7, 16), (1, 16), (1, 16), None, None), {}),
}
CORE_CONVOLUTIONS = {  # x, w, stride, padding, dilation, groups
    "3 x 3": ((9, 65, 29, 31), (130, 65, 3, 3), (1, 1), (1, 1), (1, 1), 1),
    "1 x 1": ((5, 64, 57, 57), (128, 64, 1, 1), (2, 2), (0, 0), (1, 1), 1),
    "groups": ((3, 66, 17, 19), (44, 33, 5, 3), (1, 2), (2, 1), (1, 2), 2),
    "few channels": ((9, 3, 65, 33), (40, 3, 7, 7), (2, 2), (3, 3), (1, 1), 1),
    "volume": ((2, 5, 9, 10, 11), (9, 5, 3, 2, 3), (1, 2, 1), (0, 1, 1), (1, 1, 2), 1),
}


@pytest.fixture(params=cores.TYPES)
def core_type(request, gpu):
    """A type, with TF32 allowed where it is that of floats."""
    if int(gpu.xp.cuda.Device().compute_capability) < tensor_cores.AMPERE:
        pytest.skip("this GPU's tensor cores know neither bfloat16 nor TF32")
    found = cores.TYPES[request.param]
    if all(np.dtype(t) != found for t in types(gpu)):
        pytest.skip(f"this CuPy has no {found}")
    gpu.set_tf32(request.param == "tf32")
    yield found
    gpu.set_tf32(False)


def repeated(gpu, poisoned, call, args, params):
    """The call's results, in host memory: the same bits every time."""
    given = [gpu.asarray(a) if isinstance(a, np.ndarray) else a for a in args]
    first = None
    for _ in range(REPEATED):
        poisoned()
        y = cases.several(call(*given, **params))
        first = first or y
        same_bits(gpu, call.__name__, first, y)
    return [gpu.to_host(a) for a in first]


@pytest.mark.parametrize("label", CORE_ATTENTIONS)
def test_attention_on_tensor_cores(label, core_type, gpu, fresh, poisoned):
    shapes, params = CORE_ATTENTIONS[label]
    args = [cases.made(a, fresh, core_type) for a in shapes]
    options = {"causal": False, "scale": None, "dropout": 0.0} | params
    given = [gpu.asarray(a) if isinstance(a, np.ndarray) else a for a in args]
    assert attention_mma.serves(attention._Call(*given, **options))
    got = repeated(gpu, poisoned, attention.attention, args, params)
    expected = cores.REFERENCE.attention(*map(cores.wide, args), **params)
    for found in zip(("y", "log_total"), got, expected, cores.attention_bounds(args, expected, params, core_type)):
        cores.within(*found)
    dy = fresh.standard_normal(got[0].shape).astype(core_type)
    backward = [dy, *args[:3], *got, *args[3:]]
    expected = cores.REFERENCE.attention_backward(*map(cores.wide, backward), **params)
    bounds = cores.gradient_bounds(cores.wide(dy), cores.wide(got[0]), args, expected, params, core_type)
    got = repeated(gpu, poisoned, attention.attention_backward, backward, params)
    for found in zip(("dq", "dk", "dv"), got, expected, bounds):
        cores.within(*found)


@pytest.mark.parametrize("label", CORE_CONVOLUTIONS)
def test_convolution_on_tensor_cores(label, core_type, gpu, fresh, poisoned):
    x, w, *rest = CORE_CONVOLUTIONS[label]
    params = dict(zip(("stride", "padding", "dilation", "groups"), rest))
    x, w, bias = (cases.made(a, fresh, core_type) for a in (x, w, w[:1]))
    y = cores.REFERENCE.convolution(cores.wide(x), cores.wide(w), **params)
    dy = fresh.standard_normal(y.shape).astype(core_type)
    for name, args, given, expected, bound in cores.convolved(x, w, bias, dy, params, core_type):
        (got,) = repeated(gpu, poisoned, getattr(conv, name), args, given)
        cores.within(name, got, expected, bound)
