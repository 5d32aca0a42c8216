"""``minigrad ops``: the table of primitives in words, derived from their declarations."""

from __future__ import annotations

import difflib
import inspect
import re
import textwrap
from collections.abc import Iterator

from ..errors import ArgumentError
from ..primitive import MANY, PRIMITIVES, Case, Primitive


def table() -> Iterator[str]:
    """A line for each public operation: name, and the first line of its doc."""
    public = {name: p for name, p in sorted(PRIMITIVES.items()) if p.public}
    width = max(map(len, public))
    for name, p in public.items():
        yield f"{name:<{width}}  {p.doc.partition(chr(10))[0]}"


def detail(name: str) -> Iterator[str]:
    if name not in PRIMITIVES:
        near = difflib.get_close_matches(name, PRIMITIVES, n=1, cutoff=0.4)
        hint = f" Did you mean {near[0]}?" if near else " `minigrad ops` lists them."
        raise ArgumentError(f"ops: there is no operation {name!r}.{hint}")
    p = PRIMITIVES[name]
    yield f"{name}{p.signature}" + ("" if p.public else "   (internal)")
    yield textwrap.indent(p.doc, "  ")
    yield ""
    if p.inline:
        yield f"  text      {re.sub(r'[{}]', '', p.inline)}"
    if p.domain:
        yield f"  domain    {p.domain}"
    yield f"  kind      {_kind(p)}"
    for sample in p.samples[:3]:
        yield f"  sample    {_call(name, sample)}"
    for backend, kernels in sorted(p.kernels.items()):
        yield f"  kernels   {backend}: {len(kernels)}"
    if not p.kernels:
        yield "  kernels   none: every backend runs its library's function or the forward"
    yield ""
    yield from _gradients(p)


def _kind(p: Primitive) -> str:
    words = ["fused, its body is made of other primitives" if p.fused else "primitive"]
    words += ["elementwise"] * bool(p.inline) + ["may return a view"] * p.view
    count = "several" if p.outputs == MANY else p.outputs
    words += [f"{count} outputs"] * (p.outputs > 1) + [f"saves {', '.join(p.saves)}"] * bool(p.saves)
    return ", ".join(words)


def _call(name: str, sample: Case) -> str:
    arguments = [*map(str, sample.args), *(f"{k}={v!r}" for k, v in sample.params.items())]
    return f"{name}({', '.join(arguments)})"


def _gradients(p: Primitive) -> Iterator[str]:
    shown: set[int] = set()
    for rule in p.rules.values():
        if id(rule) not in shown:
            shown.add(id(rule))
            yield f"  gradient for {', '.join(rule.of)}, from {', '.join(rule.needs)}:"
            yield textwrap.indent(_source(rule.function, rule.of), "      ")
    missing = [name for name in p.inputs if name not in p.rules]
    if p.no_gradient:
        yield f"  no gradient: {p.no_gradient}"
    elif p.kind in ("bool", "index"):
        yield "  no gradient: the result is not a float"
    elif p.fused and (missing or p.saves):
        which = "higher derivatives" if not missing else f"gradient for {', '.join(missing)}"
        yield f"  {which}: those of the body:"
        yield textwrap.indent(_source(p.forward, ()), "      ")


def _source(function: object, of: tuple[str, ...]) -> str:
    """The source of a rule; of a lambda inside a row, its own part of the row."""
    try:
        source = textwrap.dedent(inspect.getsource(function))  # type: ignore[arg-type]
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
