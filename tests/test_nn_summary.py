"""nn.summary: rows, shapes, parameters and multiply-adds of models of all kinds."""

import pytest

import minigrad as mg
from minigrad import nn
from minigrad.errors import ArgumentError


class Pair(nn.Module):
    """Two inputs of different dtypes, a dictionary out."""

    def __init__(self):
        super().__init__()
        self.words, self.image = nn.Embedding(9, 4), nn.Linear(3, 4)
        self.out = nn.Linear(4, 2, bias=False)

    def forward(self, tokens, pixels, scale=1.0):
        y = self.words(tokens).mean(axis=1) + self.image(pixels) * scale
        return {"scores": self.out(y), "features": y, "none": None}


def rows(s):
    return {r.path: (r.shape, r.parameters, r.multiply_adds) for r in s.rows}


def test_several_inputs_and_a_dictionary():
    expected = {
        "words": ((2, 5, 4), 36, 0),
        "image": ((2, 4), 16, 24),
        "out": ((2, 2), 8, 16),
        "": ({"scores": (2, 2), "features": (2, 4)}, 0, 0),
    }
    assert rows(nn.summary(Pair(), (2, 5), (2, 3), dtype=["int64", "float32"])) == expected
    assert rows(nn.summary(Pair(), mg.zeros(2, 5, dtype="int64"), pixels=(2, 3), scale=2.0)) == expected
    assert "'scores': (2, 2)" in repr(nn.summary(Pair(), (2, 5), (2, 3), dtype=["int64", "float32"]))
    with pytest.raises(ArgumentError, match="one for each of 2"):
        nn.summary(Pair(), (2, 5), (2, 3), dtype=["int64"])


def test_shared_parameters_count_once():
    a, b = nn.Linear(3, 3), nn.Linear(3, 3)
    b.weight = a.weight
    s = nn.summary(nn.Sequential(a, b, a), (4, 3))
    assert s.total_parameters == 15 == sum(r.parameters for r in s.rows)
    assert rows(s)["1"] == ((4, 3), 3, 36) and rows(s)["0"] == ((4, 3), 12, 72)  # a runs twice


def test_products_by_hand():
    count = lambda model, *shapes, **named: nn.summary(model, *shapes, **named).multiply_adds
    d, t, n, b = 8, 5, 7, 2
    attention = nn.MultiheadAttention(d, 2, kdim=6, vdim=4, batch_first=True)
    products = b * (t * d * d + n * 6 * d + n * 4 * d + 2 * t * n * d + t * d * d)  # q, k, v, scores and sums, out
    assert count(attention, (b, t, d), (b, n, 6), (b, n, 4)) == products
    assert count(attention, query=(b, t, d), key=(b, n, 6), value=(b, n, 4)) == products
    more = nn.MultiheadAttention(d, 2, add_bias_kv=True, add_zero_attn=True)
    assert count(more, (t, b, d), (t, b, d), (t, b, d)) == b * (4 * t * d * d + 2 * t * (t + 2) * d)
    assert count(nn.LSTM(3, 4, num_layers=2, bidirectional=True), (t, b, 3)) == t * b * (2 * 16 * 7 + 2 * 16 * 12)
    assert count(nn.GRUCell(3, 4), (b, 3)) == b * 12 * 7
    assert count(nn.Conv2d(4, 6, 3, groups=2), (b, 4, 5, 5)) == b * 9 * 6 * 2 * 9
    assert count(nn.ConvTranspose2d(4, 6, 3), (b, 4, 5, 5)) == b * 25 * 4 * 6 * 9
    layer = nn.TransformerEncoderLayer(d, 2, 16, batch_first=True)
    each = b * (4 * t * d * d + 2 * t * t * d + 2 * t * d * 16)
    assert count(nn.TransformerEncoder(layer, 3), (b, t, d)) == 3 * each
    packed = nn.utils.rnn.pack_padded_sequence(mg.zeros(4, 2, 3), [4, 2])
    assert count(nn.GRU(3, 5), input=packed) == 6 * (15 * 3 + 15 * 5)


def test_the_model_stays_as_it_was():
    model = nn.Sequential(nn.Linear(2, 2), nn.Dropout(0.5))
    model[1].eval()
    nn.summary(model, (1, 2))
    assert [m.training for m in model] == [True, False] and model[0].weight.grad is None
    assert not any(m._hooks.after for m in model.modules())
