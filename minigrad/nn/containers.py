"""Modules made of modules."""

from __future__ import annotations

import operator
from collections import OrderedDict
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from ..errors import ArgumentError, DTypeError, IndexRangeError
from ..tensor import Tensor
from .module import Module, Parameter


def _place(index: Any, n: int, who: str) -> int:
    number = operator.index(index)
    if not -n <= number < n:
        raise IndexRangeError(f"{who}: index {number} is out of range: it has {n} parts.")
    return number % n


class _Numbered(Module):
    """Parts under the names "0", "1", ..., in order."""

    def _parts(self) -> list[Module]:
        return [m for m in self.__dict__.values() if isinstance(m, Module)]

    def _names(self) -> list[str]:
        return [name for name, m in self.__dict__.items() if isinstance(m, Module)]

    def _renumber(self, parts: Iterable[Module]) -> None:
        parts = list(parts)
        for name in self._names():
            delattr(self, name)
        for i, module in enumerate(parts):
            self.register_module(str(i), module)

    def __len__(self) -> int:
        return len(self._parts())

    def __iter__(self) -> Iterator[Module]:
        return iter(self._parts())

    def __setitem__(self, index: int, module: Module) -> None:
        self.register_module(self._names()[_place(index, len(self), type(self).__name__)], module)

    def __delitem__(self, index: int | slice) -> None:
        parts = self._parts()
        if not isinstance(index, slice):
            index = _place(index, len(parts), type(self).__name__)
        del parts[index]
        self._renumber(parts)

    def append(self, module: Module) -> Any:
        self.register_module(str(len(self)), module)
        return self

    def extend(self, modules: Iterable[Module]) -> Any:
        for module in list(modules):
            self.append(module)
        return self

    def insert(self, index: int, module: Module) -> Any:
        parts = self._parts()
        parts.insert(index, module)
        self._renumber(parts)
        return self

    def pop(self, index: int = -1) -> Module:
        module = self._parts()[_place(index, len(self), type(self).__name__)]
        del self[index]
        return module


class Sequential(_Numbered):
    """y = f_n(... f_2(f_1(x))). Parts by position, or by name from an OrderedDict.

    >>> import minigrad as mg
    >>> from minigrad import nn
    >>> model = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 2))
    >>> model(mg.ones(5, 4)).shape
    (5, 2)
    >>> model[0]
    Linear(in_features=4, out_features=8, bias=True)
    """

    def __init__(self, *args: Any):
        super().__init__()
        named = (
            args[0].items()
            if len(args) == 1 and isinstance(args[0], Mapping)
            else ((str(i), m) for i, m in enumerate(args))
        )
        for name, module in named:
            if not isinstance(module, Module):
                raise DTypeError(
                    f"Sequential: parts must be modules: part {name} is {type(module).__name__}. "
                    "Use nn.ReLU(), not a function."
                )
            self.register_module(name, module)

    def forward(self, x: Any) -> Any:
        for module in self._parts():
            x = module(x)
        return x

    def __getitem__(self, index: int | slice) -> Any:
        if isinstance(index, slice):
            return type(self)(OrderedDict(list(zip(self._names(), self._parts()))[index]))
        return self._parts()[_place(index, len(self), "Sequential")]

    def __add__(self, other: Sequential) -> Sequential:
        return Sequential(*self, *other)


class ModuleList(_Numbered):
    """A list of modules whose parameters count as the owner's.

    >>> from minigrad import nn
    >>> layers = nn.ModuleList(nn.Linear(4, 4) for _ in range(3))
    >>> len(layers), len(list(layers.parameters()))
    (3, 6)
    """

    def __init__(self, modules: Iterable[Module] | None = None):
        super().__init__()
        self.extend(modules or ())

    def __getitem__(self, index: int | slice) -> Any:
        parts = self._parts()
        return type(self)(parts[index]) if isinstance(index, slice) else parts[_place(index, len(parts), "ModuleList")]

    def __add__(self, other: Iterable[Module]) -> ModuleList:
        return ModuleList([*self, *other])

    def __iadd__(self, modules: Iterable[Module]) -> ModuleList:
        return self.extend(modules)


class _Named(Module):
    """Values under chosen names, set aside from the module's own attributes by their type."""

    kind: type

    def _items(self) -> dict[str, Any]:
        return {name: v for name, v in self.__dict__.items() if isinstance(v, self.kind)}

    def __getitem__(self, key: str) -> Any:
        return self._items()[key]

    def __delitem__(self, key: str) -> None:
        delattr(self, key)

    def __len__(self) -> int:
        return len(self._items())

    def __iter__(self) -> Iterator[str]:
        return iter(self._items())

    def __contains__(self, key: str) -> bool:
        return key in self._items()

    def keys(self) -> Iterable[str]:
        return self._items().keys()

    def values(self) -> Iterable[Any]:
        return self._items().values()

    def items(self) -> Iterable[tuple[str, Any]]:
        return self._items().items()

    def update(self, items: Any) -> None:
        for key, value in items.items() if hasattr(items, "items") else items:
            self[key] = value  # type: ignore[index]

    def pop(self, key: str) -> Any:
        value = self[key]
        del self[key]
        return value

    def clear(self) -> None:
        for key in list(self):
            del self[key]


class ModuleDict(_Named):
    """A dictionary of modules whose parameters count as the owner's.

    >>> from minigrad import nn
    >>> heads = nn.ModuleDict({"a": nn.Linear(4, 1), "b": nn.Linear(4, 2)})
    >>> list(heads.state_dict())
    ['a.weight', 'a.bias', 'b.weight', 'b.bias']
    """

    kind = Module

    def __init__(self, modules: Any = None):
        super().__init__()
        self.update(modules or {})

    def __setitem__(self, key: str, module: Module) -> None:
        self.register_module(key, module)


class ParameterDict(_Named):
    """A dictionary of parameters that count as the owner's; plain tensors become parameters."""

    kind = Parameter

    def __init__(self, parameters: Any = None):
        super().__init__()
        self.update(parameters or {})

    def __setitem__(self, key: str, parameter: Any) -> None:
        self.register_parameter(key, _as_parameter(parameter))

    def extra_repr(self) -> str:
        return "\n".join(f"({name}): Parameter containing: [{p.dtype} of shape {p.shape}]" for name, p in self.items())


class ParameterList(Module):
    """A list of parameters that count as the owner's; plain tensors become parameters.

    >>> import minigrad as mg
    >>> from minigrad import nn
    >>> scales = nn.ParameterList([mg.ones(2), mg.ones(3)])
    >>> [p.shape for p in scales]
    [(2,), (3,)]
    """

    def __init__(self, values: Iterable[Any] | None = None):
        super().__init__()
        self.extend(values or ())

    def _values(self) -> list[Parameter]:
        return [p for _, p in self._own_parameters()]

    def append(self, value: Any) -> ParameterList:
        self.register_parameter(str(len(self)), _as_parameter(value))
        return self

    def extend(self, values: Iterable[Any]) -> ParameterList:
        for value in values:
            self.append(value)
        return self

    def __getitem__(self, index: int | slice) -> Any:
        values = self._values()
        return (
            type(self)(values[index])
            if isinstance(index, slice)
            else values[_place(index, len(values), "ParameterList")]
        )

    def __setitem__(self, index: int, value: Any) -> None:
        self.register_parameter(str(_place(index, len(self), "ParameterList")), _as_parameter(value))

    def __len__(self) -> int:
        return len(self._values())

    def __iter__(self) -> Iterator[Parameter]:
        return iter(self._values())

    def extra_repr(self) -> str:
        return "\n".join(f"({i}): Parameter containing: [{p.dtype} of shape {p.shape}]" for i, p in enumerate(self))


def _as_parameter(value: Any) -> Parameter:
    if not isinstance(value, Tensor):
        raise ArgumentError(f"ParameterList, ParameterDict: values must be tensors: got {type(value).__name__}.")
    return value if isinstance(value, Parameter) else Parameter(value)
