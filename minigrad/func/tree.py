"""Nested containers of values (JAX's pytrees): lists, tuples, dicts, named tuples, dataclasses, and what is registered.

A tree is a container of trees, or a leaf: anything that is no container. None is an empty container, as in JAX.

>>> leaves, structure = tree_flatten({"w": 1, "layers": [2, (3, None)]})
>>> leaves
[1, 2, 3]
>>> tree_unflatten(structure, [10, 20, 30])
{'w': 10, 'layers': [20, (30, None)]}
"""

from __future__ import annotations

import dataclasses
from collections import OrderedDict, defaultdict
from collections.abc import Callable, Iterable, Sequence
from typing import Any, NamedTuple

from ..errors import ArgumentError


class Kind(NamedTuple):
    """How one type of container is taken apart into (children, what else to remember) and put together again."""

    flatten: Callable[[Any], tuple[Sequence, Any]]
    unflatten: Callable[[Any, Sequence], Any]


def _mapping(cls: type) -> Kind:
    return Kind(lambda d: (list(d.values()), tuple(d)), lambda keys, values: cls(zip(keys, values)))


KINDS: dict[type, Kind] = {
    list: Kind(lambda x: (x, len(x)), lambda _, children: list(children)),
    tuple: Kind(lambda x: (x, len(x)), lambda _, children: tuple(children)),
    type(None): Kind(lambda _: ((), None), lambda *_: None),
    dict: _mapping(dict),
    OrderedDict: _mapping(OrderedDict),
    defaultdict: Kind(
        lambda d: (list(d.values()), (d.default_factory, *d)),
        lambda meta, values: defaultdict(meta[0], zip(meta[1:], values)),
    ),
}
MAPPINGS = (dict, OrderedDict, defaultdict)


def register_pytree_node(cls: type, flatten: Callable, unflatten: Callable) -> None:
    """Have a class count as a container: ``flatten(x)`` gives (children, hashable rest), ``unflatten(rest, children)``
    the object. As JAX's."""
    KINDS[cls] = Kind(flatten, unflatten)


def kind_of(x: Any) -> Kind | None:
    """How x is taken apart; None if it is a leaf."""
    cls = type(x)
    if cls in KINDS:
        return KINDS[cls]
    if isinstance(x, tuple) and hasattr(x, "_fields"):
        KINDS[cls] = Kind(lambda t: (t, None), lambda _, children: cls(*children))
    elif dataclasses.is_dataclass(cls):
        KINDS[cls] = _dataclass(cls)
    return KINDS.get(cls)


def _dataclass(cls: Any) -> Kind:
    """The fields are the children, but those declared with ``field(metadata={"static": True})``."""
    fields = [f.name for f in dataclasses.fields(cls) if not f.metadata.get("static")]
    static = [f.name for f in dataclasses.fields(cls) if f.metadata.get("static")]

    def unflatten(rest: tuple, children: Sequence) -> Any:
        x = object.__new__(cls)  # __init__ might convert or check what now are stand-ins
        for name, value in zip((*fields, *static), (*children, *rest)):
            object.__setattr__(x, name, value)
        return x

    return Kind(
        lambda x: ([getattr(x, name) for name in fields], tuple(getattr(x, name) for name in static)), unflatten
    )


class TreeDef:
    """The structure of a tree: its containers without the leaves. Compares by structure; dicts regardless of order."""

    __slots__ = ("children", "cls", "num_leaves", "rest")

    def __init__(self, cls: type | None, rest: Any, children: Sequence[TreeDef]):
        self.cls, self.rest, self.children = cls, rest, tuple(children)  # cls None: a leaf
        self.num_leaves: int = sum(c.num_leaves for c in children) if cls is not None else 1

    def _key(self) -> tuple:
        if self.cls in MAPPINGS:
            names = self.rest[1:] if self.cls is defaultdict else self.rest
            return self.cls, frozenset(zip(names, (c._key() for c in self.children)))
        return self.cls, self.rest, tuple(c._key() for c in self.children)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, TreeDef) and self._key() == other._key()

    def __hash__(self) -> int:
        return hash(self._key())

    def __repr__(self) -> str:
        return f"TreeDef({self.unflatten(['*'] * self.num_leaves)!r})"

    def unflatten(self, leaves: Iterable) -> Any:
        """The tree with these leaves."""
        rest = iter(leaves)
        tree = self._take(rest)
        if next(rest, TreeDef) is not TreeDef:
            raise ArgumentError(f"tree_unflatten: needs {self.num_leaves} leaves, got more.")
        return tree

    def _take(self, leaves: Any) -> Any:
        if self.cls is None:
            try:
                return next(leaves)
            except StopIteration:
                raise ArgumentError(f"tree_unflatten: needs {self.num_leaves} leaves in all, got fewer.") from None
        return KINDS[self.cls].unflatten(self.rest, [c._take(leaves) for c in self.children])

    def flatten_up_to(self, tree: Any, who: str = "tree_map") -> list:
        """What `tree`, of this structure or a finer one, has at the places of the leaves."""
        if self.cls is None:
            return [tree]
        kind = kind_of(tree)
        fits = kind is not None and type(tree) is self.cls
        children, rest = kind.flatten(tree) if fits and kind is not None else ((), None)
        if fits and self.cls in MAPPINGS:
            names = self.rest[1:] if self.cls is defaultdict else self.rest
            fits = set(names) == set(tree)
            children = [tree[name] for name in names] if fits else ()
        if not fits or len(children) != len(self.children) or (self.cls not in MAPPINGS and rest != self.rest):
            raise ArgumentError(f"{who}: the trees must have one structure: got {tree!r:.80} where {self!r:.80} was.")
        return [leaf for c, child in zip(self.children, children) for leaf in c.flatten_up_to(child, who)]

    def spread(self, prefix: Any, who: str, leaf: Callable[[Any], bool]) -> list:
        """A value for each leaf from a tree that may stop earlier: a `leaf` of it counts for all below."""
        if leaf(prefix):
            return [prefix] * self.num_leaves
        kind = kind_of(prefix)
        if self.cls is None or kind is None:
            raise ArgumentError(f"{who} must follow the structure of the values: got {prefix!r:.80} for {self!r:.80}.")
        names = self.rest[1:] if self.cls is defaultdict else self.rest
        if self.cls in MAPPINGS and isinstance(prefix, dict) and set(prefix) == set(names):
            children: Sequence = [prefix[name] for name in names]
        elif self.cls in MAPPINGS or isinstance(prefix, dict):
            raise ArgumentError(f"{who} must follow the structure of the values: got {prefix!r:.80} for {self!r:.80}.")
        else:
            children = kind.flatten(prefix)[0]
        if len(children) != len(self.children):
            raise ArgumentError(
                f"{who} must have one entry a value: got {len(children)} for {len(self.children)}: {prefix!r:.80}."
            )
        return [v for c, child in zip(self.children, children) for v in c.spread(child, who, leaf)]


LEAF = TreeDef(None, None, ())


def tree_flatten(tree: Any) -> tuple[list, TreeDef]:
    """(the leaves from left to right, the structure)."""
    leaves: list = []
    return leaves, _flatten(tree, leaves)


def _flatten(tree: Any, leaves: list) -> TreeDef:
    kind = kind_of(tree)
    if kind is None:
        leaves.append(tree)
        return LEAF
    children, rest = kind.flatten(tree)
    return TreeDef(type(tree), rest, [_flatten(c, leaves) for c in children])


def tree_unflatten(structure: TreeDef, leaves: Iterable) -> Any:
    """The tree of this structure with these leaves. Arguments as JAX's (PyTorch's private one has them swapped)."""
    return structure.unflatten(leaves)


def tree_leaves(tree: Any) -> list:
    """The leaves from left to right."""
    return tree_flatten(tree)[0]


def tree_structure(tree: Any) -> TreeDef:
    """The structure without the leaves."""
    return tree_flatten(tree)[1]


def tree_map(f: Callable, tree: Any, *rest: Any) -> Any:
    """The tree with f(leaf, the same place of each of `rest`) at every leaf.

    >>> tree_map(lambda a, b: a + b, {"x": 1, "y": [2]}, {"y": [20], "x": 10})
    {'x': 11, 'y': [22]}
    """
    leaves, structure = tree_flatten(tree)
    return structure.unflatten(map(f, leaves, *(structure.flatten_up_to(r) for r in rest)))
