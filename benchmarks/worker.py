"""The process of one contender: ``python -m minigrad.benchmarks.worker SUITE CONTENDER``, driven by measure.Worker.

A suite is a module of this package with ``build(contender, row)``, which returns a `Work`. It imports its contender's
library when it builds, so that no other is in the process.
"""

from __future__ import annotations

import ctypes
import gc
import json
import os
import resource
import signal
import sys
import time
from collections.abc import Callable
from importlib import import_module
from typing import Any, NamedTuple


class Absent(Exception):
    """Raised by a suite's `build`: this contender has nothing to set beside this row."""


class Work(NamedTuple):
    """`call` is timed; ``check(result of the first call)`` gives the numbers that all contenders must agree on.
    times_itself: what it returns are the seconds, and it is called no more often than asked. timed(call, n): the
    seconds of n calls where the host's clock does not see them end, on a GPU."""

    call: Callable[[], Any]
    check: Callable[[Any], list[float]] | None = None
    times_itself: bool = False
    timed: Callable[[Callable[[], Any], int], float] | None = None


def resident() -> int:
    """Bytes of memory this process has now."""
    try:
        with open("/proc/self/statm") as file:
            return int(file.read().split()[1]) * resource.getpagesize()
    except OSError:
        return peak()


def peak() -> int:
    """Bytes of memory this process had at most (since `restart_peak` where the system has that)."""
    try:
        with open("/proc/self/status") as file:  # ru_maxrss may be that of the parent
            return next(int(line.split()[1]) * 1024 for line in file if line.startswith("VmHWM"))
    except (OSError, StopIteration):
        unit = 1 if sys.platform == "darwin" else 1024
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit


def restart_peak() -> None:
    try:
        with open("/proc/self/clear_refs", "w") as file:
            file.write("5")
    except OSError:
        pass


class Server:
    """Answers one question at a time."""

    def __init__(self, suite: str, contender: str):
        self.suite, self.contender = suite, contender
        self.module: Any = None
        self.work: Work | None = None

    def build(self, row: str) -> dict:
        """Build the work of a row, check it, warm it up."""
        self.forget()
        start = time.perf_counter()
        self.module = self.module or import_module(f".{self.suite}", __package__)
        self.work = self.module.build(self.contender, row)
        built = time.perf_counter()
        self.base = resident()
        if self.work.times_itself:
            return {"build_seconds": built - start}
        first = self.work.call()
        answer: dict[str, Any] = {"build_seconds": built - start, "first_seconds": time.perf_counter() - built}
        if self.work.check:
            answer["numbers"] = [float(v) for v in self.work.check(first)]
        del first
        began, n = time.perf_counter(), 0
        while n < 20 and time.perf_counter() - began < 0.5:  # compile the rest, allocate, warm up
            self.work.call()
            n += 1
        self.estimate = (time.perf_counter() - began) / n
        if self.work.timed:
            self.estimate = self.work.timed(self.work.call, n) / n
        answer["peak"] = peak()
        restart_peak()  # what compiling took is not what a step takes
        return answer

    def turn(self, seconds: float) -> dict:
        """Seconds per call over one turn of about `seconds`."""
        assert self.work is not None
        call = self.work.call
        if self.work.times_itself:
            return {"seconds": call()}
        if self.estimate < seconds:
            call()  # wakes the threads
        n = max(1, round(seconds / max(self.estimate, 1e-8)))
        rounds = range(n)
        if self.work.timed:
            self.estimate = self.work.timed(call, n) / n
            return {"seconds": self.estimate}
        start = time.perf_counter()
        for _ in rounds:
            call()
        self.estimate = (time.perf_counter() - start) / n
        return {"seconds": self.estimate}

    def memory(self) -> dict:
        """step_memory: bytes at most during the turns, beyond what there was with library and work built."""
        return {"step_memory": max(0, peak() - self.base)}

    def cost(self, row: str) -> dict:
        """Flops and bytes that the row takes at least."""
        self.module = self.module or import_module(f".{self.suite}", __package__)
        flops, moved = self.module.cost(row)
        return {"flops": flops, "bytes": moved}

    def forget(self) -> dict:
        self.work = None
        gc.collect()
        return {}


def serve(suite: str, contender: str) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent decides
    if sys.platform == "linux":  # and ends us, stopped as we may be, if it is killed
        ctypes.CDLL(None).prctl(1, signal.SIGKILL)  # PR_SET_PDEATHSIG
    out = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # what libraries print must not mix with the answers
    server = Server(suite, contender)
    for line in sys.stdin:
        question = json.loads(line)
        try:
            answer = getattr(server, question.pop("do"))(**question)
        except Absent:
            answer = {"absent": True}
        except Exception as error:  # a contender may fail in any way: it is reported, the rest goes on
            first = str(error).strip().splitlines() or [""]
            answer = {"error": f"{type(error).__name__}: {first[0]}"}
        print(json.dumps(answer), file=out, flush=True)


if __name__ == "__main__":  # as the module that the suites import, not as a second copy of it
    import_module(f"{__package__}.worker").serve(*sys.argv[1:])
