"""Every primitive under the transforms, from its own samples: forward mode against reverse, vmap against a loop."""

import itertools
import zlib

import numpy as np
import pytest

from minigrad import PRIMITIVES, func, testing
from minigrad.tensor import F, Tensor, wrap

DIFFERENTIABLE = [name for name, p in PRIMITIVES.items() if testing.differentiable(p)]
SECOND = [name for name in DIFFERENTIABLE if not PRIMITIVES[name].no_second]
B = 3  # samples of a batch


def rng_of(name):
    return np.random.default_rng(zlib.crc32(name.encode()))


def samples(name):
    return testing.sample_inputs(name, rng_of(name), np.float64)


def outputs(name, args, params):
    out = getattr(F, name)(*args, **params)
    return out if isinstance(out, tuple) else (out,)


def floats(sample):
    return [i for i, a in enumerate(sample.args) if isinstance(a, np.ndarray) and a.dtype.kind == "f"]


def of_floats(name, sample):
    """The primitive as a function of its float inputs that returns its float outputs, and these inputs."""
    places = floats(sample)

    def f(*xs):
        args = [wrap(a) if isinstance(a, np.ndarray) else a for a in sample.args]
        for i, x in zip(places, xs):
            args[i] = x
        return tuple(y for y in outputs(name, args, sample.params) if y.dtype.kind in "fc")

    return f, [sample.args[i] for i in places]


def inner(a, b):
    return sum(float(np.vdot(u.numpy(), v.numpy() if isinstance(v, Tensor) else v).real) for u, v in zip(a, b))


def like(rng, y):
    values = rng.standard_normal(y.shape)
    return values + 1j * rng.standard_normal(y.shape) if y.dtype.kind == "c" else values


@pytest.mark.parametrize("name", DIFFERENTIABLE)
def test_forward_mode_is_the_transpose_of_reverse_mode(name):
    """<g, J t> = <J^T g, t>, and the primal output is the function's."""
    rng = rng_of(name + "jvp")
    for sample in samples(name):
        f, xs = of_floats(name, sample)
        if not xs:
            continue
        ts = [rng.standard_normal(x.shape) for x in xs]
        ys, dys = func.jvp(f, tuple(xs), tuple(ts))
        plain, pullback = func.vjp(f, *xs)
        gs = tuple(like(rng, y) for y in plain)
        for y, dy, z in zip(ys, dys, plain, strict=True):
            np.testing.assert_allclose(y.numpy(), z.numpy(), rtol=1e-12, atol=1e-13, strict=True)
            assert dy.shape == y.shape and dy.dtype == y.dtype
        left, right = inner(dys, gs), inner(pullback(gs), ts)
        assert left == pytest.approx(right, rel=1e-9, abs=1e-10), sample.shapes


@pytest.mark.parametrize("name", SECOND)
def test_second_derivatives_agree(name):
    """H t by forward over reverse, and by reverse over forward."""
    rng = rng_of(name + "hvp")
    for sample in samples(name)[:3]:
        f, xs = of_floats(name, sample)
        if not xs:
            continue
        weights = [rng.standard_normal(y.shape) for y in f(*(wrap(x) for x in xs))]
        if any(y.dtype.kind == "c" for y in f(*(wrap(x) for x in xs))):
            continue

        def loss(*xs, f=f, weights=weights):
            return sum(((y * w).sum() for y, w in zip(f(*xs), weights)), start=F.sum(xs[0]) * 0)

        ts = tuple(rng.standard_normal(x.shape) for x in xs)
        places = tuple(range(len(xs)))
        one = func.hvp(loss, tuple(xs), ts)
        one = one if isinstance(one, tuple) else (one,)
        two = func.grad(lambda *xs, loss=loss, ts=ts: func.jvp(loss, xs, ts)[1], places)(*xs)
        for a, b in zip(one, two, strict=True):
            scale = max(np.abs(b.numpy()).max(initial=0), 1)
            np.testing.assert_allclose(a.numpy(), b.numpy(), rtol=1e-8, atol=1e-9 * scale, err_msg=str(sample.shapes))


SCALED = {"cholesky", "eigh", "eigvalsh"}  # defined on some matrices only: multiples of the sample


def variants(rng, a, name=""):
    """B arrays like a, with its values in other places, so that they stay where the primitive is defined."""
    if name in SCALED:
        return np.stack([a * s for s in (1, 1.5, 2)])
    return np.stack([a, *(rng.permuted(a.reshape(-1)).reshape(a.shape) for _ in range(B - 1))])


@pytest.mark.parametrize("name", PRIMITIVES)
def test_vmap_is_a_loop(name):
    rng = rng_of(name + "vmap")
    for sample in samples(name):
        arrays = [i for i, a in enumerate(sample.args) if isinstance(a, np.ndarray)]
        batches = {i: variants(rng, sample.args[i], name) for i in arrays}
        patterns = itertools.product((0, None, -1), repeat=len(arrays))
        patterns = [p for p in patterns if any(a is not None for a in p)]
        if len(patterns) > 26:  # all mapped, each alone, all but each
            one = [tuple(0 if i == k else None for i in range(len(arrays))) for k in range(len(arrays))]
            but = [tuple(None if i == k else -1 for i in range(len(arrays))) for k in range(len(arrays))]
            patterns = [(0,) * len(arrays), *one, *but]
        for pattern in patterns:
            axes = dict(zip(arrays, pattern))

            def sample_args(b, axes=axes, batches=batches, sample=sample):
                return [
                    wrap(np.array(batches[i][b] if axes[i] is not None else a)) if i in axes else a
                    for i, a in enumerate(sample.args)
                ]

            mapped = [
                batches[i] if axes[i] == 0 else np.moveaxis(batches[i], 0, -1) if axes[i] == -1 else sample.args[i]
                for i in arrays
            ]

            def f(*xs, sample=sample, arrays=arrays):
                args = list(sample.args)
                for i, x in zip(arrays, xs):
                    args[i] = x if isinstance(x, Tensor) else wrap(x)
                return outputs(name, args, sample.params)

            with np.errstate(all="ignore"):
                got = func.vmap(f, in_axes=pattern)(*mapped)
                expected = [outputs(name, sample_args(b), sample.params) for b in range(B)]
            for k, y in enumerate(got):
                np.testing.assert_allclose(
                    y.numpy(), np.stack([e[k].numpy() for e in expected]), rtol=1e-10, atol=1e-11, strict=True,
                    err_msg=f"{sample.shapes} in_axes={pattern} {sample.params}",
                )  # fmt: skip


@pytest.mark.parametrize("name", DIFFERENTIABLE)
def test_gradients_per_sample(name):
    """vmap of vjp against a loop of vjp."""
    rng = rng_of(name + "vjp")
    for sample in samples(name)[:3]:
        f, xs = of_floats(name, sample)
        if not xs:
            continue
        batches = [variants(rng, x, name) for x in xs]
        gs = [like(rng, y) for y in f(*(wrap(x) for x in xs))]
        pull = lambda *xs, f=f, gs=gs: func.vjp(f, *xs)[1](tuple(gs))
        got = func.vmap(pull)(*batches)
        expected = [pull(*(x[b] for x in batches)) for b in range(B)]
        for k, g in enumerate(got):
            np.testing.assert_allclose(
                g.numpy(), np.stack([e[k].numpy() for e in expected]), rtol=1e-9, atol=1e-10, err_msg=str(sample.shapes)
            )
