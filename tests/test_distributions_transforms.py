"""Transformed distributions, Student's, and samples with gradients, beside torch.distributions and definitions."""

import numpy as np
import pytest

import minigrad as mg
from minigrad import distributions as ours
from minigrad.distributions.gamma import quantile_slope
from minigrad.errors import ShapeError

X = np.random.default_rng(0).standard_normal((4, 3))
CASES = {  # transform -> its x
    "ExpTransform()": X,
    "PowerTransform(2.5)": np.abs(X) + 0.1,
    "SigmoidTransform()": X,
    "TanhTransform()": X,
    "SoftplusTransform()": X,
    "AffineTransform(0.5, -2.0)": X,
    "AffineTransform(0.5, 2.0, event_dim=1)": X,
    "StickBreakingTransform()": X,
    "ReshapeTransform((3,), (3, 1))": X,
    "IndependentTransform(ExpTransform(), 1)": X,
    "ComposeTransform([AffineTransform(0.5, 2.0), TanhTransform()])": X,
    "ComposeTransform([ExpTransform(), ReshapeTransform((3,), (1, 3))])": X,
    "ExpTransform().inv": np.abs(X) + 0.1,
}


def made(package, text):
    return eval(text, {k: getattr(package.transforms, k) for k in dir(package.transforms)})


@pytest.mark.parametrize("text", CASES)
def test_transforms(text):
    torch = pytest.importorskip("torch")
    f, g = made(ours, text), made(torch.distributions, text)
    x = mg.tensor(CASES[text], requires_grad=True)
    z = torch.tensor(CASES[text], requires_grad=True)
    y, e = f(x), g(z)
    np.testing.assert_allclose(y.detach().numpy(), e.detach().numpy(), rtol=1e-12, atol=1e-14)
    np.testing.assert_allclose(f.inv(y).detach().numpy(), CASES[text], rtol=1e-7, atol=1e-9)
    a, b = f.log_abs_det_jacobian(x, y), g.log_abs_det_jacobian(z, e)
    assert a.shape == tuple(b.shape)
    np.testing.assert_allclose(a.detach().numpy(), b.detach().numpy(), rtol=1e-9, atol=1e-12)
    assert f.forward_shape((4, 3)) == tuple(g.forward_shape((4, 3)))
    (found,) = mg.autograd.grad([y.sum() + (a * a).sum()], [x])
    (expected,) = torch.autograd.grad(e.sum() + (b * b).sum(), [z])
    np.testing.assert_allclose(found.numpy(), expected.numpy(), rtol=1e-8, atol=1e-10)


@pytest.mark.parametrize("text", CASES)
def test_transformed_normal(text):
    torch = pytest.importorskip("torch")
    if text.endswith("inv") or "Power" in text:
        pytest.skip("of positive numbers")
    found = []
    for package, tensor in ((ours, mg.tensor), (torch.distributions, torch.tensor)):
        base = package.Normal(tensor(X[0]), tensor(np.ones(3)))
        d = package.TransformedDistribution(base, made(package, text))
        y = made(package, text)(tensor(X))
        found.append((d.log_prob(y), tuple(d.batch_shape), tuple(d.event_shape), tuple(d.sample((2,)).shape)))
    (a, *shapes), (b, *theirs) = found
    assert shapes == theirs
    np.testing.assert_allclose(a.numpy(), b.numpy(), rtol=1e-7, atol=1e-9)


def test_cdf_of_a_falling_transform():
    d = ours.TransformedDistribution(ours.Normal(0.0, 1.0), ours.AffineTransform(1.0, -2.0))
    same = ours.Normal(1.0, 2.0)
    for name, x in (("cdf", mg.tensor([0.3, 2.0])), ("icdf", mg.tensor([0.3, 0.8]))):
        np.testing.assert_allclose(getattr(d, name)(x).numpy(), getattr(same, name)(x).numpy(), rtol=1e-5)


def test_a_cached_sample_keeps_its_density():
    """Far out tanh rounds to 1, whose inverse is infinite."""
    d = ours.TransformedDistribution(ours.Normal(20.0, 1.0), [ours.TanhTransform(cache_size=1)], validate_args=False)
    assert np.isfinite(d.log_prob(d.rsample((5,))).numpy()).all()


def test_events_that_do_not_fit():
    with pytest.raises(ShapeError, match="need 1 axes"):
        ours.TransformedDistribution(ours.Normal(0.0, 1.0), ours.StickBreakingTransform())


def test_student():
    torch = pytest.importorskip("torch")
    given = [np.array([0.7, 1.5, 3.0]), np.array([0.1, -1.0, 2.0]), np.array([1.0, 2.0, 0.5])]
    mine = [mg.tensor(v, requires_grad=True) for v in given]
    theirs = [torch.tensor(v, requires_grad=True) for v in given]
    a, b = ours.StudentT(*mine), torch.distributions.StudentT(*theirs)
    for name in ("mean", "mode", "variance"):
        np.testing.assert_allclose(getattr(a, name).detach().numpy(), getattr(b, name).detach().numpy(), rtol=1e-12)
    for y, e in ((a.log_prob(mg.tensor(X)), b.log_prob(torch.tensor(X))), (a.entropy(), b.entropy())):
        np.testing.assert_allclose(y.detach().numpy(), e.detach().numpy(), rtol=1e-9)
        found = mg.autograd.grad([y.sum()], mine, allow_unused=True)
        expected = torch.autograd.grad(e.sum(), theirs, allow_unused=True)
        for g, r in zip(found, expected, strict=True):
            np.testing.assert_allclose(
                0 if g is None else g.numpy(), 0 if r is None else r.numpy(), rtol=1e-6, atol=1e-9
            )
    mg.manual_seed(0)
    drawn = ours.StudentT(mg.tensor(10.0)).rsample((20000,))
    assert abs(float(drawn.var()) - 10 / 8) < 0.1


@pytest.mark.parametrize("a", [0.05, 0.5, 2.0, 40.0, 700.0])
def test_slope_of_the_quantiles(a):
    """dx/da = -(dP/da) / (dP/dx), with P's derivatives by differences."""
    x = np.random.default_rng(0).gamma(a, size=50).clip(1e-200)
    h, P = 1e-6 * a, lambda a, x: mg.special.gammainc(mg.tensor(np.full_like(x, a)), mg.tensor(x)).numpy()
    dp_da = (P(a + h, x) - P(a - h, x)) / (2 * h)
    density = np.exp(ours.Gamma(mg.tensor(a, dtype="float64"), 1.0, validate_args=False).log_prob(mg.tensor(x)).numpy())
    inner = (P(a, x) > 1e-3) & (P(a, x) < 0.999)
    np.testing.assert_allclose(quantile_slope(np.full_like(x, a), x)[inner], (-dp_da / density)[inner], rtol=1e-5)


def test_gradients_of_samples_are_those_of_the_moments():
    mg.manual_seed(1)
    a, b = (mg.tensor(v, dtype="float64", requires_grad=True) for v in (2.0, 3.0))
    ours.Gamma(a, b).rsample((20000,)).mean().backward()
    np.testing.assert_allclose([a.grad.item(), b.grad.item()], [1 / 3, -2 / 9], rtol=0.03)
    a.grad = b.grad = None
    ours.Beta(a, b).rsample((20000,)).mean().backward()  # a / (a + b)
    np.testing.assert_allclose([a.grad.item(), b.grad.item()], [3 / 25, -2 / 25], rtol=0.05)
    c = mg.tensor([1.0, 2.0, 3.0], dtype="float64", requires_grad=True)
    ours.Dirichlet(c).rsample((20000,)).mean(0)[0].backward()
    np.testing.assert_allclose(c.grad.numpy(), [5 / 36, -1 / 36, -1 / 36], rtol=0.08)
