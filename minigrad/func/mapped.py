"""vmap: a function of one sample becomes a function of a batch."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import Any

from ..errors import ArgumentError, ShapeError
from ..functions import moveaxis
from ..tensor import F, Tensor, wrap
from .arguments import as_tensor, is_array, place
from .batching import Batched, VmapLevel, physical
from .tree import TreeDef, tree_flatten

RANDOMNESS = ("error", "different", "same")


def vmap(
    func: Callable,
    in_axes: Any = 0,
    out_axes: Any = 0,
    randomness: str = "error",
    *,
    chunk_size: int | None = None,
    in_dims: Any = 0,
    out_dims: Any = 0,
) -> Callable:
    """func over every sample of a batch, at once: inside, func sees one sample; the batch's axis is hidden.

    in_axes: the axis of the samples in each argument, None where all share it: an int for all, or a tuple (list, dict)
    that follows the arguments and may stop early. Keyword arguments are mapped over axis 0. out_axes: where the
    samples' axis comes in the outputs, likewise. randomness: what happens if func draws random numbers: "error",
    "different" ones for each sample, or the "same" for all. chunk_size: at most so many samples at a time. in_dims,
    out_dims: PyTorch's words for the axes.

    vmaps nest, and combine with all transforms: ``vmap(grad(loss), (None, 0, 0))`` gives the gradient of each sample.
    Primitives without a batching rule run sample by sample. As torch.func.vmap; unlike there, outputs may be numbers,
    and func may return what does not depend on the batch.

    >>> import numpy as np
    >>> vmap(lambda a, b: a @ b)(np.ones((4, 3)), np.ones((4, 3))).tolist()
    [3.0, 3.0, 3.0, 3.0]

    Raises ArgumentError or AxisError where in_axes does not fit the arguments, ShapeError where batch sizes differ.
    """
    in_axes, out_axes = (b if a == 0 else a for a, b in ((in_axes, in_dims), (out_axes, out_dims)))
    if randomness not in RANDOMNESS:
        raise ArgumentError(f"vmap: randomness must be one of {RANDOMNESS}: got {randomness!r}.")
    if chunk_size is not None and chunk_size < 1:
        raise ArgumentError(f"vmap: chunk_size must be positive or None: got {chunk_size}.")

    @functools.wraps(func)
    def wrapper(*args: Any, **kwargs: Any) -> Any:
        leaves, structure = tree_flatten((args, kwargs))
        axes = _axes(in_axes, structure, len(args))
        size = _move_front(leaves, axes)
        if chunk_size is None or chunk_size >= size:
            return _run(func, leaves, axes, structure, size, out_axes, randomness)
        parts = []
        for start in range(0, size, chunk_size):
            some = [x if a is None else x[start : start + chunk_size] for x, a in zip(leaves, axes)]
            parts.append(_run(func, some, axes, structure, min(chunk_size, size - start), out_axes, randomness))
        return _joined(parts, out_axes)

    return wrapper


def _axes(in_axes: Any, structure: TreeDef, count: int) -> list:
    """The samples' axis of every leaf of (args, kwargs)."""
    positional, named = structure.children
    if isinstance(in_axes, (tuple, list)) and len(in_axes) != count:
        raise ArgumentError(f"vmap: in_axes must have an entry for each argument: got {len(in_axes)} for {count}.")
    if isinstance(in_axes, list):
        in_axes = tuple(in_axes)
    return positional.spread(in_axes, "vmap: in_axes", _is_axis) + [0] * named.num_leaves


def _is_axis(x: Any) -> bool:
    return x is None or isinstance(x, int) or hasattr(x, "__index__")


def _move_front(leaves: list, axes: list) -> int:
    """Makes axis 0 the samples' of all mapped leaves, in place; returns how many samples there are."""
    sizes: dict[int, int] = {}
    for i, (x, axis) in enumerate(zip(leaves, axes)):
        if axis is None:
            continue
        who = f"vmap: in_axes of leaf {i}"
        if not is_array(x):
            raise ArgumentError(f"{who} must be None, since it is no array but a {type(x).__name__}: got {axis}.")
        t = as_tensor(x, who)
        if not t.ndim:
            raise ArgumentError(f"{who} must be None, since the value is 0-d and has no axis to map over: got {axis}.")
        n = place(axis, t.ndim, who)
        leaves[i] = t if n == 0 else moveaxis(t, n, 0)
        sizes[i] = t.shape[n]
    if not sizes:
        raise ArgumentError("vmap: at least one argument must be mapped over: in_axes has only None.")
    if len(set(sizes.values())) > 1:
        came = ", ".join(f"{n} (leaf {i}, {leaves[i].shape})" for i, n in sizes.items())
        raise ShapeError(f"vmap: all mapped arguments must have the same number of samples: got {came}.")
    return next(iter(sizes.values()))


def _run(
    func: Callable, leaves: list, axes: list, structure: TreeDef, size: int, out_axes: Any, randomness: str
) -> Any:
    level = VmapLevel(size, randomness)
    with level.entered():
        inputs = [x if a is None else wrap(Batched(level, x)) for x, a in zip(leaves, axes)]
        args, kwargs = structure.unflatten(inputs)
        outputs, made = tree_flatten(func(*args, **kwargs))
    places = made.spread(out_axes, "vmap: out_axes", _is_axis)
    results: list[Any] = []
    for k, (y, axis) in enumerate(zip(outputs, places)):
        t = as_tensor(y, f"vmap: output {k} of the function")
        if axis is None:
            if isinstance(t.array, Batched) and t.array.level is level:
                if t.array.batched:
                    raise ArgumentError(f"vmap: out_axes of output {k} is None, but it is different for each sample.")
                t = t.array.value
            results.append(t)
            continue
        t = physical(t, level, size)
        n = place(axis, t.ndim, f"vmap: out_axes of output {k}")
        results.append(t if n == 0 else moveaxis(t, 0, n))
    return made.unflatten(results)


def _joined(parts: Sequence, out_axes: Any) -> Any:
    """The results of the chunks, one after the other along the samples' axes."""
    structure = tree_flatten(parts[0])[1]
    columns = zip(*(tree_flatten(part)[0] for part in parts))
    axes = structure.spread(out_axes, "vmap: out_axes", _is_axis)
    return structure.unflatten(c[0] if a is None else _concat(c, a) for c, a in zip(columns, axes))


def _concat(parts: Sequence[Tensor], axis: int) -> Tensor:
    return F.concat(*parts, axis=axis)
