"""Parametrised tensors, weight, spectral and orthogonal normalisation, fusion, and calls with given state."""

import copy
import pickle

import numpy as np
import pytest

import minigrad as mg
from minigrad import nn, optim
from minigrad.errors import ArgumentError, DTypeError, GradError, ShapeError, StateError
from minigrad.nn import functional as F
from minigrad.nn.utils import parametrizations, parametrize
from minigrad.nn.utils.stateless import functional_call
from minigrad.testing import gradcheck, gradgradcheck


class Symmetric(nn.Module):
    def forward(self, x):
        return x.triu() + x.triu(k=1).mT

    def right_inverse(self, a):
        return a.triu()


class Twice(nn.Module):
    def forward(self, x):
        return 2 * x

    def right_inverse(self, y):
        return y / 2


class Half(nn.Module):
    def forward(self, x):
        return x[:1]


class RankOne(nn.Module):
    def forward(self, a, b):
        return a[:, None] * b

    def right_inverse(self, m):
        return m[:, 0], m[0] / m[0, 0]


@pytest.fixture(autouse=True)
def seed():
    mg.manual_seed(0)


def tensors(module):
    return {name: t.numpy().copy() for name, t in module.state_dict().items()}


def test_chain_reads_writes_and_goes():
    layer = nn.Linear(3, 3)
    w = layer.weight
    before = w.numpy().copy()
    parametrize.register_parametrization(layer, "weight", Symmetric())
    parametrize.register_parametrization(layer, "weight", Twice())
    assert layer.parametrizations.weight.original is w and type(layer).__name__ == "ParametrizedLinear"
    assert parametrize.type_before_parametrizations(layer) is nn.Linear
    assert list(layer.state_dict()) == ["bias", "parametrizations.weight.original"]
    upper = np.triu(before)
    np.testing.assert_allclose(layer.weight.numpy(), 2 * (upper + np.triu(upper, 1).T))
    a = np.arange(9, dtype=np.float32).reshape(3, 3)
    layer.weight = mg.tensor(a + a.T)
    np.testing.assert_allclose(layer.weight.numpy(), a + a.T)
    assert parametrize.is_parametrized(layer, "weight") and not parametrize.is_parametrized(layer, "bias")
    parametrize.remove_parametrizations(layer, "weight")
    assert type(layer) is nn.Linear and layer.weight is w and not parametrize.is_parametrized(layer)
    np.testing.assert_allclose(layer.weight.numpy(), a + a.T)
    assert set(layer.state_dict()) == {"weight", "bias"}


def test_left_unparametrized_and_several_originals():
    layer = parametrize.register_parametrization(nn.Linear(3, 3), "weight", Twice())
    original = layer.parametrizations.weight.original.numpy().copy()
    parametrize.remove_parametrizations(layer, "weight", leave_parametrized=False)
    np.testing.assert_array_equal(layer.weight.numpy(), original)
    layer = parametrize.register_parametrization(nn.Linear(2, 3, bias=False), "weight", RankOne())
    assert [p.shape for p in layer.parameters()] == [(3,), (2,)]
    layer.weight = mg.tensor(np.outer([1.0, 2, 3], [4.0, 5]).astype(np.float32))
    np.testing.assert_allclose(layer.weight.numpy(), np.outer([1, 2, 3], [4, 5]), rtol=1e-6)
    with pytest.raises(ArgumentError, match="2 tensors"):
        parametrize.remove_parametrizations(layer, "weight", leave_parametrized=False)
    parametrize.remove_parametrizations(layer, "weight")
    assert isinstance(layer.weight, nn.Parameter) and layer.weight.requires_grad
    with pytest.raises(ArgumentError, match="no parametrization"):
        parametrize.remove_parametrizations(layer, "weight")


def test_buffer_and_cache():
    calls = []

    class Counted(Twice):
        def forward(self, x):
            calls.append(1)
            return super().forward(x)

    bn = nn.BatchNorm1d(2)
    parametrize.register_parametrization(bn, "running_var", Counted())
    assert dict(bn.named_buffers())["parametrizations.running_var.original"].tolist() == [0.5, 0.5]
    calls.clear()
    with parametrize.cached():
        first = bn.running_var
        with parametrize.cached():
            assert bn.running_var is first
        assert bn.running_var is first
    assert len(calls) == 1 and bn.running_var is not first


def test_copies_are_independent():
    layer = parametrize.register_parametrization(nn.Linear(2, 2), "weight", Twice())
    other = copy.deepcopy(layer)
    parametrize.remove_parametrizations(other, "weight")
    assert type(other) is nn.Linear and layer.weight.shape == (2, 2)
    with pytest.raises(StateError, match="state_dict"):
        pickle.dumps(layer)


def test_refusals():
    layer = nn.Linear(2, 3)
    with pytest.raises(ArgumentError, match=r"'weights'.*weight, bias"):
        parametrize.register_parametrization(layer, "weights", Twice())
    with pytest.raises(ShapeError, match=r"keep the shape \(3, 2\).*\(1, 2\)"):
        parametrize.register_parametrization(layer, "weight", Half())

    class Wide(nn.Module):
        def forward(self, x):
            return x.astype("float64")

    with pytest.raises(DTypeError, match=r"float32.*float64"):
        parametrize.register_parametrization(layer, "weight", Wide())
    assert type(layer) is nn.Linear and layer.weight.shape == (3, 2)
    parametrize.register_parametrization(layer, "weight", Twice())
    with pytest.raises(ShapeError):
        parametrize.register_parametrization(layer, "weight", Half())
    parametrize.register_parametrization(layer, "weight", Half(), unsafe=True)
    assert layer.weight.shape == (1, 2)
    with pytest.raises(ArgumentError, match="right_inverse"):
        layer.weight = mg.ones(1, 2)
    with pytest.raises(ArgumentError, match="orthogonal_map"):
        parametrizations.orthogonal(nn.Linear(2, 2), orthogonal_map="qr")
    with pytest.raises(ShapeError):
        parametrizations.orthogonal(nn.Linear(2, 2), "bias")
    with pytest.raises(ArgumentError, match="n_power_iterations"):
        parametrizations.spectral_norm(nn.Linear(2, 2), n_power_iterations=0)


def test_transfer():
    source = parametrize.register_parametrization(nn.Linear(3, 3), "weight", Symmetric())
    target = parametrize.transfer_parametrizations_and_params(source, nn.Linear(3, 3))
    assert target.parametrizations.weight.original is source.parametrizations.weight.original
    np.testing.assert_array_equal(target.weight.numpy(), source.weight.numpy())


# ---- against PyTorch -------------------------------------------------------------------------------------------------
APPLIED = {
    "weight": lambda P, m: P.weight_norm(m),
    "weight over all": lambda P, m: P.weight_norm(m, dim=None),
    "weight dim 1": lambda P, m: P.weight_norm(m, dim=1),
    "spectral": lambda P, m: P.spectral_norm(m),
    "spectral of three": lambda P, m: P.spectral_norm(m, n_power_iterations=3, dim=1),
    "exponential": lambda P, m: P.orthogonal(m, orthogonal_map="matrix_exp"),
    "cayley": lambda P, m: P.orthogonal(m, orthogonal_map="cayley"),
    "householder": lambda P, m: P.orthogonal(m, orthogonal_map="householder"),
    "householder alone": lambda P, m: P.orthogonal(m, orthogonal_map="householder", use_trivialization=False),
    "exponential alone": lambda P, m: P.orthogonal(m, orthogonal_map="matrix_exp", use_trivialization=False),
}
LAYERS = {
    "linear": lambda nn: nn.Linear(4, 6),
    "wide": lambda nn: nn.Linear(6, 4),
    "square": lambda nn: nn.Linear(5, 5),
    "conv": lambda nn: nn.Conv2d(3, 4, 3),
    "transposed": lambda nn: nn.ConvTranspose1d(3, 4, 3),
}


@pytest.mark.parametrize("layer", LAYERS)
@pytest.mark.parametrize("how", APPLIED)
def test_like_torch(how, layer):
    """State keys, numbers, buffers and gradients over three training steps and in evaluation."""
    torch = pytest.importorskip("torch")
    theirs = LAYERS[layer](torch.nn).double()
    ours = LAYERS[layer](nn).double()
    ours.load_state_dict({k: v.numpy() for k, v in theirs.state_dict().items()})
    APPLIED[how](torch.nn.utils.parametrizations, theirs)
    APPLIED[how](nn.utils.parametrizations, ours)
    assert list(ours.state_dict()) == list(theirs.state_dict())
    if "alone" not in how and "spectral" not in how and ("weight" in how or layer in ("linear", "wide", "square")):
        own = {k: v for k, v in tensors(ours).items() if not k.endswith("base") or layer == "square"}
        for key, value in own.items():
            np.testing.assert_allclose(value, theirs.state_dict()[key].numpy(), rtol=1e-10, atol=1e-12, err_msg=key)
    ours.load_state_dict({k: v.numpy() for k, v in theirs.state_dict().items()})
    rng = np.random.default_rng(1)
    steps = torch.optim.SGD(theirs.parameters(), lr=0.05), optim.SGD(ours.parameters(), lr=0.05)
    for _ in range(3):
        w, v = theirs.weight, ours.weight
        np.testing.assert_allclose(v.numpy(), w.detach().numpy(), rtol=1e-10, atol=1e-12)
        target = rng.standard_normal(v.shape)
        for step in steps:
            step.zero_grad()
        ((w - torch.tensor(target)) ** 2).sum().backward()
        ((v - mg.tensor(target)) ** 2).sum().backward()
        for (name, p), q in zip(ours.named_parameters(), theirs.parameters(), strict=True):
            if q.grad is not None:
                np.testing.assert_allclose(p.grad.numpy(), q.grad.numpy(), rtol=1e-9, atol=1e-11, err_msg=name)
        for step in steps:
            step.step()
    theirs.eval()
    ours.eval()
    np.testing.assert_allclose(ours.weight.numpy(), theirs.weight.detach().numpy(), rtol=1e-9, atol=1e-11)
    for name, value in tensors(ours).items():
        np.testing.assert_allclose(value, theirs.state_dict()[name].numpy(), rtol=1e-9, atol=1e-11, err_msg=name)


@pytest.mark.parametrize("how", [h for h in APPLIED if h != "householder alone"])
def test_gradients_to_second_order(how):
    layer = nn.Linear(3, 4, bias=False).double()
    APPLIED[how](parametrizations, layer)
    layer.eval()
    made = layer.parametrizations.weight[0]
    values = [p.detach() for p in layer.parameters()]
    if how == "householder":
        values[0] = values[0] - 0.5 * mg.eye(4, 3, dtype="float64")  # the signs are whole parts: off their jump at -1
    for v in values:
        v.requires_grad = True
    assert gradcheck(lambda *v: made(*v), values)
    assert gradgradcheck(lambda *v: made(*v), values)


@pytest.mark.parametrize("orthogonal_map", ["matrix_exp", "cayley", "householder"])
@pytest.mark.parametrize("shape", [(3, 5), (5, 3), (4, 4)])
def test_training_keeps_the_weight_orthogonal(shape, orthogonal_map):
    layer = parametrizations.orthogonal(nn.Linear(*shape), orthogonal_map=orthogonal_map)
    step = optim.Adam(layer.parameters(), lr=0.1)
    start = layer.weight.numpy().copy()
    for _ in range(5):
        step.zero_grad()
        layer(mg.ones(2, shape[0])).sum().backward()
        step.step()
    w = layer.weight.numpy()
    w = w if w.shape[0] >= w.shape[1] else w.T
    np.testing.assert_allclose(w.T @ w, np.eye(w.shape[1]), atol=1e-5)
    assert abs(layer.weight.numpy() - start).max() > 0.01


def test_weight_norm_loads_states_of_the_hook():
    old = nn.Sequential(nn.utils.weight_norm(nn.Linear(3, 2)))
    new = nn.Sequential(parametrizations.weight_norm(nn.Linear(3, 2)))
    new.load_state_dict(old.state_dict())
    np.testing.assert_allclose(new[0].weight.numpy(), old[0].weight.detach().numpy(), rtol=1e-6)


def test_matrix_exp_of_large_matrices():
    linalg = pytest.importorskip("scipy.linalg")
    rng = np.random.default_rng(0)
    for scale in (1e-3, 1.0, 20.0):
        a = rng.standard_normal((6, 6)) * scale
        a = a - a.T
        np.testing.assert_allclose(parametrizations.matrix_exp(mg.tensor(a)).numpy(), linalg.expm(a), atol=1e-11)


@pytest.mark.filterwarnings("ignore::FutureWarning")
@pytest.mark.parametrize("kind", ["weight_norm", "spectral_norm"])
@pytest.mark.parametrize("layer", LAYERS)
def test_hooks_like_torch(kind, layer):
    torch = pytest.importorskip("torch")
    theirs = getattr(torch.nn.utils, kind)(LAYERS[layer](torch.nn).double())
    ours = getattr(nn.utils, kind)(LAYERS[layer](nn).double())
    assert list(ours.state_dict()) == list(theirs.state_dict())
    ours.load_state_dict({k: v.numpy() for k, v in theirs.state_dict().items()})
    shape = (2, ours.weight.shape[1], 5, 5)[: ours.weight.ndim] if layer != "transposed" else (2, 3, 5)
    x = np.random.default_rng(0).standard_normal(shape)
    for _ in range(2):
        y, z = ours(mg.tensor(x)), theirs(torch.tensor(x))
        np.testing.assert_allclose(y.numpy(), z.detach().numpy(), rtol=1e-9, atol=1e-12)
        (y * y).sum().backward()
        (z * z).sum().backward()
    for (name, p), q in zip(ours.named_parameters(), theirs.parameters(), strict=True):
        np.testing.assert_allclose(p.grad.numpy(), q.grad.numpy(), rtol=1e-9, atol=1e-11, err_msg=name)
    weight = ours.weight.numpy().copy()
    with pytest.raises(ArgumentError):
        getattr(nn.utils, kind)(ours, "weight")
    getattr(nn.utils, f"remove_{kind}")(ours)
    np.testing.assert_allclose(ours.weight.numpy(), weight, rtol=1e-9)
    assert set(ours.state_dict()) == {"weight", "bias"}
    with pytest.raises(ArgumentError):
        getattr(nn.utils, f"remove_{kind}")(ours)


# ---- fusion ----------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("affine", [True, False])
@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("kind", ["Conv1d", "Conv2d", "Conv3d", "ConvTranspose2d", "Linear", "grouped"])
def test_fusion(kind, bias, affine):
    rng, axes = np.random.default_rng(0), 2 if kind == "grouped" else int(kind[-2]) if "Conv" in kind else 0
    if axes:
        name = "Conv2d" if kind == "grouped" else kind
        layer = getattr(nn, name)(4, 6, 3, bias=bias, groups=2 if kind == "grouped" else 1)
        bn = getattr(nn, f"BatchNorm{axes}d")(6, affine=affine)
    else:
        layer, bn = nn.Linear(4, 6, bias=bias), nn.BatchNorm1d(6, affine=affine)
    layer.double(), bn.double()
    x = mg.tensor(rng.standard_normal((5, 4, *(6,) * axes)))
    bn(layer(x))  # fills the running statistics
    for p in bn.parameters():
        p.data = mg.tensor(rng.standard_normal(6))
    layer.eval(), bn.eval()
    if axes:
        fused = nn.utils.fuse_conv_bn_eval(layer, bn, transpose="Transpose" in kind)
    else:
        fused = nn.utils.fuse_linear_bn_eval(layer, bn)
    assert type(fused) is type(layer) and fused is not layer and fused.weight.shape == layer.weight.shape
    np.testing.assert_allclose(fused(x).numpy(), bn(layer(x)).numpy(), rtol=1e-10, atol=1e-12)


def test_fusion_refusals():
    conv, bn = nn.Conv2d(2, 4, 3), nn.BatchNorm2d(4)
    with pytest.raises(GradError, match="eval"):
        nn.utils.fuse_conv_bn_eval(conv, bn)
    conv.eval()
    with pytest.raises(ArgumentError, match="running"):
        nn.utils.fuse_conv_bn_eval(conv, nn.BatchNorm2d(4, track_running_stats=False).eval())
    with pytest.raises(ArgumentError, match="groups"):
        nn.utils.fuse_conv_bn_eval(nn.ConvTranspose2d(2, 4, 3, groups=2).eval(), bn.eval(), transpose=True)
    with pytest.raises(ArgumentError, match="num_features"):
        nn.utils.fuse_linear_bn_eval(nn.Linear(2, 3).eval(), nn.BatchNorm1d(4).eval())


# ---- calls with given state ------------------------------------------------------------------------------------------
def test_functional_call():
    model = nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4), nn.Linear(4, 2))
    own = tensors(model)
    x = mg.randn(5, 3)
    given = {k: mg.tensor(v + 1) if v.ndim else mg.tensor(v) for k, v in own.items()}
    w = given["0.weight"] = mg.tensor(given["0.weight"].numpy(), requires_grad=True)
    y = functional_call(model, given, (x,))
    hidden = F.linear(x, w, given["0.bias"]).numpy()
    np.testing.assert_allclose(
        given["1.running_mean"].numpy(), 0.9 * (own["1.running_mean"] + 1) + 0.1 * hidden.mean(0), rtol=1e-5
    )
    y.sum().backward()
    assert w.grad is not None and model[0].weight.grad is None
    for name, value in tensors(model).items():
        np.testing.assert_array_equal(value, own[name])
    with pytest.raises(StateError, match=r"unexpected: a\.b"):
        functional_call(model, {"a.b": w}, x)
    with pytest.raises(StateError, match=r"missing: .*0\.bias"):
        functional_call(model, {"0.weight": w}, x, strict=True)
    with pytest.raises(DTypeError):
        functional_call(model, {"0.weight": 1.0}, x)
    with pytest.raises(ArgumentError, match="twice"):
        functional_call(model, ({"0.weight": w}, {"0.weight": w}), x)


def test_functional_call_ties_and_restores():
    class Tied(nn.Module):
        def __init__(self):
            super().__init__()
            self.a, self.b = nn.Linear(2, 2, bias=False), nn.Linear(2, 2, bias=False)
            self.b.weight = self.a.weight

        def forward(self, x):
            return self.b(self.a(x))

    model, x, eye = Tied(), mg.ones(1, 2), mg.eye(2)
    assert functional_call(model, {"a.weight": 2 * eye}, x).tolist() == [[4.0, 4.0]]
    w = model.a.weight
    with pytest.raises(ArgumentError, match="several names"):
        functional_call(model, {"a.weight": eye, "b.weight": 3 * eye}, x)
    assert functional_call(model, {"a.weight": eye, "b.weight": 3 * eye}, x, tie_weights=False).tolist() == [[3.0, 3.0]]
    with pytest.raises(ShapeError):
        functional_call(model, {"a.weight": mg.ones(3, 3)}, x)
    assert model.a.weight is w and model.b.weight is w


def test_functional_call_of_parametrised_modules():
    layer = parametrize.register_parametrization(nn.Linear(2, 2, bias=False), "weight", Twice())
    y = functional_call(layer, {"parametrizations.weight.original": mg.eye(2)}, mg.ones(1, 2))
    assert y.tolist() == [[2.0, 2.0]]
