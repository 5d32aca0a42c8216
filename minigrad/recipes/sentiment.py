"""Is a sentence of a film review for or against? Words, and a convolutional or a recurrent network over them.

Option model: "cnn" (Kim 2014, arXiv:1408.5882) or "lstm" (Hochreiter, Schmidhuber 1997), in both directions.
"""

from __future__ import annotations

import numpy as np

from .. import nn, optim
from ..data import DataLoader, WordTokenizer
from ..errors import ArgumentError
from ..functions import concat
from ..mode import no_grad
from ..nn import functional as F
from ..nn.utils.rnn import pack_padded_sequence
from ..tensor import Tensor
from ..train import Accuracy, LRSchedule, Trainer
from .run import Run
from .sentences import POLARITY, ByLength, Sentences, reviews

DEFAULTS = {
    "epochs": 5, "batch_size": 64, "lr": 2e-3, "weight_decay": 0.01, "model": "cnn", "words": 20000,
    "width": 128, "filters": 100, "dropout": 0.5,
}  # fmt: skip
SMOKE = {"words": 100, "width": 16, "filters": 8}
QUESTION = "a warm , funny and moving film ."


def embedding(words: int, width: int) -> nn.Embedding:
    """Small vectors: most words are seen a few times only, and have to turn by then."""
    table = nn.Embedding(words, width, padding_idx=0)
    with no_grad():
        table.weight.mul_(0.1)
    return table


class TextCNN(nn.Module):
    """Filters over 1, 2 and 3 neighbouring words; of each the largest answer anywhere in the sentence counts.

    Kim's are over 3, 4 and 5, on word vectors learned elsewhere; here each run of words has to be seen in the reviews.
    """

    def __init__(self, words: int, width: int, filters: int, dropout: float):
        super().__init__()
        self.embedding = embedding(words, width)
        # without bias the answer to no words is 0, which is no more than any relu: filling up changes nothing
        self.convolutions = nn.ModuleList([nn.Conv1d(width, filters, k, padding=k - 1, bias=False) for k in (1, 2, 3)])
        self.dropout = nn.Dropout(dropout)
        self.scores = nn.Linear(3 * filters, len(POLARITY))

    def forward(self, words: Tensor) -> Tensor:
        """words: (B, T) numbers, 0 behind the end; scores: (B, 2)."""
        x = self.dropout(self.embedding(words)).transpose(1, 2)  # (B, C, T)
        found = [F.relu(convolution(x)).amax(axis=2) for convolution in self.convolutions]  # (B, filters) each
        return self.scores(self.dropout(concat(*found, axis=1)))


class TextLSTM(nn.Module):
    """The last states of two recurrent networks, one from each side."""

    def __init__(self, words: int, width: int, filters: int, dropout: float):
        super().__init__()
        self.embedding = embedding(words, width)
        self.recurrent = nn.LSTM(width, filters, batch_first=True, bidirectional=True)
        self.dropout = nn.Dropout(dropout)
        self.scores = nn.Linear(2 * filters, len(POLARITY))

    def forward(self, words: Tensor) -> Tensor:
        """words: (B, T) numbers, 0 behind the end; scores: (B, 2)."""
        lengths = np.maximum((words.numpy() > 0).sum(axis=1), 1)
        x = pack_padded_sequence(self.dropout(self.embedding(words)), lengths, batch_first=True, enforce_sorted=False)
        _, (last, _) = self.recurrent(x)  # (2, B, filters)
        return self.scores(self.dropout(concat(last[0], last[1], axis=1)))


def network(run: Run) -> nn.Module:
    kinds = {"cnn": TextCNN, "lstm": TextLSTM}
    if run.model not in kinds:
        raise ArgumentError(f'sentiment: model must be "cnn" or "lstm": got {run.model!r}.')
    return kinds[run.model](len(run.notes["words"]), run.width, run.filters, run.dropout)


def data(run: Run, part: int) -> Sentences:
    """Part 0 to learn from, 1 to validate, 2 to test."""
    texts, labels = reviews(run)[part]
    words = WordTokenizer.from_dict(run.notes)
    return Sentences([words.encode(text) for text in texts], labels)


def train(run: Run) -> None:
    texts, _ = reviews(run)[0]
    run.notes = WordTokenizer.of(texts, run.words).to_dict()
    training = data(run, 0)
    sampler = ByLength([len(sentence) for sentence in training.columns[0]], run.batch_size)
    batches = DataLoader(training, run.batch_size, sampler=sampler, seed=run.seed)
    model = network(run)
    optimizer = optim.AdamW(model.parameters(), lr=run.lr, weight_decay=run.weight_decay)
    schedule = optim.lr_scheduler.OneCycleLR(optimizer, max_lr=run.lr, total_steps=run.epochs * len(batches))
    trainer = Trainer(model, F.cross_entropy, optimizer, metrics=[Accuracy()], callbacks=[LRSchedule(schedule)])
    run.fit(trainer, batches, DataLoader(data(run, 1), 500), best="validation_loss")
    test(run, model)


def test(run: Run, model: nn.Module) -> None:
    run.classified(model, F.cross_entropy, data(run, 2), POLARITY)


def predict(run: Run, model: nn.Module, text: str) -> str:
    words = WordTokenizer.from_dict(run.notes)
    with no_grad():
        p = F.softmax(model(Tensor(np.array([words.encode(text.lower()) or [0]]))), dim=-1).numpy()[0]  # (2,)
    return f"{POLARITY[p.argmax()]} ({100 * p.max():.1f} %)"
