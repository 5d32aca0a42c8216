"""Lines in order: a radix sort by the bits of the numbers, which is stable, with the positions carried along; and the
first few of each line in order.

The bits of a float, read as an integer, are in order already for positive numbers, and in falling order for negative
ones. A line is distributed into 256 buckets by its lowest byte, then by the next (Knuth, TAOCP 3, 5.2.5); a byte that
all numbers share costs nothing. Lines of a few numbers are sorted by insertion.
"""

import numpy as np
from numba import carray
from numba.extending import register_jitable

from .threads import compiled, pointer, run

PARALLEL_FROM = 4_096  # elements
SHORT = 40  # numbers of a line that is sorted by insertion
STRETCH = 64  # numbers looked at together


@register_jitable(error_model="numpy")
def _insert(keys, order, n):
    for i in range(1, n):
        key, place, j = keys[i], order[i], i
        while j > 0 and keys[j - 1] > key:
            keys[j], order[j] = keys[j - 1], order[j - 1]
            j -= 1
        keys[j], order[j] = key, place


@register_jitable(error_model="numpy")
def _digit(key, byte, last):
    """A byte of the key; of the highest one the sign is turned, so that negative numbers come first."""
    digit = (key >> (8 * byte)) & 255
    return digit ^ 128 if byte == last else digit


@compiled
def _sorted(zero):
    """a: x (O, N); c: x in order (O, N). numbers: O, N, 1 for falling order, the address of the positions, int64."""
    kind = type(zero)
    single, whole = kind is np.float32, kind is np.int64
    bits_type, digits = (np.int32, 4) if single else (np.int64, 8)
    most = 0x7FFFFFFF if single else 0x7FFFFFFFFFFFFFFF
    infinity = 0x7F800000 if single else 0x7FF0000000000000

    def work(a_base, b_base, c_base, numbers, part, parts):
        given = carray(pointer(numbers), (4,), np.int64)
        lines, n, falling = given[0], given[1], given[2]
        x, y = carray(pointer(a_base), (lines, n), kind), carray(pointer(c_base), (lines, n), kind)
        bits, places = carray(pointer(a_base), (lines, n), bits_type), carray(pointer(given[3]), (lines, n), np.int64)
        keys, other = np.empty(n, np.int64), np.empty(n, np.int64)
        order, moved = np.empty(n, np.int32), np.empty(n, np.int32)
        count = np.empty((digits, 256), np.int64)
        for line in range(lines * part // parts, lines * (part + 1) // parts):
            for j in range(n):
                key = np.int64(bits[line, j])
                if not whole:
                    size = key & most
                    key = size if key >= 0 else -size  # -0 is 0
                    key = most if size > infinity else key  # NaN comes last
                keys[j], order[j] = ~key if falling else key, j
            if n <= SHORT:
                _insert(keys, order, n)
            else:
                count[:] = 0
                for j in range(n):
                    for byte in range(digits):
                        count[byte, _digit(keys[j], byte, digits - 1)] += 1
                for byte in range(digits):
                    if count[byte, _digit(keys[0], byte, digits - 1)] == n:
                        continue
                    start = 0
                    for digit in range(256):
                        start, count[byte, digit] = start + count[byte, digit], start
                    for j in range(n):
                        digit = _digit(keys[j], byte, digits - 1)
                        at = count[byte, digit]
                        count[byte, digit] = at + 1
                        other[at], moved[at] = keys[j], order[j]
                    keys, other, order, moved = other, keys, moved, order
            for j in range(n):
                places[line, j], y[line, j] = order[j], x[line, order[j]]

    return work


def _both(x, axis, descending):
    """x in order along the axis, and the positions, int64."""
    lines = np.ascontiguousarray(np.moveaxis(x, axis, -1))
    y, places = np.empty(lines.shape, x.dtype), np.empty(lines.shape, np.int64)
    n = x.shape[axis]
    numbers = (x.size // n, n, descending, places.ctypes.data)
    run(_sorted(x.dtype), lines, lines, y, numbers, alone=x.size < PARALLEL_FROM, parts=8)
    return y, places


def sort(x, *, axis=-1, descending=False, stable=True):
    """x in rising or falling order along the axis; NaN counts as the largest."""
    return np.ascontiguousarray(np.moveaxis(_both(x, axis, descending)[0], -1, axis))


def argsort(x, *, axis=-1, descending=False, stable=True):
    """The positions that sort x, those of equal numbers in their order. int64."""
    return np.ascontiguousarray(np.moveaxis(_both(x, axis, descending)[1], -1, axis))


@compiled
def _leading(zero):
    """a: x (O, N). numbers: O, N, 1 for the largest, k, the address of the positions (O, k), int64.

    The k best so far stand in order; in most stretches of a line no number is better than the last of them, which one
    look in vectors tells.
    """
    kind, size = type(zero), zero.itemsize

    def work(a_base, b_base, c_base, numbers, part, parts):
        given = carray(pointer(numbers), (5,), np.int64)
        lines, n, k, sign = given[0], given[1], given[3], kind(1 if given[2] == 1 else -1)
        best = np.empty(k + 1, kind)
        for line in range(lines * part // parts, lines * (part + 1) // parts):
            places = carray(pointer(given[4] + 8 * line * k), (k,), np.int64)
            held = 0
            for begin in range(0, n, STRETCH):
                m = min(STRETCH, n - begin)
                x = carray(pointer(a_base + size * (line * n + begin)), (m,), kind)
                if held == k:
                    last, better = best[k - 1], np.int32(0)
                    for j in range(m):
                        better += np.int32(0 if sign * x[j] <= last else 1)
                    if better == 0:
                        continue
                for j in range(m):
                    v = sign * x[j]
                    if held == k and not _before(v, best[k - 1], sign):
                        continue
                    i = held if held < k else k - 1
                    while i > 0 and _before(v, best[i - 1], sign):
                        best[i], places[i] = best[i - 1], places[i - 1]
                        i -= 1
                    best[i], places[i] = v, begin + j
                    held = min(held + 1, k)

    return work


@register_jitable(error_model="numpy")
def _before(v, w, sign):
    """Does v stand before w among the largest (of the negated, for the smallest)? NaN counts as the largest of all."""
    return v > w or (w == w and v != v if sign > 0 else v == v and w != w)


def argtopk(x, *, k, axis=-1, largest=True):
    """The positions of the k largest (or smallest) elements along the axis, the most extreme first. int64."""
    lines = np.ascontiguousarray(np.moveaxis(x, axis, -1))
    places = np.empty((*lines.shape[:-1], k), np.int64)
    numbers = (x.size // x.shape[axis], x.shape[axis], largest, k, places.ctypes.data)
    run(_leading(x.dtype), lines, lines, lines, numbers, alone=x.size < PARALLEL_FROM, parts=8)
    return np.ascontiguousarray(np.moveaxis(places, -1, axis))
