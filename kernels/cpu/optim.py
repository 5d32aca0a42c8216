"""Optimizer steps over all parameters in one call: each number is read once and written once.

The formulas are those of `update` in minigrad/optim, in PyTorch's order of operations: here those whose step comes in
several variants, in updates.py those that are one line or two. A step gets its arrays as one tuple of rows (parameter,
gradient, state, ...); rows that no kernel serves are left as they were.
"""

import math

import numpy as np
from numba import carray
from numba.extending import register_jitable

from .optim_table import _ADDRESSES, _BYTES, _SIZE, PARALLEL_FROM, _share, _table, run_rows
from .threads import compiled, pointer, run
from .tiles import item_size
from .updates import adadelta as adadelta
from .updates import adagrad as adagrad
from .updates import adamax as adamax
from .updates import asgd as asgd
from .updates import decayed as _decayed
from .updates import lion as lion
from .updates import nadam as nadam
from .updates import radam as radam
from .updates import rprop as rprop

BLOCK = 8_192  # elements that are squared and summed by themselves, whatever the number of threads

# ---- the formulas ----------------------------------------------------------------------------------------------------
_formula = register_jitable(error_model="numpy", fastmath={"contract"})


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
    return run_rows(worker, table, width, np.array(options, np.float64))


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
