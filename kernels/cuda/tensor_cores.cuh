// Products of small matrices by a warp on tensor cores, for T = __half, __nv_bfloat16 or, in TF32, float: GPUs from 8.0
// on. One instruction adds a (16, DEEP) times b (DEEP, 8) to c (16, 8) of floats. Counted in words of 4 bytes, which hold
// two halves or one float, the layouts of all types are one. Lane 4 g + t of the warp holds
//     a[0], a[1]: word t of rows g and g + 8    a[2], a[3]: word t + 4 of rows g and g + 8     (a row has 8 words)
//     b[0], b[1]: words t and t + 4 of column g                                             (a column has 8 words)
//     c[0], c[1]: elements 2 t and 2 t + 1 of row g    c[2], c[3]: the same of row g + 8
// PTX ISA 8.5, section 9.7.14: "Matrix Fragments for mma.m16n8k8" (.tf32), "... mma.m16n8k16 with floating point type".
//
// In shared memory a matrix has rows of `line` elements, an odd number of times 16 bytes: then the 8 rows of 16 bytes
// that ldmatrix reads at a time lie in different banks.
const int DEEP = 32 / sizeof(T);
#define PADDED(width) (((width) + 15) / 16 * 16)
#define LINE_OF(width) (PADDED(width) + V)

#ifndef EMULATED  // what follows in PTX; the tests have it for the CPU
#if defined(HALF)
#define SHAPE_AND_TYPES "m16n8k16.row.col.f32.f16.f16.f32"
#define PAIR "cvt.rn.f16x2.f32"
#elif defined(BFLOAT)
#define SHAPE_AND_TYPES "m16n8k16.row.col.f32.bf16.bf16.f32"
#define PAIR "cvt.rn.bf16x2.f32"
#else
#define SHAPE_AND_TYPES "m16n8k8.row.col.f32.tf32.tf32.f32"
#endif
DEVICE u32 shared_address(const void *p) { return u32(__cvta_generic_to_shared(p)); }

template <class X> DEVICE void mma(float (&c)[4], const u32 *a, const u32 *b) {
    asm("mma.sync.aligned." SHAPE_AND_TYPES " {%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, {%0, %1, %2, %3};"
        : "+f"(c[0]), "+f"(c[1]), "+f"(c[2]), "+f"(c[3])
        : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b[0]), "r"(b[1]));
}
// Four matrices of 8 rows of 16 bytes; lane l gives row l % 8 of matrix l / 8, and gets word l % 4 of row l / 4 of each
DEVICE void ldmatrix(u32 (&r)[4], const void *row) {
    asm volatile("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%0, %1, %2, %3}, [%4];"
                 : "=r"(r[0]), "=r"(r[1]), "=r"(r[2]), "=r"(r[3])
                 : "r"(shared_address(row)) : "memory");
}
// or here, of each matrix of 8 x 8 halves, those of rows 2 (l % 4) and 2 (l % 4) + 1 in column l / 4.
DEVICE void ldmatrix_transposed(u32 (&r)[4], const void *row) {
    asm volatile("ldmatrix.sync.aligned.m8n8.x4.trans.shared.b16 {%0, %1, %2, %3}, [%4];"
                 : "=r"(r[0]), "=r"(r[1]), "=r"(r[2]), "=r"(r[3])
                 : "r"(shared_address(row)) : "memory");
}
// BYTES from global to shared memory, or zeros; there when `arrived` returns to the thread, for others after a barrier.
template <int BYTES> DEVICE void copy(void *to, const void *from, bool there) {
    int read = there ? BYTES : 0;
    if (BYTES == 16)
        asm volatile("cp.async.cg.shared.global [%0], [%1], 16, %2;" ::"r"(shared_address(to)), "l"(from), "r"(read)
                     : "memory");
    else
        asm volatile("cp.async.ca.shared.global [%0], [%1], %2, %3;" ::"r"(shared_address(to)), "l"(from), "n"(BYTES),
                     "r"(read)
                     : "memory");
}
DEVICE void commit() { asm volatile("cp.async.commit_group;" ::: "memory"); }  // the copies since the last are a group
// all groups but the LATER newest
template <int LATER> DEVICE void arrived() { asm volatile("cp.async.wait_group %0;" ::"n"(LATER) : "memory"); }
template <class X> DEVICE u32 pair(float low, float high) {
    u32 both = 0;
#ifdef PAIR
    asm(PAIR " %0, %1, %2;" : "=r"(both) : "f"(high), "f"(low));
#endif
    return both;
}
DEVICE u32 tf32(float x) {  // mma would cut off what TF32 lacks
    u32 y;
    asm("cvt.rna.tf32.f32 %0, %1;" : "=r"(y) : "f"(x));
    return y;
}
DEVICE float power_of_2(float x) {  // relative error 2^-22
    float y;
    asm("ex2.approx.ftz.f32 %0, %1;" : "=f"(y) : "f"(x));
    return y;
}
#endif

const bool PAIRS = sizeof(T) == 2;  // two elements a word
DEVICE int lane() { return threadIdx.x % WARP; }
DEVICE int group() { return lane() / 4; }   // g: this lane's row of a and c, its column of b
DEVICE int within() { return lane() % 4; }  // t
template <int N> DEVICE void as_tf32(u32 (&r)[N]) {
#pragma unroll
    for (int i = 0; i < N && !PAIRS; ++i) r[i] = tf32(__int_as_float(int(r[i])));
}

// a = x[0:16, 0:DEEP]
DEVICE void left_rows(u32 (&a)[4], const T *x, int line) {
    ldmatrix(a, x + lane() % 16 * line + lane() / 16 * V);
    as_tf32(a);
}

// b = x[0:16, 0:DEEP].mT, two operands of 8 columns beside each other
DEVICE void right_rows(u32 (&b)[4], const T *x, int line) {
    ldmatrix(b, x + (lane() % 8 + lane() / 16 * 8) * line + lane() / 8 % 2 * V);
    as_tf32(b);
}

// The sum over DEEP may go in any order, the same in both operands. Where x has it along its rows, ldmatrix can turn
// halves; floats are taken one by one, so that words t and t + 4 are elements 2 t and 2 t + 1, as c has them.
// b = x[0:DEEP, 0:16], two operands
DEVICE void right_columns(u32 (&b)[4], const T *x, int line) {
    if constexpr (PAIRS)
        ldmatrix_transposed(b, x + lane() % 16 * line + lane() / 16 * 8);
    else
#pragma unroll
        for (int i = 0; i < 4; ++i) b[i] = tf32(value(x[(2 * within() + i % 2) * line + group() + i / 2 * 8]));
}

// a = x[0:DEEP, 0:16].mT
DEVICE void left_columns(u32 (&a)[4], const T *x, int line) {
    if constexpr (PAIRS)
        ldmatrix_transposed(a, x + (lane() % 8 + lane() / 16 * 8) * line + lane() / 8 % 2 * 8);
    else
#pragma unroll
        for (int i = 0; i < 4; ++i) a[i] = tf32(value(x[(2 * within() + i / 2) * line + group() + i % 2 * 8]));
}

// a = columns step * DEEP ... of results c, which lie side by side
template <int N> DEVICE void left_results(u32 (&a)[4], const float (&c)[N][4], int step) {
#pragma unroll
    for (int i = 0; i < 4; ++i)
        if constexpr (PAIRS) {
            const float *x = c[2 * step + i / 2] + i % 2 * 2;
            a[i] = pair<T>(x[0], x[1]);
        } else
            a[i] = tf32(c[step][i / 2 + i % 2 * 2]);
}

// out[m][n] = left right.mT over `width`, zeros behind it: left has 16 M rows, right 8 N
template <int width, int M, int N> DEVICE void products(float (&out)[M][N][4], const T *left, const T *right) {
#pragma unroll
    for (int k = 0; k < M * N * 4; ++k) out[k / 4 / N][k / 4 % N][k % 4] = 0;
#pragma unroll
    for (int d = 0; d < PADDED(width); d += DEEP) {
        u32 a[M][4], b[4];
#pragma unroll
        for (int m = 0; m < M; ++m) left_rows(a[m], left + m * 16 * LINE_OF(width) + d, LINE_OF(width));
#pragma unroll
        for (int n = 0; n < N; n += 2) {
            right_rows(b, right + n * 8 * LINE_OF(width) + d, LINE_OF(width));
#pragma unroll
            for (int m = 0; m < M; ++m) mma<T>(out[m][n], a[m], b), mma<T>(out[m][n + 1], a[m], b + 2);
        }
    }
}

// acc += weights x, of x (8 N, width)
template <int width, int M, int N, int count>
DEVICE void add_weighted(float (&acc)[M][count][4], const float (&weights)[M][N][4], const T *x) {
#pragma unroll
    for (int step = 0; step < N * 8 / DEEP; ++step) {
        u32 a[M][4], b[4];
#pragma unroll
        for (int m = 0; m < M; ++m) left_results(a[m], weights[m], step);
#pragma unroll
        for (int e = 0; e < count; e += 2) {
            right_columns(b, x + step * DEEP * LINE_OF(width) + e * 8, LINE_OF(width));
#pragma unroll
            for (int m = 0; m < M; ++m) mma<T>(acc[m][e], a[m], b), mma<T>(acc[m][e + 1], a[m], b + 2);
        }
    }
}

template <class Op> DEVICE float over_row(float x) {  // the four lanes of a row of c
    x = Op::of(x, __shfl_xor_sync(ALL, x, 1));
    return Op::of(x, __shfl_xor_sync(ALL, x, 2));
}
