"""The checks themselves: they pass what is right, fail every planted mistake, and name it."""

import numpy as np
import pytest

import minigrad as mg
from minigrad import PRIMITIVES, elementwise, kernel, primitive, testing
from minigrad.errors import ArgumentError, CheckError, DTypeError
from minigrad.primitive import Spec, case, same_as
from minigrad.tensor import F
from minigrad.testing import check_body, check_kernel, check_primitive, gradcheck, gradgradcheck, sample_inputs


@pytest.fixture
def plant():
    """Declares primitives for one test: plant.row(text, rules) elementwise, plant.block(forward, ...) others."""
    before = set(PRIMITIVES)

    class Plant:
        @staticmethod
        def row(text, name="planted", **fields):
            elementwise(name, text, doc="planted", **fields)
            return getattr(F, name)

        @staticmethod
        def block(forward, rules, **fields):
            forward.__name__ = forward.__qualname__ = "planted"
            p = primitive(**{"shape": same_as("x"), "samples": (case((2, 3)),)} | fields)(forward)
            for name, rule in rules.items():
                p.rule(name)(rule)
            return F.planted

    yield Plant
    for name in set(PRIMITIVES) - before:
        del PRIMITIVES[name]
        F.__dict__.pop(name, None)
        for backend in mg.backend_names():
            if backend != "cupy":
                mg.get_backend(backend).F.__dict__.pop(name, None)


def report(f, *inputs, **options):
    return str(gradcheck(f, inputs, raise_exception=False, **options))


def values(*shape):
    return np.random.default_rng(3).uniform(0.3, 1.7, shape)


# ---- what is right passes --------------------------------------------------------------------------------------------


def test_right_gradients_pass():
    r = gradcheck(mg.tan, [values(3, 4)])
    assert r and r.compared == 144 and r.method == "the complex step" and r.worst < 1
    assert gradcheck(mg.abs, values(3, 4)).method == "central differences"
    assert gradcheck(lambda a, b: a @ b, [values(3, 4), values(4, 2)])
    assert gradcheck(lambda x: (x * 2, mg.sum(x), x > 0, None), values(3)).compared == 12
    assert gradgradcheck(mg.tanh, values(3))
    assert gradgradcheck(mg.matmul, [values(2, 3), values(3, 2)], values(2, 2))


@pytest.mark.parametrize("shape", [(), (1,), (0,), (0, 3), (2, 0)])
def test_small_and_empty(shape):
    assert gradcheck(lambda x: mg.exp(x) * 2, values(*shape))
    assert gradcheck(mg.sum, values(*shape))
    assert gradgradcheck(mg.sin, values(*shape))


def test_only_what_requires_a_gradient_is_checked():
    x, c = mg.tensor(values(3), requires_grad=True), mg.tensor(values(3))
    assert gradcheck(lambda x, c: x * c.detach(), [x, c]).compared == 9
    assert gradcheck(lambda x, i: x[i], [values(4), mg.tensor([0, 0, 3])]).compared == 12
    assert x.grad is None


def test_strict_backend_inputs():
    with mg.use_backend("strict"):
        x = mg.tensor(values(2, 3))
    assert gradcheck(mg.softmax, [x], params={"axis": -1})
    assert gradgradcheck(mg.sigmoid, [x])


# ---- planted mistakes are found and named ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    "text, rule, words",
    [
        ("sin({x})", lambda F, g, x: 2 * g * F.cos(x), "every entry is 2 times"),
        ("sin({x})", lambda F, g, x: g * F.cos(x) / 3, "every entry is 1/3 times"),
        ("sin({x})", lambda F, g, x: -g * F.cos(x), "Likely: the sign."),
        ("{x} * {x}", lambda g: 2 * g, "a factor is missing: the input"),
        ("exp({x})", lambda g: g, "a factor is missing: the output"),
        ("log({x})", lambda g: g, "a factor too many: the input"),
        ("{x} * sigmoid({x})", lambda F, g, x: g * F.sigmoid(x), "missing term"),
        ("sin({x})", lambda F, g, x: F.zeros_like(g), "no gradient arrives"),
        ("sin({x})", lambda F, g, x: None, "no gradient arrives"),
        ("{x} + 1 * {x}", lambda g, x: g / (x - x), "division by zero"),
        ("where({x} > 1, {x}, 0.1 * {x})", lambda F, g, x: F.where(x > 1, g, 0.2 * g), "wrong case"),
    ],
)
def test_planted_elementwise(plant, text, rule, words):
    f = plant.row(text, x=rule)
    with np.errstate(all="ignore"), pytest.raises(CheckError) as error:
        gradcheck(f, [values(2, 3)])
    assert words in str(error.value)
    assert "argument x[" in str(error.value) and "output[" in str(error.value)


def test_report_has_both_numbers(plant):
    f = plant.row("sin({x})", x=lambda F, g, x: 2 * g * F.cos(x))
    text = report(f, np.array([[0.5, 1.0]]))
    assert "gradcheck: planted: argument x[0, 0], output[0, 0]" in text
    assert f"{2 * np.cos(0.5):.10g}" in text and f"{np.cos(0.5):.9g}"[:8] in text
    assert "2 of 4 entries are wrong" in text


def test_small_error_is_found(plant):
    """A relative error of 1e-8 is far above the tolerance of the complex step, 1e-6 above that of differences."""
    assert "1 times" in report(plant.row("sin({x})", x=lambda F, g, x: g * F.cos(x) * (1 + 1e-8)), values(3))
    f = plant.row("abs({x})", name="planted2", x=lambda F, g, x: g * F.sign(x) * (1 + 1e-6))
    assert "wrong" in report(f, values(3))


def test_swapped_arguments(plant):
    f = plant.row("{a} * {b}", a=lambda g, a: g * a, b=lambda g, b: g * b)
    assert "swapped: this is the gradient for b" in report(f, values(3), values(3) ** 2)


def test_transpose(plant):
    f = plant.block(
        lambda xp, x: xp.swapaxes(x, 0, 1) * 2, {"x": lambda F, g, shapes: F.reshape(2 * g, shape=shapes.x)}
    )
    assert "a transpose" in report(f, values(2, 3))
    assert "a transpose" in report(f, values(3, 3))


def test_reversed(plant):
    f = plant.block(lambda xp, x: xp.flip(x, -1) * 2, {"x": lambda g: 2 * g})
    assert "in reverse" in report(f, values(4))


def test_broadcast_not_summed(plant):
    def forward(xp, x):
        return xp.broadcast_to(x, (3, 4)) * 2

    f = plant.block(
        forward, {"x": lambda g: 2 * g[:1]}, shape=lambda op, x: Spec((3, 4), x.dtype), samples=(case((4,)),)
    )
    assert "a broadcast not summed: 8 entries" in report(f, values(4))


def test_wrong_places(plant):
    f = plant.block(lambda xp, x: xp.roll(x, 1), {"x": lambda F, g: F.roll(g, shift=1)})
    assert "the places" in report(f, values(5))


def test_wrong_rule_in_one_argument_only(plant):
    f = plant.row("{a} + {b} * {b}", a=lambda g: g, b=lambda g, b: g * b)
    text = report(f, values(3), values(3))
    assert "argument b[" in text and "argument a[" not in text and "1/2 times" in text


def test_random_directions_find_it_too(plant):
    f = plant.row("sin({x})", x=lambda F, g, x: g * F.where(x == F.max(x), 1.001 * F.cos(x), F.cos(x)))
    assert gradcheck(mg.sin, values(2000)).compared < 100  # too large for the whole Jacobian
    assert "wrong" in report(f, values(200), directions=3) or "random direction" in report(f, values(200), directions=3)
    assert "random direction" in report(f, values(1000))


def test_rule_not_linear_in_g(plant):
    f = plant.row("{x} + 0 * {x}", x=lambda g: g * g)  # right for every unit vector
    assert "not linear in g" in report(f, values(3))


def test_rule_that_writes_to_g(plant):
    def rule(g):
        g *= 3
        return g / 3

    assert "wrote to the gradient" in report(plant.row("{x} + 0 * {x}", x=rule), values(3))


def test_forward_that_writes_to_its_input(plant):
    def forward(xp, x):
        y = x * 2
        x[...] = 0
        return y

    assert "x was changed" in report(plant.block(forward, {"x": lambda g: 2 * g}), values(2, 3))


def test_random_forward(plant):
    rng = np.random.default_rng(0)
    f = plant.block(lambda xp, x: x * rng.random(), {"x": lambda g: g})
    assert "two calls with the same input differ" in report(f, values(3))


def test_memory_order_matters(plant):
    def rule(g, x):
        return g * 2 if x.strides[0] > x.strides[-1] else g * 3

    f = plant.block(lambda xp, x: x * 2, {"x": rule})
    assert "strided inputs give another gradient" in report(f, values(2, 3))


def test_second_derivative(plant):
    plant.row("cos({x})", name="planted_cos", x=lambda F, g, x: g * F.sin(x))  # the sign is wrong
    f = plant.row("sin({x})", x=lambda F, g, x: g * F.planted_cos(x))
    assert gradcheck(f, [values(3)])
    with pytest.raises(CheckError, match="gradgradcheck: gradient of planted: argument x"):
        gradgradcheck(f, [values(3)])


def test_infinite_output_is_not_a_pass():
    with np.errstate(all="ignore"):
        assert "not finite" in report(mg.log, np.array([0.0, 1.0]))


def test_detached_output_is_not_a_pass():
    assert "no gradient arrives" in report(lambda x: x.detach() * 2, values(3))


# ---- kinks -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("at", [0.0, 1e-7, 1.5e-6, 2.5e-6, 4e-6, -5e-6, 5.9e-6])
@pytest.mark.parametrize("name", ["relu", "abs", "sign"])
def test_kink_within_a_step(name, at):
    f = getattr(mg, name)
    x = np.array([at, 1.0])
    with pytest.raises(CheckError, match=r"kink, a jump or a pole within 6e-06 of the sample, at argument x\[0\]"):
        gradcheck(f, x)
    r = gradcheck(f, x, kinks="skip")
    assert r and r.kinks == ["argument x[0], output[0]"] and r.compared == 3
    assert "1 left out" in str(r)


@pytest.mark.parametrize(
    "f", [mg.exp, mg.tanh, lambda x: x**4 * 1e3, lambda x: mg.sqrt(x + 3), lambda x: 1 / (x + 2.99)]
)
def test_curvature_is_no_kink(f):
    assert not gradcheck(f, np.array([0.0, 1e-7, 1.0, -1.5])).kinks


def test_pole_is_not_judged():
    assert gradcheck(mg.reciprocal, np.array([1e-6]), kinks="skip").kinks


# ---- options and refusals --------------------------------------------------------------------------------------------


def test_float32_is_refused():
    with pytest.raises(DTypeError, match="float32; differences need float64"):
        gradcheck(mg.exp, [values(3).astype("float32")])
    with pytest.raises(DTypeError, match="nothing to check"):
        gradcheck(mg.exp, [3])
    with pytest.raises(DTypeError, match="must return tensors"):
        gradcheck(lambda x: x.numpy(), [values(3)])


def test_options():
    with pytest.raises(ArgumentError, match="kinks"):
        gradcheck(mg.exp, values(3), kinks="ignore")
    with pytest.raises(ArgumentError, match="unknown options"):
        gradgradcheck(mg.exp, values(3), tolerance=1)
    assert "wrong" in report(mg.tanh, values(3), atol=0.0, rtol=0.0)
    assert gradcheck(mg.tanh, values(3), eps=1e-4, atol=1e-5)


# ---- samples ---------------------------------------------------------------------------------------------------------


def test_samples_are_in_the_domain_and_repeat():
    for name, p in PRIMITIVES.items():
        samples = sample_inputs(name, np.random.default_rng(5))
        for s, t in zip(samples, sample_inputs(name, np.random.default_rng(5))):
            for a, b in zip(s.args, t.args):
                assert type(a) is type(b) and np.array_equal(a, b)
        if p.domain and not p.samples:
            holds = np.vectorize(eval(f"lambda {', '.join(p.inputs)}: {p.domain}"), otypes=[bool])
            for s in samples:
                assert not np.broadcast(*s.args).size or holds(*s.args).all(), name


def test_samples_of_elementwise_rows_cover_the_shapes():
    shapes = [tuple(a.shape for a in s.args) for s in sample_inputs("add", np.random.default_rng(0))]
    flat = [s for pair in shapes for s in pair]
    assert () in flat and (1,) in flat and any(0 in s for s in flat)
    assert any(a != b and np.broadcast_shapes(a, b) not in (a, b) for a, b in shapes), "both inputs grow"
    float32 = sample_inputs("exp", np.random.default_rng(0), np.float32)
    assert {a.dtype for s in float32 for a in s.args} == {np.dtype("float32")}


def test_check_primitive(plant):
    check_primitive("softmax")
    plant.row("exp({x})", x=lambda g, y: g * y * 2)
    with pytest.raises(CheckError, match="planted"):
        check_primitive("planted")
    with pytest.raises(ArgumentError, match="no primitive"):
        check_primitive("exq")


def test_check_shape(plant):
    plant.block(lambda xp, x: x[:1], {"x": lambda g: g})
    with pytest.raises(CheckError, match=r"the shape rule says float64\(2, 3\), the forward gives float64\(1, 3\)"):
        check_primitive("planted")


def test_check_body(plant):
    plant.row("{x} * tanh({x})", x=lambda F, g, x: g * F.tanh(x))
    (sample, *_) = sample_inputs("planted", np.random.default_rng(0))
    with pytest.raises(CheckError, match=r"the rule gives .* the derivative of the body"):
        check_body("planted", sample)


# ---- kernels ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "run, words",
    [
        (lambda x: x * x, None),
        (lambda x: x * x * (1 + 1e-4), "the float64 reference"),
        (lambda x: (x * x).astype("float64"), "the reference gives float32"),
        (lambda x: np.where(np.isnan(x), 0, x * x), "NaN or infinity is lost"),
        (lambda x: (x * x)[..., :-1], "the reference gives"),
        (lambda x: np.multiply(x, x, out=x if x.flags.writeable else None), "wrote to its input"),
        (lambda x: np.asarray(x.ravel("K") ** 2).reshape(x.shape), "strided memory"),
    ],
)
def test_kernels(plant, run, words):
    plant.row("{x} * {x}", x=lambda g, x: 2 * g * x)
    kernel("planted", backend="numba", when=lambda x: x.size > 100)(run)
    if words is None:
        assert check_kernel("planted") > 10
    else:
        with pytest.raises(CheckError, match=words):
            check_kernel("planted")


def test_kernel_that_nobody_reaches(plant):
    plant.row("{x} * {x}", x=lambda g, x: 2 * g * x)
    with pytest.raises(ArgumentError, match="no kernel"):
        check_kernel("planted")
    kernel("planted", backend="numba", when=lambda x: False)(lambda x: x * x)
    with pytest.raises(CheckError, match="no call was admitted"):
        check_kernel("planted")


def test_kernel_samples_are_scaled_together():
    """Lengths that are equal stay equal, so that inner sizes still agree."""
    p, rng = PRIMITIVES["matmul"], np.random.default_rng(0)
    found = list(testing.admitted(p, lambda a, b: a.size * b.size > 2000, sample_inputs(p, rng), rng))
    assert len(found) > 5
    assert all(a.shape[-1] == (b.shape[-2] if b.ndim > 1 else b.shape[0]) for a, b in (s.args for s in found))
