"""The command line, as a stranger runs it: subprocesses, exit statuses, and what stands where afterwards."""

import json
import os
import re
import signal
import subprocess
import sys
from types import SimpleNamespace as Options

import numpy as np
import pytest

import minigrad as mg
from minigrad import io
from minigrad.__main__ import main
from minigrad.primitive import PRIMITIVES
from minigrad.recipes import NAMES, find

# as `python -m minigrad`, with warnings as errors, and Ctrl-C working even if the tests run in the background
START = "import signal, sys; signal.signal(signal.SIGINT, signal.default_int_handler)\n"
START += "from minigrad.__main__ import main; sys.exit(main())"
COMMAND = [sys.executable, "-W", "error", "-c", START]


def minigrad(*arguments, cwd=None, **environment):
    env = {**os.environ, **environment}
    return subprocess.run(
        [*COMMAND, *map(str, arguments)], cwd=cwd, env=env, capture_output=True, text=True, timeout=900
    )


def train(out, *arguments):
    done = minigrad("train", "digits-cnn", "--out", out, *arguments)
    assert done.returncode == 0, done.stderr
    return done


# ---- train ---------------------------------------------------------------------------------------------------------
@pytest.fixture(scope="module")
def one_epoch(tmp_path_factory):
    """A run of one epoch on the numpy backend: its folder and its output."""
    out = tmp_path_factory.mktemp("run") / "made" / "by it"
    return out, train(out, "--backend", "numpy", "--epochs", "1", "--seed", "3").stdout


def test_train_prints_epochs_files_and_the_test_accuracy_last(one_epoch):
    out, output = one_epoch
    header, first, *_, last = output.splitlines()
    assert header == "digits-cnn: 1 epoch on the numpy backend"
    assert re.fullmatch(
        r"epoch 1/1  train loss \d\.\d{4} accuracy +[\d.]+ %  validation loss \d\.\d{4} accuracy +[\d.]+ %  [\d.]+ s",
        first,
    )
    assert re.fullmatch(r"test accuracy \d+\.\d\d %", last)
    for file in out.iterdir():
        assert str(file) in output or file.name == "state.safetensors"


def test_train_writes_what_it_says(one_epoch):
    out, output = one_epoch
    assert sorted(p.name for p in out.iterdir()) == [
        "confusion.png",
        "curves.png",
        "results.json",
        "state.safetensors",
        "weights.safetensors",
    ]
    results = json.loads((out / "results.json").read_text())
    assert f"test accuracy {100 * results['test_accuracy']:.2f} %" == output.splitlines()[-1]
    matrix = np.array(results["confusion_matrix"])
    assert matrix.sum() == results["test_samples"] == 359
    assert np.trace(matrix) / matrix.sum() == pytest.approx(results["test_accuracy"])
    assert results["options"] == {
        **find("digits-cnn").DEFAULTS, "backend": "numpy", "epochs": 1, "seed": 3,
    }  # fmt: skip
    assert {len(values) for values in results["history"].values()} == {1} and len(results["history"]) == 4
    for name in ("curves.png", "confusion.png"):
        assert (out / name).read_bytes().startswith(b"\x89PNG\r\n")


def test_the_weights_are_those_of_the_model(one_epoch):
    out, _ = one_epoch
    model = find("digits-cnn").network(Options(**find("digits-cnn").DEFAULTS))
    state = io.load(out / "weights.safetensors")
    model.load_state_dict(state)
    results = json.loads((out / "results.json").read_text())
    assert sum(p.size for p in model.parameters()) == results["parameters"]
    about = io.load_metadata(out / "weights.safetensors")
    assert about["epoch"] == "1" and about["recipe"] == "digits-cnn" and json.loads(about["options"])["width"] == 32


@pytest.mark.parametrize("backend", ["numpy", "numba"])
def test_same_seed_same_backend_same_numbers(backend, tmp_path):
    runs = []
    for name in "ab":
        train(tmp_path / name, "--backend", backend, "--epochs", "1", "--batch-size", "128")
        results = json.loads((tmp_path / name / "results.json").read_text())
        del results["seconds"]
        weights = io.load(tmp_path / name / "weights.safetensors")
        runs.append((results, {name: w.numpy().tobytes() for name, w in weights.items()}))
    assert runs[0] == runs[1]


def test_another_seed_gives_other_numbers(one_epoch, tmp_path):
    train(tmp_path, "--backend", "numpy", "--epochs", "1", "--seed", "4")
    weights = [io.load(folder / "weights.safetensors")["0.weight"] for folder in (one_epoch[0], tmp_path)]
    assert (weights[0].numpy() != weights[1].numpy()).any()


def test_default_folder_is_runs_recipe(tmp_path):
    done = minigrad("train", "digits-cnn", "--backend", "numpy", "--epochs", "1", "--batch-size", "256", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "runs" / "digits-cnn" / "results.json").exists()


def interrupted(tmp_path, *arguments):
    """Start a long run, wait for the line of its first epoch, press Ctrl-C."""
    process = subprocess.Popen(
        [*COMMAND, "train", "digits-cnn", "--backend", "numpy", "--epochs", "1000", "--out", str(tmp_path), *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        assert "1000 epochs" in process.stdout.readline()
        assert process.stdout.readline().startswith("epoch    1/1000")
        process.send_signal(signal.SIGINT)
        _, errors = process.communicate(timeout=300)
    finally:
        process.kill()
    return process.returncode, errors


def test_ctrl_c_saves_the_weights_and_says_so(tmp_path):
    (tmp_path / "results.json").write_text("of an earlier run")
    status, errors = interrupted(tmp_path)
    assert status == 130
    again = f"minigrad train digits-cnn --resume --backend numpy --epochs 1000 --out {tmp_path}"
    assert errors == f"minigrad: stopped by Ctrl-C: go on with: {again}\n"
    # no results that are not of these weights
    assert sorted(p.name for p in tmp_path.iterdir()) == ["state.safetensors", "weights.safetensors"]
    model = find("digits-cnn").network(Options(**find("digits-cnn").DEFAULTS))
    model.load_state_dict(io.load(tmp_path / "weights.safetensors"))
    assert int(io.load_metadata(tmp_path / "weights.safetensors")["epoch"]) >= 1


# ---- what goes wrong -----------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    "arguments, message",
    [
        (["train", "digit-cnn"], "there is no recipe 'digit-cnn'. Did you mean digits-cnn?"),
        (["train", "xyzzy"], "there is no recipe 'xyzzy'. Known: "),
        (["train", "digits-cnn", "--backend", "tpu"], "no backend 'tpu'. Known: "),
        (["train", "digits-cnn", "--epochs", "0"], "--epochs: must be a positive integer: got '0'"),
        (["train", "digits-cnn", "--epochs", "2.5"], "--epochs: must be a positive integer: got '2.5'"),
        (["train", "digits-cnn", "--batch-size", "-1"], "--batch-size: must be a positive integer"),
        (["train", "digits-cnn", "--lr", "0"], "--lr: must be a positive number"),
        (["train", "digits-cnn", "--lr", "nan"], "--lr: must be a positive number"),
        (["train", "digits-cnn", "--lr", "fast"], "--lr: must be a positive number: got 'fast'"),
        (["train", "digits-cnn", "--seed", "-1"], "--seed: must be an integer >= 0"),
        (["train", "digits-cnn", "--batch-size", "5000", "--backend", "numpy"], "drop_last leaves no batch"),
        (["train", "digits-cnn", "--speed", "9"], "unrecognized arguments: --speed 9"),
        (["train", "digits-cnn", "--set", "width"], "--set: must be KEY=VALUE: got 'width'"),
        (["train", "digits-cnn", "--set", "widht=8"], "has no option 'widht'. Did you mean width?"),
        (["train", "digits-cnn", "--set", "width=wide"], "--set width: must be of type int, such as 32: got 'wide'"),
        (["evaluate", "digits-cnn", "--out", "/tmp/nothing-was-trained-here"], "there are no weights. Train first"),
        (["generate", "digits-cnn"], "generate: digits-cnn is not made for it. These are: "),
        (["train"], "the following arguments are required: RECIPE"),
        (["fly"], "invalid choice: 'fly'"),
        ([], "the following arguments are required: COMMAND"),
        (["ops", "expp"], "there is no operation 'expp'. Did you mean exp?"),
    ],
)
def test_wrong_options_are_one_line_and_status_2(arguments, message, tmp_path):
    done = minigrad(*arguments, cwd=tmp_path)
    assert done.returncode == 2
    assert message in done.stderr and done.stderr.count("\n") == 1 and "Traceback" not in done.stderr
    assert done.stdout == ""


def test_unwritable_folder_is_one_line_and_status_2(tmp_path):
    (tmp_path / "file").write_text("in the way")
    done = minigrad("train", "digits-cnn", "--out", tmp_path / "file" / "run")
    assert (done.returncode, done.stderr.count("\n"), done.stdout) == (2, 1, "")
    assert "no files can be written there" in done.stderr
    if os.geteuid():  # root may write anywhere
        (tmp_path / "locked").mkdir(mode=0o500)
        assert "no files can be written there" in minigrad("train", "digits-cnn", "--out", tmp_path / "locked").stderr


def test_missing_data_is_one_line_and_status_2(tmp_path):
    nowhere = dict.fromkeys(("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY"), "http://127.0.0.1:9")
    nowhere |= {"no_proxy": "", "NO_PROXY": "", "MINIGRAD_CACHE_DIR": tmp_path / "cache"}
    done = minigrad("train", "mlp-mnist", cwd=tmp_path, MINIGRAD_DATA="", **nowhere)
    assert (done.returncode, done.stderr.count("\n")) == (2, 1) and "and set MINIGRAD_DATA=FOLDER" in done.stderr
    done = minigrad("train", "mlp-mnist", "--data", tmp_path, cwd=tmp_path, **nowhere)
    place = tmp_path / "mnist" / "train-images-idx3-ubyte.gz"
    assert (done.returncode, done.stderr.count("\n")) == (2, 1) and f"Put the file at {place}." in done.stderr
    done = minigrad("train", "mlp-mnist", "--data", tmp_path / "none", cwd=tmp_path)
    assert done.returncode == 2 and "there is no folder" in done.stderr


def test_missing_backend_says_why(tmp_path, capsys, monkeypatch):
    monkeypatch.setitem(sys.modules, "cupy", None)
    monkeypatch.chdir(tmp_path)
    assert main(["train", "digits-cnn", "--backend", "cupy"]) == 2
    assert re.search(r"CuPy is not installed.*pip install 'minigrad-engine\[gpu\]'", capsys.readouterr().err)


def test_missing_package_is_found_before_the_training(tmp_path, capsys, monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    with mg.use_backend("numba"):
        assert main(["train", "digits-cnn", "--out", str(tmp_path)]) == 2
    out, errors = capsys.readouterr()
    assert "matplotlib is not installed. pip install 'minigrad-engine[train]'" in errors and out == ""


def test_divergence_is_one_line_and_status_1(tmp_path):
    done = minigrad("train", "digits-cnn", "--backend", "numpy", "--lr", "1e30", "--out", tmp_path)
    assert done.returncode == 1, done.stderr
    assert "Use a smaller learning rate" in done.stderr.splitlines()[-1] and "Traceback" not in done.stderr


# ---- the other commands --------------------------------------------------------------------------------------------
def test_recipes_lists_them_with_a_line_each(capsys):
    assert main(["recipes"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines] == NAMES and all(len(line.split()) > 4 for line in lines)


@pytest.mark.parametrize("name", NAMES)
def test_every_recipe_has_its_parts(name):
    recipe = find(name)
    assert recipe.DEFAULTS.keys() >= {"epochs", "batch_size", "lr"}
    assert callable(recipe.train) and callable(recipe.network) and callable(recipe.test)


def test_info_says_what_is_there_and_why_something_is_not(tmp_path):
    done = minigrad("info", MINIGRAD_CACHE_DIR=str(tmp_path))
    assert done.returncode == 0, done.stderr
    for what in (
        mg.__version__,
        np.__version__,
        "python",
        "numba",
        "default dtype  float32",
        "threads",
        "kernel cache",
    ):
        assert what in done.stdout
    assert "backend numba  found, default" in done.stdout and "backend numpy  found" in done.stdout
    assert re.search(r"backend cupy   (found|missing: .+)", done.stdout)
    assert f"{tmp_path}" in done.stdout and "0 files, 0.0 MB" in done.stdout


def test_version_and_help(capsys):
    for arguments in (["--version"], ["--help"], ["train", "--help"]):
        with pytest.raises(SystemExit) as caught:
            main(arguments)
        assert caught.value.code == 0
    assert f"minigrad {mg.__version__}" in capsys.readouterr().out


def test_ops_lists_every_public_primitive(capsys):
    assert main(["ops"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines] == sorted(name for name, p in PRIMITIVES.items() if p.public)


@pytest.mark.parametrize("name", sorted(PRIMITIVES))
def test_ops_describes_every_primitive(name, capsys):
    p = PRIMITIVES[name]
    assert main(["ops", name]) == 0
    text = capsys.readouterr().out
    assert text.startswith(f"{name}(") and p.doc.splitlines()[0] in text
    for rule in p.rules.values():
        assert f"gradient for {', '.join(rule.of)}" in text
    if not p.rules and p.kind not in ("bool", "index"):
        assert "those of the body" in text or "no gradient" in text


def test_ops_shows_the_rule_of_the_row_and_no_more(capsys):
    main(["ops", "power"])
    main(["ops", "multiply"])
    text = capsys.readouterr().out
    assert "      lambda g, b: g * b\n" in text and "      lambda g, a: g * a\n" in text
    assert "def power_base(F, g, a, b):" in text


def test_a_closed_pipe_is_no_error():
    process = subprocess.Popen([*COMMAND, "ops"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    process.stdout.close()
    assert process.stderr.read() == "" and process.wait(60) == 141
    process.stderr.close()


def test_warmup_compiles_what_it_names(monkeypatch, tmp_path, capsys):
    warmup = pytest.importorskip("minigrad.kernels.cpu.warmup")
    monkeypatch.setattr(warmup, "names", lambda dtypes: [f"op negative {d}" for d in dtypes])
    monkeypatch.setenv("MINIGRAD_CACHE_DIR", str(tmp_path))
    (tmp_path / "minigrad").mkdir()
    (tmp_path / "minigrad" / "old.nbc").write_bytes(b"")
    assert main(["warmup", "--dtype", "float32", "--jobs", "1", "--clear"]) == 0
    out = capsys.readouterr().out
    assert out.startswith("1 kernels in ") and str(tmp_path) in out
    files = [f.name for f in (tmp_path / "minigrad").iterdir()]
    assert files and "old.nbc" not in files
