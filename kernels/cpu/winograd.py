"""Winograd's minimal filtering F(4x4, 3x3): a 3 x 3 convolution of stride 1 and its gradients with a quarter of the
multiplications.

A tile of 4 x 4 outputs sees 6 x 6 inputs d. With three small matrices, applied along both axes,

    forward          y  = A' [(G w G') * (B' d B)] A      summed over the input channels
    input gradient   the same over g, with the kernel turned over and its channels exchanged
    weight gradient  dw = G' [(B' d B) * (A g A')] G      summed over tiles and images

where * multiplies the 36 elements of the transformed tiles one by one: over channels and tiles that is 36 matrix
products, T x C with C x O for T tiles, on the register tile of matmul. A, B, G evaluate and interpolate polynomials at
0, a, -a, b, -b and infinity. Lavin, Gray 2015, arXiv:1509.09308; we take a = 3/4, b = 3/2 instead of 1 and 2, after
Barabasz et al. 2020, arXiv:1803.10986, which halves the error: in float32 it stays below 20 roundings of the largest
output, 3 to 6 times that of the direct sum (root of the mean square, 16 to 256 channels).

A number that is not finite spoils its whole tile here, so a result with such numbers is refused, and the direct kernel
computes the convolution again.

Channels lie along the vector lanes. Workspace for each thread: the transformed tiles of one box of images, rows and
columns, about TILES_BYTES; shared: the transformed weights, 36/9 of their size.
"""

import math

import numpy as np
from llvmlite import ir
from numba import carray, njit, types
from numba.extending import intrinsic

from ...threads import get_num_threads
from .threads import compiled, pointer, run
from .tiles import LONGEST_TILE, VECTORS, _Emit, item_size, lanes, multiply_block, transpose_block, whole_vectors

NEAR, FAR = 0.75, 1.5  # the points a and b
TILES_BYTES = 768 * 1024
PLANES = 36
_WORTHWHILE = 1_000_000  # multiplications: below, preparing the weights takes too large a share
_PARALLEL_FROM = 65_536  # transformed weights
_SKEW = 16  # numbers between planes: planes a power of two apart would share the sets of the cache


# ---- one axis: a list of vectors in, a list of vectors out -----------------------------------------------------------
class _Algebra:
    """Vectors of _Emit with constants as factors."""

    def __init__(self, emit):
        self.emit, self.builder = emit, emit.builder

    def times(self, factor, x):
        return self.builder.fmul(ir.Constant(x.type, [factor] * self.emit.lanes), x)

    def add(self, x, y):
        return self.builder.fadd(x, y)

    def subtract(self, x, y):
        return self.builder.fsub(x, y)

    def plus(self, x, factor, y):
        """x + factor y"""
        return self.emit.fma(ir.Constant(y.type, [factor] * self.emit.lanes), y, x)


_A2, _B2 = NEAR**2, FAR**2
# The derivatives of x (x**2 - a**2) (x**2 - b**2) at 0, +-a, +-b; kept in A, so that G has small exact numbers.
_SLOPES = _A2 * _B2, 2 * _A2 * (_A2 - _B2), 2 * _B2 * (_B2 - _A2)


def _inputs(v, d):
    """B' d: 6 -> 6, the coefficients of the polynomials that vanish at all points but one."""
    near, far = v.plus(d[4], -_B2, d[2]), v.plus(d[4], -_A2, d[2])
    near_odd, far_odd = v.plus(d[3], -_B2, d[1]), v.plus(d[3], -_A2, d[1])
    return [
        v.plus(v.plus(d[4], -_A2 - _B2, d[2]), _A2 * _B2, d[0]),
        v.plus(near, NEAR, near_odd),
        v.plus(near, -NEAR, near_odd),
        v.plus(far, FAR, far_odd),
        v.plus(far, -FAR, far_odd),
        v.plus(v.plus(d[5], -_A2 - _B2, d[3]), _A2 * _B2, d[1]),
    ]


def _weights(v, w):
    """G w: 3 -> 6, w0 + w1 x + w2 x**2 at the points."""
    near, far = v.plus(w[0], _A2, w[2]), v.plus(w[0], _B2, w[2])
    return [
        w[0],
        v.plus(near, NEAR, w[1]),
        v.plus(near, -NEAR, w[1]),
        v.plus(far, FAR, w[1]),
        v.plus(far, -FAR, w[1]),
        w[2],
    ]


def _outputs(v, m):
    """A' m: 6 -> 4."""
    even, odd = v.add(m[1], m[2]), v.subtract(m[1], m[2])
    far_even, far_odd = v.add(m[3], m[4]), v.subtract(m[3], m[4])
    zero, near, far = (1 / slope for slope in _SLOPES)
    return [
        v.plus(v.plus(v.times(near, even), far, far_even), zero, m[0]),
        v.plus(v.times(near * NEAR, odd), far * FAR, far_odd),
        v.plus(v.times(near * _A2, even), far * _B2, far_even),
        v.plus(v.plus(m[5], near * NEAR**3, odd), far * FAR**3, far_odd),
    ]


def _gradients(v, g):
    """A g: 4 -> 6, the transpose of _outputs."""
    zero, near, far = (1 / slope for slope in _SLOPES)
    even = v.plus(v.times(near, g[0]), near * _A2, g[2])
    odd = v.plus(v.times(near * NEAR, g[1]), near * NEAR**3, g[3])
    far_even = v.plus(v.times(far, g[0]), far * _B2, g[2])
    far_odd = v.plus(v.times(far * FAR, g[1]), far * FAR**3, g[3])
    return [
        v.times(zero, g[0]),
        v.add(even, odd),
        v.subtract(even, odd),
        v.add(far_even, far_odd),
        v.subtract(far_even, far_odd),
        g[3],
    ]


def _weight_gradients(v, u):
    """G' u: 6 -> 3, the transpose of _weights."""
    even, odd = v.add(u[1], u[2]), v.subtract(u[1], u[2])
    far_even, far_odd = v.add(u[3], u[4]), v.subtract(u[3], u[4])
    return [
        v.add(u[0], v.add(even, far_even)),
        v.plus(v.times(NEAR, odd), FAR, far_odd),
        v.plus(v.plus(u[5], _A2, even), _B2, far_even),
    ]


# ---- both axes -------------------------------------------------------------------------------------------------------
def _on_tiles(line, length, *, shifted=False):
    """The intrinsic that applies `line` along both axes of a tile of length x length vectors: element (r, c) is read
    from source[r * row + c * column : ... + lanes], and written likewise; addresses, steps in numbers. `shifted`: the
    vector shift[: lanes] is added to each of the results.
    """

    def transform(typingctx, zero, source, row, column, target, target_row, target_column, shift):
        def codegen(context, builder, signature, arguments):
            _, source, row, column, target, target_row, target_column, shift = arguments
            emit = _Emit(builder, signature.args[0])
            algebra = _Algebra(emit)
            addend = emit.load(emit.at(shift, emit.int64(0))) if shifted else None

            def at(base, row, column, r, c):
                offsets = builder.mul(emit.int64(r), row), builder.mul(emit.int64(c), column)
                return emit.at(base, builder.add(*offsets))

            columns = [
                line(algebra, [emit.load(at(source, row, column, r, c)) for r in range(length)]) for c in range(length)
            ]
            for r in range(len(columns[0])):
                for c, value in enumerate(line(algebra, [done[r] for done in columns])):
                    value = algebra.add(value, addend) if shifted else value
                    emit.store(value, at(target, target_row, target_column, r, c))
            return context.get_dummy_value()

        return types.void(zero, *([types.int64] * 7)), codegen

    return intrinsic(transform)


_input_tile, _gradient_tile = _on_tiles(_inputs, 6), _on_tiles(_gradients, 4)
_output_tile = _on_tiles(_outputs, 6, shifted=True)
_weight_tile, _weight_gradient_tile = _on_tiles(_weights, 3), _on_tiles(_weight_gradients, 6)


@njit(nogil=True, error_model="numpy")
def _fill(zero, x_base, channels, height, width, top, left, rows, columns, to, wide):
    """to[r, c, :channels] = x[:, top + r, left + c], zero outside of x. x: (C, H, W), to: rows * columns * wide."""
    size, line = item_size(zero), columns * wide
    before, after = max(0, -left), max(0, min(columns, width - left))
    for r in range(rows):
        if 0 <= top + r < height and before < after:
            to[r * line : r * line + before * wide] = zero
            to[r * line + after * wide : (r + 1) * line] = zero
            transpose_block(
                zero,
                x_base + size * ((top + r) * width + left + before),
                height * width,
                to.ctypes.data + size * (r * line + before * wide),
                wide,
                channels,
                after - before,
            )
        else:
            to[r * line : (r + 1) * line] = zero


@njit(nogil=True, error_model="numpy")
def _box(unit, units, boxes, tiles, batch):
    """The first image, row and column of tiles of a unit, and how many of each. units: how many along each axis,
    boxes: tiles of a whole unit, tiles: rows and columns of tiles of an image.
    """
    column, row, image = unit % units[2], unit // units[2] % units[1], unit // units[2] // units[1]
    image, row, column = image * boxes[0], row * boxes[1], column * boxes[2]
    return (
        (image, row, column),
        (min(boxes[0], batch - image), min(boxes[1], tiles[0] - row), min(boxes[2], tiles[1] - column)),
    )


@njit(nogil=True, error_model="numpy")
def _transform_inputs(zero, x_base, shape, padding, first, held, strip, wide, target, plane):
    """target[e, t, c]: the 36 elements of every transformed tile of a box. x: (B, C, H, W) = shape."""
    size, (_, channels, height, width) = item_size(zero), shape
    rows, columns = 4 * held[1] + 2, 4 * held[2] + 2
    for i in range(held[0]):
        source = x_base + size * (first[0] + i) * channels * height * width
        top, left = 4 * first[1] - padding[0], 4 * first[2] - padding[1]
        _fill(zero, source, channels, height, width, top, left, rows, columns, strip, wide)
        for r in range(held[1]):
            for c in range(held[2]):
                tile = (i * held[1] + r) * held[2] + c
                for lane in range(0, wide, lanes(zero)):
                    at = strip.ctypes.data + size * ((4 * r * columns + 4 * c) * wide + lane)
                    to = target + size * (tile * wide + lane)
                    _input_tile(zero, at, columns * wide, wide, to, 6 * plane, plane, 0)


@njit(nogil=True, error_model="numpy")
def _multiply_planes(zero, a, a_plane, rows, steps, b, b_plane, c, c_plane, n, m, k, accumulate):
    """C[e] (+)= A[e] @ B[e] for the 36 elements e: (m, k) as in multiply_block, (k, n), (m, n); planes: from one e to
    the next.
    """
    size, panel = item_size(zero), VECTORS * lanes(zero)
    for e in range(PLANES):
        for j in range(0, n, panel):
            multiply_block(
                zero,
                a + size * e * a_plane,
                rows,
                steps,
                b + size * (e * b_plane + j),
                n,
                c + size * (e * c_plane + j),
                n,
                m,
                min(panel, n - j),
                k,
                accumulate,
            )


@compiled
def _forward(zero):
    """y = x * weights + bias. x: (B, C, H, W), weights: (36, C, wide_out), y: (B, O, OH, OW); see `_numbers`, then the
    address of the bias (wide_out,)."""
    kind, size = type(zero), zero.itemsize

    def work(x_base, weights, y_base, numbers, part, parts):
        n = carray(pointer(numbers), (22,), np.int64)
        shape, made, padding = (n[0], n[1], n[2], n[3]), (n[4], n[5], n[6]), (n[7], n[8])
        units, boxes, tiles, wide, wide_out = (n[9], n[10], n[11]), (n[12], n[13], n[14]), (n[15], n[16]), n[17], n[18]
        spoiled = carray(pointer(n[19]), (1,), np.int64)
        most = boxes[0] * boxes[1] * boxes[2]
        plane, plane_out = most * wide + _SKEW, most * wide_out + _SKEW
        strip = np.empty((4 * boxes[1] + 2) * (4 * boxes[2] + 2) * wide, kind)
        inputs, products = np.empty(PLANES * plane, kind), np.empty(PLANES * plane_out, kind)
        places = np.empty((16 * boxes[1] * boxes[2] + 16) * wide_out, kind)  # one image of a box, and one tile
        edge = places.ctypes.data + size * 16 * boxes[1] * boxes[2] * wide_out
        rows, steps = np.empty(most + LONGEST_TILE, np.int64), np.arange(shape[1])
        done = units[0] * units[1] * units[2]
        for unit in range(done * part // parts, done * (part + 1) // parts):
            first, held = _box(unit, units, boxes, tiles, shape[0])
            count = held[0] * held[1] * held[2]
            _transform_inputs(zero, x_base, shape, padding, first, held, strip, wide, inputs.ctypes.data, plane)
            for t in range(count + LONGEST_TILE):
                rows[t] = min(t, count - 1) * wide
            _multiply_planes(
                zero, inputs.ctypes.data, plane, rows.ctypes.data, steps.ctypes.data, weights, shape[1] * wide_out,
                products.ctypes.data, plane_out, wide_out, count, shape[1], False,
            )  # fmt: skip
            height, width = min(4 * held[1], made[1] - 4 * first[1]), min(4 * held[2], made[2] - 4 * first[2])
            bad = False
            for i in range(held[0]):
                for r in range(held[1]):
                    for c in range(held[2]):
                        tile = (i * held[1] + r) * held[2] + c
                        inner = 4 * r + 4 <= height and 4 * c + 4 <= width
                        to = places.ctypes.data + size * (4 * r * width + 4 * c) * wide_out
                        for lane in range(0, wide_out, lanes(zero)):
                            at = products.ctypes.data + size * (tile * wide_out + lane)
                            row, goal = (width, to) if inner else (4, edge)
                            _output_tile(
                                zero, at, 6 * plane_out, plane_out, goal + size * lane, row * wide_out, wide_out,
                                n[21] + size * lane,
                            )  # fmt: skip
                        if not inner:
                            for y in range(min(4, height - 4 * r)):
                                run = min(4, width - 4 * c) * wide_out
                                start, source = ((4 * r + y) * width + 4 * c) * wide_out, edge + size * y * 4 * wide_out
                                places[start : start + run] = carray(pointer(source), (run,), kind)
                for value in places[: height * width * wide_out]:
                    bad |= not (abs(value) < np.inf)
                to = y_base + size * (first[0] + i) * made[0] * made[1] * made[2]
                if width == made[2]:
                    to += size * 4 * first[1] * width
                    area = made[1] * made[2]
                    transpose_block(zero, places.ctypes.data, wide_out, to, area, height * width, made[0])
                else:
                    for y in range(height):
                        at = to + size * ((4 * first[1] + y) * made[2] + 4 * first[2])
                        source = places.ctypes.data + size * y * width * wide_out
                        transpose_block(zero, source, wide_out, at, made[1] * made[2], width, made[0])
            if bad:
                spoiled[0] = 1

    return work


@compiled
def _weight(zero):
    """sums[s] += the transformed weight gradient of the s-th share of the boxes. x: (B, C, H, W), sums: (S, 36, C,
    wide_out), g: (B, O, OH, OW); see `_numbers`.
    """
    kind, size = type(zero), zero.itemsize

    def work(x_base, sums, g_base, numbers, part, parts):
        n = carray(pointer(numbers), (21,), np.int64)
        shape, made, padding = (n[0], n[1], n[2], n[3]), (n[4], n[5], n[6]), (n[7], n[8])
        units, boxes, tiles, wide, wide_out = (n[9], n[10], n[11]), (n[12], n[13], n[14]), (n[15], n[16]), n[17], n[18]
        shares = n[20]
        most = boxes[0] * boxes[1] * boxes[2]
        plane, plane_out = most * wide + _SKEW, most * wide_out + _SKEW
        strip = np.empty((4 * boxes[1] + 2) * (4 * boxes[2] + 2) * wide, kind)
        strip_out = np.zeros(16 * boxes[1] * boxes[2] * wide_out, kind)  # lanes beyond O stay zero
        inputs, gradients = np.empty(PLANES * plane, kind), np.empty(PLANES * plane_out, kind)
        rows, steps = np.empty(shape[1] + LONGEST_TILE, np.int64), np.arange(most) * wide
        for c in range(rows.size):
            rows[c] = min(c, shape[1] - 1)
        done = units[0] * units[1] * units[2]
        for share in range(shares * part // parts, shares * (part + 1) // parts):
            started = False
            for unit in range(done * share // shares, done * (share + 1) // shares):
                first, held = _box(unit, units, boxes, tiles, shape[0])
                count = held[0] * held[1] * held[2]
                _transform_inputs(zero, x_base, shape, padding, first, held, strip, wide, inputs.ctypes.data, plane)
                for i in range(held[0]):
                    source = g_base + size * (first[0] + i) * made[0] * made[1] * made[2]
                    top, left, across = 4 * first[1], 4 * first[2], 4 * held[2]
                    to = strip_out.ctypes.data
                    _fill(zero, source, made[0], made[1], made[2], top, left, 4 * held[1], across, strip_out, wide_out)
                    for r in range(held[1]):
                        for c in range(held[2]):
                            tile = (i * held[1] + r) * held[2] + c
                            for lane in range(0, wide_out, lanes(zero)):
                                at = to + size * ((4 * r * across + 4 * c) * wide_out + lane)
                                goal = gradients.ctypes.data + size * (tile * wide_out + lane)
                                _gradient_tile(zero, at, across * wide_out, wide_out, goal, 6 * plane_out, plane_out, 0)
                _multiply_planes(
                    zero, inputs.ctypes.data, plane, rows.ctypes.data, steps.ctypes.data, gradients.ctypes.data,
                    plane_out, sums + size * share * PLANES * shape[1] * wide_out, shape[1] * wide_out, wide_out,
                    shape[1], count, started,
                )  # fmt: skip
                started = True

    return work


@compiled
def _transform_weights(zero):
    """result[e, c, o] = (G w[o, c] G')[e]; `turned`: [e, o, c], of the kernel turned over. weight: (O, C, 3, 3)."""
    kind, size = type(zero), zero.itemsize

    def work(weight, result, _, numbers, part, parts):
        given = carray(pointer(numbers), (4,), np.int64)
        out, channels, turned, wide = given[0], given[1], given[2], given[3]
        rows = out if turned else channels
        plane = rows * wide
        line = np.zeros(9 * wide, kind)  # (9, wide): the channels along the lanes
        at = line.ctypes.data
        for i in range(rows * part // parts, rows * (part + 1) // parts):
            if turned:
                transpose_block(zero, weight + size * i * channels * 9, 9, at, wide, channels, 9)
            else:
                transpose_block(zero, weight + size * i * 9, channels * 9, at, wide, out, 9)
            first, step = (8, -1) if turned else (0, 1)
            for lane in range(0, wide, lanes(zero)):
                to = result + size * (i * wide + lane)
                source = at + size * (first * wide + lane)
                _weight_tile(zero, source, 3 * step * wide, step * wide, to, 6 * plane, plane, 0)
        line[0] = zero  # alive until here: only its address was used

    return work


@compiled
def _weights_from(zero):
    """dw[o, c] = G' (the sum over shares of sums[share, :, c, o]) G. sums: (S, 36, C, wide), dw: (O, C, 3, 3)."""
    kind, size = type(zero), zero.itemsize

    def work(sums_base, dw_base, _, numbers, part, parts):
        given = carray(pointer(numbers), (5,), np.int64)
        shares, channels, wide, out = given[0], given[1], given[2], given[3]
        spoiled = carray(pointer(given[4]), (1,), np.int64)
        sums = carray(pointer(sums_base), (shares, PLANES, channels, wide), kind)
        total, line = np.empty((PLANES, wide), kind), np.empty(9 * wide, kind)
        at = line.ctypes.data
        bad = False
        for c in range(channels * part // parts, channels * (part + 1) // parts):
            for e in range(PLANES):
                for o in range(wide):
                    total[e, o] = sums[0, e, c, o]
                for s in range(1, shares):
                    for o in range(wide):
                        total[e, o] += sums[s, e, c, o]
            for lane in range(0, wide, lanes(zero)):
                source = total.ctypes.data + size * lane
                _weight_gradient_tile(zero, source, 6 * wide, wide, at + size * lane, 3 * wide, wide, 0)
            for value in line:
                bad |= not (abs(value) < np.inf)
            transpose_block(zero, at, wide, dw_base + size * c * 9, channels * 9, 9, out)
        if bad:
            spoiled[0] = 1
        total[0, 0] = zero  # alive until here: only its address was used

    return work


def _numbers(x_shape, y_shape, padding, dtype, spoiled, shares=0):
    """The geometry for the workers: boxes of tiles whose transforms take about TILES_BYTES."""
    tiles = tuple(-(-n // 4) for n in y_shape[2:])
    wide, wide_out = whole_vectors(x_shape[1], dtype), whole_vectors(y_shape[1], dtype)
    most = max(24, TILES_BYTES // (PLANES * dtype.itemsize * (wide + wide_out)))
    columns = min(tiles[1], most)
    rows = min(tiles[0], max(1, most // columns))
    images = min(x_shape[0], max(1, most // (rows * columns))) if (rows, columns) == tiles else 1
    boxes = images, rows, columns
    units = tuple(-(-n // b) for n, b in zip((x_shape[0], *tiles), boxes, strict=True))
    shares = min(shares, math.prod(units))
    return (*x_shape, *y_shape[1:], *padding, *units, *boxes, *tiles, wide, wide_out, spoiled, shares)


def pays(x, channels, out, grid, places):
    """Is this faster than the direct kernel? x: its images give the dtype and their number; grid: what the tiles cover,
    places: the size of y or g, at each of which the direct kernel takes nine taps.

    The transforms cost as much as 340 multiplications for each tile and channel.
    """
    if x.dtype != np.float32:  # in float64 every digit counts
        return False
    tiles = math.prod(-(-n // 4) for n in grid)
    across, across_out = whole_vectors(channels, x.dtype), whole_vectors(out, x.dtype)
    ours = tiles * (36 * channels * out + 340 * (across + across_out))
    return x.shape[0] * ours > _WORTHWHILE and 1.2 * ours < 9 * math.prod(places) * channels * across_out


def filtered(x, weight, y, padding, bias=None, *, turned=False):
    """y = x * weight + bias, stride 1, or `turned`: the input gradient, y for dx and x for g; false if y is not all
    finite.

    x: (B, C, H, W), weight: (O, C, 3, 3), turned (C, O, 3, 3), y: (B, O, OH, OW), bias: (O,); contiguous, of one dtype.
    padding: zeros above and left of x; OH, OW say how many follow below and right.
    """
    wide, spoiled = whole_vectors(y.shape[1], x.dtype), np.zeros(1, np.int64)
    weights = np.empty((PLANES, x.shape[1], wide), x.dtype)
    numbers = (*weight.shape[:2], turned, wide)
    run(_transform_weights(x.dtype), weight, weights, weights, numbers, alone=weights.size < _PARALLEL_FROM)
    shift = np.zeros(wide, x.dtype)
    if bias is not None:
        shift[: bias.size] = bias
    geometry = _numbers(x.shape, y.shape, padding, x.dtype, spoiled.ctypes.data)
    run(_forward(x.dtype), x, weights, y, (*geometry, shift.ctypes.data))
    return not spoiled[0]


def filtered_weight(x, g, dw, padding):
    """dw = the weight gradient; false if it is not all finite. x: (B, C, H, W), g: (B, O, OH, OW), dw: (O, C, 3, 3)."""
    wide, spoiled = whole_vectors(g.shape[1], x.dtype), np.zeros(1, np.int64)
    numbers = _numbers(x.shape, g.shape, padding, x.dtype, 0, get_num_threads())
    shares = numbers[-1]
    sums = np.empty((shares, PLANES, x.shape[1], wide), x.dtype)
    run(_weight(x.dtype), x, sums, g, numbers)
    numbers = shares, x.shape[1], wide, g.shape[1], spoiled.ctypes.data
    run(_weights_from(x.dtype), sums, dw, dw, numbers, alone=sums.size < _PARALLEL_FROM)
    return not spoiled[0]
