"""Warnings about what runs and is hardly meant: a forgotten zero_grad, softmax before cross-entropy, and the like.

A warning is given once for each line of the user's program, and what looks for it costs nothing to speak of: it
reads what is at hand (the name of a recorded operation, a dtype, a shape) and never the values of an array.
"""

from __future__ import annotations

import os
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

PACKAGE = os.path.dirname(os.path.abspath(__file__)) + os.sep

seen: set[tuple[str, str, int]] = set()  # (who, file, line) that were warned
MEANT: ContextVar[bool] = ContextVar("minigrad mistakes are meant", default=False)


class MistakeWarning(UserWarning):
    """Something that runs and is hardly meant. Where it is: ``warnings.filterwarnings("ignore",
    category=minigrad.MistakeWarning)``."""


def warn_once(text: str) -> None:
    """Warn, at the innermost line outside minigrad; again for another line, or another beginning up to the colon."""
    frame: Any = sys._getframe(1)
    # the functions of primitives are made by exec, with `_apply` at hand; see signature.py
    while frame.f_back is not None and (frame.f_code.co_filename.startswith(PACKAGE) or "_apply" in frame.f_globals):
        frame = frame.f_back
    if MEANT.get():
        return
    place = text.partition(":")[0], frame.f_code.co_filename, frame.f_lineno
    if place not in seen:
        seen.add(place)
        warnings.warn_explicit(text, MistakeWarning, *place[1:])


@contextmanager
def meant() -> Iterator[None]:
    """Inside this block nothing is a mistake: a batch norm is to normalise by the batch under no_grad(), say."""
    token = MEANT.set(True)
    try:
        yield
    finally:
        MEANT.reset(token)


def computed_by(x: Any, *names: str) -> str:
    """The name of the recorded operation that made this tensor, if it is among these; else nothing."""
    plan = None if x.node is None else x.node.plan
    return plan.primitive.name if plan is not None and plan.primitive.name in names else ""
