"""Making tensors in the words of PyTorch's programs: keywords, sizes, memory."""

import numpy as np
import pytest

import minigrad as mg
from minigrad.errors import ArgumentError, GradError, ShapeError

# call -> what PyTorch gives
CALLS = {
    "linspace(0, 1, steps=5)": np.linspace(0, 1, 5),
    "linspace(start=0, end=1, steps=3)": np.linspace(0, 1, 3),
    "arange(end=3)": np.arange(3),
    "arange(1, end=4)": np.arange(1, 4),
    "arange(start=1, end=6, step=2)": np.arange(1, 6, 2),
    "eye(n=2)": np.eye(2),
    "eye(n=2, m=3)": np.eye(2, 3),
    "full(size=(2, 2), fill_value=7.0)": np.full((2, 2), 7.0),
    "zeros(size=(2, 3), layout=mg.strided, pin_memory=False)": np.zeros((2, 3)),
    "ones_like(input=mg.zeros(2), memory_format=mg.preserve_format)": np.ones(2),
    "tensor([1.0], pin_memory=False)": np.ones(1),
    "logspace(0, 3, 4, 2.0)": 2.0 ** np.arange(4),
    "logspace(start=0, end=2, steps=3)": 10.0 ** np.arange(3),
    "logspace(0, 2, 2, False)": 10.0 ** np.arange(2),
    "range(0, 3)": np.arange(4.0),
    "range(1, 2, 0.5)": np.array([1, 1.5, 2]),
    "zeros(2, 3, out=mg.ones(2, 3))": np.zeros((2, 3)),
    "tril_indices(2, 2, device='cpu')": np.stack(np.tril_indices(2)),
}


@pytest.mark.parametrize("call", CALLS)
def test_as_pytorch(call):
    y = eval(f"mg.{call}", {"mg": mg})
    np.testing.assert_allclose(y.numpy(), CALLS[call], rtol=1e-6)
    assert y.dtype == (mg.int64 if CALLS[call].dtype.kind == "i" else mg.float32)


def test_random_sizes():
    assert mg.randn(size=(2, 3)).shape == mg.rand(size=(2, 3), layout=mg.strided).shape == (2, 3)
    assert mg.randint(low=0, high=5, size=(4,), requires_grad=False).dtype == mg.int64
    assert mg.normal(0.0, 1.0, size=(2,), device="cpu").shape == (2,)
    assert mg.normal(mg.zeros(3, dtype="float64"), 1.0).dtype == mg.float64
    assert mg.randperm(5, dtype=mg.int32).dtype == mg.int32
    assert mg.bernoulli(mg.zeros(3), 1.0).tolist() == [1, 1, 1]


def test_no_other_layout():
    with pytest.raises(ArgumentError, match="strided"):
        mg.zeros(2, layout="sparse_coo")
    assert mg.ones(2).layout == mg.strided


def test_tensor_of_lengths():
    assert mg.Tensor(2, 3).shape == (2, 3) and mg.Tensor(2, 3).dtype == mg.float32
    assert mg.Tensor([2, 3]).tolist() == [2, 3] and mg.Tensor().shape == (0,)


def test_memory_of_given_strides():
    assert mg.empty_strided((2, 3), (1, 2)).stride() == (1, 2)
    assert mg.ones(1, dtype="float64").new_empty_strided((2, 2), (1, 2)).dtype == mg.float64
    assert mg.empty_permuted((2, 3, 4), (2, 0, 1)).stride() == (3, 1, 6)
    with pytest.raises(ShapeError, match="as many strides"):
        mg.empty_strided((2,), (1, 2))


def test_numbers_in_a_buffer():
    memory = bytearray(b"\x01\x02\x03")
    x = mg.frombuffer(memory, dtype=mg.uint8, offset=1)
    memory[2] = 7
    assert x.tolist() == [2, 7] and mg.frombuffer(memory, dtype="uint8", count=2).tolist() == [1, 2]


def test_resize():
    x = mg.arange(6)
    assert x.resize_(2, 2) is x and x.tolist() == [[0, 1], [2, 3]]
    assert x.resize_as_(mg.ones(3, 2)).shape == (3, 2) and x[:2].tolist() == [[0, 1], [2, 3]]
    assert mg.arange(6).as_strided_((2, 2), (1, 2)).tolist() == [[0, 2], [1, 3]]
    with pytest.raises(GradError, match="takes part in a gradient"):
        mg.ones(2, requires_grad=True).resize_(3)


def test_names_of_parts():
    parts = mg.frexp(mg.tensor([3.0, 0.5]))
    assert parts.mantissa.tolist() == [0.75, 0.5] and parts.exponent.tolist() == [2, 0]
    counted = mg.tensor([1.0, 2.0, 3.0]).histogram(2, weight=mg.tensor([1.0, 1.0, 2.0]))
    assert counted.hist.tolist() == [1, 3] and counted.bin_edges.tolist() == [1, 2, 3]


def test_edits_with_keywords():
    assert mg.tensor([3.0, -3.0]).div_(2, rounding_mode="trunc").tolist() == [1, -1]
    np.testing.assert_allclose(mg.tensor([1.234]).round_(decimals=1).numpy(), [1.2], rtol=1e-6)


def test_positions_of_a_number():
    (places,) = mg.nonzero(mg.tensor(3.0), as_tuple=True)
    assert places.tolist() == [0]
    with pytest.raises(ShapeError, match="0-d"):
        mg.nonzero(mg.tensor(3.0))


def test_integers_stay_integers():
    y = mg.addmv(mg.tensor([1, 2]), mg.tensor([[1, 2], [3, 4]]), mg.tensor([1, 1]), beta=0.2, alpha=1.6)
    assert y.tolist() == [3, 7] and y.dtype == mg.int64  # factors 0 and 1
    assert mg.bincount(mg.tensor([0, 1]), mg.tensor([2, 3])).dtype == mg.float64


def test_counting_distance_has_a_gradient_of_zero():
    x = mg.tensor([[1.0, 2.0]], requires_grad=True)
    y = mg.cdist(x, mg.tensor([[1.0, 3.0]]), 0.0)
    y.sum().backward()
    assert y.tolist() == [[1.0]] and x.grad.tolist() == [[0, 0]]
