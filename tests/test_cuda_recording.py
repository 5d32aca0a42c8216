"""What a recorded step must not do is refused: by the operation's name, the line that asked for it and what to do."""

import re

import fake_cupy
import numpy as np
import pytest

import minigrad as mg
from minigrad import cuda, nn
from minigrad.errors import BackendError, IndexRangeError, OutOfMemoryError

ONES = np.ones(3, np.float32)


@pytest.fixture
def cupy():
    with fake_cupy.in_place() as module:
        yield module


@pytest.mark.parametrize(
    "body, name",
    [
        (lambda x: x * x.sum().item(), "item"),
        (lambda x: x * float(x.sum()), "float"),
        (lambda x: x if x.sum() > 0 else -x, "bool"),
        (lambda x: str(x) and x, "(str|repr|format)"),
        (lambda x: x.numpy() is not None and x, "numpy"),
        (lambda x: x[x > 0], "getitem"),
        (lambda x: x + mg.tensor(ONES, device="cupy"), "tensor"),
        (lambda x: mg.sort(x)[0], "sort"),
        (lambda x: cuda.synchronize() or x, "synchronize"),
        (lambda x: cuda.current_stream().synchronize() or x, "synchronize"),
        (lambda x: cuda.current_stream().record_event().synchronize() or x, "synchronize"),
    ],
)
def test_the_operation_and_the_line_are_named(cupy, body, name):
    step, x = cuda.make_graphed_step(body, mg.ones(3, device="cupy"), warmup=1), mg.ones(3, device="cupy")
    step(x)
    with pytest.raises(BackendError) as caught:
        step(x)
    said = str(caught.value)
    assert re.match(rf"cuda\.graph: {name} at {re.escape(__file__)}:\d+ cannot be recorded \(", said), said
    assert "fixed shapes" in said and "run it a few times first" in said and "read what it returns after" in said
    assert cuda.current_stream() == cuda.default_stream() and (x + 1.0).tolist() == [2.0] * 3


def test_the_line_is_the_user_s_own(cupy):
    """That of the innermost function outside the library, such as a module's forward."""

    class Reads(mg.nn.Module):
        def forward(self, x):
            return x * x.max().item()

    model, x = mg.nn.Sequential(Reads()), mg.ones(3, device="cupy")
    line = Reads.forward.__code__.co_firstlineno + 1
    with pytest.raises(BackendError, match=rf"item at .*test_cuda_recording\.py:{line} "), cuda.graph(cuda.CUDAGraph()):
        model(x)


def test_memory_comes_from_the_graph_s_pool(cupy):
    x, other, g = mg.ones(3, device="cupy"), fake_cupy.MemoryPool(), cuda.CUDAGraph()
    said = pytest.raises(BackendError, match=r"multiply at .*memory of another pool is asked for, \d+ bytes")
    with said, cuda.graph(g), fake_cupy.using_allocator(other.malloc):
        x * 2.0
    g = cuda.CUDAGraph()
    with cuda.graph(g):
        y = x * 2.0
    g.replay()
    assert y.tolist() == [2.0] * 3 and g.pool().used >= 512 and not fake_cupy.state.hooks


def test_no_room_is_explained_while_recording_too(cupy):
    x = mg.ones(64, 2**20, device="cupy")  # a quarter of the device
    with pytest.raises(OutOfMemoryError, match=r"no room for 1\.00 GiB.*smaller batch"), cuda.graph(cuda.CUDAGraph()):
        mg.concat([x, x, x, x])
    assert (x[:1, :1] + 1.0).item() == 2.0


def test_waiting_is_allowed_otherwise(cupy):
    cuda.synchronize()
    cuda.current_stream().synchronize()
    event = cuda.current_stream().record_event()
    event.synchronize()
    mg.get_backend("cupy").synchronize()
    assert fake_cupy.state.log[-1] == "synchronize stream 0"


# ---- labels and indices out of range ---------------------------------------------------------------------------------
WRONG = {
    "cross_entropy": (
        lambda x, i: nn.functional.cross_entropy(x, i[:, 0]),
        "labels must be from 0 to K - 1 = 2.*got 9",
    ),
    "embedding": (lambda x, i: nn.functional.embedding(i, x), "indices must be from 0 to num_embeddings.*got 9"),
    "gather": (lambda x, i: mg.gather(x, 1, i), "indices must be from -3 to 2, for axis 1 has 3 places: got 9"),
    "take": (lambda x, i: mg.take(x, i[:, 0], 1), "indices must be from -3 to 2, for axis 1 has 3 places: got 9"),
    "take_along_dim": (lambda x, i: mg.take_along_dim(x, i, 1), "indices must be from -3 to 2.*: got 9"),
}


@pytest.mark.parametrize("op", WRONG)
def test_indices_out_of_range(cupy, op, monkeypatch):
    """Noticed when a value is read, which is said with what raises it at once; the two ways then do."""
    call, said = WRONG[op]
    x, i = mg.randn(4, 3).to("cupy"), mg.tensor([[0, 1, 2], [9, 0, 1], [2, 2, 2], [0, 0, 0]], device="cupy")
    fake_cupy.state.log.clear()
    y = call(x, i)
    assert "download" not in fake_cupy.state.log
    with pytest.raises(IndexRangeError, match=rf"{op}: {said}.*detect_anomaly\(\), or with CUDA_LAUNCH_BLOCKING=1"):
        y.numpy()
    y.numpy()  # said once
    with pytest.raises(IndexRangeError, match=said), mg.autograd.detect_anomaly():
        call(x, i)
    monkeypatch.setenv("CUDA_LAUNCH_BLOCKING", "1")
    with pytest.raises(IndexRangeError, match=said):
        call(x, i)
    call(x, i.clip(0, 2))  # in range


def test_indices_of_another_device():
    with fake_cupy.in_place(devices=2):
        x, i = mg.randn(4, 3).to("cupy:1"), mg.tensor([[5]], device="cupy:1")
        with pytest.raises(IndexRangeError, match="got 5"), mg.autograd.detect_anomaly():
            mg.gather(x, 1, i)


def test_negative_indices_count_from_the_end(cupy):
    x, i = mg.tensor([[1.0, 2.0], [3.0, 4.0]]), [[-1, 0], [1, -2]]
    expected = mg.gather(x, 1, i).tolist()
    assert mg.gather(x.to("cupy"), 1, mg.tensor(i, device="cupy")).tolist() == expected
    assert mg.take(x.to("cupy"), mg.tensor([3, -1], device="cupy"), mode="clip").tolist() == [4.0, 1.0]


# ---- other calls that cannot be ------------------------------------------------------------------------------------
def test_a_host_array_given_to_a_model_on_the_gpu(cupy):
    model = nn.Sequential(nn.Linear(3, 2)).to("cupy")
    for x in (ONES, mg.ones(3)):
        with pytest.raises(BackendError, match=r'got cupy and numpy\. Move one with \.to\("cupy"\); an array goes'):
            model(x)
    assert model(mg.tensor(ONES, device="cupy")).is_cuda
