"""How a kernel runs on several threads: a worker, compiled once for each dtype, that does one part of the job.

A kernel called inside Numba's `prange` is linked, optimised and translated three times over, once for each function
that Numba builds around the loop; for a register tile that is seconds of a cold start. Here a worker is compiled by
itself and called by its address, from the pool in workers.py.
"""

import functools
import threading

import numpy as np
from llvmlite import ir
from numba import prange, types
from numba.extending import intrinsic

from ...threads import get_num_threads
from . import memory, workers
from .cache import address, jit
from .workers import MOST_PARTS, call_worker, start_job

WORKER = types.void(*[types.int64] * 6)  # the signature of a worker
WORKERS = {}  # all there are, by module and name: dtype -> address
_kept = []  # the functions at those addresses, which go with the object


@intrinsic
def pointer(typingctx, address):
    """The address as a pointer, for numba.carray."""
    return types.voidptr(types.int64), lambda context, builder, signature, values: builder.inttoptr(
        values[0], ir.IntType(8).as_pointer()
    )


@jit()
def location(x):
    """The address of the first number of x: x.ctypes.data, in a quarter of its time. Nobody else keeps x alive."""
    return x.ctypes.data


@jit(parallel=True)
def _region(worker, a, b, c, numbers, parts):
    """The loop of Numba's own pool, where ours does not serve."""
    for t in prange(parts):
        call_worker(worker, a.ctypes.data, b.ctypes.data, c.ctypes.data, numbers.ctypes.data, np.int64(t), parts)


@jit()
def _alone(worker, a, b, c, numbers, parts):
    for part in range(parts):
        call_worker(worker, a.ctypes.data, b.ctypes.data, c.ctypes.data, numbers.ctypes.data, part, parts)


def compiled(make):
    """Decorates make(zero) -> a Python function work(a, b, c, numbers, part, parts), for numbers of the type of `zero`.

    All its arguments are int64, the first four of them addresses: of three arrays and of an array of int64. The
    result, called with a dtype, gives the address of the worker, compiled or from the disk cache at the first call.
    """

    @functools.cache
    def worker(dtype):
        function, code = address(WORKER)(make(dtype.type(0)))
        _kept.append(function)
        return code

    WORKERS[f"{make.__module__.rsplit('.', 1)[-1]}.{make.__name__}"] = worker
    return worker


_one_at_a_time = threading.Lock()
memory.keep()
_pool = workers.Pool() if workers.AVAILABLE else None


def run(worker, a, b, c, numbers, *, alone=False, parts=None):
    """worker(a, b, c, numbers, part, parts) for each part (None: as many as there are threads) on all threads, or
    `alone`: as one part on this thread, waking no other.

    a, b, c: contiguous, writeable arrays of one dtype.
    """
    a, b, c, numbers = a.ravel(), b.ravel(), c.ravel(), np.asarray(numbers, np.int64)  # half the time of reshape(-1)
    threads = 1 if alone else get_num_threads()
    parts = threads if parts is None else min(parts, MOST_PARTS)
    if threads == 1 or parts == 1:
        _alone(worker, a, b, c, numbers, parts)
    elif _pool:
        if len(_pool.handles) != threads - 1:
            _pool.resize(threads - 1)
        start_job(_pool.state, worker, a, b, c, numbers, parts)
    else:
        with _one_at_a_time:  # Numba's workqueue layer aborts on two regions
            _region(worker, a, b, c, numbers, parts)
