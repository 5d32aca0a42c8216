"""The function under test as a map of flat vectors, and its derivatives by differences."""

from __future__ import annotations

import inspect
import itertools
import math
import warnings
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

import numpy as np

from .. import autograd
from ..convert import as_array
from ..errors import DTypeError, GradError
from ..mode import enable_grad
from ..tensor import F, Tensor, wrap
from .report import Report

EPS = float(np.finfo(np.float64).eps)  # 2.2e-16


SLACK = 100  # how many roundings of its largest value a forward may make


CURVED = 1e-4  # a step that changes the slope by more than this part of it is too near a kink or a pole to judge


class Map:
    """f as a map from one flat vector, all checked inputs, to another, all float outputs.

    A complex array counts as an array of pairs, (*shape, 2): real and imaginary part. PyTorch's gradient of a complex
    array, dL/dRe + i dL/dIm, is that of the pairs, so nothing else changes.
    """

    def __init__(self, f: Callable, inputs: Any, params: dict | None = None, name: str | None = None):
        self.f, self.params = f, params or {}
        self.name = name or getattr(f, "__name__", type(f).__name__)
        self.args = [self._read(a) for a in (inputs if isinstance(inputs, (list, tuple)) else [inputs])]
        tensors = [i for i, a in enumerate(self.args) if isinstance(a, Tensor) and a.dtype.kind in "fc"]
        self.wrt = [i for i in tensors if self.args[i].requires_grad] or tensors  # positions of what is checked
        for i in self.wrt:
            if self.args[i].dtype not in (np.float64, np.complex128):
                raise DTypeError(
                    f"gradcheck: input {i} is {self.args[i].dtype}; differences need float64 or complex128. Of the "
                    f"{np.finfo(self.args[i].dtype).precision} digits of a forward, a difference keeps two thirds: too "
                    "few to tell a wrong rule from rounding."
                )
        if not self.wrt:
            raise DTypeError("gradcheck: there is nothing to check: no input is a float64 array or tensor.")
        self.shapes = [_paired_shape(self.args[i]) for i in self.wrt]
        self.names = self._names()
        self.outputs: list[tuple] = []  # their shapes, known after the first call

    @staticmethod
    def _read(a: Any) -> Any:
        return wrap(as_array(a)) if isinstance(a, (np.ndarray, list)) else a

    def _names(self) -> list[str]:
        try:
            parameters = list(inspect.signature(self.f).parameters.values())
        except (TypeError, ValueError):
            parameters = []
        names = [p.name for p in parameters if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)]
        return [names[i] if i < len(names) else f"input {i}" for i in range(len(self.args))]

    @property
    def x(self) -> np.ndarray:
        """(n,): the checked inputs, one after the other."""
        return _flat([_paired(self.args[i].numpy()) for i in self.wrt])

    def tensors(self, x: np.ndarray, layout: Callable = lambda a: a) -> list[Any]:
        """The arguments with the values x (n,), each checked one in a buffer of its own."""
        args = [a.detach() if isinstance(a, Tensor) else a for a in self.args]
        for i, part in zip(self.wrt, _parts(x, self.shapes)):
            part = _unpaired(part) if self.args[i].dtype.kind == "c" else part
            args[i] = wrap(self.args[i].backend.asarray(layout(np.array(part))))
        return args

    def floats(self, result: Any) -> list[Tensor]:
        """The float outputs of a call of f."""
        ys = result if isinstance(result, (tuple, list)) else [result]
        if not all(y is None or isinstance(y, Tensor) for y in ys):
            raise DTypeError(f"gradcheck: {self.name} must return tensors: got {[type(y).__name__ for y in ys]}.")
        ys = [y for y in ys if y is not None and y.dtype.kind in "fc"]
        self.outputs = [_paired_shape(y) for y in ys]
        return ys

    def weights(self, u: np.ndarray, ys: Sequence[Tensor]) -> list[Tensor]:
        """The parts of u (m,), shaped like the outputs ys."""
        parts = zip(ys, _parts(u, self.outputs))
        return [wrap(y.backend.asarray(_unpaired(p) if y.dtype.kind == "c" else np.array(p))) for y, p in parts]

    def __call__(self, x: np.ndarray) -> np.ndarray:
        """(m,): the outputs at x. No input asks for a gradient, so nothing is recorded but what f itself starts."""
        with enable_grad():
            ys = [y.detach().numpy() for y in self.floats(self.f(*self.tensors(x), **self.params))]
        return _flat(ys if x.dtype.kind == "c" else map(_paired, ys))  # complex x: the complex step looks at y itself

    def pull(self, x: np.ndarray, U: np.ndarray, report: Report, layout: Callable = lambda a: a) -> np.ndarray:
        """(k, n): row j is J^T U[j], computed by the rules. U: (k, m)."""
        args = self.tensors(x, layout)
        for i in self.wrt:
            args[i].requires_grad = True
        before = [a.numpy().copy() if isinstance(a, Tensor) else None for a in args]
        with enable_grad():
            ys = self.floats(self.f(*args, **self.params))
        rows = []
        for u in U:
            seeds = self.weights(u, ys)
            recorded = [(y, seed) for y, seed in zip(ys, seeds) if y.node is not None]
            row: list[Any] = [None] * len(self.wrt)
            if recorded:
                outputs, weights = zip(*recorded)
                row = list(
                    autograd.grad(outputs, [args[i] for i in self.wrt], weights, retain_graph=True, allow_unused=True)
                )
            for k, (i, g) in enumerate(zip(self.wrt, row)):
                if g is not None and (g.shape != args[i].shape or g.dtype != args[i].dtype):
                    report.failures.append(
                        f"the gradient for {self.names[i]} must be like it: got {g.dtype}{g.shape} for "
                        f"{args[i].dtype}{args[i].shape}."
                    )
                    g = None
                row[k] = np.zeros(self.shapes[k]) if g is None else _paired(g.numpy())
            rows.append(_flat(row))
            if any((_paired(seed.numpy()) != part).any() for seed, part in zip(seeds, _parts(u, self.outputs))):
                report.failures.append("a rule wrote to the gradient it was given. Rules never change their arguments.")
        for name, a, old in zip(self.names, args, before):
            if old is not None and not np.array_equal(a.numpy(), old, equal_nan=a.dtype.kind in "fc"):
                report.failures.append(f"{name} was changed: a forward or a rule wrote to its input.")
        return np.array(rows).reshape(len(U), x.size)

    def push(self, x: np.ndarray, v: np.ndarray) -> np.ndarray | None:
        """(m,): J v without a step: the derivative of w -> <J^T w, v>, by a backward pass through the backward pass.

        None if the gradient has no gradient of its own.
        """
        args = self.tensors(x)
        for i in self.wrt:
            args[i].requires_grad = True
        with enable_grad():
            ys = [y for y in self.floats(self.f(*args, **self.params))]
            if not all(y.node is not None for y in ys):
                return None
            w = [wrap(y.backend.xp.ones_like(y.array)).requires_grad_() for y in ys]
            leaves = [args[i] for i in self.wrt]
            try:
                pulled = autograd.grad(ys, leaves, w, create_graph=True, allow_unused=True)
                pairs = [
                    F.sum(
                        F.real(F.conj(g) * wrap(g.backend.asarray(_unpaired(part))))
                        if g.dtype.kind == "c"
                        else g * wrap(g.backend.asarray(np.array(part)))
                    )
                    for g, part in zip(pulled, _parts(v, self.shapes))
                    if g is not None and g.node is not None
                ]
                if not pairs:  # J is 0, or a rule computes where nothing is recorded and has first derivatives only
                    none = not any(g is not None and g.numpy().any() for g in pulled)
                    return np.zeros(sum(math.prod(s) for s in self.outputs)) if none else None
                found = autograd.grad(pairs, w, allow_unused=True)
            except GradError:
                return None
        return _flat([np.zeros(s) if g is None else _paired(g.numpy()) for s, g in zip(self.outputs, found)])


def _paired_shape(a: Any) -> tuple:
    return (*a.shape, 2) if a.dtype.kind == "c" else a.shape


def _paired(a: np.ndarray) -> np.ndarray:
    """(...) complex as (..., 2) real; a real array as it is."""
    return np.stack([a.real, a.imag], axis=-1) if a.dtype.kind == "c" else a


def _unpaired(a: np.ndarray) -> np.ndarray:
    return a[..., 0] + 1j * a[..., 1]


def _flat(arrays: Iterable[np.ndarray]) -> np.ndarray:
    parts = [np.reshape(a, -1) for a in arrays]
    return np.concatenate(parts) if parts else np.zeros(0)


def _parts(x: np.ndarray, shapes: Sequence[tuple]) -> Iterator[np.ndarray]:
    start = 0
    for shape in shapes:
        size = int(np.prod(shape, dtype=int))
        yield x[start : start + size].reshape(shape)
        start += size


def differences(f: Callable, x: np.ndarray, V: np.ndarray, step: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The derivatives of f at x along the columns of V, their error bounds, and where there is none: three of (m, k).

    The central difference D(h) = (f(x + hv) - f(x - hv)) / 2h is off by h**2 f'''/6 + h**4 f^(5)/120 + ... and by the
    rounding of f, at most SLACK eps |f| / h. The sum is least near h = eps**(1/3), both about eps**(2/3) of f there.
    A second step h/2 shows the truncation, D(h) - D(h/2) = h**2 f'''/8 + O(h**4), and removes it:
    (4 D(h/2) - D(h)) / 3 (Richardson) is off by O(h**4) and three times the rounding. The bound is

        3 SLACK eps (max|f| + |D|) / h  +  |D(h) - D(h/2)|

    At a kink both differences are mean slopes, right for no rule. There the one-sided slopes differ by a jump that does
    not shrink with h, (f(x + hv) - 2 f(x) + f(x - hv)) / h, where smooth functions halve it; or the kink lies between
    two of the five points, and D(h) - D(h/2) is no small part of the slope.
    """
    y = f(x)
    D, error, kink = (np.zeros((y.size, V.shape[1]), t) for t in (float, float, bool))
    for j, v in enumerate(V.T):
        far, near = ((f(x + h * v), f(x - h * v)) for h in (step, step / 2))
        d_far, d_near = (far[0] - far[1]) / (2 * step), (near[0] - near[1]) / step
        jump_far, jump_near = (
            np.abs(a - 2 * y + b) / h for (a, b), h in zip((far, near), (step, step / 2), strict=True)
        )
        rounding = 3 * SLACK * EPS * (np.abs(y).max(initial=1) + np.abs(d_near)) / step
        truncation = np.abs(d_far - d_near)
        limit = CURVED * np.abs(d_near).max(initial=0) + 10 * rounding
        D[:, j] = (4 * d_near - d_far) / 3
        error[:, j] = rounding + truncation
        kink[:, j] = (truncation > limit) | ((jump_far > limit) & (jump_near > 0.75 * jump_far)) | ~np.isfinite(D[:, j])
    return D, error, kink


def complex_step(f: Callable, x: np.ndarray, V: np.ndarray) -> np.ndarray | None:
    """(m, k): the derivatives of f at x along the columns of V as Im f(x + ihv) / h with h = 1e-30, or None.

    f(x + ihv) = f(x) + ihv f' - h**2 ... : no difference is taken, so nothing cancels, and the result is exact to
    rounding (Squire, Trapp 1998, SIAM Review 40). It needs an f that takes complex numbers and is analytic; None if one
    step says no.
    """
    y = f(x)
    D = np.zeros((y.size, V.shape[1]))
    if any(a.dtype.kind == "c" for a in getattr(f, "args", ()) if isinstance(a, Tensor)):
        return None
    for j, v in enumerate(V.T):
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("error")  # a discarded imaginary part is a warning
                z = f(x + 1e-30j * v)
        except Exception:  # whatever the operation says about complex numbers, it does not take them
            return None
        if z.dtype.kind != "c" or z.shape != y.shape or not np.allclose(z.real, y, rtol=1e-9, atol=1e-12):
            return None
        D[:, j] = z.imag / 1e-30
    return D


def argument_spans(shapes: Sequence[tuple]) -> list[slice]:
    ends = list(itertools.accumulate((int(np.prod(s, dtype=int)) for s in shapes), initial=0))
    return [slice(a, b) for a, b in itertools.pairwise(ends)]
