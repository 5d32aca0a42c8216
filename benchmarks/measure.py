"""How times are taken: every contender in a process of its own, the processes taking turns.

Thread pools of different libraries in one process slow each other down, hence a process each; a machine drifts, hence
turns: in every round each contender runs for a fraction of a second, warm, and figures are medians over the rounds.
Whose turn it is not is stopped: threads of a BLAS that go on spinning have cost the next contender half its speed.
A ratio is the median of the ratios round by round, so that a slow minute cancels.

The two sides talk in lines of JSON: `Worker` here, `worker.serve` in the process.
"""

from __future__ import annotations

import datetime
import json
import os
import platform
import signal
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from typing import Any

import numpy as np

from ..errors import MinigradError
from ..threads import get_num_threads
from . import contenders


class WorkerError(MinigradError, RuntimeError):
    """A contender failed or its process ended: the message says how, in a line."""


class Worker:
    """The process of one contender of one suite."""

    def __init__(self, suite: str, contender: str, environment: dict[str, str] | None = None):
        self.suite, self.contender, self.environment = suite, contender, {**os.environ, **(environment or {})}
        self.process: subprocess.Popen | None = None

    def start(self) -> None:
        self.errors = tempfile.TemporaryFile("w+")  # noqa: SIM115  open as long as the process
        # a session of its own: Ctrl-C reaches the parent alone, which then ends the workers
        self.process = subprocess.Popen(
            [sys.executable, "-m", "minigrad.benchmarks.worker", self.suite, self.contender],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self.errors, text=True, env=self.environment,
            start_new_session=True,
        )  # fmt: skip

    def ask(self, **question: Any) -> dict:
        """The worker's answer to one question. Raises WorkerError if it has none; the next question starts it anew."""
        if self.process is None:
            self.start()
        assert self.process is not None and self.process.stdin is not None and self.process.stdout is not None
        try:
            self.signal("SIGCONT")
            print(json.dumps(question), file=self.process.stdin, flush=True)
            line = self.process.stdout.readline()
            self.signal("SIGSTOP")
        except (BrokenPipeError, ProcessLookupError):
            line = ""
        if not line:
            raise WorkerError(self.ended())
        answer = json.loads(line)
        if "error" in answer:
            raise WorkerError(answer["error"])
        return answer

    def signal(self, name: str) -> None:
        """Stop the process and its threads until its next turn, or let it go on; where the system can."""
        if self.process is not None and self.process.poll() is None and hasattr(signal, name):
            os.killpg(self.process.pid, getattr(signal, name))

    def ended(self) -> str:
        """How the process ended, with the last line it wrote."""
        assert self.process is not None
        code = self.process.wait()
        how = f"killed by {signal.Signals(-code).name}" if code < 0 else f"ended with status {code}"
        self.errors.seek(0)
        said = self.errors.read().strip().splitlines()
        self.close()
        return f"its process was {how}" + (f": {said[-1].strip()}" if said else "")

    def close(self) -> None:
        if self.process is None:
            return
        assert self.process.stdin is not None
        self.signal("SIGCONT")
        try:
            self.process.stdin.close()
            self.process.wait(timeout=1)
        except (subprocess.TimeoutExpired, BrokenPipeError):
            self.process.kill()
            self.process.wait()
        assert self.process.stdout is not None
        self.process.stdout.close()
        self.errors.close()
        self.process = None


def measure(
    workers: dict[str, Any], row: str, *, rounds: int, seconds: float, tolerance: float, warm: bool = True
) -> dict[str, dict]:
    """One row: every contender builds its work, their numbers are compared, then they take turns.

    Returns for each contender what its worker says (numbers, first, peak ...) with `times`, the seconds per call of
    each round; or `error`, if it failed or computes something else than the others.
    """
    found: dict[str, dict] = {}
    for name, worker in workers.items():
        try:
            answer = worker.ask(do="build", row=row)
        except WorkerError as error:
            answer = {"error": str(error)}
        if "absent" not in answer:
            found[name] = answer
    for name, why in disagreement({k: f.get("numbers") for k, f in found.items()}, tolerance).items():
        found[name]["error"] = why
    times: dict[str, list[float]] = {name: [] for name, f in found.items() if "error" not in f}
    for turn in range(-warm, rounds):
        for name in list(times):
            try:
                t = workers[name].ask(do="turn", seconds=seconds)["seconds"]
            except WorkerError as error:
                found[name]["error"] = str(error)
                del times[name]
                continue
            if turn >= 0:  # the round before the first warms up
                times[name].append(t)
    for name, seen in times.items():
        found[name]["times"] = seen
        found[name] |= workers[name].ask(do="memory")
    for name in found:
        if workers[name].process is not None:
            workers[name].ask(do="forget")
    return found


def disagreement(numbers: dict[str, Sequence[float] | None], tolerance: float) -> dict[str, str]:
    """name -> why, for each contender whose numbers differ from the middle of all by more than
    tolerance (1 + |middle|), or are not finite."""
    given = {k: np.array(v, float) for k, v in numbers.items() if v is not None}
    if not given:
        return {}
    if len({v.shape for v in given.values()}) > 1:
        return {k: f"the contenders return different counts of numbers: {len(v)} here" for k, v in given.items()}
    every = np.stack(list(given.values()))  # (contenders, numbers)
    middle = np.median(every, axis=0)
    out = {}
    for name, v in given.items():
        far = ~(np.abs(v - middle) <= tolerance * (1 + np.abs(middle)))  # so that NaN is far
        if far.any():
            i = int(np.argmax(far))
            all_of_them = ", ".join(f"{k} {u[i]:.6g}" for k, u in given.items())
            out[name] = f"computes something else: number {i} is {v[i]:.6g} ({all_of_them})"
    return out


def quartiles(times: Sequence[float]) -> dict[str, float]:
    low, middle, high = np.percentile(times, [25, 50, 75])
    return {"median": float(middle), "low": float(low), "high": float(high)}


def ratio(times: Sequence[float], base: Sequence[float]) -> float:
    """How many times as long as `base`: the median of the ratios of each round."""
    return float(np.median(np.array(times) / np.array(base)))


def machine() -> dict[str, Any]:
    """Where the figures were taken."""
    cpu = platform.processor() or platform.machine()
    if os.path.exists("/proc/cpuinfo"):
        with open("/proc/cpuinfo") as lines:
            cpu = next((line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")), cpu)
    return {
        "cpu": cpu,
        "threads": get_num_threads(),
        "system": f"{platform.system()} {platform.machine()}",
        "python": platform.python_version(),
        "versions": contenders.versions(),
        **({"gpu": gpu} if (gpu := contenders.gpu()) else {}),
        "date": datetime.date.today().isoformat(),
    }
