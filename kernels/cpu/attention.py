"""Attention on the register tiles: scores exist only as blocks in cache, in the forward and in the backward pass.

Forward: a block of queries walks over blocks of keys and keeps the running maximum and sum of its rows (Milakov,
Gimelshein 2018; Dao et al. 2022, arXiv:2205.14135). Backward: the probabilities come back from the saved logarithm of
the sum; a thread works on whole heads, so that gradients of keys and values are summed in one order. With `causal`,
blocks above the diagonal are skipped.
"""

import math

import numpy as np
from numba import carray, njit
from numba.extending import register_jitable

from . import vectormath
from .threads import compiled, pointer, run
from .tiles import LONGEST_TILE, VECTORS, lanes, multiply_block, transpose_block
from .vectormath import float_of

PARALLEL_FROM = 300_000  # multiplications of the scores
ROWS = 96  # queries a block
KEYS = 256  # keys a block, forward
SIDE = 64  # queries and keys a block, backward

_row_sum = register_jitable(error_model="numpy", fastmath={"contract", "reassoc", "nsz"})
_row = register_jitable(error_model="numpy", fastmath={"contract"})


@njit(nogil=True, error_model="numpy")
def _multiply(zero, size, a, rows, steps, b, b_stride, c, c_stride, m, n, k, accumulate):
    """C[m, n] (+)= A[m, k] @ B[k, n] for any n, panel by panel; see tiles.multiply_block. size: bytes a number."""
    width = VECTORS * lanes(zero)
    for j in range(0, n, width):
        columns = min(width, n - j)
        multiply_block(zero, a, rows, steps, b + size * j, b_stride, c + size * j, c_stride, m, columns, k, accumulate)


@_row
def _largest(x):
    m = x[0]
    for j in range(x.size):
        m = vectormath.maximum(m, x[j])
    return m


@_row_sum
def _exponentials(x, scale, m):
    """x = exp(x scale - m); the sum of x."""
    total = x.dtype.type(0)
    for j in range(x.size):
        e = vectormath.exp(x[j] * scale - m)
        x[j] = e
        total += e
    return total


@_row
def _scale(x, factor):
    for j in range(x.size):
        x[j] *= factor


@_row_sum
def _dot(x, y):
    total = x.dtype.type(0)
    for j in range(x.size):
        total += x[j] * y[j]
    return total


@_row
def _slope(p, dp, scale, log_total, delta):
    """p: scores, becomes probabilities; dp: their slopes, becomes those of the scores."""
    for j in range(p.size):
        e = vectormath.exp(p[j] * scale - log_total)
        p[j] = e
        dp[j] = e * (dp[j] - delta) * scale


@register_jitable
def _table(n, step, last):
    """The offsets 0, step, 2 step, ... with those from `last` on repeated for the surplus rows of a tile."""
    table = np.empty(n + LONGEST_TILE, np.int64)
    for i in range(n + LONGEST_TILE):
        table[i] = min(i, last) * step
    return table


@compiled
def _forward(zero):
    """a: q (N, T, D); b: k (N, S, D); c: y (N, T, E). numbers: N, T, S, D, E, causal, bits of scale, the addresses of
    v (N, S, E) and of the logarithms of the sums (N, T)."""
    kind = type(zero)

    def work(a_base, b_base, c_base, numbers, thread, threads):
        given = carray(pointer(numbers), (9,), np.int64)
        heads, t, s, d, e = given[0], given[1], given[2], given[3], given[4]
        causal, scale, v_base = given[5], kind(float_of(given[6])), given[7]
        log_totals = carray(pointer(given[8]), (heads, t), kind)
        y = carray(pointer(c_base), (heads, t, e), kind)
        width = VECTORS * lanes(zero)
        scores, panel = np.empty((ROWS, KEYS), kind), np.empty(width * d, kind)
        tops, totals = np.empty(ROWS, kind), np.empty(ROWS, kind)
        size, panel_base, scores_base = panel.itemsize, panel.ctypes.data, scores.ctypes.data
        steps, p_rows = _table(max(d, KEYS), 1, max(d, KEYS)), _table(ROWS, KEYS, ROWS - 1)
        blocks = (t + ROWS - 1) // ROWS
        units = heads * blocks
        for unit in range(units * thread // threads, units * (thread + 1) // threads):
            head, first = unit // blocks, unit % blocks * ROWS
            m = min(ROWS, t - first)
            q_rows = _table(ROWS, d, m - 1)
            q = a_base + size * (head * t + first) * d
            out = c_base + size * (head * t + first) * e
            for i in range(m):
                tops[i], totals[i] = kind(-np.inf), kind(0)
                y[head, first + i, :] = kind(0)
            for start in range(0, min(s, first + m) if causal else s, KEYS):
                n = min(KEYS, (min(s, first + m) if causal else s) - start)
                for j in range(0, n, width):
                    columns = min(width, n - j)
                    keys = b_base + size * (head * s + start + j) * d
                    transpose_block(zero, keys, d, panel_base, width, columns, d)
                    multiply_block(
                        zero, q, q_rows.ctypes.data, steps.ctypes.data, panel_base, width,
                        scores_base + size * j, KEYS, m, columns, d, 0,
                    )  # fmt: skip
                for i in range(m):
                    seen = max(0, min(n, first + i + 1 - start)) if causal else n
                    row = scores[i, :seen]
                    if seen:
                        top = _largest(row) * scale
                        if scale < kind(0):
                            top = kind(-np.inf)
                            for j in range(seen):
                                top = max(top, row[j] * scale)
                        if not (top <= tops[i]):  # NaN goes in
                            if totals[i] != kind(0):
                                factor = vectormath.exp(tops[i] - top)
                                totals[i] *= factor
                                _scale(y[head, first + i], factor)
                            tops[i] = top
                        totals[i] += _exponentials(row, scale, tops[i])
                    scores[i, seen:n] = kind(0)
                _multiply(
                    zero, size, scores_base, p_rows.ctypes.data, steps.ctypes.data,
                    v_base + size * (head * s + start) * e, e, out, e, m, e, n, 1,
                )  # fmt: skip
            for i in range(m):
                _scale(y[head, first + i], kind(1) / totals[i])
                log_totals[head, first + i] = tops[i] + vectormath.log(totals[i])
        panel[0], steps[0], p_rows[0] = kind(0), 0, 0  # alive until here: only their addresses were used

    return work


@compiled
def _backward(zero):
    """a: dy, b: y (N, T, E); c: dq (N, T, D), zeros. numbers: N, T, S, D, E, causal, bits of scale, the addresses of
    q, k, v, the logarithms, dk and dv, the last two zeros."""
    kind = type(zero)

    def work(a_base, b_base, c_base, numbers, thread, threads):
        given = carray(pointer(numbers), (13,), np.int64)
        heads, t, s, d, e = given[0], given[1], given[2], given[3], given[4]
        causal, scale = given[5], kind(float_of(given[6]))
        q_base, k_base, v_base, dk_base, dv_base = given[7], given[8], given[9], given[11], given[12]
        log_totals = carray(pointer(given[10]), (heads, t), kind)
        dy, y = carray(pointer(a_base), (heads, t, e), kind), carray(pointer(b_base), (heads, t, e), kind)
        p, dp, delta = np.empty((SIDE, SIDE), kind), np.empty((SIDE, SIDE), kind), np.empty(t, kind)
        kt, vt = np.empty(SIDE * d, kind), np.empty(SIDE * e, kind)
        size, p_base, dp_base = p.itemsize, p.ctypes.data, dp.ctypes.data
        ones, down = _table(max(d, e, SIDE), 1, max(d, e, SIDE)), _table(SIDE, SIDE, SIDE - 1)
        for head in range(heads * thread // threads, heads * (thread + 1) // threads):
            for i in range(t):
                delta[i] = _dot(dy[head, i], y[head, i])
            for left in range(0, s, SIDE):
                n = min(SIDE, s - left)
                keys, values = k_base + size * (head * s + left) * d, v_base + size * (head * s + left) * e
                dk, dv = dk_base + size * (head * s + left) * d, dv_base + size * (head * s + left) * e
                transpose_block(zero, keys, d, kt.ctypes.data, SIDE, n, d)
                transpose_block(zero, values, e, vt.ctypes.data, SIDE, n, e)
                across = _table(SIDE, 1, n - 1)
                for top in range(left if causal else 0, t, SIDE):
                    m = min(SIDE, t - top)
                    q, g = q_base + size * (head * t + top) * d, a_base + size * (head * t + top) * e
                    q_rows, g_rows = _table(SIDE, d, m - 1), _table(SIDE, e, m - 1)
                    _multiply(
                        zero,
                        size,
                        q,
                        q_rows.ctypes.data,
                        ones.ctypes.data,
                        kt.ctypes.data,
                        SIDE,
                        p_base,
                        SIDE,
                        m,
                        n,
                        d,
                        0,
                    )
                    _multiply(
                        zero,
                        size,
                        g,
                        g_rows.ctypes.data,
                        ones.ctypes.data,
                        vt.ctypes.data,
                        SIDE,
                        dp_base,
                        SIDE,
                        m,
                        n,
                        e,
                        0,
                    )
                    for i in range(m):
                        seen = max(0, min(n, top + i + 1 - left)) if causal else n
                        _slope(p[i, :seen], dp[i, :seen], scale, log_totals[head, top + i], delta[top + i])
                        p[i, seen:n] = kind(0)
                        dp[i, seen:n] = kind(0)
                    _multiply(zero, size, p_base, across.ctypes.data, down.ctypes.data, g, e, dv, e, n, e, m, 1)
                    _multiply(zero, size, dp_base, across.ctypes.data, down.ctypes.data, q, d, dk, d, n, d, m, 1)
                    dq = c_base + size * (head * t + top) * d
                    _multiply(zero, size, dp_base, down.ctypes.data, ones.ctypes.data, keys, d, dq, d, m, d, n, 1)
                    q_rows[0] = g_rows[0] = 0  # alive until here: only their addresses were used
                across[0] = 0
        kt[0], vt[0], ones[0], down[0] = kind(0), kind(0), 0, 0

    return work


def _ready(x):
    return x if x.flags.carray else x.copy()


def _sizes(q, k, v, causal, scale):
    (t, d), (s, e) = q.shape[-2:], v.shape[-2:]
    scale = 1 / math.sqrt(d) if scale is None else scale
    heads = math.prod(q.shape[:-2])
    return (heads, t, s, d, e, causal, np.float64(scale).view(np.int64)), heads * t * s * d < PARALLEL_FROM


def attention(q, k, v, mask=None, *, causal=False, scale=None):
    """y = softmax(q k.mT scale) v. q: (..., T, D), k: (..., S, D), v: (..., S, E) -> y (..., T, E) and the logarithms
    of the sums (..., T, 1)."""
    q, k, v = _ready(q), _ready(k), _ready(v)
    y = np.empty((*q.shape[:-1], v.shape[-1]), q.dtype)
    log_totals = np.empty((*q.shape[:-1], 1), q.dtype)
    numbers, alone = _sizes(q, k, v, causal, scale)
    numbers += (v.ctypes.data, log_totals.ctypes.data)
    run(_forward(q.dtype), q, k, y, numbers, alone=alone)
    return y, log_totals


def attention_backward(dy, q, k, v, out, log_total, mask=None, *, causal=False, scale=None):
    """The gradients of attention for q, k and v, from its output and the logarithms of the sums."""
    dy, q, k, v, out, log_total = (_ready(x) for x in (dy, q, k, v, out, log_total))
    dq, dk, dv = np.zeros_like(q), np.zeros_like(k), np.zeros_like(v)
    numbers, alone = _sizes(q, k, v, causal, scale)
    numbers += tuple(x.ctypes.data for x in (q, k, v, log_total, dk, dv))
    run(_backward(q.dtype), dy, out, dq, numbers, alone=alone)
    return dq, dk, dv
