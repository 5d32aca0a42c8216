"""Max pooling with the places of the maxima, as torch.nn.functional.max_pool2d(return_indices=True), and its
gradient; sums over windows, the means of average pooling times their size, and their gradient."""

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


@compiled
def _window_sum(zero):
    """y[p, oh, ow] = the sum of a window of x, or for `back` dx += dy over the window. a: x (planes, H, W), c: y
    (planes, OH, OW), or a: dy, c: dx. numbers: planes, H, W, OH, OW, window, stride, frame above and left, back.
    """
    kind = type(zero)

    def work(a_base, b_base, c_base, numbers, part, parts):
        n = carray(pointer(numbers), (12,), np.int64)
        planes, height, width, rows, columns = n[0], n[1], n[2], n[3], n[4]
        tall, wide, stride, column_stride, top, left, back = n[5], n[6], n[7], n[8], n[9], n[10], n[11]
        x = carray(pointer(c_base if back else a_base), (planes, height, width), kind)
        y = carray(pointer(a_base if back else c_base), (planes, rows, columns), kind)
        # a row of x in its frame: what is added to or from it outside of x belongs to nobody
        line = np.zeros(max(left + width, (columns - 1) * column_stride + wide), kind)
        inner = line[left : left + width]
        for p in range(planes * part // parts, planes * (part + 1) // parts):
            if back:
                x[p] = zero
            for r in range(rows):
                low, high = max(0, r * stride - top), min(height, r * stride - top + tall)
                if back:
                    line[:] = zero
                    for j in range(wide):
                        if column_stride == 1:
                            for q in range(columns):
                                line[j + q] += y[p, r, q]
                        else:
                            for q in range(columns):
                                line[j + q * column_stride] += y[p, r, q]
                    for i in range(low, high):
                        for j in range(width):
                            x[p, i, j] += inner[j]
                    continue
                inner[:] = zero
                for i in range(low, high):
                    for j in range(width):
                        inner[j] += x[p, i, j]
                for q in range(columns):
                    total = zero
                    for j in range(wide):
                        total += line[q * column_stride + j]
                    y[p, r, q] = total

    return work


def _sum_windows(given, made, spatial, outs, size, stride, frame, back):
    numbers = (made.size // max(1, math.prod(made.shape[-2:])), *spatial, *outs, *size, *stride)
    numbers += (frame[0][0], frame[1][0], back)
    run(_window_sum(given.dtype), given, given, made, numbers, alone=max(given.size, made.size) < PARALLEL_FROM)
    return made


def window_sum(x, *, size, stride, frame):
    """The sum of each window of x in a frame of zeros, (before, after) along each axis. x: (B, C, H, W) -> (B, C, OH,
    OW); float32 or float64; size, stride: (rows, columns).
    """
    x = x if x.flags.carray else x.copy()
    outs = [(n + a + b - k) // s + 1 for n, (a, b), k, s in zip(x.shape[-2:], frame, size, stride, strict=True)]
    y = np.empty((*x.shape[:-2], *outs), x.dtype)
    return _sum_windows(x, y, x.shape[-2:], outs, size, stride, frame, False)


def window_sum_backward(dy, *, spatial, size, stride, frame):
    """The gradient of window_sum. dy: (B, C, OH, OW) -> (B, C, *spatial)."""
    dy = dy if dy.flags.carray else dy.copy()
    dx = np.empty((*dy.shape[:-2], *spatial), dy.dtype)
    return _sum_windows(dy, dx, spatial, dy.shape[-2:], size, stride, frame, True)
