// Attention and its gradients on tensor cores: what attention.cu computes, for halves, and for floats in TF32. The
// arguments and D, E, MASKED, MaskType, DROPS are those of attention.cu; log_total is float. The same bits every time.
//
// WARPS warps share a block's rows, 16 M each in whole tiles: queries (attention_mma, attention_mma_queries) or keys
// (attention_mma_keys); past them go tiles of the other side, copied while the tile before is multiplied. Scores and
// sums stay in registers, in the layout of results (tensor_cores.cuh), which is also that of a left operand: a weight
// goes from q k.mT to p v without shared memory. For its sake attention_mma_keys makes the scores transposed. Weights
// and slopes are rounded to T for the second product, as Dao 2023 has them. FORWARD_M, FORWARD_KEYS, QUERIES_M,
// QUERIES_KEYS, KEYS_M and KEYS_QUERIES are chosen in attention_mma.py, which says why.
const int THREADS = WARPS * WARP, DL = LINE_OF(D), EL = LINE_OF(E), DN = PADDED(D) / 8, EN = PADDED(E) / 8;
const float LOG2E = 1.4426950408889634f, LN2 = 0.6931471805599453f;  // powers of 2 are one instruction

struct Call {
    int T_, S;
    i64 heads1, m0, m1, mt, ms, causal;
    const MaskType *mask;
    const i64 *seed;
    float scale, kept;
    i64 threshold;
};  // positions along T and S are ints, offsets in arrays i64

// rows [first, first + rows) of x (count, width) to shared memory; 0 behind the last, and behind each to PADDED(width)
template <int width, int rows> DEVICE void tile(T *to, const T *x, int first, int count) {
    const int step = width % V ? 1 : V, n = PADDED(width) / step, all = rows * n;
#pragma unroll
    for (int i = 0; i < (all + THREADS - 1) / THREADS; ++i) {
        int k = threadIdx.x + i * THREADS, row = k / n, at = (k - row * n) * step;
        if (all % THREADS && k >= all) break;
        bool there = first + row < count && (at < width || PADDED(width) == width);
        T *place = to + row * LINE_OF(width) + at;
        const T *from = x + (there ? i64(first + row) * width + at : 0);
        if constexpr (width % V)
            store(place, there ? load(from) : A(0));
        else
            copy<16>(place, from, there);
    }
}

// count numbers to shared memory, 0 behind the last
template <int rows> DEVICE void line(float *to, const float *x, int first, int count) {
    for (int k = threadIdx.x; k < rows; k += THREADS)
        copy<4>(to + k, x + (first + k < count ? first + k : 0), first + k < count);
}

// The score of query t and key s of head n in powers of 2, -inf where it is not seen.
DEVICE float scored(const Call &c, float product, i64 n, int t, int s) {
    if (t >= c.T_ || s >= c.S || (c.causal && s > t)) return -infinity();
    float score = product * c.scale;
#if MASKED
    i64 h0 = n / c.heads1, at = h0 * c.m0 + (n - h0 * c.heads1) * c.m1 + t * c.mt + s * c.ms;
#if MASKED == 1
    if (!c.mask[at]) return -infinity();
#else
    score += load(c.mask + at) * LOG2E;
#endif
#endif
    return score;
}

// Which of two weights are not dropped: those of keys s (even) and s + 1, or, turned, of queries t and t + 1.
template <bool turned> DEVICE void draw(bool (&stays)[2], const Call &c, i64 n, int t, int s) {
#if DROPS
    u32 w[4];
    for (int i = 0; i < 2; ++i) {
        if (turned || i == 0) philox(w, u32(t + i), u32(s / 4), u32(n), u32(c.seed[0]), u32(c.seed[1]));
        int at = turned ? s % 4 : s % 4 + i;
        stays[i] = i64(at & 2 ? (at & 1 ? w[3] : w[2]) : (at & 1 ? w[1] : w[0])) >= c.threshold;
    }
#else
    stays[0] = stays[1] = true;
#endif
}

#define CALL                                                                                        \
    Call c = {int(T_), int(S), heads1, m0,   m1, mt, ms, causal,                                    \
              mask,    seed,   float(scale) * LOG2E, float(kept), threshold};                       \
    i64 n = blockIdx.y;                                                                             \
    int first = (causal ? gridDim.x - 1 - blockIdx.x : blockIdx.x) * ROWS; /* the longest first */
#define COMMON                                                                                                    \
    const MaskType *mask, const i64 *seed, i64 T_, i64 S, i64 repeat, i64 heads1, i64 m0, i64 m1, i64 mt, i64 ms, \
        i64 causal, i64 threshold, double scale, double kept
// this thread's rows (m, h) of its warp's 16 M, and its pairs of columns j
#define EACH_ROW(m, h) _Pragma("unroll") for (int m = 0; m < M; ++m) _Pragma("unroll") for (int h = 0; h < 2; ++h)
#define EACH_PAIR(j, count) _Pragma("unroll") for (int j = 0; j < count; ++j)
#define BOTH(i) _Pragma("unroll") for (int i = 2 * h; i < 2 * h + 2; ++i)
#define ROW(m, h) (16 * m + 8 * h + group())
#define COLUMN(j) (8 * j + 2 * within())

template <int M, int N> DEVICE void nothing(float (&x)[M][N][4]) {
#pragma unroll
    for (int k = 0; k < M * N * 4; ++k) x[k / 4 / N][k / 4 % N][k % 4] = 0;
}

// The scores of products, all of which are seen if `whole`; rows begin at query t and columns at key s, or, turned, the
// other way round. Returns what they are still to be multiplied by: not 0 or less, so that it keeps their order.
template <bool turned, int M, int N>
DEVICE float see(float (&score)[M][N][4], const Call &c, bool whole, i64 n, int t, int s) {
    if (whole && c.scale > 0) return c.scale;
    EACH_ROW(m, h) EACH_PAIR(j, N) BOTH(i) {
        int row = ROW(m, h), column = COLUMN(j) + i % 2;
        score[m][j][i] = scored(c, score[m][j][i], n, t + (turned ? column : row), s + (turned ? row : column));
    }
    return 1;
}

// row[0:width] = x factor, of the two of each four elements that this thread has in half h
template <int width, int N> DEVICE void put_row(T *row, const float (&x)[N][4], int h, float factor) {
#pragma unroll
    for (int j = 0; j < N; ++j) {
        int column = COLUMN(j);
        float two[2] = {x[j][2 * h] * factor, x[j][2 * h + 1] * factor};
        put<2>(row + column, two, width % 16 == 0 || width - column > 2 ? 2 : width - column, width % 2 == 0);
    }
}

// grid: (tiles of queries, N). log_total (N, T)
KERNEL attention_mma(const T *q, const T *k, const T *v, T *y, float *log_total, COMMON) {
    const int M = FORWARD_M, KEYS = FORWARD_KEYS, N = KEYS / 8, ROWS = WARPS * 16 * M;
    CALL
    SHARED_MEMORY(T, Q);
    T *K = Q + ROWS * DL, *Vs = K + 2 * KEYS * DL;  // two tiles of each
    int own = threadIdx.x / WARP * 16 * M, mine = first + own;  // the warp's first row
    q += n * T_ * D, y += n * T_ * E, log_total += n * T_;
    k += n / repeat * S * D, v += n / repeat * S * E;
    float top[M][2], sum[M][2], acc[M][EN][4];
    nothing(acc);
    EACH_ROW(m, h) top[m][h] = -infinity(), sum[m][h] = 0;
    int end = causal && first + ROWS < S ? first + ROWS : int(S);  // keys from here on: seen by no query of this block
    auto bring = [&](int s0, int side) {
        tile<D, KEYS>(K + side * KEYS * DL, k, s0, S), tile<E, KEYS>(Vs + side * KEYS * EL, v, s0, S);
    };
    tile<D, ROWS>(Q, q, first, T_), bring(0, 0), commit();
    int side = 0;
    for (int s0 = 0; s0 < end; s0 += KEYS, side ^= 1) {
        arrived<0>();
        __syncthreads();  // all of this tile is there, and the one before has been read
        if (s0 + KEYS < end) bring(s0 + KEYS, 1 - side);
        commit();
        bool whole = !MASKED && s0 + KEYS <= S && (!causal || s0 + KEYS <= mine + 1);
        float score[M][N][4];
        products<D>(score, Q + own * DL, K + side * KEYS * DL);
        float factor = see<false>(score, c, whole, n, mine, s0);
        EACH_ROW(m, h) {
            float most = -infinity(), part = 0;
            EACH_PAIR(j, N) BOTH(i) most = fmax(most, score[m][j][i]);  // a NaN shows in the sum
            most = fmax(top[m][h], over_row<Max>(most) * factor);
            float by = most == -infinity() ? 0 : most, shrink = power_of_2(top[m][h] - by);  // -inf - -inf is NaN
            EACH_PAIR(j, N) {
                bool stays[2];
                draw<false>(stays, c, n, mine + ROW(m, h), s0 + COLUMN(j));
                BOTH(i) {
                    float p = power_of_2(score[m][j][i] * factor - by);
                    part += p;
                    score[m][j][i] = stays[i % 2] ? p : 0;
                }
            }
            sum[m][h] = sum[m][h] * shrink + part, top[m][h] = most;
            EACH_PAIR(j, EN) BOTH(i) acc[m][j][i] *= shrink;
        }
        add_weighted<E>(acc, score, Vs + side * KEYS * EL);
    }
    EACH_ROW(m, h) {
        int t = mine + ROW(m, h);
        float total = over_row<Sum>(sum[m][h]), most = top[m][h];
        if (MASKED && most == -infinity()) most = 0;
        if (MASKED && total == 0) total = 1;  // a query that sees no key gets zeros
        if (t < T_) put_row<E>(y + i64(t) * E, acc[m], h, (DROPS ? c.kept : 1) / total);
        if (t < T_ && within() == 0) log_total[t] = most * LN2 + log(total);
    }
}

// p = e**(score - log_total) and ds = p (d dy v.mT - delta), where d is what dropout makes of ones, in place of the two
// products; p becomes p d, without the factor of those that stay. Of two columns, as in `draw`.
template <bool turned>
DEVICE void slopes(float *score, float *slope, const Call &c, float factor, i64 n, int t, int s, const float *log_total,
                   const float *delta) {
    bool stays[2];
    draw<turned>(stays, c, n, t, s);
#pragma unroll
    for (int i = 0; i < 2; ++i) {
        float p = power_of_2(score[i] * factor - log_total[turned ? i : 0] * LOG2E);
        slope[i] = p * ((stays[i] ? slope[i] * (DROPS ? c.kept : 1) : 0) - delta[turned ? i : 0]);
        score[i] = stays[i] ? p : 0;
    }
}

// grid: (tiles of queries, N). delta (N, T) = sum(dy y) over E
KERNEL attention_mma_queries(const T *dy, const T *q, const T *k, const T *v, const T *y, const float *log_total,
                             float *delta, T *dq, COMMON) {
    const int M = QUERIES_M, KEYS = QUERIES_KEYS, N = KEYS / 8, ROWS = WARPS * 16 * M;
    CALL
    SHARED_MEMORY(T, Q);
    T *DY = Q + ROWS * DL, *K = DY + ROWS * EL, *Vs = K + 2 * KEYS * DL;
    int own = threadIdx.x / WARP * 16 * M, mine = first + own;  // the warp's first row
    dy += n * T_ * E, y += n * T_ * E, q += n * T_ * D, dq += n * T_ * D, log_total += n * T_, delta += n * T_;
    k += n / repeat * S * D, v += n / repeat * S * E;
    float less[M][2], mean[M][2], acc[M][DN][4];
    nothing(acc);
    int end = causal && first + ROWS < S ? first + ROWS : int(S);
    auto bring = [&](int s0, int side) {
        tile<D, KEYS>(K + side * KEYS * DL, k, s0, S), tile<E, KEYS>(Vs + side * KEYS * EL, v, s0, S);
    };
    tile<D, ROWS>(Q, q, first, T_), tile<E, ROWS>(DY, dy, first, T_), bring(0, 0), commit();
    EACH_ROW(m, h) {
        int t = mine + ROW(m, h);
        float sum = 0;
        for (int e = within() * V; t < T_ && e < E; e += 4 * V) {
            float a[V], b[V];
            int count = E % V == 0 || E - e > V ? V : E - e;
            fetch<V>(a, dy + i64(t) * E + e, 1, count, E % V == 0);
            fetch<V>(b, y + i64(t) * E + e, 1, count, E % V == 0);
#pragma unroll
            for (int i = 0; i < V; ++i) sum += a[i] * b[i];
        }
        mean[m][h] = over_row<Sum>(sum), less[m][h] = t < T_ ? log_total[t] : 0;
        if (t < T_ && within() == 0) delta[t] = mean[m][h];
    }
    int side = 0;
    for (int s0 = 0; s0 < end; s0 += KEYS, side ^= 1) {
        arrived<0>();
        __syncthreads();
        if (s0 + KEYS < end) bring(s0 + KEYS, 1 - side);
        commit();
        bool whole = !MASKED && s0 + KEYS <= S && (!causal || s0 + KEYS <= mine + 1);
        float score[M][N][4], slope[M][N][4];
        products<D>(score, Q + own * DL, K + side * KEYS * DL);
        products<E>(slope, DY + own * EL, Vs + side * KEYS * EL);
        float factor = see<false>(score, c, whole, n, mine, s0);
        EACH_ROW(m, h) EACH_PAIR(j, N)
            slopes<false>(score[m][j] + 2 * h, slope[m][j] + 2 * h, c, factor, n, mine + ROW(m, h), s0 + COLUMN(j),
                          &less[m][h], &mean[m][h]);
        add_weighted<D>(acc, slope, K + side * KEYS * DL);
    }
    EACH_ROW(m, h) {
        int t = mine + ROW(m, h);
        if (t < T_) put_row<D>(dq + i64(t) * D, acc[m], h, float(scale));
    }
}

// grid: (tiles of keys, N / repeat); the heads that share keys one after the other
KERNEL attention_mma_keys(const T *dy, const T *q, const T *k, const T *v, const float *log_total, const float *delta,
                          T *dk, T *dv, COMMON) {
    const int M = KEYS_M, QUERIES = KEYS_QUERIES, N = QUERIES / 8, ROWS = WARPS * 16 * M;
    CALL
    first = blockIdx.x * ROWS;  // the first keys are seen by most
    SHARED_MEMORY(T, K);
    T *Vs = K + ROWS * DL, *Q = Vs + ROWS * EL, *DY = Q + 2 * QUERIES * DL;
    float *less = reinterpret_cast<float *>(DY + 2 * QUERIES * EL), *mean = less + 2 * QUERIES;
    int own = threadIdx.x / WARP * 16 * M, mine = first + own;  // the warp's first row
    i64 head = n;
    int begin = causal ? first / QUERIES * QUERIES : 0;  // earlier queries see none of these keys
    int tiles = begin < T_ ? (int(T_) - begin + QUERIES - 1) / QUERIES : 0, steps = int(repeat) * tiles;
    auto bring = [&](int step, int side) {
        i64 n = head * repeat + step / tiles;
        int t0 = begin + step % tiles * QUERIES;
        tile<D, QUERIES>(Q + side * QUERIES * DL, q + n * T_ * D, t0, T_);
        tile<E, QUERIES>(DY + side * QUERIES * EL, dy + n * T_ * E, t0, T_);
        line<QUERIES>(less + side * QUERIES, log_total + n * T_, t0, T_);
        line<QUERIES>(mean + side * QUERIES, delta + n * T_, t0, T_);
    };
    float sum_k[M][DN][4], sum_v[M][EN][4];
    nothing(sum_k), nothing(sum_v);
    tile<D, ROWS>(K, k + head * S * D, first, S), tile<E, ROWS>(Vs, v + head * S * E, first, S);
    if (steps) bring(0, 0);
    commit();
    int side = 0;
    for (int step = 0; step < steps; ++step, side ^= 1) {
        arrived<0>();
        __syncthreads();
        if (step + 1 < steps) bring(step + 1, 1 - side);
        commit();
        n = head * repeat + step / tiles;
        int t0 = begin + step % tiles * QUERIES;
        bool whole = !MASKED && t0 + QUERIES <= T_ && first + ROWS <= S && (!causal || mine + 16 * M <= t0 + 1);
        float score[M][N][4], slope[M][N][4];  // of keys and queries
        products<D>(score, K + own * DL, Q + side * QUERIES * DL);
        products<E>(slope, Vs + own * EL, DY + side * QUERIES * EL);
        float factor = see<true>(score, c, whole, n, t0, mine);
        EACH_ROW(m, h) EACH_PAIR(j, N) {
            int from = side * QUERIES + COLUMN(j);
            slopes<true>(score[m][j] + 2 * h, slope[m][j] + 2 * h, c, factor, n, t0 + COLUMN(j), mine + ROW(m, h),
                         less + from, mean + from);
        }
        add_weighted<E>(sum_v, score, DY + side * QUERIES * EL);
        add_weighted<D>(sum_k, slope, Q + side * QUERIES * DL);
    }
    arrived<0>();
    EACH_ROW(m, h) {
        int s = mine + ROW(m, h);
        if (s >= S) continue;
        put_row<D>(dk + (head * S + s) * D, sum_k[m], h, float(scale));
        put_row<E>(dv + (head * S + s) * E, sum_v[m], h, DROPS ? c.kept : 1);
    }
}
