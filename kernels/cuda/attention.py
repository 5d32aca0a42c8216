"""Attention and its gradients, tile by tile: see attention.cu; on tensor cores: attention_mma.py."""

import math

from . import attention_mma
from .launch import TYPES, WARP, Source, ceil_div, device, item_bytes

source = Source("attention")
THREADS = 256


class _Call:
    """What all kernels of one call share."""

    def __init__(self, q, k, v, mask, seed, causal, scale, dropout):
        on = device()
        self.q, self.k, self.v = (on.contiguous(a) for a in (q, k, v))
        *lead, self.T, D = q.shape
        self.S, E = v.shape[-2:]
        self.N, self.dtype, self.item = math.prod(lead), q.dtype, item_bytes(q.dtype)
        self.repeat = self.N // math.prod(k.shape[:-2]) if self.N else 1
        heads = lead[-1] if lead else 1
        self.D, self.E = D, E
        self.tile = 32 if self.item == 8 else 64
        while self.tile > 16 and self.held(D, E, D, E) * self.item > on.most_shared():
            self.tile //= 2
        steps, kind, masked = (0, 0, 0, 0), "bool", 0
        if mask is not None:
            kind, masked = ("bool", 1) if mask.dtype.kind == "b" else (TYPES[str(mask.dtype)][0], 2)
            full = on.xp.broadcast_to(mask, (*lead, self.T, self.S))
            size = mask.dtype.itemsize
            steps = tuple(s // size for s in full.strides)
            steps = (0,) * (4 - len(steps)) + steps
        self.defines = {
            "D": D, "E": E, "TILE": self.tile, "MASKED": masked, "DROPS": int(dropout > 0), "MaskType": kind
        }  # fmt: skip
        seed = None if not dropout else on.contiguous(seed.astype("int64", copy=False))
        kept = 1 / (1 - dropout) if dropout < 1 else 0.0
        scale = D**-0.5 if scale is None else scale
        self.common = (
            mask, seed, self.T, self.S, self.repeat, heads, *steps, int(bool(causal)), round(dropout * 2**32),
            float(scale), float(kept),
        )  # fmt: skip

    def launch(self, name, tiles, heads, arrays, numbers_held):
        run = source(name, self.dtype, **self.defines)
        run((tiles, heads), (THREADS,), (*arrays, *self.common), shared=numbers_held * self.item)

    def held(self, *widths):
        """Numbers in shared memory: tiles of these widths, and one of the weights."""
        return self.tile * (sum(w + 1 for w in widths) + self.tile + 1)


def attention(q, k, v, mask=None, seed=None, *, causal=False, scale=None, dropout=0.0):
    c = _Call(q, k, v, mask, seed, causal, scale, dropout)
    if attention_mma.serves(c):
        return attention_mma.attention(c)
    y = device().empty((*q.shape[:-1], c.E), q.dtype)
    log_total = device().empty((*q.shape[:-1], 1), q.dtype)
    held = c.held(c.D, max(c.D, c.E))
    c.launch("attention", ceil_div(c.T, c.tile), c.N, (c.q, c.k, c.v, y, log_total), held)
    return y, log_total


def attention_backward(
    dy, q, k, v, out, log_total, mask=None, seed=None, *, causal=False, scale=None, dropout=0.0
):  # fmt: skip
    on = device()
    c = _Call(q, k, v, mask, seed, causal, scale, dropout)
    if attention_mma.serves(c):
        return attention_mma.attention_backward(c, dy, out, log_total)
    dy, out, log_total = (on.contiguous(a) for a in (dy, out, log_total.astype(c.dtype, copy=False)))
    delta = on.empty(q.shape[:-1], "float64" if c.item == 8 else "float32")
    rows = delta.size
    run = source("attention_delta", c.dtype, **c.defines)
    run((ceil_div(rows, 8),), (WARP, 8), (dy, out, delta, rows, c.E))
    dq, dk, dv = (on.empty(a.shape, a.dtype) for a in (q, k, v))
    held, given = c.held(c.D, c.E, c.D, c.E), (dy, c.q, c.k, c.v, log_total, delta)
    c.launch("attention_queries", ceil_div(c.T, c.tile), c.N, (*given, dq), held)
    c.launch("attention_keys", ceil_div(c.S, c.tile), c.N // c.repeat, (*given, dk, dv), held)
    return dq, dk, dv
