"""Fixtures for all tests: the backends, seeds, and the real data sets where they are installed."""

import os
import sys
from pathlib import Path

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).parent))  # tests import each other's helpers: `import strict`

from strict import BACKENDS  # registers the backend "strict"

import minigrad as mg


@pytest.fixture(params=BACKENDS)
def backend(request):
    """The test runs once per backend; new tensors are made on it."""
    with mg.use_backend(request.param):
        yield request.param


@pytest.fixture
def rng():
    """A generator that gives every test the same numbers, in whatever order tests run."""
    return np.random.default_rng(20240229)


@pytest.fixture(autouse=True)
def seeded():
    """minigrad's shared generator restarts before every test."""
    mg.manual_seed(0)


@pytest.fixture
def data_dir():
    """The folder of real data sets named by MINIGRAD_DATA."""
    folder = os.environ.get("MINIGRAD_DATA")
    if not folder:
        pytest.skip("MINIGRAD_DATA is not set: it names the folder with the real data sets")
    if not Path(folder).is_dir():
        pytest.skip(f"MINIGRAD_DATA={folder} is not a folder")
    return Path(folder)
