"""Layers reach their fused kernels, forward and backward: counted, on the numba backend."""

from collections import Counter

import numpy as np
import pytest

import minigrad as mg
from minigrad import nn
from minigrad.backend import get_backend
from minigrad.nn.utils.rnn import pack_padded_sequence
from minigrad.primitive import PRIMITIVES

pytest.importorskip("numba")
NAMES = [
    *("lstm_sequence", "gru_sequence", "rnn_sequence", "attention", "batch_norm"),
    *("lstm_sequence_backward", "gru_sequence_backward", "rnn_sequence_backward"),
    *("attention_backward", "batch_norm_backward"),
]


@pytest.fixture
def called():
    """Counts the calls of the kernels; only these count, not those of the references."""
    backend, counts = get_backend("numba"), Counter()
    before = {name: PRIMITIVES[name].kernels["numba"] for name in NAMES}

    def forget(name):
        PRIMITIVES[name].impl.pop(backend, None)
        backend.F.__dict__.pop(name, None)

    def counted(name, load):
        def loaded():
            kernel = load()

            def run(*arrays, **params):
                counts[name] += 1
                return kernel(*arrays, **params)

            return run

        return loaded

    for name in NAMES:
        PRIMITIVES[name].kernels["numba"] = [(when, counted(name, load)) for when, load in before[name]]
        forget(name)
    with mg.use_backend("numba"):
        yield counts
    for name in NAMES:
        PRIMITIVES[name].kernels["numba"] = before[name]
        forget(name)


def trained(layer, *inputs, **options):
    y = layer(*inputs, **options)
    while isinstance(y, tuple):
        y = y[0]
    (y * y).sum().backward()
    assert all(np.abs(p.grad.numpy()).max() > 0 for p in layer.parameters())


@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize("kind", ["LSTM", "GRU", "RNN"])
def test_recurrent_layers(kind, packed, called):
    layer = getattr(nn, kind)(8, 16, num_layers=2, bidirectional=True)
    x = mg.rand(10, 12, 8, requires_grad=True)
    trained(layer, pack_padded_sequence(x, [10] * 6 + [7] * 6) if packed else x)
    name = f"{kind.lower()}_sequence"
    assert called == {name: 4, f"{name}_backward": 4}  # layers times directions
    assert np.abs(x.grad.numpy()).max() > 0


@pytest.mark.parametrize("masked", [False, True])
def test_attention(masked, called):
    x = mg.rand(2, 24, 32, requires_grad=True)
    padding = mg.tensor(np.arange(24) >= np.array([24, 15])[:, None]) if masked else None
    trained(nn.TransformerEncoderLayer(32, 4, 64, 0.1, batch_first=True), x, None, padding)
    assert called == {"attention": 1, "attention_backward": 1}
    called.clear()
    trained(nn.TransformerDecoderLayer(32, 4, 64, 0.1, batch_first=True), x, x * 2, tgt_is_causal=True)
    assert called == {"attention": 2, "attention_backward": 2}


def test_batch_norm(called):
    trained(nn.BatchNorm2d(4), mg.rand(3, 4, 6, 6, requires_grad=True))
    assert called == {"batch_norm": 1, "batch_norm_backward": 1}


def test_the_reference_is_not_counted(called):
    with mg.use_backend("numpy"):
        trained(nn.LSTM(8, 16), mg.rand(10, 12, 8))
    assert not called
