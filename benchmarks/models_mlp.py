"""The step of the MLP 784-128-10 with Adam in NumPy by hand, autograd and mygrad: (weights, x, targets, lr) -> step."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np


class Adam:
    """In place, with preallocated state, as one would by hand."""

    def __init__(self, weights: Sequence[np.ndarray], lr: float):
        self.weights, self.lr, self.step = weights, lr, 0
        self.moments = [(np.zeros_like(w), np.zeros_like(w)) for w in weights]

    def update(self, gradients: Sequence[np.ndarray]) -> None:
        self.step += 1
        rate, root = self.lr / (1 - 0.9**self.step), (1 - 0.999**self.step) ** 0.5
        for w, g, (m, v) in zip(self.weights, gradients, self.moments, strict=True):
            m *= 0.9
            m += 0.1 * g
            v *= 0.999
            v += 0.001 * g * g
            w -= rate * m / (np.sqrt(v) / root + 1e-8)


def by_hand(start: dict[str, np.ndarray], x: np.ndarray, targets: np.ndarray, lr: float) -> Callable[[], float]:
    """Derived on paper."""
    w1, b1, w2, b2 = weights = list(start.values())
    adam, rows, labels = Adam(weights, lr), np.arange(len(x)), itertools.cycle(targets)

    def step() -> float:
        t = next(labels)
        h = x @ w1.T + b1  # (B, H)
        r = np.maximum(h, 0)
        z = r @ w2.T + b2  # (B, K)
        z -= z.max(axis=1, keepdims=True)
        p = np.exp(z)
        total = p.sum(axis=1, keepdims=True)
        loss = float((np.log(total[:, 0]) - z[rows, t]).mean())
        p /= total
        p[rows, t] -= 1
        p /= len(x)  # dL/dz
        dr = p @ w2
        dr[h <= 0] = 0
        adam.update((dr.T @ x, dr.sum(axis=0), p.T @ r, p.sum(axis=0)))
        return loss

    return step


def autograd(start: dict[str, np.ndarray], x: np.ndarray, targets: np.ndarray, lr: float) -> Callable[[], float]:
    import autograd.numpy as anp
    from autograd import value_and_grad

    weights = list(start.values())
    adam, rows, labels = Adam(weights, lr), np.arange(len(x)), itertools.cycle(targets)

    def loss(weights: Any, t: np.ndarray) -> Any:
        w1, b1, w2, b2 = weights
        z = anp.dot(anp.maximum(anp.dot(x, w1.T) + b1, 0), w2.T) + b2  # (B, K)
        z = z - anp.max(z, axis=1, keepdims=True)
        return anp.mean(anp.log(anp.sum(anp.exp(z), axis=1)) - z[rows, t])

    both = value_and_grad(loss)

    def step() -> float:
        value, gradients = both(weights, next(labels))
        adam.update(gradients)
        return float(value)

    return step


def mygrad(start: dict[str, np.ndarray], x: np.ndarray, targets: np.ndarray, lr: float) -> Callable[[], float]:
    import mygrad
    from mygrad.nnet.activations import relu
    from mygrad.nnet.losses import softmax_crossentropy

    w1, b1, w2, b2 = tensors = [mygrad.tensor(w) for w in start.values()]
    adam, labels = Adam([t.data for t in tensors], lr), itertools.cycle(targets)

    def step() -> float:
        z = mygrad.matmul(relu(mygrad.matmul(x, w1.T) + b1), w2.T) + b2  # (B, K)
        loss = softmax_crossentropy(z, next(labels))
        loss.backward()
        adam.update([t.grad for t in tensors])
        for t in tensors:
            t.null_grad()
        return loss.item()

    return step


STEPS = {"numpy-by-hand": by_hand, "autograd": autograd, "mygrad": mygrad}
