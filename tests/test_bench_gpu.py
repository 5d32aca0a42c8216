"""The rows of `minigrad bench --backend cupy`, over a stand-in for CuPy: that they compute the right thing."""

import argparse

import fake_cupy
import numpy as np
import pytest
from minigrad.benchmarks import contenders, floors, kernels, measure, precisions, train
from minigrad.benchmarks.suite import floor
from minigrad.benchmarks.worker import Server

import minigrad as mg
from minigrad import nn
from minigrad.__main__ import main
from minigrad.backend.cupy import CupyBackend
from minigrad.cli import bench
from minigrad.cli.bench import chosen_contenders, chosen_rows, load


@pytest.fixture
def cupy():
    with fake_cupy.in_place() as module:
        yield module
        mg.set_backend("numba")


@pytest.mark.parametrize("row", ["mlp 10-64-64-1", "logistic 10-1"])
def test_a_training_step_is_that_of_the_host(cupy, row):
    losses = {}
    for name in ("numpy", "cupy"):
        work = train.build(name, row)
        losses[name] = work.check(work.call())
    np.testing.assert_allclose(losses["cupy"], losses["numpy"], rtol=1e-5)
    server = Server("train", "cupy")
    answer = server.build(row)
    np.testing.assert_allclose(answer["numbers"], losses["numpy"], rtol=1e-5)
    fake_cupy.state.log.clear()
    assert server.turn(0.001)["seconds"] > 0
    assert fake_cupy.state.log.count("event") == 2 and "event reached" in fake_cupy.state.log


def test_a_kernel_row_is_that_of_the_host(cupy):
    rows = [name for name in kernels.BY_NAME if name.startswith(("softmax", "layer_norm", "Adam,"))]
    assert len(rows) >= 3
    for row in rows[:4]:
        numbers = {}
        for name in ("numpy", "cupy"):
            work = kernels.build(name, row, small=True)
            numbers[name] = work.check(work.call())
        np.testing.assert_allclose(numbers["cupy"], numbers["numpy"], rtol=1e-3, atol=1e-4)
        assert work.timed(work.call, 2) > 0


def test_rates_of_the_device(cupy, monkeypatch):
    monkeypatch.setattr(floors, "PRODUCT", 32)
    monkeypatch.setattr(floors, "COPIES", {"copy 4 KiB": 4096})
    for row, amount in (("copy 4 KiB", 2.0 * 4096), (floors.ALL, 2.0 * 32**3), (floors.ONE, 2.0 * 32**3)):
        work = floors.build("cupy", row)
        assert work.check(work.call()) == [amount] and work.timed(work.call, 3) > 0


def test_like_is_set_beside_like(cupy, monkeypatch):
    monkeypatch.setattr(contenders, "missing", lambda name: "")
    options = lambda backend, peers=None: argparse.Namespace(backend=backend, peers=peers)
    suite = load("train")
    assert chosen_contenders(suite, options(["cupy"]))[0] == ["cupy", "torch-cuda"]
    assert "torch-cuda" not in chosen_contenders(suite, options(["numba"]))[0]
    assert {"torch", "torch-cuda"} < {*chosen_contenders(suite, options(["numba", "cupy"]))[0]}
    assert chosen_contenders(suite, options(["cupy"], ["torch"]))[0] == ["cupy", "torch"]


def test_the_device_is_named(cupy):
    assert contenders.gpu() == "Fake H100, 1 GiB, CUDA 12.2, driver for CUDA 12.4"


def test_without_a_gpu_the_command_says_why(capsys):
    if mg.cuda.is_available():
        pytest.skip("there is a GPU")
    assert main(["bench", "train", "--backend", "cupy"]) == 2
    assert "CuPy is not installed" in capsys.readouterr().err or mg.cuda.why_not()
    assert contenders.gpu() == ""


# ---- other precisions --------------------------------------------------------------------------------------------
NARROW = [
    "softmax (4096, 1024) bfloat16 + grad",
    "linear (4096, 512) to 512 bfloat16 + grad",
    "gelu (4096, 1024) bfloat16 forward",
]


@pytest.mark.parametrize("row", NARROW)
def test_a_row_in_bfloat16_is_that_of_float32_but_for_rounding(cupy, row):
    pytest.importorskip("ml_dtypes")
    exact = kernels.build("numpy", precisions.plain(row), small=True)
    work = kernels.build("cupy", row, small=True)
    y = work.call()
    assert y.dtype == mg.bfloat16 and y.is_cuda
    numbers = {"exact": exact.check(exact.call()), "cupy": work.check(y)}
    assert not measure.disagreement(numbers, precisions.tolerance(row, kernels.SUITE.tolerance))


def test_a_step_in_bfloat16_runs_in_autocast(cupy, monkeypatch):
    pytest.importorskip("ml_dtypes")
    seen = []
    monkeypatch.setattr(nn.Linear, "forward", lambda self, x, f=nn.Linear.forward: seen.append(f(self, x)) or seen[-1])
    losses = {}
    for row in ("mlp 10-64-64-1", "mlp 10-64-64-1 bfloat16"):
        seen.clear()
        work = train.build("cupy", row)
        losses[row] = work.check(work.call())
        assert {t.dtype for t in seen} == {mg.bfloat16 if "bfloat16" in row else mg.float32}
    exact, narrow = losses.values()
    np.testing.assert_allclose(narrow, exact, rtol=3e-2)
    assert exact != narrow


def test_tf32_is_switched_by_the_row(cupy, monkeypatch):
    said = []
    monkeypatch.setattr(CupyBackend, "set_tf32", lambda self, flag: said.append(flag))
    monkeypatch.setattr(floors, "PRODUCT", 32)
    for row in ("matmul 32 TF32 forward", "matmul 32 forward", "matmul 32 bfloat16 forward"):
        monkeypatch.setitem(kernels.ON_GPU, row, kernels.BY_NAME["matmul 32 forward"])
        kernels.build("cupy", row)
    for row in (*floors.PRODUCTS, floors.ALL):
        work = floors.build("cupy", row)
        assert work.check(work.call()) == [2.0 * 32**3]
    train.build("cupy", "mlp 10-64-64-1 TF32")
    assert said == [True, False, False, True, False, False, True]


def test_rows_of_other_precisions_are_for_gpus(cupy, monkeypatch):
    for suite in (load("kernels"), load("train")):
        rows = chosen_rows(suite, None)
        assert rows == suite.rows and not any(map(precisions.precision, rows))
        assert {*map(precisions.plain, suite.on_gpu)} <= {*rows} and len({*suite.on_gpu}) == len(suite.on_gpu)
        assert chosen_rows(suite, "tf32", on_gpu=True) == [r for r in suite.on_gpu if "TF32" in r] != []
    row = suite.on_gpu[0]
    assert [n for n in ("numpy", "cupy", "torch", "torch-cuda") if precisions.takes_part(n, row)] == [
        "cupy",
        "torch-cuda",
    ]
    asked = []
    monkeypatch.setattr(bench, "measured", lambda suite, rows, *rest: asked.append(rows) or {"rows": []})
    monkeypatch.setattr(floors, "rates", lambda **_: {})
    for backend in ("numba", "cupy"):
        assert main(["bench", "kernels", "--only", "matmul 1024", "--backend", backend]) == 0
    assert asked[0] == ["matmul 1024 forward", "matmul 1024 + grad"]
    assert asked[1][2:] == [f"matmul 1024 {p} {way}" for p in precisions.PRECISIONS for way in ("forward", "+ grad")]


def test_the_floor_of_a_precision(cupy):
    flops, moved = kernels.cost("matmul 256 + grad")
    kernels.ON_GPU["matmul 256 bfloat16 + grad"] = kernels.BY_NAME["matmul 256 + grad"]
    try:
        assert kernels.cost("matmul 256 bfloat16 + grad") == (flops, moved / 2)
    finally:
        del kernels.ON_GPU["matmul 256 bfloat16 + grad"]
    rates = {floors.ALL: 1e9, "product, TF32": 8e9, **dict.fromkeys(floors.COPIES, 1e12)}
    assert floors.seconds(8e9, 0, rates) == 8 and floors.seconds(8e9, 0, rates, "product, TF32") == 1
    accountant = type("accountant", (), {"ask": lambda self, **_: {"flops": 8e9, "bytes": 0.0}})()
    result = {"contenders": {"cupy": {"median": 2.0}}, "ours": "cupy"}
    assert floor(accountant, "matmul 1024 TF32 forward", result, rates)["times"] == 2
    assert floor(accountant, "matmul 1024 bfloat16 forward", result, rates) == {}
