"""Attention and its gradients by cuDNN, for halves: see cudnn.py. Dao et al. 2022, arXiv:2205.14135, is the method."""

import numpy as np

from . import attention as own
from . import reduce
from .cudnn import Drawing, plan
from .elementwise import elementwise
from .launch import device


def _lined_up(x):
    """x (..., T, D) as four axes, where it lies if cuDNN can read it there: rows of neighbours, all at multiples of 16
    bytes; else a copy."""
    on, item = device(), x.dtype.itemsize
    *steps, last = x.strides
    if last != item or any(n > 1 and (s <= 0 or s % 16) for n, s in zip(x.shape, steps)) or on.address(x) % 16:
        x = on.packed(x)
    return x[(None,) * (4 - x.ndim)]


def _layout(x):
    """(shape, strides in elements) as a graph wants them: of an axis of length 1 that of the next one's end."""
    steps = [1]
    for n, s, below in zip(x.shape[-2::-1], x.strides[-2::-1], x.shape[:0:-1]):
        steps.insert(0, s // x.dtype.itemsize if n > 1 else below * steps[0])
    return tuple(x.shape), tuple(steps)


def _as_drawn(d, q, k, v, causal, scale):
    arrays = {name: d.given(*a) for name, a in (("q", q), ("k", k), ("v", v))}
    return arrays | {"attn_scale": scale, "use_causal_mask": causal}


def _draw_attention(q, k, v, mask, dtype, causal, scale):
    d = Drawing(dtype)
    options = _as_drawn(d, q, k, v, causal, scale)
    if mask:
        options["bias"] = d.given(mask)
    y, stats = d.graph.sdpa(name="attention", generate_stats=True, **options)
    lead = q[0][:3]
    d.made(y, (*lead, v[0][3]))
    d.made(stats, (*lead, 1), "float32")
    return d.planned()


def _scale(q, scale):
    return float(q.shape[-1] ** -0.5 if scale is None else scale)


def _mask_of(mask):
    """(the mask as four axes, its shape)."""
    if mask is None:
        return None, ()
    mask = device().packed(mask)[(None,) * (4 - mask.ndim)]
    return mask, tuple(mask.shape)


def _unseen(mask):
    """Rows (..., T, 1) whose mask shows no key: what cuDNN's softmax makes of -inf alone is not written down."""
    return reduce.max(mask, axis=-1, keepdims=True).astype("float32", copy=False) == -np.inf


def attention(q, k, v, mask=None, seed=None, *, causal=False, scale=None, dropout=0.0):
    """log_total is float32 here, also of halves."""
    on, (bias, mask_shape) = device(), _mask_of(mask)
    q4, k4, v4 = map(_lined_up, (q, k, v))
    key = (*map(_layout, (q4, k4, v4)), mask_shape, q.dtype, bool(causal), _scale(q, scale))
    run = plan(_draw_attention, *key)
    if run is None:
        return own.attention(q, k, v, mask, seed, causal=causal, scale=scale, dropout=dropout)
    y, log_total = on.empty((*q.shape[:-1], v.shape[-1]), q.dtype), on.empty((*q.shape[:-1], 1), "float32")
    run(q4, k4, v4, *([] if bias is None else [bias]), y, log_total)
    if mask is not None:
        unseen, where = _unseen(mask), elementwise("where")
        y, log_total = where(unseen, 0.0, y), where(unseen, 0.0, log_total)
    return y, log_total


def _draw_attention_backward(dy, q, k, v, out, mask, dtype, causal, scale):
    d = Drawing(dtype)
    options = _as_drawn(d, q, k, v, causal, scale)
    o, g, stats = d.given(*out), d.given(*dy), d.given((*q[0][:3], 1), dtype="float32")
    if mask:
        options["bias"] = d.given(mask)
    gradients = d.graph.sdpa_backward(
        name="attention_backward", o=o, dO=g, stats=stats, use_deterministic_algorithm=True, **options
    )
    for gradient, (shape, _) in zip(gradients, (q, k, v)):
        d.made(gradient, shape)
    return d.planned()


def attention_backward(
    dy, q, k, v, out, log_total, mask=None, seed=None, *, causal=False, scale=None, dropout=0.0
):  # fmt: skip
    on, (bias, mask_shape) = device(), _mask_of(mask)
    dy4, q4, k4, v4, out4 = map(_lined_up, (dy, q, k, v, out))
    key = (*map(_layout, (dy4, q4, k4, v4, out4)), mask_shape, q.dtype, bool(causal), _scale(q, scale))
    run = plan(_draw_attention_backward, *key)
    if run is None:
        options = {"causal": causal, "scale": scale, "dropout": dropout}
        return own.attention_backward(dy, q, k, v, out, log_total, mask, seed, **options)
    gradients = [on.empty(a.shape, a.dtype) for a in (q, k, v)]
    biases = [] if bias is None else [bias]
    run(q4, k4, v4, out4, dy4, on.packed(log_total), *biases, *gradients)
    return tuple(gradients)
