"""Checks for those who declare primitives, rules and kernels: is the gradient the derivative of the forward?

    gradcheck(mg.exp, [np.random.randn(3, 4)])                 first order
    gradgradcheck(mg.tanh, [np.random.randn(3)])               the gradient of the gradient
    check_primitive("softmax")                                 all samples of a primitive, to second order
    check_kernel("softmax", backend="numba")                   a kernel against the reference forward

A check compares the rules with something that never saw them: differences of the forward. How large a difference counts
is derived from the step and from the numbers themselves, see `differences`. What fails is raised as CheckError, with a
report that names argument, index, both numbers, and the likely mistake.
"""

from __future__ import annotations

import inspect
import itertools
import math
import warnings
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np

from . import autograd
from .backend import Backend, get_backend
from .convert import as_array
from .errors import ArgumentError, CheckError, DTypeError, GradError, MinigradError
from .mode import enable_grad, no_grad
from .primitive import PRIMITIVES, Case, Primitive, bools, ints, within
from .tensor import F, Tensor, wrap

EPS = float(np.finfo(np.float64).eps)  # 2.2e-16
SLACK = 100  # how many roundings of its largest value a forward may make
CURVED = 1e-4  # a step that changes the slope by more than this part of it is too near a kink or a pole to judge
FULL = 4096  # entries of the Jacobian up to which all are compared, not some directions


class Report:
    """The outcome of a check, true if nothing failed. `failures` and `kinks` are sentences; str() is the report."""

    def __init__(self, name: str):
        self.name = name
        self.failures: list[str] = []
        self.kinks: list[str] = []  # places left out, since the forward has no derivative within a step of them
        self.compared = 0  # how many numbers
        self.method = "central differences"
        self.worst = 0.0  # the largest difference, in units of its tolerance

    def __bool__(self) -> bool:
        return not self.failures

    def __str__(self) -> str:
        if self.failures:
            return f"{self.name}: " + "\n".join(self.failures)
        left_out = f", {len(self.kinks)} left out near points without derivative" if self.kinks else ""
        return (
            f"{self.name}: {self.compared} numbers agree with {self.method}, the worst at {self.worst:.2g} of its "
            f"tolerance{left_out}."
        )

    __repr__ = __str__


# ---- the function under test as a map of vectors ---------------------------------------------------------------------


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


# ---- differences -----------------------------------------------------------------------------------------------------


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


# ---- gradcheck -------------------------------------------------------------------------------------------------------


def gradcheck(
    f: Callable,
    inputs: Any,
    *,
    params: dict | None = None,
    eps: float | None = None,
    atol: float | None = None,
    rtol: float | None = None,
    directions: int | None = None,
    kinks: str = "raise",
    raise_exception: bool = True,
    seed: int = 0,
    name: str | None = None,
) -> Report:
    """Compare the gradients of f with differences of f. Returns a `Report`, true if all agree, or raises CheckError.

    f(*inputs, **params) returns a tensor or several. inputs: float64 arrays and tensors are checked (if some require a
    gradient, those only); integers, None and numbers are passed on. All of a small Jacobian is compared; of a large
    one, or with `directions`, random projections <u, J v>, which a wrong entry changes with probability 1.
    eps: the step, and atol, rtol: the tolerance, in place of the derived ones (see `differences`); where f takes
    complex numbers the complex step replaces the differences and the tolerance is that of rounding.
    kinks: "raise" if a sample is too near a point without derivative to be judged, or "skip" and list it in the report.

    Checked beside: a second computation of J v by a backward pass through the backward pass, against <J^T u, v> (no
    step, so exact to rounding); shape and dtype of every gradient; inputs in other memory orders give the same; neither
    f nor a rule writes to what it is given; the same input gives the same output.

    >>> from minigrad import tanh
    >>> bool(gradcheck(tanh, [np.array([0.1, -0.3])]))
    True
    """
    if kinks not in ("raise", "skip"):
        raise ArgumentError(f'gradcheck: kinks must be "raise" or "skip": got {kinks!r}.')
    problem = Map(f, inputs, params, name)
    report = Report(f"gradcheck: {problem.name}")
    _compare(problem, report, eps or EPS ** (1 / 3), atol, rtol, directions, kinks, np.random.default_rng(seed))
    if report.failures and raise_exception:
        raise CheckError(str(report))
    return report


def gradgradcheck(
    f: Callable, inputs: Any, grad_outputs: Any = None, *, params: dict | None = None, **options: Any
) -> Report:
    """`gradcheck` of the map from (inputs, grad_outputs) to the gradients of f: are second derivatives right?

    grad_outputs: dL/doutput, one per float output; random if None. The other options are those of gradcheck.
    The differences are taken of the ordinary backward pass, the gradients checked are those of the recorded one.
    """
    first = Map(f, inputs, params, options.pop("name", None))
    with no_grad():
        ys = first.floats(f(*first.args, **first.params))
    if grad_outputs is None:
        rng = np.random.default_rng(options.get("seed", 0) + 1)
        grad_outputs = [
            wrap(y.backend.asarray(_values(rng, y.shape) + (1j * _values(rng, y.shape) if y.dtype.kind == "c" else 0)))
            for y in ys
        ]
    elif not isinstance(grad_outputs, (list, tuple)):
        grad_outputs = [grad_outputs]
    count = len(first.args)

    def gradient(*args: Any) -> list[Tensor]:
        create_graph = any(isinstance(a, Tensor) and a.node is not None for a in args)
        with enable_grad():
            args = tuple(
                a.detach().requires_grad_() if i in first.wrt and a.node is None else a for i, a in enumerate(args)
            )
            pairs = zip(first.floats(f(*args[:count], **first.params)), args[count:])
            recorded = [(y, g) for y, g in pairs if y.node is not None]
            if not recorded:
                return []
            outputs, weights = zip(*recorded)
            wrt = [args[i] for i in first.wrt]
            return list(autograd.grad(outputs, wrt, weights, create_graph=create_graph, materialize_grads=True))

    args = [a.detach() if isinstance(a, Tensor) else a for a in first.args]
    for i in first.wrt:
        args[i].requires_grad = True
    weights = [
        Tensor(g, requires_grad=True) if not isinstance(g, Tensor) else g.detach().requires_grad_()
        for g in grad_outputs
    ]
    problem = Map(gradient, [*args, *weights], name=f"gradient of {first.name}")
    problem.names = [*first.names, *([f"g{k}" for k in range(len(weights))] if len(weights) > 1 else ["g"])]
    report = Report(f"gradgradcheck: {problem.name}")
    raise_exception, rng = options.pop("raise_exception", True), np.random.default_rng(options.pop("seed", 0))
    known = {"atol": None, "rtol": None, "directions": None, "kinks": "raise"}
    if unknown := sorted(set(options) - {*known, "eps"}):
        raise ArgumentError(f"gradgradcheck: unknown options {unknown}.")
    step = options.pop("eps", None) or EPS ** (1 / 3)
    _compare(problem, report, step, rng=rng, identity=False, **known | options)
    if report.failures and raise_exception:
        raise CheckError(str(report))
    return report


def _compare(
    problem: Map,
    report: Report,
    step: float,
    atol: float | None,
    rtol: float | None,
    directions: int | None,
    kinks: str,
    rng: np.random.Generator,
    identity: bool = True,
) -> None:
    x = problem.x
    y = problem(x)
    if not np.isfinite(y).all():
        report.failures.append(
            f"the output is not finite at this input ({int((~np.isfinite(y)).sum())} of {y.size} elements). Choose "
            "another sample."
        )
        return
    if not np.array_equal(problem(x), y):
        report.failures.append(
            "two calls with the same input differ. Fix the random numbers, or pass them as an input."
        )
        return
    n, m = x.size, y.size
    scale = np.maximum(1, np.abs(x))
    if directions is None and n * m <= FULL:
        U, V = np.eye(m), np.diag(scale)
    else:
        count = directions or 4
        U, V = rng.standard_normal((min(count, 2), m)), rng.standard_normal((n, count)) * scale[:, None]
    full = U.shape[0] == m and V.shape == (n, n)
    pulled = problem.pull(x, U, report)  # (k, n)
    rules, numbers, bound, kink = _both(problem, report, x, U, V, pulled, step, atol, rtol)
    wrong = ~(np.abs(rules - numbers) <= bound) & ~kink  # NaN is wrong
    report.compared = int(rules.size - kink.sum())
    with np.errstate(invalid="ignore", divide="ignore"):
        report.worst = float(np.max(np.where(kink, 0, np.abs(rules - numbers) / bound), initial=0))
    if wrong.any():
        if not full and n * m <= FULL * 16:  # find out where: all of the Jacobian
            U, V, full = np.eye(m), np.diag(scale), True
            pulled = problem.pull(x, U, report)
            rules, numbers, bound, kink = _both(problem, report, x, U, V, pulled, step, atol, rtol)
            wrong = ~(np.abs(rules - numbers) <= bound) & ~kink
        if full and wrong.any():
            report.failures += _explain(problem, rules / scale, numbers / scale, bound / scale, wrong, report.method)
        else:
            report.failures.append(
                f"along a random direction the rules give {rules[wrong][0]:.10g}, {report.method} give "
                f"{numbers[wrong][0]:.10g} (tolerance {bound[wrong][0]:.2g})."
            )
    if kink.any():
        places = np.argwhere(kink)[:3]
        report.kinks = [_place(problem, i, j) if full else f"direction {j}" for i, j in places]
        report.kinks += ["..."] * (int(kink.sum()) - len(places))
        if kinks == "raise":
            report.failures.append(
                f"{int(kink.sum())} of {kink.size} numbers cannot be judged: the forward has a kink, a jump or a pole "
                f"within {step:.1g} of the sample, at {'; '.join(report.kinks[:3])}. Move the sample, or pass "
                'kinks="skip".'
            )
    if not report.failures:
        _other_layouts(problem, report, x, y, rng)
    if not report.failures and identity and n and m:
        _adjoint(problem, report, x, rng)


def _both(
    problem: Map, report: Report, x: Any, U: Any, V: Any, pulled: Any, step: float, atol: Any, rtol: Any
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """U J V by the rules and by differences, the tolerance, and where there is no derivative."""
    D, error, kink = differences(problem, x, V, step)  # (m, k)
    exact = None if kink.any() else complex_step(problem, x, V)
    if exact is not None and (np.abs(exact - D) <= 10 * error + 1e-6 * np.abs(D).max(initial=0)).all():
        report.method, D = "the complex step", exact  # analytic, or the two would disagree
        error = 10 * SLACK * EPS * np.maximum(1, np.abs(D).max(initial=0)) * np.ones_like(D)
    numbers = U @ np.where(kink, 0, D)
    bound = np.abs(U) @ np.where(kink, 0, error) + SLACK * EPS * (np.abs(pulled) @ np.abs(V))
    if atol is not None or rtol is not None:
        bound = (atol or 0) + (rtol or 0) * np.abs(numbers)
    return pulled @ V, numbers, bound, (np.abs(U) @ kink) > 0


def _other_layouts(problem: Map, report: Report, x: np.ndarray, y: np.ndarray, rng: np.random.Generator) -> None:
    """The same values in other memory orders give the same output and gradient."""
    u = rng.standard_normal((1, y.size))
    expected = problem.pull(x, u, report)
    for layout in (strided, frozen):
        try:
            got = problem.pull(x, u, report, layout)
        except Exception as error:
            report.failures.append(f"{layout.__name__} inputs fail: {type(error).__name__}: {error}")
            return
        if not np.allclose(got, expected, rtol=1e-10, atol=1e-10 * np.abs(expected).max(initial=1)):
            report.failures.append(
                f"{layout.__name__} inputs give another gradient: off by {np.abs(got - expected).max():.3g}."
            )


def _adjoint(problem: Map, report: Report, x: np.ndarray, rng: np.random.Generator) -> None:
    """<u, J v> = <J^T u, v>, both sides by rules, one of them through the recorded gradient."""
    v = rng.standard_normal(x.size)
    pushed = problem.push(x, v)
    if pushed is None:
        return
    u = rng.standard_normal(pushed.size)
    (pulled,) = problem.pull(x, u[None], report)
    left, right = u @ pushed, pulled @ v
    bound = 10 * SLACK * EPS * (np.abs(u) @ np.abs(pushed) + np.abs(pulled) @ np.abs(v) + 1)
    if not abs(left - right) <= bound:
        report.failures.append(
            f"<u, J v> = {left:.12g} but <J^T u, v> = {right:.12g}: the recorded gradient (create_graph=True) is not "
            "the transpose of the plain one. A rule is not linear in g, or the two take different paths."
        )


# ---- what went wrong -------------------------------------------------------------------------------------------------


def _spans(shapes: Sequence[tuple]) -> list[slice]:
    ends = list(itertools.accumulate((int(np.prod(s, dtype=int)) for s in shapes), initial=0))
    return [slice(a, b) for a, b in itertools.pairwise(ends)]


def _place(problem: Map, i: int, j: int) -> str:
    """Where entry (i, j) of the Jacobian is: "argument b[0, 2], output [1]"."""
    for k, span in enumerate(_spans(problem.shapes)):
        if span.start <= j < span.stop:
            argument = f"argument {problem.names[problem.wrt[k]]}{_index(problem.shapes[k], j - span.start)}"
    for k, span in enumerate(_spans(problem.outputs)):
        if span.start <= i < span.stop:
            number = f" {k}" if len(problem.outputs) > 1 else ""
            output = f"output{number}{_index(problem.outputs[k], i - span.start)}"
    return f"{argument}, {output}"


def _index(shape: tuple, flat: int) -> str:
    return f"[{', '.join(str(i) for i in np.unravel_index(flat, shape))}]" if shape else ""


def _explain(problem: Map, rules: Any, numbers: Any, bound: Any, wrong: Any, method: str) -> list[str]:
    """One sentence per argument whose gradient is wrong: the worst entry and the likely mistake."""
    sentences = []
    x = problem.x
    y = problem(x)
    spans = _spans(problem.shapes)
    for k, span in enumerate(spans):
        if not wrong[:, span].any():
            continue
        A, N, T = rules[:, span], numbers[:, span], bound[:, span]  # (m, size of the argument)
        with np.errstate(invalid="ignore"):
            off = np.where(wrong[:, span], np.nan_to_num(np.abs(A - N), nan=np.inf), -1)
        i, j = map(int, np.unravel_index(off.argmax(), off.shape))
        others = {problem.names[problem.wrt[o]]: numbers[:, s] for o, s in enumerate(spans) if o != k}
        hint = _hint(A, N, T, x[span], y, problem.shapes[k], others)
        sentences.append(
            f"{_place(problem, i, span.start + j)}: the rule gives {A[i, j]:.10g}, {method} give {N[i, j]:.10g} "
            f"(tolerance {T[i, j]:.2g}); {int(wrong[:, span].sum())} of {A.size} entries are wrong. {hint}"
        )
    return sentences


def _hint(A: Any, N: Any, T: Any, x: Any, y: Any, shape: tuple, others: dict[str, Any]) -> str:
    """The likely mistake, from the rules' Jacobian A (m, n) and the true one N."""

    def same(a: Any, b: Any) -> bool:
        return a.shape == b.shape and bool((np.abs(a - b) <= 10 * T + 1e-7 * np.abs(N).max(initial=0)).all())

    if not np.isfinite(A).all():
        return (
            "Likely: a division by zero or an overflow: the rule gives NaN or infinity where the derivative is finite."
        )
    if not A.any():
        return "Likely: no gradient arrives: the rule returns zero or None, or a detach() cuts the graph."
    if same(A, -N):
        return "Likely: the sign."
    if (ratio := float((A * N).sum() / max((N * N).sum(), 1e-300))) and same(A, ratio * N):
        inverse = f"1/{1 / ratio:.6g}" if abs(ratio) < 1 else f"{ratio:.6g}"
        return f"Likely: a constant factor: every entry is {inverse} times what it should be."
    for other, M in others.items():
        if same(A, M):
            return f"Likely: the rules of two arguments are swapped: this is the gradient for {other}."
    with np.errstate(divide="ignore", invalid="ignore"):
        for factor, words in ((x[None], "the input"), (y[:, None], "the output")):
            if same(A * factor, N):
                return f"Likely: a factor is missing: {words}."
            if same(A, N * factor):
                return f"Likely: a factor too many: {words}."
            if same(A * factor, -N) or same(A, -N * factor):
                return f"Likely: the sign, and a factor of {words}."
    if len(shape) >= 2:
        B = A.reshape(-1, *shape[:-2], shape[-1], shape[-2]).swapaxes(-1, -2).reshape(A.shape)
        if same(B, N) or (shape[-1] == shape[-2] and same(A.reshape(-1, *shape).swapaxes(-1, -2).reshape(A.shape), N)):
            return "Likely: a transpose: the numbers are right, at the places of the transposed matrix."
    if same(A[:, ::-1], N):
        return "Likely: the order: the numbers are right, in reverse."
    if np.allclose(np.sort(A, axis=None), np.sort(N, axis=None), rtol=1e-6, atol=float(10 * T.max(initial=0))):
        return "Likely: the places: the numbers are right, at wrong indices (an axis, a permutation, an index)."
    right = np.abs(A - N) <= 10 * T
    if (right | (A == 0)).all():
        lost = int((~right).sum())
        if len(y) > len(x) or 1 in shape:
            return (
                f"Likely: a broadcast not summed: {lost} entries are 0, only some copies of the input pass on theirs."
            )
        return f"Likely: a missing term: {lost} entries are 0 that should not be; the others are right."
    if (right | (N == 0)).all():
        return f"Likely: a term too many: {int((~right).sum())} entries should be 0; the others are right."
    entries = (A != 0) | (N != 0)
    if (right & entries).any():
        return f"{int((right & entries).sum())} entries are right: likely a wrong case (a mask, a boundary, a branch)."
    difference = (A - N)[entries]
    if np.ptp(difference) <= 1e-6 * np.abs(difference).max():
        return f"Likely: a missing or extra term: the difference is {difference[0]:.6g} everywhere."
    return "No simple pattern: perhaps a missing term, or a rule that reads an overwritten value."


# ---- memory layouts --------------------------------------------------------------------------------------------------


def strided(a: np.ndarray) -> np.ndarray:
    """The same values in memory that is in no order: every second element of a larger array, last axis first."""
    if not a.ndim:
        return a
    shape = a.shape[::-1]
    big = np.zeros((*shape[:-1], 2 * shape[-1]), a.dtype)
    view = big[..., ::2].transpose()
    view[...] = a
    return view


def frozen(a: np.ndarray) -> np.ndarray:
    """The same values in memory that cannot be written."""
    a = a.copy()
    a.flags.writeable = False
    return a


# ---- samples ---------------------------------------------------------------------------------------------------------


class Sample(NamedTuple):
    """One call of a primitive: host arrays, numbers or None, and keywords."""

    args: tuple
    params: dict

    @property
    def shapes(self) -> str:
        """For test names: "(3, 4)-(4,)-axis=1"."""
        words = [str(a.shape) if isinstance(a, np.ndarray) else str(a) for a in self.args]
        return "-".join([*words, *(f"{k}={v}" for k, v in self.params.items())])


SHAPES: dict[int, list[tuple]] = {
    1: [((3, 4),), ((),), ((1,),), ((0, 3),)],
    2: [
        ((3, 4), (3, 4)),
        ((3, 4), (4,)),
        ((3, 1), (1, 4)),
        ((), (2, 3)),
        ((2, 3), ()),
        ((1,), (2, 1)),
        ((), ()),
        ((0, 3), (1, 3)),
    ],
    3: [((3, 4), (3, 4), (3, 4)), ((4,), (3, 1), (3, 4)), ((3, 1), (), (4,)), ((), (2,), (1, 1)), ((0,), (1,), ())],
}


def sample_inputs(primitive: str | Primitive, rng: np.random.Generator, dtype: Any = np.float64) -> list[Sample]:
    """Calls of a primitive to test it with: its samples; for elementwise ones, shapes that broadcast, 0-d, of one
    element and empty, with values drawn from its domain.

    The values keep away from 0, integers and halves, from each other, and from the border of the domain, so that no
    kink is near.
    """
    p = _found(primitive)
    if p.samples:
        return [Sample(tuple(_filled(a, rng, dtype) for a in c.args), c.params) for c in p.samples]
    if not p.inline:
        return []
    samples = []
    for shapes in SHAPES[len(p.inputs)]:
        arrays = _inside(p, shapes, rng)
        samples.append(Sample(tuple(a.astype(dtype) if a.dtype.kind == "f" else a for a in arrays), {}))
    return samples


def _found(primitive: str | Primitive) -> Primitive:
    if isinstance(primitive, Primitive):
        return primitive
    if primitive not in PRIMITIVES:
        raise ArgumentError(f"testing: there is no primitive named {primitive!r}.")
    return PRIMITIVES[primitive]


def _values(rng: np.random.Generator, shape: tuple) -> np.ndarray:
    """Normal numbers moved off the multiples of 0.02, each by an amount of its own."""
    return 0.02 * np.round(65 * rng.standard_normal(shape)) + 0.004 + 0.012 * rng.random(shape)


def _filled(a: Any, rng: np.random.Generator, dtype: Any) -> Any:
    if isinstance(a, ints):
        return rng.integers(a.low, a.high, a.shape)
    if isinstance(a, bools):
        return rng.random(a.shape) < 0.5
    if isinstance(a, within):
        return np.asarray(rng.uniform(a.low, a.high, a.shape), dtype)
    return np.asarray(_values(rng, a), dtype) if isinstance(a, tuple) else a


def _inside(p: Primitive, shapes: tuple, rng: np.random.Generator) -> list[np.ndarray]:
    """Arrays of these shapes in the domain of p, by redrawing what lies outside or within 0.02 of its border."""
    arrays = [np.asarray(_values(rng, s)) for s in shapes]
    if p.domain:
        holds = np.vectorize(eval(f"lambda {', '.join(p.inputs)}: {p.domain}"), otypes=[bool])
        moves = list(itertools.product((-0.02, 0.0, 0.02), repeat=len(arrays)))
        for _ in range(1000):
            inside: Any = np.ones(np.broadcast_shapes(*shapes), bool)
            if inside.size:
                for move in moves:
                    inside = inside & holds(*(a + d for a, d in zip(arrays, move)))
            if inside.all():
                break
            arrays = [
                np.where(_any_to(~inside, a.shape), _values(rng, a.shape), a) if rng.random() < 0.8 else a
                for a in arrays
            ]
        else:
            raise ArgumentError(f"sample_inputs: no values found in the domain of {p.name}: {p.domain}.")
    for i, name in enumerate(p.inputs):
        if p.kind == "bool":
            arrays[i] = np.asarray(np.round(arrays[i]))  # so that some are equal, some are 0
        elif p.rules and not p.fused and name not in p.rules:
            arrays[i] = np.asarray(arrays[i] > 0)  # a choice, not a number
        elif "integers" in p.no_gradient:
            arrays[i] = np.asarray(np.abs(np.round(4 * arrays[i]))).astype(np.int64)
    return arrays


def _any_to(mask: np.ndarray, shape: tuple) -> np.ndarray:
    """A broadcast mask brought back to `shape`: true where any copy is."""
    extra = mask.ndim - len(shape)
    copies = (*range(extra), *(i + extra for i, n in enumerate(shape) if n == 1))
    return mask.any(axis=copies, keepdims=True).reshape(shape)


def on(backend: str | Backend, sample: Sample) -> list[Any]:
    """The arguments of a sample as tensors of that backend; numbers and None stay."""
    b = get_backend(backend)
    return [wrap(b.asarray(a)) if isinstance(a, np.ndarray) else a for a in sample.args]


# ---- a primitive, a kernel -------------------------------------------------------------------------------------------


def differentiable(p: Primitive) -> bool:
    """True if p promises a gradient for some input."""
    return not p.no_gradient and p.kind not in ("bool", "index") and bool(p.rules or p.fused)


def check_primitive(primitive: str | Primitive, *, backend: str = "numpy", seed: int = 0) -> None:
    """All that a declaration promises, on all its samples: shape rule, both orders of gradient, rules and body."""
    p = _found(primitive)
    samples = sample_inputs(p, np.random.default_rng(seed))
    if not samples:
        raise CheckError(f"check_primitive: {p.name} declares no samples. Add samples=(case(...),).")
    for sample in samples:
        check_shape(p, sample, backend)
        if differentiable(p):
            f, args = getattr(F, p.name), on(backend, sample)
            gradcheck(f, args, params=sample.params)
            check_body(p, sample, backend)
            if not p.no_second:
                gradgradcheck(f, args, params=sample.params, directions=2, kinks="skip")


def check_shape(primitive: str | Primitive, sample: Sample, backend: str = "numpy") -> None:
    """The shape rule says the shape and dtype that the forward gives."""
    p = _found(primitive)
    args = on(backend, sample)
    with no_grad():
        got = getattr(F, p.name)(*args, **sample.params)
    got = got[0] if isinstance(got, tuple) else got
    said = p.shape(p.name, *(a.array if isinstance(a, Tensor) else a for a in args), **sample.params)
    if tuple(said.shape) != got.shape or np.dtype(said.dtype) != got.dtype:
        raise CheckError(
            f"check_shape: {p.name}: the shape rule says {np.dtype(said.dtype)}{tuple(said.shape)}, the forward gives "
            f"{got.dtype}{got.shape} ({sample.shapes})."
        )


def check_body(primitive: str | Primitive, sample: Sample, backend: str = "numpy") -> None:
    """The rules of a fused primitive give the derivative of its body, plain and recorded. Nothing to do for others."""
    p = _found(primitive)
    if not (p.fused and p.rules):
        return
    problems = [
        Map(lambda *a: getattr(F, p.name)(*a, **sample.params), on(backend, sample), name=p.name),
        Map(lambda *a: _body(p, a, sample.params), on(backend, sample), name=f"body of {p.name}"),
    ]
    report = Report(f"check_body: {p.name}")
    x = problems[0].x
    y = problems[0](x)
    if not np.allclose(y, problems[1](x), rtol=1e-10, atol=1e-12):
        raise CheckError(f"check_body: {p.name}: the forward and the body differ ({sample.shapes}).")
    U = np.random.default_rng(0).standard_normal((3, y.size))
    ours, body = (problem.pull(x, U, report) for problem in problems)
    bound = 1e-10 * np.abs(body).max(initial=1)
    if report.failures or not (np.abs(ours - body) <= bound).all():
        i, j = np.unravel_index(np.abs(ours - body).argmax(), ours.shape)
        raise CheckError(
            f"check_body: {p.name}: at flat input {j} the rule gives {ours[i, j]:.12g}, the derivative of the body "
            f"{body[i, j]:.12g} ({sample.shapes}). {' '.join(report.failures)}"
        )


def _body(p: Primitive, args: Sequence, params: dict) -> Any:
    out = p.forward(F, *args, **{**p.defaults, **params})
    if p.outputs > 1:
        return out[: p.outputs]
    return out[0] if p.saves else out


def check_kernel(
    name: str,
    backend: str = "numba",
    *,
    samples: Iterable[Sample | Case] | None = None,
    dtypes: Sequence[Any] = (np.float32, np.float64),
    special: bool = True,
    factor: float = 8,
    seed: int = 0,
) -> int:
    """Compare the kernels of a primitive with its reference forward; returns how many calls were compared.

    The calls are the primitive's samples (or `samples`), and the same with their lengths scaled until the kernel's
    `when` admits them; in row-major, strided and read-only memory; with NaN and infinities (`special`). Both run in
    each dtype, and a float64 reference judges both: the kernel's error may be `factor` times the reference's own, plus
    64 roundings of the largest value.
    """
    p = _found(name)
    if not p.kernels.get(backend):
        raise ArgumentError(f"check_kernel: {name} has no kernel for backend {backend!r}. Known: {sorted(p.kernels)}.")
    rng = np.random.default_rng(seed)
    given = [Sample(tuple(_filled(a, rng, np.float64) for a in s.args), s.params) for s in samples or ()]
    given += sample_inputs(p, rng) if samples is None else []
    compared = 0
    for when, load in p.kernels[backend]:
        cases = list(_admitted(p, when, given, rng))
        for sample, dtype in itertools.product(cases, dtypes):
            for layout in (np.array, strided, frozen):
                compared += _kernel_case(p, when, load, backend, sample, dtype, layout, factor)
            for value in (np.nan, np.inf, -np.inf) if special else ():
                compared += _kernel_case(p, when, load, backend, _spoiled(sample, value, rng), dtype, np.array, factor)
    if not compared:
        raise CheckError(
            f"check_kernel: {name}: no call was admitted by the kernel's `when`. Pass samples= that it takes."
        )
    return compared


def _admitted(p: Primitive, when: Callable, given: list[Sample], rng: np.random.Generator) -> Iterator[Sample]:
    """The samples that `when` admits, and scaled ones: any set of lengths multiplied wherever they occur."""
    for sample in given:
        if _says_yes(when, sample):
            yield sample
        arrays = [a for a in sample.args if isinstance(a, np.ndarray)]
        lengths = sorted({n for a in arrays for n in a.shape if n > 1})
        found = 0
        for by, count in itertools.product((5, 33, 150), range(len(lengths), 0, -1)):
            for chosen in itertools.combinations(lengths, count):
                size = {n: n * by + 1 for n in chosen}  # odd, so that tails of vector loops run
                shapes = [tuple(size.get(n, n) for n in a.shape) for a in arrays]
                if found >= 2 or sum(int(np.prod(s)) for s in shapes) > 3e5:
                    continue
                fresh = iter(shapes)
                scaled = Sample(
                    tuple(_like(p, a, next(fresh), rng) if isinstance(a, np.ndarray) else a for a in sample.args),
                    sample.params,
                )
                if _says_yes(when, scaled) and _fits(p, scaled) and _reference(p, scaled) is not None:
                    found += 1
                    yield scaled


def _like(p: Primitive, a: np.ndarray, shape: tuple, rng: np.random.Generator) -> np.ndarray:
    """Values as in the sample a, in another shape; those of elementwise primitives stay in the domain."""
    if a.dtype.kind != "f" or (p.domain and a.size):
        return rng.permuted(np.resize(a, shape)) if a.size else np.zeros(shape, a.dtype)
    return np.asarray(_values(rng, shape))


def _says_yes(when: Callable, sample: Sample) -> bool:
    try:
        return bool(when(*sample.args, **sample.params))
    except (AttributeError, TypeError, IndexError, ValueError):
        return False


def _fits(p: Primitive, sample: Sample) -> bool:
    """The shapes make sense, and the output is small enough for a quick test."""
    try:
        return math.prod(p.shape(p.name, *sample.args, **sample.params).shape) <= 3e6
    except (MinigradError, ValueError, IndexError):
        return False


def _reference(p: Primitive, sample: Sample) -> list[np.ndarray] | None:
    """The outputs of the reference forward on NumPy, or None if the shapes make no sense."""
    numpy = get_backend("numpy")
    try:
        p.shape(p.name, *sample.args, **sample.params)
        with np.errstate(all="ignore"):
            out = numpy.fallback(p)(*sample.args, **sample.params)
    except (MinigradError, ValueError, IndexError):
        return None
    return [np.asarray(o) for o in (out if isinstance(out, tuple) else (out,))][: max(p.outputs, 1 + len(p.saves))]


def _spoiled(sample: Sample, value: float, rng: np.random.Generator) -> Sample:
    """The sample with `value` at one place of its first float array.

    In a second one, a weight, it would meet the zeros of the padding, and whether 0 * NaN is formed there is up to each
    implementation.
    """
    args = list(sample.args)
    for i, a in enumerate(args):
        if isinstance(a, np.ndarray) and a.dtype.kind == "f" and a.size:
            args[i] = a.copy()
            args[i].reshape(-1)[rng.integers(a.size)] = value
            break
    return Sample(tuple(args), sample.params)


def _kernel_case(
    p: Primitive,
    when: Callable,
    load: Callable,
    backend: str,
    sample: Sample,
    dtype: Any,
    layout: Callable,
    factor: float,
) -> int:
    cast = [a.astype(dtype) if isinstance(a, np.ndarray) and a.dtype.kind == "f" else a for a in sample.args]
    args = tuple(layout(a) if isinstance(a, np.ndarray) else a for a in cast)
    plain = Sample(tuple(a.copy() if isinstance(a, np.ndarray) else a for a in args), sample.params)
    if not _says_yes(when, Sample(args, sample.params)):
        return 0
    wide = Sample(
        tuple(a.astype(np.float64) if isinstance(a, np.ndarray) and a.dtype.kind == "f" else a for a in args),
        sample.params,
    )
    expected, exact = _reference(p, plain), _reference(p, wide)
    b = get_backend(backend)
    with np.errstate(all="ignore"):
        got = load()(*(b.asarray(a) if isinstance(a, np.ndarray) else a for a in args), **sample.params)
    got = [b.to_host(o) for o in (got if isinstance(got, tuple) else (got,))]
    where = f"check_kernel: {p.name} on {backend}, {np.dtype(dtype)}, {layout.__name__} memory, {plain.shapes}"
    for a, old in zip(args, plain.args):
        if isinstance(a, np.ndarray) and not np.array_equal(a, old, equal_nan=a.dtype.kind == "f"):
            raise CheckError(f"{where}: the kernel wrote to its input.")
    assert expected is not None and exact is not None
    for k, (ours, theirs, truth) in enumerate(zip(got, expected, exact)):
        if ours.shape != theirs.shape or ours.dtype != theirs.dtype:
            raise CheckError(
                f"{where}: output {k} is {ours.dtype}{ours.shape}, the reference gives {theirs.dtype}{theirs.shape}."
            )
        if ours.dtype.kind != "f":
            if not np.array_equal(ours, theirs):
                raise CheckError(f"{where}: output {k} differs at {np.argwhere(ours != theirs)[0]}.")
            continue
        finite = np.isfinite(theirs) & np.isfinite(truth)
        odd = ~(finite | (ours == theirs) | (np.isnan(ours) & np.isnan(theirs)))
        if odd.any():
            i = tuple(np.argwhere(odd)[0])
            raise CheckError(
                f"{where}: output {k}{[int(n) for n in i]} is {ours[i]}, the reference gives {theirs[i]}: NaN or "
                "infinity is lost or made."
            )
        scale = np.abs(truth[finite]).max(initial=0)
        with np.errstate(invalid="ignore"):
            off = np.where(finite, np.abs(ours - truth), 0)
            own = np.abs(np.where(finite, theirs - truth, 0)).max(initial=0)
        bound = factor * own + 64 * np.finfo(dtype).eps * scale
        if not (off <= bound).all():
            i = np.unravel_index(np.where(np.isnan(off), np.inf, off).argmax(), off.shape)
            raise CheckError(
                f"{where}: output {k}{[int(n) for n in i]} is {ours[i]:.9g}, the float64 reference {truth[i]:.12g} "
                f"(tolerance {bound:.2g})."
            )
    return 1
