"""The walk and its interface: graphs of every shape, any order, options, hooks, modes, and what stays alive."""

import gc
import threading
import tracemalloc
import weakref

import numpy as np
import pytest

import minigrad as mg
from minigrad import autograd
from minigrad.errors import DTypeError, GradError, ShapeError
from minigrad.testing import gradcheck


def leaf(data, **options):
    return mg.tensor(data, dtype=np.float64, requires_grad=True, **options)


def close(a, b, **options):
    np.testing.assert_allclose(a.detach().numpy() if isinstance(a, mg.Tensor) else a, b, **{"rtol": 1e-12} | options)


# ---- graphs ----------------------------------------------------------------------------------------------------------


def test_chain_of_a_million_nodes():
    """Backward and freeing are iterative, or a thread with a small stack would crash."""

    def run():
        x = leaf(1.0)
        y = x
        for _ in range(1_000_000):
            y = y + 1
        y.backward()
        grads.append(x.grad.item())
        graph = weakref.ref(x)  # nodes take no weak references; the leaf lives as long as its tensor
        del x, y
        freed.append(graph() is None)

    grads, freed = [], []
    before = threading.stack_size(256 * 1024)
    try:
        thread = threading.Thread(target=run)
        thread.start()
        thread.join()
    finally:
        threading.stack_size(before)
    assert grads == [1.0] and freed == [True]


def test_long_chain_with_saved_tensors_is_freed_without_backward():
    """The tensors that a graph saved hold its nodes: dropping the end drops a chain of both."""
    x = leaf(np.ones(1))
    y = x
    for _ in range(50_000):
        y = mg.exp(y * 0)
    w = weakref.ref(y)
    del y
    assert w() is None


def test_wide_diamond():
    x = leaf(2.0)
    y = sum((x * k for k in range(20_000)), start=mg.tensor(0.0, dtype=np.float64))
    y.backward()
    assert x.grad.item() == sum(range(20_000))


def test_chain_of_diamonds_is_walked_once():
    """2**200 paths, 400 nodes."""
    x = leaf(1.0)
    y = x
    for _ in range(200):
        y = y * 0.5 + y * 0.5
    y.backward()
    assert x.grad.item() == 1.0


def test_a_node_waits_for_all_its_users():
    """A short and a long path to the same node: its rule runs once, with the sum."""
    calls = []
    x = leaf(3.0)
    y = x * 2
    y.register_hook(lambda g: calls.append(g.item()))
    z = y
    for _ in range(10):
        z = z * 1.0
    (y + z).backward()
    assert calls == [2.0] and x.grad.item() == 4.0


def test_random_graphs_against_forward_mode():
    """Random expression graphs: gradients equal directional derivatives carried along as dual numbers."""
    rng = np.random.default_rng(11)
    for _ in range(30):
        x = [leaf(v) for v in rng.uniform(0.5, 1.5, 3)]
        v = rng.standard_normal(3)
        nodes = [(t, t.item(), d) for t, d in zip(x, v)]
        for _ in range(40):
            (a, av, ad), (b, bv, bd) = (nodes[i] for i in rng.integers(len(nodes), size=2))
            kind = rng.integers(4)
            if kind == 0:
                nodes.append((a + b, av + bv, ad + bd))
            elif kind == 1:
                nodes.append((a * b * 0.5, av * bv * 0.5, (ad * bv + av * bd) * 0.5))
            elif kind == 2:
                nodes.append((mg.sin(a), np.sin(av), np.cos(av) * ad))
            else:
                nodes.append((mg.tanh(a - b), np.tanh(av - bv), (ad - bd) * (1 - np.tanh(av - bv) ** 2)))
        y, value, slope = nodes[-1]
        y = y + sum(t for t, _, _ in nodes[-5:])
        slope += sum(d for _, _, d in nodes[-5:])
        grads = autograd.grad(y, x, allow_unused=True)
        close(sum(0 if g is None else g.item() * d for g, d in zip(grads, v)), slope, rtol=1e-9)
        close(nodes[-1][0], value)


# ---- backward --------------------------------------------------------------------------------------------------------


def test_gradients_add_up():
    x = leaf([1.0, 2.0])
    (x * x).sum().backward()
    (x * 3).sum().backward()
    close(x.grad, [5.0, 7.0])
    x.grad = None
    x.sum().backward()
    close(x.grad, [1.0, 1.0])


def test_leaves_never_share_a_gradient_buffer():
    a, b, c = leaf([1.0, 1.0]), leaf([1.0, 1.0]), leaf([1.0, 1.0])
    seed = mg.tensor([1.0, 1.0], dtype=np.float64)
    (a + b + c.reshape(2)).backward(seed)
    a.grad += 1
    for other in (b.grad, c.grad, seed):
        close(other, [1.0, 1.0])


def test_the_seed_is_not_touched_by_accumulation():
    x, seed = leaf([1.0, 1.0]), mg.tensor([1.0, 2.0], dtype=np.float64)
    for _ in range(3):
        (x * 1).backward(seed)
    x2 = leaf([1.0, 1.0])
    x2.backward(seed)
    x2.backward(seed)
    close(x.grad, [3.0, 6.0])
    close(x2.grad, [2.0, 4.0])
    close(seed, [1.0, 2.0])


def test_backward_needs_a_scalar_or_a_gradient():
    x = leaf([1.0, 2.0])
    with pytest.raises(GradError, match=r"only a scalar has a gradient by itself: this tensor is \(2,\)"):
        (x * 2).backward()
    (x * 2).backward([1.0, 10.0])
    close(x.grad, [2.0, 20.0])
    with pytest.raises(ShapeError, match=r"gradient must have the shape of the output: got \(3,\) for \(2,\)"):
        (x * 2).backward([1.0, 1.0, 1.0])
    leaf([[2.0]]).sum().backward()
    y = leaf([[2.0]]) * 2
    y.backward()


def test_backward_without_a_graph():
    with pytest.raises(GradError, match="does not depend on any that requires a gradient"):
        mg.tensor([1.0]).sum().backward()
    with pytest.raises(GradError, match="does not depend"):
        (leaf([1.0]) > 0).backward([1.0])


def test_gradient_of_a_leaf_itself():
    x = leaf(3.0)
    x.backward()
    assert x.grad.item() == 1.0


def test_second_backward_needs_retain_graph():
    x = leaf([1.0, 2.0])
    y = (x * x).sum()
    y.backward(retain_graph=True)
    y.backward()
    close(x.grad, [4.0, 8.0])
    with pytest.raises(GradError, match=r"freed by an earlier backward.*retain_graph=True"):
        y.backward()
    close(x.grad, [4.0, 8.0])


def test_second_backward_over_a_shared_part():
    x = leaf([1.0, 2.0])
    h = mg.exp(x)
    a, b = (h * h).sum(), h.sum()
    a.backward()
    with pytest.raises(GradError, match="exp saved"):
        b.backward()


def test_inputs_restrict_where_gradients_go():
    x, w = leaf([1.0, 2.0]), leaf([3.0, 4.0])
    h = x * w
    (h * 2).sum().backward(inputs=[w])
    assert x.grad is None
    close(w.grad, [2.0, 4.0])
    y = x * w
    (y * 2).sum().backward(inputs=[y])
    close(y.grad, [2.0, 2.0])


def test_dtypes_of_gradients():
    """Mixed precision: every gradient has the dtype of its tensor."""
    a = mg.tensor(np.ones(3, np.float32), requires_grad=True)
    b = leaf(np.ones(3))
    c = mg.tensor(np.ones(3, np.float16), requires_grad=True)
    y = (a * b + c).sum()
    assert y.dtype == np.float64
    y.backward()
    assert (a.grad.dtype, b.grad.dtype, c.grad.dtype) == (np.float32, np.float64, np.float16)
    b.astype("float32").sum().backward()
    assert b.grad.dtype == np.float64


def test_broadcast_gradients():
    x, b, s = leaf(np.ones((2, 3))), leaf(np.ones((3,))), leaf(1.0)
    (x * b * s).sum().backward()
    assert x.grad.shape == (2, 3) and b.grad.shape == (3,) and s.grad.shape == ()
    close(b.grad, [2.0, 2.0, 2.0])
    close(s.grad, 6.0)


def test_empty_batch():
    w = leaf(np.ones((3, 2)))
    y = mg.tensor(np.zeros((0, 3))) @ w
    y.sum().backward()
    assert y.shape == (0, 2)
    close(w.grad, np.zeros((3, 2)))


@pytest.mark.filterwarnings("ignore::minigrad.MistakeWarning")
def test_nan_and_infinity_travel():
    x = leaf([0.0, -1.0, np.inf, np.nan])
    with np.errstate(all="ignore"):
        mg.sqrt(x).sum().backward()
    np.testing.assert_array_equal(x.grad.numpy(), [np.inf, np.nan, 0.0, np.nan])


# ---- grad ------------------------------------------------------------------------------------------------------------


def test_grad_touches_no_grad_attribute():
    x, w = leaf([1.0, 2.0]), leaf([3.0, 4.0])
    gx, gw = autograd.grad((x * w).sum(), [x, w])
    close(gx, [3.0, 4.0])
    close(gw, [1.0, 2.0])
    assert x.grad is None and w.grad is None


def test_grad_of_several_outputs_and_weights():
    x = leaf([1.0, 2.0])
    (g,) = autograd.grad([x * 2, (x * x).sum()], x, [mg.tensor([1.0, 10.0]), None])
    close(g, [2.0 + 2.0, 20.0 + 4.0])
    with pytest.raises(ShapeError, match="one entry of grad_outputs per output: got 1 for 2"):
        autograd.grad([x * 2, x * 3], x, [mg.tensor([1.0, 1.0])])


def test_grad_for_intermediate_tensors():
    x = leaf([1.0, 2.0])
    h = x * 3
    y = (h * h).sum()
    gh, gx = autograd.grad(y, [h, x])
    close(gh, [6.0, 12.0])
    close(gx, [18.0, 36.0])


def test_unused_inputs():
    x, other = leaf([1.0]), leaf([1.0, 2.0])
    y = x.sum()
    with pytest.raises(GradError, match=r"do not depend on input 1 \(shape \(2,\)\)"):
        autograd.grad(y, [x, other], retain_graph=True)
    assert autograd.grad(y, [x, other], retain_graph=True, allow_unused=True)[1] is None
    close(autograd.grad(y, [x, other], materialize_grads=True)[1], [0.0, 0.0])
    with pytest.raises(GradError, match="does not require a gradient"):
        autograd.grad(y, mg.tensor([1.0]))


def test_grad_walks_only_where_it_must():
    """A path to nobody who asked is not walked: its saved values may be gone."""
    x, w = leaf([1.0, 2.0]), leaf([1.0, 1.0])
    h = mg.exp(w)
    autograd.grad(h.sum(), w)  # frees what exp saved
    close(autograd.grad((x * h).sum(), x)[0], np.exp([1.0, 1.0]))


def test_same_input_twice():
    x = leaf([2.0])
    a, b = autograd.grad((x * x).sum(), [x, x])
    close(a, [4.0])
    close(b, [4.0])


# ---- higher orders ---------------------------------------------------------------------------------------------------


def derivatives(f, at, order):
    x = leaf(at)
    y, found = f(x), []
    for _ in range(order):
        (y,) = autograd.grad(y, x, create_graph=True)
        found.append(y.item())
    return found


def test_derivatives_of_any_order():
    close(derivatives(mg.sin, 0.7, 5), [np.cos(0.7), -np.sin(0.7), -np.cos(0.7), np.sin(0.7), np.cos(0.7)])
    close(derivatives(lambda x: x**5, 2.0, 5), [80.0, 160.0, 240.0, 240.0, 120.0])
    close(derivatives(mg.exp, 0.3, 7), [np.exp(0.3)] * 7)
    t = np.tanh(0.4)
    s = 1 - t * t
    close(derivatives(mg.tanh, 0.4, 3), [s, -2 * t * s, s * (6 * t * t - 2)], rtol=1e-11)
    close(derivatives(lambda x: 1 / x, 2.0, 4), [-1 / 4, 2 / 8, -6 / 16, 24 / 32])


def test_the_fifth_derivative_of_a_fifth_power_is_a_constant():
    x = leaf(2.0)
    y = x**5
    for _ in range(5):
        (y,) = autograd.grad(y, x, create_graph=True)
    assert y.item() == 120.0
    with pytest.raises(GradError, match="does not depend on any"):
        autograd.grad(y, x)


def test_backward_with_create_graph():
    x = leaf([1.0, 2.0])
    (x**3).sum().backward(create_graph=True)
    g = x.grad
    assert g.requires_grad
    (h,) = autograd.grad(g.sum(), x)
    close(h, [6.0, 12.0])


def test_hessian_vector_product():
    rng = np.random.default_rng(0)
    a, v = rng.standard_normal((4, 4)), rng.standard_normal(4)
    x = leaf(rng.standard_normal(4))
    (g,) = autograd.grad((x @ mg.tensor(a) @ x) / 2, x, create_graph=True)
    (hv,) = autograd.grad(g @ mg.tensor(v), x)
    close(hv, (a + a.T) / 2 @ v)


def test_gradient_penalty():
    """The gradient of a loss that contains a gradient, against differences."""
    rng = np.random.default_rng(1)
    w0, x0 = rng.standard_normal((3, 2)), rng.standard_normal((4, 3))

    def penalty(w):
        x = leaf(x0)
        y = mg.tanh(x @ w).sum()
        (g,) = autograd.grad(y, x, create_graph=True)
        return (g * g).sum()

    assert gradcheck(penalty, w0)


def test_create_graph_under_no_grad_still_records():
    x = leaf(2.0)
    y = x**3
    with mg.no_grad():
        (g,) = autograd.grad(y, x, create_graph=True)
    close(autograd.grad(g, x)[0], 12.0)


def test_plain_gradients_are_not_recorded():
    x = leaf(2.0)
    (g,) = autograd.grad(x**3, x)
    assert not g.requires_grad


# ---- hooks -----------------------------------------------------------------------------------------------------------


def test_hooks_see_replace_and_leave():
    x = leaf([1.0, 2.0])
    y = x * 3
    seen = []
    first = y.register_hook(lambda g: seen.append(g.tolist()))
    y.register_hook(lambda g: g * 10)
    third = y.register_hook(lambda g: seen.append(g.tolist()))
    y.sum().backward()
    assert seen == [[1.0, 1.0], [10.0, 10.0]]
    close(x.grad, [30.0, 30.0])
    first.remove()
    third.remove()
    third.remove()  # twice is harmless
    x.grad = None
    (x * 3).sum().backward()
    close(x.grad, [3.0, 3.0])


def test_hook_on_a_leaf_sees_the_sum():
    x = leaf([1.0])
    seen = []
    x.register_hook(lambda g: seen.append(g.item()))
    (x * 2 + x * 3).sum().backward()
    assert seen == [5.0] and x.grad.item() == 5.0


def test_hook_as_context_and_with_a_graph():
    x = leaf(2.0)
    y = x**2
    with y.register_hook(lambda g: g * 5):
        (g,) = autograd.grad(y, x, create_graph=True, retain_graph=True)
        close(g, 20.0)
        close(autograd.grad(g, x, retain_graph=True)[0], 10.0)
    close(autograd.grad(y, x)[0], 4.0)


def test_hook_must_keep_the_shape():
    x = leaf([1.0, 2.0])
    x.register_hook(lambda g: g.sum())
    with pytest.raises(ShapeError, match=r"must keep its shape \(2,\): the hook returned \(\)"):
        x.sum().backward()
    with pytest.raises(GradError, match="does not require a gradient"):
        mg.tensor([1.0]).register_hook(print)


def test_hook_may_return_a_plain_array():
    x = leaf([1.0, 2.0])
    x.register_hook(lambda g: np.array([7.0, 8.0]))
    x.sum().backward()
    close(x.grad, [7.0, 8.0])


def test_what_a_hook_returns_is_not_written_to():
    x, constant = leaf([1.0, 2.0]), mg.tensor([5.0, 5.0], dtype=np.float64)
    x.register_hook(lambda g: constant)
    for _ in range(2):
        x.sum().backward()
    close(x.grad, [10.0, 10.0])
    close(constant, [5.0, 5.0])


def test_hook_that_edits_its_argument_harms_nobody():
    """The gradient a hook sees may be somebody else's too."""
    a, b = leaf([1.0, 1.0]), leaf([1.0, 1.0])
    y = a * 1

    def double(g):
        g *= 2

    y.register_hook(double)
    seed = mg.tensor([1.0, 1.0], dtype=np.float64)
    (y + b).backward(seed)
    close(b.grad, [1.0, 1.0])
    close(seed, [1.0, 1.0])


def test_retain_grad():
    x = leaf([1.0, 2.0])
    h = x * 3
    h.retain_grad()
    (h * h).sum().backward()
    close(h.grad, [6.0, 12.0])
    close(x.grad, [18.0, 36.0])


def test_explain_grad_says_why():
    x = leaf([1.0])
    h = x * 2
    assert "does not require a gradient" in mg.tensor([1.0]).explain_grad()
    assert "only leaves keep gradients" in h.explain_grad() and "retain_grad" in h.explain_grad()
    assert "no backward() has reached" in x.explain_grad()
    h.sum().backward()
    assert "grad is set" in x.explain_grad()


# ---- modes -----------------------------------------------------------------------------------------------------------


def test_no_grad_and_enable_grad():
    x = leaf([1.0])
    with mg.no_grad():
        assert not (x * 2).requires_grad and not mg.is_grad_enabled()
        with mg.enable_grad():
            assert (x * 2).requires_grad
        assert not (x * 2).requires_grad
    assert (x * 2).requires_grad

    @mg.no_grad()
    def f(recurse):
        return mg.is_grad_enabled() or (recurse and f(False))

    assert f(True) is False and mg.is_grad_enabled()
    with mg.set_grad_enabled(False):
        assert not mg.is_grad_enabled()
    assert mg.is_grad_enabled()
    mg.set_grad_enabled(False)
    assert not mg.is_grad_enabled()
    mg.set_grad_enabled(True)
    assert mg.is_grad_enabled()


def test_mode_is_restored_after_an_exception():
    with pytest.raises(ZeroDivisionError), mg.no_grad():
        1 / 0  # noqa: B018
    assert mg.is_grad_enabled()


def test_detach_stops_the_gradient():
    x = leaf([1.0, 2.0])
    y = (x.detach() * x).sum()
    y.backward()
    close(x.grad, [1.0, 2.0])
    assert np.shares_memory(x.detach().numpy(), x.detach().numpy())


def test_requires_grad_can_be_set_on_leaves_only():
    x = leaf([1.0])
    y = x * 2
    with pytest.raises(GradError, match="only leaves can be frozen"):
        y.requires_grad = False
    x.requires_grad = False
    assert not (x * 2).requires_grad
    with pytest.raises(DTypeError, match="only floats have gradients: got int64"):
        mg.tensor([1, 2], requires_grad=True)
    assert mg.tensor([1.0]).requires_grad_().requires_grad


# ---- memory ----------------------------------------------------------------------------------------------------------


def test_saved_values_are_dropped_as_the_walk_passes():
    """When the walk reaches a node, the arrays that newer nodes saved are gone already."""
    x = leaf(np.ones(100))
    alive, h, watched = [], x, []
    for _ in range(5):
        h = mg.exp(h * 0.1)
        watched.append(weakref.ref(h.array))
        h.register_hook(lambda g: alive.append(sum(w() is not None for w in watched)))
    loss = h.sum()
    del h
    loss.backward()
    assert alive == [5, 4, 3, 2, 1]


def test_nothing_is_kept_that_no_rule_needs():
    x = leaf(np.ones(10))
    h = x * 2  # multiply by a number: the gradient does not need x
    w = weakref.ref(h.array)
    y = (h + 1).sum()
    del h
    assert w() is None
    y.backward()
    e = mg.exp(x)
    w = weakref.ref(e.array)
    z = e.sum()
    del e
    assert w() is not None  # exp needs its output
    z.backward()
    assert w() is None


def test_no_graph_no_reference():
    with mg.no_grad():
        x = leaf(np.ones(10))
        y = mg.exp(x)
        w = weakref.ref(x.array)
        del x
        assert w() is None and y is not None


def test_graphs_are_freed_by_reference_counting():
    """No cycles: memory does not wait for the collector."""
    gc.collect()
    gc.disable()
    try:
        x = leaf(np.ones(10))
        h = mg.softmax(mg.exp(x).reshape(2, 5) @ leaf(np.ones((5, 3))), axis=-1)
        a, b = h[0], h.T
        w = weakref.ref(h.array)
        (a.sum() + b.sum()).backward()
        del h, a, b
        assert w() is None
    finally:
        gc.enable()


def test_training_loop_stays_flat():
    rng = np.random.default_rng(0)
    w1, w2 = (mg.tensor(rng.standard_normal(s) * 0.3, requires_grad=True) for s in ((8, 16), (16, 1)))
    x, t = mg.tensor(rng.standard_normal((32, 8))), mg.tensor(rng.standard_normal((32, 1)))

    def step():
        loss = mg.mean(mg.square(mg.tanh(x @ w1) @ w2 - t))
        loss.backward()
        with mg.no_grad():
            for w in (w1, w2):
                w -= 0.05 * w.grad
                w.grad = None
        return loss.item()

    first = step()
    for _ in range(50):
        step()
    tracemalloc.start()
    try:
        sizes = []
        for _ in range(4):
            for _ in range(250):
                last = step()
            gc.collect()  # empties Python's own lists of spare tuples
            sizes.append(tracemalloc.get_traced_memory()[0])
    finally:
        tracemalloc.stop()
    assert last < first
    assert sizes[-1] - sizes[0] < 30_000, sizes  # a scalar kept per step would be 750 times 100 bytes


def test_grad_of_several_vectors_at_once():
    """is_grads_batched: row i of the answer is the answer for row i."""
    x = mg.tensor(np.random.default_rng(0).normal(size=(3, 4)), requires_grad=True)
    y = mg.sin(x) @ mg.ones(4, dtype=mg.float64)
    g = mg.tensor(np.random.default_rng(1).normal(size=(5, 3)))
    (found,) = mg.autograd.grad(y, x, g, is_grads_batched=True, retain_graph=True)
    assert found.shape == (5, 3, 4)
    for i in range(5):
        np.testing.assert_array_equal(found[i].numpy(), mg.autograd.grad(y, x, g[i], retain_graph=True)[0].numpy())
    other = mg.ones(2, requires_grad=True)
    assert mg.autograd.grad(y, [x, other], [g], True, False, True, True, True)[1] is None
    assert mg.autograd.grad(y, [other], [g], is_grads_batched=True, materialize_grads=True)[0].shape == (5, 2)


def test_grad_says_what_batches_need():
    x = mg.ones(3, requires_grad=True)
    with pytest.raises(mg.errors.ShapeError, match="is_grads_batched"):
        mg.autograd.grad(x * 2, x, is_grads_batched=True)
    with pytest.raises(mg.errors.ArgumentError, match="only_inputs"):
        mg.autograd.grad((x * 2).sum(), x, only_inputs=False)
