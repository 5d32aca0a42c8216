"""Linear maps along the last one to three axes, as interpolation and padding by copies need them, and their adjoints.

A row of y is made in two steps: the rows of x that its taps along the outer axes name are added up in a line, then the
map along the last axis reads that line. A row of one tap of weight 1 is read in place; one of the same single row as
the row before it is copied from there.

The last axis goes in vectors of places of y. The taps of a vector are entries, each of one of three kinds: neighbours,
which are one load; elements of two neighbouring vectors, which a processor with AVX-512 picks with one instruction; and
any others, gathered one by one. The entries are found once for each map.
"""

import functools
import math

import numpy as np
from llvmlite import ir
from numba import carray, types
from numba.core import cgutils
from numba.extending import intrinsic, register_jitable

from .threads import compiled, pointer, run
from .tiles import _REGISTER_BYTES, LANES, item_size, lanes
from .vectors import Vector, first, load, splat, store

PARALLEL_FROM = 16_384  # numbers of x and y
PART = 65_536  # numbers of y in a part of the job
PICKS = _REGISTER_BYTES == 64  # is there an instruction that picks from two vectors?
NEIGHBOURS, PICKED, GATHERED = 0, 1, 2
_ENTRY = 2  # numbers of an entry: its kind, and where its elements begin in the line


@intrinsic
def picked(typingctx, zero, address, n, places):
    """The numbers address[places[i]] of the two vectors at the address, of which only n numbers are memory; places:
    the address of as many int32 as a vector has lanes."""

    def codegen(context, builder, signature, arguments):
        _, address, n, places = arguments
        count, size = LANES[zero], zero.bitwidth // 8
        kind = ir.VectorType(ir.FloatType() if zero == types.float32 else ir.DoubleType(), count)
        bits, whole = ir.VectorType(ir.IntType(zero.bitwidth), count), ir.VectorType(ir.IntType(64), count)
        halves = []
        for start in (0, count):
            below = builder.sub(n, ir.Constant(ir.IntType(64), start))
            spread = builder.insert_element(ir.Constant(whole, ir.Undefined), below, ir.Constant(ir.IntType(32), 0))
            zeros = ir.Constant(ir.VectorType(ir.IntType(32), count), [0] * count)
            spread = builder.shuffle_vector(spread, ir.Constant(whole, ir.Undefined), zeros)
            keep = builder.icmp_signed("<", ir.Constant(whole, list(range(count))), spread)
            at = builder.inttoptr(builder.add(address, ir.Constant(ir.IntType(64), start * size)), kind.as_pointer())
            given = [at, ir.Constant(ir.IntType(32), size), keep, ir.Constant(kind, [0.0] * count)]
            halves.append(_called(builder, f"llvm.masked.load.v{count}f{zero.bitwidth}.p0", kind, given))
        index = _places(builder, places, count)
        index = index if zero.bitwidth == 32 else builder.zext(index, bits)
        name = f"llvm.x86.avx512.vpermi2var.p{'s' if zero.bitwidth == 32 else 'd'}.512"
        return _called(builder, name, kind, [halves[0], index, halves[1]])

    return Vector(zero)(zero, types.int64, types.int64, types.int64), codegen


@intrinsic
def gathered(typingctx, zero, address, places):
    """The numbers address[places[i]], 0 where places[i] is negative (then address[0] must be memory too); places: the
    address of as many int32 as a vector has lanes."""

    def codegen(context, builder, signature, arguments):
        _, address, places = arguments
        count = LANES[zero]
        scalar = ir.FloatType() if zero == types.float32 else ir.DoubleType()
        kind = ir.VectorType(scalar, count)
        index = _places(builder, places, count)
        zeros = ir.Constant(index.type, [0] * count)
        keep = builder.icmp_signed(">=", index, zeros)
        index = builder.select(keep, index, zeros)
        base, value = builder.inttoptr(address, scalar.as_pointer()), ir.Constant(kind, ir.Undefined)
        for i in range(count):  # one by one: the gather instruction of some processors is slower
            lane = ir.Constant(ir.IntType(32), i)
            place = builder.zext(builder.extract_element(index, lane), ir.IntType(64))
            value = builder.insert_element(value, builder.load(builder.gep(base, [place])), lane)
        return builder.select(keep, value, ir.Constant(kind, [0.0] * count))

    return Vector(zero)(zero, types.int64, types.int64), codegen


def _places(builder, address, count):
    kind = ir.VectorType(ir.IntType(32), count)
    index = builder.load(builder.inttoptr(address, kind.as_pointer()))
    index.align = 4
    return index


def _called(builder, name, result, arguments):
    kind = ir.FunctionType(result, [a.type for a in arguments])
    return builder.call(cgutils.get_or_insert_function(builder.module, kind, name), arguments)


@register_jitable(error_model="numpy")
def _added(zero, base, slabs, s_index, s_weight, rows, r_index, r_weight, width, height, target):
    """target[:] = the sum of weight * the row of x over slabs * rows taps; s_index ...: addresses of the taps."""
    kind, size, step = type(zero), item_size(zero), lanes(zero)
    s_at, s_by = carray(pointer(s_index), (slabs,), np.int64), carray(pointer(s_weight), (slabs,), kind)
    r_at, r_by = carray(pointer(r_index), (rows,), np.int64), carray(pointer(r_weight), (rows,), kind)
    for j in range(0, width, step):
        sums, keep = splat(zero, zero), first(zero, width - j)
        for s in range(slabs):
            for r in range(rows):
                x = base + size * ((s_at[s] * height + r_at[r]) * width + j)
                sums = sums + load(zero, x, keep, zero) * (s_by[s] * r_by[r])
        store(sums, target + size * j, keep)


@register_jitable(error_model="numpy")
def _along(zero, line, width, columns, starts, entries, places, weights, weighted, y):
    """y[:columns] = the map of line[:width] that the entries tell."""
    size, step = item_size(zero), lanes(zero)
    for q in range(0, columns, step):
        sums, keep = splat(zero, zero), first(zero, columns - q)
        block = q // step
        for e in range(starts[block], starts[block + 1]):
            at = line + size * entries[e, 1]
            if entries[e, 0] == NEIGHBOURS:
                value = load(zero, at, keep, zero)
            elif PICKS and entries[e, 0] == PICKED:
                value = picked(zero, at, width - entries[e, 1], places + 4 * step * e)
            else:
                value = gathered(zero, line, places + 4 * step * e)
            if weighted:
                value = value * load(zero, weights + size * step * e)
            sums = value if e == starts[block] else sums + value
        store(sums, y + size * q, keep)


@compiled
def _rows(zero):
    """a: x (planes, D, H, W); c: y (planes, OD, OH, OW). numbers: planes, D, H, W, OD, OH, OW, then for each of the two
    outer axes the addresses of the taps' starts, indices and weights, then for the last axis those of its starts,
    entries, places and weights (0: the axis is left alone) and whether it has weights; whether the outer axes have."""
    kind, size = type(zero), zero.itemsize

    def work(a_base, b_base, c_base, numbers, part, parts):
        n = carray(pointer(numbers), (19,), np.int64)
        planes, depth, height, width, slabs, rows, columns = n[0], n[1], n[2], n[3], n[4], n[5], n[6]
        s_start, r_start = carray(pointer(n[7]), (slabs + 1,), np.int64), carray(pointer(n[10]), (rows + 1,), np.int64)
        s_index, r_index = carray(pointer(n[8]), (1,), np.int64), carray(pointer(n[11]), (1,), np.int64)
        blocks = (columns + lanes(zero) - 1) // lanes(zero)
        starts = carray(pointer(n[13]), (blocks + 1,), np.int64)
        entries = carray(pointer(n[14]), (1, _ENTRY), np.int64)
        line = np.empty(width if n[13] else 0, kind)
        total, before = planes * slabs * rows, -1
        start, stop = total * part // parts, total * (part + 1) // parts
        p, s, r = start // (slabs * rows), start // rows % slabs, start % rows - 1
        for unit in range(start, stop):
            r += 1
            if r == rows:
                r, s = 0, s + 1
                if s == slabs:
                    s, p = 0, p + 1
            y = c_base + size * unit * columns
            s_taps, r_taps = s_start[s + 1] - s_start[s], r_start[r + 1] - r_start[r]
            base = a_base + size * p * depth * height * width
            if s_taps == r_taps == 1 and not n[18]:  # one row of x as it is
                source = base + size * (s_index[s_start[s]] * height + r_index[r_start[r]]) * width
                if source == before:
                    _copied(zero, y - size * columns, y, columns)
                elif n[13]:
                    _along(zero, source, width, columns, starts, entries, n[15], n[16], n[17], y)
                else:
                    _copied(zero, source, y, columns)
                before = source
                continue
            before = -1
            target = line.ctypes.data if n[13] else y
            _added(
                zero, base, s_taps, n[8] + 8 * s_start[s], n[9] + size * s_start[s],
                r_taps, n[11] + 8 * r_start[r], n[12] + size * r_start[r], width, height, target,
            )  # fmt: skip
            if n[13]:
                _along(zero, target, width, columns, starts, entries, n[15], n[16], n[17], y)
        line[:1] = zero  # alive until here: only its address was used

    return work


@register_jitable(error_model="numpy")
def _copied(zero, source, target, n):
    step, size = lanes(zero), item_size(zero)
    for j in range(0, n, step):
        keep = first(zero, n - j)
        store(load(zero, source + size * j, keep, zero), target + size * j, keep)


# ---- the tables ------------------------------------------------------------------------------------------------------
@functools.lru_cache(maxsize=256)
def _taps(m, dtype):
    """(starts (out + 1,), indices, weights, has it weights?) of the taps of a map, in the order of its places."""
    places, taps = np.nonzero(m.index.T >= 0)
    starts = np.searchsorted(places, np.arange(m.out + 1)).astype(np.int64)
    weights = np.ones(taps.size, dtype) if m.weight is None else m.weight[taps, places].astype(dtype)
    return starts, m.index[taps, places].astype(np.int64), weights, m.weight is not None


@functools.lru_cache(maxsize=256)
def _entries(m, dtype):
    """(starts (blocks + 1,), entries (n, 2), places (n, lanes), weights (n, lanes), has it weights?) of a map."""
    count = _REGISTER_BYTES // dtype.itemsize
    blocks = -(-m.out // count)
    index = np.full((len(m.index), blocks * count), -1, np.int64)
    index[:, : m.out] = m.index
    weight = np.zeros(index.shape, dtype)
    weight[:, : m.out] = 1 if m.weight is None else m.weight
    index, weight = (a.reshape(-1, blocks, count).transpose(1, 0, 2) for a in (index, weight))  # (blocks, taps, lanes)
    used = (index >= 0).any(axis=2)
    used[:, 0] = True  # a place without taps is 0
    block, _ = np.nonzero(used)
    starts = np.searchsorted(block, np.arange(blocks + 1)).astype(np.int64)
    places, weights = index[used], weight[used]  # (n, lanes)
    lane = np.arange(count)
    within = block[:, None] * count + lane < m.out  # lanes of y
    low = np.where(places >= 0, places, m.n).min(axis=1)
    taken = (places >= 0) | ~within
    span = places.max(axis=1) - low
    neighbours = ((places == places[:, :1] + lane) | ~within).all(axis=1) & (places[:, 0] >= 0)
    kinds = np.where(neighbours, NEIGHBOURS, GATHERED)
    if PICKS:
        kinds[~neighbours & taken.all(axis=1) & (span < 2 * count)] = PICKED
    base = np.where(kinds == GATHERED, 0, np.where(kinds == NEIGHBOURS, places[:, 0], low))
    places = np.where(places >= 0, places - base[:, None], np.where(kinds == GATHERED, -1, 0)[:, None])
    entries = np.stack([kinds, base], axis=1).astype(np.int64)
    return starts, entries, places.astype(np.int32), np.ascontiguousarray(weights), m.weight is not None


class _Same:
    """The map that leaves an axis of n elements alone."""

    def __init__(self, n):
        self.n, self.index, self.weight, self.out = n, np.arange(n)[None], None, n


_same = functools.lru_cache(maxsize=256)(_Same)


def resample(x, *, maps):
    """y = x with a linear map along each of its last one to three axes. x: (..., D, H, W), float32 or float64."""
    x = x if x.flags.carray else x.copy()
    kept = x.ndim - len(maps)
    lengths = x.shape[kept:]
    outs = tuple(m.out if m else n for m, n in zip(maps, lengths, strict=True))
    y = np.empty((*x.shape[:kept], *outs), x.dtype)
    if not x.size or not y.size:
        y[...] = 0
        return y
    last = maps[-1]
    maps, lengths, outs = ((None,) * (3 - len(maps)) + maps, *((1,) * (3 - len(maps)) + s for s in (lengths, outs)))
    outer = [_taps(m or _same(n), x.dtype) for m, n in zip(maps[:2], lengths)]
    inner = _entries(last, x.dtype) if last else ()
    numbers = (
        math.prod(x.shape[:kept]), *lengths, *outs,
        *(a.ctypes.data for taps in outer for a in taps[:3]),
        *([*(a.ctypes.data for a in inner[:4]), inner[4]] if last else [0] * 5), outer[0][3] or outer[1][3],
    )  # fmt: skip
    run(_rows(x.dtype), x, x, y, numbers, alone=x.size + y.size < PARALLEL_FROM, parts=max(2, y.size // PART))
    del outer, inner  # alive until here: only their addresses were used
    return y
