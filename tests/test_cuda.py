"""minigrad.cuda, and the backend "cupy" with its devices, over a stand-in for CuPy: no GPU is needed."""

import subprocess
import sys
import threading

import fake_cupy
import numpy as np
import pytest

import minigrad as mg
from minigrad import cuda, nn, optim
from minigrad.__main__ import main
from minigrad.cli import info
from minigrad.errors import ArgumentError, BackendError, DTypeError, IndexRangeError, OutOfMemoryError, ShapeError
from minigrad.nn import functional as F


@pytest.fixture
def cupy():
    with fake_cupy.in_place(devices=2) as module:
        yield module


# ---- without a GPU -----------------------------------------------------------------------------------------------
def test_without_cupy_everything_imports_and_says_why(monkeypatch):
    monkeypatch.setitem(sys.modules, "cupy", None)
    assert not cuda.is_available() and cuda.device_count() == 0 and not cuda.is_bf16_supported()
    assert "cannot be imported" in cuda.why_not() or "not installed" in cuda.why_not()
    for ask in (
        cuda.current_device, cuda.Stream, cuda.Event, cuda.CUDAGraph, cuda.memory_stats, cuda.empty_cache,
        lambda: cuda.device(0), lambda: mg.ones(2).to("cuda"), lambda: mg.ones(2).cuda(),
        lambda: nn.Linear(2, 2).cuda(), lambda: mg.zeros(2, device="cupy:1"),
        lambda: cuda.make_graphed_step(print, mg.ones(2)),
    ):  # fmt: skip
        with pytest.raises(BackendError):
            ask()


def test_cupy_is_not_installed():
    code = "import minigrad as mg; print(mg.cuda.why_not())"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    if "not installed" not in found:
        pytest.skip("CuPy is installed")
    assert "pip install 'minigrad-engine[gpu]'" in found


@pytest.mark.parametrize(
    "options, said",
    [
        ({"fails": 35, "driver": 0}, "there is no NVIDIA driver"),
        ({"fails": 35, "driver": 11080}, r"the driver knows CUDA 11\.8, .* for CUDA 12\.2\. .* cupy-cuda11x"),
        ({"fails": 100}, "the driver finds no CUDA device.*CUDA_VISIBLE_DEVICES"),
        ({"fails": 46}, "taken or not ready"),
        ({"fails": 999}, "no usable CUDA driver or device"),
        ({"devices": 0}, "CuPy sees no CUDA device"),
    ],
)
def test_what_is_missing_is_said(options, said):
    with fake_cupy.in_place(**options):
        assert not cuda.is_available()
        with pytest.raises(BackendError, match=said):
            mg.ones(2).to("cupy")


def test_a_broken_installation(tmp_path, monkeypatch):
    (tmp_path / "cupy.py").write_text("raise ImportError('libnvrtc.so.12: cannot open shared object file')")
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.delitem(sys.modules, "cupy", raising=False)
    assert "libnvrtc.so.12" in cuda.why_not() and "made for the CUDA that is installed" in cuda.why_not()


# ---- devices -----------------------------------------------------------------------------------------------------
def test_devices(cupy):
    assert cuda.is_available() and cuda.device_count() == 2 and cuda.current_device() == 0
    with cuda.device(1):
        assert cuda.current_device() == 1
        with cuda.device("cuda:0"):
            assert cuda.current_device() == 0
        assert mg.zeros(2, device="cupy").device == "cupy:1"
    assert cuda.current_device() == 0

    @cuda.device(1)
    def f():
        return cuda.current_device()

    assert f() == 1
    cuda.set_device(1)
    assert cuda.current_device() == 1
    cuda.set_device(0)
    assert cuda.get_device_name() == "Fake H100" and cuda.get_device_capability() == (9, 0)
    assert cuda.get_device_properties("cuda:1").total_memory == 2**30 and cuda.is_bf16_supported()
    cuda.synchronize(1)
    assert fake_cupy.state.log == ["synchronize device 1"]
    for wrong in (2, -1, "cuda:5"):
        with pytest.raises(BackendError, match="there is no device"):
            cuda.device(wrong)
    with pytest.raises(ArgumentError, match="a device is a number"):
        cuda.device("cpu")


def test_tensors_live_on_a_device(cupy):
    x = mg.tensor([1.0, 2.0], requires_grad=True)
    a, b = x.to("cupy"), x.to("cuda:1")
    assert (a.device, b.device) == ("cupy", "cupy:1") and repr(b.device) == "device('cupy:1')"
    assert (a.device.type, a.device.index, b.device.type, b.device.index) == ("cupy", 0, "cupy", 1)
    assert a.is_cuda and b.is_cuda and (a.get_device(), b.get_device(), x.get_device()) == (0, 1, -1)
    assert b.to("cupy:1") is b and b.to(mg.device("cuda:1")) is b and b.to("cpu").device == "cpu"
    y = (mg.tanh(b * 2.0) + mg.ones_like(b)).to("cupy") * a
    assert y.device == "cupy" and cuda.current_device() == 0
    y.sum().backward()
    t = np.tanh([2.0, 4.0])
    np.testing.assert_allclose(x.grad.numpy(), t + 1 + 2 * np.array([1.0, 2.0]) * (1 - t * t), rtol=1e-6)
    assert mg.tensor([1.0], device="cuda:1").device == mg.full((2,), 3.0, device="cupy:1").device == "cupy:1"
    for wrong in ("cupy:2", "cuda:7"):
        with pytest.raises(BackendError, match=r"no device .: it has devices 0 to 1"):
            x.to(wrong)
    with pytest.raises(BackendError, match="name:number"):
        x.to("cuda:one")
    with pytest.raises(BackendError, match=r"no device 1: it has one, 0"):
        x.to("numpy:1")


def test_mixed_devices_are_an_error(cupy):
    host, first, second = (mg.ones(2).to(d) for d in ("cpu", "cupy", "cupy:1"))
    for a, b, said in ((first, second, r"cupy and cupy:1"), (host, first, "cupy and numpy"), (host, second, "cupy:1")):
        for x, y in ((a, b), (b, a)):
            with pytest.raises(BackendError, match=rf"must be on one backend: got .*{said}.*\.to\("):
                x + y


def test_models_and_optimizers_move(cupy):
    model = nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4), nn.Linear(4, 2))
    for device in ("cupy", "cuda:1", "cpu", "cuda:1"):
        model.to(device)
        want = str(mg.device(device))
        assert {t.device for t in (*model.parameters(), *model.buffers())} == {want}
    optimizer = optim.Adam(model.parameters(), lr=0.1)
    loss = F.cross_entropy(model(mg.randn(5, 3).to("cuda:1")), mg.tensor([0, 1, 0, 1, 1]).to("cuda:1"))
    loss.backward()
    optimizer.step()
    states = [t for s in optimizer.state.values() for t in s.values()]
    assert states and {t.device for t in states} == {"cupy:1"} and loss.device == "cupy:1"
    with pytest.raises(BackendError, match="must be on one backend"):
        model(mg.randn(5, 3))


def test_labels_are_checked_without_waiting(cupy):
    """No look at the device in the loss; the next value that is read brings the error."""
    scores, log = mg.randn(4, 3).to("cupy"), fake_cupy.state.log
    labels = mg.tensor([0, 1, -100, 2]).to("cupy")
    log.clear()
    loss = F.cross_entropy(scores, labels) + F.embedding(labels.clip(0, 2), scores).sum()
    assert "download" not in log
    expected = F.cross_entropy(scores.cpu(), labels.cpu()) + F.embedding(labels.cpu().clip(0, 2), scores.cpu()).sum()
    np.testing.assert_allclose(loss.item(), expected.item(), rtol=1e-6)
    wrong = F.cross_entropy(scores, mg.tensor([0, 1, 7, 2]).to("cupy"))
    with pytest.raises(IndexRangeError, match=r"labels must be from 0 to K - 1 = 2.*got 7"):
        wrong.item()
    wrong.item()  # said once


# ---- memory ------------------------------------------------------------------------------------------------------
def test_memory_is_counted(cupy):
    before = cuda.memory_allocated()
    x = mg.zeros(1024, 256, device="cupy")
    assert cuda.memory_allocated() - before == 2**20 <= cuda.memory_reserved()
    cuda.reset_peak_memory_stats()
    y = x + 1.0
    del y
    stats = cuda.memory_stats()
    assert stats["allocated_bytes.all.peak"] == cuda.max_memory_allocated() == 2 * 2**20
    assert stats["allocated_bytes.all.current"] == 2**20 and stats["device.total_bytes"] == 2**30
    assert stats["inactive_bytes.all.current"] == 2**20
    cuda.empty_cache()
    assert cuda.memory_reserved() == 2**20 and cuda.memory_allocated(1) == 0
    assert cuda.mem_get_info() == (2**30 - 2**20, 2**30)
    assert "1.0 MiB" in cuda.memory_summary()


def test_out_of_memory_says_what_was_asked_and_what_is_held(cupy):
    held = mg.zeros(64, 2**20, device="cupy")  # a quarter of the device
    with pytest.raises(
        OutOfMemoryError, match=r"no room for 4\.00 GiB: arrays of this process use 0\.25 GiB"
    ) as caught:
        mg.zeros(1024, 2**20, device="cupy")
    assert isinstance(caught.value, MemoryError) and "smaller batch" in str(caught.value)
    with pytest.raises(OutOfMemoryError, match=r"cupy:0: no room for 1\.00 GiB"):
        mg.concat([held, held, held, held])
    cuda.set_per_process_memory_fraction(0.3)
    with pytest.raises(OutOfMemoryError, match="no room"):
        held + 1.0


# ---- streams -----------------------------------------------------------------------------------------------------
def test_streams_and_events(cupy):
    s, log = cuda.Stream(priority=-1), fake_cupy.state.log
    assert cuda.current_stream() == cuda.default_stream() != s and "cupy:0" in repr(s)
    with cuda.stream(s):
        assert cuda.current_stream() == s and hash(cuda.current_stream()) == hash(s)
    with cuda.stream(None):
        assert cuda.current_stream() == cuda.default_stream()
    log.clear()
    s.wait_stream(cuda.current_stream())
    start, end = cuda.Event(enable_timing=True), cuda.Event(enable_timing=True)
    start.record(), end.record(s), end.synchronize(), end.wait()
    assert log == [
        "event", f"stream {s.cuda_stream} waits for stream 0", "event", "event", "event reached",
        f"stream 0 waits for stream {s.cuda_stream}",
    ]  # fmt: skip
    assert start.elapsed_time(end) > 0 and end.query() and s.query()
    s.synchronize()


# ---- graphs ------------------------------------------------------------------------------------------------------
def training(kind, steps, graphed, rng, **options):
    """Losses and weights of some steps on the device, as a graph or not."""
    mg.manual_seed(1)
    model = nn.Sequential(nn.Linear(4, 8), nn.BatchNorm1d(8), nn.Tanh(), nn.Linear(8, 3)).to("cupy")
    optimizer = getattr(optim, kind)(model.parameters(), lr=0.05, **options)
    data = [(rng.standard_normal((6, 4)).astype("f4"), rng.integers(0, 3, 6)) for _ in range(steps)]

    def step(x, t):
        optimizer.zero_grad()
        loss = F.cross_entropy(model(x), t)
        loss.backward()
        optimizer.step()
        return loss

    batches = [(mg.tensor(x, device="cupy"), mg.tensor(t, device="cupy")) for x, t in data]
    run = cuda.make_graphed_step(step, *batches[0], warmup=2) if graphed else step
    losses = []
    for i, (x, t) in enumerate(batches):
        if i == steps - 2:
            optimizer.param_groups[0]["lr"] = 0.01
        losses.append(run(x, t).item())
    return losses, [t.numpy() for t in model.state_dict().values()], run


@pytest.mark.parametrize("kind, options", [("SGD", {"momentum": 0.9}), ("Adam", {}), ("AdamW", {"amsgrad": True})])
def test_a_graphed_step_is_the_step(cupy, kind, options):
    """The same losses, weights and running statistics; the new learning rate is seen."""
    expected = training(kind, 8, False, np.random.default_rng(0), **options)
    got = training(kind, 8, True, np.random.default_rng(0), **options)
    np.testing.assert_allclose(got[0], expected[0], rtol=1e-6)
    for a, b in zip(got[1], expected[1]):
        np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-7)
    assert got[2].captures == 2 and fake_cupy.state.log.count(f"launch in stream {got[2].stream.cuda_stream}") == 6


def test_graphed_steps_check_their_inputs(cupy):
    step = cuda.make_graphed_step(lambda x: x * 2.0, mg.ones(3, device="cupy"), warmup=1)
    for _ in range(3):
        assert step(mg.full((3,), 4.0, device="cupy")).tolist() == [8.0] * 3
    with pytest.raises(ShapeError, match=r"recorded shape \(3,\): got \(2,\).*drop_last"):
        step(mg.ones(2, device="cupy"))
    with pytest.raises(DTypeError, match="recorded dtype float32: got float64"):
        step(mg.ones(3, device="cupy", dtype="float64"))
    with pytest.raises(BackendError, match="input 0 must be on cupy: got cpu"):
        step(mg.ones(3))
    with pytest.raises(ArgumentError, match="made for 1 inputs: got 2"):
        step(mg.ones(3), mg.ones(3))
    with pytest.raises(BackendError, match="must be tensors on the GPU"):
        cuda.make_graphed_step(lambda x: x, mg.ones(3))
    with pytest.raises(ArgumentError, match="warmup"):
        cuda.make_graphed_step(lambda x: x, mg.ones(3, device="cupy"), warmup=0)


@pytest.mark.parametrize(
    "body, said",
    [
        (lambda x: x * x.sum().item(), "must not read a value on the host"),
        (lambda x: x + mg.tensor(np.ones(3, "f4"), device="cupy"), "nor bring data from it"),
        (lambda x: x * mg.tensor(2.0).to("cupy"), "nor bring data from it"),
    ],
)
def test_what_cannot_be_recorded(cupy, body, said):
    step, x = cuda.make_graphed_step(body, mg.ones(3, device="cupy"), warmup=1), mg.ones(3, device="cupy")
    step(x)
    with pytest.raises(BackendError, match=said):
        step(x)
    assert cuda.current_stream() == cuda.default_stream()
    assert (x + 1.0).tolist() == [2.0] * 3  # the device works as before


def test_random_numbers_are_not_repeated(cupy, monkeypatch):
    monkeypatch.setattr(fake_cupy, "not_while_capturing", lambda: None)
    step = cuda.make_graphed_step(lambda x: F.dropout(x, 0.5), mg.ones(3, device="cupy"), warmup=1)
    step(mg.ones(3, device="cupy"))
    with pytest.raises(BackendError, match="draws random numbers"):
        step(mg.ones(3, device="cupy"))


def test_graphs_by_hand(cupy):
    x, g, s = mg.ones(2, device="cupy"), cuda.CUDAGraph(), cuda.Stream()
    with cuda.graph(g, stream=s):
        y = x * 3.0
    with mg.no_grad():
        x += 1.0
    g.replay()
    assert y.tolist() == [6.0, 6.0]
    with pytest.raises(BackendError, match="it holds a recording"), cuda.graph(g):
        pass
    g.reset()
    for wrong, said in ((g.replay, "nothing has been recorded"), (g.capture_end, "nothing is being recorded")):
        with pytest.raises(BackendError, match=said):
            wrong()


def test_another_thread_has_its_own_device(cupy):
    seen = []
    with cuda.device(1):
        thread = threading.Thread(target=lambda: seen.append(cuda.current_device()))
        thread.start()
        thread.join()
    assert seen == [0]


# ---- the command -------------------------------------------------------------------------------------------------
def test_info_shows_the_devices(cupy, capsys):
    cuda.mem_get_info()
    fake_cupy.state.pools[1] = pool = fake_cupy.MemoryPool()
    pool.held = int(0.95 * 2**30)
    assert main(["info"]) == 0
    said = capsys.readouterr().out
    assert "CuPy is made for 12.2, the driver knows 12.4" in said
    assert "gpu 0          Fake H100, compute capability 9.0, 0.1 of 1.0 GiB free, bfloat16 and float16" in said
    assert "little memory is free" in said and "backend cupy   found" in said


@pytest.mark.parametrize(
    "options, said",
    [
        ({"fails": 35, "driver": 0}, "cannot be used: there is no NVIDIA driver"),
        ({"fails": 35, "driver": 11080}, "cannot be used: the driver knows CUDA 11.8, and this CuPy"),
    ],
)
def test_info_says_what_is_missing(options, said, capsys):
    with fake_cupy.in_place(**options):
        assert main(["info"]) == 0
    assert said in capsys.readouterr().out


def test_the_driver_is_found(monkeypatch, tmp_path):
    program = tmp_path / "nvidia-smi"
    program.write_text("#!/bin/sh\necho 550.54.15\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(info.Path, "read_text", lambda self: (_ for _ in ()).throw(OSError))
    assert info._driver() == "550.54.15"
    program.write_text("#!/bin/sh\nexit 9\n")
    assert "nvidia-smi fails" in info._driver()
    program.unlink()
    assert info._driver() == "none found"
