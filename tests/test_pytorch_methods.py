"""Methods of torch.Tensor that change shapes in place, hooks behind the sum of gradients, and small answers."""

import numpy as np
import pytest

import minigrad as mg
from minigrad.errors import GradError

SHAPES_IN_PLACE = {
    "squeeze_": [(), (0,), (1,), ((0, 2),)], "unsqueeze_": [(0,), (-1,), (2,)], "transpose_": [(0, 1), (-1, 0)],
    "swapaxes_": [(1, 2)], "swapdims_": [(0, -1)],
}  # fmt: skip


@pytest.mark.parametrize("name, args", [(n, a) for n, calls in SHAPES_IN_PLACE.items() for a in calls])
def test_shapes_in_place_as_in_pytorch(name, args):
    torch = pytest.importorskip("torch")
    a = np.arange(6.0).reshape(1, 6, 1)
    grads = []
    for library in (mg, torch):
        x = library.tensor(a, requires_grad=True)
        y = x * 2
        z = getattr(y, name)(*args)
        assert z is y
        weights = library.tensor(np.arange(1.0, 7.0).reshape(y.shape))
        (y * y * weights).sum().backward()
        grads.append((tuple(y.shape), x.grad.numpy()))
    assert grads[0][0] == grads[1][0]
    np.testing.assert_allclose(grads[0][1], grads[1][1], rtol=1e-12)


def test_a_matrix_transposed_in_place_shares_its_memory():
    x = mg.asarray([[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]])
    row, whole = x[0], x.detach()
    assert x.t_() is x and x.shape == (3, 2) and x.tolist() == [[1, 4], [2, 5], [3, 6]]
    x[0, 1] = 40.0
    row[2] = 30.0
    assert whole.tolist() == [[1, 2, 30], [40, 5, 6]] and x[2, 0].item() == 30


def test_views_and_edits_around_a_shape_change():
    x = mg.tensor([[1.0, 2.0, 3.0]], requires_grad=True)
    y = x * 1.0
    part = y[0, 1:]  # a view from before
    y.squeeze_(0)
    y[0] = 7.0  # an edit of the new shape
    part *= 3.0  # and one through the old view
    assert y.tolist() == [7.0, 6.0, 9.0]
    (y * mg.asarray([1.0, 10.0, 100.0])).sum().backward()
    assert x.grad.tolist() == [[0.0, 30.0, 300.0]]


def test_shape_changes_are_refused_where_a_gradient_would_be_wrong():
    x = mg.tensor([[1.0, 2.0]], requires_grad=True)
    with pytest.raises(GradError, match="leaf"):
        x.squeeze_(0)
    y = x * 2
    z = (y * y).sum()
    y.squeeze_(0)
    with pytest.raises(GradError, match="squeeze_"):
        z.backward()
    with mg.no_grad():
        assert x.squeeze_(0).shape == (2,)


def test_shapes_in_place_inside_vmap():
    def f(row):
        y = row * 2
        y.unsqueeze_(0)
        return y.sum(axis=0)

    assert mg.func.vmap(f)(mg.asarray([[1.0, 2.0], [3.0, 4.0]])).tolist() == [[2, 4], [6, 8]]
    assert mg.func.grad(lambda u: (f(u) * u).sum())(mg.asarray([1.0, 2.0])).tolist() == [4, 8]


def test_detach_():
    x = mg.tensor([1.0], requires_grad=True)
    y = x * 2
    assert y.detach_() is y and y.is_leaf and not y.requires_grad
    with pytest.raises(GradError, match="view"):
        (x * 2)[0].detach_()


def test_hook_behind_the_sum_of_gradients():
    w, v = mg.tensor([1.0, 2.0], requires_grad=True), mg.tensor(3.0, requires_grad=True)
    seen = []
    handle = w.register_post_accumulate_grad_hook(lambda t: seen.append((t is w, t.grad.tolist())))
    (w * w * v).sum().backward()
    (w * v).sum().backward()
    assert seen == [(True, [6.0, 12.0]), (True, [9.0, 15.0])]
    handle.remove()
    (w * v).sum().backward()
    assert len(seen) == 2
    with pytest.raises(GradError, match="leaves"):
        (w * 2).register_post_accumulate_grad_hook(print)


def test_the_optimizer_step_as_a_hook():
    w = mg.tensor([4.0], requires_grad=True)
    optimizer = mg.optim.SGD([w], lr=0.25)

    def step(parameter):
        optimizer.step()
        parameter.grad = None

    w.register_post_accumulate_grad_hook(step)
    for _ in range(3):
        (w * w).sum().backward()
    assert w.tolist() == [0.5] and w.grad is None


def test_small_answers():
    x = mg.asarray([[1.0, 2.0], [3.0, 4.0]])
    assert not (x.is_meta or x.is_sparse or x.is_quantized or x.is_inference() or x.is_pinned() or x.is_shared())
    assert x.pin_memory() is x and x.share_memory_() is x and x.to_dense() is x
    assert x[1].storage_offset() == 2 and x[:, 1:].storage_offset() == 1 and x.storage_offset() == 0
    assert x.clone().apply_(lambda n: n * 10).tolist() == [[10, 20], [30, 40]]
    assert x.clone().clamp_max_(2.0).tolist() == [[1, 2], [2, 2]]
    assert x.clone().float_power_(2).tolist() == [[1, 4], [9, 16]]
    assert (x * 1j).adjoint().tolist() == [[-1j, -3j], [-2j, -4j]]
    assert x[0].multinomial(5, replacement=True).shape == (5,) and (x / 4).bernoulli()[1, 1].item() == 1
    y = mg.ones(2, requires_grad=True) * 2
    y.retain_grad()
    assert y.retains_grad and not (y * 2).retains_grad
    with pytest.raises(GradError, match="apply_"):
        y.apply_(abs)
