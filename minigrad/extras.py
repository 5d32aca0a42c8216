"""Optional packages: imported where they are used, and named with their pip command where they are missing."""

from __future__ import annotations

from importlib import import_module
from typing import Any

from .errors import ExtraError


def require(module: str, *, extra: str, use: str) -> Any:
    """Import `module`, or raise ExtraError saying what `use` needs and which extra brings it."""
    try:
        return import_module(module)
    except ModuleNotFoundError as error:
        package = (error.name or module).split(".")[0]
        raise ExtraError(f"{use}: {package} is not installed. pip install 'minigrad-engine[{extra}]'.") from None
