"""Convolution and attention by cuDNN on a GPU, where it is installed, against the reference in float64: values,
gradients, the same bits each time, TF32 only when asked for, and inside a recorded graph."""

import numpy as np
import pytest
import test_cuda_cudnn as cases
from minigrad.kernels.cuda import cudnn

import minigrad as mg
from minigrad import cuda, nn

DTYPES = ["float32", "float64", "float16", "bfloat16"]
FACTOR = {"float32": 64, "float64": 256, "float16": 16, "bfloat16": 16}
SIZES = [*cases.CONVOLUTIONS, ((8, 32, 29, 31), (64, 32, 3, 3), (1, 1), (1, 1), (1, 1), 1)]


@pytest.fixture(autouse=True)
def used(gpu):
    """cuDNN, with no call for which it has no plan."""
    if why := cudnn.why_not():
        pytest.skip(why)
    gpu.set_cudnn(True)
    gpu.set_tf32(False)
    cudnn._plans.clear()
    yield
    assert not cudnn.refused() and cudnn._plans


def dtype_named(name, gpu):
    if name == "bfloat16" and not gpu.knows_bfloat16:
        pytest.skip("this CuPy has no bfloat16")
    return cases.dtype_named(name)


def several(y):
    return y if isinstance(y, tuple) else (y,)


def checked(gpu, poisoned, name, args, params, dtype, factor):
    """The reference's values in float64, and the same bits three times over."""
    wide = [a.astype(np.float64) for a in args]
    expected = several(getattr(mg.get_backend("numpy").F, name)(*wide, **params))
    given, first = [gpu.asarray(a) for a in args], None
    for _ in range(3):
        poisoned()
        y = several(getattr(gpu.F, name)(*given, **params))
        first = first or y
        for a, b in zip(first, y):
            assert bool((a.reshape(-1).view("uint8") == b.reshape(-1).view("uint8")).all()), f"{name} changes"
    cases.agree([a.get() for a in first], expected, dtype, factor)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("x, w, stride, padding, dilation, groups", SIZES)
def test_convolution(x, w, stride, padding, dilation, groups, dtype, gpu, fresh, poisoned):
    dtype, factor = dtype_named(dtype, gpu), FACTOR[dtype]
    params = {"stride": stride, "padding": padding, "dilation": dilation, "groups": groups}
    a, k, b = (fresh.standard_normal(s).astype(dtype) for s in (x, w, w[:1]))
    checked(gpu, poisoned, "convolution", [a, k, b], params, dtype, factor)
    shape = gpu.F.convolution(gpu.asarray(a), gpu.asarray(k), **params).shape
    dy = fresh.standard_normal(shape).astype(dtype)
    checked(gpu, poisoned, "convolution_input", [dy, k], {"size": x[2:], **params}, dtype, factor)
    checked(gpu, poisoned, "convolution_weight", [a, dy], {"size": w[2:], **params}, dtype, factor * 4)


@pytest.mark.parametrize("dtype", DTYPES[2:])
@pytest.mark.parametrize("q, k, v, mask, params", cases.ATTENTIONS)
def test_attention(q, k, v, mask, params, dtype, gpu, fresh, poisoned):
    dtype = dtype_named(dtype, gpu)
    args = [fresh.standard_normal(s).astype(dtype) for s in (q, k, v)]
    more = [] if mask is None else [fresh.standard_normal(mask).astype(dtype)]
    for m in more:
        m[..., 1, :], m[..., 2, 3] = -np.inf, -np.inf  # a query that sees nothing, and one key hidden
    checked(gpu, poisoned, "attention", [*args, *more], params, dtype, 16)
    wide = [a.astype(np.float64) for a in (*args, *more)]
    y, log_total = mg.get_backend("numpy").F.attention(*wide, **params)
    dy = fresh.standard_normal(y.shape).astype(dtype)
    saved = [y.astype(dtype), log_total.astype(np.float32)]
    checked(gpu, poisoned, "attention_backward", [dy, *args, *saved, *more], params, dtype, 32)


def test_tf32_only_when_asked_for(gpu, fresh):
    if int(gpu.xp.cuda.Device().compute_capability) < 80:
        pytest.skip("this GPU has no TF32")
    x, w = (fresh.standard_normal(s).astype(np.float32) for s in ((8, 64, 28, 28), (64, 64, 3, 3)))
    params = {"stride": (1, 1), "padding": (1, 1), "dilation": (1, 1), "groups": 1}
    exact, errors = mg.get_backend("numpy").F.convolution(x.astype("f8"), w.astype("f8"), **params), []
    for flag in (False, True, False):
        gpu.set_tf32(flag)
        y = gpu.F.convolution(gpu.asarray(x), gpu.asarray(w), **params).get()
        errors.append(np.linalg.norm(y - exact) / np.linalg.norm(exact))
    assert errors[0] < 1e-5 and errors[2] < 1e-5 and 1e-5 < errors[1] < 3e-3, errors


def test_inside_a_recorded_graph(gpu, fresh):
    conv = nn.Conv2d(16, 32, 3, padding=1).to("cupy")
    x = [mg.tensor(fresh.standard_normal((4, 16, 17, 19)).astype("f4"), device="cupy") for _ in range(4)]
    with mg.no_grad():
        expected = [conv(v).numpy() for v in x]
        step = cuda.make_graphed_step(conv, x[0], warmup=2)
        for v, e in zip(x, expected):
            np.testing.assert_array_equal(step(v).numpy(), e)
