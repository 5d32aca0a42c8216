"""Every optimizer and schedule against PyTorch: trajectories, states, defaults, state files."""

import inspect

import numpy as np
import pytest

import minigrad as mg
from minigrad import nn, optim

torch = pytest.importorskip("torch", reason="PyTorch is the oracle of these tests")

STEPS = 25
OPTIMIZERS = [
    ("SGD", {"lr": 0.1}),
    ("SGD", {"lr": 0.1, "weight_decay": 0.1, "maximize": True}),
    ("SGD", {"lr": 0.05, "momentum": 0.9}),
    ("SGD", {"lr": 0.05, "momentum": 0.9, "dampening": 0.5, "weight_decay": 0.01}),
    ("SGD", {"lr": 0.05, "momentum": 0.9, "nesterov": True, "weight_decay": 0.01}),
    ("SGD", {"lr": 0.05, "momentum": 0.9, "nesterov": True, "maximize": True}),
    ("Adam", {"lr": 0.05}),
    ("Adam", {"lr": 0.05, "betas": (0.8, 0.95), "eps": 1e-3, "weight_decay": 0.1}),
    ("Adam", {"lr": 0.05, "amsgrad": True, "weight_decay": 0.1}),
    ("Adam", {"lr": 0.05, "maximize": True, "amsgrad": True}),
    ("Adam", {"lr": 0.05, "maximize": True, "decoupled_weight_decay": True, "weight_decay": 0.1}),
    ("AdamW", {"lr": 0.05}),
    ("AdamW", {"lr": 0.05, "weight_decay": 0.3, "amsgrad": True}),
    ("AdamW", {"lr": 0.05, "maximize": True}),
    ("RMSprop", {"lr": 0.02}),
    ("RMSprop", {"lr": 0.02, "alpha": 0.9, "eps": 1e-4, "weight_decay": 0.1}),
    ("RMSprop", {"lr": 0.02, "centered": True}),
    ("RMSprop", {"lr": 0.02, "momentum": 0.9, "centered": True, "maximize": True}),
    ("Adagrad", {"lr": 0.1}),
    ("Adagrad", {"lr": 0.1, "lr_decay": 0.1, "weight_decay": 0.1, "initial_accumulator_value": 0.5, "maximize": True}),
    ("Adadelta", {"lr": 0.5}),
    ("Adadelta", {"lr": 1.0, "rho": 0.8, "eps": 1e-4, "weight_decay": 0.1, "maximize": True}),
    ("Adamax", {"lr": 0.05}),
    ("Adamax", {"lr": 0.05, "betas": (0.8, 0.9), "weight_decay": 0.1, "maximize": True}),
    ("NAdam", {"lr": 0.05}),
    ("NAdam", {"lr": 0.05, "weight_decay": 0.1, "momentum_decay": 0.01, "maximize": True}),
    ("NAdam", {"lr": 0.05, "weight_decay": 0.1, "decoupled_weight_decay": True}),
    ("RAdam", {"lr": 0.05}),
    ("RAdam", {"lr": 0.05, "betas": (0.8, 0.9), "weight_decay": 0.1, "maximize": True}),
    ("RAdam", {"lr": 0.05, "weight_decay": 0.1, "decoupled_weight_decay": True}),
    ("Rprop", {"lr": 0.05}),
    ("Rprop", {"lr": 0.05, "etas": (0.3, 1.5), "step_sizes": (1e-3, 0.1), "maximize": True}),
    ("ASGD", {"lr": 0.05}),
    ("ASGD", {"lr": 0.05, "lambd": 0.1, "alpha": 0.5, "t0": 5, "weight_decay": 0.1, "maximize": True}),
    ("Adafactor", {"lr": 0.05}),
    ("Adafactor", {"lr": 0.02, "beta2_decay": -0.5, "eps": (1e-4, 1e-2), "d": 1.5, "weight_decay": 0.1}),
    ("Adafactor", {"lr": 0.02, "maximize": True}),
]
IDS = [f"{name}-{'-'.join(k for k in o if k != 'lr')}" for name, o in OPTIMIZERS]
FLOAT32 = ("step", "mu_product")  # numbers, kept in float32 whatever the parameter's type
TOLERANCE = {"float32": 1e-5, "float64": 1e-10}


def starts(dtype, shapes=((3, 4), (5,), (), (2, 3, 4))):
    rng = np.random.default_rng(0)
    return [rng.standard_normal(s).astype(dtype) for s in shapes], [
        rng.standard_normal(s).astype(dtype) for s in shapes
    ]


def loss_of(params, targets, sign=1):
    """Smooth, not quadratic, and couples the parameters. sign -1: to be maximized."""
    terms = [((p - t) ** 2 * 0.5).sum() + ((p * t) ** 2 * 0.1).sum() for p, t in zip(params, targets)]
    return (terms[0] * (terms[1] * 0.1 + 1) + sum(terms[1:])) * sign


def close(a, b, dtype, what, slack=1):
    a, b = a.detach().numpy(), b.detach().numpy()
    assert a.dtype == b.dtype and a.shape == b.shape, what
    tolerance = TOLERANCE[dtype] * slack
    np.testing.assert_allclose(a, b, rtol=tolerance, atol=tolerance, err_msg=what)


def run(opt, topt, ps, tps, targets, dtype, steps=STEPS):
    # NAdam's two terms of opposite sign amplify the last bit of float32 while v is small; float64 shows the formula
    slack = 10 if dtype == "float32" and type(opt).__name__ == "NAdam" else 1
    for step in range(steps):
        for o, params, tensor in ((opt, ps, mg.tensor), (topt, tps, torch.tensor)):
            o.zero_grad()
            loss_of(params, [tensor(t) for t in targets], -1 if o.param_groups[0]["maximize"] else 1).backward()
            o.step()
        for i, (p, tp) in enumerate(zip(ps, tps)):
            close(p, tp, dtype, f"parameter {i} after step {step + 1}", slack)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("name, options", OPTIMIZERS, ids=IDS)
def test_trajectory(name, options, dtype):
    values, targets = starts(dtype)
    ps = [mg.tensor(v, requires_grad=True) for v in values]
    tps = [torch.tensor(v, requires_grad=True) for v in values]
    opt, topt = getattr(optim, name)(ps, **options), getattr(torch.optim, name)(tps, **options)
    run(opt, topt, ps, tps, targets, dtype)
    ours, theirs = opt.state_dict(), topt.state_dict()
    assert set(ours) == set(theirs) == {"state", "param_groups"}
    assert [g["params"] for g in ours["param_groups"]] == [g["params"] for g in theirs["param_groups"]]
    for i, state in theirs["state"].items():
        assert set(ours["state"][i]) == {k for k, v in state.items() if v is not None}
        for key, value in state.items():
            if value is not None:
                slack = 10 if name == "NAdam" and dtype == "float32" else 1
                close(ours["state"][i][key], value, dtype if key not in FLOAT32 else "float32", f"{key} of {i}", slack)


@pytest.mark.parametrize("name, options", OPTIMIZERS, ids=IDS)
def test_state_travels(name, options):
    """Ours to PyTorch's optimizer and back, in the middle of training."""
    values, targets = starts("float64")
    ps = [mg.tensor(v, requires_grad=True) for v in values]
    tps = [torch.tensor(v, requires_grad=True) for v in values]
    opt, topt = getattr(optim, name)(ps, **options), getattr(torch.optim, name)(tps, **options)
    run(opt, topt, ps, tps, targets, "float64", 3)
    state = opt.state_dict()
    tensors = {i: {k: torch.tensor(v.numpy()) for k, v in s.items()} for i, s in state["state"].items()}
    fresh = getattr(torch.optim, name)(tps, **options)
    fresh.load_state_dict({"state": tensors, "param_groups": state["param_groups"]})
    run(opt, fresh, ps, tps, targets, "float64", 3)
    again = getattr(optim, name)(ps, lr=9.0)
    again.load_state_dict(fresh.state_dict())
    assert again.param_groups[0]["lr"] == options["lr"]
    run(again, fresh, ps, tps, targets, "float64", 3)


def test_groups():
    values, targets = starts("float64")
    ps = [mg.tensor(v, requires_grad=True) for v in values]
    tps = [torch.tensor(v, requires_grad=True) for v in values]

    def make(library, params):
        groups = [{"params": params[:1], "lr": 0.02}, {"params": params[1], "momentum": 0.0, "weight_decay": 0.2}]
        o = library.SGD(groups, lr=0.1, momentum=0.9)
        o.add_param_group({"params": params[2:], "nesterov": True})
        return o

    opt, topt = make(optim, ps), make(torch.optim, tps)
    run(opt, topt, ps, tps, targets, "float64")
    assert opt.state_dict()["param_groups"] == topt.state_dict()["param_groups"]


def test_some_without_gradient():
    """A parameter without gradient is passed over, and its step count stays."""
    values, _ = starts("float64")
    ps = [mg.tensor(v, requires_grad=True) for v in values]
    tps = [torch.tensor(v, requires_grad=True) for v in values]
    opt, topt = optim.Adam(ps), torch.optim.Adam(tps)
    for used in (0, 1, 0):
        for o, params in ((opt, ps), (topt, tps)):
            o.zero_grad()
            (params[used] ** 2).sum().backward()
            o.step()
    for p, tp in zip(ps, tps):
        close(p, tp, "float64", "parameter")
    assert {i: s["step"].item() for i, s in opt.state_dict()["state"].items()} == {0: 2, 1: 1}


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("name, options", [c for c in OPTIMIZERS if getattr(optim, c[0]).kernel])
def test_compiled_kernel(name, options, dtype):
    """Large parameters take the compiled kernel of the numba backend: the same trajectory."""
    values, targets = starts(dtype, ((150, 130), (130,)))
    ps = [mg.tensor(v, requires_grad=True) for v in values]
    tps = [torch.tensor(v, requires_grad=True) for v in values]
    opt, topt = getattr(optim, name)(ps, **options), getattr(torch.optim, name)(tps, **options)
    for step in range(10):
        for p, tp, t in zip(ps, tps, targets):
            g = ((p.detach().numpy() - t) * np.cos(step)).astype(dtype)
            p.grad, tp.grad = mg.tensor(g), torch.tensor(g)
        opt.step()
        topt.step()
    for p, tp in zip(ps, tps):
        close(p, tp, dtype, "parameter")
    assert bool(opt._kernel) == (mg.Tensor([0.0]).backend.name == "numba")


@pytest.mark.parametrize("name", sorted({name for name, _ in OPTIMIZERS}))
def test_signature(name):
    ours = inspect.signature(getattr(optim, name).__init__).parameters
    theirs = inspect.signature(getattr(torch.optim, name).__init__).parameters
    assert list(ours) == list(theirs)
    for p in theirs.values():
        assert ours[p.name].kind == p.kind, p.name
        assert ours[p.name].default == p.default or p.name == "fused", p.name


# ---- clipping --------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("norm_type", [1.0, 2.0, 3.0, float("inf")])
@pytest.mark.parametrize("max_norm", [0.5, 100.0])
def test_clip_grad_norm(norm_type, max_norm):
    values, grads = starts("float64")
    ps = [mg.tensor(v, requires_grad=True) for v in values]
    tps = [torch.tensor(v, requires_grad=True) for v in values]
    for p, tp, g in zip(ps, tps, grads):
        p.grad, tp.grad = mg.tensor(g), torch.tensor(g)
    total = nn.utils.clip_grad_norm_(ps, max_norm, norm_type)
    ttotal = torch.nn.utils.clip_grad_norm_(tps, max_norm, norm_type)
    close(total, ttotal, "float64", "norm")
    for p, tp in zip(ps, tps):
        close(p.grad, tp.grad, "float64", "gradient")
    nn.utils.clip_grad_value_(ps, 0.1)
    torch.nn.utils.clip_grad_value_(tps, 0.1)
    for p, tp in zip(ps, tps):
        close(p.grad, tp.grad, "float64", "gradient")


# ---- schedules -------------------------------------------------------------------------------------------------------
SCHEDULES = [
    ("LambdaLR", lambda L, o: L.LambdaLR(o, [lambda t: 0.9**t, lambda t: 1 / (1 + t)])),
    ("MultiplicativeLR", lambda L, o: L.MultiplicativeLR(o, lambda t: 0.95 + 0.01 * (t % 3))),
    ("StepLR", lambda L, o: L.StepLR(o, 4, gamma=0.5)),
    ("MultiStepLR", lambda L, o: L.MultiStepLR(o, [3, 7, 7, 12], gamma=0.5)),
    ("ConstantLR", lambda L, o: L.ConstantLR(o, factor=0.25, total_iters=4)),
    ("LinearLR", lambda L, o: L.LinearLR(o, start_factor=0.2, end_factor=0.8, total_iters=7)),
    ("LinearLR-defaults", lambda L, o: L.LinearLR(o)),
    ("ExponentialLR", lambda L, o: L.ExponentialLR(o, 0.9)),
    ("PolynomialLR", lambda L, o: L.PolynomialLR(o, total_iters=8, power=2.0)),
    ("CosineAnnealingLR", lambda L, o: L.CosineAnnealingLR(o, T_max=6, eta_min=0.001)),
    ("WarmRestarts", lambda L, o: L.CosineAnnealingWarmRestarts(o, T_0=3, T_mult=2, eta_min=0.001)),
    ("WarmRestarts-1", lambda L, o: L.CosineAnnealingWarmRestarts(o, T_0=5)),
    ("CyclicLR", lambda L, o: L.CyclicLR(o, 0.01, 0.1, step_size_up=4, step_size_down=3)),
    ("CyclicLR-2", lambda L, o: L.CyclicLR(o, 0.01, [0.1, 0.2], step_size_up=4, mode="triangular2")),
    ("CyclicLR-exp", lambda L, o: L.CyclicLR(o, 0.01, 0.1, step_size_up=4, mode="exp_range", gamma=0.9)),
    ("OneCycleLR", lambda L, o: L.OneCycleLR(o, max_lr=0.1, total_steps=20)),
    (
        "OneCycleLR-linear",
        lambda L, o: L.OneCycleLR(o, [0.1, 0.2], epochs=4, steps_per_epoch=5, anneal_strategy="linear"),
    ),
    ("OneCycleLR-3", lambda L, o: L.OneCycleLR(o, max_lr=0.1, total_steps=20, three_phase=True, cycle_momentum=False)),
    ("Chained", lambda L, o: L.ChainedScheduler([L.ConstantLR(o, 0.1, total_iters=3), L.ExponentialLR(o, 0.9)])),
    (
        "Sequential",
        lambda L, o: L.SequentialLR(
            o, [L.LinearLR(o, 0.1, total_iters=4), L.CosineAnnealingLR(o, T_max=10), L.StepLR(o, 2, 0.5)], [4, 9]
        ),
    ),
]


def pair(library, tensor, name="SGD"):
    a, b = tensor([1.0], requires_grad=True), tensor([2.0], requires_grad=True)
    options = {"momentum": 0.9} if name == "SGD" else {}
    return getattr(library, name)([{"params": [a], "lr": 0.3}, {"params": [b]}], lr=0.5, **options)


@pytest.mark.parametrize("name", ["SGD", "Adam"])
@pytest.mark.parametrize("make", [make for _, make in SCHEDULES], ids=[n for n, _ in SCHEDULES])
def test_schedule(make, name):
    opt, topt = pair(optim, mg.tensor, name), pair(torch.optim, torch.tensor, name)
    ours, theirs = make(optim.lr_scheduler, opt), make(torch.optim.lr_scheduler, topt)
    for group, tgroup in zip(opt.param_groups, topt.param_groups):
        group["params"][0].grad, tgroup["params"][0].grad = mg.zeros(1), torch.zeros(1)
    for t in range(20):
        np.testing.assert_allclose(ours.get_last_lr(), theirs.get_last_lr(), rtol=1e-12, err_msg=f"t={t}")
        for group, tgroup in zip(opt.param_groups, topt.param_groups):
            np.testing.assert_allclose(group["lr"], tgroup["lr"], rtol=1e-12, err_msg=f"t={t}")
            for key in ("momentum", "betas"):
                if key in group:
                    np.testing.assert_allclose(group[key], tgroup[key], rtol=1e-12, err_msg=f"{key}, t={t}")
        opt.step()
        topt.step()
        ours.step()
        theirs.step()
        if t == 10:  # saved and loaded in the middle
            fresh = make(optim.lr_scheduler, pair(optim, mg.tensor, name))
            fresh.load_state_dict(ours.state_dict())
            opt_state, fresh.optimizer.steps = opt.state_dict(), 1
            fresh.optimizer.load_state_dict(opt_state)
            for s in [fresh, *getattr(fresh, "_schedulers", ())]:
                s.optimizer = opt
            ours = fresh


def test_warm_restarts_by_fraction():
    make = lambda L, o: L.CosineAnnealingWarmRestarts(o, T_0=3, T_mult=2)
    ours = make(optim.lr_scheduler, pair(optim, mg.tensor))
    theirs = make(torch.optim.lr_scheduler, pair(torch.optim, torch.tensor))
    for epoch in (0.5, 1.25, 2.9, 3.0, 7.7, 9.0, 25.5):
        ours.step(epoch)
        theirs.step(epoch)
        np.testing.assert_allclose(ours.get_last_lr(), theirs.get_last_lr(), rtol=1e-12)


@pytest.mark.parametrize("mode", ["min", "max"])
@pytest.mark.parametrize("threshold_mode", ["rel", "abs"])
def test_plateau(mode, threshold_mode):
    options = dict(mode=mode, threshold_mode=threshold_mode, patience=2, cooldown=1, factor=0.5, threshold=0.05)
    make = lambda L, o: L.ReduceLROnPlateau(o, min_lr=[0.01, 0.1], **options)
    ours = make(optim.lr_scheduler, pair(optim, mg.tensor))
    theirs = make(torch.optim.lr_scheduler, pair(torch.optim, torch.tensor))
    for metric in np.random.default_rng(0).standard_normal(60).cumsum() * 0.1 + 3:
        ours.step(metric)
        theirs.step(metric)
        assert ours.get_last_lr() == theirs.get_last_lr()
        assert ours.num_bad_epochs == theirs.num_bad_epochs


@pytest.mark.parametrize("name", [n for n in optim.lr_scheduler.__all__ if n not in ("LRScheduler", "WarmupCosineLR")])
def test_schedule_signature(name):
    ours = inspect.signature(getattr(optim.lr_scheduler, name).__init__).parameters
    theirs = inspect.signature(getattr(torch.optim.lr_scheduler, name).__init__).parameters
    assert list(ours) == list(theirs)
    assert [p.default for p in ours.values()] == [p.default for p in theirs.values()]
