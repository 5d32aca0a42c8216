"""Optimizers and schedules against NumPy formulas, their errors and their bookkeeping. No PyTorch needed."""

import inspect
import math
import warnings

import numpy as np
import pytest

import minigrad as mg
from minigrad import nn, optim
from minigrad.errors import ArgumentError, DTypeError, GradError, ShapeError, StateError

ALL = [getattr(optim, name) for name in dir(optim) if isinstance(getattr(optim, name), type) and name != "Optimizer"]


def trained(make, gradients, start):
    """The parameter after one step per gradient."""
    p = mg.tensor(start, requires_grad=True)
    optimizer = make([p])
    for g in gradients:
        p.grad = mg.tensor(g)
        optimizer.step()
    return p.detach().numpy()


RNG = np.random.default_rng(0)
P, GRADIENTS = RNG.standard_normal((3, 2)), RNG.standard_normal((6, 3, 2))


# ---- formulas --------------------------------------------------------------------------------------------------------
def test_sgd():
    p, b = P.copy(), None
    for g in GRADIENTS:
        g = g + 0.1 * p
        b = g if b is None else 0.9 * b + g
        p = p - 0.05 * (g + 0.9 * b)
    ours = trained(lambda ps: optim.SGD(ps, 0.05, momentum=0.9, nesterov=True, weight_decay=0.1), GRADIENTS, P)
    np.testing.assert_allclose(ours, p, rtol=1e-12)


@pytest.mark.parametrize("decoupled", [False, True])
def test_adam(decoupled):
    p, m, v = P.copy(), 0, 0
    for t, g in enumerate(GRADIENTS, 1):
        p, g = (p * (1 - 0.01 * 0.2), g) if decoupled else (p, g + 0.2 * p)
        m, v = 0.8 * m + 0.2 * g, 0.95 * v + 0.05 * g * g
        p = p - 0.01 * (m / (1 - 0.8**t)) / (np.sqrt(v / (1 - 0.95**t)) + 1e-3)
    options = dict(lr=0.01, betas=(0.8, 0.95), eps=1e-3, weight_decay=0.2)
    cls = optim.AdamW if decoupled else optim.Adam
    np.testing.assert_allclose(trained(lambda ps: cls(ps, **options), GRADIENTS, P), p, rtol=1e-11)


def test_rmsprop():
    p, v, a, b = P.copy(), 0, 0, 0
    for g in GRADIENTS:
        v, a = 0.9 * v + 0.1 * g * g, 0.9 * a + 0.1 * g
        b = 0.5 * b + g / (np.sqrt(v - a * a) + 1e-6)
        p = p - 0.01 * b
    make = lambda ps: optim.RMSprop(ps, 0.01, alpha=0.9, eps=1e-6, momentum=0.5, centered=True)
    np.testing.assert_allclose(trained(make, GRADIENTS, P), p, rtol=1e-11)


@pytest.mark.parametrize("cls", ALL)
def test_minimises_on_each_backend(cls, backend):
    """Every optimizer finds the minimum of a bowl, and maximize=True climbs its mirror image as far."""
    options = {"lr": {"Adadelta": 30.0, "Adagrad": 0.5, "RAdam": 0.2, "Adafactor": 0.2}.get(cls.__name__, 0.05)}
    for name in {"weight_decay"} & set(inspect.signature(cls).parameters):
        options[name] = 0
    ends = []
    for sign in (1, -1) if "maximize" in inspect.signature(cls).parameters else (1,):
        p = mg.tensor([[3.0, -2.0]], requires_grad=True)
        optimizer = cls([p], **options, **({"maximize": True} if sign < 0 else {}))

        def closure(p=p, optimizer=optimizer, sign=sign):
            optimizer.zero_grad()
            loss = ((p - mg.tensor([1.0, 2.0])) ** 2).sum()
            loss.backward(mg.tensor(float(sign)))
            return loss

        for _ in range(200):
            optimizer.step(closure)
        assert p.dtype == np.float32
        ends.append(p.detach().numpy())
        assert np.abs(p.detach().numpy() - [1, 2]).max() < 0.2
    np.testing.assert_array_equal(ends[0], ends[-1])


@pytest.mark.parametrize("cls", [c for c in ALL if c is not optim.LBFGS])  # calls a closure that writes
def test_update_is_pure(cls):
    """update() changes none of its arguments: a second call with them gives the same."""
    from minigrad.backend import get_backend

    F = get_backend("numpy").F
    optimizer = cls([mg.tensor(P, requires_grad=True)])
    options = {k: optimizer.param_groups[0][k] for k in optimizer.options}
    state = optimizer.init(F, P, **options)
    p, g = P.copy(), GRADIENTS[0].copy()
    for array in (p, g, *(a for a in state.values() if isinstance(a, np.ndarray))):
        array.flags.writeable = False
    first, second = (optimizer.update(F, p, g, state, **options) for _ in range(2))
    np.testing.assert_array_equal(first[0], second[0])
    assert set(first[1]) >= set(state)


# ---- the loop --------------------------------------------------------------------------------------------------------
def test_closure_and_hooks():
    p, calls = mg.tensor([2.0], requires_grad=True), []
    optimizer = optim.SGD([p], lr=0.1)
    before = optimizer.register_step_pre_hook(lambda o, args, kwargs: calls.append("before"))
    optimizer.register_step_post_hook(lambda o, args, kwargs: calls.append("after"))

    def closure():
        optimizer.zero_grad()
        loss = (p * p).sum()
        loss.backward()
        return loss

    with mg.no_grad():  # the closure records all the same
        assert optimizer.step(closure).item() == 4
    before.remove()
    optimizer.step()
    assert calls == ["before", "after", "after"]
    np.testing.assert_allclose(p.detach().numpy(), [2 - 0.4 - 0.4], rtol=1e-6)


def test_zero_grad():
    p = mg.tensor([2.0], requires_grad=True)
    optimizer = optim.SGD([p])
    p.grad = mg.ones(1)
    optimizer.zero_grad(set_to_none=False)
    assert p.grad.item() == 0
    optimizer.zero_grad()
    assert p.grad is None


def test_no_gradient_is_told_once():
    p = mg.tensor([2.0], requires_grad=True)
    optimizer = optim.Adam([p])
    with pytest.warns(UserWarning, match=r"Adam.step: no parameter has a gradient.*no backward\(\) has reached"):
        optimizer.step()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        optimizer.step()
    with pytest.warns(UserWarning, match="does not require a gradient"):
        optim.SGD([mg.zeros(1)]).step()


def test_stepping_between_forward_and_backward_is_noticed():
    layer, x = nn.Linear(2, 2), mg.ones(1, 2, requires_grad=True)
    optimizer = optim.SGD(layer.parameters(), lr=0.1)
    layer(x).sum().backward()
    late = layer(x).sum()
    optimizer.step()
    with pytest.raises(GradError, match=r"SGD.step at .*test_optim.py"):
        late.backward()
    layer(x).sum().backward()  # the next forward is fine


def test_views_and_frozen_and_odd_memory():
    whole = mg.zeros(4, 6)
    p = whole[::2, 1:].detach().requires_grad_()  # not contiguous
    frozen = mg.ones(3)
    optimizer = optim.Adam([p, frozen], lr=0.1)
    p.grad = mg.ones(p.shape)
    optimizer.step()
    assert (whole.numpy()[::2, 1:] < 0).all() and not whole.numpy()[1::2].any() and not whole.numpy()[:, 0].any()
    assert (frozen.numpy() == 1).all() and frozen not in optimizer.state
    empty = mg.zeros(0, requires_grad=True)
    empty.grad = mg.zeros(0)
    optim.Adam([empty]).step()


# ---- groups and state ------------------------------------------------------------------------------------------------
def test_groups_and_names():
    layer = nn.Linear(2, 3)
    optimizer = optim.SGD(layer.named_parameters(), lr=0.5)
    assert optimizer.param_groups[0]["param_names"] == ["weight", "bias"]
    extra = mg.zeros(1, requires_grad=True)
    optimizer.add_param_group({"params": [("extra", extra)], "lr": 0.1})
    assert [g["lr"] for g in optimizer.param_groups] == [0.5, 0.1]
    assert [g["params"] for g in optimizer.state_dict()["param_groups"]] == [[0, 1], [2]]
    text = repr(optimizer)
    assert text.startswith("SGD (\nParameter Group 0\n    dampening: 0") and "lr: 0.1" in text


def test_state_dict_round_trip_continues_exactly():
    def run(optimizer, p, gradients):
        for g in gradients:
            p.grad = mg.tensor(g)
            optimizer.step()

    p = mg.tensor(P, requires_grad=True)
    optimizer = optim.Adam([p], lr=0.1)
    run(optimizer, p, GRADIENTS[:3])
    q = mg.tensor(p.detach().numpy().copy(), requires_grad=True)
    other = optim.Adam([q])
    state = optimizer.state_dict()
    state["state"] = {str(k): {n: v.numpy() for n, v in s.items()} for k, s in state["state"].items()}  # as from a file
    other.load_state_dict(state)
    run(optimizer, p, GRADIENTS[3:])
    run(other, q, GRADIENTS[3:])
    np.testing.assert_array_equal(p.detach().numpy(), q.detach().numpy())
    assert other.param_groups[0]["lr"] == 0.1
    assert set(state["state"]["0"]) == {"step", "exp_avg", "exp_avg_sq"}


def test_bad_states():
    p = mg.tensor(P, requires_grad=True)
    optimizer = optim.Adam([p])
    state = optimizer.state_dict()
    full = {"step": 1, "exp_avg": np.zeros((3, 2)), "exp_avg_sq": np.zeros((3, 2))}
    for change, words in (
        (lambda s: s.pop("state"), "missing keys: state"),
        (lambda s: s["param_groups"][0]["params"].append(1), "as many parameters"),
        (lambda s: s["state"].update({7: {}}), "which no group names"),
        (
            lambda s: s["state"].update({0: {"exp_avg": np.zeros(5)}}),
            "must have step, exp_avg, exp_avg_sq: got exp_avg",
        ),
        (lambda s: s["state"].update({0: dict(full, exp_avg=np.zeros(5))}), r"exp_avg of parameter 0 must be \(3, 2\)"),
    ):
        copy = {
            "state": dict(state["state"]),
            "param_groups": [dict(g, params=list(g["params"])) for g in state["param_groups"]],
        }
        change(copy)
        with pytest.raises(StateError, match=words):
            optimizer.load_state_dict(copy)
    copy = {"state": {}, "param_groups": [dict(state["param_groups"][0], lr=-1)]}
    with pytest.raises(ArgumentError, match="lr"):
        optimizer.load_state_dict(copy)


LEAF = mg.zeros(2, requires_grad=True)
BAD = [
    (lambda: optim.SGD([]), ArgumentError, "empty parameter list"),
    (lambda: optim.SGD(LEAF), DTypeError, r"Pass \[tensor\]"),
    (lambda: optim.SGD([1.0]), DTypeError, "must be tensors"),
    (lambda: optim.SGD([LEAF * 2]), GradError, "must be leaves.*multiply"),
    (lambda: optim.SGD([LEAF, LEAF]), ArgumentError, "given twice"),
    (lambda: optim.SGD([{"params": [LEAF]}, {"params": [LEAF]}]), ArgumentError, "given twice"),
    (lambda: optim.SGD([{"params": {LEAF}}]), DTypeError, "got a set"),
    (lambda: optim.SGD([LEAF], lr=-1), ArgumentError, "invalid lr: must be a number of at least 0: got -1"),
    (lambda: optim.SGD([{"params": [LEAF], "lr": -1}]), ArgumentError, "invalid lr"),
    (lambda: optim.SGD([LEAF], momentum=-0.1), ArgumentError, "invalid momentum"),
    (lambda: optim.SGD([LEAF], nesterov=True), ArgumentError, "nesterov needs momentum"),
    (lambda: optim.Adam([LEAF], betas=(0.9, 1.0)), ArgumentError, "invalid betas"),
    (lambda: optim.Adam([LEAF], eps=-1), ArgumentError, "invalid eps"),
    (lambda: optim.AdamW([LEAF], weight_decay=-1), ArgumentError, "invalid weight_decay"),
    (lambda: optim.RMSprop([LEAF], alpha=-1), ArgumentError, "invalid alpha"),
    (lambda: optim.SGD([LEAF]).add_param_group([LEAF]), DTypeError, "must be a dict"),
]  # fmt: skip


@pytest.mark.parametrize("call, error, words", BAD, ids=[words for _, _, words in BAD])
def test_bad_input(call, error, words):
    with pytest.raises(error, match=words):
        call()


# ---- clipping and vectors --------------------------------------------------------------------------------------------
def test_clipping():
    ps = [mg.zeros(3, requires_grad=True), mg.zeros(2, requires_grad=True), mg.zeros(2, requires_grad=True)]
    ps[0].grad, ps[1].grad = mg.tensor([3.0, 0.0, 0.0]), mg.tensor([0.0, 4.0])
    assert nn.utils.clip_grad_norm_(ps, 10.0).item() == 5  # below: nothing happens
    assert ps[0].grad[0].item() == 3
    nn.utils.clip_grad_norm_(ps, 1.0)
    np.testing.assert_allclose(ps[1].grad.numpy(), [0, 0.8], rtol=1e-6)
    ps[0].grad = mg.tensor([np.nan, 1.0, 5.0])
    with pytest.raises(GradError, match="total norm is nan"):
        nn.utils.clip_grad_norm_(ps, 1.0, error_if_nonfinite=True)
    nn.utils.clip_grad_value_(ps[1], 0.5)
    np.testing.assert_allclose(ps[1].grad.numpy(), [0, 0.5])
    assert nn.utils.clip_grad_norm_([mg.zeros(1)], 1.0).item() == 0
    with pytest.raises(ArgumentError):
        nn.utils.clip_grad_value_(ps, -1)


def test_parameter_vectors():
    layer = nn.Linear(2, 3)
    vector = nn.utils.parameters_to_vector(layer.parameters())
    assert vector.shape == (9,)
    nn.utils.vector_to_parameters(mg.arange(9.0), layer.parameters())
    np.testing.assert_array_equal(layer.weight.detach().numpy(), [[0, 1], [2, 3], [4, 5]])
    np.testing.assert_array_equal(layer.bias.detach().numpy(), [6, 7, 8])
    with pytest.raises(ShapeError, match="one element per parameter element"):
        nn.utils.vector_to_parameters(mg.zeros(8), layer.parameters())


# ---- schedules -------------------------------------------------------------------------------------------------------
def rates(make, n, lr=1.0, **options):
    p = mg.zeros(1, requires_grad=True)
    p.grad = mg.zeros(1)
    optimizer = optim.SGD([p], lr=lr, **options)
    scheduler = make(optimizer)
    seen = []
    for _ in range(n):
        seen.append(scheduler.get_last_lr()[0])
        optimizer.step()
        scheduler.step()
    return np.array(seen)


S = optim.lr_scheduler
T = np.arange(12)


@pytest.mark.parametrize(
    "make, expected",
    [
        (lambda o: S.LambdaLR(o, lambda t: 1 / (1 + t)), 1 / (1 + T)),
        (lambda o: S.StepLR(o, 4, 0.5), 0.5 ** (T // 4)),
        (lambda o: S.MultiStepLR(o, [2, 7], 0.5), 0.5 ** ((T >= 2) * 1 + (T >= 7))),
        (lambda o: S.ConstantLR(o, 0.25, 4), np.where(T < 4, 0.25, 1)),
        (lambda o: S.LinearLR(o, 0.2, 1.0, 5), 0.2 + 0.8 * np.minimum(T, 5) / 5),
        (lambda o: S.ExponentialLR(o, 0.9), 0.9**T),
        (lambda o: S.PolynomialLR(o, 8, 2.0), (1 - np.minimum(T, 8) / 8) ** 2),
        (lambda o: S.CosineAnnealingLR(o, 5, 0.1), 0.1 + 0.9 * (1 + np.cos(np.pi * T / 5)) / 2),
        (lambda o: S.CosineAnnealingWarmRestarts(o, 3), (1 + np.cos(np.pi * (T % 3) / 3)) / 2),
        (lambda o: S.CyclicLR(o, 0.2, 1.0, 3, cycle_momentum=False), 0.2 + 0.8 * (1 - np.abs(T % 6 - 3) / 3)),
        (lambda o: S.MultiplicativeLR(o, lambda t: 0.5), 0.5**T),
        (
            lambda o: S.SequentialLR(o, [S.ConstantLR(o, 0.5, 99), S.ExponentialLR(o, 0.9)], [3]),
            np.where(T < 3, 0.5, 0.9 ** np.maximum(T - 3, 0)),
        ),
        (
            lambda o: S.ChainedScheduler([S.ConstantLR(o, 0.5, 3), S.ExponentialLR(o, 0.9)]),
            np.where(T < 3, 0.5, 1) * 0.9**T,
        ),
    ],
)  # fmt: skip
def test_schedule(make, expected):
    np.testing.assert_allclose(rates(make, 12), expected, rtol=1e-12)


def test_one_cycle():
    lr = rates(lambda o: S.OneCycleLR(o, 1.0, total_steps=20), 20, momentum=0.9)
    assert math.isclose(lr[0], 1 / 25) and lr.argmax() == 5 and math.isclose(lr[5], 1.0)
    assert math.isclose(lr[-1], 1 / 25 / 1e4) and (np.diff(lr[:6]) > 0).all() and (np.diff(lr[5:]) < 0).all()


def test_plateau():
    optimizer = optim.SGD([mg.zeros(1, requires_grad=True)], lr=1.0)
    scheduler = S.ReduceLROnPlateau(optimizer, patience=1, factor=0.5, min_lr=0.2)
    seen = []
    for metric in (3, 2, 2, 2, 2, 2, 1, 1, 1, 1, 1):
        scheduler.step(metric)
        seen.append(scheduler.get_last_lr()[0])
    assert seen == [1, 1, 1, 0.5, 0.5, 0.25, 0.25, 0.25, 0.2, 0.2, 0.2]


def test_schedule_misuse():
    optimizer = optim.SGD([mg.zeros(1, requires_grad=True)], lr=1.0)
    scheduler = S.ExponentialLR(optimizer, 0.5)
    with pytest.warns(UserWarning, match="before optimizer.step"):
        scheduler.step()
    for call, words in (
        (lambda: S.StepLR("optimizer", 3), "needs a minigrad Optimizer"),
        (lambda: S.LambdaLR(optimizer, [abs, abs]), "one per group"),
        (lambda: S.ConstantLR(optimizer, 2), "factor"),
        (lambda: S.LinearLR(optimizer, 0), "factors"),
        (lambda: S.OneCycleLR(optimizer, 1.0), "needs total_steps"),
        (lambda: S.OneCycleLR(optimizer, 1.0, 10, pct_start=2), "pct_start"),
        (lambda: S.OneCycleLR(optimizer, 1.0, 10, anneal_strategy="line"), "anneal_strategy"),
        (lambda: S.CyclicLR(optimizer, 0.1, 1.0, mode="square"), "mode"),
        (lambda: S.CosineAnnealingWarmRestarts(optimizer, 0), "T_0"),
        (lambda: S.SequentialLR(optimizer, [scheduler], [1]), "one milestone less"),
        (lambda: S.ChainedScheduler([]), "at least one"),
        (lambda: S.ReduceLROnPlateau(optimizer, factor=1.0), "below 1"),
        (lambda: S.ReduceLROnPlateau(optimizer, mode="most"), "min or max"),
    ):
        with pytest.raises(ArgumentError, match=words):
            call()
    with pytest.raises(StateError, match="initial_lr"):
        S.StepLR(optim.SGD([mg.zeros(1, requires_grad=True)]), 3, last_epoch=4)
