"""What every primitive must do, derived from its declaration: a row added to ops/ is tested here, on every backend."""

import inspect
import math
import warnings
import zlib

import numpy as np
import pytest
from strict import BACKENDS, STRICT

import minigrad as mg
from minigrad import PRIMITIVES, testing
from minigrad.gradients import grad
from minigrad.primitive import MANY
from minigrad.tensor import F, Tensor, wrap

DIFFERENTIABLE = [name for name, p in PRIMITIVES.items() if testing.differentiable(p)]
SECOND = [name for name in DIFFERENTIABLE if not PRIMITIVES[name].no_second]
ELEMENTWISE = [name for name, p in PRIMITIVES.items() if p.inline]
KERNELS = [name for name, p in PRIMITIVES.items() if p.kernels.get("numba") and name in DIFFERENTIABLE]


def samples(name, dtype=np.float64):
    """The samples of a primitive, with numbers of its own that do not depend on the other tests."""
    return testing.sample_inputs(name, np.random.default_rng(zlib.crc32(name.encode())), dtype)


def call(name, args, params):
    """The float and integer outputs of the public function, as a tuple."""
    out = getattr(F, name)(*args, **params)
    return out if isinstance(out, tuple) else (out,)


def f32(sample):
    """The sample with its float arrays in float32."""
    args = (a.astype(np.float32) if isinstance(a, np.ndarray) and a.dtype == np.float64 else a for a in sample.args)
    return sample._replace(args=tuple(args))


class about:
    """Adds the sample to whatever fails inside."""

    def __init__(self, sample):
        self.sample = sample

    def __enter__(self):
        return self.sample

    def __exit__(self, kind, error, trace):
        if error is not None:
            error.add_note(f"sample: {self.sample.shapes}")


# ---- declarations ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", PRIMITIVES)
def test_declaration_is_complete(name):
    p = PRIMITIVES[name]
    assert p.doc, "a docstring: formula and shapes"
    assert samples(name), "samples=(case(...),), so that something can be tested"
    if testing.differentiable(p):
        undeclared = [i for i in p.inputs if i not in p.rules] if not p.fused else []
        for sample in samples(name):  # an input without a rule must not be a number that a gradient could be asked for
            for i, a in enumerate(sample.args):
                if p.input(i) in undeclared and isinstance(a, np.ndarray):
                    assert a.dtype.kind in "biu", f"{p.input(i)} is a float input without a rule"
    else:
        assert p.no_gradient, "rules, or no_gradient= with the reason why there are none"
    if p.domain:
        assert eval(f"lambda {', '.join(p.inputs)}: {p.domain}")


@pytest.mark.parametrize("name", [n for n, p in PRIMITIVES.items() if p.public])
def test_public_function(name):
    """Every public primitive is a function of the package, with the declaration's words and parameter names."""
    f = getattr(mg, name)
    if name == "round":  # the function does more
        assert "decimals" in inspect.signature(f).parameters and "10**-decimals" in f.__doc__
    else:
        assert f.__doc__ == PRIMITIVES[name].doc
    assert f.__name__ == name


# ---- forward ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("name", PRIMITIVES)
def test_forward_is_the_reference(name, backend):
    p = PRIMITIVES[name]
    host = mg.get_backend("numpy")
    for sample in samples(name):
        with about(sample):
            with np.errstate(all="ignore"):
                expected = p.forward(host.F if p.fused else np, *sample.args, **{**p.defaults, **sample.params})
            expected = expected if isinstance(expected, tuple) else (expected,)
            for layout in (np.array, testing.strided, testing.frozen):
                args = [layout(a) if isinstance(a, np.ndarray) else a for a in sample.args]
                b = mg.get_backend(backend)
                with mg.use_backend(backend), np.errstate(all="ignore"):
                    outs = call(
                        name, [wrap(b.asarray(a)) if isinstance(a, np.ndarray) else a for a in args], sample.params
                    )
                assert len(outs) == (len(expected) if p.outputs == MANY else max(p.outputs, 1))
                for out, e in zip(outs, expected):
                    assert type(out.array) is b.array
                    np.testing.assert_allclose(out.numpy(), e, rtol=1e-12, atol=1e-14, strict=True)


SCALARS = {name: getattr(math, name) for name in dir(math) if not name.startswith("_")} | {
    "abs": abs,
    "maximum": max,
    "minimum": min,
    "round": round,
    "sign": lambda x: (x > 0) - (x < 0),
    "square": lambda x: x * x,
    "power": math.pow,
    "where": lambda c, a, b: a if c else b,
    "sigmoid": lambda x: 1 / (1 + math.exp(-x)),
    "logaddexp": lambda a, b: math.log(math.exp(a) + math.exp(b)),
    "heaviside": lambda x, h: h if x == 0 else float(x > 0),
    "logical_and": lambda a, b: bool(a) and bool(b),
    "logical_or": lambda a, b: bool(a) or bool(b),
    "logical_xor": lambda a, b: bool(a) != bool(b),
    "logical_not": lambda x: not x,
    "signbit": lambda x: math.copysign(1, x) < 0,
    "logaddexp2": lambda a, b: math.log2(2**a + 2**b),
    "fmax": max,
    "fmin": min,
    "sinc": lambda x: math.sin(math.pi * x) / (math.pi * x) if x else 1.0,
}


def scalar(name):
    """The scalar text of a primitive as a Python function of numbers, with the defaults of its keywords."""
    p = PRIMITIVES[name]
    return eval(f"lambda {', '.join(p.inputs)}: {p.inline.format(**{i: i for i in p.inputs}, **p.defaults)}", SCALARS)


for name in ELEMENTWISE:  # a text may call other rows
    if name not in SCALARS:
        SCALARS[name] = scalar(name)


@pytest.mark.parametrize("name", ELEMENTWISE)
def test_scalar_text_is_the_forward(name):
    """The text that compilers turn into code, evaluated by Python's math on one number at a time."""
    f = scalar(name)
    for sample in samples(name):
        with about(sample):
            (out,) = call(name, [mg.tensor(a) for a in sample.args], {})
            arrays = np.broadcast_arrays(*sample.args)
            expected = [f(*(v.item() for v in values)) for values in zip(*(a.reshape(-1) for a in arrays))]
            np.testing.assert_allclose(out.numpy().reshape(-1), np.asarray(expected, out.dtype), rtol=1e-12, atol=1e-15)


@pytest.mark.parametrize("dtype", [np.float32, np.float64], ids=["float32", "float64"])
@pytest.mark.parametrize("name", PRIMITIVES)
def test_shape_rule_is_the_forward(name, dtype):
    for sample in samples(name, dtype):
        with about(sample), np.errstate(all="ignore"):
            testing.check_shape(name, sample)


@pytest.mark.parametrize("name", PRIMITIVES)
def test_shape_rule_admits_what_the_forward_admits(name):
    """Given another number of axes, or other lengths, the shape rule and the forward agree, or both refuse."""
    p = PRIMITIVES[name]
    for sample in samples(name):
        for change in (
            lambda a: a[None],
            lambda a: a[..., :-1] if a.ndim else a,
            lambda a: np.asarray(a[0]) if a.ndim and len(a) else a,
        ):
            first = next(i for i, a in enumerate(sample.args) if isinstance(a, np.ndarray))
            args = list(sample.args)
            args[first] = change(args[first])
            try:
                with np.errstate(all="ignore"), warnings.catch_warnings():
                    warnings.simplefilter("ignore")
                    (out, *_) = call(
                        name, [mg.tensor(a) if isinstance(a, np.ndarray) else a for a in args], sample.params
                    )
            except (mg.errors.MinigradError, TypeError):
                continue
            with about(sample._replace(args=tuple(args))):
                assert tuple(p.shape(p.name, *args, **sample.params).shape) == out.shape


@pytest.mark.parametrize("name", [n for n in ELEMENTWISE if PRIMITIVES[n].kind == "float"])
def test_integers_become_the_default_float(name):
    p = PRIMITIVES[name]
    args = [mg.tensor(np.full(3, 2 - i)) for i in range(len(p.inputs))]
    with np.errstate(all="ignore"):
        (out,) = call(name, args, {})
    assert out.dtype == np.float32
    expected = getattr(F, name)(*[a.astype("float64") for a in args]) if name not in ("asin", "acos", "atanh") else out
    np.testing.assert_allclose(out.numpy(), expected.numpy(), rtol=1e-6)


# ---- gradients -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("name", DIFFERENTIABLE)
def test_gradient(name, backend):
    p = PRIMITIVES[name]
    for sample in samples(name):
        with about(sample):
            report = testing.gradcheck(
                getattr(F, name), testing.on(backend, sample), params=sample.params, kinks="skip", name=name
            )
            assert not report.kinks or len(report.kinks) < report.compared, report
            testing.check_body(p, sample, backend)
            if p.complex_ok and report.compared and sample.params.get("dtype") is None:
                assert report.method == "the complex step", "complex_ok is promised, but a complex input does not pass"


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("name", SECOND)
def test_second_order(name, backend):
    for sample in samples(name):
        with about(sample):
            testing.gradgradcheck(
                getattr(F, name),
                testing.on(backend, sample),
                params=sample.params,
                directions=3,
                kinks="skip",
                name=name,
            )


@pytest.mark.parametrize("name", KERNELS)
def test_gradient_through_kernels(name):
    """At a size that the compiled kernels take, along random directions: forward and backward kernels together."""
    rng = np.random.default_rng(7)
    p = PRIMITIVES[name]
    when, _ = p.kernels["numba"][-1]
    for sample in testing.admitted(p, when, samples(name), rng):
        with about(sample):
            testing.gradcheck(
                getattr(F, name),
                testing.on("numba", sample),
                params=sample.params,
                directions=2,
                kinks="skip",
                name=name,
            )
            return
    pytest.fail("no sample that the kernel takes")


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("name", DIFFERENTIABLE)
def test_float32_stays_float32(name, backend):
    """float32 in: float32 out, float32 gradient, and the float64 numbers to float32's accuracy."""
    for wide in samples(name):
        with about(wide), np.errstate(all="ignore"):
            found = []
            for sample in (f32(wide), wide):
                args = testing.on(backend, sample)
                floats = [a for a in args if isinstance(a, Tensor) and a.dtype.kind == "f"]
                for a in floats:
                    a.requires_grad = True
                ys = [y for y in call(name, args, sample.params) if y.dtype.kind in "fc"]
                gs = grad(ys, floats, [wrap(y.backend.xp.ones_like(y.array)) for y in ys], allow_unused=True)
                found.append(([y.numpy() for y in ys if y is not None], [g.numpy() for g in gs if g is not None]))
            (ys, gs), (ys64, gs64) = found
            if wide.params.get("dtype") is None:
                assert {y.dtype for y in ys} <= {np.dtype(np.float32), np.dtype(np.complex64)}
            assert {g.dtype for g in gs} <= {np.dtype(np.float32)}
            assert len(gs) == len(gs64)
            for got, expected in zip([*ys, *gs], [*ys64, *gs64]):
                np.testing.assert_allclose(got, expected, rtol=1e-4, atol=1e-4 * np.abs(expected).max(initial=1))


@pytest.mark.parametrize("name", DIFFERENTIABLE)
def test_nothing_leaks_to_the_host(name):
    """Forward and backward on the strict backend, to second order, without one array read on the host."""
    for sample in samples(name):
        with about(sample), np.errstate(all="ignore"):
            args = testing.on("strict", sample)
            floats = [a for a in args if isinstance(a, Tensor) and a.dtype.kind == "f"]
            for a in floats:
                a.requires_grad = True
            before = STRICT.downloads
            ys = [y for y in call(name, args, sample.params) if y.node is not None]
            if not ys:
                continue
            gs = grad(
                ys, floats, [wrap(STRICT.xp.ones_like(y.array)) for y in ys], create_graph=True, allow_unused=True
            )
            assert all(g is None or type(g.array) is STRICT.array for g in gs)
            recorded = [g for g in gs if g is not None and g.node is not None]
            if recorded:
                grad(recorded, floats, [wrap(STRICT.xp.ones_like(g.array)) for g in recorded], allow_unused=True)
            assert STRICT.downloads == before


@pytest.mark.parametrize("name", [n for n, p in PRIMITIVES.items() if p.no_gradient])
def test_no_gradient_no_graph(name):
    """Truth values and positions end the gradient silently; nothing is recorded."""
    for sample in samples(name):
        args = testing.on("numpy", sample)
        if any(isinstance(a, Tensor) and a.dtype.kind == "f" for a in args):
            for a in args:
                a.requires_grad = True
            assert not any(y.requires_grad for y in call(name, args, sample.params))


# ---- special values, against PyTorch ---------------------------------------------------------------------------------

SPECIAL = np.array(
    [0.0, -0.0, np.inf, -np.inf, np.nan, 1e300, -1e300, 1e-300, -1e-300, 0.5, -0.5, 1.0, -1.0, 2.0, -3.0]
)
TORCH = {
    "power": "pow", "negative": "neg", "equal": "eq", "not_equal": "ne", "greater_equal": "ge", "less_equal": "le",
    "divide": "true_divide", "bitwise_invert": "bitwise_not",
}  # fmt: skip
# Where we keep our own answer: the inputs where it may differ, and why.
FORWARD = {
    "angle": (lambda x: x == 0, "-0 has the angle pi, as NumPy says; PyTorch says 0"),
    "sign": (np.isnan, "NaN has no sign: NaN, as NumPy and the Array API say; PyTorch says 0"),
    "heaviside": (lambda x, h: np.isnan(x), "NaN is on no side: NaN as in NumPy; PyTorch says 0"),
    "remainder": (lambda a, b: np.abs(b) < 1e-200, "PyTorch overflows a / b"),
    "fmod": (lambda a, b: np.abs(b) < 1e-200, "PyTorch overflows a / b"),
    "floor_divide": (lambda a, b: np.isinf(a) | np.isinf(b), "the Array API has floor(a / b); PyTorch NaN or -1"),
    "logaddexp2": (lambda a, b: (a == -1) & (b == -1), "PyTorch rounds log2(2)"),
}
GRADIENT = {
    "atan2": (
        lambda a, b: (np.hypot(a, b) < 1e-100) | (np.hypot(a, b) > 1e100),
        "a**2 + b**2 over- and underflows in PyTorch; at (0, 0) there is no derivative: NaN",
    ),
    "remainder": (
        lambda a, b: np.isinf(a) | np.isinf(b),
        "the floor is the standard's floor_divide, which has 0 there",
    ),
    "sinc": (lambda x: np.abs(x) > 1e200, "PyTorch overflows x**2"),
    "fmod": (lambda a, b: np.abs(b) < 1e-200, "PyTorch overflows a / b"),
    "softsign": (np.isinf, "PyTorch divides infinity by infinity; the slope there is 0"),
    "copysign": (lambda a, b: np.isinf(a), "PyTorch divides infinity by infinity; the slope there is 1 or -1"),
}


def torch_function(torch, name):
    other = TORCH.get(name, name)
    for home in (torch, torch.nn.functional, torch.special):
        if hasattr(home, other):
            return getattr(home, other)
    return None


@pytest.mark.parametrize("name", [n for n in ELEMENTWISE if "integers" not in PRIMITIVES[n].no_gradient])
def test_special_values_as_in_torch(name):
    torch = pytest.importorskip("torch")
    f = torch_function(torch, name)
    if f is None:
        pytest.skip(f"PyTorch has no {name}")
    p = PRIMITIVES[name]
    arrays = [a.reshape(-1) for a in np.meshgrid(*[SPECIAL] * len(p.inputs))]
    if "condition" in p.inputs:
        arrays[0] = arrays[0] > 0
    with np.errstate(all="ignore"):
        ours = [mg.tensor(a, requires_grad=a.dtype.kind == "f") for a in arrays]
        theirs = [torch.tensor(a, requires_grad=a.dtype.kind == "f") for a in arrays]
        try:
            y, expected = getattr(F, name)(*ours), f(*theirs)
        except RuntimeError as error:
            pytest.skip(f"PyTorch refuses: {error}")
        if expected.shape != y.shape:
            pytest.skip(f"PyTorch's {name} is not elementwise")
        places = [", ".join(f"{n}={v}" for n, v in zip(p.inputs, values)) for values in zip(*arrays)]
        own = FORWARD[name][0](*arrays) if name in FORWARD else np.zeros(y.shape, bool)
        wrong = ~own & ~np.isclose(y.detach().numpy(), expected.detach().numpy(), rtol=1e-12, atol=0, equal_nan=True)
        assert not wrong.any(), [f"{places[k]}: {y.numpy()[k]}, torch {expected[k]}" for k in np.flatnonzero(wrong)]
        if not testing.differentiable(p):
            return
        y.backward(mg.ones(y.shape))
        try:
            expected.backward(torch.ones_like(expected))
        except RuntimeError:  # PyTorch has no gradient there
            return
        nan = np.isnan(np.stack([a for a in arrays if a.dtype.kind == "f"])).any(axis=0)
        own = GRADIENT[name][0](*arrays) if name in GRADIENT else np.zeros(y.shape, bool)
        for i, (a, b) in enumerate(zip(ours, theirs)):
            if a.requires_grad and b.grad is not None:
                got, said = a.grad.numpy(), b.grad.numpy()
                own |= nan & np.isnan(got)  # NaN in, NaN out; PyTorch sometimes says 0 or 1
                wrong = ~own & ~np.isclose(got, said, rtol=1e-7, atol=0, equal_nan=True)
                assert not wrong.any(), [
                    f"{p.inputs[i]} at {places[k]}: {got[k]}, torch {said[k]}" for k in np.flatnonzero(wrong)
                ]


def test_a_cell_run_again_declares_its_operation_anew():
    x = np.array([1.0, 2.0])
    for factor, rule in ((2.0, lambda g: 2.0 * g), (3.0, lambda g: 3.0 * g)):
        mg.elementwise("scaled_again", f"{factor} * {{x}}", x=rule, doc="y = c x.")
        try:
            assert mg.scaled_again(x).tolist() == [factor, 2 * factor]
            t = mg.tensor(x, requires_grad=True)
            mg.scaled_again(t).sum().backward()
            assert t.grad.tolist() == [factor, factor]
            methods = (t.detach().scaled_again(), t.detach().clone().scaled_again_())
            assert [y.tolist() for y in methods] == [[factor, 2 * factor]] * 2
        finally:
            if factor == 3.0:
                del PRIMITIVES["scaled_again"], mg.Tensor.scaled_again, mg.Tensor.scaled_again_
    with pytest.raises(ValueError, match=r"'exp' is declared twice, first in minigrad\.ops\.elementwise: choose"):
        mg.elementwise("exp", "exp({x})", x=lambda g: g, doc="y = e**x.")
