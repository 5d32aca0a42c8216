"""One training step of an MLP 784-128-10, batch 128, Adam: forward, backward, update; beside NumPy by hand and PyTorch.

    python benchmarks/mlp.py [--json FILE]

All contenders start from the same weights, see the same MNIST-shaped batch (random pixels, fixed seed) and are
checked to reach the same loss after 20 steps; then each runs in a process of its own, and the processes take turns.
"""

import argparse
import itertools
import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
from measure import in_turns, machine, serve

import minigrad as mg
import minigrad.nn.functional as F
from minigrad import nn, optim

BATCH, PIXELS, HIDDEN, CLASSES, LABELS, LR = 128, 784, 128, 10, 64, 1e-3


def data() -> tuple:
    rng = np.random.default_rng(0)
    x = rng.random((BATCH, PIXELS), np.float32)
    t = rng.integers(
        0, CLASSES, (LABELS, BATCH)
    )  # other labels every step: nothing to learn by heart, no denormal numbers
    w1 = rng.uniform(-1, 1, (HIDDEN, PIXELS)).astype(np.float32) / PIXELS**0.5
    w2 = rng.uniform(-1, 1, (CLASSES, HIDDEN)).astype(np.float32) / HIDDEN**0.5
    return x, t, w1, np.zeros(HIDDEN, np.float32), w2, np.zeros(CLASSES, np.float32)


def by_hand() -> Callable[[], float]:
    """The same step in NumPy, derived on paper, with preallocated optimizer state and in-place updates."""
    x, labels, *weights = data()
    weights = [w.copy() for w in weights]
    moments = [(np.zeros_like(w), np.zeros_like(w)) for w in weights]
    rows, step = np.arange(BATCH), 0

    def run() -> float:
        nonlocal step
        t = labels[step % LABELS]
        w1, b1, w2, b2 = weights
        h = x @ w1.T + b1  # (B, H)
        r = np.maximum(h, 0)
        z = r @ w2.T + b2  # (B, K)
        z -= z.max(axis=1, keepdims=True)
        p = np.exp(z)
        total = p.sum(axis=1, keepdims=True)
        loss = float((np.log(total[:, 0]) - z[rows, t]).mean())
        p /= total
        p[rows, t] -= 1
        p /= BATCH  # dL/dz
        dr = p @ w2
        dr[h <= 0] = 0
        grads = (dr.T @ x, dr.sum(axis=0), p.T @ r, p.sum(axis=0))
        step += 1
        for w, g, (m, v) in zip(weights, grads, moments, strict=True):
            m *= 0.9
            m += 0.1 * g
            v *= 0.999
            v += 0.001 * g * g
            w -= LR / (1 - 0.9**step) * m / (np.sqrt(v / (1 - 0.999**step)) + 1e-8)
        return loss

    return run


def ours(backend: str) -> Callable[[], float]:
    x, *rest = (mg.tensor(a) for a in data())
    labels, (w1, b1, w2, b2) = list(rest[0]), rest[1:]
    model = nn.Sequential(nn.Linear(PIXELS, HIDDEN), nn.ReLU(), nn.Linear(HIDDEN, CLASSES))
    with mg.no_grad():
        for p, value in zip(model.parameters(), (w1, b1, w2, b2), strict=True):
            p[...] = value
    optimizer = optim.Adam(model.parameters(), lr=LR)
    steps = itertools.count()

    def run() -> float:
        with mg.use_backend(backend):
            optimizer.zero_grad()
            loss = F.cross_entropy(model(x), labels[next(steps) % LABELS])
            loss.backward()
            optimizer.step()
            return loss.item()

    return run


def pytorch() -> Callable[[], float] | None:
    try:
        import torch
    except ImportError:
        return None
    x, labels, *weights = (torch.from_numpy(a.copy()) for a in data())
    labels, steps = list(labels), itertools.count()
    model = torch.nn.Sequential(torch.nn.Linear(PIXELS, HIDDEN), torch.nn.ReLU(), torch.nn.Linear(HIDDEN, CLASSES))
    with torch.no_grad():
        for p, value in zip(model.parameters(), weights, strict=True):
            p.copy_(value)
    optimizer = torch.optim.Adam(model.parameters(), lr=LR)

    def run() -> float:
        optimizer.zero_grad()
        loss = torch.nn.functional.cross_entropy(model(x), labels[next(steps) % LABELS])
        loss.backward()
        optimizer.step()
        return loss.item()

    return run


CONTENDERS = {
    "minigrad numba": lambda: ours("numba"),
    "minigrad numpy": lambda: ours("numpy"),
    "numpy by hand": by_hand,
    "pytorch eager": pytorch,
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", type=Path, help="also write the figures there")
    parser.add_argument("--worker", choices=CONTENDERS, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.worker:
        serve(CONTENDERS[options.worker]())
        return
    made = {name: make() for name, make in CONTENDERS.items()}
    losses = {name: [f() for _ in range(20)][-1] for name, f in made.items() if f is not None}
    assert max(losses.values()) - min(losses.values()) < 1e-3, f"the contenders do different work: {losses}"
    times = in_turns(__file__, list(losses))
    medians = {name: float(np.median(t)) for name, t in times.items()}
    print(machine())
    print(f"{'one training step':16s}{'median':>10s}{'quarter':>10s}{'3 quarters':>11s}{'ratio':>8s}   loss at 20")
    for name, t in times.items():
        low, high = np.percentile(t, [25, 75])
        ratio = medians[name] / medians["minigrad numba"]
        spread = f"{medians[name] * 1e3:7.3f} ms{low * 1e3:7.3f} ms{high * 1e3:8.3f} ms"
        print(f"{name:16s}{spread}{ratio:8.2f}   {losses[name]:.4f}")
    if options.json:
        options.json.write_text(json.dumps({"machine": machine(), "seconds": times, "losses": losses}, indent=2) + "\n")


if __name__ == "__main__":
    main()
