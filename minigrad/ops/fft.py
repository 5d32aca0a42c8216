"""Fourier transforms. Cooley, Tukey 1965; here NumPy's (pocketfft), which keep float32.

    y[k] = c sum_j x[j] w^(jk),  w = e**(-2 pi i / n), of the inverse e**(2 pi i / n)

c is 1 / n in one direction and 1 in the other, as `norm` says, or 1 / sqrt(n) in both. The matrix w^(jk) is its own
transpose, so the rule of the complex transform is the transform.
"""

from ..errors import ArgumentError, ShapeError
from ..primitive import Spec, axes_of, case, primitive
from .decompositions import complex_of, real_of

TURNED = {"backward": "forward", "ortho": "ortho", "forward": "backward"}  # the other direction's factor


def _lengths(op, x, axes, norm):
    if norm not in TURNED:
        raise ArgumentError(f"{op}: norm must be backward, ortho or forward: got {norm!r}.")
    axes = axes_of(op, axes, len(x.shape))
    if empty := [i for i in axes if x.shape[i] < 1]:
        raise ShapeError(
            f"{op}: needs at least 1 element along each axis: axis {empty[0]} of {tuple(x.shape)} has none."
        )
    return axes


def _dft(op, x, *, axes, inverse=False, norm="backward"):
    _lengths(op, x, axes, norm)
    return Spec(tuple(x.shape), complex_of(x.dtype))


@primitive(
    checked=True,
    shape=_dft,
    public=False,
    samples=(
        case((2, 4), axes=(-1,)),
        case((3, 4), axes=(0, 1), inverse=True),
        case((5, 1), axes=(0, 1), norm="ortho"),
        case((3,), axes=(0,), norm="forward", inverse=True),
        case((2,), axes=()),
    ),
)
def dft(xp, x, *, axes, inverse=False, norm="backward"):
    """The transform of x over `axes`, complex. x: any shape; y: the same."""
    if not axes:
        return x.astype(complex_of(x.dtype))
    return (xp.fft.ifftn if inverse else xp.fft.fftn)(x, axes=axes, norm=norm)


@dft.rule("x")
def _(F, g, axes, inverse, norm):
    return F.dft(g, axes=axes, inverse=inverse, norm=norm)


def _rdft(op, x, *, axis, norm="backward"):
    (axis,) = _lengths(op, x, axis, norm)
    return Spec((*x.shape[:axis], x.shape[axis] // 2 + 1, *x.shape[axis + 1 :]), complex_of(x.dtype))


def scale_pairs(F, x, n, axis, factor):
    """x (..., n // 2 + 1, ...) with the terms multiplied by `factor` that stand for two: all but 0 and, if n is even,
    n / 2."""
    first = (slice(None),) * (axis % len(x.shape))
    stop = (n + 1) // 2
    return (
        F.concat(
            x[(*first, slice(0, 1))], factor * x[(*first, slice(1, stop))], x[(*first, slice(stop, None))], axis=axis
        )
        if n > 1
        else x
    )


@primitive(
    checked=True,
    shape=_rdft,
    public=False,
    samples=(
        case((2, 4), axis=-1),
        case((5,), axis=0, norm="ortho"),
        case((1, 2), axis=0),
        case((3, 2), axis=0, norm="forward"),
    ),
)
def rdft(xp, x, *, axis, norm="backward"):
    """The first n // 2 + 1 terms of the transform of a real x along `axis`; the others are their conjugates."""
    return xp.fft.rfft(x, axis=axis, norm=norm)


@rdft.rule("x")
def _(F, g, shapes, axis, norm):
    """Re sum_k g[k] w^(jk): the inverse transform takes each pair twice, hence the halves."""
    n = shapes.x[axis]
    return F.irdft(F.conj(scale_pairs(F, g, n, axis, 0.5)), n=n, axis=axis, norm=TURNED[norm])


def _irdft(op, x, *, n, axis, norm="backward"):
    (axis,) = _lengths(op, x, axis, norm)
    if n < 1 or x.shape[axis] != n // 2 + 1:
        raise ShapeError(
            f"{op}: n // 2 + 1 terms give n: n is {n}, axis {axis} of {tuple(x.shape)} has another length."
        )
    return Spec((*x.shape[:axis], n, *x.shape[axis + 1 :]), real_of(x.dtype))


@primitive(
    checked=True,
    shape=_irdft,
    public=False,
    samples=(
        case((2, 3), n=4, axis=-1),
        case((3,), n=5, axis=0, norm="ortho"),
        case((1, 2), n=1, axis=0),
        case((2, 2), n=2, axis=0, norm="forward"),
    ),
)
def irdft(xp, x, *, n, axis, norm="backward"):
    """n real numbers from the first n // 2 + 1 terms along `axis`, the others taken as their conjugates. The imaginary
    parts of term 0 and, if n is even, of term n / 2 do not count."""
    return xp.fft.irfft(x, n, axis=axis, norm=norm)


@irdft.rule("x")
def _(F, g, n, axis, norm):
    return F.conj(scale_pairs(F, F.rdft(g, axis=axis, norm=TURNED[norm]), n, axis, 2))
