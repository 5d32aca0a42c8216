// Rows of tables, and sums into places that may be named several times, in a fixed order. Indices: L, from 0 (or, from the
// end, -n) to n - 1. A row read from nowhere is NaN; what would be added nowhere is left out.

DEVICE i64 place(i64 index, i64 n) { return index < 0 ? index + n : index; }

// y[i] = x[index[i]]; x (n, width), y (count, width). One thread: V elements of a row
KERNEL gather_rows(const T *x, const L *index, T *y, i64 n, i64 count, i64 width, i64 wide) {
    i64 per_row = (width + V - 1) / V, chunk = i64(blockIdx.x) * blockDim.x + threadIdx.x;
    if (chunk >= count * per_row) return;
    i64 i = chunk / per_row, j = (chunk - i * per_row) * V, from = place(index[i], n);
    int m = width - j < V ? int(width - j) : V;
    A v[V];
    if (from >= 0 && from < n)
        fetch(v, x + from * width + j, 1, m, wide != 0);
    else
        for (int k = 0; k < V; ++k) v[k] = infinity() - infinity();
    put(y + i * width + j, v, m, wide != 0);
}

// y[index[i]] += v[i], y (n, width) zeros before; order: where the i-th smallest index stands, keys: these indices,
// sorted. A block does 32 columns of all rows that go to one place, blockDim.y rows beside each other.
KERNEL scatter_rows(const T *v, const L *keys, const i64 *order, T *y, i64 n, i64 count, i64 width) {
    SHARED_MEMORY(A, buffer);  // (blockDim.y, 32)
    i64 first = blockIdx.x, key = keys[first], column = i64(blockIdx.y) * WARP + threadIdx.x;
    if (key < 0 || key >= n || (first && keys[first - 1] == key)) return;
    A sum = 0;
    for (i64 i = first + threadIdx.y; i < count && keys[i] == key; i += blockDim.y)
        if (column < width) sum += load(v + order[i] * width + column);
    buffer[threadIdx.y * WARP + threadIdx.x] = sum;
    __syncthreads();
    if (threadIdx.y || column >= width) return;
    for (int k = 1; k < blockDim.y; ++k) sum += buffer[k * WARP + threadIdx.x];
    store(y + key * width + column, sum);
}

// y[row, index[row, j]] += v[row, j], y (rows, size) of A, zeros before. A warp walks along a row, 32 elements at a time;
// of those that go to one place the first lane adds them all, in order.
KERNEL scatter_lines(const T *v, const L *index, A *y, i64 rows, i64 count, i64 size) {
    i64 row = i64(blockIdx.x) * blockDim.y + threadIdx.y;
    bool live_row = row < rows;
    int lane = threadIdx.x;
    for (i64 j = lane; j - lane < count; j += WARP) {
        bool live = live_row && j < count;
        i64 to = live ? place(index[row * count + j], size) : -1;
        live = live && to >= 0 && to < size;
        A x = live ? load(v + row * count + j) : A(0), sum = x;
        u32 peers = __match_any_sync(ALL, live ? to : i64(-1 - lane));
        if (__ballot_sync(ALL, __popc(peers) > 1)) {
            sum = 0;
            for (int l = 0; l < WARP; ++l) {
                A other = __shfl_sync(ALL, x, l);
                if (peers >> l & 1) sum += other;
            }
        }
        if (live && __ffs(peers) - 1 == lane) y[row * size + to] += sum;
        __syncwarp();  // the next 32 may go to the same places
    }
}
