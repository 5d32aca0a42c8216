"""LBFGS and Muon against PyTorch: trajectories, states that travel both ways, defaults."""

import inspect

import numpy as np
import pytest

import minigrad as mg
from minigrad import optim
from minigrad.errors import ArgumentError, ShapeError, StateError

torch = pytest.importorskip("torch", reason="PyTorch is the oracle of these tests")
LBFGS = [
    {"lr": 0.1},
    {"lr": 0.5, "max_iter": 5, "history_size": 2},
    {"lr": 1.0, "max_iter": 1},
    {"line_search_fn": "strong_wolfe"},
    {"lr": 0.8, "line_search_fn": "strong_wolfe", "max_iter": 4, "history_size": 3},
    {"line_search_fn": "strong_wolfe", "max_iter": 7, "max_eval": 8},
    {"lr": 20.0, "line_search_fn": "strong_wolfe", "max_iter": 4},
    {"lr": 1e-3, "line_search_fn": "strong_wolfe", "max_iter": 4},
    {"lr": 0.3, "tolerance_grad": 1e-1, "tolerance_change": 1e-3},
]


def problem(dtype):
    rng = np.random.default_rng(0)
    return [rng.standard_normal(s).astype(dtype) for s in ((3, 4), (5,), ())]


def loss_of(params):
    """Smooth, coupled, not quadratic: Rosenbrock's valley of the one, and more."""
    a, b, c = params
    return ((1 - a) ** 2).sum() + 3 * ((b[1:] - b[:-1] ** 2) ** 2).sum() + ((a.sum() - c) ** 2) * 0.1 + (c**4) * 0.1


class Side:
    """One library's half of the comparison."""

    def __init__(self, library, tensor, dtype, options):
        self.params = [tensor(v, requires_grad=True) for v in problem(dtype)]
        self.make = lambda: library.LBFGS(self.params, **options)
        self.optimizer, self.losses = self.make(), []

    def step(self):
        def closure():
            self.optimizer.zero_grad()
            loss = loss_of(self.params)
            loss.backward()
            self.losses.append(loss.item())
            return loss

        return self.optimizer.step(closure)


def compare(ours, theirs, tolerance):
    np.testing.assert_allclose(ours.losses, theirs.losses, rtol=tolerance, atol=tolerance)
    for p, q in zip(ours.params, theirs.params):
        np.testing.assert_allclose(p.detach().numpy(), q.detach().numpy(), rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("options", LBFGS, ids=["-".join(o) + str(i) for i, o in enumerate(LBFGS)])
def test_lbfgs(options, dtype):
    """The same losses at the same calls of the closure, the same parameters, the same state."""
    ours = Side(optim, mg.tensor, dtype, options)
    theirs = Side(torch.optim, torch.tensor, dtype, options)
    for _ in range(4):
        np.testing.assert_allclose(ours.step().item(), theirs.step().item(), rtol=1e-3 if dtype == "float32" else 1e-9)
        if dtype == "float64":
            compare(ours, theirs, 1e-9)
    # in float32 the search magnifies the last bit near the minimum: the way there is the same, and the end
    np.testing.assert_allclose(ours.losses[:12], theirs.losses[:12], rtol=1e-4)
    state, tstate = ours.optimizer.state_dict(), theirs.optimizer.state_dict()
    assert state["param_groups"] == tstate["param_groups"]
    assert set(state["state"][0]) == set(tstate["state"][0])
    if dtype == "float64":
        for key in ("func_evals", "n_iter"):
            assert state["state"][0][key] == tstate["state"][0][key]


def test_lbfgs_state_travels():
    options = {"line_search_fn": "strong_wolfe", "max_iter": 3}
    ours, theirs = Side(optim, mg.tensor, "float64", options), Side(torch.optim, torch.tensor, "float64", options)
    ours.step(), theirs.step()
    convert = lambda v: torch.tensor(v.numpy()) if isinstance(v, mg.Tensor) else v
    saved = ours.optimizer.state_dict()
    tensors = {k: [convert(x) for x in v] if isinstance(v, list) else convert(v) for k, v in saved["state"][0].items()}
    came = theirs.optimizer.state_dict()
    theirs.optimizer = theirs.make()
    theirs.optimizer.load_state_dict({"state": {0: tensors}, "param_groups": saved["param_groups"]})
    ours.optimizer = ours.make()
    ours.optimizer.load_state_dict(came)
    ours.step(), theirs.step()
    compare(ours, theirs, 1e-9)
    came["state"][0]["d"] = torch.zeros(3)
    with pytest.raises(StateError, match=r"\(18,\): got \(3,\)"):
        ours.optimizer.load_state_dict(came)


def test_lbfgs_finds_the_end_of_the_valley():
    x = mg.tensor([-1.2, 1.0], requires_grad=True, dtype="float64")
    optimizer = optim.LBFGS([x], line_search_fn="strong_wolfe", max_iter=100, history_size=10)

    def closure():
        optimizer.zero_grad()
        loss = (1 - x[0]) ** 2 + 100 * (x[1] - x[0] ** 2) ** 2
        loss.backward()
        return loss

    assert optimizer.step(closure).item() == pytest.approx(24.2)
    np.testing.assert_allclose(x.detach().numpy(), [1, 1], atol=1e-5)
    assert optimizer.step(closure).item() < 1e-9  # at the minimum it stays


def test_lbfgs_errors():
    p = mg.zeros(2, requires_grad=True)
    for call, words in (
        (lambda: optim.LBFGS([{"params": [p]}, {"params": [mg.zeros(1, requires_grad=True)]}]), "second group"),
        (lambda: optim.LBFGS([p]).step(), "needs a closure"),
        (lambda: optim.LBFGS([p], line_search_fn="armijo"), "strong_wolfe"),
        (lambda: optim.LBFGS([p], max_iter=2.5), "invalid max_iter"),
        (lambda: optim.LBFGS([p], lr=-1), "invalid lr"),
    ):
        with pytest.raises(ArgumentError, match=words):
            call()


# ---- Muon ------------------------------------------------------------------------------------------------------------
MUON = [
    {"lr": 0.02},
    {"lr": 0.02, "nesterov": False, "momentum": 0.8, "weight_decay": 0.0},
    {"lr": 0.02, "adjust_lr_fn": "match_rms_adamw", "ns_steps": 3},
    {"lr": 0.02, "adjust_lr_fn": "original", "ns_coefficients": (2.0, -1.5, 0.5), "ns_steps": 8},
]


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("options", MUON, ids=["-".join(o) for o in MUON])
def test_muon(options, dtype):
    """PyTorch computes the orthogonal factor in bfloat16, whose last bit depends on the order of sums: one step agrees
    to that bit times the step's length, and errors add up; momentum and state know nothing of it."""
    rng = np.random.default_rng(1)
    values = [rng.standard_normal(s).astype(dtype) for s in ((6, 4), (3, 8), (5, 5), (40, 30))]
    ps = [mg.tensor(v, requires_grad=True) for v in values]
    tps = [torch.tensor(v, requires_grad=True) for v in values]
    split = lambda params: [{"params": params[:2]}, {"params": params[2:], "lr": 0.05, "weight_decay": 0.3}]
    opt, topt = optim.Muon(split(ps), **options), torch.optim.Muon(split(tps), **options)
    for step in range(20):
        for p, tp in zip(ps, tps):
            g = rng.standard_normal(p.shape).astype(dtype)
            p.grad, tp.grad = mg.tensor(g), torch.tensor(g)
        opt.step()
        topt.step()
        for p, tp in zip(ps, tps):
            scale = 0.05 * (0.2 * max(p.shape) ** 0.5 if options.get("adjust_lr_fn") == "match_rms_adamw" else 1.5)
            error = np.abs(p.detach().numpy() - tp.detach().numpy()).max()
            assert error < scale * 2**-7 * (step + 1) ** 0.5, (step, p.shape, error)
    ours, theirs = opt.state_dict(), topt.state_dict()
    assert ours["param_groups"] == theirs["param_groups"]
    for i, state in theirs["state"].items():
        assert set(ours["state"][i]) == set(state)
        np.testing.assert_allclose(
            ours["state"][i]["momentum_buffer"].numpy(), state["momentum_buffer"].numpy(), rtol=1e-5, atol=1e-6
        )
    again = optim.Muon(split(ps))
    again.load_state_dict(theirs)
    assert again.param_groups[0]["lr"] == options["lr"]


def test_muon_brings_singular_values_near_one():
    from minigrad.backend import get_backend
    from minigrad.optim.muon import orthogonal

    g = np.random.default_rng(0).standard_normal((30, 12)).astype(np.float32)
    u, _, vt = np.linalg.svd(g, full_matrices=False)
    x = orthogonal(get_backend("numpy").F, g, (3.4445, -4.7750, 2.0315), 1e-7, 5)
    s = np.diag(u.T @ x @ vt.T)
    assert x.shape == g.shape and s.min() > 0.6 and s.max() < 1.3


def test_muon_errors():
    matrix, vector = mg.zeros(2, 2, requires_grad=True), mg.zeros(2, requires_grad=True)
    with pytest.raises(ShapeError, match=r"must be matrices: got shape \(2,\)"):
        optim.Muon([matrix, vector])
    for options in ({"ns_steps": 100}, {"adjust_lr_fn": "other"}, {"ns_coefficients": (1, 2)}, {"momentum": -1}):
        with pytest.raises(ArgumentError, match=f"invalid {next(iter(options))}"):
            optim.Muon([matrix], **options)


@pytest.mark.parametrize("name", ["LBFGS", "Muon"])
def test_signature(name):
    ours = inspect.signature(getattr(optim, name).__init__).parameters
    theirs = inspect.signature(getattr(torch.optim, name).__init__).parameters
    assert [(p.name, p.default, p.kind) for p in ours.values()] == [
        (p.name, p.default, p.kind) for p in theirs.values()
    ]
