"""Products of bytes: uint8 activations times int8 weights, summed exactly in int32, then scaled to floats.

`_tile` holds rows x vectors of 16 sums in registers and feeds them four products at a time: a group is four neighbours
along the summed axis, broadcast from a row of x, against 16 groups of the packed weights, one for each output. Where
the processor has it (VNNI), that is one instruction; elsewhere the same sums are written out for LLVM.

Rows of x are found through tables of byte offsets, as in tiles.py: those of a matrix, or the windows of a framed image
with its channels last. Packed weights: (blocks of 16 outputs, groups, 16, 4), zeros where there are none.
"""

import llvmlite.binding
import numpy as np
from llvmlite import ir
from numba import carray, njit, types
from numba.core import cgutils
from numba.extending import intrinsic, register_jitable

from .threads import compiled, pointer, run
from .tiles import item_size, transpose_block

LANES, GROUP = 16, 4  # outputs of one vector, products of one instruction
ROWS, VECTORS = 6, 4  # of the largest tile: 24 sums, 4 vectors of weights and one of x in the registers
BLOCK = 8 * ROWS  # rows of a unit of work
_WIDTH = VECTORS * LANES
PARALLEL_FROM = 1_000_000  # products; below, waking the second thread costs more than it brings
_FRAME_PARALLEL_FROM = 32_768  # elements of x
PART = 400_000  # products in a part of a job
HAS_VNNI = bool(llvmlite.binding.get_host_cpu_features().get("avx512vnni"))

_SUMS = ir.VectorType(ir.IntType(32), LANES)
_BYTES = ir.VectorType(ir.IntType(8), LANES * GROUP)


def _add_products(builder, total, x, w, vnni):
    """total[i] + sum over j < 4 of x[4 i + j] w[4 i + j]; x: bytes without sign, w: with; as <16 x i32>."""
    if vnni:
        name, kind = "llvm.x86.avx512.vpdpbusd.512", ir.FunctionType(_SUMS, [_SUMS] * 3)
        return builder.call(cgutils.get_or_insert_function(builder.module, kind, name), [total, x, w])
    wide = ir.VectorType(ir.IntType(32), LANES * GROUP)
    products = builder.mul(
        builder.zext(builder.bitcast(x, _BYTES), wide), builder.sext(builder.bitcast(w, _BYTES), wide)
    )
    for j in range(GROUP):
        places = ir.Constant(_SUMS, [GROUP * i + j for i in range(LANES)])
        total = builder.add(total, builder.shuffle_vector(products, ir.Constant(wide, ir.Undefined), places))
    return total


def make_tile(n_rows, n_vectors, vnni):
    """The intrinsic: c[r, v] = sum over groups g of x[rows[r] + steps[g]] w[v, g]; all arguments int64.

    x, w, c: addresses; rows, steps: addresses of byte offsets; w_step: bytes between vectors; c: rows of 64 int32.
    """

    def tile(typingctx, x, rows, steps, w, w_step, c, groups):
        def codegen(context, builder, signature, arguments):
            x, rows, steps, w, w_step, c, groups = arguments
            i64 = ir.IntType(64)
            number = lambda value: ir.Constant(i64, value)
            at = lambda address, kind: builder.inttoptr(address, kind.as_pointer())
            places = [(r, v) for r in range(n_rows) for v in range(n_vectors)]
            starts = [builder.add(x, builder.load(at(builder.add(rows, number(8 * r)), i64))) for r in range(n_rows)]
            before, loop, after = builder.block, builder.append_basic_block("g"), builder.append_basic_block("store")
            builder.branch(loop)

            builder.position_at_end(loop)
            g = builder.phi(i64)
            total = {place: builder.phi(_SUMS) for place in places}
            step = builder.load(at(builder.add(steps, builder.shl(g, number(3))), i64))
            first = builder.add(w, builder.shl(g, number(6)))
            weights = []
            for v in range(n_vectors):
                weights.append(builder.load(at(builder.add(first, builder.mul(w_step, number(v))), _SUMS)))
                weights[-1].align = 1
            out = {}
            for r in range(n_rows):
                four = builder.load(at(builder.add(starts[r], step), ir.IntType(32)))
                four.align = 1
                one = builder.insert_element(ir.Constant(_SUMS, ir.Undefined), four, ir.Constant(ir.IntType(32), 0))
                spread = builder.shuffle_vector(one, ir.Constant(_SUMS, ir.Undefined), ir.Constant(_SUMS, [0] * LANES))
                for v in range(n_vectors):
                    out[r, v] = _add_products(builder, total[r, v], spread, weights[v], vnni)
            following = builder.add(g, number(1))
            g.add_incoming(number(0), before)
            g.add_incoming(following, loop)
            for place in places:
                total[place].add_incoming(ir.Constant(_SUMS, [0] * LANES), before)
                total[place].add_incoming(out[place], loop)
            builder.cbranch(builder.icmp_signed("<", following, groups), loop, after)

            builder.position_at_end(after)
            for r, v in places:
                builder.store(out[r, v], at(builder.add(c, number(4 * (r * _WIDTH + v * LANES))), _SUMS)).align = 1
            return context.get_dummy_value()

        return types.void(*[types.int64] * 7), codegen

    return intrinsic(tile)


_tall, _tall_double, _tall_single = (make_tile(ROWS, count, HAS_VNNI) for count in (4, 2, 1))
_flat, _flat_single = make_tile(1, 4, HAS_VNNI), make_tile(1, 1, HAS_VNNI)


@njit(nogil=True, error_model="numpy")
def _sums(x, rows, steps, w, w_step, c, groups, height, vectors):
    """c[r, v] for r < height and v < vectors; `rows` has ROWS entries more than `height`."""
    r = 0
    while r < height:
        v, to, table = 0, c + 4 * _WIDTH * r, rows + 8 * r
        tall = height - r > 1
        while v < vectors:
            from_w, left = w + w_step * v, vectors - v
            if tall:
                if left >= 4:
                    _tall(x, table, steps, from_w, w_step, to + 64 * v, groups)
                elif left >= 2:
                    _tall_double(x, table, steps, from_w, w_step, to + 64 * v, groups)
                else:
                    _tall_single(x, table, steps, from_w, w_step, to + 64 * v, groups)
                v += 4 if left >= 4 else 2 if left >= 2 else 1
            else:
                if left >= 4:
                    _flat(x, table, steps, from_w, w_step, to + 64 * v, groups)
                else:
                    _flat_single(x, table, steps, from_w, w_step, to + 64 * v, groups)
                v += 4 if left >= 4 else 1
        r += ROWS if tall else 1


@register_jitable(error_model="numpy")
def _scaled(sums, offset, scale, bias, y, low):
    """y = max((sums - offset) scale + bias, low)."""
    for j in range(y.size):
        value = y.dtype.type(sums[j] - offset[j]) * scale[j] + bias[j]
        y[j] = value if value > low else low


@compiled
def _product(zero):
    """a: bytes of x; b: packed weights; c: y, (images, pixels, n) or, planar, (images, n, pixels).

    numbers: images, pixels, n, groups, bytes of an image, addresses of rows, steps, offset, scale, bias and of the
    lowest value of y, planar.
    """
    kind = type(zero)

    def work(a_base, b_base, c_base, numbers, part, parts):
        given = carray(pointer(numbers), (12,), np.int64)
        images, pixels, n, groups, image_bytes = given[0], given[1], given[2], given[3], given[4]
        offset, scale = carray(pointer(given[7]), (n,), np.int32), carray(pointer(given[8]), (n,), kind)
        bias, low = carray(pointer(given[9]), (n,), kind), carray(pointer(given[10]), (1,), kind)[0]
        panels, blocks, size = (n + _WIDTH - 1) // _WIDTH, (pixels + BLOCK - 1) // BLOCK, item_size(zero)
        sums, held = np.empty((BLOCK + ROWS, _WIDTH), np.int32), np.empty((BLOCK, _WIDTH), kind)
        sums_base, held_base = sums.ctypes.data, held.ctypes.data
        units = images * panels * blocks
        for unit in range(units * part // parts, units * (part + 1) // parts):
            panel, image, top = unit // (images * blocks), unit // blocks % images, unit % blocks * BLOCK
            left = panel * _WIDTH
            height, columns = min(BLOCK, pixels - top), min(_WIDTH, n - left)
            _sums(
                a_base + image * image_bytes,
                given[5] + 8 * top,
                given[6],
                b_base + left * groups * GROUP,
                groups * GROUP * LANES,
                sums_base,
                groups,
                height,
                (columns + LANES - 1) // LANES,
            )
            right = left + columns
            for r in range(height):
                if given[11]:
                    y = held[r, :columns]
                else:
                    y = carray(pointer(c_base + size * ((image * pixels + top + r) * n + left)), (columns,), kind)
                _scaled(sums[r], offset[left:right], scale[left:right], bias[left:right], y, low)
            if given[11]:
                to = c_base + size * ((image * n + left) * pixels + top)
                transpose_block(zero, held_base, _WIDTH, to, pixels, height, columns)
        sums[0, 0], held[0, 0] = 0, zero  # alive until here

    return work


@register_jitable(error_model="numpy")
def _bytes(x, q, inverse, zero_point, low, high, shift):
    """q = clip(round(x inverse), low, high) + zero_point; True if x holds NaN.

    Half to even: value + shift has no fraction.
    """
    wrong = 0
    for j in range(x.size):
        wrong += x[j] != x[j]
        value = x[j] * inverse
        value = value if value > low else low
        value = value if value < high else high
        q[j] = np.uint8(np.int32((value + shift) - shift) + zero_point)
    return wrong > 0


@compiled
def _frame(zero):
    """a: x (images, C, H, W); b: bytes (images, H + before + after, W + ..., C'), C' = whole groups, set to the zero
    point; c: 1 / scale, zero point, room for 1 if x holds NaN. numbers: images, C, C', H, W, framed H and W, top, left.
    """
    kind = type(zero)
    shift = kind(1.5 * 2.0 ** (52 if kind is np.float64 else 23))

    def work(a_base, b_base, c_base, numbers, part, parts):
        given = carray(pointer(numbers), (9,), np.int64)
        images, channels, whole, height, width = given[0], given[1], given[2], given[3], given[4]
        c, size = carray(pointer(c_base), (3,), kind), item_size(zero)
        inverse, zero_point = c[0], np.int32(c[1])
        low, high = kind(-zero_point), kind(255 - zero_point)
        row = np.zeros((width, whole), kind)
        row_base, flat, wrong = row.ctypes.data, row.reshape(-1), False
        for line in range(images * height * part // parts, images * height * (part + 1) // parts):
            image, i = line // height, line % height
            source = a_base + size * ((image * channels * height + i) * width)
            to = b_base + ((image * given[5] + i + given[7]) * given[6] + given[8]) * whole
            if height * width == 1:  # a vector: the channels lie in order
                values = carray(pointer(source), (channels,), kind)
            else:
                transpose_block(zero, source, height * width, row_base, whole, channels, width)
                values = flat
            wrong |= _bytes(
                values, carray(pointer(to), (values.size,), np.uint8), inverse, zero_point, low, high, shift
            )
        if wrong:
            c[2] = kind(1)
        row[0, 0] = zero  # alive until here

    return work


def framed(x, scale, zero_point, frame=((0, 0), (0, 0))):
    """(clip(round(x / scale) + zero_point, 0, 255), does x hold NaN).

    x: (images, C, H, W) -> (images, top + H + bottom, left + W + right, C'), channels last, filled to whole groups of
    four; the frame and the filling are the zero point. frame: ((top, bottom), (left, right)).
    """
    images, channels, height, width = x.shape
    whole = -(-channels // GROUP) * GROUP
    (top, bottom), (left, right) = frame
    q = np.full((images, height + top + bottom, width + left + right, whole), zero_point, np.uint8)
    with np.errstate(over="ignore", divide="ignore"):
        given = np.array([x.dtype.type(1) / x.dtype.type(scale), zero_point, 0], x.dtype)
    if x.size:
        x = np.ascontiguousarray(x)
        numbers = (images, channels, whole, height, width, *q.shape[1:3], top, left)
        alone = x.size < _FRAME_PARALLEL_FROM
        run(_frame(x.dtype), *(v.view(np.float32) for v in (x.reshape(-1), q.reshape(-1), given)), numbers, alone=alone)
    return q, bool(given[2])


def product(q, packed, rows, steps, offset, scale, bias, *, planar, rectified=False):
    """y[i, p, o] = (sum over steps s of q[i][rows[p] + s] w[o, s] - offset[o]) scale[o] + bias[o].

    q: uint8, images along axis 0; packed: (blocks, groups, 16, 4) int8; rows: byte offsets (pixels + ROWS,), steps
    (groups,); offset: int32 (n,); scale, bias: floats (n,). -> (images, pixels, n), planar: (images, n, pixels).
    rectified: max(y, 0).
    """
    images, pixels, n, groups = q.shape[0], len(rows) - ROWS, len(offset), len(steps)
    y = np.empty((images, n, pixels) if planar else (images, pixels, n), scale.dtype)
    if not y.size:
        return y
    low = np.array([0 if rectified else -np.inf], scale.dtype)
    addresses = (v.ctypes.data for v in (rows, steps, offset, scale, bias, low))
    work = images * pixels * n * groups * GROUP
    units = images * -(-n // _WIDTH) * -(-pixels // BLOCK)
    numbers = (images, pixels, n, groups, q[0].size, *addresses, planar)
    run(
        _product(scale.dtype),
        *(v.reshape(-1).view(np.float32) for v in (q, packed, y)),
        numbers,
        alone=work < PARALLEL_FROM,
        parts=max(1, min(units, work // PART, 64)),
    )
    return y
