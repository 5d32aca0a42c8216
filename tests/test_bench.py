"""The benchmark suite: its arithmetic, its workers, its rows, and what it writes. No speed is asserted."""

import json
import math
import os
import signal
import subprocess
import sys
import time
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
from minigrad.benchmarks import PEERS, SUITES, contenders, figure, floors, kernels, measure, ops, report, suite, table
from minigrad.benchmarks import train as steps

import minigrad as mg
from minigrad.__main__ import main
from minigrad.backend.numba import NumbaBackend
from minigrad.cli.bench import load
from minigrad.primitive import PRIMITIVES

TORCH = find_spec("torch") is not None


@pytest.fixture(autouse=True)
def default_backend():
    """A contender's library sets the backend of its process."""
    yield
    mg.set_backend("numba")


# ---- the arithmetic, with contenders that only pretend -----------------------------------------------------------
class Fake:
    """A worker that says its calls take `seconds`, and that its work gives `numbers`."""

    process = None

    def __init__(self, seconds, numbers=(1.0,), fails_at=None):
        self.seconds, self.numbers, self.turns, self.fails_at = seconds, list(numbers), 0, fails_at

    def ask(self, do, **question):
        if do == "build":
            return {"numbers": self.numbers}
        if do == "turn":
            self.turns += 1
            if self.turns == self.fails_at:
                raise measure.WorkerError("its process was killed by SIGKILL")
            return {"seconds": self.seconds * self.turns}  # a machine that slows down, and all contenders alike
        return {"step_memory": 1}


def results(**workers):
    found = measure.measure(workers, "row", rounds=5, seconds=0.001, tolerance=1e-3)
    return suite.compared(suite.Suite("train", "", ["row"], (), fresh=True), "row", found)


def test_a_ratio_is_that_of_the_rounds_and_a_drift_cancels():
    row = results(numba=Fake(0.002), torch=Fake(0.003), jax=Fake(0.001))
    assert row["ours"] == "numba" and row["best_peer"] == "jax"
    ratios = {name: entry["ratio"] for name, entry in row["contenders"].items()}
    assert ratios == pytest.approx({"numba": 1, "torch": 1.5, "jax": 0.5})
    ours = row["contenders"]["numba"]  # turns 2 to 6: the first is not counted
    assert [ours[k] for k in ("low", "median", "high")] == pytest.approx([0.006, 0.008, 0.010])


def test_who_computes_something_else_is_named_and_not_timed():
    slow = Fake(0.002, [2.3, 9.9])
    row = results(numba=Fake(0.001, [2.3, 2.1]), numpy=Fake(0.001, [2.3, 2.1001]), torch=slow)
    assert "ratio" in row["contenders"]["numpy"] and slow.turns == 0
    assert row["contenders"]["torch"].keys() == {"error"}
    assert "number 1 is 9.9 (numba 2.1, numpy 2.1001, torch 9.9)" in row["contenders"]["torch"]["error"]
    assert suite.failures([row])[0].startswith("row: torch eager: computes something else")


@pytest.mark.parametrize("wrong", [[1.0, math.nan], [1.0, math.inf], [1.01, 2.0], [1.0]])
def test_disagreement(wrong):
    right = [1.0, 2.0]
    assert "c" in measure.disagreement({"a": right, "b": right, "c": wrong}, 1e-3)
    assert not measure.disagreement({"a": right, "b": [1.0001, 2.0001], "c": None}, 1e-3)


def test_a_contender_that_dies_is_marked_and_the_rest_goes_on():
    row = results(numba=Fake(0.001), numpy=Fake(0.001, fails_at=3), torch=Fake(0.002))
    assert row["contenders"]["numpy"] == {"error": "its process was killed by SIGKILL"}
    assert row["contenders"]["torch"]["ratio"] == pytest.approx(2)
    ours_dead = results(numba=Fake(0.001, fails_at=1), torch=Fake(0.002))
    assert "median" in ours_dead["contenders"]["torch"] and "ratio" not in ours_dead["contenders"]["torch"]


def test_geometric_mean():
    rows = [results(numba=Fake(0.001), torch=Fake(0.001 * r)) for r in (4, 1)]
    assert suite.summary(rows) == pytest.approx({"torch": 2})


def test_durations():
    assert [report.duration(s) for s in (2.5, 0.12, 3.21e-3, 4.5e-7, 0)] == [
        "2.5 s",
        "120 ms",
        "3.21 ms",
        "450 ns",
        "0 ns",
    ]


def test_crossover_is_the_size_from_which_on_kernels_win():
    def row(size, ratio):
        return {
            "name": f"tanh {size:.0e}".replace("e+0", "e"),
            "ours": "numba",
            "contenders": {"numpy": {"ratio": ratio}},
        }

    rows = [row(size, ratio) for size, ratio in zip(ops.SIZES, (1.5, 0.9, 1.3, 2.0))]
    assert ops.crossover(rows) == {"tanh": 100_000}
    assert ops.crossover([row(size, 0.5) for size in ops.SIZES]) == {"tanh": None}
    assert ops.crossover([row(size, 1.01) for size in ops.SIZES]) == {}  # no kernel


# ---- floors --------------------------------------------------------------------------------------------------------
def test_products_are_counted():
    a, b = mg.ones(3, 4, requires_grad=True), mg.ones(4, 5)
    counted = floors.count(lambda: (a @ b).sum().backward())
    assert counted.flops == 2 * (2 * 3 * 4 * 5)  # forward, and the gradient of a
    q = mg.ones(2, 8, 4)
    attention = lambda **options: mg.nn.functional.scaled_dot_product_attention(q, q, q, **options)
    assert (
        floors.count(attention).flops
        == 2 * floors.count(lambda: attention(is_causal=True)).flops
        == 2 * 2 * 2 * 8 * 8 * 4
    )


@pytest.mark.parametrize("bias", [(), (mg.ones(6, requires_grad=True),)], ids=["no bias", "bias"])
def test_flops_of_a_convolution(bias):
    x, w = mg.ones(2, 4, 7, 7, requires_grad=True), mg.ones(6, 4, 3, 3, requires_grad=True)
    counted = floors.count(lambda: mg.nn.functional.conv2d(x, w, *bias).sum().backward())
    assert counted.flops == 3 * 2 * (2 * 6 * 5 * 5) * (4 * 3 * 3)  # forward, and both gradients


def test_a_floor_that_fails_is_told():
    class Accountant:
        def ask(self, **_):
            raise measure.WorkerError("no flops of this")

    row = {"name": "a row", "contenders": {}}
    row["floor"] = suite.floor(Accountant(), "a row", row, {})
    assert suite.failures([row]) == ["a row: floor: no flops of this"]


def test_flops_of_the_mlp_step():
    flops, moved = steps.cost("mlp 784-128-10")
    forward = 2 * 128 * (784 * 128 + 128 * 10)
    assert flops == 2 * forward + 2 * 128 * 128 * 10  # weights' gradients; that of the hidden layer, not of the input
    parameters = 4 * (784 * 128 + 128 + 128 * 10 + 10)
    assert parameters * 8 < moved < parameters * 10 + 20 * 4 * 128 * 784


def test_the_floor_takes_the_copy_rate_of_the_size():
    rates = {floors.ALL: 1e9} | {row: 1e9 * (i + 1) for i, row in enumerate(floors.COPIES)}
    assert floors.seconds(1e9, 1e5, rates) == pytest.approx(1 + 1e-4)
    assert floors.seconds(0, 1e12, rates) == pytest.approx(1e3 / len(floors.COPIES))


# ---- rows ----------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("name", steps.BY_NAME)
def test_steps_of_minigrad_and_pytorch_agree(name):
    row = steps.BY_NAME[name]._replace(batch=4)
    ours = [step() for step in [steps.steps_of("numba", row)] for _ in range(3)]
    assert np.isfinite(ours).all() and len(set(ours)) == 3
    if TORCH:
        theirs = [step() for step in [steps.steps_of("torch", row)] for _ in range(3)]
        assert not measure.disagreement({"numba": ours, "torch": theirs}, steps.TOLERANCE)


@pytest.mark.parametrize("name", [name for name in kernels.BY_NAME if not name.endswith("forward")])
def test_operations_of_minigrad_and_pytorch_agree(name):
    small = not name.startswith("matmul")  # whose inner sizes are the first axis
    if name.startswith(("matmul 1024", "matmul 2048")):
        pytest.skip("the same as those before, but for the time")
    work = kernels.build("numba", name, small=small)
    ours = work.check(work.call())
    assert np.isfinite(ours).all()
    if TORCH:
        work = kernels.build("torch", name, small=small)
        assert not measure.disagreement({"numba": ours, "torch": work.check(work.call())}, kernels.SUITE.tolerance)


def test_forward_and_gradient_rows_are_of_the_same_case():
    forward, _ = kernels.BY_NAME["softmax (4096, 1024) forward"]
    both, grad = kernels.BY_NAME["softmax (4096, 1024) + grad"]
    assert forward is both and grad


class Recording(NumbaBackend):
    """The numba backend; it writes down which primitives are called."""

    def __init__(self):
        super().__init__()
        self.called = set()

    def resolve(self, p):
        run = super().resolve(p)

        def recorded(*arrays, **params):
            self.called.add(p.name)
            return run(*arrays, **params)

        p.impl[self] = recorded
        return recorded


def test_every_kernel_has_a_row():
    """But those of elementwise operations: they are generated from their texts, and have rows in `ops`."""
    backend = Recording()
    for name in kernels.BY_NAME:
        if name.endswith("+ grad") and not name.startswith(("matmul 512", "matmul 1024", "matmul 2048")):
            work = kernels.build("numba", name, small=not name.startswith("matmul"))
            with mg.use_backend(backend):
                work.call()
    registered = {name for name, p in PRIMITIVES.items() if "numba" in p.kernels and not p.inline}
    missing = registered - backend.called
    assert not missing, f"add a case to benchmarks/kernels.py that calls {missing}"


@pytest.mark.parametrize("name", [name for name in ops.BY_NAME if not name.endswith(("1e5", "1e7"))])
def test_operations_run_on_both_flavours(name):
    found = {}
    for contender in ("numpy", "numba"):
        work = ops.build(contender, name)
        found[contender] = work.check(work.call())
    assert not measure.disagreement(found, ops.SUITE.tolerance)


def test_names_of_rows_are_distinct_and_the_suites_known():
    for name in SUITES:
        rows = load(name).rows
        assert rows and len(set(rows)) == len(rows)
        assert set(load(name).peers) <= set(PEERS)


# ---- processes -----------------------------------------------------------------------------------------------------
def here(*names):
    return [name for name in names if not contenders.missing(name)]


@pytest.fixture
def workers():
    made = {}

    def make(kind, *names):
        made.update({name: measure.Worker(kind, name) for name in names})
        return made

    yield make
    for worker in made.values():
        worker.close()


def test_contenders_of_the_mlp_agree_in_their_processes(workers):
    names = here("numba", "numpy", "jax", "autograd", "mygrad", "numpy-by-hand")
    found = measure.measure(
        workers("train", *names), "mlp 784-128-10", rounds=1, seconds=0.001, tolerance=steps.TOLERANCE
    )
    assert {name: f.get("error") for name, f in found.items()} == dict.fromkeys(names)
    for f in found.values():
        assert len(f["numbers"]) == steps.STEPS and f["peak"] > 1e7 and f["step_memory"] >= 0 and len(f["times"]) == 1


def test_a_worker_that_is_killed_says_so_and_starts_again(workers):
    worker = workers("train", "numpy")["numpy"]
    worker.ask(do="build", row="logistic 10-1")
    os.kill(worker.process.pid, signal.SIGKILL)
    with pytest.raises(measure.WorkerError, match="killed by SIGKILL"):
        worker.ask(do="turn", seconds=0.001)
    worker.ask(do="build", row="logistic 10-1")
    assert worker.ask(do="turn", seconds=0.001)["seconds"] > 0


def test_a_worker_that_raises_answers_with_the_error(workers):
    worker = workers("train", "numpy")["numpy"]
    with pytest.raises(measure.WorkerError, match="KeyError: 'no such row'"):
        worker.ask(do="build", row="no such row")


def running(pid):
    """Is there such a process, and not a mere zombie?"""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except OSError:
        return False


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_ctrl_c_ends_the_workers():
    start = "import signal, sys; signal.signal(signal.SIGINT, signal.default_int_handler)\n"
    start += "from minigrad.__main__ import main; sys.exit(main())"
    command = [sys.executable, "-c", start, "bench", "train", "--only", "logistic", "--peers", "none"]
    process = subprocess.Popen(
        [*command, "--rounds", "100000"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    children = Path(f"/proc/{process.pid}/task/{process.pid}/children")
    for _ in range(600):
        if workers := children.read_text().split():
            break
        time.sleep(0.05)
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 130 and "stopped by Ctrl-C" in errors
    assert workers
    for _ in range(200):  # they end a moment after their parent
        if not any(running(pid) for pid in workers):
            break
        time.sleep(0.05)
    assert not any(running(pid) for pid in workers)


# ---- what it writes ------------------------------------------------------------------------------------------------
@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """A quick run of one row on the command line: the folder of its files, and its output."""
    folder = tmp_path_factory.mktemp("bench")
    names = ["--backend", "numpy,numba", "--peers", "numpy-by-hand", "--seconds", "0.001", "--rounds", "2"]
    written = ["--json", str(folder / "train.json"), "--png", str(folder / "train.png")]
    command = [sys.executable, "-m", "minigrad", "bench", "train", "--only", "mlp 784-128-10", *names, *written]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    return folder, done.stdout


def test_json_has_machine_protocol_and_every_figure(files):
    found = json.loads((files[0] / "train.json").read_text())
    assert found["machine"].keys() == {"cpu", "threads", "system", "python", "versions", "date"}
    assert found["rates"].keys() == {floors.ONE, floors.ALL, *floors.COPIES} and min(found["rates"].values()) > 0
    (train,) = found["suites"]
    assert train["protocol"] == {"rounds": 2, "seconds": 0.001}
    (row,) = train["rows"]
    assert row["ours"] == "numpy" and row["best_peer"] == "numpy-by-hand"
    for entry in row["contenders"].values():
        assert entry["low"] <= entry["median"] <= entry["high"] and len(entry["numbers"]) == steps.STEPS
    floor, ours = row["floor"], row["contenders"]["numpy"]
    assert floor["times"] == pytest.approx(ours["median"] / floor["seconds"])


def test_the_table_shows_every_contender(files):
    heading, row = files[1].splitlines()[1:3]
    assert [
        word for word in ("minigrad numpy", "minigrad numba", "numpy by hand", "x floor") if word not in heading
    ] == []
    assert row.startswith("mlp 784-128-10")


def test_the_picture_is_one(files):
    assert (files[0] / "train.png").read_bytes().startswith(b"\x89PNG\r\n")


def test_readme_tables_are_made_of_the_results(files, tmp_path):
    readme = tmp_path / "README.md"
    readme.write_text(f"before\n{table.BEGIN}\nold\n{table.END}\nafter\n")
    assert table.write(readme, files[0])
    text = readme.read_text()
    assert text.startswith(f"before\n{table.BEGIN}\nOne training step") and text.endswith(f"{table.END}\nafter\n")
    assert "| mlp 784-128-10 | " in text and "old" not in text
    assert not table.write(readme, tmp_path / "empty") and readme.read_text() == text


def test_tables_and_picture_of_rows_with_losses_and_failures(tmp_path):
    rows = [
        results(numba=Fake(0.002), torch=Fake(0.001)) | {"name": "slower"},
        results(numba=Fake(0.001, fails_at=2), torch=Fake(0.001)) | {"name": "failed"},
        results(numba=Fake(0.001), torch=Fake(0.001, [5.0])) | {"name": "wrong"},
    ]
    result = {"suite": "kernels", "about": "", "rows": rows, "left_out": {"jax": "it is not installed"}}
    heading, lines = report.cells(rows)
    assert [line[0] for line in lines] == ["slower", "failed", "wrong"] and "(0.50)" in lines[0][2]
    assert lines[1][1] == lines[2][1] == lines[2][2] == "failed" and len(heading) == len(lines[0])
    notes = "\n".join(report.notes(result))
    assert "jax: left out: it is not installed" in notes and "failed: minigrad numba: its process" in notes
    for make in table.TABLES.values():
        assert "slower" in "\n".join(make(rows))
    assert figure.draw([result], tmp_path / "a.png").stat().st_size > 1000


# ---- the command line ----------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    "arguments, message",
    [
        (["fly"], "must be one of overhead, ops, kernels, train, cold: got 'fly'"),
        (["--backend", "tpu"], "--backend: must be one of numba, numpy, cupy: got 'tpu'"),
        (["--peers", "torch,theano"], "--peers: must be one of torch, "),
        (["--rounds", "0"], "--rounds: must be a positive integer: got '0'"),
        (["--seconds", "-1"], "--seconds: must be a positive number: got '-1'"),
        (["train", "--only", "xyzzy"], "--only: no row matches 'xyzzy'"),
    ],
)
def test_wrong_options_are_one_line_and_status_2(arguments, message, capsys):
    try:
        status = main(["bench", *arguments])
    except SystemExit as left:
        status = left.code
    out, errors = capsys.readouterr()
    assert (status, errors.count("\n"), out) == (2, 1, "") and message in errors


def test_a_peer_that_is_asked_for_must_be_there(monkeypatch, capsys):
    monkeypatch.setitem(PEERS, "jax", "no_such_package")
    assert main(["bench", "train", "--peers", "jax"]) == 2
    assert "no_such_package is not installed. pip install 'minigrad-engine[bench]'" in capsys.readouterr().err


def test_list_and_patterns(capsys):
    assert main(["bench", "--list", "train", "--only", "CNN*"]) == 0
    assert capsys.readouterr().out.splitlines()[1:] == ["  cnn 1x28x28", "  cnn 3x32x32"]


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="needs Linux's /proc")
def test_a_contender_is_stopped_until_its_turn():
    worker = measure.Worker("overhead", "numpy")
    try:
        for _ in range(2):  # it goes on when it is asked again
            assert worker.ask(do="forget") == {}
            status = Path(f"/proc/{worker.process.pid}/stat")
            for _ in range(100):  # a signal takes a moment to arrive
                if (state := status.read_text().rsplit(") ", 1)[1][0]) == "T":
                    break
                time.sleep(0.02)
            assert state == "T"
    finally:
        worker.close()
    assert worker.process is None
