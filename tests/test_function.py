"""Functions with a rule of the user's own: minigrad.Function."""

import numpy as np
import pytest

import minigrad as mg
from minigrad import Function, autograd
from minigrad.errors import GradError
from minigrad.testing import gradcheck, gradgradcheck


class Cube(Function):
    """y = x**3, with a rule written in tensor operations."""

    @staticmethod
    def forward(ctx, x):
        ctx.save_for_backward(x)
        return x * x * x

    @staticmethod
    def backward(ctx, g):
        (x,) = ctx.saved_tensors
        return 3 * x * x * g


class Exp(Function):
    """y = e**x, saving its output."""

    @staticmethod
    def forward(ctx, x):
        y = mg.exp(x)
        ctx.save_for_backward(y)
        return y

    @staticmethod
    def backward(ctx, g):
        (y,) = ctx.saved_tensors
        return g * y


class Polar(Function):
    """(r cos t, r sin t, the quadrant): two inputs, two outputs with a gradient, one without."""

    @staticmethod
    def forward(ctx, r, t):
        ctx.save_for_backward(r, t)
        return r * mg.cos(t), r * mg.sin(t), mg.floor(t / (np.pi / 2)).astype("int64")

    @staticmethod
    def backward(ctx, gx, gy, _):
        r, t = ctx.saved_tensors
        c, s = mg.cos(t), mg.sin(t)
        return gx * c + gy * s, r * (gy * c - gx * s)


class NumPySine(Function):
    """A function minigrad cannot see into, as Numba or C code would be."""

    @staticmethod
    def forward(ctx, x, scale):
        ctx.x, ctx.scale = x.numpy(), scale
        return mg.tensor(np.sin(ctx.x * scale))

    @staticmethod
    def backward(ctx, g):
        return mg.tensor(g.detach().numpy() * ctx.scale * np.cos(ctx.x * ctx.scale)), None


X = np.array([[0.5, -1.2], [2.0, 0.3]])


def test_gradients_of_both_orders(backend):
    for f in (Cube.apply, Exp.apply):
        assert gradcheck(f, mg.tensor(X))
        assert gradgradcheck(f, mg.tensor(X))
    r, t = mg.tensor(np.array([1.0, 2.0])), mg.tensor(np.array([0.3, 2.0]))
    assert gradcheck(Polar.apply, [r, t])
    assert gradgradcheck(Polar.apply, [r, t])
    assert gradgradcheck(lambda r, t: Polar.apply(r, t)[1], [r, t])


def test_third_order():
    x = mg.tensor(2.0, dtype="float64", requires_grad=True)
    y = Cube.apply(x) * Exp.apply(x)
    for _ in range(3):
        (y,) = autograd.grad(y, x, create_graph=True)
    assert np.isclose(y.item(), (8 + 3 * 12 + 3 * 12 + 6) * np.exp(2))  # (x^3 e^x)''' by Leibniz


def test_code_that_minigrad_cannot_see_into():
    assert gradcheck(lambda x: NumPySine.apply(x, 2.0), X)


def test_what_forward_sees():
    seen = {}

    class Look(Function):
        @staticmethod
        def forward(ctx, a, b, flag, word=None):
            seen.update(a=a.requires_grad, mode=mg.is_grad_enabled(), needs=ctx.needs_input_grad, flag=flag)
            return a + b

        @staticmethod
        def backward(ctx, g):
            return g, None, None

    a = mg.tensor([1.0], requires_grad=True)
    Look.apply(a, mg.tensor([2.0]), 7).sum().backward()
    assert seen == {"a": False, "mode": False, "needs": (True, False, False), "flag": 7}
    assert a.grad.tolist() == [1.0]
    assert not Look.apply(a.detach(), mg.tensor([2.0]), 7).requires_grad
    with mg.no_grad():
        assert not Look.apply(a, mg.tensor([2.0]), 7).requires_grad


def test_an_argument_handed_back_is_a_tensor_of_its_own():
    class Same(Function):
        @staticmethod
        def forward(ctx, x):
            return x

        @staticmethod
        def backward(ctx, g):
            return g * 10

    x = mg.tensor([1.0, 2.0], requires_grad=True)
    y = Same.apply(x)
    assert y is not x
    y.sum().backward()
    assert x.grad.tolist() == [10.0, 10.0]
    with mg.no_grad():
        y += 1
    assert x.tolist() == [1.0, 2.0]


def test_marked_outputs_carry_no_gradient():
    class Split(Function):
        @staticmethod
        def forward(ctx, x):
            whole = mg.floor(x)
            ctx.mark_non_differentiable(whole)
            return whole, x - whole

        @staticmethod
        def backward(ctx, g_whole, g):
            return g

    x = mg.tensor([1.25, 2.5], requires_grad=True)
    whole, rest = Split.apply(x)
    assert not whole.requires_grad and rest.requires_grad
    rest.sum().backward()
    assert x.grad.tolist() == [1.0, 1.0]


def test_a_missing_gradient_of_an_output_is_zero():
    x = mg.tensor(np.array([2.0]), requires_grad=True)
    t = mg.tensor(np.array([0.5]), requires_grad=True)
    a, _, _ = Polar.apply(x, t)
    a.sum().backward()
    np.testing.assert_allclose(x.grad.numpy(), np.cos([0.5]))
    np.testing.assert_allclose(t.grad.numpy(), -2 * np.sin([0.5]))


def test_edited_saved_tensors_are_refused():
    h = mg.tensor([1.0, 2.0], requires_grad=True) * 1
    y = Cube.apply(h)
    h += 1
    with pytest.raises(GradError, match="Cube saved"):
        y.sum().backward()


def test_second_backward():
    x = mg.tensor([1.0], requires_grad=True)
    y = Cube.apply(x)
    y.backward([1.0], retain_graph=True)
    y.backward([1.0])
    assert x.grad.tolist() == [6.0]
    with pytest.raises(GradError, match="freed by an earlier backward"):
        y.backward([1.0])


@pytest.mark.parametrize(
    "result, words",
    [
        (lambda g: (g, g), "must return one gradient per argument of forward: it returned 2 for 1"),
        (
            lambda g: g.sum(),
            r"must return gradients shaped like the arguments: number 0 is \(\), the argument was \(2,\)",
        ),
    ],
)
def test_bad_rules(result, words):
    class Bad(Function):
        @staticmethod
        def forward(ctx, x):
            return x * 2

        @staticmethod
        def backward(ctx, g):
            return result(g)

    with pytest.raises(GradError, match=words):
        Bad.apply(mg.tensor([1.0, 2.0], requires_grad=True)).sum().backward()


def test_undefined_forward_and_backward():
    class Half(Function):
        @staticmethod
        def forward(ctx, x):
            return x * 2

    with pytest.raises(GradError, match="defines forward"):
        Function.apply(mg.ones(2))
    with pytest.raises(GradError, match="defines backward"):
        Half.apply(mg.ones(2, requires_grad=True)).sum().backward()
