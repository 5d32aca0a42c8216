"""Declarations only: importing this package fills PRIMITIVES."""

from . import activation as activation
from . import bessel as bessel
from . import convolution as convolution
from . import ctc as ctc
from . import cumulative as cumulative
from . import decompositions as decompositions
from . import distances as distances
from . import einsum as einsum
from . import elementwise as elementwise
from . import fft as fft
from . import gamma as gamma
from . import indexing as indexing
from . import linalg as linalg
from . import nn as nn
from . import pooling as pooling
from . import recurrent as recurrent
from . import reduce as reduce
from . import resample as resample
from . import shape as shape
from . import sorting as sorting
from . import special as special
