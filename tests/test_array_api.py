"""Array API 2025.12: the array object, dtypes, creation and elementwise functions beside array_api_strict."""

import array
import inspect
import math
import operator
import pickle
import warnings
from copy import deepcopy

import array_api_strict as strict
import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from hypothesis.extra.array_api import make_strategies_namespace

import minigrad as mg
from minigrad import array_api
from minigrad.dtypes import KINDS

xps = make_strategies_namespace(mg)
quick = settings(max_examples=30, deadline=None, derandomize=True, database=None)
DTYPES = list(array_api.__array_namespace_info__().dtypes())
FLOATS, COMPLEX, INTEGERS = ["float32", "float64"], ["complex64", "complex128"], list(KINDS["integral"])
REAL, NUMERIC, BITS = INTEGERS + FLOATS, INTEGERS + FLOATS + COMPLEX, ["bool", *INTEGERS]
pytestmark = pytest.mark.filterwarnings("ignore::RuntimeWarning")  # 1 / 0 and the like are among the samples


def theirs(x):
    """A tensor, dtype or container of them as array_api_strict has it."""
    if isinstance(x, mg.Tensor):
        return strict.asarray(x.numpy().copy())
    if isinstance(x, np.dtype):
        return getattr(strict, x.name)
    return type(x)(theirs(v) for v in x) if type(x) in (tuple, list) else x


def same(got, expected, rtol=0.0):
    """Equal dtype, shape and values, signs of zeros included; NaN equals NaN."""
    expected = np.asarray(expected)
    assert got.dtype == expected.dtype and got.shape == expected.shape, (got.dtype, expected.dtype, got.shape)
    values = got.numpy()
    for a, e in (
        ((values.real, expected.real), (values.imag, expected.imag))
        if values.dtype.kind == "c"
        else ((values, expected),)
    ):
        np.testing.assert_allclose(a, e, rtol=rtol, atol=0)
        if a.dtype.kind == "f":
            assert (np.signbit(a) == np.signbit(e))[~np.isnan(e)].all()


def numbers(rng, dtype, shape, small=False):
    """Values of a dtype as a NumPy array, the special ones often. small: such as powers and shifts take."""
    if dtype == "bool":
        return rng.random(shape) < 0.5
    if dtype in INTEGERS:
        info = mg.iinfo(dtype)
        low, high = (0, 7) if small else (info.min, info.max)
        some = rng.integers(low, high, shape, dtype, endpoint=True)
        return np.where(rng.random(shape) < 0.3, rng.integers(0, 4, shape), some).astype(dtype)
    if dtype in COMPLEX:
        parts = [numbers(rng, "float32" if dtype == "complex64" else "float64", shape, small) for _ in "ri"]
        z = np.empty(shape, dtype)
        z.real, z.imag = parts
        return z
    special = rng.choice([0.0, -0.0, np.inf, -np.inf, np.nan, 1.0, -1.0, 0.5, 2.0, 3.0], shape)
    ordinary = rng.uniform(-4, 4, shape) * 10.0 ** rng.integers(-2, 2 if small else 12, shape)
    return np.where(rng.random(shape) < 0.4, special, ordinary).astype(dtype)


def arrays(dtype, shapes, small=False):
    """A strategy of tensors; drawing each element would take hypothesis a hundred times as long."""
    shapes = st.just(shapes) if isinstance(shapes, tuple) else shapes
    return st.builds(
        lambda seed, shape: mg.asarray(numbers(np.random.default_rng(seed), dtype, shape, small)),
        st.integers(0, 2**32), shapes,
    )  # fmt: skip


SHAPES = xps.array_shapes(min_dims=0, min_side=0, max_dims=3, max_side=4)


# ---- the namespace ---------------------------------------------------------------------------------------------------


def test_names():
    assert set(array_api.__all__) == set(dir(array_api)) and mg.__array_api_version__ == "2025.12"
    x = mg.ones(2)
    assert x.__array_namespace__() is mg is x.__array_namespace__(api_version="2024.12")
    with pytest.raises(ValueError):
        x.__array_namespace__(api_version="1999.12")
    with pytest.raises(AttributeError):
        array_api.tensor  # noqa: B018


MINE = [
    "arange",
    "asarray",
    "empty",
    "empty_like",
    "eye",
    "from_dlpack",
    "full",
    "full_like",
    "linspace",
    "meshgrid",
    "ones",
    "ones_like",
    "tril",
    "triu",
    "zeros",
    "zeros_like",
    "astype",
    "can_cast",
    "finfo",
    "iinfo",
    "isdtype",
    "result_type",
]
ELEMENTWISE = array_api.__all__[array_api.__all__.index("abs") : array_api.__all__.index("trunc") + 1]


@pytest.mark.parametrize("name", MINE + ELEMENTWISE)
@pytest.mark.parametrize("namespace", [mg, array_api], ids=["minigrad", "array_api"])
def test_signature(namespace, name):
    ours = inspect.signature(getattr(namespace, name)).parameters
    for i, p in enumerate(inspect.signature(getattr(strict, name)).parameters.values()):
        mine = list(ours.values())[i] if p.kind is p.POSITIONAL_ONLY else ours[p.name]
        assert mine.kind in (p.kind, p.POSITIONAL_OR_KEYWORD)
        if p.name not in ("shape", "device", "copy") and p.default is not p.empty:
            assert mine.default == p.default


def test_info():
    ours, other = mg.__array_namespace_info__(), strict.__array_namespace_info__()
    assert ours.capabilities().keys() == other.capabilities().keys()
    assert ours.default_device() == "cpu" == mg.ones(2).device and ours.default_device() in ours.devices()
    assert ours.default_dtypes() == {
        "real floating": mg.float32, "complex floating": mg.complex64, "integral": mg.int64, "indexing": mg.int64,
    }  # fmt: skip
    for kind in (None, "bool", "integral", "numeric", ("bool", "complex floating")):
        assert {k: v.name for k, v in ours.dtypes(kind=kind).items()} == {k: k for k in other.dtypes(kind=kind)}
    with pytest.raises(ValueError):
        ours.dtypes(kind="floaty")


# ---- dtypes ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("a", DTYPES)
def test_dtypes(a):
    dtype, other = getattr(mg, a), getattr(strict, a)
    assert dtype == a == np.dtype(a) and dtype == getattr(np, a if a != "bool" else "bool_")
    for kind in [*KINDS, dtype, ("bool", "integral"), (mg.int8, "complex floating")]:
        theirs_kind = tuple(theirs(k) for k in kind) if isinstance(kind, tuple) else theirs(kind)
        assert mg.isdtype(dtype, kind) == strict.isdtype(other, theirs_kind)
    for b in DTYPES:
        assert mg.can_cast(dtype, getattr(mg, b)) == strict.can_cast(other, getattr(strict, b))
        try:
            expected = strict.result_type(other, getattr(strict, b))
        except TypeError:
            continue
        assert mg.result_type(dtype, getattr(mg, b)) == expected._np_dtype
        assert mg.result_type(mg.ones(2, dtype=a), b) == expected._np_dtype
    for x in (dtype, mg.ones(2, dtype=a)):
        for f in (mg.finfo, mg.iinfo):
            if mg.isdtype(dtype, ("real floating", "complex floating") if f is mg.finfo else "integral"):
                info, expected = f(x), getattr(strict, f.__name__)(other)
                for name in vars(expected):
                    mine = getattr(info, name)
                    assert type(mine) in (int, float) or name == "dtype"
                    assert mine == (expected.dtype._np_dtype if name == "dtype" else getattr(expected, name))
            else:
                with pytest.raises(TypeError):
                    f(x)


@pytest.mark.parametrize("number", [True, 2, 2.5, 1j])
@pytest.mark.parametrize("dtype", DTYPES)
def test_numbers_keep_the_dtype(dtype, number):
    try:
        expected = strict.result_type(getattr(strict, dtype), number)._np_dtype
    except TypeError:
        return
    assert mg.result_type(dtype, number) == expected
    if dtype != "bool":
        assert (mg.ones(2, dtype=dtype) * number).dtype == expected == (number * mg.ones(2, dtype=dtype)).dtype


def test_errors_of_dtypes():
    for bad in (lambda: mg.finfo("int8"), lambda: mg.iinfo(mg.float32), lambda: mg.isdtype(None, "bool")):
        with pytest.raises(TypeError):
            bad()
    with pytest.raises(ValueError):
        mg.isdtype(mg.float32, "floaty")
    with pytest.raises(TypeError):
        mg.astype(mg.ones(2, dtype="complex64"), "float32")


@quick
@given(data=st.data(), to=st.sampled_from(DTYPES))
def test_astype(data, to):
    x = data.draw(arrays(data.draw(st.sampled_from(DTYPES)), SHAPES))
    assume(x.dtype.kind != "c" or to in COMPLEX)
    y = mg.astype(x, getattr(mg, to))
    with np.errstate(all="ignore"):
        same(y, x.numpy().astype(to))
    assert mg.astype(x, x.dtype, copy=False) is x
    assert not np.shares_memory(mg.astype(x, x.dtype).numpy(), x.numpy())


# ---- creation --------------------------------------------------------------------------------------------------------


@quick
@given(st.data(), st.sampled_from(DTYPES), xps.array_shapes(min_dims=0, min_side=0, max_dims=3))
def test_filled(data, dtype, shape):
    other, value = getattr(strict, dtype), data.draw(xps.from_dtype(getattr(mg, dtype)))
    for name, extra in (("zeros", ()), ("ones", ()), ("full", (value,))):
        same(getattr(mg, name)(shape, *extra, dtype=dtype), getattr(strict, name)(shape, *extra, dtype=other))
        like = getattr(mg, f"{name}_like")
        x = mg.empty(shape, dtype=dtype, device="cpu")
        same(like(x, *extra), getattr(strict, name)(shape, *extra, dtype=other))
        assert like(x, *extra, dtype=mg.complex64, device=x.device).dtype == mg.complex64
    assert mg.empty_like(x).shape == shape and mg.empty_like(x).dtype == dtype
    for plain, kind in ((True, mg.bool), (3, mg.int64), (2.5, mg.float32), (1j, mg.complex64)):
        assert mg.full(shape, plain).dtype == kind == mg.asarray([plain]).dtype == mg.asarray(plain).dtype


@quick
@given(st.data())
def test_ranges(data):
    numbers = st.integers(-50, 50) | st.floats(-50, 50, width=32)
    start, stop = data.draw(numbers), data.draw(numbers)
    step = data.draw((st.integers(-9, 9) | st.floats(-9, 9, width=32)).filter(lambda v: abs(v) > 0.05))
    y = mg.arange(start, stop, step)
    assert y.dtype == (mg.int64 if all(isinstance(v, int) for v in (start, stop, step)) else mg.float32)
    assert y.shape == (max(math.ceil((stop - start) / step), 0),)
    same(y, np.arange(start, stop, step).astype(y.dtype))
    num, endpoint = data.draw(st.integers(0, 9)), data.draw(st.booleans())
    for dtype in FLOATS + COMPLEX:
        z = stop * 1j if dtype in COMPLEX else stop
        y = mg.linspace(start, z, num, dtype=getattr(mg, dtype), endpoint=endpoint)
        same(y, strict.linspace(start, z, num, dtype=getattr(strict, dtype), endpoint=endpoint))
    n, m, k = (data.draw(st.integers(0, 5)) for _ in "nmk")
    same(mg.eye(n, m, k=k - 2, dtype=mg.int8), strict.eye(n, m, k=k - 2, dtype=strict.int8))


@quick
@given(x=xps.arrays(xps.scalar_dtypes(), xps.array_shapes(min_dims=2, min_side=0, max_side=3)), k=st.integers(-4, 4))
def test_triangles(x, k):
    same(mg.tril(x, k=k), strict.tril(theirs(x), k=k))
    same(mg.triu(x, k=k), strict.triu(theirs(x), k=k))


@quick
@given(st.lists(st.integers(0, 4), max_size=4), st.sampled_from(["xy", "ij"]))
def test_meshgrid(lengths, indexing):
    axes = [mg.arange(n) + i for i, n in enumerate(lengths)]
    got, expected = mg.meshgrid(*axes, indexing=indexing), strict.meshgrid(*theirs(axes), indexing=indexing)
    assert isinstance(got, tuple) and len(got) == len(expected)
    for g, e in zip(got, expected):
        same(g, e)


def test_asarray_shares_and_copies():
    a = np.arange(6.0).reshape(2, 3)
    for copy in (None, False):
        assert np.shares_memory(mg.asarray(a, copy=copy).numpy(), a)
    assert not np.shares_memory(mg.asarray(a, copy=True).numpy(), a)
    x = mg.asarray(a)
    assert mg.asarray(x) is x is mg.asarray(x, copy=False)
    assert not np.shares_memory(mg.asarray(x, copy=True).numpy(), a)
    for no in (lambda: mg.asarray(a, dtype="int8", copy=False), lambda: mg.asarray(x, dtype="int8", copy=False)):
        with pytest.raises(ValueError):
            no()
    with pytest.raises(ValueError):
        mg.asarray([1, 2], copy=False)
    for buffer, dtype in (
        (array.array("d", [1, 2]), "float64"), (bytearray(b"ab"), "uint8"), (memoryview(a[0])[1:], "float64"),
    ):  # fmt: skip
        y = mg.asarray(buffer)
        assert y.dtype == dtype and np.shares_memory(y.numpy(), np.asarray(buffer))
    assert mg.asarray([[1, 2.5], [True, 3]]).dtype == mg.float32 and mg.asarray([1, 2j]).dtype == mg.complex64
    assert mg.asarray([True, 2]).dtype == mg.int64 and mg.asarray([True]).dtype == mg.bool


def test_gradients_pass_asarray_and_meshgrid():
    x = mg.tensor([1.0, 2.0], requires_grad=True)
    mg.asarray(x, dtype="float64", copy=True).sum().backward()
    (mg.meshgrid(x, mg.arange(3.0))[0] ** 2).sum().backward()
    assert x.grad.tolist() == [1 + 3 * 2, 1 + 3 * 4]


# ---- exchange --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", DTYPES)
def test_dlpack(dtype):
    x = mg.asarray([[0, 1, 1]], dtype=dtype)
    assert x.__dlpack_device__() == (1, 0)
    a = np.from_dlpack(x)
    assert a.dtype == dtype and np.shares_memory(a, x.numpy())
    y = mg.from_dlpack(a)
    assert np.shares_memory(y.numpy(), x.numpy()) and y.dtype == dtype
    y[0, 0] = 1
    assert x.numpy()[0, 0] == 1
    assert not np.shares_memory(mg.from_dlpack(x, copy=True).numpy(), a)
    assert mg.from_dlpack(x, device=x.device).shape == x.shape


def test_dlpack_refuses():
    with pytest.raises(BufferError, match="detach"):
        mg.ones(2, requires_grad=True).__dlpack__()
    with pytest.raises(AttributeError, match="asarray"):
        mg.from_dlpack([1.0])


def test_dlpack_with_pytorch():
    torch = pytest.importorskip("torch")
    x, t = mg.ones(3), torch.ones(3)
    torch.from_dlpack(x)[0] = 5
    mg.from_dlpack(t)[1] = 7
    assert x.tolist() == [5, 1, 1] and t.tolist() == [1, 7, 1]
    t[2] = 9
    assert mg.asarray(t).tolist() == [1, 7, 9] and mg.asarray(t).dtype == mg.float32


def test_devices():
    x = mg.ones(2, device=mg.device("cpu"))
    assert x.device == "cpu" and x.device.type == "cpu" and x.to_device(x.device) is x
    assert mg.zeros(2, device=x.device).device == x.device and mg.astype(x, "int8", device="cpu").dtype == "int8"
    assert x.to("cpu", "float64").dtype == mg.float64 and x.to(device="cpu") is x and x.to(copy=True) is not x
    with pytest.raises(RuntimeError):
        x.to_device("abacus")
    with pytest.raises(ValueError):
        x.to_device("cpu", stream=1)


# ---- the array object ------------------------------------------------------------------------------------------------


@quick
@given(x=xps.arrays(xps.scalar_dtypes(), ()))
def test_python_numbers(x):
    value = x.numpy().item()
    assert bool(x) is bool(value)
    assert repr(complex(x)) == repr(complex(value))
    if x.dtype.kind != "c":
        assert math.isnan(value) or float(x) == float(value)
        if math.isfinite(value):
            assert int(x) == int(value)
    if x.dtype.kind in "iu":
        assert operator.index(x) == value and [0, 1][int(x) % 2 : operator.index(x % 2 + 1)] == [value % 2]
    else:
        with pytest.raises(TypeError):
            operator.index(x)


def test_attributes():
    x = mg.ones((2, 3, 4), dtype=mg.complex64)
    assert (x.ndim, x.shape, x.size, x.dtype, x.mT.shape, x[0].T.shape) == (
        3, (2, 3, 4), 24, mg.complex64, (2, 4, 3), (4, 3),
    )  # fmt: skip
    with pytest.raises(ValueError):
        mg.ones(3).mT  # noqa: B018
    with pytest.raises(ValueError):
        bool(mg.ones(2))
    assert [v.shape for v in mg.ones((2, 3))] == [(3,)] * 2 and len(mg.ones((2, 3))) == 2
    with pytest.raises(TypeError):
        iter(mg.ones(()))


BINARY = {
    "add": (operator.add, NUMERIC), "subtract": (operator.sub, NUMERIC), "multiply": (operator.mul, NUMERIC),
    "divide": (operator.truediv, FLOATS + COMPLEX), "floor_divide": (operator.floordiv, REAL),
    "remainder": (operator.mod, REAL), "pow": (operator.pow, NUMERIC), "equal": (operator.eq, DTYPES),
    "not_equal": (operator.ne, DTYPES), "less": (operator.lt, REAL), "less_equal": (operator.le, REAL),
    "greater": (operator.gt, REAL), "greater_equal": (operator.ge, REAL), "bitwise_and": (operator.and_, BITS),
    "bitwise_or": (operator.or_, BITS), "bitwise_xor": (operator.xor, BITS),
    "bitwise_left_shift": (operator.lshift, INTEGERS), "bitwise_right_shift": (operator.rshift, INTEGERS),
    "logical_and": (None, ["bool"]), "logical_or": (None, ["bool"]), "logical_xor": (None, ["bool"]),
    "maximum": (None, REAL), "minimum": (None, REAL), "atan2": (None, FLOATS), "hypot": (None, FLOATS),
    "copysign": (None, FLOATS), "logaddexp": (None, FLOATS), "nextafter": (None, FLOATS),
}  # fmt: skip
UNARY = {
    "abs": (operator.abs, NUMERIC), "negative": (operator.neg, NUMERIC), "positive": (operator.pos, NUMERIC),
    "bitwise_invert": (operator.invert, BITS), "logical_not": (None, ["bool"]), "sign": (None, NUMERIC),
    "square": (None, NUMERIC), "conj": (None, NUMERIC), "real": (None, NUMERIC), "imag": (None, COMPLEX),
    "isnan": (None, NUMERIC), "isinf": (None, NUMERIC), "isfinite": (None, NUMERIC), "signbit": (None, FLOATS),
    **dict.fromkeys(("ceil", "floor", "trunc"), (None, REAL)), "round": (None, NUMERIC),
    **dict.fromkeys(
        ("sqrt", "exp", "expm1", "log", "log1p", "log2", "log10", "sin", "cos", "tan", "asin", "acos", "atan", "sinh",
         "cosh", "tanh", "asinh", "acosh", "atanh", "reciprocal"), (None, FLOATS + COMPLEX),
    ),
}  # fmt: skip


def test_all_elementwise_functions_are_compared():
    assert {*UNARY, *BINARY, "clip"} == set(ELEMENTWISE)


def close(name, got, expected):
    """The same numbers; where both compute with other roundings (kernels, complex functions), nearly."""
    exact = got.dtype.kind in "biu" or name in ("maximum", "minimum", "copysign", "nextafter", "abs", "floor", "ceil")
    expected = np.asarray(expected)
    assert got.dtype == expected.dtype and got.shape == expected.shape, (name, got.dtype, expected.dtype)
    eps = 0 if exact else 8 * float(mg.finfo(got).eps)
    with np.errstate(all="ignore"):
        np.testing.assert_allclose(got.numpy(), expected, rtol=eps, atol=0, err_msg=name)


@pytest.mark.parametrize("name", UNARY)
@settings(quick, max_examples=8)
@given(data=st.data())
def test_unary(name, data):
    op, dtypes = UNARY[name]
    for dtype in dtypes:
        x = data.draw(arrays(dtype, SHAPES))
        if name == "expm1" and dtype in COMPLEX:  # test_expm1_of_complex_infinities has what NumPy says otherwise
            x = mg.where(mg.isfinite(x), x, 1.0)
        expected = getattr(strict, name)(theirs(x))
        close(name, getattr(mg, name)(x), expected)
        if op:
            close(name, op(x), expected)


@pytest.mark.parametrize("name", BINARY)
@settings(quick, max_examples=20)
@given(data=st.data())
def test_binary(name, data):
    op, dtypes = BINARY[name]
    a_dtype = data.draw(st.sampled_from(dtypes))
    b_dtype = data.draw(st.sampled_from([d for d in dtypes if _promote(a_dtype, d)]))
    shapes, _ = data.draw(xps.mutually_broadcastable_shapes(2, min_side=0, max_dims=3))
    small = name in ("pow", "bitwise_left_shift", "bitwise_right_shift")
    a, b = (data.draw(arrays(d, s, small)) for d, s in zip((a_dtype, b_dtype), shapes))
    f, other = getattr(mg, name), getattr(strict, name)
    assume(name not in ("floor_divide", "remainder") or b.dtype.kind == "f" or bool(mg.all(b != 0)))
    if name in ("floor_divide", "pow"):  # of infinities see the table of special cases
        assume(all(bool(mg.all(mg.isfinite(v))) for v in (a, b)))
    expected = other(theirs(a), theirs(b))
    close(name, f(a, b), expected)
    number = data.draw(arrays(a_dtype, (), small)).item() if name != "pow" else 2
    assume(name not in ("floor_divide", "remainder") or (number == number and abs(number) not in (0, math.inf)))
    close(name, f(a, number), other(theirs(a), number))
    assume(name not in ("floor_divide", "remainder") or a_dtype in FLOATS or bool(mg.all(a != 0)))
    close(name, f(number, a), other(number, theirs(a)))
    if op:
        close(name, op(a, b), expected)
        if mg.result_type(a, b) == a.dtype and expected.shape == a.shape and expected.dtype == theirs(a).dtype:
            c = mg.asarray(a, copy=True)
            in_place = getattr(operator, f"i{op.__name__.strip('_')}", None)
            if in_place:
                d = in_place(c, b)
                assert d is c
                close(name, c, expected)


def _promote(a, b):
    try:
        return strict.result_type(getattr(strict, a), getattr(strict, b))
    except TypeError:
        return None


@quick
@given(data=st.data(), dtype=st.sampled_from(REAL))
def test_clip(data, dtype):
    shapes, _ = data.draw(xps.mutually_broadcastable_shapes(3, min_side=0, max_dims=3))
    x, low, high = (data.draw(arrays(dtype, s)) for s in shapes)
    low, high = mg.minimum(low, high), mg.maximum(low, high)
    low, high = (v if data.draw(st.booleans()) else None for v in (low, high))
    expected = strict.clip(theirs(x), theirs(low), theirs(high))
    close("clip", mg.clip(x, low, high), expected)
    y = mg.clip(x, min=None, max=None)
    close("clip", y, theirs(x))
    assert not x.size or not np.shares_memory(y.numpy(), x.numpy())


inf, nan = math.inf, math.nan
SPECIAL = [  # where NumPy and Python have other answers than the standard
    ("floor_divide", inf, 2.0, inf), ("floor_divide", inf, -2.0, -inf), ("floor_divide", -inf, 2.0, -inf),
    ("floor_divide", -inf, -2.0, inf), ("floor_divide", 1.0, -inf, -0.0), ("floor_divide", -1.0, inf, -0.0),
    ("floor_divide", 1.0, inf, 0.0), ("floor_divide", -1.0, -inf, 0.0), ("floor_divide", inf, inf, nan),
    ("floor_divide", 0.0, -3.0, -0.0), ("floor_divide", 1.0, -0.0, -inf), ("floor_divide", -0.0, 0.0, nan),
    ("remainder", 1.0, -inf, -inf), ("remainder", -1.0, inf, inf), ("remainder", -0.0, 2.0, 0.0),
    ("remainder", 0.0, -2.0, -0.0), ("pow", -inf, 0.5, inf), ("pow", -0.0, 0.5, 0.0), ("pow", nan, 0.0, 1.0),
    ("pow", 1.0, nan, 1.0), ("pow", -1.0, inf, 1.0), ("pow", -inf, -3.0, -0.0), ("hypot", inf, nan, inf),
    ("maximum", nan, inf, nan), ("copysign", nan, -0.0, nan), ("atan2", -0.0, -0.0, -math.pi),
]  # fmt: skip


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("name, a, b, expected", SPECIAL)
def test_special_cases(name, a, b, expected, dtype):
    for shape_a, shape_b in (((), ()), ((3,), (1,)), ((1,), (5,)), ((2, 2), ())):
        x, y = mg.full(shape_a, a, dtype=dtype), mg.full(shape_b, b, dtype=dtype)
        shape = np.broadcast_shapes(shape_a, shape_b)
        same(getattr(mg, name)(x, y), np.full(shape, expected, dtype))
        same(getattr(mg, name)(x, b), np.full(shape_a, expected, dtype))  # a number beside an array


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("shape", [(), (1,), (7,), (64, 999), (31, 0)])
def test_the_power_one_half_is_not_the_root(shape, dtype):
    """At -infinity and -0: infinity and 0; by operator, in place and by name, of small and large arrays and views."""
    for value, expected in ((-inf, inf), (-0.0, 0.0), (4.0, 2.0), (-1.0, nan)):
        x, e = mg.full(shape, value, dtype=dtype), np.full(shape, expected, dtype)
        same(x**0.5, e)
        same(x.mT**0.5 if x.ndim == 2 else mg.pow(x, 0.5), e.T if x.ndim == 2 else e)
        x **= 0.5
        same(x, e)
        same(value ** mg.full(shape, 0.5, dtype=dtype), e)


def test_dtypes_are_not_equal_to_nothing():
    """NumPy takes None for float64; a dtype of the namespace is looked up, and None means that it was not found."""
    for name in DTYPES:
        dtype = getattr(array_api, name)
        assert not (None == dtype or dtype == None) and dtype != None  # noqa: E711, SIM300
        for equal in (name, np.dtype(name), getattr(np, name), mg.ones(1, dtype=dtype).dtype):
            assert dtype == equal and equal == dtype
        assert hash(dtype) == hash(np.dtype(name)) and isinstance(dtype, np.dtype)
        assert repr(dtype) == f"dtype('{name}')" and str(dtype) == dtype.name == name
        for copied in (deepcopy(dtype), pickle.loads(pickle.dumps(dtype))):
            assert copied == dtype
    assert mg.float64.itemsize == 8 and np.zeros(1, mg.float64).dtype == mg.float64
    assert np.result_type(mg.float64, np.float32) == mg.float64 and mg.float64 not in (mg.float32, mg.complex128)


# ---- indexing and mutation -------------------------------------------------------------------------------------------


@quick
@given(data=st.data())
def test_getitem_setitem(data):
    x = data.draw(arrays(data.draw(st.sampled_from(DTYPES)), SHAPES))
    key = data.draw(xps.indices(x.shape, allow_newaxis=True, allow_ellipsis=True))
    a = x.numpy().copy()
    same(x[key], a[key])
    value = data.draw(arrays(x.dtype.name, st.sampled_from([a[key].shape, ()])))
    plain = tuple(k for k in key if k is not None) if isinstance(key, tuple) else key
    value = mg.reshape(value, a[plain].shape) if value.shape else value
    x[plain] = value
    a[plain] = value.numpy()
    same(x, a)
    if value.shape == ():
        x[plain] = value.numpy().item()
        same(x, a)


@quick
@given(data=st.data())
def test_masks_and_integer_arrays(data):
    x = data.draw(arrays(data.draw(st.sampled_from(DTYPES)), SHAPES))
    axes = data.draw(st.integers(0, x.ndim))
    mask, a = data.draw(xps.arrays(mg.bool, x.shape[:axes])), x.numpy().copy()
    same(x[mask], a[mask.numpy()])
    value = data.draw(arrays(x.dtype.name, ()))
    x[mask] = value
    a[mask.numpy()] = value.numpy()
    same(x, a)
    if x.ndim and all(x.shape):
        shapes, _ = data.draw(xps.mutually_broadcastable_shapes(x.ndim, max_dims=2, max_side=3))
        key = tuple(
            data.draw(xps.arrays(mg.int64, s, elements=st.integers(-n, n - 1))) for s, n in zip(shapes, x.shape)
        )
        same(x[key], a[tuple(k.numpy() for k in key)])
        same(x[key[0], ...], a[key[0].numpy(), ...])
        x[key] = value
        a[tuple(k.numpy() for k in key)] = value.numpy()
        same(x, a)


def test_index_errors():
    x = mg.ones((2, 3))
    for key in (5, (0, 0, 0), (slice(None), -4), mg.asarray([True, False, True]), mg.asarray([9])):
        with pytest.raises(IndexError):
            x[key]
        with pytest.raises(IndexError):
            x[key] = 1.0
    with pytest.raises(TypeError):
        x["a"]
    with pytest.raises(ValueError):
        x[0] = mg.ones(2)


def test_divmod_and_reflected():
    x = mg.asarray([7, -7])
    assert [v.tolist() for v in divmod(x, 4)] == [[1, -2], [3, 1]]
    assert [v.tolist() for v in divmod(20, x)] == [[2, -3], [6, -1]]
    assert (2 ** x.abs()).tolist() == [128, 128] and (1 << mg.asarray([3])).tolist() == [8]
    assert (np.float32(2) * mg.ones(2, dtype="float32")).dtype == mg.float32


def test_no_warning_for_plain_numbers():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert mg.floor_divide(mg.asarray([7.0, inf]), 2.0).tolist() == [3, inf]
        assert (mg.asarray([4.0]) ** mg.asarray(0.5)).tolist() == [2]


# ---- what the standard asks beyond NumPy -----------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", INTEGERS)
def test_sums_come_in_the_dtype_asked_for(dtype):
    x = mg.asarray([[1, 2], [3, 120]], dtype="uint8")
    for name in ("sum", "prod", "cumulative_sum", "cumulative_prod", "cumsum", "cumprod", "nansum", "nanprod"):
        for axis in ({"axis": 0}, {"dim": 0}):
            y = getattr(mg, name)(x, dtype=dtype, **axis)
            wide = getattr(np, name)(x.numpy(), axis=0, dtype="int64")
            assert y.dtype == dtype and y.tolist() == wide.astype(dtype).tolist()
    assert mg.linalg.trace(x, dtype=dtype).dtype == dtype and x.sum(dtype=dtype).dtype == dtype
    assert x.sum().dtype == mg.uint64 and x.sum(dtype="float64").dtype == mg.float64


def test_broadcast_arrays_is_a_tuple():
    assert isinstance(mg.broadcast_arrays(mg.ones(2), mg.ones((3, 1))), tuple)


@pytest.mark.parametrize("dtype", INTEGERS)
def test_counts_of_repeat(dtype):
    counts = mg.asarray([0, 2, 1], dtype=dtype)
    assert mg.repeat(mg.arange(3), counts).tolist() == [1, 1, 2]


@pytest.mark.parametrize(
    "z, expected",
    [
        (complex(inf, 0), complex(inf, 0)), (complex(inf, -0.0), complex(inf, -0.0)), (complex(inf, nan), (inf, nan)),
        (complex(-inf, inf), (-1, None)), (complex(-inf, nan), (-1, None)), (complex(nan, 0), (nan, 0)),
        (complex(nan, 1), (nan, nan)),
    ],
)  # fmt: skip
def test_expm1_of_complex_infinities(z, expected):
    y = mg.expm1(mg.asarray([z, 1j]))[0].item()
    parts = (expected.real, expected.imag) if isinstance(expected, complex) else expected
    for a, e in zip((y.real, y.imag), parts):
        assert a == 0 if e is None else a == e or (a != a and e != e), (z, y)


def test_sign_of_complex_zeros():
    y = mg.sign(mg.asarray([complex(-0.0, -0.0), complex(0.0, -0.0)])).numpy()
    assert not (np.signbit(y.real) | np.signbit(y.imag)).any()


def test_decompositions_take_nan_and_infinity():
    x = mg.asarray([[nan, inf], [1.0, 2.0]])
    for f in (mg.linalg.det, mg.linalg.slogdet, mg.linalg.qr, mg.linalg.trace):
        f(x)
    r = mg.linalg.qr(x).R.numpy()
    np.testing.assert_array_equal(r, np.triu(r))


def test_array_api_extra_runs_on_it():
    xpx = pytest.importorskip("array_api_extra")
    x = mg.asarray([[3.0, -1.0, 2.0], [0.5, 4.0, -2.0]])
    same(xpx.at(x, x < 0).set(0.0, copy=True), np.maximum(x.numpy(), 0))
    same(xpx.apply_where(x > 0, x, lambda v: v * 2, lambda v: -v), np.where(x.numpy() > 0, 2 * x.numpy(), -x.numpy()))
    same(xpx.pad(x, 1), np.pad(x.numpy(), 1))
    same(xpx.setdiff1d(x, x[0]), np.setdiff1d(x.numpy(), x.numpy()[0]))
    same(xpx.one_hot(mg.asarray([2, 0]), 3, dtype=mg.int8), np.asarray([[0, 0, 1], [1, 0, 0]], "int8"))
    assert xpx.nunique(x).item() == 6 and xpx.cov(x).shape == (2, 2)
