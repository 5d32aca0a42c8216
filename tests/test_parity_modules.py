"""Module, containers, normalisation and initialisation against PyTorch, beyond what test_parity_layers asks."""

import itertools
import math
import warnings

import numpy as np
import pytest

import minigrad as mg
from minigrad import nn
from minigrad.errors import ArgumentError, ShapeError
from minigrad.gradients import grad
from minigrad.random import Generator

torch = pytest.importorskip("torch", reason="PyTorch is the oracle of these tests")

# What a Module of PyTorch has and ours has not: other machines, compilers, what is deprecated, and the registries.
ABSENT = {
    "T_destination", "call_super_init", "compile", "dump_patches", "ipu", "mtia", "register_backward_hook",
    "share_memory", "xpu",
}  # fmt: skip


@pytest.mark.parametrize("name", ["Module", "Sequential", "ModuleList", "ModuleDict", "ParameterList", "ParameterDict"])
def test_public_names(name):
    theirs = {n for n in dir(getattr(torch.nn, name)) if not n.startswith("_")}
    assert theirs - set(dir(getattr(nn, name))) <= ABSENT
    special = {"__len__", "__iter__", "__getitem__", "__setitem__", "__delitem__", "__add__", "__iadd__", "__mul__"}
    special |= {"__imul__", "__rmul__", "__contains__", "__reversed__", "__or__", "__ior__", "__ror__", "__dir__"}
    assert special & set(dir(getattr(torch.nn, name))) <= set(dir(getattr(nn, name)))


def test_init_names():
    theirs = {n for n in vars(torch.nn.init) if n.endswith("_") and not n.startswith("_")}
    assert theirs <= set(dir(nn.init))


# ---- the order and the words of a state ------------------------------------------------------------------------------
def both(make):
    return make(nn), make(torch.nn)


def test_order_of_the_state():
    def make(nn):
        tensor = mg.ones if nn is globals()["nn"] else torch.ones
        m = nn.Module()
        m.a = None
        m.part = nn.Linear(1, 1)
        m.register_buffer("t", tensor(1))
        m.b = nn.Parameter(tensor(1))
        m.a = nn.Parameter(tensor(1))
        m.register_parameter("c", None)
        m.other = nn.BatchNorm1d(1)
        m.part = nn.Linear(1, 1, bias=False)
        m.c = nn.Parameter(tensor(1))
        m.register_buffer("hidden", tensor(1), persistent=False)
        return m

    ours, theirs = both(make)
    assert list(ours.state_dict()) == list(theirs.state_dict())
    for walk in ("named_parameters", "named_buffers", "named_modules", "named_children"):
        assert [n for n, _ in getattr(ours, walk)()] == [n for n, _ in getattr(theirs, walk)()]


def test_containers_after_edits():
    def make(nn):
        m = nn.Sequential(*(nn.Linear(i, i + 1) for i in range(1, 5)))
        m.insert(1, nn.ReLU())
        del m[3]
        m.append(nn.Tanh()).extend([nn.ReLU(), nn.ReLU()])
        m.insert(-1, nn.GELU())
        m.pop(0)
        m += nn.Sequential(nn.Sigmoid())
        parts = nn.ModuleList([nn.Linear(2, 2)] * 3 + [nn.ReLU()]) + nn.ModuleList([nn.ReLU()])
        parts.insert(2, nn.Tanh())
        del parts[1:3]
        return nn.ModuleDict({"m": m, "twice": m[::2] * 2, "parts": parts})

    ours, theirs = both(make)
    assert repr(ours) == repr(theirs)
    assert list(ours.state_dict()) == list(theirs.state_dict())


# ---- normalisation ---------------------------------------------------------------------------------------------------
KINDS = [
    ("BatchNorm1d", (5, 3)), ("BatchNorm1d", (4, 3, 2)), ("BatchNorm2d", (2, 3, 2, 2)),
    ("BatchNorm3d", (2, 3, 2, 1, 2)),
    ("InstanceNorm1d", (2, 3, 4)), ("InstanceNorm2d", (2, 3, 2, 2)), ("InstanceNorm2d", (3, 2, 4)),
    ("InstanceNorm3d", (2, 3, 2, 1, 2)),
]  # fmt: skip


@pytest.mark.parametrize("kind, shape", KINDS)
def test_running_norms(kind, shape):
    """All options, over steps in training and evaluation: outputs, gradients and the running state."""
    momenta = [0.1, 1.0, None] if kind.startswith("Batch") else [0.1, 1.0]
    for momentum, affine, tracks in itertools.product(momenta, [True, False], [True, False]):
        options = {"eps": 1e-3, "momentum": momentum, "affine": affine, "track_running_stats": tracks}
        ours, theirs = both(lambda nn: getattr(nn, kind)(3, **options).double())  # noqa: B023
        assert repr(ours) == repr(theirs) and list(ours.state_dict()) == list(theirs.state_dict())
        rng = np.random.default_rng(0)
        for step in range(5):
            x = rng.standard_normal(shape) * 3 + 1
            ours.train(step != 3)
            theirs.train(step != 3)
            a, b = mg.tensor(x, requires_grad=True), torch.tensor(x, requires_grad=True)
            y, ty = ours(a), theirs(b)
            np.testing.assert_allclose(y.detach().numpy(), ty.detach().numpy(), rtol=1e-10, atol=1e-10)
            g = rng.standard_normal(shape)
            da, db = grad(y, a, mg.tensor(g))[0], torch.autograd.grad(ty, b, torch.tensor(g))[0]
            np.testing.assert_allclose(da.numpy(), db.numpy(), rtol=1e-9, atol=1e-9)
            for key, value in theirs.state_dict().items():
                np.testing.assert_allclose(ours.state_dict()[key].numpy(), value.numpy(), rtol=1e-10)


def test_norms_of_one_value():
    for call in (
        lambda: nn.BatchNorm1d(3)(mg.ones(1, 3)),
        lambda: nn.InstanceNorm1d(3)(mg.ones(2, 3, 1)),
        lambda: nn.GroupNorm(3, 3)(mg.ones(1, 3)),
        lambda: nn.functional.local_response_norm(mg.ones(2, 3), 2),
        lambda: nn.BatchNorm2d(3)(mg.ones(2, 3)),
        lambda: nn.GroupNorm(2, 4)(mg.ones(2, 3, 2)),
    ):
        with pytest.raises(ShapeError):
            call()
    assert nn.BatchNorm1d(3).eval()(mg.ones(1, 3)).shape == (1, 3)
    assert nn.BatchNorm1d(3)(mg.ones(0, 3)).shape == (0, 3)


@pytest.mark.parametrize("p", [0, 0.5, 1, 2, 3, math.inf, -math.inf])
def test_normalize(p):
    x = np.random.default_rng(0).standard_normal((3, 4, 2))
    x[1] = 0 if p > 0 else x[1]  # a vector of zeros has no direction, and a gradient
    a, b = mg.tensor(x, requires_grad=True), torch.tensor(x, requires_grad=True)
    y, ty = nn.functional.normalize(a, p, dim=1), torch.nn.functional.normalize(b, p, dim=1)
    np.testing.assert_allclose(y.detach().numpy(), ty.detach().numpy(), rtol=1e-10)
    if p not in (0.5, math.inf):  # where PyTorch has a slope at 0, and one among several largest
        (da,), (db,) = grad(y, a, mg.ones_like(y)), torch.autograd.grad(ty, b, torch.ones_like(ty))
        np.testing.assert_allclose(da.numpy(), db.numpy(), rtol=1e-9, atol=1e-12)


# ---- initialisation --------------------------------------------------------------------------------------------------
N = 40_000  # draws; bounds below are five standard errors


def drawn(fill, *shape):
    return getattr(nn.init, fill[0])(mg.zeros(*(shape or (200, 200))), **fill[1], generator=Generator(0)).numpy()


@pytest.mark.parametrize(
    "fill, mean, std, low, high",
    [
        (("uniform_", {"a": -1, "b": 3}), 1, 4 / math.sqrt(12), -1, 3),
        (("normal_", {"mean": 2, "std": 0.5}), 2, 0.5, -9, 9),
        (("xavier_uniform_", {"gain": 2}), 0, 2 * math.sqrt(2 / 400), -2 * math.sqrt(6 / 400), 2 * math.sqrt(6 / 400)),
        (("xavier_normal_", {}), 0, math.sqrt(2 / 400), -9, 9),
        (("kaiming_uniform_", {"a": math.sqrt(5)}), 0, math.sqrt(1 / 600), -math.sqrt(1 / 200), math.sqrt(1 / 200)),
        (("kaiming_normal_", {"mode": "fan_out", "nonlinearity": "relu"}), 0, math.sqrt(2 / 200), -9, 9),
    ],
)
def test_moments(fill, mean, std, low, high):
    x = drawn(fill)
    assert abs(x.mean() - mean) < 5 * std / math.sqrt(N)
    assert abs(x.std() / std - 1) < 5 / math.sqrt(2 * N)
    assert low <= x.min() and x.max() <= high * (1 + 1e-6)
    np.testing.assert_array_equal(x, drawn(fill))  # the generator decides


@pytest.mark.parametrize(
    "a, b", [(-2, 2), (-0.3, 0.1), (1, 1.5), (2.5, 9), (-40, -3.5), (-math.inf, -4), (0, math.inf)]
)
def test_truncated_normal(a, b):
    """The largest gap between the distribution functions of the draws and of the normal between a and b is below
    1.95 / sqrt(N) in 999 of 1000 samples (Kolmogorov)."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # far from the mean
        x = np.sort(nn.init.trunc_normal_(mg.zeros(N, dtype="float64"), 0.5, 2.0, 0.5 + 2 * a, 0.5 + 2 * b,
                                          generator=Generator(1)).numpy())  # fmt: skip
    assert 0.5 + 2 * a <= x[0] and x[-1] <= 0.5 + 2 * b
    tail = lambda z: np.vectorize(math.erfc)(z / math.sqrt(2))  # twice the mass above z
    z, low, high = (x - 0.5) / 2, a, b
    if abs(low) > abs(high):  # the mirror image, where erfc keeps its digits
        z, low, high = -z[::-1], -b, -a
    share = (tail(np.array([low])) - tail(z)) / (tail(np.array([low])) - tail(np.array([high])))
    assert np.abs(share - (np.arange(N) + 0.5) / N).max() < 1.95 / math.sqrt(N)


def test_truncated_normal_far_away():
    with pytest.warns(UserWarning, match="more than 2 std"):
        nn.init.trunc_normal_(mg.zeros(3), a=2.5, b=3.0)
    with pytest.raises(ArgumentError, match="a must be below b"):
        nn.init.trunc_normal_(mg.zeros(3), a=3.0, b=2.0)


def test_exact_fillings():
    for shape in ((3, 5), (5, 3), (4, 4), (3, 2, 2)):
        q = nn.init.orthogonal_(mg.zeros(*shape, dtype="float64"), gain=2).numpy().reshape(shape[0], -1)
        square = q @ q.T if q.shape[0] <= q.shape[1] else q.T @ q
        np.testing.assert_allclose(square, 4 * np.eye(len(square)), atol=1e-12)
    for sparsity in (0.0, 0.13, 0.5, 1.0):
        x = nn.init.sparse_(mg.ones(30, 20), sparsity, std=3.0, generator=Generator(2)).numpy()
        assert ((x == 0).sum(axis=0) == math.ceil(sparsity * 30)).all()
        if not sparsity:
            assert abs(x.std() / 3 - 1) < 5 / math.sqrt(2 * x.size)
    for shape, groups in (((4, 2, 3), 1), ((6, 2, 3, 4), 3), ((4, 5, 1, 2, 3), 2)):
        ours, theirs = nn.init.dirac_(mg.ones(*shape), groups).numpy(), torch.nn.init.dirac_(torch.ones(shape), groups)
        np.testing.assert_array_equal(ours, theirs.numpy())
    for name, args in (("eye_", ()), ("ones_", ()), ("zeros_", ()), ("constant_", (0.3,))):
        theirs = getattr(torch.nn.init, name)(torch.full((3, 2), 7.0), *args).numpy()
        t = mg.full((3, 2), 7.0)
        assert getattr(nn.init, name)(t, *args) is t
        np.testing.assert_array_equal(t.numpy(), theirs)


def test_gains_and_their_errors():
    gains = [("linear", None), ("conv2d", None), ("sigmoid", None), ("tanh", None), ("relu", None), ("selu", None)]
    for name, param in [*gains, ("leaky_relu", None), ("leaky_relu", 0.3), ("conv_transpose3d", None)]:
        assert nn.init.calculate_gain(name, param) == torch.nn.init.calculate_gain(name, param)
    for call in (
        lambda i, z: i.calculate_gain("swish"),
        lambda i, z: i.calculate_gain("leaky_relu", "steep"),
        lambda i, z: i.eye_(z(3)),
        lambda i, z: i.dirac_(z(3, 3)),
        lambda i, z: i.dirac_(z(3, 3, 3), 2),
        lambda i, z: i.xavier_uniform_(z(3)),
        lambda i, z: i.kaiming_normal_(z(3, 3), mode="fan_none"),
        lambda i, z: i.orthogonal_(z(3)),
        lambda i, z: i.sparse_(z(3, 3, 3), 0.1),
    ):
        with pytest.raises(ValueError):
            call(torch.nn.init, torch.zeros)
        with pytest.raises(ValueError):
            call(nn.init, mg.zeros)
