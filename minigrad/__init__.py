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
from . import halves as _halves
from . import inplace as _inplace  # noqa: F401
from . import methods as _methods  # noqa: F401
from . import numpy_functions as _numpy_functions  # noqa: F401
from . import protocols as _protocols  # noqa: F401
from . import pytorch_names as _pytorch_names
from . import random as random
from . import spellings as _spellings
from ._version import __version__ as __version__
from .array_api import __array_api_version__ as __array_api_version__
from .array_api import __array_namespace_info__ as __array_namespace_info__
from .backend import backend_names as backend_names
from .backend import get_backend as get_backend
from .backend import register as register_backend  # noqa: F401
from .convert import Device as device  # noqa: F401
from .convert import Float64 as _Float64
from .creation import arange as arange
from .creation import as_tensor as as_tensor
from .creation import asarray as asarray
from .creation import empty as empty
from .creation import empty_like as empty_like
from .creation import eye as eye
from .creation import from_dlpack as from_dlpack
from .creation import from_numpy as from_numpy
from .creation import full as full
from .creation import full_like as full_like
from .creation import linspace as linspace
from .creation import meshgrid as meshgrid
from .creation import ones as ones
from .creation import ones_like as ones_like
from .creation import tensor as tensor
from .creation import zeros as zeros
from .creation import zeros_like as zeros_like
from .custom import Function as Function
from .dtypes import astype as astype
from .dtypes import can_cast as can_cast
from .dtypes import finfo as finfo
from .dtypes import iinfo as iinfo
from .dtypes import is_complex as is_complex
from .dtypes import is_floating_point as is_floating_point
from .dtypes import isdtype as isdtype
from .dtypes import promote_types as promote_types
from .dtypes import result_type as result_type
from .functions import addbmm as addbmm
from .functions import addcdiv as addcdiv
from .functions import addcmul as addcmul
from .functions import addmm as addmm
from .functions import addmv as addmv
from .functions import addr as addr
from .functions import alias_copy as alias_copy
from .functions import allclose as allclose
from .functions import amax as amax
from .functions import amin as amin
from .functions import aminmax as aminmax
from .functions import append as append
from .functions import apply_along_axis as apply_along_axis
from .functions import argpartition as argpartition
from .functions import argwhere as argwhere
from .functions import array_equal as array_equal
from .functions import array_equiv as array_equiv
from .functions import array_split as array_split
from .functions import as_strided as as_strided
from .functions import as_strided_copy as as_strided_copy
from .functions import as_strided_scatter as as_strided_scatter
from .functions import atleast_1d as atleast_1d
from .functions import atleast_2d as atleast_2d
from .functions import atleast_3d as atleast_3d
from .functions import average as average
from .functions import baddbmm as baddbmm
from .functions import bincount as bincount
from .functions import bitwise_count as bitwise_count
from .functions import block as block
from .functions import block_diag as block_diag
from .functions import bmm as bmm
from .functions import broadcast_arrays as broadcast_arrays
from .functions import broadcast_shapes as broadcast_shapes
from .functions import broadcast_tensors as broadcast_tensors
from .functions import bucketize as bucketize
from .functions import cartesian_prod as cartesian_prod
from .functions import cat as cat
from .functions import cdist as cdist
from .functions import chain_matmul as chain_matmul
from .functions import choose as choose
from .functions import chunk as chunk
from .functions import clamp_max as clamp_max
from .functions import clamp_min as clamp_min
from .functions import column_stack as column_stack
from .functions import combinations as combinations
from .functions import complex as complex
from .functions import compress as compress
from .functions import concat as concat
from .functions import concatenate as concatenate
from .functions import conj_physical as conj_physical
from .functions import constant_pad_nd as constant_pad_nd
from .functions import convolve as convolve
from .functions import corrcoef as corrcoef
from .functions import correlate as correlate
from .functions import cov as cov
from .functions import cross as cross
from .functions import cummax as cummax
from .functions import cummin as cummin
from .functions import cumprod as cumprod
from .functions import cumsum as cumsum
from .functions import cumulative_prod as cumulative_prod
from .functions import cumulative_sum as cumulative_sum
from .functions import cumulative_trapezoid as cumulative_trapezoid
from .functions import delete as delete
from .functions import diag as diag
from .functions import diag_embed as diag_embed
from .functions import diag_indices as diag_indices
from .functions import diagflat as diagflat
from .functions import diagonal as diagonal
from .functions import diagonal_copy as diagonal_copy
from .functions import diagonal_scatter as diagonal_scatter
from .functions import diff as diff
from .functions import digitize as digitize
from .functions import div as div
from .functions import divmod as divmod
from .functions import dot as dot
from .functions import dsplit as dsplit
from .functions import dstack as dstack
from .functions import ediff1d as ediff1d
from .functions import einsum as einsum
from .functions import expand_as as expand_as
from .functions import expand_copy as expand_copy
from .functions import extract as extract
from .functions import fabs as fabs
from .functions import fill as fill
from .functions import fill_diagonal as fill_diagonal
from .functions import flatnonzero as flatnonzero
from .functions import flatten as flatten
from .functions import fliplr as fliplr
from .functions import flipud as flipud
from .functions import float_power as float_power
from .functions import frexp as frexp
from .functions import gather as gather
from .functions import ger as ger
from .functions import gradient as gradient
from .functions import histc as histc
from .functions import histogram as histogram
from .functions import histogram2d as histogram2d
from .functions import histogram_bin_edges as histogram_bin_edges
from .functions import histogramdd as histogramdd
from .functions import hsplit as hsplit
from .functions import hstack as hstack
from .functions import index_add as index_add
from .functions import index_copy as index_copy
from .functions import index_fill as index_fill
from .functions import index_put as index_put
from .functions import index_reduce as index_reduce
from .functions import index_select as index_select
from .functions import indices as indices
from .functions import inner as inner
from .functions import insert as insert
from .functions import interp as interp
from .functions import intersect1d as intersect1d
from .functions import isclose as isclose
from .functions import isin as isin
from .functions import istft as istft
from .functions import ix_ as ix_
from .functions import kron as kron
from .functions import kthvalue as kthvalue
from .functions import lexsort as lexsort
from .functions import logcumsumexp as logcumsumexp
from .functions import masked_fill as masked_fill
from .functions import masked_scatter as masked_scatter
from .functions import masked_select as masked_select
from .functions import matvec as matvec
from .functions import median as median
from .functions import mm as mm
from .functions import mode as mode
from .functions import modf as modf
from .functions import moveaxis as moveaxis
from .functions import movedim as movedim
from .functions import msort as msort
from .functions import multi_dot as multi_dot
from .functions import multigammaln as multigammaln
from .functions import mv as mv
from .functions import mvlgamma as mvlgamma
from .functions import nanargmax as nanargmax
from .functions import nanargmin as nanargmin
from .functions import nancumprod as nancumprod
from .functions import nancumsum as nancumsum
from .functions import nanmax as nanmax
from .functions import nanmean as nanmean
from .functions import nanmedian as nanmedian
from .functions import nanmin as nanmin
from .functions import nanpercentile as nanpercentile
from .functions import nanprod as nanprod
from .functions import nanquantile as nanquantile
from .functions import nanstd as nanstd
from .functions import nansum as nansum
from .functions import nanvar as nanvar
from .functions import narrow as narrow
from .functions import narrow_copy as narrow_copy
from .functions import nonzero as nonzero
from .functions import nonzero_static as nonzero_static
from .functions import one_hot as one_hot
from .functions import outer as outer
from .functions import pad as pad
from .functions import partition as partition
from .functions import pdist as pdist
from .functions import percentile as percentile
from .functions import permute as permute
from .functions import permute_copy as permute_copy
from .functions import piecewise as piecewise
from .functions import polar as polar
from .functions import polygamma as polygamma
from .functions import polyval as polyval
from .functions import ptp as ptp
from .functions import put as put
from .functions import put_along_axis as put_along_axis
from .functions import quantile as quantile
from .functions import ravel as ravel
from .functions import ravel_multi_index as ravel_multi_index
from .functions import renorm as renorm
from .functions import repeat as repeat
from .functions import repeat_interleave as repeat_interleave
from .functions import reshape as reshape
from .functions import resize as resize
from .functions import resolve_conj as resolve_conj
from .functions import resolve_neg as resolve_neg
from .functions import roll as roll
from .functions import rollaxis as rollaxis
from .functions import rot90 as rot90
from .functions import round as round
from .functions import row_stack as row_stack
from .functions import rsub as rsub
from .functions import scatter as scatter
from .functions import scatter_add as scatter_add
from .functions import scatter_reduce as scatter_reduce
from .functions import searchsorted as searchsorted
from .functions import select as select
from .functions import select_scatter as select_scatter
from .functions import setdiff1d as setdiff1d
from .functions import setxor1d as setxor1d
from .functions import slice_scatter as slice_scatter
from .functions import split as split
from .functions import split_copy as split_copy
from .functions import split_with_sizes as split_with_sizes
from .functions import split_with_sizes_copy as split_with_sizes_copy
from .functions import squeeze_copy as squeeze_copy
from .functions import stack as stack
from .functions import std_mean as std_mean
from .functions import stft as stft
from .functions import swapaxes as swapaxes
from .functions import swapdims as swapdims
from .functions import t as t
from .functions import t_copy as t_copy
from .functions import take as take
from .functions import take_along_dim as take_along_dim
from .functions import tensor_split as tensor_split
from .functions import tensordot as tensordot
from .functions import tile as tile
from .functions import topk as topk
from .functions import trace as trace
from .functions import transpose as transpose
from .functions import transpose_copy as transpose_copy
from .functions import trapezoid as trapezoid
from .functions import trapz as trapz
from .functions import tril_indices as tril_indices
from .functions import triu_indices as triu_indices
from .functions import unbind as unbind
from .functions import unbind_copy as unbind_copy
from .functions import unflatten as unflatten
from .functions import unfold as unfold
from .functions import unfold_copy as unfold_copy
from .functions import union1d as union1d
from .functions import unique as unique
from .functions import unique_all as unique_all
from .functions import unique_consecutive as unique_consecutive
from .functions import unique_counts as unique_counts
from .functions import unique_inverse as unique_inverse
from .functions import unique_values as unique_values
from .functions import unravel_index as unravel_index
from .functions import unsafe_chunk as unsafe_chunk
from .functions import unsafe_split as unsafe_split
from .functions import unsqueeze as unsqueeze
from .functions import unsqueeze_copy as unsqueeze_copy
from .functions import unstack as unstack
from .functions import unwrap as unwrap
from .functions import vander as vander
from .functions import var_mean as var_mean
from .functions import vdot as vdot
from .functions import vecdot as vecdot
from .functions import vecmat as vecmat
from .functions import view_as as view_as
from .functions import view_as_complex as view_as_complex
from .functions import view_as_real as view_as_real
from .functions import view_copy as view_copy
from .functions import vsplit as vsplit
from .functions import vstack as vstack
from .mistakes import MistakeWarning as MistakeWarning
from .mode import enable_grad as enable_grad
from .mode import get_default_dtype as get_default_dtype
from .mode import is_grad_enabled as is_grad_enabled
from .mode import no_grad as no_grad
from .mode import set_backend as set_backend
from .mode import set_default_dtype as set_default_dtype
from .mode import set_grad_enabled as set_grad_enabled
from .mode import use_backend as use_backend
from .numpy_names import array as array
from .numpy_names import asanyarray as asanyarray
from .numpy_names import ascontiguousarray as ascontiguousarray
from .numpy_names import fromfunction as fromfunction
from .numpy_names import geomspace as geomspace
from .numpy_names import identity as identity
from .numpy_names import iscomplexobj as iscomplexobj
from .numpy_names import isrealobj as isrealobj
from .numpy_names import logspace as logspace
from .numpy_names import ndim as ndim
from .numpy_names import real_if_close as real_if_close
from .numpy_names import shape as shape
from .numpy_names import size as size
from .numpy_names import tri as tri
from .primitive import DECLARED as _DECLARED
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
    from . import amp as amp
    from . import cuda as cuda
    from . import distributions as distributions
    from . import fft as fft
    from . import func as func
    from . import linalg as linalg
    from . import nn as nn
    from . import optim as optim
    from . import special as special
    from .amp import autocast as autocast
    from .amp import get_autocast_dtype as get_autocast_dtype
    from .amp import is_autocast_enabled as is_autocast_enabled

bool = _np.dtype("bool")
int8, int16, int32, int64 = (_np.dtype(f"int{b}") for b in (8, 16, 32, 64))
uint8, uint16, uint32, uint64 = (_np.dtype(f"uint{b}") for b in (8, 16, 32, 64))
float16, float32, float64 = _np.dtype("float16"), _np.dtype("float32"), _Float64()
complex64, complex128 = _np.dtype("complex64"), _np.dtype("complex128")
inf, nan, pi, e, newaxis = float("inf"), float("nan"), _np.pi, _np.e, None

_PARTS = (
    "amp", "cuda", "data", "distributions", "fft", "func", "io", "linalg", "masked", "nn", "onnx", "optim",
    "quantization", "signal", "special", "testing", "train", "utils", "viz",
)  # fmt: skip


_DECLARED.append(lambda p: globals().pop(p.name, None))


def __getattr__(name: str):
    """Every public primitive is a function of this module, made at first use from its declaration."""
    if name in _spellings.MATRICES:
        return getattr(_import_module(f"{__name__}.matrices"), name)
    if name in _PARTS:  # loaded at first use: import minigrad stays light
        return _import_module(f"{__name__}.{name}")
    if name in ("autocast", "get_autocast_dtype", "is_autocast_enabled"):
        return getattr(_import_module(f"{__name__}.amp"), name)
    if name == "bfloat16":
        return _halves.bfloat16()
    try:
        value = functions.__getattr__(name)
    except AttributeError:
        try:
            value = _pytorch_names.find(name)
        except AttributeError:
            raise AttributeError(f"module 'minigrad' has no attribute {name!r}") from None
    globals()[name] = value  # the next look-up finds it at once
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *functions.names(), *_PARTS, *_pytorch_names.names()})
