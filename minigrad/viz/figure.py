"""A figure that is drawn in memory, shown by a notebook, and written in one go."""

from __future__ import annotations

import io
import os
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from ..extras import require
from ..io import atomic_write
from ..tensor import Tensor

INK, GREY, FAINT = "#000000", "#777777", "#dddddd"
DASHES = ((INK, "-", "s", INK), (GREY, "--", "o", "white"), (INK, ":", "^", "white"), (GREY, "-.", "D", GREY))
SHADES = ("#ffffff", "#bbbbbb", "#555555", "#ffffff", "#dddddd", "#888888", "#ffffff", "#bbbbbb")
HATCHES = ("", "", "", "////", "....", "xxxx", "||||", "\\\\\\\\")  # told apart without colour


def new_figure(width: float, height: float, use: str) -> Any:
    """An empty figure, in inches. By itself, not through pyplot, it draws with Agg: no display, no global state."""
    module = require("matplotlib.figure", extra="train", use=use)
    return _shown(module.Figure)(figsize=(width, height), layout="constrained")


@cache
def _shown(figure: type) -> type:
    """matplotlib's Figure, with the method that notebooks ask for the picture."""
    return type("Figure", (figure,), {"_repr_png_": png, "__module__": __name__})


def png(figure: Any) -> bytes:
    file = io.BytesIO()
    figure.savefig(file, format="png", dpi=110)
    return file.getvalue()


def finished(figure: Any, path: str | os.PathLike | None) -> Any:
    """What a picture's function returns: the figure, or, once it is written, the path."""
    return figure if path is None else write_png(figure, path)


def write_png(figure: Any, path: str | os.PathLike) -> Path:
    file = io.BytesIO()
    figure.savefig(file, format="png", dpi=150)
    return atomic_write(path, file.getvalue())


def bare(axes: Any) -> None:
    """Without the frame's upper and right side."""
    axes.spines[["top", "right"]].set_visible(False)


def values(x: Any, dtype: Any = None) -> np.ndarray:
    """Tensors, with a gradient or without, arrays and lists as an array of the host."""
    if isinstance(x, (list, tuple)):
        x = [values(v) if isinstance(v, Tensor) else v for v in x]
    return np.asarray(x.detach().numpy() if isinstance(x, Tensor) else x, dtype)
