"""What small arrays take instead of the written bodies gives what the bodies give; small arrays pass the kernels by."""

import numpy as np
import pytest

import minigrad as mg
from minigrad.backend import get_backend
from minigrad.backend.numpy import DIRECT
from minigrad.backend.short import SHORT
from minigrad.mode import MODE
from minigrad.primitive import PRIMITIVES, bools, ints, within

DIRECT = {**DIRECT, **SHORT}

NUMPY = get_backend("numpy")


def arrays(case, rng):
    """The inputs of a sample."""
    for a in case.args:
        if isinstance(a, ints):
            yield rng.integers(a.low, a.high, a.shape)
        elif isinstance(a, (bools, within)):
            yield rng.random(a.shape) < 0.5 if isinstance(a, bools) else rng.uniform(a.low, a.high, a.shape)
        else:
            yield rng.standard_normal(a) if isinstance(a, tuple) else a


def body(p, operands, params):
    return p.forward(NUMPY.F if p.fused else np, *operands, **params)


@pytest.mark.parametrize("name", DIRECT)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_a_direct_function_is_its_body(name, dtype, rng):
    p = PRIMITIVES[name]
    for case in p.samples:
        given = [a.astype(dtype) if a is not None and a.dtype.kind == "f" else a for a in arrays(case, rng)]
        for operands in (given, [a if a is None else np.asfortranarray(a) for a in given]):
            got, wanted = DIRECT[name](*operands, **case.params), body(p, operands, case.params)
            for y, expected in zip(*(out if isinstance(out, tuple) else (out,) for out in (got, wanted)), strict=True):
                assert y.dtype == expected.dtype
                assert np.shape(y) == np.shape(expected)
                np.testing.assert_allclose(y, expected, rtol=1e-6 if dtype == "float32" else 1e-13, atol=1e-6)


SPECIAL = np.array([[1, np.nan, 2, 0], [np.inf, 0, 1, 2], [-np.inf, 0, 1, 2], [-np.inf] * 4, [1e4, -1e4, 0, 0]])


@pytest.mark.filterwarnings("ignore::RuntimeWarning")  # of NumPy: infinity less infinity, e**10000
@pytest.mark.parametrize("dtype", ["float32", "float64", "float16", "int64"])
def test_short_forms_of_networks_are_their_bodies_on_what_is_not_finite_and_on_other_types(dtype):
    with np.errstate(invalid="ignore", over="ignore"):
        x = np.clip(SPECIAL, -5, 5).astype(dtype) if dtype == "int64" else SPECIAL.astype(dtype)
    x[np.isnan(SPECIAL)] = 0 if dtype == "int64" else np.nan
    labels = np.array([0, 1, -1, 3, 2])
    calls = [("softmax", (x,), {"axis": a}) for a in (0, -1)] + [("log_softmax", (x,), {"axis": a}) for a in (0, -1)]
    calls += [("gelu", (x,), {}), ("gelu_backward", (x[::-1], x), {}), ("erf", (x,), {}), ("attention", (x, x, x), {})]
    calls += [("cross_entropy", (x, labels), {}), ("layer_norm", (x, x[0], x[4]), {"ndim": 1, "eps": 1e-3})]
    calls += [(f"{name}_backward", (x, x[::-1]), {"axis": -1}) for name in ("softmax", "log_softmax")]
    for name, operands, params in calls:
        got, wanted = DIRECT[name](*operands, **params), body(PRIMITIVES[name], operands, params)
        for y, expected in zip(*(out if isinstance(out, tuple) else (out,) for out in (got, wanted)), strict=True):
            assert y.dtype == expected.dtype, name
            np.testing.assert_allclose(y, expected, rtol=1e-6 if dtype != "float16" else 1e-2, atol=1e-6, err_msg=name)


def test_short_forms_of_networks_keep_their_rules():
    x = mg.ones(3, 4)
    for call in (
        lambda: mg.softmax(x, axis=2),
        lambda: mg.log_softmax(mg.ones(20, 20), axis=2),
        lambda: mg.nn.functional.layer_norm(x, (4,), mg.ones(3)),
        lambda: mg.nn.functional.layer_norm(mg.ones(20, 20), (20,), mg.ones(19)),
        lambda: mg.nn.functional.group_norm(mg.ones(20, 20), 2, mg.ones(19)),
        lambda: mg.nn.functional.batch_norm(mg.ones(20, 20), None, None, mg.ones(19), training=True),
        lambda: mg.nn.functional.cross_entropy(x, mg.zeros(2, dtype="int64")),
        lambda: mg.nn.functional.cross_entropy(mg.ones(20, 20), mg.zeros(19, dtype="int64")),
        lambda: mg.nn.functional.scaled_dot_product_attention(x, x, mg.ones(2, 4)),
    ):
        with pytest.raises(mg.errors.MinigradError):
            call()


@pytest.mark.parametrize(
    ("x", "indices"), [((3, 4), (3,)), ((3, 4), (2, 2)), ((3,), (3, 1)), ((2, 3, 4), (2, 3))], ids=str
)
def test_picking_along_rows_keeps_its_rules(x, indices):
    with pytest.raises(mg.errors.MinigradError, match="take_along_axis"):
        mg.take_along_axis(mg.ones(*x), mg.zeros(*indices, dtype="int64"), axis=-1)


def test_adding_along_rows_adds_what_meets():
    v, places = mg.tensor([[1.0, 2.0], [3.0, 4.0]]), mg.tensor([[1, 1], [0, -1]])
    assert mg.add_along_axis(v, places, axis=1, size=3).tolist() == [[0, 3, 0], [3, 0, 4]]


def test_linear_of_matrices_refuses_what_its_body_refuses():
    with pytest.raises(mg.errors.ShapeError, match=r"linear: bias"):
        mg.linear(mg.ones(2, 3), mg.ones(4, 3), mg.ones(2, 4))
    with pytest.raises(mg.errors.ShapeError, match=r"linear: the last axis"):
        mg.linear(mg.ones(2, 3), mg.ones(4, 2))


def test_shapes_of_nodes_serve_rules_and_constants_are_kept():
    x, c = mg.ones(2, 3, requires_grad=True), mg.ones(4)
    assert x.sum().node.saved == ()  # the node of x knows the shape
    assert [tuple(s) for s in mg.concat([c, x[0]]).node.saved] == [((4,), (3,))]  # nobody else knows that of c
    mg.concat([c, x[0]]).sum().backward()
    assert x.grad.tolist() == [[1, 1, 1], [0, 0, 0]]


def test_modes_that_come_back_are_made_once():
    before = MODE.get()
    with mg.no_grad():
        first = MODE.get()
        with mg.enable_grad(), mg.no_grad():
            assert MODE.get() is first
    with mg.no_grad():
        assert MODE.get() is first
        with mg.use_backend("numpy"):
            assert MODE.get().recording is False
            assert MODE.get().host.name == "numpy"
    assert MODE.get() is before


def test_a_changed_default_reaches_the_modes_made_before():
    with mg.no_grad():
        pass
    before = mg.get_default_dtype()
    mg.set_default_dtype("float64")
    try:
        with mg.no_grad():
            assert mg.tensor([1.0]).dtype == np.float64
    finally:
        mg.set_default_dtype(before)


def test_two_tensors_and_the_general_case_are_one():
    """`apply` unwraps one and two tensors by themselves: what it records and computes is what its loop does."""
    x, w = mg.tensor([[1.0, 2.0]], requires_grad=True), mg.tensor([[3.0], [4.0]], requires_grad=True)
    c = mg.tensor([[5.0], [6.0]])
    for y, keys in (((x @ w), 0b111), ((x @ c), 0b101), ((c @ x), 0b110), (mg.multiply(x, 2.0), 0b101)):
        assert y.node.plan is y.node.plan.primitive.plans[keys]
        assert [node is None for node in y.node.inputs] == [not keys >> i & 1 for i in range(2)]
    assert (c @ c.mT).node is None
    (x @ w + (c @ x).sum()).backward()
    assert x.grad.tolist() == [[14, 15]]
    assert w.grad.tolist() == [[1], [2]]


def test_small_integers_still_become_floats_and_outputs_still_come_in_tuples():
    small = mg.tensor([1, 2], dtype="int8")
    assert mg.exp(small).dtype == mg.divide(small, small).dtype == np.float32
    mantissa, exponent = mg.frexp(mg.tensor(3.0))
    assert (mantissa.item(), exponent.item()) == (0.75, 2)
    assert type(mantissa.array) is type(exponent.array) is np.ndarray


@pytest.mark.parametrize("kind", [np.int64, np.int32, np.uint8])
@pytest.mark.parametrize("rows", [8, 4_000])
def test_labels_are_checked_where_they_are_read(kind, rows):
    pytest.importorskip("numba")
    p, backward = PRIMITIVES["cross_entropy"], PRIMITIVES["cross_entropy_backward"]
    rng = np.random.default_rng(0)
    x, labels = rng.standard_normal((rows, 5)), rng.integers(0, 5, rows).astype(kind)
    F = get_backend("numba").F
    losses, *saved = F.cross_entropy(x, labels)
    np.testing.assert_allclose(losses, body(p, (x, labels), {})[0])
    wrong = labels.astype(np.int64)
    for label in (5, -6, 2**40):
        wrong[rows // 2] = label
        with pytest.raises(IndexError, match="labels must be from 0"):
            F.cross_entropy(x, wrong)
        with pytest.raises(IndexError, match="labels must be from 0"):
            F.cross_entropy_backward(losses, x, wrong, *saved)
    last = np.where(labels == 4, -1, labels.astype(np.int64))  # -1 is the last
    np.testing.assert_array_equal(F.cross_entropy(x, last)[0], losses)
    slopes = F.cross_entropy_backward(losses, x, last, *saved)
    np.testing.assert_allclose(slopes, body(backward, (losses, x, labels, *saved), {}), atol=1e-14)


def test_kernels_read_the_arrays_of_this_call():
    """What is kept for a shape are sizes and distances; addresses, scale and seed are those of the call."""
    pytest.importorskip("numba")
    rng = np.random.default_rng(0)
    F, p = get_backend("numba").F, PRIMITIVES["attention"]
    for scale in (None, 0.3, np.float32(2)):
        for mask in (None, rng.standard_normal((16, 12)), rng.random((2, 1, 1, 12)) < 0.7):
            q, k, v = (rng.standard_normal((2, n, 3, 32)).swapaxes(1, 2) for n in (16, 12, 12))
            for got, wanted in zip(
                F.attention(q, k, v, mask, scale=scale), body(p, (q, k, v, mask), {"scale": scale}), strict=True
            ):
                np.testing.assert_allclose(got, wanted, rtol=1e-10, atol=1e-12)
    for weight, bias in ((None, None), (rng.standard_normal(7), None), (np.arange(14.0)[::2], rng.standard_normal(7))):
        x = rng.standard_normal((9, 7))
        for got, wanted in zip(
            F.layer_norm(x, weight, bias), body(PRIMITIVES["layer_norm"], (x, weight, bias), {}), strict=True
        ):
            np.testing.assert_allclose(got, wanted, rtol=1e-10, atol=1e-12)


def test_bounds_of_numbers_that_are_not_numbers():
    bounds = mg.nn.functional.checks.bounds
    assert bounds(mg.tensor([3, -1, 2])) == (-1, 3)
    assert bounds(mg.tensor(np.arange(100))) == (0, 99)
    assert all(np.isnan(bounds(mg.tensor([2.0, np.nan]))))
