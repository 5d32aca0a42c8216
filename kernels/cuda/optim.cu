// Optimizer steps over many arrays at once: each number is read once and written once. rows: for each parameter (size,
// wide, address of the parameter, of its gradient, of its state ...), `width` addresses; wide: all are multiples of 16
// bytes. chunks: (row, first element) for each block, which does CHUNK elements. The formulas are those of `update` in
// minigrad/optim, in PyTorch's order of operations.
const i64 CHUNK = 4096;

struct Share {
    const i64 *row;
    i64 at, last, width;
    bool wide;
    DEVICE Share(const i64 *rows, const i64 *chunks, i64 given) {
        width = given;
        row = rows + chunks[2 * blockIdx.x] * (width + 2);
        i64 first = chunks[2 * blockIdx.x + 1];
        at = first + i64(threadIdx.x) * V;
        last = first + CHUNK < row[0] ? first + CHUNK : row[0];
        wide = row[1] != 0;
    }
    DEVICE bool next() {
        at += i64(blockDim.x) * V;
        return at < last;
    }
    DEVICE int n() const { return last - at < V ? int(last - at) : V; }
    DEVICE T *array(i64 i) const { return reinterpret_cast<T *>(row[2 + i]); }
    DEVICE void get(A (&x)[V], i64 i) const { fetch(x, array(i) + at, 1, n(), wide); }
    DEVICE void set(i64 i, const A (&x)[V]) const { put(array(i) + at, x, n(), wide); }
};

DEVICE A decayed(A g, A p, A sign, A decay) { return decay != 0 ? sign * g + decay * p : sign * g; }

KERNEL count_step(const i64 *rows, i64 number, i64 width) {  // the last array of a row is its step, float32
    i64 i = i64(blockIdx.x) * blockDim.x + threadIdx.x;
    if (i < number) *reinterpret_cast<float *>(rows[i * (width + 2) + width + 1]) += 1.0f;
}

KERNEL sgd(const i64 *rows, const i64 *chunks, i64 width, i64 nesterov, double sign, double decay, double momentum,
           double fresh, double lr) {
    Share s(rows, chunks, width);
    if (s.at >= s.last) return;
    do {
        A p[V], g[V], b[V];
        s.get(p, 0), s.get(g, 1);
        if (momentum != 0) s.get(b, 2);
#pragma unroll
        for (int k = 0; k < V; ++k) {
            A step = decayed(g[k], p[k], A(sign), A(decay));
            if (momentum != 0) {
                b[k] = A(momentum) * b[k] + A(fresh) * step;
                step = nesterov ? step + A(momentum) * b[k] : b[k];
            }
            p[k] -= A(lr) * step;
        }
        if (momentum != 0) s.set(2, b);
        s.set(0, p);
    } while (s.next());
}

// Arrays: p, g, m, v[, top], step. shrink: 1 - lr weight_decay, or 1
KERNEL adam(const i64 *rows, const i64 *chunks, i64 width, i64 amsgrad, double sign, double shrink, double decay, double lr,
            double beta1, double beta2, double eps) {
    Share s(rows, chunks, width);
    if (s.at >= s.last) return;
    double t = *reinterpret_cast<const float *>(s.row[width + 1]);
    // 1 - b**t as -expm1(t ln b): the difference loses digits while b**t is near 1
    A rate = A(lr / (beta1 > 0 ? -expm1(t * log(beta1)) : 1.0)), root = A(sqrt(beta2 > 0 ? -expm1(t * log(beta2)) : 1.0));
    A w1 = A(1 - beta1), w2 = A(1 - beta2);
    do {
        A p[V], g[V], m[V], v[V], top[V];
        s.get(p, 0), s.get(g, 1), s.get(m, 2), s.get(v, 3);
        if (amsgrad) s.get(top, 4);
#pragma unroll
        for (int k = 0; k < V; ++k) {
            A x = p[k] * A(shrink), d = decayed(g[k], x, A(sign), A(decay));
            m[k] += w1 * (d - m[k]);
            v[k] = A(beta2) * v[k] + w2 * d * d;
            A most = v[k];
            if (amsgrad) most = top[k] = maximum_of(top[k], v[k]);
            p[k] = x - rate * (m[k] / (sqrt(most) / root + A(eps)));
        }
        s.set(0, p), s.set(2, m), s.set(3, v);
        if (amsgrad) s.set(4, top);
    } while (s.next());
}

// Arrays: p, g, v[, mean][, buffer], step
KERNEL rmsprop(const i64 *rows, const i64 *chunks, i64 width, i64 centered, double sign, double decay, double alpha,
               double eps, double momentum, double lr) {
    Share s(rows, chunks, width);
    if (s.at >= s.last) return;
    A w = A(1 - alpha);
    i64 at_buffer = centered ? 4 : 3;
    do {
        A p[V], g[V], v[V], mean[V], b[V];
        s.get(p, 0), s.get(g, 1), s.get(v, 2);
        if (centered) s.get(mean, 3);
        if (momentum != 0) s.get(b, at_buffer);
#pragma unroll
        for (int k = 0; k < V; ++k) {
            A d = decayed(g[k], p[k], A(sign), A(decay));
            v[k] = A(alpha) * v[k] + w * d * d;
            A spread = v[k];
            if (centered) {
                mean[k] += w * (d - mean[k]);
                spread -= mean[k] * mean[k];
            }
            A step = d / (sqrt(spread) + A(eps));
            if (momentum != 0) step = b[k] = A(momentum) * b[k] + step;
            p[k] -= A(lr) * step;
        }
        s.set(0, p), s.set(2, v);
        if (centered) s.set(3, mean);
        if (momentum != 0) s.set(at_buffer, b);
    } while (s.next());
}

// ---- clipping: arrays of a row: the gradient ------------------------------------------------------------------------
KERNEL squares(const i64 *rows, const i64 *chunks, A *sums) {  // of each chunk
    SHARED_MEMORY(A, buffer);
    Share s(rows, chunks, 1);
    A sum = 0;
    if (s.at < s.last) do {
            A g[V];
            s.get(g, 0);
#pragma unroll
            for (int k = 0; k < V; ++k) sum += g[k] * g[k];
        } while (s.next());
    sum = row_all<Sum>(sum, buffer);
    if (threadIdx.x == 0) sums[blockIdx.x] = sum;
}

KERNEL norm_of(const A *sums, i64 n, A *norm) {  // one block
    SHARED_MEMORY(A, buffer);
    A sum = 0;
    for (i64 i = threadIdx.x; i < n; i += blockDim.x) sum += sums[i];
    sum = row_all<Sum>(sum, buffer);
    if (threadIdx.x == 0) *norm = sqrt(sum);
}

KERNEL scale(const i64 *rows, const i64 *chunks, const A *norm, double largest) {  // by largest / (norm + 1e-6), if below 1
    A factor = A(largest) / (*norm + A(1e-6));
    if (factor >= 1) return;  // a NaN goes on
    Share s(rows, chunks, 1);
    if (s.at >= s.last) return;
    do {
        A g[V];
        s.get(g, 0);
#pragma unroll
        for (int k = 0; k < V; ++k) g[k] *= factor;
        s.set(0, g);
    } while (s.next());
}
