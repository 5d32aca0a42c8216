"""The disk cache of compiled kernels: found again, shared by processes, unhurt by damage, read-only folders, edits."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("numba")

from minigrad.kernels.cpu import cache

SCRIPT = """
import warnings, numpy as np
warnings.simplefilter("error")
from numba.core import event
compiled = []
class Listener(event.Listener):
    def on_start(self, e): compiled.append(1)
    def on_end(self, e): pass
event.register("numba:compile", Listener())
import minigrad as mg
for dtype in (np.float32, np.float64):
    x = np.linspace(-2, 2, 4096, dtype=dtype).reshape(64, 64)
    y = mg.nn.functional.cross_entropy(mg.tensor(x), mg.arange(64), reduction="none").numpy()
    np.testing.assert_allclose(y, np.log(np.exp(x).sum(axis=1)) - np.diag(x), rtol=1e-4)
print(len(compiled))
"""


def start(folder, code=SCRIPT, **more):
    environment = os.environ | {"MINIGRAD_CACHE_DIR": str(folder)} | more
    return subprocess.Popen(
        [sys.executable, "-c", code], env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )


def compilations(process):
    out, error = process.communicate(timeout=300)
    assert process.returncode == 0, error
    return int(out)


@pytest.fixture(scope="module")
def filled(tmp_path_factory):
    """A cache that two processes filled at once."""
    folder = tmp_path_factory.mktemp("cache")
    counts = [compilations(p) for p in [start(folder), start(folder)]]
    assert min(counts) > 0
    return folder


def test_two_processes_at_once_and_nothing_is_compiled_twice(filled):
    assert compilations(start(filled)) == 0
    assert not list((filled / "minigrad").glob("*.part"))


def test_damaged_files_are_compiled_again(filled, tmp_path):
    folder = tmp_path / "damaged"
    shutil.copytree(filled, folder)
    for i, file in enumerate(sorted((folder / "minigrad").iterdir())):
        data = file.read_bytes()
        file.write_bytes((b"", data[: len(data) // 2], data[:100] + b"?" + data[101:])[i % 3])
    assert compilations(start(folder)) > 0
    assert compilations(start(folder)) == 0


def test_a_folder_that_cannot_be_written(filled, tmp_path):
    """A file stands where the folder should be: nothing can be kept, all works."""
    place = tmp_path / "file"
    place.write_text("")
    assert compilations(start(place)) > 0
    assert place.read_text() == ""


def test_a_change_in_an_imported_file_changes_the_digest(tmp_path):
    for name, text in (("a.py", "from .b import f\n"), ("b.py", "from . import c, d\n"), ("c.py", ""), ("d.py", "")):
        (tmp_path / name).write_text(text)
    before = cache._source(str(tmp_path / "a.py"))
    cache._source.cache_clear()
    (tmp_path / "d.py").write_text("x = 1\n")
    assert cache._source(str(tmp_path / "a.py")) != before
    cache._source.cache_clear()


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({"MINIGRAD_CACHE_DIR": "/m", "NUMBA_CACHE_DIR": "/n"}, "/m/minigrad"),
        ({"NUMBA_CACHE_DIR": "/n", "XDG_CACHE_HOME": "/x"}, "/n/minigrad"),
    ],
)
def test_where_the_folder_is(monkeypatch, given, expected):
    for name in ("MINIGRAD_CACHE_DIR", "NUMBA_CACHE_DIR"):
        monkeypatch.delenv(name, raising=False)
    for name, value in given.items():
        monkeypatch.setenv(name, value)
    assert cache.folder() == Path(expected)


def test_every_worker_can_be_warmed_up():
    """One name for each decorated worker of the folder: none hides another."""
    from minigrad.kernels import cpu
    from minigrad.kernels.cpu import threads, warmup

    cpu.modules()
    files = Path(cpu.__file__).parent.glob("*.py")
    declared = sum(file.read_text(encoding="utf-8").count("\n@compiled\n") for file in files)
    assert len([n for n in threads.WORKERS if not n.startswith("test_")]) >= declared > 20
    names = warmup.names()
    assert len(names) == len(set(names))


def test_a_warm_cache_needs_no_compiler(tmp_path):
    jobs = [
        "start",
        "worker cross_entropy._losses float32",
        "op silu float32",
        "rule silu.x float32",
        "rule add.a float32",
    ]
    code = f"from minigrad.kernels.cpu import warmup\nfor job in {jobs}: warmup.compile_one(job)\nprint({len(jobs)})"
    assert compilations(start(tmp_path, code)) == len(jobs)
    count = SCRIPT[: SCRIPT.index("for dtype")]
    use = """
x = mg.tensor(np.linspace(-2, 2, 300_000, dtype=np.float32), requires_grad=True)
mg.nn.functional.silu(x).backward(mg.ones(300_000))
mg.nn.functional.cross_entropy(x.detach().reshape(3000, 100), mg.zeros(3000, dtype=mg.int64))
print(len(compiled))
"""
    assert compilations(start(tmp_path, count + use)) == 0
