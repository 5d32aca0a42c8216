"""CuPy has every function that the library calls on device arrays, with the arguments it is called with.

Needs CuPy, but no GPU: nothing is run.
"""

import ast
import inspect
from pathlib import Path

import pytest

from minigrad.backend.completed import completed
from minigrad.backend.cupy import MISSING

ROOT = Path(__file__).parent.parent
FOLDERS = ["minigrad", "kernels/cuda"]
pytestmark = pytest.mark.skipif(not (ROOT / "minigrad").is_dir(), reason="needs the source tree")


@pytest.fixture(scope="module")
def cupy():
    found = pytest.importorskip("cupy", reason="CuPy is not installed: pip install 'minigrad-engine[gpu]'")
    return completed(found)


def names(node):
    """xp.linalg.norm or backend.xp.linalg.norm as ["linalg", "norm"]; None for anything else."""
    found = []
    while isinstance(node, ast.Attribute):
        found.insert(0, node.attr)
        node = node.value
    if isinstance(node, ast.Name) and node.id == "xp":
        return found
    return found[found.index("xp") + 1 :] if "xp" in found[:-1] else None


def uses():
    """(file:line, function, names, node) of everything asked of xp."""
    for path in [f for folder in FOLDERS for f in sorted((ROOT / folder).rglob("*.py"))]:
        for outer in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(outer, (ast.Attribute, ast.Call)) and (
                found := names(outer.func if isinstance(outer, ast.Call) else outer)
            ):
                yield f"{path.relative_to(ROOT)}:{outer.lineno}", ".".join(found), outer


def found_in(library, name):
    for part in name.split("."):
        library = getattr(library, part)
    return library


def test_names(cupy):
    missing = set()
    for place, name, _ in uses():
        try:
            found_in(cupy, name)
        except AttributeError:
            missing.add(f"{place}: {name}")
    assert not missing, sorted(missing)


def test_arguments(cupy):
    wrong, compared = [], 0
    for place, name, call in uses():
        if not isinstance(call, ast.Call) or name in MISSING:
            continue
        if any(isinstance(a, ast.Starred) for a in call.args) or any(k.arg is None for k in call.keywords):
            continue
        try:
            signature = inspect.signature(found_in(cupy, name))
        except (AttributeError, ValueError, TypeError):  # missing, see above; or written in C
            continue
        compared += 1
        try:
            signature.bind(*call.args, **{k.arg: None for k in call.keywords})
        except TypeError as error:
            wrong.append(f"{place}: {name}: {error}")
    assert compared > 100 and not wrong, wrong
