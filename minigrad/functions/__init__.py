"""The array functions: every public primitive as a function on tensors, and what is composed of them.

Names follow the Array API standard, then NumPy, then PyTorch. The primitives' functions are derived from their
declarations; the compositions are here, one file per subject:

    arranging    shapes, joining, cutting, repeating, frames      ordering     sorting, ranks, searching, sets
    elementwise  roundings of quotients, parts     framing      pad
    indexing     take, gather, scatter, masks, positions          products     einsum and its relatives, distances
    cumulating   running sums and extremes, differences           statistics   averages, quantiles, counts, covariance
"""

from typing import Any

from ..primitive import ALIASES, PRIMITIVES
from ..tensor import F
from .arranging import append as append
from .arranging import array_split as array_split
from .arranging import atleast_1d as atleast_1d
from .arranging import atleast_2d as atleast_2d
from .arranging import atleast_3d as atleast_3d
from .arranging import block as block
from .arranging import block_diag as block_diag
from .arranging import broadcast_arrays as broadcast_arrays
from .arranging import broadcast_shapes as broadcast_shapes
from .arranging import broadcast_tensors as broadcast_tensors
from .arranging import cat as cat
from .arranging import chunk as chunk
from .arranging import column_stack as column_stack
from .arranging import concat as concat
from .arranging import concatenate as concatenate
from .arranging import delete as delete
from .arranging import diag as diag
from .arranging import diag_embed as diag_embed
from .arranging import diagflat as diagflat
from .arranging import diagonal as diagonal
from .arranging import diagonal_scatter as diagonal_scatter
from .arranging import dsplit as dsplit
from .arranging import dstack as dstack
from .arranging import expand_as as expand_as
from .arranging import fill_diagonal as fill_diagonal
from .arranging import flatten as flatten
from .arranging import fliplr as fliplr
from .arranging import flipud as flipud
from .arranging import hsplit as hsplit
from .arranging import hstack as hstack
from .arranging import insert as insert
from .arranging import moveaxis as moveaxis
from .arranging import movedim as movedim
from .arranging import narrow as narrow
from .arranging import narrow_copy as narrow_copy
from .arranging import permute as permute
from .arranging import ravel as ravel
from .arranging import repeat as repeat
from .arranging import repeat_interleave as repeat_interleave
from .arranging import reshape as reshape
from .arranging import resize as resize
from .arranging import roll as roll
from .arranging import rollaxis as rollaxis
from .arranging import rot90 as rot90
from .arranging import row_stack as row_stack
from .arranging import split as split
from .arranging import split_with_sizes as split_with_sizes
from .arranging import stack as stack
from .arranging import swapaxes as swapaxes
from .arranging import swapdims as swapdims
from .arranging import t as t
from .arranging import tensor_split as tensor_split
from .arranging import tile as tile
from .arranging import transpose as transpose
from .arranging import unbind as unbind
from .arranging import unflatten as unflatten
from .arranging import unfold as unfold
from .arranging import unsafe_chunk as unsafe_chunk
from .arranging import unsafe_split as unsafe_split
from .arranging import unsqueeze as unsqueeze
from .arranging import unstack as unstack
from .arranging import view_as as view_as
from .arranging import vsplit as vsplit
from .arranging import vstack as vstack
from .copies import alias_copy as alias_copy
from .copies import as_strided as as_strided
from .copies import as_strided_copy as as_strided_copy
from .copies import as_strided_scatter as as_strided_scatter
from .copies import diagonal_copy as diagonal_copy
from .copies import expand_copy as expand_copy
from .copies import permute_copy as permute_copy
from .copies import split_copy as split_copy
from .copies import split_with_sizes_copy as split_with_sizes_copy
from .copies import squeeze_copy as squeeze_copy
from .copies import t_copy as t_copy
from .copies import transpose_copy as transpose_copy
from .copies import unbind_copy as unbind_copy
from .copies import unfold_copy as unfold_copy
from .copies import unsqueeze_copy as unsqueeze_copy
from .copies import view_copy as view_copy
from .cumulating import convolve as convolve
from .cumulating import correlate as correlate
from .cumulating import cummax as cummax
from .cumulating import cummin as cummin
from .cumulating import cumprod as cumprod
from .cumulating import cumsum as cumsum
from .cumulating import cumulative_prod as cumulative_prod
from .cumulating import cumulative_sum as cumulative_sum
from .cumulating import cumulative_trapezoid as cumulative_trapezoid
from .cumulating import diff as diff
from .cumulating import ediff1d as ediff1d
from .cumulating import gradient as gradient
from .cumulating import logcumsumexp as logcumsumexp
from .cumulating import nancumprod as nancumprod
from .cumulating import nancumsum as nancumsum
from .cumulating import trapezoid as trapezoid
from .cumulating import trapz as trapz
from .cumulating import unwrap as unwrap
from .elementwise import bitwise_count as bitwise_count
from .elementwise import clamp_max as clamp_max
from .elementwise import clamp_min as clamp_min
from .elementwise import complex as complex
from .elementwise import conj_physical as conj_physical
from .elementwise import div as div
from .elementwise import divmod as divmod
from .elementwise import fabs as fabs
from .elementwise import fill as fill
from .elementwise import float_power as float_power
from .elementwise import frexp as frexp
from .elementwise import modf as modf
from .elementwise import multigammaln as multigammaln
from .elementwise import mvlgamma as mvlgamma
from .elementwise import polar as polar
from .elementwise import polygamma as polygamma
from .elementwise import resolve_conj as resolve_conj
from .elementwise import resolve_neg as resolve_neg
from .elementwise import round as round
from .elementwise import rsub as rsub
from .elementwise import view_as_complex as view_as_complex
from .elementwise import view_as_real as view_as_real
from .framing import constant_pad_nd as constant_pad_nd
from .framing import pad as pad
from .indexing import argwhere as argwhere
from .indexing import choose as choose
from .indexing import compress as compress
from .indexing import diag_indices as diag_indices
from .indexing import extract as extract
from .indexing import flatnonzero as flatnonzero
from .indexing import gather as gather
from .indexing import index_add as index_add
from .indexing import index_copy as index_copy
from .indexing import index_fill as index_fill
from .indexing import index_put as index_put
from .indexing import index_reduce as index_reduce
from .indexing import index_select as index_select
from .indexing import indices as indices
from .indexing import ix_ as ix_
from .indexing import masked_fill as masked_fill
from .indexing import masked_scatter as masked_scatter
from .indexing import masked_select as masked_select
from .indexing import nonzero as nonzero
from .indexing import nonzero_static as nonzero_static
from .indexing import one_hot as one_hot
from .indexing import piecewise as piecewise
from .indexing import put as put
from .indexing import put_along_axis as put_along_axis
from .indexing import ravel_multi_index as ravel_multi_index
from .indexing import scatter as scatter
from .indexing import scatter_add as scatter_add
from .indexing import scatter_reduce as scatter_reduce
from .indexing import select as select
from .indexing import select_scatter as select_scatter
from .indexing import slice_scatter as slice_scatter
from .indexing import take as take
from .indexing import take_along_dim as take_along_dim
from .indexing import tril_indices as tril_indices
from .indexing import triu_indices as triu_indices
from .indexing import unravel_index as unravel_index
from .ordering import allclose as allclose
from .ordering import amax as amax
from .ordering import amin as amin
from .ordering import aminmax as aminmax
from .ordering import argpartition as argpartition
from .ordering import array_equal as array_equal
from .ordering import array_equiv as array_equiv
from .ordering import bucketize as bucketize
from .ordering import digitize as digitize
from .ordering import intersect1d as intersect1d
from .ordering import isclose as isclose
from .ordering import isin as isin
from .ordering import kthvalue as kthvalue
from .ordering import lexsort as lexsort
from .ordering import mode as mode
from .ordering import msort as msort
from .ordering import partition as partition
from .ordering import ptp as ptp
from .ordering import renorm as renorm
from .ordering import searchsorted as searchsorted
from .ordering import setdiff1d as setdiff1d
from .ordering import setxor1d as setxor1d
from .ordering import topk as topk
from .ordering import union1d as union1d
from .ordering import unique as unique
from .ordering import unique_all as unique_all
from .ordering import unique_consecutive as unique_consecutive
from .ordering import unique_counts as unique_counts
from .ordering import unique_inverse as unique_inverse
from .ordering import unique_values as unique_values
from .products import addbmm as addbmm
from .products import addcdiv as addcdiv
from .products import addcmul as addcmul
from .products import addmm as addmm
from .products import addmv as addmv
from .products import addr as addr
from .products import apply_along_axis as apply_along_axis
from .products import baddbmm as baddbmm
from .products import bmm as bmm
from .products import cartesian_prod as cartesian_prod
from .products import cdist as cdist
from .products import chain_matmul as chain_matmul
from .products import combinations as combinations
from .products import cross as cross
from .products import dot as dot
from .products import einsum as einsum
from .products import ger as ger
from .products import inner as inner
from .products import interp as interp
from .products import kron as kron
from .products import matvec as matvec
from .products import mm as mm
from .products import multi_dot as multi_dot
from .products import mv as mv
from .products import outer as outer
from .products import pdist as pdist
from .products import polyval as polyval
from .products import tensordot as tensordot
from .products import trace as trace
from .products import vander as vander
from .products import vdot as vdot
from .products import vecdot as vecdot
from .products import vecmat as vecmat
from .spectral import istft as istft
from .spectral import stft as stft
from .statistics import average as average
from .statistics import bincount as bincount
from .statistics import corrcoef as corrcoef
from .statistics import cov as cov
from .statistics import histc as histc
from .statistics import histogram as histogram
from .statistics import histogram2d as histogram2d
from .statistics import histogram_bin_edges as histogram_bin_edges
from .statistics import histogramdd as histogramdd
from .statistics import median as median
from .statistics import nanargmax as nanargmax
from .statistics import nanargmin as nanargmin
from .statistics import nanmax as nanmax
from .statistics import nanmean as nanmean
from .statistics import nanmedian as nanmedian
from .statistics import nanmin as nanmin
from .statistics import nanpercentile as nanpercentile
from .statistics import nanprod as nanprod
from .statistics import nanquantile as nanquantile
from .statistics import nanstd as nanstd
from .statistics import nansum as nansum
from .statistics import nanvar as nanvar
from .statistics import percentile as percentile
from .statistics import quantile as quantile
from .statistics import std_mean as std_mean
from .statistics import var_mean as var_mean


def __getattr__(name: str) -> Any:
    primitive = PRIMITIVES.get(ALIASES.get(name, name))
    if primitive is not None and primitive.public:
        return getattr(F, primitive.name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def names() -> list[str]:
    """The public functions: every public primitive, and the compositions of this package."""
    own = [k for k, v in globals().items() if callable(v) and getattr(v, "__module__", "").startswith(f"{__name__}.")]
    return sorted({*own, *ALIASES, *(k for k, p in PRIMITIVES.items() if p.public)})
