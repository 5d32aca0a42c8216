"""Running products, extremes and log-sums. (The running sum is in reduce.py.)

Their gradients are running sums with weights, s[i] = b[i] + a[i] s[i + 1], which `from_the_end` computes in log2(n)
steps of whole arrays. Nothing is divided, so they are right where elements are zero, to any order.
"""

import numpy as np

from ..errors import ShapeError
from ..primitive import Spec, axes_of, case, fused, primitive, result_dtype, same_as
from .elementwise import log_of_sum
from .sorting import INDEX, positions

ALONG = (case((3, 4), axis=0), case((5,), axis=-1), case((2, 1, 3), axis=1))


def along(axis, part):
    """The key for a slice of one axis."""
    return (slice(None),) * axis + (part,)


def shifted(F, x, axis, by, value):
    """x moved by `by` places towards the front of `axis`, or the back if negative, with `value` coming in."""
    n, widths = x.shape[axis], [(0, 0)] * len(x.shape)
    widths[axis] = (0, by) if by > 0 else (-by, 0)
    return F.pad(x[along(axis, slice(by, None) if by > 0 else slice(None, n + by))], widths=tuple(widths), value=value)


def from_the_end(F, a, b, axis):
    """s[i] = b[i] + a[i] s[i + 1] along `axis`, from s[n] = 0. a, b: the same shape.

    Two steps in one are such a step again: s[i] = (b[i] + a[i] b[i+1]) + a[i] a[i+1] s[i+2]; so steps double.
    """
    step, n = 1, b.shape[axis]
    while step < n:
        b = b + a * shifted(F, b, axis, step, 0)
        step, doubled = 2 * step, step
        if step < n:
            a = a * shifted(F, a, axis, doubled, 0)
    return b


@primitive(checked=True, shape=same_as("x"), samples=ALONG, public=False, complex_ok=True)
def cumprod(xp, x, *, axis=-1):
    """y[i] = x[0] ... x[i] along `axis`. x: any shape; y the same. The gradient is right where elements are 0."""
    return xp.reshape(xp.cumprod(x, axis=axis), x.shape)


@cumprod.rule("x")
def _(F, g, x, y, axis):
    if not x.shape or not x.shape[axis]:
        return g
    return _product_gradient(F, g, x, y, axis) if x.dtype.kind == "c" else F.cumprod_backward(g, x, y, axis=axis)


def _product_gradient(F, g, x, y, axis):
    # dL/dx[j] = sum over i >= j of g[i] prod(x[k], k <= i, k != j) = (x[0] ... x[j-1]) s[j],
    # s[j] = g[j] + x[j+1] s[j+1]
    axis %= len(x.shape)
    return shifted(F, y, axis, -1, 1) * from_the_end(F, shifted(F, x, axis, 1, 0), g, axis)


def _of_one_shape(op, dy, x, products, *, axis):
    if not dy.shape == x.shape == products.shape:
        came = " and ".join(str(tuple(s.shape)) for s in (dy, x, products))
        raise ShapeError(f"{op}: all shapes must agree: got {came}.")
    axes_of(op, axis, len(x.shape))
    return Spec(tuple(x.shape), result_dtype("same", dy, x, products))


@fused(
    shape=_of_one_shape,
    public=False,
    samples=(case((3, 4), (3, 4), (3, 4), axis=0), case((5,), (5,), (5,), axis=-1), case(*[(2, 1, 3)] * 3, axis=1)),
)
def cumprod_backward(F, dy, x, products, *, axis):
    """dx[j] = products[j-1] (dy[j] + x[j+1] dy[j+1] + x[j+1] x[j+2] dy[j+2] + ...): the gradient of the running
    products of x along `axis`. dy, x, products, dx: one shape. Nothing is divided."""
    return _product_gradient(F, dy, x, products, axis)


@primitive(checked=True, shape=same_as("x"), kind="float", samples=ALONG, public=False, complex_ok=True)
def logcumsumexp(xp, x, *, axis=-1):
    """y[i] = ln(e**x[0] + ... + e**x[i]) along `axis`, without overflow. x: any shape; y the same."""
    if not x.ndim or x.dtype.kind != "c":
        return xp.logaddexp.accumulate(x, axis=axis) if x.ndim else xp.array(x)
    y, step = xp.moveaxis(xp.array(x), axis, 0), 1
    while step < len(y):  # a running sum by doubling: after it y[i] holds 2 step terms
        y = xp.concatenate([y[:step], log_of_sum(xp, y[step:], y[:-step])])
        step *= 2
    return xp.moveaxis(y, 0, axis)


@logcumsumexp.rule("x")
def _(F, g, x, y, axis):
    # dL/dx[j] = sum over i >= j of g[i] e**(x[j] - y[i]) = e**(x[j] - y[j]) s[j],
    # s[j] = g[j] + e**(y[j] - y[j+1]) s[j+1]: y never falls, so no power overflows
    if not x.shape or not x.shape[axis]:
        return g
    axis %= len(x.shape)
    empty = F.equal(y, -np.inf)  # -inf - -inf would be NaN
    safe = F.where(empty, 0, y)
    fall = safe - shifted(F, safe, axis, 1, 0)
    ratio = F.where(empty, 0, F.exp(fall if x.dtype.kind == "c" else F.minimum(fall, 0)))
    return F.where(empty, 0, F.exp(F.where(empty, 0, x - safe))) * from_the_end(F, ratio, g, axis)


@primitive(
    checked=True,
    shape=positions,
    kind="index",
    no_gradient=INDEX,
    public=False,
    samples=(*ALONG, case((3, 4), axis=1, largest=False)),
)
def argcummax(xp, x, *, axis=-1, largest=True):
    """The position of the largest (or smallest) element so far along `axis`, the last of equal ones; of the last NaN
    once there is one. int64, shaped like x."""
    if not x.ndim:
        return xp.zeros((), np.int64)
    extreme = (xp.maximum if largest else xp.minimum).accumulate(x, axis=axis)
    places = xp.arange(x.shape[axis]).reshape([-1 if i == axis % x.ndim else 1 for i in range(x.ndim)])
    attained = (x == extreme) | (x != x)
    return xp.maximum.accumulate(xp.where(attained, places, 0), axis=axis)
