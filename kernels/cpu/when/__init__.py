"""When each kernel of this folder serves a call: cheap predicates with the arguments of the primitive, and no Numba
import.

A kernel is refused for other types than float32 and float64 (both arguments of one type), and below the size where
NumPy is as fast; the sizes are elements or multiplications, measured on two cores with AVX-512. A refused call runs
the reference.
"""

from .arrays import *  # noqa: F403
from .elementwise import *  # noqa: F403
from .layers import *  # noqa: F403
from .layouts import *  # noqa: F403
from .lines import *  # noqa: F403
from .moving import *  # noqa: F403
