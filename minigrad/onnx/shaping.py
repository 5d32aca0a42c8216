"""Primitives that reduce, move and select, in ONNX."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from ..errors import TraceError
from ..ops.indexing import PLACE
from ..primitive import axes_of
from .graph import INT64, Graph, converts, expands
from .lengths import Dim
from .trace import Value

END = 2**63 - 1  # a bound that ONNX cuts to the length
BOOL, INT32, FLOAT = np.dtype(bool), np.dtype(np.int32), np.dtype(np.float32)

# ---- reductions ------------------------------------------------------------------------------------------------------
REDUCTIONS = {
    "sum": "ReduceSum", "mean": "ReduceMean", "prod": "ReduceProd", "max": "ReduceMax", "min": "ReduceMin",
    "any": "ReduceMax", "all": "ReduceMin", "count_nonzero": "ReduceSum",
}  # fmt: skip


def reduced(g: Graph, op: str, name: str, e: Any) -> str:
    axes = axes_of(e.primitive, e.axis, len(e.x.shape))
    return g.node(op, name, g.ints(axes), keepdims=int(e.keepdims)) if axes else name


@converts(*REDUCTIONS)
def reduce(g: Graph, e: Any) -> str:
    dtype = e.y.dtype
    if e.primitive in ("any", "all", "count_nonzero"):
        dtype = INT64 if e.primitive == "count_nonzero" else INT32
        name = g.cast(g.name(e.x, BOOL), BOOL, dtype)
        return g.cast(reduced(g, REDUCTIONS[e.primitive], name, e), dtype, e.y.dtype)
    if e.primitive in ("max", "min") and dtype.kind == "b":
        return g.cast(reduced(g, REDUCTIONS[e.primitive], g.name(e.x, INT32), e), INT32, dtype)
    return reduced(g, REDUCTIONS[e.primitive], g.name(e.x, dtype), e)


@converts("logsumexp", when=lambda x, **params: len(x.shape) > 0)
def logsumexp(g: Graph, e: Any) -> str:
    return reduced(g, "ReduceLogSumExp", g.name(e.x, e.y.dtype), e)


@converts("argmax", "argmin")
def argmax(g: Graph, e: Any) -> str:
    name, axis = g.name(e.x, FLOAT if e.x.dtype.kind == "b" else None), e.axis
    if axis is None:
        name, axis = g.node("Reshape", name, g.ints((-1,))), 0
    y = g.node("ArgMax" if e.primitive == "argmax" else "ArgMin", name, axis=int(axis), keepdims=int(e.keepdims))
    return g.shape(y, (), e.y.shape) if e.axis is None else y


@converts("argtopk", "argsort", "sort")
def topk(g: Graph, e: Any) -> str:
    if not e.x.shape:
        return g.name(e.x) if e.primitive == "sort" else g.constant(np.zeros((), np.int64))
    axis = e.axis % len(e.x.shape)
    k, largest = (e.k, e.largest) if e.primitive == "argtopk" else (e.x.shape[axis], e.descending)
    values, places = g.node("TopK", g.name(e.x), g.ints((k,)), outputs=2, axis=axis, largest=int(largest), sorted=1)
    return values if e.primitive == "sort" else places


@converts("cumsum")
def cumsum(g: Graph, e: Any) -> str:
    return g.node("CumSum", g.name(e.x, e.y.dtype), g.name(e.axis % len(e.x.shape), INT64))


@expands("sum_to")
def _(F, x, *, shape):
    extra = len(x.shape) - len(shape)
    axes = (*range(extra), *(extra + i for i, n in enumerate(shape) if n != x.shape[extra + i]))
    return F.reshape(F.sum(x, axis=axes), shape=shape)


# ---- shape -----------------------------------------------------------------------------------------------------------
@converts("reshape")
def reshape(g: Graph, e: Any) -> str:
    return g.shape(g.name(e.x), e.x.shape, e.y.shape)


@converts("permute_dims")
def permute_dims(g: Graph, e: Any) -> str:
    n = len(e.x.shape)
    return g.transpose(g.name(e.x), range(n)[::-1] if e.axes is None else (a % n for a in e.axes))


@converts("matrix_transpose")
def matrix_transpose(g: Graph, e: Any) -> str:
    n = len(e.x.shape)
    return g.transpose(g.name(e.x), [*range(n - 2), n - 1, n - 2])


@converts("expand_dims")
def expand_dims(g: Graph, e: Any) -> str:
    axis = e.axis if isinstance(e.axis, (tuple, list)) else (e.axis,)
    return g.unsqueeze(g.name(e.x), axis)


@converts("squeeze")
def squeeze(g: Graph, e: Any) -> str:
    every = [i for i, n in enumerate(e.x.shape) if n == 1]
    return g.squeeze(g.name(e.x), every if e.axis is None else axes_of("squeeze", e.axis, len(e.x.shape)))


@converts("broadcast_to")
def broadcast_to(g: Graph, e: Any) -> str:
    return g.node("Expand", g.name(e.x), g.ints(e.y.shape)) if e.x.shape != e.y.shape else g.name(e.x)


@converts("concat")
def concat(g: Graph, e: Any) -> str:
    return g.node("Concat", *(g.name(x, e.y.dtype) for x in e.inputs), axis=int(e.axis))


@converts("stack")
def stack(g: Graph, e: Any) -> str:
    axis = e.axis % len(e.y.shape)
    return g.node("Concat", *(g.unsqueeze(g.name(x, e.y.dtype), (axis,)) for x in e.inputs), axis=axis)


@converts("split")
def split(g: Graph, e: Any) -> Any:
    made = g.node("Split", g.name(e.x), g.ints(e.sizes), outputs=len(e.outputs), axis=int(e.axis))
    return (made,) if isinstance(made, str) else made


@converts("unstack")
def unstack(g: Graph, e: Any) -> Any:
    name = g.name(e.x)
    return [g.node("Gather", name, g.name(i, INT64), axis=int(e.axis)) for i in range(len(e.outputs))]


def cut(g: Graph, name: str, parts: dict[int, slice]) -> str:
    """x[slices], {axis: slice}."""
    parts = {axis: s for axis, s in parts.items() if s != slice(None)}
    if not parts:
        return name
    steps = [1 if s.step is None else s.step for s in parts.values()]
    starts = [(0 if d > 0 else END) if s.start is None else s.start for s, d in zip(parts.values(), steps)]
    ends = [(END if d > 0 else -END) if s.stop is None else s.stop for s, d in zip(parts.values(), steps)]
    return g.node("Slice", name, g.ints(starts), g.ints(ends), g.ints(parts), g.ints(steps))


@converts("flip")
def flip(g: Graph, e: Any) -> str:
    return cut(g, g.name(e.x), {a: slice(None, None, -1) for a in axes_of("flip", e.axis, len(e.x.shape))})


@converts("roll")
def roll(g: Graph, e: Any) -> str:
    name, n = g.name(e.x), len(e.x.shape)
    if e.axis is None:
        rolled = rolled_once(g, g.node("Reshape", name, g.ints((-1,))), 0, int(e.shift), math.prod(e.x.shape))
        return g.shape(rolled, (), e.x.shape)
    shifts, axes = (v if isinstance(v, (tuple, list)) else (v,) for v in (e.shift, e.axis))
    for shift, axis in zip(shifts, axes):
        name = rolled_once(g, name, axis % n, shift, e.x.shape[axis])
    return name


def rolled_once(g: Graph, name: str, axis: int, shift: int, length: int) -> str:
    if isinstance(length, Dim) and abs(shift) >= length:
        raise TraceError("onnx.export: roll by more than the length of a dynamic axis cannot be exported.")
    shift = shift if isinstance(length, Dim) else shift % max(length, 1)
    if not shift:
        return name
    ends = cut(g, name, {axis: slice(-shift, None)}), cut(g, name, {axis: slice(None, -shift)})
    return g.node("Concat", *ends, axis=axis)


@converts("pad")
def pad(g: Graph, e: Any) -> str:
    before, after = zip(*e.widths) if e.widths else ((), ())
    return g.node("Pad", g.name(e.x), g.ints((*before, *after)), g.name(e.value, e.y.dtype), mode="constant")


@converts("tril", "triu")
def tril(g: Graph, e: Any) -> str:
    return g.node("Trilu", g.name(e.x), g.name(e.k, INT64), upper=int(e.primitive == "triu"))


# ---- indices ---------------------------------------------------------------------------------------------------------
@converts("getitem")
def getitem(g: Graph, e: Any) -> str:
    x, *arrays = e.inputs
    key = list(e.key)
    if any(a.dtype == BOOL for a in arrays):
        raise TraceError(
            f"onnx.export: {e.layer or 'the model'} selects by a mask: the length of the result depends on the "
            "elements. Use where."
        )
    missing = len(x.shape) - sum(k is not None and k is not Ellipsis for k in key)
    at = next((i for i, k in enumerate(key) if k is Ellipsis), len(key))
    key[at : at + 1] = [slice(None)] * missing
    # from here on one entry of the key for each axis of y
    news = [i for i, k in enumerate(key) if k is None]
    y = g.unsqueeze(g.name(x), news)
    key = [slice(None) if k is None else k for k in key]
    y = cut(g, y, {i: k for i, k in enumerate(key) if isinstance(k, slice)})
    numbers = [i for i, k in enumerate(key) if isinstance(k, int)]
    places = [i for i, k in enumerate(key) if k is PLACE]
    if len(numbers) == 1 and not places and not isinstance(key[numbers[0]], Dim):
        return g.node("Gather", y, g.name(int(key[numbers[0]]), INT64), axis=numbers[0])
    y = cut(g, y, {i: slice(key[i], END if key[i] == -1 else key[i] + 1) for i in numbers})
    y = g.squeeze(y, numbers)
    if not places:
        return y
    left = [i for i in range(len(key)) if i not in numbers]  # the axes of y, by their place in the key
    axes, advanced = [left.index(i) for i in places], sorted((*places, *numbers))
    together = advanced == list(range(advanced[0], advanced[-1] + 1))  # else NumPy puts the indices' axes in front
    wide = max((a.shape for a in arrays), key=len)
    if len(places) == 1:
        y, front = g.node("Gather", y, g.name(arrays[0], INT64), axis=axes[0]), axes[0]
    else:
        y = g.transpose(y, [*axes, *(i for i in range(len(left)) if i not in axes)])
        wide = np.broadcast_shapes(*(a.shape for a in arrays))
        indices = [g.name(a, INT64) for a in arrays]
        if any(a.shape != wide for a in arrays):
            indices = [g.node("Expand", i, g.ints(_broadcast(arrays))) for i in indices]
        y, front = g.node("GatherND", y, g.node("Concat", *(g.unsqueeze(i, (-1,)) for i in indices), axis=-1)), 0
    rest, k = len(left) - len(places), len(wide)
    wanted = sum(i not in places for i in left if i < advanced[0]) if together else 0
    order = list(range(k + rest))
    block = order[front : front + k]
    others = order[:front] + order[front + k :]
    return g.transpose(y, [*others[:wanted], *block, *others[wanted:]])


def _broadcast(arrays: list[Value]) -> tuple:
    """The shape of all index arrays together; lengths that follow dynamic axes stay so."""
    n = max(len(a.shape) for a in arrays)
    aligned = [(1,) * (n - len(a.shape)) + a.shape for a in arrays]
    return tuple(next((m for m in lengths if m != 1), 1) for lengths in zip(*aligned))


@converts("take_along_axis")
def take_along_axis(g: Graph, e: Any) -> str:
    axis = e.axis % len(e.x.shape)
    x, indices = g.name(e.x), g.name(e.indices, INT64)
    wanted = tuple(e.x.shape[i] if i == axis else n for i, n in enumerate(e.y.shape))
    if e.x.shape != wanted:
        x = g.node("Expand", x, g.ints(wanted))
    if e.indices.shape != e.y.shape:
        indices = g.node("Expand", indices, g.ints(e.y.shape))
    return g.node("GatherElements", x, indices, axis=axis)


@converts("add_along_axis")
def add_along_axis(g: Graph, e: Any) -> str:
    zeros = g.fill(e.y.shape, 0, e.y.dtype)
    return g.node(
        "ScatterElements", zeros, g.name(e.indices, INT64), g.name(e.v), axis=e.axis % len(e.v.shape), reduction="add"
    )


@converts("windows")
def windows(g: Graph, e: Any) -> str:
    n, lead = len(e.size), len(e.x.shape) - len(e.size)
    if any(isinstance(m, Dim) for m in e.x.shape[lead:]):
        raise TraceError("onnx.export: windows over a dynamic axis cannot be exported. Leave that axis fixed.")
    name = g.name(e.x)
    for i, (k, s, d) in reversed(list(enumerate(zip(e.size, e.stride, e.dilation)))):
        out = e.y.shape[lead + i]
        places = np.arange(out)[:, None] * s + np.arange(k) * d  # (OH, KH)
        name = g.node("Gather", name, g.constant(places), axis=lead + i)
    # (..., OH, KH, OW, KW) to (..., OH, OW, KH, KW)
    return g.transpose(name, [*range(lead), *range(lead, lead + 2 * n, 2), *range(lead + 1, lead + 2 * n, 2)])


@expands("fold_windows")
def _(F, v, *, shape, size, stride, dilation):
    """Axis by axis a product with ones where element (i, k) of the windows is added: at i stride + k dilation."""
    n = len(size)
    lead = len(v.shape) - 2 * n
    front = tuple(range(lead))
    v = F.permute_dims(
        v, axes=(*front, *(lead + i + n * k for i in range(n) for k in range(2)))
    )  # (..., OH, KH, OW, KW)
    for length, k, s, d in reversed(list(zip(shape[len(shape) - n :], size, stride, dilation))):
        out = v.shape[-2]
        places = np.arange(out)[:, None] * s + np.arange(k) * d  # (O, K)
        ones = (places.reshape(-1, 1) == np.arange(length)).astype(v.dtype)  # (O K, length)
        v = F.matmul(F.reshape(v, shape=(*v.shape[:-2], out * k)), ones)
        last = len(v.shape) - 1
        v = F.permute_dims(v, axes=(*front, last, *range(lead, last)))
    return v
