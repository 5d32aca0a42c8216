// Sums, maxima and minima over one axis of x seen as (outer, n, inner), in a fixed order: the same bits every time. `Op`
// is Sum, Max or Min; `In` and `Out` are T, or A for what goes between two passes.
//
// rows: inner = 1, threads of a row beside each other. columns: inner > 1, blocks of 32 columns and blockDim.y threads
// down each. Where there are few results, n is cut into `parts`, and the parts (outer, parts, inner) reduced again.

// The j from first + start on, `step` apart, below last; four sums at once, so that four loads are under way.
template <class Op, class X> DEVICE A reduced(const X *p, i64 start, i64 last, i64 step, i64 apart) {
    A a = Op::none(), b = a, c = a, d = a;
    i64 j = start;
    for (; j + 3 * step < last; j += 4 * step) {
        a = Op::of(a, load(p + j * apart));
        b = Op::of(b, load(p + (j + step) * apart));
        c = Op::of(c, load(p + (j + 2 * step) * apart));
        d = Op::of(d, load(p + (j + 3 * step) * apart));
    }
    for (; j < last; j += step) a = Op::of(a, load(p + j * apart));
    return Op::of(Op::of(a, b), Op::of(c, d));
}

// x (rows, n) to y (rows, parts); grid: (rows / blockDim.y, parts)
KERNEL reduce_rows(const In *x, Out *y, i64 rows, i64 n, i64 parts, double divisor) {
    SHARED_MEMORY(A, buffer);
    i64 row = i64(blockIdx.x) * blockDim.y + threadIdx.y, part = blockIdx.y;
    A sum = Op::none();
    if (row < rows) {
        i64 first = n * part / parts, last = n * (part + 1) / parts;
        sum = reduced<Op>(x + row * n, first + threadIdx.x, last, blockDim.x, 1);
    }
    sum = row_all<Op>(sum, buffer);
    if (row < rows && threadIdx.x == 0) store(y + row * parts + part, divisor == 1 ? sum : sum / A(divisor));
}

// x (outer, n, inner) to y (outer, parts, inner); grid: (outer * ceil(inner / 32), parts), blockDim: (32, rows)
KERNEL reduce_columns(const In *x, Out *y, i64 outer, i64 n, i64 inner, i64 parts, double divisor) {
    SHARED_MEMORY(A, buffer);  // (blockDim.y, 32)
    i64 tiles = (inner + WARP - 1) / WARP, o = blockIdx.x / tiles, part = blockIdx.y;
    i64 i = (blockIdx.x - o * tiles) * WARP + threadIdx.x;
    A sum = Op::none();
    if (i < inner)
        sum = reduced<Op>(x + o * n * inner + i, n * part / parts + threadIdx.y, n * (part + 1) / parts, blockDim.y, inner);
    buffer[threadIdx.y * WARP + threadIdx.x] = sum;
    __syncthreads();
    for (int half = blockDim.y / 2; half; half /= 2) {  // blockDim.y is a power of two
        if (threadIdx.y < half) {
            A other = buffer[(threadIdx.y + half) * WARP + threadIdx.x];
            buffer[threadIdx.y * WARP + threadIdx.x] = Op::of(buffer[threadIdx.y * WARP + threadIdx.x], other);
        }
        __syncthreads();
    }
    if (threadIdx.y == 0 && i < inner) {
        sum = buffer[threadIdx.x];
        store(y + (o * parts + part) * inner + i, divisor == 1 ? sum : sum / A(divisor));
    }
}

// dx = dy / count where x attains the extreme, else 0. x (rows, n), dy and extreme (rows,); a row a warp or a block
KERNEL extreme_backward(const In *dy, const In *x, const In *extreme, In *dx, i64 rows, i64 n) {
    SHARED_MEMORY(A, buffer);
    i64 row = i64(blockIdx.x) * blockDim.y + threadIdx.y;
    bool live = row < rows;
    A top = live ? load(extreme + row) : A(0), count = 0;
    x += row * n, dx += row * n;
    if (live)
        for (i64 j = threadIdx.x; j < n; j += blockDim.x) {
            A v = load(x + j);
            count += v == top || is_nan(v) ? A(1) : A(0);
        }
    count = row_all<Sum>(count, buffer);
    if (!live) return;
    A share = load(dy + row) / (count > 0 ? count : A(1));
    for (i64 j = threadIdx.x; j < n; j += blockDim.x) {
        A v = load(x + j);
        store(dx + j, v == top || is_nan(v) ? share : A(0));
    }
}
