"""The rows of `minigrad bench --backend cupy`, over a stand-in for CuPy: that they compute the right thing."""

import argparse

import fake_cupy
import numpy as np
import pytest
from minigrad.benchmarks import contenders, floors, kernels, train
from minigrad.benchmarks.worker import Server

import minigrad as mg
from minigrad.__main__ import main
from minigrad.cli.bench import chosen_contenders, load


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
