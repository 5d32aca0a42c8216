"""Convolution and attention by cuDNN, over stand-ins for CuPy and for cuDNN's Python package: no GPU is needed.

At the end the real package, where it is installed: its arguments, and the graphs as it checks them.
"""

import importlib.util
import inspect
import os
import re
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path

import fake_cudnn
import fake_cupy
import numpy as np
import pytest
from cuda_emulator import COMPILER, Emulator
from minigrad.kernels.cuda import cudnn, cudnn_attention, cudnn_conv, launch

import minigrad as mg
from minigrad import cuda, nn
from minigrad.__main__ import main
from minigrad.errors import BackendError, DTypeError
from minigrad.halves import bfloat16
from minigrad.nn import functional as F
from minigrad.primitive import PRIMITIVES

needs_compiler = [
    pytest.mark.skipif(not COMPILER, reason="needs a C++ compiler (g++ or clang++)"),
    pytest.mark.skipif(not sys.platform.startswith("linux"), reason="the emulator needs Linux's memory protection"),
]
needs_compiler = lambda f, marks=needs_compiler: marks[0](marks[1](f))
REFERENCE = mg.get_backend("numpy").F
TOLERANCE = {"float64": 1e-12, "float32": 2e-6, "float16": 2e-3, "bfloat16": 1.6e-2}


class Gpu(Emulator):
    """Kernels run by the emulator; its arrays may be given to the stand-in for cuDNN."""

    vendors = True

    def recording(self):
        return fake_cupy.state.capturing is not None


@pytest.fixture
def gpu(monkeypatch):
    """The backend "cupy" with its kernels and cuDNN."""
    kernels = {p: p.kernels["cupy"] for p in PRIMITIVES.values() if "cupy" in p.kernels}
    with fake_cupy.in_place(devices=1) as module, fake_cudnn.in_place(monkeypatch):
        for p, found in kernels.items():
            p.kernels["cupy"] = found
        emulator = Gpu(0, module, fake_cupy.ndarray)
        before = launch.use(emulator)
        try:
            yield emulator
        finally:
            launch.use(before)
            cudnn.enabled = True
    assert not emulator.spoilt


def dtype_named(name):
    if name == "bfloat16":
        pytest.importorskip("ml_dtypes")
        return bfloat16()
    return np.dtype(name)


def run(name, arrays, params):
    """A primitive on the device, and the reference on the same numbers in float64."""
    given = [launch.device().asarray(a) if isinstance(a, np.ndarray) else a for a in arrays]
    y = getattr(mg.get_backend("cupy").F, name)(*given, **params)
    wide = [a.astype(np.float64) if isinstance(a, np.ndarray) and a.dtype.kind in "fV" else a for a in arrays]
    expected = getattr(REFERENCE, name)(*wide, **params)
    return [v if isinstance(v, tuple) else (v,) for v in (y, expected)]


def agree(got, expected, dtype, factor=8):
    for a, b in zip(got, expected, strict=True):
        assert a.shape == b.shape
        scale = max(1.0, float(np.abs(b).max()))
        tolerance = factor * TOLERANCE[str(dtype)]
        np.testing.assert_allclose(np.asarray(a).astype(np.float64), b, rtol=tolerance, atol=tolerance * scale / 4)


def ran(state):
    return [entry[1] for entry in state.log if entry[0] == "ran"]


def built(state):
    return [entry[1:] for entry in state.log if entry[0] == "built"]


# ---- convolution -----------------------------------------------------------------------------------------------------
CONVOLUTIONS = [  # x, weight, stride, padding, dilation, groups
    ((2, 4, 7), (6, 2, 3), (2,), (1,), (1,), 2),
    ((2, 3, 6, 5), (4, 3, 3, 2), (1, 2), (1, 0), (1, 2), 1),
    ((1, 4, 5, 4, 6), (4, 1, 2, 3, 3), (2, 1, 1), (0, 1, 2), (1, 1, 2), 4),
]


@pytest.mark.parametrize("dtype", ["float32", "float64", "float16", "bfloat16"])
@pytest.mark.parametrize("x, w, stride, padding, dilation, groups", CONVOLUTIONS)
def test_convolution(x, w, stride, padding, dilation, groups, dtype, gpu, rng):
    dtype = dtype_named(dtype)
    x, w, b = (rng.standard_normal(s).astype(dtype) for s in (x, w, w[:1]))
    params = {"stride": stride, "padding": padding, "dilation": dilation, "groups": groups}
    for arrays in ([x, w], [x, w, b]):
        got, expected = run("convolution", arrays, params)
        agree(got, expected, dtype)
    dy = rng.standard_normal(expected[0].shape).astype(dtype)
    agree(*run("convolution_input", [dy, w], {"size": x.shape[2:], **params}), dtype)
    agree(*run("convolution_weight", [x, dy], {"size": w.shape[2:], **params}), dtype)
    assert ran(fake_cudnn.state) == ["convolution", "convolution+bias", "convolution_input", "convolution_weight"]
    assert not gpu.launches


def test_views_and_addresses(gpu, rng):
    """What lies in another order, or at no multiple of 16 bytes, is copied first."""
    x = gpu.asarray(rng.standard_normal((2 * 6 * 6 * 3 + 1,)).astype("f4"))
    w = gpu.asarray(rng.standard_normal((4, 3, 3, 3)).astype("f4"))
    params = {"stride": (1, 1), "padding": (1, 1), "dilation": (1, 1), "groups": 1}
    last, shifted = x[:-1].reshape(2, 6, 6, 3).transpose(0, 3, 1, 2), x[1:].reshape(2, 3, 6, 6)
    for view in (last, shifted):
        y = mg.get_backend("cupy").F.convolution(view, w, **params)
        agree([y], [REFERENCE.convolution(view.get().astype("f8"), w.get().astype("f8"), **params)], "float32")
    assert len(built(fake_cudnn.state)) == 1 and len(ran(fake_cudnn.state)) == 2


def test_plans_are_kept_and_follow_tf32(gpu, rng):
    x, w = (gpu.asarray(rng.standard_normal(s).astype("f4")) for s in ((2, 3, 5, 5), (4, 3, 3, 3)))
    backend = mg.get_backend("cupy")
    call = lambda: backend.F.convolution(x, w, stride=(1, 1), padding=(1, 1), dilation=(1, 1), groups=1)
    monkey = pytest.MonkeyPatch()
    try:
        for flag in (False, False, True, True, False):
            monkey.setattr("minigrad.kernels.cuda.matmul.tf32", flag)
            call()
    finally:
        monkey.undo()
    exact = ["DOWN_CONVERT_INPUTS", "NONDETERMINISTIC", "REDUCED_PRECISION_REDUCTION", "TENSOR_CORE"]
    assert built(fake_cudnn.state) == [("convolution", exact), ("convolution", exact[:3])]
    assert len(ran(fake_cudnn.state)) == 5


def test_training_gives_the_host_s_gradients(gpu, rng):
    """Second derivatives too, since the rules are the primitives'."""
    found = {}
    for device in ("cupy", "cpu"):
        mg.manual_seed(3)
        model = nn.Sequential(nn.Conv1d(3, 4, 3, padding=1), nn.Tanh(), nn.ConvTranspose1d(4, 2, 4, stride=2)).to(
            device
        )
        x = mg.tensor(np.linspace(-1, 1, 30, dtype="f4").reshape(2, 3, 5), device=device, requires_grad=True)
        (dx,) = mg.autograd.grad((model(x) ** 2).sum(), [x], create_graph=True)
        (dx**2).sum().backward()
        found[device] = [t.grad.numpy() for t in (x, *model.parameters()) if t.grad is not None]
    for a, b in zip(found["cupy"], found["cpu"], strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-4)
    assert {*ran(fake_cudnn.state)} == {
        "convolution", "convolution+bias", "convolution_input", "convolution_weight"
    }  # fmt: skip


# ---- attention -------------------------------------------------------------------------------------------------------
ATTENTIONS = [
    ((2, 3, 5, 8), (2, 3, 7, 8), (2, 3, 7, 16), None, {}),
    ((2, 3, 6, 8), (2, 1, 6, 8), (2, 1, 6, 8), None, {"causal": True, "scale": 0.3}),
    ((3, 5, 8), (3, 7, 8), (3, 7, 8), (5, 7), {}),
    ((2, 3, 5, 8), (2, 3, 7, 8), (2, 3, 7, 8), (2, 1, 5, 7), {}),
    ((5, 8), (7, 8), (7, 8), None, {"causal": True}),
]


@needs_compiler
@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
@pytest.mark.parametrize("q, k, v, mask, params", ATTENTIONS)
def test_attention(q, k, v, mask, params, dtype, gpu, rng):
    dtype = dtype_named(dtype)
    q, k, v = (rng.standard_normal(s).astype(dtype) for s in (q, k, v))
    more = []
    if mask is not None:
        more = [rng.standard_normal(mask).astype(dtype)]
        more[0][..., 1, :], more[0][..., 2, 3] = -np.inf, -np.inf
    got, expected = run("attention", [q, k, v, *more], params)
    agree(got, expected, dtype)
    assert got[0].dtype == dtype and got[1].dtype == np.float32
    dy = rng.standard_normal(expected[0].shape).astype(dtype)
    args = [dy, q, k, v, expected[0].astype(dtype), expected[1].astype(np.float32), *more]
    got, expected = run("attention_backward", args, params)
    agree(got, expected, dtype, 16)
    assert ran(fake_cudnn.state) == ["attention", "attention_backward"] and all(a.dtype == dtype for a in got)


def test_heads_are_read_where_they_lie(gpu, rng):
    """(B, T, H, D) turned to (B, H, T, D) is no copy; rows of 15 numbers are."""
    data = gpu.asarray(rng.standard_normal((2, 5, 3 * 8)).astype("f2"))
    q = data.reshape(2, 5, 3, 8).transpose(0, 2, 1, 3)
    odd = gpu.asarray(rng.standard_normal((2, 3, 5, 15)).astype("f2"))[..., :8]
    assert launch.device().address(cudnn_attention._lined_up(q)) == launch.device().address(data)
    assert cudnn_attention._layout(cudnn_attention._lined_up(q)) == ((2, 3, 5, 8), (120, 8, 24, 1))
    assert cudnn_attention._layout(q[:1, :, :1]) == ((1, 3, 1, 8), (24, 8, 8, 1))
    assert cudnn_attention._layout(cudnn_attention._lined_up(odd))[1] == (120, 40, 8, 1)
    y, _ = mg.get_backend("cupy").F.attention(q, q, odd)
    agree([y], REFERENCE.attention(*(np.asarray(a).astype("f8") for a in (q, q, odd)))[:1], "float16")


@needs_compiler
def test_what_attention_leaves_to_our_kernels(gpu, rng):
    f = mg.get_backend("cupy").F.attention
    q = gpu.asarray(rng.standard_normal((2, 3, 5, 8)).astype("f2"))
    single, narrow = q.astype("f4"), gpu.asarray(rng.standard_normal((2, 3, 5, 7)).astype("f2"))
    shown, rows = gpu.asarray(rng.random((5, 5)) < 0.9), gpu.asarray(np.zeros((1, 5), "f2"))
    for call in (
        lambda: f(single, single, single), lambda: f(narrow, narrow, narrow), lambda: f(q, q, q, shown),
        lambda: f(q, q, q, rows), lambda: f(q, q, q, None, gpu.asarray(np.array([1, 2])), dropout=0.5),
    ):  # fmt: skip
        gpu.launches.clear()
        call()
        assert gpu.launches
    assert not fake_cudnn.state.log


@needs_compiler
def test_attention_trains_in_halves(gpu):
    found = {}
    for device, dtype in (("cupy", "float16"), ("cpu", "float32")):
        mg.manual_seed(1)
        q, k, v = (mg.randn(2, 2, 6, 8).to(dtype).to(device).requires_grad_() for _ in range(3))
        F.scaled_dot_product_attention(q, k, v, is_causal=True).sum().backward()
        assert {t.grad.dtype for t in (q, k, v)} == {np.dtype(dtype)}
        found[device] = [t.grad.numpy().astype("f4") for t in (q, k, v)]
    for a, b in zip(found["cupy"], found["cpu"]):
        np.testing.assert_allclose(a, b, rtol=2e-2, atol=5e-3)
    assert ran(fake_cudnn.state) == ["attention", "attention_backward"]


# ---- falling back ----------------------------------------------------------------------------------------------------
@needs_compiler
def test_without_a_plan_our_kernel_runs(gpu, rng):
    fake_cudnn.state.refuses = {"convolution", "convolution_input", "convolution_weight", "attention_backward"}
    x, w = rng.standard_normal((2, 3, 5, 5)).astype("f4"), rng.standard_normal((4, 3, 3, 3)).astype("f4")
    params = {"stride": (1, 1), "padding": (1, 1), "dilation": (1, 1), "groups": 1}
    for _ in range(2):
        got, expected = run("convolution", [x, w], params)
        agree(got, expected, "float32")
    dy = rng.standard_normal(expected[0].shape).astype("f4")
    agree(*run("convolution_input", [dy, w], {"size": (5, 5), **params}), "float32", 16)
    agree(*run("convolution_weight", [x, dy], {"size": (3, 3), **params}), "float32", 16)
    q = rng.standard_normal((2, 3, 5, 8)).astype("f2")
    got, expected = run("attention", [q, q, q], {})
    args = [q, q, q, q, expected[0].astype("f2"), expected[1].astype("f4")]
    agree(*run("attention_backward", args, {}), "float16", 16)
    assert ran(fake_cudnn.state) == ["attention"]
    assert {"convolution", "convolution_input", "convolution_weight"} <= {*gpu.launches}
    why = cudnn.refused()
    assert len(why) == 4 and {*why.values()} == {"cudnnGraphNotSupportedError: no engine supports this"}


@needs_compiler
def test_another_interface_is_said_once(gpu, rng, monkeypatch):
    monkeypatch.delattr(fake_cudnn.pygraph, "deselect_numeric_notes")
    x, w = rng.standard_normal((1, 2, 5, 5)).astype("f4"), rng.standard_normal((2, 2, 3, 3)).astype("f4")
    params = {"stride": (1, 1), "padding": (1, 1), "dilation": (1, 1), "groups": 1}
    with pytest.warns(RuntimeWarning, match="our own kernels run instead: AttributeError.*deselect_numeric_notes"):
        agree(*run("convolution", [x, w], params), "float32")
    agree(*run("convolution", [x, w], params), "float32")


def test_a_plan_that_fails_says_what_to_do(gpu, rng):
    fake_cudnn.state.fails = True
    x, w = rng.standard_normal((1, 2, 5, 5)).astype("f4"), rng.standard_normal((2, 2, 3, 3)).astype("f4")
    said = r"arrays of shapes \(1, 2, 5, 5\), \(2, 2, 3, 3\), .*EXECUTION_FAILED.*MINIGRAD_CUDNN=0"
    with pytest.raises(BackendError, match=said):
        run("convolution", [x, w], {"stride": (1, 1), "padding": (0, 0), "dilation": (1, 1), "groups": 1})


@needs_compiler
def test_the_switch(gpu, rng):
    backend = mg.get_backend("cupy")
    x, w = (gpu.asarray(rng.standard_normal(s).astype("f4")) for s in ((1, 2, 5), (2, 2, 3)))
    for flag, count in ((False, 0), (True, 1)):
        backend.set_cudnn(flag)
        backend.F.convolution(x, w, stride=(1,), padding=(0,), dilation=(1,), groups=1)
        assert len(ran(fake_cudnn.state)) == count
    with pytest.raises(DTypeError, match="set_cudnn: flag must be True or False: got 1"):
        backend.set_cudnn(1)


# ---- recorded graphs -------------------------------------------------------------------------------------------------
def test_a_recorded_graph_runs_the_plan(gpu, rng):
    """Replayed on new numbers; the stream of the recording is the handle's."""
    conv = nn.Conv2d(2, 3, 3).to("cupy")
    x = [mg.tensor(rng.standard_normal((1, 2, 5, 5)).astype("f4"), device="cupy") for _ in range(4)]
    with mg.no_grad():
        expected = [conv(v).numpy() for v in x]
        step = cuda.make_graphed_step(conv, x[0], warmup=1)
        for v, e in zip(x, expected):
            np.testing.assert_allclose(step(v).numpy(), e, rtol=1e-6)
    assert len(built(fake_cudnn.state)) == 1 and len(ran(fake_cudnn.state)) == 4 + 2  # one warms up, one is recorded


@needs_compiler
def test_nothing_is_built_while_recording(gpu, rng, monkeypatch):
    x, w = (gpu.asarray(rng.standard_normal(s).astype("f4")) for s in ((1, 2, 5, 5), (2, 2, 3, 3)))
    monkeypatch.setattr(fake_cupy.state, "capturing", [])
    mg.get_backend("cupy").F.convolution(x, w, stride=(1, 1), padding=(0, 0), dilation=(1, 1), groups=1)
    assert gpu.launches == ["convolution"] and not fake_cudnn.state.log and not cudnn.refused()


# ---- is it there? ----------------------------------------------------------------------------------------------------
def why(monkeypatch, **options):
    with fake_cudnn.in_place(monkeypatch, **options):
        return cudnn.missing()


def test_what_is_missing_is_said(monkeypatch):
    assert why(monkeypatch) == ""
    assert why(monkeypatch, version=8907) == "cuDNN 0.89.7 is older than 9.0.0. pip install 'minigrad-engine[cudnn]'"
    assert "nvidia-cudnn-frontend 1.9.0 is older than 1.14" in why(monkeypatch, frontend=(1, 9, 0))
    with fake_cudnn.in_place(monkeypatch):
        with monkeypatch.context() as m:
            m.setenv("MINIGRAD_CUDNN", "0")
            assert cudnn.missing() == "MINIGRAD_CUDNN=0 keeps it out" and not cudnn.ready()
        fake_cudnn.forget()
        with monkeypatch.context() as m:
            m.setitem(sys.modules, "cudnn", None)
            assert cudnn.missing() == "nvidia-cudnn-frontend is not installed. pip install 'minigrad-engine[cudnn]'"


def test_a_library_that_cannot_be_loaded(monkeypatch, tmp_path):
    (tmp_path / "cudnn.py").write_text("raise OSError('libcudnn.so.9: cannot open shared object file')")
    with fake_cudnn.in_place(monkeypatch), monkeypatch.context() as m:
        m.delitem(sys.modules, "cudnn")
        m.syspath_prepend(str(tmp_path))
        assert "the library cannot be loaded (OSError: libcudnn.so.9: cannot open" in cudnn.missing()


def test_info_says_it(gpu, capsys):
    said = lambda: [line for line in _printed(capsys).splitlines() if line.startswith("gpu cuDNN")]
    assert said() == ["gpu cuDNN      9.10.2, nvidia-cudnn-frontend 1.14.1 (MINIGRAD_CUDNN=0 keeps it out)"]
    mg.get_backend("cupy").set_cudnn(False)
    assert said()[0].endswith("switched off by set_cudnn(False)")
    fake_cudnn.state.no_handle = True
    cudnn._here.handles.clear()
    fake_cudnn.forget()
    assert said() == [
        "gpu cuDNN      not used: cuDNN 9.10.2 cannot use the device (RuntimeError: cudnnHandle Create failed). Is it "
        "made for this driver's CUDA?"
    ]


def _printed(capsys):
    assert main(["info"]) == 0
    return capsys.readouterr().out


# ---- the real package ------------------------------------------------------------------------------------------------
@pytest.fixture
def real():
    """The package, where it is installed with its library."""
    package = pytest.importorskip("cudnn", reason="nvidia-cudnn-frontend is not installed", exc_type=Exception)
    fake_cudnn.forget()
    if why := cudnn.missing():
        pytest.skip(why)
    return package


def test_the_stand_in_has_the_real_arguments(real):
    """By name, of every method that is called; and every constant that is named."""
    graph = getattr(getattr(real, "_pybind_module", None), "backend_graph", real.pygraph)
    compared = 0
    for name, method in inspect.getmembers(fake_cudnn.pygraph, inspect.isfunction):
        if name.startswith("_"):
            continue
        assert hasattr(graph, name) or hasattr(real.pygraph, name), name
        text = getattr(getattr(graph, name, None), "__doc__", "") or ""
        named = {*re.findall(r"(\w+): ", text.split("->")[0])} | {*re.findall(r"^ +(\w+) \(", text, re.MULTILINE)}
        if name in ("tensor", "execute"):
            named = {*inspect.signature(getattr(real.pygraph, name)).parameters}
            named |= {"tensor_dict"}  # given by place
        for parameter in [p for p in inspect.signature(method).parameters if p != "self"] if named - {"self"} else ():
            if not re.fullmatch(r"heuristics|notes|size", parameter):  # by place, and without a name there
                assert parameter in named, f"{name}: {parameter}"
                compared += 1
    assert compared > 50
    for kind in ("data_type", "heur_mode", "numerical_note"):
        for member in getattr(fake_cudnn, kind):
            assert hasattr(getattr(real, kind), member.name), (kind, member)


@contextmanager
def drawn(real, monkeypatch):
    """Graphs are checked by the package, and no plan is made."""

    def planned(self, unwanted=()):
        for name in unwanted:
            getattr(real.numerical_note, name)
        try:
            self.graph.validate()
        except Exception as error:
            if "driver" in str(error).lower() or "No module named 'cuda'" in str(error):
                pytest.skip(f"this version of the package checks graphs only beside a driver: {error}")
            raise
        return self.graph

    monkeypatch.setattr(cudnn, "target", lambda: {"sm_version": 90})  # or it asks the driver
    monkeypatch.setattr(cudnn.Drawing, "planned", planned)
    yield


def graphs():
    """(draw, key) of the calls above."""
    for dtype in ("float32", "float64", "float16", "bfloat16"):
        for x, w, *steps, _groups in CONVOLUTIONS:
            y = (x[0], w[0], *cudnn_conv._lengths(x[2:], w[2:], *steps))
            asked = cudnn_conv._asked(dtype, *steps)
            for biased in (False, True):
                yield cudnn_conv._draw_forward, (x, w, y, biased, *asked)
            yield cudnn_conv._draw_input, (y, w, x, *asked)
            yield cudnn_conv._draw_weight, (x, y, w, *asked)
    four = lambda shape: (1,) * (4 - len(shape)) + tuple(shape)
    for dtype in ("float16", "bfloat16"):
        for q, k, v, mask, params in ATTENTIONS:
            out = (*q[:-1], v[-1])
            layouts = [(s, cudnn.dense(s)) for s in map(four, (q, k, v, out))]
            asked = (four(mask) if mask else (), dtype, params.get("causal", False), params.get("scale", 0.5))
            yield cudnn_attention._draw_attention, (*layouts[:3], *asked)
            yield cudnn_attention._draw_attention_backward, (layouts[3], *layouts, *asked)


def test_the_real_package_accepts_the_graphs(real, monkeypatch):
    with drawn(real, monkeypatch):
        for draw, key in graphs():
            assert draw(*key) is not None


DRIVER = (  # the functions of libcuda that cuDNN asks for; those of the second line give something back
    *("cuGetErrorString", "cuGetErrorName", "cuModuleUnload", "cuTensorMapEncodeIm2col", "cuTensorMapEncodeTiled"),
    *("cuCtxGetCurrent", "cuCtxGetLimit", "cuCtxPopCurrent", "cuCtxPushCurrent", "cuStreamGetCtx", "cuLinkComplete"),
    *("cuDriverGetVersion", "cuLinkCreate", "cuLinkAddData", "cuLinkDestroy", "cuLaunchKernel", "cuLaunchKernelEx"),
    *("cuLaunchCooperativeKernel", "cuDeviceGetCount", "cuDeviceGet", "cuLibraryUnload", "cuKernelSetAttribute"),
    *("cuKernelGetAttribute", "cuOccupancyMaxPotentialClusterSize"),
)
GIVING = ("cuLibraryLoadData", "cuLibraryLoadFromFile", "cuLibraryGetKernel", "cuKernelGetFunction", "cuModuleLoadData")


@needs_compiler
def test_cudnn_has_plans_for_a_gpu_that_is_not_here(real, tmp_path):
    """For an H100, with a driver that says yes to everything: no kernel runs."""
    spec = importlib.util.find_spec("nvidia")
    roots = [Path(p) for p in spec.submodule_search_locations] if spec else []
    folders = [f for part in ("cudnn", "cublas", "cuda_nvrtc") for root in roots if (f := root / part / "lib").is_dir()]
    if len(folders) < 3 or cudnn._frontend()[:2] < (1, 20):  # older ones ask the driver for the device
        pytest.skip("needs nvidia-cudnn-cu12, nvidia-cublas-cu12, nvidia-cuda-nvrtc-cu12 and a frontend from 1.20 on")
    code = "".join(f"int {name}(void) {{ return 0; }}\n" for name in DRIVER)
    code += "".join(
        f"int {name}(void **p) {{ *p = (void *)16; return 0; }}\n" for name in (*GIVING, "cuModuleGetFunction")
    )
    command = ["gcc" if COMPILER.endswith("g++") else COMPILER, "-shared", "-fPIC", "-x", "c", "-", "-o"]
    subprocess.run([*command, str(tmp_path / "libcuda.so.1")], input=code, text=True, check=True)
    here = Path(__file__).parent
    paths = {"LD_LIBRARY_PATH": [tmp_path, *folders], "PYTHONPATH": [here, *sys.path]}
    env = os.environ | {k: os.pathsep.join(map(str, v)) for k, v in paths.items()}
    done = subprocess.run([sys.executable, here / "cudnn_plans.py"], env=env, capture_output=True, text=True)
    assert done.stdout.endswith("136 plans, 0 refused\n"), done.stdout[-3000:] + done.stderr[-1000:]
