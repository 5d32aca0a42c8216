"""What a GPU also computes in: TF32, products of float32 from 10 bits of their fractions, and bfloat16. Such rows are
called as those of float32, with the precision behind, and only contenders on a GPU take part."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

TF32, BFLOAT16 = "TF32", "bfloat16"
PRECISIONS = (TF32, BFLOAT16)
GPUS = ("cupy", "torch-cuda")
TOLERANCES = {TF32: 5e-3, BFLOAT16: 3e-2}  # roundings of 5e-4 and 4e-3 in every product


def precision(row: str) -> str:
    """The precision of a row; empty for float32."""
    return next((p for p in PRECISIONS if p in row.split()), "")


def plain(row: str) -> str:
    """The name of the row in float32."""
    return " ".join(word for word in row.split() if word not in PRECISIONS)


def takes_part(contender: str, row: str) -> bool:
    return contender in GPUS or not precision(row)


def tolerance(row: str, usual: float) -> float:
    """How far contenders may be apart."""
    return max(usual, TOLERANCES.get(precision(row), 0.0))


def product(row: str) -> str:
    """The row of the floors that says the rate of products in a row's precision; empty for float32."""
    return f"product, {precision(row)}" if precision(row) else ""


def library(c: SimpleNamespace, row: str) -> SimpleNamespace:
    """A contender's library set to a row's precision: TF32 on or off, float tensors in bfloat16."""
    kind = precision(row)
    c.set_tf32(kind == TF32)
    if kind != BFLOAT16:
        return c

    def tensor(array: Any, grad: bool = False) -> Any:
        t = c.tensor(array)
        return t.to(c.m.bfloat16).requires_grad_(grad) if array.dtype.kind == "f" else t

    return SimpleNamespace(**vars(c) | {"tensor": tensor})
