"""Max pooling with the places of the maxima, as torch.nn.functional.max_pool2d(return_indices=True), and its
gradient."""

import math

import numpy as np
from numba import carray, njit, prange

from .threads import compiled, pointer, run

PARALLEL_FROM = 8_192  # elements read


@njit(nogil=True, error_model="numpy")
def _pairs(upper, lower, start, width, y, index):
    """A row of 2 x 2 windows side by side, without a branch; upper, lower: the two rows of x, start: where upper is."""
    for ow in range(y.size):
        best, place = upper[2 * ow], start + 2 * ow
        for value, step in ((upper[2 * ow + 1], 1), (lower[2 * ow], width), (lower[2 * ow + 1], width + 1)):
            larger = (value > best) | ((value != value) & (best == best))
            best = value if larger else best
            place = start + 2 * ow + step if larger else place
        y[ow], index[ow] = best, place


@njit(nogil=True, error_model="numpy")
def _plane(x, y, index, size, stride, padding, dilation):
    """One channel of one image: x (H, W) -> y, index (OH, OW)."""
    height, width = x.shape
    for oh in range(y.shape[0]):
        top = oh * stride[0] - padding[0]
        bottom = min(height, top + size[0] * dilation[0])
        # the first row of the window inside the image
        top += (max(0, -top) + dilation[0] - 1) // dilation[0] * dilation[0]
        for ow in range(y.shape[1]):
            left = ow * stride[1] - padding[1]
            right = min(width, left + size[1] * dilation[1])
            left += (max(0, -left) + dilation[1] - 1) // dilation[1] * dilation[1]
            best, place = y.dtype.type(-np.inf), top * width + left  # the answer where all is -inf
            for i in range(top, bottom, dilation[0]):
                for j in range(left, right, dilation[1]):
                    value = x[i, j]
                    # the first NaN replaces all; nothing is larger than it
                    larger = (value > best) | ((value != value) & (best == best))
                    best = value if larger else best
                    place = i * width + j if larger else place
            y[oh, ow] = best
            index[oh, ow] = place


@njit(cache=True, nogil=True, error_model="numpy")
def _serial(x, y, index, size, stride, padding, dilation):
    for n in range(x.shape[0]):
        if size == (2, 2) and stride == (2, 2) and padding == (0, 0) and dilation == (1, 1):
            width = x.shape[2]
            for oh in range(y.shape[1]):
                _pairs(x[n, 2 * oh], x[n, 2 * oh + 1], 2 * oh * width, width, y[n, oh], index[n, oh])
        else:
            _plane(x[n], y[n], index[n], size, stride, padding, dilation)


@njit(cache=True, nogil=True, error_model="numpy", parallel=True)
def _parallel(x, y, index, size, stride, padding, dilation):
    for n in prange(x.shape[0]):
        if size == (2, 2) and stride == (2, 2) and padding == (0, 0) and dilation == (1, 1):
            width = x.shape[2]
            for oh in range(y.shape[1]):
                _pairs(x[n, 2 * oh], x[n, 2 * oh + 1], 2 * oh * width, width, y[n, oh], index[n, oh])
        else:
            _plane(x[n], y[n], index[n], size, stride, padding, dilation)


def max_pool(x, *, size, stride, padding=(0, 0), dilation=(1, 1)):
    """y[b, c, oh, ow] = the maximum of its window; padding counts as -inf. The first of equals wins, NaN is the
    largest.

    x: (B, C, H, W), float32 or float64; size, stride, padding, dilation: (rows, columns).
    -> y (B, C, OH, OW) and its indices, int64 of the same shape: row * W + column in x.
    """
    batch, channels, height, width = x.shape
    out_height = (height + 2 * padding[0] - dilation[0] * (size[0] - 1) - 1) // stride[0] + 1
    out_width = (width + 2 * padding[1] - dilation[1] * (size[1] - 1) - 1) // stride[1] + 1
    x = x if x.flags.carray else x.copy()
    y = np.empty((batch * channels, out_height, out_width), x.dtype)  # (B*C, OH, OW)
    index = np.empty(y.shape, np.int64)
    run = _serial if x.size < PARALLEL_FROM else _parallel
    run(x.reshape(batch * channels, height, width), y, index, size, stride, padding, dilation)
    shape = (batch, channels, out_height, out_width)
    return y.reshape(shape), index.reshape(shape)


@compiled
def _scatter(zero):
    """a: dy (planes, n); c: dx (planes, size). numbers: planes, n, size, the address of the positions (planes, n)."""
    kind = type(zero)

    def work(a_base, b_base, c_base, numbers, thread, threads):
        given = carray(pointer(numbers), (4,), np.int64)
        planes, n, size = given[0], given[1], given[2]
        dy, dx = carray(pointer(a_base), (planes, n), kind), carray(pointer(c_base), (planes, size), kind)
        positions = carray(pointer(given[3]), (planes, n), np.int64)
        for p in range(planes * thread // threads, planes * (thread + 1) // threads):
            dx[p, :] = kind(0)
            for j in range(n):
                place = positions[p, j]
                if 0 <= place < size:
                    dx[p, place] += dy[p, j]

    return work


def max_pool_backward(dy, positions, *, spatial):
    """dx = zeros with dy added at the positions. dy, positions (int64): (B, C, OH, OW) -> (B, C, *spatial)."""
    planes = dy.shape[: dy.ndim - len(spatial)]
    dy = dy if dy.flags.carray else dy.copy()
    positions = np.ascontiguousarray(positions)
    dx = np.empty((*planes, *spatial), dy.dtype)
    count = math.prod(planes)
    numbers = (count, dy.size // count, math.prod(spatial), positions.ctypes.data)
    run(_scatter(dy.dtype), dy, dy, dx, numbers, alone=dx.size < PARALLEL_FROM)
    return dx
