// y = softmax(q k.mT scale + mask) v without the scores in memory: Dao et al. 2022, arXiv:2205.14135, and its gradients
// as in Dao 2023, arXiv:2307.08691, from the logarithms of the sums. No atomic sums: the same bits every time.
//   D, E     head sizes of q and k, of v          TILE   queries and keys of a tile, a multiple of 16
//   MASKED   0 none, 1 truth values (a key is seen), 2 numbers to add          DROPS   1 if weights are dropped
// q (N, T, D), k (N / repeat, S, D), v (N / repeat, S, E), N = heads0 * heads1; a mask's steps along these four axes are
// m0, m1 (heads), mt, ms. Blocks of 16 x 16 threads; thread (ty, tx) has rows ty + 16 i and columns tx + 16 j of a tile.
const int SIDE = 16, EACH = TILE / SIDE, DS = D + 1, ES = E + 1, PS = TILE + 1;  // rows in shared memory: no bank twice
const int DE = (D + SIDE - 1) / SIDE, EE = (E + SIDE - 1) / SIDE, BLOCK = SIDE * SIDE;

struct Call {
    i64 T_, S, repeat, heads1, m0, m1, mt, ms, causal;
    const MaskType *mask;
    const i64 *seed;
    A scale, kept;  // kept: what a weight that is not dropped is multiplied by
    i64 threshold;  // a weight is dropped where its number is below
};

// rows [first, first + TILE) of x (count, width) to shared memory; 0 behind the last
template <int width> DEVICE void tile(A *to, const T *x, i64 first, i64 count) {
    for (int k = threadIdx.x; k < TILE * width; k += BLOCK) {
        int row = k / width, column = k - row * width;
        to[row * (width + 1) + column] = first + row < count ? load(x + (first + row) * width + column) : A(0);
    }
}

// out[i][j] = sum_d left[row_i][d] right[column_j][d]
template <int width> DEVICE void products(A (&out)[EACH][EACH], const A *left, const A *right, int row, int column) {
    for (int i = 0; i < EACH; ++i)
        for (int j = 0; j < EACH; ++j) out[i][j] = 0;
#pragma unroll 4
    for (int d = 0; d < width; ++d) {
        A a[EACH], b[EACH];
#pragma unroll
        for (int i = 0; i < EACH; ++i) {
            a[i] = left[(row + SIDE * i) * (width + 1) + d];
            b[i] = right[(column + SIDE * i) * (width + 1) + d];
        }
#pragma unroll
        for (int i = 0; i < EACH; ++i)
#pragma unroll
            for (int j = 0; j < EACH; ++j) out[i][j] += a[i] * b[j];
    }
}

// The score of query t and key s of head n, -inf where it is not seen.
DEVICE A scored(const Call &c, A product, i64 n, i64 t, i64 s) {
    if (t >= c.T_ || s >= c.S || (c.causal && s > t)) return -infinity();
    A score = product * c.scale;
#if MASKED
    i64 h0 = n / c.heads1, at = h0 * c.m0 + (n - h0 * c.heads1) * c.m1 + t * c.mt + s * c.ms;
#if MASKED == 1
    if (!c.mask[at]) return -infinity();
#else
    score += load(c.mask + at);
#endif
#endif
    return score;
}

DEVICE A dropped(const Call &c, A x, i64 n, i64 t, i64 s) {
#if DROPS
    u32 w[4];
    philox(w, u32(t), u32(s / 4), u32(n), u32(c.seed[0]), u32(c.seed[1]));
    return i64(w[s % 4]) >= c.threshold ? x * c.kept : A(0);
#else
    return x;
#endif
}

template <class Op> DEVICE A over_columns(A x) {  // the 16 threads of a row are neighbours
#pragma unroll
    for (int d = SIDE / 2; d; d /= 2) x = Op::of(x, __shfl_xor_sync(ALL, x, d));
    return x;
}

#define CALL                                                                                                           \
    Call c = {T_, S, repeat, heads1, m0, m1, mt, ms, causal, mask, seed, A(scale), A(kept), threshold};               \
    int tx = threadIdx.x % SIDE, ty = threadIdx.x / SIDE;                                                              \
    i64 n = blockIdx.y, first = i64(blockIdx.x) * TILE;
#define COMMON                                                                                                    \
    const MaskType *mask, const i64 *seed, i64 T_, i64 S, i64 repeat, i64 heads1, i64 m0, i64 m1, i64 mt, i64 ms, \
        i64 causal, i64 threshold, double scale, double kept

// grid: (tiles of queries, N). log_total (N, T)
KERNEL attention(const T *q, const T *k, const T *v, T *y, T *log_total, COMMON) {
    CALL
    SHARED_MEMORY(A, shared);
    A *Q = shared, *KV = Q + TILE * DS, *P = KV + TILE * (DS > ES ? DS : ES);
    q += n * T_ * D, y += n * T_ * E, log_total += n * T_;
    k += n / repeat * S * D, v += n / repeat * S * E;
    A top[EACH], sum[EACH], acc[EACH][EE];
    for (int i = 0; i < EACH; ++i) {
        top[i] = -infinity(), sum[i] = 0;
        for (int e = 0; e < EE; ++e) acc[i][e] = 0;
    }
    tile<D>(Q, q, first, T_);
    i64 end = causal && first + TILE < S ? first + TILE : S;  // keys from here on are seen by no query of this tile
    for (i64 s0 = 0; s0 < end; s0 += TILE) {
        __syncthreads();  // the last tile of v has been read
        tile<D>(KV, k, s0, S);
        __syncthreads();
        A score[EACH][EACH];
        products<D>(score, Q, KV, ty, tx);
#pragma unroll
        for (int i = 0; i < EACH; ++i) {
            i64 t = first + ty + SIDE * i;
            A most = top[i];
#pragma unroll
            for (int j = 0; j < EACH; ++j) {
                score[i][j] = scored(c, score[i][j], n, t, s0 + tx + SIDE * j);
                most = maximum_of(most, score[i][j]);
            }
            most = over_columns<Max>(most);
            A by = most == -infinity() ? A(0) : most, shrink = exp(top[i] - by), part = 0;  // -inf - -inf is NaN
#pragma unroll
            for (int j = 0; j < EACH; ++j) {
                A p = exp(score[i][j] - by);
                part += p;
                P[(ty + SIDE * i) * PS + tx + SIDE * j] = dropped(c, p, n, t, s0 + tx + SIDE * j);
            }
            sum[i] = sum[i] * shrink + over_columns<Sum>(part);
            top[i] = most;
#pragma unroll
            for (int e = 0; e < EE; ++e) acc[i][e] *= shrink;
        }
        __syncthreads();  // k has been read, P is written
        tile<E>(KV, v, s0, S);
        __syncthreads();
#pragma unroll 4
        for (int s = 0; s < TILE; ++s) {
            A p[EACH];
#pragma unroll
            for (int i = 0; i < EACH; ++i) p[i] = P[(ty + SIDE * i) * PS + s];
#pragma unroll
            for (int e = 0; e < EE; ++e) {
                A x = tx + SIDE * e < E ? KV[s * ES + tx + SIDE * e] : A(0);
#pragma unroll
                for (int i = 0; i < EACH; ++i) acc[i][e] += p[i] * x;
            }
        }
    }
    for (int i = 0; i < EACH; ++i) {
        i64 t = first + ty + SIDE * i;
        if (t >= T_) continue;
        A total = sum[i], most = top[i];
        if (MASKED && most == -infinity()) most = 0;
        if (MASKED && total == 0) total = 1;  // a query that sees no key gets zeros
        for (int e = 0; e < EE; ++e)
            if (tx + SIDE * e < E) store(y + t * E + tx + SIDE * e, acc[i][e] / total);
        if (tx == 0) store(log_total + t, most + log(total));
    }
}

// delta = sum(dy y) over E; one warp a row
KERNEL attention_delta(const T *dy, const T *y, A *delta, i64 rows, i64 width) {
    i64 row = i64(blockIdx.x) * blockDim.y + threadIdx.y;
    A sum = 0;
    if (row < rows)
        for (i64 e = threadIdx.x; e < width; e += WARP) sum += load(dy + row * width + e) * load(y + row * width + e);
    sum = warp_all<Sum>(sum);
    if (row < rows && threadIdx.x == 0) delta[row] = sum;
}

// p and ds of one tile: p = e**(score - log_total), ds = p (d dy v.mT - delta) scale, where d is what dropout makes of ones
#define SLOPES(weights)                                                                             \
    A score[EACH][EACH], slope[EACH][EACH];                                                         \
    products<D>(score, Q, K, ty, tx);                                                               \
    products<E>(slope, DY, Vs, ty, tx);                                                             \
    for (int i = 0; i < EACH; ++i) {                                                                \
        i64 t = t0 + ty + SIDE * i;                                                                 \
        A less = t < T_ ? load(log_total + t) : A(0), mean = t < T_ ? delta[t] : A(0);              \
        for (int j = 0; j < EACH; ++j) {                                                            \
            i64 s = s0 + tx + SIDE * j;                                                             \
            A seen = scored(c, score[i][j], n, t, s), p = seen == -infinity() ? A(0) : exp(seen - less); \
            weights                                                                                 \
            slope[i][j] = p * (dropped(c, slope[i][j], n, t, s) - mean) * c.scale;                  \
        }                                                                                           \
    }

// grid: (tiles of queries, N)
KERNEL attention_queries(const T *dy, const T *q, const T *k, const T *v, const T *log_total, const A *delta, T *dq, COMMON) {
    CALL
    SHARED_MEMORY(A, shared);
    A *Q = shared, *DY = Q + TILE * DS, *K = DY + TILE * ES, *Vs = K + TILE * DS, *P = Vs + TILE * ES;
    i64 t0 = first;
    dy += n * T_ * E, q += n * T_ * D, dq += n * T_ * D, log_total += n * T_, delta += n * T_;
    k += n / repeat * S * D, v += n / repeat * S * E;
    A acc[EACH][DE];
    for (int i = 0; i < EACH; ++i)
        for (int d = 0; d < DE; ++d) acc[i][d] = 0;
    tile<D>(Q, q, t0, T_), tile<E>(DY, dy, t0, T_);
    i64 end = causal && first + TILE < S ? first + TILE : S;
    for (i64 s0 = 0; s0 < end; s0 += TILE) {
        __syncthreads();
        tile<D>(K, k, s0, S), tile<E>(Vs, v, s0, S);
        __syncthreads();
        SLOPES()
        for (int i = 0; i < EACH; ++i)
            for (int j = 0; j < EACH; ++j) P[(ty + SIDE * i) * PS + tx + SIDE * j] = slope[i][j];
        __syncthreads();
#pragma unroll 4
        for (int s = 0; s < TILE; ++s)
#pragma unroll
            for (int d = 0; d < DE; ++d) {
                A x = tx + SIDE * d < D ? K[s * DS + tx + SIDE * d] : A(0);
#pragma unroll
                for (int i = 0; i < EACH; ++i) acc[i][d] += P[(ty + SIDE * i) * PS + s] * x;
            }
    }
    for (int i = 0; i < EACH; ++i) {
        i64 t = t0 + ty + SIDE * i;
        for (int d = 0; d < DE; ++d)
            if (t < T_ && tx + SIDE * d < D) store(dq + t * D + tx + SIDE * d, acc[i][d]);
    }
}

// acc[i][e] += sum_t P[t][row_i] x[t][column_e]
template <int width, int count> DEVICE void transposed(A (&acc)[EACH][count], const A *P, const A *x, int ty, int tx) {
#pragma unroll 4
    for (int t = 0; t < TILE; ++t)
#pragma unroll
        for (int e = 0; e < count; ++e) {
            A value = tx + SIDE * e < width ? x[t * (width + 1) + tx + SIDE * e] : A(0);
#pragma unroll
            for (int i = 0; i < EACH; ++i) acc[i][e] += P[t * PS + ty + SIDE * i] * value;
        }
}

// grid: (tiles of keys, N / repeat); the heads that share keys one after the other
KERNEL attention_keys(const T *dy, const T *q, const T *k, const T *v, const T *log_total, const A *delta, T *dk, T *dv,
                      COMMON) {
    CALL
    SHARED_MEMORY(A, shared);
    A *Q = shared, *DY = Q + TILE * DS, *K = DY + TILE * ES, *Vs = K + TILE * DS, *P = Vs + TILE * ES;
    i64 s0 = first, own = n;
    k += own * S * D, v += own * S * E, dk += own * S * D, dv += own * S * E;
    A sum_k[EACH][DE], sum_v[EACH][EE];
    for (int i = 0; i < EACH; ++i) {
        for (int d = 0; d < DE; ++d) sum_k[i][d] = 0;
        for (int e = 0; e < EE; ++e) sum_v[i][e] = 0;
    }
    tile<D>(K, k, s0, S), tile<E>(Vs, v, s0, S);
    dy += own * repeat * T_ * E, q += own * repeat * T_ * D, log_total += own * repeat * T_, delta += own * repeat * T_;
    for (n = own * repeat; n < (own + 1) * repeat; ++n) {
        for (i64 t0 = causal ? s0 / TILE * TILE : 0; t0 < T_; t0 += TILE) {  // earlier queries see none of these keys
            __syncthreads();
            tile<D>(Q, q, t0, T_), tile<E>(DY, dy, t0, T_);
            __syncthreads();
            SLOPES(P[(ty + SIDE * i) * PS + tx + SIDE * j] = dropped(c, p, n, t, s);)
            __syncthreads();
            transposed<E, EE>(sum_v, P, DY, ty, tx);
            __syncthreads();
            for (int i = 0; i < EACH; ++i)
                for (int j = 0; j < EACH; ++j) P[(ty + SIDE * i) * PS + tx + SIDE * j] = slope[i][j];
            __syncthreads();
            transposed<D, DE>(sum_k, P, Q, ty, tx);
        }
        dy += T_ * E, q += T_ * D, log_total += T_, delta += T_;
    }
    for (int i = 0; i < EACH; ++i) {
        i64 s = s0 + ty + SIDE * i;
        if (s >= S) continue;
        for (int d = 0; d < DE; ++d)
            if (tx + SIDE * d < D) store(dk + s * D + tx + SIDE * d, sum_k[i][d]);
        for (int e = 0; e < EE; ++e)
            if (tx + SIDE * e < E) store(dv + s * E + tx + SIDE * e, sum_v[i][e]);
    }
}
