"""Schedules against PyTorch: states that travel both ways, resuming, epochs given, rates in tensors, what warns."""

import inspect
import warnings

import numpy as np
import pytest

import minigrad as mg
from minigrad import optim
from minigrad.errors import ArgumentError, DTypeError, StateError

torch = pytest.importorskip("torch", reason="PyTorch is the oracle of these tests")
OURS, THEIRS = (optim, mg.tensor), (torch.optim, torch.tensor)
S = optim.lr_scheduler


class Bump:
    """A function with a state, which schedules save."""

    def __init__(self, height=0.5):
        self.height = height

    def __call__(self, t):
        return 1 + self.height * (t % 3)


def optimizer_of(side, name="SGD", lr=0.5, tensor_lr=False):
    library, tensor = side
    a, b = tensor([1.0], requires_grad=True), tensor([2.0], requires_grad=True)
    for p in (a, b):
        p.grad = tensor([0.0])
    rate = (lambda v: tensor(v)) if tensor_lr else (lambda v: v)
    options = {"momentum": 0.9} if name == "SGD" else {}
    groups = [{"params": [a], "lr": rate(0.3)}, {"params": [b]}]
    return getattr(library, name)(groups, lr=rate(lr), **options)


SCHEDULES = {
    "LambdaLR": lambda o, L: L.LambdaLR(o, Bump()),
    "MultiplicativeLR": lambda o, L: L.MultiplicativeLR(o, [lambda t: 0.9, Bump(-0.1)]),
    "StepLR": lambda o, L: L.StepLR(o, 3, 0.5),
    "MultiStepLR": lambda o, L: L.MultiStepLR(o, [2, 5, 5], 0.5),
    "ConstantLR": lambda o, L: L.ConstantLR(o, 0.5, 4),
    "LinearLR": lambda o, L: L.LinearLR(o, 0.25, 0.75, 6),
    "ExponentialLR": lambda o, L: L.ExponentialLR(o, 0.8),
    "PolynomialLR": lambda o, L: L.PolynomialLR(o, 7, 1.5),
    "CosineAnnealingLR": lambda o, L: L.CosineAnnealingLR(o, 5, 0.01),
    "WarmRestarts": lambda o, L: L.CosineAnnealingWarmRestarts(o, 3, 2, 0.01),
    "CyclicLR": lambda o, L: L.CyclicLR(o, [0.1, 0.2], 1.0, 3, 2, base_momentum=[0.7, 0.75]),
    "CyclicLR-scale": lambda o, L: L.CyclicLR(o, 0.1, 1.0, 3, scale_fn=Bump(), scale_mode="iterations"),
    "CyclicLR-triangular2": lambda o, L: L.CyclicLR(o, 0.1, 1.0, 2, 3, mode="triangular2", cycle_momentum=False),
    "CyclicLR-exp": lambda o, L: L.CyclicLR(o, 0.1, 1.0, 2, mode="exp_range", gamma=0.95),
    "OneCycleLR": lambda o, L: L.OneCycleLR(o, [1.0, 2.0], 15, pct_start=0.4, div_factor=10, final_div_factor=50),
    "OneCycleLR-3": lambda o, L: L.OneCycleLR(o, 1.0, 15, three_phase=True, anneal_strategy="linear"),
    "OneCycleLR-momentum": lambda o, L: L.OneCycleLR(o, 1.0, 15, base_momentum=0.7, max_momentum=[0.8, 0.9]),
    "Chained": lambda o, L: L.ChainedScheduler([L.LinearLR(o, 0.5), L.StepLR(o, 4)], o),
    "Sequential": lambda o, L: L.SequentialLR(
        o, [L.ConstantLR(o), L.PolynomialLR(o, 4), L.ExponentialLR(o, 0.9)], [3, 7]
    ),
    "Sequential-factors": lambda o, L: L.SequentialLR(o, [L.StepLR(o, 2), L.MultiplicativeLR(o, lambda t: 0.7)], [4]),
    "Sequential-cycles": lambda o, L: L.SequentialLR(
        o, [L.LinearLR(o, 0.5), L.CosineAnnealingWarmRestarts(o, 4), L.CyclicLR(o, 0.1, 1.0, 3)], [3, 8]
    ),
    "SWALR": lambda o, L: swa(L).SWALR(o, [0.05, 0.1], 6),
    "SWALR-linear": lambda o, L: swa(L).SWALR(o, 0.05, anneal_epochs=4, anneal_strategy="linear"),
    "SWALR-at-once": lambda o, L: swa(L).SWALR(o, 0.05, anneal_epochs=0),
}  # fmt: skip
EACH = pytest.mark.parametrize("make", SCHEDULES.values(), ids=SCHEDULES)


def swa(L):
    return optim.swa_utils if L is S else torch.optim.swa_utils


def both(make, name="SGD", **options):
    """((optimizer, schedule) of ours, of PyTorch's)"""
    made = []
    for side in (OURS, THEIRS):
        o = optimizer_of(side, name, **options)
        made.append((o, make(o, side[0].lr_scheduler)))
    return made


def same(ours, theirs, what=""):
    (o, s), (to, ts) = ours, theirs
    np.testing.assert_allclose(s.get_last_lr(), [float(v) for v in ts.get_last_lr()], rtol=1e-12, err_msg=str(what))
    for group, tgroup in zip(o.param_groups, to.param_groups):
        assert set(group) == set(tgroup)
        for key in ("lr", "momentum", "betas"):
            if key in group:
                np.testing.assert_allclose(group[key], tgroup[key], rtol=1e-12, err_msg=f"{key} {what}")


def stepped(pairs, times=1, **options):
    for _ in range(times):
        for o, s in pairs:
            o.step()
            s.step(**options)


@EACH
@pytest.mark.parametrize("name", ["SGD", "AdamW"])
def test_curves(make, name):
    pairs = both(make, name)
    same(*pairs)
    for t in range(14):
        stepped(pairs)
        same(*pairs, t + 1)


def plain(state):
    """States without what cannot be compared, or is a matter of representation."""
    return {k: [plain(s) for s in v] if k == "_schedulers" else v for k, v in state.items()}


@EACH
def test_states_travel(make):
    """The same keys and values, and either continues from the other's."""
    pairs = both(make)
    stepped(pairs, 5)
    (o, s), (to, ts) = pairs
    state, tstate = plain(s.state_dict()), plain(ts.state_dict())

    def compare(a, b):
        assert set(a) == set(b)
        for key, value in b.items():
            if key == "_schedulers":
                for x, y in zip(a[key], value, strict=True):
                    compare(x, y)
            elif isinstance(value, (float, list)) and key != "lr_lambdas" and "_phases" not in key:
                np.testing.assert_allclose(a[key], value, rtol=1e-12, err_msg=key)
            else:
                assert a[key] == value, key

    compare(state, tstate)
    fresh, tfresh = make(optimizer_of(OURS), S), make(optimizer_of(THEIRS), torch.optim.lr_scheduler)
    fresh.load_state_dict(tstate)
    tfresh.load_state_dict(state)
    fresh.optimizer.load_state_dict(to.state_dict())
    tfresh.optimizer.load_state_dict({"state": {}, "param_groups": o.state_dict()["param_groups"]})
    stepped([(fresh.optimizer, fresh), (tfresh.optimizer, tfresh), *pairs], 5)
    same((fresh.optimizer, fresh), pairs[1])
    same(pairs[0], (tfresh.optimizer, tfresh))


RESUMED = [n for n in SCHEDULES if not n.startswith(("Chained", "Sequential", "Cyclic", "OneCycle", "SWALR"))]


@pytest.mark.parametrize("name", RESUMED)
def test_resuming_with_last_epoch(name):
    def make(o, L):
        SCHEDULES[name](o, L)  # notes initial_lr
        makers = {
            "LambdaLR": lambda: L.LambdaLR(o, Bump(), last_epoch=4),
            "MultiplicativeLR": lambda: L.MultiplicativeLR(o, lambda t: 0.9, last_epoch=4),
            "StepLR": lambda: L.StepLR(o, 3, 0.5, last_epoch=4),
            "MultiStepLR": lambda: L.MultiStepLR(o, [2, 5, 5], 0.5, last_epoch=4),
            "ConstantLR": lambda: L.ConstantLR(o, 0.5, 7, last_epoch=4),
            "LinearLR": lambda: L.LinearLR(o, 0.25, 0.75, 6, last_epoch=4),
            "ExponentialLR": lambda: L.ExponentialLR(o, 0.8, last_epoch=4),
            "PolynomialLR": lambda: L.PolynomialLR(o, 7, 1.5, last_epoch=4),
            "CosineAnnealingLR": lambda: L.CosineAnnealingLR(o, 7, 0.01, last_epoch=4),
            "WarmRestarts": lambda: L.CosineAnnealingWarmRestarts(o, 3, 2, 0.01, last_epoch=4),
        }
        return makers[name]()

    pairs = both(make)
    for t in range(5):
        same(*pairs, t)
        stepped(pairs)


@pytest.mark.parametrize("name", [n for n in RESUMED if n not in ("MultiplicativeLR",)])
def test_an_epoch_given(name):
    pairs = both(SCHEDULES[name])
    for epoch in (3, 1, 6, 2):
        if name == "WarmRestarts":
            stepped(pairs, epoch=epoch)
        else:
            for o, s in pairs:
                o.step()
                with pytest.warns(UserWarning, match="epoch"):
                    s.step(epoch)
        same(*pairs, epoch)


@pytest.mark.parametrize("name", ["StepLR", "CosineAnnealingLR", "OneCycleLR", "CyclicLR", "Sequential"])
def test_rates_in_tensors(name):
    """The tensor stays the same one and is filled."""
    o = optimizer_of(OURS, tensor_lr=True)
    rates = [group["lr"] for group in o.param_groups]
    s, plain_s = SCHEDULES[name](o, S), SCHEDULES[name](plain_o := optimizer_of(OURS), S)
    for _ in range(8):
        for optimizer, scheduler in ((o, s), (plain_o, plain_s)):
            optimizer.step()
            scheduler.step()
        assert all(group["lr"] is rate for group, rate in zip(o.param_groups, rates))
        np.testing.assert_allclose(s.get_last_lr(), plain_s.get_last_lr(), rtol=1e-5)


@pytest.mark.parametrize("mode", ["min", "max"])
@pytest.mark.parametrize("options", [
    {}, {"threshold_mode": "abs", "threshold": 0.1, "cooldown": 3}, {"min_lr": [0.05, 0.2], "patience": 0},
    {"eps": 0.05, "patience": 1, "factor": 0.7},
])  # fmt: skip
def test_plateau(mode, options):
    options = {"patience": 2, "factor": 0.5} | options
    pairs = both(lambda o, L: L.ReduceLROnPlateau(o, mode, **options))
    metrics = np.random.default_rng(0).standard_normal(40).cumsum() * 0.2
    for i, metric in enumerate([*metrics[:20], np.nan, *metrics[20:]]):
        for _, s in pairs:
            s.step(mg.tensor(metric) if s is pairs[0][1] else torch.tensor(metric))
        same(*pairs, i)
        assert pairs[0][1].in_cooldown == pairs[1][1].in_cooldown
    (o, s), (to, ts) = pairs
    state, tstate = s.state_dict(), ts.state_dict()
    assert state.pop("best") == pytest.approx(tstate["best"], rel=1e-6)
    assert state == {k: v for k, v in tstate.items() if k != "best"}
    fresh = S.ReduceLROnPlateau(o)
    fresh.load_state_dict(tstate)
    for metric in metrics:
        fresh.step(metric)
        ts.step(metric)
        same((o, fresh), (to, ts))


def test_plateau_after_a_group_was_added():
    for limits in (0.0, [0.0, 0.0]):
        o = optimizer_of(OURS)
        s = S.ReduceLROnPlateau(o, patience=0, min_lr=limits)
        o.add_param_group({"params": [mg.zeros(1, requires_grad=True)]})
        s.step(1.0)
        if limits == 0.0:
            s.step(1.0)
            np.testing.assert_allclose(s.get_last_lr(), [0.03, 0.05, 0.05])
        else:
            with pytest.raises(StateError, match="given for 2 groups, and there are 3"):
                s.step(1.0)


def test_plateau_epoch_warns():
    s = S.ReduceLROnPlateau(optimizer_of(OURS))
    with pytest.warns(UserWarning, match="epoch is deprecated"):
        s.step(1.0, epoch=7)
    assert s.last_epoch == 7


# ---- warm-up ---------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("warmup, total", [(4, 14), (1, 10), (0, 9)])
def test_warmup_cosine(warmup, total):
    """The curve of PyTorch's LinearLR and CosineAnnealingLR in sequence; then it stays down."""
    o, to = optimizer_of(OURS), optimizer_of(THEIRS)
    s, L = S.WarmupCosineLR(o, warmup, total, start_factor=0.1, eta_min=0.02), torch.optim.lr_scheduler
    cosine = L.CosineAnnealingLR(to, total - warmup, 0.02)
    ts = L.SequentialLR(to, [L.LinearLR(to, 0.1, total_iters=warmup), cosine], [warmup]) if warmup else cosine
    for t in range(total):
        np.testing.assert_allclose(s.get_last_lr(), ts.get_last_lr(), rtol=1e-9, err_msg=str(t))
        stepped([(o, s), (to, ts)])
    np.testing.assert_allclose(s.get_last_lr(), 0.02)
    stepped([(o, s)], 3)
    np.testing.assert_allclose(s.get_last_lr(), 0.02)
    resumed = S.WarmupCosineLR(o, warmup, total, start_factor=0.1, eta_min=0.02, last_epoch=6)
    np.testing.assert_allclose(resumed.get_last_lr(), [s.closed_form(base, 7) for base in s.base_lrs])


# ---- what warns, and errors ------------------------------------------------------------------------------------------
def test_order_warns_as_pytorch():
    for side in (OURS, THEIRS):
        o = optimizer_of(side)
        s = side[0].lr_scheduler.StepLR(o, 3)
        with pytest.warns(UserWarning, match=r"before .?optimizer\.step\(\)"):
            s.step()
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            s.step()  # said once
        with pytest.warns(UserWarning, match=r"get_last_lr\(\)"):
            s.get_lr()


def test_errors():
    o = optimizer_of(OURS)
    for call, error, words in (
        (lambda: S.LambdaLR(o, 0.5), DTypeError, "must be a function: got float"),
        (lambda: S.CosineAnnealingWarmRestarts(o, 3, eta_min="low"), ArgumentError, "eta_min"),
        (lambda: S.OneCycleLR(o, 1.0, epochs=0, steps_per_epoch=3), ArgumentError, "epochs must be"),
        (lambda: S.OneCycleLR(o, 1.0, total_steps=2.5), ArgumentError, "total_steps must be"),
        (lambda: S.OneCycleLR(optim.Rprop(o.param_groups[0]["params"]), 1.0, 5), ArgumentError, "momentum or betas"),
        (lambda: S.CyclicLR(o, [0.1], 1.0), ArgumentError, r"one per group \(2\)"),
        (lambda: S.WarmupCosineLR(o, 5, 5), ArgumentError, "below total_steps: got 5 of 5"),
        (lambda: S.WarmupCosineLR(o, 1, 5, start_factor=2), ArgumentError, "start_factor"),
        (lambda: S.StepLR(o, 0), ArgumentError, "step_size"),
        (lambda: S.SequentialLR(o, [S.ReduceLROnPlateau(o)], []), ArgumentError, "needs a metric"),
        (lambda: S.ChainedScheduler([3]), ArgumentError, "needs minigrad's schedulers"),
        (lambda: S.ChainedScheduler([S.StepLR(o, 1), S.StepLR(optimizer_of(OURS), 1)]), ArgumentError, "same optim"),
        (lambda: S.StepLR(o, 3).load_state_dict(S.ExponentialLR(o, 0.5).state_dict()), StateError, "step_size"),
        (lambda: optim.swa_utils.SWALR(o, 0.1, -1), ArgumentError, "anneal_epochs"),
        (lambda: optim.swa_utils.SWALR(o, 0.1, anneal_strategy="no"), ArgumentError, "anneal_strategy"),
    ):
        with pytest.raises(error, match=words):
            call()
    finished = S.OneCycleLR(o, 1.0, 3)
    stepped([(o, finished)], 3)
    with pytest.raises(ArgumentError, match="beyond total_steps=3"):
        stepped([(o, finished)])


def test_swalr_signature():
    ours = inspect.signature(optim.swa_utils.SWALR.__init__).parameters
    theirs = inspect.signature(torch.optim.swa_utils.SWALR.__init__).parameters
    assert [(p.name, p.default) for p in ours.values()] == [(p.name, p.default) for p in theirs.values()]
