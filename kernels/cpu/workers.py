"""The pool of threads that all parallel kernels share, written in Numba: it starts a job in about a microsecond.

A *job* is one compiled function called for every part 0 .. parts - 1, in any order and on any thread. Whoever is
free takes the next part: the calling thread from the low end, the workers from the high end, so that between two
kernels over the same rows each thread finds its own rows in its cache. The caller never waits for a thread that has not
begun a part: a worker that the operating system has put aside costs nothing.

    state[TICKET]    which parts of which job are still to be had: job number << 32 | low << 16 | high
    state[DONE]      parts finished
    state[ASLEEP]    workers that wait in the kernel and want a wake-up
    state[BUSY]      1 while a thread runs a job; a second thread, or a job within a job, runs its parts alone
    state[JOB ...]   function and arguments, written before the ticket and read after a part was taken, which alone
                     makes them valid: nobody can take a part of a job that is over, nor is one over before its last

A worker that finds nothing spins for SPINS pauses (about 0.6 ms), because the next kernel of a training step comes
soon, then sleeps in a futex. A forked child has no workers: it starts its own at its first job. Linux only; elsewhere
`threads.run` falls back to Numba's own parallel loop.
"""

import atexit
import ctypes
import functools
import os
import sys
import threading
import time

import numpy as np
from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

from .cache import address, jit

AVAILABLE = sys.platform == "linux"
TICKET, DONE, ASLEEP, BUSY, JOB = 0, 8, 16, 24, 32  # a cache line of 8 words each
WORDS = 48
SPINS = 20_000
PATIENCE = 2_000  # pauses that the caller waits for a started part before it offers its core to others
MOST_PARTS = 0xFFFF
_FUTEX_WAIT, _FUTEX_WAKE = 128, 129  # private to the process
_FUTEX = {"x86_64": 202, "aarch64": 98}.get(os.uname().machine if AVAILABLE else "", 0)
_PAUSE = {"x86_64": ("llvm.x86.sse2.pause",), "aarch64": ("llvm.aarch64.hint", 1)}  # 1 is "yield"
AVAILABLE = AVAILABLE and bool(_FUTEX) and sys.byteorder == "little"

_I64, _I32 = ir.IntType(64), ir.IntType(32)


def _atomic(emit, *, arguments):
    """An intrinsic on the word at an address: emit(builder, pointer, *values) -> value."""

    def codegen(context, builder, signature, values):
        return emit(builder, builder.inttoptr(values[0], _I64.as_pointer()), *values[1:])

    signature = types.int64(*[types.int64] * arguments)
    if arguments == 1:
        return intrinsic(lambda typingctx, address: (signature, codegen))
    if arguments == 2:
        return intrinsic(lambda typingctx, address, value: (signature, codegen))
    return intrinsic(lambda typingctx, address, value, new: (signature, codegen))


_load = _atomic(lambda b, p: b.load_atomic(p, "seq_cst", 8), arguments=1)
_swap = _atomic(lambda b, p, value: b.atomic_rmw("xchg", p, value, "seq_cst"), arguments=2)
_add = _atomic(lambda b, p, value: b.atomic_rmw("add", p, value, "seq_cst"), arguments=2)  # gives the old value
_replace = _atomic(  # 1 if the word was `value` and now is `new`
    lambda b, p, value, new: b.zext(b.extract_value(b.cmpxchg(p, value, new, "seq_cst"), 1), _I64), arguments=3
)


@intrinsic
def _pause(typingctx):
    def codegen(context, builder, signature, values):
        name, *hint = _PAUSE[os.uname().machine]
        function = cgutils.get_or_insert_function(
            builder.module, ir.FunctionType(ir.VoidType(), [_I32] * len(hint)), name
        )
        builder.call(function, [ir.Constant(_I32, value) for value in hint])
        return context.get_dummy_value()

    return types.void(), codegen


@intrinsic
def _syscall(typingctx, number, address, operation, value):
    """syscall(number, address, operation, value, NULL)"""

    def codegen(context, builder, signature, values):
        kind = ir.FunctionType(_I64, [_I64], var_arg=True)
        function = cgutils.get_or_insert_function(builder.module, kind, "syscall")
        return builder.call(function, [*values, ir.Constant(_I64, 0)])

    return types.int64(*[types.int64] * 4), codegen


@intrinsic
def _yield(typingctx):
    def codegen(context, builder, signature, values):
        function = cgutils.get_or_insert_function(builder.module, ir.FunctionType(_I32, []), "sched_yield")
        builder.call(function, [])
        return context.get_dummy_value()

    return types.void(), codegen


@intrinsic
def call_worker(typingctx, function, a, b, c, numbers, part, parts):
    """function(a, b, c, numbers, part, parts): a compiled function by its address, all arguments int64."""

    def codegen(context, builder, signature, values):
        kind = ir.FunctionType(ir.VoidType(), [_I64] * 6)
        builder.call(builder.inttoptr(values[0], kind.as_pointer()), values[1:])
        return context.get_dummy_value()

    return types.void(*[types.int64] * 7), codegen


@jit()
def _take(state, from_low):
    """Take one part of the present job: its number, or -1 if there is none to be had."""
    while True:
        ticket = _load(state + 8 * TICKET)
        low, high = (ticket >> 16) & 0xFFFF, ticket & 0xFFFF
        if low >= high:
            return -1
        if from_low:
            if _replace(state + 8 * TICKET, ticket, ticket + 0x10000):
                return low
        elif _replace(state + 8 * TICKET, ticket, ticket - 1):
            return high - 1


@jit()
def _work(state, part):
    job = state + 8 * JOB
    call_worker(_load(job), _load(job + 8), _load(job + 16), _load(job + 24), _load(job + 32), part, _load(job + 40))
    _add(state + 8 * DONE, 1)


@functools.cache
def _worker():
    """The address of the life of a worker thread."""
    return address(types.int64(types.int64))(_live)


def _live(state):
    """Take parts, spin, sleep; a ticket below 0 ends it."""
    idle = 0
    while True:
        part = _take(state, False)
        if part >= 0:
            _work(state, part)
            idle = 0
            continue
        ticket = _load(state + 8 * TICKET)
        if ticket < 0:
            return 0
        idle += 1
        if idle < SPINS:
            _pause()
            continue
        _add(state + 8 * ASLEEP, 1)
        # sleeps only if the number of the job (the high half of the ticket) has not changed since it was read
        _syscall(_FUTEX, state + 8 * TICKET + 4, _FUTEX_WAIT, ticket >> 32)
        _add(state + 8 * ASLEEP, -1)
        idle = 0


@jit()
def seize(state):
    """Take the pool: 0, or 1 if somebody has it."""
    return _swap(state + 8 * BUSY, 1)


@jit()
def start_job(state, worker, a, b, c, numbers, parts):
    """worker(a, b, c, numbers, part, parts) for all parts, by this thread and those of the pool; returns when done."""
    a_base, b_base, c_base, base = a.ctypes.data, b.ctypes.data, c.ctypes.data, numbers.ctypes.data
    if seize(state):  # another thread, or the job this call is part of, has the pool
        for part in range(parts):
            call_worker(worker, a_base, b_base, c_base, base, part, parts)
        return
    job = state + 8 * JOB
    _swap(job, worker)
    _swap(job + 8, a_base)
    _swap(job + 16, b_base)
    _swap(job + 24, c_base)
    _swap(job + 32, base)
    _swap(job + 40, parts)
    _swap(state + 8 * DONE, 0)
    number = ((_load(state + 8 * TICKET) >> 32) + 1) & 0x7FFFFFFF
    _swap(state + 8 * TICKET, number << 32 | parts)
    if _load(state + 8 * ASLEEP) > 0:
        _syscall(_FUTEX, state + 8 * TICKET + 4, _FUTEX_WAKE, parts - 1)
    while True:
        part = _take(state, True)
        if part < 0:
            break
        _work(state, part)
    waited = 0
    while _load(state + 8 * DONE) < parts:
        waited += 1
        if waited < PATIENCE:
            _pause()
        else:
            _yield()
    _swap(state + 8 * BUSY, 0)


class Pool:
    """The state, and the worker threads that look at it."""

    def __init__(self):
        self.memory = np.zeros(WORDS + 8, np.int64)
        self.state = -(-self.memory.ctypes.data // 64) * 64  # the address of the first cache line
        words = self.memory[(self.state - self.memory.ctypes.data) // 8 :]
        self.ticket, self.busy = words[TICKET : TICKET + 1], words[BUSY : BUSY + 1]
        self.lock, self.handles = threading.Lock(), []
        os.register_at_fork(after_in_child=self.forget)
        atexit.register(self.resize, 0)  # before the interpreter takes the compiled code away

    def resize(self, workers):
        """Have this many worker threads; fewer where the system gives no more."""
        with self.lock:
            if len(self.handles) > workers:
                self._stop()
            create = _libc("pthread_create", ctypes.c_void_p, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_void_p)
            while len(self.handles) < workers:
                handle = ctypes.c_size_t()
                if create(ctypes.addressof(handle), None, _worker()[1], self.state):
                    return
                self.handles.append(handle.value)

    def _stop(self):
        while seize(self.state):  # a job of another thread is under way
            time.sleep(1e-4)
        self.ticket[0] = -1
        wake = _libc("syscall", ctypes.c_long, ctypes.c_void_p, ctypes.c_long, ctypes.c_long)
        wake(_FUTEX, self.state + 8 * TICKET + 4, _FUTEX_WAKE, 1 << 20)
        join = _libc("pthread_join", ctypes.c_size_t, ctypes.c_void_p)
        for handle in self.handles:
            join(handle, None)
        self.handles = []
        self.busy[0] = 0

    def forget(self):
        """In a forked child: the workers stayed behind, and a job may have been under way."""
        self.memory[:] = 0
        self.lock, self.handles = threading.Lock(), []


def _libc(name, *arguments):
    function = getattr(ctypes.CDLL(None), name)
    function.argtypes = arguments
    return function
