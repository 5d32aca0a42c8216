"""What looks at what: the weights of attention."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any

import numpy as np

from ..errors import ShapeError
from .figure import finished, new_figure, values


def attention_map(
    weights: Any,
    path: str | os.PathLike | None = None,
    *,
    queries: Sequence[str] = (),
    keys: Sequence[str] = (),
    title: str = "",
) -> Any:
    """Draw attention weights, black where a query (row) looks at a key (column) alone. A panel for each head.

    weights: (T, S), or (H, T, S) for H heads, from 0 to 1; queries, keys: T and S names, such as the words.
    """
    heads = values(weights, np.float64)
    if heads.ndim not in (2, 3) or not heads.size:
        raise ShapeError(f"attention_map: weights must be (T, S) or (H, T, S), none of them 0: got {heads.shape}.")
    heads = heads.reshape(-1, *heads.shape[-2:])  # (H, T, S)
    _, t, s = heads.shape
    for what, names, count in (("query", queries, t), ("key", keys, s)):
        if len(names) not in (0, count):
            raise ShapeError(f"attention_map: one name per {what}, {count}: got {len(names)}.")
    side = 0.26 if queries or keys else 6 / max(t, s, 12)
    figure = new_figure(len(heads) * (side * s + 1.2), side * t + 1.4, "attention_map")
    for i, (axes, head) in enumerate(zip(figure.subplots(1, len(heads), squeeze=False)[0], heads), 1):
        axes.imshow(head, cmap="Greys", vmin=0, vmax=max(head.max(), 1e-30), interpolation="nearest")
        axes.set(xlabel=f"key, head {i}" if len(heads) > 1 else "key", ylabel="query")
        if len(queries):
            axes.set_yticks(range(t), queries)
        if len(keys):
            axes.set_xticks(range(s), keys, rotation=90)
        axes.tick_params(length=2)
    figure.suptitle(title, fontsize=11)
    return finished(figure, path)
