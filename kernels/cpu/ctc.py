"""Connectionist temporal classification: the sums over all paths, forwards in time and backwards, one sample at a time.

The states of a step are one vector loop over buffers of whole vectors; what lies behind the last state is never
reached, so that nothing of it comes back.
"""

import numpy as np
from numba import carray
from numba.extending import register_jitable

from . import vectormath
from .threads import compiled, pointer, run
from .tiles import lanes

NEVER = -1e30  # ln 0, as in minigrad/ops/ctc.py
PARALLEL_FROM = 4_096  # states of all steps

_loop = register_jitable(error_model="numpy", fastmath={"contract"})


@_loop
def _sums(low, middle, high, skip, out):
    """out = ln(e**high + e**middle + e**(low + skip))."""
    for s in range(out.size):
        a, b, c = high[s], middle[s], low[s] + skip[s]
        top = vectormath.maximum(vectormath.maximum(a, b), c)
        total = vectormath.exp(a - top) + vectormath.exp(b - top) + vectormath.exp(c - top)
        out[s] = top + vectormath.log(total)


@_loop
def _shares(alpha, behind, emitted, loss, scale, out):
    """out = scale * e**(alpha + behind + loss), and behind += emitted."""
    for s in range(out.size):
        out[s] = scale * vectormath.exp(alpha[s] + behind[s] + loss)
        behind[s] += emitted[s]


@register_jitable(error_model="numpy")
def _emitted(row, states, out):
    """out[s] = the log-probability of the class of state s, at least NEVER."""
    for s in range(states.size):
        out[s] = vectormath.maximum(row[states[s]], row.dtype.type(NEVER))


@compiled
def _losses(zero):
    """a: logp (T, B, C), b: alphas (T, B, S), c: losses (B,). numbers: T, B, C, S, the addresses of states (B, S),
    skips (B, S), steps and ends (B,), all int64."""
    kind = type(zero)

    def work(a_base, b_base, c_base, numbers, part, parts):
        n = carray(pointer(numbers), (8,), np.int64)
        times, batch, classes, count = n[0], n[1], n[2], n[3]
        logp = carray(pointer(a_base), (times, batch, classes), kind)
        alphas, losses = carray(pointer(b_base), (times, batch, count), kind), carray(pointer(c_base), (batch,), kind)
        states = carray(pointer(n[4]), (batch, count), np.int64)
        skips = carray(pointer(n[5]), (batch, count), np.int64)
        steps, ends = carray(pointer(n[6]), (batch,), np.int64), carray(pointer(n[7]), (batch,), np.int64)
        never, whole = kind(NEVER), (count + lanes(zero) - 1) // lanes(zero) * lanes(zero)
        skip, emitted, after = np.full(whole, never), np.full(whole, never), np.empty(whole, kind)
        before = np.empty(whole + 2, kind)
        for b in range(batch * part // parts, batch * (part + 1) // parts):
            before[:] = never
            before[1] = zero  # a path begins one state before the first
            for s in range(count):
                skip[s] = zero if skips[b, s] else never
            loss = zero
            for t in range(times):
                _emitted(logp[t, b], states[b], emitted)
                _sums(before[:whole], before[1 : whole + 1], before[2:], skip, after)
                for s in range(count):
                    after[s] += emitted[s]
                    alphas[t, b, s] = after[s]
                    before[s + 2] = after[s]
                before[1] = never
                if t == steps[b] - 1:
                    x, y = after[ends[b]], after[max(ends[b] - 1, 0)] if ends[b] else never
                    top = vectormath.maximum(x, y)
                    loss = -(top + vectormath.log(vectormath.exp(x - top) + vectormath.exp(y - top)))
            losses[b] = loss

    return work


@compiled
def _slopes(zero):
    """a: logp (T, B, C), b: alphas (T, B, S), dy and losses (2, B) behind one another, c: dlogp (T, B, C). numbers:
    as for _losses."""
    kind = type(zero)

    def work(a_base, b_base, c_base, numbers, part, parts):
        n = carray(pointer(numbers), (8,), np.int64)
        times, batch, classes, count = n[0], n[1], n[2], n[3]
        logp, dlogp = (
            carray(pointer(a_base), (times, batch, classes), kind),
            carray(pointer(c_base), (times, batch, classes), kind),
        )
        saved = carray(pointer(b_base), ((times * count + 2) * batch,), kind)
        alphas = saved[: times * batch * count].reshape(times, batch, count)
        outer = saved[times * batch * count :].reshape(2, batch)
        states = carray(pointer(n[4]), (batch, count), np.int64)
        skips = carray(pointer(n[5]), (batch, count), np.int64)
        steps, ends = carray(pointer(n[6]), (batch,), np.int64), carray(pointer(n[7]), (batch,), np.int64)
        never, whole = kind(NEVER), (count + lanes(zero) - 1) // lanes(zero) * lanes(zero)
        skip, emitted, alpha = np.full(whole, never), np.full(whole, never), np.full(whole, never)
        behind, share, after = np.empty(whole, kind), np.empty(whole, kind), np.empty(whole + 2, kind)
        for b in range(batch * part // parts, batch * (part + 1) // parts):
            after[:] = never  # the paths from the next step on
            skip[:] = never
            for s in range(count - 2):  # of the state that is skipped to
                skip[s] = zero if skips[b, s + 2] else never
            for t in range(times - 1, -1, -1):
                dlogp[t, b, :] = zero
                if t >= steps[b]:  # no path is left: 0, or NaN where dy is not finite
                    for s in range(count):
                        dlogp[t, b, states[b, s]] = zero * outer[0, b]
                    continue
                if t == steps[b] - 1:
                    behind[:] = never
                    behind[ends[b]] = behind[max(ends[b] - 1, 0)] = zero
                else:
                    _sums(after[2:], after[1 : whole + 1], after[:whole], skip, behind)
                _emitted(logp[t, b], states[b], emitted)
                alpha[:count] = alphas[t, b]
                _shares(alpha, behind, emitted, outer[1, b], -outer[0, b], share)
                after[:count] = behind[:count]
                for s in range(count):
                    dlogp[t, b, states[b, s]] += share[s]

    return work


def _run(worker, logp, saved, out, states, skips, steps, ends):
    tables = [np.ascontiguousarray(a, np.int64) for a in (states, skips, steps, ends)]
    batch, count = states.shape
    numbers = (*logp.shape, count, *(a.ctypes.data for a in tables))
    alone = len(logp) * states.size < PARALLEL_FROM
    run(worker(logp.dtype), logp, saved, out, numbers, alone=alone, parts=min(batch, 16))
    del tables  # alive until here: only their addresses were used


def ctc_loss(logp, states, skips, steps, ends):
    """The losses (B,), and the sums over the paths up to each step and state, alphas (T, B, S). logp: (T, B, C)."""
    logp = logp if logp.flags.carray else logp.copy()
    alphas, losses = np.empty((len(logp), *states.shape), logp.dtype), np.empty(logp.shape[1], logp.dtype)
    _run(_losses, logp, alphas, losses, states, skips, steps, ends)
    return losses, alphas


def ctc_loss_backward(dy, logp, states, skips, steps, ends, loss, alphas):
    """The gradient of ctc_loss for logp (T, B, C). dy, loss: (B,)."""
    logp = logp if logp.flags.carray else logp.copy()
    dlogp, saved = np.empty(logp.shape, logp.dtype), np.concatenate([alphas.reshape(-1), dy, loss])
    _run(_slopes, logp, saved, dlogp, states, skips, steps, ends)
    return dlogp
