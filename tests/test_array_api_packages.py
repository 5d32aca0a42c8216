"""Packages written against the Array API take tensors as they are: array-api-compat, array-api-extra."""

import numpy as np
import pytest

import minigrad as mg

compat = pytest.importorskip("array_api_compat")
extra = pytest.importorskip("array_api_extra")
strict = pytest.importorskip("array_api_strict")
pytestmark = pytest.mark.filterwarnings("ignore::RuntimeWarning:array_api_extra")


def test_compat_finds_the_namespace():
    x = mg.asarray([[1.0, 2.0, 3.0]])
    assert compat.array_namespace(x, 2.0, None, x) is mg and compat.array_namespace(x, use_compat=False) is mg
    assert compat.array_namespace(mg.nn.Parameter(mg.ones(2)), api_version="2024.12") is mg
    assert compat.is_array_api_obj(x) and compat.is_writeable_array(x) and not compat.is_lazy_array(x)
    assert compat.size(x) == 3 and compat.device(x) == "cpu"
    assert compat.to_device(x, compat.device(x)).tolist() == x.tolist()
    with pytest.raises(TypeError, match="Multiple namespaces"):
        compat.array_namespace(x, np.ones(2))


def reals(xp):
    return xp.asarray([[1.0, -2.0, 3.0], [4.0, xp.nan, 0.5]], dtype=xp.float64)


def integers(xp):
    return xp.asarray([3, 1, 2, 3, 1])


def imaginary(xp):
    return xp.asarray([1 + 2j, -1j, 3.0, 0.0], dtype=xp.complex128)


def finite(xp):
    return xp.asarray([[1.0, 2.0, 4.0], [0.0, 1.0, 5.0]], dtype=xp.float64)


ANY = {  # functions of any dtype
    "apply_where": lambda x: extra.apply_where(x != 1, x, lambda x: x * 2, lambda x: -x),
    "apply_where, filled": lambda x: extra.apply_where(x != 1, (x, x), lambda x, y: x * y, fill_value=7),
    "atleast_nd": lambda x: extra.atleast_nd(x, ndim=4),
    "create_diagonal": lambda x: extra.create_diagonal(x, offset=1),
    "isclose": lambda x: [extra.isclose(x, x + 1), extra.isclose(x, x, equal_nan=True), extra.isclose(x, 1)],
    "kron": lambda x: [extra.kron(x, x), extra.kron(x, 2)],
    "nunique": lambda x: extra.nunique(x),
    "pad": lambda x: [extra.pad(x, 2), extra.pad(x, (1, 2), constant_values=3)],
    "nansum": lambda x: extra.nansum(x, axis=-1),
    "at, one row": lambda x: [getattr(extra.at(x, (0, ...)), op)(2, copy=True) for op in ("set", "add", "multiply")],
    "at, where": lambda x: [extra.at(x)[x != 1].set(9), x],
    "at, itself": lambda x: [extra.at(x)[...].subtract(x), x],
}
REAL = {
    "searchsorted": (finite, lambda x: extra.searchsorted(x, x + 0.5, side="right")),
    "angle": (imaginary, lambda x: [extra.angle(x), extra.angle(x, deg=True)]),
    "cov": (finite, lambda x: [extra.cov(x), extra.cov(x, correction=0)]),
    "cov, many variables": (reals, extra.cov),
    "deg2rad": (finite, lambda x: extra.rad2deg(extra.deg2rad(x))),
    "nan_to_num": (reals, lambda x: [extra.nan_to_num(x), extra.nan_to_num(x * float("inf"), fill_value=2.0)]),
    "nanmax": (reals, lambda x: [extra.nanmax(x, axis=0), extra.nanmin(x), extra.nanmean(x, axis=1)]),
    "sinc": (finite, extra.sinc),
    "at, least": (
        finite,
        lambda x: [extra.at(x, (slice(None), 0)).min(0.5), extra.at(x, (1, ...)).max(1.0, copy=True)],
    ),
    "partition": (integers, lambda x: extra.partition(x, 2)[2]),
    "argpartition": (integers, lambda x: x[extra.argpartition(x, 1)[1]]),
    "isin": (integers, lambda x: [extra.isin(x, x[:2]), extra.isin(x, x[:2], invert=True)]),
    "setdiff1d": (integers, lambda x: extra.setdiff1d(x, x[:1])),
    "union1d": (integers, lambda x: extra.union1d(x, x + 1)),
    "unravel_index": (integers, lambda x: list(extra.unravel_index(x, (2, 2)))),
    "lazy_apply": (finite, lambda x: extra.lazy_apply(np.cos, x, as_numpy=True)),
}
CASES = [(f"{name} of {f.__name__}", f, run) for name, run in ANY.items() for f in (reals, integers, imaginary)]
CASES += [(name, f, run) for name, (f, run) in REAL.items()]


@pytest.mark.parametrize("f,run", [pytest.param(*case[1:], id=case[0]) for case in CASES])
def test_extra(f, run):
    """Values, shapes and dtypes are those of the strict namespace."""
    got, expected = run(f(mg)), run(f(strict))
    for g, e in zip(
        got if isinstance(got, list) else [got], expected if isinstance(got, list) else [expected], strict=True
    ):
        if not hasattr(e, "shape"):
            assert g == e
            continue
        assert isinstance(g, mg.Tensor)
        np.testing.assert_allclose(g.numpy(), np.asarray(e), rtol=1e-12, strict=True)


def test_extra_makes_arrays():
    """What has no array among its arguments is told the namespace."""
    assert [i.tolist() for i in extra.diag_indices(3, ndim=2, xp=mg)] == [[0, 1, 2]] * 2
    assert [i.tolist() for i in extra.triu_indices(2, xp=mg)] == [[0, 0, 1], [0, 1, 1]]
    assert [i.tolist() for i in extra.tril_indices(2, xp=mg)] == [[0, 1, 1], [0, 0, 1]]
    assert extra.one_hot(mg.asarray([1, 0]), 3, axis=0).tolist() == [[0, 1], [1, 0], [0, 0]]
    for kind, name in {"real floating": "float32", "complex floating": "complex64", "indexing": "int64"}.items():
        assert extra.default_dtype(mg, kind) == name


def test_extra_is_differentiable():
    """d sum kron(x, x) / dx = 2 sum x; apply_where takes each element's own branch."""
    x = mg.tensor([1.0, 2.0, 3.0], requires_grad=True)
    extra.kron(x, x).sum().backward()
    assert x.grad.tolist() == [12, 12, 12]
    x.grad = None
    extra.apply_where(x > 1, x, lambda x: x * x, lambda x: -x).sum().backward()
    assert x.grad.tolist() == [-1, 4, 6]
    x.grad = None
    extra.at(x * 1, 0).set(5.0, copy=True).sum().backward()
    assert x.grad.tolist() == [0, 1, 1]


def test_extra_compares():
    x, y = mg.asarray([1.0, mg.nan]), mg.asarray([1.0 + 1e-7, mg.nan])
    extra.testing.assert_equal(x, x)
    extra.testing.assert_close(x, y)
    extra.testing.assert_close_nulp(x[:1], y[:1])
    extra.testing.assert_less(x[:1], x[:1] + 1)
    for other in (x[:1], x.astype(mg.float64), x.numpy()):  # another shape, dtype, namespace
        with pytest.raises(AssertionError):
            extra.testing.assert_equal(x, other)
    with pytest.raises(AssertionError):
        extra.testing.assert_less(x[:1], x[:1])
