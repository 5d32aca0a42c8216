"""Imports go one way, and `import minigrad` brings in nothing but NumPy."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
pytestmark = pytest.mark.skipif(not (ROOT / "minigrad").is_dir(), reason="needs the source tree")

# Each line may import from the lines above it; a package also from itself.
LEVELS = [
    ["errors", "mistakes", "_version"],
    ["primitive", "autograd", "extras", "threads"],
    ["ops", "kernels", "edits", "halves"],
    ["backend"],
    ["mode"],
    ["explain", "convert", "signature"],
    ["tensor"],
    ["protocols", "gradients", "functions", "creation", "dtypes"],
    ["numpy_names"],
    [
        "custom",
        "fft",
        "inplace",
        "linalg",
        "special",
        "methods",
        "numpy_functions",
        "spellings",
        "random",
        "transforms",
        "array_api",
        "amp",
        "anomaly",
        "pytorch_names",
        "tapers",
        "signal",
    ],
    ["nn", "jit", "matrices", "masked", "distributions"],
    ["func"],
    ["optim", "quantization"],
    ["io", "cuda"],
    ["data", "onnx", "viz"],
    ["train", "distributed", "utils"],
    ["recipes"],
    ["benchmarks"],
    ["cli"],
    ["__main__", "testing", ""],  # "": the package itself, which only collects names
    ["_stub"],
]
STRICTER = {  # may import these and nothing else
    "errors": set(),
    "autograd": {"errors"},
    "primitive": {"errors"},
    "ops": {"errors", "primitive"},
    "threads": {"errors"},
    "kernels": {"_version", "errors", "primitive", "threads"},
    "halves": {"errors", "primitive"},
    "backend": {"errors", "primitive", "ops", "kernels", "halves"},
    "edits": {"errors", "autograd"},
}


def modules():
    """(dotted name, path, is a package) of every module of the library."""
    for folder in ("minigrad", "kernels", "benchmarks"):
        package = folder if folder == "minigrad" else f"minigrad.{folder}"
        for path in sorted((ROOT / folder).rglob("*.py")):
            parts = [*package.split("."), *path.relative_to(ROOT / folder).with_suffix("").parts]
            is_package = parts[-1] == "__init__"
            yield ".".join(parts[:-1] if is_package else parts), path, is_package


def imports(name, path, is_package):
    """The dotted names of minigrad that a module imports, anywhere in its text but under TYPE_CHECKING."""
    found = set()

    def visit(node):
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
            return
        if isinstance(node, ast.Import):
            found.update(a.name for a in node.names)
        if isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                package = name.split(".") if is_package else name.split(".")[:-1]
                base = ".".join([*package[: len(package) - node.level + 1], *filter(None, [node.module])])
            found.update([base] if node.module else [f"{base}.{a.name}" for a in node.names])
        for child in ast.iter_child_nodes(node):
            visit(child)

    visit(ast.parse(path.read_text()))
    return {f for f in found if f.split(".")[0] == "minigrad"}


GRAPH = {m[0]: imports(*m) for m in modules()} if (ROOT / "minigrad").is_dir() else {}


def part(name):
    """minigrad.nn.linear -> nn; "" for the package itself."""
    return [*name.split("."), ""][1]


def test_every_module_has_its_place():
    known = {p for line in LEVELS for p in line}
    assert {part(m) for m in GRAPH} <= known, "put the new module into LEVELS, as low as it can be"


@pytest.mark.parametrize("module", GRAPH)
def test_imports_go_one_way(module):
    level = {p: i for i, line in enumerate(LEVELS) for p in line}
    own = part(module)
    for target in GRAPH[module]:
        other = part(target)
        if other == own and own:
            continue
        assert level[other] < level[own], f"{module} imports {target}, which stands above or beside it"
        if own in STRICTER:
            assert other in STRICTER[own], f"{own} may import only {sorted(STRICTER[own])}: {module} imports {target}"


def test_no_cycles_between_modules():
    """Not inside a package either."""
    packages = {m for m, _, is_package in modules() if is_package}
    resolved = {m: {t for t in targets if t in GRAPH and t not in packages} for m, targets in GRAPH.items()}
    done, path = set(), []

    def visit(m):
        if m in path:
            raise AssertionError("a cycle: " + " -> ".join([*path[path.index(m) :], m]))
        if m not in done:
            path.append(m)
            for t in sorted(resolved[m]):
                visit(t)
            done.add(path.pop())

    for m in sorted(set(GRAPH) - packages):
        visit(m)


def test_nothing_imports_testing():
    inside = lambda m: m.startswith("minigrad.testing")
    assert not [m for m, targets in GRAPH.items() if not inside(m) and any(map(inside, targets))]


def test_ops_are_declarations():
    """ops/ sees no Tensor, no backend and no array library but for shapes."""
    for name in GRAPH:
        if part(name) == "ops":
            assert not {part(t) for t in GRAPH[name]} - {"ops", "primitive", "errors"}


def run(code):
    return subprocess.run([sys.executable, "-W", "error", "-c", code], capture_output=True, text=True, check=False)


def test_importing_minigrad_brings_in_numpy_only():
    done = run("import minigrad, sys; print(*sorted(m.split('.')[0] for m in sys.modules))")
    assert done.returncode == 0, done.stderr
    heavy = {"numba", "llvmlite", "cupy", "matplotlib", "torch", "scipy", "rich", "sklearn", "safetensors", "onnx"}
    assert not heavy & set(done.stdout.split())


def test_a_small_training_step_needs_no_numba():
    """Small arrays never wait for a compiler."""
    code = """
import sys
import minigrad as mg
w = mg.randn(4, 2, requires_grad=True)
loss = mg.mean(mg.square(mg.tanh(mg.ones((3, 4)) @ w)))
loss.backward()
print("numba" in sys.modules)
"""
    done = run(code)
    assert done.stdout.strip() == "False", done.stderr


def test_kernels_have_one_name():
    """kernels/ is minigrad.kernels; imported under its folder's name it refuses."""
    done = subprocess.run(
        [sys.executable, "-c", "import kernels"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode != 0 and "minigrad.kernels" in done.stderr
