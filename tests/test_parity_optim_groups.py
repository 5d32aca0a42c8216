"""Every optimizer with two groups, decay and a schedule against PyTorch; hooks, names and tensors as rates as there."""

import numpy as np
import pytest

import minigrad as mg
from minigrad import optim
from minigrad.errors import ArgumentError, StateError

torch = pytest.importorskip("torch", reason="PyTorch is the oracle of these tests")
TOLERANCE = {"float32": 1e-5, "float64": 1e-10}
SHAPES = (4, 3), (5,), (), (2, 3, 2), (1,), (0, 3)
OPTIMIZERS = {  # options, those of the second group, how much more than TOLERANCE
    "SGD": ({"lr": 0.05, "momentum": 0.9, "weight_decay": 0.1}, {"nesterov": True}, 1),
    "Adam": ({"lr": 0.05, "weight_decay": 0.1, "amsgrad": True}, {"betas": (0.7, 0.9)}, 1),
    "AdamW": ({"lr": 0.05, "weight_decay": 0.1}, {"amsgrad": True, "eps": 1e-3}, 1),
    # terms of opposite sign magnify the last bit while v is small
    "NAdam": ({"lr": 0.05, "weight_decay": 0.1, "decoupled_weight_decay": True}, {"momentum_decay": 0.1}, 10),
    "RAdam": ({"lr": 0.05, "weight_decay": 0.1}, {"decoupled_weight_decay": True, "betas": (0.8, 0.9)}, 1),
    "Adamax": ({"lr": 0.05, "weight_decay": 0.1}, {"betas": (0.7, 0.9)}, 1),
    "Adagrad": ({"lr": 0.1, "weight_decay": 0.1, "lr_decay": 0.1}, {"lr_decay": 0.0, "eps": 1e-4}, 1),
    "Adadelta": ({"lr": 1.0, "weight_decay": 0.1}, {"rho": 0.5, "eps": 1e-3}, 1),
    "RMSprop": ({"lr": 0.02, "weight_decay": 0.1, "momentum": 0.5}, {"centered": True, "momentum": 0.0}, 1),
    "Rprop": ({"lr": 0.05}, {"etas": (0.4, 1.1), "step_sizes": (1e-3, 0.2)}, 1),
    "ASGD": ({"lr": 0.05, "weight_decay": 0.1, "lambd": 0.01}, {"t0": 4, "alpha": 0.3}, 1),
    "Adafactor": ({"lr": 0.02, "weight_decay": 0.1}, {"d": 2.0, "eps": (1e-5, 1e-2)}, 3),
}


def pair(name, dtype, seed=0, **more):
    options, second, _ = OPTIMIZERS[name]
    rng = np.random.default_rng(seed)
    shapes = [s for s in SHAPES if name != "Adafactor" or 0 not in s]  # PyTorch divides by the size
    values = [rng.standard_normal(s).astype(dtype) for s in shapes]
    ps, tps = [mg.tensor(v, requires_grad=True) for v in values], [torch.tensor(v, requires_grad=True) for v in values]
    split = lambda params: [{"params": params[:2]}, {"params": params[2:], "lr": options["lr"] / 2, **second}]
    make = lambda library, params: getattr(library, name)(split(params), **options, **more)
    return (make(optim, ps), ps), (make(torch.optim, tps), tps)


def step(sides, dtype, t, missing=()):
    rng = np.random.default_rng((7, t))
    for i in range(len(sides[0][1])):
        g = rng.standard_normal(sides[0][1][i].shape).astype(dtype)
        for (_, params), tensor in zip(sides, (mg.tensor, torch.tensor)):
            params[i].grad = None if i in missing else tensor(g)
    for optimizer, _ in sides:
        optimizer.step()


def compare(sides, dtype, slack=1):
    tolerance = TOLERANCE[dtype] * slack
    for p, q in zip(sides[0][1], sides[1][1]):
        np.testing.assert_allclose(p.detach().numpy(), q.detach().numpy(), rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("name", OPTIMIZERS)
def test_twenty_steps(name, dtype):
    """Two groups, decay, a schedule, gradients that are missing now and then; the state as PyTorch's afterwards."""
    sides = pair(name, dtype)
    S, T = optim.lr_scheduler, torch.optim.lr_scheduler
    schedules = [
        S.OneCycleLR(sides[0][0], 0.1, 25, cycle_momentum=False),
        T.OneCycleLR(sides[1][0], 0.1, 25, cycle_momentum=False),
    ]
    for t in range(20):
        step(sides, dtype, t, missing=(1, 3) if t in (0, 5) else ())
        for schedule in schedules:
            schedule.step()
        compare(sides, dtype, OPTIMIZERS[name][2])
    ours, theirs = sides[0][0].state_dict(), sides[1][0].state_dict()
    for group, tgroup in zip(ours["param_groups"], theirs["param_groups"], strict=True):
        assert group.pop("lr") == pytest.approx(tgroup.pop("lr"))
        assert group == tgroup
    assert set(ours["state"]) == set(theirs["state"])
    for i, state in theirs["state"].items():
        for key, value in state.items():
            if value is not None:
                np.testing.assert_allclose(ours["state"][i][key].numpy(), value.numpy(), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_continuing_from_pytorch(name):
    """PyTorch's state as arrays, as a file would hold them: loaded, the steps are PyTorch's."""
    sides = pair(name, "float64")
    for t in range(5):
        step(sides, "float64", t)
    theirs = sides[1][0].state_dict()
    arrays = {i: {k: None if v is None else v.numpy() for k, v in s.items()} for i, s in theirs["state"].items()}
    fresh = pair(name, "float64", seed=1)[0]
    fresh[0].load_state_dict({"state": arrays, "param_groups": theirs["param_groups"]})
    again = pair(name, "float64", seed=1)[1]
    again[0].load_state_dict(theirs)
    for p, q, tp in zip(fresh[1], again[1], sides[1][1]):
        p.data = tp.detach().numpy().copy()
        q.data.copy_(tp.data)
    for t in range(5, 10):
        step((fresh, again), "float64", t)
        compare((fresh, again), "float64")


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_a_rate_in_a_tensor(name):
    """lr as a tensor of one element, filled by a schedule."""
    sides = pair(name, "float64")
    optimizer = sides[0][0]
    rates = [mg.tensor(group["lr"], dtype="float64") for group in optimizer.param_groups]
    for group, rate in zip(optimizer.param_groups, rates):
        group["lr"] = rate
    schedules = [
        optim.lr_scheduler.ExponentialLR(sides[0][0], 0.9),
        torch.optim.lr_scheduler.ExponentialLR(sides[1][0], 0.9),
    ]
    for t in range(4):
        step(sides, "float64", t)
        for schedule in schedules:
            schedule.step()
        compare(sides, "float64")
    assert optimizer.param_groups[0]["lr"] is rates[0]


def test_flags_are_kept():
    """PyTorch's speed flags are in groups and state, and have no effect."""
    p, tp = mg.zeros(1, requires_grad=True), torch.zeros(1, requires_grad=True)
    for flags in ({"foreach": True}, {"foreach": False, "differentiable": True}, {"capturable": True}):
        ours, theirs = optim.Adam([p], **flags), torch.optim.Adam([tp], **flags)
        assert ours.state_dict() == theirs.state_dict()
        assert ours.defaults == theirs.defaults
        assert repr(ours) == repr(theirs)


def hooked(library, tensor):
    """The calls that a library's hooks see."""
    p, calls = tensor([1.0], requires_grad=True), []
    optimizer = library.SGD([p], lr=0.5)
    note = lambda which: lambda o, args, kwargs: calls.append((which, [type(a).__name__ for a in args], dict(kwargs)))
    optimizer.register_step_pre_hook(note("before"))
    optimizer.register_step_post_hook(note("after"))
    optimizer.register_state_dict_pre_hook(lambda o: calls.append("saving"))
    optimizer.register_state_dict_post_hook(lambda o, s: s | {"extra": 1})
    optimizer.register_state_dict_post_hook(lambda o, s: calls.append(sorted(s)))
    optimizer.register_state_dict_post_hook(lambda o, s: calls.append("first"), prepend=True)
    optimizer.register_load_state_dict_pre_hook(lambda o, s: calls.append(f"loading {s['extra']}"))
    optimizer.register_load_state_dict_post_hook(lambda o: calls.append("loaded"))

    def closure():
        calls.append("closure")
        return (p * 2).sum()

    p.grad = tensor([1.0])
    optimizer.step(closure)
    optimizer.step()
    optimizer.load_state_dict(optimizer.state_dict())
    handle = optimizer.register_step_pre_hook(lambda o, args, kwargs: ((o, closure), {}))
    assert optimizer.step().item() == 0.0  # the hook put a closure in
    handle.remove()
    assert optimizer.step() is None
    return calls


def test_hooks():
    """The calls and arguments of PyTorch's hooks, in its order."""
    assert hooked(optim, mg.tensor) == hooked(torch.optim, torch.tensor)
    optimizer = optim.SGD([mg.zeros(1, requires_grad=True)])
    optimizer.register_step_pre_hook(lambda o, args, kwargs: 3)
    with pytest.raises(ArgumentError, match="must return None or"):
        optimizer.step()


def test_names():
    """Names are in the groups as in PyTorch, some without others are refused as there, and a state keeps them."""
    for library, tensor, error in ((optim, mg.tensor, ArgumentError), (torch.optim, torch.tensor, ValueError)):
        a, b, c = (tensor([float(i)], requires_grad=True) for i in range(3))
        optimizer = library.SGD([("a", a), ("b", b)], lr=0.1)
        assert optimizer.param_groups[0]["param_names"] == ["a", "b"]
        assert optimizer.state_dict()["param_groups"][0]["param_names"] == ["a", "b"]
        for wrong in ([c], [("c", c), tensor([1.0], requires_grad=True)]):
            with pytest.raises(error):
                optimizer.add_param_group({"params": wrong})
        plain = library.SGD([a, b], lr=0.2)
        optimizer.load_state_dict(plain.state_dict())
        assert optimizer.param_groups[0]["param_names"] == ["a", "b"] and optimizer.param_groups[0]["lr"] == 0.2


def test_states_of_other_structures():
    p, q = mg.zeros(2, 3, requires_grad=True), mg.zeros(4, requires_grad=True)
    adam, sgd = optim.Adam([p, q]), optim.SGD([p, q], momentum=0.9)
    for t in (p, q):
        t.grad = mg.ones(t.shape)
    adam.step(), sgd.step()
    before = adam.state_dict()
    amsgrad = optim.Adam([p, q], amsgrad=True)
    swapped = {"state": {0: before["state"][1], 1: before["state"][0]}, "param_groups": before["param_groups"]}
    groups, factored = before["param_groups"], {"step": 1, "row_var": np.zeros((2, 3)), "col_var": np.zeros((1, 3))}
    adafactor = optim.Adafactor([p])
    for optimizer, state, words in (
        (adam, {"state": sgd.state_dict()["state"], "param_groups": groups}, "Is it another optimizer's"),
        (adam, swapped, r"exp_avg of parameter 0 must be \(2, 3\): got \(4,\)"),
        (adam, optim.Adam([p]).state_dict(), r"as many parameters as here: got \[1\], here \[2\]"),
        (
            adam,
            amsgrad.state_dict() | {"state": before["state"]},
            "must have step, exp_avg, exp_avg_sq, max_exp_avg_sq",
        ),
        (adam, {"param_groups": []}, "missing keys: state"),
        (adafactor, adafactor.state_dict() | {"state": {0: factored}}, r"row_var of parameter 0 must be \(2, 1\)"),
    ):
        with pytest.raises(StateError, match=words):
            optimizer.load_state_dict(state)
    after = adam.state_dict()  # nothing was changed on the way
    assert after["param_groups"] == before["param_groups"]
    assert all(after["state"][i][k] is before["state"][i][k] for i in (0, 1) for k in before["state"][i])
