"""Optimizer steps over all parameters in one call: each number is read once and written once.

The formulas are those of `update` in minigrad/optim, in PyTorch's order of operations. A step gets its arrays as one
tuple of rows (parameter, gradient, state, ...), and finds their memory where NumPy's C interface says it is: a table
of addresses and sizes costs some ten nanoseconds an array that way, a tenth of asking Python for one address. Rows that
no kernel serves (another type, memory not contiguous or read-only, buffers that overlap) are left as they were.
"""

import functools
import math
import sys

import numpy as np
from numba import carray, types
from numba.extending import register_jitable

from .cache import jit
from .threads import compiled, pointer, run
from .tiles import item_size
from .when import FLOATS

PARALLEL_FROM = 65_536  # elements: below, a second thread gains little, and much is lost where its core is busy
SHARE = 32_768  # elements in one part of a job
BLOCK = 8_192  # elements that are squared and summed by themselves, whatever the number of threads

# ---- where NumPy keeps what -----------------------------------------------------------------------------------------
# PyArrayObject (numpy/ndarraytypes.h): the header of every object, then data, nd (int), dimensions, strides, base,
# descr, flags (int). PyArray_Descr: the header, typeobj, kind, type, byteorder, flags (a byte each), type_num (int).
_HEADER = object.__basicsize__  # its last word is the type
_DATA, _NDIM, _DIMENSIONS, _DESCR, _FLAGS = (_HEADER + at for at in (0, 8, 16, 40, 48))
_TYPE, _KIND, _ITEMS = _HEADER - 8, _HEADER + 8, tuple.__basicsize__
_ORDERED, _OWNED, _WRITEABLE = 0x1 | 0x100, 0x4, 0x400  # in C order and aligned; its own memory
_NATIVE, _FLOAT, _DOUBLE = ord("="), 11, 12
# Columns of the table: bytes of one number (0: the row is not served), number of the row's first element among those of
# its type, size, then the addresses.
_BYTES, _FIRST, _SIZE, _ADDRESSES = 0, 1, 2, 3
_DTYPES = np.dtype(np.float32), np.dtype(np.float64)


@register_jitable(error_model="numpy")
def _word(address):
    return carray(pointer(address), (1,), np.int64)[0]


@register_jitable(error_model="numpy")
def _item_bytes(array, flags):
    """4 or 8 for an array of float32 or float64 with these flags, 0 for any other object."""
    if (_word(array + _FLAGS) & flags) != flags:
        return 0
    kind = _word(_word(array + _DESCR) + _KIND)
    if (kind >> 16) & 0xFF != _NATIVE:
        return 0
    return 4 if kind >> 32 == _FLOAT else 8 if kind >> 32 == _DOUBLE else 0


@register_jitable(error_model="numpy")
def _same_shape(a, b):
    ndim = _word(a + _NDIM) & 0xFFFFFFFF
    if _word(b + _NDIM) & 0xFFFFFFFF != ndim:
        return False
    same = True
    for i in range(ndim):
        same &= _word(_word(a + _DIMENSIONS) + 8 * i) == _word(_word(b + _DIMENSIONS) + 8 * i)
    return same


@register_jitable(error_model="numpy")
def _size(array):
    size = 1
    for i in range(_word(array + _NDIM) & 0xFFFFFFFF):
        size *= _word(_word(array + _DIMENSIONS) + 8 * i)
    return size


@register_jitable(error_model="numpy")
def _row_bytes(items, width, counted, ndarray):
    """What the table says of one row: 4, 8, or 0 where it is not served."""
    for i in range(width):
        if _word(_word(items + 8 * i) + _TYPE) != ndarray:
            return 0
    first = _word(items)
    of_type = _item_bytes(first, _ORDERED | _WRITEABLE)
    for i in range(1, width - counted):
        array, flags = _word(items + 8 * i), _ORDERED if i == 1 else _ORDERED | _WRITEABLE
        if _item_bytes(array, flags) != of_type or not _same_shape(array, first):
            return 0
    if counted:
        count = _word(items + 8 * (width - 1))
        if _item_bytes(count, _ORDERED | _WRITEABLE) != 4 or _size(count) != 1:
            return 0
    return of_type


@jit(types.void(types.int64, types.int64, types.int64, types.boolean, types.int64, types.int64[:, ::1]))
def _tabulate(items, rows, width, counted, ndarray, table):
    """Fill the table from the tuple whose items are at this address; table[rows, :2]: elements of float32, of float64.

    counted: the last array of a row is a step count, which gets one more.
    """
    table[rows, :2] = 0
    borrowed = False  # has a parameter memory that is not its own?
    for row in range(rows):
        base = items + 8 * row * width
        of_type = _row_bytes(base, width, counted, ndarray)
        if of_type:
            size = _size(_word(base))
            for i in range(width):
                table[row, _ADDRESSES + i] = _word(_word(base + 8 * i) + _DATA)
            for i in range(width - counted):  # buffers that share memory: what is written first would be read again
                for j in range(i):
                    if abs(table[row, _ADDRESSES + i] - table[row, _ADDRESSES + j]) < size * of_type:
                        of_type = 0
            borrowed = borrowed or not _word(_word(base) + _FLAGS) & _OWNED
            for other in range(row if borrowed else 0):
                apart = table[row, _ADDRESSES] - table[other, _ADDRESSES]
                if table[other, _BYTES] and -size * of_type < apart < table[other, _SIZE] * table[other, _BYTES]:
                    of_type = 0
        table[row, _BYTES] = of_type
        if of_type:
            table[row, _SIZE], table[row, _FIRST] = size, table[rows, of_type // 8]
            table[rows, of_type // 8] += size
            if counted:
                carray(pointer(table[row, _ADDRESSES + width - 1]), (1,), np.float32)[0] += np.float32(1)


@register_jitable(error_model="numpy")
def _share(table, row, item_bytes, part, parts, total):
    """(first element, number of elements) of this row in this part of all elements of one type."""
    if table[row, _BYTES] != item_bytes:
        return 0, 0
    low, high = total * part // parts - table[row, _FIRST], total * (part + 1) // parts - table[row, _FIRST]
    low, high = max(low, 0), min(high, table[row, _SIZE])
    return low, max(high - low, 0)


def _table(arrays, width, counted):
    """The table of the arrays, `width` to a row; None if nothing is known of this NumPy's memory."""
    if not _known():
        return None
    rows = len(arrays) // width
    table = np.empty((rows + 1, _ADDRESSES + width), np.int64)
    _tabulate(id(arrays) + _ITEMS, rows, width, counted, id(np.ndarray), table)
    return table


@functools.cache
def _known():
    """Is memory laid out as above? Asked once, of arrays of which NumPy tells all this itself."""
    if sys.implementation.name != "cpython" or np.ndarray.__basicsize__ < _FLAGS + 4:
        return False
    arrays = [np.zeros((2, 3, 5), np.float32), np.zeros(7), np.zeros((), np.float32), np.zeros((4, 6))[:, 1:]]
    arrays += [np.zeros(3, np.int64), np.zeros(3, ">f4"), np.zeros((3, 3), np.float32).T, np.zeros(4)]
    arrays[-1].flags.writeable = False
    table = np.empty((len(arrays) + 1, _ADDRESSES + 1), np.int64)
    _tabulate(id(items := tuple(arrays)) + _ITEMS, len(items), 1, False, id(np.ndarray), table)
    served = [a.itemsize if a.dtype in FLOATS and a.flags.carray else 0 for a in arrays]
    return table[:-1, _BYTES].tolist() == served and all(
        row[_SIZE] == a.size and row[_ADDRESSES] == a.ctypes.data for a, row in zip(arrays, table) if row[_BYTES]
    )


# ---- the formulas ----------------------------------------------------------------------------------------------------
_formula = register_jitable(error_model="numpy", fastmath={"contract"})


@_formula
def _decayed(g, p, sign, decay):
    return sign * g + decay * p if decay != 0 else sign * g  # not 0 * p: p may be infinite


@_formula
def _sgd(p, g, buffer, sign, decay, momentum, fresh, nesterov, lr):
    if momentum == 0:
        for i in range(p.size):
            p[i] -= lr * _decayed(g[i], p[i], sign, decay)
    else:
        for i in range(p.size):
            g_i = _decayed(g[i], p[i], sign, decay)
            b_i = momentum * buffer[i] + fresh * g_i
            buffer[i] = b_i
            p[i] -= lr * (g_i + momentum * b_i if nesterov else b_i)


@_formula
def _adam(p, g, m, v, sign, shrink, decay, w1, beta2, w2, eps, rate, root):
    for i in range(p.size):
        p_i = p[i] * shrink
        g_i = _decayed(g[i], p_i, sign, decay)
        m_i = m[i] + w1 * (g_i - m[i])
        v_i = beta2 * v[i] + w2 * g_i * g_i
        m[i] = m_i
        v[i] = v_i
        p[i] = p_i - rate * (m_i / (math.sqrt(v_i) / root + eps))


@_formula
def _amsgrad(p, g, m, v, top, sign, shrink, decay, w1, beta2, w2, eps, rate, root):
    for i in range(p.size):
        p_i = p[i] * shrink
        g_i = _decayed(g[i], p_i, sign, decay)
        m_i = m[i] + w1 * (g_i - m[i])
        v_i = beta2 * v[i] + w2 * g_i * g_i
        t_i = top[i] if top[i] >= v_i or top[i] != top[i] else v_i  # NaN stays, as in numpy.maximum
        m[i] = m_i
        v[i] = v_i
        top[i] = t_i
        p[i] = p_i - rate * (m_i / (math.sqrt(t_i) / root + eps))


@_formula
def _rmsprop(p, g, v, mean, buffer, sign, decay, alpha, w, eps, momentum, lr, centered):
    for i in range(p.size):
        g_i = _decayed(g[i], p[i], sign, decay)
        v_i = alpha * v[i] + w * g_i * g_i
        v[i] = v_i
        if centered:
            a_i = mean[i] + w * (g_i - mean[i])
            mean[i] = a_i
            v_i -= a_i * a_i
        step = g_i / (math.sqrt(v_i) + eps)
        if momentum != 0:
            step += momentum * buffer[i]
            buffer[i] = step
        p[i] -= lr * step


# ---- the workers -----------------------------------------------------------------------------------------------------
# a: the table; b: the options, float64; numbers: rows, width of a row, elements of this type.
@compiled
def _sgd_rows(zero):
    kind = type(zero)

    def work(table_base, options_base, c_base, numbers, part, parts):
        given, o = carray(pointer(numbers), (3,), np.int64), carray(pointer(options_base), (6,), np.float64)
        table = carray(pointer(table_base), (given[0], _ADDRESSES + given[1]), np.int64)
        for row in range(given[0]):
            first, n = _share(table, row, item_size(zero), part, parts, given[2])
            if n > 0:
                at = table[row, _ADDRESSES:] + first * item_size(zero)
                p, g = carray(pointer(at[0]), (n,), kind), carray(pointer(at[1]), (n,), kind)
                buffer = carray(pointer(at[given[1] - 1]), (n,), kind)
                _sgd(p, g, buffer, kind(o[0]), kind(o[1]), kind(o[2]), kind(o[3]), o[4] != 0, kind(o[5]))

    return work


@compiled
def _adam_rows(zero):
    kind = type(zero)

    def work(table_base, options_base, c_base, numbers, part, parts):
        given, o = carray(pointer(numbers), (3,), np.int64), carray(pointer(options_base), (7,), np.float64)
        table = carray(pointer(table_base), (given[0], _ADDRESSES + given[1]), np.int64)
        sign, shrink, decay = kind(o[0]), kind(o[1]), kind(o[2])
        w1, beta2, w2, eps = kind(1 - o[4]), kind(o[5]), kind(1 - o[5]), kind(o[6])
        for row in range(given[0]):
            first, n = _share(table, row, item_size(zero), part, parts, given[2])
            if n > 0:
                t = carray(pointer(table[row, _ADDRESSES + given[1] - 1]), (1,), np.float32)[0]
                rate, root = kind(o[3] / (1 - o[4] ** t)), kind(math.sqrt(1 - o[5] ** t))
                at = table[row, _ADDRESSES:] + first * item_size(zero)
                p, g = carray(pointer(at[0]), (n,), kind), carray(pointer(at[1]), (n,), kind)
                m, v = carray(pointer(at[2]), (n,), kind), carray(pointer(at[3]), (n,), kind)
                if given[1] == 5:
                    _adam(p, g, m, v, sign, shrink, decay, w1, beta2, w2, eps, rate, root)
                else:
                    top = carray(pointer(at[4]), (n,), kind)
                    _amsgrad(p, g, m, v, top, sign, shrink, decay, w1, beta2, w2, eps, rate, root)

    return work


@compiled
def _rmsprop_rows(zero):
    kind = type(zero)

    def work(table_base, options_base, c_base, numbers, part, parts):
        given, o = carray(pointer(numbers), (3,), np.int64), carray(pointer(options_base), (7,), np.float64)
        table = carray(pointer(table_base), (given[0], _ADDRESSES + given[1]), np.int64)
        sign, decay, alpha, w, eps = kind(o[0]), kind(o[1]), kind(o[2]), kind(1 - o[2]), kind(o[3])
        momentum, lr, centered = kind(o[4]), kind(o[5]), o[6] != 0
        for row in range(given[0]):
            first, n = _share(table, row, item_size(zero), part, parts, given[2])
            if n > 0:
                at = table[row, _ADDRESSES:] + first * item_size(zero)
                p, g = carray(pointer(at[0]), (n,), kind), carray(pointer(at[1]), (n,), kind)
                v, mean = carray(pointer(at[2]), (n,), kind), carray(pointer(at[3]), (n,), kind)
                buffer = carray(pointer(at[given[1] - 2]), (n,), kind)
                _rmsprop(p, g, v, mean, buffer, sign, decay, alpha, w, eps, momentum, lr, centered)

    return work


# ---- the steps -------------------------------------------------------------------------------------------------------
def _step(worker, arrays, width, options, *, counted):
    """Run the worker over the rows of each type; gives for each row whether it was served."""
    table = _table(arrays, width, counted)
    if table is None:
        return [False] * (len(arrays) // width)
    rows, numbers = len(table) - 1, np.array(options, np.float64).view(np.float32)
    for dtype, total in zip(_DTYPES, table[rows, :2].tolist()):
        if total:
            alone, flat = total < PARALLEL_FROM, table.view(np.float32)
            parts = None if alone else -(-total // SHARE)
            run(worker(dtype), flat, numbers, numbers, (rows, width, total), alone=alone, parts=parts)
    return table[:rows, _BYTES].tolist()


def sgd(arrays, *, lr, momentum, dampening, weight_decay, nesterov, maximize):
    """SGD on rows (parameter, gradient[, momentum_buffer]): see `minigrad.optim.SGD`."""
    options = (-1.0 if maximize else 1.0, weight_decay, momentum, 1.0 - dampening, nesterov, lr)
    return _step(_sgd_rows, arrays, 3 if momentum else 2, options, counted=False)


def adam(arrays, *, lr, betas, eps, weight_decay, amsgrad, maximize, decoupled_weight_decay):
    """Adam and AdamW on rows (parameter, gradient, exp_avg, exp_avg_sq[, max_exp_avg_sq], step): see
    `minigrad.optim.Adam`.
    """
    shrink, decay = (1 - lr * weight_decay, 0.0) if decoupled_weight_decay else (1.0, weight_decay)
    options = (-1.0 if maximize else 1.0, shrink, decay, lr, *betas, eps)
    return _step(_adam_rows, arrays, 6 if amsgrad else 5, options, counted=True)


def rmsprop(arrays, *, lr, alpha, eps, weight_decay, momentum, centered, maximize):
    """RMSprop on rows (parameter, gradient, square_avg[, grad_avg][, momentum_buffer], step): see
    `minigrad.optim.RMSprop`.
    """
    options = (-1.0 if maximize else 1.0, weight_decay, alpha, eps, momentum, lr, centered)
    return _step(_rmsprop_rows, arrays, 4 + bool(momentum) + bool(centered), options, counted=True)


# ---- clipping --------------------------------------------------------------------------------------------------------
@register_jitable(error_model="numpy", fastmath={"contract", "reassoc", "nsz"})
def _squares(x):
    total = 0.0
    for i in range(x.size):
        total += np.float64(x[i]) * np.float64(x[i])
    return total


@compiled
def _square_sums(zero):
    """a: the table; b: sums of squares of blocks, float64; numbers: rows, elements, columns of b for each row."""
    kind = type(zero)

    def work(table_base, sums_base, c_base, numbers, part, parts):
        given = carray(pointer(numbers), (3,), np.int64)
        table = carray(pointer(table_base), (given[0] + 1, _ADDRESSES + 1), np.int64)
        sums = carray(pointer(sums_base), (given[2],), np.float64)
        block = 0
        for row in range(given[0]):
            size = table[row, _SIZE]
            for start in range(0, size, BLOCK):
                if block % parts == part:
                    at = table[row, _ADDRESSES] + start * item_size(zero)
                    sums[block] = _squares(carray(pointer(at), (min(BLOCK, size - start),), kind))
                block += 1

    return work


@compiled
def _scale(zero):
    """x *= factor. a: the table; b: the factor, float64; numbers: rows, elements."""
    kind = type(zero)

    def work(table_base, factor_base, c_base, numbers, part, parts):
        given = carray(pointer(numbers), (2,), np.int64)
        table = carray(pointer(table_base), (given[0] + 1, _ADDRESSES + 1), np.int64)
        factor = kind(carray(pointer(factor_base), (1,), np.float64)[0])
        for row in range(given[0]):
            first, n = _share(table, row, item_size(zero), part, parts, given[1])
            x = carray(pointer(table[row, _ADDRESSES] + first * item_size(zero)), (n,), kind)
            for i in range(n):
                x[i] *= factor

    return work


def clip(arrays, max_norm):
    """Scale the arrays by max_norm / (norm + 1e-6) if that is below 1; (norm, is it so), None where not all are served.

    norm: sqrt(sum of squares of all elements), added up in float64 and rounded to their type.
    """
    table = _table(arrays, 1, False)
    rows = len(arrays)
    if table is None or not table[:rows, _BYTES].all() or table[rows, :2].all():
        return None
    dtype, total = arrays[0].dtype, int(table[rows, :2].max())
    blocks = int((-(-table[:rows, _SIZE] // BLOCK)).sum())
    sums, flat, alone = np.zeros(blocks), table.view(np.float32), total < PARALLEL_FROM
    run(_square_sums(dtype), flat, sums.view(np.float32), flat, (rows, total, blocks), alone=alone)
    norm = dtype.type(math.sqrt(sums.sum()))
    factor = min(float(max_norm) / (float(norm) + 1e-6), 1.0)
    changed = factor < 1 or math.isnan(factor)
    if changed:
        factors = np.array([factor]).view(np.float32)
        run(_scale(dtype), flat, factors, flat, (rows, total), alone=alone)
    return norm, changed
