"""The arrays of an optimizer's step as a table of addresses, which costs some ten nanoseconds an array.

A step gets its arrays as one tuple of rows (parameter, gradient, state, ...), and finds their memory where NumPy's C
interface says it is: a tenth of asking Python for one address. Rows that no kernel serves (another type, memory not
contiguous or read-only, buffers that overlap) are marked.
"""

import functools
import sys

import numpy as np
from numba import carray, types
from numba.extending import register_jitable

from .cache import jit
from .threads import pointer, run
from .when import FLOATS

PARALLEL_FROM = 65_536  # elements: below, a second thread gains little, and much is lost where its core is busy
SHARE = 32_768  # elements in one part of a job

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


def run_rows(worker, table, width, numbers):
    """Run a worker over the rows of each type; gives for each row whether it was served.

    The worker gets a: the table; b: numbers, float64; its numbers: rows, width of a row, elements of this type.
    """
    rows, flat, given = len(table) - 1, table.view(np.float32), numbers.view(np.float32)
    for dtype, total in zip(_DTYPES, table[rows, :2].tolist()):
        if total:
            alone = total < PARALLEL_FROM
            parts = None if alone else -(-total // SHARE)
            run(worker(dtype), flat, given, given, (rows, width, total), alone=alone, parts=parts)
    return table[:rows, _BYTES].tolist()
