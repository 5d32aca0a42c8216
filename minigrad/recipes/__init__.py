"""The runnable models of the command line: ``minigrad train NAME`` runs the file ``NAME.py`` of this folder.

A recipe is a module with a docstring (the first line describes it), `DEFAULTS` for the options, and ``train(run)``.
"""

from __future__ import annotations

import difflib
from importlib import import_module
from pathlib import Path
from types import ModuleType

from ..errors import ArgumentError

NAMES = sorted(
    path.stem.replace("_", "-") for path in Path(__file__).parent.glob("*.py") if path.stem not in ("__init__", "run")
)


def find(name: str) -> ModuleType:
    """The module of a recipe."""
    if name not in NAMES:
        near = difflib.get_close_matches(name, NAMES, n=1, cutoff=0.4)
        hint = f"Did you mean {near[0]}?" if near else f"Known: {', '.join(NAMES)}."
        raise ArgumentError(f"train: there is no recipe {name!r}. {hint}")
    return import_module(f".{name.replace('-', '_')}", __name__)


def describe(name: str) -> str:
    """The first line of the recipe's docstring."""
    return (find(name).__doc__ or "").strip().partition("\n")[0]
