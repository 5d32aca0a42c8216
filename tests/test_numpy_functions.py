"""The functions of NumPy that users type most, on tensors: NumPy's values, or an error that teaches.

Each runs twice, on a tensor and on one that takes part in a gradient, whose result must take part too where it is a
float that can change smoothly with the input.
"""

import numpy as np
import pytest

import minigrad as mg
from minigrad.errors import MinigradError

UNARY = """
sin cos tan arcsin arccos arctan sinh cosh tanh arcsinh arctanh exp exp2 expm1 log log2 log10 log1p sqrt cbrt square
absolute abs fabs sign negative positive reciprocal floor ceil trunc rint fix around round conj conjugate real imag
angle isnan isinf isfinite isposinf isneginf isreal iscomplex iscomplexobj isrealobj signbit deg2rad rad2deg degrees
radians sinc i0 logical_not modf frexp spacing nan_to_num real_if_close sum prod mean std var max min amax amin ptp
median nanmax nanmin nansum nanmean nanstd nanvar nanmedian nanprod argmax argmin nanargmax nanargmin cumsum cumprod
nancumsum nancumprod any all count_nonzero diff ediff1d gradient trapezoid sort argsort unique ravel transpose
squeeze flip fliplr flipud rot90 copy shape ndim size atleast_1d atleast_2d atleast_3d zeros_like ones_like
empty_like diag diagonal trace tril triu nonzero argwhere flatnonzero isscalar asarray array asanyarray
ascontiguousarray array2string array_repr array_str histogram corrcoef cov unwrap matrix_transpose
""".split()  # noqa: SIM905
BINARY = """
add subtract multiply divide true_divide floor_divide remainder mod fmod power float_power maximum minimum fmax fmin
hypot arctan2 logaddexp logaddexp2 copysign nextafter heaviside greater greater_equal less less_equal equal
not_equal logical_and logical_or logical_xor isclose allclose array_equal array_equiv divmod append outer kron
union1d intersect1d setdiff1d setxor1d isin
""".split()  # noqa: SIM905
CALLS = {
    "cumulative_sum": lambda x: np.cumulative_sum(x, axis=0),
    "vsplit": lambda x: np.vsplit(x, 3),
    "permute_dims": lambda x: np.permute_dims(x, (1, 0)),
    "ldexp": lambda x: np.ldexp(x, 2),
    "inner": lambda x: np.inner(x, x),
    "quantile": lambda x: np.quantile(x, 0.3, axis=0),
    "percentile": lambda x: np.percentile(x, [10, 50], axis=1),
    "nanquantile": lambda x: np.nanquantile(x, 0.3),
    "nanpercentile": lambda x: np.nanpercentile(x, 30),
    "average": lambda x: np.average(x, axis=1, weights=[1, 2, 3, 4.0]),
    "clip": lambda x: np.clip(x, 0.2, 0.5),
    "where": lambda x: np.where(x > 0.5, x, 0),
    "where1": lambda x: np.where(x > 0.5),
    "reshape": lambda x: np.reshape(x, (4, 3)),
    "concatenate": lambda x: np.concatenate([x, x], axis=1),
    "stack": lambda x: np.stack([x, x]),
    "vstack": lambda x: np.vstack([x, x]),
    "hstack": lambda x: np.hstack([x, x]),
    "dstack": lambda x: np.dstack([x, x]),
    "column_stack": lambda x: np.column_stack([x, x]),
    "block": lambda x: np.block([[x, x], [x, x]]),
    "split": lambda x: np.split(x, 2, axis=1),
    "array_split": lambda x: np.array_split(x, 3, axis=1),
    "hsplit": lambda x: np.hsplit(x, 2),
    "dsplit": lambda x: np.dsplit(x[None], 2),
    "expand_dims": lambda x: np.expand_dims(x, 1),
    "swapaxes": lambda x: np.swapaxes(x, 0, 1),
    "moveaxis": lambda x: np.moveaxis(x, 0, 1),
    "rollaxis": lambda x: np.rollaxis(x, 1),
    "roll": lambda x: np.roll(x, 1, axis=0),
    "tile": lambda x: np.tile(x, (2, 1)),
    "repeat": lambda x: np.repeat(x, 2, axis=0),
    "broadcast_to": lambda x: np.broadcast_to(x, (2, 3, 4)),
    "broadcast_arrays": lambda x: np.broadcast_arrays(x, x[0]),
    "pad": lambda x: np.pad(x, 1),
    "insert": lambda x: np.insert(x, 1, 0, axis=0),
    "delete": lambda x: np.delete(x, 1, axis=0),
    "resize": lambda x: np.resize(x, (2, 5)),
    "trim_zeros": lambda x: np.trim_zeros(x[0]),
    "take": lambda x: np.take(x, [0, 1], axis=1),
    "take_along_axis": lambda x: np.take_along_axis(x, np.argsort(x, 1), 1),
    "choose": lambda x: np.choose([0, 1, 0, 1], [x[0], x[1]]),
    "compress": lambda x: np.compress([True, False, True], x, axis=0),
    "extract": lambda x: np.extract(x > 0.3, x),
    "select": lambda x: np.select([x > 0.5], [x], 0),
    "piecewise": lambda x: np.piecewise(x, [x < 0.5], [0, 1]),
    "searchsorted": lambda x: np.searchsorted(np.sort(x[0]), x[1]),
    "digitize": lambda x: np.digitize(x, [0.2, 0.5]),
    "partition": lambda x: np.partition(x, 2, axis=1),
    "argpartition": lambda x: np.sort(np.argpartition(x, 2, axis=1)[:, :3]),
    "lexsort": lambda x: np.lexsort((x[0], x[1])),
    "interp": lambda x: np.interp(x, [0, 0.5, 1], [0, 1, 0]),
    "convolve": lambda x: np.convolve(x[0], x[1]),
    "correlate": lambda x: np.correlate(x[0], x[1]),
    "polyval": lambda x: np.polyval([1, 2, 3], x),
    "polyfit": lambda x: np.polyfit(np.arange(4.0), x[0], 1),
    "dot": lambda x: np.dot(x, x.T),
    "vdot": lambda x: np.vdot(x, x),
    "matmul": lambda x: np.matmul(x, x.T),
    "tensordot": lambda x: np.tensordot(x, x, 2),
    "einsum": lambda x: np.einsum("ij,kj->ik", x, x),
    "einsum_path": lambda x: np.einsum_path("ij,kj->ik", x, x),
    "cross": lambda x: np.cross(x[:, :3], x[:, 1:]),
    "vecdot": lambda x: np.vecdot(x, x),
    "matvec": lambda x: np.matvec(x, x[0]),
    "vecmat": lambda x: np.vecmat(x[:, 0], x),
    "linalg.inv": lambda x: np.linalg.inv(x[:, :3]),
    "linalg.det": lambda x: np.linalg.det(x[:, :3]),
    "linalg.solve": lambda x: np.linalg.solve(x[:, :3], x[:, 3]),
    "linalg.norm": lambda x: np.linalg.norm(x),
    "linalg.eigvals": lambda x: np.sort_complex(np.linalg.eigvals(x[:, :3])),
    "linalg.eigh": lambda x: np.linalg.eigh(x[:, :3])[0],
    "linalg.svd": lambda x: np.linalg.svd(x)[1],
    "linalg.qr": lambda x: np.linalg.qr(x)[1],
    "linalg.cholesky": lambda x: np.linalg.cholesky(x @ x.T),
    "linalg.pinv": lambda x: np.linalg.pinv(x),
    "linalg.matrix_rank": lambda x: np.linalg.matrix_rank(x),
    "linalg.matrix_power": lambda x: np.linalg.matrix_power(x[:, :3], 3),
    "linalg.slogdet": lambda x: np.linalg.slogdet(x[:, :3]),
    "linalg.lstsq": lambda x: np.linalg.lstsq(x.T, x[0])[0],
    "linalg.multi_dot": lambda x: np.linalg.multi_dot([x, x.T, x]),
    "linalg.cond": lambda x: np.linalg.cond(x),
    "linalg.eigvalsh": lambda x: np.linalg.eigvalsh(x[:, :3]),
    "linalg.tensorinv": lambda x: np.linalg.tensorinv(x[:, :3], ind=1),
    "linalg.vector_norm": lambda x: np.linalg.vector_norm(x),
    "linalg.matrix_norm": lambda x: np.linalg.matrix_norm(x),
    "linalg.svdvals": lambda x: np.linalg.svdvals(x),
    "linalg.trace": lambda x: np.linalg.trace(x),
    "linalg.outer": lambda x: np.linalg.outer(x[0], x[1]),
    "linalg.cross": lambda x: np.linalg.cross(x[:, :3], x[:, 1:]),
    "fft.fft": lambda x: np.fft.fft(x),
    "fft.ifft": lambda x: np.fft.ifft(x),
    "fft.rfft": lambda x: np.fft.rfft(x),
    "fft.irfft": lambda x: np.fft.irfft(x),
    "fft.fft2": lambda x: np.fft.fft2(x),
    "fft.fftn": lambda x: np.fft.fftn(x),
    "fft.fftshift": lambda x: np.fft.fftshift(x),
    "fft.ifftshift": lambda x: np.fft.ifftshift(x),
    "fft.hfft": lambda x: np.fft.hfft(x),
    "full_like": lambda x: np.full_like(x, 2.0),
    "meshgrid": lambda x: np.meshgrid(x[0], x[1]),
    "diagflat": lambda x: np.diagflat(x),
    "fill_diagonal": lambda x: np.fill_diagonal(x, 0),
    "put": lambda x: np.put(x, [0], [1.0]),
    "putmask": lambda x: np.putmask(x, x > 0.5, 0),
    "place": lambda x: np.place(x, x > 0.5, 0),
    "copyto": lambda x: np.copyto(x, x),
    "put_along_axis": lambda x: np.put_along_axis(x, np.array([[0]]), 1.0, 1),
    "apply_along_axis": lambda x: np.apply_along_axis(np.sum, 1, x),
    "apply_over_axes": lambda x: np.apply_over_axes(np.sum, x, [0]),
    "vander": lambda x: np.vander(x[0]),
    "histogram2d": lambda x: np.histogram2d(x[0], x[1]),
    "histogramdd": lambda x: np.histogramdd(x),
    "histogram_bin_edges": lambda x: np.histogram_bin_edges(x),
    "bincount": lambda x: np.bincount(np.array([0, 1, 1, 2]), weights=x[0]),
    "nan_to_num2": lambda x: np.nan_to_num(x, nan=1.0),
    "tril_indices_from": lambda x: np.tril_indices_from(x),
    "diag_indices_from": lambda x: np.diag_indices_from(x[:, :3]),
    "linspace": lambda x: np.linspace(x[0], x[1], 5),
    "logspace": lambda x: np.logspace(x[0], x[1], 5),
    "geomspace": lambda x: np.geomspace(x[0], x[1], 5),
    "result_type": lambda x: np.result_type(x, np.float32),
    "can_cast": lambda x: np.can_cast(x.dtype, float),
    "min_scalar_type": lambda x: np.min_scalar_type(x),
    "common_type": lambda x: np.common_type(x),
    "may_share_memory": lambda x: np.may_share_memory(x, x),
    "shares_memory": lambda x: np.shares_memory(x, x),
    "unravel_index": lambda x: np.unravel_index(np.argmax(x), x.shape),
    "ravel_multi_index": lambda x: np.ravel_multi_index((np.argmax(x[0]), 1), (4, 4)),
    "sort_complex": lambda x: np.sort_complex(x),
    "unique_counts": lambda x: np.unique_counts(x),
    "unique_values": lambda x: np.unique_values(x),
    "unstack": lambda x: np.unstack(x),
    "concat": lambda x: np.concat([x, x]),
    "pow": lambda x: np.pow(x, 2),
    "acos": lambda x: np.acos(x),
    "atan2": lambda x: np.atan2(x, x),
    "bitwise_and": lambda x: np.bitwise_and(x > 0.5, x > 0.2),
    "bitwise_or": lambda x: np.bitwise_or(x > 0.5, x > 0.2),
    "invert": lambda x: np.invert(x > 0.5),
    "gcd": lambda x: np.gcd((x * 10).astype(int), 2),
    "left_shift": lambda x: np.left_shift((x * 10).astype(int), 2),
    "add.reduce": lambda x: np.add.reduce(x),
    "add.accumulate": lambda x: np.add.accumulate(x),
    "multiply.outer": lambda x: np.multiply.outer(x[0], x[1]),
    "maximum.reduce": lambda x: np.maximum.reduce(x, axis=1),
    "maximum.accumulate": lambda x: np.maximum.accumulate(x, axis=1),
    "add.at": lambda x: np.add.at(x, [0], 1.0),
    "add.reduceat": lambda x: np.add.reduceat(x[0], [0, 2]),
    "testing": lambda x: np.testing.assert_allclose(x, x),
    "iterable": lambda x: np.iterable(x),
    "nditer": lambda x: sum(float(z) for z in np.nditer(x)),
    "ndenumerate": lambda x: [z for z in np.ndenumerate(x)][:1],
    "vectorize": lambda x: np.vectorize(lambda z: z + 1)(x),
    "fromfunction": lambda x: np.fromfunction(lambda i: i, (2,)),
    "packbits": lambda x: np.packbits(x > 0.5),
    "require": lambda x: np.require(x, float),
    "asfarray": lambda x: np.asarray(x, dtype=float),
    "poly": lambda x: np.poly(x[0]),
    "roots": lambda x: np.roots(x[0]),
    "polyadd": lambda x: np.polyadd(x[0], x[1]),
    "polymul": lambda x: np.polymul(x[0], x[1]),
    "polyder": lambda x: np.polyder(x[0]),
    "polyint": lambda x: np.polyint(x[0]),
    "ix_": lambda x: np.ix_(x[0] > 0.3, x[1] > 0.3),
    "mask_indices": lambda x: np.mask_indices(3, np.triu),
    "kaiser": lambda x: np.kaiser(5, x[0, 0]),
}
CALLS |= {name: lambda x, name=name: getattr(np, name)(x) for name in UNARY}
CALLS |= {name: lambda x, name=name: getattr(np, name)(x, x) for name in BINARY}
A = np.random.default_rng(0).uniform(0.1, 0.9, (3, 4))
STEPS = """
sign fix rint around round floor ceil trunc floor_divide heaviside spacing zeros_like ones_like empty_like full_like
digitize histogram histogram2d histogramdd histogram_bin_edges bincount fill_diagonal put putmask place copyto
put_along_axis add.at piecewise divmod nanargmax gcd sort_complex linalg.matrix_rank imag isscalar frexp einsum_path
fromfunction vectorize nextafter logical_and array2string iterable
""".split()  # noqa: SIM905  piecewise constant, or positions, or edits


def flat(y):
    return [z for part in y for z in flat(part)] if isinstance(y, (list, tuple)) else [y]


@pytest.mark.filterwarnings("ignore::numpy.exceptions.ComplexWarning")
@pytest.mark.parametrize("grad", [False, True], ids=["values", "gradient"])
@pytest.mark.parametrize("name", sorted(CALLS))
def test_numpys_value_or_a_teaching_error(name, grad):
    f, x, t = CALLS[name], A.copy(), mg.tensor(A, requires_grad=grad)
    expected = flat(f(x))
    try:
        found = flat(f(t))
    except MinigradError as error:
        assert grad, f"without a gradient nothing is lost: {error}"
        assert "detach" in str(error) or "in place" in str(error)
        return
    if name == "empty_like":
        return
    for e, y in zip(expected, found, strict=True):
        if isinstance(e, (np.ndarray, np.generic, float, int)):
            np.testing.assert_allclose(y.detach().numpy() if isinstance(y, mg.Tensor) else y, e, rtol=1e-12, atol=1e-12)
        if grad and name not in STEPS and isinstance(e, (np.ndarray, np.floating)) and e.dtype.kind in "fc":
            assert y.requires_grad, "the gradient was lost"
    np.testing.assert_allclose(t.detach().numpy(), x)  # what NumPy edits in place is edited
