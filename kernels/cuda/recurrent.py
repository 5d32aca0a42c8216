"""LSTM and GRU: one product for all steps' inputs, and for each step one product and one kernel: see recurrent.cu."""

from .launch import Source, device, flat
from .matmul import matmul
from .reduce import sum as sum_over

source = Source("recurrent")


def _ready(*arrays):
    return tuple(device().contiguous(a) for a in arrays)


def _run(name, dtype, B, H, *arguments):
    source(name, dtype)(*flat(B * H, 128), arguments)


# ---- one step --------------------------------------------------------------------------------------------------------
def lstm_gates(x, a, c):
    on, (B, H) = device(), c.shape
    x, a, c = _ready(x, a, c)
    h, cell, gates = on.empty((B, H), x.dtype), on.empty((B, H), x.dtype), on.empty((B, 5 * H), x.dtype)
    _run("lstm_gates", x.dtype, B, H, x, a, c, h, cell, gates, B, H, 5)
    return h, cell, gates


def lstm_gates_backward(dh, dcell, c, gates):
    on, (B, H) = device(), c.shape
    dh, dcell, c, gates = _ready(dh, dcell, c, gates)
    ds, dc = on.empty((B, 4 * H), c.dtype), on.empty((B, H), c.dtype)
    _run("lstm_gates_backward", c.dtype, B, H, dh, None, dcell, c, None, gates, ds, dc, B, H, 5)
    return ds, dc


def gru_gates(x, a, h):
    on, (B, H) = device(), h.shape
    x, a, h = _ready(x, a, h)
    y, gates = on.empty((B, H), x.dtype), on.empty((B, 4 * H), x.dtype)
    _run("gru_gates", x.dtype, B, H, x, a, h, y, gates, B, H)
    return y, gates


def gru_gates_backward(dh, h, gates):
    on, (B, H) = device(), h.shape
    dh, h, gates = _ready(dh, h, gates)
    ds, da, before = on.empty((B, 3 * H), h.dtype), on.empty((B, 3 * H), h.dtype), on.empty((B, H), h.dtype)
    _run("gru_gates_backward", h.dtype, B, H, dh, None, h, gates, ds, da, before, B, H)
    return ds, da, before


# ---- a sequence ------------------------------------------------------------------------------------------------------
def _linear(x, weight, bias):
    y = matmul(device().xp, x, weight.T)
    if bias is not None:
        y += bias
    return y


def _walk(steps, reverse):
    return range(steps - 1, -1, -1) if reverse else range(steps)


def lstm_sequence(x, h0, c0, weight_ih, weight_hh, bias_ih=None, bias_hh=None, *, reverse=False, input_gradient=True):
    on, (T, B, _), H = device(), x.shape, h0.shape[1]
    inputs = on.contiguous(_linear(x, weight_ih, bias_ih))  # (T, B, 4 H)
    y, cells, gates = (on.empty(s, x.dtype) for s in ((T + 1, B, H), (T, B, H), (T, B, 4 * H)))
    h, c = _ready(h0, c0)
    for t in _walk(T, reverse):
        a = on.contiguous(_linear(h, weight_hh, bias_hh))
        _run("lstm_gates", x.dtype, B, H, inputs[t], a, c, y[t], cells[t], gates[t], B, H, 4)
        h, c = y[t], cells[t]
    y[T] = c
    return y, cells, gates


def lstm_sequence_backward(
    dy, x, h0, c0, weight_ih, weight_hh, out, cells, gates, *, reverse=False, input_gradient=True
):  # fmt: skip
    on, (T, B, _), H = device(), x.shape, h0.shape[1]
    dy, h0, c0, out, cells, gates = _ready(dy, h0, c0, out, cells, gates)
    ds, dc, dh = on.empty((T, B, 4 * H), x.dtype), dy[T], None
    steps = list(_walk(T, reverse))
    for k in reversed(range(T)):
        t, before = steps[k], c0 if k == 0 else cells[steps[k - 1]]
        dc_before = on.empty((B, H), x.dtype)
        _run("lstm_gates_backward", x.dtype, B, H, dy[t], dh, dc, before, cells[t], gates[t], ds[t], dc_before, B, H, 4)
        dh, dc = on.contiguous(matmul(on.xp, ds[t], weight_hh)), dc_before
    *weights, db, _ = _gradients(x, h0, out[:T], ds, ds, reverse)
    return _input_gradient(x, ds, weight_ih, input_gradient), dh, dc, *weights, db


def gru_sequence(x, h0, weight_ih, weight_hh, bias_ih=None, bias_hh=None, *, reverse=False, input_gradient=True):
    on, (T, B, _), H = device(), x.shape, h0.shape[1]
    inputs = on.contiguous(_linear(x, weight_ih, bias_ih))  # (T, B, 3 H)
    y, gates = on.empty((T, B, H), x.dtype), on.empty((T, B, 4 * H), x.dtype)
    h = on.contiguous(h0)
    for t in _walk(T, reverse):
        a = on.contiguous(_linear(h, weight_hh, bias_hh))
        _run("gru_gates", x.dtype, B, H, inputs[t], a, h, y[t], gates[t], B, H)
        h = y[t]
    return y, gates


def gru_sequence_backward(dy, x, h0, weight_ih, weight_hh, out, gates, *, reverse=False, input_gradient=True):
    on, (T, B, _), H = device(), x.shape, h0.shape[1]
    dy, h0, out, gates = _ready(dy, h0, out, gates)
    ds, da, dh = on.empty((T, B, 3 * H), x.dtype), on.empty((T, B, 3 * H), x.dtype), None
    steps = list(_walk(T, reverse))
    for k in reversed(range(T)):
        t, before = steps[k], h0 if k == 0 else out[steps[k - 1]]
        partly = on.empty((B, H), x.dtype)
        _run("gru_gates_backward", x.dtype, B, H, dy[t], dh, before, gates[t], ds[t], da[t], partly, B, H)
        dh = on.contiguous(partly + matmul(on.xp, da[t], weight_hh))
    return _input_gradient(x, ds, weight_ih, input_gradient), dh, *_gradients(x, h0, out, ds, da, reverse)


def _gradients(x, h0, hs, ds, da, reverse):
    """The gradients of weight_ih, weight_hh, bias_ih and bias_hh."""
    xp, (T, B, I), G = device().xp, x.shape, ds.shape[-1]
    earlier = [hs[1:], h0[None]] if reverse else [h0[None], hs[:-1]]
    before = xp.concatenate(earlier, axis=0).reshape(T * B, -1)
    rows, rows_a = ds.reshape(T * B, G), da.reshape(T * B, G)
    weights = matmul(xp, rows.T, x.reshape(T * B, I)), matmul(xp, rows_a.T, before)
    db = sum_over(rows, axis=0)
    return *weights, db, db if da is ds else sum_over(rows_a, axis=0)


def _input_gradient(x, ds, weight_ih, wanted):
    return matmul(device().xp, ds, weight_ih) if wanted else x[:0]
