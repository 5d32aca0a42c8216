"""How the built-in primitives run on all samples of a vmap at once.

A rule receives the primitive, its inputs with the samples' axis B in front where they have one, which those are, and
the keywords; it returns the outputs with B in front. Most shift axes by one and call the primitive again. Elementwise
primitives need no rule; fused ones without one run through their body; what is left runs sample by sample.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from ..errors import DTypeError
from ..functions import moveaxis
from ..ops.indexing import PLACE
from ..primitive import PRIMITIVES, Primitive, Spec, axes_of
from ..tensor import F, Tensor, apply, wrap
from .batching import broadcast, ranked


def rule(*names: str) -> Callable[[Callable], Callable]:
    """Decorator: the batching rule of these primitives, where they exist."""

    def declare(function: Callable) -> Callable:
        for name in names:
            if name in PRIMITIVES and PRIMITIVES[name].batch is None:
                PRIMITIVES[name].batch = function
        return function

    return declare


def logical(values: Sequence, batched: Sequence[bool]) -> list:
    """The inputs as one sample sees them, for shape rules."""
    return [Spec(tuple(v.shape[1:]), v.dtype) if b else v for v, b in zip(values, batched)]


def size_of(values: Sequence, batched: Sequence[bool]) -> int:
    return next(v.shape[0] for v, b in zip(values, batched) if b)


def everywhere(values: Sequence, batched: Sequence[bool]) -> list:
    """All tensors with the samples' axis; those without are repeated (a view)."""
    n = size_of(values, batched)
    return [v if b or not isinstance(v, Tensor) else F.broadcast_to(v, (n, *v.shape)) for v, b in zip(values, batched)]


# ---- one axis more in front, nothing else changes ------------------------------------------------------------------


@rule(
    "copy", "alias", "astype", "zeros_like", "ones_like", "move", "windows", "window_sum", "max_pool",
    "adaptive_avg_pool", "fold_windows", "window_sum_backward", "adaptive_avg_pool_backward", "max_pool_backward",
    "resample", "nearest_index", "clip",
)  # fmt: skip
def _leading(p: Primitive, values: list, batched: list, params: dict) -> Any:
    """They work on the last axes, or on each element."""
    if p.name == "fold_windows":
        params = {**params, "shape": (values[0].shape[0], *params["shape"])}
    if p.name == "clip":
        ndim = max(v.ndim - b for v, b in zip(values, batched) if isinstance(v, Tensor))
        return apply(p, *(ranked(v, ndim) if b else v for v, b in zip(values, batched)), **params)
    return apply(p, *everywhere(values, batched), **params)


@rule("tril", "triu", "matrix_transpose")
def _matrices(p: Primitive, values: list, batched: list, params: dict) -> Any:
    if values[0].ndim < 3:
        p.shape(p.name, *logical(values, batched), **params)  # raises
    return apply(p, values[0], **params)


# ---- keywords that name axes ---------------------------------------------------------------------------------------


@rule("sum", "mean", "max", "min", "any", "all", "count_nonzero", "var", "std", "prod", "logsumexp", "argmax", "argmin")
def _reduction(p: Primitive, values: list, batched: list, params: dict) -> Any:
    (x,), axis = values, params.get("axis")
    ndim = x.ndim - 1
    if p.name in ("argmax", "argmin") and (axis is None or not ndim):  # these reduce one axis
        flat = apply(p, F.reshape(x, (x.shape[0], -1)), axis=1, keepdims=False)
        return F.reshape(flat, (x.shape[0], *[1] * ndim)) if params.get("keepdims") else flat
    axes = tuple(i + 1 for i in axes_of(p.name, axis, ndim))
    return apply(p, x, **{**params, "axis": axes[0] if isinstance(axis, int) and axes else axes})


@rule("extreme_backward")
def _extreme(p: Primitive, values: list, batched: list, params: dict) -> Any:
    dy, x, extreme = everywhere(values, batched)
    axes = tuple(i + 1 for i in axes_of(p.name, params.get("axis"), x.ndim - 1))
    return apply(p, dy, x, extreme, axis=axes)


@rule("softmax", "log_softmax", "softmax_backward", "log_softmax_backward", "cumsum", "flip")
def _along(p: Primitive, values: list, batched: list, params: dict) -> Any:
    values = everywhere(values, batched)
    ndim, axis = values[0].ndim - 1, params.get("axis")
    if not ndim:
        return NotImplemented
    axes = tuple(i + 1 for i in axes_of(p.name, axis, ndim))
    return apply(p, *values, **{**params, "axis": axes if axis is None or isinstance(axis, (tuple, list)) else axes[0]})


@rule("take_along_axis", "add_along_axis")
def _take_along(p: Primitive, values: list, batched: list, params: dict) -> Any:
    (axis,) = axes_of(p.name, params["axis"], values[0].ndim - batched[0])
    return apply(p, *everywhere(values, batched), **{**params, "axis": axis + 1})


@rule("roll")
def _roll(p: Primitive, values: list, batched: list, params: dict) -> Any:
    (x,), axis = values, params.get("axis")
    if axis is None:
        return F.reshape(apply(p, F.reshape(x, (x.shape[0], -1)), shift=params["shift"], axis=1), x.shape)
    axes = tuple(i + 1 for i in axes_of(p.name, axis, x.ndim - 1))
    return apply(p, x, shift=params["shift"], axis=axes if isinstance(axis, (tuple, list)) else axes[0])


@rule("pad")
def _pad(p: Primitive, values: list, batched: list, params: dict) -> Any:
    p.shape(p.name, *logical(values, batched), **params)
    return apply(p, *values, **{**params, "widths": ((0, 0), *params["widths"])})


@rule("permute_dims")
def _permute(p: Primitive, values: list, batched: list, params: dict) -> Any:
    (x,), axes = values, params.get("axes")
    order = tuple(range(x.ndim - 1))[::-1] if axes is None else axes_of(p.name, tuple(axes), x.ndim - 1)
    return apply(p, x, axes=(0, *(i + 1 for i in order)))


@rule("expand_dims")
def _expand(p: Primitive, values: list, batched: list, params: dict) -> Any:
    axis = params["axis"] if isinstance(params["axis"], (tuple, list)) else (params["axis"],)
    places = axes_of(p.name, tuple(axis), values[0].ndim - 1 + len(axis))
    return apply(p, values[0], axis=tuple(i + 1 for i in places))


@rule("squeeze")
def _squeeze(p: Primitive, values: list, batched: list, params: dict) -> Any:
    (x,), shape = values, p.shape(p.name, *logical(values, batched), **params).shape
    return F.reshape(x, (x.shape[0], *shape))


@rule("reshape")
def _reshape(p: Primitive, values: list, batched: list, params: dict) -> Any:
    shape = params["shape"] if isinstance(params["shape"], (tuple, list)) else (params["shape"],)
    if -1 in shape:
        shape = p.shape(p.name, *logical(values, batched), **params).shape
    return apply(p, values[0], shape=(values[0].shape[0], *shape))


@rule("broadcast_to")
def _broadcast_to(p: Primitive, values: list, batched: list, params: dict) -> Any:
    shape = tuple(params["shape"])
    if values[0].ndim - 1 > len(shape):
        p.shape(p.name, *logical(values, batched), **params)  # raises
    return apply(p, ranked(values[0], len(shape)), shape=(values[0].shape[0], *shape))


@rule("sum_to")
def _sum_to(p: Primitive, values: list, batched: list, params: dict) -> Any:
    (x,), shape = values, tuple(params["shape"])
    missing = x.ndim - 1 - len(shape)
    y = apply(p, x, shape=(x.shape[0], *[1] * missing, *shape))
    return F.reshape(y, (x.shape[0], *shape)) if missing else y


@rule("concat", "stack")
def _joined(p: Primitive, values: list, batched: list, params: dict) -> Any:
    ndim = values[0].ndim - batched[0] + (p.name == "stack")
    (axis,) = axes_of(p.name, params.get("axis", 0), ndim)
    return apply(p, *everywhere(values, batched), axis=axis + 1)


@rule("split", "unstack")
def _cut(p: Primitive, values: list, batched: list, params: dict) -> Any:
    (axis,) = axes_of(p.name, params["axis"], values[0].ndim - 1)
    return apply(p, *values, **{**params, "axis": axis + 1})


# ---- products ------------------------------------------------------------------------------------------------------


@rule("multiply")
def _multiply(p: Primitive, values: list, batched: list, params: dict) -> Any:
    """A column times a row for each sample, the gradient of a weight, is a stack of matrix products: these run on all
    threads, and wrote fresh memory twice as fast."""
    if all(batched) and max(v.ndim for v in values) == 3:
        a, b = (ranked(v, 2) for v in values)
        if a.ndim == b.ndim == 3 and a.dtype == b.dtype and a.dtype.kind == "f":
            if a.shape[2] == b.shape[1] == 1:
                return F.matmul(a, b)
            if b.shape[2] == a.shape[1] == 1:
                return F.matmul(b, a)
    return broadcast(p, values, batched, params)


@rule("matmul")
def _matmul(p: Primitive, values: list, batched: list, params: dict) -> Any:
    (a, b), (in_a, in_b) = values, batched
    m, n = a.ndim - in_a, b.ndim - in_b  # axes that a sample sees
    if not m or not n:
        p.shape(p.name, *logical(values, batched))  # raises
    if not in_b and (m == 1 or n <= 2) and n <= 2:  # rows of a: (B, ..., K) @ (K, N)
        return F.matmul(a, b)
    if not in_a and m == 2 and n == 1:  # A x for each x: (B, K) @ (K, M)
        return F.matmul(b, F.matrix_transpose(a))
    if not in_a and m == 1 and n == 1:
        return F.matmul(b, a)
    stack = max(m, n, 2)  # a row at the left, a column at the right, and as many leading axes for both
    a = F.expand_dims(a, -2) if m == 1 else a
    b = F.expand_dims(b, -1) if n == 1 else b
    y = F.matmul(ranked(a, stack) if in_a else a, ranked(b, stack) if in_b else b)
    if m == 1:
        y = F.squeeze(y, -2 if n > 1 else (-2, -1))
    return F.squeeze(y, -1) if n == 1 and m > 1 else y


@rule("linear")
def _linear(p: Primitive, values: list, batched: list, params: dict) -> Any:
    return NotImplemented if any(batched[1:]) else apply(p, *values, **params)


@rule("convolution", "convolution_input", "convolution_weight")
def _convolution(p: Primitive, values: list, batched: list, params: dict) -> Any:
    a, b, *bias = values  # x or dy, weight; or x, dy
    if bias and bias[0] is not None:  # (O,) or (S, O), added to (S, B, O, ...)
        y = F.convolution(a, b, **params) if not any(batched[:2]) else _convolution(p, [a, b], batched[:2], params)
        ones = [1] * (b.ndim - batched[1] - 2)
        shape = (-1, 1, bias[0].shape[-1], *ones) if batched[2] else (-1, *ones)
        return y + F.reshape(bias[0], shape)
    values, batched = [a, b], batched[:2]
    if p.name != "convolution_weight" and not batched[1]:  # one weight: samples are more of the batch
        y = apply(p, F.reshape(a, (-1, *a.shape[2:])), b, **params)
        return F.reshape(y, (*a.shape[:2], *y.shape[1:]))
    n, groups = size_of(values, batched), params["groups"]
    a, b = everywhere(values, batched)

    def beside(v: Tensor) -> Tensor:
        """(S, B, C, ...) as (B, S C, ...): samples as groups of channels."""
        v = moveaxis(v, 0, 1)
        return F.reshape(v, (v.shape[0], -1, *v.shape[3:]))

    a = beside(a)
    b = beside(b) if p.name == "convolution_weight" else F.reshape(b, (-1, *b.shape[2:]))
    y = apply(p, a, b, **{**params, "groups": n * groups})
    if p.name == "convolution_weight":  # (S O, C/G, ...)
        return F.reshape(y, (n, -1, *y.shape[1:]))
    return moveaxis(F.reshape(y, (y.shape[0], n, -1, *y.shape[2:])), 1, 0)


@rule("attention")
def _attention(p: Primitive, values: list, batched: list, params: dict) -> Any:
    if len(values) > 4 and values[4] is not None:  # the choice of dropout depends on the leading axes
        return NotImplemented
    ndim = max(t.ndim - b for t, b in zip(values, batched) if t is not None)
    return apply(p, *(ranked(t, ndim) if b else t for t, b in zip(values, batched)), **params)


# ---- normalisation and losses --------------------------------------------------------------------------------------


@rule("layer_norm", "rms_norm")
def _norm(p: Primitive, values: list, batched: list, params: dict) -> Any:
    return NotImplemented if any(batched[1:]) else apply(p, *values, **params)


@rule("group_norm", "batch_norm_inference", "cross_entropy")
def _by_rows(p: Primitive, values: list, batched: list, params: dict) -> Any:
    """Each row of axis 0 is treated by itself: samples are more rows."""
    data = 2 if p.name == "cross_entropy" else 1
    if any(batched[data:]):
        return NotImplemented
    rows = everywhere(values[:data], batched[:data])
    y = apply(p, *(F.reshape(v, (v.shape[0] * v.shape[1], *v.shape[2:])) for v in rows), *values[data:], **params)
    return F.reshape(y, (*rows[0].shape[:2], *y.shape[1:]))


# ---- indexing ------------------------------------------------------------------------------------------------------


class Key:
    """An indexing key over one axis more. `key`, `arrays`: what to index the array with samples in front with, and
    where in the result the axes come that a sample sees: `order` permutes them into the result (samples, *sample's)."""

    def __init__(self, key: tuple, arrays: list, in_arrays: list, in_x: bool, ndim: int, size: int):
        if any(a.dtype.kind == "b" and b for a, b in zip(arrays, in_arrays)):
            raise DTypeError(
                "getitem: a mask that is different for each sample selects different numbers of elements, which one "
                "array cannot hold. Use mg.where(mask, x, 0), or multiply by the mask."
            )
        self.key, self.arrays, self.order = key, arrays, None
        if not arrays:
            self.key = (slice(None), *key)
            return
        kinds = iter(arrays)
        advanced = [k is PLACE or isinstance(k, int) for k in key]  # beside index arrays, integers are such too
        places = [i for i, a in enumerate(advanced) if a]
        together = places == list(range(places[0], places[-1] + 1))
        before = 0  # axes of the sample's result in front of those of the index arrays
        if together:
            taken = sum(1 for k in key if k is not None and k is not Ellipsis)
            taken += sum(a.ndim - 1 for a in kinds if a.dtype.kind == "b")
            before = sum(ndim - taken if k is Ellipsis else 1 for k in key[: places[0]])
        shapes = [(1,) * (a.dtype.kind == "b") or a.shape[b:] for a, b in zip(arrays, in_arrays)]
        width = max((len(s) for s in shapes), default=0)  # how many axes the index arrays make together
        if not any(in_arrays):
            self.key = (slice(None), *key)
            if not together:  # their axes come first, before the samples'
                self.front = width
                self.order = "behind"
            return
        if any(a.dtype.kind == "b" for a in arrays):
            raise DTypeError("getitem: a mask beside index arrays that differ for each sample. Use mg.where.")
        self.arrays = [ranked(a, width) if b else a for a, b in zip(arrays, in_arrays)]
        self.front, self.before = width, before
        if in_x:  # x[b, i[b], ...]: the samples' axis is indexed too, and all index axes come first
            iota = wrap(arrays[0].backend.xp.arange(size))
            self.arrays = [F.reshape(iota, (size, *[1] * width)), *self.arrays]
            self.key = (PLACE, *key)
            self.order = "inside" if before else None
        else:  # x[i[b], ...]: the samples' axis comes with the index axes
            self.order = "first" if together and before else None

    def read(self, y: Tensor) -> Tensor:
        """What the key reads, in the sample's order of axes, samples in front."""
        axes = self._axes(y.ndim)
        return y if axes is None else F.permute_dims(y, axes)

    def write(self, v: Tensor) -> Tensor:
        """The reverse of `read`."""
        axes = self._axes(v.ndim)
        if axes is None:
            return v
        inverse = [0] * len(axes)
        for i, axis in enumerate(axes):
            inverse[axis] = i
        return F.permute_dims(v, tuple(inverse))

    def _axes(self, ndim: int) -> tuple | None:
        """For each axis of the sample's result (samples in front) the axis it has in what the key reads."""
        if self.order is None:
            return None
        w = self.front
        if self.order == "behind":  # (w index axes, B, rest) -> (B, index axes, rest)
            return (w, *range(w), *range(w + 1, ndim))
        if self.order == "inside":  # (B, w, before, rest) -> (B, before, w, rest)
            rest = 1 + w + self.before
            return (0, *range(1 + w, rest), *range(1, 1 + w), *range(rest, ndim))
        b = self.before  # (before, B, w, rest) -> (B, before, w, rest)
        return (b, *range(b), *range(b + 1, ndim))


@rule("getitem")
def _getitem(p: Primitive, values: list, batched: list, params: dict) -> Any:
    x, *arrays = values
    k = Key(params["key"], arrays, batched[1:], batched[0], x.ndim - batched[0], size_of(values, batched))
    if not arrays and any(i is PLACE for i in params["key"]):
        return NotImplemented
    return k.read(apply(p, x, *k.arrays, key=k.key))


@rule("scatter")
def _scatter(p: Primitive, values: list, batched: list, params: dict) -> Any:
    v, *arrays = values
    n, shape = size_of(values, batched), tuple(params["shape"])
    v = v if batched[0] else F.broadcast_to(v, (n, *v.shape))
    k = Key(params["key"], arrays, batched[1:], True, len(shape), n)
    return apply(p, k.write(v), *k.arrays, key=k.key, shape=(n, *shape))


@rule("setitem")
def _setitem(p: Primitive, values: list, batched: list, params: dict) -> Any:
    x, value, *arrays = values
    n = size_of(values, batched)
    x = F.broadcast_to(x, (n, *x.shape)) if not batched[0] else x
    k = Key(params["key"], arrays, batched[2:], True, x.ndim - 1, n)
    if isinstance(value, Tensor):
        samples = [Spec(x.shape[1:], x.dtype), *logical(arrays, batched[2:])]
        place = PRIMITIVES["getitem"].shape("setitem", *samples, key=params["key"]).shape
        if not batched[1]:
            value = F.broadcast_to(value, (n, *value.shape))
        value = value[(slice(None), *[0] * (value.ndim - 1 - len(place)))]  # axes of length 1 in front
        value = k.write(F.broadcast_to(ranked(value, len(place)), (n, *place)))
    return apply(p, x, value, *k.arrays, key=k.key)


@rule("view_set")
def _view_set(p: Primitive, values: list, batched: list, params: dict) -> Any:
    """As setitem of the flat array at the places that the view shows."""
    x, value = values
    n = size_of(values, batched)
    x = x if batched[0] else F.broadcast_to(x, (n, *x.shape))
    places = np.arange(math.prod(x.shape[1:])).reshape(x.shape[1:])
    for name, keywords in params["chain"]:
        places = PRIMITIVES[name].forward(np, places, **keywords)
    index = wrap(x.backend.asarray(places.reshape(-1)))
    if isinstance(value, Tensor):
        value = ranked(value, places.ndim) if batched[1] else value
        value = F.reshape(F.broadcast_to(value, (n, *places.shape)), (n, -1))
    y = apply(PRIMITIVES["setitem"], F.reshape(x, (n, -1)), value, index, key=(slice(None), PLACE))
    return F.reshape(y, x.shape)
