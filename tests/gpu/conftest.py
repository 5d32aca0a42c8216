"""The tests of this folder need an NVIDIA GPU with CuPy: `make test-gpu`. Elsewhere they say why they are skipped."""

import numpy as np
import pytest

import minigrad as mg


def pytest_collection_modifyitems(items):
    for item in items:
        if "/gpu/" in item.path.as_posix():
            item.add_marker(pytest.mark.gpu)


@pytest.fixture(scope="session")
def gpu():
    """The backend "cupy"."""
    try:
        return mg.get_backend("cupy")
    except mg.errors.BackendError as error:
        pytest.skip(str(error))


@pytest.fixture
def fresh():
    """Other random numbers in every run; the seed is shown where a test fails."""
    seed = int(np.random.SeedSequence().entropy % 2**32)
    print(f"seed {seed}")
    return np.random.default_rng(seed)


@pytest.fixture
def poisoned(gpu):
    """A function that fills the memory the next arrays will get with NaN."""

    def spoil(megabytes=64):
        blocks = [gpu.xp.full(megabytes * 2**18 // 8, np.nan, np.float32) for _ in range(8)]
        blocks += [gpu.xp.full(n, np.nan, np.float32) for n in (16, 128, 1024, 2**14, 2**17) for _ in range(8)]
        del blocks

    return spoil
