"""Laws that hold for all shapes and values, tried on many that nobody thought of."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

import minigrad as mg
from minigrad import autograd
from minigrad.errors import ShapeError

settings.register_profile("repeatable", deadline=None, derandomize=True, max_examples=60)
settings.load_profile("repeatable")

SHAPES = hnp.array_shapes(min_dims=0, max_dims=4, min_side=0, max_side=4)


def values(shape, seed=0):
    return np.random.default_rng(seed).standard_normal(shape)


def dot(a, b):
    return float((np.asarray(a) * np.asarray(b)).sum())


@given(SHAPES, st.data())
def test_sum_to_is_the_adjoint_of_broadcasting(shape, data):
    """<broadcast x, g> = <x, sum_to g>, for every shape that broadcasts to this one."""
    small = tuple(data.draw(st.sampled_from([n, 1])) for n in shape)[data.draw(st.integers(0, len(shape))) :]
    x, g = values(small), values(shape, 1)
    big = mg.broadcast_to(mg.tensor(x), shape)
    back = mg.sum_to(mg.tensor(g), shape=small)
    assert back.shape == small
    assert np.isclose(dot(big.numpy(), g), dot(x, back.numpy()))


@given(hnp.mutually_broadcastable_shapes(num_shapes=2, max_dims=4, max_side=4, min_side=0))
def test_broadcast_gradients(shapes):
    """d(a * b): the gradient of each has its shape and is the other one, summed over the copies."""
    a, b = (mg.tensor(values(s, i), requires_grad=True) for i, s in enumerate(shapes.input_shapes))
    y = a * b
    assert y.shape == shapes.result_shape
    w = values(y.shape, 5)
    y.backward(mg.tensor(w))
    da = values(a.shape, 7)
    assert a.grad.shape == a.shape and b.grad.shape == b.shape
    assert np.isclose(dot(a.grad.numpy(), da), dot(w, np.broadcast_to(da * b.detach().numpy(), y.shape)))


@given(SHAPES, SHAPES)
def test_broadcasting_refuses_what_numpy_refuses(a, b):
    try:
        expected = np.broadcast_shapes(a, b)
    except ValueError:
        with pytest.raises(ShapeError, match="add: shapes must broadcast"):
            mg.zeros(a) + mg.zeros(b)
    else:
        assert (mg.zeros(a) + mg.zeros(b)).shape == expected


@given(hnp.array_shapes(min_dims=1, max_dims=3, min_side=1, max_side=4), st.data())
def test_basic_indexing(shape, data):
    """y = x[key] as NumPy, and its gradient puts g back where it came from."""
    key = data.draw(hnp.basic_indices(shape, allow_newaxis=True, allow_ellipsis=True))
    _indexing(shape, key)


@given(hnp.array_shapes(min_dims=1, max_dims=3, min_side=1, max_side=4), st.data())
def test_integer_array_indexing(shape, data):
    key = data.draw(hnp.integer_array_indices(shape, result_shape=hnp.array_shapes(max_dims=2, max_side=3, min_side=0)))
    _indexing(shape, key)


@given(hnp.array_shapes(min_dims=1, max_dims=3, min_side=1, max_side=3), st.data())
def test_boolean_indexing(shape, data):
    _indexing(shape, data.draw(hnp.arrays(bool, shape[: data.draw(st.integers(1, len(shape)))])))


def _indexing(shape, key):
    a = values(shape)
    x = mg.tensor(a, requires_grad=True)
    y = x[key]
    expected = a[key]
    np.testing.assert_array_equal(y.detach().numpy(), expected)
    w = values(np.shape(expected), 3)
    (g,) = autograd.grad(y, x, mg.tensor(w), create_graph=True)
    scattered = np.zeros(shape)
    np.add.at(scattered, key, w)
    np.testing.assert_allclose(g.detach().numpy(), scattered, atol=1e-14)


@given(hnp.array_shapes(min_dims=0, max_dims=4, min_side=1, max_side=4), st.data())
def test_reductions(shape, data):
    axes = (
        data.draw(st.none() | st.lists(st.sampled_from(range(-len(shape), len(shape))), max_size=3)) if shape else None
    )
    axis = None if axes is None else tuple({a % len(shape) for a in axes})
    keepdims = data.draw(st.booleans())
    a = values(shape)
    x = mg.tensor(a, requires_grad=True)
    for name in ("sum", "mean", "max", "min", "prod", "var", "std"):
        y = getattr(mg, name)(x, axis=axis, keepdims=keepdims)
        np.testing.assert_allclose(y.detach().numpy(), getattr(np, name)(a, axis=axis, keepdims=keepdims), atol=1e-13)
    y = mg.sum(x * x, axis=axis, keepdims=keepdims)
    w = values(y.shape, 2)
    (g,) = autograd.grad(y, x, mg.tensor(w))
    spread = w if keepdims or axis is None else np.expand_dims(w, tuple(axis))
    np.testing.assert_allclose(g.numpy(), 2 * a * spread)


@given(SHAPES, st.data())
def test_moving_axes_and_back(shape, data):
    order = data.draw(st.permutations(range(len(shape))))
    x = mg.tensor(values(shape), requires_grad=True)
    y = mg.permute_dims(x, tuple(order))
    np.testing.assert_array_equal(y.detach().numpy(), np.transpose(x.detach().numpy(), order))
    w = values(y.shape, 4)
    y.backward(mg.tensor(w))
    np.testing.assert_array_equal(x.grad.numpy(), np.transpose(w, np.argsort(order)) if shape else w)


@given(
    hnp.mutually_broadcastable_shapes(signature="(m,k),(k,n)->(m,n)", max_dims=2, max_side=3, min_side=0),
    st.booleans(),
)
def test_matmul(shapes, second):
    a, b = (mg.tensor(values(s, i), requires_grad=True) for i, s in enumerate(shapes.input_shapes))
    y = a @ b
    assert y.shape == shapes.result_shape
    np.testing.assert_allclose(y.detach().numpy(), a.detach().numpy() @ b.detach().numpy(), atol=1e-13)
    w = values(y.shape, 2)
    ga, gb = autograd.grad(y, [a, b], mg.tensor(w), create_graph=second)
    da, db = values(a.shape, 3), values(b.shape, 4)
    left = dot(ga.detach().numpy(), da) + dot(gb.detach().numpy(), db)
    assert np.isclose(left, dot(w, da @ b.detach().numpy() + a.detach().numpy() @ db))


@given(hnp.array_shapes(min_dims=1, max_dims=3, min_side=0, max_side=4), st.integers(1, 3), st.data())
def test_concat_and_split_are_inverse(shape, pieces, data):
    axis = data.draw(st.integers(-len(shape), len(shape) - 1))
    xs = [mg.tensor(values(shape, i), requires_grad=True) for i in range(pieces)]
    y = mg.concat(xs, axis=axis)
    np.testing.assert_array_equal(y.detach().numpy(), np.concatenate([x.detach().numpy() for x in xs], axis))
    w = values(y.shape, 9)
    y.backward(mg.tensor(w))
    for x, part in zip(xs, np.split(w, pieces, axis), strict=True):
        np.testing.assert_array_equal(x.grad.numpy(), part)


@given(st.floats(-700, 700), st.floats(-700, 700))
def test_stable_functions_stay_finite_and_ordered(a, b):
    """No overflow on the way to a finite result."""
    x = mg.tensor(np.array([a, b]), requires_grad=True)
    p = mg.softmax(x, axis=-1)
    assert np.isclose(p.sum().item(), 1.0) and bool((p >= 0).all())
    assert np.isclose(mg.logsumexp(x).item(), np.logaddexp(a, b))
    s = mg.sigmoid(x)
    assert bool((s >= 0).all()) and bool((s <= 1).all())
    (mg.logsumexp(x) + mg.softplus(x).sum() + s.sum() + mg.log_softmax(x, axis=0)[0]).backward()
    assert np.isfinite(x.grad.numpy()).all()
