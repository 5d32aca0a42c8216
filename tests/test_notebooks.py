"""The notebooks run from top to bottom, and each has what a lesson needs."""

import ast
import importlib.util
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

FOLDER = Path(__file__).parent.parent / "notebooks"
NOTEBOOKS = sorted(FOLDER.glob("*.ipynb"))
TOOLS = all(importlib.util.find_spec(name) for name in ("nbclient", "nbformat", "ipykernel", "matplotlib", "sklearn"))
ABSOLUTE = re.compile(r"(?<![\w./:>-])/(?:home|tmp|work|root|usr|opt|Users|content|mnt|var)/|\b[A-Z]:\\\\")


def each(function):
    return pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)(function)


def read(path):
    return json.loads(path.read_text(encoding="utf-8"))


def text(part):
    """A cell's source or an output's text: nbformat stores either as a list of lines."""
    return "".join(part)


def code(notebook):
    return [cell for cell in notebook["cells"] if cell["cell_type"] == "code"]


def solutions(notebook):
    return [cell for cell in code(notebook) if "solution" in cell["metadata"].get("tags", ())]


def asserts(cell):
    return sum(isinstance(node, ast.Assert) for node in ast.walk(ast.parse(text(cell["source"]))))


def only_prints_shapes(source):
    """Whether all the cell does is to show or print shapes."""
    body = ast.parse(source).body
    shown = [node for node in body if isinstance(node, ast.Expr)]
    return bool(body) and len(shown) == len(body) and all(re.search(r"\.shape\b", ast.unparse(s)) for s in shown)


def needs(notebook):
    return notebook["metadata"].get("minigrad", {}).get("data", [])


@each
def test_runs_from_top_to_bottom(path):
    """In a process of its own: warnings of the kernel's machinery are not this suite's."""
    if not TOOLS:
        pytest.skip("needs the extra `notebooks`: nbclient, nbformat, ipykernel, matplotlib, scikit-learn")
    data = os.environ.get("MINIGRAD_DATA")
    missing = [name for name in needs(read(path)) if not data or not Path(data, name).is_dir()]
    if missing:
        pytest.skip(f"MINIGRAD_DATA names no folder with {', '.join(missing)}")
    command = [sys.executable, str(FOLDER / "execute.py"), "--check", str(path)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=900)
    assert done.returncode == 0, done.stderr


@each
def test_begins_with_title_promise_and_badges(path):
    pytest.importorskip("nbclient")
    first = read(path)["cells"][0]
    assert first["cell_type"] == "markdown"
    title, badges, promise, *_ = (block.strip() for block in text(first["source"]).split("\n\n"))
    assert re.fullmatch(r"# .+", title)
    assert badges == load_execute().badges(path)
    assert len(promise.split()) >= 25  # what one learns


def load_execute():
    spec = importlib.util.spec_from_file_location("execute", FOLDER / "execute.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@each
def test_is_a_lesson(path):
    notebook = read(path)
    assert re.fullmatch(r"\d\d(-[a-z0-9]+)+", path.stem)
    lesson = [cell for cell in code(notebook) if cell not in solutions(notebook)]
    assert sum(map(asserts, lesson)) >= 3, "every claim is an assert"
    assert not [c for c in lesson if only_prints_shapes(text(c["source"]))], "a cell that only prints shapes"
    assert any("$" in text(c["source"]) for c in notebook["cells"] if c["cell_type"] == "markdown"), "no formula"
    kinds = {kind for c in code(notebook) for o in c["outputs"] for kind in o.get("data", ())}
    assert kinds & {"image/png", "image/svg+xml", "image/gif", "text/html"}, "no picture"


@each
def test_exercises_have_hidden_solutions_that_are_checked(path):
    notebook = read(path)
    assert len(solutions(notebook)) >= 2
    asked = [len(re.findall(r"\*\*Exercise", text(c["source"]))) for c in notebook["cells"]]
    assert sum(asked) == len(solutions(notebook))
    for cell in solutions(notebook):
        assert cell["metadata"]["jupyter"]["source_hidden"] is True
        assert asserts(cell)
    for number, cell in enumerate(solutions(notebook), 1):
        assert sum(asked[: notebook["cells"].index(cell)]) >= number, "the exercise stands before its solution"


@each
def test_is_stored_as_it_ran(path):
    notebook = read(path)
    assert path.stat().st_size < 1_100_000
    assert notebook["metadata"]["kernelspec"]["name"] == "python3"
    assert [cell["execution_count"] for cell in code(notebook)] == list(range(1, len(code(notebook)) + 1))
    assert not [c for c in notebook["cells"] if "execution" in c["metadata"]], "timings"
    for cell in code(notebook):
        assert not ABSOLUTE.search(text(cell["source"]))
        for output in cell["outputs"]:
            assert output["output_type"] != "error" and output.get("name") != "stderr"
            words = [output.get("text", ()), *(v for k, v in output.get("data", {}).items() if k.startswith("text/"))]
            assert not any(ABSOLUTE.search(text(w)) for w in words)


def test_numbers_are_used_once():
    numbers = [path.stem[:2] for path in NOTEBOOKS]
    assert len(set(numbers)) == len(numbers)


@pytest.mark.parametrize(
    "source, verdict",
    [("print(x.shape)", True), ("x.shape", True), ("y = x + 1\nprint(y.shape)", False), ("print(x)", False)],
)
def test_a_cell_that_only_prints_shapes_is_seen(source, verdict):
    assert only_prints_shapes(source) is verdict
