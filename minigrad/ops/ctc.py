"""Connectionist temporal classification: the loss of a sequence of labels whose places in time are unknown.

Letters: T steps, B batch, C classes, S states of the longest label sequence: its labels with a blank before, between
and behind them, S = 2 L + 1. A path visits one state a step and moves by 0, 1, or, over a blank between two different
labels, 2 states. Graves et al. 2006, ICML, equations 6 to 8; everything here is a logarithm.
"""

from ..errors import ShapeError
from ..primitive import Spec, case, fused, ints, result_dtype

NEVER = -1e30  # ln 0: finite, so that no difference of two of them is NaN
CASES = (
    ((4, 2, 3), ints((2, 3), 3), ints((2, 3), 2), ints((2,), 5, low=2), ints((2,), 3)),
    ((3, 2, 4), ints((2, 1), 4), ints((2, 1), 2), ints((2,), 4, low=1), ints((2,), 1)),
)


def _ctc_shape(op, logp, states, skips, steps, ends):
    b = logp.shape[1] if len(logp.shape) == 3 else None
    if len(states.shape) != 2 or tuple(states.shape) != tuple(skips.shape) or not states.shape[-1]:
        raise ShapeError(f"{op}: states and skips must be (B, S): got {tuple(states.shape)}, {tuple(skips.shape)}.")
    if b is None or not logp.shape[0] or states.shape[0] != b or tuple(steps.shape) != (b,) != tuple(ends.shape):
        raise ShapeError(
            f"{op}: needs logp (T, B, C), T > 0, states (B, S), steps and ends (B,): got {tuple(logp.shape)}, "
            f"{tuple(states.shape)}, {tuple(steps.shape)}, {tuple(ends.shape)}. See nn.functional.ctc_loss."
        )
    return Spec((b,), result_dtype("float", logp))


def _emitted(F, logp, states):
    """(T, B, C) -> (T, B, S): the log-probability of each state's class."""
    places = F.broadcast_to(F.expand_dims(states, axis=0), shape=(logp.shape[0], *states.shape))
    picked = F.take_along_axis(logp, places, axis=-1)
    return F.maximum(picked, NEVER)


def _finals(F, ends, low, s):
    """(B, S): True at the last blank and the last label, where a path may end. ends: (B,), the last blank's place."""
    ends, one = F.expand_dims(ends, axis=-1), F.zeros_like(low) + 1  # (B, 1)
    last = F.add_along_axis(one, ends, axis=-1, size=s)
    return F.greater(last + F.add_along_axis(one, F.maximum(ends - 1, 0), axis=-1, size=s), 0)


def _log_sum(F, a, b, c):
    """ln(e**a + e**b + e**c), elementwise."""
    top = F.maximum(F.maximum(a, b), c)
    return top + F.log(F.exp(a - top) + F.exp(b - top) + F.exp(c - top))


@fused(shape=_ctc_shape, saves=("alphas",), kind="float", public=False, samples=[case(*args) for args in CASES])
def ctc_loss(F, logp, states, skips, steps, ends):
    """y = -ln of the sum over all paths of the product of their probabilities; above 1e29 if there is no path.

    logp: (T, B, C); states: (B, S), each state's class; skips: (B, S), not 0 where a state may follow the one before
    the last; steps: (B,), how many of the T count, from 1; ends: (B,), the last state. y: (B,).
    alphas (T, B, S): the paths up to step t that are in state s, a_t(s) = logp_t(s) + ln sum of e**a_(t-1) at s, s - 1
    and, with a skip, s - 2. A path begins one state before the first."""
    emitted = _emitted(F, logp, states)  # (T, B, S)
    never = F.zeros_like(emitted[0]) + NEVER
    low = never[:, :1]  # (B, 1)
    skip = F.where(F.not_equal(skips, 0), F.zeros_like(never), never)
    before, alphas = F.concat(low, F.zeros_like(low), never, axis=-1), []  # (B, S + 2)
    for t in range(logp.shape[0]):
        alphas.append(_log_sum(F, before[:, 2:], before[:, 1:-1], before[:, :-2] + skip) + emitted[t])
        before = F.concat(low, low, alphas[-1], axis=-1)
    alphas = F.stack(*alphas, axis=0)  # (T, B, S)
    at = F.broadcast_to(F.reshape(steps - 1, shape=(1, -1, 1)), shape=(1, *states.shape))
    last = F.squeeze(F.take_along_axis(alphas, at, axis=0), axis=0)  # (B, S)
    last = F.where(_finals(F, ends, low, states.shape[1]), last, NEVER)
    top = F.max(last, axis=-1, keepdims=True)
    return -F.squeeze(top + F.log(F.sum(F.exp(last - top), axis=-1, keepdims=True)), axis=-1), alphas


@ctc_loss.rule("logp")
def _(F, g, logp, states, skips, steps, ends, y, alphas):
    return F.ctc_loss_backward(g, logp, states, skips, steps, ends, y, alphas)


@fused(
    shape=lambda op, dy, logp, *others: Spec(tuple(logp.shape), result_dtype("float", dy, logp)),
    public=False,
    kind="float",
    samples=[case((2,), *args, (2,), (args[0][0], *args[1].shape)) for args in CASES],
)
def ctc_loss_backward(F, dy, logp, states, skips, steps, ends, loss, alphas):
    """dlogp = -dy times the share of the paths that emit class c at step t.

    With b_t(s), the paths from step t on that begin in state s (the recursion of ctc_loss, backwards), the share of
    state s is e**(a_t(s) + b_t(s) - logp_t(s) + loss). dy, loss: (B,); alphas: (T, B, S)."""
    emitted = _emitted(F, logp, states)  # (T, B, S)
    never = F.zeros_like(emitted[0]) + NEVER
    low, s = never[:, :1], states.shape[1]
    skip = F.where(F.not_equal(skips, 0), F.zeros_like(never), never)
    last = F.where(_finals(F, ends, low, s), F.zeros_like(never), never)  # the paths behind the last step
    steps = F.expand_dims(steps, axis=-1)  # (B, 1)
    beta, behind = never, []
    for t in reversed(range(logp.shape[0])):
        here, over = F.concat(beta, low, axis=-1), F.concat(beta + skip, low, low, axis=-1)
        behind.append(F.where(F.equal(steps, t + 1), last, _log_sum(F, beta, here[:, 1:], over[:, 2:])))
        beta = behind[-1] + emitted[t]
    share = F.exp(alphas + F.stack(*behind[::-1], axis=0) + F.reshape(loss, shape=(1, -1, 1)))  # (T, B, S)
    places = F.broadcast_to(F.expand_dims(states, axis=0), shape=share.shape)
    return F.add_along_axis(share * F.reshape(-dy, shape=(1, -1, 1)), places, axis=-1, size=logp.shape[-1])
