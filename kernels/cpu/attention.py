"""Attention on the register tiles: scores exist only as blocks in cache, in the forward and in the backward pass.

Forward: a block of queries walks over blocks of keys and keeps the running maximum and sum of its rows (Milakov,
Gimelshein 2018; Dao et al. 2022, arXiv:2205.14135). Backward: the probabilities come back from the saved logarithm of
the sum; a thread works on whole heads of keys, so that their gradients are summed in one order. With `causal`, blocks
above the diagonal are skipped. Dropout draws its numbers by counter, in each pass anew.

A block of scores lies transposed, keys by queries: a vector holds one key's scores of neighbouring queries, so maxima
and sums need no step across lanes, and only the queries are packed. Operands may be any views whose last axis is
contiguous; leading axes of length 1 are repeated by a stride of 0.

A few queries, as in a decoder that makes one word after the other, read keys and values once: their scores are inner
products along D, their outputs sums of rows.
"""

import functools
import math

import numpy as np
from numba import carray, njit
from numba.extending import register_jitable

from . import vectormath
from .threads import compiled, location, pointer, run
from .tiles import LONGEST_TILE, VECTORS, multiply_block, transpose_block
from .vectormath import float_of
from .vectors import exp, exp_below, first, lanes, larger, largest, load, splat, store, total, truths, where

PARALLEL_FROM, PARTS_FROM = 100_000, 20_000_000  # multiplications of the scores
PARTS = 16  # above PARTS_FROM: more than threads, which take them as they get free
QUERIES = 64  # a block
KEYS = 192  # a block, forward: a multiple of the tile's rows
SIDE = 96  # keys a block, backward
SHORT = 4  # queries of a head, up to which each is taken by itself
TRUTH, FLOATS = 1, 2  # kinds of mask

_jit = register_jitable(error_model="numpy")


@njit(nogil=True, error_model="numpy")
def _multiply(zero, size, a, rows, steps, b, b_stride, c, c_stride, m, n, k, accumulate):
    """C[m, n] (+)= A[m, k] @ B[k, n] for any n, panel by panel; see tiles.multiply_block. size: bytes a number."""
    width = VECTORS * lanes(zero)
    for j in range(0, n, width):
        columns = min(width, n - j)
        multiply_block(zero, a, rows, steps, b + size * j, b_stride, c + size * j, c_stride, m, columns, k, accumulate)


@_jit
def _scale_row(zero, size, x, n, factor):
    width = lanes(zero)
    for j in range(0, n, width):
        keep = first(zero, n - j)
        store(load(zero, x + size * j, keep, zero) * factor, x + size * j, keep)


@_jit
def _dot(zero, size, x, y, n):
    along, width = splat(zero, zero), lanes(zero)
    for j in range(0, n, width):
        keep = first(zero, n - j)
        along = load(zero, x + size * j, keep, zero) * load(zero, y + size * j, keep, zero) + along
    return total(along)


@_jit
def _fill(table, step, last):
    """The offsets 0, step, 2 step, ... with those from `last` on repeated for the surplus rows of a tile."""
    for i in range(table.size):
        table[i] = min(i, last) * step


@_jit
def _place(given, which, head):
    """The address of one head of operand `which`, whose line of `given` is: address, strides of three leading axes and
    of the rows, in bytes."""
    line = 16 + 5 * which
    inner = given[2]
    outer = head // inner
    return (
        given[line]
        + outer // given[1] * given[line + 1]
        + outer % given[1] * given[line + 2]
        + head % inner * given[line + 3]
    )


_Q, _K, _V, _MASK, _Y, _DY, _DQ, _DK, _DV = range(9)  # operands


@_jit
def _kept(seed0, seed1, head, top, left, n, threshold, kept):
    """kept[j, i] = 1 where the number of query top + i and key left + j is not below the threshold, else 0. left: a
    multiple of 4. Philox-4x32, of 7 rounds: Salmon et al. 2011."""
    for j in range(0, n, 4):
        word = np.uint32((left + j) // 4)
        for i in range(QUERIES):
            a, b, c, d = np.uint32(top + i), word, np.uint32(head), np.uint32(0)
            key0, key1 = np.uint32(seed0), np.uint32(seed1)
            for _ in range(7):
                x, y = np.uint64(0xD2511F53) * np.uint64(a), np.uint64(0xCD9E8D57) * np.uint64(c)
                a, b = np.uint32(np.uint32(y >> np.uint64(32)) ^ b ^ key0), np.uint32(y)
                c, d = np.uint32(np.uint32(x >> np.uint64(32)) ^ d ^ key1), np.uint32(x)
                key0, key1 = np.uint32(key0 + np.uint32(0x9E3779B9)), np.uint32(key1 + np.uint32(0xBB67AE85))
            kept[j, i], kept[j + 1, i] = np.uint64(a) >= threshold, np.uint64(b) >= threshold
            kept[j + 2, i], kept[j + 3, i] = np.uint64(c) >= threshold, np.uint64(d) >= threshold


@_jit
def _mask_block(zero, size, kind, base, stride, lines, keys, target, m, n):
    """target[j, i] = the number to add to the score of query i and key j, from the mask at `base`; lines: workspace
    of QUERIES x keys numbers. stride: bytes from query to query."""
    if kind == TRUTH:
        width = lanes(zero)
        for i in range(m if stride else 1):
            for j in range(0, n, width):
                seen = truths(zero, base + i * stride + j, first(zero, n - j))
                store(where(seen, splat(zero, zero), splat(zero, -np.inf)), lines + size * (i * keys + j))
        base, stride = lines, size * keys if stride else 0
    transpose_block(zero, base, stride // size, target, QUERIES, m, n)


@_jit
def _score(zero, s, kind, mask, behind):
    """The score s behind its mask: -inf where the key is not seen, in the first `behind` lanes among others."""
    if kind == FLOATS:
        s = s + load(zero, mask)
    elif kind == TRUTH:
        added = load(zero, mask)
        s = where(added < zero, added, s)
    if behind > 0:
        s = where(first(zero, behind), splat(zero, -np.inf), s)
    return s


@_jit
def _weigh(zero, size, scores, mask, kind, kept, dropped, n, diagonal, top, sums):
    """The scores of one vector of queries, n keys, become e**(score - top), the dropped ones 0; -> the new top and
    sum, and the factor that the old sums take. Lane i sees no key above diagonal + i."""
    step, old, nothing = size * QUERIES, top, splat(zero, zero)
    visible = max(0, min(n, diagonal + lanes(zero)))
    for j in range(visible):
        s = load(zero, scores + j * step)
        if kind or j > diagonal:
            s = _score(zero, s, kind, mask + j * step, j - diagonal)
            store(s, scores + j * step)
        top = larger(s, top)
    base = where(top <= -np.inf, nothing, top)  # -inf - -inf would be NaN
    factor = exp_below(old - base)
    here = nothing  # summed by itself: the error grows with S / KEYS + KEYS additions
    for j in range(visible):
        e = exp_below(load(zero, scores + j * step) - base)
        here = here + e
        if dropped:
            e = where(truths(zero, kept + j * QUERIES, first(zero, lanes(zero))), e, nothing)
        store(e, scores + j * step)
    for j in range(visible, n):
        store(nothing, scores + j * step)
    return top, sums * factor + here, factor


@_jit
def _slopes(zero, size, scores, slopes, mask, kind, kept, dropped, grown, n, diagonal, scale, log_total, delta):
    """scores of one vector of queries become probabilities, zero where dropped, else times `grown`; slopes, those of
    the probabilities, become those of q k.mT."""
    step, nothing = size * QUERIES, splat(zero, zero)
    visible = max(0, min(n, diagonal + lanes(zero)))
    for j in range(visible):
        s, slope = load(zero, scores + j * step), load(zero, slopes + j * step)
        if kind or j > diagonal:
            s = _score(zero, s, kind, mask + j * step, j - diagonal)
        p = taken = exp(s - log_total)
        if dropped:
            keep = truths(zero, kept + j * QUERIES, first(zero, lanes(zero)))
            taken, slope = where(keep, p * grown, nothing), where(keep, slope * grown, nothing)
        store(taken, scores + j * step)
        store(p * (slope - delta) * scale, slopes + j * step)
    for j in range(visible, n):
        store(nothing, scores + j * step)
        store(nothing, slopes + j * step)


# numbers of both workers: the leading sizes A, B, C; T, S, D, E; causal; the bits of scale and of 1 / (1 - p); the kind
# of mask; the threshold of dropout and its seeds; C if one head of keys serves C of queries, else 1; 0; then for each
# operand its line, see _place.
_GIVEN = 16 + 5 * 9


@compiled
def _forward(zero):
    """c: the logarithms of the sums (A B C, T)."""
    kind = type(zero)

    def work(a_base, b_base, c_base, numbers, part, parts):
        given = carray(pointer(numbers), (_GIVEN,), np.int64)
        heads, t, s, d, e = given[0] * given[1] * given[2], given[3], given[4], given[5], given[6]
        causal, scale, grown = given[7], kind(float_of(given[8])), kind(float_of(given[9]))
        masked, threshold, seed0, seed1 = given[10], np.uint64(given[11]), given[12], given[13]
        dropped, width = threshold > np.uint64(0), lanes(zero)
        q_step, k_step, v_step, mask_step, y_step = given[20], given[25], given[30], given[35], given[40]
        log_totals = carray(pointer(c_base), (heads, t), kind)
        scores, packed = np.empty((KEYS, QUERIES), kind), np.zeros((d, QUERIES), kind)
        line = np.empty((3, QUERIES), kind)  # tops, totals, factors
        added = np.zeros((KEYS if masked else 1, QUERIES), kind)
        rows = np.empty((QUERIES if masked else 1, KEYS), kind)
        kept = np.empty((KEYS + 4 if dropped else 1, QUERIES), np.uint8)
        keys_at, ones = np.empty(KEYS + LONGEST_TILE, np.int64), np.empty(max(d, QUERIES) + LONGEST_TILE, np.int64)
        down = np.empty(KEYS + LONGEST_TILE, np.int64)
        _fill(ones, 1, max(d, QUERIES) - 1)
        _fill(down, QUERIES, KEYS - 1)
        size, packed_base, scores_base, line_base = (
            scores.itemsize, packed.ctypes.data, scores.ctypes.data, line.ctypes.data
        )  # fmt: skip
        blocks = (t + QUERIES - 1) // QUERIES
        for unit in range(part, heads * blocks, parts):
            head, top = unit // blocks, (blocks - 1 - unit % blocks) * QUERIES
            m = min(QUERIES, t - top)
            columns = (m + width - 1) // width * width
            keys, values = _place(given, _K, head), _place(given, _V, head)
            out = _place(given, _Y, head) + top * y_step
            transpose_block(zero, _place(given, _Q, head) + top * q_step, q_step // size, packed_base, QUERIES, m, d)
            for i in range(d):
                _scale_row(zero, size, packed_base + size * QUERIES * i, columns, scale)
            for i in range(0, columns, width):
                store(splat(zero, -np.inf), line_base + size * i)
                store(splat(zero, zero), line_base + size * (QUERIES + i))
            seen = min(s, top + m) if causal else s
            for left in range(0, seen, KEYS):
                n = min(KEYS, seen - left)
                _fill(keys_at, k_step // size, n - 1)
                _multiply(
                    zero, size, keys + left * k_step, keys_at.ctypes.data, ones.ctypes.data, packed_base, QUERIES,
                    scores_base, QUERIES, n, columns, d, 0,
                )  # fmt: skip
                if masked:
                    base = _place(given, _MASK, head) + top * mask_step + left * (1 if masked == TRUTH else size)
                    _mask_block(zero, size, masked, base, mask_step, rows.ctypes.data, KEYS, added.ctypes.data, m, n)
                if dropped:
                    _kept(seed0, seed1, head, top, left, n, threshold, kept)
                for i in range(0, columns, width):
                    tops, totals, factor = _weigh(
                        zero, size, scores_base + size * i, added.ctypes.data + size * i, masked,
                        kept.ctypes.data + i, dropped, n, top + i - left if causal else KEYS,
                        load(zero, line_base + size * i), load(zero, line_base + size * (QUERIES + i)),
                    )  # fmt: skip
                    store(tops, line_base + size * i)
                    store(totals, line_base + size * (QUERIES + i))
                    store(factor, line_base + size * (2 * QUERIES + i))
                if left:
                    for i in range(m):
                        if line[2, i] != kind(1):
                            _scale_row(zero, size, out + i * y_step, e, line[2, i])
                _multiply(
                    zero, size, scores_base, ones.ctypes.data, down.ctypes.data, values + left * v_step,
                    v_step // size, out, y_step // size, m, e, n, left,
                )  # fmt: skip
            for i in range(m):
                largest, sums = line[0, i], line[1, i]
                if sums == kind(0):  # no key behind a mask: zeros; without one, every score was -inf
                    largest, sums = (kind(0), kind(1)) if masked else (kind(np.nan), kind(np.nan))
                _scale_row(zero, size, out + i * y_step, e, grown / sums)
                log_totals[head, top + i] = largest + vectormath.log(sums)
        scores[0, 0] = packed[0, 0] = line[0, 0] = added[0, 0] = rows[0, 0] = zero  # alive until here: only their
        kept[0, 0] = keys_at[0] = ones[0] = down[0] = 0  # addresses were used

    return work


@_jit
def _mask_row(scores, kind, mask, n):
    """The scores of one query behind its mask, a row of n bytes or numbers."""
    if kind == TRUTH:
        seen = carray(pointer(mask), (n,), np.uint8)
        for j in range(n):
            scores[j] = scores[j] if seen[j] else -np.inf
    elif kind == FLOATS:
        added = carray(pointer(mask), (n,), scores.dtype)
        for j in range(n):
            scores[j] += added[j]


@_jit
def _soften(zero, size, scores, n):
    """n scores become e**(score - top): the top and their sum. Behind them there is room for a vector."""
    width = lanes(zero)
    store(splat(zero, -np.inf), scores + size * n)
    top, sums = splat(zero, -np.inf), splat(zero, zero)
    for j in range(0, n, width):
        top = larger(load(zero, scores + size * j), top)
    most = largest(top)
    base = zero if most <= -np.inf else most  # -inf - -inf would be NaN
    for j in range(0, n, width):
        e = exp_below(load(zero, scores + size * j) - base)
        sums = sums + e
        store(e, scores + size * j)
    return most, total(sums)


@_jit
def _rows_sum(zero, size, weights, values, step, n, left, factor, out):
    """out = factor times the sum over j < n of weights[j] and the row values + j step, of up to four vectors: `left`
    numbers."""
    width = lanes(zero)
    vector, a = size * width, splat(zero, zero)
    if left >= 4 * width:
        b = c = d = a
        for j in range(n):
            x, row = splat(zero, weights[j]), values + j * step
            a = x * load(zero, row) + a
            b = x * load(zero, row + vector) + b
            c = x * load(zero, row + 2 * vector) + c
            d = x * load(zero, row + 3 * vector) + d
        store(a * factor, out)
        store(b * factor, out + vector)
        store(c * factor, out + 2 * vector)
        store(d * factor, out + 3 * vector)
        return
    for place in range(0, left, width):
        keep, a = first(zero, left - place), splat(zero, zero)
        for j in range(n):
            a = splat(zero, weights[j]) * load(zero, values + j * step + size * place, keep, zero) + a
        store(a * factor, out + size * place, keep)


@compiled
def _short(zero):
    """As _forward, without dropout. Units: a query of a head."""
    kind = type(zero)

    def work(a_base, b_base, c_base, numbers, part, parts):
        given = carray(pointer(numbers), (_GIVEN,), np.int64)
        heads, t, s, d, e = given[0] * given[1] * given[2], given[3], given[4], given[5], given[6]
        causal, scale, masked, width = given[7], kind(float_of(given[8])), given[10], lanes(zero)
        q_step, k_step, v_step, mask_step, y_step = given[20], given[25], given[30], given[35], given[40]
        log_totals = carray(pointer(c_base), (heads, t), kind)
        query, scores = np.empty(d + width, kind), np.empty(s + 2 * width, kind)
        size, query_base, scores_base = scores.itemsize, query.ctypes.data, scores.ctypes.data
        whole = d // width * width
        for unit in range(heads * t * part // parts, heads * t * (part + 1) // parts):
            head, i = unit // t, unit % t
            keys, values = _place(given, _K, head), _place(given, _V, head)
            at, out = _place(given, _Q, head) + i * q_step, _place(given, _Y, head) + i * y_step
            for j in range(0, d, width):
                store(load(zero, at + size * j, first(zero, d - j), zero) * scale, query_base + size * j)
            n, rest = min(s, i + 1) if causal else s, first(zero, d - whole)
            for j in range(n):
                row, sums = keys + j * k_step, splat(zero, zero)
                for l in range(0, whole, width):
                    sums = load(zero, query_base + size * l) * load(zero, row + size * l) + sums
                if whole < d:
                    tail = load(zero, row + size * whole, rest, zero)
                    sums = load(zero, query_base + size * whole) * tail + sums
                scores[j] = total(sums)
            if masked:
                _mask_row(scores, masked, _place(given, _MASK, head) + i * mask_step, n)
            most, sums = _soften(zero, size, scores_base, n)
            if sums == kind(0):  # no key behind a mask: zeros; without one, every score was -inf
                most, sums = (kind(0), kind(1)) if masked else (kind(np.nan), kind(np.nan))
            for l in range(0, e, 4 * width):
                _rows_sum(zero, size, scores, values + size * l, v_step, n, e - l, kind(1) / sums, out + size * l)
            log_totals[head, i] = most + vectormath.log(sums)
        query[0] = scores[0] = zero  # alive until here: only their addresses were used

    return work


@compiled
def _backward(zero):
    """c: the logarithms of the sums (A B C, T). dk and dv are added to."""
    kind = type(zero)

    def work(a_base, b_base, c_base, numbers, part, parts):
        given = carray(pointer(numbers), (_GIVEN,), np.int64)
        heads, t, s, d, e = given[0] * given[1] * given[2], given[3], given[4], given[5], given[6]
        causal, scale, grown = given[7], kind(float_of(given[8])), kind(float_of(given[9]))
        masked, threshold, seed0, seed1, shared = given[10], np.uint64(given[11]), given[12], given[13], given[14]
        dropped, width = threshold > np.uint64(0), lanes(zero)
        q_step, k_step, v_step, mask_step, y_step = given[20], given[25], given[30], given[35], given[40]
        dy_step, dq_step, dk_step, dv_step = given[45], given[50], given[55], given[60]
        log_totals = carray(pointer(c_base), (heads, t), kind)
        scores, slopes = np.empty((SIDE, QUERIES), kind), np.empty((SIDE, QUERIES), kind)
        packed, packed_dy = np.zeros((d, QUERIES), kind), np.zeros((e, QUERIES), kind)
        line = np.zeros((2, QUERIES), kind)  # logarithms, sums of dy y
        added = np.zeros((SIDE if masked else 1, QUERIES), kind)
        rows = np.empty((QUERIES if masked else 1, SIDE), kind)
        kept = np.empty((SIDE + 4 if dropped else 1, QUERIES), np.uint8)
        keys_at, values_at = np.empty(SIDE + LONGEST_TILE, np.int64), np.empty(SIDE + LONGEST_TILE, np.int64)
        most = max(d, e, QUERIES)
        ones, down = np.empty(most + LONGEST_TILE, np.int64), np.empty(SIDE + LONGEST_TILE, np.int64)
        across = np.empty(QUERIES + LONGEST_TILE, np.int64)
        _fill(ones, 1, most - 1)
        _fill(down, QUERIES, SIDE - 1)
        _fill(across, 1, QUERIES - 1)
        size, scores_base, slopes_base = scores.itemsize, scores.ctypes.data, slopes.ctypes.data
        for head in range(heads // shared * part // parts * shared, heads // shared * (part + 1) // parts * shared):
            for top in range(0, t, QUERIES):
                m = min(QUERIES, t - top)
                columns = (m + width - 1) // width * width
                q, dq = _place(given, _Q, head) + top * q_step, _place(given, _DQ, head) + top * dq_step
                y, dy = _place(given, _Y, head) + top * y_step, _place(given, _DY, head) + top * dy_step
                transpose_block(zero, q, q_step // size, packed.ctypes.data, QUERIES, m, d)
                transpose_block(zero, dy, dy_step // size, packed_dy.ctypes.data, QUERIES, m, e)
                for i in range(d):
                    _scale_row(zero, size, packed.ctypes.data + size * QUERIES * i, columns, scale)
                for i in range(m):
                    line[0, i] = log_totals[head, top + i]
                    line[1, i] = _dot(zero, size, dy + i * dy_step, y + i * y_step, e)
                seen = min(s, top + m) if causal else s
                for left in range(0, seen, SIDE):
                    n = min(SIDE, seen - left)
                    keys, values = _place(given, _K, head) + left * k_step, _place(given, _V, head) + left * v_step
                    dk, dv = _place(given, _DK, head) + left * dk_step, _place(given, _DV, head) + left * dv_step
                    _fill(keys_at, k_step // size, n - 1)
                    _fill(values_at, v_step // size, n - 1)
                    _multiply(
                        zero, size, keys, keys_at.ctypes.data, ones.ctypes.data, packed.ctypes.data, QUERIES,
                        scores_base, QUERIES, n, columns, d, 0,
                    )  # fmt: skip
                    _multiply(
                        zero, size, values, values_at.ctypes.data, ones.ctypes.data, packed_dy.ctypes.data, QUERIES,
                        slopes_base, QUERIES, n, columns, e, 0,
                    )  # fmt: skip
                    if masked:
                        base = _place(given, _MASK, head) + top * mask_step + left * (1 if masked == TRUTH else size)
                        _mask_block(
                            zero, size, masked, base, mask_step, rows.ctypes.data, SIDE, added.ctypes.data, m, n
                        )
                    if dropped:
                        _kept(seed0, seed1, head, top, left, n, threshold, kept)
                    for i in range(0, columns, width):
                        _slopes(
                            zero, size, scores_base + size * i, slopes_base + size * i, added.ctypes.data + size * i,
                            masked, kept.ctypes.data + i, dropped, grown, n, top + i - left if causal else SIDE, scale,
                            load(zero, line.ctypes.data + size * i),
                            load(zero, line.ctypes.data + size * (QUERIES + i)),
                        )  # fmt: skip
                    down_base, ones_base, across_base = down.ctypes.data, ones.ctypes.data, across.ctypes.data
                    _multiply(
                        zero, size, scores_base, down_base, ones_base, dy, dy_step // size,
                        dv, dv_step // size, n, e, m, 1,
                    )  # fmt: skip
                    _multiply(
                        zero, size, slopes_base, down_base, ones_base, q, q_step // size,
                        dk, dk_step // size, n, d, m, 1,
                    )  # fmt: skip
                    _multiply(
                        zero, size, slopes_base, across_base, down_base, keys, k_step // size,
                        dq, dq_step // size, m, d, n, left,
                    )  # fmt: skip
        scores[0, 0] = slopes[0, 0] = packed[0, 0] = packed_dy[0, 0] = line[0, 0] = added[0, 0] = rows[0, 0] = zero
        kept[0, 0] = keys_at[0] = values_at[0] = ones[0] = down[0] = across[0] = 0  # alive until here: only their
        # addresses were used

    return work


def _rows(x):
    """x, or a copy of it, with contiguous rows: numbers one after the other along the last axis."""
    return x if (x.strides[-1] == x.itemsize or x.shape[-1] == 1) and x.flags.aligned else np.ascontiguousarray(x)


def _like(x):
    """An array like x, its axes in memory in the same order: what follows then undoes a transpose for nothing."""
    made = np.empty_like(x)
    return made if made.strides[-1] == made.itemsize else np.empty(x.shape, x.dtype)


def _mask_rows(mask, keys):
    """The mask with a contiguous row of length `keys` for each query, or one for all of them."""
    mask = mask.reshape((1,) * (2 - mask.ndim) + mask.shape)
    if mask.shape[-1] != keys:
        mask = np.broadcast_to(mask, (*mask.shape[:-1], keys))
    return _rows(mask)


@functools.lru_cache(maxsize=512)
def _layout(operands, kind, causal, scale, dropout):
    """The numbers that both passes begin with, of (shape, strides) of each operand or None; the addresses, which
    `_numbers` fills in, and the seed are 0. And the number of parts."""
    (*lead, t, d), (*keys_lead, s, _), (*_, e) = (shape for shape, _ in operands[:3])
    a, b, c = (1,) * (3 - len(lead)) + tuple(lead)
    scale = 1 / math.sqrt(d) if scale is None else scale
    bits = np.array((scale, 1 / (1 - dropout) if dropout < 1 else 0)).view(np.int64).tolist()
    shared = c if len(lead) and lead[-1] > 1 and keys_lead != lead else 1
    numbers = [a, b, c, t, s, d, e, causal, *bits, kind, round(dropout * 2**32), 0, 0, shared, 0]
    for i, operand in enumerate(operands):
        if operand is None:
            numbers += [0] * 5
            continue
        shape, strides = operand
        leading = [0 if n == 1 else step for n, step in zip(shape[:-2], strides)]  # axes of length 1 are repeated
        row = 0 if i == _MASK and shape[-2] == 1 else strides[-2]
        numbers += [0, *[0] * (3 - len(leading)), *leading, row]
    work = a * b * c * t * s * d
    parts = 1 if work < PARALLEL_FROM else None if work < PARTS_FROM else PARTS
    return np.array(numbers + [0] * (_GIVEN - len(numbers)), np.int64), parts


def _numbers(operands, seed, causal, scale, dropout):
    """The numbers of a pass over (q, k, v, mask, y, dy, dq, dk, dv) or their beginning, and the number of parts."""
    mask = operands[_MASK]
    kind = 0 if mask is None else TRUTH if mask.dtype.kind == "b" else FLOATS
    known = tuple([None if x is None else (x.shape, x.strides) for x in operands])
    numbers, parts = _layout(known, kind, causal, scale if scale is None else float(scale), dropout)
    numbers = numbers.copy()
    for i, x in enumerate(operands):
        if x is not None:
            numbers[16 + 5 * i] = location(x)
    if dropout:
        numbers[12], numbers[13] = int(seed[0]), int(seed[1])
    return numbers, parts


def attention(q, k, v, mask=None, seed=None, *, causal=False, scale=None, dropout=0.0):
    """y = softmax(q k.mT scale + mask) v. q: (..., T, D), k: (..., S, D), v: (..., S, E) -> y (..., T, E) and the
    logarithms of the sums (..., T, 1)."""
    q, k, v = _rows(q), _rows(k), _rows(v)
    mask = mask if mask is None else _mask_rows(mask, k.shape[-2])
    lines = q.shape[:-1]
    y = _like(q) if q.shape[-1] == v.shape[-1] else np.empty((*lines, v.shape[-1]), q.dtype)
    log_totals = np.empty((*lines, 1), q.dtype)
    numbers, parts = _numbers((q, k, v, mask, y), seed, causal, scale, dropout)
    worker = _short if q.shape[-2] <= SHORT and not dropout else _forward
    run(worker(q.dtype), log_totals, log_totals, log_totals, numbers, parts=parts)
    return y, log_totals


def attention_backward(
    dy, q, k, v, out, log_total, mask=None, seed=None, *, causal=False, scale=None, dropout=0.0
):  # fmt: skip
    """The gradients of attention for q, k and v, from its output and the logarithms of the sums."""
    dy, q, k, v, out = _rows(dy), _rows(q), _rows(k), _rows(v), _rows(out)
    mask = mask if mask is None else _mask_rows(mask, k.shape[-2])
    log_total = np.ascontiguousarray(log_total)
    dq, dk, dv = _like(q), _like(k), _like(v)
    dk.fill(0)
    dv.fill(0)
    numbers, parts = _numbers((q, k, v, mask, out, dy, dq, dk, dv), seed, causal, scale, dropout)
    run(_backward(q.dtype), log_total, log_total, log_total, numbers, parts=parts)
    return dq, dk, dv
