"""The recipes beside PyTorch, on tiny data: the same file makes PyTorch's model, and it learns the same."""

import json

import numpy as np
import pytest

pytest.importorskip("torch")

from minigrad.benchmarks import parity
from minigrad.benchmarks.twin import twin, without_imports

from minigrad import recipes
from minigrad.mode import use_backend


@pytest.fixture
def tiny_shakespeare(tmp_path, monkeypatch):
    folder = tmp_path / "tinyshakespeare"
    folder.mkdir()
    (folder / "input.txt").write_text("To be, or not to be: that is the question.\n" * 60)
    monkeypatch.setenv("MINIGRAD_DATA", str(tmp_path))


@pytest.mark.parametrize("name", ["linear-regression", "svm-hinge", "mlp-binary", "logistic-regression"])
def test_the_same_file_learns_the_same_in_pytorch(name, capsys):
    with use_backend("numpy"):
        row = parity.compare(name, epochs=3, seed=0, backend="numpy", smoke=True)
    assert row["epochs"] == 3
    assert row["torch"]["value"] == pytest.approx(row["minigrad"]["value"], rel=1e-4)


@pytest.mark.parametrize("name", ["sentiment", "transformer-multi30k", "vit-mnist", "autoencoder-mnist", "lstm-names"])
def test_the_twin_has_the_same_weights_by_the_same_names(name, tmp_path):
    recipe = recipes.find(name)
    options = {**recipe.DEFAULTS, **getattr(recipe, "SMOKE", {}), "seed": 0}
    run = recipes.run.Run(name, options, backend="numpy", out=tmp_path, smoke=True)
    run.notes = {"words": ["w"] * 9, "pieces": ["p"] * 9, "characters": ["c"] * 9, "merges": []}
    with use_backend("numpy"):
        ours = recipe.network(run).state_dict()
        theirs = twin(recipe).network(run).state_dict()
    assert {k: v.shape for k, v in ours.items()} == {k: tuple(v.shape) for k, v in theirs.items()}
    assert all(np.asarray(v).dtype == ours[k].dtype for k, v in theirs.items())


def test_a_loss_of_another_recipe(tiny_shakespeare, capsys):
    with use_backend("numpy"):
        row = parity.compare("wavenet", epochs=1, seed=0, backend="numpy", smoke=True)
    assert row["torch"]["value"] == pytest.approx(row["minigrad"]["value"], rel=1e-4)


def test_imports_are_taken_out_and_nothing_else():
    source = "from . import a\nfrom .b import (\n    c,\n    d,\n)\nfrom ..e import f  # g\nimport h\nx = 'from .i'\n"
    assert without_imports(source).split("\n") == ["", "", "", "import h", "x = 'from .i'", ""]


def test_a_later_run_replaces_its_own_rows_in_the_file(tmp_path):
    path = tmp_path / "parity.json"
    row = lambda recipe, value: {"recipe": recipe, "minigrad": {"value": value}}
    parity.record(path, [row("a", 1), row("b", 2)])
    parity.record(path, [row("b", 3), row("c", 4)])
    assert [(r["recipe"], r["minigrad"]["value"]) for r in json.loads(path.read_text())["rows"]] == [
        ("a", 1),
        ("b", 3),
        ("c", 4),
    ]
