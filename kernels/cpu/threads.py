"""One parallel region for the large kernels: it calls a compiled worker by its address.

A kernel called inside `prange` is linked, optimised and translated three times over, once for each function that Numba
builds around the loop; for a register tile that is seconds of a cold start. Here the loop is compiled once for all
workers.
"""

import functools

import numpy as np
from llvmlite import ir
from numba import get_num_threads, njit, prange, types
from numba.extending import intrinsic


@intrinsic
def _call(typingctx, worker, a, b, c, numbers, thread, threads):
    def codegen(context, builder, signature, values):
        kind = ir.FunctionType(ir.VoidType(), [ir.IntType(64)] * 6)
        builder.call(builder.inttoptr(values[0], kind.as_pointer()), values[1:])
        return context.get_dummy_value()

    return types.void(*[types.int64] * 7), codegen


@intrinsic
def pointer(typingctx, address):
    """The address as a pointer, for numba.carray."""
    return types.voidptr(types.int64), lambda context, builder, signature, values: builder.inttoptr(
        values[0], ir.IntType(8).as_pointer()
    )


@njit(cache=True, nogil=True, parallel=True)
def _region(worker, a, b, c, numbers, threads):
    for t in prange(threads):
        _call(worker, a.ctypes.data, b.ctypes.data, c.ctypes.data, numbers.ctypes.data, np.int64(t), threads)


@njit(cache=True, nogil=True)
def _alone(worker, a, b, c, numbers):
    _call(worker, a.ctypes.data, b.ctypes.data, c.ctypes.data, numbers.ctypes.data, 0, 1)


def compiled(make):
    """Decorates make(zero) -> a Python function work(a, b, c, numbers, thread, threads), for numbers of the type of
    `zero`.

    All its arguments are int64, the first four of them addresses: of three arrays and of an array of int64. The
    result, called with a dtype, gives the address of the worker, compiled or from the disk cache at the first call.
    """

    @functools.cache
    def compile_for(dtype):
        signature = types.void(*[types.int64] * 6)
        worker = njit(signature, cache=True, nogil=True, error_model="numpy")(make(dtype.type(0)))
        result = worker.overloads[signature.args]
        return worker, result.library.get_pointer_to_function(result.fndesc.llvm_cfunc_wrapper_name)

    return lambda dtype: compile_for(dtype)[1]


def run(worker, a, b, c, numbers, *, alone=False):
    """worker(a, b, c, numbers, thread, threads) on every thread, or `alone` on this one, waking no other.

    a, b, c: contiguous, writeable arrays of one dtype.
    """
    a, b, c, numbers = a.reshape(-1), b.reshape(-1), c.reshape(-1), np.array(numbers, np.int64)
    if alone:
        _alone(worker, a, b, c, numbers)
    else:
        _region(worker, a, b, c, numbers, get_num_threads())
