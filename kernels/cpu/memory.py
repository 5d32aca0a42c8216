"""Freed memory stays in the process, for the arrays of the next training step.

By default glibc gives large freed blocks back to the system, which hands out cleared pages again one fault at a time: a
training step that allocates 30 MB of intermediate arrays took 7,000 to 12,000 faults, a third of its time. With what is
set here it takes none, and the peak is about the same. Blocks of any size come from the heap, and up to 2 GB of free
memory is kept at its end. MINIGRAD_KEEP_MEMORY=0, or any setting of malloc's own in the environment, leaves all as it
is; `release()` gives back what is free now.
"""

import ctypes
import os

TRIM_THRESHOLD, MMAP_MAX = -1, -4  # of mallopt, malloc.h: what stays at the end of the heap; blocks outside of it
_SET_BY_USER = ("MALLOC_TRIM_THRESHOLD_", "MALLOC_MMAP_THRESHOLD_", "MALLOC_MMAP_MAX_", "GLIBC_TUNABLES")


def _glibc(name):
    try:
        return getattr(ctypes.CDLL(None), name)
    except (AttributeError, OSError, TypeError):  # another C library, another system
        return lambda *arguments: 0


def keep():
    """From now on; called when the first kernel is loaded. False where it is not wanted or not possible."""
    if os.environ.get("MINIGRAD_KEEP_MEMORY") == "0" or any(name in os.environ for name in _SET_BY_USER):
        return False
    mallopt = _glibc("mallopt")
    return bool(mallopt(TRIM_THRESHOLD, 2**31 - 1) and mallopt(MMAP_MAX, 0))


def release():
    """Give free memory back to the system now; True if there was any."""
    return bool(_glibc("malloc_trim")(0))
