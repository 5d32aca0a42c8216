"""Special functions beside SciPy over their whole range, their gradients beside PyTorch, and elementwise names."""

import numpy as np
import pytest

import minigrad as mg

pytestmark = pytest.mark.filterwarnings("ignore::RuntimeWarning")
LINE = np.concatenate([
    np.linspace(-40, 40, 801) + 1e-3, np.logspace(-300, 300, 301), -np.logspace(-300, 2, 151),
    [0.0, np.inf, -np.inf, np.nan, 1, 2, 3, 10, 13, 30],
])  # fmt: skip
UNIT = np.concatenate([np.linspace(-1, 1, 401), [1 - 1e-16, 1e-300, -1e-10, np.nan, 1.5, -2.0]])
SCIPY = {
    "lgamma": "gammaln", "digamma": "digamma", "erfcx": "erfcx", "ndtr": "ndtr", "log_ndtr": "log_ndtr", "i0": "i0",
    "i0e": "i0e", "i1": "i1", "i1e": "i1e", "entr": "entr", "erfinv": "erfinv", "ndtri": "ndtri", "logit": "logit",
}  # fmt: skip


@pytest.mark.parametrize("name", SCIPY)
def test_values_as_in_scipy(name):
    special = pytest.importorskip("scipy.special")
    x = UNIT if name == "erfinv" else (UNIT + 1) / 2 if name in ("ndtri", "logit") else LINE
    if name in ("lgamma", "i0", "i1"):
        x = x[np.isfinite(x)]  # SciPy: gammaln(-inf) = -inf, i0(inf) = nan
    expected = getattr(special, SCIPY[name])(x)
    got = getattr(mg, name)(mg.asarray(x)).numpy()
    steep = (x < 0) & (np.abs(x - np.round(x)) < 0.1) if name in ("lgamma", "digamma") else np.zeros(x.shape, bool)
    tolerance = np.where(steep, 1e-12, 2e-14)  # near a pole the argument's rounding counts
    if name in ("ndtr", "log_ndtr"):  # SciPy rounds x * x in the exponent, 5e-14 of the tail; here hi * hi is exact
        z = x if name == "ndtr" else -x
        hi = z.astype("float32").astype("float64")
        tail = 0.5 * special.erfcx(-z * 0.5**0.5) * np.exp(-0.5 * hi * hi) * np.exp(-0.5 * (z - hi) * (z + hi))
        expected = np.where((z < -1) & (z > -37), tail if name == "ndtr" else np.log1p(-tail), expected)
    with np.errstate(all="ignore"):
        off = np.abs(got - expected) / (np.abs(expected) + (0.1 if name in ("lgamma", "digamma") else 1e-290))
        assert ((off <= tolerance) | (got == expected) | (np.isnan(got) & np.isnan(expected))).all()
    narrow = x[(np.abs(x) < 30) & ~steep & (np.abs(x) > 1e-30)].astype("float32")
    got, expected = getattr(mg, name)(mg.asarray(narrow)), getattr(special, SCIPY[name])(narrow.astype("float64"))
    assert got.dtype == mg.float32
    fits = np.abs(expected) < 1e38
    np.testing.assert_allclose(got.numpy()[fits], expected[fits], rtol=3e-5, atol=2e-6)


@pytest.mark.parametrize("n", [0, 1, 2, 5])
def test_polygamma(n):
    special = pytest.importorskip("scipy.special")
    x = np.linspace(0.01, 60, 300)
    got = mg.polygamma(n, mg.asarray(x)).numpy()
    np.testing.assert_allclose(got, special.polygamma(n, x), rtol=1e-14, atol=1e-15)
    left = np.array([-0.3, -1.7, -2.5, -10.2])  # psi_n(x) = psi_n(x + 1) - (-1)**n n! / x**(n + 1)
    step = (-1.0) ** n * special.factorial(n) / left ** (n + 1)
    here, above = (mg.polygamma(n, mg.asarray(v)).numpy() for v in (left, left + 1))
    np.testing.assert_allclose(here, above - step, rtol=1e-11)


FUNCTIONS = {  # ours and PyTorch's: name, or (name there, keywords)
    **{n: (n, {}) for n in ["lgamma", "digamma", "i0", "sinc", "frac", "deg2rad", "rad2deg"]},
    **{n: (f"special.{n}", {}) for n in ["erfcx", "ndtr", "log_ndtr", "i0e", "i1", "i1e", "entr"]},
    "nan_to_num": ("nan_to_num", {}), "exp2": ("exp2", {}),
}  # fmt: skip


@pytest.mark.parametrize("name", FUNCTIONS)
def test_gradients_as_in_pytorch(name):
    torch = pytest.importorskip("torch")
    f = torch
    for part in FUNCTIONS[name][0].split("."):
        f = getattr(f, part)
    x = np.concatenate([np.linspace(0.05, 6, 40), -np.linspace(0.07, 5.9, 40) if name != "entr" else []])
    ours, theirs = mg.tensor(x, requires_grad=True), torch.tensor(x, requires_grad=True)
    y, z = getattr(mg, name)(ours), f(theirs)
    np.testing.assert_allclose(y.detach().numpy(), z.detach().numpy(), rtol=1e-10, atol=1e-12)
    (g,) = mg.autograd.grad(y.sum(), ours, create_graph=True)
    (h,) = torch.autograd.grad(z.sum(), theirs, create_graph=True)
    np.testing.assert_allclose(g.detach().numpy(), h.detach().numpy(), rtol=1e-9, atol=1e-11)


def test_two_inputs_as_in_pytorch():
    torch = pytest.importorskip("torch")
    rng = np.random.default_rng(3)
    a, b = rng.uniform(0.2, 3, (2, 50))
    for name in ("xlogy", "fmod", "fmax", "fmin", "logaddexp2", "ldexp", "float_power", "arctan2", "true_divide"):
        leaves = [mg.tensor(v, requires_grad=True) for v in (a, b)]
        others = [torch.tensor(v, requires_grad=True) for v in (a, b)]
        y, z = getattr(mg, name)(*leaves), getattr(torch, name)(*others)
        y.sum().backward()
        z.sum().backward()
        np.testing.assert_allclose(y.detach().numpy(), z.detach().numpy(), rtol=1e-12)
        for u, v in zip(leaves, others):
            np.testing.assert_allclose(u.grad.numpy(), v.grad.numpy(), rtol=1e-10, atol=1e-12, err_msg=name)
    for mode in (None, "floor", "trunc"):
        x, d = mg.asarray([7, -7, 2**62 + 1]), mg.asarray([2, 2, 3])
        expected = torch.div(torch.tensor(x.numpy()), torch.tensor(d.numpy()), rounding_mode=mode)
        np.testing.assert_array_equal(x.div(d, rounding_mode=mode).numpy(), expected.numpy())


def test_parts():
    x = mg.asarray([1.5, -2.25, mg.inf, -mg.inf, -0.0])
    for got, expected in zip(mg.modf(x), np.modf(x.numpy())):
        np.testing.assert_array_equal(got.numpy(), expected, strict=True)
        np.testing.assert_array_equal(np.signbit(got.numpy()), np.signbit(expected))
    for got, expected in zip(mg.frexp(x), np.frexp(x.numpy())):
        np.testing.assert_array_equal(got.numpy(), expected)
    z = mg.tensor([3.0], requires_grad=True)
    mg.frexp(z)[0].sum().backward()
    assert z.grad.tolist() == [0.25]
    assert mg.gcd(mg.asarray([12, 18]), 8).tolist() == [4, 2] and mg.lcm(mg.asarray([4]), 6).tolist() == [12]
    assert mg.bitwise_count(mg.asarray([7, 8])).tolist() == [3, 1]


def test_names_and_methods():
    """Both libraries' spellings, as functions and as methods, in place too."""
    x = mg.asarray([0.5, -0.25])
    for ours, other in (("asin", "arcsin"), ("abs", "absolute"), ("negative", "neg"), ("clip", "clamp")):
        assert getattr(mg, other) is getattr(mg, ours)
    assert x.arcsin().tolist() == mg.asin(x).tolist() and mg.pow(x, 2).tolist() == [0.25, 0.0625]
    assert x.add(x, alpha=2).tolist() == [1.5, -0.75] and x.sub(1, alpha=0.5).tolist() == [0.0, -0.75]
    y = mg.asarray(x, copy=True)
    assert y.add_(x, alpha=-1) is y and y.tolist() == [0, 0]
    assert y.lgamma_() is y and y.clamp_(0, 1).tolist() == [1, 1]
    assert x.new_zeros(2, 3).shape == (2, 3) and x.double().new_ones(2).dtype == mg.float64
    assert x.is_floating_point() and not x.is_complex() and x.stride() == (1,) and x.element_size() == 4
    assert x.cfloat().imag.tolist() == [0, 0] and x.short().dtype == mg.int16


def test_steps_and_integers():
    x = mg.tensor([1.5], requires_grad=True)
    for step in (mg.floor, mg.sign, mg.round, mg.ceil, mg.trunc):
        (g,) = mg.autograd.grad(step(x), x)
        assert g.tolist() == [0.0]
    assert not mg.less(x, 2).requires_grad
    with pytest.raises(RuntimeError, match="requires_grad"):
        mg.less(x, 2).backward()
    with pytest.raises(TypeError, match="float"):
        mg.tensor([1, 2], requires_grad=True)
    with pytest.raises(TypeError):
        mg.bitwise_and(mg.ones(2), 1)
