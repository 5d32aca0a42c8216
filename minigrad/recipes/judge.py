"""A network that has learned real digits, to judge made ones."""

from __future__ import annotations

from typing import Any

import numpy as np

from .. import nn, optim
from ..data import ArrayDataset, DataLoader
from ..nn import functional as F
from ..tensor import Tensor
from ..train import Accuracy, Trainer
from .cnn_mnist import data
from .run import Run


def learn(run: Run, judge: nn.Module, epochs: int = 1) -> None:
    """Teach it MNIST."""
    batches = DataLoader(data(run, "train"), run.batch_size, shuffle=True, seed=run.seed)
    optimizer = optim.Adam(judge.parameters(), lr=1e-3)
    print("a classifier learns the real digits, to judge the made ones", flush=True)
    Trainer(judge, F.cross_entropy, optimizer).fit(batches, epochs=epochs)


def accuracy(run: Run, judge: nn.Module) -> float:
    """Its accuracy on the real test digits."""
    figures = Trainer(judge, F.cross_entropy).evaluate(DataLoader(data(run, "test"), 500), metrics=[Accuracy()])
    return figures["accuracy"]


def scores(judge: nn.Module, pictures: np.ndarray) -> Tensor:
    """Of (N, 1, 28, 28) pictures, (N, 10)."""
    return Trainer(judge, F.cross_entropy).predict(DataLoader(ArrayDataset(pictures), 500))


def read(judge: nn.Module, pictures: np.ndarray) -> np.ndarray:
    """The digit it sees in each, (N,)."""
    return scores(judge, pictures).numpy().argmax(axis=1)


def verdict(judge: nn.Module, pictures: np.ndarray) -> dict[str, Any]:
    """What it says of (N, 1, 28, 28) pictures, from its probabilities p(k | x):

    score: exp(H(k) - H(k | x)), from 1 to 10: all ten digits alike often, each beyond doubt. With another network
    and other pictures it is the inception score of Salimans et al. 2016, arXiv:1606.03498. sure: the mean of the
    largest p, from 0.1 to 1; shares: (10,) how often each digit was seen.
    """
    p = F.softmax(scores(judge, pictures), dim=-1).numpy().astype(np.float64)  # (N, 10)
    entropy = lambda q: -(q * np.log(np.maximum(q, 1e-30))).sum(axis=-1)
    return {
        "score": float(np.exp(entropy(p.mean(axis=0)) - entropy(p).mean())),
        "sure": float(p.max(axis=1).mean()),
        "shares": (np.bincount(p.argmax(axis=1), minlength=10) / len(p)).tolist(),
    }
