"""minigrad: a from-scratch autodiff engine to learn from, check gradients with, and train with.

>>> import minigrad as mg
>>> x = mg.tensor([1.0, 2.0, 3.0], requires_grad=True)
>>> (x**2).sum().backward()
>>> x.grad
tensor([2., 4., 6.])
"""

from importlib import import_module as _import_module
from typing import TYPE_CHECKING as _TYPE_CHECKING

import numpy as _np

from . import autograd as autograd
from . import errors as errors
from . import functions as functions
from . import gradients as _gradients  # noqa: F401  these four give Tensor its members
from . import inplace as _inplace  # noqa: F401
from . import methods as _methods  # noqa: F401
from . import protocols as _protocols  # noqa: F401
from . import random as random
from ._version import __version__ as __version__
from .backend import backend_names as backend_names
from .backend import get_backend as get_backend
from .backend import register as register_backend  # noqa: F401
from .creation import arange as arange
from .creation import as_tensor as as_tensor
from .creation import asarray as asarray
from .creation import empty as empty
from .creation import eye as eye
from .creation import from_numpy as from_numpy
from .creation import full as full
from .creation import full_like as full_like
from .creation import linspace as linspace
from .creation import ones as ones
from .creation import tensor as tensor
from .creation import zeros as zeros
from .custom import Function as Function
from .functions import amax as amax
from .functions import amin as amin
from .functions import flatten as flatten
from .functions import masked_fill as masked_fill
from .functions import moveaxis as moveaxis
from .functions import one_hot as one_hot
from .functions import outer as outer
from .functions import split as split
from .functions import swapaxes as swapaxes
from .functions import unstack as unstack
from .mode import enable_grad as enable_grad
from .mode import get_default_dtype as get_default_dtype
from .mode import is_grad_enabled as is_grad_enabled
from .mode import no_grad as no_grad
from .mode import set_backend as set_backend
from .mode import set_default_dtype as set_default_dtype
from .mode import set_grad_enabled as set_grad_enabled
from .mode import use_backend as use_backend
from .primitive import PRIMITIVES as PRIMITIVES
from .primitive import elementwise as elementwise
from .primitive import fused as fused
from .primitive import kernel as kernel
from .primitive import primitive as primitive
from .random import Generator as Generator
from .random import manual_seed as manual_seed
from .random import rand as rand
from .random import randint as randint
from .random import randn as randn
from .random import randperm as randperm
from .tensor import Tensor as Tensor
from .tensor import apply as apply
from .tensor import function as function
from .threads import get_num_threads as get_num_threads
from .threads import set_num_threads as set_num_threads

if _TYPE_CHECKING:
    from . import nn as nn
    from . import optim as optim

bool = _np.dtype("bool")
int8, int16, int32, int64 = (_np.dtype(f"int{b}") for b in (8, 16, 32, 64))
uint8, uint16, uint32, uint64 = (_np.dtype(f"uint{b}") for b in (8, 16, 32, 64))
float16, float32, float64 = (_np.dtype(f"float{b}") for b in (16, 32, 64))
complex64, complex128 = _np.dtype("complex64"), _np.dtype("complex128")
inf, nan, pi, e, newaxis = float("inf"), float("nan"), _np.pi, _np.e, None


def __getattr__(name: str):
    """Every public primitive is a function of this module, made at first use from its declaration."""
    if name in ("nn", "optim"):  # loaded at first use: import minigrad stays light
        return _import_module(f"{__name__}.{name}")
    try:
        value = functions.__getattr__(name)
    except AttributeError:
        raise AttributeError(f"module 'minigrad' has no attribute {name!r}") from None
    globals()[name] = value  # the next look-up finds it at once
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *functions.names()})
