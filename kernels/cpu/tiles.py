"""Register tiles, emitted as LLVM vector IR: the micro-kernels under matmul and convolution.

LLVM's auto-vectoriser does not keep a tile of C in registers over a loop; an `@intrinsic` that emits the vector code
itself does. Everything here is called with addresses (integers), so that one compiled tile serves arrays of any shape
and layout.

`multiply_block` computes C[m, n] (+)= A[m, k] @ B[k, n], where
    A[i, j] = a[rows[i] + steps[j]]     two tables of offsets: a matrix, its transpose, or the windows of an image
    (implicit GEMM) B[j, :] = b[j * b_stride : ... + n] rows of at most WIDE contiguous numbers: a packed panel, or a
    row-major matrix in place C[i, :] = c[i * c_stride : ... + n]
Each element of C is summed in the order of j by one chain of fused multiply-adds, whatever tile it falls into: results
do not depend on the number of threads.
"""

import llvmlite.binding
from llvmlite import ir
from numba import njit, types
from numba.core import cgutils
from numba.extending import intrinsic, overload

_FEATURES = llvmlite.binding.get_host_cpu_features()
_REGISTER_BYTES = 64 if _FEATURES.get("avx512f") else 32 if _FEATURES.get("avx2") else 16
# Accumulators + one row of B + one broadcast must fit the vector registers: 32 of them on AVX-512 and NEON, 16 on AVX2.
ROWS, VECTORS = (6, 2) if _REGISTER_BYTES == 32 else (6, 4)
NARROW_ROWS = 6 if _REGISTER_BYTES == 32 else 8  # tiles of one or two vectors, for the last or few columns
LANES = {types.float32: _REGISTER_BYTES // 4, types.float64: _REGISTER_BYTES // 8}
LONGEST_TILE = 8  # a table of row offsets is padded to m + LONGEST_TILE entries


class _Emit:
    """The IR builder with the few vector idioms used below, for one element type."""

    def __init__(self, builder, number):
        self.builder, self.lanes, self.bytes = builder, LANES[number], number.bitwidth // 8
        self.scalar = ir.FloatType() if number == types.float32 else ir.DoubleType()
        self.vector, self.bits = ir.VectorType(self.scalar, self.lanes), ir.VectorType(ir.IntType(1), self.lanes)
        self.suffix = f"v{self.lanes}f{number.bitwidth}"

    def int64(self, value):
        return ir.Constant(ir.IntType(64), value)

    def at(self, base, offset, kind=None):
        """A pointer to element `offset` counted from the address `base`."""
        pointer = self.builder.inttoptr(base, (kind or self.scalar).as_pointer())
        return self.builder.gep(pointer, [offset])

    def load_int64(self, base, offset):
        return self.builder.load(self.at(base, offset, ir.IntType(64)))

    def splat(self, scalar):
        kind = ir.VectorType(scalar.type, self.lanes)
        first = self.builder.insert_element(ir.Constant(kind, ir.Undefined), scalar, ir.Constant(ir.IntType(32), 0))
        zeros = ir.Constant(ir.VectorType(ir.IntType(32), self.lanes), [0] * self.lanes)
        return self.builder.shuffle_vector(first, ir.Constant(kind, ir.Undefined), zeros)

    def first_lanes(self, count):
        """A mask of the lanes below `count`."""
        lane = ir.Constant(ir.VectorType(ir.IntType(64), self.lanes), list(range(self.lanes)))
        return self.builder.icmp_signed("<", lane, self.splat(count))

    def load(self, pointer, mask=None):
        pointer = self.builder.bitcast(pointer, self.vector.as_pointer())
        if mask is None:
            value = self.builder.load(pointer)
            value.align = self.bytes
            return value
        kind = ir.FunctionType(self.vector, [pointer.type, ir.IntType(32), self.bits, self.vector])
        function = cgutils.get_or_insert_function(self.builder.module, kind, f"llvm.masked.load.{self.suffix}.p0")
        zero = ir.Constant(self.vector, [0.0] * self.lanes)
        return self.builder.call(function, [pointer, ir.Constant(ir.IntType(32), self.bytes), mask, zero])

    def store(self, value, pointer, mask=None):
        pointer = self.builder.bitcast(pointer, self.vector.as_pointer())
        if mask is None:
            self.builder.store(value, pointer).align = self.bytes
            return
        kind = ir.FunctionType(ir.VoidType(), [self.vector, pointer.type, ir.IntType(32), self.bits])
        function = cgutils.get_or_insert_function(self.builder.module, kind, f"llvm.masked.store.{self.suffix}.p0")
        self.builder.call(function, [value, pointer, ir.Constant(ir.IntType(32), self.bytes), mask])

    def fma(self, a, b, c):
        kind = ir.FunctionType(self.vector, [self.vector] * 3)
        return self.builder.call(
            cgutils.get_or_insert_function(self.builder.module, kind, f"llvm.fma.{self.suffix}"), [a, b, c]
        )


def _register_tile(n_rows, n_vectors, masked, scattered=False):
    """The intrinsic for a tile of n_rows x n_vectors vectors. `masked`: C has only `m` of the rows and `n` of the
    columns. `scattered`: c_stride is the address of a table, row r of C begins at c[table[r]].
    """

    def register_tile(typingctx, zero, a, rows, steps, b, b_stride, c, c_stride, k, m, n, accumulate):
        def codegen(context, builder, signature, arguments):
            _, a, rows, steps, b, b_stride, c, c_stride, k, m, n, accumulate = arguments
            emit = _Emit(builder, signature.args[0])
            tile = [(r, v) for r in range(n_rows) for v in range(n_vectors)]
            columns = [None] * n_vectors
            if masked:
                columns = [emit.first_lanes(builder.sub(n, emit.int64(v * emit.lanes))) for v in range(n_vectors)]
            a_row = [emit.at(a, emit.load_int64(rows, emit.int64(r))) for r in range(n_rows)]

            def c_row(r):
                return emit.load_int64(c_stride, emit.int64(r)) if scattered else builder.mul(emit.int64(r), c_stride)

            c_rows = [c_row(r) for r in range(n_rows)]

            def c_vector(r, v):
                return emit.at(c, builder.add(c_rows[r], emit.int64(v * emit.lanes)))

            def c_mask(r, v):
                return (
                    builder.and_(columns[v], emit.splat(builder.icmp_signed("<", emit.int64(r), m))) if masked else None
                )

            zeros = ir.Constant(emit.vector, [0.0] * emit.lanes)
            before = builder.block
            resume, loop = builder.append_basic_block("resume"), builder.append_basic_block("k")
            after = builder.append_basic_block("store")
            builder.cbranch(builder.icmp_signed("!=", accumulate, emit.int64(0)), resume, loop)
            builder.position_at_end(resume)
            old = {(r, v): emit.load(c_vector(r, v), c_mask(r, v)) for r, v in tile}
            builder.branch(loop)

            builder.position_at_end(loop)
            j, b_row = builder.phi(ir.IntType(64)), builder.phi(ir.IntType(64))
            total = {}
            for place in tile:
                total[place] = builder.phi(emit.vector)
                total[place].add_incoming(zeros, before)
                total[place].add_incoming(old[place], resume)
            step = emit.load_int64(steps, j)
            b_vectors = [emit.load(emit.at(b_row, emit.int64(v * emit.lanes)), columns[v]) for v in range(n_vectors)]
            out = {}
            for r in range(n_rows):
                a_value = emit.splat(builder.load(builder.gep(a_row[r], [step])))
                for v in range(n_vectors):
                    out[r, v] = emit.fma(a_value, b_vectors[v], total[r, v])
            next_j = builder.add(j, emit.int64(1))
            next_b = builder.add(b_row, builder.mul(b_stride, emit.int64(emit.bytes)))
            for block in (before, resume):
                j.add_incoming(emit.int64(0), block)
                b_row.add_incoming(b, block)
            j.add_incoming(next_j, loop)
            b_row.add_incoming(next_b, loop)
            for place in tile:
                total[place].add_incoming(out[place], loop)
            builder.cbranch(builder.icmp_signed("<", next_j, k), loop, after)

            builder.position_at_end(after)
            for r, v in tile:
                emit.store(out[r, v], c_vector(r, v), c_mask(r, v))
            return context.get_dummy_value()

        return types.void(zero, *([types.int64] * 11)), codegen

    return intrinsic(register_tile)


_full = _register_tile(ROWS, VECTORS, masked=False)
_edge = _register_tile(ROWS, VECTORS, masked=True)
_double = _register_tile(NARROW_ROWS, 2, masked=True)
_single = _register_tile(NARROW_ROWS, 1, masked=True)
_scattered, _scattered_double, _scattered_single = (
    _register_tile(height, width, masked=False, scattered=True)
    for height, width in ((ROWS, VECTORS), (NARROW_ROWS, 2), (NARROW_ROWS, 1))
)


def lanes(zero):
    """Numbers in one vector register, by the type of `zero`."""


@overload(lanes, inline="always")
def _lanes(zero):
    count = LANES[zero]
    return lambda zero: count


def whole_vectors(count, dtype):
    """`count` rounded up to whole vectors of numbers of the dtype."""
    width = _REGISTER_BYTES // dtype.itemsize
    return -(-count // width) * width


def item_size(zero):
    """Bytes of one number of the type of `zero`."""


@overload(item_size, inline="always")
def _item_size(zero):
    count = zero.bitwidth // 8
    return lambda zero: count


@njit(nogil=True, error_model="numpy")
def multiply_block(zero, a, rows, steps, b, b_stride, c, c_stride, m, n, k, accumulate):
    """C[m, n] (+)= A[m, k] @ B[k, n], see the top of the file; n <= VECTORS * lanes, k > 0.

    a, b, c: addresses of numbers of the type of `zero`. rows, steps: addresses of int64 offsets; rows has m +
    LONGEST_TILE entries, the surplus repeating a valid one, since a tile always reads all of its rows.
    """
    width, size = lanes(zero), 4 if lanes(zero) * 4 == _REGISTER_BYTES else 8
    i = 0
    if n > 2 * width or (VECTORS == 2 and n > width):
        if n == VECTORS * width:
            while i + ROWS <= m:
                _full(
                    zero, a, rows + 8 * i, steps, b, b_stride, c + size * i * c_stride, c_stride, k, ROWS, n, accumulate
                )
                i += ROWS
        while i < m:
            _edge(zero, a, rows + 8 * i, steps, b, b_stride, c + size * i * c_stride, c_stride, k, m - i, n, accumulate)
            i += ROWS
    elif n > width:
        while i < m:
            _double(
                zero, a, rows + 8 * i, steps, b, b_stride, c + size * i * c_stride, c_stride, k, m - i, n, accumulate
            )
            i += NARROW_ROWS
    else:
        while i < m:
            _single(
                zero, a, rows + 8 * i, steps, b, b_stride, c + size * i * c_stride, c_stride, k, m - i, n, accumulate
            )
            i += NARROW_ROWS


@njit(nogil=True, error_model="numpy")
def add_product(zero, a, rows, steps, b, b_stride, c, c_rows, m, n, k):
    """C[i] += (A[m, k] @ B[k, n])[i] where C[i] = c[c_rows[i] : ... + n], as multiply_block otherwise.

    n: whole vectors, at most VECTORS of them. rows and c_rows have m + LONGEST_TILE entries; the surplus of c_rows
    leads to numbers that nobody needs. No two of the other entries may lead to the same place.
    """
    width = lanes(zero)
    if n == VECTORS * width:
        for i in range(0, m, ROWS):
            _scattered(zero, a, rows + 8 * i, steps, b, b_stride, c, c_rows + 8 * i, k, ROWS, n, 1)
        return
    j, size = 0, item_size(zero)
    while j + 2 * width <= n:
        for i in range(0, m, NARROW_ROWS):
            _scattered_double(
                zero, a, rows + 8 * i, steps, b + size * j, b_stride, c + size * j, c_rows + 8 * i, k, ROWS, n, 1
            )
        j += 2 * width
    if j < n:
        for i in range(0, m, NARROW_ROWS):
            _scattered_single(
                zero, a, rows + 8 * i, steps, b + size * j, b_stride, c + size * j, c_rows + 8 * i, k, ROWS, n, 1
            )


@intrinsic
def _copy_row(typingctx, zero, source, target, n):
    """target[:n] = source[:n], n at most VECTORS vectors."""

    def codegen(context, builder, signature, arguments):
        _, source, target, n = arguments
        emit = _Emit(builder, signature.args[0])
        for v in range(VECTORS):
            mask, start = emit.first_lanes(builder.sub(n, emit.int64(v * emit.lanes))), emit.int64(v * emit.lanes)
            emit.store(emit.load(emit.at(source, start), mask), emit.at(target, start), mask)
        return context.get_dummy_value()

    return types.void(zero, types.int64, types.int64, types.int64), codegen


@njit(nogil=True, error_model="numpy")
def copy_block(zero, source, source_stride, target, target_stride, m, n):
    """target[i, :n] = source[i, :n] for i < m; n <= VECTORS * lanes; addresses, strides in numbers."""
    size = 4 if lanes(zero) * 4 == _REGISTER_BYTES else 8
    for i in range(m):
        _copy_row(zero, source + size * i * source_stride, target + size * i * target_stride, n)


def _transpose(masked):
    """The intrinsic target[j, i] = source[i, j] for one vector of i and of j; `masked`: for i < m, j < n. Addresses and
    strides in numbers."""

    def transpose_square(typingctx, zero, source, source_stride, target, target_stride, m, n):
        return types.void(zero, *([types.int64] * 6)), _transposing(masked)

    return intrinsic(transpose_square)


def _transposing(masked):
    def codegen(context, builder, signature, arguments):
        _, source, source_stride, target, target_stride, m, n = arguments
        emit = _Emit(builder, signature.args[0])
        count = emit.lanes
        across, down = (emit.first_lanes(n), emit.first_lanes(m)) if masked else (None, None)

        def mask(whole, index, limit):
            inside = masked and emit.splat(builder.icmp_signed("<", emit.int64(index), limit))
            return builder.and_(whole, inside) if masked else None

        vectors = [
            emit.load(emit.at(source, builder.mul(emit.int64(i), source_stride)), mask(across, i, m))
            for i in range(count)
        ]
        # log2(count) perfect shuffles of the rows, each interleaving row i with row i + count/2, transpose the square.
        low = ir.Constant(ir.VectorType(ir.IntType(32), count), [i // 2 + i % 2 * count for i in range(count)])
        high = ir.Constant(low.type, [(i + count) // 2 + i % 2 * count for i in range(count)])
        for _ in range(count.bit_length() - 1):
            pairs = list(zip(vectors[: count // 2], vectors[count // 2 :], strict=True))
            vectors = [builder.shuffle_vector(x, y, half) for x, y in pairs for half in (low, high)]
        for j in range(count):
            emit.store(vectors[j], emit.at(target, builder.mul(emit.int64(j), target_stride)), mask(down, j, n))
        return context.get_dummy_value()

    return codegen


_transpose_whole, _transpose_part = _transpose(masked=False), _transpose(masked=True)


@njit(nogil=True, error_model="numpy")
def transpose_block(zero, source, source_stride, target, target_stride, m, n):
    """target[j, i] = source[i, j] for i < m, j < n, through registers; addresses, strides in numbers."""
    width, size = lanes(zero), 4 if lanes(zero) * 4 == _REGISTER_BYTES else 8
    for i in range(0, m, width):
        for j in range(0, n, width):
            at, to = source + size * (i * source_stride + j), target + size * (j * target_stride + i)
            if i + width <= m and j + width <= n:
                _transpose_whole(zero, at, source_stride, to, target_stride, m, n)
            else:
                _transpose_part(zero, at, source_stride, to, target_stride, min(width, m - i), min(width, n - j))


@intrinsic
def split_pairs(typingctx, zero, source, n, even, odd):
    """even[i] = source[2 i], odd[i] = source[2 i + 1] for 2 i, 2 i + 1 < n; n at most two vectors."""

    def codegen(context, builder, signature, arguments):
        _, source, n, even, odd = arguments
        emit = _Emit(builder, signature.args[0])
        count = emit.lanes
        low = emit.load(emit.at(source, emit.int64(0)), emit.first_lanes(n))
        high = emit.load(emit.at(source, emit.int64(count)), emit.first_lanes(builder.sub(n, emit.int64(count))))
        for to, first in ((even, 0), (odd, 1)):
            order = ir.Constant(ir.VectorType(ir.IntType(32), count), list(range(first, 2 * count, 2)))
            half = builder.ashr(builder.add(n, emit.int64(1 - first)), emit.int64(1))
            emit.store(builder.shuffle_vector(low, high, order), emit.at(to, emit.int64(0)), emit.first_lanes(half))
        return context.get_dummy_value()

    return types.void(zero, *([types.int64] * 4)), codegen
