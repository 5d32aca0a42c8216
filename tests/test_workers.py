"""The pool of threads under the kernels: every part once, whoever asks, after a fork, at another count, at exit."""

import os
import subprocess
import sys
import threading

import numpy as np
import pytest

import minigrad as mg

pytest.importorskip("numba")
from minigrad.kernels.cpu import threads, workers
from minigrad.kernels.cpu.threads import pointer
from numba import carray

SIZE = 1000


@threads.compiled
def _count(zero):
    """Adds 1 to c[part], and to each element of this part's share of a."""
    kind = type(zero)

    def work(a, b, c, numbers, part, parts):
        given = carray(pointer(numbers), (1,), np.int64)
        rows, seen = carray(pointer(a), (given[0],), kind), carray(pointer(c), (parts,), kind)
        seen[part] += 1
        for i in range(given[0] * part // parts, given[0] * (part + 1) // parts):
            rows[i] += 1

    return work


def counted(parts, times=1):
    worker = _count(np.dtype(np.float64))
    a, seen = np.zeros(SIZE), np.zeros(parts)
    for _ in range(times):
        threads.run(worker, a, a, seen, (SIZE,), parts=parts)
    return a, seen


@pytest.fixture
def several():
    """Three threads, more than this machine may have cores."""
    before = mg.get_num_threads()
    mg.set_num_threads(3)
    yield
    mg.set_num_threads(before)


@pytest.mark.parametrize("parts", [1, 2, 3, 7, 64, 1000])
def test_every_part_once(several, parts):
    a, seen = counted(parts, 200)
    assert (a == 200).all() and (seen == 200).all()


def test_no_more_parts_than_fit_the_ticket(several):
    worker = _count(np.dtype(np.float64))
    a, seen = np.zeros(SIZE), np.zeros(workers.MOST_PARTS)
    threads.run(worker, a, a, seen, (SIZE,), parts=10**6)
    assert (a == 1).all() and (seen == 1).all()


def test_two_threads_ask_at_once(several):
    wrong = []

    def ask():
        for _ in range(300):
            a, seen = counted(5)
            if not ((a == 1).all() and (seen == 1).all()):
                wrong.append((a, seen))

    askers = [threading.Thread(target=ask) for _ in range(4)]
    for asker in askers:
        asker.start()
    for asker in askers:
        asker.join()
    assert not wrong


def test_the_count_can_change_at_any_time():
    before = mg.get_num_threads()
    try:
        for n in (1, 4, 2, 1, 3):
            mg.set_num_threads(n)
            a, _ = counted(8, 20)
            assert (a == 20).all() and mg.get_num_threads() == n
            if workers.AVAILABLE and n > 1:
                assert len(threads._pool.handles) == n - 1
    finally:
        mg.set_num_threads(before)


@pytest.mark.parametrize("n", [0, -1, 1.5, "2", None])
def test_a_count_that_is_none(n):
    with pytest.raises(mg.errors.BackendError, match="set_num_threads"):
        mg.set_num_threads(n)


SCRIPT = """
import os, sys, numpy as np, minigrad as mg
mg.set_num_threads(3)
x = np.linspace(-3, 3, 200_000, dtype=np.float32)
f = lambda: mg.matmul(mg.tensor(x[:90_000].reshape(300, 300)), mg.tensor(x[:90_000].reshape(300, 300))).numpy()
"""


def run(code, **environment):
    return subprocess.run(
        [sys.executable, "-c", SCRIPT + code], capture_output=True, text=True, timeout=120, env=os.environ | environment
    )


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_a_forked_child_has_threads_of_its_own():
    done = run("""
before = f()
pid = os.fork()
if pid == 0:
    ok = (f() == before).all()
    os._exit(0 if ok else 1)
_, status = os.waitpid(pid, 0)
assert status == 0, status
assert (f() == before).all()
print("both")
""")
    assert done.stdout == "both\n", done.stderr
    assert done.returncode == 0


def test_exit_right_after_a_job():
    for _ in range(3):
        done = run("f(); f()")
        assert (done.returncode, done.stderr) == (0, "")


def test_the_environment_sets_the_count():
    assert (
        run("import minigrad.threads as t; t._chosen = 0; print(mg.get_num_threads())", MINIGRAD_NUM_THREADS="5").stdout
        == "5\n"
    )
    done = run("import minigrad.threads as t; t._chosen = 0; mg.get_num_threads()", MINIGRAD_NUM_THREADS="many")
    assert "MINIGRAD_NUM_THREADS: an integer of at least 1" in done.stderr
