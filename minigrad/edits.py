"""In-place edits: who shares a buffer, when it was last written, and the error when a gradient still needed the old
value.

Every edit is stamped with the clock that also orders the graph (`autograd.tick`). A value saved by a node was
overwritten if its buffer's last edit is later than the node: no version needs to be noted when a value is saved.
"""

from __future__ import annotations

import os
import sys
import weakref
from collections import deque
from typing import Any, NamedTuple

from .autograd import Node, tick
from .errors import GradError

PACKAGE = os.path.dirname(os.path.abspath(__file__)) + os.sep


class Edit(NamedTuple):
    """One in-place edit."""

    time: int
    version: int  # how often the buffer had been written, this time included
    op: str
    where: str  # file:line of the caller


class Storage:
    """What the tensors over one buffer share: its last edits, and weak references to the views."""

    __slots__ = ("edits", "refs", "version")

    def __init__(self) -> None:
        self.version = 0
        self.edits: deque[Edit] = deque(maxlen=16)
        self.refs: list[weakref.ref] = []  # to the views

    def views(self) -> list:
        return [t for r in self.refs if (t := r()) is not None]


def written(t: Any, op: str, where: str | None = None) -> None:
    """Stamp an edit of t's buffer, visible to all who share it and to the node that may have saved it as its output."""
    if t.storage is None:
        t.storage = Storage()
    s = t.storage
    s.version += 1
    edit = Edit(tick(), s.version, op, where or caller())
    s.edits.append(edit)
    while t is not None:
        if t.node is not None and t.node.edited is None and _holds(t.node, t.array):
            t.node.edited = edit
        t = t.source[0] if t.source is not None else None


def _holds(node: Node, array: Any) -> bool:
    """True if this very array is the output that the node saved."""
    return bool(node.plan and node.plan.keeps_output and node.saved) and any(
        s is array or (isinstance(s, tuple) and any(p is array for p in s)) for s in node.saved
    )


def caller() -> str:
    """file:line of the innermost frame outside minigrad."""
    frame: Any = sys._getframe(1)
    while frame is not None and frame.f_code.co_filename.startswith(PACKAGE):
        frame = frame.f_back
    return f"{frame.f_code.co_filename}:{frame.f_lineno}" if frame is not None else "minigrad"


def check_unedited(t: Any, node: Node) -> None:
    """Raise GradError if t, saved by `node`, has been written since."""
    if t.storage is not None and t.storage.edits and t.storage.edits[-1].time > node.order:
        first = next(e for e in t.storage.edits if e.time > node.order)
        refuse(node, f"its input of shape {t.shape}", first, t.storage.version)


def check_output(node: Node) -> None:
    """Raise GradError if the output that `node` saved has been written since."""
    if node.edited is not None:
        refuse(node, f"its output of shape {node.shape}", node.edited, node.edited.version)


def refuse(node: Node, what: str, edit: Edit, version: int) -> None:
    raise GradError(
        f"backward: {node.name} saved {what} for its gradient, at version {edit.version - 1} of the buffer, but "
        f"{edit.op} at {edit.where} "
        f"overwrote it; it is at version {version} now. Edit a copy (x.clone()), or write the update out of place."
    )


def link(y: Any, x: Any, prim: Any, params: dict) -> None:
    """Note that tensor y is a view of x, if it shares memory, so that an edit of one is known to the other.

    prim, params: the application that made y; None for a detached alias, which shares memory but no history.
    """
    if prim is not None:
        base, array = y.array.base, x.array
        if base is None or (
            base is not array and base is not array.base and not x.backend.shares_memory(array, y.array)
        ):
            return
    storage = x.storage
    if storage is None:
        x.storage = storage = Storage()
    y.storage, y.source = storage, (x, prim, params)
    refs = storage.refs
    refs.append(weakref.ref(y))
    n = len(refs)
    if n > 8 and n & (n - 1) == 0:  # at each power of two: drop the dead, so the list stays short
        storage.refs = [r for r in refs if r() is not None]
