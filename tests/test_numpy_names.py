"""NumPy's functions under minigrad: the same expression on arrays and on tensors, and its gradient to second order."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import minigrad as mg
from minigrad import testing
from minigrad.errors import GradError, MinigradError

A = np.array([[0.3, -1.2, 2.5, 0.7], [1.1, 0.0, -0.4, 3.2], [2.2, -2.9, 0.9, -0.1]])
B = np.array([[1.5, 0.2, -0.7, 2.1], [-1.3, 0.6, 1.9, -2.2], [0.4, 1.7, -0.2, 0.8]])
V = np.array([0.5, 1.5, -2.0, 3.0])
N = np.where(A > 2, np.nan, A)
I = np.array([2, 0, 2, 1])

SMOOTH = {  # expression in m (numpy or minigrad) and float arrays: compared, and its gradient checked
    "pad_constant": lambda m, a: m.pad(a, ((1, 0), (2, 1)), constant_values=((1, 2), (3, 4))),
    "pad_edge": lambda m, a: m.pad(a, 2, mode="edge"),
    "pad_reflect": lambda m, a: m.pad(a, ((2, 3), (5, 0)), mode="reflect"),
    "pad_reflect_odd": lambda m, a: m.pad(a, ((2, 3), (5, 0)), mode="reflect", reflect_type="odd"),
    "pad_symmetric": lambda m, a: m.pad(a, ((2, 4), (1, 6)), mode="symmetric"),
    "pad_symmetric_odd": lambda m, a: m.pad(a, ((2, 4), (1, 6)), mode="symmetric", reflect_type="odd"),
    "pad_wrap": lambda m, a: m.pad(a, ((2, 4), (1, 6)), mode="wrap"),
    "pad_linear_ramp": lambda m, a: m.pad(a, ((2, 1), (3, 0)), mode="linear_ramp", end_values=((1, 2), (3, 4))),
    "pad_mean": lambda m, a: m.pad(a, 2, mode="mean", stat_length=2),
    "pad_maximum": lambda m, a: m.pad(a, 1, mode="maximum"),
    "pad_median": lambda m, a: m.pad(a, (1, 2), mode="median", stat_length=3),
    "cumsum": lambda m, a: m.cumsum(a),
    "cumprod": lambda m, a: m.cumprod(a, axis=1),
    "cumulative_sum": lambda m, a: m.cumulative_sum(a, axis=0, include_initial=True),
    "cumulative_prod": lambda m, a: m.cumulative_prod(a, axis=1, include_initial=True),
    "nancumsum": lambda m, a: m.nancumsum(a, axis=0),
    "sort": lambda m, a: m.sort(a, axis=0),
    "partition": lambda m, a: m.sort(m.partition(a, 2, axis=1)[:, :2], axis=1),
    "median": lambda m, a: m.median(a, axis=1),
    "median_all": lambda m, a: m.median(a, keepdims=True),
    "quantile": lambda m, a: m.quantile(a, [0.1, 0.5, 0.83], axis=0),
    "percentile": lambda m, a: m.percentile(a, 30, axis=(0, 1)),
    "average": lambda m, a: m.average(a, axis=1, weights=[1, 2, 3, 4]),
    "nanmean": lambda m, a: m.nanmean(m.where(a > 2, m.nan, a), axis=1),
    "nanvar": lambda m, a: m.nanvar(m.where(a > 2, m.nan, a), axis=0, ddof=1),
    "nanmax": lambda m, a: m.nanmax(m.where(a > 2, m.nan, a), axis=0),
    "nanmedian": lambda m, a: m.nanmedian(m.where(a > 2, m.nan, a), axis=1),
    "nanquantile": lambda m, a: m.nanquantile(m.where(a > 2, m.nan, a), [0.2, 0.7], axis=1),
    "ptp": lambda m, a: m.ptp(a, axis=1),
    "diff": lambda m, a: m.diff(a, n=2, axis=1, prepend=0.5),
    "ediff1d": lambda m, a: m.ediff1d(a, to_end=[1.0]),
    "gradient": lambda m, a: m.gradient(a, [0.0, 1.0, 3.0, 3.5], axis=1),
    "gradient_edges": lambda m, a: m.gradient(a, 0.5, axis=0, edge_order=2),
    "gradient_uneven_edges": lambda m, a: m.gradient(a, [0.0, 1.0, 3.0, 3.5], axis=1, edge_order=2),
    "trapezoid": lambda m, a: m.trapezoid(a, [0.0, 1.0, 3.0, 3.5], axis=1),
    "trapezoid_dx": lambda m, a: m.trapezoid(a, dx=0.5, axis=0),
    "einsum_trace": lambda m, a: m.einsum("ii->i", a[:, :3]),
    "einsum_ellipsis": lambda m, a: m.einsum("...i,...->i...", a, a[:, 0]),
    "einsum_three": lambda m, a: m.einsum("ij,kj,kl->il", a, a, a),
    "einsum_lists": lambda m, a: m.einsum(a, [0, 1], a, [2, 1], [0, 2]),
    "tensordot": lambda m, a: m.tensordot(a, a, axes=([0], [0])),
    "kron": lambda m, a: m.kron(a[:2, :2], a),
    "outer": lambda m, a: m.outer(a[:2], a[0]),
    "inner": lambda m, a: m.inner(a, a[:2]),
    "dot": lambda m, a: m.dot(a, m.reshape(a[:2], (2, 4, 1))),
    "vdot": lambda m, a: m.vdot(a, a),
    "vecdot": lambda m, a: m.vecdot(a, a[:1]),
    "cross": lambda m, a: m.cross(a[:, :3], a[:, 1:]),
    "trace": lambda m, a: m.trace(a, offset=1),
    "vander": lambda m, a: m.vander(a[0], 3),
    "convolve": lambda m, a: m.convolve(a[0], a[1, :3], mode="same"),
    "convolve_full": lambda m, a: m.convolve(a[0, :2], a[1]),
    "correlate": lambda m, a: m.correlate(a[0], a[1, :3], mode="full"),
    "cov": lambda m, a: m.cov(a),
    "cov_weights": lambda m, a: m.cov(a, fweights=np.array([1, 2, 1, 3]), aweights=np.array([0.5, 1, 2, 1])),
    "corrcoef": lambda m, a: m.corrcoef(a),
    "interp": lambda m, a: m.interp([-1, 0.25, 1.5, 9.0], [0.0, 1.0, 2.0, 4.0], a[0], left=-7),
    "interp_period": lambda m, a: m.interp([-1, 0.25, 5.5], [0.5, 1.0, 2.0, 3.5], a[0], period=4),
    "select": lambda m, a: m.select([a > 1, a < 0], [a * 2, a * a], 3.0),
    "choose": lambda m, a: m.choose(np.array([0, 2, 1, 2]), [a[0], a[1], a[2]]),
    "take": lambda m, a: m.take(a, I, axis=0),
    "take_flat": lambda m, a: m.take(a, [[1, -1], [1, 5]]),
    "take_wrap": lambda m, a: m.take(a, [5, -9], axis=1, mode="wrap"),
    "take_along_axis": lambda m, a: m.take_along_axis(a, I[None] % 3, axis=0),
    "repeat": lambda m, a: m.repeat(a, np.array([0, 2, 1]), axis=0),
    "tile": lambda m, a: m.tile(a, (2, 1, 2)),
    "roll": lambda m, a: m.roll(a, (1, -2), axis=(0, 1)),
    "roll_flat": lambda m, a: m.roll(a, 5),
    "rot90": lambda m, a: m.rot90(a, 3),
    "diagonal": lambda m, a: m.diagonal(a, -1),
    "diag": lambda m, a: m.diag(a[0], 1),
    "diagflat": lambda m, a: m.diagflat(a[:2, :2], -1),
    "block": lambda m, a: m.block([[a, a], [a[:1], a[1:2]]]),
    "insert": lambda m, a: m.insert(a, [1, 1, 4], 9.0, axis=1),
    "insert_one": lambda m, a: m.insert(a, 1, [7.0, 8.0, 9.0], axis=1),
    "delete": lambda m, a: m.delete(a, [0, 2], axis=1),
    "append": lambda m, a: m.append(a, a[:1], axis=0),
    "resize": lambda m, a: m.resize(a, (5, 3)),
    "dstack": lambda m, a: m.dstack([a, a * 2]),
    "column_stack": lambda m, a: m.column_stack([a, a[:, 0]]),
    "hstack": lambda m, a: m.hstack([a[0], a[1]]),
    "concat_flat": lambda m, a: m.concat([a, a[:1]], axis=None),
    "moveaxis": lambda m, a: m.moveaxis(a[None], (0, 1), (-1, 0)),
    "swapaxes": lambda m, a: m.swapaxes(a, 0, -1),
    "atleast_3d": lambda m, a: m.atleast_3d(a),
    "expand_dims": lambda m, a: m.expand_dims(a, axis=(0, -1)),
    "flip": lambda m, a: m.flip(a, axis=1),
    "compress": lambda m, a: m.compress([True, False, True], a, axis=0),
    "extract": lambda m, a: m.extract(a > 0.5, a),
    "bincount": lambda m, a: m.bincount(I, weights=a[0], minlength=5),
    "histogram": lambda m, a: m.histogram(A[0], bins=3, weights=a[1], density=True)[0],
    "histogram2d": lambda m, a: m.histogram2d(A[0], A[1], bins=[2, 3], weights=a[1])[0],
    "apply_along_axis": lambda m, a: m.apply_along_axis(lambda v: v[:2] * v[1], 0, a),
    "unique": lambda m, a: m.unique(a),
    "unique_values": lambda m, a: m.unique_values(a),
    "union1d": lambda m, a: m.union1d(a, a[:1] + 1),
    "setdiff1d": lambda m, a: m.setdiff1d(a, A[0]),
    "var_correction": lambda m, a: m.var(a, axis=1, correction=1),
    "std_ddof": lambda m, a: m.std(a, axis=0, ddof=1),
    "prod": lambda m, a: m.prod(a, axis=1),
    "logaddexp": lambda m, a: m.logaddexp(a, a[:1]),
}  # fmt: skip
EXACT = {  # compared only: counts, positions, truth
    "argsort": lambda m, a: m.argsort(a, axis=0),
    "argpartition": lambda m, a: m.argpartition(a, 1, axis=1)[:, 1],
    "searchsorted": lambda m, a: m.searchsorted(m.sort(a[0]), a, side="right"),
    "digitize": lambda m, a: m.digitize(a, [-1.0, 0.0, 1.0], right=True),
    "digitize_falling": lambda m, a: m.digitize(a, [1.0, 0.0, -1.0]),
    "histogram": lambda m, a: m.histogram(a, bins=4),
    "histogramdd": lambda m, a: m.histogramdd(a[:, :2], bins=2)[0],
    "unique_all": lambda m, a: m.unique_all(m.round(a)),
    "isin": lambda m, a: m.isin(a, [0.0, 2.5], invert=True),
    "nonzero": lambda m, a: m.nonzero(a),
    "argwhere": lambda m, a: m.argwhere(a > 0),
    "flatnonzero": lambda m, a: m.flatnonzero(a),
    "nanargmax": lambda m, a: m.nanargmax(m.where(a > 2, m.nan, a), axis=1),
    "count_nonzero": lambda m, a: m.count_nonzero(a, axis=1, keepdims=True),
    "isclose": lambda m, a: m.isclose(a, a + 1e-9),
    "lexsort": lambda m, a: m.lexsort((a[0], m.round(a[1]))),
    "unravel_index": lambda m, a: m.unravel_index([3, 7], (3, 4)),
    "ravel_multi_index": lambda m, a: m.ravel_multi_index(([0, 2], [1, 3]), (3, 4)),
    "indices": lambda m, a: m.indices((2, 3)),
    "ix_": lambda m, a: m.ix_([0, 2], [1]),
    "intersect1d": lambda m, a: m.intersect1d(a, [0.0, 0.3, 5.0]),
    "setxor1d": lambda m, a: m.setxor1d(a[0], a[:2]),
    "all": lambda m, a: m.all(a > -9, axis=0),
    "nanstd": lambda m, a: m.nanstd(N, axis=1),
    "nanprod": lambda m, a: m.nanprod(N, axis=1),
    "nansum_all_nan": lambda m, a: m.nansum(N * m.nan),
    "broadcast_shapes": lambda m, a: m.broadcast_shapes((2, 1), (3,)),
    "sum_of_bytes": lambda m, a: m.sum(np.array([200, 200], np.uint8)),
    "cumsum_of_bytes": lambda m, a: m.cumsum(np.array([100, 100], np.int8)),
    "sum_dtype": lambda m, a: m.sum(np.array([1, 2], np.int8), dtype=np.float64),
    "vsplit": lambda m, a: m.vsplit(a, [1, 2]),
    "array_split": lambda m, a: m.array_split(a, 3, axis=1),
}  # fmt: skip


def values(y):
    """The arrays of a result, of tensors or arrays or several."""
    if isinstance(y, (list, tuple)):
        return [v for part in y for v in values(part)]
    return [y.detach().numpy() if isinstance(y, mg.Tensor) else np.asarray(y)]


def same(ours, theirs):
    for y, e in zip(values(ours), values(theirs), strict=True):
        assert y.shape == e.shape
        assert y.dtype == e.dtype
        np.testing.assert_allclose(y, e, rtol=1e-12, atol=1e-13)


@pytest.mark.parametrize("name", SMOOTH)
def test_value_and_gradient(name):
    f = SMOOTH[name]
    for a in (A, np.asfortranarray(A)):
        same(f(mg, mg.tensor(a)), f(np, a))
    assert all(v.dtype == np.float32 for v in values(f(mg, mg.tensor(A.astype(np.float32)))))
    rng = np.random.default_rng(0)
    x = A + 0.1 * rng.standard_normal(A.shape)
    testing.gradcheck(lambda a: f(mg, a), [x], directions=3, kinks="skip")
    testing.gradgradcheck(lambda a: f(mg, a), [x], directions=2, kinks="skip")


@pytest.mark.parametrize("name", EXACT)
def test_value(name):
    f = EXACT[name]
    with np.errstate(invalid="ignore"):
        same(f(mg, mg.tensor(A)), f(np, A))


METHODS = ["linear", "interpolated_inverted_cdf", "hazen", "weibull", "median_unbiased", "normal_unbiased", "lower",
           "higher", "midpoint", "nearest", "inverted_cdf", "averaged_inverted_cdf", "closest_observation"]  # fmt: skip


@pytest.mark.parametrize("method", METHODS)
def test_quantile_methods(method):
    q = np.linspace(0, 1, 23)
    for n in (1, 2, 5, 8):
        x = np.random.default_rng(n).standard_normal((2, n))
        same(mg.quantile(mg.tensor(x), q, axis=1, method=method), np.quantile(x, q, axis=1, method=method))
        x[0, 0] = np.nan
        if n > 1:
            same(mg.nanquantile(mg.tensor(x), q, axis=1, method=method), np.nanquantile(x, q, axis=1, method=method))
        assert np.isnan(mg.quantile(mg.tensor(x), 0.5, axis=1, method=method).numpy()[0])


def test_gradients_share_ties_by_rule():
    """Equal extremes share the gradient; a sort is stable, so equal elements keep theirs; a median of equal elements
    gives it to the middle places."""
    x = mg.tensor([2.0, 1.0, 2.0, 2.0], requires_grad=True)
    (g,) = mg.autograd.grad([mg.max(x)], [x])
    np.testing.assert_allclose(g.numpy(), [1 / 3, 0, 1 / 3, 1 / 3])
    (g,) = mg.autograd.grad([mg.sort(x) @ mg.tensor([1.0, 2.0, 3.0, 4.0])], [x])
    np.testing.assert_array_equal(g.numpy(), [2, 1, 3, 4])
    (g,) = mg.autograd.grad([mg.cummax(x, 0).values.sum()], [x])
    np.testing.assert_array_equal(g.numpy(), [2, 0, 1, 1])


def test_running_products_with_zeros():
    for x in ([0.0, 2.0, 3.0], [2.0, 0.0, 3.0, 0.0, 5.0], [0.0, 0.0]):
        x = np.array(x)
        n = x.size
        jacobian = [[np.prod(np.delete(x[: i + 1], j)) if j <= i else 0 for j in range(n)] for i in range(n)]
        t = mg.tensor(x, requires_grad=True)
        for i in range(n):
            (g,) = mg.autograd.grad([mg.cumprod(t)[i]], [t])
            np.testing.assert_allclose(g.numpy(), jacobian[i])
        testing.gradgradcheck(mg.cumprod, [x])


# ---- NumPy's own functions -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", [n for n in SMOOTH if n != "block"])
def test_numpy_functions_take_tensors(name):
    """np.f(tensor) is mg.f(tensor), recorded."""
    f = SMOOTH[name]
    t = mg.tensor(A, requires_grad=True)
    y = f(np, t)
    same(y, f(np, A))
    assert all(part.requires_grad for part in (y if isinstance(y, (list, tuple)) else [y]))


def test_ufuncs():
    t, u = mg.tensor(A, requires_grad=True), mg.tensor(B)
    same(np.add(A, u), A + B)
    same(A - u, A - B)
    same(np.hypot(t, B), np.hypot(A, B))
    same(np.add.reduce(t, axis=1), np.add.reduce(A, axis=1))
    same(np.multiply.accumulate(t, axis=1), np.multiply.accumulate(A, axis=1))
    same(np.multiply.outer(t, V), np.multiply.outer(A, V))
    same(np.sum(t, axis=1, where=B > 0, initial=2.0), np.sum(A, axis=1, where=B > 0, initial=2.0))
    same(np.std(t, axis=1, where=B > -1), np.std(A, axis=1, where=B > -1))
    same(np.max(t, where=B > 0, initial=-9), np.max(A, where=B > 0, initial=-9))
    out = mg.zeros(3, 4, dtype=np.float64)
    assert np.multiply(t, 2, out=out) is out
    same(out, A * 2)
    assert out.requires_grad
    out = mg.tensor(B)
    np.negative(u, out=out, where=A > 0)
    same(out, np.where(A > 0, -B, B))
    host = np.zeros_like(A)
    np.add(u, 1, out=host)
    same(host, B + 1)
    with pytest.raises(GradError, match="out"):
        np.add(t, 1, out=host)


def test_ufunc_at_takes_repeated_places():
    index = np.array([0, 2, 2])
    for f, value in ((np.add, 2.0), (np.subtract, 2.0), (np.multiply, 3.0), (np.maximum, 1.0), (np.minimum, -1.0)):
        x, t = V.copy(), mg.tensor(V)
        f.at(x, index, value)
        f.at(t, index, value)
        same(t, x)
    mg.add.at(t, index, 1.0)
    same(t, x + np.bincount(index, minlength=4))
    w = mg.tensor([1.0, 2.0, 3.0], requires_grad=True)
    y = mg.zeros(4)
    np.add.at(y, index, w)
    (g,) = mg.autograd.grad([(y * mg.tensor([1.0, 0.0, 5.0, 0.0])).sum()], [w])
    np.testing.assert_array_equal(g.numpy(), [1, 5, 5])


def test_values_that_would_lose_a_gradient_are_refused():
    t = mg.tensor(A, requires_grad=True)
    for lost in (lambda: np.asarray(t), lambda: np.save("never", t), lambda: np.spacing(t), lambda: np.roots(t[0])):
        with pytest.raises(GradError, match="detach"):
            lost()
    same(np.asarray(t.detach()), A)
    assert np.shape(t) == (3, 4) and np.result_type(t, np.float32) == np.float64
    np.testing.assert_array_equal(np.unwrap(t.detach()).numpy(), np.unwrap(A))


# ---- differential ----------------------------------------------------------------------------------------------------

SHAPES = st.lists(st.integers(0, 3), min_size=1, max_size=3).map(tuple)
RUNS = settings(max_examples=25, deadline=None, database=None, derandomize=True)


@RUNS
@given(SHAPES, st.data())
def test_arrangements_fit_any_shape(shape, data):
    x = np.arange(np.prod(shape, dtype=int), dtype=np.float32).reshape(shape)
    t, axis = mg.tensor(x), data.draw(st.integers(-len(shape), len(shape) - 1))
    n, k = x.shape[axis], data.draw(st.integers(-4, 4))
    same(mg.roll(t, k, axis=axis), np.roll(x, k, axis=axis))
    same(mg.flip(t, axis=axis), np.flip(x, axis=axis))
    same(mg.repeat(t, abs(k), axis=axis), np.repeat(x, abs(k), axis=axis))
    same(mg.tile(t, (abs(k), 2)), np.tile(x, (abs(k), 2)))
    same(mg.sort(t, axis=axis), np.sort(x, axis=axis))
    same(mg.cumulative_sum(t, axis=axis, include_initial=True), np.cumulative_sum(x, axis=axis, include_initial=True))
    same(mg.concat([t, t], axis=axis), np.concat([x, x], axis=axis))
    same(mg.stack([t, t], axis=axis), np.stack([x, x], axis=axis))
    same(mg.unstack(t, axis=axis), np.unstack(x, axis=axis))
    same(mg.diff(t, axis=axis), np.diff(x, axis=axis))
    same(mg.array_split(t, 3, axis=axis), np.array_split(x, 3, axis=axis))
    same(mg.sum(t, axis=axis), np.sum(x, axis=axis))
    same(mg.pad(t, 1), np.pad(x, 1))
    index = data.draw(st.lists(st.integers(-n, n - 1), max_size=3)) if n else []
    same(mg.take(t, np.array(index, int), axis=axis), np.take(x, np.array(index, int), axis=axis))


EQUATIONS = ["ij->ji", "ij->", "ii", "ij,jk", "ij,ij->i", "ij,kl->ijkl", "...j,j...", "ij,jk,kl->li", "ij,ij,ij->j",
             "i...->...", "ii,ij,jj->", "ij,jk,ki->", "...i,...i->...", "ab,bc,cd,da->bd"]  # fmt: skip


@pytest.mark.parametrize("equation", EQUATIONS)
def test_einsum(equation):
    rng = np.random.default_rng(3)
    xs = [rng.standard_normal((3, 3)) for _ in equation.split("->")[0].split(",")]
    same(mg.einsum(equation, *map(mg.tensor, xs)), np.einsum(equation, *xs))
    testing.gradcheck(lambda *t: mg.einsum(equation, *t), xs, directions=3)
    testing.gradgradcheck(lambda *t: mg.einsum(equation, *t), xs, directions=2)


def test_einsum_repeats_axes_of_length_one():
    a, b = np.arange(6.0).reshape(2, 3), np.arange(2.0).reshape(2, 1)
    for equation in ("ij,ij->i", "ij,ij->ij", "ij,ij->", "ij,kj->ik"):
        same(mg.einsum(equation, mg.tensor(a), mg.tensor(b)), np.einsum(equation, a, b))


@pytest.mark.parametrize(
    ("wrong", "error", "words"),
    [
        (lambda x: mg.take(x, [4], axis=0), IndexError, "out of bounds"),
        (lambda x: mg.concat([x, x[:, :2]]), ValueError, "must agree"),
        (lambda x: mg.einsum("ij,jk", x, x), ValueError, "must agree"),
        (lambda x: mg.einsum("ij->k", x), ValueError, "in no operand"),
        (lambda x: mg.quantile(x, 1.5), ValueError, "from 0 to 1"),
        (lambda x: mg.pad(x, -1), ValueError, "from 0 up"),
        (lambda x: mg.pad(x, 1, mode="best"), ValueError, "one of"),
        (lambda x: mg.topk(x, 9), IndexError, "from 0 to 4"),
        (lambda x: mg.cumulative_sum(x), ValueError, "axis is needed"),
        (lambda x: mg.moveaxis(x, 0, (0, 1)), ValueError, "as many"),
        (lambda x: mg.split(x, 0), ValueError, "positive"),
        (lambda x: mg.scatter_reduce(x, 0, [[0]], x, "most"), ValueError, "one of"),
        (lambda x: mg.masked_select(x, x), TypeError, "booleans"),
        (lambda x: mg.cross(x, x), ValueError, "3 elements"),
        (lambda x: mg.tensordot(x, x, axes=1), ValueError, "must agree"),
        (lambda x: mg.roll(x, 1, axis=5), IndexError, "out of range"),
    ],
)
def test_errors_name_the_rule(wrong, error, words):
    with pytest.raises(error, match=words) as caught:
        wrong(mg.tensor(A))
    assert isinstance(caught.value, MinigradError)
