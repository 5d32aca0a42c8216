// softmax, log_softmax, logsumexp and their gradients along one axis, x seen as (outer, n, inner).
//
// rows: inner = 1. blockDim.x threads share a row, blockDim.y rows a block (then a row is one warp). A row is read once,
// kept in shared memory as A (`held`: it fits), its maximum and the sum of e**(x - maximum) found in one pass:
//   (m, s) + x = (m', s e**(m - m') + e**(x - m')),  m' = max(m, x)         Milakov, Gimelshein 2018, arXiv:1805.02867
// columns: inner > 1. One thread walks down a column, neighbours beside it.

struct Total {  // of a part of a row: its maximum, and the sum of e**(x - maximum)
    A top, sum;
};

DEVICE void include(Total &t, A x) {
    if (x <= t.top)
        t.sum += x == t.top ? A(1) : exp(x - t.top);  // equal also where both are infinite: their difference is NaN
    else {  // larger, or a NaN: then the sum is NaN from here on
        t.sum = t.sum * exp(t.top - x) + A(1);
        t.top = x;
    }
}

DEVICE Total merged(Total a, Total b) {
    Total t;
    t.top = maximum_of(a.top, b.top);
    t.sum = a.sum * (a.top == t.top ? A(1) : exp(a.top - t.top)) + b.sum * (b.top == t.top ? A(1) : exp(b.top - t.top));
    return t;
}

// Once in a kernel: nothing waits for the readers of `buffer`.
DEVICE Total row_total(Total t, A *buffer) {
#pragma unroll
    for (int d = WARP / 2; d; d /= 2) {
        Total other = {__shfl_xor_sync(ALL, t.top, d), __shfl_xor_sync(ALL, t.sum, d)};
        t = threadIdx.x & d ? merged(other, t) : merged(t, other);  // one order in both lanes: the same bits
    }
    if (blockDim.x == WARP) return t;
    if (threadIdx.x % WARP == 0) buffer[threadIdx.x / WARP] = t.top, buffer[WARP + threadIdx.x / WARP] = t.sum;
    __syncthreads();
    t = {buffer[0], buffer[WARP]};
    for (int w = 1; w < blockDim.x / WARP; ++w) t = merged(t, {buffer[w], buffer[WARP + w]});
    return t;
}

// what: 0 softmax, 1 log_softmax
DEVICE A result(A x, Total t, A log_sum, i64 what) {
    A d = x - t.top;  // NaN in a row of -inf, or with inf in it, as in the reference
    return what ? d - log_sum : exp(d) / t.sum;
}

DEVICE Total checked(Total t) {  // a row whose maximum is infinite has no softmax
    if (t.top == infinity() || t.top == -infinity()) t.sum = t.top - t.top;
    return t;
}

KERNEL softmax_rows(const T *x, T *y, i64 rows, i64 n, i64 what, i64 held) {
    SHARED_MEMORY(A, shared);
    A *buffer = shared, *line = shared + 2 * WARP + threadIdx.y * n;  // line: (blockDim.y, n)
    i64 row = i64(blockIdx.x) * blockDim.y + threadIdx.y;
    bool live = row < rows;
    x += row * n, y += row * n;
    Total t = {-infinity(), A(0)};
    if (live)
        for (i64 j = threadIdx.x; j < n; j += blockDim.x) {
            A v = load(x + j);
            if (held) line[j] = v;  // read again by the same thread alone
            include(t, v);
        }
    t = checked(row_total(t, buffer));
    A log_sum = log(t.sum);
    if (live)
        for (i64 j = threadIdx.x; j < n; j += blockDim.x)
            store(y + j, result(held ? line[j] : load(x + j), t, log_sum, what));
}

KERNEL softmax_columns(const T *x, T *y, i64 outer, i64 n, i64 inner, i64 what) {
    i64 column = i64(blockIdx.x) * blockDim.x + threadIdx.x;
    if (column >= outer * inner) return;
    i64 at = column / inner * n * inner + column % inner;
    Total t = {-infinity(), A(0)};
    for (i64 j = 0; j < n; ++j) include(t, load(x + at + j * inner));
    t = checked(t);
    A log_sum = log(t.sum);
    for (i64 j = 0; j < n; ++j) store(y + at + j * inner, result(load(x + at + j * inner), t, log_sum, what));
}

KERNEL logsumexp_rows(const T *x, T *y, i64 rows, i64 n) {
    SHARED_MEMORY(A, buffer);
    i64 row = i64(blockIdx.x) * blockDim.y + threadIdx.y;
    Total t = {-infinity(), A(0)};
    if (row < rows)
        for (i64 j = threadIdx.x; j < n; j += blockDim.x) include(t, load(x + row * n + j));
    t = row_total(t, buffer);
    if (row < rows && threadIdx.x == 0) store(y + row, log(t.sum) + t.top);
}

KERNEL logsumexp_columns(const T *x, T *y, i64 outer, i64 n, i64 inner) {
    i64 column = i64(blockIdx.x) * blockDim.x + threadIdx.x;
    if (column >= outer * inner) return;
    x += column / inner * n * inner + column % inner;
    Total t = {-infinity(), A(0)};
    for (i64 j = 0; j < n; ++j) include(t, load(x + j * inner));
    store(y + column, log(t.sum) + t.top);
}

// softmax: dx = y (g - sum(g y)); log_softmax: dx = g - e**y sum(g)
DEVICE A term(A g, A y, i64 what) { return what ? g : g * y; }
DEVICE A slope(A g, A y, A sum, i64 what) { return what ? g - exp(y) * sum : y * (g - sum); }

KERNEL softmax_backward_rows(const T *g, const T *y, T *dx, i64 rows, i64 n, i64 what) {
    SHARED_MEMORY(A, buffer);
    i64 row = i64(blockIdx.x) * blockDim.y + threadIdx.y;
    bool live = row < rows;
    g += row * n, y += row * n, dx += row * n;
    A sum = 0;
    if (live)
        for (i64 j = threadIdx.x; j < n; j += blockDim.x) sum += term(load(g + j), load(y + j), what);
    sum = row_all<Sum>(sum, buffer);
    if (live)
        for (i64 j = threadIdx.x; j < n; j += blockDim.x) store(dx + j, slope(load(g + j), load(y + j), sum, what));
}

KERNEL softmax_backward_columns(const T *g, const T *y, T *dx, i64 outer, i64 n, i64 inner, i64 what) {
    i64 column = i64(blockIdx.x) * blockDim.x + threadIdx.x;
    if (column >= outer * inner) return;
    i64 at = column / inner * n * inner + column % inner;
    A sum = 0;
    for (i64 j = at; j < at + n * inner; j += inner) sum += term(load(g + j), load(y + j), what);
    for (i64 j = at; j < at + n * inner; j += inner) store(dx + j, slope(load(g + j), load(y + j), sum, what));
}
