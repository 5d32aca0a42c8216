"""Pruning: masks, iterations and state as PyTorch's; zeros that survive training."""

import copy
import importlib

import numpy as np
import pytest

import minigrad as mg
from minigrad import nn, optim
from minigrad.errors import ArgumentError, AxisError, DTypeError, ShapeError
from minigrad.nn.utils import prune


@pytest.fixture(autouse=True)
def seed():
    mg.manual_seed(0)


def pair(make):
    """The same layer in PyTorch and here."""
    torch = pytest.importorskip("torch")
    torch.manual_seed(0)
    theirs = make(torch.nn)
    ours = make(nn)
    ours.load_state_dict({k: v.numpy() for k, v in theirs.state_dict().items()})
    return importlib.import_module("torch.nn.utils.prune"), theirs, ours


def assert_same(ours, theirs):
    assert list(ours.state_dict()) == list(theirs.state_dict())
    for name, t in ours.state_dict().items():
        np.testing.assert_array_equal(t.numpy(), theirs.state_dict()[name].numpy(), err_msg=name)
    np.testing.assert_array_equal(ours.weight.numpy(), theirs.weight.detach().numpy())


STEPS = {
    "fraction": [lambda P, m: P.l1_unstructured(m, "weight", 0.3)],
    "count": [lambda P, m: P.l1_unstructured(m, "weight", amount=5)],
    "none and all": [lambda P, m: P.l1_unstructured(m, "weight", 0), lambda P, m: P.l1_unstructured(m, "weight", 1.0)],
    "again": [lambda P, m: P.l1_unstructured(m, "weight", 0.3)] * 3,
    "channels": [lambda P, m: P.ln_structured(m, "weight", 0.4, n=2, dim=0)],
    "smallest of each channel": [lambda P, m: P.ln_structured(m, "weight", 2, n=float("-inf"), dim=0)],
    "channels again": [
        lambda P, m: P.ln_structured(m, "weight", 1, n=1, dim=1),
        lambda P, m: P.ln_structured(m, "weight", 2, n=float("inf"), dim=0),
        lambda P, m: P.ln_structured(m, "weight", 1, n=1.5, dim=-1),
    ],
    "mixed": [
        lambda P, m: P.ln_structured(m, "weight", 1, n=2, dim=0),
        lambda P, m: P.l1_unstructured(m, "weight", 0.5),
        lambda P, m: P.identity(m, "weight"),
        lambda P, m: P.ln_structured(m, "weight", 1, n=3, dim=1),
    ],
    "nothing": [lambda P, m: P.identity(m, "weight")],
    "bias too": [lambda P, m: P.l1_unstructured(m, "bias", 2), lambda P, m: P.l1_unstructured(m, "weight", 0.5)],
}


@pytest.mark.parametrize("layer", [lambda nn: nn.Linear(5, 6), lambda nn: nn.Conv2d(3, 6, 3)], ids=["linear", "conv"])
@pytest.mark.parametrize("steps", STEPS)
def test_masks_like_torch(steps, layer):
    their_prune, theirs, ours = pair(layer)
    for step in STEPS[steps]:
        step(their_prune, theirs)
        step(prune, ours)
        assert_same(ours, theirs)
    assert prune.is_pruned(ours) and prune.is_pruned(nn.Sequential(ours))
    prune.remove(ours, "weight")
    their_prune.remove(theirs, "weight")
    assert_same(ours, theirs)
    assert isinstance(ours.weight, nn.Parameter)


def test_global_and_scores_like_torch():
    def make(nn):
        return nn.Sequential(nn.Linear(6, 7), nn.ReLU(), nn.Linear(7, 3))

    their_prune, theirs, ours = pair(make)
    for amount in (0.3, 9):
        for P, m in ((their_prune, theirs), (prune, ours)):
            P.global_unstructured([(m[0], "weight"), (m[2], "weight"), (m[2], "bias")], P.L1Unstructured, amount=amount)
        assert list(ours.state_dict()) == list(theirs.state_dict())
        for name, t in ours.state_dict().items():
            np.testing.assert_array_equal(t.numpy(), theirs.state_dict()[name].numpy(), err_msg=name)
    torch = pytest.importorskip("torch")
    their_prune, theirs, ours = pair(lambda nn: nn.Linear(4, 3))
    scores = np.random.default_rng(0).random((3, 4)).astype(np.float32)
    their_prune.l1_unstructured(theirs, "weight", 4, importance_scores=torch.tensor(scores))
    prune.l1_unstructured(ours, "weight", 4, importance_scores=mg.tensor(scores))
    assert_same(ours, theirs)
    mask = np.random.default_rng(1).integers(0, 2, (3, 4))
    their_prune.custom_from_mask(theirs, "weight", torch.tensor(mask))
    prune.custom_from_mask(ours, "weight", mask)
    assert_same(ours, theirs)


def test_training_keeps_the_zeros():
    layer = prune.l1_unstructured(nn.Linear(8, 4), "weight", 0.5)
    zeros = layer.weight_mask.numpy() == 0
    step = optim.SGD(layer.parameters(), lr=0.1)
    start = layer.weight.numpy().copy()
    for _ in range(3):
        step.zero_grad()
        (layer(mg.randn(5, 8)) ** 2).sum().backward()
        assert not layer.weight_orig.grad.numpy()[zeros].any()
        step.step()
    layer(mg.randn(1, 8))
    w = layer.weight.numpy()
    assert not w[zeros].any() and (w[~zeros] != start[~zeros]).all()
    other = prune.identity(nn.Linear(8, 4), "weight")
    other.load_state_dict(layer.state_dict())
    x = mg.randn(2, 8)
    np.testing.assert_array_equal(other(x).numpy(), layer(x).numpy())


def test_random_methods():
    layer = prune.random_unstructured(nn.Linear(10, 10), "weight", 0.25)
    first = layer.weight_mask.numpy().copy()
    assert (first == 0).sum() == 25
    prune.random_unstructured(layer, "weight", 15)
    second = layer.weight_mask.numpy()
    assert (second == 0).sum() == 40 and not second[first == 0].any()
    conv = prune.random_structured(nn.Conv2d(4, 8, 3), "weight", 3, dim=0)
    assert (conv.weight_mask.numpy().reshape(8, -1).any(axis=1)).sum() == 5
    prune.random_structured(conv, "weight", 2, dim=0)
    assert (conv.weight_mask.numpy().reshape(8, -1).any(axis=1)).sum() == 3
    mg.manual_seed(1)
    a = prune.random_unstructured(nn.Linear(10, 10), "weight", 5).weight_mask.numpy()
    mg.manual_seed(1)
    b = prune.random_unstructured(nn.Linear(10, 10), "weight", 5).weight_mask.numpy()
    np.testing.assert_array_equal(a, b)


def test_own_method_and_container():
    class EveryOther(prune.BasePruningMethod):
        def compute_mask(self, t, default_mask):
            mask = default_mask.clone()
            mask[::2] = 0
            return mask

    layer = nn.Linear(4, 1)
    EveryOther.apply(layer, "bias")
    hook = prune.L1Unstructured.apply(layer, "weight", amount=1)
    assert isinstance(hook, prune.L1Unstructured)
    hook = EveryOther.apply(layer, "weight")  # sees the three that are left, as a vector
    assert isinstance(hook, prune.PruningContainer) and len(hook) == 2 and isinstance(hook[1], EveryOther)
    assert layer.weight_mask.numpy().sum() == 1
    t = mg.arange(4.0)
    assert prune.L1Unstructured(amount=2).prune(t).tolist() == [0, 0, 2, 3]
    assert copy.deepcopy(hook)[0].amount == 1


def test_refusals():
    layer = nn.Linear(4, 3)
    before = layer.weight
    for amount in (-1, 1.5, -0.1, float("nan")):
        with pytest.raises(ArgumentError, match=r"fraction from 0\.0 to 1\.0"):
            prune.l1_unstructured(layer, "weight", amount)
    with pytest.raises(DTypeError):
        prune.l1_unstructured(layer, "weight", "half")
    with pytest.raises(ArgumentError, match=r"at most .*12.*13"):
        prune.random_unstructured(layer, "weight", 13)
    with pytest.raises(AxisError):
        prune.ln_structured(layer, "weight", 1, 2, dim=2)
    with pytest.raises(ShapeError, match="2 axes"):
        prune.random_structured(layer, "bias", 1, dim=0)
    with pytest.raises(ArgumentError, match="'kernel'"):
        prune.identity(layer, "kernel")
    with pytest.raises(ShapeError, match="mask"):
        prune.custom_from_mask(layer, "weight", mg.ones(2, 2))
    with pytest.raises(ShapeError, match="importance_scores"):
        prune.l1_unstructured(layer, "weight", 1, importance_scores=mg.ones(2, 2))
    with pytest.raises(ArgumentError, match="pruned first"):
        prune.remove(layer, "weight")
    with pytest.raises(DTypeError, match="unstructured"):
        prune.global_unstructured([(layer, "weight")], prune.LnStructured, amount=1, n=2)
    assert layer.weight is before and not prune.is_pruned(layer) and list(layer.state_dict()) == ["weight", "bias"]
    prune.l1_unstructured(layer, "weight", 6)
    with pytest.raises(ArgumentError, match="6"):
        prune.l1_unstructured(layer, "weight", 7)
    assert layer.weight_mask.numpy().sum() == 6
    prune.remove(layer, "weight")
