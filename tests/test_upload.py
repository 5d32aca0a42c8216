"""Batches that go to a device: the same ones, one ahead, resumed at the right place."""

import fake_cupy
import numpy as np
import pytest

import minigrad as mg
from minigrad import nn, optim
from minigrad.data import ArrayDataset, DataLoader, IterableDataset
from minigrad.errors import BackendError
from minigrad.nn import functional as F
from minigrad.train import Accuracy, Trainer


@pytest.fixture
def cupy():
    with fake_cupy.in_place(devices=2) as module:
        yield module


def data(n=10):
    x = np.arange(3.0 * n, dtype="f4").reshape(n, 3) / n
    return ArrayDataset(x, np.arange(n) % 2)


def lists(loader):
    return [[part.cpu().tolist() for part in batch] for batch in loader]


@pytest.mark.parametrize("device", ["cupy", "cuda:1", "strict", "cpu"])
def test_the_batches_are_the_same(cupy, device):
    expected = lists(DataLoader(data(), 4, shuffle=True, seed=1))
    loader = DataLoader(data(), 4, shuffle=True, seed=1, num_workers=1).to(device)
    assert {str(t.device) for batch in loader for t in batch} == {str(mg.device(device))}
    loader = DataLoader(data(), 4, shuffle=True, seed=1).to(device)
    assert lists(loader) == expected and len(loader) == 3


def test_pinned_memory_where_new_tensors_are_made(cupy):
    with mg.use_backend("cupy"):
        assert {t.device for batch in DataLoader(data(), 4, pin_memory=True) for t in batch} == {"cupy"}
        assert fake_cupy.state.pinned > 0
        assert {t.device for batch in DataLoader(data(), 4) for t in batch} == {"cupy"}
    assert {t.device for batch in DataLoader(data(), 4, pin_memory=True) for t in batch} == {"cpu"}


def test_one_ahead_on_a_stream_of_its_own(cupy):
    """The next batch is handed to the copying stream before this one's step; the step's stream waits, not the host."""
    log, seen = fake_cupy.state.log, []
    for x, _ in DataLoader(data(12), 4).to("cupy"):
        log.append("step")
        seen.append(x)
    side = next(line for line in log if line.startswith("copy in"))[len("copy in ") :]
    assert side != "stream 0"
    order = [line for line in log if line == "step" or line.startswith("copy in") or "stream 0 waits" in line]
    copy, wait = [f"copy in {side}"] * 2, [f"stream 0 waits for {side}"]
    assert order == [*copy, *copy, *wait, "step", *copy, *wait, "step", *wait, "step"]
    assert f"{side} waits for stream 0" in log  # memory of batches that are gone is taken only when they have been read
    assert log.count("event reached") == 1  # three batches, two sets of buffers
    assert [float(x[0, 0].item()) for x in seen] == [0.0, 1.0, 2.0]  # none was overwritten by a later one


def test_streams_of_samples_end(cupy):
    class Numbers(IterableDataset):
        def __iter__(self):
            return iter(np.arange(5, dtype="f4"))

    assert [x.tolist() for x in DataLoader(Numbers(), 2).to("cupy")] == [[0, 1], [2, 3], [4]]


def test_dicts_and_what_is_no_array(cupy):
    samples = [{"x": np.ones(2, "f4") * i, "name": str(i)} for i in range(4)]
    first, second = DataLoader(samples, 2).to("cupy")
    assert first["name"] == ["0", "1"] and second["x"].tolist() == [[2, 2], [3, 3]] and first["x"].is_cuda


def test_the_place_is_that_of_the_batches_given_out(cupy):
    loader = DataLoader(data(), 2, shuffle=True, seed=3).to("cupy")
    whole = lists(DataLoader(data(), 2, shuffle=True, seed=3))
    batches = iter(loader)
    got = [[t.cpu().tolist() for t in next(batches)] for _ in range(2)]
    state = loader.state_dict()
    assert state["done"] == 2 and got == whole[:2]
    other = DataLoader(data(), 2, shuffle=True, seed=9).to("cupy")
    other.load_state_dict(state)
    assert lists(other) == whole[2:]


def test_a_trainer_on_a_device(cupy):
    """The model and the batches go there; the figures are those of the host."""

    def trained(device, **options):
        mg.manual_seed(0)
        model = nn.Sequential(nn.Linear(3, 8), nn.Tanh(), nn.Linear(8, 2))
        trainer = Trainer(
            model, F.cross_entropy, optim.Adam(model.parameters(), lr=0.05), metrics=[Accuracy()], device=device
        )
        loader = DataLoader(data(), 4, shuffle=True, seed=1)
        history = trainer.fit(loader.to(device) if options else loader, DataLoader(data(), 5), epochs=3)
        assert {p.device for p in model.parameters()} == {str(mg.device(device))}
        return history, trainer.predict(DataLoader(data(), 5)).cpu().numpy()

    expected, predicted = trained("cpu")
    for device, options in (("cupy", {}), ("cupy", {"prefetch": True}), ("cuda:1", {})):
        history, also = trained(device, **options)
        for name, values in expected.items():
            np.testing.assert_allclose(history[name], values, rtol=1e-5)
        np.testing.assert_allclose(also, predicted, rtol=1e-4, atol=1e-6)


def test_one_look_at_the_device_a_step(cupy):
    """The loss is read; nothing else, with clipping, label checks and the optimizer in it."""
    from minigrad.train import ClipGradients

    model = nn.Sequential(nn.Linear(3, 8), nn.Tanh(), nn.Linear(8, 2))
    optimizer = optim.SGD(model.parameters(), lr=0.05)
    trainer = Trainer(model, F.cross_entropy, optimizer, device="cupy", callbacks=[ClipGradients(1.0)])
    fake_cupy.state.log.clear()
    trainer.fit(DataLoader(data(12), 4).to("cupy"))
    downloads = fake_cupy.state.log.count("download")
    assert downloads == 3 + 3  # three losses, and with each the labels' bounds, which are there by then


def test_a_device_that_is_not_there():
    with pytest.raises(BackendError, match="there is no backend 'tpu'"):
        DataLoader(data(), 2).to("tpu")
