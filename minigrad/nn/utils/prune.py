"""Pruning: weight = weight_orig * weight_mask, computed before each forward; the mask is a buffer of zeros and ones.

What is masked gets no gradient, so it stays zero through training. Pruning again works on what is left. Names, masks
and state are PyTorch's (torch.nn.utils.prune); the random methods draw from minigrad's generator.
"""

from __future__ import annotations

import numbers
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import numpy as np

from ...errors import ArgumentError, AxisError, DTypeError, ShapeError
from ...random import default_generator
from ...tensor import Handle, Tensor, wrap
from ..module import Module, Parameter
from .convert_parameters import parameters_to_vector
from .weight_norm import hooks_before


def _checked_amount(amount: Any) -> Any:
    if not isinstance(amount, numbers.Real):
        raise DTypeError(f"prune: amount must be a fraction or a count: got {amount!r}.")
    if amount < 0 or (not isinstance(amount, numbers.Integral) and not amount <= 1):
        raise ArgumentError(f"prune: amount must be a fraction from 0.0 to 1.0 or a count of at least 0: got {amount}.")
    return amount


def _count(amount: Any, size: int) -> int:
    """How many of `size` an amount is."""
    count = int(amount) if isinstance(amount, numbers.Integral) else round(amount * size)
    if count > size:
        raise ArgumentError(f"prune: amount must be at most the number that is left, {size}: got {count}.")
    return count


def _checked_axis(t: Tensor, dim: int) -> int:
    if t.ndim < 2:
        raise ShapeError(f"prune: structured pruning needs a tensor of at least 2 axes: got shape {t.shape}.")
    if not -t.ndim <= dim < t.ndim:
        raise AxisError(f"prune: dim must be an axis of the tensor {t.shape}: got {dim}.")
    return dim % t.ndim


def _smallest(scores: Any, count: int) -> np.ndarray:
    """The places of the `count` smallest numbers; among equals the first."""
    return np.argsort(scores, kind="stable")[:count]


class BasePruningMethod:
    """Base of pruning methods, and the hook of one: subclasses write ``compute_mask(t, default_mask)``.

    PRUNING_TYPE says what a second pruning sees: "unstructured", the elements left, as a vector; "structured", the
    channels left along ``self.dim``; "global", everything.
    """

    PRUNING_TYPE = "unstructured"
    _tensor_name: str
    handle: Handle

    def __call__(self, module: Module, inputs: tuple) -> None:
        setattr(module, self._tensor_name, self.apply_mask(module))

    def compute_mask(self, t: Tensor, default_mask: Tensor) -> Tensor:
        """The mask, like t: 0 where t is pruned. t: the importance of each element; default_mask: the mask so far."""
        raise NotImplementedError(f"{type(self).__name__}: write its compute_mask(self, t, default_mask).")

    def apply_mask(self, module: Module) -> Tensor:
        """The pruned tensor, orig * mask."""
        orig = getattr(module, f"{self._tensor_name}_orig")
        return getattr(module, f"{self._tensor_name}_mask").astype(orig.dtype) * orig

    @classmethod
    def apply(
        cls, module: Module, name: str, *args: Any, importance_scores: Tensor | None = None, **kwargs: Any
    ) -> Any:
        """Prune the parameter `name` of the module, on top of what was pruned before; returns the hook."""
        new = cls(*args, **kwargs)
        new._tensor_name = name
        before = _hook(module, name)
        held: Any = getattr(module, name, None)
        if not isinstance(held, Parameter) and before is None:
            raise ArgumentError(f"prune: {type(module).__name__} must have a parameter {name!r} to prune.")
        scores: Any = held if importance_scores is None else importance_scores
        if scores.shape != held.shape:
            raise ShapeError(
                f"prune: importance_scores must have the shape of {name}, {held.shape}: got {scores.shape}."
            )
        if before is None:
            mask = new.compute_mask(scores.detach(), default_mask=_ones(held))
            delattr(module, name)
            module.register_parameter(f"{name}_orig", held)
            method: BasePruningMethod = new
        else:
            method = PruningContainer(*before) if isinstance(before, PruningContainer) else PruningContainer(before)
            method.add_pruning_method(new)
            mask = method.compute_mask(scores.detach(), default_mask=getattr(module, f"{name}_mask").detach().clone())
            before.handle.remove()
        module.register_buffer(f"{name}_mask", mask)
        method(module, ())
        method.handle = module.register_forward_pre_hook(method)
        return method

    def prune(self, t: Tensor, default_mask: Tensor | None = None, importance_scores: Tensor | None = None) -> Tensor:
        """t with the mask applied, without a module."""
        scores = t if importance_scores is None else importance_scores
        if scores.shape != t.shape:
            raise ShapeError(f"prune: importance_scores must have the shape of t, {t.shape}: got {scores.shape}.")
        mask = _ones(t) if default_mask is None else default_mask
        return t * self.compute_mask(scores.detach(), default_mask=mask)

    def remove(self, module: Module) -> None:
        """Make the pruned values the parameter's own; the zeros stay, but nothing holds them any longer."""
        name = self._tensor_name
        weight, orig = self.apply_mask(module), getattr(module, f"{name}_orig")
        orig.data = weight.detach()
        for key in (name, f"{name}_orig", f"{name}_mask"):
            delattr(module, key)
        setattr(module, name, orig)


def _ones(t: Tensor) -> Tensor:
    return wrap(t.backend.xp.ones_like(t.array))


def _hook(module: Module, name: str) -> Any:
    """The pruning of this tensor, or None."""
    found = (h for h in hooks_before(module) if isinstance(h, BasePruningMethod) and h._tensor_name == name)
    return next(found, None)


class PruningContainer(BasePruningMethod):
    """Several pruning methods of one tensor, in order."""

    PRUNING_TYPE = "container"

    def __init__(self, *methods: BasePruningMethod):
        self._pruning_methods: tuple[BasePruningMethod, ...] = ()
        if methods:
            self._tensor_name = methods[0]._tensor_name
        for method in methods:
            self.add_pruning_method(method)

    def add_pruning_method(self, method: BasePruningMethod) -> None:
        if not isinstance(method, BasePruningMethod):
            raise DTypeError(f"PruningContainer: methods must be BasePruningMethods: got {type(method).__name__}.")
        if method._tensor_name != self._tensor_name:
            raise ArgumentError(
                f"PruningContainer: all methods must prune {self._tensor_name!r}: got one for {method._tensor_name!r}."
            )
        self._pruning_methods += (method,)

    def __len__(self) -> int:
        return len(self._pruning_methods)

    def __iter__(self) -> Iterator[BasePruningMethod]:
        return iter(self._pruning_methods)

    def __getitem__(self, index: Any) -> Any:
        return self._pruning_methods[index]

    def compute_mask(self, t: Tensor, default_mask: Tensor) -> Tensor:
        """default_mask, with what the newest method prunes of the part that is left."""
        method, mask = self._pruning_methods[-1], default_mask.numpy()
        part: Any = ...
        if method.PRUNING_TYPE == "unstructured":
            part = mask == 1
        elif method.PRUNING_TYPE == "structured":
            axis = _checked_axis(t, method.dim)  # type: ignore[attr-defined]
            left = mask.any(axis=tuple(a for a in range(t.ndim) if a != axis))
            part = (slice(None),) * axis + (left,)
        elif method.PRUNING_TYPE != "global":
            raise ArgumentError(
                f"prune: PRUNING_TYPE must be unstructured, structured or global: got {method.PRUNING_TYPE!r}."
            )
        xp = t.backend
        found = method.compute_mask(
            wrap(xp.asarray(t.detach().numpy()[part])), default_mask=wrap(xp.asarray(mask[part].copy()))
        )
        new = mask.astype(t.dtype)
        new[part] = found.numpy()
        return wrap(xp.asarray(new))


class Identity(BasePruningMethod):
    """Prunes nothing, but puts mask and original in place."""

    def compute_mask(self, t: Tensor, default_mask: Tensor) -> Tensor:
        return default_mask


class _Elements(BasePruningMethod):
    """Zeroes the elements with the smallest scores."""

    def __init__(self, amount: Any):
        self.amount = _checked_amount(amount)

    def _scores(self, t: Tensor) -> np.ndarray:
        raise NotImplementedError

    def compute_mask(self, t: Tensor, default_mask: Tensor) -> Tensor:
        count, mask = _count(self.amount, t.size), default_mask.numpy().copy()
        mask.reshape(-1)[_smallest(self._scores(t), count)] = 0
        return wrap(t.backend.asarray(mask))


class RandomUnstructured(_Elements):
    """Prunes elements at random. amount: a fraction of them, or a count."""

    def _scores(self, t: Tensor) -> np.ndarray:
        return default_generator.numpy("random", t.size)


class L1Unstructured(_Elements):
    """Prunes the elements of the smallest magnitude. amount: a fraction of them, or a count."""

    def _scores(self, t: Tensor) -> np.ndarray:
        return np.abs(t.numpy()).reshape(-1)


class _Channels(BasePruningMethod):
    """Zeroes the channels along `dim` with the smallest scores."""

    PRUNING_TYPE = "structured"

    def __init__(self, amount: Any, dim: int = -1):
        self.amount, self.dim = _checked_amount(amount), dim

    def _scores(self, t: Tensor, axis: int) -> np.ndarray:
        raise NotImplementedError

    def compute_mask(self, t: Tensor, default_mask: Tensor) -> Tensor:
        axis = _checked_axis(t, self.dim)
        count, mask = _count(self.amount, t.shape[axis]), default_mask.numpy().copy()
        mask[(slice(None),) * axis + (_smallest(self._scores(t, axis), count),)] = 0
        return wrap(t.backend.asarray(mask))


class RandomStructured(_Channels):
    """Prunes channels along `dim` at random. amount: a fraction of them, or a count."""

    def _scores(self, t: Tensor, axis: int) -> np.ndarray:
        return default_generator.numpy("random", t.shape[axis])


class LnStructured(_Channels):
    """Prunes the channels along `dim` of the smallest n-norm (n: a number, inf, -inf or "fro")."""

    def __init__(self, amount: Any, n: Any, dim: int = -1):
        super().__init__(amount, dim)
        self.n = 2 if n == "fro" else n
        if not isinstance(self.n, numbers.Real):
            raise ArgumentError(f"ln_structured: n must be a number or 'fro': got {n!r}.")

    def _scores(self, t: Tensor, axis: int) -> np.ndarray:
        rows = np.moveaxis(t.numpy(), axis, 0).reshape(t.shape[axis], -1)
        return np.linalg.norm(rows, self.n, axis=1)


class CustomFromMask(BasePruningMethod):
    """Prunes where the mask given is 0."""

    PRUNING_TYPE = "global"

    def __init__(self, mask: Any):
        self.mask = mask

    def compute_mask(self, t: Tensor, default_mask: Tensor) -> Tensor:
        if tuple(self.mask.shape) != default_mask.shape:
            raise ShapeError(
                f"custom_from_mask: the mask must have the tensor's shape {default_mask.shape}: got {self.mask.shape}."
            )
        mask = self.mask if isinstance(self.mask, Tensor) else wrap(t.backend.asarray(self.mask))
        return default_mask * mask.astype(default_mask.dtype)


# ---- functions -------------------------------------------------------------------------------------------------------
def identity(module: Module, name: str) -> Module:
    """Put the mask (all ones) and the original in place, without pruning."""
    Identity.apply(module, name)
    return module


def random_unstructured(module: Module, name: str, amount: Any) -> Module:
    """Prune elements of the parameter at random. amount: a fraction of those left, or a count."""
    RandomUnstructured.apply(module, name, amount=amount)
    return module


def l1_unstructured(module: Module, name: str, amount: Any, importance_scores: Tensor | None = None) -> Module:
    """Prune the elements of the smallest magnitude (of the parameter, or of importance_scores).

    amount: a fraction of those left, or a count.

    >>> import minigrad as mg
    >>> from minigrad import nn
    >>> from minigrad.nn.utils import prune
    >>> layer = nn.Linear(4, 1, bias=False)
    >>> layer.weight.data = mg.tensor([[3.0, -1.0, 2.0, -4.0]])
    >>> prune.l1_unstructured(layer, "weight", amount=0.5).weight.tolist()
    [[3.0, -0.0, 0.0, -4.0]]
    >>> list(layer.state_dict())
    ['weight_orig', 'weight_mask']
    """
    L1Unstructured.apply(module, name, amount=amount, importance_scores=importance_scores)
    return module


def random_structured(module: Module, name: str, amount: Any, dim: int) -> Module:
    """Prune channels of the parameter along `dim` at random. amount: a fraction of those left, or a count."""
    RandomStructured.apply(module, name, amount=amount, dim=dim)
    return module


def ln_structured(
    module: Module, name: str, amount: Any, n: Any, dim: int, importance_scores: Tensor | None = None
) -> Module:
    """Prune the channels along `dim` of the smallest n-norm. amount: a fraction of those left, or a count."""
    LnStructured.apply(module, name, amount=amount, n=n, dim=dim, importance_scores=importance_scores)
    return module


def global_unstructured(
    parameters: Iterable[tuple[Module, str]],
    pruning_method: Any,
    importance_scores: Mapping[tuple[Module, str], Tensor] | None = None,
    **kwargs: Any,
) -> None:
    """Prune several parameters, given as (module, name), as if they were one vector: the smallest of all go.

    pruning_method: a class of PRUNING_TYPE "unstructured"; **kwargs: its arguments, such as amount.
    """
    if not isinstance(parameters, Iterable):
        raise DTypeError(
            f"global_unstructured: parameters must be (module, name) pairs: got {type(parameters).__name__}."
        )
    if not isinstance(importance_scores, Mapping | None):
        raise DTypeError(
            f"global_unstructured: importance_scores must be a dict: got {type(importance_scores).__name__}."
        )
    parameters, given = list(parameters), importance_scores or {}
    method = pruning_method(**kwargs)
    if method.PRUNING_TYPE != "unstructured":
        raise DTypeError(
            f"global_unstructured: pruning_method must be unstructured: {pruning_method.__name__} is "
            f"{method.PRUNING_TYPE}."
        )
    held = [getattr(module, name).detach() for module, name in parameters]
    scores = parameters_to_vector([given.get(pair, t).detach() for pair, t in zip(parameters, held)])
    masks = [getattr(module, f"{name}_mask", _ones(t)).detach() for (module, name), t in zip(parameters, held)]
    method._tensor_name = "vector"
    mask = PruningContainer(method).compute_mask(scores, parameters_to_vector(masks))
    start = 0
    for (module, name), t in zip(parameters, held):
        custom_from_mask(module, name, mask[start : start + t.size].reshape(t.shape))
        start += t.size


def custom_from_mask(module: Module, name: str, mask: Any) -> Module:
    """Prune where the mask, of the parameter's shape, is 0."""
    CustomFromMask.apply(module, name, mask)
    return module


def remove(module: Module, name: str) -> Module:
    """Make the pruned values the parameter's own, without mask and hook."""
    hook = _hook(module, name)
    if hook is None:
        raise ArgumentError(f"prune.remove: {name!r} of {type(module).__name__} must be pruned first.")
    hook.remove(module)
    hook.handle.remove()
    return module


def is_pruned(module: Module) -> bool:
    """Is a parameter of this module, or of a part of it, pruned?"""
    return any(isinstance(h, BasePruningMethod) for m in module.modules() for h in hooks_before(m))
