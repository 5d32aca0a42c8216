"""CONTRIBUTING.md: what it shows runs as printed."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

FILE = Path(__file__).parent.parent / "CONTRIBUTING.md"
pytestmark = pytest.mark.skipif(not FILE.exists(), reason="needs the source tree")
BLOCKS = re.findall(r"^```python\n(.*?)^```", FILE.read_text() if FILE.exists() else "", re.DOTALL | re.MULTILINE)


@pytest.mark.parametrize("number", range(2))
def test_block_runs_as_printed(number, tmp_path):
    command = [sys.executable, "-W", "error", "-c", BLOCKS[number]]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr


def test_it_is_one_page():
    assert len(FILE.read_text().splitlines()) < 120 and len(BLOCKS) == 2
