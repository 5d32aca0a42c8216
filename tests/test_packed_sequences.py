"""Sequences of several lengths: padding and packing, recurrent layers over them; each sequence alone is the oracle, and
PyTorch where installed."""

import inspect

import numpy as np
import pytest

import minigrad as mg
from minigrad import nn
from minigrad.errors import ArgumentError, DTypeError, ShapeError
from minigrad.nn.utils import rnn
from minigrad.testing import gradcheck

LENGTHS = {"mixed": [3, 7, 1, 5], "equal": [4, 4, 4, 4], "one-long": [9, 1, 1, 1], "rising": [1, 2, 3, 9]}
LAYERS = {
    "plain": {},
    "deep": {"num_layers": 2, "bidirectional": True},
    "projected": {"proj_size": 3, "num_layers": 2, "bidirectional": True, "batch_first": True},
}
CASES = [(k, name) for k in ("RNN", "LSTM", "GRU") for name in LAYERS if name != "projected" or k == "LSTM"]


def normal(*shape, seed=0):
    return np.random.default_rng(seed).standard_normal(shape)


def tensors(lengths, width=2, **options):
    return [mg.tensor(normal(n, width, seed=n), **options) for n in lengths]


@pytest.fixture(scope="module")
def torch():
    return pytest.importorskip("torch", reason="PyTorch is the oracle of this test")


# ---- padding and packing ---------------------------------------------------------------------------------------------
@pytest.mark.parametrize("side", ["left", "right"])
@pytest.mark.parametrize("batch_first", [False, True])
def test_pad_and_unpad(batch_first, side, backend):
    sequences = [mg.asarray(normal(n, 2, seed=n)) for n in (3, 0, 5)]
    padded = rnn.pad_sequence(sequences, batch_first, -1.5, side).numpy()
    assert padded.shape == ((3, 5, 2) if batch_first else (5, 3, 2))
    rows = padded if batch_first else padded.swapaxes(0, 1)
    for row, s in zip(rows, sequences, strict=True):
        n = len(s)
        inside, outside = (row[5 - n :], row[: 5 - n]) if side == "left" else (row[:n], row[n:])
        np.testing.assert_array_equal(inside, s.numpy())
        assert (outside == -1.5).all()
    if side == "right":
        for a, b in zip(rnn.unpad_sequence(mg.asarray(padded), [3, 0, 5], batch_first), sequences, strict=True):
            np.testing.assert_array_equal(a.numpy(), b.numpy())


@pytest.mark.parametrize("name", LENGTHS)
def test_pack_and_unpack(name, backend):
    lengths = LENGTHS[name]
    sequences = [mg.asarray(normal(n, 2, seed=n)) for n in lengths]
    packed = rnn.pack_sequence(sequences, enforce_sorted=False)
    assert packed.batch_sizes.tolist() == [sum(n > t for n in lengths) for t in range(max(lengths))]
    order = packed.sorted_indices.tolist()
    assert [order[i] for i in packed.unsorted_indices.tolist()] == [0, 1, 2, 3]
    expected = [sequences[i].numpy()[t] for t in range(max(lengths)) for i in order if lengths[i] > t]
    np.testing.assert_array_equal(packed.data.numpy(), np.array(expected))
    for a, b in zip(rnn.unpack_sequence(packed), sequences, strict=True):
        np.testing.assert_array_equal(a.numpy(), b.numpy())
    padded, n = rnn.pad_packed_sequence(packed, True, 7.0, total_length=12)
    assert n.tolist() == lengths and padded.shape == (4, 12, 2)
    assert (padded.numpy()[np.arange(12) >= np.array(lengths)[:, None]] == 7).all()
    again = rnn.pack_padded_sequence(padded, n, batch_first=True, enforce_sorted=False)
    np.testing.assert_array_equal(again.data.numpy(), packed.data.numpy())
    assert again.to("float32").data.dtype == np.float32


def test_gradients_pass_through():
    xs = tensors([2, 3, 1], requires_grad=True)
    assert gradcheck(lambda *xs: rnn.pad_sequence(xs, padding_value=2.0), xs)
    assert gradcheck(lambda *xs: rnn.pad_packed_sequence(rnn.pack_sequence(xs, enforce_sorted=False))[0], xs)


def test_integers_and_several_axes():
    packed = rnn.pack_sequence([mg.tensor([1, 2, 3]), mg.tensor([4])])
    assert packed.data.tolist() == [1, 4, 2, 3] and packed.sorted_indices is None
    images = [mg.rand(n, 2, 3, 4) for n in (2, 1)]
    assert rnn.pad_sequence(images).shape == (2, 2, 2, 3, 4)
    assert rnn.pack_sequence(images).data.shape == (3, 2, 3, 4)


def test_errors():
    x = mg.ones(5, 3, 2)
    for lengths, error, match in (
        ([5, 4], ShapeError, "one entry for each of the 3 sequences"),
        ([5, 4, -1], ArgumentError, r"from 0 to the 5 steps there are: got -1"),
        ([6, 4, 1], ArgumentError, r"from 0 to the 5 steps there are: got 6"),
        ([5, 4, 0], ArgumentError, "every length must be at least 1: got 0 at position 2"),
        ([4, 5, 1], ArgumentError, r"must not increase: got \[4, 5, 1\]. Pass enforce_sorted=False"),
        ([4.0, 2.0, 1.0], DTypeError, "lengths must be integers"),
    ):
        with pytest.raises(error, match=match):
            rnn.pack_padded_sequence(x, lengths)
    with pytest.raises(ShapeError, match=r"input must be \(T, B, \*\)"):
        rnn.pack_padded_sequence(mg.ones(5), [5])
    with pytest.raises(ShapeError, match="at least one sequence"):
        rnn.pack_padded_sequence(mg.ones(5, 0, 2), [])
    with pytest.raises(ArgumentError, match="at least one sequence"):
        rnn.pad_sequence([])
    with pytest.raises(ShapeError, match=r"differ in L alone: got \(3, 2\), \(3, 1\)"):
        rnn.pad_sequence([mg.ones(3, 2), mg.ones(3, 1)])
    with pytest.raises(ArgumentError, match="'left' or 'right'"):
        rnn.pad_sequence([mg.ones(3)], padding_side="top")
    packed = rnn.pack_padded_sequence(x, [5, 4, 1])
    with pytest.raises(ArgumentError, match="at least the longest length, 5: got 4"):
        rnn.pad_packed_sequence(packed, total_length=4)
    with pytest.raises(DTypeError, match="needs a PackedSequence: got Tensor"):
        rnn.pad_packed_sequence(x)
    with pytest.raises(ArgumentError, match="never increase, and add up to the 10 rows"):
        rnn.pad_packed_sequence(packed._replace(batch_sizes=mg.tensor([3, 2, 2, 2])))
    with pytest.raises(ShapeError, match=r"packed data must be \(N, 4\): got shape \(10, 2\)"):
        nn.GRU(4, 3)(packed)
    with pytest.raises(ShapeError, match=r"h_0 must have shape \(1, 3, 3\)"):
        nn.GRU(2, 3)(packed, mg.zeros(1, 2, 3))
    with pytest.raises(DTypeError, match="must have the weights' dtype, float32: got float64"):
        nn.GRU(2, 3)(packed.to("float64"))
    with pytest.raises(ArgumentError, match="batch_first must be True or False: got 1"):
        nn.GRU(2, 3, batch_first=1)
    with pytest.raises(ArgumentError, match="proj_size is for LSTM alone"):
        nn.GRU(4, 3, proj_size=2)


# ---- recurrent layers ------------------------------------------------------------------------------------------------
def states(kind, options, b, seed=5):
    n = options.get("num_layers", 1) * (1 + options.get("bidirectional", False))
    sizes = [options.get("proj_size", 4)] + [4] * (kind == "LSTM")
    return [normal(n, b, size, seed=seed + i) for i, size in enumerate(sizes)]


def pair(xs):
    return tuple(xs) if len(xs) > 1 else xs[0]


@pytest.mark.parametrize("name", LENGTHS)
@pytest.mark.parametrize("kind, options", CASES)
def test_packed_is_each_sequence_alone(kind, options, name, backend):
    options, lengths = LAYERS[options], LENGTHS[name]
    layer = getattr(nn, kind)(5, 4, **options).double()
    xs = [normal(n, 5, seed=n) for n in lengths]
    start = states(kind, options, 4)
    packed = rnn.pack_sequence([mg.asarray(x) for x in xs], enforce_sorted=False)
    y, last = layer(packed, pair([mg.asarray(s) for s in start]))
    last = last if isinstance(last, tuple) else (last,)
    for i, (x, ours) in enumerate(zip(xs, rnn.unpack_sequence(y), strict=True)):
        alone, ends = layer(mg.asarray(x), pair([mg.asarray(s[:, i]) for s in start]))
        np.testing.assert_allclose(ours.detach().numpy(), alone.detach().numpy(), rtol=0, atol=1e-12)
        for a, b in zip(last, ends if isinstance(ends, tuple) else (ends,), strict=True):
            np.testing.assert_allclose(a.detach().numpy()[:, i], b.detach().numpy(), rtol=0, atol=1e-12)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("given", [False, True])
@pytest.mark.parametrize("kind, options", CASES)
def test_packed_is_pytorchs(kind, options, given, dtype, torch):
    """More sequences than one tile takes, with gradients of input, states and parameters."""
    options = LAYERS[options]
    lengths = np.random.default_rng(3).integers(1, 12, 21)
    theirs = getattr(torch.nn, kind)(5, 4, **options).to(getattr(torch, dtype))
    ours = getattr(nn, kind)(5, 4, **options).to(dtype)
    ours.load_state_dict(theirs.state_dict())
    x, start = normal(12, 21, 5).astype(dtype), [s.astype(dtype) for s in states(kind, options, 21)]

    def run(layer, tensor, rnn):
        inputs = [tensor(a, requires_grad=True) for a in (x, *start)]
        packed = rnn.pack_padded_sequence(inputs[0], tensor(lengths), enforce_sorted=False)
        y, last = layer(packed, pair(inputs[1:])) if given else layer(packed)
        padded, _ = rnn.pad_packed_sequence(y)  # PyTorch sorts equal lengths in any order
        results = [padded, *(last if isinstance(last, tuple) else (last,))]
        weights = [np.cos(np.arange(np.prod(r.shape))).reshape(tuple(r.shape)).astype(dtype) for r in results]
        sum((r * tensor(w)).sum() for r, w in zip(results, weights, strict=True)).backward()
        return [*results, *(t.grad for t in inputs[: 1 + len(start) * given]), *(p.grad for p in layer.parameters())]

    tolerance = {"float32": 1e-5, "float64": 1e-12}[dtype]
    expected = run(theirs, torch.tensor, torch.nn.utils.rnn)
    for i, (a, b) in enumerate(zip(run(ours, mg.tensor, rnn), expected, strict=True)):
        a, b = a.detach().numpy(), b.detach().numpy()
        np.testing.assert_allclose(a, b, rtol=0, atol=tolerance * max(1, np.abs(b).max()), err_msg=f"number {i}")


@pytest.mark.parametrize("kind", ["RNN", "LSTM", "GRU"])
def test_packed_gradients(kind):
    layer = getattr(nn, kind)(2, 3, bidirectional=True).double()
    xs = tensors([2, 4, 1], requires_grad=True)

    def last(*xs):
        y, states = layer(rnn.pack_sequence(xs, enforce_sorted=False))
        return y.data, *(states if isinstance(states, tuple) else (states,))

    assert gradcheck(last, xs)


def test_a_sequence_with_nan_spoils_no_other():
    layer, xs = nn.LSTM(3, 4, bidirectional=True), [mg.rand(n, 3) for n in (5, 3, 2)]
    xs[1] = xs[1] * float("nan")
    y, (h, c) = layer(rnn.pack_sequence(xs))
    assert [bool(np.isnan(s.detach().numpy()).any()) for s in rnn.unpack_sequence(y)] == [False, True, False]
    for state in (h, c):
        assert np.isnan(state.detach().numpy()).any(axis=(0, 2)).tolist() == [False, True, False]


def test_dropout_between_packed_layers():
    layer, packed = nn.GRU(3, 4, 2, dropout=0.5), rnn.pack_sequence([mg.rand(n, 3) for n in (5, 3)])
    run = lambda: layer(packed)[0].data.detach().numpy()
    assert np.abs(run() - run()).max() > 1e-4
    layer.eval()
    np.testing.assert_array_equal(run(), run())


# ---- against PyTorch -------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    "name",
    [
        "pack_padded_sequence",
        "pad_packed_sequence",
        "pad_sequence",
        "unpad_sequence",
        "pack_sequence",
        "unpack_sequence",
    ],
)
def test_signature(name, torch):
    described = lambda function: [(p.name, p.default) for p in inspect.signature(function).parameters.values()]
    assert described(getattr(rnn, name)) == described(getattr(torch.nn.utils.rnn, name))
    assert rnn.PackedSequence._fields == torch.nn.utils.rnn.PackedSequence._fields


@pytest.mark.parametrize("name", LENGTHS)
@pytest.mark.parametrize("batch_first", [False, True])
def test_packing_is_pytorchs(batch_first, name, torch):
    x, lengths = normal(4, 9, 2) if batch_first else normal(9, 4, 2), LENGTHS[name]
    ours = rnn.pack_padded_sequence(mg.tensor(x), lengths, batch_first, enforce_sorted=False)
    theirs = torch.nn.utils.rnn.pack_padded_sequence(torch.tensor(x), lengths, batch_first, enforce_sorted=False)
    np.testing.assert_array_equal(ours.data.numpy(), theirs.data.numpy())
    np.testing.assert_array_equal(ours.batch_sizes.numpy(), theirs.batch_sizes.numpy())
    a, b = (
        rnn.pad_packed_sequence(ours, batch_first, -1.0),
        torch.nn.utils.rnn.pad_packed_sequence(theirs, batch_first, -1.0),
    )
    for u, v in zip(a, b, strict=True):
        np.testing.assert_array_equal(u.numpy(), v.numpy())
