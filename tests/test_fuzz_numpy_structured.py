"""Differential fuzz beside NumPy of what has structure: index keys with their gradients, histograms, quantiles by every
method, linear algebra, einsum of random forms, transforms."""

import warnings

import hypothesis.extra.numpy as hnp
import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from test_fuzz_numpy import agree, asked

import minigrad as mg

quick = settings(max_examples=60, deadline=None, derandomize=True, database=None)
seeds = st.integers(0, 2**32 - 1)


def normal(seed, shape, dtype="float64"):
    rng = np.random.default_rng(seed)
    a = rng.standard_normal(shape)
    return (a + 1j * rng.standard_normal(shape) if np.dtype(dtype).kind == "c" else a).astype(dtype)


def small(data, low=0, most=3, dims=3, side=4):
    return data.draw(hnp.array_shapes(min_dims=low, max_dims=dims, min_side=0, max_side=side))


# ---- indexing --------------------------------------------------------------------------------------------------------


@st.composite
def keys(draw, shape):
    """Any mixture of integers, slices, None, ..., index arrays that broadcast, and masks; sometimes out of range."""
    common = draw(hnp.array_shapes(min_dims=0, max_dims=2, max_side=3))
    parts, axis, rest = [], 0, draw(st.booleans())
    while axis < len(shape):
        n = shape[axis]
        kind = draw(st.sampled_from(["integer", "slice", "slice", "array", "mask", "list", "none"]))
        if kind == "none":
            parts.append(None)
            continue
        if kind == "mask":
            axes = draw(st.integers(1, len(shape) - axis))
            parts.append(draw(hnp.arrays(bool, shape[axis : axis + axes])))
            axis += axes
            continue
        axis += 1
        if kind == "integer":
            parts.append(draw(st.integers(-n - (n == 0), n)))
        elif kind == "slice":
            bound = st.none() | st.integers(-n - 2, n + 2)
            parts.append(slice(draw(bound), draw(bound), draw(st.sampled_from([None, 1, 2, -1, -2]))))
        else:
            index = draw(hnp.arrays("int64", common, elements=st.integers(-max(n, 1), max(n - 1, 0))))
            parts.append(index.tolist() if kind == "list" and index.ndim else index)
        if draw(st.integers(0, 3)) == 0:
            break
    if rest and axis < len(shape) + 1:
        place = draw(st.integers(0, len(parts)))
        if place == len(parts) or axis == len(shape):
            parts.insert(place, ...)
    return tuple(parts) if len(parts) != 1 or draw(st.booleans()) else parts[0]


def ours(key):
    parts = key if isinstance(key, tuple) else (key,)
    parts = tuple(mg.tensor(k) if isinstance(k, np.ndarray) else k for k in parts)
    return parts if isinstance(key, tuple) else parts[0]


@settings(quick, max_examples=300)
@given(data=st.data())
def test_index(data):
    shape = small(data, 1)
    key = data.draw(keys(shape))
    a = np.arange(1.0, 1 + np.prod(shape)).reshape(shape)
    x = mg.tensor(a, requires_grad=True)
    theirs = asked(lambda: a[key])
    y = asked(lambda: x[ours(key)])
    if isinstance(theirs, Exception):
        assert isinstance(y, (IndexError, TypeError, ValueError)), (shape, key, y)
        return
    assert not isinstance(y, Exception), (shape, key, y)
    np.testing.assert_array_equal(y.detach().numpy(), theirs, err_msg=str(key))
    g = np.arange(1.0, 1 + theirs.size).reshape(theirs.shape)
    (y * mg.tensor(g)).sum().backward()
    expected = np.zeros(shape)
    np.add.at(expected, key, g)
    np.testing.assert_array_equal(x.grad.numpy(), expected, err_msg=str(key))


@settings(quick, max_examples=300)
@given(data=st.data())
def test_set_by_index(data):
    shape = small(data, 1)
    key = data.draw(keys(shape))
    a = np.arange(1.0, 1 + np.prod(shape)).reshape(shape)
    place = asked(lambda: np.arange(a.size).reshape(shape)[key])
    assume(not isinstance(place, Exception))
    given = np.shape(place)
    given = given[data.draw(st.integers(0, len(given))) :]
    given = tuple(1 if data.draw(st.integers(0, 4)) == 0 else n for n in given)
    b = -np.arange(1.0, 1 + np.prod(given)).reshape(given)
    x, v = mg.tensor(a, requires_grad=True), mg.tensor(b, requires_grad=True)
    y = x * 1.0
    y[ours(key)] = v
    expected = a.copy()
    expected[key] = b
    assume(np.unique(place).size == np.size(place))  # of several values for one place any may stay
    np.testing.assert_array_equal(y.detach().numpy(), expected, err_msg=str(key))
    g = np.arange(1.0, 1 + a.size).reshape(shape)
    (y * mg.tensor(g)).sum().backward()
    kept = g.copy()
    kept[key] = 0
    np.testing.assert_array_equal(x.grad.numpy(), kept)
    passed = np.asarray(g[key])
    passed = passed.sum(axis=tuple(range(passed.ndim - len(given))))
    passed = passed.sum(axis=tuple(i for i, n in enumerate(given) if n == 1), keepdims=True)
    np.testing.assert_array_equal(v.grad.numpy(), passed.reshape(given))


# ---- histograms and quantiles ----------------------------------------------------------------------------------------

EDGES = st.lists(st.integers(-6, 6), min_size=2, max_size=6, unique=True).map(lambda v: np.sort(np.asarray(v, float)))


@quick
@given(data=st.data())
def test_histograms(data):
    x = data.draw(hnp.arrays("float64", small(data, 1, dims=2), elements=st.integers(-8, 8).map(lambda n: n / 2)))
    bins = data.draw(st.integers(1, 7) | EDGES)
    keywords = {"density": data.draw(st.booleans())}
    if isinstance(bins, int) and data.draw(st.booleans()):
        keywords["range"] = (-3.0, 2.5)
    if data.draw(st.booleans()):
        keywords["weights"] = np.abs(normal(data.draw(seeds), x.shape))
    theirs = asked(np.histogram, x, bins, **keywords)
    tensors = {k: mg.tensor(v) if isinstance(v, np.ndarray) else v for k, v in keywords.items()}
    agree(asked(mg.histogram, mg.tensor(x), bins, **tensors), theirs, (x, bins, keywords))
    if isinstance(bins, np.ndarray):
        right = data.draw(st.booleans())
        order = bins if data.draw(st.booleans()) else bins[::-1].copy()
        agree(mg.digitize(mg.tensor(x), order, right=right), np.digitize(x, order, right=right), (x, order, right))
    if not x.size:
        return  # of nothing NumPy counts integers, also with weights
    counts = data.draw(hnp.arrays("int64", x.size, elements=st.integers(0, 6)))
    least = data.draw(st.integers(0, 9))
    weights = keywords.get("weights")
    weights = None if weights is None else weights.ravel()
    got = mg.bincount(mg.tensor(counts), None if weights is None else mg.tensor(weights), least)
    agree(got, np.bincount(counts, weights, least), (counts, weights, least))


METHODS = """
inverted_cdf averaged_inverted_cdf closest_observation interpolated_inverted_cdf hazen weibull linear median_unbiased
normal_unbiased lower higher midpoint nearest
""".split()  # noqa: SIM905


@pytest.mark.parametrize("method", METHODS)
@settings(quick, max_examples=25)
@given(data=st.data())
def test_quantiles(method, data):
    shape = data.draw(hnp.array_shapes(min_dims=1, max_dims=3, max_side=5))
    x = data.draw(hnp.arrays("float64", shape, elements=st.integers(-8, 8).map(float) | st.just(np.nan)))
    axis = data.draw(st.none() | st.integers(-len(shape), len(shape) - 1) | st.just(tuple(range(len(shape)))))
    q = data.draw(
        st.floats(0, 1) | hnp.arrays("float64", hnp.array_shapes(max_dims=2, max_side=3), elements=st.floats(0, 1))
    )
    keywords = {"axis": axis, "keepdims": data.draw(st.booleans()), "method": method}
    for name, scale in (("quantile", 1), ("percentile", 100), ("nanquantile", 1), ("nanpercentile", 100)):
        theirs = asked(getattr(np, name), x, np.multiply(q, scale), **keywords)
        agree(asked(getattr(mg, name), mg.tensor(x), np.multiply(q, scale), **keywords), theirs, (name, x, q, keywords))
    for name in ("median", "nanmedian"):
        agree(getattr(mg, name)(mg.tensor(x), axis=axis), asked(getattr(np, name), x, axis=axis), (name, x, axis))


# ---- linear algebra --------------------------------------------------------------------------------------------------


@quick
@given(data=st.data(), dtype=st.sampled_from(["float64", "complex128"]))
def test_linear_algebra(data, dtype):
    stack = data.draw(hnp.array_shapes(min_dims=0, max_dims=2, min_side=0, max_side=3))
    m, n, k = (data.draw(st.integers(1, 4)) for _ in "mnk")
    seed = data.draw(seeds)
    a, b = normal(seed, (*stack, m, n), dtype), normal(seed + 1, (*stack, n, k), dtype)
    s = normal(seed + 2, (*stack, n, n), dtype) + 3 * np.eye(n)
    h = s @ np.conj(np.swapaxes(s, -1, -2))
    x, y, z, p = map(mg.tensor, (a, b, s, h))
    power = data.draw(st.integers(-2, 3))
    L, N = mg.linalg, np.linalg
    for got, expected in [
        (L.solve(z, y), N.solve(s, b)), (L.inv(z), N.inv(s)), (L.det(z), N.det(s)), (L.cholesky(p), N.cholesky(h)),
        (L.pinv(x), N.pinv(a)), (L.svdvals(x), N.svd(a, compute_uv=False)), (L.eigvalsh(p), N.eigvalsh(h)),
        (L.matrix_power(z, power), N.matrix_power(s, power)), (L.matrix_rank(x), N.matrix_rank(a)),
        (L.vector_norm(x, axis=-1), N.vector_norm(a, axis=-1)), (mg.matmul(x, y), a @ b),
    ]:  # fmt: skip
        assert got.shape == np.shape(expected)
        np.testing.assert_allclose(got.numpy(), expected, rtol=1e-7, atol=1e-9)
    for order in ("fro", "nuc", 1, -1, 2, -2, np.inf, -np.inf):
        if a.size:
            np.testing.assert_allclose(
                L.matrix_norm(x, ord=order).numpy(), N.matrix_norm(a, ord=order), rtol=1e-8, atol=1e-10
            )
    for mode in ("reduced", "complete"):
        q, r = L.qr(x, mode=mode)
        np.testing.assert_allclose((q @ r).numpy(), a, atol=1e-10)
    for full in (True, False):
        u, d, v = L.svd(x, full_matrices=full)
        c = min(m, n)
        np.testing.assert_allclose((u[..., :c] * d[..., None, :] @ v[..., :c, :]).numpy(), a, atol=1e-10)
    w, v = L.eigh(p)
    np.testing.assert_allclose((v * w[..., None, :] @ v.mH).numpy(), h, rtol=1e-8, atol=1e-8)
    w, v = L.eig(z)
    np.testing.assert_allclose((z @ v).numpy(), (v * w[..., None, :]).numpy(), rtol=1e-8, atol=1e-7)


@settings(quick, max_examples=150)
@given(data=st.data())
def test_einsum(data):
    letters = "abcd"
    lengths = {c: data.draw(st.integers(0, 3)) for c in letters}
    dots = data.draw(hnp.array_shapes(min_dims=0, max_dims=2, max_side=2)) if data.draw(st.booleans()) else None
    terms, operands = [], []
    for _ in range(data.draw(st.integers(1, 3))):
        own = "".join(data.draw(st.lists(st.sampled_from(letters), max_size=3)))
        shape = tuple(lengths[c] for c in own)
        if dots is not None and data.draw(st.booleans()):
            place = data.draw(st.integers(0, len(own)))
            here = dots[data.draw(st.integers(0, len(dots))) :]
            own, shape = own[:place] + "..." + own[place:], shape[:place] + here + shape[place:]
        terms.append(own)
        operands.append(normal(data.draw(seeds), shape, data.draw(st.sampled_from(["float64", "complex128"]))))
    form = ",".join(terms)
    if data.draw(st.booleans()):
        present = sorted(set(form) & set(letters))
        out = data.draw(st.permutations(present))[: data.draw(st.integers(0, len(present)))]
        form += "->" + ("..." if "..." in form else "") + "".join(out)
    theirs = asked(np.einsum, form, *operands)
    agree(asked(mg.einsum, form, *map(mg.tensor, operands)), theirs, (form, [o.shape for o in operands]))


# ---- transforms ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["fft", "ifft", "rfft", "irfft", "hfft", "ihfft", "fftn", "ifftn", "rfftn", "irfftn"])
@settings(quick, max_examples=30)
@given(data=st.data())
def test_transforms(name, data):
    dtype = "float64" if name in ("rfft", "ihfft", "rfftn") else "complex128"
    shape = data.draw(hnp.array_shapes(min_dims=1, max_dims=3, min_side=0, max_side=6))
    a = normal(data.draw(seeds), shape, dtype)
    keywords = {"norm": data.draw(st.sampled_from([None, "backward", "ortho", "forward"]))}
    if name.endswith("n"):
        axes = data.draw(st.none() | hnp.valid_tuple_axes(len(shape), min_size=1))
        if axes is not None:
            keywords["axes"] = axes
            if data.draw(st.booleans()):
                keywords["s"] = tuple(data.draw(st.integers(1, 7)) for _ in axes)
    else:
        keywords["axis"] = data.draw(st.integers(-len(shape), len(shape) - 1))
        keywords["n"] = data.draw(st.none() | st.integers(1, 9))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        theirs = asked(getattr(np.fft, name), a, **keywords)
    agree(asked(getattr(mg.fft, name), mg.tensor(a), **keywords), theirs, (name, shape, keywords))
