"""Function transforms: nesting, trees, rules of the user's own, randomness, errors; parity with torch.func and JAX."""

import dataclasses
from collections import namedtuple

import numpy as np
import pytest

import minigrad as mg
from minigrad import errors, func, nn
from minigrad.func import (
    checkpoint,
    custom_jvp,
    custom_vjp,
    grad,
    hessian,
    hvp,
    jacfwd,
    jacrev,
    jvp,
    linearize,
    tree_flatten,
    tree_map,
    tree_unflatten,
    value_and_grad,
    vjp,
    vmap,
)

rng = np.random.default_rng(0)
X, A = rng.standard_normal(4), rng.standard_normal((3, 4))
Pair = namedtuple("Pair", "a b")


@dataclasses.dataclass
class Point:
    x: object
    y: object
    name: str = dataclasses.field(default="p", metadata={"static": True})


def close(a, b, **options):
    b = b.numpy() if isinstance(b, mg.Tensor) else np.asarray(b)
    np.testing.assert_allclose(a.numpy(), b, **{"rtol": 1e-10, "atol": 1e-12, **options})


def net(x):
    """A nonlinear function of (4,) to a number."""
    return (mg.tanh(mg.asarray(A) @ x) ** 2).sum() * mg.exp(x[0]) + x.prod()


# ---- nesting -------------------------------------------------------------------------------------------------------


def test_perturbation_confusion():
    """Siskind, Pearlmutter 2005: the inner derivative is 1, however the outer one runs."""
    inner = {
        "grad": lambda x: grad(lambda y: x + y)(1.0),
        "jvp": lambda x: jvp(lambda y: x + y, (1.0,), (1.0,))[1],
        "vmap": lambda x: vmap(grad(lambda y: x + y))(mg.ones(2)).sum() / 2,
    }
    for f in inner.values():
        assert grad(lambda x, f=f: x * f(x))(1.0).item() == 1
        assert jvp(lambda x, f=f: x * f(x), (1.0,), (1.0,))[1].item() == 1
        assert vmap(grad(lambda x, f=f: x * f(x)))(mg.ones(3)).tolist() == [1, 1, 1]


def test_inner_derivative_depends_on_outer():
    for one in (grad, lambda f: lambda x: jvp(f, (x,), (1.0,))[1]):
        for two in (grad, lambda f: lambda x: jvp(f, (x,), (1.0,))[1]):
            assert one(lambda x, two=two: x * two(lambda y: x * y * y)(x))(3.0).item() == 54  # (2 x**3)'


@pytest.mark.parametrize("outer", [jacrev, jacfwd])
@pytest.mark.parametrize("inner", [jacrev, jacfwd, grad])
def test_second_derivatives(outer, inner):
    close(outer(inner(net))(X), hessian(net)(X))
    close(hessian(net)(X) @ mg.asarray(X), hvp(net, (X,), (X,)))


def test_third_derivative():
    third = jacfwd(jacrev(jacfwd(lambda x: (x**3).sum())))(X).numpy()
    assert np.allclose(third, 6 * np.einsum("ij,ik->ijk", np.eye(4), np.eye(4)))


def test_vmap_of_hessian_and_grad_of_vmap():
    xs = rng.standard_normal((5, 4))
    close(vmap(hessian(net))(xs), np.stack([hessian(net)(x).numpy() for x in xs]))
    close(grad(lambda xs: vmap(net)(xs).sum())(xs), np.stack([grad(net)(x).numpy() for x in xs]))
    close(vmap(vmap(net))(xs.reshape(5, 1, 4)), vmap(net)(xs)[:, None])
    close(vmap(lambda a: vmap(lambda b: (a * b).sum())(xs))(xs), xs @ xs.T)


def test_gradient_reaches_what_is_closed_over():
    w = mg.tensor(X, requires_grad=True)
    vmap(grad(lambda x: (x * x * w).sum()))(mg.ones((2, 4), dtype=mg.float64)).sum().backward()
    close(w.grad, [4.0] * 4)
    outer = grad(lambda w: vmap(grad(lambda x: (w * w * x * x).sum()))(np.ones((3, 4))).sum())
    close(outer(X), 12 * X)


def test_no_grad_outside_and_inside():
    w = mg.tensor(X, requires_grad=True)
    with mg.no_grad():
        g = grad(lambda x: (x * x * w).sum())(X)
    assert g.node is None
    close(g, 2 * X * X)

    def f(x):
        with mg.no_grad():
            c = x * x
        return (c * x).sum()

    close(grad(f)(X), X * X)
    close(grad(lambda x: vmap(lambda t: f(t[None]))(x).sum())(X), X * X)
    assert grad(f)(X).node is None  # nothing outside asks


def test_values_do_not_escape():
    kept = []
    vmap(lambda x: kept.append(x) or x)(X)
    with pytest.raises(errors.MinigradError):
        vmap(lambda x: x + kept[0])(X)


def test_vjp_and_linearize_are_used_often():
    f = lambda x: (mg.sin(x), (x * x).sum())
    y, pullback = vjp(f, X)
    for g in (X, 2 * X):
        close(pullback((g, np.array(3.0)))[0], np.cos(X) * g + 6 * X)
    _, push = linearize(f, X)
    for t in (X, 2 * X):
        for a, b in zip(push(t), jvp(f, (X,), (t,))[1]):
            close(a, b)
    close(vmap(lambda t: push(t)[0])(np.eye(4)), np.diag(np.cos(X)))
    close(grad(lambda t: push(t)[1])(X), 2 * X)
    assert y[0].node is None


def test_jvp_of_closures_and_strict():
    y, dy = jvp(lambda x: (x, mg.ones(2)), (1.0,), (2.0,))
    assert dy[0].item() == 2 and dy[1].tolist() == [0, 0] and y[1].tolist() == [1, 1]
    with pytest.raises(errors.ArgumentError, match="strict"):
        jvp(lambda x: mg.ones(2), (1.0,), (2.0,), strict=True)


def test_aux():
    assert grad(lambda x: (x * x, "aux"), has_aux=True)(3.0)[1] == "aux"
    (value, aux), g = value_and_grad(lambda x: (x * x, x + 1), has_aux=True)(3.0)
    assert (value.item(), aux.item(), g.item()) == (9, 4, 6)
    assert aux.node is None and value.node is None
    assert jvp(lambda x: (x * x, x + 1), (3.0,), (1.0,), has_aux=True)[2].item() == 4
    assert jacrev(lambda x: (x * x, x), has_aux=True)(X)[1].shape == (4,)
    assert jacfwd(lambda x: (x * x, x), has_aux=True)(X)[1].shape == (4,)
    assert vjp(lambda x: (x * x, x), X, has_aux=True)[2].shape == (4,)


# ---- trees ---------------------------------------------------------------------------------------------------------


def test_trees():
    tree = {"b": [1, (2, None)], "a": Pair(3, Point(4, 5))}
    leaves, structure = tree_flatten(tree)
    assert leaves == [1, 2, 3, 4, 5] and structure.num_leaves == 5
    assert tree_unflatten(structure, leaves) == tree
    assert tree_map(lambda a, b: a + b, tree, {"a": tree["a"], "b": tree["b"]})["a"] == Pair(6, Point(8, 10))
    assert structure == tree_flatten({"a": tree["a"], "b": tree["b"]})[1]
    assert structure != tree_flatten([tree])[1]
    with pytest.raises(errors.ArgumentError, match="structure"):
        tree_map(lambda a, b: a, tree, {"b": [1, 2]})
    with pytest.raises(errors.ArgumentError, match="leaves"):
        tree_unflatten(structure, [1, 2])


def test_transforms_of_trees():
    p = {"w": A, "rest": [Pair(X, np.array(2.0)), Point(X, X)]}

    def f(p, x):
        pair, point = p["rest"]
        return (mg.tanh(p["w"] @ x).sum() + (pair.a * point.x).sum()) * pair.b

    g = grad(f)(p, mg.asarray(X))
    assert tree_flatten(g)[1] == tree_flatten(p)[1]
    close(g["rest"][1].x, 2 * X)
    close(g["rest"][1].y, 0 * X)
    by_sample = vmap(grad(f), ({"w": None, "rest": None}, 0))(p, np.stack([X, 2 * X]))
    close(by_sample["w"][1], grad(f)(p, mg.asarray(2 * X))["w"])
    for a, b in zip(tree_flatten(jacfwd(f)(p, mg.asarray(X)))[0], tree_flatten(g)[0]):
        close(a, b)
    assert hessian(f)(p, mg.asarray(X))["w"]["rest"][0].a.shape == (3, 4, 4)
    v, tree_of = func.ravel_tree(p)
    close(grad(lambda v: f(tree_of(v), mg.asarray(X)))(v)[:12], g["w"].reshape(-1))


def test_vmap_axes():
    f = lambda a, b: {"x": a + b, "y": a}
    a, b = rng.standard_normal((2, 5, 3)), rng.standard_normal(2)
    y = vmap(f, (1, None), {"x": -1, "y": 0})(a, b[:, None])
    close(y["x"], np.moveaxis(a + b[:, None, None], 1, -1))
    close(y["y"], np.moveaxis(a, 1, 0))
    close(vmap(lambda a, k=None: a + k, 1)(a, k=np.arange(5.0)), np.moveaxis(a, 1, 0) + np.arange(5.0)[:, None, None])
    close(vmap(lambda a: (a * a).sum(), chunk_size=2)(a.reshape(5, 6)), (a.reshape(5, 6) ** 2).sum(1))
    close(vmap(lambda a: mg.asarray(b), out_axes=1)(a), np.stack([b, b], 1))
    assert vmap(lambda a: b.sum(), out_axes=None)(a).shape == ()


@pytest.mark.parametrize("key", [
    lambda i: (i,), lambda i: (slice(None), i), lambda i: (slice(1, 3), None, i), lambda i: (Ellipsis, i),
    lambda i: (i, slice(None), i), lambda i: (slice(None), i, i), lambda i: (1, slice(None), i), lambda i: (i[0],),
    lambda i: (slice(None), i[0], slice(None)), lambda i: (i[0], i),
])  # fmt: skip
def test_vmap_of_indexing(key):
    x, i = rng.standard_normal((2, 3, 3, 3)), np.array([[0, 2], [1, 1]])
    for axes in ((0, 0), (None, 0), (0, None)):
        xs = x if axes[0] == 0 else x[0]
        places = i if axes[1] == 0 else i[0]
        pick = lambda b, xs=xs, places=places, axes=axes: (
            mg.asarray(xs[b] if axes[0] == 0 else xs), mg.asarray(places[b] if axes[1] == 0 else places)
        )  # fmt: skip
        read = lambda x, i: x[key(i)]
        xs, places = mg.asarray(xs), mg.asarray(places)
        close(vmap(read, axes)(xs, places), np.stack([read(*pick(b)).numpy() for b in range(2)]))
        g = lambda x, i: grad(lambda x: (x[key(i)] ** 2).sum())(x)
        close(vmap(g, axes)(xs, places), np.stack([g(*pick(b)).numpy() for b in range(2)]))


def test_vmap_of_edits_in_place():
    def f(x, k):
        y = mg.zeros(3, dtype=mg.float64)
        y[0] = x[0] * 2
        y[k] = x.sum()
        y += x
        tail = y[1:]
        tail *= 2
        return y

    xs, ks = rng.standard_normal((3, 3)), np.array([1, 2, 0])
    expected = [f(mg.asarray(x), int(k)).numpy() for x, k in zip(xs, ks)]
    close(vmap(f)(xs, ks), np.stack(expected))
    step = 1e-6 * np.ones(3)
    slope = (f(mg.asarray(xs[0] + step), 1) - f(mg.asarray(xs[0] - step), 1)).numpy() / 2e-6
    close(jvp(lambda x: f(x, 1), (xs[0],), (np.ones(3),))[1], slope, rtol=1e-6)


def test_randomness():
    draw = lambda x: x + mg.randn(2)
    with pytest.raises(errors.GradError, match="randomness="):
        vmap(draw)(np.zeros((3, 2)))
    same = vmap(draw, randomness="same")(np.zeros((3, 2))).numpy()
    assert (same == same[0]).all()
    other = vmap(draw, randomness="different")(np.zeros((3, 2))).numpy()
    assert len(np.unique(other)) == 6
    nested = vmap(vmap(draw, randomness="different"), randomness="different")(np.zeros((3, 2, 2))).numpy()
    assert len(np.unique(nested)) == 12
    half = vmap(lambda x: nn.functional.dropout(x, 0.5), randomness="different")(np.ones((8, 50))).numpy()
    assert set(np.unique(half)) == {0, 2} and not (half == half[0]).all()


# ---- rules of the user's own -----------------------------------------------------------------------------------------


@custom_vjp
def tenfold(x, y):
    """x * y, with ten times the gradient for x and none for y."""
    return x * y


tenfold.defvjp(lambda x, y: (x * y, (x, y)), lambda r, g: (10 * g * r[1], None))


@custom_jvp
def steep(x):
    return x * x


steep.defjvp(lambda primals, tangents: (steep(*primals), 20 * primals[0] * tangents[0]))


def test_custom_vjp():
    assert grad(tenfold, (0, 1))(2.0, 3.0)[0].item() == 30
    assert grad(tenfold, (0, 1))(2.0, 3.0)[1].item() == 0
    close(vmap(grad(tenfold), (0, None))(X, 3.0), [30.0] * 4)
    close(grad(lambda x: vmap(tenfold)(x, mg.asarray(X)).sum())(X), 10 * X)
    close(grad(lambda x: vmap(tenfold, (None, 0))(x, mg.asarray(X)).sum())(np.array(2.0)), 10 * X.sum())
    assert jvp(lambda x: tenfold(x, x), (2.0,), (1.0,))[1].item() == 20  # the pullback transposed
    assert grad(lambda y: grad(tenfold)(2.0, y))(3.0).item() == 10
    x = mg.tensor(2.0, requires_grad=True)
    tenfold(x, mg.tensor(3.0)).backward()
    assert x.grad.item() == 30


def test_custom_jvp():
    assert grad(steep)(1.0).item() == 20
    assert grad(grad(steep))(1.0).item() == 20
    assert jvp(grad(steep), (1.0,), (1.0,))[1].item() == 20
    close(vmap(grad(steep))(X), 20 * X)
    close(grad(lambda x: vmap(steep)(x).sum())(X), 20 * X)
    close(jvp(vmap(steep), (X,), (X,))[1], 20 * X * X)

    @custom_jvp
    def product(a, b):
        return a * b

    product.defjvps(None, lambda t, y, a, b: 7 * t * y)
    assert [g.item() for g in grad(product, (0, 1))(2.0, 3.0)] == [0, 42]


class Cube(mg.Function):
    @staticmethod
    def forward(ctx, x):
        ctx.save_for_backward(x)
        return x * x * x

    @staticmethod
    def backward(ctx, g):
        (x,) = ctx.saved_tensors
        return 30 * x * x * g


def test_function_keeps_its_rule():
    close(vmap(grad(Cube.apply))(X), 30 * X * X)
    close(grad(lambda x: vmap(Cube.apply)(x).sum())(X), 30 * X * X)
    assert jvp(Cube.apply, (1.0,), (1.0,))[1].item() == 30


def test_stop_gradient():
    assert grad(lambda x: x * func.stop_gradient(x))(3.0).item() == 3
    assert jvp(lambda x: x * func.stop_gradient(x), (3.0,), (1.0,))[1].item() == 3
    close(grad(lambda x: vmap(lambda t: t * t.detach())(x).sum())(X), X)


def test_checkpoint():
    block = lambda x, w: mg.exp(mg.sin(x) * w) @ mg.asarray(A).mT
    plain = lambda x, w: (block(x, w) ** 2).sum()
    forgetful = lambda x, w: (checkpoint(block, x, w) ** 2).sum()
    for t in (lambda f: grad(f, (0, 1)), lambda f: (lambda x, w: grad(lambda x: (grad(f)(x, w) ** 2).sum())(x)),
              lambda f: vmap(grad(f), (0, None)), jacfwd):  # fmt: skip
        xs = np.stack([X, 2 * X])
        for a, b in zip(tree_flatten(t(forgetful)(mg.asarray(xs), mg.asarray(X)))[0],
                        tree_flatten(t(plain)(mg.asarray(xs), mg.asarray(X)))[0]):  # fmt: skip
            close(a, b)


def test_checkpoint_of_a_module_with_dropout():
    model = nn.Sequential(nn.Linear(4, 8), nn.Dropout(0.5), nn.Linear(8, 2))
    x, grads = mg.asarray(A).astype("float32"), []
    for run in (model, checkpoint(model), lambda x: checkpoint(model, x)):
        mg.manual_seed(1)
        model.zero_grad()
        run(x).sum().backward()
        after = mg.rand(3).tolist()
        grads.append([p.grad.numpy() for p in model.parameters()] + [np.array(after)])
    for other in grads[1:]:
        for a, b in zip(grads[0], other, strict=True):
            np.testing.assert_array_equal(a, b)


def test_functional_call_gives_gradients_per_sample():
    model = nn.Sequential(nn.Linear(4, 8), nn.GELU(), nn.LayerNorm(8), nn.Linear(8, 3))
    p = {k: v.detach() for k, v in model.named_parameters()}
    x, y = rng.standard_normal((6, 4)).astype("float32"), np.array([0, 1, 2, 0, 1, 2])
    loss = lambda p, x, y: nn.functional.cross_entropy(func.functional_call(model, p, (x,)), y)
    got = vmap(grad(loss), (None, 0, 0))(p, x, y)
    for i in range(6):
        one = grad(loss)(p, mg.asarray(x[i]), mg.asarray(y[i]))
        for k in p:
            close(got[k][i], one[k], rtol=1e-4, atol=1e-6)


def test_convolution_per_sample():
    w, x = rng.standard_normal((4, 3, 3, 3)), rng.standard_normal((5, 2, 3, 6, 6))
    f = lambda w, x: (nn.functional.conv2d(x, w, padding=1) ** 2).sum()
    close(vmap(grad(f), (None, 0))(w, x), np.stack([grad(f)(w, mg.asarray(s)).numpy() for s in x]))


def test_scipy_adaptor():
    optimize = pytest.importorskip("scipy.optimize")
    x0, tree_of = func.ravel_tree({"a": np.zeros(2), "b": np.zeros(())})
    loss = lambda p: ((p["a"] - 1.0) ** 2).sum() + (p["b"] + 2.0) ** 2
    f = lambda v: [y.numpy() for y in value_and_grad(lambda v: loss(tree_of(v)))(v)]
    np.testing.assert_allclose(optimize.minimize(f, x0.numpy(), jac=True).x, [1, 1, -2], atol=1e-6)


# ---- errors ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("call", "error", "words"), [
    (lambda: grad(lambda x: x)(X), errors.GradError, "jacrev"),
    (lambda: grad(lambda x: x)(3), errors.DTypeError, "floats"),
    (lambda: grad(lambda x: x, 1)(3.0), errors.ArgumentError, "argnums"),
    (lambda: grad(lambda x: 3.0)(3.0), errors.DTypeError, "must return a tensor"),
    (lambda: grad(lambda x: (x, x))(3.0), errors.DTypeError, "has_aux"),
    (lambda: jvp(mg.sin, (3,), (1.0,)), errors.DTypeError, "floats"),
    (lambda: jvp(mg.sin, (X,), (X[:2],)), errors.ShapeError, "tangent 0"),
    (lambda: jvp(mg.sin, X, X), errors.ArgumentError, "tuples"),
    (lambda: vjp(mg.sin, X)[1](X[:2]), errors.ShapeError, "cotangent"),
    (lambda: vjp(mg.sin, X)[1]((X, X)), errors.ArgumentError, "structure"),
    (lambda: vmap(mg.sin, 2)(X), errors.AxisError, "in_axes"),
    (lambda: vmap(mg.sin)(3.0), errors.ArgumentError, "0-d"),
    (lambda: vmap(mg.sin, None)(X), errors.ArgumentError, "at least one"),
    (lambda: vmap(mg.add, (0,))(X, X), errors.ArgumentError, "entry for each argument"),
    (lambda: vmap(mg.add)(X, X[:2]), errors.ShapeError, "same number of samples"),
    (lambda: vmap(lambda x: x, out_axes=None)(X), errors.ArgumentError, "different for each sample"),
    (lambda: vmap(lambda x: x, out_axes=3)(X), errors.AxisError, "out_axes"),
    (lambda: vmap(lambda x: float(x))(X), errors.GradError, "mg.where"),
    (lambda: vmap(lambda x: x[x > 0])(A), errors.DTypeError, "mask"),
    (lambda: vmap(lambda x: x @ mg.ones((5, 2)))(A), errors.ShapeError, r"a is \(4,\)"),
    (lambda: vmap(mg.sin, randomness="none")(X), errors.ArgumentError, "randomness"),
    (lambda: custom_vjp(lambda x: x)(3.0), errors.GradError, "defvjp"),
])  # fmt: skip
def test_errors_teach(call, error, words):
    with pytest.raises(error, match=words):
        call()


# ---- parity ----------------------------------------------------------------------------------------------------------

FUNCTIONS = {
    "net": lambda m, x: (m.tanh(x) * m.exp(x)).sum(),
    "ratio": lambda m, x: (x[1:] * x[:-1]).sum() / (1 + (x * x).sum()),
    "outer": lambda m, x: (x[:, None] * x[None, :]).sum() * m.sin(x[0]),
    "sort of max": lambda m, x: m.maximum(x, x * x).sum() + m.sqrt((x * x).sum()),
    "logs": lambda m, x: m.log(1 + x * x).mean() * x[2],
}


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@pytest.mark.parametrize("name", FUNCTIONS)
def test_parity_with_torch(name):
    torch = pytest.importorskip("torch")
    ours, theirs = (lambda x, m=m: FUNCTIONS[name](m, x) for m in (mg, torch))
    x, xs, t = X, rng.standard_normal((3, 4)), rng.standard_normal(4)
    T, f = torch.tensor, torch.func
    close(grad(ours)(x), f.grad(theirs)(T(x)))
    close(hessian(ours)(x), f.hessian(theirs)(T(x)))
    close(jvp(ours, (x,), (t,))[1], f.jvp(theirs, (T(x),), (T(t),))[1])
    close(vmap(grad(ours))(xs), f.vmap(f.grad(theirs))(T(xs)))
    close(vmap(hessian(ours))(xs), f.vmap(f.hessian(theirs))(T(xs)))
    close(jacrev(grad(ours))(x), f.jacrev(f.grad(theirs))(T(x)))


@pytest.mark.parametrize("name", FUNCTIONS)
def test_parity_with_jax(name):
    jax = pytest.importorskip("jax")
    numpy = pytest.importorskip("jax.numpy")
    ours, theirs = (lambda x, m=m: FUNCTIONS[name](m, x) for m in (mg, numpy))
    x, t, loose = X.astype("float32"), A[0].astype("float32"), {"rtol": 2e-4, "atol": 2e-5}
    close(grad(ours)(x), np.asarray(jax.grad(theirs)(x)), **loose)
    close(hessian(ours)(x), np.asarray(jax.hessian(theirs)(x)), **loose)
    close(jvp(ours, (x,), (t,))[1], np.asarray(jax.jvp(theirs, (x,), (t,))[1]), **loose)
    close(linearize(ours, x)[1](t), np.asarray(jax.linearize(theirs, x)[1](t)), **loose)
