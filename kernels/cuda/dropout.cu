// True with probability 1 - rate, by counter: the numbers of `dropout_mask`, bit by bit. One thread: four columns.
KERNEL dropout_mask(const i64 *seed, unsigned char *y, i64 matrices, i64 rows, i64 columns, i64 threshold) {
    i64 blocks = (columns + 3) / 4, at = i64(blockIdx.x) * blockDim.x + threadIdx.x;
    if (at >= matrices * rows * blocks) return;
    i64 line = at / blocks, block = at - line * blocks, matrix = line / rows;
    u32 w[4];
    philox(w, u32(line - matrix * rows), u32(block), u32(matrix), u32(seed[0]), u32(seed[1]));
    for (int k = 0; k < 4; ++k)
        if (block * 4 + k < columns) y[line * columns + block * 4 + k] = i64(w[k]) >= threshold;
}

// One step of 64 bits: Philox-4x64 of 10 rounds, as NumPy's generator has it.
DEVICE void philox64(u64 (&c)[4], u64 key0, u64 key1) {
#pragma unroll
    for (int i = 0; i < 10; ++i) {
        u64 x = c[0] * 0xD2E7470EE14C6C93ull, x_high = __umul64hi(c[0], 0xD2E7470EE14C6C93ull);
        u64 y = c[2] * 0xCA5A826395121157ull, y_high = __umul64hi(c[2], 0xCA5A826395121157ull);
        c[0] = y_high ^ c[1] ^ key0, c[1] = y, c[2] = x_high ^ c[3] ^ key1, c[3] = x;
        key0 += 0x9E3779B97F4A7C15ull, key1 += 0xBB67AE8584CAA73Bull;
    }
}

// y[i] = factor where number i of the stream, (word >> 8) 2**-24 in float32, is not below p; else 0. The first `waiting`
// (at most 9) words, in the array of that name, were made before; then come those of the blocks after `counter`, the
// lower half of each 64 bits first. One thread: the 8 words of a block.
KERNEL dropout_factors(T *y, const i64 *before, i64 waiting, i64 n, i64 key0, i64 key1, i64 c0, i64 c1, i64 c2, i64 c3,
                       double p, double factor) {
    i64 at = i64(blockIdx.x) * blockDim.x + threadIdx.x;
    T kept = Made<T>::of(A(factor)), gone = Made<T>::of(A(0));
    if (at < waiting && at < n) y[at] = float(u32(before[at]) >> 8) * 5.9604644775390625e-8f >= float(p) ? kept : gone;
    i64 first = waiting + 8 * at;
    if (first >= n) return;
    u64 c[4] = {u64(c0), u64(c1), u64(c2), u64(c3)}, add = u64(at) + 1;
    for (int i = 0; i < 4; ++i) {  // counter + 1 + at, with the carry
        c[i] += add;
        add = c[i] < add ? 1 : 0;
    }
    philox64(c, u64(key0), u64(key1));
#pragma unroll
    for (int k = 0; k < 8; ++k) {
        u32 word = u32(k % 2 ? c[k / 2] >> 32 : c[k / 2]);
        if (first + k < n) y[first + k] = float(word >> 8) * 5.9604644775390625e-8f >= float(p) ? kept : gone;
    }
}
