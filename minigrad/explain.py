"""Which error to raise for a forward that failed. Nothing is checked on the way in: only a failure pays for its
explanation."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from .backend import backend_of
from .errors import ArgumentError, BackendError, DTypeError, IndexRangeError, MinigradError
from .primitive import Primitive, Spec


def explained(prim: Primitive, error: Exception, arrays: Sequence, params: dict) -> Exception:
    """The error to raise for a forward that failed: what the shape rule says, a device mix, or the error itself."""
    if isinstance(error, MinigradError):
        return error
    kinds = {type(a) for a in arrays if hasattr(a, "shape") and not isinstance(a, np.generic)}
    if kinds - {np.ndarray}:
        names = sorted(
            {backend_of(a).name if type(a) is not np.ndarray else "numpy" for a in arrays if type(a) in kinds}
        )
        if len(names) > 1:
            return BackendError(
                f"{prim.name}: operands must be on one backend: got {' and '.join(names)}. Move one with "
                f'.to("{names[0]}"); an array goes there as mg.tensor(x, device="{names[0]}").'
            )
    specs = [a if hasattr(a, "shape") or a is None else Spec((), np.asarray(a).dtype) for a in arrays]
    try:
        prim.shape(prim.name, *specs, **params)
    except MinigradError as reason:
        return reason
    except Exception:  # the rule itself could not make sense of the call: the forward's own words are better
        pass
    came = ", ".join(f"{s.dtype}{tuple(s.shape)}" for s in specs if s is not None)
    message = f"{prim.name}: {error} (operands: {came})."
    if isinstance(error, TypeError):
        return DTypeError(message)
    if isinstance(error, IndexError):
        return IndexRangeError(message)
    if isinstance(error, ValueError):
        return ArgumentError(message)
    error.add_note(f"in {prim.name} ({came})")
    return error
