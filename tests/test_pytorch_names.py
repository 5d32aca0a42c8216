"""What PyTorch's users type: its names at the top level, random tensors, autograd.functional, detect_anomaly."""

import numpy as np
import pytest

import minigrad as mg
from minigrad import nn
from minigrad.autograd import functional
from minigrad.errors import ArgumentError, AxisError, DivergenceError, GradError, ShapeError
from minigrad.nn import functional as F
from minigrad.pytorch_names import HOMES, names


def test_every_name_is_found_and_listed():
    for name in names():
        assert getattr(mg, name) is not None, name
        assert name in dir(mg)
    assert mg.conv2d is F.conv2d and mg.inverse is mg.linalg.inv
    with pytest.raises(AttributeError, match="no attribute 'conv9d'"):
        getattr(mg, "conv9d")  # noqa: B009


def test_names_are_pytorchs():
    torch = pytest.importorskip("torch")
    assert [name for name in names() if not hasattr(torch, name)] == []
    assert {n for n in HOMES if callable(getattr(torch, n))} == set(HOMES)


def test_dtypes_by_their_short_names():
    assert mg.float == mg.float32 and mg.double == mg.float64 and mg.long == mg.int64 and mg.half == mg.float16
    assert mg.zeros(2, dtype=mg.long).dtype == np.int64


def test_methods_as_functions():
    x = mg.tensor([-1.0, 4.0])
    assert mg.numel(x) == 2 and mg.clone(x).tolist() == [-1, 4]
    assert mg.relu_(x) is x and x.tolist() == [0, 4]
    assert mg.is_tensor(x) and not mg.is_tensor(np.ones(2))


def test_size_is_a_number_and_a_method():
    x = mg.zeros(2, 3)
    assert x.size == 6 and isinstance(x.size, int) and np.zeros(x.size).shape == (6,)
    assert x.size() == (2, 3) and x.size(0) == 2 and x.size(-1) == 3
    with pytest.raises(AxisError, match=r"dim 2 is out of range for shape \(2, 3\)"):
        x.size(2)


# ---- random tensors --------------------------------------------------------------------------------------------------


def test_randint_in_pytorchs_orders():
    assert mg.randint(10, (4, 2)).shape == (4, 2)
    assert mg.randint(3, 5, (100,)).numpy().min() == 3
    assert mg.randint(7, size=(5,)).shape == (5,) and mg.randint(5).shape == ()
    with pytest.raises(ArgumentError, match="low must be below high"):
        mg.randint(5, 5, (2,))


def test_like_another():
    x = mg.zeros(200, dtype=np.float64)
    assert mg.rand_like(x).dtype == mg.randn_like(x).dtype == np.float64
    assert mg.randint_like(x, 3, 5).numpy().min() == 3 and mg.randint_like(x, 4).dtype == np.float64
    assert mg.rand_like(x, dtype=mg.float32, requires_grad=True).requires_grad


@pytest.mark.parametrize("replacement", [True, False])
def test_multinomial_draws_by_weight(replacement):
    mg.manual_seed(0)
    weights = mg.tensor([[0.0, 3.0, 1.0], [5.0, 0.0, 5.0]])
    drawn = np.concatenate([mg.multinomial(weights, 2, replacement).numpy() for _ in range(2000)], axis=1)
    assert drawn.dtype == np.int64 and drawn.shape == (2, 4000)
    assert not (drawn[0] == 0).any() and not (drawn[1] == 1).any()
    if replacement:
        assert abs((drawn[0] == 1).mean() - 0.75) < 0.03 and abs((drawn[1] == 0).mean() - 0.5) < 0.03
    else:
        assert (drawn.reshape(2, -1, 2)[..., 0] != drawn.reshape(2, -1, 2)[..., 1]).all()
        assert abs((drawn[0, ::2] == 1).mean() - 0.75) < 0.03  # the first one by its weight


def test_multinomial_refuses_what_it_cannot_draw():
    for weights, n, match in (([1.0, 0.0], 2, "number of weights above 0, 1"), ([-1.0, 2.0], 1, "not negative")):
        with pytest.raises(ArgumentError, match=match):
            mg.multinomial(mg.tensor(weights), n)
    with pytest.raises(ShapeError, match="must be \\(K,\\) or \\(B, K\\)"):
        mg.multinomial(mg.ones(1, 1, 1), 1)
    with pytest.raises(ArgumentError):
        mg.multinomial(mg.zeros(3), 1, replacement=True)


def test_bernoulli_normal_and_poisson_of_tensors():
    mg.manual_seed(0)
    assert mg.bernoulli(mg.tensor([0.0, 1.0])).tolist() == [0, 1]
    with pytest.raises(ArgumentError, match="from 0 to 1"):
        mg.bernoulli(mg.tensor([np.nan]))
    means = mg.normal(mg.tensor([[0.0], [100.0]]), mg.ones(1, 500)).numpy().mean(axis=1)
    assert abs(means[0]) < 0.3 and abs(means[1] - 100) < 0.3
    assert mg.normal(0.0, 1.0, (2, 3)).shape == (2, 3)
    rates = mg.poisson(mg.tensor(np.repeat([[1.0], [9.0]], 500, axis=1)))
    assert abs(rates.numpy().mean(axis=1) - [1, 9]).max() < 0.5 and rates.dtype == np.float64


@pytest.mark.parametrize(
    ("fill", "mean"),
    [
        (lambda x: x.normal_(2.0, 0.5), 2.0),
        (lambda x: x.uniform_(2, 4), 3.0),
        (lambda x: x.bernoulli_(0.25), 0.25),
        (lambda x: x.exponential_(2.0), 0.5),
        (lambda x: x.geometric_(0.5), 2.0),
        (lambda x: x.log_normal_(0.0, 0.25), np.exp(0.25**2 / 2)),
        (lambda x: x.random_(0, 11), 5.0),
        (lambda x: x.cauchy_(3.0, 1.0).clamp_(-5, 11), 3.0),
    ],
)
def test_tensors_filled_in_place(fill, mean):
    mg.manual_seed(1)
    x = mg.zeros(20000)
    y = fill(x)
    assert y is x and x.dtype == np.float32 and abs(x.numpy().mean() - mean) < 0.06
    weight = nn.Linear(2, 2).weight
    with pytest.raises(GradError):
        fill(weight)  # a leaf that wants a gradient
    fill(weight.data)


def test_the_shared_generators_state():
    mg.manual_seed(7)
    assert mg.initial_seed() == 7
    state = mg.get_rng_state()
    first = mg.rand(3).tolist()
    mg.set_rng_state(state)
    assert mg.rand(3).tolist() == first
    assert mg.seed() == mg.initial_seed() != 7


# ---- autograd.functional ---------------------------------------------------------------------------------------------


def cubes(x, y):
    return (x**3 * y).sum()


def test_functional_derivatives_are_pytorchs():
    torch = pytest.importorskip("torch")
    theirs = torch.autograd.functional
    a, b, v = (np.array(t) for t in ([1.0, 2.0], [3.0, -1.0], [0.5, 2.0]))
    both = lambda make: ((make(a), make(b)), (make(v), make(a)))
    ours, our_v = both(mg.tensor)
    given, their_v = both(torch.tensor)
    maps = lambda x, y: (x * y, x.exp())
    flat = lambda t: [flat(p) for p in t] if isinstance(t, tuple) else np.asarray(t).tolist()
    assert flat(functional.jacobian(maps, ours)) == flat(theirs.jacobian(maps, given))
    assert flat(functional.hessian(cubes, ours)) == flat(theirs.hessian(cubes, given))
    assert flat(functional.vjp(maps, ours, our_v)) == flat(theirs.vjp(maps, given, their_v))
    assert flat(functional.jvp(maps, ours, our_v)) == flat(theirs.jvp(maps, given, their_v))
    assert flat(functional.hvp(cubes, ours, our_v)) == flat(theirs.hvp(cubes, given, their_v))
    assert flat(functional.vhp(cubes, ours, our_v)) == flat(theirs.vhp(cubes, given, their_v))


def test_functional_results_take_part_where_asked():
    x = mg.tensor([1.0, 2.0], requires_grad=True)
    jacobian = functional.jacobian(lambda x: x**3, x, create_graph=True)
    jacobian.sum().backward()
    assert x.grad.tolist() == [6, 12]
    assert not functional.jacobian(lambda x: x**3, x).requires_grad
    assert functional.hvp(lambda x: (x**2).sum(), x, mg.ones(2))[1].tolist() == [2, 2]


def test_functional_errors():
    x = mg.ones(2)
    with pytest.raises(ArgumentError, match="must return one number"):
        functional.hessian(lambda x: x**2, x)
    with pytest.raises(ArgumentError, match=r"v must have the shapes of the output, \[\(2,\)\]"):
        functional.vjp(lambda x: x**2, x, mg.ones(3))
    with pytest.raises(GradError, match="strict"):
        functional.jacobian(lambda x: mg.ones(2), x, strict=True)
    with pytest.raises(ArgumentError, match="got list"):
        functional.jacobian(lambda x: x, [1.0])


# ---- detect_anomaly --------------------------------------------------------------------------------------------------


def test_the_operation_that_makes_nan_is_named():
    x = mg.tensor([4.0, -1.0], requires_grad=True)
    with mg.autograd.detect_anomaly():
        y = x * 2
        with pytest.raises(
            DivergenceError, match=r"sqrt: makes NaN of float32\(2,\) from -2 to 8.*test_pytorch_names.py"
        ):
            y.sqrt()
    with np.errstate(invalid="ignore"):  # outside of it nobody looks
        assert np.isnan(y.sqrt().numpy()).tolist() == [False, True]


def test_nan_that_came_in_is_not_blamed():
    with mg.autograd.detect_anomaly():
        assert np.isnan((mg.tensor([np.nan]) + 1).numpy()).all()
        assert mg.log(mg.zeros(1)).tolist() == [-np.inf]


def test_a_gradient_of_nan_is_named():
    x = mg.tensor([0.0, 1.0], requires_grad=True)
    with mg.autograd.detect_anomaly(), np.errstate(all="ignore"):
        y = (x * 3).sqrt() * 0  # the slope of sqrt is infinite at 0, and 0 * inf is NaN
        with pytest.raises(DivergenceError, match=r"the output of multiply, made at .*test_pytorch_names.py"):
            y.sum().backward()


def test_a_gradient_of_nan_that_arises_at_a_leaf_is_named():
    x = mg.tensor([0.0, 1.0], requires_grad=True)
    loss = lambda: mg.where(x > 0, mg.sqrt(x), 0.0).sum()
    named = pytest.raises(DivergenceError, match=r"a leaf of shape \(2,\), first used at .*test_pytorch_names.py")
    with mg.autograd.detect_anomaly(), np.errstate(all="ignore"), named:
        loss().backward()
    with np.errstate(all="ignore"):  # the hook is gone
        loss().backward()


def test_anomalies_are_looked_for_in_all_modes():
    assert not mg.is_anomaly_enabled()
    mg.autograd.set_detect_anomaly(True)
    try:
        assert mg.is_anomaly_enabled()
        with pytest.raises(DivergenceError), mg.autocast("cpu", dtype=mg.float16):
            mg.log(-mg.ones(2))
        with pytest.raises(DivergenceError), mg.no_grad():
            mg.log(-mg.ones(2))
    finally:
        mg.autograd.set_detect_anomaly(False)
    with np.errstate(invalid="ignore"):
        assert np.isnan(mg.log(-mg.ones(1)).numpy()).all()


def test_random_tensors_are_made_where_asked():
    for draw in (mg.rand, mg.randn, lambda n, **options: mg.randint(n, (n,), **options), mg.randperm):
        assert draw(3, device="cpu").device == "cpu" == draw(3, device=mg.device("cpu")).device
        with pytest.raises(mg.errors.BackendError, match="no backend 'tpu'"):
            draw(3, device="tpu")


def test_diagonals_by_either_name():
    x = mg.arange(9).reshape(3, 3)
    for f, numpys in ((mg.triu, np.triu), (mg.tril, np.tril)):
        assert f(x, diagonal=1).tolist() == f(x, 1).tolist() == f(x, k=1).tolist() == numpys(x.numpy(), 1).tolist()
    assert x.triu(diagonal=-1).tolist() == np.triu(x.numpy(), -1).tolist()


def test_where_a_tensor_comes_from():
    x = mg.ones(2, requires_grad=True)
    assert x.grad_fn is None and (x * 2).detach().grad_fn is None
    assert (x * 2).grad_fn.name == "multiply"
    assert x.type() == "minigrad.float32" and x.type(mg.long).dtype == np.int64
