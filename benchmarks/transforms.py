"""Per-sample gradients of an MLP: vmap(grad(loss)) at once, against a loop over the samples, and against torch.func.

    python -m minigrad.benchmarks.transforms

MLPs of three sizes with ReLU, float32, batch 256; cross-entropy, or the squared error where there is one output. The
contenders take turns in one process; each row is the median of its times, and its ratio to the first. "write" fills
fresh memory of the size of the gradients, 103 MB for 784-128-10: nothing that returns them can take less.
"""

from __future__ import annotations

import statistics
import time
from itertools import pairwise

import numpy as np

from minigrad.creation import tensor
from minigrad.func import grad, vmap
from minigrad.tensor import F

BATCH, ROUNDS = 256, 7
MLPS = ((10, 64, 64, 1), (64, 64, 10), (784, 128, 10))


def data(sizes: tuple[int, ...]) -> tuple[dict, np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    parameters = {}
    for i, (n_in, n_out) in enumerate(pairwise(sizes)):
        parameters[f"w{i}"] = (rng.standard_normal((n_out, n_in)) * 0.05).astype(np.float32)
        parameters[f"b{i}"] = np.zeros(n_out, np.float32)
    x = rng.standard_normal((BATCH, sizes[0])).astype(np.float32)
    classes = sizes[-1]
    y = rng.integers(0, classes, BATCH) if classes > 1 else rng.standard_normal((BATCH, 1)).astype(np.float32)
    return parameters, x, y


def mlp(p, x, linear, relu):
    last = len(p) // 2 - 1
    for i in range(last):
        x = relu(linear(x, p[f"w{i}"], p[f"b{i}"]))
    return linear(x, p[f"w{last}"], p[f"b{last}"])


def ours(sizes: tuple[int, ...]) -> dict:
    """{name: a function that computes the gradients of all samples}."""
    arrays, x, y = data(sizes)
    p, x, y = {k: tensor(v) for k, v in arrays.items()}, tensor(x), tensor(y)

    def loss(p, x, y):
        z = mlp(p, x, F.linear, F.relu)
        return -F.log_softmax(z)[y] if len(z) > 1 else F.square(z - y)[0]

    at_once, one = vmap(grad(loss), (None, 0, 0)), grad(loss)

    def loop():
        rows = [one(p, x[i], y[i]) for i in range(BATCH)]
        return {k: F.stack(*(r[k] for r in rows)) for k in p}

    def write():
        return [np.full((BATCH, *v.shape), 1, v.dtype) for v in arrays.values()]

    return {"minigrad vmap(grad)": lambda: at_once(p, x, y), "minigrad loop": loop, "write": write}


def theirs(sizes: tuple[int, ...]) -> dict:
    """torch.func, where PyTorch is installed."""
    try:
        import torch
    except ImportError:
        return {}
    torch.set_num_threads(2)
    arrays, x, y = data(sizes)
    p, x, y = {k: torch.tensor(v) for k, v in arrays.items()}, torch.tensor(x), torch.tensor(y)
    nn = torch.nn.functional

    def loss(p, x, y):
        z = mlp(p, x, nn.linear, nn.relu)
        return nn.cross_entropy(z[None], y[None]) if len(z) > 1 else ((z - y) ** 2)[0]

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
    for sizes in MLPS:
        print("-".join(map(str, sizes)))
        found = measured({**ours(sizes), **theirs(sizes)})
        first = next(iter(found.values()))
        for name, seconds in found.items():
            print(f"  {name:22} {seconds * 1e3:8.2f} ms   {seconds / first:6.2f}")


if __name__ == "__main__":
    main()
