"""``minigrad train | evaluate | predict | generate``: a recipe, run or used."""

from __future__ import annotations

import argparse
import ast
import difflib
import os
import shlex
from collections.abc import Mapping
from pathlib import Path
from types import ModuleType
from typing import Any

from ..errors import ArgumentError
from ..mode import set_backend
from ..nn import Module
from ..recipes import NAMES, describe, find
from ..recipes.run import Run


def train(options: argparse.Namespace) -> None:
    """Train a model; write its weights, learning curves, pictures and results; end with its test figure."""
    recipe = _ready(options)
    run = _run(options, recipe)
    run.begin(options.resume)
    try:
        recipe.train(run)
    except KeyboardInterrupt:
        raise KeyboardInterrupt(_how_to_go_on(options, run)) from None


def evaluate(options: argparse.Namespace) -> None:
    """Test a trained model again: its figures and pictures."""
    run, recipe, model = _trained(options)
    recipe.test(run, model)


def predict(options: argparse.Namespace) -> None:
    """Ask a trained model about files or texts, one answer a line."""
    run, recipe, model = _trained(options, "predict")
    for text in options.inputs:
        named = f"{text}: " if len(options.inputs) > 1 else ""
        print(named + recipe.predict(run, model, text))


def generate(options: argparse.Namespace) -> None:
    """Let a trained language model write."""
    run, recipe, model = _trained(options, "generate")
    print(recipe.generate(run, model, options.prompt, options.length, options.temperature))


def recipes(options: argparse.Namespace) -> None:
    """List the models that `minigrad train` knows."""
    width = max(map(len, NAMES))
    for name in NAMES:
        print(f"{name:<{width}}  {describe(name)}")


def _ready(options: argparse.Namespace) -> ModuleType:
    """The recipe, with the backend and the data folder set."""
    recipe = find(options.recipe)
    set_backend(options.backend)
    if options.data is not None:
        if not options.data.is_dir():
            raise ArgumentError(f"--data: there is no folder {str(options.data)!r}.")
        os.environ["MINIGRAD_DATA"] = str(options.data)
    return recipe


def _run(options: argparse.Namespace, recipe: ModuleType) -> Run:
    values = {**recipe.DEFAULTS, "seed": 0}
    if options.smoke:
        values |= {"epochs": 1, "batch_size": min(16, values["batch_size"])} | getattr(recipe, "SMOKE", {})
    for name in ("epochs", "batch_size", "lr", "seed"):
        if getattr(options, name, None) is not None:
            _known(name, values, options.recipe)
            values[name] = getattr(options, name)
    if getattr(options, "precision", None) not in (None, "32-true"):
        values["precision"] = options.precision
    for name, text in getattr(options, "set", None) or ():
        _known(name, values, options.recipe)
        values[name] = _as_type_of(name, values[name], text)
    out = options.out or Path("runs", options.recipe)
    return Run(options.recipe, values, backend=options.backend, out=out, smoke=options.smoke)


def _trained(options: argparse.Namespace, ability: str = "test") -> tuple[Run, ModuleType, Module]:
    recipe = _ready(options)
    if not hasattr(recipe, ability):
        able = ", ".join(name for name in NAMES if hasattr(find(name), ability))
        raise ArgumentError(f"{ability}: {options.recipe} is not made for it. These are: {able}.")
    run = _run(options, recipe)
    return run, recipe, run.trained(recipe.network)


def _known(name: str, values: Mapping[str, Any], recipe: str) -> None:
    if name not in values:
        near = difflib.get_close_matches(name, values, n=1, cutoff=0.4)
        hint = f"Did you mean {near[0]}?" if near else f"It has {', '.join(values)}."
        raise ArgumentError(f"train: the recipe {recipe} has no option {name!r}. {hint}")


def _as_type_of(name: str, default: Any, text: str) -> Any:
    """The value that the text of ``--set name=text`` means: of the default's type."""
    if isinstance(default, str):
        return text
    try:
        value = ast.literal_eval({"true": "True", "false": "False"}.get(text, text))
    except (ValueError, SyntaxError):
        value = text
    if isinstance(default, float) and isinstance(value, int) and not isinstance(value, bool):
        value = float(value)
    if type(value) is not type(default):
        raise ArgumentError(
            f"--set {name}: must be of type {type(default).__name__}, such as {default!r}: got {text!r}."
        )
    return value


def _how_to_go_on(options: argparse.Namespace, run: Run) -> str:
    if not run.state.exists():
        return "before there was anything to save"
    words = [f"minigrad train {options.recipe} --resume"]
    for name in ("backend", "precision", "epochs", "batch_size", "lr", "seed", "data", "out"):
        value = getattr(options, name)
        if value is not None and (name, value) not in (("backend", "numba"), ("seed", 0)):
            words.append(f"--{name.replace('_', '-')} {shlex.quote(str(value))}")
    words += [f"--set {name}={shlex.quote(text)}" for name, text in options.set or ()]
    words += ["--smoke"] * options.smoke
    return f"go on with: {' '.join(words)}"
