"""gradcheck and gradgradcheck: is the gradient the derivative of the forward?"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from .. import autograd
from ..errors import ArgumentError, CheckError
from ..mode import enable_grad, no_grad
from ..tensor import Tensor, wrap
from .explanation import explanation, place_name
from .maps import EPS, SLACK, Map, complex_step, differences
from .report import Report
from .samples import frozen, sample_values, strided

FULL = 4096  # entries of the Jacobian up to which all are compared, not some directions


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
            wrap(
                y.backend.asarray(
                    sample_values(rng, y.shape) + (1j * sample_values(rng, y.shape) if y.dtype.kind == "c" else 0)
                )
            )
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
            report.failures += explanation(problem, rules / scale, numbers / scale, bound / scale, wrong, report.method)
        else:
            report.failures.append(
                f"along a random direction the rules give {rules[wrong][0]:.10g}, {report.method} give "
                f"{numbers[wrong][0]:.10g} (tolerance {bound[wrong][0]:.2g})."
            )
    if kink.any():
        places = np.argwhere(kink)[:3]
        report.kinks = [place_name(problem, i, j) if full else f"direction {j}" for i, j in places]
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
