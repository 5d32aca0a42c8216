"""A training state as arrays with names, and a text that says how they, numbers and strings are nested.

    {"model": {"weight": W}, "optimizer": {"state": {0: {"step": s}}, "lr": 0.1}}
    arrays  model.weight: W, optimizer.state.0.step: s
    text    {"dict": [["model", {"dict": [["weight", {"tensor": "model.weight"}]]}], ...

JSON alone would turn tuples into lists and integer keys into strings: containers are tagged, and a dict is a list of
pairs. A number that JSON does not have (NaN, infinity, complex) is tagged too.
"""

from __future__ import annotations

import json
import math
from collections import Counter, OrderedDict
from collections.abc import Mapping
from typing import Any

import numpy as np

from ..errors import DTypeError
from ..tensor import Tensor, wrap

KEYS = (str, int, float, bool, type(None))
MAPPINGS: dict[str, Any] = {"dict": dict, "OrderedDict": OrderedDict, "Counter": Counter}
SEQUENCES: dict[str, Any] = {"list": list, "tuple": tuple}
TAGS: dict[Any, str] = {kind: tag for tag, kind in (MAPPINGS | SEQUENCES).items()}


def is_array(value: Any) -> bool:
    return isinstance(value, (Tensor, np.ndarray, np.generic)) or (hasattr(value, "shape") and hasattr(value, "dtype"))


def is_flat(state: Mapping) -> bool:
    """True for arrays by name and nothing else: such a file needs no text."""
    return all(type(key) is str and is_array(value) for key, value in state.items())


def taken_apart(state: Mapping) -> tuple[dict[str, Any], str]:
    """The arrays of a state by name, and the text that says where they belong.
    Raises DTypeError for what neither can hold."""
    arrays: dict[str, Any] = {}

    def named(value: Any, path: str) -> str:
        name = path or "state"
        while name in arrays:  # {"a.b": x, "a": {"b": y}}
            name += "'"
        arrays[name] = value
        return name

    def tagged(value: Any, path: str) -> Any:
        if is_array(value):
            tag = "scalar" if isinstance(value, np.generic) else "array" if isinstance(value, np.ndarray) else "tensor"
            return {tag: named(value, path)}
        kind = type(value)
        if kind is float and not math.isfinite(value):
            return {"float": repr(value)}
        if kind in KEYS:
            return value
        if kind is complex:
            return {"complex": [repr(value.real), repr(value.imag)]}
        join = lambda key: f"{path}.{key}" if path else str(key)
        if kind in (list, tuple):
            return {TAGS[kind]: [tagged(v, join(i)) for i, v in enumerate(value)]}
        if isinstance(value, Mapping) and (kind in TAGS or path == ""):
            if wrong := [key for key in value if type(key) not in KEYS]:
                raise DTypeError(f"save: the keys of {path or 'the state'} must be strings or numbers: {wrong[0]!r}.")
            return {TAGS.get(kind, "dict"): [[tagged(k, ""), tagged(v, join(k))] for k, v in value.items()]}
        raise DTypeError(
            f"save: {path} must be an array, number, string, None, or a list, tuple or dict of those: got "
            f"{kind.__module__}.{kind.__name__}. Leave it out, or save what it is made of."
        )

    try:
        return arrays, json.dumps(tagged(state, ""), allow_nan=False)
    except RecursionError:
        raise DTypeError("save: the state is nested too deeply, or contains itself.") from None


def put_together(text: str, arrays: Mapping[str, np.ndarray]) -> Any:
    """The state of which `taken_apart` made this text and these arrays. Raises ValueError for any other text."""

    def built(item: Any) -> Any:
        if not isinstance(item, (dict, list)):
            return item
        if not isinstance(item, dict) or len(item) != 1:
            raise ValueError("a container without its kind")
        ((tag, content),) = item.items()
        if tag in ("tensor", "array", "scalar"):
            if not isinstance(content, str) or content not in arrays:
                raise ValueError(f"there is no array {content!r}")
            array = arrays[content]
            return wrap(array) if tag == "tensor" else array[()] if tag == "scalar" and not array.shape else array
        if tag == "float" and content in ("nan", "inf", "-inf"):
            return float(content)
        if tag not in (*MAPPINGS, *SEQUENCES, "complex") or not isinstance(content, list):
            raise ValueError(f"an unknown kind of value, {str(tag)[:40]!r}")
        if tag == "complex":
            real, imag = (float(part) for part in content)
            return complex(real, imag)
        if tag in SEQUENCES:
            return SEQUENCES[tag](built(v) for v in content)
        found = MAPPINGS[tag]()
        for pair in content:
            if not isinstance(pair, list) or len(pair) != 2:
                raise ValueError("a dict is a list of pairs")
            key = built(pair[0])
            if type(key) not in KEYS or key in found:
                raise ValueError(f"a key that is no string or number, or comes twice: {str(key)[:40]!r}")
            found[key] = built(pair[1])
        return found

    try:
        return built(json.loads(text))
    except (TypeError, RecursionError) as error:
        raise ValueError(f"the text of its structure cannot be read: {error}") from None
