""".ci/run with a stand-in for make: what it asks for, and that it fails when make does."""

import os
import subprocess
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parent.parent / ".ci" / "run"


def run(tmp_path, make):
    """Run the script where `make` is this shell code, which sees the arguments as "$*"; returns (status, calls)."""
    calls = tmp_path / "calls"
    (tmp_path / "make").write_text(f'#!/bin/sh\necho "$*" >> "{calls}"\n{make}\n')
    (tmp_path / "make").chmod(0o755)
    env = {**os.environ, "PATH": f"{tmp_path}{os.pathsep}{os.environ['PATH']}"}
    done = subprocess.run([SCRIPT], env=env, capture_output=True, text=True, timeout=60)
    return done.returncode, calls.read_text().splitlines()


@pytest.mark.parametrize(
    "make, status, calls",
    [
        ("exit 0", 0, ["parity", "test PARITY=1"]),
        ('test "$*" != parity', 0, ["parity", "test PARITY="]),  # PyTorch cannot be installed
        ('test "$1" != test', 1, ["parity", "test PARITY=1"]),  # the tests fail
        ("exit 2", 2, ["parity", "test PARITY="]),
    ],
)
def test_ci(tmp_path, make, status, calls):
    assert run(tmp_path, make) == (status, calls)
