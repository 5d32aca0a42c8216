"""NumPy's own inner loops on all threads: sin, cos, atan2 and others that NumPy computes in vectors, with its digits.

A ufunc holds one compiled loop for each type, which NumPy runs on one thread without the interpreter's lock. Here the
same loop runs in parts on the pool. Where it stands is read from the ufunc, a struct of NumPy's C interface
(PyUFuncObject in numpy/ufuncobject.h); if its first fields are not what the ufunc says of itself, NumPy serves.
"""

import ctypes
import functools

import numpy as np
from llvmlite import ir
from numba import carray, types
from numba.extending import intrinsic

from .threads import compiled, pointer, run
from .when import as_operand

PARALLEL_FROM = 32_768  # elements; below, NumPy itself calls the loop
PART = 32_768  # elements
NUMPY_NAMES = {"round": "rint"}


class _Ufunc(ctypes.Structure):
    _fields_ = [
        ("head", ctypes.c_byte * object.__basicsize__),
        *((name, ctypes.c_int) for name in ("nin", "nout", "nargs", "identity")),
        ("functions", ctypes.POINTER(ctypes.c_void_p)),
        ("data", ctypes.POINTER(ctypes.c_void_p)),
        ("ntypes", ctypes.c_int),
    ]


@functools.cache
def loop(name, dtype):
    """The addresses of the loop of a ufunc for inputs and output of this type, and of its data; None: not found."""
    ufunc = getattr(np, NUMPY_NAMES.get(name, name))
    own = _Ufunc.from_address(id(ufunc))
    wanted = dtype.char * ufunc.nin + "->" + dtype.char
    fields = own.nin, own.nout, own.nargs, own.ntypes
    if fields != (ufunc.nin, 1, ufunc.nargs, ufunc.ntypes) or wanted not in ufunc.types:
        return None
    i = ufunc.types.index(wanted)
    return own.functions[i], own.data[i] or 0


@intrinsic
def _call_loop(typingctx, function, arrays, counts, steps, data):
    """function(arrays, counts, steps, data), all addresses: how NumPy calls a loop."""

    def codegen(context, builder, signature, values):
        kind = ir.FunctionType(ir.VoidType(), [ir.IntType(64)] * 4)
        builder.call(builder.inttoptr(values[0], kind.as_pointer()), values[1:])
        return context.get_dummy_value()

    return types.void(*[types.int64] * 5), codegen


@compiled
def _loop(zero):
    """a, b: inputs, c: output. numbers: elements, bytes between those of a, of b and of c, inputs, the addresses of the
    loop and of its data."""

    def work(a_base, b_base, c_base, numbers, part, parts):
        given = carray(pointer(numbers), (7,), np.int64)
        start, stop = given[0] * part // parts, given[0] * (part + 1) // parts
        arrays, steps, count = np.empty(3, np.int64), np.empty(3, np.int64), np.empty(1, np.int64)
        arrays[0], steps[0] = a_base + start * given[1], given[1]
        arrays[1], steps[1] = b_base + start * given[2], given[2]
        last = given[4]
        arrays[last], steps[last] = c_base + start * given[3], given[3]
        count[0] = stop - start
        _call_loop(given[5], arrays.ctypes.data, count.ctypes.data, steps.ctypes.data, given[6])
        arrays[0], steps[0], count[0] = 0, 0, 0  # alive until here: only their addresses were used

    return work


def worker(dtype):
    """The address of the one worker that all loops share."""
    return _loop(np.dtype(np.float32))


def on_all_threads(name):
    """The ufunc of this name as a kernel."""
    ufunc = getattr(np, NUMPY_NAMES.get(name, name))

    def kernel(*operands):
        dtype = next(x.dtype for x in operands if isinstance(x, np.ndarray))
        found = loop(name, dtype)
        if found is None or max(np.size(x) for x in operands) < PARALLEL_FROM:
            return ufunc(*operands)
        a, *others = (as_operand(x, dtype) for x in operands)
        a, *others = (x if x.flags.carray else x.copy() for x in (a, *others))
        b = others[0] if others else a
        y = np.empty(a.shape if a.ndim else b.shape, dtype)
        step = dtype.itemsize
        numbers = (y.size, step * (a.ndim > 0), step * (b.ndim > 0), step, len(operands), *found)
        run(worker(dtype), a, b, y, numbers, parts=max(2, y.size // PART))
        return y

    return kernel
