"""The reference backend: every primitive as its readable forward over NumPy, nothing compiled."""

import numpy as np

from .base import Backend


class NumpyBackend(Backend):
    """NumPy's ufuncs where they exist, else the reference forward."""

    def __init__(self, name: str = "numpy"):
        super().__init__(name, np, np.ndarray)
