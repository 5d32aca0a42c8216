"""What the optimizers' options may be: one rule for each name, whichever optimizer has it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from ..errors import ArgumentError, ShapeError
from ..tensor import Tensor

Rule = tuple[Callable[[Any], bool], str]  # does the value pass? and the rule in words


def number(value: Any) -> bool:
    return isinstance(value, (int, float, np.number)) or getattr(value, "size", 0) == 1


def not_negative(value: Any) -> bool:
    return number(value) and bool(value >= 0)  # not NaN either


def two(value: Any) -> bool:
    return isinstance(value, (tuple, list)) and len(value) == 2 and all(map(number, value))


NOT_NEGATIVE: Rule = not_negative, "must be a number of at least 0"
NUMBER: Rule = number, "must be a number"
FLAG: Rule = lambda v: isinstance(v, (bool, np.bool_)), "must be True or False"
SHARE: Rule = lambda v: number(v) and bool(0 <= v <= 1), "must be from 0 to 1"
BETAS: Rule = lambda v: two(v) and all(0 <= b < 1 for b in v), "must be two numbers from 0 up to, but not, 1"
COUNT: Rule = lambda v: isinstance(v, (int, np.integer)) and bool(v > 0), "must be an integer above 0"

# PyTorch's flags that say how, not what, to compute.
WITHOUT_EFFECT = ("foreach", "fused", "capturable", "differentiable")
RULES: dict[str, Rule] = {
    **dict.fromkeys(["lr", "eps", "weight_decay", "momentum", "lr_decay", "initial_accumulator_value"], NOT_NEGATIVE),
    **dict.fromkeys(["momentum_decay", "alpha", "tolerance_grad", "tolerance_change"], NOT_NEGATIVE),
    **dict.fromkeys(["dampening", "lambd", "t0"], NUMBER),
    **dict.fromkeys(["nesterov", "maximize", "amsgrad", "centered", "decoupled_weight_decay"], FLAG),
    **dict.fromkeys(["max_iter", "max_eval", "history_size"], COUNT),
    "betas": BETAS,
    "rho": SHARE,
}


def given(arguments: dict[str, Any]) -> dict[str, Any]:
    """A constructor's options: its ``locals()`` but self and params."""
    return {name: v for name, v in arguments.items() if name not in ("self", "params", "__class__")}


def check(name: str, group: dict[str, Any], rules: dict[str, Rule | None]) -> None:
    """Raise ArgumentError for the first option of the group that breaks its rule."""
    for option, value in group.items():
        rule = rules[option] if option in rules else RULES.get(option)
        if rule and not rule[0](value):
            words = rule[1]
            raise ArgumentError(f"{name}: invalid {option}: {words}: got {value!r}.")


def matrix(name: str, p: Tensor) -> None:
    """Raise ShapeError unless p is a matrix."""
    if p.ndim != 2:
        raise ShapeError(
            f"{name}: parameters must be matrices: got shape {p.shape}. "
            "Give vectors and convolutions to another optimizer, AdamW for instance."
        )
