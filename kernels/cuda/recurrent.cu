// The gates of one step of a recurrent layer, behind its two products. x, a: (B, G H), states (B, H); one thread makes one
// element of the state. The gates are kept for the backward pass: (B, width H), the activations beside each other.
#define AT_STATE                                                \
    i64 at = i64(blockIdx.x) * blockDim.x + threadIdx.x;        \
    if (at >= B * H) return;                                    \
    i64 b = at / H, j = at - b * H;

// c' = s(f) c + s(i) tanh(g), h' = s(o) tanh(c'). width: 5 (with tanh(c')) or 4
KERNEL lstm_gates(const T *x, const T *a, const T *c, T *h, T *cell, T *gates, i64 B, i64 H, i64 width) {
    AT_STATE
    const T *p = x + b * 4 * H + j, *q = a + b * 4 * H + j;
    A i = sigmoid_of(load(p) + load(q)), f = sigmoid_of(load(p + H) + load(q + H));
    A g = tanh(load(p + 2 * H) + load(q + 2 * H)), o = sigmoid_of(load(p + 3 * H) + load(q + 3 * H));
    A made = f * load(c + at) + i * g, tanh_c = tanh(made);
    store(cell + at, made);
    store(h + at, o * tanh_c);
    T *kept = gates + b * width * H + j;
    store(kept, i), store(kept + H, f), store(kept + 2 * H, g), store(kept + 3 * H, o);
    if (width == 5) store(kept + 4 * H, tanh_c);
}

// dc = dcell + dh o (1 - tanh(c')**2); ds = (dc g i (1 - i), dc c f (1 - f), dc i (1 - g**2), dh tanh(c') o (1 - o)),
// dc_before = dc f. dh = dh + more, if more is there. cell: c', where the gates do not hold tanh(c')
KERNEL lstm_gates_backward(const T *dh, const T *more, const T *dcell, const T *c, const T *cell, const T *gates, T *ds,
                           T *dc_before, i64 B, i64 H, i64 width) {
    AT_STATE
    const T *kept = gates + b * width * H + j;
    A i = load(kept), f = load(kept + H), g = load(kept + 2 * H), o = load(kept + 3 * H);
    A tanh_c = width == 5 ? load(kept + 4 * H) : tanh(load(cell + at));
    A d = load(dh + at) + (more ? load(more + at) : A(0));
    A dc = load(dcell + at) + d * o * (1 - tanh_c * tanh_c);
    T *to = ds + b * 4 * H + j;
    store(to, dc * g * i * (1 - i));
    store(to + H, dc * load(c + at) * f * (1 - f));
    store(to + 2 * H, dc * i * (1 - g * g));
    store(to + 3 * H, d * tanh_c * o * (1 - o));
    store(dc_before + at, dc * f);
}

// r = s(x_r + a_r), z = s(x_z + a_z), n = tanh(x_n + r q), h' = n + z (h - n); kept: r, z, n, q
KERNEL gru_gates(const T *x, const T *a, const T *h, T *y, T *gates, i64 B, i64 H) {
    AT_STATE
    const T *p = x + b * 3 * H + j, *s = a + b * 3 * H + j;
    A q = load(s + 2 * H), r = sigmoid_of(load(p) + load(s)), z = sigmoid_of(load(p + H) + load(s + H));
    A n = tanh(load(p + 2 * H) + r * q);
    store(y + at, n + z * (load(h + at) - n));
    T *kept = gates + b * 4 * H + j;
    store(kept, r), store(kept + H, z), store(kept + 2 * H, n), store(kept + 3 * H, q);
}

// dn = dh (1 - z) (1 - n**2); ds = (dn q r (1 - r), dh (h - n) z (1 - z), dn), da the same with dn r, dh_before = dh z
KERNEL gru_gates_backward(const T *dh, const T *more, const T *h, const T *gates, T *ds, T *da, T *dh_before, i64 B, i64 H) {
    AT_STATE
    const T *kept = gates + b * 4 * H + j;
    A r = load(kept), z = load(kept + H), n = load(kept + 2 * H), q = load(kept + 3 * H);
    A d = load(dh + at) + (more ? load(more + at) : A(0)), dn = d * (1 - z) * (1 - n * n);
    A dr = dn * q * r * (1 - r), dz = d * (load(h + at) - n) * z * (1 - z);
    T *s = ds + b * 3 * H + j, *t = da + b * 3 * H + j;
    store(s, dr), store(s + H, dz), store(s + 2 * H, dn);
    store(t, dr), store(t + H, dz), store(t + 2 * H, dn * r);
    store(dh_before + at, d * z);
}
