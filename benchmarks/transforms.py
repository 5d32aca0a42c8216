"""Per-sample gradients of an MLP: vmap(grad(loss)) at once, against a loop over the samples, and against torch.func.

    python -m minigrad.benchmarks.transforms

The MLP is 784-128-10 with ReLU and cross-entropy, float32. The contenders take turns in one process; each row is the
median of its times, and its ratio to the first.
"""

from __future__ import annotations

import statistics
import time

import numpy as np

from minigrad.creation import tensor
from minigrad.func import grad, vmap
from minigrad.tensor import F

BATCH, ROUNDS = 256, 7
SIZES = {"w1": (128, 784), "b1": (128,), "w2": (10, 128), "b2": (10,)}


def data() -> tuple[dict, np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    parameters = {k: (rng.standard_normal(s) * 0.05).astype(np.float32) for k, s in SIZES.items()}
    return parameters, rng.standard_normal((BATCH, 784)).astype(np.float32), rng.integers(0, 10, BATCH)


def loss(p, x, y):
    h = F.relu(F.linear(x, p["w1"], p["b1"]))  # (128,)
    return -F.log_softmax(F.linear(h, p["w2"], p["b2"]))[y]


def ours() -> dict:
    """{name: a function that computes the gradients of all samples}."""
    arrays, x, y = data()
    p, x, y = {k: tensor(v) for k, v in arrays.items()}, tensor(x), tensor(y)
    at_once, one = vmap(grad(loss), (None, 0, 0)), grad(loss)

    def loop():
        rows = [one(p, x[i], y[i]) for i in range(BATCH)]
        return {k: F.stack(*(r[k] for r in rows)) for k in p}

    return {"minigrad vmap(grad)": lambda: at_once(p, x, y), "minigrad loop": loop}


def theirs() -> dict:
    """torch.func, where PyTorch is installed."""
    try:
        import torch
    except ImportError:
        return {}
    torch.set_num_threads(2)
    arrays, x, y = data()
    p, x, y = {k: torch.tensor(v) for k, v in arrays.items()}, torch.tensor(x), torch.tensor(y)
    nn = torch.nn.functional

    def loss(p, x, y):
        h = nn.relu(nn.linear(x, p["w1"], p["b1"]))
        return nn.cross_entropy(nn.linear(h, p["w2"], p["b2"])[None], y[None])

    at_once = torch.func.vmap(torch.func.grad(loss), (None, 0, 0))
    return {"torch.func vmap(grad)": lambda: at_once(p, x, y)}


def measured(contenders: dict, rounds: int = ROUNDS) -> dict[str, float]:
    """Median seconds of each, taking turns, after one call to warm up."""
    times: dict[str, list[float]] = {name: [] for name in contenders}
    for r in range(rounds + 1):
        for name, f in contenders.items():
            start = time.perf_counter()
            f()
            if r:
                times[name].append(time.perf_counter() - start)
    return {name: statistics.median(t) for name, t in times.items()}


def main() -> None:
    found = measured({**ours(), **theirs()})
    first = next(iter(found.values()))
    for name, seconds in found.items():
        print(f"{name:24} {seconds * 1e3:8.1f} ms   {seconds / first:6.2f}")


if __name__ == "__main__":
    main()
