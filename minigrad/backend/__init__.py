"""Backends: where arrays live and what computes on them."""

from .. import ops  # noqa: F401  the declarations come before the kernels
from .base import Backend as Backend
from .base import backend_names as backend_names
from .base import backend_of as backend_of
from .base import get_backend as get_backend
from .base import register as register
from .base import register_arrays as register_arrays
from .cupy import CupyBackend
from .numba import NumbaBackend
from .numpy import NumpyBackend

register(NumbaBackend())
register(NumpyBackend())
register(CupyBackend, name="cupy")
