// loss = top + log(sum e**(x - top)) - x[label] for each row of x (N, K), and its gradient. Labels: L, from 0 (or, from
// the end, -K) to K - 1; any other gives NaN.

DEVICE i64 place(i64 label, i64 n) { return label < 0 ? label + n : label; }

KERNEL cross_entropy(const T *x, const L *labels, T *loss, T *top, T *log_total, i64 rows, i64 n) {
    SHARED_MEMORY(A, buffer);
    i64 row = i64(blockIdx.x) * blockDim.y + threadIdx.y;
    bool live = row < rows;
    x += row * n;
    A most = -infinity(), sum = 0;
    if (live)
        for (i64 j = threadIdx.x; j < n; j += blockDim.x) most = maximum_of(most, load(x + j));
    most = row_all<Max>(most, buffer);
    if (live)
        for (i64 j = threadIdx.x; j < n; j += blockDim.x) sum += exp(load(x + j) - most);
    sum = row_all<Sum>(sum, buffer);
    if (live && threadIdx.x == 0) {
        i64 label = place(labels[row], n);
        A total = log(sum), picked = label >= 0 && label < n ? load(x + label) - most : infinity() - infinity();
        store(loss + row, total - picked);
        store(top + row, most);
        store(log_total + row, total);
    }
}

KERNEL cross_entropy_backward(const T *dy, const T *x, const L *labels, const T *top, const T *log_total, T *dx, i64 rows,
                              i64 n) {
    i64 row = i64(blockIdx.x) * blockDim.y + threadIdx.y;
    if (row >= rows) return;
    x += row * n, dx += row * n;
    A g = load(dy + row), most = load(top + row), total = load(log_total + row);
    i64 label = place(labels[row], n);
    if (label < 0 || label >= n) g = infinity() - infinity();
    for (i64 j = threadIdx.x; j < n; j += blockDim.x) {
        A p = g * exp(load(x + j) - most - total);
        store(dx + j, j == label ? p - g : p);
    }
}
