"""Functions of one number and their derivatives, as curves."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from ..errors import ArgumentError
from ..gradients import grad
from ..mode import enable_grad
from ..tensor import Tensor
from .figure import GREY, INK, bare, finished, new_figure, values


def activations(
    functions: Mapping[str, Callable[[Tensor], Tensor]],
    path: str | os.PathLike | None = None,
    *,
    x_range: tuple[float, float] = (-5.0, 5.0),
    columns: int = 3,
    x: str = "x",
    title: str = "",
) -> Any:
    """Draw a panel for each elementwise function {name: f}: y = f(x) solid, its derivative dy/dx dashed.

    The derivative is minigrad's own, of y.sum() for x.

    >>> import minigrad as mg
    >>> figure = activations({"tanh": mg.tanh, "relu": mg.relu})
    >>> [axes.get_title() for axes in figure.axes]
    ['tanh', 'relu']
    """
    if not functions:
        raise ArgumentError("activations: needs at least one function, {name: f}: got none.")
    columns = min(columns, len(functions))
    rows = -(-len(functions) // columns)
    figure = new_figure(2.9 * columns, 2.3 * rows + 0.5 * bool(title), "activations")
    panels = figure.subplots(rows, columns, squeeze=False, sharex=True).ravel()
    for axes, (name, f) in zip(panels, functions.items()):
        xs = Tensor(np.linspace(*x_range, 401), requires_grad=True)
        with enable_grad():
            ys = f(xs)
            # a function of steps has no gradient at all
            slope = grad(ys.sum(), xs, materialize_grads=True)[0] if ys.requires_grad else 0 * xs.detach()
        axes.axhline(0, color=GREY, linewidth=0.5)
        axes.axvline(0, color=GREY, linewidth=0.5)
        axes.plot(values(xs), values(ys), color=INK, linewidth=1.6, label="y")
        axes.plot(values(xs), values(slope), color=GREY, linewidth=1.4, linestyle="--", label="dy/dx")
        axes.set_title(name, fontsize=10)
        axes.tick_params(labelsize=8)
        bare(axes)
    panels[0].legend(frameon=False, fontsize=8)
    for axes in panels[len(functions) :]:
        axes.set_visible(False)
    for axes in panels[max(len(functions) - columns, 0) : len(functions)]:
        axes.set_xlabel(x)
        axes.tick_params(labelbottom=True)
    figure.suptitle(title, fontsize=11)
    return finished(figure, path)
