"""Layer, root mean square, group and batch normalisation, forward and backward: see norm.cu."""

import math

from .launch import SHARED, TYPES, WARP, Source, by_row, ceil_div, device, flat, item_bytes

source = Source("norm")
FEW_BLOCKS, MOST_PARTS, LONG_PART = 528, 256, 1024  # see reduce.py
DOWN = 8  # threads down the batch, where channels lie beside each other


def _types(x, exact=False):
    """M: the type of per-channel numbers, exact between two kernels."""
    memory, registers, _ = TYPES[str(x.dtype)]
    return {"M": registers if exact else memory}


def _exact(x):
    return "float64" if str(x.dtype) == "float64" else "float32"


# ---- rows ------------------------------------------------------------------------------------------------------------
def _rows(x, weight, bias, rows, n, groups, places, eps, centred, saved):
    on = device()
    x, y = on.contiguous(x), on.empty(x.shape, x.dtype)
    mean, rstd = on.empty(saved, x.dtype) if centred else None, on.empty(saved, x.dtype)
    weight, bias = (None if v is None else on.contiguous(v) for v in (weight, bias))
    grid, block = by_row(rows, n)
    item = item_bytes(x.dtype)
    shared = (WARP + (block[1] if len(block) > 1 else 1) * n) * item
    held = shared <= SHARED
    arguments = (x, weight, bias, y, mean, rstd, rows, n, groups, places, int(centred), int(held), eps)
    source("norm_rows", x.dtype, **_types(x))(grid, block, arguments, shared=shared if held else WARP * item)
    return (y, mean, rstd) if centred else (y, rstd)


def _rows_backward(dy, x, mean, rstd, weight, rows, n, groups, places):
    on = device()
    dx = on.empty(x.shape, x.dtype)
    arguments = (dy, x, mean, rstd, weight, dx, rows, n, groups, places, int(mean is not None))
    run = source("norm_rows_backward", x.dtype, **_types(x))
    run(*by_row(rows, n), arguments, shared=WARP * item_bytes(x.dtype))
    return dx


def _ready(*arrays):
    return tuple(None if a is None else device().contiguous(a) for a in arrays)


def layer_norm(x, weight=None, bias=None, *, ndim=1, eps=1e-5):
    kept = x.shape[: x.ndim - ndim]
    rows, n = math.prod(kept), math.prod(x.shape[x.ndim - ndim :])
    return _rows(x, weight, bias, rows, n, 1, 1, eps, True, (*kept, *(1,) * ndim))


def rms_norm(x, weight=None, *, ndim=1, eps=1e-5):
    kept = x.shape[: x.ndim - ndim]
    rows, n = math.prod(kept), math.prod(x.shape[x.ndim - ndim :])
    return _rows(x, weight, None, rows, n, 1, 1, eps, False, (*kept, *(1,) * ndim))


def group_norm(x, weight=None, bias=None, *, groups=1, eps=1e-5):
    rows, n, places = x.shape[0] * groups, math.prod(x.shape[1:]) // groups, math.prod(x.shape[2:])
    return _rows(x, weight, bias, rows, n, groups, places, eps, True, (x.shape[0], groups, 1))


def layer_norm_backward(dy, x, mean, rstd, weight=None, *, ndim=1):
    dy, x, mean, rstd, weight = _ready(dy, x, mean, rstd, weight)
    line = x.shape[x.ndim - ndim :]
    rows, n = math.prod(x.shape[: x.ndim - ndim]), math.prod(line)
    dx = _rows_backward(dy, x, mean, rstd, weight, rows, n, 1, 1)
    dbias, dweight = _sums(x, dy, mean, rstd, (rows, n, 1), 1)
    return dx, dweight.reshape(line), dbias.reshape(line)


def rms_norm_backward(dy, x, rstd, weight=None, *, ndim=1):
    dy, x, rstd, weight = _ready(dy, x, rstd, weight)
    line = x.shape[x.ndim - ndim :]
    rows, n = math.prod(x.shape[: x.ndim - ndim]), math.prod(line)
    dx = _rows_backward(dy, x, None, rstd, weight, rows, n, 1, 1)
    _, dweight = _sums(x, dy, None, rstd, (rows, n, 1), 1)
    return dx, dweight.reshape(line)


def group_norm_backward(dy, x, mean, rstd, weight=None, *, groups=1):
    dy, x, mean, rstd, weight = _ready(dy, x, mean, rstd, weight)
    batch, channels, places = x.shape[0], x.shape[1], math.prod(x.shape[2:])
    dx = _rows_backward(dy, x, mean, rstd, weight, batch * groups, channels // groups * places, groups, places)
    dbias, dweight = _sums(x, dy, mean, rstd, (batch, channels, places), groups)
    return dx, dweight, dbias


# ---- channels --------------------------------------------------------------------------------------------------------
def _channel_sums(x, dy, m, r, view, own, what, exact):
    """(sums, sums or None) of each channel in parts, (parts, C): see `terms` in norm.cu. own: groups, 0: channels."""
    batch, channels, places = view
    on, item = device(), item_bytes(x.dtype)
    blocks = channels if places > 1 else ceil_div(channels, WARP)
    length = batch * places
    parts = max(1, min(MOST_PARTS, FEW_BLOCKS // blocks, length // LONG_PART if places > 1 else length // 64))
    u = on.empty((parts, channels), _exact(x))
    v = on.empty((parts, channels), _exact(x)) if what == 2 else None
    types, per_row = _types(x, exact), int(own > 0)
    if places > 1:
        block = min(512, ceil_div(ceil_div(length, parts), 4 * WARP) * WARP)
        arguments = (x, dy, m, r, u, v, batch, channels, places, parts, own or channels, per_row, what)
        source("channel_sums", x.dtype, **types)((blocks, parts), (block,), arguments, shared=WARP * item)
    else:
        arguments = (x, dy, m, r, u, v, batch, channels, parts, own or channels, per_row, what)
        run = source("channel_sums_columns", x.dtype, **types)
        run((blocks, parts), (WARP, DOWN), arguments, shared=2 * DOWN * WARP * item)
    return u, v, parts


def _finished(x, u, v, parts, what, n):
    """The first as x's type, the second as x's type (what 2) or exact."""
    on, channels = device(), u.shape[1]
    first, second = on.empty((channels,), x.dtype), on.empty((channels,), x.dtype) if what == 2 else None
    exact = on.empty((channels,), _exact(x)) if what < 2 else None
    arguments = (u, v, first, second, exact, channels, parts, what, float(n))
    source("channel_finish", x.dtype, **_types(x))(*flat(channels, 128), arguments)
    return first, second if what == 2 else exact


def _sums(x, dy, mean, rstd, view, own):
    """The sums over each channel of dy, and of dy (x - mean) rstd. own: groups of a row that share mean and rstd."""
    u, v, parts = _channel_sums(x, dy, mean, rstd, view, own, 2, False)
    return _finished(x, u, v, parts, 2, 1)


def _packed(*arrays):
    return tuple(None if a is None else device().packed(a) for a in arrays)


def _view(x):
    return x.shape[0], x.shape[1], math.prod(x.shape[2:])


def _apply(x, mean, var, weight, bias, eps, exact):
    y = device().empty(x.shape, x.dtype)
    _, channels, places = _view(x)
    arguments = (x, mean, var, weight, bias, y, x.size, channels, places, eps)
    run = source("channel_apply", x.dtype, **_types(x, exact))
    run(*flat(ceil_div(x.size, 16 // x.dtype.itemsize)), arguments)
    return y


def batch_norm(x, weight=None, bias=None, *, eps=1e-5):
    x, weight, bias = _packed(x, weight, bias)
    view = _view(x)
    n = view[0] * view[2]
    u, _, parts = _channel_sums(x, None, None, None, view, 0, 0, True)
    mean, exact_mean = _finished(x, u, None, parts, 0, n)
    u, _, parts = _channel_sums(x, None, exact_mean, None, view, 0, 1, True)
    var, exact_var = _finished(x, u, None, parts, 1, n)
    return _apply(x, exact_mean, exact_var, weight, bias, eps, True), mean, var


def batch_norm_inference(x, mean, var, weight=None, bias=None, *, eps=1e-5):
    return _apply(*_packed(x, mean, var, weight, bias), eps, False)


def _channels_backward(dy, x, mean, rstd, weight, dmean, dvar):
    batch, channels, places = view = _view(x)
    sum_g, sum_gx = _sums(x, dy, mean, rstd, view, 0)
    dx = device().empty(x.shape, x.dtype)
    training = dmean is not None
    arguments = (dy, x, mean, rstd, weight, dmean, dvar, sum_g, sum_gx, dx, x.size, channels, places, int(training))
    run = source("channel_backward", x.dtype, **_types(x))
    run(*flat(ceil_div(x.size, 16 // x.dtype.itemsize)), (*arguments, float(batch * places)))
    return dx, sum_gx, sum_g


def batch_norm_backward(dy, dmean, dvar, x, mean, rstd, weight=None):
    dy, dmean, dvar, x, mean, rstd, weight = _packed(dy, dmean, dvar, x, mean, rstd, weight)
    return _channels_backward(dy, x, mean, rstd, weight, dmean, dvar)


def batch_norm_inference_backward(dy, x, mean, rstd, weight=None):
    dy, x, mean, rstd, weight = _packed(dy, x, mean, rstd, weight)
    return _channels_backward(dy, x, mean, rstd, weight, None, None)
