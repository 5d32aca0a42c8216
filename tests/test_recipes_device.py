"""Recipes on a device: nothing is read on the host but through the way out, and the figures are the host's."""

import json
import warnings

import fake_cupy
import pytest
from strict import STRICT

import minigrad as mg
from minigrad.__main__ import main

RECIPES = ["linear-regression", "logistic-regression", "svm-hinge", "mlp-binary"]  # whose data need no download


def figures(recipe, backend, folder):
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            assert main(["train", recipe, "--smoke", "--backend", backend, "--out", str(folder / backend)]) == 0
            assert main(["evaluate", recipe, "--smoke", "--backend", backend, "--out", str(folder / backend)]) == 0
    finally:
        mg.set_backend("numba")
    found = json.loads((folder / backend / "results.json").read_text())
    return found["figure"]["value"], found["history"]["train_loss"]


@pytest.mark.parametrize("recipe", RECIPES)
def test_recipes_do_not_leak(recipe, tmp_path):
    expected = figures(recipe, "numpy", tmp_path)
    STRICT.downloads = 0
    got = figures(recipe, "strict", tmp_path)
    assert got[0] == pytest.approx(expected[0], rel=1e-3) and got[1] == pytest.approx(expected[1], rel=1e-4)
    assert STRICT.downloads > 0


def test_a_recipe_on_the_gpu(tmp_path):
    expected = figures("svm-hinge", "numpy", tmp_path)
    with fake_cupy.in_place():
        got = figures("svm-hinge", "cupy", tmp_path)
        assert fake_cupy.state.log.count("download") > 0
    assert got[0] == pytest.approx(expected[0], rel=1e-3) and got[1] == pytest.approx(expected[1], rel=1e-4)
