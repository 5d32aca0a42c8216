"""Writing position by position with a cache of keys and values gives what one pass over everything gives."""

from itertools import pairwise

import numpy as np
import pytest

import minigrad as mg
import minigrad.nn.functional as F
from minigrad import nn
from minigrad.errors import ArgumentError, GradError, ShapeError

T = 12


class GPT(nn.Module):
    """Tokens so far to scores of the next, with sinusoidal positions."""

    def __init__(self, tokens=11, size=16, batch_first=True, norm_first=True):
        super().__init__()
        self.embed = nn.Embedding(tokens, size)
        self.positions = nn.PositionalEncoding(size, 0.0, batch_first=batch_first)
        layer = nn.TransformerEncoderLayer(
            size, 4, 32, 0.0, "gelu", batch_first=batch_first, norm_first=norm_first
        )  # fmt: skip
        self.body, self.head = nn.TransformerEncoder(layer, 3, nn.LayerNorm(size)), nn.Linear(size, tokens)

    def forward(self, x, cache=None):
        x = self.positions(self.embed(x), offset=cache.length if cache else 0)
        return self.head(self.body(x, is_causal=True, cache=cache))


class Rotated(nn.Module):
    """Causal attention with rotary positions and shared heads of keys, made from functions and the cache."""

    def __init__(self, size=16, heads=4, groups=2):
        super().__init__()
        self.heads, self.groups, d = heads, groups, size // heads
        self.query, self.key = nn.Linear(size, size), nn.Linear(size, groups * d)
        self.value, self.rotary = nn.Linear(size, groups * d), nn.RotaryEmbedding(d)

    def forward(self, x, cache=None):
        b, t, _ = x.shape
        split = lambda x, heads: x.reshape(b, t, heads, -1).swapaxes(1, 2)  # (B, H, T, D)
        past = cache.of(self).length if cache else 0
        q, k = self.rotary(split(self.query(x), self.heads), past), self.rotary(split(self.key(x), self.groups), past)
        v = split(self.value(x), self.groups)
        if cache:
            k, v = cache.of(self).append(k, v)
        seen = mg.asarray(np.tri(t, past + t, past, dtype=bool))
        return F.scaled_dot_product_attention(q, k, v, seen, enable_gqa=True).swapaxes(1, 2).reshape(b, t, -1)


def pieces(x, ends, axis):
    cuts = [0, *ends]
    return [x[:, a:b] if axis else x[a:b] for a, b in pairwise(cuts)]


def close(parts, whole, axis):
    np.testing.assert_allclose(mg.concat(parts, axis=axis).numpy(), whole.detach().numpy(), rtol=0, atol=1e-12)


STEPS = pytest.mark.parametrize("ends", [range(1, T + 1), (5, *range(6, T + 1)), (4, 8, T), (T,)], ids=str)


@STEPS
@pytest.mark.parametrize("axis", [0, 1])
def test_a_language_model(axis, ends, backend):
    model = GPT(batch_first=bool(axis)).double()
    x = mg.asarray(np.random.default_rng(0).integers(0, 11, (3, T) if axis else (T, 3)))
    whole, cache = model(x), nn.KeyValueCache()
    with mg.no_grad():
        close([model(piece, cache) for piece in pieces(x, ends, axis)], whole, axis)
    assert cache.length == T


@STEPS
def test_a_decoder(ends, backend):
    layer = nn.TransformerDecoderLayer(16, 4, 32, 0.0, batch_first=True)
    model, cache = nn.TransformerDecoder(layer, 2, nn.LayerNorm(16)).double(), nn.KeyValueCache()
    generator = np.random.default_rng(0)
    x, memory = (mg.asarray(generator.standard_normal((3, n, 16))) for n in (T, 7))
    padding = mg.asarray(np.arange(7) >= np.array([7, 4, 2])[:, None])
    options = {"tgt_is_causal": True, "memory_key_padding_mask": padding}
    whole = model(x, memory, **options)
    with mg.no_grad():
        close([model(piece, memory, cache=cache, **options) for piece in pieces(x, ends, 1)], whole, 1)


@STEPS
def test_rotary_positions_and_shared_heads(ends):
    model, cache = Rotated().double(), nn.KeyValueCache()
    x = mg.tensor(np.random.default_rng(0).standard_normal((2, T, 16)))
    whole = model(x)
    with mg.no_grad():
        close([model(piece, cache) for piece in pieces(x, ends, 1)], whole, 1)


@pytest.mark.parametrize("need_weights", [False, True])
def test_padding_and_weights_count_all_positions(need_weights):
    layer, cache = nn.MultiheadAttention(8, 2, batch_first=True).double(), nn.KeyValueCache()
    x = mg.tensor(np.random.default_rng(0).standard_normal((2, 6, 8)))
    padding = mg.tensor(np.array([[0, 0, 0, 0, 0, 0], [1, 1, 0, 0, 0, 0]], bool))  # on the left
    whole, weights = layer(x, x, x, padding, need_weights, is_causal=True)
    with mg.no_grad():
        for t in range(6):
            new = x[:, t : t + 1]
            y, w = layer(new, new, new, padding[:, : t + 1], need_weights, is_causal=True, cache=cache)
            np.testing.assert_allclose(y.numpy(), whole[:, t : t + 1].detach().numpy(), atol=1e-12)
            if need_weights:
                np.testing.assert_allclose(w.numpy()[:, 0], weights.detach().numpy()[:, t, : t + 1], atol=1e-12)


def test_earlier_results_stay_as_they_were():
    """What append returned is not overwritten by what follows."""
    cache, x = nn.LayerCache(), mg.rand(1, 2, 9, 4)
    with mg.no_grad():
        seen = [cache.append(x[:, :, t : t + 1], x[:, :, t : t + 1])[0] for t in range(9)]
    for t, keys in enumerate(seen):
        np.testing.assert_array_equal(keys.numpy(), x.numpy()[:, :, : t + 1])
    np.testing.assert_array_equal(cache.values.numpy(), x.numpy())


def test_a_function_of_the_tests_input_is_not_changed():
    """The first keys are kept without a copy; growing must not write to them."""
    cache, x = nn.LayerCache(), mg.rand(1, 2, 4, 4)
    before = x.numpy().copy()
    with mg.no_grad():
        cache.append(x, x)
        cache.append(x * 2, x * 2)
    np.testing.assert_array_equal(x.numpy(), before)


def test_errors():
    layer, x, cache = nn.MultiheadAttention(8, 2, batch_first=True), mg.rand(2, 3, 8), nn.KeyValueCache()
    with pytest.raises(GradError, match=r"Call the model inside `with mg\.no_grad"):
        layer(x, x, x, cache=cache)
    with mg.no_grad():
        layer(x, x, x, cache=cache)
        with pytest.raises(ShapeError, match=r"must stay as they were, \(2, 2, 4\): got \(1, 2, 4\)"):
            layer(x[:1], x[:1], x[:1], cache=cache)
        with pytest.raises(ShapeError, match=r"key_padding_mask must have shape \(2, 6\): got \(2, 3\)"):
            layer(x, x, x, mg.zeros(2, 3, dtype="bool"), cache=cache)
        assert cache.length == 3
        layer(x, x, x, cache=cache.memory)
        for memory in (mg.rand(2, 4, 8), mg.rand(1, 3, 8)):
            with pytest.raises(ShapeError, match="holds keys of 2 sequences of length 3: got key"):
                layer(x[: len(memory)], memory, memory, cache=cache.memory)
        more = nn.MultiheadAttention(8, 2, add_zero_attn=True)
        with pytest.raises(ArgumentError, match="cannot be used with add_bias_kv or add_zero_attn"):
            more(x, x, x, cache=nn.KeyValueCache())
    positions = nn.PositionalEncoding(4, max_len=5)
    with pytest.raises(ShapeError, match="got 4 to 6, max_len is 5"):
        positions(mg.ones(3, 4), offset=4)
