"""In which float types a Trainer trains: Lightning's names."""

from __future__ import annotations

from contextlib import nullcontext
from typing import Any

from ..amp import GradScaler, autocast
from ..errors import ArgumentError
from ..nn import Module

# name -> (type of the parameters, half type of products, are gradients scaled?)
PRECISIONS: dict[str, tuple[str | None, str | None, bool]] = {
    "32-true": (None, None, False),
    "64-true": ("float64", None, False),
    "16-true": ("float16", None, False),
    "bf16-true": ("bfloat16", None, False),
    "16-mixed": (None, "float16", True),
    "bf16-mixed": (None, "bfloat16", False),
}
SHORT = {"32": "32-true", "64": "64-true", "16": "16-mixed", "bf16": "bf16-mixed"}


class MixedPrecision:
    """What `precision` asks for: "32-true" (all as it is), "bf16-mixed" (autocast to bfloat16), "16-mixed" (autocast to
    float16, with a GradScaler), or "64-true", "16-true", "bf16-true", which change the model itself.

    >>> MixedPrecision("16-mixed").scaler.get_scale()
    65536.0
    """

    def __init__(self, name: Any = "32-true"):
        given, name = name, SHORT.get(str(name), str(name))
        if name not in PRECISIONS:
            raise ArgumentError(f"precision: must be one of {', '.join(PRECISIONS)}: got {given!r}.")
        self.name = name
        self.parameters, self.half, scaled = PRECISIONS[name]
        self.scaler = GradScaler(enabled=scaled)

    def region(self) -> Any:
        """A context manager for the forward of training and evaluation."""
        return nullcontext() if self.half is None else autocast(dtype=self.half)

    def prepare(self, model: Module) -> None:
        """The model in the parameters' type."""
        if self.parameters is not None:
            model.to(dtype=self.parameters)
