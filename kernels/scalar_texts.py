"""From a gradient rule to its scalar text, from which the compilers of both processors make one kernel.

A rule such as ``lambda g, y: g * (1 - y * y)`` becomes "({g} * ((1) - ({y} * {y})))" by calling it with `Symbol`s.
"""

import math
import re

import numpy as np


class Symbol:
    """An operand that writes down what is done to it. Asking for its value or its shape raises."""

    dtype = np.dtype(np.float32)  # a rule may ask whether it is complex

    def __init__(self, text):
        self.text = text

    def __neg__(self):
        return Symbol(f"(-{self.text})")

    def __bool__(self):
        raise TypeError("a rule that looks at values has no scalar text")


def _text(x):
    if isinstance(x, Symbol):
        return x.text
    if isinstance(x, (int, float)) and not isinstance(x, bool) and math.isfinite(x):
        return f"({x!r})"
    raise TypeError(f"{x!r} has no scalar text")


def _operators(sign):
    return (
        lambda a, b: Symbol(f"({_text(a)} {sign} {_text(b)})"),
        lambda a, b: Symbol(f"({_text(b)} {sign} {_text(a)})"),
    )


for _name, _sign in (("add", "+"), ("sub", "-"), ("mul", "*"), ("truediv", "/")):
    _plain, _reflected = _operators(_sign)
    setattr(Symbol, f"__{_name}__", _plain)
    setattr(Symbol, f"__r{_name}__", _reflected)
for _name, _sign in (("lt", "<"), ("le", "<="), ("gt", ">"), ("ge", ">=")):
    setattr(Symbol, f"__{_name}__", _operators(_sign)[0])


class Texts:
    """`F` for symbols: elementwise primitives of known text."""

    def __getattr__(self, name):
        return lambda *arguments: Symbol(f"{name}({', '.join(map(_text, arguments))})")


def text_of_rule(function, needs):
    """The text of a gradient rule in its operands, without F; None where it has none, or only hands one on."""
    try:
        result = function(*[Texts() if n == "F" else Symbol(f"{{{n}}}") for n in needs])
    except (TypeError, KeyError, AttributeError, ValueError):
        return None
    if not isinstance(result, Symbol) or re.fullmatch(r"\{\w+\}", result.text):
        return None
    return result.text
