"""One kernel for each elementwise primitive, generated from its scalar text; and one for each of its gradient rules.

A text such as "{x} * sigmoid({x})" calls functions of vectormath.py and other elementwise primitives, whose texts are
put in their place. What remains is one expression; the loop around it vectorises and runs on all threads, so that
memory is read once and written once where NumPy makes a pass for each operator.

A rule such as ``lambda g, y: g * (1 - y * y)`` becomes a text by calling it with `Symbol`s. A rule that looks at its
operands, or calls what has no scalar text, is left as it is.

Two inputs may broadcast where each is contiguous or constant along runs of the output: equal shapes, a number, a row
(..., C) + (C,), a channel (B, C, H, W) + (C, 1, 1); see `segments` in when.py.
"""

import ast
import functools
import hashlib
import math
import operator
import re

import numpy as np
from numba import carray

from ...primitive import PRIMITIVES
from . import activation, vectormath
from .cache import _source, address
from .threads import WORKER, pointer, run
from .when import LEAVES, as_operand, fits, segments, unrepeated

PARALLEL_FROM = 24_576  # elements; below, waking the second thread costs more than it brings
PART = 65_536  # elements a part: fine enough that a thread put aside by the system holds up little

_FUNCTIONS = {name: getattr(activation, name, None) or getattr(vectormath, name, None) for name in LEAVES}
_FUNCTIONS |= {"abs": abs, "sqrt": math.sqrt}


# ---- from a text to a worker -----------------------------------------------------------------------------------------
class _Inline(ast.NodeTransformer):
    """A text in compiled functions only: composite primitives expanded, numbers in the type of the loop."""

    def __init__(self, names):
        self.names = names  # field -> syntax tree

    def visit_Name(self, node):
        return self.names[node.id]

    def visit_Constant(self, node):
        return ast.Call(ast.Name("kind"), [node], [])

    def visit_Call(self, node):
        name, arguments = node.func.id, [self.visit(a) for a in node.args]
        if name in _FUNCTIONS:
            return ast.Call(ast.Name(name), arguments, [])
        p = PRIMITIVES[name]
        if not p.inline or p.inline.startswith(f"{name}("):
            raise TypeError(f"{name} has no scalar text in terms of others")
        return inlined(p.inline, dict(zip(p.inputs, arguments, strict=True)))


def inlined(text, names):
    """The syntax tree of a text whose fields stand for the trees in `names`."""
    return _Inline(names).visit(ast.parse(re.sub(r"\{(\w+)\}", r"\1", text), mode="eval").body)


# Each input is read along a run of the output (step 1) or is constant there (step 0); where a run starts in it is
# `shift` for each run before it, modulo `count`.
_WORKER = """
def make(zero):
    kind = type(zero)
    size_of = 4 if kind is float32 else 8

    def work(a_base, b_base, c_base, numbers, part, parts):
        given = carray(pointer(numbers), (8,), int64)
        size, run = given[0], given[1]
        parameters = carray(pointer(numbers + 64), (8,), float64)
        {parameters}
        i, stop = size * part // parts, size * (part + 1) // parts
        while i < stop:
            segment = i // run
            within = i - segment * run
            n = min(run - within, stop - i)
            at_a = segment * given[3] % given[4] + within * given[2]
            at_b = segment * given[6] % given[7] + within * given[5]
            a = carray(pointer(a_base + size_of * at_a), (n,), kind)
            b = carray(pointer(b_base + size_of * at_b), (n,), kind)
            c = carray(pointer(c_base + size_of * i), (n,), kind)
            {loops}
            i += n

    return work
"""
_LOOPS = {
    1: """
            for j in range(n):
                x0 = a[j]
                c[j] = {expression}
""",
    2: """
            if given[2] and given[5]:
                for j in range(n):
                    x0, x1 = a[j], b[j]
                    c[j] = {expression}
            elif given[2]:
                x1 = b[0]
                for j in range(n):
                    x0 = a[j]
                    c[j] = {expression}
            else:
                x0 = a[0]
                for j in range(n):
                    x1 = b[j]
                    c[j] = {expression}
""",
}


def worker(name, text, inputs, parameters=()):
    """dtype -> address of the worker of y = text, for one or two inputs and keyword numbers."""
    names = {field: ast.Name(f"x{i}") for i, field in enumerate(inputs)}
    names |= {field: ast.Name(f"p{i}") for i, field in enumerate(parameters)}
    source = _WORKER.format(
        parameters="; ".join(f"p{i} = kind(parameters[{i}])" for i in range(len(parameters))) or "pass",
        loops=_LOOPS[len(inputs)].strip().format(expression=ast.unparse(inlined(text, names))),
    )
    space = {"carray": carray, "pointer": pointer, "int64": np.int64, "float64": np.float64, "float32": np.float32}
    space |= _FUNCTIONS | {"__name__": __name__}
    exec(compile(source, f"<{name}>", "exec"), space)
    digest = _source(__file__) + hashlib.sha256(source.encode()).hexdigest()

    @functools.cache
    def compile_for(dtype):
        return address(WORKER, text=digest, fastmath={"contract"})(space["make"](dtype.type(0)))

    return lambda dtype: compile_for(dtype)[1]


def elementwise(name):
    """The kernel of an elementwise primitive of one or two inputs."""
    p = PRIMITIVES[name]
    text = f"{name}({', '.join(p.inputs)})" if name in LEAVES else p.inline
    made, defaults = worker(name, text, p.inputs, p.defaults), tuple(p.defaults)

    def unary(x, **params):
        x = x if x.flags.carray else x.copy()
        y = np.empty(x.shape, x.dtype)
        return launch(
            made, x, x, y, (x.size, x.size, 1, 0, 1, 1, 0, 1), [params.get(k, p.defaults[k]) for k in defaults]
        )

    def binary(a, b, **params):
        dtype = a.dtype if hasattr(a, "dtype") else b.dtype
        a, b = as_operand(a, dtype), as_operand(b, dtype)
        shape, *numbers = segments(a.shape, b.shape)
        a, b = (x if x.flags.carray else x.copy() for x in (a, b))
        y = np.empty(shape, dtype)
        return launch(made, a, b, y, (y.size, *numbers), [params.get(k, p.defaults[k]) for k in defaults])

    chosen = unary if len(p.inputs) == 1 else binary
    chosen.worker = made
    return chosen


_copied = worker("copy", "{a}", ("a", "b"))


def copy(x):
    """x in an array of its own, C order; also of a broadcast view."""
    base = x if x.flags.carray else unrepeated(x).copy()
    y = np.empty(x.shape, x.dtype)
    _, *numbers = segments(base.shape, x.shape)
    return launch(_copied, base, y, y, (y.size, *numbers))


def launch(made, a, b, y, numbers, parameters=()):
    """Run a worker over y; numbers: size, run, and for a and b: step, shift, count."""
    if parameters:
        numbers = np.concatenate([np.array(numbers, np.int64), np.array(parameters, np.float64).view(np.int64)])
    alone = y.size < PARALLEL_FROM
    run(made(y.dtype), a, b, y, numbers, alone=alone, parts=max(2, y.size // PART))
    return y


# ---- from a rule to a kernel -----------------------------------------------------------------------------------------
class Symbol:
    """An operand that writes down what is done to it. Asking for its value or its shape raises."""

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


def _operator(sign):
    return (
        lambda a, b: Symbol(f"({_text(a)} {sign} {_text(b)})"),
        lambda a, b: Symbol(f"({_text(b)} {sign} {_text(a)})"),
    )


for _name, _sign in (("add", "+"), ("sub", "-"), ("mul", "*"), ("truediv", "/")):
    _plain, _reflected = _operator(_sign)
    setattr(Symbol, f"__{_name}__", _plain)
    setattr(Symbol, f"__r{_name}__", _reflected)
for _name, _sign in (("lt", "<"), ("le", "<="), ("gt", ">"), ("ge", ">=")):
    setattr(Symbol, f"__{_name}__", _operator(_sign)[0])


class _Texts:
    """`F` for symbols: elementwise primitives of known text."""

    def __getattr__(self, name):
        return lambda *arguments: Symbol(f"{name}({', '.join(map(_text, arguments))})")


def rule(name, function, needs, keywords):
    """The gradient rule `function` as one kernel, or None: for at most two arrays among what it needs."""
    inputs = [n for n in needs if n != "F" and n not in keywords]
    parameters = [n for n in needs if n in keywords]
    if not 1 <= len(inputs) <= 2 or {"shapes", "i"} & set(needs):
        return None
    try:
        result = function(*[_Texts() if n == "F" else Symbol(f"{{{n}}}") for n in needs])
        if not isinstance(result, Symbol) or re.fullmatch(r"\{\w+\}", result.text):
            return None
        made = worker(f"{name}_rule", result.text, inputs, parameters)
    except (TypeError, KeyError, AttributeError, ValueError):
        return None
    pick_inputs = operator.itemgetter(*[needs.index(n) for n in inputs])
    at = [needs.index(n) for n in parameters]

    def call(*operands):
        arrays = pick_inputs(operands)
        arrays = arrays if len(inputs) == 2 else (arrays,)
        if not fits(arrays):
            return function(*operands)
        a, b = arrays[0], arrays[-1]
        n = a.size
        numbers = (n, n, 1, 0, 1, 1, 0, 1)
        return launch(made, a, b, np.empty(a.shape, a.dtype), numbers, [operands[i] for i in at])

    call.worker = made
    return call
