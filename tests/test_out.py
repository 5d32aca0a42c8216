"""``out=``: the result in a tensor that is given, as PyTorch takes it."""

import numpy as np
import pytest

import minigrad as mg
from minigrad.errors import ArgumentError, DTypeError, ShapeError

A = np.arange(1.0, 10.0).reshape(3, 3) + 5 * np.eye(3)
INDEX = np.array([2, 0])
# call -> what it gives
CALLS = {
    "matmul": (lambda x, out: mg.matmul(x, x, out=out), A @ A),
    "mm": (lambda x, out: mg.mm(x, x, out=out), A @ A),
    "sum": (lambda x, out: mg.sum(x, dim=0, out=out), A.sum(0)),
    "mean": (lambda x, out: mg.mean(x, 1, out=out), A.mean(1)),
    "cumsum": (lambda x, out: mg.cumsum(x, 1, out=out), A.cumsum(1)),
    "cat": (lambda x, out: mg.cat([x, x], out=out), np.concatenate([A, A])),
    "stack": (lambda x, out: mg.stack([x, x], 1, out=out), np.stack([A, A], 1)),
    "index_select": (lambda x, out: mg.index_select(x, 0, mg.tensor(INDEX), out=out), A[INDEX]),
    "outer": (lambda x, out: mg.outer(x[0], x[1], out=out), np.outer(A[0], A[1])),
    "clamp": (lambda x, out: mg.clamp(x, 2, 6, out=out), A.clip(2, 6)),
    "tril": (lambda x, out: mg.tril(x, out=out), np.tril(A)),
    "exp": (lambda x, out: mg.exp(x, out=out), np.exp(A)),
    "inv": (lambda x, out: mg.linalg.inv(x, out=out), np.linalg.inv(A)),
    "fft": (lambda x, out: mg.fft.fft(x, out=out), np.fft.fft(A)),
    "special": (lambda x, out: mg.special.hermite_polynomial_h(x, 2, out=out), 4 * A**2 - 2),
}


@pytest.mark.parametrize("name", CALLS)
def test_the_result_is_in_out(name):
    f, expected = CALLS[name]
    for shape in (expected.shape, (0,)):  # an empty one takes the shape of the result
        out = mg.zeros(shape, dtype=expected.dtype)
        assert f(mg.tensor(A), out) is out
        np.testing.assert_allclose(out.numpy(), expected, rtol=1e-12)


def test_several_results():
    values, indices = mg.zeros(3, dtype="float64"), mg.zeros(0, dtype="int64")
    y = mg.max(mg.tensor(A), 1, out=(values, indices))
    assert y.values is values and y.indices is indices
    np.testing.assert_array_equal(indices.numpy(), A.argmax(1))
    y = mg.kthvalue(mg.tensor(A), 2, dim=0, out=(values, indices))
    np.testing.assert_array_equal(values.numpy(), np.sort(A, 0)[1])
    q, r = mg.zeros(0, dtype="float64"), mg.zeros(0, dtype="float64")
    assert mg.linalg.qr(mg.tensor(A), out=(q, r)).R is r
    np.testing.assert_allclose((q @ r).numpy(), A, rtol=1e-12)
    with pytest.raises(ArgumentError, match="a tuple of 2 tensors"):
        mg.kthvalue(mg.tensor(A), 2, out=values)


def test_gradients_go_on_from_out():
    x = mg.tensor(A, requires_grad=True)
    out = mg.zeros(0, dtype="float64")
    mg.matmul(x, x, out=out)
    out.sum().backward()
    np.testing.assert_allclose(x.grad.numpy(), A.sum(0)[:, None] + A.sum(1)[None, :])


@pytest.mark.parametrize("name", sorted(mg.PRIMITIVES))
def test_every_primitive_has_a_function(name):
    """Those whose own input or keyword is called out, too."""
    assert mg.function(mg.PRIMITIVES[name]).__name__ == name


def test_what_is_refused():
    x = mg.tensor(A)
    with pytest.raises(ShapeError, match="shape must stay"):
        mg.matmul(x, x, out=mg.zeros(2, 3, dtype="float64"))
    with pytest.raises(DTypeError, match="dtype must stay"):
        mg.cat([x, x], out=mg.zeros(6, 3, dtype="int64"))
    with pytest.raises(DTypeError, match="out must be a Tensor"):
        mg.outer(x[0], x[1], out=np.zeros((3, 3)))
