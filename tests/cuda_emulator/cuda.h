// A GPU for tests: enough of CUDA C++ that the .cu files compile as C++ and run on the CPU, block after block. The
// threads of a block are fibers: each runs alone until it reaches __syncthreads or a warp's exchange, then another is
// taken, in the order that a seed chooses, and so are the blocks; with odd seeds a warp runs as far ahead of the others as
// barriers let it. What two threads do to the same place between two barriers then comes out differently for different
// seeds; so do copies that nobody waits for, which arrive at once with odd seeds, else when they are waited for. Refused,
// with a message: a barrier or an exchange that not all threads reach, blocks that are no whole warps, and any access
// outside the guarded memory of `emulator_allocate`. Tensor cores: see tensor_cores.h.
#pragma once
#include <csetjmp>
#include <csignal>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <sys/mman.h>
#include <ucontext.h>
#include <unistd.h>
#include <cmath>

#define __global__ __attribute__((used))
#define __device__
#define __forceinline__ inline
#define __host__
#define __restrict__ __restrict
#define __launch_bounds__(...)
#define __align__(n) __attribute__((aligned(n)))
#define SHARED_MEMORY(type, name) type *name = reinterpret_cast<type *>(emulator::shared)

struct dim3 {
    unsigned x, y, z;
};

struct alignas(16) int4 {
    int x, y, z, w;
};

namespace emulator {
const int MOST = 1024, STACK = 96 * 1024, LARGEST_SHARED = 232448;
enum State { READY, AT_BLOCK, AT_WARP, GONE };

struct Fiber {
    ucontext_t start;
    jmp_buf place;
    dim3 index;
    int number, state;
    bool begun;
    unsigned exchanges;
};

static Fiber *fibers;
static unsigned char *stacks, *shared;
static size_t shared_size;
static int threads, waiting, live, warp_waiting[MOST / 32];
static uint64_t slots[2][MOST];
static Fiber *current;
static dim3 block_index, block_size, grid_size;
static jmp_buf scheduler, outside;
static char message[400];
static uint64_t random_state;
static void *function;
static int64_t *whole;
static double *real;

static uint64_t drawn() {  // xorshift64*
    random_state ^= random_state >> 12, random_state ^= random_state << 25, random_state ^= random_state >> 27;
    return random_state * 2685821657736338717ull;
}

// 0: upwards; 1: downwards; others: at random
static void order(int *at, int n, uint64_t seed) {
    for (int i = 0; i < n; ++i) at[i] = seed == 1 ? n - 1 - i : i;
    if (seed > 1)
        for (int i = n - 1; i > 0; --i) {
            int j = drawn() % (i + 1), held = at[i];
            at[i] = at[j], at[j] = held;
        }
}

[[noreturn]] static void fail(const char *what) {
    int t = current ? current->number : -1;
    snprintf(message, sizeof message, "%s (block %u %u %u, thread %d of %d)", what, block_index.x, block_index.y,
             block_index.z, t, threads);
    _longjmp(outside, 1);
}

static void pause_fiber(int state) {
    current->state = state;
    if (!_setjmp(current->place)) _longjmp(scheduler, 1);
}

// Pointers and integers fill one set of registers, then the stack; doubles another: so all kernels are called alike.
static void call() {
    typedef int64_t I;
    typedef void (*Any)(I, I, I, I, I, I, I, I, I, I, I, I, I, I, I, I, I, I, I, I, I, I, I, I, I, I, I, I, I, I, I, I, I, I,
                        I, I, I, I, I, I, double, double, double, double, double, double, double, double);
    int64_t *i = whole;
    double *d = real;
    reinterpret_cast<Any>(function)(
        i[0], i[1], i[2], i[3], i[4], i[5], i[6], i[7], i[8], i[9], i[10], i[11], i[12], i[13], i[14], i[15], i[16], i[17],
        i[18], i[19], i[20], i[21], i[22], i[23], i[24], i[25], i[26], i[27], i[28], i[29], i[30], i[31], i[32], i[33],
        i[34], i[35], i[36], i[37], i[38], i[39], d[0], d[1], d[2], d[3], d[4], d[5], d[6], d[7]);
}

static bool copies_left(int thread);
static void body() {
    call();
    if (copies_left(current->number)) fail("a copy to shared memory is never waited for");
    pause_fiber(GONE);
}

static void step(Fiber &f) {  // until it waits or has returned
    current = &f;
    if (!_setjmp(scheduler)) {
        if (f.begun) _longjmp(f.place, 1);
        f.begun = true;
        getcontext(&f.start);
        f.start.uc_stack.ss_sp = stacks + size_t(f.number) * STACK;
        f.start.uc_stack.ss_size = STACK;
        f.start.uc_link = nullptr;
        makecontext(&f.start, body, 0);
        setcontext(&f.start);
    }
    Fiber &g = *current;
    if (g.state == GONE) --live;
    if (g.state == AT_BLOCK && ++waiting == threads) {
        waiting = 0;
        for (int t = 0; t < threads; ++t) fibers[t].state = READY;
    }
    if (g.state == AT_WARP && ++warp_waiting[g.number / 32] == 32) {
        warp_waiting[g.number / 32] = 0;
        for (int t = g.number / 32 * 32, end = t + 32; t < end; ++t) fibers[t].state = READY;
    }
}

static void begin_copies(uint64_t seed);

static void run_block(uint64_t seed) {
    static int at[MOST];
    begin_copies(seed);
    live = threads, waiting = 0;
    memset(warp_waiting, 0, sizeof warp_waiting);
    for (int t = 0; t < threads; ++t) {
        Fiber &f = fibers[t];
        f.number = t, f.state = READY, f.begun = false, f.exchanges = 0;
        f.index = {t % block_size.x, t / block_size.x % block_size.y, t / (block_size.x * block_size.y)};
    }
    while (live) {
        order(at, threads, seed);
        bool moved = false;
        for (int k = 0; k < threads; ++k) {
            int first = at[k] / 32 * 32;
            bool more = true;
            while (more) {  // odd seeds: a warp goes on until it waits for the others
                more = false;
                for (int l = 0; l < 32; ++l) {
                    int t = seed & 1 ? first + (at[k] + l) % 32 : at[k];
                    if (fibers[t].state == READY) moved = true, more = seed & 1, step(fibers[t]);
                    if (!(seed & 1)) break;
                }
            }
        }
        if (!moved) fail(waiting ? "__syncthreads is not reached by all threads" : "an exchange is not reached by its warp");
    }
    current = nullptr;
}

static void fault(int, siginfo_t *, void *) {
    fail("access outside of the arrays");  // leaves the handler by longjmp: SA_NODEFER lets the next one come
}

template <class X> static X exchanged(X x, int from) {
    static_assert(sizeof(X) <= 8, "");
    int lane = current->number % 32, first = current->number - lane, side = current->exchanges++ & 1;
    memcpy(&slots[side][current->number], &x, sizeof x);
    pause_fiber(AT_WARP);
    X y;
    memcpy(&y, &slots[side][first + (from & 31)], sizeof y);
    return y;
}
}  // namespace emulator

#define threadIdx (emulator::current->index)
#define blockIdx emulator::block_index
#define blockDim emulator::block_size
#define gridDim emulator::grid_size

static inline void __syncthreads() { emulator::pause_fiber(emulator::AT_BLOCK); }
static inline void whole_warp(unsigned mask) {
    if (mask != 0xffffffffu) emulator::fail("an exchange of part of a warp");
}
static inline int lane_id() { return emulator::current->number % 32; }
static inline void __syncwarp(unsigned mask = 0xffffffffu) { whole_warp(mask), emulator::exchanged(0, 0); }
template <class X> X __shfl_sync(unsigned mask, X x, int from) { return whole_warp(mask), emulator::exchanged(x, from); }
template <class X> X __shfl_xor_sync(unsigned mask, X x, int by) {
    return whole_warp(mask), emulator::exchanged(x, lane_id() ^ by);
}
template <class X> X __shfl_down_sync(unsigned mask, X x, int by) {
    int from = lane_id() + by;
    return whole_warp(mask), emulator::exchanged(x, from < 32 ? from : lane_id());
}
template <class X> X __shfl_up_sync(unsigned mask, X x, int by) {
    int from = lane_id() - by;
    return whole_warp(mask), emulator::exchanged(x, from >= 0 ? from : lane_id());
}
static inline unsigned __ballot_sync(unsigned mask, int yes) {
    whole_warp(mask);
    using namespace emulator;
    int side = current->exchanges & 1, first = current->number / 32 * 32;
    exchanged(yes != 0, 0);
    unsigned all = 0;
    for (int l = 0; l < 32; ++l) all |= unsigned(*reinterpret_cast<bool *>(&slots[side][first + l])) << l;
    return all;
}
static inline unsigned __match_any_sync(unsigned mask, long long x) {
    whole_warp(mask);
    using namespace emulator;
    int side = current->exchanges & 1, first = current->number / 32 * 32;
    exchanged(x, 0);
    unsigned all = 0;
    for (int l = 0; l < 32; ++l) all |= unsigned(int64_t(slots[side][first + l]) == x) << l;
    return all;
}
static inline int __ffs(unsigned x) { return __builtin_ffs(x); }
static inline int __popc(unsigned x) { return __builtin_popcount(x); }
static inline unsigned __umulhi(unsigned a, unsigned b) { return (unsigned long long)a * b >> 32; }
static inline unsigned long long __umul64hi(unsigned long long a, unsigned long long b) {
    return (unsigned __int128)a * b >> 64;
}
static inline float __int_as_float(int x) {
    float y;
    return memcpy(&y, &x, 4), y;
}
static inline float sinpi(float x) { return sin(3.14159265358979323846 * x); }
static inline double sinpi(double x) { return sinl(3.14159265358979323846264L * x); }
static inline float rsqrt(float x) { return 1 / sqrtf(x); }
static inline double rsqrt(double x) { return 1 / sqrt(x); }
using std::abs, std::acos, std::acosh, std::asin, std::asinh, std::atan, std::atan2, std::atanh, std::cbrt, std::ceil;
using std::copysign, std::cos, std::cosh, std::erf, std::erfc, std::exp, std::exp2, std::expm1, std::fabs, std::floor;
using std::fma, std::fmax, std::fmin, std::fmod, std::hypot, std::isfinite, std::isinf, std::isnan, std::log, std::log10;
using std::log1p, std::log2, std::nextafter, std::pow, std::rint, std::signbit, std::sin, std::sinh, std::sqrt, std::tan;
using std::tanh, std::trunc, std::lgamma;

typedef _Float16 __half;
static inline float __half2float(__half x) { return x; }
static inline __half __float2half_rn(float x) { return x; }
struct __nv_bfloat16 {
    uint16_t bits;
};
static inline float __bfloat162float(__nv_bfloat16 x) {
    uint32_t bits = uint32_t(x.bits) << 16;
    float y;
    return memcpy(&y, &bits, 4), y;
}
static inline __nv_bfloat16 __float2bfloat16_rn(float x) {
    uint32_t bits;
    memcpy(&bits, &x, 4);
    if (x != x) return {0x7fff};
    return {uint16_t((bits + 0x7fff + (bits >> 16 & 1)) >> 16)};
}

#include "tensor_cores.h"

extern "C" {
// Memory that ends, but for up to 15 bytes, where no page is, and has no page before it.
void *emulator_allocate(size_t bytes) {
    size_t page = sysconf(_SC_PAGESIZE), pages = (bytes + page - 1) / page + (bytes == 0);
    unsigned char *all = (unsigned char *)mmap(nullptr, (pages + 2) * page, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (all == MAP_FAILED || mprotect(all + page, pages * page, PROT_READ | PROT_WRITE)) return nullptr;
    memset(all + page, 0xff, pages * page);  // as floats: NaN
    return all + (pages + 1) * page - (bytes + 15) / 16 * 16;
}

int emulator_free(void *memory, size_t bytes) {  // 1: bytes beside it were written
    size_t page = sysconf(_SC_PAGESIZE), pages = (bytes + page - 1) / page + (bytes == 0);
    unsigned char *end = (unsigned char *)memory + (bytes + 15) / 16 * 16, *all = end - (pages + 1) * page;
    int touched = 0;
    for (unsigned char *p = all + page; p < end; ++p)
        if ((p < memory || p >= (unsigned char *)memory + bytes) && *p != 0xff) touched = 1;
    munmap(all, (pages + 2) * page);
    return touched;
}

const char *emulator_run(void *kernel, const unsigned *grid, const unsigned *block, size_t shared_bytes, int64_t *i,
                         double *d, uint64_t seed) {
    using namespace emulator;
    function = kernel, whole = i, real = d;
    grid_size = {grid[0], grid[1], grid[2]}, block_size = {block[0], block[1], block[2]};
    threads = block[0] * block[1] * block[2];
    random_state = seed * 0x9E3779B97F4A7C15ull + 1;
    current = nullptr;
    if (threads % 32 || threads > MOST || !threads) return "blocks must be 1 to 32 whole warps";
    if (shared_bytes > LARGEST_SHARED) return "more shared memory than a block may have";
    if (grid[0] > 2147483647u || grid[1] > 65535 || grid[2] > 65535) return "the grid is too large";
    if (!fibers) {
        fibers = (Fiber *)calloc(MOST, sizeof(Fiber));
        stacks = (unsigned char *)mmap(nullptr, size_t(MOST) * STACK, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
        static unsigned char handler_stack[65536];
        stack_t other = {handler_stack, 0, sizeof handler_stack};
        sigaltstack(&other, nullptr);
    }
    struct sigaction action, before, before_bus;
    memset(&action, 0, sizeof action);
    action.sa_sigaction = fault, action.sa_flags = SA_SIGINFO | SA_NODEFER | SA_ONSTACK;
    sigaction(SIGSEGV, &action, &before), sigaction(SIGBUS, &action, &before_bus);
    shared = (unsigned char *)emulator_allocate(shared_bytes), shared_size = shared_bytes;
    const char *volatile found = nullptr;
    size_t blocks = size_t(grid[0]) * grid[1] * grid[2];
    int *at = (int *)malloc(blocks * sizeof(int));
    order(at, blocks, seed);
    if (_setjmp(outside))
        found = message;
    else
        for (size_t b = 0; b < blocks; ++b) {
            unsigned n = at[b];
            block_index = {n % grid[0], n / grid[0] % grid[1], n / (grid[0] * grid[1])};
            memset(shared, 0xff, shared_bytes);
            run_block(seed);
        }
    if (emulator_free(shared, shared_bytes) && !found) found = "shared memory was written beside its end";
    free(at);
    sigaction(SIGSEGV, &before, nullptr), sigaction(SIGBUS, &before_bus, nullptr);
    return found;
}
}
