"""Primitives that move, repeat or convert elements but compute nothing with them."""

from functools import lru_cache

import numpy as np

from ..errors import AxisError, DTypeError, ShapeError
from ..primitive import MANY, Spec, axes_of, broadcast_shapes, case, primitive, result_dtype, same_as


def size_of(shape):
    n = 1
    for length in shape:
        n *= length
    return n


def _reshaped(op, x, *, shape):
    shape = tuple(shape) if isinstance(shape, (tuple, list)) else (shape,)
    size, known = size_of(x.shape), size_of(n for n in shape if n != -1)
    if shape.count(-1) > 1:
        raise ShapeError(f"{op}: at most one length may be -1 (to be inferred): got {shape}.")
    if -1 in shape and known and size % known == 0:
        shape = tuple(size // known if n == -1 else n for n in shape)
    if size_of(shape) != size or min(shape, default=0) < 0:
        raise ShapeError(
            f"{op}: the number of elements must stay: {tuple(x.shape)} has {size}, {shape} asks for "
            f"{known if -1 in shape else size_of(shape)}. Use -1 for one length to have it inferred."
        )
    return Spec(shape, x.dtype)


@primitive(
    public=False,
    shape=_reshaped,
    view=True,
    samples=(case((3, 4), shape=(2, 6)), case((3, 4), shape=(-1,)), case((), shape=(1, 1))),
    complex_ok=True,
)
def reshape(xp, x, *, shape):
    """The same elements in row-major order, in another shape; one length may be -1. A view where memory allows."""
    return x.reshape(shape)


@reshape.rule("x")
def _(F, g, shapes):
    return F.reshape(g, shape=shapes.x)


def _permuted(op, x, *, axes=None):
    ndim = len(x.shape)
    order = tuple(range(ndim))[::-1] if axes is None else axes_of(op, tuple(axes), ndim)
    if len(order) != ndim:
        raise AxisError(f"{op}: every axis must be named once: got axes={axes} for shape {tuple(x.shape)}.")
    return Spec(tuple(x.shape[i] for i in order), x.dtype)


@primitive(shape=_permuted, view=True, samples=(case((2, 3, 4), axes=(2, 0, 1)), case((2, 3))), complex_ok=True)
def permute_dims(xp, x, *, axes=None):
    """Axis i of y is axis axes[i] of x; None reverses them. A view."""
    return x.transpose(axes)


@permute_dims.rule("x")
def _(F, g, axes):
    if axes is None:
        return F.permute_dims(g)
    inverse = [0] * len(axes)
    for i, axis in enumerate(axes):
        inverse[axis] = i
    return F.permute_dims(g, axes=tuple(inverse))


def _transposed(op, x):
    if len(x.shape) < 2:
        raise ShapeError(f"{op}: needs at least 2 axes: got shape {tuple(x.shape)}. Use x[:, None] for a column.")
    return Spec((*x.shape[:-2], x.shape[-1], x.shape[-2]), x.dtype)


@primitive(shape=_transposed, view=True, samples=(case((2, 3)), case((2, 3, 4))), complex_ok=True)
def matrix_transpose(xp, x):
    """The last two axes swapped: (..., M, N) to (..., N, M). A view."""
    return x.swapaxes(-1, -2)


@matrix_transpose.rule("x")
def _(F, g):
    return F.matrix_transpose(g)


def _expanded(op, x, *, axis):
    axis = axis if isinstance(axis, (tuple, list)) else (axis,)
    ndim = len(x.shape) + len(axis)
    places, rest = axes_of(op, tuple(axis), ndim), iter(x.shape)
    return Spec(tuple(1 if i in places else next(rest) for i in range(ndim)), x.dtype)


@primitive(shape=_expanded, view=True, samples=(case((3, 4), axis=1), case((3,), axis=(0, -1))), complex_ok=True)
def expand_dims(xp, x, *, axis):
    """New axes of length 1 at the positions `axis` of the result. A view."""
    ndim = x.ndim + (len(axis) if isinstance(axis, (tuple, list)) else 1)
    if axis is None:
        raise AxisError("expand_dims: axis says where the new axis goes: got None. Give an int, -1 for the end.")
    places = axes_of("expand_dims", axis, ndim)
    return x[tuple([None if i in places else slice(None) for i in range(ndim)])]


@expand_dims.rule("x")
def _(F, g, shapes):
    return F.reshape(g, shape=shapes.x)


def _squeezed(op, x, *, axis=None):
    axes = [i for i, n in enumerate(x.shape) if n == 1] if axis is None else axes_of(op, axis, len(x.shape))
    if wrong := [i for i in axes if x.shape[i] != 1]:
        raise ShapeError(
            f"{op}: only axes of length 1 can go: axis {wrong[0]} of shape {tuple(x.shape)} has {x.shape[wrong[0]]}."
        )
    return Spec(tuple(n for i, n in enumerate(x.shape) if i not in axes), x.dtype)


@primitive(shape=_squeezed, view=True, samples=(case((3, 1, 4), axis=1), case((1, 3, 1))), complex_ok=True)
def squeeze(xp, x, *, axis=None):
    """Without the axes of length 1 named (all of them if None). A view."""
    return xp.squeeze(x, axis=axis)


@squeeze.rule("x")
def _(F, g, shapes):
    return F.reshape(g, shape=shapes.x)


def _broadcast_to(op, x, *, shape):
    if broadcast_shapes(op, tuple(x.shape), tuple(shape)) != tuple(shape):
        raise ShapeError(f"{op}: only lengths of 1 can grow: got {tuple(x.shape)} to {tuple(shape)}.")
    return Spec(tuple(shape), x.dtype)


@primitive(
    shape=_broadcast_to,
    view=True,
    samples=(case((3, 1), shape=(2, 3, 4)), case((), shape=(2,)), case((2,), shape=(2,))),
    complex_ok=True,
)
def broadcast_to(xp, x, *, shape):
    """x repeated along its axes of length 1 and new axes at the left. A read-only view. The gradients of the copies
    add up."""
    return xp.broadcast_to(x, shape)


@broadcast_to.rule("x")
def _(g):
    return g  # the walk sums it to the shape of x


@lru_cache(maxsize=1024)
def _repeated_axes(repeated, shape):
    """The axes along which broadcasting `shape` to `repeated` repeats it; None if it does not broadcast to that."""
    extra = len(repeated) - len(shape)
    if extra < 0 or any(n not in (1, m) for n, m in zip(shape, repeated[extra:])):
        return None
    return (*range(extra), *(i + extra for i, n in enumerate(shape) if n != repeated[i + extra]))


def _sum_to(op, x, *, shape):
    if _repeated_axes(x.shape, tuple(shape)) is None:
        raise ShapeError(f"{op}: {tuple(shape)} must broadcast to {tuple(x.shape)}.")
    return Spec(tuple(shape), x.dtype)


@primitive(
    shape=_sum_to,
    samples=(case((2, 3, 4), shape=(3, 1)), case((2, 3), shape=()), case((2,), shape=(2,))),
    complex_ok=True,
)
def sum_to(xp, x, *, shape):
    """The adjoint of broadcasting: x summed over the axes along which `shape` would have been repeated."""
    axes = _repeated_axes(x.shape, tuple(shape))
    if not axes:
        return x if axes == () else _sum_to("sum_to", x, shape=shape)  # which raises
    y = xp.sum(x, axis=axes)
    return y if y.shape == shape else y.reshape(shape)


@sum_to.rule("x")
def _(F, g, shapes):
    return F.broadcast_to(g, shape=shapes.x)


def _concatenated(op, *xs, axis=0):
    if not xs:
        raise ShapeError(f"{op}: needs at least one array: got none.")
    shape = tuple(xs[0].shape)
    if not shape:
        raise ShapeError(f"{op}: arrays must have at least one axis: got 0-d. Use stack.")
    (axis,) = axes_of(op, axis, len(shape))
    for x in xs[1:]:
        if len(x.shape) != len(shape) or any(a != b for i, (a, b) in enumerate(zip(x.shape, shape)) if i != axis):
            raise ShapeError(
                f"{op}: all lengths but axis {axis} must agree: got {' and '.join(str(tuple(x.shape)) for x in xs)}."
            )
    length = sum(x.shape[axis] for x in xs)
    return Spec((*shape[:axis], length, *shape[axis + 1 :]), result_dtype("same", *xs))


@primitive(
    public=False,
    shape=_concatenated,
    kind="same",
    samples=(case((2, 3), (4, 3)), case((2, 3), (2, 1), (2, 0), axis=-1)),
    complex_ok=True,
)
def concat(xp, *xs, axis=0):
    """The arrays one after the other along an existing `axis`; the other lengths must agree. Each receives its part
    of g."""
    return xp.concatenate(xs, axis=axis)


@concat.rule("xs")
def _(g, shapes, i, axis):
    start = sum(s[axis] for s in shapes[:i])
    key = [slice(None)] * len(shapes[i])
    key[axis] = slice(start, start + shapes[i][axis])
    return g[tuple(key)]


def _stacked(op, *xs, axis=0):
    if not xs:
        raise ShapeError(f"{op}: needs at least one array: got none.")
    if len({tuple(x.shape) for x in xs}) > 1:
        raise ShapeError(f"{op}: all shapes must agree: got {' and '.join(str(tuple(x.shape)) for x in xs)}.")
    shape = tuple(xs[0].shape)
    (axis,) = axes_of(op, axis, len(shape) + 1)
    return Spec((*shape[:axis], len(xs), *shape[axis:]), result_dtype("same", *xs))


@primitive(
    public=False,
    shape=_stacked,
    kind="same",
    samples=(case((2, 3), (2, 3)), case((2,), (2,), (2,), axis=-1), case((), ())),
    complex_ok=True,
)
def stack(xp, *xs, axis=0):
    """The arrays side by side along a new `axis`; all shapes must agree. Each receives its slice of g."""
    return xp.stack(xs, axis=axis)


@stack.rule("xs")
def _(g, i, axis):
    key = [slice(None)] * len(g.shape)
    key[axis] = i
    return g[tuple(key)]


def _split(op, x, *, sizes, axis):
    (axis,) = axes_of(op, axis, len(x.shape))
    if sum(sizes) != x.shape[axis] or min(sizes, default=0) < 0:
        raise ShapeError(
            f"{op}: the sizes must add up to axis {axis}: {list(sizes)} is {sum(sizes)}, shape {tuple(x.shape)} has "
            f"{x.shape[axis]}."
        )
    return Spec((*x.shape[:axis], sizes[0] if sizes else 0, *x.shape[axis + 1 :]), x.dtype)


@primitive(
    checked=True,
    shape=_split,
    outputs=MANY,
    public=False,
    samples=(
        case((4, 3), sizes=(1, 3), axis=0),
        case((2, 5), sizes=(2, 0, 3), axis=-1),
        case((3,), sizes=(3,), axis=0),
    ),
    complex_ok=True,
)
def split(xp, x, *, sizes, axis):
    """x as consecutive pieces of these lengths along `axis`: views. Their gradients are joined once."""
    axis, ys, start = axis % x.ndim, [], 0
    for size in sizes:
        ys.append(x[(slice(None),) * axis + (slice(start, start + size),)])
        start += size
    return tuple(ys)


@split.rule("x")
def _(F, g, axis):
    return F.concat(*g, axis=axis)


def _unstacked(op, x, *, axis):
    if not x.shape:
        raise ShapeError(f"{op}: needs at least 1 axis: got a 0-d array.")
    (axis,) = axes_of(op, axis, len(x.shape))
    return Spec((*x.shape[:axis], *x.shape[axis + 1 :]), x.dtype)


@primitive(
    checked=True,
    shape=_unstacked,
    outputs=MANY,
    public=False,
    samples=(case((2, 3), axis=0), case((2, 1, 3), axis=-1), case((2,), axis=0)),
    complex_ok=True,
)
def unstack(xp, x, *, axis):
    """The slices of x along `axis`, without it: views. The inverse of stack."""
    first = (slice(None),) * (axis % x.ndim)
    return tuple(x[(*first, i, ...)] for i in range(x.shape[axis]))


@unstack.rule("x")
def _(F, g, axis):
    return F.stack(*g, axis=axis)


@primitive(shape=same_as("x"), view=True, samples=(case((3, 4)), case((3, 4), axis=1)), complex_ok=True)
def flip(xp, x, *, axis=None):
    """The order along `axis` (None: along all) reversed. A view."""
    return xp.flip(x, axis=axis)


@flip.rule("x")
def _(F, g, axis):
    return F.flip(g, axis=axis)


@primitive(
    public=False,
    shape=same_as("x"),
    samples=(case((3, 4), shift=2, axis=1), case((5,), shift=-1), case((3, 4), shift=(1, 2), axis=(0, 1))),
    complex_ok=True,
)
def roll(xp, x, *, shift, axis=None):
    """Elements moved by `shift` along `axis`, those that fall off coming in at the other end; None rolls the flat
    array."""
    return xp.roll(x, shift, axis=axis)


@roll.rule("x")
def _(F, g, shift, axis):
    return F.roll(g, shift=tuple(-s for s in shift) if isinstance(shift, tuple) else -shift, axis=axis)


def _padded(op, x, *, widths, value=0):
    if len(widths) != len(x.shape):
        raise ShapeError(
            f"{op}: one (before, after) pair per axis: got {len(widths)} pairs for shape {tuple(x.shape)}."
        )
    shape = tuple(a + n + b for n, (a, b) in zip(x.shape, widths))
    if min((w for pair in widths for w in pair), default=0) < 0:
        raise ShapeError(f"{op}: widths must not be negative: got {widths}. Slice to crop.")
    return Spec(shape, x.dtype)


@primitive(
    checked=True,
    public=False,
    shape=_padded,
    samples=(case((2, 3), widths=((1, 0), (2, 1)), value=1.5), case((2,), widths=((0, 0),))),
    complex_ok=True,
)
def pad(xp, x, *, widths, value=0):
    """x framed with `value`: widths[i] = (before, after) elements along axis i."""
    return xp.pad(x, widths, constant_values=value)


@pad.rule("x")
def _(g, shapes, widths):
    return g[tuple(slice(before, before + n) for n, (before, _) in zip(shapes.x, widths))]


def _cast(op, x, *, dtype):
    return Spec(tuple(x.shape), np.dtype(dtype))


@primitive(shape=_cast, public=False, samples=(case((2, 3), dtype="float64"),), complex_ok=True)
def astype(xp, x, *, dtype):
    """x in another dtype. Between floats the gradient is cast back; from a float to an integer it is cut off."""
    if x.dtype.kind == "c" and np.dtype(dtype).kind not in "cb":
        raise DTypeError(f"astype: a complex array has no {np.dtype(dtype)} values. Take .real or .imag first.")
    return x.astype(dtype)


@astype.rule("x")
def _(g):
    return g  # the walk casts it to the dtype of x


@primitive(shape=same_as("x"), samples=(case((2, 3)),), complex_ok=True)
def copy(xp, x):
    """The same values in a buffer of their own."""
    return xp.array(x)


@copy.rule("x")
def _(g):
    return g


@primitive(shape=same_as("x"), view=True, public=False, samples=(case((2, 3)),), complex_ok=True)
def alias(xp, x):
    """x itself: a fresh place in the graph for it."""
    return x.view() if hasattr(x, "view") else x


@alias.rule("x")
def _(g):
    return g


@primitive(
    shape=same_as("x"),
    kind="device",
    public=False,
    samples=(case((2, 3), to=lambda x: x, back=lambda x: x),),
    complex_ok=True,
)
def move(xp, x, *, to, back):
    """x on another device: `to` carries an array there, `back` a gradient here."""
    return to(x)


@move.rule("x")
def _(F, g, to, back):
    return F.move(g, to=back, back=to)


@primitive(shape=same_as("x"), public=False, samples=(case((2, 3)),))
def zeros_like(xp, x):
    """Zeros in the shape and dtype of x."""
    return xp.zeros_like(x)


@zeros_like.rule("x")
def _(F, g):
    return F.zeros_like(g)


@primitive(shape=same_as("x"), public=False, samples=(case((2, 3)),))
def ones_like(xp, x):
    """Ones in the shape and dtype of x."""
    return xp.ones_like(x)


@ones_like.rule("x")
def _(F, g):
    return F.zeros_like(g)


def diagonal_length(n, m, offset):
    """How many elements the diagonal of an (n, m) matrix has that starts `offset` to the right of the corner."""
    return max(0, min(n + min(offset, 0), m - max(offset, 0)))


def _diagonal(op, x, *, offset=0, axis1=0, axis2=1):
    if len(x.shape) < 2:
        raise ShapeError(f"{op}: needs at least 2 axes: got shape {tuple(x.shape)}.")
    a, b = axes_of(op, (axis1, axis2), len(x.shape))
    rest = (n for i, n in enumerate(x.shape) if i not in (a, b))
    return Spec((*rest, diagonal_length(x.shape[a], x.shape[b], offset)), x.dtype)


@primitive(
    checked=True,
    shape=_diagonal,
    view=True,
    public=False,
    samples=(case((3, 4)), case((3, 4), offset=-1), case((2, 3, 4), offset=1, axis1=-1, axis2=0)),
    complex_ok=True,
)
def diagonal(xp, x, *, offset=0, axis1=0, axis2=1):
    """y[..., i] = x at place i of axis1 and i + offset of axis2: the diagonal as a new last axis. A read-only view."""
    return xp.diagonal(x, offset, axis1, axis2)


@diagonal.rule("x")
def _(F, g, shapes, offset, axis1, axis2):
    return F.embed_diagonal(g, shape=shapes.x, offset=offset, axis1=axis1, axis2=axis2)


def _on_diagonal(op, v, *, shape, offset=0, axis1=0, axis2=1):
    place = _diagonal(op, Spec(tuple(shape), v.dtype), offset=offset, axis1=axis1, axis2=axis2).shape
    if tuple(v.shape) != place:
        raise ShapeError(f"{op}: the diagonal of {tuple(shape)} is {place}: got {tuple(v.shape)}.")
    return Spec(tuple(shape), v.dtype)


@primitive(
    checked=True,
    shape=_on_diagonal,
    public=False,
    samples=(case((3,), shape=(3, 4)), case((3, 1), shape=(2, 3, 4), offset=1, axis1=-1, axis2=0)),
    complex_ok=True,
)
def embed_diagonal(xp, v, *, shape, offset=0, axis1=0, axis2=1):
    """Zeros of `shape` with v on a diagonal. The adjoint of diagonal."""
    y, i = xp.zeros(shape, v.dtype), xp.arange(v.shape[-1])
    xp.moveaxis(y, (axis1, axis2), (-2, -1))[..., i + max(-offset, 0), i + max(offset, 0)] = v
    return y


@embed_diagonal.rule("v")
def _(F, g, offset, axis1, axis2):
    return F.diagonal(g, offset=offset, axis1=axis1, axis2=axis2)


def _lower_upper(op, x, *, k=0):
    if len(x.shape) < 2:
        raise ShapeError(f"{op}: needs at least 2 axes: got shape {tuple(x.shape)}.")
    return Spec(tuple(x.shape), x.dtype)


@primitive(checked=True, shape=_lower_upper, samples=(case((3, 4), k=1), case((2, 3, 3))), complex_ok=True)
def tril(xp, x, *, k=0):
    """The lower triangle: elements above the k-th diagonal of the last two axes are zero."""
    return xp.tril(x, k)


@tril.rule("x")
def _(F, g, k):
    return F.tril(g, k=k)


@primitive(checked=True, shape=_lower_upper, samples=(case((3, 4), k=1), case((2, 3, 3))), complex_ok=True)
def triu(xp, x, *, k=0):
    """The upper triangle: elements below the k-th diagonal of the last two axes are zero."""
    return xp.triu(x, k)


@triu.rule("x")
def _(F, g, k):
    return F.triu(g, k=k)
