"""Parameters as one vector, and back."""

from __future__ import annotations

from collections.abc import Iterable

from ...edits import written
from ...errors import ShapeError
from ...tensor import F, Tensor


def parameters_to_vector(parameters: Iterable[Tensor]) -> Tensor:
    """All parameters flat, one after the other: (N,). Gradients flow back."""
    return F.concat(*[F.reshape(p, (-1,)) for p in parameters])


def vector_to_parameters(vec: Tensor, parameters: Iterable[Tensor]) -> None:
    """Copy the parts of a vector (N,) into the parameters, in order and in place."""
    parameters = list(parameters)
    n = sum(p.size for p in parameters)
    if vec.shape != (n,):
        raise ShapeError(
            f"vector_to_parameters: vec must have one element per parameter element, ({n},): got {vec.shape}."
        )
    start = 0
    for p in parameters:
        p.array[...] = vec.array[start : start + p.size].reshape(p.shape)
        written(p, "vector_to_parameters")
        start += p.size
