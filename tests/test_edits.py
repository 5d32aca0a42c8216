"""In-place edits: the gradient is that of the program as written, or there is an error that says what to do."""

import inspect

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import minigrad as mg
from minigrad import autograd
from minigrad.errors import ArgumentError, DTypeError, GradError, IndexRangeError, MinigradError, ShapeError


def leaf(data):
    return mg.tensor(data, dtype=np.float64, requires_grad=True)


def close(a, b):
    np.testing.assert_allclose(a.detach().numpy() if isinstance(a, mg.Tensor) else a, b, rtol=1e-12, atol=1e-14)


class Both:
    """One program on minigrad and on PyTorch: `run(program)` compares values and gradients."""

    def __init__(self, torch):
        self.torch = torch

    def run(self, program, *inputs):
        """program(make, *tensors) -> tensor; make(array) is a constant."""
        torch, results = self.torch, []
        for library in ("minigrad", "torch"):
            if library == "minigrad":
                xs = [leaf(x) for x in inputs]
                y = program(lambda a: mg.tensor(np.asarray(a, np.float64)), *xs)
                weights = mg.tensor(np.cos(np.arange(y.size)).reshape(y.shape))
            else:
                xs = [torch.tensor(x, dtype=torch.float64, requires_grad=True) for x in inputs]
                y = program(lambda a: torch.tensor(np.asarray(a, np.float64)), *xs)
                weights = torch.cos(torch.arange(y.numel(), dtype=torch.float64)).reshape(y.shape)
            (y * weights).sum().backward()
            results.append((y.detach().numpy(), [None if x.grad is None else x.grad.numpy() for x in xs]))
        (ours, our_grads), (theirs, their_grads) = results
        np.testing.assert_allclose(ours, theirs, rtol=1e-12)
        for a, b in zip(our_grads, their_grads):
            assert (a is None) == (b is None)
            if a is not None:
                np.testing.assert_allclose(a, b, rtol=1e-12, atol=1e-14)


@pytest.fixture
def both():
    return Both(pytest.importorskip("torch"))


A = np.arange(12.0).reshape(3, 4) / 7 + 0.3
V = np.array([0.5, -1.0, 2.0, 3.0])


# ---- programs as in PyTorch ------------------------------------------------------------------------------------------


def setitem_row(make, x, v):
    y = x * 2
    y[1] = v
    return y


def setitem_twice(make, x, v):
    y = x * 2
    y[1] = v
    y[:, 1] = v[:3] * 3
    return y


def setitem_number(make, x, v):
    y = x * v
    y[0, 1:3] = 7.0
    return y


def setitem_broadcast_scalar(make, x, v):
    y = x * 2
    y[1:] = v.sum()
    return y


def setitem_indices(make, x, v):
    y = x * 2
    y[[2, 0]] = v * 3
    return y


def setitem_pairs(make, x, v):
    y = x * 2
    y[[0, 1, 2], [3, 1, 0]] = v[:3]
    return y


def setitem_mask(make, x, v):
    y = x * 2
    y[make(A) > 1.0] = v.mean()
    return y


def setitem_into_a_constant(make, x, v):
    y = make(np.zeros((3, 4)))
    y[1] = v
    y[2] = x[0] * v
    return y * y


def add_in_place(make, x, v):
    y = x * 2
    y += v
    y *= 3
    y -= x
    y /= 2
    return y


def power_in_place(make, x, v):
    y = x * 1
    y **= 3
    return y


def in_place_on_a_view(make, x, v):
    y = x * 2
    row = y[1]
    row *= v
    return y


def in_place_on_a_view_of_a_view(make, x, v):
    y = x * 2
    block = y[1:].reshape(2, 2, 2)
    block[0] += 10
    t = block[1].T
    t *= v[:2]
    return y * y


def edit_of_the_base_reaches_the_view(make, x, v):
    y = x * 2
    row = y[1]
    y += v
    return row * row


def edit_of_one_view_reaches_the_other(make, x, v):
    y = x * 2
    top, left = y[:2], y[:, :2]
    top *= 3
    left += 1
    return (top.sum() + left.sum() * 2) * y.sum()


def view_made_before_and_used_after(make, x, v):
    y = x * 2
    column = y[:, 1]
    y[1] = v
    return column


def transposed_view(make, x, v):
    y = x * 2
    y.T[1] = v[:3]
    return y


def edit_through_transpose_of_slice(make, x, v):
    y = x * 1
    y.T[1:3][0] *= 2
    return y


def constant_base_edited_through_a_view(make, x, v):
    y = make(np.ones((3, 4)))
    row = y[1]
    row *= v
    row += 1
    return y


def loop_of_edits(make, x, v):
    y = make(np.zeros(4))
    for i in range(4):
        y[i] = v[i] * (y[i - 1].clone() if i else 1.0)
    return y


def one_element_is_a_view(make, x, v):
    y = x * 2
    element = y[1][2]
    y += v
    element *= 3
    return y * element


def edits_of_a_detached_copy(make, x, v):
    y = x.detach().clone()
    y += v
    return y * x


def edited_after_its_last_use(make, x, v):
    y = x * 2
    z = y + v
    y += 100
    return z


def saved_by_addition_only(make, x, v):
    y = x * 2
    z = y + 1
    y[0] = 0.0
    return z + y


PROGRAMS = [
    f
    for f in list(globals().values())
    if inspect.isfunction(f) and list(inspect.signature(f).parameters) == ["make", "x", "v"]
]


@pytest.mark.parametrize("program", PROGRAMS, ids=[f.__name__ for f in PROGRAMS])
def test_program(program, both):
    both.run(program, A, V)


def test_named_in_place_methods(both):
    def program(make, x, v):
        y = x * 1
        y.add_(v).mul_(2).sub_(1).div_(3)
        y[0].zero_()
        y[1].fill_(2.0)
        y[2].copy_(v)
        y.clamp_(0.0, 2.5)
        return y.exp_()

    both.run(program, A, V)


# ---- what PyTorch spells differently, against the functional equivalent ----------------------------------------------


def test_overlapping_assignment():
    """x[1:] = x[:-1] reads all old values first."""
    x = leaf([1.0, 2.0, 3.0, 4.0])
    y = x * 1
    y[1:] = y[:-1]
    close(y, [1.0, 1.0, 2.0, 3.0])
    y.backward([1.0, 10.0, 100.0, 1000.0])
    close(x.grad, [11.0, 100.0, 1000.0, 0.0])


def test_reversal_onto_itself():
    x = leaf([1.0, 2.0, 3.0])
    y = x * 1
    y[...] = y[::-1]
    close(y, [3.0, 2.0, 1.0])
    y.backward([1.0, 10.0, 100.0])
    close(x.grad, [100.0, 10.0, 1.0])


def test_assignment_of_itself():
    x = leaf([1.0, 2.0])
    y = x * 2
    y[:] = y
    y[0] = y[0]
    y.backward([1.0, 10.0])
    close(x.grad, [2.0, 20.0])


def test_product_with_itself_in_place():
    """The rule needs the old value, which the edit overwrites: it keeps a copy. (PyTorch refuses.)"""
    x = leaf([1.0, 2.0])
    y = x + 1
    y *= y
    close(y, [4.0, 9.0])
    y.backward([1.0, 10.0])
    close(x.grad, [4.0, 60.0])


def test_sum_of_overlapping_views_in_place():
    x = leaf([1.0, 2.0, 3.0])
    y = x * 1
    y[1:] += y[:-1]
    close(y, [1.0, 3.0, 5.0])
    y.backward([1.0, 10.0, 100.0])
    close(x.grad, [11.0, 110.0, 100.0])


def test_out():
    x, v = leaf(A), leaf(V)
    y = mg.zeros(3, 4, dtype=np.float64)
    assert mg.multiply(x, v, out=y) is y
    close(y, A * V)
    y.sum().backward()
    close(x.grad, np.broadcast_to(V, (3, 4)))
    close(v.grad, A.sum(0))
    with pytest.raises(ShapeError, match=r"the shape must stay: the tensor is \(2,\), the result \(3, 4\)"):
        mg.exp(x, out=mg.zeros(2, dtype=np.float64))
    with pytest.raises(DTypeError, match="dtype must stay"):
        mg.exp(x, out=mg.zeros(3, 4, dtype=np.int64))
    with pytest.raises(DTypeError, match="out must be a Tensor"):
        mg.exp(x, out=np.zeros((3, 4)))


def test_out_into_a_view():
    x = leaf(V)
    y = mg.zeros(2, 4, dtype=np.float64)
    mg.exp(x, out=y[1])
    close(y, [np.zeros(4), np.exp(V)])
    y.sum().backward()
    close(x.grad, np.exp(V))


def test_second_order_through_edits():
    x = leaf([1.0, 2.0, 3.0])
    y = x**3
    row = y[1:]
    row *= x[:2]
    (g,) = autograd.grad(y.sum(), x, create_graph=True)
    # y = x0^3, x1^3 x0, x2^3 x1
    close(g, [3 + 8, 12 * 1 + 27, 27 * 2])
    (h,) = autograd.grad(g.sum(), x)
    close(h, [6 + 12, 12 + 12 + 27, 27 + 36])


def test_float32_stays_float32_in_place():
    y = mg.tensor([1.0, 2.0]) * 1
    y += np.ones(2)
    y *= 2.5
    y[0] = np.float64(3.0)
    assert y.dtype == np.float32
    z = mg.tensor([1, 2])
    z += 1
    assert z.dtype == np.int64
    with pytest.raises(DTypeError, match="the dtype must stay: the tensor is int64, the result float"):
        z += 0.5


# ---- under no_grad, and leaves ---------------------------------------------------------------------------------------


def test_leaves_are_updated_under_no_grad_only():
    w = leaf([1.0, 2.0])
    for edit in (lambda: w.add_(1), lambda: w.__setitem__(0, 5.0), lambda: w[0:1].mul_(2), lambda: mg.exp(w, out=w)):
        with pytest.raises(GradError, match=r"in place on a leaf that requires a gradient.*no_grad"):
            edit()
    close(w, [1.0, 2.0])
    with mg.no_grad():
        w -= 0.5
        w[0] = 7.0
    close(w, [7.0, 1.5])
    assert w.is_leaf and w.requires_grad
    (w * w).sum().backward()
    close(w.grad, [14.0, 3.0])


def test_detached_alias_of_a_leaf_may_be_edited():
    w = leaf([1.0, 2.0])
    w.detach()[0] = 5.0
    w.data += 1
    close(w, [6.0, 3.0])
    w.data = np.array([1.0, 1.0])
    close(w, [1.0, 1.0])
    assert w.is_leaf
    with pytest.raises(ShapeError, match="data: must keep the shape"):
        w.data = np.zeros(3)


def test_no_grad_edit_keeps_the_history():
    """As in PyTorch: under no_grad the values change and the graph does not."""
    x = leaf([1.0, 2.0])
    y = x * 3
    with mg.no_grad():
        y += 100
    y.sum().backward()
    close(x.grad, [3.0, 3.0])


# ---- errors: a saved value was overwritten ---------------------------------------------------------------------------


def line():
    return inspect.currentframe().f_back.f_lineno


def refused(backward, op, edit, at, *, versions):
    with pytest.raises(GradError) as error:
        backward()
    text = str(error.value)
    assert f"backward: {op} saved" in text
    assert f"but {edit} at {__file__}:{at} overwrote it" in text, text
    saved, now = versions
    assert f"at version {saved} of the buffer" in text and f"it is at version {now} now" in text
    assert "x.clone()" in text


def test_saved_input_overwritten():
    x = leaf([1.0, 2.0])
    y = x * 2
    z = mg.sin(y)
    at = line() + 1
    y += 1
    refused(z.sum().backward, "sin", "add", at, versions=(0, 1))


def test_saved_output_overwritten():
    x = leaf([1.0, 2.0])
    y = mg.exp(x)
    at = line() + 1
    y[0] = 5.0
    refused(y.sum().backward, "exp", "setitem", at, versions=(0, 1))


def test_saved_output_overwritten_after_other_edits():
    x = leaf([1.0, 2.0])
    y = x * 1
    y += 1
    y *= 2
    z = mg.sin(y)
    at = line() + 1
    y -= 3
    y -= 4
    refused(z.sum().backward, "sin", "subtract", at, versions=(2, 4))


def test_overwritten_through_views_and_bases():
    for make in (
        lambda y: (y[1:], y),  # an edit of the view
        lambda y: (y, y[1:]),  # an edit of the base
        lambda y: (y[:1].reshape(1, 1), y),
        lambda y: (y.detach(), y),
    ):
        y = leaf([1.0, 2.0, 3.0]) * 1
        edited, saved = make(y)
        z = mg.sin(saved)
        with mg.no_grad():
            edited += 1
        with pytest.raises(GradError, match="sin saved its input"):
            z.sum().backward()


def test_parameter_updated_between_forward_and_backward():
    w, x = leaf(np.ones((2, 2))), leaf(np.ones((1, 2)))
    loss = (x @ w).sum()
    with mg.no_grad():
        w -= 0.1
    with pytest.raises(GradError, match="matmul saved its input"):
        loss.backward()
    assert x.grad is None and w.grad is None


def test_edit_of_a_part_that_nobody_saved_is_fine():
    """Buffers are versioned as wholes: an edit of another part of a saved buffer is refused too, as in PyTorch."""
    y = leaf([1.0, 2.0]) * 1
    z = mg.sin(y[:1])
    y[1:] = 0.0
    with pytest.raises(GradError, match="sin saved"):
        z.sum().backward()


def test_error_only_if_the_gradient_is_asked_for():
    x, w = leaf([1.0]), leaf([2.0])
    y = x * 1
    z = y * w  # saves y for w, and w for y
    y += 1
    with pytest.raises(GradError, match="multiply saved"):
        z.sum().backward()


def test_same_under_create_graph():
    y = leaf([1.0]) * 1
    z = mg.sin(y)
    y += 1
    with pytest.raises(GradError, match="sin saved"):
        z.sum().backward(create_graph=True)


# ---- bad edits leave everything as it was ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    "edit, error, words",
    [
        (lambda y: y.__setitem__(5, 1.0), IndexRangeError, "out of bounds"),
        (lambda y: y.__setitem__((0, 0, 0), 1.0), IndexRangeError, "too many indices"),
        (lambda y: y.__setitem__(0, np.zeros(3)), ShapeError, r"must broadcast to x\[key\]: got \(3,\) for \(4,\)"),
        (lambda y: y.__iadd__(np.zeros((2, 3, 4))), ShapeError, "the shape must stay"),
        (lambda y: y.__iadd__(np.zeros(3)), ShapeError, "broadcast"),
        (lambda y: y.__setitem__("a", 1.0), DTypeError, "an index is an integer"),
        (lambda y: y.__setitem__(0.5, 1.0), DTypeError, "an index is an integer"),
        (lambda y: y.__imatmul__(np.zeros((4, 2))), ShapeError, "the shape must stay"),
    ],
)
def test_bad_edit(edit, error, words):
    x = leaf(A)
    y = x * 2
    with pytest.raises(error, match=words):
        edit(y)
    close(y, A * 2)
    y.sum().backward()
    close(x.grad, np.full((3, 4), 2.0))


def test_read_only_memory():
    y = mg.broadcast_to(mg.tensor([1.0, 2.0]), (3, 2))
    with pytest.raises(ArgumentError, match=r"read-only.*clone"):
        y += 1
    lent = np.ones(3)
    lent.flags.writeable = False
    with pytest.raises(ArgumentError, match="read-only"):
        mg.asarray(lent)[0] = 5


def test_numpy_memory_is_shared_by_asarray_and_copied_by_tensor():
    data = np.zeros(3)
    mg.asarray(data)[0] = 1.0
    mg.tensor(data)[1] = 1.0
    assert data.tolist() == [1.0, 0.0, 0.0]


# ---- random programs -------------------------------------------------------------------------------------------------

STEPS = st.lists(
    st.tuples(
        st.sampled_from(
            ["view", "transpose", "reshape", "set", "set_self", "add", "mul", "mul_self", "out_of_place", "clone"]
        ),
        st.integers(0, 7),
        st.integers(0, 7),
        st.integers(-3, 3),
    ),
    min_size=1,
    max_size=9,
)


def interpret(steps, x, w):
    """Runs the steps on tensors of either library: a growing list of tensors, views and edits chosen by number."""
    alive = [x * 1.5, w * x]
    for kind, i, j, k in steps:
        a, b = alive[i % len(alive)], alive[j % len(alive)]
        size = a.shape[0] if len(a.shape) else 0
        if kind == "view" and size > 1:
            alive.append(a[1:] if k % 2 else a[k % size])
        elif kind == "transpose" and len(a.shape) == 2:
            alive.append(a.T)
        elif kind == "reshape" and tuple(a.shape) == (2, 2):
            alive.append(a.reshape(4))
        elif kind == "set" and size:
            a[k % size] = b.sum() * 0.5
        elif kind == "set_self" and size > 1:
            a[: size - 1] = a[1:] * 0.5
        elif kind == "add":
            a += b.sum() * 0.25
        elif kind == "mul":
            a *= 0.5 * k
        elif kind == "mul_self":
            a *= a * 0.5
        elif kind == "out_of_place":
            alive.append(a * b.mean())
        elif kind == "clone":
            alive.append(a.clone())
    total = 0.0
    for n, a in enumerate(alive):
        total = total + (a * (n + 1.0)).sum()
    return total


@settings(max_examples=300, deadline=None, derandomize=True)
@given(STEPS)
def test_random_program_as_in_torch(steps):
    torch = pytest.importorskip("torch")
    data = np.array([[0.3, -0.7], [1.1, 0.4]])
    tx = torch.tensor(data, requires_grad=True)
    tw = torch.tensor(data + 1, requires_grad=True)
    try:
        expected = interpret(steps, tx, tw)
        expected.backward()
    except RuntimeError:
        expected = None
    x, w = leaf(data), leaf(data + 1)
    try:
        y = interpret(steps, x, w)
        y.backward()
    except MinigradError as error:
        assert isinstance(error, GradError)
        assert expected is None, f"PyTorch computes this gradient: {error}"
        return
    if expected is not None:
        close(y, expected.item())
        close(x.grad, tx.grad.numpy())
        close(w.grad, tw.grad.numpy())
    else:  # we can where PyTorch refuses: the slope along a direction, from the values alone
        h = 1e-6
        up, down = (interpret(steps, mg.tensor(data + d), mg.tensor(data + 1 - d)).item() for d in (h, -h))
        slope = (x.grad.numpy() - w.grad.numpy()).sum()
        np.testing.assert_allclose(slope, (up - down) / (2 * h), rtol=1e-6, atol=1e-6)


def test_a_parameter_is_a_leaf_whatever_it_was_made_of():
    weight = mg.nn.Linear(2, 2).weight
    for edit in (lambda: weight.mul_(2), lambda: weight[0].zero_(), lambda: weight.T.fill_(1.0)):
        with pytest.raises(GradError, match="in place on a leaf that requires a gradient"):
            edit()
    with mg.no_grad():
        weight[0].zero_()
    weight.data.T[0, 1] = 3.0
    assert weight[0, 0].item() == 0 and weight[1, 0].item() == 3
