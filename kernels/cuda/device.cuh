// What all kernels of this folder share. The launcher puts this text before theirs, and before it two types:
//   T  how numbers lie in memory: float, double, __half or __nv_bfloat16
//   A  what they are computed and added up in: float, or double for double
// Kernels take pointers, i64 and double, nothing else: 8 bytes each, whatever T is. Blocks are whole warps.
typedef long long i64;
typedef unsigned int u32;
typedef unsigned long long u64;
#define KERNEL extern "C" __global__ void
#define DEVICE __device__ __forceinline__
#ifndef SHARED_MEMORY  // the block's dynamic shared memory
#define SHARED_MEMORY(type, name)                                     \
    extern __shared__ __align__(16) unsigned char shared_bytes[]; \
    type *name = reinterpret_cast<type *>(shared_bytes)
#endif

const int WARP = 32;
const u32 ALL = 0xffffffffu;
const int V = 16 / sizeof(T);  // elements in the widest load, 16 bytes

// ---- memory ---------------------------------------------------------------------------------------------------------
DEVICE A value(float x) { return x; }
DEVICE A value(bool x) { return x; }
template <class X> DEVICE A value(X x) { return A(x); }
template <class X> struct Made { static DEVICE X of(A x) { return X(x); } };
#ifdef HALF
template <> DEVICE A value(__half x) { return __half2float(x); }
template <> struct Made<__half> { static DEVICE __half of(A x) { return __float2half_rn(x); } };
#endif
#ifdef BFLOAT
template <> DEVICE A value(__nv_bfloat16 x) { return __bfloat162float(x); }
template <> struct Made<__nv_bfloat16> { static DEVICE __nv_bfloat16 of(A x) { return __float2bfloat16_rn(x); } };
#endif
template <class X> DEVICE A load(const X *p) { return value(*p); }
template <class X> DEVICE void store(X *p, A x) { *p = Made<X>::of(x); }

template <class X, int N> struct __align__(sizeof(X) * N) Pack { X item[N]; };

// x[0..N) from n of N places `step` apart; wide: these are whole packs
template <int N, class X> DEVICE void fetch(A (&x)[N], const X *p, i64 step, int n, bool wide) {
    if (step == 0) {
        A one = load(p);
#pragma unroll
        for (int k = 0; k < N; ++k) x[k] = one;
    } else if (wide && step == 1 && n == N) {
        Pack<X, N> all = *reinterpret_cast<const Pack<X, N> *>(p);
#pragma unroll
        for (int k = 0; k < N; ++k) x[k] = value(all.item[k]);
    } else {
#pragma unroll
        for (int k = 0; k < N; ++k) x[k] = k < n ? load(p + k * step) : A(0);
    }
}

template <int N, class X> DEVICE void put(X *p, const A (&x)[N], int n, bool wide) {
    if (wide && n == N) {
        Pack<X, N> all;
#pragma unroll
        for (int k = 0; k < N; ++k) all.item[k] = Made<X>::of(x[k]);
        *reinterpret_cast<Pack<X, N> *>(p) = all;
    } else {
#pragma unroll
        for (int k = 0; k < N; ++k)
            if (k < n) store(p + k, x[k]);
    }
}

// ---- functions ------------------------------------------------------------------------------------------------------
DEVICE A infinity() { return A(__int_as_float(0x7f800000)); }
DEVICE bool is_nan(A x) { return x != x; }
DEVICE A maximum_of(A a, A b) { return a > b || is_nan(a) ? a : b; }  // NaN if either is
DEVICE A minimum_of(A a, A b) { return a < b || is_nan(a) ? a : b; }
DEVICE A sign_of(A x) { return x > 0 ? A(1) : x < 0 ? A(-1) : x == 0 ? A(0) : x; }
DEVICE A sigmoid_of(A x) {  // e**-|x| never overflows
    A e = exp(-fabs(x));
    return (x >= 0 ? A(1) : e) / (A(1) + e);
}
DEVICE A logaddexp_of(A a, A b) {
    if (a == b) return a + A(0.6931471805599453);
    A d = a - b;
    return is_nan(d) ? d : fmax(a, b) + log1p(exp(-fabs(d)));
}
DEVICE A sinc_of(A x) { return x == 0 ? A(1) : A(sinpi(x)) / (A(3.141592653589793) * x); }

// Philox-4x32 of 7 rounds: Salmon et al. 2011, Parallel random numbers: as easy as 1, 2, 3. As `dropout_mask` has it.
DEVICE void philox(u32 (&w)[4], u32 row, u32 block, u32 matrix, u32 key0, u32 key1) {
    u32 a = row, b = block, c = matrix, d = 0;
#pragma unroll
    for (int i = 0; i < 7; ++i) {
        u64 x = u64(a) * 0xD2511F53u, y = u64(c) * 0xCD9E8D57u;
        a = u32(y >> 32) ^ b ^ key0, b = u32(y), c = u32(x >> 32) ^ d ^ key1, d = u32(x);
        key0 += 0x9E3779B9u, key1 += 0xBB67AE85u;
    }
    w[0] = a, w[1] = b, w[2] = c, w[3] = d;
}

// ---- sums of a row --------------------------------------------------------------------------------------------------
struct Sum {
    static DEVICE A none() { return A(0); }
    static DEVICE A of(A a, A b) { return a + b; }
};
struct Max {
    static DEVICE A none() { return -infinity(); }
    static DEVICE A of(A a, A b) { return maximum_of(a, b); }
};
struct Min {
    static DEVICE A none() { return infinity(); }
    static DEVICE A of(A a, A b) { return minimum_of(a, b); }
};

template <class Op> DEVICE A warp_all(A x) {  // the same tree in every lane
#pragma unroll
    for (int d = WARP / 2; d; d /= 2) x = Op::of(x, __shfl_xor_sync(ALL, x, d));
    return x;
}

// Over threadIdx.x, the threads of one row; every thread gets the result. Rows beside each other in a block (blockDim.y
// > 1) are one warp wide. `buffer`: 32 numbers of shared memory, free again when all have returned.
template <class Op> DEVICE A row_all(A x, A *buffer) {
    x = warp_all<Op>(x);
    if (blockDim.x == WARP) return x;
    __syncthreads();  // the last call's results have been read
    if (threadIdx.x % WARP == 0) buffer[threadIdx.x / WARP] = x;
    __syncthreads();
    x = threadIdx.x % WARP < blockDim.x / WARP ? buffer[threadIdx.x % WARP] : Op::none();
    return warp_all<Op>(x);
}
