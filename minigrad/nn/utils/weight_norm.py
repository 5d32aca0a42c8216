"""Weight normalisation by a hook before each forward, as older PyTorch code has it; new code: parametrizations."""

from __future__ import annotations

from typing import Any

from ...errors import ArgumentError
from ...tensor import Handle, Tensor
from ..module import Module, Parameter
from .parametrizations import norm_except_dim


class WeightNorm:
    """The hook: ``module.<name>`` = <name>_g <name>_v / |<name>_v|."""

    handle: Handle

    def __init__(self, name: str, dim: int | None):
        self.name, self.dim = name, -1 if dim is None else dim

    def compute_weight(self, module: Module) -> Tensor:
        g, v = getattr(module, f"{self.name}_g"), getattr(module, f"{self.name}_v")
        return v * (g / norm_except_dim(v, self.dim))

    def __call__(self, module: Module, inputs: tuple) -> None:
        setattr(module, self.name, self.compute_weight(module))


def hooks_before(module: Module) -> list:
    """What is called before each forward of the module."""
    return [hook.call for hook in module._hooks.before] if module._hooks else []


def hook_on(module: Module, name: str, kind: Any) -> Any:
    """The hook of this kind for this name, or None."""
    return next((h for h in hooks_before(module) if isinstance(h, kind) and h.name == name), None)


def weight_norm(module: Module, name: str = "weight", dim: int | None = 0) -> Module:
    """w = g v / |v| with parameters <name>_g and <name>_v, before each forward; see parametrizations.weight_norm.

    >>> from minigrad import nn
    >>> list(nn.utils.weight_norm(nn.Linear(20, 40)).state_dict())
    ['bias', 'weight_g', 'weight_v']
    """
    if hook_on(module, name, WeightNorm):
        raise ArgumentError(f"weight_norm: {name!r} has it already.")
    try:
        weight = module.get_parameter(name)
    except KeyError:
        raise ArgumentError(f"weight_norm: {type(module).__name__} must have a parameter {name!r}.") from None
    hook = WeightNorm(name, dim)
    g = norm_except_dim(weight.detach(), hook.dim)
    delattr(module, name)
    module.register_parameter(f"{name}_g", Parameter(g))
    module.register_parameter(f"{name}_v", Parameter(weight.detach()))
    hook(module, ())
    hook.handle = module.register_forward_pre_hook(hook)
    return module


def remove_weight_norm(module: Module, name: str = "weight") -> Module:
    """Make the present weight a parameter again."""
    hook = hook_on(module, name, WeightNorm)
    if hook is None:
        raise ArgumentError(f"remove_weight_norm: {type(module).__name__} has none on {name!r}.")
    weight = hook.compute_weight(module).detach()
    for key in (name, f"{name}_g", f"{name}_v"):
        delattr(module, key)
    module.register_parameter(name, Parameter(weight))
    hook.handle.remove()
    return module
