// x (B, C, P) -> y (B, P, CP), zeros behind the C channels. grid: tiles of 32 x 32 for each of B; 32 x 8 threads.
KERNEL channels_last(const T *x, T *y, i64 C, i64 P, i64 CP) {
    SHARED_MEMORY(T, tile);
    i64 across = (P + 31) / 32, b = blockIdx.x / across, p0 = (blockIdx.x - b * across) * 32, c0 = i64(blockIdx.y) * 32;
    for (int r = threadIdx.y; r < 32; r += 8) {
        i64 c = c0 + r, p = p0 + threadIdx.x;
        tile[r * 33 + threadIdx.x] = c < C && p < P ? x[(b * C + c) * P + p] : Made<T>::of(0);
    }
    __syncthreads();
    for (int r = threadIdx.y; r < 32; r += 8) {
        i64 p = p0 + r, c = c0 + threadIdx.x;
        if (p < P && c < CP) y[(b * P + p) * CP + c] = tile[threadIdx.x * 33 + r];
    }
}
