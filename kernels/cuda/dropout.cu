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
