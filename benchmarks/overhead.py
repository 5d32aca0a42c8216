"""What the tape costs: one operation on 4x4 float32 with a gradient, beside the same NumPy call in the same process.

    python benchmarks/overhead.py [--json FILE]

The control column is NumPy alone; `over` is what minigrad adds to it. PyTorch, where installed, is its whole operation.
"""

import argparse
import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
from measure import interleaved, machine

import minigrad as mg


def operations() -> dict[str, tuple]:
    """name -> (NumPy, minigrad, PyTorch or None), each a call without arguments."""
    a = np.ones((4, 4), np.float32)
    t = mg.tensor(a, requires_grad=True)
    c = mg.tensor(a)
    try:
        import torch
    except ImportError:
        torch = None
    p = torch.ones((4, 4), requires_grad=True) if torch else None
    rows = {
        "multiply": (lambda: a * a, lambda: t * t, lambda: p * p),
        "add": (lambda: a + a, lambda: t + t, lambda: p + p),
        "exp": (lambda: np.exp(a), lambda: mg.exp(t), lambda: torch.exp(p)),
        "multiply by 2.0": (lambda: a * 2.0, lambda: t * 2.0, lambda: p * 2.0),
        "sum": (lambda: a.sum(), lambda: t.sum(), lambda: p.sum()),
        "matmul": (lambda: a @ a, lambda: t @ t, lambda: p @ p),
        "reshape": (lambda: a.reshape(2, 8), lambda: t.reshape(2, 8), lambda: p.reshape(2, 8)),
        "multiply, no gradient": (lambda: a * a, lambda: c * c, None),
    }
    return {name: (n, m, q if torch else None) for name, (n, m, q) in rows.items()}


def imports(rounds: int = 7) -> tuple[float, float]:
    """Median wall seconds of `import numpy` and `import minigrad` in fresh processes, in turn."""
    times: dict[str, list[float]] = {"numpy": [], "minigrad": []}
    environment = {
        k: v for k, v in os.environ.items() if k != "PYTHONDONTWRITEBYTECODE"
    }  # NumPy comes compiled: so must we
    subprocess.run([sys.executable, "-c", "import minigrad"], env=environment, check=True)
    for _ in range(rounds):
        for name, seen in times.items():
            code = f"import time; t = time.perf_counter(); import {name}; print(time.perf_counter() - t)"
            done = subprocess.run(
                [sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True
            )
            seen.append(float(done.stdout))
    return float(np.median(times["numpy"])), float(np.median(times["minigrad"]))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", type=Path, help="also write the figures there")
    options = parser.parse_args()
    print(machine())
    print(f"{'us per operation, 4x4 float32':32s}{'NumPy':>8s}{'minigrad':>10s}{'over':>8s}{'PyTorch':>9s}")
    figures = {}
    for name, (n, m, q) in operations().items():
        contenders = {"numpy": n, "minigrad": m} | ({"torch": q} if q else {})
        us = {k: v * 1e6 for k, v in interleaved(contenders, rounds=25, seconds=0.02).items()}
        figures[name] = us
        torch_us = f"{us['torch']:9.2f}" if q else "        -"
        print(f"{name:32s}{us['numpy']:8.2f}{us['minigrad']:10.2f}{us['minigrad'] - us['numpy']:8.2f}{torch_us}")
    numpy_s, minigrad_s = imports()
    figures["import"] = {"numpy": numpy_s, "minigrad": minigrad_s}
    print(
        f"import numpy {numpy_s * 1e3:.0f} ms, import minigrad {minigrad_s * 1e3:.0f} ms, ratio "
        f"{minigrad_s / numpy_s:.2f}"
    )
    if options.json:
        options.json.write_text(json.dumps({"machine": machine(), "figures": figures}, indent=2) + "\n")


if __name__ == "__main__":
    main()
