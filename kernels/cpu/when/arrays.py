"""What predicates ask of arrays."""

import numpy as np

FLOATS = frozenset((np.dtype(np.float32), np.dtype(np.float64)))


def of(dtype, shape, *arrays):
    """Are all of these that are not None of one type and shape?"""
    for a in arrays:  # noqa: SIM110  all() of a generator takes three times as long
        if a is not None and (a.shape != shape or (a.dtype is not dtype and a.dtype != dtype)):
            return False
    return True


def without(shape, axis):
    return shape[:axis] + shape[axis + 1 :]
