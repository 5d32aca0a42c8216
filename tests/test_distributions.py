"""Distributions beside torch.distributions: densities, entropies, moments, divergences and their gradients; samples
beside the moments they must have."""

import numpy as np
import pytest

import minigrad as mg
from minigrad import distributions as ours
from minigrad.errors import ArgumentError, ShapeError

RNG = np.random.default_rng(0)
POSITIVE = RNG.uniform(0.3, 2.5, (2, 3))
SECOND = RNG.uniform(0.3, 2.5, (3,))
REAL = RNG.standard_normal((2, 3))
P = RNG.uniform(0.05, 0.95, (2, 3))
WEIGHTS = RNG.uniform(0.1, 1, (2, 3))
MATRIX = RNG.standard_normal((3, 3))
SPD = MATRIX @ MATRIX.T + np.eye(3)
TRIL = np.linalg.cholesky(SPD)
UNIT = RNG.uniform(0.05, 0.95, (2, 3))
COUNTS = np.array([[0.0, 1, 2], [3, 4, 1]])

# name -> the parameters, and a value
CASES = {
    "Normal": ({"loc": REAL, "scale": POSITIVE}, REAL + 0.5),
    "LogNormal": ({"loc": REAL, "scale": SECOND}, POSITIVE),
    "HalfNormal": ({"scale": POSITIVE}, POSITIVE + 0.1),
    "Uniform": ({"low": REAL, "high": REAL + POSITIVE}, REAL + POSITIVE * UNIT),
    "Exponential": ({"rate": POSITIVE}, POSITIVE + 0.1),
    "Laplace": ({"loc": REAL, "scale": POSITIVE}, REAL + 0.5),
    "Cauchy": ({"loc": REAL, "scale": POSITIVE}, REAL + 0.5),
    "Gumbel": ({"loc": REAL, "scale": POSITIVE}, REAL + 0.5),
    "Gamma": ({"concentration": POSITIVE, "rate": SECOND}, POSITIVE + 0.1),
    "Chi2": ({"df": POSITIVE}, POSITIVE + 0.1),
    "Beta": ({"concentration1": POSITIVE, "concentration0": SECOND}, UNIT),
    "Dirichlet": ({"concentration": POSITIVE}, UNIT / UNIT.sum(-1, keepdims=True)),
    "Bernoulli": ({"probs": P}, np.array([[0.0, 1, 1], [0, 0, 1]])),
    "Bernoulli logits": ({"logits": REAL}, np.array([[0.0, 1, 1], [0, 0, 1]])),
    "Binomial": ({"total_count": np.array(5.0), "probs": P}, COUNTS),
    "Geometric": ({"probs": P}, COUNTS),
    "Poisson": ({"rate": POSITIVE}, COUNTS),
    "Categorical": ({"probs": WEIGHTS}, np.array([[0], [2], [1]])),
    "Categorical logits": ({"logits": REAL}, np.array([1, 2])),
    "OneHotCategorical": ({"logits": REAL}, np.eye(3)[[1, 0]]),
    "MultivariateNormal": ({"loc": REAL, "covariance_matrix": SPD}, REAL + 0.5),
    "MultivariateNormal tril": ({"loc": REAL, "scale_tril": TRIL}, REAL + 0.5),
    "MultivariateNormal precision": ({"loc": REAL, "precision_matrix": SPD}, REAL + 0.5),
}
FIXED = {"total_count", "low", "high"}  # no gradient, or one that the value's place decides


def made(package, tensor, name, parameters):
    given = {k: tensor(v) for k, v in parameters.items()}
    for k, v in given.items():
        if k not in FIXED:
            v.requires_grad_()
    return getattr(package, name.split()[0])(**given), [v for k, v in given.items() if k not in FIXED]


def close(a, b, rtol=1e-9):
    np.testing.assert_allclose(a.detach().numpy(), b.detach().numpy(), rtol=rtol, atol=1e-11)


def same_with_gradients(mine, theirs, parameters, reference):
    """Values equal, and the gradients of their sum."""
    torch = pytest.importorskip("torch")
    assert mine.shape == tuple(theirs.shape)
    close(mine, theirs)
    if theirs.requires_grad:
        expected = torch.autograd.grad(theirs.sum(), reference, allow_unused=True, retain_graph=True)
        found = mg.autograd.grad(mine.sum(), parameters, allow_unused=True, retain_graph=True)
        for g, r in zip(found, expected, strict=True):
            # 1e-7: PyTorch's trigamma, the derivative of digamma, is off by 1e-9
            close(g if g is not None else mg.zeros(1), r if r is not None else torch.zeros(1), rtol=1e-7)


@pytest.fixture(params=CASES)
def pair(request):
    torch = pytest.importorskip("torch")
    parameters, value = CASES[request.param]
    mine, p = made(ours, lambda v: mg.tensor(np.array(v)), request.param, parameters)
    theirs, r = made(torch.distributions, lambda v: torch.tensor(np.array(v)), request.param, parameters)
    return mine, theirs, p, r, value


def test_log_prob(pair):
    torch = pytest.importorskip("torch")
    mine, theirs, p, r, value = pair
    assert mine.batch_shape == tuple(theirs.batch_shape) and mine.event_shape == tuple(theirs.event_shape)
    same_with_gradients(mine.log_prob(mg.tensor(value)), theirs.log_prob(torch.tensor(value)), p, r)


def test_entropy_and_moments(pair):
    mine, theirs, p, r, _ = pair
    for name in ("entropy", "perplexity", "mean", "variance", "stddev", "mode"):
        try:
            b = getattr(theirs, name)
            b = b() if callable(b) else b
        except NotImplementedError:
            continue
        if name in ("entropy", "perplexity") and type(mine).__name__ == "Binomial":
            continue  # no closed form; PyTorch sums over the support
        a = getattr(mine, name)
        a = a() if callable(a) else a
        if name in ("entropy", "mean", "variance") and not type(mine).__name__.startswith(("Cauchy", "Categorical")):
            same_with_gradients(a, b, p, r)
        else:
            close(a, b)


def test_cdf_and_its_inverse(pair):
    torch = pytest.importorskip("torch")
    mine, theirs, p, r, value = pair
    for name, x in (("cdf", value), ("icdf", UNIT)):
        try:
            b = getattr(theirs, name)(torch.tensor(x))
        except NotImplementedError:
            continue
        if type(mine).__name__ in ("Gamma", "Chi2"):
            close(getattr(mine, name)(mg.tensor(x)), b)
        else:
            same_with_gradients(getattr(mine, name)(mg.tensor(x)), b, p, r)


@pytest.mark.parametrize("name", [n for n in CASES if n.split()[0] not in ("HalfNormal", "Cauchy", "Gumbel", "Chi2")])
def test_divergence(name):
    torch = pytest.importorskip("torch")
    parameters, _ = CASES[name]
    other = {k: v if k in ("total_count", "probs", "covariance_matrix", "scale_tril") else v * 1.3 + 0.1
             for k, v in parameters.items()}  # fmt: skip
    if name.startswith("Uniform"):
        other = {"low": parameters["low"] - 0.1, "high": parameters["high"] + 0.2}
    if "precision_matrix" in other:
        other["precision_matrix"] = 2 * SPD
    if "probs" in other:
        other["probs"] = parameters["probs"][::-1].copy()
    found = []
    for package, tensor, kl in (
        (ours, lambda v: mg.tensor(np.array(v)), ours.kl_divergence),
        (torch.distributions, lambda v: torch.tensor(np.array(v)), torch.distributions.kl_divergence),
    ):
        a, pa = made(package, tensor, name, parameters)
        b, pb = made(package, tensor, name, other)
        found.append((kl(a, b), pa + pb))
    same_with_gradients(found[0][0], found[1][0], found[0][1], found[1][1])


@pytest.mark.parametrize("name", [n for n in CASES if not n.startswith("Cauchy")])
def test_samples_have_the_moments(name):
    mg.manual_seed(3)
    d, _ = made(ours, lambda v: mg.tensor(np.array(v)), name, CASES[name][0])
    x = d.sample((4_000,))
    assert x.shape == (4_000, *d.batch_shape, *d.event_shape) and x.node is None
    assert np.isfinite(d.log_prob(x).detach().numpy()).all()
    if name.startswith("Categorical"):
        share = np.stack([(x.numpy() == k).mean(0) for k in range(3)], -1)
        np.testing.assert_allclose(share, d.probs.detach().numpy(), atol=0.04)
        return
    mean, spread = d.mean.detach().numpy(), d.stddev.detach().numpy()
    off = np.abs(x.numpy().mean(0) - mean) / (spread / np.sqrt(4_000))
    assert off.max() < 5, off
    if name not in ("LogNormal", "Gamma", "Chi2"):  # heavy tails: the sample's variance says little
        np.testing.assert_allclose(x.numpy().std(0), spread, rtol=0.15)


def test_a_sample_is_a_function_of_the_parameters():
    """rsample: of Normal the derivative is 1 for loc and (x - loc) / scale for scale."""
    loc, scale = mg.tensor(REAL, requires_grad=True), mg.tensor(POSITIVE, requires_grad=True)
    x = ours.Normal(loc, scale).rsample((5,))
    x.sum().backward()
    np.testing.assert_allclose(loc.grad.numpy(), 5.0)
    np.testing.assert_allclose(scale.grad.numpy(), ((x - loc) / scale).detach().numpy().sum(0))
    with pytest.raises(NotImplementedError, match="score function"):
        ours.Bernoulli(0.5).rsample()
    for d in (ours.Laplace(loc, scale), ours.Gumbel(loc, scale), ours.Uniform(loc, loc + scale)):
        assert d.rsample((2,)).requires_grad and not d.sample((2,)).requires_grad


def test_independent_and_mixture():
    torch = pytest.importorskip("torch")
    theirs = torch.distributions
    value = REAL + 0.3
    answers = []
    for package, t in ((ours, mg.tensor), (theirs, torch.tensor)):
        rows = package.Independent(package.Normal(t(REAL), t(POSITIVE)), 1)
        mixture = package.MixtureSameFamily(package.Categorical(probs=t(WEIGHTS)), package.Normal(t(REAL), t(POSITIVE)))
        vectors = package.MixtureSameFamily(
            package.Categorical(probs=t(np.array([0.25, 0.75]))), package.Independent(package.Normal(t(REAL), 1.0), 1)
        )
        answers.append(
            [rows.log_prob(t(value)), rows.entropy(), package.kl_divergence(rows, rows.expand((2,))),
             mixture.log_prob(t(value[:, 0])), mixture.mean, mixture.variance, mixture.cdf(t(value[:, 0])),
             vectors.log_prob(t(value[0])), vectors.mean, vectors.variance]
        )  # fmt: skip
        assert tuple(vectors.sample((5,)).shape) == (5, 3) and tuple(mixture.sample((5,)).shape) == (5, 2)
    for a, b in zip(*answers, strict=True):
        assert a.shape == tuple(b.shape)
        close(a, b)


def test_expand_and_enumerate():
    torch = pytest.importorskip("torch")
    for package, t in ((ours, mg.tensor), (torch.distributions, torch.tensor)):
        d = package.Categorical(logits=t(REAL)).expand((4, 2))
        assert tuple(d.sample((5,)).shape) == (5, 4, 2)
        assert d.enumerate_support().shape == (3, 4, 2) and d.enumerate_support(False).shape == (3, 1, 1)
        assert package.Bernoulli(t(P)).enumerate_support(False).shape == (2, 1, 1)
        assert package.Normal(0.0, 1.0).expand((2, 3)).sample().shape == (2, 3)
        assert package.OneHotCategorical(logits=t(REAL)).expand((4, 2)).sample((5,)).shape == (5, 4, 2, 3)


def test_wrong_arguments_are_named():
    with pytest.raises(ArgumentError, match=r"Normal: scale must be > 0"):
        ours.Normal(0.0, -1.0)
    with pytest.raises(ArgumentError, match="either probs or logits"):
        ours.Bernoulli()
    with pytest.raises(ArgumentError, match="either probs or logits"):
        ours.Categorical(probs=mg.ones(2), logits=mg.ones(2))
    with pytest.raises(ArgumentError, match="Categorical: probs must be numbers >= 0"):
        ours.Categorical(probs=mg.tensor([-1.0, 2.0]))
    with pytest.raises(ArgumentError, match="a value must be a whole number from 0 to 1"):
        ours.Categorical(probs=mg.ones(2)).log_prob(mg.tensor(2))
    with pytest.raises(ArgumentError, match="a value must be 0 or 1"):
        ours.Bernoulli(0.5).log_prob(0.3)
    with pytest.raises(ArgumentError, match="below high"):
        ours.Uniform(1.0, 0.0)
    with pytest.raises(ShapeError, match="broadcast with the batch"):
        ours.Normal(mg.zeros(3), 1.0).log_prob(mg.zeros(2))
    with pytest.raises(ShapeError, match=r"a sample is \(3,\)"):
        ours.Dirichlet(mg.ones(3)).log_prob(mg.ones(2))
    with pytest.raises(ArgumentError, match="scale_tril must be lower triangular"):
        ours.MultivariateNormal(mg.zeros(2), scale_tril=mg.ones((2, 2)))
    with pytest.raises(NotImplementedError, match="register_kl"):
        ours.kl_divergence(ours.Normal(0.0, 1.0), ours.Cauchy(0.0, 1.0))
    assert ours.Normal(0.0, -1.0, validate_args=False).variance.item() == 1.0
    with pytest.raises(ArgumentError, match="a value must be a number"):
        ours.Normal(0.0, 1.0).log_prob(float("nan"))


def test_parameters_keep_their_dtype():
    d = ours.Normal(mg.zeros(2, dtype="float64"), 1.0)
    assert d.scale.dtype == d.rsample().dtype == d.log_prob(mg.zeros(2, dtype="float64")).dtype == np.float64
    assert ours.Bernoulli(0.5).sample().dtype == np.float32
    assert ours.Categorical(mg.ones(3)).sample().dtype == np.int64
    assert repr(ours.Normal(mg.zeros(2), 1.0)) == "Normal(loc: (2,), scale: (2,))"


def test_a_formula_of_ones_own():
    class Mine(ours.Normal):
        pass

    assert ours.kl_divergence(Mine(0.0, 1.0), Mine(1.0, 1.0)).item() == 0.5  # inherited

    @ours.register_kl(Mine, Mine)
    def formula(p, q):
        return mg.tensor(7.0)

    assert ours.kl_divergence(Mine(0.0, 1.0), Mine(1.0, 1.0)).item() == 7.0
