"""How many threads the compiled kernels of the CPU run on: one pool and one count for the whole process."""

from __future__ import annotations

import operator
import os

from .errors import BackendError

VARIABLE = "MINIGRAD_NUM_THREADS"
_chosen = 0  # 0: nobody has asked yet


def set_num_threads(n: int) -> None:
    """Run every kernel on n threads from now on, in all threads of the process; n >= 1.

    Results change by rounding at most, and only where a kernel adds up one sum for each thread.
    """
    global _chosen
    try:
        n = operator.index(n)
    except TypeError:
        raise BackendError(f"set_num_threads: an integer of at least 1 is needed: got {n!r}.") from None
    if n < 1:
        raise BackendError(f"set_num_threads: an integer of at least 1 is needed: got {n}.")
    _chosen = n


def get_num_threads() -> int:
    """The number of threads kernels run on: as set, else of $MINIGRAD_NUM_THREADS, else one for each usable core."""
    return _chosen or _from_environment()


def usable_cores() -> int:
    """The cores this process may run on."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _from_environment() -> int:
    text = os.environ.get(VARIABLE) or os.environ.get("NUMBA_NUM_THREADS") or ""
    if text and not (text.isascii() and text.isdigit() and int(text) > 0):
        raise BackendError(f"{VARIABLE}: an integer of at least 1 is needed: got {text!r}.")
    set_num_threads(int(text) if text else usable_cores())
    return _chosen
