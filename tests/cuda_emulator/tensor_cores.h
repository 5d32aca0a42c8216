// What kernels/cuda/tensor_cores.cuh says in PTX, for the CPU: matrices are spread over the lanes of a warp as the PTX ISA
// documents it, element by element, and copies arrive as late, or as early, as they may.
#define EMULATED

namespace emulator {
const int MOST_COPIES = 512;
struct Copy {
    void *to;
    const void *from;
    int bytes, group;
};
static Copy copies[MOST][MOST_COPIES];
static int copies_begun[MOST], groups_closed[MOST];
static bool at_once;
static float operands[2][MOST][12];  // of each lane: 8 elements of a, 4 of b

static void begin_copies(uint64_t seed) {
    at_once = seed & 1;
    memset(copies_begun, 0, sizeof copies_begun), memset(groups_closed, 0, sizeof groups_closed);
}
static bool copies_left(int thread) { return copies_begun[thread] > 0; }

static void perform(const Copy &c, int size) {
    if (c.bytes) memcpy(c.to, c.from, c.bytes);
    memset((char *)c.to + c.bytes, 0, size - c.bytes);
}

static void in_shared(const void *p, int bytes) {
    if ((const unsigned char *)p < shared || (const unsigned char *)p + bytes > shared + shared_size)
        fail("an address that is not in shared memory");
    if (uintptr_t(p) % bytes) fail("an address in shared memory that is not aligned");
}

static const void *row_of(int side, int lane) {
    const void *row;
    memcpy(&row, &slots[side][current->number / 32 * 32 + lane], sizeof row);
    return row;
}

static float cut(uint32_t bits) {  // TF32's digits
    bits &= ~0x1fffu;
    float y;
    return memcpy(&y, &bits, 4), y;
}
static void elements(float *y, const unsigned *words, int n, __half) {
    __half x[8];
    memcpy(x, words, 4 * n);
    for (int i = 0; i < 2 * n; ++i) y[i] = x[i];
}
static void elements(float *y, const unsigned *words, int n, __nv_bfloat16) {
    for (int i = 0; i < 2 * n; ++i) y[i] = __bfloat162float({uint16_t(words[i / 2] >> 16 * (i % 2))});
}
static void elements(float *y, const unsigned *words, int n, float) {
    for (int i = 0; i < n; ++i) y[i] = cut(words[i]);
}
}  // namespace emulator

template <class X> void mma(float (&c)[4], const unsigned *a, const unsigned *b) {
    using namespace emulator;
    const int each = 4 / sizeof(X), half = 4 * each;  // elements of a word; half of those along the sum
    int side = current->exchanges & 1, number = current->number, first = number / 32 * 32, l = number % 32;
    elements(operands[side][number], a, 4, X()), elements(operands[side][number] + 8, b, 2, X());
    exchanged(0, 0);
    for (int i = 0; i < 4; ++i) {
        int row = l / 4 + i / 2 * 8, column = l % 4 * 2 + i % 2;
        double sum = c[i];
        for (int k = 0; k < 2 * half; ++k) {
            int word = (k >= half), from = k % half / each;
            float x = operands[side][first + row % 8 * 4 + from][((row >= 8) + 2 * word) * each + k % each];
            float y = operands[side][first + column * 4 + from][8 + word * each + k % each];
            sum += double(x) * y;
        }
        c[i] = sum;
    }
}

static inline void ldmatrix(unsigned (&r)[4], const void *row) {
    using namespace emulator;
    int side = current->exchanges & 1, l = current->number % 32;
    in_shared(row, 16);
    exchanged(row, 0);
    for (int i = 0; i < 4; ++i) memcpy(&r[i], (const unsigned *)row_of(side, 8 * i + l / 4) + l % 4, 4);
}

static inline void ldmatrix_transposed(unsigned (&r)[4], const void *row) {
    using namespace emulator;
    int side = current->exchanges & 1, l = current->number % 32;
    in_shared(row, 16);
    exchanged(row, 0);
    for (int i = 0; i < 4; ++i) {
        uint16_t low = ((const uint16_t *)row_of(side, 8 * i + l % 4 * 2))[l / 4];
        uint16_t high = ((const uint16_t *)row_of(side, 8 * i + l % 4 * 2 + 1))[l / 4];
        r[i] = low | unsigned(high) << 16;
    }
}

template <int BYTES> void copy(void *to, const void *from, bool there) {
    using namespace emulator;
    int t = current->number;
    in_shared(to, BYTES);
    if (uintptr_t(from) % BYTES) fail("a copy from an address that is not aligned");
    Copy c = {to, from, there ? BYTES : 0, groups_closed[t]};
    if (at_once) perform(c, BYTES);
    if (copies_begun[t] == MOST_COPIES) fail("too many copies at a time for the emulator");
    c.group = c.group * 2 + (BYTES == 16);
    copies[t][copies_begun[t]++] = c;
}
static inline void commit() { ++emulator::groups_closed[emulator::current->number]; }
template <int LATER> void arrived() {
    using namespace emulator;
    int t = current->number, kept = 0;
    for (int i = 0; i < copies_begun[t]; ++i) {
        Copy c = copies[t][i];
        if (c.group / 2 >= groups_closed[t] - LATER)
            copies[t][kept++] = c;
        else if (!at_once)
            perform(c, c.group % 2 ? 16 : 4);
    }
    copies_begun[t] = kept;
}

static inline uint16_t bits_of(__half x) {
    uint16_t y;
    return memcpy(&y, &x, 2), y;
}
template <class X> unsigned pair(float low, float high);
template <> inline unsigned pair<__half>(float low, float high) {
    return bits_of(__float2half_rn(low)) | unsigned(bits_of(__float2half_rn(high))) << 16;
}
template <> inline unsigned pair<__nv_bfloat16>(float low, float high) {
    return __float2bfloat16_rn(low).bits | unsigned(__float2bfloat16_rn(high).bits) << 16;
}
template <> inline unsigned pair<float>(float, float) { return 0; }
static inline unsigned tf32(float x) {  // to the nearest, halves away from 0
    uint32_t bits;
    memcpy(&bits, &x, 4);
    return x != x ? 0x7fffffffu : (bits & 0x7f800000u) == 0x7f800000u ? bits : (bits + 0x1000u) & ~0x1fffu;
}
static inline float power_of_2(float x) { return exp2f(x); }
