"""Images at other places: linear maps along axes, given as tables (interpolation, padding by copies), and values at
places that a grid names."""

import itertools
import math

import numpy as np

from ..errors import ShapeError
from ..primitive import Spec, case, fused, primitive, result_dtype, within


class AxisMap:
    """y[i] = sum over taps k of weight[k, i] x[index[k, i]]: a linear map along an axis, from n elements.

    index: (taps, out), integers from 0 to n - 1, or -1 where there is no tap; weight: (taps, out), or None: 1.
    """

    __slots__ = ("_adjoint", "index", "n", "weight")

    def __init__(self, n, index, weight=None):
        self.n, self.index = n, np.asarray(index, np.int32)
        self.weight, self._adjoint = weight, None

    def __repr__(self):
        return f"AxisMap({self.n} to {self.out}, {len(self.index)} taps)"

    @property
    def out(self):
        return self.index.shape[1]

    @property
    def T(self):
        """The adjoint, from `out` elements to n: x[j] = sum of weight[k, i] y[i] over the taps that read element j."""
        if self._adjoint is None:
            taps, places = np.nonzero(self.index >= 0)
            order = np.lexsort((taps, places, self.index[taps, places]))
            taps, places = taps[order], places[order]
            sources = self.index[taps, places]
            rank = np.arange(sources.size) - np.searchsorted(sources, sources)  # among the taps of its source
            index = np.full((int(rank.max(initial=0)) + 1, self.n), -1, np.int32)
            index[rank, sources] = places
            weight = None
            if self.weight is not None:
                weight = np.zeros(index.shape, self.weight.dtype)
                weight[rank, sources] = self.weight[taps, places]
            self._adjoint = AxisMap(self.out, index, weight)
            self._adjoint._adjoint = self
        return self._adjoint


def _resampled(op, x, *, maps):
    kept = len(x.shape) - len(maps)
    if kept < 0 or any(m is not None and m.n != n for m, n in zip(maps, x.shape[kept:])):
        lengths = tuple(m and m.n for m in maps)
        raise ShapeError(f"{op}: the maps are for last axes of lengths {lengths}: got shape {tuple(x.shape)}.")
    return Spec((*x.shape[:kept], *(m.out if m else n for m, n in zip(maps, x.shape[kept:]))), x.dtype)


_GROWING = AxisMap(3, [[0, 0, 1, 2, 2], [0, 1, 2, 2, -1]], np.array([[1, 0.75, 0.5, 0.25, 2], [0, 0.25, 0.5, 1.5, 0]]))
_MIRRORED = AxisMap(4, [[2, 1, 0, 1, 2, 3, 2]])


@primitive(
    checked=True,
    public=False,
    shape=_resampled,
    samples=(
        case((2, 3), maps=(_GROWING,)),
        case((2, 4, 3), maps=(_MIRRORED, _GROWING)),
        case((3, 2, 4), maps=(_GROWING, None, _MIRRORED)),
        case((2, 3, 2), maps=(_GROWING, None)),
    ),
    complex_ok=True,
)
def resample(xp, x, *, maps):
    """y = x with a linear map along each of its last len(maps) axes; None leaves an axis alone.

    x: (..., H, W); maps: an `AxisMap` for each axis; y: (..., OH, OW)."""
    for axis, m in zip(range(-len(maps), 0), maps):
        if m is None:
            continue
        along, total = (-1, *[1] * (-axis - 1)), None
        for index, weight in zip(m.index, [None] * len(m.index) if m.weight is None else m.weight):
            part = xp.take(x, xp.asarray(np.maximum(index, 0)), axis=axis)
            if weight is not None:
                part = part * xp.asarray(weight.astype(x.dtype).reshape(along))
            if (index < 0).any():  # not a product with 0: x may be infinite
                part = xp.where(xp.asarray((index >= 0).reshape(along)), part, xp.zeros_like(part))
            total = part if total is None else total + part
        x = total
    return x


@resample.rule("x")
def _(F, g, maps):
    return F.resample(g, maps=tuple(m and m.T for m in maps))


# ---- values of an image at places given by a grid --------------------------------------------------------------------
# B batch, C channels, O places; n spatial axes of `lengths`. Coordinates come in the order x, y, z, axes as z, y, x.
CUBIC = -0.75  # a of Keys' cubic filter, as PyTorch: R. Keys 1981, Cubic convolution interpolation, eq. 4


def cubic_near(t, a):
    """Keys' cubic for |t| <= 1."""
    return ((a + 2) * t - (a + 3)) * t * t + 1


def cubic_far(t, a):
    """The same for 1 < |t| < 2."""
    return ((a * t - 5 * a) * t + 8 * a) * t - 4 * a


def cubic_weights(t):
    """Weights of the elements at -1, 0, 1, 2 for a place t in [0, 1) after the one at 0."""
    return cubic_far(t + 1, CUBIC), cubic_near(t, CUBIC), cubic_near(1 - t, CUBIC), cubic_far(2 - t, CUBIC)


def _cubic_slopes(t):
    """The derivatives of `cubic_weights`."""
    a = CUBIC
    near = lambda t: (3 * (a + 2) * t - 2 * (a + 3)) * t
    far = lambda t: (3 * a * t - 10 * a) * t + 8 * a
    return far(t + 1), near(t), -near(1 - t), -far(2 - t)


@primitive(
    shape=lambda op, x: Spec(tuple(x.shape), np.dtype(np.int64)),
    kind="index",
    public=False,
    no_gradient="it is constant between its steps",
    samples=(case((2, 3)), case(())),
)
def nearest_index(xp, x):
    """The nearest integer, int64; halves to even."""
    return xp.round(x).astype(np.int64)


def _reflected(F, c, slope, size, align_corners):
    """c mirrored at the centres (align_corners) or outer edges of the first and last element until it is inside."""
    low, span = (0.0, size - 1) if align_corners else (-0.5, size)
    if not span:
        return F.zeros_like(c), F.zeros_like(c)
    distance = F.abs(c - low)
    even = F.equal(F.remainder(F.floor(distance / span), 2), 0)
    rest, slope = F.remainder(distance, span), slope * F.sign(c - low)
    return F.where(even, rest, span - rest) + low, F.where(even, slope, -slope)


def _clipped(F, c, slope, low, high):
    """c inside [low, high]; no gradient where it is moved, nor at the ends, as PyTorch has it."""
    inside, zero = F.logical_and(F.greater(c, low), F.less(c, high)), F.zeros_like(c)
    return F.where(inside, c, F.where(F.greater(c, low), zero + high, zero + low)), F.where(inside, slope, zero)


def _axis_taps(F, c, size, mode, padding_mode, align_corners):
    """[(index, inside, weight or None, d weight / d c), ...] of one coordinate. c: (B, O), -1 to 1."""

    def brought_inside(c, slope):
        if padding_mode == "reflection":
            c, slope = _reflected(F, c, slope, size, align_corners)
        low, high = (-4.0, size + 3.0) if padding_mode == "zeros" else (0.0, size - 1.0)  # finite in either case
        return _clipped(F, c, slope, low, high)

    slope = F.zeros_like(c) + ((size - 1) / 2 if align_corners else size / 2)
    c = (c + 1) * ((size - 1) / 2) if align_corners else ((c + 1) * size - 1) / 2  # in elements
    if mode == "nearest":
        found = [(F.round(brought_inside(c, slope)[0]), None, None)]  # halves to even
    elif mode == "bilinear":
        c, slope = brought_inside(c, slope)
        low = F.floor(c)
        found = [(low, low + 1 - c, -slope), (low + 1, c - low, slope)]
    else:
        low = F.floor(c)
        t = c - low
        weights = zip(cubic_weights(t), _cubic_slopes(t))
        found = [(brought_inside(low + (k - 1), slope)[0], w, s * slope) for k, (w, s) in enumerate(weights)]
    taps = []
    for place, weight, slope in found:
        index = F.nearest_index(place)
        inside = F.logical_and(F.greater_equal(index, 0), F.less_equal(index, size - 1))
        taps.append((F.minimum(F.maximum(index, 0), size - 1), inside, weight, slope))
    return taps


def _grid_taps(F, grid, lengths, **options):
    """For each combination of one tap an axis: (index into the flat image (B, 1, O), inside (B, 1, O),
    weight (B, 1, O) or None, slopes [(B, O)] of the weight by each coordinate)."""
    known, n = F.where(F.isnan(grid), -1.0, grid), len(lengths)
    flat = (grid.shape[0], math.prod(grid.shape[1:-1]))
    lines = [
        _axis_taps(F, F.reshape(known[..., n - 1 - i], shape=flat), length, **options)
        for i, length in enumerate(lengths)
    ]
    for taps in itertools.product(*lines):
        index, inside, weight = 0, None, None
        for length, (place, here, w, _) in zip(lengths, taps):
            index = index * length + place
            inside = here if inside is None else F.logical_and(inside, here)
            weight = w if weight is None or w is None else weight * w
        slopes = []
        for i, (*_, slope) in enumerate(taps):
            for j, (*_, w, _) in enumerate(taps):
                slope = slope if i == j or slope is None else slope * w
            slopes.append(slope)
        yield F.expand_dims(index, axis=1), F.expand_dims(inside, axis=1), weight, slopes[::-1]


def _picked(F, flat, index, inside):
    """(B, C, O): the elements of the flat image (B, C, n) at index (B, 1, O), 0 outside."""
    whole = (*flat.shape[:2], index.shape[-1])
    return F.where(inside, F.take_along_axis(flat, F.broadcast_to(index, shape=whole), axis=-1), 0)


def _sampled(op, x, grid, **options):
    n = len(x.shape) - 2
    if n not in (2, 3) or len(grid.shape) != n + 2 or grid.shape[-1] != n or grid.shape[0] != x.shape[0]:
        raise ShapeError(
            f"{op}: x (B, C, H, W) needs a grid (B, OH, OW, 2), x (B, C, D, H, W) one of (B, OD, OH, OW, 3): got "
            f"{tuple(x.shape)} and {tuple(grid.shape)}."
        )
    return Spec((*x.shape[:2], *grid.shape[1:-1]), result_dtype("float", x, grid))


def _image_gradient(op, dy, grid, *, size, **options):
    image = Spec((*dy.shape[:2], *size), dy.dtype)
    if _sampled(op, image, grid).shape != tuple(dy.shape):
        raise ShapeError(f"{op}: dy must be (B, C, OH, OW) of the grid {tuple(grid.shape)}: got {tuple(dy.shape)}.")
    return image


def _grid_gradient(op, dy, x, grid, **options):
    if tuple(dy.shape) != _sampled(op, x, grid).shape:
        raise ShapeError(f"{op}: dy must be (B, C, OH, OW) of x {tuple(x.shape)} and the grid: got {tuple(dy.shape)}.")
    return Spec(tuple(grid.shape), grid.dtype)


_OPTIONS = [
    ({"mode": mode, "padding_mode": padding, "align_corners": align}, n)
    for mode, padding, align, n in (
        ("bilinear", "zeros", False, 2), ("bilinear", "reflection", True, 2), ("bicubic", "border", True, 2),
        ("nearest", "zeros", False, 2), ("bilinear", "border", False, 3),
    )
]  # fmt: skip
_X, _Y = {2: (2, 2, 3, 4), 3: (1, 1, 2, 3, 4)}, {2: (2, 2, 1, 2), 3: (1, 1, 1, 2, 1)}
_GRIDS = {2: within((2, 1, 2, 2), -1.3, 1.3), 3: within((1, 1, 2, 1, 3), -1.3, 1.3)}


@fused(
    shape=_sampled,
    kind="float",
    public=False,
    samples=[case(_X[n], _GRIDS[n], **options) for options, n in _OPTIONS],
)
def grid_sample(F, x, grid, *, mode, padding_mode, align_corners):
    """y[b, :, o] = x[b] at the place grid[b, o]: the sum over taps of their weight times the element of x.

    x: (B, C, H, W) or (B, C, D, H, W); grid: (B, OH, OW, 2) or (B, OD, OH, OW, 3); y: (B, C, OH, OW) ...
    For mode, padding_mode and align_corners see nn.functional.grid_sample. Jaderberg et al. 2015, arXiv:1506.02025."""
    (b, c, *lengths), outs = x.shape, grid.shape[1:-1]
    flat, total = F.reshape(x, shape=(b, c, math.prod(lengths))), None
    options = {"mode": mode, "padding_mode": padding_mode, "align_corners": align_corners}
    for index, inside, weight, _ in _grid_taps(F, grid, lengths, **options):
        values = _picked(F, flat, index, inside)  # (B, C, O)
        values = values if weight is None else values * F.expand_dims(weight, axis=1)
        total = values if total is None else total + values
    return F.reshape(total, shape=(b, c, *outs))


@grid_sample.rule("x")
def _(F, g, grid, shapes, mode, padding_mode, align_corners):
    options = {"mode": mode, "padding_mode": padding_mode, "align_corners": align_corners}
    return F.grid_sample_input(g, grid, size=shapes.x[2:], **options)


@grid_sample.rule("grid")
def _(F, g, x, grid, mode, padding_mode, align_corners):
    return F.grid_sample_grid(g, x, grid, mode=mode, padding_mode=padding_mode, align_corners=align_corners)


@fused(
    shape=_image_gradient,
    kind="float",
    public=False,
    samples=[case(_Y[n], _GRIDS[n], size=_X[n][2:], **options) for options, n in _OPTIONS],
)
def grid_sample_input(F, dy, grid, *, size, mode, padding_mode, align_corners):
    """The gradient of grid_sample for x: dx[b, :, tap] = the sum of weight dy over the places that read it.

    dy: (B, C, OH, OW); dx: (B, C, *size)."""
    b, c, *outs = dy.shape
    flat, dx = F.reshape(dy, shape=(b, c, math.prod(outs))), None
    options = {"mode": mode, "padding_mode": padding_mode, "align_corners": align_corners}
    for index, inside, weight, _ in _grid_taps(F, grid, size, **options):
        part = flat if weight is None else flat * F.expand_dims(weight, axis=1)  # (B, C, O)
        part, index = F.where(inside, part, 0), F.broadcast_to(index, shape=flat.shape)
        part = F.add_along_axis(part, index, axis=-1, size=math.prod(size))
        dx = part if dx is None else dx + part
    return F.reshape(dx, shape=(b, c, *size))


@fused(
    shape=_grid_gradient,
    kind="float",
    public=False,
    samples=[case(_Y[n], _X[n], _GRIDS[n], **options) for options, n in _OPTIONS],
)
def grid_sample_grid(F, dy, x, grid, *, mode, padding_mode, align_corners):
    """The gradient of grid_sample for grid: the sum over taps and channels of dy x[tap] times the slope of the weight.

    dy: (B, C, OH, OW), x: (B, C, H, W); dgrid: (B, OH, OW, 2)."""
    if mode == "nearest":
        return F.zeros_like(grid)
    (b, c, *lengths), outs = x.shape, grid.shape[1:-1]
    flat, total = F.reshape(x, shape=(b, c, math.prod(lengths))), None
    dy = F.reshape(dy, shape=(b, c, math.prod(outs)))
    options = {"mode": mode, "padding_mode": padding_mode, "align_corners": align_corners}
    for index, inside, _, slopes in _grid_taps(F, grid, lengths, **options):
        share = F.sum(dy * _picked(F, flat, index, inside), axis=1)  # (B, O)
        part = F.stack(*(share * slope for slope in slopes), axis=-1)  # (B, O, n)
        total = part if total is None else total + part
    return F.where(F.isnan(grid), 0, F.reshape(total, shape=grid.shape))
