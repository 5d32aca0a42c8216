"""Who says dim= gets PyTorch's answer, who says axis= NumPy's; as functions and as methods, under transforms too."""

import numpy as np
import pytest

import minigrad as mg
from minigrad import testing
from minigrad.func import vmap

X = np.array([[3.0, 1.0, 3.0, 2.0], [2.0, 2.0, 1.0, -1.0]])
VALUES = {
    "max": X.max(1),
    "min": X.min(1),
    "median": np.array([2.0, 1.0]),
    "nanmedian": np.array([2.0, 1.0]),
    "mode": np.array([3.0, 2.0]),
    "sort": np.sort(X, 1),
    "cummax": np.maximum.accumulate(X, 1),
    "cummin": np.minimum.accumulate(X, 1),
    "topk": -np.sort(-X, 1)[:, :2],
    "kthvalue": np.sort(X, 1)[:, 1],
}
NUMPY = {"median": np.median(X, 1), "nanmedian": np.median(X, 1)}  # between the two in the middle
MORE = {"topk": (2,), "kthvalue": (2,)}


@pytest.mark.parametrize("of", [mg, mg.Tensor], ids=["function", "method"])
@pytest.mark.parametrize("name", VALUES)
def test_dim_gives_a_pair_and_axis_the_values(name, of):
    f, x, more = getattr(of, name), mg.tensor(X), MORE.get(name, ())
    pair = f(x, *more, dim=1)
    assert pair._fields == ("values", "indices") and pair.indices.dtype == np.int64
    np.testing.assert_array_equal(pair.values.numpy(), VALUES[name])
    keeps = VALUES[name].ndim == 1
    indices = pair.indices.numpy()[:, None] if keeps else pair.indices.numpy()
    found = np.take_along_axis(X, indices, 1)
    np.testing.assert_array_equal(found[:, 0] if keeps else found, VALUES[name])
    values = f(x, *more, axis=1)
    assert isinstance(values, mg.Tensor)
    np.testing.assert_array_equal(values.numpy(), NUMPY.get(name, VALUES[name]))
    if keeps:
        assert f(x, *more, dim=1, keepdim=True).values.shape == (2, 1)


@pytest.mark.parametrize("of", [mg, mg.Tensor], ids=["function", "method"])
@pytest.mark.parametrize("name", ["max", "min"])
def test_an_extreme_by_position_is_pytorchs(name, of):
    f, x = getattr(of, name), mg.tensor(X)
    values, indices = f(x, 1)
    np.testing.assert_array_equal(values.numpy(), VALUES[name])
    np.testing.assert_array_equal(indices.numpy(), getattr(X, f"arg{name}")(1))
    assert f(x, 1, True).values.shape == f(x, 1, keepdim=True).values.shape == f(x, 1, keepdims=True).values.shape
    assert f(x, None).shape == () and f(x, (0, 1)).shape == ()
    np.testing.assert_array_equal(getattr(np, name)(x, 1).numpy(), VALUES[name])  # NumPy's own
    with pytest.raises(TypeError, match="an axis and keepdims behind x"):
        f(x, 1, True, 3)


@pytest.mark.parametrize("name", ["sort", "median", "nanmedian"])
def test_an_axis_by_position_is_numpys_in_a_function(name):
    y = getattr(mg, name)(mg.tensor(X), 1)
    np.testing.assert_array_equal(y.numpy(), NUMPY.get(name, VALUES[name]))


def test_methods_of_pytorchs_alone():
    x = mg.tensor(X)
    assert x.sort().indices.shape == X.shape and x.median(1).indices.shape == (2,)
    assert mg.topk(x, 2).indices.shape == (2, 2) and mg.mode(x).indices.shape == (2,)
    assert x.median().item() == 2.0 and mg.median(x).item() == np.median(X)


def test_a_tensor_in_the_place_of_the_axis():
    a, b = mg.tensor(X), mg.tensor(X[::-1].copy())
    np.testing.assert_array_equal(mg.max(a, b).numpy(), np.maximum(X, X[::-1]))
    np.testing.assert_array_equal(a.min(b).numpy(), np.minimum(X, X[::-1]))


@pytest.mark.parametrize("name", ["var", "std"])
def test_divisors(name):
    f, x, numpy = getattr(mg, name), mg.tensor(X), getattr(np, name)
    for y, ddof in (
        (f(x, dim=1), 1), (f(x, axis=1), 0), (f(x, 1), 0), (f(x, dim=1, correction=0), 0),
        (f(x, dim=1, unbiased=False), 0),
        (f(x, axis=1, correction=1), 1), (f(x, axis=1, ddof=1), 1),
    ):  # fmt: skip
        np.testing.assert_allclose(y.numpy(), numpy(X, axis=1, ddof=ddof), rtol=1e-14)
    assert f(x).item() == pytest.approx(numpy(X)) and f(x, True).item() == pytest.approx(numpy(X, ddof=1))
    np.testing.assert_allclose(mg.var_mean(x, True)[0].numpy(), X.var(ddof=1))


def test_several_axes_have_no_position():
    np.testing.assert_array_equal(mg.max(mg.tensor(X), dim=(0, 1)).numpy(), 3.0)
    assert mg.tensor(X).max(keepdim=True).shape == (1, 1)


@pytest.mark.parametrize("name", VALUES)
def test_gradients_and_samples(name):
    x = X + np.linspace(0, 0.3, X.size).reshape(X.shape)  # no equal elements
    f = lambda x: getattr(x * x, name)(*MORE.get(name, ()), dim=0 if name not in MORE else 1).values
    testing.gradcheck(f, [x], kinks="skip")
    testing.gradgradcheck(f, [x], kinks="skip")
    g = lambda row: getattr(row, name)(*MORE.get(name, ()), dim=0)
    rows = [g(mg.tensor(row)) for row in X]
    for found, expected in zip(vmap(g)(mg.tensor(X)), zip(*rows), strict=True):
        np.testing.assert_array_equal(found.numpy(), np.stack([e.numpy() for e in expected]))


def test_mode_of_many():
    rng = np.random.default_rng(0)
    a = rng.integers(0, 4, (5, 30, 3))
    y = mg.mode(mg.tensor(a), dim=1)
    for i in np.ndindex(5, 3):
        row = a[i[0], :, i[1]]
        counts = np.bincount(row)
        assert y.values.numpy()[i] == counts.argmax()
        assert y.indices.numpy()[i] == np.flatnonzero(row == counts.argmax())[-1]
