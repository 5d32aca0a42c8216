// Convolution on tensor cores, over three spatial axes as in conv.cu, from copies with the channels last
// (channels_last.cu): 16 bytes are then several channels of one place, which all three products read together.
//
//   convolution_mma         y[m, n] = sum_k w[m, k] x[k, n]    m: channel of y, n: batch, place of y; k: (tap, channel)
//   convolution_mma_weight  dw[m, n] = sum_k dy[k, m] x[k, n]  m: channel of dy, n: (tap, channel of x); k: place of dy
//
// Adjoint, the place of x is the one from which a convolution leads to that of y: then x is dy, and y is dx.
// A block of 8 warps, 2 x 4, makes a tile of 32 TILES x 128, each warp 16 TILES x 32 of it. Tiles of DEPTH along k come
// to shared memory by asynchronous copies, STAGES - 1 of them on the way. taps: (k, 4) ints, 0 and the offsets.
#undef KERNEL
#define KERNEL extern "C" __global__ void __launch_bounds__(256, 2)  // registers for two blocks on a multiprocessor
const int THREADS = 256, M = TILES, ROWS = 32 * M, COLUMNS = 128;
struct Axes {
    int n0, n1, n2;
};
struct Geometry {  // lengths of x and of y, as the kernel reads and makes them
    Axes x, y, stride, pad;
};
#define AXES(name) i64 name##0, i64 name##1, i64 name##2
#define SHAPE AXES(X), AXES(Y), AXES(stride), AXES(pad)
#define GEOMETRY                                                                                               \
    Geometry g = {{int(X0), int(X1), int(X2)}, {int(Y0), int(Y1), int(Y2)},                                    \
                  {int(stride0), int(stride1), int(stride2)}, {int(pad0), int(pad1), int(pad2)}};              \
    int warp = threadIdx.x / WARP, own_row = warp % 2 * 16 * M, own_column = warp / 2 * 32;                    \
    int m0 = blockIdx.y * ROWS;                                                                                \
    float acc[M][4][4];                                                                                        \
    _Pragma("unroll") for (int k = 0; k < M * 16; ++k) acc[k / 16][k / 4 % 4][k % 4] = 0;

struct Place {  // in a batch of `count` images, or beside them
    bool there;
    int b, i0, i1, i2;
};

DEVICE Place place_of(int n, int count, Axes of) {
    int rest = n / of.n2, more = rest / of.n1;
    return {n < count, more / of.n0, more % of.n0, rest - more * of.n1, n - rest * of.n2};
}

// What the offsets of taps are added to, or adjoint taken from.
DEVICE Place start_of(Place p, const Geometry &g, bool adjoint) {
    p.i0 = adjoint ? p.i0 + g.pad.n0 : p.i0 * g.stride.n0 - g.pad.n0;
    p.i1 = adjoint ? p.i1 + g.pad.n1 : p.i1 * g.stride.n1 - g.pad.n1;
    p.i2 = adjoint ? p.i2 + g.pad.n2 : p.i2 * g.stride.n2 - g.pad.n2;
    return p;
}

template <bool adjoint> DEVICE bool led(int &i, int d, int stride, int n) {  // from a start by a tap to x's i
    i = adjoint ? i - d : i + d;
    if (adjoint && stride > 1) {
        if (i % stride) return false;
        i /= stride;
    }
    return unsigned(i) < unsigned(n);
}

// The offset of the place of x to which a start and a tap lead, in places of one image, or -1.
template <bool adjoint> DEVICE int source_of(const Geometry &g, Place p, int4 tap) {
    bool all = p.there && led<adjoint>(p.i0, tap.y, g.stride.n0, g.x.n0) &&
               led<adjoint>(p.i1, tap.z, g.stride.n1, g.x.n1) && led<adjoint>(p.i2, tap.w, g.stride.n2, g.x.n2);
    return all ? (p.i0 * g.x.n1 + p.i1) * g.x.n2 + p.i2 : -1;
}

// x (B, G, places, CP), w (G, channels, K) with K = taps CP, y (B, G channels, places). grid: (tiles n, tiles m, G)
KERNEL convolution_mma(const T *x, const T *w, const T *bias, T *y, const int *taps, i64 B, i64 G, i64 channels, i64 CP,
                       i64 K, i64 adjoint, SHAPE) {
    const int DEPTH = 64 / sizeof(T), LINE = DEPTH + V, PIECES = DEPTH / V, EACH = THREADS / PIECES;
    GEOMETRY
    SHARED_MEMORY(T, W);
    T *Xs = W + STAGES * ROWS * LINE;
    int n0 = blockIdx.x * COLUMNS, piece = threadIdx.x % PIECES * V, line = threadIdx.x / PIECES;
    int inside = g.x.n0 * g.x.n1 * g.x.n2, outside = g.y.n0 * g.y.n1 * g.y.n2, N = int(B) * outside;
    w += blockIdx.z * channels * K;
    Place mine[COLUMNS / EACH];
#pragma unroll
    for (int i = 0; i < COLUMNS / EACH; ++i) mine[i] = start_of(place_of(n0 + line + i * EACH, N, g.y), g, adjoint);
    int tap = piece / int(CP), c = piece - tap * int(CP);  // of the next piece
    auto bring = [&](int k0, int stage) {                  // called for k0 = 0, DEPTH, ...
        int k = k0 + piece;
        bool more = k < K;
        int4 d = reinterpret_cast<const int4 *>(taps)[more ? tap : 0];
#pragma unroll
        for (int i = 0; i < (ROWS + EACH - 1) / EACH; ++i) {
            int r = line + i * EACH;
            if (ROWS % EACH && r >= ROWS) break;
            bool there = more && m0 + r < channels;
            copy<16>(W + (stage * ROWS + r) * LINE + piece, there ? w + (m0 + r) * K + k : w, there);
        }
#pragma unroll
        for (int i = 0; i < COLUMNS / EACH; ++i) {
            Place p = mine[i];
            int from = !more ? -1 : adjoint ? source_of<true>(g, p, d) : source_of<false>(g, p, d);
            copy<16>(Xs + (stage * COLUMNS + line + i * EACH) * LINE + piece,
                     from < 0 ? x : x + ((i64(p.b) * G + blockIdx.z) * inside + from) * CP + c, from >= 0);
        }
        for (c += DEPTH; c >= CP; c -= CP) ++tap;
    };
#pragma unroll
    for (int s = 0; s < STAGES - 1; ++s) bring(s * DEPTH, s), commit();
    int stage = 0;
    for (int k0 = 0; k0 < K; k0 += DEPTH) {
        arrived<STAGES - 2>();
        __syncthreads();  // this stage is there, and the one before has been read
        bring(k0 + (STAGES - 1) * DEPTH, (stage + STAGES - 1) % STAGES), commit();
#pragma unroll
        for (int d = 0; d < DEPTH; d += DEEP) {
            u32 a[M][4], b[4];
#pragma unroll
            for (int m = 0; m < M; ++m) left_rows(a[m], W + (stage * ROWS + own_row + 16 * m) * LINE + d, LINE);
#pragma unroll
            for (int n = 0; n < 4; n += 2) {
                right_rows(b, Xs + (stage * COLUMNS + own_column + 8 * n) * LINE + d, LINE);
#pragma unroll
                for (int m = 0; m < M; ++m) mma<T>(acc[m][n], a[m], b), mma<T>(acc[m][n + 1], a[m], b + 2);
            }
        }
        stage = (stage + 1) % STAGES;
    }
    arrived<0>();
    int o = m0 + own_row + group();  // this thread's rows: o, o + 8, ...
    float plus[2 * M];
#pragma unroll
    for (int k = 0; k < 2 * M; ++k)
        plus[k] = bias && o + 8 * k < channels ? load(bias + blockIdx.z * channels + o + 8 * k) : A(0);
    bool even = outside % 2 == 0;  // then both columns of a thread are neighbours in memory
#pragma unroll
    for (int n = 0; n < 4; ++n)
#pragma unroll
        for (int i = 0; i < 2; ++i) {
            int column = n0 + own_column + 8 * n + 2 * within() + i, b = column / outside, at = column - b * outside;
            if (column >= N || (even && i)) continue;
            T *to = y + ((i64(b) * G + blockIdx.z) * channels + o) * outside + at;
#pragma unroll
            for (int k = 0; k < 2 * M; ++k, to += 8 * outside) {
                float two[2] = {acc[k / 2][n][k % 2 * 2] + plus[k], acc[k / 2][n][k % 2 * 2 + 1] + plus[k]};
                if (o + 8 * k >= channels) continue;
                if (even)
                    put<2>(to, two, 2, true);
                else
                    store(to, two[i]);
            }
        }
}

// x (B, G, places, CP), dy (B, G, places, OP), dw (G channels, parts, C tap_count). grid: (tiles n, tiles m, G parts)
KERNEL convolution_mma_weight(const T *x, const T *dy, float *dw, const int *taps, i64 B, i64 G, i64 channels, i64 OP,
                              i64 C, i64 CP, i64 tap_count, i64 parts, SHAPE) {
    const int DEPTH = 32, LEFT = ROWS + V, RIGHT = COLUMNS + V, PIECES = COLUMNS / V / 8;
    GEOMETRY
    SHARED_MEMORY(T, DY);
    T *Xs = DY + STAGES * DEPTH * LEFT;
    int n0 = blockIdx.x * COLUMNS, line = threadIdx.x / 8, first = threadIdx.x % 8 * V;
    i64 part = blockIdx.z % parts, own = blockIdx.z / parts;
    int inside = g.x.n0 * g.x.n1 * g.x.n2, outside = g.y.n0 * g.y.n1 * g.y.n2, N = int(tap_count * CP);
    i64 all = B * outside;
    int last = int(all * (part + 1) / parts);
    int channel[PIECES];
    int4 tap[PIECES];
#pragma unroll
    for (int i = 0; i < PIECES; ++i) {
        int n = n0 + first + i * 8 * V, of = n < N ? n / int(CP) : 0;
        tap[i] = reinterpret_cast<const int4 *>(taps)[of], channel[i] = n < N ? n - of * int(CP) : -1;
    }
    auto bring = [&](int k0, int stage) {
        Place p = place_of(k0 + line, last, g.y);
        Place start = start_of(p, g, false);
        i64 image = i64(p.b) * G + own, at = (p.i0 * g.y.n1 + p.i1) * g.y.n2 + p.i2;
#pragma unroll
        for (int i = 0; i < (ROWS + 8 * V - 1) / (8 * V); ++i) {
            int m = first + i * 8 * V;
            if (ROWS % (8 * V) && m >= ROWS) break;
            bool there = p.there && m0 + m < OP;
            const T *from = dy + (there ? (image * outside + at) * OP + m0 + m : 0);
            copy<16>(DY + (stage * DEPTH + line) * LEFT + m, from, there);
        }
#pragma unroll
        for (int i = 0; i < PIECES; ++i) {
            int from = channel[i] < 0 ? -1 : source_of<false>(g, start, tap[i]);
            copy<16>(Xs + (stage * DEPTH + line) * RIGHT + first + i * 8 * V,
                     from < 0 ? x : x + (image * inside + from) * CP + channel[i], from >= 0);
        }
    };
    int begin = int(all * part / parts), stage = 0;
#pragma unroll
    for (int s = 0; s < STAGES - 1; ++s) bring(begin + s * DEPTH, s), commit();
    for (int k0 = begin; k0 < last; k0 += DEPTH) {
        arrived<STAGES - 2>();
        __syncthreads();
        bring(k0 + (STAGES - 1) * DEPTH, (stage + STAGES - 1) % STAGES), commit();
#pragma unroll
        for (int d = 0; d < DEPTH; d += DEEP) {
            u32 a[M][4], b[4];
#pragma unroll
            for (int m = 0; m < M; ++m) left_columns(a[m], DY + (stage * DEPTH + d) * LEFT + own_row + 16 * m, LEFT);
#pragma unroll
            for (int n = 0; n < 4; n += 2) {
                right_columns(b, Xs + (stage * DEPTH + d) * RIGHT + own_column + 8 * n, RIGHT);
#pragma unroll
                for (int m = 0; m < M; ++m) mma<T>(acc[m][n], a[m], b), mma<T>(acc[m][n + 1], a[m], b + 2);
            }
        }
        stage = (stage + 1) % STAGES;
    }
    arrived<0>();
#pragma unroll
    for (int k = 0; k < M * 16; ++k) {
        int o = m0 + own_row + k / 16 * 16 + k % 4 / 2 * 8 + group();
        int n = n0 + own_column + k / 4 % 4 * 8 + 2 * within() + k % 2, of = n / int(CP), c = n - of * int(CP);
        if (o < channels && n < N && c < C)
            dw[(((own * channels + o) * parts + part) * C + c) * tap_count + of] = acc[k / 16][k / 4 % 4][k % 4];
    }
}
