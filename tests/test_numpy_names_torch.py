"""The functions and methods PyTorch's users type, on PyTorch's own operator samples: values and gradients."""

import itertools
import operator
import sys
import types
import unittest
import zlib

import numpy as np
import pytest

import minigrad as mg
from minigrad import testing
from minigrad.gradients import grad

torch = pytest.importorskip("torch", reason="PyTorch is the oracle of these tests")
try:
    import expecttest  # noqa: F401
except ImportError:  # PyTorch's samples import it for one base class
    sys.modules["expecttest"] = types.SimpleNamespace(TestCase=unittest.TestCase)
op_db = pytest.importorskip("torch.testing._internal.common_methods_invocations").op_db

FUNCTIONS = """addbmm addcdiv addcmul addmm addmv addr amax amin aminmax argwhere atleast_1d atleast_2d atleast_3d
baddbmm bincount block_diag bmm bucketize cartesian_prod cat cdist chunk column_stack combinations corrcoef cross cummax
cummin cumprod cumsum cumulative_trapezoid diag diag_embed diagflat diagonal diagonal_scatter diff dot dsplit dstack
flatten fliplr flipud gather gradient histc hsplit hstack index_add index_copy index_fill index_put index_reduce
index_select inner isclose isin kron kthvalue logcumsumexp masked_fill masked_scatter masked_select mm movedim msort mv
nanmean nanquantile nansum narrow outer permute put quantile ravel renorm repeat_interleave roll rot90 scatter
scatter_add scatter_reduce searchsorted select select_scatter slice_scatter split stack t take take_along_dim
tensor_split tile topk trace trapezoid tril triu tril_indices triu_indices unbind unflatten unfold unique_consecutive
unsqueeze vdot view_as vsplit vstack add alias_copy broadcast_tensors clamp constant_pad_nd diagonal_copy
dist expand_copy fill flip igamma igammac log_softmax logdet logsumexp lu lu_solve lu_unpack matrix_exp
nonzero_static norm ormqr permute_copy pinverse qr round rsub softmax split_with_sizes sub t_copy tensordot
transpose_copy triangular_solve unbind_copy unfold_copy unsafe_chunk unsqueeze_copy var_mean
view_copy
linalg.cholesky_ex linalg.inv_ex linalg.ldl_factor linalg.ldl_solve linalg.lu_factor_ex linalg.solve_ex
linalg.vecdot special.chebyshev_polynomial_t special.chebyshev_polynomial_u special.chebyshev_polynomial_v
special.chebyshev_polynomial_w special.entr special.erfcx special.hermite_polynomial_h special.hermite_polynomial_he
special.i0e special.i1 special.i1e special.laguerre_polynomial_l special.legendre_polynomial_p special.log_ndtr
special.modified_bessel_i0 special.modified_bessel_i1 special.modified_bessel_k0 special.modified_bessel_k1 special.ndtr
special.ndtri special.scaled_modified_bessel_k0 special.scaled_modified_bessel_k1
special.shifted_chebyshev_polynomial_t special.spherical_bessel_j0 special.xlog1py special.zeta"""
METHODS = """equal H mH squeeze sort median mode nanmedian repeat nonzero flip transpose where expand reshape argsort
sum_to_size"""
DTYPES = {torch.float64, torch.int64}
LIMIT = 12  # samples of one operator
GRADIENT_DIFFERS = {
    "cdist": "p = 0 counts: no gradient here, zeros in PyTorch",
}


def ours(a):
    """A sample's argument for minigrad."""
    if isinstance(a, torch.Tensor):
        return mg.tensor(a.detach().numpy(), requires_grad=a.requires_grad)
    if isinstance(a, torch.dtype):
        return np.dtype(str(a).removeprefix("torch."))
    return type(a)(map(ours, a)) if isinstance(a, (list, tuple)) else a


def flat(y):
    return [z for part in y for z in flat(part)] if isinstance(y, (list, tuple)) else [y]


def samples(name):
    """The operator's samples, those of its variants too, spread over the whole list."""
    for op in op_db:
        if op.name == name and op.dtypes & DTYPES:
            dtype = torch.float64 if torch.float64 in op.dtypes else torch.int64
            torch.manual_seed(zlib.crc32(name.encode()))
            found = list(op.sample_inputs("cpu", dtype, requires_grad=op.supports_autograd and dtype is torch.float64))
            for s in itertools.islice(found, 0, None, max(1, len(found) // LIMIT)):
                yield op, s


@pytest.mark.filterwarnings("ignore::UserWarning")  # of PyTorch, for its own functions
@pytest.mark.parametrize("name", f"{FUNCTIONS} {METHODS}".split())
def test_as_pytorch(name):
    f = operator.attrgetter(name)(mg.Tensor if name in METHODS.split() else mg)
    f = f.fget if isinstance(f, property) else f
    ran = 0
    for op, s in samples(name):
        theirs = op(s.input, *s.args, **s.kwargs)
        given = [ours(s.input), *ours(list(s.args)), *ours([v for k, v in s.kwargs.items() if k != "device"])]
        n, keywords = 1 + len(s.args), {k: v for k, v in s.kwargs.items() if k != "device"}
        result = f(*given[:n], **dict(zip(keywords, given[n:], strict=True)))
        outs = list(zip(flat(result), flat(theirs), strict=True))
        if not isinstance(theirs, torch.Tensor) and not isinstance(theirs, (list, tuple)):
            assert result == theirs
            outs = []
        for y, e in outs:
            assert y.shape == tuple(e.shape), (s.args, s.kwargs)
            np.testing.assert_allclose(y.detach().numpy(), e.detach().numpy(), rtol=1e-10, atol=1e-12)
        live = [(y, e) for y, e in outs if e.requires_grad and e.numel()]
        if live and name not in GRADIENT_DIFFERS:
            inputs = [
                (a, b)
                for a, b in zip(flat(given), flat([s.input, list(s.args), list(keywords.values())]), strict=True)
                if isinstance(b, torch.Tensor) and b.requires_grad
            ]
            weights = [np.random.default_rng(1).standard_normal(e.shape) for _, e in live]
            expected = torch.autograd.grad(
                [e for _, e in live], [b for _, b in inputs], [torch.as_tensor(w) for w in weights], allow_unused=True
            )
            found = grad([y for y, _ in live], [a for a, _ in inputs], [mg.tensor(w) for w in weights],
                         allow_unused=True)  # fmt: skip
            for g, e in zip(found, expected, strict=True):
                e = np.zeros(()) if e is None else e.numpy()
                np.testing.assert_allclose(np.zeros(()) if g is None else g.numpy(), e, rtol=1e-9, atol=1e-10)
        ran += 1
    assert ran


X = np.array([[0.3, -1.2, 2.5], [1.1, 0.5, -0.4]])
INDEX = np.array([[1, 0, 1], [0, 0, 1]])
SECOND = {
    "gather": lambda x: x.gather(1, mg.tensor(INDEX)),
    "scatter_add": lambda x: x.scatter_add(1, mg.tensor(INDEX), x * x),
    "scatter_prod": lambda x: x.scatter_reduce(1, mg.tensor(INDEX), x, "prod"),
    "scatter_amax": lambda x: x.scatter_reduce(0, mg.tensor(INDEX), x * x, "amax", include_self=False),
    "scatter_mean": lambda x: x.scatter_reduce(0, mg.tensor(INDEX), x * x, "mean"),
    "index_add": lambda x: x.index_add(0, mg.tensor([1, 1]), x * x, alpha=2),
    "index_put": lambda x: x.index_put((mg.tensor([0, 0]), mg.tensor([2, 2])), x[0, :2] * x[1, 1:], accumulate=True),
    "index_copy": lambda x: x.index_copy(1, mg.tensor([2]), x[:, :1] * x[:, :1]),
    "masked_scatter": lambda x: x.masked_scatter(mg.tensor(X > 0), x * x),
    "topk": lambda x: (x * x).topk(2, dim=0).values,
    "kthvalue": lambda x: (x * x).kthvalue(2).values,
    "logcumsumexp": lambda x: x.logcumsumexp(1),
    "cummin": lambda x: (x * x).cummin(dim=1).values,
    "renorm": lambda x: x.renorm(2, 0, 1.0),
    "cdist": lambda x: mg.cdist(x, x * x),
    "diag_embed": lambda x: (x * x).diag_embed(1),
    "unfold": lambda x: (x * x).unfold(1, 2, 1),
}  # fmt: skip


@pytest.mark.parametrize("name", SECOND)
def test_second_order(name):
    testing.gradcheck(SECOND[name], [X], kinks="skip")
    testing.gradgradcheck(SECOND[name], [X], kinks="skip")


def test_in_place_methods_edit_and_record():
    w = mg.tensor([[1.0, 2.0, 3.0]], requires_grad=True)
    x = mg.zeros(2, 3)
    y = x.scatter_add_(0, mg.tensor([[1, 0, 1]]), w)
    assert y is x
    np.testing.assert_array_equal(x.detach().numpy(), [[0, 2, 0], [1, 0, 3]])
    x.masked_fill_(mg.tensor([[True, True, False], [False, False, False]]), 7.0)
    (g,) = grad([x.sum()], [w])
    np.testing.assert_array_equal(g.numpy(), [[1, 0, 1]])


def test_functions_leave_their_inputs():
    """Those that a PyTorch user knows as in place return a new tensor without the _."""
    x = mg.tensor(X)
    for y in (x.index_fill(0, mg.tensor([0]), 1.0), x.masked_fill(x > 0, 1.0), x.scatter(1, mg.tensor(INDEX), 5.0),
              mg.fill_diagonal(x, 1.0), mg.put_along_axis(x, INDEX, 1.0, 1)):  # fmt: skip
        assert not np.array_equal(y.numpy(), X)
        np.testing.assert_array_equal(x.numpy(), X)
