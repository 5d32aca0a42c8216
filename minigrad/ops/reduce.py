"""Reductions over axes, and running sums."""

from ..errors import ShapeError
from ..primitive import Spec, axes_of, case, fused, primitive, reduced, result_dtype, same_as, with_ones

CASES = (
    case((3, 4)),
    case((3, 4), axis=1),
    case((2, 3, 2), axis=(0, -1), keepdims=True),
    case((), axis=()),
    case((1, 3), axis=0),
)


def count(shape, axis):
    """How many elements each result is made of."""
    n = 1
    for i in axes_of("count", axis, len(shape)):
        n *= shape[i]
    return n


def spread(F, g, shape, axis):
    """g, one value per reduced group, repeated for every element of the group."""
    if axis is not None:
        g = F.reshape(g, shape=with_ones(shape, axis))
    return F.broadcast_to(g, shape=shape)


@primitive(shape=reduced, samples=CASES, complex_ok=True)
def sum(xp, x, *, axis=None, keepdims=False):
    """y = the sum over `axis` (an int, several, or None for all). x: any shape. Each summed element receives g."""
    return xp.sum(x, axis=axis, keepdims=keepdims)


@sum.rule("x")
def _(F, g, shapes, axis):
    return spread(F, g, shapes.x, axis)


@primitive(shape=reduced, kind="float", samples=CASES, complex_ok=True)
def mean(xp, x, *, axis=None, keepdims=False):
    """y = sum(x) / n over `axis`. x: any shape. Each of the n elements receives g / n. Of nothing: NaN."""
    if x.dtype.kind not in "fc" or x.dtype.itemsize < 4 or 0 in x.shape:  # halves are added in a wider type
        return xp.mean(x, axis=axis, keepdims=keepdims)
    return xp.sum(x, axis=axis, keepdims=keepdims) / count(x.shape, axis)


@mean.rule("x")
def _(F, g, shapes, axis):
    return spread(F, g / count(shapes.x, axis), shapes.x, axis)


def squared(F, x):
    """|x|**2, real."""
    return F.square(F.real(x)) + F.square(F.imag(x)) if x.dtype.kind == "c" else F.square(x)


@fused(shape=reduced, kind="real float", samples=(*CASES[:3], case((3, 4), axis=1, correction=1)))
def var(F, x, *, axis=None, correction=None, keepdims=False):
    """y = sum(|x - mean(x)|**2) / (n - correction) over `axis`. correction: 0 for the population (the default), 1 for a
    sample of it (the default where the axis is spelled dim=, as PyTorch spells it)."""
    centred = x - F.mean(x, axis=axis, keepdims=True)  # (..., 1, ...) subtracted from each
    return F.sum(squared(F, centred), axis=axis, keepdims=keepdims) / _degrees(x.shape, axis, correction)


@var.rule("x")
def _(F, g, x, axis, correction):
    g = F.reshape(g, shape=with_ones(x.shape, axis)) * (2 / _degrees(x.shape, axis, correction))
    centred = x - F.mean(x, axis=axis, keepdims=True)
    return g * (F.conj(centred) if x.dtype.kind == "c" else centred)


def _degrees(shape, axis, correction):
    n = count(shape, axis) - (correction or 0)
    return n if n > 0 else float("nan")  # the variance of too few elements is NaN


@fused(shape=reduced, kind="real float", samples=(*CASES[:3], case((3, 4), axis=1, correction=1)))
def std(F, x, *, axis=None, correction=None, keepdims=False):
    """y = sqrt(var(x)) over `axis`, with the same corrections. The gradient where all elements are equal is 0."""
    return deviation(F, F.var(x, axis=axis, correction=correction, keepdims=keepdims))


def deviation(F, variance):
    """sqrt(variance), whose gradient is 0 at 0, as PyTorch's: not infinity times 0."""
    alike = F.equal(variance, 0)
    return F.where(alike, 0, F.sqrt(F.where(alike, 1, variance)))


@fused(shape=reduced, samples=(*CASES, case((5,)), case((0, 2), axis=0)), complex_ok=True)
def prod(F, x, *, axis=None, keepdims=False):
    """y = the product over `axis`. Multiplies halves, so that the gradient of any order is right where elements are
    0."""
    axes = axes_of("prod", axis, len(x.shape))
    shape = with_ones(x.shape, axis) if keepdims else tuple(n for i, n in enumerate(x.shape) if i not in axes)
    if x.dtype.kind in "biu":
        x = F.astype(x, dtype="uint64" if x.dtype.kind == "u" else "int64")  # as NumPy: no overflow at 255
    rest = tuple(i for i in range(len(x.shape)) if i not in axes)
    n = count(x.shape, axis)
    x = F.reshape(F.permute_dims(x, axes=(*rest, *axes)), shape=(*(x.shape[i] for i in rest), n))  # (..., n)
    if n == 0:
        return F.reshape(F.sum(x, axis=-1), shape=shape) + 1  # the sum of nothing is 0
    while n > 1:
        half, odd = divmod(n, 2)
        y = x[..., :half] * x[..., half : 2 * half]
        x, n = (F.concat(y, x[..., 2 * half :], axis=-1) if odd else y), half + odd
    return F.reshape(x, shape=shape)


for reduction in (sum, mean, var, std, prod):
    reduction.casts = True


def nonempty(op, x, *, axis=None, keepdims=False):
    """As `reduced`, where nothing has no result."""
    spec = reduced(op, x, axis=axis, keepdims=keepdims)
    if not count(x.shape, axis) and 0 not in spec.shape:
        raise ShapeError(f"{op}: of nothing there is no result: x is {tuple(x.shape)}, axis={axis}. Skip empty arrays.")
    return spec


def extreme_rule(F, g, x, y, axis):
    """The elements that attain the extreme share g equally."""
    return F.extreme_backward(g, x, y, axis=axis)


@fused(
    shape=lambda op, dy, x, extreme, *, axis=None: Spec(tuple(x.shape), result_dtype("same", dy, x)),
    public=False,
    samples=(case((), (3, 4), ()), case((3,), (3, 4), (3,), axis=1), case((3, 1), (2, 3, 2), (3, 1), axis=(0, -1))),
)
def extreme_backward(F, dy, x, extreme, *, axis=None):
    """dx = dy / n for the n elements that attain the extreme, the largest or smallest over `axis`, and 0 for the rest;
    all NaN attain a NaN. dy, extreme: one number for each reduced group; x, dx: any shape."""
    shape = with_ones(x.shape, axis)
    attained = F.logical_or(F.equal(x, F.reshape(extreme, shape=shape)), F.isnan(x))
    count = F.astype(F.sum(attained, axis=axis, keepdims=True), dtype=dy.dtype)
    return F.where(attained, F.reshape(dy, shape=shape) / F.maximum(count, 1), 0)


@primitive(shape=nonempty, samples=CASES)
def max(xp, x, *, axis=None, keepdims=False):
    """y = the largest element over `axis`, NaN if one is. Equal largest elements share g."""
    return xp.max(x, axis=axis, keepdims=keepdims)


@primitive(shape=nonempty, samples=CASES)
def min(xp, x, *, axis=None, keepdims=False):
    """y = the smallest element over `axis`, NaN if one is. Equal smallest elements share g."""
    return xp.min(x, axis=axis, keepdims=keepdims)


max.rule("x")(extreme_rule)
min.rule("x")(extreme_rule)


@fused(shape=reduced, kind="float", samples=CASES)
def logsumexp(F, x, *, axis=None, keepdims=False):
    """y = ln(sum(e**x)) over `axis`, without overflow. The gradient is g softmax(x)."""
    axis = axes = axes_of("logsumexp", axis, len(x.shape))
    if not x.shape or 0 not in x.shape:
        top = F.max(F.real(x) if x.dtype.kind == "c" else x, axis=axis, keepdims=True)
        top = F.where(F.isfinite(top), top, 0)  # shift by the max: exp overflows above ~88 in float32
    else:
        top = F.sum(x, axis=axis, keepdims=True)  # of nothing: 0
    y = F.log(F.sum(F.exp(x - top), axis=axis, keepdims=True)) + top
    return y if keepdims else F.reshape(y, shape=tuple(n for i, n in enumerate(x.shape) if i not in axes))


@logsumexp.rule("x")
def _(F, g, x, y, axis):
    y = F.reshape(y, shape=with_ones(x.shape, axis))
    y = F.where(F.isfinite(y), y, 0)  # -inf - -inf would be NaN
    return F.reshape(g, shape=with_ones(x.shape, axis)) * F.exp(x - y)


INDEX = "its values are positions"
TRUTH = "its values are True or False"


@primitive(shape=nonempty, kind="index", no_gradient=INDEX, samples=(case((3, 4)), case((3, 4), axis=1)))
def argmax(xp, x, *, axis=None, keepdims=False):
    """The position of the first largest element along `axis`, in the flattened array if None. int64."""
    return xp.argmax(x, axis=axis, keepdims=keepdims)


@primitive(shape=nonempty, kind="index", no_gradient=INDEX, samples=(case((3, 4)), case((3, 4), axis=1)))
def argmin(xp, x, *, axis=None, keepdims=False):
    """The position of the first smallest element along `axis`, in the flattened array if None. int64."""
    return xp.argmin(x, axis=axis, keepdims=keepdims)


@primitive(shape=reduced, kind="bool", no_gradient=TRUTH, samples=(case((3, 4)), case((3, 4), axis=1)))
def any(xp, x, *, axis=None, keepdims=False):
    """True where any element over `axis` is not zero."""
    return xp.any(x, axis=axis, keepdims=keepdims)


@primitive(shape=reduced, kind="bool", no_gradient=TRUTH, samples=(case((3, 4)), case((3, 4), axis=1)))
def all(xp, x, *, axis=None, keepdims=False):
    """True where all elements over `axis` are not zero."""
    return xp.all(x, axis=axis, keepdims=keepdims)


@primitive(shape=reduced, kind="index", no_gradient="it counts", samples=(case((3, 4)), case((3, 4), axis=1)))
def count_nonzero(xp, x, *, axis=None, keepdims=False):
    """How many elements over `axis` are not zero. int64."""
    return xp.count_nonzero(x, axis=axis, keepdims=keepdims)


@primitive(
    checked=True,
    shape=same_as("x"),
    public=False,
    samples=(case((3, 4), axis=0), case((5,), axis=-1)),
    complex_ok=True,
)
def cumsum(xp, x, *, axis=-1):
    """y[i] = x[0] + ... + x[i] along `axis`. x: any shape; y the same."""
    return xp.reshape(xp.cumsum(x, axis=axis), x.shape)


@cumsum.rule("x")
def _(F, g, axis):
    return F.flip(F.cumsum(F.flip(g, axis=axis), axis=axis), axis=axis)
