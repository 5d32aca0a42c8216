"""autograd.forward_ad and func.stack_module_state: PyTorch's other ways to forward mode and to ensembles."""

import numpy as np
import pytest

import minigrad as mg
from minigrad import nn
from minigrad.autograd import forward_ad
from minigrad.errors import ArgumentError, DTypeError, GradError, ShapeError
from minigrad.func import functional_call, jvp, stack_module_state, vmap


def pair(*shape):
    rng = np.random.default_rng(0)
    return mg.tensor(rng.normal(size=shape)), mg.tensor(rng.normal(size=shape))


def test_a_tangent_is_that_of_jvp():
    x, t = pair(3, 4)
    f = lambda x: mg.sin(x) @ x.mT + x[:, :1]
    with forward_ad.dual_level():
        dual = forward_ad.make_dual(x, t)
        assert forward_ad.unpack_dual(dual).tangent is t
        y = forward_ad.unpack_dual(f(dual))
        assert forward_ad.unpack_dual(mg.ones(2)).tangent is None
    expected = jvp(f, (x,), (t,))
    np.testing.assert_array_equal(y.primal.numpy(), expected[0].numpy())
    np.testing.assert_array_equal(y.tangent.numpy(), expected[1].numpy())


def test_a_level_ends_with_its_block():
    x, t = pair(3)
    with forward_ad.dual_level():
        y = forward_ad.make_dual(x, t) ** 2
    primal, tangent = forward_ad.unpack_dual(y)
    assert tangent is None
    np.testing.assert_array_equal(primal.numpy(), (x**2).numpy())
    with pytest.raises(GradError, match="no level is open"):
        forward_ad.make_dual(x, t)


def test_reverse_over_forward():
    x, t = pair(3)
    x.requires_grad_()
    with forward_ad.dual_level():
        slope = forward_ad.unpack_dual((forward_ad.make_dual(x, t) ** 3).sum()).tangent  # 3 x^2 t
    (bend,) = mg.autograd.grad(slope, x)
    np.testing.assert_allclose(bend.numpy(), (6 * x * t).detach().numpy(), rtol=1e-14)


def test_levels_nest_without_mixing():
    x = mg.tensor(2.0, dtype=mg.float64)
    one = mg.ones((), dtype=mg.float64)
    with forward_ad.dual_level() as outer:
        a = forward_ad.make_dual(x, one)
        with forward_ad.dual_level() as inner:
            y = a * forward_ad.make_dual(mg.tensor(5.0, dtype=mg.float64), one)  # x z: d/dz = x, whose d/dx = 1
            by_z = forward_ad.unpack_dual(y, level=inner).tangent
        assert forward_ad.unpack_dual(by_z, level=outer).tangent.item() == 1
        assert forward_ad.unpack_dual(by_z).primal.item() == 2


def test_parameters_may_be_dual():
    layer, x = nn.Linear(4, 2), mg.randn(3, 4)
    held = dict(layer.named_parameters())
    tangents = {name: mg.randn(*p.shape) for name, p in held.items()}
    with forward_ad.dual_level():
        dual = {name: forward_ad.make_dual(p, tangents[name]) for name, p in held.items()}
        called = forward_ad.unpack_dual(functional_call(layer, dual, x)).tangent
        for name in held:
            delattr(layer, name)
            setattr(layer, name, dual[name])
        found = forward_ad.unpack_dual(layer(x)).tangent
    expected = x.numpy() @ tangents["weight"].numpy().T + tangents["bias"].numpy()
    np.testing.assert_allclose(found.detach().numpy(), expected, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(called.detach().numpy(), expected, rtol=1e-5, atol=1e-6)


def test_make_dual_says_what_is_wrong():
    x, t = pair(3)
    with forward_ad.dual_level():
        with pytest.raises(ShapeError, match=r"tensor is \(3,\), tangent \(2,\)"):
            forward_ad.make_dual(x, t[:2])
        with pytest.raises(DTypeError, match="one dtype"):
            forward_ad.make_dual(x, t.float())
        with pytest.raises(DTypeError, match="tangent must be a tensor of floats"):
            forward_ad.make_dual(x, 1.0)


def test_an_ensemble_in_one_call():
    models = [nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4), nn.Linear(4, 2)).eval() for _ in range(5)]
    parameters, buffers = stack_module_state(models)
    assert parameters["0.weight"].shape == (5, 4, 3) and buffers["1.running_mean"].shape == (5, 4)
    assert all(p.is_leaf and p.requires_grad for p in parameters.values())
    x = mg.randn(7, 3)
    call = lambda p, b: functional_call(models[0], (p, b), x)
    y = vmap(call)(parameters, buffers)
    np.testing.assert_allclose(y.detach().numpy(), [m(x).detach().numpy() for m in models], rtol=1e-5, atol=1e-6)
    y.sum().backward()
    assert parameters["2.bias"].grad.tolist() == [[7.0, 7.0]] * 5
    assert models[0][2].bias.grad is None


def test_an_ensemble_says_what_is_wrong():
    with pytest.raises(ArgumentError, match="at least one"):
        stack_module_state([])
    with pytest.raises(ArgumentError, match="one class"):
        stack_module_state([nn.Linear(1, 1), nn.ReLU()])
    frozen = nn.Linear(1, 1).requires_grad_(False)
    with pytest.raises(ArgumentError, match="weight must be learned in all"):
        stack_module_state([nn.Linear(1, 1), frozen])
