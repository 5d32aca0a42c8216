"""Recurrent layers over a whole sequence: the weights stay in cache, and every thread walks through time on its own.

A thread has some rows of the batch for all steps, so that no step waits for another thread. At each step the product of
[x_t, h_(t-1)] with the weights runs on the register tile against panels packed once; then the gates follow row by row,
in loops over so few arrays that LLVM can prove them apart and vectorise. Backward, the slopes of the gates live for a
few steps only: while they are in cache they give dh, dx, and what they add to the gradients of the weights and biases.
So only the gates, the states and the input pass through memory.

Each row is computed alone, by one chain of fused multiply-adds an element: outputs and the gradients of input and
states do not depend on the number of threads. The gradients of weights and biases are sums over rows, one a
thread, added in order: they may differ in rounding between numbers of threads.

The four networks differ in the loops over a row alone. Their gates stand side by side in C columns: i, f, g, o; or
r, z, n, q; or h itself.
"""

import numpy as np
from numba import carray, njit
from numba.extending import register_jitable

from ...threads import get_num_threads
from . import vectormath
from .matmul import linear
from .threads import compiled, pointer, run
from .tiles import LONGEST_TILE, copy_block, lanes, multiply_block, transpose_block
from .vectors import first, lane, load, splat, store

TANH, RELU, LSTM, GRU = range(4)
ROWS = 32  # of the batch in one unit of work: their gates and the packed weights share the second-level cache
DEPTH = 128  # rows of slopes that are gathered for one product with what they met
PANEL = 2  # vectors: tiles of 8 rows, which divide the usual batches
FEW = 6  # rows, up to which a tile of 8 does more than it saves, one row at a time takes them
PARALLEL_FROM = 100_000  # multiplications
STEP_PARALLEL_FROM = 8_192  # gates

_row = register_jitable(error_model="numpy", fastmath={"contract"})


@register_jitable
def _table(n, step, last):
    """The offsets 0, step, 2 step, ... with those from `last` on repeated for the surplus rows of a tile."""
    table = np.empty(n + LONGEST_TILE, np.int64)
    for i in range(n + LONGEST_TILE):
        table[i] = min(i, last) * step
    return table


@register_jitable
def _columns(n, h, skip):
    """Where the n slopes of one product stand among all: every one in its place, or (skip) those of h's part of a GRU,
    r, z, q, without n."""
    table = _table(n, 1, n - 1)
    if skip:
        table[2 * h :] += h
    return table


@njit(nogil=True, error_model="numpy")
def _started(zero, c, left, accumulate):
    """The vector at c, of which `left` numbers are there, or zeros; the keep of its lanes."""
    keep = first(zero, left)
    return load(zero, c, first(zero, left if accumulate else 0), zero), keep


@njit(nogil=True, error_model="numpy")
def _one_row(zero, size, a, steps, panels, depth, c, j, n, k, accumulate):
    """c[j : j + 4 panels] (+)= a @ B for one row: eight vectors of sums, each in the order of a tile's."""
    count, width = lanes(zero), PANEL * lanes(zero)
    vector, last = size * count, (n - 1) // width * width
    one, two = panels + size * depth * j, panels + size * depth * min(j + width, last)
    three, four = panels + size * depth * min(j + 2 * width, last), panels + size * depth * min(j + 3 * width, last)
    to, left = c + size * j, n - j
    s0, keep0 = _started(zero, to, left, accumulate)
    s1, keep1 = _started(zero, to + vector, left - count, accumulate)
    s2, keep2 = _started(zero, to + 2 * vector, left - 2 * count, accumulate)
    s3, keep3 = _started(zero, to + 3 * vector, left - 3 * count, accumulate)
    s4, keep4 = _started(zero, to + 4 * vector, left - 4 * count, accumulate)
    s5, keep5 = _started(zero, to + 5 * vector, left - 5 * count, accumulate)
    s6, keep6 = _started(zero, to + 6 * vector, left - 6 * count, accumulate)
    s7, keep7 = _started(zero, to + 7 * vector, left - 7 * count, accumulate)
    offsets, alone, down = carray(pointer(steps), (k,), np.int64), first(zero, 1), 0
    for q in range(k):
        x = splat(zero, lane(load(zero, a + size * offsets[q], alone, zero)))
        s0 = x * load(zero, one + down) + s0
        s1 = x * load(zero, one + down + vector) + s1
        s2 = x * load(zero, two + down) + s2
        s3 = x * load(zero, two + down + vector) + s3
        s4 = x * load(zero, three + down) + s4
        s5 = x * load(zero, three + down + vector) + s5
        s6 = x * load(zero, four + down) + s6
        s7 = x * load(zero, four + down + vector) + s7
        down += 2 * vector
    store(s0, to, keep0)
    store(s1, to + vector, keep1)
    store(s2, to + 2 * vector, keep2)
    store(s3, to + 3 * vector, keep3)
    store(s4, to + 4 * vector, keep4)
    store(s5, to + 5 * vector, keep5)
    store(s6, to + 6 * vector, keep6)
    store(s7, to + 7 * vector, keep7)


@njit(nogil=True, error_model="numpy")
def _multiply(zero, size, a, rows, steps, panels, depth, c, c_stride, m, n, k, accumulate):
    """C[m, n] (+)= A[m, k] @ B[k, n], B in panels of PANEL vectors and `depth` rows; see tiles.multiply_block."""
    width = PANEL * lanes(zero)
    if m <= FEW:
        for r in range(m):
            row = a + size * carray(pointer(rows), (m,), np.int64)[r]
            for j in range(0, n, 4 * width):
                _one_row(zero, size, row, steps, panels, depth, c + size * r * c_stride, j, n, k, accumulate)
        return
    for j in range(0, n, width):
        multiply_block(
            zero, a, rows, steps, panels + size * j * depth, width, c + size * j, c_stride, m, min(width, n - j), k,
            accumulate,
        )  # fmt: skip


@njit(nogil=True, error_model="numpy")
def _pack(zero, size, source, stride, panels, depth, m, n):
    """The first m rows of panels of `depth` rows: source[i, :n] for i < m."""
    width = PANEL * lanes(zero)
    for j in range(0, n, width):
        copy_block(zero, source + size * j, stride, panels + size * j * depth, width, m, min(width, n - j))


@njit(nogil=True, error_model="numpy")
def _pack_transposed(zero, size, source, k, panels, depth, n):
    """The first k rows of panels of `depth` rows: the transpose of source[n, k]."""
    width = PANEL * lanes(zero)
    for j in range(0, n, width):
        transpose_block(zero, source + size * j * k, k, panels + size * j * depth, width, min(width, n - j), k)


# ---- loops over one row --------------------------------------------------------------------------------------------
@_row
def _plus(y, x):
    """y += x"""
    for j in range(y.size):
        y[j] += x[j]


@_row
def _times(y, a, b):
    """y = a b"""
    for j in range(y.size):
        y[j] = a[j] * b[j]


@_row
def _sigmoid(y, bias):
    """y = s(y + bias)"""
    for j in range(y.size):
        y[j] = vectormath.sigmoid(y[j] + bias[j])


@_row
def _tanh(y, bias):
    """y = tanh(y + bias)"""
    for j in range(y.size):
        y[j] = vectormath.tanh(y[j] + bias[j])


@_row
def _relu(y, bias):
    """y = max(y + bias, 0)"""
    for j in range(y.size):
        y[j] = vectormath.maximum(y[j] + bias[j], y.dtype.type(0))


@_row
def _cell(c, i, f, g, before):
    """c = f before + i g"""
    for j in range(c.size):
        c[j] = f[j] * before[j] + i[j] * g[j]


@_row
def _output(h, o, c):
    """h = o tanh(c)"""
    for j in range(h.size):
        h[j] = o[j] * vectormath.tanh(c[j])


@_row
def _candidate(n, bias, r, q):
    """n = tanh(n + bias + r q)"""
    for j in range(n.size):
        n[j] = vectormath.tanh(n[j] + bias[j] + r[j] * q[j])


@_row
def _between(h, n, z, before):
    """h = n + z (before - n)"""
    for j in range(h.size):
        h[j] = n[j] + z[j] * (before[j] - n[j])


@_row
def _tanh_of(y, x):
    """y = tanh(x)"""
    for j in range(y.size):
        y[j] = vectormath.tanh(x[j])


@_row
def _cell_slope(dc, dh, o, tanh_c):
    """dc += dh o (1 - tanh(c)**2)"""
    one = dc.dtype.type(1)
    for j in range(dc.size):
        dc[j] += dh[j] * o[j] * (one - tanh_c[j] * tanh_c[j])


@_row
def _sigmoid_slope(ds, dy, factor, y):
    """ds = dy factor y (1 - y)"""
    one = ds.dtype.type(1)
    for j in range(ds.size):
        ds[j] = dy[j] * factor[j] * y[j] * (one - y[j])


@_row
def _tanh_slope(ds, dy, factor, y):
    """ds = dy factor (1 - y**2)"""
    one = ds.dtype.type(1)
    for j in range(ds.size):
        ds[j] = dy[j] * factor[j] * (one - y[j] * y[j])


@_row
def _plain_tanh_slope(ds, dy, y):
    """ds = dy (1 - y**2)"""
    one = ds.dtype.type(1)
    for j in range(ds.size):
        ds[j] = dy[j] * (one - y[j] * y[j])


@_row
def _relu_slope(ds, dy, y):
    """ds = dy where not y <= 0"""
    zero = ds.dtype.type(0)
    for j in range(ds.size):
        ds[j] = zero if y[j] <= zero else dy[j]


@_row
def _candidate_slope(ds, dh, z, n):
    """ds = dh (1 - z) (1 - n**2)"""
    one = ds.dtype.type(1)
    for j in range(ds.size):
        ds[j] = dh[j] * (one - z[j]) * (one - n[j] * n[j])


@_row
def _update_slope(ds, dh, before, n, z):
    """ds = dh (before - n) z (1 - z)"""
    one = ds.dtype.type(1)
    for j in range(ds.size):
        ds[j] = dh[j] * (before[j] - n[j]) * z[j] * (one - z[j])


# ---- forward -------------------------------------------------------------------------------------------------------
@compiled
def _forward(zero):
    """a: x (T, B, I); b: bias (C,); c: y (T or T + 1, B, H). numbers: the network, T, B, I, H, C, reverse, rows a unit,
    the addresses of weight_ih, weight_hh, h0, c0, cells and gates; for a plain network gates is y; whether gates holds
    x @ weight_ih.T already: then I is 0."""
    kind = type(zero)

    def work(a_base, b_base, c_base, numbers, part, parts):
        given = carray(pointer(numbers), (15,), np.int64)
        network, t, b, i, h, c, reverse, block = (
            given[0], given[1], given[2], given[3], given[4], given[5], given[6], given[7]
        )  # fmt: skip
        wi, wh, h0_base, gates_base = given[8], given[9], given[10], given[13]
        units = (b + block - 1) // block
        first, last = units * part // parts, units * (part + 1) // parts
        if first == last:
            return
        h0, c0 = carray(pointer(h0_base), (b, h), kind), carray(pointer(given[11]), (b, h), kind)
        cells, gates = carray(pointer(given[12]), (t, b, h), kind), carray(pointer(gates_base), (t, b, c), kind)
        bias, y = carray(pointer(b_base), (c,), kind), carray(pointer(c_base), (t, b, h), kind)
        # columns whose two products add up: all, but of a GRU r and z alone; n and q have one product each
        joint = 2 * h if network == GRU else c
        k, width = i + h, PANEL * lanes(zero)
        joint_wide, wide = (joint + width - 1) // width * width, (h + width - 1) // width * width
        panels = np.empty(joint_wide * k + (wide * k if network == GRU else 0), kind)
        inputs = np.empty((block, k), kind)  # [x_t, h_(t-1)]
        size, base, inputs_base = panels.itemsize, panels.ctypes.data, inputs.ctypes.data
        n_panels = base + size * joint_wide * k
        q_panels = n_panels + size * wide * i
        _pack_transposed(zero, size, wi, i, base, k, joint)
        _pack_transposed(zero, size, wh, h, base + size * i * width, k, joint)
        if network == GRU:
            _pack_transposed(zero, size, wi + size * 2 * h * i, i, n_panels, i, h)
            _pack_transposed(zero, size, wh + size * 2 * h * h, h, q_panels, h, h)
        steps = _table(k, 1, k)
        for unit in range(first, last):
            top = unit * block
            m = min(block, b - top)
            rows = _table(m, k, m - 1)
            at, ones = rows.ctypes.data, steps.ctypes.data
            for r in range(m):
                inputs[r, i:] = h0[top + r]
            for n in range(t):
                s = t - 1 - n if reverse else n
                earlier = s + 1 if reverse else s - 1
                x = carray(pointer(a_base + size * (s * b + top) * i), (m, i), kind)
                for r in range(m):
                    inputs[r, :i] = x[r]
                out = gates_base + size * (s * b + top) * c
                _multiply(zero, size, inputs_base, at, ones, base, k, out, c, m, joint, k, given[14])
                if network == GRU:
                    if i:
                        _multiply(zero, size, inputs_base, at, ones, n_panels, i, out + size * 2 * h, c, m, h, i, 0)
                    _multiply(
                        zero, size, inputs_base + size * i, at, ones, q_panels, h, out + size * 3 * h, c, m, h, h, 0
                    )
                for r in range(top, top + m):
                    gate, hr = gates[s, r], y[s, r]
                    if network == LSTM:
                        _sigmoid(gate[: 2 * h], bias[: 2 * h])
                        _tanh(gate[2 * h : 3 * h], bias[2 * h : 3 * h])
                        _sigmoid(gate[3 * h :], bias[3 * h :])
                        before = cells[earlier, r] if n else c0[r]
                        _cell(cells[s, r], gate[:h], gate[h : 2 * h], gate[2 * h : 3 * h], before)
                        _output(hr, gate[3 * h :], cells[s, r])
                    elif network == GRU:
                        new = gate[2 * h : 3 * h]
                        _sigmoid(gate[: 2 * h], bias[: 2 * h])
                        _plus(gate[3 * h :], bias[3 * h :])
                        _candidate(new, bias[2 * h : 3 * h], gate[:h], gate[3 * h :])
                        _between(hr, new, gate[h : 2 * h], inputs[r - top, i:])
                    elif network == TANH:
                        _tanh(hr, bias)
                    else:
                        _relu(hr, bias)
                    inputs[r - top, i:] = hr
            rows[0] = 0
        panels[0], inputs[0, 0], steps[0] = kind(0), kind(0), 0  # alive until here: only their addresses were used

    return work


# ---- backward ------------------------------------------------------------------------------------------------------
@compiled
def _backward(zero):
    """a: dy, b: y, both (T or T + 1, B, H); c: the gradients of the weights and biases, one group after the other: for
    each G H I, G H H and C numbers, zeros. numbers: the network, T, B, I, H, C, reverse, rows a block, groups, the
    addresses of x, weight_ih, weight_hh, h0, c0, cells, gates, dx (or 0), dh0, zeros, and dc0, a copy of dy[T]."""
    kind = type(zero)

    def work(a_base, b_base, c_base, numbers, part, parts):
        given = carray(pointer(numbers), (19,), np.int64)
        network, t, b, i, h, c, reverse, block, groups = (
            given[0], given[1], given[2], given[3], given[4], given[5], given[6], given[7], given[8]
        )  # fmt: skip
        x_base, wi, wh, h0_base, dx_base, dh_base = given[9], given[10], given[11], given[12], given[16], given[17]
        h0, c0 = carray(pointer(h0_base), (b, h), kind), carray(pointer(given[13]), (b, h), kind)
        cells, gates = carray(pointer(given[14]), (t, b, h), kind), carray(pointer(given[15]), (t, b, c), kind)
        dhs, dcs = carray(pointer(dh_base), (b, h), kind), carray(pointer(given[18]), (b, h), kind)
        dy, y = carray(pointer(a_base), (t, b, h), kind), carray(pointer(b_base), (t, b, h), kind)
        first, last = groups * part // parts, groups * (part + 1) // parts
        if first == last:
            return
        width = PANEL * lanes(zero)
        g = 3 * h if network == GRU else c  # rows of the weights
        skip = 1 if network == GRU else 0
        i_wide, h_wide = (i + width - 1) // width * width, (h + width - 1) // width * width
        h_panels, x_panels = np.empty(h_wide * g, kind), np.empty(i_wide * g if dx_base else 1, kind)
        size = h_panels.itemsize
        _pack(zero, size, wh, h, h_panels.ctypes.data, g, g, h)
        if dx_base:
            _pack(zero, size, wi, i, x_panels.ctypes.data, g, g, i)
        depth = max(DEPTH // block, 1) * block
        stride = c + lanes(zero)  # not a power of two, which would fall into few sets of the cache
        slopes, tanh_c = np.empty((depth + LONGEST_TILE, stride), kind), np.empty(h, kind)
        met_x, met_h = np.empty(i_wide * depth, kind), np.empty(h_wide * depth, kind)
        across_x, across_h = _columns(g, h, 0), _columns(g, h, skip)
        down = _table(depth, stride, depth - 1)
        order, late = np.empty(depth + LONGEST_TILE, np.int64), dx_base and b <= FEW and groups == 1  # dx of many steps
        for group in range(first, last):
            start, stop = b * group // groups, b * (group + 1) // groups
            dwi = c_base + size * group * (g * i + g * h + c)
            dwh = dwi + size * g * i
            db = carray(pointer(dwh + size * g * h), (c,), kind)
            for top in range(start, stop, block):
                m = min(block, stop - top)
                filled = 0  # rows of slopes and of what they met
                for n in range(t):
                    s = n if reverse else t - 1 - n
                    earlier = s + 1 if reverse else s - 1
                    for r in range(top, top + m):
                        ds, gate, dh = slopes[filled + r - top, :c], gates[s, r], dhs[r]
                        before = y[earlier, r] if n < t - 1 else h0[r]
                        _plus(dh, dy[s, r])
                        if network == LSTM:
                            dc, old = dcs[r], cells[earlier, r] if n < t - 1 else c0[r]
                            _tanh_of(tanh_c, cells[s, r])
                            _cell_slope(dc, dh, gate[3 * h :], tanh_c)
                            _sigmoid_slope(ds[:h], dc, gate[2 * h : 3 * h], gate[:h])
                            _sigmoid_slope(ds[h : 2 * h], dc, old, gate[h : 2 * h])
                            _tanh_slope(ds[2 * h : 3 * h], dc, gate[:h], gate[2 * h : 3 * h])
                            _sigmoid_slope(ds[3 * h :], dh, tanh_c, gate[3 * h :])
                            _times(dc, dc, gate[h : 2 * h])
                        elif network == GRU:
                            z, new, dn = gate[h : 2 * h], gate[2 * h : 3 * h], ds[2 * h : 3 * h]
                            _candidate_slope(dn, dh, z, new)
                            _sigmoid_slope(ds[:h], dn, gate[3 * h :], gate[:h])
                            _update_slope(ds[h : 2 * h], dh, before, new, z)
                            _times(ds[3 * h :], dn, gate[:h])
                            _times(dh, dh, z)
                        elif network == TANH:
                            _plain_tanh_slope(ds, dh, gate)
                        else:
                            _relu_slope(ds, dh, gate)
                        _plus(db, ds)
                    place = slopes.ctypes.data + size * filled * stride
                    _multiply(
                        zero, size, place, down.ctypes.data, across_h.ctypes.data, h_panels.ctypes.data, g,
                        dh_base + size * top * h, h, m, h, g, skip,
                    )  # fmt: skip
                    if dx_base and not late:
                        _multiply(
                            zero, size, place, down.ctypes.data, across_x.ctypes.data, x_panels.ctypes.data, g,
                            dx_base + size * (s * b + top) * i, i, m, i, g, 0,
                        )  # fmt: skip
                    x = x_base + size * (s * b + top) * i
                    state = b_base + size * (earlier * b + top) * h if n < t - 1 else h0_base + size * top * h
                    _pack(zero, size, x, i, met_x.ctypes.data + size * filled * width, depth, m, i)
                    _pack(zero, size, state, h, met_h.ctypes.data + size * filled * width, depth, m, h)
                    filled += m
                    if filled + m > depth or n == t - 1:
                        if late:
                            for r in range(filled + LONGEST_TILE):  # the steps from the earliest on
                                at = min(r, filled - 1)
                                order[r] = stride * (at if reverse else filled - m - at // m * m + at % m)
                            begin = (s - filled // m + 1 if reverse else s) * b + top
                            _multiply(
                                zero, size, slopes.ctypes.data, order.ctypes.data, across_x.ctypes.data,
                                x_panels.ctypes.data, g, dx_base + size * begin * i, i, filled, i, g, 0,
                            )  # fmt: skip
                        _multiply(
                            zero, size, slopes.ctypes.data, across_x.ctypes.data, down.ctypes.data, met_x.ctypes.data,
                            depth, dwi, i, g, i, filled, 1,
                        )  # fmt: skip
                        _multiply(
                            zero, size, slopes.ctypes.data, across_h.ctypes.data, down.ctypes.data, met_h.ctypes.data,
                            depth, dwh, h, g, h, filled, 1,
                        )  # fmt: skip
                        filled = 0
        # alive until here: only their addresses were used
        h_panels[0], x_panels[0], met_h[0], slopes[0, 0] = kind(0), kind(0), kind(0), kind(0)
        met_x[:1], across_x[0], across_h[0], down[0], order[0] = kind(0), 0, 0, 0, 0

    return work


# ---- one step ------------------------------------------------------------------------------------------------------
@compiled
def _step(zero):
    """a: x, b: a, both (B, G H); c: gates, of an LSTM with tanh(c') (B, 5 H), of a GRU (B, 4 H). numbers: the network,
    B, H, the addresses of the state (c, or a GRU's h), of h', and an LSTM's c'."""
    kind = type(zero)

    def work(a_base, b_base, c_base, numbers, part, parts):
        given = carray(pointer(numbers), (6,), np.int64)
        network, b, h = given[0], given[1], given[2]
        many, wide = (3, 4) if network == GRU else (4, 5)
        xs, others = carray(pointer(a_base), (b, many * h), kind), carray(pointer(b_base), (b, many * h), kind)
        gates, before = carray(pointer(c_base), (b, wide * h), kind), carray(pointer(given[3]), (b, h), kind)
        hs, cells = carray(pointer(given[4]), (b, h), kind), carray(pointer(given[5]), (b, h), kind)
        nothing = np.zeros(h, kind)
        for r in range(b * part // parts, b * (part + 1) // parts):
            gate, a, new = gates[r], others[r], gates[r, 2 * h : 3 * h]
            gate[: many * h] = xs[r]
            _sigmoid(gate[: 2 * h], a[: 2 * h])
            if network == LSTM:
                _tanh(new, a[2 * h : 3 * h])
                _sigmoid(gate[3 * h : many * h], a[3 * h :])
                _cell(cells[r], gate[:h], gate[h : 2 * h], new, before[r])
                _tanh_of(gate[4 * h :], cells[r])
                _times(hs[r], gate[3 * h : 4 * h], gate[4 * h :])
            else:
                gate[3 * h :] = a[2 * h :]
                _candidate(new, nothing, gate[:h], gate[3 * h :])
                _between(hs[r], new, gate[h : 2 * h], before[r])

    return work


@compiled
def _step_backward(zero):
    """a: dh' (B, H); b: the gates; c: ds (B, G H). numbers: the network, B, H, the addresses of the state before, of
    its gradient (for an LSTM at first that of c'), and of a GRU's slopes of a."""
    kind = type(zero)

    def work(a_base, b_base, c_base, numbers, part, parts):
        given = carray(pointer(numbers), (6,), np.int64)
        network, b, h = given[0], given[1], given[2]
        many, wide = (3, 4) if network == GRU else (4, 5)
        dhs, gates = carray(pointer(a_base), (b, h), kind), carray(pointer(b_base), (b, wide * h), kind)
        slopes, before = carray(pointer(c_base), (b, many * h), kind), carray(pointer(given[3]), (b, h), kind)
        dbefore, das = carray(pointer(given[4]), (b, h), kind), carray(pointer(given[5]), (b, 3 * h), kind)
        for r in range(b * part // parts, b * (part + 1) // parts):
            ds, dh, gate, d = slopes[r], dhs[r], gates[r], dbefore[r]
            new = gate[2 * h : 3 * h]
            if network == LSTM:
                o, tanh_c = gate[3 * h : 4 * h], gate[4 * h :]
                _cell_slope(d, dh, o, tanh_c)
                _sigmoid_slope(ds[:h], d, new, gate[:h])
                _sigmoid_slope(ds[h : 2 * h], d, before[r], gate[h : 2 * h])
                _tanh_slope(ds[2 * h : 3 * h], d, gate[:h], new)
                _sigmoid_slope(ds[3 * h :], dh, tanh_c, o)
                _times(d, d, gate[h : 2 * h])
            else:
                z, dn, da = gate[h : 2 * h], ds[2 * h :], das[r]
                _candidate_slope(dn, dh, z, new)
                _sigmoid_slope(ds[:h], dn, gate[3 * h :], gate[:h])
                _update_slope(ds[h : 2 * h], dh, before[r], new, z)
                da[: 2 * h] = ds[: 2 * h]
                _times(da[2 * h :], dn, gate[:h])
                _times(d, dh, z)

    return work


# ---- calls ---------------------------------------------------------------------------------------------------------
def _ready(*arrays):
    return (x if x.flags.carray else x.copy() for x in arrays)


def _shares(t, b, k, c):
    """(threads, rows a block) for T steps of B rows with products of k times c multiplications."""
    threads = 1 if t * b * k * c < PARALLEL_FROM else get_num_threads()
    return min(threads, b), min(ROWS, -(-b // (8 * threads)) * 8)


def _address(x):
    return 0 if x is None else x.ctypes.data


def _run_forward(network, x, h0, c0, weight_ih, weight_hh, bias, steps, many, reverse):
    """y (steps, B, H) and, but for a plain network, cells and gates. bias: (C,), many: C / H."""
    (t, b, i), h = x.shape, weight_hh.shape[1]
    c = many * h
    x, h0, weight_ih, weight_hh = _ready(x, h0, weight_ih, weight_hh)
    bias = np.zeros(c, x.dtype) if bias is None else np.ascontiguousarray(bias)
    y = np.empty((steps, b, h), x.dtype)
    gates = y if many == 1 else np.empty((t, b, c), x.dtype)
    cells = None if c0 is None else np.empty((t, b, h), x.dtype)
    threads, block = _shares(t, b, i + h, c)
    others, begun = (weight_ih, weight_hh, h0, c0, cells, gates), b <= FEW and i > 0
    if begun:  # the products with x, all steps at once: a step then reads half of the weights
        gates[:t, :, : len(weight_ih)] = linear(x, weight_ih)
        i = 0
    numbers = (network, t, b, i, h, c, reverse, block, *map(_address, others), begun)
    run(_forward(x.dtype), x, bias, y, numbers, alone=threads == 1)
    return y, cells, gates


def _run_backward(network, dy, x, h0, c0, weight_ih, weight_hh, y, cells, gates, dc, reverse, input_gradient):
    """dx, dh0, dweight_ih, dweight_hh and the sums of all slopes (C,); dc becomes dc0."""
    (t, b, i), (g, h), c = x.shape, weight_hh.shape, gates.shape[2]
    dy, x, h0, weight_ih, weight_hh, y, gates = _ready(dy, x, h0, weight_ih, weight_hh, y, gates)
    dx, dh = np.empty(x.shape if input_gradient else (0, b, i), x.dtype), np.zeros_like(h0)
    groups, block = _shares(t, b, i + h, c)
    sums = np.zeros((groups, g * (i + h) + c), x.dtype)
    others = (x, weight_ih, weight_hh, h0, c0, cells, gates, dx if input_gradient and i else None, dh, dc)
    numbers = (network, t, b, i, h, c, reverse, block, groups, *map(_address, others))
    run(_backward(x.dtype), dy, y, sums, numbers, alone=groups == 1)
    total = sums[0] if groups == 1 else sums.sum(axis=0)
    dwi, dwh, db = np.split(total, (g * i, g * (i + h)))
    return dx, dh, dwi.reshape(g, i).copy(), dwh.reshape(g, h).copy(), db.copy()


def _sum(bias_ih, bias_hh):
    return bias_hh if bias_ih is None else bias_ih if bias_hh is None else bias_ih + bias_hh


def lstm_sequence(x, h0, c0, weight_ih, weight_hh, bias_ih=None, bias_hh=None, *, reverse=False, input_gradient=True):
    """The h_t and the last c (T + 1, B, H), the cells (T, B, H) and the gates (T, B, 4 H)."""
    bias, (c0,) = _sum(bias_ih, bias_hh), _ready(c0)
    y, cells, gates = _run_forward(LSTM, x, h0, c0, weight_ih, weight_hh, bias, len(x) + 1, 4, reverse)
    y[-1] = cells[0 if reverse else -1]
    return y, cells, gates


def lstm_sequence_backward(
    dy, x, h0, c0, weight_ih, weight_hh, out, cells, gates, *, reverse=False, input_gradient=True
):
    """The gradients of lstm_sequence for x, h0, c0, weight_ih, weight_hh and either bias."""
    (c0, cells), dc = _ready(c0, cells), dy[-1].copy()
    dx, dh, *others = _run_backward(
        LSTM, dy, x, h0, c0, weight_ih, weight_hh, out, cells, gates, dc, reverse, input_gradient
    )
    return dx, dh, dc, *others


def gru_sequence(x, h0, weight_ih, weight_hh, bias_ih=None, bias_hh=None, *, reverse=False, input_gradient=True):
    """The h_t (T, B, H) and the gates (T, B, 4 H)."""
    h = weight_hh.shape[1]
    bias = np.zeros(4 * h, x.dtype)  # of n, and behind it of q
    for at, given in ((slice(3 * h), bias_ih), (np.r_[: 2 * h, 3 * h : 4 * h], bias_hh)):
        if given is not None:
            bias[at] += given
    y, _, gates = _run_forward(GRU, x, h0, None, weight_ih, weight_hh, bias, len(x), 4, reverse)
    return y, gates


def gru_sequence_backward(dy, x, h0, weight_ih, weight_hh, out, gates, *, reverse=False, input_gradient=True):
    """The gradients of gru_sequence for x, h0, weight_ih, weight_hh, bias_ih and bias_hh."""
    *others, db = _run_backward(
        GRU, dy, x, h0, None, weight_ih, weight_hh, out, None, gates, None, reverse, input_gradient
    )
    h = h0.shape[1]
    return *others, db[: 3 * h].copy(), np.concatenate((db[: 2 * h], db[3 * h :]))


def rnn_sequence(
    x, h0, weight_ih, weight_hh, bias_ih=None, bias_hh=None, *, relu=False, reverse=False, input_gradient=True
):
    """The h_t (T, B, H)."""
    bias = _sum(bias_ih, bias_hh)
    return _run_forward(
        RELU if relu else TANH, x, h0, None, weight_ih, weight_hh, bias, len(x), 1, reverse
    )[0]  # fmt: skip


def rnn_sequence_backward(dy, x, h0, weight_ih, weight_hh, out, *, relu=False, reverse=False, input_gradient=True):
    """The gradients of rnn_sequence for x, h0, weight_ih, weight_hh and either bias."""
    network = RELU if relu else TANH
    return _run_backward(
        network, dy, x, h0, None, weight_ih, weight_hh, out, None, out, None, reverse, input_gradient
    )  # fmt: skip


def _run_step(worker, network, a, b, c, b_size, h, *others):
    numbers = (network, b_size, h, *map(_address, others))
    run(worker(a.dtype), a, b, c, numbers, alone=c.size < STEP_PARALLEL_FROM, parts=2 * get_num_threads())


def lstm_gates(x, a, c):
    """h', c', and the gates with tanh(c') (B, 5 H)."""
    x, a, c = _ready(x, a, c)
    h, cell, gates = np.empty_like(c), np.empty_like(c), np.empty((len(c), 5 * c.shape[1]), c.dtype)
    _run_step(_step, LSTM, x, a, gates, *c.shape, c, h, cell)
    return h, cell, gates


def lstm_gates_backward(dh, dcell, c, gates):
    """The gradients of lstm_gates for x (or a) and c."""
    dh, c, gates = _ready(dh, c, gates)
    ds, dc = np.empty((len(c), 4 * c.shape[1]), c.dtype), dcell.copy()
    _run_step(_step_backward, LSTM, dh, gates, ds, *c.shape, c, dc, None)
    return ds, dc


def gru_gates(x, a, h):
    """h' and the gates (B, 4 H)."""
    x, a, h = _ready(x, a, h)
    new, gates = np.empty_like(h), np.empty((len(h), 4 * h.shape[1]), h.dtype)
    _run_step(_step, GRU, x, a, gates, *h.shape, h, new, None)
    return new, gates


def gru_gates_backward(dh, h, gates):
    """The gradients of gru_gates for x, a and h."""
    dh, h, gates = _ready(dh, h, gates)
    dx, da = (np.empty((len(h), 3 * h.shape[1]), h.dtype) for _ in range(2))
    dbefore = np.empty_like(h)
    _run_step(_step_backward, GRU, dh, gates, dx, *h.shape, h, dbefore, da)
    return dx, da, dbefore
