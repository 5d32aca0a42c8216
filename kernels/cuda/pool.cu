// Pooling over up to three spatial axes; with fewer, the first lengths are 1. x (planes, N0, N1, N2), y (planes, O0, O1,
// O2); one thread makes one element. Index: int, or i64 for large arrays.
#define AXES(name) i64 name##0, i64 name##1, i64 name##2

// The number of a thread's element among (O0, O1, O2), taken apart; p: its plane
#define PLACE(O)                                                      \
    Index at = Index(blockIdx.x) * blockDim.x + threadIdx.x;          \
    if (at >= count) return;                                          \
    Index rest = at / Index(O##2), i2 = at - rest * Index(O##2);      \
    Index more = rest / Index(O##1), i1 = rest - more * Index(O##1);  \
    Index p = more / Index(O##0), i0 = more - p * Index(O##0);

// The largest element of each window, the first if several, NaN if there is one, and its place among (N0, N1, N2).
KERNEL max_pool(const T *x, T *y, i64 *positions, i64 count, AXES(N), AXES(O), AXES(K), AXES(stride), AXES(pad), AXES(step)) {
    PLACE(O)
    Index s0 = i0 * Index(stride0) - Index(pad0), s1 = i1 * Index(stride1) - Index(pad1),
          s2 = i2 * Index(stride2) - Index(pad2);
    x += i64(p) * N0 * N1 * N2;
    A best = -infinity();
    Index where = -1;
    for (Index k0 = 0, a = s0; k0 < K0; ++k0, a += step0)
        if (a >= 0 && a < N0)
            for (Index k1 = 0, b = s1; k1 < K1; ++k1, b += step1)
                if (b >= 0 && b < N1)
                    for (Index k2 = 0, c = s2; k2 < K2; ++k2, c += step2)
                        if (c >= 0 && c < N2) {
                            Index place = (a * Index(N1) + b) * Index(N2) + c;
                            A v = load(x + place);
                            if (v > best || where < 0 || (is_nan(v) && !is_nan(best))) best = v, where = place;
                        }
    store(y + at, best);
    positions[at] = where < 0 ? 0 : where;
}

KERNEL window_sum(const T *x, T *y, i64 count, AXES(N), AXES(O), AXES(K), AXES(stride), AXES(pad)) {
    PLACE(O)
    x += i64(p) * N0 * N1 * N2;
    A sum = 0;
    for (Index k0 = 0, a = i0 * Index(stride0) - Index(pad0); k0 < K0; ++k0, ++a)
        if (a >= 0 && a < N0)
            for (Index k1 = 0, b = i1 * Index(stride1) - Index(pad1); k1 < K1; ++k1, ++b)
                if (b >= 0 && b < N1)
                    for (Index k2 = 0, c = i2 * Index(stride2) - Index(pad2); k2 < K2; ++k2, ++c)
                        if (c >= 0 && c < N2) sum += load(x + (a * Index(N1) + b) * Index(N2) + c);
    store(y + at, sum);
}

// The windows that hold place i of an axis: from ceil((i + pad - K + 1) / stride), at least 0, to (i + pad) / stride
DEVICE Index first_window(Index i, Index pad, Index K, Index stride) {
    Index reach = i + pad - K + 1;
    return reach <= 0 ? 0 : (reach + stride - 1) / stride;
}
DEVICE Index last_window(Index i, Index pad, Index stride, Index O) {
    Index last = (i + pad) / stride;
    return last < O ? last : O - 1;
}

KERNEL window_sum_backward(const T *dy, T *dx, i64 count, AXES(N), AXES(O), AXES(K), AXES(stride), AXES(pad)) {
    PLACE(N)
    dy += i64(p) * O0 * O1 * O2;
    Index to0 = last_window(i0, pad0, stride0, O0), to1 = last_window(i1, pad1, stride1, O1),
          to2 = last_window(i2, pad2, stride2, O2);
    A sum = 0;
    for (Index a = first_window(i0, pad0, K0, stride0); a <= to0; ++a)
        for (Index b = first_window(i1, pad1, K1, stride1); b <= to1; ++b)
            for (Index c = first_window(i2, pad2, K2, stride2); c <= to2; ++c)
                sum += load(dy + (a * Index(O1) + b) * Index(O2) + c);
    store(dx + at, sum);
}

// Window i of an axis reaches from floor(i N / O) to ceil((i + 1) N / O).
DEVICE Index begin_of(Index i, Index N, Index O) { return Index(i64(i) * N / O); }
DEVICE Index end_of(Index i, Index N, Index O) { return Index((i64(i + 1) * N + O - 1) / O); }

KERNEL adaptive_avg_pool(const T *x, T *y, i64 count, AXES(N), AXES(O)) {
    PLACE(O)
    x += i64(p) * N0 * N1 * N2;
    Index a0 = begin_of(i0, N0, O0), a1 = begin_of(i1, N1, O1), a2 = begin_of(i2, N2, O2);
    Index e0 = end_of(i0, N0, O0), e1 = end_of(i1, N1, O1), e2 = end_of(i2, N2, O2);
    A sum = 0;
    for (Index a = a0; a < e0; ++a)
        for (Index b = a1; b < e1; ++b)
            for (Index c = a2; c < e2; ++c) sum += load(x + (a * Index(N1) + b) * Index(N2) + c);
    store(y + at, sum / A(i64(e0 - a0) * (e1 - a1) * (e2 - a2)));
}

KERNEL adaptive_avg_pool_backward(const T *dy, T *dx, i64 count, AXES(N), AXES(O)) {
    PLACE(N)
    dy += i64(p) * O0 * O1 * O2;
    A sum = 0;  // the first window with a place i is floor(i O / N)
    for (Index a = begin_of(i0, O0, N0); a < O0 && begin_of(a, N0, O0) <= i0; ++a)
        for (Index b = begin_of(i1, O1, N1); b < O1 && begin_of(b, N1, O1) <= i1; ++b)
            for (Index c = begin_of(i2, O2, N2); c < O2 && begin_of(c, N2, O2) <= i2; ++c) {
                i64 of = i64(end_of(a, N0, O0) - begin_of(a, N0, O0)) * (end_of(b, N1, O1) - begin_of(b, N1, O1)) *
                         (end_of(c, N2, O2) - begin_of(c, N2, O2));
                sum += load(dy + (a * Index(O1) + b) * Index(O2) + c) / A(of);
            }
    store(dx + at, sum);
}
