"""The README's code runs as printed, and the documents name only what exists."""

import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text()
BLOCKS = re.findall(r"^```python\n(.*?)^```", README, re.DOTALL | re.MULTILINE)
DOCUMENTS = ["README.md", "CONTRIBUTING.md"]


def run(code, folder):
    return subprocess.run(
        [sys.executable, "-W", "error", "-c", code], cwd=folder, capture_output=True, text=True, timeout=600
    )


@pytest.mark.parametrize("number", range(len(BLOCKS)))
def test_block_runs_as_printed(number, tmp_path):
    done = run(BLOCKS[number], tmp_path)
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""


def test_the_training_example_learns_in_twenty_lines(tmp_path):
    (example,) = (block for block in BLOCKS if "test accuracy" in block)
    assert sum(bool(line.strip()) for line in example.splitlines()) <= 20
    output = run(example, tmp_path).stdout
    assert re.fullmatch(r"test accuracy \d+\.\d\d %\n", output)
    assert float(output.split()[2]) > 95


def test_second_run_prints_the_same(tmp_path):
    (example,) = (block for block in BLOCKS if "test accuracy" in block)
    assert run(example, tmp_path).stdout == run(example, tmp_path).stdout


@pytest.mark.parametrize("name", DOCUMENTS)
def test_files_that_are_named_exist(name):
    text = (ROOT / name).read_text()
    paths = set(re.findall(r"`((?:minigrad|kernels|benchmarks|tests)/[\w/.]*)`", text)) | set(
        re.findall(r"\]\(([\w.]+)\)", text)
    )
    assert paths and not [path for path in paths if not (ROOT / path).exists()]


@pytest.mark.parametrize("name", DOCUMENTS)
def test_make_targets_that_are_named_exist(name):
    targets = set(re.findall(r"^(\w+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    targets |= set(re.search(r"^\.PHONY: (.*)$", (ROOT / "Makefile").read_text(), re.MULTILINE)[1].split())
    assert set(re.findall(r"\bmake ([a-z]+)\b", text_of_code(ROOT / name))) <= targets


def text_of_code(path):
    """What stands between backquotes."""
    return "\n".join(re.findall(r"```sh\n.*?```|`[^`]+`", path.read_text(), re.DOTALL))


def test_extras_in_the_readme_are_those_of_the_project():
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    named = set(re.findall(r"^\| `(\w+)` \| .* \| .* \|$", README.split("## Words")[0], re.MULTILINE))
    assert named <= set(extras) and {"train", "gpu", "dev", "parity"} <= named


def test_every_package_is_listed_for_installation():
    """Packages are listed by hand, because kernels/ is installed as minigrad.kernels."""
    listed = set(tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]["packages"])
    found = {".".join(p.parent.relative_to(ROOT).parts) for p in (ROOT / "minigrad").rglob("*.py")}
    for folder in ("kernels", "benchmarks"):
        found |= {"minigrad." + ".".join(p.parent.relative_to(ROOT).parts) for p in (ROOT / folder).rglob("*.py")}
    assert listed == found
