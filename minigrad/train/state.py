"""Everything that a run must remember to go on as if it had never stopped, in one file.

>>> import tempfile
>>> from minigrad import nn, optim
>>> model = nn.Linear(2, 1)
>>> parts = {"model": model, "optimizer": optim.Adam(model.parameters())}
>>> with tempfile.TemporaryDirectory() as folder:
...     save_state(parts, f"{folder}/run.npz")
...     load_state(parts, f"{folder}/run.npz")
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

from .. import io
from ..errors import DataError, StateError
from ..random import default_generator

RANDOM = "random"  # the name of the shared generator's state in the file


def state_of(parts: Mapping[str, Any]) -> dict[str, Any]:
    """``{name: part.state_dict()}``, and the state of the shared random generator."""
    if RANDOM in parts:
        raise StateError(f"state_of: {RANDOM!r} is the name of the random generator's state. Name the part otherwise.")
    return {name: part.state_dict() for name, part in parts.items()} | {RANDOM: default_generator.get_state()}


def restore(parts: Mapping[str, Any], state: Mapping[str, Any], who: str = "restore") -> None:
    """Give every part the state that `state_of` found. What is there must be exactly what is asked for."""
    names, wanted = set(state), {*parts, RANDOM}
    if names != wanted:
        raise StateError(
            f"{who}: this is the state of something else: it holds {', '.join(sorted(names))}; "
            f"needed {', '.join(sorted(wanted))}."
        )
    for name, part in parts.items():
        try:
            part.load_state_dict(state[name])
        except (KeyError, TypeError, AttributeError) as error:
            raise StateError(f"{who}: the state of {name} has another structure ({error!r}).") from error
    default_generator.set_state(state[RANDOM])


def save_state(parts: Mapping[str, Any], path: str | os.PathLike) -> None:
    """Write the states of models, optimizers, schedulers, data loaders ... (whatever has `state_dict`) and of the
    shared random generator. The file is replaced only when the new one is complete."""
    io.save(state_of(parts), path)


def load_state(parts: Mapping[str, Any], path: str | os.PathLike) -> None:
    """Restore what `save_state` wrote. A file of another model or optimizer is a StateError."""
    state = io.load(path)
    if not isinstance(state, Mapping) or RANDOM not in state:
        raise DataError(f"{path}: not the state of a training run: it holds no {RANDOM!r}. Is it a weights file?")
    restore(parts, state, str(path))
