"""Reading and writing parts of arrays. Every reader has a writer as its adjoint, so the pairs below close under
gradients."""

import itertools

import numpy as np

from ..errors import IndexRangeError, ShapeError
from ..primitive import PRIMITIVES, Spec, axes_of, case, ints, primitive, result_dtype


class Place:
    """In a key: here the next index array goes. Index arrays are inputs, so that tracing and saving see them."""

    def __repr__(self):
        return "<array>"


PLACE = Place()


def filled(key, arrays):
    """The key with the index arrays at their places."""
    if not arrays:
        return key
    rest = iter(arrays)
    return tuple(next(rest) if k is PLACE else k for k in key)


def _taken(op, x, *arrays, key):
    axes = sum(k.ndim if k.dtype.kind == "b" else 1 for k in arrays) + sum(
        isinstance(k, slice) or _whole(k) for k in key
    )
    if axes > len(x.shape):
        raise IndexRangeError(f"{op}: too many indices: {axes} for an array of shape {tuple(x.shape)}.")
    host = [np.zeros(a.shape, a.dtype) if type(a) is not np.ndarray else a for a in arrays]
    try:
        probe = np.broadcast_to(np.zeros((), x.dtype), x.shape)[filled(key, host)]
    except IndexError as error:
        raise IndexRangeError(f"{op}: {error} (array of shape {tuple(x.shape)}).") from None
    return Spec(probe.shape, x.dtype)


def _whole(k):
    return isinstance(k, int) and not isinstance(k, bool)


@primitive(
    shape=_taken,
    view=True,
    samples=(
        case((4, 5), key=(1,)),
        case((4, 5), key=(slice(3, 0, -2), None, slice(1, None))),
        case((4, 5), ints((3,), 4), key=(PLACE,)),
        case((4, 5), ints((2, 3), 5), key=(slice(None), PLACE)),
        case((4, 5), ints((3,), 4), ints((3,), 5), key=(PLACE, PLACE)),
        case((), key=(Ellipsis, None)),
    ),
    complex_ok=True,
)
def getitem(xp, x, *arrays, key):
    """y = x[key]: slices, integers, None and ... give a view; index arrays and masks a copy. g returns to the places
    read."""
    if arrays:
        return x[filled(key, arrays)]
    y = x[key]
    if not y.shape and Ellipsis not in key:
        y = x[(*key, Ellipsis)]  # one element: NumPy gives a number, other libraries the view that is promised
    return y


@getitem.rule("x")
def _(F, g, arrays, shapes, key):
    return F.scatter(g, *arrays, key=key, shape=shapes[0])


@primitive(
    checked=True,
    shape=lambda op, v, *arrays, key, shape: Spec(tuple(shape), v.dtype),
    public=False,
    samples=(
        case((5,), key=(1,), shape=(4, 5)),
        case((2, 1, 4), key=(slice(3, 0, -2), None, slice(1, None)), shape=(4, 5)),
        case((3, 5), ints((3,), 4), key=(PLACE,), shape=(4, 5)),
        case((3,), ints((3,), 4), ints((3,), 5), key=(PLACE, PLACE), shape=(4, 5)),
    ),
    complex_ok=True,
)
def scatter(xp, v, *arrays, key, shape):
    """Zeros of `shape`, with v added at [key]; places named twice receive both. The adjoint of getitem."""
    y = xp.zeros(shape, v.dtype)
    if not arrays:
        y[key] = v  # slices never name a place twice
    elif len(arrays) == 1 and key == (PLACE,) and arrays[0].dtype.kind in "iu" and len(shape) > 1:
        add_rows(xp, y, arrays[0], v)
    else:
        xp.add.at(y, filled(key, arrays), v)
    return y


def add_rows(xp, y, index, v):
    """y[index[i]] += v[i], by sorting: rows with the same target become one sum. y: (N, ...), v: (*index.shape,
    ...)."""
    index, v = index.reshape(-1), v.reshape((index.size, *y.shape[1:]))
    if not index.size:
        return
    index = xp.where(index < 0, index + y.shape[0], index)
    order = xp.argsort(index, kind="stable")
    index = index[order]
    starts = xp.flatnonzero(xp.concatenate([xp.ones(1, bool), index[1:] != index[:-1]]))
    y[index[starts]] = xp.add.reduceat(v[order], starts, axis=0)


@scatter.rule("v")
def _(F, g, arrays, key):
    return F.getitem(g, *arrays, key=key)


@primitive(
    checked=True,
    shape=lambda op, x, v, index, *, largest: Spec(tuple(x.shape), result_dtype("same", x, v)),
    public=False,
    kind="same",
    samples=(case((3,), (5,), ints((5,), 3), largest=True), case((4,), (3,), ints((3,), 4), largest=False)),
)
def group_extreme(xp, x, v, index, *, largest):
    """y[i] = the largest (or smallest) of x[i] and all v[j] with index[j] = i. x: (N,), v and index: (M,), index from 0
    to N - 1. Those of a group that attain it share its gradient equally."""
    y = x.astype(xp.result_type(x.dtype, v.dtype))  # a copy
    (xp.maximum if largest else xp.minimum).at(y, index, v)
    return y


@group_extreme.rule("x", "v")
def _(F, g, x, v, y, index):
    mine, theirs = F.equal(x, y), F.equal(v, y[index])
    count = F.scatter(F.astype(theirs, dtype=g.dtype), index, key=(PLACE,), shape=tuple(x.shape))
    share = g / F.maximum(count + F.astype(mine, dtype=g.dtype), 1)
    return F.where(mine, share, 0), F.where(theirs, share[index], 0)


@primitive(
    shape=lambda op, x, value, *arrays, key: Spec(tuple(x.shape), x.dtype),
    public=False,
    samples=(
        case((4, 5), (5,), key=(1,)),
        case((4, 5), (2, 4), key=(slice(0, 2), slice(1, None))),
        case((4,), (), key=(slice(None),)),
    ),
    complex_ok=True,
)
def setitem(xp, x, value, *arrays, key):
    """x with value (broadcast) at [key]. x receives g elsewhere, value receives g there."""
    y = xp.array(x)
    y[filled(key, arrays)] = value
    return y


@setitem.rule("x")
def _(F, g, arrays, key):
    return F.setitem(g, 0, *arrays, key=key)


@setitem.rule("value")
def _(F, g, arrays, key):
    return F.getitem(g, *arrays, key=key)


@primitive(
    shape=lambda op, x, value, *, chain: Spec(tuple(x.shape), x.dtype),
    public=False,
    samples=(case((3, 4), (4,), chain=(("getitem", {"key": (1,)}),)),),
    complex_ok=True,
)
def view_set(xp, x, value, *, chain):
    """x after a view of it was overwritten by value; chain: the view as ((primitive, keywords), ...) from x."""
    places = xp.arange(x.size).reshape(x.shape)  # the chain moves positions as it moves elements
    for name, params in chain:
        places = PRIMITIVES[name].forward(xp, places, **params)
    y = xp.array(x).reshape(-1)
    y[places] = value
    return y.reshape(x.shape)


@view_set.rule("x")
def _(F, g, chain):
    return F.view_set(g, 0, chain=chain)


@view_set.rule("value")
def _(F, g, chain):
    for name, params in chain:
        g = getattr(F, name)(g, **params)
    return g


def _along(op, x, indices, *, axis=-1):
    (axis,) = axes_of(op, axis, len(x.shape))
    if len(indices.shape) != len(x.shape):
        raise ShapeError(
            f"{op}: indices need as many axes as x: got {tuple(indices.shape)} for {tuple(x.shape)}. Use expand_dims."
        )
    lengths = zip(x.shape, indices.shape)
    if any(a != b and 1 not in (a, b) for i, (a, b) in enumerate(lengths) if i != axis):
        raise ShapeError(
            f"{op}: lengths other than axis {axis} must agree: got {tuple(indices.shape)} for {tuple(x.shape)}."
        )
    return Spec(
        tuple(
            b if i == axis else max(a, b) if 0 not in (a, b) else 0
            for i, (a, b) in enumerate(zip(x.shape, indices.shape))
        ),
        x.dtype,
    )


@primitive(
    shape=_along,
    samples=(case((3, 4), ints((3, 2), 4), axis=1), case((3, 4), ints((1, 4), 3), axis=0)),
    complex_ok=True,
)
def take_along_axis(xp, x, indices, *, axis=-1):
    """y[..., i, ...] = x[..., indices[..., i, ...], ...] along `axis`: one index per element. indices: as many axes
    as x."""
    return xp.take_along_axis(x, indices, axis)


@take_along_axis.rule("x")
def _(F, g, indices, shapes, axis):
    indices = indices if indices.shape == g.shape else F.broadcast_to(indices, shape=g.shape)
    return F.add_along_axis(g, indices, axis=axis, size=shapes.x[axis])


@primitive(
    shape=lambda op, v, indices, *, axis, size: Spec(
        tuple(size if i == axis % len(v.shape) else n for i, n in enumerate(v.shape)), v.dtype
    ),
    samples=(case((3, 2), ints((3, 2), 4), axis=1, size=4), case((2, 4), ints((2, 4), 3), axis=0, size=3)),
    complex_ok=True,
)  # fmt: skip
def add_along_axis(xp, v, indices, *, axis, size):
    """Zeros with length `size` along `axis`, with v added at the indices. The adjoint of take_along_axis."""
    v, indices = xp.moveaxis(v, axis, -1), xp.moveaxis(indices, axis, -1)  # (..., n)
    rows = 1
    for n in v.shape[:-1]:
        rows *= n
    y = xp.zeros(rows * size, v.dtype)
    indices = xp.where(indices < 0, indices + size, indices)
    flat = indices.reshape(rows, indices.shape[-1]) + xp.arange(rows)[:, None] * size  # (rows, n)
    xp.add.at(y, flat.reshape(-1), v.reshape(-1))
    return xp.moveaxis(y.reshape((*v.shape[:-1], size)), -1, axis)


@add_along_axis.rule("v")
def _(F, g, indices, axis):
    return F.take_along_axis(g, indices, axis=axis)


def _windowed(op, x, *, size, stride, dilation):
    spatial = x.shape[-len(size) :] if len(x.shape) >= len(size) else ()
    reach = tuple((k - 1) * d + 1 for k, d in zip(size, dilation))
    if len(spatial) < len(size) or any(n < r for n, r in zip(spatial, reach)):
        raise ShapeError(
            f"{op}: the window must fit: window {tuple(size)} with dilation {tuple(dilation)} reaches over "
            f"{reach}, x (padded) is {tuple(x.shape)}."
        )
    outs = tuple((n - r) // s + 1 for n, r, s in zip(spatial, reach, stride))
    return Spec((*x.shape[: -len(size)], *outs, *size), x.dtype)


@primitive(
    shape=_windowed,
    view=True,
    samples=(
        case((2, 5), size=(3,), stride=(2,), dilation=(1,)),
        case((2, 5, 6), size=(2, 3), stride=(1, 2), dilation=(2, 1)),
    ),
    complex_ok=True,
)
def windows(xp, x, *, size, stride, dilation):
    """All windows over the last len(size) axes: (..., H, W) to (..., OH, OW, KH, KW), OH = (H - (KH-1) dilation - 1)
    // stride + 1. A read-only view."""
    n = len(size)
    reach = tuple((k - 1) * d + 1 for k, d in zip(size, dilation))
    y = xp.lib.stride_tricks.sliding_window_view(x, reach, axis=tuple(range(x.ndim - n, x.ndim)))
    return y[(..., *(slice(None, None, s) for s in stride), *(slice(None, None, d) for d in dilation))]


@windows.rule("x")
def _(F, g, shapes, size, stride, dilation):
    return F.fold_windows(g, shape=shapes.x, size=size, stride=stride, dilation=dilation)


@primitive(
    shape=lambda op, v, *, shape, size, stride, dilation: Spec(tuple(shape), v.dtype),
    samples=(
        case((2, 2, 3), shape=(2, 5), size=(3,), stride=(2,), dilation=(1,)),
        case((2, 3, 2, 2, 3), shape=(2, 5, 6), size=(2, 3), stride=(1, 2), dilation=(2, 1)),
    ),
    complex_ok=True,
)
def fold_windows(xp, v, *, shape, size, stride, dilation):
    """The windows added up where they overlap: (..., OH, OW, KH, KW) to `shape` = (..., H, W). The adjoint of
    windows."""
    n = len(size)
    y = xp.zeros(shape, v.dtype)
    outs = v.shape[-2 * n : -n]
    for k in itertools.product(*(range(length) for length in size)):
        places = tuple(slice(i * d, i * d + (o - 1) * s + 1, s) for i, d, o, s in zip(k, dilation, outs, stride))
        y[(..., *places)] += v[(..., *k)]
    return y


@fold_windows.rule("v")
def _(F, g, size, stride, dilation):
    return F.windows(g, size=size, stride=stride, dilation=dilation)
