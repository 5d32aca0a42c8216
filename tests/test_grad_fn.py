"""What PyTorch's programs ask of the graph, and functions that edit their inputs."""

import numpy as np
import pytest

import minigrad as mg
from minigrad.errors import GradError


class Double(mg.autograd.Function):
    @staticmethod
    def forward(ctx, x):
        x.mul_(2)
        ctx.mark_dirty(x)
        return x

    @staticmethod
    def backward(ctx, g):
        return 2 * g


def test_the_graph_can_be_walked():
    w = mg.tensor([1.0, 2.0], requires_grad=True)
    y = w * 3 + 1
    assert y.grad_fn.name() == y.grad_fn.name == "add"
    (product, place), constant = y.grad_fn.next_functions
    assert product.name() == "multiply" and place == 0 and constant == (None, 0)
    leaf = product.next_functions[0][0]
    assert leaf.variable is w and leaf.next_functions == ()


def test_which_output():
    x = mg.tensor([[3.0, 1.0], [2.0, 5.0]], requires_grad=True)
    (node, place), *_ = (mg.linalg.slogdet(x).logabsdet * 2).grad_fn.next_functions
    assert node.name() == "slogdet" and place == 1


def test_edited_inputs_are_the_callers():
    w = mg.tensor([1.0, 2.0], requires_grad=True)
    y = w * 3
    z = Double.apply(y)
    assert z is y and y.tolist() == [6, 12] and y.grad_fn.name() == "Double"
    (y * y).sum().backward()
    np.testing.assert_allclose(w.grad.numpy(), [72, 144])
    x = mg.ones(2)
    assert Double.apply(x) is x and x.tolist() == [2, 2]


def test_an_edited_leaf_is_refused():
    with pytest.raises(GradError, match="leaf"):
        Double.apply(mg.ones(2, requires_grad=True))


def test_only_what_comes_back_is_dirty():
    class Wrong(mg.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            y = x * 2
            ctx.mark_dirty(y)
            return y

    with pytest.raises(GradError, match="mark_dirty"):
        Wrong.apply(mg.ones(2))
