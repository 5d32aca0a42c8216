"""A small BERT learns language by filling gaps in film reviews, and then to tell praise from blame.

Masked language modelling and fine-tuning: Devlin, Chang, Lee, Toutanova 2018, arXiv:1810.04805, sections 3.1 and 4. The
test fine-tunes twice on the labelled reviews, from what was learned and from scratch, and compares.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

import numpy as np

from .. import io, nn, optim
from ..data import ArrayDataset, BytePairTokenizer, DataLoader, padded, tiny_shakespeare
from ..errors import ArgumentError
from ..mode import no_grad
from ..nn import functional as F
from ..random import Generator, manual_seed
from ..tensor import Tensor
from ..train import Accuracy, ClipGradients, LRSchedule, Trainer
from .minilm import MiniLM
from .run import Run
from .sentences import POLARITY, ByLength, Sentences, reviews

DEFAULTS = {
    "epochs": 30, "batch_size": 64, "pretraining_lr": 1e-3, "masked": 0.15, "shakespeare": False,
    "tokens": 4000, "width": 128, "layers": 3, "heads": 4, "finetuning": 4, "lr": 3e-4,
}  # fmt: skip
SMOKE = {"tokens": 60, "width": 16, "layers": 1, "heads": 2, "finetuning": 1}
QUESTION = "a warm and [mask] film ."
START, END = 2, 3  # of the tokenizer; [mask] comes behind its tokens
LENGTH = 64


class Bert(MiniLM):
    """MiniLM's encoder, small, and two heads: for the words that are missing, and for the sentence as a whole."""

    def __init__(self, tokens: int, width: int, layers: int, heads: int):
        super().__init__(tokens + 1, width, layers, heads, 4 * width, LENGTH)
        self.dense, self.dense_norm = nn.Linear(width, width), nn.LayerNorm(width)
        self.scores = nn.Linear(width, tokens + 1)
        self.scores.weight = self.words.weight  # one table for reading and writing (Press, Wolf 2017)
        self.pooled, self.polarity = nn.Linear(width, width), nn.Linear(width, len(POLARITY))
        for p in self.parameters():
            if p.ndim == 2:
                nn.init.normal_(p, 0.0, 0.02)

    def missing(self, numbers: Tensor, places: np.ndarray) -> Tensor:
        """The scores of the words at some places. numbers: (B, T); places: (M,) in the flat (B T); (M, K)."""
        x = self.tokens(numbers, numbers == 0)  # (B, T, C)
        x = x.reshape(-1, x.shape[-1])[places]
        return self.scores(self.dense_norm(F.gelu(self.dense(x))))

    def forward(self, numbers: Tensor, padding: Tensor | None = None) -> Tensor:
        """The scores of the classes, from the state at the start. (B, T) to (B, 2)."""
        first = self.tokens(numbers, numbers == 0)[:, 0]  # (B, C)
        return self.polarity(self.dropout(self.pooled(first).tanh()))


def masked(numbers: np.ndarray, generator: Generator, share: float, mask: int) -> np.ndarray:
    """Some words hidden, and what they were: (B, T) to (B, 2, T), the second -100 where nothing is asked.

    Each word is chosen with probability `share`; of those chosen 80 % become [mask], 10 % a random word and 10 % stay,
    since where the model is used later there are no masks. Devlin et al. 2018, section 3.1, task 1.
    """
    u, v = generator.numpy("random", numbers.shape), generator.numpy("random", numbers.shape)
    chosen = (numbers > END) & (u < share)
    if not chosen.any():
        chosen.flat[np.flatnonzero(numbers > END)[:1]] = True  # a batch must ask something
    random = generator.numpy("integers", END + 1, mask, numbers.shape)
    hidden = np.where(chosen & (v < 0.8), mask, np.where(chosen & (v >= 0.9), random, numbers))
    return np.stack([hidden, np.where(chosen, numbers, -100)], axis=1)


class MaskedTrainer(Trainer):
    """Learns from batches of (B, 2, T) as `masked` makes them."""

    def compute(self, batch):
        hidden, wanted = batch[0][:, 0], batch[0][:, 1].numpy().reshape(-1)
        places = np.flatnonzero(wanted >= 0)
        scores, words = self.model.missing(hidden, places), Tensor(wanted[places])
        return self.loss(scores, words), scores, words


def read(pieces: BytePairTokenizer, text: str) -> list[int]:
    """The numbers of a text, from its start on; [mask] stands for a word with the space before it."""
    parts = [pieces.encode(part) for part in re.split(r" ?\[mask\]", text)]
    return [START, *parts[0], *(n for part in parts[1:] for n in (len(pieces), *part))][:LENGTH]


def masked_training(run: Run, model: Bert, rows: list[list[int]], epochs: int) -> tuple[MaskedTrainer, DataLoader]:
    """What learns to fill gaps, and the sentences with gaps, new ones on every pass."""
    mask = model.scores.out_features - 1
    batches = DataLoader(
        Sentences(rows),
        run.batch_size,
        sampler=ByLength([len(row) for row in rows], run.batch_size),
        transform=lambda numbers, generator: masked(numbers, generator, run.masked, mask),
        seed=run.seed,
    )
    optimizer = optim.AdamW(model.parameters(), lr=run.pretraining_lr, weight_decay=0.01)
    schedule = optim.lr_scheduler.OneCycleLR(
        optimizer, max_lr=run.pretraining_lr, total_steps=epochs * len(batches), pct_start=0.1, cycle_momentum=False
    )
    callbacks = [ClipGradients(1.0), LRSchedule(schedule)]
    return MaskedTrainer(model, F.cross_entropy, optimizer, metrics=[Accuracy()], callbacks=callbacks), batches


def gaps(run: Run, rows: list[list[int]], mask: int) -> DataLoader:
    """Sentences with gaps that are always the same, to compare by."""
    return DataLoader(ArrayDataset(masked(padded(rows), Generator(run.seed), run.masked, mask)), 64)


def network(run: Run) -> Bert:
    return Bert(len(run.notes["pieces"]), run.width, run.layers, run.heads)


def train(run: Run) -> None:
    (texts, _), (held_out, _), _ = reviews(run)
    pieces = BytePairTokenizer.train(texts, run.tokens)
    run.notes = pieces.to_dict()
    if run.shakespeare:
        lines = [line.lower() for line in tiny_shakespeare().splitlines() if len(line) > 20]
        texts = texts + lines[: 96 if run.smoke else None]
    model = network(run)
    trainer, batches = masked_training(run, model, [read(pieces, text) for text in texts], run.epochs)
    run.fit(trainer, batches, gaps(run, [read(pieces, text) for text in held_out], len(pieces)))
    test(run, model)


def finetuned(run: Run, weights: Mapping[str, Tensor] | None) -> tuple[Bert, float]:
    """The model that has learned the reviews' labels, starting from these weights or from none, and its accuracy."""
    pieces = BytePairTokenizer.from_dict(run.notes)
    training, _, held_out = (Sentences([read(pieces, t) for t in texts], labels) for texts, labels in reviews(run))
    manual_seed(run.seed)
    model = network(run)
    if weights is not None:
        model.load_state_dict(weights)
    sampler = ByLength([len(row) for row in training.columns[0]], 32)
    batches = DataLoader(training, 32, sampler=sampler, seed=run.seed)
    optimizer = optim.AdamW(model.parameters(), lr=run.lr, weight_decay=0.01)
    schedule = optim.lr_scheduler.OneCycleLR(
        optimizer, max_lr=run.lr, total_steps=run.finetuning * len(batches), pct_start=0.1, cycle_momentum=False
    )
    trainer = Trainer(model, F.cross_entropy, optimizer, callbacks=[ClipGradients(1.0), LRSchedule(schedule)])
    trainer.fit(batches, epochs=run.finetuning)
    return model, trainer.evaluate(DataLoader(held_out, 64), metrics=[Accuracy()])["accuracy"]


def test(run: Run, model: Bert) -> None:
    texts, _ = reviews(run)[2]
    pieces = BytePairTokenizer.from_dict(run.notes)
    data = gaps(run, [read(pieces, text) for text in texts], len(pieces))
    figures = MaskedTrainer(model, F.cross_entropy).evaluate(data, metrics=[Accuracy()])
    print(f"gaps of the test reviews: loss {figures['loss']:.4f} nats, {100 * figures['accuracy']:.1f} % filled right")
    short = [text for text in texts if len(text) < 60]
    sample = [f"{text}\n  {predict(run, model, text)}\n" for text in [QUESTION, *map(gap, short[:10])]]
    run.path("filled gaps", "gaps.txt").write_text("\n".join(sample), encoding="utf-8")
    print("\n".join(sample[:4]), flush=True)
    tuned, accuracy = finetuned(run, model.state_dict())
    _, scratch = finetuned(run, None)
    io.save(tuned.state_dict(), run.path("fine-tuned", "sentiment.safetensors"))
    print(f"praise or blame: fine-tuned {100 * accuracy:.2f} %, as many epochs from scratch {100 * scratch:.2f} %")
    run.report(
        "test accuracy",
        100 * accuracy,
        "%",
        test_accuracy=accuracy,
        scratch_accuracy=scratch,
        gap_loss=figures["loss"],
        gap_accuracy=figures["accuracy"],
    )


def gap(text: str) -> str:
    """The text without its longest word."""
    words = text.split()
    return " ".join("[mask]" if word is max(words, key=len) else word for word in words)


def predict(run: Run, model: Bert, text: str) -> str:
    """What may stand at each [mask], the likeliest first."""
    pieces = BytePairTokenizer.from_dict(run.notes)
    numbers = np.array([read(pieces, text)])
    places = np.flatnonzero(numbers == len(pieces))
    if not len(places):
        raise ArgumentError(f'bert-mlm: the text needs a [mask] to fill, such as "{QUESTION}": got {text!r}.')
    with no_grad():
        p = F.softmax(model.eval().missing(Tensor(numbers), places), dim=-1).numpy()  # (M, K)
    best = np.argsort(-p[:, END + 1 : -1], axis=1)[:, :5] + END + 1
    lists = (", ".join(f"{pieces.pieces[n].strip()} ({100 * row[n]:.0f} %)" for n in nth) for nth, row in zip(best, p))
    return "; ".join(lists)
