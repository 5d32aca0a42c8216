"""Generated elementwise kernels and fused gradient rules: the NumPy reference's numbers, at every way to broadcast."""

import math

import numpy as np
import pytest

import minigrad as mg

pytest.importorskip("numba")

from minigrad.kernels.cpu import elementwise, loops, when

from minigrad.backend import get_backend
from minigrad.primitive import PRIMITIVES

GENERATED = list(when.generated(PRIMITIVES))
LOOPED = list(when.looped(PRIMITIVES))
SPECIAL = np.array(
    [0.0, -0.0, 1.0, -1.0, np.inf, -np.inf, np.nan, 1e-40, -1e-40, 1e-30, 3.0, -3.0, 88.5, -88.5, 104.0, -104.0, 1e30]
)


def both(f):
    """f() under the reference and under the kernels."""
    with np.errstate(all="ignore"):
        results = []
        for backend in ("numpy", "numba"):
            with mg.use_backend(backend):
                results.append(f())
    return results


def test_the_family_is_there():
    """Not by chance none: the ops whose text is made of vector functions."""
    assert {"add", "multiply", "silu", "softplus", "gelu_tanh_backward", "mish", "expm1", "leaky_relu"} <= set(
        GENERATED
    )
    assert {"lerp", "multiply_add", "divide_add"} <= set(GENERATED)
    assert not {"positive", "floor_divide", "equal", "where", "sin", "power"} & set(GENERATED)


@pytest.mark.parametrize("name", [n for n in GENERATED if len(PRIMITIVES[n].inputs) == 1])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_special_values(name, dtype):
    x = np.tile(SPECIAL.astype(dtype), 10_000)  # above every threshold
    expected, found = both(lambda: mg.apply(PRIMITIVES[name], mg.tensor(x)).numpy())
    assert found.dtype == dtype
    np.testing.assert_array_equal(np.isnan(found), np.isnan(expected))
    tolerance = 1e-5 if dtype == np.float32 else 1e-12
    np.testing.assert_allclose(found, expected, rtol=tolerance, atol=1e-6 if name.startswith("gelu") else 1e-38)


SHAPES = [
    ((300, 500), (300, 500)),
    ((300, 500), ()),
    ((), (300, 500)),
    ((300, 500), (1, 1)),
    ((300, 500), (500,)),
    ((500,), (300, 500)),
    ((20, 30, 16, 16), (30, 1, 1)),
    ((20, 30, 16, 16), (20, 1, 1, 1)),
    ((20, 30, 16, 16), (20, 30, 1, 1)),
    ((1, 30, 1, 1), (20, 30, 16, 16)),
    ((20, 30, 16, 16), (16, 16)),
    ((20, 30, 16, 16), (30, 16, 16)),
    ((20, 30, 16, 16), (20, 1, 16, 16)),
    ((400, 1), (1, 500)),
    ((7, 60, 1, 50), (1, 60, 9, 50)),
    ((20, 10, 30, 40), (1, 10, 30, 1)),
    ((100_000, 3), (3,)),  # refused: short runs
]


@pytest.mark.parametrize("shapes", SHAPES, ids=str)
@pytest.mark.parametrize("name", ["subtract", "divide", "maximum"])
def test_broadcasting(shapes, name):
    rng = np.random.default_rng(0)
    a, b = (rng.uniform(0.5, 2, s) for s in shapes)
    expected, found = both(lambda: mg.apply(PRIMITIVES[name], mg.tensor(a), mg.tensor(b)).numpy())
    np.testing.assert_array_equal(found, expected)


def views(rng):
    """Tuples of arrays that broadcast: parts of others, turned, reversed, repeated."""
    x, heads = rng.random((6, 40, 50)), rng.random((3, 7, 4, 16))
    return [
        (x[:, :, 8:40],),
        (x[:, 3:9, 8:40], x[:, 13:19, :32]),
        (x[:, ::3, 8:40], rng.random((6, 14, 32)), x[0, 0, 10:42] > 0.5),
        (x.T, x.T[:, :1]),
        (x.transpose(1, 0, 2), x.transpose(1, 0, 2)[:, :1]),
        (heads.transpose(0, 2, 1, 3), rng.random((3, 4, 7, 16))),
        (heads.transpose(0, 2, 1, 3)[:, 1:3], rng.random((7, 1))),
        (heads.transpose(2, 0, 1, 3)[:, ::-1, 1::2],),
        (np.broadcast_to(x[:, :1, :1], x.shape), x),
        (x[::-1], x),
        (np.broadcast_to(x[0, 0, 0], x.shape), x[0]),
        (x[:, :1].transpose(1, 0, 2), rng.random((9, 1, 50))),
    ]


def test_layout_says_where_each_input_is_read():
    rng = np.random.default_rng(0)
    shapes = [*SHAPES, ((4, 5, 6), (5, 1), (6,)), ((4, 1), (1, 5), (1, 1)), ((), (), ()), ((1,), (1, 1))]
    for arrays in [*(tuple(map(rng.random, given)) for given in shapes), *views(rng)]:
        for ordered in (True, False):
            found = when.placed(*arrays, ordered=ordered)
            if found is None:
                assert not ordered  # in C order the elements of a turned array lie apart
                continue
            shape, order, run, block, numbers = found
            assert shape == np.broadcast_shapes(*(x.shape for x in arrays)) and 0 < block <= run
            assert list(numbers[:3]) == [math.prod(shape), run, block] and (ordered or order is None)
            i = np.arange(math.prod(shape))
            for x, reads in zip(arrays, numbers[3:].reshape(len(arrays), when.READS), strict=True):
                at = i % run * reads[1]
                for part, count, width in reads[3:].reshape(when.LEVELS, 3)[: reads[2]]:
                    at = at + i // run // part % (count or math.prod(shape)) * width
                offsets = sum(
                    np.arange(n).reshape([-1 if k == axis else 1 for k in range(x.ndim)]) * (step // x.itemsize)
                    for axis, (n, step) in enumerate(zip(x.shape, x.strides, strict=True))
                )
                expected = np.broadcast_to(offsets, shape).transpose(order or range(len(shape)))
                np.testing.assert_array_equal(at, expected.ravel())


def test_layout_refuses_what_does_not_fit():
    rng = np.random.default_rng(0)
    assert when.placed(rng.random((3, 4)), rng.random(3)) is None
    assert when.placed(np.ones((0, 4)), rng.random(4)) is None
    x = rng.random((20, 30))
    assert when.placed(x[:, ::2]) is None
    assert when.placed(x, rng.random((30, 20)).T) is None
    assert when.placed(x[:, ::-1]) is None
    repeated = rng.random((5, 1, 5, 1, 5, 1, 5, 1))
    assert when.placed(repeated, np.ones((5, 2) * 4)) is None  # it varies and repeats too often


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_views(dtype):
    """Arithmetic, a function, a choice, a power and gradients over views; results in the order of the axes."""
    rng = np.random.default_rng(1)
    x, heads = rng.uniform(0.5, 2, (64, 96, 64)).astype(dtype), rng.uniform(0.5, 2, (16, 40, 9, 64)).astype(dtype)
    x[0, 0, :3], heads[0, 0, 0, :2] = (np.nan, np.inf, 0), (-np.inf, np.nan)
    given = [
        (x[:, 1:, :50], x[:, :-1, 14:]),
        (x[:, ::-1, 1:51], x[0, 0, :50]),
        (x.transpose(1, 0, 2), x.transpose(1, 0, 2)),
        (x.transpose(1, 2, 0), x.transpose(1, 2, 0)[:, :1]),
        (heads.transpose(0, 2, 1, 3), np.ascontiguousarray(heads.transpose(0, 2, 1, 3))),
        (np.broadcast_to(x[:, :, :1], x.shape), x),
        (np.broadcast_to(x[:1, :1, :1], x.shape), x.transpose(0, 1, 2)),
        (x[..., ::2], x[..., 1::2]),
    ]
    for a, b in given:
        a = a.view()
        a.flags.writeable = False
        exact = [
            ("add", a, b),
            ("divide", a, 2.0),
            ("where", a > b, a, b),
            ("negative", a),
            ("power", a, 2),
            ("copy", a),
        ]
        for name, *operands in [*exact, ("tanh", a), ("silu", a), ("logaddexp", a, b)]:
            with np.errstate(all="ignore"):
                expected, found = (getattr(get_backend(backend).F, name)(*operands) for backend in ("numpy", "numba"))
            assert found.dtype == dtype and found.flags.writeable and not np.shares_memory(found, a)
            np.testing.assert_allclose(found, expected, rtol=1e-5 if dtype == np.float32 else 1e-13)
            if name in {row[0] for row in exact}:
                np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize(
    "name, params", [("lerp", {}), ("multiply_add", {"value": 0.3}), ("divide_add", {"value": -2}), ("divide_add", {})]
)
def test_three_inputs(name, params, dtype):
    """Values and gradients; rows, numbers and views among the inputs."""
    rng = np.random.default_rng(0)
    a, b, c = (rng.standard_normal((120, 131)).astype(dtype) for _ in range(3))
    a[0, :6], b[1, :6], c[2, :6] = ((np.nan, np.inf, -np.inf, 0.0, 1.0, 0.5),) * 3
    g = rng.standard_normal(a.shape).astype(dtype)
    numbers = [(a, b, 0.7), (a, b, 1.0), (2.0, b[:, :1], c)] if name == "lerp" else []
    for arrays in [(a, b, c), (a, b[0], c[:, :1]), (a.T, b.T, c.T), (a[:, 40:], b[:, 40:], c[0, 40:]), *numbers]:

        def run(arrays=arrays):
            inputs = [mg.tensor(x, requires_grad=True) if isinstance(x, np.ndarray) else x for x in arrays]
            y = mg.apply(PRIMITIVES[name], *inputs, **params)
            y.backward(mg.tensor(g.reshape(-1)[: y.size].reshape(y.shape)))
            return [y.numpy(), *(x.grad.numpy() for x in inputs if isinstance(x, mg.Tensor))]

        for expected, found in zip(*both(run), strict=True):
            assert found.dtype == dtype
            tolerance = 1e-5 if dtype == np.float32 else 1e-13
            np.testing.assert_allclose(found, expected, rtol=tolerance, atol=10 * tolerance)


def test_lerp_ends_exactly():
    a, b = np.random.default_rng(0).standard_normal((2, 5000)).astype(np.float32)
    F = get_backend("numba").F
    np.testing.assert_array_equal(F.lerp(a, b, np.ones_like(a)), b)
    np.testing.assert_array_equal(F.lerp(a, b, 0.0), a)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("name", ["fmod", "remainder", "floor_divide"])
def test_whole_quotients(name, dtype):
    """Signs, zeros, infinities, NaN and quotients of any size as the library has them, to the last bit."""
    rng = np.random.default_rng(0)
    edges = [0.0, 1.0, 2.0, 0.5, np.inf, np.nan, 1e-40, 3e38, 7.0, 0.1, 8388607.0, 16777217.0]
    edges = np.array([*edges, *np.negative(edges)], dtype)
    a, b = (np.tile(x, (5, 1)) for x in np.meshgrid(edges, edges))
    x, y = (rng.standard_normal((60, 70)).astype(dtype) for _ in range(2))
    whole, wide = np.round(20 * x), (x * 10.0 ** rng.uniform(-30, 30, x.shape)).astype(dtype)
    pairs = [
        (a, b),
        (x, y),
        (whole * y, y),
        (whole, np.round(5 * y)),
        (wide, y),
        (x, 0.1),
        (3.7, y),
        (x[:, :1], y),
        (x.T, y.T),
    ]
    for operands in pairs:
        with np.errstate(all="ignore"):
            expected, found = (getattr(get_backend(backend).F, name)(*operands) for backend in ("numpy", "numba"))
        assert found.dtype == dtype
        # NumPy rounds quotients before it takes their floor
        exact = np.abs(expected) < (2.0**22 if dtype == np.float32 else 2.0**51) if name == "floor_divide" else True
        np.testing.assert_array_equal(np.where(exact, found, 0), np.where(exact, expected, 0))
        np.testing.assert_allclose(found, expected, rtol=2 * np.finfo(dtype).eps)
        np.testing.assert_array_equal(np.signbit(found) & ~np.isnan(found), np.signbit(expected) & ~np.isnan(expected))


@pytest.mark.parametrize("name", ["fmod", "remainder", "floor_divide"])
def test_whole_quotients_have_kernels(name):
    x = np.ones((50, 60))
    p = PRIMITIVES[name]
    assert any(admits(x, x) and load() is getattr(elementwise, name) for admits, load in p.kernels["numba"])


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_where(dtype):
    rng = np.random.default_rng(0)
    a, b = (rng.standard_normal((300, 501)).astype(dtype) for _ in range(2))
    a[:, :3], b[0] = np.nan, np.inf
    c = a > b
    calls = [
        (c, a, b),
        (c, a, 0.0),
        (c, 2, b),
        (c[:, :1], a, b[0]),
        (c[0], a[:, :1], b),
        (c.T, a.T, b.T),
        (c, a[0], 1.5),
    ]
    for condition, x, y in calls:
        expected, found = both(lambda args=(condition, x, y): mg.apply(PRIMITIVES["where"], *args).numpy())
        np.testing.assert_array_equal(found, expected)
        assert found.dtype == dtype


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_clip_and_nan_to_num(dtype):
    rng = np.random.default_rng(0)
    x = rng.uniform(-3, 3, (300, 501)).astype(dtype)
    x.flat[: len(SPECIAL)] = SPECIAL
    low, high = x[:, :1] - 1, np.abs(x[0])
    for v in (x, x.T, x[:, 3:97]):
        bounds = [(-1, 1), (None, 0.5), (-0.5, None), (1.0, -1.0), (np.nan, 2)]
        bounds += [] if v.shape != x.shape else [(low, high), (low, 1.5), (low.astype(np.float64), None)]
        for least, most in bounds:
            expected, found = (get_backend(backend).F.clip(v, least, most) for backend in ("numpy", "numba"))
            np.testing.assert_array_equal(found, expected)
            assert found.dtype == expected.dtype
        for given in ({}, {"nan": 2.0, "posinf": 7}, {"neginf": -3.5, "nan": np.nan}):
            expected, found = (get_backend(backend).F.nan_to_num(v, **given) for backend in ("numpy", "numba"))
            np.testing.assert_array_equal(found, expected)
            assert found.dtype == dtype


@pytest.mark.parametrize(
    ("small", "shape"), [(s, t) for t, s in SHAPES if t] + [((), (200_000,)), ((400, 1), (400, 500))]
)
def test_copies(shape, small):
    """Of arrays and of broadcast views, into a buffer of their own."""
    x = np.broadcast_to(np.random.default_rng(0).random(small), np.broadcast_shapes(small, shape))
    for view in (x, x.T, np.array(x)):
        y = get_backend("numba").F.copy(view)
        np.testing.assert_array_equal(y, view)
        assert y.flags.writeable and not np.shares_memory(y, view)


@pytest.mark.parametrize("name", ["gelu", "ndtr", "erfc", "sigmoid"])
def test_tails_keep_their_digits(name):
    """float32 beside float64, relative, where the function falls; and far beyond."""
    kernel = elementwise.elementwise(name)
    x = np.linspace(-5, 5, 40_001, dtype=np.float32)
    np.testing.assert_allclose(kernel(x), kernel(x.astype(np.float64)), rtol=4e-6 if name == "gelu" else 1e-6)
    far = np.array([-1e38, -1e9, -100, 100, 1e9, 1e38, np.inf], np.float32)
    expected = {"gelu": np.maximum(far, 0), "erfc": 2.0 * (far < 0)}.get(name, 1.0 * (far > 0))
    np.testing.assert_allclose(kernel(far), expected, rtol=0, atol=1e-38)
    assert np.isnan(kernel(np.array([np.nan], np.float32))).all()


def test_numbers_and_strides():
    x = np.random.default_rng(0).uniform(0.5, 2, (700, 900))
    t = mg.tensor(x)
    for f in (lambda: t * 2, lambda: 1 / t, lambda: t - 1.5, lambda: t.mT / t.mT, lambda: t[::2, ::3] + t[1::2, ::3]):
        expected, found = both(lambda f=f: f().numpy())
        np.testing.assert_array_equal(found, expected)
    half = mg.tensor(x.astype(np.float32))
    expected, found = both(lambda: (half * t).numpy())
    assert found.dtype == expected.dtype == np.float64
    np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize(
    ("name", "params"),
    [("leaky_relu", {"negative_slope": 0.2}), ("elu", {"alpha": 0.7}), ("hardtanh", {"min_val": -0.3, "max_val": 2.0})],
)
def test_keyword_numbers_reach_the_kernel_and_its_rule(name, params):
    x = np.random.default_rng(0).standard_normal(50_000)

    def run():
        t = mg.tensor(x, requires_grad=True)
        y = mg.apply(PRIMITIVES[name], t, **params)
        y.backward(mg.tensor(np.cos(x)))
        return np.stack([y.numpy(), t.grad.numpy()])

    expected, found = both(run)
    np.testing.assert_allclose(found, expected, rtol=1e-14)


@pytest.mark.parametrize(
    "name",
    [
        *("tanh", "sigmoid", "silu", "softsign", "multiply", "sqrt", "exp", "softplus"),
        *("maximum", "minimum", "where", "hardtanh", "hardsigmoid", "fmax", "xlogy", "acosh", "logaddexp"),
    ],
)
def test_rules_are_one_kernel(name):
    """The fused rule is really taken, and gives the rule's numbers, NaN and infinity included."""
    p = PRIMITIVES[name]
    rules = {r.function: r for r in p.rules.values()}
    for function, rule in rules.items():
        kernel = elementwise.rule(name, function, rule.needs, p.defaults)
        assert kernel is not None
        rng = np.random.default_rng(0)
        given = {"F": get_backend("numpy").F, **p.defaults}
        operands = [given.get(n, rng.uniform(0.1, 3, (100, 101))) for n in rule.needs]
        for x in operands:
            if isinstance(x, np.ndarray):
                x[0, :4], x[1] = (0.0, np.inf, np.nan, 1e-300), 1.0
        operands = [x > 1.5 if n == "condition" else x for n, x in zip(rule.needs, operands, strict=True)]
        with np.errstate(all="ignore"):
            expected = function(*operands)
        np.testing.assert_allclose(kernel(*operands), expected, rtol=1e-13, atol=1e-15)
        chosen = get_backend("numba").rules[function]
        assert chosen is not function


def test_rules_take_views():
    """A gradient that repeats one number, a condition that repeats a row, transposed operands."""
    rng, F = np.random.default_rng(0), get_backend("numpy").F
    row = np.broadcast_to(rng.random(101) < 0.5, (100, 101))
    column = np.broadcast_to(rng.random((10, 1, 5, 1)) < 0.5, (10, 7, 5, 40))  # it varies, repeats, varies, repeats
    p, ruled = PRIMITIVES["where"], elementwise.rule
    for condition in (row, row.T, column, np.asfortranarray(row)):
        for g in (np.broadcast_to(2.0, condition.shape), rng.random(condition.shape[::-1]).T):
            for of in ("a", "b"):
                function, needs = p.rules[of].function, p.rules[of].needs
                given = {"F": F, "g": g, "condition": condition}
                operands = [given[n] for n in needs]
                np.testing.assert_array_equal(ruled("where", function, needs, {})(*operands), function(*operands))


def test_a_rule_that_looks_at_its_operands_stays():
    power = PRIMITIVES["power"]
    assert elementwise.rule("power", power.rules["a"].function, power.rules["a"].needs, {}) is None
    add = PRIMITIVES["add"]
    assert elementwise.rule("add", add.rules["a"].function, add.rules["a"].needs, {}) is None  # g itself: nothing to do


def test_results_do_not_depend_on_the_threads():
    x = mg.tensor(np.random.default_rng(0).standard_normal(300_001).astype(np.float32))
    before = mg.get_num_threads()
    try:
        found = []
        for n in (1, 2, 3):
            mg.set_num_threads(n)
            found.append(mg.nn.functional.silu(x).numpy())
    finally:
        mg.set_num_threads(before)
    np.testing.assert_array_equal(found[0], found[1])
    np.testing.assert_array_equal(found[0], found[2])


@pytest.mark.parametrize("exponent", [2, 3, 4, -1, 0.5, 2.0, 5, -2.5])
def test_small_powers(exponent):
    """Negative bases, zeros, infinities and NaN as the library has them."""
    x = np.random.default_rng(0).uniform(-3, 3, (200, 301)).astype(np.float32)
    x[0, :6] = 0.0, -0.0, np.inf, -np.inf, np.nan, 1e-40
    for v in (x, x.T, x.astype(np.float64)):
        with np.errstate(all="ignore"):
            expected, found = (get_backend(backend).F.power(v, exponent) for backend in ("numpy", "numba"))
        np.testing.assert_allclose(found, expected, rtol=3e-7)
        assert found.dtype == v.dtype


def test_powers_of_arrays():
    x = np.random.default_rng(0).uniform(-3, 3, (200, 301)).astype(np.float32)
    for a, b in ((np.abs(x), x), (2.5, x), (x, np.round(x)), (np.abs(x).T, x.T)):
        with np.errstate(all="ignore"):
            expected, found = (get_backend(backend).F.power(a, b) for backend in ("numpy", "numba"))
        np.testing.assert_array_max_ulp(found, expected, 1)


# ---- NumPy's loops on all threads ------------------------------------------------------------------------------------
def test_the_loops_are_found():
    assert {"sin", "cos", "atan2", "exp2", "log1p", "floor", "round", "hypot"} <= set(LOOPED)
    assert not {"exp", "add", "power", "isnan", "remainder", "fmod"} & set(LOOPED)
    assert loops.loop("sin", np.dtype(np.float32)) != loops.loop("cos", np.dtype(np.float32))
    assert loops.loop("sin", np.dtype(np.int64)) is None  # NumPy serves


@pytest.mark.parametrize("name", LOOPED)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_loops_give_the_numbers_of_numpy(name, dtype):
    """To the last bit wherever the parts begin: odd sizes, other layouts, special values, a number as operand."""
    p = PRIMITIVES[name]
    x = np.random.default_rng(4).uniform(-3, 3, (401, 503)).astype(dtype)
    x.flat[: len(SPECIAL)] = SPECIAL
    operands = [(x,), (x.T,), (x[:, ::2],), (x[:0],)]
    if len(p.inputs) == 2:
        operands = [(x, x[::-1]), (x.T, x.T[::-1]), (x, 2.0), (0.5, x), (x[:, ::2], x[:, 1::2][:, :252])][:4]
    before = mg.get_num_threads()
    for arrays in operands:
        expected, found = both(lambda arrays=arrays: mg.apply(p, *arrays).numpy())
        np.testing.assert_array_max_ulp(found, expected, 1)  # the end of a vector may be rounded in another way
        assert found.dtype == expected.dtype
        np.testing.assert_array_equal(np.signbit(found), np.signbit(expected))
        try:
            mg.set_num_threads(1)
            np.testing.assert_array_max_ulp(both(lambda arrays=arrays: mg.apply(p, *arrays).numpy())[1], found, 1)
        finally:
            mg.set_num_threads(before)


def test_loops_refuse_a_struct_they_do_not_know(monkeypatch):
    monkeypatch.setitem(loops.NUMPY_NAMES, "sin", "frexp")  # two outputs
    assert loops.loop.__wrapped__("sin", np.dtype(np.float32)) is None


def test_gelu_keeps_the_digits_of_its_tail():
    """x Phi(x) from erfc: 4e-7 in absolute terms, 5e-6 relative to numbers down to 1e-30."""
    x = np.concatenate([np.linspace(-11.5, 20, 6301), [0.0, -0.0, 1e-40, 1e30, -1e30, 3e38]]).astype(np.float32)
    expected = np.array([0.5 * v * math.erfc(-v / math.sqrt(2)) for v in map(float, x)])
    y = mg.apply(mg.PRIMITIVES["gelu"], np.resize(x, 20_000)).numpy()[: x.size]
    small = np.abs(x) < 20
    np.testing.assert_allclose(y[small], expected[small], rtol=0, atol=4e-7)
    np.testing.assert_allclose(y, expected, rtol=5e-6, atol=1e-36)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_erfc_keeps_the_digits_of_its_tail(dtype):
    x = np.concatenate([np.linspace(-6, 9 if dtype == np.float32 else 26, 6_301), [np.inf, -np.inf, np.nan, -0.0]])
    x = x.astype(dtype)
    expected = np.array([math.erfc(v) for v in map(float, x)])
    y = mg.apply(mg.PRIMITIVES["erfc"], np.resize(x, 20_000)).numpy()[: x.size]
    np.testing.assert_allclose(
        y, expected, rtol=2e-6 if dtype == np.float32 else 2e-14, atol=1e-36 if dtype == np.float32 else 0
    )


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_logaddexp_of_special_pairs(dtype):
    a, b = (x.ravel() for x in np.meshgrid(SPECIAL.astype(dtype), SPECIAL.astype(dtype)))
    tolerance = 1e-6 if dtype == np.float32 else 1e-14
    expected, found = both(lambda: mg.logaddexp(mg.tensor(np.tile(a, 100)), mg.tensor(np.tile(b, 100))).numpy())
    np.testing.assert_allclose(found, expected, rtol=tolerance, atol=tolerance)
