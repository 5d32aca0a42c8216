"""``minigrad ops``: the table of primitives in words, derived from their declarations."""

from __future__ import annotations

import ast
import difflib
import inspect
import re
import textwrap
from collections.abc import Iterator
from functools import cache, partial
from importlib import import_module, resources
from typing import Any, NamedTuple

import numpy as np

from ..errors import ArgumentError
from ..primitive import ALIASES, MANY, PRIMITIVES, Case, Primitive, Spec, bools, ints, within


class Gradient(NamedTuple):
    """Of which inputs, from which values, and the code of the rule; of a lambda, `code` is its text."""

    of: tuple[str, ...]
    needs: tuple[str, ...]
    code: str

    @property
    def formula(self) -> str:
        """dL/dx = ..., if the rule is one line; else nothing."""
        found = re.fullmatch(r"lambda[^:]*:\s*(.*)", self.code, re.DOTALL)
        return f"dL/d{self.of[0]} = {' '.join(found[1].split())}" if found and len(self.of) == 1 else ""


class Entry(NamedTuple):
    """One operation in words."""

    name: str
    primitive: Primitive
    family: str  # the file in minigrad/ops
    line: int
    kind: str
    aliases: list[str]
    shapes: list[str]
    kernels: list[str]
    gradients: list[Gradient]
    without: str  # why there is no gradient
    higher: str  # where derivatives of higher order come from
    body: str  # of a fused operation, where its derivative is a gradient of the operation


def table() -> Iterator[str]:
    """A line for each public operation: name, and the first line of its doc."""
    public = {name: p for name, p in sorted(PRIMITIVES.items()) if p.public}
    width = max(map(len, public))
    for name, p in public.items():
        yield f"{name:<{width}}  {p.doc.partition(chr(10))[0]}"


def detail(name: str) -> Iterator[str]:
    """Everything about one operation."""
    if name not in PRIMITIVES and name not in ALIASES:
        near = difflib.get_close_matches(name, PRIMITIVES, n=1, cutoff=0.4)
        hint = f" Did you mean {near[0]}?" if near else " `minigrad ops` lists them."
        raise ArgumentError(f"ops: there is no operation {name!r}.{hint}")
    e = entry(ALIASES.get(name, name))
    p = e.primitive
    yield f"{e.name}{p.signature}" + ("" if p.public else "   (internal)")
    yield textwrap.indent(p.doc, "  ")
    yield ""
    facts = [("text", plain(p.inline)), ("domain", p.domain), ("kind", e.kind), ("also", ", ".join(e.aliases))]
    facts += [("shapes", shape) for shape in e.shapes]
    facts += [("kernels", kernel) for kernel in e.kernels]
    facts += [("declared", f"minigrad/ops/{e.family}.py:{e.line}")]
    for title, fact in facts:
        if fact:
            yield f"  {title:<9} {fact}"
    yield ""
    for g in e.gradients:
        yield f"  gradient for {', '.join(g.of)}, from {', '.join(g.needs)}:"
        yield textwrap.indent(g.code, "      ")
    if e.without:
        yield f"  no gradient: {e.without}"
    if e.body:
        missing = [x for x in p.inputs if x not in p.rules]
        which = f"gradient for {', '.join(missing)}" if missing else "higher derivatives"
        yield f"  {which}: those of the body:"
        yield textwrap.indent(e.body, "      ")
    if e.higher:
        yield f"  second order: {e.higher}"


def entry(name: str) -> Entry:
    """What the declaration of an operation says."""
    p = PRIMITIVES[name]
    family, line = declared()[name]
    gradients, shown = [], set()
    for rule in p.rules.values():
        if id(rule) not in shown:
            shown.add(id(rule))
            gradients.append(Gradient(rule.of, rule.needs, _source(rule.function, rule.of)))
    missing = [x for x in p.inputs if x not in p.rules]
    discrete = p.kind in ("bool", "index")
    without = p.no_gradient or ("the result is not a float" if discrete else "")
    through = p.fused and bool(missing or p.saves) and not without
    aliases = sorted(other for other, own in ALIASES.items() if own == name)
    shapes = list(dict.fromkeys(filter(None, (_shapes(p, sample) for sample in p.samples[:4]))))
    if p.inline and not shapes:
        shapes = [f"{', '.join(p.inputs)}: any that broadcast" if len(p.inputs) > 1 else f"{p.inputs[0]}: any"]
    body = _source(p.forward, ()) if through else ""
    return Entry(
        name, p, family, line, _kind(p), aliases, shapes, _kernels(p), gradients, without, _higher(p, without), body
    )


@cache
def declared() -> dict[str, tuple[str, int]]:
    """{operation: (file in minigrad/ops, line)}: where its name stands in a definition, a call, or else a table."""
    found: dict[str, tuple[int, str, int]] = {}
    for file in sorted(resources.files("minigrad.ops").iterdir(), key=lambda f: f.name):
        if not file.name.endswith(".py"):
            continue
        for node in ast.walk(ast.parse(file.read_text("utf-8"))):
            names: list[Any] = []
            if isinstance(node, ast.FunctionDef) and node.decorator_list:
                rank, names = 0, [node.name]
            elif isinstance(node, ast.Call):
                rank, names = 1, [*node.args[:1], *[k.value for k in node.keywords if k.arg == "name"]]
                names = [a.value for a in names if isinstance(a, ast.Constant)]
            elif isinstance(node, ast.Constant):
                rank, names = 2, [node.value]
            for name in names:
                if isinstance(name, str) and name in PRIMITIVES and rank < found.get(name, (3, "", 0))[0]:
                    found[name] = rank, file.name.removesuffix(".py"), node.lineno  # type: ignore[attr-defined]
    return {name: found.get(name, (0, "elementwise", 1))[1:] for name in PRIMITIVES}


def plain(text: str | None) -> str:
    """The scalar text of a row, without its braces."""
    return re.sub(r"[{}]", "", text or "")


def _kind(p: Primitive) -> str:
    words = ["fused, its body is made of other primitives" if p.fused else "primitive"]
    words += ["elementwise"] * bool(p.inline) + ["may return a view"] * p.view
    count = "several" if p.outputs == MANY else p.outputs
    words += [f"{count} outputs"] * (p.outputs > 1) + [f"saves {', '.join(p.saves)}"] * bool(p.saves)
    return ", ".join(words)


def _shapes(p: Primitive, sample: Case) -> str:
    """A sample call and the shape of its result, by the operation's own shape rule."""
    arguments = [*map(_shown, sample.args), *(f"{k}={v!r}" for k, v in sample.params.items())]
    call = f"{p.name}({', '.join(arguments)})"
    try:
        result = p.shape(p.name, *map(_spec, sample.args), **{**p.defaults, **sample.params})
    except Exception:  # a rule for which a sample's values matter
        return call
    parts = result if isinstance(result, (tuple, list)) and not isinstance(result, Spec) else [result]
    return f"{call} -> {', '.join(str(tuple(s.shape)) for s in parts if hasattr(s, 'shape'))}"


def _spec(argument: Any) -> Any:
    """A sample's argument as a shape rule sees it."""
    if isinstance(argument, (ints, bools, within)):
        kinds = {ints: np.int64, bools: np.bool_, within: np.float32}
        return Spec(argument.shape, np.dtype(kinds[type(argument)]))
    if isinstance(argument, tuple) and all(isinstance(n, int) for n in argument):
        return Spec(argument, np.dtype(np.float32))
    return argument


def _shown(argument: Any) -> str:
    if isinstance(argument, (ints, bools, within)):
        return f"{type(argument).__name__} {argument.shape}"
    return str(argument)


def _kernels(p: Primitive) -> list[str]:
    """For each backend, where its kernels are."""
    import_module("minigrad.kernels.cuda")  # its table too, with or without a GPU
    lines = []
    for backend, kernels in sorted(p.kernels.items()):
        places = [
            f"kernels/{load.func.__module__.split('.')[-1]}/{load.args[0]}.py"
            if isinstance(load, partial) and load.args and isinstance(load.args[0], str)
            else "generated from the text" if p.inline else load.__module__.removeprefix("minigrad.")
            for _, load in kernels
        ]  # fmt: skip
        lines.append(f"{backend}: {', '.join(dict.fromkeys(places))}")
    return lines or ["none: every backend runs its library's function or the forward"]


def _higher(p: Primitive, without: str) -> str:
    """Where the gradient of the gradient comes from."""
    if without:
        return ""
    if p.no_second:
        return f"none: {p.no_second}"
    if p.fused and not p.ruled(range(len(p.inputs)), graph=True):
        return "the body is differentiated, in any order"
    return "the rules are made of primitives, which have rules"


def _source(function: Any, of: tuple[str, ...]) -> str:
    """The source of a rule; of a lambda inside a row, its own part of the row."""
    try:
        source = textwrap.dedent(inspect.getsource(function))
    except (OSError, TypeError):
        return "(made by a compiler from the text above)"
    if getattr(function, "__name__", "") == "<lambda>":
        for name in of:
            if found := re.search(rf"\b{name}=(lambda[^:]*:)", source):
                return _until_closed(source[found.start(1) :])
    return source.rstrip()


def _until_closed(text: str) -> str:
    """`text`, which starts with a lambda, up to the comma or bracket that ends it."""
    depth, body = 0, text.index(":") + 1
    for i, c in enumerate(text[body:], body):
        depth += (c in "([{") - (c in ")]}")
        if depth < 0 or (depth == 0 and c == ","):
            return text[:i].strip()
    return text.strip()
