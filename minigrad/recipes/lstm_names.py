"""Surnames of 18 languages, read letter by letter by a long short-term memory (Hochreiter, Schmidhuber 1997)."""

from .. import nn
from .names import NameClassifier, fit, predict, test
from .run import Run

__all__ = ["DEFAULTS", "QUESTION", "network", "predict", "test", "train"]

DEFAULTS = {"epochs": 12, "batch_size": 64, "lr": 3e-3, "width": 128, "dropout": 0.4, "balance": 0.15}
QUESTION = "Nakamura"


def network(run: Run) -> nn.Module:
    return NameClassifier(nn.LSTM, run.width, run.dropout)


def train(run: Run) -> None:
    model = network(run)
    fit(run, model)
    test(run, model)
