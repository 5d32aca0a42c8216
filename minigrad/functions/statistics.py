"""Statistics: averages and order statistics, with and without NaN; counts in bins; covariance.

Order statistics pass their gradient to the elements they were computed from (of equal ones, to the first in the sorted
order), interpolated ones in proportion.
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np

from ..errors import ArgumentError, DTypeError, ShapeError
from ..mode import MODE
from ..ops.indexing import PLACE
from ..ops.reduce import deviation
from ..primitive import axes_of, kind_of, with_ones
from ..signature import narrowed
from ..tensor import F, Tensor, wrap
from .arranging import ravel
from .cumulating import _counted
from .indexing import axis_of
from .pairs import Ranked, answered
from .spelling import floating, host, like, named, one_of, spelled, tensor_of

# ---- without NaN -----------------------------------------------------------------------------------------------------


def _numbers(x: Tensor, value: Any) -> Tensor:
    """x with `value` for NaN."""
    return F.where(F.isnan(x), value, x) if kind_of(x.dtype) in "fc" else x


def _known(x: Tensor, axis: Any, dtype: Any) -> Tensor:
    """How many elements over `axis` are not NaN, with the axes kept."""
    return F.sum(F.logical_not(F.isnan(x)), axis=axis, keepdims=True).astype(dtype)


def _kept(y: Tensor, axis: Any, x: Tensor, keepdims: bool) -> Tensor:
    """y, reduced over `axis` with the axes kept, as asked."""
    if keepdims:
        return y
    axes = axes_of("reduction", axis, x.ndim)
    return F.reshape(y, tuple(n for i, n in enumerate(x.shape) if i not in axes))


@spelled
def nansum(x: Tensor, axis: Any = None, dtype: Any = None, keepdims: bool = False) -> Tensor:
    """The sum over `axis` with NaN as 0."""
    return narrowed(F.sum(_counted(_numbers(x, 0), dtype), axis=axis, keepdims=keepdims), dtype)


@spelled
def nanprod(x: Tensor, axis: Any = None, dtype: Any = None, keepdims: bool = False) -> Tensor:
    """The product over `axis` with NaN as 1."""
    return narrowed(F.prod(_counted(_numbers(x, 1), dtype), axis=axis, keepdims=keepdims), dtype)


@spelled
def nanmean(x: Tensor, axis: Any = None, dtype: Any = None, keepdims: bool = False) -> Tensor:
    """The mean over `axis` of the elements that are not NaN; NaN where there is none."""
    x = floating(x, dtype)
    total = F.sum(_numbers(x, 0), axis=axis, keepdims=True)
    with np.errstate(invalid="ignore", divide="ignore"):
        return _kept(total / _known(x, axis, x.dtype), axis, x, keepdims)


@named(ddof="correction")
def nanvar(x: Tensor, axis: Any = None, dtype: Any = None, keepdims: bool = False, *, correction: float = 0) -> Tensor:
    """The variance over `axis` of the elements that are not NaN; NaN where not more than `correction` are."""
    x = floating(x, dtype)
    centred = F.where(F.isnan(x), 0, x - nanmean(x, axis, keepdims=True))
    n = _known(x, axis, x.dtype) - correction
    y = F.sum(F.square(centred), axis=axis, keepdims=True) / F.where(n > 0, n, math.nan)
    return _kept(y, axis, x, keepdims)


@named(ddof="correction")
def nanstd(x: Tensor, axis: Any = None, dtype: Any = None, keepdims: bool = False, *, correction: float = 0) -> Tensor:
    """The square root of `nanvar`; its gradient where it is 0 is 0."""
    return deviation(F, nanvar(x, axis, dtype, keepdims, correction=correction))


@spelled
def nanmax(x: Tensor, axis: Any = None, keepdims: bool = False) -> Tensor:
    """The largest element over `axis` that is not NaN; NaN where all are."""
    y = F.max(_numbers(x, -math.inf), axis=axis, keepdims=True)
    return _kept(_or_nan(x, y, axis), axis, x, keepdims)


@spelled
def nanmin(x: Tensor, axis: Any = None, keepdims: bool = False) -> Tensor:
    """The smallest element over `axis` that is not NaN; NaN where all are."""
    y = F.min(_numbers(x, math.inf), axis=axis, keepdims=True)
    return _kept(_or_nan(x, y, axis), axis, x, keepdims)


def _or_nan(x: Tensor, y: Tensor, axis: Any) -> Tensor:
    return F.where(F.all(F.isnan(x), axis=axis, keepdims=True), math.nan, y) if kind_of(x.dtype) in "fc" else y


@spelled
def nanargmax(x: Tensor, axis: Any = None, keepdims: bool = False) -> Tensor:
    """The position of the largest element along `axis` that is not NaN."""
    _not_all(x, axis, "nanargmax")
    return F.argmax(_numbers(x, -math.inf), axis=axis, keepdims=keepdims)


@spelled
def nanargmin(x: Tensor, axis: Any = None, keepdims: bool = False) -> Tensor:
    """The position of the smallest element along `axis` that is not NaN."""
    _not_all(x, axis, "nanargmin")
    return F.argmin(_numbers(x, math.inf), axis=axis, keepdims=keepdims)


def _not_all(x: Tensor, axis: Any, op: str) -> None:
    if kind_of(x.dtype) in "fc" and not MODE.get().levels and np.isnan(host(x)).all(axis=axis).any():
        raise ArgumentError(f"{op}: a slice of x is all NaN: it has no largest or smallest element.")


@spelled
def average(x: Tensor, axis: Any = None, weights: Any = None, returned: bool = False, *, keepdims: bool = False) -> Any:
    """The sum of weights times x over the sum of weights, over `axis`; equal weights if None. weights: like x, or with
    one axis for each of `axis`. returned: with the sum of the weights."""
    x = floating(x)
    if weights is None:
        y = F.mean(x, axis=axis, keepdims=keepdims)
        return (y, F.ones_like(y) * (x.size / max(y.size, 1))) if returned else y
    w = tensor_of(weights) if hasattr(weights, "dtype") else like(weights, x)
    if w.shape != x.shape:
        axes = axes_of("average", axis, x.ndim)
        if axis is None or w.shape != tuple(x.shape[i] for i in axes):
            raise ShapeError(f"average: weights must be like x, {x.shape}, or one per place of axis: got {w.shape}.")
        order = sorted(range(len(axes)), key=lambda i: axes[i])
        w = F.permute_dims(w, tuple(order)) if len(order) > 1 else w
        w = F.reshape(w, tuple(n if i in axes else 1 for i, n in enumerate(x.shape)))
        w = F.broadcast_to(w, x.shape)
    total = F.sum(w * 1.0, axis=axis, keepdims=keepdims).astype(x.dtype)
    y = F.sum(x * w, axis=axis, keepdims=keepdims) / total
    return (y, total) if returned else y


@named(unbiased="correction")
def var_mean(x: Tensor, axis: Any = None, *, correction: float | None = 1, keepdims: bool = False) -> tuple:
    """PyTorch's pair of the variance, with its correction 1, and the mean."""
    axis, correction = (None, int(axis)) if isinstance(axis, bool) else (axis, 1 if correction is None else correction)
    variance = F.var(x, axis=axis, correction=correction, keepdims=keepdims)
    return variance, F.mean(x, axis=axis, keepdims=keepdims)


@named(unbiased="correction")
def std_mean(x: Tensor, axis: Any = None, *, correction: float | None = 1, keepdims: bool = False) -> tuple:
    """PyTorch's pair of the standard deviation, with its correction 1, and the mean."""
    variance, mean = var_mean(x, axis, correction=correction, keepdims=keepdims)
    return deviation(F, variance), mean


# ---- order statistics ------------------------------------------------------------------------------------------------

CONTINUOUS = {  # alpha, beta: the place of quantile q among n, from 0, is n q + alpha + q (1 - alpha - beta) - 1
    "linear": (1.0, 1.0), "interpolated_inverted_cdf": (0.0, 1.0), "hazen": (0.5, 0.5), "weibull": (0.0, 0.0),
    "median_unbiased": (1 / 3, 1 / 3), "normal_unbiased": (3 / 8, 3 / 8),
}  # fmt: skip
DISCRETE = ("lower", "higher", "midpoint", "nearest", "inverted_cdf", "averaged_inverted_cdf", "closest_observation")


def _places(q: Any, n: Any, method: str) -> tuple[Any, Any, Any]:
    """Between which places of n sorted elements quantile q lies, and how far from the lower to the upper (0 to 1)."""
    if method in CONTINUOUS:
        alpha, beta = CONTINUOUS[method]
        place = (n - 1) * q if method == "linear" else n * q + (alpha + q * (1 - alpha - beta)) - 1
    elif method in ("inverted_cdf", "averaged_inverted_cdf", "closest_observation"):
        place = n * q - 1 - (0.5 if method == "closest_observation" else 0)
    else:
        place = (n - 1) * q
    low = np.floor(place)
    part = place - low
    if method == "lower":
        part = np.zeros_like(part)
    elif method == "higher":
        part = (part > 0).astype(float)
    elif method == "midpoint":
        part = np.where(part > 0, 0.5, 0.0)
    elif method == "nearest":
        part = (np.round(place) > low).astype(float)  # halves to the even place
    elif method == "inverted_cdf":
        part = (part > 0).astype(float)
    elif method == "averaged_inverted_cdf":
        part = np.where(part > 0, 1.0, 0.5)
    elif method == "closest_observation":
        part = np.where((part == 0) & (low % 2 == 1), 0.0, 1.0)
    top = np.maximum(n - 1, 0)
    part = np.where(place < 0, 0.0, np.where(place >= top, 1.0, part))
    return np.clip(low, 0, top).astype(np.int64), np.clip(low + 1, 0, top).astype(np.int64), part


@named(interpolation="method")
def quantile(
    x: Tensor, q: Any, axis: Any = None, keepdims: bool = False, *, method: str = "linear", weights: Any = None
) -> Tensor:
    """The value below which the part q (0 to 1) of the elements over `axis` lies; of several q, along a new first axis.

    method, as NumPy's: linear and the other ways to place q between two elements (interpolated_inverted_cdf, hazen,
    weibull, median_unbiased, normal_unbiased), or lower, higher, midpoint, nearest, inverted_cdf,
    averaged_inverted_cdf, closest_observation. Of NaN: NaN. Hyndman, Fan 1996, The American Statistician 50.

    >>> quantile(tensor_of([1.0, 2.0, 4.0]), 0.5)
    tensor(2.)
    """
    return _quantile("quantile", x, q, axis, keepdims, method, skip=False, weights=weights)


@named(interpolation="method")
def nanquantile(x: Tensor, q: Any, axis: Any = None, keepdims: bool = False, *, method: str = "linear") -> Tensor:
    """`quantile` of the elements that are not NaN; NaN where all are."""
    return _quantile("nanquantile", x, q, axis, keepdims, method, skip=True)


@named(interpolation="method")
def percentile(
    x: Tensor, q: Any, axis: Any = None, keepdims: bool = False, *, method: str = "linear", weights: Any = None
) -> Tensor:
    """`quantile` with q from 0 to 100."""
    return _quantile("percentile", x, q, axis, keepdims, method, skip=False, scale=100, weights=weights)


@named(interpolation="method")
def nanpercentile(x: Tensor, q: Any, axis: Any = None, keepdims: bool = False, *, method: str = "linear") -> Tensor:
    """`nanquantile` with q from 0 to 100."""
    return _quantile("nanpercentile", x, q, axis, keepdims, method, skip=True, scale=100)


def _quantile(
    op: str,
    x: Tensor,
    q: Any,
    axis: Any,
    keepdims: bool,
    method: str,
    *,
    skip: bool,
    scale: int = 1,
    weights: Any = None,
) -> Tensor:
    one_of(op, "method", method, (*CONTINUOUS, *DISCRETE))
    if weights is not None and method != "inverted_cdf":
        raise ArgumentError(f"{op}: weights need method='inverted_cdf': got {method!r}.")
    asked, wanted = q, host(q)
    if wanted.size and not (np.min(wanted) >= 0 and np.max(wanted) <= scale):
        raise ArgumentError(f"{op}: q must be from 0 to {scale}: got {wanted}.")
    x, parts = floating(x), np.asarray(wanted, np.float64) / scale
    axes = axes_of(op, axis, x.ndim)
    rest = tuple(i for i in range(x.ndim) if i not in axes)
    outer = tuple(x.shape[i] for i in rest)
    rows = F.reshape(F.permute_dims(x, (*rest, *axes)), (*outer, math.prod(x.shape[i] for i in axes)))
    n = rows.shape[-1]
    if not n:
        raise ShapeError(f"{op}: of nothing there is no result: x is {x.shape}, axis={axis}.")
    flat = parts.reshape(-1)
    order = F.argsort(rows, axis=-1)
    ranked = F.take_along_axis(rows, order, axis=-1)  # NaN last
    empty: Any = F.isnan(ranked[..., -1:])
    if weights is not None:
        y = _weighted(ranked, order, rows, x, weights, rest, axes, flat, op)
    else:
        count: Any = n
        if skip:
            count = np.sum(~np.isnan(host(rows)), axis=-1, keepdims=True)
            empty = wrap(x.backend.asarray(count == 0))
        low, high, part = (np.broadcast_to(p, (*outer, flat.size)) for p in _places(flat, count, method))
        a, b = (F.take_along_axis(ranked, wrap(x.backend.asarray(np.array(i))), axis=-1) for i in (low, high))
        t: Any = wrap(x.backend.asarray(part.astype(x.dtype)))
        if isinstance(asked, Tensor) and asked.node is not None and method == "linear":  # q takes part in the gradient
            t = ravel(asked) * ((n - 1) / scale) - low.astype(x.dtype)
        same = F.logical_and(F.isinf(a), F.equal(a, b))
        step = F.where(same, 0, b) - F.where(same, 0, a)
        y = F.where(F.equal(t, 0), a, F.where(F.equal(t, 1), b, a + step * t))  # infinities meet no 0
    y = F.where(empty, math.nan, y)  # (..., Q)
    y = F.permute_dims(y, (y.ndim - 1, *range(y.ndim - 1)))
    kept = with_ones(x.shape, axis) if keepdims else outer
    return F.reshape(y, (*parts.shape, *kept))


def _weighted(ranked: Tensor, order: Tensor, rows: Tensor, x: Tensor, weights: Any, rest: Any, axes: Any, q: Any,
              op: str) -> Tensor:  # fmt: skip
    """The first element at which the running sum of the weights reaches q of the whole."""
    w = host(weights)
    if w.shape != x.shape:
        if w.shape != tuple(x.shape[i] for i in axes):
            raise ShapeError(f"{op}: weights must be like x or like its axes: got {w.shape} for {x.shape}.")
        w = np.broadcast_to(w.reshape(-1), rows.shape)
    else:
        w = np.transpose(w, (*rest, *axes)).reshape(rows.shape)
    total = np.cumsum(np.take_along_axis(w, host(order), -1), -1, dtype=np.float64)  # (..., n)
    part = total / total[..., -1:]
    places = np.stack([np.minimum((part < v).sum(-1), rows.shape[-1] - 1) for v in q], -1)
    first = np.argmax(total > 0, axis=-1)[..., None]  # elements of weight 0 before all others do not count
    return F.take_along_axis(ranked, wrap(x.backend.asarray(np.maximum(places, first))), axis=-1)


@spelled
def lower_median(x: Tensor, axis: int | None = None, keepdims: bool = False, *, skip: bool = False) -> Any:
    """PyTorch's x.median(): the lower of the two elements in the middle; with an axis, and its position."""
    if axis is None:
        return lower_median(ravel(x), 0, skip=skip)[0]
    axis = axis_of("median", axis, x)
    if not x.ndim:
        return Ranked(F.copy(x), F.argsort(x))
    n = x.shape[axis]
    if not n:
        raise ShapeError(f"median: of nothing there is no result: axis {axis} of shape {x.shape} is empty.")
    known = F.sum(F.equal(x, x), axis=axis, keepdims=True)
    k = F.maximum(known - 1, 0) // 2 if skip else F.where(known < n, known, (n - 1) // 2)
    places = F.take_along_axis(F.argsort(x, axis=axis), k, axis=axis)
    y = F.take_along_axis(x, places, axis=axis)
    return Ranked(y, places) if keepdims else Ranked(F.squeeze(y, axis), F.squeeze(places, axis))


@spelled
def lower_nanmedian(x: Tensor, axis: int | None = None, keepdims: bool = False) -> Any:
    """`lower_median` of the elements that are not NaN."""
    return lower_median(x, axis, keepdims, skip=True)


@answered(dim=lower_median)
@spelled
def median(x: Tensor, axis: Any = None, keepdims: bool = False) -> Tensor:
    """The element in the middle of the sorted ones over `axis`, or the mean of the two there. (With ``dim=``, and as
    the method ``x.median()``, PyTorch's: the lower of the two, and its position.)"""
    return _quantile("median", x, 0.5, axis, keepdims, "linear", skip=False)


@answered(dim=lower_nanmedian)
@spelled
def nanmedian(x: Tensor, axis: Any = None, keepdims: bool = False) -> Tensor:
    """`median` of the elements that are not NaN."""
    return _quantile("nanmedian", x, 0.5, axis, keepdims, "linear", skip=True)


# ---- counts ----------------------------------------------------------------------------------------------------------


@spelled
def bincount(x: Tensor, weights: Any = None, minlength: int = 0) -> Tensor:
    """y[i] = how often i occurs in a vector of integers from 0 up, or the sum of the weights there, with their
    gradient."""
    index = host(x)
    if index.ndim != 1 or index.dtype.kind not in "iub" or (index.size and index.min() < 0) or minlength < 0:
        raise ArgumentError(f"bincount: needs a vector of integers from 0 up, and minlength too: got {x}, {minlength}.")
    n = max(int(index.max(initial=-1)) + 1, minlength)
    if weights is None:
        return wrap(x.backend.asarray(np.bincount(index, minlength=n)))
    weights = tensor_of(weights)
    return _summed(weights if weights.dtype.kind == "f" else weights.astype(np.float64), index, n, "bincount")


def _summed(weights: Tensor, index: Any, n: int, op: str) -> Tensor:
    """(n,): y[i] = the sum of the weights with this index. weights, index: one shape; index -1 counts nowhere."""
    if weights.shape != index.shape:
        raise ShapeError(f"{op}: weights must be like x: got {weights.shape} for {index.shape}.")
    flat = index.reshape(-1)
    y = F.scatter(ravel(weights), weights.backend.asarray(np.where(flat < 0, n, flat)), key=(PLACE,), shape=(n + 1,))
    return y[:n]


class Histogram(NamedTuple):
    """Counts, and the edges of the bins; of several axes a tuple of them."""

    hist: Tensor
    bin_edges: Any


@named(weight="weights")
def histogram(x: Tensor, bins: Any = 10, range: Any = None, density: bool | None = None, weights: Any = None) -> Any:
    """How many elements, or what sum of weights, lie in each bin, and the edges of the bins. bins: their number, the
    name of a rule, or the edges; the last bin has both its edges. density: so that the integral is 1."""
    values = host(x)
    edges = np.histogram_bin_edges(values, host(bins) if not isinstance(bins, str) else bins, range)
    if weights is None:
        counts, _ = np.histogram(values, edges, density=density)
        return Histogram(wrap(x.backend.asarray(counts)), wrap(x.backend.asarray(edges)))
    y = _summed(floating(tensor_of(weights)), _bins(values, edges), len(edges) - 1, "histogram")
    widths = y.backend.asarray(np.diff(edges).astype(y.dtype))
    return Histogram(y / (F.sum(y) * widths) if density else y, wrap(y.backend.asarray(edges)))


def _bins(values: Any, edges: Any) -> Any:
    """The bin of each value, the last one with both its edges; -1 outside."""
    i = np.searchsorted(edges, values, side="right") - 1
    i = np.where(values == edges[-1], len(edges) - 2, i)
    return np.where((values < edges[0]) | (values > edges[-1]) | np.isnan(values), -1, i)


@named(min="low", max="high")
def histc(x: Tensor, bins: int = 100, low: float = 0, high: float = 0) -> Tensor:
    """PyTorch's counts in `bins` bins of equal width from low to high (from the smallest to the largest element if both
    are equal)."""
    values = host(x)
    if low == high and values.size:
        low, high = float(values.min()), float(values.max())
    if low == high:
        low, high = low - 1, high + 1
    if bins < 1 or low > high:
        raise ArgumentError(f"histc: needs bins > 0 and min <= max: got {bins}, {low}, {high}.")
    counts, _ = np.histogram(values[(values >= low) & (values <= high)], bins, (low, high))
    return wrap(x.backend.asarray(counts.astype(x.dtype)))


def histogram2d(
    x: Any, y: Any, bins: Any = 10, range: Any = None, density: bool | None = None, weights: Any = None
) -> tuple[Tensor, Tensor, Tensor]:
    """`histogramdd` of two vectors: counts (X, Y), and the edges for x and for y."""
    bins = host(bins).tolist() if isinstance(bins, (Tensor, np.ndarray)) and host(bins).ndim == 0 else bins
    counts, edges = histogramdd(F.stack(tensor_of(x), tensor_of(y), axis=1), bins, range, density, weights)
    return counts, edges[0], edges[1]


@named(weight="weights", input="sample")
def histogramdd(
    sample: Any, bins: Any = 10, range: Any = None, density: bool | None = None, weights: Any = None
) -> Histogram:
    """How many of the N points (N, D), or what sum of weights, lie in each box, and the edges along each axis."""
    points = host(sample)
    if isinstance(bins, (list, tuple)):
        bins = [host(b) if np.ndim(b) else b for b in bins]
    elif not isinstance(bins, int):
        bins = host(bins)
        bins = [bins] * points.shape[1] if bins.ndim == 1 and bins.size != points.shape[1] else bins
    counts, edges = np.histogramdd(points, bins, range, density=density)
    if weights is not None:
        places = [_bins(points[:, k], e) for k, e in enumerate(edges)]
        inside = np.all([p >= 0 for p in places], axis=0)
        flat = np.ravel_multi_index([np.where(inside, p, 0) for p in places], counts.shape)
        y = _summed(floating(tensor_of(weights)), np.where(inside, flat, -1), counts.size, "histogramdd")
        y = F.reshape(y, counts.shape)
        if density:
            box: Any = math.prod(np.ix_(*map(np.diff, edges)))
            y = y / (F.sum(y) * box.astype(y.dtype))
        return Histogram(y, tuple(wrap(e) for e in edges))
    return Histogram(wrap(counts), tuple(wrap(e) for e in edges))


def histogram_bin_edges(x: Any, bins: Any = 10, range: Any = None, weights: Any = None) -> Tensor:
    """The edges of the bins of `histogram`."""
    return wrap(np.histogram_bin_edges(host(x), bins if isinstance(bins, (str, int)) else host(bins), range))


# ---- covariance ------------------------------------------------------------------------------------------------------


@spelled
def cov(
    x: Tensor, y: Any = None, rowvar: bool = True, bias: bool = False, ddof: int | None = None,
    fweights: Any = None, aweights: Any = None, *, correction: int | None = None, dtype: Any = None,
) -> Tensor:  # fmt: skip
    """(K, K): the covariance of K variables, the rows of x (columns if not rowvar), from N observations each.

    Divided by N - ddof (1 unless bias); fweights: how often each observation counts; aweights: how much.
    """
    if x.ndim > 2:
        raise ShapeError(f"cov: needs at most 2 axes: got shape {x.shape}.")

    def rows(a: Tensor) -> Tensor:
        a = floating(a, dtype)
        if a.ndim < 2:
            return F.reshape(a, (1, a.size))
        return a if rowvar else a.mT

    X = rows(x)
    if y is not None:
        X = F.concat(X, rows(tensor_of(y)), axis=0)
    d = correction if correction is not None else ddof if ddof is not None else 0 if bias else 1
    n = X.shape[1]
    w = None
    for name, weights in (("fweights", fweights), ("aweights", aweights)):
        if weights is not None and bool((tensor_of(weights).detach() < 0).any()):
            raise ArgumentError(f"cov: {name} must not be negative: got {weights}.")
    if fweights is not None:
        if not np.array_equal(host(fweights), np.around(host(fweights))):
            raise DTypeError(f"cov: fweights must be whole numbers: got {fweights}. Use aweights.")
        w = like(fweights, X)
    if aweights is not None:
        a = like(aweights, X)
        w = a if w is None else w * a
    if w is not None and w.shape != (n,):
        raise ShapeError(f"cov: one weight per observation, {n}: got {w.shape}.")
    if w is None:
        mean, scale = F.mean(X, axis=1, keepdims=True), max(n - d, 0)
        centred = X - mean
        product = F.matmul(centred, F.conj(centred).mT if X.dtype.kind == "c" else centred.mT)
        y = product / scale if scale else product * math.nan
    else:
        total = F.sum(w)
        mean = F.sum(X * w, axis=1, keepdims=True) / total
        lost = d * F.sum(w * like(aweights, X)) / total if aweights is not None else d
        centred = X - mean
        product = F.matmul(centred * w, F.conj(centred).mT if X.dtype.kind == "c" else centred.mT)
        y = product / F.maximum((total - lost).astype(X.dtype), 0)
    return F.squeeze(y) if y.shape == (1, 1) else y


@spelled
def corrcoef(x: Tensor, y: Any = None, rowvar: bool = True, *, dtype: Any = None) -> Tensor:
    """(K, K): the covariances over the standard deviations of K variables, the rows of x (columns if not rowvar)."""
    c = cov(x, y, rowvar, dtype=dtype)
    if not c.ndim:
        return c / c
    scale = F.sqrt(F.diagonal(c))  # (K,)
    return F.minimum(F.maximum(c / F.expand_dims(scale, 1) / F.expand_dims(scale, 0), -1), 1)
