"""A tensor of a module as a function of others: ``weight = f_n(... f_1(original))``, computed at each access.

The class of the module is exchanged for a subclass with a property in the tensor's place. What is learned and saved is
the original, under ``parametrizations.weight.original`` (``original0``, ``original1``, ... where f_1 takes several).
Names and behaviour are PyTorch's (torch.nn.utils.parametrize).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from copy import deepcopy
from typing import Any

from ...edits import written
from ...errors import ArgumentError, DTypeError, ShapeError, StateError
from ...mode import no_grad
from ...tensor import Tensor
from ..containers import ModuleDict, ModuleList
from ..module import Module, Parameter, _move

_computed: ContextVar[dict | None] = ContextVar("parametrised tensors inside cached()", default=None)


@contextmanager
def cached() -> Iterator[None]:
    """Inside, each parametrised tensor is computed at its first access only; outside nothing is kept.

    For models that read one weight several times, such as recurrent ones. The optimizer's step belongs outside.
    """
    token = None if _computed.get() is not None else _computed.set({})
    try:
        yield
    finally:
        if token is not None:
            _computed.reset(token)


def _checked(what: str, value: Any, like: Any) -> Tensor:
    """`value`, if it is a tensor with the dtype and shape of `like`."""
    if not isinstance(value, Tensor):
        raise ArgumentError(f"register_parametrization: {what} must return a tensor: got {type(value).__name__}.")
    if value.dtype != like.dtype:
        raise DTypeError(
            f"register_parametrization: {what} must keep the dtype {like.dtype}: got {value.dtype}. "
            "Pass unsafe=True if the change is meant."
        )
    if value.shape != like.shape:
        raise ShapeError(
            f"register_parametrization: {what} must keep the shape {like.shape}: got {value.shape}. "
            "Pass unsafe=True if the change is meant."
        )
    return value


def _inverted(module: Module, value: Any, what: str) -> Any:
    """module.right_inverse(value), which leaves the value where the module has none."""
    if not hasattr(module, "right_inverse"):
        return value
    try:
        return module.right_inverse(value)
    except NotImplementedError:
        return value


def _set(t: Tensor, value: Tensor) -> None:
    """Give t the values of another tensor, whatever its shape; it stays the same tensor for optimizers."""
    written(t, "right_inverse")
    _move(t, t.backend.asarray(value.array, copy=True))


class ParametrizationList(ModuleList):
    """The parametrizations of one tensor, in order, and the tensors they start from. Made by register_parametrization.

    forward() -> f_n(... f_1(original)). unsafe: the result may differ from the original in dtype and shape.
    """

    original: Tensor

    def __init__(self, modules: Sequence[Module], original: Tensor, unsafe: bool = False):
        if not modules:
            raise ArgumentError("ParametrizationList: needs at least one parametrization: got none.")
        super().__init__(modules)
        self.unsafe = unsafe
        start: Any = original
        with no_grad():
            for module in reversed(list(self)):
                start = _inverted(module, start, "right_inverse")
        if not isinstance(start, Tensor | Sequence):
            raise ArgumentError(
                f"register_parametrization: right_inverse must return a tensor or several: got {type(start).__name__}."
            )
        self.is_tensor = isinstance(start, Tensor)
        self.ntensors = 1 if isinstance(start, Tensor) else len(start)
        shape_and_dtype = original.detach()
        if isinstance(start, Tensor):
            if start.dtype != original.dtype:
                raise DTypeError(
                    f"register_parametrization: right_inverse must keep the dtype {original.dtype}: got {start.dtype}."
                )
            if start is not original:
                _set(original, start)
            _register(self, "original", original)
        else:
            for i, t in enumerate(start):
                if not isinstance(t, Tensor):
                    raise ArgumentError(
                        "register_parametrization: right_inverse must return tensors: "
                        f"element {i} is {type(t).__name__}."
                    )
                t = t.detach().clone()  # several may share the memory of one tensor
                if isinstance(original, Parameter):
                    t = Parameter(t, original.requires_grad)
                _register(self, f"original{i}", t)
        if not unsafe:
            _checked("a parametrization", self(), shape_and_dtype)

    def _originals(self) -> list[Tensor]:
        if self.is_tensor:
            return [self.original]
        return [getattr(self, f"original{i}") for i in range(self.ntensors)]

    def right_inverse(self, value: Any) -> None:
        """Store the originals from which forward gives `value`: the right inverses, last parametrization first."""
        with no_grad():
            for module in reversed(list(self)):
                if not hasattr(module, "right_inverse"):
                    raise ArgumentError(
                        f"{type(module).__name__}: the parametrised tensor can only be assigned if the "
                        "parametrization has a right_inverse(value). Write one, or assign to .original."
                    )
                value = module.right_inverse(value)
            values = [value] if self.is_tensor else value
            if not isinstance(values, Sequence) or not all(isinstance(v, Tensor) for v in values):
                raise ArgumentError(f"right_inverse: must return {self.ntensors} tensors: got {type(value).__name__}.")
            if len(values) != self.ntensors:
                raise ArgumentError(f"right_inverse: must return {self.ntensors} tensors: got {len(values)}.")
            for t, v in zip(self._originals(), values):
                if t.dtype != v.dtype:
                    raise DTypeError(f"right_inverse: must return the original's dtype {t.dtype}: got {v.dtype}.")
                _set(t, v)

    def forward(self) -> Tensor:
        first, *others = self
        y = first(*self._originals())
        for module in others:
            y = module(y)
        return y


def _lists(module: Module) -> Any:
    """The ParametrizationLists of a parametrised module, by tensor."""
    return module.__dict__["parametrizations"]


def _register(module: Module, name: str, t: Tensor) -> None:
    if isinstance(t, Parameter):
        module.register_parameter(name, t)
    else:
        module.register_buffer(name, t)


class _Parametrized(property):
    """The property in a parametrised tensor's place."""

    def __init__(self, name: str):
        def read(module: Module) -> Tensor:
            compute, kept = _lists(module)[name], _computed.get()
            if kept is None:
                return compute()
            if (id(module), name) not in kept:
                kept[id(module), name] = compute(), module  # the module too: its id is not given to another
            return kept[id(module), name][0]

        super().__init__(read, lambda module, value: _lists(module)[name].right_inverse(value))


def _subclass(cls: Any) -> Any:
    """A class of its own for one module, to hold its properties."""

    def __setattr__(self: Module, name: str, value: Any) -> None:
        place = vars(type(self)).get(name)
        if isinstance(place, _Parametrized):
            place.__set__(self, value)
        else:
            cls.__setattr__(self, name, value)

    def __getstate__(self: Module) -> Any:
        raise StateError(
            "pickle: a parametrised module cannot be pickled, its class is its own. Save its state_dict()."
        )

    def __deepcopy__(self: Module, memo: dict) -> Module:
        replica = memo[id(self)] = cls.__new__(cls)
        replica.__dict__.update(deepcopy(self.__dict__, memo))
        object.__setattr__(replica, "__class__", _subclass(cls))  # Module would note an attribute
        for name in replica.parametrizations:
            setattr(type(replica), name, _Parametrized(name))
        return replica

    body = {f.__name__: f for f in (__setattr__, __getstate__, __deepcopy__)}
    return type(f"Parametrized{cls.__name__}", (cls,), {**body, "__module__": cls.__module__, "__doc__": cls.__doc__})


def register_parametrization(
    module: Module, tensor_name: str, parametrization: Module, *, unsafe: bool = False
) -> Module:
    """From now on ``module.<tensor_name>`` is ``parametrization(original)``, after those registered before.

    The original starts as ``parametrization.right_inverse(value)`` if there is such a method (it may return several
    tensors), else as the value; with right inverses the tensor can also be assigned. Dtype and shape must stay,
    unless unsafe=True. Parameters that come new belong into the optimizer.

    >>> import minigrad as mg
    >>> from minigrad import nn
    >>> from minigrad.nn.utils import parametrize
    >>> class Symmetric(nn.Module):
    ...     def forward(self, x):
    ...         return x.triu() + x.triu(k=1).mT
    ...     def right_inverse(self, a):
    ...         return a.triu()
    >>> layer = parametrize.register_parametrization(nn.Linear(3, 3), "weight", Symmetric())
    >>> bool((layer.weight == layer.weight.mT).all())
    True
    >>> list(layer.state_dict())
    ['bias', 'parametrizations.weight.original']
    """
    parametrization.train(module.training)
    if is_parametrized(module, tensor_name):
        if not unsafe:
            before = getattr(module, tensor_name)
            after = _checked("a parametrization", parametrization(before), before)
            _checked("right_inverse", _inverted(parametrization, after, "right_inverse"), before)
        found = _lists(module)[tensor_name]
        found.append(parametrization)
        found.unsafe |= unsafe
        return module
    original = module.__dict__.get(tensor_name)
    if not isinstance(original, Parameter) and (original is None or tensor_name not in module._buffer_names):
        raise ArgumentError(
            f"register_parametrization: {type(module).__name__} must have a parameter or buffer {tensor_name!r}: "
            f"it has {', '.join([n for n, _ in (*module._own_parameters(), *module._own_buffers())]) or 'none'}."
        )
    parametrizations = ParametrizationList([parametrization], original, unsafe)
    delattr(module, tensor_name)
    if not is_parametrized(module):
        object.__setattr__(module, "__class__", _subclass(type(module)))  # Module would note an attribute
        module.register_module("parametrizations", ModuleDict())
    setattr(type(module), tensor_name, _Parametrized(tensor_name))
    _lists(module)[tensor_name] = parametrizations
    return module


def is_parametrized(module: Module, tensor_name: str | None = None) -> bool:
    """Does the module have a parametrization of this tensor (None: of any)?"""
    found = module.__dict__.get("parametrizations")
    return isinstance(found, ModuleDict) and (len(found) > 0 if tensor_name is None else tensor_name in found)


def remove_parametrizations(module: Module, tensor_name: str, leave_parametrized: bool = True) -> Module:
    """Make the tensor a plain one again, with its present value, or (False) with that of the original."""
    if not is_parametrized(module, tensor_name):
        raise ArgumentError(
            f"remove_parametrizations: {type(module).__name__} has no parametrization of {tensor_name!r}."
        )
    parametrizations = _lists(module)[tensor_name]
    if not parametrizations.is_tensor and not leave_parametrized:
        raise ArgumentError(
            f"remove_parametrizations: {tensor_name!r} is computed from {parametrizations.ntensors} tensors: there is "
            "no single original to leave. Pass leave_parametrized=True."
        )
    t = parametrizations._originals()[0]
    if leave_parametrized:
        with no_grad():
            value = getattr(module, tensor_name).detach()
        if parametrizations.is_tensor:
            _set(t, value)
        else:
            t = Parameter(value.clone(), t.requires_grad) if isinstance(t, Parameter) else value.clone()
    delattr(type(module), tensor_name)
    del _lists(module)[tensor_name]
    if not is_parametrized(module):
        delattr(module, "parametrizations")
        object.__setattr__(module, "__class__", type(module).__bases__[0])  # Module would note an attribute
    _register(module, tensor_name, t)
    return module


def type_before_parametrizations(module: Module) -> type:
    """The class the module had before its first parametrization."""
    return type(module).__bases__[0] if is_parametrized(module) else type(module)


def transfer_parametrizations_and_params(
    from_module: Module, to_module: Module, tensor_name: str | None = None
) -> Module:
    """Register the parametrizations of one module, with their originals, on another too (of one tensor, or of all)."""
    if not is_parametrized(from_module):
        return to_module
    for name in list(_lists(from_module)) if tensor_name is None else [tensor_name]:
        source = _lists(from_module)[name]
        if not hasattr(to_module, name):
            setattr(to_module, name, Parameter(getattr(from_module, name).detach().clone()))
        for parametrization in source:
            register_parametrization(to_module, name, parametrization)
        for key in ("original",) if source.is_tensor else [f"original{i}" for i in range(source.ntensors)]:
            setattr(_lists(to_module)[name], key, getattr(source, key))
    return to_module
