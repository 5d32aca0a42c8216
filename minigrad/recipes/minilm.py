"""Sentences as vectors: the pretrained BERT all-MiniLM-L6-v2, its tokenizer, and its weights read from their file.

Sentences that mean the same have vectors with a product near 1. BERT: Devlin et al. 2018, arXiv:1810.04805; MiniLM:
Wang et al. 2020, arXiv:2002.10957; mean pooling: Reimers, Gurevych 2019, arXiv:1908.10084. The folder with
model.safetensors and vocab.txt comes with huggingface.co/sentence-transformers/all-MiniLM-L6-v2.

    model, tokenizer = load("all-MiniLM-L6-v2")
    a, b = embed(model, tokenizer, ["A cat sits on the mat.", "A kitten rests on a rug."])
    a @ b
"""

from __future__ import annotations

import os
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import numpy as np

from .. import io, nn
from ..creation import asarray
from ..errors import DataError, ShapeError
from ..functions import concat
from ..mode import no_grad
from ..nn import functional as F
from ..tensor import Tensor

# ---- text to numbers -------------------------------------------------------------------------------------------------


class WordPiece:
    """BERT's tokenizer for lower-case text: words and punctuation marks, cut into the longest pieces it knows.

    vocabulary: the pieces in the order of their numbers; "##" marks one that goes on with a word. A word without such a
    cut, or of more than 100 characters, is [UNK]. Names of special tokens within the text are text.

    >>> tokenizer = WordPiece(["[UNK]", "[CLS]", "[SEP]", "un", "##want", "##ed", ",", "runn", "##ing"])
    >>> tokenizer.pieces("UNwantéd, running far")
    ['un', '##want', '##ed', ',', 'runn', '##ing', '[UNK]']
    >>> tokenizer("unwanted")
    [1, 3, 4, 5, 2]
    """

    def __init__(self, vocabulary: Iterable[str]):
        self.numbers = {piece: n for n, piece in enumerate(vocabulary)}
        if missing := {"[UNK]", "[CLS]", "[SEP]"} - self.numbers.keys():
            raise DataError(f"WordPiece: the vocabulary must have [UNK], [CLS] and [SEP]: without {sorted(missing)}.")

    def __call__(self, text: str, length: int = 256) -> list[int]:
        """The numbers of [CLS], the pieces and [SEP]; pieces beyond `length` numbers are left off."""
        pieces = ["[CLS]", *self.pieces(text)[: length - 2], "[SEP]"]
        return [self.numbers[piece] for piece in pieces]

    def pieces(self, text: str) -> list[str]:
        return [piece for word in words(text) for piece in self._cut(word)]

    def _cut(self, word: str) -> list[str]:
        pieces, start = [], 0
        while start < len(word) <= 100:
            mark = "##" if start else ""
            known = (e for e in range(len(word), start, -1) if mark + word[start:e] in self.numbers)
            end = next(known, None)
            if end is None:
                return ["[UNK]"]
            pieces.append(mark + word[start:end])
            start = end
        return pieces or ["[UNK]"]


def words(text: str) -> list[str]:
    """Lower-case words without accents; each punctuation mark and each Chinese character is a word of its own."""
    kept = "".join(c.lower() for c in text if not _is_control(c))
    letters = (c for c in unicodedata.normalize("NFD", kept) if unicodedata.category(c) != "Mn")  # accents stand alone
    return "".join(f" {c} " if _stands_alone(c) else c for c in letters).split()


def _is_control(c: str) -> bool:
    return c in "\0\ufffd" or (c not in "\t\n\r" and unicodedata.category(c) in ("Cc", "Cf"))


def _stands_alone(c: str) -> bool:
    chinese = ((0x4E00, 0x9FFF), (0x3400, 0x4DBF), (0x20000, 0x2CEAF), (0xF900, 0xFAFF), (0x2F800, 0x2FA1F))
    if any(low <= ord(c) <= high for low, high in chinese):
        return True
    sign = c.isascii() and c.isprintable() and not c.isalnum() and c != " "  # with $ and +, which Unicode calls symbols
    return sign or unicodedata.category(c)[0] == "P"


# ---- the model -------------------------------------------------------------------------------------------------------


class MiniLM(nn.Module):
    """BERT, whose mean over a sentence's tokens, scaled to length 1, is the sentence's vector."""

    def __init__(
        self,
        vocabulary: int = 30522,
        size: int = 384,
        layers: int = 6,
        heads: int = 12,
        inner: int = 1536,
        positions: int = 512,
    ):
        super().__init__()
        self.words, self.positions = nn.Embedding(vocabulary, size), nn.Embedding(positions, size)
        self.kinds = nn.Embedding(2, size)  # of first and second sentences of a pair; here all are first
        self.norm, self.dropout = nn.LayerNorm(size, eps=1e-12), nn.Dropout(0.1)
        layer = nn.TransformerEncoderLayer(size, heads, inner, 0.1, "gelu", layer_norm_eps=1e-12, batch_first=True)
        self.encoder = nn.TransformerEncoder(layer, layers)

    def tokens(self, numbers: Tensor, padding: Tensor | None = None) -> Tensor:
        """A vector for each token. numbers: (B, T) of the vocabulary; padding: (B, T), True behind a sentence's end."""
        t, most = numbers.shape[1], self.positions.weight.shape[0]
        if t > most:
            raise ShapeError(f"MiniLM: there are {most} positions: got numbers of shape {numbers.shape}.")
        x = self.words(numbers) + (self.positions.weight[:t] + self.kinds.weight[0])  # (B, T, C)
        return self.encoder(self.dropout(self.norm(x)), src_key_padding_mask=padding)

    def forward(self, numbers: Tensor, padding: Tensor | None = None) -> Tensor:
        """(B, C), of length 1."""
        x = self.tokens(numbers, padding)  # (B, T, C)
        if padding is not None:
            x = x * (~padding).astype(x.dtype)[:, :, None]
        return F.normalize(x.sum(axis=1), dim=1)  # the mean's direction is the sum's


# What BERT's files call the layers, and what they are called here.
_LAYER = {
    "attention.output.dense": "self_attn.out_proj",
    "attention.output.LayerNorm": "norm1",
    "intermediate.dense": "linear1",
    "output.dense": "linear2",
    "output.LayerNorm": "norm2",
}
_EMBEDDINGS = {
    "word_embeddings": "words",
    "position_embeddings": "positions",
    "token_type_embeddings": "kinds",
    "LayerNorm": "norm",
}


def renamed(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The state of a Hugging Face BertModel, with its names, as the state of MiniLM."""
    found = {}
    for theirs, ours in _EMBEDDINGS.items():
        for kind in ("weight", "bias") if ours == "norm" else ("weight",):
            found[f"{ours}.{kind}"] = state[f"embeddings.{theirs}.{kind}"]
    layers = 1 + max(int(name.split(".")[2]) for name in state if name.startswith("encoder.layer."))
    for i in range(layers):
        for kind in ("weight", "bias"):
            parts = [state[f"encoder.layer.{i}.attention.self.{part}.{kind}"] for part in ("query", "key", "value")]
            found[f"encoder.layers.{i}.self_attn.in_proj_{kind}"] = concat(*parts, axis=0)
            for theirs, ours in _LAYER.items():
                found[f"encoder.layers.{i}.{ours}.{kind}"] = state[f"encoder.layer.{i}.{theirs}.{kind}"]
    return found


def load(folder: str | os.PathLike) -> tuple[MiniLM, WordPiece]:
    """The pretrained model, in eval(), and its tokenizer."""
    vocabulary = (Path(folder) / "vocab.txt").read_text(encoding="utf-8").splitlines()
    model = MiniLM(len(vocabulary))
    model.load_state_dict(renamed(io.load(Path(folder) / "model.safetensors")))
    model.eval()
    return model, WordPiece(vocabulary)


def padded(rows: Sequence[Sequence[int]]) -> tuple[Tensor, Tensor | None]:
    """The rows as (B, T), filled up with 0, and where they are, True; None if nowhere."""
    lengths = np.array([len(row) for row in rows])
    padding = np.arange(lengths.max()) >= lengths[:, None]
    numbers = np.zeros(padding.shape, np.int64)
    numbers[~padding] = np.concatenate(rows)
    return asarray(numbers), asarray(padding) if padding.any() else None


@no_grad()
def embed(model: MiniLM, tokenizer: WordPiece, texts: Sequence[str], batch: int = 32) -> np.ndarray:
    """A vector of length 1 for each text, (N, C)."""
    rows = [tokenizer(text) for text in texts]
    order = np.argsort([len(row) for row in rows], kind="stable")  # neighbours of one length need little padding
    vectors = np.empty((len(rows), model.words.weight.shape[1]), model.words.weight.dtype)
    for start in range(0, len(rows), batch):
        chosen = order[start : start + batch]
        vectors[chosen] = model(*padded([rows[i] for i in chosen])).numpy()
    return vectors
