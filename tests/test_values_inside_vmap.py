"""Functions whose result depends on the values: inside vmap they say why not, or compute without looking."""

import numpy as np
import pytest

import minigrad as mg
from minigrad.errors import GradError
from minigrad.func import vmap

X = np.array([[1.0, 2.0, 2.0], [3.0, np.nan, 3.0]])
READ = {
    "unique": mg.unique, "unique_consecutive": mg.unique_consecutive, "unique_all": mg.unique_all,
    "nonzero": mg.nonzero,
    "argwhere": mg.argwhere, "union1d": lambda r: mg.union1d(r, r), "intersect1d": lambda r: mg.intersect1d(r, r),
    "histogram": mg.histogram, "bincount": lambda r: mg.bincount((r > 1).astype("int64")),
    "lexsort": lambda r: mg.lexsort((r, r)), "array_equal": lambda r: mg.array_equal(r, r),
}  # fmt: skip


@pytest.mark.parametrize("name", READ)
def test_what_must_read_says_so(name):
    with pytest.raises(GradError, match=r"it reads the values.*inside vmap.*Loop over the samples") as error:
        vmap(READ[name])(mg.tensor(X))
    assert str(error.value).split(":")[0] in (name, "unique", "unique_all", "argwhere")


@pytest.mark.parametrize("f", [
    lambda r: mg.isclose(r, r + 1e-9, equal_nan=True), lambda r: mg.isin(r, mg.tensor([2.0, 5.0])),
    lambda r: mg.isin(r, r[:1], invert=True), mg.nanargmax, mg.nanargmin, lambda r: r.median(),
    lambda r: r.mode().values,
    lambda r: r.nanmedian(dim=0).values,
])  # fmt: skip
def test_the_rest_agrees_with_a_loop(f):
    rows = np.stack([f(mg.tensor(row)).numpy() for row in X])
    np.testing.assert_array_equal(vmap(f)(mg.tensor(X)).numpy(), rows)


def test_isclose_is_numpys():
    a = np.array([1.0, np.inf, -np.inf, np.inf, np.nan, np.nan, 0.0, 1e-9, 1.0])
    b = np.array([1.00001, np.inf, np.inf, 1.0, np.nan, 1.0, 1e-9, 0.0, 1.1])
    for equal_nan in (False, True):
        np.testing.assert_array_equal(
            mg.isclose(a, b, equal_nan=equal_nan).numpy(), np.isclose(a, b, equal_nan=equal_nan)
        )
    big = np.array([2**60, 2**60 + 1])
    np.testing.assert_array_equal(mg.isclose(big, big[::-1], rtol=0, atol=0.5).numpy(),
                                  np.isclose(big, big[::-1], rtol=0, atol=0.5))  # fmt: skip
