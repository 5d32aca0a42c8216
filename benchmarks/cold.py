"""The suite `cold`: fresh processes, from their start to the end of the first training step, with kernels still to be
compiled (an empty cache of minigrad's kernels, and of torch.compile's) and with kernels on disk.

Times are those of the whole process, as a user waits for it; PyTorch's and JAX's are beside them.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from .suite import Suite
from .worker import Work

STEPS = {  # row: (row of the suite train, is the cache empty)
    f"first step of {name}, {cache} cache": (name, cache == "empty")
    for name in ("mlp 784-128-10", "cnn 1x28x28")
    for cache in ("empty", "warm")
}
IMPORT, INFO = "import", "minigrad info"


def caches(folder: str) -> dict[str, str]:
    """The environment in which compiled code is kept in `folder`."""
    return {**os.environ, "NUMBA_CACHE_DIR": folder, "TORCHINDUCTOR_CACHE_DIR": str(Path(folder, "torch"))}


def wall(arguments: list[str], environment: dict[str, str] | None = None) -> float:
    start = time.perf_counter()
    subprocess.run([sys.executable, *arguments], env=environment, check=True, capture_output=True, text=True)
    return time.perf_counter() - start


def build(contender: str, name: str) -> Work:
    from .overhead import module_of

    if name == INFO:
        return Work(lambda: wall(["-m", "minigrad", "info"]), times_itself=True)
    if name == IMPORT:
        return Work(lambda: wall(["-c", f"import {module_of(contender).split('-')[0]}"]), times_itself=True)
    row, empty = STEPS[name]
    command = ["-m", __name__, contender, row]
    if not empty:
        wall(command)  # fills the cache that this installation uses
        return Work(lambda: wall(command), times_itself=True)

    def first() -> float:
        with tempfile.TemporaryDirectory() as folder:
            return wall(command, caches(folder))

    return Work(first, times_itself=True)


def takes_part(contender: str, row: str) -> bool:
    from .train import takes_part as trains

    if row == INFO:
        return contender == "numba"
    return row == IMPORT or trains(contender, STEPS[row][0])


SUITE = Suite(
    name="cold",
    about="seconds of a fresh process",
    rows=[IMPORT, INFO, *STEPS],
    peers=("torch", "torch-compiled", "jax"),
    takes_part=takes_part,
    warm=False,
    rounds=3,
)


def main(contender: str, row: str) -> Any:
    """The process that is timed: import, build, one step."""
    from .train import BY_NAME, steps_of

    return steps_of(contender, BY_NAME[row])()


if __name__ == "__main__":
    main(*sys.argv[1:])
