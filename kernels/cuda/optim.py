"""Optimizer steps and clipping over all parameters in one launch: see optim.cu.

A step gets its arrays as one tuple of rows (parameter, gradient, state, ...) and says of each row whether it was
served: all of one type, float32 or float64, contiguous. The table of addresses lies on the device and is made again
only when an address changes, so that a step with the same arrays copies nothing.
"""

import numpy as np

from .launch import BLOCK, WARP, Source, device, flat, item_bytes, table

source = Source("optim")
CHUNK = 4096  # elements of a block, as in optim.cu
_SERVED = ("float32", "float64")


def _chunks(sizes):
    """(row, first element) of each block, for rows of these sizes."""
    return np.array([(i, first) for i, size in enumerate(sizes) for first in range(0, size, CHUNK)], np.int64)


def _array(*rows):
    return np.array(rows, np.int64)


def _tables(rows):
    """Rows (size, wide, addresses ...) and chunks as arrays of the device, and how many chunks."""
    chunks = table(_chunks, tuple(row[0] for row in rows))
    return table(_array, *rows), chunks, len(chunks)


def _served(row, counted, on):
    first = row[0]
    state = row[:-1] if counted else row
    return (
        all(isinstance(a, on.xp.ndarray) for a in row)
        and str(first.dtype) in _SERVED
        and first.size > 0
        and all(a.dtype == first.dtype and a.shape == first.shape and a.flags.c_contiguous for a in state)
        and (not counted or (row[-1].size == 1 and str(row[-1].dtype) == "float32"))
    )


def _rows(arrays, width, counted):
    """({type: rows of its table}, which rows are in them)."""
    on, found, served = device(), {}, []
    for i in range(0, len(arrays), width):
        row = arrays[i : i + width]
        served.append(_served(row, counted, on))
        if served[-1]:
            addresses = [on.address(a) for a in row]
            wide = all(a % 16 == 0 for a in (addresses[:-1] if counted else addresses))
            found.setdefault(str(row[0].dtype), []).append((row[0].size, int(wide), *addresses))
    return found, served


def _step(name, arrays, width, whole, options, *, counted):
    found, served = _rows(arrays, width, counted)
    for dtype, rows in found.items():
        given, chunks, blocks = _tables(rows)
        if counted:
            source("count_step", dtype)(*flat(len(rows), 128), (given, len(rows), width))
        source(name, dtype)((blocks,), (BLOCK,), (given, chunks, width, int(whole), *map(float, options)))
    return served


def sgd(arrays, *, lr, momentum, dampening, weight_decay, nesterov, maximize):
    """SGD on rows (parameter, gradient[, momentum_buffer]): see `minigrad.optim.SGD`."""
    options = (-1 if maximize else 1, weight_decay, momentum, 1 - dampening, lr)
    return _step("sgd", arrays, 3 if momentum else 2, nesterov, options, counted=False)


def adam(arrays, *, lr, betas, eps, weight_decay, amsgrad, maximize, decoupled_weight_decay):
    """Adam and AdamW on rows (parameter, gradient, exp_avg, exp_avg_sq[, max_exp_avg_sq], step): see
    `minigrad.optim.Adam`.
    """
    shrink, decay = (1 - lr * weight_decay, 0) if decoupled_weight_decay else (1, weight_decay)
    options = (-1 if maximize else 1, shrink, decay, lr, *betas, eps)
    return _step("adam", arrays, 6 if amsgrad else 5, amsgrad, options, counted=True)


def rmsprop(arrays, *, lr, alpha, eps, weight_decay, momentum, centered, maximize):
    """RMSprop on rows (parameter, gradient, square_avg[, grad_avg][, momentum_buffer], step): see
    `minigrad.optim.RMSprop`.
    """
    options = (-1 if maximize else 1, weight_decay, alpha, eps, momentum, lr)
    return _step("rmsprop", arrays, 4 + bool(momentum) + bool(centered), centered, options, counted=True)


def clip(gradients, max_norm):
    """Scale gradients in place so that their norm is at most max_norm: (the norm before, 0-d, and True), or None where
    a gradient is not served. The host never learns the norm here.
    """
    found, served = _rows(gradients, 1, False)
    if not all(served) or len(found) != 1:
        return None
    ((dtype, rows),) = found.items()
    on = device()
    given, chunks, blocks = _tables(rows)
    sums, norm = on.empty((blocks,), dtype), on.empty((), dtype)
    shared = WARP * item_bytes(dtype)
    source("squares", dtype)((blocks,), (BLOCK,), (given, chunks, sums), shared=shared)
    source("norm_of", dtype)((1,), (1024,), (sums, blocks, norm), shared=shared)
    source("scale", dtype)((blocks,), (BLOCK,), (given, chunks, norm, float(max_norm)))
    return norm, True
