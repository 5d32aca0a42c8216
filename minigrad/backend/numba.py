"""The default host backend: NumPy's arrays, with compiled kernels where one is registered and the call is large enough.

Nothing here imports Numba: the table in ``minigrad.kernels.cpu`` names the kernels, and the first call that a kernel
admits imports it. Small arrays never wait for a compiler.
"""

from ..kernels import cpu  # registers the table of kernels
from .numpy import NumpyBackend


class NumbaBackend(NumpyBackend):
    """As NumpyBackend, and `resolve` finds the kernels registered for "numba"."""

    def __init__(self) -> None:
        super().__init__("numba")
        self.rules = cpu.Rules()
