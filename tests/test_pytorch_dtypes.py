"""Which dtype results, where PyTorch's programs rely on it."""

import numpy as np
import pytest

import minigrad as mg
from minigrad.mistakes import MistakeWarning


@pytest.mark.parametrize("dtype", ["bool", "int8", "uint8", "int16", "int64"])
@pytest.mark.parametrize("name", ["sin", "exp", "sqrt", "tanh", "log2", "rsqrt", "sigmoid", "erf", "angle", "deg2rad"])
def test_functions_of_integers_are_floats(name, dtype):
    x = np.array([0, 1, 1]).astype(dtype)
    with np.errstate(divide="ignore", over="ignore"):
        y = getattr(mg, name)(mg.tensor(x))
        expected = getattr(mg, name)(mg.tensor(x.astype("float32")))
    assert y.dtype == mg.float32
    np.testing.assert_allclose(y.numpy(), expected.numpy(), rtol=1e-6)


@pytest.mark.parametrize("name", ["atan2", "copysign", "ldexp", "divide"])
def test_pairs_of_booleans_are_floats(name):
    x = mg.tensor([True, True])
    assert getattr(mg, name)(x, x).dtype == mg.float32


def test_halves_stay_halves():
    assert mg.sin(mg.tensor([1.0], dtype="float16")).dtype == mg.float16
    assert mg.sin(mg.tensor([True], dtype="bool")).dtype == mg.float32


def test_sign_of_booleans():
    assert mg.sign(mg.tensor([True, False])).tolist() == [True, False]


def test_bounds_of_integers_keep_the_floats():
    x = mg.tensor([0.5, 3.0])
    assert mg.clamp(x, mg.tensor(np.array([1, 1], np.int32)), None).dtype == mg.float32


def test_softmax_in_another_dtype():
    with pytest.warns(MistakeWarning, match="imaginary part"):
        y = mg.softmax(mg.tensor([1 + 2j, 1 - 1j]), 0, dtype=mg.float64)
    assert y.dtype == mg.float64 and y.tolist() == [0.5, 0.5]


def test_methods_named_after_dtypes():
    x = mg.tensor([1.5], dtype="float64")
    assert x.float(memory_format=mg.preserve_format).dtype == mg.float32
    assert x.double() is x  # as it is
    with pytest.warns(MistakeWarning, match="imaginary part"):
        assert mg.tensor([1 + 2j]).double().tolist() == [1.0]
    assert mg.tensor([2j]).bool().tolist() == [True]


def test_tensor_makes_floats_of_integers_as_pytorch_does():
    """mg.tensor keeps them, and both keep an array's dtype."""
    assert mg.Tensor([0]).dtype == mg.Tensor(3).dtype == mg.Tensor([[1, 2.5]]).dtype == mg.float32
    assert mg.Tensor([1], dtype="int32").dtype == mg.int32
    assert mg.Tensor([True]).dtype == mg.bool
    assert mg.Tensor(np.array([1])).dtype == mg.tensor([1]).dtype == mg.int64
    total = mg.Tensor([0])
    total += mg.tensor([0.5])
    assert total.tolist() == [0.5]
    assert mg.Tensor(2, 3).shape == (2, 3) and mg.Tensor().shape == (0,)
    assert (mg.Tensor(2, requires_grad=True) ** 2).requires_grad
