"""``minigrad warmup``: compile every kernel into the disk cache, on all cores, so that no later program waits."""

from __future__ import annotations

import multiprocessing
import sys
import time
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from importlib import import_module
from typing import Any

from ..errors import BackendError
from ..threads import usable_cores


def _kernels(module: str) -> Any:
    try:
        return import_module(f"minigrad.kernels.cpu.{module}")
    except ImportError as error:
        raise BackendError(f"warmup: there is nothing to compile with: {error}. Install numba.") from None


def compile_one(job: str) -> str:
    """One job in a process of the pool."""
    _kernels("warmup").compile_one(job)
    return job


def warm_up(dtypes: Sequence[str], *, jobs: int = 0, clear: bool = False) -> None:
    """Compile all kernels for these dtypes with `jobs` processes (0: one for each core); `clear` the cache first."""
    folder = _kernels("cache").folder()
    if clear:
        for file in folder.glob("*.nbc"):
            file.unlink(missing_ok=True)
    names = _kernels("warmup").names(dtypes)
    start = time.perf_counter()
    spawn = multiprocessing.get_context("spawn")  # a fork would carry half of Numba's state along
    with ProcessPoolExecutor(jobs or usable_cores(), mp_context=spawn) as pool:
        running = [pool.submit(compile_one, name) for name in names]
        try:
            for done, future in enumerate(as_completed(running), 1):
                _say(f"{done} of {len(names)}: {future.result()}", last=done == len(names))
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise
    size = sum(file.stat().st_size for file in folder.glob("*.nbc"))
    print(f"{len(names)} kernels in {time.perf_counter() - start:.0f} s; {folder}: {size / 1e6:.1f} MB")


def _say(line: str, *, last: bool) -> None:
    """On a terminal one line that changes, elsewhere every fiftieth."""
    if sys.stderr.isatty():
        print(f"\r\033[K{line}", end="\n" if last else "", file=sys.stderr, flush=True)
    elif last or int(line.split()[0]) % 50 == 0:
        print(line, file=sys.stderr, flush=True)
