"""The operation reference: each operation with formula, gradient, shapes and source, in a terminal and as a page."""

import re
from html import unescape
from html.parser import HTMLParser
from pathlib import Path

import pytest

import minigrad as mg
from minigrad.__main__ import main
from minigrad.cli import ops
from minigrad.cli.ops_page import page
from minigrad.errors import ArgumentError
from minigrad.primitive import ALIASES, PRIMITIVES

PAGE = page()
SECTIONS = dict(re.findall(r'<section id="(\w+)">(.*?)</section>', PAGE, re.DOTALL))


def words(html):
    return unescape(re.sub(r"<[^>]*>", "", html))


@pytest.mark.parametrize("name", sorted(PRIMITIVES))
def test_each_operation_is_there_with_its_gradient(name):
    p, text = PRIMITIVES[name], words(SECTIONS[name])
    assert text.startswith(f"{name}{p.signature}") and p.doc.splitlines()[-1] in text
    for g in ops.entry(name).gradients:
        assert (g.formula or g.code.splitlines()[-1]) in text
    if p.no_gradient:
        assert p.no_gradient in text
    elif p.kind in ("bool", "index"):
        assert "no gradient" in text
    else:
        assert "gradient" in text and "second order" in text
    assert "kernels" in text and ("internal" in text.split(p.doc)[0]) == (not p.public)


def test_page_is_whole_and_leads_nowhere_else():
    opened = []

    class Parser(HTMLParser):
        def handle_starttag(self, tag, attributes):
            assert tag not in ("script", "img", "link", "iframe")
            href = dict(attributes).get("href", "#abs")
            assert href[1:] in SECTIONS  # every link leads to an operation of the page
            if tag not in ("meta", "br"):
                opened.append(tag)

        def handle_endtag(self, tag):
            assert opened.pop() == tag

    Parser().feed(PAGE)
    assert not opened and set(SECTIONS) == set(PRIMITIVES)
    assert "http" not in PAGE and len(PAGE) < 500_000


def test_declared_lines_are_where_the_name_stands():
    folder = Path(mg.__file__).parent / "ops"
    for name in PRIMITIVES:
        family, line = ops.declared()[name]
        lines = (folder / f"{family}.py").read_text().splitlines()
        assert re.search(rf"\b{name}\b", "\n".join(lines[line - 1 : line + 1])), (name, family, line)


def test_formula_of_a_row():
    (g,) = ops.entry("exp").gradients
    assert g.formula == "dL/dx = g * y" and "dL/dx = g * y" in words(SECTIONS["exp"])
    assert [g.formula for g in ops.entry("multiply").gradients] == ["dL/da = g * b", "dL/db = g * a"]


def test_shapes_are_those_that_come_out():
    shapes = ops.entry("matmul").shapes
    assert "matmul((2, 3), (3, 4)) -> (2, 4)" in shapes
    for shape in shapes:  # run what is printed
        a, b = eval(shape.split("matmul")[1].split(" -> ")[0])
        assert str(mg.matmul(mg.ones(a), mg.ones(b)).shape) == shape.split(" -> ")[1]


def test_second_order_and_kernels():
    assert ops.entry("layer_norm").higher == "the body is differentiated, in any order"
    assert ops.entry("layer_norm").kernels == ["cupy: kernels/cuda/norm.py", "numba: kernels/cpu/norm.py"]
    assert ops.entry("exp").higher.startswith("the rules are made of primitives")
    assert ops.entry("equal").higher == "" and ops.entry("equal").without
    assert all(ops.entry(n).higher == f"none: {p.no_second}" for n, p in PRIMITIVES.items() if p.no_second)


def test_other_names_lead_to_the_operation(capsys):
    alias, name = next((a, n) for a, n in ALIASES.items() if a not in PRIMITIVES)
    assert main(["ops", alias]) == 0
    out = capsys.readouterr().out
    assert out.startswith(f"{name}(") and alias in out
    with pytest.raises(ArgumentError, match="there is no operation"):
        list(ops.detail("nothing_of_the_kind"))


def test_the_command_writes_the_page(tmp_path, capsys):
    path = tmp_path / "ops.html"
    assert main(["ops", "--html", str(path)]) == 0
    assert path.read_text() == PAGE and capsys.readouterr().out.strip() == str(path)
