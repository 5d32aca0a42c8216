"""The parts of the recipes on texts: batches by length, gaps, beam search, what is frozen."""

from itertools import product

import numpy as np
import pytest

import minigrad as mg
from minigrad import nn
from minigrad.data import DataLoader
from minigrad.nn import functional as F
from minigrad.random import Generator
from minigrad.recipes import bert_mlm, finetune, minilm, sentiment
from minigrad.recipes import transformer_multi30k as translation
from minigrad.recipes.sentences import ByLength, Sentences


@pytest.fixture(autouse=True)
def reference():
    mg.manual_seed(0)
    with mg.use_backend("numpy"):
        yield


def rows(n, seed=0):
    rng = np.random.default_rng(seed)
    return [rng.integers(1, 9, rng.integers(1, 12)).tolist() for _ in range(n)]


# ---- batches ---------------------------------------------------------------------------------------------------------
def test_batches_hold_sentences_of_one_length():
    data = rows(103)
    lengths = [len(row) for row in data]
    sampler = ByLength(lengths, 8, pool=100)
    first, again, other = sampler(Generator(0)), sampler(Generator(0)), sampler(Generator(1))
    assert sorted(first) == list(range(103)) and np.array_equal(first, again) and not np.array_equal(first, other)
    spreads = [np.ptp(np.array(lengths)[first[i : i + 8]]) for i in range(0, 96, 8)]
    assert max(spreads) <= 2  # one pool: 12 batches of 11 lengths
    starts = [lengths[first[i]] for i in range(0, 96, 8)]
    assert starts != sorted(starts)  # but not from short to long
    assert len(ByLength([(1, 2), (3, 4)], 2)(Generator(0))) == 2


def test_a_pass_goes_on_where_it_stopped():
    data = Sentences(rows(50), np.arange(50))
    make = lambda: DataLoader(data, 8, sampler=ByLength([len(row) for row in data.columns[0]], 8, pool=2), seed=3)
    whole = [(x.tolist(), y.tolist()) for x, y in make()]
    stopped, resumed = make(), make()
    for _ in zip(range(3), stopped):
        pass
    resumed.load_state_dict(stopped.state_dict())
    assert [(x.tolist(), y.tolist()) for x, y in resumed] == whole[3:]
    x, y = data.batch(np.array([4, 7]))
    assert [[n for n in row if n] for row in x.tolist()] == [data.columns[0][4], data.columns[0][7]]
    assert y.tolist() == [4, 7]


# ---- gaps ------------------------------------------------------------------------------------------------------------
def test_gaps():
    numbers = np.random.default_rng(0).integers(4, 100, (400, 50))
    numbers[:, 0], numbers[::2, 40:] = bert_mlm.START, 0
    hidden, wanted = bert_mlm.masked(numbers, Generator(0), 0.15, mask=100).transpose(1, 0, 2)
    chosen = wanted >= 0
    assert np.array_equal(wanted[chosen], numbers[chosen]) and np.array_equal(hidden[~chosen], numbers[~chosen])
    assert not chosen[:, 0].any() and not chosen[numbers == 0].any()
    words = (numbers > bert_mlm.END).sum()
    assert chosen.sum() / words == pytest.approx(0.15, abs=0.01)
    assert (hidden[chosen] == 100).mean() == pytest.approx(0.8, abs=0.03)
    # a random word is the true one once in 96
    assert (hidden[chosen] == numbers[chosen]).mean() == pytest.approx(0.1, abs=0.03)
    assert hidden[~chosen].max() < 100
    assert (bert_mlm.masked(np.array([[2, 5]]), Generator(0), 0.0, 9)[0, 1] == [-100, 5]).all()  # at least one


def test_only_gaps_are_asked():
    model = bert_mlm.Bert(20, 8, 1, 2).eval()
    numbers = mg.tensor([[2, 5, 6, 0], [2, 7, 21 - 1, 8]])
    with mg.no_grad():
        some, all_ = model.missing(numbers, np.array([1, 6])), model.missing(numbers, np.arange(8))
    np.testing.assert_allclose(some.numpy(), all_.numpy()[[1, 6]], rtol=1e-5)
    assert some.shape == (2, 21)


# ---- what is filled up changes nothing -------------------------------------------------------------------------------
@pytest.mark.parametrize("kind", [sentiment.TextCNN, sentiment.TextLSTM])
def test_filling_up_changes_nothing(kind):
    model = kind(9, 6, 5, 0.5).double().eval()
    short = mg.tensor([[3, 1, 4]])
    with mg.no_grad():
        alone, among = model(short), model(mg.tensor([[3, 1, 4, 0, 0, 0, 0, 0], [1, 5, 2, 6, 5, 3, 5, 8]]))
    np.testing.assert_allclose(among.numpy()[:1], alone.numpy(), rtol=1e-10)


# ---- beam search -----------------------------------------------------------------------------------------------------
@pytest.fixture
def translator():
    model = translation.Translator(6, width=8, heads=2, layers=2, inner=16, dropout=0.1).double().eval()
    nn.init.normal_(model.token.weight, 0.0, 1.5)  # far from even
    return model


def logp(model, source, target):
    """log p of every next word. target: with its start."""
    with mg.no_grad():
        return F.log_softmax(model(mg.tensor([source]), mg.tensor([target])), dim=-1).numpy()[0]


def test_one_beam_takes_the_likeliest_word(translator, monkeypatch):
    monkeypatch.setattr(translation, "MOST", 9)
    sources = [[4, 5], [5, 4, 4, 5, 1], [1]]
    for source, found in zip(sources, translation.translate(translator, sources, 1)):
        target = [translation.START]
        while len(target) < 9 and target[-1] != translation.END:
            target.append(int(logp(translator, source, target)[-1].argmax()))
        assert found == [n for n in target[1:] if n != translation.END]


def test_enough_beams_find_the_best(translator, monkeypatch):
    monkeypatch.setattr(translation, "MOST", 3)  # the start and two words: 6 beams see all
    sources = [[4, 5, 4], [5], [1, 1, 4, 5]]
    for source, found in zip(sources, translation.translate(translator, sources, 6)):
        values = {}
        for words in product(range(6), repeat=2):
            p = logp(translator, source, [translation.START, *words])
            if words[0] == translation.END:
                values[()] = p[0, words[0]]
            else:
                rest = tuple(n for n in words if n != translation.END)
                values[rest] = (p[0, words[0]] + p[1, words[1]]) / 2**0.6
        assert tuple(found) == max(values, key=values.get)


def test_a_cache_follows_its_rows():
    layer = nn.TransformerDecoderLayer(8, 2, 16, dropout=0.0, batch_first=True).double()
    x, memory, chosen = mg.randn(3, 4, 8, dtype="float64"), mg.randn(3, 5, 8, dtype="float64"), np.array([2, 0, 2, 1])
    cache = nn.KeyValueCache()
    with mg.no_grad():
        layer(x[:, :3], memory, tgt_is_causal=True, cache=cache)
        cache.select(chosen)
        last = layer(x[:, 3:][chosen], memory[chosen], tgt_is_causal=True, cache=cache)
        whole = layer(x, memory, tgt_is_causal=True)
    assert cache.length == 4
    np.testing.assert_allclose(last.numpy()[:, 0], whole.numpy()[chosen, 3], rtol=1e-10)


# ---- frozen layers ---------------------------------------------------------------------------------------------------
def test_frozen_layers_stay():
    model = finetune.Judge(minilm.MiniLM(9, 8, 3, 2, 16, 12), 4, 0.0)
    finetune.thaw(model, 1)
    before = {name: p.numpy().copy() for name, p in model.named_parameters()}
    optimizer = mg.optim.AdamW([p for p in model.parameters() if p.requires_grad], lr=0.1)
    F.cross_entropy(model(mg.tensor([[1, 2, 3], [4, 5, 0]])), mg.tensor([0, 1])).backward()
    optimizer.step()
    changed = {name for name, p in model.named_parameters() if not np.array_equal(p.numpy(), before[name])}
    assert {name.split(".")[0] for name in changed} == {"encoder", "classifier"}
    assert all(name.startswith(("encoder.encoder.layers.2.", "classifier.")) for name in changed)


def test_vectors_come_in_order():
    model = finetune.Judge(minilm.MiniLM(9, 8, 1, 2, 16, 12), 4, 0.0).double()
    data = rows(70)
    together = finetune.vectors(model, data)
    for i in (0, 13, 69):
        with mg.no_grad():
            alone = model.vectors(mg.tensor([data[i]])).numpy()[0]
        np.testing.assert_allclose(together[i], alone, rtol=1e-9)
