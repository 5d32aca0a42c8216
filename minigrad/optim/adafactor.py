"""Adafactor: second moments of matrices kept as one row and one column."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np

from .optimizer import Optimizer
from .options import given, not_negative, number


class Adafactor(Optimizer):
    """With c = t**beta2_decay, RMS(x) = |x| / sqrt(size) and eps = (e1, e2):

    R = R + c (mean of g**2 over the last axis - R), C likewise over the axis before, V = R C / max(mean of R, e1);
    vectors keep V = V + c (g**2 - V) itself.  u = g / sqrt(max(V, e1**2));
    p = p (1 - lr weight_decay) - max(e2, RMS(p)) min(lr, 1 / sqrt(t)) u / max(1, RMS(u) / d).

    lr bounds the relative step; e1 None: the dtype's eps; d: updates larger than that are scaled down. State: step,
    row_var (R) and col_var (C), or variance (V). Shazeer and Stern 2018, arXiv:1804.04235, algorithms 4 and 6, with
    PyTorch's use of e1 and lr.

    >>> import minigrad as mg
    >>> from minigrad import optim
    >>> p = mg.ones(20, 30, requires_grad=True)
    >>> optimizer = optim.Adafactor([p])
    >>> (p * p).sum().backward()
    >>> optimizer.step()
    >>> {name: t.shape for name, t in optimizer.state[p].items()}
    {'step': (), 'row_var': (20, 1), 'col_var': (1, 30)}
    """

    rules: ClassVar = {
        "beta2_decay": (lambda v: number(v) and bool(v <= 0), "must be a number of at most 0"),
        "eps": (
            lambda v: isinstance(v, (tuple, list)) and len(v) == 2 and all(e is None or not_negative(e) for e in v)
            and v[1] is not None,
            "must be (None or at least 0, at least 0)",
        ),
        "d": (lambda v: number(v) and bool(v >= 1), "must be a number of at least 1"),
    }  # fmt: skip

    def __init__(
        self,
        params: Any,
        lr: float = 1e-2,
        beta2_decay: float = -0.8,
        eps: tuple[float | None, float] = (None, 1e-3),
        d: float = 1.0,
        weight_decay: float = 0.0,
        *,
        foreach: Any = None,
        maximize: bool = False,
    ):
        super().__init__(params, given(locals()))

    def init(self, F: Any, p: Any, **options: Any) -> dict[str, Any]:
        state = {"step": F.zeros(shape=(), dtype="float32")}
        if p.ndim < 2:
            return state | {"variance": F.zeros_like(p)}
        *lead, m, n = p.shape
        row, column = ((*lead, m, 1), (*lead, 1, n))
        return state | {"row_var": F.zeros(shape=row, dtype=p.dtype), "col_var": F.zeros(shape=column, dtype=p.dtype)}

    def update(self, F, p, g, state, *, lr, beta2_decay, eps, d, weight_decay, maximize):
        rms = lambda x: F.sqrt(F.sum(x * x)) / max(x.size, 1) ** 0.5
        small = float(np.finfo(p.dtype).eps) if eps[0] is None else eps[0]
        t = state["step"] + 1
        n = F.astype(t, dtype="float64")
        share, relative = (F.astype(c, dtype=p.dtype) for c in (n**beta2_decay, F.minimum(lr, n**-0.5)))
        rate = F.maximum(rms(p), eps[1]) * relative
        g = -g if maximize else g
        p = p * (1 - lr * weight_decay)
        if g.ndim < 2:
            v = state["variance"] + share * (g * g - state["variance"])
            kept = {"variance": v}
        else:
            rows, columns = state["row_var"], state["col_var"]
            rows = rows + share * (F.mean(g * g, axis=-1, keepdims=True) - rows)  # (..., m, 1)
            columns = columns + share * (F.mean(g * g, axis=-2, keepdims=True) - columns)  # (..., 1, n)
            v = rows * columns / F.maximum(F.mean(rows, axis=-2, keepdims=True), small)  # (..., m, n)
            kept = {"row_var": rows, "col_var": columns}
        u = g / F.sqrt(F.maximum(v, small * small))
        return p - rate / F.maximum(rms(u) / d, 1.0) * u, {"step": t} | kept
