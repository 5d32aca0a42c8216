"""A module as a function of its state: y = f(parameters, x)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from ...errors import ArgumentError, DTypeError, StateError
from ...tensor import F, Tensor
from ..module import Module


def functional_call(
    module: Module,
    parameters_and_buffers: Mapping[str, Tensor] | Sequence[Mapping[str, Tensor]],
    args: Any = None,
    kwargs: Mapping[str, Any] | None = None,
    *,
    tie_weights: bool = True,
    strict: bool = False,
) -> Any:
    """module(*args, **kwargs) with these tensors, by path, in place of its own; gradients flow to them.

    args: a tuple, or the single argument. tie_weights: a tensor the module has under several names is replaced under
    all of them. strict: every parameter and buffer must be given. torch.func.functional_call.

    >>> import minigrad as mg
    >>> from minigrad import nn
    >>> from minigrad.nn.utils.stateless import functional_call
    >>> layer = nn.Linear(2, 1)
    >>> functional_call(layer, {"weight": mg.ones(1, 2), "bias": mg.zeros(1)}, mg.ones(3, 2)).tolist()
    [[2.0], [2.0], [2.0]]
    """
    if not isinstance(parameters_and_buffers, Mapping):
        merged: dict[str, Tensor] = {}
        for given in parameters_and_buffers:
            if twice := merged.keys() & given.keys():
                raise ArgumentError(f"functional_call: each name must be given once: {sorted(twice)} came twice.")
            merged.update(given)
        parameters_and_buffers = merged
    args = () if args is None else args if isinstance(args, tuple) else (args,)
    with _replaced(module, parameters_and_buffers, tie_weights, strict):
        return module(*args, **(kwargs or {}))


@contextmanager
def _replaced(module: Module, given: Mapping[str, Tensor], tie_weights: bool, strict: bool) -> Iterator[None]:
    """Inside, the module holds the tensors given by path."""
    places: dict[str, tuple[dict, str, Tensor]] = {}  # path -> where it is kept, and what is there
    for path, part in module.named_modules(remove_duplicate=False):
        for name, t in (*part._own_parameters(), *part._own_buffers()):
            places[f"{path}.{name}" if path else name] = part.__dict__, name, t
    unexpected = sorted(given.keys() - places.keys())
    values = {path: t for path, t in given.items() if path in places}
    for path, t in values.items():
        if not isinstance(t, Tensor):
            raise DTypeError(f"functional_call: {path} must be a tensor: got {type(t).__name__}.")
    if tie_weights:
        chosen: dict[int, Tensor] = {}
        for path, t in values.items():
            if chosen.setdefault(id(places[path][2]), t) is not t:
                raise ArgumentError(
                    f"functional_call: {path} is one tensor under several names, which were given different values. "
                    "Give one of them, or pass tie_weights=False."
                )
        values = {path: chosen[id(t)] for path, (_, _, t) in places.items() if id(t) in chosen}
    missing = [path for path in places if path not in values]
    if unexpected or (strict and missing):
        lines = [f"unexpected: {', '.join(unexpected)}"] * bool(unexpected)
        lines += [f"missing: {', '.join(missing)}"] * bool(strict and missing)
        raise StateError(f"functional_call: the names must be {type(module).__name__}'s: {'; '.join(lines)}.")
    try:
        for path, t in values.items():
            holder, name, _ = places[path]
            holder[name] = t
        yield
    finally:
        for path in values:
            holder, name, t = places[path]
            holder[name] = t


def stack_module_state(models: Sequence[Module]) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    """(parameters, buffers) of several models of one kind, by path, each (M, ...) over the M models: for an ensemble in
    one call by `vmap`. The parameters are new leaves. torch.func.stack_module_state.

    >>> import minigrad as mg
    >>> from minigrad import nn
    >>> from minigrad.func import functional_call, vmap
    >>> models = [nn.Linear(2, 1) for _ in range(3)]
    >>> state = stack_module_state(models)
    >>> vmap(lambda *state: functional_call(models[0], state, mg.ones(5, 2)))(*state).shape
    (3, 5, 1)
    """
    models = list(models)
    if not models:
        raise ArgumentError("stack_module_state: at least one model must be given: got none.")
    first = models[0]
    for model in models:
        if type(model) is not type(first) or model.training is not first.training:
            raise ArgumentError(
                "stack_module_state: the models must be of one class and in one mode: got "
                f"{type(first).__name__} and {type(model).__name__}, training {first.training} and {model.training}."
            )
    learned = [dict(model.named_parameters()) for model in models]
    kept = [dict(model.named_buffers()) for model in models]
    parameters: dict[str, Tensor] = {}
    for name, p in learned[0].items():
        parts = [own[name] for own in learned]
        if any(part.requires_grad is not p.requires_grad for part in parts):
            raise ArgumentError(f"stack_module_state: {name} must be learned in all models or frozen in all.")
        parameters[name] = F.stack([part.detach() for part in parts]).requires_grad_(p.requires_grad)
    return parameters, {name: F.stack([own[name] for own in kept]) for name in kept[0]}
