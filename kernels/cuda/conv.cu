// Convolution as a product of matrices that are never formed (implicit GEMM), over three spatial axes; with fewer, the
// first lengths are 1. x (B, G Cg, N0, N1, N2), w (G Og, Cg, K0, K1, K2), y (B, G Og, O0, O1, O2), one group per
// blockIdx.z (of a gradient of w: group and part of the sum).
//
//   convolution          y[m, n]  = sum_k x[m, k] w[n, k]    m: batch and output place, n: output channel, k: (c, tap)
//   convolution_input    dx[m, n] = sum_k dy[m, k] w[k, n]   m: batch and input place, n: input channel, k: (o, tap)
//   convolution_weight   dw[m, n] = sum_k dy[k, m] x[k, n]   m: output channel, n: (c, tap), k: batch and output place
//
// A block of 256 threads makes a tile of 64 x 64, each thread 4 x 4 of it, 16 values apart, from tiles of 16 along k in
// shared memory. taps: (k, 4) ints, for each k: the offset of its element in x (or its channel in dy), and the offsets of
// the tap along the three axes.
const int TILE = 64, DEPTH = 16, SIDE = 16, EACH = TILE / SIDE, THREADS = SIDE * SIDE, LINE = TILE + 1;
#define AXES(name) int name##0, int name##1, int name##2
#define SHAPE AXES(N), AXES(O), AXES(stride), AXES(pad)

struct Geometry {
    int N0, N1, N2, O0, O1, O2, stride0, stride1, stride2, pad0, pad1, pad2;
};

struct Tap {
    int offset, d0, d1, d2;
};

DEVICE Tap tap_at(const int *taps, i64 k) {
    int4 t = reinterpret_cast<const int4 *>(taps)[k];
    return {t.x, t.y, t.z, t.w};
}

struct Place {  // of one element along the batch and three axes
    i64 b;
    int i0, i1, i2;
};

DEVICE Place place_of(i64 m, int n0, int n1, int n2) {
    i64 rest = m / n2, more = rest / n1;
    Place p;
    p.i2 = int(m - rest * n2), p.i1 = int(rest - more * n1), p.b = more / n0, p.i0 = int(more - p.b * n0);
    return p;
}

// acc[i][j] += sum over a tile of left[k][row] right[k][column], row = ty + 16 i, column = tx + 16 j
DEVICE void multiply(A (&acc)[EACH][EACH], const A *left, const A *right, int row, int column) {
#pragma unroll
    for (int k = 0; k < DEPTH; ++k) {
        A a[EACH], b[EACH];
#pragma unroll
        for (int i = 0; i < EACH; ++i) a[i] = left[k * LINE + row + SIDE * i], b[i] = right[k * LINE + column + SIDE * i];
#pragma unroll
        for (int i = 0; i < EACH; ++i)
#pragma unroll
            for (int j = 0; j < EACH; ++j) acc[i][j] += a[i] * b[j];
    }
}

#define INSIDE(g, a, b, c, n) (unsigned(a) < unsigned(g.n##0) && unsigned(b) < unsigned(g.n##1) && unsigned(c) < unsigned(g.n##2))

#define TILES                                                                        \
    SHARED_MEMORY(A, left);                                                          \
    A *right = left + DEPTH * LINE;                                                  \
    int t = threadIdx.x, fast = t % SIDE, slow = t / SIDE;                           \
    i64 m0 = i64(blockIdx.x) * TILE, n0 = i64(blockIdx.y) * TILE;                    \
    A acc[EACH][EACH];                                                               \
    for (int i = 0; i < EACH; ++i)                                                   \
        for (int j = 0; j < EACH; ++j) acc[i][j] = 0;

// One thread fills column t % 64 of the left tile (a place m, the same for all k) and rows k = t / 64, + 4, + 8, + 12.
#define ROWS_OF(t) t / TILE; k < DEPTH; k += THREADS / TILE

KERNEL convolution(const T *x, const T *w, const T *bias, T *y, const int *taps, i64 B, i64 G, i64 Cg, i64 Og, i64 K,
                   i64 N0, i64 N1, i64 N2, i64 O0, i64 O1, i64 O2, i64 stride0, i64 stride1, i64 stride2, i64 pad0,
                   i64 pad1, i64 pad2) {
    Geometry g = {int(N0), int(N1), int(N2), int(O0), int(O1), int(O2), int(stride0), int(stride1), int(stride2),
                  int(pad0), int(pad1), int(pad2)};
    TILES
    i64 group = blockIdx.z, inside = N0 * N1 * N2, outside = O0 * O1 * O2, M = B * outside;
    i64 m = m0 + t % TILE;
    Place p = place_of(m < M ? m : 0, g.O0, g.O1, g.O2);
    int s0 = p.i0 * g.stride0 - g.pad0, s1 = p.i1 * g.stride1 - g.pad1, s2 = p.i2 * g.stride2 - g.pad2;
    const T *from = x + (p.b * G + group) * Cg * inside + (i64(s0) * N1 + s1) * N2 + s2;
    for (i64 k0 = 0; k0 < K; k0 += DEPTH) {
        for (int k = ROWS_OF(t)) {
            A v = 0;
            if (m < M && k0 + k < K) {
                Tap tap = tap_at(taps, k0 + k);
                if (INSIDE(g, s0 + tap.d0, s1 + tap.d1, s2 + tap.d2, N)) v = load(from + tap.offset);
            }
            left[k * LINE + t % TILE] = v;
        }
        for (int n = slow; n < TILE; n += SIDE)  // 16 threads beside each other read 16 values of one row of w
            right[fast * LINE + n] =
                n0 + n < Og && k0 + fast < K ? load(w + (group * Og + n0 + n) * K + k0 + fast) : A(0);
        __syncthreads();
        multiply(acc, left, right, fast, slow);  // rows along threads: neighbours write neighbours
        __syncthreads();
    }
    for (int i = 0; i < EACH; ++i) {
        i64 row = m0 + fast + SIDE * i;
        if (row >= M) continue;
        i64 b = row / outside, at = row - b * outside;
        for (int j = 0; j < EACH; ++j) {
            i64 n = n0 + slow + SIDE * j;
            if (n < Og)
                store(y + ((b * G + group) * Og + n) * outside + at, acc[i][j] + (bias ? load(bias + group * Og + n) : A(0)));
        }
    }
}

// offsets: where w's element of k stands for n = 0; tap_size: K0 K1 K2, from one n to the next
KERNEL convolution_input(const T *dy, const T *w, T *dx, const int *taps, const int *offsets, i64 B, i64 G, i64 Cg, i64 Og,
                         i64 K, i64 tap_size, i64 N0, i64 N1, i64 N2, i64 O0, i64 O1, i64 O2, i64 stride0, i64 stride1,
                         i64 stride2, i64 pad0, i64 pad1, i64 pad2) {
    Geometry g = {int(N0), int(N1), int(N2), int(O0), int(O1), int(O2), int(stride0), int(stride1), int(stride2),
                  int(pad0), int(pad1), int(pad2)};
    TILES
    i64 group = blockIdx.z, inside = N0 * N1 * N2, outside = O0 * O1 * O2, M = B * inside;
    i64 m = m0 + t % TILE;
    Place p = place_of(m < M ? m : 0, g.N0, g.N1, g.N2);
    int s0 = p.i0 + g.pad0, s1 = p.i1 + g.pad1, s2 = p.i2 + g.pad2;
    const T *from = dy + (p.b * G + group) * Og * outside;
    w += group * Og * Cg * tap_size;
    for (i64 k0 = 0; k0 < K; k0 += DEPTH) {
        for (int k = ROWS_OF(t)) {
            A v = 0;
            if (m < M && k0 + k < K) {
                Tap tap = tap_at(taps, k0 + k);
                int a = s0 - tap.d0, b = s1 - tap.d1, c = s2 - tap.d2;  // stride times the output place
                bool whole = a >= 0 && b >= 0 && c >= 0;
                if (g.stride0 > 1) whole = whole && a % g.stride0 == 0, a /= g.stride0;
                if (g.stride1 > 1) whole = whole && b % g.stride1 == 0, b /= g.stride1;
                if (g.stride2 > 1) whole = whole && c % g.stride2 == 0, c /= g.stride2;
                if (whole && INSIDE(g, a, b, c, O)) v = load(from + tap.offset + (i64(a) * O1 + b) * O2 + c);
            }
            left[k * LINE + t % TILE] = v;
        }
        for (int n = slow; n < TILE; n += SIDE)
            right[fast * LINE + n] =
                n0 + n < Cg && k0 + fast < K ? load(w + offsets[k0 + fast] + (n0 + n) * tap_size) : A(0);
        __syncthreads();
        multiply(acc, left, right, fast, slow);
        __syncthreads();
    }
    for (int i = 0; i < EACH; ++i) {
        i64 row = m0 + fast + SIDE * i;
        if (row >= M) continue;
        i64 b = row / inside, at = row - b * inside;
        for (int j = 0; j < EACH; ++j) {
            i64 n = n0 + slow + SIDE * j;
            if (n < Cg) store(dx + ((b * G + group) * Cg + n) * inside + at, acc[i][j]);
        }
    }
}

// dw: (G Og, parts, N) in `Out`; N: Cg K0 K1 K2
KERNEL convolution_weight(const T *x, const T *dy, Out *dw, const int *taps, i64 B, i64 G, i64 Cg, i64 Og, i64 N, i64 parts,
                          i64 N0, i64 N1, i64 N2, i64 O0, i64 O1, i64 O2, i64 stride0, i64 stride1, i64 stride2, i64 pad0,
                          i64 pad1, i64 pad2) {
    Geometry g = {int(N0), int(N1), int(N2), int(O0), int(O1), int(O2), int(stride0), int(stride1), int(stride2),
                  int(pad0), int(pad1), int(pad2)};
    TILES
    i64 group = blockIdx.z / parts, part = blockIdx.z - group * parts;
    i64 inside = N0 * N1 * N2, outside = O0 * O1 * O2, K = B * outside, last = K * (part + 1) / parts;
    Tap tap[EACH];
    for (int j = 0; j < EACH; ++j) {
        i64 n = n0 + slow + SIDE * j;
        tap[j] = tap_at(taps, n < N ? n : 0);
    }
    for (i64 k0 = K * part / parts; k0 < last; k0 += DEPTH) {
        i64 k = k0 + fast;  // 16 threads beside each other read 16 places of one channel
        Place p = place_of(k < last ? k : 0, g.O0, g.O1, g.O2);
        i64 at = (i64(p.i0) * O1 + p.i1) * O2 + p.i2;
        int s0 = p.i0 * g.stride0 - g.pad0, s1 = p.i1 * g.stride1 - g.pad1, s2 = p.i2 * g.stride2 - g.pad2;
        const T *from = x + (p.b * G + group) * Cg * inside + (i64(s0) * N1 + s1) * N2 + s2;
        for (int j = 0; j < EACH; ++j) {
            i64 m = m0 + slow + SIDE * j, n = n0 + slow + SIDE * j;
            left[fast * LINE + slow + SIDE * j] =
                k < last && m < Og ? load(dy + ((p.b * G + group) * Og + m) * outside + at) : A(0);
            bool live = k < last && n < N && INSIDE(g, s0 + tap[j].d0, s1 + tap[j].d1, s2 + tap[j].d2, N);
            right[fast * LINE + slow + SIDE * j] = live ? load(from + tap[j].offset) : A(0);
        }
        __syncthreads();
        multiply(acc, left, right, slow, fast);  // columns along threads: neighbours write neighbours
        __syncthreads();
    }
    for (int i = 0; i < EACH; ++i) {
        i64 m = m0 + slow + SIDE * i;
        if (m >= Og) continue;
        for (int j = 0; j < EACH; ++j) {
            i64 n = n0 + fast + SIDE * j;
            if (n < N) store(dw + ((group * Og + m) * parts + part) * N + n, acc[i][j]);
        }
    }
}
