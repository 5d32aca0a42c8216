"""GradScaler, master weights, training in half precision: beside PyTorch, resumed with the same bits, by command."""

import json

import numpy as np
import pytest

import minigrad as mg
from minigrad import amp, nn, optim
from minigrad.__main__ import main
from minigrad.data import ArrayDataset, DataLoader
from minigrad.errors import ArgumentError, GradError, StateError
from minigrad.nn import functional as F
from minigrad.train import Accuracy, ClipGradients, Trainer

pytest.importorskip("ml_dtypes")


def network():
    mg.manual_seed(3)
    return nn.Sequential(nn.Linear(8, 16), nn.ReLU(), nn.LayerNorm(16), nn.Linear(16, 3))


def samples(n=48):
    rng = np.random.default_rng(5)
    x = rng.standard_normal((n, 8)).astype("f4")
    return ArrayDataset(x, (x[:, :3] * 2).argmax(1))


# ---- GradScaler --------------------------------------------------------------------------------------------------
def test_state_and_scale_follow_pytorchs():
    """The same finite and infinite gradients, step by step: the same scale, tracker and weights."""
    torch = pytest.importorskip("torch")
    options = {"init_scale": 4.0, "growth_interval": 2}
    ours, theirs = amp.GradScaler(**options), torch.amp.GradScaler("cpu", **options)
    w, tw = mg.tensor([1.0, 2.0], requires_grad=True), torch.tensor([1.0, 2.0], requires_grad=True)
    o, to = optim.SGD([w], lr=0.1), torch.optim.SGD([tw], lr=0.1)
    for factor in (1.0, 0.5, np.inf, 1.0, np.nan, 2.0, 1.0, 1.0):
        o.zero_grad(), to.zero_grad()
        ours.scale((w * w).sum()).backward()
        theirs.scale((tw * tw).sum()).backward()
        w.grad, tw.grad = w.grad * factor, tw.grad * factor
        ours.step(o), theirs.step(to)
        ours.update(), theirs.update()
        assert ours.state_dict() == theirs.state_dict()
        np.testing.assert_allclose(w.detach().numpy(), tw.detach().numpy(), rtol=1e-6)
    again = amp.GradScaler()
    again.load_state_dict(theirs.state_dict())
    assert again.state_dict() == ours.state_dict() and again.get_scale() == ours.get_scale()


def test_unscaled_gradients_can_be_clipped():
    w = mg.tensor([3.0, 4.0], requires_grad=True)
    optimizer, scaler = optim.SGD([w], lr=1.0), amp.GradScaler(init_scale=1024.0)
    scaler.scale((w * w).sum() / 2).backward()
    scaler.unscale_(optimizer)
    assert w.grad.tolist() == [3.0, 4.0]
    nn.utils.clip_grad_norm_([w], 1.0)
    scaler.step(optimizer)
    scaler.update()
    np.testing.assert_allclose(w.detach().numpy(), [2.4, 3.2], rtol=1e-5)


def test_the_device_is_read_once_per_step():
    """Two hundred parameters, one answer."""
    from strict import STRICT

    with mg.use_backend("strict"):
        ws = [mg.ones(3, requires_grad=True) for _ in range(200)]
        optimizer, scaler = optim.SGD(ws, lr=0.1), amp.GradScaler(init_scale=8.0)
        scaler.scale(sum((w * w).sum() for w in ws)).backward()
        before = STRICT.downloads
        scaler.step(optimizer)
        scaler.update()
        assert STRICT.downloads == before + 1
        np.testing.assert_allclose(ws[7].detach().numpy(), 0.8, rtol=1e-6)


def test_several_losses_and_optimizers():
    a, b = mg.ones(2, requires_grad=True), mg.ones(2, requires_grad=True)
    first, second, scaler = optim.SGD([a], lr=0.1), optim.SGD([b], lr=0.1), amp.GradScaler(init_scale=2.0)
    for loss in scaler.scale([a.sum(), b.sum()]):
        loss.backward()
    b.grad = b.grad * np.inf
    scaler.step(first)
    scaler.step(second)  # infinite: left out
    scaler.update()
    np.testing.assert_allclose(a.detach().numpy(), 0.9)
    assert b.tolist() == [1.0, 1.0] and scaler.get_scale() == 1.0


def test_off_it_does_nothing():
    w = mg.ones(1, requires_grad=True)
    optimizer, scaler = optim.SGD([w], lr=0.5), amp.GradScaler(enabled=False)
    assert scaler.scale(w) is w and scaler.get_scale() == 1.0 and scaler.state_dict() == {}
    (w * w).sum().backward()
    scaler.unscale_(optimizer), scaler.step(optimizer), scaler.update()
    assert w.item() == 0.0


def test_wrong_order_is_an_error():
    w = mg.ones(1, requires_grad=True)
    optimizer, scaler = optim.SGD([w], lr=0.5), amp.GradScaler()
    with pytest.raises(GradError, match="no gradients were checked"):
        scaler.update()
    w.grad = mg.ones(1)
    scaler.unscale_(optimizer)
    with pytest.raises(GradError, match="unscaled already"):
        scaler.unscale_(optimizer)
    scaler.step(optimizer)
    with pytest.raises(GradError, match="has stepped"):
        scaler.step(optimizer)
    with pytest.raises(GradError, match="before step"):
        scaler.unscale_(optimizer)
    with pytest.raises(ArgumentError, match="closure"):
        scaler.step(optimizer, lambda: None)
    with pytest.raises(StateError, match="lacks scale"):
        scaler.load_state_dict({})
    with pytest.raises(ArgumentError, match="backoff_factor"):
        amp.GradScaler(backoff_factor=1.5)
    h = mg.ones(1).half().requires_grad_()
    h.grad = mg.ones(1).half()
    with pytest.raises(GradError, match="float16 gradients"):
        amp.GradScaler().unscale_(optim.SGD([h], lr=0.1))


def test_scaling_saves_small_gradients():
    """What float16 would round to zero arrives."""
    x = mg.tensor([1e-4], requires_grad=True)
    for scaler, arrives in ((amp.GradScaler(enabled=False), False), (amp.GradScaler(), True)):
        w, optimizer = x.detach().clone().requires_grad_(), None
        optimizer = optim.SGD([w], lr=1.0)
        with mg.autocast("cpu", dtype="float16"):
            y = F.linear(w.reshape(1, 1), mg.tensor([[1e-4]]))
            loss = y.float().sum() * 1e-4
        scaler.scale(loss).backward()
        scaler.unscale_(optimizer)
        assert (w.grad.item() != 0) is arrives


# ---- master weights ----------------------------------------------------------------------------------------------
@pytest.mark.parametrize("kind", ["SGD", "Adam", "AdamW", "RMSprop"])
def test_small_steps_add_up_in_the_master_copy(kind):
    """1000 steps of 1e-4 of the weight each: a bfloat16 weight alone would never move."""
    half, full = mg.ones(4).bfloat16().requires_grad_(), mg.ones(4, requires_grad=True)
    optimizers = [getattr(optim, kind)([p], lr=1e-4) for p in (half, full)]
    for _ in range(200):
        for p, optimizer in zip((half, full), optimizers):
            p.grad = mg.ones(4).to(p.dtype)
            optimizer.step()
    master = optimizers[0].state[half]["master"]
    assert master.dtype == "float32" and half.dtype == "bfloat16"
    np.testing.assert_allclose(master.numpy(), full.detach().numpy(), rtol=1e-5)
    assert half.tolist() == master.bfloat16().tolist() != [1.0] * 4
    assert all(t.dtype == "float32" for t in optimizers[0].state[half].values())
    stuck = mg.ones(4).bfloat16().requires_grad_()
    plain = optim.SGD([stuck], lr=1e-4)
    plain.master_weights = False
    stuck.grad = mg.ones(4).bfloat16()
    plain.step()
    assert stuck.tolist() == [1.0] * 4 and not plain.state.get(stuck)


def test_master_copies_are_saved_and_give_way_to_other_writers():
    w = mg.ones(2).half().requires_grad_()
    optimizer = optim.Adam([w], lr=1e-4)
    for _ in range(3):
        w.grad = mg.ones(2).half()
        optimizer.step()
    saved = optimizer.state_dict()
    other = mg.tensor(w.numpy()).requires_grad_()
    resumed = optim.Adam([other], lr=1e-4)
    resumed.load_state_dict(saved)
    for p, o in ((w, optimizer), (other, resumed)):
        p.grad = mg.ones(2).half()
        o.step()
    np.testing.assert_array_equal(optimizer.state[w]["master"].numpy(), resumed.state[other]["master"].numpy())
    with mg.no_grad():
        w[...] = 5.0
    w.grad = mg.ones(2).half()
    optimizer.step()
    assert abs(w[0].item() - 5.0) < 0.01


# ---- Trainer -----------------------------------------------------------------------------------------------------
def trainer(precision, **options):
    model = network()
    return Trainer(
        model, F.cross_entropy, optim.Adam(model.parameters(), lr=0.02), metrics=[Accuracy()], precision=precision,
        callbacks=[ClipGradients(1.0)], **options,
    )  # fmt: skip


@pytest.mark.parametrize("precision", ["32-true", "bf16-mixed", "16-mixed", "bf16-true", "16-true", "64-true"])
def test_training_learns(precision):
    t = trainer(precision, accumulate=2)
    history = t.fit(DataLoader(samples(), 8, shuffle=True, seed=1), DataLoader(samples(), 16), epochs=12)
    assert history["validation_accuracy"][-1] > 0.9
    parameters = {"bf16-true": "bfloat16", "16-true": "float16", "64-true": "float64"}.get(precision, "float32")
    assert {p.dtype.name for p in t.model.parameters()} == {parameters}


@pytest.mark.parametrize("precision", ["16-mixed", "bf16-mixed", "bf16-true"])
def test_resumed_training_has_the_same_bits(precision):
    whole = trainer(precision)
    whole.fit(DataLoader(samples(), 8, shuffle=True, seed=1), epochs=4)
    first = trainer(precision)
    first.fit(DataLoader(samples(), 8, shuffle=True, seed=1), epochs=2)
    state = first.state_dict()
    second = trainer(precision)
    second.load_state_dict(state)
    second.fit(DataLoader(samples(), 8, shuffle=True, seed=1), epochs=2)
    for p, q in zip(whole.model.parameters(), second.model.parameters()):
        np.testing.assert_array_equal(p.detach().numpy(), q.detach().numpy())
    assert whole.history == second.history
    assert whole.precision.scaler.state_dict() == second.precision.scaler.state_dict()


def test_an_overflowing_step_is_left_out():
    t = trainer("16-mixed")
    t.precision.scaler.load_state_dict(t.precision.scaler.state_dict() | {"scale": 2.0**40})
    before = [p.detach().numpy().copy() for p in t.model.parameters()]
    t.fit(DataLoader(samples(8), 8))
    for p, old in zip(t.model.parameters(), before):
        np.testing.assert_array_equal(p.detach().numpy(), old)
    assert t.precision.scaler.get_scale() == 2.0**39


def test_unknown_precision():
    with pytest.raises(ArgumentError, match="precision: must be one of 32-true"):
        trainer("fp8")


# ---- the command -------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("precision", ["bf16-mixed", "16-mixed"])
def test_command(precision, tmp_path, capsys):
    command = ["train", "logistic-regression", "--smoke", "--precision", precision, "--out", str(tmp_path)]
    assert main(command) == 0
    assert json.loads((tmp_path / "results.json").read_text())["options"]["precision"] == precision
    assert main([*command, "--resume"]) == 0
    assert main([*command[:3], "--out", str(tmp_path), "--resume"]) == 2
    assert "precision" in capsys.readouterr().err
    assert main(["evaluate", "logistic-regression", "--smoke", "--out", str(tmp_path)]) == 0
