"""Modules made of modules."""

from __future__ import annotations

import operator
from collections import OrderedDict
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from ..errors import ArgumentError, DTypeError, IndexRangeError, StateError
from ..tensor import Tensor
from .module import Module, Parameter, framed, indented


def _place(index: Any, n: int, who: str) -> int:
    number = operator.index(index)
    if not -n <= number < n:
        raise IndexRangeError(f"{who}: index {number} is out of range: it has {n} parts.")
    return number % n


def _check_part(who: str, name: Any, module: Any) -> None:
    if not isinstance(module, Module):
        raise DTypeError(
            f"{who}: parts must be modules: part {name} is {type(module).__name__}. Use nn.ReLU(), not a function."
        )


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
        _check_part(type(self).__name__, index, module)
        self.register_module(self._names()[_place(index, len(self), type(self).__name__)], module)

    def __delitem__(self, index: int | slice) -> None:
        parts = self._parts()
        if not isinstance(index, slice):
            index = _place(index, len(parts), type(self).__name__)
        del parts[index]
        self._renumber(parts)

    def __reversed__(self) -> Iterator[Module]:
        return reversed(self._parts())

    def __iadd__(self, modules: Iterable[Module]) -> Any:
        return self.extend(modules)

    def append(self, module: Module) -> Any:
        """Add a part at the end; gives the container."""
        _check_part(type(self).__name__, len(self), module)
        self.register_module(str(len(self)), module)
        return self

    def extend(self, modules: Iterable[Module]) -> Any:
        """Add several parts at the end; gives the container."""
        if isinstance(modules, (str, bytes)) or not hasattr(modules, "__iter__"):
            raise DTypeError(f"{type(self).__name__}.extend: needs an iterable of modules: got {modules!r:.60}.")
        for module in list(modules):
            self.append(module)
        return self

    def insert(self, index: int, module: Module) -> Any:
        """Put a part before the one at `index`; gives the container."""
        _check_part(type(self).__name__, index, module)
        parts = self._parts()
        if not -len(parts) <= operator.index(index) <= len(parts):
            raise IndexRangeError(f"{type(self).__name__}: index {index} is out of range: it has {len(parts)} parts.")
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
            _check_part("Sequential", name, module)
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

    def __mul__(self, times: int) -> Sequential:
        """The parts `times` times in a row, the very same modules each time."""
        return Sequential(*self._repeated(times))

    __rmul__ = __mul__

    def __imul__(self, times: int) -> Sequential:
        return self.extend(self._repeated(times)[len(self) :])

    def _repeated(self, times: int) -> list[Module]:
        if operator.index(times) < 1:
            raise ArgumentError(f"Sequential: can be repeated 1 or more times: got {times}.")
        return self._parts() * times


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

    def __repr__(self) -> str:
        """Equal parts in a row once, ``(0-3): 4 x Linear(...)``."""
        runs: list[list[Any]] = []  # first, last, text
        for i, module in enumerate(self):
            if runs and runs[-1][2] == repr(module):
                runs[-1][1] = i
            else:
                runs.append([i, i, repr(module)])
        lines = [
            f"({i}): {indented(text)}" if i == j else f"({i}-{j}): {j - i + 1} x {indented(text)}"
            for i, j, text in runs
        ]
        return framed(type(self).__name__, self.extra_repr(), lines)


class ModuleDict(Module):
    """A dictionary of modules whose parameters count as the owner's.

    >>> from minigrad import nn
    >>> heads = nn.ModuleDict({"a": nn.Linear(4, 1), "b": nn.Linear(4, 2)})
    >>> list(heads.state_dict())
    ['a.weight', 'a.bias', 'b.weight', 'b.bias']
    """

    def __init__(self, modules: Mapping[str, Module] | Iterable[tuple[str, Module]] | None = None):
        super().__init__()
        self.update(modules or {})

    def _items(self) -> dict[str, Module]:
        return {name: m for name, m in self.__dict__.items() if isinstance(m, Module)}

    def __getitem__(self, key: str) -> Module:
        return _value(self._items(), key, "ModuleDict")

    def __setitem__(self, key: str, module: Module) -> None:
        self.register_module(key, module)

    def __delitem__(self, key: str) -> None:
        self[key]
        delattr(self, key)

    def __len__(self) -> int:
        return len(self._items())

    def __iter__(self) -> Iterator[str]:
        return iter(self._items())

    def __contains__(self, key: str) -> bool:
        return key in self._items()

    def keys(self) -> Iterable[str]:
        return self._items().keys()

    def values(self) -> Iterable[Module]:
        return self._items().values()

    def items(self) -> Iterable[tuple[str, Module]]:
        return self._items().items()

    def update(self, modules: Mapping[str, Module] | Iterable[tuple[str, Module]]) -> None:
        """Add or replace parts, from a mapping or from (key, module) pairs."""
        for key, module in _pairs(modules, "ModuleDict"):
            self[key] = module

    def pop(self, key: str) -> Module:
        """Take a part out and give it."""
        module = self[key]
        del self[key]
        return module

    def clear(self) -> None:
        for key in list(self):
            del self[key]


def _value(items: dict[str, Any], key: str, who: str) -> Any:
    if key not in items:
        raise StateError(f"{who}: has no {key!r}. It has {', '.join(map(repr, items)) or 'nothing'}.")
    return items[key]


def _pairs(items: Any, who: str) -> list[tuple[str, Any]]:
    """The (key, value) pairs of a mapping, or of an iterable of pairs."""
    pairs = list(items.items() if hasattr(items, "items") else items) if hasattr(items, "__iter__") else None
    if pairs is None or any(not isinstance(pair, (tuple, list)) or len(pair) != 2 for pair in pairs):
        raise DTypeError(f"{who}.update: needs a mapping or (key, value) pairs: got {items!r:.60}.")
    return pairs


def _kept(value: Any) -> Any:
    """Plain tensors become parameters; anything else stays what it is."""
    return Parameter(value) if isinstance(value, Tensor) and not isinstance(value, Parameter) else value


def _described(key: Any, value: Any) -> str:
    if not isinstance(value, Tensor):
        return f"({key}): Object of type: {type(value).__name__}"
    return f"({key}): Parameter containing: [{value.dtype} of shape {value.shape}]"


class ParameterDict(Module):
    """A dictionary of parameters that count as the owner's. Plain tensors become parameters; other values are kept, but
    are no part of the state.

    >>> import minigrad as mg
    >>> from minigrad import nn
    >>> list(nn.ParameterDict({"w": mg.ones(2), "b": mg.zeros(2)}).state_dict())
    ['w', 'b']
    """

    def __init__(self, parameters: Any = None):
        super().__init__()
        self._keys: dict[str, None] = {}
        self.update(parameters or {})

    def _items(self) -> dict[str, Any]:
        return {key: self.__dict__[key] for key in self._keys}

    def __getitem__(self, key: str) -> Any:
        return _value(self._items(), key, "ParameterDict")

    def __setitem__(self, key: str, value: Any) -> None:
        if not isinstance(key, str) or key in ("_keys", "_declared", "_buffer_names", "training"):
            raise ArgumentError(f"ParameterDict: keys must be strings, and none of its own attributes: got {key!r}.")
        setattr(self, key, _kept(value))
        self._keys[key] = None

    def __delitem__(self, key: str) -> None:
        self[key]
        del self._keys[key]
        delattr(self, key)

    def __len__(self) -> int:
        return len(self._keys)

    def __iter__(self) -> Iterator[str]:
        return iter(self._keys)

    def __reversed__(self) -> Iterator[str]:
        return reversed(list(self._keys))

    def __contains__(self, key: str) -> bool:
        return key in self._keys

    def __or__(self, other: ParameterDict) -> ParameterDict:
        merged = self.copy()
        merged.update(other)
        return merged

    def __ror__(self, other: ParameterDict) -> ParameterDict:
        return ParameterDict(other) | self

    def __ior__(self, other: ParameterDict) -> ParameterDict:
        self.update(other)
        return self

    def keys(self) -> Iterable[str]:
        return self._keys.keys()

    def values(self) -> Iterable[Any]:
        return self._items().values()

    def items(self) -> Iterable[tuple[str, Any]]:
        return self._items().items()

    def update(self, parameters: Any) -> None:
        """Add or replace values, from a mapping or from (key, value) pairs."""
        for key, value in _pairs(parameters, "ParameterDict"):
            self[key] = value

    def copy(self) -> ParameterDict:
        """Another dictionary with the very same parameters."""
        return ParameterDict(self._items())

    def get(self, key: str, default: Any = None) -> Any:
        return self._items().get(key, default)

    def setdefault(self, key: str, default: Any = None) -> Any:
        """The value at `key`, which is set to default if there is none."""
        if key not in self:
            self[key] = default
        return self[key]

    def pop(self, key: str) -> Any:
        """Take a value out and give it."""
        value = self[key]
        del self[key]
        return value

    def popitem(self) -> tuple[str, Any]:
        """Take out the last (key, value) and give it."""
        if not self._keys:
            raise StateError("ParameterDict: popitem needs at least one item: it is empty.")
        key = next(reversed(self._keys))
        return key, self.pop(key)

    def clear(self) -> None:
        for key in list(self):
            del self[key]

    def fromkeys(self, keys: Iterable[str], default: Any = None) -> ParameterDict:
        """A new dictionary with these keys, each with `default`."""
        return ParameterDict((key, default) for key in keys)

    def extra_repr(self) -> str:
        return "\n".join(_described(key, value) for key, value in self.items())


class ParameterList(Module):
    """A list of parameters that count as the owner's. Plain tensors become parameters; other values are kept, but are
    no part of the state.

    >>> import minigrad as mg
    >>> from minigrad import nn
    >>> scales = nn.ParameterList([mg.ones(2), mg.ones(3)])
    >>> [p.shape for p in scales]
    [(2,), (3,)]
    """

    def __init__(self, values: Iterable[Any] | None = None):
        super().__init__()
        self._size = 0
        self.extend(() if values is None else values)

    def _values(self) -> list[Any]:
        return [self.__dict__[str(i)] for i in range(self._size)]

    def append(self, value: Any) -> ParameterList:
        """Add a value at the end; gives the list."""
        self._size += 1
        self[self._size - 1] = value
        return self

    def extend(self, values: Iterable[Any]) -> ParameterList:
        """Add several values at the end; gives the list."""
        if isinstance(values, Tensor) or not hasattr(values, "__iter__"):
            raise DTypeError(f"ParameterList.extend: needs an iterable: got {type(values).__name__}.")
        for value in list(values):
            self.append(value)
        return self

    def pop(self, index: int = -1) -> Any:
        """Take a value out and give it."""
        values = self._values()
        value = values.pop(_place(index, self._size, "ParameterList"))
        for i in range(self._size):
            delattr(self, str(i))
        self._size = 0
        self.extend(values)
        return value

    def __getitem__(self, index: int | slice) -> Any:
        values = self._values()
        if isinstance(index, slice):
            return type(self)(values[index])
        return values[_place(index, len(values), "ParameterList")]

    def __setitem__(self, index: int, value: Any) -> None:
        setattr(self, str(_place(index, self._size, "ParameterList")), _kept(value))

    def __iadd__(self, values: Iterable[Any]) -> ParameterList:
        return self.extend(values)

    def __len__(self) -> int:
        return self._size

    def __iter__(self) -> Iterator[Any]:
        return iter(self._values())

    def extra_repr(self) -> str:
        return "\n".join(_described(i, value) for i, value in enumerate(self))
