"""What rnn-names and lstm-names share: which of 18 languages does a surname come from? Read letter by letter."""

from __future__ import annotations

import unicodedata

import numpy as np

from .. import nn, optim
from ..data import ArrayDataset, CharacterTokenizer, DataLoader, Subset, names, random_split
from ..data.texts import LANGUAGES
from ..data.tokens import PAD
from ..mode import no_grad
from ..nn import functional as F
from ..random import Generator
from ..tensor import Tensor
from ..train import F1, Accuracy, LRSchedule, Trainer
from .run import Run

LETTERS = CharacterTokenizer.of(" '-,.abcdefghijklmnopqrstuvwxyz", special=[PAD])
LENGTH = 20  # longer names are cut


class NameClassifier(nn.Module):
    """The last state of a recurrent network that has read the name, and a linear layer for the scores."""

    def __init__(self, cell: type[nn.RNN] | type[nn.LSTM], width: int, dropout: float):
        super().__init__()
        self.embedding = nn.Embedding(len(LETTERS), width // 2)
        self.recurrent = cell(width // 2, width, batch_first=True)
        self.dropout = nn.Dropout(dropout)
        self.scores = nn.Linear(width, len(LANGUAGES))

    def forward(self, letters: Tensor) -> Tensor:
        """letters: (B, T) numbers; scores: (B, 18)."""
        states, _ = self.recurrent(self.embedding(letters))  # (B, T, width)
        return self.scores(self.dropout(states[:, -1]))


def read(name: str) -> list[int]:
    """The letters of a name without accents and case, at the end of LENGTH places: the last state has read them all."""
    plain = unicodedata.normalize("NFD", name.lower())
    numbers = [LETTERS.number[c] for c in plain if c in LETTERS.number][:LENGTH]
    return [0] * (LENGTH - len(numbers)) + numbers


def data(run: Run) -> list[Subset]:
    """Four fifths to learn from, a fifth to test, languages in the same share."""
    texts, labels, _ = names()
    letters = np.array([read(name) for name in texts], np.int64)  # (N, T)
    everything = ArrayDataset(letters, labels)
    return random_split(everything, [0.8, 0.2], stratify=labels, generator=Generator(run.seed))


def weights(run: Run, labels: np.ndarray) -> Tensor:
    """(18,): a language's weight in the loss, (1 / its share)**balance, with mean 1 over the samples."""
    counts = np.bincount(labels, minlength=len(LANGUAGES))
    w = (counts.sum() / np.maximum(counts, 1)) ** run.balance
    return Tensor((w / w[labels].mean()).astype(np.float32))


def fit(run: Run, model: nn.Module) -> None:
    training, held_out = data(run)
    weight = weights(run, training.whole()[1])
    batches = DataLoader(run.few(training, 400), run.batch_size, shuffle=True, drop_last=True, seed=run.seed)
    optimizer = optim.AdamW(model.parameters(), lr=run.lr, weight_decay=0.05)
    schedule = optim.lr_scheduler.OneCycleLR(optimizer, max_lr=run.lr, total_steps=run.epochs * len(batches))
    metrics = [Accuracy(), F1(len(LANGUAGES), average="macro")]
    trainer = Trainer(model, nn.CrossEntropyLoss(weight), optimizer, metrics=metrics, callbacks=[LRSchedule(schedule)])
    run.fit(trainer, batches, DataLoader(held_out, 500))


def test(run: Run, model: nn.Module) -> None:
    """The lists hold many names several times, some under two languages: what was learned is tested again, as in life.
    How well it reads names that it has never seen is said beside it."""
    training, held_out = data(run)
    spelled = {tuple(name) for name in training.whole()[0].tolist()}
    new = np.flatnonzero([tuple(name) not in spelled for name in held_out.whole()[0].tolist()])
    evaluate = lambda part, *metrics: Trainer(model, F.cross_entropy).evaluate(
        DataLoader(part, 500), metrics=[*metrics]
    )
    f1 = evaluate(held_out, F1(len(LANGUAGES), average="macro"))["f1"]
    unseen = evaluate(Subset(held_out, new), Accuracy())["accuracy"]
    print(f"macro-F1 {f1:.4f} over {len(LANGUAGES)} languages")
    print(f"of the {len(new)} test names whose spelling is not among those learned: {100 * unseen:.2f} % right")
    figures = {"macro_f1": f1, "unseen_accuracy": unseen, "unseen_names": len(new)}
    run.classified(model, F.cross_entropy, held_out, LANGUAGES, **figures)


def predict(run: Run, model: nn.Module, name: str) -> str:
    with no_grad():
        p = F.softmax(model(Tensor(np.array([read(name)]))), dim=-1).numpy()[0]  # (18,)
    return ", ".join(f"{LANGUAGES[k]} ({100 * p[k]:.1f} %)" for k in np.argsort(-p)[:3])
