"""What a declaration promises, and what a kernel has to keep."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

import numpy as np

from ..backend import get_backend
from ..errors import ArgumentError, CheckError, MinigradError
from ..mode import no_grad
from ..primitive import Case, Primitive
from ..tensor import F, Tensor
from .gradients import gradcheck, gradgradcheck
from .maps import Map
from .report import Report
from .samples import Sample, filled_in, frozen, on, primitive_called, sample_inputs, sample_values, strided


def differentiable(p: Primitive) -> bool:
    """True if p promises a gradient for some input."""
    return not p.no_gradient and p.kind not in ("bool", "index") and bool(p.rules or p.fused)


def check_primitive(primitive: str | Primitive, *, backend: str = "numpy", seed: int = 0) -> None:
    """All that a declaration promises, on all its samples: shape rule, both orders of gradient, rules and body."""
    p = primitive_called(primitive)
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
    p = primitive_called(primitive)
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
    p = primitive_called(primitive)
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
    p = primitive_called(name)
    if not p.kernels.get(backend):
        raise ArgumentError(f"check_kernel: {name} has no kernel for backend {backend!r}. Known: {sorted(p.kernels)}.")
    rng = np.random.default_rng(seed)
    given = [Sample(tuple(filled_in(a, rng, np.float64) for a in s.args), s.params) for s in samples or ()]
    given += sample_inputs(p, rng) if samples is None else []
    compared = 0
    for when, load in p.kernels[backend]:
        cases = list(admitted(p, when, given, rng))
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


def admitted(p: Primitive, when: Callable, given: list[Sample], rng: np.random.Generator) -> Iterator[Sample]:
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
    return np.asarray(sample_values(rng, shape))


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
