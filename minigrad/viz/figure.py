"""A figure that is drawn in memory and written in one go."""

from __future__ import annotations

import io
import os
from pathlib import Path
from typing import Any

from ..extras import require
from ..io import atomic_write

INK, GREY = "#000000", "#777777"


def new_figure(width: float, height: float, use: str) -> Any:
    """An empty figure, in inches. By itself, not through pyplot, it draws with Agg: no display, no global state."""
    return require("matplotlib.figure", extra="train", use=use).Figure(figsize=(width, height), layout="constrained")


def write_png(figure: Any, path: str | os.PathLike) -> Path:
    file = io.BytesIO()
    figure.savefig(file, format="png", dpi=150)
    return atomic_write(path, file.getvalue())


def bare(axes: Any) -> None:
    """Without the frame's upper and right side."""
    axes.spines[["top", "right"]].set_visible(False)
