"""``minigrad ops --html FILE``: the operation reference as one page, without scripts, made from the declarations."""

from __future__ import annotations

import re
from html import escape

from .._version import __version__
from ..primitive import PRIMITIVES
from .ops import Entry, entry, plain

STYLE = """
body{font:16px/1.45 system-ui,sans-serif;max-width:62rem;margin:2rem auto;padding:0 1rem;color:#111;background:#fff}
h1{font-size:1.7rem}h2{margin-top:3rem;border-bottom:2px solid #111}
section{border-top:1px solid #ccc;padding:.4rem 0}h3{font-size:1rem;margin:.6rem 0 .3rem}
code,pre,h3{font-family:ui-monospace,Menlo,Consolas,monospace}code,pre{font-size:.86rem}
pre{background:#f5f5f5;padding:.5rem .8rem;overflow-x:auto;margin:.3rem 0}p{margin:.3rem 0;white-space:pre-line}
dl{display:grid;grid-template-columns:8.5rem minmax(0,1fr);gap:.15rem .8rem;margin:.4rem 0;font-size:.92rem}
dt{color:#555}dd{margin:0}nav a{margin-right:.7rem;white-space:nowrap}.faint{color:#666;font-weight:normal}
a{color:#114;text-decoration-thickness:1px}h3 a{text-decoration:none}
"""
FAMILIES = {  # the files of minigrad/ops, in the order of the page
    "elementwise": "Elementwise", "activation": "Activations", "special": "Special functions",
    "gamma": "Gamma functions", "bessel": "Bessel functions", "reduce": "Reductions",
    "cumulative": "Cumulative", "shape": "Shape", "indexing": "Indexing", "sorting": "Sorting",
    "linalg": "Linear algebra", "decompositions": "Decompositions", "einsum": "Einsum", "fft": "Fourier transforms",
    "nn": "Neural networks", "recurrent": "Recurrent networks", "resample": "Resampling", "ctc": "CTC",
}  # fmt: skip
INTRO = """Every operation of minigrad, as it is declared in <code>minigrad/ops</code>: formula, shapes, gradient rule,
domain, kernels, source. In a rule <code>g</code> is dL/dy, <code>y</code> the output, <code>F</code> the operations
themselves, for whatever g is made of; a rule returns dL/dx before broadcasting is undone. Operations marked
<span class="faint">internal</span>, grey in the list below, stand behind functions and layers of another signature.
<code>minigrad ops NAME</code> says the same in a terminal."""


def page() -> str:
    entries = [entry(name) for name in sorted(PRIMITIVES)]
    families: dict[str, list[Entry]] = {}
    for e in sorted(entries, key=lambda e: [*FAMILIES, e.family].index(e.family)):
        families.setdefault(e.family, []).append(e)
    body = [f"<h1>Operations of minigrad {__version__}</h1><p>{' '.join(INTRO.split())}</p>"]
    for family, members in families.items():
        styles = [(e.name, "" if e.primitive.public else ' class="faint"') for e in members]
        links = "".join(f'<a href="#{name}"{style}>{name}</a> ' for name, style in styles)
        body.append(f"<nav><b>{_title(family)}</b>: {links}</nav>")
    for family, members in families.items():
        body.append(f"<h2>{_title(family)}</h2>")
        body += map(_section, members)
    return (
        f'<!doctype html><html lang="en"><meta charset="utf-8"><title>Operations of minigrad</title>'
        f'<meta name="viewport" content="width=device-width"><style>{STYLE}</style>\n' + "\n".join(body) + "\n</html>\n"
    )


def _title(family: str) -> str:
    return FAMILIES.get(family, family.capitalize())


def _section(e: Entry) -> str:
    p = e.primitive
    mark = "" if p.public else ' <span class="faint">internal</span>'
    head = f'<h3><a href="#{e.name}">{e.name}</a>{escape(str(p.signature))}{mark}</h3>'
    facts = [("also called", ", ".join(e.aliases)), ("kind", e.kind)]
    rows = [(title, escape(fact)) for title, fact in facts]
    rows += [("as text", _code(plain(p.inline))), ("domain", _code(p.domain))]
    rows += [("shapes", "<br>".join(map(_code, e.shapes)))]
    for g in e.gradients:
        title = "gradient" if g.formula else f"gradient, {', '.join(g.of)}"
        rows.append((title, _code(g.formula) if g.formula else f"<pre>{_linked(_bare(g.code))}</pre>"))
    if e.body:
        missing = [x for x in p.inputs if x not in p.rules]
        which = f"for {', '.join(missing)} the" if e.gradients and missing else "the" if missing else "higher: the"
        rows.append(("gradient", f"{which} derivative of the body<pre>{_linked(_bare(e.body))}</pre>"))
    rows += [("no gradient", escape(e.without)), ("second order", escape(e.higher))]
    rows += [("kernels", escape("; ".join(e.kernels))), ("declared", f"minigrad/ops/{e.family}.py, line {e.line}")]
    listed = "".join(f"<dt>{title}</dt><dd>{fact}</dd>" for title, fact in rows if fact)
    return f'<section id="{e.name}">{head}<p>{escape(p.doc)}</p><dl>{listed}</dl></section>'


def _code(text: str) -> str:
    return f"<code>{_linked(text)}</code>" if text else ""


def _bare(code: str) -> str:
    """A function without its decorator and docstring: the page says what they say."""
    found = re.fullmatch(r"(?:@.*?^)?(def .*?:\n)(?:\s*\"{3}.*?\"{3}\n)?(.*)", code, re.DOTALL | re.MULTILINE)
    return found[1] + found[2] if found else code


def _linked(code: str) -> str:
    """Code, in which F.name leads to the operation."""
    link = lambda found: f'F.<a href="#{found[1]}">{found[1]}</a>' if found[1] in PRIMITIVES else found[0]
    return re.sub(r"\bF\.(\w+)", link, escape(code))
