"""A pretrained language model becomes a judge of film reviews: with its layers frozen, and with them learning.

The model is MiniLM from the folder $MINIGRAD_MINILM (see minilm.py); without it a small one of our own that has filled
gaps in the reviews, as bert-mlm does. Frozen, it makes a vector of each sentence once, and only a small classifier
learns, not for long: one that knows its vectors by heart would teach the layers nothing. Then the last `unfrozen` of
them learn with it, slowly (Howard, Ruder 2018, arXiv:1801.06146, on not forgetting).
"""

from __future__ import annotations

import os

import numpy as np

from .. import nn, optim
from ..data import ArrayDataset, BytePairTokenizer, DataLoader
from ..mode import no_grad
from ..nn import functional as F
from ..tensor import Tensor
from ..train import Accuracy, ClipGradients, LRSchedule, Trainer
from . import bert_mlm, minilm
from .run import Run
from .sentences import POLARITY, ByLength, Sentences, reviews

DEFAULTS = {
    "epochs": 2, "batch_size": 32, "lr": 1e-4, "unfrozen": 6, "hidden": 128, "dropout": 0.2, "frozen_epochs": 3,
    "pretraining": 20, "pretraining_lr": 1e-3, "masked": 0.15, "tokens": 4000, "width": 128, "layers": 3, "heads": 4,
}  # fmt: skip
SMOKE = {
    "unfrozen": 1, "hidden": 8, "frozen_epochs": 2, "pretraining": 1,
    "tokens": 60, "width": 16, "layers": 1, "heads": 2,
}  # fmt: skip
QUESTION = "a warm , funny and moving film ."
LENGTH = 64  # longer sentences are cut


class Judge(nn.Module):
    """A sentence's vector, and a classifier of vectors with one hidden layer."""

    def __init__(self, encoder: minilm.MiniLM, hidden: int, dropout: float):
        super().__init__()
        self.encoder, size = encoder, encoder.words.embedding_dim
        self.classifier = nn.Sequential(
            nn.Linear(size, hidden), nn.ReLU(), nn.Dropout(dropout), nn.Linear(hidden, len(POLARITY))
        )

    def vectors(self, numbers: Tensor) -> Tensor:
        """(B, T), filled up with 0, to (B, C), of length sqrt(C): each feature about 1."""
        return self.encoder(numbers, numbers == 0) * self.encoder.words.embedding_dim**0.5

    def forward(self, numbers: Tensor) -> Tensor:
        """(B, T) to (B, 2)."""
        return self.classifier(self.vectors(numbers))


def pretrained(run: Run) -> minilm.MiniLM:
    """The encoder; the notes say which one it is, and what its tokens are."""
    folder = os.environ.get("MINIGRAD_MINILM")
    if folder:
        encoder, tokenizer = minilm.load(folder)
        run.notes = {"encoder": "MiniLM", "vocabulary": list(tokenizer.numbers)}
        return encoder
    texts, _ = reviews(run)[0]
    pieces = BytePairTokenizer.train(texts, run.tokens)
    run.notes = {"encoder": "own", **pieces.to_dict()}
    print("MINIGRAD_MINILM is not set: a small model of our own learns to fill gaps first", flush=True)
    bert = bert_mlm.network(run)
    rows = [bert_mlm.read(pieces, text) for text in texts]
    trainer, batches = bert_mlm.masked_training(run, bert, rows, run.pretraining)
    trainer.fit(batches, epochs=run.pretraining)
    encoder, learned = untrained(run), bert.state_dict()
    encoder.load_state_dict({name: learned[name] for name in encoder.state_dict()})
    return encoder


def untrained(run: Run) -> minilm.MiniLM:
    if run.notes["encoder"] == "MiniLM":
        return minilm.MiniLM(len(run.notes["vocabulary"]))
    tokens = len(run.notes["pieces"]) + 1  # with bert-mlm's [mask]
    return minilm.MiniLM(tokens, run.width, run.layers, run.heads, 4 * run.width, LENGTH)


def network(run: Run) -> Judge:
    return Judge(untrained(run), run.hidden, run.dropout)


def read(run: Run, texts: list[str]) -> list[list[int]]:
    if run.notes["encoder"] == "MiniLM":
        tokenizer = minilm.WordPiece(run.notes["vocabulary"])
        return [tokenizer(text, LENGTH) for text in texts]
    pieces = BytePairTokenizer.from_dict(run.notes)
    return [bert_mlm.read(pieces, text) for text in texts]


def data(run: Run) -> list[Sentences]:
    """To learn from, to validate, to test."""
    return [Sentences(read(run, texts), labels) for texts, labels in reviews(run)]


def train(run: Run) -> None:
    if run.resumed:
        run.notes = run.resumed["run"]["notes"]
        model = network(run)  # whose weights are in the state too
        training, validation, _ = data(run)
    else:
        model = Judge(pretrained(run), run.hidden, run.dropout)
        training, validation, held_out = data(run)
        run.notes["frozen_accuracy"] = train_frozen(run, model, training, held_out)
        print(f"frozen: test accuracy {100 * run.notes['frozen_accuracy']:.2f} %", flush=True)
    thaw(model, run.unfrozen)
    sampler = ByLength([len(row) for row in training.columns[0]], run.batch_size)
    batches = DataLoader(training, run.batch_size, sampler=sampler, seed=run.seed)
    groups = [
        {"params": [p for p in model.encoder.parameters() if p.requires_grad]},
        {"params": model.classifier.parameters(), "lr": 10 * run.lr},  # nothing to forget there
    ]
    optimizer = optim.AdamW([g for g in groups if g["params"]], lr=run.lr, weight_decay=0.01)
    steps = run.epochs * len(batches)
    rate = lambda step: min((step + 1) / (0.1 * steps), 1 - step / steps)  # up, then down to 0
    schedule = optim.lr_scheduler.LambdaLR(optimizer, rate)
    callbacks = [ClipGradients(1.0), LRSchedule(schedule)]
    trainer = Trainer(model, F.cross_entropy, optimizer, metrics=[Accuracy()], callbacks=callbacks)
    run.fit(trainer, batches, DataLoader(validation, 64))
    test(run, model)


def train_frozen(run: Run, model: Judge, training: Sentences, held_out: Sentences) -> float:
    """Teach the classifier alone, on vectors that are made once; its accuracy."""
    trainer = Trainer(model.classifier, F.cross_entropy, optim.AdamW(model.classifier.parameters(), lr=1e-3))
    parts = [ArrayDataset(vectors(model, part.columns[0]), part.columns[1]) for part in (training, held_out)]
    trainer.fit(DataLoader(parts[0], 64, shuffle=True, seed=run.seed), epochs=run.frozen_epochs)
    return trainer.evaluate(DataLoader(parts[1], 500), metrics=[Accuracy()])["accuracy"]


@no_grad()
def vectors(model: Judge, rows: list[list[int]]) -> np.ndarray:
    """(N, C), sentences of one length together."""
    model.eval()
    order = np.argsort([len(row) for row in rows], kind="stable")
    parts = [model.vectors(numbers).numpy() for (numbers,) in DataLoader(Sentences(rows), 64, sampler=order)]
    return np.concatenate(parts)[np.argsort(order)]


def thaw(model: Judge, layers: int) -> None:
    """Let the classifier and the last layers of the encoder learn, and nothing else."""
    model.encoder.requires_grad_(False)
    for layer in model.encoder.encoder.layers[len(model.encoder.encoder.layers) - layers :]:
        layer.requires_grad_(True)


def test(run: Run, model: Judge) -> None:
    frozen = run.notes["frozen_accuracy"]
    print(f"{run.notes['encoder']}, all layers frozen: {100 * frozen:.2f} %; with the last {run.unfrozen} learning:")
    run.classified(model, F.cross_entropy, data(run)[2], POLARITY, frozen_accuracy=frozen)


def predict(run: Run, model: Judge, text: str) -> str:
    with no_grad():
        p = F.softmax(model(Tensor(np.array(read(run, [text.lower()])))), dim=-1).numpy()[0]  # (2,)
    return f"{POLARITY[p.argmax()]} ({100 * p.max():.1f} %)"
