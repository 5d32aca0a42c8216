"""L-BFGS: a quasi-Newton method that calls the loss several times a step."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial
from typing import Any, ClassVar

from ..backend import Backend
from ..edits import caller, written
from ..errors import ArgumentError, StateError
from ..mode import enable_grad
from ..tensor import Tensor, wrap
from .optimizer import Optimizer, to_numpy
from .options import given

Evaluate = Callable[[float], tuple[float, Any]]  # step length -> loss and flat gradient there


class LBFGS(Optimizer):
    """p = p + t d, with d = -H g and H the inverse Hessian as the last history_size steps show it.

    ``step(closure)`` makes up to max_iter iterations or max_eval (5/4 of it) calls of closure, which zeroes the
    gradients, computes the loss, calls backward and returns the loss. t is lr (at first min(1, 1 / sum |g|) lr), or,
    with line_search_fn='strong_wolfe', one at which the loss fell by 1e-4 of what the slope promised, and the slope to
    0.9 of what it was. Stops where max |g| <= tolerance_grad, or max |t d| or the loss's change is <= tolerance_change.

    One group only; its parameters move as one vector (N,) of one dtype. Meant for losses without noise: give it the
    whole data. State, held for the first parameter: func_evals, n_iter, d, t, old_dirs, old_stps, ro, H_diag,
    prev_flat_grad, prev_loss, al. Nocedal 1980, Math. Comp. 35; Nocedal and Wright 2006, algorithms 7.4, 3.5 and 3.6.

    >>> import minigrad as mg
    >>> from minigrad import optim
    >>> x = mg.tensor([-1.2, 1.0], requires_grad=True, dtype="float64")
    >>> optimizer = optim.LBFGS([x], line_search_fn="strong_wolfe", max_iter=50)
    >>> def closure():
    ...     optimizer.zero_grad()
    ...     loss = (1 - x[0]) ** 2 + 100 * (x[1] - x[0] ** 2) ** 2  # Rosenbrock's valley, lowest at (1, 1)
    ...     loss.backward()
    ...     return loss
    >>> _ = optimizer.step(closure)
    >>> [round(v, 4) for v in x.tolist()]
    [1.0, 1.0]
    """

    rules: ClassVar = {
        "line_search_fn": (lambda v: v in (None, "strong_wolfe"), "must be None or 'strong_wolfe'"),
    }

    def __init__(
        self,
        params: Any,
        lr: float = 1,
        max_iter: int = 20,
        max_eval: int | None = None,
        tolerance_grad: float = 1e-7,
        tolerance_change: float = 1e-9,
        history_size: int = 100,
        line_search_fn: str | None = None,
    ):
        if max_eval is None:
            max_eval = max(max_iter * 5 // 4, 1)
        super().__init__(params, given(locals()))

    def add_param_group(self, param_group: dict[str, Any]) -> None:
        if self.param_groups:
            raise ArgumentError("LBFGS: all parameters move as one vector: got a second group. Put them into one.")
        super().add_param_group(param_group)

    def _step(self, closure: Callable[[], Any] | None = None) -> Any:
        if closure is None:
            raise ArgumentError("LBFGS.step: needs a closure that computes the loss and its gradient and returns it.")
        where = caller()
        try:
            return self._iterate(closure)
        finally:
            for p in self._params():
                written(p, "LBFGS.step", where)

    def _iterate(self, closure: Callable[[], Any]) -> Any:
        group = self.param_groups[0]
        o, params = self._options(group), group["params"]
        backend: Backend = params[0].backend
        xp = backend.xp
        state = self.state.setdefault(params[0], {"func_evals": 0, "n_iter": 0})

        def evaluate() -> tuple[Any, Any]:
            with enable_grad():
                loss = closure()
            grads = [xp.zeros_like(p.array) if p._grad is None else p._grad.array for p in params]
            state["func_evals"] += 1
            return loss, xp.concatenate([a.reshape(-1) for a in grads])  # (N,)

        def move(start: list, t: float, d: Any) -> None:
            """Parameters = start + t d."""
            low = 0
            for p, a in zip(params, start):
                p.array[...] = a + t * d[low : low + a.size].reshape(a.shape)
                low += a.size

        total = lambda a: float(backend.to_host(xp.sum(a)))
        dot = lambda a, b: total(a * b)
        largest = lambda a: float(backend.to_host(xp.max(xp.abs(a)))) if a.size else 0.0
        first, g = evaluate()
        loss, evals = number(first), 1
        if largest(g) <= o["tolerance_grad"]:
            return first
        for i in range(1, o["max_iter"] + 1):
            state["n_iter"] += 1
            d = direction(dot, g, state, o["history_size"])
            before, state["prev_loss"], state["prev_flat_grad"] = loss, loss, g.copy()
            t = min(1.0, 1.0 / total(xp.abs(g))) * o["lr"] if state["n_iter"] == 1 else o["lr"]
            slope = dot(g, d)
            state["d"], state["t"] = d, t
            if slope > -o["tolerance_change"]:
                break
            start, calls = [p.array.copy() for p in params], state["func_evals"]
            if o["line_search_fn"]:

                def at(t: float, start: list = start, d: Any = d) -> tuple[float, Any]:
                    move(start, t, d)
                    loss, g = evaluate()
                    return number(loss), g

                width = largest(d)
                loss, g, t = strong_wolfe(at, partial(dot, d), t, loss, g, slope, width, o["max_eval"] - evals)
                move(start, t, d)
            else:
                move(start, t, d)
                if i < o["max_iter"]:  # the last loss would only serve the next iteration
                    value, g = evaluate()
                    loss = number(value)
            evals += state["func_evals"] - calls
            state["t"] = t
            done = evals >= o["max_eval"] or largest(g) <= o["tolerance_grad"]
            if i < o["max_iter"] and (
                done or largest(d * t) <= o["tolerance_change"] or abs(loss - before) < o["tolerance_change"]
            ):
                break
        return first

    # -- state: PyTorch's keys, with arrays, numbers and lists of them -------------------------------------------------
    def state_dict(self) -> dict[str, Any]:
        saved = super().state_dict()
        saved["state"] = {
            i: {k: _each(v, lambda a: wrap(a.copy()) if getattr(a, "ndim", 0) else a) for k, v in s.items()}
            for i, s in saved["state"].items()
        }
        return saved

    def _loaded(self, i: int, p: Tensor, group: dict[str, Any], values: dict[str, Any]) -> dict[str, Any]:
        n = sum(q.size for q in group["params"])

        def own(value: Any) -> Any:
            if value is None or type(value) in (int, float):
                return value
            array = to_numpy(value)
            if array.shape == ():
                return array.item()
            if array.shape != (n,):
                raise StateError(f"LBFGS.load_state_dict: vectors must be ({n},): got {array.shape}.")
            return p.backend.asarray(array, dtype=p.dtype, copy=True)

        return {k: _each(v, own) for k, v in values.items()}


def _each(value: Any, f: Callable[[Any], Any]) -> Any:
    return [f(v) for v in value] if isinstance(value, list) else f(value)


def number(loss: Any) -> float:
    return loss.item() if isinstance(loss, Tensor) else float(loss)


def direction(dot: Callable, g: Any, state: dict[str, Any], size: int) -> Any:
    """-H g by the two loops of Nocedal and Wright, algorithm 7.4, after noting the last step. g: (N,).

    state: the last `size` changes of the gradient y (old_dirs), steps s (old_stps) and 1 / y.s (ro).
    """
    if state["n_iter"] == 1:
        state.update(old_dirs=[], old_stps=[], ro=[], H_diag=1)
        return -g
    ys, ss, ro = state["old_dirs"], state["old_stps"], state["ro"]
    y, s = g - state["prev_flat_grad"], state["d"] * state["t"]
    curvature = dot(y, s)
    if curvature > 1e-10:  # else H would not be positive
        if len(ys) == size:
            for oldest in (ys, ss, ro):
                oldest.pop(0)
        ys.append(y)
        ss.append(s)
        ro.append(1.0 / curvature)
        state["H_diag"] = curvature / dot(y, y)
    al = state.setdefault("al", [None] * size)
    q = -g
    for i in reversed(range(len(ys))):
        al[i] = dot(ss[i], q) * ro[i]
        q = q - al[i] * ys[i]
    r = q * state["H_diag"]
    for i in range(len(ys)):
        r = r + ss[i] * (al[i] - dot(ys[i], r) * ro[i])
    return r


def lowest_of_cubic(x1: float, f1: float, g1: float, x2: float, f2: float, g2: float, bounds: Any = None) -> float:
    """Where the cubic with these values and slopes at x1 and x2 is lowest, kept within the bounds (x1 and x2).
    Nocedal and Wright 2006, equation 3.59."""
    low, high = bounds or ((x1, x2) if x1 <= x2 else (x2, x1))
    d1 = g1 + g2 - 3 * (f1 - f2) / (x1 - x2) if x1 != x2 else math.nan
    square = d1 * d1 - g1 * g2
    if not square >= 0:
        return (low + high) / 2.0
    if x1 > x2:
        x1, g1, x2, g2 = x2, g2, x1, g1
    d2 = square**0.5
    below = g2 - g1 + 2 * d2
    return min(max(x2 - (x2 - x1) * ((g2 + d2 - d1) / below), low), high) if below else (low + high) / 2.0


def strong_wolfe(
    at: Evaluate, along: Callable[[Any], float], t: float, f: float, g: Any, slope: float, width: float, most: int,
    c1: float = 1e-4, c2: float = 0.9, tolerance: float = 1e-9,
) -> tuple[float, Any, float]:  # fmt: skip
    """(loss, gradient, t) with loss <= f + c1 t slope and |slope there| <= -c2 slope, after at most `most` + 1 calls
    of `at`; the best found if there is none. Nocedal and Wright 2006, algorithms 3.5 and 3.6.

    t: the first step to try; f, g, slope: loss, gradient and slope at 0; along: gradient -> slope in the direction
    searched; width: the direction's largest element, for the shortest interval (tolerance).
    """

    def point(t: float) -> tuple:  # (t, loss, gradient, slope)
        value, gradient = at(t)
        return t, value, gradient, along(gradient)

    before: tuple = (0, f, g, slope)
    new, calls, done = point(t), 0, False
    bracket: list[tuple] = []
    while calls < most:  # grow t until an interval must hold a good point
        t, value, _, rise = new
        if value > f + c1 * t * slope or (calls > 1 and value >= before[1]):
            bracket = [before, new]
            break
        if abs(rise) <= -c2 * slope:
            bracket, done = [new], True
            break
        if rise >= 0:
            bracket = [before, new]
            break
        bounds = t + 0.01 * (t - before[0]), t * 10
        longer = lowest_of_cubic(before[0], before[1], before[3], t, value, rise, bounds)
        before, new = new, point(longer)
        calls += 1
    if not bracket:
        bracket = [(0, f, g, slope), new]
    low, high = (0, 1) if bracket[0][1] <= bracket[-1][1] else (1, 0)
    stuck = False
    while not done and calls < most:  # shrink it
        (t1, f1, _, g1), (t2, f2, _, g2) = bracket
        if abs(t2 - t1) * width < tolerance:
            break
        t = lowest_of_cubic(t1, f1, g1, t2, f2, g2)
        left, right = min(t1, t2), max(t1, t2)
        margin = 0.1 * (right - left)
        if min(right - t, t - left) < margin:  # near an end twice, or on it: a tenth inside instead
            if stuck or t >= right or t <= left:
                t = right - margin if abs(t - right) < abs(t - left) else left + margin
                stuck = False
            else:
                stuck = True
        else:
            stuck = False
        new = point(t)
        calls += 1
        if new[1] > f + c1 * t * slope or new[1] >= bracket[low][1]:
            bracket[high] = new
            low, high = (0, 1) if bracket[0][1] <= bracket[1][1] else (1, 0)
        else:
            if abs(new[3]) <= -c2 * slope:
                done = True
            elif new[3] * (bracket[high][0] - bracket[low][0]) >= 0:
                bracket[high] = bracket[low]
            bracket[low] = new
    t, value, gradient, _ = bracket[low]
    return value, gradient, t
