"""Attention and its gradients on tensor cores: see attention_mma.cu.

Tiles. A block has 4 warps. Forward, each has 32 queries (FORWARD_M = 2 tiles of 16), and 64 keys go past at a time.
What bounds such a kernel beside the tensor cores is shared memory: of a product of (16, 16) and (16, 8), 2048
multiply-adds, the right operand is 256 bytes; a multiprocessor of an H100 delivers 128 bytes a clock and could at most
do one such product in it. So each right operand serves both tiles of a warp: 128 bytes a product. The left one, of 512
bytes, serves all 8 tiles of keys. In halves a block holds queries and two tiles of keys and values in 55 KB of shared
memory for heads of 64, 104 KB for 128: two blocks of 128 threads with up to 255 registers fill a multiprocessor (65536
registers, 227 KB). From device memory all keys and values come once per 128 queries: 128 multiply-adds an element,
against about 300 that an H100 can do while two bytes arrive (495e12 and 3.35e12 / 2 a second), so that the blocks of a
head must find most of them in the L2 cache, where those of a whole head, 1 MB for 4096 keys of 128, have room.

The gradients hold two such sets of scores, and for the keys two sums; there the tiles are smaller, so that the sums
stay in registers. The scores are made twice, once for dq and once for dk and dv: 7 products of that size instead of the
5 of one kernel that adds to dq atomically, in an order, and with bits, that change from call to call.

`ptxas -v` (CUDA 13.0, sm_90) for bfloat16, heads of 64 and of 128: 178 and 255 registers forward, 255 for dq, 241 and
254 for dk and dv; 4 bytes are spilled, forward with heads of 128. Dropout spills 4 to 268 bytes, a mask up to 248. In
the machine code the loop forward over 64 keys of 128 is 1480 instructions around 256 HMMA, those included that only
tiles need which are not seen whole. No figure here is a speed: none was measured when this was written.

The smaller candidates of `cut` serve GPUs with less shared memory and floats in TF32.
"""

import functools

from .launch import WARP, ceil_div, device
from .tensor_cores import line, roomy, serve
from .tensor_cores import source as mma_source

source = mma_source("attention_mma")
WARPS = 4
SMALL = ((1, 32), (1, 16))  # (tiles of 16 rows of a warp, columns)


@functools.cache
def cut(D, E, item, room):
    """{kernel: (M, columns of a tile, bytes of shared memory)} for numbers of `item` bytes; None without room."""
    d, e = line(D, item), line(E, item)
    rows, wide = lambda m: WARPS * 16 * m, max(D, E) > 64
    size = {
        "FORWARD": lambda m, n: (rows(m) * d + 2 * n * (d + e)) * item,
        "QUERIES": lambda m, n: (rows(m) + 2 * n) * (d + e) * item,
        "KEYS": lambda m, n: (rows(m) + 2 * n) * (d + e) * item + 16 * n,
    }
    candidates = {
        "FORWARD": ((2, 64), (2, 32), *SMALL),
        "QUERIES": ((2, 32) if wide else (2, 64), *SMALL),
        "KEYS": ((1, 64) if wide else (2, 32), *SMALL),
    }
    found = {kernel: roomy(candidates[kernel], size[kernel], room) for kernel in size}
    return {k: (*chosen, size[k](*chosen)) for k, chosen in found.items()} if all(found.values()) else None


def _cut(c):
    return cut(c.D, c.E, c.dtype.itemsize, device().most_shared())


def _launch(c, kernel, name, length, heads, arrays):
    made = _cut(c)
    defines = {k: v for k, v in c.defines.items() if k != "TILE"} | {"WARPS": WARPS}
    for k, (m, columns, _) in made.items():
        defines |= {f"{k}_M": m, f"{k}_{'QUERIES' if k == 'KEYS' else 'KEYS'}": columns}
    m, _, shared = made[kernel]
    grid = (ceil_div(length, WARPS * 16 * m), heads)
    source(name, c.dtype, **defines)(grid, (WARPS * WARP,), (*arrays, *c.common), shared=shared)


def serves(c):
    """Does a call go here: by its type, and because a block of the current device has room for its smallest tiles?"""
    return serve(c.dtype) and _cut(c) is not None


def attention(c):
    """(y, log_total), the latter in float32: a rounding of it to a half would be a factor of all weights of a query."""
    on, shape = device(), (*c.q.shape[:-1], c.E)
    y, log_total = on.empty(shape, c.dtype), on.empty((*shape[:-1], 1), "float32")
    _launch(c, "FORWARD", "attention_mma", c.T, c.N, (*map(on.packed, (c.q, c.k, c.v)), y, log_total))
    return y, log_total


def attention_backward(c, dy, out, log_total):
    """(dq, dk, dv)."""
    on = device()
    q, k, v, dy, out = (on.packed(a) for a in (c.q, c.k, c.v, dy, out))
    log_total = on.contiguous(log_total.astype("float32", copy=False))
    delta = on.empty(q.shape[:-1], "float32")
    dq, dk, dv = (on.empty(a.shape, a.dtype) for a in (q, k, v))
    _launch(c, "QUERIES", "attention_mma_queries", c.T, c.N, (dy, q, k, v, out, log_total, delta, dq))
    _launch(c, "KEYS", "attention_mma_keys", c.S, c.N // c.repeat, (dy, q, k, v, log_total, delta, dk, dv))
    return dq, dk, dv
