"""Where the first NaN or infinity came from."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ..mistakes import meant
from ..mode import no_grad
from ..nn import Module
from ..tensor import Tensor


class _Found(Exception):
    """Ends the pass at the first layer found; carries the sentence."""


def first_nonfinite(model: Module, forward: Callable[[], Any], batch: Any = ()) -> str:
    """A sentence that names what is not finite: an input, a parameter, or the first layer whose output is not.

    forward: repeats the pass; it is run once more, without a graph.
    """
    for i, array in enumerate(batch if isinstance(batch, (tuple, list)) else (batch,)):
        if _broken(array):
            return f"Part {i} of the batch holds {_count(array)} values that are not finite."
    for name, p in model.named_parameters():
        if _broken(p):
            return f"The parameter {name} {p.shape} holds {_count(p)} values that are not finite."
    hooks = [module.register_forward_hook(_look(name or "the model")) for name, module in model.named_modules()]
    try:
        with no_grad(), meant():
            forward()
    except _Found as found:
        return str(found)
    finally:
        for hook in hooks:
            hook.remove()
    return "Every layer's output is finite: the loss function makes it."


def _look(name: str) -> Callable:
    def hook(module: Module, inputs: tuple, output: Any) -> None:
        for part in output if isinstance(output, (tuple, list)) else (output,):
            if _broken(part):
                kind = type(module).__name__
                raise _Found(f"The first output that is not finite is that of {name} ({kind}), shape {part.shape}.")

    return hook


def _broken(value: Any) -> bool:
    return isinstance(value, Tensor) and value.dtype.kind in "fc" and _count(value) > 0


def _count(value: Tensor) -> int:
    b = value.backend
    return int(b.to_host((~b.xp.isfinite(value.array)).sum()))
