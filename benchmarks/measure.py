"""Interleaved timing: the contenders take turns in one process, so that a drifting machine slows all of them alike."""

from __future__ import annotations

import gc
import platform
import statistics
import time
from collections.abc import Callable


def interleaved(
    contenders: dict[str, Callable[[], object]], *, rounds: int = 15, seconds: float = 0.05
) -> dict[str, float]:
    """Median seconds per call of each contender, warm; each turn repeats the call for about `seconds`."""
    calls = {}
    for name, f in contenders.items():
        f()  # compile, allocate
        f()
        start = time.perf_counter()
        f()
        calls[name] = max(1, int(seconds / max(time.perf_counter() - start, 1e-9)))
    times: dict[str, list[float]] = {name: [] for name in contenders}
    gc.collect()
    gc.disable()
    try:
        for _ in range(rounds):
            for name, f in contenders.items():
                n = calls[name]
                start = time.perf_counter()
                for _ in range(n):
                    f()
                times[name].append((time.perf_counter() - start) / n)
    finally:
        gc.enable()
    return {name: statistics.median(t) for name, t in times.items()}


def machine() -> str:
    """One line about where the figures were taken."""
    import os

    import numpy

    return (
        f"Python {platform.python_version()}, NumPy {numpy.__version__}, {platform.machine()}, {os.cpu_count()} cores"
    )
