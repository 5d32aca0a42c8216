"""Spectral normalisation by a hook before each forward, as older PyTorch code has it; new code: parametrizations."""

from __future__ import annotations

from ...errors import ArgumentError
from ...mode import no_grad
from ...random import randn
from ...tensor import F, Handle, Tensor
from ..module import Module, Parameter
from .parametrizations import _checked_iterations, as_matrix, normalized, outputs_axis, power_iteration
from .weight_norm import hook_on


class SpectralNorm:
    """The hook: ``module.<name>`` = <name>_orig / (u^T W v); in training u and v follow W before."""

    handle: Handle

    def __init__(self, name: str, n_power_iterations: int, dim: int, eps: float):
        self.name, self.dim, self.eps = name, dim, eps
        self.n_power_iterations = _checked_iterations(n_power_iterations)

    def compute_weight(self, module: Module, do_power_iteration: bool) -> Tensor:
        weight, u, v = (getattr(module, f"{self.name}_{key}") for key in ("orig", "u", "v"))
        matrix = as_matrix(weight, self.dim)
        if do_power_iteration:  # v first, other than in parametrizations
            power_iteration(matrix.mT, v, u, self.n_power_iterations, self.eps)
        u, v = u.clone(), v.clone()
        return weight / F.sum(u * (matrix @ v))

    def __call__(self, module: Module, inputs: tuple) -> None:
        setattr(module, self.name, self.compute_weight(module, module.training))


def spectral_norm(
    module: Module, name: str = "weight", n_power_iterations: int = 1, eps: float = 1e-12, dim: int | None = None
) -> Module:
    """W / sigma(W) with parameter <name>_orig and buffers <name>_u, <name>_v; see parametrizations.spectral_norm.

    >>> from minigrad import nn
    >>> list(nn.utils.spectral_norm(nn.Linear(20, 40)).state_dict())
    ['bias', 'weight_orig', 'weight_u', 'weight_v']
    """
    if hook_on(module, name, SpectralNorm):
        raise ArgumentError(f"spectral_norm: {name!r} has it already.")
    try:
        weight = module.get_parameter(name)
    except KeyError:
        raise ArgumentError(f"spectral_norm: {type(module).__name__} must have a parameter {name!r}.") from None
    hook = SpectralNorm(name, n_power_iterations, outputs_axis(module, dim), eps)
    u, v = (
        normalized(randn(n, dtype=weight.dtype).to(weight.device), eps)
        for n in as_matrix(weight.detach(), hook.dim).shape
    )
    delattr(module, name)
    module.register_parameter(f"{name}_orig", weight)
    setattr(module, name, weight.detach())
    module.register_buffer(f"{name}_u", u)
    module.register_buffer(f"{name}_v", v)
    hook.handle = module.register_forward_pre_hook(hook)
    return module


def remove_spectral_norm(module: Module, name: str = "weight") -> Module:
    """Make the present weight a parameter again."""
    hook = hook_on(module, name, SpectralNorm)
    if hook is None:
        raise ArgumentError(f"remove_spectral_norm: {type(module).__name__} has none on {name!r}.")
    with no_grad():
        weight = hook.compute_weight(module, False).detach()
    for key in (name, f"{name}_u", f"{name}_v", f"{name}_orig"):
        delattr(module, key)
    module.register_parameter(name, Parameter(weight))
    hook.handle.remove()
    return module
