"""A recurrent layer over a whole sequence, as one primitive each: LSTM, GRU and the plain tanh or relu network; and
the gates of one step, for cells.

Letters: T steps, B batch, I input size, H hidden size, G gates (4 for LSTM, 3 for GRU, 1 for the plain network).
x: (T, B, I), states h0 and c0: (B, H), weight_ih: (G H, I), weight_hh: (G H, H), bias_ih and bias_hh: (G H,) or None.
`reverse` walks from the last step to the first; outputs stay at their places in time. `input_gradient=False` promises
that nobody asks for the gradient of x, which then is left out. Backpropagation through time: Werbos 1990, Proceedings
of the IEEE 78(10).
"""

from ..errors import ShapeError
from ..primitive import Spec, case, fused, result_dtype


def _checked(op, many, x, states, weight_ih, weight_hh, *biases):
    """Raises ShapeError unless all fits, see the top of the file, and T > 0; gives T, B, H. many: G."""
    h = weight_hh.shape[-1] if len(weight_hh.shape) == 2 else 0
    wanted = (x.shape[1], h) if len(x.shape) == 3 and x.shape[0] else None
    weights = ((many * h, x.shape[-1] if x.shape else 0), (many * h, h))
    if (tuple(weight_ih.shape), tuple(weight_hh.shape)) != weights or any(tuple(s.shape) != wanted for s in states):
        rows = f"{many} H" if many > 1 else "H"
        came = ", ".join(str(tuple(a.shape)) for a in (x, *states, weight_ih, weight_hh))
        raise ShapeError(
            f"{op}: needs x (T, B, I) with T > 0, states (B, H), weight_ih ({rows}, I) and weight_hh ({rows}, H): got "
            f"{came}."
        )
    if any(b is not None and tuple(b.shape) != (many * h,) for b in biases):
        raise ShapeError(f"{op}: a bias must be ({many * h},): got {[b if b is None else b.shape for b in biases]}.")
    return *x.shape[:2], h


def _made(op, wanted, *arrays):
    """Raises ShapeError unless what the forward made has the `wanted` shapes."""
    if any(tuple(a.shape) != shape for a, shape in zip(arrays, wanted)):
        raise ShapeError(f"{op}: needs {', '.join(map(str, wanted))}: got {', '.join(str(a.shape) for a in arrays)}.")


def _step_shape(op, many, x, a, state):
    """The shape rule of one step: x and a (B, G H), state and result (B, H). many: G."""
    b, h = state.shape if len(state.shape) == 2 else (0, 0)
    if len(state.shape) != 2 or not tuple(x.shape) == tuple(a.shape) == (b, many * h):
        came = ", ".join(str(tuple(s.shape)) for s in (x, a, state))
        raise ShapeError(f"{op}: needs two arrays (B, {many} H) and a state (B, H): got {came}.")
    return Spec((b, h), result_dtype("float", x, a, state))


def _pieces(F, x, n):
    """(B, n H) as n pieces (B, H)."""
    return F.split(x, sizes=(x.shape[-1] // n,) * n, axis=-1)


def _walk(steps, reverse):
    """The steps in the order of the recurrence, or what the recurrence made in the order of time."""
    return steps[::-1] if reverse else steps


def _earlier(F, first, states, reverse):
    """The state before each step: `first` (B, H), and of the states (T, B, H) all but the last."""
    states = F.unstack(states, axis=0)
    return [*states[1:], first] if reverse else [first, *states[:-1]]


def _gradients(F, x, h0, hs, ds, das, reverse):
    """The gradients of weight_ih, weight_hh, bias_ih and bias_hh, from those of W_ih x + b_ih and W_hh h + b_hh, lists
    of T arrays (B, G H)."""
    ds, das = F.concat(*ds, axis=0), F.concat(*das, axis=0)  # (T B, G H)
    before = F.concat(*_earlier(F, h0, hs, reverse), axis=0)  # (T B, H)
    x = F.reshape(x, shape=(-1, x.shape[2]) if x.shape[2] else (ds.shape[0], 0))
    weights = F.matmul(F.matrix_transpose(ds), x), F.matmul(F.matrix_transpose(das), before)
    return *weights, F.sum(ds, axis=0), F.sum(das, axis=0)


def _input_gradient(F, x, ds, weight_ih, wanted):
    """dx = ds weight_ih, (T, B, I); with (0, B, I) it is left out."""
    return F.matmul(F.stack(*ds, axis=0), weight_ih) if wanted else x[:0]


# ---- LSTM ----------------------------------------------------------------------------------------------------------
def _lstm_shape(op, x, h0, c0, weight_ih, weight_hh, bias_ih=None, bias_hh=None, *, reverse=False, input_gradient=True):
    t, b, h = _checked(op, 4, x, (h0, c0), weight_ih, weight_hh, bias_ih, bias_hh)
    return Spec((t + 1, b, h), result_dtype("float", x, h0, c0, weight_ih, weight_hh))


@fused(
    shape=_lstm_shape,
    saves=("cells", "gates"),
    kind="float",
    public=False,
    samples=(
        case((3, 2, 7), (2, 5), (2, 5), (20, 7), (20, 5), (20,), (20,)),
        case((2, 3, 1), (3, 1), (3, 1), (4, 1), (4, 1), reverse=True),
    ),
)
def lstm_sequence(
    F, x, h0, c0, weight_ih, weight_hh, bias_ih=None, bias_hh=None, *, reverse=False, input_gradient=True
):
    """c_t = s(f) c_(t-1) + s(i) tanh(g), h_t = s(o) tanh(c_t), with (i, f, g, o) = W_ih x_t + b_ih + W_hh h_(t-1) +
    b_hh, s the sigmoid. y: (T + 1, B, H), the h_t and behind them the last c_t. Hochreiter, Schmidhuber 1997, Neural
    Computation 9(8); forget gate: Gers et al. 2000."""
    h, c = h0, c0
    hs, cells, gates = [], [], []
    for step in _walk(F.unstack(F.linear(x, weight_ih, bias_ih), axis=0), reverse):
        i, f, g, o = _pieces(F, step + F.linear(h, weight_hh, bias_hh), 4)  # (B, H) each
        i, f, g, o = F.sigmoid(i), F.sigmoid(f), F.tanh(g), F.sigmoid(o)
        c = f * c + i * g
        h = o * F.tanh(c)
        hs.append(h)
        cells.append(c)
        gates.append(F.concat(i, f, g, o, axis=-1))  # (B, 4 H)
    hs, cells, gates = _walk(hs, reverse), _walk(cells, reverse), _walk(gates, reverse)
    return F.stack(*hs, c, axis=0), F.stack(*cells, axis=0), F.stack(*gates, axis=0)


@lstm_sequence.rule("x", "h0", "c0", "weight_ih", "weight_hh", "bias_ih", "bias_hh")
def _(F, g, x, h0, c0, weight_ih, weight_hh, y, cells, gates, reverse, input_gradient):
    dx, *others, db = F.lstm_sequence_backward(
        g, x, h0, c0, weight_ih, weight_hh, y, cells, gates, reverse=reverse, input_gradient=input_gradient
    )
    return dx if input_gradient else None, *others, db, db


def _lstm_backward_shape(
    op, dy, x, h0, c0, weight_ih, weight_hh, out, cells, gates, *, reverse=False, input_gradient=True
):
    t, b, h = _checked(op, 4, x, (h0, c0), weight_ih, weight_hh)
    _made(op, ((t + 1, b, h), (t + 1, b, h), (t, b, h), (t, b, 4 * h)), dy, out, cells, gates)
    return Spec(tuple(x.shape) if input_gradient else (0, *x.shape[1:]), result_dtype("float", dy, x, weight_ih, gates))


@fused(
    shape=_lstm_backward_shape,
    outputs=6,
    kind="float",
    public=False,
    samples=(
        case((4, 2, 5), (3, 2, 7), (2, 5), (2, 5), (20, 7), (20, 5), (4, 2, 5), (3, 2, 5), (3, 2, 20)),
        case((3, 3, 1), (2, 3, 1), (3, 1), (3, 1), (4, 1), (4, 1), (3, 3, 1), (2, 3, 1), (2, 3, 4), reverse=True),
    ),
)
def lstm_sequence_backward(
    F, dy, x, h0, c0, weight_ih, weight_hh, out, cells, gates, *, reverse=False, input_gradient=True
):
    """The gradients of lstm_sequence for x, h0, c0, weight_ih, weight_hh and either bias, from out, the cells c_t
    (T, B, H) and the gates s(i), s(f), tanh(g), s(o) (T, B, 4 H). Against the order of the recurrence:
        dh = dy_t + W_hh.T ds_(t+1),  dc = f_(t+1) dc_(t+1) + dh o (1 - tanh(c_t)**2)
        ds_t = (dc g i (1 - i), dc c_(t-1) f (1 - f), dc i (1 - g**2), dh tanh(c_t) o (1 - o))"""
    dys = F.unstack(dy, axis=0)
    dh, dc, ds = F.zeros_like(c0), dys[-1], []
    steps = list(zip(dys[:-1], F.unstack(cells, axis=0), _earlier(F, c0, cells, reverse), F.unstack(gates, axis=0)))
    for dyt, c, before, gate in _walk(steps, not reverse):
        i, f, g, o = _pieces(F, gate, 4)  # (B, H) each
        tanh_c = F.tanh(c)
        dh = dh + dyt
        dc = dc + dh * o * (1 - tanh_c * tanh_c)
        slopes = (dc * g * i * (1 - i), dc * before * f * (1 - f), dc * i * (1 - g * g), dh * tanh_c * o * (1 - o))
        ds.append(F.concat(*slopes, axis=-1))  # (B, 4 H)
        dh, dc = F.matmul(ds[-1], weight_hh), dc * f
    ds = _walk(ds, not reverse)
    *weights, db, _ = _gradients(F, x, h0, out[:-1], ds, ds, reverse)
    return _input_gradient(F, x, ds, weight_ih, input_gradient), dh, dc, *weights, db


@fused(
    shape=lambda op, x, a, c: _step_shape(op, 4, x, a, c),
    outputs=2,
    saves=("cell", "gates"),
    kind="float",
    public=False,
    samples=(case((3, 8), (3, 8), (3, 2)), case((2, 4), (2, 4), (2, 1))),
)
def lstm_gates(F, x, a, c):
    """One step of lstm_sequence behind its two products: c' = s(f) c + s(i) tanh(g) and h' = s(o) tanh(c'), with
    (i, f, g, o) = x + a. x, a: (B, 4 H), c: (B, H); returns h' and c', each (B, H)."""
    i, f, g, o = _pieces(F, x + a, 4)  # (B, H) each
    i, f, g, o = F.sigmoid(i), F.sigmoid(f), F.tanh(g), F.sigmoid(o)
    cell = f * c + i * g
    tanh_c = F.tanh(cell)
    return o * tanh_c, cell, F.concat(i, f, g, o, tanh_c, axis=-1)


@lstm_gates.rule("x", "a", "c")
def _(F, g, c, gates):
    ds, dc = F.lstm_gates_backward(*g, c, gates)
    return ds, ds, dc


def _lstm_gates_backward_shape(op, dh, dcell, c, gates):
    _made(op, [tuple(c.shape)] * 2, dh, dcell)
    spec = _step_shape(op, 5, gates, gates, c)
    return spec._replace(shape=(spec.shape[0], 4 * spec.shape[1]))


@fused(
    shape=_lstm_gates_backward_shape,
    outputs=2,
    kind="float",
    public=False,
    samples=(case((3, 2), (3, 2), (3, 2), (3, 10)),),
)
def lstm_gates_backward(F, dh, dcell, c, gates):
    """The gradients of lstm_gates for x (or a), (B, 4 H), and c, (B, H), from those of h' and c' and the gates s(i),
    s(f), tanh(g), s(o) and tanh(c'), (B, 5 H): see lstm_sequence_backward."""
    i, f, g, o, tanh_c = _pieces(F, gates, 5)  # (B, H) each
    dc = dcell + dh * o * (1 - tanh_c * tanh_c)
    slopes = (dc * g * i * (1 - i), dc * c * f * (1 - f), dc * i * (1 - g * g), dh * tanh_c * o * (1 - o))
    return F.concat(*slopes, axis=-1), dc * f


# ---- GRU -----------------------------------------------------------------------------------------------------------
def _gru_shape(op, x, h0, weight_ih, weight_hh, bias_ih=None, bias_hh=None, *, reverse=False, input_gradient=True):
    return Spec(
        _checked(op, 3, x, (h0,), weight_ih, weight_hh, bias_ih, bias_hh),
        result_dtype("float", x, h0, weight_ih, weight_hh),
    )


@fused(
    shape=_gru_shape,
    saves=("gates",),
    kind="float",
    public=False,
    samples=(
        case((3, 2, 7), (2, 5), (15, 7), (15, 5), (15,), (15,)),
        case((2, 4, 1), (4, 1), (3, 1), (3, 1), reverse=True),
    ),
)
def gru_sequence(F, x, h0, weight_ih, weight_hh, bias_ih=None, bias_hh=None, *, reverse=False, input_gradient=True):
    """h_t = (1 - z) n + z h_(t-1), n = tanh(x_n + r q), r = s(x_r + a_r), z = s(x_z + a_z), s the sigmoid, with
    (x_r, x_z, x_n) = W_ih x_t + b_ih and (a_r, a_z, q) = W_hh h_(t-1) + b_hh. y: (T, B, H). Cho et al. 2014,
    arXiv:1406.1078."""
    h, hs, gates = h0, [], []
    for step in _walk(F.unstack(F.linear(x, weight_ih, bias_ih), axis=0), reverse):
        (xr, xz, xn), (ar, az, q) = _pieces(F, step, 3), _pieces(F, F.linear(h, weight_hh, bias_hh), 3)  # (B, H) each
        r, z = F.sigmoid(xr + ar), F.sigmoid(xz + az)
        n = F.tanh(xn + r * q)
        h = n + z * (h - n)
        hs.append(h)
        gates.append(F.concat(r, z, n, q, axis=-1))  # (B, 4 H)
    return F.stack(*_walk(hs, reverse), axis=0), F.stack(*_walk(gates, reverse), axis=0)


@gru_sequence.rule("x", "h0", "weight_ih", "weight_hh", "bias_ih", "bias_hh")
def _(F, g, x, h0, weight_ih, weight_hh, y, gates, reverse, input_gradient):
    dx, *others = F.gru_sequence_backward(
        g, x, h0, weight_ih, weight_hh, y, gates, reverse=reverse, input_gradient=input_gradient
    )
    return dx if input_gradient else None, *others


def _gru_backward_shape(op, dy, x, h0, weight_ih, weight_hh, out, gates, *, reverse=False, input_gradient=True):
    t, b, h = _checked(op, 3, x, (h0,), weight_ih, weight_hh)
    _made(op, ((t, b, h), (t, b, h), (t, b, 4 * h)), dy, out, gates)
    return Spec(tuple(x.shape) if input_gradient else (0, *x.shape[1:]), result_dtype("float", dy, x, weight_ih, gates))


@fused(
    shape=_gru_backward_shape,
    outputs=6,
    kind="float",
    public=False,
    samples=(
        case((3, 2, 5), (3, 2, 7), (2, 5), (15, 7), (15, 5), (3, 2, 5), (3, 2, 20)),
        case((2, 4, 1), (2, 4, 1), (4, 1), (3, 1), (3, 1), (2, 4, 1), (2, 4, 4), reverse=True),
    ),
)
def gru_sequence_backward(F, dy, x, h0, weight_ih, weight_hh, out, gates, *, reverse=False, input_gradient=True):
    """The gradients of gru_sequence for x, h0, weight_ih, weight_hh, bias_ih and bias_hh, from out and the gates r, z,
    n, q (T, B, 4 H). Against the order of the recurrence:
        dh = dy_t + z_(t+1) dh_(t+1) + W_hh.T da_(t+1),  dn = dh (1 - z) (1 - n**2)
        ds_t = (dn q r (1 - r), dh (h_(t-1) - n) z (1 - z), dn),  da_t = the same with dn r for dn"""
    dh, ds, das = F.zeros_like(h0), [], []
    steps = list(zip(F.unstack(dy, axis=0), _earlier(F, h0, out, reverse), F.unstack(gates, axis=0)))
    for dyt, before, gate in _walk(steps, not reverse):
        r, z, n, q = _pieces(F, gate, 4)  # (B, H) each
        dh = dh + dyt
        dn = dh * (1 - z) * (1 - n * n)
        dr, dz = dn * q * r * (1 - r), dh * (before - n) * z * (1 - z)
        ds.append(F.concat(dr, dz, dn, axis=-1))  # (B, 3 H)
        das.append(F.concat(dr, dz, dn * r, axis=-1))
        dh = dh * z + F.matmul(das[-1], weight_hh)
    ds, das = _walk(ds, not reverse), _walk(das, not reverse)
    return _input_gradient(F, x, ds, weight_ih, input_gradient), dh, *_gradients(F, x, h0, out, ds, das, reverse)


@fused(
    shape=lambda op, x, a, h: _step_shape(op, 3, x, a, h),
    saves=("gates",),
    kind="float",
    public=False,
    samples=(case((3, 6), (3, 6), (3, 2)), case((2, 3), (2, 3), (2, 1))),
)
def gru_gates(F, x, a, h):
    """One step of gru_sequence behind its two products: h' = (1 - z) n + z h, n = tanh(x_n + r q), r = s(x_r + a_r),
    z = s(x_z + a_z), with (x_r, x_z, x_n) = x and (a_r, a_z, q) = a, (B, 3 H) each. h, h': (B, H)."""
    (xr, xz, xn), (ar, az, q) = _pieces(F, x, 3), _pieces(F, a, 3)  # (B, H) each
    r, z = F.sigmoid(xr + ar), F.sigmoid(xz + az)
    n = F.tanh(xn + r * q)
    return n + z * (h - n), F.concat(r, z, n, q, axis=-1)


@gru_gates.rule("x", "a", "h")
def _(F, g, h, gates):
    return F.gru_gates_backward(g, h, gates)


def _gru_gates_backward_shape(op, dh, h, gates):
    _made(op, [tuple(h.shape)], dh)
    spec = _step_shape(op, 4, gates, gates, h)
    return spec._replace(shape=(spec.shape[0], 3 * spec.shape[1]))


@fused(
    shape=_gru_gates_backward_shape,
    outputs=3,
    kind="float",
    public=False,
    samples=(case((3, 2), (3, 2), (3, 8)),),
)
def gru_gates_backward(F, dh, h, gates):
    """The gradients of gru_gates for x and a, (B, 3 H), and h, (B, H), from that of h' and the gates r, z, n, q: see
    gru_sequence_backward."""
    r, z, n, q = _pieces(F, gates, 4)  # (B, H) each
    dn = dh * (1 - z) * (1 - n * n)
    dr, dz = dn * q * r * (1 - r), dh * (h - n) * z * (1 - z)
    return F.concat(dr, dz, dn, axis=-1), F.concat(dr, dz, dn * r, axis=-1), dh * z


# ---- tanh and relu -------------------------------------------------------------------------------------------------
def _rnn_shape(
    op, x, h0, weight_ih, weight_hh, bias_ih=None, bias_hh=None, *, relu=False, reverse=False, input_gradient=True
):
    return Spec(
        _checked(op, 1, x, (h0,), weight_ih, weight_hh, bias_ih, bias_hh),
        result_dtype("float", x, h0, weight_ih, weight_hh),
    )


@fused(
    shape=_rnn_shape,
    kind="float",
    public=False,
    samples=(
        case((3, 2, 7), (2, 5), (5, 7), (5, 5), (5,), (5,)),
        case((2, 4, 1), (4, 3), (3, 1), (3, 3), relu=True, reverse=True),
    ),
)
def rnn_sequence(
    F, x, h0, weight_ih, weight_hh, bias_ih=None, bias_hh=None, *, relu=False, reverse=False, input_gradient=True
):
    """h_t = tanh(W_ih x_t + b_ih + W_hh h_(t-1) + b_hh), or relu. y: (T, B, H). Elman 1990, Cognitive Science 14(2)."""
    h, hs = h0, []
    for step in _walk(F.unstack(F.linear(x, weight_ih, bias_ih), axis=0), reverse):
        h = (F.relu if relu else F.tanh)(step + F.linear(h, weight_hh, bias_hh))  # (B, H)
        hs.append(h)
    return F.stack(*_walk(hs, reverse), axis=0)


@rnn_sequence.rule("x", "h0", "weight_ih", "weight_hh", "bias_ih", "bias_hh")
def _(F, g, x, h0, weight_ih, weight_hh, y, relu, reverse, input_gradient):
    dx, *others, db = F.rnn_sequence_backward(
        g, x, h0, weight_ih, weight_hh, y, relu=relu, reverse=reverse, input_gradient=input_gradient
    )
    return dx if input_gradient else None, *others, db, db


def _rnn_backward_shape(op, dy, x, h0, weight_ih, weight_hh, out, *, relu=False, reverse=False, input_gradient=True):
    t, b, h = _checked(op, 1, x, (h0,), weight_ih, weight_hh)
    _made(op, ((t, b, h), (t, b, h)), dy, out)
    return Spec(tuple(x.shape) if input_gradient else (0, *x.shape[1:]), result_dtype("float", dy, x, weight_ih, out))


@fused(
    shape=_rnn_backward_shape,
    outputs=5,
    kind="float",
    public=False,
    samples=(
        case((3, 2, 5), (3, 2, 7), (2, 5), (5, 7), (5, 5), (3, 2, 5)),
        case((2, 4, 3), (2, 4, 1), (4, 3), (3, 1), (3, 3), (2, 4, 3), relu=True, reverse=True),
    ),
)
def rnn_sequence_backward(F, dy, x, h0, weight_ih, weight_hh, out, *, relu=False, reverse=False, input_gradient=True):
    """The gradients of rnn_sequence for x, h0, weight_ih, weight_hh and either bias, from out. Against the order of the
    recurrence: dh = dy_t + W_hh.T ds_(t+1), ds_t = dh (1 - h_t**2), or dh where h_t > 0."""
    dh, ds = F.zeros_like(h0), []
    for dyt, h in _walk(list(zip(F.unstack(dy, axis=0), F.unstack(out, axis=0))), not reverse):
        dh = dh + dyt
        ds.append(F.relu_backward(h, dh) if relu else dh * (1 - h * h))  # (B, H)
        dh = F.matmul(ds[-1], weight_hh)
    ds = _walk(ds, not reverse)
    *weights, db, _ = _gradients(F, x, h0, out, ds, ds, reverse)
    return _input_gradient(F, x, ds, weight_ih, input_gradient), dh, *weights, db
