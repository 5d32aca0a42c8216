"""Optimizer steps in one pass over memory: parameter, gradient and state are read once and written once.

PyTorch's formulas (torch.optim.Adam, AdamW, SGD) in its order of operations. All arrays of one shape and dtype
(float32 or float64); param and state change in place, grad does not.
"""

import math

from numba import njit, prange

PARALLEL_FROM = 32_768  # elements
CHUNK = 16_384

_OPTIONS = {"cache": True, "nogil": True, "error_model": "numpy"}


@njit(fastmath={"contract"}, **_OPTIONS)
def _adam(p, g, m, v, sign, shrink, decay, w1, beta2, w2, eps, step_size, root_correction):
    kind = p.dtype.type
    sign, shrink, decay, w1, beta2, w2 = kind(sign), kind(shrink), kind(decay), kind(w1), kind(beta2), kind(w2)
    eps, step_size, root_correction = kind(eps), kind(step_size), kind(root_correction)
    for i in range(p.size):
        p_i = p[i] * shrink
        g_i = sign * g[i] + decay * p_i
        m_i = m[i] + w1 * (g_i - m[i])
        v_i = beta2 * v[i] + w2 * g_i * g_i
        m[i] = m_i
        v[i] = v_i
        p[i] = p_i - step_size * (m_i / (math.sqrt(v_i) / root_correction + eps))


@njit(parallel=True, **_OPTIONS)
def _adam_parallel(p, g, m, v, sign, shrink, decay, w1, beta2, w2, eps, step_size, root_correction):
    for chunk in prange((p.size + CHUNK - 1) // CHUNK):
        s = slice(chunk * CHUNK, (chunk + 1) * CHUNK)
        _adam(p[s], g[s], m[s], v[s], sign, shrink, decay, w1, beta2, w2, eps, step_size, root_correction)


@njit(fastmath={"contract"}, **_OPTIONS)
def _sgd(p, g, buffer, sign, decay, momentum, fresh, peek, lr):
    kind = p.dtype.type
    sign, decay, momentum, fresh, peek, lr = kind(sign), kind(decay), kind(momentum), kind(fresh), kind(peek), kind(lr)
    if momentum == 0:
        for i in range(p.size):
            p[i] -= lr * (sign * g[i] + decay * p[i])
    else:
        for i in range(p.size):
            g_i = sign * g[i] + decay * p[i]
            b_i = momentum * buffer[i] + fresh * g_i
            buffer[i] = b_i
            p[i] -= lr * (g_i + momentum * b_i if peek else b_i)


@njit(parallel=True, **_OPTIONS)
def _sgd_parallel(p, g, buffer, sign, decay, momentum, fresh, peek, lr):
    for chunk in prange((p.size + CHUNK - 1) // CHUNK):
        s = slice(chunk * CHUNK, (chunk + 1) * CHUNK)
        _sgd(p[s], g[s], buffer[s], sign, decay, momentum, fresh, peek, lr)


def _run(serial, parallel, changed, grad, *numbers):
    """Call the kernel on flat views. An array in `changed` that is not contiguous goes through a copy and back."""
    flat = [a.reshape(-1) if a.flags.carray else a.flatten() for a in changed]
    grad = grad.reshape(-1) if grad.flags.carray else grad.flatten()
    state = flat[1:] or flat  # without state the kernel takes the parameter in its place, and leaves it alone
    (serial if grad.size < PARALLEL_FROM else parallel)(flat[0], grad, *state, *numbers)
    for array, copy in zip(changed, flat, strict=True):
        if not array.flags.carray:
            array[...] = copy.reshape(array.shape)


def adam_step(
    param, grad, exp_avg, exp_avg_sq, *, lr, beta1, beta2, eps, weight_decay=0.0, decoupled=False, step, maximize=False
):
    """One step of Adam (Kingma and Ba 2014, arXiv:1412.6980) or, `decoupled`, AdamW (arXiv:1711.05101), in place.

    m += (1 - beta1) (g - m);  v = beta2 v + (1 - beta2) g**2;  p -= lr/(1 - beta1**step) m / (sqrt(v)/sqrt(1 -
    beta2**step) + eps) where g has weight_decay * p added, or p is first scaled by 1 - lr * weight_decay
    (`decoupled`). `step` counts from 1.
    """
    _run(
        _adam,
        _adam_parallel,
        (param, exp_avg, exp_avg_sq),
        grad,
        -1.0 if maximize else 1.0,
        1.0 - lr * weight_decay if decoupled else 1.0,
        0.0 if decoupled else float(weight_decay),
        1.0 - beta1,
        float(beta2),
        1.0 - beta2,
        float(eps),
        lr / (1.0 - beta1**step),
        math.sqrt(1.0 - beta2**step),
    )


def sgd_step(
    param,
    grad,
    momentum_buffer,
    *,
    lr,
    momentum=0.0,
    dampening=0.0,
    weight_decay=0.0,
    nesterov=False,
    maximize=False,
    first=False,
):
    """One step of SGD in place: b = momentum b + (1 - dampening) g;  p -= lr b, or lr (g + momentum b) with Nesterov.

    momentum_buffer: None without momentum. `first`: the buffer holds nothing yet, and becomes g (undamped, as in
    PyTorch).
    """
    if first and momentum:
        momentum_buffer[...] = 0.0  # not momentum * garbage: it may hold NaN
    _run(
        _sgd,
        _sgd_parallel,
        (param,) if momentum_buffer is None else (param, momentum_buffer),
        grad,
        -1.0 if maximize else 1.0,
        float(weight_decay),
        float(momentum) if momentum_buffer is not None else 0.0,
        1.0 if first else 1.0 - dampening,
        bool(nesterov),
        float(lr),
    )
