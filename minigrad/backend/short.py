"""Networks on few numbers: bodies of ops/nn.py for floats, of which there are some, in as few calls as NumPy takes.

A body is written in primitives, and to find and call each takes longer than to compute ten rows. These serve the
backend "numba" below the sizes at which its kernels do; the backend "numpy" runs the bodies, with which tests compare.
"""

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from ..primitive import PRIMITIVES
from .base import get_backend

FLOATS = frozenset((np.dtype(np.float32), np.dtype(np.float64)))


def _body(name: str, *arrays: Any, **params: Any) -> Any:
    """The body, for whatever the short form does not serve; errors are its own."""
    p = PRIMITIVES[name]
    p.shape(name, *arrays, **params)
    return p.forward(get_backend("numpy").F, *arrays, **params)


def _plain(x: Any, *others: Any) -> bool:
    """Are these, some of them None, not empty and of one float type?"""
    dtype = x.dtype
    return dtype in FLOATS and x.size > 0 < x.ndim and all([o is None or o.dtype == dtype for o in others])


def _top(x: Any, axis: Any) -> Any:
    return np.maximum.reduce(x, axis, keepdims=True)


def _total(x: Any, axis: Any) -> Any:
    return np.add.reduce(x, axis, keepdims=True)


def _mean(x: Any, *, axis: Any = None, keepdims: bool = False) -> Any:
    """Of all elements, as losses are averaged; n divides the number that the sum is."""
    if axis is not None or keepdims or x.dtype not in FLOATS or not x.size:
        return PRIMITIVES["mean"].forward(get_backend("numpy").library, x, axis=axis, keepdims=keepdims)
    return np.add.reduce(x, None) / x.size


def _softmax(x: Any, *, axis: Any = -1) -> Any:
    if not _plain(x):
        return _body("softmax", x, axis=axis)
    e = np.exp(x - _top(x, axis))
    e /= _total(e, axis)
    return e


def _log_softmax(x: Any, *, axis: Any = -1) -> Any:
    if not _plain(x):
        return _body("log_softmax", x, axis=axis)
    x = x - _top(x, axis)
    x -= np.log(_total(np.exp(x), axis))
    return x


def _softmax_backward(dy: Any, p: Any, *, axis: Any) -> Any:
    if not _plain(p, dy) or dy.shape != p.shape:
        return _body("softmax_backward", dy, p, axis=axis)
    return p * (dy - _total(dy * p, axis))


def _log_softmax_backward(dy: Any, logp: Any, *, axis: Any) -> Any:
    if not _plain(logp, dy) or dy.shape != logp.shape:
        return _body("log_softmax_backward", dy, logp, axis=axis)
    return dy - np.exp(logp) * _total(dy, axis)


def _cross_entropy(x: Any, labels: Any) -> Any:
    if not _plain(x) or x.ndim != 2 or labels.shape != x.shape[:1] or labels.dtype.kind not in "iu":
        return _body("cross_entropy", x, labels)
    top = _top(x, 1)  # (N, 1)
    x = x - top
    log_total = np.log(_total(np.exp(x), 1))  # (N, 1)
    return log_total[:, 0] - x[np.arange(len(x)), labels], top, log_total


def _cross_entropy_backward(dy: Any, x: Any, labels: Any, top: Any, log_total: Any) -> Any:
    if not _plain(x, dy, top, log_total) or dy.shape != labels.shape or labels.dtype.kind not in "iu":
        return _body("cross_entropy_backward", dy, x, labels, top, log_total)
    dx = np.exp(x - top - log_total)  # (N, K)
    dx *= dy[:, None]
    dx[np.arange(len(dx)), labels] -= dy
    return dx


def _layer_norm(x: Any, weight: Any = None, bias: Any = None, *, ndim: int = 1, eps: float = 1e-5) -> Any:
    inner: Any = x.shape[x.ndim - ndim :] if 0 < ndim <= x.ndim else None
    if not _plain(x, weight, bias) or any([p is not None and p.shape != inner for p in (weight, bias)]):
        return _body("layer_norm", x, weight, bias, ndim=ndim, eps=eps)
    axes, n = tuple(range(-ndim, 0)), math.prod(inner)
    mean = _total(x, axes)  # (..., 1)
    mean /= n
    y = x - mean
    rstd = _total(y * y, axes)  # (..., 1)
    rstd /= n
    rstd += eps
    rstd = 1 / np.sqrt(rstd)
    y *= rstd
    if weight is not None:
        y *= weight
    if bias is not None:
        y += bias
    return y, mean, rstd


def _layer_norm_backward(dy: Any, x: Any, mean: Any, rstd: Any, weight: Any = None, *, ndim: int = 1) -> Any:
    if not _plain(x, dy, mean, rstd, weight) or dy.shape != x.shape:
        return _body("layer_norm_backward", dy, x, mean, rstd, weight, ndim=ndim)
    axes, rows, n = tuple(range(-ndim, 0)), tuple(range(x.ndim - ndim)), math.prod(x.shape[x.ndim - ndim :])
    xhat = (x - mean) * rstd  # (..., C)
    g = dy if weight is None else dy * weight
    dx = g - _total(g, axes) / n
    dx -= xhat * (_total(g * xhat, axes) / n)
    dx *= rstd
    return dx, np.add.reduce(dy * xhat, rows), np.add.reduce(dy, rows)


def _attention(
    q: Any, k: Any, v: Any, mask: Any = None, seed: Any = None, *, causal=False, scale=None, dropout=0.0
) -> Any:
    given = mask is not None or seed is not None or causal or dropout
    if given or not _plain(q, k, v) or not k.size or not v.size or min(q.ndim, k.ndim, v.ndim) < 2:
        return _body("attention", q, k, v, mask, seed, causal=causal, scale=scale, dropout=dropout)
    e = np.matmul(q, k.swapaxes(-1, -2))  # (..., T, S)
    e *= q.shape[-1] ** -0.5 if scale is None else scale
    top = _top(e, -1)  # (..., T, 1)
    e -= top
    np.exp(e, out=e)
    total = _total(e, -1)
    e /= total
    return np.matmul(e, v), top + np.log(total)


_ONE_BY_ONE = 1_024  # elements, up to which Python's erf of each is as fast as the approximation over all


def _erf(x: Any) -> Any:
    if getattr(x, "dtype", None) not in FLOATS or x.size > _ONE_BY_ONE:
        return PRIMITIVES["erf"].forward(np, x)
    return np.array([math.erf(v) for v in x.ravel().tolist()], x.dtype).reshape(x.shape)


def _gelu(x: Any) -> Any:
    return x * (0.5 * (1 + _erf(x * 0.7071067811865476)))


def _gelu_backward(dy: Any, x: Any) -> Any:
    density = np.exp(-0.5 * x * x) * 0.3989422804014327
    return dy * (0.5 * (1 + _erf(x * 0.7071067811865476)) + x * density)


SHORT: dict[str, Callable] = {
    "mean": _mean,
    "softmax": _softmax,
    "softmax_backward": _softmax_backward,
    "log_softmax": _log_softmax,
    "log_softmax_backward": _log_softmax_backward,
    "cross_entropy": _cross_entropy,
    "cross_entropy_backward": _cross_entropy_backward,
    "layer_norm": _layer_norm,
    "layer_norm_backward": _layer_norm_backward,
    "attention": _attention,
    "erf": _erf,
    "gelu": _gelu,
    "gelu_backward": _gelu_backward,
}
