"""Lion and LAMB against NumPy; averages of weights, penalties, accumulation; the rules of options."""

import numpy as np
import pytest

import minigrad as mg
from minigrad import nn, optim
from minigrad.errors import ArgumentError, DTypeError
from minigrad.optim import swa_utils

RNG = np.random.default_rng(0)
STARTS, GRADIENTS = [RNG.standard_normal(s) for s in ((3, 2), (4,))], RNG.standard_normal((8, 10))


def trained(cls, dtype, **options):
    ps = [mg.tensor(v.astype(dtype), requires_grad=True) for v in STARTS]
    optimizer = cls([{"params": ps[:1]}, {"params": ps[1:], "lr": 0.02}], **options)
    for row in GRADIENTS:
        ps[0].grad, ps[1].grad = mg.tensor(row[:6].reshape(3, 2).astype(dtype)), mg.tensor(row[6:].astype(dtype))
        optimizer.step()
    return [p.detach().numpy() for p in ps], optimizer


@pytest.mark.parametrize("dtype, tolerance", [("float32", 1e-5), ("float64", 1e-12)])
@pytest.mark.parametrize("maximize", [False, True])
def test_lion(dtype, tolerance, maximize):
    """Chen et al. 2023, the program of their appendix."""
    options = dict(lr=0.05, betas=(0.8, 0.95), weight_decay=0.1, maximize=maximize)
    found, optimizer = trained(optim.Lion, dtype, **options)
    for k, (p, lr) in enumerate(zip([v.astype(dtype).astype(float) for v in STARTS], (0.05, 0.02))):
        momentum = np.zeros_like(p)
        for row in GRADIENTS:
            g = (row[:6].reshape(3, 2) if k == 0 else row[6:]) * (-1 if maximize else 1)
            update = np.sign(momentum * 0.8 + g * (1 - 0.8))
            p -= lr * 0.1 * p
            p -= lr * update
            momentum = momentum * 0.95 + g * (1 - 0.95)
        np.testing.assert_allclose(found[k], p, rtol=tolerance, atol=tolerance)
        state = optimizer.state_dict()["state"][k]
        assert set(state) == {"exp_avg"}
        np.testing.assert_allclose(state["exp_avg"].numpy(), momentum, rtol=1e-4, atol=tolerance)


@pytest.mark.parametrize("dtype, tolerance", [("float32", 1e-5), ("float64", 1e-12)])
@pytest.mark.parametrize("decay", [0.0, 0.1])
def test_lamb(dtype, tolerance, decay):
    """You et al. 2019, algorithm 2, one layer at a time."""
    options = dict(lr=0.05, betas=(0.8, 0.95), eps=1e-4, weight_decay=decay)
    found, _ = trained(optim.LAMB, dtype, **options)
    for k, (x, lr) in enumerate(zip([v.astype(dtype).astype(float) for v in STARTS], (0.05, 0.02))):
        m = v = np.zeros_like(x)
        for t, row in enumerate(GRADIENTS, 1):
            g = row[:6].reshape(3, 2) if k == 0 else row[6:]
            m, v = 0.8 * m + (1 - 0.8) * g, 0.95 * v + (1 - 0.95) * g**2
            r = (m / (1 - 0.8**t)) / (np.sqrt(v / (1 - 0.95**t)) + 1e-4) + decay * x
            x = x - lr * (np.linalg.norm(x) / np.linalg.norm(r)) * r
        np.testing.assert_allclose(found[k], x, rtol=tolerance, atol=tolerance)


def test_lamb_at_zero():
    """Where a norm is 0 the ratio is 1: a bias that starts at 0 moves, and a gradient of 0 moves nothing."""
    p, q = mg.zeros(2, requires_grad=True), mg.ones(2, requires_grad=True)
    p.grad, q.grad = mg.tensor([1.0, -1.0]), mg.zeros(2)
    optim.LAMB([p, q], lr=0.1, weight_decay=0).step()
    np.testing.assert_allclose(p.detach().numpy(), [-0.1, 0.1], rtol=1e-4)
    assert (q.detach().numpy() == 1).all()


LEAF = mg.zeros(2, 2, requires_grad=True)


@pytest.mark.parametrize("cls, options, words", [
    (optim.Lion, {"betas": (0.9, 1.0)}, "Lion: invalid betas: must be two numbers from 0 up to, but not, 1: got"),
    (optim.LAMB, {"lr": float("nan")}, "LAMB: invalid lr: must be a number of at least 0: got nan"),
    (optim.Adam, {"betas": 0.9}, "invalid betas"),
    (optim.Adam, {"lr": "0.1"}, "invalid lr: must be a number of at least 0: got '0.1'"),
    (optim.AdamW, {"amsgrad": 1}, "invalid amsgrad: must be True or False"),
    (optim.NAdam, {"momentum_decay": -1}, "invalid momentum_decay"),
    (optim.RAdam, {"eps": -1}, "invalid eps"),
    (optim.Adamax, {"weight_decay": None}, "invalid weight_decay"),
    (optim.Adadelta, {"rho": 1.1}, "invalid rho: must be from 0 to 1"),
    (optim.Adagrad, {"lr_decay": -1}, "invalid lr_decay"),
    (optim.Rprop, {"etas": (1.2, 0.5)}, "invalid etas"),
    (optim.Rprop, {"step_sizes": (1, 0.5)}, "invalid step_sizes"),
    (optim.ASGD, {"weight_decay": -1}, "invalid weight_decay"),
    (optim.Adafactor, {"eps": (None, None)}, "invalid eps"),
    (optim.Adafactor, {"beta2_decay": 0.8}, "invalid beta2_decay: must be a number of at most 0"),
    (optim.Adafactor, {"d": 0.5}, "invalid d"),
    (optim.Adafactor, {"eps": (-1, 1e-3)}, "invalid eps"),
])  # fmt: skip
def test_options_name_their_rule(cls, options, words):
    with pytest.raises(ArgumentError, match=words):
        cls([LEAF], **options)
    with pytest.raises(ArgumentError, match=words):
        cls([{"params": [LEAF], **options}])


def test_groups_name_their_rule():
    with pytest.raises(ArgumentError, match="needs 'params': got \\['lr'\\]"):
        optim.SGD([{"lr": 0.1}])
    with pytest.raises(ArgumentError, match="all parameters or none must be named: 1 are, of 2"):
        optim.SGD([("a", LEAF), mg.zeros(1, requires_grad=True)])
    with pytest.raises(DTypeError, match="must be tensors: parameter 0 is ndarray"):
        optim.Adam([np.zeros(2)])
    assert optim.SGD([{"params": []}, {"params": LEAF}]).param_groups[0]["params"] == []


class Newton(optim.Optimizer):
    """One of a user's own: no lr, an option that elsewhere has another rule, one that may be anything."""

    rules = {"alpha": (lambda v: v < 0, "must be negative"), "momentum": None}  # noqa: RUF012

    def __init__(self, params, alpha=-1.0, momentum="none"):
        super().__init__(params, {"alpha": alpha, "momentum": momentum})

    def init(self, F, p, **options):
        return {}

    def update(self, F, p, g, state, *, alpha, momentum):
        return p + alpha * g, state


def test_an_optimizer_of_your_own():
    p = mg.tensor([3.0], requires_grad=True)
    optimizer = Newton([p])
    (p * p * 0.5).sum().backward()
    optimizer.step()
    assert p.item() == 0
    with pytest.raises(ArgumentError, match="Newton: invalid alpha: must be negative: got 1"):
        Newton([p], alpha=1)


def test_betas_in_tensors():
    ends = []
    for betas in ((0.8, 0.9), (mg.tensor(0.8, dtype="float64"), mg.tensor(0.9, dtype="float64"))):
        ends.append(trained(optim.Adam, "float64", lr=0.1, betas=betas)[0][0])
    np.testing.assert_array_equal(*ends)


# ---- averages --------------------------------------------------------------------------------------------------------
def small():
    mg.manual_seed(1)
    return nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4), nn.Linear(4, 1))


def moved(model, t):
    """Some other weights, and running statistics from another batch."""
    for i, p in enumerate(model.parameters()):
        p.array[...] = np.cos(np.arange(p.size) * (i + 1) + t).reshape(p.shape)
    model(mg.tensor(np.random.default_rng(t).standard_normal((5, 3)).astype(np.float32)))


@pytest.mark.parametrize("use_buffers", [False, True])
@pytest.mark.parametrize("kind", ["swa", "swa one by one", "swa together", "ema one by one", "ema together"])
def test_averaged_model(kind, use_buffers):
    options = {
        "swa": {},
        "swa one by one": {"avg_fn": swa_utils.get_swa_avg_fn()},
        "swa together": {"multi_avg_fn": swa_utils.get_swa_multi_avg_fn()},
        "ema one by one": {"avg_fn": swa_utils.get_ema_avg_fn(0.8)},
        "ema together": {"multi_avg_fn": swa_utils.get_ema_multi_avg_fn(0.8)},
    }[kind]
    model = small()
    average = swa_utils.AveragedModel(model, use_buffers=use_buffers, **options)
    seen = {key: [] for key in model.state_dict()}
    for t in range(4):
        moved(model, t)
        average.update_parameters(model)
        for key, value in model.state_dict().items():
            seen[key].append(value.numpy().copy())
    state = average.state_dict()
    assert list(state) == ["n_averaged", *(f"module.{key}" for key in seen)]
    assert state["n_averaged"].item() == 4
    for key, values in seen.items():
        expected = values[0]
        for n, value in enumerate(values[1:], 1):
            expected = expected + (value - expected) / (n + 1) if "swa" in kind else 0.8 * expected + 0.2 * value
            expected = expected.astype(value.dtype)  # counts are whole numbers
        if ("running" in key or "tracked" in key) and not use_buffers:
            expected = values[-1]
        np.testing.assert_allclose(state[f"module.{key}"].numpy(), expected, rtol=1e-5, atol=1e-6, err_msg=key)
    fresh = swa_utils.AveragedModel(small())
    fresh.load_state_dict(state)
    fresh.eval(), average.eval()
    x = mg.ones(2, 3)
    np.testing.assert_array_equal(fresh(x).detach().numpy(), average(x).detach().numpy())


def test_averages_are_apart_from_the_model():
    model = small()
    average = swa_utils.AveragedModel(model)
    average.update_parameters(model)
    before = average.module[0].weight.detach().numpy().copy()
    moved(model, 3)
    np.testing.assert_array_equal(average.module[0].weight.detach().numpy(), before)
    with pytest.raises(ArgumentError, match="not those it was made with"):
        average.update_parameters(nn.Linear(2, 2))
    with pytest.raises(ArgumentError, match="got both"):
        swa_utils.AveragedModel(model, avg_fn=max, multi_avg_fn=max)
    with pytest.raises(ArgumentError, match="decay must be from 0 to 1"):
        swa_utils.get_ema_avg_fn(1.5)


@pytest.mark.parametrize("pairs", [False, True])
def test_update_bn(pairs):
    """Running statistics become the mean over the batches; momentum and modes are as before."""
    model, rng = nn.Sequential(nn.BatchNorm1d(3), nn.Dropout(0.5)).eval(), np.random.default_rng(0)
    batches = [rng.standard_normal((6, 3)).astype(np.float32) * 2 + 1 for _ in range(4)]
    loader = [(mg.tensor(b), mg.zeros(6)) if pairs else mg.tensor(b) for b in batches]
    model[0].running_mean[...] = 77.0
    swa_utils.update_bn(loader, model)
    np.testing.assert_allclose(model[0].running_mean.numpy(), np.mean([b.mean(0) for b in batches], 0), rtol=1e-5)
    np.testing.assert_allclose(model[0].running_var.numpy(), np.mean([b.var(0, ddof=1) for b in batches], 0), rtol=1e-5)
    assert model[0].momentum == 0.1 and not model.training and not model[1].training
    swa_utils.update_bn(iter([]), nn.Linear(2, 2))  # nothing to renew: the loader is not read


def test_averages_as_pytorch():
    torch = pytest.importorskip("torch")
    T = torch.optim.swa_utils
    model = nn.Linear(3, 2)
    tmodel = torch.nn.Linear(3, 2)
    cases = [
        ({}, {}),
        ({"avg_fn": swa_utils.get_ema_avg_fn(0.7)}, {"avg_fn": T.get_ema_avg_fn(0.7)}),
        ({"multi_avg_fn": swa_utils.get_ema_multi_avg_fn()}, {"multi_avg_fn": T.get_ema_multi_avg_fn()}),
        ({"avg_fn": lambda a, c, n: a * n / (n + 2) + c}, {"avg_fn": lambda a, c, n: a * n / (n + 2) + c}),
    ]
    pairs = [(swa_utils.AveragedModel(model, **o), T.AveragedModel(tmodel, **t)) for o, t in cases]
    for t in range(4):
        weight = np.random.default_rng(t).standard_normal((2, 3)).astype(np.float32)
        model.weight.array[...], tmodel.weight.data[...] = weight, torch.tensor(weight)
        for ours, theirs in pairs:
            ours.update_parameters(model)
            theirs.update_parameters(tmodel)
    for ours, theirs in pairs:
        np.testing.assert_allclose(
            ours.module.weight.detach().numpy(), theirs.module.weight.detach().numpy(), rtol=1e-5, atol=1e-6
        )
        assert list(ours.state_dict()) == list(theirs.state_dict())


# ---- penalties and accumulation --------------------------------------------------------------------------------------
def test_penalties():
    arrays = [RNG.standard_normal((3, 4)), RNG.standard_normal(5), np.array(2.0), np.zeros((0, 2))]
    ps = [mg.tensor(a, requires_grad=True) for a in arrays]
    flat = np.concatenate([a.reshape(-1) for a in arrays])
    for penalty, value, slope in (
        (nn.utils.l1_penalty, np.abs(flat).sum(), np.sign(flat)),
        (nn.utils.l2_penalty, (flat**2).sum() / 2, flat),
        (lambda p: nn.utils.elastic_net_penalty(p, 0.3), 0.3 * np.abs(flat).sum() + 0.35 * (flat**2).sum(),
         0.3 * np.sign(flat) + 0.7 * flat),
    ):  # fmt: skip
        for p in ps:
            p.grad = None
        total = penalty(iter(ps))
        assert total.shape == () and total.dtype == np.float64
        assert total.item() == pytest.approx(value)
        total.backward()
        np.testing.assert_allclose(np.concatenate([p.grad.numpy().reshape(-1) for p in ps]), slope, rtol=1e-12)
    assert nn.utils.l1_penalty(ps[0]).item() == pytest.approx(np.abs(arrays[0]).sum())
    with pytest.raises(ArgumentError, match="at least one parameter"):
        nn.utils.l2_penalty([])
    with pytest.raises(ArgumentError, match="l1_ratio"):
        nn.utils.elastic_net_penalty(ps, 2)


def test_l2_penalty_is_weight_decay():
    ends = []
    for decay in (0.0, 0.1):
        p = mg.tensor(STARTS[0], requires_grad=True)
        optimizer = optim.Adam([p], lr=0.05, weight_decay=decay)
        for _ in range(5):
            optimizer.zero_grad()
            loss = (p**3).sum()
            (loss if decay else loss + 0.1 * nn.utils.l2_penalty([p])).backward()
            optimizer.step()
        ends.append(p.detach().numpy())
    np.testing.assert_allclose(*ends, rtol=1e-12)
