"""Interleaved timing: the contenders take turns in one process, so that a drifting machine slows all of them alike."""

from __future__ import annotations

import contextlib
import gc
import importlib.metadata
import platform
import statistics
import subprocess
import sys
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


class Worker:
    """A contender in a process of its own: thread pools of different libraries in one process slow each other down.

    The script is run with ``--worker NAME`` and must call `serve` with the contender.
    """

    def __init__(self, script: str, name: str):
        command = [sys.executable, script, "--worker", name]
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def turn(self, seconds: float) -> float:
        """Seconds per call, over one turn of about `seconds`."""
        assert self.process.stdin is not None and self.process.stdout is not None
        print(seconds, file=self.process.stdin, flush=True)
        return float(self.process.stdout.readline())

    def close(self) -> None:
        assert self.process.stdin is not None
        self.process.stdin.close()
        self.process.wait()


def serve(f: Callable[[], object]) -> None:
    """The loop of a worker: one timed turn per line on standard input."""
    for _ in range(20):  # compile, allocate, warm up
        f()
    for line in sys.stdin:
        end = time.perf_counter() + float(line)
        start, n = time.perf_counter(), 0
        while time.perf_counter() < end:
            f()
            n += 1
        print((time.perf_counter() - start) / n, flush=True)


def in_turns(script: str, names: list[str], *, rounds: int = 25, seconds: float = 0.1) -> dict[str, list[float]]:
    """Seconds per call of each contender in each round, the contenders' processes taking turns."""
    workers = {name: Worker(script, name) for name in names}
    try:
        times: dict[str, list[float]] = {name: [] for name in names}
        for turn in range(rounds + 1):
            for name, worker in workers.items():
                t = worker.turn(seconds)
                time.sleep(0.1)  # spinning threads of the last contender go to sleep
                if turn:
                    times[name].append(t)
        return times
    finally:
        for worker in workers.values():
            worker.close()


def machine() -> str:
    """One line about where the figures were taken."""
    import datetime
    import os

    import numpy

    cpu = platform.machine()
    if os.path.exists("/proc/cpuinfo"):
        with open("/proc/cpuinfo") as lines:
            cpu = next((line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")), cpu)
    versions = [f"Python {platform.python_version()}", f"NumPy {numpy.__version__}"]
    for package in ("numba", "torch"):
        with contextlib.suppress(importlib.metadata.PackageNotFoundError):
            versions.append(f"{package} {importlib.metadata.version(package)}")
    return f"{', '.join(versions)}; {cpu}, {os.cpu_count()} cores; {datetime.date.today()}"
