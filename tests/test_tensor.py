"""The Tensor as an object: dtypes, NumPy beside it, indexing, conversion, copies, and its printed form."""

import copy
import pickle

import numpy as np
import pytest

import minigrad as mg
from minigrad.errors import DTypeError, GradError, IndexRangeError, ShapeError

f16, f32, f64, i32, i64, b1, c64 = (np.dtype(t) for t in ("f2", "f4", "f8", "i4", "i8", "?", "c8"))


@pytest.fixture
def restored():
    """Whatever a test sets for all threads is set back."""
    dtype = mg.get_default_dtype()
    yield
    mg.set_default_dtype(dtype)


# ---- dtypes ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "data, dtype",
    [
        (1.0, f32), ([1.0, 2], f32), (1, i64), ([1, 2], i64), (True, b1), ([True, False], b1), (1j, c64), ([], f32),
        ([[], []], f32), (np.ones(2), f64), (np.float64(1), f64), (np.ones(2, "f2"), f16), (np.ones(2, "i4"), i32),
        (np.ones(2, ">f4"), f32), (range(3), i64), (((1, 2), (3, 4.5)), f32),
    ],
)  # fmt: skip
def test_dtype_of_new_tensors(data, dtype):
    assert mg.tensor(data).dtype == dtype
    assert dtype == c64 or mg.tensor(data, dtype="float64").dtype == f64


A = {
    "f32": np.ones(2, f32), "f64": np.ones(2), "f16": np.ones(2, f16), "i64": np.ones(2, i64), "i32": np.ones(2, i32),
    "bool": np.ones(2, b1), "1": 1, "1.5": 1.5, "True": True, "np64": np.float64(1.5), "1j": 1j,
}  # fmt: skip


@pytest.mark.parametrize(
    "a, b, product, quotient",
    [
        ("f32", "i64", f32, f32), ("f32", "i32", f32, f32), ("f32", "bool", f32, f32), ("f32", "f64", f64, f64),
        ("f16", "f32", f32, f32), ("f16", "i64", f16, f16), ("i64", "i32", i64, f32), ("i64", "bool", i64, f32),
        ("bool", "bool", b1, f32), ("f32", "1.5", f32, f32), ("f16", "1.5", f16, f16), ("f64", "1.5", f64, f64),
        ("i64", "1.5", f32, f32), ("i64", "1", i64, f32), ("f32", "np64", f32, f32), ("i32", "1", i32, f32),
        ("bool", "1", i64, f32), ("f32", "True", f32, f32), ("f32", "1j", c64, c64),
    ],
)  # fmt: skip
def test_promotion(a, b, product, quotient, backend):
    """Numbers are weak, integers never widen floats, wider floats win; the same on both sides and every backend."""
    x, y = (mg.tensor(A[k]) if isinstance(A[k], np.ndarray) else A[k] for k in (a, b))
    assert (x * y).dtype == (y * x).dtype == product
    assert (x / y).dtype == (y / x).dtype == quotient


def test_promotion_in_functions(backend):
    x, i = mg.tensor([1.0, 2.0]), mg.tensor([1, 2])
    assert mg.stack([x, i]).dtype == mg.concat([i, x]).dtype == (i @ x).dtype == mg.where(i > 1, i, x).dtype == f32
    assert mg.exp(i).dtype == mg.mean(i).dtype == f32 and mg.sum(i).dtype == i64
    assert mg.sum(i > 1).dtype == i64
    assert (i**2).dtype == i64 and (x**2).dtype == f32 and (2**x).dtype == f32
    assert mg.sqrt(2).dtype == f32 and mg.add(1, 2).dtype == i64


def test_default_dtype(restored):
    mg.set_default_dtype("float64")
    assert mg.tensor(1.0).dtype == mg.zeros(2).dtype == mg.exp(1).dtype == (mg.tensor([1]) / 2).dtype == f64
    assert (mg.tensor(np.ones(2, f32)) * 1.5).dtype == f32
    with pytest.raises(DTypeError):
        mg.set_default_dtype("int64")


def test_float64_data_stays_float64_to_the_gradient(backend):
    x = mg.tensor(np.ones(3), requires_grad=True)
    y = mg.softmax(x * 2 + 1, axis=-1)
    (y * y).sum().backward()
    assert y.dtype == x.grad.dtype == f64


# ---- beside NumPy ----------------------------------------------------------------------------------------------------


@pytest.mark.filterwarnings("ignore::minigrad.MistakeWarning")
def test_arrays_and_tensors_in_one_expression():
    x = mg.tensor([1.0, 2.0], requires_grad=True)
    for y, expected in (
        (np.ones(2) + x, [2.0, 3.0]),
        (np.ones(2) * x, [1.0, 2.0]),
        (2 ** np.ones(2) / x, [2.0, 1.0]),
        (np.eye(2) @ x, [1.0, 2.0]),
        (np.float64(2) - x, [1.0, 0.0]),
        (np.float32(2) * x, [2.0, 4.0]),
        ([1, 2] + x, [2.0, 4.0]),  # noqa: RUF005
        (x + (1.0, 2.0), [2.0, 4.0]),  # noqa: RUF005
    ):
        assert isinstance(y, mg.Tensor) and y.requires_grad
        assert y.tolist() == expected
    assert isinstance(np.ones(2) < x, mg.Tensor)
    assert isinstance(np.exp(x), mg.Tensor) and np.exp(x).requires_grad


def test_conversion_to_numpy():
    x = mg.tensor([1.0, 2.0])
    assert np.shares_memory(x.numpy(), np.asarray(x)) and np.asarray(x).dtype == f32
    assert np.array(x, dtype="f8").dtype == f64
    assert not np.shares_memory(np.array(x), x.numpy())
    w = mg.tensor([1.0], requires_grad=True)
    for convert in (np.asarray, np.array, lambda t: np.array([t, t])):
        with pytest.raises(GradError, match=r"would lose it. Use x.detach\(\).numpy\(\)"):
            convert(w)
    with pytest.raises(GradError, match=r"a list of tensors would lose their gradients. Use mg.stack"):
        mg.tensor([w, w])
    y = mg.asarray([[w[0], 2 * w[0]], [3.0, w[0]]])
    y.sum().backward()
    assert y.shape == (2, 2) and w.grad.item() == 4.0


def test_numbers():
    x = mg.tensor([1.5, 2.5], requires_grad=True)
    assert float(x[0]) == 1.5 and int(x[1]) == 2 and complex(x[0]) == 1.5 and x[0].item() == 1.5
    assert type(x[0].item()) is float and type(mg.tensor(3).item()) is int and type((x[0] > 1).item()) is bool
    assert x.tolist() == [1.5, 2.5] and 2.5 in x and 9 not in x
    assert [10, 20, 30][mg.tensor(2)] == 30 and list(range(5))[: mg.tensor([3])[0]] == [0, 1, 2]
    assert bool(x[0] > 1) and not mg.tensor([[0.0]])
    with pytest.raises(ShapeError, match="exactly one element"):
        x.item()
    with pytest.raises(DTypeError, match="only integers can index"):
        [1, 2][x[0]]


def test_iteration_and_length():
    x = mg.tensor([[1.0, 2.0], [3.0, 4.0]], requires_grad=True)
    a, b = x
    (a * b).sum().backward()
    assert x.grad.tolist() == [[3.0, 4.0], [1.0, 2.0]]
    assert len(x) == 2 and len(mg.zeros(0, 3)) == 0 and list(mg.zeros(0)) == []
    with pytest.raises(DTypeError, match="0-d"):
        len(mg.tensor(1.0))
    with pytest.raises(DTypeError, match="0-d"):
        iter(mg.tensor(1.0)).__next__()


def test_identity_and_equality():
    x = mg.tensor([1.0, 2.0])
    assert (x == x).tolist() == [True, True] and (x != 1).tolist() == [False, True]
    assert {x: "a"}[x] == "a" and x in [x]


# ---- indexing --------------------------------------------------------------------------------------------------------

KEYS = [
    1, -1, slice(None), slice(1, None), slice(None, None, -2), None, ..., (0, 1), (slice(None), 2), (..., 0),
    (0, ..., None), (None, 1, None, slice(0, 2)), [0, 2], [-1, -1, 0], np.array([[0, 1], [2, 0]]), ([0, 1], [2, 3]),
    (slice(None), [1, 1]),
    ([[0], [1]], [0, 2]), ([0, 1], slice(None), 1), np.array([True, False, True]), [True, True, False],
    (slice(None), np.array([True, False, False, True])), (1, [0, 1]), ([2, 0], ..., 0), [], (slice(0, 0),),
    np.arange(60).reshape(3, 4, 5) % 7 == 0, (np.int64(1), np.int32(2)), (..., [4, 0]), True,
]  # fmt: skip


@pytest.mark.parametrize("key", KEYS, ids=[str(i) for i in range(len(KEYS))])
def test_indexing_as_numpy(key, backend):
    data = np.arange(60.0).reshape(3, 4, 5)
    x = mg.tensor(data, requires_grad=True)
    y = x[key]
    expected = data[key]
    assert y.shape == expected.shape
    np.testing.assert_array_equal(y.detach().numpy(), expected)
    weights = np.cos(np.arange(expected.size)).reshape(expected.shape)
    y.backward(mg.tensor(weights))
    g = np.zeros_like(data)
    np.add.at(g, key, weights)
    np.testing.assert_allclose(x.grad.numpy(), g, atol=1e-14)
    z = mg.zeros(3, 4, 5, dtype=f64)
    z[key] = y
    target = np.zeros_like(data)
    target[key] = expected
    np.testing.assert_array_equal(z.detach().numpy(), target)


def test_indexing_with_tensors(backend):
    x = mg.tensor(np.arange(12.0).reshape(3, 4), requires_grad=True)
    i, mask = mg.tensor([2, 0]), mg.tensor([True, False, True])
    y = x[i].sum() + x[mask, 1].sum() + x[i, i].sum() + x[mg.tensor(1)].sum() + x[x.detach() > 9].sum()
    assert y.item() == (8 + 9 + 10 + 11 + 0 + 1 + 2 + 3) + (1 + 9) + (10 + 0) + (4 + 5 + 6 + 7) + (10 + 11)
    y.backward()
    assert x.grad.sum().item() == 8 + 2 + 2 + 4 + 2


@pytest.mark.parametrize(
    "key, error",
    [
        (3, IndexRangeError), (-4, IndexRangeError), ((0, 4), IndexRangeError), ((0, 0, 0), IndexRangeError),
        ([0, 3], IndexRangeError), (np.array([True, False]), IndexRangeError), ("a", DTypeError), (1.0, DTypeError),
        ([0.5], DTypeError), ([None], DTypeError), (([0, 1], [0, 1, 2]), IndexRangeError),
        ((..., ...), IndexRangeError),
    ],
)  # fmt: skip
def test_bad_index(key, error):
    with pytest.raises(error, match=r"getitem|tensor|elements"):
        mg.ones((3, 4))[key]


# ---- copies ----------------------------------------------------------------------------------------------------------


def test_deepcopy_and_pickle():
    x = mg.tensor([1.0, 2.0], requires_grad=True)
    (x * 3).sum().backward()
    y = copy.deepcopy(x)
    assert y.requires_grad and y.is_leaf and y.tolist() == [1.0, 2.0] and y.grad.tolist() == [3.0, 3.0]
    with mg.no_grad():
        y += 1
        y.grad += 1
    assert x.tolist() == [1.0, 2.0] and x.grad.tolist() == [3.0, 3.0]
    z = pickle.loads(pickle.dumps(x))
    assert z.requires_grad and z.dtype == f32 and z.tolist() == [1.0, 2.0]
    assert not pickle.loads(pickle.dumps(x * 2)).requires_grad
    with pytest.raises(GradError, match="its history cannot be copied"):
        copy.deepcopy(x * 2)
    pair = copy.deepcopy([x, x])
    assert pair[0] is pair[1] is not x


def test_tensor_copies_and_asarray_shares():
    data = np.zeros(3)
    assert not np.shares_memory(mg.tensor(data).numpy(), data)
    assert np.shares_memory(mg.asarray(data).numpy(), data)
    assert not np.shares_memory(mg.asarray(data, copy=True).numpy(), data)
    x = mg.asarray(data)
    assert mg.asarray(x) is x and mg.asarray(x, dtype="float32").dtype == f32
    assert not np.shares_memory(x.clone().numpy(), data) and np.shares_memory(x.detach().numpy(), data)


# ---- printed form ----------------------------------------------------------------------------------------------------


def test_repr():
    x = mg.tensor([1.0, 2.5], requires_grad=True)
    assert repr(mg.tensor([1, 2])) == "tensor([1, 2])"
    assert repr(mg.tensor(np.ones(1))) == "tensor([1.], dtype=float64)"
    assert repr(x) == "tensor([1. , 2.5], requires_grad=True)"
    assert repr(x * 2) == "tensor([2., 5.], from=multiply)"
    assert repr(mg.zeros(0, 3)) == "tensor([], shape=(0, 3), dtype=float32)"
    assert repr(mg.tensor(3.0)) == "tensor(3.)"
    assert f"{x[1]:.3f}" == "2.500" and str(x) == repr(x) and f"{x}" == repr(x)
    with mg.use_backend("strict"):
        assert "backend=strict" in repr(mg.ones(2))
    assert "..." in repr(mg.zeros(3000))


# ---- making tensors, and methods -------------------------------------------------------------------------------------


def test_making(backend):
    kind = mg.get_backend(backend).array
    for x, expected in (
        (mg.zeros(2, 3), np.zeros((2, 3), f32)),
        (mg.zeros((2, 3)), np.zeros((2, 3), f32)),
        (mg.zeros(()), np.zeros((), f32)),
        (mg.ones(2, dtype="int32"), np.ones(2, i32)),
        (mg.full((2,), 7), np.full(2, 7)),
        (mg.full((2, 1), 1.5), np.full((2, 1), 1.5, f32)),
        (mg.arange(3), np.arange(3)),
        (mg.arange(1, 2, 0.25), np.arange(1, 2, 0.25, f32)),
        (mg.arange(5, 0, -2), np.arange(5, 0, -2)),
        (mg.linspace(0, 1, 5), np.linspace(0, 1, 5, dtype=f32)),
        (mg.eye(2, 3, k=1), np.eye(2, 3, 1, f32)),
        (mg.zeros_like(mg.ones(3, dtype="float64")), np.zeros(3)),
        (mg.ones_like(mg.tensor([1, 2])), np.ones(2, i64)),
        (mg.full_like(mg.ones(2), 4), np.full(2, 4, f32)),
    ):
        assert type(x.array) is kind
        np.testing.assert_array_equal(x.numpy(), expected, strict=True)
    assert mg.empty(2, 3).shape == (2, 3) and mg.zeros(2, requires_grad=True).requires_grad


def test_methods_are_the_functions(backend):
    x = mg.tensor(np.arange(6.0).reshape(2, 3))
    assert x.sum(axis=1).tolist() == [3.0, 12.0] and x.mean().item() == 2.5
    assert x.reshape(3, 2).shape == x.view((3, 2)).shape == x.T.shape == (3, 2)
    assert x.unsqueeze(0).shape == (1, 2, 3) and x.expand(4, -1, -1).shape == (4, 2, 3)
    assert x.flatten().shape == (6,) and x.permute(1, 0).shape == (3, 2) and x.transpose(0, 1).shape == (3, 2)
    assert x.clamp(1, 2).max().item() == 2.0 and x.argmax().item() == 5 and x.argmax(axis=0).tolist() == [1, 1, 1]
    assert [p.shape for p in x.split(2, axis=1)] == [(2, 2), (2, 1)] and len(x.unbind()) == 2
    assert x.long().dtype == i64 and x.float().dtype == f32 and x.double() is not None
    assert x.masked_fill(x > 3, 0.0).sum().item() == 6.0
    assert mg.one_hot(mg.tensor([0, 2])).tolist() == [[1, 0, 0], [0, 0, 1]]
    assert x.repeat(2, 1).shape == (4, 3) and x.contiguous() is x
    assert mg.outer(x[0], x[1]).shape == (3, 3) and mg.moveaxis(x, 0, -1).shape == (3, 2)


def test_to():
    x = mg.tensor([1.0, 2.0], requires_grad=True)
    assert x.to("float64").dtype == f64 and x.to(mg.ones(1, dtype="float64")).dtype == f64
    s = x.to("strict")
    assert s.device == "strict" and x.device == "cpu" and x.to("cpu") is x
    (s * s).sum().backward()
    assert x.grad.tolist() == [2.0, 4.0] and x.grad.device == "cpu"
    assert s.detach().to("cpu").tolist() == [1.0, 2.0]
    assert mg.tensor([1.5]).astype("int64").tolist() == [1]
    assert not x.astype("int64").requires_grad
