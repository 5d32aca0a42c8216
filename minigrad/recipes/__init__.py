"""The runnable models of the command line: ``minigrad train NAME`` runs the file ``NAME.py`` of this folder.

A recipe is a module with a docstring (the first line describes it) and

- `DEFAULTS`: its options, each settable with ``--set name=value``; `SMOKE`, if there, those of a smoke run;
- ``network(run)``: the model, untrained; ``train(run)``: all of a run, ends with the report;
- ``test(run, model)``: the test figures and pictures of a trained model, for ``minigrad evaluate``;
- where it makes sense ``predict(run, model, text)``, of a file or a text (then `QUESTION` is an example of one), and
  ``generate(run, model, prompt, length, temperature)``: the answer as a string.
"""

from __future__ import annotations

import difflib
from importlib import import_module
from pathlib import Path
from types import ModuleType

from ..errors import ArgumentError

# what recipes are made with
PARTS = ("__init__", "run", "coding", "images", "judge", "minilm", "names", "sentences", "tabular")
NAMES = sorted(path.stem.replace("_", "-") for path in Path(__file__).parent.glob("*.py") if path.stem not in PARTS)


def find(name: str, *, any_part: bool = False) -> ModuleType:
    """The module of a recipe; any_part: or of a part that recipes share."""
    if name not in NAMES and not (any_part and name in PARTS):
        near = difflib.get_close_matches(name, NAMES, n=1, cutoff=0.4)
        hint = f"Did you mean {near[0]}?" if near else f"Known: {', '.join(NAMES)}."
        raise ArgumentError(f"train: there is no recipe {name!r}. {hint}")
    return import_module(f".{name.replace('-', '_')}", __name__)


def describe(name: str) -> str:
    """The first line of the recipe's docstring."""
    return (find(name).__doc__ or "").strip().partition("\n")[0]
