"""Less memory for more time: forget what a part of the forward saved, and compute it again when it is needed."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

from ..autograd import Node, tick
from ..mode import MODE
from ..random import default_generator
from ..tensor import Tensor, wrap
from .custom import recorded
from .forward import walk
from .levels import inside
from .tree import tree_flatten


def checkpoint(
    function: Callable,
    *args: Any,
    preserve_rng_state: bool = True,
    use_reentrant: Any = None,
    determinism_check: Any = None,
    debug: Any = None,
    **kwargs: Any,
) -> Any:
    """function(*args, **kwargs), whose intermediate values are not kept for the gradient but computed again.

    ``checkpoint(block, x)`` calls, as torch.utils.checkpoint.checkpoint; ``checkpoint(f)`` without arguments gives the
    function that does, as jax.checkpoint. The gradient of any order is the same, for the arguments and for everything
    else the function uses (a module's parameters). Memory: the inputs; while it is computed, what the function saves.
    preserve_rng_state: the second time the shared generator draws the same numbers (dropout). Running statistics are
    updated twice, as in PyTorch. Chen et al. 2016, arXiv:1604.06174. PyTorch's use_reentrant, determinism_check and
    debug have no effect.

    >>> import minigrad as mg
    >>> from minigrad.func import checkpoint
    >>> x = mg.tensor([1.0, 2.0], requires_grad=True)
    >>> checkpoint(lambda x: mg.exp(mg.sin(x)), x).sum().backward()
    """
    if not args and not kwargs:
        return functools.wraps(function)(functools.partial(_checkpointed, function, preserve_rng_state))
    return _checkpointed(function, preserve_rng_state, *args, **kwargs)


def _checkpointed(function: Callable, preserve_rng_state: bool, *args: Any, **kwargs: Any) -> Any:
    mode = MODE.get()
    if not mode.recording:
        return function(*args, **kwargs)
    before = default_generator.get_state() if preserve_rng_state else None
    start = tick()
    result = function(*args, **kwargs)
    leaves, structure = tree_flatten(result)
    ys = [y for y in leaves if isinstance(y, Tensor) and y.node is not None and y.node.order > start]
    if not ys:
        return result
    # what the graph of this run starts from: nodes that were there before, of arguments and of anything else
    stops = _before(start, [y.node for y in ys])
    made = {id(y): wrap(y.array) for y in ys}

    def rule(gs: list, graph: bool) -> list:
        now = default_generator.get_state() if before is not None else None
        if before is not None:
            default_generator.set_state(before)
        try:
            with inside(MODE.get().but(recording=True)):
                again = tree_flatten(function(*args, **kwargs))[0]
        finally:
            if now is not None:
                default_generator.set_state(now)
        ys = [y for y, flag in zip(again, places) if flag]
        pairs = [(y.node, g) for y, g in zip(ys, gs) if g is not None and y.node is not None]
        found = walk([n for n, _ in pairs], [g for _, g in pairs], stops, graph=graph)
        return [found.get(n) for n in stops]

    places = [id(y) in made for y in leaves]
    recorded("checkpoint", stops, list(made.values()), rule)
    return structure.unflatten(made.get(id(y), y) for y in leaves)


def _before(start: int, roots: list) -> list[Node]:
    """The nodes older than `start` that newer ones were computed from."""
    seen = set(roots)
    stack, found = list(seen), []
    while stack:
        node = stack.pop()
        if node.order < start:
            found.append(node)
            continue
        for parent in node.inputs:
            if parent is not None and parent not in seen:
                seen.add(parent)
                stack.append(parent)
    return sorted(found, key=lambda n: n.order)
