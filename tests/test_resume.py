"""A run that was killed and resumed ends with the same bits as one that never stopped."""

import os
import signal
import subprocess
import sys
import time

import numpy as np
import pytest

import minigrad as mg
from minigrad import io, nn, optim
from minigrad.data import ArrayDataset, DataLoader
from minigrad.errors import DataError, StateError
from minigrad.nn import functional as F
from minigrad.train import Accuracy, EarlyStopping, LRSchedule, SaveState, Trainer, load_state, save_state

X = np.random.default_rng(0).normal(size=(50, 6)).astype(np.float32)
Y = (X[:, 0] > 0).astype(np.int64)


def made(*callbacks, accumulate=1):
    """A trainer with everything that has a state: momentum, batch norm, dropout, a schedule, early stopping."""
    mg.manual_seed(0)
    model = nn.Sequential(nn.Linear(6, 8), nn.BatchNorm1d(8), nn.ReLU(), nn.Dropout(0.3), nn.Linear(8, 2))
    optimizer = optim.AdamW(model.parameters(), lr=0.01)
    schedule = LRSchedule(optim.lr_scheduler.OneCycleLR(optimizer, max_lr=0.02, total_steps=40))
    watch = EarlyStopping(patience=3)
    return Trainer(
        model,
        F.cross_entropy,
        optimizer,
        metrics=[Accuracy()],
        callbacks=[schedule, watch, *callbacks],
        accumulate=accumulate,
    )


def loader(shared):
    noise = lambda x, generator: x + generator.numpy("standard_normal", x.shape).astype(np.float32)
    return DataLoader(ArrayDataset(X, Y), 8, shuffle=True, transform=noise, seed=None if shared else 1)


class StopAt(mg.train.Callback):
    def __init__(self, batch):
        self.left = batch

    def batch_end(self, trainer):
        self.left -= 1
        trainer.stopping = trainer.stopping or self.left == 0


@pytest.mark.parametrize("shared", [False, True], ids=["own generator", "shared generator"])
@pytest.mark.parametrize("stop", [1, 3, 7, 8, 14, 15])  # 7 batches an epoch: in it, at its end, at the next one's start
@pytest.mark.parametrize("suffix", ["npz", "safetensors"])
def test_stopped_and_resumed_is_as_never_stopped(tmp_path, stop, shared, suffix):
    path, validation = tmp_path / f"state.{suffix}", DataLoader(ArrayDataset(X, Y), 25)
    whole = made()
    whole.fit(loader(shared), validation, 4)

    first = made(StopAt(stop), SaveState(path))
    first.fit(loader(shared), validation, 4)
    second = made(StopAt(-1), SaveState(path))
    second.load_state_dict(io.load(path))
    second.fit(loader(shared), validation, 4 - (second.epoch - second.within))

    for a, b in zip(whole.model.state_dict().values(), second.model.state_dict().values(), strict=True):
        assert (a.numpy() == b.numpy()).all()
    assert second.history == whole.history


def test_accumulated_gradients_are_those_of_the_joint_batch():
    big, small = made(), made(accumulate=4)
    for t, size in ((big, 40), (small, 10)):
        t.model[1].eval(), t.model[3].eval()
        t.callbacks = ()
        t.model.train = lambda mode=True: None  # keep batch norm and dropout out of it
        t.fit(DataLoader(ArrayDataset(X[:40], Y[:40]), size), epochs=3)
    for a, b in zip(big.model.parameters(), small.model.parameters(), strict=True):
        np.testing.assert_allclose(a.numpy(), b.numpy(), rtol=2e-4, atol=1e-6)


@pytest.mark.parametrize("stop", [1, 4, 6, 7, 9])  # groups of 3 batches, and 1 at the end of an epoch of 7
def test_gradients_that_wait_for_more_batches_are_part_of_the_state(tmp_path, stop):
    path, validation = tmp_path / "state.safetensors", DataLoader(ArrayDataset(X, Y), 25)
    whole = made(accumulate=3)
    whole.fit(loader(False), validation, 3)
    first = made(StopAt(stop), SaveState(path), accumulate=3)
    first.fit(loader(False), validation, 3)
    second = made(StopAt(-1), SaveState(path), accumulate=3)
    second.load_state_dict(io.load(path))
    second.fit(loader(False), validation, 3 - (second.epoch - second.within))
    for a, b in zip(whole.model.parameters(), second.model.parameters(), strict=True):
        assert (a.numpy() == b.numpy()).all()


def test_data_of_unknown_length_lose_no_gradient():
    """The last batches of an epoch, too few for a group, make a step as those of a list do."""
    batches = [(mg.tensor(X[i : i + 10]), mg.tensor(Y[i : i + 10])) for i in range(0, 50, 10)]
    trained = []
    for data in (batches, iter(batches)):
        trained.append(made(accumulate=3))
        trained[-1].callbacks = ()
        trained[-1].fit(data, epochs=1)
    known, unknown = trained
    for a, b in zip(known.model.parameters(), unknown.model.parameters(), strict=True):
        assert (a.numpy() == b.numpy()).all()


def test_a_loop_by_hand_can_save_and_go_on(tmp_path):
    def parts():
        mg.manual_seed(0)
        model = nn.Linear(6, 2)
        return {"model": model, "optimizer": optim.Adam(model.parameters()), "data": loader(False)}

    def run(p, batches):
        for x, y in p["data"]:
            loss = F.cross_entropy(F.dropout(p["model"](x), 0.5), y)
            p["optimizer"].zero_grad()
            loss.backward()
            p["optimizer"].step()
            batches -= 1
            if not batches:
                return

    whole = parts()
    run(whole, 7)
    first = parts()
    run(first, 3)
    save_state(first, tmp_path / "run.npz")
    mg.randn(10)
    second = parts()
    load_state(second, tmp_path / "run.npz")
    run(second, 4)
    assert (whole["model"].weight.numpy() == second["model"].weight.numpy()).all()


def test_the_state_of_something_else_is_refused(tmp_path):
    t = made()
    state = t.state_dict()
    with pytest.raises(StateError, match="it lacks parts"):
        t.load_state_dict({"weight": 1})
    other = Trainer(nn.Linear(6, 2), F.cross_entropy, optim.SGD(nn.Linear(6, 2).parameters()), metrics=[Accuracy()])
    with pytest.raises(StateError, match="something else"):
        other.load_state_dict(state)
    with pytest.raises(StateError, match="metrics differ"):
        Trainer(t.model, F.cross_entropy, t.optimizer).load_state_dict(state)
    io.save(t.model.state_dict(), tmp_path / "w.npz")
    with pytest.raises(DataError, match="weights file"):
        load_state({"model": t.model}, tmp_path / "w.npz")


# ---- the command line ------------------------------------------------------------------------------------------------
START = "import sys; from minigrad.__main__ import main; sys.exit(main())"


def command(out, *arguments):
    options = ["--backend", "numpy", "--epochs", "6", "--batch-size", "48", "--set", "width=8", "--out", str(out)]
    return [sys.executable, "-c", START, "train", "digits-cnn", *options, *arguments]


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    out = tmp_path_factory.mktemp("whole")
    done = subprocess.run(command(out), capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    return io.load(out / "weights.safetensors")


@pytest.mark.parametrize("lines", [2, 4])
def test_killed_and_resumed(whole, tmp_path, lines):
    process = subprocess.Popen(command(tmp_path), stdout=subprocess.PIPE, text=True)
    for _ in range(lines):
        process.stdout.readline()
    time.sleep(0.05 * lines)  # somewhere in the next epoch
    os.kill(process.pid, signal.SIGKILL)
    process.communicate()
    done = subprocess.run(command(tmp_path, "--resume"), capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    resumed = io.load(tmp_path / "weights.safetensors")
    assert all((resumed[name].numpy() == w.numpy()).all() for name, w in whole.items())


def test_resume_refuses_other_options_and_nothing_to_resume(tmp_path):
    done = subprocess.run(command(tmp_path, "--resume"), capture_output=True, text=True, timeout=300)
    assert done.returncode == 2 and "there is no run to resume" in done.stderr
    assert subprocess.run(command(tmp_path, "--smoke"), capture_output=True, timeout=300).returncode == 0
    done = subprocess.run(command(tmp_path, "--smoke", "--resume", "--lr", "1"), capture_output=True, text=True)
    assert done.returncode == 2 and "lr 0.003, now 1.0" in done.stderr
