// Normalisation. Two views of x:
//   rows (layer, root mean square and group norm): x is (rows, n), each row normalised by itself. Element j of a row
//     belongs to channel row % groups * (n / S) + j / S, where S is the number of places of a channel in the row;
//     layer norm has groups = 1 and S = 1.
//   channels (batch norm, and all gradients of weight and bias): x is (B, C, S), and channel c has B S elements.
// weight and bias may be null.

DEVICE i64 channel(i64 row, i64 j, i64 n, i64 groups, i64 S) {
    i64 first = groups == 1 ? 0 : row % groups * (n / S);
    return first + (S == 1 ? j : j / S);
}

// y = (x - mean) rstd weight + bias; centred = 0: no mean is taken (root mean square norm). held: the row fits in shared
// memory. mean may be null.
KERNEL norm_rows(const T *x, const T *weight, const T *bias, T *y, T *mean, T *rstd, i64 rows, i64 n, i64 groups, i64 S,
                 i64 centred, i64 held, double eps) {
    SHARED_MEMORY(A, shared);
    A *buffer = shared, *line = shared + WARP + threadIdx.y * n;
    i64 row = i64(blockIdx.x) * blockDim.y + threadIdx.y;
    bool live = row < rows;
    x += row * n, y += row * n;
    A sum = 0;
    if (live && (centred || held))
        for (i64 j = threadIdx.x; j < n; j += blockDim.x) {
            A v = load(x + j);
            if (held) line[j] = v;  // read again by the same thread alone
            sum += v;
        }
    A middle = centred ? row_all<Sum>(sum, buffer) / A(n) : A(0);
    sum = 0;
    if (live)
        for (i64 j = threadIdx.x; j < n; j += blockDim.x) {
            A v = (held ? line[j] : load(x + j)) - middle;
            sum += v * v;
        }
    A scale = A(1) / sqrt(row_all<Sum>(sum, buffer) / A(n) + A(eps));
    if (!live) return;
    for (i64 j = threadIdx.x; j < n; j += blockDim.x) {
        A v = ((held ? line[j] : load(x + j)) - middle) * scale;
        i64 c = channel(row, j, n, groups, S);
        if (weight) v *= load(weight + c);
        if (bias) v += load(bias + c);
        store(y + j, v);
    }
    if (threadIdx.x == 0) {
        if (centred) store(mean + row, middle);
        store(rstd + row, scale);
    }
}

// dx = rstd (g - mean(g) - xhat mean(g xhat)) with g = dy weight, xhat = (x - mean) rstd; without mean(g) if not centred
KERNEL norm_rows_backward(const T *dy, const T *x, const T *mean, const T *rstd, const T *weight, T *dx, i64 rows, i64 n,
                          i64 groups, i64 S, i64 centred) {
    SHARED_MEMORY(A, buffer);
    i64 row = i64(blockIdx.x) * blockDim.y + threadIdx.y;
    bool live = row < rows;
    dy += row * n, x += row * n, dx += row * n;
    A middle = live && centred ? load(mean + row) : A(0), scale = live ? load(rstd + row) : A(0), sum = 0, product = 0;
    if (live)
        for (i64 j = threadIdx.x; j < n; j += blockDim.x) {
            A g = load(dy + j) * (weight ? load(weight + channel(row, j, n, groups, S)) : A(1));
            sum += g;
            product += g * ((load(x + j) - middle) * scale);
        }
    sum = centred ? row_all<Sum>(sum, buffer) / A(n) : A(0);
    product = row_all<Sum>(product, buffer) / A(n);
    if (!live) return;
    for (i64 j = threadIdx.x; j < n; j += blockDim.x) {
        A g = load(dy + j) * (weight ? load(weight + channel(row, j, n, groups, S)) : A(1));
        store(dx + j, scale * (g - sum - (load(x + j) - middle) * scale * product));
    }
}

// For each channel two sums over part of its B S elements. what 0: x and nothing; 1: (x - m)**2 and nothing; 2: dy and
// dy (x - m) r. m and r: one for each of `own` numbers, at c if own is the number of channels C, else at b own + c / (C /
// own), the group of row b; null: 0 and 1. u, v: (parts, C), in A; v may be null.
struct Terms {
    A u, v;
};
DEVICE Terms terms(const T *x, const T *dy, i64 at, A m, A r, i64 what) {
    A d = load(x + at);
    if (what == 0) return {d, A(0)};
    d -= m;
    if (what == 1) return {d * d, A(0)};
    A g = load(dy + at);
    return {g, g * (d * r)};
}

DEVICE i64 owner(i64 b, i64 c, i64 C, i64 own, i64 per_row) { return per_row ? b * own + c / (C / own) : c; }

// S > 1: a block a channel and part. grid: (C, parts); parts divide the batch and places together
KERNEL channel_sums(const T *x, const T *dy, const M *m, const M *r, A *u, A *v, i64 B, i64 C, i64 S, i64 parts, i64 own,
                    i64 per_row, i64 what) {
    SHARED_MEMORY(A, buffer);
    i64 c = blockIdx.x, part = blockIdx.y, last = B * S * (part + 1) / parts;
    Terms sum = {A(0), A(0)};
    for (i64 k = B * S * part / parts + threadIdx.x; k < last; k += blockDim.x) {
        i64 b = k / S, o = owner(b, c, C, own, per_row);
        Terms t = terms(x, dy, (b * C + c) * S + (k - b * S), m ? A(value(m[o])) : A(0), r ? A(value(r[o])) : A(1), what);
        sum.u += t.u, sum.v += t.v;
    }
    sum.u = row_all<Sum>(sum.u, buffer);
    if (v) sum.v = row_all<Sum>(sum.v, buffer);
    if (threadIdx.x == 0) {
        u[part * C + c] = sum.u;
        if (v) v[part * C + c] = sum.v;
    }
}

// S = 1: 32 channels beside each other, blockDim.y threads down the batch. grid: (ceil(C / 32), parts)
KERNEL channel_sums_columns(const T *x, const T *dy, const M *m, const M *r, A *u, A *v, i64 B, i64 C, i64 parts, i64 own,
                            i64 per_row, i64 what) {
    SHARED_MEMORY(A, buffer);  // (2, blockDim.y, 32)
    i64 c = i64(blockIdx.x) * WARP + threadIdx.x, part = blockIdx.y, last = B * (part + 1) / parts;
    Terms sum = {A(0), A(0)};
    if (c < C)
        for (i64 b = B * part / parts + threadIdx.y; b < last; b += blockDim.y) {
            i64 o = owner(b, c, C, own, per_row);
            Terms t = terms(x, dy, b * C + c, m ? A(value(m[o])) : A(0), r ? A(value(r[o])) : A(1), what);
            sum.u += t.u, sum.v += t.v;
        }
    int here = threadIdx.y * WARP + threadIdx.x, all = blockDim.y * WARP;
    buffer[here] = sum.u, buffer[all + here] = sum.v;
    __syncthreads();
    if (threadIdx.y || c >= C) return;
    for (int y = 1; y < blockDim.y; ++y) sum.u += buffer[y * WARP + here], sum.v += buffer[all + y * WARP + here];
    u[part * C + c] = sum.u;
    if (v) v[part * C + c] = sum.v;
}

// What the sums of a channel become. u, v: (parts, C) in A; n: elements of a channel.
// what 0: the mean, as T to `first` and as A to `second`; 1: the variance likewise; 2: sums as T: first = dy's, second =
// that of the products.
KERNEL channel_finish(const A *u, const A *v, T *first, T *second, A *exact, i64 C, i64 parts, i64 what, double n) {
    i64 c = i64(blockIdx.x) * blockDim.x + threadIdx.x;
    if (c >= C) return;
    A sum = 0, product = 0;
    for (i64 p = 0; p < parts; ++p) {
        sum += u[p * C + c];
        if (v) product += v[p * C + c];
    }
    if (what < 2) sum /= A(n);
    if (first) store(first + c, sum);
    if (second) store(second + c, product);
    if (exact) exact[c] = sum;
}

// y = (x - mean) / sqrt(var + eps) weight + bias, (B, C, S). mean, var: M, per channel
KERNEL channel_apply(const T *x, const M *mean, const M *var, const T *weight, const T *bias, T *y, i64 size, i64 C, i64 S,
                     double eps) {
    i64 chunk = i64(blockIdx.x) * blockDim.x + threadIdx.x, at = chunk * V;
    if (at >= size) return;
    int n = size - at < V ? int(size - at) : V;
    A v[V];
    fetch(v, x + at, 1, n, true);
    i64 last = -1;
    A middle = 0, scale = 0, shift = 0;
#pragma unroll
    for (int k = 0; k < V; ++k)
        if (k < n) {
            i64 c = (at + k) / S % C;
            if (c != last) {
                last = c;
                middle = value(mean[c]);
                scale = A(1) / sqrt(A(value(var[c])) + A(eps));
                if (weight) scale *= load(weight + c);
                shift = bias ? load(bias + c) : A(0);
            }
            v[k] = (v[k] - middle) * scale + shift;
        }
    put(y + at, v, n, true);
}

// batch norm's dx = dy w r + (x - mean) slope + offset, per channel, where sums (of dy, and of dy (x - mean) r) are given:
//   slope = 2 dvar / n - w r**2 sum_gx / n,  offset = dmean / n - w r sum_g / n;  inference: dx = dy w r
KERNEL channel_backward(const T *dy, const T *x, const T *mean, const T *rstd, const T *weight, const T *dmean,
                        const T *dvar, const T *sum_g, const T *sum_gx, T *dx, i64 size, i64 C, i64 S, i64 training,
                        double count) {
    i64 chunk = i64(blockIdx.x) * blockDim.x + threadIdx.x, at = chunk * V;
    if (at >= size) return;
    int n = size - at < V ? int(size - at) : V;
    A g[V], v[V];
    fetch(g, dy + at, 1, n, true);
    if (training) fetch(v, x + at, 1, n, true);
    i64 last = -1;
    A middle = 0, scale = 0, slope = 0, offset = 0;
#pragma unroll
    for (int k = 0; k < V; ++k)
        if (k < n) {
            i64 c = (at + k) / S % C;
            if (c != last) {
                last = c;
                A r = load(rstd + c);
                scale = weight ? r * load(weight + c) : r;
                if (training) {
                    middle = load(mean + c);
                    slope = (2 * load(dvar + c) - scale * r * load(sum_gx + c)) / A(count);
                    offset = (load(dmean + c) - scale * load(sum_g + c)) / A(count);
                }
            }
            g[k] *= scale;
            if (training) g[k] += (v[k] - middle) * slope + offset;
        }
    put(dx + at, g, n, true);
}
