"""The kernels of recurrent layers against their reference bodies."""

import numpy as np
import pytest

import minigrad as mg
from minigrad import nn, testing
from minigrad.gradients import grad
from minigrad.primitive import case
from minigrad.tensor import F

KERNEL = mg.get_backend("numba").F
REFERENCE = mg.get_backend("numpy").F
NETWORKS = {"lstm": (4, 2, {}), "gru": (3, 1, {}), "rnn": (1, 1, {}), "relu": (1, 1, {"relu": True})}
SIZES = [(5, 33, 7, 19), (3, 70, 1, 5), (130, 2, 40, 33), (1, 9, 70, 64), (2, 300, 3, 1)]  # T, B, I, H


def made(kind, sizes, dtype=np.float64, bias=True):
    """The arguments of a sequence, weights small enough that rounding does not grow over time."""
    t, b, i, h = sizes
    gates, states, options = NETWORKS[kind]
    rng = np.random.default_rng(11)
    normal = lambda scale, *shape: (scale * rng.standard_normal(shape)).astype(dtype)
    weights = normal(0.5 * i**-0.5, gates * h, i), normal(0.5 * h**-0.5, gates * h, h)
    biases = (normal(0.5, gates * h), normal(0.5, gates * h)) if bias else ()
    return [normal(1, t, b, i), *(normal(1, b, h) for _ in range(states)), *weights, *biases], options


def both(kind, args, dtype=np.float64, **options):
    """(outputs, gradients) of the kernel and of the reference; dy is the same for both."""
    name, states = kind.replace("relu", "rnn"), NETWORKS[kind][1]
    found = []
    for f in (KERNEL, REFERENCE):
        outs = getattr(f, f"{name}_sequence")(*args, **options)
        outs = outs if isinstance(outs, tuple) else (outs,)
        saved = found[0][2] if found else outs
        dy = np.random.default_rng(3).standard_normal(outs[0].shape).astype(dtype)
        with np.errstate(all="ignore"):
            back = getattr(f, f"{name}_sequence_backward")(dy, *args[: states + 3], *saved, **options)
        found.append((outs, back, saved))
    return found


def close(got, expected, dtype, factor=200):
    assert len(got) == len(expected)
    for k, (a, b) in enumerate(zip(got, expected, strict=True)):
        assert a.shape == b.shape
        assert a.dtype == b.dtype == dtype
        scale = np.abs(b[np.isfinite(b)]).max(initial=1)
        np.testing.assert_allclose(a, b, rtol=0, atol=factor * np.finfo(dtype).eps * scale, err_msg=f"output {k}")


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("reverse", [False, True])
@pytest.mark.parametrize("kind", NETWORKS)
def test_kernel_is_the_reference(kind, reverse, dtype):
    for sizes in SIZES:
        for bias in (True, False):
            args, options = made(kind, sizes, dtype, bias)
            ours, theirs = both(kind, args, dtype, reverse=reverse, **options)
            close(ours[0], theirs[0], dtype)
            close(ours[1], theirs[1], dtype)


@pytest.mark.parametrize("kind", NETWORKS)
def test_any_memory_layout(kind):
    args, options = made(kind, (4, 40, 6, 9))
    plain = both(kind, args, **options)[0]
    for layout in (np.asfortranarray, testing.strided, testing.frozen):
        other = both(kind, [layout(a) for a in args], **options)[0]
        for a, b in zip((*plain[0], *plain[1]), (*other[0], *other[1]), strict=True):
            np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("kind", NETWORKS)
def test_nan_and_infinity_stay_in_their_row(kind, value):
    args, options = made(kind, (5, 40, 6, 9))
    args[0][2, 17, 3] = value
    with np.errstate(all="ignore"):
        ours, theirs = both(kind, args, **options)
    for a, b in zip((*ours[0], *ours[1]), (*theirs[0], *theirs[1]), strict=True):
        np.testing.assert_array_equal(np.isnan(a), np.isnan(b))
        np.testing.assert_array_equal(np.isposinf(a), np.isposinf(b))
    assert np.isfinite(np.delete(ours[0][0], 17, axis=1)).all()


@pytest.mark.parametrize("kind", ["lstm", "gru"])
def test_check_kernel(kind):
    gates, states, _ = NETWORKS[kind]
    h = 5  # T is H too, so that scaling the lengths leaves it
    sample = [(h, 60, 7), *[(60, h)] * states, (gates * h, 7), (gates * h, h), (gates * h,), (gates * h,)]
    assert testing.check_kernel(f"{kind}_sequence", samples=[case(*sample), case(*sample[:-2], reverse=True)])


@pytest.mark.parametrize("kind", NETWORKS)
def test_threads_change_roundings_of_weights_only(kind):
    args, options = made(kind, (6, 50, 20, 40), np.float32)
    before, found = mg.get_num_threads(), []
    try:
        for threads in (1, 2, 3):
            mg.set_num_threads(threads)
            found.append(both(kind, args, np.float32, **options)[0])
    finally:
        mg.set_num_threads(before)
    states = NETWORKS[kind][1]
    for outs, back, _ in found[1:]:
        for a, b in zip((*found[0][0], *found[0][1][: 1 + states]), (*outs, *back[: 1 + states]), strict=True):
            np.testing.assert_array_equal(a, b)
        close(back[1 + states :], found[0][1][1 + states :], np.float32, factor=50)


@pytest.mark.parametrize("kind", NETWORKS)
def test_without_the_gradient_of_the_input(kind):
    args, options = made(kind, (4, 40, 6, 9))
    whole, part = (both(kind, args, input_gradient=wanted, **options) for wanted in (True, False))
    for (_, full, _), (_, rest, _) in zip(whole, part, strict=True):
        assert rest[0].shape == (0, 40, 6)
        for a, b in zip(full[1:], rest[1:], strict=True):
            np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize("kind", ["LSTM", "GRU", "RNN"])
def test_layers_agree_on_both_backends(kind):
    """Outputs, the gradients of all parameters and of the input, to first and through the recorded gradient."""
    layer = getattr(nn, kind)(5, 9, 2, bidirectional=True).double()
    x = mg.tensor(np.random.default_rng(2).standard_normal((6, 20, 5)), requires_grad=True)
    found = []
    for backend in ("numpy", "numba"):
        with mg.use_backend(backend):
            y, last = layer(x)
            first = last[1] if kind == "LSTM" else last
            inputs = [x, *layer.parameters()]
            gs = grad((y * y).sum() + first.sum(), inputs, create_graph=True)
            second = grad((gs[0] * gs[0]).sum(), inputs)
            plain = grad((layer(x)[0] ** 2).sum(), inputs)
        found.append([a.detach().numpy() for a in (y, first, *gs, *second, *plain)])
    for a, b in zip(*found, strict=True):
        np.testing.assert_allclose(a, b, rtol=0, atol=1e-11 * np.abs(a).max(initial=1))


def test_shapes_that_do_not_fit():
    args, _ = made("lstm", (3, 50, 4, 6))
    for k, wrong in ((0, np.zeros((0, 50, 4))), (1, np.zeros((49, 6))), (3, np.zeros((24, 5))), (5, np.zeros(23))):
        bad = [mg.tensor(wrong if i == k else a) for i, a in enumerate(args)]
        with pytest.raises(mg.errors.ShapeError, match="lstm_sequence:"):
            F.lstm_sequence(*bad)


# ---- one step --------------------------------------------------------------------------------------------------------
GATES = {"lstm": (4, 5), "gru": (3, 4)}  # of x, and of what is saved


def step(kind, b, h, dtype, layout=np.array):
    """(outputs, gradients) of the kernels and of the reference for one step."""
    many, wide = GATES[kind]
    rng = np.random.default_rng(7)
    normal = lambda *shape: layout(rng.standard_normal(shape).astype(dtype))
    args, dys = [normal(b, many * h), normal(b, many * h), normal(b, h)], [normal(b, h), normal(b, h)]
    saved, found = None, []
    for f in (KERNEL, REFERENCE):
        outs = getattr(f, f"{kind}_gates")(*args)
        saved = outs[-1] if saved is None else saved
        assert saved.shape == (b, wide * h)
        found.append((outs, getattr(f, f"{kind}_gates_backward")(*dys[: len(outs) - 1], args[2], layout(saved))))
    return found


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("kind", GATES)
def test_a_step_is_the_reference(kind, dtype):
    for layout in (np.array, testing.strided, testing.frozen):
        for b, h in ((1, 90), (70, 33), (130, 64), (300, 1), (0, 5)):
            ours, theirs = step(kind, b, h, dtype, layout)
            close(ours[0], theirs[0], dtype)
            close(ours[1], theirs[1], dtype)


@pytest.mark.parametrize("kind", ["LSTM", "GRU", "RNN"])
def test_cells_are_pytorch(kind):
    """Outputs and gradients of a cell of PyTorch with the same weights."""
    torch = pytest.importorskip("torch")
    theirs = getattr(torch.nn, f"{kind}Cell")(6, 20)
    ours = getattr(nn, f"{kind}Cell")(6, 20)
    ours.load_state_dict({k: mg.tensor(v.detach().numpy()) for k, v in theirs.state_dict().items()})
    rng = np.random.default_rng(5)
    arrays = [rng.standard_normal((40, n)).astype(np.float32) for n in (6, 20, 20)]
    found = []
    for library, cell in ((mg, ours), (torch, theirs)):
        x, h, c = (library.tensor(a) for a in arrays)
        for t in (x, h, c):
            t.requires_grad_()
        out = cell(x, (h, c) if kind == "LSTM" else h)
        outs = out if kind == "LSTM" else (out,)
        sum((y * y).sum() * (k + 1) for k, y in enumerate(outs)).backward()
        leaves = [x, h, *[c] * (kind == "LSTM"), *cell.parameters()]
        found.append([a.detach().numpy() for a in (*outs, *(t.grad for t in leaves))])
    for a, b in zip(*found, strict=True):
        np.testing.assert_allclose(a, b, rtol=2e-5, atol=2e-5 * np.abs(b).max())


def test_an_edited_state_is_no_part_of_what_the_step_saved():
    """c' may be overwritten after the step: the gradient does not read it."""
    cell = nn.LSTMCell(3, 70).double()
    x = mg.tensor(np.ones((5, 3)), requires_grad=True)
    found = []
    for edit in (False, True):
        h, c = cell(x)
        loss = h.sum()
        if edit:
            c.mul_(0.0)
        (g,) = grad(loss, x)
        found.append(g.numpy())
    np.testing.assert_array_equal(*found)
