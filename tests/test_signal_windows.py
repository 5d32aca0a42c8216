"""minigrad.signal.windows beside torch.signal.windows."""

import numpy as np
import pytest

import minigrad as mg
from minigrad.errors import ArgumentError, DTypeError
from minigrad.signal import windows

ARGUMENTS = {
    "general_cosine": [{"a": (0.3, 0.5, 0.2)}, {"a": [1.0]}],
    "general_hamming": [{}, {"alpha": 0.7}],
    "gaussian": [{}, {"std": 2.5}],
    "exponential": [{}, {"tau": 3.0}],
    "kaiser": [{}, {"beta": 0.0}, {"beta": 4.0}],
}


@pytest.mark.parametrize("name", windows.__all__)
def test_as_pytorch(name):
    torch = pytest.importorskip("torch")
    theirs = getattr(torch.signal.windows, name)
    for given in ARGUMENTS.get(name, [{}]):
        for m in (0, 1, 2, 5, 6):
            for sym in (True, False):
                y = getattr(windows, name)(m, sym=sym, dtype="float64", **given)
                expected = theirs(m, sym=sym, dtype=torch.float64, **given).numpy()
                np.testing.assert_allclose(y.numpy(), expected, atol=1e-12, err_msg=f"{m} {sym} {given}")


def test_exponential_of_a_given_center():
    np.testing.assert_allclose(windows.exponential(3, center=0, sym=False).numpy(), np.exp([-0.0, -1, -2]), rtol=1e-6)
    with pytest.raises(ArgumentError, match="center"):
        windows.exponential(3, center=0)


def test_dtype_and_gradient():
    assert windows.hann(4).dtype == mg.float32
    assert windows.hann(4, dtype=mg.float64, requires_grad=True).requires_grad


@pytest.mark.parametrize("name, given", [("hann", {"M": -1}), ("gaussian", {"M": 3, "std": 0}), ("kaiser", {
    "M": 3, "beta": -1}), ("exponential", {"M": 3, "tau": 0}), ("general_cosine", {"M": 3, "a": []})])  # fmt: skip
def test_what_is_refused(name, given):
    with pytest.raises(ArgumentError, match=name if name != "hann" else "length"):
        getattr(windows, name)(**given)


def test_dtype_that_is_none():
    with pytest.raises(DTypeError, match="float32 or float64"):
        windows.hann(3, dtype="int64")
