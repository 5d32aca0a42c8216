"""A transformer that translates captions from German to English: encoder, decoder, beam search, BLEU.

Vaswani et al. 2017, arXiv:1706.03762, small, with the norms before the branches (arXiv:2002.04745).
"""

from __future__ import annotations

from typing import Any

import numpy as np

from .. import nn, optim
from ..data import BytePairTokenizer, DataLoader, multi30k
from ..data.tokens import padded
from ..mode import no_grad
from ..nn import functional as F
from ..tensor import Tensor
from ..train import BLEU, ClipGradients, LRSchedule, Trainer
from .run import Run
from .sentences import ByLength, Sentences

DEFAULTS = {
    "epochs": 10, "batch_size": 128, "lr": 1e-3, "warmup": 400, "smoothing": 0.1, "dropout": 0.1, "tokens": 6000,
    "width": 256, "heads": 4, "layers": 3, "inner": 512, "beams": 4, "languages": "de-en",
}  # fmt: skip
SMOKE = {"tokens": 60, "width": 16, "layers": 1, "inner": 32, "beams": 2}
QUESTION = "Ein Mann geht mit seinem Hund spazieren."
START, END = 2, 3  # of the tokenizer
MOST = 64  # no caption of the data has as many pieces


class Translator(nn.Module):
    """(B, S) numbers of the source and (B, T) of the target to (B, T, K): at every place the scores of what follows."""

    def __init__(self, tokens: int, *, width: int, heads: int, layers: int, inner: int, dropout: float):
        super().__init__()
        self.token = nn.Embedding(tokens, width)  # both languages share their pieces
        self.place = nn.PositionalEncoding(width, dropout, max_len=512, batch_first=True)
        sizes: dict[str, Any] = {"num_encoder_layers": layers, "num_decoder_layers": layers, "dim_feedforward": inner}
        self.transformer = nn.Transformer(width, heads, **sizes, dropout=dropout, batch_first=True, norm_first=True)
        self.scores = nn.Linear(width, tokens, bias=False)
        self.scores.weight = self.token.weight  # one table for reading and writing (Press, Wolf 2017)
        nn.init.normal_(self.token.weight, 0.0, width**-0.5)

    def forward(self, source: Tensor, target: Tensor) -> Tensor:
        return self.decode(target, *self.encode(source))

    def encode(self, source: Tensor) -> tuple[Tensor, Tensor]:
        """The source's states, (B, S, C), and where it is filled up, (B, S)."""
        padding = source == 0
        return self.transformer.encoder(self.embed(source), src_key_padding_mask=padding), padding

    def decode(self, target: Tensor, memory: Tensor, padding: Tensor, cache: nn.KeyValueCache | None = None) -> Tensor:
        """The target is filled up behind its end, where no earlier place looks: it needs no mask but the causal one."""
        x = self.embed(target, cache.length if cache else 0)  # (B, T, C)
        x = self.transformer.decoder(x, memory, memory_key_padding_mask=padding, tgt_is_causal=True, cache=cache)
        return self.scores(x)

    def embed(self, numbers: Tensor, offset: int = 0) -> Tensor:
        return self.place(self.token(numbers) * self.token.embedding_dim**0.5, offset)


@no_grad()
def translate(model: nn.Module, sources: list[list[int]], beams: int, power: float = 0.6) -> list[list[int]]:
    """Beam search: the beams are the translations begun that score best, log p(words) / length**power; one that has
    ended stays among them as it is.

    Dividing by the length keeps short translations, of few factors, from winning (Wu et al. 2016, arXiv:1609.08144,
    equation 14, in a simpler form).
    """
    model.eval()
    b, k = len(sources), beams
    memory, padding = (x[np.repeat(np.arange(b), k)] for x in model.encode(Tensor(padded(sources))))  # (B k, S, C)
    cache, numbers = nn.KeyValueCache(), np.full((b * k, 1), START)
    total = np.where(np.arange(b * k) % k, -np.inf, 0.0)  # the beams start equal: only the first may go on
    ended, length = np.zeros(b * k, bool), np.zeros(b * k)
    while numbers.shape[1] < MOST and not ended.all():
        logp = F.log_softmax(model.decode(Tensor(numbers[:, -1:]), memory, padding, cache)[:, 0], dim=-1).numpy()
        logp = np.where(ended[:, None], np.where(np.arange(logp.shape[1]) == END, 0, -np.inf), logp)
        nth = np.argpartition(-logp, k - 1, axis=1)[:, :k]  # (B k, k): more of one beam cannot be among the best k
        sums = total[:, None] + np.take_along_axis(logp, nth, axis=1)
        values = (sums / (length + ~ended)[:, None] ** power).reshape(b, k * k)
        best = np.argsort(-values, axis=1, kind="stable")[:, :k] + k * k * np.arange(b)[:, None]
        best = best.reshape(-1)  # (B k,) places in sums
        rows, following = best // k, nth.reshape(-1)[best]
        cache.select(rows)
        length = (length + ~ended)[rows]
        numbers = np.c_[numbers[rows], following]
        total, ended = sums.reshape(-1)[best], ended[rows] | (following == END)
    return [[n for n in row[1:].tolist() if n != END] for row in numbers[::k]]


def translated(model: nn.Module, pieces: BytePairTokenizer, texts: list[str], beams: int) -> list[str]:
    sources = [pieces.encode(text)[:MOST] for text in texts]
    order = np.argsort([len(source) for source in sources], kind="stable")
    found: dict[int, list[int]] = {}
    for i in range(0, len(order), 64):
        chosen = order[i : i + 64]
        found |= zip(chosen.tolist(), translate(model, [sources[j] for j in chosen], beams))
    return [pieces.decode(found[i]).strip() for i in range(len(texts))]


def bleu(model: nn.Module, pieces: BytePairTokenizer, pairs: list[tuple[str, str]], beams: int) -> tuple[float, list]:
    """The BLEU of the translations of all pairs, and these."""
    metric, found = BLEU(), translated(model, pieces, [source for source, _ in pairs], beams)
    metric.update(found, [target for _, target in pairs])
    return metric.compute(), found


class TranslationTrainer(Trainer):
    """Validates with the BLEU of greedy translations as well: one beam."""

    pieces: BytePairTokenizer
    pairs: list[tuple[str, str]]

    def evaluate(self, data, *, metrics=None):
        figures = super().evaluate(data, metrics=metrics)
        return figures | {"bleu": bleu(self.model, self.pieces, self.pairs, 1)[0]}


def pairs(run: Run, part: str) -> list[tuple[str, str]]:
    source, _, target = run.languages.partition("-")
    return multi30k(part, (source, target))[: 20 if run.smoke else None]


def data(pieces: BytePairTokenizer, pairs: list[tuple[str, str]]) -> Sentences:
    """Source, target with its start, target with its end, as numbers."""
    sources, targets = ([pieces.encode(text)[: MOST - 1] for text in texts] for texts in zip(*pairs))
    return Sentences(sources, [[START, *t] for t in targets], [[*t, END] for t in targets])


def network(run: Run) -> Translator:
    sizes = {name: run.options[name] for name in ("width", "heads", "layers", "inner", "dropout")}
    return Translator(len(run.notes["pieces"]), **sizes)


def train(run: Run) -> None:
    known, validation = pairs(run, "train"), pairs(run, "validation")
    pieces = BytePairTokenizer.train([text for pair in known for text in pair], run.tokens)
    run.notes = pieces.to_dict()
    training = data(pieces, known)
    lengths = [(len(source), len(target)) for source, target in zip(*training.columns[:2])]
    batches = DataLoader(training, run.batch_size, sampler=ByLength(lengths, run.batch_size), seed=run.seed)
    model = network(run)
    optimizer = optim.Adam(model.parameters(), lr=run.lr, betas=(0.9, 0.98), eps=1e-9)
    steps = run.epochs * len(batches)
    rate = lambda step: min((step + 1) / run.warmup, max(0.0, 1 - step / steps))  # up, then down to 0
    schedule = optim.lr_scheduler.LambdaLR(optimizer, rate)

    def loss(scores: Tensor, following: Tensor) -> Tensor:
        """Nats per piece. scores: (B, T, K); following: (B, T), 0 where it is filled up."""
        smoothing = run.smoothing if model.training else 0.0
        return F.cross_entropy(
            scores.reshape(-1, scores.shape[-1]), following.reshape(-1), ignore_index=0, label_smoothing=smoothing
        )

    trainer = TranslationTrainer(model, loss, optimizer, callbacks=[ClipGradients(1.0), LRSchedule(schedule)])
    trainer.pieces, trainer.pairs = pieces, validation
    run.fit(trainer, batches, DataLoader(data(pieces, validation), 128))
    test(run, model)


def test(run: Run, model: Translator) -> None:
    chosen = pairs(run, "test")
    value, found = bleu(model, BytePairTokenizer.from_dict(run.notes), chosen, run.beams)
    lines = [f"{source}\n  {answer}\n  ({target})\n" for (source, target), answer in zip(chosen, found)]
    run.path("translations", "translations.txt").write_text("\n".join(lines), encoding="utf-8")
    print("\n".join(lines[:5]))
    run.report("test BLEU", value, beams=run.beams, sentences=len(chosen))


def predict(run: Run, model: Translator, text: str) -> str:
    return translated(model, BytePairTokenizer.from_dict(run.notes), [text], run.beams)[0]
