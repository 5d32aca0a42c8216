"""utils.tensorboard: a loop written by hand writes files that TensorBoard's own format says are whole."""

import numpy as np
import pytest

import minigrad as mg
from minigrad.errors import ArgumentError, ExtraError
from minigrad.utils.tensorboard import SummaryWriter


def test_tensors_are_written(tmp_path):
    pytest.importorskip("tensorboardX")
    from tensorboardX.proto.event_pb2 import Event

    writer = SummaryWriter(str(tmp_path))
    weight = mg.randn(3, 4, requires_grad=True)
    writer.add_scalar("loss", (weight**2).sum(), 7)
    writer.add_scalars("rates", {"a": mg.tensor(0.5), "b": 0.25}, 7)
    writer.add_histogram("weight", weight, 7)
    writer.add_image("digit", mg.rand(1, 8, 8), 7)
    with pytest.raises(ArgumentError, match=r"onnx\.export"):
        writer.add_graph(None)
    writer.close()

    found = {}
    (path,) = tmp_path.glob("events*")
    content = path.read_bytes()
    while content:  # length, its checksum, the event, its checksum
        length = int.from_bytes(content[:8], "little")
        for value in Event.FromString(content[12 : 12 + length]).summary.value:
            found[value.tag] = value
        content = content[12 + length + 4 :]
    assert found["loss"].simple_value == pytest.approx((weight.detach().numpy() ** 2).sum(), rel=1e-6)
    assert found["weight"].histo.num == 12
    np.testing.assert_allclose(found["weight"].histo.sum, weight.sum().item(), rtol=1e-5, atol=1e-6)
    assert found["digit"].image.height == 8


def test_a_missing_package_is_named(tmp_path, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "tensorboardX", None)
    with pytest.raises(ExtraError, match="tensorboardX is not installed"):
        SummaryWriter(str(tmp_path))


def test_variable_is_a_leaf_on_the_same_memory():
    x = mg.ones(2) * 3
    v = mg.autograd.Variable(x, requires_grad=True)
    assert v.is_leaf and v.requires_grad and np.shares_memory(v.detach().numpy(), x.numpy())
